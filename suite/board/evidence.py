"""The documents behind the entries: read, checked for their place, and copied beside the pages.

What an entry names is submitted text until its shape is known: a path counts only where it is one of the
layout's own, and files are opened without following links.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from suite import folder as folders
from suite import log as logs
from suite import signing, tables
from suite.board.text import Missing
from suite.documents import Attestation, LogEntry, Measurement, Run, Signature
from suite.errors import UserError
from suite.tasks import Task

_PART = r"[a-z0-9][a-z0-9_.-]{0,199}"
_PLACE = re.compile(rf"(runs|measurements)/{_PART}/{_PART}/{_PART}")
_NOT_HERE = Missing("the document is not in this results tree")
_KEPT = 512  # documents of a kind in memory at a time: a page reads its own entry's, and those only

T = TypeVar("T", bound=BaseModel)
T2 = TypeVar("T2")


def is_place(path: str) -> bool:
    """Whether an entry's reference is a document's path below ``results/<track>``."""
    return _PLACE.fullmatch(path) is not None and ".." not in path


@dataclass
class Evidence:
    """Documents of one results tree. The latest read stay in memory."""

    results: Path
    _runs: dict[tuple[str, str], Run | Missing] = field(default_factory=dict)
    _measurements: dict[tuple[str, str], Measurement | Missing] = field(default_factory=dict)
    _names: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    _subjects: dict[tuple[str, str], str | None] = field(default_factory=dict)
    _logs: dict[str, list[LogEntry]] = field(default_factory=dict)
    _checks: dict[str, dict[str, list[Attestation]]] = field(default_factory=dict)
    _signatures: dict[str, dict[str, list[Signature]]] = field(default_factory=dict)

    def run(self, track: str, path: str) -> Run | Missing:
        return self._latest(self._runs, Run, track, path, "runs")

    def measurement(self, track: str, path: str) -> Measurement | Missing:
        return self._latest(self._measurements, Measurement, track, path, "measurements")

    def _latest(
        self, kept: dict[tuple[str, str], T | Missing], model: type[T], track: str, path: str, kind: str
    ) -> T | Missing:
        key = (track, path)
        found = kept.pop(key) if key in kept else self._read(model, track, path, kind)
        kept[key] = found  # the latest stands last
        if len(kept) > _KEPT:
            del kept[next(iter(kept))]
        return found

    def _read(self, model: type[T], track: str, path: str, kind: str) -> T | Missing:
        if not is_place(path) or not path.startswith(f"{kind}/"):
            return Missing("the entry names no document of the layout")
        folder = self._folder(track, path)
        if folder is None or not (folder / folders.DOCUMENTS[kind]).is_file():
            return _NOT_HERE
        file = folder / folders.DOCUMENTS[kind]
        try:
            content = folders.read_bytes(file, folders.MAX_JSON_BYTES)
            folders.parse_json(content, file)
            return model.model_validate_json(content, strict=True)
        except (UserError, ValidationError):
            return Missing("the document cannot be read: run lightboard verify")

    def log(self, track: str) -> list[LogEntry]:
        """The track's log, oldest first, as far as it can be read."""
        if track not in self._logs:
            found: list[LogEntry] = []
            for path in logs.files(self.results / track):
                try:
                    found.append(folders.parse(LogEntry, folders.read_bytes(path, logs.MAX_BYTES), path))
                except UserError:
                    continue  # verify names it
            self._logs[track] = found
        return self._logs[track]

    def logged_tracks(self) -> list[str]:
        """Tracks with a log, also where every entry was withdrawn."""
        return [folder.name for folder in folders.tracks(self.results) if self.log(folder.name)]

    def _folder(self, track: str, path: str) -> Path | None:
        """The document's folder; None where the path leads through a link, which could lead anywhere."""
        folder = self.results / track
        for part in path.split("/"):
            folder = folder / part
            if folder.is_symlink():
                return None
        return folder

    def checks(self, track: str, path: str) -> list[Attestation]:
        """Who checked a document, by level and date."""
        if track not in self._checks:
            self._checks[track] = self._attestations(track)
        key = (track, path)
        if key not in self._subjects:
            self._subjects[key] = self._subject(track, path)
        subject = self._subjects[key]
        return self._checks[track].get(subject, []) if subject else []

    def _subject(self, track: str, path: str) -> str | None:
        folder = self._folder(track, path) if is_place(path) else None
        if folder is None:
            return None
        try:
            return folders.subject(folder)
        except UserError:
            return None

    def _attestations(self, track: str) -> dict[str, list[Attestation]]:
        found: dict[str, list[Attestation]] = defaultdict(list)
        for file in folders.files(self.results / track / "attestations"):
            try:
                content = folders.read_bytes(file, folders.MAX_JSON_BYTES)
                folders.parse_json(content, file)
                one = Attestation.model_validate_json(content, strict=True)
            except (UserError, ValidationError):
                continue  # verify names it; it counts for nothing
            found[one.subject].append(one)
        return found

    def names(self, track: str, path: str) -> tuple[str, ...]:
        """The names of a document folder's files that the site holds, in order."""
        key = (track, path)
        if key not in self._names:
            self._names[key] = tuple(sorted(file.name for file in self._files(track, path)))
        return self._names[key]

    def files(self, track: str, path: str) -> dict[str, bytes]:
        """File name -> bytes of a document folder: the ones that the layout knows, and no others."""
        found: dict[str, bytes] = {}
        for file in self._files(track, path):
            try:
                found[file.name] = folders.read_bytes(file)
            except UserError:
                continue
        return found

    def _files(self, track: str, path: str) -> list[Path]:
        """Those of a document folder's files that can be read: no links, none too large."""
        folder = self._folder(track, path) if is_place(path) else None
        if folder is None:
            return []
        kind = path.partition("/")[0]
        wanted = (*folders.names(folder, kind), folders.MANIFEST)
        return [file for name in wanted if folders.may_be_read(file := folder / name)]

    # --- tables and signatures ---------------------------------------------------------------------------------

    def samples(self, track: str, path: str) -> dict[str, Any] | Missing:
        """The raw times of a measurement, by column."""
        return self._table(track, path, "measurements", tables.read_samples)

    def predictions(self, track: str, path: str, task: Task) -> dict[str, tables.Split] | Missing:
        """A run's predictions by dev set."""
        return self._table(
            track, path, "runs", lambda content, file: tables.read_predictions(content, file, task)
        )

    def _table(self, track: str, path: str, kind: str, read: Callable[[bytes, Path], T2]) -> T2 | Missing:
        folder = self._folder(track, path) if is_place(path) and path.startswith(f"{kind}/") else None
        if folder is None or not (folder / folders.TABLES[kind]).is_file():
            return _NOT_HERE
        file = folder / folders.TABLES[kind]
        try:
            return read(folders.read_bytes(file), file)
        except UserError:
            return Missing("the table cannot be read: run lightboard verify")

    def signed(self, track: str, path: str) -> list[Signature]:
        """The signatures over a document as it lies here."""
        if track not in self._signatures:
            self._signatures[track] = self._read_signatures(track)
        covering = self._signatures[track].get(path, [])
        folder = self._folder(track, path) if covering and is_place(path) else None
        if folder is None:
            return []
        try:
            subject = folders.subject(folder)
        except UserError:
            return []
        return [one for one in covering if one.subjects[path] == subject]

    def _read_signatures(self, track: str) -> dict[str, list[Signature]]:
        found: dict[str, list[Signature]] = defaultdict(list)
        for file in folders.files(self.results / track / signing.FOLDER):
            try:
                one = folders.parse(Signature, folders.read_bytes(file, folders.MAX_JSON_BYTES), file)
            except UserError:
                continue  # verify names it
            for place in one.subjects:
                found[place].append(one)
        return found
