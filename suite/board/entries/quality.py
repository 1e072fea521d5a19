"""An entry's scores: by task, by run, and on which examples."""

from __future__ import annotations

from suite.board.entry_rows import SUBSET, may_diverge
from suite.board.site import (
    Links,
    Site,
    evidence_folder,
    known_track,
)
from suite.board.tables import Cell, Column, Row, Table, gap, table, value
from suite.board.text import (
    Missing,
    digits,
    field_label,
    fixed,
    short_hash,
    signed,
    span,
)
from suite.documents import Entry, Estimate, Run
from suite.fronts import FLOPS, START

RANKED = "of ranked variants only"


def ordered_tasks(entry: Entry) -> list[str]:
    known = known_track(entry.track)
    order = {task: i for i, task in enumerate(known.tasks)} if known else {}
    missing = [task for task in (known.core if known else ()) if task not in entry.quality]
    return sorted([*entry.quality, *missing], key=lambda task: (order.get(task, len(order)), task))


def run_documents(site: Site, entry: Entry) -> list[tuple[str, Run]]:
    """Task and run document of every run that is in the results tree; each part of an entry's page asks for them."""
    latest: tuple[Entry, list[tuple[str, Run]]] | None = site.kept.get("run documents")
    if latest is None or latest[0] is not entry:
        latest = site.kept["run documents"] = (entry, _run_documents(site, entry))
    return latest[1]


def _run_documents(site: Site, entry: Entry) -> list[tuple[str, Run]]:
    found = []
    for task in ordered_tasks(entry):
        for line in entry.quality[task].runs if task in entry.quality else ():
            document = site.evidence.run(entry.track, line.run)
            if isinstance(document, Run):
                found.append((task, document))
    return found


def first_runs(site: Site, entry: Entry) -> dict[str, Run]:
    found: dict[str, Run] = {}
    for task, document in run_documents(site, entry):
        found.setdefault(task, document)
    return found


def quality(site: Site, entry: Entry, links: Links) -> Table:
    known = known_track(entry.track)
    columns = [
        Column("Task", kind="text"),
        Column("Score", "points"),
        Column("95% interval"),
        Column("Retention", "share"),
        Column("Runs"),
        Column("Kind", kind="text"),
    ]
    rows = []
    for task in ordered_tasks(entry):
        name = Cell(text=site.task(task).title, href=links.task(task))
        core = "core" if known and task in known.core else "extended"
        found = entry.quality.get(task)
        if found is None:
            rows.append(Row(name, (gap(Missing("no run yet"), 4), Cell(text=core)), ident=f"task-{task}"))
            continue
        said = [core, *([SUBSET] if found.dev_subset else [])]
        rows.append(
            Row(
                name,
                (
                    value(fixed(found.score, 1), href="#runs"),
                    Cell(text=span(found.interval, 1), number=False),
                    retention_cell(found.retention, found.retention_reason),
                    Cell(text=str(len(found.runs)), number=True),
                    Cell(text=", ".join(said)),
                ),
                ident=f"task-{task}",
            )
        )
    notes = [
        f"{site.task(task).title}: {note}"
        for task in ordered_tasks(entry)
        for note in (
            site.task_note(entry.track, task),
            site.seed_note(entry.track, task) if task in entry.quality else "",
        )
        if note
    ]
    return table("Score by task", columns, rows, "quality", notes=notes)


def retention_cell(retention: Estimate | None, reason: str | None, href: str | None = None) -> Cell:
    if retention is None:
        return Cell(reason=reason or "not computed", href=href)
    small = span(retention.interval, 2) if retention.interval else "no interval"
    return value(fixed(retention.value, 2), small, href)


