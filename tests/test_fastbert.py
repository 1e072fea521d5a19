"""FastBERT and early exits: the model and its losses by other routes, and exits as evidence to the board."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import example_results as example
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from suite import board, models
from suite.canonical import pretty_json
from suite.documents import Op, Run
from suite.loading import load_recipe, resolve
from suite.measure import cost, recount
from suite.methods import fastbert
from suite.models.fastbert import Classifier, FastBert, published_flops, uncertainty
from suite.pipeline.exits import threshold
from suite.pipeline.general import Taught
from suite.pipeline.matrix import cell_of, draw_of, model_stages
from suite.pipeline.run import run
from suite.pipeline.store import Store
from suite.protocol import Track, track
from suite.training.feeds import Batch
from suite.training.schedules import Progress
from suite.verify import recounted, verify

SIZES = {
    "architecture": "fastbert", "layers": 6, "hidden": 16, "heads": 2, "ffn": 32, "vocab": 1200, "positions": 64,
    "types": 2, "layer_norm_eps": 1e-12, "outputs": 3, "classifier": 8, "branches": True, "speed": 0.0,
}  # fmt: skip
BASE = {**SIZES, "layers": 12, "hidden": 768, "heads": 12, "ffn": 3072, "vocab": 30522, "positions": 512,
        "outputs": 2, "classifier": 128}  # fmt: skip


def fast(**changes: Any) -> FastBert:
    """Random weights large enough that examples differ in how sure a classifier is of them."""
    torch.manual_seed(3)
    model = models.build({**SIZES, **changes})
    assert isinstance(model, FastBert)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.8)
    return model


def batch(rows: int = 24, length: int = 17) -> Batch:
    """Examples of 3 to ``length`` tokens, padded."""
    generator = torch.Generator().manual_seed(4)
    ids = torch.randint(1000, 1200, (rows, length), generator=generator)
    ends = 3 + torch.arange(rows) * 5 % (length - 2)
    mask = (torch.arange(length)[None] < ends[:, None]).long()
    labels = torch.arange(rows) % 3
    return Batch(ids * mask, mask, (torch.arange(length)[None] > 4).long() * mask, labels, {})


def alone(one: Batch, row: int) -> tuple[torch.Tensor, ...]:
    """The inputs of one example without its padding."""
    end = int(one.mask[row].sum())
    return tuple(part[row : row + 1, :end] for part in one.inputs)


# --- sizes and arithmetic -----------------------------------------------------------------------------------


def test_sizes_are_the_published_ones() -> None:
    parameters = fastbert.Parameters.model_validate(resolve("fastbert", "base").parameters)
    configs = fastbert.students(parameters, track("base"), 2)
    counted = cost.count(configs["layers-6"])
    assert counted.parameters.total == 111_066_648
    one = [w for w in counted.weights if w.name.startswith("blocks.4.classifier.")]
    assert sum(math.prod(weight.shape) for weight in one) == 181_250
    assert cost.count(configs["full"]).parameters.total == 111_066_648 - 11 * 181_250


def test_published_flops_are_linear_layers_alone() -> None:
    assert published_flops({**BASE, "branches": False}, 128) == 21_785_247_744
    counted = cost.count(BASE).ops
    for exit in (1, 5, 12):
        theirs = published_flops({**BASE, "layers": exit}, 128)
        assert theirs == exit * (1_811_939_328 + 41_975_808)
        # From the trace: no products of two activations, and no last layer of a classifier.
        linear = [op for op in recount.until(counted, exit) if op.kind == "linear"]
        kept = [op for op in linear if not (op.weight or "").endswith("classifier.out.weight")]
        assert recount.flops(kept, 128) == theirs


def test_operations_know_their_block() -> None:
    ops = cost.count(SIZES).ops
    assert {op.block for op in ops} == {1, 2, 3, 4, 5, 6}
    for op in ops:
        assert op.weight is None or op.weight.startswith(f"blocks.{op.block - 1}.")
    each = [recount.flops(recount.until(ops, exit), 20) for exit in range(7)]
    assert each == [exit * each[1] for exit in range(7)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        models.build(SIZES, attention="eager").every_exit(*alone(batch(), 0))  # type: ignore[operator]
    assert counter.get_total_flops() == recount.flops(ops, 3)
    assert {op.block for op in cost.count({**SIZES, "branches": False}).ops} == {0}


def test_a_trace_takes_no_exit() -> None:
    """The ops of a trained model are the architecture's, whatever its speed and its weights."""
    model = models.build({**SIZES, "speed": 1.1}, attention="eager")
    assert cost.count_module(model).ops == cost.count(SIZES).ops
    assert all(not block._forward_pre_hooks for block in model.blocks)  # type: ignore[union-attr]


