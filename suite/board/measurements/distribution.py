"""A measurement's times as a distribution: every timed query of the model and of the reference beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from suite.board.charts import log_ticks
from suite.board.histogram import Series, histogram
from suite.board.site import Site
from suite.board.svg import Mark
from suite.board.tables import Cell, Column, Row, Table, table, value
from suite.board.text import Missing, counted, digits, fixed, round_number
from suite.documents import Entry

BINS = 36
DRAWN = (0.5, 99.5)  # percentiles that the drawing reaches; the table has the ends
KEPT = 512  # measurements in memory at a time
PERCENTILES = (0, 10, 25, 50, 75, 90, 100)
_NAMES = {0: "Fastest", 50: "Median", 100: "Slowest"}

Milliseconds = NDArray[np.float64]


@dataclass(frozen=True)
class Distribution:
    """The drawing, what it shows, and its table twin; or why there is none."""

    chart: Markup | None
    caption: str
    twin: Table | None
    reason: str = ""


def timed(site: Site, entry: Entry, place: str) -> str:
    """What a measurement timed: ``on one CPU thread, onnx, single-stream, trace, CoLA``."""
    line = next(line for line in entry.speed if line.measurement == place)
    runtime = line.runtime if line.precision == "fp32" else f"{line.runtime} {line.precision}"
    parts = [site.on_profile(line.profile), runtime, line.arrival, line.inputs]
    return ", ".join([*parts, site.task(line.task).title] if line.task else parts)


def distribution(site: Site, entry: Entry, place: str) -> Distribution:
    """Of a measurement that the entry names, from ``samples.parquet``.

    The latest stay in memory, since entries inherit times. For batches a time is one of the whole batch's queries, so
    nothing is drawn.
    """
    kept: dict[tuple[str, str, Mark], Distribution] = site.kept.setdefault("distributions", {})
    mark = site.mark(entry.recipe)
    key = (entry.track, place, mark)
    if key not in kept:
        if len(kept) >= KEPT:
            del kept[next(iter(kept))]
        kept[key] = _distribution(site, entry.track, place, timed(site, entry, place), mark)
    return kept[key]


def _distribution(site: Site, track: str, place: str, title: str, mark: Mark) -> Distribution:
    m = site.measured(track, place)
    if isinstance(m, Missing):
        return Distribution(None, "", None, f"No distribution: {m.reason}.")
    if m.offline is not None:
        return Distribution(
            None, "", None, "The queries were answered in batches: each one’s own time is not known."
        )
    times = _times(site, track, place)
    if isinstance(times, Missing):
        return Distribution(None, "", None, f"No distribution: {times.reason}.")
    series = [
        Series("this model", times.own.shares, mark.hue),
        Series("the reference", times.reference.shares, None),
    ]
    said = (
        f"{counted(times.own.queries, 'timed query', 'timed queries')} of this model, {times.reference.queries:,} of "
        f"the reference, in {counted(times.pairs, 'process pair')}."
    )
    cut = f" {fixed(times.beyond, 1)}% of its times lie outside the drawing." if times.beyond >= 0.05 else ""
    low, high = times.edges[0], times.edges[-1]
    medians = [digits(side.percentiles[PERCENTILES.index(50)]) for side in (times.own, times.reference)]
    chart = histogram(
        series,
        times.edges,
        ident=f"times-{place}",
        title=f"Times of single queries: {title}",
        description=f"{said} Medians: {medians[0]} and {medians[1]} ms.",
        axis="ms, log scale",
        ticks=[(at, round_number(at)) for at in log_ticks(low, high, 6) if low <= at <= high],
        log=True,
    )
    caption = f"Filled: this model. Outline: the reference. {said}{cut}"
    return Distribution(chart, caption, _twin(times))


@dataclass(frozen=True)
class _Side:
    """One model's times: how many, which share of them in each column, and the ends of the table in milliseconds."""

    queries: int
    shares: tuple[float, ...]
    percentiles: tuple[float, ...]


@dataclass(frozen=True)
class _Times:
    own: _Side
    reference: _Side
    edges: tuple[float, ...]  # of the columns, milliseconds
    pairs: int
    beyond: float  # percent of the model's own times outside the edges


def _times(site: Site, track: str, place: str) -> _Times | Missing:
    samples = site.evidence.samples(track, place)
    if isinstance(samples, Missing):
        return samples
    times = samples["nanoseconds"] / 1e6
    own, reference = times[samples["side"] == 1], times[samples["side"] == 0]
    if len(own) < 2 or len(reference) < 2:
        return Missing("too few queries")
    low, high = (float(end) for end in np.percentile(np.concatenate([own, reference]), DRAWN))
    if not high > low:
        return Missing("every query took the same time")
    edges = np.geomspace(low, high, BINS + 1)
    return _Times(
        _side(own, edges),
        _side(reference, edges),
        tuple(edges.tolist()),
        len(np.unique(samples["pair"])),
        100 * float(((own > high) | (own < low)).mean()),
    )


def _side(times: Milliseconds, edges: Milliseconds) -> _Side:
    counts, _ = np.histogram(times, edges)
    percentiles = np.percentile(times, PERCENTILES).tolist()
    return _Side(len(times), tuple(float(count) / len(times) for count in counts), tuple(percentiles))


def _twin(times: _Times) -> Table:
    ends = (times.own.percentiles, times.reference.percentiles)
    rows = [
        Row(
            Cell(text=_NAMES.get(at, f"{at}% are within")),
            tuple(value(digits(side[place], 4)) for side in ends),
        )
        for place, at in enumerate(PERCENTILES)
    ]
    columns = [Column("Time of a query", kind="text"), Column("This model", "ms"), Column("Reference", "ms")]
    return table("Times as a table", columns, rows, "times")
