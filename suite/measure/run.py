"""``lightboard measure``: a model against the reference on this machine, as an immutable folder."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import suite
from suite import models
from suite.canonical import digest_file, pretty_json
from suite.data.encode import Encoded
from suite.documents import Answers, AtBatch, EnergyBlock, Measurement, Memory, Once, Peak, RepeatCheck, Run
from suite.errors import UserError
from suite.folder import MAX_JSON_BYTES, own_predictions, parse, read_bytes, write
from suite.index import measurement_location
from suite.loading import load_profile, load_recipe, resolve
from suite.measure import accuracy, attempts, cost, estimate, extras, latency, machine, offline, peak
from suite.measure.drawn import NotTrained, drawable, folder_of
from suite.measure.samples import ENTRY, REFERENCE
from suite.measure.worker import split
from suite.paths import load_module
from suite.paths import names as names_of
from suite.profile import Profile
from suite.progress import clock
from suite.protocol import MEASURING, measuring_hash
from suite.protocol import Track as ProtocolTrack
from suite.protocol import track as track_of
from suite.recipe import TrackSettings
from suite.runtimes import Example, device_of, exported, runtime, shipped
from suite.tables import write_samples

Against = Literal["reference", "alone"]
Inputs = Literal["trace", "lengths"]
Arrival = Literal["single-stream", "offline"]
Logits = NDArray[np.float32]
PER_LENGTH = 8  # queries at each length: as many as the shortest block holds
MAX_LENGTH = 512  # of models without positions
Tell = Callable[[str], None]  # takes a line that says what is being done and how long it will take


# --- what is measured ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Examples:
    """A task's dev sets, one after another, as they were tokenised. ``texts``: one or two per example."""

    task: str
    ids: NDArray[np.int32]
    types: NDArray[np.int8]
    offsets: NDArray[np.int64]
    texts: Sequence[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True)
class Trained:
    """A model folder with the logits of its accuracy run on its task's :class:`Examples`; drawn weights have none."""

    task: str
    folder: Path
    logits: Logits | None
    labelled: accuracy.Labelled | None = None  # for runtimes of lower precision

    @property
    def training(self) -> Sequence[Example]:
        """Training examples, for runtimes that calibrate."""
        return self.labelled.training if self.labelled else ()

    @property
    def drawn(self) -> bool:
        """Whether only time can be asked of it; see :mod:`suite.measure.drawn`."""
        return self.logits is None


@dataclass(frozen=True)
class Empty:
    """A cell that stays empty, and why."""

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
    not measured again unless ``again``. A model that is not trained on this machine is timed with drawn weights where
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
            try:
                made.folders.extend(
                    compare(
                        subject, name, wanted, Path(results), against=against, inputs=inputs, arrival=arrival,
                        streams=streams, again=again, progress=progress,
                    )
                )  # fmt: skip
            except UserError as error:
                reason = attempts.plain(str(error))
                made.empty.append(Empty(name, subject.task, reason))
                tell(f"left out: {reason}")
                if isinstance(error, NotTrained):
                    continue  # which says nothing of the cell, only of this machine
            attempts.record(Path(results), attempts.Cell.of(subject, wanted, name, arrival, inputs), reason)
    return made


