"""A method's operating points."""

from __future__ import annotations

from collections.abc import Sequence

from suite.board import front
from suite.board.front import (
    Figure,
)
from suite.board.site import (
    Links,
    Site,
    View,
)
from suite.documents import Entry


def family_figure(
    site: Site, links: Links, track: str, entries: Sequence[Entry], view: View
) -> Figure | None:
    """A family's curve beside the reference; nothing to draw for a single operating point."""
    if len(entries) < 2:
        return None
    reference = site.reference(track)
    wanted = [*entries, *([reference] if reference and reference not in entries else [])]
    small = Site(wanted, site.evidence, site.recipes, site.profiles, site.tasks, site._hues)
    drawn = front.figures(small, links, track, view, ident=f"family-{track}-")
    return drawn[0] if drawn else None
