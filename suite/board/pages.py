"""The pages of the site, each as a template's name and what it prints."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suite import reproduce
from suite.board import changes, charts, cut, front, sheets, svg
from suite.board.charts import Bar
from suite.board.front import Figure, task_cell
from suite.board.sheets import Fact
from suite.board.site import (
    PROTOCOL,
    Links,
    Shown,
    Site,
    View,
    anchor,
    entry_page,
    known_track,
    track_page,
)
from suite.board.tables import Cell, Column, Row, Table, gap, table, value
from suite.board.text import (
    Missing,
    bytes_words,
    counted,
    digits,
    field_label,
    fixed,
    listed,
    number_word,
    plain_value,
    ratio_span,
    sentence,
    shorten,
    span,
)
from suite.documents import Entry, Measurement, Quality
from suite.protocol import TRACKS, TRAINING, hashes, reporting_hash


@dataclass(frozen=True)
class Page:
    """A file of the site: from a template, or (without one) as it stands in ``context["text"]``."""

    path: str
    template: str
    context: Mapping[str, Any]


def pages(site: Site) -> Iterator[Page]:
    """Every page but the entries' own, which are many and can be made apart (:func:`entry_sheet`)."""
    tracks = site.tracks()
    yield home(site, tracks)
    for track in tracks:
        yield front_page(site, track, None)
        for view in site.views(track):
            yield front_page(site, track, view)
        yield from downloads(site, track)
    recipes = sorted({entry.recipe for entry in site.entries if entry.ablation_of is None})
    yield methods_list(site, recipes)
    for recipe in recipes:
        yield method_page(site, recipe)
    tasks = task_names(site)
    yield tasks_list(site, tasks)
    for task in tasks:
        yield task_page(site, task)
    profiles = sorted({line.profile for entry in site.entries for line in entry.speed})
    yield hardware_list(site, profiles)
    for profile in profiles:
        yield profile_page(site, profile)
    yield protocol_page(site)
    yield changes_page(site)


def _page(path: str, template: str, section: str, title: str, links: Links, **context: Any) -> Page:
    return Page(
        path, template, {"section": section, "title": title, "links": links, "root": links.to(""), **context}
    )


# --- front pages --------------------------------------------------------------------------------------------


def home(site: Site, tracks: Sequence[str]) -> Page:
    """The first track's front page at the root, or a page that says that there is nothing yet."""
    if not tracks:
        links = Links("index.html")
        return _page("index.html", "empty.html", "board", "Which lightweight BERT should you ship?", links)
    return front_page(site, tracks[0], None, path="index.html")


def front_page(site: Site, track: str, view: View | None, path: str | None = None) -> Page:
    """``view`` None: the track's own page, with the profile that most was measured on."""
    path = path or track_page(track, view)
    links = Links(path)
    shown = view or site.default_view(track)
    entries = site.of(track)
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
    return _page(
        path,
        "front.html",
        "board",
        f"{known.title if known else track} track",
        links,
        track=track,
        track_title=known.title if known else track,
        about=sentence(known.about) if known else "This track is not one of the protocol’s.",
        contents=_contents(site, track),
        tracks=[(TRACKS[t].title if t in TRACKS else t, links.track(t), t == track) for t in site.tracks()],
        profiles=profiles,
        runtimes=runtimes if len(runtimes) > 1 else [],
        answer=front.answer(site, track, shown),
        figures=front.figures(site, links, track, shown),
        legend=front.legend(site, links, entries),
        board=front.leaderboard(site, links, track, shown),
        extended=front.extended(site, links, track),
        notes=front.task_notes(site, track),
        flags=_flags(site, entries, shown),
        built=(
            counted(len(entries), "entry", "entries"),
            PROTOCOL["reporting"]["version"],
            reporting_hash(),
            links.to("protocol.html#reporting"),
        ),
    )


