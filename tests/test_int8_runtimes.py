"""8 bits in ONNX Runtime: which models it holds, how near it stays, and scores of its own that cannot be made up."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import example_results as example
import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from test_latency import profile, word_tokenizer
from tiny import saved

from suite import models, tables
from suite.board.entries.speed import speeds
from suite.board.entry_rows import view_cells
from suite.board.site import Links, load_site
from suite.board.text import fixed
from suite.canonical import digest, digest_file
from suite.data.encode import Encoded
from suite.documents import Measurement
from suite.errors import UserError
from suite.export import tables_of
from suite.index import compute, index
from suite.measure import accuracy
from suite.measure import run as measuring
from suite.measure.answers import Ready, as_scored, in_batches, prepared, scores
from suite.measure.subject import Examples, ModelFolder, Subject
from suite.measure.trace import queries
from suite.measure.worker import split
from suite.models import int8
from suite.modifiers.int8_static import activation_ranges
from suite.runtimes import _int8, exported, runtime
from suite.scoring import score
from suite.stored import same_shape
from suite.tasks import task
from suite.training.feeds import Batch
from suite.verify import verify
from suite.verify.recounted import Graph, scored_where_answers_are_its_own

BERT = {"vocab": 1200, "hidden": 32, "layers": 2, "heads": 2, "ffn": 64, "positions": 40, "types": 2,
        "layer_norm_eps": 1e-12, "outputs": 3}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {"architecture": "bert", **BERT},
    "distilbert": {"architecture": "distilbert", **BERT},
    "slim": {"architecture": "slim", **BERT, "head_width": 16, "layer_heads": [2, 1], "layer_ffn": [64, 30]},
    "mobilebert": {"architecture": "mobilebert", **BERT, "inner": 16, "ffn": 32, "feedforwards": 2, "embedding": 8,
                   "attends": "shared", "norm": "nonorm", "activation": "relu", "pooler": False},
}  # fmt: skip
NAMES = ("onnx_int8_dynamic", "onnx_int8_static")
SLOW = {"distilbert", "slim", "mobilebert"}
SATURATES = _int8.saturates()
exact = pytest.mark.skipif(SATURATES, reason="this processor has no VNNI: sums of 8-bit products saturate")


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOARD_STORE", str(tmp_path_factory.mktemp("store")))
        yield


def questions(count, seed):
    """So many single examples of 3 to 39 tokens."""
    random = np.random.default_rng(seed)
    found = []
    for length in random.integers(3, 40, count):
        ids = random.integers(1000, 1200, (1, length))
        found.append((ids, np.ones_like(ids), (np.arange(length) > length // 2).astype(np.int64)[None]))
    return found


CALIBRATION = questions(32, 1)
ASKED = questions(60, 2)


def answers(name, file):
    run = runtime(name).prepare(file, 1)
    return np.concatenate([run(*query) for query in ASKED])


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    saved(folder, CONFIGS["bert"])
    return folder


# --- what it holds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "architecture", [pytest.param(a, marks=[pytest.mark.slow] if a in SLOW else []) for a in CONFIGS]
)
def test_answers_stay_near_the_models_and_weights_are_in_8_bits(name, architecture, tmp_path):
    saved(tmp_path / "model", CONFIGS[architecture])
    file = exported(name, tmp_path / "model", CALIBRATION)
    mine, full = answers(name, file), answers("torch", tmp_path / "model" / "model.safetensors")
    assert mine.dtype == np.float32
    assert 1e-6 < np.abs(mine - full).mean() < (0.5 if SATURATES else 0.1) * full.std()
    graph = onnx.load(file).graph
    whole = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    floats = [n for n, w in whole.items() if w.ndim == 2 and w.dtype == np.float32 and w.shape[1] > 1]
    assert not floats
    assert sum(w.size for w in whole.values() if w.dtype == np.int8) > 0.85 * sum(
        w.size for w in whole.values()
    )
    # Lines of our source, with this machine's paths, are not shipped.
    assert not any(node.metadata_props for node in graph.node)
    assert str(Path(measuring.__file__).parents[2]).encode() not in file.read_bytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("config", [{"architecture": "ngram", "buckets": 64, "outputs": 2},
                                    {"architecture": "constant", "outputs": 2}])  # fmt: skip
def test_a_model_without_linear_layers_is_refused(name, config, tmp_path):
    saved(tmp_path / "model", config)
    with pytest.raises(UserError, match="nothing to gain from 8 bits"):
        exported(name, tmp_path / "model", CALIBRATION)


def test_a_runtime_that_calibrates_says_so(bert):
    with pytest.raises(UserError, match="onnx_int8_static: it is calibrated on training examples"):
        exported("onnx_int8_static", bert)


def test_other_calibration_makes_another_file(bert, monkeypatch):
    made = []
    module = runtime("onnx_int8_static")
    monkeypatch.setattr(module, "export", lambda folder, out, examples: _touch(out, made, examples))
    files = {exported("onnx_int8_static", bert, questions(2, seed)) for seed in (7, 8, 7)}
    assert len(files) == len(made) == 2


def _touch(out, made, examples):
    made.append(examples)
    (out / "model.onnx").write_bytes(b"")
    return out / "model.onnx"


# --- the modifiers are the same thing in float32 ------------------------------------------------------------


@exact
def test_a_model_of_the_dynamic_modifier_gives_its_own_answers(bert, tmp_path):
    converted = int8.quantise(models.load(bert), CONFIGS["bert"], embeddings=True)
    models.save(*converted, tmp_path / "modified")
    own = answers("torch", tmp_path / "modified" / "model.safetensors")
    mine = answers("onnx_int8_dynamic", exported("onnx_int8_dynamic", tmp_path / "modified"))
    apart = np.abs(mine - own).max(1) / own.std()
    # Where no value falls on a rounding's edge they are equal; where one does, a whole step lies between them.
    assert np.quantile(apart, 0.9) < 1e-4
    assert apart.max() < 0.05
    assert np.abs(own - answers("torch", bert / "model.safetensors")).mean() / own.std() > 1e-3


@exact
def test_a_model_of_the_static_modifier_is_as_near_its_own_answers_as_to_full_precision(bert, tmp_path):
    """Ranges measured anew are other grids, and so another rounding of the same size."""
    base = models.load(bert)
    batches = [Batch(*(torch.from_numpy(part) for part in one), torch.zeros(1), {}) for one in CALIBRATION]
    ranges = activation_ranges(base, batches, 100)
    models.save(*int8.quantise(base, CONFIGS["bert"], embeddings=True, ranges=ranges), tmp_path / "modified")
    own = answers("torch", tmp_path / "modified" / "model.safetensors")
    mine = answers("onnx_int8_static", exported("onnx_int8_static", tmp_path / "modified", CALIBRATION))
    apart = np.abs(mine - own).max(1) / own.std()
    rounding = np.abs(own - answers("torch", bert / "model.safetensors")).max(1) / own.std()
    assert np.median(apart) < 1.5 * np.median(rounding)
    assert apart.max() < 0.1


# --- its own scores -----------------------------------------------------------------------------------------


def encoded(count, seed):
    random = np.random.default_rng(seed)
    ragged = questions(count, seed)
    offsets = np.cumsum([0, *(q[0].shape[1] for q in ragged)])
    return Encoded(
        ids=np.concatenate([q[0][0] for q in ragged]).astype(np.int32),
        types=np.concatenate([q[2][0] for q in ragged]).astype(np.int8),
        offsets=offsets.astype(np.int64),
        labels=random.integers(0, 2, count),
        rows=random.permutation(count).astype(np.int32),
    )


def labelled():
    training = accuracy.calibration(encoded(90, 3), 11)
    return accuracy.Labelled(11, training, {"dev": encoded(40, 4)}, {"dev": digest("rows")})


def test_every_dev_example_is_asked_alone_and_scored(tmp_path):
    given = labelled()
    asked = []

    def run(ids, mask, types):
        assert len(ids) == 1 and mask.all()
        asked.append(ids.shape[1])
        return np.array([[float(ids.sum() % 7), float(types.sum() % 5)]], np.float32)

    found = accuracy.scored(run, digest("file"), "sst2", given)
    dev = given.dev["dev"]
    assert asked == dev.lengths.tolist()
    right = (found.logits.argmax(1) == dev.labels).mean()
    assert found.accuracy.score == pytest.approx(100 * right)
    table = tables.read_predictions(found.table, tmp_path / "t", task("sst2"))["dev"]
    assert table.row.tolist() == list(range(40))
    np.testing.assert_array_equal(table.scores, found.logits[np.argsort(dev.rows)])


def test_calibration_is_the_same_each_time_and_never_of_dev():
    one, again = accuracy.calibration(encoded(90, 3), 11), accuracy.calibration(encoded(90, 3), 11)
    assert len(one) == accuracy.EXAMPLES
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(one, again, strict=True))


def test_timed_answers_are_held_against_the_scored_ones(bert):
    given = labelled()
    trained = ModelFolder("sst2", bert, np.zeros((40, 3), np.float32), given)
    dev = given.dev["dev"]
    asked = queries([Examples("sst2", dev.ids, dev.types, dev.offsets, [("",)] * 40)], 16)
    ready = prepared(trained, "onnx_int8_static", asked, 1)
    run = runtime("onnx_int8_static").prepare(ready.file, 1)
    logits = np.concatenate([run(*query) for query in split(dev.ids, dev.types, dev.offsets)])
    told = accuracy.Scored(
        accuracy.Accuracy.model_construct(task="sst2", model_file=digest_file(ready.file)), b"", logits
    )
    held = as_scored(ready, "onnx_int8_static", asked, [told])
    for query, (_, row) in enumerate(asked.origin):
        np.testing.assert_array_equal(held.logits[query], logits[row])
    with pytest.raises(UserError, match="its scores would say nothing of the answers that are timed"):
        as_scored(ready, "onnx_int8_static", asked, [replace(told, logits=logits + 1)])


def test_what_breaks_beyond_the_first_models_answers_is_one_line(bert, tmp_path, monkeypatch):
    """The other tasks' models, and batches: then this runtime's cell says why, and other runtimes go on."""
    trained = ModelFolder("sst2", bert, np.zeros((40, 3), np.float32), labelled())
    other = replace(trained, task="mrpc", folder=tmp_path)  # no model at all: whatever an exporter raises
    subject = Subject("mini", "student", digest("recipe"), "default", None, trained, trained, (), tmp_path,
                      others=(other,))  # fmt: skip
    monkeypatch.setattr(accuracy, "scored", lambda *_: None)
    with pytest.raises(UserError, match=r"cannot answer mrpc's dev sets: FileNotFoundError: .*") as caught:
        scores(subject, RUNTIME, 1, lambda _: None)
    assert "\n" not in str(caught.value)
    dev = trained.labelled.dev["dev"]
    asked = queries([Examples("sst2", dev.ids, dev.types, dev.offsets, [("",)] * 40)], 16)
    with pytest.raises(UserError, match="onnx_int8_dynamic: cannot answer in batches of 8: "):
        in_batches(trained, Ready(tmp_path / "absent.onnx", np.zeros((16, 3)), 1e-4), RUNTIME, asked, 8, 1)


@pytest.mark.parametrize(
    ("runtime_name", "precision"), [("onnx_int8_dynamic", "int8"), ("onnx", "fp32")], ids=["runtime", "model"]
)
def test_answers_of_its_own_are_scored_on_every_task_with_that_tasks_weights(
    runtime_name, precision, tmp_path
):
    """From models to a folder whose every part holds together; the trace is of both tasks. 8 bits are the runtime's, or
    the model's own: it rounds inside, and otherwise in every runtime."""
    trained, parts = {}, []
    for place_, name in enumerate(("sst2", "mrpc")):
        config = {**CONFIGS["bert"], "outputs": 2, "positions": 128}
        saved(tmp_path / name, config, place_)
        if precision == "fp32":
            models.save(
                *int8.quantise(models.load(tmp_path / name), config, embeddings=True), tmp_path / name
            )
        dev = encoded(40, 5 + place_)
        run = runtime("torch").prepare(tmp_path / name / "model.safetensors", 1)
        logits = np.concatenate([run(*query) for query in split(dev.ids, dev.types, dev.offsets)])
        given = accuracy.Labelled(11, (), {"dev": dev}, {"dev": digest(name)})
        trained[name] = ModelFolder(name, tmp_path / name, logits, given)
        texts = [("w7 w8",)] * len(dev)
        parts.append(Examples(name, dev.ids, dev.types, dev.offsets, texts))
    subject = Subject(
        track="mini", recipe="student", recipe_hash=digest("recipe"), variant="default", task=None,
        entry=trained["sst2"], reference=trained["sst2"], examples=tuple(parts),
        tokenizer=word_tokenizer(tmp_path / "tokenizer"), others=(trained["mrpc"],),
    )  # fmt: skip
    made = measuring.compare(subject, runtime_name, profile(pairs=2), tmp_path / "results", count=16)
    assert len(made) == (
        2 if precision == "int8" else 1
    )  # against the reference; in 8 bits also against it so
    documents = [Measurement.model_validate(example.read(folder, "measurement.json")) for folder in made]
    first, *alone = sorted(documents, key=lambda m: m.against == "alone")
    assert first.precision == precision and first.machine.flags
    assert [one.task for one in first.accuracy] == ["sst2", "mrpc"] and not any(one.accuracy for one in alone)
    assert first.accuracy[0].model_file == first.model_file != first.accuracy[1].model_file
    assert all(one.answers.equal for one in (first, *alone))
    for one in first.accuracy:
        dev = trained[one.task].labelled.dev["dev"]
        file = exported(runtime_name, tmp_path / one.task)
        run = runtime(runtime_name).prepare(file, 1)
        answers_ = np.concatenate([run(*query) for query in split(dev.ids, dev.types, dev.offsets)])
        assert one.metrics["accuracy"] == pytest.approx((answers_.argmax(1) == dev.labels).mean())
    found = [p for folder in made for p in verify(folder).problems]
    about = {p.field for p in found}
    # Made up here: rows that are not the track's. Nothing else is wrong with either.
    assert about <= {
        f"accuracy of {t}: dev.dev.{f}" for t in ("sst2", "mrpc") for f in ("rows", "fingerprint")
    }


