"""Metrics as GLUE defines them, in numpy, each with the share of its error that every example carries.

A metric function takes predictions and gold of n examples and returns ``(value, influence)``. ``influence``
is float64 [n], centred, with ``sum(influence**2)`` = the sampling variance of ``value`` over examples.
It is u_i = IF_i / sqrt(n (n - 1)), IF_i being the empirical influence function of example i (the
infinitesimal jackknife, also called the delta method); for a plain mean the sum is exactly the unbiased
p(1-p)/(n-1). Differences of influences give the variance of differences, so two models are compared on the
same examples without their gold labels.

Where a metric is undefined (a constant prediction has no correlation) it is 0, with influence 0: never NaN.
Sources: GLUE (Wang et al. 2019, table 1); Matthews for K classes: Gorodkin 2004; influence functions: Efron
1982 ch. 6, for rank correlation Croux & Dehon 2010, here with ties; calibration: Guo et al. 2017; Brier 1950.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from suite.errors import UserError
from suite.tasks import Task

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Measured = tuple[float, Floats]

CALIBRATION_BINS = 15  # equal width over [0, 1], closed on the right
COLLAPSED = 1e-4  # a regressor whose answers span less than this share of the gold range is constant
LABEL_ORDER = 0.20  # a 3-class accuracy below this is more likely swapped labels than a bad model


@dataclass(frozen=True)
class Scored:
    """One model's answers on one task's dev sets."""

    metrics: dict[str, float]  # 0..1, correlations -1..1
    score: float  # points: 100 x mean of the metrics
    influence: dict[str, Floats]  # split -> [n], points; squares sum over all splits to sd^2
    sd: float  # sampling standard deviation of the score over examples, points
    calibration: dict[str, float]  # ece, brier; empty for regression
    diverged: bool  # every answer is the same class (or the same number)
    warnings: tuple[str, ...] = ()


# --- metrics ------------------------------------------------------------------------------------------------


def accuracy(predicted: Array, gold: Array) -> Measured:
    """Share of equal entries. ``predicted``, ``gold``: class indices [n]. IF_i = [right] - accuracy."""
    right = (predicted == gold).astype(np.float64)
    value = float(right.mean())
    return value, _scale(right - value)


def f1(predicted: Array, gold: Array) -> Measured:
    """F1 of class 1 = 2 tp / (predicted positives + gold positives); 0 where nothing is positive.

    A ratio of two means N / D, so IF_i = (N_i - F1 D_i) / D with N_i = 2 [p=1][g=1], D_i = [p=1] + [g=1].
    """
    p, g = (predicted == 1).astype(np.float64), (gold == 1).astype(np.float64)
    numerator, denominator = 2 * p * g, p + g
    total = denominator.sum()
    if total == 0:
        return 0.0, np.zeros(len(p))
    value = float(numerator.sum() / total)
    return value, _scale((numerator - value * denominator) / (total / len(p)))


def matthews(predicted: Array, gold: Array) -> Measured:
    """Matthews correlation for any number of classes (R_K): cov(p,g) / sqrt(cov(p,p) cov(g,g)).

    cov(p,g) = sum over classes k of the covariance of [p=k] and [g=k]. With c_i(.,.) the i-th term of each,
    IF_i = c_i(p,g) / sqrt(cov(p,p) cov(g,g)) - R/2 (c_i(p,p) / cov(p,p) + c_i(g,g) / cov(g,g)).
    0 where either side is one single class.
    """
    n = len(gold)
    _, codes = np.unique(np.concatenate([predicted, gold]), return_inverse=True)
    p, g = codes[:n], codes[n:]
    classes = int(codes.max()) + 1
    p_count = np.bincount(p, minlength=classes).astype(np.float64)
    g_count = np.bincount(g, minlength=classes).astype(np.float64)
    agree = (p == g).astype(np.float64)
    # Counts stay whole numbers until the one division, as in scikit-learn, so equality with it is exact.
    cov_pg = float(agree.sum() * n - p_count @ g_count)
    cov_pp, cov_gg = float(n**2 - p_count @ p_count), float(n**2 - g_count @ g_count)
    if cov_pp * cov_gg == 0:
        return 0.0, np.zeros(n)
    value = float(cov_pg / np.sqrt(cov_pp * cov_gg))
    p_share, g_share = p_count / n, g_count / n
    term_pg = agree - p_share[g] - g_share[p] + p_share @ g_share
    term_pp = 1 - 2 * p_share[p] + p_share @ p_share
    term_gg = 1 - 2 * g_share[g] + g_share @ g_share
    return value, _scale(_ratio_influence(value, term_pg, term_pp, term_gg, cov_pp / n**2, cov_gg / n**2))


def pearson(predicted: Array, gold: Array) -> Measured:
    """Pearson's r; with z the standardised values, IF_i = z_p z_g - r/2 (z_p^2 + z_g^2).

    0 where one side is constant.
    """
    p, g = _standardised(predicted), _standardised(gold)
    if p is None or g is None:
        return 0.0, np.zeros(len(gold))
    value = float(np.clip(np.mean(p * g), -1.0, 1.0))
    return value, _scale(p * g - value / 2 * (p**2 + g**2))


def spearman(predicted: Array, gold: Array) -> Measured:
    """Pearson's r of average ranks. Its influence counts that an example also moves the ranks of the others.

    With U = (rank - 1/2)/n of the prediction, V of the gold, and h(a, x) = [a < x] + [a = x]/2, so that
    U(x) = mean_j h(x_j, x): the influence on mean(UV) is
    U_i V_i + mean_j h(x_i, x_j) V_j + mean_j U_j h(y_i, y_j) - 3 mean(UV), and likewise on mean(UU) and
    mean(VV); the three combine as in :func:`matthews`.
    """
    value, _ = pearson(average_ranks(predicted), average_ranks(gold))
    n = len(gold)
    u, v = (average_ranks(predicted) - 0.5) / n, (average_ranks(gold) - 0.5) / n
    var_u, var_v = float(u @ u / n - 0.25), float(v @ v / n - 0.25)
    if np.ptp(u) == 0 or np.ptp(v) == 0:
        return 0.0, np.zeros(n)
    term_uv = u * v + _mean_at_or_above(predicted, v) + _mean_at_or_above(gold, u) - 3 * np.mean(u * v)
    term_uu = u * u + 2 * _mean_at_or_above(predicted, u) - 3 * np.mean(u * u)
    term_vv = v * v + 2 * _mean_at_or_above(gold, v) - 3 * np.mean(v * v)
    return value, _scale(_ratio_influence(value, term_uv, term_uu, term_vv, var_u, var_v))


METRICS: dict[str, Callable[[Array, Array], Measured]] = {
    "accuracy": accuracy, "f1": f1, "matthews": matthews, "pearson": pearson, "spearman": spearman,
}  # fmt: skip


def average_ranks(values: Array) -> Floats:
    """Ranks from 1; equal values share the mean of their ranks. [n] -> [n]."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = (ends - (counts - 1) / 2)[inverse]
    return ranks


