"""Entries: the computed view of every recipe variant, from its runs and the measurements of its model.

An entry holds nothing that does not follow from documents beside it, so it can be thrown away and computed
again, and a verifier does. How runs become one entry:

- An entry is the runs of one recipe, variant, recipe hash, training protocol and division. Where several such
  groups lie in one folder (a recipe was changed, and older runs wait for their replacements), the current
  protocol's, then the standard division's, then the larger one makes the entry; the notes name the others. So
  no run that is added can move an entry into another division.
- Of a recipe one variant is ranked, and all its runs name the same one: two are refused.
- Rows are compared only within one training protocol, and task by task only where the dev rows are the same
  (equal fingerprints). Ranks are within a division.
- A measurement belongs to an entry when it timed one of the entry's graphs. Made on another recipe, variant
  or an older run, it is *inherited*; that is only allowed where it names no task: the time of an early-exit
  or searched model depends on its weights.
- A document that the track's log says was corrected, superseded or withdrawn counts in no entry.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from suite import folder as folders
from suite import log as logs
from suite import statistics
from suite.canonical import digest, pretty_json
from suite.documents import (
    Attempt,
    Cost,
    Difference,
    EmptyCell,
    Entry,
    Estimate,
    Front,
    Level,
    LogEntry,
    Measurement,
    OwnScore,
    Parameters,
    Quality,
    Ranks,
    Ratio,
    Run,
    RunLine,
    SeedCost,
    Speed,
)
from suite.errors import UserError
from suite.folder import Problem, Refused, parse, show
from suite.fronts import FULL, fronts
from suite.protocol import MEASURING, REPORTING, TRACKS, Track, hashes, measuring_hash, training_hash
from suite.stored import (
    LEVELS,
    MeasurementFacts,
    RunFacts,
    measurement_location,
    percentiles,
    read_attempts,
    read_attestations,
    read_levels,
    read_measurement,
    read_run,
    retrainings,
    same_shape,
)


@dataclass
class Computed:
    """All entries of a track, what was left out and why, what could not be read, and what cannot stand together."""

    entries: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def _empty(group: _Group, speed: Sequence[Speed], attempts: Sequence[Attempt]) -> tuple[EmptyCell, ...]:
    """The cells of an entry that stayed empty. One that was filled since, or by another run, is none."""
    filled = {(line.profile, line.runtime, line.arrival, line.inputs, line.task) for line in speed}
    own = (group.recipe, group.variant, group.recipe_hash)
    cells = [
        EmptyCell(
            profile=a.profile, runtime=a.runtime, arrival=a.arrival, inputs=a.inputs, task=a.task,
            reason=a.reason, date=a.date,
        )
        for a in attempts
        if (a.recipe, a.variant, a.recipe_hash) == own
        and (a.profile, a.runtime, a.arrival, a.inputs, a.task) not in filled
    ]  # fmt: skip
    return tuple(sorted(cells, key=lambda c: (c.profile, c.runtime, c.arrival, c.inputs, c.task or "")))


# --- from runs to entries -----------------------------------------------------------------------------------


@dataclass(eq=False)
class _Group:
    """The runs of one entry."""

    recipe: str
    variant: str
    recipe_hash: str
    training: str
    division: Literal["standard", "open"]
    runs: list[RunFacts]
    track: Track | None

    @property
    def name(self) -> str:
        return f"{self.recipe}/{self.variant}"

    @property
    def default(self) -> bool:
        """Whether this is its recipe's one ranked variant; an ablation has none."""
        return self.headline and self.ablation_of is None

    @property
    def headline(self) -> bool:
        return self.ranked_variant == self.variant

    @property
    def ranked_variant(self) -> str:
        return str(self.runs[0].run.settings.get("default", "default"))

    @property
    def ablation_of(self) -> str | None:
        parent = self.runs[0].run.settings.get("ablation_of")
        return parent if isinstance(parent, str) else None

    def by_task(self) -> dict[str, list[RunFacts]]:
        """Task -> its runs, both in the track's order."""
        found: dict[str, list[RunFacts]] = defaultdict(list)
        for facts in self.runs:
            found[facts.run.task].append(facts)
        tasks = list(self.track.tasks) if self.track else []
        seeds = list(self.track.seeds) if self.track else []
        place = {task: index for index, task in enumerate(tasks)}
        turn = {seed: index for index, seed in enumerate(seeds)}
        names = sorted(found, key=lambda task: (place.get(task, len(place)), task))
        return {
            name: sorted(found[name], key=lambda f: (turn.get(f.run.seed, len(turn)), f.run.seed, f.path))
            for name in names
        }


