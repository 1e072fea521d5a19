"""A method's diagram, from real configurations: the teacher's layers left, the student's right, arrows between.

What an arrow means stands in the recipe (``about.transfers``); how many layers there are, how wide, and where an arrow
begins and ends is computed from the configurations of the reference's run and of the student's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from suite.board import svg
from suite.board.svg import Label, el
from suite.board.tables import Cell, Column, Row, Table, table
from suite.board.text import counted, listed, sentence, shorten
from suite.recipe import Transfer

MOST_BLOCKS = 48

_WIDTH, _BLOCK, _STEP, _TOP, _FONT = 480.0, 17.0, 22.0, 34.0, 12.0
_TEACHER, _STUDENT, _WIDEST, _NARROWEST = 92.0, 356.0, 132.0, 52.0
_SIZES = ("hidden", "bottleneck", "heads", "ffn", "feedforwards", "classifier")


@dataclass(frozen=True)
class Stack:
    """A network as a stack of blocks over its embeddings."""

    name: str
    blocks: int
    unit: str  # what a block is: layer, cell
    hidden: int
    sizes: tuple[tuple[str, int], ...]
    exits: bool = False

    @property
    def said(self) -> str:
        sizes = listed(f"{name} {size:,}" for name, size in self.sizes)
        return f"{counted(self.blocks, self.unit)}" + (f": {sizes}" if sizes else "")


@dataclass(frozen=True)
class Arrow:
    """A transfer and the pairs of places that it joins: (teacher's, student's), 0 embeddings, one more than the
    blocks the answers; a teacher's place may be a range."""

    number: int
    what: str
    pairs: tuple[tuple[tuple[int, int], int], ...]
    from_itself: bool


@dataclass(frozen=True)
class Diagram:
    drawing: Markup
    legend: tuple[tuple[int, str], ...]
    twin: Table
    caption: str


def stack_of(name: str, config: Mapping[str, Any], *, exits: bool = False) -> Stack | None:
    """A configuration as a stack; None for one that has neither layers nor cells."""
    for key, unit in (("layers", "layer"), ("cells", "cell")):
        blocks = _whole(config.get(key))
        if blocks and blocks <= MOST_BLOCKS:
            sizes = tuple((_words(key), size) for key in _SIZES if (size := _whole(config.get(key))))
            return Stack(name, blocks, unit, _whole(config.get("hidden")) or 1, sizes, exits)
    return None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**7 else None


def _words(key: str) -> str:
    return {"hidden": "width", "ffn": "feed-forward", "feedforwards": "feed-forward networks"}.get(key, key)


def arrows(
    transfers: Sequence[Transfer], track: str, teacher: Stack, student: Stack, parameters: Mapping[str, Any]
) -> list[Arrow]:
    """The transfers that hold on a track, with their ends."""
    found: list[Arrow] = []
    for one in transfers:
        if one.tracks and track not in one.tracks:
            continue
        pairs = _pairs(one, teacher.blocks, student, parameters)
        if pairs:
            found.append(Arrow(len(found) + 1, shorten(one.what, 80), pairs, one.from_itself))
    return found


def _pairs(
    one: Transfer, teacher: int, student: Stack, parameters: Mapping[str, Any]
) -> tuple[tuple[tuple[int, int], int], ...]:
    blocks = student.blocks
    if one.from_itself:
        top = blocks + 1
        return tuple(((top, top), m) for m in range(1, blocks)) if student.exits else (((top, top), 1),)
    match one.at:
        case "embeddings":
            return (((0, 0), 0),)
        case "answers":
            return (((teacher + 1, teacher + 1), blocks + 1),)
        case "last-layer":
            return (((teacher, teacher), blocks),)
    given = parameters.get(one.layers)
    found = []
    for m in range(1, blocks + 1):
        first = last = m
        if one.layers == "spread":
            first = last = round(m * teacher / blocks)
        elif one.layers == "groups":
            first, last = (m - 1) * teacher // blocks + 1, m * teacher // blocks
        elif one.layers == "kept":
            first = last = math.floor((m - 1) * teacher / blocks) + 1
        elif one.layers != "each":
            if not isinstance(given, list | tuple) or len(given) < m or not isinstance(given[m - 1], int):
                return ()
            first = last = given[m - 1] + 1
        if not 1 <= first <= last <= teacher:
            return ()
        found.append(((first, last), m))
    return tuple(found)


