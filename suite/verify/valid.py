"""Level ``valid``: the files are what they say, in shape, size, name and place. Needs no data.

Nothing here is imported from, run from or believed of a document; every rule is a function that yields
problems.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from suite import folder as folders
from suite import log as logs
from suite import paths, stored, tables
from suite.canonical import digest
from suite.data.rows import fingerprint
from suite.documents import Attempt, Attestation, Entry, LogEntry, Measurement, Run
from suite.folder import Problem, Refused, show
from suite.measure import machine
from suite.profile import Profile
from suite.protocol import MEASURING, REPORTING, TRACKS, measuring_hash, row_list, training_hash
from suite.runtimes import device_of
from suite.verify import accuracy as own_accuracy
from suite.verify.compare import problems as compared
from suite.verify.loaded import (
    LoadedEntry,
    LoadedMeasurement,
    LoadedRun,
    Problems,
    broke,
    run_checks,
)

MAX_WEIGHTS = 5_000
MAX_OPS = 5_000
MAX_DIMENSIONS = 8
MAX_LENGTHS = 2_048
MAX_EXITS = 256
MAX_TOKENS = 100_000
MAX_MEASUREMENT_BYTES = 2 * 2**20
BYTES_PER_ROW = 40  # of a run's evidence, where the official dev set alone needs more than the general limit

# This version was written at about that day: a clock that stands before it is wrong, and dates no document.
WRITTEN = datetime.date(2026, 12, 1)

_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))  # controls, bidirectional marks, unassigned
_MARKUP = re.compile(r"<[A-Za-z/!?]")
PRIVATE = re.compile(r"(?:/home/|/Users/|/root/|[A-Za-z]:\\+Users\\+)")


# --- reading ------------------------------------------------------------------------------------------------


def load_run(folder: Path) -> tuple[LoadedRun | None, list[Problem]]:
    """The run in ``folder`` and everything wrong with its files, shape and names."""
    held, raw, run, found = _document(folder, "runs", Run)
    if run is None:
        return None, found
    task = stored.known_task(run.task)
    predictions = None
    table = folders.TABLES["runs"]
    if task is not None and table in held.contents:
        try:
            predictions = tables.read_predictions(held.contents[table], folder / table, task)
        except Refused as refused:
            found.append(refused.problem)
    loaded = LoadedRun(folder, _name(folder / "run.json"), raw, run, task, predictions, held.subject)
    return loaded, found + run_checks(loaded.file, RUN, loaded)


def load_measurement(folder: Path) -> tuple[LoadedMeasurement | None, list[Problem]]:
    """The measurement in ``folder`` and everything wrong with its files, shape and names."""
    held, raw, measurement, found = _document(folder, "measurements", Measurement)
    if measurement is None:
        return None, found
    table = folders.TABLES["measurements"]
    samples = None
    if table in held.contents:
        try:
            samples = tables.read_samples(held.contents[table], folder / table)
        except Refused as refused:
            found.append(refused.problem)
    file = _name(folder / "measurement.json")
    scored, wrong = own_accuracy.scored(folder, file, raw, measurement, held.contents)
    loaded = LoadedMeasurement(folder, file, raw, measurement, samples, held.subject, scored)
    found += wrong + run_checks(loaded.file, MEASUREMENT, loaded)
    for one in scored:
        found += own_accuracy.placed(one, run_checks(one.file, SCORED, one))
    return loaded, found


def load_entry(path: Path) -> tuple[LoadedEntry | None, list[Problem]]:
    """The entry in a file and everything wrong with its shape and names."""
    raw, entry, found = _read(path, Entry, folders.MAX_JSON_BYTES)
    if entry is None:
        return None, found
    loaded = LoadedEntry(path, _name(path), raw, entry)
    return loaded, found + run_checks(loaded.file, ENTRY, loaded)


def load_attestation(path: Path) -> tuple[Attestation | None, list[Problem]]:
    """The attestation in a file and everything wrong with its shape and name."""
    _, attestation, found = _read(path, Attestation, 65_536)
    if attestation is None:
        return None, found
    return attestation, found + run_checks(_name(path), ATTESTATION, path, attestation)


def load_attempt(path: Path) -> tuple[Attempt | None, list[Problem]]:
    """The attempt in a file and everything wrong with its shape, name and words."""
    raw, attempt, found = _read(path, Attempt, 65_536)
    if attempt is None:
        return None, found
    return attempt, found + run_checks(_name(path), ATTEMPT, path, raw, attempt)


def load_document(path: Path, model: type[Any], max_bytes: int) -> tuple[dict[str, Any], Any, list[Problem]]:
    """The JSON and the document of a single file (None where it has another shape), and what is wrong with it."""
    return _read(path, model, max_bytes)


def _name(path: Path) -> str:
    return show(str(path), 300)


def _document(
    folder: Path, kind: str, model: type[Any]
) -> tuple[folders.Opened, dict[str, Any], Any, list[Problem]]:
    """Files and manifest of a document's folder, then the shape of the document. Every file is read once."""
    document, table = folders.DOCUMENTS[kind], folders.TABLES[kind]
    try:
        held = folders.opened(folder, allowed=folders.names(folder, kind))
    except Exception as error:
        held = folders.Opened({}, None, [broke(_name(folder), "opened", error)])
    found = list(held.problems)
    # A file that is there but broken is one problem, and one that the manifest lists but is absent another.
    absent = [name for name in (document, table) if not _is_there(folder / name)]
    listed = " ".join(problem.fix for problem in found)
    found += [
        Problem(_name(folder / name), "", "nothing", "a file", f"add {name}")
        for name in absent
        if f"add {name}" not in listed
    ]
    if document not in held.contents:  # absent, or what is wrong with it was said
        return held, {}, None, found
    raw, parsed, shape = _shape(folder / document, held.contents[document], model)
    return held, raw, parsed, found + shape


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _read(path: Path, model: type[Any], max_bytes: int) -> tuple[dict[str, Any], Any, list[Problem]]:
    """:func:`_shape` of a file that stands alone."""
    try:
        content = folders.read_bytes(path, max_bytes)
    except Refused as refused:
        return {}, None, [refused.problem]
    return _shape(path, content, model)


