"""Operating points of a model with early exits: the speed at which the mean example runs so many layers.

Speeds are found on the selection split after training. What a model with exits offers: :mod:`suite.models`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite import models
from suite.canonical import pretty_json
from suite.data.encode import Encoded
from suite.pipeline.cell import Cell
from suite.pipeline.stage import Context, Stage
from suite.training.feeds import outputs_of

UNCERTAINTY = "uncertainty.npy"


def at_mean_layers(
    cell: Cell, model: Stage, config: models.Config, mean_layers: Sequence[int]
) -> dict[int, Stage]:
    """Mean layers -> the stage that sets the speed of ``model`` for it. The model runs once for all of them."""
    watched = cell.stage(
        "exit-uncertainty",
        1,
        watch,
        inputs={"model": model, "data": cell.encoded},
        tflop=cell.forward(config, "selection"),
        tokens=int(cell.lengths["selection"].sum()),
    )
    inputs = {"model": model, "uncertainty": watched}
    return {
        layers: cell.stage("exit-threshold", 1, set_speed, params={"mean_layers": layers}, inputs=inputs)
        for layers in mean_layers
    }


def watch(context: Context) -> None:
    """How unsure every exit but the last is of the selection split: float32 [exits - 1, examples]."""
    model: Any = models.load(context.inputs["model"])
    data = Encoded.load(context.inputs["data"] / "selection")
    np.save(context.folder / UNCERTAINTY, outputs_of(model.uncertainties, data).T)


def set_speed(context: Context) -> None:
    """The same weights with the speed whose mean depth is nearest to the one asked for."""
    watched, source = np.load(context.inputs["uncertainty"] / UNCERTAINTY), context.inputs["model"]
    config = {**models.read_config(source), "speed": threshold(watched, context.params["mean_layers"])}
    (context.folder / "config.json").write_text(pretty_json(config), encoding="utf-8")
    shutil.copyfile(source / "model.safetensors", context.folder / "model.safetensors")


def threshold(uncertainties: NDArray[np.float32], layers: float) -> float:
    """The speed whose mean depth on [exits - 1, examples] is nearest to ``layers``; of equally near ones the faster.

    An example goes past exit k while the least uncertainty it met so far is not below the speed, so the mean depth
    is 1 + the number of such minima not below it, an example. Only the order of the minima matters: all speeds
    between two neighbours do the same, and the one in the middle is furthest from both.
    """
    least = np.minimum.accumulate(uncertainties, axis=0)
    values, counts = np.unique(least[np.isfinite(least)], return_counts=True)
    past = least.size - np.concatenate(
        [[0], np.cumsum(counts)]
    )  # minima not below each value, and not below any
    distance = np.abs(1 + past / uncertainties.shape[1] - layers)
    chosen = int(np.flatnonzero(distance == distance.min())[-1])
    if not len(values):  # nothing to choose by: nobody leaves
        return 0.0
    if chosen == len(values):
        return float(np.nextafter(values[-1], np.float32(np.inf)))
    lower = values[chosen - 1] if chosen else np.float32(0)
    middle = np.float32(lower + (values[chosen] - lower) / 2)
    return float(middle if middle > lower else values[chosen])
