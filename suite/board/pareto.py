"""Score against a cost, drawn: an entry's point, the baselines, the figures of a front page or of one method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from suite.board import cut, scatter
from suite.board.charts import Figure
from suite.board.entry_rows import score_of
from suite.board.reported import Standing, standings
from suite.board.scatter import Axis, Line, Point
from suite.board.site import Links, Shown, Site, Timed, View
from suite.board.text import (
    Missing,
    counted,
    digits,
    fixed,
    listed,
    plus_minus,
    round_number,
    sentence,
    shorten,
)
from suite.board.variants import family
from suite.documents import Entry
from suite.statistics import Interval

DRAWN = cut.PRINTED  # points of a chart, and those of its front
NAMED = 8  # methods that a caption names
BROKEN = "; a broken one is of a noisy time"

PAPERS = (
    " Dashed, without bars: what a paper reports, at our measured cost; other rules than ours, never ranked."
)

Kind = Literal["speed", "parameters"]
KINDS: tuple[Kind, ...] = ("speed", "parameters")
UNTIMED = Missing("")  # a figure against parameters shows the board's scores


class Placed(NamedTuple):
    """An entry's place: its cost, and the score of what was timed."""

    x: float
    y: float
    y_interval: Interval | None
    entry: Entry


class Drawn(NamedTuple):
    """What a figure draws, chosen before it is known on which page."""

    view: View
    kind: Kind
    points: Sequence[Placed]
    rows: int  # that could be points
    untimed: str  # whose rows have a score but no time in this view
    lines: Sequence[Entry]  # the baselines
    beside: Sequence[Standing]


def figures(site: Site, links: Links, track: str, view: View) -> list[Figure]:
    """Score against speed and against parameters, of every row that has both, beside what papers report."""
    return [figure_of(site, links, one) for one in drawn(site, track, view)]


def drawn(site: Site, track: str, view: View) -> list[Drawn]:
    """Of each figure of a track's view; none of one where no row has both."""
    timed, beside = site.timed(track, view), standings(site, track)
    return [one for kind in KINDS if (one := _chosen(site, timed, view, kind, beside)) is not None]


def figure(
    site: Site,
    links: Links,
    entries: Sequence[Entry],
    view: View,
    kind: Kind,
    ident: str = "",
) -> Figure | None:
    """The best rows and the front, in two widths; None where no row has both. ``ident`` begins its parts' ids."""
    found = _chosen(site, [(entry, site.speed(entry, view)) for entry in entries], view, kind, ())
    return figure_of(site, links, found, ident) if found is not None else None


def _chosen(site: Site, timed: Timed, view: View, kind: Kind, beside: Sequence[Standing]) -> Drawn | None:
    placed = [
        Placed(x, score[0], score[1], entry)
        for entry, shown in timed
        if (x := cost(entry, shown, kind)) > 0
        and (score := score_of(entry, shown if kind == "speed" else UNTIMED)) is not None
        and not site.is_baseline(entry)
    ]
    if not placed:
        return None
    lines = [entry for entry, _ in timed if site.is_baseline(entry)]
    untimed = _untimed(site, timed) if kind == "speed" else ""
    return Drawn(view, kind, thinned(site, placed, _better(kind)), len(placed), untimed, lines, beside)


def _untimed(site: Site, timed: Timed) -> str:
    """The methods that have rows with a score but no time here, each once."""
    scored = [
        (e, isinstance(shown, Shown)) for e, shown in timed if e.board_score and not site.is_baseline(e)
    ]
    drawn = {entry.recipe for entry, known in scored if known}
    lacking = sorted(
        {entry.recipe for entry, known in scored if not known}, key=lambda name: (name in drawn, name)
    )
    names = [("some of " if name in drawn else "") + shorten(site.title(name), 40) for name in lacking]
    return listed([*names[:NAMED], *([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])])


def _better(kind: Kind) -> Literal["more", "less"]:
    return "more" if kind == "speed" else "less"


