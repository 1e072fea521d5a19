"""``lightboard plan``: what a run would do, before it does it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from suite.pipeline.execute import info
from suite.pipeline.run import Request, at_once, jobs, landed, needed, remaining
from suite.pipeline.stage import closure
from suite.pipeline.store import Store
from suite.training.device import asked, name_of


@dataclass(frozen=True)
class Line:
    """One stage; ``seconds`` is measured where it is made already, else estimated.

    ``needed``: by a run that is not in the results yet, and not made.
    """

    stage: str
    recipes: tuple[str, ...]
    task: str
    seed: int
    key: str
    cached: bool
    needed: bool
    tflop: float
    seconds: float


@dataclass(frozen=True)
class Overview:
    stages: tuple[Line, ...]
    runs: int
    landed: int
    workers: int
    gflops: float
    rate_from: str

    @property
    def tflop(self) -> float:
        return sum(line.tflop for line in self.stages)

    @property
    def tflop_left(self) -> float:
        return sum(line.tflop for line in self.stages if line.needed)

    @property
    def seconds_left(self) -> float:
        """As if the cells that are made side by side were equally long."""
        return sum(line.seconds for line in self.stages if line.needed) / self.workers

    def as_dict(self) -> dict[str, Any]:
        return {
            "stages": [asdict(line) for line in self.stages],
            "runs": self.runs,
            "landed": self.landed,
            "workers": self.workers,
            "tflop": self.tflop,
            "tflop_left": self.tflop_left,
            "seconds_left": self.seconds_left,
            "gflop_per_second": self.gflops,
            "rate_from": self.rate_from,
        }


def overview(wanted: Request) -> Overview:
    """Every stage of a request in order. Tokenises unseen tasks, since lengths decide the arithmetic."""
    store, todo = Store(wanted.store), jobs(wanted)
    users: dict[str, list[str]] = {}
    for job in todo:
        for stage in needed(job):
            users.setdefault(stage.key, []).append(job.resolved.recipe.name)
    stages = list(closure(stage for job in todo for stage in needed(job)))
    left = {stage.key for stage in remaining(todo, wanted)}
    gflops, rate_from = _rate(store, asked(wanted.device))
    lines = []
    for stage in stages:
        found, who = store.get(stage.key), info(stage)
        seconds = found.record["seconds"] if found else stage.tflop * 1000 / gflops
        lines.append(
            Line(
                stage=stage.name,
                recipes=tuple(dict.fromkeys(users[stage.key])),
                task=who.task,
                seed=stage.seed,
                key=stage.key,
                cached=found is not None,
                needed=stage.key in left,
                tflop=stage.tflop,
                seconds=seconds,
            )
        )
    already = sum(landed(job, wanted.results) for job in todo)
    return Overview(tuple(lines), len(todo), already, at_once(todo), gflops, rate_from)


def _rate(store: Store, device: torch.device) -> tuple[float, str]:
    """GFLOP/s of training on this machine: from the store's own stages, else from a moment's matrix products."""
    records = [
        a.record
        for a in store.artifacts()
        if a.record["tflop"] >= 1 and a.record.get("accelerator") == name_of(device)
    ]
    if records:
        total = sum(r["tflop"] for r in records) * 1000
        return total / sum(r["seconds"] for r in records), "as stages in the store ran"
    a, b = torch.rand(512, 384, device=device), torch.rand(384, 1536, device=device)
    rounds, started = 0, time.perf_counter()
    while time.perf_counter() - started < 0.3:
        float((a @ b)[0, 0])  # waits for it, where it is elsewhere
        rounds += 1
    peak = rounds * 2 * 512 * 384 * 1536 / (time.perf_counter() - started) / 1e9
    return peak / 2, "half of this machine's matrix product rate"
