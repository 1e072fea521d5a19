"""Parameters and arithmetic by tracing, against closed forms, torch's own counter and the published sizes."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    MobileBertConfig,
    MobileBertForSequenceClassification,
)

from suite.documents import Op, Weight
from suite.errors import UserError
from suite.measure import cost, recount

BASE = {
    "architecture": "bert", "vocab": 30522, "hidden": 768, "layers": 12, "heads": 12, "ffn": 3072,
    "positions": 512, "types": 2, "layer_norm_eps": 1e-12, "outputs": 2,
}  # fmt: skip
SMALL = {**BASE, "vocab": 100, "hidden": 24, "layers": 2, "heads": 3, "ffn": 40, "positions": 64}


def bert_flops(layers: int, hidden: int, ffn: int, outputs: int, n: int) -> int:
    """Devlin 2019: four projections, two feed-forward matrices and two attention products a layer."""
    layer = 4 * 2 * n * hidden * hidden + 2 * 2 * n * hidden * ffn + 2 * 2 * n * n * hidden
    return layers * layer + 2 * hidden * hidden + 2 * hidden * outputs


def bert_parameters(c: dict[str, int]) -> tuple[int, int]:
    """Total, and of the embeddings."""
    h, f = c["hidden"], c["ffn"]
    embeddings = (c["vocab"] + c["positions"] + c["types"]) * h + 2 * h
    layer = 4 * (h * h + h) + (h * f + f) + (f * h + h) + 2 * 2 * h
    return embeddings + c["layers"] * layer + h * h + h + (h + 1) * c["outputs"], embeddings


@pytest.mark.parametrize(
    ("changes", "total", "without", "gflops"),
    [
        ({}, 109_483_778, 85_646_594, 22.348),
        ({"layers": 6}, 66_956_546, 43_119_362, 11.175),
        ({"layers": 6, "architecture": "distilbert"}, 66_955_010, 43_119_362, 11.175),
        ({"layers": 4, "hidden": 312, "ffn": 1200}, 14_350_874, 4_667_018, 1.247),  # TinyBERT-4
        ({"layers": 6, "hidden": 384, "ffn": 1536}, 22_713_986, 10_795_394, 2.869),  # MiniLM
        ({"layers": 4, "architecture": "distilbert"}, 52_779_266, 28_943_618, 7.450),
    ],
)
def test_published_sizes(changes, total, without, gflops):
    found = cost.count({**BASE, **changes})
    assert found.parameters.total == found.parameters.nonzero == total
    assert found.parameters.without_embeddings == without
    assert round(found.flops(128) / 1e9, 3) == gflops


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("hidden", "heads", "ffn", "outputs"), [(24, 3, 40, 1), (64, 4, 37, 3)])
def test_closed_form_at_every_length(layers, hidden, heads, ffn, outputs):
    sizes = {**SMALL, "layers": layers, "hidden": hidden, "heads": heads, "ffn": ffn, "outputs": outputs}
    found = cost.count(sizes)
    total, embeddings = bert_parameters(sizes)
    assert found.parameters.total == total
    assert found.parameters.without_embeddings == total - embeddings
    for n in (1, 2, 37, 40, 64, 128, 512):
        assert found.flops(n) == bert_flops(layers, hidden, ffn, outputs, n)


class Wrapped(nn.Module):
    """A classifier of transformers behind our interface."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        return self.model(**given).logits


def others():
    eager = {"attn_implementation": "eager", "vocab_size": 50, "max_position_embeddings": 64}
    bert = BertConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=30, **eager
    )
    mobile = MobileBertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        intra_bottleneck_size=16, embedding_size=16, num_feedforward_networks=3, **eager,
    )  # fmt: skip
    return [BertForSequenceClassification(bert), MobileBertForSequenceClassification(mobile)]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("n", [19, 40])
def test_agrees_with_torchs_counter(which, n):
    module = Wrapped(others()[which]).eval()
    found = cost.count_module(module)
    inputs = [torch.full((1, n), value) for value in (1, 1, 0)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs)
    assert found.flops(n) == counter.get_total_flops()
    assert found.parameters.total == sum(p.numel() for p in module.parameters())


def test_linear_ops_carry_their_weights_name_and_shape():
    found = cost.count(SMALL)
    shapes = {weight.name: weight.shape for weight in found.weights}
    linear = [op for op in found.ops if op.kind == "linear"]
    assert {op.weight for op in linear} == {
        name for name, shape in shapes.items() if len(shape) == 2 and "embeddings" not in name
    }
    assert all(op.shape == shapes[op.weight] and op.times == 1 for op in linear)
    assert {op.weight: op.rows for op in linear}["bert.pooler.dense.weight"] == 1  # the first token alone
    matmuls = [(op.shape, op.times) for op in found.ops if op.kind == "matmul"]
    assert matmuls == [((3, "n", 8, "n"), 2), ((3, "n", "n", 8), 2)]


def test_a_model_on_the_meta_device_and_one_with_weights_are_one_graph():
    from suite import models

    built = models.build(SMALL, attention="eager")
    assert cost.count_module(built).ops == cost.count(SMALL).ops
    assert not built.training


@pytest.mark.parametrize(
    "config", [{"architecture": "constant", "outputs": 2},
               {"architecture": "ngram", "buckets": 64, "outputs": 3}]
)  # fmt: skip
def test_models_without_products(config):
    found = cost.count(config)
    assert found.flops(128) == 0
    assert found.parameters.total == {"constant": 2, "ngram": 64 * 3 + 3}[config["architecture"]]
    assert found.graph.startswith("sha256:")


