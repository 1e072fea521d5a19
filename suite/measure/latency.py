"""Time an entry against the reference: two sibling processes, one runnable at a time.

In one process a small student slows by several percent after each query of its teacher, thread pools fight,
and memory cannot be told apart; two processes that run at once share caches and turbo. So each side has a
process of its own, with the same cores and threads, asleep in a read until this process passes it the token
by writing a line; this process then sleeps in a read too.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import suite
from suite.canonical import digest
from suite.errors import UserError
from suite.measure import memory
from suite.measure.machine import allowed
from suite.measure.samples import ENTRY, REFERENCE, Samples
from suite.protocol import MEASURING

if TYPE_CHECKING:
    from suite.profile import Profile

Progress = Callable[[int, int], None]  # rounds done, in all


@dataclass(frozen=True)
class Trace:
    """The queries, in order: ragged token ids and segment types; query i is ``offsets[i]:offsets[i + 1]``."""

    ids: NDArray[np.int32]
    types: NDArray[np.int8]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(int(n) for n in np.diff(self.offsets))

    @property
    def hash(self) -> str:
        return digest([self.ids.tolist(), self.types.tolist(), self.offsets.tolist()])


@dataclass(frozen=True)
class Side:
    """A model file and what runs it; ``name`` is for messages."""

    name: str
    runtime: str
    model_file: Path
    adaptive: bool = False  # its time depends on the input: then no query is repeated


@dataclass(frozen=True)
class Plan:
    """How the two are timed; :func:`plan` makes it from a profile."""

    threads: int
    affinity: tuple[int, ...]
    pairs: int
    rounds: int  # per pair; a round is one block of each side on the same queries
    block_seconds: float
    block_queries: int
    warmup_queries: int
    seed: int = 11
    memory_limit: int | None = None  # bytes of each timed process
    each_length: bool = False  # each has its figures: then the shortest too must take long enough


def threads_of(profile: Profile) -> int:
    """How many threads a profile's models run with here."""
    return len(allowed()) if profile.threads == "all" else profile.threads


def plan(profile: Profile, pairs: int | None = None) -> Plan:
    """The plan of a profile on this machine; ``pairs`` instead of the profile's (a track may say).

    Pinned processes get the last of the allowed cores: the first serve most interrupts.
    """
    cores = allowed()
    threads = threads_of(profile)
    if threads > len(cores):
        raise UserError(
            f"profile {profile.name} asks for {threads} threads; this process may use {len(cores)} cores",
            code=1,
        )
    return Plan(
        threads=threads,
        affinity=cores[-threads:] if profile.pin else cores,
        pairs=pairs or profile.pairs,
        rounds=profile.blocks // 2,
        block_seconds=profile.block_seconds,
        block_queries=profile.block_queries,
        warmup_queries=profile.warmup_queries,
        memory_limit=getattr(profile, "memory_limit_bytes", None),  # kits of older versions have none
    )


@dataclass(frozen=True)
class Block:
    """What the counters said around one block of timed queries, in joules."""

    pair: int
    block: int
    side: int
    queries: int
    start_joules: float
    end_joules: float


@dataclass(frozen=True)
class Outcome:
    """What a race leaves: raw times and what was seen of the entry's processes."""

    samples: Samples
    repeats: tuple[int, int]  # reference, entry
    answers: list[tuple[int, list[float]]]  # (query, logits) of randomly chosen timed queries of the entry
    load_seconds: float
    first_query_seconds: float
    peak_bytes: int
    baseline_bytes: int
    repeat_ratio: float  # different inputs over one repeated
    device_bytes: tuple[int, int] = (0, 0)  # allocated, reserved: of a device with memory of its own
    limited_by: str | None = None
    counters: tuple[str, ...] = ()
    energy: tuple[Block, ...] = ()
    energy_reason: str | None = None
    device_nanoseconds: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())  # each process' median query


