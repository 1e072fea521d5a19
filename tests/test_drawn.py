"""Times of models that were not trained here: weights drawn for the graph of a run, from the draw to the board."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import example_results as example
import pytest
import torch
from tiny import brief_profile

from suite import models
from suite.documents import Measurement, Run, Weight
from suite.index import index
from suite.measure import cost, drawn, run, todo
from suite.measure.kit import pack
from suite.verify import verify

SIZES = {"vocab": 1100, "hidden": 32, "heads": 4, "layers": 2, "ffn": 48, "positions": 64, "types": 2, "outputs": 2,
         "layer_norm_eps": 1e-12}  # fmt: skip
MOBILE = {
    "embedding": 16,
    "inner": 16,
    "feedforwards": 2,
    "attends": "shared",
    "pooler": False,
    "activation": "relu",
}
CELL = {"inputs": 2, "nodes": 3, "edges": [{"from": 0, "to": 2, "op": "conv3"}, {"from": 1, "to": 4, "op": "maxpool3"},
                                           {"from": 2, "to": 3, "op": "identity"}]}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {"architecture": "bert", **SIZES},
    "distilbert": {"architecture": "distilbert", **SIZES, "dropout": 0.1, "head_dropout": 0.2},
    "slim": {"architecture": "slim", **SIZES, "layer_heads": [2, 4], "layer_ffn": [24, 48], "head_width": 8},
    "deep and thin": {"architecture": "mobilebert", **SIZES, **MOBILE, "norm": "nonorm", "layers": 24},
    "normed": {"architecture": "mobilebert", **SIZES, **MOBILE, "norm": "layernorm"},
    "searched": {"architecture": "adabert", **SIZES, "cell": CELL, "cells": 2, "texts": 1, "dropout": 0.1},
    "ngram": {"architecture": "ngram", "buckets": 500, "outputs": 2},
    "constant": {"architecture": "constant", "outputs": 2},
}


def queries() -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    found = []
    for length in (4, 9, 17, 30):
        ids = torch.randint(1000, 1100, (1, length), generator=generator)
        found.append((ids, torch.ones_like(ids), torch.zeros_like(ids)))
    return found


@pytest.mark.parametrize("name", CONFIGS)
def test_drawn_weights_have_nothing_that_changes_a_time(name: str) -> None:
    """No denormals, no infinities, neither in the weights nor in what they compute; answers differ as questions do."""
    config, slow = CONFIGS[name], torch.finfo(torch.float32).tiny
    model = drawn.draw(config, ())
    seen = [*(p.detach() for p in model.parameters())]
    for part in model.modules():
        part.register_forward_hook(lambda module, given, out: seen.append(out))
    with torch.no_grad():
        logits = torch.cat([model(*query) for query in queries()])
    for values in seen:
        if isinstance(values, torch.Tensor) and values.is_floating_point():
            assert torch.isfinite(values).all() and not ((values != 0) & (values.abs() < slow)).any()
            assert float(values.abs().max()) < 1e3
    if name != "constant":
        assert float(logits.std(0).max()) > 1e-3 * float(logits.abs().max())
    again = torch.cat([drawn.draw(config, ())(*query) for query in queries()])
    assert torch.equal(again, logits), "the same weights each time"


@pytest.mark.parametrize("name", CONFIGS)
def test_drawn_models_answer_the_same_with_padding(name: str) -> None:
    """As trained ones do: a runtime of fixed lengths pads, and must be held to the same answers."""
    trained = cost.weights(models.build(CONFIGS[name], attention="eager"))
    model = drawn.draw(CONFIGS[name], [w for w in trained if w.embedding])
    with torch.no_grad():
        for query in queries():
            padded = [torch.nn.functional.pad(part, (0, 5)) for part in query]
            assert torch.allclose(model(*padded), model(*query), atol=1e-5)


def test_as_many_weights_are_zero_as_in_the_run() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    shapes = {w.name: w for w in cost.weights(drawn.draw(CONFIGS["bert"], ()))}
    assert all(w.nonzero == torch.Size(w.shape).numel() for w in shapes.values())
    sparse = [w.model_copy(update={"nonzero": w.nonzero // 3}) for w in shapes.values()]
    assert [w.nonzero for w in cost.weights(drawn.draw(CONFIGS["bert"], sparse))] == [
        w.nonzero for w in sparse
    ]
    padded = [
        w.model_copy(update={"nonzero": w.nonzero - 37}) if "word_embeddings" in w.name else w
        for w in cost.weights(drawn.draw(CONFIGS["normed"], ()))
    ]
    assert [w.nonzero for w in cost.weights(drawn.draw(CONFIGS["normed"], padded))] == [
        w.nonzero for w in padded
    ]
    assert torch.equal(torch.get_rng_state(), state), "nobody else's random numbers move"


def test_what_depends_on_weights_is_not_drawn(tmp_path: Path) -> None:
    results = example.build(tmp_path / "results", example.ROWS[:1])
    path = next(results.glob("*/runs/reference/*/*/run.json"))
    landed = Run.model_validate_json(path.read_bytes())
    assert drawn.drawable(landed)
    model = landed.model
    early = model.model_copy(update={"exits": {"1": model.dev_lengths}})
    coded = model.model_copy(update={"weights": (*model.weights, Weight(name="codes", shape=(2, 2), dtype="int8",
                                                                       nonzero=4, embedding=False))})  # fmt: skip
    for other in (early, coded):
        assert not drawn.drawable(landed.model_copy(update={"model": other}))


# --- the whole way ------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(
    tiny_track: object, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, str]:
    """Results whose models were trained in a store that is not this machine's."""
    from suite.pipeline.run import run as train

    brief_profile(monkeypatch, tmp_path, pairs=3)
    data = f"folder:{tiny_folder}/glue"
    train(["ngram", "reference"], track="demo", data=data, results=tmp_path / "results")
    index(tmp_path / "results")
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "another-store"))
    return tmp_path / "results", data


