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
from functools import cached_property
from typing import Any, Literal, get_args

from suite import pick, statistics
from suite.board import charts, cut, front, pareto, scatter, vega
from suite.board.entry_rows import file_size, score_of
from suite.board.reported import Standing, standings
from suite.board.site import FP32, Links, Shown, Site, View
from suite.board.tables import Cell, Row, Table
from suite.board.text import Missing, clean, level_words, shorten
from suite.board.variants import family
from suite.documents import Entry, Level, Measurement
from suite.runtimes import hands_out

Values = Mapping[str, tuple[float, tuple[float, float] | None]]


@dataclass(frozen=True)
class Quantity:
    """What can stand across the chart; ``values`` by entry, with the interval where there is one."""

    key: str
    title: str
    better: Literal["more", "less"]
    suffix: str
    unit: str  # after a value in words
    values: Values

    @cached_property
    def domain(self) -> tuple[float, float]:
        return scatter.log_domain([v for value, span in self.values.values() for v in (value, *(span or ()))])


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


def _full_name(entry: Entry) -> str:
    return f"{entry.track}/{ident(entry)}"


# --- what there is to choose from ---------------------------------------------------------------------------


def candidates(site: Site, track: str, view: View) -> list[pick.Candidate]:
    """Every row with a board score and, where it was timed in a lower precision, with a score of that."""
    found = (_candidate(site, entry, shown) for entry, shown in site.timed(track, view))
    return [one for one in found if one is not None]


def _candidate(site: Site, entry: Entry, shown: Shown | Missing) -> pick.Candidate | None:
    score = score_of(entry, shown)
    if score is None:
        return None
    return pick.Candidate(
        entry=_full_name(entry),
        label=shorten(site.label(entry), 60),
        score=score[0],
        interval=score[1],
        **_limits(entry, shown),
    )


def _limits(entry: Entry, shown: Shown | Missing) -> dict[str, Any]:
    """What of a candidate is another one in every view."""
    size = file_size(entry, shown)
    timed = shown if isinstance(shown, Shown) else None
    pairs = timed.ratio.pairs if timed else 0
    return {
        "runtime": timed.runtime if timed and hands_out(timed.runtime) else None,
        "ratio": timed.ratio.value if timed and timed.ratio.value > 0 else None,
        "log_se": statistics.log_standard_error(timed.ratio.interval, pairs) if timed else None,
        "degrees": pairs - 1 if timed and pairs > 1 else None,
        "noisy": timed.noisy if timed else False,
        "size_bytes": size[0] if size else None,
        "memory_bytes": (timed.memory or None) if timed else None,
    }


# --- the axes -----------------------------------------------------------------------------------------------


def quantities(site: Site, track: str, view: View) -> list[Quantity]:
    """Every axis that some row can be drawn on, in the order they are offered."""
    speed: dict[str, tuple[float, tuple[float, float] | None]] = {}
    sizes: dict[str, float] = {}
    memory: dict[str, float] = {}
    joules: dict[str, float | None] = {}
    for entry, shown in site.timed(track, view):
        if not entry.board_score or site.is_baseline(entry):
            continue
        name = ident(entry)
        if size := file_size(entry, shown):
            sizes[name] = size[0] / 1e6
        if isinstance(shown, Shown):
            if shown.ratio.value > 0:
                speed[name] = shown.ratio.value, shown.ratio.interval
            memory[name] = shown.memory / 1e6
            joules[name] = _joules(site, track, shown)
    parameters, flops, training = _own_quantities(site, track)
    found = [
        Quantity(
            "speed", "times as fast as the reference", "more", "×", "times the reference’s speed", speed
        ),
        parameters,
        flops,
        _cost("bytes", "size of the model file, MB", "MB", sizes),
        _cost("memory", "memory when answering, MB", "MB of memory", memory),
        _cost("energy", "joules a query", "J a query", joules),
        training,
    ]
    return [one for one in found if one.values]


def _own_quantities(site: Site, track: str) -> Sequence[Quantity]:
    """On which a row stands the same in every view: found once a track."""

    def found() -> Sequence[Quantity]:
        entries = {ident(e): e for e in site.known(track).scored}
        parameters = {name: e.cost.parameters.total / 1e6 for name, e in entries.items()}
        flops = {name: _giga(e) for name, e in entries.items()}
        training = {name: e.training_cost.tflop for name, e in entries.items()}
        return (
            _cost("parameters", "parameters, millions", "million parameters", parameters),
            _cost("flops", "GFLOPs at 128 tokens", "GFLOPs", flops),
            _cost("training", "training cost, TFLOP", "TFLOP of training", training),
        )

    return site.once(f"own quantities of {track}", found)


def _cost(key: str, title: str, unit: str, values: Mapping[str, float | None]) -> Quantity:
    return Quantity(key, title, "less", "", unit, {name: (v, None) for name, v in values.items() if v})


def _giga(entry: Entry) -> float | None:
    flops = entry.cost.flops_per_example.get("128")
    return None if flops is None else flops / 1e9


def _joules(site: Site, track: str, shown: Shown) -> float | None:
    """Where a counter was read; never an estimate. A document is read once, not again for each view of its profile."""
    place = shown.measurements[0]
    known: dict[str, float | None] = site.kept.setdefault(f"joules on {track}", {})
    if place not in known:
        document = site.measured(track, place)
        energy = document.energy if isinstance(document, Measurement) else None
        known[place] = energy.joules_per_query if energy else None
    return known[place]


