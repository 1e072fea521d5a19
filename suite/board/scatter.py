"""A score against a cost as a drawing: points, their intervals, the front that no other point beats."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from markupsafe import Markup

from suite.board import svg
from suite.board.charts import CHARACTER, Box, Interval, Scale, Size, linear_ticks, log_ticks
from suite.board.svg import Label, Mark, el, number
from suite.board.text import escaped, round_number, shorten

WIDE = Size(620, 420, 40, 18, 30, 46, 12.5)
NARROW = Size(360, 330, 34, 12, 28, 44, 12)
APART = 6.0  # words side by side stay two names

Place = tuple[float, float]  # on the drawing

T = TypeVar("T")


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
    noisy: bool = False  # its cost is a noisy measurement
    reported: bool = False  # a paper's figure: no part of the front, of a family or of the names
    entry: str | None = None  # recipe/variant: the row that is this point


@dataclass(frozen=True)
class Line:
    """A baseline, drawn across."""

    y: float
    label: str
    href: str
    more: str = ""  # said after the label where there is room

    def words(self, size: Size) -> str:
        return shorten(self.label + (self.more if size.width > 500 else ""), 44)


@dataclass(frozen=True)
class Axis:
    """A quantity along an edge: its words, its direction, how a tick is written."""

    title: str
    better: Literal["more", "less"]
    tick: Callable[[float], str] = round_number


def place(point: Point) -> tuple[float, float, str]:
    return point.x, point.y, point.label


def front(
    points: Sequence[T], better: Literal["more", "less"], at: Callable[[T], tuple[float, float, str]]
) -> list[T]:
    """The points that no other beats on both counts, from the best x to the best y; ``at`` gives x, y and the name."""
    sign = -1.0 if better == "more" else 1.0
    chosen: list[T] = []
    best = float("-inf")
    ordered = sorted((sign * x, -y, name, index) for index, (x, y, name) in enumerate(map(at, points)))
    for _, less, _, index in ordered:
        if -less > best:
            chosen.append(points[index])
            best = -less
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
    ours = [point for point in points if not point.reported]
    steps = _front_corners(front(ours, x.better, place), across, up, x.better)
    ordered = sorted(points, key=lambda p: (p.reference, not p.hollow, p.label))
    places = [(across(point.x), up(point.y)) for point in ordered]
    parts = [
        _grid(across, up, size, x, y),
        *_baselines(lines, up, size, x.better),
        el("path", class_="front", d=svg.path(steps), aria_hidden="true"),
        *_families(ours, across, up),
        *(_bars(point, at, across, up) for point, at in zip(ordered, places, strict=True)),
        *(_point(point, at) for point, at in zip(ordered, places, strict=True)),
        *_labels(ordered, places, lines, steps, across, up, size, x.better),
    ]
    label = Label(ident, title, description)
    return svg.chart(label, parts, "scatter", size.width, size.height, size.font, links=True)


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
        parts.append(svg.line("grid", left, at, right, at))
        parts.append(svg.text(y.tick(value), "tick", left - 6, at + 4, "end"))
    for value in log_ticks(across.low, across.high, 9 if size.width > 500 else 6):
        at = across(value)
        parts.append(svg.line("axis", at, bottom, at, bottom + 4))
        parts.append(svg.text(x.tick(value), "tick", at, bottom + 18, "middle"))
    parts.append(svg.line("axis", left, bottom, right, bottom))
    parts.append(svg.text(f"{y.title} ↑", "axis-title", 0, 12))
    arrow = "→" if x.better == "more" else "←"
    words = f"{x.title} {arrow}" if x.better == "more" else f"{arrow} {x.title}"
    parts.append(svg.text(words, "axis-title", right, size.height - 6, "end"))
    return el("g", *parts, aria_hidden="true")


def _baselines(lines: Sequence[Line], up: Scale, size: Size, better: Literal["more", "less"]) -> list[Markup]:
    """A dashed line each; those below the chart are named at its lower edge, the highest first.

    A name stands at the end where the best costs are: above the front that end is empty.
    """
    left, _, right, bottom = size.plot
    drawn, below = [], 0
    for line in sorted(lines, key=lambda line: -line.y):
        words = line.words(size)
        if up.low <= line.y <= up.high:
            at = up(line.y)
            x, end = (right - 2, "end") if better == "more" else (left + 4, "")
            text = svg.text(words, "baseline-label", x, at - 5, end)
            drawn.append(el("line", class_="baseline", x1=left, x2=right, y1=at, y2=at, aria_hidden="true"))
        else:
            where = "below" if line.y < up.low else "above"
            at = bottom - 7 - below * (size.font + 3)
            text = svg.text(f"{where}: {words}", "baseline-label", left + 4, at)
            below += 1
        drawn.append(el("a", text, href=line.href))
    return drawn


def _front_corners(chosen: Sequence[Point], across: Scale, up: Scale, better: str) -> list[Place]:
    """Steps: between two points of the front, the lower score is what is to be had."""
    corners: list[Place] = []
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


# Bars and points are written at once and not by :func:`el`, which takes several times as long: there are hundreds.


def _bars(point: Point, place: Place, across: Scale, up: Scale) -> Markup:
    x, y = place
    bars = ""
    if point.x_interval:
        low, high = (across.clipped(max(end, across.low)) for end in point.x_interval)
        bars += _bar(low, high, y, y, broken=point.noisy)
    if point.y_interval:
        low, high = (up.clipped(end) for end in point.y_interval)
        bars += _bar(x, x, low, high)
    return Markup(f'<g class="bars {point.mark.hue}" aria-hidden="true">{bars}</g>' if bars else "")


def _bar(x1: float, x2: float, y1: float, y2: float, *, broken: bool = False) -> str:
    kind = ' class="broken"' if broken else ""
    return f'<line{kind} x1="{number(x1)}" x2="{number(x2)}" y1="{number(y1)}" y2="{number(y2)}"/>'


def _point(point: Point, place: Place) -> Markup:
    x, y = place
    detail = escaped(point.detail)
    kind = ' class="reported"' if point.reported else ""
    entry = f' data-entry="{escaped(point.entry)}"' if point.entry is not None else ""
    ring = f'<circle class="ring" cx="{number(x)}" cy="{number(y)}" r="10"/>' if point.reference else ""
    mark = svg.mark(point.mark, x, y, 4.2 if point.hollow else 5.2, hollow=point.hollow)
    return Markup(
        f'<a href="{escaped(point.href)}"{kind}{entry} aria-label="{detail}">'
        f"<title>{detail}</title>{ring}{mark}</a>"
    )


def _labels(
    points: Sequence[Point],
    places: Sequence[Place],
    lines: Sequence[Line],
    steps: Sequence[Place],
    across: Scale,
    up: Scale,
    size: Size,
    better: Literal["more", "less"],
) -> list[Markup]:
    """A name beside its point where there is room; a name that would lie on another is left to the legend."""
    solid, soft = _obstacles(points, places, lines, steps, across, up, size, better)
    drawn = []
    chosen = [(p, at) for p, at in zip(points, places, strict=True) if not p.hollow]
    for point, (x, y) in sorted(chosen, key=lambda pair: (not pair[0].reference, -pair[0].y, pair[0].label)):
        text = shorten(point.label, 26 if size.width > 500 else 20)
        gap = 12 if point.reference else 9
        best: tuple[float, str, float, float, Box] | None = None
        for order, (anchor, tx, ty, box) in enumerate(_candidates(text, x, y, gap, size)):
            if _overlap(box, solid):
                continue
            cost = _overlap(box, soft) + order
            if best is None or cost < best[0]:
                best = (cost, anchor, tx, ty, box)
        if best is not None:
            _, anchor, tx, ty, box = best
            solid.append((box[0] - APART, box[1], box[2] + APART, box[3]))
            drawn.append(el("text", text, class_="label", x=tx, y=ty, text_anchor=anchor, aria_hidden="true"))
    return drawn


def _obstacles(
    points: Sequence[Point],
    places: Sequence[Place],
    lines: Sequence[Line],
    steps: Sequence[Place],
    across: Scale,
    up: Scale,
    size: Size,
    better: Literal["more", "less"],
) -> tuple[list[Box], list[Box]]:
    """What no name may lie on (points, other words), and what it should rather not (lines)."""
    left, _, right, bottom = size.plot
    font = size.font
    solid: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    soft: list[Box] = [
        (min(x1, x2) - 1, min(y1, y2) - 1, max(x1, x2) + 1, max(y1, y2) + 1)
        for (x1, y1), (x2, y2) in itertools.pairwise(steps)
    ]
    below = 0
    for line in sorted(lines, key=lambda line: -line.y):
        width = (len(line.words(size)) + 7) * font * CHARACTER
        at = up(line.y)
        if up.low <= line.y <= up.high:
            soft.append((left, at - 1, right, at + 1))
            start = right - width if better == "more" else left
        else:
            at, start = bottom - 2 - below * (font + 3), left
            below += 1
        solid.append((start, at - font - 4, start + 4 + width, at + 1))
    for point, (x, y) in zip(points, places, strict=True):
        if point.x_interval:
            soft.append(
                (across.clipped(point.x_interval[0]), y - 1, across.clipped(point.x_interval[1]), y + 1)
            )
        if point.y_interval:
            soft.append((x - 1, up.clipped(point.y_interval[1]), x + 1, up.clipped(point.y_interval[0])))
    return solid, soft


def _candidates(
    text: str, x: float, y: float, gap: float, size: Size
) -> Iterator[tuple[str, float, float, Box]]:
    """Anchor, place and box of a name at a point, the best first; those that would leave the drawing left out."""
    left, top, _, bottom = size.plot
    width, height = len(text) * size.font * CHARACTER, size.font
    for anchor, tx, ty in (
        ("start", x + gap, y + 4.5),
        ("end", x - gap, y + 4.5),
        ("start", x + gap - 3, y - gap + 2),
        ("start", x + gap - 3, y + gap + 8),
        ("end", x - gap + 3, y - gap + 2),
        ("end", x - gap + 3, y + gap + 8),
        ("middle", x, y - gap - 3),
        ("middle", x, y + gap + height),
    ):
        start = {"start": tx, "end": tx - width, "middle": tx - width / 2}[anchor]
        box = (start, ty - height + 2, start + width, ty + 2)
        if box[0] >= left and box[2] <= size.width - 2 and box[1] >= top - 10 and box[3] <= bottom:
            yield anchor, tx, ty, box


def _overlap(box: Box, others: Sequence[Box]) -> float:
    """The area of a box that others cover."""
    left, top, right, bottom = box
    covered = 0.0
    for x1, y1, x2, y2 in others:
        if x1 < right and x2 > left and y1 < bottom and y2 > top:
            covered += (min(right, x2) - max(left, x1)) * (min(bottom, y2) - max(top, y1))
    return covered