def race(
    reference: Side,
    entry: Side,
    trace: Trace,
    plan: Plan,
    progress: Progress | None = None,
    reference_trace: Trace | None = None,
    batches: tuple[int, int] | None = None,
) -> Outcome:
    """Time both sides on the trace in ``plan.pairs`` pairs of fresh processes.

    ``reference_trace``: the same queries in the reference's tokens, where it reads others than the entry.
    ``batches``, of reference and entry: a block is then the whole trace, sorted and answered in batches.
    Every pair walks through the whole trace at least once, in an order of its own; sides take turns in going
    first. UserError when a process dies, with the last thing it said.
    """
    sides = (reference, entry)
    random_ = random.Random(plan.seed)
    blocks: list[NDArray[np.int64]] = []
    answers: list[tuple[int, list[float]]] = []
    loads: list[dict[str, Any]] = []
    energy: list[Block] = []
    device: tuple[list[int], list[int]] = ([], [])
    ratio = math.nan
    units: list[_Unit] | None = None
    queries = 0
    with tempfile.TemporaryDirectory(prefix="lightboard-") as folder:
        traces = (reference_trace or trace, trace)
        files = [written(one, Path(folder) / f"trace-{side}.npz") for side, one in enumerate(traces)]
        for pair in range(plan.pairs):
            with contextlib.ExitStack() as stack:
                turn = (REFERENCE, ENTRY) if pair % 2 == 0 else (ENTRY, REFERENCE)
                siblings: dict[int, Sibling] = {}
                loaded: dict[int, dict[str, Any]] = {}
                for side in turn:
                    siblings[side] = stack.enter_context(Sibling(sides[side], plan))
                    loaded[side] = siblings[side].load(files[side])
                if units is None and batches is not None:
                    units = [_passes(siblings[side], batches[side], plan) for side in (REFERENCE, ENTRY)]
                    queries = len(trace)
                elif units is None:
                    units = [_pilot(siblings[side], trace, plan) for side in (REFERENCE, ENTRY)]
                    queries = _block_size(units, len(trace), plan)
                order = _order(len(trace), plan.rounds * queries, random_)
                by_device: tuple[list[int], list[int]] = ([], [])
                for round_ in range(plan.rounds):
                    chosen = order[round_ * queries : (round_ + 1) * queries]
                    if batches is not None:
                        chosen = list(range(queries))
                    keep = _sample(queries, random_)
                    for side in turn if round_ % 2 == 0 else turn[::-1]:
                        kept = keep if side == ENTRY else []
                        repeats = units[side].repeats
                        if batches is not None:
                            answer = siblings[side].batched(batches[side], repeats, kept)
                        else:
                            answer = siblings[side].time(chosen, repeats, plan.warmup_queries, kept)
                        by_device[side].extend(answer["device_nanoseconds"])
                        if answer["joules"][0] is not None:
                            energy.append(Block(pair, round_, side, queries * repeats, *answer["joules"]))
                        blocks.append(_rows(pair, round_, side, chosen, answer["nanoseconds"]))
                        answers += [(chosen[k], a) for k, a in zip(kept, answer["answers"], strict=True)]
                    if progress is not None:
                        progress(pair * plan.rounds + round_ + 1, plan.pairs * plan.rounds)
                for side in (REFERENCE, ENTRY):
                    if by_device[side]:
                        device[side].append(int(np.median(by_device[side])))
                if pair == 0:
                    ratio = _repeat_ratio(siblings[ENTRY], trace, units[ENTRY].repeats, plan.seed)
                loads.append(loaded[ENTRY] | siblings[ENTRY].ask("memory"))
    assert units is not None
    columns = np.concatenate(blocks, axis=1)
    largest = max(loads, key=lambda load: int(load["peak_bytes"]) - int(load["baseline_bytes"]))
    return Outcome(
        samples=Samples(*columns),
        repeats=(units[REFERENCE].repeats, units[ENTRY].repeats),
        answers=answers,
        load_seconds=float(np.median([load["load_seconds"] for load in loads])),
        first_query_seconds=float(np.median([load["first_query_seconds"] for load in loads])),
        peak_bytes=largest["peak_bytes"],
        baseline_bytes=largest["baseline_bytes"],
        repeat_ratio=ratio,
        device_bytes=(largest["device_allocated_bytes"], largest["device_reserved_bytes"]),
        limited_by=largest["limited_by"],
        counters=tuple(largest["counters"]),
        energy=tuple(energy),
        energy_reason=largest["energy_reason"],
        device_nanoseconds=(tuple(device[REFERENCE]), tuple(device[ENTRY])),
    )


def farthest(name: str, answers: Iterable[tuple[Any, Any]]) -> float:
    """The largest difference of logits from what was expected, given in pairs; UserError where one is no number,
    which no comparison would notice."""
    worst = float(np.max([np.abs(np.asarray(given) - expected).max() for given, expected in answers]))
    if not math.isfinite(worst):
        raise UserError(f"{name} answers with what is no number; its times would be another model's", code=1)
    return worst


def written(trace: Trace, file: Path) -> Path:
    np.savez(file, ids=trace.ids, types=trace.types, offsets=trace.offsets)
    return file


def _rows(
    pair: int, round_: int, side: int, queries: Sequence[int], times: Sequence[int]
) -> NDArray[np.int64]:
    """Columns pair, block, side, query, nanoseconds of one block."""
    constant = np.array([[pair], [round_], [side]]).repeat(len(queries), axis=1)
    return np.concatenate([constant, [list(queries)], [list(times)]]).astype(np.int64)


# --- how much is timed --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Unit:
    seconds: float  # of one timed unit
    repeats: int  # queries in it


def _passes(sibling: Sibling, batch: int, plan: Plan) -> _Unit:
    """A pass over the whole trace, and how many of them a block needs to be long enough."""
    sibling.batched(batch, 1, [])  # warms
    seconds = max(float(sum(sibling.batched(batch, 1, [])["nanoseconds"])) / 1e9, 1e-7)
    return _Unit(seconds, min(10_000, math.ceil(plan.block_seconds / seconds)))


