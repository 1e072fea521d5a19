"""8-bit weights; activations in 8 bits by the range that each example has at each layer when it comes by.

Nothing is trained or measured: the weights decide everything. This is what the runtime ``onnx_int8_dynamic`` computes,
in float32 and so without its speed: a model made here gives its own answers there, but for the few examples in which
some value falls on a rounding's edge.
"""

from __future__ import annotations

from typing import Annotated

from suite import models
from suite.documents import DECLARED, Strict
from suite.models.int8 import quantise, quantised_config
from suite.pipeline.cell import Cell
from suite.pipeline.stage import Context, Stage


class Parameters(Strict):
    """``embeddings``: whether tables are in 8 bits too, a scale for each row."""

    embeddings: Annotated[bool, DECLARED] = True


def config(parameters: Parameters, config: models.Config) -> models.Config:
    return quantised_config(config, "dynamic", parameters.embeddings)


def stage(parameters: Parameters, model: Stage, before: models.Config, cell: Cell) -> Stage:
    config(parameters, before)  # says so now where it cannot be done
    return cell.stage(
        "int8-dynamic",
        1,
        convert,
        params={"task": cell.task.name, "embeddings": parameters.embeddings},
        inputs={"model": model},
    )


def convert(context: Context) -> None:
    folder = context.inputs["model"]
    converted = quantise(
        models.load(folder), models.read_config(folder), embeddings=context.params["embeddings"]
    )
    models.save(*converted, context.folder)
