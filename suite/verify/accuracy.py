"""The scores of a lower precision, held as runs are: the same evidence, the same checks, other places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from suite import folder as folders
from suite import stored, tables
from suite.documents import Data, Measurement, Run
from suite.folder import Problem, Refused, show
from suite.verify.loaded import LoadedRun

SCORES = ("metrics", "score", "score_sd", "calibration", "diverged")


def scored(
    folder: Path, file: str, raw: Mapping[str, Any], m: Measurement, contents: Mapping[str, bytes]
) -> tuple[tuple[LoadedRun, ...], list[Problem]]:
    """Every accuracy of a measurement as a run with nothing but scores, and what is wrong with the tables."""
    found: list[LoadedRun] = []
    wrong: list[Problem] = []
    for place, one in enumerate(m.accuracy):
        task, name = stored.known_task(one.task), folders.own_predictions(one.task)
        predictions = None
        if task is None:
            wrong.append(
                Problem(file, f"accuracy.{place}.task", show(one.task), "a known task", "correct it")
            )
        elif name not in contents:
            wrong.append(Problem(show(str(folder / name), 300), "", "nothing", "a file", f"add {name}"))
        else:
            try:
                predictions = tables.read_predictions(contents[name], folder / name, task)
            except Refused as refused:
                wrong.append(refused.problem)
        dev: dict[str, Any] = {"dev": one.dev}
        known: dict[str, Any] = {
            "track": m.track,
            "division": "open",  # what it was trained on is the run's to show
            "recipe": m.recipe,
            "variant": m.variant,
            "recipe_hash": m.recipe_hash,
            "task": one.task,
            "seed": one.seed,
            "data": Data.model_construct(**dev),
            **{name: getattr(one, name) for name in SCORES},
        }
        run = Run.model_construct(**known)
        found.append(LoadedRun(folder, file, raw["accuracy"][place], run, task, predictions, table_name=name))
    return tuple(found), wrong


def placed(one: LoadedRun, problems: Iterable[Problem]) -> list[Problem]:
    """Problems of a run's fields, named by where an accuracy has them."""
    before = f"accuracy of {one.run.task}: "
    return [
        replace(p, field=before + p.field.removeprefix("data.")) if p.file == one.file else p
        for p in problems
    ]
