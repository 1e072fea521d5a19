"""Stages, store and runs: nothing is made twice, nothing is lost when killed, and a new method is one new file."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from suite.errors import UserError
from suite.pipeline.execute import Event, execute, pending
from suite.pipeline.run import run
from suite.pipeline.stage import Context, Stage, closure
from suite.pipeline.store import RECORD, Store
from suite.protocol import Track

TESTS = Path(__file__).parent
MADE: list[str] = []


def write_text(context: Context) -> None:
    MADE.append(context.params["text"])
    found = [(folder / "text").read_text() for folder in context.inputs.values()]
    (context.folder / "text").write_text("+".join([*found, context.params["text"]]))


def stage(text: str, **more: object) -> Stage:
    return Stage(name="text", version=1, function=write_text, params={"text": text}, **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    MADE.clear()
    return Store(tmp_path / "store")


# --- keys and order -----------------------------------------------------------------------------------------


def test_the_key_holds_what_decides_the_result_and_nothing_else() -> None:
    base = stage("a", seed=1, threads=2)
    assert base.key == stage("a", seed=1, threads=2, tflop=3.0, tokens=5, shared=True).key
    others = [
        stage("b", seed=1, threads=2),
        stage("a", seed=2, threads=2),
        stage("a", seed=1, threads=1),
        stage("a", seed=1, threads=2, data="x"),
        stage("a", seed=1, threads=2, dtype="bfloat16"),
        stage("a", seed=1, threads=2, inputs={"i": stage("c")}),
        replace(base, version=2),
        replace(base, name="other"),
    ]
    assert len({base.key, *(other.key for other in others)}) == len(others) + 1


def test_closure_lists_inputs_first_and_each_stage_once() -> None:
    first = stage("a")
    second, third = stage("b", inputs={"x": first}), stage("c", inputs={"x": first})
    last = stage("d", inputs={"x": second, "y": third})
    assert [s.params["text"] for s in closure([last, first])] == ["a", "b", "c", "d"]


def test_code_of_ones_own_is_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copied method whose loss was edited, or an edited model, never gets another's weights."""
    from functools import partial

    from suite.paths import load_module
    from suite.pipeline.phase import Phase

    def keys(folder: str, more: str) -> list[str]:
        for kind in ("methods", "models"):
            (tmp_path / folder / kind).mkdir(parents=True)
        code = "Parameters = students = plan = None\ndef build(*given): ...\n"
        (tmp_path / folder / "methods" / "mine.py").write_text(code + more)
        (tmp_path / folder / "models" / "grown_up.py").write_text(code + more)
        monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path / folder))
        build = load_module("methods", "mine").build
        phase = Phase("p", 1, build, *[write_text] * 4)  # type: ignore[arg-type]
        model = stage("a", inputs={"x": replace(stage("b"), params={"config": {"architecture": "grown-up"}})})
        stages = [
            replace(stage("a"), function=build),
            replace(stage("a"), function=partial(write_text, phase)),
        ]
        return [one.key for one in (*stages, model)]

    first, same, other = keys("a", ""), keys("b", ""), keys("c", "# another loss\n")
    assert first == same
    assert not {stage("a").key, *first} & set(other)
    assert stage("a").key not in first


# --- the store ----------------------------------------------------------------------------------------------


def test_a_finished_stage_is_never_made_again(store: Store) -> None:
    last = stage("b", inputs={"x": stage("a")})
    execute([last], store)
    execute([last], store)
    assert MADE == ["a", "b"]
    assert (store.folder(last.key) / "text").read_text() == "a+b"
    assert pending([last], store) == []


def test_inputs_of_finished_stages_may_be_gone(store: Store) -> None:
    first = stage("a")
    last = stage("b", inputs={"x": first})
    execute([last], store)
    shutil.rmtree(store.folder(first.key))
    assert pending([last], store) == []


def test_a_stage_that_fails_leaves_no_artifact_and_is_made_next_time(store: Store) -> None:
    def fail(context: Context) -> None:
        (context.folder / "half").write_text("half")
        raise UserError("no")

    broken = replace(stage("a"), function=fail)
    with pytest.raises(UserError):
        execute([broken], store)
    assert store.get(broken.key) is None
    execute([stage("a")], store)
    assert sorted(p.name for p in store.folder(broken.key).iterdir()) == [RECORD, "text"]


