"""What a front page hands to its script: every row as numbers, the axes of the chart, the rows not printed.

The page is complete without: the script only sorts, filters, draws and picks what stands here. One file has what is
the same in every view of a track, one per front page what the view adds; plain scripts, since pages opened from a
folder may not fetch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from suite import pick, statistics
from suite.board import charts, cut, front, pareto, scatter, vega
from suite.board.entry_rows import file_size, score_of
from suite.board.reported import Standing, standings
from suite.board.site import FP32, Links, Shown, Site, View
from suite.board.tables import Cell, Row, Table
from suite.board.text import Missing, clean, level_words, shorten
from suite.documents import Entry, Level, Measurement
from suite.protocol import MEASURING


@dataclass(frozen=True)
class Quantity:
    """What can stand across the chart; ``values`` by entry, with the interval where there is one."""

    key: str
    title: str
    better: Literal["more", "less"]
    suffix: str
    unit: str  # after a value in words
    values: Mapping[str, tuple[float, tuple[float, float] | None]]


@dataclass(frozen=True)
class Explored:
    """What the template needs beside the printed rows; the places of the scripts with all of them."""

    scripts: tuple[str, ...]
    chart: str | None
    axes: tuple[Quantity, ...]
    methods: tuple[tuple[str, str], ...]
    levels: tuple[str, ...]
    rows: int
    printed: int
    command: str  # the same choice on the command line


def data_path(track: str, view: View) -> str:
    return f"tracks/{track}/data/{view.profile or 'unmeasured'}/{view.runtime or 'best'}.js"


def rows_path(track: str) -> str:
    return f"tracks/{track}/data/rows.js"


def ident(entry: Entry) -> str:
    return f"{entry.recipe}/{entry.variant}"


# --- what there is to choose from ---------------------------------------------------------------------------


def candidates(site: Site, track: str, view: View) -> list[pick.Candidate]:
    """Every row with a board score and, where it was timed in a lower precision, with a score of that."""
    found = (_candidate(site, e, site.speed(e, view)) for e in site.of(track))
    return [one for one in found if one is not None]


def _candidate(site: Site, entry: Entry, shown: Shown | Missing) -> pick.Candidate | None:
    score = score_of(entry, shown)
    if score is None:
        return None
    size = file_size(entry, shown)
    timed = shown if isinstance(shown, Shown) else None
    pairs = timed.ratio.pairs if timed else 0
    return pick.Candidate(
        entry=f"{entry.track}/{ident(entry)}",
        label=shorten(site.label(entry), 60),
        score=score[0],
        interval=score[1],
        runtime=timed.runtime if timed else None,
        ratio=timed.ratio.value if timed and timed.ratio.value > 0 else None,
        log_se=statistics.log_standard_error(timed.ratio.interval, pairs) if timed else None,
        degrees=pairs - 1 if timed and pairs > 1 else None,
        noisy=timed.noisy if timed else False,
        size_bytes=size[0] if size else None,
        memory_bytes=(timed.memory or None) if timed else None,
    )


def reference_ms(site: Site, track: str, profile: str | None) -> float | None:
    """The reference's own milliseconds a query on a profile, in the runtime that every ratio there is against."""
    reference = site.reference(track)
    if reference is None or profile is None:
        return None
    known = site.profiles.get(profile)
    runtime = (known and known.reference_runtime) or MEASURING["reference"]["runtime"]
    shown = site.speed(reference, View(profile, runtime))
    return shown.p50 if isinstance(shown, Shown) else None


# --- the axes -----------------------------------------------------------------------------------------------


def quantities(site: Site, track: str, view: View) -> list[Quantity]:
    """Every axis that some row can be drawn on, in the order they are offered."""
    entries = [e for e in site.of(track) if e.board_score and not site.is_baseline(e)]
    shown = {ident(e): s for e in entries if isinstance(s := site.speed(e, view), Shown)}
    joules = {name: j for name, s in shown.items() if (j := _joules(site, track, s)) is not None}

    def of(key: str, title: str, unit: str, values: Mapping[str, float | None]) -> Quantity:
        known = {name: (value, None) for name, value in values.items() if value}
        return Quantity(key, title, "less", "", unit, known)

    def size(entry: Entry) -> float | None:
        found = file_size(entry, site.speed(entry, view))
        return found[0] / 1e6 if found else None

    speed = {name: (s.ratio.value, s.ratio.interval) for name, s in shown.items() if s.ratio.value > 0}
    found = [
        Quantity(
            "speed", "times as fast as the reference", "more", "×", "times the reference’s speed", speed
        ),
        of(
            "parameters",
            "million parameters",
            "million parameters",
            {ident(e): e.cost.parameters.total / 1e6 for e in entries},
        ),
        of("flops", "GFLOPs at 128 tokens", "GFLOPs", {ident(e): _giga(e) for e in entries}),
        of("bytes", "size of the model file, MB", "MB", {ident(e): size(e) for e in entries}),
        of(
            "memory",
            "memory when answering, MB",
            "MB of memory",
            {n: s.memory / 1e6 for n, s in shown.items()},
        ),
        of("energy", "joules a query", "J a query", joules),
        of(
            "training",
            "training cost, TFLOP",
            "TFLOP of training",
            {ident(e): e.training_cost.tflop for e in entries},
        ),
    ]
    return [one for one in found if one.values]


