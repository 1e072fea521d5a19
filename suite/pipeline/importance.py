"""How much each attention head and feed-forward neuron matters to a trained model, from training examples.

First-order Taylor terms (Michel 2019, section 4; Hou 2020, section 2.1): what the loss would change by if the head or
the neuron were taken out. For a head that is the derivative by a factor on its output; it equals the sum of weight
times gradient over the head's columns of the output projection. For a neuron it is the same sum over its incoming
weights and bias, and over its outgoing weights, absolute values added. Each batch's gradients stand alone, and the
absolute values are summed over batches.

The code published with Hou 2020 reads the *dev* set and lets gradients pile up from batch to batch. Here only training
examples are read, and gradients are new for every batch. Dropout is off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from suite import models
from suite.data.encode import Encoded
from suite.models.bert import Bert
from suite.models.slim import sizes
from suite.pipeline.cell import Cell, forward_tflop
from suite.pipeline.stage import Context, Stage
from suite.training.feeds import Batch, chosen, sorted_batches
from suite.training.loop import fold
from suite.training.losses import task_loss


class Importance(NamedTuple):
    """Per layer: of each head [heads] and of each neuron [neurons]; larger matters more."""

    heads: list[Tensor]
    neurons: list[Tensor]


def importance_stage(cell: Cell, model: Stage, config: Mapping[str, Any], examples: int) -> Stage:
    """The stage that measures the importance in ``model`` on at most ``examples`` training examples."""
    lengths = cell.lengths["train"]
    lengths = lengths[chosen(len(lengths), examples, fold(cell.seed, "importance"))]
    return cell.stage(
        "importance",
        1,
        write_importance,
        params={"task": cell.task.name, "examples": examples},
        inputs={"model": model, "data": cell.encoded},
        tflop=3 * forward_tflop(config, lengths),
        tokens=int(lengths.sum()),
    )


def write_importance(context: Context) -> None:
    """``importance.npz`` of a bert or slim model folder."""
    folder = context.inputs["model"]
    sizes(models.read_config(folder))  # says so where there is nothing to cut
    model = models.load(folder)
    assert isinstance(model, Bert)
    data = Encoded.load(context.inputs["data"] / "train")
    index = chosen(len(data), context.params["examples"], fold(context.seed, "importance"))
    found = importance(model, sorted_batches(data, index))
    arrays = {
        f"{kind}-{place}": values.cpu().numpy()
        for kind, layers in found._asdict().items()
        for place, values in enumerate(layers)
    }
    np.savez(context.folder / "importance.npz", **arrays)


def read_importance(folder: Path) -> Importance:
    with np.load(folder / "importance.npz", allow_pickle=False) as stored:
        layers = len(stored.files) // 2
        return Importance(
            *([torch.from_numpy(stored[f"{kind}-{i}"]) for i in range(layers)] for kind in Importance._fields)
        )


def order(values: Tensor) -> list[int]:
    """Places from the most important to the least; the earlier of equals first."""
    places: list[int] = values.argsort(descending=True, stable=True).tolist()
    return places


def importance(model: Bert, batches: Iterable[Batch]) -> Importance:
    """Sums over ``batches`` of the absolute Taylor terms of the task's loss."""
    layers: list[Any] = list(model.layers)
    heads = [torch.zeros(layer.attention.self.num_attention_heads) for layer in layers]
    neurons = [torch.zeros(layer.intermediate.dense.out_features) for layer in layers]
    model.eval()
    for batch in batches:
        model.zero_grad(set_to_none=True)
        task_loss(model(*batch.inputs), batch.labels).backward()  # type: ignore[no-untyped-call]
        for place, layer in enumerate(layers):
            merged = _products(layer.attention.output.dense.weight).sum(0)
            heads[place] += merged.view(len(heads[place]), -1).sum(1).abs()
            expand = layer.intermediate.dense
            neurons[place] += (_products(expand.weight).sum(1) + _products(expand.bias)).abs()
            neurons[place] += _products(layer.output.dense.weight).sum(0).abs()
    model.zero_grad(set_to_none=True)
    return Importance(heads, neurons)


def _products(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return weight.detach() * weight.grad
