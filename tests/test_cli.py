"""The command line as a person meets it: figures without weights, one-line errors, exit codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import example_results as example
import pytest
from rich.console import Console

from suite import cli
from suite.protocol import Track

ROOT = Path(__file__).parent.parent


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of a command in this process."""
    old, sys.argv = sys.argv, ["lightboard", *words]
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.argv = old
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "results"
    return example.build(out, example.ROWS[:3])


@pytest.mark.parametrize(
    ("recipe", "variant", "parameters", "gflops"),
    [
        ("reference", "default", 109_483_778, 22.348),
        ("truncation", "6-layers", 66_956_546, 11.175),
        ("distillation", "default", 66_956_546, 11.175),
        ("theseus", "default", 66_956_546, 11.175),
        ("distilbert", "default", 66_955_010, 11.175),
    ],
)
def test_cost_on_base_without_weights(
    recipe: str, variant: str, parameters: int, gflops: float, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, "cost", recipe, "--track", "base", "--variant", variant, "--json")
    (found,) = json.loads(out)
    assert code == 0
    assert found["parameters"]["total"] == parameters
    assert round(found["flops_per_example"]["128"] / 1e9, 3) == gflops


def test_cost_as_a_methods_authors_count_it(capsys: pytest.CaptureFixture[str]) -> None:
    """FastBERT's own figure for a BERT of 12 layers: products of linear layers alone, and one classifier."""
    words = ("cost", "fastbert", "--track", "base", "--published")
    code, out, _ = call(capsys, *words, "--variant", "full", "--json")
    (found,) = json.loads(out)
    assert code == 0 and found["published_flops_per_example"] == {"128": 21_785_247_744}
    assert found["flops_per_example"]["128"] > 22e9
    code, out, _ = call(capsys, *words)
    said = " ".join(out.split())
    assert code == 0 and "as its authors count them: full 21,785,247,744; layers-2 22,246,981,632;" in said


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("cost", "theseus", "-t", "base", "--published"), 2, "no other way of counting bert is known"),
        (("cost", "thesus", "-t", "base"), 2, "did you mean theseus"),
        (("cost", "theseus", "-t", "bse"), 2, "did you mean base"),
        (("cost", "truncation", "-t", "base", "--variant", "7-layers"), 2, "did you mean"),
        (("run", "theseus", "-t", "mini", "--data", "folder:/nowhere/glue"), 2, "/nowhere/glue"),
        (("run", "theseus", "-t", "mini", "--tasks", "colla"), 2, "did you mean cola"),
        (("run", "theseus", "-t", "mini", "--data", "carrier-pigeon"), 2, "carrier-pigeon"),
        (("verify", "{results}", "--data", "folder:/nowhere/glue"), 2, "found nothing at /nowhere/glue"),
        (("verify", "{results}", "--data", "foldr:/x"), 2, "expected one of auto, hub, generated"),
        (("site", "--results", "{results}", "--data", "foldr:/x"), 2, "expected one of auto, hub, generated"),
        (
            (
                "log",
                "demo/studnet/default",
                "--results",
                "{results}",
                "--what",
                "withdrawn",
                "--reason",
                "a b",
                "--by",
                "me",
            ),
            2,
            "found no document of it below",
        ),
        (
            (
                "log",
                "demo/student/default",
                "--results",
                "{results}",
                "--what",
                "corrected",
                "--reason",
                "a b",
                "--by",
                "me",
                "--against",
                "/nowhere",
            ),
            2,
            "/nowhere: no such folder",
        ),
        (("plan", "--measure", "-t", "demo", "--results", "/nowhere"), 2, "/nowhere/demo: no such folder"),
        (("plan", "--measure", "thesus", "-t", "demo", "--results", "{results}"), 2, "did you mean theseus"),
        (
            ("measure", "theseus", "--all", "-t", "demo", "--task", "mood"),
            2,
            "of those options it takes none",
        ),
        (("measure", "--all", "-t", "demo", "-r", "onix", "--results", "{results}"), 2, "did you mean onnx"),
        (
            ("pick", "-t", "demo", "-p", "raspberry-pi-5", "--results", "{results}"),
            2,
            "nothing of track demo was timed on it",
        ),
        (("export", "--results", "{results}", "--out", "/dev/null/x"), 1, "/dev/null/x: Not a directory"),
        (("run", "majority", "-t", "demo", "--results", "/dev/null/x"), 1, "/dev/null/x: Not a directory"),
        (("run", "ablations", "-t", "demo"), 2, "nothing to run"),
        (("verify", "/nowhere"), 2, "/nowhere"),
        (("measure", "theseus", "-t", "mini", "-p", "cpu-1-tread"), 2, "did you mean cpu-1-thread"),
    ],
)
def test_errors_are_one_line(
    words: tuple[str, ...], code: int, says: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(results.rglob("*"))
    found, out, err = call(capsys, *(word.replace("{results}", str(results)) for word in words))
    assert sorted(results.rglob("*")) == before
    assert found == code
    assert says in err
    assert "Traceback" not in err + out
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("hub", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_no_network_and_no_cache_is_one_line(hub: dict[str, str], tmp_path: Path) -> None:
    """In a process of its own, since the hub's library reads its environment once."""
    env = {
        **os.environ,
        **hub,
        "HF_HOME": str(tmp_path),
        "LIGHTBOARD_STORE": str(tmp_path / "s"),
    }
    env.pop("LIGHTBOARD_GLUE", None)
    command = [sys.executable, "-m", "suite.cli", "run", "majority", "-t", "mini", "--tasks", "cola"]
    found = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert found.returncode in (1, 2)
    assert len(found.stderr.strip().splitlines()) == 1
    assert "--data folder:" in found.stderr or "LIGHTBOARD_GLUE" in found.stderr


def test_plan_counts_and_a_run_lands_what_it_said(
    tiny_track: Track,
    tiny_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    more = ("-t", "demo", "--data", f"folder:{tiny_folder}/glue", "--results", str(tmp_path / "r"))
    code, out, _ = call(capsys, "plan", "distillation", "reference", *more, "--json")
    before: dict[str, Any] = json.loads(out)
    assert code == 0
    shared = next(stage for stage in before["stages"] if stage["stage"] == "finetune")
    assert sorted(shared["recipes"]) == ["distillation", "reference"]
    assert before["runs"] == 2 and before["landed"] == 0
    assert {"finetune", "distillation", "predictions"} <= {stage["stage"] for stage in before["stages"]}
    code, _, err = call(capsys, "run", "distillation", "reference", *more)
    assert code == 0, err
    after = json.loads(call(capsys, "plan", "distillation", "reference", *more, "--json")[1])
    assert after["landed"] == 2 and after["tflop_left"] == 0
    assert after["tflop"] == before["tflop"] > 0
    assert call(capsys, "index", "--results", str(tmp_path / "r"))[0] == 0
    code, out, _ = call(capsys, "list", "entries", "--results", str(tmp_path / "r"), "--json")
    assert {row["entry"] for row in json.loads(out)} == {"distillation/default", "reference/default"}
    # As in a clone of published results: nothing of them is made again, and a run says so.
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "elsewhere"))
    clone = json.loads(call(capsys, "plan", "distillation", "reference", *more, "--json")[1])
    assert clone["landed"] == 2 and clone["tflop_left"] == 0 < clone["tflop"]
    code, out, _ = call(capsys, "run", "distillation", "reference", *more)
    assert code == 0 and "all of them before" in " ".join(out.split())


def test_a_task_of_ones_own_is_run_indexed_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found below LIGHTBOARD_PATH, without a word of where its data are."""
    folder = tmp_path / "own" / "tasks"
    folder.mkdir(parents=True)
    said = {"good": ("fine", "lovely"), "bad": ("dull", "awful")}
    for split, count in (("train", 60), ("dev", 20)):
        rows = [f"it was {said[label][n % 2]} on day {n}\t{label}" for n in range(count) for label in said]
        (folder / f"{split}.tsv").write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    (folder / "mine.yaml").write_text(
        "schema: lightboard/task/1\nname: mine\ntext: [sentence]\nlabels: [bad, good]\nmetrics: [accuracy]\n"
        "files: {train: train.tsv, dev: dev.tsv}\n"
    )
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path / "own"))
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    results = str(tmp_path / "results")
    for words in (
        ("run", "majority", "ngram", "-t", "demo", "--tasks", "mine", "--results", results),
        ("index", "--results", results),
        ("verify", results, "--data", "auto"),
    ):
        code, _, err = call(capsys, *words)
        assert code == 0, err
    entry = json.loads((tmp_path / "results/demo/entries/ngram/default.json").read_text())
    assert entry["quality"]["mine"]["score"] == 100 and entry["board_score"] is None


@pytest.mark.parametrize("option", [("--tasks", "mood"), ("--seeds", "1"), ("--data", "generated")])
def test_a_plan_of_measurements_refuses_what_it_would_ignore(
    option: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "plan", "--measure", "-t", "demo", "--results", str(tmp_path), *option)
    assert code == 2 and option[0] in err and len(err.splitlines()) == 1


def test_the_store_tells_what_was_begun_and_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path))
    assert "not finished" not in call(capsys, "store", "ls")[1]
    (tmp_path / "partial" / "0123").mkdir(parents=True)
    (tmp_path / "partial" / "0123" / "checkpoint.pt").write_bytes(b"0" * 20_000_000)
    assert "1 begun and not finished, 0.02 GB" in " ".join(call(capsys, "store", "ls")[1].split())


@pytest.mark.parametrize("kind", ["recipes", "methods", "profiles", "tasks", "runtimes", "tracks"])
def test_list(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "list", kind, "--json")
    assert code == 0
    assert len(json.loads(out)) >= 2


def test_the_command_that_get_prints_can_be_pasted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from suite import get

    made = get.Got(Path("/tmp/a b"), "mood", 11, "the store", ())
    monkeypatch.setattr(get, "get", lambda *_, **__: made)
    code, out, _ = call(capsys, "get", "demo/student/default", "--out", "/tmp/a b")
    assert code == 0
    assert shlex.split(out.splitlines()[-1].removeprefix("try it: ")) == [
        "python",
        "/tmp/a b/answer.py",
        "a text",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_no_word_of_a_list_is_lost(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal of 80 columns folds a long text; a pipe has each row in a line."""
    from suite.loading import recipes

    monkeypatch.setattr(
        cli, "out", Console(highlight=False, width=80, force_terminal=terminal, no_color=True)
    )
    code, shown, _ = call(capsys, "list", "recipes")
    shown = re.sub(r"\x1b\[[\d;]*m", "", shown)
    rows = shown.splitlines()
    assert code == 0 and (not terminal or max(map(len, rows)) <= 80)
    for recipe in recipes():
        assert any(row.startswith(f"{recipe.name} ") for row in rows)
        assert terminal or any((recipe.ablation or "") in row for row in rows)
    words = {word for recipe in recipes() for word in (recipe.ablation or "").split()}
    assert not {word for word in words if len(word) < 8} - set(shown.split())


def test_ctrl_c_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    import tiny

    folder = tiny.make(tmp_path / "t")
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import tiny; from pathlib import Path\n"
        f"tiny.use(Path({str(folder)!r}))\n"
        "from suite import cli\n"
        f"sys.argv = ['lightboard', 'run', 'reference', '-t', 'demo', '--workers', '1',"
        f" '--data', 'folder:{folder}/glue',"
        f" '--results', '{folder}/r']\n"
        "cli.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list((folder / "store").glob("partial/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "goes on from here" in err.strip().splitlines()[-1]
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0
    assert list((folder / "r").rglob("run.json"))


@pytest.mark.parametrize(
    ("command", "goes_on"),
    [("run", True), ("measure", True), ("verify", False), ("site", False), ("plan", False)],
)
def test_only_what_goes_on_says_so(
    command: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", stopped)
    code, _, err = call(capsys, command)
    assert code == 1 and err.startswith("lightboard: stopped") and len(err.splitlines()) == 1
    assert ("goes on from here" in err) == goes_on


def test_ctrl_c_during_the_imports_is_one_line() -> None:
    code = (
        "import builtins, sys\n"
        "from suite.__main__ import main\n"
        "plain = builtins.__import__\n"
        "def stopped(name, *more, **named):\n"
        "    if name == 'rich.console': raise KeyboardInterrupt\n"
        "    return plain(name, *more, **named)\n"
        "builtins.__import__ = stopped\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (1, "lightboard: stopped\n")


def test_an_index_of_nothing_says_what_makes_something(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, "index", "--results", str(tmp_path))
    assert code == 0
    assert (
        out.startswith(f"no runs in {tmp_path}, so no entries; next: lightboard run ") and "verify" not in out
    )


def test_measuring_all_of_another_machines_profile_says_why_there_is_nothing(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("-t", "demo", "-p", "raspberry-pi-5", "--results", str(results))
    code, _, err = call(capsys, "measure", "--all", *more)
    _, planned, _ = call(capsys, "plan", "--measure", *more)
    (reason,) = [
        line for line in planned.splitlines() if line.startswith("not here: profile raspberry-pi-5: ")
    ]
    assert code == 0 and reason in err.splitlines()


def test_the_right_half_imports_no_heavy_library() -> None:
    code = (
        "import sys, suite.verify, suite.board, suite.index\n"
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_the_shipped_wheel_holds_its_recipes(tmp_path: Path) -> None:
    """pyproject names what a wheel carries besides the package; those folders must exist and not be empty."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for folder in shipped:
        assert any((ROOT / folder).iterdir())
    assert shutil.which("lightboard") or (Path(sys.executable).parent / "lightboard").exists()
