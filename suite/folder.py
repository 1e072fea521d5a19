"""Immutable document folders: written whole or not at all, and read as if a stranger had written them.

A folder holds a few flat files and ``manifest.json``, the SHA-256 of every other file's bytes. The folder's
*subject*, by which an attestation names it, is the digest of the manifest's canonical JSON.

Everything here treats what it reads as hostile: sizes are bounded before reading, symbolic links, devices and
sub-folders are refused, JSON is strict (no duplicate keys, no NaN or infinity, bounded depth).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from suite.canonical import digest, pretty_json
from suite.documents import Manifest
from suite.errors import UserError

MANIFEST = "manifest.json"
MAX_JSON_BYTES = 2 * 2**20
MAX_FILE_BYTES = 16 * 2**20
MAX_FILES = 16
MAX_DEPTH = 24
MAX_NODES = 400_000  # values in one JSON file
MAX_MISTAKES = 50  # of shape, listed per document

T = TypeVar("T", bound=BaseModel)

FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")

# Formats that run code when they are loaded, or that are code: named in the message, never opened.
EXECUTABLE_SUFFIXES = frozenset(
    (
        ".pkl",
        ".pickle",
        ".pt",
        ".pth",
        ".bin",
        ".joblib",
        ".npy",
        ".npz",
        ".py",
        ".pyc",
        ".so",
        ".sh",
        ".ckpt",
    )
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, what was found, what was expected, and what mends it."""

    file: str
    field: str
    found: str
    expected: str
    fix: str

    def __str__(self) -> str:
        where = f"{self.file}: {self.field}" if self.field else self.file
        return f"{where}: found {self.found}, expected {self.expected}; {self.fix}"


class Refused(UserError):
    """A file that cannot be read safely; ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem), code=1)
        self.problem = problem


def show(value: object, limit: int = 120) -> str:
    """``value`` as one printable line of at most ``limit`` characters (submitted text reaches terminals)."""
    if isinstance(value, str | bytes) and len(value) > 4 * limit:
        value = value[: 4 * limit]
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: 4 * limit])
    return text if len(text) <= limit else text[: limit - 1] + "…"


# --- reading ------------------------------------------------------------------------------------------------


def _refuse(path: Path, field: str, found: str, expected: str, fix: str) -> Refused:
    return Refused(Problem(show(str(path), 300), show(field), found, expected, fix))


def read_bytes(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a regular file of at most ``max_bytes``; raises :class:`Refused` on anything else.

    Opened without following a link and without blocking (a named pipe would hang), then checked on the open
    descriptor, so that nothing can be exchanged between the check and the reading.
    """
    try:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        if path.is_symlink():
            raise _refuse(
                path, "", "a symbolic link", "a regular file", "put the file itself there"
            ) from None
        reason = "nothing" if isinstance(error, FileNotFoundError) else show(error.strerror or "an error")
        raise _refuse(path, "", reason, "a readable file", "add the file") from None
    except ValueError:  # a NUL in the name
        raise _refuse(path, "", "an impossible name", "a readable file", "rename the file") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _refuse(path, "", "a folder or device", "a regular file", "put the file itself there")
        if status.st_size > max_bytes:
            raise _too_big(path, status.st_size, max_bytes)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(max_bytes + 1)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise _too_big(path, len(content), max_bytes)
    if len(content) != status.st_size or after.st_mtime_ns != status.st_mtime_ns:
        raise _refuse(path, "", "a file that changes while it is read", "a file at rest", "try again")
    return content


def may_be_read(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bool:
    """Whether :func:`read_bytes` would take the file, as far as can be said without opening it."""
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= max_bytes


def _too_big(path: Path, size: int, limit: int) -> Refused:
    return _refuse(path, "size", f"{size} bytes", f"at most {limit} bytes", "shorten the evidence")


class _Strict(ValueError):
    pass


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Strict(f"the key {show(repr(twice), 80)} twice")
    return result


def _constant(text: str) -> float:
    raise _Strict(f"{text}")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Strict(f"{show(text, 40)}, which is infinite")
    return value


def _integer(text: str) -> int:
    if len(text) > 20:
        raise _Strict("a whole number of more than 20 digits")
    return int(text)


def parse_json(content: bytes, path: Path) -> Any:
    """Strict JSON of ``content``; ``path`` is only named in the :class:`Refused` it may raise."""
    try:
        plain = _is_plain(content)
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_pairs,
            parse_constant=_constant,
            parse_float=None if plain else _number,
            parse_int=None if plain else _integer,
        )
        if not plain:
            _bounded(value)
    except _Strict as error:
        found = show(str(error), 160)
        raise _refuse(path, "", found, "strict JSON: unique keys, finite numbers, no deep nesting",
                      "write the file with lightboard") from None  # fmt: skip
    except RecursionError:
        raise _refuse(path, "", "very deep nesting", f"at most {MAX_DEPTH} levels", "flatten it") from None
    except json.JSONDecodeError as error:
        found = f"broken JSON at line {error.lineno}, column {error.colno}"
        raise _refuse(path, "", found, "JSON", "write the file with lightboard") from None
    except UnicodeDecodeError:
        raise _refuse(path, "", "bytes that are not UTF-8", "JSON in UTF-8", "save it as UTF-8") from None
    return value


