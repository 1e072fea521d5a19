"""A few lines of SVG writing: elements, escaped attributes, and the marks that stand for methods.

No inline styles (the pages' policy forbids them): geometry is in attributes, ink and hue in the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import NamedTuple

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


# What charts are made of by the hundred is written at once and not by :func:`el`, which takes several times as long.


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup(
        f'<line class="{escaped(kind)}" x1="{number(x1)}" x2="{number(x2)}" y1="{number(y1)}" y2="{number(y2)}"/>'
    )


def text(words: str, kind: str, x: float, y: float, anchor: str = "") -> Markup:
    """Words at a place, which is their ``start`` where no other anchor is named."""
    at = f' text-anchor="{anchor}"' if anchor else ""
    return Markup(f'<text class="{kind}" x="{number(x)}" y="{number(y)}"{at}>{escaped(words)}</text>')


def path(points: Sequence[tuple[float, float]], *, close: bool = False) -> str:
    """Path data through the points."""
    if not points:
        return ""
    written = " L".join(["%.1f %.1f"] * len(points)) % tuple(chain.from_iterable(points))
    written = f"M{written} ".replace(".0 ", " ").replace("-0 ", "0 ")[:-1]  # as number() writes them, at once
    return f"{written} Z" if close else written


class Label(NamedTuple):
    """What a chart is called, and what it shows in a sentence."""

    ident: str
    title: str
    description: str


def chart(
    label: Label,
    parts: Iterable[Markup],
    kind: str,
    width: float,
    height: float,
    font: float,
    *,
    left: float = 0.0,
    links: bool = False,
) -> Markup:
    """A drawing in its own units, from ``left``; to a screen reader a picture, or with ``links`` a group of them."""
    ident = escaped(label.ident)
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart {kind}" role="{"group" if links else "img"}" '
        f'viewBox="{number(left)} 0 {number(width)} {number(height)}" font-size="{number(font)}" '
        f'aria-labelledby="{ident}-title {ident}-desc"><title id="{ident}-title">{escaped(label.title)}</title>'
        f'<desc id="{ident}-desc">{escaped(label.description)}</desc>{"".join(parts)}</svg>'
    )


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
