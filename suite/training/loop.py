"""The loop. It knows updates, not methods.

At step ``t`` each :class:`Update` in turn seeds torch from (seed, phase, t, its place), lets gradients reach only
its own parameters, backpropagates each loss it yields before asking for the next, clips, sets the learning rates
from the schedule and steps. A checkpoint is weights, optimisers and ``t``: no generator state exists, so a resumed
run is the same pure function of (seed, t) as an uninterrupted one and ends in the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from suite.errors import UserError
from suite.training.feeds import Feed
from suite.training.schedules import Progress, Schedule

Logs = dict[str, list[tuple[int, float]]]
POINTS = 100  # a curve keeps about this many means, whatever the number of steps


class Loss(NamedTuple):
    """A scalar to backpropagate, and named numbers worth plotting."""

    value: Tensor
    logs: Mapping[str, float | Tensor]


def _flat(progress: Progress) -> float:
    return 1.0


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning rate, its schedule and their weight decay."""

    params: Sequence[nn.Parameter]
    lr: float
    schedule: Schedule = _flat
    weight_decay: float = 0.0


Losses = Callable[[nn.Module, Any, Progress], Iterator[Loss]]


@dataclass(frozen=True)
class Update:
    """One optimiser and what it minimises on which feed. Most methods have one; a search has two."""

    groups: Sequence[Group]
    losses: Losses
    data: str = "train"
    clip: float | None = 1.0
    optimiser: Literal["adamw", "sgd"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    @property
    def params(self) -> list[nn.Parameter]:
        return [p for group in self.groups for p in group.params]


@dataclass
class Outcome:
    """What a finished phase leaves besides the model's weights."""

    steps: int
    logs: Logs = field(default_factory=dict)
    best: tuple[int, float] | None = None  # (epoch, selection score)
    seconds: float = 0.0  # spent in this loop, over all the processes it took


def fold(*parts: int | str) -> int:
    """A 63-bit seed from anything printable, the same on every platform."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def decayed(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters that weight decay applies to (matrices), and those it does not (biases, norms)."""
    params = [p for p in module.parameters() if p.requires_grad]
    return [p for p in params if p.ndim > 1], [p for p in params if p.ndim <= 1]


def train(
    model: nn.Module,
    updates: Sequence[Update],
    feeds: Mapping[str, Feed],
    *,
    steps: int,
    seed: int,
    phase: str,
    epoch: int | None = None,
    select: Callable[[nn.Module], float] | None = None,
    checkpoint: Path | None = None,
    every_seconds: float = 30.0,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Run ``steps`` steps in place, resuming from ``checkpoint`` when that file exists.

    ``epoch``: steps after which ``select`` scores the model on the selection split; the best-scoring weights are
    put back at the end (the earliest of equals). Raises :class:`UserError` when a loss is not finite.
    """
    optimisers = [_optimiser(update) for update in updates]
    outcome, best_weights, start = Outcome(steps), None, 0
    sums: dict[str, tuple[float, int]] = {}  # of the curve's open window
    if checkpoint is not None and checkpoint.exists():
        start, best_weights, sums = _restore(checkpoint, model, optimisers, outcome)
    window = max(1, steps // POINTS)
    frozen = {id(p) for p in model.parameters() if not p.requires_grad}
    saved = time.monotonic()
    began = saved - outcome.seconds
    for step in range(start, steps):
        now = Progress(step, steps)
        model.train()
        for place, (update, optimiser) in enumerate(zip(updates, optimisers, strict=True)):
            if len(updates) > 1 or step == start:
                own = {id(p) for p in update.params}
                for p in model.parameters():
                    p.requires_grad_(id(p) in own)
            torch.manual_seed(fold(seed, phase, step, place))
            for loss in update.losses(model, feeds[update.data].batch(step), now):
                if loss.value.requires_grad:  # else no layer that learns was run at this step
                    loss.value.backward()  # type: ignore[no-untyped-call]
                for name, value in loss.logs.items():
                    total, count = sums.get(name, (0.0, 0))
                    sums[name] = (total + float(value), count + 1)
            norm = torch.nn.utils.clip_grad_norm_(update.params, update.clip or math.inf)
            if not torch.isfinite(norm):
                raise UserError(
                    f"phase {phase}: the gradient at step {step} is not finite; lower the recipe's lr or set clip",
                    code=1,
                )
            for group, settings in zip(update.groups, optimiser.param_groups, strict=True):
                settings["lr"] = group.lr * group.schedule(now)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        if (step + 1) % window == 0 or step + 1 == steps:
            for name, (total, count) in sums.items():
                outcome.logs.setdefault(name, []).append((step + 1, total / count))
            sums.clear()
        if select is not None and epoch and (step + 1) % epoch == 0:
            score = _score(model, select)
            outcome.logs.setdefault("selection", []).append((step + 1, score))
            if outcome.best is None or score > outcome.best[1]:
                outcome.best = ((step + 1) // epoch, score)
                best_weights = {k: v.clone() for k, v in model.state_dict().items()}
        if checkpoint is not None and time.monotonic() - saved > every_seconds and step + 1 < steps:
            saved = time.monotonic()
            outcome.seconds = saved - began
            _save(checkpoint, model, optimisers, outcome, best_weights, step + 1, sums)
        if progress is not None:
            progress(step + 1, steps)
    outcome.seconds = time.monotonic() - began
    if best_weights is not None:
        model.load_state_dict(best_weights)
    for p in model.parameters():
        p.requires_grad_(id(p) not in frozen)
    return outcome


def _score(model: nn.Module, select: Callable[[nn.Module], float]) -> float:
    model.eval()
    with torch.inference_mode():
        return select(model)


def _optimiser(update: Update) -> torch.optim.Optimizer:
    groups = [{"params": list(g.params), "lr": g.lr, "weight_decay": g.weight_decay} for g in update.groups]
    if update.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=0.9)
    return torch.optim.AdamW(groups, betas=update.betas, eps=update.eps, fused=True)


def _save(
    path: Path,
    model: nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    outcome: Outcome,
    best: dict[str, Tensor] | None,
    step: int,
    sums: Mapping[str, tuple[float, int]],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as stream:
        torch.save(
            {
                "step": step,
                "model": model.state_dict(),
                "optimisers": [o.state_dict() for o in optimisers],
                "logs": outcome.logs,
                "best": outcome.best,
                "seconds": outcome.seconds,
                "best_weights": best,
                "sums": dict(sums),
            },
            stream,
        )
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def _restore(
    path: Path, model: nn.Module, optimisers: Sequence[torch.optim.Optimizer], outcome: Outcome
) -> tuple[int, dict[str, Tensor] | None, dict[str, tuple[float, int]]]:
    state = torch.load(path, map_location=torch.get_default_device(), weights_only=True)
    model.load_state_dict(state["model"])
    for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    outcome.logs = state["logs"]
    outcome.best = state["best"]
    outcome.seconds = state["seconds"]
    return state["step"], state["best_weights"], state["sums"]
