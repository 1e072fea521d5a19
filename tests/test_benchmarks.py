"""The benchmarks run, in their short modes; what they say of a busy machine is not looked at."""

from __future__ import annotations

import importlib
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def run(name: str, *arguments: str, store: Path, **variables: str) -> str:
    environment = {**os.environ, "LIGHTBOARD_STORE": str(store), **variables}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(FOLDER.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), *arguments], env=environment, capture_output=True, text=True,
        timeout=850, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_repeatability_in_short(tmp_path: Path) -> None:
    bare = {"XDG_CACHE_HOME": str(tmp_path), "LIGHTBOARD_OPTIMUM": ""}
    said = run("repeatability", "--short", store=tmp_path / "store", **bare)
    assert "| this suite |" in said and "| plain loop, means |" in said and "optimum" not in said
    assert "2 times each" in said and "times as tight" in said
    assert not (tmp_path / "lightboard-benchmarks").exists(), "the short mode installs nothing"


@pytest.mark.slow
def test_repeatability_beside_optimum_benchmark(tmp_path: Path) -> None:
    python = os.environ.get("LIGHTBOARD_OPTIMUM")
    if not python or not Path(python).exists():
        pytest.skip("LIGHTBOARD_OPTIMUM names no interpreter that has optimum-benchmark")
    said = run("repeatability", "--short", store=tmp_path, LIGHTBOARD_OPTIMUM=python)
    assert "| optimum-benchmark 0.6.0, means |" in said and "| optimum-benchmark 0.6.0, medians |" in said


@pytest.mark.slow
def test_drawn_weights_in_short(tmp_path: Path) -> None:
    said = run("drawn_weights", "--short", store=tmp_path)
    row = next(line for line in said.splitlines() if line.startswith("| tiny reference |"))
    assert row.count("[") == 1, "a ratio with its interval"


def test_runtimes_in_short(tmp_path: Path) -> None:
    said = run("runtimes", "--short", "--runtimes", "torch,onnx", store=tmp_path)
    header, _, *rows = [line for line in said.splitlines() if line.startswith("|")]
    assert header == "| model | torch | onnx |"
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == ["tiny reference", "tiny student"]
    assert all(float(cell.split()[0]) > 0 for row in cells for cell in row[1:]), "no cell is empty"
    assert "Peak of plain matrix products, GFLOP/s on one thread: torch " in said


def test_every_ranked_recipe_of_a_track_is_a_row(benchmark) -> None:  # type: ignore[no-untyped-def]
    from suite.loading import recipes
    from suite.protocol import track

    rows = list(benchmark("runtimes").methods(track("mini")))
    named = [name for row in rows for name in row.recipes]
    assert len(named) == len(set(named))
    wanted = {r.name for r in recipes() if "mini" in r.tracks and r.ablation is None}
    assert wanted - set(named) <= {"checkpoint"}, "only a model that is not here may be missing"
    assert len(rows) < len(named), "recipes with the same student are one row"


def test_spread_by_hand(benchmark) -> None:  # type: ignore[no-untyped-def]
    module = benchmark("repeatability")
    ratios = [2.0, 2.0 * math.e**0.01, 2.0 * math.e**-0.01]
    assert module.spread(ratios) == pytest.approx(1.0)
    assert module.farthest(ratios) == pytest.approx(100 * (math.e**0.01 - 1))
    wide = [2.0 * math.e**x for x in (0.0, 0.05, -0.05)]
    text = "\n".join(module.lines({"this suite": ratios, "plain loop, means": wide}, "so long"))
    assert "| this suite | 2.000 | 1.00% | 1.01% |" in text and "5.0 times as tight" in text
    assert text.endswith(": met.")
    assert "\n".join(module.lines({"this suite": wide, "plain loop, means": wide}, "x")).endswith(
        ": not met."
    )


def test_figures_get_into_the_readme_with_date_and_machine(benchmark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    report = benchmark("report")
    readme = tmp_path / "README.md"
    readme.write_text("# B\n\n<!-- one -->\nold\n<!-- /one -->\n\ntail\n")
    report.publish("one", report.table(["a", "b"], [["x", "1"]]), readme)
    text = readme.read_text()
    assert "old" not in text and text.endswith("\ntail\n") and "| x | 1 |" in text
    assert report.machine_kind() in text and __import__("socket").gethostname() not in report.machine_kind()
    with pytest.raises(ValueError, match="no section two"):
        report.publish("two", [], readme)


def test_the_readme_has_a_section_for_each_program() -> None:
    text = (FOLDER / "README.md").read_text()
    for program in ("repeatability", "runtimes", "train_step", "verify_rate"):
        assert f"<!-- {program} -->" in text and f"`{program}.py`" in text
        assert "--readme" in (FOLDER / f"{program}.py").read_text()
