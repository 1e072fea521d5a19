"""Slim models, nested sub-models and modifiers: what is cut is gone, and what is left answers as it did."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_methods import CONFIG, batch, bert, changed

from suite import models
from suite.data.encode import Encoded
from suite.documents import Run
from suite.errors import UserError
from suite.loading import check_recipe, load_recipe, resolve
from suite.measure.cost import count, count_module
from suite.methods import joint
from suite.methods.joint import Nested, Net, draw, nested_losses
from suite.models.int8 import Int8, Int8Linear, quantise, quantised_config
from suite.models.slim import Kept, cut, resized
from suite.modifiers import int8_static, magnitude, prune_structured
from suite.pipeline import tuning
from suite.pipeline.cell import Cell
from suite.pipeline.execute import execute
from suite.pipeline.importance import importance, order
from suite.pipeline.matrix import cell_of, draw_of, model_stages, variants
from suite.pipeline.run import run
from suite.pipeline.stage import Context, Stage, closure
from suite.pipeline.store import Store
from suite.protocol import TRACKS, Track, track
from suite.recipe import Resolved
from suite.runtimes import onnx
from suite.training.feeds import Batch, logits_of
from suite.training.losses import task_loss

HEADS, NEURONS = 4, 24
BERT = {**CONFIG, "positions": 64, "heads": HEADS, "ffn": NEURONS, "dropout": 0.0}


def big(**changes: Any) -> Any:
    """A model whose every weight and bias is random."""
    model = bert(**{**BERT, **changes})
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape) * 0.2)
    return model


def answers(model: torch.nn.Module, one: Batch) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(*one.inputs)
    return logits


# --- slim ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_slim_model_with_nothing_cut_is_a_bert(attention: str) -> None:
    wide, one = big(), batch()
    config = {
        **{k: v for k, v in BERT.items() if k not in ("heads", "ffn")},
        "architecture": "slim", "head_width": 4, "layer_heads": [HEADS] * 6, "layer_ffn": [NEURONS] * 6,
    }  # fmt: skip
    slim = models.build(config, attention=attention)
    slim.load_state_dict(wide.state_dict())
    assert list(slim.state_dict()) == list(wide.state_dict())
    assert torch.allclose(answers(slim, one), answers(wide, one), atol=1e-6)
    assert count(config).ops == count(BERT).ops


def uneven() -> list[Kept]:
    return [Kept(0, [2, 0], [5, 1, 9]), Kept(2, [3], range(NEURONS)), Kept(5, [1, 3, 0], [7])]


def test_cutting_is_as_silencing_but_smaller(tmp_path: Path) -> None:
    """The other route: heads and neurons are silenced in the whole model by zeros in what they write with."""
    wide, one = big(), batch()
    slim, config = cut(wide, BERT, uneven())
    found = answers(slim, one)
    with torch.no_grad():
        for place, heads, neurons in uneven():
            layer: Any = wide.layers[place]
            for head in set(range(HEADS)) - set(heads):
                layer.attention.output.dense.weight[:, 4 * head : 4 * head + 4] = 0
            for neuron in set(range(NEURONS)) - set(neurons):
                layer.output.dense.weight[:, neuron] = 0
        hidden, mask = wide.embed(*one.inputs)
        for place in (0, 2, 5):
            hidden = wide.layers[place](hidden, mask)
        wanted = wide.head(hidden)
    assert torch.allclose(found, wanted, atol=1e-6)
    assert config["layer_heads"] == [2, 1, 3] and config["layer_ffn"] == [3, NEURONS, 1]
    assert tuple(slim.layers[2].attention.self.query.weight.shape) == (12, 16)  # type: ignore[union-attr]
    models.save(slim, config, tmp_path)
    assert torch.equal(answers(models.load(tmp_path), one), found)
    again, config = cut(slim, config, [Kept(1, [0], [0, 1]), Kept(2, [0, 2], [0])])
    assert config["layer_heads"] == [1, 2] and answers(again, one).shape == found.shape


def test_a_cut_in_depth_alone_stays_a_bert() -> None:
    _, config = cut(big(), BERT, [Kept(j, range(HEADS), range(NEURONS)) for j in (0, 2, 4)])
    assert config == {**BERT, "layers": 3}


def test_a_layer_keeps_a_head_and_a_neuron() -> None:
    for heads, neurons in (([0, 1], [1, 1]), ([1, 1], [0, 1])):
        with pytest.raises(ValueError, match="needs a head and a neuron"):
            models.build(resized(BERT, heads, neurons))


def exported(model: torch.nn.Module, config: Any, folder: Path, tolerance: float) -> None:
    """ONNX gives the model's answers at other batches and lengths than it was exported with, padding present."""
    models.save(model, config, folder)
    session = onnx.prepare(onnx.export(folder, folder), 1)
    for one in (batch(5), batch(16)):
        found = session(*(part.numpy() for part in one.inputs))
        np.testing.assert_allclose(found, answers(model, one).numpy(), atol=tolerance)
        single = session(*(part[:1].numpy() for part in one.inputs))
        np.testing.assert_allclose(single, found[:1], atol=tolerance)


def test_slim_models_export(tmp_path: Path) -> None:
    exported(*cut(big(), BERT, uneven()), tmp_path, 1e-5)


