"""Charts as SVG, from numbers: the scatter with its front, the forest of intervals, the training curve.

Every chart has a title and a description for those who cannot see it, and a table twin on its page. Each is
drawn twice where size matters, for wide and for narrow screens; the style sheet shows one of the two.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from markupsafe import Markup

from suite.board import svg
from suite.board.svg import Mark, el
from suite.board.text import fixed, round_number, shorten

Interval = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom

_CHARACTER = 0.6  # of the font size: width of an average character of a sans face


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


WIDE = Size(620, 420, 40, 18, 30, 46, 12.5)
NARROW = Size(360, 330, 34, 12, 28, 44, 12)


@dataclass(frozen=True)
class Point:
    """An operating point of a scatter chart."""

    x: float
    y: float
    x_interval: Interval | None
    y_interval: Interval | None
    label: str
    detail: str  # one line, shown on hovering
    href: str
    mark: Mark
    family: str  # points of one family are joined
    hollow: bool = False
    reference: bool = False
    faint: bool = False  # a noisy measurement
    entry: str | None = None  # recipe/variant: the row that is this point


@dataclass(frozen=True)
class Line:
    """A baseline, drawn across."""

    y: float
    label: str
    href: str


@dataclass(frozen=True)
class Axis:
    """A quantity along an edge: its words, its direction, how a tick is written."""

    title: str
    better: Literal["more", "less"]
    tick: Callable[[float], str] = round_number


@dataclass(frozen=True)
class Scale:
    """Values of an axis to places on the drawing."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

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


def front(points: Sequence[Point], better: Literal["more", "less"]) -> list[Point]:
    """The points that no other beats on both counts, from the best x to the best y."""
    sign = -1.0 if better == "more" else 1.0
    chosen: list[Point] = []
    for point in sorted(points, key=lambda p: (sign * p.x, -p.y, p.label)):
        if not chosen or point.y > chosen[-1].y:
            chosen.append(point)
    return chosen


def scatter(
    points: Sequence[Point],
    lines: Sequence[Line],
    *,
    ident: str,
    title: str,
    description: str,
    x: Axis,
    y: Axis,
    size: Size,
) -> Markup:
    """Score against a cost on a log axis: intervals both ways, families joined, the front drawn."""
    left, top, right, bottom = size.plot
    low, high = log_domain([value for p in points for value in (p.x, *(p.x_interval or ()))])
    across = Scale(low, high, left, right, log=True)
    ends = [value for p in points for value in (p.y, *(p.y_interval or ()))]
    domain = score_domain(ends, [line.y for line in lines])
    outside = sum(not domain[0] <= line.y <= domain[1] for line in lines)  # named at the lower edge
    up = Scale(*domain, bottom - outside * (size.font + 3), top)
    steps = _front_corners(front(points, x.better), across, up, x.better)
    ordered = sorted(points, key=lambda p: (p.reference, not p.hollow, p.label))
    parts = [
        el("title", title, id=f"{ident}-title"),
        el("desc", description, id=f"{ident}-desc"),
        _grid(across, up, size, x, y),
        *_baselines(lines, up, size),
        el("path", class_="front", d=svg.path(steps), aria_hidden="true"),
        *_families(points, across, up),
        *(_bars(point, across, up) for point in ordered),
        *(_point(point, across, up) for point in ordered),
        *_labels(ordered, lines, steps, across, up, size),
    ]
    return _frame(parts, ident, size, "chart")


def _frame(parts: Sequence[Markup], ident: str, size: Size, kind: str) -> Markup:
    return el(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        class_=kind,
        role="group",
        viewBox=f"0 0 {svg.number(size.width)} {svg.number(size.height)}",
        aria_labelledby=f"{ident}-title {ident}-desc",
        font_size=size.font,
    )


def log_domain(values: Sequence[float]) -> Interval:
    """Of a logarithmic axis: the positive values and their intervals' ends, and a little room."""
    positive = [value for value in values if value > 0]
    low, high = min(positive), max(positive)
    pad = max((high / low) ** 0.07, 1.12)
    return low / pad, high * pad


def score_domain(values: Sequence[float], lines: Sequence[float]) -> Interval:
    """Of scores and their intervals' ends; a baseline enlarges it unless it would squeeze them."""
    low, high = min(values), max(values)
    reach = 0.4 * max(high - low, 2.0)
    for line in lines:
        if low - reach <= line <= high + reach:
            low, high = min(low, line), max(high, line)
    pad = max(0.06 * (high - low), 0.5)
    return low - pad, high + pad


