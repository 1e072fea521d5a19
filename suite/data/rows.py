"""Which rows a track uses, told by content: a hub user and a folder user get the same draw.

A row's *content hash* is 8 bytes of SHA-256 over its texts (NFC, whitespace collapsed) and its label. A track
ships the hashes of its train, selection and dev rows, so no text or label leaves the data's owner, and a
source is accepted when it holds every listed row.

``python -m suite.data.rows --data folder:PATH`` writes those lists (for maintainers, once
per protocol version).
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import UserError
from suite.tasks import GLUE, Task

if TYPE_CHECKING:
    from datasets import Dataset

    from suite.data.sources import Examples
    from suite.protocol import Track

DRAW_KEY = b"lightboard/draw/1"
TRACKS_FOLDER = Path(__file__).resolve().parent.parent / "tracks"

Columns = Mapping[str, Sequence[Any]]


# --- hashes -------------------------------------------------------------------------------------------------


def normal(text: str) -> str:
    """NFC, and every run of whitespace one space: what sources may differ in."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def label_name(task: Task, label: float) -> str:
    """The label's name, or the score: GLUE's with three decimals (as the files have it; the hub stores float32), of a
    task of one's own all digits that a float32 has."""
    if not task.regression:
        return task.labels[int(label)]
    return str(np.float32(label)) if task.base else f"{label:.3f}"


def _texts(columns: Columns) -> list[str]:
    """One line a row; the texts hold no line break once their whitespace is collapsed."""
    first = [normal(text) for text in columns["a"]]
    second = columns.get("b")
    if second is None:
        return first
    return [f"{a}\n{normal(b)}" for a, b in zip(first, second, strict=True)]


def content_hash(task: Task, row: Mapping[str, Any]) -> int:
    """The hash of one row with ``a``, for pairs ``b``, and ``label``: an unsigned 64-bit number."""
    return int(content_hashes(task, {name: [value] for name, value in row.items()})[0])


def content_hashes(task: Task, columns: Columns) -> NDArray[np.uint64]:
    """The hash of every row of ``columns`` (``a``, ``b`` for pairs, ``label``), shape [rows]."""
    rows = zip(_texts(columns), columns["label"], strict=True)
    return _first_bytes(f"{text}\n{label_name(task, label)}".encode() for text, label in rows)


def _first_bytes(messages: Iterable[bytes]) -> NDArray[np.uint64]:
    joined = b"".join(hashlib.sha256(message).digest()[:8] for message in messages)
    return np.frombuffer(joined, dtype=">u8").astype(np.uint64)


def fingerprint(hashes: NDArray[np.uint64]) -> str:
    """``sha256:<hex>`` over the content hashes in order: the identity of a set of examples."""
    return "sha256:" + hashlib.sha256(hashes.astype(">u8").tobytes()).hexdigest()


def gold_sha256(task: Task, labels: Sequence[float]) -> str:
    """``sha256:<hex>`` over the label names of a split, one a line."""
    return _sha256(label_name(task, label) for label in labels)


def text_sha256(columns: Columns) -> str:
    """``sha256:<hex>`` over the normal texts of a split, one a line (of a pair: two lines)."""
    return _sha256(_texts(columns))


def _sha256(lines: Iterable[str]) -> str:
    return "sha256:" + hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


