"""``lightboard plan --measure``: what is not measured yet, most useful first, and how long each takes here.

A cell is an entry on a profile, in a runtime, asked in one way, beside the reference. What entries inherit, because
another model with their graph is measured or stands earlier in the list, is no cell; times of a lower precision are
never inherited. What was tried and cannot be is told apart with the reason, and so is what needs weights that are not
trained here.
``lightboard measure --all`` works down the list; what it has done is not in the next one, so it can be stopped and
started at will.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from suite import folder as folders
from suite import index as indexing
from suite import log as logs
from suite import paths, stored
from suite.documents import Attempt, Entry, Measurement, Run
from suite.errors import UserError
from suite.folder import Refused, parse
from suite.fronts import FULL
from suite.gaps import PROFILE
from suite.loading import load_profile, profiles
from suite.measure import recount
from suite.measure.drawn import drawable
from suite.measure.machine import unfit
from suite.paths import load_module
from suite.paths import names as names_of
from suite.pipeline.store import RECORD, Store
from suite.profile import Profile
from suite.protocol import MEASURING, Track, measuring_hash
from suite.protocol import track as track_of
from suite.runtimes import device_of
from suite.stored import same_shape

if TYPE_CHECKING:
    from suite.measure.run import Made

Against = Literal["reference", "alone"]


class Scenario(NamedTuple):
    """How queries come, and which."""

    arrival: Literal["single-stream", "offline"]
    inputs: Literal["trace", "lengths"]

    @property
    def title(self) -> str:
        return self.inputs if self.arrival == "single-stream" else f"{self.arrival} {self.inputs}"


SCENARIOS = (
    Scenario("single-stream", "trace"),
    Scenario("offline", "trace"),
    Scenario("single-stream", "lengths"),
)


@dataclass(frozen=True)
class Cell:
    """What is to be measured."""

    track: str
    recipe: str
    variant: str
    task: str | None  # whose weights, where time depends on them
    profile: str
    runtime: str
    scenario: Scenario
    against: tuple[Against, ...]  # one after another
    seconds: float = math.nan
    measured: bool = (
        False  # whether ``seconds`` follows from measurements like it, or from the arithmetic alone
    )
    tried: str | None = None  # why it could not be measured when it was tried

    @property
    def name(self) -> str:
        task = f" ({self.task})" if self.task else ""
        return (
            f"{self.recipe}/{self.variant}{task} on {self.profile} in {self.runtime}, {self.scenario.title}"
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "track": self.track,
            "entry": f"{self.recipe}/{self.variant}",
            "task": self.task,
            "profile": self.profile,
            "runtime": self.runtime,
            "arrival": self.scenario.arrival,
            "inputs": self.scenario.inputs,
            "against": list(self.against),
            "seconds": self.seconds,
            "seconds_from": "measurements like it" if self.measured else "arithmetic",
            **({"tried": self.tried} if self.tried else {}),
        }


@dataclass(frozen=True)
class Todo:
    """``cells``: most useful first. ``tried``: those that could not be. ``untrained``: those that need trained weights
    which this machine does not have. Reasons by profile and by runtime."""

    cells: tuple[Cell, ...]
    tried: tuple[Cell, ...]
    untrained: tuple[Cell, ...]
    profiles_elsewhere: Mapping[str, str]
    runtimes_missing: Mapping[str, str]

    @property
    def seconds(self) -> float:
        return math.fsum(cell.seconds for cell in self.cells)

    @property
    def waiting(self) -> str | None:
        """What is not trained here, in one line; None where nothing waits for it."""
        if not self.untrained:
            return None
        recipes = ", ".join(dict.fromkeys(cell.recipe for cell in self.untrained))
        return f"{len(self.untrained)} more need weights that are not trained here: of {recipes}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "cells": [cell.as_dict() for cell in self.cells],
            "seconds": self.seconds,
            "tried": [cell.as_dict() for cell in self.tried],
            "untrained": [cell.as_dict() for cell in self.untrained],
            "profiles_elsewhere": dict(self.profiles_elsewhere),
            "runtimes_missing": dict(self.runtimes_missing),
        }


# --- what there is ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Model:
    """An entry's models: one run of each core task, and what says how long they take."""

    entry: Entry
    runs: Mapping[str, Run]
    graphs: frozenset[str]  # of all its runs

    @cached_property
    def tasks(self) -> tuple[str | None, ...]:
        """Those it is timed on one by one; (None,) where one time speaks for all."""
        runs = self.runs.values()
        each = any(run.model.exits for run in runs) or not same_shape(run.model.config for run in runs)
        return tuple(self.runs) if each else (None,)

    def graph(self, task: str | None) -> str:
        return self.runs[task or next(iter(self.runs))].model.graph

    def flops(self, scenario: Scenario) -> float:
        """Of the mean query."""
        if scenario.inputs == "trace":
            return fmean(float(run.model.flops_per_example["dev"]) for run in self.runs.values())
        ops = next(iter(self.runs.values())).model.ops
        return fmean(recount.flops(ops, n) for n in MEASURING["trace"]["fixed_lengths"])


