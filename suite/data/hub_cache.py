"""GLUE's dev sets out of the hub's cache, without the hub's libraries: what a verifier needs, and no more.

``sources`` loads the same snapshot with ``datasets``; here the parquet files and the card are read as they lie.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from suite.errors import UserError
from suite.protocol import TRAINING
from suite.tasks import Task


def snapshot() -> Path:
    """The folder of the protocol's revision, whether or not it is there (HF_HUB_CACHE, HF_HOME, or the default)."""
    pinned: dict[str, str] = TRAINING["data"]["glue"]
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    return cache / ("datasets--" + pinned["hub"].replace("/", "--")) / "snapshots" / pinned["revision"]


def dev_columns(task: Task, split: str) -> dict[str, Any]:
    """Columns ``row``, ``a``, perhaps ``b``, ``label`` (our index) of a dev set; UserError where it is not cached."""
    import pyarrow.parquet as parquet

    folder, theirs = snapshot(), task.hub_splits[split]
    files = sorted((folder / str(task.hub_config)).glob(f"{theirs}-*.parquet"))
    if not files:
        raise UserError(
            f"no gold labels of {task.name}: not in the hub's cache; run lightboard once with --data hub, "
            "or give --data folder:PATH"
        )
    try:
        rows: dict[str, list[Any]] = {name: [] for name in (*task.hub_columns, "label")}
        for file in files:
            part = parquet.read_table(file, columns=list(rows)).to_pydict()
            for name, values in rows.items():
                values.extend(part[name])
    except (OSError, KeyError, ValueError) as error:  # pyarrow's own errors are among these
        raise UserError(
            f"{files[0]}: not the data set's file ({type(error).__name__}); fetch it again"
        ) from error
    labels = rows["label"]
    if not task.regression:
        ours = [task.labels.index(name) for name in _label_names(folder / "README.md", task)]
        labels = [ours[label] for label in labels]
    columns = {"row": list(range(len(labels))), "a": rows[task.hub_columns[0]], "label": labels}
    if len(task.hub_columns) == 2:
        columns["b"] = rows[task.hub_columns[1]]
    return columns


def _label_names(card: Path, task: Task) -> list[str]:
    """The data set's label names in its order, from the header of its card."""
    import yaml

    try:
        header = yaml.safe_load(card.read_text(encoding="utf-8").split("---")[1])
        (info,) = [one for one in header["dataset_info"] if one["config_name"] == task.hub_config]
        (label,) = [one for one in info["features"] if one["name"] == "label"]
        names = label["dtype"]["class_label"]["names"]
        order = [str(names[key]) for key in sorted(names, key=int)]
    except (OSError, IndexError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{card}: does not name the labels of {task.hub_config}; fetch it again") from error
    if sorted(order) != sorted(task.labels):
        raise UserError(f"{card}: found labels {', '.join(order)}, expected {', '.join(task.labels)}")
    return order