def _mean_at_or_above(x: Array, weights: Floats) -> Floats:
    """mean_j weights_j ([x_i < x_j] + [x_i = x_j] / 2) for every i, in n log n."""
    _, inverse = np.unique(x, return_inverse=True)
    equal = np.bincount(inverse, weights)
    above = equal.sum() - np.cumsum(equal)
    result: Floats = (above + equal / 2)[inverse] / len(x)
    return result


def _standardised(values: Array) -> Floats | None:
    """Mean 0, mean square 1; None for values that are constant up to rounding (scipy's threshold)."""
    x = np.asarray(values, dtype=np.float64)
    centred = x - x.mean()
    largest = np.abs(centred).max()
    if np.ptp(x) == 0 or largest == 0:
        return None
    norm = largest * np.linalg.norm(centred / largest)  # in two steps: squares of tiny numbers vanish
    if norm < 1e-13 * abs(x.mean()):
        return None
    result: Floats = centred / norm * np.sqrt(len(x))
    return result


def _ratio_influence(r: float, xy: Floats, xx: Floats, yy: Floats, var_x: float, var_y: float) -> Floats:
    """Influence on r = c_xy / sqrt(c_xx c_yy), from the terms that each example adds to the three."""
    result: Floats = xy / np.sqrt(var_x * var_y) - r / 2 * (xx / var_x + yy / var_y)
    return result


def _scale(influence: Floats) -> Floats:
    """IF_i -> u_i = (IF_i - mean) / sqrt(n (n - 1)); one example alone says nothing of its own error: 0."""
    n = len(influence)
    if n < 2:
        return np.zeros(n)
    result: Floats = (influence - influence.mean()) / np.sqrt(n * (n - 1))
    return result


# --- calibration --------------------------------------------------------------------------------------------


def softmax(logits: Array) -> Floats:
    """Row by row, in float64. [n, labels] -> [n, labels]."""
    x = np.asarray(logits, dtype=np.float64)
    e = np.exp(x - x.max(axis=1, keepdims=True))
    result: Floats = e / e.sum(axis=1, keepdims=True)
    return result


def expected_calibration_error(probabilities: Floats, gold: Array, bins: int = CALIBRATION_BINS) -> float:
    """sum over bins of (n_b / n) |accuracy_b - mean confidence_b| (Guo et al. 2017, eq. 3), 0..1.

    The confidence is the largest probability; ``bins`` of equal width over [0, 1], each closed on the right.
    """
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == gold).astype(np.float64)
    edges = np.arange(1, bins) / bins
    gap = np.bincount(np.searchsorted(edges, confidence, side="left"), right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(gold))


