"""The majority class of the training labels (their mean for regression): chance level, as a row of its own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from suite import models
from suite.data.encode import Encoded
from suite.documents import Strict
from suite.models.constant import Constant
from suite.pipeline.cell import Cell
from suite.pipeline.stage import Context, Stage
from suite.protocol import Track


class Parameters(Strict):
    """Nothing to set."""


def students(parameters: Parameters, track: Track, outputs: int) -> dict[str, models.Config]:
    return {"default": {"architecture": "constant", "outputs": outputs}}


def plan(parameters: Parameters, cell: Cell) -> Mapping[str, Stage]:
    config = students(parameters, cell.track, cell.task.outputs)["default"]
    stage = cell.stage(
        "majority",
        1,
        count_labels,
        params={"config": config},
        inputs={"data": cell.encoded},
        tokens=cell.train_tokens,
    )
    return {"default": stage}


def count_labels(context: Context) -> None:
    """Scores are the labels' shares, so that the highest is the majority and the calibration is honest."""
    labels = Encoded.load(context.inputs["data"] / "train").labels
    config = context.params["config"]
    if np.issubdtype(labels.dtype, np.floating):
        scores = torch.tensor([labels.mean()], dtype=torch.float32)
    else:
        shares = np.bincount(labels, minlength=config["outputs"]) / len(labels)
        scores = torch.from_numpy(np.log(np.maximum(shares, 1e-6))).float()
    model = Constant(config["outputs"])
    model.load_state_dict({"scores": scores})
    models.save(model, config, context.folder)
