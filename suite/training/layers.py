"""Distillation layer by layer (Jiao 2020, section 3.1): each student layer answers to every k-th teacher layer."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import nn

from suite.documents import DECLARED, Number, Strict
from suite.models.bert import Bert, attention_scores
from suite.training.feeds import Batch
from suite.training.loop import Loss
from suite.training.losses import attention_loss, hidden_loss

Weight = Annotated[Number, Field(ge=0)]


class LayerWeights(Strict):
    """Of the three parts; a part that weighs 0 is not computed."""

    attention: Annotated[Weight, DECLARED] = 1.0
    hidden: Annotated[Weight, DECLARED] = 1.0
    embedding: Annotated[Weight, DECLARED] = 1.0

    @model_validator(mode="after")
    def _some(self) -> LayerWeights:
        if not (self.attention or self.hidden or self.embedding):
            raise ValueError("attention, hidden and embedding are all 0: nothing would be learnt")
        return self


def layer_span(teacher: Bert, student: Bert) -> int:
    """k = N / M of the layer map g(m) = k m."""
    deep, shallow = len(teacher.layers), len(student.layers)
    if deep % shallow:
        raise ValueError(f"{deep} teacher layers cannot be shared among {shallow} student layers")
    return deep // shallow


def layer_loss(teacher: Bert, student: Bert, project: nn.Module, batch: Batch, weights: LayerWeights) -> Loss:
    """Sum over student layers m of the squared errors between A_S^m and A_T^g(m) (equation 7) and between
    ``project``(H_S^m) and H_T^g(m) (equations 8 and 9); m = 0, for hidden states only, is the embedding output.

    A are attention scores before the softmax, H hidden states; every error is a mean over real tokens (or pairs of
    them) and over heads or features.
    """
    span = layer_span(teacher, student)
    with torch.no_grad():
        theirs = teacher.states(*batch.inputs)
    ours = student.states(*batch.inputs)
    parts: dict[str, list[torch.Tensor]] = {name: [] for name, weight in weights if weight}
    for m, state in enumerate(ours):
        kind = "hidden" if m else "embedding"
        if kind in parts:
            parts[kind].append(hidden_loss(project(state), theirs[span * m], batch.mask))
        if m and "attention" in parts:
            with torch.no_grad():
                wanted = attention_scores(teacher.layers[span * m - 1], theirs[span * m - 1])
            guess = attention_scores(student.layers[m - 1], ours[m - 1])
            parts["attention"].append(attention_loss(guess, wanted, batch.mask))
    sums = {name: torch.stack(terms).sum() for name, terms in parts.items()}
    value = torch.stack([getattr(weights, name) * total for name, total in sums.items()]).sum()
    return Loss(value, {"loss": value.detach(), **{name: total.detach() for name, total in sums.items()}})
