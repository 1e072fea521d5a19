"""Early exit in every runtime that can: torch's answers and exits, the time of later blocks really saved."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_kit import on_device
from test_latency import TINY, profile, subject_of

from suite import models, paths
from suite.board.entries import saved
from suite.documents import Measurement, Ratio, WorstCase
from suite.errors import UserError
from suite.measure import run as measuring
from suite.measure.kit import bundle
from suite.models.fastbert import FastBert
from suite.pipeline.exits import threshold
from suite.runtimes import _exits, exported, runtime, shipped

SIZES = {
    "architecture": "fastbert", "layers": 6, "hidden": 16, "heads": 2, "ffn": 32, "vocab": 1200, "positions": 64,
    "types": 2, "layer_norm_eps": 1e-12, "classifier": 8, "branches": True,
}  # fmt: skip
COMPILES = {"torch_compile"}  # for minutes, at the first queries


def runtimes() -> list[Any]:
    return [
        pytest.param(name, marks=[pytest.mark.slow] if name in COMPILES else [])
        for name in paths.names("runtimes")
        if paths.load_module("runtimes", name).available() is None
        and (
            hasattr(paths.load_module("runtimes", name), "export_piece")
            or not getattr(paths.load_module("runtimes", name), "EXPORTS", True)
        )
        and paths.load_module("runtimes", name).PRECISION == "fp32"
        and not name.endswith("cuda")
    ]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def batch(rows: int = 24, length: int = 17) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, mask and segments of examples of 3 to ``length`` tokens, padded."""
    random = np.random.default_rng(4)
    ids = random.integers(1000, 1200, (rows, length))
    ends = 3 + np.arange(rows) * 5 % (length - 2)
    mask = (np.arange(length) < ends[:, None]).astype(np.int64)
    types = (np.arange(length) > 4).astype(np.int64)[None] * mask
    return ids * mask, mask, types


