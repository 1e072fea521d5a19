"""FastBERT (Liu 2020): a classifier after every layer, taught by the last one, and examples that leave when sure.

Stage 1 fine-tunes the backbone and the last classifier on labels (section 3.2.2). Stage 2 freezes both and trains
the other classifiers, the branches, without labels: the sum over branches of the divergence between a branch's
distribution and the last classifier's (section 3.2.3). Plain stages then find, on the selection
split, the threshold at which the mean number of layers run is nearest to each one the recipe asks for; every such
speed is a variant, all with the same weights. The variant ``full`` is stage 1's own model.

The paper prints KL(branch || teacher); the official code computes KL(teacher || branch). Recipes say which, and
follow the paper. Where the code does otherwise than one would expect: its distillation runs under the schedule of
stage 1, and so at learning rate 0 for its last epochs, here stage 2 has a schedule over its own steps; its teacher
has dropout on, here it has none and runs once a batch without gradients; its weight decay has no effect, so recipes
for the paper's scale set none; its optimiser does not correct Adam's bias, ours does. The last weights of stage 2
are kept, as in the code. For regression the divergence is the squared error to the last classifier's score.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite import models
from suite.documents import DECLARED, Strict
from suite.methods.finetune import export
from suite.models.fastbert import FastBert
from suite.models.pretrained import encoder_weights
from suite.pipeline.cell import Cell
from suite.pipeline.exits import at_mean_layers
from suite.pipeline.general import Taught
from suite.pipeline.phase import Phase
from suite.pipeline.stage import Context, Stage
from suite.pipeline.supervised import (
    epochs,
    one_update,
    selection,
    supervised_updates,
    task_feeds,
    training,
)
from suite.protocol import Track, track
from suite.training.feeds import Batch
from suite.training.loop import Loss, Update
from suite.training.losses import soft_loss, task_loss
from suite.training.schedules import Progress
from suite.training.settings import Training


class Parameters(Strict):
    classifier: Annotated[Annotated[int, Field(ge=2, multiple_of=2)], DECLARED]  # width c of every classifier
    mean_layers: Annotated[tuple[Annotated[int, Field(ge=1, le=47)], ...], DECLARED, Field(min_length=1)]
    self_distillation: Annotated[bool, DECLARED] = True  # or each branch learns the labels: an ablation
    divergence: Annotated[Literal["branch-teacher", "teacher-branch"], DECLARED] = "branch-teacher"
    training: Annotated[Training, DECLARED]
    distillation: Annotated[
        Training, DECLARED
    ]  # of the branches; its ``keep`` and ``dropout`` have no effect


def _variant(mean_layers: int) -> str:
    return f"layers-{mean_layers}"


def _config(parameters: Parameters, track: Track, outputs: int, *, branches: bool) -> models.Config:
    """Speed 0: nobody leaves. The thresholds are found after training."""
    return {
        **track.teacher.config,
        "architecture": "fastbert",
        "outputs": outputs,
        "classifier": parameters.classifier,
        "branches": branches,
        "speed": 0.0,
        "dropout": parameters.training.dropout,
    }


def students(parameters: Parameters, track: Track, outputs: int) -> dict[str, models.Config]:
    whole = _config(parameters, track, outputs, branches=True)
    return {
        "full": _config(parameters, track, outputs, branches=False),
        **{_variant(layers): whole for layers in parameters.mean_layers},
    }


def plan(parameters: Parameters, cell: Cell) -> Mapping[str, Stage]:
    outputs = cell.task.outputs
    full = _config(parameters, cell.track, outputs, branches=False)
    whole = _config(parameters, cell.track, outputs, branches=True)
    shared = {"seed": cell.seed, "threads": cell.threads}
    backbone = BACKBONE.stage(
        params={
            "task": cell.task.name,
            "config": full,
            "training": parameters.training.model_dump(mode="json"),
            "track": cell.track.name,
            "pretrained": cell.pretrained,
        },
        inputs={"data": cell.encoded},
        tflop=3 * parameters.training.epochs * cell.forward(full),  # backward costs two forwards
        tokens=parameters.training.epochs * cell.train_tokens,
        **shared,
    )
    rounds = parameters.distillation.epochs
    branches = BRANCHES.stage(
        params={
            "task": cell.task.name,
            "config": whole,
            "training": parameters.distillation.model_dump(mode="json"),
            "self_distillation": parameters.self_distillation,
            "divergence": parameters.divergence,
        },
        inputs={"data": cell.encoded, "backbone": backbone},
        tflop=rounds * _round_tflop(cell, full, whole),
        tokens=rounds * cell.train_tokens,
        **shared,
    )
    speeds = at_mean_layers(cell, branches, whole, parameters.mean_layers)
    return {"full": backbone, **{_variant(layers): stage for layers, stage in speeds.items()}}


def _round_tflop(cell: Cell, full: models.Config, whole: models.Config) -> float:
    """An epoch of stage 2: the frozen model forward, the branches forward and back, no gradient to their inputs."""
    frozen, branches = cell.forward(full), cell.forward(whole) - cell.forward(full)
    entrances = (int(full["layers"]) - 1) * int(full["hidden"]) * int(full["classifier"])
    inputs = 2 * entrances * cell.train_tokens / 1e12
    return frozen + 3 * branches - inputs


# --- stage 1 ------------------------------------------------------------------------------------------------


def build_backbone(context: Context) -> nn.Module:
    """The pre-trained encoder under a fresh classifier; FastBERT has no pooler."""
    config = context.params["config"]
    model = models.build(config)
    weights = encoder_weights(track(context.params["track"]).teacher, config["layers"])
    _load(model, {_renamed(name): tensor for name, tensor in weights.items() if ".pooler." not in name})
    return model


def _renamed(name: str) -> str:
    """``bert.encoder.layer.3.output.dense.bias`` -> ``blocks.3.layer.output.dense.bias``"""
    return re.sub(r"^encoder\.layer\.(\d+)\.", r"blocks.\1.layer.", name.removeprefix("bert."))


def _load(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load ``weights`` and leave nothing but classifiers as they are."""
    missing, unexpected = model.load_state_dict(weights, strict=False)
    fresh = [name for name in missing if ".classifier." not in name]
    if fresh or unexpected:
        raise ValueError(f"weights do not fit: missing {fresh[:3]}, unexpected {unexpected[:3]}")


