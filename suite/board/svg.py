"""A few lines of SVG writing: elements, escaped attributes, and the marks that stand for methods.

No inline styles (the pages' policy forbids them): geometry is in attributes, ink and hue in the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from markupsafe import Markup

from suite.board.text import escaped

Child = str | Markup


def el(name: str, *children: Child, **attributes: str | float | None) -> Markup:
    """An element; ``class_`` and ``stroke_width`` become ``class`` and ``stroke-width``; None is left out."""
    head = name
    for key, value in attributes.items():
        if value is not None:
            head += f' {_written(key)}="{escaped(value) if isinstance(value, str) else number(value)}"'
    inner = _inner(children)
    return Markup(f"<{head}>{inner}</{name}>" if inner else f"<{head}/>")


@cache
def _written(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _inner(children: Iterable[Child]) -> str:
    return "".join([child if isinstance(child, Markup) else escaped(child) for child in children])


def number(value: float) -> str:
    """A coordinate: one decimal, no trailing zero, no minus before zero."""
    text = f"{value:.1f}"
    if text[-1] == "0":
        text = text[:-2]
        return "0" if text == "-0" else text
    return text


def path(points: Iterable[tuple[float, float]], *, close: bool = False) -> str:
    """Path data through the points."""
    text = " L".join([f"{x:.1f} {y:.1f}" for x, y in points])
    text = f"{text} ".replace(".0 ", " ").replace("-0 ", "0 ")[:-1]  # as number() writes them, at once
    return f"M{text} Z" if close else f"M{text}" if text else ""


@dataclass(frozen=True)
class Mark:
    """How a method is drawn everywhere: a hue (a class of the style sheet) and a shape."""

    hue: str
    shape: str


def _outline(shape: str, x: float, y: float, r: float) -> str:
    match shape:
        case "square":
            s = r * 0.89
            return path([(x - s, y - s), (x + s, y - s), (x + s, y + s), (x - s, y + s)], close=True)
        case "diamond":
            s = r * 1.25
            return path([(x, y - s), (x + s, y), (x, y + s), (x - s, y)], close=True)
        case "triangle":
            s = r * 1.2
            return path([(x, y - s), (x + s * 0.95, y + s * 0.75), (x - s * 0.95, y + s * 0.75)], close=True)
        case "cross":
            a, b = r * 1.05, r * 0.38
            corners = [(-b, -a), (b, -a), (b, -b), (a, -b), (a, b), (b, b)]
            corners += [(-dx, -dy) for dx, dy in corners]
            return path([(x + dx, y + dy) for dx, dy in corners], close=True)
        case _:
            turns = [(i * math.pi / 5 - math.pi / 2, 1.35 * r if i % 2 == 0 else 0.58 * r) for i in range(10)]
            return path([(x + s * math.cos(t), y + s * math.sin(t)) for t, s in turns], close=True)


def mark(one: Mark, x: float, y: float, r: float = 5.0, *, hollow: bool = False) -> Markup:
    """A method's mark at a place; hollow for the variants that are not its default."""
    kind = f"mark {one.hue}{' hollow' if hollow else ''}"
    if one.shape == "circle":
        return el("circle", class_=kind, cx=x, cy=y, r=r)
    return el("path", class_=kind, d=_outline(one.shape, x, y, r))


@cache
def swatch(one: Mark, *, hollow: bool = False) -> Markup:
    """The mark as it stands before a name; decoration, the name says it all."""
    drawn = mark(one, 8, 8, 4.6, hollow=hollow)
    return el(
        "svg",
        drawn,
        class_="swatch",
        viewBox="0 0 16 16",
        width=16,
        height=16,
        aria_hidden="true",
        focusable="false",
    )