def _group(runs: Iterable[RunFacts], name: str, track: Track | None) -> tuple[list[_Group], list[str]]:
    """One group per recipe and variant, and a note on each group that had to stand back."""
    groups: dict[tuple[str, str, str, str, Literal["standard", "open"]], _Group] = {}
    for facts in runs:
        run = facts.run
        key = (run.recipe, run.variant, run.recipe_hash, run.protocol, run.division)
        groups.setdefault(key, _Group(*key, runs=[], track=track)).runs.append(facts)
    current = training_hash(name)
    chosen: dict[str, _Group] = {}
    notes: list[str] = []

    def weight(group: _Group) -> tuple[bool, bool, int, str]:
        return (
            group.training == current,
            group.division == "standard",
            len(group.runs),
            group.recipe_hash,
        )

    for group in groups.values():
        best = chosen.get(group.name)
        if best is None:
            chosen[group.name] = group
            continue
        winner, loser = (group, best) if weight(group) > weight(best) else (best, group)
        chosen[group.name] = winner
        kinds = {"training protocol": "training", "division": "division", "recipe hash": "recipe_hash"}
        what = next(kind for kind, of in kinds.items() if getattr(winner, of) != getattr(loser, of))
        paths = ", ".join(sorted(facts.path for facts in loser.runs)[:4])
        notes.append(f"{loser.name}: {len(loser.runs)} runs of another {what} are in no entry: {paths}")
    return [chosen[name] for name in sorted(chosen)], notes


def _evidence(runs: Sequence[RunFacts]) -> statistics.Evidence:
    return statistics.Evidence(
        tuple(facts.run.score for facts in runs),
        tuple(facts.influence for facts in runs),
        tuple(facts.run.diverged for facts in runs),
    )


@dataclass(eq=False)
class _Table:
    """The groups of one training protocol, and what they are compared by."""

    groups: list[_Group]
    rows: dict[str, dict[str, statistics.Evidence]]  # group -> task -> its runs on the table's dev rows
    spreads: dict[str, statistics.SeedSpread]  # task -> seed deviation
    ranks: dict[str, statistics.Rank]
    core: tuple[str, ...]
    reference_recipe: str
    reference: Mapping[str, statistics.Evidence]
    majority: Mapping[str, statistics.Evidence]


Fingerprints = tuple[tuple[str, str], ...]


def _dev_rows(groups: Sequence[_Group], reference: str) -> dict[str, Fingerprints]:
    """Task -> the fingerprints of the dev rows that this table compares on.

    Those of the reference; where it has no run, the commonest (the smallest of equally common ones).
    """
    found: dict[str, Fingerprints] = {}
    votes: dict[str, Counter[Fingerprints]] = defaultdict(Counter)
    for group in groups:
        for task, runs in group.by_task().items():
            votes[task].update(facts.fingerprints for facts in runs)
            if _is_anchor(group, reference):
                found[task] = runs[0].fingerprints
    for task, counter in votes.items():
        most = max(counter.values())
        found.setdefault(task, min(key for key, count in counter.items() if count == most))
    return found


