"""Progressive knowledge transfer (Sun 2020, section 3.5): block by block, from the teacher's block beside it.

In block l's turn only its losses count, so only blocks up to l are computed, in the student and in the teacher. Both
must have ``embed`` and ``layers``, equally many, equally wide and with equally many heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from suite import models
from suite.documents import DECLARED, Number, Strict
from suite.models.bert import attention_scores
from suite.models.mobilebert import Block
from suite.pipeline.cell import Cell, forward_tflop
from suite.pipeline.corpus import corpus
from suite.pipeline.general import General, Taught
from suite.pipeline.stage import Context
from suite.pipeline.supervised import one_update, training
from suite.training.feeds import Batch
from suite.training.loop import Group, Loss, Update, decayed
from suite.training.schedules import Progress
from suite.training.transfer import (
    attention_divergence,
    block_in_turn,
    block_schedule,
    feature_loss,
    mean_loss,
    variance_loss,
)

Weight = Annotated[Number, Field(ge=0)]


class Weights(Strict):
    """Of the four parts of knowledge transfer, before their division by the number of blocks."""

    features: Annotated[Weight, DECLARED] = 100
    mean: Annotated[Weight, DECLARED] = 5000
    variance: Annotated[Weight, DECLARED] = 5
    attention: Annotated[Weight, DECLARED] = 1


class Transferring(General):
    """Progressive knowledge transfer; ``training.schedule`` multiplies the schedules of the blocks, and
    ``training.dropout`` has no effect: the student learns without."""

    weights: Annotated[Weights, DECLARED] = Weights()


def transfer_tflop(config: models.Config, teacher: models.Config, cell: Cell, general: General) -> float:
    """Block l's turn: the embedding forward, blocks 1 to l of the student three times, of the teacher once."""
    lengths = corpus(cell.track, general.tokens).lengths

    def block(of: models.Config) -> float:
        return forward_tflop({**of, "layers": 2}, lengths) - forward_tflop({**of, "layers": 1}, lengths)

    ours, blocks = block(config), int(config["layers"])
    embedding = forward_tflop({**config, "layers": 1}, lengths) - ours
    depth = (blocks + 1) / 2  # mean of 1 ... blocks
    scores = 0.0
    if teacher["architecture"] == "bert":  # queries, keys and their product a second time, beside the layer
        n, width = lengths.astype(float), teacher["hidden"]
        scores = float((4 * n * width**2 + 2 * n**2 * width).sum() / 1e12)
    once = embedding + depth * (3 * ours + block(teacher)) + scores
    return general.training.epochs * once


def transfer_updates(context: Context, model: nn.Module) -> list[Update]:
    """One group of matrices and one of the rest for each block; embeddings are in none."""
    settings, weights = training(context), Weights.model_validate(context.params["weights"])
    assert isinstance(model, Taught)
    student: Any = model.student
    groups = []
    for place, block in enumerate(student.layers):
        factor = block_schedule(place, len(student.layers), settings.factor)
        matrices, rest = decayed(block)
        groups += [
            Group(matrices, settings.lr, factor, settings.weight_decay),
            Group(rest, settings.lr, factor),
        ]

    def losses(model: nn.Module, batch: Batch, progress: Progress) -> Iterator[Loss]:
        assert isinstance(model, Taught)
        yield transfer_loss(model, batch, block_in_turn(progress, len(student.layers)), weights)

    (update,) = one_update(settings, model.student, losses)
    return [replace(update, groups=groups)]


def watched(layer: nn.Module, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """A layer's output and its attention scores before mask and softmax."""
    if isinstance(layer, Block):
        return layer.watched(hidden, mask)
    return layer(hidden, mask), attention_scores(layer, hidden)


def transfer_loss(pair: Taught, batch: Batch, turn: int, weights: Weights) -> Loss:
    """The four weighted parts of block ``turn``; nothing behind it is computed."""

    def through(model: Any) -> tuple[Tensor, Tensor]:
        hidden, mask = model.embed(*batch.inputs)
        for layer in model.layers[:turn]:
            hidden = layer(hidden, mask)
        return watched(model.layers[turn], hidden, mask)

    with torch.no_grad():
        target, wanted = through(pair.teacher)
    guess, scores = through(pair.student)
    student: Any = pair.student
    parts = {
        "features": weights.features * feature_loss(guess, target, batch.mask),
        "mean": weights.mean * mean_loss(guess, target, batch.mask),
        "variance": weights.variance * variance_loss(guess, target, batch.mask),
        "attention": weights.attention * attention_divergence(scores, wanted, batch.mask),
    }
    value = torch.stack(list(parts.values())).sum() / len(student.layers)
    return Loss(value, {"loss": value.detach(), **{name: part.detach() for name, part in parts.items()}})
