"""Histograms: how a quantity is distributed, one or two series over common edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from suite.board import svg
from suite.board.charts import Scale
from suite.board.svg import el

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, FONT = 340.0, 150.0, 34.0, 8.0, 18.0, 34.0, 11.0


@dataclass(frozen=True)
class Series:
    """Shares of the whole between the edges, 0 to 1. ``hue``: a class of the style sheet; none: an outline in ink."""

    name: str
    shares: tuple[float, ...]
    hue: str | None


def histogram(
    series: Sequence[Series],
    edges: Sequence[float],
    *,
    ident: str,
    title: str,
    description: str,
    axis: str,
    ticks: Sequence[tuple[float, str]],
    log: bool = False,
) -> Markup:
    """Columns between ``edges`` (increasing, one more than the shares); the vertical axis is percent."""
    across = Scale(edges[0], edges[-1], LEFT, WIDTH - RIGHT, log=log)
    high = max((share for one in series for share in one.shares), default=0.0) or 1.0
    base = HEIGHT - BOTTOM
    up = Scale(0.0, high, base, TOP)
    parts = [el("title", title, id=f"{ident}-title"), el("desc", description, id=f"{ident}-desc")]
    grid = [el("line", class_="axis", x1=LEFT, x2=WIDTH - RIGHT, y1=base, y2=base)]
    top = f"{100 * high:.0f}%" if high >= 0.01 else "<1%"
    grid.append(el("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=up(high), y2=up(high)))
    grid.append(el("text", top, class_="tick", x=LEFT - 5, y=up(high) + 4, text_anchor="end"))
    grid.append(el("text", "0", class_="tick", x=LEFT - 5, y=base + 4, text_anchor="end"))
    for value, words in ticks:
        grid.append(el("line", class_="axis", x1=across(value), x2=across(value), y1=base, y2=base + 3))
        grid.append(el("text", words, class_="tick", x=across(value), y=base + 14, text_anchor="middle"))
    grid.append(el("text", axis, class_="axis-title", x=WIDTH - RIGHT, y=HEIGHT - 4, text_anchor="end"))
    parts.append(el("g", *grid, aria_hidden="true"))
    for one in series:
        kind = f"columns {one.hue}" if one.hue else "outline"
        parts.append(el("path", el("title", one.name), class_=kind, d=_shape(one, edges, across, up, base)))
    return el(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        class_="chart small",
        role="img",
        viewBox=f"0 0 {svg.number(WIDTH)} {svg.number(HEIGHT)}",
        font_size=FONT,
        aria_labelledby=f"{ident}-title {ident}-desc",
    )


def _shape(one: Series, edges: Sequence[float], across: Scale, up: Scale, base: float) -> str:
    """Filled columns stand apart; an outline is one stepped line."""
    if one.hue is None:
        points = [(across(edges[0]), base)]
        for share, left, right in zip(one.shares, edges, edges[1:], strict=False):
            points += [(across(left), up(share)), (across(right), up(share))]
        return svg.path([*points, (across(edges[-1]), base)])
    columns = []
    for share, left, right in zip(one.shares, edges, edges[1:], strict=False):
        if share > 0:
            a, b = across(left), across(right)
            gap = min(1.0, (b - a) / 8)
            corners = [(a + gap, base), (a + gap, up(share)), (b - gap, up(share)), (b - gap, base)]
            columns.append(svg.path(corners, close=True))
    return " ".join(columns)
