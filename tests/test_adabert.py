"""AdaBERT: the searched network, the estimator that searches, its losses and derivation, and the drawing of a cell."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from suite import models
from suite.board import cells
from suite.data.encode import Encoded
from suite.methods import _adabert_search
from suite.methods._adabert import derive, mixed_loss, probe_of, search_loss
from suite.methods._probes import probe_features, write_probes
from suite.models._supernet import Choices, Space, expected_parameters, gumbel, operation_costs
from suite.models.adabert import (
    EDGES,
    OPERATIONS,
    AvgPool,
    Convolution,
    MaskedNorm,
    MaxPool,
    cell_config,
    split_pair,
)
from suite.pipeline.run import run
from suite.pipeline.stage import Context
from suite.protocol import Track
from suite.runtimes import onnx
from suite.training.feeds import Batch
from suite.training.loop import train
from suite.training.schedules import Progress
from suite.training.starts import principal_components

PLACES = [(0, 2), (1, 2), (1, 3), (2, 3), (0, 4), (3, 4)]
MIXED = ("conv3", "maxpool3", "avgpool3", "dilated5", "identity", "conv7")


def config(ops: tuple[str, ...] = MIXED, **changes: Any) -> dict[str, Any]:
    edges = [(s, t, op) for (s, t), op in zip(PLACES, ops, strict=True)]
    sizes = {"hidden": 8, "vocab": 40, "positions": 24, "outputs": 2, "texts": 1, "dropout": 0.1, "cells": 2}
    return {"architecture": "adabert", **sizes, "cell": cell_config(edges), **changes}


def network(**changes: Any) -> Any:
    """With running statistics and affine weights that are not their initial ones."""
    torch.manual_seed(1)
    model = models.build(config(**changes))
    for module in model.modules():
        if isinstance(module, MaskedNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.bias)
    for name, p in model.named_parameters():
        if name.endswith(("attention", "mixing", "embeddings.norm.bias")):
            torch.nn.init.normal_(p)
    torch.nn.init.normal_(model.classifier.weight)  # type: ignore[union-attr, arg-type]
    return model


def example(first: int, second: int = 0) -> tuple[list[int], list[int]]:
    generator = np.random.default_rng(first * 31 + second)
    return generator.integers(5, 40, first + second).tolist(), [0] * first + [1] * second


def padded(examples: list[tuple[list[int], list[int]]], length: int) -> tuple[Tensor, Tensor, Tensor]:
    ids, mask, types = (torch.zeros(len(examples), length, dtype=torch.int64) for _ in range(3))
    for row, (words, kinds) in enumerate(examples):
        ids[row, : len(words)], mask[row, : len(words)] = torch.tensor(words), 1
        types[row, : len(words)] = torch.tensor(kinds)
    return ids, mask, types


SINGLE = [example(3), example(9), example(6), example(2)]
PAIRS = [example(3, 5), example(9, 2), example(4, 4), example(2, 1)]


# --- the network --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "millions"), [(3, 6.35), (5, 7.92), (7, 9.49)])
@pytest.mark.parametrize("kind", ["conv", "dilated"])
def test_eight_cells_have_the_papers_sizes(kind: str, width: int, millions: float) -> None:
    """Six kept edges a cell (two into each of three nodes), not nine, give the sizes that the paper spans."""
    from suite.measure.cost import count

    ops = (f"{kind}{width}",) * 6
    found = count(config(ops, hidden=128, vocab=30522, positions=512, cells=8))
    total = (30522 + 512) * 128 + 2 * 128  # tables and their norm
    for _ in range(8):
        total += 6 * (width * 128 * 128 + 2 * 128) + 3 + 2 * 128  # convolutions, mixing, norm
    total += 9 + 128 * 2 + 2  # depth weights, classifier
    assert found.parameters.total == total
    assert round(total / 1e6, 2) == millions
    assert found.parameters.without_embeddings == total - (30522 + 512) * 128 - 2 * 128
    assert found.flops(100) == 100 * 8 * 6 * 2 * width * 128 * 128 + 2 * 128 * 2


@pytest.mark.parametrize(("texts", "examples"), [(1, SINGLE), (2, PAIRS)])
def test_padding_changes_no_answer(texts: int, examples: list[Any]) -> None:
    model = network(texts=texts)
    with torch.no_grad():
        together = model(*padded(examples, 20))
        alone = torch.cat([model(*padded([one], len(one[0]))) for one in examples])
    assert torch.allclose(together, alone, atol=1e-5)
    assert together.std() > 0.1


def test_the_two_texts_of_a_pair_are_told_apart() -> None:
    model = network(texts=2)
    ids, mask, types = padded([example(4, 4)], 8)
    swapped = torch.cat([ids[:, 4:], ids[:, :4]], 1)
    with torch.no_grad():
        assert not torch.allclose(model(ids, mask, types), model(swapped, mask, types), atol=1e-3)


def test_the_second_text_is_moved_to_a_start_of_its_own() -> None:
    ids, mask, types = padded(PAIRS, 12)
    first, second, moved = split_pair(ids, mask.float(), types)
    for row, (words, kinds) in enumerate(PAIRS):
        a = [w for w, kind in zip(words, kinds, strict=True) if kind == 0]
        b = [w for w, kind in zip(words, kinds, strict=True) if kind == 1]
        assert first[row, 0].tolist() == [1.0] * len(a) + [0.0] * (12 - len(a))
        assert second[row, 0].tolist() == [1.0] * len(b) + [0.0] * (12 - len(b))
        assert moved[row, : len(b)].tolist() == b
        assert ids[row, : len(a)].tolist() == a


def some(mask: list[list[int]], channels: int = 3) -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    real = torch.tensor(mask, dtype=torch.float32)[:, None]
    return torch.randn(len(mask), channels, len(mask[0])) * real, real


MASK = [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]


@pytest.mark.parametrize(("dilation", "width"), [(1, 3), (2, 3), (2, 5), (1, 7)])
def test_convolutions_by_loops(dilation: int, width: int) -> None:
    """The weights on every dilation-th neighbour, zeros beyond the ends; batch statistics over real tokens only."""
    x, mask = some(MASK)
    one = Convolution(3, width, dilation).train()
    found = (one(x, mask) * mask).detach().numpy()
    weight, values = one.conv.weight.detach().numpy().astype(np.float64), x.numpy().astype(np.float64)
    raw = np.zeros_like(values)
    for b in range(3):
        for out in range(3):
            for i in range(5):
                for k in range(width):
                    place = i + dilation * (k - width // 2)
                    if 0 <= place < 5:
                        for c in range(3):
                            raw[b, out, i] += weight[out, c, k] * max(0.0, values[b, c, place])
    for out in range(3):
        real = [raw[b, out, i] for b in range(3) for i in range(5) if MASK[b][i]]
        mean, variance = np.mean(real), np.var(real)
        for b in range(3):
            for i in range(5):
                wanted = (raw[b, out, i] - mean) / math.sqrt(variance + 1e-5) if MASK[b][i] else 0.0
                assert found[b, out, i] == pytest.approx(wanted, abs=2e-5)
        assert float(one.norm.running_mean[out]) == pytest.approx(0.1 * mean, abs=1e-5)
        assert float(one.norm.running_var[out]) == pytest.approx(0.9 + 0.1 * np.var(real, ddof=1), abs=1e-5)


def test_pooling_by_loops() -> None:
    x, mask = some(MASK)
    largest, mean = (pool(x, mask) * mask for pool in (MaxPool(), AvgPool()))
    for b in range(3):
        for c in range(3):
            for i in range(5):
                near = [float(x[b, c, j]) for j in range(max(0, i - 1), min(5, i + 2)) if MASK[b][j]]
                if MASK[b][i]:
                    assert float(largest[b, c, i]) == max(near)
                    assert float(mean[b, c, i]) == pytest.approx(np.mean(near), abs=1e-6)
                else:
                    assert float(largest[b, c, i]) == float(mean[b, c, i]) == 0


@pytest.mark.parametrize(("texts", "examples"), [(1, SINGLE), (2, PAIRS)])
def test_onnx_answers_the_same_at_any_batch_and_length(
    texts: int, examples: list[Any], tmp_path: Path
) -> None:
    settings, model = config(texts=texts), network(texts=texts)
    models.save(model, settings, tmp_path / "model")
    answer = onnx.prepare(onnx.export(tmp_path / "model", tmp_path), 1)
    for chosen, length in ((examples, 13), (examples[:1], len(examples[0][0])), (examples[1:3], 24)):
        inputs = padded(chosen, length)
        with torch.no_grad():
            wanted = model(*inputs).numpy()
        given = answer(*(part.numpy() for part in inputs))
        assert np.allclose(given, wanted, atol=1e-4 * float(np.ptp(wanted)) + 1e-5)


# --- the search ---------------------------------------------------------------------------------------------


def space(most: int = 3, **changes: Any) -> Space:
    torch.manual_seed(3)
    return Space(config(**changes), most)


def batch(outputs: int = 2, layers: int = 6, texts: int = 1) -> Batch:
    torch.manual_seed(4)
    ids, mask, types = padded(SINGLE if texts == 1 else PAIRS, 12)
    labels = torch.tensor([0, 1, 1, 0]) if outputs > 1 else torch.tensor([0.5, 2.0, 4.5, 1.0])
    return Batch(ids, mask, types, labels, {"probes": torch.randn(4, layers + 1, outputs)})


@pytest.mark.parametrize("tau", [1.0, 0.3])
def test_one_executed_operation_gives_the_gradient_of_all_ten_on_average(tau: float) -> None:
    """For the same noise: mean over draws of d(sum of gate x l[op]) against d(sum over ops of y x l)."""
    choices = Choices(2)
    torch.manual_seed(5)
    with torch.no_grad():
        choices.edges.normal_()
    values, draws = torch.randn(len(EDGES), len(OPERATIONS)) + 1.0, 800
    found, wanted = torch.zeros_like(values), torch.zeros_like(values)
    squares = torch.zeros_like(values)
    for number in range(draws):
        torch.manual_seed(number)
        picks = choices.draw(tau).picks
        total = torch.zeros(())
        for i, (op, gate) in enumerate(picks.values()):
            assert gate is not None and float(gate.detach()) == 1.0
            total = total + gate * values[i, OPERATIONS.index(op)]
        (one,) = torch.autograd.grad(total, choices.edges)
        torch.manual_seed(number)
        soft = gumbel(choices.edges, tau).exp()
        (exact,) = torch.autograd.grad((soft * values).sum(), choices.edges)
        found, wanted, squares = found + one, wanted + exact, squares + (one - exact).square()
    error = (squares / draws).sqrt() / math.sqrt(draws)
    assert bool(((found - wanted) / draws).abs().le(4.5 * error + 1e-6).all())
    assert float((wanted / draws).abs().max()) > 0.05


def test_depth_learns_from_the_loss_at_every_depth() -> None:
    """Its gradient is that of sum_K y_K L_K, though only the drawn depth's loss is in the value; no depth is 0."""
    found, one = space().eval(), batch()
    torch.manual_seed(6)
    draw = found.choices.draw(0.8)
    value = search_loss(found, draw, one, 0.8, "likelihood")
    (given,) = torch.autograd.grad(value, found.choices.depth)
    with torch.no_grad():
        logits = found.net.every_depth(found.net.vectors(one.inputs, draw.picks, 3))
        losses = [
            mixed_loss(logits[: k + 1], one.extra["probes"], one.labels, 0.8, "likelihood") for k in (1, 2, 3)
        ]
    assert float(value.detach()) == pytest.approx(float(losses[draw.depth - 1]), rel=1e-6)
    torch.manual_seed(6)
    gumbel(found.choices.edges, 0.8)
    torch.multinomial(torch.ones(9, 10), 1)
    soft = gumbel(found.choices.depth, 0.8).exp()
    (wanted,) = torch.autograd.grad(
        sum(y * loss for y, loss in zip(soft, losses, strict=True)), found.choices.depth
    )
    assert torch.allclose(given, wanted, atol=1e-7)
    assert {found.choices.draw(1.0).depth for _ in range(100)} == {1, 2, 3}


