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
from suite.documents import Measurement

BINS = 36
DRAWN = (0.5, 99.5)  # percentiles that the drawing reaches; the table has the ends
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


def distribution(
    site: Site, track: str, place: str, m: Measurement, ident: str, title: str, mark: Mark
) -> Distribution:
    """From ``samples.parquet``; for batches a time is one of the whole batch's queries, so nothing is drawn."""
    if m.offline is not None:
        return Distribution(
            None, "", None, "The queries were answered in batches: each one’s own time is not known."
        )
    samples = site.evidence.samples(track, place)
    if isinstance(samples, Missing):
        return Distribution(None, "", None, f"No distribution: {samples.reason}.")
    times = samples["nanoseconds"] / 1e6
    own, reference = times[samples["side"] == 1], times[samples["side"] == 0]
    if len(own) < 2 or len(reference) < 2:
        return Distribution(None, "", None, "No distribution: too few queries.")
    low, high = (float(np.percentile(np.concatenate([own, reference]), at)) for at in DRAWN)
    if not high > low:
        return Distribution(None, "", None, "No distribution: every query took the same time.")
    edges = np.geomspace(low, high, BINS + 1)
    series = [
        Series("this model", _shares(own, edges), mark.hue),
        Series("the reference", _shares(reference, edges), None),
    ]
    said = (
        f"{counted(len(own), 'timed query', 'timed queries')} of this model, {len(reference):,} of the reference, in "
        f"{counted(len(np.unique(samples['pair'])), 'process pair')}."
    )
    beyond = 100 * float(((own > high) | (own < low)).mean())
    cut = f" {fixed(beyond, 1)}% of its times lie outside the drawing." if beyond >= 0.05 else ""
    chart = histogram(
        series,
        [float(edge) for edge in edges],
        ident=f"times-{ident}",
        title=f"Times of single queries: {title}",
        description=f"{said} Medians: {digits(float(np.median(own)))} and {digits(float(np.median(reference)))} ms.",
        axis="ms, log scale",
        ticks=[(at, round_number(at)) for at in log_ticks(low, high, 6) if low <= at <= high],
        log=True,
    )
    caption = f"Filled: this model. Outline: the reference. {said}{cut}"
    return Distribution(chart, caption, _twin(own, reference, ident, title))


def _shares(times: Milliseconds, edges: Milliseconds) -> tuple[float, ...]:
    counts, _ = np.histogram(times, edges)
    return tuple(float(count) / len(times) for count in counts)


def _twin(own: Milliseconds, reference: Milliseconds, ident: str, title: str) -> Table:
    ends = [np.percentile(times, PERCENTILES) for times in (own, reference)]
    rows = [
        Row(
            Cell(text=_NAMES.get(at, f"{at}% are within")),
            tuple(value(digits(float(times[place]), 4)) for times in ends),
        )
        for place, at in enumerate(PERCENTILES)
    ]
    columns = [Column("Time of a query", kind="text"), Column("This model", "ms"), Column("Reference", "ms")]
    return table(f"Times as a table: {title}", columns, rows, f"{ident}-times")