def _contents(site: Site, track: str) -> str:
    entries = site.of(track)
    known = known_track(track)
    methods = len({entry.recipe for entry in entries})
    core = listed(site.task(task).title for task in known.core) if known else ""
    seeds = f", {_seeds_so_far(entries, len(known.seeds))}" if known else ""
    mean = f"; the score is the mean of {core}{seeds}" if core else ""
    return sentence(f"{counted(methods, 'method')} in {counted(len(entries), 'entry', 'entries')}{mean}")


def _seeds_so_far(entries: Sequence[Entry], planned: int) -> str:
    """The most seeds any task of any entry has, and how many the track plans where that is more."""
    found = max((len(q.runs) for entry in entries for q in entry.quality.values()), default=0)
    if found >= planned:
        return f"{counted(planned, 'seed')} each"
    return f"{counted(found, 'seed')} so far of {number_word(planned)}"


def _flags(site: Site, entries: Sequence[Entry], view: View) -> list[str]:
    """Footnotes that this page needs, and no others."""
    shown = [s for entry in entries if isinstance(s := site.speed(entry, view), Shown)]
    said = [
        "Rank: the places that a row can hold at 95% confidence; rows whose ranges overlap may be equal.",
        "± and bars: 95% intervals over seeds and examples. "
        "Score: 100 × the mean of each task’s metrics, averaged over the core tasks.",
    ]
    if shown:
        said.append(
            "Speed: the reference’s time over the entry’s, in pairs, one query at a time, true lengths; "
            "2 means twice as fast. Latency is the absolute time on the machine that answered."
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
            "Best runtime: the fastest at full precision, row by row; scores are of full precision too."
        )
    if any(one.precision != "fp32" for one in shown):
        said.append(
            "Lower precision: the time is of the lower precision, the score of what the runs were scored at."
        )
    return said


def downloads(site: Site, track: str) -> Iterator[Page]:
    entries = [entry for entry in site.entries if entry.track == track]
    everything = ",\n".join(entry.model_dump_json(by_alias=True) for entry in entries)
    yield Page(f"tracks/{track}/entries.json", "", {"text": f"[\n{everything}\n]\n"})
    yield Page(f"tracks/{track}/entries.csv", "", {"text": _csv(site, track, entries)})


def _csv(site: Site, track: str, entries: Sequence[Entry]) -> str:
    """One line per entry; units in the column names, nothing where there is no value."""
    known = known_track(track)
    tasks = [t for t in (known.tasks if known else ()) if any(t in e.quality for e in entries)]
    tasks += sorted({t for e in entries for t in e.quality} - set(tasks))
    view = site.default_view(track)
    on = f"[{view.profile}]" if view.profile else ""
    names = [
        "recipe",
        "variant",
        "method",
        "division",
        "default",
        "level",
        "rank_lowest",
        "rank_highest",
        "score_points",
        "score_low",
        "score_high",
    ]
    names += [f"{task}_{end}" for task in tasks for end in ("points", "low", "high")]
    names += ["parameters", "parameters_without_embeddings", "flops_128_tokens", "training_tflop"]
    names += [
        f"{name}{on}"
        for name in ("speed_ratio", "speed_low", "speed_high", "latency_p50_ms", "runtime", "file_bytes")
    ]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    for entry in entries:
        shown = site.speed(entry, view)
        line: list[Any] = [
            entry.recipe,
            entry.variant,
            entry.method,
            entry.division,
            entry.default,
            entry.level,
        ]
        line += [entry.ranks.lowest, entry.ranks.highest] if entry.ranks else [None, None]
        score = entry.board_score
        line += [score.value, *(score.interval or (None, None))] if score else [None] * 3
        for task in tasks:
            found = entry.quality.get(task)
            line += [found.score, *found.interval] if found else [None] * 3
        line += [entry.cost.parameters.total, entry.cost.parameters.without_embeddings]
        line += [entry.cost.flops_per_example.get("128"), entry.training_cost.tflop]
        if isinstance(shown, Shown):
            line += [
                shown.ratio.value,
                *(shown.ratio.interval or (None, None)),
                shown.p50,
                shown.runtime,
                shown.bytes,
            ]
        else:
            line += [None] * 6
        writer.writerow("" if one is None else one for one in line)
    return stream.getvalue()


