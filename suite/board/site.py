"""What every page needs: the entries, how each is named, drawn and linked, and the speed a view shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from suite import loading, paths, protocol
from suite.board import colours
from suite.board.evidence import Evidence, is_place
from suite.board.local import Local
from suite.board.svg import Mark
from suite.board.text import Missing, listed, lower_first, shorten
from suite.documents import EmptyCell, Entry, Level, Measurement, Ratio, Speed
from suite.errors import UserError
from suite.profile import Profile
from suite.protocol import MEASURING, REPORTING, TRACKS, Track
from suite.recipe import Recipe
from suite.tasks import Task
from suite.tasks import task as task_named
from suite.verify import gold

UNKNOWN = Mark("hue-none", "circle")
FP32 = "fp32"
BASELINES = frozenset(REPORTING["baselines"].values())
ONE_SEED = "No row has a second seed here yet, so intervals are over examples alone."

Part = Literal["training", "measuring", "reporting"]
T = TypeVar("T")


class View(NamedTuple):  # hashed quicker than a frozen dataclass: every cell of a speed is looked up by it
    """On what and with what a front page's speeds were measured. None: the best runtime; nothing yet."""

    profile: str | None
    runtime: str | None = None


@dataclass(frozen=True)
class Shown:
    """The speed of an entry in a view: one measurement, or the geometric mean over the core tasks' own."""

    ratio: Ratio
    p50: float | None  # as it was measured, in a session and on a processor of its own
    p90: float | None
    runtime: str
    precision: str
    noisy: bool
    memory: int
    bytes: int
    measurements: tuple[str, ...]
    tasks: tuple[str, ...]  # more than one: a mean over them
    processors: tuple[str, ...] = ()  # on which it was measured
    own: tuple[float, float] | None = None  # of a lower precision: mean score over all tasks, and its change
    ms: float | None = None  # the reference's time over the ratio: what can stand beside other rows'


Way = tuple[str, str]  # runtime, precision
Timed = Sequence[tuple[Entry, Shown | Missing]]


@dataclass(frozen=True)
class Links:
    """Relative links from one page of the site: they work from a folder as from a server."""

    page: str  # below the site's root

    def to(self, path: str) -> str:
        return "../" * self.page.count("/") + path

    def track(self, track: str, view: View | None = None) -> str:
        return self.to(track_page(track, view))

    def entry(self, entry: Entry, anchor: str = "") -> str:
        return self.to(entry_page(entry)) + (f"#{anchor}" if anchor else "")

    def measured(self, entry: Entry, *places: str) -> str:
        """The page of a measurement that the entry names; of several its table of all of them."""
        if len(places) == 1 and is_measurement(places[0]):
            return self.to(measurement_page(entry.track, places[0]))
        return self.entry(entry, "speed")

    def method(self, recipe: str) -> str:
        return self.to(f"methods/{recipe}.html")

    def task(self, task: str) -> str:
        return self.to(f"tasks/{task}.html")

    def profile(self, profile: str) -> str:
        return self.to(f"hardware/{profile}.html")


def track_page(track: str, view: View | None = None) -> str:
    if view is None or view.profile is None:
        return f"tracks/{track}/index.html"
    folder = f"tracks/{track}/on/{view.profile}"
    return f"{folder}/with/{view.runtime}.html" if view.runtime else f"{folder}/index.html"


def entry_page(entry: Entry) -> str:
    return f"tracks/{entry.track}/entries/{entry.recipe}/{entry.variant}.html"


def evidence_folder(track: str, place: str) -> str:
    return f"tracks/{track}/evidence/{place}"


def is_measurement(place: str) -> bool:
    """Whether what an entry names as a measurement has a page: it is a document's path in the layout."""
    return is_place(place) and place.startswith("measurements/")


def measurement_page(track: str, place: str) -> str:
    return f"tracks/{track}/{place}.html"


@dataclass(frozen=True)
class Known:
    """What every page asks of a track again, found once: with many entries each answer is a long walk."""

    entries: tuple[Entry, ...]  # without ablations
    scored: tuple[Entry, ...]  # of those with a board score that are no baselines, the best first
    recipes: frozenset[str]
    levels: frozenset[Level]
    reference: Entry | None
    subset: frozenset[str]  # tasks of which some row was scored on a dev subset
    one_seed: frozenset[str]  # tasks of which no row has runs that differ
    views: tuple[View, ...]


