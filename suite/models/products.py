"""A chain of square matrix products and nothing else: in any runtime, how fast can this machine multiply?

The look-up and the mean around the products are what makes it a model like any other, so that every runtime
exports and runs it as it does a BERT.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Products(nn.Module):
    """``table`` [words, hidden] and ``weight`` [hidden, hidden], which is used ``layers`` times."""

    def __init__(self, words: int, hidden: int, layers: int, outputs: int) -> None:
        super().__init__()
        self.layers, self.outputs = layers, outputs
        self.table = nn.Embedding(words, hidden)
        # A rotation keeps the numbers as large as they are, however long the chain.
        self.weight = nn.Parameter(torch.empty(hidden, hidden))
        if not self.weight.is_meta:
            nn.init.orthogonal_(self.weight)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        # Adding the types keeps them in an exported graph; they are zero.
        x = self.table(input_ids + token_type_ids) * attention_mask[:, :, None]
        for _ in range(self.layers):
            x = nn.functional.linear(x, self.weight)
        answer: Tensor = x.mean(1)[:, : self.outputs]
        return answer


def build(config: dict[str, Any], attention: str) -> Products:
    return Products(config["words"], config["hidden"], config["layers"], config["outputs"])