def brier(probabilities: Floats, gold: Array) -> float:
    """mean over examples of sum over labels of (p - [gold])^2 (Brier 1950): 0..2, two labels included."""
    target = np.eye(probabilities.shape[1])[gold]
    return float(((probabilities - target) ** 2).sum(axis=1).mean())


# --- a task -------------------------------------------------------------------------------------------------


def score(task: Task, predictions: Mapping[str, Array], gold: Mapping[str, Array]) -> Scored:
    """Score one model on one task.

    ``predictions``: dev split -> logits [n, outputs] (natural-log scale: their softmax is the model's
    probability), for regression the number itself [n, 1] or [n]. ``gold``: dev split -> class indices [n], or
    numbers [n].
    A task with several dev splits has each metric on each of them: MNLI's ``dev_matched`` gives
    ``accuracy_matched``.
    UserError when the two do not fit, or hold anything but finite numbers and known labels.
    """
    logits, truth = _checked(task, predictions, gold)
    answers = {s: x[:, 0] if task.regression else x.argmax(axis=1) for s, x in logits.items()}
    metrics: dict[str, float] = {}
    influence: dict[str, Floats] = {split: np.zeros(len(y)) for split, y in truth.items()}
    for kind in task.metrics:
        _check_metric(task, kind)
        for split in truth:
            value, part = METRICS[kind](answers[split], truth[split])
            metrics[kind if len(truth) == 1 else f"{kind}_{split.removeprefix('dev_')}"] = value
            influence[split] = influence[split] + 100 / (len(task.metrics) * len(truth)) * part
    everything = np.concatenate(list(truth.values()))
    said = np.concatenate([answers[split] for split in truth])
    variance = sum(float(u @ u) for u in influence.values())
    return Scored(
        metrics=metrics,
        score=100 * sum(metrics.values()) / len(metrics),
        influence=influence,
        sd=float(np.sqrt(variance)),
        calibration={} if task.regression else _calibration(logits, truth),
        diverged=_constant(task, said, everything),
        warnings=_warnings(task, said, everything),
    )


def _calibration(logits: Mapping[str, Array], truth: Mapping[str, Array]) -> dict[str, float]:
    """Over all dev splits together."""
    probabilities = softmax(np.concatenate([logits[split] for split in truth]))
    gold = np.concatenate(list(truth.values()))
    return {"ece": expected_calibration_error(probabilities, gold), "brier": brier(probabilities, gold)}


def _constant(task: Task, said: Array, gold: Array) -> bool:
    if task.regression:
        # Not exactly: batches of other lengths move a constant answer's last digits.
        return bool(np.ptp(said) <= COLLAPSED * np.ptp(gold))
    return bool(np.all(said == said[0]))


def _warnings(task: Task, said: Array, gold: Array) -> tuple[str, ...]:
    found = []
    if len(task.labels) == 3 and np.mean(said == gold) < LABEL_ORDER:
        found.append(
            f"label order? {task.name}: accuracy {np.mean(said == gold):.1%} over 3 labels; "
            f"expected the outputs in the order {', '.join(task.labels)}"
        )
    return tuple(found)


def _check_metric(task: Task, kind: str) -> None:
    if kind not in METRICS:
        raise UserError(f"task {task.name}: unknown metric {kind!r}; known: {', '.join(sorted(METRICS))}")
    if kind == "f1" and len(task.labels) != 2:
        raise UserError(f"task {task.name}: metric f1 needs 2 labels, the task has {len(task.labels)}")
    if (kind in ("pearson", "spearman")) != task.regression:
        raise UserError(f"task {task.name}: metric {kind!r} does not fit its {len(task.labels)} labels")


def _checked(
    task: Task, predictions: Mapping[str, Array], gold: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The two as arrays [n, outputs] and [n], split by split in the gold's order, or UserError."""
    if set(predictions) != set(gold) or not gold:
        raise UserError(f"task {task.name}: predictions for {sorted(predictions)}, gold for {sorted(gold)}")
    logits: dict[str, Array] = {}
    truth: dict[str, Array] = {}
    for split, labels in gold.items():
        where = f"task {task.name}, {split}"
        x, y = np.asarray(predictions[split]), np.asarray(labels)
        if x.ndim == 1 and task.regression:
            x = x[:, None]
        if y.ndim != 1 or x.shape != (len(y), task.outputs) or len(y) == 0:
            raise UserError(
                f"{where}: predictions {x.shape}, expected ({len(y)}, {task.outputs}), at least 1"
            )
        if not np.isfinite(x).all():
            raise UserError(f"{where}: predictions hold NaN or infinity", code=1)
        if task.regression:
            y = y.astype(np.float64)
            if not np.isfinite(y).all():
                raise UserError(f"{where}: gold holds NaN or infinity")
        elif not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= task.outputs:
            raise UserError(f"{where}: gold must be class indices 0..{task.outputs - 1}")
        logits[split], truth[split] = x.astype(np.float64), y
    return logits, truth
