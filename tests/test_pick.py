"""Picking inside a budget: what fits, what the next step up costs, how sure it is elsewhere."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_board as boards
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from typer.testing import CliRunner

from suite import statistics
from suite.cli import app
from suite.errors import UserError
from suite.pick import (
    Budget,
    Candidate,
    byte_count,
    chance,
    command,
    milliseconds,
    pick,
    t_cdf,
)

ROOT = Path(__file__).resolve().parent.parent


def candidate(name: str, score: float, ratio: float | None = None, **more: Any) -> Candidate:
    return Candidate(f"mini/{name}/default", name, score, (score - 1, score + 1), "onnx", ratio, **more)


LINE = (
    candidate("big", 75, 1.0, size_bytes=90_000_000, memory_bytes=200_000_000),
    candidate("middle", 72, 2.0, size_bytes=70_000_000, memory_bytes=150_000_000, log_se=0.01, degrees=5),
    candidate("small", 71.5, 2.5, size_bytes=40_000_000, memory_bytes=120_000_000),
    candidate("tiny", 60, 10.0, size_bytes=2_000_000, memory_bytes=30_000_000),
    candidate("untimed", 74, size_bytes=50_000_000),
)


def names(found: Any) -> list[str]:
    return [one.candidate.label for one in found]


def test_what_fits_is_ranked_and_ties_are_told() -> None:
    found = pick(LINE, Budget(latency_ms=6), 10)
    assert names(found.choices) == ["middle", "small", "tiny"]
    assert [one.tied for one in found.choices] == [True, True, False]
    assert [one.latency_ms for one in found.choices] == [5.0, 4.0, 1.0]
    assert found.unmeasured == 1


def test_the_next_step_up_is_the_nearest_that_is_better() -> None:
    found = pick(LINE, Budget(latency_ms=4.5, size_bytes=80e6), 10)
    assert names(found.choices) == ["small", "tiny"]
    (step,) = found.steps  # the big one breaks both limits, so no single step admits it
    assert (step.limit, step.candidate.label, step.gain) == ("latency", "middle", 0.5)
    assert step.more == pytest.approx(0.5)


def test_where_nothing_fits_the_nearest_limit_is_named() -> None:
    found = pick(LINE, Budget(latency_ms=0.5, score=50), 10)
    assert not found.choices
    (step,) = found.steps
    assert (step.limit, step.candidate.label, step.gain) == ("latency", "tiny", None)
    found = pick(LINE, Budget(latency_ms=6, score=73), 10)
    assert {(s.limit, s.candidate.label): s.more for s in found.steps} == pytest.approx(
        {("latency", "big"): 4.0, ("score", "middle"): 1.0}
    )


def test_milliseconds_follow_the_machine_and_ratios_stay() -> None:
    here, there = (pick(LINE, Budget(latency_ms=10), ms) for ms in (10, 40))
    assert names(here.choices) == ["big", "middle", "small", "tiny"]
    assert names(there.choices) == ["tiny"]


def test_the_chance_is_that_of_the_ratio() -> None:
    """By simulation: the ratio's logarithm, t distributed around its estimate."""
    middle = LINE[1]
    drawn = np.random.default_rng(5).standard_t(5, 400_000) * 0.01 + math.log(2.0)
    for most in (4.9, 5.0, 5.05):
        expected = float((10 / np.exp(drawn) <= most).mean())
        assert chance(middle, most, 10) == pytest.approx(expected, abs=0.004)
    assert chance(middle, 5.0, 10) == pytest.approx(0.5)
    assert chance(LINE[0], 5.0, 10) is None  # no interval: nothing to say
    assert chance(middle, None, 10) is None


def test_an_interval_gives_back_its_own_chance() -> None:
    """At the slow end of a 95% interval the chance is 97.5%."""
    low, high = 1.8, 2.0**2 / 1.8
    one = candidate("x", 70, 2.0, log_se=statistics.log_standard_error((low, high), 6), degrees=5)
    assert chance(one, 10 / low, 10) == pytest.approx(0.975)
    assert chance(one, 10 / high, 10) == pytest.approx(0.025)
    assert statistics.log_standard_error(None, 2) is None


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 29])
def test_students_t(degrees: int) -> None:
    for t in (-12.0, -3.2, -0.4, 0.0, 0.7, 2.5, 30.0):
        assert t_cdf(t, degrees) == pytest.approx(special.stdtr(degrees, t), abs=1e-12)