def _pilot(sibling: Sibling, trace: Trace, plan: Plan) -> _Unit:
    """A query's usual time, and how often each is repeated so that the clock and a block are long enough.

    Of a trace the usual query decides, since sums over blocks are compared; of lengths the quickest, since each is.
    """
    queries = [round(i) for i in np.linspace(0, len(trace) - 1, 8)]
    times = sibling.time(queries, 1, plan.warmup_queries, [])["nanoseconds"]
    seconds = max(float(np.median(times)) / 1e9, 1e-7)
    shortest = float(MEASURING["repeats"]["shortest_unit_seconds"])
    quickest = max(float(min(times)) / 1e9, 1e-7) if plan.each_length else seconds
    if sibling.side.adaptive or quickest >= shortest:
        return _Unit(seconds, 1)
    wanted = shortest / quickest
    if seconds < shortest:
        wanted = max(wanted, plan.block_seconds / _fewest(len(trace), plan) / seconds)
    repeats = min(10_000, math.ceil(wanted))
    return _Unit(seconds * repeats, repeats)


def _fewest(trace: int, plan: Plan) -> int:
    """Queries of a block so that the rounds of a pair cover the trace."""
    return max(plan.block_queries, math.ceil(trace / plan.rounds))


def _block_size(units: Sequence[_Unit], trace: int, plan: Plan) -> int:
    """Queries of a block so that the quicker side's lasts long enough too."""
    shortest = min(unit.seconds for unit in units)
    return max(_fewest(trace, plan), math.ceil(plan.block_seconds / shortest))


def _order(trace: int, count: int, random_: random.Random) -> list[int]:
    """``count`` queries: the whole trace shuffled, again and again."""
    order: list[int] = []
    while len(order) < count:
        order += random_.sample(range(trace), trace)
    return order[:count]


def _sample(queries: int, random_: random.Random) -> list[int]:
    """Positions of the queries whose answers are looked at."""
    count = max(1, round(queries * MEASURING["answers"]["in_run_fraction"]))
    return sorted(random_.sample(range(queries), count))


def _repeat_ratio(sibling: Sibling, trace: Trace, repeats: int, seed: int) -> float:
    """Median over units of the time on different inputs of the trace's median length over one repeated."""
    length = max(2, int(np.median(trace.lengths)))
    times = sibling.ask("variants", length=length, units=16, repeats=repeats, seed=seed)
    return float(np.median(np.array(times["different"]) / np.array(times["repeated"])))


# --- the processes ------------------------------------------------------------------------------------------

_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB")


class Sibling:
    """A worker process; a context manager that leaves none behind."""

    def __init__(self, side: Side, plan: Plan) -> None:
        self.side = side
        self.plan = plan
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed in __exit__
        # Thread pools are sized when libraries load, so this must be there before the process starts.
        home = str(Path(suite.__file__).resolve().parent.parent)
        paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            **{f"{name}_NUM_THREADS": str(plan.threads) for name in _THREADS},
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONHASHSEED": "0",
            "HF_HUB_OFFLINE": "1",
        }
        limit = [] if plan.memory_limit is None else ["--memory-limit", str(plan.memory_limit)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "suite.measure.worker", *limit],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environment,
        )

    def __enter__(self) -> Sibling:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        if self.plan.memory_limit is not None:
            memory.release(self._process.pid)
        for stream in (self._process.stdin, self._process.stdout, self._said):
            with contextlib.suppress(OSError):
                assert stream is not None
                stream.close()

    def load(self, trace: Path) -> dict[str, Any]:
        return self.ask(
            "load",
            runtime=self.side.runtime,
            model_file=str(self.side.model_file),
            threads=self.plan.threads,
            affinity=list(self.plan.affinity),
            trace=str(trace),
        )

    def batched(self, batch: int, passes: int, keep: Sequence[int]) -> dict[str, Any]:
        return self.ask("batched", batch=batch, passes=passes, keep=list(keep))

    def time(self, queries: Sequence[int], repeats: int, warmup: int, keep: Sequence[int]) -> dict[str, Any]:
        return self.ask("time", queries=list(queries), repeats=repeats, warmup=warmup, keep=list(keep))

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        """Pass the token and sleep until it comes back."""
        self.start(do, **details)
        return self.result(do)

    def start(self, do: str, **details: Any) -> None:
        """Pass the token, and keep one: for siblings that are to run at once."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # dead: its result says how
            self._process.stdin.write(json.dumps({"do": do, **details}).encode() + b"\n")
            self._process.stdin.flush()

    def result(self, do: str) -> dict[str, Any]:
        """Sleep until the token comes back."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._death(do)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _death(self, do: str) -> UserError:
        code = self._process.wait()
        self._said.seek(0)
        lines = [line for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        last = lines[-1].strip()[:300] if lines else "it said nothing"
        how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        if self.plan.memory_limit is not None:
            how += f", held to {memory.words(self.plan.memory_limit)} of memory,"
        return UserError(
            f"measuring {self.side.name} on {self.side.runtime}: its process {how} at {do!r}: {last}", code=1
        )