def search_context(folder: Path, *, after: float = 0.0, efficiency: float = 4.0, lr: float = 0.05) -> Context:
    params = {
        "config": config(),
        "gamma": 0.8,
        "efficiency": efficiency,
        "probe_weights": "likelihood",
        "architecture": {"lr": lr, "eps": 1e-2, "after": after},
        "training": {"epochs": 1, "lr": 1e-2, "warmup": 0.0},
    }
    return Context(folder, {}, folder, params, 11)


class Same:
    """A feed that gives one batch for ever."""

    def __init__(self, one: Batch) -> None:
        self.one = one

    def __len__(self) -> int:
        return 1

    def batch(self, step: int) -> Batch:
        return self.one


def stepped(which: list[int], steps: int, context: Context) -> tuple[Space, dict[str, Tensor]]:
    """A search after some steps of some of its updates, and its state before."""
    model = space()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    updates = _adabert_search.search_updates(context, model)
    feeds = {"train": Same(batch()), "search": Same(batch())}
    train(model, [updates[i] for i in which], feeds, steps=steps, seed=11, phase="search")
    return model, before


def moved(model: Space, before: Mapping[str, Tensor]) -> set[str]:
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def test_each_update_touches_its_own_alone(tmp_path: Path) -> None:
    context = search_context(tmp_path)
    updates = _adabert_search.search_updates(context, space())
    assert [update.data for update in updates] == ["train", "search"]
    by_weights = moved(*stepped([0], 3, context))
    assert by_weights and all(name.startswith("net.") for name in by_weights)
    # Running statistics are no parameters, but they belong to the weights as well.
    assert moved(*stepped([1], 3, context)) == {"choices.edges", "choices.depth"}


