"""verify: every forged figure is refused by name with the right one, and nothing submitted can break it."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import example_results as example
import numpy as np
import pytest

from suite import tables
from suite.canonical import digest
from suite.data.rows import fingerprint
from suite.documents import Attestation, Entry, Measurement, Run
from suite.errors import UserError
from suite.folder import Problem, read_json, subject
from suite.index import index
from suite.protocol import row_list
from suite.tasks import task
from suite.verify import Report, attest, gold, physics, recounted, verify, write_attestation
from suite.verify.compare import close, differences

SMALL = tuple(row for row in example.ROWS if row.recipe in ("reference", "majority", "student"))
STUDENT = next(row for row in example.ROWS if row.recipe == "student")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.build(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def pristine_small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.build(tmp_path_factory.mktemp("small"), SMALL)


@pytest.fixture
def results(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "results"))


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return example.add_run(tmp_path / "results", STUDENT, "mood")


@pytest.fixture
def measurement_folder(tmp_path: Path) -> Path:
    for row in SMALL:
        example.add_run(tmp_path / "results", row, "mood")
    return example.add_measurement(tmp_path / "results", STUDENT)


def told(report: Report) -> str:
    return "\n".join(str(problem) for problem in report.problems)


def fields(report: Report) -> set[str]:
    return {problem.field for problem in report.problems}


# --- what is honest passes ----------------------------------------------------------------------------------


def test_a_consistent_tree_passes_every_level(results: Path) -> None:
    report = verify(results)
    assert report.ok, told(report)
    assert {document.kind for document in report.documents} == {"run", "measurement", "entry"}
    for document in report.documents:
        assert set(document.outcomes.values()) == {"passed"}
        assert document.level == "recounted"


def test_how_far_it_is_can_be_told(results: Path) -> None:
    told: list[tuple[int, int]] = []
    report = verify(results, told=lambda done, of: told.append((done, of)))
    documents = sum(document.kind in ("run", "measurement") for document in report.documents)
    assert told == [(done, documents) for done in range(1, documents + 1)]


def test_a_report_can_be_printed_in_one_line_and_as_json(run_folder: Path) -> None:
    assert verify(run_folder).summary() == (
        "run 1; 1 valid: passed, 1 rescored: passed, 1 recounted: passed; nothing is wrong"
    )
    document = example.read(run_folder, "run.json")
    example.forge(run_folder, "run.json", {**document, "score": 99.5})
    report = verify(run_folder)
    assert report.summary().endswith("1 rescored: failed, 1 recounted: passed; problems: 1")
    printed = json.loads(json.dumps(report.as_dict()))
    assert not printed["ok"]
    (problem,) = printed["problems"]
    assert (problem["field"], problem["found"], problem["expected"]) == (
        "score",
        "99.5",
        repr(document["score"]),
    )


PARTS = (
    "",
    "demo",
    "demo/runs",
    "demo/runs/student",
    "demo/runs/student/default/mood-11",
    "demo/runs/student/default/mood-11/run.json",
    "demo/measurements",
    "demo/entries/student",
    "demo/entries/student/default.json",
)


@pytest.mark.parametrize("part", PARTS)
def test_any_part_of_a_tree_can_be_named(results: Path, part: str) -> None:
    report = verify(results / part)
    assert report.ok, told(report)
    assert report.documents


def test_a_place_without_results_is_a_usage_error(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(UserError):
            verify(path)
    with pytest.raises(UserError, match="retrained"):
        verify(tmp_path, level="retrained")


def test_levels_are_checked_up_to_the_one_asked_for(run_folder: Path) -> None:
    (document,) = verify(run_folder, level="valid").documents
    assert document.outcomes == {"valid": "passed"}


# --- every derived field ------------------------------------------------------------------------------------


def derived(model: type[Any], document: dict[str, Any]) -> list[tuple[str | int, ...]]:
    """The places of all derived values in a document, by the annotations of its published schema."""
    schema = model.model_json_schema(by_alias=True)

    def branches(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if "$ref" in node:
            yield from branches(schema["$defs"][node["$ref"].rsplit("/", 1)[-1]])
        elif "anyOf" in node:
            for part in node["anyOf"]:
                yield from branches(part)
        else:
            yield node

    def walk(node: dict[str, Any], value: Any, place: tuple[str | int, ...], origin: str) -> Iterator[Any]:
        parts = list(branches(node))
        if isinstance(value, dict):
            for key, item in value.items():
                below = next((p["properties"][key] for p in parts if key in p.get("properties", {})), None)
                if below is None:  # a mapping: what it holds has the origin of the mapping
                    below = next(
                        (p["additionalProperties"] for p in parts if p.get("additionalProperties")), {}
                    )
                    below = below if isinstance(below, dict) else {}
                yield from walk(below, item, (*place, key), below.get("origin", origin))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                below = next((p["items"] for p in parts if isinstance(p.get("items"), dict)), {})
                yield from walk(below, item, (*place, index), below.get("origin", origin))
        elif origin == "derived":
            yield place

    return list(walk(schema, document, (), "none"))


def at(document: Any, place: tuple[str | int, ...]) -> Any:
    for part in place:
        document = document[part]
    return document


def changed(document: dict[str, Any], place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    made: dict[str, Any] = copy.deepcopy(document)
    at(made, place[:-1])[place[-1]] = value
    return made


CHOICES = {"verdict": ("stable", "noisy"), "division": ("standard", "open"), "level": ("valid", "recounted")}


def forged(place: tuple[str | int, ...], value: Any) -> Any:
    """Another value that the schema allows; a number differs in its seventh digit."""
    if isinstance(place[-1], str) and place[-1] in CHOICES:
        return next(choice for choice in CHOICES[place[-1]] if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * (1 + 1e-6) if value else 1e-6
    if isinstance(value, str) and value.startswith("sha256:"):
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    if isinstance(value, str):
        return value + "x"
    assert value is None
    return "because" if str(place[-1]).endswith("reason") else 1.0


NOT_BY_TYPE = {"board_score": {"value": 1.0, "interval": None}, "retention": {"value": 1.0, "interval": None},
               "ranks": {"lowest": 1, "highest": 1, "of": 1, "ties_with_best": True}, "interval": [0.5, 1.5],
               "alone_ratio": {"value": 1.0, "interval": None, "pairs": 2}, "ablation_of": "reference"}  # fmt: skip


def assert_each_is_refused(
    model: type[Any], document: dict[str, Any], forge: Callable[[dict[str, Any]], Report], least: int
) -> None:
    places = derived(model, document)
    assert len(places) >= least, "the walk over the schema finds too few derived fields"
    missed = []
    for place in places:
        value = at(document, place)
        other = (
            NOT_BY_TYPE.get(str(place[-1]), forged(place, value)) if value is None else forged(place, value)
        )
        report = forge(changed(document, place, other))
        name = ".".join(str(part) for part in place)
        naming = [p for p in report.problems if p.field == name and repr(value) in p.expected]
        if not naming:
            missed.append(f"{name}: {value!r} -> {other!r}: {told(report)}")
    assert not missed, "\n".join(missed)


def test_every_derived_field_of_a_run_is_recomputed(run_folder: Path) -> None:
    document = example.read(run_folder, "run.json")

    def forge(content: dict[str, Any]) -> Report:
        example.forge(run_folder, "run.json", content)
        return verify(run_folder)

    assert_each_is_refused(Run, document, forge, least=15)


def test_every_derived_field_of_a_measurement_is_recomputed(measurement_folder: Path) -> None:
    document = example.read(measurement_folder, "measurement.json")

    def forge(content: dict[str, Any]) -> Report:
        example.forge(measurement_folder, "measurement.json", content)
        return verify(measurement_folder)

    assert_each_is_refused(Measurement, document, forge, least=18)


def test_every_derived_field_of_an_entry_is_recomputed(pristine_small: Path, tmp_path: Path) -> None:
    results = shutil.copytree(pristine_small, tmp_path / "results")
    path = results / "demo" / "entries" / "student" / "default.json"
    document = read_json(path)

    def forge(content: dict[str, Any]) -> Report:
        path.write_bytes(example.to_bytes(content))
        return verify(path)

    assert_each_is_refused(Entry, document, forge, least=60)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("metrics", "bogus"), 0.5),
        (("calibration", "bogus"), 0.5),
        (("model", "flops_per_example", "64"), 1.0),
    ],
)
def test_a_figure_that_nobody_asked_for_is_refused(
    run_folder: Path, place: tuple[str, ...], value: float
) -> None:
    example.forge(run_folder, "run.json", changed(example.read(run_folder, "run.json"), place, value))
    (problem,) = verify(run_folder).problems
    assert (problem.field, problem.expected) == (".".join(place), "nothing")


def test_a_figure_that_is_left_out_is_refused(run_folder: Path) -> None:
    document = example.read(run_folder, "run.json")
    del document["metrics"]["accuracy"]
    example.forge(run_folder, "run.json", document)
    assert "metrics.accuracy" in fields(verify(run_folder))


def test_without_the_manifest_rewritten_the_change_is_found_too(run_folder: Path) -> None:
    document = changed(example.read(run_folder, "run.json"), ("training_cost", "tokens"), 1)
    (run_folder / "run.json").write_bytes(example.to_bytes(document))
    problems = verify(run_folder).problems
    assert any(problem.file.endswith("run.json") and "manifest" in problem.expected for problem in problems)
    assert any(problem.field == "training_cost.tokens" for problem in problems)


def test_rounding_is_no_forgery_and_a_digit_is() -> None:
    assert close(81.23456789012345, 81.23456789012344)
    assert not close(81.2345678, 81.2345679)
    found = list(differences({"a": [1, 2.0], "b": True}, {"a": [1, 2.5, 3], "b": 1}))
    assert [one.field for one in found] == ["a.1", "a.2", "b"]


# --- rescored -----------------------------------------------------------------------------------------------


def predictions(folder: Path) -> dict[str, tables.Split]:
    path = folder / "predictions.parquet"
    return tables.read_predictions(path.read_bytes(), path, task("mood"))


def test_better_predictions_alone_are_refused(run_folder: Path) -> None:
    splits = predictions(run_folder)
    (split,) = splits
    labels = example.gold_of("mood")[split].labels
    splits[split].scores[np.arange(50), labels[:50]] = 9.0
    example.forge(run_folder, "predictions.parquet", tables.write_predictions(task("mood"), splits))
    assert {"metrics.accuracy", "score", "score_sd"} <= fields(verify(run_folder))
    assert verify(run_folder, level="valid").ok


def test_a_forged_influence_is_named_by_its_row(run_folder: Path) -> None:
    splits = predictions(run_folder)
    (split,) = splits
    splits[split].influence[7] *= 1.001
    example.forge(run_folder, "predictions.parquet", tables.write_predictions(task("mood"), splits))
    (problem,) = verify(run_folder).problems
    assert problem.field == f"influence of {split}, row 7"


def mini_run(results: Path, labels: dict[str, np.ndarray]) -> Path:
    """A run of RTE on the track's own rows; the labels it is scored with are the caller's."""
    listed = row_list("mini", "rte")
    assert listed is not None
    golds = {s: gold.GoldSplit(labels[s], fingerprint(listed[s]), True) for s in labels}
    used = {
        s: {"rows": len(listed[s]), "fingerprint": fingerprint(listed[s])} for s in ("train", "selection")
    }
    data = {"source": "folder", **used}
    files = example.run_files(STUDENT, "rte", 11, track_name="mini", gold=golds, data=data)
    return example.write(results / "mini/runs/student/default/rte-11", files)


def test_without_data_a_run_is_skipped_never_passed(tmp_path: Path) -> None:
    listed = row_list("mini", "rte")
    assert listed is not None
    labels = np.arange(len(listed["dev"])) % 2
    report = verify(mini_run(tmp_path, {"dev": labels}))
    assert report.ok, told(report)
    (document,) = report.documents
    assert document.outcomes == {"valid": "passed", "rescored": "skipped: no data", "recounted": "passed"}
    assert document.level == "valid"
    assert any("rte" in note and "--data" in note for note in report.notes)
    attested = [json.loads(path.read_text()) for path in attest(report, by="a test")]
    assert {(a["level"], a["outcome"]) for a in attested} == {
        ("valid", "passed"),
        ("rescored", "skipped: no data"),
    }


def test_with_the_data_the_run_is_rescored(tmp_path: Path) -> None:
    folder = os.environ.get("LIGHTBOARD_GLUE") or str(Path(__file__).parents[2] / "shared" / "glue")
    if not (Path(folder) / "RTE").is_dir():
        pytest.skip("no GLUE folder: set LIGHTBOARD_GLUE")
    source = f"folder:{folder}"
    labels = gold.load(source, task("rte"), "mini")["dev"].labels
    honest = verify(mini_run(tmp_path / "honest", {"dev": labels}), data=source)
    assert honest.ok, told(honest)
    assert honest.documents[0].level == "recounted"
    forged = verify(mini_run(tmp_path / "forged", {"dev": 1 - labels}), data=source)
    assert {"metrics.accuracy", "score"} <= fields(forged)


def test_rows_that_are_not_the_tracks_are_refused_without_data(tmp_path: Path) -> None:
    listed = row_list("mini", "rte")
    assert listed is not None
    folder = mini_run(tmp_path, {"dev": np.arange(len(listed["dev"])) % 2})
    document = example.read(folder, "run.json")
    example.forge(folder, "run.json", changed(document, ("data", "dev", "dev", "fingerprint"), digest(1)))
    (problem,) = verify(folder).problems
    assert problem.field == "data.dev.dev.fingerprint"
    assert problem.expected == fingerprint(listed["dev"])


def test_other_rows_than_the_generators_are_refused(run_folder: Path) -> None:
    document = example.read(run_folder, "run.json")
    (split,) = document["data"]["dev"]
    example.forge(run_folder, "run.json", changed(document, ("data", "dev", split, "fingerprint"), digest(1)))
    assert f"data.dev.{split}.fingerprint" in fields(verify(run_folder))


# --- names, places, sizes -----------------------------------------------------------------------------------


def test_a_folder_in_anothers_place_is_refused(run_folder: Path) -> None:
    moved = run_folder.with_name("same-11")
    run_folder.rename(moved)
    assert "demo/runs/student/default/mood-11" in told(verify(moved))


def test_settings_hash_and_protocol_are_held_together(run_folder: Path) -> None:
    document = example.read(run_folder, "run.json")
    example.forge(run_folder, "run.json", changed(document, ("settings", "parameters", "layers"), 12))
    (problem,) = verify(run_folder).problems
    assert problem.field == "recipe_hash"
    example.forge(run_folder, "run.json", changed(document, ("protocol",), digest("another")))
    (problem,) = verify(run_folder).problems
    assert problem.field == "protocol"
    example.forge(run_folder, "run.json", changed(document, ("seed",), 4711))
    assert "seed" in fields(verify(run_folder))


def test_everything_wrong_is_listed_at_once(run_folder: Path) -> None:
    document = example.read(run_folder, "run.json")
    document["score"] += 1
    document["training_cost"]["tokens"] += 1
    document["environment"]["versions"]["path"] = "/home/somebody/venv"
    document["model"]["parameters"]["total"] += 1
    example.forge(run_folder, "run.json", document)
    (run_folder / "weights.pkl").write_bytes(b"cos\nsystem\n")
    found = fields(verify(run_folder))
    assert {
        "score",
        "training_cost.tokens",
        "environment.versions.path",
        "model.parameters.total",
        "name",
    } <= found


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        (("model", "ops", 0, "shape"), [17, 16], "model.ops.0.shape"),
        (("model", "ops", 0, "weight"), "layer.9.q.weight", "model.ops.0.weight"),
        (("model", "ops", 0, "rows"), 1, "model.ops"),  # called shorter than it is
        (("model", "weights", 0, "nonzero"), 10**9, "model.weights.0.nonzero"),
        (("data", "train_lengths", "8"), 10**6, "data.train_lengths"),
        (("model", "dev_lengths", "8"), 10**6, "model.dev_lengths"),
        (("stages", 1, "tflop"), -5.0, "stages.1.tflop"),
        (("settings", "default"), None, "settings.default"),
        (("curves", 0, "values"), [0.5], "curves.0.values"),
    ],
)
def test_evidence_that_contradicts_itself_is_named(
    run_folder: Path, place: tuple[str | int, ...], value: Any, field: str
) -> None:
    example.forge(run_folder, "run.json", changed(example.read(run_folder, "run.json"), place, value))
    assert field in fields(verify(run_folder))


def test_operations_cannot_be_left_out(run_folder: Path) -> None:
    document = example.read(run_folder, "run.json")
    document["model"]["ops"] = [op for op in document["model"]["ops"] if op["weight"] != "layer.0.up.weight"]
    example.forge(run_folder, "run.json", document)
    assert "in no product" in told(verify(run_folder))
    document["model"]["ops"] = []
    example.forge(run_folder, "run.json", document)
    assert told(verify(run_folder)).count("in no product") == sum(
        len(weight["shape"]) == 2 and not weight["embedding"] for weight in document["model"]["weights"]
    )


def test_answers_that_differ_refuse_the_measurement(measurement_folder: Path) -> None:
    document = example.read(measurement_folder, "measurement.json")
    document["answers"] |= {"largest_difference": 0.5, "equal": False}
    example.forge(measurement_folder, "measurement.json", document)
    assert "answers.largest_difference" in fields(verify(measurement_folder))


def test_no_processor_is_faster_than_its_instruction_set(measurement_folder: Path) -> None:
    document = example.read(measurement_folder, "measurement.json")
    slow = changed(document, ("machine", "max_mhz"), 0.001)
    example.forge(measurement_folder, "measurement.json", slow)
    assert {"latency_ms", "reference_latency_ms"} <= fields(verify(measurement_folder))
    example.forge(measurement_folder, "measurement.json", changed(slow, ("machine", "flags"), ["riscv_v"]))
    report = verify(measurement_folder)
    assert report.ok and any("physics not checked" in note for note in report.notes)
    assert physics.peak_flops(["avx2", "fma"], "fp32", 3000.0, 2) == 2 * 3e9 * 32
    assert physics.peak_flops(["avx512f", "avx2"], "fp32", 1000.0, 1) == 64e9


def test_a_measurement_of_another_model_is_refused(measurement_folder: Path) -> None:
    document = example.read(measurement_folder, "measurement.json")
    example.forge(measurement_folder, "measurement.json", changed(document, ("graph",), digest("another")))
    assert "graph" in fields(verify(measurement_folder))


def test_one_huge_time_hides_no_impossible_ones(measurement_folder: Path) -> None:
    """The ratio is made of medians: a time that moves no ratio makes no rate possible."""
    path = measurement_folder / "samples.parquet"
    columns = tables.read_samples(path.read_bytes(), path)
    entry = columns["side"] == 1
    columns["nanoseconds"] = np.where(entry, columns["nanoseconds"] // 10**6 + 1, columns["nanoseconds"])
    columns["nanoseconds"][np.flatnonzero(entry)[0]] = 10**13
    example.forge(measurement_folder, path.name, tables.write_samples(columns))
    assert any("GFLOP/s" in problem.found for problem in verify(measurement_folder).problems)


def test_cores_that_nobody_names_are_the_threads(measurement_folder: Path) -> None:
    document = example.read(measurement_folder, "measurement.json")
    document["machine"] |= {"affinity": [], "cores": 64}
    for profile, threads, cores in (("mine", 3, 3), ("mine", None, 64), ("raspberry-pi-5", None, 4)):
        given = Measurement.model_validate({**document, "profile": profile, "threads": threads})
        assert recounted.cores_of(given) == cores


def test_a_runtime_that_is_not_here_is_to_be_looked_at(measurement_folder: Path) -> None:
    document = example.read(measurement_folder, "measurement.json")
    moved = measurement_folder.with_name(measurement_folder.name.replace("onnx", "warp"))
    measurement_folder.rename(moved)
    example.forge(moved, "measurement.json", changed(document, ("runtime",), "warp"))
    report = verify(moved)
    assert report.ok and any("review" in note and "no runtime warp" in note for note in report.notes)


def test_a_matrix_that_multiplies_is_no_table(run_folder: Path) -> None:
    """Nor can it become one to be rid of its operations, whatever the configuration names or leaves out."""
    document = example.read(run_folder, "run.json")
    document["model"]["ops"] = document["model"]["ops"][-1:]
    for weight in document["model"]["weights"]:
        weight["embedding"] = weight["name"] != document["model"]["ops"][0]["weight"]
    sizes = {"vocab": 60, "positions": 64, "types": 2}
    every = {f"type_{i}": weight["shape"][0] for i, weight in enumerate(document["model"]["weights"])}
    for named in (sizes, {}, every):
        config = {"architecture": "slim", **named}
        document["model"] |= {"architecture": "slim", "config": config}
        example.forge(run_folder, "run.json", document)
        (problem,) = (p for p in verify(run_folder).problems if p.field == "model.weights")
        assert "tables" in problem.found


def test_an_architecture_of_ones_own_is_for_the_open_division(run_folder: Path) -> None:
    document = example.read(run_folder, "run.json")
    document["model"] |= {
        "architecture": "mine",
        "config": {**document["model"]["config"], "architecture": "mine"},
    }
    example.forge(run_folder, "run.json", document)
    assert fields(verify(run_folder)) == {"model.architecture"}
    example.forge(run_folder, "run.json", {**document, "division": "open"})
    report = verify(run_folder)
    assert report.ok and any("review" in note and "no architecture mine" in note for note in report.notes)


def test_training_that_nobody_else_has_is_not_shared(results: Path) -> None:
    """Nobody's teacher and nobody's general distillation: it would spend outside the budget what it likes."""
    folder = results / "demo" / "runs" / "student" / "default" / "mood-11"
    document = example.read(folder, "run.json")
    document["stages"][1]["shared"] = True
    last = document["stages"][2]
    hours = last["seconds"] / 3600
    document["training_cost"] |= {"tflop": last["tflop"], "tokens": last["tokens"], "device_hours": hours}
    example.forge(folder, "run.json", document)
    index(results)
    report = verify(results)
    assert report.ok, told(report)
    (note,) = (note for note in report.notes if "shared" in note)
    assert "review" in note and "student/default/mood-11" in note and "distil" in note


def test_all_that_stand_beside_each_other_ask_the_same(results: Path) -> None:
    """The reference's trace counts, else the commonest; nothing is said of a trace that nobody else asks."""
    (folder,) = (results / "demo" / "measurements" / "majority" / "default").iterdir()
    document = example.read(folder, "measurement.json")
    example.forge(folder, "measurement.json", changed(document, ("trace",), digest("another")))
    assert fields(verify(results)) == {"trace"} == fields(verify(folder))
    shorter = {**document, "trace_lengths": [1] * len(document["trace_lengths"])}
    example.forge(folder, "measurement.json", shorter)
    assert fields(verify(folder)) == {"trace_lengths"}
    foreign = {**shorter, "trace": digest("another"), "reference_trace_lengths": document["trace_lengths"]}
    example.forge(folder, "measurement.json", foreign)
    assert verify(folder).ok


