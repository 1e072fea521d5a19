"""Which words of a data set may be replaced, and by what (Jiao 2020, section 3.2): the three sources of candidates.

Replaceable are words of letters alone that are no stop words. A masked LM or the nearest word embeddings propose
candidates for words of one word piece, word vectors from a file for words of several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.data.augment import Choices, Places
from suite.data.encode import Encoded
from suite.errors import UserError

Flags = NDArray[np.bool_]
Predict = Callable[[Places, Places, Places, Places], Places]
"""(ids, mask, types, each [batch, length]; masked column [batch]) -> the likeliest ids there, best first."""

FREQUENT = 100_000  # words of a vector file that are read: it lists them by frequency
STOPPED = """
about above after again against all also although always am among an and another any are around as at be because
been before being below between both but by can could did do does doing down during each either else ever every
few for from further had has have having he her here hers herself him himself his how however if in into is it
its itself just ll may me might mine more most much must my myself neither never no nor not now of off on once
only onto or other our ours ourselves out over own per quite rather re same shall she should since so some still
such than that the their theirs them themselves then there these they this those though through thus to too under
until up upon us ve very was we were what when where whether which while who whom whose why will with within
without would yet you your yours yourself yourselves
"""
STOP_WORDS = frozenset(STOPPED.split())


@dataclass(frozen=True)
class Vocabulary:
    """Word pieces by id: which begin no word, which are whole words that may be replaced, which may replace one."""

    pieces: Sequence[str]
    inside: Flags
    replaceable: Flags
    usable: Flags

    @classmethod
    def of(cls, pieces: Sequence[str]) -> Vocabulary:
        inside = [piece.startswith("##") for piece in pieces]
        special = [piece.startswith("[") and piece.endswith("]") for piece in pieces]
        return cls(
            pieces,
            np.array(inside),
            np.array([is_replaceable(piece) for piece in pieces]),
            ~np.array(inside) & ~np.array(special),
        )


def is_replaceable(word: str) -> bool:
    """Two letters or more, nothing but letters, no stop word."""
    return len(word) > 1 and word.isalpha() and word not in STOP_WORDS


def single_words(data: Encoded, words: Vocabulary) -> Places:
    """Flat positions of the replaceable words that are one word piece."""
    ends = np.append(~words.inside[data.ids[1:]], True)
    return np.flatnonzero(words.replaceable[data.ids] & ends)


def several_piece_words(data: Encoded, words: Vocabulary) -> tuple[Places, Places]:
    """Flat positions and numbers of pieces of all words of several pieces, replaceable or not."""
    begins = np.append(np.flatnonzero(~words.inside[data.ids]), len(data.ids))
    pieces = np.diff(begins)
    return begins[:-1][pieces > 1], pieces[pieces > 1]


def nearest(
    table: NDArray[np.float32],
    queries: Places,
    count: int,
    sizes: Places | None = None,
    limits: Places | None = None,
) -> Places:
    """The ``count`` rows of ``table`` nearest to each row of ``queries`` by cosine, itself left out: [queries, count].

    Only rows whose ``sizes`` do not exceed the query's ``limits`` count, where these are given; -1 where there are
    no more.
    """
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    count = min(count, len(table) - 1)
    if count == 0:
        return np.zeros((len(queries), 0), np.int64)
    found = [np.zeros((0, count), np.int64)]
    for first in range(0, len(queries), 512):
        chunk = queries[first : first + 512]
        cosine = unit[chunk] @ unit.T
        cosine[np.arange(len(chunk)), chunk] = -np.inf
        if sizes is not None and limits is not None:
            cosine[sizes[None] > limits[first : first + 512, None]] = -np.inf
        best = np.sort(np.argpartition(-cosine, count - 1, axis=1)[:, :count], axis=1)
        found.append(np.where(np.isfinite(np.take_along_axis(cosine, best, 1)), best, -1))
    return np.concatenate(found)


def _choices(start: Places, pieces: Places, options: NDArray[np.int32]) -> Choices:
    """Choices from ``options`` whose first piece is -1 where there is none, in any place."""
    order = np.argsort(options[:, :, 0] < 0, axis=1, kind="stable")
    options = np.take_along_axis(options, order[:, :, None], 1)
    count = (options[:, :, 0] >= 0).sum(1)
    some = count > 0
    return Choices(start[some], pieces[some], options[some], count[some])


def embedding_choices(data: Encoded, words: Vocabulary, table: NDArray[np.float32], count: int) -> Choices:
    """For each word of one piece the ``count`` replaceable words nearest to it in ``table`` [vocabulary, hidden]."""
    start = single_words(data, words)
    allowed = np.flatnonzero(words.replaceable)
    met, which = np.unique(data.ids[start], return_inverse=True)
    near = nearest(table[allowed], np.searchsorted(allowed, met), count)
    options = np.where(near < 0, -1, allowed[near]).astype(np.int32)
    return _choices(start, np.ones(len(start), np.int64), options[which][:, :, None])


def masked_choices(
    data: Encoded, words: Vocabulary, predict: Predict, progress: Callable[[int, int], None], size: int = 64
) -> Choices:
    """For each word of one piece what a masked LM, given [masked text ; text], holds likeliest in its place.

    Continuation pieces and special tokens are discarded, so fewer may remain; the word itself may be among them.
    """
    start = single_words(data, words)
    cls, sep, mask = (words.pieces.index(name) for name in ("[CLS]", "[SEP]", "[MASK]"))
    borders = np.flatnonzero((data.ids == cls) | (data.ids == sep))
    after = np.searchsorted(borders, start)
    begin, end = borders[after - 1] + 1, borders[after]
    order = np.argsort(end - begin, kind="stable")  # texts of like length together
    found: list[NDArray[np.int32]] = []
    for first in range(0, len(order), size):
        batch = order[first : first + size]
        lengths = 2 * (end - begin)[batch] + 3
        ids = np.zeros((len(batch), lengths.max()), np.int64)
        types = np.zeros_like(ids)
        place = start[batch] - begin[batch] + 1
        for row, word in enumerate(batch):
            text = data.ids[begin[word] : end[word]]
            ids[row, : lengths[row]] = np.concatenate([[cls], text, [sep], text, [sep]])
            types[row, len(text) + 2 : lengths[row]] = 1
        ids[np.arange(len(batch)), place] = mask
        held = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
        top = predict(ids, held, types, place)
        found.append(np.where(words.usable[top], top, -1).astype(np.int32))
        progress(first + len(batch), len(order))
    options = np.concatenate(found) if found else np.zeros((0, 1), np.int32)
    return _choices(start[order], np.ones(len(order), np.int64), options[:, :, None])


def read_vectors(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    """The replaceable ones among the first 100,000 words of a GloVe text file, and their vectors."""
    names: list[str] = []
    rows: list[NDArray[np.float32]] = []
    width = 0
    with path.open(encoding="utf-8") as stream:
        for number, line in zip(range(1, FREQUENT + 1), stream, strict=False):
            name, *values = line.rstrip().split(" ")
            try:
                row = np.array(values, np.float32)
            except ValueError:
                row = np.zeros(0, np.float32)
            width = width or len(row)
            if not width or len(row) != width or not np.isfinite(row).all():
                raise UserError(f"{path}: line {number} is not a word and its vector; name a GloVe text file")
            if is_replaceable(name):
                names.append(name)
                rows.append(row)
    if not rows:
        raise UserError(f"{path}: no word of letters in it; name a GloVe text file")
    return names, np.stack(rows)


def vector_choices(
    data: Encoded,
    words: Vocabulary,
    names: Sequence[str],
    vectors: NDArray[np.float32],
    tokenise: Callable[[Sequence[str]], list[list[int]]],
    count: int,
) -> Choices:
    """For each word of several pieces the ``count`` nearest of ``names`` that have no more pieces than it."""
    start, pieces = several_piece_words(data, words)
    width = int(pieces.max(initial=1))
    columns = np.arange(width)
    places = np.minimum(start[:, None] + columns, len(data.ids) - 1)
    spelt = np.where(columns < pieces[:, None], data.ids[places], -1)
    met, which = np.unique(spelt, axis=0, return_inverse=True)
    texts = ["".join(words.pieces[i].removeprefix("##") for i in row if i >= 0) for row in met]
    known = {name: place for place, name in enumerate(names)}
    queries = np.array([known.get(text, -1) if is_replaceable(text) else -1 for text in texts], np.int64)

    tokens = tokenise(names)
    sizes = np.array([len(t) for t in tokens], np.int64)
    filled = np.full((len(names), width), -1, np.int32)
    for row, ids in enumerate(tokens):
        filled[row, : min(width, len(ids))] = ids[:width]
    asked = np.flatnonzero(queries >= 0)
    near = nearest(vectors, queries[asked], count, sizes, (met[asked] >= 0).sum(1))
    options = np.full((len(met), near.shape[1], width), -1, np.int32)
    options[asked] = np.where(near[:, :, None] < 0, -1, filled[near])
    return _choices(start, pieces, options[which.ravel()])
