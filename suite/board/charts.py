"""Charts as SVG, from numbers: scales and ticks, the forest of intervals, the training curve.

Every chart has a title and a description for those who cannot see it, and a table twin on its page. Each is
drawn twice where size matters, for wide and for narrow screens; the style sheet shows one of the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from operator import itemgetter
from typing import NamedTuple

from markupsafe import Markup

from suite.board import svg
from suite.board.svg import Label, Mark, el
from suite.board.text import fixed, round_number, shorten, wrapped

Interval = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom

FOREST_FONT = 12.5
CHARACTER = 0.6  # of the font size: width of an average character of a sans face


@dataclass(frozen=True)
class Size:
    """Of a drawing, in its own units; margins around the plot."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    font: float

    @property
    def plot(self) -> Box:
        return self.left, self.top, self.width - self.right, self.height - self.bottom


@dataclass(frozen=True)
class Figure:
    """A chart in its two widths, with the sentence that says what it shows."""

    wide: Markup
    narrow: Markup
    caption: str
    title: str


@dataclass(frozen=True)
class Scale:
    """Values of an axis to places on the drawing."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, reach, length = self._line
        return self.start + ((math.log(value) if self.log else value) - low) / reach * length

    @cached_property
    def _line(self) -> tuple[float, float, float]:
        """The first value, how far the last is from it, and over what length; the values' logarithms on a log scale."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        return low, high - low, self.end - self.start

    def all(self, values: Sequence[float]) -> list[float]:
        """The places of many values on a linear scale."""
        low, start, stretch = self.low, self.start, (self.end - self.start) / (self.high - self.low)
        return [start + (value - low) * stretch for value in values]

    def clipped(self, value: float) -> float:
        return self(min(max(value, self.low), self.high))


def linear_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers from ``low`` to ``high``, a step of 1, 2 or 5 times a power of ten apart."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * f for f in (1, 2, 5, 10, 20) if power * f >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 9) -> list[float]:
    """Round numbers for a logarithmic axis: the fewest of three ladders that leaves at least three."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ladders: tuple[tuple[float, ...], ...] = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))
    best: list[float] = []
    for ladder in ladders:
        ticks = [f * 10.0**p for p in powers for f in ladder if low * 0.999 <= f * 10.0**p <= high * 1.001]
        if len(ticks) > most:
            break
        best = ticks
    return best if len(best) >= 3 else linear_ticks(low, high, 5)


# --- intervals in a row -------------------------------------------------------------------------------------


def strip(value: float, interval: Interval | None, domain: Interval, mark: Mark) -> Markup:
    """A row's interval on the scale of its whole column; the cell beside it has the numbers.

    A value outside the scale is an arrow at the edge.
    """
    width, height = 120.0, 16.0
    across = Scale(domain[0], domain[1], 7, width - 7)
    parts = []
    if not domain[0] <= value <= domain[1]:
        x, turn = (2.0, 1.0) if value < domain[0] else (width - 2, -1.0)
        tip = svg.path([(x + 6 * turn, 4), (x, 8), (x + 6 * turn, 12)])
        parts.append(el("path", class_="beyond", d=tip))
    else:
        if interval:
            parts.append(_whisker(mark, across, interval, 8))
        parts.append(svg.mark(mark, across(value), 8, 3.8))
    return el(
        "svg",
        *parts,
        class_="strip",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        aria_hidden="true",
        focusable="false",
    )


def _whisker(mark: Mark, across: Scale, interval: Interval, y: float) -> Markup:
    low, high = (across.clipped(end) for end in interval)
    return svg.line(f"whisker {mark.hue}", low, y, high, y)


def padded(values: Sequence[float], share: float = 0.04) -> Interval:
    """A domain a little wider than the values, never empty."""
    low, high = min(values), max(values)
    pad = max((high - low) * share, 1e-6 + abs(high) * 1e-6)
    return low - pad, high + pad


@dataclass(frozen=True)
class Bar:
    """A line of a forest chart."""

    label: str
    value: float
    interval: Interval | None
    text: str
    href: str
    mark: Mark
    dots: tuple[float, ...] = field(default=())  # single seeds


def forest(
    bars: Sequence[Bar],
    *,
    ident: str,
    title: str,
    description: str,
    axis: str,
    narrow: bool,
    guide: float | None = None,
    above: bool = False,
) -> Markup:
    """Estimates with their intervals, one line each; small ticks are single seeds. ``above``: labels that are
    sentences stand above their bars, as wide as the drawing."""
    width = 360.0 if narrow else 680.0
    label_width = 20.0 if above else 120.0 if narrow else 210.0
    room = width - 10 if above else label_width - 10
    names = [wrapped(bar.label, round(room / (FOREST_FONT * CHARACTER))) for bar in bars]
    most = max((len(name) for name in names), default=1)
    row = 24.0 + 14.0 * most if above else 26.0 if most == 1 else 36.0
    size = Size(width, 30 + row * len(bars) + 34, label_width, 70 if not narrow else 52, 14, 40, FOREST_FONT)
    left, top, right, bottom = size.plot
    values = [v for bar in bars for v in (bar.value, *(bar.interval or ()), *bar.dots)]
    domain = padded(values if guide is None else [*values, guide], 0.05)
    across = Scale(*domain, left, right)
    middles = [top + row * (nth + 1) - 13 if above else top + row * (nth + 0.5) for nth in range(len(bars))]
    # Labels that stand above are as wide as the drawing: lines keep to the bars, so that none runs through words.
    runs = [(y - 9, y + 10) for y in middles] if above else [(top, bottom)]
    grid = []
    for value in linear_ticks(*domain, 4 if narrow else 7):
        at = across(value)
        grid += [svg.line("grid", at, high, at, low) for high, low in runs]
        grid.append(svg.text(round_number(value), "tick", at, bottom + 16, "middle"))
    if guide is not None:
        at = across(guide)
        grid += [svg.line("baseline", at, high, at, low) for high, low in runs]
    grid.append(svg.text(axis, "axis-title", right, size.height - 4, "end"))
    parts = [el("g", *grid, aria_hidden="true")]
    for index, (bar, y) in enumerate(zip(bars, middles, strict=True)):
        said = f"{shorten(bar.label, 80)}: {bar.text}"
        value_words, seeds = bar.text.split(" ")[0], [across(dot) for dot in bar.dots]
        line = [
            el("title", said),
            *(_above(names[index], y) if above else _beside(names[index], left - 10, y)),
            *([_whisker(bar.mark, across, bar.interval, y)] if bar.interval else []),
            *(svg.line("seed", at, y - 7, at, y - 3) for at in seeds),
            svg.mark(bar.mark, across(bar.value), y, 4.6),
            svg.text(value_words, "value", size.width - 4, y + 4, "end"),
        ]
        parts.append(el("a", *line, href=bar.href, aria_label=said))
    label = Label(ident, title, description)
    return svg.chart(label, parts, "forest", size.width, size.height, size.font, links=True)


LINE = 1.05 * FOREST_FONT  # between two lines of a label


def _beside(lines: Sequence[str], x: float, y: float) -> list[Markup]:
    """A label at the left of its bar, about its height."""
    first = y + 4 - LINE * (len(lines) - 1) / 2
    return [svg.text(line, "row-label", x, first + LINE * nth, "end") for nth, line in enumerate(lines)]


def _above(lines: Sequence[str], y: float) -> list[Markup]:
    """A label over its bar."""
    first = y - 11 - LINE * (len(lines) - 1)
    return [svg.text(line, "label", 10, first + LINE * nth) for nth, line in enumerate(lines)]


# --- training curves ----------------------------------------------------------------------------------------


class Trace(NamedTuple):  # hashed quicker than a frozen dataclass, and it holds a whole course
    """One seed's course."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


