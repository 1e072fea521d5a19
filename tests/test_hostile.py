"""Forgeries of real entries, each with its manifest rewritten to match, and whatever else could be sent.

The runs and the measurement are those of ``results/mini``, checked without any gold label; where labels count the
generated tasks serve. Every forgery must be refused by the field that was forged and, where the field is derived,
with the value that follows from the evidence.
"""

from __future__ import annotations

import copy
import io
import json
import os
import random
import shutil
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import example_results as example
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from test_verify import BAD_TABLES, CHOICES, at, changed, derived, forged, told

from suite import folder as folders
from suite import footer, index, loading, stored, tables
from suite.documents import Attestation, Entry, Manifest, Measurement, Run
from suite.errors import UserError
from suite.folder import Refused, read_bytes
from suite.tasks import task
from suite.verify import Report, valid, verify, weights

MINI = Path(__file__).parent.parent / "results" / "mini"
RUNS = ("theseus/default/mrpc-11", "reference/default/sst2-11", "ngram/default/stsb-11")
MODEL = "truncation/3-layers"  # the one whose measurement is forged
COPIED = (*RUNS, "reference/default/mrpc-11", f"{MODEL}/mrpc-11", f"{MODEL}/sst2-11")

WITHOUT_LABELS = {"metrics", "calibration"}  # nothing recomputes these where no label is at hand
FORGERIES: set[tuple[str, ...]] = set()  # every distinct one that was refused, over all tests of this module


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few real rows of the track mini, in a results tree of their own."""
    track = tmp_path_factory.mktemp("real") / "results" / "mini"
    for name in COPIED:
        shutil.copytree(MINI / "runs" / name, track / "runs" / name)
    shutil.copytree(MINI / "measurements" / MODEL, track / "measurements" / MODEL)
    return track


@pytest.fixture(autouse=True)
def no_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTBOARD_GLUE", raising=False)


@dataclass
class Document:
    """A document's folder and what it held before anybody forged it."""

    folder: Path
    name: str

    def __post_init__(self) -> None:
        self.files = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        self.honest: dict[str, Any] = json.loads(self.files[self.name])

    def restore(self) -> None:
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for name, content in self.files.items():
            (self.folder / name).write_bytes(content)

    def forge(self, content: dict[str, Any] | bytes, name: str = "") -> Report:
        """What verify says of the folder with one file replaced and its manifest rewritten."""
        example.forge(self.folder, name or self.name, content)
        try:
            return verify(self.folder)
        finally:
            self.restore()


@pytest.fixture(scope="module")
def runs(mini: Path) -> list[Document]:
    return [Document(mini / "runs" / name, "run.json") for name in RUNS]


@pytest.fixture(scope="module")
def measurement(mini: Path) -> Document:
    (folder,) = (mini / "measurements" / MODEL).iterdir()
    return Document(folder, "measurement.json")


def assert_refused(what: tuple[str, ...], report: Report, field: str, expected: str | None = None) -> None:
    assert not report.ok, f"{what} passed"
    for problem in report.problems:
        assert str(problem).isprintable() and len(str(problem)) < 3000, what
        assert "that stops the check" not in problem.found, f"{what}: {problem}"
    naming = [p for p in report.problems if p.field == field or p.field.startswith(field + ".")]
    assert naming, f"{what}: nothing names {field}:\n{told(report)}"
    if expected is not None:
        assert any(expected in p.expected for p in naming), f"{what}: expected {expected}:\n{told(report)}"
    assert what not in FORGERIES, f"{what} twice"
    FORGERIES.add(what)


def test_what_is_forged_below_is_honest(mini: Path) -> None:
    report = verify([mini / "runs", mini / "measurements"])
    assert report.ok, told(report)
    assert len(report.documents) == len(COPIED) + 1
    assert {d.outcomes["rescored"] for d in report.documents if d.kind == "run"} == {"skipped: no data"}


# --- derived fields -----------------------------------------------------------------------------------------


def forgeries(place: tuple[str | int, ...], value: Any) -> list[Any]:
    """Other values of a derived field: in its seventh digit, twice as much, and of the other sign or kind."""
    first = forged(place, value) if value is not None else ("because" if "reason" in str(place[-1]) else 1.0)
    more: list[Any] = []
    if isinstance(value, bool) or place[-1] in CHOICES or value is None:
        return [first]
    if isinstance(value, int):
        more = [value * 2 + 7, max(0, value - 1)]
    elif isinstance(value, float):
        more = [value * 2 + 0.25, -value - 1.0]
    elif isinstance(value, str) and value.startswith("sha256:"):
        more = ["sha256:" + "0" * 64]
    return [first, *(other for other in more if other not in (value, first))]


def forge_all_derived(model: type[Any], document: Document, skip: set[str]) -> int:
    count = 0
    for place in derived(model, document.honest):
        value = at(document.honest, place)
        if place[0] in skip or (value is None and place[-1] != "p99"):
            continue
        for number, other in enumerate(forgeries(place, value)):
            name = ".".join(str(part) for part in place)
            content = changed(document.honest, place, other)
            # What no document may hold is refused before anything is recomputed.
            expected = repr(value) if _has_the_shape(model, content) else None
            assert_refused(
                (str(document.folder.name), name, str(number)), document.forge(content), name, expected
            )
            count += 1
    return count


