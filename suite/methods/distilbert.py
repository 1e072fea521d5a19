"""DistilBERT (Sanh 2019): general distillation of the pre-trained encoder into half its layers, then fine-tuning.

Loss = w_ce T^2 KL(teacher || student) over every real token + w_mlm CE over masked tokens + w_cos (1 - cosine of
the last hidden states) + w_hidden MSE of the last hidden states (section 2 and the published distiller: 5, 2, 1, 0).
The first two need a masked-LM head on the teacher; where a track's teacher has none they must be 0 and the recipe
says so. The teacher is in evaluation mode. Tokens are masked as in the published code: about 15% of the batch's
tokens, drawn with weight count^-0.7 so that rare words are favoured, 80/10/10 mask/keep/random.

The student starts from the teacher's word and position embeddings and the layers named by ``teacher_layers``; it
has no segment embeddings and no pooler, and an encoder once distilled serves every task and seed. Where ``general``
names a released encoder, that is fine-tuned instead; ``teacher_layers`` then only says how many layers it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from suite import models
from suite.data.encode import Encoded
from suite.documents import DECLARED, Number, Strict
from suite.methods.finetune import finetuning
from suite.models import pretrained
from suite.models.bert import Bert
from suite.models.distilbert import DistilBert
from suite.pipeline.cell import Cell
from suite.pipeline.general import General, Taught, export_encoder, general_stage, pretrained_teacher
from suite.pipeline.phase import Phase
from suite.pipeline.released import OrReleased, Released, released_stage
from suite.pipeline.stage import Context, Stage
from suite.pipeline.supervised import epochs, one_update, task_feeds, training
from suite.protocol import Track, track
from suite.training.device import tensor
from suite.training.feeds import Batch
from suite.training.loop import Loss, Update
from suite.training.losses import cosine_loss, hidden_loss, soft_loss
from suite.training.masking import FIRST_WORD, Head, mask_tokens
from suite.training.schedules import Progress
from suite.training.settings import Positive, Training

SMOOTHING = 0.7
HEAD_DROPOUT = 0.2  # of the published classifier; none where the rest has none

Weight = Annotated[Number, Field(ge=0)]


class Weights(Strict):
    """Of the four losses; all zero would train nothing."""

    ce: Annotated[Weight, DECLARED]
    mlm: Annotated[Weight, DECLARED]
    cosine: Annotated[Weight, DECLARED]
    hidden: Annotated[Weight, DECLARED]


class Distilled(General):
    """Distillation on the track's corpus."""

    temperature: Annotated[Positive, DECLARED]
    weights: Annotated[Weights, DECLARED]


class Parameters(Strict):
    teacher_layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], DECLARED, Field(min_length=1)]
    general: Annotated[OrReleased[Distilled], DECLARED]
    training: Annotated[Training, DECLARED]


def _config(parameters: Parameters, track: Track, outputs: int, dropout: float) -> models.Config:
    body = track.teacher.config
    return {
        "architecture": "distilbert",
        "layers": len(parameters.teacher_layers),
        "outputs": outputs,
        "dropout": dropout,
        "head_dropout": HEAD_DROPOUT if dropout else 0.0,
        **{name: body[name] for name in ("hidden", "heads", "ffn", "vocab", "positions")},
    }


def students(parameters: Parameters, track: Track, outputs: int) -> dict[str, models.Config]:
    return {"default": _config(parameters, track, outputs, parameters.training.dropout)}


def plan(parameters: Parameters, cell: Cell) -> Mapping[str, Stage]:
    config = students(parameters, cell.track, cell.task.outputs)["default"]
    return {"default": finetuning(cell, config, parameters.training, encoder=_encoder(parameters, cell))}


def _encoder(parameters: Parameters, cell: Cell) -> Stage:
    general = parameters.general
    if isinstance(general, Released):
        return released_stage(cell, general, _config(parameters, cell.track, 1, 0.0))
    config = _config(parameters, cell.track, 1, general.training.dropout)
    params = {
        "teacher_layers": list(parameters.teacher_layers),
        "temperature": general.temperature,
        "weights": general.weights.model_dump(),
    }
    return general_stage(GENERAL, cell, general, config, params, head_flops(config, general.weights))


def head_flops(config: models.Config, weights: Weights) -> float:
    """FLOPs a token of the masked-LM heads, which score every token: the student's three times, the teacher's once
    where it is learnt from; none where neither loss has a weight."""
    if not (weights.ce or weights.mlm):
        return 0.0
    width, vocab = int(config["hidden"]), int(config["vocab"])
    return (4 if weights.ce else 3) * 2.0 * width * (width + vocab)


