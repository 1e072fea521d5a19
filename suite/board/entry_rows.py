"""An entry's row, cell by cell, as every table of entries has it."""

from __future__ import annotations

from collections.abc import Sequence

from suite.board import svg
from suite.board.departures import departures
from suite.board.site import FP32, Links, Shown, Site, View
from suite.board.tables import Cell, Column, Row, gap, value
from suite.board.text import (
    Missing,
    counted,
    digits,
    fixed,
    level_words,
    ordinal,
    plus_minus,
    rank_range,
    ratio_span,
    shorten,
    signed,
)
from suite.documents import Entry
from suite.protocol import REPORTING
from suite.statistics import Interval

SUBSET = "dev subset"


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
        Column("Params", "millions", key="parameters", brief="M"),
        Column("FLOPs", "G at 128 tokens", key="flops", brief="G"),
    ]


def cost_cells(entry: Entry, links: Links) -> list[Cell]:
    parameters = entry.cost.parameters
    small = ""
    if parameters.nonzero < 0.995 * parameters.total:
        small = f"{fixed(100 * parameters.nonzero / parameters.total, 0)}% non-zero"
    flops = entry.cost.flops_per_example.get("128")
    return [
        value(digits(parameters.total / 1e6, 4, 2), small, links.entry(entry, "parameters")),
        gap(Missing("not traced at 128"))
        if flops is None
        else value(digits(flops / 1e9, 3, 2), "", links.entry(entry, "flops")),
    ]


def view_columns(site: Site, links: Links, view: View) -> list[Column]:
    """What depends on where and with what a row was timed, and on the file that was."""
    where = site.profile_title(view.profile) if view.profile else "no profile yet"
    href = links.profile(view.profile) if view.profile else None
    return [
        Column("Size", "MB", key="bytes", brief="MB"),
        Column("Speed", "times the reference’s", where, href, key="speed", brief="×"),
        Column("Latency", "ms, by speed", view.runtime or "best runtime", key="latency", brief="ms"),
    ]


def view_cells(entry: Entry, shown: Shown | Missing, links: Links) -> list[Cell]:
    size = file_size(entry, shown)
    first = (
        gap(Missing("no file recorded"))
        if size is None
        else value(digits(size[0] / 1e6, 4, 1), size[1], links.entry(entry, "bytes"))
    )
    return [first, *_speed_cells(entry, shown, links)]


def _speed_cells(entry: Entry, shown: Shown | Missing, links: Links) -> list[Cell]:
    if isinstance(shown, Missing):
        return [gap(shown, 2, links.entry(entry, "speed") if entry.speed or entry.empty else None)]
    ratio, href = shown.ratio, links.measured(entry, *shown.measurements)
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
    if shown.ms is None:
        return [first, gap(Missing("the reference was not timed"))]
    return [first, value(digits(shown.ms, 3, 2), where, href, faint=shown.noisy, note=note)]


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
    if departed := departures(site, entry):
        tags.append(counted(len(departed), "departure"))
    name = entry.variant if by_variant else shorten(site.title(entry.recipe), 60)
    return Row(
        head=Cell(text=name, href=links.entry(entry)),
        cells=tuple(cells),
        lead=tuple(lead),
        swatch=svg.swatch(site.mark(entry.recipe), hollow=not entry.default),
        tags=tuple(tags),
        variant="" if by_variant else site.variant(entry),
    )


def level_cell(entry: Entry, links: Links) -> Cell:
    return Cell(text=level_words(entry.level, entry.retrained), href=links.entry(entry, "level"))


def rank_cell(entry: Entry, links: Links) -> Cell:
    if entry.ranks is None:
        if entry.board_score is None:
            return Cell(reason="no score")
        return Cell(reason="not ranked")
    ranks = entry.ranks
    return Cell(text=rank_range(ranks.lowest, ranks.highest), href=links.entry(entry, "rank"))


def score_cell(entry: Entry, links: Links) -> Cell:
    score = entry.board_score
    if score is None:
        return gap(Missing(entry.board_score_reason or "core tasks missing"))
    small = plus_minus(score.value, score.interval) if score.interval else "no interval"
    return value(fixed(score.value, 1), small, links.entry(entry, "score"))


def score_of(entry: Entry, shown: Shown | Missing) -> tuple[float, Interval | None] | None:
    """The score that belongs to what was timed: the board's, with its interval; of a lower precision what its own
    answers score, and none where they were not scored."""
    if entry.board_score is None:
        return None
    if isinstance(shown, Missing) or shown.precision == FP32:
        return entry.board_score.value, entry.board_score.interval
    return (shown.own[0], None) if shown.own else None


def score_words(entry: Entry) -> str:
    """``72.4 ±0.6``, of an entry that has a board score."""
    assert entry.board_score is not None
    interval = entry.board_score.interval
    shown = fixed(entry.board_score.value, 1)
    return f"{shown} {plus_minus(entry.board_score.value, interval)}" if interval else shown


TOLD_APART = "correcting for all comparisons at once, at 95% confidence"


def rank_words(site: Site, entry: Entry) -> str:
    """The rank range as a sentence."""
    if entry.ranks is None:
        if entry.board_score is None:
            reason = (entry.board_score_reason or "core tasks are missing").removeprefix("n/a: ")
            return f"Not ranked: {reason}."
        if entry.ablation_of is not None:
            return "Not ranked: an ablation."
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
    if site.is_best(entry):
        return f"Scores highest; {verb.lower()} {place} ({TOLD_APART})."
    tie = "cannot" if ranks.ties_with_best else "can"
    return f"{verb} {place}; {tie} be told apart from the best row ({TOLD_APART})."
