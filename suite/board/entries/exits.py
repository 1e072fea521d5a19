"""Early exit: which share of the examples leaves where."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from suite.board.entries.quality import run_documents
from suite.board.histogram import Series, histogram
from suite.board.site import Site
from suite.board.tables import Cell, Column, Row, Table, table, value
from suite.board.text import counted, fixed
from suite.documents import Entry

DEEPEST = 48  # exits drawn


@dataclass(frozen=True)
class Exits:
    """A histogram per task, and all of them as a table."""

    charts: tuple[tuple[str, Markup], ...]
    table: Table


def exits(site: Site, entry: Entry) -> Exits | None:
    """Which share of the dev examples left at which exit, all seeds together; None without early exits."""
    counts, depth = _counts(site, entry)
    if not counts:
        return None
    numbers = range(1, depth + 1)
    columns = [
        Column("Task", kind="text"),
        Column("Mean exit"),
        *(Column(f"Exit {exit}", "percent") for exit in numbers),
    ]
    shares_of = {
        task: [of_task.get(exit, 0) / sum(of_task.values()) for exit in numbers]
        for task, of_task in counts.items()
    }
    # One scale: the panels are held against each other.
    most = max(max(shares) for shares in shares_of.values())
    rows, charts = [], []
    for task, of_task in counts.items():
        examples = sum(of_task.values())
        mean = sum(exit * count for exit, count in of_task.items()) / examples
        shares = shares_of[task]
        cells = [value(fixed(100 * share, 1)) for share in shares]
        rows.append(Row(Cell(text=site.task(task).title), (value(fixed(mean, 2)), *cells)))
        name = site.task(task).title
        chart = histogram(
            [Series(name, tuple(shares), site.mark(entry.recipe).hue)],
            [exit - 0.5 for exit in range(1, depth + 2)],
            ident=f"exits-{task.replace('.', '-')}",
            title=f"Where the examples of {name} leave",
            description=f"{counted(examples, 'example')}, {fixed(mean, 2)} blocks on average of {depth}.",
            axis="exit",
            ticks=[(float(exit), str(exit)) for exit in numbers],
            most=most,
        )
        charts.append((name, chart))
    notes = [
        "An example that leaves at exit k has been through the first k blocks; its later ones are not computed."
    ]
    return Exits(tuple(charts), table("Where the dev examples leave", columns, rows, "exits", notes=notes))


def _counts(site: Site, entry: Entry) -> tuple[dict[str, dict[int, int]], int]:
    """Task -> exit -> dev examples, and how many exits there are."""
    counts: dict[str, dict[int, int]] = {}
    documents = run_documents(site, entry)
    for task, document in documents:
        of_task = counts.setdefault(task, {})
        for exit, lengths in document.model.exits.items():
            if exit.isdecimal():  # what else it may be is for verify to refuse
                of_task[int(exit)] = of_task.get(int(exit), 0) + sum(lengths.values())
    counts = {task: of_task for task, of_task in counts.items() if sum(of_task.values())}
    if not counts:
        return {}, 0
    depth = max((op.block for _, document in documents for op in document.model.ops), default=0)
    reached = (exit for of_task in counts.values() for exit in of_task if exit <= DEEPEST)
    return counts, max([min(depth, DEEPEST), *reached])