def _shape(path: Path, content: bytes, model: type[Any]) -> tuple[dict[str, Any], Any, list[Problem]]:
    """Strict JSON against its schema: every mistake by its field."""
    try:
        if len(content) > folders.MAX_JSON_BYTES:
            limit = f"at most {folders.MAX_JSON_BYTES} bytes"
            return {}, None, [Problem(_name(path), "size", f"{len(content)} bytes", limit, "shorten it")]
        raw = folders.parse_json(content, path)
        if not isinstance(raw, dict):
            problem = Problem(_name(path), "", show(repr(raw)), "a JSON object", "write it with lightboard")
            return {}, None, [problem]
        return raw, model.model_validate_json(content, strict=True), []
    except Refused as refused:
        return {}, None, [refused.problem]
    except ValidationError as error:
        return {}, None, folders.mistakes(path, error)
    except Exception as error:
        return {}, None, [broke(_name(path), "shape", error)]


# --- runs ---------------------------------------------------------------------------------------------------


def run_lies_where_it_says(loaded: LoadedRun) -> Problems:
    """results/<track>/runs/<recipe>/<variant>/<task>-<seed> holds the run of that name."""
    yield from _located(loaded.file, loaded.folder, loaded.run.track, stored.run_location(loaded.run))


def run_is_bounded(loaded: LoadedRun) -> Problems:
    """Sizes that later levels multiply: tensors, operations, dimensions, lengths, bytes."""
    model = loaded.run.model
    for field, items, limit in (
        ("model.weights", model.weights, MAX_WEIGHTS),
        ("model.ops", model.ops, MAX_OPS),
        ("model.dev_lengths", model.dev_lengths, MAX_LENGTHS),
        ("model.exits", model.exits, MAX_EXITS),
        *((f"model.exits.{show(exit)}", lengths, MAX_LENGTHS) for exit, lengths in model.exits.items()),
        ("data.train_lengths", loaded.run.data.train_lengths, MAX_LENGTHS),
    ):
        if len(items) > limit:
            yield Problem(loaded.file, field, f"{len(items)}", f"at most {limit}", "report this model")
    for place, weight in enumerate(model.weights):
        if len(weight.shape) > MAX_DIMENSIONS:
            found = f"{len(weight.shape)} dimensions"
            yield Problem(
                loaded.file, f"model.weights.{place}.shape", found, f"at most {MAX_DIMENSIONS}", "fix it"
            )
    rows = sum(split.rows for split in loaded.run.data.dev.values())
    limit = max(int(REPORTING["evidence_bytes_per_run"]), BYTES_PER_ROW * min(rows, tables.MAX_ROWS))
    yield from _size(loaded.folder, limit)