# --- the drawing --------------------------------------------------------------------------------------------


def diagram(teacher: Stack, student: Stack, joins: Sequence[Arrow], ident: str, title: str) -> Diagram:
    """Both stacks as high as the higher one, bottom and top beside each other; no teacher that nothing comes from."""
    taught = any(not arrow.from_itself for arrow in joins)
    rows = max(teacher.blocks if taught else 0, student.blocks) + 2
    height = _TOP + rows * _STEP + 40
    base = _TOP + rows * _STEP - _BLOCK
    widest = max(teacher.hidden, student.hidden)

    def place(stack: Stack, at: int) -> float:
        """Middle of a block, from the bottom."""
        return base + _BLOCK / 2 - at * _STEP * (rows - 1) / (stack.blocks + 1)

    def wide(stack: Stack) -> float:
        return max(_NARROWEST, _WIDEST * stack.hidden / widest)

    shown = ((teacher, _TEACHER), (student, _STUDENT)) if taught else ((student, _STUDENT),)
    words = " ".join(sentence(f"{stack.name}: {stack.said}") for stack, _ in shown)
    shapes: list[Markup] = []
    for stack, middle in shown:
        shapes += _stack(
            stack, middle, wide(stack), [place(stack, at) for at in range(stack.blocks + 2)], height
        )
    across = [arrow for arrow in joins if not arrow.from_itself]
    for order, arrow in enumerate(across):
        shift = 5.0 * (order - (len(across) - 1) / 2)
        left, right = _TEACHER + wide(teacher) / 2 + 2, _STUDENT - wide(student) / 2 - 3
        shapes += _arrow(
            arrow, order, left, right, shift, lambda at: place(teacher, at), lambda at: place(student, at)
        )
    for arrow in joins:
        if arrow.from_itself:
            shapes += _own(arrow, _STUDENT + wide(student) / 2, lambda at: place(student, at), student)
    left, width = (0.0, _WIDTH) if taught else (_STUDENT - _TEACHER - 50, 300.0)
    parts = [el("g", *shapes, aria_hidden="true")]
    label = Label(ident, title, words)
    drawing = svg.chart(
        label, parts, "diagram" if taught else "diagram lone", width, height, _FONT, left=left
    )
    legend = tuple((arrow.number, arrow.what) for arrow in joins)
    return Diagram(drawing, legend, _twin(joins, teacher, student, ident, title), words)


def _stack(stack: Stack, middle: float, width: float, places: Sequence[float], height: float) -> list[Markup]:
    names = ["embeddings", *(f"{stack.unit} {m}" for m in range(1, stack.blocks + 1)), "answers"]
    drawn = [svg.text(shorten(stack.name, 24), "stack-name", middle, 16, "middle")]
    for at, (name, y) in enumerate(zip(names, places, strict=True)):
        kind = "block" if 0 < at <= stack.blocks else "block end"
        box = max(width, 84.0) if kind == "block end" else width
        drawn.append(
            el("rect", class_=kind, x=middle - box / 2, y=y - _BLOCK / 2, width=box, height=_BLOCK, rx=2)
        )
        drawn.append(svg.text(name, "block-name", middle, y + 4, "middle"))
        if stack.exits and 0 < at < stack.blocks:
            left = middle + width / 2
            drawn.append(svg.line("edge", left, y, left + 8, y))
            drawn.append(el("rect", class_="block end", x=left + 8, y=y - 5, width=10, height=10, rx=2))
    drawn.append(svg.text(f"width {stack.hidden:,}", "tick", middle, height - 12, "middle"))
    return drawn


