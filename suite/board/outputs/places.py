"""Where the outputs stand below the site's root."""

from __future__ import annotations

from suite.board.site import View
from suite.documents import Entry

API = "api/v1"
FEED = "changes.atom"
DATA_PAGE = "data.html"
FORMATS = ("csv", "json", "parquet")
BADGES = ("score", "rank", "latency")


def view_file(track: str, view: View, suffix: str) -> str:
    """A front page's table as a file: beside those of the track's other views."""
    return f"tracks/{track}/views/{view.profile or 'unmeasured'}/{view.runtime or 'best'}.{suffix}"


def table_file(track: str, name: str, suffix: str) -> str:
    return f"tracks/{track}/tables/{name}.{suffix}"


def api_entry(entry: Entry) -> str:
    return f"{API}/entries/{entry.track}/{entry.recipe}/{entry.variant}.json"


def badge_file(entry: Entry, figure: str) -> str:
    return f"badges/{entry.track}/{entry.recipe}/{entry.variant}/{figure}.svg"