def start_student(student: DistilBert, teacher: Bert, teacher_layers: list[int]) -> None:
    """Copy embeddings and the chosen layers of the teacher into the student."""
    source, target = teacher.bert.embeddings, student.distilbert.embeddings
    target.word_embeddings.load_state_dict(source.word_embeddings.state_dict())
    target.position_embeddings.load_state_dict(source.position_embeddings.state_dict())
    target.LayerNorm.load_state_dict(source.LayerNorm.state_dict())
    names = {
        "attention.self.query": "attention.q_lin",
        "attention.self.key": "attention.k_lin",
        "attention.self.value": "attention.v_lin",
        "attention.output.dense": "attention.out_lin",
        "attention.output.LayerNorm": "sa_layer_norm",
        "intermediate.dense": "ffn.lin1",
        "output.dense": "ffn.lin2",
        "output.LayerNorm": "output_layer_norm",
    }
    for layer, chosen in zip(student.layers, teacher_layers, strict=True):
        for theirs, ours in names.items():
            layer.get_submodule(ours).load_state_dict(
                teacher.layers[chosen].get_submodule(theirs).state_dict()
            )


def build(context: Context) -> Taught:
    config, params = context.params["config"], context.params
    teacher = pretrained_teacher(context)
    student = DistilBert(config, "sdpa")
    start_student(student, teacher, params["teacher_layers"])
    if not (params["weights"]["ce"] or params["weights"]["mlm"]):
        return Taught(teacher, student)
    head = teacher_head(pretrained.masked_lm(track(params["track"]).teacher)).requires_grad_(False)
    # The published distiller copies the projection's bias and leaves the transform fresh.
    student_head = Head(config["hidden"], config["vocab"])
    student_head.bias.data.copy_(head.bias)
    return Taught(teacher, student, head=student_head, teacher_head=head)


def teacher_head(masked: Any) -> Head:
    """The head of a transformers ``BertForMaskedLM`` as a :class:`Head`."""
    predictions = masked.cls.predictions
    head = Head(masked.config.hidden_size, masked.config.vocab_size, masked.config.layer_norm_eps)
    head.dense.load_state_dict(predictions.transform.dense.state_dict())
    head.norm.load_state_dict(predictions.transform.LayerNorm.state_dict())
    head.bias.data.copy_(predictions.bias)
    return head


def updates(context: Context, model: nn.Module) -> list[Update]:
    weights, temperature = Weights.model_validate(context.params["weights"]), context.params["temperature"]
    counts = np.bincount(
        Encoded.load(context.inputs["data"] / "train").ids, minlength=context.params["config"]["vocab"]
    )
    rarity = tensor(np.maximum(counts, 1.0) ** -SMOOTHING).float()
    rarity[:FIRST_WORD] = 0.0

    def losses(model: nn.Module, batch: Batch, progress: Progress) -> Iterator[Loss]:
        assert isinstance(model, Taught)
        yield general_loss(model, batch, weights, temperature, rarity)

    assert isinstance(model, Taught)
    student: Any = model.student
    trained = nn.ModuleList([student.distilbert, *([model.parts["head"]] if "head" in model.parts else [])])
    return one_update(training(context), trained, losses)


def general_loss(pair: Taught, batch: Batch, weights: Weights, temperature: float, rarity: Tensor) -> Loss:
    """The weighted sum on one batch; only losses with a weight are computed."""
    teacher: Any = pair.teacher
    student: Any = pair.student
    ids, chosen = batch.ids, torch.zeros_like(batch.ids, dtype=torch.bool)
    if "head" in pair.parts:
        ids, chosen = mask_tokens(batch.ids, batch.mask, rarity)
    with torch.no_grad():
        target = teacher.states(ids, batch.mask, batch.types)[-1]
    guess = student.states(ids, batch.mask, batch.types)[-1]
    parts: dict[str, Tensor] = {}
    if weights.cosine:
        parts["cosine"] = weights.cosine * cosine_loss(guess, target, batch.mask)
    if weights.hidden:
        parts["hidden"] = weights.hidden * hidden_loss(guess, target, batch.mask)
    if "head" in pair.parts:
        real = batch.mask.bool()
        scores = pair.parts["head"](guess[real], student.distilbert.embeddings.word_embeddings.weight)
        if weights.ce:
            with torch.no_grad():
                words = teacher.bert.embeddings.word_embeddings.weight
                wanted = pair.parts["teacher_head"](target[real], words)
            parts["ce"] = weights.ce * soft_loss(scores, wanted, temperature)
        if weights.mlm:
            parts["mlm"] = weights.mlm * F.cross_entropy(scores[chosen[real]], batch.ids[chosen])
    value = torch.stack(list(parts.values())).sum()
    return Loss(value, {"loss": value.detach(), **{name: part.detach() for name, part in parts.items()}})


GENERAL = Phase(
    name="general-distillation",
    version=1,
    build=build,
    updates=updates,
    feeds=task_feeds,
    length=epochs,
    export=export_encoder,
)