def lengths_are_numbers(loaded: LoadedRun) -> Problems:
    """Histograms of lengths have whole numbers of tokens as keys, and as many examples as there are rows."""
    run = loaded.run
    histograms = {"model.dev_lengths": (run.model.dev_lengths, sum(s.rows for s in run.data.dev.values()))}
    if run.data.train_lengths:
        histograms["data.train_lengths"] = (run.data.train_lengths, run.data.train.rows)
    track = TRACKS.get(run.track)
    longest = track.max_length if track is not None else MAX_TOKENS
    for field, (histogram, rows) in histograms.items():
        for tokens in histogram:
            if not re.fullmatch(r"[1-9][0-9]{0,5}", tokens) or int(tokens) > longest:
                expected = f"a whole number of tokens, at most {longest}"
                yield Problem(
                    loaded.file, field, show(repr(tokens)), expected, "write the run with lightboard"
                )
        if sum(histogram.values()) != rows:
            found = f"{sum(histogram.values())} examples"
            yield Problem(
                loaded.file, field, found, f"{rows}, the number of rows", "count every example once"
            )


def exits_are_the_dev_rows(loaded: LoadedRun) -> Problems:
    """Where operations belong to blocks, every dev example took one of the exits, at the length it has."""
    model = loaded.run.model
    blocks = {op.block for op in model.ops} - {0}
    fix = "write the run with lightboard"
    if blocks and not model.exits:
        expected = "exit -> tokens -> number of dev examples, since model.ops has blocks"
        yield Problem(loaded.file, "model.exits", "nothing", expected, fix)
    if not model.exits:
        return
    sums: dict[str, int] = {}
    for exit, lengths in model.exits.items():
        if not re.fullmatch(r"[1-9][0-9]{0,3}", exit) or int(exit) not in blocks:
            what = f"exit {show(repr(exit))}"
            expected = f"a block of model.ops, up to {max(blocks, default=0)}"
            yield Problem(loaded.file, "model.exits", what, expected, fix)
        for tokens, count in lengths.items():
            sums[tokens] = sums.get(tokens, 0) + count
    for tokens in sorted(sums.keys() | model.dev_lengths.keys()):
        left, rows = sums.get(tokens, 0), model.dev_lengths.get(tokens, 0)
        if left != rows:
            what = f"{left} examples of {show(tokens)} tokens"
            yield Problem(loaded.file, "model.exits", what, f"{rows}, as model.dev_lengths has", fix)
            break


def settings_give_the_recipe_hash(loaded: LoadedRun) -> Problems:
    """``recipe_hash`` is the digest of ``settings``, and these name the run's own method and track."""
    run = loaded.run
    yield from compared(loaded.file, run.recipe_hash, digest(loaded.raw["settings"]), "recipe_hash")
    for field, expected in (("method", run.method), ("track", run.track)):
        if run.settings.get(field) != expected:
            given = show(repr(run.settings.get(field)))
            yield Problem(loaded.file, f"settings.{field}", given, expected, "settings and run must agree")
    default = run.settings.get("default")
    if not isinstance(default, str):
        expected = "the name of the recipe's ranked variant"
        yield Problem(
            loaded.file, "settings.default", show(repr(default)), expected, "write it with lightboard"
        )


def run_follows_the_protocol(loaded: LoadedRun) -> Problems:
    """Known track, task and training protocol; in division ``standard`` also the protocol's seeds."""
    run = loaded.run
    current = training_hash(run.track)
    if run.protocol != current:
        fix = "run it with this version of lightboard, or verify it with the version it was run with"
        yield Problem(loaded.file, "protocol", run.protocol, f"{current} (training of {run.track})", fix)
    track = TRACKS.get(run.track)
    if track is None:
        yield Problem(loaded.file, "track", run.track, " or ".join(TRACKS), "correct the track")
        return
    if loaded.task is None:
        yield Problem(loaded.file, "task", run.task, " or ".join(track.tasks), "correct the task")
    elif run.task not in track.tasks and not loaded.task.base:
        yield Problem(
            loaded.file, "task", run.task, f"a task of {run.track}: {', '.join(track.tasks)}", "move it"
        )
    if run.division == "standard" and run.seed not in track.seeds:
        expected = "one of " + ", ".join(str(seed) for seed in track.seeds)
        yield Problem(
            loaded.file, "seed", str(run.seed), expected, "use the protocol's seeds, or division open"
        )