def test_a_trace_is_drawn_from_the_dev_examples(results: Path) -> None:
    """Of both tasks half of the queries, at lengths that dev examples have: under profiles that are published."""
    (folder,) = (results / "demo" / "measurements" / "reference" / "default").iterdir()
    dev = example.read(results / "demo/runs/reference/default/mood-11", "run.json")["model"]["dev_lengths"]
    drawn = [int(tokens) for tokens, count in dev.items() for _ in range(count)][:128] * 2
    document = example.read(folder, "measurement.json") | {"profile": "quick"}

    def wrong(lengths: list[int], **more: Any) -> str:
        example.forge(folder, "measurement.json", {**document, "trace_lengths": lengths, **more})
        return " ".join(p.found for p in verify(folder).problems if p.field == "trace_lengths")

    assert wrong(drawn) == ""
    assert wrong(drawn[:-8]) == "248 queries"
    assert wrong([1] * 256) == "256 queries of 1 tokens"
    assert wrong(drawn, task="mood") != ""  # more of some lengths than one task has
    fixed = [tokens for tokens in (16, 32, 64) for _ in range(8)]
    assert wrong(fixed, inputs="lengths") == "" != wrong(fixed[1:], inputs="lengths")


def test_another_model_called_the_reference_speaks_for_nobody(tmp_path: Path) -> None:
    """Neither verify nor the index takes a measurement for one of the reference because it says so."""
    reference = next(row for row in example.ROWS if row.recipe == "reference")
    for row in SMALL:
        for name in example.TASKS:
            example.add_run(tmp_path, row, name)
    example.add_measurement(tmp_path, STUDENT, "torch")
    folder = example.add_measurement(tmp_path, reference, "torch")

    def alone() -> Any:
        (entry,) = (entry for entry in index(tmp_path) if entry.recipe == "student")
        return entry.speed[0].alone_ratio

    assert alone() is not None and verify(tmp_path).ok
    graph = example.read(tmp_path / "demo/runs/student/default/mood-11", "run.json")["model"]["graph"]
    document = example.read(folder, "measurement.json") | {"graph": graph, "recipe_hash": digest("another")}
    example.forge(folder, "measurement.json", document)
    assert alone() is None
    assert fields(verify(tmp_path)) == {"graph"}


