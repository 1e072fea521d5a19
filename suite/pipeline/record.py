"""From finished artifacts to a run: what was trained, and the predictions that prove its score."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

from suite import models
from suite.budget import budget_tflop
from suite.canonical import digest_file, pretty_json
from suite.data.encode import Encoded
from suite.documents import Curve, Data, Environment, Model, Run, Split, StageCost, TrainingCost, Weights
from suite.errors import UserError
from suite.measure.cost import count_module
from suite.measure.machine import cpu
from suite.measure.recount import flops_per_example, graph, parameters, precision
from suite.pipeline.matrix import Job
from suite.pipeline.phase import read_report
from suite.pipeline.stage import Stage, closure
from suite.pipeline.store import Store
from suite.protocol import training_hash
from suite.scoring import score
from suite.tables import Split as Predictions
from suite.tables import write_predictions

PACKAGES = ("torch", "transformers", "datasets", "numpy", "scikit-learn", "safetensors", "tokenizers")


def run_folder(results: Path, job: Job) -> Path:
    """Where a job's run lies below ``results``."""
    track, recipe = job.cell.track.name, job.resolved.recipe.name
    return results / track / "runs" / recipe / job.variant / f"{job.cell.task.name}-{job.cell.seed}"


def run_files(job: Job, store: Store) -> dict[str, bytes]:
    """``run.json`` and ``predictions.parquet`` of a job whose stages are all in the store."""
    cell, task = job.cell, job.cell.task
    encoded = {
        s: Encoded.load(store.folder(cell.encoded.key) / s) for s in ("train", "selection", *task.dev_splits)
    }
    logits = {s: np.load(store.folder(job.predictions.key) / f"{s}.npy") for s in task.dev_splits}
    scored = score(task, logits, {s: encoded[s].labels for s in task.dev_splits})
    predictions = {s: _by_row(encoded[s].rows, logits[s], scored.influence[s]) for s in task.dev_splits}
    stages = tuple(_stage_cost(stage, job, store) for stage in closure([job.model]))
    train_lengths = histogram(encoded["train"].lengths)
    run = Run(
        track=cell.track.name,
        division=job.resolved.recipe.division,
        recipe=job.resolved.recipe.name,
        variant=job.variant,
        method=job.resolved.recipe.method,
        task=task.name,
        seed=cell.seed,
        protocol=training_hash(cell.track.name),
        settings=job.resolved.settings,
        recipe_hash=job.resolved.hash,
        data=Data(
            source=cell.draw.source,
            train=_split(job, "train", encoded),
            selection=_split(job, "selection", encoded),
            dev={s: _split(job, s, encoded) for s in task.dev_splits},
            train_lengths=train_lengths,
            dev_subset=cell.draw.dev_subset,
        ),
        metrics=scored.metrics,
        score=scored.score,
        score_sd=scored.sd,
        calibration=scored.calibration,
        diverged=scored.diverged,
        model=describe(
            store.folder(job.model.key), [encoded[s] for s in task.dev_splits], _exits(job, store)
        ),
        stages=stages,
        training_cost=training_cost(stages, budget_tflop(cell.track, task.outputs, train_lengths)),
        curves=_curves(job, store),
        departures=job.resolved.recipe.tracks[cell.track.name].departures,
        environment=_environment(cell.threads, _accelerator(job, store)),
        weights=weights(store.folder(job.model.key)),
    )
    return {
        "run.json": pretty_json(run.model_dump(mode="json", by_alias=True)).encode(),
        "predictions.parquet": write_predictions(task, predictions),
    }


def histogram(lengths: np.ndarray) -> dict[str, int]:
    """Tokens (as text, as JSON keys are) -> examples."""
    return {str(n): int(c) for n, c in zip(*np.unique(lengths, return_counts=True), strict=True)}