# --- the model ----------------------------------------------------------------------------------------------


def test_a_classifier_is_its_formula() -> None:
    torch.manual_seed(0)
    classifier = Classifier(6, 4, 3, 0.0)
    hidden, mask = torch.randn(1, 5, 6), torch.tensor([0.0, 0.0, 0.0, -1e30, -1e30]).view(1, 1, 1, 5)
    found = classifier(hidden, mask)[0].tolist()
    w = {name: value.detach().double().numpy() for name, value in classifier.named_parameters()}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return np.array(
            [w[f"{name}.weight"][i] @ x + w[f"{name}.bias"][i] for i in range(len(w[f"{name}.bias"]))]
        )

    tokens = [np.tanh(linear("enter", hidden[0, i].double().numpy())) for i in range(3)]  # padding left out
    mixed = np.zeros(4)
    for head in range(2):
        part = slice(2 * head, 2 * head + 2)
        query = linear("query", tokens[0])[part]
        scores = [math.exp(query @ linear("key", t)[part] / math.sqrt(2)) for t in tokens]
        for score, token in zip(scores, tokens, strict=True):
            mixed[part] += score / sum(scores) * linear("value", token)[part]
    expected = linear("out", np.tanh(linear("dense", linear("output", mixed))))
    assert found == pytest.approx(list(expected), rel=1e-5)


def test_uncertainty_is_the_entropy_over_its_largest_value() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, -1.0], [90.0, 0.0, -90.0]])
    for row, found in zip(logits.tolist(), uncertainty(logits, None).tolist(), strict=True):
        total = sum(math.exp(v) for v in row)
        entropy = -sum(math.exp(v) / total * math.log(max(math.exp(v) / total, 1e-300)) for v in row)
        assert found == pytest.approx(entropy / math.log(3), abs=1e-6)
    scores = torch.tensor([[1.0], [4.0]])
    assert uncertainty(scores, None).tolist() == [math.inf, math.inf]
    assert uncertainty(scores, torch.tensor([[1.25], [2.0]])).tolist() == [0.25, 2.0]


@torch.no_grad()
def test_speed_0_is_the_full_model_exactly() -> None:
    model, one = fast(), batch()
    full = models.build({**SIZES, "branches": False})
    full.load_state_dict({k: v for k, v in model.state_dict().items() if k in full.state_dict()})
    assert len(full.state_dict()) < len(model.state_dict())
    assert torch.equal(model(*one.inputs), full(*one.inputs))
    assert model.forward_exits(*one.inputs)[1].tolist() == [6] * 24
    # The layers are BERT's own.
    plain = models.build({**SIZES, "architecture": "bert"})
    plain.bert.embeddings.load_state_dict(model.embeddings.state_dict())  # type: ignore[union-attr]
    for layer, block in zip(plain.layers, model.blocks, strict=True):  # type: ignore[arg-type]
        layer.load_state_dict(block.layer.state_dict())  # type: ignore[union-attr, arg-type]
    last = plain.states(*one.inputs)[-1]  # type: ignore[operator]
    answer = model.blocks[-1].classifier(last, plain.embed(*one.inputs)[1])  # type: ignore[operator, union-attr]
    assert torch.equal(model(*one.inputs), answer)