def seeds_come_in_order(track: Path, entries: Iterable[Entry], log: Iterable[LogEntry]) -> Problems:
    """In division ``standard`` a task has the first of the track's seeds: whoever left one out could leave out the
    worst. A run that the log took out had its turn."""
    known = TRACKS.get(track.name)
    if known is None:
        return
    out = {named.place for line in log if line.action in logs.LEAVING for named in line.documents}
    for entry in entries:
        for task, quality in entry.quality.items() if entry.division == "standard" else ():
            used = [seed for seed in known.seeds if seed in {line.seed for line in quality.runs}]
            place = f"runs/{entry.recipe}/{entry.variant}/{task}"
            turn = [s for s in known.seeds if s in used or f"{place}-{s}" not in out][: len(used)]
            if used != turn:
                file = _name(track / "entries" / entry.recipe / f"{entry.variant}.json")
                found = "seeds " + ", ".join(map(str, used))
                expected = ", ".join(map(str, turn)) + ": the track's, in order"
                fix = "add the runs of the seeds left out; one that was taken back stands in the log"
                yield Problem(file, f"quality.{show(task)}.runs", found, expected, fix)


def rows_are_the_tracks(loaded: LoadedRun) -> Problems:
    """Where the track ships its rows' hashes, dev (and in division ``standard`` train) are those rows."""
    run = loaded.run
    listed = _listed(run.track, run.task)
    if listed is None:
        return
    used = {f"dev.{name}": (split, name) for name, split in run.data.dev.items()}
    if run.division == "standard":
        used |= {"train": (run.data.train, "train"), "selection": (run.data.selection, "selection")}
    for field, (split, name) in used.items():
        if name not in listed:
            continue  # a strange dev set is named by predictions_fit_the_task
        rows, expected = listed[name]
        fix = "train and score on the track's rows"
        if split.fingerprint != expected:
            yield Problem(loaded.file, f"data.{field}.fingerprint", split.fingerprint, expected, fix)
        if split.rows != rows:
            yield Problem(loaded.file, f"data.{field}.rows", str(split.rows), str(rows), fix)


@cache
def _listed(track: str, task: str) -> dict[str, tuple[int, str]] | None:
    """Split -> (rows, fingerprint) of a track's list; None where it ships none."""
    if track not in TRACKS:
        return None
    listed = row_list(track, task)
    if listed is None:
        return None
    return {name: (len(hashes), fingerprint(hashes)) for name, hashes in listed.items()}


def predictions_fit_the_task(loaded: LoadedRun) -> Problems:
    """Exactly the task's dev sets, and in each of them every row once: 0 to n - 1."""
    run, task = loaded.run, loaded.task
    if task is None:
        return
    expected = ", ".join(task.dev_splits)
    if set(run.data.dev) != set(task.dev_splits):
        found = show(", ".join(run.data.dev))
        yield Problem(loaded.file, "data.dev", found, expected, "score all dev sets of the task")
    if loaded.predictions is None:
        return
    if set(loaded.predictions) != set(task.dev_splits):
        found = show(", ".join(loaded.predictions))
        yield Problem(loaded.table, "split", found, expected, "predict all dev sets of the task")
    for name, split in loaded.predictions.items():
        wanted = run.data.dev[name].rows if name in run.data.dev else len(split.row)
        if len(split.row) != wanted or (wanted and int(split.row[-1]) != wanted - 1):
            found = (
                f"{len(split.row)} rows of {show(name)}, up to {int(split.row[-1]) if len(split.row) else 0}"
            )
            yield Problem(loaded.table, "row", found, f"0 to {wanted - 1}, each once", "predict every row")


def curves_are_paired(loaded: LoadedRun) -> Problems:
    """Every curve has one value per step."""
    for place, curve in enumerate(loaded.run.curves):
        if len(curve.steps) != len(curve.values):
            found = f"{len(curve.values)} values"
            expected = f"{len(curve.steps)}, one per step"
            yield Problem(
                loaded.file, f"curves.{place}.values", found, expected, "write the run with lightboard"
            )


def names_nobody(loaded: LoadedRun | LoadedMeasurement) -> Problems:
    """No home folder, and so no user's name, anywhere in the document."""
    yield from names_nobody_in(loaded.file, loaded.raw)


def text_is_plain(loaded: LoadedRun | LoadedMeasurement) -> Problems:
    """Nothing that a terminal or a page would obey, or that reads otherwise than it is written."""
    yield from text_is_plain_in(loaded.file, loaded.raw)


def text_is_plain_in(file: str, raw: dict[str, Any]) -> Problems:
    """The same for the JSON of any document."""
    for field, text in texts(raw, ""):
        if not (text.isascii() and text.isprintable() and "<" not in text):
            yield from _plain(file, field, text)


def _plain(file: str, field: str, text: str) -> Problems:
    if any(unicodedata.category(character) in _UNSEEN for character in text):
        yield Problem(file, show(field), show(text, 60), "text without control characters", "remove them")
    elif _MARKUP.search(text):
        yield Problem(file, show(field), show(text, 60), "plain text, no markup", "remove it")


