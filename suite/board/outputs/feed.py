"""An Atom feed (RFC 4287) of why published rows changed: the tracks' logs, newest first."""

from __future__ import annotations

import datetime
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from suite.board.changes import log_file
from suite.board.outputs.places import FEED
from suite.board.site import Site, entry_page
from suite.board.text import clean, counted, shorten
from suite.canonical import canonical_json
from suite.documents import LogEntry

_ATOM = "http://www.w3.org/2005/Atom"
_SPACE = uuid.uuid5(uuid.NAMESPACE_OID, "lightboard")
_NEVER = "1970-01-01"  # an empty feed was never changed
LATEST = 200


def files(site: Site, url: str | None) -> Iterator[tuple[str, bytes]]:
    yield FEED, feed(site, url)


def feed(site: Site, url: str | None) -> bytes:
    """Without ``url`` links are relative to the feed, which is at the site's root."""
    steps = [(track, one) for track in site.evidence.logged_tracks() for one in site.evidence.log(track)]
    steps.sort(key=lambda step: (step[1].date, step[0], step[1].number), reverse=True)
    pages = {(e.track, e.recipe, e.variant): entry_page(e) for e in site.entries}
    root = ET.Element("feed", xmlns=_ATOM)
    _add(root, "id", f"urn:uuid:{uuid.uuid5(_SPACE, url or 'changes')}")
    _add(root, "title", "Lightboard: changes of published rows")
    _add(root, "updated", _moment(steps[0][1].date if steps else _NEVER))
    author = ET.SubElement(root, "author")
    _add(author, "name", "Lightboard")
    ET.SubElement(root, "link", rel="self", type="application/atom+xml", href=f"{url or ''}{FEED}")
    ET.SubElement(root, "link", rel="alternate", type="text/html", href=f"{url or ''}changes.html")
    for track, one in steps[:LATEST]:
        root.append(_entry(track, one, pages.get((track, one.recipe, one.variant)), url or ""))
    ET.indent(root, " ")
    found: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return found + b"\n"


def _entry(track: str, one: LogEntry, page: str | None, url: str) -> ET.Element:
    entry = ET.Element("entry")
    # The document's own bytes name it: the same wherever the site stands, and however often it is built.
    name = canonical_json([track, one.model_dump(mode="json", by_alias=True)]).decode("utf-8")
    _add(entry, "id", f"urn:uuid:{uuid.uuid5(_SPACE, name)}")
    _add(entry, "title", f"{track}: {one.recipe}/{one.variant} {one.action}")
    _add(entry, "updated", _moment(one.date))
    author = ET.SubElement(entry, "author")
    _add(author, "name", shorten(one.by, 80) or "nobody named")
    ET.SubElement(entry, "link", rel="alternate", href=f"{url}{page or 'changes.html'}")
    ET.SubElement(entry, "link", rel="related", type="application/json", href=f"{url}{log_file(track, one)}")
    named = counted(len(one.documents), "document") if one.documents else "the entry as a whole"
    _add(entry, "summary", f"{shorten(one.reason, 2000)} ({named})")
    return entry


def _add(to: ET.Element, name: str, text: str) -> None:
    ET.SubElement(to, name).text = str(clean(text))


def _moment(date: str) -> str:
    """A log's date is somebody's word: one that is no day counts as never."""
    try:
        day = datetime.date.fromisoformat(date)
    except ValueError:
        return _moment(_NEVER)
    return f"{day.isoformat()}T00:00:00Z"
