"""A process held to a memory limit, killed, or given a model it cannot hold: the others go on, its cell says why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_latency import adder, linear, profile, subject_of, tiny_plan, trace  # noqa: F401  # fixtures

import suite
from suite import index
from suite.documents import Attempt, Measurement
from suite.errors import UserError
from suite.measure import attempts, latency, memory, run
from suite.measure.apart import Apart
from suite.verify import verify

HERE = {**os.environ, "PYTHONPATH": str(Path(suite.__file__).resolve().parent.parent), "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
linux = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA is enforced on Linux alone")


@linux
def test_a_limit_holds_before_anything_is_loaded() -> None:
    code = (
        "from suite.measure.memory import confine; print(confine(300 * 2**20)); import numpy as np\n"
        "held = np.ones(2**20); print('small')\n"
        "try: np.ones(2**28)\n"
        "except MemoryError: print('full')"
    )
    done = subprocess.run([sys.executable, "-c", code], env=HERE, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] in ("cgroup", "RLIMIT_DATA") and done.stdout.split()[1:] == [
        "small",
        "full",
    ]


def test_a_cgroup_of_its_own_where_there_is_a_memory_controller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "user.slice" / "session.scope"
    own.mkdir(parents=True)
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    monkeypatch.setattr(memory, "own_group", lambda groups: own)
    (own / "cgroup.subtree_control").write_text("cpu\n")  # no memory below it, but beside it
    (own.parent / "cgroup.subtree_control").write_text("cpu memory\n")
    assert memory.confine(123_456_789, tmp_path) == "cgroup"
    group = own.parent / memory.group_name(os.getpid())
    assert (group / "memory.max").read_text() == "123456789"
    assert (group / "cgroup.procs").read_text() == "0"  # this process
    for file in group.iterdir():
        file.unlink()  # the kernel's own files go with the folder
    memory.release(os.getpid(), tmp_path)
    assert not group.exists()


def test_no_way_to_limit_is_an_error_not_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "elsewhere")
    with pytest.raises(UserError, match="memory cannot be limited on elsewhere"):
        memory.confine(2**30, tmp_path)


GREEDY = '''
"""A runtime that takes the memory its model file asks for."""
import json
from pathlib import Path
import numpy as np
PRECISION, SHAPES, EXPORTS = "fp32", "dynamic", False
def available(): return None
def describe(): return {"greedy": "1"}
def export(model_folder, out): return Path(model_folder) / "model.safetensors"
def prepare(model_file, threads):
    held = np.ones(json.loads(Path(model_file).read_text())["bytes"] // 8)
    return lambda ids, mask, types: np.full((len(ids), 2), held[0], np.float32)
'''

OTHERS = {
    "killed": '''
        def prepare(model_file, threads):
            import os, signal, sys
            answer, calls = real.prepare(model_file, threads), [0]
            def run(*query):
                calls[0] += 1
                if calls[0] > 9 and sys.argv[0].endswith("worker.py"):
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer(*query)
            return run
    ''',
    "broken": '''
        def export(model_folder, out):
            raise ValueError("no kernel for this operator in /opt/kernels/table.bin\\nsecond line")
        def prepare(model_file, threads): return real.prepare(model_file, threads)
        EXPORTS = True
    ''',
    "full": '''
        def prepare(model_file, threads):
            import sys
            if sys.argv[0].endswith("worker.py"):
                import numpy as np
                run.held = np.ones(2**29)
            return real.prepare(model_file, threads)
        def run(): pass
    ''',
}  # fmt: skip


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "plugins" / "runtimes"
    folder.mkdir(parents=True)
    (folder / "greedy.py").write_text(GREEDY)
    head = (
        "from suite.runtimes import onnx as real\n"
        'PRECISION, SHAPES = "fp32", "dynamic"\n'
        "available, describe, export = real.available, real.describe, real.export\n"
    )
    for name, code in OTHERS.items():
        (folder / f"{name}.py").write_text(head + textwrap.dedent(code))
    monkeypatch.setenv("LIGHTBOARD_PATH", str(folder.parent))
    return folder.parent


@linux
def test_filling_the_limit_ends_one_process_and_says_so(plugins: Path, tmp_path: Path) -> None:
    def side(name: str, size: int) -> latency.Side:
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({"bytes": size}))
        return latency.Side(name, "greedy", file)

    plan = tiny_plan(pairs=1, memory_limit=400 * 2**20)
    outcome = latency.race(side("small", 2**20), side("slim", 2**20), trace(), plan)
    assert outcome.limited_by in ("cgroup", "RLIMIT_DATA")
    with pytest.raises(UserError) as caught:
        latency.race(side("small", 2**20), side("fat", 2**30), trace(), plan)
    said = str(caught.value)
    assert "measuring fat on greedy" in said and "held to 419 MB of memory" in said and "\n" not in said


@linux
def test_the_run_goes_on_and_every_empty_cell_says_why(
    plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    config = {"architecture": "ngram", "buckets": 50, "outputs": 2}
    subject = subject_of(tmp_path, reference=config, student={"architecture": "constant", "outputs": 2})
    wanted = profile(
        name="cell", pairs=1, runtimes=("killed", "full", "broken", "onnx"), optional_runtimes=("absent",),
        memory_limit_bytes=1500 * 2**20,
    )  # fmt: skip
    monkeypatch.setattr(run, "subjects", lambda *_: [subject])
    monkeypatch.setattr(run, "load_profile", lambda _: wanted)
    said: list[str] = []
    asked = {"track": "mini", "profile": "cell", "variant": "default", "progress": said.append}
    made = run.attempt("student", results=tmp_path / "results", **asked)
    reasons = {one.runtime: one.reason for one in made.empty}
    assert list(reasons) == ["absent", "killed", "full", "broken"]
    assert "unknown runtime 'absent'" in reasons["absent"]
    assert "killed by signal 9" in reasons["killed"]
    assert "held to 1573 MB of memory" in reasons["full"]
    assert reasons["broken"].endswith("ValueError: no kernel for this operator in table.bin")
    assert [folder.name.split("-")[1] for folder in made.folders] == ["onnx"]
    document = Measurement.model_validate_json((made.folders[0] / "measurement.json").read_bytes())
    assert document.memory.limit_bytes == 1500 * 2**20 and document.memory.limited_by in (
        "cgroup",
        "RLIMIT_DATA",
    )
    assert sum(line.startswith("left out:") for line in said) == 4

    folder = tmp_path / "results" / "mini" / "attempts"
    filed = [Attempt.model_validate_json(path.read_bytes()) for path in sorted(folder.iterdir())]
    assert {one.runtime: one.reason for one in filed} == {k: reasons[k] for k in ("killed", "full", "broken")}
    report = verify(folder)
    assert report.ok and len(report.documents) == 3

    # Where it works later, the cell is full, and the reason is gone.
    (plugins / "runtimes" / "broken.py").write_text((plugins / "runtimes" / "killed.py").read_text().split("def ")[0]
                                                    + "prepare = real.prepare\n")  # fmt: skip
    monkeypatch.setattr(run, "runtime", run.runtime)
    sys.modules.pop(next(name for name in sys.modules if name.endswith("_broken")))
    run.attempt("student", results=tmp_path / "results", runtime="broken", **asked)
    assert {Attempt.model_validate_json(p.read_bytes()).runtime for p in folder.iterdir()} == {
        "killed",
        "full",
    }


def test_a_list_outlives_what_is_killed_before_anything_is_timed(
    plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exporter's library can abort: its process ends and its cell says why; the next cell has a process again."""
    head = 'import os, signal\nPRECISION, SHAPES = "fp32", "dynamic"\ndescribe = export = prepare = None\n'
    ends = "def available(): os.kill(os.getpid(), signal.SIGKILL)\n"
    (plugins / "runtimes" / "fragile.py").write_text(head + ends)
    (plugins / "runtimes" / "absent.py").write_text(head + 'def available(): return "not today"\n')
    asked: dict[str, object] = {
        "track": "mini", "profile": "cpu-1-thread", "variant": "default", "task": None, "arrival": "single-stream",
        "inputs": "trace", "results": tmp_path / "results",
    }  # fmt: skip
    with Apart() as apart:
        for _ in range(2):
            with pytest.raises(UserError, match="runtime fragile: the process was killed by signal 9"):
                apart.attempt("reference", runtime="fragile", **asked)
        with pytest.raises(UserError, match="not today"):
            apart.attempt("reference", runtime="absent", **asked)
    folder = tmp_path / "results" / "mini" / "attempts"
    (filed,) = [Attempt.model_validate_json(path.read_bytes()) for path in folder.iterdir()]
    assert filed.runtime == "fragile" and "killed by signal 9" in filed.reason
    assert verify(folder).ok


