"""Generated tasks and corpus: what the `demo` track runs on, with no download and no licence to mind.

`mood` asks whether a sentence speaks well of something, `same` whether two sentences mean the same. Both are
written by a seeded generator from the words of :mod:`suite.data.lexicon`, so that a score means something:

* train and dev have no opinion word, subject, synonym or opposite in common, so n-grams seen in training
  say next to nothing;
* `mood` adds denial (`far from tasty`) and concession (`although the soup was bland, the bread was fresh`:
  the main clause counts, or what follows `but`), in which the same words stand under both labels;
* `same` replaces words by synonyms under both labels; in a different pair some are replaced by opposites or
  by unrelated words, or the sentences have little in common, the easy part (word overlap tells it).

The same seed gives the same rows on every platform and Python version: of the standard generator only
`random()` is used, whose sequence the language guarantees (`choice` and `shuffle` have changed).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, NotRequired, TypedDict, TypeVar

from suite.data.lexicon import MOOD, SAME, Domain, Opposites, SameWords
from suite.errors import UserError
from suite.tasks import Task

T = TypeVar("T")

TRAIN_ROWS = 1_200  # the selection split is taken out of these
DEV_ROWS = 2_000  # accuracy near 90 has a standard error of 0.7 points


class Row(TypedDict):
    """One example: its text or pair of texts and the index of its label."""

    a: str
    b: NotRequired[str]
    label: int


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="mood",
            title="Mood (generated)",
            columns=("sentence",),
            label="label",
            labels=("negative", "positive"),
            metrics=("accuracy",),
            folder="mood",
            files={"train": "train.tsv", "dev": "dev.tsv"},
            official_rows={"train": TRAIN_ROWS, "dev": DEV_ROWS},
            note="Generated sentences; train and dev have no opinion word in common.",
        ),
        Task(
            name="same",
            title="Same meaning (generated)",
            columns=("sentence1", "sentence2"),
            label="label",
            labels=("different", "same"),
            metrics=("accuracy",),
            folder="same",
            files={"train": "train.tsv", "dev": "dev.tsv"},
            official_rows={"train": TRAIN_ROWS, "dev": DEV_ROWS},
            note="Generated pairs; train and dev have no synonym or opposite in common.",
        ),
    )
}


def examples(name: str, seed: int = 7) -> tuple[list[Row], list[Row]]:
    """The 1,200 training and 2,000 dev rows of a generated task, distinct, half of each label.

    UserError when no generated task has that name.
    """
    writers: dict[str, Callable[[_Dice, str, int], Row]] = {
        "mood": lambda dice, side, label: _mood(dice, MOOD[side], label),
        "same": lambda dice, side, label: _same(dice, SAME[side], label),
    }
    if name not in writers:
        raise UserError(f"no generated task {name!r}; there are {', '.join(writers)}")
    dice, write = _Dice(seed), writers[name]
    seen: set[tuple[str, ...]] = set()
    train = _distinct(dice, lambda label: write(dice, "train", label), TRAIN_ROWS, seen)
    dev = _distinct(dice, lambda label: write(dice, "dev", label), DEV_ROWS, seen)
    return train, dev


def corpus(lines: int, seed: int = 7) -> list[str]:
    """Plain sentences for general distillation, one a line, in the words of both sides of both tasks.

    No sentence of a task is among them: each of these names someone, and no task's does.
    """
    return list(_gossip(_Dice(seed), lines))


class _Dice:
    """Choices from a seed; see the module's text for why `random.Random`'s own are not used."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def below(self, limit: int) -> int:
        return int(self._random.random() * limit)

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        mixed = list(items)
        for last in range(len(mixed) - 1, 0, -1):
            other = self.below(last + 1)
            mixed[last], mixed[other] = mixed[other], mixed[last]
        return mixed


def _distinct(dice: _Dice, write: Callable[[int], Row], count: int, seen: set[tuple[str, ...]]) -> list[Row]:
    """`count` shuffled rows, half of each label, none of them in `seen` (a pair counts in either order)."""
    rows: list[Row] = []
    while len(rows) < count:
        row = write(len(rows) % 2)
        key = tuple(sorted((row["a"], row.get("b", ""))))
        if key not in seen:
            seen.add(key)
            rows.append(row)
    return dice.shuffled(rows)