@pytest.mark.parametrize("outputs", [3, 1])
@torch.no_grad()
def test_who_leaves_is_dropped_and_answers_as_if_alone(outputs: int) -> None:
    model, one = fast(outputs=outputs), batch()
    watched = model.uncertainties(*one.inputs).T.numpy()
    # Alone and in a batch last bits differ, which these weights enlarge: a speed that nobody is near.
    model.speed = max(
        (threshold(watched, layers) for layers in np.linspace(2.5, 3.5, 11)),
        key=lambda speed: float(np.abs(watched[np.isfinite(watched)] - speed).min()),
    )
    seen: list[int] = []
    hooks = [b.register_forward_pre_hook(lambda m, given: seen.append(len(given[0]))) for b in model.blocks]
    logits, exits = model.forward_exits(*one.inputs)
    for hook in hooks:
        hook.remove()
    taken = exits.tolist()
    assert exits.dtype == torch.int64 and len(set(taken)) > 2
    assert seen == [count for k in range(1, 7) if (count := sum(exit >= k for exit in taken))]
    assert torch.equal(model(*one.inputs), logits)
    assert outputs > 1 or min(taken) >= 2  # a score can only be compared with an earlier one
    for row in range(len(taken)):
        inputs = alone(one, row)
        mine, exit = model.forward_exits(*inputs)
        assert exit.tolist() == [taken[row]]
        assert torch.allclose(mine[0], logits[row], atol=1e-4)
        # By another route: all exits computed, the first sure one read off.
        every = model.every_exit(*inputs)
        sure = [
            k for k in range(1, 6) if uncertainty(every[k - 1], every[k - 2] if k > 1 else None) < model.speed
        ]
        assert (sure or [6])[0] == taken[row]
        assert torch.allclose(every[taken[row] - 1][0], logits[row], atol=1e-4)


@pytest.mark.parametrize("outputs", [3, 1])
@torch.no_grad()
def test_a_higher_speed_never_runs_more_layers(outputs: int) -> None:
    model, one = fast(outputs=outputs), batch()
    means = []
    for model.speed in (0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 1.1, 50.0):
        means.append(float(model.forward_exits(*one.inputs)[1].double().mean()))
    assert means == sorted(means, reverse=True)
    assert means[0] == 6 and means[-1] == (1 if outputs > 1 else 2)
    assert len(set(means)) > 3


@torch.no_grad()
def test_one_graph_of_full_depth_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from suite.runtimes import exported, runtime

    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    model, one = fast(layers=2), batch(3, 11)
    models.save(model, {**SIZES, "layers": 2}, tmp_path / "off")
    answer = runtime("onnx").prepare(exported("onnx", tmp_path / "off"), 1)
    found = answer(*(part.numpy() for part in one.inputs))
    np.testing.assert_allclose(found, model(*one.inputs).numpy(), atol=1e-4)


# --- thresholds ---------------------------------------------------------------------------------------------


def depths(uncertainties: np.ndarray, speed: float) -> list[int]:
    """The exit each example takes, one by one."""
    found = []
    for one in uncertainties.T:
        exit = len(one) + 1
        for k, value in enumerate(one, 1):
            if value < np.float32(speed):
                exit = k
                break
        found.append(exit)
    return found


