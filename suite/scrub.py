"""Names of hosts, users and paths: found in what is about to be sent, taken out where that changes no evidence.

Documents hold none by design; this is for the ones that do all the same. A declared text can lose a name without
consequences. Anywhere else (a recipe's settings, a tensor's name) the figures hang on it, so it is refused.
"""

from __future__ import annotations

import getpass
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite import schemas
from suite.verify.valid import PRIVATE, texts

# Accounts and hosts that every second machine has: they name nobody, and stand in kernels' and packages' names.
COMMON = frozenset(
    [
        "root",
        "user",
        "users",
        "admin",
        "ubuntu",
        "debian",
        "runner",
        "docker",
        "jenkins",
        "test",
        "tester",
        "build",
        "builder",
        "guest",
        "localhost",
        "home",
        "work",
        "linux",
        "host",
        "node",
        "server",
        "worker",
        "cloud",
        "data",
        "model",
        "python",
    ]
)
# Where people and machines write freely; elsewhere a user called "bert" would be found in every tensor's name.
FREE = ("environment", "machine", "versions", "departures", "by", "reason")
_PATH = re.compile(PRIVATE.pattern + r"[^\s\"',;:)\]]*")


@dataclass(frozen=True)
class Found:
    """A private text: in which field, what it is, and whether it can be taken out."""

    file: str
    field: str
    what: str  # path, host, user
    declared: bool


class Private:
    """What names this machine or its user."""

    def __init__(self, *, host: str | None = None, user: str | None = None, home: str | None = None) -> None:
        given = {
            "path": home if home is not None else str(Path.home()),
            "host": host if host is not None else platform.node(),
            "user": user if user is not None else _user(),
        }
        self.words: dict[str, re.Pattern[str]] = {}
        for what, word in given.items():
            if len(word) >= 4 and word.lower().split(".")[0] not in COMMON and word not in ("/root", "/home"):
                self.words[what] = re.compile(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", re.I)

    def kinds(self, text: str) -> list[str]:
        """Of which kinds a text has something."""
        found = ["path"] if PRIVATE.search(text) else []
        return found + [what for what, word in self.words.items() if what not in found and word.search(text)]

    def without(self, text: str) -> str:
        """The text with what is private replaced by what kind of thing it was."""
        text = _PATH.sub("(path)", text)
        for what, word in self.words.items():
            text = word.sub(f"({what})", text)
        return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def search(file: str, kind: str, document: Mapping[str, Any], private: Private) -> Iterator[Found]:
    """Every private text of a document. ``kind``: the document's, as in :data:`suite.schemas.DOCUMENTS`."""
    origins = schemas.origins(kind)
    for field, text in texts(document, ""):
        for what in private.kinds(text) if _free(field) else ["path"] if PRIVATE.search(text) else []:
            yield Found(file, field, what, _free(field) and _origin(field, origins) == "declared")


def clean(kind: str, document: Mapping[str, Any], private: Private) -> dict[str, Any]:
    """The document without private texts in its declared fields; the rest as it is."""
    origins = schemas.origins(kind)

    def walk(value: Any, field: str) -> Any:
        if isinstance(value, dict):
            return {key: walk(item, f"{field}.{key}".strip(".")) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, f"{field}.{place}") for place, item in enumerate(value)]
        if isinstance(value, str) and _free(field) and _origin(field, origins) == "declared":
            return private.without(value)
        return value

    cleaned: dict[str, Any] = walk(dict(document), "")
    return cleaned


def declared(kind: str, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Field (places of lists left out) and text of everything in a document that is only its author's word."""
    origins = schemas.origins(kind)

    def walk(value: Any, field: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from walk(item, f"{field}.{key}".strip("."))
        elif isinstance(value, list):
            for item in value:
                yield from walk(item, f"{field}.0")
        elif _origin(field, origins) == "declared":
            yield field.replace(".0", ""), str(value)

    yield from walk(dict(document), "")


def _free(field: str) -> bool:
    return field.partition(".")[0] in FREE


def _origin(field: str, origins: Mapping[str, str | None]) -> str | None:
    """The origin of a field of a document, by the schema's names: ``*`` for keys, ``[]`` for items of lists.

    A schema's leaf may hold a whole list or mapping, so the longest leading part that is a leaf counts.
    """
    candidates = [""]
    for part in field.split("."):
        candidates = [
            longer
            for before in candidates
            for longer in (
                f"{before}.{part}" if before else part,
                f"{before}[]" if part.isdigit() else f"{before}.*",
            )
        ]
        candidates = [one for one in candidates if any(_begins(name, one) for name in origins)] or candidates
        for one in candidates:
            if one in origins:
                return origins[one]
    return None


def _begins(name: str, part: str) -> bool:
    return name == part or name.startswith((part + ".", part + "["))
