"""MobileBERT (Sun 2020): a thin, deep student learns one block at a time from a teacher of equal depth and width.

1. *Start*: embeddings are the teacher's. A BERT's table is reduced to its first principal components, which the
   middle third of the trigram projection maps back; the other thirds are zero. Where the student has no layer norm,
   its scale and shift are the least-squares fit, per feature, to what the teacher's embedding norm does.
2. *Progressive knowledge transfer* (section 3.5): in block l's turn only its losses count: squared error of the
   states after a norm without parameters, of their means and absolute error of their variances, and KL of the
   attention distributions, head by head. Only blocks up to l are computed; embeddings do not move; no dropout.
3. *Pre-training distillation*, where the teacher scores words: cross-entropy on masked tokens to a blend of the word
   and the teacher's distribution. Next-sentence prediction is left out: the corpus has no pairs.
4. Plain fine-tuning, without distillation.

Paper before code: means and variances are compared with the teacher's layer l (the published code broadcasts over
its whole list of layers); the teacher's logits have no temperature (the code's multiplies a hidden state). From
the code: factors 100, 5000, 5 and 1, each divided by the number of blocks, and the learning rates of the blocks.
The optimiser is AdamW with the same rates per block, not LAMB. Where ``general`` names a released encoder, that is
fine-tuned instead, and neither knowledge transfer nor a teacher of it is needed.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from safetensors.torch import load_file

from suite import models
from suite.canonical import digest_file
from suite.documents import DECLARED, Strict
from suite.errors import UserError
from suite.methods.finetune import finetuning, load_encoder
from suite.models.bert import Bert
from suite.models.mobilebert import MobileBert, WordHead
from suite.pipeline.cell import Cell
from suite.pipeline.corpus import corpus
from suite.pipeline.general import Taught, export_encoder, general_stage, pretrained_teacher
from suite.pipeline.phase import Phase
from suite.pipeline.pretraining import Pretraining, pretraining_tflop, pretraining_updates
from suite.pipeline.released import OrReleased, Released, released_stage
from suite.pipeline.stage import Context, Stage
from suite.pipeline.supervised import epochs, task_feeds
from suite.pipeline.transfer import Transferring, transfer_tflop, transfer_updates
from suite.protocol import Track
from suite.training.loop import fold
from suite.training.settings import Training
from suite.training.starts import embeddings_of_bert, embeddings_of_mobilebert

INVERTED = (
    "LIGHTBOARD_IB_BERT"  # a model folder: config.json, and weights with or without their masked-LM head
)

Count = Annotated[int, Field(ge=1, le=65536)]


class Sizes(Strict):
    """Of the student; None: as its teacher. Names as in :mod:`suite.models.mobilebert`."""

    layers: Annotated[Count | None, DECLARED] = None
    hidden: Annotated[Count | None, DECLARED] = None
    heads: Annotated[Count | None, DECLARED] = None
    inner: Annotated[Count, DECLARED]
    ffn: Annotated[Count, DECLARED]
    feedforwards: Annotated[Count, DECLARED]
    embedding: Annotated[Count, DECLARED] = 128  # at most the width of the table it is reduced from
    attends: Annotated[Literal["shared", "inside"], DECLARED] = "shared"


class Parameters(Strict):
    """``transfer: false`` leaves knowledge transfer out; ``pretraining: null`` the distillation after it."""

    teacher: Annotated[Literal["track", "inverted-bottleneck"], DECLARED] = "track"
    sizes: Annotated[Sizes, DECLARED]
    norm: Annotated[Literal["nonorm", "layernorm"], DECLARED] = "nonorm"
    activation: Annotated[Literal["relu", "gelu"], DECLARED] = "relu"
    transfer: Annotated[bool, DECLARED] = True
    general: Annotated[OrReleased[Transferring], DECLARED]
    pretraining: Annotated[Pretraining | None, DECLARED] = None
    training: Annotated[Training, DECLARED]


def _config(parameters: Parameters, track: Track, outputs: int, dropout: float) -> models.Config:
    body, sizes = track.teacher.config, parameters.sizes.model_dump()
    if parameters.teacher == "track":
        sizes["embedding"] = min(sizes["embedding"], body["hidden"])
    for name in ("layers", "hidden", "heads"):
        sizes[name] = sizes[name] or body[name]
    return {
        "architecture": "mobilebert",
        **sizes,
        "norm": parameters.norm,
        "activation": parameters.activation,
        "pooler": False,
        "outputs": outputs,
        "dropout": 0.0,  # of hidden states: none, as in the published configuration
        "attention_dropout": dropout,
        "head_dropout": dropout,
        **{name: body[name] for name in ("vocab", "positions", "types", "layer_norm_eps")},
    }


def students(parameters: Parameters, track: Track, outputs: int) -> dict[str, models.Config]:
    return {"default": _config(parameters, track, outputs, parameters.training.dropout)}


def plan(parameters: Parameters, cell: Cell) -> Mapping[str, Stage]:
    if isinstance(parameters.general, Released):
        encoder = released_stage(cell, parameters.general, _config(parameters, cell.track, 1, 0.0))
    else:
        encoder = _taught(parameters, parameters.general, cell)
    student = students(parameters, cell.track, cell.task.outputs)["default"]
    return {"default": finetuning(cell, student, parameters.training, encoder=encoder)}


def _taught(parameters: Parameters, general: Transferring, cell: Cell) -> Stage:
    """The encoder that has learnt from its teacher on plain text."""
    config = _config(parameters, cell.track, 1, 0.0)
    teacher, weights = _teacher(parameters, cell.track)
    for name in ("layers", "hidden", "heads"):
        if config[name] != teacher[name]:
            raise UserError(f"mobilebert: the student has {config[name]} {name}, its teacher {teacher[name]}")
    shared = {"teacher": {"config": teacher, "weights": weights}}
    encoder = cell.stage(
        "mobilebert-start",
        1,
        start,
        params={"config": config, "track": cell.track.name, "pretrained": cell.pretrained, **shared},
        seed=cell.track.general.seed,
        shared=True,
    )
    if parameters.transfer:
        parts = {"weights": general.weights.model_dump()}
        stage = general_stage(TRANSFER, cell, general, config, {**shared, **parts})
        steps = -(-len(corpus(cell.track, general.tokens).lengths) // general.training.batch)
        if steps * general.training.epochs < config["layers"]:
            raise UserError(f"mobilebert: {general.tokens} tokens are too few for a step of each block")
        encoder = _behind(stage, encoder, transfer_tflop(config, teacher, cell, general))
    if parameters.pretraining is not None:
        config = {**config, "attention_dropout": parameters.pretraining.training.dropout}
        blend = {"blend": parameters.pretraining.blend}
        stage = general_stage(PRETRAINING, cell, parameters.pretraining, config, {**shared, **blend})
        encoder = _behind(stage, encoder, pretraining_tflop(config, teacher, cell, parameters.pretraining))
    return encoder


def _behind(stage: Stage, encoder: Stage, tflop: float) -> Stage:
    """The stage started from ``encoder``, with its own arithmetic."""
    return replace(stage, inputs={**stage.inputs, "encoder": encoder}, tflop=tflop)


def _inverted(weights: str = "") -> Path:
    """The folder of the inverted-bottleneck teacher; with ``weights``, only if that is its digest."""
    named = os.environ.get(INVERTED)
    if not named or not (Path(named) / "model.safetensors").is_file():
        raise UserError(
            f"mobilebert: its teacher is an inverted-bottleneck BERT, which nobody has released; set {INVERTED} to a "
            "model folder that holds one, or name the released student in a recipe of yours: general: "
            "{hub: google/mobilebert-uncased, revision: COMMIT}"
        )
    if weights and digest_file(Path(named) / "model.safetensors") != weights:
        raise UserError(f"mobilebert: the weights in {INVERTED}={named} are not those that were planned with")
    return Path(named)


def _teacher(parameters: Parameters, track: Track) -> tuple[models.Config, str]:
    """Configuration, and the digest of weights that the track does not pin."""
    if parameters.teacher == "track":
        return {**track.teacher.config, "outputs": 1}, ""
    folder = _inverted()
    return models.read_config(folder), digest_file(folder / "model.safetensors")


def load_teacher(context: Context) -> Bert | MobileBert:
    given = context.params["teacher"]
    if not given["weights"]:
        return pretrained_teacher(context)
    teacher = MobileBert(given["config"], "sdpa").eval()
    found = load_file(_inverted(given["weights"]) / "model.safetensors")
    body = {name: tensor for name, tensor in found.items() if name.startswith("mobilebert.")}
    teacher.mobilebert.load_state_dict({name.partition(".")[2]: tensor for name, tensor in body.items()})
    return teacher


def start(context: Context) -> None:
    torch.manual_seed(fold(context.seed, "mobilebert-start"))
    student = MobileBert(context.params["config"], "sdpa").eval()
    teacher = load_teacher(context).eval()
    if isinstance(teacher, Bert):
        embeddings_of_bert(student, teacher)
    else:
        embeddings_of_mobilebert(student, teacher)
    export_encoder(context, Taught(teacher, student))


def build(context: Context) -> Taught:
    student = MobileBert(context.params["config"], "sdpa")
    load_encoder(student, load_file(context.inputs["encoder"] / "model.safetensors"))
    return Taught(load_teacher(context), student)


def build_pretraining(context: Context) -> Taught:
    """With both heads; the student's starts as a copy of the teacher's (their output matrices are of one shape)."""
    pair, given = build(context), context.params["teacher"]
    assert isinstance(pair.teacher, MobileBert)
    head = WordHead(given["config"])
    head.load_weights(load_file(_inverted(given["weights"]) / "model.safetensors"))
    return Taught(
        pair.teacher, pair.student, head=copy.deepcopy(head), teacher_head=head.requires_grad_(False)
    )


TRANSFER = Phase(
    name="knowledge-transfer",
    version=1,
    build=build,
    updates=transfer_updates,
    feeds=task_feeds,
    length=epochs,
    export=export_encoder,
)
PRETRAINING = Phase(
    name="pretraining-distillation",
    version=1,
    build=build_pretraining,
    updates=pretraining_updates,
    feeds=task_feeds,
    length=epochs,
    export=export_encoder,
)