def built(outputs: int, mean_layers: float) -> tuple[FastBert, models.Config]:
    """Random weights, large enough that examples differ in where they leave, at that mean exit."""
    torch.manual_seed(3)
    config = {**SIZES, "outputs": outputs, "speed": 0.0}
    made = models.build(config)
    assert isinstance(made, FastBert)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.5)
        watched = made.uncertainties(*map(torch.from_numpy, batch())).T.numpy()
    made.speed = threshold(watched, mean_layers)
    return made, {**config, "speed": made.speed}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model folder whose dev examples leave at three exits or more; the store beside it."""
    folder = tmp_path_factory.mktemp("exits")
    models.save(*built(3, 3), folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOARD_STORE", str(folder / "store"))
        yield folder / "model"


def torchs(folder: Path, given: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    loaded: Any = models.load(folder)
    with torch.inference_mode():
        logits, exits = loaded.forward_exits(*map(torch.from_numpy, given))
    return logits.numpy(), exits.numpy()


def with_speed(folder: Path, out: Path, speed: float) -> Path:
    shutil.copytree(folder, out)
    config = {**models.read_config(folder), "speed": speed}
    (out / "config.json").write_text(json.dumps(config))
    return out


def alone(given: tuple[np.ndarray, ...], row: int) -> tuple[np.ndarray, ...]:
    """One example without its padding."""
    end = int(given[1][row].sum())
    return tuple(part[row : row + 1, :end] for part in given)


# --- the answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", runtimes())
def test_answers_are_torchs_in_batches_and_alone(model: Path, name: str) -> None:
    given = batch()
    wanted, exits = torchs(model, given)
    assert len(set(exits.tolist())) > 2  # the test sees several exits
    module = runtime(name)
    run = module.prepare(exported(name, model), 1)
    allowed = 1e-4 * np.abs(wanted).max()
    found = run(*given)
    assert found.dtype == np.float32 and found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=allowed)
    for row in range(0, 24, 5):
        np.testing.assert_allclose(run(*alone(given, row))[0], wanted[row], rtol=0, atol=allowed)
    assert module.LEAVING == "compaction" if hasattr(module, "export_piece") else True


def test_exits_are_torchs(model: Path) -> None:
    given = batch()
    run = runtime("onnx").prepare(exported("onnx", model), 1)
    assert isinstance(run, _exits.EarlyExit)
    logits, exits = run.answer(*given)
    wanted, torchs_exits = torchs(model, given)
    assert exits.dtype == np.int64 and exits.tolist() == torchs_exits.tolist()
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    assert [int(run.answer(*alone(given, row))[1][0]) for row in range(24)] == exits.tolist()


@pytest.mark.parametrize("outputs", [3, 1], ids=["labels", "score"])
@pytest.mark.parametrize("mean_layers", [3, 4.5])
@torch.no_grad()
def test_the_loop_decides_as_torch_does(outputs: int, mean_layers: float) -> None:
    """The model's own modules as pieces: whatever differs is the loop's."""
    made, _ = built(outputs, mean_layers)

    def piece(module: Any) -> _exits.Piece:
        return lambda given: [x.numpy() for x in module(*map(torch.from_numpy, given.values()))]

    run = _exits.EarlyExit(piece(made.embed), [piece(block) for block in made.blocks], made.speed)
    logits, exits = run.answer(*batch())
    wanted, torchs_exits = made.forward_exits(*map(torch.from_numpy, batch()))
    assert exits.tolist() == torchs_exits.tolist() and len(set(exits.tolist())) > 2
    assert np.array_equal(logits, wanted.numpy())


@pytest.mark.parametrize("outputs", [3, 1])
@torch.no_grad()
def test_a_lean_block_answers_as_the_block(outputs: int) -> None:
    made, _ = built(outputs, 3)
    hidden, mask = made.embed(*map(torch.from_numpy, batch()))
    for block in made.blocks:
        states, logits = block(hidden, mask)
        lean_states, lean = block.lean().eval()(hidden, mask)  # type: ignore[operator]
        assert torch.equal(states, lean_states)
        assert torch.allclose(logits, lean, rtol=0, atol=1e-5 * float(logits.abs().max()))
        hidden = states


def test_uncertainty_by_its_formula() -> None:
    logits = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, -1.0], [90.0, 0.0, -90.0], [3e-4, 0, 0]], np.float32)
    for row, found in zip(logits.tolist(), _exits.uncertainty(logits, None).tolist(), strict=True):
        total = sum(math.exp(v) for v in row)
        shares = [math.exp(v) / total for v in row]
        assert found == pytest.approx(
            -sum(p * math.log(max(p, 1e-300)) for p in shares) / math.log(3), abs=1e-6
        )
    scores = np.array([[1.0], [4.0]], np.float32)
    assert _exits.uncertainty(scores, None).tolist() == [math.inf, math.inf]
    assert _exits.uncertainty(scores, np.array([[1.25], [2.0]], np.float32)).tolist() == [0.25, 2.0]


# --- what is computed ---------------------------------------------------------------------------------------


def test_who_has_left_is_not_computed() -> None:
    """Pieces that only note how many examples reach them: they decide by the first number of an example."""
    seen: list[int] = []

    def embed(given: Mapping[str, Any]) -> list[Any]:
        ids = given["input_ids"]
        return [ids[:, :, None].astype(np.float32), np.zeros((len(ids), 1, 1, ids.shape[1]), np.float32)]

    def block(given: Mapping[str, Any]) -> list[Any]:
        hidden = given["hidden"]
        assert len(hidden) == len(given["mask"])
        seen.append(len(hidden))
        sure = np.where(hidden[:, 0, 0] <= len(seen), 50.0, 0.0)  # sure from the block of their number on
        return [hidden, np.stack([sure, 0 * sure], 1).astype(np.float32)]

    run = _exits.EarlyExit(embed, [block] * 5, 0.5)
    ids = np.array([[3, 9], [1, 9], [9, 9], [1, 9], [2, 9]])
    logits, exits = run.answer(ids, np.ones_like(ids), np.zeros_like(ids))
    assert exits.tolist() == [3, 1, 5, 1, 2]
    assert seen == [5, 3, 2, 1, 1]
    assert logits[:, 0].tolist() == [50, 50, 0, 50, 50]
    seen.clear()
    assert run.answer(ids[1:2], ids[1:2], ids[1:2])[1].tolist() == [1] and seen == [1]


@torch.no_grad()
def test_speed_too_small_to_leave_by_asks_every_exit_and_answers_as_the_whole(
    model: Path, tmp_path: Path
) -> None:
    folder = with_speed(model, tmp_path / "slow", 1e-30)
    run = runtime("onnx").prepare(exported("onnx", folder), 1)
    logits, exits = run.answer(*batch())
    assert exits.tolist() == [6] * 24
    whole = models.load(model, speed=0.0)(*map(torch.from_numpy, batch())).numpy()
    np.testing.assert_allclose(logits, whole, rtol=0, atol=1e-4 * np.abs(whole).max())


# --- the files ----------------------------------------------------------------------------------------------


def test_speeds_share_their_pieces(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = exported("onnx", model)
    monkeypatch.setattr(runtime("onnx"), "export_piece", lambda *_: pytest.fail("exported again"))
    other = exported("onnx", with_speed(model, tmp_path / "other", 0.123))
    assert other != file and json.loads(other.read_text())["speed"] == 0.123
    mine, theirs = shipped(file), shipped(other)
    assert [path.name for path in mine] == [
        "exits.json",
        "embed.onnx",
        *(f"block-{k}.onnx" for k in range(1, 7)),
    ]
    assert [a.read_bytes() == b.read_bytes() for a, b in zip(mine, theirs, strict=True)] == [False] + [
        True
    ] * 7
    # Every weight is in one piece: nothing ships twice.
    weights = (model / "model.safetensors").stat().st_size
    assert sum(path.stat().st_size for path in mine) < weights + 7 * 40_000
    assert shipped(model / "model.safetensors") == [model / "model.safetensors"]


@pytest.mark.parametrize(
    "pieces", [["embed.onnx"], ["../embed.onnx", "block-1.onnx"], ["/etc/passwd", "block-1.onnx"]]
)
def test_a_plan_names_files_beside_it_only(tmp_path: Path, pieces: list[str]) -> None:
    plan = {"schema": _exits.SCHEMA, "speed": 0.5, "pieces": [{"file": name} for name in pieces]}
    (tmp_path / "exits.json").write_text(json.dumps(plan))
    with pytest.raises(ValueError, match="not a plan"):
        _exits.prepare(tmp_path / "exits.json", lambda file: pytest.fail(f"read {file}"))


def test_a_runtime_of_one_graph_says_so(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runtimes").mkdir()
    (tmp_path / "runtimes" / "stone.py").write_text(
        "PRECISION = SHAPES = prepare = None\n"
        "def available(): return None\ndef describe(): return {}\ndef export(model_folder, out): 1 / 0\n"
    )
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path))
    with pytest.raises(UserError, match="which one graph cannot; use the runtime torch or onnx"):
        exported("stone", model)


# --- what it is measured and shown as -------------------------------------------------------------------------


def test_it_is_measured_and_packed_like_any_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    small = {**SIZES, "layers": 2, "outputs": 2, "vocab": 120, "speed": 0.9}
    made = subject_of(tmp_path, reference={**TINY, "layers": 1}, student=small)
    made = replace(made, task="first", examples=made.examples[:1], adaptive=True)
    (folder,) = measuring.compare(made, "onnx", profile(pairs=1), tmp_path / "results", count=8)
    document = Measurement.model_validate_json((folder / "measurement.json").read_text(), strict=True)
    assert document.answers.equal and document.repeats == 1
    plan = exported("onnx", made.entry.folder)
    names = ("embed.onnx", "block-1.onnx", "block-2.onnx")
    assert document.model_bytes == sum(plan.with_name(name).stat().st_size for name in ("exits.json", *names))
    assert document.model_file == "sha256:" + hashlib.sha256(plan.read_bytes()).hexdigest()
    listed = json.loads(plan.read_text())["pieces"]
    assert {one["file"]: one["sha256"] for one in listed} == {
        name: f"sha256:{hashlib.sha256(plan.with_name(name).read_bytes()).hexdigest()}" for name in names
    }

    with zipfile.ZipFile(bundle(made, profile(), tmp_path / "kit.zip")) as archive:
        archive.extractall(tmp_path / "device")
    assert sorted(path.name for path in (tmp_path / "device/entry").iterdir()) == sorted(
        ("exits.json", *names)
    )
    done = on_device(tmp_path / "device", "--answers-only")
    assert done.returncode == 0 and "the answers are right" in done.stdout, done.stderr


def test_a_page_says_how_much_of_the_saving_is_real(tmp_path: Path) -> None:
    """Half the reference's FLOPs and 1.6 times its speed: 80% of the 2 that the arithmetic promises."""
    ratio = Ratio(value=1.6, interval=(1.5, 1.7), pairs=6)
    line = SimpleNamespace(
        profile="cpu", runtime="onnx", arrival="offline", inputs="trace", ratio=ratio, alone_ratio=None,
        verdict="stable", measurement="measurements/a/b/c",
    )  # fmt: skip
    worst = WorstCase(ratio=0.91, latency_ms=9.0)
    document = Measurement.model_construct(
        task="cola", runtime="onnx", reference_runtime="onnx", worst_case=worst
    )

    def of(flops: float, *lines: Any) -> Any:
        cost = SimpleNamespace(flops_per_example={"128": 9.0, "dev/cola": flops})
        return SimpleNamespace(track="mini", cost=cost, speed=lines)

    site: Any = SimpleNamespace(
        reference=lambda track: of(200.0), measured=lambda track, place: document,
        profile_title=lambda name: name.upper(), task=lambda name: SimpleNamespace(title=name.title()),
    )  # fmt: skip
    links: Any = SimpleNamespace(profile=lambda name: f"{name}.html")
    other = SimpleNamespace(**{**vars(line), "runtime": "openvino"})
    found = saved.saved(site, of(100.0, line, other), links)
    assert found is not None
    first, second = ([cell.text or cell.reason for cell in row.cells] for row in found.rows)
    assert first == ["onnx", "offline, Cola", "1.60", "2.00", "80", "0.91"]
    assert second[2] == "reference not timed alike in this runtime"
    assert saved.saved(site, of(100.0), links) is None
