"""Structured pruning: the least important heads and feed-forward neurons of every layer are removed, then fine-tuning.

Importance is the first-order Taylor term of Michel (2019) and Hou (2020), read on training examples. The same share is
removed from each layer, so that the shapes are known before there are weights. What is left is a smaller model, not
one with zeros. Layers keep at least one head and one neuron.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor

from suite import models
from suite.documents import DECLARED, Strict
from suite.models.bert import Bert
from suite.models.slim import Kept, cut, resized, sizes
from suite.pipeline.cell import Cell
from suite.pipeline.importance import importance_stage, order, read_importance
from suite.pipeline.stage import Context, Stage
from suite.pipeline.tuning import Tuning, tuned
from suite.training.settings import Share


class Parameters(Strict):
    """``heads``, ``ffn``: the shares that are removed."""

    heads: Annotated[Annotated[Share, Field(lt=1)], DECLARED]
    ffn: Annotated[Annotated[Share, Field(lt=1)], DECLARED]
    importance_examples: Annotated[Annotated[int, Field(ge=1)], DECLARED] = 1024
    training: Annotated[Tuning, DECLARED]


def _left(count: int, removed: float) -> int:
    return max(1, round(count * (1 - removed)))


def config(parameters: Parameters, config: models.Config) -> models.Config:
    _, heads, neurons = sizes(config)
    return resized(
        config, [_left(n, parameters.heads) for n in heads], [_left(n, parameters.ffn) for n in neurons]
    )


def stage(parameters: Parameters, model: Stage, before: models.Config, cell: Cell) -> Stage:
    after = config(parameters, before)
    _, heads, neurons = sizes(after)
    pruned = cell.stage(
        "prune-structured",
        1,
        prune,
        params={"task": cell.task.name, "heads": list(heads), "neurons": list(neurons)},
        inputs={
            "model": model,
            "importance": importance_stage(cell, model, before, parameters.importance_examples),
        },
    )
    return tuned(cell, pruned, after, parameters.training)


def prune(context: Context) -> None:
    folder, found = context.inputs["model"], read_importance(context.inputs["importance"])
    model = models.load(folder)
    assert isinstance(model, Bert)

    def best(values: Sequence[Tensor], counts: Sequence[int]) -> list[list[int]]:
        """The most important places of each layer, in the order in which they stand."""
        return [sorted(order(layer)[:count]) for layer, count in zip(values, counts, strict=True)]

    kept = zip(
        best(found.heads, context.params["heads"]),
        best(found.neurons, context.params["neurons"]),
        strict=True,
    )
    smaller = cut(model, models.read_config(folder), [Kept(place, *one) for place, one in enumerate(kept)])
    models.save(*smaller, context.folder)
