"""replay and retrain: the shipped weights give the predictions, and seeds nobody chose give the score."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import example_results as example
import numpy as np
import pytest
from scipy import stats
from test_cli import call

from suite import tables
from suite.documents import Attestation, CheckEvidence, Run
from suite.errors import UserError
from suite.folder import Refused, subject
from suite.index import index
from suite.pipeline.run import model_folder, run
from suite.pipeline.store import Store
from suite.protocol import TRACKS, Track
from suite.scoring import score
from suite.statistics import Evidence, SeedSpread, pooled_seed_sd, pooled_with, prediction_interval
from suite.stored import read_levels
from suite.tasks import task
from suite.verify import replayed, retrained, verify, weights, write_attestation
from suite.verify.copies import sketch_of
from suite.verify.settings import resolved_of

KEY = "correct horse battery staple, and forty two more"


# --- the interval for a new seed ----------------------------------------------------------------------------


def evidence(scores: list[float], diverged: tuple[bool, ...] = ()) -> Evidence:
    random = np.random.default_rng(len(scores))
    return Evidence(tuple(scores), tuple(random.normal(0, 0.01, 8) for _ in scores), diverged)


@pytest.mark.parametrize(("own", "others", "new"), [(1, 4, 1), (3, 5, 1), (2, 1, 3), (5, 0, 2)])
def test_the_interval_holds_a_new_seed_95_times_in_100(own: int, others: int, new: int) -> None:
    """Simulated: recipes of differing means share one seed deviation; the next seeds are drawn like the others."""
    random = np.random.default_rng(own * 100 + others * 10 + new)
    rounds, inside = 4000, 0
    for _ in range(rounds):
        pool = {str(i): evidence(list(random.normal(60 + i, 1.3, 3))) for i in range(others)}
        mine = evidence(list(random.normal(75, 1.3, own)))
        interval = prediction_interval(mine, pooled_seed_sd({**pool, "mine": mine}), new)
        assert interval is not None
        inside += interval[0] <= random.normal(75, 1.3, new).mean() <= interval[1]
    assert abs(inside / rounds - 0.95) < 3.5 * np.sqrt(0.95 * 0.05 / rounds)


def test_the_verifiers_own_seeds_can_be_all_that_is_known_of_the_deviation() -> None:
    random = np.random.default_rng(5)
    inside = 0
    for _ in range(4000):
        new = list(random.normal(75, 1.3, 3))
        spread = pooled_with(SeedSpread(None, 0), new)
        interval = prediction_interval(evidence([float(random.normal(75, 1.3))]), spread, 3)
        assert interval is not None
        inside += interval[0] <= np.mean(new) <= interval[1]
    assert abs(inside / 4000 - 0.95) < 0.0121


def test_the_interval_by_hand() -> None:
    # mean 80, s = 2 on 4 degrees: t = 2.7764; sqrt(1/2 + 1) = 1.2247; half = 6.80087
    found = prediction_interval(evidence([79.0, 81.0]), SeedSpread(2.0, 4))
    assert found == pytest.approx((80 - 6.80087, 80 + 6.80087), abs=1e-4)
    assert prediction_interval(evidence([80.0]), SeedSpread(None, 0)) is None
    pooled = pooled_with(SeedSpread(2.0, 4), [1.0, 3.0, 5.0])  # (4 * 4 + 8) / 6
    assert (pooled.sd, pooled.degrees) == (2.0, 6)
    same = Evidence((50.0, 50.0), (np.ones(3), np.ones(3)))
    low, high = prediction_interval(same, SeedSpread(2.0, 4)) or (0, 0)
    assert low < 50 < high < 50.01  # the seed plays no part: it must give its score again
    wild = prediction_interval(evidence([80.0, 20.0], (False, True)), SeedSpread(1.0, 9))
    assert wild is not None and wild == (-100.0, 100.0)  # of two runs one diverged: anything may come


# --- seeds --------------------------------------------------------------------------------------------------


def test_seeds_follow_from_entry_and_key_and_are_in_no_fixed_list(monkeypatch: pytest.MonkeyPatch) -> None:
    key, entry = b"k" * 8 + bytes(range(24)), "sha256:" + "0" * 64
    seeds = {retrained.seed_of(key, entry, "cola", number)[0] for number in range(500)}
    assert len(seeds) == 500 and all(0 <= seed < 2**31 for seed in seeds)
    assert np.mean([seed / 2**31 for seed in seeds]) == pytest.approx(0.5, abs=0.06)
    first, commitment = retrained.seed_of(key, entry, "cola", 0)
    assert retrained.seed_of(key, entry, "cola", 0) == (first, commitment)
    others = [(key[::-1], entry, "cola", 0), (key, entry[:-1] + "1", "cola", 0), (key, entry, "mrpc", 0)]
    assert first not in {retrained.seed_of(*other)[0] for other in others}
    fixed = replace(TRACKS["demo"], seeds=(first,))
    monkeypatch.setitem(TRACKS, "demo", fixed)
    assert retrained.seed_of(key, entry, "cola", 0)[0] != first


def test_a_key_is_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for content in ("", "short", "a" * 64):
        path.write_text(content)
        with pytest.raises(UserError, match="expected at least 16 random"):
            retrained.read_key(path)
    path.write_text(KEY + "\n")
    assert retrained.read_key(path) == KEY.encode()
    assert KEY not in retrained.key_digest(KEY.encode())
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(Refused):
        retrained.read_key(tmp_path / "link")


# --- a trained model ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One trained run of the reference on the tiny track, its entry and its model folder."""
    import tiny

    patch = pytest.MonkeyPatch()
    try:
        patch.setitem(TRACKS, "demo", TRACKS["demo"])
        for name in ("LIGHTBOARD_TEACHER", "LIGHTBOARD_STORE"):
            patch.setenv(name, "")
        tiny.use(tiny_folder)
        results = tmp_path_factory.mktemp("results")
        data = f"folder:{tiny_folder}/glue"
        (folder,) = run("reference", track="demo", data=data, results=results, workers=1)
        index(results)
        model = model_folder("reference", track="demo", task="sst2", data=data)
        shipped = tmp_path_factory.mktemp("shipped") / "model"
        shipped.mkdir()
        for name in (weights.CONFIG, weights.TENSORS):
            shutil.copy(model / name, shipped / name)
        return {"results": results, "run": folder, "model": shipped}
    finally:
        patch.undo()