def test_the_architecture_waits_for_the_weights(tmp_path: Path) -> None:
    both = moved(*stepped([0, 1], 8, search_context(tmp_path, after=0.9)))
    assert both and all(name.startswith("net.") for name in both)
    assert "choices.edges" in moved(*stepped([0, 1], 8, search_context(tmp_path, after=0.8)))


class Fresh(Same):
    """A feed whose words and labels change at every step, so that the search is never done with the task."""

    def batch(self, step: int) -> Batch:
        torch.manual_seed(step)
        ids = torch.randint(5, 40, self.one.ids.shape) * self.one.mask
        return self.one._replace(ids=ids, labels=torch.randint(0, 2, self.one.labels.shape))


def test_twice_the_weight_for_cost_finds_fewer_parameters(tmp_path: Path) -> None:
    expected = []
    for efficiency in (4.0, 8.0):
        model = space(most=2)
        updates = _adabert_search.search_updates(search_context(tmp_path, efficiency=efficiency), model)
        one = batch()
        feeds = {"train": Fresh(one), "search": Fresh(one)}
        train(model, updates, feeds, steps=40, seed=11, phase="search")
        expected.append(expected_parameters(model.choices.edges, model.choices.depth, 8))
    assert expected[1] < 0.9 * expected[0]


def test_costs_follow_real_counts_and_are_not_flat() -> None:
    costs = dict(zip(OPERATIONS, operation_costs(128), strict=True))
    assert sum(costs.values()) == pytest.approx(1)
    assert costs["conv7"] == costs["dilated7"] == pytest.approx(7 / 30, abs=1e-3)
    assert costs["conv3"] == pytest.approx(3 / 30, abs=1e-3)
    assert costs["identity"] == costs["zero"] == 0 < costs["maxpool3"] < costs["avgpool3"] < 0.001
    choices = Choices(4)
    assert choices.efficiency(128).item() == pytest.approx(2.5 / 4 * 0.1)
    sizes = [k * 128 * 128 + 2 * 128 for k in (3, 5, 7, 3, 5, 7)]
    assert expected_parameters(choices.edges, choices.depth, 128) == pytest.approx(2.5 * 9 * sum(sizes) / 10)