def dated(file: str, date: str) -> Problems:
    """A day of the calendar that has come."""
    try:
        day = datetime.date.fromisoformat(date) if date.isascii() else None
    except ValueError:
        day = None
    latest = max(datetime.datetime.now(datetime.UTC).date(), WRITTEN) + datetime.timedelta(days=1)
    if day is None:
        yield Problem(file, "date", show(date), "a day, as in 2026-01-31", "correct the date")
    elif day > latest:
        yield Problem(file, "date", date, f"at most {latest}", "correct the date, or this machine's clock")


def names_nobody_in(file: str, raw: dict[str, Any]) -> Problems:
    """The same for the JSON of any document."""
    for field, text in texts(raw, ""):
        if PRIVATE.search(text):
            yield Problem(file, show(field), show(text, 60), "no path of this machine", "remove it")


def texts(value: Any, field: str) -> Iterator[tuple[str, str]]:
    """Every text of a document, keys included, with its place."""
    pairs: Iterable[tuple[Any, Any]]
    if isinstance(value, dict):
        for key in value:
            yield field, key
        pairs = value.items()
    else:
        pairs = enumerate(value)
    for key, item in pairs:
        if isinstance(item, str):
            yield f"{field}.{key}".strip("."), item
        elif isinstance(item, dict | list):
            yield from texts(item, f"{field}.{key}".strip("."))


RUN = (
    run_lies_where_it_says,
    run_is_bounded,
    lengths_are_numbers,
    exits_are_the_dev_rows,
    settings_give_the_recipe_hash,
    run_follows_the_protocol,
    rows_are_the_tracks,
    predictions_fit_the_task,
    curves_are_paired,
    names_nobody,
    text_is_plain,
)


# --- measurements -------------------------------------------------------------------------------------------


def measurement_lies_where_it_says(loaded: LoadedMeasurement) -> Problems:
    """results/<track>/measurements/<recipe>/<variant>/<profile>-...-<date> holds just that measurement, or a folder
    with the machine's digest behind the date."""
    usual, own = stored.measurement_locations(loaded.measurement)
    place = own if loaded.folder.name == Path(own).name else usual
    yield from _located(loaded.file, loaded.folder, loaded.measurement.track, place)


def measurement_is_bounded(loaded: LoadedMeasurement) -> Problems:
    """Trace and bytes."""
    if len(loaded.measurement.trace_lengths) > 32_767:  # samples name queries in 16 bits
        found = str(len(loaded.measurement.trace_lengths))
        yield Problem(loaded.file, "trace_lengths", found, "at most 32767 queries", "shorten the trace")
    others = loaded.measurement.reference_trace_lengths
    if others is not None and len(others) != len(loaded.measurement.trace_lengths):
        expected = f"{len(loaded.measurement.trace_lengths)}, one per query"
        yield Problem(loaded.file, "reference_trace_lengths", str(len(others)), expected, "measure again")
    for tokens in (*loaded.measurement.trace_lengths, *(others or ())):
        if not 1 <= tokens <= MAX_TOKENS:
            yield Problem(
                loaded.file, "trace_lengths", str(tokens), f"1 to {MAX_TOKENS} tokens", "correct it"
            )
            break
    rows = sum(split.rows for one in loaded.measurement.accuracy for split in one.dev.values())
    yield from _size(loaded.folder, MAX_MEASUREMENT_BYTES + BYTES_PER_ROW * min(rows, tables.MAX_ROWS))


def measurement_follows_the_protocol(loaded: LoadedMeasurement) -> Problems:
    """Known track and measuring protocol, and the reference that the protocol names."""
    m = loaded.measurement
    if m.protocol != measuring_hash():
        fix = "measure with this version of lightboard, or verify with the version it was measured with"
        yield Problem(loaded.file, "protocol", m.protocol, f"{measuring_hash()} (measuring)", fix)
    if m.track not in TRACKS:
        yield Problem(loaded.file, "track", m.track, " or ".join(TRACKS), "correct the track")
    expected = _reference_runtime(m.profile) if m.against == "reference" else m.runtime
    if m.reference_runtime != expected:
        yield Problem(loaded.file, "reference_runtime", m.reference_runtime, expected, "measure against it")


