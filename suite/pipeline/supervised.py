"""What every phase on a task's own examples has in common: feed, length, selection, and the plain losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from torch import nn

from suite.data.encode import Encoded
from suite.pipeline.stage import Context
from suite.scoring import score
from suite.tasks import task
from suite.training.feeds import Batch, Feed, TaskFeed, logits_of
from suite.training.loop import Group, Loss, Losses, Update, decayed, fold
from suite.training.losses import task_loss
from suite.training.schedules import Progress
from suite.training.settings import Training


def training(context: Context) -> Training:
    return Training.model_validate(context.params["training"])


def task_feeds(context: Context) -> Mapping[str, Feed]:
    """The train split; with a ``logits`` input, the teacher's logits come along as ``teacher``."""
    data = Encoded.load(context.inputs["data"] / "train")
    extra = {}
    if "logits" in context.inputs:
        extra["teacher"] = np.load(context.inputs["logits"] / "logits.npy")
    return {"train": TaskFeed(data, training(context).batch, fold(context.seed, "order"), extra)}


def epochs(context: Context, feeds: Mapping[str, Feed]) -> tuple[int, int]:
    """(steps, steps an epoch)."""
    per_epoch = len(feeds["train"])
    return per_epoch * training(context).epochs, per_epoch


def selection(context: Context) -> Callable[[nn.Module], float] | None:
    """The task's own score on the selection split, in points; None if the recipe keeps the last weights."""
    if training(context).keep == "last":
        return None
    data = Encoded.load(context.inputs["data"] / "selection")
    chosen = task(context.params["task"])

    def measure(model: nn.Module) -> float:
        return score(chosen, {"selection": logits_of(model, data)}, {"selection": data.labels}).score

    return measure


def one_update(settings: Training, module: nn.Module, losses: Losses) -> list[Update]:
    """All of ``module`` by one optimiser; weight decay on matrices only."""
    matrices, rest = decayed(module)
    factor = settings.factor
    groups = [Group(matrices, settings.lr, factor, settings.weight_decay), Group(rest, settings.lr, factor)]
    return [
        Update(
            groups,
            losses,
            clip=settings.clip,
            optimiser=settings.optimiser,
            betas=settings.betas,
            eps=settings.eps,
        )
    ]


def plain_losses(model: nn.Module, batch: Batch, progress: Progress) -> Iterator[Loss]:
    """Cross-entropy (or squared error) to the labels."""
    value = task_loss(model(*batch.inputs), batch.labels)
    yield Loss(value, {"loss": value.detach()})


def supervised_updates(context: Context, model: nn.Module) -> list[Update]:
    """Fine-tuning: every parameter, the plain loss."""
    return one_update(training(context), model, plain_losses)
