"""A method's operating points: what their names tell of its knobs, as ``width-50-depth-67``."""

from __future__ import annotations

import re

from suite.documents import Entry

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def family(entry: Entry) -> str:
    """What a line of a chart joins: the variants of a method that differ in the first knob of their names alone.

    One line through the points of two knobs would zigzag and join what no single setting leads to.
    """
    return "-".join((entry.recipe, *_NUMBER.findall(entry.variant)[1:]))


def by_knob(entry: Entry) -> tuple[bool, tuple[float, ...], str]:
    """The order of tables: families one after the other, each along its line; names without a number come last."""
    numbers = tuple(float(number) for number in reversed(_NUMBER.findall(entry.variant)))
    return not numbers, numbers, entry.variant
