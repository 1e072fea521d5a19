"""A track's front page: the answer in words, the charts, the ranked table and what stands below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from markupsafe import Markup

from suite.board import charts, svg
from suite.board.charts import Axis, Line, Point
from suite.board.site import Links, Shown, Site, View, anchor, known_track
from suite.board.tables import Cell, Column, Row, Table, gap, table, value
from suite.board.text import (
    Missing,
    counted,
    digits,
    fixed,
    level_words,
    listed,
    ordinal,
    plus_minus,
    rank_range,
    ratio_span,
    round_number,
    sentence,
    shorten,
    signed,
    times_faster,
)
from suite.documents import Entry
from suite.protocol import REPORTING

SUBSET = "dev subset"
DRAWN = 200  # points of a chart, and those of its front


@dataclass(frozen=True)
class Figure:
    """A chart in its two widths, with the sentence that says what it shows."""

    wide: Markup
    narrow: Markup
    caption: str
    title: str


@dataclass(frozen=True)
class Legend:
    """A method's mark and name."""

    swatch: Markup
    title: str
    href: str
    several: bool


# --- which rows stand where ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Groups:
    ranked: list[Entry]
    points: list[Entry]  # further operating points of the recipes: never ranked
    open: list[Entry]
    incomplete: list[Entry]  # no board score


def group(entries: Sequence[Entry]) -> Groups:
    def score(entry: Entry) -> float:
        return entry.board_score.value if entry.board_score else float("-inf")

    ordered = sorted(entries, key=lambda e: (-score(e), e.recipe, e.variant))
    whole = [e for e in ordered if e.board_score]
    standard = [e for e in whole if e.division == "standard"]
    return Groups(
        ranked=[e for e in standard if e.ranks and e.default],
        points=[e for e in standard if not (e.ranks and e.default)],
        open=[e for e in whole if e.division == "open"],
        incomplete=sorted((e for e in ordered if not e.board_score), key=lambda e: (e.recipe, e.variant)),
    )


# --- the answer in words ------------------------------------------------------------------------------------


def answer(site: Site, track: str, view: View) -> list[str]:
    """What the table says, in two or three sentences computed from it."""
    ranked = group(site.of(track)).ranked
    reference = site.reference(track)
    students = [e for e in ranked if not site.is_reference(e) and not site.is_baseline(e)]
    said: list[str] = []
    if not ranked or not students:
        return ["No compressed model has all its core tasks yet, so nothing is ranked."]
    if reference is not None and reference.board_score:
        said.append(f"The reference scores {_score(reference)}.")
    tied = [e for e in students if e.ranks and e.ranks.ties_with_best]
    if tied:
        names = listed(site.label(e) for e in tied[:4]) + (
            f" and {len(tied) - 4} more" if len(tied) > 4 else ""
        )
        of = f"Of {counted(len(students), 'compressed model')}, " if len(students) > 1 else ""
        verb = "cannot be told apart from the best row"
        said.append(f"{of}{names} {verb} (95% confidence).")
    else:
        best = students[0]
        said.append(
            f"No compressed model matches the best row; {site.label(best)} comes closest with {_score(best)}."
        )
    chosen = _fastest(site, tied or students[:1], view)
    if chosen and view.profile:
        entry, shown = chosen
        who = "The fastest of them" if len(tied) > 1 else "It"
        name = f", {site.label(entry)}," if len(tied) > 1 else ""
        speed = times_faster(shown.ratio.value, "the reference")
        doubt = " in a noisy measurement" if shown.noisy else ""
        ms = f" ({digits(shown.p50)} ms a query)" if shown.p50 else ""
        said.append(f"{who}{name} is {speed} {site.on_profile(view.profile)}{ms}{doubt}.")
    elif view.profile is None:
        said.append("Nothing has been timed yet.")
    return said


def _score(entry: Entry) -> str:
    assert entry.board_score is not None
    interval = entry.board_score.interval
    shown = fixed(entry.board_score.value, 1)
    return f"{shown} {plus_minus(entry.board_score.value, interval)}" if interval else shown


def _fastest(site: Site, entries: Sequence[Entry], view: View) -> tuple[Entry, Shown] | None:
    timed = [(e, s) for e in entries if isinstance(s := site.speed(e, view), Shown)]
    return max(timed, key=lambda pair: pair[1].ratio.value) if timed else None