def test_a_ratio_against_another_model_is_refused(measurement_folder: Path) -> None:
    """Not even against one that has runs here: only the protocol's reference makes a ratio comparable."""
    document = example.read(measurement_folder, "measurement.json")
    for graph in (digest("another"), document["graph"]):
        example.forge(measurement_folder, "measurement.json", changed(document, ("reference_graph",), graph))
        assert "reference_graph" in fields(verify(measurement_folder))


def test_entries_must_be_there_and_no_others(results: Path) -> None:
    entries = results / "demo" / "entries"
    (entries / "half" / "default.json").rename(entries / "half" / "other.json")
    assert {"lightboard index"} <= {p.fix.removeprefix("run ") for p in verify(results).problems}
    assert "half/default" in told(verify(results))
    index(results)
    assert verify(results).ok


def test_the_same_scores_under_another_recipe_are_pointed_out(results: Path) -> None:
    from dataclasses import replace

    twin = replace(STUDENT, recipe="twin", method="twin", timed=False)
    source = results / "demo" / "runs" / "student" / "default" / "mood-11"
    files = example.run_files(twin, "mood", 11)
    folder = example.write(results / "demo" / "runs" / "twin" / "default" / "mood-11", files)
    report = verify(results / "demo" / "runs")
    assert not any("review" in note for note in report.notes)
    stolen = {
        name: example.read(source, "run.json")[name]
        for name in ("metrics", "score", "score_sd", "calibration")
    }
    example.forge(folder, "predictions.parquet", (source / "predictions.parquet").read_bytes())
    example.forge(folder, "run.json", {**example.read(folder, "run.json"), **stolen})
    report = verify(results / "demo" / "runs")
    assert report.ok, told(report)
    assert any("review" in note and "twin" in note for note in report.notes)