def test_the_temperature_falls_from_one_to_a_fifth() -> None:
    falling = _adabert_search.Temperature()
    assert falling.at(Progress(0, 100)) == 1.0
    assert falling.at(Progress(40, 100)) == pytest.approx(math.sqrt(0.2))
    assert falling.at(Progress(80, 100)) == falling.at(Progress(99, 100)) == pytest.approx(0.2)


# --- losses -------------------------------------------------------------------------------------------------


def test_a_vector_learns_from_the_probe_at_the_same_share_of_the_depth() -> None:
    assert [[probe_of(m, depth, 6) for m in range(depth + 1)] for depth in (1, 2, 3, 4)] == [
        [0, 6],
        [0, 3, 6],
        [0, 2, 4, 6],
        [0, 2, 3, 5, 6],
    ]
    for layers in (6, 12):
        for depth in range(1, 9):
            for m in range(depth + 1):
                assert probe_of(m, depth, layers) == math.floor(m * layers / depth + 0.5)


@pytest.mark.parametrize(
    ("outputs", "by", "frozen"),
    [
        (1, "uniform", 1.1748035670),
        (1, "likelihood", 0.9898464128),
        (3, "uniform", 1.3665416893),
        (3, "likelihood", 1.4227021201),
    ],
)
def test_the_loss_of_a_network_by_loops(outputs: int, by: str, frozen: float) -> None:
    generator, gamma, chosen = np.random.default_rng(7), 0.8, (0, 3, 6)
    logits, probes = generator.normal(size=(3, 5, outputs)), generator.normal(size=(5, 7, outputs))
    labels = generator.normal(size=5) if outputs == 1 else np.array([0, 2, 1, 1, 0])

    def probability(row: np.ndarray) -> np.ndarray:
        powers = np.array([math.exp(v) for v in row])
        return powers / powers.sum()

    total = 0.0
    for b in range(5):
        likelihood = []
        for i in chosen:
            if outputs == 1:
                likelihood.append(-0.5 * (probes[b, i, 0] - labels[b]) ** 2)
            else:
                likelihood.append(math.log(probability(probes[b, i])[int(labels[b])]))
        weights = probability(np.array(likelihood)) if by == "likelihood" else np.full(3, 1 / 3)
        for m, i in enumerate(chosen):
            if outputs == 1:
                soft = (logits[m, b, 0] - probes[b, i, 0]) ** 2
            else:
                p, q = probability(probes[b, i]), probability(logits[m, b])
                soft = -sum(p[c] * math.log(q[c]) for c in range(3))
            total += gamma * weights[m] * soft
        last = logits[2, b]
        hard = (last[0] - labels[b]) ** 2 if outputs == 1 else -math.log(probability(last)[int(labels[b])])
        total += (1 - gamma) * hard
    parts = [torch.tensor(part) for part in logits]
    value = mixed_loss(parts, torch.tensor(probes), torch.tensor(labels), gamma, by)
    assert total / 5 == pytest.approx(frozen, rel=1e-6)
    assert float(value) == pytest.approx(total / 5, rel=1e-12)


