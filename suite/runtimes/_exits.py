"""Early exit over exported pieces: embeddings, then block by block until an example is sure. numpy alone.

Whatever executes a piece, the loop and the decision are these, and this file can be handed out beside the pieces: it
imports nothing of the package. A piece maps named arrays to a sequence of arrays: the embeddings
``input_ids, attention_mask, token_type_ids`` to hidden states and a mask, a block ``hidden, mask`` to hidden states
and logits. Who has left a batch is dropped from it: later blocks do not compute it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLAN = "exits.json"
SCHEMA = "lightboard/exits/1"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")

Array = NDArray[Any]
Piece = Callable[[Mapping[str, Array]], Sequence[Array]]
Tokens = NDArray[np.int64]
Floats = NDArray[np.float32]


class EarlyExit:
    """Pieces that answer; called, it gives logits alone. An example leaves where it is surer than ``speed``."""

    def __init__(self, embed: Piece, blocks: Sequence[Piece], speed: float) -> None:
        self.embed, self.blocks, self.speed = embed, blocks, np.float32(speed)

    def __call__(self, ids: Tokens, mask: Tokens, types: Tokens) -> Floats:
        return self.answer(ids, mask, types)[0]

    def answer(self, ids: Tokens, mask: Tokens, types: Tokens) -> tuple[Floats, Tokens]:
        """Logits [batch, outputs], and the number of blocks that each example went through, int64 [batch]."""
        hidden, padding = self.embed(dict(zip(INPUTS, (ids, mask, types), strict=True)))
        inside: Array = np.arange(len(ids))  # places in the batch of those still here
        exits = np.full(len(ids), len(self.blocks), np.int64)
        answers: Floats | None = None
        before: Array | None = None
        for number, block in enumerate(self.blocks, 1):
            hidden, logits = block({"hidden": hidden, "mask": padding})
            answers = np.empty((len(ids), logits.shape[-1]), np.float32) if answers is None else answers
            answers[inside] = logits
            if number == len(self.blocks):
                break
            leaves = uncertainty(logits, before) < self.speed
            exits[inside[leaves]] = number
            if leaves.all():
                break
            before = logits
            if leaves.any():
                hidden, padding, inside, before = (
                    part[~leaves] for part in (hidden, padding, inside, logits)
                )
        assert answers is not None
        return answers, exits


def uncertainty(logits: Array, before: Array | None) -> Floats:
    """[batch]: entropy over its largest value, 0 to 1. Of one output: its distance to the exit ``before``."""
    z = logits.astype(np.float32)
    if z.shape[-1] == 1:
        return np.full(len(z), np.inf, np.float32) if before is None else np.abs(z - before)[:, 0]
    z = z - z.max(-1, keepdims=True)
    spread = z - np.log(np.exp(z).sum(-1, keepdims=True))
    entropy: Floats = -(np.exp(spread) * spread).sum(-1) / np.float32(math.log(z.shape[-1]))
    return entropy


def prepare(file: Path | str, load: Callable[[Path], Piece]) -> EarlyExit:
    """The model of an ``exits.json``; ``load`` makes a piece of a file. ValueError for a plan that is none."""
    plan = json.loads(Path(file).read_text(encoding="utf-8"))
    names = [one["file"] for one in plan["pieces"]]
    if plan["schema"] != SCHEMA or len(names) < 2 or any(Path(name).name != name for name in names):
        raise ValueError(f"{file}: not a plan of embeddings and blocks beside it")
    embed, *blocks = (load(Path(file).with_name(name)) for name in names)
    return EarlyExit(embed, blocks, plan["speed"])
