"""Why published rows changed: the track's log as a page of its own, and on each entry's page."""

from __future__ import annotations

from collections.abc import Sequence

from suite import log as logs
from suite.board.site import Links, Site, track_title
from suite.board.tables import Cell, Column, Row, Table, table
from suite.board.text import counted, listed, shorten
from suite.documents import Entry, LogEntry

SHOWN = 3  # documents named in a cell


def log_file(track: str, entry: LogEntry) -> str:
    """Where the site keeps a log entry, below its root."""
    return f"tracks/{track}/log/{logs.file_name(entry.number)}"


def of_entry(site: Site, entry: Entry, links: Links) -> Table | None:
    """The changes of one entry, newest first; None where there were none."""
    about = [
        one
        for one in site.evidence.log(entry.track)
        if (one.recipe, one.variant) == (entry.recipe, entry.variant)
    ]
    return _table(site, links, entry.track, about, "Changes", "changes", named=False) if about else None


def of_tracks(site: Site, links: Links) -> list[Table]:
    """One table per track that has a log, newest first."""
    return [
        _table(
            site,
            links,
            track,
            site.evidence.log(track),
            f"Changes, {track_title(track)} track",
            f"changes-{track}",
        )
        for track in site.evidence.logged_tracks()
    ]


def _table(
    site: Site,
    links: Links,
    track: str,
    entries: Sequence[LogEntry],
    caption: str,
    ident: str,
    *,
    named: bool = True,
) -> Table:
    shown = {(e.recipe, e.variant): e for e in site.entries if e.track == track}
    rows = []
    for one in sorted(entries, key=lambda entry: -entry.number):
        entry = shown.get((one.recipe, one.variant))
        name = f"{one.recipe}/{one.variant}"
        of = Cell(text=name, href=links.entry(entry) if entry else None)
        rows.append(
            Row(
                Cell(text=f"{one.date}, {one.action}", href=links.to(log_file(track, one)), declared=True),
                (
                    *((of,) if named else ()),
                    Cell(text=_documents(one)),
                    Cell(text=shorten(one.reason, 2000), declared=True),
                    Cell(text=shorten(one.by, 80) or "nobody named", declared=True),
                ),
            )
        )
    columns = [
        Column("When, what", kind="text"),
        *((Column("Entry", kind="text"),) if named else ()),
        Column("Documents", kind="text"),
        Column("Reason", kind="text"),
        Column("Said by", kind="text"),
    ]
    return table(caption, columns, rows, ident)


def _documents(entry: LogEntry) -> str:
    if not entry.documents:
        return "the entry as a whole"
    names = [named.place for named in entry.documents[:SHOWN]]
    more = len(entry.documents) - len(names)
    return listed([*names, counted(more, "other")] if more else names)
