"""Which rows a page prints where there are very many: the best, and whatever is on the front of a chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

PRINTED = 200  # rows of a table, and points of a drawn chart

T = TypeVar("T")


def drawn(
    items: Sequence[T], places: Sequence[tuple[float, float]], better: Literal["more", "less"]
) -> list[T]:
    """The items with the highest y, and those that no other beats on both counts; in the order given.

    ``places`` are the items' (x, y); ``better`` says which way x is good.
    """
    if len(items) <= PRINTED:
        return list(items)
    sign = -1.0 if better == "more" else 1.0
    kept = set(sorted(range(len(items)), key=lambda i: (-places[i][1], i))[:PRINTED])
    highest = float("-inf")
    for i in sorted(range(len(items)), key=lambda i: (sign * places[i][0], -places[i][1], i)):
        if places[i][1] > highest:
            highest = places[i][1]
            kept.add(i)
    return [items[i] for i in sorted(kept)]


def said(printed: int, of: int) -> list[str]:
    """The note under a table that was cut; none under a whole one."""
    return [f"The first {printed:,} of {of:,} rows; the downloads hold all of them."] if of > printed else []