def describe(folder: Path, dev: list[Encoded], taken: np.ndarray | None = None) -> Model:
    """Architecture, weights and arithmetic of a model folder, at 128 tokens and at the dev sets' lengths.

    ``taken``: the exit of each dev example in the order of ``dev``, where the model has early exits.
    """
    config = models.read_config(folder)
    cost = count_module(models.load(folder, attention="eager"))
    tokens = np.concatenate([part.lengths for part in dev])
    lengths = histogram(tokens)
    exits = {} if taken is None else {str(k): histogram(tokens[taken == k]) for k in np.unique(taken)}
    return Model(
        architecture=config["architecture"],
        config=config,
        weights=cost.weights,
        ops=cost.ops,
        graph=graph(cost.ops, cost.weights),
        parameters=parameters(cost.weights),
        flops_per_example=flops_per_example(cost.ops, lengths, exits),
        dev_lengths=lengths,
        exits=exits,
        bytes={f"safetensors/{precision(cost.weights)}": (folder / "model.safetensors").stat().st_size},
    )


def weights(folder: Path) -> Weights:
    """A model folder's weights by their hash, and their place below the URL in LIGHTBOARD_WEIGHTS.

    Nothing is sent there: whoever sets it copies each file to the place that the run says.
    """
    found = digest_file(folder / "model.safetensors")
    base = os.environ.get("LIGHTBOARD_WEIGHTS")
    place = f"{base.rstrip('/')}/{found.removeprefix('sha256:')}.safetensors" if base else None
    try:
        return Weights(sha256=found, place=place)
    except ValueError:
        message = (
            f"LIGHTBOARD_WEIGHTS: {base!r} is no place that others can read; expected https, s3, gs, az or hf"
        )
        raise UserError(message) from None


def training_cost(stages: tuple[StageCost, ...], budget: float | None) -> TrainingCost:
    """Sums over the stages inside the budget."""
    own = [stage for stage in stages if not stage.shared]
    return TrainingCost(
        tflop=sum(stage.tflop for stage in own),
        tokens=sum(stage.tokens for stage in own),
        device_hours=sum(stage.seconds for stage in own) / 3600,
        budget_tflop=budget,
    )


def _exits(job: Job, store: Store) -> np.ndarray | None:
    """The exit of every dev example, in the order of the task's dev sets; None of a model without early exits."""
    files = [store.folder(job.predictions.key) / f"exits-{split}.npy" for split in job.cell.task.dev_splits]
    return np.concatenate([np.load(file) for file in files]) if files[0].exists() else None


def _by_row(rows: np.ndarray, logits: np.ndarray, influence: np.ndarray) -> Predictions:
    order = np.argsort(rows, kind="stable")
    return Predictions(rows[order], logits[order], influence[order])


def _split(job: Job, name: str, encoded: Mapping[str, Encoded]) -> Split:
    return Split(rows=len(encoded[name]), fingerprint=job.cell.draw.fingerprints[name])


def _stage_cost(stage: Stage, job: Job, store: Store) -> StageCost:
    found = store.get(stage.key)
    assert found is not None
    report = read_report(found.folder)
    return StageCost(
        stage=stage.name,
        key=stage.key,
        tflop=stage.tflop,
        tokens=stage.tokens,
        seconds=report["seconds"] if report else found.record["seconds"],
        shared=stage.shared or stage.key in job.shared,
    )


def _curves(job: Job, store: Store) -> tuple[Curve, ...]:
    """Of the phases inside the recipe's own work, general distillation included, the teacher's not."""
    found = []
    for stage in closure([job.model]):
        report = read_report(store.folder(stage.key)) if stage.key not in job.shared else None
        for name, points in (report["curves"] if report else {}).items():
            steps, values = zip(*points, strict=True)
            found.append(
                Curve(phase=stage.name, name=name, steps=steps, values=[float(f"{v:.6g}") for v in values])
            )
    return tuple(found)


def _accelerator(job: Job, store: Store) -> str | None:
    """On what else than the processor the stages inside the recipe's own work were made."""
    found = (store.get(s.key) for s in closure([job.model]) if not s.shared and s.key not in job.shared)
    names = {one.record.get("accelerator") for one in found if one is not None} - {None}
    return ", ".join(sorted(map(str, names))) or None


def _environment(threads: int, accelerator: str | None) -> Environment:
    name, flags = cpu()
    return Environment(
        versions={package: version(package) for package in PACKAGES},
        cpu=name,
        cpu_flags=tuple(
            flag for flag in flags if flag.startswith(("avx", "amx", "sse4", "neon", "asimd", "sve", "fma"))
        ),
        cores=os.cpu_count() or 1,
        threads=threads,
        accelerator=accelerator,
    )