def named(
    entry: str, track: str | None, variant: str | None, results: str | Path
) -> tuple[str, str, str | None]:
    """Track, recipe and variant (None: its ranked one) of RECIPE, RECIPE/VARIANT or TRACK/RECIPE/VARIANT.

    Without a track, the one whose runs are in ``results``; UserError where that is none, or several.
    """
    if entry.endswith((".yaml", ".yml")):
        recipe = entry
    else:
        parts = entry.strip("/").split("/")
        if len(parts) == 3:
            if track not in (None, parts[0]):
                raise UserError(f"{entry}: --track says {track}")
            track, *parts = parts
        if len(parts) > 2 or not all(parts) or (len(parts) == 2 and variant not in (None, parts[1])):
            raise UserError(
                f"{entry!r} names no entry; expected RECIPE, RECIPE/VARIANT or TRACK/RECIPE/VARIANT"
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


@dataclass(frozen=True)
class Subject:
    """One comparison to be: entry and reference with the weights of one task, and the examples to ask."""

    track: str
    recipe: str
    recipe_hash: str
    variant: str
    task: str | None  # named where time depends on the task's weights
    entry: Trained
    reference: Trained
    examples: tuple[Examples, ...]
    tokenizer: Path
    reference_examples: tuple[Examples, ...] | None = (
        None  # the same ones in the reference's tokens, where others
    )
    adaptive: bool = False
    pairs: int | None = None  # instead of the profile's
    others: tuple[Trained, ...] = ()  # of the same variant: those of the same graph inherit what is measured


def subjects(
    recipe: str, variant: str, track: ProtocolTrack, task: str | None, data: str, results: Path | None = None
) -> list[Subject]:
    """Everything the pipeline knows that a comparison needs; the one place that asks it.

    Where no task's two models are trained here, with weights drawn for their runs in ``results``.
    """
    from suite.pipeline.matrix import tokenizer_of

    reference = MEASURING["reference"]
    resolved = resolve(load_recipe(recipe), track.name)
    tokenizer = tokenizer_of(resolved, track)
    same = tokenizer.fingerprint == tokenizer_of(resolve(reference["recipe"], track.name), track).fingerprint
    tasks = (task,) if task else track.core
    both = {}
    for name in tasks:
        own = _trained(recipe, variant, track, name, data)
        theirs = _trained(reference["recipe"], reference["variant"], track, name, data)
        if own is not None and theirs is not None:
            both[name] = own, theirs
    if not both and results is not None:
        both = _drawn(recipe, variant, track, tasks, results)
    if not both:
        raise NotTrained(
            f"recipe {recipe}: variant {variant} and the reference are not both trained on {tasks[0]} here; "
            f"run 'lightboard run {recipe} --track {track.name} --tasks {tasks[0]}' first"
        )
    examples = {name: _examples(recipe, track, name, data) for name in tasks}
    others = examples if same else {n: _examples(reference["recipe"], track, n, data) for n in tasks}
    configs = [models.read_config(entry.folder) for entry, _ in both.values()]
    adaptive = any(_adaptive(config) for config in configs)
    each = task is not None or adaptive or not _same_shape(configs)
    return [
        Subject(
            track=track.name,
            recipe=resolved.recipe.name,
            recipe_hash=resolved.hash,
            variant=variant,
            task=name if each else None,
            entry=both[name][0],
            reference=both[name][1],
            examples=(examples[name],) if each else tuple(examples.values()),
            tokenizer=tokenizer.folder(),
            reference_examples=None if same else (others[name],) if each else tuple(others.values()),
            adaptive=adaptive,
            pairs=track.pairs,
            others=() if each else tuple(entry for n, (entry, _) in both.items() if n != name),
        )
        for name in (both if each else list(both)[:1])
    ]


def _adaptive(config: models.Config) -> bool:
    """Whether time depends on the input; of a model with early exits, unless they are switched off."""
    architecture = load_module("models", config["architecture"])
    return bool(getattr(architecture, "ADAPTIVE", False) and config.get("speed", True))


def _same_shape(configs: Sequence[models.Config]) -> bool:
    """Whether models differ in their number of outputs at most."""
    return all({**config, "outputs": 0} == {**configs[0], "outputs": 0} for config in configs)


def _drawn(
    recipe: str, variant: str, track: ProtocolTrack, tasks: Sequence[str], results: Path
) -> dict[str, tuple[Trained, Trained]]:
    """Entry and reference with drawn weights, by task; of one task where its time is that of them all."""
    reference = MEASURING["reference"]
    runs = {}
    for name in tasks:
        own = _landed(recipe, variant, track, name, results)
        theirs = _landed(reference["recipe"], reference["variant"], track, name, results)
        if own is not None and theirs is not None:
            runs[name] = own, theirs
    if _same_shape([own.model.config for own, _ in runs.values()]):
        runs = dict(list(runs.items())[:1])
    return {
        name: (Trained(name, folder_of(own), None), Trained(name, folder_of(theirs), None))
        for name, (own, theirs) in runs.items()
    }


def _landed(recipe: str, variant: str, track: ProtocolTrack, task: str, results: Path) -> Run | None:
    """The first run of a recipe as it is now, if its weights can be drawn."""
    resolved = resolve(load_recipe(recipe), track.name)
    for seed in track.seeds:
        path = results / track.name / "runs" / resolved.recipe.name / variant / f"{task}-{seed}" / "run.json"
        if path.is_file():
            run = parse(Run, read_bytes(path, MAX_JSON_BYTES), path)
            if run.recipe_hash == resolved.hash and drawable(run) and not _adaptive(run.model.config):
                return run
    return None


def _examples(recipe: str, track: ProtocolTrack, task: str, data: str) -> Examples:
    """A task's dev sets in the tokens that a recipe's models read."""
    from suite.pipeline.matrix import draw_of
    from suite.pipeline.run import encoded_dev

    parts = encoded_dev(recipe, track.name, task, data=data)
    dev = draw_of(track, task, data).dev
    columns = [dev[split][:] for split in parts]
    texts = [tuple(row) for c in columns for row in zip(*(c[k] for k in ("a", "b") if k in c), strict=True)]
    encoded = list(parts.values())
    lengths = np.concatenate([part.lengths for part in encoded])
    return Examples(
        task=task,
        ids=np.concatenate([part.ids for part in encoded]),
        types=np.concatenate([part.types for part in encoded]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        texts=texts,
    )


def _trained(recipe: str, variant: str, track: ProtocolTrack, task: str, data: str) -> Trained | None:
    """The model of the first seed and its dev logits, if the store has it; nothing is trained here."""
    from suite.pipeline.execute import execute
    from suite.pipeline.run import jobs, request
    from suite.pipeline.store import Store

    store = Store()
    for job in jobs(request([recipe], track=track.name, tasks=[task], seeds=1, data=data, store=store)):
        if job.variant == variant:
            if store.get(job.model.key) is None:
                return None
            execute([job.predictions], store)
            folder = store.folder(job.predictions.key)
            splits = job.cell.task.dev_splits
            logits = [np.load(folder / f"{split}.npy") for split in splits]
            encoded = store.folder(job.cell.encoded.key)
            labelled = accuracy.Labelled(
                seed=job.cell.seed,
                training=accuracy.calibration(Encoded.load(encoded / "selection"), job.cell.seed),
                dev={split: Encoded.load(encoded / split) for split in splits},
                fingerprints={split: job.cell.draw.fingerprints[split] for split in splits},
            )
            return Trained(task, store.folder(job.model.key), np.concatenate(logits), labelled)
    raise UserError(f"recipe {recipe}: no variant {variant!r} on track {track.name}")


# --- the trace ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Queries:
    """The trace and where its queries come from: ``origin`` = (task, row of its :class:`Examples`); none: made up."""

    trace: latency.Trace
    origin: tuple[tuple[str, int], ...]
    inputs: Inputs = "trace"


def queries(examples: Sequence[Examples], count: int = MEASURING["trace"]["queries"]) -> Queries:
    """The fixed trace: ``count`` dev examples at true length, as many from each task, drawn by the protocol's
    seed. A task with fewer examples gives all it has."""
    origin: list[tuple[str, int]] = []
    ids, types, lengths = [], [], []
    for part in examples:
        generator = random.Random(f"{MEASURING['trace']['seed']}/{part.task}")
        rows = sorted(generator.sample(range(len(part)), min(len(part), count // len(examples))))
        for row in rows:
            start, end = part.offsets[row], part.offsets[row + 1]
            origin.append((part.task, row))
            ids.append(part.ids[start:end])
            types.append(part.types[start:end])
            lengths.append(int(end - start))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    trace = latency.Trace(np.concatenate(ids), np.concatenate(types), offsets)
    return Queries(trace, tuple(origin))


def graded(asked: Queries, longest: int) -> Queries:
    """So many queries at each of the protocol's lengths up to ``longest`` tokens, of words drawn from the trace."""
    words = asked.trace.ids[asked.trace.types == 0]
    frame = asked.trace.ids[: asked.trace.offsets[1]]
    lengths = [n for n in MEASURING["trace"]["fixed_lengths"] if n <= longest for _ in range(PER_LENGTH)]
    generator = random.Random(f"{MEASURING['trace']['seed']}/lengths")
    ids = []
    for length in lengths:
        inner = generator.choices(words.tolist(), k=length - 2)
        ids.append(np.array([frame[0], *inner, frame[-1]], dtype=np.int32))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    joined = np.concatenate(ids)
    return Queries(latency.Trace(joined, np.zeros(len(joined), np.int8), offsets), (), "lengths")


def tokenise_seconds(examples: Sequence[Examples], asked: Queries, tokenizer: Path) -> float | None:
    """Median time to tokenise one example of the trace by itself; None where the queries have no text."""
    from suite.data.encode import load_tokenizer

    if not asked.origin:
        return None
    backend = load_tokenizer(tokenizer).backend_tokenizer
    by_task = {part.task: part for part in examples}
    times = []
    for task, row in asked.origin:
        texts = by_task[task].texts[row]
        started = time.perf_counter()
        backend.encode(*texts)
        times.append(time.perf_counter() - started)
    return float(np.median(times))


# --- the same answers ---------------------------------------------------------------------------------------


def expected(trained: Trained, asked: Queries) -> Logits:
    """What the model answers to the trace, [queries, outputs].

    On its own task's examples the accuracy run's logits, from which its score comes; torch's on the others, and on all
    where weights are drawn.
    """
    import torch

    answer = runtime("torch").prepare(trained.folder / "model.safetensors", torch.get_num_threads())
    logits = _answers(answer, asked)
    for query, (task, row) in enumerate(asked.origin):
        if trained.logits is not None and task == trained.task:
            logits[query] = trained.logits[row]
    return logits


def tolerance(logits: Logits) -> float:
    """1e-4 of the logits' spread (their standard deviation), but never below what float32 sums can hold."""
    share = float(MEASURING["answers"]["fp32_tolerance_of_spread"])
    return max(share * float(logits.std()), 1e-5 * float(np.abs(logits).max()))


def _answers(answer: Any, asked: Queries) -> Logits:
    trace = asked.trace
    return np.concatenate([answer(*query) for query in split(trace.ids, trace.types, trace.offsets)])


@dataclass(frozen=True)
class Ready:
    """A model in a runtime, checked: its file and what it must answer while it is timed."""

    file: Path
    logits: Logits
    tolerance: float


def prepared(trained: Trained, name: str, asked: Queries, threads: int) -> Ready:
    """Export a model and compare its answers with the accuracy run; UserError when an fp32 runtime differs.

    Another precision has answers of its own, scored apart: its timed answers are held against its own.
    """
    module = runtime(name)
    file = exported(name, trained.folder, trained.training)
    mine = _answers(module.prepare(file, threads), asked)
    if module.PRECISION != "fp32":
        return Ready(file, mine, tolerance(mine))
    logits = expected(trained, asked)
    allowed, largest = tolerance(logits), float(np.abs(mine - logits).max())
    if not largest <= allowed:
        raise UserError(
            f"runtime {name}: its answers for {trained.folder.name[:16]} ({trained.task}) differ from the "
            f"accuracy run's by {largest:.2g}, more than {allowed:.2g}; its times would be another model's",
            code=1,
        )
    return Ready(file, logits, allowed)


def scores(subject: Subject, name: str, threads: int, tell: Tell) -> list[accuracy.Scored]:
    """A lower precision's scores on each task of a subject, with that task's own weights; none of float32."""
    module = runtime(name)
    if module.PRECISION == "fp32":
        return []
    found = []
    for trained in (subject.entry, *subject.others):
        if trained.labelled is None:
            raise UserError(f"runtime {name}: no labels of {trained.task} to score its answers by", code=1)
        tell(f"{subject.recipe}/{subject.variant} in {name}: answering all of {trained.task}'s dev sets")
        file = exported(name, trained.folder, trained.training)
        answer = module.prepare(file, threads)
        found.append(accuracy.scored(answer, digest_file(file), trained.task, trained.labelled))
    return found


def as_scored(entry: Ready, name: str, asked: Queries, found: Sequence[accuracy.Scored]) -> Ready:
    """What must come back while it is timed: on the examples that were scored, the answers that were scored."""
    of_model = {
        one.accuracy.task: one.logits for one in found if one.accuracy.model_file == digest_file(entry.file)
    }
    logits = entry.logits.copy()
    for query, (task, row) in enumerate(asked.origin):
        if task in of_model:
            logits[query] = of_model[task][row]
    largest = float(np.abs(logits - entry.logits).max())
    if not largest <= entry.tolerance:
        raise UserError(
            f"runtime {name}: asked the same again, its answers differ by {largest:.2g}, more than "
            f"{entry.tolerance:.2g}: its scores would say nothing of the answers that are timed",
            code=1,
        )
    return Ready(entry.file, logits, entry.tolerance)


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
    count: int = MEASURING["trace"]["queries"],
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
    asked = queries(subject.examples, count)
    theirs = asked if subject.reference_examples is None else queries(subject.reference_examples, count)
    if subject.entry.drawn and runtime(name).PRECISION != "fp32":
        raise NotTrained(
            f"runtime {name}: {subject.recipe}/{subject.variant} or the reference is not trained here, and only "
            "trained weights can be scored by the answers of a lower precision"
        )
    if inputs == "lengths":
        folders = (subject.entry.folder, subject.reference.folder)
        longest = min(models.read_config(f).get("positions", MAX_LENGTH) for f in folders)
        same, asked = theirs is asked, graded(asked, longest)
        theirs = asked if same else graded(theirs, longest)
    plan = latency.plan(profile, subject.pairs)
    entry: Ready | None = None
    tell = progress or (lambda text: None)
    made = []
    for kind, other in _comparisons(name, against, profile).items():
        about = stated(subject, name, kind, other, profile, asked, theirs, arrival)
        folder = results / subject.track / measurement_location(Measurement.model_construct(**about))
        made.append(folder)
        if not again and _there(folder, about):
            continue
        what = f"{subject.recipe}/{subject.variant} in {name} against the reference in {other}"
        started = time.monotonic()
        tell(f"{what}: exporting and comparing answers{', of drawn weights' if subject.entry.drawn else ''}")
        entry = entry or _ready(subject.entry, name, asked, plan.threads)
        reference = _ready(subject.reference, other, theirs, plan.threads)
        own: list[accuracy.Scored] = []
        if kind == "reference" and inputs == "trace" and arrival == "single-stream":
            own = scores(subject, name, plan.threads, tell)
            entry = as_scored(entry, name, asked, own)
        tokenising = tokenise_seconds(subject.examples, asked, subject.tokenizer)
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
        before, ticks = machine.state(device=device), machine.Ticks.now()
        outcome = latency.race(*sides, asked.trace, plan, _rounds(what, tell), theirs.trace, batches)
        after = machine.state(ticks, device)
        state = machine.describe(plan.affinity, profile.requires, before, after, device)
        told = entry if batches is None else _in_batches(entry, name, asked, batches[ENTRY], plan.threads)
        observed = _observed(outcome, told, tokenising, asked, arrival, plan)
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


def _ready(trained: Trained, name: str, asked: Queries, threads: int) -> Ready:
    """:func:`prepared`; what an exporter or a runtime breaks on is one line."""
    try:
        return prepared(trained, name, asked, threads)
    except UserError:
        raise
    except Exception as error:  # whatever a library raises: it cannot hold this model
        first = next(iter(str(error).strip().splitlines()), "")
        reason = f"{type(error).__name__}: {first}"[:300]
        raise UserError(f"runtime {name}: cannot export or load this model: {reason}", code=1) from error


def _in_batches(entry: Ready, name: str, asked: Queries, batch: int, threads: int) -> Ready:
    """What must come back in batches: of float32 the same answers, of others those that this batch gives."""
    module = runtime(name)
    if module.PRECISION == "fp32":
        return entry
    mine = offline.answers(module.prepare(entry.file, threads), asked.trace, batch)
    return Ready(entry.file, mine, tolerance(mine))


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
    try:
        yield
    except UserError as error:
        tell(f"no {what}: {error}")


def _same_graph(subject: Subject) -> Trained | None:
    """One other run with the measured graph, drawn by the protocol's seed; None where there is none."""
    if not subject.others:
        return None
    graph = _graph(subject.entry)
    same = [other for other in subject.others if _graph(other) == graph]
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
    own = profile.reference_runtime or str(MEASURING["reference"]["runtime"])
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
        "graph": _graph(subject.entry),
        "recipe_hash": subject.recipe_hash,
        "protocol": measuring_hash(),
        "profile": profile.name,
        "profile_hash": profile.hash,
        "runtime": name,
        "precision": module.PRECISION,
        "against": kind,
        "reference_graph": _graph(subject.reference),
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
    largest = max(float(np.abs(entry.logits[q] - np.array(a)).max()) for q, a in outcome.answers)
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


def joules(outcome: latency.Outcome) -> dict[str, Any]:
    """``energy``, or ``energy_reason``."""
    if not outcome.energy:
        return {"energy_reason": outcome.energy_reason}
    try:
        blocks = [EnergyBlock(**vars(block)) for block in outcome.energy]
        return {"energy": estimate.energy(outcome.counters, blocks)}
    except ValueError as error:
        return {"energy_reason": f"{', '.join(outcome.counters)}: {error}"}


def _graph(trained: Trained) -> str:
    return cost.count_module(models.load(trained.folder, attention="eager")).graph


def _there(folder: Path, stated: dict[str, Any]) -> bool:
    """Whether today's measurement of the very same thing lies in ``folder``, with whichever weights."""
    try:
        document = json.loads((folder / "measurement.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    wanted = json.loads(json.dumps(stated))
    return all(document.get(name) == wanted[name] for name in wanted if name != "weights")