def _models(folder: Path, track: Track) -> list[_Model]:
    """Ranked variants first, the best of them before the others; then as the entries stand."""
    computed = indexing.compute(folder)
    found = []
    for entry in computed.entries:
        runs: dict[str, Run] = {}
        graphs = set()
        for task in (*track.core, *(name for name in entry.quality if name not in track.core)):
            lines = entry.quality[task].runs if task in entry.quality else ()
            for line in lines:
                path = folder / line.run / folders.DOCUMENTS["runs"]
                run = parse(Run, folders.read_bytes(path, folders.MAX_JSON_BYTES), path)
                graphs.add(run.model.graph)
                runs.setdefault(task, run)
        core = {task: run for task, run in runs.items() if task in track.core}
        found.append(_Model(entry, core or runs, frozenset(graphs)))

    def place(model: _Model) -> tuple[bool, int]:
        ranks = model.entry.ranks
        return (not model.entry.default, ranks.lowest if ranks else len(found))

    return sorted(found, key=place)


def _measurements(folder: Path) -> list[Measurement]:
    left = logs.left(logs.read(folder))
    found = []
    for one in folders.documents(folder, "measurements"):
        try:
            facts = stored.read_measurement(one, folder)
        except Refused:
            continue  # verify says what is wrong with it
        if facts.subject not in left and facts.measurement.protocol == measuring_hash():
            found.append(facts.measurement)
    return found


def _lacking(model: _Model, cell: Cell, measurements: Iterable[Measurement]) -> Cell | None:
    """The cell with those of its comparisons that nobody made; None where it is done."""
    own = (model.entry.recipe, model.entry.variant, model.entry.recipe_hash)
    done = {
        m.against
        for m in measurements
        if m.graph in model.graphs
        and (m.profile, m.runtime, m.arrival, m.inputs) == (cell.profile, cell.runtime, *cell.scenario)
        and ((m.recipe, m.variant, m.recipe_hash) == own or (m.task is None and m.precision == FULL))
        and (m.task == cell.task or m.inputs != "trace")  # a curve is drawn with any one task's weights
    }
    left = tuple(kind for kind in cell.against if kind not in done)
    return replace(cell, against=left) if left else None


# --- what is missing ----------------------------------------------------------------------------------------


