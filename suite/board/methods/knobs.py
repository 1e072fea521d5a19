"""A method's operating points: what its knobs trade, on the whole track and task by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from suite.board import charts, pareto, scatter
from suite.board.charts import Figure
from suite.board.scatter import Axis, Point
from suite.board.site import Links, Site, View
from suite.board.tables import Cell, Column, Row, Table, gap, table, value
from suite.board.text import Missing, counted, digits, fixed, round_number, shorten, span
from suite.board.variants import family
from suite.documents import Entry

SMALL = charts.Size(300, 200, 34, 14, 26, 42, 11)


def family_figure(
    site: Site, links: Links, track: str, entries: Sequence[Entry], view: View
) -> Figure | None:
    """A family's curve beside the reference, over the first cost in which most of its scored points differ; None
    without one: points of early exits are all of one size, and none may be timed."""
    scored = [(entry, site.speed(entry, view)) for entry in entries if entry.board_score is not None]

    def tells_apart(kind: pareto.Kind) -> bool:
        costs = {pareto.cost(*one, kind) for one in scored} - {0.0}
        return len(costs) > max(1, len(scored) // 2)

    if (kind := next(filter(tells_apart, pareto.KINDS), None)) is None:
        return None
    reference = site.reference(track)
    wanted = [*entries, *([reference] if reference and reference not in entries else [])]
    return pareto.figure(site, links, wanted, view, kind, ident=f"family-{track}-")


class Knob(NamedTuple):
    """A task's score over what an example costs, one point per variant."""

    title: str
    chart: Markup


@dataclass(frozen=True)
class Knobs:
    """One small chart per task on which two or more variants were scored, and the same as a table."""

    drawn: tuple[Knob, ...]
    twin: Table


def knobs(
    site: Site,
    links: Links,
    track: str,
    entries: Sequence[Entry],
    tasks: Sequence[str],
    *,
    notes: Sequence[str] = (),
) -> Knobs | None:
    """What a method's variants trade; None where fewer than two were scored on a task. ``notes`` go below the table."""
    named = [(entry.variant, entry) for entry in entries]
    reference = site.reference(track)
    if reference is not None and all(entry is not reference for entry in entries):
        named.append((site.label(reference), reference))
    points: dict[str, dict[str, Point]] = {}
    for task in tasks:
        found = {name: p for name, entry in named if (p := _point(site, links, entry, task)) is not None}
        if sum(entry.variant in found for entry in entries) > 1:
            points[task] = found
    if not points:
        return None
    drawn = tuple(_knob(site, track, task, list(found.values())) for task, found in points.items())
    return Knobs(drawn, _twin(site, links, track, points, notes))


def _knob(site: Site, track: str, task: str, points: Sequence[Point]) -> Knob:
    chart = scatter.scatter(
        points,
        [],
        ident=f"knob-{track}-{task.replace('.', '-')}",
        title=f"{site.task(task).title}: score over arithmetic",
        description=f"{counted(len(points), 'model')}; FLOPs of an example at the dev set’s true lengths.",
        x=Axis("GFLOPs, log scale", "less", round_number),
        y=Axis("points", "more"),
        size=SMALL,
    )
    return Knob(site.task(task).title, chart)


def _twin(
    site: Site, links: Links, track: str, points: Mapping[str, Mapping[str, Point]], notes: Sequence[str]
) -> Table:
    names = list(dict.fromkeys(name for found in points.values() for name in found))
    columns = [
        Column("Variant", kind="text"),
        *(Column(site.task(task).title, "points, at GFLOPs", href=links.task(task)) for task in points),
    ]
    rows = [
        Row(Cell(text=name), tuple(_beside(found.get(name)) for found in points.values())) for name in names
    ]
    caption = f"What its knobs trade, in figures, {track} track"
    return table(caption, columns, rows, f"knobs-{track}", notes=notes)


def _beside(point: Point | None) -> Cell:
    if point is None:
        return gap(Missing("no run yet"))
    return value(fixed(point.y, 1), f"at {digits(point.x)}", point.href)


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
        family=family(entry),
        hollow=not entry.default,
        reference=site.is_reference(entry),
    )
