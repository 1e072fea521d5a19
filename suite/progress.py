"""Progress with the time that is left: bars on a terminal, one line a stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from suite.pipeline.execute import Event, Reporter, StageInfo

EARLY = 0.01  # share of the work before which no time is promised
OVERHEAD = 0.02  # TFLOP: what a stage without arithmetic counts for in the estimate


def clock(seconds: float) -> str:
    """``4 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class _Left:
    """Time left from the arithmetic left and the rate so far."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.weights: dict[str, float] = {}
        self.shares: dict[str, float] = {}

    def plan(self, stages: tuple[StageInfo, ...]) -> None:
        self.weights = {stage.key: stage.tflop + OVERHEAD for stage in stages}
        self.shares = {}
        self.started = time.monotonic()

    def set(self, stage: StageInfo, share: float) -> None:
        self.weights.setdefault(stage.key, stage.tflop + OVERHEAD)
        self.shares[stage.key] = share

    @property
    def done(self) -> float:
        return sum(self.weights[key] * share for key, share in self.shares.items())

    @property
    def total(self) -> float:
        return sum(self.weights.values())

    def text(self) -> str:
        spent = time.monotonic() - self.started
        if self.done < EARLY * self.total or spent < 2:
            return ""  # the first small stages say nothing of the rate
        return f"{clock((self.total - self.done) * spent / self.done)} left"


@contextmanager
def shown(console: Console | None = None) -> Iterator[Reporter]:
    """A reporter for :func:`suite.pipeline.run.run`, drawn on standard error."""
    console = console or Console(stderr=True)
    left = _Left()
    if not console.is_terminal:
        yield _lines(console, left)
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console, transient=True) as bars:
        everything = bars.add_task("all stages", total=None, note="")
        open_: dict[str, TaskID] = {}

        def report(event: Event) -> None:
            if event.kind == "plan":
                left.plan(event.stages)
            elif event.stage is not None:
                stage = event.stage
                if event.kind == "begin":
                    open_[stage.key] = bars.add_task(_title(stage), total=None, note="")
                elif event.kind == "progress":
                    left.set(stage, event.done / max(1, event.total))
                    if stage.key in open_:
                        bars.update(open_[stage.key], completed=event.done, total=event.total)
                else:
                    left.set(stage, 1.0)
                    if stage.key in open_:
                        bars.remove_task(open_.pop(stage.key))
            bars.update(everything, completed=left.done, total=left.total, note=left.text())

        yield report


def _lines(console: Console, left: _Left) -> Reporter:
    def report(event: Event) -> None:
        if event.kind == "plan":
            left.plan(event.stages)
            if event.stages:
                console.print(f"{len(event.stages)} stages to make, {left.total:.1f} TFLOP", highlight=False)
        elif event.kind == "progress" and event.stage is not None:
            left.set(event.stage, event.done / max(1, event.total))
        elif event.kind == "end" and event.stage is not None:
            left.set(event.stage, 1.0)
            note = f"  {left.text()}" if left.text() else ""
            console.print(f"{_title(event.stage)}  {clock(event.seconds)}{note}", highlight=False)

    return report


def _title(stage: StageInfo) -> str:
    where = f" {stage.task}" if stage.task else ""
    seed = f" seed {stage.seed}" if stage.seed else ""
    return f"{stage.name}{where}{seed}"
