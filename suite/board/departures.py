"""What a method changes in the published one: in the recipe's words of today, where they are of what was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suite.board.site import Site
from suite.documents import Entry
from suite.recipe import Modified, Recipe, TrackSettings


def departures(site: Site, entry: Entry) -> tuple[str, ...]:
    """The recipe's list while its settings are still the entry's; else that of the documents, which keep the words
    of the day they were trained."""
    recipe = site.recipes.get(entry.recipe)
    track = recipe.tracks.get(entry.track) if recipe else None
    if recipe is None or track is None or not _holds(_written(recipe, track), entry.settings):
        return entry.departures
    return track.departures


def _written(recipe: Recipe, track: TrackSettings) -> Mapping[str, Any]:
    """What a recipe states of a track, as a run's settings hold it."""
    modifiers = recipe.modifiers if track.modifiers is None else track.modifiers
    return {
        "method": recipe.method,
        "parameters": track.parameters,
        "modifiers": [_modifier(one) for one in modifiers],
        "default": track.default,
    }


def _modifier(given: str | Modified) -> Mapping[str, Any]:
    stated = given.model_dump() if isinstance(given, Modified) else {"name": given}
    name = str(stated.pop("name")).replace("_", "-")
    return {"name": name, "parameters": stated}


def _holds(written: Any, resolved: Any) -> bool:
    """Whether settings say all that is written. What is not written is a default, which only the method's own module
    knows, and that loads what trains: a site is built without."""
    if isinstance(written, Mapping):
        return isinstance(resolved, Mapping) and all(
            key in resolved and _holds(value, resolved[key]) for key, value in written.items()
        )
    if isinstance(written, list | tuple):
        return (
            isinstance(resolved, list | tuple)
            and len(written) == len(resolved)
            and all(map(_holds, written, resolved))
        )
    return bool(written == resolved)