def _is_anchor(group: _Group, recipe: str) -> bool:
    """Whether this is the one entry of a recipe that other rows are held against."""
    reference = MEASURING["reference"]
    its_variant = recipe != reference["recipe"] or group.variant == reference["variant"]
    return group.recipe == recipe and its_variant and group.default and group.division == "standard"


def _table(groups: list[_Group], track: Track | None) -> _Table:
    reference = track.reference_recipe if track else str(MEASURING["reference"]["recipe"])
    majority = str(REPORTING["baselines"]["majority"])
    dev = _dev_rows(groups, reference)
    rows: dict[str, dict[str, statistics.Evidence]] = {}
    for group in groups:
        rows[group.name] = {
            task: _evidence(runs)
            for task, runs in group.by_task().items()
            if all(facts.fingerprints == dev[task] for facts in runs)
            and len({len(facts.influence) for facts in runs}) == 1
        }
    # Variants of one recipe come from one training: only the default one tells something new of the seeds.
    defaults = {group.name: rows[group.name] for group in groups if group.default}
    spreads = statistics.seed_spreads(defaults)
    for task in {task for row in rows.values() for task in row} - set(spreads):
        spreads[task] = statistics.SeedSpread(None, 0)
    core = track.core if track else ()
    ranked = {task: spreads[task] for task in core if task in spreads}
    ranks: dict[str, statistics.Rank] = {}
    if core and len(ranked) == len(core):
        for division in ("standard", "open"):
            family = {g.name: rows[g.name] for g in groups if g.default and g.division == division}
            ranks |= statistics.rank_ranges(family, ranked)
    row, floor = (
        next((rows[group.name] for group in groups if _is_anchor(group, recipe)), {})
        for recipe in (reference, majority)
    )
    return _Table(groups, rows, spreads, ranks, core, reference, row, floor)


def _two_ranked(track: Path, groups: Sequence[_Group]) -> Iterator[Problem]:
    """Each group that names another ranked variant than its recipe's first group: a recipe has one."""
    first: dict[str, _Group] = {}
    for group in groups:
        other = first.setdefault(group.recipe, group)
        if group.ranked_variant != other.ranked_variant:
            expected = f"{show(other.ranked_variant)}, as {other.runs[0].path} says of the same recipe"
            fix = "give all variants of a recipe the same ranked one, or your variant a recipe of its own"
            file = show(str(track / group.runs[0].path / folders.DOCUMENTS["runs"]), 300)
            yield Problem(file, "settings.default", show(group.ranked_variant), expected, fix)


def compute(track: Path) -> Computed:
    """All entries of ``results/<track>``, from the documents in it; nothing is written.

    A document that cannot be read is left out and named in ``unreadable``.
    """
    known = TRACKS.get(track.name)
    result = Computed()
    try:
        log = logs.read(track)
    except Refused as refused:
        result.unreadable.append(str(refused))
        return result
    left = logs.left(log)
    runs = list(_read(track, "runs", read_run, result, left))
    references = {facts.run.model.graph for facts in runs if _is_reference(facts.run)}
    speeds = _Speeds(_read(track, "measurements", read_measurement, result, left), references)
    levels = _Levels(read_levels(track), {s: retrainings(a)[0] for s, a in read_attestations(track).items()})
    groups, notes = _group(runs, track.name, known)
    result.notes += notes
    trainings: dict[str, list[_Group]] = defaultdict(list)
    for group in groups:
        trainings[group.training].append(group)
    attempts = read_attempts(track)
    entries: dict[str, Entry] = {}
    for training in sorted(trainings):
        table = _table(trainings[training], known)
        result.problems += _two_ranked(track, table.groups)
        made = {g.name: _entry(track.name, g, table, speeds, levels, log, attempts) for g in table.groups}
        placed = _fronts(made.values(), table)
        entries |= {n: e.model_copy(update={"fronts": placed.get(n, {})}) for n, e in made.items()}
    result.entries = [entries[name] for name in sorted(entries)]
    return result


R = TypeVar("R", RunFacts, MeasurementFacts)


