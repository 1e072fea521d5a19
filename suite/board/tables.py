"""Tables as data: columns with units, cells that are a number, a word, or the reason why there is neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import NamedTuple

from markupsafe import Markup

from suite.board.text import Missing, aligned


class Column(NamedTuple):  # as cells and rows: made quicker than a frozen dataclass, and a page has hundreds
    """A column: its title, its unit (never in the cells), and what must be said of all of it."""

    title: str
    unit: str = ""
    note: str = ""
    href: str | None = None
    kind: str = "number"  # number, text, rank, strip: how it is set
    key: str = ""  # what the script sorts by; none: not sorted
    brief: str = ""  # the unit on a card, where no head stands above the cell

    @property
    def label(self) -> str:
        """What a card calls the cell."""
        return f"{self.title}, {self.brief}" if self.brief else self.title


class Cell(NamedTuple):
    """What stands in a row under a column. ``reason`` instead of a value where there is none."""

    text: str = ""
    small: str = ""  # below the value: its interval
    note: str = ""  # below that: what must be said of it
    href: str | None = None
    reason: str | None = None
    drawing: Markup | None = None
    span: int = 1
    faint: bool = False  # a noisy measurement
    declared: bool = False  # someone's word: italics
    number: bool = False  # padded, so that the column stands on its decimal points


class Row(NamedTuple):
    """A row: its name first, then a cell (or part of a spanning one) for every further column."""

    head: Cell
    cells: tuple[Cell, ...]
    lead: tuple[Cell, ...] = ()  # cells that stand before the name: the rank
    ident: str | None = None
    swatch: Markup | None = None
    tags: tuple[str, ...] = ()
    variant: str = ""  # set after the name, in lighter ink
    opens: str = ""  # the heading of the group of rows that begins here
    entry: str = ""  # recipe/variant of a row that the script knows


@dataclass(frozen=True)
class Table:
    """A table; ``cards``: on a narrow screen each row becomes a card instead of the table scrolling."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    ident: str
    cards: bool = False
    hidden_caption: bool = False
    notes: tuple[str, ...] = field(default=())


def gap(missing: Missing, span: int = 1, href: str | None = None) -> Cell:
    """An empty cell, which says why."""
    return Cell(reason=missing.reason, span=span, href=href)


def value(
    text: str, small: str = "", href: str | None = None, *, faint: bool = False, note: str = ""
) -> Cell:
    """A number; :func:`table` aligns it with its column."""
    return Cell(text, small, note, href, faint=faint, number=True)


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    ident: str,
    *,
    cards: bool = False,
    hidden_caption: bool = False,
    notes: Sequence[str] = (),
) -> Table:
    """A table whose numbers stand on their decimal points, column by column."""
    grids = [_placed(row.cells) for row in rows]
    for row, grid in zip(rows, grids, strict=True):
        width = len(row.lead) + len(grid)
        if width != len(columns):
            raise ValueError(f"{ident}: a row of {width} cells in a table of {len(columns)} columns")
    standing = zip(*map(_aligned, zip_longest(*grids)), strict=True)
    aligned_rows = [
        Row(row.head, tuple([cell for cell in cells if cell is not None]), *row[2:])
        for row, cells in zip(rows, standing, strict=True)
    ]
    return Table(caption, tuple(columns), tuple(aligned_rows), ident, cards, hidden_caption, tuple(notes))


def moved(given: Table, up: str) -> Table:
    """A table whose links start at the site's root, for a page so far below it (``../../``)."""

    def cell(one: Cell) -> Cell:
        return one._replace(href=up + one.href) if one.href else one

    return replace(
        given,
        columns=tuple(one._replace(href=up + one.href) if one.href else one for one in given.columns),
        rows=tuple(
            row._replace(
                head=cell(row.head),
                lead=tuple(cell(one) for one in row.lead),
                cells=tuple(cell(one) for one in row.cells),
            )
            for row in given.rows
        ),
    )


def _aligned(column: Sequence[Cell | None]) -> Sequence[Cell | None]:
    """A column whose numbers stand on their decimal points."""
    numbers = [cell.text for cell in column if cell is not None and cell.number]
    if not numbers or (texts := aligned(numbers)) is numbers:
        return column
    padded = iter(texts)
    return [Cell(next(padded), *cell[1:]) if cell is not None and cell.number else cell for cell in column]


def _placed(cells: Sequence[Cell]) -> list[Cell | None]:
    """A place for every column: nothing for the name's, a cell in the first that it spans, nothing in the others."""
    placed: list[Cell | None] = [None]
    for cell in cells:
        placed.append(cell)
        if cell.span > 1:
            placed += [None] * (cell.span - 1)
    return placed
