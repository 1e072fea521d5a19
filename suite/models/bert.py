"""BERT (Devlin 2019): the encoder and pooler of transformers with a classifier on the pooled first token.

Weights carry the names of ``BertForSequenceClassification``, so a shipped file loads there as well. The layers
are called one by one: methods that look at hidden states or swap layers need no second implementation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel


class Bert(nn.Module):
    """``states`` gives every hidden state, ``head`` maps the last one to logits."""

    def __init__(self, config: dict[str, Any], attention: str) -> None:
        super().__init__()
        details = BertConfig(
            vocab_size=config["vocab"],
            hidden_size=config["hidden"],
            num_hidden_layers=config["layers"],
            num_attention_heads=config["heads"],
            intermediate_size=config["ffn"],
            max_position_embeddings=config["positions"],
            type_vocab_size=config["types"],
            layer_norm_eps=config["layer_norm_eps"],
            hidden_dropout_prob=config.get("dropout", 0.1),
            attention_probs_dropout_prob=config.get("dropout", 0.1),
            attn_implementation=attention,
        )
        self.bert = BertModel(details)
        self.dropout = nn.Dropout(config.get("dropout", 0.1))
        self.classifier = nn.Linear(config["hidden"], config["outputs"])
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    @property
    def layers(self) -> nn.ModuleList:
        layers: nn.ModuleList = self.bert.encoder.layer
        return layers

    def embed(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embeddings [batch, length, hidden] and the additive mask [batch, 1, 1, length]."""
        hidden = self.bert.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        return hidden, additive(attention_mask, hidden.dtype)

    def states(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> list[Tensor]:
        """Embedding output and the output of each layer: layers + 1 tensors [batch, length, hidden]."""
        hidden, mask = self.embed(input_ids, attention_mask, token_type_ids)
        states = [hidden]
        for layer in self.layers:
            states.append(layer(states[-1], mask))
        return states

    def head(self, hidden: Tensor) -> Tensor:
        """Logits [batch, outputs] from the last hidden state [batch, length, hidden]."""
        logits: Tensor = self.classifier(self.dropout(self.bert.pooler(hidden)))
        return logits

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        return self.head(self.states(input_ids, attention_mask, token_type_ids)[-1])


def attention_scores(layer: nn.Module, hidden: Tensor) -> Tensor:
    """Q K^T / sqrt(d) of a BERT layer on its input [batch, length, hidden]: [batch, heads, length, length], unmasked.

    Computed beside the layer rather than inside it, so that the layer may keep its fused attention.
    """
    attention: Any = layer.attention.self  # type: ignore[union-attr]
    heads, width = attention.num_attention_heads, attention.attention_head_size
    split = (*hidden.shape[:2], heads, width)
    query = attention.query(hidden).view(split).transpose(1, 2)
    key = attention.key(hidden).view(split).transpose(1, 2)
    scores: Tensor = query @ key.transpose(2, 3) / width**0.5
    return scores


def additive(attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where a token is, the lowest finite number where padding is: [batch, 1, 1, length]."""
    return (1.0 - attention_mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).min


def build(config: dict[str, Any], attention: str) -> Bert:
    return Bert(config, attention)