# --- importance ---------------------------------------------------------------------------------------------


def test_importance_is_the_change_by_taking_a_part_out_to_first_order() -> None:
    """Derivatives by a factor on each head and on each neuron's weights, by differences in double precision."""
    torch.manual_seed(1)
    model = big(layers=2).double()
    one, other = batch(), batch(5)
    found = importance(model, [one, other])

    def slope(change: Any, data: Batch) -> float:
        losses = []
        for sign in (1, -1):
            change(1 + sign * 1e-4)
            losses.append(float(task_loss(answers(model, data), data.labels)))
            change(1 / (1 + sign * 1e-4))
        return (losses[0] - losses[1]) / 2e-4

    for place, layer in enumerate(model.layers):
        merge, expand, contract = layer.attention.output.dense, layer.intermediate.dense, layer.output.dense
        for head in range(HEADS):

            def louder(factor: float, part: Any = merge.weight.data[:, 4 * head : 4 * head + 4]) -> None:
                part *= factor

            expected = abs(slope(louder, one)) + abs(slope(louder, other))
            assert float(found.heads[place][head]) == pytest.approx(expected, rel=1e-3, abs=1e-7)
        for neuron in range(0, NEURONS, 5):

            def incoming(factor: float, n: int = neuron, dense: Any = expand) -> None:
                dense.weight.data[n] *= factor
                dense.bias.data[n] *= factor

            def outgoing(factor: float, n: int = neuron, dense: Any = contract) -> None:
                dense.weight.data[:, n] *= factor

            expected = sum(abs(slope(by, data)) for by in (incoming, outgoing) for data in (one, other))
            assert float(found.neurons[place][neuron]) == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_gradients_do_not_pile_up_from_batch_to_batch() -> None:
    model, one, other = big(), batch(), batch(5)
    both, first, second = (
        importance(model, [one, other]),
        importance(model, [one]),
        importance(model, [other]),
    )
    for whole, a, b in zip(both.neurons, first.neurons, second.neurons, strict=True):
        assert torch.allclose(whole, a + b, rtol=1e-5)


def test_order_is_from_the_most_important_and_stable() -> None:
    assert order(torch.tensor([1.0, 3.0, 1.0, 7.0])) == [3, 1, 0, 2]


# --- joint learning: parts ----------------------------------------------------------------------------------


def test_sizes_and_arithmetic_are_dynaberts() -> None:
    """Millions of parameters without the head and GFLOPs at 128 tokens, by depth and width (METHODS: DynaBERT)."""
    published = {
        100: [(109.48, 22.35), (88.23, 16.76), (66.98, 11.18), (45.73, 5.59)],
        75: [(88.22, 16.76), (72.28, 12.57), (56.34, 8.38), (40.41, 4.19)],
        50: [(66.96, 11.18), (56.33, 8.38), (45.71, 5.59), (35.08, 2.79)],
    }
    found = variants(resolve("joint", "base"), track("base"), 2)
    assert len(found) == 12
    for depth, row in published.items():
        for width, (millions, gflops) in zip((100, 75, 50, 25), row, strict=True):
            cost = count(found[f"width-{width}-depth-{depth}"])
            assert (cost.parameters.total - (2 * 768 + 2)) / 1e6 == pytest.approx(millions, abs=0.006)
            assert cost.flops(128) / 1e9 == pytest.approx(gflops, abs=0.006)


@pytest.mark.parametrize(
    ("where", "depth", "layers"),
    [
        ("base", 75, (0, 1, 2, 4, 5, 6, 8, 9, 10)),
        ("base", 50, (0, 2, 4, 6, 8, 10)),
        ("mini", 100, (0, 1, 2, 3, 4, 5)),
        ("mini", 67, (0, 1, 3, 4)),
        ("mini", 50, (0, 2, 4)),
    ],
)
def test_layers_kept(where: str, depth: int, layers: tuple[int, ...]) -> None:
    parameters = joint.Parameters.model_validate(resolve("joint", where).parameters)
    assert joint.nets(parameters, TRACKS[where].teacher.config)[f"width-50-depth-{depth}"].layers == layers


def test_depths_must_start_at_the_reference() -> None:
    with pytest.raises(UserError, match="the reference has 12 layers"):
        variants(resolve("joint", "mini"), TRACKS["base"], 2)


NETS = [Net(tuple(range(6)), 4, 24), Net(tuple(range(6)), 2, 12), Net((0, 2, 4), 4, 24), Net((0, 3), 3, 18),
        Net((0, 2, 4), 2, 12)]  # fmt: skip


@pytest.mark.parametrize("net", NETS)
def test_a_part_inside_is_the_part_sliced_out(net: Net) -> None:
    model, one = big(), batch()
    sliced, config = cut(model, BERT, net.kept())
    assert torch.allclose(answers(Nested(model, net), one), answers(sliced, one), atol=1e-5)
    whole, part = model.state_dict(), sliced.state_dict()
    for name, tensor in part.items():
        place = name.split(".")
        if name.startswith("bert.encoder.layer."):
            place[3] = str(net.layers[int(place[3])])
        source = whole[".".join(place)]
        assert torch.equal(tensor, source[tuple(slice(0, n) for n in tensor.shape)])  # prefixes
    assert config["layers"] == len(net.layers)


