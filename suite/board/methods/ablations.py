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
    span,
)
from suite.protocol import TRACKS


@dataclass(frozen=True)
class Panel:
    """One task's differences: a dot and a bar per ablation, against none."""

    title: str
    chart: Markup


def _tasks(site: Site, track: str, recipe: str) -> list[str]:
    ablations = site.ablations(track, recipe)
    known = TRACKS[track].tasks if track in TRACKS else ()
    return [task for task in known if any(task in e.differences for e in ablations)]


def _words(site: Site, recipe: str) -> str:
    known = site.recipes.get(recipe)
    return known.ablation.rstrip(".") if known and known.ablation else recipe


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
                    Bar(_words(site, entry.recipe), one.value, one.interval, words, href, site.mark(recipe))
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
            label_width=175.0,
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
        words = _words(site, entry.recipe)
        cells = []
        for task in tasks:
            found = entry.differences.get(task)
            if found is None:
                cells.append(gap(Missing("no run yet")))
                continue
            said = f"{span(found.interval, 1)}, p {fixed(found.p, 2)}, {counted(len(found.seeds), 'seed', 'seeds')}"
            faint = found.interval[0] <= 0 <= found.interval[1]
            cells.append(value(fixed(found.value, 1), said, links.entry(entry, f"task-{task}"), faint=faint))
        rows.append(Row(Cell(text=words, href=links.entry(entry)), tuple(cells)))
    return table(
        f"Ablations, {track} track: points gained or lost against {site.title(recipe)}, same seeds and examples",
        [
            Column("What is different", kind="text"),
            *(task_column(site, links, track, t) for t in tasks),
        ],
        rows,
        f"ablations-{track}",
        notes=["Grey: cannot be told from no difference. Raw p, uncorrected for the number of comparisons."],
    )
