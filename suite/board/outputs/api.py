"""A JSON API of plain files: ``api/v1/index.json`` lists everything, ``schema.json`` says what each file holds.

Within version 1 fields are added, never renamed or removed. Paths are below the site's root.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from suite import __version__
from suite.board.outputs.data import TABLES, ordered
from suite.board.outputs.places import (
    API,
    BADGES,
    DATA_PAGE,
    FEED,
    FORMATS,
    api_entry,
    badge_file,
    table_file,
    view_file,
)
from suite.board.site import Shown, Site, View, entry_page, known_track, track_page, track_title
from suite.board.text import clean
from suite.canonical import pretty_json
from suite.documents import Entry, LogEntry
from suite.protocol import hashes


class Answer(BaseModel):
    """What every file of the API is: frozen, no field unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Speed(Answer):
    """An entry's speed in its track's first view."""

    profile: str
    runtime: str
    precision: str
    speedup_times: float = Field(description="the reference's time over the entry's; 2 is twice as fast")
    speedup_interval_times: tuple[float, float] | None = Field(description="95%; null: too few pairs")
    latency_ms: float | None = Field(
        description="the reference's median time over the speedup, as on the front page"
    )
    p50_ms: float | None = Field(description="as measured, in a session and on a processor of its own")
    noisy: bool


class Line(Answer):
    """An entry in a list: enough to choose by, and where the rest is."""

    recipe: str
    variant: str
    title: str
    division: str
    level: str
    group: str = Field(description="ranked; points: other operating points; open; incomplete")
    ranks: tuple[int, int] | None = Field(description="lowest and highest place possible at 95%")
    score_points: float | None = Field(description="mean of the track's core tasks, 0 to 100")
    score_interval_points: tuple[float, float] | None
    parameters_total: int
    speed: Speed | None
    speed_reason: str | None = Field(description="why there is no speed")
    entry: str = Field(description="the whole entry as JSON: schema lightboard/entry/1")
    page: str
    badges: dict[str, str]


class ViewLine(Answer):
    """A front page: what its speeds were measured on and with, and its table as files."""

    profile: str | None
    runtime: str | None = Field(description="null: the fastest of each row at full precision")
    page: str
    files: dict[str, str]


class TrackLine(Answer):
    """A track in the index."""

    name: str
    title: str
    entries_count: int
    track: str = Field(description="everything of the track")
    page: str


class TrackFile(Answer):
    """A track: its tasks, its entries in the order of the board, its tables and views."""

    name: str
    title: str
    core: tuple[str, ...]
    extended: tuple[str, ...]
    seeds: tuple[int, ...]
    protocol: dict[str, str] = Field(description="part -> hash that rows of today carry")
    entries: tuple[Line, ...]
    ablations: tuple[str, ...] = Field(description="entries of ablations, as JSON; never ranked")
    tables: dict[str, dict[str, str]] = Field(description="table -> format -> file; units in column names")
    views: tuple[ViewLine, ...]
    changes: str


class Reference(Answer):
    title: str
    authors: str
    year: int
    arxiv: str | None


class MethodLine(Answer):
    name: str
    title: str
    idea: str | None
    references: tuple[Reference, ...]
    page: str


class TaskLine(Answer):
    name: str
    title: str
    metrics: tuple[str, ...]
    page: str


class ProfileLine(Answer):
    name: str
    title: str
    emulated: bool | None = Field(description="null: the profile is not on this site's search path")
    page: str


class Index(Answer):
    """Where everything is."""

    api: str = Field(description="version of this interface")
    lightboard: str = Field(description="version of the software that built the site")
    url: str | None = Field(description="where the site stands, if it was told")
    tracks: tuple[TrackLine, ...]
    methods: tuple[MethodLine, ...]
    tasks: tuple[TaskLine, ...]
    profiles: tuple[ProfileLine, ...]
    feed: str
    about: str = Field(description="a page that says how to use this")
    schema_: str = Field(alias="schema", description="the JSON Schemas of these files")


FILES: dict[str, type[BaseModel]] = {
    "index.json": Index,
    "tracks/TRACK.json": TrackFile,
    "entries/TRACK/RECIPE/VARIANT.json": Entry,
    "changes/TRACK.json": LogEntry,
}


def files(site: Site, url: str | None) -> Iterator[tuple[str, bytes]]:
    """The index, the tracks, their changes and the schemas."""
    tracks = site.tracks()
    yield f"{API}/index.json", _bytes(index(site, url))
    for track in tracks:
        yield f"{API}/tracks/{track}.json", _bytes(track_file(site, track))
        log = [one.model_dump(mode="json", by_alias=True) for one in site.evidence.log(track)]
        yield f"{API}/changes/{track}.json", pretty_json(log).encode("utf-8")
    yield f"{API}/schema.json", pretty_json(schema()).encode("utf-8")