# --- a results tree -----------------------------------------------------------------------------------------

STUDENT = next(row for row in example.ROWS if row.recipe == "student")
SMALL = tuple(row for row in example.ROWS if row.recipe in ("reference", "majority", "student"))
RUNTIME = "onnx_int8_dynamic"


def lower(row, names=example.TASKS, **changes):
    """A measurement in 8 bits with scores of answers that are near the run's own."""
    files = example.measurement_files(row, RUNTIME)
    document = {**example.json.loads(files["measurement.json"]), "precision": "int8", **changes}
    document["accuracy"] = []
    for name in names:
        about, gold = task(name), example.gold_of(name)
        noise = np.random.default_rng(example.seed_of(name))
        logits = {
            s: (x + noise.normal(0, 0.5, x.shape)).astype(np.float32)
            for s, x in example.predictions_of(row, about, 11, gold).items()
        }
        found = score(about, logits, {s: g.labels for s, g in gold.items()})
        document["accuracy"].append({
            "task": name, "seed": 11, "model_file": document["model_file"],
            "dev": {s: {"rows": len(g.labels), "fingerprint": g.fingerprint} for s, g in gold.items()},
            "metrics": found.metrics, "score": found.score, "score_sd": found.sd,
            "calibration": found.calibration, "diverged": found.diverged,
        })  # fmt: skip
        parts = {
            s: tables.Split(np.arange(len(g.labels), dtype=np.int32), logits[s], found.influence[s])
            for s, g in gold.items()
        }
        files[f"predictions-{name}.parquet"] = tables.write_predictions(about, parts)
    return {**files, "measurement.json": example.to_bytes(document)}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    results = example.build(tmp_path_factory.mktemp("int8"), SMALL)
    example.write(place(results), lower(STUDENT))
    index(results)
    return results