def missing(
    results: Path | str, track: str, *, profile: str | None = None, recipes: Collection[str] = ()
) -> Todo:
    """Every cell that ``results`` lacks: those that this machine can fill, and what the others want.

    ``profile``: the one to look at; by default all whose figures have intervals. ``recipes``: all when empty.
    UserError without runs of the track, and for a recipe that is none.
    """
    known, folder = track_of(track), Path(results) / track
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; name the results above it with --results, or lightboard run first"
        )
    wanted = [load_profile(profile)] if profile else _published()
    elsewhere = {one.name: reason for one in wanted if (reason := unfit(one)) is not None}
    here = [one for one in wanted if one.name not in elsewhere]
    reasons: dict[str, str] = {}
    models = _models(folder, known)
    names = {model.entry.recipe for model in models} | set(paths.names("recipes"))
    if unknown := sorted(set(recipes) - names):
        raise paths.unknown("recipe", unknown[0], names)
    done = _measurements(folder) if models else []
    clock = _Clock(models, done)
    attempted = stored.read_attempts(folder) if models else []
    promised: set[tuple[str, ...]] = set()  # graphs that an earlier cell measures for all
    found: list[tuple[tuple[Any, ...], Cell]] = []
    tried: list[Cell] = []
    untrained: list[Cell] = []
    for order, model in enumerate(models):
        if recipes and model.entry.recipe not in recipes:
            continue
        for which, one in enumerate(here):
            for turn, how, planned in _cells(track, model, one, reasons):
                if (cell := _lacking(model, planned, done)) is None:
                    continue
                inherited = cell.task is None and _precision(cell.runtime) == FULL
                key = (model.graph(None), one.name, cell.runtime, *cell.scenario)
                if inherited and key in promised:
                    continue
                cell = clock.timed(cell, model, one, known.pairs)
                if (reason := _why_empty(model.entry, cell, attempted)) is not None:
                    tried.append(replace(cell, tried=reason))
                elif not _can_be_asked(cell, model, clock.reference):
                    untrained.append(cell)
                else:
                    promised.add(key) if inherited else None
                    found.append(((how, not model.entry.default, which, turn, order), cell))
    cells = [cell for _, cell in sorted(found, key=lambda pair: pair[0])]
    return Todo(tuple(cells), tuple(tried), tuple(untrained), elsewhere, reasons)


def _cells(
    track: str, model: _Model, profile: Profile, reasons: dict[str, str]
) -> Iterator[tuple[int, int, Cell]]:
    """Every cell of an entry on a profile, done or not, with the places of its runtime and its scenario."""
    recipe, variant = model.entry.recipe, model.entry.variant
    for turn, runtime in enumerate(_runtimes(profile, reasons)):
        for how, scenario in enumerate(_scenarios(profile, model.entry)):
            for task in model.tasks if scenario.inputs == "trace" else model.tasks[:1]:
                kinds = _kinds(task, runtime, profile)
                yield turn, how, Cell(track, recipe, variant, task, profile.name, runtime, scenario, kinds)


def _can_be_asked(cell: Cell, model: _Model, reference: _Model | None) -> bool:
    """Whether this machine has what the cell asks for: trained weights, or a graph where that is enough."""
    sides = [model.runs] if reference is None else [model.runs, reference.runs]
    tasks = [name for name in model.runs if cell.task in (None, name) and all(name in runs for runs in sides)]
    timed = _precision(cell.runtime) == FULL
    return any(
        all(timed and drawable(runs[name]) for runs in sides)
        or all(_is_trained(runs[name]) for runs in sides)
        for name in tasks
    )


def _precision(runtime: str) -> str:
    return str(load_module("runtimes", runtime).PRECISION)


def _is_trained(run: Run) -> bool:
    """Whether the store has the stage that made the run's model, which is its last."""
    return bool(run.stages) and (Store().folder(run.stages[-1].key) / RECORD).is_file()


def _published() -> list[Profile]:
    """The profiles whose figures have intervals; the one to start from first."""
    fewest = int(MEASURING["estimator"]["pairs_for_interval"])
    found = [one for one in profiles() if one.pairs >= fewest]
    return sorted(found, key=lambda one: (one.name != PROFILE, one.name))


def _runtimes(profile: Profile, reasons: dict[str, str]) -> list[str]:
    """Those to measure on, the reference's first: the profile's own; on the profile to start from, all of its device.

    Why one cannot be used goes into ``reasons``.
    """
    every = names_of("runtimes") if profile.name == PROFILE else []
    stems = {name.replace("-", "_") for name in (*profile.runtimes, *profile.optional_runtimes, *every)}
    found = []
    for name in sorted(stems, key=lambda name: (name != profile.against, name not in profile.runtimes, name)):
        try:
            module = load_module("runtimes", name)
            if device_of(module) != profile.device:
                continue
            reason = module.available()
        except UserError as error:  # a profile may name one that this version lacks
            reason = str(error)
        if reason is None:
            found.append(name)
        else:
            reasons[name] = reason
    return found


