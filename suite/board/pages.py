"""The pages of the site, each as a template's name and what it prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from suite.board import changes, explore, front, pareto
from suite.board.compare.page import compare_pages, compare_path
from suite.board.hardware.page import hardware_list, profile_page
from suite.board.methods.page import method_page, methods_list
from suite.board.page import Page, page
from suite.board.protocol_page import protocol_page
from suite.board.site import PROTOCOL, Links, Shown, Site, View, known_track, track_page, track_title
from suite.board.submit_page import submit_page
from suite.board.tables import Table, moved
from suite.board.task_pages import task_names, task_page, tasks_list
from suite.board.text import (
    counted,
    listed,
    number_word,
    sentence,
    shorten,
)
from suite.documents import Entry
from suite.protocol import reporting_hash

Part = Callable[[], Iterator[Page]]
AT_ONCE = 100  # methods of a part


def parts(site: Site) -> list[Part]:
    """Every page but the entries' own, in parts that do not depend on each other, the long ones first."""
    recipes = site.by_title({entry.recipe for entry in site.entries if entry.ablation_of is None})
    return [
        *(partial(front_pages, site, track) for track in site.tracks()),
        *(partial(compare_pages, site, track) for track in site.tracks()),
        *(partial(_method_pages, site, recipes[at : at + AT_ONCE]) for at in range(0, len(recipes), AT_ONCE)),
        partial(_hardware_pages, site),
        partial(_single_pages, site, recipes),
    ]


def _method_pages(site: Site, recipes: Sequence[str]) -> Iterator[Page]:
    for recipe in recipes:
        yield method_page(site, recipe)


def _hardware_pages(site: Site) -> Iterator[Page]:
    profiles = sorted({*site.profiles, *(line.profile for entry in site.entries for line in entry.speed)})
    yield hardware_list(site, profiles)
    for profile in profiles:
        yield profile_page(site, profile)


def _single_pages(site: Site, recipes: Sequence[str]) -> Iterator[Page]:
    if not site.tracks():
        title = "Which lightweight BERT should you ship?"
        yield page("index.html", "empty.html", "board", title, Links("index.html"))
    yield methods_list(site, recipes)
    tasks = task_names(site)
    yield tasks_list(site, tasks)
    for task in tasks:
        yield task_page(site, task)
    yield protocol_page(site)
    yield submit_page(site)
    yield changes_page(site)


# --- front pages --------------------------------------------------------------------------------------------


def front_pages(site: Site, track: str) -> Iterator[Page]:
    """A page for each view of a track and the rows of each as a script.

    The track's own page has the profile that most was measured on; the first track's is the site's first page too.
    What costs a walk over all rows is done once for all the pages that show it.
    """
    links = Links("index.html")
    board = front.leaderboard(site, links, track)
    yield Page(explore.rows_path(track), "", {"text": explore.rows(site, links, track, board)})
    of_track = {"contents": _contents(site, track), "notes": front.task_notes(site, track)}
    for view in site.views(track) or (View(None),):
        added, axes = front.of_view(site, links, track, view, board), explore.quantities(site, track, view)
        shown = front.viewed(board, added)
        of_view = {
            **of_track,
            "answer": front.answer(site, track, view),
            "flags": _flags(site, track, view),
        }
        drawn = pareto.drawn(site, track, view)
        paths = {track_page(track, view)}
        if view == site.default_view(track):
            paths |= {track_page(track), *(["index.html"] if track == site.tracks()[0] else [])}
        for path in sorted(paths):
            yield front_page(site, track, view, path, shown, len(board.rows), axes, drawn, of_view)
        told = explore.data(site, links, track, view, board, added, axes)
        yield Page(explore.data_path(track, view), "", {"text": told})


def front_page(
    site: Site,
    track: str,
    shown: View,
    path: str,
    board: Table,
    rows: int,
    axes: Sequence[explore.Quantity],
    drawn: Sequence[pareto.Drawn],
    words: Mapping[str, Any],
) -> Page:
    """``board``: the printed ones of the view's so many rows, its links those of the site's first page.

    ``words``: what the page says without a link, which is the same at each of its addresses.
    """
    links = Links(path)
    known = known_track(track)
    profiles = [
        (site.profile_title(one.profile or ""), links.track(track, one), one.profile == shown.profile)
        for one in site.views(track)
        if one.runtime is None
    ]
    runtimes = [
        (one.runtime or "best", links.track(track, one), one.runtime == shown.runtime)
        for one in site.views(track)
        if one.profile == shown.profile
    ]
    return page(
        path,
        "front.html",
        "board",
        f"{track_title(track)} track",
        links,
        track_title=track_title(track),
        about=sentence(known.about) if known else "This track is not one of the protocol’s.",
        tracks=[(track_title(t), links.track(t), t == track) for t in site.tracks()],
        profiles=profiles,
        runtimes=runtimes if len(runtimes) > 1 else [],
        figures=[pareto.figure_of(site, links, one) for one in drawn],
        legend=front.legend(site, links, track),
        board=moved(board, links.to("")),
        explored=explore.explored(site, links, track, shown, rows, axes),
        extended=front.extended(site, links, track),
        compare=links.to(compare_path(track)),
        built=(
            counted(len(site.of(track)), "entry", "entries"),
            PROTOCOL["reporting"]["version"],
            reporting_hash(),
            links.to("protocol.html#reporting"),
        ),
        **words,
    )


