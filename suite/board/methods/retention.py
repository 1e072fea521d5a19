"""How much of the reference's gain a method keeps, task by task."""

from __future__ import annotations

from collections.abc import Sequence

from suite.board import charts
from suite.board.charts import Bar, Figure
from suite.board.entries.quality import retention_cell
from suite.board.entry_rows import SUBSET, task_column
from suite.board.site import (
    Links,
    Site,
    known_track,
)
from suite.board.tables import Cell, Column, Row, Table, gap, table
from suite.board.text import (
    Missing,
    fixed,
    shorten,
    span,
)
from suite.documents import Entry


def retention_table(site: Site, links: Links, track: str, entries: Sequence[Entry]) -> Table | None:
    known = known_track(track)
    tasks = [t for t in (known.tasks if known else ()) if any(t in e.quality for e in entries)]
    tasks += sorted({t for e in entries for t in e.quality} - set(tasks))
    if not tasks:
        return None
    columns = [Column("Variant", kind="text"), *(task_column(site, links, track, t) for t in tasks)]
    rows = []
    for entry in entries:
        cells = []
        for task in tasks:
            found = entry.quality.get(task)
            if found is None:
                cells.append(gap(Missing("no run yet")))
            else:
                href = links.entry(entry, f"task-{task}")
                cells.append(retention_cell(found.retention, found.retention_reason, href))
        rows.append(Row(Cell(text=entry.variant, href=links.entry(entry)), tuple(cells)))
    return table(
        f"Retention, {track} track: the share of the reference’s gain over the majority class that is kept",
        columns,
        rows,
        f"retention-{track}",
    )


def retention_figure(
    site: Site, links: Links, track: str, entry: Entry, tasks: Sequence[str]
) -> Figure | None:
    bars = []
    for task in tasks:
        kept = entry.quality[task].retention
        if kept is None:
            continue
        ends = f", {span(kept.interval, 2)}" if kept.interval else ""
        subset = f", {SUBSET}" if entry.quality[task].dev_subset else ""
        bars.append(
            Bar(
                site.task(task).title,
                kept.value,
                kept.interval,
                f"{fixed(kept.value, 2)} kept{ends}{subset}",
                links.entry(entry, f"task-{task}"),
                site.mark(entry.recipe),
            )
        )
    if len(bars) < 2:
        return None
    title = f"Retention of {shorten(site.label(entry), 60)} by task"
    drawn = [
        charts.forest(
            bars,
            ident=f"retention-{track}-{name}",
            title=title,
            axis="share of the reference’s gain kept",
            description="1 keeps all that the reference gains over the majority class, 0 nothing.",
            narrow=name == "narrow",
            guide=1.0,
        )
        for name in ("wide", "narrow")
    ]
    return Figure(drawn[0], drawn[1], "Dashed: the reference. Bars are 95% intervals.", title)