def test_the_sandwich_has_the_whole_model_the_smallest_and_others_by_the_steps_seed() -> None:
    torch.manual_seed(7)
    drawn = [draw(NETS, 3) for _ in range(40)]
    assert all(len(nets) == 3 and nets[0] == NETS[0] and nets[1] == NETS[-1] for nets in drawn)
    assert {nets[2] for nets in drawn} == set(NETS[1:-1])
    torch.manual_seed(7)
    assert [draw(NETS, 3) for _ in range(40)] == drawn
    assert draw(NETS, "all") == draw(NETS, 9) == NETS
    assert draw(NETS[:1], 4) == NETS[:1]


def softmax(row: Any) -> list[float]:
    powers = [math.exp(v) for v in row]
    return [p / sum(powers) for p in powers]


def kl(teacher: torch.Tensor, student: torch.Tensor) -> float:
    rows = zip(teacher.tolist(), student.tolist(), strict=True)
    pairs = [(softmax(t), softmax(s)) for t, s in rows]
    return sum(p * math.log(p / q) for ps, qs in pairs for p, q in zip(ps, qs, strict=True)) / len(pairs)


@pytest.mark.parametrize(
    ("in_place", "hidden", "frozen"),
    [
        (True, 0.0, [1.725300, 0.01000545, 0.001364419]),
        (True, 0.3, [1.725300, 0.6680571, 0.8275271]),
        (False, 0.0, [1.725300, 1.3507429, 1.5170355]),
        (False, 0.3, [1.725300, 2.0087946, 2.3431983]),
    ],
)
def test_losses_are_the_formulas_and_padding_is_left_out(
    in_place: bool, hidden: float, frozen: list[float]
) -> None:
    model, one = big(), batch()
    teacher = torch.randn(3, 2)
    one = one._replace(extra={"teacher": teacher})
    nested, chosen = Nested(model, NETS[0]).eval(), [NETS[0], NETS[2], NETS[3]]
    found = [float(loss.value.detach()) for loss in nested_losses(nested, one, chosen, in_place, 0.5, hidden)]

    def states(net: Net) -> list[torch.Tensor]:
        with torch.no_grad():
            return cut(model, BERT, net.kept())[0].states(*one.inputs)

    def ce(logits: torch.Tensor) -> float:
        rows = zip(logits.tolist(), one.labels.tolist(), strict=True)
        return sum(-math.log(softmax(row)[label]) for row, label in rows) / 3

    with torch.no_grad():
        whole = model(*one.inputs)
    expected = [ce(whole) + 0.5 * kl(teacher, whole)]
    seen = states(NETS[0])
    for net, matched in ((NETS[2], (0, 2, 4, 6)), (NETS[3], (0, 3, 6))):
        own = states(net)
        with torch.no_grad():
            logits = model.head(own[-1])
        value = kl(whole, logits) if in_place else ce(logits)
        for state, j in zip(own, matched, strict=True):
            squares = [
                float((state[b, i, k] - seen[j][b, i, k]) ** 2)
                for b in range(3) for i in range(7) if one.mask[b, i] for k in range(16)
            ]  # fmt: skip
            value += hidden * sum(squares) / len(squares)
        expected.append(value)
    assert expected == pytest.approx(frozen, rel=1e-3)
    assert found == pytest.approx(expected, rel=1e-4)
    padded = one._replace(ids=torch.where(one.mask.bool(), one.ids, 17))
    again = [float(x.value.detach()) for x in nested_losses(nested, padded, chosen, in_place, 0.5, hidden)]
    assert again == pytest.approx(found, rel=1e-5)


def test_a_part_learns_from_a_whole_model_that_does_not_learn_from_it() -> None:
    """The heads and layers that a part lacks get no gradient from its loss; regression is a squared error."""
    model, one = big(outputs=1), batch()
    one = one._replace(labels=torch.tensor([0.5, 1.0, 2.0]))
    losses = nested_losses(Nested(model, NETS[0]).eval(), one, [NETS[0], NETS[4]], True, 0.0, 0.1)
    next(losses)
    loss = next(losses).value
    loss.backward()  # type: ignore[no-untyped-call]
    assert model.layers[1].output.dense.weight.grad is None
    gradient = model.layers[2].attention.self.query.weight.grad
    assert gradient[:8].abs().sum() > 0 and not gradient[8:].any()
    plain = list(nested_losses(Nested(model, NETS[0]).eval(), one, [NETS[0], NETS[4]], True, 0.0, 0.0))
    whole, part = answers(model, one), answers(Nested(model, NETS[4]), one)
    squares = [(float(a) - float(b)) ** 2 for a, b in zip(whole, part, strict=True)]
    assert float(plain[1].value.detach()) == pytest.approx(sum(squares) / 3, rel=1e-5)


# --- joint learning: stages ---------------------------------------------------------------------------------


def mini_cell() -> Cell:
    lengths = {"train": np.random.default_rng(0).integers(8, 40, 7200)}
    found = track("mini")
    fake = Stage(name="fake", version=1, function=lambda context: None)
    return Cell(found, _task(), 11, None, fake, lengths, reference=fake)  # type: ignore[arg-type]


def _task() -> Any:
    from suite.tasks import task

    return task("sst2")


