"""Two-column lists of facts, and fields of documents as such."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pydantic import BaseModel

from suite.board.text import (
    field_label,
    plain_value,
)


class Fact(NamedTuple):
    """A line of a two-column list."""

    label: str
    text: str
    declared: bool = False
    ident: str | None = None
    note: str = ""
    missing: bool = False


def facts_of(document: BaseModel, names: Iterable[str]) -> list[Fact]:
    """Fields of a document with their origin: the declared ones are someone's word, and set so."""
    fields = type(document).model_fields
    found = []
    for name in names:
        extra = fields[name].json_schema_extra
        declared = isinstance(extra, Mapping) and extra.get("origin") == "declared"
        given = getattr(document, name)
        found.append(Fact(field_label(name), plain_value(given, name), declared, missing=given is None))
    return found