# --- the tables ---------------------------------------------------------------------------------------------


def task_column(site: Site, links: Links, track: str, task: str) -> Column:
    subset = SUBSET if site.dev_subset(track, task) else ""
    return Column(site.task(task).title, note=subset, href=links.task(task), key=f"task-{task}")


def task_cell(entry: Entry, task: str, links: Links, *, mixed: bool = False) -> Cell:
    """The task score ± its interval; ``mixed``: only some rows of the column are of a dev subset."""
    quality = entry.quality.get(task)
    if quality is None:
        return gap(Missing("no run yet"))
    small, note = plus_minus(quality.score, quality.interval), ""
    if may_diverge(entry) and any(run.diverged for run in quality.runs):
        diverged = sum(run.diverged for run in quality.runs)
        note = "diverged" if diverged == len(quality.runs) else f"{diverged} of {len(quality.runs)} diverged"
    if mixed and quality.dev_subset:
        note = f"{note}, {SUBSET}" if note else SUBSET
    return value(fixed(quality.score, 1), small, links.entry(entry, f"task-{task}"), note=note)


def may_diverge(entry: Entry) -> bool:
    """Whether "all one class" says that something went wrong; it is what the majority class is."""
    return entry.recipe != str(REPORTING["baselines"]["majority"])


def mixed_subset(entries: Sequence[Entry], task: str) -> bool:
    kinds = {e.quality[task].dev_subset for e in entries if task in e.quality}
    return len(kinds) > 1


def file_size(entry: Entry, shown: Shown | Missing) -> tuple[int, str] | None:
    """Bytes of the shipped file: the one that was timed, else ONNX, else what there is."""
    if isinstance(shown, Shown):
        return shown.bytes, ""
    for key in ("onnx/fp32", "safetensors/fp32", *sorted(entry.cost.bytes)):
        if key in entry.cost.bytes:
            return entry.cost.bytes[key], key.partition("/")[0]
    return None


def cost_columns() -> list[Column]:
    return [
        Column("Params", "millions", key="parameters"),
        Column("FLOPs", "G at 128 tokens", key="flops"),
        Column("Size", "MB", key="bytes"),
    ]


def cost_cells(entry: Entry, shown: Shown | Missing, links: Links) -> list[Cell]:
    parameters = entry.cost.parameters
    small = ""
    if parameters.nonzero < 0.995 * parameters.total:
        small = f"{fixed(100 * parameters.nonzero / parameters.total, 0)}% non-zero"
    flops = entry.cost.flops_per_example.get("128")
    size = file_size(entry, shown)
    return [
        value(digits(parameters.total / 1e6, 4, 2), small, links.entry(entry, "parameters")),
        gap(Missing("not traced at 128"))
        if flops is None
        else value(digits(flops / 1e9, 3, 2), "", links.entry(entry, "flops")),
        gap(Missing("no file recorded"))
        if size is None
        else value(digits(size[0] / 1e6, 4, 1), size[1], links.entry(entry, "bytes")),
    ]


def speed_columns(site: Site, links: Links, view: View) -> list[Column]:
    where = site.profile_title(view.profile) if view.profile else "no profile yet"
    href = links.profile(view.profile) if view.profile else None
    return [
        Column("Speed", "times the reference’s", where, href, key="speed"),
        Column("Latency", "ms, median", view.runtime or "best runtime", key="latency"),
    ]


def speed_cells(entry: Entry, shown: Shown | Missing, links: Links) -> list[Cell]:
    if isinstance(shown, Missing):
        return [gap(shown, 2)]
    ratio, href = shown.ratio, links.entry(entry, anchor(shown.measurement))
    small = ratio_span(ratio.interval) if ratio.interval else f"{counted(ratio.pairs, 'pair')}, no interval"
    where = shown.runtime + ("" if shown.precision == "fp32" else f" {shown.precision}")
    note = f"mean of {len(shown.tasks)} tasks" if shown.tasks else ""
    if shown.precision != "fp32":
        lower = (
            "not scored"
            if shown.own is None
            else f"scores {fixed(shown.own[0], 1)} ({signed(shown.own[1], 1)})"
        )
        note = ", ".join(filter(None, (note, f"{shown.precision} {lower}")))
    doubt = "noisy" if shown.noisy else ""
    first = value(digits(ratio.value, 3, 2), small, href, faint=shown.noisy, note=doubt)
    if shown.p50 is None:
        return [first, gap(Missing("too few queries"))]
    return [first, value(digits(shown.p50, 3, 2), where, href, faint=shown.noisy, note=note)]