@pytest.fixture
def trained(made: dict[str, Path], tiny_track: Track, tiny_folder: Path, tmp_path: Path) -> dict[str, Any]:
    """The same in a folder of this test's own."""
    results = shutil.copytree(made["results"], tmp_path / "results")
    return {
        "results": results,
        "run": results / made["run"].relative_to(made["results"]),
        "entry": results / "demo" / "entries" / "reference" / "default.json",
        "model": shutil.copytree(made["model"], tmp_path / "model"),
        "data": f"folder:{tiny_folder}/glue",
    }


def test_the_shipped_weights_give_the_predictions(trained: dict[str, Any]) -> None:
    found = replayed.replay(trained["run"], trained["model"], data=trained["data"], by="a test")
    assert found.passed, found.problems
    assert found.largest_difference is not None and found.tolerance is not None
    assert 0 <= found.largest_difference <= found.tolerance
    assert found.attestation is not None
    said = Attestation.model_validate_json(found.attestation.read_bytes())
    assert (said.level, said.outcome, said.by) == ("replayed", "passed", "a test")
    assert said.evidence is not None
    assert said.evidence.weights == weights.read(trained["model"]).digest
    assert read_levels(trained["results"] / "demo") == {subject(trained["run"]): "replayed"}
    (entry,) = index(trained["results"])
    assert entry.level == "replayed"
    report = verify(trained["results"], data=trained["data"])
    assert report.ok, report.problems