def _has_the_shape(model: type[Any], content: dict[str, Any]) -> bool:
    try:
        model.model_validate_json(json.dumps(content), strict=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("number", range(len(RUNS)))
def test_derived_fields_of_real_runs(runs: list[Document], number: int) -> None:
    assert forge_all_derived(Run, runs[number], WITHOUT_LABELS) >= 30


def test_derived_fields_of_a_real_measurement(measurement: Document) -> None:
    assert forge_all_derived(Measurement, measurement, set()) >= 30


def test_accuracy_follows_even_without_labels(runs: list[Document]) -> None:
    """Of a task whose only metric it is; score and all are forged to match."""
    run = next(run for run in runs if "sst2" in run.folder.name)
    honest = run.honest["metrics"]["accuracy"]
    for other in (honest + 0.01, 1.0, 0.5):
        document = {**run.honest, "metrics": {"accuracy": other}, "score": 100 * other}
        report = run.forge(document)
        assert_refused(("sst2", "accuracy", str(other)), report, "metrics.accuracy", repr(honest))


@pytest.mark.parametrize("factor", [30.0, 0.001, 0.0])
def test_influence_has_a_scale_even_without_labels(runs: list[Document], factor: float) -> None:
    """Of a task whose only metric is accuracy; wider or narrower, every interval and rank would follow it."""
    run = next(run for run in runs if "sst2" in run.folder.name)
    name, about = "predictions.parquet", task("sst2")
    honest = tables.read_predictions(run.files[name], run.folder / name, about)
    scaled = {key: tables.Split(s.row, s.scores, factor * s.influence) for key, s in honest.items()}
    example.forge(run.folder, name, tables.write_predictions(about, scaled))
    report = run.forge({**run.honest, "score_sd": factor * run.honest["score_sd"]})
    found = {p.field.split(",")[0] for p in report.problems}
    assert found == ({"influence of dev"} if factor else {"metrics.accuracy"}), told(report)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metrics.accuracy", 1.5), ("metrics.accuracy", -0.1), ("metrics.f1", None), ("metrics.bleu", 0.5),
        ("calibration.ece", -0.1), ("calibration.brier", 2.5), ("calibration.luck", 0.0),
        ("calibration.ece", None),
    ],
)  # fmt: skip
def test_metrics_without_labels(runs: list[Document], field: str, value: float | None) -> None:
    document = copy.deepcopy(runs[0].honest)
    group, _, name = field.partition(".")
    if value is None:
        del document[group][name]
    else:
        document[group][name] = value
    assert_refused(("mrpc", field, str(value)), runs[0].forge(document), field)


# --- evidence that contradicts itself -----------------------------------------------------------------------

Change = Callable[[dict[str, Any]], Any]


def put(place: str, value: Any) -> Change:
    """Set a value at a dotted place."""

    def change(document: dict[str, Any]) -> None:
        *above, last = place.split(".")
        found: Any = document
        for part in above:
            found = found[int(part)] if isinstance(found, list) else found[part]
        if isinstance(found, list):
            found[int(last)] = value
        else:
            found[last] = value

    return change


def both(*changes: Change) -> Change:
    def change(document: dict[str, Any]) -> None:
        for one in changes:
            one(document)

    return change


def shrink_table(document: dict[str, Any]) -> None:
    """A vocabulary a tenth as large, with every sum made to match."""
    model = document["model"]
    table = next(w for w in model["weights"] if "word_embeddings" in w["name"])
    removed = 27_000 * table["shape"][1]
    table["shape"][0] -= 27_000
    table["nonzero"] = min(table["nonzero"], table["shape"][0] * table["shape"][1])
    model["parameters"]["total"] -= removed
    model["parameters"]["nonzero"] = sum(w["nonzero"] for w in model["weights"])


def drop_biases(document: dict[str, Any]) -> None:
    model = document["model"]
    model["weights"] = [w for w in model["weights"] if not w["name"].endswith(".bias")]
    sizes = [(int(np.prod(w["shape"])), w["embedding"], w["nonzero"]) for w in model["weights"]]
    model["parameters"] = {
        "total": sum(s for s, _, _ in sizes),
        "without_embeddings": sum(s for s, e, _ in sizes if not e),
        "nonzero": sum(n for _, _, n in sizes),
    }


def drop_ops(document: dict[str, Any]) -> None:
    document["model"]["ops"] = [o for o in document["model"]["ops"] if o["kind"] == "linear"]


def all_shared(document: dict[str, Any]) -> None:
    for stage in document["stages"]:
        stage["shared"] = True
    document["training_cost"].update(tflop=0.0, tokens=0, device_hours=0.0)


