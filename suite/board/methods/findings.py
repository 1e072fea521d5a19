"""Where a method shines and where it fails: sentences, each of them computed from its entry and the others'.

Another row is named as above or below on a task only where that is more than chance between the two.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from suite.board.compare.paired import surely_above
from suite.board.entry_rows import may_diverge
from suite.board.methods.field import Field, cost_of, field, rival
from suite.board.site import Links, Shown, Site, View
from suite.board.text import counted, digits, fixed, listed, ratio_span, span, times_faster
from suite.documents import Entry
from suite.fronts import FLOPS
from suite.protocol import REPORTING

NARROW = 0.35  # an interval of a retention wider than this says too little to call anything kept
FEWEST = 3  # methods among which a best one means something
SAME = 1.02  # arithmetic that differs by less is the same


@dataclass(frozen=True)
class Finding:
    """A sentence and the evidence it links to."""

    text: str
    href: str


def strengths(site: Site, links: Links, entry: Entry, view: View, tasks: Sequence[str]) -> list[Finding]:
    others = field(site, entry.track)
    return [
        *_kept(site, links, entry, tasks),
        *_above_curve(links, entry),
        *_best(site, links, entry, others, tasks),
        *_faster(site, links, entry, view),
        *_smaller(site, links, entry),
        *_cheap(links, entry, others),
    ]


def weaknesses(site: Site, links: Links, entry: Entry, view: View, tasks: Sequence[str]) -> list[Finding]:
    others = field(site, entry.track)
    return [
        *_lost(site, links, entry, tasks),
        *_below_curve(site, links, entry),
        *_below_line(site, links, entry, others, tasks),
        *_dominated(site, links, entry, others, tasks),
        *_slower(site, links, entry, view),
        *_costly(links, entry, others),
        *_diverged(site, links, entry, tasks),
    ]


# --- for it -------------------------------------------------------------------------------------------------


def _kept(site: Site, links: Links, entry: Entry, tasks: Sequence[str]) -> Iterator[Finding]:
    whole = [
        task
        for task in tasks
        if (kept := entry.quality[task].retention) is not None
        and kept.interval is not None
        and kept.interval[1] >= 1
        and kept.interval[1] - kept.interval[0] <= NARROW
    ]
    if whole and not site.is_reference(entry):
        names = listed(site.task(task).title for task in whole)
        yield Finding(
            f"Cannot be told apart from the reference on {names}: the interval of what it keeps is narrow enough to "
            f"tell (at most {fixed(NARROW, 2)} wide) and reaches all of it.",
            links.entry(entry, f"task-{whole[0]}"),
        )


def _above_curve(links: Links, entry: Entry) -> Iterator[Finding]:
    above = entry.fronts[FLOPS].above if FLOPS in entry.fronts else None
    if above and above.interval and above.interval[0] > 0:
        yield Finding(
            f"Scores {fixed(above.value, 1)} points ({span(above.interval, 1)}) above what leaving layers off the "
            "reference gives for the same arithmetic.",
            links.entry(entry, "fronts"),
        )


def _best(site: Site, links: Links, entry: Entry, others: Field, tasks: Sequence[str]) -> Iterator[Finding]:
    for task in tasks:
        own, second = entry.quality[task], rival(others.best.get(task, ()), entry)
        count = others.count.get(task, 0) + (entry.division != "standard")
        if second is None or count < FEWEST or site.is_reference(entry) or site.is_baseline(entry):
            continue
        if surely_above(site, entry, second, task):
            lead = own.score - second.quality[task].score
            yield Finding(
                f"Scores highest of {count} compressed models on {site.task(task).title}: "
                f"{fixed(own.score, 1)}, {fixed(lead, 1)} above {site.label(second)}.",
                links.entry(entry, f"task-{task}"),
            )


def _faster(site: Site, links: Links, entry: Entry, view: View) -> Iterator[Finding]:
    shown = site.speed(entry, view)
    if (
        isinstance(shown, Shown)
        and view.profile
        and shown.ratio.value >= 1.05
        and not site.is_reference(entry)
    ):
        ends = f" ({ratio_span(shown.ratio.interval)})" if shown.ratio.interval else ""
        speed = times_faster(shown.ratio.value, "the reference")
        yield Finding(
            f"Is {speed}{ends} {site.on_profile(view.profile)}, with {shown.runtime}.",
            links.entry(entry, "speed"),
        )


def _smaller(site: Site, links: Links, entry: Entry) -> Iterator[Finding]:
    reference = site.reference(entry.track)
    if reference is None or site.is_reference(entry):
        return
    whole, own = reference.cost.parameters.total, entry.cost.parameters.total
    flops, own_flops = reference.cost.flops_per_example.get("128"), entry.cost.flops_per_example.get("128")
    if whole and own < whole:
        arithmetic = (
            f" and {_percent(own_flops / flops)} of its arithmetic at 128 tokens"
            if flops and own_flops is not None
            else ""
        )
        yield Finding(
            f"Has {_percent(own / whole)} of the reference’s parameters{arithmetic}.",
            links.entry(entry, "parameters"),
        )


def _percent(share: float) -> str:
    return f"{fixed(100 * share, 0)}%" if share >= 0.01 else "under 1%"


def _cost_beside(entry: Entry, others: Field) -> tuple[float, float] | None:
    own = cost_of(entry)
    if own is None or len(others.costs) < FEWEST or median(others.costs) <= 0:
        return None
    return own, median(others.costs)


def _cheap(links: Links, entry: Entry, others: Field) -> Iterator[Finding]:
    found = _cost_beside(entry, others)
    if found and found[0] < 0.8 * found[1]:
        yield Finding(
            f"Trains for {digits(found[0])} TFLOP a task; half of the compressed models take at least "
            f"{digits(found[1])}.",
            links.entry(entry, "training"),
        )


# --- against it ---------------------------------------------------------------------------------------------


def _lost(site: Site, links: Links, entry: Entry, tasks: Sequence[str]) -> Iterator[Finding]:
    kept = [
        (retention.value, task)
        for task in tasks
        if (retention := entry.quality[task].retention) is not None
        and retention.value < 0.95
        and retention.interval is not None
        and retention.interval[1] < 1
    ]
    if not kept or site.is_reference(entry):
        return
    value, task = min(kept)
    retention = entry.quality[task].retention
    ends = f" ({span(retention.interval, 2)})" if retention and retention.interval else ""
    most = " most" if len(kept) > 1 else ""
    yield Finding(
        f"Loses{most} on {site.task(task).title}: it keeps {fixed(value, 2)}{ends} of what the reference gains over "
        "the majority class.",
        links.entry(entry, f"task-{task}"),
    )


def _below_curve(site: Site, links: Links, entry: Entry) -> Iterator[Finding]:
    for axis, front in entry.fronts.items():
        above = front.above
        if above.interval is None or above.interval[1] >= 0:
            continue
        profile, _, runtime = axis.partition("/")
        same = "arithmetic" if axis == FLOPS else f"time {site.on_profile(profile)} in {runtime}"
        yield Finding(
            f"Scores {fixed(-above.value, 1)} points ({span((-above.interval[1], -above.interval[0]), 1)}) below what "
            f"leaving layers off the reference gives for the same {same}.",
            links.entry(entry, "fronts"),
        )


def _below_line(
    site: Site, links: Links, entry: Entry, others: Field, tasks: Sequence[str]
) -> Iterator[Finding]:
    """Below a model that does not read."""
    for line in (line for line in others.lines if line.recipe != entry.recipe):
        below = [t for t in tasks if t in line.quality and surely_above(site, line, entry, t)]
        if below and line.recipe != REPORTING["baselines"]["majority"] and not site.is_baseline(entry):
            names = listed(site.task(t).title for t in below)
            yield Finding(
                f"Scores below {site.label(line)} on {names}.", links.entry(entry, f"task-{below[0]}")
            )


def _dominated(
    site: Site, links: Links, entry: Entry, others: Field, tasks: Sequence[str]
) -> Iterator[Finding]:
    own = entry.cost.flops_per_example.get("128")
    if own is None or site.is_reference(entry) or site.is_baseline(entry):
        return
    better: dict[str, list[str]] = {}
    for task in tasks:
        flops, bests = others.light.get(task, ([], []))
        place = bisect_right(flops, own * SAME)
        best = rival(bests[place - 1], entry) if place else None
        if best is not None and surely_above(site, best, entry, task):
            gap = fixed(best.quality[task].score - entry.quality[task].score, 1)
            said = f"{site.task(task).title} (by {gap})"
            better.setdefault(site.label(best), []).append(said)
    for name, found in better.items():
        yield Finding(
            f"{name} scores higher with no more arithmetic on {listed(found)}.", links.entry(entry, "quality")
        )


def _slower(site: Site, links: Links, entry: Entry, view: View) -> Iterator[Finding]:
    shown = site.speed(entry, view)
    if (
        isinstance(shown, Shown)
        and view.profile
        and shown.ratio.value < 0.975
        and not site.is_reference(entry)
    ):
        speed = times_faster(shown.ratio.value, "the reference")
        yield Finding(f"Is {speed} {site.on_profile(view.profile)}.", links.entry(entry, "speed"))


def _costly(links: Links, entry: Entry, others: Field) -> Iterator[Finding]:
    found = _cost_beside(entry, others)
    if found and found[0] > 1.5 * found[1]:
        yield Finding(
            f"Trains for {digits(found[0])} TFLOP a task, {fixed(found[0] / found[1], 1)} times the median of the "
            "compressed models.",
            links.entry(entry, "training"),
        )


def _diverged(site: Site, links: Links, entry: Entry, tasks: Sequence[str]) -> Iterator[Finding]:
    if not may_diverge(entry):
        return
    for task in tasks:
        runs = entry.quality[task].runs
        bad = sum(run.diverged for run in runs)
        if bad:
            yield Finding(
                f"Diverged on {site.task(task).title} in {bad} of {counted(len(runs), 'run')}: all one class.",
                links.entry(entry, f"task-{task}"),
            )
