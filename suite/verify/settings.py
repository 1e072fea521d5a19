"""The recipe that a run's settings hold: what ``replay`` and ``retrain`` build from, and never anything submitted."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from suite import folder as folders
from suite.documents import Run
from suite.errors import UserError
from suite.loading import resolve
from suite.recipe import Recipe, Resolved
from suite.verify import weights


def resolved_of(run: Run) -> Resolved:
    """The recipe that a run's settings hold, checked by this version's method; UserError where it is another."""
    settings = run.settings
    listed = settings.get("modifiers") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise UserError(
            f"settings of {run.recipe}: modifiers: expected a list of names and parameters", code=1
        )
    named = [("methods", settings.get("method")), *(("modifiers", one.get("name")) for one in listed)]
    for kind, name in named:
        if not weights.is_ours(kind, name):
            what = f"{kind.removesuffix('s')} {folders.show(repr(name))}"
            raise UserError(f"{what} is not one of Lightboard's own; only those are trained again", code=1)
    document: dict[str, Any] = {
        "name": run.recipe,
        "method": settings["method"],
        "division": run.division,
        "about": {"title": run.recipe, "idea": "", "colour": "#000000", "shape": "circle"},
        "modifiers": [{"name": one["name"], **_mapping(one.get("parameters"))} for one in listed],
        "tracks": {run.track: {"parameters": settings.get("parameters"), "default": settings.get("default")}},
    }
    if "ablation_of" in settings:
        document |= {"extends": settings["ablation_of"], "ablation": "as entered"}
    try:
        recipe = Recipe.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = folders.show(".".join(str(part) for part in first["loc"]))
        raise UserError(f"settings of {run.recipe}: {place}: {folders.show(first['msg'])}", code=1) from None
    resolved = resolve(recipe, run.track)
    if resolved.hash != run.recipe_hash:
        raise UserError(
            f"settings of {run.recipe}: this version of the method {recipe.method} reads them as another recipe "
            f"({resolved.hash[:19]}, the run has {run.recipe_hash[:19]}); retrain with the version it was run with",
            code=1,
        )
    return resolved


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
