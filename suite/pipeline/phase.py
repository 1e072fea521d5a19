"""A phase: the kind of stage that trains. Methods describe it with plain functions; the loop runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from suite.canonical import pretty_json
from suite.pipeline.stage import Context, Stage
from suite.training.feeds import Feed
from suite.training.loop import Update, fold, train

REPORT = "phase.json"


@dataclass(frozen=True)
class Phase:
    """``build`` the model (weights in place), ``updates`` on it, ``feeds`` by name, ``length`` in (steps, steps an
    epoch), ``select`` a selection score or None to keep the last weights, ``export`` the model folder."""

    name: str
    version: int
    build: Callable[[Context], nn.Module]
    updates: Callable[[Context, nn.Module], Sequence[Update]]
    feeds: Callable[[Context], Mapping[str, Feed]]
    length: Callable[[Context, Mapping[str, Feed]], tuple[int, int]]
    export: Callable[[Context, nn.Module], None]
    select: Callable[[Context], Callable[[nn.Module], float] | None] = lambda context: None

    def stage(self, **details: Any) -> Stage:
        """The stage that runs this phase; ``details`` as for :class:`Stage` (params, inputs, seed, ...)."""
        return Stage(name=self.name, version=self.version, function=partial(run_phase, self), **details)


def run_phase(phase: Phase, context: Context) -> None:
    """Train, then export into the context's folder beside ``phase.json`` (steps, seconds, curves)."""
    import torch

    torch.manual_seed(fold(context.seed, phase.name, "build"))
    model = phase.build(context)
    feeds = phase.feeds(context)
    steps, epoch = phase.length(context, feeds)
    outcome = train(
        model,
        phase.updates(context, model),
        feeds,
        steps=steps,
        seed=context.seed,
        phase=phase.name,
        epoch=epoch,
        select=phase.select(context),
        checkpoint=context.scratch / "checkpoint.pt",
        progress=context.progress,
    )
    model.eval()
    phase.export(context, model)
    report = {
        "phase": phase.name,
        "steps": outcome.steps,
        "seconds": round(outcome.seconds, 3),
        "best": outcome.best,
        "curves": dict(sorted(outcome.logs.items())),
    }
    (context.folder / REPORT).write_text(pretty_json(report), encoding="utf-8")


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report a phase left in its artifact, or None where the stage was no phase."""
    path = folder / REPORT
    if not path.exists():
        return None
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report
