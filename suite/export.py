"""The whole board as tables, for those who would rather compute than read: parquet, CSV and JSON of each.

``entries``: a row per entry and task. ``runs``: a row per seed. ``speeds``: a row per measurement that an entry has.
``precisions``: a row per task that a lower precision's own answers were scored on. ``differences``: a row per ablation
and task.
Units are in the column names; ``fraction`` is 0 to 1 (correlations from -1), ``times`` a ratio to the reference.
The same results give the same bytes.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from suite import index
from suite.documents import Entry
from suite.folder import write_file
from suite.frame import frame, frame_of

Record = dict[str, Any]

AT_ONCE = 1000  # rows as Python has them: of a whole large table they take many times its memory


def tables(results: Path, track: str | None = None) -> dict[str, pd.DataFrame]:
    """Name -> table."""
    return tables_of(index.entries(results, track))


def tables_of(entries: Sequence[Entry]) -> dict[str, pd.DataFrame]:
    """Name -> table of these entries."""
    whole = frame(entries)
    return {
        "entries": whole.rename(columns={name: _with_unit(name) for name in whole.columns}),
        "runs": frame_of(row for entry in entries for row in _runs(entry)),
        "speeds": frame_of(row for entry in entries for row in _speeds(entry)),
        "precisions": frame_of((row for entry in entries for row in _precisions(entry)), _PRECISIONS),
        "differences": frame_of((row for entry in entries for row in _differences(entry)), _DIFFERENCES),
    }


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
    for task, quality in entry.quality.items():
        for line in quality.runs:
            yield {
                **_name(entry),
                "task": task,
                "seed": line.seed,
                "score_points": line.score,
                "diverged": line.diverged,
                **{f"{metric}_fraction": value for metric, value in sorted(line.metrics.items())},
                "document": line.run,
            }


def _speeds(entry: Entry) -> Iterator[Record]:
    for line in entry.speed:
        low, high = line.ratio.interval or (None, None)
        alone = line.alone_ratio
        yield {
            **_name(entry),
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


# --- on disk ------------------------------------------------------------------------------------------------


def export(results: Path, out: Path, track: str | None = None) -> list[Path]:
    """Write every table as ``.parquet``, ``.csv`` and ``.json``; gives the files."""
    return [
        write_file(out / f"{name}.{suffix}", content)
        for name, frame in tables(results, track).items()
        for suffix, content in encoded(frame)
    ]


def encoded(frame: pd.DataFrame) -> Iterator[tuple[str, bytes]]:
    """Suffix and bytes of a table in every format."""
    yield "parquet", _parquet(frame)
    yield "csv", _csv(frame)
    yield "json", _json(frame)


def _parquet(frame: pd.DataFrame) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, stream, compression="snappy")
    return stream.getvalue()


def _csv(frame: pd.DataFrame) -> bytes:
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text.encode("utf-8")


def _json(frame: pd.DataFrame) -> bytes:
    """A list of objects, one a line; null where there is no value. Not by pandas, which rounds."""
    names = [str(name) for name in frame.columns]
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    lines = []
    for at in range(0, len(frame), AT_ONCE):
        part = frame.iloc[at : at + AT_ONCE]
        rows = zip(*(_plain(part.iloc[:, place]) for place in range(len(names))), strict=True)
        lines += [encode(dict(zip(names, row, strict=True))).encode("utf-8") for row in rows]
    return b"[\n" + b",\n".join(lines) + b"\n]\n" if lines else b"[]\n"


def _plain(column: pd.Series[Any]) -> list[Any]:
    """A column's values as Python has them, None for what is no value; all at once, which is quicker than each."""
    given = column.tolist()
    known = column.notna() & ~column.isin([math.inf, -math.inf])
    return given if known.all() else [one if there else None for one, there in zip(given, known, strict=True)]
