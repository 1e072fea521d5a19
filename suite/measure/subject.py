"""What a comparison is of: a model and the reference with one task's weights, and the examples to ask them.

What the pipeline knows enters the measuring here, and nowhere else. Where it has no trained models, runs in the results
give the graphs that weights are drawn for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from suite import models
from suite.data.encode import Encoded
from suite.documents import Run
from suite.errors import UserError
from suite.folder import MAX_JSON_BYTES, parse, read_bytes
from suite.loading import load_recipe, resolve
from suite.measure import accuracy, cost
from suite.measure.drawn import NotTrained, drawable, folder_of
from suite.paths import load_module
from suite.protocol import MEASURING, Track
from suite.reproduce import own_run
from suite.runtimes import Example
from suite.stored import same_shape

Side = TypeVar("Side", "ModelFolder", Run)


@dataclass(frozen=True)
class Examples:
    """A task's dev sets, one after another, as they were tokenised. ``texts``: one or two per example."""

    task: str
    ids: NDArray[np.int32]
    types: NDArray[np.int8]
    offsets: NDArray[np.int64]
    texts: Sequence[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True)
class ModelFolder:
    """A model folder with the logits of its accuracy run on its task's :class:`Examples`; drawn weights have none."""

    task: str
    folder: Path
    logits: NDArray[np.float32] | None
    labelled: accuracy.Labelled | None = None  # to score answers that are not the accuracy run's

    @property
    def training(self) -> Sequence[Example]:
        """Training examples, for runtimes that calibrate."""
        return self.labelled.training if self.labelled else ()

    @property
    def graph(self) -> str:
        """The digest by which entries inherit times."""
        return cost.count_module(models.load(self.folder, attention="eager")).graph

    @property
    def drawn(self) -> bool:
        """Whether only time can be asked of it; see :mod:`suite.measure.drawn`."""
        return self.logits is None


@dataclass(frozen=True)
class Subject:
    """One comparison to be: entry and reference with the weights of one task, and the examples to ask."""

    track: str
    recipe: str
    recipe_hash: str
    variant: str
    task: str | None  # named where time depends on the task's weights
    entry: ModelFolder
    reference: ModelFolder
    examples: tuple[Examples, ...]
    tokenizer: Path
    reference_examples: tuple[Examples, ...] | None = None
    """The same ones in the reference's tokens, where those are others."""
    adaptive: bool = False
    pairs: int | None = None  # instead of the profile's
    others: tuple[ModelFolder, ...] = ()
    """Of the same variant: those of the same graph inherit what is measured."""


def subjects(
    recipe: str, variant: str, track: Track, task: str | None, data: str, results: Path | None = None
) -> list[Subject]:
    """Everything the pipeline knows that a comparison needs; the one place that asks it.

    Where no task's two models are trained here, with weights drawn for their runs in ``results``.
    """
    from suite.pipeline.matrix import tokenizer_of

    reference = MEASURING["reference"]
    resolved = resolve(load_recipe(recipe), track.name)
    tokenizer = tokenizer_of(resolved, track)
    same = tokenizer.fingerprint == tokenizer_of(resolve(reference["recipe"], track.name), track).fingerprint
    tasks = (task,) if task else track.core
    both = _sides(recipe, variant, tasks, lambda r, v, name: _trained(r, v, track, name, data))
    if not both and results is not None:
        both = _drawn(recipe, variant, track, tasks, results)
    if not both:
        raise NotTrained(
            f"recipe {recipe}: variant {variant} and the reference are not both trained on {tasks[0]} here; "
            f"first: {own_run(recipe, track.name, tasks[0], 1)}"
        )
    examples = {name: _examples(recipe, track, name, data) for name in tasks}
    others = examples if same else {n: _examples(reference["recipe"], track, n, data) for n in tasks}
    configs = [models.read_config(entry.folder) for entry, _ in both.values()]
    adaptive = any(_adaptive(config) for config in configs)
    each = task is not None or adaptive or not same_shape(configs)
    return [
        Subject(
            track=track.name,
            recipe=resolved.recipe.name,
            recipe_hash=resolved.hash,
            variant=variant,
            task=name if each else None,
            entry=both[name][0],
            reference=both[name][1],
            examples=(examples[name],) if each else tuple(examples.values()),
            tokenizer=tokenizer.folder(),
            reference_examples=None if same else (others[name],) if each else tuple(others.values()),
            adaptive=adaptive,
            pairs=track.pairs,
            others=() if each else tuple(entry for n, (entry, _) in both.items() if n != name),
        )
        for name in (both if each else list(both)[:1])
    ]


