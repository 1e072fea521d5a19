"""The compare page of a track: printed, the pairs that matter; with its script, any two to four entries."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from suite.board import front, svg
from suite.board.compare import data
from suite.board.compare.paired import MOST, Comparable, comparable, name_of
from suite.board.page import Page, page
from suite.board.site import Links, Site, known_track, track_title
from suite.board.tables import Cell, Column, Row, Table, gap, table, value
from suite.board.text import Missing, fixed, listed, p_words, shorten_middle, span
from suite.documents import Entry
from suite.statistics import Difference

PAIRS = 60  # printed


def compare_path(track: str) -> str:
    return f"tracks/{track}/compare.html"


def compare_pages(site: Site, track: str) -> Iterator[Page]:
    """The page and what its script reads."""
    path = compare_path(track)
    links = Links(path)
    found = comparable(site, track)
    tables = _tables(site, links, found)
    rows = len(site.of(track))
    yield page(
        path,
        "compare.html",
        "board",
        f"Compare, {track_title(track)} track",
        links,
        track_title=track_title(track),
        track_href=links.track(track),
        tables=tables,
        index=links.to(data.index_path(track)),
        count=f"of {len(found.entries)}" + (f", the best of {rows:,} rows" if rows > MOST else ""),
        local=site.local is not None,
    )
    yield from data.scripts(site, links, found)


def _tables(site: Site, links: Links, found: Comparable) -> list[Table]:
    """Each ranked row against the reference, and against the row below it."""
    ranked = [e for e in front.group(found.entries).ranked if e.board_score]
    reference = site.reference(found.track)
    known = known_track(found.track)
    core = [task for task in (known.core if known else ()) if task in found.splits]
    tables = []
    if reference is not None and any(e is reference for e in found.entries):
        pairs = [(e, reference) for e in found.entries if e.default and e is not reference]
        tables.append(
            _table(site, links, found, pairs, core, "Each method less the reference", "against-reference")
        )
    neighbours = list(itertools.pairwise(ranked))
    if neighbours:
        tables.append(
            _table(site, links, found, neighbours, core, "Each row less the one below it", "neighbours")
        )
    return tables


def _table(
    site: Site,
    links: Links,
    found: Comparable,
    pairs: Sequence[tuple[Entry, Entry]],
    core: Sequence[str],
    caption: str,
    ident: str,
) -> Table:
    classes = [task for task in core if not site.task(task).regression]
    columns = [
        Column("Entries", kind="text"),
        Column("Score", f"points, mean of {len(core)}"),
        *(Column(site.task(task).title, "points", href=links.task(task)) for task in core),
        Column("Disagree", f"percent of rows, mean of {len(classes)}"),
    ]
    rows = []
    same = len({name_of(other) for _, other in pairs}) == 1  # then the caption names it
    for one, other in pairs[:PAIRS]:
        href = f"#entries={one.recipe}/{one.variant},{other.recipe}/{other.variant}"
        cells = [
            _difference(found.difference(one, other, tasks)) for tasks in (core, *([task] for task in core))
        ]
        share = found.disagreement(one, other, classes)
        cells.append(gap(share) if isinstance(share, Missing) else value(fixed(100 * share, 1)))
        name = shorten_middle(site.label(one), 60) + (
            "" if same else f" less {shorten_middle(site.label(other), 60)}"
        )
        rows.append(Row(Cell(text=name, href=href), tuple(cells), swatch=svg.swatch(site.mark(one.recipe))))
    notes = [
        "Paired on the same examples; small figures are 95% intervals and raw p, uncorrected for the number of "
        "comparisons. Grey: cannot be told from no difference. Disagree: rows answered differently, each entry by "
        f"its first seed, the mean over {listed(site.task(task).title for task in classes) or 'no task'}.",
    ]
    if len(pairs) > PAIRS:
        notes.append(f"The first {PAIRS} of {len(pairs):,} pairs.")
    return table(f"{caption}, {found.track} track", columns, rows, ident, notes=notes)


def _difference(found: Difference | Missing) -> Cell:
    if isinstance(found, Missing):
        return gap(found)
    said = f"{span(found.interval, 1)}, {p_words(found.p)}"
    unsure = found.interval[0] <= 0 <= found.interval[1]
    return value(fixed(found.value, 1), said, faint=unsure)
