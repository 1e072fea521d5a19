"""Tables as files: CSV, JSON and parquet of what a track has, and of every view of its front page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from suite import export
from suite.board.entry_rows import file_size
from suite.board.front import groups
from suite.board.outputs.places import table_file, view_file
from suite.board.site import Shown, Site, View, known_track
from suite.documents import Entry
from suite.frame import frame_of

if TYPE_CHECKING:
    import pandas as pd

TABLES = {
    "entries": "a row per entry and task",
    "runs": "a row per seed",
    "speeds": "a row per measurement that an entry has",
    "precisions": "a row per task that a lower precision's own answers were scored on, beside the same weights in full",
    "differences": "a row per ablation and task, against the recipe it changes",
    "changes": "a row per step of the track’s log",
}
GROUPS = ("ranked", "points", "open", "incomplete")


def table_files(site: Site, track: str, name: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    """A table of a track in every format."""
    if name == "changes":
        frame = frame_of(changes(site, track), _CHANGES)
    else:
        frame = export.table_of(name, [entry for entry in site.entries if entry.track == track])
    for suffix, parts in export.encoded(frame):
        yield table_file(track, name, suffix), parts


_CHANGES = ("number", "date", "action", "recipe", "variant", "documents", "reason", "by")


def changes(site: Site, track: str) -> list[dict[str, Any]]:
    return [
        {
            **{name: getattr(one, name) for name in _CHANGES},
            "documents": " ".join(named.place for named in one.documents),
        }
        for one in site.evidence.log(track)
    ]


def view_files(site: Site, track: str, view: View) -> Iterator[tuple[str, Iterable[bytes]]]:
    """A front page's table in every format."""
    for suffix, parts in export.encoded(view_frame(site, track, view)):
        yield view_file(track, view, suffix), parts


def ordered(site: Site, track: str) -> list[tuple[str, Entry]]:
    """Every row of a front page with its group, in the page's order; the same of every view."""
    found = groups(site, track)
    return [(name, entry) for name in GROUPS for entry in getattr(found, name)]


def view_frame(site: Site, track: str, view: View) -> pd.DataFrame:
    """A row per entry, as the front page has them; units in the column names, as in :mod:`suite.export`."""
    first = site.once(f"first columns of {track}", lambda: _first_columns(site, track))
    return first.join(frame_of(_last_cells(site, entry, view) for _, entry in ordered(site, track)))


def _first_columns(site: Site, track: str) -> pd.DataFrame:
    """Those that are the same of every view."""
    rows = ordered(site, track)
    tasks = tasks_of(track, [entry for _, entry in rows])
    return frame_of(_first_cells(name, entry, tasks) for name, entry in rows)


def tasks_of(track: str, entries: Sequence[Entry]) -> list[str]:
    """Tasks that some entry has, in the track's order, then a user's own."""
    seen = {task for entry in entries for task in entry.quality}
    known = known_track(track)
    planned = [task for task in (known.tasks if known else ()) if task in seen]
    return [*planned, *sorted(seen - set(planned))]


def _first_cells(name: str, entry: Entry, tasks: Sequence[str]) -> dict[str, Any]:
    score, ranks = entry.board_score, entry.ranks
    low, high = (score.interval if score else None) or (None, None)
    found: dict[str, Any] = {
        "group": name,
        "rank_lowest": ranks.lowest if ranks else None,
        "rank_highest": ranks.highest if ranks else None,
        "recipe": entry.recipe,
        "variant": entry.variant,
        "division": entry.division,
        "level": entry.level,
        "score_points": score.value if score else None,
        "score_low_points": low,
        "score_high_points": high,
    }
    for task in tasks:
        quality = entry.quality.get(task)
        found[f"{task}_points"] = quality.score if quality else None
        found[f"{task}_low_points"] = quality.interval[0] if quality else None
        found[f"{task}_high_points"] = quality.interval[1] if quality else None
    return {
        **found,
        "parameters_total": entry.cost.parameters.total,
        "flops_per_example_128_tokens": entry.cost.flops_per_example.get("128"),
    }


def _last_cells(site: Site, entry: Entry, view: View) -> dict[str, Any]:
    shown = site.speed(entry, view)
    timed = shown if isinstance(shown, Shown) else None
    size = file_size(entry, shown)
    faster = timed.ratio.interval if timed else None
    return {
        "size_bytes": size[0] if size else None,
        "profile": view.profile,
        "runtime": timed.runtime if timed else None,
        "precision": timed.precision if timed else None,
        "speedup_times": timed.ratio.value if timed else None,
        "speedup_low_times": faster[0] if faster else None,
        "speedup_high_times": faster[1] if faster else None,
        "latency_ms": timed.ms if timed else None,
        "p50_ms": timed.p50 if timed else None,
        "p90_ms": timed.p90 if timed else None,
        "peak_memory_bytes": timed.memory if timed else None,
        "noisy": timed.noisy if timed else None,
        "not_measured_because": None if timed else getattr(shown, "reason", None),
        "training_tflop": entry.training_cost.tflop,
    }
