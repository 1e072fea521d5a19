"""The artifact store: folders named by what made them, complete or absent, never changed once written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from suite.canonical import pretty_json
from suite.errors import UserError
from suite.paths import store_root

RECORD = "artifact.json"  # written last: an artifact exists when this file does
LIMIT_BYTES = 20 * 2**30


@dataclass(frozen=True)
class Artifact:
    """A finished stage's folder and its record (name, key, seconds, bytes ...)."""

    folder: Path
    record: dict[str, Any]


class Busy(Exception):
    """Another process is making this artifact, and the caller has better things to do than wait."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{path}: the disk is full; free some space or run 'lightboard store gc', then run again",
                code=1,
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise UserError(
                f"{path}: not writable; set LIGHTBOARD_STORE to a folder that is", code=1
            ) from error
        raise


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
            size = sum(path.stat().st_size for path in filling.rglob("*") if path.is_file())
            content = {**record, "key": key, "seconds": round(time.monotonic() - started, 3), "bytes": size}
            for path in filling.rglob("*"):
                if path.is_file():
                    _sync(path)
            (filling / RECORD).write_text(pretty_json(content), encoding="utf-8")
            _sync(filling / RECORD)
            shutil.rmtree(final, ignore_errors=True)
            filling.replace(final)
            shutil.rmtree(scratch, ignore_errors=True)

    def artifacts(self) -> list[Artifact]:
        """All complete artifacts, the one longest unused first."""
        records = sorted((self.root / "artifacts").glob(f"*/*/{RECORD}"), key=lambda p: p.stat().st_mtime)
        return [Artifact(p.parent, json.loads(p.read_text(encoding="utf-8"))) for p in records]

    def gc(self, keep: Iterable[str] = (), limit_bytes: int | None = None) -> int:
        """Remove artifacts, least recently used first, until the store is within its limit; gives bytes freed."""
        limit = self.limit_bytes if limit_bytes is None else limit_bytes
        kept = {self.folder(key) for key in keep}
        artifacts = self.artifacts()
        total = sum(a.record["bytes"] for a in artifacts)
        freed = 0
        for artifact in artifacts:
            if total - freed <= limit:
                break
            if artifact.folder not in kept:
                # Without its record a half-removed artifact does not exist.
                (artifact.folder / RECORD).unlink(missing_ok=True)
                shutil.rmtree(artifact.folder, ignore_errors=True)
                freed += artifact.record["bytes"]
        return freed


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
