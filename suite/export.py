"""The whole board as tables, for those who would rather compute than read: parquet, CSV and JSON of each.

``entries``: a row per entry and task. ``runs``: a row per seed. ``speeds``: a row per measurement that an entry has.
``precisions``: a row per task that a lower precision's own answers were scored on. ``differences``: a row per ablation
and task.
Units are in the column names; ``fraction`` is 0 to 1 (correlations from -1), ``times`` a ratio to the reference.
The same results give the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from suite import index
from suite.documents import Entry
from suite.folder import write_file
from suite.frame import AT_ONCE, frame, frame_of

Record = dict[str, Any]


def tables(results: Path, track: str | None = None) -> dict[str, pd.DataFrame]:
    """Name -> table."""
    return tables_of(index.entries(results, track))


def tables_of(entries: Sequence[Entry]) -> dict[str, pd.DataFrame]:
    """Name -> table of these entries."""
    return {name: table_of(name, entries) for name in NAMES}


def table_of(name: str, entries: Sequence[Entry]) -> pd.DataFrame:
    """One of the tables."""
    if name == "entries":
        whole = frame(entries)
        return whole.rename(columns={name: _with_unit(name) for name in whole.columns})
    rows, columns = _ROWS[name]
    return frame_of((row for entry in entries for row in rows(entry)), columns)


def _with_unit(name: str) -> str:
    """Ratios say that they are ratios, and counts what they count."""
    figure, bracket, key = name.partition("[")
    if figure in ("speedup", "speedup_low", "speedup_high"):
        return f"{figure}_times{bracket}{key}"
    return {"runs": "runs_count", "diverged_runs": "diverged_runs_count"}.get(name, name)


def _name(entry: Entry) -> Record:
    return {
        "track": entry.track,
        "division": entry.division,
        "recipe": entry.recipe,
        "variant": entry.variant,
        "recipe_hash": entry.recipe_hash,
    }


def _runs(entry: Entry) -> Iterator[Record]:
    name = _name(entry)
    for task, quality in entry.quality.items():
        for line in quality.runs:
            yield {
                **name,
                "task": task,
                "seed": line.seed,
                "score_points": line.score,
                "diverged": line.diverged,
                **{f"{metric}_fraction": value for metric, value in sorted(line.metrics.items())},
                "document": line.run,
            }


def _speeds(entry: Entry) -> Iterator[Record]:
    name = _name(entry)
    for line in entry.speed:
        low, high = line.ratio.interval or (None, None)
        alone = line.alone_ratio
        yield {
            **name,
            "profile": line.profile,
            "runtime": line.runtime,
            "precision": line.precision,
            "arrival": line.arrival,
            "inputs": line.inputs,
            "speedup_times": line.ratio.value,
            "speedup_low_times": low,
            "speedup_high_times": high,
            "process_pairs_count": line.ratio.pairs,
            "speedup_same_runtime_times": alone.value if alone else None,
            "p50_ms": line.latency_ms.p50,
            "p90_ms": line.latency_ms.p90,
            "p99_ms": line.latency_ms.p99,
            "peak_memory_bytes": line.peak_memory_bytes,
            "model_size_bytes": line.model_bytes,
            "verdict": line.verdict,
            "inherited": line.inherited,
            "processor": line.processor,
            "document": line.measurement,
        }


_PRECISIONS = (
    "track",
    "division",
    "recipe",
    "variant",
    "recipe_hash",
    "profile",
    "runtime",
    "precision",
    "task",
    "seed",
    "score_points",
    "full_precision_score_points",
    "change_points",
    "change_low_points",
    "change_high_points",
    "document",
)


def _precisions(entry: Entry) -> Iterator[Record]:
    for line in entry.speed:
        for task, found in line.scores.items():
            low, high = found.change.interval or (None, None)
            yield {
                **_name(entry),
                "profile": line.profile,
                "runtime": line.runtime,
                "precision": line.precision,
                "task": task,
                "seed": found.seed,
                "score_points": found.score,
                "full_precision_score_points": found.full_precision,
                "change_points": found.change.value,
                "change_low_points": low,
                "change_high_points": high,
                "document": line.measurement,
            }


_DIFFERENCES = (
    "track",
    "division",
    "recipe",
    "variant",
    "recipe_hash",
    "ablation_of",
    "task",
    "difference_points",
    "difference_low_points",
    "difference_high_points",
    "p_fraction",
    "seeds_count",
)


def _differences(entry: Entry) -> Iterator[Record]:
    for task, found in entry.differences.items():
        low, high = found.interval
        yield {
            **_name(entry),
            "ablation_of": entry.ablation_of,
            "task": task,
            "difference_points": found.value,
            "difference_low_points": low,
            "difference_high_points": high,
            "p_fraction": found.p,
            "seeds_count": len(found.seeds),
        }


_ROWS: dict[str, tuple[Callable[[Entry], Iterator[Record]], Sequence[str]]] = {
    "runs": (_runs, ()),
    "speeds": (_speeds, ()),
    "precisions": (_precisions, _PRECISIONS),
    "differences": (_differences, _DIFFERENCES),
}
NAMES = ("entries", *_ROWS)


# --- on disk ------------------------------------------------------------------------------------------------


def export(results: Path, out: Path, track: str | None = None) -> list[Path]:
    """Write every table as ``.parquet``, ``.csv`` and ``.json``; gives the files."""
    return [
        write_file(out / f"{name}.{suffix}", b"".join(parts))
        for name, frame in tables(results, track).items()
        for suffix, parts in encoded(frame)
    ]


def encoded(frame: pd.DataFrame) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Suffix and bytes of a table in every format, in parts: some of them are large."""
    yield "parquet", [_parquet(frame)]
    yield "csv", _csv(frame)
    yield "json", _json(frame)


