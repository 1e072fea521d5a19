"""The picture that stands beside a link to the board: the best rows of each track, drawn with their intervals.

Networks that show such pictures want PNG; vl-convert, if it is installed, makes one. Without it there is the SVG alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from types import ModuleType

from markupsafe import Markup

from suite.board import colours
from suite.board.front import groups
from suite.board.site import Shown, Site, track_title
from suite.board.svg import el
from suite.board.text import digits, fixed, plus_minus, shorten
from suite.documents import Entry

SIZE = (1200, 630)
_PAPER, _INK, _SOFT, _RULE = colours.PAPER["light"], "#1b1c1e", "#595d63", "#dcdcd6"
_FONT = "Liberation Sans, Helvetica Neue, Arial, DejaVu Sans, sans-serif"
_ROWS = 7


@cache
def _converter() -> ModuleType | None:
    try:
        return importlib.import_module("vl_convert")
    except ImportError:
        return None


def path(track: str) -> str:
    """The picture of a track, in the best form there is."""
    return f"tracks/{track}/preview.{'svg' if _converter() is None else 'png'}"


def files(site: Site) -> Iterator[tuple[str, bytes]]:
    for track in site.tracks():
        drawn = picture(site, track)
        yield f"tracks/{track}/preview.svg", drawn.encode("utf-8")
        if (converter := _converter()) is not None:
            yield path(track), bytes(converter.svg_to_png(str(drawn)))


def picture(site: Site, track: str) -> Markup:
    """1200 by 630, for itself: no style sheet reaches it."""
    name = track_title(track)
    rows = groups(site, track).ranked[:_ROWS]
    title = "Which lightweight BERT should you ship?"
    told = f"The {name} track: {', '.join(site.label(e) for e in rows) or 'nothing is ranked yet'}"
    parts = [
        el("title", title, id="t"),
        el("desc", shorten(told, 300), id="d"),
        el("rect", width=SIZE[0], height=SIZE[1], fill=_PAPER),
        _text("Lightboard", 64, 80, 26, weight=700),
        _text(title, 64, 150, 50, weight=700),
        _text(_subtitle(site, track, name), 64, 196, 24, fill=_SOFT),
        *_rows(site, track, rows),
    ]
    return el(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        width=SIZE[0],
        height=SIZE[1],
        viewBox=f"0 0 {SIZE[0]} {SIZE[1]}",
        role="img",
        aria_labelledby="t d",
        font_family=_FONT,
    )


def _subtitle(site: Site, track: str, name: str) -> str:
    profile = site.default_view(track).profile
    where = f", timed {site.on_profile(profile)}" if profile else ""
    return f"{name} track, {len(site.of(track)):,} entries{where}; bars are 95% intervals"


def _text(
    words: str, x: float, y: float, size: float, *, fill: str = _INK, weight: int = 400, end: bool = False
) -> Markup:
    anchor = "end" if end else None
    return el("text", words, x=x, y=y, font_size=size, fill=fill, font_weight=weight, text_anchor=anchor)


def _rows(site: Site, track: str, rows: list[Entry]) -> Iterator[Markup]:
    if not rows:
        yield _text("Nothing is ranked yet.", 64, 300, 28, fill=_SOFT)
        return
    ends = [v for e in rows if e.board_score for v in (e.board_score.value, *(e.board_score.interval or ()))]
    low, high = min(ends), max(ends)
    view = site.default_view(track)

    def across(value: float) -> float:
        return 470 + 330 * ((value - low) / (high - low) if high > low else 0.5)

    for number, entry in enumerate(rows):
        score = entry.board_score
        assert score is not None  # ranked
        y = 262 + 48 * number
        hue = _hue(site, entry)
        yield el("line", x1=64, x2=1136, y1=y + 16, y2=y + 16, stroke=_RULE)
        yield _text(shorten(site.label(entry), 30), 64, y, 24)
        if score.interval:
            yield el(
                "line",
                x1=across(score.interval[0]),
                x2=across(score.interval[1]),
                y1=y - 8,
                y2=y - 8,
                stroke=hue,
                stroke_width=3,
            )
        yield el("circle", cx=across(score.value), cy=y - 8, r=7, fill=hue)
        interval = f" {plus_minus(score.value, score.interval)}" if score.interval else ""
        yield _text(f"{fixed(score.value, 1)}{interval}", 985, y, 24, end=True)
        shown = site.speed(entry, view)
        speed = f"{digits(shown.ratio.value, 3, 2)}×" if isinstance(shown, Shown) else "not timed"
        yield _text(speed, 1136, y, 24, fill=_SOFT, end=True)


def _hue(site: Site, entry: Entry) -> str:
    known = site.recipes.get(entry.recipe)
    return colours.on(_PAPER, known.about.colour if known else colours.NEUTRAL)
