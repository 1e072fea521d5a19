"""``lightboard measure``: a model against the reference on this machine, as an immutable folder."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, Literal

import suite
from suite import models
from suite.canonical import digest_file, pretty_json
from suite.documents import (
    Answers,
    AtBatch,
    EnergyBlock,
    Machine,
    Measurement,
    Memory,
    Once,
    Peak,
    RepeatCheck,
)
from suite.errors import UserError
from suite.folder import own_predictions, write
from suite.loading import load_profile, load_recipe
from suite.measure import accuracy, attempts, estimate, extras, latency, machine, offline, peak
from suite.measure.answers import Ready, Tell, as_scored, in_batches, ready, scores
from suite.measure.drawn import NotTrained
from suite.measure.samples import ENTRY, REFERENCE
from suite.measure.subject import ModelFolder, Subject, subjects
from suite.measure.trace import QUERIES, Inputs, Queries, asked_of, tokenise_seconds
from suite.paths import names as names_of
from suite.profile import Profile
from suite.progress import clock
from suite.protocol import MEASURING, measuring_hash
from suite.protocol import track as track_of
from suite.recipe import TrackSettings
from suite.runtimes import device_of, exported, runtime, shipped
from suite.stored import place_for
from suite.tables import write_samples

Against = Literal["reference", "alone"]
Arrival = Literal["single-stream", "offline"]


@dataclass(frozen=True)
class Empty:
    """A comparison that could not be made, and why: mostly the only one of its cell, which stays empty."""

    runtime: str
    task: str | None
    reason: str


@dataclass(frozen=True)
class Made:
    """What came of the comparisons that were asked for."""

    folders: list[Path]
    empty: list[Empty]

    def found(self) -> list[Path]:
        """The folders of the measurements. UserError with the reasons where there are none."""
        if self.empty and not self.folders:
            raise UserError("; ".join(dict.fromkeys(one.reason for one in self.empty)), code=1)
        return self.folders


def attempt(
    recipe: str,
    *,
    track: str,
    profile: str,
    runtime: str | None = None,
    variant: str | None = None,
    results: str | Path = "results",
    against: Sequence[Against] = ("reference", "alone"),
    task: str | None = None,
    data: str = "auto",
    inputs: Inputs = "trace",
    arrival: Arrival = "single-stream",
    streams: bool = False,
    again: bool = False,
    progress: Tell | None = None,
) -> Made:
    """Time one variant of a recipe, its ranked one by default.

    ``inputs``: the trace of dev examples at their true lengths, or as many queries at each of the protocol's lengths.
    ``arrival``: one query at a time, or the whole trace at once. ``streams``: two concurrent ones as well.

    ``runtime``: those the profile names, where they can be used, when left out. ``against`` the track's
    reference, and the reference in the same runtime (alone; the same thing for the reference's own runtime,
    so not timed twice). A model whose time depends on its input, or whose shape differs between tasks, is
    measured with each core task's weights and examples, or with those of ``task``. What was measured today is
    not measured again, unless ``again`` says so. A model that is not trained here is timed with drawn weights where
    ``results`` hold its run and time follows from its graph. UserError for other models that are not trained,
    machines that a profile is not of, and where no runtime is there. A runtime that cannot export or hold this model,
    whose answers are not the model's, or whose process dies leaves its cell empty: the reason is told to ``progress``,
    filed among the track's attempts, and the others go on.
    """
    found, wanted = track_of(track), load_profile(profile)
    fits(wanted)
    chosen = variant or settings_of(recipe, track).default
    tell = progress or (lambda text: None)
    asked_for = [runtime] if runtime else [*wanted.runtimes, *wanted.optional_runtimes]
    usable, missing = _usable([_stem(name) for name in asked_for])
    made = Made([], [Empty(name, None, reason) for name, reason in missing.items()])
    for one in made.empty:
        tell(f"left out: {one.reason}")
    for subject in subjects(recipe, chosen, found, task, data, Path(results)):
        for name in usable:
            reason: str | None = None
            filled = False
            try:
                for kind in _comparisons(name, against, wanted):
                    made.folders.extend(
                        compare(
                            subject, name, wanted, Path(results), against=(kind,), inputs=inputs, arrival=arrival,
                            streams=streams, again=again, progress=progress,
                        )
                    )  # fmt: skip
                    filled = filled or kind == "reference"
            except UserError as error:
                reason = attempts.plain(str(error))
                made.empty.append(Empty(name, subject.task, reason))
                tell(f"left out: {reason}")
                if isinstance(error, NotTrained):
                    continue  # which says nothing of the cell, only of this machine
            if filled:
                reason = None  # the cell is the comparison with the reference
            elif reason is None:
                continue  # that was not asked for: why it is empty stands
            attempts.record(Path(results), attempts.Cell.of(subject, wanted, name, arrival, inputs), reason)
    return made


def fits(profile: Profile) -> None:
    """UserError, in one line, on a machine that the profile is not of."""
    if (reason := machine.unfit(profile)) is not None:
        raise UserError(f"profile {profile.name}: {reason}", code=1)


def settings_of(recipe: str, track: str) -> TrackSettings:
    tracks = load_recipe(recipe).tracks
    if track not in tracks:
        raise UserError(f"recipe {recipe} has no settings for track {track}; it has: {', '.join(tracks)}")
    return tracks[track]


def _stem(name: str) -> str:
    """A runtime by its file's stem, so that no document says onnx-int8 and another onnx_int8."""
    return name if name in names_of("runtimes") else name.replace("-", "_")