def _scenarios(profile: Profile, entry: Entry) -> Sequence[Scenario]:
    """Whole traces and curves of ranked variants; curves on the profile to start from.

    Others of a family are the same architecture at another size, and ``lightboard measure`` does them when asked.
    """
    if not entry.default:
        return SCENARIOS[:1]
    return [one for one in SCENARIOS if one.inputs == "trace" or profile.name == PROFILE]


def _kinds(task: str | None, runtime: str, profile: Profile) -> tuple[Against, ...]:
    """Beside the reference; where the time is one task's, whose trace is no other's, also in the same runtime.

    In the reference's own runtime both are one, and else the second follows from the reference's own line.
    """
    return ("reference",) if task is None or runtime == profile.against else ("reference", "alone")


def _why_empty(entry: Entry, cell: Cell, attempted: Iterable[Attempt]) -> str | None:
    """What an attempt at the cell said."""
    wanted = (entry.recipe, entry.variant, entry.recipe_hash, cell.profile, cell.runtime, *cell.scenario)
    for a in attempted:
        own = (a.recipe, a.variant, a.recipe_hash, a.profile, a.runtime, a.arrival, a.inputs)
        if own == wanted and a.task == cell.task:
            return a.reason
    return None


# --- how long it takes --------------------------------------------------------------------------------------

QUERY_SECONDS = 5e-5  # what a query takes that has next to no arithmetic
PROCESS_SECONDS = 3.0  # to start one and load what it needs, where no measurement tells
EXPORT_SECONDS = 15.0  # to export a model and compare its answers, likewise
PILOT_PASSES = 12  # over the whole trace, to choose a batch


class _Clock:
    """What a cell takes: the procedure's own arithmetic, scaled by what measurements like it took."""

    def __init__(self, models: Sequence[_Model], done: Sequence[Measurement]) -> None:
        self.by_graph = {graph: model for model in models for graph in model.graphs}
        reference = MEASURING["reference"]
        self.reference = next(
            (
                m
                for m in models
                if (m.entry.recipe, m.entry.variant) == (reference["recipe"], reference["variant"])
            ),
            None,
        )
        self.rates = self._rates(done)
        self.scales: dict[tuple[str, ...], list[float]] = {}
        by_name = {one.name: one for one in profiles()}
        for m in done:
            model, profile = self.by_graph.get(m.graph), by_name.get(m.profile)
            if m.seconds is None or model is None or profile is None:
                continue
            scenario = Scenario(m.arrival, m.inputs)  # type: ignore[arg-type]
            guess = self._guess(model, m.runtime, m.reference_runtime, profile, scenario, m.ratio.pairs)
            for key in ((m.profile, m.runtime, *scenario), (m.runtime, *scenario), ("",)):
                self.scales.setdefault(key, []).append(m.seconds / guess)

    def _rates(self, done: Sequence[Measurement]) -> dict[tuple[str, str], float]:
        """(profile, runtime) -> FLOP/s of models as they were measured; ("", ""): of them all, or of this machine."""
        seen: dict[tuple[str, str], list[float]] = {}
        for m in done:
            for graph, runtime, latency in (
                (m.graph, m.runtime, m.latency_ms),
                (m.reference_graph, m.reference_runtime, m.reference_latency_ms),
            ):
                model = self.by_graph.get(graph)
                if model is None or latency.p50 is None or m.inputs != "trace":
                    continue
                flops = model.flops(SCENARIOS[0])
                if flops > 1e7:  # below it, time is not arithmetic
                    for key in ((m.profile, runtime), ("", runtime), ("", "")):
                        seen.setdefault(key, []).append(flops / (latency.p50 / 1e3))
        return {key: median(values) for key, values in seen.items()} or {("", ""): _products() / 2}

    def timed(self, cell: Cell, model: _Model, profile: Profile, pairs: int | None) -> Cell:
        own = profile.against
        like = [(cell.profile, cell.runtime, *cell.scenario), (cell.runtime, *cell.scenario), ("",)]
        scale = next((median(self.scales[key]) for key in like if key in self.scales), 1.0)
        guess = math.fsum(
            self._guess(
                model,
                cell.runtime,
                own if kind == "reference" else cell.runtime,
                profile,
                cell.scenario,
                pairs or profile.pairs,
            )
            for kind in cell.against
        )
        return replace(cell, seconds=scale * guess, measured=any(key in self.scales for key in like[:2]))

    def _guess(
        self, model: _Model, runtime: str, other: str, profile: Profile, scenario: Scenario, pairs: int
    ) -> float:
        """Seconds of one comparison, as :mod:`suite.measure.latency` sizes its blocks."""
        mine = self._query(model, profile, runtime, scenario)
        theirs = self._query(self.reference or model, profile, other, scenario)
        rounds = profile.blocks // 2
        start = EXPORT_SECONDS + 2 * PROCESS_SECONDS * pairs
        if scenario.arrival == "offline":
            passes = [
                max(profile.block_seconds, MEASURING["trace"]["queries"] * one) for one in (mine, theirs)
            ]
            return start + float((pairs * rounds + PILOT_PASSES) * sum(passes))
        trace = int(MEASURING["trace"]["queries"])
        if scenario.inputs == "lengths":
            from suite.measure.trace import PER_LENGTH

            trace = PER_LENGTH * len(MEASURING["trace"]["fixed_lengths"])
        fewest = max(profile.block_queries, math.ceil(trace / rounds))
        shortest = float(MEASURING["repeats"]["shortest_unit_seconds"])
        units = [
            one if one >= shortest else max(shortest, profile.block_seconds / fewest)
            for one in (mine, theirs)
        ]
        queries = max(fewest, math.ceil(profile.block_seconds / min(units)))
        return start + float(pairs * rounds * queries * sum(units))

    def _query(self, model: _Model, profile: Profile, runtime: str, scenario: Scenario) -> float:
        keys = ((profile.name, runtime), ("", runtime), ("", ""))
        rate = next(self.rates[key] for key in keys if key in self.rates)
        return QUERY_SECONDS + model.flops(scenario) / rate


