"""Where batches come from: every batch is a pure function of (seed, step), so resuming needs no state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from suite.data.batching import batches, pad
from suite.data.encode import Encoded
from suite.training.device import tensor


class Batch(NamedTuple):
    """int64 [batch, length] x 3, labels [batch], and further columns picked for the same examples."""

    ids: Tensor
    mask: Tensor
    types: Tensor
    labels: Tensor
    extra: Mapping[str, Tensor]

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.ids, self.mask, self.types


class Feed(Protocol):
    """``len`` batches an epoch; ``batch(step)`` goes on over epochs for ever."""

    def __len__(self) -> int: ...

    def batch(self, step: int) -> Batch: ...


def make_batch(data: Encoded, index: np.ndarray, extra: Mapping[str, np.ndarray] | None = None) -> Batch:
    """The examples of ``index`` padded to the longest of them."""
    ids, mask, types = map(tensor, pad(data, index))
    return Batch(
        ids, mask, types, tensor(data.labels[index]), {k: tensor(v[index]) for k, v in (extra or {}).items()}
    )


def chosen(count: int, examples: int, seed: int) -> np.ndarray:
    """At most ``examples`` of ``count`` places at random, for what needs only a sample of the data."""
    return np.random.default_rng(seed).permutation(count)[:examples]


def sorted_batches(data: Encoded, index: np.ndarray, size: int = 32) -> Iterator[Batch]:
    """The examples of ``index``, shortest first, so that little is padded."""
    index = index[np.argsort(data.lengths[index], kind="stable")]
    for start in range(0, len(index), size):
        yield make_batch(data, index[start : start + size])


@dataclass
class TaskFeed:
    """Length-bucketed, reshuffled every epoch. ``extra`` holds columns aligned with the examples (teacher logits)."""

    data: Encoded
    size: int
    seed: int
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    _order: tuple[int, list[np.ndarray]] = field(default=(-1, []), repr=False)

    def __len__(self) -> int:
        return -(-len(self.data) // self.size)

    def batch(self, step: int) -> Batch:
        epoch, position = divmod(step, len(self))
        if self._order[0] != epoch:
            self._order = (epoch, batches(self.data.lengths, self.size, self.seed, epoch))
        return make_batch(self.data, self._order[1][position], self.extra)


def logits_of(model: nn.Module, data: Encoded, size: int = 64) -> np.ndarray:
    """Logits [examples, outputs] float32, batches sorted by length so that little is padded."""
    return outputs_of(model, data, size)


def answers_of(model: nn.Module, data: Encoded, size: int = 64) -> tuple[np.ndarray, np.ndarray | None]:
    """The logits, and the exit each example took (int64 [examples]) where the model has early exits."""
    if not getattr(model, "adaptive", False):
        return logits_of(model, data, size), None
    leaving: Any = model

    def both(*inputs: Tensor) -> Tensor:
        logits, exits = leaving.forward_exits(*inputs)
        return torch.cat([logits, exits[:, None].to(logits.dtype)], 1)

    found = outputs_of(both, data, size)
    return found[:, :-1].copy(), found[:, -1].astype(np.int64)


def outputs_of(function: Callable[..., Tensor], data: Encoded, size: int = 64) -> np.ndarray:
    """Rows of ``function(ids, mask, types)`` [batch, width] for every example, float32 [examples, width]."""
    order = np.argsort(data.lengths, kind="stable")
    result: np.ndarray | None = None
    with torch.inference_mode():
        for start in range(0, len(order), size):
            index = order[start : start + size]
            rows = function(*make_batch(data, index).inputs).float().cpu().numpy()
            if result is None:
                result = np.empty((len(data), rows.shape[1]), np.float32)
            result[index] = rows
    assert result is not None
    return result
