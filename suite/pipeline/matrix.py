"""From recipes, tasks and seeds to stages.

Cells come in seed-major order, the cheapest task first, all recipes of a cell together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel

from suite.data.encode import Encoded
from suite.data.rows import Draw, draw
from suite.data.sources import load
from suite.errors import UserError
from suite.loading import load_recipe, resolve
from suite.paths import load_module
from suite.pipeline.cell import Cell, Tokenizer, encoding, predict
from suite.pipeline.execute import Reporter, execute
from suite.pipeline.stage import Stage, closure
from suite.pipeline.store import Store
from suite.protocol import Track
from suite.recipe import Resolved
from suite.tasks import task

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """One run to be: a recipe variant on one cell, and the two stages whose artifacts the run is written from."""

    cell: Cell
    resolved: Resolved
    variant: str
    model: Stage
    predictions: Stage
    shared: frozenset[str]  # keys of stages outside the recipe's budget


def draw_of(track: Track, name: str, source: str) -> Draw:
    """The rows a track uses of a task, from ``source`` ("auto" means what the track says, then what is there; of a
    task of one's own its files)."""
    if source == "auto":
        source = "own" if task(name).base else track.data
    return _drawn(track, name, source)


@lru_cache(maxsize=16)
def _drawn(track: Track, name: str, source: str) -> Draw:
    found = task(name)
    return draw(load(found, source), track, found)


def cell_of(
    track: Track,
    data: Draw,
    seed: int,
    store: Store,
    reporter: Reporter | None = None,
    tokenizer: Tokenizer | None = None,
) -> Cell:
    """A cell without its teacher, in the tokens of the track's tokenizer or of another.

    Tokenises the task if the store has not seen it: plans need the lengths.
    """
    encoded = encoding(data, track, tokenizer or Tokenizer.of(track))
    execute([encoded], store, reporter)
    folder = store.folder(encoded.key)
    lengths = {part: Encoded.load(folder / part).lengths for part in ("train", "selection", *data.dev)}
    return Cell(track=track, task=data.task, seed=seed, draw=data, encoded=encoded, lengths=lengths)


def tokenizer_of(resolved: Resolved, track: Track) -> Tokenizer:
    """What a recipe's models read: the track's tokens, unless the method's module names a tokenizer."""
    method = load_module("methods", resolved.recipe.method)
    ask = getattr(method, "tokenizer", None)
    own = ask(method.Parameters.model_validate(resolved.parameters), track) if ask is not None else None
    return own or Tokenizer.of(track)


def variants(resolved: Resolved, track: Track, outputs: int) -> Mapping[str, dict[str, Any]]:
    """variant -> model configuration; needs neither weights nor data."""
    method = load_module("methods", resolved.recipe.method)
    parameters = method.Parameters.model_validate(resolved.parameters)
    found: Mapping[str, dict[str, Any]] = method.students(parameters, track, outputs)
    for modifier, settings in _modifiers(resolved):
        found = {variant: modifier.config(settings, config) for variant, config in found.items()}
    return _with_default(resolved, found)


def model_stages(resolved: Resolved, cell: Cell) -> Mapping[str, Stage]:
    """variant -> the stage that ends in its model folder."""
    method = load_module("methods", resolved.recipe.method)
    parameters = method.Parameters.model_validate(resolved.parameters)
    found: Mapping[str, Stage] = method.plan(parameters, cell)
    configs = method.students(parameters, cell.track, cell.task.outputs) if resolved.modifiers else {}
    for modifier, settings in _modifiers(resolved):
        found = {name: modifier.stage(settings, stage, configs[name], cell) for name, stage in found.items()}
        configs = {name: modifier.config(settings, config) for name, config in configs.items()}
    return _with_default(resolved, found)


def _modifiers(resolved: Resolved) -> Iterator[tuple[ModuleType, BaseModel]]:
    """(module, parameters) of each modifier, in the order in which they are applied."""
    for one in resolved.modifiers:
        module = load_module("modifiers", one["name"])
        yield module, module.Parameters.model_validate(one["parameters"])


def _with_default(resolved: Resolved, found: Mapping[str, T]) -> Mapping[str, T]:
    """``found`` if the variant that is to be ranked is among it."""
    default = resolved.recipe.tracks[resolved.track].default
    if default not in found:
        place = f"recipe {resolved.recipe.name}: tracks.{resolved.track}.default"
        raise UserError(f"{place} is {default!r}, but its variants are {', '.join(found)}")
    return found


def jobs_of(
    recipes: Sequence[Resolved], cell: Cell, store: Store, reporter: Reporter | None = None
) -> Iterator[Job]:
    """The runs of a cell, the reference's own first: everybody learns from it."""
    reference = resolve(load_recipe(cell.track.reference_recipe), cell.track.name)
    teacher = next(iter(model_stages(reference, cell).values()))
    taught = replace(cell, reference=teacher)
    for resolved in sorted(recipes, key=lambda r: r.recipe.name != reference.recipe.name):
        own = resolved.recipe.name == reference.recipe.name
        outside = frozenset() if own else frozenset(stage.key for stage in closure([teacher]))
        read, given = cell, cell if own else taught
        tokenizer = tokenizer_of(resolved, cell.track)
        if tokenizer.fingerprint != cell.encoded.params["tokenizer"]:
            # The teacher reads other tokens, so it cannot be learnt from here.
            read = given = cell_of(cell.track, cell.draw, cell.seed, store, reporter, tokenizer)
        for variant, model in model_stages(resolved, given).items():
            _check_general(resolved, cell.track, variant, model, outside)
            yield Job(read, resolved, variant, model, _predictions(read, model), outside)


def _check_general(
    resolved: Resolved, track: Track, variant: str, model: Stage, outside: frozenset[str]
) -> None:
    """UserError where a standard recipe learns more before any task than the track allows; ``outside``: the teacher's
    stages, which are not its own."""
    limit = track.general.max_tflop
    if limit is None or resolved.recipe.division != "standard":
        return
    tflop = sum(one.tflop for one in closure([model]) if one.shared and one.key not in outside)
    if tflop > limit:
        raise UserError(
            f"recipe {resolved.recipe.name}/{variant}: general distillation of {tflop:.0f} TFLOP, track {track.name} "
            f"allows {limit:g}; take fewer tokens or epochs, or set division: open"
        )


def _predictions(cell: Cell, model: Stage) -> Stage:
    splits = cell.task.dev_splits
    return cell.stage(
        "predictions",
        1,
        predict,
        params={"splits": list(splits)},
        inputs={"model": model, "data": cell.encoded},
        tokens=int(sum(cell.lengths[s].sum() for s in splits)),
        shared=True,  # scoring is not training
    )


def plan(
    recipes: Sequence[Resolved],
    track: Track,
    *,
    tasks: Sequence[str],
    seeds: Sequence[int],
    source: str,
    store: Store,
    reporter: Reporter | None = None,
) -> list[Job]:
    """Every job, in the order in which they should run, so that a part of the matrix is a fair comparison."""
    draws = [draw_of(track, name, source) for name in tasks]
    cells = [cell_of(track, data, seeds[0], store, reporter) for data in draws]
    cells.sort(key=lambda cell: int(np.sum(cell.lengths["train"])))
    seeded = [replace(cell, seed=seed) for seed in seeds for cell in cells]
    return [job for cell in seeded for job in jobs_of(recipes, cell, store, reporter)]
