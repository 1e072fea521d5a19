"""TinyBERT: its layer loss, layer map, starts, budget and ablations."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_methods import trained
from torch.utils.flop_counter import FlopCounterMode

from suite import models, protocol
from suite.data.encode import Encoded
from suite.errors import UserError
from suite.loading import resolve
from suite.measure import cost
from suite.methods import tinybert
from suite.models.bert import Bert
from suite.pipeline.augment import Augmentation, augmented
from suite.pipeline.cell import Cell
from suite.pipeline.execute import execute
from suite.pipeline.general import Taught
from suite.pipeline.matrix import cell_of, draw_of, model_stages
from suite.pipeline.stage import Context, closure
from suite.pipeline.store import Store
from suite.protocol import Track, track
from suite.tasks import task
from suite.training.feeds import Batch
from suite.training.layers import LayerWeights, layer_loss
from suite.training.schedules import Progress
from suite.training.starts import bert_of_bert

CONFIG = {
    "architecture": "bert", "layers": 6, "hidden": 16, "heads": 2, "ffn": 32, "vocab": 50, "positions": 16,
    "types": 2, "outputs": 3, "layer_norm_eps": 1e-12, "dropout": 0.0,
}  # fmt: skip
SMALL = {"layers": 3, "hidden": 12, "ffn": 20}


def bert(seed: int = 3, attention: str = "sdpa", **changes: Any) -> Bert:
    torch.manual_seed(seed)
    return Bert({**CONFIG, **changes}, attention).eval()


def batch(padding: int = 0) -> Batch:
    """Three examples, the second shorter; ``padding`` further columns of tokens that are not there."""
    torch.manual_seed(4)
    ids = torch.randint(5, 50, (3, 7))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    more = torch.randint(5, 50, (3, padding))
    ids, mask = torch.cat([ids, more], 1), torch.cat([mask, torch.zeros_like(more)], 1)
    return Batch(ids, mask, torch.zeros_like(ids), torch.tensor([0, 1, 2]), {})


def pair() -> tuple[Bert, Bert, torch.nn.Linear]:
    teacher, student = bert(), bert(seed=8, **SMALL)
    with torch.no_grad():  # the usual small initial weights would leave all scores near zero
        for p in [*teacher.parameters(), *student.parameters()]:
            if p.ndim > 1:
                p.mul_(8)
    return teacher, student, torch.nn.Linear(12, 16)


def scores_by_hand(layer: Any, hidden: np.ndarray, heads: int) -> np.ndarray:
    """[heads, length, length] of one example, by loops over indices."""
    attention = layer.attention.self
    query, key = (
        hidden @ part.weight.detach().double().numpy().T + part.bias.detach().double().numpy()
        for part in (attention.query, attention.key)
    )
    length, width = hidden.shape[0], hidden.shape[1] // heads
    found = np.zeros((heads, length, length))
    for h in range(heads):
        for i in range(length):
            for j in range(length):
                for d in range(width):
                    found[h, i, j] += query[i, h * width + d] * key[j, h * width + d]
    return found / math.sqrt(width)


def loss_by_hand(teacher: Bert, student: Bert, project: Any, one: Batch) -> dict[str, float]:
    """The three sums over layers: each mean runs over the tokens that are there, example by example."""
    with torch.no_grad():
        theirs = [s.double().numpy() for s in teacher.states(*one.inputs)]
        ours = [s.double().numpy() for s in student.states(*one.inputs)]
    weight, bias = (p.detach().double().numpy() for p in (project.weight, project.bias))
    found = {"attention": 0.0, "hidden": 0.0, "embedding": 0.0}
    for m, g in ((0, 0), (1, 2), (2, 4), (3, 6)):
        squares, pairs = [], []
        for b, length in enumerate(one.mask.sum(1).tolist()):
            for i in range(length):
                squares.extend((weight @ ours[m][b, i] + bias - theirs[g][b, i]) ** 2)
            if m:
                mine = scores_by_hand(student.layers[m - 1], ours[m - 1][b, :length], 2)
                wanted = scores_by_hand(teacher.layers[g - 1], theirs[g - 1][b, :length], 2)
                pairs.extend(((mine - wanted) ** 2).ravel())
        found["hidden" if m else "embedding"] += np.mean(squares)
        if m:
            found["attention"] += np.mean(pairs)
    return found


def test_the_layer_loss_is_the_papers_formula_over_real_tokens() -> None:
    teacher, student, project = pair()
    one = batch()
    weights = LayerWeights(attention=2, hidden=0.5, embedding=3)
    loss = layer_loss(teacher, student, project, one, weights)
    wanted = loss_by_hand(teacher, student, project, one)
    assert wanted == pytest.approx(
        {"attention": 0.771686, "hidden": 4.796757, "embedding": 1.275037}, rel=1e-4
    )
    for name, value in wanted.items():
        assert float(loss.logs[name]) == pytest.approx(value, rel=1e-4)
    total = 2 * wanted["attention"] + 0.5 * wanted["hidden"] + 3 * wanted["embedding"]
    assert float(loss.value.detach()) == pytest.approx(total, rel=1e-4)


def test_padding_does_not_change_the_layer_loss() -> None:
    teacher, student, project = pair()
    short, long = (layer_loss(teacher, student, project, batch(p), LayerWeights()) for p in (0, 5))
    assert float(long.value.detach()) == pytest.approx(float(short.value.detach()), rel=1e-5)


def test_a_part_that_weighs_nothing_is_not_computed() -> None:
    teacher, student, project = pair()
    loss = layer_loss(teacher, student, project, batch(), LayerWeights(attention=0, embedding=0))
    assert set(loss.logs) == {"loss", "hidden"}
    assert float(loss.value.detach()) == pytest.approx(
        loss_by_hand(teacher, student, project, batch())["hidden"], rel=1e-4
    )


def test_a_loss_without_any_part_is_refused() -> None:
    with pytest.raises(ValueError, match="all 0"):
        LayerWeights(attention=0, hidden=0, embedding=0)


def test_depths_that_do_not_divide_are_refused() -> None:
    teacher, _, project = pair()
    with pytest.raises(ValueError, match="6 teacher layers"):
        layer_loss(teacher, bert(**{**SMALL, "layers": 4}), project, batch(), LayerWeights())


# --- where the student starts -------------------------------------------------------------------------------


def test_a_student_as_wide_starts_from_every_second_layer() -> None:
    teacher, student, project = bert(), bert(seed=9, layers=3), torch.nn.Linear(16, 16)
    bert_of_bert(teacher, student, project)
    for m, g in ((0, 2), (1, 4), (2, 6)):
        for mine, theirs in zip(
            student.layers[m].parameters(), teacher.layers[g - 1].parameters(), strict=True
        ):
            assert torch.equal(mine, theirs)
    one = batch()
    with torch.no_grad():
        loss = layer_loss(teacher, student, project, one, LayerWeights(attention=0, hidden=0))
    assert float(loss.value) < 1e-12  # the same embeddings, through an identity


def test_a_narrower_student_starts_from_the_principal_directions() -> None:
    teacher, student, project = bert(), bert(seed=9, **SMALL), torch.nn.Linear(12, 16)
    bert_of_bert(teacher, student, project)
    table = teacher.bert.embeddings.word_embeddings.weight.detach().double().numpy()
    u, s, v = np.linalg.svd(table, full_matrices=False)
    best = (u[:, :12] * s[:12]) @ v[:12]  # Eckart-Young: nothing of rank 12 is nearer
    mine = student.bert.embeddings.word_embeddings.weight @ project.weight.T
    assert np.allclose(mine.detach().numpy(), best, atol=1e-5)
    assert not torch.equal(
        student.layers[0].attention.self.query.weight, bert().layers[1].attention.self.query.weight
    )  # type: ignore[union-attr, arg-type]


def test_a_wider_student_holds_the_teachers_words() -> None:
    teacher, student, project = bert(), bert(seed=9, hidden=24), torch.nn.Linear(24, 16)
    bert_of_bert(teacher, student, project)
    words = student.bert.embeddings.word_embeddings.weight
    assert torch.equal(words @ project.weight.T, teacher.bert.embeddings.word_embeddings.weight)


def test_the_projection_goes_on_to_the_task(tiny_track: Track, tmp_path: Path) -> None:
    body = tiny_track.teacher.config
    config = {**body, "layers": 3, "hidden": 16, "outputs": 1, "dropout": 0.1}
    params = {"config": config, "track": "demo", "start": "random"}
    first = tinybert.build(Context(tmp_path, {}, tmp_path, params, 0))
    tinybert.export(Context(tmp_path, {}, tmp_path, params, 0), first)
    params = {**params, "config": {**config, "outputs": 2}, "start": "teacher"}
    second = tinybert.build(Context(tmp_path, {"general": tmp_path}, tmp_path, params, 0))
    assert isinstance(second, Taught)
    one, other = first.state_dict(), second.state_dict()
    kept = [k for k in one if k.startswith(("student.bert.", "parts."))]
    assert len(kept) > 50 and all(torch.equal(one[k], other[k]) for k in kept)


# --- the prediction step ------------------------------------------------------------------------------------


def prediction_loss(outputs: int, logits: list[list[float]], extra: dict[str, Any], labels: Any) -> float:
    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = torch.nn.Parameter(torch.tensor(logits))

        def forward(self, *inputs: Any) -> Any:
            return self.logits

    model, one = Fixed(), batch()._replace(extra=extra, labels=labels)
    params = {"training": {"epochs": 1, "lr": 1.0}}
    (update,) = tinybert.prediction_updates(Context(Path(), {}, Path(), params, 0), model)
    (loss,) = update.losses(model, one, Progress(0, 1))
    return float(loss.value.detach())


def test_the_prediction_loss_is_a_mean_over_examples_not_classes() -> None:
    student = [[0.5, -1.0, 2.0], [1.0, 1.0, 1.0], [0.0, 3.0, -2.0]]
    teacher = [[1.5, 0.0, 1.0], [2.0, -1.0, 0.5], [0.0, 3.0, -2.0]]
    cross, entropy = 0.0, 0.0
    for s, t in zip(student, teacher, strict=True):
        p = [math.exp(v) / sum(map(math.exp, t)) for v in t]
        q = [math.exp(v) / sum(map(math.exp, s)) for v in s]
        cross -= sum(a * math.log(b) for a, b in zip(p, q, strict=True)) / 3
        entropy -= sum(a * math.log(a) for a in p) / 3
    found = prediction_loss(3, student, {"teacher": torch.tensor(teacher)}, torch.tensor([0, 1, 2]))
    assert cross - entropy == pytest.approx(0.3170701515, rel=1e-6)
    # The soft cross-entropy less the teacher's entropy, which no weight of the student changes.
    assert found == pytest.approx(cross - entropy, rel=1e-5)


def test_a_regression_learns_the_label_or_the_teachers_score() -> None:
    student, labels = [[1.0], [2.0], [4.0]], torch.tensor([1.0, 4.0, 4.0])
    assert prediction_loss(1, student, {}, labels) == pytest.approx(4 / 3)
    teacher = torch.tensor([[3.0], [2.0], [4.0]])
    assert prediction_loss(1, student, {"teacher": teacher}, labels) == pytest.approx(4 / 3)
    assert prediction_loss(1, student, {"teacher": teacher + 1}, labels) == pytest.approx(11 / 3)


# --- sizes, arithmetic, plans -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "parameters", "gflops"),
    [("tinybert", 14_350_874, 1.247), ("tinybert-wide", 66_956_546, 11.175)],
)
def test_the_papers_sizes(recipe: str, parameters: int, gflops: float) -> None:
    resolved = resolve(recipe, "base")
    settings = tinybert.Parameters.model_validate(resolved.parameters)
    (config,) = tinybert.students(settings, track("base"), 2).values()
    counted = cost.count(config)
    assert counted.parameters.total == parameters
    assert counted.flops(128) / 1e9 == pytest.approx(gflops, abs=5e-4)


@pytest.mark.parametrize("attention", [0.0, 1.0])
def test_the_arithmetic_is_what_torch_counts(attention: float) -> None:
    large = {"hidden": 64, "ffn": 128, "heads": 4, "positions": 64}
    small = {**large, "layers": 3, "hidden": 32, "ffn": 64}
    teacher = bert(attention="eager", **large).requires_grad_(False)
    student = bert(attention="eager", **small)
    ids = torch.randint(5, 50, (4, 48))
    one = Batch(ids, torch.ones_like(ids), torch.zeros_like(ids), ids[:, 0], {})
    weights = LayerWeights(attention=attention)
    with FlopCounterMode(display=False) as counter:
        loss = layer_loss(teacher, student, torch.nn.Linear(32, 64), one, weights)
        loss.value.backward()  # type: ignore[no-untyped-call]
    ours = tinybert.layer_tflop({**CONFIG, **small}, {**CONFIG, **large}, np.full(4, 48), weights)
    assert ours * 1e12 == pytest.approx(counter.get_total_flops(), rel=0.02)


def taught_cell(tiny_track: Track, folder: Path) -> Cell:
    store = Store(folder / "store")
    cell = cell_of(tiny_track, draw_of(tiny_track, "sst2", f"folder:{folder}/glue"), 11, store)
    (teacher,) = model_stages(resolve("reference", "demo"), cell).values()
    return replace(cell, reference=teacher)


def stages_of(cell: Cell, **changes: Any) -> dict[str, Any]:
    parameters = {**resolve("tinybert", "demo").parameters, **changes}
    (last,) = tinybert.plan(tinybert.Parameters.model_validate(parameters), cell).values()
    return {stage.name: stage for stage in closure([last])}


def test_steps_can_be_left_out(tiny_track: Track, tiny_folder: Path) -> None:
    cell = taught_cell(tiny_track, tiny_folder)
    whole = stages_of(cell)
    assert whole["teacher-logits"].inputs["data"].name == "augment"
    assert whole["tinybert-general"].shared and not whole["tinybert-intermediate"].shared
    plain = stages_of(cell, augmentation=None)
    assert "augment" not in plain
    assert plain["teacher-logits"].key == cell.teacher_logits.key  # the one that other methods use
    assert whole["tinybert-intermediate"].tflop == pytest.approx(2 * plain["tinybert-intermediate"].tflop)
    assert "tinybert-general" not in stages_of(cell, general=None)


def test_a_regression_on_labels_leaves_augmentation_out_of_the_last_step(
    tiny_track: Track, tiny_folder: Path
) -> None:
    cell = replace(taught_cell(tiny_track, tiny_folder), task=task("stsb"))
    taught, labels = (stages_of(cell, regression=kind) for kind in ("teacher", "labels"))
    assert set(taught["tinybert-prediction"].inputs) == {"encoder", "data", "logits"}
    assert set(labels["tinybert-prediction"].inputs) == {"encoder", "data"}
    assert labels["tinybert-prediction"].inputs["data"].name == "encode"
    assert labels["tinybert-intermediate"].inputs["data"].name == "augment"


def test_the_stage_augments_train_and_leaves_selection(tiny_track: Track, tiny_folder: Path) -> None:
    cell, store = taught_cell(tiny_track, tiny_folder), Store(tiny_folder / "store")
    stage = augmented(cell, Augmentation(by="embeddings", copies=2, candidates=5))
    execute([stage], store)
    folder, original = store.folder(stage.key), store.folder(cell.encoded.key)
    more, train = Encoded.load(folder / "train"), Encoded.load(original / "train")
    assert 2.5 * len(train) < len(more) <= 3 * len(train)
    assert more.lengths.sum() <= 3 * train.lengths.sum()  # what the plan counts is an upper bound
    assert np.array_equal(Encoded.load(folder / "selection").ids, Encoded.load(original / "selection").ids)


def test_a_teacher_without_masked_lm_head_is_said_so(tiny_track: Track, tiny_folder: Path) -> None:
    with pytest.raises(UserError, match="no masked-LM head"):
        augmented(taught_cell(tiny_track, tiny_folder), Augmentation(by="masked-lm", copies=1))


def test_augmentation_by_a_masked_lm_end_to_end(
    tiny_track: Track, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny teacher with a fresh head; and word vectors named by the environment decide the key."""
    able = replace(tiny_track, general=replace(tiny_track.general, masked_lm_head=True))
    monkeypatch.setitem(protocol.TRACKS, "demo", able)
    store, cell = Store(tiny_folder / "store"), replace(taught_cell(tiny_track, tiny_folder), track=able)
    settings = Augmentation(by="masked-lm", copies=1, candidates=1000, word_vectors=True)
    stage = augmented(cell, settings)
    (tmp_path / "vectors.txt").write_text("house 1 0\nriver 1 1\n")
    monkeypatch.setenv("LIGHTBOARD_WORD_VECTORS", str(tmp_path / "vectors.txt"))
    with_vectors = augmented(cell, settings)
    assert stage.key != with_vectors.key and stage.tflop > 0
    execute([with_vectors], store)
    train = Encoded.load(store.folder(cell.encoded.key) / "train")
    more = Encoded.load(store.folder(with_vectors.key) / "train")
    assert 1.5 * len(train) < len(more) <= 2 * len(train)
    monkeypatch.setenv("LIGHTBOARD_WORD_VECTORS", str(tmp_path / "none.txt"))
    with pytest.raises(UserError, match="no such file"):
        augmented(cell, settings)