def test_training_costs_what_is_run_and_stays_within_the_budget() -> None:
    """One teacher forward is F: three epochs of the whole, the smallest and three of the ten others, all in thirds."""
    cell = mini_cell()
    f = cell.forward(cell.config())
    resolved = resolve("joint", "mini")
    (stage,) = [s for s in closure(model_stages(resolved, cell).values()) if s.name == "joint"]
    nets = [cell.forward(c) for c in variants(resolved, cell.track, 2).values()]
    expected = 9 * (nets[0] + nets[-1] + 3 * (sum(nets) - nets[0] - nets[-1]) / 10)
    assert stage.tflop == pytest.approx(expected)
    own = [s for s in closure(model_stages(resolved, cell).values()) if s is not cell.reference]
    assert 20 < sum(s.tflop for s in own) / f < 24
    every = replace(resolved, parameters={**resolved.parameters, "sampled": "all"})
    (stage,) = [s for s in closure(model_stages(every, cell).values()) if s.name == "joint"]
    assert stage.tflop == pytest.approx(9 * sum(nets))


@pytest.mark.parametrize("name", ["pruned", "magnitude", "reference-int8"])
def test_modified_recipes_stay_within_the_budget(name: str) -> None:
    cell = mini_cell()
    own = list(closure(model_stages(resolve(name, "mini"), cell).values()))
    assert sum(s.tflop for s in own if s.name != "finetune") / cell.forward(cell.config()) < 24


@pytest.fixture
def cell(tiny_track: Track, tiny_folder: Path) -> tuple[Cell, Store]:
    store = Store(tiny_folder / "store")
    bare = cell_of(tiny_track, draw_of(tiny_track, "sst2", f"folder:{tiny_folder}/glue"), 11, store)
    (teacher,) = model_stages(resolve(load_recipe("reference"), tiny_track.name), bare).values()
    return replace(bare, reference=teacher), store


def resolved_as(name: str, **changes: Any) -> Resolved:
    found = resolve(load_recipe(name), "demo")
    return replace(found, parameters=changed(found.parameters, changes))


def test_all_twelve_models_come_out_as_they_were_inside(cell: tuple[Cell, Store]) -> None:
    """Through the stages: the rewired reference answers as before; every slice answers as the part did."""
    (at, store), one = cell, None
    recipe = resolved_as("joint", widths=[1, 0.75, 0.5, 0.25], depths=[6, 4, 3], sampled=4, hidden=0.1)
    recipe = replace(recipe, parameters=changed(recipe.parameters, {"epochs": 1}))
    stages = model_stages(recipe, at)
    execute(stages.values(), store)
    assert len(stages) == 12
    train = Encoded.load(store.folder(at.encoded.key) / "train")
    by_name = {s.name: store.folder(s.key) for s in closure(stages.values())}
    assert at.reference is not None
    before = logits_of(models.load(store.folder(at.reference.key)), train)
    rewired = load_file(by_name["rewire"] / "model.safetensors")
    assert np.abs(logits_of(models.load(by_name["rewire"]), train) - before).max() < 1e-5
    original = load_file(store.folder(at.reference.key) / "model.safetensors")
    assert any(not torch.equal(rewired[k], original[k]) for k in original)  # something did move
    whole = models.load(by_name["joint"])
    parts = joint.nets(
        joint.Parameters.model_validate(recipe.parameters), models.read_config(by_name["joint"])
    )
    sizes = {}
    for name, stage in stages.items():
        folder = store.folder(stage.key)
        inside = logits_of(Nested(whole, parts[name]).eval(), train)  # type: ignore[arg-type]
        assert np.abs(logits_of(models.load(folder), train) - inside).max() < 1e-5
        sizes[name] = (folder / "model.safetensors").stat().st_size
        config = {k: v for k, v in models.read_config(folder).items() if k != "dropout"}
        said = joint.students(joint.Parameters.model_validate(recipe.parameters), at.track, 2)[name]
        assert config == {k: v for k, v in said.items() if k != "dropout"}
        one = one or inside.shape
        assert inside.shape == one
    assert sizes["width-100-depth-100"] > sizes["width-75-depth-100"] > sizes["width-75-depth-50"]


@pytest.mark.parametrize(
    "changes", [{"sampled": "all"}, {"teacher": 0.0}, {"hidden": 1.0}, {"in_place": False}]
)
def test_every_choice_changes_what_is_learnt(cell: tuple[Cell, Store], changes: dict[str, Any]) -> None:
    at, store = cell
    found = []
    for recipe in (resolved_as("joint", epochs=1), resolved_as("joint", epochs=1, **changes)):
        stage = model_stages(recipe, at)["width-50-depth-50"]
        execute([stage], store)
        found.append(load_file(store.folder(stage.key) / "model.safetensors"))
    assert any(not torch.equal(found[0][k], found[1][k]) for k in found[0])


# --- modifiers ----------------------------------------------------------------------------------------------


def tune(epochs: int) -> dict[str, Any]:
    return {"epochs": epochs, "lr": 1e-3, "batch": 16, "weight_decay": 0.1, "keep": "last"}