def test_a_regression_searches_with_squared_errors() -> None:
    found, one = space(outputs=1, texts=2).train(), batch(outputs=1, texts=2)
    value = search_loss(found, found.choices.draw(1.0), one, 0.8, "likelihood")
    value.backward()  # type: ignore[no-untyped-call]
    assert math.isfinite(float(value.detach())) and found.choices.depth.grad is not None


# --- probes, embeddings, data -------------------------------------------------------------------------------


def encoded(rows: int, outputs: int) -> Encoded:
    generator = np.random.default_rng(8)
    lengths = generator.integers(3, 9, rows)
    ids = generator.integers(5, 40, int(lengths.sum())).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    kinds = np.array([int(ids[offsets[i] + 1] > 22) for i in range(rows)])
    labels = kinds if outputs > 1 else (2 + 2 * kinds).astype(np.float32)
    return Encoded(ids, np.zeros(len(ids), np.int8), offsets, labels, np.arange(rows, dtype=np.int32))


TEACHER = {
    "architecture": "bert", "layers": 2, "hidden": 16, "heads": 2, "ffn": 32, "vocab": 40, "positions": 24,
    "types": 2, "layer_norm_eps": 1e-12,
}  # fmt: skip


@pytest.mark.parametrize("outputs", [1, 2])
def test_probes_read_every_layer(outputs: int, tmp_path: Path) -> None:
    torch.manual_seed(9)
    settings = {**TEACHER, "outputs": outputs}
    teacher: Any = models.build(settings)
    with torch.no_grad():
        for p in teacher.parameters():
            p.add_(torch.randn_like(p) * 0.1)
    models.save(teacher, settings, tmp_path / "model")
    data = encoded(40, outputs)
    data.save(tmp_path / "data" / "train")
    features = probe_features(teacher, data, lambda done: None)
    for row in (0, 17):
        ids = torch.from_numpy(data.ids[data.offsets[row] : data.offsets[row + 1]].astype(np.int64))[None]
        with torch.no_grad():
            embedded, first, second = teacher.states(ids, torch.ones_like(ids), torch.zeros_like(ids))
        wanted = [
            np.mean([embedded[0, i].numpy() for i in range(ids.shape[1])], 0),
            first[0, 0],
            second[0, 0],
        ]
        assert np.allclose(features[row], np.stack([np.asarray(w) for w in wanted]), atol=2e-3)
    (tmp_path / "out").mkdir()
    params = {"epochs": 150, "lr": 0.02, "batch": 8}
    inputs = {"model": tmp_path / "model", "data": tmp_path / "data"}
    write_probes(Context(tmp_path / "out", inputs, tmp_path, params, 11))
    found = np.load(tmp_path / "out" / "probes.npy")
    assert found.shape == (40, 3, outputs) and found.dtype == np.float32
    for layer in range(3):
        guess = found[:, layer]
        if outputs == 2:
            assert (guess.argmax(1) == data.labels).mean() >= 0.75
        else:
            assert ((guess[:, 0] - data.labels) ** 2).mean() < 0.8 * data.labels.var()


