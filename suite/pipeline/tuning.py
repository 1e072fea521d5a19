"""Fine-tuning of a model that is there already, after something was taken out of it. Zeros stay zeros."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from suite import models
from suite.documents import DECLARED
from suite.pipeline.cell import Cell
from suite.pipeline.phase import Phase
from suite.pipeline.stage import Context, Stage
from suite.pipeline.supervised import epochs, selection, supervised_updates, task_feeds, training
from suite.training.settings import Training


class Tuning(Training):
    """As every trained phase; zero epochs leave the model as it is."""

    epochs: Annotated[Annotated[int, Field(ge=0, le=1000)], DECLARED]


def tuned(cell: Cell, model: Stage, config: Mapping[str, Any], tuning: Tuning) -> Stage:
    """``model``, whose configuration is ``config``, fine-tuned on the task's labels."""
    if tuning.epochs == 0:
        return model
    return PHASE.stage(
        params={"task": cell.task.name, "training": tuning.model_dump(mode="json")},
        inputs={"data": cell.encoded, "model": model},
        seed=cell.seed,
        threads=cell.threads,
        tflop=3 * tuning.epochs * cell.forward(config),
        tokens=tuning.epochs * cell.train_tokens,
    )


def build(context: Context) -> nn.Module:
    return keep_zeros(models.load(context.inputs["model"], dropout=training(context).dropout))


def keep_zeros(model: nn.Module) -> nn.Module:
    """Give the zeros of every matrix no gradient: neither Adam nor weight decay moves them then."""
    for weight in model.parameters():
        if weight.ndim > 1 and not weight.all():
            weight.register_hook(_masked((weight != 0).to(weight.dtype)))  # type: ignore[no-untyped-call]
    return model


def _masked(mask: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient * mask


def export(context: Context, model: nn.Module) -> None:
    models.save(model, models.read_config(context.inputs["model"]), context.folder)


PHASE = Phase(
    name="tuning",
    version=1,
    build=build,
    updates=supervised_updates,
    feeds=task_feeds,
    length=epochs,
    export=export,
    select=selection,
)