def modified(cell: tuple[Cell, Store], *modifiers: tuple[str, dict[str, Any]]) -> Path:
    """The reference's model folder after modifiers, one after the other; the plan's configuration is the folder's."""
    at, store = cell
    listed = tuple({"name": name, "parameters": parameters} for name, parameters in modifiers)
    recipe = replace(resolved_as("reference"), modifiers=listed)
    (stage,) = model_stages(recipe, at).values()
    execute([stage], store)
    (said,) = variants(recipe, at.track, 2).values()
    assert models.read_config(store.folder(stage.key)) == said
    return store.folder(stage.key)


PRUNE = ("prune-structured", {"heads": 0.5, "ffn": 0.75, "importance_examples": 64, "training": tune(1)})


def test_structured_pruning_leaves_smaller_shapes_files_and_arithmetic(cell: tuple[Cell, Store]) -> None:
    whole, small = modified(cell), modified(cell, PRUNE)
    weights = load_file(small / "model.safetensors")
    assert weights["bert.encoder.layer.0.attention.self.query.weight"].shape == (16, 32)
    assert weights["bert.encoder.layer.5.output.dense.weight"].shape == (32, 16)
    before, after = (count_module(models.load(f, attention="eager")) for f in (whole, small))
    removed = 6 * (4 * 16 * 32 + 3 * 16 + 2 * 48 * 32 + 48)
    assert after.parameters.total == before.parameters.total - removed
    # No zeros left in place: as full as before.
    assert (
        after.parameters.total - after.parameters.nonzero
        <= before.parameters.total - before.parameters.nonzero
    )
    assert before.flops(64) - after.flops(64) == 6 * 2 * (64 * (4 * 16 * 32 + 2 * 48 * 32) + 2 * 64 * 64 * 16)
    sizes = [(f / "model.safetensors").stat().st_size for f in (whole, small)]
    assert sizes[0] - sizes[1] == pytest.approx(4 * removed, abs=1000)


def test_structured_pruning_keeps_the_important(cell: tuple[Cell, Store]) -> None:
    """Without fine-tuning: what is kept is the upper half by importance, in the order in which it stood."""
    whole = modified(cell)
    parameters = {"heads": 0.5, "ffn": 0.5, "importance_examples": 64, "training": tune(0)}
    small = modified(cell, ("prune-structured", parameters))
    at, store = cell
    (stage,) = model_stages(replace(resolved_as("reference"), modifiers=(
        {"name": "prune-structured", "parameters": parameters},)), at).values()  # fmt: skip
    assert [s.name for s in closure([stage])][-2:] == ["importance", "prune-structured"]
    stored = np.load(store.folder(stage.inputs["importance"].key) / "importance.npz")
    old, new = (load_file(f / "model.safetensors") for f in (whole, small))
    for place in range(6):
        name = f"bert.encoder.layer.{place}.intermediate.dense.bias"
        values = stored[f"neurons-{place}"]
        best = sorted(sorted(range(64), key=lambda n: -values[n])[:32])
        assert torch.equal(new[name], old[name][best])


def test_magnitude_takes_the_smallest_of_all_and_they_stay_zero(cell: tuple[Cell, Store]) -> None:
    parameters = {"sparsity": 0.6, "embeddings": False, "training": tune(0)}
    whole = load_file(modified(cell) / "model.safetensors")
    bare = load_file(modified(cell, ("magnitude", parameters)) / "model.safetensors")
    names = [k for k in whole if "encoder.layer" in k and whole[k].ndim == 2]
    every = np.concatenate([whole[k].numpy().ravel() for k in names])
    threshold = np.sort(np.abs(every))[round(0.6 * len(every)) - 1]
    for name in whole:
        expected = torch.where(whole[name].abs() <= float(threshold), 0.0, whole[name])
        assert torch.equal(bare[name], expected if name in names else whole[name])
    zeros = sum(int((bare[k] == 0).sum()) for k in names)
    assert zeros == round(0.6 * len(every))
    tuned = load_file(
        modified(cell, ("magnitude", {**parameters, "training": tune(2)})) / "model.safetensors"
    )
    assert all(torch.equal(tuned[k] == 0, bare[k] == 0) for k in names)
    assert any(not torch.equal(tuned[k], bare[k]) for k in names)
    cost = count_module(models.load(modified(cell, ("magnitude", parameters)), attention="eager"))
    assert cost.parameters.total - cost.parameters.nonzero >= zeros
    tables = magnitude.matrices(bert(), embeddings=True)
    assert len(tables) == len(magnitude.matrices(bert(), embeddings=False)) + 3


def test_zeros_get_no_gradient() -> None:
    model = big()
    with torch.no_grad():
        model.layers[0].output.dense.weight[:, :5] = 0
    tuning.keep_zeros(model)
    task_loss(model(*batch().inputs), batch().labels).backward()  # type: ignore[no-untyped-call]
    gradient = model.layers[0].output.dense.weight.grad
    assert not gradient[:, :5].any() and gradient[:, 5:].all()