def test_embeddings_start_as_the_teachers_projected(tmp_path: Path) -> None:
    settings = {**TEACHER, "outputs": 2}
    teacher: Any = models.build(settings)
    models.save(teacher, settings, tmp_path)
    model = network()
    _adabert_search.start_embeddings(model, tmp_path)
    tables = teacher.bert.embeddings
    _, directions, _ = principal_components(tables.word_embeddings.weight.detach(), 8)
    for word, place in ((7, 0), (39, 5)):
        theirs = tables.word_embeddings.weight[word] + tables.position_embeddings.weight[place]
        theirs = (theirs + tables.token_type_embeddings.weight[0]) @ directions
        ours = model.embeddings.word.weight[word] + model.embeddings.position.weight[place]
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_architecture_and_weights_never_see_the_same_example(tmp_path: Path) -> None:
    data = encoded(40, 2)
    data.save(tmp_path / "train")
    np.save(tmp_path / "probes.npy", np.arange(40, dtype=np.float32)[:, None, None])
    context = search_context(tmp_path)
    params = {**context.params, "architecture": {"lr": 1e-2, "share": 0.2}}
    context = Context(tmp_path, {"data": tmp_path, "probes": tmp_path}, tmp_path, params, 11)
    feeds: Any = _adabert_search.search_feeds(context)
    learned, searched = (set(feeds[name].data.rows.tolist()) for name in ("train", "search"))
    assert len(searched) == 8 and learned | searched == set(range(40)) and not learned & searched
    one = feeds["search"].batch(0)
    rows = one.extra["probes"].flatten().long().tolist()
    for row, ids, mask, label in zip(rows, one.ids, one.mask, one.labels, strict=True):
        assert ids[mask.bool()].tolist() == data.ids[data.offsets[row] : data.offsets[row + 1]].tolist()
        assert int(label) == data.labels[row]


