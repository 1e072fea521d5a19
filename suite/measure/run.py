"""``lightboard measure``: a trained model against the reference on this machine, as an immutable folder."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
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
from suite.documents import Answers, Measurement, Memory, Once, RepeatCheck
from suite.errors import UserError
from suite.folder import write
from suite.index import measurement_location
from suite.loading import load_profile, load_recipe, resolve
from suite.measure import cost, estimate, latency, machine
from suite.measure.samples import ENTRY
from suite.measure.worker import split
from suite.paths import load_module
from suite.profile import Profile
from suite.progress import clock
from suite.protocol import MEASURING, measuring_hash
from suite.protocol import Track as ProtocolTrack
from suite.protocol import track as track_of
from suite.recipe import TrackSettings
from suite.runtimes import exported, runtime, shipped
from suite.tables import write_samples

Against = Literal["reference", "alone"]
Inputs = Literal["trace", "lengths"]
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
    """A model folder with the logits of its accuracy run on its task's :class:`Examples`."""

    task: str
    folder: Path
    logits: Logits


def measure(
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
    again: bool = False,
    progress: Tell | None = None,
) -> list[Path]:
    """Time one variant of a recipe (its ranked one by default); gives the folders of the measurements.

    ``inputs``: the trace of dev examples at their true lengths, or as many queries at each of the protocol's lengths.

    ``runtime``: those the profile names, where they can be used, when left out. ``against`` the track's
    reference, and the reference in the same runtime (alone; the same thing for the reference's own runtime,
    so not timed twice). A model whose time depends on its input, or whose shape differs between tasks, is
    measured with each core task's weights and examples, or with those of ``task``. What was measured today is
    not measured again unless ``again``. UserError for models that were not trained yet, runtimes that are not
    there, answers that are not the model's; where several runtimes are asked, one that cannot hold this model is
    told to ``progress`` and left out, and only if none can is it an error.
    """
    found, wanted = track_of(track), load_profile(profile)
    chosen = variant or settings_of(recipe, track).default
    names = [runtime] if runtime else _usable(wanted.runtimes)
    made: list[Path] = []
    reasons: list[str] = []
    for subject in subjects(recipe, chosen, found, task, data):
        for name in names:
            try:
                made += compare(
                    subject,
                    name,
                    wanted,
                    Path(results),
                    against=against,
                    inputs=inputs,
                    again=again,
                    progress=progress,
                )
            except UserError as error:
                reasons.append(str(error))
                if progress is not None:
                    progress(f"left out: {error}")
    if reasons and not made:
        raise UserError("; ".join(dict.fromkeys(reasons)), code=1)
    return made


def settings_of(recipe: str, track: str) -> TrackSettings:
    tracks = load_recipe(recipe).tracks
    if track not in tracks:
        raise UserError(f"recipe {recipe} has no settings for track {track}; it has: {', '.join(tracks)}")
    return tracks[track]


def _usable(names: Sequence[str]) -> list[str]:
    """Those of a profile's runtimes that can be used here; UserError when none can."""
    reasons = {}
    for name in names:
        try:
            runtime(name)
        except UserError as error:
            reasons[name] = str(error)
    if len(reasons) == len(names):
        raise UserError("; ".join(reasons.values()), code=1)
    return [name for name in names if name not in reasons]


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


