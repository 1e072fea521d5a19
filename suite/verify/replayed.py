"""Level ``replayed``: the shipped weights give the predictions again. ``lightboard replay``; needs torch and the data.

The model folder is only data (:mod:`.weights`): its configuration is the run's, its architecture is ours, its
tensors are those that the run lists, all of that known before anything is built, and the network is built without
memory first. No module, pickle or script is looked at.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from torch import nn

from suite import __version__, models
from suite.documents import Attestation, CheckEvidence, Run
from suite.errors import UserError
from suite.folder import Problem, show
from suite.measure import cost
from suite.measure.answers import tolerance
from suite.paths import load_module
from suite.pipeline.run import encoded_dev
from suite.pipeline.store import Store
from suite.protocol import track as track_of
from suite.recipe import Resolved
from suite.scoring import score
from suite.training.feeds import answers_of
from suite.verify import Report, valid, verify, weights, write_attestation
from suite.verify.compare import problems as compared
from suite.verify.loaded import LoadedRun
from suite.verify.settings import resolved_of

SAME_METRIC = 1e-5  # of a correlation; what is counted (accuracy, F1, Matthews) must be equal

ANSWERS = "the answers are not this model's: give the folder of the model that was scored"


@dataclass(frozen=True)
class Replayed:
    """What a replay found."""

    run: Path
    problems: list[Problem]
    largest_difference: float | None = None  # of a score; None where nothing was replayed
    tolerance: float | None = None  # 1e-4 of the scores' standard deviation (protocol, part measuring)
    attestation: Path | None = None  # none where nothing was replayed

    @property
    def passed(self) -> bool:
        return not self.problems


def replay(
    folder: Path, model: Path, *, data: str = "auto", by: str = "unnamed", store: Store | None = None
) -> Replayed:
    """Answer the dev sets of the run in ``folder`` with the weights in ``model``, and attest how that went.

    The run itself must pass every level below. A folder that is not the run's model is a problem and no verdict on
    the run, so nothing is attested. UserError where the data or the tokenizer are not there.
    """
    report = verify(folder, "recounted", data)
    require_rescored(report)
    loaded, found = valid.load_run(folder.absolute())
    if loaded is None or loaded.predictions is None or found:
        raise UserError(
            f"{folder}: found no run; name a run's folder, as in results/mini/runs/A/default/cola-11"
        )
    try:
        shipped = weights.read(model)
    except UserError as error:
        problem = getattr(error, "problem", None)
        if problem is None:
            raise
        return Replayed(folder, [problem])
    wrong = list(weights.of_the_run(shipped, loaded.run)) or list(_built_alike(shipped))
    if wrong:
        return Replayed(folder, wrong)
    torch.set_num_threads(max(1, track_of(loaded.run.track).threads or torch.get_num_threads()))
    network = models.build(shipped.config)
    network.load_state_dict(load_tensors(shipped.content))
    listed = [weight.model_dump(mode="json") for weight in cost.weights(network)]
    wrong = list(compared(loaded.file, loaded.raw["model"]["weights"], listed, "model.weights"))
    answers, difference, allowed = _answers(loaded, network, data, store)
    wrong += answers
    attestation = Attestation(
        subject=str(loaded.subject),
        level="replayed",
        outcome="failed" if wrong else "passed",
        by=by,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        lightboard=__version__,
        evidence=CheckEvidence(weights=shipped.digest, largest_difference=difference, tolerance=allowed),
    )
    written = write_attestation(loaded.folder.parents[3], attestation)
    return Replayed(folder, wrong, difference, allowed, written)


def made_here(folder: Path, store: Store | None = None) -> Path:
    """The model folder of a run, if this machine's store has what its last stage made. UserError if not."""
    loaded, _ = valid.load_run(folder.absolute())
    if loaded is None:
        raise UserError(
            f"{folder}: found no run; name a run's folder, as in results/mini/runs/A/default/cola-11"
        )
    artifact = (store or Store()).get(loaded.run.stages[-1].key) if loaded.run.stages else None
    if artifact is None:
        raise UserError(f"{folder}: its model was not made on this machine; give --weights FOLDER", code=1)
    return artifact.folder