class Odd(nn.Module):
    """Products that are no plain nn.Linear."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.table = nn.Embedding(20, 8)
        self.layer = nn.Linear(8, 8, bias=False)
        self.grouped = nn.Conv1d(8, 12, 3, padding=1, groups=4, bias=False)

    def forward(self, input_ids, attention_mask, token_type_ids):
        x = self.table(input_ids)
        if self.kind == "shared":
            return self.layer(self.layer(x))
        if self.kind == "tied":
            return x @ self.table.weight.t()
        if self.kind == "transposed":
            return (self.layer.weight @ x[0].t()).t()
        if self.kind == "sliced":
            return nn.functional.linear(x[..., :4], self.layer.weight[:6, :4])
        if self.kind == "grouped":
            return self.grouped(x.transpose(1, 2))
        if self.kind == "stacked":
            return torch.cat([x, x], 0) @ self.layer.weight
        if self.kind == "halved":
            return self.layer(x[:, ::2])
        if self.kind == "fused":
            return nn.functional.scaled_dot_product_attention(x[None], x[None], x[None])
        raise AssertionError(self.kind)


@pytest.mark.parametrize(
    ("kind", "per_token", "op"),
    [
        ("shared", 2 * 2 * 8 * 8, Op(kind="linear", weight="layer.weight", rows="n", shape=(8, 8), times=2)),
        ("tied", 2 * 8 * 20, Op(kind="linear", weight="table.weight", rows="n", shape=(20, 8))),
        ("transposed", 2 * 8 * 8, Op(kind="linear", weight="layer.weight", rows="n", shape=(8, 8))),
        ("sliced", 2 * 4 * 6, Op(kind="linear", weight="layer.weight", rows="n", shape=(6, 4))),
        ("grouped", 2 * 12 * 2 * 3, Op(kind="linear", weight="grouped.weight", rows="n", shape=(12, 6))),
        ("stacked", 2 * 2 * 8 * 8, Op(kind="linear", weight="layer.weight", rows="n", shape=(8, 8), times=2)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_unusual_products(kind, per_token, op, device):
    with torch.device(device):
        found = cost.count_module(Odd(kind))
    assert found.ops == (op,)
    assert found.flops(100) == 100 * per_token
    assert [weight.name for weight in found.weights if weight.embedding] == ["table.weight"]


@pytest.mark.parametrize(("kind", "said"), [("halved", "neither constant"), ("fused", "attention='eager'")])
def test_what_cannot_be_counted_is_refused(kind, said):
    with pytest.raises(UserError, match=said):
        cost.count_module(Odd(kind))


def test_zeros_are_counted_where_there_are_weights():
    module = Odd("shared")
    with torch.no_grad():
        module.layer.weight[:4] = 0
    found = cost.count_module(module)
    assert found.parameters.nonzero == found.parameters.total - 32
    assert recount.parameters(cost.weights(nn.Linear(2, 2).to("meta"))).nonzero == 6


# --- the torch-free part ------------------------------------------------------------------------------------

WEIGHT = Weight(name="a", shape=(4, 5), dtype="float32", nonzero=20, embedding=False)
OPS = (Op(kind="linear", weight="a", rows="n", shape=(4, 5)),
       Op(kind="matmul", shape=(2, "n", 3, "n"), times=5))  # fmt: skip


def test_sums_follow_from_the_written_document():
    written = TypeAdapter(tuple[Op, ...]).dump_json(OPS)
    ops = TypeAdapter(tuple[Op, ...]).validate_json(written)
    by_hand = {n: 2 * n * 4 * 5 + 5 * 2 * 2 * n * 3 * n for n in (1, 7, 30)}
    assert {n: recount.flops(ops, n) for n in by_hand} == by_hand
    assert recount.polynomial(ops) == (0, 40, 60)
    assert recount.mean_flops(ops, {"7": 3, "30": 1}) == (3 * by_hand[7] + by_hand[30]) / 4


def test_graph_knows_work_but_not_names():
    graph = recount.graph(OPS, [WEIGHT])
    renamed = (OPS[0].model_copy(update={"weight": "b"}), OPS[1])
    assert recount.graph(renamed, [WEIGHT.model_copy(update={"name": "b"})]) == graph
    for change in ({"shape": (5, 4)}, {"dtype": "float16"}, {"nonzero": 10}):
        assert recount.graph(OPS, [WEIGHT.model_copy(update=change)]) != graph
    assert recount.graph((OPS[0], OPS[1].model_copy(update={"times": 6})), [WEIGHT]) != graph
    big = WEIGHT.model_copy(update={"shape": (400, 500), "nonzero": 200_000})
    chance = big.model_copy(update={"nonzero": 199_990})  # a few zeros that training left
    assert recount.graph(OPS, [big]) == recount.graph(OPS, [chance])


def test_a_wrong_rank_is_refused():
    with pytest.raises(ValueError, match="expected 2"):
        recount.flops([Op(kind="linear", weight="a", rows=1, shape=(2, 3, 4))], 5)
    with pytest.raises(ValueError, match="lengths"):
        recount.mean_flops(OPS, {})


def test_recounting_needs_no_torch():
    code = (
        "import sys, suite.measure.recount, suite.measure.estimate, suite.measure.machine\n"
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