def cell(**changes: object) -> attempts.Cell:
    given = {"track": "demo", "recipe": "student", "variant": "default", "recipe_hash": "sha256:" + "0" * 64,
             "task": None, "profile": "cpu-1-thread", "profile_hash": "sha256:" + "1" * 64, "runtime": "openvino",
             "arrival": "single-stream", "inputs": "trace"}  # fmt: skip
    return attempts.Cell(**{**given, **changes})  # type: ignore[arg-type]


def test_an_entry_and_its_page_tell_what_was_tried(tmp_path: Path) -> None:
    import example_results as example

    from suite.board.site import load_site

    results = example.build(tmp_path / "results")
    run_hash = next(e for e in index.entries(results, "demo") if e.recipe == "student").recipe_hash
    attempts.record(results, cell(recipe_hash=run_hash, profile="edge-emulated"), "it needs 900 MB")
    attempts.record(
        results, cell(recipe_hash=run_hash, profile="example", runtime="onnx"), "a cell that is full"
    )
    attempts.record(results, cell(profile="gpu"), "another recipe's weights")
    index.index(results)
    entry = next(e for e in index.entries(results, "demo") if (e.recipe, e.default) == ("student", True))
    assert [(one.profile, one.reason) for one in entry.empty] == [("edge-emulated", "it needs 900 MB")]
    site = load_site([entry], results)
    from suite.board.site import View

    assert "it needs 900 MB" in site.speed(entry, View("edge-emulated")).reason
    assert verify(results).ok
    path = next(iter((results / "demo" / "attempts").iterdir()))
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "reason": "see /home/someone/notes"}))
    assert {problem.field for problem in verify(path).problems} == {"reason"}
    path.write_text(json.dumps({**document, "runtime": "torch"}))
    assert not verify(path).ok


def test_reasons_are_plain_words() -> None:
    given = "Error: /home/me/x/model.onnx failed\n<b>\x1b[31m C:\\Users\\me\\w.bin 中 " + "y" * 900
    found = attempts.plain(given)
    assert "/home" not in found and "Users" not in found and "<" not in found and found.isascii()
    assert found.startswith("Error: model.onnx failed") and len(found) <= attempts.LONGEST
    assert attempts.plain("") == "no reason was given"


def test_memory_above_the_loaded_interpreter_is_the_models(adder, tmp_path: Path) -> None:  # noqa: F811
    outcome = latency.race(adder("a"), adder("b"), trace(), replace(tiny_plan(), pairs=1))
    assert outcome.peak_bytes >= outcome.baseline_bytes > 2**20 and outcome.limited_by is None
    assert np.isfinite(outcome.repeat_ratio)