def _usable(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Those of some runtimes that can be used here, and why the others cannot; UserError when none can."""
    reasons = {}
    for name in names:
        try:
            runtime(name)
        except UserError as error:
            reasons[name] = str(error)
    if len(reasons) == len(names):
        raise UserError("; ".join(reasons.values()), code=1)
    return [name for name in names if name not in reasons], reasons


# --- the measurement ----------------------------------------------------------------------------------------


def compare(
    subject: Subject,
    name: str,
    profile: Profile,
    results: Path,
    *,
    against: Sequence[Against] = ("reference", "alone"),
    inputs: Inputs = "trace",
    arrival: Arrival = "single-stream",
    streams: bool = False,
    again: bool = False,
    progress: Tell | None = None,
    count: int = QUERIES,
) -> list[Path]:
    """Measure ``subject`` in one runtime; gives a folder per comparison asked for.

    ``streams``: two concurrent ones as well. UserError where the cell must stay empty, with the reason.
    """
    if arrival == "offline" and inputs != "trace":
        raise UserError(f"arrival offline asks the trace, not {inputs}")
    device = device_of(runtime(name))
    if device != profile.device:
        raise UserError(
            f"profile {profile.name} is of {profile.device}; runtime {name} runs on {device}", code=1
        )
    if subject.entry.drawn and runtime(name).PRECISION != "fp32":
        raise NotTrained(
            f"runtime {name}: {subject.recipe}/{subject.variant} or the reference is not trained here, and only "
            "trained weights can be scored by the answers of a lower precision"
        )
    asked, theirs = asked_of(subject, inputs, count)
    plan = replace(latency.plan(profile, subject.pairs), each_length=inputs == "lengths")
    entry: Ready | None = None
    tell = progress or (lambda text: None)
    here = Machine.model_construct(**machine.kind(device))
    made = []
    for kind, other in _comparisons(name, against, profile).items():
        about = stated(subject, name, kind, other, profile, asked, theirs, arrival)
        folder = place_for(Measurement.model_construct(**about, machine=here), results / subject.track)
        made.append(folder)
        if not again and _there(folder, about):
            continue
        what = f"{subject.recipe}/{subject.variant} in {name} against the reference in {other}"
        started = time.monotonic()
        tell(f"{what}: exporting and comparing answers{', of drawn weights' if subject.entry.drawn else ''}")
        entry = entry or ready(subject.entry, name, asked, plan.threads)
        reference = ready(subject.reference, other, theirs, plan.threads)
        own: list[accuracy.Scored] = []
        if kind == "reference" and inputs == "trace" and arrival == "single-stream":
            own = scores(subject, name, plan.threads, tell)
            entry = as_scored(entry, name, asked, own)
        longest = track_of(subject.track).max_length
        tokenising = tokenise_seconds(subject.examples, asked, subject.tokenizer, longest)
        sides = (
            latency.Side("the reference", other, reference.file),
            latency.Side(f"{subject.recipe}/{subject.variant}", name, entry.file, subject.adaptive),
        )
        ladders: tuple[tuple[AtBatch, ...], ...] = ()
        batches = None
        if arrival == "offline":
            ladders = tuple(
                offline.pilot(s, q.trace, plan, tell) for s, q in zip(sides, (theirs, asked), strict=True)
            )
            batches = (estimate.best_batch(ladders[REFERENCE]), estimate.best_batch(ladders[ENTRY]))
        told = entry
        if batches is not None:
            told = in_batches(subject.entry, entry, name, asked, batches[ENTRY], plan.threads)
        before, ticks = machine.state(device=device), machine.Ticks.now()
        outcome = latency.race(*sides, asked.trace, plan, _rounds(what, tell), theirs.trace, batches)
        after = machine.state(ticks, device)
        state = machine.describe(plan.affinity, profile.requires, before, after, device)
        observed = _observed(outcome, told, tokenising, asked, arrival, plan)
        _believe(observed["answers"], name)
        if ladders:
            leaving = getattr(runtime(name), "LEAVING", None) if subject.adaptive else None
            observed["offline"] = estimate.offline(
                outcome.samples, asked.trace.lengths, ladders[ENTRY], ladders[REFERENCE], leaving
            )
        elif kind == "reference" and inputs == "trace":
            observed |= _beside(subject, sides, asked, theirs, plan, outcome.repeats[ENTRY], streams, tell)
        observed["accuracy"] = [one.accuracy for one in own]
        observed["seconds"] = time.monotonic() - started
        observed["peaks"] = [Peak(**vars(rate)) for rate in peak.of((name, other), plan, tell)]
        measurement = Measurement.model_validate({**about, **observed, "machine": state})
        files = {
            "measurement.json": pretty_json(measurement.model_dump(mode="json", by_alias=True)).encode(),
            "samples.parquet": write_samples(vars(outcome.samples)),
            **{own_predictions(one.accuracy.task): one.table for one in own},
        }
        write(folder, files, replace=True)
    return made


def _beside(
    subject: Subject,
    sides: tuple[latency.Side, latency.Side],
    asked: Queries,
    theirs: Queries,
    plan: latency.Plan,
    repeats: int,
    streams: bool,
    tell: Tell,
) -> dict[str, Any]:
    """The figures beside the ratio that this model has; one that fails is told, and is not there."""
    reference, entry = sides
    found: dict[str, Any] = {}
    same = _same_graph(subject)
    if same is not None:
        with _telling(tell, "spot check"):
            other = latency.Side(
                f"another run ({same.task})",
                entry.runtime,
                exported(entry.runtime, same.folder, same.training),
            )
            tell(f"{entry.name} in {entry.runtime}: timing another run of its graph ({same.task})")
            found["spot_check"] = extras.spot_check(entry, other, same.task, asked.trace, plan)
    if subject.adaptive and models.read_config(subject.entry.folder).get("speed"):
        with _telling(tell, "worst case"), extras.without_early_exit(subject.entry.folder) as folder:
            slowest = latency.Side(
                f"{entry.name}, nobody leaving",
                entry.runtime,
                exported(entry.runtime, folder, subject.entry.training),
                True,
            )
            tell(f"{entry.name} in {entry.runtime}: timing it with nobody leaving early")
            found["worst_case"] = extras.worst_case(reference, slowest, asked.trace, plan, theirs.trace)
    if streams:
        with _telling(tell, "streams"):
            tell(f"{entry.name} in {entry.runtime}: timing {extras.STREAMS} streams at once")
            found["streams"] = extras.streams(entry, asked.trace, plan, machine.allowed(), repeats)
    return found


@contextlib.contextmanager
def _telling(tell: Tell, what: str) -> Iterator[None]:
    """Whatever fails here is told: the race, which is over, stands without it."""
    try:
        yield
    except Exception as error:
        tell(f"no {what}: {attempts.plain(str(error) or type(error).__name__)}")


def _same_graph(subject: Subject) -> ModelFolder | None:
    """One other run with the measured graph, drawn by the protocol's seed; None where there is none."""
    if not subject.others:
        return None
    graph = subject.entry.graph
    same = [other for other in subject.others if other.graph == graph]
    return random.Random(f"{MEASURING['trace']['seed']}/{graph}").choice(same) if same else None


def _rounds(what: str, tell: Tell) -> latency.Progress:
    """Says how many rounds are done and, from their pace, how long the others will take."""
    started = time.monotonic()

    def report(done: int, total: int) -> None:
        left = (time.monotonic() - started) * (total - done) / done
        tell(f"{what}: {done} of {total} rounds, {clock(left)} left")

    return report


def _comparisons(name: str, against: Sequence[Against], profile: Profile) -> dict[Against, str]:
    """Kind -> the reference's runtime. In the reference's own both kinds are one, which is timed once."""
    own = profile.against
    wanted: dict[Against, str] = {kind: own if kind == "reference" else name for kind in against}
    if name == own and "reference" in wanted:
        wanted.pop("alone", None)
    return wanted


def stated(
    subject: Subject,
    name: str,
    kind: Against,
    other: str,
    profile: Profile,
    asked: Queries,
    theirs: Queries,
    arrival: Arrival = "single-stream",
) -> dict[str, Any]:
    """The fields that are known before anything is timed: what is measured, and how."""
    module = runtime(name)
    return {
        "track": subject.track,
        "recipe": subject.recipe,
        "variant": subject.variant,
        "task": subject.task,
        "graph": subject.entry.graph,
        "recipe_hash": subject.recipe_hash,
        "protocol": measuring_hash(),
        "profile": profile.name,
        "profile_hash": profile.hash,
        "runtime": name,
        "precision": module.PRECISION,
        "against": kind,
        "reference_graph": subject.reference.graph,
        "reference_runtime": other,
        "arrival": arrival,
        "inputs": asked.inputs,
        "shapes": module.SHAPES,
        "trace": asked.trace.hash,
        "trace_lengths": asked.trace.lengths,
        "reference_trace_lengths": None if theirs is asked else theirs.trace.lengths,
        "versions": {
            **module.describe(),
            "python": python_version(),
            "numpy": version("numpy"),
            "lightboard": suite.__version__,
        },
        "date": datetime.now(UTC).date().isoformat(),
        **({"weights": "drawn"} if subject.entry.drawn else {}),
    }


def _observed(
    outcome: latency.Outcome,
    entry: Ready,
    tokenising: float | None,
    asked: Queries,
    arrival: Arrival,
    plan: latency.Plan,
) -> dict[str, Any]:
    """The fields that the timing gave."""
    pairs = ((given, entry.logits[query]) for query, given in outcome.answers)
    largest = latency.farthest("the timed model", pairs)
    lengths = asked.trace.lengths if asked.inputs == "lengths" else None
    allocated, reserved = outcome.device_bytes
    reference_ns, entry_ns = outcome.device_nanoseconds
    return {
        **vars(estimate.figures(outcome.samples, lengths, arrival)),
        **joules(outcome),
        "device_time": estimate.device_time(entry_ns, reference_ns) if entry_ns else None,
        "threads": plan.threads,
        "repeats": outcome.repeats[ENTRY],
        "model_file": digest_file(entry.file),
        "model_bytes": sum(path.stat().st_size for path in shipped(entry.file)),
        "answers": Answers(
            queries=len(outcome.answers),
            largest_difference=largest,
            tolerance=entry.tolerance,
            equal=estimate.answers_equal(largest, entry.tolerance),
        ),
        "repeat_check": RepeatCheck(
            ratio=outcome.repeat_ratio, passed=estimate.repeat_passed(outcome.repeat_ratio)
        ),
        "memory": Memory(
            peak_bytes=outcome.peak_bytes,
            baseline_bytes=outcome.baseline_bytes,
            device_allocated_bytes=allocated or None,
            device_reserved_bytes=reserved or None,
            limit_bytes=plan.memory_limit,
            limited_by=outcome.limited_by,
        ),
        "once": Once(
            load_seconds=outcome.load_seconds,
            first_query_seconds=outcome.first_query_seconds,
            tokenise_seconds_per_example=tokenising,
        ),
    }


def _believe(answers: Answers, name: str) -> None:
    """UserError where what was answered while it was timed was not the model's: the reason is all there is to file."""
    if not answers.equal:
        raise UserError(
            f"runtime {name}: while it was timed its answers differed from what was expected by "
            f"{answers.largest_difference:.2g}, more than {answers.tolerance:.2g}; its times would be another model's",
            code=1,
        )


def joules(outcome: latency.Outcome) -> dict[str, Any]:
    """``energy``, or ``energy_reason``."""
    blocks = [EnergyBlock(**vars(block)) for block in outcome.energy]
    return estimate.joules(outcome.counters, blocks, outcome.energy_reason)


def _there(folder: Path, stated: dict[str, Any]) -> bool:
    """Whether this machine's measurement of the very same thing lies in ``folder``, with whichever weights."""
    try:
        document = json.loads((folder / "measurement.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    wanted = json.loads(json.dumps(stated))
    return all(document.get(name) == wanted[name] for name in wanted if name != "weights")
