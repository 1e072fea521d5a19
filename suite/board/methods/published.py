"""What a method's paper reports, beside ours: division literature, never ranked with the rest.

Both retentions have one formula, (student - majority) / (teacher - majority), each with its own teacher. A paper rarely
names the majority class's score: ours on the dev set stands in, in the paper's metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suite.board.entries.quality import retention_cell
from suite.board.entry_rows import SUBSET
from suite.board.site import Links, Site, track_title
from suite.board.tables import Cell, Column, Row, Table, gap, table, value
from suite.board.text import Missing, fixed, sentence
from suite.documents import Entry
from suite.protocol import REPORTING
from suite.recipe import Reported, ReportedScore

TAG = "literature"


@dataclass(frozen=True)
class Published:
    """One table of a paper, beside ours."""

    table: Table
    said: str
    arxiv: str | None


def published(site: Site, links: Links, recipe: str, ours: Sequence[Entry]) -> list[Published]:
    """A paper's tables, ``ours`` the method's default variant on each track that has one."""
    known = site.recipes.get(recipe)
    return [
        Published(
            _table(site, links, one, ours, number),
            sentence(f"{one.student}; its teacher: {one.teacher}")
            + (f" {sentence(one.note)}" if one.note else ""),
            one.arxiv,
        )
        for number, one in enumerate(known.about.reported if known else (), start=1)
    ]


def retention_of(found: ReportedScore, majority: float | Missing) -> float | Missing:
    """(student - majority) / (teacher - majority), all in points of one metric."""
    if found.teacher is None:
        return Missing("the teacher’s score was not read")
    if isinstance(majority, Missing):
        return majority
    if found.teacher <= majority:
        return Missing("its teacher is not above chance")
    return (found.student - majority) / (found.teacher - majority)


def majority_of(site: Site, task: str, metric: str) -> float | Missing:
    """What the majority class scores here in a metric, in points."""
    name = metric.partition(" by ")[0]
    if name == "not stated":
        return Missing("the source does not say which metric")
    majority = str(REPORTING["baselines"]["majority"])
    for entry in site.of_recipe(majority):
        if entry.recipe == majority and task in entry.quality:
            for run in entry.quality[task].runs:
                if name in run.metrics:
                    return 100 * run.metrics[name]
    return Missing("no majority class was scored on it here")


def _table(site: Site, links: Links, one: Reported, ours: Sequence[Entry], number: int) -> Table:
    tracks = [(entry, track_title(entry.track)) for entry in ours]
    columns = [
        Column("Task", kind="text"),
        Column("Metric", kind="text"),
        Column("Its teacher", "points"),
        Column("Its student", "points"),
        Column("It keeps", "share"),
        *(Column("Ours keeps", f"share, {title} track") for _, title in tracks),
    ]
    rows = []
    for task, found in one.scores.items():
        kept = retention_of(found, majority_of(site, task, found.metric))
        cells = [
            Cell(text=found.metric, declared=True),
            gap(Missing("not read")) if found.teacher is None else value(fixed(found.teacher, 1)),
            value(fixed(found.student, 1)),
            gap(kept) if isinstance(kept, Missing) else value(fixed(kept, 2)),
        ]
        for entry, _ in tracks:
            quality = entry.quality.get(task)
            if quality is None:
                cells.append(gap(Missing("not a task of this track or no run yet")))
            else:
                href = links.entry(entry, f"task-{task}")
                cells.append(retention_cell(quality.retention, quality.retention_reason, href))
        subset = any(site.dev_subset(entry.track, task) for entry in ours)
        tags = (TAG, f"ours: {SUBSET}") if subset else (TAG,)
        rows.append(Row(Cell(text=site.task(task).title), tuple(cells), tags=tags))
    notes = [
        f"Read in: {one.source}, {one.table}, {one.split if one.split == 'not stated' else f'{one.split} set'}."
        " Another teacher, another scale, and settings that may have been chosen on the set that is reported.",
    ]
    if any("by convention" in found.metric for found in one.scores.values()):
        notes.append(
            "By convention: the copy that was read names no metric; papers of its kind use this one."
        )
    if one.split == "test":
        notes.append("The majority class’s score on the dev set stands in for the test set’s.")
    return table(f"Its paper beside ours, table {number}", columns, rows, f"published-{number}", notes=notes)