def subjects(recipe: str, variant: str, track: ProtocolTrack, task: str | None, data: str) -> list[Subject]:
    """Everything the pipeline knows that a comparison needs; the one place that asks it."""
    from suite.pipeline.matrix import tokenizer_of

    reference = MEASURING["reference"]
    resolved = resolve(load_recipe(recipe), track.name)
    tokenizer = tokenizer_of(resolved, track)
    same = tokenizer.fingerprint == tokenizer_of(resolve(reference["recipe"], track.name), track).fingerprint
    examples, others, entries, references = {}, {}, {}, {}
    for name in (task,) if task else track.core:
        examples[name] = _examples(recipe, track, name, data)
        others[name] = examples[name] if same else _examples(reference["recipe"], track, name, data)
        own = _trained(recipe, variant, track, name, data)
        theirs = _trained(reference["recipe"], reference["variant"], track, name, data)
        if own is not None and theirs is not None:
            entries[name], references[name] = own, theirs
    if not entries:
        tasks = task or track.core[0]
        raise UserError(
            f"recipe {recipe}: variant {variant} and the reference are not both trained on {tasks} here; "
            f"run 'lightboard run {recipe} --track {track.name} --tasks {tasks}' first",
            code=1,
        )
    configs = [{**models.read_config(entry.folder), "outputs": 0} for entry in entries.values()]
    architecture = load_module("models", configs[0]["architecture"])
    adaptive = bool(getattr(architecture, "ADAPTIVE", False))
    each = task is not None or adaptive or any(config != configs[0] for config in configs)
    return [
        Subject(
            track=track.name,
            recipe=resolved.recipe.name,
            recipe_hash=resolved.hash,
            variant=variant,
            task=name if each else None,
            entry=entries[name],
            reference=references[name],
            examples=(examples[name],) if each else tuple(examples.values()),
            tokenizer=tokenizer.folder(),
            reference_examples=None if same else (others[name],) if each else tuple(others.values()),
            adaptive=adaptive,
            pairs=track.pairs,
        )
        for name in (entries if each else list(entries)[:1])
    ]


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
            logits = [np.load(folder / f"{split}.npy") for split in job.cell.task.dev_splits]
            return Trained(task, store.folder(job.model.key), np.concatenate(logits))
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

    On its own task's examples the accuracy run's logits, from which its score comes; torch's on the others.
    """
    import torch

    answer = runtime("torch").prepare(trained.folder / "model.safetensors", torch.get_num_threads())
    logits = _answers(answer, asked)
    for query, (task, row) in enumerate(asked.origin):
        if task == trained.task:
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
    file = exported(name, trained.folder)
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


# --- the measurement ----------------------------------------------------------------------------------------


def compare(
    subject: Subject,
    name: str,
    profile: Profile,
    results: Path,
    *,
    against: Sequence[Against] = ("reference", "alone"),
    inputs: Inputs = "trace",
    again: bool = False,
    progress: Tell | None = None,
    count: int = MEASURING["trace"]["queries"],
) -> list[Path]:
    """Measure ``subject`` in one runtime; gives a folder per comparison asked for."""
    if profile.device != "cpu":
        raise UserError(
            f"profile {profile.name}: this version times on cpu only, not {profile.device}", code=1
        )
    asked = queries(subject.examples, count)
    theirs = asked if subject.reference_examples is None else queries(subject.reference_examples, count)
    if inputs == "lengths":
        folders = (subject.entry.folder, subject.reference.folder)
        longest = min(models.read_config(f).get("positions", MAX_LENGTH) for f in folders)
        same, asked = theirs is asked, graded(asked, longest)
        theirs = asked if same else graded(theirs, longest)
    plan = latency.plan(profile, subject.pairs)
    entry: Ready | None = None
    tell = progress or (lambda text: None)
    made = []
    for kind, other in _comparisons(name, against).items():
        about = stated(subject, name, kind, other, profile, asked, theirs)
        folder = results / subject.track / measurement_location(Measurement.model_construct(**about))
        made.append(folder)
        if not again and _there(folder, about):
            continue
        what = f"{subject.recipe}/{subject.variant} in {name} against the reference in {other}"
        tell(f"{what}: exporting and comparing answers")
        entry = entry or prepared(subject.entry, name, asked, plan.threads)
        reference = prepared(subject.reference, other, theirs, plan.threads)
        tokenising = tokenise_seconds(subject.examples, asked, subject.tokenizer)
        before, ticks = machine.state(), machine.Ticks.now()
        outcome = latency.race(
            latency.Side("the reference", other, reference.file),
            latency.Side(f"{subject.recipe}/{subject.variant}", name, entry.file, subject.adaptive),
            asked.trace,
            plan,
            _rounds(what, tell),
            theirs.trace,
        )
        state = machine.describe(plan.affinity, profile.requires, before, machine.state(ticks))
        observed = _observed(outcome, entry, tokenising, asked)
        measurement = Measurement.model_validate({**about, **observed, "machine": state})
        files = {
            "measurement.json": pretty_json(measurement.model_dump(mode="json", by_alias=True)).encode(),
            "samples.parquet": write_samples(vars(outcome.samples)),
        }
        write(folder, files, replace=True)
    return made


def _rounds(what: str, tell: Tell) -> latency.Progress:
    """Says how many rounds are done and, from their pace, how long the others will take."""
    started = time.monotonic()

    def report(done: int, total: int) -> None:
        left = (time.monotonic() - started) * (total - done) / done
        tell(f"{what}: {done} of {total} rounds, {clock(left)} left")

    return report


def _comparisons(name: str, against: Sequence[Against]) -> dict[Against, str]:
    """Kind -> the reference's runtime. In the reference's own both kinds are one, which is timed once."""
    own = str(MEASURING["reference"]["runtime"])
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
        "arrival": "single-stream",
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
    }


def _observed(
    outcome: latency.Outcome, entry: Ready, tokenising: float | None, asked: Queries
) -> dict[str, Any]:
    """The fields that the timing gave."""
    largest = max(float(np.abs(entry.logits[q] - np.array(a)).max()) for q, a in outcome.answers)
    return {
        **vars(estimate.figures(outcome.samples, asked.trace.lengths if asked.inputs == "lengths" else None)),
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
        "memory": Memory(peak_bytes=outcome.peak_bytes, baseline_bytes=outcome.baseline_bytes),
        "once": Once(
            load_seconds=outcome.load_seconds,
            first_query_seconds=outcome.first_query_seconds,
            tokenise_seconds_per_example=tokenising,
        ),
    }


def _graph(trained: Trained) -> str:
    return cost.count_module(models.load(trained.folder, attention="eager")).graph


def _there(folder: Path, stated: dict[str, Any]) -> bool:
    """Whether today's measurement of the very same thing lies in ``folder``."""
    try:
        document = json.loads((folder / "measurement.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return all(document.get(name) == json.loads(json.dumps(value)) for name, value in stated.items())