@pytest.mark.parametrize("name", ["base", "mini"])
def test_without_augmentation_there_can_be_as_many_updates(name: str) -> None:
    """An epoch on the originals alone is a share 1 / (1 + copies) of one on all, at most; the rest is as it is."""
    whole, equal = (
        resolve(recipe, name).parameters for recipe in ("tinybert", "tinybert-without-augmentation-equal")
    )
    times = 1 + whole["augmentation"]["copies"]
    longer = {
        phase: {**whole[phase], "epochs": times * whole[phase]["epochs"]}
        for phase in ("intermediate", "prediction")
    }
    assert equal == {**whole, **longer, "augmentation": None}


ABLATIONS: dict[str, dict[str, Any]] = {
    "general": {"general": None},
    "augmentation": {"augmentation": None},
    "start": {"start": "random"},
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_change_the_weights(name: str, tiny_track: Track, tiny_folder: Path) -> None:
    quick = {"epochs": 1, "tokens": 2000, "student": {"layers": 3, "hidden": 16, "ffn": 32}}
    whole, _ = trained("tinybert", tiny_track, tiny_folder, **quick)
    without, _ = trained("tinybert", tiny_track, tiny_folder, **quick, **ABLATIONS[name])
    one, other = (load_file(f / "model.safetensors") for f in (whole, without))
    assert one.keys() == other.keys()
    assert any(not torch.equal(one[k], other[k]) for k in one)
    assert not any("projection" in k for k in one)
    assert models.load(whole)(*batch().inputs).shape == (3, 2)