@dataclass
class Site:
    """The results as the pages see them."""

    entries: Sequence[Entry]
    evidence: Evidence
    recipes: Mapping[str, Recipe]
    profiles: Mapping[str, Profile]
    tasks: dict[str, Task] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)  # what pages of one kind compute once for all of them
    local: Local | None = None  # the data at hand, of a build that is not for publishing
    _hues: dict[str, Mark] = field(default_factory=dict)
    _tracks: list[str] = field(default_factory=list)
    _known: dict[str, Known] = field(default_factory=dict)
    _by_recipe: dict[str, list[Entry]] = field(default_factory=dict)
    _naming: dict[str, Mapping[str, Sequence[Entry]]] = field(default_factory=dict)
    _speeds: dict[tuple[int, View], Shown | Missing] = field(default_factory=dict)
    _measured: dict[tuple[int, str], Mapping[Way, Shown | Missing]] = field(default_factory=dict)
    _timed: dict[tuple[str, View], Timed] = field(default_factory=dict)

    def once(self, key: str, make: Callable[[], T]) -> T:
        """What ``make`` gives: found at the first asking, for every page that asks."""
        if key not in self.kept:
            self.kept[key] = make()
        found: T = self.kept[key]
        return found

    # --- names -------------------------------------------------------------------------------------------

    def title(self, recipe: str) -> str:
        known = self.recipes.get(recipe)
        return known.about.title if known else recipe

    def by_title(self, recipes: Iterable[str]) -> list[str]:
        """Recipes as a reader looks them up: by title, the baselines last."""
        return sorted(recipes, key=lambda name: (name in BASELINES, self.title(name).lower(), name))

    def label(self, entry: Entry) -> str:
        """The method's title, what an ablation changes, and the variant where the recipe has several."""
        named = self.variant(entry)
        title = self.title(entry.recipe)
        if entry.ablation_of is not None:
            title = f"{self.title(entry.ablation_of)}, {lower_first(self.ablation(entry.recipe))}"
        return f"{title}, {named}" if named else title

    def ablation(self, recipe: str) -> str:
        """What a recipe changes in the one it is an ablation of."""
        known = self.recipes.get(recipe)
        return known.ablation.rstrip(".") if known and known.ablation else recipe

    def variant(self, entry: Entry) -> str:
        return "" if entry.variant == "default" else entry.variant

    def task(self, name: str) -> Task:
        """The task of a name; one that nothing here describes keeps its name and says no more."""
        if name not in self.tasks:
            try:
                self.tasks[name] = task_named(name)
            except UserError:
                self.tasks[name] = Task(name, name, (), "", (), ())
        return self.tasks[name]

    def profile_title(self, name: str) -> str:
        known = self.profiles.get(name)
        return known.title if known else name

    def on_profile(self, name: str) -> str:
        """``on one CPU thread``."""
        return f"on {lower_first(self.profile_title(name))}"

    def mark(self, recipe: str) -> Mark:
        if not self._hues:
            for index, name in enumerate(sorted(self.recipes)):
                self._hues[name] = Mark(f"hue-{index}", self.recipes[name].about.shape)
        return self._hues.get(recipe, UNKNOWN)

    def hue_rules(self) -> str:
        """The style sheet's lines for the methods' hues, on paper and in the dark."""
        colour = {self.mark(name).hue: recipe.about.colour for name, recipe in self.recipes.items()}
        colour[UNKNOWN.hue] = colours.NEUTRAL

        def shown(hue: str) -> str:
            light, dark = (colours.on(colours.PAPER[ground], colour[hue]) for ground in ("light", "dark"))
            return f".{hue} {{ --hue: light-dark({light}, {dark}); }}\n"

        return "".join(shown(hue) for hue in sorted(colour))

    # --- tracks ------------------------------------------------------------------------------------------

    def tracks(self) -> list[str]:
        """Tracks that have entries; the protocol's in its order of use (mini, base, demo), then others."""
        if not self._tracks:
            order = {"mini": 0, "base": 1, "demo": 2}
            names = {entry.track for entry in self.entries}
            self._tracks += sorted(names, key=lambda name: (order.get(name, 3), name))
        return list(self._tracks)

    def known(self, track: str) -> Known:
        if track not in self._known:
            entries = tuple(e for e in self.entries if e.track == track and e.ablation_of is None)
            rule = TRACKS.get(track)
            name = rule.reference_recipe if rule else "reference"
            scored = [e for e in entries if e.board_score and not self.is_baseline(e)]
            self._known[track] = Known(
                entries=entries,
                scored=tuple(sorted(scored, key=_points, reverse=True)),
                recipes=frozenset(e.recipe for e in entries),
                levels=frozenset(e.level for e in entries),
                reference=next((e for e in entries if e.recipe == name and e.default), None),
                subset=frozenset(
                    t for e in entries for t, quality in e.quality.items() if quality.dev_subset
                ),
                one_seed=frozenset(t for e in entries for t in e.quality)
                - {t for e in entries if e.default for t in _spread(e)},
                views=tuple(self._views(entries)),
            )
        return self._known[track]

    def of(self, track: str) -> tuple[Entry, ...]:
        """What the track's tables and charts show; ablations stand on their parents' pages alone."""
        return self.known(track).entries

    def of_recipe(self, recipe: str) -> Sequence[Entry]:
        """Its entries and its ablations', on every track."""
        if not self._by_recipe:
            for entry in self.entries:
                for name in {entry.recipe, entry.ablation_of or entry.recipe}:
                    self._by_recipe.setdefault(name, []).append(entry)
        return self._by_recipe.get(recipe, ())

    def ablations(self, track: str, recipe: str) -> list[Entry]:
        return [
            e for e in self.of_recipe(recipe) if (e.track, e.ablation_of) == (track, recipe) and e.differences
        ]

    def reference(self, track: str) -> Entry | None:
        return self.known(track).reference

    def is_best(self, entry: Entry) -> bool:
        """Whether a row is the one at the head of the ranking."""
        return entry is next((e for e in self.known(entry.track).scored if e.ranks and e.default), None)

    def is_reference(self, entry: Entry) -> bool:
        reference = self.reference(entry.track)
        return reference is not None and (entry.recipe, entry.variant) == (
            reference.recipe,
            reference.variant,
        )

    def is_baseline(self, entry: Entry) -> bool:
        return entry.recipe in BASELINES

    def task_note(self, track: str, task: str) -> str:
        """What must be said wherever the task's column is: the task's note, or the track's."""
        known = TRACKS.get(track)
        said = self.task(task).note
        return said or (known.notes.get(task, "") if known else "")

    def seed_note(self, track: str, task: str) -> str:
        """What must be said of the intervals of a task's column."""
        return ONE_SEED if task in self.known(track).one_seed else ""

    def dev_subset(self, track: str, task: str) -> bool:
        """Whether some row of the track was scored on fewer dev rows than the official set has."""
        return task in self.known(track).subset

    # --- speed -------------------------------------------------------------------------------------------

    def views(self, track: str) -> tuple[View, ...]:
        """Profiles that something was measured on, the commonest first, each with its runtimes."""
        return self.known(track).views

    def _views(self, entries: Sequence[Entry]) -> list[View]:
        lines = [line for entry in entries for line in entry.speed if _ranked(line)]
        if not lines:
            return []
        count: dict[str, int] = {}
        for line in lines:
            count[line.profile] = count.get(line.profile, 0) + 1
        emulated = {name for name, known in self.profiles.items() if known.emulated}
        names = sorted(count, key=lambda name: (name in emulated, -count[name], name))
        found = []
        for name in names:
            found.append(View(name))
            runtimes = sorted({line.runtime for line in lines if line.profile == name})
            if len(runtimes) > 1:
                found += [View(name, runtime) for runtime in runtimes]
        return found

    def default_view(self, track: str) -> View:
        return next(iter(self.views(track)), View(None))

    def naming(self, track: str) -> Mapping[str, Sequence[Entry]]:
        """Measurement -> the entries that name it, for each that has a page."""
        if track not in self._naming:
            found: dict[str, list[Entry]] = {}
            for entry in (one for one in self.entries if one.track == track):
                for place in dict.fromkeys(line.measurement for line in entry.speed):
                    if is_measurement(place):
                        found.setdefault(place, []).append(entry)
            self._naming[track] = found
        return self._naming[track]

    def measured(self, track: str, place: str) -> Measurement | Missing:
        return self.evidence.measurement(track, place)

    def speed(self, entry: Entry, view: View) -> Shown | Missing:
        """What a row shows of an entry's speed: single queries, the trace's true lengths."""
        key = id(entry), view  # of this site's own entries, which live as long as it does
        if key not in self._speeds:
            self._speeds[key] = self._speed(entry, view)
        return self._speeds[key]

    def timed(self, track: str, view: View) -> Timed:
        """The track's entries, each with what a view shows of it: found once, since a front page asks many times."""
        key = track, view
        if key not in self._timed:
            self._timed[key] = [(entry, self.speed(entry, view)) for entry in self.of(track)]
        return self._timed[key]

    def _speed(self, entry: Entry, view: View) -> Shown | Missing:
        if view.profile is None:
            return Missing("not measured yet")
        measured = self._ways(entry, view.profile)
        found = {way: one for way, one in measured.items() if view.runtime in (None, way[0])}
        if not found:
            tried = [
                cell
                for cell in entry.empty
                if cell.profile == view.profile and _ranked(cell) and view.runtime in (None, cell.runtime)
            ]
            if tried:
                runtimes = listed(sorted({cell.runtime for cell in tried}))
                why = tried[0].reason.removeprefix(f"runtime {tried[0].runtime}: ")
                return Missing(f"tried with {runtimes}: {shorten(why, 60)}")  # the entry's page has it all
            if measured:
                return Missing(f"not measured with {view.runtime} yet")
            return Missing("not measured on this profile yet")
        # The scores are of full precision unless the row is itself a lower one; so must its time be. A model that
        # rounds inside has scores of its own in float32 too: it is one everywhere.
        full = {way: one for way, one in found.items() if way[1] == FP32}
        rounds = any(isinstance(one, Shown) and one.own for one in full.values())
        if view.runtime is None and full and not rounds:
            found = full
        whole = [one for one in found.values() if isinstance(one, Shown)]
        if not whole:
            return next(iter(found.values()))
        shown = max(whole, key=lambda one: one.ratio.value)
        reference = self.reference_ms(entry.track, view.profile)
        return (
            replace(shown, ms=reference / shown.ratio.value) if reference and shown.ratio.value > 0 else shown
        )

    def reference_ms(self, track: str, profile: str | None) -> float | None:
        """The reference's own milliseconds a query on a profile, in the runtime that every ratio there is against."""
        reference = self.reference(track)
        if reference is None or profile is None:
            return None
        known = self.profiles.get(profile)
        runtime = known.against if known else MEASURING["reference"]["runtime"]
        shown = self._ways(reference, profile).get((runtime, FP32))
        return shown.p50 if isinstance(shown, Shown) else None

    def _ways(self, entry: Entry, profile: str) -> Mapping[Way, Shown | Missing]:
        """How an entry was measured on a profile, in order; views of one profile choose among the same."""
        key = id(entry), profile
        if key not in self._measured:
            groups: dict[Way, list[Speed]] = {}
            for line in entry.speed:
                if line.profile == profile and _ranked(line):
                    groups.setdefault((line.runtime, line.precision), []).append(line)
            self._measured[key] = {way: self._shown(entry, groups[way]) for way in sorted(groups)}
        return self._measured[key]

    def _shown(self, entry: Entry, lines: Sequence[Speed]) -> Shown | Missing:
        tasks = [line.task for line in lines if line.task is not None]
        if tasks:
            known = TRACKS.get(entry.track)
            lacking = [t for t in (known.core if known else ()) if t not in tasks]
            if lacking:
                return Missing(f"timed task by task; {listed(self.task(t).title for t in lacking)} not yet")
        first = lines[0]
        if len(lines) == 1:
            ratio, p50, p90 = first.ratio, first.latency_ms.p50, first.latency_ms.p90
        else:
            ratio = mean_ratio([line.ratio for line in lines])
            p50, p90 = _mean(line.latency_ms.p50 for line in lines), None
        return Shown(
            ratio=ratio,
            p50=p50,
            p90=p90,
            runtime=first.runtime,
            precision=first.precision,
            noisy=any(line.verdict == "noisy" for line in lines),
            memory=max(line.peak_memory_bytes for line in lines),
            bytes=max(line.model_bytes for line in lines),
            measurements=tuple(line.measurement for line in lines),
            tasks=tuple(sorted(tasks)) if len(lines) > 1 else (),
            processors=tuple(sorted({line.processor for line in lines if line.processor})),
            own=own_score(entry, lines),
        )