# --- derivation ---------------------------------------------------------------------------------------------


def alphas(likes: Mapping[tuple[int, int], Mapping[str, float]]) -> Tensor:
    found = torch.zeros(len(EDGES), len(OPERATIONS))
    for edge, ops in likes.items():
        for op, value in ops.items():
            found[EDGES.index(edge), OPERATIONS.index(op)] = value
    return found


def test_two_edges_into_each_node_are_kept_and_zero_is_never() -> None:
    edges = alphas(
        {
            (0, 2): {"conv3": 1.0}, (1, 2): {"zero": 5.0, "maxpool3": 0.5},
            (0, 3): {"identity": 2.0}, (1, 3): {"dilated7": 3.0}, (2, 3): {"conv5": 1.0},
            (0, 4): {"avgpool3": 1.0}, (3, 4): {"conv7": 4.0}, (2, 4): {"identity": 2.0},
        }
    )  # fmt: skip
    count, cell, search = derive(edges, torch.tensor([0.0, 1.0, 0.5]), 128)
    found = [(e["from"], e["to"], e["op"]) for e in cell["edges"]]
    assert count == 2
    assert found == [
        (0, 2, "conv3"), (1, 2, "maxpool3"), (0, 3, "identity"), (1, 3, "dilated7"), (2, 4, "identity"),
        (3, 4, "conv7"),
    ]  # fmt: skip
    assert search["operations"] == {"conv3": 1, "conv7": 1, "dilated7": 1, "identity": 2, "maxpool3": 1}
    assert search["guard"] is None
    assert sum(search["cell_probabilities"]) == pytest.approx(1, abs=1e-3)
    assert search["operation_probabilities"]["1-2"]["zero"] > 0.9


def test_a_cell_without_convolutions_gets_the_likeliest_one() -> None:
    edges = torch.full((len(EDGES), len(OPERATIONS)), -3.0)
    edges[:, OPERATIONS.index("avgpool3")] = 6.0
    edges[EDGES.index((2, 3)), OPERATIONS.index("avgpool3")] = 10.0
    edges[EDGES.index((2, 3)), OPERATIONS.index("dilated5")] = 3.0
    _, cell, search = derive(edges, torch.zeros(2), 128)
    assert search["operations"] == {"avgpool3": 5, "dilated5": 1}
    assert search["guard"] == "2-3"
    assert {"from": 2, "to": 3, "op": "dilated5"} in cell["edges"]


def test_the_found_network_is_a_part_of_the_searched_one() -> None:
    """With one operation at each kept edge and the others zero, the search net gives the found net's answers."""
    whole, found = space(most=2).eval(), models.build(config())
    state = whole.net.state_dict()
    state["attention"] = state["attention"][2, :3]
    found.load_state_dict({name: state[name] for name in found.state_dict()})
    inputs = batch().inputs
    picks: Any = found.picks
    with torch.no_grad():
        wanted = whole.net.every_depth(whole.net.vectors(inputs, picks, 2))[2]
        assert torch.equal(found(*inputs), wanted)


def test_a_run_holds_the_network_it_found(tiny_folder: Path, tiny_track: Track, tmp_path: Path) -> None:
    results = tmp_path / "results"
    run(["adabert"], track="demo", data=f"folder:{tiny_folder}/glue", results=results, workers=1)
    (path,) = results.glob("demo/runs/adabert/default/*/run.json")
    document = json.loads(path.read_text())
    found = document["model"]["config"]
    graph = cells.graph_of(found)
    assert graph is not None and len(graph.edges) == 6 and 1 <= found["cells"] <= 2
    assert found["search"]["efficiency"] == 4 and found["search"]["expected_parameters"] > 0
    assert sum(found["search"]["operations"].values()) == 6
    assert any(op.startswith(("conv", "dilated")) for _, _, op in graph.edges)
    stages = {stage["stage"]: stage for stage in document["stages"]}
    assert {"probe-logits", "search", "derivation", "retraining"} <= set(stages)
    assert all(stages[name]["tflop"] > 0 for name in ("probe-logits", "search", "retraining"))
    names = {(curve["phase"], curve["name"]) for curve in document["curves"]}
    assert ("search", "expected_parameters") in names


