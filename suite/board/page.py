"""What a page is made of: its place, its template, what stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from suite.board.site import (
    Links,
)


@dataclass(frozen=True)
class Page:
    """A file of the site: from a template, or (without one) as it stands in ``context["text"]``."""

    path: str
    template: str
    context: Mapping[str, Any]


def page(path: str, template: str, section: str, title: str, links: Links, **context: Any) -> Page:
    return Page(
        path, template, {"section": section, "title": title, "links": links, "root": links.to(""), **context}
    )
