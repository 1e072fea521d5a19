"""Fine-tuning of the pre-trained encoder, whole (the reference) or cut after its first layers (truncation).

Truncation keeps the embeddings, the first k layers and the pooler of the *pre-trained* checkpoint and fine-tunes
them (the "FT" rows of Sun 2019, section 4.3): the plainest way to a shallower BERT.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from safetensors.torch import load_file
from torch import nn

from suite import models
from suite.documents import DECLARED, Strict
from suite.models.pretrained import encoder_weights
from suite.pipeline.cell import Cell
from suite.pipeline.phase import Phase
from suite.pipeline.stage import Context, Stage
from suite.pipeline.supervised import epochs, selection, supervised_updates, task_feeds
from suite.protocol import Track, track
from suite.training.settings import Training


class Parameters(Strict):
    """One variant for each number of layers kept."""

    layers: Annotated[tuple[Annotated[int, Field(ge=1, le=48)], ...], DECLARED, Field(min_length=1)]
    training: Annotated[Training, DECLARED]


def _variant(parameters: Parameters, layers: int) -> str:
    return "default" if len(parameters.layers) == 1 else f"{layers}-layers"


def students(parameters: Parameters, track: Track, outputs: int) -> dict[str, models.Config]:
    base = {**track.teacher.config, "outputs": outputs, "dropout": parameters.training.dropout}
    return {_variant(parameters, k): {**base, "layers": k} for k in parameters.layers}


def plan(parameters: Parameters, cell: Cell) -> Mapping[str, Stage]:
    return {
        variant: finetuning(cell, config, parameters.training)
        for variant, config in students(parameters, cell.track, cell.task.outputs).items()
    }


def finetuning(cell: Cell, config: models.Config, training: Training, **inputs: Stage) -> Stage:
    """Supervised fine-tuning of ``config``, started from the pre-trained encoder or from an ``encoder`` input."""
    return PHASE.stage(
        params={
            "task": cell.task.name,
            "config": config,
            "training": training.model_dump(mode="json"),
            "track": cell.track.name,
            "pretrained": cell.pretrained,
        },
        inputs={"data": cell.encoded, **inputs},
        seed=cell.seed,
        threads=cell.threads,
        tflop=3 * training.epochs * cell.forward(config),  # backward costs two forwards
        tokens=training.epochs * cell.train_tokens,
    )


def build(context: Context) -> nn.Module:
    """The model of ``config`` with as many layers of the encoder as it has; the head is fresh."""
    config = context.params["config"]
    model = models.build(config)
    if "encoder" in context.inputs:
        weights = load_file(context.inputs["encoder"] / "model.safetensors")
    else:
        weights = encoder_weights(track(context.params["track"]).teacher, config["layers"])
    load_encoder(model, weights)
    return model


def load_encoder(model: nn.Module, weights: Mapping[str, Any]) -> None:
    """Load ``weights`` and leave nothing but heads (``classifier``, or what the model calls so) as they were."""
    missing, unexpected = model.load_state_dict(weights, strict=False)
    heads = getattr(model, "heads", ("classifier.", "pre_classifier."))
    fresh = [name for name in missing if not name.startswith(heads)]
    if fresh or unexpected:
        raise ValueError(f"encoder weights do not fit: missing {fresh[:3]}, unexpected {unexpected[:3]}")
    for table in model.modules():  # a released one may hold anything where padding must say nothing
        if isinstance(table, nn.Embedding) and table.padding_idx is not None:
            table.weight.data[table.padding_idx] = 0.0


def export(context: Context, model: nn.Module) -> None:
    models.save(model, context.params["config"], context.folder)


PHASE = Phase(
    name="finetune",
    version=1,
    build=build,
    updates=supervised_updates,
    feeds=task_feeds,
    length=epochs,
    export=export,
    select=selection,
)
