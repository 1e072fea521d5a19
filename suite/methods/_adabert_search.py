"""The phase that searches: weights learn on one part of the train split, the architecture on the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn

from suite import models
from suite.data.encode import Encoded
from suite.documents import DECLARED, Number, Strict
from suite.methods._adabert import mixed_loss, search_loss
from suite.models._supernet import Space, expected_parameters
from suite.models.adabert import Body
from suite.pipeline.phase import Phase
from suite.pipeline.stage import Context
from suite.pipeline.supervised import epochs, one_update, training
from suite.training.feeds import Batch, Feed, TaskFeed
from suite.training.loop import Group, Loss, Update, fold
from suite.training.schedules import Progress
from suite.training.settings import Positive, Share, Training
from suite.training.starts import principal_components

Below1 = Annotated[Number, Field(gt=0, lt=1)]
Weight = Annotated[Number, Field(ge=0)]


class Temperature(Strict):
    """Falls geometrically from ``start`` to ``end``, reached at the share ``until`` of the steps."""

    start: Annotated[Positive, DECLARED] = 1.0
    end: Annotated[Positive, DECLARED] = 0.2
    until: Annotated[Annotated[Share, Field(gt=0)], DECLARED] = 0.8

    def at(self, progress: Progress) -> float:
        done = min(1.0, progress.step / (self.until * progress.steps))
        return float(self.start * (self.end / self.start) ** done)


class Architecture(Strict):
    """How the architecture learns: by Adam, on ``share`` of the train split, after ``after`` of the steps.

    Adam divides by the size of a gradient, so that where the cost is most of it, doubling its weight changes nothing.
    An ``eps`` of about that size (0.01) keeps small gradients small steps, and ``efficiency`` a weight.
    """

    lr: Annotated[Positive, DECLARED]
    eps: Annotated[Positive, DECLARED] = 1e-8
    weight_decay: Annotated[Weight, DECLARED] = 1e-3
    share: Annotated[Below1, DECLARED] = 0.2
    after: Annotated[Annotated[Share, Field(lt=1)], DECLARED] = 0.25
    temperature: Annotated[Temperature, DECLARED] = Temperature()


class Search(Strict):
    """``training``: of the weights; its ``keep`` has no effect. ``efficiency``: weight of L_E."""

    gamma: Annotated[Share, DECLARED] = 0.8
    efficiency: Annotated[Weight, DECLARED] = 4.0
    architecture: Annotated[Architecture, DECLARED]
    training: Annotated[Training, DECLARED]


def search_feeds(context: Context) -> Mapping[str, Feed]:
    """The train split in two, drawn by the seed: ``train`` for the weights, ``search`` for the architecture."""
    data = Encoded.load(context.inputs["data"] / "train")
    probes = np.load(context.inputs["probes"] / "probes.npy")
    order = np.argsort(np.random.PCG64(fold(context.seed, "halves")).random_raw(len(data)), kind="stable")
    count = max(1, round(context.params["architecture"]["share"] * len(data)))
    size = training(context).batch
    return {
        name: TaskFeed(data.take(index), size, fold(context.seed, name), {"probes": probes[index]})
        for name, index in (("search", np.sort(order[:count])), ("train", np.sort(order[count:])))
    }


def build_search(context: Context) -> Space:
    model = Space(context.params["config"], context.params["cells"])
    start_embeddings(model.net, context.inputs["teacher"])
    return model


def start_embeddings(model: Body, teacher: Path) -> None:
    """Tables from the teacher's, projected; dimensions beyond the teacher's width stay as they were drawn."""
    weights = load_file(teacher / "model.safetensors")
    word, position, segment = (
        weights[f"bert.embeddings.{part}_embeddings.weight"] for part in ("word", "position", "token_type")
    )
    table, directions, mean = principal_components(word, model.embeddings.word.embedding_dim)
    width = directions.shape[1]
    with torch.no_grad():
        model.embeddings.word.weight[:, :width] = table
        model.embeddings.position.weight[:, :width] = (position + mean + segment[0]) @ directions


def search_updates(context: Context, model: nn.Module) -> list[Update]:
    params = context.params
    gamma, by, efficiency = params["gamma"], params["probe_weights"], params["efficiency"]
    architecture = Architecture.model_validate(params["architecture"])
    channels = params["config"]["hidden"]

    def weight_losses(model: nn.Module, batch: Batch, progress: Progress) -> Iterator[Loss]:
        assert isinstance(model, Space)
        draw = model.choices.draw(architecture.temperature.at(progress))
        logits = model.net.every_depth(model.net.vectors(batch.inputs, draw.picks, draw.depth))
        value = mixed_loss(logits, batch.extra["probes"], batch.labels, gamma, by)
        yield Loss(value, {"loss": value.detach(), "cells": draw.depth})

    def architecture_losses(model: nn.Module, batch: Batch, progress: Progress) -> Iterator[Loss]:
        assert isinstance(model, Space)
        if progress.step < architecture.after * progress.steps:
            return
        draw = model.choices.draw(architecture.temperature.at(progress))
        task, cost = search_loss(model, draw, batch, gamma, by), model.choices.efficiency(channels)
        expected = expected_parameters(model.choices.edges, model.choices.depth, channels)
        logs: dict[str, float | Tensor] = {
            "search_loss": task.detach(),
            "efficiency": cost.detach(),
            "expected_parameters": expected,
        }
        yield Loss(task + efficiency * cost, logs)

    assert isinstance(model, Space)
    group = Group(list(model.choices.parameters()), architecture.lr, weight_decay=architecture.weight_decay)
    clip = training(context).clip
    return [
        *one_update(training(context), model.net, weight_losses),
        Update([group], architecture_losses, data="search", clip=clip, eps=architecture.eps),
    ]


def export_search(context: Context, model: nn.Module) -> None:
    """Everything, under its own names: which part of it is kept is derived next."""
    models.save_tensors(model.state_dict(), context.folder / "search.safetensors")


SEARCH = Phase(
    name="search",
    version=1,
    build=build_search,
    updates=search_updates,
    feeds=search_feeds,
    length=epochs,
    export=export_search,
)
