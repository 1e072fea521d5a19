"""A track's front page: the answer in words, the ranked table and what stands below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from suite.board import charts, cut, svg
from suite.board.entry_rows import (
    TOLD_APART,
    cost_cells,
    cost_columns,
    level_cell,
    mixed_subset,
    named_row,
    rank_cell,
    score_cell,
    score_words,
    task_cell,
    task_column,
    training_cell,
    view_cells,
    view_columns,
)
from suite.board.site import FP32, Links, Shown, Site, View, known_track, track_title
from suite.board.tables import Cell, Column, Row, Table, table
from suite.board.text import counted, digits, fixed, listed, sentence, shorten, times_faster
from suite.documents import Entry

UNDRAWN = Markup("")  # the interval of a row that its page does not print: the script draws it


@dataclass(frozen=True)
class Legend:
    """A method's mark and name."""

    swatch: Markup
    title: str
    href: str


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


def groups(site: Site, track: str) -> Groups:
    """Of a track's rows: put in order once."""
    return site.once(f"groups of {track}", lambda: group(site.of(track)))


# --- the answer in words ------------------------------------------------------------------------------------


def answer(site: Site, track: str, view: View) -> list[str]:
    """What the table says, in two or three sentences computed from it."""
    ranked = groups(site, track).ranked
    reference = site.reference(track)
    students = [e for e in ranked if not site.is_reference(e) and not site.is_baseline(e)]
    said: list[str] = []
    if not ranked or not students:
        return ["No compressed model has all its core tasks yet, so nothing is ranked."]
    if reference is not None and reference.board_score:
        said.append(f"The reference scores {score_words(reference)}.")
    tied = [e for e in students if e.ranks and e.ranks.ties_with_best]
    others = [e for e in tied if not site.is_best(e)]
    first = students[0]
    if site.is_best(first):
        said.append(f"{_named(site, first)} scores highest with {score_words(first)}.")
    if others:
        more = [f"{len(others) - 4} more"] if len(others) > 4 else []
        names = listed([*(_named(site, e) for e in others[:4]), *more])
        of = f"Of {counted(len(students), 'compressed model')}, " if len(students) > 1 else ""
        said.append(f"{of}{names} cannot be told apart from the best row ({TOLD_APART}).")
    elif not site.is_best(first):
        said.append(
            f"No compressed model matches the best row; {_named(site, first)} comes closest with {score_words(first)}."
        )
    chosen = _fastest(site, tied or [first], view)
    if chosen and view.profile:
        entry, shown = chosen
        who = "The fastest of them" if len(tied) > 1 else "It"
        name = f", {_named(site, entry)}," if len(tied) > 1 else ""
        speed = times_faster(shown.ratio.value, "the reference")
        doubt = " in a noisy measurement" if shown.noisy else ""
        ms = f" (about {digits(shown.ms)} ms a query)" if shown.ms else ""
        said.append(f"{who}{name} is {speed} {site.on_profile(view.profile)}{ms}{doubt}.")
        if shown.precision != FP32:
            own = (
                f"its own answers score {fixed(shown.own[0], 1)}"
                if shown.own
                else "its own answers were not scored"
            )
            said.append(f"That time is of {shown.precision}, where {own}; the scores above are of the runs.")
    elif view.profile is None:
        said.append("Nothing has been timed yet.")
    return said


def _named(site: Site, entry: Entry) -> str:
    """A ranked row where names stand in a list: its variant in brackets, so that every comma parts two rows."""
    variant = site.variant(entry)
    return f"{site.title(entry.recipe)} ({variant})" if variant else site.title(entry.recipe)


def _fastest(site: Site, entries: Sequence[Entry], view: View) -> tuple[Entry, Shown] | None:
    timed = [(e, s) for e in entries if isinstance(s := site.speed(e, view), Shown)]
    return max(timed, key=lambda pair: pair[1].ratio.value) if timed else None


# --- the tables ---------------------------------------------------------------------------------------------


def _rows(
    site: Site,
    links: Links,
    entries: Sequence[Entry],
    tasks: Sequence[str],
    domain: tuple[float, float] | None,
    drawn: int,
) -> list[Row]:
    """Rank, method, score, tasks, cost, level, training. The first ``drawn`` have their interval."""
    rows = []
    mixed = {task: mixed_subset(entries, task) for task in tasks}
    for number, entry in enumerate(entries):
        made = named_row(
            site,
            links,
            entry,
            [
                *_score_cells(site, entry, links, domain, drawn=number < drawn),
                *(task_cell(entry, t, links, mixed=mixed[t]) for t in tasks),
                *cost_cells(entry, links),
                level_cell(entry, links),
                training_cell(entry, links),
            ],
            lead=[rank_cell(entry, links)],
        )
        rows.append(made._replace(entry=f"{entry.recipe}/{entry.variant}"))
    return rows