# --- attestations -------------------------------------------------------------------------------------------


def test_attesting_raises_the_entries_level(results: Path) -> None:
    assert {entry.level for entry in index(results)} == {"valid"}
    written = attest(verify(results), by="a test")
    assert len(written) == 18  # a run or measurement each
    assert {entry.level for entry in index(results)} == {"recounted"}
    report = verify(results)
    assert report.ok, told(report)


def test_one_run_below_holds_the_entry_down(results: Path) -> None:
    attest(verify(results), by="a test")
    run = results / "demo" / "runs" / "student" / "default" / "mood-11"
    (results / "demo" / "attestations" / f"{subject(run)[7:23]}-recounted.json").unlink()
    levels = {entry.recipe: entry.level for entry in index(results)}
    assert levels["student"] == "valid"
    assert levels["reference"] == "recounted"


def test_a_failure_that_the_check_does_not_find_is_pointed_out(results: Path) -> None:
    """It costs somebody else's entry its level."""
    run = results / "demo/runs/student/default/mood-11"
    said = Attestation(
        subject=subject(run), level="valid", outcome="failed", by="a rival", date="2026-02-01", lightboard="1"
    )
    path = write_attestation(results / "demo", said)
    notes = [note for note in verify(results / "demo").notes if note.startswith(f"review: {path}")]
    assert len(notes) == 1 and str(run) in notes[0] and "passes here" in notes[0]


