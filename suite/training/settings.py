"""The hyper-parameters every trained phase shares, as recipes spell them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from suite.documents import DECLARED, Number, Strict
from suite.training.schedules import Schedule, ScheduleName, schedule

Positive = Annotated[Number, Field(gt=0)]
Share = Annotated[Number, Field(ge=0, le=1)]


class Training(Strict):
    """How one phase is optimised. ``clip`` is the largest gradient norm, None for no clipping."""

    epochs: Annotated[Annotated[int, Field(ge=1, le=1000)], DECLARED]
    lr: Annotated[Positive, DECLARED]
    batch: Annotated[Annotated[int, Field(ge=1, le=8192)], DECLARED] = 32
    schedule: Annotated[ScheduleName, DECLARED] = "linear"
    warmup: Annotated[Share, DECLARED] = 0.1
    clip: Annotated[Positive | None, DECLARED] = 1.0
    weight_decay: Annotated[Annotated[Number, Field(ge=0)], DECLARED] = 0.01
    dropout: Annotated[Share, DECLARED] = 0.1
    optimiser: Annotated[Literal["adamw", "sgd"], DECLARED] = "adamw"
    betas: Annotated[tuple[Share, Share], DECLARED] = (0.9, 0.999)
    eps: Annotated[Positive, DECLARED] = 1e-8
    keep: Annotated[Literal["best", "last"], DECLARED] = "best"  # epoch by selection score, or the last

    @property
    def factor(self) -> Schedule:
        return schedule(self.schedule, self.warmup)