def machine_is_the_profiles(loaded: LoadedMeasurement) -> Problems:
    """The machine is of the kind that a published profile names, and its memory was held to the profile's limit."""
    m = loaded.measurement
    profile = _published(m.profile)
    if profile is None:
        return
    for name in machine.IDENTITY:
        wanted = getattr(profile.requires, name)
        if wanted is not None and not m.machine.requirements.get(name, False):
            fix = "measure on such a device, or under another profile"
            found = show(str(getattr(m.machine, name, None) or "another"), 60)
            yield Problem(
                loaded.file, f"machine.requirements.{name}", found, f"{wanted}, as the profile asks", fix
            )
    if m.memory.limit_bytes != profile.memory_limit_bytes:
        expected = f"{profile.memory_limit_bytes or 'no limit'}, as the profile says"
        yield Problem(loaded.file, "memory.limit_bytes", str(m.memory.limit_bytes), expected, "measure again")
    if (m.memory.limit_bytes is None) != (m.memory.limited_by is None):
        expected = "what held the limit" if m.memory.limit_bytes else "nothing: there is no limit"
        yield Problem(loaded.file, "memory.limited_by", str(m.memory.limited_by), expected, "measure again")
    if (m.machine.accelerator is not None) != (profile.device == "cuda"):
        expected = "a GPU's name" if profile.device == "cuda" else "nothing: the profile is of the processor"
        found = show(str(m.machine.accelerator), 60)
        yield Problem(loaded.file, "machine.accelerator", found, expected, "measure again")


def timed_as_profile_and_runtime_say(loaded: LoadedMeasurement) -> Problems:
    """Threads and cores are a published profile's; the arithmetic and its device are the runtime's; and a process'
    memory only grows."""
    m, fix = loaded.measurement, "measure again"
    if m.memory.peak_bytes < m.memory.baseline_bytes:
        expected = f"{m.memory.baseline_bytes} or more, where it began"
        yield Problem(loaded.file, "memory.peak_bytes", str(m.memory.peak_bytes), expected, fix)
    profile, cores, threads = _published(m.profile), len(set(m.machine.affinity)), threads_of(m)
    if profile is not None and profile.threads != "all" and m.threads not in (None, profile.threads):
        yield Problem(loaded.file, "threads", str(m.threads), f"{profile.threads}, as the profile says", fix)
    if profile is not None and profile.pin and cores != (threads or max(1, cores)):
        expected = f"{threads or 'one or more'}: one a thread"
        yield Problem(loaded.file, "machine.affinity", f"{cores} cores", expected, fix)
    if m.runtime in paths.names("runtimes"):
        module = paths.load_module("runtimes", m.runtime)
        if m.precision != module.PRECISION:
            yield Problem(loaded.file, "precision", m.precision, f"{module.PRECISION} of {m.runtime}", fix)
        if profile is not None and device_of(module) != profile.device:
            expected = f"a runtime on {profile.device}, which the profile is of"
            yield Problem(loaded.file, "runtime", m.runtime, expected, fix)


def threads_of(m: Measurement) -> int | None:
    """Those of a published profile, else those that the measurement had; None in documents older than the field."""
    profile = _published(m.profile)
    return m.threads if profile is None or profile.threads == "all" else profile.threads


def offline_says_so(loaded: LoadedMeasurement) -> Problems:
    """An offline measurement has its batches, and no other has; energy is there, or its reason, not both."""
    m = loaded.measurement
    if (m.arrival == "offline") != (m.offline is not None):
        found, expected = ("nothing", "its batches") if m.offline is None else ("batches", "nothing")
        yield Problem(loaded.file, "offline", found, f"{expected} of arrival {m.arrival}", "measure again")
    if m.energy is not None and m.energy_reason is not None:
        yield Problem(
            loaded.file, "energy_reason", show(m.energy_reason, 60), "nothing: there is energy", "remove it"
        )


def drawn_weights_answer_for_time_alone(loaded: LoadedMeasurement) -> Problems:
    """Where weights were drawn there are no scores, no other run's weights, and no exits to be taken."""
    m = loaded.measurement
    if m.weights != "drawn":
        return
    fix = "measure the trained model"
    if m.precision != "fp32":
        expected = "trained: a lower precision is scored by its own answers"
        yield Problem(loaded.file, "weights", f"drawn, in {m.precision}", expected, fix)
    for name, found in (
        ("accuracy", m.accuracy), ("spot_check", m.spot_check), ("worst_case", m.worst_case),
    ):  # fmt: skip
        if found:
            yield Problem(loaded.file, name, "of drawn weights", "nothing: they are no run's", fix)


def profile_is_the_published_one(loaded: LoadedMeasurement) -> Problems:
    """A profile that ships with lightboard has the content it shipped with."""
    expected = _profile_hash(loaded.measurement.profile)
    if expected is not None and loaded.measurement.profile_hash != expected:
        found = loaded.measurement.profile_hash
        yield Problem(loaded.file, "profile_hash", found, expected, "measure again, or rename your profile")


