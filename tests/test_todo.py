"""What is not measured yet, in which order, how long it takes; and working down that list."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import example_results as example
import pytest
from tiny import brief_profile
from typer.testing import CliRunner

from suite.cli import app
from suite.errors import UserError
from suite.folder import write
from suite.loading import load_profile
from suite.measure import attempts, run, todo
from suite.measure.attempts import Cell as Tried
from suite.measure.machine import unfit
from suite.pipeline.store import Store
from suite.profile import Profile

UNTIMED = [replace(row, timed=False) for row in example.ROWS]
TWIN = replace(UNTIMED[2], recipe="twin", skill=0.7)  # the student's graph, and ranked below it
HERE = ("onnx", "torch")  # runtimes that every installation has


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree in which nothing is measured, on a machine with two runtimes."""
    monkeypatch.setattr(
        todo, "names_of", lambda kind: [*HERE] if kind == "runtimes" else pytest.fail(f"asked for {kind}")
    )
    return example.build(tmp_path / "results", [*UNTIMED, TWIN])


def profiled(results: Path, row: example.Row, runtime: str = "onnx", **changes: object) -> None:
    """File a measurement of the tree's kind on a published profile."""
    files = example.measurement_files(row, runtime)
    document = json.loads(files["measurement.json"])
    document |= {
        "profile": "cpu-1-thread",
        "profile_hash": load_profile("cpu-1-thread").hash,
        **changes,
    }
    files["measurement.json"] = example.to_bytes(document)
    place = f"cpu-1-thread-{runtime}-reference-{example.DATE}"
    write(results / example.TRACK / "measurements" / row.recipe / row.variant / place, files)


def test_the_most_useful_comes_first(results: Path) -> None:
    found = todo.missing(results, example.TRACK).cells
    first = found[0]
    assert (first.recipe, first.profile, first.runtime) == ("reference", "cpu-1-thread", "onnx")
    assert first.scenario == ("single-stream", "trace") and first.against == ("reference",)
    ranked = {"reference", "student", "early", "majority", "half"}  # the twin inherits from the student
    top = [cell for cell in found if (cell.profile, cell.runtime) == ("cpu-1-thread", "onnx")]
    assert [c.recipe for c in top[:3]] == ["reference", "student", "early"], "the best ranked first"
    assert {c.recipe for c in found} == ranked
    # Traces before whole traces, those before curves; in each ranked variants before others.
    kinds = [
        (("trace", "offline trace", "lengths").index(c.scenario.title), c.variant == "fast") for c in found
    ]
    assert kinds == sorted(kinds)
    curves = [c for c in found if c.scenario.title == "lengths"]
    assert {(c.recipe, c.runtime) for c in curves} == set(product(ranked, HERE))
    assert {c.profile for c in curves} == {"cpu-1-thread"}
    assert not any(c.variant == "fast" and c.scenario != first.scenario for c in found)


def test_every_cell_is_there_once(results: Path) -> None:
    """Counted by another route: products of names less what a machine cannot answer."""
    found = todo.missing(results, example.TRACK)
    here = [p for p in todo._published() if unfit(p) is None]
    usable = {p.name: {r for r in (*p.runtimes, *p.optional_runtimes) if r in HERE} for p in here}
    expected = sum(
        len(usable[p.name]) * (6 + 5) + (5 * 2 if p.name == "cpu-1-thread" else 0) for p in here
    )  # six models asked a trace, five of them a whole one, and curves
    names = [cell.name for cell in found.cells]
    assert len(names) == len(set(names))
    assert len([c for c in found.cells if c.runtime in HERE]) == expected
    assert "quick" not in {cell.profile for cell in found.cells}, "its figures have no interval"
    assert {"raspberry-pi-5", "gpu"} <= set(found.profiles_elsewhere) | {p.name for p in here}


def test_what_is_measured_is_not_listed_nor_what_inherits_it(results: Path) -> None:
    student = example.ROWS[2]
    profiled(results, student)
    example.index(results)
    cells = todo.missing(results, example.TRACK, profile="cpu-1-thread").cells
    there = [(c.recipe, c.runtime) for c in cells if c.scenario == ("single-stream", "trace")]
    assert ("student", "onnx") not in there and ("twin", "onnx") not in there
    assert ("student", "torch") in there and ("reference", "onnx") in there
    profiled(results, student, "torch")
    cells = todo.missing(results, example.TRACK, profile="cpu-1-thread").cells
    assert ("student", "torch", "trace") not in {(c.recipe, c.runtime, c.scenario.title) for c in cells}


