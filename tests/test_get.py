"""``lightboard get``: what is handed out runs by itself and answers as where it was scored; nothing strange gets in."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import example_results as example
import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from test_cli import call

from suite import paths, tasks
from suite.canonical import digest_file
from suite.documents import Attestation, CheckEvidence, Weights
from suite.errors import UserError
from suite.folder import subject
from suite.get import Got, get
from suite.pipeline.record import weights
from suite.pipeline.run import model_folder, run
from suite.runtimes import exported
from suite.verify import replayed, verify, write_attestation

# What hands out runs without any of these: importing one there ends the program.
BARE = """
import os, runpy, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent}:
            raise ImportError(name + " is not there")
sys.meta_path.insert(0, Absent())
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ABSENT = {"suite", "transformers", "safetensors", "pydantic", "scipy", "pyarrow", "datasets", "torch"}
ENTRIES = {"reference/default": 1, "fastbert/layers-3": 3}  # and how many exits their answers must cover


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A plain model and one with early exits, trained on the tiny track; their weights at a place on this machine."""
    import tiny

    from suite import protocol

    folder = tiny.make(tmp_path_factory.mktemp("get"))
    served = folder / "served"
    served.mkdir()
    handler = functools.partial(_Quiet, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    data = f"folder:{folder}/glue"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(protocol.TRACKS, "demo", protocol.TRACKS["demo"])
        for name in ("LIGHTBOARD_TEACHER", "LIGHTBOARD_STORE"):
            patch.setenv(name, "")
        patch.setenv("LIGHTBOARD_WEIGHTS", f"http://127.0.0.1:{server.server_port}/")
        tiny.use(folder)
        run(["reference", "fastbert"], track="demo", data=data, results=folder / "results", workers=1)
        for entry in ENTRIES:
            recipe, variant = entry.split("/")
            model = model_folder(recipe, track="demo", task="sst2", data=data, variant=variant)
            name = digest_file(model / "model.safetensors").removeprefix("sha256:")
            shutil.copy(model / "model.safetensors", served / f"{name}.safetensors")
        yield {"folder": folder, "results": folder / "results", "served": served, "data": data}
    server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def elsewhere(made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Another machine: an empty store, results and served files of this test's own."""
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    return {**made, "results": shutil.copytree(made["results"], tmp_path / "results")}


@pytest.fixture(autouse=True)
def served_files_stay(made: dict[str, Any]) -> Iterator[None]:
    kept = {file: file.read_bytes() for file in made["served"].iterdir()}
    yield
    for file, content in kept.items():
        file.write_bytes(content)


def runtimes() -> list[Any]:
    """Those that hand out files and are here; compiling at the first query takes longer than all the others."""
    loaded = {name: paths.load_module("runtimes", name) for name in paths.names("runtimes")}
    return [
        pytest.param(name, marks=pytest.mark.slow) if "compile" in name else name
        for name, module in loaded.items()
        if hasattr(module, "LINES") and module.available() is None
    ]


def dev(made: dict[str, Any], entry: str) -> list[tuple[str, list[float]]]:
    """Text and published scores of each dev example."""
    lines = (made["folder"] / "glue/SST-2/dev.tsv").read_text().splitlines()[1:]
    place = made["results"] / "demo/runs" / entry / "sst2-11"
    table = pq.read_table(place / "predictions.parquet").to_pydict()
    names = [f"score_{label}" for label in tasks.task("sst2").labels]
    scores = {row: [table[name][i] for name in names] for i, row in enumerate(table["row"])}
    return [(line.split("\t")[0], scores[row]) for row, line in enumerate(lines)]


