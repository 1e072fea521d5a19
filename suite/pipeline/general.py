"""General distillation: what every method shares that distils the pre-trained encoder on plain text, before any task.

The stage is made once per track (its seed is the protocol's, its data the track's corpus) and is outside a recipe's
budget. Its artifact is an encoder: ``model.safetensors`` under the names of the student's classifier, heads left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from torch import nn

from suite import models
from suite.documents import DECLARED, Strict
from suite.models import pretrained
from suite.models.bert import Bert
from suite.pipeline.cell import Cell, forward_tflop
from suite.pipeline.corpus import corpus
from suite.pipeline.phase import Phase
from suite.pipeline.stage import Context, Stage
from suite.protocol import track
from suite.training.settings import Training

HEADS = ("classifier.", "pre_classifier.")  # fresh on every task, so no part of an encoder


class General(Strict):
    """How much text, and how the phase is optimised. ``training.keep`` has no effect: the last weights are kept."""

    tokens: Annotated[Annotated[int, Field(ge=1)], DECLARED]
    training: Annotated[Training, DECLARED]


def general_stage(
    phase: Phase,
    cell: Cell,
    settings: General,
    config: models.Config,
    params: Mapping[str, Any],
    heads: float = 0.0,
) -> Stage:
    """The stage that distils the encoder of ``config`` by ``phase``; ``params``: what else decides its result.

    ``heads``: FLOPs a token, of a training step, that heads beside the two bodies take.
    """
    text = corpus(cell.track, settings.tokens)
    lengths = text.lengths
    once = 3 * forward_tflop(config, lengths) + forward_tflop({**cell.config(), "outputs": 1}, lengths)
    once += heads * float(lengths.sum()) / 1e12
    epochs = settings.training.epochs
    return phase.stage(
        params={
            "config": config,
            "training": settings.training.model_dump(mode="json"),
            "track": cell.track.name,
            "pretrained": cell.pretrained,
            **params,
        },
        inputs={"data": text.stage},
        seed=cell.track.general.seed,
        threads=cell.threads,
        tflop=epochs * once,
        tokens=epochs * int(lengths.sum()),
        shared=True,
    )


class Taught(nn.Module):
    """A frozen teacher, in evaluation mode always, and what learns from it.

    ``parts`` are modules trained beside the student and dropped when it is exported: projections, heads.
    """

    def __init__(self, teacher: nn.Module, student: nn.Module, **parts: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher.requires_grad_(False)
        self.student = student
        self.parts = nn.ModuleDict(parts)

    def train(self, mode: bool = True) -> Taught:
        super().train(mode)
        self.teacher.eval()
        return self


def pretrained_teacher(context: Context) -> Bert:
    """The track's pre-trained encoder (its classifier is fresh and unused)."""
    body = track(context.params["track"]).teacher
    teacher = Bert({**body.config, "outputs": 1}, "sdpa")
    teacher.load_state_dict({**teacher.state_dict(), **pretrained.encoder_weights(body)})
    return teacher


def export_encoder(context: Context, model: nn.Module) -> None:
    """The student of a :class:`Taught` without its heads; fine-tuning takes the folder as its ``encoder`` input."""
    assert isinstance(model, Taught)
    state = model.student.state_dict()
    body = {k: v for k, v in state.items() if not k.startswith(HEADS)}
    models.save_tensors(body, context.folder / "model.safetensors")