def test_an_attestation_that_the_check_contradicts_is_refused(results: Path) -> None:
    run = results / "demo" / "runs" / "student" / "default" / "mood-11"
    example.forge(run, "run.json", changed(example.read(run, "run.json"), ("score",), 99.0))
    failed = verify(results)
    assert next(d for d in failed.documents if d.file == str(run)).outcomes["rescored"] == "failed"
    (written,) = (
        p for p in attest(failed, by="a test") if p.name.startswith(subject(run)[7:23]) and "resc" in p.name
    )
    lie = json.loads(written.read_text())
    assert lie["outcome"] == "failed"
    written.write_bytes(example.to_bytes({**lie, "outcome": "passed"}))
    assert any(p.file == str(written) and p.field == "outcome" for p in verify(results).problems)


# --- hostile input ------------------------------------------------------------------------------------------


def assert_survives(path: Path) -> Report:
    """A report comes back, with problems, each of them on one printable line."""
    report = verify(path)
    assert not report.ok
    for problem in report.problems:
        assert str(problem).isprintable()
        assert len(str(problem)) < 3000
    return report


@pytest.mark.parametrize("name", ["run.json", "predictions.parquet", "manifest.json"])
def test_random_bytes_never_break_it(run_folder: Path, name: str) -> None:
    original = (run_folder / name).read_bytes()
    rng = random.Random(7)
    for _ in range(40):
        content = bytearray(original)
        for _ in range(rng.choice((1, 4, 40))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if rng.random() < 0.3:
            content = content[: rng.randrange(len(content))]
        if bytes(content) == original:
            continue
        (run_folder / name).write_bytes(bytes(content))
        assert_survives(run_folder)
        if name != "manifest.json":
            example.forge(run_folder, name, bytes(content))
            verify(run_folder)  # some bytes carry no figure: only that a report comes back
            example.forge(run_folder, name, original)


WEIRD: tuple[Any, ...] = (
    None, True, -1, 2**53 + 1, 1e308, -0.0, "", "x" * 5000, "../../etc/passwd", [], {}, [[]], ["n"], {"0": 0},
    {"a": {"b": [1]}}, [1e308] * 3, "sha256:" + "0" * 64, "\u202e<script>alert(1)</script>",
)  # fmt: skip


def places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if place:
        yield place
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*place, key))
    elif isinstance(value, list):
        for number, item in enumerate(value[:2]):
            yield from places(item, (*place, number))