def training_cell(entry: Entry, links: Links) -> Cell:
    tasks = len(entry.quality)
    return value(
        digits(entry.training_cost.tflop, 3, 2), counted(tasks, "task"), links.entry(entry, "training")
    )


def named_row(
    site: Site,
    links: Links,
    entry: Entry,
    cells: Sequence[Cell],
    *,
    lead: Sequence[Cell] = (),
    by_variant: bool = False,
) -> Row:
    """A row of an entry: its mark, its name (on the method's own page its variant), what must be known."""
    tags = []
    if site.is_reference(entry):
        tags.append("reference")
    elif site.is_baseline(entry):
        tags.append("baseline")
    if entry.division == "open":
        tags.append("open division")
    if entry.departures:
        tags.append(counted(len(entry.departures), "departure"))
    name = entry.variant if by_variant else shorten(site.title(entry.recipe), 60)
    return Row(
        head=Cell(text=name, href=links.entry(entry)),
        cells=tuple(cells),
        lead=tuple(lead),
        swatch=svg.swatch(site.mark(entry.recipe), hollow=not entry.default),
        tags=tuple(tags),
        variant="" if by_variant else site.variant(entry),
    )


def rows_of(
    site: Site,
    links: Links,
    entries: Sequence[Entry],
    tasks: Sequence[str],
    view: View,
    domain: tuple[float, float] | None,
) -> list[Row]:
    """Full rows: rank, method, score, tasks, cost, speed, level, training."""
    rows = []
    for entry in entries:
        shown = site.speed(entry, view)
        made = named_row(
            site,
            links,
            entry,
            [
                *score_cells(site, entry, links, domain),
                *(task_cell(entry, t, links, mixed=mixed_subset(entries, t)) for t in tasks),
                *cost_cells(entry, shown, links),
                *speed_cells(entry, shown, links),
                level_cell(entry, links),
                training_cell(entry, links),
            ],
            lead=[rank_cell(entry, links)],
        )
        rows.append(replace(made, entry=f"{entry.recipe}/{entry.variant}"))
    return rows


def level_cell(entry: Entry, links: Links) -> Cell:
    return Cell(text=level_words(entry.level, entry.retrained), href=links.entry(entry, "level"))


def rank_cell(entry: Entry, links: Links) -> Cell:
    if entry.ranks is None:
        if entry.board_score is None:
            return Cell(reason="no score")
        return Cell(reason="not ranked")
    ranks = entry.ranks
    return Cell(text=rank_range(ranks.lowest, ranks.highest), href=links.entry(entry, "rank"))


def score_cells(site: Site, entry: Entry, links: Links, domain: tuple[float, float] | None) -> list[Cell]:
    score = entry.board_score
    if score is None:
        return [gap(Missing(entry.board_score_reason or "core tasks missing"), 2)]
    small = plus_minus(score.value, score.interval) if score.interval else "no interval"
    drawing = charts.strip(score.value, score.interval, domain, site.mark(entry.recipe)) if domain else None
    return [value(fixed(score.value, 1), small, links.entry(entry, "score")), Cell(drawing=drawing)]


def score_domain(site: Site, entries: Sequence[Entry]) -> tuple[float, float] | None:
    """The scale of the strips: of all rows but the baselines, which would squeeze the others."""
    scores = [e.board_score for e in entries if e.board_score and not site.is_baseline(e)]
    ends = [end for s in scores for end in (s.interval or (s.value, s.value))]
    return charts.padded(ends) if ends else None