@cache
def _published(name: str) -> Profile | None:
    """A profile that ships with lightboard, or lies on the search path."""
    if name not in paths.names("hardware_profiles"):
        return None
    from suite.loading import load_profile

    return load_profile(name)


def is_published(profile: str) -> bool:
    """Whether a profile of that name ships with lightboard, or lies on the search path."""
    return _published(profile) is not None


def _reference_runtime(name: str) -> str:
    profile = _published(name)
    return profile.against if profile else str(MEASURING["reference"]["runtime"])


@cache
def _profile_hash(name: str) -> str | None:
    profile = _published(name)
    return None if profile is None else str(profile.hash)


@cache
def _profile_plan(name: str) -> tuple[int, int, int] | None:
    """Pairs, rounds and queries in a round of a profile that ships with lightboard."""
    profile = _published(name)
    if profile is None:
        return None
    return profile.pairs, profile.blocks // 2, profile.block_queries


def samples_are_of_the_trace(loaded: LoadedMeasurement) -> Problems:
    """Every timed query is a row of the trace."""
    if loaded.samples is None:
        return
    queries = loaded.samples["query"]
    last = len(loaded.measurement.trace_lengths) - 1
    if int(queries.min()) < 0 or int(queries.max()) > last:
        found = f"{int(queries.min())} to {int(queries.max())}"
        yield Problem(loaded.table, "query", found, f"0 to {last}, rows of the trace", "measure again")


