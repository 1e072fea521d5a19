"""Histograms: how a quantity is distributed, one or two series over common edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from suite.board import svg
from suite.board.charts import Scale
from suite.board.svg import Label, el

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
    most: float | None = None,
) -> Markup:
    """Columns between ``edges`` (increasing, one more than the shares); the vertical axis is percent.

    ``most``: the share at its top, where several stand side by side; else the largest drawn.
    """
    across = Scale(edges[0], edges[-1], LEFT, WIDTH - RIGHT, log=log)
    high = most or max((share for one in series for share in one.shares), default=0.0) or 1.0
    base = HEIGHT - BOTTOM
    up = Scale(0.0, high, base, TOP)
    grid = [svg.line("axis", LEFT, base, WIDTH - RIGHT, base)]
    top = f"{100 * high:.0f}%" if high >= 0.01 else "<1%"
    grid.append(svg.line("grid", LEFT, up(high), WIDTH - RIGHT, up(high)))
    grid.append(svg.text(top, "tick", LEFT - 5, up(high) + 4, "end"))
    grid.append(svg.text("0", "tick", LEFT - 5, base + 4, "end"))
    for value, words in ticks:
        grid.append(svg.line("axis", across(value), base, across(value), base + 3))
        grid.append(svg.text(words, "tick", across(value), base + 14, "middle"))
    grid.append(svg.text(axis, "axis-title", WIDTH - RIGHT, HEIGHT - 4, "end"))
    parts = [el("g", *grid, aria_hidden="true")]
    for one in series:
        kind = f"columns {one.hue}" if one.hue else "outline"
        parts.append(el("path", el("title", one.name), class_=kind, d=_shape(one, edges, across, up, base)))
    return svg.chart(Label(ident, title, description), parts, "small", WIDTH, HEIGHT, FONT)


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