@pytest.fixture
def results(pristine, tmp_path):
    return Path(shutil.copytree(pristine, tmp_path / "results"))


def place(results):
    name = f"example-{RUNTIME}-reference-{example.DATE}"
    return results / example.TRACK / "measurements" / "student" / "default" / name


def entry_of(results, recipe="student"):
    return next(e for e in compute(results / example.TRACK).entries if e.recipe == recipe)


def test_an_entry_shows_the_lower_precisions_score_beside_its_own(results):
    assert verify(results).problems == []
    checked = {d.file: d for d in verify(results).documents}
    assert checked[str(place(results))].outcomes["rescored"] == "passed"
    entry = entry_of(results)
    (line,) = [line for line in entry.speed if line.precision == "int8"]
    assert set(line.scores) == set(example.TASKS)
    assert all(not other.scores for other in entry.speed if other is not line)
    for name, own in line.scores.items():
        folder = results / example.TRACK / "runs" / "student" / "default" / f"{name}-11"
        full = example.read(folder, "run.json")
        assert own.full_precision == full["score"]
        assert own.change.value == pytest.approx(own.score - full["score"])
        # Accuracy: n1 examples were lost and n2 won; the paired variance is that of their difference.
        gold = example.gold_of(name)["dev"].labels
        sides = []
        for where, file in ((folder, "predictions.parquet"), (place(results), f"predictions-{name}.parquet")):
            content = (where / file).read_bytes()
            sides.append(
                tables.read_predictions(content, where / file, task(name))["dev"].scores.argmax(1) == gold
            )
        change = sides[1].astype(float) - sides[0].astype(float)
        half = 1.959964 * 100 * change.std(ddof=1) / np.sqrt(len(gold))
        assert half > 0
        low, high = own.change.interval
        assert (high - low) / 2 == pytest.approx(half, rel=1e-3)
    exported_rows = tables_of([entry])["precisions"]
    assert dict(zip(exported_rows.task, exported_rows.change_points, strict=True)) == {
        name: own.change.value for name, own in line.scores.items()
    }