def _read(
    track: Path,
    kind: str,
    read: Callable[[Path, Path], R],
    result: Computed,
    left: Mapping[str, LogEntry],
) -> Iterator[R]:
    for folder in folders.documents(track, kind):
        try:
            facts = read(folder, track)
        except Refused as refused:
            result.unreadable.append(str(refused))
            continue
        # In another's place it would count under a name that is not its own, or twice.
        if facts.path not in facts.locations:
            place = show(str(folder), 300)
            result.unreadable.append(f"{place}: found a document of {facts.locations[0]}, expected it there")
            continue
        if entry := left.get(facts.subject):
            said = f"{entry.action} by {logs.FOLDER}/{logs.file_name(entry.number)}"
            result.notes.append(f"{facts.path}: in no entry: {said}")
            continue
        yield facts


@dataclass(frozen=True)
class _Levels:
    """What attestations say of the track's documents, by subject."""

    reached: Mapping[str, Level]
    retrained: Mapping[str, int]  # verifiers whose retraining passed


def _entry(
    track: str,
    group: _Group,
    table: _Table,
    speeds: _Speeds,
    levels: _Levels,
    log: Sequence[LogEntry],
    attempts: Sequence[Attempt],
) -> Entry:
    by_task = group.by_task()
    first = group.runs[0].run
    quality = {task: _quality(task, runs, group, table) for task, runs in by_task.items()}
    board, reason = _board(group, table)
    rank = table.ranks.get(group.name)
    own = speeds.of(group)
    reached = min((levels.reached.get(facts.subject, "valid") for facts in group.runs), key=LEVELS.index)
    retrained = min(levels.retrained.get(facts.subject, 0) for facts in group.runs)
    departures = dict.fromkeys(d for runs in by_task.values() for facts in runs for d in facts.run.departures)
    return Entry(
        track=track,
        division=group.division,
        recipe=group.recipe,
        variant=group.variant,
        default=group.default,
        method=first.method,
        recipe_hash=group.recipe_hash,
        protocol={**hashes(track), "training": group.training},
        quality=quality,
        board_score=board,
        board_score_reason=reason,
        ranks=Ranks(lowest=rank.lowest, highest=rank.highest, of=rank.of, ties_with_best=rank.ties_with_best)
        if rank
        else None,
        cost=_cost(by_task, own),
        speed=tuple(own),
        empty=_empty(group, own, attempts),
        training_cost=_training_cost(by_task),
        level=reached,
        retrained=retrained if reached == "retrained" else 0,
        departures=tuple(departures),
        ablation_of=group.ablation_of,
        differences=_differences(group, table),
        settings=first.settings,
        changelog=logs.changelog(log, group.recipe, group.variant),
    )


# --- what a further seed is judged by -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Standing:
    """An entry's runs, and how far seeds of its tasks lie apart over the rows it is compared with."""

    runs: Mapping[str, Sequence[RunFacts]]  # task -> its runs
    evidence: Mapping[str, statistics.Evidence]  # task -> the same, as scores
    spreads: Mapping[str, statistics.SeedSpread]
    digest: str  # of what was entered: recipe, variant and the subjects of the runs; never of what followed


def standing(track: Path, name: str, among: Path | None = None) -> Standing:
    """The standing of the entry ``recipe/variant``; ``among``: a track whose rows join the pool of seeds.

    UserError when a document cannot be read, or there are no runs of that name.
    """
    known, result = TRACKS.get(track.name), Computed()
    runs = list(_read(track, "runs", read_run, result, logs.left(logs.read(track))))
    own = {facts.path for facts in runs}
    if among is not None and among.absolute() != track.absolute():
        others = _read(among, "runs", read_run, result, logs.left(logs.read(among)))
        runs += [facts for facts in others if facts.path not in own]
    if result.unreadable:
        raise UserError(f"{result.unreadable[0]}; run lightboard verify", code=1)
    groups, _ = _group(runs, track.name, known)
    group = next((one for one in groups if one.name == name), None)
    if group is None:
        raise UserError(f"{track}: no runs of {name}; run lightboard index and name an entry that is there")
    table = _table([one for one in groups if one.training == group.training], known)
    by_task = group.by_task()
    said = {
        "track": track.name,
        "entry": name,
        "recipe_hash": group.recipe_hash,
        "training": group.training,
        "runs": sorted(facts.subject for facts in group.runs),
    }
    return Standing(
        runs=by_task,
        evidence={task: _own_evidence(found) for task, found in by_task.items()},
        spreads={task: table.spreads.get(task, statistics.SeedSpread(None, 0)) for task in by_task},
        digest=digest(said),
    )


