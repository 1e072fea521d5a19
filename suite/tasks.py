"""The tasks as a table: files and columns of the original download, hub names, labels and metrics.

Three kinds of task share the type: those of GLUE (the table below), the generated ones
(:mod:`suite.data.generated`), and a user's own, a YAML file beside its TSVs (:class:`OwnTask`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from suite import yaml_file
from suite.documents import DECLARED, Name, Strict, Text
from suite.errors import UserError


@dataclass(frozen=True)
class Task:
    """A classification or regression task over one or two texts."""

    name: str
    title: str
    columns: tuple[str, ...]  # the one or two text columns
    label: str  # the label column
    labels: tuple[str, ...]  # names in index order; empty for regression
    metrics: tuple[str, ...]
    folder: str = ""  # of the original download
    files: Mapping[str, str] = field(default_factory=dict)  # split -> file; "train" and the dev sets
    header: tuple[str, ...] | None = None  # column names of a file that has no header row
    file_labels: tuple[str, ...] = ()  # the labels as the files spell them, if not by name
    empty_text: bool = False  # the genuine files hold rows with an empty text
    skip_malformed: bool = False  # the genuine files hold a few rows of the wrong width: left out
    hub_config: str = ""
    hub_columns: tuple[str, ...] = ()
    hub_splits: Mapping[str, str] = field(default_factory=dict)
    official_rows: Mapping[str, int] = field(default_factory=dict)  # split -> rows
    note: str = ""  # printed wherever the task's column is
    base: str = ""  # an own task: the folder that its files' names start from

    @property
    def regression(self) -> bool:
        return not self.labels

    @property
    def outputs(self) -> int:
        """Width of the model's output: one per label, or one for regression."""
        return max(1, len(self.labels))

    @property
    def dev_splits(self) -> tuple[str, ...]:
        return tuple(name for name in self.files if name != "train")


# --- GLUE -------------------------------------------------------------------------------------------------

_FILES = {"train": "train.tsv", "dev": "dev.tsv"}
_HUB = {"train": "train", "dev": "validation"}
_PAIR = ("sentence1", "sentence2")
_SEEN = "The reference's own training data included {}."


def _rows(train: int, dev: int) -> dict[str, int]:
    return {"train": train, "dev": dev}


_TABLE = (
    Task(
        name="cola",
        title="CoLA",
        columns=("sentence",),
        label="label",
        labels=("unacceptable", "acceptable"),
        metrics=("matthews",),
        folder="CoLA",
        files=_FILES,
        header=("source", "label", "original_label", "sentence"),
        file_labels=("0", "1"),
        hub_config="cola",
        hub_columns=("sentence",),
        hub_splits=_HUB,
        official_rows=_rows(8551, 1043),
    ),
    Task(
        name="sst2",
        title="SST-2",
        columns=("sentence",),
        label="label",
        labels=("negative", "positive"),
        metrics=("accuracy",),
        folder="SST-2",
        files=_FILES,
        file_labels=("0", "1"),
        hub_config="sst2",
        hub_columns=("sentence",),
        hub_splits=_HUB,
        official_rows=_rows(67349, 872),
    ),
    Task(
        name="mrpc",
        title="MRPC",
        columns=("#1 String", "#2 String"),
        label="Quality",
        labels=("not_equivalent", "equivalent"),
        metrics=("accuracy", "f1"),
        folder="MRPC",
        files=_FILES,
        file_labels=("0", "1"),
        hub_config="mrpc",
        hub_columns=_PAIR,
        hub_splits=_HUB,
        official_rows=_rows(3668, 408),
    ),
    Task(
        name="stsb",
        title="STS-B",
        columns=_PAIR,
        label="score",
        labels=(),
        metrics=("pearson", "spearman"),
        folder="STS-B",
        files=_FILES,
        hub_config="stsb",
        hub_columns=_PAIR,
        hub_splits=_HUB,
        official_rows=_rows(5749, 1500),
    ),
    Task(
        name="qqp",
        title="QQP",
        columns=("question1", "question2"),
        label="is_duplicate",
        labels=("not_duplicate", "duplicate"),
        metrics=("accuracy", "f1"),
        folder="QQP",
        files=_FILES,
        file_labels=("0", "1"),
        empty_text=True,
        skip_malformed=True,
        hub_config="qqp",
        hub_columns=("question1", "question2"),
        hub_splits=_HUB,
        official_rows=_rows(363846, 40430),
        note=_SEEN.format("Quora question pairs"),
    ),
    Task(
        name="mnli",
        title="MNLI",
        columns=_PAIR,
        label="gold_label",
        labels=("entailment", "neutral", "contradiction"),
        metrics=("accuracy",),
        folder="MNLI",
        files={
            "train": "train.tsv",
            "dev_matched": "dev_matched.tsv",
            "dev_mismatched": "dev_mismatched.tsv",
        },
        hub_config="mnli",
        hub_columns=("premise", "hypothesis"),
        hub_splits={
            "train": "train",
            "dev_matched": "validation_matched",
            "dev_mismatched": "validation_mismatched",
        },
        official_rows={"train": 392702, "dev_matched": 9815, "dev_mismatched": 9832},
        note=_SEEN.format("MultiNLI"),
    ),
    Task(
        name="qnli",
        title="QNLI",
        columns=("question", "sentence"),
        label="label",
        labels=("entailment", "not_entailment"),
        metrics=("accuracy",),
        folder="QNLI",
        files=_FILES,
        hub_config="qnli",
        hub_columns=("question", "sentence"),
        hub_splits=_HUB,
        official_rows=_rows(104743, 5463),
    ),
    Task(
        name="rte",
        title="RTE",
        columns=_PAIR,
        label="label",
        labels=("entailment", "not_entailment"),
        metrics=("accuracy",),
        folder="RTE",
        files=_FILES,
        hub_config="rte",
        hub_columns=_PAIR,
        hub_splits=_HUB,
        official_rows=_rows(2490, 277),
    ),
    Task(
        name="wnli",
        title="WNLI",
        columns=_PAIR,
        label="label",
        labels=("not_entailment", "entailment"),
        metrics=("accuracy",),
        folder="WNLI",
        files=_FILES,
        file_labels=("0", "1"),
        hub_config="wnli",
        hub_columns=_PAIR,
        hub_splits=_HUB,
        official_rows=_rows(635, 71),
        note="Shown, not averaged: most dev passages stand in train too, with another hypothesis.",
    ),
)

