"""The best model inside a budget, what the next step up would cost, and how sure that is on another machine.

A ratio to the reference travels from machine to machine, milliseconds do not. So a latency is the reference's
own milliseconds, on whatever machine, over the entry's ratio. ``site/board.js`` does the same in the browser;
a test holds the two together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from suite.errors import UserError

Interval = tuple[float, float]
Limit = Literal["latency", "size", "memory", "score"]
LIMITS: tuple[Limit, ...] = ("latency", "size", "memory", "score")
CONFIDENCE = 0.95  # of the intervals that are given


@dataclass(frozen=True)
class Candidate:
    """An entry as a choice; None where it was not measured."""

    entry: str  # track/recipe/variant
    label: str
    score: float
    interval: Interval | None = None
    runtime: str | None = None  # whose files ``lightboard get`` can give
    ratio: float | None = None  # the reference's time over the entry's
    log_se: float | None = None  # standard error of log(ratio); None: too few process pairs
    degrees: int | None = None
    noisy: bool = False
    size_bytes: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Budget:
    """What must hold; None: anything will do. The first three are most, the score is least."""

    latency_ms: float | None = None
    size_bytes: float | None = None
    memory_bytes: float | None = None
    score: float | None = None


@dataclass(frozen=True)
class Choice:
    """A candidate that fits. ``chance``: that it keeps the latency limit, as far as its ratio is known."""

    candidate: Candidate
    latency_ms: float | None
    chance: float | None
    tied: bool  # its score's interval reaches the best one's: not clearly worse


@dataclass(frozen=True)
class Step:
    """Widening one limit by ``more`` (ms, bytes; of the score: fewer points) admits ``candidate``.

    ``gain`` is its score less the best that fits, in points; None where nothing fits yet. ``tied``: the two
    scores' intervals overlap, so the gain may be chance.
    """

    limit: Limit
    more: float
    gain: float | None
    tied: bool
    candidate: Candidate
    latency_ms: float | None


@dataclass(frozen=True)
class Pick:
    """Choices, the best first; the nearest step per limit; how many candidates lack a figure that is limited."""

    choices: tuple[Choice, ...]
    steps: tuple[Step, ...]
    unmeasured: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def pick(candidates: Sequence[Candidate], budget: Budget, reference_ms: float | None) -> Pick:
    """Sort candidates into those that fit and the nearest that do not.

    ``reference_ms``: the reference's own time for a query on the machine in question; None: no latency is
    known. Ties in score go to the faster, then the smaller.
    """
    wanted = {limit: value for limit in LIMITS if (value := _limit(budget, limit)) is not None}
    missed = {
        one.entry: [n for n, most in wanted.items() if not _holds(one, n, most, reference_ms)]
        for one in candidates
    }
    fits = sorted(
        (one for one in candidates if not missed[one.entry]), key=lambda one: _order(one, reference_ms)
    )
    best = fits[0] if fits else None
    choices = tuple(
        Choice(
            candidate=one,
            latency_ms=latency_ms(one, reference_ms),
            chance=chance(one, budget.latency_ms, reference_ms),
            tied=best is not None and overlap(one, best),
        )
        for one in fits
    )
    steps = []
    for name, most in wanted.items():
        near = [
            (abs(value - most), -one.score, one.entry, one)
            for one in candidates
            if missed[one.entry] == [name]
            and (value := _figure(one, name, reference_ms)) is not None
            and (best is None or one.score > best.score)
        ]
        if near:
            more, _, _, one = min(near)
            gain = None if best is None else one.score - best.score
            tied = best is not None and overlap(one, best)
            steps.append(Step(name, more, gain, tied, one, latency_ms(one, reference_ms)))
    unmeasured = sum(any(_figure(one, name, reference_ms) is None for name in wanted) for one in candidates)
    return Pick(choices, tuple(steps), unmeasured)


def latency_ms(one: Candidate, reference_ms: float | None) -> float | None:
    """Milliseconds a query where the reference takes ``reference_ms``."""
    return None if one.ratio is None or reference_ms is None else reference_ms / one.ratio


def chance(one: Candidate, most_ms: float | None, reference_ms: float | None) -> float | None:
    """Probability that reference_ms / ratio <= most_ms, the log ratio being t distributed around its estimate.

    None without a limit, a ratio, or enough process pairs. It knows the doubt in the measured ratio, and
    nothing of how another processor may change the ratio itself.
    """
    if (
        most_ms is None
        or reference_ms is None
        or one.ratio is None
        or one.log_se is None
        or one.degrees is None
    ):
        return None
    room = math.log(most_ms / reference_ms * one.ratio)
    if one.log_se == 0:
        return 1.0 if room >= 0 else 0.0
    return t_cdf(room / one.log_se, one.degrees)


def overlap(one: Candidate, other: Candidate) -> bool:
    """Whether the intervals of two scores overlap; a score without one stands for itself."""
    (low, high), (other_low, other_high) = ((c.interval or (c.score, c.score)) for c in (one, other))
    return low <= other_high and other_low <= high


def t_cdf(t: float, degrees: int) -> float:
    """Student's t distribution with a whole number of degrees (Abramowitz and Stegun 26.7.3, 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = degrees % 2 == 1
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= k / (k + 1) * square
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return (1 + inside) / 2


def command(one: Candidate, out: str | None = None) -> str:
    """The command that fetches the model file."""
    runtime = f" --runtime {one.runtime}" if one.runtime else ""
    return f"lightboard get {one.entry}{runtime} --out {out or one.entry.split('/')[1]}"


def _limit(budget: Budget, name: Limit) -> float | None:
    return {
        "latency": budget.latency_ms,
        "size": budget.size_bytes,
        "memory": budget.memory_bytes,
        "score": budget.score,
    }[name]


def _figure(one: Candidate, name: Limit, reference_ms: float | None) -> float | None:
    if name == "latency":
        return latency_ms(one, reference_ms)
    return {"size": one.size_bytes, "memory": one.memory_bytes, "score": one.score}[name]


def _holds(one: Candidate, name: Limit, limit: float, reference_ms: float | None) -> bool:
    value = _figure(one, name, reference_ms)
    if value is None:
        return False
    return value >= limit if name == "score" else value <= limit


def _order(one: Candidate, reference_ms: float | None) -> tuple[float, float, float, str]:
    time = latency_ms(one, reference_ms)
    size = one.size_bytes
    return -one.score, math.inf if time is None else time, math.inf if size is None else size, one.entry


# --- amounts as people write them ---------------------------------------------------------------------------

_MILLISECONDS = {"": 1.0, "ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3}
_BYTES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}


def milliseconds(text: str, option: str) -> float:
    """``20ms``, ``0.5s``, ``20`` -> milliseconds."""
    return _amount(text, option, _MILLISECONDS, "20ms or 0.5s")


def byte_count(text: str, option: str) -> float:
    """``30MB``, ``64MiB`` -> bytes."""
    return _amount(text, option, _BYTES, "30MB, 500kB or 64MiB")


def _amount(text: str, option: str, units: dict[str, float], example: str) -> float:
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zµ]*)\s*", text, flags=re.IGNORECASE)
    unit = units.get(found[2].lower()) if found else None
    if found is None or unit is None or float(found[1]) <= 0:
        raise UserError(f"{option}: {text!r} is no amount; write {example}")
    return float(found[1]) * unit
