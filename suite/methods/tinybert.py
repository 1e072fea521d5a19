"""TinyBERT (Jiao 2020): a small student imitates the teacher layer by layer, first on plain text, then on each task.

With N teacher and M student layers, student layer m answers to teacher layer g(m) = m N / M, g(0) = 0 being the
embeddings. The layer loss is the sum of MSE(A_S^m, A_T^g(m)) over m = 1..M, A the attention scores *before* the
softmax, and of MSE(H_S^m W, H_T^g(m)) over m = 0..M (section 3.1, equations 7 to 9); W is one linear map, with bias,
shared by all layers and present even where both are equally wide, as in the official code; the shipped student has
none. Four steps: general distillation (the layer loss against the pre-trained encoder, on the corpus);
augmentation (:mod:`suite.data.augment`); the layer loss against the fine-tuned teacher on augmented data; and the
cross-entropy to that teacher's answers at temperature 1, without labels (section 3.2, equation 10).

Choices. Means run over real tokens and pairs of them: the paper does not speak of padding, the official code counts
padding tokens and padded queries. The teacher is in evaluation mode; the official code leaves its dropout on. The
prediction loss is a mean over examples, where the official code also divides by the number of classes; it is taken
as a KL divergence, whose gradient is the same. The head is BERT's, as in the paper; the official class puts a
ReLU before it and no dropout. W goes on from general distillation to the task, as in the official code.
For regression the paper's last step is the squared error to the labels on the original data (``regression: labels``);
``teacher`` is the squared error to the teacher's score on augmented data. Where ``general`` is null the student
starts the task from ``start`` directly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from safetensors.torch import load_file
from torch import nn

from suite import models
from suite.documents import DECLARED, Strict
from suite.methods import finetune
from suite.models.bert import Bert
from suite.pipeline.augment import Augmentation, augmented
from suite.pipeline.cell import Cell, forward_tflop
from suite.pipeline.corpus import corpus
from suite.pipeline.general import General, Taught, export_encoder, general_stage, pretrained_teacher
from suite.pipeline.phase import Phase
from suite.pipeline.released import OrReleased, Released, released_stage
from suite.pipeline.stage import Context, Stage
from suite.pipeline.supervised import epochs, one_update, selection, task_feeds, training
from suite.protocol import Track
from suite.training.feeds import Batch
from suite.training.layers import LayerWeights, layer_loss
from suite.training.loop import Loss, Update
from suite.training.losses import soft_loss, task_loss
from suite.training.schedules import Progress
from suite.training.settings import Training
from suite.training.starts import bert_of_bert

PROJECTION = "projection.safetensors"

Size = Annotated[int, Field(ge=1, le=8192)]


class Student(Strict):
    """Sizes of the student. It has as many heads as the teacher, since attention is compared head by head."""

    layers: Annotated[Size, DECLARED]
    hidden: Annotated[Size, DECLARED]
    ffn: Annotated[Size, DECLARED]


class Parameters(Strict):
    """``start``: random weights, as in the paper, or what of the teacher fits (:func:`bert_of_bert`)."""

    student: Annotated[Student, DECLARED]
    start: Annotated[Literal["random", "teacher"], DECLARED]
    losses: Annotated[LayerWeights, DECLARED] = LayerWeights()
    general: Annotated[OrReleased[General] | None, DECLARED]
    augmentation: Annotated[Augmentation | None, DECLARED]
    intermediate: Annotated[Training, DECLARED]  # its keep has no effect: the last weights are kept
    prediction: Annotated[Training, DECLARED]
    regression: Annotated[Literal["labels", "teacher"], DECLARED]


def _config(parameters: Parameters, track: Track, outputs: int, training: Training) -> models.Config:
    sizes = {**parameters.student.model_dump(), "outputs": outputs, "dropout": training.dropout}
    return {**track.teacher.config, **sizes}


def students(parameters: Parameters, track: Track, outputs: int) -> dict[str, models.Config]:
    return {"default": _config(parameters, track, outputs, parameters.prediction)}


def plan(parameters: Parameters, cell: Cell) -> Mapping[str, Stage]:
    if cell.reference is None:
        raise ValueError("TinyBERT needs a fine-tuned teacher")
    copies = parameters.augmentation.copies if parameters.augmentation else 0
    data = augmented(cell, parameters.augmentation) if parameters.augmentation else cell.encoded
    outputs = cell.task.outputs
    common = {"track": cell.track.name, "pretrained": cell.pretrained, "task": cell.task.name}

    config = _config(parameters, cell.track, outputs, parameters.intermediate)
    lengths = np.tile(cell.lengths["train"], 1 + copies)  # at most: copies that are no new text are dropped
    general = _general(parameters, cell)
    intermediate = INTERMEDIATE.stage(
        params={
            **common,
            "config": config,
            "training": parameters.intermediate.model_dump(mode="json"),
            "start": parameters.start,
            "losses": parameters.losses.model_dump(),
        },
        inputs={"data": data, "teacher": cell.reference, **({"general": general} if general else {})},
        seed=cell.seed,
        threads=cell.threads,
        tflop=parameters.intermediate.epochs * layer_tflop(config, cell.config(), lengths, parameters.losses),
        tokens=parameters.intermediate.epochs * int(lengths.sum()),
    )

    config = students(parameters, cell.track, outputs)["default"]
    if cell.task.regression and parameters.regression == "labels":
        taught, lengths = {"data": cell.encoded}, cell.lengths["train"]
    else:
        taught = {"data": data, "logits": cell.teacher_logits_on(data, lengths)}
    prediction = PREDICTION.stage(
        params={**common, "config": config, "training": parameters.prediction.model_dump(mode="json")},
        inputs={"encoder": intermediate, **taught},
        seed=cell.seed,
        threads=cell.threads,
        tflop=3 * parameters.prediction.epochs * forward_tflop(config, lengths),
        tokens=parameters.prediction.epochs * int(lengths.sum()),
    )
    return {"default": prediction}


def _general(parameters: Parameters, cell: Cell) -> Stage | None:
    settings, losses = parameters.general, parameters.losses
    if settings is None:
        return None
    if isinstance(settings, Released):
        config = _config(parameters, cell.track, 1, parameters.intermediate)
        return released_stage(cell, settings, config)
    config = _config(parameters, cell.track, 1, settings.training)
    params = {"start": parameters.start, "losses": losses.model_dump()}
    stage = general_stage(GENERAL, cell, settings, config, params)
    once = layer_tflop(config, cell.config(outputs=1), corpus(cell.track, settings.tokens).lengths, losses)
    return replace(stage, tflop=settings.training.epochs * once)


def layer_tflop(
    student: models.Config, teacher: models.Config, lengths: np.ndarray, weights: LayerWeights
) -> float:
    """One epoch under the layer loss: three times the student's forward pass, projections and scores, and once
    the teacher's and its scores (which are computed beside the layers, so they count on top of the passes)."""
    n, layers = lengths.astype(np.float64), student["layers"]

    def scores(hidden: int) -> float:
        products = 2 * (2 * n * hidden**2) + 2 * n**2 * hidden  # queries, keys, and their product
        return float(products.sum()) * layers / 1e12 if weights.attention else 0.0

    projected = bool(weights.embedding) + layers * bool(weights.hidden)
    width = 2 * float(n.sum()) * int(student["hidden"]) * int(teacher["hidden"]) * projected / 1e12
    learnt: float = forward_tflop(student, lengths) + width + scores(student["hidden"])
    return 3 * learnt + forward_tflop(teacher, lengths) + scores(teacher["hidden"])


