"""Data augmentation by word replacement (Jiao 2020, Algorithm 1), on token ids.

:class:`Choices` say which words of a data set may be replaced and by what (:mod:`suite.data.candidates` finds them);
:func:`augment` draws copies. A copy of a pair changes one of its texts, the first and the second in turn, and always
starts from the original: the code published with the paper goes on from the last copy of the first text while it
changes the second. A replacement never has more word pieces than the word it replaces, so that no text outgrows its
length limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.data.encode import Encoded

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Choices:
    """Word w fills the tokens ``start[w]`` to ``start[w] + pieces[w]``; ``options[w, :count[w]]`` may replace it.

    ``options`` [words, most, width] holds word pieces, filled up with -1; no option is longer than its word.
    """

    start: Places
    pieces: Places
    options: NDArray[np.int32]
    count: Places

    def __add__(self, other: Choices) -> Choices:
        most, width = np.maximum(self.options.shape, other.options.shape)[1:]

        def grown(options: NDArray[np.int32]) -> NDArray[np.int32]:
            room = [(0, 0), (0, most - options.shape[1]), (0, width - options.shape[2])]
            return np.pad(options, room, constant_values=-1)

        joined = {
            n: np.concatenate([getattr(self, n), getattr(other, n)]) for n in ("start", "pieces", "count")
        }
        return Choices(options=np.concatenate([grown(self.options), grown(other.options)]), **joined)


def augment(data: Encoded, choices: Choices, *, copies: int, probability: float, seed: int) -> Encoded:
    """``data`` and after it those of ``copies`` copies of each example that differ from it and from each other.

    In a copy each word of its text that has options is replaced, with ``probability``, by a random one of them.
    """
    texts = int(data.types.max(initial=0)) + 1
    parts = [data]
    for copy in range(copies):
        generator = np.random.PCG64(np.random.SeedSequence([seed, copy]))
        chance, pick = _uniform(generator, len(choices.start)), _uniform(generator, len(choices.start))
        word = np.flatnonzero((chance < probability) & (data.types[choices.start] == copy % texts))
        options = choices.options[word, (pick[word] * choices.count[word]).astype(np.int64)]
        parts.append(_replaced(data, choices.start[word], choices.pieces[word], options))
    return _distinct(parts)


def _uniform(generator: np.random.PCG64, count: int) -> NDArray[np.float64]:
    """In [0, 1), from raw draws, whose stream numpy keeps."""
    raw: NDArray[np.uint64] = generator.random_raw(count)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _replaced(data: Encoded, start: Places, pieces: Places, options: NDArray[np.int32]) -> Encoded:
    """``data`` with ``options`` [words, width] written over the words; pieces that are left over fall out."""
    ids = data.ids.copy()
    for place in range(options.shape[1]):
        reached = pieces > place
        ids[start[reached] + place] = options[reached, place]
    kept = ids >= 0
    before = np.append(0, np.cumsum(kept))
    return replace(data, ids=ids[kept], types=data.types[kept], offsets=before[data.offsets])


def _distinct(parts: Sequence[Encoded]) -> Encoded:
    """All examples of ``parts`` (the same examples, part by part), each text kept once per example."""
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("ids", "types", "labels", "rows")
    }
    lengths = np.concatenate([part.lengths for part in parts])
    offsets = np.append(0, np.cumsum(lengths))
    whole = Encoded(offsets=offsets, **joined)
    source = np.tile(np.arange(len(parts[0])), len(parts))
    keys = np.stack([source, _hashes(whole)], 1)
    first = np.sort(np.unique(keys, axis=0, return_index=True)[1])
    kept = np.zeros(len(whole), np.bool_)
    kept[first] = True
    tokens = np.repeat(kept, lengths)
    return Encoded(
        ids=whole.ids[tokens],
        types=whole.types[tokens],
        offsets=np.append(0, np.cumsum(lengths[kept])),
        labels=whole.labels[kept],
        rows=whole.rows[kept],
    )


def _hashes(data: Encoded) -> Places:
    """A 64-bit hash of each example's tokens: the sum of a mixture of every id with its place."""
    place = np.arange(len(data.ids)) - np.repeat(data.offsets[:-1], data.lengths)
    mixed = data.ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + place.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    total = np.append(np.uint64(0), np.cumsum(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64))
    return (total[data.offsets[1:]] - total[data.offsets[:-1]]).view(np.int64)