def _giga(entry: Entry) -> float | None:
    flops = entry.cost.flops_per_example.get("128")
    return None if flops is None else flops / 1e9


def _joules(site: Site, track: str, shown: Shown) -> float | None:
    """Where a counter was read; never an estimate."""
    document = site.measured(track, shown.measurements[0])
    energy = document.energy if isinstance(document, Measurement) else None
    return energy.joules_per_query if energy else None


def _axis(one: Quantity) -> dict[str, Any]:
    low, high = scatter.log_domain([v for value, span in one.values.values() for v in (value, *(span or ()))])
    return {
        "key": one.key,
        "title": one.title,
        "better": one.better,
        "suffix": one.suffix,
        "unit": one.unit,
        "domain": _round([low, high]),
        "ticks": {"wide": charts.log_ticks(low, high, 9), "narrow": charts.log_ticks(low, high, 6)},
    }


# --- the rows -----------------------------------------------------------------------------------------------


def explored(
    site: Site, links: Links, track: str, view: View, rows: int, axes: Sequence[Quantity]
) -> Explored:
    entries = site.of(track)
    titles = sorted({(site.title(e.recipe), e.recipe) for e in entries}, key=lambda t: (t[0].lower(), t[1]))
    levels = [level for level in get_args(Level) if any(e.level == level for e in entries)]
    on = f" --profile {view.profile}" if view.profile else ""
    return Explored(
        scripts=(links.to(rows_path(track)), links.to(data_path(track, view))),
        chart=links.to(vega.FILE) if vega.script() is not None else None,
        axes=tuple(axes),
        methods=tuple((recipe, shorten(title, 40)) for title, recipe in titles),
        levels=tuple(levels),
        rows=rows,
        printed=min(rows, cut.PRINTED),
        command=f"lightboard pick --track {track}{on} --max-latency 20ms --max-size 30MB",
    )


def rows(site: Site, links: Links, track: str, board: Table) -> str:
    """The script of a track: its rows without what depends on the view. ``links``: those ``board`` was made for."""
    entries = {ident(e): e for e in site.of(track)}
    axes = [one for one in quantities(site, track, View(None)) if one.key in _OF_ENTRY]
    told: list[dict[str, Any]] = []
    swatches: dict[str, Any] = {}
    opens = ""
    for number, row in enumerate(board.rows):
        entry = entries[row.entry]
        opens = row.opens or opens
        record = {"group": opens, **_record(site, entry, axes)}
        if number >= cut.PRINTED:
            home = links.entry(entry)
            record["cells"] = [_cell(c, home) for c in (*row.lead, _head(row), *row.cells)]
            record["tags"] = list(row.tags)
            swatches[f"{record['hue']} {record['default']}"] = row.swatch
        told.append(record)
    found = {
        "track": track,
        "strip": front.score_domain(site, list(entries.values())),
        "swatches": swatches,
        "rows": told,
    }
    return f"globalThis.lightboardTrack = {_dumped(found)};\n"


def data(
    site: Site, links: Links, track: str, view: View, board: Table, added: Table, axes: Sequence[Quantity]
) -> str:
    """The script of a front page: the axes of its chart, and what the view adds to each of the track's rows."""
    entries = {ident(e): e for e in site.of(track)}
    choices = {one.entry.partition("/")[2]: one for one in candidates(site, track, view)}
    scored = [e for e in entries.values() if e.board_score and not site.is_baseline(e)]
    beside = standings(site, track)
    lines = pareto.baselines(site, links, list(entries.values()), view)
    ends = [*_ends(scored), *(one.score for one in beside)]
    columns = front.viewed(board, added).columns
    rows = []
    for number, (row, more) in enumerate(zip(board.rows, added.rows, strict=True)):
        entry = entries[row.entry]
        record = _added(entry, site.speed(entry, view), choices.get(row.entry), axes)
        if number >= cut.PRINTED:
            record["cells"] = [_cell(c, links.entry(entry)) for c in more.cells]
        rows.append(record)
    told = {
        "reference_ms": reference_ms(site, track, view.profile),
        "columns": [_column(c.key, c.title) for c in columns if c.key],
        "kinds": [[c.kind, c.label] for c in columns],
        "after": front.AFTER,
        "axes": [_axis(one) for one in axes],
        "y_domain": _round(scatter.score_domain(ends, [line.y for line in lines])) if scored else None,
        "lines": [
            {"y": line.y, "wide": line.words(scatter.WIDE), "narrow": line.words(scatter.NARROW)}
            for line in lines
        ],
        "reported": [_paper(site, one) for one in beside],
        "rows": rows,
    }
    return f"globalThis.lightboardData = {_dumped(told)};\n"


# What JSON cannot show as it is: all but printable ASCII. A backslash that a text holds may look the same.
_ESCAPED = re.compile(r"\\(?:u([0-9a-f]{4})|[bfr])")


