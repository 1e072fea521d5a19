"""AdaBERT (Chen 2020): a convolutional network searched for one task, by gradient, under a weight for its cost.

1. Probes: one linear classifier per layer of the fine-tuned teacher, on frozen hidden states (layer 0: the mean of
   the embeddings; above: the first token). They say what the teacher knows at each depth.
2. Search: two updates a step. The weights learn on most of the train split, one drawn network at a time; the
   architecture learns on the rest of it (never on the selection split), after a stretch in which only weights do.
   Loss = (1 - gamma) CE + gamma L_KD + efficiency L_E, L_KD from probe round(m L / K) to the m-th vector of K cells.
3. Derivation and retraining of the found network, with CE and L_KD again.

Where paper and published re-implementation differ: a split for the architecture (paper) instead of one level;
probes weighed by their likelihood of the true label (paper) or evenly, as ``probe_weights`` says; the last vector
learns from the teacher's last probe, which the re-implementation's rounding never reaches; real operation costs (see
``_adabert``); at least one cell and one convolution. In retraining ``gamma`` 0 is the re-implementation's CE alone;
``start: search`` keeps the embeddings as the search left them, where it puts the projected tables back.
For a regression every cross-entropy is a squared error. Weight decay covers the embeddings, here as there.

Word embeddings start as the teacher's table projected on its ``hidden`` principal components; the position table
takes the same projection of the teacher's positions and of its first segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn

from suite import models
from suite.data.encode import Encoded
from suite.documents import DECLARED, Strict
from suite.methods._adabert import derive, mixed_loss
from suite.methods._adabert_search import SEARCH, Architecture, Search, start_embeddings
from suite.methods._probes import Probes, write_probes
from suite.models.adabert import INPUTS, NODES, AdaBert, cell_config
from suite.pipeline.cell import Cell
from suite.pipeline.phase import Phase
from suite.pipeline.stage import Context, Stage
from suite.pipeline.supervised import epochs, one_update, selection, training
from suite.protocol import Track
from suite.training.feeds import Batch, Feed, TaskFeed
from suite.training.loop import Loss, Update, fold
from suite.training.schedules import Progress
from suite.training.settings import Share, Training


class Retraining(Strict):
    """``start``: from the weights of the search, or fresh ones below the projected embeddings."""

    gamma: Annotated[Share, DECLARED] = 0.8
    start: Annotated[Literal["search", "fresh"], DECLARED] = "search"
    training: Annotated[Training, DECLARED]


class Parameters(Strict):
    hidden: Annotated[Annotated[int, Field(ge=1, le=4096)], DECLARED] = 128
    cells: Annotated[Annotated[int, Field(ge=1, le=32)], DECLARED]  # Kmax: at most so many
    probe_weights: Annotated[Literal["likelihood", "uniform"], DECLARED] = "likelihood"
    probes: Annotated[Probes, DECLARED] = Probes()
    search: Annotated[Search, DECLARED]
    retraining: Annotated[Retraining, DECLARED]


def _config(parameters: Parameters, track: Track, outputs: int, texts: int, dropout: float) -> models.Config:
    """All but ``cells`` and ``cell``."""
    sizes = {name: track.teacher.config[name] for name in ("vocab", "positions")}
    head = {"hidden": parameters.hidden, "outputs": outputs, "texts": texts, "dropout": dropout}
    return {"architecture": "adabert", **sizes, **head}


def students(parameters: Parameters, track: Track, outputs: int) -> dict[str, models.Config]:
    """The largest network of the space, an upper bound: what is found depends on task and seed."""
    edges = [(s, t, "conv7") for t in range(INPUTS, INPUTS + NODES) for s in (0, 1)]
    config = _config(parameters, track, outputs, 1, parameters.retraining.training.dropout)
    return {"default": {**config, "cells": parameters.cells, "cell": cell_config(edges)}}


# --- stages -------------------------------------------------------------------------------------------------


def plan(parameters: Parameters, cell: Cell) -> Mapping[str, Stage]:
    if cell.reference is None:
        raise ValueError("AdaBERT needs a fine-tuned teacher")
    search, retraining, task = parameters.search, parameters.retraining, cell.task
    common = {"seed": cell.seed, "threads": cell.threads}
    probes = cell.stage(
        "probe-logits",
        1,
        write_probes,
        params=parameters.probes.model_dump(mode="json"),
        inputs={"model": cell.reference, "data": cell.encoded},
        tflop=cell.forward(cell.config()) + _probes_tflop(parameters, cell),
        tokens=cell.train_tokens,
    )
    sizes = (parameters, cell.track, task.outputs, len(task.columns))
    searched = SEARCH.stage(
        params={
            "config": _config(*sizes, search.training.dropout),
            "cells": parameters.cells,
            "probe_weights": parameters.probe_weights,
            **search.model_dump(mode="json"),
        },
        inputs={"data": cell.encoded, "probes": probes, "teacher": cell.reference},
        tflop=_search_tflop(parameters, cell),
        tokens=round(search.training.epochs * cell.train_tokens * _passes(search.architecture)),
        **common,
    )
    found = cell.stage(
        "derivation",
        1,
        write_found,
        params={
            "config": _config(*sizes, retraining.training.dropout),
            "efficiency": search.efficiency,
            "start": retraining.start,
        },
        inputs={"search": searched, "teacher": cell.reference},
    )
    largest = students(parameters, cell.track, task.outputs)["default"]
    retrained = RETRAINING.stage(
        params={
            "task": task.name,
            "probe_weights": parameters.probe_weights,
            "gamma": retraining.gamma,
            "training": retraining.training.model_dump(mode="json"),
        },
        inputs={"data": cell.encoded, "probes": probes, "found": found},
        # A plan does not know what will be found: the largest network of the space bounds it.
        tflop=3 * retraining.training.epochs * cell.forward(largest),
        tokens=retraining.training.epochs * cell.train_tokens,
        **common,
    )
    return {"default": retrained}


def _probes_tflop(parameters: Parameters, cell: Cell) -> float:
    body, examples = cell.track.teacher.config, len(cell.lengths["train"])
    once: int = 2 * examples * (body["layers"] + 1) * body["hidden"] * cell.task.outputs
    return (3 * parameters.probes.epochs + 1) * once / 1e12


def _passes(architecture: Architecture) -> float:
    """Passes over the train split's tokens in one epoch: an equal batch for the architecture once it learns."""
    return (1 - architecture.share) * (1 + (1 - architecture.after))


