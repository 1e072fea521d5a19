"""A linear model over hashed n-grams of word pieces, fitted by scikit-learn: the floor for a compressed BERT.

Features are those of :mod:`suite.models.ngram`, so what is fitted and what is timed are one model. The inverse
regularisation is chosen on the selection split, by accuracy for classes and by R squared for a regression, whatever
the task's own score is. The arithmetic of the sparse solver is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from suite import models
from suite.data.encode import Encoded
from suite.documents import DECLARED, Strict
from suite.models.ngram import Ngram
from suite.pipeline.cell import Cell
from suite.pipeline.stage import Context, Stage
from suite.protocol import Track
from suite.training.feeds import make_batch
from suite.training.settings import Positive


class Parameters(Strict):
    buckets: Annotated[Annotated[int, Field(ge=16, le=2**24)], DECLARED] = 2**18
    inverse_regularisation: Annotated[tuple[Positive, ...], DECLARED, Field(min_length=1)] = (
        10.0,
        100.0,
        1000.0,
    )


def students(parameters: Parameters, track: Track, outputs: int) -> dict[str, models.Config]:
    return {"default": {"architecture": "ngram", "buckets": parameters.buckets, "outputs": outputs}}


def plan(parameters: Parameters, cell: Cell) -> Mapping[str, Stage]:
    config = students(parameters, cell.track, cell.task.outputs)["default"]
    stage = cell.stage(
        "ngram",
        1,
        fit,
        params={"config": config, "grid": list(parameters.inverse_regularisation)},
        inputs={"data": cell.encoded},
        tokens=cell.train_tokens,
    )
    return {"default": stage}


def features(model: Ngram, data: Encoded) -> Any:
    """Sparse matrix [examples, buckets]: each real n-gram's share of its example's n-grams."""
    from scipy.sparse import coo_array

    rows, columns, values = [], [], []
    order = np.argsort(data.lengths, kind="stable")
    for start in range(0, len(order), 256):
        index = order[start : start + 256]
        buckets, valid = (part.cpu() for part in model.features(*make_batch(data, index).inputs))
        share = valid / valid.sum(1, keepdim=True).clamp(min=1.0)
        kept = (valid > 0).numpy()
        rows.append(np.broadcast_to(index[:, None], kept.shape)[kept])
        columns.append(buckets.numpy()[kept])
        values.append(share.numpy()[kept])
    parts = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return coo_array(parts, shape=(len(data), model.buckets)).tocsr()


def fit(context: Context) -> None:
    config = context.params["config"]
    model = Ngram(config["buckets"], config["outputs"])
    train, chosen = (Encoded.load(context.inputs["data"] / split) for split in ("train", "selection"))
    x, y = features(model, train), features(model, chosen)
    solve = _regression if config["outputs"] == 1 else _classification
    fits = []
    for done, strength in enumerate(context.params["grid"]):
        fits.append(solve(x, train.labels, y, chosen.labels, strength, config["outputs"]))
        context.progress(done + 1, len(context.params["grid"]))
    _, weight, bias = max(fits, key=lambda fit: fit[0])
    model.load_state_dict(
        {"weight": torch.from_numpy(weight).float(), "bias": torch.from_numpy(bias).float()}
    )
    models.save(model, config, context.folder)


Fit = tuple[float, np.ndarray, np.ndarray]  # selection score, weight [buckets, outputs], bias [outputs]


def _classification(
    x: Any, labels: np.ndarray, y: Any, chosen: np.ndarray, strength: float, outputs: int
) -> Fit:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=strength, max_iter=1000).fit(x, labels)
    weight, bias = np.zeros((x.shape[1], outputs)), np.full(outputs, -30.0)
    if outputs == 2:
        # scikit-learn gives the log-odds of the second class.
        weight, bias = np.stack([-fitted.coef_[0] / 2, fitted.coef_[0] / 2], 1), np.zeros(2)
        bias += np.array([-0.5, 0.5]) * fitted.intercept_[0]
    else:
        weight[:, fitted.classes_] = fitted.coef_.T
        bias[fitted.classes_] = fitted.intercept_
    return float(fitted.score(y, chosen)), weight, bias


def _regression(x: Any, labels: np.ndarray, y: Any, chosen: np.ndarray, strength: float, outputs: int) -> Fit:
    from sklearn.linear_model import Ridge

    fitted = Ridge(alpha=1.0 / strength, random_state=0).fit(x, labels.astype(np.float64))
    return float(fitted.score(y, chosen)), fitted.coef_.reshape(-1, 1), np.atleast_1d(fitted.intercept_)