# --- quality ------------------------------------------------------------------------------------------------


def _quality(task: str, runs: Sequence[RunFacts], group: _Group, table: _Table) -> Quality:
    evidence = table.rows[group.name].get(task)
    comparable = evidence is not None
    if evidence is None:
        evidence = _own_evidence(runs)
    estimate = statistics.estimate(evidence, table.spreads.get(task, statistics.SeedSpread(None, 0)))
    retention, reason = _retention(task, evidence if comparable else None, table)
    return Quality(
        score=estimate.value,
        interval=estimate.interval,
        runs=tuple(
            RunLine(
                seed=facts.run.seed,
                score=facts.run.score,
                metrics=facts.run.metrics,
                diverged=facts.run.diverged,
                run=facts.path,
            )
            for facts in runs
        ),
        dev_subset=any(facts.run.data.dev_subset for facts in runs),
        retention=retention,
        retention_reason=reason,
    )


def _own_evidence(runs: Sequence[RunFacts]) -> statistics.Evidence:
    """Of runs on other dev rows than the table's: they stand for themselves.

    Where even they differ among each other, their examples cannot be averaged: the first run of the commonest
    number of examples (the larger of equally common ones) speaks for the sampling variance, and the scores are
    averaged all the same.
    """
    if len({len(facts.influence) for facts in runs}) == 1:
        return _evidence(runs)
    sizes = Counter(len(facts.influence) for facts in runs)
    size = max(sizes, key=lambda size: (sizes[size], size))
    speaks = next(facts.influence for facts in runs if len(facts.influence) == size)
    return statistics.Evidence(
        tuple(facts.run.score for facts in runs),
        tuple(speaks for _ in runs),
        tuple(facts.run.diverged for facts in runs),
    )


def _retention(
    task: str, evidence: statistics.Evidence | None, table: _Table
) -> tuple[Estimate | None, str | None]:
    if evidence is None:
        return None, "n/a: other dev rows than the reference's"
    for what, row in (("reference", table.reference), ("majority", table.majority)):
        if task not in row:
            return None, f"n/a: the {what} has no run of {task} here"
    teacher = {task: table.reference[task]}
    found = statistics.retention(
        {task: evidence}, teacher, {task: table.majority[task]}, {task: table.spreads[task]}
    )
    if found.value is None:
        return None, found.reason
    return Estimate(value=found.value, interval=found.interval), None


def _board(group: _Group, table: _Table) -> tuple[Estimate | None, str | None]:
    """The mean over the core tasks, or which of them are missing."""
    row = table.rows[group.name]
    missing = [task for task in table.core if task not in row]
    if not table.core:
        return None, "n/a: the track has no core tasks"
    if missing:
        return None, "n/a: no run of " + ", ".join(missing)
    found = statistics.board_score(row, {task: table.spreads[task] for task in table.core})
    if found is None:
        return None, "n/a: a core task is missing"
    return Estimate(value=found.value, interval=found.interval), None


def _fronts(entries: Iterable[Entry], table: _Table) -> dict[str, dict[str, Front]]:
    spreads = {task: table.spreads[task] for task in table.core if task in table.spreads}
    if len(spreads) < len(table.core):
        return {}
    return fronts(list(entries), table.rows, spreads, table.reference_recipe)