def _arrow(
    arrow: Arrow, order: int, left: float, right: float, shift: float, from_place: Any, to_place: Any
) -> list[Markup]:
    drawn = []
    kind = f"edge kind-{order % 4}"
    for (first, last), m in arrow.pairs:
        start, end = (from_place(first) + from_place(last)) / 2 + shift, to_place(m) + shift
        a, b = left + (6 if last > first else 0), right
        if last > first:
            low, high = from_place(first) + _BLOCK / 2 - 2, from_place(last) - _BLOCK / 2 + 2
            drawn.append(
                el(
                    "path",
                    class_="edge",
                    d=svg.path([(left, low), (left + 4, low), (left + 4, high), (left, high)]),
                )
            )
        middle = (a + b) / 2
        a_, s_, m_, e_, b_ = (svg.number(v) for v in (a, start, middle, end, b))
        drawn.append(el("path", class_=kind, d=f"M{a_} {s_} C{m_} {s_} {m_} {e_} {b_} {e_}"))
        head = [(b + 1, end), (b - 6, end - 3), (b - 6, end + 3)]
        drawn.append(el("path", class_="head", d=svg.path(head, close=True)))
    (first, last), m = arrow.pairs[-1]
    x = left + (right - left) * (0.3 + 0.16 * (order % 4))
    share = (x - left) / (right - left)
    smooth = share * share * (3 - 2 * share)
    y0, y1 = (from_place(first) + from_place(last)) / 2 + shift, to_place(m) + shift
    return [*drawn, *_badge(arrow.number, x, y0 + (y1 - y0) * smooth)]


def _own(arrow: Arrow, edge: float, place: Any, student: Stack) -> list[Markup]:
    """From the answers at the top down to the exits, or around to the blocks: the model is its own teacher."""
    top = place(student.blocks + 1)
    out = edge + 40
    targets = [place(m) for _, m in arrow.pairs] if student.exits else [place((student.blocks + 1) / 2)]
    stop = edge + 19 if student.exits else edge + 2
    start = max(edge, _STUDENT + 42) + 2
    drawn = [el("path", class_="edge kind-1", d=svg.path([(start, top), (out, top), (out, max(targets))]))]
    for y in targets:
        drawn.append(el("path", class_="edge kind-1", d=svg.path([(out, y), (stop + 5, y)])))
        drawn.append(
            el(
                "path",
                class_="head",
                d=svg.path([(stop, y), (stop + 6, y - 3), (stop + 6, y + 3)], close=True),
            )
        )
    return [*drawn, *_badge(arrow.number, out, (top + min(targets)) / 2 + 2)]


def _badge(number: int, x: float, y: float) -> list[Markup]:
    return [
        el("circle", class_="badge", cx=x, cy=y, r=8),
        svg.text(str(number), "badge-name", x, y + 4, "middle"),
    ]


def _twin(joins: Sequence[Arrow], teacher: Stack, student: Stack, ident: str, title: str) -> Table:
    """The same as a table: what is transferred, from where, to where."""

    def named(stack: Stack, first: int, last: int) -> str:
        if first == 0:
            return "embeddings"
        if first > stack.blocks:
            return "answers"
        return f"{stack.unit} {first}" if first == last else f"{stack.unit}s {first} to {last}"

    rows = []
    for arrow in joins:
        source = student if arrow.from_itself else teacher
        for (first, last), m in arrow.pairs:
            target = named(student, m, m)
            if arrow.from_itself:
                target = f"exit after {target}" if student.exits else "its parts"
            rows.append(
                Row(
                    Cell(text=f"{arrow.number} {arrow.what}"),
                    (
                        Cell(text=("its own " if arrow.from_itself else "") + named(source, first, last)),
                        Cell(text=target),
                    ),
                )
            )
    columns = [
        Column("What", kind="text"),
        Column("From the teacher’s", kind="text"),
        Column("To the student’s", kind="text"),
    ]
    return table(f"The same as a table: {title}", columns, rows, f"{ident}-table")