# --- entries ------------------------------------------------------------------------------------------------


def entry_sheet(site: Site, entry: Entry) -> Page:
    path = entry_page(entry)
    links = Links(path)
    view = site.default_view(entry.track)
    known = known_track(entry.track)
    return _page(
        path,
        "entry.html",
        "board",
        f"{shorten(site.label(entry), 80)}, {entry.track}",
        links,
        entry=entry,
        label=site.label(entry),
        name=f"{entry.recipe}/{entry.variant}",
        swatch=svg.swatch(site.mark(entry.recipe), hollow=not entry.default),
        summary=sheets.summary(site, entry, view),
        method_title=site.title(entry.ablation_of or entry.recipe),
        method_href=links.method(entry.ablation_of or entry.recipe),
        track_href=links.track(entry.track),
        track_title=known.title if known else entry.track,
        figures=sheets.figures(site, entry, view, links),
        quality=sheets.quality(site, entry, links),
        runs=sheets.runs(site, entry, links),
        data=sheets.data(site, entry, links),
        cells=sheets.found_cells(site, entry),
        exits=sheets.exits(site, entry),
        stages=sheets.stages(site, entry),
        speeds=sheets.speeds(site, entry, links),
        timings=sheets.timings(site, entry, links),
        curves=sheets.curves(site, entry, [t for t in sheets.ordered_tasks(entry) if t in entry.quality]),
        environments=sheets.environments(site, entry),
        settings=sheets.settings_text(entry.settings),
        commands=reproduce.commands(entry),
        changes=changes.of_entry(site, entry, links),
        evidence=sheets.evidence(site, entry, links),
        protocol=sheets.protocol_lines(entry, links),
        protocol_href=links.to("protocol.html"),
        identity=[
            Fact("recipe", entry.recipe),
            Fact("variant", entry.variant),
            Fact("method module", entry.method),
            Fact("division", entry.division),
            Fact("recipe hash", entry.recipe_hash),
        ],
    )


# --- methods ------------------------------------------------------------------------------------------------


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
    return _page("methods.html", "methods.html", "methods", "Methods", links, methods=shown)


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
    return _page(
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
    )


def _method_on(site: Site, links: Links, recipe: str, track: str, entries: Sequence[Entry]) -> dict[str, Any]:
    view = site.default_view(track)
    known = known_track(track)
    ordered = sorted(
        entries, key=lambda e: (not e.default, -(e.board_score.value if e.board_score else -1e9), e.variant)
    )
    chosen, printed = ordered[0], ordered[: cut.PRINTED]
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
        sheets.compact_rows(site, links, printed, view),
        f"variants-{track}",
        notes=cut.said(len(printed), len(ordered)),
    )
    departures = sorted({text for entry in entries for text in entry.departures})
    tasks = [t for t in sheets.ordered_tasks(chosen) if t in chosen.quality]
    core = [t for t in tasks if known is None or t in known.core]
    return {
        "track": track,
        "title": known.title if known else track,
        "href": links.track(track),
        "variants": variants,
        "departures": departures,
        "retention": _retention_table(site, links, track, printed),
        "retention_figure": _retention_figure(site, links, track, chosen, tasks),
        "family": _family_figure(site, links, track, ordered, view),
        "ablations": _ablation_table(site, links, track, recipe),
        "curves": sheets.curves(site, chosen, core, ident=f"curve-{track}"),
        "default": site.label(chosen),
        "entry_href": links.entry(chosen),
        "rank": front.rank_words(chosen),
        "summary": sheets.summary(site, chosen, view),
    }