def _adaptive(config: models.Config) -> bool:
    """Whether time depends on the input; of a model with early exits, unless they are switched off."""
    architecture = load_module("models", config["architecture"])
    return bool(getattr(architecture, "ADAPTIVE", False) and config.get("speed", True))


def _sides(
    recipe: str, variant: str, tasks: Sequence[str], find: Callable[[str, str, str], Side | None]
) -> dict[str, tuple[Side, Side]]:
    """Entry and reference, of the tasks on which ``find`` (recipe, variant, task) has both."""
    reference = MEASURING["reference"]
    found = {}
    for name in tasks:
        own, theirs = find(recipe, variant, name), find(reference["recipe"], reference["variant"], name)
        if own is not None and theirs is not None:
            found[name] = own, theirs
    return found


def _drawn(
    recipe: str, variant: str, track: Track, tasks: Sequence[str], results: Path
) -> dict[str, tuple[ModelFolder, ModelFolder]]:
    """Entry and reference with drawn weights, by task; of one task where its time is that of them all."""
    runs = _sides(recipe, variant, tasks, lambda r, v, name: _landed(r, v, track, name, results))
    if same_shape(own.model.config for own, _ in runs.values()):
        runs = dict(list(runs.items())[:1])
    return {
        name: (ModelFolder(name, folder_of(own), None), ModelFolder(name, folder_of(theirs), None))
        for name, (own, theirs) in runs.items()
    }


def _landed(recipe: str, variant: str, track: Track, task: str, results: Path) -> Run | None:
    """The first run of a recipe as it is now, if its weights can be drawn."""
    resolved = resolve(load_recipe(recipe), track.name)
    for seed in track.seeds:
        path = results / track.name / "runs" / resolved.recipe.name / variant / f"{task}-{seed}" / "run.json"
        if path.is_file():
            run = parse(Run, read_bytes(path, MAX_JSON_BYTES), path)
            if run.recipe_hash == resolved.hash and drawable(run) and not _adaptive(run.model.config):
                return run
    return None


def _examples(recipe: str, track: Track, task: str, data: str) -> Examples:
    """A task's dev sets in the tokens that a recipe's models read."""
    from suite.pipeline.matrix import draw_of
    from suite.pipeline.run import encoded_dev

    parts = encoded_dev(recipe, track.name, task, data=data)
    dev = draw_of(track, task, data).dev
    columns = [dev[split][:] for split in parts]
    texts = [tuple(row) for c in columns for row in zip(*(c[k] for k in ("a", "b") if k in c), strict=True)]
    encoded = list(parts.values())
    lengths = np.concatenate([part.lengths for part in encoded])
    return Examples(
        task=task,
        ids=np.concatenate([part.ids for part in encoded]),
        types=np.concatenate([part.types for part in encoded]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        texts=texts,
    )


def _trained(recipe: str, variant: str, track: Track, task: str, data: str) -> ModelFolder | None:
    """The model of the first seed and its dev logits, if the store has it; nothing is trained here."""
    from suite.pipeline.execute import execute
    from suite.pipeline.run import jobs, request
    from suite.pipeline.store import Store

    store = Store()
    for job in jobs(request([recipe], track=track.name, tasks=[task], seeds=1, data=data, store=store)):
        if job.variant == variant:
            if store.get(job.model.key) is None:
                return None
            execute([job.predictions], store)
            folder = store.folder(job.predictions.key)
            splits = job.cell.task.dev_splits
            logits = [np.load(folder / f"{split}.npy") for split in splits]
            encoded = store.folder(job.cell.encoded.key)
            labelled = accuracy.Labelled(
                seed=job.cell.seed,
                training=accuracy.calibration(Encoded.load(encoded / "selection"), job.cell.seed),
                dev={split: Encoded.load(encoded / split) for split in splits},
                fingerprints={split: job.cell.draw.fingerprints[split] for split in splits},
            )
            return ModelFolder(task, store.folder(job.model.key), np.concatenate(logits), labelled)
    raise UserError(f"recipe {recipe}: no variant {variant!r} on track {track.name}")
