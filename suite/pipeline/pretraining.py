"""Pre-training distillation (Sun 2020, section 3.5): masked words, and what the teacher would put there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite import models
from suite.documents import DECLARED
from suite.pipeline.cell import Cell, forward_tflop
from suite.pipeline.corpus import corpus
from suite.pipeline.general import General, Taught
from suite.pipeline.stage import Context
from suite.pipeline.supervised import one_update, training
from suite.training.feeds import Batch
from suite.training.loop import Loss, Update
from suite.training.masking import FIRST_WORD, SHARE, mask_tokens
from suite.training.schedules import Progress
from suite.training.settings import Share


class Pretraining(General):
    """Pre-training distillation; ``blend``: the share of the word itself in the wanted distribution."""

    blend: Annotated[Share, DECLARED] = 0.5


def pretraining_tflop(config: models.Config, teacher: models.Config, cell: Cell, general: General) -> float:
    """Both bodies, and both heads on the masked tokens; the student's three times."""
    lengths = corpus(cell.track, general.tokens).lengths
    width, vocab = int(config["hidden"]), int(config["vocab"])
    head = 2 * width * (width + vocab) * SHARE * float(lengths.sum()) / 1e12
    once = 3 * forward_tflop(config, lengths) + forward_tflop(teacher, lengths) + 4 * head
    return general.training.epochs * once


def pretraining_updates(context: Context, model: nn.Module) -> list[Update]:
    assert isinstance(model, Taught)
    student: Any = model.student
    drawn = torch.ones(context.params["config"]["vocab"])
    drawn[:FIRST_WORD] = 0.0

    def losses(model: nn.Module, batch: Batch, progress: Progress) -> Iterator[Loss]:
        assert isinstance(model, Taught)
        yield pretraining_loss(model, batch, context.params["blend"], drawn)

    trained = nn.ModuleList([student.body, model.parts["head"]])
    return one_update(training(context), trained, losses)


def pretraining_loss(pair: Taught, batch: Batch, blend: float, drawn: Tensor) -> Loss:
    """Cross-entropy on masked tokens to ``blend`` of the word and the rest of the teacher's distribution."""
    ids, chosen = mask_tokens(batch.ids, batch.mask, drawn)

    def scored(model: Any, head: nn.Module) -> Tensor:
        hidden = model.states(ids, batch.mask, batch.types)[-1][chosen]
        scores: Tensor = head(hidden, model.body.embeddings.word_embeddings.weight)
        return scores

    with torch.no_grad():
        wanted = scored(pair.teacher, pair.parts["teacher_head"]).softmax(-1)
    scores = scored(pair.student, pair.parts["head"])
    word, teacher = F.cross_entropy(scores, batch.ids[chosen]), F.cross_entropy(scores, wanted)
    value = blend * word + (1 - blend) * teacher
    return Loss(value, {"loss": value.detach(), "mlm": word.detach(), "ce": teacher.detach()})
