"""Every method that exists: it overfits, its distinguishing term matters, and its formulas are the papers'."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertForMaskedLM

from suite import models
from suite.data.encode import Encoded
from suite.loading import load_recipe, recipes, resolve
from suite.methods import distilbert, distillation
from suite.methods.theseus import Replacement, Theseus
from suite.models.bert import Bert
from suite.pipeline.execute import execute
from suite.pipeline.general import Taught
from suite.pipeline.matrix import cell_of, draw_of, model_stages, variants
from suite.pipeline.stage import Context, closure
from suite.pipeline.store import Store
from suite.protocol import Track, track
from suite.recipe import Recipe, Resolved
from suite.training import masking
from suite.training.feeds import Batch, logits_of
from suite.training.losses import cosine_loss, soft_loss, task_loss
from suite.training.schedules import Progress

DEMO = [recipe.name for recipe in recipes() if "demo" in recipe.tracks]


def changed(value: Any, changes: dict[str, Any]) -> Any:
    """``value`` with every mapping's keys named in ``changes`` replaced, at any depth."""
    if isinstance(value, dict):
        return {k: changed(changes.get(k, v), changes) for k, v in value.items()}
    return value


def trained(name: str, track: Track, folder: Path, **changes: Any) -> tuple[Path, Encoded]:
    """The model folder of a recipe's default variant on the tiny task, and the task's train split.

    The teacher it learns from is trained as hard as the recipe itself.
    """

    def resolved(recipe: str, **more: Any) -> Resolved:
        found = resolve(load_recipe(recipe), track.name)
        modifiers = tuple(changed(modifier, more) for modifier in found.modifiers)
        return replace(found, parameters=changed(found.parameters, more), modifiers=modifiers)

    store, data = Store(folder / "store"), draw_of(track, "sst2", f"folder:{folder}/glue")
    cell = cell_of(track, data, 11, store)
    teacher_changes = {k: v for k, v in changes.items() if k in HARD}
    (teacher,) = model_stages(resolved("reference", **teacher_changes), cell).values()
    stages = model_stages(resolved(name, **changes), replace(cell, reference=teacher))
    stage = stages[load_recipe(name).tracks[track.name].default]
    execute([stage], store)
    return store.folder(stage.key), Encoded.load(store.folder(cell.encoded.key) / "train")


HARD = {"epochs": 40, "lr": 3e-3, "keep": "last", "tokens": 2000}
# As narrow as the tiny track, where a recipe names widths of its own.
NARROW: dict[str, Any] = {"student": {"layers": 3, "hidden": 32, "ffn": 64}}


