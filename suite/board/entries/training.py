"""What training took, and how it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from suite.board import charts
from suite.board.charts import Trace
from suite.board.entries.quality import run_documents
from suite.board.site import (
    Site,
)
from suite.board.tables import Cell, Column, Row, Table, table, value
from suite.board.text import (
    counted,
    digits,
    field_label,
    listed,
    seconds_words,
)
from suite.documents import Entry


@dataclass(frozen=True)
class Curves:
    """A task's training curves, one small chart per logged quantity."""

    title: str
    ident: str
    charts: tuple[tuple[str, Markup], ...]


def curves(site: Site, entry: Entry, tasks: Sequence[str], ident: str = "curve") -> list[Curves]:
    """Training curves of some tasks, one line per seed."""
    documents = run_documents(site, entry)
    found = []
    for task in tasks:
        traces: dict[tuple[str, str], list[Trace]] = {}
        for of, document in documents:
            if of != task:
                continue
            for line in document.curves:
                if line.steps and len(line.steps) == len(line.values):
                    one = Trace(f"seed {document.seed}", line.steps, line.values)
                    traces.setdefault((line.phase, line.name), []).append(one)
        drawn = []
        for number, ((phase, name), seeds) in enumerate(sorted(traces.items())):
            title = f"{phase}: {field_label(name)}"
            ends = [one.values[-1] for one in seeds]
            said = (
                f"{site.task(task).title}, {counted(len(seeds), 'seed')}, "
                f"{max(one.steps[-1] for one in seeds):,} steps; "
                f"ends at {listed(f'{v:.3g}' for v in ends)}."
            )
            chart = charts.curve(
                tuple(seeds),
                ident=f"{ident}-{task.replace('.', '-')}-{number}",
                title=title,
                description=said,
                mark=site.mark(entry.recipe),
            )
            drawn.append((title, chart))
        if drawn:
            found.append(Curves(site.task(task).title, f"{ident}-{task}", tuple(drawn)))
    return found


def stages(site: Site, entry: Entry, ident: str = "stages", of: str = "") -> Table | None:
    """What training took, stage by stage; a stage that several runs shared is counted once."""
    keys: dict[str, tuple[str, bool, float, int, float]] = {}
    for _, document in run_documents(site, entry):
        for stage in document.stages:
            keys[stage.key] = (stage.stage, stage.shared, stage.tflop, stage.tokens, stage.seconds)
    sums: dict[tuple[str, bool], list[float]] = {}
    for name, shared, tflop, tokens, seconds in keys.values():
        line = sums.setdefault((name, shared), [0, 0.0, 0, 0.0])
        for i, amount in enumerate((1, tflop, tokens, seconds)):
            line[i] += amount
    if not sums:
        return None
    columns = [
        Column("Stage", kind="text"),
        Column("Made", "times"),
        Column("Training", "TFLOP"),
        Column("Tokens"),
        Column("Time", kind="text"),
        Column("Counts", kind="text"),
    ]
    rows = [
        Row(
            Cell(text=name),
            (
                Cell(text=f"{line[0]:,.0f}", number=True),
                value(digits(line[1])),
                Cell(text=f"{line[2]:,.0f}", number=True),
                Cell(text=seconds_words(line[3])),
                Cell(text="shared: outside the budget" if shared else "inside the budget"),
            ),
        )
        for (name, shared), line in sorted(
            sums.items(), key=lambda item: (item[0][1], -item[1][1], item[0][0])
        )
    ]
    return table(f"What training took, all runs together{of}", columns, rows, ident)
