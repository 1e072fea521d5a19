"""DistilBERT (Sanh 2019, section 3): no segment embeddings and no pooler; a two-layer head on the first token."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import DistilBertConfig, DistilBertModel

from suite.models.bert import additive


class DistilBert(nn.Module):
    """Weights carry the names of ``DistilBertForSequenceClassification``."""

    def __init__(self, config: dict[str, Any], attention: str) -> None:
        super().__init__()
        details = DistilBertConfig(
            vocab_size=config["vocab"],
            dim=config["hidden"],
            n_layers=config["layers"],
            n_heads=config["heads"],
            hidden_dim=config["ffn"],
            max_position_embeddings=config["positions"],
            dropout=config.get("dropout", 0.1),
            attention_dropout=config.get("dropout", 0.1),
            attn_implementation=attention,
        )
        self.distilbert = DistilBertModel(details)
        self.pre_classifier = nn.Linear(config["hidden"], config["hidden"])
        self.classifier = nn.Linear(config["hidden"], config["outputs"])
        self.dropout = nn.Dropout(config.get("head_dropout", 0.2))
        for layer in (self.pre_classifier, self.classifier):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    @property
    def layers(self) -> nn.ModuleList:
        layers: nn.ModuleList = self.distilbert.transformer.layer
        return layers

    def states(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> list[Tensor]:
        """Embedding output and the output of each layer: layers + 1 tensors [batch, length, hidden]."""
        states = [self.distilbert.embeddings(input_ids)]
        mask = additive(attention_mask, states[0].dtype)
        for layer in self.layers:
            states.append(layer(states[-1], mask))
        return states

    def head(self, hidden: Tensor) -> Tensor:
        """Logits [batch, outputs] from the last hidden state [batch, length, hidden]."""
        first = self.dropout(self.pre_classifier(hidden[:, 0]).relu())
        logits: Tensor = self.classifier(first)
        return logits

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        return self.head(self.states(input_ids, attention_mask, token_type_ids)[-1])


def build(config: dict[str, Any], attention: str) -> DistilBert:
    return DistilBert(config, attention)
