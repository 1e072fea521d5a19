"""The tasks' pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from suite.board import charts, cut
from suite.board.charts import Bar, Figure
from suite.board.entries.quality import retention_cell
from suite.board.entry_rows import SUBSET, may_diverge, mixed_subset, named_row, task_cell
from suite.board.facts import Fact
from suite.board.page import Page, page
from suite.board.site import Links, Site, known_track, track_title
from suite.board.tables import Cell, Column, Row, table
from suite.board.text import (
    counted,
    field_label,
    fixed,
    sentence,
    span,
)
from suite.documents import Entry, Quality
from suite.protocol import TRAINING


def task_names(site: Site) -> list[str]:
    """The tasks of the tracks that have entries, in the protocol's order, then a user's own."""
    names: dict[str, None] = {}
    for track in site.tracks():
        known = known_track(track)
        names.update(dict.fromkeys(known.tasks if known else ()))
    for entry in site.entries:
        names.update(dict.fromkeys(sorted(entry.quality)))
    return list(names)


def _kind(site: Site, name: str) -> str:
    task = site.task(name)
    if not task.columns:
        return "a task that this site has no description of"
    texts = "a pair of texts" if len(task.columns) == 2 else "one text"
    if task.regression:
        return f"a number for {texts}"
    return f"{texts}, {counted(len(task.labels), 'label')}: {', '.join(task.labels)}"


def tasks_list(site: Site, tasks: Sequence[str]) -> Page:
    links = Links("tasks.html")
    columns = [
        Column("Task", kind="text"),
        Column("What is asked", kind="text"),
        Column("Metrics", kind="text"),
        Column("Train", "official rows"),
        Column("Dev", "official rows"),
        Column("Tracks", kind="text"),
    ]
    rows = []
    for name in tasks:
        task = site.task(name)
        dev = sum(n for split, n in task.official_rows.items() if split != "train")
        on = {t: name in k.core for t in site.tracks() if (k := known_track(t)) and name in k.tasks}
        subset = any(site.dev_subset(t, name) for t in site.tracks())
        made = (
            "generated"
            if any((k := known_track(t)) and k.data == "generated" for t in on)
            else "as the user’s own"
        )
        rows.append(
            Row(
                Cell(text=task.title, href=links.task(name)),
                (
                    Cell(text=_kind(site, name)),
                    Cell(text=", ".join(task.metrics) or "not known here"),
                    Cell(text=f"{task.official_rows['train']:,}", number=True)
                    if "train" in task.official_rows
                    else Cell(reason=made),
                    Cell(text=f"{dev:,}", number=True) if dev else Cell(reason=made),
                    Cell(text=", ".join(f"{t} (core)" if core else t for t, core in on.items()) or "none"),
                ),
                tags=(SUBSET,) if subset else (),
            )
        )
    made_table = table("Tasks", columns, rows, "tasks", hidden_caption=True)
    return page("tasks.html", "tasks.html", "tasks", "Tasks", links, tasks=made_table)


def task_page(site: Site, name: str) -> Page:
    path = f"tasks/{name}.html"
    links = Links(path)
    task = site.task(name)
    facts = [
        Fact("what is asked", _kind(site, name)),
        Fact("metrics", ", ".join(task.metrics) or "not known here"),
    ]
    facts += [
        Fact(f"official {split.replace('_', ' ')} rows", f"{n:,}") for split, n in task.official_rows.items()
    ]
    for split, known in sorted(TRAINING["dev"].get(name, {}).items()):
        whole = "the official set" if known.get("complete", True) else SUBSET
        facts.append(Fact(f"{split.replace('_', ' ')} rows accepted", f"{known['rows']:,}, {whole}"))
        facts.append(Fact(f"{split.replace('_', ' ')} gold labels", known["gold_sha256"]))
        facts.append(Fact(f"{split.replace('_', ' ')} texts", known["text_sha256"]))
    parts = []
    for track in site.tracks():
        entries = [e for e in site.of(track) if name in e.quality]
        track_known = known_track(track)
        in_track = track_known is not None and name in track_known.tasks
        if entries:
            parts.append(_task_on(site, links, name, track, entries))
        elif in_track:
            parts.append(
                {
                    "track": track,
                    "title": track_title(track),
                    "href": links.track(track),
                    "reason": "No runs on this task yet.",
                }
            )
    notes = sorted({note for track in site.tracks() if (note := site.task_note(track, name))})
    return page(
        path,
        "task.html",
        "tasks",
        task.title,
        links,
        facts=facts,
        parts_of=parts,
        notes=[sentence(note) for note in notes],
        subset=any(site.dev_subset(t, name) for t in site.tracks()),
    )


def _task_on(site: Site, links: Links, name: str, track: str, entries: Sequence[Entry]) -> dict[str, Any]:
    known = known_track(track)
    ordered = sorted(entries, key=lambda e: (-e.quality[name].score, e.recipe, e.variant))
    columns = [
        Column("Method", kind="text"),
        Column("Score", "points", note=SUBSET if site.dev_subset(track, name) else ""),
        Column("Metrics", "mean over seeds", kind="text"),
        Column("Retention", "share"),
        Column("Seeds", kind="text"),
    ]
    mixed = mixed_subset(entries, name)
    printed = ordered[: cut.PRINTED]
    rows, bars = [], []
    for entry in printed:
        found = entry.quality[name]
        metrics = (
            ", ".join(
                f"{field_label(metric)} {fixed(_mean_metric(found, metric), 3)}"
                for metric in sorted(found.runs[0].metrics)
                if all(metric in run.metrics for run in found.runs)
            )
            if found.runs
            else ""
        )
        seeds = ", ".join(
            f"{run.seed}: {fixed(run.score, 1)}"
            + (" diverged" if run.diverged and may_diverge(entry) else "")
            for run in found.runs
        )
        href = links.entry(entry, f"task-{name}")
        rows.append(
            named_row(
                site,
                links,
                entry,
                [
                    task_cell(entry, name, links, mixed=mixed),
                    Cell(text=metrics) if metrics else Cell(reason="no runs named"),
                    retention_cell(found.retention, found.retention_reason, href),
                    Cell(text=seeds) if seeds else Cell(reason="no runs named"),
                ],
            )
        )
        if entry.default:
            bars.append(
                Bar(
                    site.label(entry),
                    found.score,
                    found.interval,
                    f"{fixed(found.score, 1)} points, {span(found.interval, 1)}",
                    href,
                    site.mark(entry.recipe),
                    tuple(run.score for run in found.runs) if len(found.runs) > 1 else (),
                )
            )
    title = f"{site.task(name).title} on {track_title(track)}"
    figure = None
    if len(bars) > 1:
        drawn = [
            charts.forest(
                bars,
                ident=f"forest-{track}-{width}",
                title=title,
                axis="points",
                narrow=width == "narrow",
                description=f"{len(bars)} methods, best first; the table has the same numbers.",
            )
            for width in ("wide", "narrow")
        ]
        caption = "Bars are 95% intervals, small ticks single seeds; one default variant per method."
        if site.dev_subset(track, name):
            caption += " Dev subset: not the official figure."
        figure = Figure(drawn[0], drawn[1], caption, title)
    return {
        "track": track,
        "title": track_title(track),
        "href": links.track(track),
        "figure": figure,
        "table": table(
            f"All rows, {track_title(track)} track",
            columns,
            rows,
            f"rows-{track}",
            notes=[*filter(None, [site.seed_note(track, name)]), *cut.said(len(printed), len(ordered))],
        ),
        "reason": "",
        "core": bool(known and name in known.core),
    }


def _mean_metric(found: Quality, metric: str) -> float:
    return sum(run.metrics[metric] for run in found.runs) / len(found.runs)