@pytest.mark.parametrize("kind", ["spread", "ties", "regression", "sure"])
@pytest.mark.parametrize("layers", [2, 3, 4, 5])
def test_no_threshold_comes_nearer_to_the_mean_asked_for(kind: str, layers: int) -> None:
    random = np.random.default_rng(5)
    values = random.random((5, 40)).astype(np.float32)
    if kind == "ties":
        values = np.round(values * 4).astype(np.float32) / 4
    if kind == "regression":
        values[0] = np.inf
    if kind == "sure":
        values *= np.float32(1e-30)
    speed = threshold(values, layers)
    every = [0.0, *np.unique(values[np.isfinite(values)]).tolist(), 2.0]
    best = min(abs(np.mean(depths(values, s)) - layers) for s in every)
    assert abs(np.mean(depths(values, speed)) - layers) == pytest.approx(best, abs=1e-12)


def test_with_nothing_to_choose_by_nobody_leaves() -> None:
    assert threshold(np.full((1, 4), np.inf, np.float32), 1) == 0.0


# --- training -----------------------------------------------------------------------------------------------


def pair(attention: str = "sdpa", **changes: Any) -> Taught:
    torch.manual_seed(6)
    full = models.build({**SIZES, "branches": False, "dropout": 0.5, **changes}, attention=attention)
    whole = models.build({**SIZES, "dropout": 0.0, **changes})
    return Taught(full, nn.ModuleList(block.classifier for block in whole.blocks[:-1]))  # type: ignore[union-attr, arg-type]