def test_nobody_inherits_times_of_a_lower_precision(tmp_path):
    """Another recipe of the same graph has other weights, and so other answers in 8 bits."""
    twin = replace(STUDENT, recipe="twin", skill=0.7)
    results = example.build(tmp_path / "results", (*SMALL, twin))
    example.write(place(results), lower(STUDENT))
    assert {line.precision for line in entry_of(results).speed} == {"fp32", "int8"}
    assert {line.precision for line in entry_of(results, "twin").speed} == {"fp32"}


FORGED = {
    "accuracy of mood: score": lambda d: d["accuracy"][0].update(score=d["accuracy"][0]["score"] + 1),
    "accuracy of mood: metrics.accuracy": lambda d: d["accuracy"][0]["metrics"].update(accuracy=0.99),
    "accuracy of same: score_sd": lambda d: d["accuracy"][1].update(score_sd=0.5),
    "accuracy of same: calibration.ece": lambda d: d["accuracy"][1]["calibration"].update(ece=0.001),
    "accuracy of same: diverged": lambda d: d["accuracy"][1].update(diverged=True),
    "accuracy of mood: dev.dev.fingerprint": lambda d: d["accuracy"][0]["dev"]["dev"].update(
        fingerprint=digest("others")
    ),
}


@pytest.mark.parametrize("field", FORGED)
def test_a_made_up_score_is_refused_by_name(results, field):
    document = example.read(place(results), "measurement.json")
    right = example.json.loads(example.json.dumps(document))
    FORGED[field](document)
    example.forge(place(results), "measurement.json", document)
    report = verify(place(results))
    found = [problem for problem in report.problems if problem.field == field]
    assert found and found[0].file.endswith("measurement.json")
    if field == "accuracy of mood: score":
        assert found[0].expected == repr(right["accuracy"][0]["score"])
    (checked,) = report.documents
    assert checked.outcomes["rescored"] == "failed"