def _ablation_table(site: Site, links: Links, track: str, recipe: str) -> Table | None:
    """What each ablation costs or brings, task by task; None where none has run."""
    ablations = site.ablations(track, recipe)
    tasks = [
        t
        for t in (TRACKS[track].tasks if track in TRACKS else ())
        if any(t in e.differences for e in ablations)
    ]
    if not tasks:
        return None
    rows = []
    for entry in ablations:
        known = site.recipes.get(entry.recipe)
        words = known.ablation if known and known.ablation else entry.recipe
        cells = []
        for task in tasks:
            found = entry.differences.get(task)
            if found is None:
                cells.append(gap(Missing("no run yet")))
                continue
            said = f"{span(found.interval, 1)}, p {fixed(found.p, 2)}, {counted(len(found.seeds), 'seed', 'seeds')}"
            faint = found.interval[0] <= 0 <= found.interval[1]
            cells.append(value(fixed(found.value, 1), said, links.entry(entry, f"task-{task}"), faint=faint))
        rows.append(Row(Cell(text=words, href=links.entry(entry)), tuple(cells)))
    return table(
        f"Ablations, {track} track: points gained or lost against {site.title(recipe)}, same seeds and examples",
        [
            Column("What is different", kind="text"),
            *(front.task_column(site, links, track, t) for t in tasks),
        ],
        rows,
        f"ablations-{track}",
        notes=["Grey: cannot be told from no difference. Raw p, uncorrected for the number of comparisons."],
    )


def _family_figure(
    site: Site, links: Links, track: str, entries: Sequence[Entry], view: View
) -> Figure | None:
    """A family's curve beside the reference; nothing to draw for a single operating point."""
    if len(entries) < 2:
        return None
    reference = site.reference(track)
    wanted = [*entries, *([reference] if reference and reference not in entries else [])]
    small = Site(wanted, site.evidence, site.recipes, site.profiles, site.tasks, site._hues)
    drawn = front.figures(small, links, track, view, ident=f"family-{track}-")
    return drawn[0] if drawn else None


def _retention_table(site: Site, links: Links, track: str, entries: Sequence[Entry]) -> Table | None:
    known = known_track(track)
    tasks = [t for t in (known.tasks if known else ()) if any(t in e.quality for e in entries)]
    tasks += sorted({t for e in entries for t in e.quality} - set(tasks))
    if not tasks:
        return None
    columns = [Column("Variant", kind="text"), *(front.task_column(site, links, track, t) for t in tasks)]
    rows = []
    for entry in entries:
        cells = []
        for task in tasks:
            found = entry.quality.get(task)
            if found is None:
                cells.append(gap(Missing("no run yet")))
            else:
                href = links.entry(entry, f"task-{task}")
                cells.append(sheets.retention_cell(found.retention, found.retention_reason, href))
        rows.append(Row(Cell(text=entry.variant, href=links.entry(entry)), tuple(cells)))
    return table(
        f"Retention, {track} track: the share of the reference’s gain over the majority class that is kept",
        columns,
        rows,
        f"retention-{track}",
    )


def _retention_figure(
    site: Site, links: Links, track: str, entry: Entry, tasks: Sequence[str]
) -> Figure | None:
    bars = []
    for task in tasks:
        kept = entry.quality[task].retention
        if kept is None:
            continue
        ends = f", {span(kept.interval, 2)}" if kept.interval else ""
        subset = f", {front.SUBSET}" if entry.quality[task].dev_subset else ""
        bars.append(
            Bar(
                site.task(task).title,
                kept.value,
                kept.interval,
                f"{fixed(kept.value, 2)} kept{ends}{subset}",
                links.entry(entry, f"task-{task}"),
                site.mark(entry.recipe),
            )
        )
    if len(bars) < 2:
        return None
    title = f"Retention of {shorten(site.label(entry), 60)} by task"
    drawn = [
        charts.forest(
            bars,
            ident=f"retention-{track}-{name}",
            title=title,
            axis="share of the reference’s gain kept",
            description="1 keeps all that the reference gains over the majority class, 0 nothing.",
            narrow=name == "narrow",
            guide=1.0,
        )
        for name in ("wide", "narrow")
    ]
    return Figure(drawn[0], drawn[1], "Dashed: the reference. Bars are 95% intervals.", title)


# --- tasks --------------------------------------------------------------------------------------------------


def task_names(site: Site) -> list[str]:
    """The tasks of the tracks that have entries, in the protocol's order, then a user's own."""
    names: dict[str, None] = {}
    for track in site.tracks():
        known = known_track(track)
        names.update(dict.fromkeys(known.tasks if known else ()))
    for entry in site.entries:
        names.update(dict.fromkeys(sorted(entry.quality)))
    return list(names)