def distributions(model: Taught, one: Batch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(branch, teacher) logits of each branch, through a model that has both."""
    whole = models.build({**SIZES, "outputs": model.teacher.blocks[-1].classifier.out.out_features})  # type: ignore[union-attr, index]
    whole.load_state_dict({**whole.state_dict(), **model.teacher.state_dict()})
    for block, branch in zip(whole.blocks, model.student, strict=False):  # type: ignore[arg-type]
        block.classifier.load_state_dict(branch.state_dict())  # type: ignore[union-attr, operator]
    with torch.no_grad():
        *branches, teacher = whole.every_exit(*one.inputs)  # type: ignore[operator]
    for branch in branches:
        yield branch.double().numpy(), teacher.double().numpy()


def softmax(row: np.ndarray) -> list[float]:
    total = sum(math.exp(v) for v in row)
    return [math.exp(v) / total for v in row]


@pytest.mark.parametrize("divergence", ["branch-teacher", "teacher-branch"])
def test_self_distillation_is_the_divergence_that_the_recipe_names(divergence: str) -> None:
    model, one = pair().train(), batch()
    losses = fastbert.branch_losses(model, one, True, divergence)
    assert len(losses) == 5
    for loss, (branch, teacher) in zip(losses, distributions(model, one), strict=True):
        total = 0.0
        for b_row, t_row in zip(branch, teacher, strict=True):
            p, q = softmax(b_row), softmax(t_row)
            p, q = (p, q) if divergence == "branch-teacher" else (q, p)
            total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        assert loss.item() == pytest.approx(total / len(branch), rel=1e-4, abs=1e-7)


def test_a_regression_is_taught_by_squared_errors_and_an_ablation_by_labels() -> None:
    model, one = pair(outputs=1).train(), batch()
    for loss, (branch, teacher) in zip(
        fastbert.branch_losses(model, one, True, "branch-teacher"), distributions(model, one), strict=True
    ):
        assert loss.item() == pytest.approx(
            np.mean([(b - t) ** 2 for b, t in zip(branch, teacher, strict=True)])
        )
    model = pair().train()
    for loss, (branch, _) in zip(
        fastbert.branch_losses(model, one, False, "branch-teacher"), distributions(model, one), strict=True
    ):
        right = [
            math.log(softmax(row)[label]) for row, label in zip(branch, one.labels.tolist(), strict=True)
        ]
        assert loss.item() == pytest.approx(-np.mean(right), rel=1e-5)


def test_the_frozen_model_runs_once_without_dropout_and_gradients_stay_in_the_branches() -> None:
    model, one = pair().train(), batch()
    calls: list[int] = []
    model.teacher.blocks[0].register_forward_pre_hook(lambda m, given: calls.append(1))  # type: ignore[index, union-attr, operator]
    first, second = (
        torch.stack(fastbert.branch_losses(model, one, True, "branch-teacher")).sum() for _ in range(2)
    )
    assert len(calls) == 2 and torch.equal(first, second)  # dropout 0.5 would show
    first.backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    assert all(p.grad is not None for p in model.student.parameters())


def test_an_epoch_of_self_distillation_costs_what_the_plan_says() -> None:
    """Against torch's counter over a real forward and backward pass; eager, since it misses fused attention."""

    class OneExample:
        train_tokens = 9

        def forward(self, config: dict[str, Any], split: str = "train") -> float:
            return cost.count(config).flops(self.train_tokens) / 1e12

    model, one = pair("eager").train(), batch(1, 9)
    with FlopCounterMode(display=False) as counter:
        ids, mask, types = one.ids, torch.ones_like(one.mask), one.types
        losses = fastbert.branch_losses(
            model, Batch(ids, mask, types, one.labels, {}), True, "branch-teacher"
        )
        torch.stack(losses).sum().backward()
    full = {**SIZES, "branches": False}
    planned = fastbert._round_tflop(OneExample(), full, SIZES)  # type: ignore[arg-type]
    assert planned * 1e12 == pytest.approx(counter.get_total_flops(), rel=1e-9)


def test_mini_stays_within_the_budget_and_base_is_the_papers(tiny_track: Track, tiny_folder: Path) -> None:
    """In forward passes F of the reference over the train split: 27 are allowed, below 24 are wanted."""
    store = Store(tiny_folder / "store")
    cell = cell_of(tiny_track, draw_of(tiny_track, "sst2", f"folder:{tiny_folder}/glue"), 11, store)
    mini = track("mini")
    parameters = fastbert.Parameters.model_validate(resolve("fastbert", "mini").parameters)
    config = fastbert._config(parameters, mini, 2, branches=False)
    whole = fastbert._config(parameters, mini, 2, branches=True)
    reference = cell.forward({**mini.teacher.config, "outputs": 2})
    spent = 3 * parameters.training.epochs * cell.forward(config)
    spent += parameters.distillation.epochs * fastbert._round_tflop(cell, config, whole)
    assert 10 < spent / reference < 24
    base = resolve("fastbert", "base").parameters
    assert (base["training"]["epochs"], base["training"]["lr"]) == (3, 2e-5)
    assert (base["distillation"]["epochs"], base["distillation"]["lr"]) == (5, 2e-4)


# --- the whole way ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """(folder of the tiny track, results) after a run of all variants."""
    import tiny

    from suite import protocol

    folder = tiny.make(tmp_path_factory.mktemp("fastbert"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(protocol.TRACKS, "demo", protocol.TRACKS["demo"])
        for name in ("LIGHTBOARD_TEACHER", "LIGHTBOARD_STORE"):
            patch.setenv(name, "")
        tiny.use(folder)
        run(["fastbert"], track="demo", data=f"folder:{folder}/glue", results=folder / "results", workers=1)
        yield folder, folder / "results"


@pytest.fixture
def tree(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[1], tmp_path / "results"))


VARIANTS = ("full", "layers-2", "layers-3", "layers-4", "layers-5")


def place(results: Path, variant: str) -> Path:
    return results / "demo/runs/fastbert" / variant / "sst2-11"


def test_every_variant_lands_with_its_exits_and_verifies(finished: tuple[Path, Path], tree: Path) -> None:
    report = verify(tree, data=f"folder:{finished[0]}/glue")
    assert report.ok, [str(problem) for problem in report.problems]
    assert all(document.level == "recounted" for document in report.documents)
    assert sorted(path.name for path in (tree / "demo/runs/fastbert").iterdir()) == sorted(VARIANTS)
    found = {name: example.read(place(tree, name), "run.json") for name in VARIANTS}
    assert "exits" not in found["full"]["model"] and all(
        "block" not in op for op in found["full"]["model"]["ops"]
    )
    assert len({found[name]["model"]["graph"] for name in VARIANTS[1:]}) == 1
    flops, speeds = [], []
    for name in VARIANTS[1:]:
        model = found[name]["model"]
        ops = [Op.model_validate(op, strict=False) for op in model["ops"]]
        rows = [
            (int(exit), int(tokens)) for exit, lengths in model["exits"].items()
            for tokens, count in lengths.items() for _ in range(count)
        ]  # fmt: skip
        assert len(rows) == 96
        dev = [sum(recount.op_flops(op, n) for op in ops if op.block <= exit) for exit, n in rows]
        at_128 = [sum(recount.op_flops(op, 128) for op in ops if op.block <= exit) for exit, _ in rows]
        assert model["flops_per_example"]["dev"] == pytest.approx(np.mean(dev), rel=1e-12)
        assert model["flops_per_example"]["128"] == pytest.approx(np.mean(at_128), rel=1e-12)
        flops.append(np.mean(at_128))
        speeds.append(model["config"]["speed"])
    assert flops == sorted(flops) and speeds == sorted(speeds, reverse=True)


def test_self_distillation_leaves_the_backbone_as_it_is(
    finished: tuple[Path, Path], tiny_track: Track
) -> None:
    import tiny

    tiny.use(finished[0])
    store = Store(finished[0] / "store")
    cell = cell_of(tiny_track, draw_of(tiny_track, "sst2", f"folder:{finished[0]}/glue"), 11, store)
    stages = model_stages(resolve(load_recipe("fastbert"), "demo"), cell)
    weights = {name: load_file(store.folder(stages[name].key) / "model.safetensors") for name in VARIANTS}
    assert all(torch.equal(weights["layers-3"][name], tensor) for name, tensor in weights["full"].items())
    for name in weights["layers-3"].keys() - weights["full"].keys():
        assert ".classifier." in name
    assert all(torch.equal(weights["layers-2"][k], v) for k, v in weights["layers-5"].items())


def test_stage_2_has_a_schedule_over_its_own_steps(finished: tuple[Path, Path], tiny_track: Track) -> None:
    """Over stage 1's steps the learning rate would be 0 for the rest of a longer stage 2."""
    from suite.pipeline.stage import Context

    training = {"epochs": 9, "lr": 0.5, "batch": 16, "warmup": 0.1}
    params = {"training": training, "self_distillation": True, "divergence": "branch-teacher"}
    context = Context(Path(), {}, Path(), params, 0)
    (update,) = fastbert.branch_updates(context, pair())
    steps, _ = fastbert.BRANCHES.length(context, {"train": [None] * 4})  # type: ignore[dict-item]
    assert steps == 36
    rates = [
        group.lr * group.schedule(Progress(step, steps)) for group in update.groups for step in range(steps)
    ]
    assert min(rates) > 0 and max(rates) == pytest.approx(0.5, rel=0.05)


def test_a_page_shows_where_examples_leave(tree: Path) -> None:
    from suite.index import index

    index(tree)
    site = board.build(tree, tree.parent / "site").parent
    (page,) = [p for p in site.rglob("*.html") if "fastbert" in str(p) and "layers-3" in str(p)]
    text = page.read_text()
    assert "Where the dev examples leave" in text and "Exit 6" in text
    (page,) = [p for p in site.rglob("*.html") if "fastbert" in str(p) and "full" in str(p)]
    assert "Where the dev examples leave" not in page.read_text()


# --- exits as evidence --------------------------------------------------------------------------------------


def forged(tree: Path, change: Any) -> set[str]:
    """The fields that verify names after a change to the model of a run."""
    folder = place(tree, "layers-3")
    document = example.read(folder, "run.json")
    change(document["model"])
    example.forge(folder, "run.json", document)
    return {problem.field for problem in verify(folder).problems}


def some_exit(model: dict[str, Any]) -> tuple[str, str]:
    """An exit that examples took before the last, and one of their lengths."""
    exit = min(model["exits"], key=int)
    return exit, next(iter(model["exits"][exit]))


def test_a_histogram_that_loses_examples_is_refused(tree: Path) -> None:
    def change(model: dict[str, Any]) -> None:
        exit, tokens = some_exit(model)
        model["exits"][exit][tokens] += 1

    assert "model.exits" in forged(tree, change)


def test_examples_of_another_length_are_refused(tree: Path) -> None:
    def change(model: dict[str, Any]) -> None:
        exit, tokens = some_exit(model)
        model["exits"][exit]["7777"] = model["exits"][exit].pop(tokens)

    assert "model.exits" in forged(tree, change)


@pytest.mark.parametrize("name", ["7", "0", "x", "01"])
def test_an_exit_that_is_no_block_is_refused(tree: Path, name: str) -> None:
    def change(model: dict[str, Any]) -> None:
        model["exits"][name] = model["exits"].pop(some_exit(model)[0])

    assert "model.exits" in forged(tree, change)


def test_a_histogram_that_is_left_out_is_refused(tree: Path) -> None:
    assert "model.exits" in forged(tree, lambda model: model.pop("exits"))


def test_examples_that_left_earlier_change_the_mean(tree: Path) -> None:
    """Lengths and rows stay right; only the arithmetic gives it away."""

    def change(model: dict[str, Any]) -> None:
        tokens = next(iter(model["exits"]["6"]))
        model["exits"]["6"][tokens] -= 1
        first = model["exits"].setdefault("1", {})
        first[tokens] = first.get(tokens, 0) + 1

    assert forged(tree, change) == {"model.flops_per_example.128", "model.flops_per_example.dev"}


@pytest.mark.parametrize("key", ["128", "dev"])
def test_a_wrong_mean_is_refused_by_its_field(tree: Path, key: str) -> None:
    def change(model: dict[str, Any]) -> None:
        model["flops_per_example"][key] *= 1 - 1e-6

    assert forged(tree, change) == {f"model.flops_per_example.{key}"}


def test_blocks_are_part_of_the_graph(tree: Path) -> None:
    def change(model: dict[str, Any]) -> None:
        last = max(model["ops"], key=lambda op: op.get("block", 0))
        last["block"] -= 1

    assert "model.graph" in forged(tree, change)


def test_a_time_is_held_against_the_first_exit(tree: Path) -> None:
    """A model whose examples leave at once may do in its time no more than one block: that is not impossible."""
    document = Run.model_validate_json((place(tree, "layers-3") / "run.json").read_bytes(), strict=True)
    found = recounted.graph_of(document).polynomial
    assert found == recount.polynomial([op for op in document.model.ops if op.block == 1])


def test_documents_without_exits_keep_their_bytes(tmp_path: Path) -> None:
    folder = example.add_run(tmp_path, example.ROWS[2], "mood")
    content = (folder / "run.json").read_bytes()
    parsed = Run.model_validate_json(content, strict=True)
    assert pretty_json(parsed.model_dump(mode="json", by_alias=True)).encode() == content
    assert b'"exits"' not in content and b'"block"' not in content
    # Frozen: the digest that the landed results carry.
    op = {"kind": "linear", "weight": "w", "rows": "n", "shape": [4, 4], "times": 1}
    assert json.loads(Op.model_validate(op, strict=False).model_dump_json()) == op
    landed = sorted((Path(__file__).parents[1] / "results").glob("*/runs/*/*/*/run.json"))[:3]
    for path in landed:
        old = Run.model_validate_json(path.read_bytes(), strict=True)
        assert recount.graph(old.model.ops, old.model.weights) == old.model.graph
        assert pretty_json(old.model_dump(mode="json", by_alias=True)).encode() == path.read_bytes()
