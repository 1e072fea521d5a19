"""A stored value against its recomputation, leaf by leaf, so that a difference is named by its field."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from suite.folder import Problem, show

RELATIVE = 1e-9
ABSOLUTE = 1e-12
"""How far a recomputed float may lie from the stored one.

The same formula on the same numbers differs between machines only by the order of sums and the last bit of
exp and log: about 1e-15 of a sum over thousands of examples, 1e-12 where such sums nearly cancel. A digit
that someone changed in a printed figure is a millionth or more. 1e-9 lies well apart from both.
"""

_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """A leaf that differs."""

    field: str
    found: str
    expected: str


def close(stored: float, computed: float) -> bool:
    """Equal up to rounding."""
    return math.isclose(stored, computed, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def differences(stored: Any, computed: Any, field: str = "") -> Iterator[Difference]:
    """Every leaf of two JSON values that differs; a branch that only one side has is one difference."""
    if isinstance(stored, dict) and isinstance(computed, dict):
        for key in sorted(set(stored) | set(computed)):
            below = f"{field}.{key}" if field else str(key)
            yield from differences(stored.get(key, _ABSENT), computed.get(key, _ABSENT), below)
    elif isinstance(stored, list | tuple) and isinstance(computed, list | tuple):
        for index in range(max(len(stored), len(computed))):
            left = stored[index] if index < len(stored) else _ABSENT
            right = computed[index] if index < len(computed) else _ABSENT
            yield from differences(left, right, f"{field}.{index}")
    elif not _equal(stored, computed):
        yield Difference(show(field), _told(stored), _told(computed))


def _equal(stored: Any, computed: Any) -> bool:
    if isinstance(stored, bool) or isinstance(computed, bool):
        return stored is computed
    if isinstance(stored, float) or isinstance(computed, float):
        if not isinstance(stored, int | float) or not isinstance(computed, int | float):
            return False
        return close(stored, computed)
    return bool(stored == computed)


def _told(value: Any) -> str:
    return "nothing" if value is _ABSENT else show(repr(value))


FIX = "the figure does not follow from the evidence; write the document again with lightboard"


def problems(file: str, stored: Any, computed: Any, field: str = "", fix: str = FIX) -> Iterator[Problem]:
    """Each difference as a problem of ``file``: what was found, and the recomputed value as expected."""
    for one in differences(stored, computed, field):
        yield Problem(file, one.field, one.found, one.expected, fix)