GLUE: dict[str, Task] = {task.name: task for task in _TABLE}


# --- a user's own -----------------------------------------------------------------------------------------

Metric = Literal["accuracy", "f1", "matthews", "pearson", "spearman"]
_File = Annotated[str, StringConstraints(min_length=1, max_length=255)]
_Column = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class OwnFiles(Strict):
    """The two TSVs, named from the folder of the YAML."""

    train: Annotated[_File, DECLARED]
    dev: Annotated[_File, DECLARED]


class OwnTask(Strict):
    """A task of one's own: unquoted, tab-separated, UTF-8, with a header row. No ``labels``: regression."""

    schema_: Annotated[Literal["lightboard/task/1"], DECLARED] = Field("lightboard/task/1", alias="schema")
    name: Annotated[Name, DECLARED]
    title: Annotated[Text, DECLARED] = ""
    text: Annotated[tuple[_Column, ...], Field(min_length=1, max_length=2), DECLARED]
    label: Annotated[_Column, DECLARED] = "label"
    labels: Annotated[tuple[_Column, ...], DECLARED] = ()
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1), DECLARED]
    files: Annotated[OwnFiles, DECLARED]
    note: Annotated[Text, DECLARED] = ""

    @model_validator(mode="after")
    def _consistent(self) -> OwnTask:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: found the same name twice, expected each label once")
        if len(self.labels) == 1:
            raise ValueError("labels: found one label, expected two or more, or none for regression")
        correlations = {"pearson", "spearman"}
        wrong = [m for m in self.metrics if (m in correlations) is bool(self.labels)]
        if wrong:
            kind = "a classification" if self.labels else "a regression"
            fits = "accuracy, f1 or matthews" if self.labels else "pearson or spearman"
            raise ValueError(f"metrics: found {wrong[0]} for {kind} task, expected {fits}")
        if "f1" in self.metrics and len(self.labels) != 2:
            raise ValueError("metrics: found f1, expected it only with two labels (the second is positive)")
        return self


def load_own(path: Path) -> Task:
    """The task that a YAML file describes; UserError with file and line for what is wrong in it."""
    own = yaml_file.load(path, OwnTask)
    return Task(
        name=own.name,
        title=own.title or own.name,
        columns=own.text,
        label=own.label,
        labels=own.labels,
        metrics=own.metrics,
        files={"train": own.files.train, "dev": own.files.dev},
        note=own.note,
        base=str(path.resolve().parent),
    )


# --- by name ----------------------------------------------------------------------------------------------


def names() -> list[str]:
    """Every task that :func:`task` knows: GLUE's, the generated ones, those on the search path."""
    from suite import paths
    from suite.data.generated import TASKS

    return list(dict.fromkeys([*GLUE, *TASKS, *paths.files("tasks")]))


def task(name: str) -> Task:
    """The task of that name; UserError with the nearest name when there is none.

    A name that ends in ``.yaml`` is the path of a task of one's own.
    """
    if name in GLUE:
        return GLUE[name]
    if name.endswith((".yaml", ".yml")):
        return load_own(Path(name))
    from suite import paths
    from suite.data.generated import TASKS

    if name in TASKS:
        return TASKS[name]
    own = paths.files("tasks")
    if name not in own:
        raise paths.unknown("task", name, names())
    found = load_own(own[name])
    if found.name != name:
        raise UserError(f"{own[name]}: name: found {found.name}, expected {name}, the file's own name")
    return found
