"""draft"""

from __future__ import annotations
import random
from collections.abc import Callable, Sequence
from typing import NotRequired, TypedDict, TypeVar
from suite.data.lexicon import MOOD, SAME
from suite.tasks import Task

T = TypeVar("T")


class Row(TypedDict):
    a: str
    b: NotRequired[str]
    label: int


class _Draw:
    def __init__(self, seed):
        self._r = random.Random(seed)

    def below(self, n):
        return int(self._r.random() * n)

    def chance(self, p):
        return self._r.random() < p

    def pick(self, seq):
        return seq[self.below(len(seq))]

    def shuffled(self, seq):
        s = list(seq)
        for i in range(len(s) - 1, 0, -1):
            j = self.below(i + 1)
            s[i], s[j] = s[j], s[i]
        return s


def cap(t):
    return t[0].upper() + t[1:]


NEG = [
    "not",
    "not at all",
    "hardly",
    "never",
    "by no means",
    "far from",
    "anything but",
    "neither here nor there",
]


def adjclause(d, w, good, neg=None, dom=None):
    dom = dom or d.pick(w.domains)
    s = d.pick(dom.subjects)
    if neg is None:
        neg = d.chance(0.4)
    adj = d.pick((dom.good if good != neg else dom.bad))
    if neg:
        n = d.pick(["not", "not", "hardly", "never", "by no means", "far from", "anything but"])
        return f"the {s} was {n} {adj}"
    i = d.pick(["", "", "", "really ", "truly ", "quite "]) if not adj.startswith(("a ", "far")) else ""
    return f"the {s} was {i}{adj}"


def clause(d, w, good, dom=None):
    if d.chance(0.35):
        return d.pick(w.good_events if good else w.bad_events)
    return adjclause(d, w, good, dom=dom)


def mood(d, w, good):
    k = d.below(10)
    dom = d.pick(w.domains)
    if k < 3:
        x = clause(d, w, good, dom)
        tail = d.pick(["", "", " this time", " once again", " on Sunday", " last night"])
        lead = d.pick(["", "", "", "to be fair, ", "in the end, ", "as usual, ", "I must say "])
        return cap(lead + x) + ".", "plain"
    x = clause(d, w, not good, dom)
    y = clause(d, w, good, dom)
    t = d.pick(
        [
            "{x}, but {y}",
            "{x}, yet {y}",
            "although {x}, {y}",
            "even though {x}, {y}",
            "{y}, even though {x}",
            "{y}, although {x}",
            "I had heard that {x}, but {y}",
            "I was told that {x}, yet {y}",
        ]
    )
    return cap(t.format(x=x, y=y)) + ".", "contrast"


def same(d, w, label):
    kind = d.pick(["trait", "place", "deed", "deed"])

    def sl(g):  # slot: (first phrase, same phrase, other phrase)
        p, q = (g.one, g.other) if d.chance(0.5) else (g.other, g.one)
        a, b = p if d.chance(0.5) else (p[1], p[0])
        return a, b, d.pick(q)

    slots = []
    if kind == "trait":
        slots = [sl(d.pick(w.people)), sl(d.pick(w.traits))]
        ts = ["the {0} was {1}", "the {0} seemed {1}", "everyone thought the {0} was {1}"]
    elif kind == "place":
        p = d.pick(w.places)
        slots = [
            (p, p, None),
            sl(d.pick(w.qualities)),
            (lambda m: m)(d.pick([("yesterday",) * 3, ("last week",) * 3])),
        ]
        slots[2] = (slots[2][0], slots[2][0], None)
        ts = ["the {0} was {1} {2}", "the {0} looked {1} {2}"]
    else:
        v, os = d.pick(w.deeds)
        o = d.pick(os)
        slots = [sl(d.pick(w.people)), sl(v), (o, o, None), sl(d.pick(w.moments))]
        ts = ["the {0} {1} the {2} {3}"]
    t = d.pick(ts)
    ch = [i for i, s in enumerate(slots) if s[2]]
    n = 1 + d.below(len(ch))
    use = d.shuffled(ch)[:n]
    bad = None if label else use[0]
    a = [s[0] for s in slots]
    b = [(s[2] if i == bad else s[1]) if i in use else s[0] for i, s in enumerate(slots)]
    return cap(t.format(*a)) + ".", cap(t.format(*b)) + ".", kind + f"{n}"


_kinds = {}


def examples(name, seed=7, ntrain=1200, ndev=2000):
    d = _Draw(seed)
    out = []
    seen = set()
    for side, n in (("train", ntrain), ("dev", ndev)):
        rows = []
        kinds = []
        while len(rows) < n:
            label = len(rows) % 2
            if name == "mood":
                a, k = mood(d, MOOD[side], bool(label))
                r = {"a": a, "label": label}
                key = a
            else:
                a, b, k = same(d, SAME[side], label)
                r = {"a": a, "b": b, "label": label}
                key = tuple(sorted((a, b)))
            if key in seen:
                continue
            seen.add(key)
            rows.append(r)
            kinds.append(k)
        idx = d.shuffled(range(n))
        out.append([rows[i] for i in idx])
        _kinds[name] = [kinds[i] for i in idx]
    return tuple(out)


if __name__ == "__main__":
    import sys

    for n in ("mood", "same"):
        tr, dev = examples(n)
        for r in tr[:12] + dev[:12]:
            print(r)