RUN_EVIDENCE: dict[str, tuple[Change, str]] = {
    "a table of a tenth": (shrink_table, "model.weights"),
    "no biases": (drop_biases, "model.weights"),
    "no attention": (drop_ops, "model.ops"),
    "no operations": (put("model.ops", []), "model.weights"),
    "an operation called shorter": (put("model.ops.0.rows", 1), "model.ops"),
    "an operation done no time": (put("model.ops.0.times", 0), "model.ops.0.times"),
    "an operation on no rows": (put("model.ops.0.rows", 0), "model.ops.0.rows"),
    "a tensor of no size": (put("model.weights.0.shape", [0, 384]), "model.weights.0.shape"),
    "an architecture that nobody has": (
        both(put("model.architecture", "mine"), put("model.config.architecture", "mine")),
        "model.architecture",
    ),
    "training that others paid for": (all_shared, "stages"),
    "a model that nobody made": (put("stages", []), "stages"),
    "an operation of another shape": (put("model.ops.0.shape", [384, 3]), "model.ops.0.shape"),
    "an operation of no weight": (put("model.ops.0.weight", None), "model.ops.0.weight"),
    "an operation of a strange weight": (put("model.ops.0.weight", "nobody"), "model.ops.0.weight"),
    "a product of 3 dimensions": (put("model.ops.0.shape", [384, 384, 1]), "model.ops.0.shape"),
    "fewer layers said": (put("model.config.layers", 2), "model.ops"),
    "another vocabulary said": (put("model.config.vocab", 3000), "model.weights"),
    "another architecture said": (put("model.architecture", "ngram"), "model.architecture"),
    "more non-zero than there are": (put("model.weights.0.nonzero", 2**40), "model.weights.0.nonzero"),
    "no embedding": (put("model.weights.0.embedding", False), "model.weights.0"),
    "nine dimensions": (put("model.weights.0.shape", [1] * 9), "model.weights.0.shape"),
    "a tensor twice": (
        put("model.weights.1.name", "bert.embeddings.word_embeddings.weight"),
        "model.weights",
    ),
    "a file smaller than its tensors": (
        put("model.bytes.safetensors/fp32", 1000),
        "model.bytes.safetensors/fp32",
    ),
    "lengths of more examples": (put("model.dev_lengths.40", 10_000), "model.dev_lengths"),
    "a length of no tokens": (put("model.dev_lengths.0", 0), "model.dev_lengths"),
    "a length in words": (put("model.dev_lengths.forty", 0), "model.dev_lengths"),
    "a length in other digits": (put("model.dev_lengths.٤٠", 0), "model.dev_lengths"),
    "longer than the track's limit": (put("model.dev_lengths.500", 0), "model.dev_lengths"),
    "training lengths of more": (put("data.train_lengths.40", 10_000), "data.train_lengths"),
    "a training length in words": (put("data.train_lengths.forty", 0), "data.train_lengths"),
    "an operation of a fourth power": (put("model.ops.0.shape", ["n", "n"]), "model.ops.0.shape"),
    "no training lengths": (put("data.train_lengths", {}), "data.train_lengths"),
    "other training rows": (put("data.train.fingerprint", "sha256:" + "1" * 64), "data.train.fingerprint"),
    "more training rows": (put("data.train.rows", 100_000), "data.train.rows"),
    "other selection rows": (
        put("data.selection.fingerprint", "sha256:" + "1" * 64),
        "data.selection.fingerprint",
    ),
    "other dev rows": (put("data.dev.dev.fingerprint", "sha256:" + "1" * 64), "data.dev.dev.fingerprint"),
    "fewer dev rows": (put("data.dev.dev.rows", 100), "data.dev.dev.rows"),
    "a further dev set": (
        lambda d: d["data"]["dev"].update(test=dict(d["data"]["dev"]["dev"])),
        "data.dev",
    ),
    "no dev set": (put("data.dev", {}), "data.dev"),
    "a stage that gives work back": (put("stages.0.tflop", -1.0), "stages.0"),
    "a stage that gives time back": (put("stages.0.seconds", -1.0), "stages.0"),
    "a stage called shared": (put("stages.2.shared", True), "training_cost.tflop"),
    "a stage beyond all numbers": (put("stages.0.tflop", 1.5e308), "stages.0.tflop"),
    "a sum beyond all numbers": (put("training_cost.tflop", 1.5e308), "training_cost.tflop"),
    "a model beyond all numbers": (put("model.flops_per_example.dev", 1e308), "model.flops_per_example.dev"),
    "a stage left out": (lambda d: d["stages"].pop(), "training_cost"),
    "beyond the budget": (
        both(put("stages.2.tflop", 1e6), put("training_cost.tflop", 1e6)),
        "training_cost.tflop",
    ),
    "a curve without steps": (put("curves.0.steps", []), "curves.0.values"),
    "a recipe from elsewhere": (put("recipe", "distillation"), ""),
    "a recipe of two dots": (put("recipe", "a..b"), "recipe"),
    "a recipe of a long name": (put("recipe", 65 * "a"), "recipe"),
    "a variant from elsewhere": (put("variant", "fast"), ""),
    "a task from elsewhere": (put("task", "rte"), ""),
    "a task nobody knows": (put("task", "sorcery"), "task"),
    "a task that is a file": (put("task", "own.yaml"), "task"),
    "a seed from elsewhere": (put("seed", 23), ""),
    "a seed of one's own": (put("seed", 4711), "seed"),
    "another track": (put("track", "base"), "protocol"),
    "a track nobody knows": (put("track", "huge"), "track"),
    "another protocol": (put("protocol", "sha256:" + "1" * 64), "protocol"),
    "other settings": (put("settings.parameters.layers", 4), "recipe_hash"),
    "further settings": (put("settings.secret", 1), "recipe_hash"),
    "settings of another method": (put("settings.method", "adabert"), "settings.method"),
    "settings of another track": (put("settings.track", "base"), "settings.track"),
    "settings without a ranked variant": (put("settings.default", 3), "settings.default"),
    "another method": (put("method", "adabert"), "settings.method"),
    "a document of tomorrow": (put("schema", "lightboard/run/2"), "schema"),
    "another document": (put("schema", "lightboard/entry/1"), "schema"),
    "a field of one's own": (put("verified_by", "everybody"), "verified_by"),
    "a field of one's own, deeper": (put("model.verified", True), "model.verified"),
    "the division of a paper": (put("division", "literature"), "division"),
    "data from a dream": (put("data.source", "dream"), "data.source"),
}


@pytest.mark.parametrize("what", RUN_EVIDENCE)
def test_evidence_of_a_real_run(runs: list[Document], what: str) -> None:
    change, field = RUN_EVIDENCE[what]
    document = copy.deepcopy(runs[0].honest)
    change(document)
    assert_refused(("evidence of a run", what), runs[0].forge(document), field)