def _sentence(clause: str) -> str:
    return clause[0].upper() + clause[1:] + "."


# mood

_STRENGTHS = ("", "", "", "", "really ", "truly ", "quite ")
_DENIALS = ("not", "not", "hardly", "never", "far from", "anything but")
_LEADS = ("", "", "", "to be fair, ", "in the end, ", "I must say ")
_TAILS = ("", "", "", " this time", " once again", " on Sunday", " last night")
_AGREEMENTS = ("{aside} and {point}", "{aside}, and {point}")
_CONTRASTS = (
    "{aside}, but {point}",
    "{aside}, yet {point}",
    "although {aside}, {point}",
    "even though {aside}, {point}",
    "{point}, although {aside}",
    "{point}, even though {aside}",
)


def _mood(dice: _Dice, domains: tuple[Domain, ...], label: int) -> Row:
    """60% one clause (of these 15% denied, 17% events), 20% two that agree, 20% a concession and its point.

    The shares decide how hard the task is: with twice the concessions a student of three layers learns
    nothing from 1,080 rows, not even the plain ones, and could not be told from one that is broken.
    """
    good = bool(label)
    domain = dice.pick(domains)
    subject, other = dice.shuffled(domain.subjects)[:2]
    if dice.chance(0.6):
        denied = dice.chance(0.15)
        if not denied and dice.chance(0.2):
            clause = dice.pick(domain.good_events if good else domain.bad_events)
        else:
            clause = _verdict(dice, domain, subject, good, denied) + dice.pick(_TAILS)
        return {"a": _sentence(dice.pick(_LEADS) + clause), "label": label}
    agree = dice.chance(0.5)
    denial = 0.0 if agree else 0.15
    aside = _clause(dice, domain, subject, good if agree else not good, denial)
    point = _clause(dice, domain, other, good, denial)
    pattern = dice.pick(_AGREEMENTS if agree else _CONTRASTS)
    return {"a": _sentence(pattern.format(aside=aside, point=point)), "label": label}


def _clause(dice: _Dice, domain: Domain, subject: str, good: bool, denial: float) -> str:
    if dice.chance(0.2):
        return dice.pick(domain.good_events if good else domain.bad_events)
    return _verdict(dice, domain, subject, good, dice.chance(denial))


def _verdict(dice: _Dice, domain: Domain, subject: str, good: bool, denied: bool) -> str:
    """`the soup was really tasty`, or `the soup was far from bland`: the opposite word, denied."""
    adjective = dice.pick(domain.good if good != denied else domain.bad)
    return f"the {subject} was {dice.pick(_DENIALS) + ' ' if denied else dice.pick(_STRENGTHS)}{adjective}"


# same


class _Slot(NamedTuple):
    phrase: str
    synonym: str
    different: str


_Pattern = tuple[str, list[_Slot]]  # a clause with numbered holes, and what can stand in each


def _same(dice: _Dice, words: SameWords, label: int) -> Row:
    """Word overlap says little: under both labels some phrases are kept and others replaced.

    Same: 30% have all phrases replaced by synonyms, the rest a random number of them. Different: 35% are two
    sentences written apart; in most others all phrases are replaced, and most of the replaced ones differ.
    """
    write = dice.pick((_person, _place, _visit, _deed))
    clause, slots = write(dice, words)
    phrases = [slot.phrase for slot in slots]
    row: Row = {"a": _sentence(clause.format(*phrases)), "label": label}
    if not label and dice.chance(0.35):
        clause, apart = write(dice, words)
        while any(new.phrase in old for old, new in zip(slots, apart, strict=True)):
            clause, apart = write(dice, words)
        phrases = [slot.phrase for slot in apart]
    else:
        changed = len(slots) if dice.chance(0.3 if label else 0.9) else 1 + dice.below(len(slots))
        different = 0 if label else changed if dice.chance(0.9) else 1
        for rank, hole in enumerate(dice.shuffled(range(len(slots)))[:changed]):
            phrases[hole] = slots[hole].different if rank < different else slots[hole].synonym
    row["b"] = _sentence(clause.format(*phrases))
    return row


