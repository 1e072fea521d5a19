"""Which label was taken for which: needs the gold labels, so only a build with the data at hand has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suite.board.entries.quality import ordered_tasks
from suite.board.site import Site
from suite.board.tables import Cell, Column, Row, Table, table, value
from suite.board.text import Missing, counted, fixed
from suite.documents import Entry


def confusions(site: Site, entry: Entry) -> list[Table]:
    """One table per classification task and dev set, all seeds together; none without data."""
    if site.local is None:
        return []
    found = []
    for name in ordered_tasks(entry):
        task = site.task(name)
        if task.regression or name not in entry.quality:
            continue
        rows = site.local.rows(task, entry.track)
        if isinstance(rows, Missing):
            continue
        counts: dict[str, NDArray[np.int64]] = {}
        for line in entry.quality[name].runs:
            predictions = site.evidence.predictions(entry.track, line.run, task)
            for split, one in ({} if isinstance(predictions, Missing) else predictions).items():
                labels = np.asarray(rows.get(split, {}).get("label", ()), dtype=np.int64)
                if len(one.row) == 0 or int(one.row.max()) >= len(labels):
                    continue  # scored on other rows than the data at hand has
                said, truth = one.scores.argmax(axis=1), labels[one.row]
                grid = counts.setdefault(split, np.zeros((len(task.labels),) * 2, dtype=np.int64))
                np.add.at(grid, (truth, said), 1)
        for split, grid in counts.items():
            found.append(_table(name, split, grid, task.title, task.labels, len(entry.quality[name].runs)))
    return found


def _table(
    name: str,
    split: str,
    grid: NDArray[np.int64],
    title: str,
    labels: tuple[str, ...],
    runs: int,
) -> Table:
    columns = [
        Column("Truly", kind="text"),
        *(Column(f"Said {label}", "percent") for label in labels),
        Column("Rows"),
    ]
    rows = [
        Row(
            Cell(text=label),
            (
                *(value(fixed(100 * count / max(1, grid[at].sum()), 1), f"{count:,}") for count in grid[at]),
                Cell(text=f"{grid[at].sum():,}", number=True),
            ),
        )
        for at, label in enumerate(labels)
    ]
    where = "" if split == "dev" else f", {split.replace('_', ' ')}"
    return table(
        f"{title}{where}: what was said of what, {counted(runs, 'seed')}",
        columns,
        rows,
        f"confusion-{name}-{split}",
    )