def _search_tflop(parameters: Parameters, cell: Cell) -> float:
    """Operations and depths drawn evenly, as at the start of a search; what the efficiency term does is not foreseen.

    A mean edge has 6/10 of a convolution of width 5. Weights: three forwards of (Kmax + 1) / 2 cells. Architecture:
    Kmax cells forward, and input gradients through the drawn ones.
    """
    search, most = parameters.search, parameters.cells
    per_cell = 9 * 0.6 * 2 * 5 * parameters.hidden**2
    drawn = (most + 1) / 2
    per_token = per_cell * (3 * drawn + (1 - search.architecture.after) * (most + drawn))
    return search.training.epochs * (1 - search.architecture.share) * cell.train_tokens * per_token / 1e12


# --- the found network --------------------------------------------------------------------------------------


def write_found(context: Context) -> None:
    """The model folder that retraining starts from."""
    params, state = context.params, load_file(context.inputs["search"] / "search.safetensors")
    config = params["config"]
    cells, cell, search = derive(state["choices.edges"], state["choices.depth"], config["hidden"])
    config = {
        **config,
        "cells": cells,
        "cell": cell,
        "search": {"efficiency": params["efficiency"], **search},
    }
    torch.manual_seed(fold(context.seed, "derivation"))
    model = models.build(config)
    assert isinstance(model, AdaBert)
    if params["start"] == "search":
        state["net.attention"] = state["net.attention"][cells, : cells + 1]
        model.load_state_dict({name: state[f"net.{name}"] for name in model.state_dict()})
    else:
        start_embeddings(model, context.inputs["teacher"])
    models.save(model, config, context.folder)


class Ladder(nn.Module):
    """The found network and, for L_KD, what makes one of each of its first 0, 1, ... cells: even weights at first."""

    def __init__(self, student: AdaBert) -> None:
        super().__init__()
        self.student = student
        self.attention = nn.Parameter(torch.zeros(len(student.cells), len(student.cells)))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        logits: Tensor = self.student(input_ids, attention_mask, token_type_ids)
        return logits

    def every_depth(self, inputs: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
        student = self.student
        vectors = student.vectors(inputs, student.picks, len(student.cells))
        shallow = [
            student.answer(vectors[: k + 1], row[: k + 1]) for k, row in enumerate(self.attention.unbind())
        ]
        return [*shallow, student.answer(vectors, student.attention)]


def retraining_feeds(context: Context) -> Mapping[str, Feed]:
    data = Encoded.load(context.inputs["data"] / "train")
    probes = np.load(context.inputs["probes"] / "probes.npy")
    order = fold(context.seed, "order")
    return {"train": TaskFeed(data, training(context).batch, order, {"probes": probes})}


def build_retraining(context: Context) -> Ladder:
    student = models.load(context.inputs["found"])
    assert isinstance(student, AdaBert)
    return Ladder(student)


def retraining_updates(context: Context, model: nn.Module) -> list[Update]:
    gamma, by = context.params["gamma"], context.params["probe_weights"]

    def losses(model: nn.Module, batch: Batch, progress: Progress) -> Iterator[Loss]:
        assert isinstance(model, Ladder)
        logits = model.every_depth(batch.inputs)
        value = mixed_loss(logits, batch.extra["probes"], batch.labels, gamma, by)
        yield Loss(value, {"loss": value.detach()})

    return one_update(training(context), model, losses)


def export_retraining(context: Context, model: nn.Module) -> None:
    assert isinstance(model, Ladder)
    models.save(model.student, models.read_config(context.inputs["found"]), context.folder)


RETRAINING = Phase(
    name="retraining",
    version=1,
    build=build_retraining,
    updates=retraining_updates,
    feeds=retraining_feeds,
    length=epochs,
    export=export_retraining,
    select=selection,
)
