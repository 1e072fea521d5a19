"""Masked language modelling: which tokens are masked, and the head that scores words in their place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

MASK, FIRST_WORD = 103, 999  # [MASK]; ids below FIRST_WORD are special or unused in the BERT vocabulary
MASKED, RANDOM = 0.8, 0.1  # the rest of the chosen tokens stay as they are
SHARE = 0.15


def mask_tokens(ids: Tensor, mask: Tensor, rarity: Tensor) -> tuple[Tensor, Tensor]:
    """(masked ids, chosen [batch, length] bool). ``rarity`` [vocab]: the weight with which a word piece is drawn."""
    weight = (rarity[ids] * mask).flatten()
    count = min(int(np.ceil(SHARE * int(mask.sum()))), int((weight > 0).sum()))
    chosen = torch.zeros_like(weight, dtype=torch.bool)
    chosen[torch.multinomial(weight, count)] = True
    chosen = chosen.view_as(ids)
    fate = torch.rand(ids.shape)
    random = torch.randint(FIRST_WORD, len(rarity), ids.shape)
    replaced = torch.where(
        fate < MASKED, torch.full_like(ids, MASK), torch.where(fate < MASKED + RANDOM, random, ids)
    )
    return torch.where(chosen, replaced, ids), chosen


class Head(nn.Module):
    """Masked-LM head: dense, activation, norm, and a decoder tied to the word embeddings (by call, not by copy)."""

    def __init__(
        self, hidden: int, vocab: int, eps: float = 1e-12, activation: Callable[[Tensor], Tensor] = F.gelu
    ) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden, eps=eps)
        self.bias = nn.Parameter(torch.zeros(vocab))
        self.activation = activation

    def forward(self, hidden: Tensor, embeddings: Tensor) -> Tensor:
        return F.linear(self.norm(self.activation(self.dense(hidden))), embeddings, self.bias)