def test_a_run_is_timed_without_its_weights(
    elsewhere: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results, data = elsewhere
    monkeypatch.setattr(todo, "SCENARIOS", todo.SCENARIOS[:1])
    todo_here = todo.missing(results, "demo", profile="brief")
    assert {(c.recipe, c.runtime) for c in todo_here.cells} == {("reference", "onnx"), ("ngram", "onnx")}
    done = list(todo.work(todo_here.cells, results, data=data))
    assert [one.reason for one in done] == [None, None]
    for one in done:
        document = Measurement.model_validate_json((one.folders[0] / "measurement.json").read_bytes())
        path = next(results.glob(f"demo/runs/{one.cell.recipe}/default/sst2-*/run.json"))
        assert (
            document.weights == "drawn" and document.graph == json.loads(path.read_text())["model"]["graph"]
        )
        assert document.answers.equal and document.spot_check is None
    made = sorted(p.name for p in (results.parent / "another-store").rglob("model.safetensors"))
    assert len(made) == 2, "each once, kept for the next runtime"
    entries = index(results)
    assert {entry.recipe for entry in entries if entry.speed} == {"ngram", "reference"}
    assert verify(results).ok, verify(results).problems
    assert todo.missing(results, "demo", profile="brief").cells == ()
    # A lower precision is scored, which only trained weights can be: told, and no lasting reason.
    lower = run.attempt(
        "ngram", track="demo", profile="brief", runtime="onnx_int8_dynamic", data=data, results=results
    )
    assert not lower.folders and "trained" in lower.empty[0].reason and "\n" not in lower.empty[0].reason
    assert not (results / "demo" / "attempts").exists()
    # A run of a recipe that was changed since is no run of it.
    for folder in results.glob("demo/runs/ngram/*/*"):
        example.forge(
            folder, "run.json", {**example.read(folder, "run.json"), "recipe_hash": "sha256:" + "0" * 64}
        )
    with pytest.raises(drawn.NotTrained, match="lightboard run ngram"):
        run.attempt("ngram", track="demo", profile="brief", data=data, results=results)


def test_trained_weights_are_timed_where_they_are(
    elsewhere: tuple[Path, str], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, data = elsewhere
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tiny_folder / "store"))
    made = run.attempt("ngram", track="demo", profile="brief", data=data, results=results)
    assert "weights" not in json.loads((made.found()[0] / "measurement.json").read_text())


# --- what is refused, and what a reader sees ----------------------------------------------------------------


def test_drawn_weights_have_no_scores_and_no_exits(tmp_path: Path) -> None:
    results = example.build(tmp_path / "results")
    folder = next(results.glob("*/measurements/student/default/*"))
    document = example.read(folder, "measurement.json")

    def wrong(**changes: object) -> set[str]:
        example.forge(folder, "measurement.json", {**document, **changes})
        return {p.field for p in verify(results).problems if p.file.endswith("measurement.json")}

    assert wrong(weights="drawn") == set()
    assert wrong(weights="guessed") == {"weights"}
    assert "weights" in wrong(weights="drawn", precision="int8")
    spot_check = {"task": "same", "ratio": 1.0, "passed": True}
    assert wrong(weights="drawn", spot_check=spot_check) == {"spot_check"}
    assert wrong(weights="drawn", worst_case={"ratio": 1.0, "latency_ms": 2.0}) == {"worst_case"}
    for path in results.glob("*/runs/student/default/*"):
        landed = example.read(path, "run.json")
        landed["model"]["exits"] = {"1": landed["model"]["dev_lengths"]}
        example.forge(path, "run.json", landed)
    assert wrong(weights="drawn") == {"weights"}
    assert wrong(weights="trained") == set()


@pytest.mark.parametrize("weights", ["trained", "drawn"])
def test_the_page_says_whose_weights_were_timed(weights: str, tmp_path: Path) -> None:
    from suite.board.measurements.page import measurement_sheet
    from suite.board.site import load_site

    results = example.build(tmp_path / "results")
    folder = next(results.glob("*/measurements/student/default/*"))
    example.forge(
        folder, "measurement.json", {**example.read(folder, "measurement.json"), "weights": weights}
    )
    entry = next(e for e in index(results) if e.recipe == "student")
    site = load_site([entry], results)
    assert site.naming(entry.track)
    for place in site.naming(entry.track):
        said = {
            fact.label: fact.text for fact in measurement_sheet(site, entry.track, place).context["facts"]
        }
        drawn_here = weights == "drawn" and place.endswith(folder.name)
        assert said.get("weights", "trained").startswith("drawn" if drawn_here else "trained")
        assert ("torch’s" in said["same answers"]) == drawn_here


def test_a_kit_needs_no_trained_weights(elsewhere: tuple[Path, str], tmp_path: Path) -> None:
    results, data = elsewhere
    made = pack(
        "ngram",
        track="demo",
        profile="brief",
        out=tmp_path / "kit.zip",
        task="sst2",
        data=data,
        results=results,
    )
    with zipfile.ZipFile(made) as archive:
        stated = json.loads(archive.read("kit.json"))["stated"]
    landed = json.loads((results / "demo/runs/ngram/default/sst2-11/run.json").read_text())
    assert (stated["weights"], stated["graph"]) == ("drawn", landed["model"]["graph"])