BACKBONE = Phase(
    name="fastbert-backbone",
    version=1,
    build=build_backbone,
    updates=supervised_updates,
    feeds=task_feeds,
    length=epochs,
    export=export,
    select=selection,
)


# --- stage 2 ------------------------------------------------------------------------------------------------


def build_branches(context: Context) -> Taught:
    """The frozen model of stage 1, and the fresh branches beside it."""
    teacher = models.load(context.inputs["backbone"])
    whole = models.build(context.params["config"])
    assert isinstance(whole, FastBert)
    return Taught(teacher, whole.branches)


def branch_losses(pair: Taught, batch: Batch, self_distillation: bool, divergence: str) -> list[Tensor]:
    """Each branch's loss on one batch; the frozen model runs once, without dropout and without gradients."""
    teacher: Any = pair.teacher
    states: list[Tensor] = []
    with torch.no_grad():
        hidden, mask = teacher.embed(*batch.inputs)
        for block in teacher.blocks:
            hidden, logits = block(hidden, mask)
            states.append(hidden)
    assert isinstance(pair.student, nn.ModuleList)
    guesses = [branch(state, mask) for branch, state in zip(pair.student, states[:-1], strict=True)]
    if not self_distillation:
        return [task_loss(guess, batch.labels) for guess in guesses]
    if divergence == "branch-teacher":
        return [soft_loss(logits, guess) for guess in guesses]  # the roles of the two are swapped
    return [soft_loss(guess, logits) for guess in guesses]


def branch_updates(context: Context, model: nn.Module) -> list[Update]:
    params = context.params

    def losses(model: nn.Module, batch: Batch, progress: Progress) -> Iterator[Loss]:
        assert isinstance(model, Taught)
        value = torch.stack(
            branch_losses(model, batch, params["self_distillation"], params["divergence"])
        ).sum()
        yield Loss(value, {"loss": value.detach()})

    assert isinstance(model, Taught)
    return one_update(training(context), model.student, losses)


def export_branches(context: Context, model: nn.Module) -> None:
    assert isinstance(model, Taught) and isinstance(model.student, nn.ModuleList)
    whole = models.build(context.params["config"])
    assert isinstance(whole, FastBert)
    _load(whole, model.teacher.state_dict())
    whole.branches.load_state_dict(model.student.state_dict())
    models.save(whole, context.params["config"], context.folder)


BRANCHES = Phase(
    name="self-distillation",
    version=1,
    build=build_branches,
    updates=branch_updates,
    feeds=task_feeds,
    length=epochs,
    export=export_branches,
)