_SHAPE = bytes.maketrans(b"123456789E{}", b"000000000e[]")
_NO_BRACKET = bytes(set(range(256)) - set(b"[]"))


def _is_plain(content: bytes) -> bool:
    """Whether the text alone shows that a check of every value would find nothing: nearly always, and much quicker.

    Without escapes every second piece between quotes lies outside of strings, and half of a surrogate pair cannot be
    written; a number is too large only with three digits in its exponent or twenty in a row; every key and every
    value but the first follows a comma, a colon or a bracket; brackets side by side can be taken away as many times
    as they are deep.
    """
    if b"\\" in content:
        return False
    shape = b"".join(content.split(b'"')[::2]).translate(_SHAPE, b"+")
    if b"e000" in shape or 20 * b"0" in shape or sum(map(shape.count, (b",", b":", b"["))) >= MAX_NODES:
        return False
    brackets = shape.translate(None, _NO_BRACKET)
    for _ in range(MAX_DEPTH - 1):
        brackets = brackets.replace(b"[]", b"")
    return not brackets


def _bounded(value: Any) -> None:
    """Depth, number of values, and text that UTF-8 can hold (no lone surrogates)."""
    level: list[Any] = [value]
    nodes = 0
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, str) and not item.isascii():
                try:
                    item.encode("utf-8")
                except UnicodeEncodeError:
                    raise _Strict("text with half of a surrogate pair") from None
        nodes += len(level)
        if nodes > MAX_NODES:
            raise _Strict(f"more than {MAX_NODES} values")
        if not below:
            return
        level = below
    raise _Strict(f"more than {MAX_DEPTH} levels of nesting")


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Strict JSON of a file: bounded, UTF-8, no duplicate keys, no NaN or infinity; else :class:`Refused`."""
    return parse_json(read_bytes(path, max_bytes), path)


def parse(model: type[T], content: bytes, path: Path) -> T:
    """A document of strict JSON with strict types; :class:`Refused` for the first thing that is wrong."""
    parse_json(content, path)
    try:
        return model.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise Refused(mistakes(path, error)[0]) from None


_PYDANTIC = re.compile(r"^(?:Value error, |Assertion failed, |\w+ should (?:be |have |match )?)")


def mistakes(path: Path, error: ValidationError) -> list[Problem]:
    """What a document's schema refuses, by field, without the words of the library that found it."""
    from suite import migrations

    where, count = show(str(path), 300), error.error_count()
    if count > 20 * MAX_MISTAKES:  # listing them would take more memory than the file
        what = f"{count} fields that are wrong"
        return [Problem(where, "", what, "a valid document", "write it with lightboard")]
    found: list[Problem] = []
    for one in error.errors(include_url=False)[:MAX_MISTAKES]:
        place = show(".".join(str(part) for part in one["loc"]))
        if one["type"] == "missing":
            found.append(Problem(where, place, "nothing", "a value", "add the field"))
            continue
        given = show(repr(one["input"]), 60)
        if one["type"] == "extra_forbidden":
            found.append(Problem(where, place, f"an unknown field ({given})", "no such field", "remove it"))
        else:
            expected = show(_PYDANTIC.sub("", one["msg"]))
            fix = (
                migrations.advice(one["input"]) if place == "schema" else "write the document with lightboard"
            )
            found.append(Problem(where, place, given, expected, fix))
    return found


# --- writing ------------------------------------------------------------------------------------------------


def digest_bytes(content: bytes) -> str:
    """``sha256:<hex>`` of bytes, as the manifest holds it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def manifest_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The manifest's JSON value for these files."""
    manifest = Manifest(files={name: digest_bytes(files[name]) for name in sorted(files)})
    return manifest.model_dump(mode="json", by_alias=True)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable (not possible, and not needed, on some systems)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _permissions(default: int) -> int:
    mask = os.umask(0)
    os.umask(mask)
    return default & ~mask


