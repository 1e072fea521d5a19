"""Documents of older versions in today's form: one explicit function from each version to the next.

A schema's version changes when a field's meaning changes or a document that was right no longer is. Then a function
is added to :data:`MIGRATIONS`, a document of the old version stays in ``tests/fixtures`` for good, and its schema
stays in ``docs/schemas``. A new field that may be absent needs no new version.

No document has a second version yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from suite import folder as folders
from suite import schemas
from suite.canonical import digest, pretty_json
from suite.errors import UserError

Document = dict[str, Any]
Migration = Callable[[Document], Document]

MIGRATIONS: dict[str, Migration] = {}
"""``lightboard/<document>/<version>`` -> what makes the next version of it; the function sets ``schema`` itself."""

_SCHEMA = re.compile(r"lightboard/([a-z]+)/(\d{1,4})")


@dataclass(frozen=True)
class Migrated:
    """A file and the versions that it went from and to."""

    file: str
    before: str
    after: str
    subject: str | None = None  # the document's new name, where it has one

    def __str__(self) -> str:
        named = f", now {self.subject[:23]}…" if self.subject else ""
        return f"{self.file}: {self.before} -> {self.after}{named}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def version(identifier: object) -> tuple[str, int] | None:
    """Document and version of ``lightboard/run/1``; None where that is no document of ours."""
    match = _SCHEMA.fullmatch(identifier) if isinstance(identifier, str) else None
    return (match[1], int(match[2])) if match and match[1] in schemas.DOCUMENTS else None


def current(document: str) -> int:
    """Today's version of a document."""
    found = version(schemas.identifier(schemas.DOCUMENTS[document]))
    assert found is not None
    return found[1]


def migrate(value: Document) -> Document:
    """The document in today's form; itself where it already is. UserError where there is no way there."""
    steps = 0
    while True:
        given = value.get("schema")
        found = version(given)
        if found is None:
            raise UserError(f"schema: {folders.show(repr(given))} is no document of ours")
        name, number = found
        if number == current(name):
            return value
        if number > current(name):
            raise UserError(
                f"schema: {given} is newer than this lightboard, which knows {current(name)}: update it"
            )
        step = MIGRATIONS.get(str(given))
        if step is None:
            raise UserError(
                f"schema: there is no way from {given} to version {current(name)}; write it again"
            )
        value = step(dict(value))
        steps += 1
        after = version(value.get("schema"))
        if after is None or after[0] != name or after[1] <= number or steps > 100:
            raise UserError(f"schema: the migration from {given} does not lead on; report this", code=1)


def advice(identifier: object) -> str:
    """What to do about a document whose schema is not today's."""
    found = version(identifier)
    if found is None:
        return "write the document with lightboard"
    name, number = found
    if number > current(name):
        return f"update lightboard, which knows version {current(name)}"
    if f"lightboard/{name}/{number}" in MIGRATIONS:
        return "run lightboard migrate"
    return f"no way leads from version {number} to today's: write the document with lightboard"


# --- files --------------------------------------------------------------------------------------------------


def migrate_paths(paths: Iterable[Path], *, write: bool = True) -> list[Migrated]:
    """Migrate every document of results trees, tracks and folders; gives those that changed.

    A run or measurement keeps its place and gets a new manifest, and with it a new subject.
    """
    found: list[Migrated] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        for file in sorted(_files(path)):
            if one := _migrate_file(file, write):
                found.append(one)
    return found


def _files(path: Path) -> Iterator[Path]:
    if path.is_symlink():
        return
    if path.is_file():
        yield path
        return
    for file in path.rglob("*.json"):
        if not any(part.is_symlink() for part in (file, *file.parents) if part.is_relative_to(path)):
            yield file


def _migrate_file(file: Path, write: bool) -> Migrated | None:
    if file.name == folders.MANIFEST:
        return None  # written with its document
    value = folders.read_json(file)
    if not isinstance(value, dict):
        raise UserError(f"{file}: not a document")
    try:
        made = migrate(value)
    except UserError as error:
        raise UserError(f"{file}: {error}", code=error.code) from None
    if made is value:
        return None
    content = pretty_json(made).encode("utf-8")
    before, after = str(value["schema"]), str(made["schema"])
    if file.name not in folders.DOCUMENTS.values():
        if write:
            folders.write_file(file, content)
        return Migrated(str(file), before, after)
    files: Mapping[str, bytes] = {
        path.name: content if path == file else folders.read_bytes(path)
        for path in sorted(file.parent.iterdir())
        if path.name != folders.MANIFEST
    }
    if write:
        if wrong := folders.check(file.parent):
            raise UserError(f"{wrong[0]}", code=1)
        folders.write(file.parent, files, replace=True)
    return Migrated(str(file), before, after, digest(folders.manifest_of(files)))
