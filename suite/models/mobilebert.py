"""MobileBERT (Sun 2020, sections 3.1 to 3.3 and table 1), MobileBERT-tiny and the inverted-bottleneck IB-BERT.

One block for all of them. The stream between blocks is ``hidden`` wide, the inside of a block ``inner``: narrower
in the student, wider in IB-BERT. ``attends`` says what queries, keys and values are made from:

``shared``  queries and keys from a bottleneck of their own, values from the block's input (MobileBERT)
``inside``  all three from the input bottleneck (MobileBERT-tiny)
``wide``    all three from the block's input (IB-BERT, which transformers' class cannot run)

Weights carry the names of ``MobileBertForSequenceClassification``. Choices: padding is masked completely, where the
published code leaves it some weight; one epsilon serves every layer norm. Row 0 of the word table is padding and
stays zero, so that a sentence's last trigram is the same with and without padding behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.errors import UserError
from suite.models.bert import additive
from suite.training.masking import Head

IB_BERT_LARGE: dict[str, Any] = {
    "architecture": "mobilebert", "layers": 24, "hidden": 512, "inner": 1024, "heads": 4, "ffn": 4096,
    "feedforwards": 1, "embedding": 128, "attends": "wide", "norm": "layernorm", "activation": "gelu",
    "pooler": True, "vocab": 30522, "positions": 512, "types": 2, "layer_norm_eps": 1e-12, "outputs": 2,
    "dropout": 0.1, "attention_dropout": 0.1, "head_dropout": 0.1,
}  # fmt: skip

Config = dict[str, Any]


class NoNorm(nn.Module):
    """weight * x + bias per feature, in the place of a layer norm (section 3.3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden * self.weight + self.bias


def norm(config: Config, width: int) -> nn.Module:
    if config["norm"] == "nonorm":
        return NoNorm(width)
    return nn.LayerNorm(width, eps=config["layer_norm_eps"])


class Projection(nn.Module):
    """norm(dense(hidden) + residual)."""

    def __init__(self, config: Config, inputs: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)
        self.dropout = nn.Dropout(dropout)
        self.LayerNorm = norm(config, outputs)

    def forward(self, hidden: Tensor, residual: Tensor | None = None) -> Tensor:
        result = self.dropout(self.dense(hidden))
        normed: Tensor = self.LayerNorm(result if residual is None else result + residual)
        return normed


class Widening(nn.Module):
    """activation(dense(hidden)): the first half of a feed-forward network."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.dense = nn.Linear(config["inner"], config["ffn"])
        self.activation = nn.ReLU() if config["activation"] == "relu" else nn.GELU()

    def forward(self, hidden: Tensor) -> Tensor:
        result: Tensor = self.activation(self.dense(hidden))
        return result


class FeedForward(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.intermediate = Widening(config)
        self.output = Projection(config, config["ffn"], config["inner"])

    def forward(self, hidden: Tensor) -> Tensor:
        result: Tensor = self.output(self.intermediate(hidden), hidden)
        return result


class Attention(nn.Module):
    """Multi-head attention whose queries and keys may come from another tensor than its values."""

    def __init__(self, config: Config, fused: bool) -> None:
        super().__init__()
        inner, hidden = config["inner"], config["hidden"]
        asked = hidden if config["attends"] == "wide" else inner
        self.query = nn.Linear(asked, inner)
        self.key = nn.Linear(asked, inner)
        self.value = nn.Linear(inner if config["attends"] == "inside" else hidden, inner)
        self.heads, self.fused, self.dropout = config["heads"], fused, config.get("attention_dropout", 0.1)

    def forward(
        self, asked: Tensor, valued: Tensor, mask: Tensor, watch: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Context [batch, length, inner] and, if watched, the scores before mask and softmax."""
        query, key, value = (
            layer(source).view(*source.shape[:2], self.heads, -1).transpose(1, 2)
            for layer, source in ((self.query, asked), (self.key, asked), (self.value, valued))
        )
        dropout = self.dropout if self.training else 0.0
        scores = None
        if self.fused and not watch:
            context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        else:
            scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
            context = F.dropout((scores + mask).softmax(-1), dropout) @ value
        return context.transpose(1, 2).flatten(2), scores


class Block(nn.Module):
    """Bottleneck, attention, stacked feed-forward networks, and back to the stream's width (figure 1)."""

    def __init__(self, config: Config, fused: bool) -> None:
        super().__init__()
        inner, hidden = config["inner"], config["hidden"]
        self.attends = config["attends"]
        self.bottleneck = nn.ModuleDict({"input": Projection(config, hidden, inner)})
        if self.attends == "shared":
            self.bottleneck["attention"] = Projection(config, hidden, inner)
        self.attention = nn.ModuleDict(
            {"self": Attention(config, fused), "output": Projection(config, inner, inner)}
        )
        if config["feedforwards"] > 1:
            self.ffn = nn.ModuleList(FeedForward(config) for _ in range(config["feedforwards"] - 1))
        else:
            self.ffn = nn.ModuleList()
        self.intermediate = Widening(config)
        self.output = Projection(config, config["ffn"], inner)
        self.output.bottleneck = Projection(config, inner, hidden, config.get("dropout", 0.0))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """[batch, length, hidden] to the same; ``mask`` additive, [batch, 1, 1, length]."""
        return self._run(hidden, mask, watch=False)[0]

    def watched(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The output, and the attention scores [batch, heads, length, length] before mask and softmax."""
        output, scores = self._run(hidden, mask, watch=True)
        assert scores is not None
        return output, scores

    def _run(self, hidden: Tensor, mask: Tensor, watch: bool) -> tuple[Tensor, Tensor | None]:
        narrow = self.bottleneck["input"](hidden)
        asked, valued = hidden, hidden
        if self.attends == "shared":
            asked = self.bottleneck["attention"](hidden)
        elif self.attends == "inside":
            asked, valued = narrow, narrow
        context, scores = self.attention["self"](asked, valued, mask, watch)
        state = self.attention["output"](context, narrow)
        for network in self.ffn:
            state = network(state)
        state = self.output(self.intermediate(state), state)
        return self.output.bottleneck(state, hidden), scores  # type: ignore[operator]


class Embeddings(nn.Module):
    """Narrow word vectors, three neighbours side by side, mapped to the stream's width (section 3.3)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        narrow, hidden = config["embedding"], config["hidden"]
        self.word_embeddings = nn.Embedding(config["vocab"], narrow, padding_idx=0)
        self.position_embeddings = nn.Embedding(config["positions"], hidden)
        self.token_type_embeddings = nn.Embedding(config["types"], hidden)
        self.embedding_transformation = nn.Linear(3 * narrow, hidden)
        self.LayerNorm = norm(config, hidden)
        self.dropout = nn.Dropout(config.get("dropout", 0.0))

    def forward(self, input_ids: Tensor, token_type_ids: Tensor) -> Tensor:
        word = self.word_embeddings(input_ids)
        following, previous = F.pad(word[:, 1:], (0, 0, 0, 1)), F.pad(word[:, :-1], (0, 0, 1, 0))
        # In the order of the released weights.
        wide = self.embedding_transformation(torch.cat([following, word, previous], dim=2))
        wide = wide + self.position_embeddings.weight[: input_ids.shape[1]]
        wide = wide + self.token_type_embeddings(token_type_ids)
        result: Tensor = self.dropout(self.LayerNorm(wide))
        return result


class Body(nn.Module):
    def __init__(self, config: Config, fused: bool) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = nn.ModuleDict(
            {"layer": nn.ModuleList(Block(config, fused) for _ in range(config["layers"]))}
        )
        if config["pooler"]:
            self.pooler = nn.ModuleDict({"dense": nn.Linear(config["hidden"], config["hidden"])})


class MobileBert(nn.Module):
    """``states`` gives every hidden state, ``head`` maps the last one to logits."""

    def __init__(self, config: Config, attention: str) -> None:
        super().__init__()
        if config["inner"] % config["heads"]:
            raise ValueError(f"a block {config['inner']} wide cannot be shared by {config['heads']} heads")
        self.mobilebert = Body(config, attention == "sdpa")
        self.pooled = bool(config["pooler"])
        self.dropout = nn.Dropout(config.get("head_dropout", 0.1))
        self.classifier = nn.Linear(config["hidden"], config["outputs"])
        self.apply(_initialise)

    @property
    def body(self) -> Body:
        """All but the head, for code that need not know the architecture's name."""
        return self.mobilebert

    @property
    def layers(self) -> nn.ModuleList:
        layers: Any = self.mobilebert.encoder["layer"]
        return layers  # type: ignore[no-any-return]

    def embed(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embeddings [batch, length, hidden] and the additive mask [batch, 1, 1, length]."""
        hidden = self.mobilebert.embeddings(input_ids, token_type_ids)
        return hidden, additive(attention_mask, hidden.dtype)

    def states(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> list[Tensor]:
        """Embedding output and the output of each block: layers + 1 tensors [batch, length, hidden]."""
        hidden, mask = self.embed(input_ids, attention_mask, token_type_ids)
        states = [hidden]
        for block in self.layers:
            states.append(block(states[-1], mask))
        return states

    def head(self, hidden: Tensor) -> Tensor:
        """Logits [batch, outputs] from the last hidden state [batch, length, hidden]."""
        first = hidden[:, 0]
        if self.pooled:
            first = self.mobilebert.pooler["dense"](first).tanh()
        logits: Tensor = self.classifier(self.dropout(first))
        return logits

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        return self.head(self.states(input_ids, attention_mask, token_type_ids)[-1])


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        nn.init.zeros_(module.weight[module.padding_idx])


class WordHead(Head):
    """Masked-LM head: its output matrix is the narrow word table beside ``extra`` [vocab, hidden - embedding]."""

    def __init__(self, config: Config) -> None:
        activation = F.relu if config["activation"] == "relu" else F.gelu
        super().__init__(config["hidden"], config["vocab"], config["layer_norm_eps"], activation)
        self.extra = nn.Parameter(torch.empty(config["vocab"], config["hidden"] - config["embedding"]))
        nn.init.normal_(self.extra, std=0.02)

    def forward(self, hidden: Tensor, embeddings: Tensor) -> Tensor:
        return super().forward(hidden, torch.cat([embeddings, self.extra], dim=1))

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """From the names of ``MobileBertForMaskedLM``."""
        found = {
            name.removeprefix("cls.predictions."): tensor
            for name, tensor in weights.items()
            if name.startswith("cls.predictions.")
        }
        if not found:
            raise UserError("the masked-LM head is missing: found no weights called cls.predictions.*")
        renamed = {
            "dense.weight": found["transform.dense.weight"],
            "dense.bias": found["transform.dense.bias"],
            "norm.weight": found["transform.LayerNorm.weight"],
            "norm.bias": found["transform.LayerNorm.bias"],
            "bias": found["bias"],
            "extra": found["dense.weight"].T,
        }
        self.load_state_dict(renamed)


def build(config: Config, attention: str) -> MobileBert:
    return MobileBert(config, attention)