def _grid(across: Scale, up: Scale, size: Size, x: Axis, y: Axis) -> Markup:
    left, _, right, bottom = size.plot
    parts = []
    for value in linear_ticks(up.low, up.high, 6):
        at = up(value)
        parts.append(el("line", class_="grid", x1=left, x2=right, y1=at, y2=at))
        parts.append(el("text", y.tick(value), class_="tick", x=left - 6, y=at + 4, text_anchor="end"))
    for value in log_ticks(across.low, across.high, 9 if size.width > 500 else 6):
        at = across(value)
        parts.append(el("line", class_="axis", x1=at, x2=at, y1=bottom, y2=bottom + 4))
        parts.append(el("text", x.tick(value), class_="tick", x=at, y=bottom + 18, text_anchor="middle"))
    parts.append(el("line", class_="axis", x1=left, x2=right, y1=bottom, y2=bottom))
    parts.append(el("text", f"{y.title} ↑", class_="axis-title", x=0, y=12))
    arrow = "→" if x.better == "more" else "←"
    words = f"{x.title} {arrow}" if x.better == "more" else f"{arrow} {x.title}"
    parts.append(el("text", words, class_="axis-title", x=right, y=size.height - 6, text_anchor="end"))
    return el("g", *parts, aria_hidden="true")


def _baselines(lines: Sequence[Line], up: Scale, size: Size) -> list[Markup]:
    """A dashed line each; those below the chart are named at its lower edge, the highest first."""
    left, _, right, bottom = size.plot
    drawn, below = [], 0
    for line in sorted(lines, key=lambda line: -line.y):
        words = shorten(line.label, 44)
        if up.low <= line.y <= up.high:
            at = up(line.y)
            text = el("text", words, class_="baseline-label", x=left + 4, y=at - 5)
            drawn.append(el("line", class_="baseline", x1=left, x2=right, y1=at, y2=at, aria_hidden="true"))
        else:
            where = "below" if line.y < up.low else "above"
            at = bottom - 7 - below * (size.font + 3)
            text = el("text", f"{where}: {words}", class_="baseline-label", x=left + 4, y=at)
            below += 1
        drawn.append(el("a", text, href=line.href))
    return drawn


def _front_corners(
    chosen: Sequence[Point], across: Scale, up: Scale, better: str
) -> list[tuple[float, float]]:
    """Steps: between two points of the front, the lower score is what is to be had."""
    corners: list[tuple[float, float]] = []
    for point in chosen:
        if corners:
            corners.append((across(point.x), corners[-1][1]))
        corners.append((across(point.x), up(point.y)))
    corners.append((across.start if better == "more" else across.end, corners[-1][1]))
    return corners


def _families(points: Sequence[Point], across: Scale, up: Scale) -> list[Markup]:
    families: dict[str, list[Point]] = {}
    for point in points:
        families.setdefault(point.family, []).append(point)
    drawn = []
    for _, members in sorted(families.items()):
        if len(members) > 1:
            curve = [(across(p.x), up(p.y)) for p in sorted(members, key=lambda p: (p.x, p.y))]
            kind = f"family {members[0].mark.hue}"
            drawn.append(el("path", class_=kind, d=svg.path(curve), aria_hidden="true"))
    return drawn


def _bars(point: Point, across: Scale, up: Scale) -> Markup:
    x, y = across(point.x), up(point.y)
    parts = []
    if point.x_interval:
        ends = [across.clipped(max(end, across.low)) for end in point.x_interval]
        parts.append(el("line", x1=ends[0], x2=ends[1], y1=y, y2=y))
    if point.y_interval:
        ends = [up.clipped(end) for end in point.y_interval]
        parts.append(el("line", x1=x, x2=x, y1=ends[0], y2=ends[1]))
    kind = f"bars {point.mark.hue}{' faint' if point.faint else ''}"
    return el("g", *parts, class_=kind, aria_hidden="true") if parts else Markup("")


def _point(point: Point, across: Scale, up: Scale) -> Markup:
    x, y = across(point.x), up(point.y)
    parts = [el("title", point.detail)]
    if point.reference:
        parts.append(el("circle", class_="ring", cx=x, cy=y, r=10))
    parts.append(svg.mark(point.mark, x, y, 4.2 if point.hollow else 5.2, hollow=point.hollow))
    kind = "faint" if point.faint else None
    return el("a", *parts, href=point.href, class_=kind, data_entry=point.entry, aria_label=point.detail)