@pytest.fixture
def small(
    tiny_folder: Path, tiny_track: Track, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[Track, Path]:
    """The tiny track with 64 training examples."""
    import tiny

    from suite import protocol

    folder = tmp_path / "small"
    if not folder.exists():
        tiny.make(folder, train=72, dev=48)
        track = tiny.use(folder)
        monkeypatch.setitem(protocol.TRACKS, "demo", track)
    return protocol.TRACKS["demo"], folder


@pytest.mark.parametrize("name", [n for n in DEMO if n != "majority"])
def test_a_method_overfits_64_examples(name: str, small: tuple[Track, Path]) -> None:
    track, folder = small
    model, train = trained(name, track, folder, **HARD, **NARROW)
    assert len(train) in range(60, 69)
    right = logits_of(models.load(model), train).argmax(1) == train.labels
    assert right.mean() >= 0.95


WITHOUT = {
    "distillation": {"alpha": 0.0},
    "theseus": {"replacement": {"kind": "constant", "rate": 1.0, "until": 1.0}},
    "distilbert": {"weights": {"ce": 0, "mlm": 0, "cosine": 0, "hidden": 1}},
    "adabert": {"gamma": 0.0},
    "fastbert": {"self_distillation": False},
    "mobilebert": {"transfer": False},
    "tinybert": {"losses": {"attention": 0, "hidden": 1, "embedding": 1}},
    "joint": {"in_place": False},
    "pruned": {"heads": 0.0, "ffn": 0.0},
    "magnitude": {"sparsity": 0.0},
    "ngram": {"inverse_regularisation": [1e-6]},
}


@pytest.mark.parametrize("name", WITHOUT)
def test_the_distinguishing_term_changes_the_weights(name: str, tiny_track: Track, tiny_folder: Path) -> None:
    quick = {"epochs": 1, "tokens": 2000}
    whole, _ = trained(name, tiny_track, tiny_folder, **quick)
    without, _ = trained(name, tiny_track, tiny_folder, **quick, **WITHOUT[name])
    one, other = (load_file(f / "model.safetensors") for f in (whole, without))
    assert one.keys() != other.keys() or any(not torch.equal(one[k], other[k]) for k in one)


def test_the_majority_is_the_training_labels(tiny_track: Track, tiny_folder: Path) -> None:
    folder, train = trained("majority", tiny_track, tiny_folder)
    shares = np.bincount(train.labels) / len(train)
    logits = logits_of(models.load(folder), train)
    assert np.allclose(np.exp(logits), shares, atol=1e-6)


# --- formulas, computed by another route --------------------------------------------------------------------


def test_soft_loss_is_the_formula_row_by_row() -> None:
    generator = np.random.default_rng(0)
    student, teacher, t = generator.normal(size=(5, 3)), generator.normal(size=(5, 3)), 4.0
    total = 0.0
    for s_row, t_row in zip(student, teacher, strict=True):
        p = [math.exp(v / t) for v in t_row]
        q = [math.exp(v / t) for v in s_row]
        p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    value = soft_loss(torch.tensor(student), torch.tensor(teacher), t)
    assert t * t * total / 5 == pytest.approx(0.39321379054, rel=1e-9)
    assert float(value) == pytest.approx(t * t * total / 5, rel=1e-12)


def test_soft_loss_of_a_regression_is_the_squared_error_to_the_teacher() -> None:
    assert float(soft_loss(torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [1.0]]), 7.0)) == pytest.approx(
        2.5
    )


def test_cosine_loss_leaves_padding_out() -> None:
    student = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [5.0, 5.0]]])
    teacher = torch.tensor([[[1.0, 0.0], [0.0, -1.0]], [[1.0, -1.0], [-5.0, -5.0]]])
    mask = torch.tensor([[1, 1], [1, 0]])
    assert float(cosine_loss(student, teacher, mask)) == pytest.approx((0 + 2 + 1) / 3)