MEASUREMENT_EVIDENCE: dict[str, tuple[Change, str]] = {
    "no answer was checked": (put("answers.queries", 0), "answers.queries"),
    "answers that differ": (
        both(put("answers.largest_difference", 9.0), put("answers.equal", False)),
        "answers.largest_difference",
    ),
    "answers said to be equal": (put("answers.largest_difference", 9.0), "answers.equal"),
    "a difference below zero": (put("answers.largest_difference", -1.0), "answers.largest_difference"),
    "a tolerance below zero": (put("answers.tolerance", -1.0), "answers.tolerance"),
    "a tolerance for any answer": (
        both(put("answers.tolerance", 1e6), put("answers.largest_difference", 5e5)),
        "answers.tolerance",
    ),
    "repeats said to be the same": (put("repeat_check.ratio", 3.0), "repeat_check.passed"),
    "another profile's content": (put("profile_hash", "sha256:" + "1" * 64), "profile_hash"),
    "another reference": (put("reference_runtime", "torch"), "reference_runtime"),
    "another protocol": (put("protocol", "sha256:" + "1" * 64), "protocol"),
    "a track nobody knows": (put("track", "huge"), "track"),
    "an empty trace": (put("trace_lengths", []), "query"),
    "a trace of no tokens": (put("trace_lengths.0", 0), "trace_lengths"),
    "a trace of a book": (put("trace_lengths.0", 10**6), "trace_lengths"),
    "a longer trace than queries have numbers": (put("trace_lengths", [8] * 40_000), "trace_lengths"),
    "a day to come": (put("date", "2999-01-01"), "date"),
    "a 31st of February": (put("date", "2026-02-31"), "date"),
    "a month 13": (put("date", "2026-13-01"), "date"),
    "a day in other digits": (put("date", "٢٠٢٦-٠١-٣١"), "date"),
    "no time between timings": (put("repeats", 0), "repeats"),
    "a million repeats": (put("repeats", 10**6), "repeats"),
    "no runtime": (put("runtime", ""), "runtime"),
    "a runtime of another folder": (put("runtime", "../torch"), "runtime"),
    "another runtime": (put("runtime", "torch"), ""),
    "another recipe": (put("recipe", "theseus"), ""),
    "more threads than the profile's": (put("threads", 8), "threads"),
    "more cores than threads": (put("machine.affinity", list(range(8))), "machine.affinity"),
    "no cores at all": (put("machine.affinity", []), "machine.affinity"),
    "another precision than the runtime's": (put("precision", "int8"), "precision"),
    "a runtime of another device": (put("runtime", "torch_cuda"), "runtime"),
    "memory that shrank": (put("memory.baseline_bytes", 10**15), "memory.peak_bytes"),
    "a file smaller than its tensors": (put("model_bytes", 1), "model_bytes"),
    "a GPU that a processor's runtime does not use": (
        both(
            put("profile", "mine"),
            put("machine.accelerator", "x"),
            put("machine.flags", ["avx2", "fma"]),
            put("machine.max_mhz", 0.001),
        ),
        "latency_ms",
    ),
    "a processor beyond physics": (
        both(put("machine.max_mhz", 0.001), put("machine.flags", ["avx2", "fma"])),
        "latency_ms",
    ),
    "a document of tomorrow": (put("schema", "lightboard/measurement/9"), "schema"),
    "a field of one's own": (put("bonus", 1), "bonus"),
}


@pytest.mark.parametrize("what", MEASUREMENT_EVIDENCE)
def test_evidence_of_a_real_measurement(measurement: Document, what: str) -> None:
    change, field = MEASUREMENT_EVIDENCE[what]
    document = copy.deepcopy(measurement.honest)
    change(document)
    assert_refused(("evidence of a measurement", what), measurement.forge(document), field)


# --- wrong types, and text that is more than text -----------------------------------------------------------


def leaves(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Places of values that hold no others, one item of every list and mapping of numbers."""
    if isinstance(value, dict):
        for number, (key, item) in enumerate(value.items()):
            if number < 2 or not key.isdigit():
                yield from leaves(item, (*place, key))
    elif isinstance(value, list):
        for number, item in enumerate(value[:1]):
            yield from leaves(item, (*place, number))
    elif place:
        yield place


FREE = {"settings", "config"}  # any JSON may stand there; the hash, the architecture or the weights say what


def of_another_type(value: Any) -> Any:
    return {"a": []} if not isinstance(value, bool) else "yes"


@pytest.mark.parametrize("kind", ["run", "measurement"])
def test_a_value_of_another_type_anywhere(runs: list[Document], measurement: Document, kind: str) -> None:
    document = runs[0] if kind == "run" else measurement
    count = 0
    for place in leaves(document.honest):
        if FREE & set(place):
            continue
        name = ".".join(str(part) for part in place)
        report = document.forge(changed(document.honest, place, of_another_type(at(document.honest, place))))
        assert_refused((kind, "type", name), report, name)
        count += 1
    assert count >= 50


HOSTILE_TEXTS = (
    "<script>alert(1)</script>", "</td><td>", "<!--", "\u202egnp.exe", "zero\u200bwidth", "\u2066isolate",
    "bell\x07", "\x1b[2J", "two\nlines", "nul\x00", "\u2028line", "\ue000private", "tag\U000e0041",
    "/home/somebody/x", "C:\\Users\\somebody",
)  # fmt: skip
TEXTS = ("environment.cpu", "environment.versions.torch", "departures.0", "environment.cpu_flags.0")


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=ascii)
def test_text_that_is_more_than_text(runs: list[Document], measurement: Document, text: str) -> None:
    for place in TEXTS:
        document = copy.deepcopy(runs[0].honest)
        put(place, text)(document)
        assert_refused(("text", place, text), runs[0].forge(document), place)
    document = copy.deepcopy(measurement.honest)
    document["machine"]["requirements"][text] = True
    assert_refused(("text", "a key", text), measurement.forge(document), "machine.requirements")


NAMES = (
    "..",
    "../up",
    "/etc/passwd",
    "a/b",
    "A",
    "é",
    "ａ",
    "",
    "-",
    ".hidden",
    "a b",
    "a\n",
    "x" * 65,
    "a\x00",
)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_that_are_no_names(runs: list[Document], name: str) -> None:
    for field in ("recipe", "variant", "task", "method"):
        document = {**runs[0].honest, field: name}
        assert_refused(("name", field, name), runs[0].forge(document), field)


# --- documents that are none --------------------------------------------------------------------------------

BAD_JSON: dict[str, bytes] = {
    "deep": b'{"a":' * 500 + b"1" + b"}" * 500,
    "very deep": b"[" * 100_000,
    "many values": b"[" + b"0," * 500_000 + b"0]",
    "too long": b'{"a":"' + b"x" * 3_000_000 + b'"}',
    "a number without end": b'{"seed": ' + b"9" * 10_000 + b"}",
    "NaN": b'{"score": NaN}',
    "infinity": b'{"score": -Infinity}',
    "an infinite exponent": b'{"score": 1e999}',
    "a key twice": b'{"score": 1, "score": 2}',
    "half a character": b'{"recipe": "\\ud800"}',
    "another encoding": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "Python": b"__import__('os').system('touch owned')",
    "YAML": b"!!python/object/apply:os.system ['touch owned']",
    "nothing": b"",
    "nul bytes": b"\x00" * 1000,
}


@pytest.mark.parametrize("what", BAD_JSON)
def test_documents_that_are_no_json(runs: list[Document], measurement: Document, what: str) -> None:
    for document in (runs[0], measurement):
        report = document.forge(BAD_JSON[what])
        field = "size" if what == "too long" else ""
        assert_refused(("json", document.name, what), report, field)
        assert report.documents[0].level is None


# --- tables -------------------------------------------------------------------------------------------------


def parquet(table: pa.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **{"compression": "snappy", **options})
    return stream.getvalue()


def with_column(table: pa.Table, name: str, values: Any, kind: pa.DataType) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, kind))


def bomb(table: pa.Table) -> bytes:
    """One long name that every row has: kilobytes in the file, gigabytes when it is written out for each."""
    names = pa.array(["x" * 4_000_000])
    coded = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(table), np.int32)), names)
    columns = [coded if name == "split" else table.column(name) for name in table.column_names]
    return parquet(pa.Table.from_arrays(columns, names=table.column_names), store_schema=False)


def many_names(table: pa.Table) -> bytes:
    return parquet(with_column(table, "split", [f"dev{i}" for i in range(len(table))], pa.string()))


class Evil(pa.ExtensionType):  # type: ignore[misc]
    """What once made readers unpickle a schema's metadata."""

    def __init__(self) -> None:
        super().__init__(pa.float32(), "arrow.py_extension_type")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x0btouch owned\x94\x85\x94R\x94."

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: Any, serialized: bytes) -> Evil:
        return cls()