def _person(dice: _Dice, words: SameWords) -> _Pattern:
    clause = dice.pick(("the {0} was {1}", "the {0} seemed {1}", "the {0} is {1}"))
    return clause, [_slot(dice, words.people), _slot(dice, words.traits)]


def _place(dice: _Dice, words: SameWords) -> _Pattern:
    clause = dice.pick(("the PLACE was {0}", "the PLACE looked {0}", "they liked the {0} PLACE"))
    return clause.replace("PLACE", dice.pick(words.places)), [_slot(dice, words.qualities)]


def _visit(dice: _Dice, words: SameWords) -> _Pattern:
    clause = dice.pick(
        ("the {0} came to the {1} PLACE", "the {0} left the {1} PLACE", "the {0} waited near the {1} PLACE")
    )
    slots = [_slot(dice, words.people), _slot(dice, words.qualities)]
    return clause.replace("PLACE", dice.pick(words.places)), slots


def _deed(dice: _Dice, words: SameWords) -> _Pattern:
    deed = dice.pick(words.deeds)
    # only the opposite verb differs: another deed's might not fit the object
    slots = [_slot(dice, words.people), _slot(dice, (deed.verbs,))]
    return f"the {{0}} {{1}} the {dice.pick(deed.objects)}", slots


def _slot(dice: _Dice, groups: Sequence[Opposites]) -> _Slot:
    """A phrase with its synonym, and its opposite (40%) or a phrase of another group (60%)."""
    group = dice.pick(groups)
    meaning, opposite = (group.one, group.other) if dice.chance(0.5) else (group.other, group.one)
    phrase, synonym = meaning if dice.chance(0.5) else meaning[::-1]
    others = [phrase for other in groups if other is not group for phrase in other.phrases]
    return _Slot(phrase, synonym, dice.pick(others if others and dice.chance(0.6) else opposite))


# corpus

_NAMES = (
    *("Alice", "Ben", "Carla", "David", "Emma", "Frank", "Grace", "Henry", "Irene", "Jack"),
    *("Karen", "Leo", "Maria", "Nora", "Oscar", "Paula", "Robert", "Susan", "Thomas", "Victor"),
)
_TIMES = ("On Monday", "Last week", "In May", "Two years ago", "Before lunch", "At the weekend", "In winter")
_COMPANY = ("", "", " with two friends", " after work", " on the way home", " before dinner", " with a dog")


def _gossip(dice: _Dice, lines: int) -> Iterator[str]:
    """Repeats are rare, and left in as a corpus would have them."""
    domains = [domain for side in MOOD.values() for domain in side]
    sides = tuple(SAME.values())
    for _ in range(lines):
        name, other = dice.shuffled(_NAMES)[:2]
        time, domain, words = dice.pick(_TIMES), dice.pick(domains), dice.pick(sides)
        match dice.below(5):
            case 0:
                verdict = _verdict(
                    dice, domain, dice.pick(domain.subjects), dice.chance(0.5), dice.chance(0.2)
                )
                yield f"{name} {dice.pick(('told', 'wrote to', 'reminded'))} {other} that {verdict}."
            case 1:
                yield f"{time}, {name} said that {dice.pick(domain.good_events + domain.bad_events)}."
            case 2:
                clause = _filled(dice.pick((_person, _place))(dice, words))
                yield f"{name} heard from {other} that {clause}."
            case 3:
                clause = _filled(dice.pick((_visit, _deed))(dice, words))
                yield f"{time}, {clause}{dice.pick(_COMPANY)}, and {name} met {other}."
            case _:
                clause = _filled(_deed(dice, words))
                yield f"{name} was in the {dice.pick(words.places)} when {clause}."


def _filled(pattern: _Pattern) -> str:
    clause, slots = pattern
    return clause.format(*(slot.phrase for slot in slots))