class Answers(torch.nn.Module):
    """A model that answers the same whatever it reads."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits))

    def forward(self, *inputs: Any) -> torch.Tensor:
        return self.logits


def vanilla_loss(
    student: list[list[float]], teacher: list[list[float]], labels: torch.Tensor
) -> dict[str, float]:
    """What vanilla distillation minimises at alpha 0.3 and temperature 5, and its parts."""
    params = {"alpha": 0.3, "temperature": 5.0, "training": {"epochs": 1, "lr": 1.0}}
    model = Answers(student)
    (update,) = distillation.updates(Context(Path(), {}, Path(), params, 0), model)
    one = Batch(labels, labels, labels, labels, {"teacher": torch.tensor(teacher)})
    (loss,) = update.losses(model, one, Progress(0, 1))
    assert float(loss.logs["loss"]) == float(loss.value.detach())
    return {name: float(value) for name, value in loss.logs.items()}


def test_the_loss_of_vanilla_distillation_is_the_formula() -> None:
    student, teacher, labels = (
        [[2.0, -1.0, 0.5], [-3.0, 1.0, 4.0]],
        [[4.0, 1.0, -2.0], [0.5, 3.0, -1.0]],
        [0, 1],
    )
    hard = soft = 0.0
    for s, t, label in zip(student, teacher, labels, strict=True):
        hard -= math.log(math.exp(s[label]) / sum(map(math.exp, s))) / 2
        p = [math.exp(v / 5) / sum(math.exp(w / 5) for w in t) for v in t]
        q = [math.exp(v / 5) / sum(math.exp(w / 5) for w in s) for v in s]
        soft += 25 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 2
    assert (hard, soft) == pytest.approx((1.6453834532, 3.9217110369), rel=1e-6)
    found = vanilla_loss(student, teacher, torch.tensor(labels))
    assert (found["hard"], found["soft"]) == pytest.approx((hard, soft), rel=1e-5)
    assert found["loss"] == pytest.approx(2.3282817283, rel=1e-5)  # 0.7 hard + 0.3 soft


def test_the_loss_of_vanilla_distillation_for_a_regression_is_two_squared_errors() -> None:
    found = vanilla_loss([[1.0], [4.0]], [[2.0], [2.0]], torch.tensor([1.5, 1.0]))
    assert (found["hard"], found["soft"]) == pytest.approx(((0.25 + 9) / 2, (1 + 4) / 2))
    assert found["loss"] == pytest.approx(0.7 * 4.625 + 0.3 * 2.5)


def test_task_loss_tells_classes_from_numbers() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    expected = -(math.log(math.e**2 / (math.e**2 + 1)) + math.log(math.e / (math.e + 1))) / 2
    assert expected == pytest.approx(0.22009485, rel=1e-6)
    assert float(task_loss(logits, torch.tensor([0, 1]))) == pytest.approx(expected, rel=1e-6)
    assert float(task_loss(torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, 4.0]))) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("kind", "step", "expected"),
    [
        ("linear", 0, 0.3),
        ("linear", 30, 0.65),
        ("linear", 60, 1.0),
        ("linear", 99, 1.0),
        ("constant", 0, 0.3),
        ("constant", 59, 0.3),
        ("constant", 60, 1.0),
    ],
)
def test_replacement_rates(kind: Any, step: int, expected: float) -> None:
    replacement = Replacement(kind=kind, rate=0.3, until=0.6)
    assert replacement.probability(Progress(step, 100)) == pytest.approx(expected)


CONFIG = {
    "architecture": "bert",
    "layers": 6,
    "hidden": 16,
    "heads": 2,
    "ffn": 32,
    "vocab": 50,
    "positions": 16,
    "types": 2,
    "outputs": 2,
    "layer_norm_eps": 1e-12,
}


def bert(**changes: Any) -> Bert:
    torch.manual_seed(3)
    return Bert({**CONFIG, **changes}, "sdpa").eval()


def batch(length: int = 7) -> Batch:
    torch.manual_seed(4)
    ids = torch.randint(5, 50, (3, length))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    return Batch(ids, mask, torch.zeros_like(ids), torch.tensor([0, 1, 0]), {})


def test_theseus_starts_from_the_first_layers_and_replaces_pairs() -> None:
    torch.manual_seed(5)
    model, inputs = Theseus(bert(dropout=0.0), 3), batch().inputs
    original = bert(dropout=0.0)
    for i, layer in enumerate(model.successor):
        for mine, theirs in zip(layer.parameters(), original.layers[i].parameters(), strict=True):
            assert torch.equal(mine, theirs)
    model.train()
    model.rate = 1e-9  # no replacement: the predecessor's own answer
    assert torch.allclose(model(*inputs), original(*inputs), atol=1e-6)
    model.rate = 1.0
    replaced = model(*inputs)
    model.eval()
    assert torch.allclose(model(*inputs), replaced, atol=1e-6)
    assert not torch.allclose(replaced, original(*inputs), atol=1e-4)
    assert [n for n, p in model.named_parameters() if p.requires_grad] == [
        n for n, _ in model.named_parameters() if n.startswith("successor.")
    ]


def test_theseus_refuses_depths_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="6 predecessor layers"):
        Theseus(bert(), 4)


def test_a_copied_student_layer_computes_what_the_teachers_does() -> None:
    teacher = bert(dropout=0.0)
    config = {**CONFIG, "architecture": "distilbert", "layers": 2, "dropout": 0.0}
    student = models.build(config)
    distilbert.start_student(student, teacher, [0, 5])  # type: ignore[arg-type]
    hidden, mask = teacher.embed(*batch().inputs)
    with torch.no_grad():
        for ours, theirs in zip(student.layers, (0, 5), strict=True):  # type: ignore[call-overload]
            assert torch.allclose(ours(hidden, mask), teacher.layers[theirs](hidden, mask), atol=1e-5)


def test_masking_takes_the_share_and_favours_rare_words() -> None:
    torch.manual_seed(0)
    vocab = 2000
    ids = torch.full((64, 50), 1500)
    ids[:, ::10] = 1600  # one in ten is rare
    ids[:, 0] = 101
    rarity = torch.zeros(vocab)
    rarity[1500], rarity[1600] = 4000.0**-0.7, 320.0**-0.7
    mask = torch.ones_like(ids)
    masked, chosen = masking.mask_tokens(ids, mask, rarity)
    assert int(chosen.sum()) == math.ceil(0.15 * ids.numel())
    assert not chosen[:, 0].any()
    rare = (ids == 1600) & (torch.arange(50) > 0)
    assert chosen[rare].float().mean() > 2 * chosen[ids == 1500].float().mean()
    fate = masked[chosen]
    assert 0.7 < float((fate == masking.MASK).float().mean()) < 0.9
    assert torch.equal(masked[~chosen], ids[~chosen])


def test_the_full_distilbert_loss_on_a_random_masked_lm() -> None:
    """All four terms against formulas over loops, with a teacher that has a masked-LM head."""
    torch.manual_seed(1)
    vocab = 1200
    details = BertConfig(
        vocab_size=vocab, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    masked_lm = BertForMaskedLM(details).eval()
    with torch.no_grad():  # drawn here, so that no other version of transformers draws otherwise
        torch.manual_seed(1)
        for _, parameter in sorted(masked_lm.named_parameters()):
            parameter.normal_(std=0.2)
    teacher = bert(vocab=vocab, layers=2, dropout=0.0)
    body = {f"bert.{k}": v for k, v in masked_lm.bert.state_dict().items()}
    teacher.load_state_dict({**teacher.state_dict(), **body})
    student = models.build(
        {**CONFIG, "architecture": "distilbert", "layers": 1, "vocab": vocab, "dropout": 0.0}
    )
    head = distilbert.teacher_head(masked_lm)
    student_head = masking.Head(16, vocab)
    pair = Taught(teacher, student, head=student_head, teacher_head=head)  # type: ignore[arg-type]
    one = batch()
    one = one._replace(ids=one.ids + 1000)
    rarity = torch.ones(vocab)
    rarity[:999] = 0
    weights = distilbert.Weights(ce=5, mlm=2, cosine=1, hidden=0.5)
    torch.manual_seed(9)
    loss = distilbert.general_loss(pair.eval(), one, weights, 2.0, rarity)

    torch.manual_seed(9)
    ids, chosen = masking.mask_tokens(one.ids, one.mask, rarity)
    with torch.no_grad():
        # The head as transformers computes it: another route to the teacher's scores.
        wanted = masked_lm(input_ids=ids, attention_mask=one.mask, token_type_ids=one.types).logits.double()
        target = teacher.states(ids, one.mask, one.types)[-1].double()
        guess = student.states(ids, one.mask, one.types)[-1]  # type: ignore[operator]
        scores = student_head(guess, student.distilbert.embeddings.word_embeddings.weight).double()  # type: ignore[union-attr, arg-type]
        guess = guess.double()
    ce, mlm, cosine, hidden = [], [], [], []
    for b in range(ids.shape[0]):
        for i in range(ids.shape[1]):
            if not one.mask[b, i]:
                continue
            p, q = (wanted[b, i] / 2).softmax(-1), (scores[b, i] / 2).softmax(-1)
            ce.append(4 * float((p * (p.log() - q.log())).sum()))
            if chosen[b, i]:
                mlm.append(-float(scores[b, i].log_softmax(-1)[one.ids[b, i]]))
            u, v = guess[b, i].numpy(), target[b, i].numpy()
            cosine.append(1 - u @ v / np.linalg.norm(u) / np.linalg.norm(v))
            hidden.append(((u - v) ** 2).mean())
    expected = 5 * np.mean(ce) + 2 * np.mean(mlm) + np.mean(cosine) + 0.5 * np.mean(hidden)
    assert expected == pytest.approx(15.7398, rel=1e-4)
    assert float(loss.value.detach()) == pytest.approx(expected, rel=1e-4)
    assert set(loss.logs) == {"loss", "ce", "mlm", "cosine", "hidden"}


@pytest.mark.parametrize(("ce", "mlm"), [(5, 2), (5, 0), (0, 2), (0, 0)])
def test_the_heads_of_general_distillation_are_counted(ce: float, mlm: float) -> None:
    """As torch counts a step with them beyond one without."""
    from torch.utils.flop_counter import FlopCounterMode

    config = {**CONFIG, "architecture": "distilbert", "layers": 1, "vocab": 1200, "dropout": 0.0}
    teacher = Bert({**CONFIG, "layers": 1, "vocab": 1200, "outputs": 1}, "eager")
    bare = Taught(teacher, models.build(config, attention="eager"))
    heads = {name: masking.Head(config["hidden"], 1200) for name in ("head", "teacher_head")}
    heads["teacher_head"].requires_grad_(False)
    ids = torch.randint(1000, 1200, (2, 8))
    one = Batch(ids, torch.ones_like(ids), torch.zeros_like(ids), torch.zeros(2), {})
    rarity = torch.ones(1200)
    rarity[: masking.FIRST_WORD] = 0

    def flops(pair: Taught, weights: distilbert.Weights) -> int:
        with FlopCounterMode(display=False) as counter:
            distilbert.general_loss(pair, one, weights, 2.0, rarity).value.backward()  # type: ignore[no-untyped-call]
        return counter.get_total_flops()

    weights = distilbert.Weights(ce=ce, mlm=mlm, cosine=1, hidden=0)
    pair = Taught(teacher, bare.student, **heads) if ce or mlm else bare
    without = flops(bare, distilbert.Weights(ce=0, mlm=0, cosine=1, hidden=0))
    assert flops(pair, weights) - without == distilbert.head_flops(config, weights) * ids.numel()


def test_a_plan_counts_the_heads(tiny_track: Track, tiny_folder: Path) -> None:
    from suite.pipeline.corpus import corpus

    track = replace(tiny_track, general=replace(tiny_track.general, masked_lm_head=True))
    cell = cell_of(track, draw_of(track, "sst2", f"folder:{tiny_folder}/glue"), 11, Store())
    resolved = resolve("distilbert", "demo")

    def general(**weights: float) -> Any:
        changed = {**resolved.parameters["general"], "weights": weights}
        parameters = distilbert.Parameters.model_validate({**resolved.parameters, "general": changed})
        return distilbert.plan(parameters, cell)["default"].inputs["encoder"]

    with_heads, without = general(ce=5, mlm=2, cosine=1, hidden=0), general(ce=0, mlm=0, cosine=1, hidden=0)
    h, v = cell.config()["hidden"], cell.config()["vocab"]
    tokens = corpus(track, resolved.parameters["general"]["tokens"]).lengths.sum()
    epochs = resolved.parameters["general"]["training"]["epochs"]
    assert with_heads.tflop - without.tflop == pytest.approx(epochs * 4 * 2 * h * (h + v) * tokens / 1e12)


def test_general_distillation_beyond_the_tracks_bound_is_for_the_open_division(
    tiny_track: Track, tiny_folder: Path
) -> None:
    from suite.errors import UserError
    from suite.pipeline.matrix import jobs_of

    track = replace(tiny_track, general=replace(tiny_track.general, max_tflop=1e-6))
    cell = cell_of(track, draw_of(track, "sst2", f"folder:{tiny_folder}/glue"), 11, Store())
    resolved = resolve("distilbert", "demo")
    with pytest.raises(UserError, match=r"track demo allows 1e-06; .* division: open") as caught:
        list(jobs_of([resolved], cell, Store()))
    assert "\n" not in str(caught.value)
    free = replace(resolved, recipe=resolved.recipe.model_copy(update={"division": "open"}))
    (job,) = jobs_of([free], cell, Store())
    assert job.variant == "default"
    # What is learnt from the teacher is not general, however dear its training was.
    assert [one.variant for one in jobs_of([resolve("distillation", "demo")], cell, Store())]


def test_the_teacher_stays_in_evaluation_mode_while_distilling() -> None:
    pair = Taught(bert(), models.build({**CONFIG, "architecture": "distilbert"}))  # type: ignore[arg-type]
    pair.train()
    assert not pair.teacher.training and pair.student.training


def test_finetuned_models_have_the_names_that_transformers_expects() -> None:
    from transformers import BertForSequenceClassification, DistilBertForSequenceClassification

    mine = set(bert().state_dict())
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=6, num_attention_heads=2, intermediate_size=32
    )
    assert mine == set(BertForSequenceClassification(config).state_dict())
    from transformers import DistilBertConfig

    small = models.build({**CONFIG, "architecture": "distilbert", "layers": 1})
    theirs = DistilBertForSequenceClassification(
        DistilBertConfig(vocab_size=50, dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    )
    assert set(small.state_dict()) == set(theirs.state_dict())


def test_the_same_logits_as_transformers_with_padding() -> None:
    from transformers import BertForSequenceClassification

    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=6, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    theirs, ours, one = BertForSequenceClassification(config).eval(), bert(), batch()
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        wanted = theirs(input_ids=one.ids, attention_mask=one.mask, token_type_ids=one.types).logits
        assert torch.allclose(ours(*one.inputs), wanted, atol=1e-6)


UNREGULARISED = [(r, name) for r in recipes() if r.name.endswith("-unregularised") for name in r.tracks]
EARLIER = ("general", "pretraining")  # phases before any task, which no text speaks of
WITHOUT_EFFECT = {("fastbert", "distillation.dropout")}  # parameters that nothing reads
NONE_TO_LEAVE_OUT = {("fastbert-unregularised", "base"): "weight_decay"}  # and the text says so


def regularisers(value: Any, place: str = "") -> dict[str, float]:
    """Every ``dropout`` and ``weight_decay`` of a recipe's parameters, by its place."""
    found: dict[str, float] = {}
    for key, inner in value.items() if isinstance(value, dict) else ():
        at = f"{place}.{key}".removeprefix(".")
        found |= {at: inner} if key in ("dropout", "weight_decay") else regularisers(inner, at)
    return found


