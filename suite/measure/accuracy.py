"""What a runtime of lower precision scores: its own answers to whole dev sets, one by one, unpadded.

Batching and padding move the answers of 8 bits, and so does another processor's arithmetic; so the scores lie in the
measurement whose machine gave them, and the answers that are timed are held against them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suite.data.encode import Encoded
from suite.documents import Accuracy, Split
from suite.measure.worker import split
from suite.runtimes import Example, Run
from suite.scoring import score
from suite.tables import Split as Predictions
from suite.tables import write_predictions
from suite.tasks import task as task_named

EXAMPLES = (
    64  # that ranges are measured on; with 64 true lengths of the selection split, four batches of usual size
)

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Labelled:
    """What a lower precision needs of a task beside a trained model; ``training`` was never in a dev set."""

    seed: int
    training: tuple[Example, ...]
    dev: Mapping[str, Encoded]
    fingerprints: Mapping[str, str]  # dev set -> of its rows


@dataclass(frozen=True)
class Scored:
    """``logits`` [examples, outputs], dev sets one after another; ``table`` proves ``accuracy``."""

    accuracy: Accuracy
    table: bytes
    logits: Logits


def calibration(selection: Encoded, seed: int) -> tuple[Example, ...]:
    """Examples of the selection split, which is training data, at their true lengths; the same ones each time."""
    every = split(selection.ids, selection.types, selection.offsets)
    chosen = random.Random(f"{seed}/calibration").sample(range(len(every)), min(EXAMPLES, len(every)))
    return tuple(every[row] for row in sorted(chosen))


def scored(run: Run, model_file: str, task: str, given: Labelled) -> Scored:
    """Ask ``run`` every example of a task's dev sets and score what it says; ``model_file``: the file's digest."""
    known = task_named(task)
    logits = {
        name: np.concatenate([run(*query) for query in split(dev.ids, dev.types, dev.offsets)])
        for name, dev in given.dev.items()
    }
    found = score(known, logits, {name: dev.labels for name, dev in given.dev.items()})
    tables = {}
    for name, dev in given.dev.items():
        order = np.argsort(dev.rows, kind="stable")
        tables[name] = Predictions(dev.rows[order], logits[name][order], found.influence[name][order])
    accuracy = Accuracy(
        task=task,
        seed=given.seed,
        model_file=model_file,
        dev={
            name: Split(rows=len(dev), fingerprint=given.fingerprints[name])
            for name, dev in given.dev.items()
        },
        metrics=found.metrics,
        score=found.score,
        score_sd=found.sd,
        calibration=found.calibration,
        diverged=found.diverged,
    )
    return Scored(accuracy, write_predictions(known, tables), np.concatenate(list(logits.values())))