def _kind(site: Site, name: str) -> str:
    task = site.task(name)
    if not task.columns:
        return "a task that this site has no description of"
    texts = "a pair of texts" if len(task.columns) == 2 else "one text"
    if task.regression:
        return f"a number for {texts}"
    return f"{texts}, {counted(len(task.labels), 'label')}: {', '.join(task.labels)}"


def tasks_list(site: Site, tasks: Sequence[str]) -> Page:
    links = Links("tasks.html")
    columns = [
        Column("Task", kind="text"),
        Column("What is asked", kind="text"),
        Column("Metrics", kind="text"),
        Column("Train", "official rows"),
        Column("Dev", "official rows"),
        Column("Tracks", kind="text"),
    ]
    rows = []
    for name in tasks:
        task = site.task(name)
        dev = sum(n for split, n in task.official_rows.items() if split != "train")
        on = [t for t in site.tracks() if (k := known_track(t)) and name in k.tasks]
        subset = any(site.dev_subset(t, name) for t in site.tracks())
        made = (
            "generated"
            if any((k := known_track(t)) and k.data == "generated" for t in on)
            else "as the user’s own"
        )
        rows.append(
            Row(
                Cell(text=task.title, href=links.task(name)),
                (
                    Cell(text=_kind(site, name)),
                    Cell(text=", ".join(task.metrics) or "not known here"),
                    Cell(text=f"{task.official_rows['train']:,}", number=True)
                    if "train" in task.official_rows
                    else Cell(reason=made),
                    Cell(text=f"{dev:,}", number=True) if dev else Cell(reason=made),
                    Cell(text=", ".join(on) or "none"),
                ),
                tags=(front.SUBSET,) if subset else (),
            )
        )
    made_table = table("Tasks", columns, rows, "tasks", hidden_caption=True)
    return _page("tasks.html", "tasks.html", "tasks", "Tasks", links, tasks=made_table)


def task_page(site: Site, name: str) -> Page:
    path = f"tasks/{name}.html"
    links = Links(path)
    task = site.task(name)
    facts = [
        Fact("what is asked", _kind(site, name)),
        Fact("metrics", ", ".join(task.metrics) or "not known here"),
    ]
    facts += [
        Fact(f"official {split.replace('_', ' ')} rows", f"{n:,}") for split, n in task.official_rows.items()
    ]
    for split, known in sorted(TRAINING["dev"].get(name, {}).items()):
        whole = "the official set" if known.get("complete", True) else front.SUBSET
        facts.append(Fact(f"{split.replace('_', ' ')} rows accepted", f"{known['rows']:,}, {whole}"))
        facts.append(Fact(f"{split.replace('_', ' ')} gold labels", known["gold_sha256"]))
        facts.append(Fact(f"{split.replace('_', ' ')} texts", known["text_sha256"]))
    parts = []
    for track in site.tracks():
        entries = [e for e in site.of(track) if name in e.quality]
        track_known = known_track(track)
        in_track = track_known is not None and name in track_known.tasks
        if entries:
            parts.append(_task_on(site, links, name, track, entries))
        elif in_track:
            parts.append(
                {
                    "track": track,
                    "title": TRACKS[track].title,
                    "href": links.track(track),
                    "reason": "No runs on this task yet.",
                }
            )
    notes = sorted({note for track in site.tracks() if (note := site.task_note(track, name))})
    return _page(
        path,
        "task.html",
        "tasks",
        task.title,
        links,
        name=name,
        facts=facts,
        parts_of=parts,
        notes=[sentence(note) for note in notes],
        subset=any(site.dev_subset(t, name) for t in site.tracks()),
    )