@given(
    st.lists(st.tuples(st.integers(20, 80), st.sampled_from([None, 0.5, 1.0, 2.0, 4.0])), max_size=8),
    st.integers(1, 30),
    st.integers(20, 80),
)
def test_nothing_is_left_out_and_nothing_let_in(
    rows: list[tuple[int, float | None]], most: int, least: int
) -> None:
    line = [candidate(f"m{i}", score, ratio) for i, (score, ratio) in enumerate(rows)]
    found = pick(line, Budget(latency_ms=most, score=least), 12)
    expected = {c.label for c in line if c.ratio and 12 / c.ratio <= most and c.score >= least}
    assert set(names(found.choices)) == expected
    scores = [one.candidate.score for one in found.choices]
    assert scores == sorted(scores, reverse=True)
    for step in found.steps:
        if step.limit == "latency":
            widened = pick(line, Budget(latency_ms=most + step.more + 1e-9, score=least), 12)
            assert step.candidate.label in names(widened.choices)
            assert widened.choices[0].candidate.score > max(scores, default=-1)


def test_amounts_as_people_write_them() -> None:
    assert [milliseconds(text, "--x") for text in ("20ms", "0.5s", "12", "800us")] == [
        20,
        500,
        12,
        pytest.approx(0.8),
    ]
    assert [byte_count(text, "--x") for text in ("30MB", "500 kB", "1GiB")] == [30e6, 500e3, 2**30]
    for wrong in ("30", "MB", "-3MB", "3 parsec", "0MB", "nan MB", "1e3MB"):
        with pytest.raises(UserError, match="--x"):
            byte_count(wrong, "--x")


def test_the_command_names_entry_runtime_and_folder() -> None:
    assert command(LINE[1]) == "lightboard get mini/middle/default --runtime onnx --out middle"


# --- the command line ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cases = [copy.copy(case) for case in boards.MINI]
    for case in cases:
        case.documents = False
    return boards.write_results(tmp_path_factory.mktemp("pick") / "results", {"mini": cases})


def run(results: Path, *arguments: str) -> tuple[int, str]:
    given = CliRunner().invoke(app, ["pick", "--track", "mini", "--results", str(results), *arguments])
    return given.exit_code, given.output


def test_pick_on_the_command_line(results: Path) -> None:
    code, told = run(results, "--max-latency", "8ms")
    lines = told.splitlines()
    assert code == 0
    assert lines[1].startswith("best: BERT-of-Theseus (mini/theseus/default), score 72.4, about 7.88 ms")
    assert "keeps 8.00 ms with a chance of 88%" in lines[1]
    assert lines[-1] == "lightboard get mini/theseus/default --runtime onnx --out theseus"
    assert any(line.startswith("4.7 ms more buys +2.1: Truncation, 5-layers") for line in lines)


def test_pick_for_another_machine_and_as_json(results: Path) -> None:
    code, told = run(results, "--max-latency", "8ms", "--reference-latency", "30.4ms", "--json")
    document = json.loads(told)
    assert code == 0 and document["reference_ms"] == 30.4
    by_name = {one["candidate"]["entry"]: one for one in document["choices"]}
    assert "mini/theseus/default" not in by_name  # 1.93 times as fast as 30.4 ms is 15.8 ms
    assert by_name["mini/truncation/1-layers"]["latency_ms"] == pytest.approx(30.4 / 6)
    assert document["choices"][0]["candidate"]["score"] == max(
        c["candidate"]["score"] for c in document["choices"]
    )


def test_pick_says_what_is_wrong_in_one_line(results: Path) -> None:
    code, told = run(results, "--max-latency", "0.001ms")
    assert code == 1 and "No rows fit." in told and "admits" in told
    for wrong in (["--profile", "cpu-1-tread"], ["--runtime", "onx"], ["--max-size", "30"]):
        given = CliRunner().invoke(app, ["pick", "--track", "mini", "--results", str(results), *wrong])
        assert isinstance(given.exception, UserError) and "\n" not in str(given.exception)


def test_picking_loads_nothing_heavy() -> None:
    code = (
        "import sys, suite.pick; "
        "print([m for m in ('torch', 'transformers', 'numpy', 'pandas', 'scipy', 'suite.board') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    assert told.stdout.strip() == "[]"
