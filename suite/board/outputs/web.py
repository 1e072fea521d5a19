"""What search engines, feed readers and link previews ask of a page's head, and the map of the whole site."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from suite.board.outputs import preview
from suite.board.outputs.places import (
    BADGES,
    DATA_PAGE,
    FEED,
    FORMATS,
    api_entry,
    badge_file,
    view_file,
)
from suite.board.page import Page
from suite.board.site import Links, Site, View, track_page
from suite.board.text import shorten
from suite.documents import Entry
from suite.errors import UserError

TYPES = {
    "csv": "text/csv",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "tex": "application/x-tex",
    "bib": "application/x-bibtex",
}
NAMES = {"csv": "CSV", "json": "JSON", "parquet": "Parquet", "tex": "LaTeX", "bib": "BibTeX"}
_ABOUT = (
    "Which compressed BERT to ship: scores, sizes and measured speeds with their uncertainty and evidence."
)
_SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"
MOST = 50_000  # addresses in one map (sitemaps.org)


def address(url: str | None) -> str | None:
    """``https://host/folder/``; UserError for what is no such address."""
    if url is None:
        return None
    parts = urlsplit(url)
    plain = parts.scheme in ("http", "https") and parts.netloc and not (parts.query or parts.fragment)
    if not plain or not url.isascii() or any(c in url for c in " \"'<>\\"):
        raise UserError(f"--url {url!r}: not an address; give one like https://example.org/board/")
    return url.rstrip("/") + "/"


def at(url: str, path: str) -> str:
    """The address of a page or file; a folder's first page is the folder."""
    if path == "index.html" or path.endswith("/index.html"):
        path = path.removesuffix("index.html")
    return url + quote(path)


@dataclass(frozen=True)
class Link:
    """A ``<link>`` in a page's head."""

    rel: str
    href: str
    type: str | None = None
    title: str | None = None


class Head:
    """What stands in the head of each page, and the outputs that belong to it."""

    def __init__(self, site: Site, url: str | None) -> None:
        self.site, self.url = site, url
        tracks = site.tracks()
        self.same = same_pages(site)
        self.views = {
            track_page(track, view): (track, view) for track in tracks for view in site.views(track)
        }
        self.views |= {track_page(track): (track, site.default_view(track)) for track in tracks}
        if tracks:
            self.views["index.html"] = (tracks[0], site.default_view(tracks[0]))

    def of(self, page: Page) -> dict[str, Any]:
        """Variables of ``base.html``: links, properties, a description; and files beside the page."""
        links = Links(page.path)
        entry = page.context.get("entry")
        files = self._files(page.path, links, entry if isinstance(entry, Entry) else None)
        feed = Link("alternate", links.to(FEED), "application/atom+xml", "Changes of published rows")
        said = page.context.get("summary") or " ".join(page.context.get("answer") or ()) or _ABOUT
        return {
            "head": [*self._canonical(page.path), feed, *files],
            "social": list(self._social(page, str(said))),
            "description": shorten(str(said), 300),
            "beside": [(link.title, link.href) for link in files],
            "data_href": links.to(DATA_PAGE),
            "badges": [(figure, links.to(badge_file(entry, figure))) for figure in BADGES]
            if isinstance(entry, Entry)
            else [],
        }

    def _files(self, path: str, links: Links, entry: Entry | None) -> list[Link]:
        if entry is not None:
            return [Link("alternate", links.to(api_entry(entry)), TYPES["json"], "JSON")]
        if path not in self.views:
            return []
        return view_links(links, *self.views[path])

    def _canonical(self, path: str) -> Iterator[Link]:
        if self.url is not None:
            yield Link("canonical", at(self.url, self.same.get(path, path)))

    def _social(self, page: Page, said: str) -> Iterator[tuple[str, str]]:
        """Open Graph properties; they need whole addresses, so a site without one has none."""
        if self.url is None:
            return
        track = self._track(page)
        yield "og:type", "website"
        yield "og:site_name", "Lightboard"
        yield "og:title", shorten(str(page.context["title"]), 120)
        yield "og:description", shorten(said, 300)
        yield "og:url", at(self.url, self.same.get(page.path, page.path))
        if track is not None:
            yield "og:image", at(self.url, preview.path(track))
            yield "og:image:width", str(preview.SIZE[0])
            yield "og:image:height", str(preview.SIZE[1])
            yield "og:image:alt", "The best rows of the board with their 95% intervals"

    def _track(self, page: Page) -> str | None:
        entry = page.context.get("entry")
        if isinstance(entry, Entry):
            return entry.track
        if page.path in self.views:
            return self.views[page.path][0]
        return next(iter(self.site.tracks()), None)


def view_links(links: Links, track: str, view: View) -> list[Link]:
    """A front page's table as files."""
    return [
        Link("alternate", links.to(view_file(track, view, suffix)), TYPES[suffix], NAMES[suffix])
        for suffix in (*FORMATS, "tex", "bib")
    ]


def same_pages(site: Site) -> dict[str, str]:
    """Page -> the one with the same content that is its address: the first track's is the site's own."""
    found = {}
    for number, track in enumerate(site.tracks()):
        first = "index.html" if number == 0 else track_page(track)
        view = site.default_view(track)
        for path in (track_page(track), track_page(track, view)):
            if path != first:
                found[path] = first
    return found


# --- the map ------------------------------------------------------------------------------------------------


def site_map(site: Site, url: str, pages: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """``robots.txt`` and a map of these pages; in parts where there are more than one map may hold."""
    same = same_pages(site)
    paths = sorted(path for path in pages if path not in same)
    parts = [paths[i : i + MOST] for i in range(0, len(paths), MOST)]
    if len(parts) == 1:
        yield "sitemap.xml", _map("urlset", "url", [at(url, path) for path in parts[0]])
    else:
        for number, part in enumerate(parts, 1):
            yield f"sitemap-{number}.xml", _map("urlset", "url", [at(url, path) for path in part])
        names = [at(url, f"sitemap-{number}.xml") for number in range(1, len(parts) + 1)]
        yield "sitemap.xml", _map("sitemapindex", "sitemap", names)
    yield "robots.txt", f"User-agent: *\nAllow: /\nSitemap: {at(url, 'sitemap.xml')}\n".encode()


def _map(root_name: str, item: str, addresses: list[str]) -> bytes:
    root = ET.Element(root_name, xmlns=_SITEMAP)
    for one in addresses:
        ET.SubElement(ET.SubElement(root, item), "loc").text = one
    ET.indent(root, " ")
    found: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return found + b"\n"