def _task_on(site: Site, links: Links, name: str, track: str, entries: Sequence[Entry]) -> dict[str, Any]:
    known = known_track(track)
    ordered = sorted(entries, key=lambda e: (-e.quality[name].score, e.recipe, e.variant))
    columns = [
        Column("Method", kind="text"),
        Column("Score", "points", note=front.SUBSET if site.dev_subset(track, name) else ""),
        Column("Metrics", "mean over seeds", kind="text"),
        Column("Retention", "share"),
        Column("Seeds", kind="text"),
    ]
    mixed = front.mixed_subset(entries, name)
    printed = ordered[: cut.PRINTED]
    rows, bars = [], []
    for entry in printed:
        found = entry.quality[name]
        metrics = (
            ", ".join(
                f"{field_label(metric)} {fixed(_mean_metric(found, metric), 3)}"
                for metric in sorted(found.runs[0].metrics)
                if all(metric in run.metrics for run in found.runs)
            )
            if found.runs
            else ""
        )
        seeds = ", ".join(
            f"{run.seed}: {fixed(run.score, 1)}"
            + (" diverged" if run.diverged and front.may_diverge(entry) else "")
            for run in found.runs
        )
        href = links.entry(entry, f"task-{name}")
        rows.append(
            front.named_row(
                site,
                links,
                entry,
                [
                    task_cell(entry, name, links, mixed=mixed),
                    Cell(text=metrics) if metrics else Cell(reason="no runs named"),
                    sheets.retention_cell(found.retention, found.retention_reason, href),
                    Cell(text=seeds) if seeds else Cell(reason="no runs named"),
                ],
            )
        )
        if entry.default:
            bars.append(
                Bar(
                    site.label(entry),
                    found.score,
                    found.interval,
                    f"{fixed(found.score, 1)} points, {span(found.interval, 1)}",
                    href,
                    site.mark(entry.recipe),
                    tuple(run.score for run in found.runs) if len(found.runs) > 1 else (),
                )
            )
    title = f"{site.task(name).title} on {known.title if known else track}"
    figure = None
    if len(bars) > 1:
        drawn = [
            charts.forest(
                bars,
                ident=f"forest-{track}-{width}",
                title=title,
                axis="points",
                narrow=width == "narrow",
                description=f"{len(bars)} methods, best first; the table has the same numbers.",
            )
            for width in ("wide", "narrow")
        ]
        caption = "Bars are 95% intervals, small ticks single seeds; one default variant per method."
        if site.dev_subset(track, name):
            caption += " Dev subset: not the official figure."
        figure = Figure(drawn[0], drawn[1], caption, title)
    return {
        "track": track,
        "title": known.title if known else track,
        "href": links.track(track),
        "figure": figure,
        "table": table(
            f"All rows, {known.title if known else track} track",
            columns,
            rows,
            f"rows-{track}",
            notes=cut.said(len(printed), len(ordered)),
        ),
        "reason": "",
        "core": bool(known and name in known.core),
    }


def _mean_metric(found: Quality, metric: str) -> float:
    return sum(run.metrics[metric] for run in found.runs) / len(found.runs)


# --- hardware -----------------------------------------------------------------------------------------------


def hardware_list(site: Site, profiles: Sequence[str]) -> Page:
    links = Links("hardware.html")
    shown = [
        {
            "href": links.profile(name),
            "title": site.profile_title(name),
            "name": name,
            "about": site.profiles[name].about if name in site.profiles else "",
            "count": counted(
                sum(any(s.profile == name for s in e.speed) for e in site.entries), "entry", "entries"
            ),
        }
        for name in profiles
    ]
    return _page("hardware.html", "hardware.html", "hardware", "Hardware", links, profiles=shown)


