"""Unquoted TSVs read row by row and checked; a mistake is one line that says file, line, what, what to do.

No torch, no datasets: checking a result reads the gold labels through this module too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from suite.errors import UserError
from suite.tasks import Task

MALFORMED_SHARE = 0.001
"""Where a genuine file is known to hold rows of the wrong width, at most this share of it is left out."""


@dataclass(frozen=True)
class Table:
    """Columns of equal length: position in the file, one or two texts, label (index, or number)."""

    row: list[int]
    a: list[str]
    b: list[str] | None
    label: list[int] | list[float]

    def __len__(self) -> int:
        return len(self.row)

    def columns(self) -> dict[str, list[int] | list[str] | list[float]]:
        """What a data set is made from; "b" is absent for tasks over single texts."""
        found: dict[str, list[int] | list[str] | list[float]] = {"row": self.row, "a": self.a}
        if self.b is not None:
            found["b"] = self.b
        found["label"] = self.label
        return found


def read_folder(task: Task, split: str, folder: Path) -> Table:
    """One split of a folder in the original download's layout (``CoLA/train.tsv``)."""
    path = folder / task.folder / task.files[split]
    if not path.is_file():
        place = f"{task.folder}/{task.files[split]}" if task.folder else task.files[split]
        raise UserError(
            f"{folder}: no file {place}; name a folder in the original GLUE layout (--data folder:PATH)"
            if not task.base
            else f"{path}: no such file; correct `files` in the task's YAML"
        )
    return read(task, path, official=task.official_rows.get(split) if split != "train" else None)


def read(task: Task, path: Path, *, official: int | None = None) -> Table:
    """Read and check one TSV. ``official`` is the number of rows that a dev file cannot exceed.

    Lines end at "\\n" alone, and quotes are text: sentences hold stray quotes, and rarer line separators.
    """
    again = "the file may be cut or altered: fetch it again" if not task.base else "correct the file"

    def wrong(line: int, what: str) -> UserError:
        return UserError(f"{path}:{line}: {what}; {again}")

    lines = _lines(path)
    unfinished = bool(lines) and lines[-1] != ""
    if lines and not unfinished:
        lines.pop()
    if task.header is None:
        if not lines:
            raise wrong(1, "found an empty file, expected a header row")
        header = tuple(lines[0].split("\t"))
        first = 1
    else:
        header, first = task.header, 0
    width = len(header)
    places = [_place(header, name, path) for name in (*task.columns, task.label)]
    at_a, at_label = places[0], places[-1]
    at_b = places[1] if len(task.columns) == 2 else None
    parse = _label_parser(task)
    empty_text = task.empty_text

    a: list[str] = []
    b: list[str] = []
    label: list[int | float] = []
    malformed = 0
    for number, line in enumerate(lines[first:], start=first + 1):
        cells = line.split("\t")
        if len(cells) != width:
            last = unfinished and number == len(lines)
            if task.skip_malformed and not last:
                malformed += 1
                continue
            cut = " in the last line, which has no end" if last else ""
            raise wrong(number, f"found {len(cells)} columns{cut}, expected {width}")
        value = parse(cells[at_label])
        if value is None:
            raise wrong(number, f"found label {_short(cells[at_label])}, expected {_expected(task)}")
        text = cells[at_a]
        other = cells[at_b] if at_b is not None else None
        if not empty_text and (not text.strip() or (other is not None and not other.strip())):
            column = task.columns[0] if not text.strip() else task.columns[1]
            raise wrong(number, f"found an empty {column!r}, expected a text")
        a.append(text)
        if other is not None:
            b.append(other)
        label.append(value)
    if not a:
        raise wrong(len(lines) + 1, "found no rows, expected at least one")
    if malformed > max(1, MALFORMED_SHARE * len(lines)):
        raise UserError(f"{path}: {malformed} of {len(lines)} rows do not have {width} columns; {again}")
    if official is not None and len(a) > official:
        raise UserError(
            f"{path}: found {len(a)} rows, expected at most the official {official}; "
            "this is not the task's dev file, name another folder"
        )
    return Table(list(range(len(a))), a, b if at_b is not None else None, label)


def _lines(path: Path) -> list[str]:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")  # MRPC's files start with a byte order mark
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: found bytes that are not UTF-8; save the file as UTF-8") from None
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
    return text.split("\n")


def _place(header: tuple[str, ...], name: str, path: Path) -> int:
    if name not in header:
        raise UserError(
            f"{path}:1: found columns {', '.join(map(_short, header))}, expected {name!r} among them"
        )
    return header.index(name)


def _label_parser(task: Task) -> Callable[[str], int | float | None]:
    if task.regression:
        return _number
    spelled = {name: index for index, name in enumerate(task.labels)}
    spelled |= {name: index for index, name in enumerate(task.file_labels)}
    return spelled.get


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _expected(task: Task) -> str:
    return "a number" if task.regression else " or ".join(task.file_labels or task.labels)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
