"""What the compare page hands to its script: an index of a track's entries, and one file per entry with its vectors.

Any two of n entries can be compared from n files: what a pair needs is the distance of two influence vectors, which the
script computes, and the seeds' part of the variance, which is here as the same thousand equally likely values that
:mod:`suite.statistics` uses: a task's for all rows, and a row's own where runs of it diverged. Plain scripts, since
pages opened from a folder may not fetch.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from suite import statistics
from suite.board.compare.paired import Comparable, Scored, name_of
from suite.board.local import Local
from suite.board.page import Page
from suite.board.site import Links, Shown, Site, known_track
from suite.board.text import Missing, clean, shorten
from suite.documents import Entry

Draws = Sequence[float]


def folder(track: str) -> str:
    return f"tracks/{track}/compare"


def index_path(track: str) -> str:
    return f"{folder(track)}/index.js"


def entry_path(entry: Entry) -> str:
    return f"{folder(entry.track)}/{entry.recipe}/{entry.variant}.js"


def text_path(track: str, task: str) -> str:
    return f"{folder(track)}/texts/{task}.js"


def scripts(site: Site, links: Links, found: Comparable) -> Iterator[Page]:
    """The index, a file per entry, and in a local build a file of texts per task; ``links``: the compare page's."""
    yield _script(index_path(found.track), "lightboardCompared = ", _index(site, links, found))
    for entry in found.entries:
        yield _script(entry_path(entry), "lightboardCompared.entry(", _entry(found, entry), ")")
    if site.local is not None:
        for task in found.tasks:
            rows = _texts(site, site.local, found.track, task)
            if rows is not None:
                yield _script(text_path(found.track, task), "lightboardCompared.texts(", rows, ")")


def _script(path: str, before: str, value: Any, after: str = "") -> Page:
    """JSON is JavaScript but for two line separators; ``<`` is kept out so that no markup can stand in it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return Page(path, "", {"text": f"{before}{text}{after};\n"})


def _index(site: Site, links: Links, found: Comparable) -> dict[str, Any]:
    known = known_track(found.track)
    view = site.default_view(found.track)
    draws = _seed_parts(found)
    return {
        "local": site.local is not None,
        "timed": site.on_profile(view.profile) if view.profile else "",
        "core": [task for task in (known.core if known else ()) if task in found.splits],
        "resolution": statistics.RESOLUTION,
        "tasks": [
            {
                "name": task,
                "title": shorten(site.task(task).title, 60),
                "labels": [shorten(label, 40) for label in site.task(task).labels],
                "splits": [list(split) for split in found.splits[task]],
                "seeds": draws.get(task, []),
                "texts": links.to(text_path(found.track, task)) if site.local is not None else None,
            }
            for task in found.tasks
        ],
        "entries": [_line(site, links, entry) for entry in found.entries],
    }


def _seed_parts(found: Comparable) -> dict[str, list[float]]:
    """Task -> what one run's seed adds to the variance, as often as :mod:`suite.statistics` draws it."""
    known = known_track(found.track)
    core = [task for task in (known.core if known else ()) if task in found.splits]
    ordered = [*core, *(task for task in found.tasks if task not in core)]
    return {
        task: [float(f"{value:.6g}") for value in draws]
        for task, draws in statistics.seed_draws({task: found.spreads[task] for task in ordered}).items()
    }


def _line(site: Site, links: Links, entry: Entry) -> dict[str, Any]:
    """What stands at the head of an entry's column."""
    view = site.default_view(entry.track)
    shown = site.speed(entry, view)
    timed = shown if isinstance(shown, Shown) else None
    return {
        "id": name_of(entry),
        "label": shorten(site.label(entry), 80),
        "href": links.entry(entry),
        "script": links.to(entry_path(entry)),
        "score": entry.board_score.value if entry.board_score else None,
        "interval": list(entry.board_score.interval)
        if entry.board_score and entry.board_score.interval
        else None,
        "why": shorten(entry.board_score_reason or "", 120),
        "ratio": timed.ratio.value if timed else None,
        "ratio_interval": list(timed.ratio.interval) if timed and timed.ratio.interval else None,
        "runtime": timed.runtime if timed else "",
        "noisy": timed.noisy if timed else False,
        "slow": shown.reason if isinstance(shown, Missing) else "",
        "parameters": entry.cost.parameters.total,
        "flops": entry.cost.flops_per_example.get("128"),
        "bytes": timed.bytes if timed else next((b for _, b in sorted(entry.cost.bytes.items())), None),
        "training": entry.training_cost.tflop,
    }


def _entry(found: Comparable, entry: Entry) -> dict[str, Any]:
    return {
        "id": name_of(entry),
        "tasks": {
            task: _vectors(one) | _own_seeds(found, entry, task)
            for task, one in found.rows[name_of(entry)].items()
        },
    }


def _own_seeds(found: Comparable, entry: Entry, task: str) -> dict[str, list[float]]:
    """What one run's seed adds for a row of which some runs diverged, in place of the task's; no others have it."""
    evidence = found.rows[name_of(entry)][task].evidence
    draws = statistics.own_seed_draws(evidence, found.spreads[task], f"{name_of(entry)}/{task}")
    return {} if draws is None else {"own": [float(f"{value:.6g}") for value in draws]}


def _vectors(one: Scored) -> dict[str, Any]:
    """Influence values as little-endian 32-bit floats; answers as digits, or numbers with two decimals."""
    influence = np.asarray(one.evidence.influence, dtype="<f4")
    whole = bool((one.said == np.round(one.said)).all() and (one.said >= 0).all() and (one.said < 10).all())
    return {
        "score": one.evidence.score,
        "runs": one.evidence.runs,
        "seeds": list(one.seeds),
        "seedless": one.evidence.seedless,
        "influence": base64.b64encode(influence.tobytes()).decode("ascii"),
        "said": "".join(f"{int(v)}" for v in one.said) if whole else [round(float(v), 2) for v in one.said],
    }


def _texts(site: Site, local: Local, track: str, task: str) -> dict[str, Any] | None:
    """Texts and gold labels in the order of the answers; only in a build that is not for publishing."""
    about = site.task(task)
    rows = local.rows(about, track)
    if isinstance(rows, Missing):
        return None
    texts, gold = [], []
    for split in (name for name in about.dev_splits if name in rows):
        columns = rows[split]
        pairs = zip(*(columns[name] for name in ("a", "b") if name in columns), strict=True)
        texts += [[str(clean(text)) for text in pair] for pair in pairs]
        gold += [float(label) for label in columns["label"]]
    return {"task": task, "texts": texts, "gold": gold}