def test_a_full_disk_is_one_sentence(store: Store) -> None:
    def full(context: Context) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match="disk is full") as caught:
        execute([replace(stage("a"), function=full)], store)
    assert caught.value.code == 1


def test_only_the_store_is_blamed_for_what_is_the_stores(store: Store) -> None:
    def refused(file: Path) -> Stage:
        def write(context: Context) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(file))

        return replace(stage("a"), function=write)

    with pytest.raises(UserError, match="set LIGHTBOARD_STORE"):
        execute([refused(store.root / "partial" / "x")], store)
    with pytest.raises(UserError, match="set LIGHTBOARD_STORE"):
        execute([refused(store.root.parent)], store)
    with pytest.raises(PermissionError):
        execute([refused(Path("/data/corpus.txt"))], store)


def test_gc_removes_the_longest_unused_first_and_keeps_what_it_is_told(store: Store) -> None:
    stages = [stage(str(i) * 1000) for i in range(4)]
    for age, one in enumerate(stages):
        execute([one], store)
        os.utime(store.folder(one.key) / RECORD, (1000 + age, 1000 + age))
    used = stage("used" * 250)
    execute([used], store)  # a moment ago: another process may be reading it
    freed = store.gc(keep=[stages[0].key], limit_bytes=3000)
    assert freed == 2000
    assert [store.get(one.key) is not None for one in stages] == [True, False, False, True]
    assert store.gc(limit_bytes=0) == 0 < store.gc(limit_bytes=0, in_use_seconds=0)
    assert store.artifacts() == []


