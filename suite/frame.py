"""The stored entries as one pandas DataFrame: what a notebook starts from, and the export's first table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.documents import Entry, Estimate
from suite.index import entries
from suite.protocol import TRACKS

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 1000  # rows as Python has them: of a whole large table they take many times its memory


def load_results(results: Path | str = "results", track: str | None = None) -> pd.DataFrame:
    """A pandas DataFrame of the stored entries: one row per entry and task.

    Units are in the column names. A speed column is ``<figure>[profile/runtime/precision/arrival/inputs]``,
    where figure is ``speedup`` (times as fast as the reference), its ``_low`` and ``_high`` ends (95%), or
    ``p50_ms``, ``p90_ms``, ``peak_memory_bytes``.
    """
    return frame(entries(results, track))


def frame(of: Iterable[Entry]) -> pd.DataFrame:
    """The same table of entries at hand."""
    found = frame_of(row for entry in of for row in _rows(entry))
    return found if len(found.columns) else frame_of((), _COLUMNS)


def frame_of(rows: Iterable[Mapping[str, Any]], columns: Iterable[str] = ()) -> pd.DataFrame:
    """A DataFrame of records, few of them taken at once: as dicts, many thousand hold several times what they say."""
    import pandas as pd

    found: dict[str, list[Any]] = {name: [] for name in columns}
    rows, number = iter(rows), 0
    while some := list(islice(rows, AT_ONCE)):
        for name in dict.fromkeys(chain.from_iterable(some)):
            if name not in found:
                found[name] = [None] * number
        for name, column in found.items():
            column += [row.get(name) for row in some]
        number += len(some)
    return pd.DataFrame(found) if any(found.values()) else pd.DataFrame(columns=list(found))


_COLUMNS = ["track", "recipe", "variant", "task", "score_points"]


def _rows(entry: Entry) -> Iterator[dict[str, Any]]:
    known, cost = TRACKS.get(entry.track), entry.cost
    name = {
        "track": entry.track,
        "division": entry.division,
        "recipe": entry.recipe,
        "variant": entry.variant,
        "default": entry.default,
        "method": entry.method,
        "level": entry.level,
    }
    whole = {
        **_ends(entry.board_score, "board_score", "points"),
        "rank_lowest": entry.ranks.lowest if entry.ranks else None,
        "rank_highest": entry.ranks.highest if entry.ranks else None,
        "parameters_total": cost.parameters.total,
        "parameters_without_embeddings": cost.parameters.without_embeddings,
        "parameters_nonzero": cost.parameters.nonzero,
        "flops_per_example_128_tokens": cost.flops_per_example.get("128"),
    }
    more = {
        "training_tflop": entry.training_cost.tflop,
        "training_device_hours": entry.training_cost.device_hours,
        **{f"size_bytes[{kind}]": size for kind, size in cost.bytes.items()},
        **_speed_columns(entry),
    }
    for task, quality in entry.quality.items():
        runs = quality.runs
        yield {
            **name,
            "task": task,
            "core": task in known.core if known else False,
            "score_points": quality.score,
            "score_low_points": quality.interval[0],
            "score_high_points": quality.interval[1],
            "runs": len(runs),
            "diverged_runs": sum(run.diverged for run in runs),
            "dev_subset": quality.dev_subset,
            **{
                f"{metric}_fraction": math.fsum(run.metrics.get(metric, math.nan) for run in runs) / len(runs)
                for metric in runs[0].metrics
            },
            **_ends(quality.retention, "retention", "fraction"),
            **whole,
            "flops_per_example_dev": cost.flops_per_example.get(f"dev/{task}"),
            **more,
        }


def _ends(estimate: Estimate | None, name: str, unit: str) -> dict[str, float | None]:
    interval = estimate.interval if estimate else None
    return {
        f"{name}_{unit}": estimate.value if estimate else None,
        f"{name}_low_{unit}": interval[0] if interval else None,
        f"{name}_high_{unit}": interval[1] if interval else None,
    }


def _speed_columns(entry: Entry) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for line in entry.speed:
        key = "/".join((line.profile, line.runtime, line.precision, line.arrival, line.inputs))
        interval = line.ratio.interval
        columns = {
            f"speedup[{key}]": line.ratio.value,
            f"speedup_low[{key}]": interval[0] if interval else None,
            f"speedup_high[{key}]": interval[1] if interval else None,
            f"p50_ms[{key}]": line.latency_ms.p50,
            f"p90_ms[{key}]": line.latency_ms.p90,
            f"peak_memory_bytes[{key}]": line.peak_memory_bytes,
        }
        for name, value in columns.items():
            found.setdefault(name, value)
    return found