def _labels(
    points: Sequence[Point],
    lines: Sequence[Line],
    steps: Sequence[tuple[float, float]],
    across: Scale,
    up: Scale,
    size: Size,
) -> list[Markup]:
    """A name beside its point where there is room; a name that would lie on another is left to the legend."""
    left, top, right, bottom = size.plot
    font = size.font
    places = [(across(p.x), up(p.y)) for p in points]
    solid: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    soft: list[Box] = [
        (min(x1, x2) - 1, min(y1, y2) - 1, max(x1, x2) + 1, max(y1, y2) + 1)
        for (x1, y1), (x2, y2) in itertools.pairwise(steps)
    ]
    below = 0
    for line in sorted(lines, key=lambda line: -line.y):
        width = (len(shorten(line.label, 44)) + 7) * font * _CHARACTER
        at = up(line.y)
        if up.low <= line.y <= up.high:
            soft.append((left, at - 1, right, at + 1))
        else:
            at = bottom - 2 - below * (font + 3)
            below += 1
        solid.append((left, at - font - 4, left + 4 + width, at + 1))
    for point, (x, y) in zip(points, places, strict=True):
        if point.x_interval:
            soft.append(
                (across.clipped(point.x_interval[0]), y - 1, across.clipped(point.x_interval[1]), y + 1)
            )
        if point.y_interval:
            soft.append((x - 1, up.clipped(point.y_interval[1]), x + 1, up.clipped(point.y_interval[0])))
    drawn = []
    chosen = [(p, at) for p, at in zip(points, places, strict=True) if not p.hollow]
    for point, (x, y) in sorted(chosen, key=lambda pair: (not pair[0].reference, -pair[0].y, pair[0].label)):
        text = shorten(point.label, 26 if size.width > 500 else 20)
        width, height, gap = len(text) * font * _CHARACTER, font, 12 if point.reference else 9
        candidates = [
            ("start", x + gap, y + 4.5),
            ("end", x - gap, y + 4.5),
            ("start", x + gap - 3, y - gap + 2),
            ("start", x + gap - 3, y + gap + 8),
            ("end", x - gap + 3, y - gap + 2),
            ("end", x - gap + 3, y + gap + 8),
            ("middle", x, y - gap - 3),
            ("middle", x, y + gap + height),
        ]
        best: tuple[float, str, float, float, Box] | None = None
        for order, (anchor, tx, ty) in enumerate(candidates):
            start = {"start": tx, "end": tx - width, "middle": tx - width / 2}[anchor]
            box = (start, ty - height + 2, start + width, ty + 2)
            if box[0] < left or box[2] > size.width - 2 or box[1] < top - 10 or box[3] > bottom:
                continue
            if any(_overlap(box, other) for other in solid):
                continue
            cost = sum(_overlap(box, other) for other in soft) + order
            if best is None or cost < best[0]:
                best = (cost, anchor, tx, ty, box)
        if best is not None:
            _, anchor, tx, ty, box = best
            solid.append(box)
            drawn.append(el("text", text, class_="label", x=tx, y=ty, text_anchor=anchor, aria_hidden="true"))
    return drawn