DRAWN = 40  # points of a curve: a drawing so small shows no more


@cache
def _evenly(count: int, most: int) -> itemgetter[tuple[float, ...]]:
    """Takes so many of ``count`` items, evenly, the first and the last among them."""
    return itemgetter(*sorted({round(i * (count - 1) / (most - 1)) for i in range(most)}))


def thinned(trace: Trace, most: int = DRAWN) -> Trace:
    """At most so many points, evenly taken, the first and the last among them."""
    count = len(trace.steps)
    if count <= most:
        return trace
    kept = _evenly(count, most)
    return Trace(trace.name, kept(trace.steps), kept(trace.values))


@lru_cache(256)  # operating points of one training stand side by side, and each shows the same course
def curve(given: tuple[Trace, ...], *, ident: str, title: str, description: str, mark: Mark) -> Markup:
    """A small chart of a quantity over the steps of a phase, one line per seed."""
    size = Size(240, 132, 40, 10, 10, 24, 11)
    left, top, right, bottom = size.plot
    traces = [thinned(trace) for trace in given if trace.steps]
    last = max(trace.steps[-1] for trace in traces)
    first = min(trace.steps[0] for trace in traces)
    across = Scale(first, last if last > first else first + 1, left, right)
    low, high = padded([value for trace in traces for value in trace.values])
    up = Scale(low, high, bottom, top)
    grid = [svg.line("axis", left, bottom, right, bottom)]
    for value in linear_ticks(low, high, 3):
        at = up(value)
        grid.append(svg.line("grid", left, at, right, at))
        grid.append(svg.text(_short_number(value), "tick", left - 5, at + 4, "end"))
    grid.append(svg.text(f"{first:,}", "tick", left, bottom + 15))
    grid.append(svg.text(f"{last:,}", "tick", right, bottom + 15, "end"))
    lines = [
        el("path", el("title", trace.name), class_=f"course {mark.hue}", d=svg.path(list(points)))
        for trace in traces
        for points in [zip(across.all(trace.steps), up.all(trace.values), strict=True)]
    ]
    parts = [el("g", *grid, aria_hidden="true"), *lines]
    return svg.chart(Label(ident, title, description), parts, "small", size.width, size.height, size.font)


def _short_number(value: float) -> str:
    """A tick of at most five characters."""
    size = abs(value)
    if size >= 10_000:
        return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    if size and size < 0.001:
        return f"{value:.0e}".replace("e-0", "e-")
    return fixed(value, 0) if size >= 100 else f"{value:.3g}".replace("-", "−")