def fronts(site: Site, entry: Entry) -> Table | None:
    family = any(front.area for front in entry.fronts.values())
    columns = [
        Column("Cost", kind="text"),
        Column("Of the reference’s", "%"),
        Column("Above the curve", "points"),
        *([Column("Whole family above it", "points")] if family else []),
        Column("Hypervolume", "decades × points"),
    ]
    rows = [
        Row(
            Cell(text=_cost_title(site, axis)),
            (
                value(digits(100 * front.cost)),
                _points(front.above),
                *([_points(front.area) if front.area else Cell(reason=RANKED)] if family else []),
                value(fixed(front.hypervolume, 1)) if front.hypervolume is not None else Cell(reason=RANKED),
            ),
        )
        for axis, front in entry.fronts.items()
    ]
    notes = [
        "The curve runs through the n-gram linear model, the reference with layers left off, and the reference. "
        "A model is held against it at its own cost. Hypervolume: what the method beats of all costs below the "
        "reference’s and scores above the majority class’s; more is better."
    ]
    if family:
        notes.append(
            "A whole family is held against the curve on average over the logarithm of cost, from "
            f"{digits(100 * START)}% of the reference’s to all of it. Below its cheapest model it counts as the "
            "majority class, so a family of few sizes can lie below the curve though each of its models lies above."
        )
    return table("Against leaving layers off", columns, rows, "fronts", notes=notes) if rows else None


def _cost_title(site: Site, axis: str) -> str:
    """``flops`` or ``profile/runtime`` in words."""
    if axis == FLOPS:
        return "FLOPs at dev lengths"
    profile, _, runtime = axis.partition("/")
    return f"time {site.on_profile(profile)}, {runtime}"


def _points(found: Estimate) -> Cell:
    return value(signed(found.value, 1), span(found.interval, 1) if found.interval else "")


def runs(site: Site, entry: Entry, links: Links) -> Table:
    columns = [
        Column("Run", kind="text"),
        Column("Score", "points"),
        Column("Metrics", kind="text"),
        Column("Calibration", "error, Brier", kind="text"),
        Column("Dev rows"),
        Column("Training", "TFLOP"),
        Column("Evidence", kind="text"),
    ]
    rows = []
    for task in ordered_tasks(entry):
        found = entry.quality.get(task)
        for line in found.runs if found else ():
            document = site.evidence.run(entry.track, line.run)
            metrics = ", ".join(f"{field_label(k)} {fixed(v, 3)}" for k, v in sorted(line.metrics.items()))
            tags = tuple(
                tag
                for tag, true in (
                    ("diverged", line.diverged and may_diverge(entry)),
                    (SUBSET, found and found.dev_subset),
                )
                if true
            )
            name = Cell(text=f"{site.task(task).title}, seed {line.seed}")
            if isinstance(document, Missing):
                cells: tuple[Cell, ...] = (
                    value(fixed(line.score, 2)),
                    Cell(text=metrics),
                    gap(document, 3),
                    gap(document),
                )
            else:
                href = links.to(evidence_folder(entry.track, line.run)) + "/run.json"
                dev = sum(split.rows for split in document.data.dev.values())
                calibration = ", ".join(
                    fixed(v, 3) for _, v in sorted(document.calibration.items(), reverse=True)
                )
                cells = (
                    value(fixed(line.score, 2), f"sd {fixed(document.score_sd, 2)} of sampling", href),
                    Cell(text=metrics),
                    Cell(text=calibration) if calibration else Cell(reason="regression: none"),
                    Cell(text=f"{dev:,}", number=True),
                    value(digits(document.training_cost.tflop)),
                    Cell(text="run.json", href=href),
                )
            rows.append(Row(name, cells, tags=tags))
    return table("Every run, by task and seed", columns, rows, "runs")


def data(site: Site, entry: Entry, links: Links) -> Table | None:
    columns = [
        Column("Task", kind="text"),
        Column("Source", kind="text"),
        Column("Train", "rows"),
        Column("Selection", "rows"),
        Column("Dev", "rows", kind="text"),
        Column("Dev fingerprint", kind="text"),
    ]
    rows = []
    for task, document in first_runs(site, entry).items():
        used = document.data
        dev = ", ".join(
            f"{split.rows:,}" + (f" ({name})" if len(used.dev) > 1 else "")
            for name, split in sorted(used.dev.items())
        )
        prints = ", ".join(short_hash(split.fingerprint) for _, split in sorted(used.dev.items()))
        rows.append(
            Row(
                Cell(text=site.task(task).title, href=links.task(task)),
                (
                    Cell(text=used.source, declared=True),
                    Cell(text=f"{used.train.rows:,}", number=True),
                    Cell(text=f"{used.selection.rows:,}", number=True),
                    Cell(text=dev),
                    Cell(text=prints),
                ),
                tags=(SUBSET,) if used.dev_subset else (),
            )
        )
    return table("Which examples", columns, rows, "data") if rows else None
