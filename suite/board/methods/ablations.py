"""What each ablation of a method costs or brings."""

from __future__ import annotations

from suite.board import front
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


def ablation_table(site: Site, links: Links, track: str, recipe: str) -> Table | None:
    """What each ablation costs or brings, task by task; None where none has run."""
    ablations = site.ablations(track, recipe)
    tasks = [
        t
        for t in (TRACKS[track].tasks if track in TRACKS else ())
        if any(t in e.differences for e in ablations)
    ]
    if not tasks:
        return None
    rows = []
    for entry in ablations:
        known = site.recipes.get(entry.recipe)
        words = known.ablation if known and known.ablation else entry.recipe
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
            *(front.task_column(site, links, track, t) for t in tasks),
        ],
        rows,
        f"ablations-{track}",
        notes=["Grey: cannot be told from no difference. Raw p, uncorrected for the number of comparisons."],
    )
