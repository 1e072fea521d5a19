"""A searched network's cell as a drawing and as a table, from the configuration in its run.

Any configuration with a ``cell`` is drawn, whatever made it: ``{"inputs": 2, "nodes": 3, "edges": [{"from": 0, "to": 2,
"op": "conv3"}, ...]}``. States are numbered, the inputs first; every edge runs forward. Beside it ``search.guard`` may
name an edge, ``"0-2"``. The configuration is somebody's word: what does not fit this form is not drawn, and every
string is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from suite.board import svg
from suite.board.svg import Label, el
from suite.board.tables import Cell, Column, Row, Table, table
from suite.board.text import clean, counted, listed, sentence, shorten

MOST_INPUTS, MOST_NODES, MOST_EDGES, MOST_CELLS = 3, 8, 40, 10_000

_STEP, _RISE, _RADIUS, _FONT = 72.0, 36.0, 13.0, 12.0


@dataclass(frozen=True)
class Graph:
    """``edges``: (source, target, operation), by target; ``cells`` such cells stand in sequence.

    ``ruled``: the edge whose convolution was put there by rule, since the search kept none.
    """

    cells: int
    inputs: int
    nodes: int
    edges: tuple[tuple[int, int, str], ...]
    ruled: tuple[int, int] | None = None

    def name(self, state: int) -> str:
        """An input is the output of an earlier cell; nodes count from 1."""
        if state >= self.inputs:
            return str(state - self.inputs + 1)
        return f"k−{self.inputs - state}"

    def words(self, state: int) -> str:
        if state >= self.inputs:
            return f"node {self.name(state)}"
        return f"output of cell {self.name(state)}"

    @property
    def said(self) -> str:
        """The drawing in a sentence or two."""
        found: dict[str, int] = {}
        for _, _, op in self.edges:
            found[op] = found.get(op, 0) + 1
        many = (
            f"{count} × {op}" for op, count in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
        )
        cells = counted(self.cells, "cell")
        of = "of this form" if self.cells == 1 else "of this form in sequence, each with its own weights"
        first = sentence(f"{cells} {of}")
        said = f"{first} Edges: {listed(many)}. Cell k’s output is a weighted sum of its nodes."
        if self.ruled is None:
            return said
        source, target = map(self.name, self.ruled)
        return (
            f"{said} The search kept no convolution; the one on the edge from {source} to {target}, bold and marked *, "
            "was put there by rule."
        )


def graph_of(config: Mapping[str, Any]) -> Graph | None:
    """The cell of a configuration; None where there is none that can be drawn."""
    cell = config.get("cell")
    if not isinstance(cell, Mapping):
        return None
    cells, inputs, nodes = (
        _whole(of.get(name), most)
        for of, name, most in (
            (config, "cells", MOST_CELLS),
            (cell, "inputs", MOST_INPUTS),
            (cell, "nodes", MOST_NODES),
        )
    )
    edges = cell.get("edges")
    if not (cells and inputs and nodes and isinstance(edges, list | tuple) and 0 < len(edges) <= MOST_EDGES):
        return None
    found = []
    for edge in edges:
        if not isinstance(edge, Mapping) or not isinstance(edge.get("op"), str):
            return None
        target = _whole(edge.get("to"), inputs + nodes - 1)
        source = edge.get("from")
        if source != 0 or isinstance(source, bool):
            source = _whole(source, inputs + nodes - 1)
        if source is None or target is None or not source < target or target < inputs:
            return None
        found.append((source, target, shorten(str(clean(edge["op"])), 24)))
    ordered = tuple(sorted(found, key=lambda edge: (edge[1], edge[0])))
    return Graph(cells, inputs, nodes, ordered, _ruled(config, ordered))


def _ruled(config: Mapping[str, Any], edges: Sequence[tuple[int, int, str]]) -> tuple[int, int] | None:
    """The edge that ``search.guard`` names as ``from-to``; None where it names none that is there."""
    search = config.get("search")
    named = search.get("guard") if isinstance(search, Mapping) else None
    return next(((a, b) for a, b, _ in edges if named == f"{a}-{b}"), None)


def _whole(value: Any, most: int) -> int | None:
    """A whole number from 1 to ``most``, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most else None


def drawing(graph: Graph, *, ident: str, title: str) -> Markup:
    """States on a line, operations as arcs above it, the output's sum below. Ink comes from the style sheet."""
    states = graph.inputs + graph.nodes
    across = [_STEP * (0.5 + i) for i in range(states + 1)]  # the last is the output
    span = max(target - source for source, target, _ in graph.edges)
    base = 0.75 * _RISE * span + _RADIUS + 16
    below = 0.75 * 0.5 * _RISE * graph.nodes + _RADIUS + 8
    arcs, labels = [], []
    stacked: dict[tuple[int, int], int] = {}
    for source, target, op in graph.edges:
        rise = _RISE * (target - source)
        left, right = across[source] + 4, across[target] - 4
        ruled = (source, target) == graph.ruled
        kind = "edge ruled" if ruled else "edge"
        arcs.append(el("path", class_=kind, d=_arc(left, right, base - _RADIUS, -rise)))
        arcs.append(el("path", class_="head", d=_head(right, base - _RADIUS, -1)))
        nth = stacked[source, target] = stacked.get((source, target), -1) + 1  # two edges side by side
        top = base - _RADIUS - 0.75 * rise + 4 - 13 * nth
        labels.append(svg.text(f"{op} *" if ruled else op, "label", (left + right) / 2, top, "middle"))
    for node in range(graph.inputs, states):
        drop = 0.5 * _RISE * (states - node)
        arcs.append(el("path", class_="edge sum", d=_arc(across[node], across[-1], base + _RADIUS, drop)))
    arcs.append(el("path", class_="head", d=_head(across[-1], base + _RADIUS, 1)))
    circles = [
        el(
            "g",
            el("circle", class_="state", cx=x, cy=base, r=_RADIUS),
            el("text", graph.name(i) if i < states else "k", x=x, y=base + 4, text_anchor="middle"),
        )
        for i, x in enumerate(across)
    ]
    parts = [el("g", *arcs, *circles, *labels, aria_hidden="true")]
    width, height = _STEP * (states + 1), base + below
    return svg.chart(Label(ident, title, graph.said), parts, "cell", width, height, _FONT)


def _arc(left: float, right: float, y: float, rise: float) -> str:
    """From one place on a line to another, leaving and arriving upright; its height is 3/4 of ``rise``."""
    a, b, c, d = (svg.number(value) for value in (left, right, y, y + rise))
    return f"M{a} {c} C{a} {d} {b} {d} {b} {c}"


def _head(x: float, y: float, side: int) -> str:
    """An arrow's head that touches a state from above (-1) or below (1)."""
    return svg.path([(x, y), (x - 3.2, y + 7 * side), (x + 3.2, y + 7 * side)], close=True)


def twin(graph: Graph, *, ident: str, caption: str) -> Table:
    """The same as a table of edges."""
    rows = [
        Row(
            Cell(text=graph.words(target)),
            (
                Cell(text=graph.words(source)),
                Cell(text=op, note="put there by rule" if (source, target) == graph.ruled else ""),
            ),
        )
        for source, target, op in graph.edges
    ]
    columns = [Column("Into", kind="text"), Column("From", kind="text"), Column("Operation", kind="text")]
    return table(caption, columns, rows, ident)