def _axis(one: Quantity) -> dict[str, Any]:
    low, high = one.domain
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
    known = site.known(track)
    titles = sorted(((site.title(name), name) for name in known.recipes), key=lambda t: (t[0].lower(), t[1]))
    levels = [level for level in get_args(Level) if level in known.levels]
    on = f" --profile {view.profile}" if view.profile else ""
    return Explored(
        scripts=(links.to(rows_path(track)), links.to(data_path(track, view))),
        chart=links.to(vega.FILE) if vega.available() else None,
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
    axes = _own_quantities(site, track)
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
        "strip": front.score_domain(site, track),
        "swatches": swatches,
        "rows": told,
    }
    return f"globalThis.lightboardTrack = {_dumped(found)};\n"


def data(
    site: Site, links: Links, track: str, view: View, board: Table, added: Table, axes: Sequence[Quantity]
) -> str:
    """The script of a front page: the axes of its chart, and what the view adds to each of the track's rows."""
    timed = {ident(entry): (entry, shown) for entry, shown in site.timed(track, view)}
    scored = site.known(track).scored
    beside = standings(site, track)
    lines = pareto.baselines(site, links, site.of(track), view)
    ends = [*_ends(scored), *(one.score for one in beside)]
    columns = front.viewed(board, added).columns
    moving = [one for one in axes if one.key not in _OF_ENTRY]
    rows = []
    for number, (row, more) in enumerate(zip(board.rows, added.rows, strict=True)):
        entry, shown = timed[row.entry]
        record = _added(entry, shown, row.entry, moving)
        if number >= cut.PRINTED:
            home = links.entry(entry)
            record["cells"] = [_cell(c, home) for c in more.cells]
        rows.append(record)
    told = {
        "reference_ms": site.reference_ms(track, view.profile),
        "columns": [_column(c.key, c.title) for c in columns if c.key],
        "kinds": [[c.kind, c.label] for c in columns],
        "after": front.AFTER,
        "axes": [_axis(one) for one in axes],
        "y_domain": _round(scatter.score_domain(ends, [line.y for line in lines])) if scored else None,
        "lines": [{"y": line.y, "label": line.label, "more": line.more} for line in lines],
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


def _record(site: Site, entry: Entry, axes: Sequence[Quantity]) -> dict[str, Any]:
    """What of a row is the same in every view of its track."""
    mark = site.mark(entry.recipe)
    levels = get_args(Level)
    name, label, giga, score = ident(entry), site.label(entry), _giga(entry), entry.board_score
    short = shorten(label, 60)
    words = (label, name, entry.division, level_words(entry.level, entry.retrained))
    return {
        "id": name,
        "label": short,
        "name": shorten(site.title(entry.recipe), 26),
        "method": entry.recipe,
        "family": family(entry),
        "level": entry.level,
        "default": entry.default,
        "reference": site.is_reference(entry),
        "baseline": site.is_baseline(entry),
        "hue": mark.hue,
        "shape": mark.shape,
        "text": " ".join(str(clean(part)).lower() for part in words),
        "pick": {
            "entry": _full_name(entry),
            "label": short,
            "score": score.value,
            "interval": score.interval,
        }
        if score
        else None,
        "at": _at(name, axes),
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


def _added(entry: Entry, shown: Shown | Missing, name: str, axes: Sequence[Quantity]) -> dict[str, Any]:
    """What a view adds to a row; of a lower precision also its own score, and no candidate where there is none."""
    timed = shown if isinstance(shown, Shown) else None
    score, limits = score_of(entry, shown), _limits(entry, shown)
    lower = timed is not None and timed.precision != FP32
    own = {"score": score[0], "interval": score[1]} if score and lower else {}
    size = limits["size_bytes"]
    return {
        "noisy": limits["noisy"],
        "pick": {**own, **limits} if score else None,
        "at": _at(name, axes),
        "sort": {
            "bytes": None if size is None else [size],
            "speed": [timed.ratio.value] if timed else None,
            "latency": [timed.ms] if timed and timed.ms is not None else None,
        },
    }


def _at(name: str, axes: Sequence[Quantity]) -> dict[str, list[float]]:
    """Where a row stands on each axis: the value, and the ends of its interval where it has one."""
    found = {}
    for one in axes:
        if (at := one.values.get(name)) is not None:
            value, interval = at
            found[one.key] = _round((value, *interval) if interval else (value,))
    return found


def _head(row: Row) -> Cell:
    return row.head._replace(small=row.variant)


def _cell(cell: Cell, home: str) -> list[Any]:
    """text, small, note, href, reason, span, class, drawn; the end is cut where it says nothing.

    ``href`` is cut to what follows ``home``, the entry's own page; ``drawn``: the row's interval stands here.
    """
    text, small, note, href, reason, drawing, span, faint, *_ = cell
    kind = ("gap faint" if faint else "gap") if reason is not None else "faint" if faint else ""
    if href and href.startswith(home):
        href = "~" + href[len(home) :]
    told = [text, small, note, href, reason, span, kind, drawing is not None]
    while len(told) > 1 and told[-1] == _NOTHING[len(told) - 1]:
        told.pop()
    return told


_NOTHING = (
    "",
    "",
    "",
    None,
    None,
    1,
    "",
    False,
)  # what each of a cell's values is where there is nothing to say


def _tidy(value: Any) -> Any:
    """Strings cleaned as in templates."""
    if isinstance(value, Mapping):
        return {str(clean(key)): _tidy(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_tidy(one) for one in value]
    return str(clean(value)) if isinstance(value, str) else value


def _round(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
