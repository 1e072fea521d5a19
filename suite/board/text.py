"""Numbers and words as the site prints them: few digits, plain sentences, a reason for every gap."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

FIGURE_SPACE = "\u2007"  # as wide as a digit
POINT_SPACE = "\u2008"  # as wide as a full stop
MINUS = "\u2212"
_KEPT_CONTROLS = "\n\t"


@dataclass(frozen=True)
class Missing:
    """A value that is not there, and why. It has no other way to be printed than with its reason."""

    reason: str


def clean(value: Any) -> Any:
    """Strings without control, surrogate and direction-changing characters; the rest unchanged.

    Applied to everything a template prints: such characters are no markup, but they break XML, or let a name
    rearrange the text around it. ``Markup`` was built from cleaned parts and passes.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return value.translate(_KEPT)


_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Cn", "Co"})


class _Kept(dict[int, int | None]):
    """What becomes of a character, found out at its first use: itself or nothing."""

    def __missing__(self, code: int) -> int | None:
        kept = chr(code) in _KEPT_CONTROLS or unicodedata.category(chr(code)) not in _UNPRINTABLE
        self[code] = code if kept else None
        return self[code]


_KEPT = _Kept()


@lru_cache(4096)  # words and short numbers come back page after page
def escaped(text: str) -> str:
    """A string as it stands in markup: cleaned, its special characters escaped, also those of ``Markup``."""
    return str(escape(clean(str(text))))


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` characters, the cut marked."""
    text = " ".join(str(clean(text)).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def shorten_middle(text: str, limit: int) -> str:
    """At most ``limit`` characters, the cut in the middle: the end of a label says which operating point it is."""
    text = shorten(text, len(text))
    if len(text) <= limit:
        return text
    end = limit // 2
    return f"{text[: limit - 1 - end].rstrip()}…{text[-end:].lstrip()}"


def wrapped(text: str, limit: int) -> list[str]:
    """A label on at most two lines of ``limit`` characters."""
    return textwrap.wrap(shorten(text, 2 * limit), limit, max_lines=2, placeholder="…") or [""]


# --- numbers ------------------------------------------------------------------------------------------------


_FIXED = tuple(f",.{decimals}f" for decimals in range(16))


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals, a true minus sign, and no minus before zero.

    >>> fixed(-0.04, 1), fixed(-1.25, 2), fixed(12345.6, 0)
    ('0.0', '−1.25', '12,346')
    """
    text = format(value, _FIXED[decimals])
    if text[0] == "-":
        text = text[1:] if not any(c in "123456789" for c in text) else MINUS + text[1:]
    return text


def signed(value: float, decimals: int) -> str:
    """With its sign, as a difference is written."""
    return ("+" if value > 0 else "") + fixed(value, decimals)


@lru_cache(8192)  # so do numbers
def digits(value: float, significant: int = 3, most_decimals: int = 3) -> str:
    """About so many significant digits, never in powers of ten; small values say that they are small.

    >>> digits(1.934), digits(241.3), digits(17390.0), digits(0.0000004)
    ('1.93', '241', '17,390', '<0.001')
    """
    if value == 0:
        return "0"
    size, least = abs(value), 10.0**-most_decimals
    if size < least:
        return f"<{least:.{most_decimals}f}" if value > 0 else "0"
    decimals = significant - 1 - math.floor(math.log10(size))
    return fixed(value, min(max(decimals, 0), most_decimals))


def round_number(value: float) -> str:
    """A tick of an axis, which is a round number: no zeros after its last digit."""
    return f"{value:,.6g}".replace("-", MINUS)


def aligned(numbers: list[str]) -> list[str]:
    """Numbers padded at the right, so that right-aligned tabular figures stand on the decimal point."""
    places = [len(number.partition(".")[2]) for number in numbers]
    if len(set(places)) < 2:
        return numbers
    widest = max(places)
    return [
        number + ("" if place else POINT_SPACE) + FIGURE_SPACE * (widest - place)
        for number, place in zip(numbers, places, strict=True)
    ]


def plus_minus(value: float, interval: tuple[float, float], decimals: int = 1) -> str:
    """``±0.6``; where the two sides differ visibly, both ends."""
    low, high = value - interval[0], interval[1] - value
    if round(low, decimals) == round(high, decimals) or abs(low - high) < 0.15 * max(low, high):
        return "±" + fixed(max(low, high), decimals)
    return span(interval, decimals)


def span(interval: tuple[float, float], decimals: int) -> str:
    """``1.89–1.97``, with "to" where a minus sign stands in it."""
    low, high = (fixed(end, decimals) for end in interval)
    return f"{low} to {high}" if MINUS in low + high else f"{low}–{high}"


def ratio_span(interval: tuple[float, float]) -> str:
    """The ends of a ratio's interval, both with the decimals that the upper end deserves."""
    decimals = min(2, max(0, 2 - math.floor(math.log10(max(interval[1], 1e-3)))))
    return span(interval, decimals)


def p_words(p: float) -> str:
    """``p 0.031``, ``p 0.48``, ``p < 0.001``."""
    return "p < 0.001" if p < 0.001 else f"p {fixed(p, 3 if p < 0.1 else 2)}"


def bytes_words(count: float) -> str:
    """``69.4 MB`` (decimal units), for running text."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{digits(count / size)} {unit}"
    return f"{count:.0f} bytes"


def seconds_words(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds >= 1:
        return f"{digits(seconds)} s"
    return f"{digits(seconds * 1e3)} ms" if seconds >= 1e-3 else f"{digits(seconds * 1e6)} µs"


# --- words --------------------------------------------------------------------------------------------------

_SMALL = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)


def number_word(count: int) -> str:
    return _SMALL[count] if count < len(_SMALL) else f"{count:,}"


def counted(count: int, singular: str, plural: str = "") -> str:
    """``one entry``, ``3 entries`` in running text."""
    return f"{number_word(count)} {singular if count == 1 else plural or singular + 's'}"


def listed(items: Iterable[str]) -> str:
    """``a, b and c``."""
    parts = list(items)
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1] if parts else ""


def sentence(text: str) -> str:
    """First letter a capital, a full stop at the end."""
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


def lower_first(text: str) -> str:
    """``One CPU thread`` -> ``one CPU thread``; abbreviations stay."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def times_faster(ratio: float, than: str) -> str:
    """The ratio in words: ``1.9 times faster than its teacher``.

    >>> times_faster(1.934, "it"), times_faster(0.5, "it"), times_faster(1.01, "it")
    ('1.9 times faster than it', '2.0 times slower than it', 'as fast as it')
    """
    if 0.975 <= ratio <= 1.025:
        return f"as fast as {than}"
    faster = ratio > 1
    factor = ratio if faster else 1 / max(ratio, 1e-9)
    shown = fixed(factor, 2 if factor < 1.1 else 1 if factor < 20 else 0)
    return f"{shown} times {'faster' if faster else 'slower'} than {than}"


def rank_range(lowest: int, highest: int) -> str:
    """``1–3``, or ``2`` when only one place is possible."""
    return str(lowest) if lowest == highest else f"{lowest}–{highest}"


_ORDINALS = {1: "st", 2: "nd", 3: "rd"}


def ordinal(place: int) -> str:
    """``1st``, ``2nd``, ``11th``."""
    suffix = "th" if place % 100 in (11, 12, 13) else _ORDINALS.get(place % 10, "th")
    return f"{place}{suffix}"


def short_hash(value: str) -> str:
    """The first twelve hex digits: enough to compare by eye; the whole hash stands on the protocol page."""
    return value.removeprefix("sha256:")[:12]


_LABELS: Mapping[str, str] = {
    "cpu": "CPU",
    "smt": "SMT",
    "cgroup_cpu_limit": "CPU limit (cgroup)",
    "max_mhz": "maximum MHz",
    "load_1min": "load, 1 min",
    "frequency_mhz": "frequency, MHz",
    "temperature_celsius": "temperature, °C",
    "steal_percent": "stolen time, %",
    "available_memory_bytes": "available memory",
    "memory_bytes": "memory",
    "u": "u",
    "tflop": "TFLOP",
    "tflops": "TFLOP",
    "flops": "FLOPs",
    "lr": "learning rate",
    "ece": "expected calibration error",
    "guard": "edge whose convolution was put there by rule",
}


def field_label(name: str) -> str:
    """A field's name as a label: ``cpu_flags`` -> ``CPU flags``."""
    name = str(name)
    if name in _LABELS:
        return _LABELS[name]
    return " ".join(_LABELS.get(word, word) for word in name.split("_"))


def plain_value(value: Any, key: str = "") -> str:
    """A value of a document for a two-column list; None says that the machine did not say."""
    if value is None:
        return "not said"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and key.endswith("_bytes"):
        return bytes_words(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain_value(one) for one in value) or "none"
    return str(value)


def level_words(level: str, retrained: int) -> str:
    """How far an entry was checked; of one that others trained again, by how many."""
    return f"independently retrained \u00d7{retrained}" if level == "retrained" and retrained else level