def write(folder: Path, files: Mapping[str, bytes], *, replace: bool = False) -> Path:
    """Write ``files`` and their manifest as one immutable folder; it appears whole or not at all.

    Writing the same bytes again changes nothing. Other bytes at the same place are an error (documents are
    never changed), unless ``replace``: then the old folder is moved aside, the new one takes its name, and
    the old one is removed. Raises :class:`UserError`.
    """
    for name in files:
        if not FILE_NAME.fullmatch(name) or name == MANIFEST:
            raise UserError(f"{name!r} is not a name for a document's file: use a-z, 0-9, '_', '.', '-'")
    manifest = manifest_of(files)
    if folder.is_symlink() or folder.exists():
        if not folder.is_symlink() and _same(folder, manifest):
            return folder
        if not replace:
            said = f"{folder} exists with other contents; documents are never changed: move it away first"
            raise UserError(said, code=1)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        for name, content in files.items():
            _write_synced(temporary / name, content)
        _write_synced(temporary / MANIFEST, pretty_json(manifest).encode("utf-8"))
        temporary.chmod(_permissions(0o777))
        _sync_folder(temporary)
        _move_into_place(temporary, folder, manifest, replace)
        _sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _move_into_place(temporary: Path, folder: Path, manifest: dict[str, Any], replace: bool) -> None:
    aside: Path | None = None
    if replace and (folder.exists() or folder.is_symlink()):
        aside = Path(tempfile.mkdtemp(prefix=".replaced-", dir=folder.parent)) / "old"
        folder.rename(aside)
    try:
        temporary.rename(folder)
    except OSError as error:
        if aside is not None:
            aside.rename(folder)
        # Another process wrote the same document first: that is success.
        elif not _same(folder, manifest):
            raise UserError(f"{folder} could not be written: {error.strerror}", code=1) from error
    finally:
        if aside is not None:
            shutil.rmtree(aside.parent, ignore_errors=True)


def _same(folder: Path, manifest: dict[str, Any]) -> bool:
    try:
        return bool(read_json(folder / MANIFEST) == manifest) and not check(folder)
    except Refused:
        return False


def write_file(path: Path, content: bytes) -> Path:
    """Write one file atomically: temporary sibling, synced, renamed. For entries and attestations."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(_permissions(0o666))
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return path


# --- checking -----------------------------------------------------------------------------------------------


def subject(folder: Path) -> str:
    """The digest that names this folder in attestations: of its manifest's canonical JSON."""
    return digest(read_json(folder / MANIFEST))


@dataclass(frozen=True)
class Opened:
    """A document's folder whose every file was read once, so that what is judged is what was hashed."""

    contents: dict[str, bytes]  # the files that could be read, without the manifest
    subject: str | None  # None where the manifest is not fit to name it
    problems: list[Problem]


def check(folder: Path, allowed: Collection[str] | None = None) -> list[Problem]:
    """Everything wrong with a folder's files and manifest. ``allowed``: the file names its kind may hold."""
    return opened(folder, allowed).problems


def opened(folder: Path, allowed: Collection[str] | None = None) -> Opened:
    """The files of a folder, held against its manifest; ``allowed`` as for :func:`check`."""
    where = show(str(folder), 300)
    if folder.is_symlink():
        link = Problem(where, "", "a symbolic link", "a folder", "put the folder itself there")
        return Opened({}, None, [link])
    problems: list[Problem] = []
    try:
        with os.scandir(folder) as scan:
            listing = sorted((item.name for _, item in zip(range(MAX_FILES + 1), scan, strict=False)))
    except OSError:
        absent = Problem(where, "", "nothing readable", "a folder", "add the document's folder")
        return Opened({}, None, [absent])
    if len(listing) > MAX_FILES:
        found, fix = f"more than {MAX_FILES} files", "remove what does not belong there"
        return Opened({}, None, [Problem(where, "", found, "a document's few files", fix)])
    present = [name for name in listing if name != MANIFEST]
    contents: dict[str, bytes] = {}
    for name in present:
        path = folder / name
        if problem := _misplaced(path, name, allowed):
            problems.append(problem)
            continue
        try:
            contents[name] = read_bytes(path)
        except Refused as refused:
            problems.append(refused.problem)
    try:
        manifest = read_json(folder / MANIFEST)
        listed = _listed(folder / MANIFEST, manifest)
    except Refused as refused:
        return Opened(contents, None, [*problems, refused.problem])
    digests = {name: digest_bytes(content) for name, content in contents.items()}
    return Opened(contents, digest(manifest), [*problems, *_compare(folder, listed, digests, present)])


