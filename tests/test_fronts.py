"""Against leaving layers off: where a model stands at its own cost, and what a family's front is worth."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import fmean

import example_results as example
import pytest

from suite import board
from suite.canonical import pretty_json
from suite.documents import Entry, Front
from suite.fronts import START
from suite.index import entries
from suite.verify import verify

CURVE = tuple(
    example.Row("truncation", f"{n}-layers", default="3-layers", skill=skill, layers=n, speed=6 / n)
    for n, skill in ((1, 0.62), (3, 0.8))
)
STUDENT = example.Row("student", skill=0.9, layers=2, speed=2.5)
EARLY = tuple(
    example.Row("early", name, default="slow", skill=skill, layers=n, speed=5.5 / n)
    for name, skill, n in (("fast", 0.7, 1), ("slow", 0.85, 4))
)
UNTIMED = example.Row("untimed", skill=0.55, layers=5, timed=False)
PARTLY = example.Row("partly", skill=0.9, layers=2, tasks=("mood",), timed=False)
TREE = (*example.ROWS[:2], *CURVE, STUDENT, *EARLY, UNTIMED, PARTLY)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.build(tmp_path_factory.mktemp("results"), rows=TREE, seeds=(11, 23, 37))


@pytest.fixture(scope="module")
def found(results: Path) -> dict[str, Entry]:
    return {f"{entry.recipe}/{entry.variant}": entry for entry in entries(results)}


def flops(results: Path, name: str) -> float:
    """Mean of the tasks' FLOPs at dev lengths, from the runs."""
    runs = [results / "demo" / "runs" / name / f"{task}-11" for task in example.TASKS]
    return fmean(example.read(run, "run.json")["model"]["flops_per_example"]["dev"] for run in runs)


def board_score(entry: Entry) -> float:
    assert entry.board_score is not None
    return entry.board_score.value


def test_a_model_is_held_against_the_line_between_the_truncations_beside_it(results, found):
    front = found["student/default"].fronts["flops"]
    left, own, right = (
        math.log(flops(results, n)) for n in ("truncation/1-layers", "student/default", "truncation/3-layers")
    )
    below, above = (board_score(found[f"truncation/{n}-layers"]) for n in (1, 3))
    line = below + (own - left) / (right - left) * (above - below)
    assert front.above.value == pytest.approx(board_score(found["student/default"]) - line)
    assert front.cost == pytest.approx(math.exp(own) / flops(results, "reference/default"))
    assert front.above.interval is not None
    low, high = front.above.interval
    assert low < front.above.value < high and low > 0


def test_time_is_a_cost_where_it_was_measured(found):
    student = found["student/default"]
    (line,) = [one for one in student.speed if one.runtime == "onnx"]
    assert student.fronts[f"{line.profile}/onnx"].cost == pytest.approx(1 / line.ratio.value)
    assert set(found["untimed/default"].fronts) == {"flops"}


def test_worse_than_leaving_layers_off_is_said(found):
    above = found["untimed/default"].fronts["flops"].above
    assert above.value < 0 and above.interval is not None and above.interval[1] < 0


def test_a_family_has_an_area_and_only_its_ranked_variant_tells_it(found):
    slow, fast = (found[f"early/{name}"].fronts["flops"] for name in ("slow", "fast"))
    assert slow.area is not None and slow.area.interval is not None and slow.hypervolume is not None
    assert fast.area is None and fast.hypervolume is None
    assert found["student/default"].fronts["flops"].area is None
    # Two rectangles over the decades of cost: the fast one's height up to the slow one, then the slow one's.
    floor = board_score(found["majority/default"])
    fast_at, slow_at = math.log10(fast.cost), math.log10(slow.cost)
    expected = (slow_at - fast_at) * (board_score(found["early/fast"]) - floor)
    expected += -slow_at * (board_score(found["early/slow"]) - floor)
    assert slow.hypervolume == pytest.approx(expected)


def test_what_cannot_be_placed_has_no_front(found):
    for name in ("reference/default", "majority/default", "truncation/1-layers", "truncation/3-layers"):
        assert found[name].fronts == {}, name
    assert found["partly/default"].fronts == {}  # a core task is missing


def test_without_a_curve_there_are_none(tmp_path):
    tree = example.build(tmp_path, rows=(*example.ROWS[:2], STUDENT))
    assert all(entry.fronts == {} for entry in entries(tree))


def test_what_is_cheaper_than_a_front_starts_at_its_start(tmp_path):
    quick = example.Row("ngram", skill=0.7, layers=0, timed=False)
    tree = example.build(tmp_path, rows=(*example.ROWS[:2], quick, STUDENT))
    student = next(entry for entry in entries(tree) if entry.recipe == "student")
    assert START < student.fronts["flops"].cost < 1
    assert isinstance(student.fronts["flops"], Front)


def test_a_front_that_was_changed_is_refused_by_name(results):
    path = results / "demo" / "entries" / "student" / "default.json"
    before = path.read_bytes()
    try:
        document = json.loads(before)
        document["fronts"]["flops"]["above"]["value"] += 1
        path.write_bytes(pretty_json(document).encode())
        fields = {problem.field for problem in verify(results).problems}
        assert "fronts.flops.above.value" in fields
    finally:
        path.write_bytes(before)


def test_the_board_says_it_on_the_entry_and_among_strengths_and_weaknesses(results, tmp_path):
    out = board.build(results, tmp_path / "site").parent
    entry = (out / "tracks/demo/entries/student/default.html").read_text(encoding="utf-8")
    assert "Against leaving layers off" in entry
    pages = {
        name: (out / f"methods/{name}.html").read_text(encoding="utf-8") for name in ("student", "untimed")
    }
    said = "leaving layers off the reference gives for the same arithmetic"
    assert f"above what {said}" in pages["student"]
    assert f"below what {said}" in pages["untimed"]