def _overlap(one: Box, other: Box) -> float:
    """Common area of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


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
        arrow = el("path", class_="beyond", d=tip)
        return el(
            "svg",
            arrow,
            class_="strip",
            viewBox=f"0 0 {width:.0f} {height:.0f}",
            aria_hidden="true",
            focusable="false",
        )
    if interval:
        parts.append(
            el(
                "line",
                class_=f"whisker {mark.hue}",
                x1=across.clipped(interval[0]),
                x2=across.clipped(interval[1]),
                y1=8,
                y2=8,
            )
        )
    parts.append(svg.mark(mark, across(value), 8, 3.8))
    return el(
        "svg",
        *parts,
        class_="strip",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        aria_hidden="true",
        focusable="false",
    )


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
    label_width: float | None = None,
) -> Markup:
    """Estimates with their intervals, one line each; small ticks are single seeds."""
    label_width = label_width or (120.0 if narrow else 210.0)
    row, width = 26.0, 360.0 if narrow else 680.0
    size = Size(width, 30 + row * len(bars) + 34, label_width, 70 if not narrow else 52, 14, 40, 12.5)
    left, top, right, bottom = size.plot
    values = [v for bar in bars for v in (bar.value, *(bar.interval or ()), *bar.dots)]
    domain = padded(values if guide is None else [*values, guide], 0.05)
    across = Scale(*domain, left, right)
    parts = [el("title", title, id=f"{ident}-title"), el("desc", description, id=f"{ident}-desc")]
    grid = []
    for value in linear_ticks(*domain, 4 if narrow else 7):
        at = across(value)
        grid.append(el("line", class_="grid", x1=at, x2=at, y1=top, y2=bottom))
        grid.append(el("text", round_number(value), class_="tick", x=at, y=bottom + 16, text_anchor="middle"))
    if guide is not None:
        grid.append(el("line", class_="baseline", x1=across(guide), x2=across(guide), y1=top, y2=bottom))
    grid.append(el("text", axis, class_="axis-title", x=right, y=size.height - 4, text_anchor="end"))
    parts.append(el("g", *grid, aria_hidden="true"))
    for index, bar in enumerate(bars):
        y = top + row * (index + 0.5)
        line = [el("title", f"{shorten(bar.label, 80)}: {bar.text}")]
        text = shorten(bar.label, round((left - 10) / (size.font * _CHARACTER)))
        line.append(el("text", text, class_="row-label", x=left - 10, y=y + 4, text_anchor="end"))
        if bar.interval:
            line.append(
                el(
                    "line",
                    class_=f"whisker {bar.mark.hue}",
                    x1=across(bar.interval[0]),
                    x2=across(bar.interval[1]),
                    y1=y,
                    y2=y,
                )
            )
        line.extend(
            el("line", class_="seed", x1=across(d), x2=across(d), y1=y - 7, y2=y - 3) for d in bar.dots
        )
        line.append(svg.mark(bar.mark, across(bar.value), y, 4.6))
        shown = el(
            "text", bar.text.split(" ")[0], class_="value", x=size.width - 4, y=y + 4, text_anchor="end"
        )
        line.append(shown)
        label = f"{shorten(bar.label, 80)}: {bar.text}"
        parts.append(el("a", *line, href=bar.href, aria_label=label))
    return _frame(parts, ident, size, "chart forest")


# --- training curves ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trace:
    """One seed's course."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@cache
def _places(count: int, most: int) -> tuple[int, ...]:
    return tuple(sorted({round(i * (count - 1) / (most - 1)) for i in range(most)}))


def thinned(trace: Trace, most: int = 60) -> Trace:
    """At most so many points, evenly taken, the first and the last among them (a drawing shows no more)."""
    count = len(trace.steps)
    if count <= most:
        return trace
    kept = _places(count, most)
    return Trace(trace.name, tuple(trace.steps[i] for i in kept), tuple(trace.values[i] for i in kept))


def curve(traces: Sequence[Trace], *, ident: str, title: str, description: str, mark: Mark) -> Markup:
    """A small chart of a quantity over the steps of a phase, one line per seed."""
    size = Size(240, 132, 40, 10, 10, 24, 11)
    left, top, right, bottom = size.plot
    traces = [thinned(trace) for trace in traces if trace.steps]
    last = max(trace.steps[-1] for trace in traces)
    first = min(trace.steps[0] for trace in traces)
    across = Scale(first, last if last > first else first + 1, left, right)
    low, high = padded([value for trace in traces for value in trace.values])
    up = Scale(low, high, bottom, top)
    parts = [el("title", title, id=f"{ident}-title"), el("desc", description, id=f"{ident}-desc")]
    grid = []
    for value in linear_ticks(low, high, 3):
        at = up(value)
        grid.append(el("line", class_="grid", x1=left, x2=right, y1=at, y2=at))
        grid.append(el("text", _short_number(value), class_="tick", x=left - 5, y=at + 4, text_anchor="end"))
    grid.append(el("line", class_="axis", x1=left, x2=right, y1=bottom, y2=bottom))
    grid.append(el("text", f"{first:,}", class_="tick", x=left, y=bottom + 15))
    grid.append(el("text", f"{last:,}", class_="tick", x=right, y=bottom + 15, text_anchor="end"))
    parts.append(el("g", *grid, aria_hidden="true"))
    for trace in traces:
        line = svg.path(zip(across.all(trace.steps), up.all(trace.values), strict=True))
        parts.append(el("path", el("title", trace.name), class_=f"course {mark.hue}", d=line))
    return el(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        class_="chart small",
        role="img",
        viewBox=f"0 0 {size.width:.0f} {size.height:.0f}",
        font_size=size.font,
        aria_labelledby=f"{ident}-title {ident}-desc",
    )


def _short_number(value: float) -> str:
    """A tick of at most five characters."""
    size = abs(value)
    if size >= 10_000:
        return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    if size and size < 0.001:
        return f"{value:.0e}".replace("e-0", "e-")
    return fixed(value, 0) if size >= 100 else f"{value:.3g}".replace("-", "−")
