"""One of two sibling processes: it loads one model and answers queries while it holds the token.

``python -m suite.measure.worker`` reads one JSON line per command from standard input and writes one line
back; between them it sleeps in ``read``, so that of two siblings only one ever runs. What libraries print
goes to standard error. Commands (``do``):

- ``load``: ``runtime``, ``model_file``, ``threads``, ``affinity``, ``trace`` (an .npz of ids, types, offsets)
- ``time``: ``queries`` (rows of the trace), ``repeats``, ``warmup`` (so many of the first are answered
  before, untimed), ``keep`` (positions whose answers come back). One query at a time, true length, no padding
- ``batched``: the whole trace ``passes`` times, sorted by length and padded in batches of ``batch``, sorting and
  padding timed; ``keep`` as above
- ``variants``: ``units`` times, ``repeats`` different inputs of one ``length``, then one of them repeated
- ``memory``: the kernel's high-water mark, and the device's own where the model runs on one

``--memory-limit BYTES`` holds the process to so many before anything is loaded.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:  # numpy is imported after the affinity is set: thread pools are sized when libraries load
    import numpy as np

    from suite.measure.energy import Meter
    from suite.runtimes import Run, Tokens

Query = tuple["Tokens", "Tokens", "Tokens"]


class Worker:
    """State of one process: the loaded model and the prepared inputs."""

    run: Run
    queries: list[Query]
    meter: Meter

    def __init__(self, limited_by: str | None = None) -> None:
        self.limited_by = limited_by

    def load(
        self, runtime: str, model_file: str, threads: int, affinity: list[int], trace: str
    ) -> dict[str, Any]:
        """Load the model; seconds of that and of the first query, and memory before either."""
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, affinity)
        import numpy as np

        from suite.measure.energy import meter
        from suite.measure.memory import peak_bytes
        from suite.runtimes import device_of
        from suite.runtimes import runtime as find

        with np.load(trace, allow_pickle=False) as stored:
            self.queries = split(stored["ids"], stored["types"], stored["offsets"])
        module = find(runtime)
        baseline = peak_bytes()
        started = time.perf_counter_ns()
        self.run = module.prepare(Path(model_file), threads)
        loaded = time.perf_counter_ns()
        self.run(*self.queries[0])
        answered = time.perf_counter_ns()
        self.meter = meter(device_of(module))  # after the GPU is in use: asking for it would be loading
        gc.freeze()  # what is loaded stays: each block's search for garbage would walk over it for a fifth of a second
        return {
            "load_seconds": (loaded - started) / 1e9,
            "first_query_seconds": (answered - loaded) / 1e9,
            "baseline_bytes": baseline,
            "limited_by": self.limited_by,
            "counters": [counter.name for counter in self.meter.counters],
            "energy_reason": self.meter.reason,
        }

    def time(self, queries: list[int], repeats: int, warmup: int, keep: list[int]) -> dict[str, Any]:
        """Nanoseconds of each query (of one, where it was repeated) and the answers asked for.

        ``joules``: the counters before the first timed query and after the last. ``device_nanoseconds``: by the
        device's own clock, where there is one.
        """
        inputs = [self.queries[query] for query in queries]
        for query in inputs[:warmup]:
            self.run(*query)
        device = getattr(self.run, "device_nanoseconds", None)
        if device is not None:
            device()  # what came before is not this block's
        before = self.meter.read()
        times, answers = clocked(self.run, inputs, repeats, set(keep))
        return {
            "nanoseconds": times,
            "answers": [answers[position] for position in keep],
            "joules": [before, self.meter.read()],
            "device_nanoseconds": [] if device is None else device(),
        }

    def batched(self, batch: int, passes: int, keep: list[int]) -> dict[str, Any]:
        """Nanoseconds of each query of the trace: its share of its batch and of what stands around the batches."""
        import numpy as np

        count = len(self.queries)
        share = np.zeros(count)
        kept: dict[int, list[float]] = {}
        cut = in_batches([query[0].shape[1] for query in self.queries], batch)
        self.run(
            *padded([self.queries[row] for row in cut[0]])
        )  # a fresh process may first compile this shape
        before = self.meter.read()
        started = time.perf_counter_ns()
        for _ in range(passes):
            answers: list[Any] = [None] * count
            for rows in cut:
                begun = time.perf_counter_ns()
                logits = self.run(*padded([self.queries[row] for row in rows]))
                for row, answer in zip(rows, logits, strict=True):
                    answers[row] = answer
                share[rows] += (time.perf_counter_ns() - begun) / len(rows)
        taken = time.perf_counter_ns() - started
        joules = [before, self.meter.read()]
        device = getattr(self.run, "device_nanoseconds", None)
        if device is not None:
            device()  # forgotten: it is each batch's time, and no query's
        kept = {row: [float(value) for value in answers[row]] for row in keep}
        times = share * (taken / max(1.0, float(share.sum()))) / passes
        return {
            "nanoseconds": [max(1, round(float(value))) for value in times],
            "answers": [kept[row] for row in keep],
            "joules": joules,
            "device_nanoseconds": [],
        }

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

        device = getattr(self.run, "device_bytes", None)
        allocated, reserved = (0, 0) if device is None else device()
        return {
            "peak_bytes": peak_bytes(),
            "device_allocated_bytes": allocated,
            "device_reserved_bytes": reserved,
        }


def in_batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Rows in batches of ``size``, longest first: little padding, and what does not fit is met at once."""
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    return [order[start : start + size] for start in range(0, len(order), size)]


def padded(queries: Sequence[Query]) -> Query:
    """Queries as one batch, zeros behind the shorter ones: padding's id, mask and segment."""
    import numpy as np

    longest = max(query[0].shape[1] for query in queries)
    batch = np.zeros((3, len(queries), longest), dtype=np.int64)
    for row, query in enumerate(queries):
        for part in range(3):
            batch[part, row, : query[part].shape[1]] = query[part][0]
    return batch[0], batch[1], batch[2]


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


def serve(commands: IO[str], answers: IO[str], limited_by: str | None = None) -> None:
    """Answer until the other end closes."""
    worker = Worker(limited_by)
    actions: dict[str, Callable[..., dict[str, Any]]] = {
        "load": worker.load, "time": worker.time, "batched": worker.batched,
        "variants": worker.variants, "memory": worker.memory,
    }  # fmt: skip
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
        limited_by = None
        if sys.argv[1:2] == ["--memory-limit"]:
            from suite.measure.memory import confine

            limited_by = confine(int(sys.argv[2]))
        serve(sys.stdin, answers, limited_by)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