def pickled(table: pa.Table) -> bytes:
    column = pa.ExtensionArray.from_storage(Evil(), table.column("score_negative").combine_chunks())
    return parquet(table.set_column(2, "score_negative", column))


def shuffled_columns(table: pa.Table) -> bytes:
    return parquet(table.select(table.column_names[::-1]))


MORE_TABLES: dict[str, tuple[Callable[[pa.Table], bytes], str]] = {
    "a bomb of text": (bomb, "split"),
    "many names": (many_names, "split"),
    "a pickle in the schema": (pickled, "columns"),
    "columns in another order": (shuffled_columns, "columns"),
    "labels, no scores": (
        lambda t: parquet(t.append_column("label", pa.array(np.zeros(len(t), np.int64)))),
        "columns",
    ),
    "a label out of range for a score": (
        lambda t: parquet(with_column(t, "score_negative", np.full(len(t), 7), pa.int64())),
        "columns",
    ),
    "scores in 64 bits": (
        lambda t: parquet(with_column(t, "score_negative", np.zeros(len(t)), pa.float64())),
        "columns",
    ),
    "rows in 64 bits": (lambda t: parquet(with_column(t, "row", np.arange(len(t)), pa.int64())), "columns"),
    "rows as text": (
        lambda t: parquet(with_column(t, "row", [str(i) for i in range(len(t))], pa.string())),
        "columns",
    ),
    "infinite scores": (
        lambda t: parquet(with_column(t, "score_negative", np.full(len(t), np.inf), pa.float32())),
        "score_negative",
    ),
    "negative rows": (
        lambda t: parquet(with_column(t, "row", np.arange(len(t)) - 5, pa.int32())),
        "row",
    ),
    "one row missing": (lambda t: parquet(t.slice(0, len(t) - 1)), "row"),
    "one row more": (lambda t: parquet(pa.concat_tables([t, t.slice(0, 1)])), "row"),
    "every row twice": (lambda t: parquet(pa.concat_tables([t, t])), "row"),
    "a thousand groups": (lambda t: parquet(pa.concat_tables([t] * 4), row_group_size=8), "rows"),
    "gzip": (lambda t: parquet(t, compression="gzip"), "compression"),
    "brotli": (lambda t: parquet(t, compression="brotli"), "compression"),
    "lz4": (lambda t: parquet(t, compression="lz4"), "compression"),
    "a csv": (lambda t: b"split,row,score\ndev,0,1.0\n", ""),
    "half a file": (lambda t: parquet(t)[: len(parquet(t)) // 2], ""),
    "a zip": (lambda t: b"PK\x03\x04" + b"\x00" * 100, ""),
    "a pickle": (lambda t: b"\x80\x04cos\nsystem\n.", ""),
    "nothing": (lambda t: b"", ""),
    "only the magic words": (lambda t: b"PAR1PAR1", ""),
    "a footer of 4 GB": (lambda t: b"PAR1" + b"\xff" * 8 + b"\xff\xff\xff\xffPAR1", ""),
}


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Document:
    row = next(row for row in example.ROWS if row.recipe == "student")
    return Document(example.add_run(tmp_path_factory.mktemp("demo") / "results", row, "mood"), "run.json")


@pytest.mark.parametrize("what", [*BAD_TABLES, *MORE_TABLES])
def test_tables_that_are_none(demo_run: Document, what: str) -> None:
    make, field = (BAD_TABLES | MORE_TABLES)[what]
    table = pq.read_table(io.BytesIO(demo_run.files["predictions.parquet"]))
    report = demo_run.forge(make(table), "predictions.parquet")
    assert_refused(("table", what), report, field)
    assert not Path("owned").exists()


def test_a_bomb_is_not_unpacked(demo_run: Document) -> None:
    table = pq.read_table(io.BytesIO(demo_run.files["predictions.parquet"]))
    content = bomb(table)
    assert len(content) < 500_000  # and 2 GB or more as written out
    pool = pa.default_memory_pool()
    before = pool.max_memory()
    with pytest.raises(Refused):
        tables.read_predictions(content, Path("predictions.parquet"), task("mood"))
    assert pool.max_memory() - before < 100_000_000


def test_a_footer_says_what_the_library_reads_in_it() -> None:
    tried = 0
    for path in MINI.rglob("*.parquet"):
        theirs, ours = pq.ParquetFile(path).metadata, footer.read(path.read_bytes())
        assert (ours.rows, len(ours.groups)) == (theirs.num_rows, theirs.num_row_groups)
        for number, group in enumerate(ours.groups):
            columns = [theirs.row_group(number).column(i) for i in range(theirs.num_columns)]
            assert [(c.codec, c.values, c.unpacked_bytes) for c in group.chunks] == [
                (c.compression, c.num_values, c.total_uncompressed_size) for c in columns
            ]
            tried += 1
    assert tried >= len(COPIED)


def times(change: Callable[[dict[str, np.ndarray]], Any]) -> Callable[[dict[str, np.ndarray]], bytes]:
    def make(columns: dict[str, np.ndarray]) -> bytes:
        made = change(columns) or columns
        return tables.write_samples(made)

    return make


def keep(where: Callable[[dict[str, np.ndarray]], np.ndarray]) -> Callable[[dict[str, np.ndarray]], bytes]:
    return times(lambda c: {name: values[where(c)] for name, values in c.items()})


def a_hundred_times_faster(c: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**c, "nanoseconds": np.where(c["side"] == 1, c["nanoseconds"] // 100 + 1, c["nanoseconds"])}


BAD_TIMES: dict[str, tuple[Callable[[dict[str, np.ndarray]], bytes], str]] = {
    "no time at all": (times(lambda c: {**c, "nanoseconds": c["nanoseconds"] * 0}), "nanoseconds"),
    "one time of zero": (times(lambda c: c["nanoseconds"].__setitem__(3, 0)), "nanoseconds"),
    "a time below zero": (times(lambda c: c["nanoseconds"].__setitem__(3, -5)), "nanoseconds"),
    "no rows": (keep(lambda c: c["pair"] < 0), "nanoseconds"),
    "one pair": (keep(lambda c: c["pair"] == 0), "pair"),
    "five of six pairs": (keep(lambda c: c["pair"] < 5), "pair"),
    "one round": (keep(lambda c: c["block"] == 0), "block"),
    "one side": (keep(lambda c: c["side"] == 1), ""),
    "a third side": (times(lambda c: c["side"].__setitem__(0, 2)), ""),
    "a query out of the trace": (times(lambda c: {**c, "query": c["query"] + 256}), "query"),
    "a query below zero": (times(lambda c: {**c, "query": c["query"] - 1}), "query"),
    "two queries a round": (
        keep(lambda c: np.isin(c["query"] % 50, (0, 1))),
        "query",
    ),
    "a hundred times faster": (times(a_hundred_times_faster), "ratio.value"),
    "one query left out": (keep(lambda c: np.arange(len(c["pair"])) > 0), ""),
}


@pytest.mark.parametrize("what", BAD_TIMES)
def test_times_that_are_none(measurement: Document, what: str) -> None:
    make, field = BAD_TIMES[what]
    table = pq.read_table(io.BytesIO(measurement.files["samples.parquet"]))
    columns = {name: table.column(name).to_numpy().copy() for name in table.column_names}
    assert_refused(("times", what), measurement.forge(make(columns), "samples.parquet"), field)


def test_percentiles_need_their_count(measurement: Document) -> None:
    """A p99 that 300 queries cannot support is refused with the reason that follows."""
    honest = measurement.honest["latency_ms"]
    assert honest["p99"] is None
    document = changed(measurement.honest, ("latency_ms", "p99"), honest["p90"] * 1.5)
    document["latency_ms"]["p99_reason"] = None
    report = measurement.forge(document)
    assert_refused(("percentile", "p99"), report, "latency_ms.p99", "None")
    assert honest["p99_reason"] in told(report)


# --- folders and manifests ----------------------------------------------------------------------------------


def manifest(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        value = json.loads((folder / "manifest.json").read_text())
        value = change(value) or value
        (folder / "manifest.json").write_text(json.dumps(value))

    return apply


def swap_digests(value: dict[str, Any]) -> None:
    first, second = value["files"]
    value["files"][first], value["files"][second] = value["files"][second], value["files"][first]


def link_out(folder: Path) -> None:
    (folder / "run.json").unlink()
    (folder / "run.json").symlink_to("/etc/passwd")


FOLDERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a manifest of nothing": (manifest(lambda m: m["files"].clear()), "files"),
    "a manifest that lies": (
        manifest(lambda m: m["files"].update({"run.json": "sha256:" + "0" * 64})),
        "",
    ),
    "a manifest that swaps": (manifest(swap_digests), ""),
    "a manifest of more": (manifest(lambda m: m["files"].update({"x.json": "sha256:" + "0" * 64})), "files.x.json"),
    "a manifest that leads out": (
        manifest(lambda m: m["files"].update({"../../secret": "sha256:" + "0" * 64})),
        "files.../../secret",
    ),
    "a manifest of itself": (
        manifest(lambda m: m["files"].update({"manifest.json": "sha256:" + "0" * 64})),
        "files.manifest.json",
    ),
    "a manifest of another kind": (manifest(lambda m: m.update(schema="lightboard/manifest/2")), ""),
    "a manifest with a note": (manifest(lambda m: m.update(note="trust me")), ""),
    "a manifest that is a list": (manifest(lambda m: [m]), ""),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), ""),
    "no document": (lambda f: (f / "run.json").unlink(), "files.run.json"),
    "no table": (lambda f: (f / "predictions.parquet").unlink(), "files.predictions.parquet"),
    "a link out": (link_out, ""),
    "a folder for a file": (lambda f: (f / "sub").mkdir(), "name"),
    "a strange file": (lambda f: (f / "notes.txt").write_text("hello"), "name"),
    "a hidden file": (lambda f: (f / ".git").write_text("hello"), "name"),
    "a name in capitals": (lambda f: (f / "README").write_text("hello"), "name"),
    "a pipe": (lambda f: os.mkfifo(f / "pipe.json"), "name"),
}  # fmt: skip


@pytest.mark.parametrize("what", FOLDERS)
def test_folders_that_are_none(demo_run: Document, what: str) -> None:
    change, field = FOLDERS[what]
    change(demo_run.folder)
    try:
        assert_refused(("folder", what), verify(demo_run.folder.parent), field)
    finally:
        demo_run.restore()


@pytest.mark.parametrize("suffix", sorted(folders.EXECUTABLE_SUFFIXES))
def test_code_of_any_sort_is_refused_by_name(demo_run: Document, suffix: str) -> None:
    example.forge(demo_run.folder, f"x{suffix}", b"raise SystemExit('it was run')")
    try:
        assert_refused(("code", suffix), verify(demo_run.folder), "name")
    finally:
        demo_run.restore()


def test_a_linked_part_of_a_track_is_not_followed(mini: Path, tmp_path: Path) -> None:
    track = tmp_path / "results" / "mini"
    track.mkdir(parents=True)
    outside = tmp_path / "outside"
    shutil.copytree(mini, outside)
    for kind in ("runs", "measurements", "attestations"):
        (track / kind).symlink_to(outside / kind, target_is_directory=True)
    assert list(folders.documents(track, "runs")) == []
    assert stored.read_levels(track) == {}
    assert index.compute(track).entries == []
    report = verify(track)
    assert {Path(problem.file).name for problem in report.problems} == {
        "runs",
        "measurements",
        "attestations",
    }


def test_a_file_that_changes_while_it_is_read(demo_run: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read once, so what is judged is what was hashed; and a change during the reading is seen."""
    better = example.to_bytes({**demo_run.honest, "score": 99.0})
    opened: list[str] = []
    honest_open = os.open

    def swap(path: Any, flags: int, *more: Any) -> int:
        descriptor = honest_open(path, flags, *more)
        if str(path).startswith(str(demo_run.folder)) and str(path).endswith((".json", ".parquet")):
            opened.append(Path(path).name)
            if Path(path).name == "run.json":  # another file is put there as soon as this one is open
                other = demo_run.folder / "other"
                other.write_bytes(better)
                other.replace(demo_run.folder / "run.json")
        return descriptor

    monkeypatch.setattr(os, "open", swap)
    try:
        report = verify(demo_run.folder)
    finally:
        monkeypatch.undo()
        demo_run.restore()
    assert sorted(opened) == ["manifest.json", "predictions.parquet", "run.json"]
    assert report.ok, told(report)


def test_a_file_that_grows_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"{}" + b" " * 100)
    honest = os.fstat

    def grow(descriptor: int) -> os.stat_result:
        found = honest(descriptor)
        with path.open("ab") as stream:
            stream.write(b"more")
        return found

    monkeypatch.setattr(os, "fstat", grow)
    with pytest.raises(Refused, match="changes while it is read"):
        read_bytes(path)


# --- rescoring where the labels are at hand -----------------------------------------------------------------


def test_derived_fields_where_the_labels_are_known(demo_run: Document) -> None:
    assert forge_all_derived(Run, demo_run, set()) >= 40


def test_enough_forgeries_were_tried(request: pytest.FixtureRequest) -> None:
    """At least 300 distinct ones, counted over the tests above where all of them ran."""
    ran = {item.name.partition("[")[0] for item in request.session.items if item.path == request.path}
    if len(ran) < 20:
        pytest.skip("only a part of this module ran")
    print(len(FORGERIES), "forgeries")
    assert len(FORGERIES) >= 300


# --- fuzzing ------------------------------------------------------------------------------------------------

fuzz = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NOWHERE = Path("submitted.json")


def refused_or(read: Callable[[], Any]) -> Any:
    """The value, or None where it was refused in one printable line; anything else that is raised is a failure."""
    try:
        return read()
    except UserError as error:
        assert all(line.isprintable() for line in str(error).splitlines())
        return None


@settings(fuzz, max_examples=3000)
@given(st.binary(max_size=60))
def test_fuzz_bytes_as_json(content: bytes) -> None:
    refused_or(lambda: folders.parse_json(content, NOWHERE))


@settings(fuzz, max_examples=1500)
@given(JSON)
def test_fuzz_values_as_json(value: Any) -> None:
    content = json.dumps(value).encode()
    found = refused_or(lambda: folders.parse_json(content, NOWHERE))
    if found is not None:
        assert found == value or repr(found) == repr(value)


SMALL_DOCUMENTS: dict[type[Any], dict[str, Any]] = {
    Attestation: {
        "schema": "lightboard/attestation/1", "subject": "sha256:" + "0" * 64, "level": "retrained",
        "outcome": "passed", "by": "x", "date": "2026-01-31", "lightboard": "0.1.0",
        "evidence": {"score": 1.0, "interval": [0.0, 2.0], "seeds": ["sha256:" + "1" * 64]},
    },
    Manifest: {"schema": "lightboard/manifest/1", "files": {"run.json": "sha256:" + "0" * 64}},
}  # fmt: skip


@settings(fuzz, max_examples=1500)
@given(st.sampled_from(list(SMALL_DOCUMENTS)), st.integers(0, 99), JSON)
def test_fuzz_small_documents(model: type[Any], number: int, value: Any) -> None:
    document = SMALL_DOCUMENTS[model]
    everywhere = list(leaves(document)) + [(key,) for key in document]
    content = json.dumps(changed(document, everywhere[number % len(everywhere)], value)).encode()
    refused_or(lambda: index.parse(model, content, NOWHERE))


@settings(fuzz, max_examples=1500)
@given(st.binary(max_size=80), st.integers(0, 2**20))
def test_fuzz_model_files(content: bytes, length: int) -> None:
    refused_or(lambda: weights.header(content, NOWHERE))
    framed = len(content).to_bytes(8, "little") + content
    refused_or(lambda: weights.header(framed, NOWHERE))
    refused_or(lambda: weights.header(length.to_bytes(8, "little") + content, NOWHERE))


TENSOR = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "I8", "F64", "os"]) | JSON,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON,
        "data_offsets": st.lists(st.integers(-4, 40), min_size=2, max_size=2) | JSON,
    }
)


@settings(fuzz, max_examples=500)
@given(st.dictionaries(st.text(max_size=6), TENSOR, max_size=3), st.binary(max_size=40))
def test_fuzz_headers_of_model_files(header: dict[str, Any], tensors: bytes) -> None:
    text = json.dumps(header).encode()
    found = refused_or(lambda: weights.header(len(text).to_bytes(8, "little") + text + tensors, NOWHERE))
    if found is not None:
        sizes = [weights.TYPES["F32" if kind == "float32" else "I8"][1] for kind, _ in found.values()]
        total = sum(
            size * int(np.prod(shape)) for size, (_, shape) in zip(sizes, found.values(), strict=True)
        )
        assert total == len(tensors)


YAML = st.text(alphabet=string.ascii_lowercase[:6] + "0179:-[]{}&*!|>#'\"%@ \n\t,.~é\u202e\x00", max_size=60)


@settings(fuzz, max_examples=700)
@given(YAML)
def test_fuzz_recipes(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_text(text, encoding="utf-8")
    refused_or(lambda: loading.load_recipe(path))


SMALL_TABLE = tables.write_predictions(
    task("mood"),
    {
        "dev": tables.Split(
            np.arange(24, dtype=np.int32),
            np.random.default_rng(0).normal(size=(24, 2)).astype(np.float32),
            np.zeros(24),
        )
    },
)
SMALL_SAMPLES = tables.write_samples({name: np.ones(16, kind) for name, kind in tables.SAMPLE_TYPES.items()})
FLIPS = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=12)


@settings(fuzz, max_examples=1300)
@given(FLIPS, st.sampled_from(["predictions", "influence", "samples"]), st.integers(0, 3))
def test_fuzz_tables(flips: list[tuple[int, int]], kind: str, cut: int) -> None:
    content = bytearray(SMALL_SAMPLES if kind == "samples" else SMALL_TABLE)
    for place, value in flips:
        content[place % len(content)] = value
    damaged = bytes(content[: len(content) - (0 if cut else flips[0][0] % len(content))])
    if kind == "samples":
        refused_or(lambda: tables.read_samples(damaged, NOWHERE))
    elif kind == "influence":
        refused_or(lambda: tables.read_influence(damaged, NOWHERE, task("mood")))
    else:
        refused_or(lambda: tables.read_predictions(damaged, NOWHERE, task("mood")))


@pytest.mark.slow
@settings(fuzz, max_examples=1500)
@given(st.integers(0, 2**16), JSON, st.sampled_from(["run", "measurement", "entry"]))
def test_fuzz_documents(number: int, value: Any, kind: str) -> None:
    model, document, everywhere = _documents()[kind]
    content = json.dumps(changed(document, everywhere[number % len(everywhere)], value)).encode()
    refused_or(lambda: index.parse(model, content, NOWHERE))


def _documents() -> dict[str, tuple[type[Any], dict[str, Any], list[tuple[str | int, ...]]]]:
    if not _KEPT:
        row = next(row for row in example.ROWS if row.recipe == "student")
        entry = next((MINI / "entries").glob("*/default.json"))
        for kind, model, content in (
            ("run", Run, example.run_files(row, "mood", 11)["run.json"]),
            ("measurement", Measurement, example.measurement_files(row)["measurement.json"]),
            ("entry", Entry, entry.read_bytes()),
        ):
            document = json.loads(content)
            _KEPT[kind] = (model, document, list(leaves(document)))
    return _KEPT


_KEPT: dict[str, Any] = {}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_fuzz_whole_folders(demo_run: Document, seed: int) -> None:
    """Any value anywhere, the manifest rewritten: a report comes back, and no check is stopped."""
    values = random.Random(seed)
    pool: tuple[Any, ...] = (
        None,
        True,
        -1,
        2**53 + 1,
        1e308,
        "",
        "x" * 3000,
        [],
        {},
        [[]],
        ["n"],
        {"0": 0},
        "\u202e",
    )
    everywhere = list(leaves(demo_run.honest))
    for _ in range(150):
        document = changed(demo_run.honest, values.choice(everywhere), values.choice(pool))
        report = demo_run.forge(document)
        assert all(str(problem).isprintable() for problem in report.problems)
        assert "that stops the check" not in told(report)


def test_shapes_are_refused_by_the_loaders_too(tmp_path: Path) -> None:
    for content in BAD_JSON.values():
        (tmp_path / "run.json").write_bytes(content)
        loaded, found = valid.load_run(tmp_path)
        assert loaded is None and found