def test_what_another_process_collects_meanwhile_is_no_error(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = stage("a"), stage("b")
    execute([first, second], store)
    read = Path.read_text

    def gone(path: Path, **more: str) -> str:
        if path.parent == store.folder(first.key):
            shutil.rmtree(path.parent)
        return read(path, **more)

    monkeypatch.setattr(Path, "read_text", gone)
    assert [found.record["key"] for found in store.artifacts()] == [second.key]


def test_what_a_killed_stage_left_goes_after_a_week(store: Store) -> None:
    old, running, new = (stage(text).key for text in "abc")
    for key in (old, running, new):
        for folder in (store.scratch(key), store.folder(key).with_name(store.folder(key).name + ".part")):
            folder.mkdir(parents=True)
            (folder / "checkpoint.pt").write_bytes(b"0" * 1000)
            if key != new:
                for path in (folder / "checkpoint.pt", folder):
                    os.utime(path, (1000, 1000))
    assert len(store.leftovers()) == 6
    with Store(store.root).lock(running):
        assert store.gc() == 2000
    assert {path.name.removesuffix(".part") for path in store.leftovers()} == {running[7:], new[7:]}


def test_the_executor_keeps_the_store_within_its_limit(tmp_path: Path) -> None:
    store = Store(tmp_path, limit_bytes=2500)
    for i in range(5):
        one = stage(str(i) * 1000)
        execute([one], store)
        os.utime(store.folder(one.key) / RECORD, (1000 + i, 1000 + i))
    assert sum(a.record["bytes"] for a in store.artifacts()) <= 2500


def test_two_processes_make_a_stage_once(tmp_path: Path) -> None:
    code = f"""
import sys, time
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
from suite.pipeline.execute import execute
from suite.pipeline.stage import Stage
from suite.pipeline.store import Store

def slow(context):
    time.sleep(1.0)
    with open({str(tmp_path / "made")!r}, "a") as stream:
        stream.write("x")
    (context.folder / "out").write_text("done")

execute([Stage(name="slow", version=1, function=slow)], Store(Path({str(tmp_path / "store")!r})))
"""
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert (tmp_path / "made").read_text() == "x"


def test_progress_is_told(store: Store) -> None:
    events: list[Event] = []

    def counting(context: Context) -> None:
        for i in range(3):
            context.progress(i + 1, 3)
        (context.folder / "x").write_text("")

    execute([replace(stage("a"), function=counting)], store, events.append)
    assert [e.kind for e in events] == ["begin", "progress", "end"]


# --- runs ---------------------------------------------------------------------------------------------------


def predictions(results: Path) -> dict[str, bytes]:
    found = sorted(results.rglob("predictions.parquet"))
    return {str(path.relative_to(results)): path.read_bytes() for path in found}


def test_a_run_is_a_document_that_holds_together(
    tiny_track: Track, tiny_folder: Path, tmp_path: Path
) -> None:
    from suite.documents import Run

    (folder,) = run("theseus", track="demo", data=f"folder:{tiny_folder}/glue", results=tmp_path)
    found = Run.model_validate_json((folder / "run.json").read_bytes())
    assert folder == tmp_path / "demo" / "runs" / "theseus" / "default" / "sst2-11"
    assert 0 <= found.score <= 100
    assert found.model.parameters.total == sum(int(np.prod(w.shape)) for w in found.model.weights)
    own = [s.stage for s in found.stages if not s.shared]
    assert own == ["theseus"]
    assert {"encode", "finetune", "theseus"} <= {s.stage for s in found.stages}
    assert {(c.phase, c.name) for c in found.curves} >= {("theseus", "loss"), ("theseus", "replacement")}
    before = (folder / "run.json").stat().st_mtime_ns
    run("theseus", track="demo", data=f"folder:{tiny_folder}/glue", results=tmp_path)
    assert (folder / "run.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"tasks": ["sst3"]}, "did you mean sst2"),
        ({"seeds": [12]}, "has 11"),
        ({"data": "folder:/nowhere"}, "/nowhere"),
        ({"track": "minni"}, "did you mean mini"),
        ({"recipes": "thesus"}, "did you mean theseus"),
    ],
)
def test_wrong_usage_is_one_sentence(
    more: dict[str, object], message: str, tiny_track: Track, tiny_folder: Path, tmp_path: Path
) -> None:
    asked = {
        "recipes": "majority",
        "track": "demo",
        "data": f"folder:{tiny_folder}/glue",
        "results": tmp_path,
        **more,
    }
    with pytest.raises(UserError, match=message) as caught:
        run(**asked)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_teacher_with_another_hash_is_refused(
    tiny_track: Track, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "teacher"
    shutil.copytree(tiny_folder / "teacher", other)
    weights = other / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setenv("LIGHTBOARD_TEACHER", str(other))
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    with pytest.raises(UserError, match=r"sha256 is .* expected"):
        run("reference", track="demo", data=f"folder:{tiny_folder}/glue", results=tmp_path / "r")


def test_a_teacher_with_another_tokenizer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Genuine weights beside a tokenizer that keeps capitals; one that says the same in another way is taken."""
    from suite.models import pretrained
    from suite.protocol import track

    monkeypatch.delenv("LIGHTBOARD_TEACHER", raising=False)
    teacher = track("demo").teacher
    genuine = pretrained.local(teacher)
    if genuine is None:
        pytest.skip("the package that carries the teacher is not installed")

    def folder(name: str, *files: str) -> Path:
        made = tmp_path / name
        made.mkdir()
        (made / pretrained.WEIGHTS).symlink_to(genuine / pretrained.WEIGHTS)
        for file in ("config.json", *files):
            shutil.copy(genuine / file, made)
        monkeypatch.setenv("LIGHTBOARD_TEACHER", str(made))
        return made

    whole = folder("whole", "vocab.txt")
    assert pretrained.folder(teacher) == whole
    cased = folder("cased", "tokenizer.json", "tokenizer_config.json")
    for file, change in (("tokenizer.json", '"lowercase"'), ("tokenizer_config.json", '"do_lower_case"')):
        text = (cased / file).read_text()
        assert f"{change}: true" in text or f"{change}:true" in text
        (cased / file).write_text(
            text.replace(f"{change}: true", f"{change}: false").replace(f"{change}:true", f"{change}:false")
        )
    with pytest.raises(UserError, match="its tokenizer makes other word pieces"):
        pretrained.folder(teacher)


def test_a_new_method_is_one_new_file_and_its_recipe(
    tiny_track: Track, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copied under a new name onto the search path, a method reaches the board; no other file is touched."""
    from suite.board import build
    from suite.index import index

    root = Path(__file__).parent.parent
    (tmp_path / "plug" / "methods").mkdir(parents=True)
    (tmp_path / "plug" / "recipes").mkdir()
    shutil.copy(root / "suite" / "methods" / "majority.py", tmp_path / "plug" / "methods" / "most_common.py")
    text = (root / "recipes" / "majority.yaml").read_text()
    text = text.replace("name: majority", "name: most-common").replace(
        "method: majority", "method: most-common"
    )
    (tmp_path / "plug" / "recipes" / "most-common.yaml").write_text(
        text.replace("Majority class", "Most common class")
    )
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path / "plug"))
    results = tmp_path / "results"
    run(
        ["reference", "majority", "most-common"],
        track="demo",
        data=f"folder:{tiny_folder}/glue",
        results=results,
    )
    assert "most-common" in {entry.recipe for entry in index(results)}
    page = build(results, tmp_path / "site")
    assert any("Most common class" in p.read_text() for p in page.parent.rglob("*.html"))