def figure_of(site: Site, links: Links, drawn: Drawn, ident: str = "") -> Figure:
    """In two widths. ``ident`` begins its parts' ids."""
    view, kind, chosen, rows, untimed, baseline_entries, beside = drawn
    better = _better(kind)
    points = [_point(site, links, one, view, kind) for one in chosen]
    if kind == "speed":
        where = site.on_profile(view.profile) if view.profile else ""
        title = "Score against speed"
        axis = Axis("times as fast as the reference, log scale", better, lambda v: f"{round_number(v)}×")
        said = f"Up is better, right is faster {where}."
    else:
        title = "Score against parameters"
        axis = Axis("parameters, millions, log scale", better)
        said = "Up is better, left is smaller."
    bars = f"Bars are 95% intervals{BROKEN if any(point.noisy for point in points) else ''}"
    caption = f"{said} {bars}; the stepped line joins what no other compressed model beats on both counts"
    caption += " (baselines are drawn apart)" if baseline_entries else ""
    families = [point.family for point in points]
    if len(set(families)) < len(families):
        caption += "; curves join operating points of one method that differ in one setting"
    caption += "."
    if untimed:
        caption += f" Not timed in this view, so not drawn: {untimed}."
    if len(points) < rows:
        caption += f" Of {rows:,} rows the best {DRAWN} and the front are drawn."
    papers = [p for one in beside if (p := _reported(site, links, one, view, kind)) is not None]
    if papers:
        caption += PAPERS
    best = scatter.front(points, better, scatter.place)
    description = (
        f"{counted(len(points), 'row')} drawn. On the front: {listed(shorten(p.label, 40) for p in best)}. "
        "The table below has the same numbers."
    )
    lines = baselines(site, links, baseline_entries, view if kind == "speed" else View(None))
    wide, narrow = (
        scatter.scatter(
            [*points, *papers],
            lines,
            ident=f"{ident}{kind}-{name}",
            title=title,
            description=sentence(description),
            x=axis,
            y=Axis("board score", "more"),
            size=size,
        )
        for name, size in (("wide", scatter.WIDE), ("narrow", scatter.NARROW))
    )
    return Figure(wide, narrow, caption, title)


def cost(entry: Entry, shown: Shown | Missing, kind: Kind) -> float:
    """Where the entry stands across; 0 where it was not measured."""
    if kind == "parameters":
        return entry.cost.parameters.total / 1e6
    return shown.ratio.value if isinstance(shown, Shown) else 0.0


def thinned(site: Site, placed: Sequence[Placed], better: Literal["more", "less"]) -> list[Placed]:
    """The best by score, as many as can be told apart in a drawing, and whatever lies on the front."""

    def place(one: Placed) -> tuple[float, float, str]:
        return one.x, one.y, site.title(one.entry.recipe)

    best = {id(one) for one in sorted(placed, key=lambda one: -one.y)[:DRAWN]}
    best |= {id(one) for one in scatter.front(placed, better, place)}
    return [one for one in placed if id(one) in best]


def _point(site: Site, links: Links, one: Placed, view: View, kind: Kind) -> Point:
    entry, x_interval, noisy = one.entry, None, False
    words = f"{digits(one.x)} million parameters"
    shown = site.speed(entry, view) if kind == "speed" else UNTIMED
    if isinstance(shown, Shown):
        words = f"{digits(one.x)} times the reference’s speed with {shown.runtime}"
        x_interval, noisy = shown.ratio.interval, shown.noisy
    score = fixed(one.y, 1) + (f" {plus_minus(one.y, one.y_interval)}" if one.y_interval else "")
    return Point(
        x=one.x,
        y=one.y,
        x_interval=x_interval,
        y_interval=one.y_interval,
        label=site.title(entry.recipe),
        detail=f"{shorten(site.label(entry), 60)}: score {score}, {words}",
        href=links.entry(entry),
        mark=site.mark(entry.recipe),
        family=family(entry),
        hollow=not entry.default,
        reference=site.is_reference(entry),
        noisy=noisy,
        entry=f"{entry.recipe}/{entry.variant}",
    )


def _reported(site: Site, links: Links, one: Standing, view: View, kind: Kind) -> Point | None:
    """A paper's figure, at the cost of our entry; None where that was not measured."""
    x = cost(one.entry, site.speed(one.entry, view), kind)
    if x <= 0:
        return None
    title = site.title(one.entry.recipe)
    return Point(
        x=x,
        y=one.score,
        x_interval=None,
        y_interval=None,
        label=title,
        detail=f"{shorten(title, 60)}: {one.words}",
        href=f"{links.method(one.entry.recipe)}#published-{one.number}",
        mark=site.mark(one.entry.recipe),
        family=f"{one.entry.recipe}, reported",
        hollow=True,
        reported=True,
    )


def baselines(site: Site, links: Links, entries: Sequence[Entry], view: View) -> list[Line]:
    """The baselines among the entries, the best first; with how fast they are in the view, where they were timed."""
    lines = []
    for entry in entries:
        if not site.is_baseline(entry) or not entry.board_score:
            continue
        shown = site.speed(entry, view)
        more = f", {digits(shown.ratio.value, 2, 0)}× as fast" if isinstance(shown, Shown) else ""
        label = f"{shorten(site.title(entry.recipe), 28)} {fixed(entry.board_score.value, 1)}"
        lines.append(Line(entry.board_score.value, label, links.entry(entry), more))
    return sorted(lines, key=lambda line: -line.y)
