"""``lightboard plan``: what a run would do, before it does it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from suite.pipeline.execute import info
from suite.pipeline.run import Request, jobs, landed
from suite.pipeline.stage import closure
from suite.pipeline.store import Store


@dataclass(frozen=True)
class Line:
    """One stage; ``seconds`` is measured where it is made already, else estimated."""

    stage: str
    task: str
    seed: int
    key: str
    cached: bool
    tflop: float
    seconds: float


@dataclass(frozen=True)
class Overview:
    stages: tuple[Line, ...]
    runs: int
    landed: int
    gflops: float
    rate_from: str

    @property
    def tflop(self) -> float:
        return sum(line.tflop for line in self.stages)

    @property
    def tflop_left(self) -> float:
        return sum(line.tflop for line in self.stages if not line.cached)

    @property
    def seconds_left(self) -> float:
        return sum(line.seconds for line in self.stages if not line.cached)

    def as_dict(self) -> dict[str, Any]:
        return {
            "stages": [asdict(line) for line in self.stages],
            "runs": self.runs,
            "landed": self.landed,
            "tflop": self.tflop,
            "tflop_left": self.tflop_left,
            "seconds_left": self.seconds_left,
            "gflop_per_second": self.gflops,
            "rate_from": self.rate_from,
        }


def overview(wanted: Request) -> Overview:
    """Every stage of a request in order. Tokenises unseen tasks, since lengths decide the arithmetic."""
    store, todo = Store(wanted.store), jobs(wanted)
    stages = list(closure(stage for job in todo for stage in (job.model, job.predictions)))
    gflops, rate_from = _rate(store)
    lines = []
    for stage in stages:
        found, who = store.get(stage.key), info(stage)
        seconds = found.record["seconds"] if found else stage.tflop * 1000 / gflops
        lines.append(
            Line(stage.name, who.task, stage.seed, stage.key, found is not None, stage.tflop, seconds)
        )
    return Overview(
        tuple(lines), len(todo), sum(landed(job, wanted.results) for job in todo), gflops, rate_from
    )


def _rate(store: Store) -> tuple[float, str]:
    """GFLOP/s of training on this machine: from the store's own stages, else from a moment's matrix products."""
    records = [a.record for a in store.artifacts() if a.record["tflop"] >= 1]
    if records:
        total = sum(r["tflop"] for r in records) * 1000
        return total / sum(r["seconds"] for r in records), "as stages in the store ran"
    import time

    import torch

    a, b = torch.rand(512, 384), torch.rand(384, 1536)
    rounds, started = 0, time.perf_counter()
    while time.perf_counter() - started < 0.3:
        a @ b
        rounds += 1
    peak = rounds * 2 * 512 * 384 * 1536 / (time.perf_counter() - started) / 1e9
    return peak / 2, "half of this machine's matrix product rate"
