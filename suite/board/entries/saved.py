"""Early exit: how much of what it saves in FLOPs it saves in time."""

from __future__ import annotations

from suite.board.entries.speed import ratio_note
from suite.board.site import Links, Site
from suite.board.tables import Cell, Column, Row, Table, table, value
from suite.board.text import digits, fixed
from suite.documents import Entry, Measurement


def saved(site: Site, entry: Entry, links: Links) -> Table | None:
    """How much of what early exit saves in FLOPs it saves in time; None where none was timed task by task."""
    reference = site.reference(entry.track)
    rows = []
    for line in entry.speed:
        document = site.measured(entry.track, line.measurement)
        if not isinstance(document, Measurement) or document.task is None or line.inputs != "trace":
            continue
        key = f"dev/{document.task}"
        own = entry.cost.flops_per_example.get(key)
        full = reference.cost.flops_per_example.get(key) if reference is not None else None
        if not own or not full:
            continue
        same = line.ratio if document.reference_runtime == line.runtime else line.alone_ratio
        cells = [Cell(reason="reference not timed alike in this runtime")] * 2
        if same is not None:
            faint = line.verdict == "noisy"
            cells = [
                value(digits(same.value, 3, 2), ratio_note(same.interval, same.pairs), faint=faint),
                value(fixed(100 * same.value * own / full, 0), faint=faint),
            ]
        rows.append(
            Row(
                Cell(text=site.profile_title(line.profile), href=links.profile(line.profile)),
                (
                    Cell(text=line.runtime),
                    Cell(text=f"{line.arrival}, {site.task(document.task).title}"),
                    cells[0],
                    value(digits(full / own, 3, 2)),
                    cells[1],
                    Cell(reason="not timed")
                    if document.worst_case is None
                    else value(digits(document.worst_case.ratio, 3, 2)),
                ),
            )
        )
    if not rows:
        return None
    columns = [
        Column("Measured on", kind="text"),
        Column("Runtime", kind="text"),
        Column("Arrival, task", kind="text"),
        Column("Speed-up", "times, same runtime"),
        Column("By FLOPs", "times"),
        Column("Realised", "percent"),
        Column("Nobody leaving", "times the reference’s"),
    ]
    notes = ["By FLOPs: the reference’s over this model’s, each dev example up to the exit that it takes."]
    return table("What leaving early saves", columns, rows, "saved", notes=notes)