def own_score(entry: Entry, lines: Iterable[Speed]) -> tuple[float, float] | None:
    """Mean score of a lower precision's own answers over the core tasks, and how far that is from the same weights'
    in full precision; None where one of the tasks was not scored."""
    scores = {task: own for line in lines for task, own in line.scores.items()}
    if not scores:
        return None
    known = TRACKS.get(entry.track)
    tasks = known.core if known else tuple(entry.quality)
    if not tasks or any(task not in scores for task in tasks):
        return None
    return (
        math.fsum(scores[task].score for task in tasks) / len(tasks),
        math.fsum(scores[task].change.value for task in tasks) / len(tasks),
    )


def _spread(entry: Entry) -> list[str]:
    """Tasks from whose runs one can tell what a seed changes: several, and not all the same, as chance's are."""
    return [task for task, found in entry.quality.items() if len({run.score for run in found.runs}) > 1]


def _points(entry: Entry) -> float:
    return entry.board_score.value if entry.board_score else 0.0


def _ranked(line: Speed | EmptyCell) -> bool:
    return line.arrival == "single-stream" and line.inputs == "trace"


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and value > 0]
    return math.exp(math.fsum(map(math.log, known)) / len(known)) if known else None


def mean_ratio(ratios: Sequence[Ratio]) -> Ratio:
    """The geometric mean of independent ratios; half-widths add in quadrature on the log scale.

    Used where a model is timed on each core task with that task's weights.
    """
    value = math.exp(math.fsum(math.log(r.value) for r in ratios) / len(ratios))
    interval = None
    if all(r.interval for r in ratios):
        half = [math.log(r.interval[1] / r.interval[0]) / 2 for r in ratios if r.interval]
        wide = math.exp(math.sqrt(math.fsum(h * h for h in half)) / len(ratios))
        interval = (value / wide, value * wide)
    return Ratio(value=value, interval=interval, pairs=min(r.pairs for r in ratios))


