"""Recipes: the YAML files in ``recipes/`` that say what is trained, and how, at each track's scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from suite.canonical import digest
from suite.documents import DECLARED, Name, Number, Strict, Text


class Reference(Strict):
    """A paper or a place to read more."""

    title: Annotated[Text, DECLARED]
    authors: Annotated[Text, DECLARED]
    year: Annotated[Annotated[int, Field(ge=1950, le=2100)], DECLARED]
    arxiv: Annotated[Annotated[str, StringConstraints(pattern=r"^\d{4}\.\d{4,5}$")] | None, DECLARED] = None


class Transfer(Strict):
    """Something that the student takes from its teacher: an arrow of the method's diagram."""

    what: Annotated[Text, DECLARED]  # a few words: "attention and hidden states"
    at: Annotated[Literal["embeddings", "layers", "last-layer", "answers"], DECLARED]
    layers: Annotated[Name, DECLARED] = "each"
    """Which of N teacher layers layer m of M answers to: ``each`` (m), ``spread`` (m N / M), ``groups`` (all of the
    m-th N / M), ``kept`` (floor((m - 1) N / M) + 1), or the parameter that lists teacher layers, counted from 0."""
    from_itself: Annotated[bool, DECLARED] = False  # its teacher is the model itself, or its last exit
    tracks: Annotated[tuple[Name, ...], DECLARED] = ()  # only on these; none named: on all


class ReportedScore(Strict):
    """A paper's two figures on one task, points; None where the teacher's was not read."""

    metric: Annotated[Text, DECLARED]  # the field's name of it ("f1"), or that the source does not say
    teacher: Annotated[Number | None, DECLARED] = None
    student: Annotated[Number, DECLARED]


class Reported(Strict):
    """Figures of a paper, division ``literature``: they stand beside ours and are never ranked with them."""

    source: Annotated[Text, DECLARED]  # what it was read in
    table: Annotated[Text, DECLARED]
    arxiv: Annotated[Annotated[str, StringConstraints(pattern=r"^\d{4}\.\d{4,5}$")] | None, DECLARED] = None
    split: Annotated[Literal["dev", "test", "not stated"], DECLARED]
    teacher: Annotated[Text, DECLARED]
    student: Annotated[Text, DECLARED]
    scores: Annotated[dict[Name, ReportedScore], DECLARED]  # by task
    note: Annotated[Text, DECLARED] = ""


class About(Strict):
    """What the website says of the method."""

    title: Annotated[Text, DECLARED]
    idea: Annotated[Text, DECLARED]  # three sentences
    colour: Annotated[Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")], DECLARED]
    shape: Annotated[Literal["circle", "square", "diamond", "triangle", "cross", "star"], DECLARED]
    references: Annotated[tuple[Reference, ...], DECLARED] = ()
    transfers: Annotated[tuple[Transfer, ...], DECLARED] = ()
    reported: Annotated[tuple[Reported, ...], DECLARED] = ()


class Modified(BaseModel):
    """A modifier's name and, beside it, its parameters, which are checked by the modifier's own model."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    name: Annotated[Name, DECLARED]


Modifiers = tuple[Name | Modified, ...]  # applied in this order to every variant


class TrackSettings(Strict):
    """One track's scale of a recipe. ``parameters`` are checked by the method's own model."""

    parameters: Annotated[dict[str, Any], DECLARED]
    default: Annotated[Name, DECLARED] = "default"  # the one variant that is ranked
    departures: Annotated[tuple[Text, ...], DECLARED] = ()
    modifiers: Annotated[Modifiers | None, DECLARED] = None  # instead of the recipe's
    tour: Annotated[bool, DECLARED] = False  # one of the few that "lightboard demo" shows


class Recipe(Strict):
    """A file in ``recipes/``; its name is the file's."""

    schema_: Annotated[Literal["lightboard/recipe/1"], DECLARED] = Field(
        "lightboard/recipe/1", alias="schema"
    )
    name: Annotated[Name, DECLARED]
    extends: Annotated[Name | None, DECLARED] = None
    """The recipe that everything not stated here is taken from; of its tracks only those named here."""
    ablation: Annotated[Text | None, DECLARED] = None
    """What is different, in a few words. An ablation stands on its parent's page and is never ranked."""
    method: Annotated[Name, DECLARED]
    division: Annotated[Literal["standard", "open"], DECLARED] = "standard"
    about: Annotated[About, DECLARED]
    modifiers: Annotated[Modifiers, DECLARED] = ()
    tracks: Annotated[dict[Name, TrackSettings], DECLARED]

    @model_validator(mode="after")
    def _ablation_of_something(self) -> Self:
        if self.ablation is not None and self.extends is None:
            raise ValueError("extends: found nothing, expected the recipe that this is an ablation of")
        return self


@dataclass(frozen=True)
class Resolved:
    """A recipe at one track, with the defaults filled in: what a run's settings hold."""

    recipe: Recipe
    track: str
    parameters: dict[str, Any]
    modifiers: tuple[dict[str, Any], ...] = ()  # {"name": ..., "parameters": {...}} each

    @property
    def settings(self) -> dict[str, Any]:
        """The part that decides what is trained; its digest is the recipe hash."""
        ablated = {"ablation_of": self.recipe.extends} if self.recipe.ablation is not None else {}
        return {
            "method": self.recipe.method,
            "track": self.track,
            "parameters": self.parameters,
            "modifiers": list(self.modifiers),
            "default": self.recipe.tracks[self.track].default,
            **ablated,
        }

    @property
    def hash(self) -> str:
        return digest(self.settings)