def leaderboard(site: Site, links: Links, track: str, view: View) -> Table:
    """The ranked rows and, under headings of their own, those that cannot be ranked with them."""
    entries = site.of(track)
    known = known_track(track)
    core = list(known.core) if known else sorted({task for e in entries for task in e.quality})
    groups = group(entries)
    domain = score_domain(site, entries)
    columns = [
        Column("Rank", "range", kind="rank", key="rank"),
        Column("Method", kind="text", key="method"),
        Column("Score", f"mean of {len(core)}", key="score"),
        Column("", "95% interval", kind="strip"),
        *(task_column(site, links, track, task) for task in core),
        *cost_columns(),
        *speed_columns(site, links, view),
        Column("Checked", "level", kind="text", key="level"),
        Column("Training", "TFLOP", key="training"),
    ]
    rows: list[Row] = []
    for heading, of in (
        ("Ranked: one default variant per method", groups.ranked),
        ("Other operating points of the same methods, outside the ranking", groups.points),
        ("Open division: other training, the same measuring; not ranked with the rest", groups.open),
        ("Without a board score: a core task is missing", groups.incomplete),
    ):
        made = rows_of(site, links, of, core, view, domain)
        rows += [replace(made[0], opens=heading), *made[1:]] if made else []
    title = known.title if known else track
    return table(f"All rows of the {title} track", columns, rows, "board", cards=True, hidden_caption=True)


def extended(site: Site, links: Links, track: str) -> Table | None:
    """The extended tasks, shown and not averaged; own tasks too."""
    entries = site.of(track)
    known = known_track(track)
    core = set(known.core) if known else set()
    seen = {task for e in entries for task in e.quality} - core
    order = {task: i for i, task in enumerate(known.extended)} if known else {}
    tasks = sorted(seen, key=lambda task: (order.get(task, len(order)), task))
    if not tasks or not known:
        return None
    rows = [e for e in entries if any(t in e.quality for t in tasks)]
    rows.sort(key=lambda e: (-(e.board_score.value if e.board_score else -1e9), e.recipe, e.variant))
    made = [
        named_row(site, links, e, [task_cell(e, t, links, mixed=mixed_subset(rows, t)) for t in tasks])
        for e in rows
    ]
    columns = [Column("Method", kind="text"), *(task_column(site, links, track, t) for t in tasks)]
    return table("Extended tasks: shown, not averaged into the score", columns, made, "extended")


def task_notes(site: Site, track: str) -> list[tuple[str, str]]:
    """Task title and what must be said of its column."""
    known = known_track(track)
    entries = site.of(track)
    names = list(known.tasks) if known else sorted({t for e in entries for t in e.quality})
    names = [name for name in names if any(name in e.quality for e in entries)]
    notes = []
    for name in names:
        said = []
        if site.dev_subset(track, name):
            said.append("Scored on a dev subset: the same distribution, not the official figure.")
        if note := site.task_note(track, name):
            said.append(sentence(note))
        if said:
            notes.append((site.task(name).title, " ".join(said)))
    return notes


# --- the charts ---------------------------------------------------------------------------------------------


def point(
    site: Site,
    links: Links,
    entry: Entry,
    x: float,
    x_interval: tuple[float, float] | None,
    words: str,
    *,
    faint: bool = False,
) -> Point:
    assert entry.board_score is not None
    return Point(
        x=x,
        y=entry.board_score.value,
        x_interval=x_interval,
        y_interval=entry.board_score.interval,
        label=site.title(entry.recipe),
        detail=f"{shorten(site.label(entry), 60)}: score {_score(entry)}, {words}",
        href=links.entry(entry),
        mark=site.mark(entry.recipe),
        family=entry.recipe,
        hollow=not entry.default,
        reference=site.is_reference(entry),
        faint=faint,
        entry=f"{entry.recipe}/{entry.variant}",
    )


def baselines(site: Site, links: Links, entries: Sequence[Entry], view: View) -> list[Line]:
    lines = []
    for entry in entries:
        if not site.is_baseline(entry) or not entry.board_score:
            continue
        shown = site.speed(entry, view)
        words = f", {digits(shown.ratio.value, 2, 0)}× as fast" if isinstance(shown, Shown) else ""
        label = f"{shorten(site.title(entry.recipe), 28)} {fixed(entry.board_score.value, 1)}{words}"
        lines.append(Line(entry.board_score.value, label, links.entry(entry)))
    return sorted(lines, key=lambda line: -line.y)


_Kind = Literal["speed", "parameters"]
_KINDS: tuple[_Kind, ...] = ("speed", "parameters")


