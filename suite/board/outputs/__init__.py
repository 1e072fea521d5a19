"""What leaves the board besides pages: tables, citations, a JSON API, a feed, badges, a picture, a map of the site.

Everything is made of the same entries as the pages, reads no clock and asks no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from suite.board.outputs import api, badge, cite, data, feed, preview
from suite.board.outputs.page import data_page
from suite.board.outputs.web import Head, address, site_map
from suite.board.page import Page
from suite.board.site import Site, View
from suite.documents import Entry

__all__ = ["Head", "Parts", "address", "of_entry", "shares", "site_map"]

File = tuple[str, bytes]
Parts = tuple[str, bytes | Iterable[bytes]]  # a large content comes in parts


def shares(
    site: Site, url: str | None, print_page: Callable[[Page], File]
) -> list[Callable[[], Iterator[Parts]]]:
    """Everything but what there is of each entry, in parts that do not depend on each other."""
    views = [(track, view) for track in site.tracks() for view in site.views(track) or (View(None),)]
    return [
        *(partial(data.table_files, site, track, name) for track in site.tracks() for name in data.TABLES),
        *(partial(_view_files, site, track, view) for track, view in views),
        partial(api.files, site, url),
        partial(_single_files, site, url, print_page),
    ]


def _view_files(site: Site, track: str, view: View) -> Iterator[Parts]:
    yield from data.view_files(site, track, view)
    yield from cite.files(site, track, view)


def _single_files(site: Site, url: str | None, print_page: Callable[[Page], File]) -> Iterator[File]:
    yield print_page(data_page(site))
    yield from feed.files(site, url)
    yield from preview.files(site)


def of_entry(site: Site, entry: Entry) -> Iterator[File]:
    """The document of an entry as the API gives it, and its badges."""
    yield from api.of_entry(entry)
    yield from badge.files(site, entry)
