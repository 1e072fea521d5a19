"""Every runtime that exists gives torch's answers, at every batch and length."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from suite import models, paths
from suite.errors import UserError
from suite.runtimes import exported, runtime

BERT = {"vocab": 1200, "hidden": 16, "layers": 2, "heads": 2, "ffn": 24, "positions": 40, "types": 2,
        "layer_norm_eps": 1e-12, "outputs": 3}  # fmt: skip
CONFIGS = {
    "bert": {"architecture": "bert", **BERT},
    "distilbert": {"architecture": "distilbert", **BERT},
    "ngram": {"architecture": "ngram", "buckets": 128, "outputs": 2},
    "constant": {"architecture": "constant", "outputs": 2},
}
SHAPES = [(1, 2), (1, 7), (2, 7), (3, 40), (5, 19)]


COMPILES = {"torch_compile"}  # for a minute, at the first query
# OpenVINO and LiteRT compute in 32 bits, in which the hashes of n-grams overflow.
WRONG = {("ngram", "openvino"), ("ngram", "litert")}
NO_LINEAR_LAYERS = {"ngram", "constant"}  # so nothing for 8 bits; test_int8_runtimes has them refused


def usable():
    return [
        pytest.param(name, marks=[pytest.mark.slow] if name in COMPILES else [])
        for name in paths.names("runtimes")
        if paths.load_module("runtimes", name).available() is None
    ]


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def saved(folder, config, seed=0):
    torch.manual_seed(seed)
    model = models.build(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    models.save(model, config, folder)
    return model


def inputs(shape, seed=1):
    """Token ids, a mask that ends at another place in each row, and two segments."""
    random = np.random.default_rng(seed)
    batch, length = shape
    ids = random.integers(1000, 1200, shape)
    real = np.maximum(1, length - 3 * np.arange(batch) % length)
    mask = (np.arange(length) < real[:, None]).astype(np.int64)
    types = (np.arange(length) >= length // 2).astype(np.int64)[None].repeat(batch, 0) * mask
    return ids * mask, mask, types


@pytest.mark.parametrize("name", usable())
@pytest.mark.parametrize("architecture", CONFIGS)
def test_answers_are_the_models(name, architecture, tmp_path, request):
    if (architecture, name) in WRONG:
        request.node.add_marker(pytest.mark.xfail(strict=True, reason="it must be refused, not timed"))
    module = runtime(name)
    if module.PRECISION == "int8" and architecture in NO_LINEAR_LAYERS:
        pytest.skip("refused")
    model = saved(tmp_path / "model", CONFIGS[architecture])
    run = module.prepare(exported(name, tmp_path / "model", [inputs((1, n)) for n in range(3, 40)]), 1)
    loose = module.PRECISION != "fp32"  # int8 answers differ; they are scored by themselves
    for shape in SHAPES:
        given = inputs(shape)
        with torch.no_grad():
            wanted = model(*map(torch.from_numpy, given)).numpy()
        found = run(*given)
        assert found.dtype == np.float32 and found.shape == wanted.shape
        if not loose:
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("name", usable())
def test_a_runtime_says_what_it_is(name):
    module = runtime(name)
    assert name.replace("-", "_") == name  # names on the search path are file stems
    assert module.SHAPES in ("dynamic", "padded")
    assert module.describe() and all(isinstance(text, str) for text in module.describe().values())


def test_onnx_is_one_file_exported_once(tmp_path, monkeypatch):
    saved(tmp_path / "model", CONFIGS["constant"])
    file = exported("onnx", tmp_path / "model")
    assert file.name == "model.onnx"
    assert not list(file.parent.glob("*.data"))
    monkeypatch.setattr(runtime("onnx"), "export", lambda *_: pytest.fail("exported again"))
    assert exported("onnx", tmp_path / "model") == file
    monkeypatch.undo()
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    saved(tmp_path / "other", CONFIGS["constant"], seed=1)
    assert exported("onnx", tmp_path / "other") != file  # other weights, another file


def test_torch_ships_the_weights_themselves(tmp_path):
    saved(tmp_path / "model", CONFIGS["constant"])
    assert exported("torch", tmp_path / "model") == tmp_path / "model" / "model.safetensors"


def test_threads_are_as_asked(tmp_path):
    saved(tmp_path / "model", CONFIGS["constant"])
    runtime("torch").prepare(tmp_path / "model" / "model.safetensors", 2)
    assert torch.get_num_threads() == 2


def test_unknown_and_unusable_runtimes_are_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="did you mean onnx"):
        runtime("onxx")
    (tmp_path / "runtimes").mkdir()
    (tmp_path / "runtimes" / "stone.py").write_text(
        "PRECISION = SHAPES = describe = export = prepare = None\ndef available(): return 'needs a chisel'\n"
    )
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path))
    with pytest.raises(UserError, match="runtime stone: needs a chisel"):
        runtime("stone")


def test_an_onnx_worker_never_loads_torch(tmp_path):
    """Its memory is compared with other runtimes': nothing but its own library may be in it."""
    saved(tmp_path / "model", CONFIGS["constant"])
    file = exported("onnx", tmp_path / "model")
    np.savez(tmp_path / "trace.npz", ids=np.arange(1, 9, dtype=np.int32), types=np.zeros(8, np.int8),
             offsets=np.array([0, 3, 8]))  # fmt: skip
    commands = [
        {"do": "load", "runtime": "onnx", "model_file": str(file), "threads": 1, "affinity": [],
         "trace": str(tmp_path / "trace.npz")},
        {"do": "time", "queries": [0, 1], "repeats": 2, "warmup": 1, "keep": [1]},
    ]  # fmt: skip
    code = (
        "import io, json, sys\n"
        "from suite.measure import worker\n"
        "import os; os.sched_setaffinity = lambda *_: None\n"
        "worker.serve(sys.stdin, sys.stdout)\n"
        "heavy = {'torch', 'transformers', 'scipy', 'pandas', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input="".join(json.dumps(c) + "\n" for c in commands),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded, timed = map(json.loads, done.stdout.splitlines())
    assert loaded["baseline_bytes"] > 0
    assert len(timed["nanoseconds"]) == 2 and min(timed["nanoseconds"]) > 0
    assert len(timed["answers"]) == 1 and len(timed["answers"][0]) == 2