def _differences(group: _Group, table: _Table) -> dict[str, Difference]:
    """Task -> the ranked variant of an ablation less its parent's, over the seeds that both have."""
    parents = [g for g in table.groups if g.recipe == group.ablation_of and g.default]
    if not parents or not group.headline:
        return {}
    found: dict[str, Difference] = {}
    theirs = parents[0].by_task()
    for task, runs in group.by_task().items():
        if task not in table.rows[group.name] or task not in table.rows[parents[0].name]:
            continue
        seeds = {f.run.seed for f in runs} & {f.run.seed for f in theirs[task]}
        mine, other = ([f for f in side if f.run.seed in seeds] for side in (runs, theirs[task]))
        if seeds:
            spreads = {task: table.spreads[task]}
            gap = statistics.paired_difference({task: _evidence(mine)}, {task: _evidence(other)}, spreads)
            found[task] = Difference(
                value=gap.value, interval=gap.interval, p=gap.p, seeds=tuple(f.run.seed for f in mine)
            )
    return found


# --- cost ---------------------------------------------------------------------------------------------------


def _cost(by_task: Mapping[str, Sequence[RunFacts]], speed: Sequence[Speed]) -> Cost:
    """The largest over the runs, so that a budget met by the entry is met on every task.

    Runs of one entry differ little (the classifier's outputs) unless their architecture was searched or
    pruned. FLOPs at a task's dev lengths are that task's mean.
    """
    runs = [facts.run for facts_of_task in by_task.values() for facts in facts_of_task]
    largest = max(
        (run.model.parameters for run in runs), key=lambda p: (p.total, p.without_embeddings, p.nonzero)
    )
    flops: dict[str, float] = {}
    for run in runs:
        for length, value in run.model.flops_per_example.items():
            if length != "dev":
                flops[length] = max(flops.get(length, 0.0), value)
    for task, facts_of_task in by_task.items():
        at_dev = [f.run.model.flops_per_example.get("dev") for f in facts_of_task]
        present = [value for value in at_dev if value is not None]
        if present:
            flops[f"dev/{task}"] = math.fsum(present) / len(present)
    size: dict[str, int] = {}
    for run in runs:
        for kind, count in run.model.bytes.items():
            size[kind] = max(size.get(kind, 0), count)
    for line in speed:
        kind = f"{line.runtime}/{line.precision}"
        size[kind] = max(size.get(kind, 0), line.model_bytes)
    parameters = Parameters(
        total=largest.total, without_embeddings=largest.without_embeddings, nonzero=largest.nonzero
    )
    return Cost(
        parameters=parameters, flops_per_example=dict(sorted(flops.items())), bytes=dict(sorted(size.items()))
    )


def _training_cost(by_task: Mapping[str, Sequence[RunFacts]]) -> SeedCost:
    """One seed of every task: the mean over a task's runs, summed over the tasks."""

    def total(name: str) -> float:
        parts = []
        for runs in by_task.values():
            values = [float(getattr(facts.run.training_cost, name)) for facts in runs]
            parts.append(math.fsum(values) / len(values))
        return math.fsum(parts)

    budgets = [f.run.training_cost.budget_tflop for runs in by_task.values() for f in runs]
    return SeedCost(
        tflop=total("tflop"),
        tokens=round(total("tokens")),
        device_hours=total("device_hours"),
        budget_tflop=None if None in budgets else total("budget_tflop"),
    )


# --- speed --------------------------------------------------------------------------------------------------