def profile_page(site: Site, name: str) -> Page:
    path = f"hardware/{name}.html"
    links = Links(path)
    known = site.profiles.get(name)
    facts = []
    if known:
        facts = [
            Fact("device", known.device),
            Fact("threads", str(known.threads)),
            Fact("pinned", "yes, to as many cores" if known.pin else "no"),
            Fact("process pairs", str(known.pairs)),
            Fact("blocks a pair", str(known.blocks)),
            Fact(
                "a block",
                f"at least {digits(known.block_seconds)} s and {known.block_queries} queries, "
                f"the first {known.warmup_queries} not timed",
            ),
            Fact("emulated", "yes: never ranked" if known.emulated else "no"),
            Fact("default runtimes", ", ".join(known.runtimes)),
        ]
        facts += [
            Fact(f"needs {field_label(key)}", plain_value(given, key))
            for key, given in known.requires.model_dump(mode="json").items()
            if given not in (None, [])
        ]
        facts.append(Fact("hash", known.hash))
    parts = []
    for track in site.tracks():
        found = _measured_rows(site, links, name, track)
        if found is not None:
            parts.append((TRACKS[track].title if track in TRACKS else track, links.track(track), found))
    return _page(
        path,
        "profile.html",
        "hardware",
        site.profile_title(name),
        links,
        name=name,
        profile=known,
        facts=facts,
        parts_of=parts,
        machines=_machines(site, name),
    )


def _measured_rows(site: Site, links: Links, profile: str, track: str) -> Table | None:
    columns = [
        Column("Method", kind="text"),
        Column("Runtime", kind="text"),
        Column("Inputs", kind="text"),
        Column("Speed", "times the reference’s"),
        Column("Latency", "ms, median"),
        Column("Memory", "MB"),
        Column("File", "MB"),
        Column("Verdict", kind="text"),
        Column("Date", kind="text"),
    ]
    lines = [(entry, line) for entry in site.of(track) for line in entry.speed if line.profile == profile]
    if not lines:
        return None
    lines.sort(
        key=lambda pair: (
            -pair[1].ratio.value,
            pair[0].recipe,
            pair[0].variant,
            pair[1].runtime,
            pair[1].measurement,
        )
    )
    rows = []
    printed = lines[: cut.PRINTED]
    for entry, line in printed:
        href = links.entry(entry, anchor(line.measurement))
        noisy = line.verdict == "noisy"
        document = site.measured(track, line.measurement)
        date = (
            Cell(reason=document.reason)
            if isinstance(document, Missing)
            else Cell(text=document.date, declared=True)
        )
        task = (
            f", {site.task(document.task).title}"
            if isinstance(document, Measurement) and document.task
            else ""
        )
        small = (
            ratio_span(line.ratio.interval)
            if line.ratio.interval
            else f"{counted(line.ratio.pairs, 'pair')}, no interval"
        )
        p50 = line.latency_ms.p50
        rows.append(
            front.named_row(
                site,
                links,
                entry,
                [
                    Cell(
                        text=line.runtime if line.precision == "fp32" else f"{line.runtime}, {line.precision}"
                    ),
                    Cell(text=f"{line.arrival}, {line.inputs}{task}"),
                    value(digits(line.ratio.value, 3, 2), small, href, faint=noisy),
                    gap(Missing("too few queries"))
                    if p50 is None
                    else value(digits(p50, 3, 2), "", href, faint=noisy),
                    value(digits(line.peak_memory_bytes / 1e6, 3, 1)),
                    value(digits(line.model_bytes / 1e6, 4, 1)),
                    Cell(text=line.verdict + (", inherited" if line.inherited else ""), href=href),
                    date,
                ],
            )
        )
    title = TRACKS[track].title if track in TRACKS else track
    return table(
        f"Measured on the {title} track",
        columns,
        rows,
        f"measured-{track}",
        hidden_caption=True,
        notes=cut.said(len(printed), len(lines)),
    )


def _machines(site: Site, profile: str) -> list[str]:
    """The processors that answered for a profile: declared, so in italics."""
    found: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for entry in site.entries:
        for line in entry.speed:
            key = (entry.track, line.measurement)
            document = site.measured(*key)
            if line.profile == profile and key not in seen and isinstance(document, Measurement):
                seen.add(key)
                m = document.machine
                words = (
                    f"{shorten(m.cpu, 100)}, {counted(m.cores, 'core')}, {bytes_words(m.memory_bytes)} memory"
                )
                words += f", {shorten(m.virtual, 40)}" if m.virtual else ""
                found[words] = found.get(words, 0) + 1
    return [f"{words}: {counted(count, 'measurement')}" for words, count in sorted(found.items())]


