"""Every method that exists, through every recipe of it, on every track the recipe has, at a tiny size.

Nothing here names a method: a new module and its recipe are picked up. A recipe keeps its own shape; what is
shrunk is the teacher (the track's layers and heads, 48 wide), students that a recipe makes wider than 96 or gives more
than six layers, the data, and how long anything is trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import save_file

from suite import models, protocol
from suite.canonical import canonical_json
from suite.data.encode import Encoded
from suite.data.rows import draw_rows
from suite.data.sources import load
from suite.errors import UserError
from suite.loading import recipes, resolve
from suite.measure.cost import count_module
from suite.measure.recount import parameters, polynomial
from suite.models import hub
from suite.models.mobilebert import IB_BERT_LARGE
from suite.paths import load_module, names
from suite.pipeline.cell import Cell
from suite.pipeline.execute import execute
from suite.pipeline.matrix import cell_of, model_stages, tokenizer_of
from suite.pipeline.stage import closure
from suite.pipeline.store import Store
from suite.protocol import Track
from suite.recipe import Recipe, Resolved
from suite.runtimes import onnx
from suite.tasks import task
from suite.training.feeds import logits_of, make_batch

EXPORTED: set[bytes] = set()  # configurations that went through the exporter
SHORT = {
    "epochs": 1, "tokens": 2000, "batch": 8, "copies": 2, "steps": 8, "layers": 6, "hidden": 96, "ffn": 192,
    "embedding": 48, "sha256": None,
}  # fmt: skip
CANNOT_BE_MADE = ("the hub cannot be reached", "LIGHTBOARD_WORD_VECTORS", "LIGHTBOARD_CHECKPOINTS")
INVERTED = {**IB_BERT_LARGE, "inner": 96, "positions": 64}  # a teacher that tracks do not have


def same(name: str) -> str:
    return name.replace("-", "_")


def cases() -> Iterator[Any]:
    """Slow are ablations, which have their parent's method, and tracks deeper than the recipe's shallowest."""
    for recipe in recipes():
        depths = {track: protocol.TRACKS[track].teacher.config["layers"] for track in recipe.tracks}
        for track, depth in depths.items():
            deep = recipe.ablation is not None or depth > min(depths.values())
            marks = [pytest.mark.slow] if deep else []
            yield pytest.param(recipe, track, id=f"{recipe.name}-{track}", marks=marks)


def short(value: Any) -> Any:
    """Parameters with what takes time at its least, at any depth."""
    if isinstance(value, dict):
        return {
            key: min(SHORT[key], inner) if isinstance(SHORT.get(key), int) and isinstance(inner, int)
            else None if key in SHORT and SHORT[key] is None
            else short(inner)
            for key, inner in value.items()
        }  # fmt: skip
    return [short(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def shortened(recipe: Recipe | str, track: str) -> Resolved:
    found = resolve(recipe, track)
    return replace(found, parameters=short(found.parameters))


@dataclass(frozen=True)
class Place:
    """A tiny track, and its cell with a fine-tuned reference."""

    track: Track
    cell: Cell
    store: Store


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    """Track -> its tiny version, made when it is first asked for, while :data:`TRACKS` holds it."""
    kept, environment = dict(protocol.TRACKS), dict(os.environ)
    yield {}
    protocol.TRACKS.update(kept)
    os.environ.clear()
    os.environ.update(environment)


def place_of(name: str, places: dict[str, Place], above: Path) -> Place:
    folder = above / name
    if name not in places:
        body = protocol.TRACKS[name].teacher.config
        sizes = {"layers": body["layers"], "heads": body["heads"], "hidden": 48, "ffn": 96, "positions": 64}
        letters = [chr(ord("a") + i) for i in range(26)]
        tiny.write_teacher(
            folder / "teacher",
            pieces=(*letters, *(f"##{letter}" for letter in letters)),
            masked_lm=protocol.TRACKS[name].general.masked_lm_head,
            **sizes,
        )
        tiny.write_data(folder, train=80, dev=24)
        track = tiny.shrunk(protocol.TRACKS[name], folder / "teacher", sizes)
        vocab = track.teacher.config["vocab"]
        tiny.write_inverted_bottleneck(folder / "inverted", **{**short(INVERTED), "vocab": vocab})
        general = replace(track.general, corpus="generated")
        protocol.TRACKS[name] = replace(track, threads=1, general=general)
    os.environ["LIGHTBOARD_TEACHER"] = str(folder / "teacher")
    os.environ["LIGHTBOARD_STORE"] = str(folder / "store")
    os.environ["LIGHTBOARD_IB_BERT"] = str(folder / "inverted")
    if name not in places:
        track, store = protocol.TRACKS[name], Store(folder / "store")
        rows = draw_rows(load(task("sst2"), f"folder:{folder}/glue"), task("sst2"), cap=None, selection=0.1)
        cell = cell_of(track, rows, track.seeds[0], store)
        (teacher,) = model_stages(shortened(track.reference_recipe, name), cell).values()
        places[name] = Place(track, replace(cell, reference=teacher), store)
    return places[name]


@pytest.mark.parametrize(("recipe", "name"), cases())
def test_a_method_trains_saves_loads_and_exports(
    recipe: Recipe,
    name: str,
    places: dict[str, Place],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = place_of(name, places, tmp_path_factory.getbasetemp() / "registry")
    made: list[Any] = []
    stand_in(made, tmp_path_factory.mktemp("hub"), monkeypatch)
    try:
        resolved = shortened(recipe, name)
        given, tokenizer = place.cell, tokenizer_of(resolved, place.track)
        if tokenizer.fingerprint != place.cell.encoded.params["tokenizer"]:
            given = cell_of(place.track, given.draw, given.seed, place.store, tokenizer=tokenizer)
        stage = model_stages(resolved, given)[recipe.tracks[name].default]
        made += [one.params for one in closure([stage]) if "hub" in one.params]
    except UserError as error:
        if any(reason in str(error) for reason in CANNOT_BE_MADE):
            pytest.skip(str(error))  # weights or words that no test can make
        raise

    dev = Encoded.load(execute_dev(given, place.store))
    trained = watched(monkeypatch, dev)
    execute([stage], place.store)
    folder = place.store.folder(stage.key)
    config, loaded = models.read_config(folder), models.load(folder)
    logits = logits_of(loaded, dev)
    assert logits.shape == (len(dev), given.task.outputs) and np.isfinite(logits).all()
    if folder.name in trained:  # else an earlier case made this very stage
        assert np.array_equal(trained[folder.name], logits), "what was loaded is what was trained"

    cost = count_module(models.load(folder, attention="eager"))
    assert parameters(cost.weights).total == sum(p.numel() for p in loaded.parameters())
    assert all(part >= 0 for part in polynomial(cost.ops))

    if adaptive(config):  # one graph only with early exits off
        config, folder = {**config, "speed": 0.0}, tmp_path_factory.mktemp("whole")
        models.save(loaded, config, folder)
        logits = logits_of(models.load(folder), dev)
    # The exporter sees what is computed, not weights: one export for each kind of layer, whatever their number.
    kinds = {key: value for key, value in config.items() if "dropout" not in key and key != "layers"}
    shape = canonical_json(kinds)
    if shape in EXPORTED:
        return
    EXPORTED.add(shape)
    run = onnx.prepare(onnx.export(folder, tmp_path_factory.mktemp("onnx")), 1)
    allowed = max(1e-4 * float(logits.std()), 1e-5 * float(np.abs(logits).max()))
    # A model that rounds inside may round a value the other way; most answers hold none that lies so near a half.
    rounds = any(not parameter.is_floating_point() for parameter in loaded.parameters())
    for index in (np.arange(len(dev)), np.array([3])):  # padded together, and alone at its own length
        answer = run(*(part.numpy() for part in make_batch(dev, index).inputs))
        apart = np.abs(answer - logits[index]).max(1)
        assert apart.max() <= (0.2 * float(logits.std()) if rounds else allowed)
        assert len(index) == 1 or np.quantile(apart, 0.6) <= allowed


def execute_dev(cell: Cell, store: Store) -> Path:
    execute([cell.encoded], store)
    return store.folder(cell.encoded.key) / cell.task.dev_splits[0]


def adaptive(config: models.Config) -> bool:
    return bool(getattr(load_module("models", config["architecture"]), "ADAPTIVE", False))


def watched(monkeypatch: pytest.MonkeyPatch, dev: Encoded) -> dict[str, np.ndarray]:
    """Artifact -> what the model answers at the moment it is saved."""
    answers: dict[str, np.ndarray] = {}
    save = models.save

    def saving(model: torch.nn.Module, config: models.Config, folder: Path) -> None:
        told = model
        if adaptive(config):  # it is trained without exits, and saved with the configuration that opens them
            told = models.build(config)
            told.load_state_dict(model.state_dict())
        answers[folder.name.removesuffix(".part")] = logits_of(told.eval(), dev)
        save(model, config, folder)

    monkeypatch.setattr(models, "save", saving)
    return answers


def stand_in(made: list[Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub, which cannot be reached: random weights where their shape is known, that of stages in ``made``."""

    def snapshot(name: str, revision: str, files: tuple[str, ...]) -> Path:
        known = [params for params in made if (params["hub"], params["revision"]) == (name, revision)]
        if not known:
            raise UserError(f"model {name}: the hub cannot be reached")
        params = known[0]
        torch.manual_seed(5)
        model = models.build({**params["config"], "outputs": 1})
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / hub.WEIGHTS)
        return folder

    monkeypatch.setattr(hub, "snapshot", snapshot)


def test_every_method_has_a_recipe_and_every_recipe_a_method() -> None:
    used = {same(recipe.method) for recipe in recipes()}
    assert used == {same(name) for name in names("methods")}
    for name in names("methods"):
        module = load_module("methods", name)
        assert {"Parameters", "students", "plan"} <= set(vars(module))


def test_students_are_known_without_weights_or_data(
    places: dict[str, Place], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """``students`` gives the variants of ``plan`` and the trained model's own parameter count."""
    from suite.measure.cost import count

    place = place_of("demo", places, tmp_path_factory.getbasetemp() / "registry")
    for recipe in recipes():
        if "demo" not in recipe.tracks:
            continue
        resolved = shortened(recipe, "demo")
        method = load_module("methods", recipe.method)
        students = method.students(
            method.Parameters.model_validate(resolved.parameters), place.track, place.cell.task.outputs
        )
        stages = model_stages(resolved, place.cell)
        assert students.keys() == stages.keys()
        name = recipe.tracks["demo"].default
        found = place.store.get(stages[name].key)
        if found is not None and models.read_config(found.folder) == students[name]:
            loaded = models.load(found.folder)
            assert count(students[name]).parameters.total == sum(p.numel() for p in loaded.parameters())