@pytest.mark.parametrize("kind", ["run", "measurement"])
def test_any_value_anywhere_gives_a_report(run_folder: Path, measurement_folder: Path, kind: str) -> None:
    folder = run_folder if kind == "run" else measurement_folder
    document = example.read(folder, f"{kind}.json")
    rng = random.Random(11)
    everywhere = list(places(document))
    for place in rng.sample(everywhere, min(150, len(everywhere))):
        example.forge(folder, f"{kind}.json", changed(document, place, rng.choice(WEIRD)))
        report = verify(folder)
        assert all(str(problem).isprintable() for problem in report.problems)
        assert "that stops the check" not in told(report), f"{place}: {told(report)}"


def test_any_value_anywhere_in_an_entry_gives_a_report(pristine_small: Path, tmp_path: Path) -> None:
    results = shutil.copytree(pristine_small, tmp_path / "results")
    path = results / "demo" / "entries" / "student" / "default.json"
    document = read_json(path)
    rng = random.Random(13)
    for place in rng.sample(list(places(document)), 30):
        value = rng.choice(WEIRD)
        if value != at(document, place):
            path.write_bytes(example.to_bytes(changed(document, place, value)))
            assert_survives(path)


def test_index_and_entries_survive_a_broken_document(results: Path) -> None:
    run = results / "demo" / "runs" / "student" / "default" / "mood-11"
    (run / "run.json").write_text("[" * 100_000)
    assert "documents that cannot be read" in told(assert_survives(results))
    with pytest.raises(UserError, match="lightboard verify"):
        index(results)