def test_what_was_collected_is_made_again_for_a_run_that_is_not_there(
    tiny_track: Track, tiny_folder: Path, tmp_path: Path
) -> None:
    """The store kept the student and its answers, not its teacher, whose cost a run tells too."""
    from suite.pipeline.run import jobs, remaining, request

    asked = {"track": "demo", "data": f"folder:{tiny_folder}/glue"}
    store = Store(tmp_path / "store")
    run("distillation", results=tmp_path / "first", store=store, **asked)
    wanted = request("distillation", results=tmp_path / "second", store=store, **asked)
    (job,) = jobs(wanted)
    teacher = job.model.inputs["logits"].inputs["model"]
    shutil.rmtree(store.folder(teacher.key))
    assert [one.name for one in remaining([job], wanted)] == ["finetune"]
    run("distillation", results=tmp_path / "second", store=store, **asked)
    assert predictions(tmp_path / "first") == predictions(tmp_path / "second") != {}


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"stages": [1]}', "{"])
def test_a_file_that_is_no_run_is_made_anew(
    content: str, tiny_track: Track, tiny_folder: Path, tmp_path: Path
) -> None:
    data = f"folder:{tiny_folder}/glue"
    (folder,) = run("majority", track="demo", data=data, results=tmp_path)
    (folder / "run.json").write_text(content)
    run("majority", track="demo", data=data, results=tmp_path)
    assert json.loads((folder / "run.json").read_text())["recipe"] == "majority"