def _contents(site: Site, track: str) -> str:
    entries = site.of(track)
    known = known_track(track)
    methods = len(site.known(track).recipes)
    core = listed(site.task(task).title for task in known.core) if known else ""
    seeds = f", {_seeds_so_far(entries, len(known.seeds))}" if known else ""
    mean = f"; the score is the mean of {core}{seeds}" if core else ""
    return sentence(f"{counted(methods, 'method')} in {counted(len(entries), 'entry', 'entries')}{mean}")


def _seeds_so_far(entries: Sequence[Entry], planned: int) -> str:
    """How many seeds the tasks of the entries have, the fewest and the most, and how many the track plans."""
    found = [len(quality.runs) for entry in entries for quality in entry.quality.values()] or [0]
    fewest, most = min(found), max(found)
    if fewest >= planned:
        return f"{counted(planned, 'seed')} each"
    if fewest == most:
        return f"{counted(most, 'seed')} so far of {number_word(planned)}"
    return f"{number_word(fewest)} to {counted(most, 'seed')} so far, {number_word(planned)} planned"


def _flags(site: Site, track: str, view: View) -> list[str]:
    """Footnotes that a view's page needs, and no others."""
    shown = [s for _, s in site.timed(track, view) if isinstance(s, Shown)]
    said = [
        "Rank: the places that a row can hold at 95% confidence, correcting for all comparisons of the ranking at "
        "once; rows whose ranges overlap may be equal. Compare shows single pairs uncorrected, and so may tell apart "
        "two rows that the ranking does not.",
        "± and bars: 95% intervals over examples, and over seeds where a task has several. "
        "Score: 100 × the mean of each task’s metrics, averaged over the core tasks.",
    ]
    if shown:
        said.append(
            "Speed: the reference’s time over the entry’s, in pairs, one query at a time, true lengths; "
            "2 means twice as fast. The reference was timed against itself like any row, so its own is near 1. "
            "Latency: the reference’s median time over the row’s speed, since rows were timed "
            "in different sessions on different processors; each entry’s page has the time that was measured."
        )
    kinds = sorted({kind for one in shown for kind in one.processors})
    if len(kinds) > 1:
        named = listed(shorten(kind, 60) for kind in kinds[:3])
        more = f" and {len(kinds) - 3} more" if len(kinds) > 3 else ""
        said.append(
            f"Processors: rows here, and tasks within a mean, were measured on {number_word(len(kinds))} kinds, {named}"
            f"{more}. A ratio of two models may be another one on another kind, beyond its interval."
        )
    if any(one.noisy for one in shown):
        said.append("Grey: a noisy measurement; its interval stands.")
    if any(one.ratio.interval is None for one in shown):
        said.append("“no interval”: too few process pairs were timed to say how sure the ratio is.")
    if any(one.tasks for one in shown):
        said.append(
            "“mean of tasks”: time depends on weights and input, so each core task was timed with its own."
        )
    if view.profile and (known := site.profiles.get(view.profile)) and known.emulated:
        said.append("This profile is emulated: its times say nothing of the device and are not ranked.")
    if view.runtime is None and shown:
        said.append(
            "Best runtime: the fastest at full precision, row by row, since scores are of full precision; of a model "
            "that rounds inside the fastest of all."
        )
    if any(one.precision != "fp32" for one in shown):
        said.append(
            "Lower precision: the time is of the lower precision; beside it stands what its own answers score, on "
            "average over the core tasks, and in brackets how far that is from the same weights in full precision; "
            "chart and picker go by it. The other scores of the row are of full precision."
        )
    return said


# --- changes ------------------------------------------------------------------------------------------------


def changes_page(site: Site) -> Page:
    links = Links("changes.html")
    return page(
        "changes.html", "changes.html", "changes", "Changes", links, tables=changes.of_tracks(site, links)
    )
