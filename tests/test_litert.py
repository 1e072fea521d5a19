"""LiteRT: float32 answers at fixed lengths, its exporter in an environment of its own; skipped where it is absent."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from tiny import saved

from suite import models
from suite.errors import UserError
from suite.measure import answers
from suite.measure.subject import Examples, ModelFolder
from suite.measure.trace import queries
from suite.paths import load_module
from suite.runtimes import exported, litert, runtime

BERT = {"vocab": 1200, "hidden": 16, "layers": 2, "heads": 2, "ffn": 24, "positions": 40, "types": 2,
        "layer_norm_eps": 1e-12, "outputs": 3}  # fmt: skip
CONFIGS = {
    "bert": {"architecture": "bert", **BERT},
    "mobilebert": {"architecture": "mobilebert", **BERT, "inner": 16, "ffn": 32, "feedforwards": 2, "embedding": 8,
                   "attends": "shared", "norm": "nonorm", "activation": "relu", "pooler": False},
    "slim": {"architecture": "slim", **BERT, "head_width": 8, "layer_heads": [2, 1], "layer_ffn": [24, 10]},
    "constant": {"architecture": "constant", "outputs": 2},
    "ngram": {"architecture": "ngram", "buckets": 128, "outputs": 2},
}  # fmt: skip
REASON = load_module("runtimes", "litert").available()
there = pytest.mark.skipif(REASON is not None, reason=str(REASON))


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOARD_STORE", str(tmp_path_factory.mktemp("store")))
        if REASON is None:  # wherever it is; the default lies beside the store
            patch.setenv(litert.VARIABLE, str(load_module("runtimes", "litert")._interpreter()))
        yield


def questions(lengths):
    random = np.random.default_rng(1)
    for length in lengths:
        ids = random.integers(1000, 1200, (1, length))
        yield ids, np.ones_like(ids), (np.arange(length) > length // 2).astype(np.int64)[None]


@there
@pytest.mark.slow
@pytest.mark.parametrize("architecture", [a for a in CONFIGS if a not in ("bert", "ngram")])
def test_it_holds(architecture, tmp_path):
    answers_are_torchs(saved(tmp_path / "model", CONFIGS[architecture], spread=0.3), tmp_path / "model")


@there
def test_a_bert_answers_as_torch_does_at_every_length(tmp_path):
    """At lengths that are there, just above, at the model's last position, and in a padded batch."""
    model = saved(tmp_path / "model", CONFIGS["bert"], spread=0.3)
    run = answers_are_torchs(model, tmp_path / "model")
    ids, mask, types = (np.repeat(part, 2, 0) for part in next(questions([20])))
    mask[1, 9:] = ids[1, 9:] = types[1, 9:] = 0
    with torch.no_grad():
        wanted = model(*map(torch.from_numpy, (ids, mask, types))).numpy()
    np.testing.assert_allclose(run(ids, mask, types), wanted, rtol=0, atol=1e-4 * wanted.std())


def answers_are_torchs(model, folder):
    file = exported("litert", folder)
    assert file.name == "model.tflite"
    run = runtime("litert").prepare(file, 1)
    found, wanted = [], []
    for query in questions([2, 15, 16, 17, 32, 33, 40]):
        found.append(run(*query))
        with torch.no_grad():
            wanted.append(model(*map(torch.from_numpy, query)).numpy())
    largest = np.abs(np.concatenate(found) - np.concatenate(wanted)).max()
    assert largest <= answers.tolerance(np.concatenate(wanted))
    return run


@there
@pytest.mark.slow
def test_what_it_cannot_hold_is_refused_with_the_reason(tmp_path):
    """The hashes of n-grams overflow 32 bits, so the answers differ, and a model of such answers is not timed."""
    folder = tmp_path / "model"
    saved(folder, CONFIGS["ngram"], spread=0.3)
    ids = np.concatenate([query[0][0] for query in questions([20] * 8)])
    offsets = np.arange(0, 161, 20)
    part = Examples("t", ids.astype(np.int32), np.zeros(160, np.int8), offsets, [("",)] * 8)
    asked = queries([part], 8)
    answer = runtime("torch").prepare(folder / "model.safetensors", 1)
    trained = ModelFolder("t", folder, answers.answers_of(answer, asked))
    with pytest.raises(UserError, match="its times would be another model's"):
        answers.prepared(trained, "litert", asked, 1)


@there
@pytest.mark.slow
def test_an_exporter_that_fails_says_why_in_one_line(tmp_path):
    saved(tmp_path / "model", CONFIGS["constant"], spread=0.3)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"none")
    with pytest.raises(UserError, match=r"^runtime litert: [^\n]+$"):
        litert.export(tmp_path / "model", tmp_path)


def test_what_is_missing_is_said_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(litert, "find_spec", lambda name: None)
    assert "pip install 'lightboard[litert]'" in litert.available()
    monkeypatch.setattr(litert, "find_spec", lambda name: object())
    monkeypatch.setenv(litert.VARIABLE, str(tmp_path / "python"))
    assert "python -m suite.runtimes.litert makes it" in litert.available()
    monkeypatch.setenv(litert.VARIABLE, sys.executable)
    assert litert.available() is None


def test_lengths_end_at_the_models_positions(tmp_path, monkeypatch):
    models.save(models.build(CONFIGS["bert"]), CONFIGS["bert"], tmp_path)
    asked = []
    monkeypatch.setattr(litert, "_ask", lambda *arguments: asked.append(arguments))
    litert.export(tmp_path, tmp_path)
    assert asked[0][4:] == ("16", "32", "40")