# --- the draw -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """The rows that a track uses of a task, in the order in which they are used.

    A dev set's ``row`` is the position in the track's list where the track has one (of a complete dev set:
    in the official file), else in the source's file; so it means the same whatever the source.
    """

    task: Task
    train: Dataset
    selection: Dataset
    dev: dict[str, Dataset]
    source: str
    fingerprints: dict[str, str]  # split -> sha256:...
    dev_subset: bool  # fewer dev rows than the official set


def draw(examples: Examples, track: Track, task: Task) -> Draw:
    """The track's rows of a task: its list where it ships one, else by the rule of :func:`choose`.

    UserError when the source lacks listed rows, saying how many of which split.
    """
    from suite.protocol import TRAINING, row_list

    listed = row_list(track.name, task.name)
    if listed is None:
        check_official(examples, task, TRAINING["dev"].get(task.name, {}))
    return draw_rows(examples, task, cap=track.train_cap, selection=track.selection_fraction, listed=listed)


def check_official(examples: Examples, task: Task, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a dev set that has the official number of rows, and other rows (``known``: the protocol's)."""
    for split, found in describe_dev(examples, task).items():
        expected = known.get(split, {})
        if not (found["complete"] and expected.get("complete")):
            continue
        for part, what in (("text_sha256", "texts"), ("gold_sha256", "labels")):
            if found[part] != expected[part]:
                raise UserError(
                    f"{task.name} {split}: {found['rows']} rows as in the official set, but other {what}; "
                    "fetch the files again (--data folder:PATH), or use the hub's"
                )


def draw_rows(
    examples: Examples,
    task: Task,
    *,
    cap: int | None,
    selection: float,
    listed: Mapping[str, NDArray[np.uint64]] | None = None,
) -> Draw:
    """:func:`draw` without a track: ``listed`` maps train, selection and each dev split to content hashes."""
    from suite.data.sources import columns_of, to_dataset

    columns = {"train": columns_of(examples.train)}
    columns |= {split: columns_of(rows) for split, rows in examples.dev.items()}
    hashes = {split: content_hashes(task, held) for split, held in columns.items()}
    if listed is None:
        dev_texts = {text for split in examples.dev for text in _texts(columns[split])}
        repeated = np.array([text in dev_texts for text in _texts(columns["train"])], dtype=np.bool_)
        picked = dict(
            zip(("train", "selection"), choose(hashes["train"], repeated, cap, selection), strict=True)
        )
        picked |= {split: np.arange(len(rows)) for split, rows in examples.dev.items()}
    else:
        picked = _listed(task, listed, hashes)

    made: dict[str, Dataset] = {}
    prints: dict[str, str] = {}
    for split, rows in picked.items():
        home = "train" if split == "selection" else split
        taken = {name: [values[i] for i in rows] for name, values in columns[home].items()}
        if listed is not None and split in examples.dev:
            taken["row"] = list(range(len(rows)))
        made[split] = to_dataset(taken, task)
        prints[split] = fingerprint(hashes[home][rows])
    return Draw(
        task=task,
        train=made["train"],
        selection=made["selection"],
        dev={split: made[split] for split in examples.dev},
        source=examples.source,
        fingerprints=prints,
        dev_subset=any(len(made[split]) < task.official_rows.get(split, 0) for split in examples.dev),
    )


def dev_positions(track: str, task: Task, split: str, columns: Columns) -> NDArray[np.int64]:
    """Where the track's dev rows lie in a source: a prediction's ``row`` r is about row positions[r] of
    ``columns``. UserError when the source lacks some. For checking results: no data set needed.
    """
    from suite.protocol import row_list

    listed = row_list(track, task.name)
    if listed is None:
        return np.arange(len(columns["label"]))
    return _find(listed[split], content_hashes(task, columns), f"{task.name} {split}")