def test_what_is_timed_task_by_task_is_also_timed_in_its_own_runtime(results: Path) -> None:
    """Its trace is its task's alone, so no line of the reference's can stand beside it."""
    for folder in results.glob("*/runs/early/slow/*"):
        document = example.read(folder, "run.json")
        document["model"]["exits"] = {"1": document["model"]["dev_lengths"]}
        example.forge(folder, "run.json", document)
    example.index(results)
    found = todo.missing(results, example.TRACK, profile="cpu-1-thread")
    kinds = {
        (c.recipe, c.variant, c.runtime): c.against
        for c in (*found.cells, *found.untrained)
        if c.scenario == ("single-stream", "trace")
    }
    assert kinds["early", "slow", "torch"] == ("reference", "alone")
    assert kinds["early", "slow", "onnx"] == kinds["student", "default", "torch"] == ("reference",)


def test_recipes_can_be_chosen(results: Path) -> None:
    assert {c.recipe for c in todo.missing(results, example.TRACK, recipes=["twin"]).cells} == {"twin"}
    with pytest.raises(UserError, match="did you mean twin"):
        todo.missing(results, example.TRACK, recipes=["twins"])
    with pytest.raises(UserError, match="mini: no such folder"):
        todo.missing(results, "mini")


def test_what_was_tried_is_told_apart(results: Path) -> None:
    profile = load_profile("cpu-1-thread")
    entry = next(e for e in example.index(results) if e.recipe == "student")
    cell = Tried(example.TRACK, "student", "default", entry.recipe_hash, None, profile.name, profile.hash,
                 "torch", "single-stream", "trace")  # fmt: skip
    attempts.record(results, cell, "it does not fit")

    def there(cells: tuple[todo.Cell, ...]) -> bool:
        place = ("student", "torch", "trace")
        return place in {(c.recipe, c.runtime, c.scenario.title) for c in cells}

    found = todo.missing(results, example.TRACK, profile=profile.name)
    assert there(found.tried) and not there(found.cells)
    assert found.tried[0].tried == "it does not fit"
    profiled(results, example.ROWS[2], "torch")
    example.index(results)
    found = todo.missing(results, example.TRACK, profile=profile.name)
    assert not there(found.tried) and not there(found.cells), "it was measured since"