def test_modifiers_stack(cell: tuple[Cell, Store]) -> None:
    pruned = modified(cell, PRUNE)
    both = modified(cell, PRUNE, ("int8-dynamic", {"embeddings": True}))
    config = models.read_config(both)
    assert config["architecture"] == "int8" and config["base"]["architecture"] == "slim"
    train = Encoded.load(cell[1].folder(cell[0].encoded.key) / "train")
    floats, whole = (logits_of(models.load(f), train) for f in (pruned, both))
    assert not np.array_equal(floats, whole)
    assert np.abs(floats - whole).max() < 0.2 * np.ptp(floats)
    sizes = [(f / "model.safetensors").stat().st_size for f in (pruned, both)]
    assert sizes[1] < 0.5 * sizes[0]
    for second in ("int8-static", "int8-dynamic"):
        with pytest.raises(UserError, match="8 bits already"):
            modified(cell, ("int8-dynamic", {}), (second, {}))
    with pytest.raises(UserError, match="can be cut from bert and slim"):
        modified(cell, ("int8-dynamic", {}), PRUNE)


def test_what_cannot_be_modified_says_so(cell: tuple[Cell, Store]) -> None:
    at, store = cell
    for name, message in (("int8-dynamic", "no linear layers"), ("magnitude", "no encoder layers")):
        parameters = {"sparsity": 0.5, "training": tune(0)} if name == "magnitude" else {}
        recipe = replace(resolved_as("majority"), modifiers=({"name": name, "parameters": parameters},))
        (stage,) = model_stages(recipe, at).values()
        with pytest.raises(UserError, match=message):
            execute([stage], store)


def test_runs_of_modified_models_hold_together(tiny_track: Track, tiny_folder: Path, tmp_path: Path) -> None:
    from suite.index import index
    from suite.verify import verify

    recipes = ["reference", "reference-int8", "pruned", "joint"]
    folders = run(recipes, track="demo", data=f"folder:{tiny_folder}/glue", results=tmp_path, workers=1)
    index(tmp_path)
    report = verify(tmp_path, data=f"folder:{tiny_folder}/glue")
    assert not report.problems
    runs = {
        f"{f.parts[-3]}/{f.parts[-2]}": Run.model_validate_json((f / "run.json").read_bytes())
        for f in folders
    }
    assert set(runs) == {
        "reference/default", "reference-int8/default", "pruned/default",
        *(f"joint/width-{w}-depth-{d}" for w in (100, 50) for d in (100, 50)),
    }  # fmt: skip
    whole, small = runs["reference/default"], runs["reference-int8/default"]
    assert small.model.bytes["safetensors/int8"] < 0.45 * whole.model.bytes["safetensors/fp32"]
    assert small.model.parameters.total == whole.model.parameters.total
    assert small.model.flops_per_example == whole.model.flops_per_example
    assert {w.dtype for w in small.model.weights if len(w.shape) == 2} == {"int8"}
    assert small.settings["modifiers"] == [{"name": "int8-dynamic", "parameters": {"embeddings": True}}]
    assert runs["pruned/default"].model.architecture == "slim"
    # The reference is everybody's teacher and so outside; what a modifier adds is inside.
    assert [s.stage for s in runs["pruned/default"].stages if not s.shared] == [
        "importance", "prune-structured", "tuning",
    ]  # fmt: skip
    assert {s.stage for s in runs["joint/width-50-depth-50"].stages if not s.shared} == {
        "importance", "rewire", "teacher-logits", "joint", "slice",
    }  # fmt: skip


# --- int8 ---------------------------------------------------------------------------------------------------


def integer_linear(
    x: np.ndarray, mask: np.ndarray, layer: Int8Linear, ends: tuple[float, float] | None
) -> np.ndarray:
    """What an int8 kernel does: uint8 activations with a zero point, int32 sums, one scale at the end."""
    weight, scale = layer.codes.numpy().astype(np.int32), layer.scale.numpy()
    out = np.zeros((*x.shape[:2], len(weight)))
    for b in range(len(x)):
        real = x[b][mask[b] == 1]
        low, high = ends or (min(0.0, float(real.min())), max(0.0, float(real.max())))
        step = np.float32((np.float32(high) - np.float32(low)) / np.float32(255))
        zero = int(np.round(-np.float32(low) / step))
        for i in range(x.shape[1]):
            for o in range(len(weight)):
                total = np.int32(0)
                for k in range(x.shape[2]):
                    code = min(255, max(0, int(np.round(x[b, i, k] / step)) + zero))
                    total += np.int32(code - zero) * weight[o, k]
                out[b, i, o] = total * float(step) * float(scale[o]) + float(layer.bias[o])
    return out


@pytest.mark.parametrize("static", [False, True])
def test_int8_products_are_whole_number_products(static: bool) -> None:
    from suite.models.int8 import Real, quantise_rows

    torch.manual_seed(2)
    real, x = Real(), torch.randn(3, 5, 11)
    real.mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0]])
    layer = Int8Linear(4, 11, True, static, real).requires_grad_(False)
    layer.codes.data, layer.scale = quantise_rows(torch.randn(4, 11))
    layer.bias.data = torch.randn(4)  # type: ignore[union-attr]
    if static:
        layer.range = torch.tensor([-0.7, 1.1])  # much of x lies outside
    wanted = integer_linear(x.numpy(), real.mask.numpy(), layer, (-0.7, 1.1) if static else None)
    np.testing.assert_allclose(layer(x).numpy(), wanted, rtol=1e-5, atol=1e-5)
    spoilt = torch.where(real.mask[:, :, None].bool(), x, 1000.0)
    kept = real.mask.bool()
    assert torch.equal(layer(spoilt)[kept], layer(x)[kept])