def test_other_weights_of_the_same_shape_are_found_out(trained: dict[str, Any]) -> None:
    from safetensors.torch import load_file, save_file

    path = trained["model"] / weights.TENSORS
    tensors = load_file(path)
    tensors["classifier.weight"][0, 0] += 0.5
    save_file(tensors, path, metadata={"format": "pt"})
    found = replayed.replay(trained["run"], trained["model"], data=trained["data"])
    assert [problem.field for problem in found.problems] == ["sha256"] and found.attestation is None
    # A run that does not say which file it was scored with is held to its scores.
    document = example.read(trained["run"], "run.json")
    del document["weights"]
    example.forge(trained["run"], "run.json", document)
    found = replayed.replay(trained["run"], trained["model"], data=trained["data"])
    assert any(problem.field.startswith("scores of dev, row ") for problem in found.problems)
    assert found.attestation is not None and json.loads(found.attestation.read_text())["outcome"] == "failed"
    (entry,) = index(trained["results"])
    assert entry.level == "valid"


def test_replay_by_command(trained: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    words = ("replay", str(trained["run"]), "--weights", str(trained["model"]), "--data", trained["data"])
    code, out, err = call(capsys, *words)
    assert code == 0 and "replayed: the scores differ by at most" in out, err
    (trained["model"] / "extra.pkl").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    code, out, err = call(capsys, *words, "--json")
    assert code == 1 and "can run code" in json.loads(out)["problems"][0]["found"], err


def test_replay_looks_into_the_store_for_the_model(
    trained: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    words = ("replay", str(trained["run"]), "--data", trained["data"])
    code, _, err = call(capsys, *words)
    assert code == 1 and "give --weights FOLDER" in err and err.count("\n") == 1
    key = json.loads((trained["run"] / "run.json").read_text())["stages"][-1]["key"]
    with Store().make(key, {}) as (folder, _):
        shutil.copytree(trained["model"], folder, dirs_exist_ok=True)
    code, out, err = call(capsys, *words)
    assert code == 0 and "replayed: the scores differ by at most" in out, err


def test_how_an_architecture_was_found_is_a_record_and_no_size() -> None:
    said = {"architecture": "adabert", "search": {"expected_parameters": 194_391}}
    assert not list(weights.config_problems("config.json", said, None))
    (problem,) = weights.config_problems("config.json", {**said, "cells": 194_391}, None)
    assert problem.field == "cells"


def test_every_architecture_passes_as_what_it_is(tiny_track: Track, tmp_path: Path) -> None:
    """The model folder of every recipe's variants, freshly initialised, against what its run would say of it."""
    from suite import models
    from suite.documents import Model
    from suite.loading import recipes, resolve
    from suite.measure import cost
    from suite.measure.recount import parameters
    from suite.pipeline.matrix import variants

    row = next(row for row in example.ROWS if row.recipe == "student")
    some = json.loads(example.run_files(row, "mood", 11)["run.json"])["model"]
    seen = set()
    for recipe in recipes():
        if "demo" not in recipe.tracks or recipe.ablation is not None:
            continue
        for variant, config in variants(resolve(recipe, "demo"), tiny_track, 2).items():
            folder = tmp_path / recipe.name / variant
            network = models.build(config)
            models.save(network, config, folder)
            listed = cost.weights(network)
            size = (folder / weights.TENSORS).stat().st_size
            said = Model.model_validate(
                {
                    **some,
                    "architecture": config["architecture"],
                    "config": config,
                    "weights": listed,
                    "parameters": parameters(listed),
                    "bytes": {"safetensors/any": size},
                }
            )
            shipped = weights.read(folder)
            assert list(weights.problems(shipped, said)) == [], (recipe.name, variant)
            assert list(replayed._built_alike(shipped)) == [], (recipe.name, variant)
            seen.add(config["architecture"])
    assert len(seen) >= 5, seen


def changed_config(key: str, value: Any) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        config = json.loads((model / weights.CONFIG).read_text())
        (model / weights.CONFIG).write_text(json.dumps({**config, key: value}))

    return change


def changed_header(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(model: Path) -> None:
        content = (model / weights.TENSORS).read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        (model / weights.TENSORS).write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return apply


def written(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda model: (model / name).write_bytes(content) and None


def linked(model: Path) -> None:
    shutil.move(model / weights.TENSORS, model / "elsewhere")
    (model / weights.TENSORS).symlink_to(model / "elsewhere")


HOSTILE_MODELS: dict[str, tuple[Callable[[Path], None], str]] = {
    "another architecture's name": (changed_config("architecture", "os.system"), "architecture"),
    "a path as architecture": (changed_config("architecture", "../../evil"), "architecture"),
    "a module that is no architecture": (changed_config("architecture", "pretrained"), "architecture"),
    "no architecture": (changed_config("architecture", None), "architecture"),
    "a billion layers": (changed_config("layers", 10**9), "layers"),
    "a layer more": (changed_config("layers", 7), "layers"),
    "a wider network": (changed_config("hidden", 2**20), "hidden"),
    "negative heads": (changed_config("heads", -1), "heads"),
    "deep configuration": (written(weights.CONFIG, b'{"a":' * 100 + b"1" + b"}" * 100), ""),
    "configuration that is no object": (written(weights.CONFIG, b"[]"), ""),
    "duplicate keys": (written(weights.CONFIG, b'{"layers": 1, "layers": 2}'), ""),
    "a pickle for weights": (written("pytorch_model.bin", b"\x80\x04."), "name"),
    "code beside the weights": (written("modeling.py", b"raise SystemExit"), "name"),
    "a pickle as safetensors": (written(weights.TENSORS, b"\x80\x04cos\nsystem\n" * 20), "header"),
    "an empty file": (written(weights.TENSORS, b""), "header"),
    "a header of 2^60 bytes": (written(weights.TENSORS, struct.pack("<Q", 2**60) + b"{}"), "header"),
    "a list for a header": (written(weights.TENSORS, struct.pack("<Q", 2) + b"[]"), "header"),
    "a link": (linked, ""),
    "a tensor less": (changed_header(lambda h: h.pop("classifier.bias") and None), "header"),
    "a tensor over another": (
        changed_header(lambda h: h["classifier.bias"].update(data_offsets=[0, 8])),
        "header",
    ),
    "an unknown type": (changed_header(lambda h: h["classifier.bias"].update(dtype="PICKLE")), "classifier.bias"),
    "a huge shape": (
        changed_header(lambda h: h["classifier.bias"].update(shape=[2**39, 2**39])),
        "classifier.bias",
    ),
    "another shape": (changed_header(lambda h: h["classifier.bias"].update(shape=[1, 2])), "classifier.bias"),
    "a nested header": (changed_header(lambda h: h.update(x=[[[[]]]])), "x"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE_MODELS)
def test_a_hostile_model_folder_is_refused_before_anything_is_built(
    what: str, trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    change, field = HOSTILE_MODELS[what]
    change(trained["model"])
    monkeypatch.setattr("suite.models.build", lambda *_, **__: pytest.fail("something was built"))
    found = replayed.replay(trained["run"], trained["model"], data=trained["data"])
    assert not found.passed and found.attestation is None
    assert field in {problem.field for problem in found.problems}, found.problems
    assert all(str(problem).isprintable() for problem in found.problems)


def test_a_run_that_is_wrong_is_not_replayed(trained: dict[str, Any]) -> None:
    document = example.read(trained["run"], "run.json")
    example.forge(trained["run"], "run.json", {**document, "score": 99.0})
    with pytest.raises(UserError, match="score: found"):
        replayed.replay(trained["run"], trained["model"], data=trained["data"])


# --- retraining ---------------------------------------------------------------------------------------------


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY)
    return path


def test_a_recipe_is_trained_again_from_its_runs_settings(
    trained: dict[str, Any], key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path for path in trained["results"].rglob("*") if path.is_file())
    words = ("retrain", str(trained["entry"]), "--key", str(key), "--data", trained["data"], "--seeds", "2")
    code, out, err = call(capsys, *words, "--by", "a test", "--json")
    assert code in (0, 1), err
    (found,) = json.loads(out)
    low, high = found["interval"]
    assert found["passed"] == (low <= found["score"] <= high) == (code == 0)
    assert len(set(found["scores"])) >= 1 and found["score"] == pytest.approx(np.mean(found["scores"]))
    new = [p for p in trained["results"].rglob("*") if p.is_file() and p not in before]
    assert [str(path) for path in new] == found["attestations"]  # no run has landed
    said = Attestation.model_validate_json(new[0].read_bytes())
    assert said.evidence is not None and len(said.evidence.seeds) == 2
    assert said.evidence.key == retrained.key_digest(KEY.encode())
    report = verify(trained["results"] / "demo" / "attestations", data=trained["data"])
    assert report.ok, report.problems


def pretend(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> list[int]:
    """Retrainings that score what they are told; gives the seeds that were asked for."""
    asked: list[int] = []

    def score_(run: Run, seed: int, *_: Any) -> float:
        asked.append(seed)
        return scores[(len(asked) - 1) % len(scores)]

    monkeypatch.setattr(retrained, "_score", score_)
    return asked


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two seeds, so that a seed deviation is known; open, since the demo track has one."""
    rows = (row for row in example.ROWS if row.recipe in ("reference", "majority", "student"))
    free = tuple(replace(row, division="open") for row in rows)
    return example.build(tmp_path / "results", free, (11, 23))


def test_levels_and_counts_of_retrainings(
    results: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = results / "demo" / "entries" / "student" / "default.json"
    entered = json.loads(entry.read_text())["quality"]

    def again(secret: str, off: float, tasks: list[str] | None = None) -> list[retrained.Retrained]:
        path = tmp_path / "another"
        path.write_text(secret)
        asked = pretend(monkeypatch, [entered[t]["score"] + off for t in tasks or list(entered)])
        found = retrained.retrain(entry, path, tasks=tasks)
        assert len(asked) == len(found) and not {11, 23, 37, 41, 59} & set(asked)
        index(results)
        return found

    def now() -> tuple[str, int]:
        document = json.loads(entry.read_text())
        return document["level"], document.get("retrained", 0)

    assert now() == ("valid", 0)
    (one,) = again(KEY, 0.1, ["mood"])
    assert one.passed and len(one.attestations) == 2
    assert now() == ("valid", 0)  # only one of its two tasks
    assert all(one.passed for one in again(KEY, 0.1))
    assert now() == ("retrained", 1)
    assert all(one.passed for one in again(KEY + " of somebody else", -0.1))
    assert now() == ("retrained", 2)
    again(KEY, 0.1)  # the same verifier once more
    assert now() == ("retrained", 2)
    assert not any(one.passed for one in again(KEY + " of a third", 60.0))
    assert now() == ("retrained", 2)  # one failure in twenty is to be expected
    for number in range(2):
        again(KEY + f" of number {number}", 60.0)
    assert now()[0] == "valid"  # as many failures as passes
    report = verify(results)
    assert report.ok, report.problems


def test_without_any_deviation_more_seeds_are_asked_for(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tuple(row for row in example.ROWS if row.recipe in ("reference", "majority", "student"))
    made = example.build(tmp_path / "one", rows)
    entry = made / "demo" / "entries" / "student" / "default.json"
    with pytest.raises(UserError, match="--seeds 3"):
        retrained.retrain(entry, key)
    pretend(monkeypatch, [60.0, 61.0, 59.0])  # far from what was entered
    assert not any(one.passed for one in retrained.retrain(entry, key, seeds=3))


def test_what_cannot_be_retrained_is_said_in_a_sentence(results: Path, key: Path) -> None:
    entry = results / "demo" / "entries" / "student" / "default.json"
    with pytest.raises(UserError, match="not one of Lightboard's own"):  # "student" is no method
        retrained.retrain(entry, key)
    with pytest.raises(UserError, match="has no run of cola"):
        retrained.retrain(entry, key, tasks=["cola"])
    with pytest.raises(UserError, match="not an entry"):
        retrained.retrain(results, key)
    index_of = json.loads(entry.read_text())
    entry.write_text(json.dumps({**index_of, "level": "retrained"}))
    with pytest.raises(UserError, match="level: found 'retrained'"):
        retrained.retrain(entry, key)


def run_with(settings: dict[str, Any]) -> Run:
    from suite.canonical import digest

    row = next(row for row in example.ROWS if row.recipe == "student")
    document = json.loads(example.run_files(row, "mood", 11)["run.json"])
    whole = {**document["settings"], **settings}
    return Run.model_validate_json(
        json.dumps({**document, "settings": whole, "recipe_hash": digest(whole)}), strict=True
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "os"}, "not one of Lightboard's own"),
        ({"method": "../../evil"}, "not one of Lightboard's own"),
        ({"method": None}, "not one of Lightboard's own"),
        ({"method": "finetune", "parameters": {"layers": [10**9]}}, "layers"),
        ({"method": "finetune", "parameters": None}, "parameters"),
        ({"method": "finetune", "parameters": {"layers": [2], "training": {"epochs": 1}}}, "training"),
        ({"method": "majority", "parameters": {}, "surprise": 1}, "another recipe"),
        ({"method": "majority", "parameters": {}, "modifiers": ["os"]}, "modifiers"),
        (
            {"method": "majority", "parameters": {}, "modifiers": [{"name": "../x"}]},
            "not one of Lightboard's own",
        ),
    ],
)
def test_settings_are_checked_before_anything_is_trained(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        resolved_of(run_with(settings))


def test_settings_of_our_own_recipes_give_the_recipe_again() -> None:
    from suite.loading import recipes, resolve

    tried = 0
    for recipe in recipes():
        for track in recipe.tracks:
            resolved = resolve(recipe, track)
            if track == "demo":
                run = run_with({**resolved.settings}).model_copy(
                    update={"settings": resolved.settings, "recipe_hash": resolved.hash}
                )
                assert resolved_of(run).settings == resolved.settings
                tried += 1
    assert tried >= 5


def test_an_attestation_must_follow_from_its_own_figures(results: Path) -> None:
    folder = results / "demo" / "runs" / "student" / "default" / "mood-11"
    evidence = CheckEvidence(score=99.0, interval=(70.0, 80.0), key="sha256:" + "a" * 64)
    lie = Attestation(
        subject=subject(folder), level="retrained", outcome="passed", by="a test", date="2026-01-31",
        lightboard="0.1.0", evidence=evidence,
    )  # fmt: skip
    path = write_attestation(results / "demo", lie)
    assert path.name == f"{subject(folder)[7:23]}-retrained-aaaaaaaa.json"
    problems = verify(path).problems
    assert [(problem.field, problem.expected) for problem in problems] == [
        ("outcome", "failed, by its evidence")
    ]


def test_an_attestation_without_evidence_stays_what_it_was(results: Path) -> None:
    said = Attestation(
        subject="sha256:" + "0" * 64, level="recounted", outcome="passed", by="a test", date="2026-01-31",
        lightboard="0.1.0",
    )  # fmt: skip
    path = write_attestation(results / "demo", said)
    assert set(json.loads(path.read_text())) == {
        "schema", "subject", "level", "outcome", "by", "date", "lightboard",
    }  # fmt: skip
    assert verify(path).ok


# --- copies -------------------------------------------------------------------------------------------------


def student(recipe: str, **more: Any) -> example.Row:
    row = next(row for row in example.ROWS if row.recipe == "student")
    return replace(row, recipe=recipe, method=recipe, timed=False, **more)


def with_scores(folder: Path, scores: np.ndarray, stage: str | None = None) -> None:
    """Replace a run's predictions and everything that follows from them, as whoever copies would."""
    about, golds = task("mood"), example.gold_of("mood")
    (split,) = golds
    scored = score(about, {split: scores}, {split: golds[split].labels})
    table = {split: tables.Split(np.arange(len(scores), dtype=np.int32), scores, scored.influence[split])}
    example.forge(folder, "predictions.parquet", tables.write_predictions(about, table))
    document = example.read(folder, "run.json")
    document |= {
        "metrics": scored.metrics,
        "score": scored.score,
        "score_sd": scored.sd,
        "calibration": scored.calibration,
    }
    if stage is not None:
        document["stages"][-1]["key"] = stage
    example.forge(folder, "run.json", document)


def scores_of(folder: Path) -> np.ndarray:
    path = folder / "predictions.parquet"
    (split,) = tables.read_predictions(path.read_bytes(), path, task("mood")).values()
    return split.scores


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """An honest run and one of another recipe."""
    results = tmp_path / "results"
    return example.add_run(results, student("honest"), "mood"), example.add_run(
        results, student("other"), "mood"
    )


NEW_STAGE = "sha256:" + "5" * 64


def reviews(results: Path) -> list[str]:
    report = verify(results / "demo")
    assert report.ok, report.problems
    return [note for note in report.notes if note.startswith("review")]


def results_of(folder: Path) -> Path:
    return folder.parents[4]


def test_honest_rows_are_not_flagged(pair: tuple[Path, Path]) -> None:
    assert reviews(results_of(pair[0])) == []


def test_a_copy_is_refused(pair: tuple[Path, Path]) -> None:
    honest, other = pair
    with_scores(other, scores_of(honest), NEW_STAGE)
    (problem,) = verify(results_of(honest) / "demo").problems
    assert problem.field == "scores" and str(honest) in problem.found and str(other) in problem.file


@pytest.mark.parametrize(
    "disguise",
    [
        lambda s, r: s + r.normal(0, 0.01, s.shape),
        lambda s, r: 3 * s + 1,
        lambda s, r: s + r.normal(0, 5, (len(s), 1)),
        lambda s, r: np.stack([0 * s[:, 0], np.cbrt(s[:, 1] - s[:, 0])], axis=1),
    ],
    ids=["noise", "scale", "a shift of both labels", "a curve"],
)
def test_a_copy_in_disguise_is_pointed_out(
    pair: tuple[Path, Path], disguise: Callable[[np.ndarray, np.random.Generator], np.ndarray]
) -> None:
    honest, other = pair
    changed = disguise(scores_of(honest).astype(float), np.random.default_rng(1)).astype(np.float32)
    with_scores(other, changed, NEW_STAGE)
    (note,) = reviews(results_of(honest))
    assert "nearly the scores" in note and str(honest) in note and str(other) in note


@pytest.mark.parametrize("hard", [True, False], ids=["hard labels", "every row otherwise sure"])
def test_a_copy_of_the_answers_alone_is_pointed_out(pair: tuple[Path, Path], hard: bool) -> None:
    honest, other = pair
    scores, random = scores_of(honest), np.random.default_rng(1)
    sure = np.eye(2)[scores.argmax(axis=1)] * (1.0 if hard else random.uniform(1, 9, (len(scores), 1)))
    with_scores(other, sure.astype(np.float32), NEW_STAGE)
    notes = reviews(results_of(honest))
    assert any("gives every answer" in note and str(honest) in note for note in notes)
    assert any("distinct scores" in note and str(other) in note for note in notes) == hard


def test_an_honest_rerun_is_not_flagged(pair: tuple[Path, Path], tmp_path: Path) -> None:
    again = shutil.copytree(results_of(pair[0]), tmp_path / "rerun")
    report = verify([results_of(pair[0]) / "demo", again / "demo"])
    assert report.ok and not [note for note in report.notes if "review" in note]


def test_what_says_itself_why_it_is_alike_is_only_reviewed(tmp_path: Path) -> None:
    results = tmp_path / "results"
    parent = example.add_run(results, student("parent"), "mood")
    child = example.add_run(results, student("child", ablation_of="parent"), "mood")
    with_scores(child, scores_of(parent), NEW_STAGE)
    (note,) = reviews(results)
    assert "exactly the scores" in note


def test_two_seeds_with_the_same_scores_are_reviewed(tmp_path: Path) -> None:
    results = tmp_path / "results"
    first = example.add_run(results, student("honest", division="open"), "mood", 11)
    second = example.add_run(results, student("honest", division="open"), "mood", 23)
    assert reviews(results) == []
    with_scores(second, scores_of(first))
    (note,) = reviews(results)
    assert "another seed" in note


def test_one_training_under_two_seeds_is_reviewed(tmp_path: Path) -> None:
    first, second = (
        example.add_run(tmp_path / "results", student("honest", division="open"), "mood", seed)
        for seed in (11, 23)
    )
    scores = scores_of(first)
    noise = np.random.default_rng(1).normal(0, 1e-4, scores.shape)
    with_scores(second, (scores + noise).astype(np.float32))
    (note,) = reviews(tmp_path / "results")
    assert "of another seed" in note and str(first) in note and str(second) in note


def test_the_seed_plays_no_part_in_a_baseline(tmp_path: Path) -> None:
    results = tmp_path / "results"
    first, second = (
        example.add_run(results, student("ngram", division="open"), "mood", seed) for seed in (11, 23)
    )
    with_scores(second, scores_of(first))
    assert reviews(results) == []


def test_the_labels_as_predictions_are_refused(tmp_path: Path) -> None:
    folder = example.add_run(tmp_path / "results", student("oracle"), "mood")
    (gold,) = example.gold_of("mood").values()
    one_hot = np.eye(2, dtype=np.float32)[gold.labels]
    with_scores(folder, one_hot)
    assert "the gold labels" in " ".join(problem.found for problem in verify(folder).problems)
    # Disguised as a model's, they are still all right.
    noisy = (one_hot + np.random.default_rng(0).uniform(0, 0.4, one_hot.shape)).astype(np.float32)
    with_scores(folder, noisy)
    report = verify(folder)
    assert report.ok and any("every answer is right" in note for note in report.notes)


def test_a_model_of_few_answers_has_no_sketch() -> None:
    assert sketch_of(np.zeros((100, 2), np.float32)) is None
    assert sketch_of(np.repeat(np.eye(2, dtype=np.float32), 50, axis=0)) is None
    full = sketch_of(np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32))
    assert full is not None and full.shape == (2000,) and float(full @ full) == pytest.approx(1, abs=1e-5)


def test_a_folded_sketch_keeps_the_correlation_and_every_row() -> None:
    random = np.random.default_rng(0)
    one = random.normal(size=(40_000, 2)).astype(np.float32)
    other = (one + random.normal(0, 0.1, one.shape)).astype(np.float32)
    a, b = sketch_of(one), sketch_of(other)
    assert a is not None and b is not None and len(a) == 4096
    exact = stats.spearmanr(one[:, 0] - one[:, 1], other[:, 0] - other[:, 1]).statistic
    assert float(a @ b) == pytest.approx(exact, abs=0.001)
    for row in (1, 20_001):
        changed = one.copy()
        changed[row] = -changed[row]
        assert not np.array_equal(sketch_of(changed), a)


def test_the_board_says_by_how_many() -> None:
    from suite.board.text import level_words

    assert level_words("retrained", 2) == "independently retrained ×2"
    assert level_words("recounted", 0) == "recounted"
