"""Badges: an entry's score, rank and latency as small pictures for a README."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from suite.board.outputs.places import badge_file
from suite.board.site import Shown, Site
from suite.board.svg import number
from suite.board.text import clean, digits, escaped, fixed, plus_minus, rank_range, shorten
from suite.documents import Entry

_LABEL, _VALUE, _INK = "#3d4148", "#0b57a4", "#ffffff"  # white on both: contrast above 7
_QUIET = "#5f6368"  # nothing to say
_CHARACTER = 7.0  # pixels at 11 px: the text is set to the width, whatever the font


def files(site: Site, entry: Entry) -> Iterator[tuple[str, bytes]]:
    """One file a figure. What is not there is said in words, not left out."""
    who = shorten(site.label(entry), 80)
    for name, (value, told, quiet) in figures(site, entry).items():
        title = f"Lightboard {entry.track}, {who}: {told}"
        yield badge_file(entry, name), drawing(name, value, title, quiet=quiet).encode("utf-8")


def figures(site: Site, entry: Entry) -> dict[str, tuple[str, str, bool]]:
    """Figure -> what the badge says, the same in a sentence, whether there is nothing to say."""
    score, ranks = entry.board_score, entry.ranks
    view = site.default_view(entry.track)
    shown = site.speed(entry, view)
    found: dict[str, tuple[str, str, bool]] = {}
    if score:
        interval = f" {plus_minus(score.value, score.interval)}" if score.interval else ""
        told = f"{fixed(score.value, 1)}{interval}"
        found["score"] = (told, f"score {told} of 100", False)
    else:
        found["score"] = ("incomplete", entry.board_score_reason or "core tasks are missing", True)
    if ranks:
        told = f"{rank_range(ranks.lowest, ranks.highest)} of {ranks.of}"
        found["rank"] = (told, f"rank {told}", False)
    else:
        found["rank"] = ("not ranked", "not ranked", True)
    if isinstance(shown, Shown):
        times = f"{digits(shown.ratio.value, 3, 2)}×"
        told = f"{digits(shown.ms, 3, 2)} ms, {times}" if shown.ms is not None else times
        noisy = ", noisy" if shown.noisy else ""
        where = site.on_profile(view.profile) if view.profile else ""
        found["latency"] = (
            told + noisy,
            f"latency {told} the reference’s speed {where} with {shown.runtime}{noisy}",
            False,
        )
    else:
        found["latency"] = ("not measured", shown.reason, True)
    return found


def drawing(label: str, value: str, title: str, *, quiet: bool = False) -> Markup:
    """A badge 20 pixels high; the title is what a screen reader says."""
    label, value, title = (shorten(str(clean(text)), limit) for text, limit in
                           ((label, 20), (value, 40), (title, 300)))  # fmt: skip
    left, right = (_CHARACTER * len(text) for text in (label, value))
    first, second = left + 10, right + 10
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(first + second)}" height="20" role="img" '
        f'aria-labelledby="t"><title id="t">{escaped(title)}</title>'
        f'<rect width="{number(first + second)}" height="20" rx="3" fill="{_QUIET if quiet else _VALUE}"/>'
        f'<path d="M3 0 H{first:.0f} V20 H3 A3 3 0 0 1 0 17 V3 A3 3 0 0 1 3 0 Z" fill="{_LABEL}"/>'
        f'<g fill="{_INK}" text-anchor="middle" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11" '
        f'aria-hidden="true">{_text(label, first / 2, left)}{_text(value, first + second / 2, right)}</g></svg>'
    )


def _text(text: str, x: float, width: float) -> str:
    return f'<text x="{number(x)}" y="14" textLength="{number(width)}">{escaped(text)}</text>'
