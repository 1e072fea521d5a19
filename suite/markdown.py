"""Text that came from elsewhere, as Markdown that says just that: no markup, no mention, no link."""

from __future__ import annotations

import re

from suite.folder import show

_SPECIAL = re.compile(r"([\\`*_{}\[\]#+!|~$])")
_BLOCK = re.compile(r"^()([-=:])|^(\d+)([.)])(?=\s|$)")  # what begins a list, a rule or a heading


def plain(text: str, limit: int = 2000) -> str:
    """One line in which every character stands for itself, in any flavour of Markdown."""
    line = " ".join(show(" ".join(text.split()), limit).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(r"\\\1", line)
    # A zero-width joiner would be invisible; an entity breaks a mention or a bare link just as well.
    line = line.replace("@", "&#64;").replace("://", "&#58;//").replace("www.", "www&#46;")
    return _BLOCK.sub(lambda m: f"{m[1] or m[3] or ''}\\{m[2] or m[4]}", line)


def cell(text: str, limit: int = 400) -> str:
    """The same for a cell of a table, which must not be empty."""
    return plain(text, limit) or "none"
