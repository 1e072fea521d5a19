"""What each ablation of a method costs or brings."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from suite.board import charts
from suite.board.charts import Bar
from suite.board.entry_rows import task_column
from suite.board.site import (
    Links,
    Site,
)
from suite.board.tables import Cell, Column, Row, Table, gap, table, value
from suite.board.text import (
    Missing,
    counted,
    fixed,
    p_words,
    span,
)
from suite.documents import Entry
from suite.protocol import TRACKS

NOTE = "Grey: cannot be told from no difference. Raw p, uncorrected for the number of comparisons."


@dataclass(frozen=True)
class Panel:
    """One task's differences: a dot and a bar per ablation, against none."""

    title: str
    chart: Markup


def _tasks(site: Site, track: str, recipe: str) -> list[str]:
    ablations = site.ablations(track, recipe)
    known = TRACKS[track].tasks if track in TRACKS else ()
    return [task for task in known if any(task in e.differences for e in ablations)]


def panels(site: Site, links: Links, track: str, recipe: str) -> list[Panel]:
    """Small multiples, one per task, the ablations in the same order in each."""
    found = []
    for task in _tasks(site, track, recipe):
        bars = []
        for entry in site.ablations(track, recipe):
            one = entry.differences.get(task)
            if one is not None:
                words = f"{fixed(one.value, 1)} points, {span(one.interval, 1)}"
                href = links.entry(entry, f"task-{task}")
                bars.append(
                    Bar(site.ablation(entry.recipe), one.value, one.interval, words, href, site.mark(recipe))
                )
        title = f"{site.task(task).title}: what each ablation changes"
        chart = charts.forest(
            bars,
            ident=f"ablation-{track}-{task.replace('.', '-')}",
            title=title,
            axis="points",
            description="Right of the dashed line the ablation scores higher. The table below has the same numbers.",
            narrow=True,
            guide=0.0,
            above=True,
        )
        found.append(Panel(site.task(task).title, chart))
    return found


def ablation_table(site: Site, links: Links, track: str, recipe: str) -> Table | None:
    """What each ablation costs or brings, task by task; None where none has run."""
    ablations = site.ablations(track, recipe)
    tasks = _tasks(site, track, recipe)
    if not tasks:
        return None
    rows = []
    for entry in ablations:
        cells = [_difference(links, entry, task) for task in tasks]
        rows.append(Row(Cell(text=site.ablation(entry.recipe), href=links.entry(entry)), tuple(cells)))
    return table(
        f"Ablations, {track} track: points gained or lost against {site.title(recipe)}, same seeds and examples",
        [
            Column("What is different", kind="text"),
            *(task_column(site, links, track, t) for t in tasks),
        ],
        rows,
        f"ablations-{track}",
        notes=[NOTE],
    )


def own_table(site: Site, links: Links, entry: Entry) -> Table | None:
    """On an ablation's own page: what it changes, task by task."""
    if entry.ablation_of is None or not entry.differences:
        return None
    rows = [
        Row(Cell(text=site.task(task).title, href=links.task(task)), (_difference(links, entry, task),))
        for task in entry.differences
    ]
    columns = [Column("Task", kind="text"), Column("Gained or lost", "points")]
    parent = site.title(entry.ablation_of)
    return table(f"Against {parent}, same seeds and examples", columns, rows, "against", notes=[NOTE])


def _difference(links: Links, entry: Entry, task: str) -> Cell:
    found = entry.differences.get(task)
    if found is None:
        return gap(Missing("no run yet"))
    said = f"{span(found.interval, 1)}, {p_words(found.p)}, {counted(len(found.seeds), 'seed', 'seeds')}"
    faint = found.interval[0] <= 0 <= found.interval[1]
    return value(fixed(found.value, 1), said, links.entry(entry, f"task-{task}"), faint=faint)
