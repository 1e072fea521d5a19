"""Augmentation by word replacement: what may change, how often, and what must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from suite.data.augment import Choices, augment
from suite.data.candidates import (
    Vocabulary,
    embedding_choices,
    masked_choices,
    nearest,
    read_vectors,
    vector_choices,
)
from suite.data.encode import Encoded
from suite.errors import UserError
from suite.pipeline.augment import predictor

WORDS = [f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60)]
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "of",
    "a",
    "7",
    ".",
    "em",
    "##bed",
    "##ding",
    *WORDS,
]
VOCABULARY = Vocabulary.of(PIECES)
AT = {piece: i for i, piece in enumerate(PIECES)}


def encoded(*texts: tuple[str, ...], labels: Any = None) -> Encoded:
    """Examples of one or two texts, given as word pieces with spaces between them."""
    ids, types, offsets = [], [], [0]
    for example in texts:
        ids.append(AT["[CLS]"])
        types.append(0)
        for segment, text in enumerate(example):
            pieces = [AT[piece] for piece in text.split()] + [AT["[SEP]"]]
            ids.extend(pieces)
            types.extend([segment] * len(pieces))
        offsets.append(len(ids))
    count = len(texts)
    return Encoded(
        ids=np.array(ids, np.int32),
        types=np.array(types, np.int8),
        offsets=np.array(offsets, np.int64),
        labels=np.arange(count) % 2 if labels is None else labels,
        rows=np.arange(count, dtype=np.int32) + 1000,
    )


def texts_of(data: Encoded) -> list[str]:
    return [
        " ".join(PIECES[i] for i in data.ids[a:b])
        for a, b in zip(data.offsets[:-1], data.offsets[1:], strict=True)
    ]


def long_texts(count: int, texts: int = 1, words: int = 12) -> Encoded:
    generator = np.random.default_rng(0)

    def text() -> str:
        middle = " ".join(generator.choice(WORDS, words))
        return f"the {middle} em ##bed ##ding of 7 ."

    return encoded(*(tuple(text() for _ in range(texts)) for _ in range(count)))


def choices_for(data: Encoded, count: int = 15) -> Choices:
    table = np.random.default_rng(1).normal(size=(len(PIECES), 8)).astype(np.float32)
    return embedding_choices(data, VOCABULARY, table, count)


def test_what_is_replaceable() -> None:
    replaceable = {p for p, yes in zip(PIECES, VOCABULARY.replaceable, strict=True) if yes}
    assert replaceable == {"em", *WORDS}
    assert not VOCABULARY.usable[[AT["[MASK]"], AT["##bed"]]].any()


def test_nearest_is_the_order_of_the_cosines() -> None:
    table = np.random.default_rng(2).normal(size=(30, 5)).astype(np.float32)
    found = nearest(table, np.array([3, 17]), 4)
    for query, row in zip((3, 17), found, strict=True):
        cosines = {}
        for other in range(30):
            if other != query:
                dot = sum(float(a) * float(b) for a, b in zip(table[query], table[other], strict=True))
                cosines[other] = dot / np.linalg.norm(table[query]) / np.linalg.norm(table[other])
        assert set(row) == set(sorted(cosines, key=lambda i: -cosines[i])[:4])


def test_the_share_replaced_is_the_probability_and_options_are_even() -> None:
    data = long_texts(600, words=40)
    choices = choices_for(data, count=4)
    assert len(choices.start) == 600 * 40 and (choices.count == 4).all()
    copy = augment(data, choices, copies=1, probability=0.4, seed=5)
    assert len(copy) == 1200  # of forty words one is always replaced
    tokens = len(data.ids)
    before, after = data.ids[choices.start], copy.ids[tokens:][choices.start]
    changed = before != after
    assert changed.mean() == pytest.approx(0.4, abs=0.01)
    rank = (choices.options[changed, :, 0] == after[changed, None]).argmax(1)
    assert np.bincount(rank, minlength=4) / changed.sum() == pytest.approx([0.25] * 4, abs=0.015)


def test_nothing_but_replaceable_words_changes() -> None:
    data = long_texts(300)
    copy = augment(data, choices_for(data), copies=2, probability=1.0, seed=5)
    assert len(copy) == 900
    for i in range(300, 900):
        mine, original = (d.ids[d.offsets[j] : d.offsets[j + 1]] for d, j in ((copy, i), (data, i % 300)))
        for a, b in zip(mine, original, strict=True):
            assert (a != b) == (PIECES[b] in WORDS)
            assert a == b or PIECES[a] in {"em", *WORDS}
    assert np.array_equal(copy.types.reshape(3, -1)[1], data.types)


def test_labels_and_rows_are_the_originals_which_come_first() -> None:
    data = long_texts(50)
    copy = augment(data, choices_for(data), copies=3, probability=0.4, seed=5)
    assert np.array_equal(copy.ids[: len(data.ids)], data.ids)
    assert np.array_equal(copy.labels, data.labels[copy.rows - 1000])
    assert copy.labels.dtype == data.labels.dtype
    scores = np.linspace(0, 5, 50, dtype=np.float32)
    regression = augment(
        Encoded(data.ids, data.types, data.offsets, scores, data.rows),
        choices_for(data),
        copies=1,
        probability=0.4,
        seed=5,
    )
    assert np.array_equal(regression.labels, scores[regression.rows - 1000])


def test_each_text_of_a_pair_is_changed_by_itself_from_its_original() -> None:
    data = long_texts(40, texts=2)
    copy = augment(data, choices_for(data), copies=4, probability=0.9, seed=5)
    assert len(copy) == 200
    stacked = copy.ids.reshape(5, -1)
    for number in range(4):
        changed = stacked[number + 1] != stacked[0]
        assert changed.any() and (data.types[changed] == number % 2).all()


def test_copies_are_distinct_and_differ_from_the_original() -> None:
    data = encoded((f"the {WORDS[1]} .",), (WORDS[0],), (WORDS[0],), ("the . of",))
    copy = augment(data, choices_for(data, count=2), copies=40, probability=0.5, seed=5)
    found = list(zip(copy.rows.tolist(), texts_of(copy), strict=True))
    assert len(set(found)) == len(found) == 3 * (1 + 2) + 1  # equal texts of two rows each keep their copies


def test_copies_are_a_function_of_the_seed() -> None:
    data = long_texts(50)
    choices = choices_for(data)
    first, again, other = (augment(data, choices, copies=2, probability=0.4, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first.ids, again.ids)
    assert not np.array_equal(first.ids, other.ids)
    frozen = augment(data, choices, copies=1, probability=0.4, seed=5)
    assert np.array_equal(frozen.ids, first.ids[: len(frozen.ids)])  # more copies leave the first ones alone


def masked_lm() -> BertForMaskedLM:
    torch.manual_seed(0)
    details = BertConfig(
        vocab_size=len(PIECES), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, initializer_range=0.5,
    )  # fmt: skip
    return BertForMaskedLM(details).eval()


def test_candidates_of_a_masked_lm() -> None:
    """Each against transformers' own answer to [masked text ; text], one word at a time, without padding."""
    model = masked_lm()
    texts = [
        (f"the {WORDS[3]} em ##bed {WORDS[4]} .", f"{WORDS[5]} of {WORDS[6]}"),
        (f"{WORDS[7]} 7", "the ."),
    ]
    data = encoded(*texts)
    told: list[tuple[int, int]] = []
    choices = masked_choices(data, VOCABULARY, predictor(model, 15), lambda a, b: told.append((a, b)), size=2)
    assert told[-1] == (5, 5)
    by_word = {int(data.ids[s]): (o[:c, 0], c) for s, o, c in zip(
        choices.start, choices.options, choices.count, strict=True
    )}  # fmt: skip
    assert sorted(by_word) == [AT[WORDS[i]] for i in (3, 4, 5, 6, 7)]
    for text in (text for pair in texts for text in pair):
        ids = [AT[piece] for piece in text.split()]
        for place, word in enumerate(ids):
            if word not in by_word:
                continue
            masked = [*ids]
            masked[place] = AT["[MASK]"]
            both = torch.tensor([[AT["[CLS]"], *masked, AT["[SEP]"], *ids, AT["[SEP]"]]])
            types = torch.tensor([[0] * (len(ids) + 2) + [1] * (len(ids) + 1)])
            with torch.no_grad():
                logits = model(input_ids=both, token_type_ids=types).logits[0, place + 1]
            top = logits.argsort(descending=True)[:15].tolist()
            wanted = [i for i in top if not PIECES[i].startswith(("##", "["))]
            assert list(by_word[word][0]) == wanted


