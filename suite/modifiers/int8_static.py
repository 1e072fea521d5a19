"""8-bit weights; activations in 8 bits by ranges measured beforehand on training examples, one for each layer.

A range runs between two percentiles of all values that the layer saw (100: the lowest and the highest). What lies
outside is clipped. Values are counted in equal bins between the extremes, so that no layer's values are kept.

The runtime ``onnx_int8_static`` runs a model made here with these weights, but measures ranges of its own (from the
lowest to the highest value of other training examples). Its answers are about as far from the model's own as those are
from float32's; they are scored by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from suite import models
from suite.data.encode import Encoded
from suite.documents import DECLARED, Number, Strict
from suite.models.int8 import quantise, quantised_config
from suite.pipeline.cell import Cell, forward_tflop
from suite.pipeline.stage import Context, Stage
from suite.training.feeds import Batch, chosen, sorted_batches
from suite.training.loop import fold

BINS = 4096


class Parameters(Strict):
    """``embeddings``: whether tables are in 8 bits too. ``examples`` are read for the ranges."""

    embeddings: Annotated[bool, DECLARED] = True
    examples: Annotated[Annotated[int, Field(ge=1)], DECLARED] = 256
    percentile: Annotated[Annotated[Number, Field(gt=50, le=100)], DECLARED] = 99.99


def config(parameters: Parameters, config: models.Config) -> models.Config:
    return quantised_config(config, "static", parameters.embeddings)


def stage(parameters: Parameters, model: Stage, before: models.Config, cell: Cell) -> Stage:
    config(parameters, before)  # says so now where it cannot be done
    lengths = cell.lengths["train"]
    lengths = lengths[chosen(len(lengths), parameters.examples, fold(cell.seed, "calibration"))]
    passes = 1 if parameters.percentile == 100 else 2
    return cell.stage(
        "int8-static",
        1,
        convert,
        params={"task": cell.task.name, **parameters.model_dump(mode="json")},
        inputs={"model": model, "data": cell.encoded},
        tflop=passes * forward_tflop(before, lengths),
        tokens=passes * int(lengths.sum()),
    )


def convert(context: Context) -> None:
    folder, params = context.inputs["model"], context.params
    model = models.load(folder)
    data = Encoded.load(context.inputs["data"] / "train")
    index = chosen(len(data), params["examples"], fold(context.seed, "calibration"))
    ranges = activation_ranges(model, list(sorted_batches(data, index)), params["percentile"])
    converted = quantise(model, models.read_config(folder), embeddings=params["embeddings"], ranges=ranges)
    models.save(*converted, context.folder)


def activation_ranges(
    model: nn.Module, batches: list[Batch], percentile: float
) -> dict[str, tuple[float, float]]:
    """Linear layer's name -> (lowest at most 0, highest at least 0) of what enters it, real tokens only."""
    low: dict[str, float] = {}
    high: dict[str, float] = {}

    def extremes(name: str, values: Tensor) -> None:
        low[name] = min(low.get(name, 0.0), float(values.min()))
        high[name] = max(high.get(name, 0.0), float(values.max()))

    _watch(model, batches, extremes)
    if percentile == 100:
        return {name: (low[name], high[name]) for name in low}
    counts = {name: torch.zeros(BINS, dtype=torch.float64) for name in low}

    def count(name: str, values: Tensor) -> None:
        counts[name] += torch.histc(values, BINS, low[name], high[name])

    _watch(model, batches, count)
    return {name: _between(counts[name], low[name], high[name], percentile / 100) for name in low}


def _between(counts: Tensor, low: float, high: float, share: float) -> tuple[float, float]:
    """The ends of the bins that hold the values at both percentiles."""
    below = counts.cumsum(0) / counts.sum()
    width = (high - low) / BINS
    first = int((below < 1 - share).sum())  # whole bins under the lower percentile
    last = int((below < share).sum())
    return min(0.0, low + first * width), max(0.0, low + (last + 1) * width)


def _watch(model: nn.Module, batches: list[Batch], see: Callable[[str, Tensor], None]) -> None:
    """Run the batches and show ``see`` what enters every linear layer, padding left out."""
    mask: list[Tensor] = []

    def hook(name: str) -> Any:
        def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0]
            see(name, x[mask[0].bool()] if x.dim() == 3 else x)

        return look

    linear = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    handles = [part.register_forward_pre_hook(hook(name)) for name, part in linear]
    try:
        with torch.inference_mode():
            for batch in batches:
                mask[:] = [batch.mask]
                model(*batch.inputs)
    finally:
        for handle in handles:
            handle.remove()
