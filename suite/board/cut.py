"""How many rows a page prints where there are very many, and what it says of the others."""

from __future__ import annotations

PRINTED = 200  # rows of a table, and points of a drawn chart


def said(printed: int, of: int) -> list[str]:
    """The note under a table that was cut; none under a whole one."""
    return [f"The first {printed:,} of {of:,} rows; the downloads hold all of them."] if of > printed else []
