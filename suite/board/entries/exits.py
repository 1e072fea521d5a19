"""Early exit: which share of the examples leaves where."""

from __future__ import annotations

from suite.board.entries.quality import run_documents
from suite.board.site import (
    Site,
)
from suite.board.tables import Cell, Column, Row, Table, table, value
from suite.board.text import (
    fixed,
)
from suite.documents import Entry


def exits(site: Site, entry: Entry) -> Table | None:
    """Which share of the dev examples left at which exit, all seeds together; None without early exits."""
    counts: dict[str, dict[int, int]] = {}
    depth = 0
    for task, document in run_documents(site, entry):
        depth = max([depth, *(op.block for op in document.model.ops)])
        of_task = counts.setdefault(task, {})
        for exit, lengths in document.model.exits.items():
            if exit.isdecimal():  # what else it may be is for verify to refuse
                of_task[int(exit)] = of_task.get(int(exit), 0) + sum(lengths.values())
    counts = {task: of_task for task, of_task in counts.items() if sum(of_task.values())}
    depth = max([min(depth, 48), *(exit for of_task in counts.values() for exit in of_task if exit <= 48)])
    if not counts:
        return None
    numbers = range(1, depth + 1)
    columns = [
        Column("Task", kind="text"),
        Column("Mean exit"),
        *(Column(f"Exit {exit}", "percent") for exit in numbers),
    ]
    rows = []
    for task, of_task in counts.items():
        examples = sum(of_task.values())
        mean = sum(exit * count for exit, count in of_task.items()) / examples
        shares = [value(fixed(100 * of_task.get(exit, 0) / examples, 1)) for exit in numbers]
        rows.append(Row(Cell(text=site.task(task).title), (value(fixed(mean, 2)), *shares)))
    notes = [
        "An example that leaves at exit k has been through the first k blocks; its later ones are not computed."
    ]
    return table("Where the dev examples leave", columns, rows, "exits", notes=notes)
