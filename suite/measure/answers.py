"""That a model in a runtime answers as it should: what must come back while it is timed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite import models
from suite.canonical import digest_file
from suite.errors import UserError
from suite.measure import accuracy, cost, offline, recount
from suite.measure.subject import ModelFolder, Subject
from suite.measure.trace import Queries
from suite.measure.worker import split
from suite.protocol import MEASURING
from suite.runtimes import exported, runtime

Logits = NDArray[np.float32]
Tell = Callable[[str], None]  # takes a line that says what is being done and how long it will take


def expected(model: ModelFolder, asked: Queries) -> Logits:
    """What the model answers to the trace, [queries, outputs].

    On its own task's examples the accuracy run's logits, from which its score comes; torch's on the others, and on all
    where weights are drawn.
    """
    import torch

    answer = runtime("torch").prepare(model.folder / "model.safetensors", torch.get_num_threads())
    logits = answers_of(answer, asked)
    for query, (task, row) in enumerate(asked.origin):
        if model.logits is not None and task == model.task:
            logits[query] = model.logits[row]
    return logits


def tolerance(logits: Logits) -> float:
    """1e-4 of the logits' spread (their standard deviation), but never below what float32 sums can hold."""
    share = float(MEASURING["answers"]["fp32_tolerance_of_spread"])
    return max(share * float(logits.std()), 1e-5 * float(np.abs(logits).max()))


def answers_of(answer: Any, asked: Queries) -> Logits:
    trace = asked.trace
    return np.concatenate([answer(*query) for query in split(trace.ids, trace.types, trace.offsets)])


@dataclass(frozen=True)
class Ready:
    """A model in a runtime, checked: its file and what it must answer while it is timed."""

    file: Path
    logits: Logits
    tolerance: float


@lru_cache
def rounds(folder: Path) -> bool:
    """Whether a model's weights are whole numbers: then it rounds inside, and a value on a rounding's edge goes the
    other way where sums are in another order."""
    counted = cost.count_module(models.load(folder, attention="eager"))
    return recount.precision(counted.weights) != "fp32"


def own_answers(model: ModelFolder, name: str) -> bool:
    """Whether a model answers otherwise in a runtime than in its accuracy run, so that it is scored there as well."""
    return runtime(name).PRECISION != "fp32" or rounds(model.folder)


def prepared(model: ModelFolder, name: str, asked: Queries, threads: int) -> Ready:
    """Export a model and compare its answers with the accuracy run; UserError where they differ.

    Where it has answers of its own, scored apart, its timed answers are held against those.
    """
    module = runtime(name)
    file = exported(name, model.folder, model.training)
    mine = answers_of(module.prepare(file, threads), asked)
    if own_answers(model, name):
        return Ready(file, mine, tolerance(mine))
    logits = expected(model, asked)
    allowed, largest = tolerance(logits), float(np.abs(mine - logits).max())
    if not largest <= allowed:
        raise UserError(
            f"runtime {name}: its answers for {model.folder.name[:16]} ({model.task}) differ from "
            f"{'torch' if model.drawn else 'the accuracy run'}'s by {largest:.2g}, more than "
            f"{allowed:.2g}; its times would be another model's",
            code=1,
        )
    return Ready(file, logits, allowed)


def ready(model: ModelFolder, name: str, asked: Queries, threads: int) -> Ready:
    """:func:`prepared`; what an exporter or a runtime breaks on is one line."""
    with in_one_line(name, "export or load this model"):
        return prepared(model, name, asked, threads)


@contextlib.contextmanager
def in_one_line(name: str, what: str) -> Iterator[None]:
    """Whatever a runtime's library raises, as a UserError: it cannot do ``what`` with this model."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), "")
        reason = f"{type(error).__name__}: {first}"[:300]
        raise UserError(f"runtime {name}: cannot {what}: {reason}", code=1) from error


def scores(subject: Subject, name: str, threads: int, tell: Tell) -> list[accuracy.Scored]:
    """Scores by answers of its own on each task of a subject, with that task's own weights; none where it has none."""
    module = runtime(name)
    if not own_answers(subject.entry, name):
        return []
    found = []
    for model in (subject.entry, *subject.others):
        if model.labelled is None:
            raise UserError(f"runtime {name}: no labels of {model.task} to score its answers by", code=1)
        tell(f"{subject.recipe}/{subject.variant} in {name}: answering all of {model.task}'s dev sets")
        with in_one_line(name, f"answer {model.task}'s dev sets"):
            file = exported(name, model.folder, model.training)
            answer = module.prepare(file, threads)
            found.append(accuracy.scored(answer, digest_file(file), model.task, model.labelled))
    return found


def as_scored(entry: Ready, name: str, asked: Queries, found: Sequence[accuracy.Scored]) -> Ready:
    """What must come back while it is timed: on the examples that were scored, the answers that were scored."""
    of_model = {
        one.accuracy.task: one.logits for one in found if one.accuracy.model_file == digest_file(entry.file)
    }
    logits = entry.logits.copy()
    for query, (task, row) in enumerate(asked.origin):
        if task in of_model:
            logits[query] = of_model[task][row]
    largest = float(np.abs(logits - entry.logits).max())
    if not largest <= entry.tolerance:
        raise UserError(
            f"runtime {name}: asked the same again, its answers differ by {largest:.2g}, more than "
            f"{entry.tolerance:.2g}: its scores would say nothing of the answers that are timed",
            code=1,
        )
    return Ready(entry.file, logits, entry.tolerance)


def in_batches(
    model: ModelFolder, entry: Ready, name: str, asked: Queries, batch: int, threads: int
) -> Ready:
    """What must come back in batches: the same answers, or those that this batch gives where they are its own."""
    if not own_answers(model, name):
        return entry
    with in_one_line(name, f"answer in batches of {batch}"):
        mine = offline.answers(runtime(name).prepare(entry.file, threads), asked.trace, batch)
    return Ready(entry.file, mine, tolerance(mine))
