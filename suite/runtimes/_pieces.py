"""A model as exporters take it: in one piece, or in embeddings and blocks where its examples leave early.

A runtime exports every piece by one function of its own, ``export_piece``; what runs the pieces and decides is
:mod:`suite.runtimes._exits`. Needs torch; the processes that are timed do not import this.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from suite import models
from suite.canonical import digest_file, pretty_json
from suite.runtimes import _exits, kept

LONGEST = 512  # tokens, of models without positions
Free = Literal["batch", "length"]


@dataclass(frozen=True)
class Input:
    """A tensor that goes in: its name, its shape with the axes that are free, and a value that is one of its own."""

    name: str
    shape: tuple[int | Free, ...]
    value: int | float

    def free(self) -> dict[int, Free]:
        """Axis -> what it is, of the axes that are free."""
        return {axis: size for axis, size in enumerate(self.shape) if not isinstance(size, int)}


@dataclass(frozen=True)
class Piece:
    """A module, its inputs in the order of its arguments, and its outputs' names; at most ``longest`` tokens."""

    name: str  # of its file
    module: nn.Module
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    longest: int

    def example(self, batch: int, length: int) -> tuple[Tensor, ...]:
        """Inputs of that size, int64 where their value is whole and float32 else."""
        sizes = {"batch": batch, "length": length}
        return tuple(
            torch.full(
                [size if isinstance(size, int) else sizes[size] for size in one.shape],
                one.value,
                dtype=torch.int64 if isinstance(one.value, int) else torch.float32,
            )
            for one in self.inputs
        )


TOKENS = tuple(
    Input(name, ("batch", "length"), value) for name, value in zip(_exits.INPUTS, (1, 1, 0), strict=True)
)


def whole(model_folder: Path) -> Piece:
    """All of a model as one piece."""
    return Piece("model", models.load(model_folder), TOKENS, ("logits",), _longest(model_folder))


def pieces(model_folder: Path) -> Iterator[Piece]:
    """The embeddings and each block of a model with early exits, in order."""
    model: Any = models.load(model_folder)
    longest, width = _longest(model_folder), int(models.read_config(model_folder)["hidden"])
    yield Piece("embed", _Embed(model), TOKENS, ("hidden", "mask"), longest)
    inputs = (Input("hidden", ("batch", "length", width), 0.5), Input("mask", ("batch", 1, 1, "length"), 0.0))
    for number, block in enumerate(model.blocks, 1):
        lean = block.lean() if hasattr(block, "lean") else block
        yield Piece(f"block-{number}", lean.eval(), inputs, ("states", "logits"), longest)


def _longest(model_folder: Path) -> int:
    return int(models.read_config(model_folder).get("positions", LONGEST))


class _Embed(nn.Module):
    """A model's ``embed`` as a module."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self.model.embed(input_ids, attention_mask, token_type_ids)
        return found


def exported(module: ModuleType, identity: dict[str, Any], model_folder: Path) -> Path:
    """``exits.json`` with the pieces beside it. All speeds of the same weights share the pieces' bytes."""
    config = models.read_config(model_folder)
    shared = kept(
        {**identity, "pieces": 2, "config": {**config, "speed": None}}, _writer(module, model_folder)
    )
    return kept(
        {**identity, "pieces": 2}, lambda folder: _plan(shared.parent, folder, float(config["speed"]))
    )


def _writer(module: ModuleType, model_folder: Path) -> Any:
    def write(folder: Path) -> Path:
        files = [Path(module.export_piece(piece, folder)) for piece in pieces(model_folder)]
        listed = [
            {"file": file.name, "sha256": digest_file(file), "bytes": file.stat().st_size} for file in files
        ]
        (folder / _exits.PLAN).write_text(pretty_json({"pieces": listed}), encoding="utf-8")
        return folder / _exits.PLAN

    return write


def _plan(shared: Path, folder: Path, speed: float) -> Path:
    """The plan of one speed, and the pieces as links to the shared ones (copies where there are no links)."""
    import json

    listed = json.loads((shared / _exits.PLAN).read_text(encoding="utf-8"))["pieces"]
    for one in listed:
        try:
            os.link(shared / one["file"], folder / one["file"])
        except OSError:
            shutil.copyfile(shared / one["file"], folder / one["file"])
    content = pretty_json({"schema": _exits.SCHEMA, "speed": speed, "pieces": listed})
    (folder / _exits.PLAN).write_text(content, encoding="utf-8")
    return folder / _exits.PLAN
