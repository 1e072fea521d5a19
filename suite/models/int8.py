"""Any model with its linear layers, and its tables if wanted, in 8 bits: post-training quantisation.

Weights are signed, symmetric, one scale for each output channel (a row of a table); they lie in the file as int8.
Activations are unsigned with a zero point: one range for a whole tensor of one example, either seen at the moment
over the example's real tokens (``dynamic``) or measured beforehand (``static``). So neither the batch nor the padding
changes an example's answer. Products are of whole numbers held as floats, then scaled: what int32 accumulation gives,
up to the rounding of a float sum. Sizes and answers are those of an int8 model; speed is a runtime's, not this code's.

Configuration: ``{"architecture": "int8", "base": {...}, "activations": "dynamic" | "static", "embeddings": bool}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite import models
from suite.errors import UserError
from suite.paths import load_module

LARGEST = 127  # of a weight, either sign
STEPS = 255  # between an activation range's ends


class Real:
    """The attention mask [batch, length] of the call that is running, for the layers that need it."""

    mask: Tensor | None = None


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(int8 as ``weight`` [rows, columns], scale [rows]); a row of zeros has scale 1."""
    largest = weight.abs().amax(1)
    scale = torch.where(largest > 0, largest / LARGEST, torch.ones_like(largest))
    return (weight / scale[:, None]).round().clamp(-LARGEST, LARGEST).to(torch.int8), scale


class _Rows(nn.Module):
    """``codes`` int8 [rows, columns] with a ``scale`` for each row."""

    codes: nn.Parameter
    scale: Tensor

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.zeros(rows, columns, dtype=torch.int8), requires_grad=False)
        self.register_buffer("scale", torch.ones(rows))

    @property
    def weight(self) -> Tensor:
        """What the codes stand for, for an architecture that reads the matrix itself."""
        return self.codes.to(self.scale.dtype) * self.scale[:, None]


class Int8Embedding(_Rows):
    is_table = True  # as nn.Embedding is, for those who count

    def forward(self, ids: Tensor) -> Tensor:
        return self.codes[ids].to(self.scale.dtype) * self.scale[ids][..., None]


class Int8Linear(_Rows):
    """``range`` [2]: lowest and highest activation, where static; else each example has its own."""

    range: Tensor

    def __init__(self, outputs: int, inputs: int, bias: bool, static: bool, real: Real) -> None:
        super().__init__(outputs, inputs)
        self.real, self.static = real, static
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        if static:
            self.register_buffer("range", torch.tensor([0.0, 1.0]))

    def ends(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Lowest (at most 0) and highest (at least 0) activation, shaped to go with ``x``."""
        if self.static:
            return self.range[0], self.range[1]
        rest = tuple(range(1, x.dim()))
        if x.dim() == 3:  # [batch, length, features]; what padding holds is no part of the example
            assert self.real.mask is not None
            x = x * self.real.mask[:, :, None].to(x.dtype)
        return x.amin(rest, keepdim=True).clamp(max=0.0), x.amax(rest, keepdim=True).clamp(min=0.0)

    def forward(self, x: Tensor) -> Tensor:
        low, high = self.ends(x)
        step = ((high - low) / STEPS).clamp(min=torch.finfo(x.dtype).tiny)
        zero = (-low / step).round()
        whole = ((x / step).round() + zero).clamp(0.0, float(STEPS)) - zero
        y = F.linear(whole, self.codes.to(x.dtype)) * (step * self.scale)
        return y if self.bias is None else y + self.bias


class Int8(nn.Module):
    """``model``: the base architecture with its layers replaced."""

    def __init__(self, base: nn.Module, activations: str, embeddings: bool) -> None:
        super().__init__()
        self.model, self.real = base, Real()
        for owner, name, part in parts(base, embeddings):
            new: nn.Module
            if isinstance(part, nn.Linear):
                size = part.out_features, part.in_features
                new = Int8Linear(*size, part.bias is not None, activations == "static", self.real)
            else:
                new = Int8Embedding(*part.weight.shape)
            setattr(owner, name, new)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        self.real.mask = attention_mask
        try:
            logits: Tensor = self.model(input_ids, attention_mask, token_type_ids)
        finally:
            self.real.mask = None
        return logits


def parts(model: nn.Module, embeddings: bool) -> Iterator[tuple[nn.Module, str, Any]]:
    """(owner, attribute, module) of everything to be quantised, listed before anything is replaced."""
    kinds = (nn.Linear, nn.Embedding) if embeddings else (nn.Linear,)
    found = [
        (owner, name, part)
        for owner in model.modules()
        for name, part in owner.named_children()
        if isinstance(part, kinds)
    ]
    if not any(isinstance(part, nn.Linear) for _, _, part in found):
        raise UserError(f"int8: a {type(model).__name__} model has no linear layers")
    return iter(found)


def build(config: models.Config, attention: str) -> Int8:
    base = config["base"]
    module = load_module("models", base["architecture"]).build(base, attention)
    return Int8(module, config["activations"], config["embeddings"])


def quantised_config(base: models.Config, activations: str, embeddings: bool) -> models.Config:
    if base["architecture"] == "int8":
        raise UserError("int8: the model is in 8 bits already; name one such modifier, last")
    if getattr(load_module("models", base["architecture"]), "ADAPTIVE", False):
        raise UserError(
            f"int8: a {base['architecture']} model's examples may leave early, which is not done in 8 bits"
        )
    known: models.Config = {name: base[name] for name in ("outputs", "positions") if name in base}
    return {
        "architecture": "int8",
        "activations": activations,
        "embeddings": embeddings,
        **known,
        "base": dict(base),
    }


def quantise(
    model: nn.Module,
    base: models.Config,
    *,
    embeddings: bool,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[Int8, models.Config]:
    """``model`` in 8 bits, and its configuration. ``ranges`` by the linear layer's name: static; else dynamic."""
    config = quantised_config(base, "dynamic" if ranges is None else "static", embeddings)
    result = models.build(config)
    assert isinstance(result, Int8)
    weights = model.state_dict()
    for name, part in result.model.named_modules():
        if isinstance(part, _Rows):
            codes, scale = quantise_rows(weights.pop(f"{name}.weight"))
            weights |= {f"{name}.codes": codes, f"{name}.scale": scale}
        if isinstance(part, Int8Linear) and ranges is not None:
            weights[f"{name}.range"] = torch.tensor(ranges[name])
    result.model.load_state_dict(weights)
    return result, config
