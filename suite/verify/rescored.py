"""Level ``rescored``: every score follows from the predictions and the gold labels.

Needs the data at hand; without it this level is ``skipped: no data``, never passed. Even then what the figures
owe each other is held together, and a run whose figures do not fit fails.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suite.folder import Problem, show
from suite.scoring import Scored, accuracy, pearson, score
from suite.tables import Split
from suite.verify.compare import ABSOLUTE, RELATIVE, problems
from suite.verify.gold import GoldSplit
from suite.verify.loaded import LoadedRun, Problems

Gold = dict[str, GoldSplit]

COPIED = 1 - 1e-6  # correlation with the gold numbers; people who label twice agree far less
FEWEST_LABELS = 16
NARROW = 0.01  # numbers that span more than this are not one number on any scale of labels
CENTRED = 1e-9  # a sum of influences over the sum of their sizes


def unusable(loaded: LoadedRun, gold: Gold) -> str | None:
    """Why this data cannot rescore the run, though nothing is wrong with the run; None where it can.

    The labels at hand may be another subset of the official dev set. Where they are the very ones that the
    protocol names, other rows in the run are the run's fault and are found by :func:`rows_are_the_datas`.
    """
    for name, split in gold.items():
        used = loaded.run.data.dev.get(name)
        if used is not None and used.fingerprint != split.fingerprint and split.genuine is False:
            return f"the {name} rows of {loaded.run.task} in this data are not the protocol's"
    return None


def rows_are_the_datas(loaded: LoadedRun, gold: Gold) -> Problems:
    """The dev rows scored are the rows of the data: same number, same content hashes."""
    for name, split in gold.items():
        used = loaded.run.data.dev.get(name)
        if used is None:
            continue  # named at level valid
        field = f"data.dev.{name}"
        fix = "score on the task's dev set"
        if used.rows != len(split.labels):
            yield Problem(loaded.file, f"{field}.rows", str(used.rows), str(len(split.labels)), fix)
        if used.fingerprint != split.fingerprint:
            yield Problem(loaded.file, f"{field}.fingerprint", used.fingerprint, split.fingerprint, fix)


def scores_follow(loaded: LoadedRun, gold: Gold) -> Problems:
    """Metrics, score, its deviation, calibration, diverged and every influence, from predictions and gold."""
    scored = _scored(loaded, gold)
    if scored is None:
        return
    computed = {
        "metrics": scored.metrics,
        "score": scored.score,
        "score_sd": scored.sd,
        "calibration": scored.calibration,
        "diverged": scored.diverged,
    }
    stored = {name: loaded.raw.get(name) for name in computed}
    yield from problems(loaded.file, stored, computed)
    for warning in scored.warnings:
        yield Problem(
            loaded.file, "metrics", show(warning), "outputs in the order of the labels", "map by name"
        )
    for name, split in (loaded.predictions or {}).items():
        yield from _influence(loaded.table, name, split, scored.influence[name])


def answers_are_not_the_labels(loaded: LoadedRun, gold: Gold) -> Problems:
    """Predictions that are the gold labels themselves: no model gives the very numbers, or one score per label."""
    predictions, task = loaded.predictions, loaded.task
    if predictions is None or task is None or loaded.run.diverged:
        return
    for name, split in predictions.items():
        labels = gold[name].labels if name in gold else np.zeros(0)
        if not np.array_equal(split.row, np.arange(len(labels))) or len(labels) < FEWEST_LABELS:
            continue
        if task.regression:
            copied = abs(pearson(split.scores[:, 0], labels)[0]) > COPIED
        else:
            right = bool((split.scores.argmax(axis=1) == labels).all())
            copied = right and len(np.unique(split.scores, axis=0)) <= task.outputs
        if copied:
            fix = "score a model's own answers"
            yield Problem(
                loaded.table, "scores", f"the gold labels of {show(name)}", "a model's answers", fix
            )


def _influence(table: str, name: str, split: Split, expected: NDArray[np.float64]) -> Problems:
    """The column ``influence``, example by example."""
    wrong = np.flatnonzero(~np.isclose(split.influence, expected, rtol=RELATIVE, atol=ABSOLUTE))
    if len(wrong):
        first = int(wrong[0])
        field = f"influence of {name}, row {int(split.row[first])}"
        found, right = repr(float(split.influence[first])), repr(float(expected[first]))
        more = f" ({len(wrong)} rows differ)" if len(wrong) > 1 else ""
        yield Problem(table, field, found + more, right, "write the predictions with lightboard")


def _scored(loaded: LoadedRun, gold: Gold) -> Scored | None:
    """The run's score, or None where its rows are not the data's (another check says so)."""
    predictions, task = loaded.predictions, loaded.task
    if predictions is None or task is None or set(predictions) != set(gold):
        return None
    for name, split in predictions.items():
        labels = gold[name].labels
        if not np.array_equal(split.row, np.arange(len(labels))):
            return None
    return score(
        task,
        {name: split.scores for name, split in predictions.items()},
        {name: gold[name].labels for name in predictions},
    )


RUN = (rows_are_the_datas, scores_follow, answers_are_not_the_labels)


# --- what follows without the labels ------------------------------------------------------------------------


def metrics_are_the_tasks(loaded: LoadedRun) -> Problems:
    """The task's metrics, each in its range, and no others; so too the kinds of calibration."""
    task = loaded.task
    if task is None:
        return
    splits = task.dev_splits
    names = {
        kind if len(splits) == 1 else f"{kind}_{split.removeprefix('dev_')}": kind
        for kind in task.metrics
        for split in splits
    }
    ranges = {name: (0.0 if kind in ("accuracy", "f1") else -1.0, 1.0) for name, kind in names.items()}
    kinds = {} if task.regression else {"ece": (0.0, 1.0), "brier": (0.0, 2.0)}
    for field, stored, allowed in (
        ("metrics", loaded.run.metrics, ranges),
        ("calibration", loaded.run.calibration, kinds),
    ):
        for name in sorted(stored.keys() | allowed.keys()):
            place = f"{field}.{show(name)}"
            if name not in allowed:
                found = repr(stored[name])
                yield Problem(loaded.file, place, found, "nothing", "write the run with lightboard")
            elif name not in stored:
                yield Problem(loaded.file, place, "nothing", "a number", "write the run with lightboard")
            elif not allowed[name][0] <= stored[name] <= allowed[name][1]:
                expected = f"{allowed[name][0]:g} to {allowed[name][1]:g}"
                yield Problem(loaded.file, place, repr(stored[name]), expected, "score it again")


