"""Where examples come from: the hub, a folder in GLUE's original layout, the generator, a user's own TSVs."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.data import tsv
from suite.errors import UserError
from suite.tasks import Task, load_own

if TYPE_CHECKING:
    from datasets import Dataset

FOLDER_VARIABLE = "LIGHTBOARD_GLUE"
SECONDS_TO_ANSWER = 10  # that the hub has before it counts as not reachable


@dataclass(frozen=True)
class Examples:
    """All of a task's examples, in the source's order.

    Columns of each data set: ``row`` (int32, position in the source's split), ``a`` and, for pairs, ``b``
    (text), ``label`` (int64 index into the task's labels, or float32).
    """

    train: Dataset
    dev: dict[str, Dataset]
    source: str  # hub, folder, generated or own


def load(task: Task, source: str = "auto") -> Examples:
    """Load a task from ``auto``, ``hub``, ``folder:PATH``, ``generated`` or ``own:PATH`` (the task's YAML).

    ``auto`` is the folder named by LIGHTBOARD_GLUE, else the hub. A generated task and one of the user's own
    know where they come from, so ``auto`` takes them from there. UserError when there is no such data.
    """
    kind, _, place = source.partition(":")
    if kind == "auto" and not place:
        kind, place = _choose(task)
    if kind == "folder" and place:
        _must_be_glue(task, source)
        return _from_tables(task, _folder(task, Path(place).expanduser()), "folder")
    if kind == "hub" and not place:
        _must_be_glue(task, source)
        return _from_hub(task)
    if kind == "generated" and not place:
        return _from_generator(task)
    if kind == "own" and (place or task.base):
        return _from_own(task, place)
    raise UserError(
        f"no data source {source!r}; name one of auto, hub, folder:PATH, generated, own:PATH (--data)"
    )


def _choose(task: Task) -> tuple[str, str]:
    if task.base:
        return "own", ""
    if not task.hub_config:
        return "generated", ""
    folder = os.environ.get(FOLDER_VARIABLE, "")
    return ("folder", folder) if folder else ("hub", "")


def _must_be_glue(task: Task, source: str) -> None:
    if not task.hub_config:
        home = "own:PATH" if task.base else "generated"
        raise UserError(f"task {task.name} is not in {source}; use --data {home}")


def dataset(table: tsv.Table, task: Task) -> Dataset:
    """The columns as a data set with fixed types."""
    return to_dataset(table.columns(), task)


def columns_of(dataset: Dataset) -> dict[str, list[Any]]:
    """A data set's columns as lists."""
    columns: dict[str, list[Any]] = dataset[:]
    return columns


def to_dataset(columns: dict[str, Any], task: Task) -> Dataset:
    from datasets import Dataset, Features, Value

    types = {"row": "int32", "a": "string", "b": "string", "label": "float32" if task.regression else "int64"}
    features = Features({name: Value(types[name]) for name in ("row", "a", "b", "label") if name in columns})
    return Dataset.from_dict({name: columns[name] for name in features}, features=features)


def _from_tables(task: Task, tables: dict[str, tsv.Table], source: str) -> Examples:
    made = {split: dataset(table, task) for split, table in tables.items()}
    return Examples(made.pop("train"), made, source)


def _folder(task: Task, folder: Path) -> dict[str, tsv.Table]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; correct --data folder:PATH or {FOLDER_VARIABLE}")
    return {split: tsv.read_folder(task, split, folder) for split in task.files}


def _from_own(task: Task, place: str) -> Examples:
    if place:
        path = Path(place).expanduser()
        named = load_own(path / f"{task.name}.yaml" if path.is_dir() else path)
        if named.name != task.name:
            raise UserError(
                f"{path}: found task {named.name}, expected {task.name}; name the task's own YAML"
            )
        _must_agree(path, named, task)
        task = named
    return _from_tables(task, _folder(task, Path(task.base)), "own")


def _must_agree(path: Path, named: Task, task: Task) -> None:
    """The rows are read as one file says and learnt as the other says: nothing that decides either may differ."""
    for field, theirs, ours in (
        ("text", named.columns, task.columns),
        ("labels", named.labels, task.labels),
        ("metrics", named.metrics, task.metrics),
    ):
        if theirs != ours:
            raise UserError(
                f"{path}: {field}: found [{', '.join(theirs)}], expected [{', '.join(ours)}] as {task.name} in "
                f"{task.base} has it; make them equal, or give one another name"
            )


def _from_generator(task: Task) -> Examples:
    from suite.data import generated

    if task.name not in generated.TASKS:
        known = ", ".join(generated.TASKS)
        raise UserError(
            f"task {task.name} is not generated; generated tasks are {known}, or give other --data"
        )
    train, dev = generated.examples(task.name)
    (split,) = task.dev_splits
    return Examples(
        to_dataset(_as_columns(train), task), {split: to_dataset(_as_columns(dev), task)}, "generated"
    )


def _as_columns(rows: Any) -> dict[str, Any]:
    rows = list(rows)
    columns: dict[str, Any] = {"row": list(range(len(rows)))}
    for name in ("a", "b", "label"):
        if rows and rows[0].get(name) is not None:
            columns[name] = [row[name] for row in rows]
    return columns


def _from_hub(task: Task) -> Examples:
    """The protocol's revision of GLUE, from the hub's cache when it is there."""
    from suite.protocol import TRAINING

    pinned = TRAINING["data"]["glue"]
    where = f"{pinned['hub']} {task.hub_config}"
    try:
        splits = _cached_or_fetched(pinned["hub"], pinned["revision"], str(task.hub_config))
    except Exception as error:  # not there; not the layout; not readable: many kinds, and each means the same
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{where}: not in the hub's cache and not reachable ({first}); "
            f"go online once, or set {FOLDER_VARIABLE} or --data folder:PATH to a GLUE folder",
            code=1,
        ) from error
    absent = [theirs for theirs in task.hub_splits.values() if theirs not in splits]
    if absent:
        raise UserError(
            f"{where}: found no split {', '.join(absent)}; delete the cached snapshot, fetch it again"
        )
    made = {
        ours: _hub_split(task, splits[theirs], f"{where} {theirs}")
        for ours, theirs in task.hub_splits.items()
    }
    return Examples(made.pop("train"), made, "hub")


def _cached_or_fetched(name: str, revision: str, config: str) -> Any:
    """The splits of one configuration; the hub is asked only where its cache lacks some of it.

    The snapshot's folder is loaded, not the data set's name: by name, the hub is asked even with all cached. Before
    anything is fetched one question is asked, without the library's many attempts, so that who is offline waits for
    none of them.
    """
    from datasets import load_dataset
    from huggingface_hub import HfApi, snapshot_download

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of each attempt in a line
    patterns = ["README.md", f"{config}/*"]

    def splits(cached: bool) -> Any:
        folder = snapshot_download(
            name, repo_type="dataset", revision=revision, allow_patterns=patterns, local_files_only=cached
        )
        return load_dataset(folder, config)

    try:
        return splits(cached=True)
    except Exception:  # nothing, or a part: another task's, or an interrupted download's
        HfApi().dataset_info(name, revision=revision, timeout=SECONDS_TO_ANSWER)
    return splits(cached=False)


def _hub_split(task: Task, split: Dataset, where: str) -> Dataset:
    columns = columns_of(split)
    lacking = [name for name in (*task.hub_columns, "label") if name not in columns]
    if lacking:
        raise UserError(
            f"{where}: found columns {', '.join(columns)}, expected {', '.join(lacking)} among them"
        )
    label = columns["label"]
    if not task.regression:
        order = [str(name) for name in getattr(split.features["label"], "names", None) or ()]
        if sorted(order) != sorted(task.labels):
            found = ", ".join(order) if order else "no label names"
            raise UserError(f"{where}: found {found}, expected {', '.join(task.labels)}; fetch it again")
        if min(label) < 0:
            raise UserError(f"{where}: found rows without a label, expected labelled ones; fetch it again")
        ours = [task.labels.index(theirs) for theirs in order]
        label = [ours[index] for index in label]
    made = {"row": list(range(len(label))), "a": columns[task.hub_columns[0]], "label": label}
    if len(task.hub_columns) == 2:
        made["b"] = columns[task.hub_columns[1]]
    return to_dataset(made, task)
