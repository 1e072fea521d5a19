"""Unstructured pruning by magnitude (Han 2015): the smallest weights become zeros, then fine-tuning around them.

One threshold for all weight matrices of the encoder's layers together (``global``), as in Gordon (2020); word and
position tables join in only where a recipe says so. Shapes, file and time stay as they were: the zeros are counted as
such and nothing else is claimed. Biases, norms, pooler and classifier are left alone. Zeros stay zeros afterwards.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from suite import models
from suite.documents import DECLARED, Strict
from suite.errors import UserError
from suite.pipeline.cell import Cell
from suite.pipeline.stage import Context, Stage
from suite.pipeline.tuning import Tuning, tuned
from suite.training.settings import Share


class Parameters(Strict):
    """``sparsity``: the share of the weights that become zeros."""

    sparsity: Annotated[Annotated[Share, Field(lt=1)], DECLARED]
    embeddings: Annotated[bool, DECLARED] = False
    training: Annotated[Tuning, DECLARED]


def config(parameters: Parameters, config: models.Config) -> models.Config:
    return config


def stage(parameters: Parameters, model: Stage, before: models.Config, cell: Cell) -> Stage:
    pruned = cell.stage(
        "magnitude",
        1,
        prune,
        params={
            "task": cell.task.name,
            "sparsity": parameters.sparsity,
            "embeddings": parameters.embeddings,
        },
        inputs={"model": model},
    )
    return tuned(cell, pruned, before, parameters.training)


def prune(context: Context) -> None:
    folder = context.inputs["model"]
    model = models.load(folder)
    zero_smallest(matrices(model, context.params["embeddings"]), context.params["sparsity"])
    models.save(model, models.read_config(folder), context.folder)


def matrices(model: nn.Module, embeddings: bool) -> list[Tensor]:
    """Weights of the linear maps inside the encoder's layers and, if asked for, of every table."""
    layers = getattr(model, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise UserError(f"magnitude: a {type(model).__name__} model has no encoder layers to prune")
    found: list[Tensor] = [part.weight for part in layers.modules() if isinstance(part, nn.Linear)]
    if embeddings:
        found += [part.weight for part in model.modules() if isinstance(part, nn.Embedding)]
    return found


@torch.no_grad()
def zero_smallest(weights: list[Tensor], sparsity: float) -> None:
    """Exactly the share ``sparsity`` of all entries together, the smallest in magnitude, in place."""
    sizes = torch.cat([weight.abs().flatten() for weight in weights])
    kept = torch.ones(len(sizes))
    kept[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = 0.0
    for weight, mask in zip(weights, torch.split(kept, [w.numel() for w in weights]), strict=True):
        weight.mul_(mask.view_as(weight))