class _Speeds:
    """The track's measurements, found by the graph that was timed. ``references``: the graphs of the reference's
    runs; where it has none here, what is named as the reference is taken for it."""

    def __init__(self, measurements: Iterable[MeasurementFacts], references: Set[str]) -> None:
        self._by_graph: dict[str, list[MeasurementFacts]] = defaultdict(list)
        self._graphs = references
        self._references: list[Measurement] = []  # of the reference itself, whatever its last layer's width
        for facts in measurements:
            m = facts.measurement
            if m.protocol == measuring_hash():
                self._by_graph[m.graph].append(facts)
                if self._is_the_references(m) and m.against == "reference":
                    self._references.append(m)

    def of(self, group: _Group) -> list[Speed]:
        """One line per profile, runtime, precision, arrival, inputs and timed task."""
        graphs = sorted({facts.run.model.graph for facts in group.runs})
        alike = same_shape(facts.run.model.config for facts in group.runs)
        found: dict[tuple[str, ...], dict[str, tuple[tuple[bool, str, str], MeasurementFacts]]]
        found = defaultdict(dict)
        for facts in (facts for graph in graphs for facts in self._by_graph.get(graph, ())):
            m = facts.measurement
            own = _is_own(m, group)
            if not own and (m.task is not None or m.precision != FULL or m.accuracy):
                continue  # it hangs on the weights: its time, or the answers that its time is worth
            if m.task is None and m.inputs == "trace" and not alike:
                continue  # one task's network: the entry's time is a mean over all of them
            key: tuple[str, ...] = (m.profile, m.runtime, m.precision, m.arrival, m.inputs, m.task or "")
            # The entry's own before inherited ones, then the newest; the path decides between equals.
            merit = (own, m.date, facts.path)
            best = found[key].get(m.against)
            if best is None or merit > best[0]:
                found[key][m.against] = (merit, facts)
        lines = []
        for key in sorted(found):
            if key[-1] and "reference" in found.get((*key[:-1], ""), {}):
                continue  # somebody asked for one task of a model whose one time speaks for all
            if "reference" in found[key]:
                facts, paired = found[key]["reference"][1], found[key].get("alone")
                alone = paired[1].measurement.ratio if paired else self._alone(facts.measurement)
                lines.append(_speed(facts, alone, group))
        return lines

    def _is_the_references(self, m: Measurement) -> bool:
        return _is_reference(m) and (m.graph in self._graphs or not self._graphs)

    def _alone(self, m: Measurement) -> Ratio | None:
        """The reference's time in the entry's own runtime over the entry's, where nobody paired the two.

        Both were paired with the one reference; what that took drops out of the quotient, if all else was the same.
        """
        if (m.runtime, m.precision) == (m.reference_runtime, MEASURING["reference"]["precision"]):
            return m.ratio
        if self._is_the_references(m):
            return Ratio(value=1.0, interval=(1.0, 1.0), pairs=m.ratio.pairs)
        beside = [other for other in self._references if _surroundings(other) == _surroundings(m)]
        if not beside:
            return None
        theirs = max(beside, key=lambda other: (other.date, measurement_location(other))).ratio
        found = statistics.quotient(*((r.value, r.interval, r.pairs) for r in (m.ratio, theirs)))
        if found is None:
            return None
        return Ratio(value=found[0], interval=found[1], pairs=min(m.ratio.pairs, theirs.pairs))


def _is_reference(one: Measurement | Run) -> bool:
    reference = MEASURING["reference"]
    return (one.recipe, one.variant) == (reference["recipe"], reference["variant"])


def _surroundings(m: Measurement) -> tuple[object, ...]:
    """What must be equal for times of two measurements to be held against each other."""
    machine = m.machine
    return (
        m.profile, m.runtime, m.precision, m.arrival, m.inputs, m.trace, m.reference_runtime,
        machine.cpu, machine.flags, machine.cores, machine.accelerator, m.versions,
    )  # fmt: skip