# --- the drawing --------------------------------------------------------------------------------------------


def test_any_configuration_with_a_cell_is_drawn() -> None:
    graph = cells.graph_of({"cells": 3, "cell": config()["cell"]})
    assert graph is not None
    shown = str(cells.drawing(graph, ident="x", title="One"))
    assert shown.count('class="edge"') == 6 and shown.count('class="state"') == 6
    assert all(f">{op}</text>" in shown for op in MIXED)
    assert "Three cells of this form in sequence" in graph.said
    rows = cells.twin(graph, ident="y", caption="Edges").rows
    assert [(row.head.text, row.cells[0].text, row.cells[1].text) for row in rows][:2] == [
        ("node 1", "output of cell k−2", "conv3"),
        ("node 1", "output of cell k−1", "maxpool3"),
    ]


def test_a_convolution_put_there_by_rule_is_marked_and_said() -> None:
    found = {"cells": 1, "cell": config()["cell"]}
    graph = cells.graph_of({**found, "search": {"guard": "0-2"}})
    assert graph is not None and graph.ruled == (0, 2)
    assert (
        "The search kept no convolution; the one on the edge from k−2 to 1, bold and marked *, was put there by rule."
        in graph.said
    )
    shown = str(cells.drawing(graph, ident="x", title="One"))
    assert shown.count('class="edge ruled"') == 1 and ">conv3 *</text>" in shown
    assert cells.twin(graph, ident="y", caption="Edges").rows[0].cells[1].note == "put there by rule"
    for guard in (None, "9-9", 2, "<b>"):
        plain = cells.graph_of({**found, "search": {"guard": guard}})
        assert plain is not None and plain.ruled is None and "by rule" not in plain.said


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"cell": None, "cells": 1},
        {"cell": {"inputs": 2, "nodes": 3, "edges": []}, "cells": 1},
        {"cell": {"inputs": 2, "nodes": 3, "edges": [{"from": 3, "to": 2, "op": "x"}]}, "cells": 1},
        {"cell": {"inputs": 2, "nodes": 3, "edges": [{"from": 0, "to": 1, "op": "x"}]}, "cells": 1},
        {"cell": {"inputs": 2, "nodes": 3, "edges": [{"from": -1, "to": 2, "op": "x"}]}, "cells": 1},
        {"cell": {"inputs": 2, "nodes": 3, "edges": [{"from": False, "to": 2, "op": "x"}]}, "cells": 1},
        {"cell": {"inputs": 2, "nodes": 3, "edges": [{"from": 0, "to": 2, "op": 7}]}, "cells": 1},
        {"cell": {"inputs": 2, "nodes": 10**9, "edges": [{"from": 0, "to": 2, "op": "x"}]}, "cells": 1},
        {"cell": {"inputs": 2, "nodes": 3, "edges": [{"from": 0, "to": 2, "op": "x"}] * 99}, "cells": 1},
        {"cell": {"inputs": 2, "nodes": 3, "edges": "abc"}, "cells": 1},
    ],
)
def test_what_is_no_cell_is_not_drawn(given: dict[str, Any]) -> None:
    assert cells.graph_of(given) is None


def test_an_operations_name_is_only_text() -> None:
    bad = "<script>alert(1)</script>\u202e"
    graph = cells.graph_of(
        {"cells": 1, "cell": {"inputs": 2, "nodes": 1, "edges": [{"from": 0, "to": 2, "op": bad}]}}
    )
    assert graph is not None
    shown = str(cells.drawing(graph, ident="x", title=bad))
    assert "<script" not in shown and "&lt;script&gt;" in shown and "\u202e" not in shown