def _score_cells(
    site: Site, entry: Entry, links: Links, domain: tuple[float, float] | None, *, drawn: bool
) -> list[Cell]:
    """The score and its interval as a strip, or one gap for both."""
    cell, score = score_cell(entry, links), entry.board_score
    if score is None:
        return [cell._replace(span=2)]
    if domain is None:
        return [cell, Cell()]
    strip = charts.strip(score.value, score.interval, domain, site.mark(entry.recipe)) if drawn else UNDRAWN
    return [cell, Cell(drawing=strip)]


def score_domain(site: Site, track: str) -> tuple[float, float] | None:
    """The scale of the strips: of all rows but the baselines, which would squeeze the others."""
    scores = [e.board_score for e in site.known(track).scored if e.board_score]
    ends = [end for s in scores for end in (s.interval or (s.value, s.value))]
    return charts.padded(ends) if ends else None


def leaderboard(site: Site, links: Links, track: str) -> Table:
    """The ranked rows and, under headings of their own, those that cannot be ranked with them.

    Without what depends on the view: :func:`of_view` has those columns, which stand before the last ``AFTER``.
    """
    entries = site.of(track)
    known = known_track(track)
    core = list(known.core) if known else sorted({task for e in entries for task in e.quality})
    found = groups(site, track)
    domain = score_domain(site, track)
    columns = [
        Column("Rank", "range", kind="rank", key="rank"),
        Column("Method", kind="text", key="method"),
        Column("Score", f"mean of {len(core)}", key="score"),
        Column("", "95% interval", kind="strip"),
        *(task_column(site, links, track, task) for task in core),
        *cost_columns(),
        Column("Checked", "level", kind="text", key="level"),
        Column("Training", "TFLOP", key="training", brief="TFLOP"),
    ]
    rows: list[Row] = []
    for heading, of in (
        ("Ranked: one default variant per method", found.ranked),
        ("Other operating points of the same methods, outside the ranking", found.points),
        ("Open division: other training, the same measuring; not ranked with the rest", found.open),
        ("Without a board score: a core task is missing", found.incomplete),
    ):
        made = _rows(site, links, of, core, domain, cut.PRINTED - len(rows))
        rows += [made[0]._replace(opens=heading), *made[1:]] if made else []
    title = track_title(track)
    return table(f"All rows of the {title} track", columns, rows, "board", cards=True, hidden_caption=True)


AFTER = 2  # columns of the board to the right of the view's: how it was checked, what its training took


def of_view(site: Site, links: Links, track: str, view: View, board: Table) -> Table:
    """Size, speed and latency of every row of the board."""
    timed = {f"{e.recipe}/{e.variant}": (e, shown) for e, shown in site.timed(track, view)}
    rows = []
    for row in board.rows:
        entry, shown = timed[row.entry]
        rows.append(Row(Cell(), tuple(view_cells(entry, shown, links))))
    columns = [Column(""), *view_columns(site, links, view)]
    return table("", columns, rows, "board")


def viewed(board: Table, added: Table) -> Table:
    """As many rows of the board as a page prints, with the view's columns."""
    rows = [
        row._replace(cells=(*row.cells[:-AFTER], *more.cells, *row.cells[-AFTER:]))
        for row, more in zip(board.rows[: cut.PRINTED], added.rows, strict=False)
    ]
    columns = (*board.columns[:-AFTER], *added.columns[1:], *board.columns[-AFTER:])
    return replace(board, columns=columns, rows=tuple(rows))


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
    mixed = {task: mixed_subset(rows, task) for task in tasks}
    printed = rows[: cut.PRINTED]
    made = [
        named_row(site, links, e, [task_cell(e, t, links, mixed=mixed[t]) for t in tasks]) for e in printed
    ]
    columns = [Column("Method", kind="text"), *(task_column(site, links, track, t) for t in tasks)]
    return table(
        "Extended tasks: shown, not averaged into the score",
        columns,
        made,
        "extended",
        notes=cut.said(len(printed), len(rows)),
    )


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
        if note := site.seed_note(track, name):
            said.append(note)
        if said:
            notes.append((site.task(name).title, " ".join(said)))
    return notes


def legend(site: Site, links: Links, track: str) -> list[Legend]:
    """Every method drawn, by name; of very many the best rows' alone."""
    names = site.by_title({e.recipe for e in site.known(track).scored[: cut.PRINTED]})
    return [
        Legend(
            svg.swatch(site.mark(name)),
            shorten(site.title(name), 40),
            links.method(name),
        )
        for name in names
    ]
