"""What lies below ``results/<track>``, read as far as an entry needs it: runs, measurements, attempts, attestations.

Nothing here trusts a document to be what it should: one that cannot be read is refused or counts for nothing, and
:mod:`suite.verify` says why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite import folder as folders
from suite import tables
from suite.canonical import digest
from suite.documents import Attempt, Attestation, Latency, Level, Machine, Measurement, Run
from suite.errors import UserError
from suite.folder import Refused, parse
from suite.protocol import TRACKS
from suite.tasks import Task
from suite.tasks import task as task_named

LEVELS: tuple[Level, ...] = ("valid", "rescored", "recounted", "replayed", "retrained")


@dataclass(frozen=True, eq=False)
class RunFacts:
    """What an entry needs of a run: everything but its weights, operations, curves and scores."""

    path: str  # below results/<track>/
    subject: str
    run: Run  # without its long lists
    fingerprints: tuple[tuple[str, str], ...]  # dev split -> fingerprint
    influence: NDArray[np.float64]  # [examples], dev sets in the task's order

    @property
    def locations(self) -> tuple[str, ...]:
        return (run_location(self.run),)


@dataclass(frozen=True)
class MeasurementFacts:
    """What an entry needs of a measurement: everything but its samples."""

    path: str  # below results/<track>/
    subject: str
    measurement: Measurement
    influence: Mapping[str, NDArray[np.float64]] = field(
        default_factory=dict
    )  # task -> [examples], as a run's

    @property
    def locations(self) -> tuple[str, ...]:
        return measurement_locations(self.measurement)


# --- where documents lie ------------------------------------------------------------------------------------


def run_location(run: Run) -> str:
    """The folder of a run below ``results/<track>/``."""
    return f"runs/{run.recipe}/{run.variant}/{run.task}-{run.seed}"


def measurement_location(m: Measurement) -> str:
    """The folder of a measurement below ``results/<track>/``."""
    usual = ("single-stream", "trace")
    special = [] if (m.arrival, m.inputs) == usual else [m.arrival, m.inputs]
    name = "-".join(part for part in (m.profile, m.runtime, m.against, *special, m.task, m.date) if part)
    return f"measurements/{m.recipe}/{m.variant}/{name}"


def measurement_locations(m: Measurement) -> tuple[str, str]:
    """The folders that may hold a measurement: the usual one, and one with a digest of the machine's kind."""
    usual = measurement_location(m)
    return usual, f"{usual}-{digest(_kind(m.machine)).removeprefix('sha256:')[:8]}"


def place_for(m: Measurement, track: Path) -> Path:
    """The folder to write a measurement to: the usual one, unless another kind of machine's of that day lies there."""
    usual, own = measurement_locations(m)
    path = track / usual / folders.DOCUMENTS["measurements"]
    try:
        held = parse(Measurement, folders.read_bytes(path, folders.MAX_JSON_BYTES), path)
    except Refused:
        return track / usual
    return track / (usual if _kind(held.machine) == _kind(m.machine) else own)


def _kind(machine: Machine) -> list[object]:
    return [machine.cpu, list(machine.flags), machine.cores, machine.accelerator]


# --- which entry -----------------------------------------------------------------------------------------------------


def named(
    entry: str, track: str | None, variant: str | None, results: str | Path
) -> tuple[str, str, str | None]:
    """Track, recipe and variant (None: its ranked one) of RECIPE or RECIPE/VARIANT, either with TRACK/ before it.

    Without a track, the one whose runs are in ``results``; UserError where that is none, or several.
    """
    if entry.endswith((".yaml", ".yml")):
        recipe = entry
    else:
        parts = entry.strip("/").split("/")
        if len(parts) == 3 or (len(parts) == 2 and parts[0] in TRACKS):
            if track not in (None, parts[0]):
                raise UserError(f"{entry}: --track says {track}")
            track, *parts = parts
        if (
            len(parts) > 2
            or not all(folders.FILE_NAME.fullmatch(part) for part in parts)
            or (len(parts) == 2 and variant not in (None, parts[1]))
        ):
            raise UserError(
                f"{entry!r} names no entry; expected RECIPE or RECIPE/VARIANT, either with TRACK/ before it"
            )
        recipe = parts[0]
        variant = parts[1] if len(parts) == 2 else variant
    if track is None:
        found = sorted(folder.parents[1].name for folder in Path(results).glob(f"*/runs/{Path(recipe).stem}"))
        if len(found) != 1:
            where = f"on {', '.join(found)}" if found else f"nowhere below {results}"
            raise UserError(f"{entry}: its runs are {where}; name one with --track")
        track = found[0]
    return track, recipe, variant


# --- runs and measurements --------------------------------------------------------------------------------------


def same_shape(configs: Iterable[Mapping[str, object]]) -> bool:
    """Whether models differ in their number of outputs at most, so that the time of one speaks for all."""
    bodies = [_without_outputs(config) for config in configs]
    return all(body == bodies[0] for body in bodies)