def test_predictions_of_full_precision_are_not_the_lower_ones(results):
    own = results / example.TRACK / "runs" / "student" / "default" / "mood-11"
    run = example.read(own, "run.json")
    document = example.read(place(results), "measurement.json")
    for name in ("metrics", "score", "score_sd", "calibration", "diverged"):
        document["accuracy"][0][name] = run[name]
    example.forge(place(results), "measurement.json", document)
    example.forge(place(results), "predictions-mood.parquet", (own / "predictions.parquet").read_bytes())
    report = verify(results / example.TRACK)
    (problem,) = [p for p in report.problems if "predictions-mood" in p.file]
    assert problem.field == "scores" and "runs/student/default/mood-11" in problem.found


def test_a_lower_precision_without_scores_is_refused(results):
    document = example.read(place(results), "measurement.json")
    del document["accuracy"]
    example.forge(place(results), "measurement.json", document)
    problems = verify(place(results)).problems
    assert ("accuracy", "nothing") in [(p.field, p.found) for p in problems]
    assert sum("predictions of no score" in p.found for p in problems) == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"precision": "fp32"}, "accuracy"), ({"inputs": "lengths"}, "accuracy"), ({"task": "same"}, "accuracy"),
     ({"model_file": digest("another")}, "model_file")],
)  # fmt: skip
def test_scores_belong_to_what_was_timed(results, changes, field):
    document = {**example.read(place(results), "measurement.json"), **changes}
    example.forge(place(results), "measurement.json", document)
    assert field in [problem.field for problem in verify(place(results)).problems]


