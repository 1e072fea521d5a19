"""The methods' pages: idea, variants, cost, ablations, strengths, what its paper says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from suite.board import front, svg
from suite.board.entries import figures, quality, training
from suite.board.front import (
    cost_cells,
    level_cell,
    named_row,
    rank_cell,
    score_cells,
    speed_cells,
    training_cell,
)
from suite.board.methods import ablations, knobs, retention
from suite.board.page import Page, page
from suite.board.site import (
    Links,
    Site,
    View,
    known_track,
)
from suite.board.tables import Column, Row, gap, table
from suite.board.text import (
    Missing,
)
from suite.documents import Entry


def methods_list(site: Site, recipes: Sequence[str]) -> Page:
    links = Links("methods.html")
    shown = []
    for recipe in recipes:
        known = site.recipes.get(recipe)
        tracks = sorted({e.track for e in site.entries if e.recipe == recipe}, key=site.tracks().index)
        shown.append(
            {
                "href": links.method(recipe),
                "title": site.title(recipe),
                "swatch": svg.swatch(site.mark(recipe)),
                "idea": known.about.idea if known else "",
                "tracks": [(t, links.track(t)) for t in tracks],
            }
        )
    return page("methods.html", "methods.html", "methods", "Methods", links, methods=shown)


def method_page(site: Site, recipe: str) -> Page:
    path = f"methods/{recipe}.html"
    links = Links(path)
    known = site.recipes.get(recipe)
    parts = []
    for track in site.tracks():
        entries = [e for e in site.of(track) if e.recipe == recipe]
        if entries:
            parts.append(_method_on(site, links, recipe, track, entries))
    return page(
        path,
        "method.html",
        "methods",
        site.title(recipe),
        links,
        name=recipe,
        recipe=known,
        swatch=svg.swatch(site.mark(recipe)),
        parts_of=parts,
        modules=sorted({e.method for e in site.entries if e.recipe == recipe}),
    )


def _method_on(site: Site, links: Links, recipe: str, track: str, entries: Sequence[Entry]) -> dict[str, Any]:
    view = site.default_view(track)
    known = known_track(track)
    ordered = sorted(
        entries, key=lambda e: (not e.default, -(e.board_score.value if e.board_score else -1e9), e.variant)
    )
    chosen = ordered[0]
    columns = [
        Column("Rank", "range", kind="rank"),
        Column("Variant", kind="text"),
        Column("Score", f"mean of {len(known.core)}" if known else "board score"),
        *front.cost_columns(),
        *front.speed_columns(site, links, view),
        Column("Checked", "level", kind="text"),
        Column("Training", "TFLOP"),
    ]
    variants = table(
        f"Variants, {track} track",
        columns,
        compact_rows(site, links, ordered, view),
        f"variants-{track}",
    )
    departures = sorted({text for entry in entries for text in entry.departures})
    tasks = [t for t in quality.ordered_tasks(chosen) if t in chosen.quality]
    core = [t for t in tasks if known is None or t in known.core]
    return {
        "track": track,
        "title": known.title if known else track,
        "href": links.track(track),
        "variants": variants,
        "departures": departures,
        "retention": retention.retention_table(site, links, track, ordered),
        "retention_figure": retention.retention_figure(site, links, track, chosen, tasks),
        "family": knobs.family_figure(site, links, track, ordered, view),
        "ablations": ablations.ablation_table(site, links, track, recipe),
        "curves": training.curves(site, chosen, core, ident=f"curve-{track}"),
        "default": site.label(chosen),
        "entry_href": links.entry(chosen),
        "rank": front.rank_words(chosen),
        "summary": figures.summary(site, chosen, view),
    }


def compact_rows(site: Site, links: Links, entries: Sequence[Entry], view: View) -> list[Row]:
    """Rows for a method's page: rank, variant, score, size, speed."""
    rows = []
    for entry in entries:
        shown = site.speed(entry, view)
        rows.append(
            named_row(
                site,
                links,
                entry,
                [
                    score_cells(site, entry, links, None)[0]
                    if entry.board_score
                    else gap(Missing(entry.board_score_reason or "core tasks missing")),
                    *cost_cells(entry, shown, links),
                    *speed_cells(entry, shown, links),
                    level_cell(entry, links),
                    training_cell(entry, links),
                ],
                lead=[rank_cell(entry, links)],
                by_variant=True,
            )
        )
    return rows