# --- changes ------------------------------------------------------------------------------------------------


def changes_page(site: Site) -> Page:
    links = Links("changes.html")
    return _page(
        "changes.html", "changes.html", "changes", "Changes", links, tables=changes.of_tracks(site, links)
    )


# --- the protocol -------------------------------------------------------------------------------------------


def protocol_page(site: Site) -> Page:
    links = Links("protocol.html")
    parts = []
    for name, content in PROTOCOL.items():
        rest = {
            key: given for key, given in content.items() if key not in ("part", "version", "tracks", "dev")
        }
        today = {track: hashes(track)[name] for track in TRACKS}
        given = Counter(e.protocol[name] for e in site.entries if name in e.protocol)
        carried = [
            (one, counted(count, "entry", "entries"), one in today.values())
            for one, count in sorted(given.items())
        ]
        one_for_all = len(set(today.values())) == 1
        shown = (
            {"": today[next(iter(today))]} if one_for_all else {TRACKS[t].title: h for t, h in today.items()}
        )
        parts.append(
            {
                "name": name,
                "version": content["version"],
                "hashes": shown,
                "content": rest,
                "carried": carried,
            }
        )
    return _page(
        "protocol.html",
        "protocol.html",
        "protocol",
        "Protocol",
        links,
        parts_of=parts,
        tracks=_tracks_table(links, site.tracks()),
        dev=_dev_table(site, links),
    )


def _tracks_table(links: Links, shown: Sequence[str]) -> Table:
    """The tracks side by side, a decision a row."""
    names = list(TRAINING["tracks"])
    keys: dict[str, None] = {}
    for name in names:
        keys.update(dict.fromkeys(k for k in TRAINING["tracks"][name] if k not in ("title", "notes")))
    rows = [
        Row(
            Cell(text=field_label(key)),
            tuple(_decision(TRAINING["tracks"][name].get(key), key) for name in names),
        )
        for key in keys
    ]
    columns = [
        Column("Decision", kind="text"),
        *(Column(TRACKS[n].title, href=links.track(n) if n in shown else None, kind="text") for n in names),
    ]
    return table("The tracks", columns, rows, "tracks")


_NO_LIMIT = {
    "train_cap": "all there are",
    "threads": "as the machine has",
    "budget_u": "no budget",
    "pairs": "as the profile says",
}


def _decision(given: Any, key: str) -> Cell:
    if given is None:
        return Cell(text=_NO_LIMIT.get(key, "none"))
    if isinstance(given, Mapping):
        if key == "teacher":
            sizes = given["config"]
            return Cell(text=f"{given['hub']}: {sizes['layers']} layers, {sizes['hidden']} wide")
        pairs = (f"{field_label(k)} {plain_value(v)}" for k, v in given.items() if v is not None)
        return Cell(text=", ".join(pairs))
    return Cell(text=plain_value(given))


def _dev_table(site: Site, links: Links) -> Table | None:
    rows = []
    listed_tasks = {name: site.task(name).title for name in TRAINING["dev"]}
    pages_of = set(task_names(site))
    for name, title in sorted(listed_tasks.items(), key=lambda pair: pair[1]):
        for split, known in sorted(TRAINING["dev"][name].items()):
            label = title if len(TRAINING["dev"][name]) == 1 else f"{title}, {split.replace('_', ' ')}"
            subset = not known.get("complete", True)
            rows.append(
                Row(
                    Cell(text=label, href=links.task(name) if name in pages_of else None),
                    (
                        Cell(text=f"{known['rows']:,}", number=True),
                        Cell(text=known["gold_sha256"].removeprefix("sha256:")[:16]),
                        Cell(text=known["text_sha256"].removeprefix("sha256:")[:16]),
                    ),
                    tags=(front.SUBSET,) if subset else (),
                )
            )
    if not rows:
        return None
    columns = [
        Column("Dev set", kind="text"),
        Column("Rows"),
        Column("Gold labels", "SHA-256", kind="text"),
        Column("Texts", "SHA-256", kind="text"),
    ]
    return table("The dev sets that scores are taken on", columns, rows, "dev")