def samples_are_enough(loaded: LoadedMeasurement) -> Problems:
    """As many pairs, rounds and queries as the profile asks for; of a profile unknown here, two pairs."""
    if loaded.samples is None:
        return
    m, samples = loaded.measurement, loaded.samples
    plan = _profile_plan(m.profile)
    pairs, rounds, queries = plan or (2, 1, 1)
    track = TRACKS.get(m.track)
    if plan is not None and track is not None and track.pairs is not None:
        pairs = track.pairs
    blocks, counts = np.unique(
        np.stack([samples[name].astype(np.int64) for name in ("pair", "block", "side")]),
        axis=1,
        return_counts=True,
    )
    _, per_pair = np.unique(blocks[0], return_counts=True)  # both sides of every round
    for field, found, least, what in (
        ("pair", len(per_pair), pairs, "process pairs"),
        ("block", int(per_pair.min()) // 2, rounds, "rounds in a pair"),
        ("query", int(counts.min()), queries, "queries in a round"),
    ):
        if found < least:
            expected = f"at least {least}, as the profile says"
            yield Problem(loaded.table, field, f"{found} {what}", expected, "measure again")


def measured_in_the_past(loaded: LoadedMeasurement) -> Problems:
    """A date of the calendar, and none to come."""
    yield from dated(loaded.file, loaded.measurement.date)


def is_plain_query(m: Measurement) -> bool:
    """Whether queries of the trace were asked one by one, beside the reference: where answers are scored."""
    return (m.against, m.arrival, m.inputs) == ("reference", "single-stream", "trace")


def lower_precision_is_scored(loaded: LoadedMeasurement) -> Problems:
    """Answers of a lower precision are scored, each task once; of float32 those that are not the runs' own."""
    m = loaded.measurement
    asked = is_plain_query(m)
    tasks = [one.task for one in m.accuracy]
    if m.precision != "fp32" and asked and not tasks:
        expected = f"scores by the {m.precision} answers"
        yield Problem(loaded.file, "accuracy", "nothing", expected, "measure again with this version")
    if tasks and not asked:
        expected = "nothing: only against the reference, query by query, on the trace, are answers scored"
        yield Problem(loaded.file, "accuracy", f"scores of {len(tasks)} tasks", expected, "remove them")
    if len(set(tasks)) != len(tasks):
        yield Problem(loaded.file, "accuracy", "a task twice", "each task once", "measure again")
    if m.task is not None and any(task != m.task for task in tasks):
        yield Problem(loaded.file, "accuracy", show(", ".join(tasks)), m.task, "measure each task by itself")
    if tasks and m.model_file not in {one.model_file for one in m.accuracy}:
        expected = "one of those that were scored"
        yield Problem(loaded.file, "model_file", m.model_file, expected, "time the model that was scored")
    there = set(folders.names(loaded.folder, "measurements")[2:])
    for name in sorted(there - {folders.own_predictions(task) for task in tasks}):
        yield Problem(
            _name(loaded.folder / name), "", "predictions of no score", "one in accuracy", "remove it"
        )


MEASUREMENT = (
    measurement_lies_where_it_says,
    measurement_is_bounded,
    measurement_follows_the_protocol,
    profile_is_the_published_one,
    machine_is_the_profiles,
    timed_as_profile_and_runtime_say,
    offline_says_so,
    drawn_weights_answer_for_time_alone,
    samples_are_of_the_trace,
    samples_are_enough,
    lower_precision_is_scored,
    measured_in_the_past,
    names_nobody,
    text_is_plain,
)
SCORED = (predictions_fit_the_task, rows_are_the_tracks)  # of each accuracy


# --- entries and attestations -------------------------------------------------------------------------------


def entry_lies_where_it_says(loaded: LoadedEntry) -> Problems:
    """results/<track>/entries/<recipe>/<variant>.json holds the entry of that name."""
    entry = loaded.entry
    expected = f"{entry.track}/entries/{entry.recipe}/{entry.variant}.json"
    found = "/".join(loaded.path.absolute().parts[-4:])
    if found != expected:
        yield Problem(loaded.file, "", show(found), expected, "move the file, or run lightboard index")


ENTRY = (entry_lies_where_it_says,)


def attestation_lies_where_it_says(path: Path, attestation: Attestation) -> Problems:
    """attestations/<first 16 hex digits of its subject>-<level>.json."""
    expected = attestation_name(attestation)
    if path.name != expected:
        yield Problem(_name(path), "", show(path.name), expected, "rename the file")


def outcome_follows(path: Path, attestation: Attestation) -> Problems:
    """A replay or a retraining passed when its own figures say so."""
    evidence = attestation.evidence
    if evidence is None:
        return
    verdicts = []
    if evidence.largest_difference is not None and evidence.tolerance is not None:
        verdicts.append(0 <= evidence.largest_difference <= evidence.tolerance)
    if evidence.score is not None and evidence.interval is not None:
        verdicts.append(evidence.interval[0] <= evidence.score <= evidence.interval[1])
    if attestation.outcome == "passed" and not all(verdicts):
        yield Problem(_name(path), "outcome", "passed", "failed, by its evidence", "check the document again")


def attestation_is_harmless(path: Path, attestation: Attestation) -> Problems:
    """Plain words, nobody's folders, and a day that has come."""
    for field in ("by", "lightboard"):
        text = getattr(attestation, field)
        yield from _plain(_name(path), field, text)
        if PRIVATE.search(text):
            yield Problem(_name(path), field, show(text, 60), "no path of this machine", "remove it")
    yield from dated(_name(path), attestation.date)


ATTESTATION = (attestation_lies_where_it_says, outcome_follows, attestation_is_harmless)


def attempt_lies_where_it_says(path: Path, raw: dict[str, Any], attempt: Attempt) -> Problems:
    """attempts/<16 hex digits of the cell that it tried to fill>.json, in its track."""
    expected = f"{attempt.track}/{stored.ATTEMPTS}/{stored.attempt_name(attempt)}"
    found = "/".join(path.absolute().parts[-3:])
    if found != expected:
        yield Problem(_name(path), "", show(found), expected, "move the file")


def attempt_is_harmless(path: Path, raw: dict[str, Any], attempt: Attempt) -> Problems:
    """Plain words, nobody's folders, and a day that has come."""
    yield from text_is_plain_in(_name(path), raw)
    yield from names_nobody_in(_name(path), raw)
    yield from dated(_name(path), attempt.date)


ATTEMPT = (attempt_lies_where_it_says, attempt_is_harmless)


def attestation_name(attestation: Attestation) -> str:
    """The file name of an attestation; one that a key made carries it, so that every verifier has a file."""
    key = attestation.evidence.key if attestation.evidence else None
    suffix = f"-{key.removeprefix('sha256:')[:8]}" if key else ""
    return f"{attestation.subject.removeprefix('sha256:')[:16]}-{attestation.level}{suffix}.json"


# --- shared -------------------------------------------------------------------------------------------------


def _located(file: str, folder: Path, track: str, location: str) -> Problems:
    expected = f"{track}/{location}"
    found = "/".join(folder.absolute().parts[-5:])
    if found != expected:
        yield Problem(
            file, "", f"the folder {show(found)}", expected, "move the folder, or correct its document"
        )


def _size(folder: Path, limit: int) -> Problems:
    total = sum(path.lstat().st_size for path in folder.iterdir())
    if total > limit:
        yield Problem(_name(folder), "size", f"{total} bytes", f"at most {limit} bytes", "shorten the curves")