def figures(site: Site, links: Links, track: str, view: View, ident: str = "") -> list[Figure]:
    """Score against speed and against parameters, of every row that has both."""
    entries = [e for e in site.of(track) if e.board_score]
    return [
        figure for kind in _KINDS if (figure := _figure(site, links, entries, view, kind, ident)) is not None
    ]


def _figure(
    site: Site,
    links: Links,
    entries: Sequence[Entry],
    view: View,
    kind: _Kind,
    prefix: str,
) -> Figure | None:
    points = []
    for entry in entries:
        if site.is_baseline(entry):
            continue
        if kind == "speed":
            shown = site.speed(entry, view)
            if isinstance(shown, Shown) and shown.ratio.value > 0:
                where = f"{digits(shown.ratio.value)} times the reference’s speed with {shown.runtime}"
                points.append(
                    point(
                        site, links, entry, shown.ratio.value, shown.ratio.interval, where, faint=shown.noisy
                    )
                )
        elif entry.cost.parameters.total > 0:
            millions = entry.cost.parameters.total / 1e6
            points.append(point(site, links, entry, millions, None, f"{digits(millions)} million parameters"))
    if not points:
        return None
    whole, points = len(points), thinned(points, "more" if kind == "speed" else "less")
    lines = baselines(site, links, entries, view)
    if kind == "speed":
        where = site.on_profile(view.profile) if view.profile else ""
        title = "Score against speed"
        axis = Axis("times as fast as the reference, log scale", "more", lambda v: f"{round_number(v)}×")
        better = f"Up is better, right is faster {where}."
    else:
        title = "Score against parameters"
        axis = Axis("million parameters, log scale", "less")
        better = "Up is better, left is smaller."
    caption = (
        f"{better} Bars are 95% intervals; the stepped line joins what no other row beats on both counts; "
        "curves join the operating points of one method."
    )
    if len(points) < whole:
        caption += f" Of {whole:,} rows the best {DRAWN} and the front are drawn."
    best = charts.front(points, axis.better)
    description = (
        f"{counted(len(points), 'row')} drawn. On the front: {listed(shorten(p.label, 40) for p in best)}. "
        "The table below has the same numbers."
    )
    drawn = [
        charts.scatter(
            points,
            lines,
            ident=f"{prefix}{kind}-{name}",
            title=title,
            description=sentence(description),
            x=axis,
            y=Axis("board score", "more"),
            size=size,
        )
        for name, size in (("wide", charts.WIDE), ("narrow", charts.NARROW))
    ]
    return Figure(drawn[0], drawn[1], caption, title)


def thinned(points: Sequence[Point], better: Literal["more", "less"]) -> list[Point]:
    """The best by score, as many as can be told apart in a drawing, and whatever lies on the front."""
    best = {id(p) for p in sorted(points, key=lambda p: -p.y)[:DRAWN]}
    best |= {id(p) for p in charts.front(points, better)}
    return [p for p in points if id(p) in best]


def legend(site: Site, links: Links, entries: Sequence[Entry]) -> list[Legend]:
    """Every method drawn, by name."""
    names = sorted({e.recipe for e in entries if e.board_score and not site.is_baseline(e)})
    return [
        Legend(
            svg.swatch(site.mark(name)),
            shorten(site.title(name), 40),
            links.method(name),
            sum(e.recipe == name for e in entries) > 1,
        )
        for name in names
    ]


def rank_words(entry: Entry) -> str:
    """The rank range as a sentence."""
    if entry.ranks is None:
        if entry.board_score is None:
            return "Not ranked: " + (entry.board_score_reason or "core tasks are missing") + "."
        if entry.division == "open":
            return "Not ranked: open division."
        return "Not ranked: only one default variant per method is."
    ranks = entry.ranks
    if ranks.lowest == ranks.highest:
        place = f"{ordinal(ranks.lowest)} of {ranks.of}"
    else:
        place = f"anywhere from {ordinal(ranks.lowest)} to {ordinal(ranks.highest)} of {ranks.of}"
    if ranks.lowest == ranks.highest == 1:
        return f"Stands {place}."
    verb = "Stands" if ranks.lowest == ranks.highest else "Could stand"
    tie = "cannot" if ranks.ties_with_best else "can"
    return f"{verb} {place}; {tie} be told apart from the best row (95% confidence)."