def ask(folder: Path, text: str, away: Path, absent: set[str]) -> dict[str, float]:
    """What the handed-out lines say to a text, in a process of its own that has nothing of ours."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if "suite" not in absent:
        environment["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", BARE.replace("{absent}", repr(absent)), str(folder / "answer.py"), text],
        cwd=away, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- it runs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", runtimes())
@pytest.mark.parametrize("entry", ENTRIES)
def test_ten_lines_answer_as_the_entry_was_scored(
    made: dict[str, Any], entry: str, name: str, tmp_path: Path
) -> None:
    module = paths.load_module("runtimes", name)
    if ENTRIES[entry] > 1 and getattr(module, "EXPORTS", True) and not hasattr(module, "export_piece"):
        with pytest.raises(UserError, match="which one graph cannot"):
            get(made["results"], f"demo/{entry}", tmp_path / "out", runtime_name=name)
        return
    got = get(made["results"], f"demo/{entry}", tmp_path / "out", runtime_name=name)
    assert got == Got(tmp_path / "out", "sst2", 11, "this machine's store", ())
    lines = (got.folder / "answer.py").read_text().splitlines()
    assert len(lines) == 10 and max(map(len, lines)) <= 120
    absent = (
        set()
        if "from suite" in module.LINES
        else ABSENT - ({"torch"} & set(module.LINES.replace(",", " ").split()))
    )
    examples = dev(made, entry)
    chosen = examples[:: len(examples) // 4] if ENTRIES[entry] == 1 else _at_different_exits(made, examples)
    for text, scores in chosen[: 4 if absent == ABSENT else 2]:  # torch takes seconds to load
        found = ask(got.folder, text, tmp_path, absent)
        assert list(found) == ["negative", "positive"]
        tolerance = 1e-4 if module.PRECISION == "fp32" else 0.5
        assert list(found.values()) == pytest.approx(scores, abs=tolerance)
    about = json.loads((got.folder / "about.json").read_text())
    written = {path.name for path in got.folder.iterdir()}
    texts = {"answer.py", "labels.json", "tokenizer.json", "about.json", "exits.py"}
    assert set(about["files"]) == written - texts
    for file, digest in about["files"].items():
        assert digest_file(got.folder / file) == digest
    assert about["entry"] == f"demo/{entry}" and about["runtime"] == name
    for path in got.folder.iterdir():  # nothing says where or by whom it was made
        content = path.read_bytes()
        assert (
            str(tmp_path.parent).encode() not in content
            and str(Path(paths.__file__).parent).encode() not in content
        )


def _at_different_exits(made: dict[str, Any], examples: list[Any]) -> list[Any]:
    """One example of each exit that some dev example takes."""
    from suite.data.encode import load_tokenizer
    from suite.runtimes import runtime

    model = model_folder("fastbert", track="demo", task="sst2", data=made["data"], variant="layers-3")
    answer = runtime("onnx").prepare(exported("onnx", model), 1)
    backend = load_tokenizer(made["folder"] / "teacher").backend_tokenizer
    found: dict[int, Any] = {}
    for text, scores in examples:
        ids = np.array([backend.encode(text).ids])
        exit = int(answer.answer(ids, np.ones_like(ids), np.zeros_like(ids))[1][0])
        found.setdefault(exit, (text, scores))
    assert len(found) >= 2
    return list(found.values())


def test_by_command(made: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("get", "demo/reference/default", "--runtime", "torch", "--results", str(made["results"]))
    code, out, err = call(capsys, *words, "--out", str(tmp_path / "new" / "out"))
    assert code == 0 and "trained on sst2, seed 11; weights from this machine's store" in out, err
    assert (tmp_path / "new" / "out" / "model.safetensors").is_file()
    silent = [sys.executable, str(tmp_path / "new" / "out" / "answer.py")]
    done = subprocess.run(silent, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1 and done.stderr.strip() == "give it a text, or two"
    code, out, err = call(capsys, *words, "--out", str(tmp_path / "new" / "out"))
    assert code == 2 and "not empty; name a new folder" in err and err.count("\n") == 1


# --- where weights come from --------------------------------------------------------------------------------


def take(made: dict[str, Any], out: Path, **more: Any) -> Got:
    """The plain model for torch, which needs no export."""
    return get(made["results"], "demo/reference/default", out, runtime_name="torch", **more)


def the_file(made: dict[str, Any]) -> Path:
    document = example.read(made["results"] / "demo/runs/reference/default/sst2-11", "run.json")
    found: Path = made["served"] / (document["weights"]["sha256"].removeprefix("sha256:") + ".safetensors")
    return found


def test_from_the_place_that_the_run_names(elsewhere: dict[str, Any], tmp_path: Path) -> None:
    got = take(elsewhere, tmp_path / "out")
    assert got.source.startswith("http://127.0.0.1:")
    assert (tmp_path / "out/model.safetensors").read_bytes() == the_file(elsewhere).read_bytes()
    assert verify(elsewhere["results"], data=elsewhere["data"]).ok


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "expected sha256:"),
        (lambda content: content + b"0", "found more than"),
        (lambda content: content[:-7], "found"),
    ],
    ids=["a bit", "too long", "too short"],
)
def test_other_bytes_are_refused_and_nothing_is_left(
    elsewhere: dict[str, Any], tmp_path: Path, spoil: Any, said: str
) -> None:
    file = the_file(elsewhere)
    file.write_bytes(spoil(file.read_bytes()))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=said) as caught:
        take(elsewhere, tmp_path / "out")
    assert "\n" not in str(caught.value) and caught.value.code == 1
    assert sorted(tmp_path.iterdir()) == before


def test_from_where_the_user_says(elsewhere: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(the_file(elsewhere), folder / "model.safetensors")
    for number, place in enumerate(
        (folder, folder / "model.safetensors", (folder / "model.safetensors").as_uri())
    ):
        assert take(elsewhere, tmp_path / f"out-{number}", place=str(place)).source == str(place)
    with pytest.raises(UserError, match=r"cannot be read: .*nosuch"):
        take(elsewhere, tmp_path / "out", place="nosuch://there/model.safetensors")
    with pytest.raises(UserError, match="cannot be read: FileNotFoundError"):
        take(elsewhere, tmp_path / "out", place=str(tmp_path / "nothing"))


def _older(made: dict[str, Any]) -> Path:
    """The run as versions without the field wrote it."""
    folder: Path = made["results"] / "demo/runs/reference/default/sst2-11"
    document = example.read(folder, "run.json")
    del document["weights"]
    example.forge(folder, "run.json", document)
    return folder


def test_weights_that_are_nowhere_name_the_command_that_makes_them(
    elsewhere: dict[str, Any], tmp_path: Path
) -> None:
    _older(elsewhere)
    with pytest.raises(UserError) as caught:
        take(elsewhere, tmp_path / "out")
    said = str(caught.value)
    assert "neither in this machine's store nor at a place that the run names" in said and "\n" not in said
    assert said.endswith(
        "train them yourself: lightboard run reference --track demo --tasks sst2 --seeds 1 --results own && "
        "lightboard index --results own && lightboard get demo/reference/default --results own"
    )


def test_without_a_hash_only_replayed_weights_are_taken(elsewhere: dict[str, Any], tmp_path: Path) -> None:
    folder = _older(elsewhere)
    file = the_file({**elsewhere, "results": elsewhere["folder"] / "results"})
    with pytest.raises(UserError, match="holds no hash of its weights"):
        take(elsewhere, tmp_path / "out", place=str(file))
    one = Attestation(
        subject=str(subject(folder)), level="replayed", outcome="failed", by="a test", date="2026-12-02",
        lightboard="0", evidence=CheckEvidence(weights=digest_file(file)),
    )  # fmt: skip
    write_attestation(elsewhere["results"] / "demo", one)
    with pytest.raises(UserError, match="holds no hash of its weights"):
        take(elsewhere, tmp_path / "out", place=str(file))
    write_attestation(
        elsewhere["results"] / "demo", one.model_copy(update={"outcome": "passed", "by": "another"})
    )
    assert take(elsewhere, tmp_path / "out", place=str(file)).folder.is_dir()


def test_a_store_that_holds_another_model_is_refused(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.pipeline.store import Store

    store = Store(tmp_path / "store")
    document = example.read(made["results"] / "demo/runs/reference/default/sst2-11", "run.json")
    model = model_folder("reference", track="demo", task="sst2", data=made["data"])
    target = store.folder(document["stages"][-1]["key"])
    shutil.copytree(model, target)
    content = bytearray((model / "model.safetensors").read_bytes())
    content[-3] ^= 4
    (target / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="expected sha256:"):
        take(made, tmp_path / "out", store=store)
    (target / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    (target / "config.json").write_text((model / "config.json").read_text().replace('"bert"', '"distilbert"'))
    with pytest.raises(UserError, match="architecture: found 'distilbert', expected 'bert'"):
        take(made, tmp_path / "out", store=store)
    (target / "evil.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UserError, match="can run code"):
        take(made, tmp_path / "out", store=store)


@pytest.mark.parametrize(
    "place",
    ["file:///etc/passwd", "/etc/passwd", "simplecache::https://a.b/c", "https://user:word@a.b/c", "https://a.b/<i>",
     "reference://x", "https://a.b/c d", "memory://x", "https://a.b/c\nd", "s3://a::b", "https:///x"],
)  # fmt: skip
def test_places_that_a_run_cannot_name(place: str) -> None:
    with pytest.raises(ValidationError):
        Weights(sha256="sha256:" + "0" * 64, place=place)


def test_a_base_that_is_no_place_is_said(made: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_folder("reference", track="demo", task="sst2", data=made["data"])
    for base in ("/tmp/weights", "file:///tmp", "ftp://a.b"):
        monkeypatch.setenv("LIGHTBOARD_WEIGHTS", base)
        with pytest.raises(UserError, match=r"LIGHTBOARD_WEIGHTS: .* is no place that others can read"):
            weights(model)
    monkeypatch.setenv("LIGHTBOARD_WEIGHTS", "s3://bucket/some/")
    digest = digest_file(model / "model.safetensors")
    assert weights(model) == Weights(sha256=digest, place=f"s3://bucket/some/{digest[7:]}.safetensors")
    monkeypatch.delenv("LIGHTBOARD_WEIGHTS")
    assert weights(model) == Weights(sha256=digest)


def test_a_replay_holds_the_hash(elsewhere: dict[str, Any], made: dict[str, Any]) -> None:
    folder = elsewhere["results"] / "demo/runs/reference/default/sst2-11"
    document = example.read(folder, "run.json")
    document["weights"]["sha256"] = "sha256:" + "0" * 64
    example.forge(folder, "run.json", document)
    found = replayed.replay(folder, _model_of(made), data=made["data"])
    assert [problem.field for problem in found.problems] == ["sha256"] and found.attestation is None


def _model_of(made: dict[str, Any]) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOARD_STORE", str(made["folder"] / "store"))
        return model_folder("reference", track="demo", task="sst2", data=made["data"])


# --- what cannot be handed out ------------------------------------------------------------------------------


def test_what_is_not_there_is_said(made: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run of task cola; it has: sst2"):
        take(made, tmp_path / "out", task="cola")
    with pytest.raises(UserError, match="no run of sst2 with seed 23; it has: 11"):
        take(made, tmp_path / "out", seed=23)
    with pytest.raises(UserError, match="did you mean reference/default"):
        get(made["results"], "demo/referense/default", tmp_path / "out")
    with pytest.raises(UserError, match="did you mean onnx"):
        get(made["results"], "demo/reference/default", tmp_path / "out", runtime_name="onxx")


def test_a_runtime_that_hands_out_nothing(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runtimes").mkdir()
    (tmp_path / "runtimes" / "stone.py").write_text(
        "PRECISION = 'fp32'\nSHAPES = prepare = None\ndef available(): return None\ndef describe(): return {}\n"
        "def export(model_folder, out):\n raise RuntimeError('too\\nheavy')\n"
    )
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path))
    name = "demo/reference/default"
    with pytest.raises(
        UserError, match="runtime stone: it hands out no files; these do: executorch, litert, onnx"
    ):
        get(made["results"], name, tmp_path / "out", runtime_name="stone")
    with (tmp_path / "runtimes" / "pebble.py").open("w") as stream:
        stream.write((tmp_path / "runtimes" / "stone.py").read_text() + "LINES = 'import stone'\n")
    with pytest.raises(
        UserError, match="runtime pebble: cannot hold this model: RuntimeError: too"
    ) as caught:
        get(made["results"], name, tmp_path / "out", runtime_name="pebble")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
