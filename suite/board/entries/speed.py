"""Every measurement of an entry as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from suite.board.measurements.distribution import distribution, timed
from suite.board.site import FP32, Links, Site, View
from suite.board.tables import Cell, Column, Row, Table, table, value
from suite.board.text import (
    Missing,
    counted,
    digits,
    fixed,
    listed,
    ratio_span,
    sentence,
    signed,
    span,
)
from suite.documents import Entry, Latency, Speed


def speeds(site: Site, entry: Entry, links: Links) -> Table | None:
    if not entry.speed and not entry.empty:
        return None
    columns = [
        Column("Measured on", kind="text"),
        Column("Runtime", kind="text"),
        Column("Arrival, inputs", kind="text"),
        Column("Speed", "times the reference’s"),
        Column("From compression alone", "times, same runtime"),
        Column("p50", "ms"),
        Column("p90", "ms"),
        Column("p99", "ms"),
        Column("Memory", "MB"),
        Column("File", "MB"),
        Column("Verdict", kind="text"),
    ]
    rows = []
    for line in entry.speed:
        noisy = line.verdict == "noisy"
        href = links.measured(entry, line.measurement)
        inputs = f"{line.arrival}, {line.inputs}" + (f", {site.task(line.task).title}" if line.task else "")
        alone: Cell
        if line.alone_ratio is None:
            alone = Cell(reason="reference not timed alike in this runtime")
        else:
            alone = value(
                digits(line.alone_ratio.value, 3, 2),
                ratio_note(line.alone_ratio.interval, line.alone_ratio.pairs),
                faint=noisy,
            )
        rows.append(
            Row(
                Cell(text=site.profile_title(line.profile), href=links.profile(line.profile)),
                (
                    Cell(
                        text=line.runtime if line.precision == "fp32" else f"{line.runtime}, {line.precision}"
                    ),
                    Cell(text=inputs),
                    value(
                        digits(line.ratio.value, 3, 2),
                        ratio_note(line.ratio.interval, line.ratio.pairs),
                        href,
                        faint=noisy,
                    ),
                    alone,
                    *_percentiles(line.latency_ms, noisy, href),
                    value(digits(line.peak_memory_bytes / 1e6, 3, 1)),
                    value(digits(line.model_bytes / 1e6, 4, 1)),
                    Cell(text=line.verdict + (", inherited" if line.inherited else ""), href=href),
                ),
            )
        )
    for cell in entry.empty:
        inputs = f"{cell.arrival}, {cell.inputs}" + (f", {site.task(cell.task).title}" if cell.task else "")
        why = Cell(reason=f"tried on {cell.date}: {cell.reason}")
        said = (Cell(text=cell.runtime), Cell(text=inputs), why)
        others = [Cell(reason="not measured")] * (len(columns) - len(said) - 1)
        rows.append(
            Row(
                Cell(text=site.profile_title(cell.profile), href=links.profile(cell.profile)),
                (*said, *others),
            )
        )
    return table("Every measurement", columns, rows, "speed", notes=_speed_notes(site, entry.speed))


@dataclass(frozen=True)
class Times:
    """The single queries behind a speed, drawn; everything else of the measurement is on its own page."""

    title: str
    href: str
    chart: Markup | None
    said: str  # what is drawn, or why nothing is


def times(site: Site, entry: Entry, view: View, links: Links) -> list[Times] | Missing:
    """Of the measurements behind the speed that the page's head shows: one, or one for each core task."""
    shown = site.speed(entry, view)
    if isinstance(shown, Missing):
        return Missing(sentence(shown.reason))
    found = []
    for place in shown.measurements:
        title, drawn = sentence(timed(site, entry, place))[:-1], distribution(site, entry, place)
        found.append(Times(title, links.measured(entry, place), drawn.chart, drawn.caption or drawn.reason))
    return found


def _speed_notes(site: Site, lines: Sequence[Speed]) -> list[str]:
    notes = []
    if any(line.inherited for line in lines):
        notes.append("Inherited: timed on another run whose model has the same operations, shapes and types.")
    if any(line.verdict == "noisy" for line in lines):
        notes.append(
            "Noisy (grey): single queries scattered more than the protocol calls stable; the interval stands."
        )
    for line in lines:
        if line.scores:
            said = [
                f"{site.task(task).title} {fixed(own.score, 1)} ({signed(own.change.value, 1)}; "
                f"{span(own.change.interval, 1) if own.change.interval else 'no interval'})"
                for task, own in line.scores.items()
            ]
            than = "the same weights in full precision"
            if line.precision == FP32:
                than = "its runs’ (it rounds inside, so each runtime answers a little otherwise)"
            notes.append(
                f"{line.runtime}, {line.precision}, {site.profile_title(line.profile)}, scores by its own answers to "
                f"whole dev sets, and how far that is from {than}: {listed(said)}."
            )
    if any(line.precision != "fp32" and not line.scores for line in lines):
        notes.append(
            "Where a lower precision was not scored, the page’s scores are of full precision: its time says nothing "
            "of its answers."
        )
    if any(line.ratio.interval is None for line in lines):
        notes.append("Where there are too few process pairs for an interval, none is printed.")
    return notes


def ratio_note(interval: tuple[float, float] | None, pairs: int) -> str:
    return ratio_span(interval) if interval else f"{counted(pairs, 'pair')}, no interval"


def _percentiles(latency: Latency, noisy: bool, href: str) -> list[Cell]:
    given = (
        (latency.p50, latency.p50_reason),
        (latency.p90, latency.p90_reason),
        (latency.p99, latency.p99_reason),
    )
    return [
        Cell(reason=reason or "too few queries")
        if at is None
        else value(digits(at, 3, 2), href=href, faint=noisy)
        for at, reason in given
    ]