def build(context: Context) -> Taught:
    """Teacher, student and projection: from general distillation, where there was any, else as ``start`` says."""
    config, inputs = context.params["config"], context.inputs
    teacher: Any = models.load(inputs["teacher"]) if "teacher" in inputs else pretrained_teacher(context)
    student, projection = Bert(config, "sdpa"), nn.Linear(config["hidden"], teacher.bert.config.hidden_size)
    if "general" in inputs:
        folder = inputs["general"]
        finetune.load_encoder(student, load_file(folder / "model.safetensors"))
        if (folder / PROJECTION).is_file():  # a released encoder comes without
            projection.load_state_dict(load_file(folder / PROJECTION))
    elif context.params["start"] == "teacher":
        bert_of_bert(pretrained_teacher(context), student, projection)
    return Taught(teacher, student, projection=projection)


def layer_updates(context: Context, model: nn.Module) -> list[Update]:
    weights = LayerWeights.model_validate(context.params["losses"])

    def losses(model: nn.Module, batch: Batch, progress: Progress) -> Iterator[Loss]:
        assert isinstance(model, Taught)
        teacher: Any = model.teacher
        yield layer_loss(teacher, student, model.parts["projection"], batch, weights)

    assert isinstance(model, Taught)
    student: Any = model.student
    return one_update(training(context), nn.ModuleList([student.bert, model.parts["projection"]]), losses)


def prediction_updates(context: Context, model: nn.Module) -> list[Update]:
    def losses(model: nn.Module, batch: Batch, progress: Progress) -> Iterator[Loss]:
        logits, wanted = model(*batch.inputs), batch.extra.get("teacher")
        value = task_loss(logits, batch.labels) if wanted is None else soft_loss(logits, wanted)
        yield Loss(value, {"loss": value.detach()})

    return one_update(training(context), model, losses)


def export(context: Context, model: nn.Module) -> None:
    """The encoder, and the projection beside it for the next phase under the layer loss."""
    export_encoder(context, model)
    assert isinstance(model, Taught)
    models.save_tensors(model.parts["projection"].state_dict(), context.folder / PROJECTION)


GENERAL = Phase(
    name="tinybert-general",
    version=1,
    build=build,
    updates=layer_updates,
    feeds=task_feeds,
    length=epochs,
    export=export,
)
INTERMEDIATE = Phase(
    name="tinybert-intermediate",
    version=1,
    build=build,
    updates=layer_updates,
    feeds=task_feeds,
    length=epochs,
    export=export_encoder,
)
PREDICTION = Phase(
    name="tinybert-prediction",
    version=1,
    build=finetune.build,
    updates=prediction_updates,
    feeds=task_feeds,
    length=epochs,
    export=finetune.export,
    select=selection,
)
