"""What is asked while a model is timed: dev examples at their true lengths, or made-up ones at fixed lengths."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from suite import models
from suite.measure import latency
from suite.measure.subject import Examples, Subject
from suite.protocol import MEASURING

Inputs = Literal["trace", "lengths"]
QUERIES = int(MEASURING["trace"]["queries"])
PER_LENGTH = 8  # queries at each length: as many as the shortest block holds
MAX_LENGTH = 512  # of models without positions


@dataclass(frozen=True)
class Queries:
    """The trace and where its queries come from: ``origin`` = (task, row of its :class:`Examples`); none: made up."""

    trace: latency.Trace
    origin: tuple[tuple[str, int], ...]
    inputs: Inputs = "trace"


def asked_of(subject: Subject, inputs: Inputs, count: int = QUERIES) -> tuple[Queries, Queries]:
    """What the entry is asked, and the same in the reference's tokens: one object where they are the entry's."""
    asked = queries(subject.examples, count)
    others = subject.reference_examples
    theirs = asked if others is None else queries(others, count)
    if inputs == "trace":
        return asked, theirs
    folders = (subject.entry.folder, subject.reference.folder)
    longest = min(models.read_config(folder).get("positions", MAX_LENGTH) for folder in folders)
    mine = graded(asked, longest)
    return mine, mine if theirs is asked else graded(theirs, longest)


def queries(examples: Sequence[Examples], count: int = QUERIES) -> Queries:
    """The fixed trace: ``count`` dev examples at true length, as many from each task, drawn by the protocol's
    seed. A task with fewer examples gives all it has."""
    origin: list[tuple[str, int]] = []
    ids, types, lengths = [], [], []
    for part in examples:
        generator = random.Random(f"{MEASURING['trace']['seed']}/{part.task}")
        rows = sorted(generator.sample(range(len(part)), min(len(part), count // len(examples))))
        for row in rows:
            start, end = part.offsets[row], part.offsets[row + 1]
            origin.append((part.task, row))
            ids.append(part.ids[start:end])
            types.append(part.types[start:end])
            lengths.append(int(end - start))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    trace = latency.Trace(np.concatenate(ids), np.concatenate(types), offsets)
    return Queries(trace, tuple(origin))


def graded(asked: Queries, longest: int) -> Queries:
    """So many queries at each of the protocol's lengths up to ``longest`` tokens, of words drawn from the trace."""
    words = asked.trace.ids[asked.trace.types == 0]
    frame = asked.trace.ids[: asked.trace.offsets[1]]
    lengths = [n for n in MEASURING["trace"]["fixed_lengths"] if n <= longest for _ in range(PER_LENGTH)]
    generator = random.Random(f"{MEASURING['trace']['seed']}/lengths")
    ids = []
    for length in lengths:
        inner = generator.choices(words.tolist(), k=length - 2)
        ids.append(np.array([frame[0], *inner, frame[-1]], dtype=np.int32))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    joined = np.concatenate(ids)
    return Queries(latency.Trace(joined, np.zeros(len(joined), np.int8), offsets), (), "lengths")


def tokenise_seconds(
    examples: Sequence[Examples], asked: Queries, tokenizer: Path, max_length: int
) -> float | None:
    """Median time to tokenise one example of the trace by itself, as it is asked: cut to ``max_length`` and never
    padded, whatever the tokenizer's file says. None where the queries have no text."""
    from suite.data.encode import load_tokenizer, unpadded

    if not asked.origin:
        return None
    backend = unpadded(load_tokenizer(tokenizer), max_length)
    by_task = {part.task: part for part in examples}
    times = []
    for task, row in asked.origin:
        texts = by_task[task].texts[row]
        started = time.perf_counter()
        backend.encode(*texts)
        times.append(time.perf_counter() - started)
    return float(np.median(times))
