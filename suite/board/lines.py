"""Curves: a quantity against another, one line per model, drawn on logarithmic axes with names at the lines' ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from suite.board import svg
from suite.board.charts import Scale, Size, log_ticks
from suite.board.scatter import Axis
from suite.board.svg import Label, Mark, el
from suite.board.text import shorten

WIDE = Size(680, 380, 46, 150, 30, 46, 12.5)
NARROW = Size(360, 300, 40, 14, 28, 44, 12)
_LEAST = 15.0  # between two names


@dataclass(frozen=True)
class Line:
    """A model's curve; ``reference``: dashed, in ink."""

    label: str
    points: tuple[tuple[float, float], ...]  # both positive
    mark: Mark
    href: str
    detail: str  # one line, shown on hovering
    reference: bool = False


def curves(
    lines: Sequence[Line],
    *,
    ident: str,
    title: str,
    description: str,
    x: Axis,
    y: Axis,
    size: Size,
    ticks: Sequence[float] = (),
) -> Markup:
    """Lines over a common axis; ``ticks``: the places along it that were measured, where they are few."""
    left, top, right, bottom = size.plot
    across = _scale([px for line in lines for px, _ in line.points], left, right)
    up = _scale([py for line in lines for _, py in line.points], bottom, top)
    grid = []
    for value in log_ticks(up.low, up.high, 6):
        at = up(value)
        grid.append(svg.line("grid", left, at, right, at))
        grid.append(svg.text(y.tick(value), "tick", left - 6, at + 4, "end"))
    for value in ticks or log_ticks(across.low, across.high, 7):
        at = across(value)
        grid.append(svg.line("axis", at, bottom, at, bottom + 4))
        grid.append(svg.text(x.tick(value), "tick", at, bottom + 18, "middle"))
    grid.append(svg.line("axis", left, bottom, right, bottom))
    grid.append(svg.text(f"{y.title} {'↑' if y.better == 'more' else '↓'}", "axis-title", 0, 12))
    grid.append(svg.text(x.title, "axis-title", right, size.height - 6, "end"))
    parts = [el("g", *grid, aria_hidden="true")]
    parts += [_line(line, across, up) for line in sorted(lines, key=lambda line: line.reference)]
    if size.right > 100:
        parts += _names(lines, across, up, size)
    label = Label(ident, title, description)
    return svg.chart(label, parts, "lines", size.width, size.height, size.font, links=True)


def _scale(values: Sequence[float], start: float, end: float) -> Scale:
    low, high = min(values), max(values)
    pad = max((high / low) ** 0.04, 1.03)
    return Scale(low / pad, high * pad, start, end, log=True)


def _line(line: Line, across: Scale, up: Scale) -> Markup:
    places = [(across(px), up(py)) for px, py in line.points]
    kind = "course reference" if line.reference else f"course {line.mark.hue}"
    parts = [el("title", line.detail), el("path", class_=kind, d=svg.path(places))]
    parts += [svg.mark(line.mark, px, py, 3.4) for px, py in places]
    return el("a", *parts, href=line.href, aria_label=line.detail)


def _names(lines: Sequence[Line], across: Scale, up: Scale, size: Size) -> list[Markup]:
    """Names at the right ends, moved apart where they would lie on each other."""
    ends = sorted(
        ((up(line.points[-1][1]), across(line.points[-1][0]), line) for line in lines),
        key=lambda end: (end[0], end[2].label),
    )
    drawn, last = [], -_LEAST
    room = size.height - size.bottom - _LEAST * len(ends)  # the last name must still fit
    for number, (y, x, line) in enumerate(ends):
        at = max(min(y, room + _LEAST * (number + 1)), last + _LEAST)
        last = at
        drawn.append(
            el("text", shorten(line.label, 22), class_="label", x=x + 9, y=at + 4, aria_hidden="true")
        )
    return drawn
