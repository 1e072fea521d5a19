"""Models with drawn weights: what timing needs of a run whose trained weights are not on this machine.

Models with equal graphs take equal time, and a run tells its model's graph in full. So the model of
its configuration, with weights from a fixed seed, stands in for it where nothing but time is asked. The scores of a
lower precision and the exits that examples take are the trained weights' affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite import models
from suite.documents import Run, Weight
from suite.errors import UserError
from suite.measure import recount
from suite.runtimes import kept

if TYPE_CHECKING:
    from torch import nn

SEED = 11
MATRIX = 0.04  # standard deviation of matrices and kernels: answers differ with the question, and nothing overflows
VECTOR = 0.02  # likewise of vectors that start at 0; norms start at 1 and stay
VERSION = 2  # raised by hand when other weights are drawn


class NotTrained(UserError):
    """Trained weights are needed that this machine does not have. No fault of the cell's: another machine fills it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=1)


def drawable(run: Run) -> bool:
    """Whether the time of a run's model follows from its graph, in a runtime of full precision."""
    return not run.model.exits and recount.precision(run.model.weights) == "fp32"


def folder_of(run: Run) -> Path:
    """The model folder of a run with drawn weights, made once and kept in the store.

    As many are zero as in the run, in each tensor. NotTrained where the graph comes out as another than the run's.
    """
    identity = {
        "name": "drawn",
        "version": VERSION,
        "config": run.model.config,
        "graph": run.model.graph,
        "nonzero": {weight.name: weight.nonzero for weight in run.model.weights},
    }
    return kept(identity, lambda folder: _write(run, folder)).parent


def _write(run: Run, folder: Path) -> Path:
    from suite.measure import cost

    model = draw(run.model.config, run.model.weights)
    found = cost.count_module(model).graph
    if found != run.model.graph:
        raise NotTrained(
            f"{run.recipe}/{run.variant}: its configuration builds the graph {found[:15]}, its run on {run.task} has "
            f"{run.model.graph[:15]}: only its trained weights can be timed"
        )
    models.save(model, run.model.config, folder)
    return folder / "model.safetensors"


def draw(config: models.Config, weights: Sequence[Weight]) -> nn.Module:
    """The model of a configuration with weights from :data:`SEED`, as many of them zero in a tensor as ``weights`` say.

    Built with eager attention, as a graph is counted. No weight is small enough to be slow (denormal). The first
    zeros are a padding vector's, which training leaves so: a runtime that pads must answer as one that does not.
    """
    import torch
    from torch import nn

    nonzero = {weight.name: weight.nonzero for weight in weights}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        model = models.build(config, attention="eager")
        padding = {
            f"{name}.weight": part.padding_idx
            for name, part in model.named_modules()
            if isinstance(part, nn.Embedding) and part.padding_idx is not None
        }
        for name, parameter in model.named_parameters():
            values = parameter.view(-1)
            if parameter.dim() > 1:
                values.normal_(std=MATRIX)
            values[values == 0] = VECTOR * torch.randn(int((values == 0).sum()))
            zeros = len(values) - nonzero.get(name, len(values))
            if name in padding and zeros >= parameter.shape[-1]:
                parameter[padding[name]] = 0
                zeros -= parameter.shape[-1]
            left = values.nonzero().flatten()
            values[left[torch.randperm(len(left))[: max(zeros, 0)]]] = 0
    return model
