"""From raw times to the figures of a measurement: ratio, percentiles, residual, verdict.

Needs no torch: a verifier recomputes every derived field of a measurement with this module. A
*round* is the column ``block``: both sides answer the same queries in it, one side after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from suite import statistics
from suite.documents import (
    AtBatch,
    AtLength,
    DeviceTime,
    Energy,
    EnergyBlock,
    Latency,
    Offline,
    Ratio,
    SpotCheck,
    Streams,
)
from suite.measure.samples import ENTRY, REFERENCE, Samples
from suite.protocol import MEASURING

Floats = NDArray[np.float64]


def from_columns(columns: Mapping[str, Any]) -> Samples:
    """Samples from what :func:`suite.tables.read_samples` gives; ValueError when the sides do not match."""
    samples = Samples(**{f.name: np.asarray(columns[f.name]).astype(np.int64) for f in fields(Samples)})
    _matched(samples)
    return samples


IN_BATCHES = "queries are answered in batches: their rate is the figure"
NO_LATENCY = Latency(
    p50=None, p90=None, p99=None, p50_reason=IN_BATCHES, p90_reason=IN_BATCHES, p99_reason=IN_BATCHES
)


# --- the figures --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """The derived fields of a measurement."""

    ratio: Ratio
    latency_ms: Latency
    reference_latency_ms: Latency
    residual: float
    verdict: Literal["stable", "noisy"]
    by_length: tuple[AtLength, ...] = ()


def figures(
    samples: Samples, lengths: Sequence[int] | None = None, arrival: str = "single-stream"
) -> Figures:
    """Everything a measurement derives from its samples; ValueError when the two sides do not match.

    ``lengths``: the trace's, in tokens, where the figures are wanted at each of them as well.
    """
    spread = residual(samples)
    alone = arrival == "single-stream"
    return Figures(
        ratio=ratio(pair_log_ratios(samples)),
        latency_ms=latency(samples, ENTRY) if alone else NO_LATENCY,
        reference_latency_ms=latency(samples, REFERENCE) if alone else NO_LATENCY,
        residual=spread,
        verdict=verdict(spread),
        by_length=() if lengths is None else at_lengths(samples, lengths),
    )


def at_lengths(samples: Samples, lengths: Sequence[int]) -> tuple[AtLength, ...]:
    """Ratio and times at each distinct length, shortest first. Rounds of a pair give one number: their median."""
    reference, entry = _matched(samples)
    if reference.query.min() < 0 or reference.query.max() >= len(lengths):
        raise ValueError(f"a query is not one of the trace's {len(lengths)}")
    tokens = np.asarray(lengths, dtype=np.int64)[reference.query]
    found = []
    for length in np.unique(tokens):
        here = tokens == length
        times = [side.nanoseconds[here] for side in (reference, entry)]
        of_pair = [reference.pair[here] == pair for pair in np.unique(reference.pair[here])]
        medians = [[float(np.median(side[chosen])) for chosen in of_pair] for side in times]
        logs = [float(np.median(np.log(times[0][c]) - np.log(times[1][c]))) for c in of_pair]
        found.append(
            AtLength(
                tokens=int(length),
                ratio=ratio(logs),
                latency_ms=_milliseconds(medians[1]),
                reference_latency_ms=_milliseconds(medians[0]),
            )
        )
    return tuple(found)


def pair_log_ratios(samples: Samples) -> Floats:
    """log(reference time / entry time) of each process pair: the median over its rounds, shape [pairs].

    A median, so that a burst of other work that hits one side of a round moves nothing. Whatever a pair's
    processes share (where their pages lie, the hour) is one draw: pairs are the unit of repetition.
    """
    reference, entry = _matched(samples)
    rounds, index = np.unique(np.stack([reference.pair, reference.block]), axis=1, return_inverse=True)
    index = index.reshape(-1)
    logs = np.log(np.bincount(index, reference.nanoseconds)) - np.log(np.bincount(index, entry.nanoseconds))
    starts = np.flatnonzero(np.diff(rounds[0], prepend=rounds[0][0] - 1))
    return np.array([np.median(part) for part in np.split(logs, starts[1:])])


def rates(samples: Samples, side: int, work: Floats) -> tuple[float, float]:
    """What a side does per second, from the ``work`` of each query of the trace: in the middle, and over all its time.

    The middle is made as the ratio is (the median round of each process pair, the geometric mean of pairs), so that a
    time that moves nothing there moves nothing here.
    """
    one = samples.where(samples.side == side)
    rounds, index = np.unique(np.stack([one.pair, one.block]), axis=1, return_inverse=True)
    index = index.reshape(-1)
    done, seconds = np.bincount(index, work[one.query]), np.bincount(index, one.nanoseconds) / 1e9
    medians = [np.median((done / seconds)[rounds[0] == pair]) for pair in np.unique(rounds[0])]
    middle = float(np.exp(np.mean(np.log(medians)))) if min(medians) > 0 else 0.0
    return middle, float(done.sum() / seconds.sum())


def ratio(logs: Floats | Sequence[float]) -> Ratio:
    """Geometric mean over pairs with Student's t interval on the log scale; none with fewer than 3 pairs."""
    value, interval = statistics.pairs_estimate([float(log) for log in logs])
    return Ratio(value=value, interval=interval, pairs=len(logs))


