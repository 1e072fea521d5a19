"""MobileBERT: its sizes, its equality with transformers, its losses by loops, and what moves when."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file
from test_methods import changed
from torch import nn
from transformers import MobileBertConfig, MobileBertForMaskedLM, MobileBertForSequenceClassification

from suite import models
from suite.errors import UserError
from suite.loading import resolve
from suite.measure.cost import count
from suite.methods import mobilebert
from suite.models.bert import Bert
from suite.models.mobilebert import IB_BERT_LARGE, MobileBert, NoNorm, WordHead
from suite.pipeline.cell import Cell
from suite.pipeline.execute import execute
from suite.pipeline.general import Taught
from suite.pipeline.matrix import cell_of, draw_of, model_stages
from suite.pipeline.pretraining import pretraining_loss
from suite.pipeline.stage import Context, Stage, closure
from suite.pipeline.store import Store
from suite.pipeline.transfer import Weights, transfer_loss, transfer_updates
from suite.protocol import Track, track
from suite.runtimes import runtime
from suite.tasks import task
from suite.training.feeds import Batch
from suite.training.loop import train
from suite.training.masking import mask_tokens
from suite.training.schedules import Progress, schedule
from suite.training.starts import embeddings_of_bert, embeddings_of_mobilebert, principal_components
from suite.training.transfer import (
    attention_divergence,
    block_in_turn,
    block_schedule,
    feature_loss,
    mean_loss,
    variance_loss,
)

RELEASED = {
    **IB_BERT_LARGE, "inner": 128, "ffn": 512, "feedforwards": 4, "attends": "shared", "norm": "nonorm",
    "activation": "relu", "pooler": False,
}  # fmt: skip
SMALL = {
    **RELEASED, "layers": 3, "hidden": 16, "inner": 8, "heads": 2, "ffn": 12, "feedforwards": 3, "embedding": 6,
    "vocab": 50, "positions": 16, "dropout": 0.0, "attention_dropout": 0.0, "head_dropout": 0.0,
}  # fmt: skip
SPREAD = {"nonorm": {"norm": "nonorm"}, "layernorm": {"norm": "layernorm", "activation": "gelu"}}


def built(seed: int = 0, spread: float = 0.3, **changes: Any) -> MobileBert:
    """A small model whose weights are large enough that nothing vanishes."""
    torch.manual_seed(seed)
    model = models.build({**SMALL, **changes})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=spread)
        model.mobilebert.embeddings.word_embeddings.weight[0] = 0  # type: ignore[union-attr, operator, index]
    assert isinstance(model, MobileBert)
    return model


def bert(seed: int = 3, **changes: Any) -> Bert:
    torch.manual_seed(seed)
    sizes = {
        "layers": 3, "hidden": 16, "heads": 2, "ffn": 32, "vocab": 50, "positions": 16, "types": 2,
        "layer_norm_eps": 1e-12, "outputs": 1, "dropout": 0.0,
    }  # fmt: skip
    model = Bert({**sizes, **changes}, "sdpa").eval()
    with torch.no_grad():
        for parameter in model.bert.embeddings.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def batch(length: int = 7, low: int = 5, high: int = 50) -> Batch:
    """Three sentences; the second ends early."""
    torch.manual_seed(4)
    ids = torch.randint(low, high, (3, length))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    return Batch(ids * mask, mask, torch.zeros_like(ids), torch.tensor([0, 1, 0]), {})


# --- architecture -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "parameters", "gflop"),
    [("mobilebert", 24_582_914, 5.385), ("mobilebert-tiny", 15_486_722, 3.070)],
)
def test_recipes_have_the_papers_sizes_on_base(recipe: str, parameters: int, gflop: float) -> None:
    settings = mobilebert.Parameters.model_validate(resolve(recipe, "base").parameters)
    found = count(mobilebert.students(settings, track("base"), 2)["default"])
    assert found.parameters.total == parameters
    assert found.flops(128) / 1e9 == pytest.approx(gflop, abs=5e-4)


def size(**changes: Any) -> int:
    return sum(p.numel() for p in models.build({**RELEASED, **changes}, device="meta").parameters())


def test_layer_norms_cost_no_parameters_and_a_pooler_does() -> None:
    assert size(norm="layernorm", activation="gelu") == size() == 24_582_914
    assert size(pooler=True) == 24_845_570


def test_the_size_of_the_inverted_bottleneck_teacher_by_hand() -> None:
    embeddings = 30522 * 128 + 512 * 512 + 2 * 512 + (384 + 1) * 512 + 2 * 512
    block = (512 + 1) * 1024 + 2 * 1024  # input bottleneck
    block += 3 * (512 + 1) * 1024 + (1024 + 1) * 1024 + 2 * 1024  # attention
    block += (1024 + 1) * 4096 + (4096 + 1) * 1024 + 2 * 1024  # feed-forward
    block += (1024 + 1) * 512 + 2 * 512
    head = (512 + 1) * 512 + (512 + 1) * 2
    assert size(**IB_BERT_LARGE) == embeddings + 24 * block + head == 294_468_866


def theirs(**changes: Any) -> MobileBertForSequenceClassification:
    torch.manual_seed(1)
    model = MobileBertForSequenceClassification(MobileBertConfig(**changes)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm" in name or name.endswith("bias"):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize(
    ("ours", "changes"),
    [
        (RELEASED, {}),
        (
            {**SMALL, "attends": "inside", "norm": "layernorm", "activation": "gelu", "pooler": True,
             "layer_norm_eps": 1e-5},
            {"classifier_activation": True, "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 3,
             "num_attention_heads": 2, "intermediate_size": 12, "embedding_size": 6, "intra_bottleneck_size": 8,
             "use_bottleneck_attention": True, "key_query_shared_bottleneck": False, "layer_norm_eps": 1e-5,
             "num_feedforward_networks": 3, "normalization_type": "layer_norm", "hidden_act": "gelu",
             "max_position_embeddings": 16},
        ),
    ],
    ids=["released", "tiny-shaped"],
)  # fmt: skip
def test_the_weights_and_answers_of_transformers(ours: dict[str, Any], changes: dict[str, Any]) -> None:
    reference, mine, one = theirs(**{"classifier_activation": False, **changes}), models.build(ours), batch()
    assert set(mine.state_dict()) == set(reference.state_dict())
    mine.load_state_dict(reference.state_dict())
    with torch.no_grad():
        wanted = reference(input_ids=one.ids, attention_mask=one.mask, token_type_ids=one.types).logits
        eager = models.build(ours, attention="eager")
        eager.load_state_dict(mine.state_dict())
        for model in (mine, eager):
            assert torch.allclose(model(*one.inputs), wanted, atol=1e-5 * float(wanted.abs().max()) + 1e-6)
    assert float(wanted.std()) > 0.01


def test_an_inverted_bottleneck_runs() -> None:
    model = built(inner=32, ffn=40, attends="wide", norm="layernorm", activation="gelu", feedforwards=1)
    assert model.layers[0].attention["self"].query.weight.shape == (32, 16)
    one = batch()
    logits = model(*one.inputs)
    assert logits.shape == (3, 2) and torch.isfinite(logits).all()
    # By the definition of attention, over loops, for one token of the first block.
    block = model.layers[0]
    with torch.no_grad():
        hidden, mask = model.embed(*one.inputs)
        found = block.watched(hidden, mask)[1]
        attention = block.attention["self"]
        query, key = attention.query(hidden[1, 2]), attention.key(hidden[1, 3])
    for head in range(2):
        part = slice(16 * head, 16 * head + 16)
        assert float(found[1, head, 2, 3]) == pytest.approx(float(query[part] @ key[part]) / 4, rel=1e-4)


def test_a_trigram_has_zeros_beyond_the_borders() -> None:
    model, ids = built(), torch.tensor([[7, 8, 9]])
    part = model.mobilebert.embeddings
    words = part.word_embeddings.weight.detach().numpy()
    weight, bias = (p.detach().numpy() for p in part.embedding_transformation.parameters())
    found = model.embed(ids, torch.ones_like(ids), torch.zeros_like(ids))[0].detach().numpy()
    nothing = np.zeros(6)
    for place, (following, word, previous) in enumerate(
        [(words[8], words[7], nothing), (words[9], words[8], words[7]), (nothing, words[9], words[8])]
    ):
        wide = weight @ np.concatenate([following, word, previous]) + bias
        wide += part.position_embeddings.weight[place].detach().numpy()
        wide += part.token_type_embeddings.weight[0].detach().numpy()
        wide = wide * part.LayerNorm.weight.detach().numpy() + part.LayerNorm.bias.detach().numpy()
        np.testing.assert_allclose(found[0, place], wide, atol=1e-5)


@pytest.mark.parametrize("kind", SPREAD)
def test_padding_changes_no_answer(kind: str) -> None:
    model, one = built(**SPREAD[kind]), batch()
    alone = model(*(part[1:2, :4] for part in one.inputs))
    assert torch.allclose(model(*one.inputs)[1:2], alone, atol=1e-5, rtol=1e-4)


def test_watching_a_block_changes_nothing() -> None:
    model, one = built(), batch()
    hidden, mask = model.embed(*one.inputs)
    for block in model.layers:
        output, scores = block.watched(hidden, mask)
        assert scores.shape == (3, 2, 7, 7)
        assert torch.allclose(output, block(hidden, mask), atol=1e-5)


@pytest.mark.parametrize("kind", SPREAD)
def test_one_onnx_graph_answers_at_every_shape(kind: str, tmp_path: Path) -> None:
    config = {**SMALL, **SPREAD[kind], "layers": 1}
    model = built(spread=0.2, **SPREAD[kind], layers=1)
    models.save(model, config, tmp_path)
    onnx = runtime("onnx")
    run = onnx.prepare(onnx.export(tmp_path, tmp_path), 1)
    for rows, length in ((1, 2), (3, 7), (2, 16)):
        one = [part[:rows] for part in batch(length).inputs]
        with torch.no_grad():
            wanted = model(*one).numpy()
        np.testing.assert_allclose(run(*(part.numpy() for part in one)), wanted, atol=1e-5, rtol=1e-4)


# --- where the student starts ---------------------------------------------------------------------------------


def test_principal_components_are_those_of_the_singular_value_decomposition() -> None:
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 6)) * np.arange(1, 7)).float()
    narrow, components, mean = principal_components(table, 2)
    centred = table.numpy() - table.numpy().mean(0)
    u, s, v = np.linalg.svd(centred, full_matrices=False)
    best = (u[:, :2] * s[:2]) @ v[:2]
    np.testing.assert_allclose((narrow @ components.T).numpy(), best, atol=1e-4)
    np.testing.assert_allclose(mean.numpy(), table.numpy().mean(0), atol=1e-6)
    np.testing.assert_allclose((components.T @ components).numpy(), np.eye(2), atol=1e-6)


def test_with_every_component_the_embeddings_are_the_teachers() -> None:
    teacher, one = bert(), batch()
    student = built(embedding=16, norm="layernorm")
    embeddings_of_bert(student, teacher)
    found, wanted = student.embed(*one.inputs)[0], teacher.embed(*one.inputs)[0]
    assert torch.allclose(found[one.mask.bool()], wanted[one.mask.bool()], atol=1e-4)


def test_without_a_layer_norm_scale_and_shift_are_fitted_to_the_teachers() -> None:
    teacher = bert()
    torch.manual_seed(2)
    student = models.build({**SMALL, "embedding": 16})
    assert isinstance(student, MobileBert)
    embeddings_of_bert(student, teacher)
    ids = torch.arange(48).view(3, 16)  # the vocabulary in rows of whole sentences
    kept = student.mobilebert.embeddings.LayerNorm
    fitted = kept.weight.detach().clone(), kept.bias.detach().clone()
    wanted = rows_of(teacher, ids)
    kept.weight.data.fill_(1.0)
    kept.bias.data.zero_()
    found = rows_of(student, ids)
    for feature in range(16):
        slope, shift = np.polyfit(found[:, feature], wanted[:, feature], 1)
        assert float(fitted[0][feature]) == pytest.approx(slope, rel=1e-3, abs=1e-4)
        assert float(fitted[1][feature]) == pytest.approx(shift, rel=1e-3, abs=1e-4)


def rows_of(model: Bert | MobileBert, ids: torch.Tensor) -> np.ndarray:
    """Embedding outputs [tokens, hidden]."""
    hidden = model.embed(ids, torch.ones_like(ids), torch.zeros_like(ids))[0]
    return hidden.detach().numpy().reshape(-1, hidden.shape[-1])


def test_an_inverted_bottlenecks_embeddings_are_copied() -> None:
    teacher = built(5, inner=32, attends="wide", norm="layernorm")
    student, one = built(6, norm="layernorm"), batch()
    embeddings_of_mobilebert(student, teacher)
    assert torch.equal(student.embed(*one.inputs)[0], teacher.embed(*one.inputs)[0])


# --- knowledge transfer ---------------------------------------------------------------------------------------


def random_states(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.normal(size=shape) * 2 + 0.5


@pytest.fixture
def padded() -> tuple[np.random.Generator, np.ndarray]:
    return np.random.default_rng(8), np.array([[1, 1, 1, 1], [1, 1, 0, 0]])


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def test_state_losses_by_loops(padded: tuple[np.random.Generator, np.ndarray]) -> None:
    generator, mask = padded
    student, teacher = random_states(generator, 2, 4, 5), random_states(generator, 2, 4, 5)
    features, means, variances = [], [], []
    for b in range(2):
        for i in range(4):
            if not mask[b, i]:
                continue
            u, v = student[b, i], teacher[b, i]
            mean_u, mean_v = sum(u) / 5, sum(v) / 5
            var_u, var_v = sum((x - mean_u) ** 2 for x in u) / 5, sum((x - mean_v) ** 2 for x in v) / 5
            for x, y in zip(u, v, strict=True):
                difference = (x - mean_u) / math.sqrt(var_u) - (y - mean_v) / math.sqrt(var_v)
                features.append(difference**2)
            means.append((mean_u - mean_v) ** 2)
            variances.append(abs(var_u - var_v))
    by_loops = np.mean(features), np.mean(means), np.mean(variances)
    assert by_loops == pytest.approx((2.7647816995, 1.4119574221, 2.2932455725), rel=1e-6)
    given = tensors(student, teacher, mask)
    assert float(feature_loss(*given)) == pytest.approx(np.mean(features), rel=1e-9)
    assert float(mean_loss(*given)) == pytest.approx(np.mean(means), rel=1e-9)
    assert float(variance_loss(*given)) == pytest.approx(np.mean(variances), rel=1e-9)
    student[1, 2:], teacher[1, 2:] = 77.0, -3.0  # padding says nothing
    again = tensors(student, teacher, mask)
    for loss in (feature_loss, mean_loss, variance_loss):
        assert float(loss(*again)) == pytest.approx(float(loss(*given)), rel=1e-12)


def test_attention_divergence_by_loops(padded: tuple[np.random.Generator, np.ndarray]) -> None:
    generator, mask = padded
    student, teacher = random_states(generator, 2, 3, 4, 4), random_states(generator, 2, 3, 4, 4)
    rows = []
    for b in range(2):
        real = [j for j in range(4) if mask[b, j]]
        for h in range(3):
            for i in real:
                p = [math.exp(teacher[b, h, i, j]) for j in real]
                q = [math.exp(student[b, h, i, j]) for j in real]
                p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
                rows.append(sum(x * math.log(x / y) for x, y in zip(p, q, strict=True)))
    given = tensors(student, teacher, mask)
    given[0].requires_grad_(True)
    value = attention_divergence(*given)
    assert np.mean(rows) == pytest.approx(2.0239084779, rel=1e-6)
    assert float(value.detach()) == pytest.approx(np.mean(rows), rel=1e-9)
    value.backward()  # type: ignore[no-untyped-call]
    gradient = given[0].grad
    assert gradient is not None and torch.isfinite(gradient).all()
    assert not gradient[1, :, 2:].any() and not gradient[1, :, :, 2:].any() and gradient[0].any()


def test_every_block_has_its_turn_and_the_papers_rates() -> None:
    turns = [block_in_turn(Progress(step, 10), 3) for step in range(10)]
    assert turns == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    rate = block_schedule(1, 4, schedule("constant"))
    found = [rate(Progress(step, 400)) for step in range(400)]
    assert found[:100] == [0.0] * 100
    assert found[100] == pytest.approx(3.0 * 0.1) and found[104] == pytest.approx(3.0 * 0.5)
    assert found[109] == pytest.approx(3.0 * (0.9 + 0.1 * math.sqrt(0.91)))
    assert found[199] == pytest.approx(3.0 * (0.9 + 0.1 * math.sqrt(0.01)))
    assert found[200] == pytest.approx(0.3 * 0.1) and found[350] == pytest.approx(0.3 * 0.9707, abs=1e-4)
    falling = block_schedule(1, 4, schedule("linear"))
    assert falling(Progress(150, 400)) == pytest.approx(found[150] * 250 / 400)


class Refuses(nn.Module):
    """In the place of a block that must not run."""

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        raise AssertionError("a block behind the one in turn was computed")


@pytest.mark.parametrize(("turn", "frozen"), [(0, 82.126577), (1, 48.455388)])
def test_only_the_block_in_turn_counts(turn: int, frozen: float) -> None:
    student, teacher, one = built(norm="layernorm"), bert(), batch()
    weights = Weights(features=100, mean=50, variance=5, attention=2)
    found = transfer_loss(Taught(teacher, student), one, turn, weights)
    with torch.no_grad():
        ours, real = student.states(*one.inputs), teacher.states(*one.inputs)
        scores = student.layers[turn].watched(ours[turn], torch.zeros(1))[1]
        query, key = (
            getattr(teacher.layers[turn].attention.self, name)(real[turn]).view(3, 7, 2, 8).transpose(1, 2)
            for name in ("query", "key")
        )
        wanted = query @ key.transpose(2, 3) / math.sqrt(8)
        pair = ours[turn + 1], real[turn + 1], one.mask
        expected = 100 * feature_loss(*pair) + 50 * mean_loss(*pair) + 5 * variance_loss(*pair)
        expected += 2 * attention_divergence(scores, wanted, one.mask)
    assert float(expected) / 3 == pytest.approx(frozen, rel=1e-4)
    assert float(found.value.detach()) == pytest.approx(float(expected) / 3, rel=1e-4)
    found.value.backward()  # type: ignore[no-untyped-call]
    moved = [any(p.grad is not None and p.grad.any() for p in block.parameters()) for block in student.layers]
    assert moved == [place <= turn for place in range(3)]

    for model in (student, teacher):
        for place in range(turn + 1, 3):
            model.layers[place] = Refuses()
    again = transfer_loss(Taught(teacher, student), one, turn, weights)
    assert torch.equal(again.value, found.value)


class OneBatch:
    def __len__(self) -> int:
        return 1

    def batch(self, step: int) -> Batch:
        return batch()


def test_blocks_move_in_their_turn_and_after_it_and_embeddings_never(tmp_path: Path) -> None:
    settings = {"epochs": 1, "lr": 1e-3, "schedule": "constant", "warmup": 0}
    params = {"training": settings, "weights": Weights().model_dump()}
    context = Context(tmp_path, {}, tmp_path, params, 11)

    def after(steps: int) -> dict[str, torch.Tensor]:
        pair = Taught(bert(), built(norm="layernorm"))
        updates = transfer_updates(context, pair)
        # The first ``steps`` of a run of nine.
        losses = updates[0].losses
        groups = [
            replace(g, schedule=lambda p, s=g.schedule: s(p._replace(steps=9))) for g in updates[0].groups
        ]
        update = replace(updates[0], groups=groups, losses=lambda m, b, p: losses(m, b, p._replace(steps=9)))
        train(pair, [update], {"train": OneBatch()}, steps=steps, seed=1, phase="transfer")
        return {name: tensor.clone() for name, tensor in pair.student.state_dict().items()}

    begun = {name: tensor.clone() for name, tensor in built(norm="layernorm").state_dict().items()}
    first, second, whole = after(3), after(6), after(9)

    def moved(before: dict[str, torch.Tensor], now: dict[str, torch.Tensor], prefix: str) -> bool:
        return any(not torch.equal(before[n], now[n]) for n in before if n.startswith(prefix))

    block = "mobilebert.encoder.layer.{}.".format
    assert [moved(begun, first, block(i)) for i in range(3)] == [True, False, False]
    assert [moved(first, second, block(i)) for i in range(3)] == [True, True, False]
    assert [moved(second, whole, block(i)) for i in range(3)] == [True, True, True]
    assert not moved(begun, whole, "mobilebert.embeddings") and not moved(begun, whole, "classifier")


def test_transfer_brings_the_student_near_its_teacher(tmp_path: Path) -> None:
    teacher = bert()
    torch.manual_seed(0)
    student = models.build({**SMALL, "embedding": 16, "norm": "nonorm"})
    assert isinstance(student, MobileBert)
    embeddings_of_bert(student, teacher)
    pair, one = Taught(teacher, student), batch()

    def distance() -> float:
        with torch.no_grad():
            return float(
                feature_loss(student.states(*one.inputs)[-1], teacher.states(*one.inputs)[-1], one.mask)
            )

    before = distance()
    params = {
        "training": {"epochs": 1, "lr": 3e-3, "schedule": "constant", "warmup": 0},
        "weights": Weights().model_dump(),
    }
    updates = transfer_updates(Context(tmp_path, {}, tmp_path, params, 11), pair)
    train(pair, updates, {"train": OneBatch()}, steps=240, seed=1, phase="transfer")
    pair.eval()
    assert distance() < 0.3 * before


# --- masked-LM distillation -----------------------------------------------------------------------------------


def test_the_masked_lm_loss_on_random_masked_lms() -> None:
    """Scores as transformers computes them, the loss by loops over the masked tokens."""
    vocab = 1200
    details = MobileBertConfig(
        vocab_size=vocab, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
        embedding_size=6, intra_bottleneck_size=8, max_position_embeddings=16, hidden_act="gelu",
    )  # fmt: skip
    shape = {"layers": 2, "vocab": vocab, "feedforwards": 4, "activation": "gelu"}
    pairs = []
    for seed in (1, 2):
        masked_lm = MobileBertForMaskedLM(details).eval()
        torch.manual_seed(seed)
        with torch.no_grad():  # by name, so that no other version of transformers draws otherwise
            for _, parameter in sorted(masked_lm.named_parameters()):
                parameter.normal_(std=0.3)
        weights = masked_lm.state_dict()
        body = models.build({**SMALL, **shape})
        kept = {k: v for k, v in weights.items() if k.startswith("mobilebert.") and ".pooler." not in k}
        missing, unexpected = body.load_state_dict(kept, strict=False)
        assert not unexpected and all(name.startswith("classifier.") for name in missing)
        # transformers holds the head's epsilon in the model's; ours comes with the configuration.
        head = WordHead({**SMALL, **shape})
        head.load_weights(weights)
        pairs.append((masked_lm, body, head))
    (theirs_teacher, teacher, teacher_head), (theirs_student, student, head) = pairs
    pair = Taught(teacher, student, head=head, teacher_head=teacher_head)
    one = batch(low=1005, high=1050)
    drawn = torch.ones(vocab)
    drawn[:999] = 0
    torch.manual_seed(9)
    loss = pretraining_loss(pair.eval(), one, 0.3, drawn)

    torch.manual_seed(9)
    ids, chosen = mask_tokens(one.ids, one.mask, drawn)
    assert int(chosen.sum()) == math.ceil(0.15 * 18) and not chosen[1, 4:].any()
    with torch.no_grad():
        scores, wanted = (
            model(input_ids=ids, attention_mask=one.mask, token_type_ids=one.types).logits.double().numpy()
            for model in (theirs_student, theirs_teacher)
        )
    rows = []
    for b, i in np.argwhere(chosen.numpy()):
        log_q = scores[b, i] - scores[b, i].max()
        log_q = log_q - math.log(np.exp(log_q).sum())
        p = np.exp(wanted[b, i] - wanted[b, i].max())
        p = 0.7 * p / p.sum()
        p[int(one.ids[b, i])] += 0.3
        rows.append(-float((p * log_q).sum()))
    assert np.mean(rows) == pytest.approx(7.446908, rel=1e-4)
    assert float(loss.value.detach()) == pytest.approx(np.mean(rows), rel=1e-4)
    loss.value.backward()  # type: ignore[no-untyped-call]
    assert head.extra.grad is not None and head.extra.grad.any()
    assert teacher_head.extra.grad is None or not teacher_head.extra.grad.any()


# --- the whole recipe -----------------------------------------------------------------------------------------


def tiny_cell(tiny_track: Track, tiny_folder: Path, folder: Path) -> tuple[Cell, Store]:
    store = Store(folder / "store")
    cell = cell_of(tiny_track, draw_of(tiny_track, "sst2", f"folder:{tiny_folder}/glue"), 11, store)
    return cell, store


def test_the_base_recipe_runs_with_a_small_teacher(
    tiny_track: Track, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, store = tiny_cell(tiny_track, tiny_folder, tmp_path)
    base = resolve("mobilebert", "base")
    sizes = {"layers": 2, "hidden": 16, "heads": 2, "inner": 8, "ffn": 12, "feedforwards": 2, "embedding": 6}
    small = {"tokens": 2000, "epochs": 1, "batch": 8, "lr": 1e-3}
    parameters = {**changed(base.parameters, small), "sizes": {**base.parameters["sizes"], **sizes}}
    resolved = replace(base, track=tiny_track.name, parameters=parameters)
    monkeypatch.delenv("LIGHTBOARD_IB_BERT", raising=False)
    with pytest.raises(UserError, match="LIGHTBOARD_IB_BERT") as refused:
        model_stages(resolved, cell)
    assert "\n" not in str(refused.value)

    small_teacher = {"layers": 2, "hidden": 16, "inner": 24, "heads": 2, "ffn": 12, "embedding": 6}
    vocab = tiny_track.teacher.config["vocab"]
    config = tiny.write_inverted_bottleneck(tmp_path / "ib", vocab=vocab, positions=64, **small_teacher)
    monkeypatch.setenv("LIGHTBOARD_IB_BERT", str(tmp_path / "ib"))
    (stage,) = model_stages(resolved, cell).values()
    names = [s.name for s in closure([stage]) if s.name not in ("encode", "corpus")]
    assert names == ["mobilebert-start", "knowledge-transfer", "pretraining-distillation", "finetune"]
    execute([stage], store)
    final = store.folder(stage.key)
    assert models.read_config(final)["attends"] == "shared"
    pretraining = stage.inputs["encoder"]
    after_transfer, after = (
        load_file(store.folder(s.key) / "model.safetensors")
        for s in (pretraining.inputs["encoder"], pretraining)
    )
    table = "mobilebert.embeddings.word_embeddings.weight"
    copied = load_file(tmp_path / "ib" / "model.safetensors")[table]
    assert torch.equal(after_transfer[table], copied)  # not moved by knowledge transfer, but after it
    assert not torch.equal(after[table], copied)

    models.save(models.build(config), config, tmp_path / "ib")  # other weights: another key
    (other,) = model_stages(resolved, cell).values()
    assert other.key != stage.key
    with pytest.raises(UserError, match="not those that were planned"):
        mobilebert._inverted(
            next(s for s in closure([stage]) if s.name == "mobilebert-start").params["teacher"]["weights"]
        )


def test_without_transfer_fine_tuning_begins_at_the_start(
    tiny_track: Track, tiny_folder: Path, tmp_path: Path
) -> None:
    cell, _ = tiny_cell(tiny_track, tiny_folder, tmp_path)
    demo = resolve("mobilebert", "demo")
    (stage,) = model_stages(
        replace(demo, parameters=changed(demo.parameters, {"transfer": False})), cell
    ).values()
    assert stage.inputs["encoder"].name == "mobilebert-start"
    narrow = changed(demo.parameters, {"layers": 5})
    with pytest.raises(UserError, match="5 layers, its teacher 6"):
        model_stages(replace(demo, parameters=narrow), cell)
    with pytest.raises(UserError, match="too few for a step of each block"):
        model_stages(replace(demo, parameters=changed(demo.parameters, {"tokens": 100})), cell)


def mini_cell() -> Cell:
    """A cell of the mini track that was never encoded: enough to plan with."""
    encoded = Stage("encode", 1, lambda context: None)
    lengths = {"train": np.array([10, 25, 60])}
    return Cell(track("mini"), task("sst2"), 11, None, encoded, lengths)  # type: ignore[arg-type]


@pytest.mark.parametrize(("recipe", "matrices"), [("mobilebert", 12), ("mobilebert-tiny", 6)])
def test_the_arithmetic_of_mini(
    recipe: str, matrices: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("some text\n")
    monkeypatch.setenv("LIGHTBOARD_CORPUS", str(text))
    cell = mini_cell()
    resolved = resolve(recipe, "mini")
    (stage,) = model_stages(resolved, cell).values()
    teacher_forward = cell.forward(cell.config())
    assert stage.tflop < 24 * teacher_forward

    # Knowledge transfer, a multiply-accumulate at a time: turn l runs l blocks of each.
    general = resolved.parameters["general"]
    blocks = general["tokens"] // 128
    tokens, total = 128 * blocks, 0
    wide = 384 * 96
    ours = (4 * wide + 3 * 96 * 96 + 8 * wide) if matrices == 12 else (2 * wide + 4 * 96 * 96 + 4 * wide)
    ours += 2 * 128 * 96
    real = 4 * 384 * 384 + 2 * 384 * 1536 + 2 * 128 * 384
    for turn in range(1, 7):
        total += 384 * 384 + turn * (3 * ours + real) + 2 * 384 * 384 + 128 * 384
    expected = general["training"]["epochs"] * 2 * tokens * total / 6 / 1e12
    transfer = stage.inputs["encoder"]
    assert transfer.name == "knowledge-transfer" and transfer.shared
    assert transfer.params["config"]["attention_dropout"] == 0 == transfer.params["config"]["dropout"]
    assert stage.params["config"]["attention_dropout"] == 0.1
    assert transfer.tflop == pytest.approx(expected, rel=1e-3)
    assert transfer.tflop < 80


def test_no_norm_is_a_scale_and_a_shift() -> None:
    norm = NoNorm(3)
    norm.weight.data, norm.bias.data = torch.tensor([1.0, 2.0, -1.0]), torch.tensor([0.0, 0.5, 1.0])
    assert norm(torch.tensor([3.0, 4.0, 5.0])).tolist() == [3.0, 8.5, -4.0]
