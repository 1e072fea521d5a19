"""The page that says what there is beside pages, and how to use it."""

from __future__ import annotations

from suite.board.outputs.api import FILES
from suite.board.outputs.data import TABLES
from suite.board.outputs.places import API, DATA_PAGE, FEED, FORMATS, badge_file, table_file, view_file
from suite.board.outputs.web import NAMES
from suite.board.page import Page
from suite.board.site import Links, Site, View, track_title
from suite.board.tables import Cell, Column, Row, Table, table
from suite.canonical import pretty_json


def data_page(site: Site) -> Page:
    links = Links(DATA_PAGE)
    return Page(
        DATA_PAGE,
        "data.html",
        {
            "section": "data",
            "title": "Data",
            "links": links,
            "root": links.to(""),
            "tables": [
                found
                for track in site.tracks()
                for found in (_tables(links, track), _views(site, links, track))
            ],
            "files": [(name, _about(model.__doc__)) for name, model in FILES.items()],
            "api": f"{API}/",
            "index": links.to(f"{API}/index.json"),
            "schema": links.to(f"{API}/schema.json"),
            "feed": links.to(FEED),
            "badge": _badge(site),
            "example": _example(site),
        },
    )


def _about(docstring: str | None) -> str:
    return " ".join((docstring or "").split("\n\n")[0].replace("``", "").split())


def _tables(links: Links, track: str) -> Table:
    rows = [
        Row(
            Cell(text=name),
            (
                Cell(text=about),
                *(
                    Cell(text=NAMES[suffix], href=links.to(table_file(track, name, suffix)))
                    for suffix in FORMATS
                ),
            ),
        )
        for name, about in TABLES.items()
    ]
    columns = [
        Column("Table", kind="text"),
        Column("Holds", kind="text"),
        *(Column(NAMES[suffix], kind="text") for suffix in FORMATS),
    ]
    return table(f"Tables of the {track_title(track)} track", columns, rows, f"tables-{track}")


def _views(site: Site, links: Links, track: str) -> Table:
    suffixes = (*FORMATS, "tex", "bib")
    rows = [
        Row(
            Cell(
                text=site.profile_title(view.profile) if view.profile else "nothing timed yet",
                href=links.track(track, view),
            ),
            (
                Cell(text=view.runtime or "best runtime"),
                *(
                    Cell(text=NAMES[suffix], href=links.to(view_file(track, view, suffix)))
                    for suffix in suffixes
                ),
            ),
        )
        for view in site.views(track) or (View(None),)
    ]
    columns = [
        Column("Measured on", kind="text"),
        Column("Runtime", kind="text"),
        *(Column(NAMES[suffix], kind="text") for suffix in suffixes),
    ]
    return table(
        f"Front pages of the {track_title(track)} track",
        columns,
        rows,
        f"views-{track}",
        notes=[
            "latency_ms: the reference’s median time over the row’s speed, as the pages print it; p50_ms, p90_ms: as "
            "measured, in sessions and on processors that differ from row to row."
        ],
    )


def _badge(site: Site) -> str | None:
    """The README line for a badge of the first ranked entry."""
    for entry in site.entries:
        if entry.ranks:
            return f"[![score](URL/{badge_file(entry, 'score')})](URL/tracks/{entry.track}/index.html)"
    return None


def _example(site: Site) -> str:
    """The first few lines of what the index says."""
    tracks = site.tracks()
    shown = {"tracks": [{"name": t, "track": f"{API}/tracks/{t}.json"} for t in tracks[:1]]}
    return pretty_json(shown).rstrip()