def _scores(facts: MeasurementFacts, group: _Group) -> dict[str, OwnScore]:
    """Task -> what the answers of a lower precision score, and how far that is from the same weights' own score."""
    found: dict[str, OwnScore] = {}
    for one in facts.measurement.accuracy:
        dev = tuple(sorted((name, split.fingerprint) for name, split in one.dev.items()))
        for run in group.runs:
            if (run.run.task, run.run.seed, run.fingerprints) != (one.task, one.seed, dev):
                continue
            lower = statistics.Evidence((one.score,), (facts.influence[one.task],), (one.diverged,))
            # One training gave both sides: how far seeds lie apart plays no part between them.
            change = statistics.paired_difference(
                {one.task: lower}, {one.task: _evidence([run])}, {one.task: statistics.SeedSpread(None, 0)}
            )
            found[one.task] = OwnScore(
                seed=one.seed,
                score=one.score,
                full_precision=run.run.score,
                change=Estimate(value=change.value, interval=change.interval),
            )
    return found


def _is_own(m: Measurement, group: _Group) -> bool:
    return (m.recipe, m.variant, m.recipe_hash) == (group.recipe, group.variant, group.recipe_hash)


def _speed(facts: MeasurementFacts, alone: Ratio | None, group: _Group) -> Speed:
    m = facts.measurement
    return Speed(
        profile=m.profile,
        runtime=m.runtime,
        precision=m.precision,
        arrival=m.arrival,
        inputs=m.inputs,
        task=m.task,
        ratio=m.ratio,
        alone_ratio=alone,
        latency_ms=percentiles(m),
        verdict=m.verdict,
        # What the model needs: the process' high-water mark above the loaded interpreter's.
        peak_memory_bytes=max(0, m.memory.peak_bytes - m.memory.baseline_bytes),
        model_bytes=m.model_bytes,
        inherited=not _is_own(m, group),
        processor=m.machine.accelerator or m.machine.cpu,
        measurement=facts.path,
        scores=_scores(facts, group),
    )


# --- on disk ------------------------------------------------------------------------------------------------


def entry_path(track: Path, entry: Entry) -> Path:
    """``results/<track>/entries/<recipe>/<variant>.json``"""
    return track / "entries" / entry.recipe / f"{entry.variant}.json"


def entry_bytes(entry: Entry) -> bytes:
    """The file's bytes."""
    return pretty_json(entry.model_dump(mode="json", by_alias=True)).encode("utf-8")


def index(results: Path | str, track: str | None = None) -> list[Entry]:
    """Compute the entries of a results tree (or of one track) and write them; gives all of them.

    Entry files that no longer have runs are removed. UserError names documents that cannot be read, or cannot stand
    beside others.
    """
    written: list[Entry] = []
    for folder in _track_folders(Path(results), track):
        computed = compute(folder)
        if wrong := computed.unreadable + [str(problem) for problem in computed.problems]:
            said = "; ".join(wrong[:5])
            raise UserError(f"{said}; run lightboard verify {folder}", code=1)
        wanted = {entry_path(folder, entry): entry_bytes(entry) for entry in computed.entries}
        for path, content in wanted.items():
            if not path.is_file() or path.is_symlink() or path.read_bytes() != content:
                folders.write_file(path, content)
        for path in _entry_files(folder):
            if path not in wanted:
                path.unlink()
        written += computed.entries
    return written


def _track_folders(results: Path, track: str | None) -> list[Path]:
    if not results.is_dir():
        raise UserError(f"{results}: no such folder; name the one that lightboard run wrote to (--results)")
    found = folders.tracks(results)
    if track is None:
        return found
    chosen = [folder for folder in found if folder.name == track]
    if not chosen:
        there = ", ".join(folder.name for folder in found) or "none"
        raise UserError(f"{results}: no results of track {track!r}; there are: {there}")
    return chosen


def _entry_files(track: Path) -> list[Path]:
    return [path for recipe in folders.subfolders(track / "entries") for path in folders.files(recipe)]


def entries(results: Path | str, track: str | None = None) -> list[Entry]:
    """The entries as they are stored, by track, recipe and variant; UserError when one is not valid."""
    return [
        parse(Entry, folders.read_bytes(path, folders.MAX_JSON_BYTES), path)
        for folder in _track_folders(Path(results), track)
        for path in _entry_files(folder)
    ]
