"""A profile's curves: how latency grows with length, how the rate grows with the batch. Each with its table twin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suite.board import lines
from suite.board.charts import Figure
from suite.board.lines import Line
from suite.board.scatter import Axis
from suite.board.site import FP32, Links, Site
from suite.board.svg import Mark
from suite.board.tables import Cell, Column, Row, Table, gap, table, value
from suite.board.text import Missing, digits, listed, shorten
from suite.documents import Entry, Measurement

MOST = 10  # lines of a chart: more cannot be told apart
INK = Mark("hue-none", "circle")

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Curve:
    """A chart and its table twin."""

    figure: Figure
    table: Table


@dataclass(frozen=True)
class _Measured:
    entry: Entry
    document: Measurement
    place: str
    own: Points
    reference: Points


def by_length(site: Site, links: Links, profile: str, track: str) -> Curve | None:
    """Median latency at fixed lengths; None where no measurement of this profile has them."""

    def points(m: Measurement) -> tuple[Points, Points]:
        return (
            tuple((float(at.tokens), at.latency_ms) for at in m.by_length),
            tuple((float(at.tokens), at.reference_latency_ms) for at in m.by_length),
        )

    found = _measured(site, profile, track, points)
    title = f"Latency by length, {track} track"
    return _curve(
        site, links, found, f"lengths-{track}", title, Axis("tokens, log scale", "more"),
        Axis("ms a query, log scale", "less"), "Length", "ms at tokens",
        "Median time of one query; down is faster.",
    )  # fmt: skip


def by_batch(site: Site, links: Links, profile: str, track: str) -> Curve | None:
    """Queries a second at every batch of the pilots; None where nothing was measured offline."""

    def points(m: Measurement) -> tuple[Points, Points]:
        if m.offline is None:
            return (), ()
        own, other = (
            tuple((float(s.batch), s.queries_per_second) for s in ladder if s.queries_per_second)
            for ladder in (m.offline.ladder, m.offline.reference_ladder)
        )
        return own, other

    found = _measured(site, profile, track, points)
    title = f"Rate by batch, {track} track"
    return _curve(
        site, links, found, f"batches-{track}", title, Axis("batch, log scale", "more"),
        Axis("queries a second, log scale", "more"), "Batch", "a second at batch",
        "The whole trace known beforehand, sorted by length; up is faster.",
    )  # fmt: skip


def _measured(
    site: Site, profile: str, track: str, points: Callable[[Measurement], tuple[Points, Points]]
) -> list[_Measured]:
    """One measurement per method: full precision before lower, the fastest of several."""
    chosen: dict[str, tuple[tuple[bool, float], _Measured]] = {}
    for entry in site.of(track):
        if not entry.default:
            continue
        for line in entry.speed:
            usual = (line.arrival, line.inputs) == ("single-stream", "trace")
            if line.profile != profile or usual:
                continue
            document = site.measured(track, line.measurement)
            if isinstance(document, Missing):
                continue
            own, reference = points(document)
            if len(own) > 1:
                order = (line.precision != FP32, -line.ratio.value)
                one = _Measured(entry, document, line.measurement, own, reference)
                if entry.recipe not in chosen or order < chosen[entry.recipe][0]:
                    chosen[entry.recipe] = (order, one)
    ordered = sorted(
        (one for _, one in chosen.values()),
        key=lambda one: (-(one.entry.board_score.value if one.entry.board_score else -1e9), one.entry.recipe),
    )
    return ordered[:MOST]


def _curve(
    site: Site,
    links: Links,
    found: Sequence[_Measured],
    ident: str,
    title: str,
    x: Axis,
    y: Axis,
    what: str,
    unit: str,
    said: str,
) -> Curve | None:
    if not found:
        return None
    drawn = []
    for one in found:
        if site.is_reference(one.entry):
            continue
        name = shorten(site.title(one.entry.recipe), 40)
        ends = f"{digits(one.own[0][1])} at {one.own[0][0]:.0f}, {digits(one.own[-1][1])} at {one.own[-1][0]:.0f}"
        drawn.append(
            Line(
                name,
                one.own,
                site.mark(one.entry.recipe),
                links.measured(one.entry, one.place),
                f"{name} with {one.document.runtime}: {ends}",
            )
        )
    beside = _reference(site, found)
    if beside is not None:
        words = f"Reference with {beside.runtime}"
        drawn.append(Line("Reference", beside.points, INK, beside.href(links), words, reference=True))
    ticks = sorted({at for line in drawn for at, _ in line.points})
    shown = [
        lines.curves(
            drawn,
            ident=f"{ident}-{name}",
            title=title,
            description=f"{said} {listed(line.label for line in drawn)}. The table has the same numbers.",
            x=x,
            y=y,
            size=size,
            ticks=ticks if len(ticks) <= 8 else (),
        )
        for name, size in (("wide", lines.WIDE), ("narrow", lines.NARROW))
    ]
    caption = (
        f"{said} Dashed: the reference{', timed beside the first of them' if beside and beside.lent else ''}."
    )
    return Curve(
        Figure(shown[0], shown[1], caption, title),
        _twin(site, links, found, beside, ticks, ident, title, what, unit),
    )


@dataclass(frozen=True)
class _Beside:
    """The reference's curve, the same in chart and table: its own measurement's or, where it has none, the one from
    beside another row (``lent``)."""

    of: _Measured
    lent: bool

    @property
    def points(self) -> Points:
        return self.of.reference if self.lent else self.of.own

    @property
    def runtime(self) -> str:
        return self.of.document.reference_runtime if self.lent else self.of.document.runtime

    def href(self, links: Links) -> str:
        return links.measured(self.of.entry, self.of.place)


def _reference(site: Site, found: Sequence[_Measured]) -> _Beside | None:
    own = next((one for one in found if site.is_reference(one.entry)), None)
    if own is not None:
        return _Beside(own, lent=False)
    lent = next((one for one in found if len(one.reference) > 1), None)
    return _Beside(lent, lent=True) if lent is not None else None


def _twin(
    site: Site,
    links: Links,
    found: Sequence[_Measured],
    beside: _Beside | None,
    ticks: Sequence[float],
    ident: str,
    title: str,
    what: str,
    unit: str,
) -> Table:
    columns = [
        Column("Method", kind="text"),
        Column("Runtime", kind="text"),
        *(Column(f"{what} {at:.0f}", unit) for at in ticks),
    ]
    rows = [
        _row(site.title(one.entry.recipe), links.entry(one.entry), one.document.runtime, one.own, ticks,
             links.measured(one.entry, one.place))
        for one in found
    ]  # fmt: skip
    if beside is not None and beside.lent:
        rows.append(_row("Reference", None, beside.runtime, beside.points, ticks, beside.href(links)))
    return table(f"{title}: the numbers", columns, rows, f"{ident}-table")


def _row(
    name: str, entry: str | None, runtime: str, points: Points, ticks: Sequence[float], href: str
) -> Row:
    known = dict(points)
    cells = [
        value(digits(known[at]), href=href) if at in known else gap(Missing("not measured at this one"))
        for at in ticks
    ]
    return Row(Cell(text=name, href=entry), (Cell(text=runtime), *cells))
