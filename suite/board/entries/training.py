"""What training took, and how it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from suite.board import charts, markup
from suite.board.charts import Trace
from suite.board.entries.quality import run_documents
from suite.board.site import (
    Site,
)
from suite.board.tables import Cell, Column, Row, Table, table, value
from suite.board.text import (
    counted,
    digits,
    escaped,
    field_label,
    listed,
)
from suite.documents import Entry

Course = tuple[str, str, tuple[Trace, ...]]  # phase, quantity, one trace per seed


class Curve(NamedTuple):
    """A small chart of one logged quantity, of a task or of several that began alike."""

    of: str
    title: str
    chart: Markup


@dataclass(frozen=True)
class Curves:
    """All that the runs of an entry logged, and where each line begins and ends as a table."""

    drawn: tuple[Curve, ...]
    twin: Table


def curves(
    site: Site, entry: Entry, tasks: Sequence[str], ident: str = "curve", of: str = ""
) -> Curves | None:
    """Training curves of some tasks, one line per seed. What the runs of several tasks began with comes first, once."""
    traces: dict[tuple[str, str, str], list[Trace]] = {}
    for task, document in run_documents(site, entry):
        for line in document.curves:
            if task in tasks and line.steps and len(line.steps) == len(line.values):
                one = Trace(f"seed {document.seed}", line.steps, line.values)
                traces.setdefault((task, line.phase, line.name), []).append(one)
    alike: dict[Course, list[str]] = {}
    for (task, phase, name), seeds in traces.items():
        alike.setdefault((phase, name, tuple(seeds)), []).append(task)
    groups: dict[tuple[str, ...], list[Course]] = {}
    for course, having in alike.items():
        groups.setdefault(tuple(having), []).append(course)
    drawn: list[Curve] = []
    rows: list[Row] = []
    for several, courses in sorted(groups.items(), key=lambda group: -len(group[0])):
        names = [site.task(task).title for task in several]
        title = "All tasks" if len(several) == len(tasks) > 1 else listed(names)
        place = "-".join([ident, *several]).replace(".", "-")
        for number, course in enumerate(sorted(courses, key=lambda course: course[:2])):
            curve = _curve(site, entry, title, course, f"{place}-{number}")
            drawn.append(curve)
            rows += _ends(curve, course[2])
    if not drawn:
        return None
    columns = [
        Column("Curve", kind="text"),
        Column("Run", kind="text"),
        Column("Steps"),
        *(Column(name) for name in ("First", "Lowest", "Highest", "Last")),
    ]
    caption = f"Where each curve begins and ends{of}"
    return Curves(tuple(drawn), table(caption, columns, rows, f"{ident}-ends"))


def printed(given: Curves) -> Markup:
    """Small charts side by side, and below them where their lines begin and end."""
    drawn = "".join(
        f"<li><span><strong>{escaped(one.of)}</strong> {escaped(one.title)}</span>{one.chart}</li>\n"
        for one in given.drawn
    )
    twin = f"<details><summary>The same in figures</summary>\n{markup.table(given.twin)}\n</details>\n"
    said = "<p>One line per seed, over optimiser steps. Selection: the score on training examples kept apart.</p>"
    return Markup(f'{said}\n<ul class="multiples">\n{drawn}</ul>\n{twin}')


def _curve(site: Site, entry: Entry, of: str, course: Course, ident: str) -> Curve:
    phase, name, seeds = course
    title = f"{phase}: {field_label(name)}"
    said = (
        f"{of}, {counted(len(seeds), 'seed')}, {max(one.steps[-1] for one in seeds):,} steps; "
        f"ends at {listed(f'{one.values[-1]:.3g}' for one in seeds)}."
    )
    drawn = charts.curve(seeds, ident=ident, title=title, description=said, mark=site.mark(entry.recipe))
    return Curve(of, title, drawn)


def _ends(one: Curve, seeds: Sequence[Trace]) -> list[Row]:
    return [
        Row(
            Cell(text=f"{one.of}, {one.title}"),
            (
                Cell(text=seed.name),
                Cell(text=f"{seed.steps[-1]:,}", number=True),
                *(
                    value(digits(number, 3, 4))
                    for number in (seed.values[0], min(seed.values), max(seed.values), seed.values[-1])
                ),
            ),
        )
        for seed in seeds
    ]


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
        Column("Times made"),
        Column("Training", "TFLOP"),
        Column("Tokens"),
        Column("Time", "s"),
        Column("Counts", kind="text"),
    ]
    rows = [
        Row(
            Cell(text=name),
            (
                Cell(text=f"{line[0]:,.0f}", number=True),
                value(digits(line[1])),
                Cell(text=f"{line[2]:,.0f}", number=True),
                value(digits(line[3], 3, 1)),
                Cell(text="shared: outside the budget" if shared else "inside the budget"),
            ),
        )
        for (name, shared), line in sorted(
            sums.items(), key=lambda item: (item[0][1], -item[1][1], item[0][0])
        )
    ]
    return table(f"What training took, all runs together{of}", columns, rows, ident)