def latency(samples: Samples, side: int) -> Latency:
    """Percentiles of one side in milliseconds: of each process by itself, then the median over processes.

    Queries of one process are not independent of each other the way processes are, so they are never pooled.
    """
    times = samples.where(samples.side == side)
    processes = [times.nanoseconds[times.pair == pair] for pair in np.unique(times.pair)]
    fewest = min(len(process) for process in processes)
    found: dict[str, Any] = {"p50": _milliseconds([float(np.median(process)) for process in processes])}
    for name, level in (("p90", 0.9), ("p99", 0.99)):
        bounds = [statistics.percentile_bound(process.tolist(), level) for process in processes]
        supported = [bound for bound in bounds if bound is not None]
        if len(supported) == len(bounds):
            found[name] = _milliseconds(supported)
        else:
            needed = MEASURING["percentiles"]["fewest_queries"][name]
            found |= {name: None, f"{name}_reason": f"{fewest} queries a process, {needed} needed"}
    return Latency(**found)


def _milliseconds(nanoseconds: list[float]) -> float:
    return float(np.median(nanoseconds)) / 1e6


def residual(samples: Samples) -> float:
    """Robust standard deviation of a query's log time over the reference's in the same round.

    Taken over differences between two rounds' answers to the same query (divided by the root of 2), so that
    what is the models' and not noise, such as growing differently with length, drops out. Where no query came
    twice, the spread is taken about the median of all.
    """
    reference, entry = _matched(samples)
    logs = np.log(entry.nanoseconds) - np.log(reference.nanoseconds)
    order = np.lexsort((entry.block, entry.pair, entry.query))
    again = entry.query[order][1:] == entry.query[order][:-1]
    if again.any():
        return _spread(np.diff(logs[order])[again], about_zero=True) / float(np.sqrt(2))
    return _spread(logs, about_zero=False)


def _spread(values: Floats, *, about_zero: bool) -> float:
    centre = 0.0 if about_zero else np.median(values)
    return float(1.4826 * np.median(np.abs(values - centre)))


def verdict(spread: float) -> Literal["stable", "noisy"]:
    return "stable" if spread < MEASURING["verdict"]["stable_below"] else "noisy"


def _matched(samples: Samples) -> tuple[Samples, Samples]:
    """Reference and entry, row by row the same pair, round and query; ValueError when they are not."""
    if not len(samples):
        raise ValueError("no samples")
    if not np.isin(samples.side, (REFERENCE, ENTRY)).all():
        raise ValueError("a side is neither 0 (reference) nor 1 (entry)")
    if (samples.nanoseconds <= 0).any():
        raise ValueError("a time is not positive")
    sides = []
    for side in (REFERENCE, ENTRY):
        part = samples.where(samples.side == side)
        order = np.lexsort((part.query, part.block, part.pair))
        sides.append(Samples(**{f.name: getattr(part, f.name)[order] for f in fields(part)}))
    reference, entry = sides
    if not all(np.array_equal(getattr(reference, c), getattr(entry, c)) for c in ("pair", "block", "query")):
        raise ValueError("the two sides did not answer the same queries in every round")
    return reference, entry


def repeat_passed(over_repeated: float) -> bool:
    """Different inputs take as long as one repeated, within the protocol's share."""
    return abs(over_repeated - 1) <= float(MEASURING["answers"]["repeat_check_within"])


def answers_equal(largest: float, tolerance: float) -> bool:
    """The timed answers were the model's."""
    return largest <= tolerance


# --- beside the ratio ---------------------------------------------------------------------------------------