def choose(
    hashes: NDArray[np.uint64], repeated: NDArray[np.bool_], cap: int | None, selection: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the train and the selection rows.

    Rows whose texts are ``repeated`` in dev are dropped; the others are ordered by the first 8 bytes of
    SHA-256 over the draw's key and the content hash (little-endian), so that the order owes nothing to the
    source's; the first ``cap`` are kept, and of these the first ``selection`` share is the selection split.
    """
    raw = hashes.astype("<u8").tobytes()
    keys = _first_bytes(DRAW_KEY + raw[i : i + 8] for i in range(0, len(raw), 8))
    order = np.argsort(keys, kind="stable")
    order = order[~repeated[order]][:cap]
    held = round(selection * len(order))
    return order[held:], order[:held]


def _listed(
    task: Task, listed: Mapping[str, NDArray[np.uint64]], hashes: Mapping[str, NDArray[np.uint64]]
) -> dict[str, NDArray[np.int64]]:
    """Split -> positions of the listed rows in the source. Train and selection are sought together, since a
    row that the source holds once cannot be in both."""
    lacking = {"selection", *hashes} - set(listed)
    if lacking:
        raise UserError(f"the track's row list of {task.name} has no split {', '.join(sorted(lacking))}")
    cut = len(listed["train"])
    both = np.concatenate([listed["train"], listed["selection"]])
    drawn = _find(both, hashes["train"], f"{task.name} train")
    found = {"train": drawn[:cut], "selection": drawn[cut:]}
    for split in hashes:
        if split != "train":
            found[split] = _find(listed[split], hashes[split], f"{task.name} {split}")
    return found


def _find(wanted: NDArray[np.uint64], held: NDArray[np.uint64], what: str) -> NDArray[np.int64]:
    """Position in ``held`` of each wanted hash; a hash wanted twice is looked for twice."""
    places: dict[int, list[int]] = defaultdict(list)
    for place in range(len(held) - 1, -1, -1):
        places[int(held[place])].append(place)
    found = [places[int(value)].pop() if places.get(int(value)) else -1 for value in wanted]
    missing = found.count(-1)
    if missing:
        raise UserError(
            f"{what}: {missing} of the track's {len(wanted)} rows are not in this source; "
            "use complete, unaltered GLUE files (--data folder:PATH) or the hub's"
        )
    return np.array(found, dtype=np.int64)


# --- making the lists ---------------------------------------------------------------------------------------


def describe_dev(examples: Examples, task: Task) -> dict[str, dict[str, Any]]:
    """Dev split -> rows, digests of gold labels and of texts, and whether it is the complete official set."""
    from suite.data.sources import columns_of

    found = {}
    for split, data in examples.dev.items():
        columns = columns_of(data)
        found[split] = {
            "rows": len(data),
            "gold_sha256": gold_sha256(task, columns["label"]),
            "text_sha256": text_sha256(columns),
            "complete": len(data) == task.official_rows.get(split),
        }
    return found


def write_lists(
    source: str, names: Sequence[str], out: Path, *, track: str, cap: int | None, selection: float
) -> None:
    """Write ``<track>.npz`` for the tasks ``names`` and ``dev.json`` for all of GLUE below ``out``."""
    from suite.data.sources import columns_of, load

    out.mkdir(parents=True, exist_ok=True)
    lists: dict[str, NDArray[np.uint64]] = {}
    dev: dict[str, dict[str, dict[str, Any]]] = {}
    for task in GLUE.values():
        examples = load(task, source)
        dev[task.name] = describe_dev(examples, task)
        if task.name in names:
            drawn = draw_rows(examples, task, cap=cap, selection=selection)
            for split, data in (("train", drawn.train), ("selection", drawn.selection), *drawn.dev.items()):
                lists[f"{task.name}/{split}"] = content_hashes(task, columns_of(data))
    np.savez(out / f"{track}.npz", **lists)  # type: ignore[arg-type]  # hashes do not compress
    (out / "dev.json").write_text(json.dumps(dev, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    import argparse

    from suite.protocol import track as named_track

    parser = argparse.ArgumentParser(prog="python -m suite.data.rows", description=write_lists.__doc__)
    parser.add_argument("--data", required=True, help="hub or folder:PATH")
    parser.add_argument("--track", default="mini")
    parser.add_argument("--out", type=Path, default=TRACKS_FOLDER)
    given = parser.parse_args(arguments)
    track = named_track(given.track)
    write_lists(
        given.data,
        [*track.core, *track.extended],
        given.out,
        track=track.name,
        cap=track.train_cap,
        selection=track.selection_fraction,
    )


if __name__ == "__main__":
    main()
