"""Gold labels of the dev sets, read without torch or datasets: a GLUE folder, the hub's cache, the generator, own TSVs.

Labels stay in memory. Rows come in the track's order, so that a run's ``row`` column is an index into them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.data import hub_cache, tsv
from suite.data.rows import content_hashes, fingerprint, gold_sha256
from suite.errors import UserError
from suite.protocol import TRAINING, row_list
from suite.tasks import Task

FOLDER_VARIABLE = "LIGHTBOARD_GLUE"


@dataclass(frozen=True, eq=False)
class GoldSplit:
    """One dev set's labels."""

    labels: NDArray[Any]  # [n] class indices (int64), or numbers (float32, as they are scored)
    fingerprint: str  # over the content hashes of the rows
    genuine: bool | None  # equal to the gold vector that the protocol names; None where it names none


def load(source: str, task: Task, track: str | None = None) -> dict[str, GoldSplit]:
    """Dev split -> gold labels of ``task``, in the order of the track's row list where it ships one.

    ``source``: ``folder:PATH``, ``hub`` (its cache only), ``generated``, ``own:PATH`` or ``auto`` (the generator for
    a generated task, the folder of a task of one's own, else the folder named by LIGHTBOARD_GLUE, else the hub's
    cache). UserError without labels.
    """
    named: dict[str, Any] = TRAINING["dev"].get(task.name, {})
    found: dict[str, GoldSplit] = {}
    for split, (columns, hashes, listed) in _ordered(source, task, track).items():
        labels = np.asarray(columns["label"], dtype=np.float32 if task.regression else np.int64)
        # The list holds content hashes with the label in them: a row that is found is the track's row.
        genuine: bool | None = True if listed else None
        if not listed and split in named and task.hub_config:
            genuine = gold_sha256(task, columns["label"]) == named[split]["gold_sha256"]
        found[split] = GoldSplit(labels, fingerprint(hashes), genuine)
    return found


SOURCES = ("auto", "hub", "generated", "folder:PATH", "own:PATH")


def check(source: str) -> None:
    """UserError for what is no source of :func:`load`, or names a place that is not there."""
    kind, colon, place = source.partition(":")
    named = {one.partition(":")[0]: ":" in one for one in SOURCES}
    if named.get(kind) != bool(colon):
        raise UserError(f"--data {source}: found no source of labels, expected one of {', '.join(SOURCES)}")
    if colon and not Path(place).expanduser().exists():
        raise UserError(f"--data {source}: found nothing at {place}, expected the data's folder")


def ordered(source: str, task: Task, track: str | None = None) -> dict[str, dict[str, Any]]:
    """Dev split -> columns (``a``, of pairs ``b``, ``label``), rows in the order that predictions count them in."""
    return {split: columns for split, (columns, _, _) in _ordered(source, task, track).items()}


def _ordered(
    source: str, task: Task, track: str | None
) -> dict[str, tuple[dict[str, Any], NDArray[np.uint64], bool]]:
    """Columns, content hashes, and whether they were put into the order of a list that the track ships."""
    rows = row_list(track, task.name) if track else None
    found: dict[str, tuple[dict[str, Any], NDArray[np.uint64], bool]] = {}
    for split, columns in _dev_columns(source, task).items():
        hashes = content_hashes(task, columns)
        wanted = rows.get(split) if rows else None
        if wanted is not None:
            places = _find(wanted, hashes, f"{task.name} {split}")
            hashes = hashes[places]
            columns = {name: [values[place] for place in places] for name, values in columns.items()}
        found[split] = (columns, hashes, wanted is not None)
    return found


def _dev_columns(source: str, task: Task) -> dict[str, dict[str, Any]]:
    kind, _, place = source.partition(":")
    if kind == "auto":
        kind, place = _choose(task)
    if kind == "folder" and task.hub_config:
        folder = Path(place).expanduser()
        return {split: dict(tsv.read_folder(task, split, folder).columns()) for split in task.dev_splits}
    if kind == "hub" and task.hub_config:
        return {split: hub_cache.dev_columns(task, split) for split in task.dev_splits}
    if kind == "own" and task.base:
        base = Path(task.base)
        return {split: dict(tsv.read_folder(task, split, base).columns()) for split in task.dev_splits}
    if kind == "generated" and _is_generated(task):
        return _generated(task)
    raise UserError(f"no gold labels of {task.name} in {source!r}; name a folder (--data folder:PATH)")


def _choose(task: Task) -> tuple[str, str]:
    if task.base:
        return "own", ""
    if _is_generated(task):
        return "generated", ""
    folder = os.environ.get(FOLDER_VARIABLE, "")
    return ("folder", folder) if folder else ("hub", "")


def _is_generated(task: Task) -> bool:
    from suite.data.generated import TASKS

    return task.name in TASKS


def _generated(task: Task) -> dict[str, dict[str, Any]]:
    from suite.data.generated import examples

    _, dev = examples(task.name)
    rows = list(dev)
    columns: dict[str, Any] = {"row": list(range(len(rows)))}
    for name in ("a", "b", "label"):
        if rows and rows[0].get(name) is not None:
            columns[name] = [row.get(name) for row in rows]
    (split,) = task.dev_splits
    return {split: columns}


def _find(wanted: NDArray[np.uint64], held: NDArray[np.uint64], what: str) -> NDArray[np.int64]:
    """Position in ``held`` of each wanted hash; rows of equal content are taken one after the other."""
    places: dict[int, list[int]] = defaultdict(list)
    for place in range(len(held) - 1, -1, -1):
        places[int(held[place])].append(place)
    found = [places[int(value)].pop() if places.get(int(value)) else -1 for value in wanted]
    if missing := found.count(-1):
        raise UserError(f"{what}: {missing} of the track's {len(wanted)} rows are not in this data")
    return np.array(found, dtype=np.int64)


class Gold:
    """Gold labels as they are needed, each task's read once; ``reason`` says why some are not there.

    ``data`` as in :func:`load`; None: only what needs no data (generated tasks). UserError where it names nothing.
    """

    def __init__(self, data: str | None) -> None:
        if data is not None:
            check(data)
        self.data = data
        self._found: dict[tuple[str, str], dict[str, GoldSplit] | None] = {}
        self.reasons: dict[tuple[str, str], str] = {}

    def get(self, task: Task, track: str) -> dict[str, GoldSplit] | None:
        """The dev sets' gold labels, or None where there are none."""
        key = (task.name, track)
        if key not in self._found:
            self._found[key] = None
            try:
                self._found[key] = self._load(task, track)
            except UserError as error:
                self.reasons[key] = str(error)
        return self._found[key]

    def _load(self, task: Task, track: str) -> dict[str, GoldSplit]:
        if _is_generated(task):
            return load("generated", task, track)
        if self.data is None:
            raise UserError(f"no gold labels of {task.name}: give --data folder:PATH")
        return load(self.data, task, track)