def _parquet(frame: pd.DataFrame) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, stream, compression="snappy")
    return stream.getvalue()


def _csv(frame: pd.DataFrame) -> Iterator[bytes]:
    def number(one: float) -> str:
        return "" if math.isnan(one) else repr(one)

    yield _csv_lines([frame.columns])
    for rows in _written(frame, number, list):
        yield _csv_lines(rows)


def _csv_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode("utf-8")


def _json(frame: pd.DataFrame) -> Iterator[bytes]:
    """A list of objects, one a line; null where there is no value. Not by pandas, which rounds."""
    # A line break is never part of a value, so those of a whole column can be told apart in one text.
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=("\n", ": ")).encode

    def number(one: float) -> str:
        return repr(one) if math.isfinite(one) else "null"

    def others(values: list[Any]) -> list[str]:
        return encode(values)[1:-1].split("\n")

    line = "{" + ", ".join(encode(str(name)).replace("%", "%%") + ": %s" for name in frame.columns) + "}"
    before = "[\n"
    for rows in _written(frame, number, others):
        yield (before + ",\n".join(map(line.__mod__, rows))).encode("utf-8")
        before = ",\n"
    yield b"\n]\n" if len(frame) else b"[]\n"


def _written(
    frame: pd.DataFrame, number: Callable[[float], str], others: Callable[[list[Any]], list[Any]]
) -> Iterator[Iterator[tuple[Any, ...]]]:
    """The rows, some at once, with their values as a format writes them."""
    columns = [_plain(frame.iloc[:, place]) for place in range(len(frame.columns))]
    for at in range(0, len(frame), AT_ONCE):
        parts = (column[at : at + AT_ONCE] for column in columns)
        yield zip(
            *(_numbers(p, number) if p.dtype.kind == "f" else others(p.tolist()) for p in parts), strict=True
        )


def _plain(column: pd.Series[Any]) -> NDArray[Any]:
    """A column's values, None for what is no value; numbers as they are."""
    values: NDArray[Any] = column.to_numpy()
    if values.dtype.kind == "O":
        values = values.copy()
        values[pd.isna(values)] = None
    return values


def _numbers(values: NDArray[np.float64], write: Callable[[float], str]) -> list[str]:
    """Each as text. Those of an entry come back with each of its tasks: what comes back is written once."""
    places, bits = pd.factorize(values.view(np.int64))  # by its bits: 0 and -0 are equal
    texts = np.array([write(one) for one in bits.view(np.float64).tolist()], dtype=object)
    found: list[str] = texts[places].tolist()
    return found
