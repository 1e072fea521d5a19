"""Learning-rate factors as pure functions of progress, so that resuming needs no scheduler state."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple


class Progress(NamedTuple):
    """Update number ``step`` (0-based) of ``steps``."""

    step: int
    steps: int


Schedule = Callable[[Progress], float]
ScheduleName = Literal["linear", "constant", "cosine"]


def schedule(name: ScheduleName, warmup: float = 0.0) -> Schedule:
    """Rise linearly over the first ``warmup`` share of the steps, then fall to 0 (or stay, if constant)."""

    def factor(progress: Progress) -> float:
        rise = warmup * progress.steps
        if progress.step < rise:
            return (progress.step + 1) / (rise + 1)
        left = (progress.steps - progress.step) / max(1.0, progress.steps - rise)
        if name == "constant":
            return 1.0
        return left if name == "linear" else 0.5 * (1 - math.cos(math.pi * left))

    return factor