def _dumped(told: Any) -> str:
    text = _json(told)
    if any(not code or clean(chr(int(code, 16))) == "" for code in set(_ESCAPED.findall(text))):
        return _json(_tidy(told))  # a long walk, that hardly any board needs
    return text


def _json(told: Any) -> str:
    return json.dumps(told, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def _paper(site: Site, one: Standing) -> dict[str, Any]:
    """A paper's figure; it stands wherever its entry's row stands across."""
    mark = site.mark(one.entry.recipe)
    return {"entry": ident(one.entry), "y": _round([one.score])[0], "hue": mark.hue, "shape": mark.shape}


def _ends(entries: Sequence[Entry]) -> list[float]:
    scores = [e.board_score for e in entries if e.board_score]
    return [value for s in scores for value in (s.value, *(s.interval or ()))]


_TEXT = ("method",)
_RISING = ("rank", "parameters", "flops", "bytes", "latency", "training")  # less is better: first click


def _column(key: str, title: str) -> dict[str, Any]:
    return {"key": key, "title": title, "rising": key in _TEXT + _RISING}


_OF_ENTRY = ("flops", "parameters", "training")  # axes on which a row stands the same in every view
_NAMES = ("entry", "label")
_OF_CANDIDATE = (*_NAMES, "score", "interval")  # what of a candidate is, but for lower precisions


def _record(site: Site, entry: Entry, axes: Sequence[Quantity]) -> dict[str, Any]:
    """What of a row is the same in every view of its track."""
    mark = site.mark(entry.recipe)
    levels = get_args(Level)
    label, giga, score = site.label(entry), _giga(entry), entry.board_score
    choice = _candidate(site, entry, Missing(""))
    words = (label, ident(entry), entry.division, level_words(entry.level, entry.retrained))
    return {
        "id": ident(entry),
        "label": shorten(label, 60),
        "name": shorten(site.title(entry.recipe), 26),
        "method": entry.recipe,
        "level": entry.level,
        "default": entry.default,
        "reference": site.is_reference(entry),
        "baseline": site.is_baseline(entry),
        "hue": mark.hue,
        "shape": mark.shape,
        "text": " ".join(str(clean(part)).lower() for part in words),
        "pick": _part(choice, _OF_CANDIDATE) if choice else None,
        "at": _at(entry, axes),
        "sort": {
            "rank": [entry.ranks.lowest, entry.ranks.highest] if entry.ranks else None,
            "method": [label.lower()],
            "score": [score.value] if score else None,
            "parameters": [entry.cost.parameters.total],
            "flops": None if giga is None else [giga],
            "level": [levels.index(entry.level), entry.retrained],
            "training": [entry.training_cost.tflop],
            **{f"task-{name}": [q.score] for name, q in entry.quality.items()},
        },
    }


def _added(
    entry: Entry, shown: Shown | Missing, choice: pick.Candidate | None, axes: Sequence[Quantity]
) -> dict[str, Any]:
    """What a view adds to a row; of a lower precision also its own score, and no candidate where there is none."""
    timed = shown if isinstance(shown, Shown) else None
    size = file_size(entry, shown)
    same = _OF_CANDIDATE if timed is None or timed.precision == FP32 else _NAMES
    return {
        "noisy": bool(timed and timed.noisy),
        "pick": _part(choice, [name for name in vars(choice) if name not in same]) if choice else None,
        "at": _at(entry, [one for one in axes if one.key not in _OF_ENTRY]),
        "sort": {
            "bytes": [size[0]] if size else None,
            "speed": [timed.ratio.value] if timed else None,
            "latency": [timed.p50] if timed and timed.p50 is not None else None,
        },
    }


def _part(choice: pick.Candidate, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(choice, name) for name in names}


def _at(entry: Entry, axes: Sequence[Quantity]) -> dict[str, list[float]]:
    """Where the row stands on each axis: the value, and the ends of its interval where it has one."""
    name = ident(entry)
    found = ((one.key, one.values.get(name)) for one in axes)
    return {key: _round([at[0], *(at[1] or ())]) for key, at in found if at is not None}


def _head(row: Row) -> Cell:
    return row.head._replace(small=row.variant)


def _cell(cell: Cell, home: str) -> list[Any]:
    """text, small, note, href, reason, span, class, drawn; the end is cut where it says nothing.

    ``href`` is cut to what follows ``home``, the entry's own page; ``drawn``: the row's interval stands here.
    """
    kind = " ".join(n for n, on in (("gap", cell.reason is not None), ("faint", cell.faint)) if on)
    href = "~" + cell.href.removeprefix(home) if cell.href and cell.href.startswith(home) else cell.href
    parts = [cell.text, cell.small, cell.note, href, cell.reason, cell.span, kind, cell.drawing is not None]
    plain: list[Any] = [None, "", "", None, None, 1, "", False]
    while parts and parts[-1] == plain[len(parts) - 1]:
        parts.pop()
    return parts


def _tidy(value: Any) -> Any:
    """Strings cleaned as in templates."""
    if isinstance(value, Mapping):
        return {str(clean(key)): _tidy(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_tidy(one) for one in value]
    return str(clean(value)) if isinstance(value, str) else value


def _round(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
