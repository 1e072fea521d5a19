"""An entry's page: a data sheet, then the evidence that every figure follows from."""

from __future__ import annotations

from suite import reproduce
from suite.board import changes, svg
from suite.board.compare.page import compare_path
from suite.board.compare.paired import best, name_of
from suite.board.departures import departures
from suite.board.entries import (
    confusion,
    exits,
    figures,
    quality,
    saved,
    searched,
    speed,
    training,
    trust,
)
from suite.board.facts import Fact
from suite.board.local import NEEDS_DATA
from suite.board.methods import ablations
from suite.board.page import Page, page
from suite.board.site import Links, Site, entry_page, track_title
from suite.board.text import (
    sentence,
    shorten,
)
from suite.documents import Entry


def entry_sheet(site: Site, entry: Entry) -> Page:
    path = entry_page(entry)
    links = Links(path)
    view = site.default_view(entry.track)
    return page(
        path,
        "entry.html",
        "board",
        f"{shorten(site.label(entry), 80)}, {entry.track}",
        links,
        departures=departures(site, entry),
        label=site.label(entry),
        swatch=svg.swatch(site.mark(entry.recipe), hollow=not entry.default),
        summary=figures.summary(site, entry, view),
        method_title=site.title(entry.ablation_of or entry.recipe),
        method_href=links.method(entry.ablation_of or entry.recipe),
        track_href=links.track(entry.track),
        track_title=track_title(entry.track),
        figures=figures.figures(site, entry, view),
        quality=quality.quality(site, entry, links),
        fronts=quality.fronts(site, entry),
        runs=quality.runs(site, entry, links),
        data=quality.data(site, entry, links),
        cells=searched.found_cells(site, entry),
        exits=exits.exits(site, entry),
        saved=saved.saved(site, entry, links),
        stages=training.stages(site, entry),
        speeds=speed.speeds(site, entry, links),
        times=speed.times(site, entry, view, links),
        curves=training.curves(site, entry, [t for t in quality.ordered_tasks(entry) if t in entry.quality]),
        environments=trust.environments(site, entry),
        settings=trust.settings_text(entry.settings),
        commands=reproduce.commands(entry),
        changes=changes.of_entry(site, entry, links),
        confusions=confusion.confusions(site, entry),
        no_confusion=sentence(
            f"Which label is taken for which needs the gold labels, which no site publishes; {NEEDS_DATA}"
        )
        if site.local is None
        else "The data at hand has no gold labels for its runs, or its tasks have no labels.",
        against=ablations.own_table(site, links, entry),
        compare_href=_compare(site, links, entry),
        checked=trust.record(site, entry),
        signatures=trust.signatures(site, entry),
        evidence=trust.evidence(site, entry, links),
        protocol=trust.protocol_lines(entry),
        protocol_href=links.to("protocol.html"),
        identity=[
            Fact("recipe", entry.recipe),
            Fact("variant", entry.variant),
            Fact("method module", entry.method),
            Fact("division", entry.division),
            Fact("recipe hash", entry.recipe_hash),
        ],
    )


def _compare(site: Site, links: Links, entry: Entry) -> str | None:
    """The entry beside the reference; an ablation beside its method's others; None where it is not among the best."""
    if entry.ablation_of is not None:
        return links.method(entry.ablation_of) + f"#ablations-{entry.track}" if entry.differences else None
    if all(one is not entry for one in best(site, entry.track)):
        return None
    reference = site.reference(entry.track)
    chosen = [entry, *([reference] if reference is not None and reference is not entry else [])]
    return links.to(compare_path(entry.track)) + f"#entries={','.join(map(name_of, chosen))}"
