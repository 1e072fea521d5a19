"""Fronts: what a model or a family of models reaches at its cost, against just leaving layers off.

The curve they are held against runs through the n-gram linear model, truncations of the reference and the reference
itself. A model stands so many points above the curve at its own cost; a family has the area between its front and the
curve's, and its hypervolume. Costs are shares of the reference's: of its FLOPs at the core tasks' dev lengths, and of
its time per query on a profile, in a runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from suite import statistics
from suite.documents import Entry, Estimate, Front
from suite.protocol import MEASURING, REPORTING
from suite.statistics import Evidence, Point, SeedSpread

Row = Mapping[str, Evidence]  # task -> runs
Spreads = Mapping[str, SeedSpread]
START = float(REPORTING["front"]["start"])  # the cheapest cost of a front, as a share of the reference's
FULL = str(MEASURING["reference"]["precision"])  # in which runs are scored
FLOPS = "flops"


def fronts(
    entries: Sequence[Entry],
    rows: Mapping[str, Row],
    spreads: Spreads,
    reference: str,
) -> dict[str, dict[str, Front]]:
    """``recipe/variant`` -> what is a cost -> where it stands; only those that can be placed.

    ``entries`` of one table; ``rows``: ``recipe/variant`` -> task -> runs on that table's dev rows; ``spreads`` of the
    core tasks; ``reference``: the recipe at whose cost a front ends.
    """
    whole = {_name(e): e for e in entries if spreads and spreads.keys() <= rows[_name(e)].keys()}
    standard = {name: e for name, e in whole.items() if e.division == "standard"}
    teacher = next((e for e in standard.values() if e.recipe == reference and e.default), None)
    baseline = REPORTING["baselines"]["majority"]
    majority = next((rows[name] for name, e in standard.items() if e.recipe == baseline and e.default), None)
    if teacher is None or majority is None:
        return {}
    costs = {name: _costs(entry, teacher, spreads) for name, entry in whole.items()}
    on_curve = {
        name for name, e in standard.items() if e is teacher or e.recipe in REPORTING["front"]["curve"]
    }
    found: dict[str, dict[str, Front]] = {}
    for axis in costs[_name(teacher)]:
        points = {n: Point(max(START, c[axis]), rows[n]) for n, c in costs.items() if axis in c}
        curve = [points[name] for name in sorted(on_curve & points.keys())]
        if len(curve) < 2:  # the reference alone is no curve
            continue
        for name in points.keys() - on_curve:
            own = whole[name]
            if own.recipe == baseline:
                continue
            family = [points[n] for n in points if own.default and whole[n].recipe == own.recipe]
            found.setdefault(name, {})[axis] = _front(points[name], family, curve, majority, spreads)
    return found


def _front(
    own: Point, family: Sequence[Point], curve: Sequence[Point], majority: Row, spreads: Spreads
) -> Front:
    """``family``: all of a ranked variant's recipe; of others none."""
    above = statistics.above_front(own, curve, majority, spreads)
    area = None
    if len(family) > 1:  # a single model's would tell of the costs that it was not made for
        area = statistics.front_score(family, curve, majority, spreads, start=START, end=1.0)
    return Front(
        cost=own.cost,
        above=_estimate(above),
        area=_estimate(area) if area else None,
        hypervolume=_hypervolume(family, majority, spreads) if family else None,
    )


def _name(entry: Entry) -> str:
    return f"{entry.recipe}/{entry.variant}"


def _estimate(found: statistics.FrontScore) -> Estimate:
    return Estimate(value=found.value, interval=found.interval)


def _costs(entry: Entry, teacher: Entry, tasks: Spreads) -> dict[str, float]:
    """What is a cost -> the entry's, as a share of the teacher's. FLOPs of float32 alone: others are other work."""
    found = {}
    if f"safetensors/{FULL}" in entry.cost.bytes:
        own, theirs = ([e.cost.flops_per_example.get(f"dev/{t}") for t in tasks] for e in (entry, teacher))
        mine = [value for value in own if value is not None]
        whole = [value for value in theirs if value is not None]
        if len(mine) == len(whole) == len(tasks):
            found[FLOPS] = fmean(mine) / fmean(whole)
    shares: dict[str, list[float]] = {}
    for line in entry.speed:
        usual = (line.precision, line.arrival, line.inputs) == (FULL, "single-stream", "trace")
        if usual and (line.task is None or line.task in tasks):
            shares.setdefault(f"{line.profile}/{line.runtime}", []).append(1 / line.ratio.value)
    each = any(line.task is not None for line in entry.speed)  # then every core task's time is needed
    return found | {axis: fmean(v) for axis, v in shares.items() if len(v) == (len(tasks) if each else 1)}


def _hypervolume(family: Sequence[Point], majority: Row, spreads: Spreads) -> float:
    """Decades of cost below the reference's times points above the majority class."""
    scores = np.array([fmean(point.row[task].score for task in spreads) for point in family])
    floor = fmean(majority[task].score for task in spreads)
    return statistics.hypervolume(np.array([point.cost for point in family]), scores, 1.0, floor)