VECTORS = """the 0 0 1
embedding 1 0 0
worday 1 0.1 0
emding 1 0.2 0
emembedded 1 0.05 0
7 1 0 0
unlike 0 1 0
"""


def tokenise(texts: Any) -> list[list[int]]:
    known = {"embedding": "em ##bed ##ding", "worday": "worday", "emding": "em ##ding", "unlike": WORDS[2]}
    longer = "em ##bed ##ding ##bed"
    return [[AT[piece] for piece in known.get(text, longer).split()] for text in texts]


def test_words_of_several_pieces_are_replaced_by_neighbours_that_fit(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(VECTORS)
    names, vectors = read_vectors(path)
    assert names == ["embedding", "worday", "emding", "emembedded", "unlike"]
    data = encoded(("the em ##bed ##ding .", "em ##bed ##ding of"), (f"{WORDS[3]} em ##bed", "a"))
    choices = vector_choices(data, VOCABULARY, names, vectors, tokenise, 2)
    assert choices.start.tolist() == [2, 7] and choices.pieces.tolist() == [3, 3]
    offered = {" ".join(PIECES[i] for i in option if i >= 0) for option in choices.options[0]}
    assert offered == {"worday", "em ##ding"}  # the nearest has four pieces
    copy = augment(data, choices, copies=2, probability=1.0, seed=3)
    assert len(copy) == 4
    first, second = texts_of(copy)[2:]
    assert first.startswith("[CLS] the ") and first.endswith(" . [SEP] em ##bed ##ding of [SEP]")
    assert second.startswith("[CLS] the em ##bed ##ding . [SEP] ") and second.endswith(" of [SEP]")
    assert copy.lengths[2] < data.lengths[0] and len(copy.types) == len(copy.ids) == copy.offsets[-1]
    assert copy.labels.tolist() == [0, 1, 0, 0]
    both = choices + choices_for(data, 3)
    assert both.options.shape == (len(both.start), 3, 3)
    assert augment(data, both, copies=2, probability=1.0, seed=3).lengths.max() <= data.lengths.max()


@pytest.mark.parametrize("text", ["", "the 0 1\nhouse 0\n", "house a b\n", "house nan 1\n"])
def test_a_damaged_vector_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(text)
    with pytest.raises(UserError, match="GloVe"):
        read_vectors(path)