def plugin(folder: Path, name: str, body: str) -> None:
    """A copy of the method and recipe ``majority`` whose stage begins with ``body``."""
    root = Path(__file__).parent.parent
    for kind in ("methods", "recipes"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    method = (root / "suite" / "methods" / "majority.py").read_text()
    start = "def count_labels(context: Context) -> None:\n"
    assert start in method
    (folder / "methods" / f"{name}.py").write_text(method.replace(start, start + body))
    recipe = (root / "recipes" / "majority.yaml").read_text()
    (folder / "recipes" / f"{name}.yaml").write_text(
        recipe.replace("name: majority", f"name: {name}").replace("method: majority", f"method: {name}")
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_one_recipe_that_fails_stops_no_other(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its failures are told at the end, in a line each."""
    plugin(
        tmp_path, "aaa", "    from suite.errors import UserError\n    raise UserError('not finite', code=1)\n"
    )
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path))
    with pytest.raises(UserError, match="not finite") as caught:
        run(
            ["aaa", "majority"],
            track="demo",
            results=tmp_path / "r",
            workers=workers,
            store=Store(tmp_path / "s"),
        )
    assert caught.value.code == 1
    lines = sorted(str(caught.value).splitlines())
    assert lines == [
        f"majority of {task}, seed 11: not finite; not made: aaa/default {task}-11"
        for task in ("mood", "same")
    ]
    assert len(list((tmp_path / "r").rglob("run.json"))) == 2


def test_jobs_behind_a_stage_that_failed_are_not_begun(
    tiny_track: Track, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.pipeline.execute import Failed
    from suite.pipeline.phase import Phase

    begun: list[str] = []

    def diverge(phase: Phase, context: Context) -> None:
        begun.append(phase.name)
        raise UserError("not finite", code=1)

    monkeypatch.setattr("suite.pipeline.phase.run_phase", diverge)
    with pytest.raises(UserError) as caught:
        run(
            ["reference", "distillation", "theseus", "majority"],
            track="demo",
            data=f"folder:{tiny_folder}/glue",
            results=tmp_path / "r",
            store=Store(tmp_path / "s"),
        )
    assert begun == ["finetune"] and not isinstance(caught.value, Failed)
    (line,) = str(caught.value).splitlines()
    assert line == (
        "finetune of sst2, seed 11: not finite; not made: "
        "reference/default sst2-11, distillation/default sst2-11, theseus/default sst2-11"
    )
    assert [path.parent.parent.parent.name for path in (tmp_path / "r").rglob("run.json")] == ["majority"]


def test_a_worker_that_is_killed_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(tmp_path, "hungry", "    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path))
    with pytest.raises(UserError, match="--workers 1") as caught:
        run("hungry", track="demo", results=tmp_path / "r", workers=2, store=Store(tmp_path / "s"))
    assert caught.value.code == 1 and "\n" not in str(caught.value)


@pytest.mark.slow
def test_killed_at_random_moments_a_run_ends_in_the_same_bytes(tiny_folder: Path, tmp_path: Path) -> None:
    """SIGKILL again and again, at least five times inside a training loop."""
    import tiny

    recipes = ["reference", "distillation", "theseus", "distilbert"]
    command = [sys.executable, str(TESTS / "tiny.py")]
    smooth = tiny.make(tmp_path / "smooth")
    subprocess.run([*command, str(smooth), "run", *recipes], check=True, timeout=600)
    rough = tiny.make(tmp_path / "rough")
    generator, inside, kills = random.Random(5), 0, 0
    while True:
        process = subprocess.Popen([*command, str(rough), "run", *recipes], start_new_session=True)
        started, patience = time.monotonic(), generator.uniform(0.0, 1.5)
        seen: float | None = None
        while process.poll() is None:
            training = list((rough / "store" / "partial").glob("*/checkpoint.pt"))
            if training and seen is None:
                seen = time.monotonic()
            # A second and a half after the first checkpoint at the latest; early on also before there is any.
            if (seen and time.monotonic() - seen > patience) or (
                kills % 4 == 3 and time.monotonic() - started > 4
            ):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
                inside += bool(training)
                break
            time.sleep(0.01)
        else:
            assert process.returncode == 0
            break
        assert kills < 200
        if inside >= 8:
            subprocess.run([*command, str(rough), "run", *recipes], check=True, timeout=600)
            break
    assert inside >= 5
    assert predictions(rough / "results") == predictions(smooth / "results")
    assert len(predictions(rough / "results")) == len(recipes)


def test_cells_side_by_side_give_the_same_bytes(tmp_path: Path) -> None:
    """Two worker processes and one, on two generated tasks; the n-gram model needs no teacher weights to train."""
    results = [tmp_path / str(n) for n in (1, 2)]
    for workers, folder in zip((1, 2), results, strict=True):
        run(
            ["majority"],
            track="demo",
            results=folder,
            store=Store(tmp_path / f"store{workers}"),
            workers=workers,
        )
    assert predictions(results[0]) == predictions(results[1]) != {}


def test_versions_are_bumped_with_the_code() -> None:
    """Each stage's syntax tree is kept beside its version: code that changes needs a new version (or, where the
    result is the same, the new tree recorded by ``python tests/stage_trees.py``)."""
    import stage_trees

    kept = json.loads((TESTS / "stage_trees.json").read_text())
    assert stage_trees.trees() == kept


def test_a_stage_that_another_process_makes_is_not_waited_for_when_asked(tmp_path: Path) -> None:
    from suite.pipeline.store import Busy

    made: list[str] = []
    stage = Stage(name="one", version=1, function=lambda context: made.append("one"))
    store, other = Store(tmp_path), Store(tmp_path)
    with other.lock(stage.key), pytest.raises(Busy):
        execute([stage], store, wait=False)
    execute([stage], store, wait=False)
    assert made == ["one"]


def test_a_cell_puts_off_what_another_cell_is_making(monkeypatch: pytest.MonkeyPatch) -> None:
    from suite.pipeline import run as running
    from suite.pipeline.store import Busy

    landed: list[tuple[str, bool]] = []

    def land(job: str, part: object, reporter: object, *, wait: bool = True) -> None:
        if job == "shared" and not wait and len(landed) < 2:
            raise Busy(job)
        landed.append((job, wait))

    monkeypatch.setattr(running, "jobs", lambda part: ["shared", "a", "b"])
    monkeypatch.setattr(running, "land", land)
    running._make_cell(None, None, {})  # type: ignore[arg-type]
    assert landed == [("a", False), ("b", False), ("shared", False)]
    landed.clear()
    monkeypatch.setattr(running, "jobs", lambda part: ["shared"])
    running._make_cell(None, None, {})  # type: ignore[arg-type]
    assert landed == [("shared", True)], "with nothing else to do it waits"
