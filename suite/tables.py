"""The two tables that lie beside documents: predictions of a run, raw times of a measurement.

Parquet is read as if a stranger had written it. Its footer is checked before any column is decoded: rows,
columns, exact types, sizes, and the codec. Only plain and Snappy pages are read: Snappy expands at most some
twenty times, while a few kilobytes of Zstandard or Gzip can become gigabytes. Text stays what parquet stores it
as, codes into a few distinct values: one long value that every row names would otherwise be written out for each.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite import footer as footers
from suite.folder import Problem, Refused, show
from suite.tasks import Task

MAX_ROWS = 500_000
MAX_ROW_GROUPS = 64
MAX_DECODED_BYTES = 64 * 2**20  # of all columns: twice what the longest table needs
MAX_NAME_BYTES = 200  # of a dev set's name
THRIFT_LIMITS = {"thrift_string_size_limit": 2**20, "thrift_container_size_limit": 2**16}
CODECS = frozenset(("UNCOMPRESSED", "SNAPPY"))

SAMPLE_TYPES = {"pair": "int16", "block": "int16", "side": "int8", "query": "int16", "nanoseconds": "int64"}


def prediction_types(task: Task) -> dict[str, str]:
    """Column -> Arrow type of a run's ``predictions.parquet``."""
    scores = ["score"] if task.regression else [f"score_{label}" for label in task.labels]
    return {"split": "string", "row": "int32", **dict.fromkeys(scores, "float"), "influence": "double"}


@dataclass(frozen=True)
class Split:
    """One dev set's predictions, by ascending row."""

    row: NDArray[np.int32]  # [n]
    scores: NDArray[np.float32]  # [n, outputs]
    influence: NDArray[np.float64]  # [n], points


# --- writing ------------------------------------------------------------------------------------------------


def write_table(columns: Mapping[str, Any], types: Mapping[str, str]) -> bytes:
    """Parquet bytes of named columns with the given Arrow types; the same values give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in types.items()])
    arrays = [pa.array(columns[name], type=schema.field(name).type) for name in types]
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), stream, compression="snappy")
    return stream.getvalue()


def write_predictions(task: Task, splits: Mapping[str, Split]) -> bytes:
    """``predictions.parquet`` of one run, dev sets in the task's order."""
    order = [name for name in task.dev_splits if name in splits]
    scores = np.concatenate([splits[name].scores for name in order]).astype(np.float32)
    columns: dict[str, Any] = {
        "split": [name for name in order for _ in range(len(splits[name].row))],
        "row": np.concatenate([splits[name].row for name in order]),
        "influence": np.concatenate([splits[name].influence for name in order]),
    }
    types = prediction_types(task)
    for index, name in enumerate(name for name in types if name.startswith("score")):
        columns[name] = scores[:, index]
    return write_table(columns, types)


def write_samples(columns: Mapping[str, Any]) -> bytes:
    """``samples.parquet`` of one measurement: the columns of :data:`SAMPLE_TYPES`."""
    return write_table(columns, SAMPLE_TYPES)


# --- reading ------------------------------------------------------------------------------------------------


def _problem(path: Path, field: str, found: str, expected: str) -> Refused:
    return Refused(Problem(show(str(path), 300), field, found, expected, "write the table with lightboard"))