def of_entry(entry: Entry) -> Iterator[tuple[str, bytes]]:
    yield api_entry(entry), entry.model_dump_json(by_alias=True).encode("utf-8") + b"\n"


def _bytes(answer: Answer) -> bytes:
    return pretty_json(_tidy(answer.model_dump(mode="json", by_alias=True))).encode("utf-8")


def _tidy(value: Any) -> Any:
    """Strings without unprintable characters, as on the pages."""
    if isinstance(value, dict):
        return {key: _tidy(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_tidy(one) for one in value]
    return clean(value) if isinstance(value, str) else value


def schema() -> dict[str, Any]:
    """File -> JSON Schema (2020-12). ``changes/TRACK.json`` is a list."""
    found: dict[str, Any] = {}
    for name, model in FILES.items():
        one = model.model_json_schema(by_alias=True, mode="serialization")
        found[name] = {"type": "array", "items": one} if name.startswith("changes/") else one
    return {"$comment": "the files below api/v1 and the schema of each", "files": found}


# --- the parts ----------------------------------------------------------------------------------------------


def index(site: Site, url: str | None) -> Index:
    recipes = sorted({entry.recipe for entry in site.entries if entry.ablation_of is None})
    tasks = sorted({task for entry in site.entries for task in entry.quality})
    profiles = sorted({line.profile for entry in site.entries for line in entry.speed})
    return Index(
        api="1.0",
        lightboard=__version__,
        url=url,
        tracks=tuple(
            TrackLine(
                name=track,
                title=track_title(track),
                entries_count=len(site.of(track)),
                track=f"{API}/tracks/{track}.json",
                page=track_page(track),
            )
            for track in site.tracks()
        ),
        methods=tuple(_method(site, name) for name in recipes),
        tasks=tuple(
            TaskLine(
                name=name,
                title=site.task(name).title,
                metrics=tuple(site.task(name).metrics),
                page=f"tasks/{name}.html",
            )
            for name in tasks
        ),
        profiles=tuple(
            ProfileLine(
                name=name,
                title=site.profile_title(name),
                emulated=site.profiles[name].emulated if name in site.profiles else None,
                page=f"hardware/{name}.html",
            )
            for name in profiles
        ),
        feed=FEED,
        about=DATA_PAGE,
        schema=f"{API}/schema.json",
    )


def _method(site: Site, name: str) -> MethodLine:
    known = site.recipes.get(name)
    references = known.about.references if known else ()
    return MethodLine(
        name=name,
        title=site.title(name),
        idea=known.about.idea if known else None,
        references=tuple(
            Reference(title=r.title, authors=r.authors, year=r.year, arxiv=r.arxiv) for r in references
        ),
        page=f"methods/{name}.html",
    )


def track_file(site: Site, track: str) -> TrackFile:
    known = known_track(track)
    view = site.default_view(track)
    return TrackFile(
        name=track,
        title=track_title(track),
        core=tuple(known.core) if known else (),
        extended=tuple(known.extended) if known else (),
        seeds=tuple(known.seeds) if known else (),
        protocol={str(part): value for part, value in hashes(track).items()} if known else {},
        entries=tuple(_line(site, name, entry, view) for name, entry in ordered(site, track)),
        ablations=tuple(api_entry(e) for e in site.entries if e.track == track and e.ablation_of is not None),
        tables={name: {suffix: table_file(track, name, suffix) for suffix in FORMATS} for name in TABLES},
        views=tuple(_view(track, one) for one in site.views(track) or (View(None),)),
        changes=f"{API}/changes/{track}.json",
    )


def _view(track: str, view: View) -> ViewLine:
    return ViewLine(
        profile=view.profile,
        runtime=view.runtime,
        page=track_page(track, view),
        files={suffix: view_file(track, view, suffix) for suffix in (*FORMATS, "tex", "bib")},
    )


def _line(site: Site, name: str, entry: Entry, view: View) -> Line:
    shown = site.speed(entry, view)
    timed = shown if isinstance(shown, Shown) else None
    score, ranks = entry.board_score, entry.ranks
    return Line(
        recipe=entry.recipe,
        variant=entry.variant,
        title=site.label(entry),
        division=entry.division,
        level=entry.level,
        group=name,
        ranks=(ranks.lowest, ranks.highest) if ranks else None,
        score_points=score.value if score else None,
        score_interval_points=score.interval if score else None,
        parameters_total=entry.cost.parameters.total,
        speed=Speed(
            profile=view.profile or "",
            runtime=timed.runtime,
            precision=timed.precision,
            speedup_times=timed.ratio.value,
            speedup_interval_times=timed.ratio.interval,
            latency_ms=timed.ms,
            p50_ms=timed.p50,
            noisy=timed.noisy,
        )
        if timed
        else None,
        speed_reason=None if timed else getattr(shown, "reason", None),
        entry=api_entry(entry),
        page=entry_page(entry),
        badges={figure: badge_file(entry, figure) for figure in BADGES},
    )