def queries_per_second(samples: Samples, side: int) -> float:
    """Median over processes of queries over the sum of their times."""
    times = samples.where(samples.side == side)
    processes = [times.nanoseconds[times.pair == pair] for pair in np.unique(times.pair)]
    return float(np.median([len(process) * 1e9 / float(process.sum()) for process in processes]))


def at_batch(batch: int, seconds: Sequence[float], reason: str | None, queries: int) -> AtBatch:
    """One step of a pilot, of ``queries`` queries a pass."""
    rate = queries / float(np.median(seconds)) if seconds and min(seconds) > 0 else None
    return AtBatch(batch=batch, seconds=tuple(seconds), reason=reason, queries_per_second=rate)


def best_batch(ladder: Sequence[AtBatch]) -> int:
    """The batch of the quickest pass in the median, the smaller of equals; ValueError where none ran."""
    ran = [(float(np.median(step.seconds)), step.batch) for step in ladder if step.seconds]
    if not ran:
        raise ValueError("no batch of the pilot ran")
    return min(ran)[1]


def padding(lengths: Sequence[int], batch: int) -> float:
    """Tokens of padding per token of the trace, sorted by length and cut into batches."""
    order = sorted(lengths, reverse=True)
    cut = [order[start : start + batch] for start in range(0, len(order), batch)]
    return sum(part[0] * len(part) for part in cut) / sum(order) - 1


def offline(
    samples: Samples,
    lengths: Sequence[int],
    ladder: Sequence[AtBatch],
    reference_ladder: Sequence[AtBatch],
    leaving: Literal["compaction", "padding"] | None,
) -> Offline:
    """What an offline measurement says besides its ratio; ValueError where a pilot has no step that ran."""
    count = len(lengths)
    steps, others = (
        tuple(at_batch(step.batch, step.seconds, step.reason, count) for step in one)
        for one in (ladder, reference_ladder)
    )
    batch = best_batch(steps)
    return Offline(
        batch=batch,
        reference_batch=best_batch(others),
        ladder=steps,
        reference_ladder=others,
        queries_per_second=queries_per_second(samples, ENTRY),
        reference_queries_per_second=queries_per_second(samples, REFERENCE),
        padding=padding(lengths, batch),
        leaving=leaving,
    )


def energy(counters: Sequence[str], blocks: Sequence[EnergyBlock]) -> Energy:
    """Joules per query of both sides; ValueError where a counter ran back or a side has no queries."""
    if any(block.end_joules < block.start_joules for block in blocks):
        raise ValueError("a counter ran back")
    spent = []
    for side in (REFERENCE, ENTRY):
        mine = [block for block in blocks if block.side == side]
        queries = sum(block.queries for block in mine)
        if not queries:
            raise ValueError("a side without queries")
        spent.append(float(np.sum([block.end_joules - block.start_joules for block in mine])) / queries)
    return Energy(
        counters=tuple(counters),
        blocks=tuple(blocks),
        joules_per_query=spent[ENTRY],
        reference_joules_per_query=spent[REFERENCE],
    )


def joules(counters: Sequence[str], blocks: Sequence[EnergyBlock], reason: str | None) -> dict[str, Any]:
    """``energy``, or ``energy_reason``: ``reason`` where there are no readings, or what is wrong with them."""
    if not blocks:
        return {"energy_reason": reason}
    try:
        return {"energy": energy(counters, blocks)}
    except ValueError as error:
        return {"energy_reason": f"{', '.join(counters)}: {error}"}


def device_time(entry: Sequence[int], reference: Sequence[int]) -> DeviceTime:
    """Medians over processes of each process' median query, in milliseconds."""
    return DeviceTime(
        nanoseconds=tuple(entry),
        reference_nanoseconds=tuple(reference),
        latency_ms=_milliseconds(list(map(float, entry))),
        reference_latency_ms=_milliseconds(list(map(float, reference))) if reference else None,
    )


def streams(count: int, alone_ms: Sequence[float], together_ms: Sequence[float]) -> Streams:
    """What ``count`` streams at once answer, and what each pays for it; ValueError unless rounds match."""
    logs = np.log(together_ms) - np.log(alone_ms)
    return Streams(
        streams=count,
        alone_ms=tuple(alone_ms),
        together_ms=tuple(together_ms),
        queries_per_second=count * 1000 / float(np.median(together_ms)),
        slowdown=float(np.exp(np.median(logs))),
    )


def spot_check(task: str, over_measured: float) -> SpotCheck:
    """Another run of the same graph, its time over the measured one's."""
    return SpotCheck(task=task, ratio=over_measured, passed=repeat_passed(over_measured))
