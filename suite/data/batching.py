"""Batches of examples of like length, in an order that is a pure function of (seed, epoch)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suite.data.encode import Encoded

Indices = NDArray[np.int64]


def _shuffled(count: int, generator: np.random.PCG64) -> Indices:
    """A permutation from raw 64-bit draws: numpy keeps their stream, but not that of its own shuffling."""
    return np.argsort(generator.random_raw(count), kind="stable")


def batches(lengths: NDArray[np.int64], size: int, seed: int, epoch: int, bucket: int = 50) -> list[Indices]:
    """Every example once, ``ceil(n / size)`` batches of ``size`` (one may be smaller).

    Examples are shuffled, each run of ``bucket`` batches is sorted by length and cut, and the batches are
    shuffled; so a batch pads little, and which examples meet in a batch differs between epochs.
    """
    generator = np.random.PCG64(np.random.SeedSequence([seed, epoch]))
    order = _shuffled(len(lengths), generator)
    made: list[Indices] = []
    for start in range(0, len(order), bucket * size):
        group = order[start : start + bucket * size]
        group = group[np.argsort(lengths[group], kind="stable")]
        made.extend(group[i : i + size] for i in range(0, len(group), size))
    return [made[i] for i in _shuffled(len(made), generator)]


def pad(
    encoded: Encoded, index: Indices, pad_id: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The examples at ``index`` as (ids, mask, types), each int64 [len(index), longest of them].

    ``pad_id`` is BERT's: 0. The mask is 1 on tokens and 0 on padding.
    """
    starts = encoded.offsets[index]
    lengths = encoded.offsets[index + 1] - starts
    columns = np.arange(lengths.max(initial=0))
    held = columns < lengths[:, None]
    places = (starts[:, None] + columns)[held]
    ids = np.full(held.shape, pad_id, dtype=np.int64)
    types = np.zeros(held.shape, dtype=np.int64)
    ids[held] = encoded.ids[places]
    types[held] = encoded.types[places]
    return ids, held.astype(np.int64), types