def require_rescored(report: Report) -> None:
    """UserError unless all runs of a report passed every level that needs no torch."""
    if report.problems:
        more = f" (and {len(report.problems) - 1} more)" if len(report.problems) > 1 else ""
        raise UserError(f"{report.problems[0]}{more}; run lightboard verify", code=1)
    runs = [document for document in report.documents if document.kind == "run"]
    if not runs:
        raise UserError(
            "found no run there; name a run's folder, as in results/mini/runs/NAME/default/cola-11"
        )
    skipped = [document.file for document in runs if document.outcomes.get("rescored") != "passed"]
    if skipped:
        reason = f": {report.notes[0]}" if report.notes else ""
        raise UserError(
            f"{skipped[0]}: its scores could not be checked{reason}; give --data folder:PATH", code=1
        )


def _built_alike(shipped: weights.Shipped) -> Iterator[Problem]:
    """The configuration, built without memory, has exactly the file's tensors."""
    file = show(str(shipped.folder / weights.TENSORS), 300)
    try:
        state: dict[str, Any] = models.build(shipped.config, device="meta").state_dict()
    except Exception as error:  # whatever a stranger's sizes make torch say
        config = show(str(shipped.folder / weights.CONFIG), 300)
        what = show(f"{type(error).__name__}: {error}", 160)
        yield Problem(config, "", f"sizes that fit no model ({what})", "a model's sizes", weights.FIX)
        return
    for name in sorted(state.keys() | shipped.tensors.keys()):
        found, built = shipped.tensors.get(name), state.get(name)
        if built is None:
            yield Problem(file, show(name), "a tensor", "none of that name", weights.FIX)
        elif found is None or found[1] != tuple(built.shape):
            told = show(repr(list(found[1]))) if found else "nothing"
            yield Problem(file, show(name), told, repr(list(built.shape)), weights.FIX)


def _reader(run: Run) -> str | Resolved:
    """Whose tokens the model reads: the track's, unless the run's method is one of ours that brings its own."""
    if weights.is_ours("methods", run.method) and hasattr(load_module("methods", run.method), "tokenizer"):
        return resolved_of(run)
    return track_of(run.track).reference_recipe


def _answers(
    loaded: LoadedRun, network: nn.Module, data: str, store: Store | None
) -> tuple[list[Problem], float, float]:
    """What differs between a run's predictions and a network's answers; the largest difference; what is allowed."""
    run, task, predictions = loaded.run, loaded.task, loaded.predictions
    assert task is not None and predictions is not None
    encoded = encoded_dev(_reader(run), run.track, run.task, data=data, store=store)
    wrong: list[Problem] = []
    answers, stored = {}, {}
    for name, split in predictions.items():
        order = np.argsort(encoded[name].rows, kind="stable")
        answers[name] = answers_of(network, encoded[name])[0][order]
        stored[name] = split.scores
    everything = np.concatenate(list(stored.values()))
    # A model that says the same to everyone has no spread: its answers may differ in their last digits.
    allowed = max(tolerance(everything), 1e-6)
    difference = 0.0
    for name, found in answers.items():
        if not np.isfinite(found).all():
            wrong.append(
                Problem(loaded.table, "scores", "NaN or infinity from the weights", "numbers", ANSWERS)
            )
            return wrong, 1e30, allowed
        gaps = np.abs(found.astype(np.float64) - stored[name]).max(axis=1)
        difference = max(difference, float(gaps.max()))
        if gaps.max() > allowed:
            row = int(gaps.argmax())
            place = f"scores of {show(name)}, row {row}"
            said = ", ".join(f"{value:.6g}" for value in stored[name][row])
            right = ", ".join(f"{value:.6g}" for value in found[row])
            expected = f"{right} within {allowed:.2g}, by the weights"
            wrong.append(Problem(loaded.table, place, said, expected, ANSWERS))
    labels = {name: encoded[name].labels[np.argsort(encoded[name].rows, kind="stable")] for name in answers}
    again = score(task, answers, labels)
    same = SAME_METRIC if task.regression else 1e-12
    for metric, value in again.metrics.items():
        if abs(value - run.metrics.get(metric, np.inf)) > same:
            found_metric = repr(run.metrics.get(metric))
            wrong.append(Problem(loaded.file, f"metrics.{metric}", found_metric, repr(value), ANSWERS))
    return wrong, difference, allowed