def test_weights_are_rounded_to_the_nearest_of_255_steps() -> None:
    from suite.models.int8 import quantise_rows

    weight = torch.randn(7, 13)
    weight[3] = 0
    whole, scale = quantise_rows(weight)
    assert whole.dtype == torch.int8 and int(whole.min()) >= -127
    assert bool(((whole * scale[:, None] - weight).abs() <= scale[:, None] / 2 + 1e-7).all())
    assert all(int(row.abs().max()) == 127 for i, row in enumerate(whole.int()) if i != 3)


@pytest.mark.parametrize("embeddings", [False, True])
def test_an_int8_model_answers_alike_alone_in_a_batch_and_padded(embeddings: bool, tmp_path: Path) -> None:
    wide, one = big(), batch(9)
    small, config = quantise(wide, BERT, embeddings=embeddings)
    models.save(small, config, tmp_path)
    loaded = models.load(tmp_path)
    found = answers(loaded, one)
    assert torch.equal(answers(small, one), found)
    assert 0 < float((found - answers(wide, one)).abs().max()) < 0.1 * float(answers(wide, one).abs().max())
    for i in range(3):
        length = int(one.mask[i].sum())
        alone = Batch(*(part[i : i + 1, :length] for part in one.inputs), one.labels[:1], {})
        assert torch.allclose(answers(loaded, alone), found[i : i + 1], atol=1e-5)
    traced = count_module(models.load(tmp_path, attention="eager"))
    tables = {w.name for w in traced.weights if w.embedding and w.dtype == "int8"}
    assert len(tables) == (3 if embeddings else 0)


def test_an_int8_file_is_a_quarter_and_costs_the_same_products(tmp_path: Path) -> None:
    config = {**BERT, "hidden": 128, "ffn": 512, "vocab": 2000, "layers": 2}
    wide = models.build(config)
    small, said = quantise(wide, config, embeddings=True)
    for name, (model, about) in {"wide": (wide, config), "small": (small, said)}.items():
        models.save(model, about, tmp_path / name)
    sizes = {n: (tmp_path / n / "model.safetensors").stat().st_size for n in ("wide", "small")}
    assert 3.5 < sizes["wide"] / sizes["small"] < 4.05
    before, after = count(config), count(said)
    assert [(o.kind, o.rows, o.shape, o.times) for o in before.ops] == [
        (o.kind, o.rows, o.shape, o.times) for o in after.ops
    ]
    renamed = [f"model.{o.weight.removesuffix('weight')}codes" if o.weight else None for o in before.ops]
    assert renamed == [o.weight for o in after.ops]
    assert count_module(models.load(tmp_path / "small", attention="eager")).ops == after.ops
    assert before.parameters.total == after.parameters.total


@pytest.mark.parametrize("architecture", ["distilbert", "mobilebert"])
def test_other_architectures_in_8_bits(architecture: str) -> None:
    """Also those that read a table themselves."""
    more = {
        "inner": 8, "feedforwards": 2, "embedding": 8, "attends": "shared", "norm": "nonorm", "pooler": False,
        "activation": "relu", "attention_dropout": 0.0, "head_dropout": 0.0,
    }  # fmt: skip
    config = {**BERT, "architecture": architecture, "layers": 2, "dropout": 0.0, **more}
    torch.manual_seed(0)
    wide, one = models.build(config), batch(9)
    with torch.no_grad():
        for weight in wide.parameters():
            weight.add_(torch.randn(weight.shape) * 0.1)
    small, said = quantise(wide, config, embeddings=True)
    found, wanted = answers(small, one), answers(wide, one)
    assert 0 < float((found - wanted).abs().max()) < 0.1 * float(wanted.abs().max())
    assert count(said).flops(9) == count(config).flops(9)
    assert count(said).parameters.without_embeddings == count(config).parameters.without_embeddings


def test_early_exits_are_not_done_in_8_bits() -> None:
    with pytest.raises(UserError, match="may leave early"):
        quantised_config({"architecture": "fastbert", "speed": 0.5}, "dynamic", True)


@pytest.mark.parametrize("static", [False, True])
def test_int8_models_export(static: bool, tmp_path: Path) -> None:
    wide = big(layers=1)
    ranges = int8_static.activation_ranges(wide, [batch(), batch(12)], 99.9) if static else None
    small, config = quantise(wide, {**BERT, "layers": 1}, embeddings=True, ranges=ranges)
    exported(small, config, tmp_path, 5e-2)  # a rounding that falls the other way is a whole step
    file = tmp_path / "model.onnx"
    import onnx as format_

    kinds = {init.data_type for init in format_.load(file).graph.initializer}
    assert format_.TensorProto.INT8 in kinds


@pytest.mark.parametrize("percentile", [100, 90])
def test_static_ranges_are_percentiles_over_real_tokens(percentile: float) -> None:
    model, data = big(layers=1), [batch(9), batch(6)]
    found = int8_static.activation_ranges(model, data, percentile)
    seen = []
    for one in data:  # the other route: the first layer's input is the embedding output
        with torch.no_grad():
            seen.append(model.states(*one.inputs)[0][one.mask.bool()].numpy().ravel())
    values = np.concatenate(seen)
    low, high = found["bert.encoder.layer.0.attention.self.key"]
    bins = float(np.ptp(values)) / int8_static.BINS
    for share, edge in ((1 - percentile / 100, low), (percentile / 100, high)):
        below = [float(np.mean(values <= end)) for end in (edge - bins, edge + bins)]
        assert below[0] - 1e-9 <= share <= below[1] + 1e-9
    assert set(found) == {n for n, part in model.named_modules() if isinstance(part, torch.nn.Linear)}


