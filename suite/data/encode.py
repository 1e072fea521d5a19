"""Texts as token ids: one pass of the fast tokenizer per split, kept ragged in flat arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import UserError
from suite.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset

CHUNK = 4096  # rows per tokenizer call: bounds the memory that its Python objects take


@dataclass(frozen=True)
class Encoded:
    """Examples without padding. Example i holds tokens ``offsets[i]:offsets[i + 1]``."""

    ids: NDArray[np.int32]  # [tokens]
    types: NDArray[np.int8]  # [tokens], 1 in the second text
    offsets: NDArray[np.int64]  # [examples + 1]
    labels: NDArray[Any]  # [examples], int64 or float32
    rows: NDArray[np.int32]  # [examples], the data set's "row"

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example, special ones included, shape [examples]."""
        return np.diff(self.offsets)

    def take(self, index: NDArray[np.int64]) -> Encoded:
        """The examples at ``index``, in that order."""
        places = [np.arange(self.offsets[i], self.offsets[i + 1]) for i in index]
        flat = np.concatenate(places) if places else np.zeros(0, np.int64)
        offsets = np.concatenate([[0], np.cumsum(self.lengths[index])]).astype(np.int64)
        return Encoded(self.ids[flat], self.types[flat], offsets, self.labels[index], self.rows[index])

    def save(self, path: Path) -> None:
        """One ``.npy`` per array in the folder ``path``, which is made."""
        path.mkdir(parents=True, exist_ok=True)
        for part in fields(self):
            np.save(path / f"{part.name}.npy", getattr(self, part.name), allow_pickle=False)

    @classmethod
    def load(cls, path: Path) -> Encoded:
        """What :meth:`save` wrote."""
        return cls(**{f.name: np.load(path / f"{f.name}.npy", allow_pickle=False) for f in fields(cls)})


def load_tokenizer(folder: Path | str) -> Any:
    """The fast tokenizer of a model folder; UserError where there is none."""
    from transformers import AutoTokenizer

    if not (Path(folder) / "tokenizer.json").is_file() and not (Path(folder) / "vocab.txt").is_file():
        raise UserError(f"{folder}: found no tokenizer.json, expected a model folder with its tokenizer")
    return AutoTokenizer.from_pretrained(str(folder), use_fast=True, trust_remote_code=False)


def unpadded(tokenizer: Any, max_length: int) -> Any:
    """A copy of what does a fast tokenizer's work, as :func:`encode` uses it; UserError for another."""
    from tokenizers import Tokenizer

    if not hasattr(tokenizer, "backend_tokenizer"):
        raise UserError(f"{type(tokenizer).__name__} is not a fast tokenizer; use one with a tokenizer.json")
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_padding()
    backend.enable_truncation(max_length, strategy="longest_first")
    return backend


def encode(dataset: Dataset, task: Task, tokenizer: Any, max_length: int) -> Encoded:
    """Tokenise a split (columns ``row``, ``a``, perhaps ``b``, ``label``) to at most ``max_length`` tokens.

    Nothing is padded; pairs are cut longest text first. The tokenizer itself is left as it was: padding and
    truncation that its file may carry (a sentence encoder's carries both) apply to neither side.
    """
    backend = unpadded(tokenizer, max_length)
    ids: list[NDArray[np.int32]] = []
    types: list[NDArray[np.int8]] = []
    lengths: list[int] = []
    for start in range(0, len(dataset), CHUNK):
        part = dataset[start : start + CHUNK]
        texts = list(zip(part["a"], part["b"], strict=True)) if "b" in part else part["a"]
        for encoding in backend.encode_batch_fast(texts):
            ids.append(np.array(encoding.ids, dtype=np.int32))
            types.append(np.array(encoding.type_ids, dtype=np.int8))
            lengths.append(len(ids[-1]))
    columns = dataset[:]
    return Encoded(
        ids=np.concatenate(ids) if ids else np.zeros(0, np.int32),
        types=np.concatenate(types) if types else np.zeros(0, np.int8),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=np.array(columns["label"], dtype=np.float32 if task.regression else np.int64),
        rows=np.array(columns["row"], dtype=np.int32),
    )
