"""A BERT whose layers may each have their own number of heads and feed-forward neurons.

Embeddings, pooler, layer norms and the hidden width are BERT's, and so are the names of the weights; a head keeps its
width, so attention in a layer is heads x head_width wide whatever the hidden width is. :func:`cut` removes heads,
neurons and layers from a model for good: smaller matrices, not zeros. :func:`narrow_layer` computes what a cut layer
would, without cutting it, so that nested sub-models can be trained inside the whole one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite import models
from suite.errors import UserError
from suite.models.bert import Bert


class Kept(NamedTuple):
    """What a cut leaves of one layer: the layer's place, and which of its heads and neurons, in this order."""

    layer: int
    heads: Sequence[int]
    neurons: Sequence[int]


class Net(NamedTuple):
    """A part: the layers it keeps, and how many of the first heads and neurons of each."""

    layers: tuple[int, ...]
    heads: int
    neurons: int

    def kept(self) -> list[Kept]:
        return [Kept(layer, range(self.heads), range(self.neurons)) for layer in self.layers]


class Sizes(NamedTuple):
    """Width of a head, and heads and feed-forward neurons of each layer."""

    head_width: int
    heads: tuple[int, ...]
    neurons: tuple[int, ...]


class Slim(Bert):
    """``config``: as BERT's, with ``head_width``, ``layer_heads`` and ``layer_ffn`` for ``heads`` and ``ffn``."""

    def __init__(self, config: models.Config, attention: str) -> None:
        size = sizes(config)
        if (
            min(*size.heads, *size.neurons) < 1
            or not len(size.heads) == len(size.neurons) == config["layers"]
        ):
            raise ValueError(
                f"slim: every one of {config['layers']} layers needs a head and a neuron: {size}"
            )
        super().__init__({**config, "heads": 1, "ffn": 1}, attention)
        for layer, heads, neurons in zip(self.layers, size.heads, size.neurons, strict=True):
            _resize(layer, config["hidden"], size.head_width, heads, neurons)


def build(config: models.Config, attention: str) -> Slim:
    return Slim(config, attention)


def _resize(layer: Any, hidden: int, head_width: int, heads: int, neurons: int) -> None:
    attention, width = layer.attention.self, heads * head_width
    attention.num_attention_heads, attention.attention_head_size = heads, head_width
    attention.all_head_size, attention.scaling = width, head_width**-0.5
    for owner, name, inputs, outputs in (
        (attention, "query", hidden, width),
        (attention, "key", hidden, width),
        (attention, "value", hidden, width),
        (layer.attention.output, "dense", width, hidden),
        (layer.intermediate, "dense", hidden, neurons),
        (layer.output, "dense", neurons, hidden),
    ):
        linear = nn.Linear(inputs, outputs)
        nn.init.normal_(linear.weight, std=0.02)
        nn.init.zeros_(linear.bias)
        setattr(owner, name, linear)


# --- configurations -----------------------------------------------------------------------------------------


def sizes(config: models.Config) -> Sizes:
    """Of a ``bert`` or ``slim`` configuration; UserError for any other."""
    if config["architecture"] == "bert":
        layers = config["layers"]
        width = config["hidden"] // config["heads"]
        return Sizes(width, (config["heads"],) * layers, (config["ffn"],) * layers)
    if config["architecture"] == "slim":
        return Sizes(config["head_width"], tuple(config["layer_heads"]), tuple(config["layer_ffn"]))
    raise UserError(
        f"heads and neurons can be cut from bert and slim models; this one is {config['architecture']}"
    )


