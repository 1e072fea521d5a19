"""Figures beside a measurement's ratio: concurrent streams, another run of the same graph, early exit's worst case."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from suite import models
from suite.canonical import pretty_json
from suite.documents import SpotCheck, Streams, WorstCase
from suite.errors import UserError
from suite.measure import estimate, latency
from suite.measure.samples import ENTRY

STREAMS = 2
ROUNDS = 6  # of streams: each alone, then all at once
NOBODY_LEAVES = 1e-30  # a threshold that no uncertainty is below, while every exit is still asked


def streams(
    side: latency.Side, trace: latency.Trace, plan: latency.Plan, cores: Sequence[int], repeats: int
) -> Streams:
    """Processes of one model, each on a core of its own, alone and at once on the same queries. UserError where
    there are too few cores, or a process dies."""
    if len(cores) < STREAMS:
        raise UserError(f"{STREAMS} concurrent streams need as many cores; this process may use {len(cores)}")
    queries = [round(place) for place in np.linspace(0, len(trace) - 1, min(len(trace), 64))]
    asked = {"queries": queries, "repeats": repeats, "warmup": plan.warmup_queries, "keep": []}
    alone, together = [], []
    with tempfile.TemporaryDirectory(prefix="lightboard-") as folder, contextlib.ExitStack() as stack:
        file = latency.written(trace, Path(folder) / "trace.npz")
        siblings = []
        for core in cores[-STREAMS:]:
            own = replace(plan, threads=1, affinity=(core,))
            siblings.append(stack.enter_context(latency.Sibling(side, own)))
            siblings[-1].load(file)
        for _ in range(ROUNDS):
            times = [sibling.ask("time", **asked)["nanoseconds"] for sibling in siblings]
            alone.append(float(np.mean(times)) / 1e6)
            for sibling in siblings:
                sibling.start("time", **asked)
            times = [sibling.result("time")["nanoseconds"] for sibling in siblings]
            together.append(float(np.mean(times)) / 1e6)
    return estimate.streams(STREAMS, alone, together)


def spot_check(
    measured: latency.Side, other: latency.Side, task: str, trace: latency.Trace, plan: latency.Plan
) -> SpotCheck:
    """One process pair of two runs with the same graph, on the same inputs."""
    samples = latency.race(measured, other, trace, replace(plan, pairs=1)).samples
    value = float(estimate.pair_log_ratios(samples)[0])
    return estimate.spot_check(task, float(np.exp(-value)))


def worst_case(
    reference: latency.Side,
    slowest: latency.Side,
    trace: latency.Trace,
    plan: latency.Plan,
    reference_trace: latency.Trace,
) -> WorstCase:
    """One process pair of the reference and a model whose examples all go to the end."""
    samples = latency.race(reference, slowest, trace, replace(plan, pairs=1), None, reference_trace).samples
    value = float(np.exp(estimate.pair_log_ratios(samples)[0]))
    median = estimate.latency(samples, ENTRY).p50
    assert median is not None
    return WorstCase(ratio=value, latency_ms=median)


@contextlib.contextmanager
def without_early_exit(folder: Path) -> Iterator[Path]:
    """A model folder with the same weights and exits, out of which nobody leaves early."""
    with tempfile.TemporaryDirectory(prefix="lightboard-") as place:
        made = Path(place)
        config = {**models.read_config(folder), "speed": NOBODY_LEAVES}
        (made / "config.json").write_text(pretty_json(config), encoding="utf-8")
        for file in folder.iterdir():
            if file.name != "config.json":
                (made / file.name).symlink_to(file.resolve())
        yield made
