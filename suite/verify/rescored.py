"""Level ``rescored``: every score follows from the predictions and the gold labels.

Needs the data at hand; without it this level is ``skipped: no data``, never passed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suite.folder import Problem, show
from suite.scoring import Scored, score
from suite.tables import Split
from suite.verify.compare import ABSOLUTE, RELATIVE, problems
from suite.verify.gold import GoldSplit
from suite.verify.loaded import LoadedRun, Problems

Gold = dict[str, GoldSplit]


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


RUN = (rows_are_the_datas, scores_follow)