def test_what_needs_trained_weights_waits_for_them(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lower precision, and early exits; a store that has the models has everything."""
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(todo, "names_of", lambda kind: ["onnx", "onnx_int8_dynamic"])
    for folder in results.glob("*/runs/early/slow/*"):
        document = example.read(folder, "run.json")
        document["model"]["exits"] = {"1": document["model"]["dev_lengths"]}
        example.forge(folder, "run.json", document)
    example.index(results)

    def asked(kind: str, runtime: str) -> set[str]:
        found = todo.missing(results, example.TRACK, profile="cpu-1-thread")
        return {f"{c.recipe}/{c.variant}" for c in getattr(found, kind) if c.runtime == runtime}

    timed = {
        "reference/default",
        "student/default",
        "early/slow",
        "early/fast",
        "majority/default",
        "half/default",
    }
    everything = timed | {"twin/default"}  # whose times are the student's, but not its answers in 8 bits
    assert asked("cells", "onnx") == timed - {"early/slow"} and asked("untrained", "onnx") == {"early/slow"}
    assert asked("cells", "onnx_int8_dynamic") == set()
    assert asked("untrained", "onnx_int8_dynamic") == everything
    waiting = todo.missing(results, example.TRACK, profile="cpu-1-thread").waiting
    assert waiting is not None and "not trained here" in waiting and "student" in waiting
    for path in results.glob("*/runs/*/*/*/run.json"):
        stage = json.loads(path.read_text())["stages"][-1]
        with Store().make(stage["key"], {}):
            pass
    assert asked("cells", "onnx") == timed and asked("cells", "onnx_int8_dynamic") == everything
    assert asked("untrained", "onnx") == set() == asked("untrained", "onnx_int8_dynamic")
    profiled(results, example.ROWS[2], "onnx_int8_dynamic", precision="int8")
    cells = todo.missing(results, example.TRACK, profile="cpu-1-thread").cells
    left = {c.recipe for c in cells if (c.runtime, c.scenario.title) == ("onnx_int8_dynamic", "trace")}
    assert "twin" in left and "student" not in left, "what is measured is done for its own entry alone"


def test_time_follows_from_measurements_where_there_are_some(results: Path) -> None:
    def seconds(recipe: str) -> tuple[float, bool]:
        cells = todo.missing(results, example.TRACK, profile="cpu-1-thread").cells
        (cell,) = [c for c in cells if (c.recipe, c.runtime, c.scenario.title) == (recipe, "onnx", "trace")]
        return cell.seconds, cell.measured

    profiled(results, example.ROWS[2])
    guessed, measured = seconds("reference")
    assert guessed > 0 and not measured
    profiled(results, example.ROWS[1], seconds=5000.0)  # far longer than arithmetic says
    longer, measured = seconds("reference")
    assert measured and longer > 10 * guessed


def test_a_block_is_as_long_as_the_procedure_makes_it(results: Path) -> None:
    """By hand: 6 pairs of 6 rounds of both sides, each block at least half a second."""
    cells = todo.missing(results, example.TRACK, profile="cpu-1-thread").cells
    known = load_profile("cpu-1-thread")
    pairs = todo.track_of(example.TRACK).pairs or known.pairs
    tiny = next(c for c in cells if (c.recipe, c.runtime) == ("majority", "onnx"))
    timed = tiny.seconds - todo.EXPORT_SECONDS - 2 * pairs * todo.PROCESS_SECONDS
    shortest = pairs * 6 * 2 * known.block_seconds
    assert shortest <= timed <= 1.2 * shortest


# --- the command line ---------------------------------------------------------------------------------------


def test_plan_measure_prints_the_list(results: Path) -> None:
    where = ["--track", example.TRACK, "--results", str(results)]
    text = CliRunner().invoke(app, ["plan", "--measure", *where])
    assert text.exit_code == 0, text.output
    lines = text.output.splitlines()
    assert lines[0].endswith("reference/default on cpu-1-thread in onnx, trace")
    assert "to measure, about" in text.output and "not here: profile" in text.output
    printed = json.loads(CliRunner().invoke(app, ["plan", "--measure", "--json", *where]).stdout)
    assert printed["seconds"] == pytest.approx(sum(cell["seconds"] for cell in printed["cells"]))
    assert printed["cells"][0]["entry"] == "reference/default"
    refused = CliRunner().invoke(app, ["plan", *where])
    assert isinstance(refused.exception, UserError) and "--measure" in str(refused.exception)


def test_measure_all_goes_on_after_a_failure(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def attempt(_: object, recipe: str, **given: object) -> run.Made:
        asked.append((recipe, str(given["runtime"])))
        if recipe == "reference":
            raise RuntimeError("the exporter\nfell over")
        if recipe == "early":
            return run.Made([], [run.Empty("onnx", None, "does not fit")])
        files = example.measurement_files(example.ROWS[2])
        folder = results / "made" / str(len(asked))
        folder.mkdir(parents=True)
        (folder / "measurement.json").write_bytes(files["measurement.json"])
        return run.Made([folder], [])

    monkeypatch.setattr("suite.measure.apart.Apart.attempt", attempt)
    command = ["measure", "--all", "--track", example.TRACK, "--profile", "cpu-1-thread", "--runtime", "onnx"]
    where = ["--results", str(results)]
    done = CliRunner().invoke(app, [*command, *where])
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert [line for line in lines if line.startswith("empty: reference/default") and "fell over" in line]
    assert [line for line in lines if line.startswith("empty: early/slow") and "does not fit" in line]
    assert [line for line in lines if line.startswith("student/default") and "times the reference [" in line]
    assert {recipe for recipe, _ in asked} == {"reference", "student", "early", "majority", "half"}
    assert {runtime for _, runtime in asked} == {"onnx"}
    before = len(asked)
    nothing = CliRunner().invoke(app, [*command, "--minutes", "0", *where])
    assert nothing.exit_code == 0 and len(asked) == before and "left" in nothing.output
    lone = CliRunner().invoke(app, ["measure", "student", *where])
    assert isinstance(lone.exception, UserError) and "--all" in str(lone.exception)


def test_the_list_is_worked_down_and_then_empty(
    tiny_track: object, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real models, a profile of a moment: after one pass nothing is left; a second pass has nothing to do."""
    from suite.index import index
    from suite.pipeline.run import run as train

    brief_profile(monkeypatch, tmp_path, pairs=2)
    monkeypatch.setattr(todo, "SCENARIOS", todo.SCENARIOS[:1])
    results = tmp_path / "results"
    data = f"folder:{tiny_folder}/glue"
    train(["majority", "ngram", "reference"], track="demo", data=data, results=results)
    index(results)
    cells = todo.missing(results, "demo", profile="brief").cells
    assert [cell.recipe for cell in cells[:1]] and {c.recipe for c in cells} == {
        "majority",
        "ngram",
        "reference",
    }
    first, *_ = todo.work(cells[:1], results, data=data)
    assert first.reason is None and first.folders[0].is_dir()
    left = todo.missing(results, "demo", profile="brief").cells
    assert [c.name for c in left] == [c.name for c in cells[1:]], "it is resumed where it was left"
    assert all(cell.measured for cell in left)
    assert [one.reason for one in todo.work(left, results, data=data)] == [None, None]
    assert todo.missing(results, "demo", profile="brief").cells == ()


def test_profiles_that_have_no_interval_are_asked_for_by_name(results: Path) -> None:
    assert isinstance(load_profile("quick"), Profile)
    cells = todo.missing(results, example.TRACK, profile="quick").cells
    assert {cell.profile for cell in cells} == {"quick"} and {cell.runtime for cell in cells} == {"onnx"}
