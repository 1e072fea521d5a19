"""Entries: what a reader is told of a recipe follows from its runs and measurements, and only from them."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import example_results as example
import numpy as np
import pytest
from scipy import stats

from suite import load_results
from suite.canonical import digest
from suite.documents import Entry, Ratio
from suite.errors import UserError
from suite.folder import write
from suite.index import _own_evidence as own_evidence
from suite.index import compute, entries, entry_path, index
from suite.verify import verify

ROWS = {(row.recipe, row.variant): row for row in example.ROWS}
REFERENCE, MAJORITY, STUDENT = (ROWS[name, "default"] for name in ("reference", "majority", "student"))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.build(tmp_path_factory.mktemp("results"), seeds=(11, 23, 37))


@pytest.fixture
def results(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "results"))


def by_name(found: list[Entry]) -> dict[str, Entry]:
    return {f"{entry.recipe}/{entry.variant}": entry for entry in found}


def scores(results: Path, row: example.Row, task: str) -> list[float]:
    folder = results / "demo" / "runs" / row.recipe / row.variant
    return [float(example.read(path, "run.json")["score"]) for path in sorted(folder.glob(f"{task}-*"))]


def test_one_entry_per_recipe_and_variant(results: Path) -> None:
    expected = sorted(f"{row.recipe}/{row.variant}" for row in example.ROWS)
    assert sorted(by_name(entries(results))) == expected


def test_a_task_is_the_mean_of_its_runs_in_the_protocols_order(results: Path) -> None:
    quality = by_name(entries(results))["student/default"].quality["mood"]
    assert [line.seed for line in quality.runs] == [11, 23, 37]
    assert quality.score == pytest.approx(sum(scores(results, STUDENT, "mood")) / 3, rel=1e-12)
    assert quality.interval[0] < quality.score < quality.interval[1]
    assert all((results / "demo" / line.run / "run.json").is_file() for line in quality.runs)


def test_board_score_is_the_mean_of_the_core_tasks_and_needs_them_all(results: Path) -> None:
    found = by_name(entries(results))
    student = found["student/default"]
    assert student.board_score is not None and student.board_score.interval is not None
    expected = (student.quality["mood"].score + student.quality["same"].score) / 2
    assert student.board_score.value == pytest.approx(expected, rel=1e-12)
    half = found["half/default"]
    assert half.board_score is None and half.ranks is None
    assert half.board_score_reason == "n/a: no run of same"


def test_only_default_variants_are_ranked(results: Path) -> None:
    found = by_name(entries(results))
    assert {name for name, entry in found.items() if entry.ranks} == {
        "reference/default", "student/default", "majority/default", "early/slow",
    }  # fmt: skip
    assert not found["early/fast"].default and found["early/slow"].default
    best, worst = found["reference/default"].ranks, found["majority/default"].ranks
    assert best and worst
    assert (best.lowest, best.ties_with_best, best.of) == (1, True, 4)
    assert (worst.highest, worst.ties_with_best) == (4, False)


def test_retention_is_held_between_majority_and_reference(results: Path) -> None:
    found = by_name(entries(results))
    top, floor, student = (
        found[name].quality["mood"] for name in ("reference/default", "majority/default", "student/default")
    )
    assert student.retention is not None and top.retention is not None and floor.retention is not None
    expected = (student.score - floor.score) / (top.score - floor.score)
    assert student.retention.value == pytest.approx(expected, rel=1e-9)
    assert top.retention.value == 1.0
    assert floor.retention.value == pytest.approx(0.0, abs=1e-12)


def test_without_a_reference_retention_says_why(tmp_path: Path) -> None:
    example.build(tmp_path, (STUDENT,))
    quality = entries(tmp_path)[0].quality["mood"]
    assert quality.retention is None
    assert quality.retention_reason == "n/a: the reference has no run of mood here"


def test_a_measurement_joins_by_graph(results: Path) -> None:
    entry = by_name(entries(results))["student/default"]
    lines = {line.runtime: line for line in entry.speed}
    assert set(lines) == {"onnx", "torch"}
    assert lines["onnx"].alone_ratio == lines["onnx"].ratio  # the reference runs in onnx
    assert lines["torch"].alone_ratio is not None
    assert lines["torch"].alone_ratio != lines["torch"].ratio
    assert lines["onnx"].ratio.value == pytest.approx(STUDENT.speed, rel=0.05)
    assert not any(line.inherited for line in entry.speed)
    assert {line.processor for line in entry.speed} == {"An example processor"}
    assert entry.cost.bytes["onnx/fp32"] == lines["onnx"].model_bytes


def test_speed_from_compression_alone_follows_from_the_references_own_line(results: Path) -> None:
    """Both times were paired with the one reference, which drops out; not where anything else differed."""
    shutil.rmtree(results / f"demo/measurements/student/default/example-torch-alone-{example.DATE}")
    assert alone_of(index(results)) is None
    reference = next(row for row in example.ROWS if row.recipe == "reference")
    folder = example.add_measurement(results, reference, "torch")
    made = by_name(index(results))
    own, theirs = (made[f"{name}/default"].speed[-1] for name in ("student", "reference"))
    found = own.alone_ratio
    assert found is not None and own.ratio.interval and theirs.ratio.interval and found.interval
    assert found.value == pytest.approx(own.ratio.value / theirs.ratio.value)
    # Welch by hand: variances of both means, and degrees of freedom by how much each weighs.
    parts = [(math.log(r.interval[1] / r.interval[0]) / 2, r.pairs - 1) for r in (own.ratio, theirs.ratio)]
    variances = [(half / stats.t.ppf(0.975, free)) ** 2 for half, free in parts]
    free = sum(variances) ** 2 / sum(v**2 / f for v, (_, f) in zip(variances, parts, strict=True))
    expected = stats.t.ppf(0.975, free) * math.sqrt(sum(variances))
    assert math.log(found.interval[1] / found.value) == pytest.approx(expected)
    assert math.log(found.value / found.interval[0]) == pytest.approx(expected)
    assert theirs.alone_ratio == Ratio(value=1.0, interval=(1.0, 1.0), pairs=theirs.ratio.pairs)
    document = example.read(folder, "measurement.json")
    document["machine"]["cpu"] = "another"
    example.forge(folder, "measurement.json", document)
    assert alone_of(index(results)) is None
    # Ratios that no clock gives are no documents: nothing that divides by one, or takes its logarithm, ever meets it.
    for interval, value in (
        ([-1.0, 2.0], 1.0),
        ([0.5, 2.0], 0.0),
        ([1.0, 1.0], 1e308),
        ([1e-300, 1e300], 1.0),
    ):
        document["ratio"] |= {"value": value, "interval": interval}
        example.forge(folder, "measurement.json", document)
        computed = compute(results / "demo")
        assert "ratio" in " ".join(computed.unreadable) and alone_of(computed.entries) is None


def alone_of(made: list[Entry]) -> Ratio | None:
    return next(
        line.alone_ratio for line in by_name(made)["student/default"].speed if line.runtime == "torch"
    )


def test_a_twin_with_the_same_graph_inherits_unless_time_depends_on_weights(results: Path) -> None:
    twin = replace(STUDENT, recipe="twin", method="twin")
    for task in example.TASKS:
        example.add_run(results, twin, task)
    inherited = by_name(index(results))["twin/default"].speed
    assert [line.inherited for line in inherited] == [True, True]
    assert inherited[0].measurement.startswith("measurements/student/")
    # A measurement that names a task was of that task's weights: it says nothing of another model.
    for folder in (results / "demo" / "measurements" / "student" / "default").iterdir():
        document = {**example.read(folder, "measurement.json"), "task": "mood"}
        example.forge(folder, "measurement.json", document)
        head, tail = folder.name.rsplit(f"-{example.DATE}", 1)
        folder.rename(folder.with_name(f"{head}-mood-{example.DATE}{tail}"))
    found = by_name(index(results))
    assert found["twin/default"].speed == ()
    assert len(found["student/default"].speed) == 2
    # Its own measurement comes before an inherited one.
    example.add_measurement(results, twin)
    (own,) = by_name(index(results))["twin/default"].speed
    assert not own.inherited and own.measurement.startswith("measurements/twin/")


def test_units_of_several_queries_have_no_slowest_query(results: Path) -> None:
    folder = results / f"demo/measurements/student/default/example-onnx-reference-{example.DATE}"
    latency = {**example.read(folder, "measurement.json")["latency_ms"], "p90": 5.0, "p90_reason": None}
    for repeats in (1, 3):
        document = example.read(folder, "measurement.json") | {"repeats": repeats, "latency_ms": latency}
        example.forge(folder, "measurement.json", document)
        line = next(one for one in by_name(index(results))["student/default"].speed if one.runtime == "onnx")
        assert line.latency_ms.p50 == latency["p50"]
        assert (line.latency_ms.p90, line.latency_ms.p99_reason) == (
            5.0 if repeats == 1 else None,
            latency["p99_reason"],
        )
    assert line.latency_ms.p90_reason and "units of 3 queries" in line.latency_ms.p90_reason


def test_one_time_speaks_for_all_tasks_only_where_their_networks_are_alike(results: Path) -> None:
    folder = results / f"demo/measurements/student/default/example-onnx-reference-{example.DATE}"
    named = folder.with_name(f"example-onnx-reference-mood-{example.DATE}")
    shutil.copytree(folder, named)
    example.forge(named, "measurement.json", {**example.read(named, "measurement.json"), "task": "mood"})
    lines = [line for line in by_name(index(results))["student/default"].speed if line.runtime == "onnx"]
    assert [line.task for line in lines] == [None], (
        "somebody asked for one task; the whole is still the whole"
    )
    # As after a search: the network of one task has the graph that was timed, that of the other has not.
    for task, mark in (("mood", "a"), ("same", "b")):
        run = results / f"demo/runs/student/default/{task}-11"
        document = example.read(run, "run.json")
        document["model"]["config"] = {**document["model"]["config"], "search": mark}
        example.forge(run, "run.json", document)
    lines = [line for line in by_name(index(results))["student/default"].speed if line.runtime == "onnx"]
    assert [line.task for line in lines] == ["mood"]


def test_cost_and_training_cost(results: Path) -> None:
    entry = by_name(entries(results))["student/default"]
    folder = results / "demo" / "runs" / "student" / "default"
    run = example.read(folder / "mood-11", "run.json")
    assert entry.cost.parameters.model_dump() == run["model"]["parameters"]
    assert set(entry.cost.flops_per_example) == {"128", "dev/mood", "dev/same"}
    # One seed of both tasks.
    assert entry.training_cost.tflop == pytest.approx(2 * (1.1 + 0.7), rel=1e-12)
    assert entry.training_cost.tokens == 2 * 90_001


def test_memory_is_what_the_model_needs_above_the_interpreter(results: Path) -> None:
    assert by_name(entries(results))["student/default"].speed[0].peak_memory_bytes == 91_000_000 - 60_000_000


def test_runs_of_an_older_recipe_are_left_out_and_named(results: Path) -> None:
    changed = replace(STUDENT, parameters={"rate": 1e-4})
    place = results / "demo" / "runs" / "student" / "default" / "mood-11"
    shutil.rmtree(place)
    example.add_run(results, changed, "mood")
    computed = compute(results / "demo")
    entry = by_name(computed.entries)["student/default"]
    assert entry.recipe_hash == digest(example.settings_of(STUDENT))  # five runs against one
    assert [line.seed for line in entry.quality["mood"].runs] == [23, 37]
    (note,) = computed.notes
    assert "runs/student/default/mood-11" in note


def test_other_dev_rows_never_share_a_table(results: Path) -> None:
    for seed in (11, 23, 37):
        folder = results / "demo" / "runs" / "student" / "default" / f"mood-{seed}"
        document = example.read(folder, "run.json")
        (split,) = document["data"]["dev"]
        document["data"]["dev"][split]["fingerprint"] = digest("other rows")
        example.forge(folder, "run.json", document)
    entry = by_name(index(results))["student/default"]
    assert entry.ranks is None and entry.board_score is None
    assert entry.quality["mood"].retention_reason == "n/a: other dev rows than the reference's"
    assert math.isfinite(entry.quality["mood"].score)
    assert entry.quality["same"].retention is not None


@pytest.mark.parametrize(("sizes", "speaks"), [((100, 100, 900), 100), ((100, 300, 900), 900)])
def test_of_runs_on_several_numbers_of_rows_the_commonest_speaks(sizes: tuple[int, ...], speaks: int) -> None:
    runs: Any = [
        SimpleNamespace(influence=np.ones(size), run=SimpleNamespace(score=50.0 + size, diverged=False))
        for size in sizes
    ]
    evidence = own_evidence(runs)
    assert len(evidence.influence) == speaks
    assert evidence.score == pytest.approx(50 + sum(sizes) / 3)


def test_open_rows_are_ranked_among_themselves(results: Path) -> None:
    free = replace(STUDENT, recipe="free", method="free", division="open", timed=False)
    for task in example.TASKS:
        example.add_run(results, free, task)
    found = by_name(index(results))
    ranks = found["free/default"].ranks
    assert ranks and ranks.of == 1
    assert found["student/default"].ranks == by_name(entries(results))["student/default"].ranks
    assert found["free/default"].quality["mood"].retention is not None  # held against the standard reference


def test_indexing_again_changes_no_byte_and_removes_what_has_no_runs(results: Path) -> None:
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in results.rglob("entries/*/*.json")
    }
    index(results)
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in results.rglob("entries/*/*.json")}
    assert before == after
    shutil.rmtree(results / "demo" / "runs" / "half")
    index(results, "demo")
    assert not (results / "demo" / "entries" / "half" / "default.json").exists()


def test_entries_do_not_depend_on_the_order_of_writing(pristine: Path, tmp_path: Path) -> None:
    again = example.build(tmp_path / "again", tuple(reversed(example.ROWS)), seeds=(37, 23, 11))
    for entry in entries(pristine):
        path = entry_path(Path("demo"), entry)
        assert (again / path).read_bytes() == (pristine / path).read_bytes()


def test_a_document_in_the_wrong_place_stops_the_index(results: Path) -> None:
    files = example.run_files(STUDENT, "mood", 11)
    write(results / "demo" / "runs" / "student" / "default" / "mood-99", files)
    with pytest.raises(UserError, match=r"mood-99.*lightboard verify"):
        index(results)


def test_errors_say_what_to_do(tmp_path: Path, results: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        index(tmp_path / "absent")
    with pytest.raises(UserError, match="there are: demo"):
        index(results, "mini")


def test_as_a_data_frame(results: Path) -> None:
    frame = load_results(results)
    assert len(frame) == 11  # entries x their tasks
    row = frame[(frame.recipe == "student") & (frame.task == "mood")].iloc[0]
    entry = by_name(entries(results))["student/default"]
    assert row.score_points == entry.quality["mood"].score
    assert row["speedup[example/onnx/fp32/single-stream/trace]"] == entry.speed[0].ratio.value
    assert row.runs == 3 and row.core and row.rank_lowest == 2
    half = frame[frame.recipe == "half"].iloc[0]
    assert math.isnan(half.board_score_points)
    assert list(load_results(results, "demo").columns) == list(frame.columns)


def test_a_results_tree_without_entries_gives_an_empty_frame(tmp_path: Path) -> None:
    frame = load_results(tmp_path)
    assert len(frame) == 0 and "score_points" in frame.columns


ABLATION = example.Row(
    "student-short", skill=0.70, layers=3, tasks=("mood",), timed=False, ablation_of="student"
)


def test_an_ablation_is_compared_with_its_parent_on_the_seeds_both_have(results: Path) -> None:
    for seed in (11, 23):
        example.add_run(results, ABLATION, "mood", seed)
    before = by_name(entries(results))
    after = by_name(index(results))
    entry = after["student-short/default"]
    assert (entry.ablation_of, entry.default, entry.ranks) == ("student", False, None)
    assert set(entry.differences) == {"mood"}
    found = entry.differences["mood"]
    mine, theirs = (scores(results, row, "mood")[:2] for row in (ABLATION, STUDENT))
    assert found.value == pytest.approx(sum(mine) / 2 - sum(theirs) / 2, abs=1e-9)
    assert found.seeds == (11, 23)
    assert found.interval[1] < 0 and found.p < 0.01, "18 points of 2,000 examples cannot be chance"
    for name, entry in before.items():
        assert after[name].ranks == entry.ranks, "ablations change nobody's rank"
        assert not after[name].differences


def test_an_ablation_stands_on_its_parents_page_and_in_no_ranking(results: Path, tmp_path: Path) -> None:
    from suite.board import build

    example.add_run(results, ABLATION, "mood", 11)
    index(results)
    site = build(results, tmp_path / "site").parent
    assert "Ablations, demo track" in (site / "methods" / "student.html").read_text()
    assert not (site / "methods" / "student-short.html").exists()
    assert "student-short" not in (site / "tracks" / "demo" / "index.html").read_text()
    assert (site / "tracks" / "demo" / "entries" / "student-short" / "default.html").is_file()


def test_no_foreign_run_moves_a_row_into_another_division(results: Path) -> None:
    """Whoever adds a run of the same settings, but trained as they like, adds it beside the entry, not to it."""
    before = by_name(entries(results))["half/default"]
    for seed in (11, 23, 37, 41):
        example.add_run(results, replace(ROWS["half", "default"], division="open"), "same", seed)
    computed = compute(results / "demo")
    assert by_name(computed.entries)["half/default"] == before
    (note,) = computed.notes
    assert "4 runs of another division" in note and "runs/half/default/same-11" in note


def test_a_recipe_has_one_ranked_variant(results: Path) -> None:
    """A second one would be ranked twice, or stand for the reference that every row is held against."""
    before = by_name(entries(results))
    second = replace(REFERENCE, variant="zzz", default="zzz", skill=0.6, timed=False)
    for task in example.TASKS:
        example.add_run(results, second, task)
    computed = compute(results / "demo")
    (problem,) = computed.problems
    assert (problem.field, problem.found) == ("settings.default", "zzz")
    assert "runs/reference/zzz/" in problem.file and "runs/reference/default/" in problem.expected
    for name, entry in by_name(computed.entries).items():
        if name in before:
            assert entry.quality["mood"].retention == before[name].quality["mood"].retention
    assert "settings.default" in {found.field for found in verify(results).problems}
    with pytest.raises(UserError, match=r"settings\.default.*lightboard verify"):
        index(results)


def test_costs_beyond_all_numbers_are_no_documents(results: Path) -> None:
    """Each is a number, and their sum is none."""
    for seed in (11, 23):
        folder = results / f"demo/runs/student/default/mood-{seed}"
        document = example.read(folder, "run.json")
        document["stages"][-1]["tflop"] = document["training_cost"]["tflop"] = 1.5e308
        example.forge(folder, "run.json", document)
    with pytest.raises(UserError, match=r"tflop.*lightboard verify"):
        index(results)
