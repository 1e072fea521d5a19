"""A method's operating points: what its knobs trade, on the whole track and task by task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from suite.board import charts, pareto, scatter
from suite.board.charts import Figure
from suite.board.scatter import Axis, Point
from suite.board.site import Links, Site, View
from suite.board.text import counted, digits, fixed, round_number, shorten, span
from suite.documents import Entry

SMALL = charts.Size(300, 200, 34, 14, 26, 42, 11)


def family_figure(
    site: Site, links: Links, track: str, entries: Sequence[Entry], view: View
) -> Figure | None:
    """A family's curve beside the reference; nothing to draw for a single operating point with a score."""
    if sum(entry.board_score is not None for entry in entries) < 2:
        return None
    reference = site.reference(track)
    wanted = [*entries, *([reference] if reference and reference not in entries else [])]
    ident = f"family-{track}-"
    return pareto.figure(site, links, wanted, view, "speed", ident=ident) or pareto.figure(
        site, links, wanted, view, "parameters", ident=ident
    )


@dataclass(frozen=True)
class Knob:
    """A task's score over what an example costs, one point per variant."""

    title: str
    chart: Markup


def knobs(site: Site, links: Links, track: str, entries: Sequence[Entry], tasks: Sequence[str]) -> list[Knob]:
    """One small chart per task on which two or more variants were scored; the table of variants is their twin."""
    if len(entries) < 2:
        return []
    reference = site.reference(track)
    found = []
    for task in tasks:
        points = [p for entry in entries if (p := _point(site, links, entry, task)) is not None]
        if len(points) < 2:
            continue
        if reference is not None and reference not in entries:
            beside = _point(site, links, reference, task)
            points += [beside] if beside is not None else []
        title = f"{site.task(task).title}: score over arithmetic"
        chart = scatter.scatter(
            points,
            [],
            ident=f"knob-{track}-{task.replace('.', '-')}",
            title=title,
            description=f"{counted(len(points), 'model')}; FLOPs of an example at the dev set’s true lengths.",
            x=Axis("GFLOPs, log scale", "less", round_number),
            y=Axis("points", "more"),
            size=SMALL,
        )
        found.append(Knob(site.task(task).title, chart))
    return found


def _point(site: Site, links: Links, entry: Entry, task: str) -> Point | None:
    flops = entry.cost.flops_per_example.get(f"dev/{task}", entry.cost.flops_per_example.get("128"))
    quality = entry.quality.get(task)
    if not flops or quality is None:
        return None
    giga = flops / 1e9
    name = shorten(site.variant(entry) or site.title(entry.recipe), 40)
    return Point(
        x=giga,
        y=quality.score,
        x_interval=None,
        y_interval=quality.interval,
        label=name,
        detail=f"{name}: {fixed(quality.score, 1)} ({span(quality.interval, 1)}) at {digits(giga)} GFLOPs",
        href=links.entry(entry, f"task-{task}"),
        mark=site.mark(entry.recipe),
        family=entry.recipe,
        hollow=not entry.default,
        reference=site.is_reference(entry),
    )