def _products() -> float:
    """FLOP/s of a moment's matrix products."""
    a = np.ones((512, 512), np.float32)
    best, until = math.inf, time.perf_counter() + 0.2
    while time.perf_counter() < until:
        started = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - started)
    return 2 * 512**3 / best


# --- working down the list ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """What came of a cell: folders, or the reason why there are none."""

    cell: Cell
    folders: tuple[Path, ...]
    reason: str | None
    seconds: float

    @property
    def line(self) -> str:
        """In words, on one line."""
        if self.reason is not None:
            return f"empty: {self.cell.name}: {self.reason}"
        ratios = []
        for folder in self.folders:
            document = json.loads((folder / "measurement.json").read_text(encoding="utf-8"))
            ratio, kind = document["ratio"], document["against"]
            low, high = ratio["interval"] or (math.nan, math.nan)
            ratios.append(f"{ratio['value']:.2f} times the {kind} [{low:.2f}, {high:.2f}]")
        return f"{self.cell.name}: {', '.join(ratios)}, {self.seconds:.0f} s"


def work(
    cells: Sequence[Cell],
    results: Path | str,
    *,
    data: str = "auto",
    until: float = math.inf,
    attempt: Callable[..., Made] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Iterator[Done]:
    """Measure the cells in order; one that fails says why and the others go on. ``until``: a time of
    :func:`time.monotonic` after which none is begun. ``attempt``: what makes them, in this process when left out."""
    from suite.measure import run
    from suite.measure.attempts import said

    attempt = attempt or run.attempt
    for cell in cells:
        if time.monotonic() >= until:
            return
        started = time.monotonic()
        made: tuple[Path, ...] = ()
        reason: str | None = None
        try:
            outcome = attempt(
                cell.recipe,
                track=cell.track,
                profile=cell.profile,
                runtime=cell.runtime,
                variant=cell.variant,
                results=results,
                against=cell.against,
                task=cell.task,
                data=data,
                inputs=cell.scenario.inputs,
                arrival=cell.scenario.arrival,
                progress=progress,
            )
            made = tuple(outcome.folders)
            if not made:
                reason = (
                    "; ".join(dict.fromkeys(one.reason for one in outcome.empty)) or "nothing was measured"
                )
        except Exception as error:  # whatever happened to one, the others are measured all the same
            reason = said(error)
        yield Done(cell, made, reason, time.monotonic() - started)
