"""BERT-of-Theseus (Xu 2020): layers of the fine-tuned predecessor are replaced at random by a shallower successor's.

Per batch and module i a coin r_i ~ Bernoulli(p) decides whether successor layer i or its predecessor layers run
(section 3.1); only successor layers are trained, on the task loss alone. p is constant and then 1, or rises
linearly to 1 (section 3.3); the stretch at p = 1 is the paper's second phase, in the same run under the same
learning-rate schedule, as in the official code.

Kept from the official code: successor layer i starts as a copy of predecessor layer i (not of the layers it
replaces); embeddings, pooler and classifier are the predecessor's, frozen; dropout is on in predecessor layers.
Departure from it: gradients are clipped over the successor's layers only, since nothing else receives any. Its
default of zero replacing steps, which trains no Theseus at all, cannot be expressed here.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite import models
from suite.documents import DECLARED, Strict
from suite.models.bert import Bert
from suite.pipeline.cell import Cell
from suite.pipeline.phase import Phase
from suite.pipeline.stage import Context, Stage
from suite.pipeline.supervised import epochs, one_update, selection, task_feeds, training
from suite.protocol import Track
from suite.training.feeds import Batch
from suite.training.loop import Loss, Update
from suite.training.losses import task_loss
from suite.training.schedules import Progress
from suite.training.settings import Share, Training


class Replacement(Strict):
    """``constant``: ``rate`` until the share ``until`` of all steps, then 1. ``linear``: from ``rate`` to 1 there."""

    kind: Annotated[Literal["constant", "linear"], DECLARED]
    rate: Annotated[Annotated[Share, Field(gt=0)], DECLARED]
    until: Annotated[Annotated[Share, Field(gt=0)], DECLARED]

    def probability(self, progress: Progress) -> float:
        """p at a step; the first batch of the linear kind runs at ``rate``, as in the official code."""
        done = progress.step / (self.until * progress.steps)
        if done >= 1:
            return 1.0
        return self.rate if self.kind == "constant" else self.rate + (1 - self.rate) * done

    def mean(self) -> float:
        """Average p over the replacing stretch."""
        return self.rate if self.kind == "constant" else (1 + self.rate) / 2


class Parameters(Strict):
    layers: Annotated[
        Annotated[int, Field(ge=1, le=24)], DECLARED
    ]  # of the successor; divides the predecessor's
    replacement: Annotated[Replacement, DECLARED]
    training: Annotated[Training, DECLARED]


def students(parameters: Parameters, track: Track, outputs: int) -> dict[str, models.Config]:
    changes = {"layers": parameters.layers, "outputs": outputs, "dropout": parameters.training.dropout}
    return {"default": {**track.teacher.config, **changes}}


def plan(parameters: Parameters, cell: Cell) -> Mapping[str, Stage]:
    if cell.reference is None:
        raise ValueError("Theseus needs a fine-tuned predecessor")
    config = students(parameters, cell.track, cell.task.outputs)["default"]
    stage = PHASE.stage(
        params={
            "task": cell.task.name,
            "config": config,
            "training": parameters.training.model_dump(mode="json"),
            "replacement": parameters.replacement.model_dump(mode="json"),
        },
        inputs={"data": cell.encoded, "predecessor": cell.reference},
        seed=cell.seed,
        threads=cell.threads,
        tflop=parameters.training.epochs * _epoch_tflop(parameters, cell, config),
        tokens=parameters.training.epochs * cell.train_tokens,
    )
    return {"default": stage}


def _epoch_tflop(parameters: Parameters, cell: Cell, config: models.Config) -> float:
    """Forward and input gradients through whatever runs, weight gradients in the successor's part of it."""
    small, large = (
        cell.forward(config),
        cell.forward({**config, "layers": cell.track.teacher.config["layers"]}),
    )
    p, until = parameters.replacement.mean(), parameters.replacement.until
    replacing = 2 * (p * small + (1 - p) * large) + p * small
    return until * replacing + (1 - until) * 3 * small


class Theseus(nn.Module):
    """Predecessor and successor side by side. ``rate`` is p; in evaluation the successor alone answers."""

    def __init__(self, predecessor: Bert, layers: int) -> None:
        super().__init__()
        deep = len(predecessor.layers)
        if deep % layers:
            raise ValueError(f"{deep} predecessor layers cannot be shared among {layers} successor layers")
        self.predecessor = predecessor.requires_grad_(False)
        self.successor = nn.ModuleList(copy.deepcopy(predecessor.layers[i]) for i in range(layers))
        self.successor.requires_grad_(True)
        self.span = deep // layers
        self.rate = 1.0

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        hidden, mask = self.predecessor.embed(input_ids, attention_mask, token_type_ids)
        for i, layer in enumerate(self.successor):
            if not self.training or torch.rand(()).item() < self.rate:
                hidden = layer(hidden, mask)
            else:
                for replaced in self.predecessor.layers[i * self.span : (i + 1) * self.span]:
                    hidden = replaced(hidden, mask)
        return self.predecessor.head(hidden)


def build(context: Context) -> Theseus:
    folder, config = context.inputs["predecessor"], context.params["config"]
    predecessor = models.build({**models.read_config(folder), "dropout": config["dropout"]})
    predecessor.load_state_dict(models.load(folder).state_dict())
    assert isinstance(predecessor, Bert)
    return Theseus(predecessor, config["layers"])


def updates(context: Context, model: nn.Module) -> list[Update]:
    replacement = Replacement.model_validate(context.params["replacement"])
    assert isinstance(model, Theseus)

    def losses(model: nn.Module, batch: Batch, progress: Progress):  # type: ignore[no-untyped-def]
        assert isinstance(model, Theseus)
        model.rate = replacement.probability(progress)
        value = task_loss(model(*batch.inputs), batch.labels)
        yield Loss(value, {"loss": value.detach(), "replacement": model.rate})

    return one_update(training(context), model.successor, losses)


def export(context: Context, model: nn.Module) -> None:
    """The successor as a plain BERT; the predecessor is dropped."""
    assert isinstance(model, Theseus)
    plain = model.predecessor
    plain.bert.encoder.layer = model.successor
    models.save(plain, context.params["config"], context.folder)


PHASE = Phase(
    name="theseus",
    version=1,
    build=build,
    updates=updates,
    feeds=task_feeds,
    length=epochs,
    export=export,
    select=selection,
)