@pytest.mark.parametrize(
    ("recipe", "name"),
    [pytest.param(recipe, name, id=f"{recipe.name}-{name}") for recipe, name in UNREGULARISED],
)
def test_what_is_called_unregularised_leaves_out_what_its_text_names(recipe: Recipe, name: str) -> None:
    resolved = resolve(recipe, name)
    for config in variants(resolved, track(name), 2).values():
        assert {key: value for key, value in config.items() if "dropout" in key and value} == {}

    own = regularisers(resolved.parameters)
    parent = regularisers(resolve(str(recipe.extends), name).parameters)
    left = {place for place, value in own.items() if value and place.split(".")[0] not in EARLIER}
    assert left <= {place for method, place in WITHOUT_EFFECT if method == recipe.method}
    differs = {place.split(".")[-1] for place in own if own[place] != parent[place]}
    text = str(recipe.ablation)
    named = {key for key in ("dropout", "weight_decay") if key.replace("_", " ") in text}
    none = NONE_TO_LEAVE_OUT.get((recipe.name, name))
    assert none is None or f"on {name} there is none" in text
    assert differs == named - {none}


@pytest.mark.parametrize("name", ["base", "mini"])
def test_theseus_at_a_constant_rate_is_one_training_ranked_and_as_an_ablation(name: str) -> None:
    """Stage keys follow from method and parameters, so what was trained for the one is found for the other."""
    ranked, ablation = resolve("theseus-constant", name), resolve("theseus-constant-rate", name)
    assert ranked.recipe.ablation is None and ablation.settings["ablation_of"] == "theseus"
    assert (ranked.recipe.method, ranked.parameters) == (ablation.recipe.method, ablation.parameters)
    assert ranked.parameters != resolve("theseus", name).parameters


def test_an_ablation_of_fine_tuning_starts_from_the_same_distilled_encoder(
    tiny_track: Track, tiny_folder: Path, tmp_path: Path
) -> None:
    whole = resolve("distilbert", "demo")
    training = {**whole.parameters["training"], "dropout": 0.0}
    without = replace(whole, parameters={**whole.parameters, "training": training})
    cell = cell_of(tiny_track, draw_of(tiny_track, "sst2", f"folder:{tiny_folder}/glue"), 11, Store(tmp_path))
    keys = [
        {stage.name: stage.key for stage in closure([model_stages(one, cell)["default"]])}
        for one in (whole, without)
    ]
    assert keys[0]["general-distillation"] == keys[1]["general-distillation"]
    assert keys[0]["finetune"] != keys[1]["finetune"]
