"""The methods' pages: idea, variants, cost, ablations, strengths, what its paper says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from suite import reproduce
from suite.board import cut, svg
from suite.board.departures import departures
from suite.board.entries import figures, quality, training
from suite.board.entry_rows import (
    cost_cells,
    cost_columns,
    level_cell,
    named_row,
    rank_cell,
    rank_words,
    score_cell,
    training_cell,
    view_cells,
    view_columns,
)
from suite.board.methods import ablations, diagram, findings, knobs, published, retention
from suite.board.methods.diagram import Diagram
from suite.board.page import Page, page
from suite.board.site import Links, Site, View, known_track, track_title
from suite.board.tables import Column, Row, table
from suite.board.text import (
    Missing,
    counted,
    digits,
    fixed,
    shorten,
)
from suite.board.variants import by_knob
from suite.documents import Entry
from suite.protocol import TRAINING


def methods_list(site: Site, recipes: Sequence[str]) -> Page:
    links = Links("methods.html")
    shown = []
    for recipe in recipes:
        known = site.recipes.get(recipe)
        tracks = sorted(
            {e.track for e in site.of_recipe(recipe) if e.recipe == recipe}, key=site.tracks().index
        )
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
        entries = [
            e
            for e in site.of_recipe(recipe)
            if (e.track, e.recipe) == (track, recipe) and e.ablation_of is None
        ]
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
        modules=sorted({e.method for e in site.of_recipe(recipe) if e.recipe == recipe}),
        published=published.published(site, links, recipe, _defaults(site, recipe)),
    )


def _defaults(site: Site, recipe: str) -> list[Entry]:
    """The ranked variant on every track."""
    of = [e for e in site.of_recipe(recipe) if e.recipe == recipe and e.default and e.ablation_of is None]
    return sorted(of, key=lambda e: site.tracks().index(e.track))


def _diagram(site: Site, chosen: Entry) -> Diagram | Missing:
    """Drawn from the configurations in the runs; the reason where there is nothing to draw."""
    known = site.recipes.get(chosen.recipe)
    if known is None:
        return Missing(
            "Its recipe is not on this site’s search path, so nothing says what it takes from a teacher."
        )
    if not known.about.transfers:
        return Missing("It takes nothing from a teacher, so there are no two networks to draw.")
    document = next(iter(quality.first_runs(site, chosen).values()), None)
    if document is None:
        return Missing("Its runs are not in this results tree, so its configuration is not known.")
    student = diagram.stack_of(
        "Student: " + site.title(chosen.recipe), document.model.config, exits=bool(document.model.exits)
    )
    teacher = diagram.stack_of("Teacher: the reference", _teacher_config(site, chosen.track))
    if student is None or teacher is None:
        return Missing("Its configuration has no layers that could be drawn.")
    settings = chosen.settings.get("parameters")
    parameters = settings if isinstance(settings, Mapping) else {}
    joins = diagram.arrows(known.about.transfers, chosen.track, teacher, student, parameters)
    title = f"What {shorten(site.title(chosen.recipe), 60)} takes from its teacher, {chosen.track} track"
    return diagram.diagram(teacher, student, joins, f"diagram-{chosen.track}", title)


def _teacher_config(site: Site, track: str) -> Mapping[str, Any]:
    """The reference's configuration, from its run; where that is not here, from the protocol."""
    reference = site.reference(track)
    document = next(iter(quality.first_runs(site, reference).values()), None) if reference else None
    if document is not None:
        return document.model.config
    known = TRAINING["tracks"].get(track, {}).get("teacher", {}).get("config", {})
    return known if isinstance(known, Mapping) else {}


def _cost_words(site: Site, entry: Entry) -> str:
    """What one training takes, beside the budget and beside fine-tuning the reference."""
    cost, reference = entry.training_cost, site.reference(entry.track)
    said = (
        f"One training of {counted(len(entry.quality), 'task')}, one seed each, takes {digits(cost.tflop)} TFLOP, "
        f"{cost.tokens:,} tokens and {digits(cost.device_hours)} device-hours"
    )
    if cost.budget_tflop:
        said += f", {fixed(100 * cost.tflop / cost.budget_tflop, 0)}% of the budget"
    if reference is not None and not site.is_reference(entry):
        both = [t for t in entry.quality if t in reference.quality]
        if len(both) == len(entry.quality) == len(reference.quality) and reference.training_cost.tflop > 0:
            times = digits(cost.tflop / reference.training_cost.tflop, 2)
            said += f"; {times} times what fine-tuning the reference takes"
    return said + ". The shared teacher is not counted."


def _method_on(site: Site, links: Links, recipe: str, track: str, entries: Sequence[Entry]) -> dict[str, Any]:
    view = site.default_view(track)
    known = known_track(track)
    ordered = sorted(
        entries, key=lambda e: (not e.default, -(e.board_score.value if e.board_score else -1e9), e.variant)
    )
    chosen, printed = ordered[0], sorted(ordered[: cut.PRINTED], key=by_knob)
    left_out = cut.said(len(printed), len(ordered))
    columns = [
        Column("Rank", "range", kind="rank"),
        Column("Variant", kind="text"),
        Column("Score", f"mean of {len(known.core)}" if known else "board score"),
        *cost_columns(),
        *view_columns(site, links, view),
        Column("Checked", "level", kind="text"),
        Column("Training", "TFLOP"),
    ]
    variants = table(
        f"Variants, {track} track",
        columns,
        compact_rows(site, links, printed, view),
        f"variants-{track}",
        notes=left_out,
    )
    departed = dict.fromkeys(text for entry in ordered for text in departures(site, entry))
    tasks = [t for t in quality.ordered_tasks(chosen) if t in chosen.quality]
    drawn = _diagram(site, chosen)
    core = [t for t in tasks if known is None or t in known.core]
    return {
        "track": track,
        "title": track_title(track),
        "href": links.track(track),
        "variants": variants,
        "departures": list(departed),
        "retention": retention.retention_table(site, links, track, printed),
        "retention_figure": retention.retention_figure(site, links, track, chosen, tasks),
        "family": knobs.family_figure(site, links, track, ordered, view),
        "ablations": ablations.ablation_table(site, links, track, recipe),
        "curves": training.curves(site, chosen, core, ident=f"curve-{track}", of=f", {track} track"),
        "default": site.label(chosen),
        "entry_href": links.entry(chosen),
        "rank": rank_words(site, chosen),
        "summary": figures.summary(site, chosen, view),
        "diagram": drawn if isinstance(drawn, Diagram) else None,
        "no_diagram": drawn.reason if isinstance(drawn, Missing) else "",
        "strengths": findings.strengths(site, links, chosen, view, tasks),
        "weaknesses": findings.weaknesses(site, links, chosen, view, tasks),
        "cost": _cost_words(site, chosen),
        "stages": training.stages(site, chosen, ident=f"stages-{track}", of=f", {track} track"),
        "knobs": knobs.knobs(site, links, track, printed, tasks, notes=left_out),
        "panels": ablations.panels(site, links, track, recipe),
        "commands": reproduce.commands(chosen),
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
                    score_cell(entry, links),
                    *cost_cells(entry, links),
                    *view_cells(entry, shown, links),
                    level_cell(entry, links),
                    training_cell(entry, links),
                ],
                lead=[rank_cell(entry, links)],
                by_variant=True,
            )
        )
    return rows
