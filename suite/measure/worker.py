"""One of two sibling processes: it loads one model and answers queries while it holds the token.

``python -m suite.measure.worker`` reads one JSON line per command from standard input and writes one line
back; between them it sleeps in ``read``, so that of two siblings only one ever runs. What libraries print
goes to standard error. Commands (``do``):

- ``load``: ``runtime``, ``model_file``, ``threads``, ``affinity``, ``trace`` (an .npz of ids, types, offsets)
- ``time``: ``queries`` (rows of the trace), ``repeats``, ``warmup`` (so many of the first are answered
  before, untimed), ``keep`` (positions whose answers come back). One query at a time, true length, no padding
- ``variants``: ``units`` times, ``repeats`` different inputs of one ``length``, then one of them repeated
- ``memory``: the kernel's high-water mark
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:  # numpy is imported after the affinity is set: thread pools are sized when libraries load
    import numpy as np

    from suite.runtimes import Run, Tokens

Query = tuple["Tokens", "Tokens", "Tokens"]


class Worker:
    """State of one process: the loaded model and the prepared inputs."""

    run: Run
    queries: list[Query]

    def load(
        self, runtime: str, model_file: str, threads: int, affinity: list[int], trace: str
    ) -> dict[str, Any]:
        """Load the model; seconds of that and of the first query, and memory before either."""
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, affinity)
        import numpy as np

        from suite.measure.memory import peak_bytes
        from suite.runtimes import runtime as find

        with np.load(trace, allow_pickle=False) as stored:
            self.queries = split(stored["ids"], stored["types"], stored["offsets"])
        baseline = peak_bytes()
        started = time.perf_counter_ns()
        self.run = find(runtime).prepare(Path(model_file), threads)
        loaded = time.perf_counter_ns()
        self.run(*self.queries[0])
        answered = time.perf_counter_ns()
        return {
            "load_seconds": (loaded - started) / 1e9,
            "first_query_seconds": (answered - loaded) / 1e9,
            "baseline_bytes": baseline,
        }

    def time(self, queries: list[int], repeats: int, warmup: int, keep: list[int]) -> dict[str, Any]:
        """Nanoseconds of each query (of one, where it was repeated) and the answers asked for."""
        inputs = [self.queries[query] for query in queries]
        for query in inputs[:warmup]:
            self.run(*query)
        times, answers = clocked(self.run, inputs, repeats, set(keep))
        return {"nanoseconds": times, "answers": [answers[position] for position in keep]}

    def variants(self, length: int, units: int, repeats: int, seed: int) -> dict[str, Any]:
        """Nanoseconds per query of units of different inputs, and of their first input repeated as often.

        The inputs are ``length`` tokens drawn from the trace's own. Whoever keeps answers to give again is
        quicker on the second; a model whose time depends on the input (repeats 1) meets the same one twice.
        """
        import numpy as np

        generator = random.Random(seed)
        frame = max((query[0] for query in self.queries), key=lambda ids: ids.shape[1])
        inner = [int(token) for query in self.queries for token in query[0][0, 1:-1]] or [1]
        different: list[int] = []
        repeated: list[int] = []
        for unit in range(units + 1):
            made: list[Query] = []
            for _ in range(repeats):
                ids = np.array([generator.choices(inner, k=length)], dtype=np.int64)
                ids[0, 0], ids[0, -1] = frame[0, 0], frame[0, -1]  # the special tokens that frame a text
                made.append((ids, np.ones_like(ids), np.zeros_like(ids)))
            several = sum(clocked(self.run, made, 1, set())[0]) // repeats
            one = clocked(self.run, made[:1], repeats, set())[0][0]
            if unit:  # the first warms
                different.append(several)
                repeated.append(one)
        return {"different": different, "repeated": repeated}

    def memory(self) -> dict[str, Any]:
        from suite.measure.memory import peak_bytes

        return {"peak_bytes": peak_bytes()}


def split(ids: np.ndarray, types: np.ndarray, offsets: np.ndarray) -> list[Query]:
    """Ragged arrays as one (ids, mask, types) of shape [1, length] per query."""
    import numpy as np

    queries = []
    for start, end in pairwise(offsets):
        row = ids[None, start:end].astype(np.int64)
        queries.append((row, np.ones_like(row), types[None, start:end].astype(np.int64)))
    return queries


def clocked(
    run: Run, inputs: list[Query], repeats: int, keep: set[int]
) -> tuple[list[int], dict[int, list[float]]]:
    """Nanoseconds per query of each timed unit of ``repeats`` equal queries; kept answers by position."""
    clock: Callable[[], int] = time.perf_counter_ns
    times: list[int] = []
    answers: dict[int, list[float]] = {}
    gc.collect()
    gc.disable()
    try:
        for position, query in enumerate(inputs):
            started = clock()
            for _ in range(repeats):
                logits = run(*query)
            times.append(max(1, (clock() - started) // repeats))
            if position in keep:
                answers[position] = [float(value) for value in logits[0]]
    finally:
        gc.enable()
    return times, answers


def serve(commands: IO[str], answers: IO[str]) -> None:
    """Answer until the other end closes."""
    worker = Worker()
    actions: dict[str, Callable[..., dict[str, Any]]]
    actions = {"load": worker.load, "time": worker.time, "variants": worker.variants, "memory": worker.memory}
    for line in commands:
        command = json.loads(line)
        answer = actions[command.pop("do")](**command)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    # The pipe is for answers alone: whatever else is printed must not come between them.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        serve(sys.stdin, answers)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
