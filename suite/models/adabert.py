"""AdaBERT's searched network (Chen 2020, section 3.2): cells of convolutions and pooling over embeddings 128 wide.

The configuration says it all: ``cells``, how many in sequence; ``cell``, the graph they share; ``texts``, one or
two. Cell k reads the outputs of cells k-2 and k-1; before the first stand the two texts of a pair, or the one text
twice. A pair is told apart as the paper feeds it, not by a segment embedding: the second text is moved to the start
of a sequence of its own, with its own positions from 0, and shares the tables with the first.

Within a cell every edge applies its operation, a node sums its edges, and the output is a softmax-weighted sum of
the nodes. It passes a layer normalisation and dropout, as the embeddings do, so that depth does not change scale.
The classifier takes tanh of the softmax-weighted sum of the mean-pooled embeddings and cell outputs.

Convolutions are ReLU, convolution with full 128 x 128 kernels, batch normalisation. The dilated ones are true
dilated convolutions (every second token), not the morphological dilation of the published re-implementation, and
not separable: plain and dilated ones then cost the same, and eight cells span the sizes the paper reports.

Padding takes part in nothing: every operation sees zeros there (or, where it takes a maximum or a mean, nothing),
batch normalisation takes its statistics over real tokens only, and every node is set to zero again at padding. For
a pair the longer text decides what is real; the shorter one is zero behind its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INPUTS, NODES = 2, 3  # of a cell: what it reads, and what it computes
KERNELS = {"conv3": (3, 1), "conv5": (5, 1), "conv7": (7, 1)}  # width, dilation
KERNELS |= {"dilated3": (3, 2), "dilated5": (5, 2), "dilated7": (7, 2)}
OPERATIONS = (*KERNELS, "maxpool3", "avgpool3", "identity", "zero")
EDGES = tuple((source, INPUTS + node) for node in range(NODES) for source in range(INPUTS + node))


def edge_name(source: int, target: int) -> str:
    return f"{source}-{target}"


class MaskedNorm(nn.Module):
    """Batch normalisation of [batch, channels, length] whose statistics leave padding out.

    Running statistics move only while the weights learn, so that looking at other data leaves no trace in them.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if not self.training:
            mean, variance = self.running_mean, self.running_var
            return F.batch_norm(x, mean, variance, self.weight, self.bias, eps=self.eps)
        count = mask.sum()
        mean = (x * mask).sum((0, 2)) / count
        centred = x - mean[:, None]
        variance = (centred.square() * mask).sum((0, 2)) / count
        if self.weight.requires_grad:
            with torch.no_grad():
                unbiased = variance * count / (count - 1).clamp(min=1)
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(unbiased, self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centred * scale[:, None] + self.bias[:, None]


class Convolution(nn.Module):
    """ReLU, convolution that keeps the length, batch normalisation."""

    def __init__(self, channels: int, width: int, dilation: int) -> None:
        super().__init__()
        around = dilation * (width - 1) // 2
        self.conv = nn.Conv1d(channels, channels, width, padding=around, dilation=dilation, bias=False)
        self.norm = MaskedNorm(channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.conv(x.relu()), mask)
        return normed


class MaxPool(nn.Module):
    """The largest of a token and its two neighbours, padding left out."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        lowest = torch.finfo(x.dtype).min
        x = F.pad(x.masked_fill(mask == 0, lowest), (1, 1), value=lowest)
        largest = torch.maximum(torch.maximum(x[..., :-2], x[..., 1:-1]), x[..., 2:])
        return (
            largest * mask
        )  # two of the lowest numbers would sum to minus infinity, and that times 0 is no number


class AvgPool(nn.Module):
    """The mean of a token and its neighbours, padding left out of sum and count."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return _three(x) / _three(mask).clamp(min=1)


def _three(x: Tensor) -> Tensor:
    x = F.pad(x, (1, 1))
    return x[..., :-2] + x[..., 1:-1] + x[..., 2:]


class Identity(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x


class Zero(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return torch.zeros_like(x)


def operation(name: str, channels: int) -> nn.Module:
    """The operation of a name, [batch, channels, length] to the same; KeyError for one that does not exist."""
    if name in KERNELS:
        return Convolution(channels, *KERNELS[name])
    return {"maxpool3": MaxPool, "avgpool3": AvgPool, "identity": Identity, "zero": Zero}[name]()


Pick = tuple[str, Tensor | None]  # an operation, and what its output is multiplied by


class Cell(nn.Module):
    """``choices``: edge -> the operations it may apply. A found cell has one at each, a search all of them."""

    def __init__(self, choices: Mapping[str, Sequence[str]], channels: int, dropout: float) -> None:
        super().__init__()
        self.edges = nn.ModuleDict(
            {
                edge: nn.ModuleDict({op: operation(op, channels) for op in ops})
                for edge, ops in choices.items()
            }
        )
        self.mixing = nn.Parameter(torch.zeros(NODES))
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, before: Tensor, last: Tensor, mask: Tensor, picks: Mapping[str, Pick]) -> Tensor:
        """Output [batch, channels, length] from the outputs of the two cells before it."""
        states = [before, last]
        for target in range(INPUTS, INPUTS + NODES):
            total = torch.zeros_like(last)
            for source, state in enumerate(states):
                edge = edge_name(source, target)
                if edge in picks and picks[edge][0] != "zero":
                    name, gate = picks[edge]
                    found = self.edges[edge][name](state, mask)  # type: ignore[index]
                    total = total + (found if gate is None else found * gate)
            states.append(total * mask)
        weights = self.mixing.softmax(0)
        mixed = states[INPUTS] * weights[0]
        for node in range(1, NODES):
            mixed = mixed + states[INPUTS + node] * weights[node]
        output: Tensor = self.dropout(channel_norm(self.norm, mixed)) * mask
        return output


def channel_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """A layer normalisation over the channels of [batch, channels, length]."""
    normed: Tensor = norm(x.transpose(1, 2)).transpose(1, 2)
    return normed


class Embeddings(nn.Module):
    """Word and learned position embeddings, layer normalisation, dropout."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.word = nn.Embedding(config["vocab"], config["hidden"])
        self.position = nn.Embedding(config["positions"], config["hidden"])
        self.norm = nn.LayerNorm(config["hidden"])
        self.dropout = nn.Dropout(config["dropout"])
        for table in (self.word, self.position):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """[batch, channels, length] from ids [batch, length] and mask [batch, 1, length]; zero at padding."""
        places = torch.arange(ids.shape[1], device=ids.device)
        found: Tensor = self.dropout(self.norm(self.word(ids) + self.position(places)))
        return found.transpose(1, 2) * mask


class Body(nn.Module):
    """Embeddings, cells and classifier; how many cells run and which operation each edge applies is said per call."""

    def __init__(self, config: Mapping[str, Any], cells: int, choices: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.texts = int(config["texts"])
        self.embeddings = Embeddings(config)
        self.cells = nn.ModuleList(Cell(choices, config["hidden"], config["dropout"]) for _ in range(cells))
        self.dropout = nn.Dropout(config["dropout"])
        self.classifier = nn.Linear(config["hidden"], config["outputs"])
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def vectors(
        self,
        inputs: tuple[Tensor, Tensor, Tensor],
        picks: Mapping[str, Pick],
        cells: int,
        learning: int | None = None,
    ) -> list[Tensor]:
        """Mean over real tokens of the embeddings and of each cell's output: cells + 1 tensors [batch, channels].

        Beyond the first ``learning`` cells nothing is kept for gradients.
        """
        ids, present, types = inputs
        present = present.to(self.classifier.weight.dtype)
        if self.texts == 1:
            mask = present[:, None]
            last = before = self.embeddings(ids, mask)
            pooled = [_mean(last, mask)]
        else:
            first, second, moved = split_pair(ids, present, types)
            mask = torch.maximum(first, second)
            before, last = self.embeddings(ids, first), self.embeddings(moved, second)
            pooled = [(before + last).sum(2) / (first + second).sum(2).clamp(min=1)]
        for number, cell in enumerate(self.cells[:cells]):
            with torch.set_grad_enabled(torch.is_grad_enabled() and (learning is None or number < learning)):
                before, last = last, cell(before, last, mask, picks)
                pooled.append(_mean(last, mask))
        return pooled

    def answer(self, vectors: Sequence[Tensor], attention: Tensor) -> Tensor:
        """Logits [batch, outputs]; ``attention`` [len(vectors)] before its softmax."""
        weights = attention.softmax(0)
        mixed = vectors[0] * weights[0]
        for place in range(1, len(vectors)):
            mixed = mixed + vectors[place] * weights[place]
        logits: Tensor = self.classifier(self.dropout(mixed.tanh()))
        return logits


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    return x.sum(2) / mask.sum(2).clamp(min=1)


def split_pair(ids: Tensor, present: Tensor, types: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Masks [batch, 1, length] of the two texts, each from place 0, and the ids with the second text moved there."""
    length = ids.shape[1]
    places = torch.arange(length, device=ids.device)
    first = present * (types == 0)
    start = first.sum(1, keepdim=True)
    second = (places < (present.sum(1, keepdim=True) - start)).to(present.dtype)
    moved = torch.gather(ids, 1, (places + start.to(ids.dtype)).clamp(max=length - 1))
    return first[:, None], second[:, None], moved


class AdaBert(Body):
    """The network that a configuration with a ``cell`` describes."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        edges = [(edge_name(e["from"], e["to"]), e["op"]) for e in config["cell"]["edges"]]
        if config["cell"]["nodes"] != NODES or not {edge for edge, _ in edges} <= {
            edge_name(*edge) for edge in EDGES
        }:
            raise ValueError(f"a cell has {NODES} nodes and edges among {', '.join(map(str, EDGES))}")
        super().__init__(config, config["cells"], {edge: [op] for edge, op in edges})
        self.picks: dict[str, Pick] = {edge: (op, None) for edge, op in edges}
        self.attention = nn.Parameter(torch.zeros(config["cells"] + 1))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        vectors = self.vectors((input_ids, attention_mask, token_type_ids), self.picks, len(self.cells))
        return self.answer(vectors, self.attention)


def cell_config(edges: Iterable[tuple[int, int, str]]) -> dict[str, Any]:
    """The ``cell`` of a configuration, from (source, target, operation); states 0 and 1 are what the cell reads."""
    listed = [{"from": source, "to": target, "op": op} for source, target, op in edges]
    return {"inputs": INPUTS, "nodes": NODES, "edges": listed}


def build(config: dict[str, Any], attention: str) -> AdaBert:
    return AdaBert(config)