def test_broken_or_absent_predictions_are_named(results):
    example.forge(place(results), "predictions-mood.parquet", b"PAR1 no parquet PAR1")
    (place(results) / "predictions-same.parquet").unlink()
    said = "\n".join(str(problem) for problem in verify(place(results)).problems)
    assert "predictions-mood.parquet" in said and "add predictions-same.parquet" in said
    assert compute(results / example.TRACK).unreadable


def test_the_board_says_what_a_lower_precision_scores(results):
    """An 8-bit time never stands beside a score that is not its own without a word."""
    site = load_site(compute(results / example.TRACK).entries, results)
    entry = entry_of(results)
    (view,) = [view for view in site.views(example.TRACK) if view.runtime == RUNTIME]
    (line,) = [line for line in entry.speed if line.precision == "int8"]
    shown = site.speed(entry, view)
    score = sum(own.score for own in line.scores.values()) / 2
    change = sum(own.change.value for own in line.scores.values()) / 2
    _, *cells = view_cells(entry, shown, Links("index.html"))
    words = fixed(score, 1), fixed(change, 1)
    assert any(f"int8 scores {words[0]} ({words[1]})" in str(cell) for cell in cells)
    notes = " ".join(speeds(site, entry, Links("index.html")).notes)
    for own in line.scores.values():
        assert fixed(own.score, 1) in notes and fixed(own.change.value, 1) in notes
    partly = lower(STUDENT, ("mood",))
    shutil.rmtree(place(results))
    example.write(place(results), partly)
    shown = site.speed(entry_of(results), view)
    assert shown.own is None
    assert any("int8 not scored" in str(cell) for cell in view_cells(entry, shown, Links("index.html")))


def test_models_that_differ_in_their_last_layer_alone_have_one_shape_also_inside_an_int8_model():
    def inside(outputs, hidden=32):
        base = {"architecture": "bert", "hidden": hidden, "outputs": outputs}
        return {"architecture": "int8", "base": base, "activations": "dynamic"}

    assert same_shape([inside(2), inside(1)])
    assert not same_shape([inside(2), inside(2, hidden=64)])


@pytest.mark.parametrize(("rounds", "scored"), [(True, True), (True, False), (False, True), (False, False)])
def test_in_float32_models_that_round_are_scored_and_no_others(pristine, rounds, scored):
    document = {**example.read(place(pristine), "measurement.json"), "precision": "fp32"}
    if not scored:
        del document["accuracy"]
    m = Measurement.model_validate(document)
    graphs = {m.graph: Graph((0, 0, 0), frozenset(), rounds=rounds)}
    found = list(scored_where_answers_are_its_own(SimpleNamespace(file="m", measurement=m), graphs))
    assert [p.field for p in found] == ([] if rounds == scored else ["accuracy"])


def test_a_model_that_rounds_inside_shows_its_fastest_runtime_of_any_precision(results):
    """Its scores are its own in float32 too, so there is no full precision that a time would have to be of."""
    site = load_site(compute(results / example.TRACK).entries, results)
    entry = entry_of(results)
    view = next(view for view in site.views(example.TRACK) if view.runtime is None)
    plain = site.speed(entry, view)
    assert plain.precision == "fp32" and plain.own is None
    (lower,) = [line for line in entry.speed if line.precision == "int8"]
    faster = lower.model_copy(update={"ratio": lower.ratio.model_copy(update={"value": 99.0})})
    rounding = lower.model_copy(update={"precision": "fp32", "runtime": "onnx"})
    shown = load_site([entry], results).speed(entry.model_copy(update={"speed": (rounding, faster)}), view)
    assert (shown.precision, shown.ratio.value) == ("int8", 99.0) and shown.own is not None
