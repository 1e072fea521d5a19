"""Who checked a document, and what they found, in words."""

from __future__ import annotations

from suite.board.site import Site
from suite.board.text import shorten
from suite.documents import Attestation


def check_words(site: Site, track: str, place: str) -> list[str]:
    """A line for each check of a document, by date."""
    return [
        f"{one.date}: {one.level}, {one.outcome}{_check_figures(one)}, by {shorten(one.by, 80)} "
        f"with Lightboard {shorten(one.lightboard, 20)}"
        for one in sorted(site.evidence.checks(track, place), key=lambda a: (a.date, a.level, a.by))
    ]


def _check_figures(one: Attestation) -> str:
    """What a retraining or a replay found, in brackets; empty for other checks."""
    found = one.evidence
    if found is None:
        return ""
    if found.score is not None and found.interval is not None:
        low, high = found.interval
        return f" ({found.score:.2f} in {len(found.seeds)} new seeds, expected {low:.2f} to {high:.2f})"
    if found.largest_difference is not None and found.tolerance is not None:
        return f" (scores differ by {found.largest_difference:.1g}, {found.tolerance:.1g} is allowed)"
    return ""
