"""Architectures, one module each, found by existing.

A model is a folder: ``config.json`` with ``{"architecture": NAME, ...}``, ``model.safetensors`` and, where text
goes in, ``tokenizer.json``. Each module of this package has ``build(config, attention) -> nn.Module`` whose
``forward(input_ids, attention_mask, token_type_ids)`` takes three int64 tensors [batch, length] and gives
logits [batch, outputs], float32.

An architecture whose time depends on its input says ``ADAPTIVE = True``. A model with early exits also has
``adaptive`` (whether it has exits before the last), ``embed`` (hidden states and an additive mask of the three
inputs), ``blocks`` (called in order on those two, each giving hidden states and logits, so that an example that leaves
at exit k has been through the first k), ``every_exit`` (the logits of all exits, through all blocks, without control
flow that depends on data: what it costs is counted there), ``forward_exits`` (logits, and the exit each example took,
int64 [batch], 1 is the first) and ``uncertainties`` ([batch, exits - 1]; who is below ``speed`` leaves). ``speed`` is
in its configuration; 0 switches early exits off, and only then can the model be exported as one graph. Otherwise
``embed`` and each block, or what its ``lean()`` gives in its place, are exported by themselves, and
:mod:`suite.runtimes._exits` decides between them.

A module whose authors count arithmetic in a way of their own has ``published_flops(config, tokens)``: one example's
FLOPs as they would publish them, which ``lightboard cost --published`` prints beside ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.canonical import pretty_json
from suite.paths import load_module

if TYPE_CHECKING:
    from torch import Tensor, nn

Config = dict[str, Any]


def build(config: Config, *, device: str | None = None, attention: str = "sdpa") -> nn.Module:
    """A freshly initialised model in evaluation mode, on torch's default device; ``device="meta"`` builds it without
    memory."""
    import torch

    with torch.device(device or torch.get_default_device()):
        module: nn.Module = load_module("models", config["architecture"]).build(config, attention)
    return module.eval()


def save(model: nn.Module, config: Config, folder: Path) -> None:
    """Write a model folder (without tokenizer)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(pretty_json(config), encoding="utf-8")
    save_tensors(model.state_dict(), folder / "model.safetensors")


def save_tensors(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write tensors by name, wherever they lie."""
    from safetensors.torch import save_file

    here = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(here, file, metadata={"format": "pt"})


def read_config(folder: Path) -> Config:
    config: Config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


def load(folder: Path, *, attention: str = "sdpa", **changes: Any) -> nn.Module:
    """The model of a folder, weights in place, in evaluation mode; ``changes`` to its configuration, as dropout=0."""
    from safetensors.torch import load_file

    model = build({**read_config(folder), **changes}, attention=attention)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model