def resized(config: models.Config, heads: Sequence[int], neurons: Sequence[int]) -> models.Config:
    """``config`` with these numbers of heads and neurons, a layer each: plain ``bert`` where that can be said."""
    width = sizes(config).head_width
    own = ("architecture", "layers", "heads", "ffn", "head_width", "layer_heads", "layer_ffn")
    rest = {name: value for name, value in config.items() if name not in own}
    if set(heads) == {config["hidden"] // width} and len(set(neurons)) == 1 and config["hidden"] % width == 0:
        own_sizes: models.Config = {"architecture": "bert", "heads": heads[0], "ffn": neurons[0]}
    else:
        own_sizes = {
            "architecture": "slim",
            "head_width": width,
            "layer_heads": list(heads),
            "layer_ffn": list(neurons),
        }
    return {**own_sizes, "layers": len(heads), **rest}


# --- cutting ------------------------------------------------------------------------------------------------


def cut(model: Bert, config: models.Config, kept: Sequence[Kept]) -> tuple[Bert, models.Config]:
    """A model of its own with only what is ``kept``, layer by layer, and its configuration.

    Keeping everything in another order changes no answer: heads are summed, and so are neurons.
    """
    size = sizes(config)
    smaller = resized(config, [len(one.heads) for one in kept], [len(one.neurons) for one in kept])
    rest = model.state_dict().items()
    weights = {name: tensor for name, tensor in rest if not name.startswith("bert.encoder.layer.")}
    for place, one in enumerate(kept):
        layer: Any = model.layers[one.layer]
        wide = (torch.tensor(one.heads)[:, None] * size.head_width + torch.arange(size.head_width)).flatten()
        neurons = torch.tensor(one.neurons)
        state = dict(layer.state_dict())
        for name, index, axis in (
            ("attention.self.query", wide, 0),
            ("attention.self.key", wide, 0),
            ("attention.self.value", wide, 0),
            ("attention.output.dense", wide, 1),
            ("intermediate.dense", neurons, 0),
            ("output.dense", neurons, 1),
        ):
            state[f"{name}.weight"] = state[f"{name}.weight"].index_select(axis, index)
            if axis == 0:  # a bias belongs to the outputs
                state[f"{name}.bias"] = state[f"{name}.bias"].index_select(0, index)
        weights |= {f"bert.encoder.layer.{place}.{name}": tensor for name, tensor in state.items()}
    result = models.build(smaller)
    assert isinstance(result, Bert)
    result.load_state_dict(weights)
    return result, smaller


def narrow_layer(layer: Any, hidden: Tensor, mask: Tensor, heads: int, neurons: int) -> Tensor:
    """A BERT layer's output [batch, length, hidden] when it has only its first ``heads`` and ``neurons``.

    ``mask`` is additive, [batch, 1, 1, length]. Dropout is on where the layer trains, as in the layer itself.
    """
    attention, merge = layer.attention.self, layer.attention.output
    width = heads * attention.attention_head_size
    split = (*hidden.shape[:2], heads, attention.attention_head_size)
    query, key, value = (
        F.linear(hidden, part.weight[:width], part.bias[:width]).view(split).transpose(1, 2)
        for part in (attention.query, attention.key, attention.value)
    )
    context = F.scaled_dot_product_attention(
        query, key, value, mask, attention.dropout.p if layer.training else 0.0, scale=attention.scaling
    )
    context = context.transpose(1, 2).reshape(*hidden.shape[:2], width)
    mixed = F.linear(context, merge.dense.weight[:, :width], merge.dense.bias)
    hidden = merge.LayerNorm(merge.dropout(mixed) + hidden)
    expand, contract = layer.intermediate, layer.output
    inner = expand.intermediate_act_fn(
        F.linear(hidden, expand.dense.weight[:neurons], expand.dense.bias[:neurons])
    )
    outer = F.linear(inner, contract.dense.weight[:, :neurons], contract.dense.bias)
    result: Tensor = contract.LayerNorm(contract.dropout(outer) + hidden)
    return result


class Nested(nn.Module):
    """``model`` as the part ``net`` of it."""

    def __init__(self, model: Bert, net: Net) -> None:
        super().__init__()
        self.model, self.net = model, net

    def states(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> list[Tensor]:
        """Embedding output and the output of each layer kept."""
        hidden, mask = self.model.embed(input_ids, attention_mask, token_type_ids)
        states = [hidden]
        for place in self.net.layers:
            layer = self.model.layers[place]
            states.append(narrow_layer(layer, states[-1], mask, self.net.heads, self.net.neurons))
        return states

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        return self.model.head(self.states(input_ids, attention_mask, token_type_ids)[-1])