def _without_outputs(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration but for its number of outputs, which may be that of a model inside it."""
    return {
        key: _without_outputs(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key != "outputs"
    }


def known_task(name: str) -> Task | None:
    """The task of that name; None where there is none. A name is never taken for a file."""
    if name.endswith((".yaml", ".yml")):
        return None
    try:
        return task_named(name)
    except UserError:
        return None


def read_run(folder: Path, track: Path) -> RunFacts:
    """The facts of one run folder; :class:`Refused` when it cannot be read."""
    path = folder / folders.DOCUMENTS["runs"]
    run = parse(Run, folders.read_bytes(path, folders.MAX_JSON_BYTES), path)
    task = known_task(run.task)
    if task is None:
        problem = folders.Problem(str(path), "task", run.task, "a known task", "correct the task's name")
        raise Refused(problem)
    table = folder / folders.TABLES["runs"]
    splits = tables.read_influence(folders.read_bytes(table), table, task)
    order = [name for name in task.dev_splits if name in splits]
    influence = np.concatenate([splits[name].influence for name in order]) if order else np.zeros(0)
    # The long lists are most of a run's memory and an entry needs none of them.
    slim = run.model_copy(
        update={
            "model": run.model.model_copy(update={"weights": (), "ops": (), "dev_lengths": {}, "exits": {}}),
            "curves": (),
            "stages": (),
        }
    )
    return RunFacts(
        path=folder.relative_to(track).as_posix(),
        subject=folders.subject(folder),
        run=slim,
        fingerprints=tuple(sorted((name, split.fingerprint) for name, split in run.data.dev.items())),
        influence=influence,
    )


def read_measurement(folder: Path, track: Path) -> MeasurementFacts:
    """The facts of one measurement folder; :class:`Refused` when it cannot be read."""
    path = folder / folders.DOCUMENTS["measurements"]
    measurement = parse(Measurement, folders.read_bytes(path, folders.MAX_JSON_BYTES), path)
    influence = {}
    for accuracy in measurement.accuracy:
        task, table = known_task(accuracy.task), folder / folders.own_predictions(accuracy.task)
        if task is None:
            problem = folders.Problem(
                str(path), "accuracy", accuracy.task, "a known task", "correct the task's name"
            )
            raise Refused(problem)
        splits = tables.read_influence(folders.read_bytes(table), table, task)
        parts = [splits[name].influence for name in task.dev_splits if name in splits]
        influence[accuracy.task] = np.concatenate(parts) if parts else np.zeros(0)
    return MeasurementFacts(
        folder.relative_to(track).as_posix(), folders.subject(folder), measurement, influence
    )


def percentiles(m: Measurement) -> Latency:
    """Percentiles of queries; of units of several, timed at once, only the middle one says something of queries."""
    reason = f"timed in units of {m.repeats} queries, in which the slow ones are averaged away"
    gone = [name for name in ("p90", "p99") if m.repeats > 1 and getattr(m.latency_ms, name) is not None]
    return m.latency_ms.model_copy(
        update={k: v for n in gone for k, v in ((n, None), (f"{n}_reason", reason))}
    )


# --- what was tried -----------------------------------------------------------------------------------------


ATTEMPTS = "attempts"


def attempt_name(attempt: Attempt) -> str:
    """The file of an attempt below ``results/<track>/attempts/``: by the cell that it tried to fill."""
    a = attempt
    cell = [a.recipe, a.variant, a.profile, a.runtime, a.arrival, a.inputs, a.task]
    return f"{digest(cell).removeprefix('sha256:')[:16]}.json"


def read_attempts(track: Path) -> list[Attempt]:
    """Attempts that lie where they say; files that are none count for nothing (verify names them)."""
    found = []
    for path in folders.files(track / ATTEMPTS):
        try:
            one = parse(Attempt, folders.read_bytes(path, 65536), path)
        except Refused:
            continue
        if path.name == attempt_name(one):
            found.append(one)
    return found


# --- who checked it -----------------------------------------------------------------------------------------


def read_attestations(track: Path) -> dict[str, list[Attestation]]:
    """Subject -> who checked it; files that are no attestations count for nothing (verify names them)."""
    found: dict[str, list[Attestation]] = defaultdict(list)
    for path in folders.files(track / "attestations"):
        try:
            one = parse(Attestation, folders.read_bytes(path, 65536), path)
        except Refused:
            continue
        found[one.subject].append(one)
    return found


def read_levels(track: Path) -> dict[str, Level]:
    """Subject -> the highest level to which someone says it passed, none at or below which it failed.

    An honest recipe misses a 95% interval once in twenty times, so one retraining that failed does not outweigh
    those that passed: ``retrained`` is reached where more passed than failed.
    """
    levels: dict[str, Level] = {}
    for subject, said in read_attestations(track).items():
        others = [one for one in said if one.level != "retrained"]
        passed: set[str] = {one.level for one in others if one.outcome == "passed"}
        failed: set[str] = {one.level for one in others if one.outcome == "failed"}
        good, bad = retrainings(said)
        if good > bad:
            passed.add("retrained")
        reached: Level | None = None
        for level in LEVELS:
            if level in failed:
                break
            if level in passed:
                reached = level
        if reached is not None:
            levels[subject] = reached
    return levels


def retrainings(said: Iterable[Attestation]) -> tuple[int, int]:
    """How many verifiers retrained and passed, and how many failed: a key counts once, by its latest word."""
    latest: dict[str, Attestation] = {}
    for one in said:
        if one.level == "retrained":
            who = one.evidence.key if one.evidence and one.evidence.key else one.by
            if who not in latest or one.date >= latest[who].date:
                latest[who] = one
    outcomes = [one.outcome for one in latest.values()]
    return outcomes.count("passed"), outcomes.count("failed")
