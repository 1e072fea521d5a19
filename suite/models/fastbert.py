"""FastBERT (Liu 2020, section 3): a BERT whose every layer ends in a classifier that may answer at once.

After layer k an example leaves when its classifier's uncertainty, the entropy of its distribution over ln N
(section 3.3), is below ``config["speed"]``: strictly below, as the paper's "low uncertainty" reads
(of the two published codes one compares with <=), so that speed 0 lets nobody leave. For regression, which the paper
has not, the uncertainty is how far the score moved from the layer before; so the first layer cannot answer.

``config["branches"]`` says whether the classifiers before the last are there. Without them the model is the backbone
alone, which answers exactly as the model with branches does at speed 0. With branches a block runs whole, branch
included, also at speed 0, so that what is counted is what runs; there is then no control flow that depends on
data and the model exports as one graph of full depth, from which an exporter drops the unused branches.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from suite.models.bert import Bert, additive

ADAPTIVE = True  # time depends on the input
HEADS = 2


class Classifier(nn.Module):
    """h -> c on every token, tanh, self-attention of width c, the first token, c -> c, tanh, c -> outputs.

    As in the official code the attention has neither residual nor norm and is computed for all tokens.
    """

    def __init__(self, hidden: int, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Linear(hidden, width)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.dense = nn.Linear(width, width)
        self.out = nn.Linear(width, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits [batch, outputs] of hidden states [batch, length, hidden]; ``mask`` as :func:`additive` makes it."""
        tokens = self.enter(hidden).tanh()
        split = (*tokens.shape[:2], HEADS, tokens.shape[2] // HEADS)
        query, key, value = (
            f(tokens).view(split).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(split[-1]) + mask
        mixed = self.dropout(scores.softmax(-1)) @ value
        first = self.output(mixed.transpose(1, 2).reshape(tokens.shape))[:, 0]
        logits: Tensor = self.out(self.dense(first).tanh())
        return logits

    def first(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """As :meth:`forward`, up to rounding, without what no answer needs: only the first token asks."""
        tokens = self.enter(hidden).tanh()
        width = tokens.shape[2] // HEADS

        def split(part: Tensor) -> Tensor:
            return part.view(part.shape[0], -1, HEADS, width).transpose(1, 2)

        query, key, value = (
            split(self.query(tokens[:, :1])),
            split(self.key(tokens)),
            split(self.value(tokens)),
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(width) + mask
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2])
        logits: Tensor = self.out(self.dense(self.output(mixed)).tanh())
        return logits


def _classifier(config: dict[str, Any]) -> Classifier:
    return Classifier(config["hidden"], config["classifier"], config["outputs"], config.get("dropout", 0.1))


class Block(nn.Module):
    """A layer and the classifier that may end there."""

    def __init__(self, layer: nn.Module, classifier: Classifier | None) -> None:
        super().__init__()
        self.layer = layer
        self.classifier = classifier

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """The layer's output, and the logits if this block has a classifier."""
        hidden = self.layer(hidden, mask)
        return hidden, None if self.classifier is None else self.classifier(hidden, mask)

    def lean(self) -> nn.Module:
        """What is exported in this block's place."""
        return LeanBlock(self)


class LeanBlock(nn.Module):
    """A block with a classifier, as it is exported: the same answers up to rounding, for less work."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.layer, self.classifier = block.layer, block.classifier

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        assert self.classifier is not None
        hidden = self.layer(hidden, mask)
        return hidden, self.classifier.first(hidden, mask)


class FastBert(nn.Module):
    """``blocks`` are called in order: who leaves at exit k has been through the embeddings and blocks 1 to k."""

    def __init__(self, config: dict[str, Any], attention: str) -> None:
        super().__init__()
        body = Bert(config, attention)
        self.speed = float(config["speed"])
        self.adaptive = bool(config["branches"])
        self.embeddings = body.bert.embeddings
        last = len(body.layers) - 1
        self.blocks = nn.ModuleList(
            Block(layer, _classifier(config) if self.adaptive or i == last else None)
            for i, layer in enumerate(body.layers)
        )

    @property
    def branches(self) -> nn.ModuleList:
        """The classifiers before the last."""
        found: list[Any] = [block.classifier for block in self.blocks[:-1]]
        return nn.ModuleList(found)

    def embed(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embeddings [batch, length, hidden] and the additive mask [batch, 1, 1, length]."""
        hidden = self.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        return hidden, additive(attention_mask, hidden.dtype)

    def every_exit(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> list[Tensor]:
        """Logits [batch, outputs] of each classifier there is, through all blocks; nobody leaves."""
        hidden, mask = self.embed(input_ids, attention_mask, token_type_ids)
        found = []
        for block in self.blocks:
            hidden, logits = block(hidden, mask)
            if logits is not None:
                found.append(logits)
        return found

    def uncertainties(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """How unsure every exit but the last is, whether or not it is reached: [batch, exits - 1]."""
        logits = self.every_exit(input_ids, attention_mask, token_type_ids)
        return torch.stack([uncertainty(z, y) for y, z in zip([None, *logits], logits[:-1], strict=False)], 1)

    def forward_exits(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits [batch, outputs], and for each example the number of blocks it went through, int64 [batch].

        An example that has left is dropped from the batch: later blocks do not compute it.
        """
        depth = len(self.blocks)
        if not self.adaptive or self.speed == 0:
            logits = self.every_exit(input_ids, attention_mask, token_type_ids)[-1]
            return logits, torch.full((len(logits),), depth, dtype=torch.int64, device=logits.device)
        hidden, mask = self.embed(input_ids, attention_mask, token_type_ids)
        inside = torch.arange(len(hidden), device=hidden.device)  # places in the batch of those still here
        exits = torch.full_like(inside, depth)
        answers: Tensor | None = None
        before: Tensor | None = None
        for number, block in enumerate(self.blocks, 1):
            hidden, logits = block(hidden, mask)
            answers = torch.empty_like(logits) if answers is None else answers
            answers[inside] = logits
            if number == depth:
                break
            leaves = uncertainty(logits, before) < self.speed
            exits[inside[leaves]] = number
            stays = ~leaves
            if not stays.any():
                break
            hidden, mask, inside, before = hidden[stays], mask[stays], inside[stays], logits[stays]
        assert answers is not None
        return answers, exits

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        if not self.adaptive or self.speed == 0:
            return self.every_exit(input_ids, attention_mask, token_type_ids)[-1]
        return self.forward_exits(input_ids, attention_mask, token_type_ids)[0]


def uncertainty(logits: Tensor, before: Tensor | None) -> Tensor:
    """[batch]: entropy over its largest value, 0 to 1. Of one output: its distance to the exit ``before``."""
    if logits.shape[-1] == 1:
        moved = torch.full_like(logits, math.inf) if before is None else (logits - before).abs()
        return moved.squeeze(-1)
    spread = logits.float().log_softmax(-1)
    return -(spread.exp() * spread).sum(-1) / math.log(logits.shape[-1])


def published_flops(config: dict[str, Any], tokens: int) -> int:
    """FLOPs of one example through all blocks as the official code counts them.

    Products of ``nn.Linear`` alone, a multiply-accumulate being 2: neither the attention's own products nor a
    classifier's last layer. Without branches only one classifier runs, which is their figure for BERT. (The
    paper's Table 1 also counts a classifier's c x c layer for every token, though it sees only the first.)
    """
    h, f, c = int(config["hidden"]), int(config["ffn"]), int(config["classifier"])
    blocks = int(config["layers"])
    layer = 2 * tokens * (4 * h * h + 2 * h * f)
    classifier = 2 * tokens * (h * c + 4 * c * c) + 2 * c * c
    return blocks * layer + (blocks if config["branches"] else 1) * classifier


def build(config: dict[str, Any], attention: str) -> FastBert:
    return FastBert(config, attention)