def known_track(name: str) -> Track | None:
    return TRACKS.get(name)


def track_title(name: str) -> str:
    known = TRACKS.get(name)
    return known.title if known else name


def load_site(entries: Sequence[Entry], results: Path, data: str | None = None) -> Site:
    """The entries with the recipes and profiles that describe them, where those can be found."""
    recipes: dict[str, Recipe] = {}
    known = set(paths.names("recipes"))
    for name in sorted({entry.recipe for entry in entries} & known):
        try:
            recipes[name] = loading.load_recipe(name)
        except UserError:
            continue  # as a stranger's recipe: its rows stand in neutral ink under their name
    profiles: dict[str, Profile] = {}
    used = {line.profile for entry in entries for line in entry.speed}
    for name in sorted({*used, *paths.names("hardware_profiles")}):
        try:
            profiles[name] = loading.load_profile(name)
        except UserError:
            continue
    ordered = sorted(entries, key=lambda e: (e.track, e.recipe, e.variant))
    if data:
        gold.check(data)
    return Site(ordered, Evidence(results), recipes, profiles, local=Local(data) if data else None)


PROTOCOL: dict[Part, Mapping[str, Any]] = {
    "training": protocol.TRAINING,
    "measuring": protocol.MEASURING,
    "reporting": protocol.REPORTING,
}
