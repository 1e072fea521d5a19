"""A linear model over hashed n-grams of word pieces: the floor that a compressed BERT must beat.

Every unigram and bigram of a segment falls into one of ``buckets`` rows by multiplicative hashing; its row
depends also on the segment, and on whether the same n-gram occurs in the other segment, so that a linear model
can see overlap. The logits are the bias plus the mean of the rows met. Everything is integer arithmetic and one
gather on token ids, so it runs in every runtime that runs a BERT and holds whole numbers of 64 bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SPECIAL = 999  # word pieces below this id are padding, unused or special in the BERT vocabulary
_PRIMES = (1_000_003, 8_191, 2_654_435)


class Ngram(nn.Module):
    """``weight`` [buckets, outputs], ``bias`` [outputs]."""

    def __init__(self, buckets: int, outputs: int) -> None:
        super().__init__()
        self.buckets = buckets
        self.weight = nn.Parameter(torch.zeros(buckets, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def features(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Bucket numbers [batch, 2 length] and whether each is a real n-gram (float, same shape)."""
        real = attention_mask * (input_ids > SPECIAL)
        following = torch.cat([input_ids[:, 1:], torch.zeros_like(input_ids[:, :1])], 1)
        same = torch.cat([token_type_ids[:, 1:] == token_type_ids[:, :-1], token_type_ids[:, :1] < 0], 1)
        after = torch.cat([real[:, 1:], torch.zeros_like(real[:, :1])], 1)
        grams = torch.cat([input_ids, input_ids * _PRIMES[0] + following * _PRIMES[1] + 1], 1)
        valid = torch.cat([real, real * after * same], 1)
        segment = torch.cat([token_type_ids, token_type_ids], 1)
        equal = (grams[:, :, None] == grams[:, None, :]) & (segment[:, :, None] != segment[:, None, :])
        shared = (equal & (valid[:, None, :] > 0)).any(2).to(torch.int64)
        kind = 2 * segment + shared
        buckets = (grams * 4 + kind) * _PRIMES[2] % 2_147_483_647 % self.buckets
        return buckets, valid.to(self.weight.dtype)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        buckets, valid = self.features(input_ids, attention_mask, token_type_ids)
        rows = self.weight[buckets] * valid[:, :, None]
        return rows.sum(1) / valid.sum(1, keepdim=True).clamp(min=1.0) + self.bias


def build(config: dict[str, Any], attention: str) -> Ngram:
    return Ngram(config["buckets"], config["outputs"])
