"""The artifact store: folders named by what made them, complete or absent, never changed once written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from suite.canonical import pretty_json
from suite.errors import UserError
from suite.paths import store_root

RECORD = "artifact.json"  # written last: an artifact exists when this file does
LIMIT_BYTES = 20 * 2**30
IN_USE_SECONDS = (
    3600.0  # another process may be reading what was used since; a running stage marks its inputs
)
LEFT_SECONDS = 7 * 86400.0  # after which nobody goes on with what a killed stage left


@dataclass(frozen=True)
class Artifact:
    """A finished stage's folder and its record (name, key, seconds, bytes ...)."""

    folder: Path
    record: dict[str, Any]


class Busy(Exception):
    """Another process is making this artifact, and the caller has better things to do than wait."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, and a store at ``path`` that cannot be written, into a sentence.

    A stage reads and writes elsewhere too: what is refused there is told as it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{path}: the disk is full; free some space or run 'lightboard store gc', then run again",
                code=1,
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM) and _on_the_way(error.filename, path):
            raise UserError(
                f"{path}: not writable; set LIGHTBOARD_STORE to a folder that is", code=1
            ) from error
        raise


def _on_the_way(file: object, root: Path) -> bool:
    """Whether a file is below a folder, or is a folder above it that had to be made first."""
    if not isinstance(file, str):
        return False
    found, root = Path(file).absolute(), root.absolute()
    return found.is_relative_to(root) or root.is_relative_to(found)


class Store:
    """Artifacts under ``root`` (LIGHTBOARD_STORE, or the user's cache folder)."""

    def __init__(self, root: Path | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        self.root = root or store_root()
        self.limit_bytes = limit_bytes

    def folder(self, key: str) -> Path:
        name = key.removeprefix("sha256:")
        return self.root / "artifacts" / name[:2] / name

    def scratch(self, key: str) -> Path:
        return self.root / "partial" / key.removeprefix("sha256:")

    def get(self, key: str) -> Artifact | None:
        """The artifact of ``key`` if complete; marks it as used now."""
        record = self.folder(key) / RECORD
        try:
            content = json.loads(record.read_text(encoding="utf-8"))
            os.utime(record)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            content = json.loads(record.read_text(encoding="utf-8"))
        return Artifact(record.parent, content)

    @contextmanager
    def lock(self, key: str, *, wait: bool = True) -> Iterator[None]:
        """Only one process makes an artifact; others wait here and find it done, or get :class:`Busy`."""
        locks = self.root / "locks"
        with disk_errors(self.root):
            locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / (key.removeprefix("sha256:") + ".lock"))
        try:
            lock.acquire(timeout=24 * 3600 if wait else 0)
        except Timeout as error:
            if not wait:
                raise Busy(key) from error
            raise UserError(
                f"{locks}: another process has held this stage for a day; is it alive?", code=1
            ) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def make(self, key: str, record: dict[str, Any]) -> Iterator[tuple[Path, Path]]:
        """Yields (folder to fill, scratch that survives a kill). On success the folder becomes the artifact."""
        final, scratch = self.folder(key), self.scratch(key)
        filling = final.with_name(final.name + ".part")
        with disk_errors(self.root):
            shutil.rmtree(filling, ignore_errors=True)
            filling.mkdir(parents=True)
            scratch.mkdir(parents=True, exist_ok=True)
            started = time.monotonic()
            yield filling, scratch
            seconds = round(time.monotonic() - started, 3)
            content = {**record, "key": key, "seconds": seconds, "bytes": size(filling)}
            for path in _files(filling):
                _sync(path)
            (filling / RECORD).write_text(pretty_json(content), encoding="utf-8")
            _sync(filling / RECORD)
            shutil.rmtree(final, ignore_errors=True)
            filling.replace(final)
            shutil.rmtree(scratch, ignore_errors=True)

    def artifacts(self) -> list[Artifact]:
        """All complete artifacts, the one longest unused first."""
        found: list[tuple[float, Artifact]] = []
        for path in (self.root / "artifacts").glob(f"*/*/{RECORD}"):
            try:
                used, record = path.stat().st_mtime, json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError:  # another process has just collected it
                continue
            found.append((used, Artifact(path.parent, record)))
        return [artifact for _, artifact in sorted(found, key=lambda one: one[0])]

    def leftovers(self) -> list[Path]:
        """What stages have begun and not finished: folders half filled, and checkpoints."""
        return [*sorted(self.root.glob("artifacts/*/*.part")), *sorted(self.root.glob("partial/*"))]

    def gc(
        self, keep: Iterable[str] = (), limit_bytes: int | None = None, in_use_seconds: float = IN_USE_SECONDS
    ) -> int:
        """Remove artifacts, least recently used first, until the store is within its limit; gives bytes freed.

        What was used in the last ``in_use_seconds`` is spared. What a killed stage left goes after a week.
        """
        limit = self.limit_bytes if limit_bytes is None else limit_bytes
        freed = self._clear_leftovers()
        if sum(a.record["bytes"] for a in self.artifacts()) <= limit:
            return freed
        with self.lock("gc"):  # two that collect would each free as much as is too much
            kept, now = {self.folder(key) for key in keep}, time.time()
            artifacts = self.artifacts()
            over = sum(a.record["bytes"] for a in artifacts) - limit
            for artifact in artifacts:
                if over <= 0:
                    break
                if artifact.folder in kept or now - _changed(artifact.folder / RECORD) < in_use_seconds:
                    continue
                # Without its record a half-removed artifact does not exist.
                (artifact.folder / RECORD).unlink(missing_ok=True)
                shutil.rmtree(artifact.folder, ignore_errors=True)
                over -= artifact.record["bytes"]
                freed += artifact.record["bytes"]
        return freed

    def _clear_leftovers(self) -> int:
        """Remove what was left more than a week ago and nobody is at; gives bytes freed."""
        freed = 0
        for folder in self.leftovers():
            if time.time() - max(map(_changed, (folder, *_files(folder)))) < LEFT_SECONDS:
                continue
            # Somebody may be at it yet, or the store be somebody else's.
            with (
                suppress(Busy, OSError, UserError),
                self.lock(folder.name.removesuffix(".part"), wait=False),
            ):
                freed += size(folder)
                shutil.rmtree(folder, ignore_errors=True)
        return freed


def size(folder: Path) -> int:
    """Bytes of all files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for path in _files(folder):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):  # unlike rglob it may lose a folder on its way
        yield from (Path(place) / name for name in names)


def _changed(path: Path) -> float:
    """When a file or folder last changed; now, where it has vanished."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
