"""Vanilla distillation (Hinton 2015; the form of Sun 2019, section 3.1): hard labels and softened teacher logits.

Loss = (1 - alpha) CE(labels) + alpha T^2 KL(teacher || student), per row. The code published with Sun 2019 averages
the KL over classes as well, which divides that term by their number; here it is a mean over rows, as the paper's
formula reads. The student starts from the first layers of the pre-trained encoder. For regression both terms are
squared errors. Teacher logits are computed once, without dropout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field
from torch import nn

from suite import models
from suite.documents import DECLARED, Strict
from suite.methods.finetune import build, export
from suite.pipeline.cell import Cell
from suite.pipeline.phase import Phase
from suite.pipeline.stage import Context, Stage
from suite.pipeline.supervised import epochs, one_update, selection, task_feeds, training
from suite.protocol import Track
from suite.training.feeds import Batch
from suite.training.loop import Loss, Update
from suite.training.losses import soft_loss, task_loss
from suite.training.schedules import Progress
from suite.training.settings import Positive, Share, Training


class Parameters(Strict):
    layers: Annotated[Annotated[int, Field(ge=1, le=48)], DECLARED]
    alpha: Annotated[Share, DECLARED]  # weight of the teacher's part
    temperature: Annotated[Positive, DECLARED]
    training: Annotated[Training, DECLARED]


def students(parameters: Parameters, track: Track, outputs: int) -> dict[str, models.Config]:
    changes = {"layers": parameters.layers, "outputs": outputs, "dropout": parameters.training.dropout}
    return {"default": {**track.teacher.config, **changes}}


def plan(parameters: Parameters, cell: Cell) -> Mapping[str, Stage]:
    config = students(parameters, cell.track, cell.task.outputs)["default"]
    stage = PHASE.stage(
        params={
            "task": cell.task.name,
            "config": config,
            "training": parameters.training.model_dump(mode="json"),
            "alpha": parameters.alpha,
            "temperature": parameters.temperature,
            "track": cell.track.name,
            "pretrained": cell.pretrained,
        },
        inputs={"data": cell.encoded, "logits": cell.teacher_logits},
        seed=cell.seed,
        threads=cell.threads,
        tflop=3 * parameters.training.epochs * cell.forward(config),
        tokens=parameters.training.epochs * cell.train_tokens,
    )
    return {"default": stage}


def updates(context: Context, model: nn.Module) -> list[Update]:
    alpha, temperature = context.params["alpha"], context.params["temperature"]

    def losses(model: nn.Module, batch: Batch, progress: Progress) -> Iterator[Loss]:
        logits = model(*batch.inputs)
        hard = task_loss(logits, batch.labels)
        soft = soft_loss(logits, batch.extra["teacher"], temperature)
        value = (1 - alpha) * hard + alpha * soft
        yield Loss(value, {"loss": value.detach(), "hard": hard.detach(), "soft": soft.detach()})

    return one_update(training(context), model, losses)


PHASE = Phase(
    name="distillation",
    version=1,
    build=build,
    updates=updates,
    feeds=task_feeds,
    length=epochs,
    export=export,
    select=selection,
)