def _misplaced(path: Path, name: str, allowed: Collection[str] | None) -> Problem | None:
    """A file that should not be there, judged by its name alone."""
    if Path(name).suffix.lower() in EXECUTABLE_SUFFIXES:
        return Problem(show(str(path), 300), "name", "a format that can run code when it is opened",
                       "JSON and parquet only", "remove it; weights ship elsewhere")  # fmt: skip
    if not FILE_NAME.fullmatch(name):
        return Problem(
            show(str(path), 300), "name", show(name), "a-z, 0-9, '_', '.', '-'", "rename or remove it"
        )
    if allowed is not None and name not in allowed:
        return Problem(show(str(path), 300), "name", show(name), " or ".join(sorted(allowed)), "remove it")
    return None


def _listed(path: Path, value: Any) -> dict[str, str]:
    """The manifest's files, after its shape was checked by hand (it is the root of everything else)."""
    files = value.get("files") if isinstance(value, dict) else None
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != "lightboard/manifest/1" or set(value) != {"schema", "files"} or not isinstance(files, dict):
        raise _refuse(path, "", "something else", '{"schema": "lightboard/manifest/1", "files": {...}}',
                      "write the folder with lightboard")  # fmt: skip
    for name, value in files.items():
        if not FILE_NAME.fullmatch(name) or name == MANIFEST:
            raise _refuse(
                path, f"files.{name}", show(repr(name)), "a plain file name", "list the folder's files"
            )
        if not isinstance(value, str) or not _HASH.fullmatch(value):
            raise _refuse(
                path, f"files.{name}", show(repr(value)), "sha256:<64 hex digits>", "write it again"
            )
    return files


def _compare(
    folder: Path, listed: Mapping[str, str], digests: Mapping[str, str], present: Iterable[str]
) -> Iterator[Problem]:
    """The manifest against the files that are there."""
    where = show(str(folder / MANIFEST), 300)
    there = set(present)
    for name in sorted(set(listed) | set(digests)):
        if name not in there:
            yield Problem(where, f"files.{name}", "no such file", "every listed file", f"add {name}")
        elif name not in listed:
            yield Problem(
                where, "files", "nothing about " + name, "every file listed", "write the folder again"
            )
        elif name in digests and digests[name] != listed[name]:
            yield Problem(show(str(folder / name), 300), "", digests[name], f"{listed[name]} (its manifest)",
                          "restore the file, or write the folder again")  # fmt: skip


# --- the layout below results/ ------------------------------------------------------------------------------

KINDS = ("runs", "measurements")
DOCUMENTS = {"runs": "run.json", "measurements": "measurement.json"}
TABLES = {"runs": "predictions.parquet", "measurements": "samples.parquet"}
_OWN_PREDICTIONS = re.compile(r"predictions-[a-z0-9][a-z0-9_.-]{0,40}\.parquet")


def own_predictions(task: str) -> str:
    """The table of a task's predictions in a measurement of lower precision."""
    return f"predictions-{task}.parquet"


def names(folder: Path, kind: str) -> tuple[str, ...]:
    """The files that a document's folder of this kind may hold, beside its manifest: document, table, and of a
    measurement the predictions that are there."""
    try:
        with os.scandir(folder) as scan:
            there = sorted(item.name for item, _ in zip(scan, range(MAX_FILES + 1), strict=False))
    except OSError:
        there = []
    more = [name for name in there if kind == "measurements" and _OWN_PREDICTIONS.fullmatch(name)]
    return (DOCUMENTS[kind], TABLES[kind], *more)


def subfolders(folder: Path) -> list[Path]:
    """The real folders in ``folder`` (no links, nothing hidden), by name; none where it does not exist."""
    try:
        with os.scandir(folder) as scan:
            return sorted(
                Path(item.path)
                for item in scan
                if not item.name.startswith(".") and item.is_dir(follow_symlinks=False)
            )
    except OSError:
        return []


def files(folder: Path, suffix: str = ".json") -> list[Path]:
    """The real files in ``folder`` that end in ``suffix``, by name; none where it does not exist or is a link."""
    if folder.is_symlink():
        return []
    try:
        with os.scandir(folder) as scan:
            return sorted(
                Path(item.path)
                for item in scan
                if item.name.endswith(suffix)
                and not item.name.startswith(".")
                and item.is_file(follow_symlinks=False)
            )
    except OSError:
        return []


def tracks(results: Path) -> list[Path]:
    """The track folders of a results tree."""
    return [
        folder
        for folder in subfolders(results)
        if any((folder / kind).is_dir() for kind in (*KINDS, "entries"))
    ]


def documents(track: Path, kind: str) -> Iterator[Path]:
    """Folders of the ``runs`` or ``measurements`` of a track: ``<kind>/<recipe>/<variant>/<name>``."""
    if (track / kind).is_symlink():  # it could lead anywhere
        return
    for recipe in subfolders(track / kind):
        for variant in subfolders(recipe):
            yield from subfolders(variant)