def read_table(
    content: bytes,
    path: Path,
    types: Mapping[str, str],
    columns: Sequence[str] | None = None,
    max_rows: int = MAX_ROWS,
) -> dict[str, Any]:
    """Columns as numpy arrays, after the footer was found harmless; ``path`` is named in :class:`Refused`.

    ``types``: the exact columns the file must have; ``columns``: those wanted. Numbers must be finite and
    nothing may be missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        _check_footer(footers.read(content), path, len(types), max_rows)
        _check_schema(pq.ParquetFile(io.BytesIO(content), **THRIFT_LIMITS), path, types)
        texts = [name for name, kind in types.items() if kind == "string"]
        reader = pq.ParquetFile(io.BytesIO(content), read_dictionary=texts, **THRIFT_LIMITS)
        table = reader.read(columns=list(columns or types), use_threads=False)
        table.validate(full=True)
    except Refused:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, RuntimeError) as error:
        raise _problem(path, "", "broken parquet: " + show(str(error), 80), "a parquet file") from None
    found: dict[str, Any] = {}
    for name in columns or types:
        column = table.column(name)
        if column.null_count:
            raise _problem(path, name, f"{column.null_count} empty cells", "a value in every row")
        values = column.combine_chunks()
        if types[name] == "string":
            if not isinstance(values, pa.DictionaryArray):
                raise _problem(path, name, "text that is no dictionary", "codes into a few distinct values")
            if values.dictionary.nbytes > MAX_NAME_BYTES * 64:
                raise _problem(path, name, f"{values.dictionary.nbytes} bytes of names", "a few short names")
            found[name] = values
            continue
        array = values.to_numpy(zero_copy_only=False)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _problem(path, name, "NaN or infinity", "finite numbers")
        found[name] = array
    return found


def _check_footer(footer: footers.Footer, path: Path, columns: int, max_rows: int) -> None:
    """What the footer promises: few rows, in a harmless codec, small when unpacked."""
    groups = footer.groups
    if not 0 <= footer.rows <= max_rows or len(groups) > MAX_ROW_GROUPS:
        found = f"{footer.rows} rows in {len(groups)} groups"
        raise _problem(path, "rows", found, f"at most {max_rows} rows in {MAX_ROW_GROUPS} groups")
    if any(len(group.chunks) != columns for group in groups):
        found = ", ".join(sorted({str(len(group.chunks)) for group in groups}))
        raise _problem(path, "columns", f"{show(found, 40)} columns", f"{columns} in every group")
    for group in groups:
        for chunk in group.chunks:
            if chunk.codec not in CODECS:
                raise _problem(path, "compression", chunk.codec, "SNAPPY, or none")
            if group.rows < 0 or chunk.values != group.rows or chunk.unpacked_bytes < 0:
                found = f"{chunk.values} values in {group.rows} rows"
                raise _problem(path, "rows", found, "a value in every row")
    if (rows := sum(group.rows for group in groups)) != footer.rows:
        raise _problem(path, "rows", f"{footer.rows} rows, {rows} in its groups", "the same number")
    unpacked = sum(chunk.unpacked_bytes for group in groups for chunk in group.chunks)
    if unpacked > MAX_DECODED_BYTES:
        raise _problem(path, "size", f"{unpacked} bytes unpacked", f"at most {MAX_DECODED_BYTES}")


def _check_schema(reader: Any, path: Path, types: Mapping[str, str]) -> None:
    """Whether its schema is flat, of the expected types, and nothing more."""
    schema = reader.schema_arrow
    found_types = {field.name: str(field.type) for field in schema}
    if list(found_types.items()) != list(types.items()) or len(schema) != len(types):
        described = ", ".join(f"{name} {kind}" for name, kind in found_types.items())
        wanted = ", ".join(f"{name} {kind}" for name, kind in types.items())
        raise _problem(path, "columns", show(described, 300), wanted)
    extra = [*(schema.metadata or {}), *(key for field in schema for key in _metadata(field))]
    if extra:  # none of ours has any; others' readers have run what stood there
        raise _problem(path, "columns", f"further data in the footer ({show(repr(extra[0]), 40)})", "none")


def _metadata(field: Any) -> list[bytes]:
    return [key for key in field.metadata or {} if key != b"PARQUET:field_id"]


def read_predictions(content: bytes, path: Path, task: Task) -> dict[str, Split]:
    """Dev split -> predictions by ascending row; :class:`Refused` when a row occurs twice."""
    types = prediction_types(task)
    table = read_table(content, path, types)
    scores = np.stack([table[name] for name in types if name.startswith("score")], axis=1)
    found: dict[str, Split] = {}
    for name, where in _splits(table["split"], path):
        order = where[np.argsort(table["row"][where], kind="stable")]
        rows = table["row"][order]
        if (np.diff(rows) == 0).any() or rows[0] < 0:
            raise _problem(path, "row", "a row twice, or below zero", "every row once")
        found[name] = Split(rows, scores[order], table["influence"][order])
    return found


def read_influence(content: bytes, path: Path, task: Task) -> dict[str, Split]:
    """As :func:`read_predictions`, but only the influence column is decoded; ``scores`` has no columns."""
    table = read_table(content, path, prediction_types(task), ("split", "row", "influence"))
    found: dict[str, Split] = {}
    for name, where in _splits(table["split"], path):
        order = where[np.argsort(table["row"][where], kind="stable")]
        nothing = np.empty((len(order), 0), np.float32)
        found[name] = Split(table["row"][order], nothing, table["influence"][order])
    return found


def _splits(encoded: Any, path: Path) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Each dev set's name and the positions of its rows."""
    names = encoded.dictionary.to_pylist()
    if len(names) > 8 or len(set(names)) != len(names):
        raise _problem(path, "split", f"{len(names)} names", "the task's dev sets, each once")
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    for code, name in enumerate(names):
        yield str(name), np.flatnonzero(codes == code)


def read_samples(content: bytes, path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a measurement's ``samples.parquet``; times must be positive."""
    table = read_table(content, path, SAMPLE_TYPES)
    if len(table["nanoseconds"]) == 0 or (table["nanoseconds"] <= 0).any():
        raise _problem(path, "nanoseconds", "no rows, or a time that is not positive", "positive times")
    return table