def test_static_int8_from_a_recipe(cell: tuple[Cell, Store]) -> None:
    small = models.load(modified(cell, ("int8-static", {"examples": 40, "percentile": 100})))
    train = Encoded.load(cell[1].folder(cell[0].encoded.key) / "train")
    wide = logits_of(models.load(modified(cell)), train)
    assert isinstance(small, Int8)
    assert 0 < np.abs(logits_of(small, train) - wide).max() < 0.2 * np.ptp(wide)


# --- recipes ------------------------------------------------------------------------------------------------


def test_recipes_without_modifiers_keep_their_hash() -> None:
    for path in sorted(
        (Path(__file__).parent.parent / "results" / "mini" / "runs").glob("*/*/cola-11/run.json")
    ):
        document = json.loads(path.read_text())
        assert resolve(document["recipe"], "mini").hash == document["recipe_hash"]


def written(folder: Path, modifiers: str, own: str = "") -> Path:
    path = folder / "odd.yaml"
    path.write_text(
        f"schema: lightboard/recipe/1\nname: odd\nmethod: majority\nmodifiers:\n{modifiers}"
        "about: {title: Odd, idea: A test., colour: '#1f77b4', shape: circle}\n"
        f"tracks:\n  mini:\n    parameters: {{}}\n{own}  demo: {{parameters: {{}}}}\n"
    )
    return path


@pytest.mark.parametrize(
    ("modifiers", "said"),
    [
        ("  - int8-dynamc\n", r"5: modifiers\[0\]: found 'int8-dynamc', .*did you mean int8-dynamic"),
        ("  - {name: magnitud, sparsity: 1}\n", r"5: modifiers\[0\].name: found 'magnitud'.*did you mean magnitude"),
        ("  - int8-dynamic\n  - {name: int8-static,\n     percentile: 20}\n",
         r"7: modifiers\[1\].percentile: found 20, expected a number of at most 100 above 50"),
        ("  - {name: int8-dynamic, embedings: true}\n",
         r"5: modifiers\[0\].embedings: found an unknown field, .*did you mean embeddings"),
        ("  - magnitude\n", r"5: modifiers\[0\].sparsity: found nothing, expected a number"),
        ("  - {name: prune-structured, heads: 0.5, ffn: 0.5,\n     training: {epochs: -1, lr: 0.1}}\n",
         r"6: modifiers\[0\].training.epochs: found -1, expected a whole number"),
        ("  - {heads: 0.5}\n", r"5: modifiers\[0\].name: found nothing, expected a name of"),
        ("  - 3\n", r"5: modifiers\[0\]: found 3, expected a name .* or a mapping with name"),
    ],
)  # fmt: skip
def test_a_wrong_modifier_is_told_with_file_line_and_field(tmp_path: Path, modifiers: str, said: str) -> None:
    with pytest.raises(UserError, match=rf"odd\.yaml:{said}"):
        check_recipe(written(tmp_path, modifiers))


def test_a_track_may_have_modifiers_of_its_own(tmp_path: Path) -> None:
    own = "    modifiers:\n    - {name: int8_static, examples: 7}\n"
    path = written(tmp_path, "  - {name: int8-dynamic, embeddings: false}\n", own)
    assert resolve(path, "demo").settings["modifiers"] == [
        {"name": "int8-dynamic", "parameters": {"embeddings": False}}
    ]
    static = {"name": "int8-static", "parameters": {"embeddings": True, "examples": 7, "percentile": 99.99}}
    assert resolve(path, "mini").settings["modifiers"] == [static]
    assert resolve(load_recipe(path).model_copy(), "mini").modifiers == (static,)
    assert resolve(path, "mini").hash != resolve(path, "demo").hash
    path = written(tmp_path, "  - int8-dynamic\n", own.replace("7", "0"))
    with pytest.raises(UserError, match=r"11: tracks.mini.modifiers\[0\].examples: found 0"):
        check_recipe(path)


@pytest.mark.parametrize("module", [prune_structured, magnitude])
def test_zero_epochs_add_no_training(module: Any) -> None:
    sizes = {"heads": 0.5, "ffn": 0.5} if module is prune_structured else {"sparsity": 0.5}
    parameters = module.Parameters.model_validate({**sizes, "training": {"epochs": 0, "lr": 1.0}})
    cell = mini_cell()
    stage = module.stage(parameters, cell.reference, cell.config(), cell)
    assert "tuning" not in {s.name for s in closure([stage])}


def test_contexts_are_plain(tmp_path: Path) -> None:
    """A stage that runs elsewhere gets its parameters back from JSON."""
    model = big()
    models.save(model, BERT, tmp_path / "in")
    params = json.loads(json.dumps({"net": NETS[3]._asdict()}))
    joint.slice_out(Context(tmp_path / "out", {"model": tmp_path / "in"}, tmp_path, params, 1))
    assert models.read_config(tmp_path / "out")["layer_heads"] == [3, 3]