def parquet(table: Any, **options: Any) -> bytes:
    import io

    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


def replaced(table: Any, name: str, values: list[Any], kind: str) -> Any:
    import pyarrow as pa

    column = pa.array(values, pa.type_for_alias(kind)) if kind else pa.array(values)
    return table.set_column(table.schema.get_field_index(name), name, column)


def long(table: Any) -> bytes:
    import pyarrow as pa

    return parquet(pa.table({"x": np.zeros(10**6, np.int8)}))


# What is wrong -> (the table's bytes from the honest table, the field that must be named)
BAD_TABLES: dict[str, tuple[Callable[[Any], bytes], str]] = {
    "a codec of bombs": (lambda t: parquet(t, compression="zstd"), "compression"),
    "too long": (long, "rows"),
    "another column": (lambda t: parquet(t.append_column("extra", t.column("row"))), "columns"),
    "a nested column": (lambda t: parquet(replaced(t, "split", [["dev"]] * len(t), "")), "columns"),
    "no influence": (lambda t: parquet(t.drop_columns(["influence"])), "columns"),
    "NaN": (lambda t: parquet(replaced(t, "influence", [float("nan")] * len(t), "double")), "influence"),
    "holes": (lambda t: parquet(replaced(t, "row", [None] * len(t), "int32")), "row"),
    "a row twice": (lambda t: parquet(replaced(t, "row", [3] * len(t), "int32")), "row"),
    "rows shifted": (lambda t: parquet(replaced(t, "row", list(range(1, len(t) + 1)), "int32")), "row"),
    "a strange split": (lambda t: parquet(replaced(t, "split", ["test"] * len(t), "string")), "split"),
    "half the rows": (lambda t: parquet(t.slice(0, len(t) // 2)), "row"),
    "no rows": (lambda t: parquet(t.slice(0, 0)), "split"),
}


@pytest.mark.parametrize("what", BAD_TABLES)
def test_tables_are_checked_before_and_after_reading(run_folder: Path, what: str) -> None:
    import pyarrow.parquet as pq

    make, field = BAD_TABLES[what]
    example.forge(run_folder, "predictions.parquet", make(pq.read_table(run_folder / "predictions.parquet")))
    report = assert_survives(run_folder)
    assert field in fields(report), told(report)
    assert "that stops the check" not in told(report)


def test_links_strangers_and_code_are_refused_wherever_they_lie(results: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    bad = [
        results / "evil.py",
        results / "demo" / "model.pt",
        results / "demo" / "runs" / "loose.json",
        results / "demo" / "runs" / "student" / "default" / "mood-11" / "evil.pkl",
        results / "demo" / "measurements" / "student" / "note.txt",
        results / "demo" / "entries" / "student" / "sub",
    ]
    for path in bad[:-1]:
        path.write_bytes(b"raise SystemExit('it was run')")
    bad[-1].mkdir()
    links = [
        results / "link",
        results / "demo" / "runs" / "link",
        results / "demo" / "runs" / "student" / "default" / "link-11",
        results / "demo" / "entries" / "student" / "link.json",
        results / "demo" / "attestations",
    ]
    for link in links:
        link.symlink_to(secret if link.suffix else tmp_path)
    named = {problem.file for problem in assert_survives(results).problems}
    assert {str(path) for path in (*bad, *links)} <= named


def test_a_linked_document_is_not_followed(run_folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    shutil.move(run_folder / "run.json", elsewhere)
    (run_folder / "run.json").symlink_to(elsewhere)
    assert "a symbolic link" in told(assert_survives(run_folder))


@pytest.mark.parametrize(
    "text",
    ['{"schema": "lightboard/run/1", "schema": 1}', '{"score": NaN}', "[]", "3", '"run"', "{}", "null"],
)
def test_documents_that_are_none(run_folder: Path, text: str) -> None:
    example.forge(run_folder, "run.json", text.encode())
    report = assert_survives(run_folder)
    assert set(report.documents[0].outcomes.values()) == {"failed"}


def test_types_are_strict(run_folder: Path) -> None:
    document = example.read(run_folder, "run.json")
    document["seed"] = "11"
    document["model"]["weights"][0]["shape"] = [60.5, 16]
    document["diverged"] = 0
    example.forge(run_folder, "run.json", document)
    assert {"seed", "model.weights.0.shape.0", "diverged"} <= fields(assert_survives(run_folder))


def test_a_name_is_never_taken_for_a_file(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.yaml").write_text("!!python/object/apply:os.system ['touch owned']")
    document = changed(example.read(run_folder, "run.json"), ("task",), "evil.yaml")
    example.forge(run_folder, "run.json", document)
    assert "task" in fields(assert_survives(run_folder))
    assert not (tmp_path / "owned").exists()


def test_an_exception_in_a_check_becomes_a_problem(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlucky(loaded: object) -> Iterator[Problem]:
        raise ZeroDivisionError("\x1b[31m")
        yield

    monkeypatch.setattr(recounted, "RUN", (unlucky,))
    (problem,) = assert_survives(run_folder).problems
    assert "unlucky" in problem.found and problem.file.endswith("run.json")


def test_nothing_heavy_is_imported() -> None:
    """What checks and publishes results starts fast and runs where torch is not installed."""
    code = (
        "import sys, suite.verify, suite.board, suite.index;"
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'sklearn'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_heavy_is_imported_while_checking(pristine_small: Path) -> None:
    code = (
        "import sys; from suite.verify import verify; assert verify(sys.argv[1]).ok;"
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'sklearn'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    command = [sys.executable, "-c", code, str(pristine_small)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