def score_follows_the_metrics(loaded: LoadedRun) -> Problems:
    """100 times the mean of the metrics."""
    metrics = loaded.run.metrics
    if metrics:
        computed = 100 * sum(metrics.values()) / len(metrics)
        yield from problems(loaded.file, loaded.run.score, computed, "score")


def deviation_follows_the_influence(loaded: LoadedRun) -> Problems:
    """``score_sd`` is the root of the sum of squared influences; they are centred in every dev set."""
    if loaded.predictions is None:
        return
    total = 0.0
    for name, split in loaded.predictions.items():
        square = float(split.influence @ split.influence)
        total += square
        offset = abs(float(split.influence.sum()))
        if offset > CENTRED * max(1.0, float(np.abs(split.influence).sum())):
            found = f"values that sum to {offset:.3g}"
            field = f"influence of {show(name)}"
            yield Problem(loaded.table, field, found, "0, for they are centred", "write it with lightboard")
    yield from problems(loaded.file, loaded.run.score_sd, float(np.sqrt(total)), "score_sd")


def accuracy_follows_the_influence(loaded: LoadedRun) -> Problems:
    """Where accuracy is a dev set's only metric, right answers are those of positive influence: count them.

    Their number alone says how large every influence is. Where none is positive or negative, all answers were
    right, or none was.
    """
    task, run = loaded.task, loaded.run
    if loaded.predictions is None or task is None or tuple(task.metrics) != ("accuracy",):
        return
    for name, split in loaded.predictions.items():
        metric = "accuracy" if len(task.dev_splits) == 1 else f"accuracy_{name.removeprefix('dev_')}"
        if metric not in run.metrics:
            continue  # said above
        right = split.influence > 0
        if not (split.influence != 0).any():
            right[:] = run.metrics[metric] > 0.5
        computed, influence = accuracy(right, np.ones(len(right), dtype=bool))
        yield from problems(loaded.file, run.metrics[metric], computed, f"metrics.{metric}")
        yield from _influence(loaded.table, name, split, 100 / len(task.dev_splits) * influence)


def diverged_follows(loaded: LoadedRun) -> Problems:
    """All answers are one class; of numbers, as far as it can be told without the range of the labels."""
    if loaded.predictions is None or loaded.task is None:
        return
    said = [split.scores for split in loaded.predictions.values()]
    scores = np.concatenate(said) if said else np.zeros((0, 1))
    if not len(scores):
        return
    if loaded.task.regression:
        width = float(np.ptp(scores))
        computed = width == 0 or (loaded.run.diverged and width < NARROW)
    else:
        answers = scores.argmax(axis=1)
        computed = bool((answers == answers[0]).all())
    yield from problems(loaded.file, loaded.run.diverged, computed, "diverged")


WITHOUT_GOLD = (
    metrics_are_the_tasks,
    score_follows_the_metrics,
    deviation_follows_the_influence,
    accuracy_follows_the_influence,
    diverged_follows,
)
