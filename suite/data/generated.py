"""draft"""
from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import NotRequired, TypedDict, TypeVar

from suite.data.lexicon import MOOD, SAME, Domain, Opposites, SameWords

T = TypeVar("T")
K={k:float(v) for k,v in (p.split("=") for p in os.environ.get("KNOBS","").split(",") if p)}

class Row(TypedDict):
    a: str
    b: NotRequired[str]
    label: int


class _Dice:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, n: int) -> int:
        return int(self._random.random() * n)

    def chance(self, p: float) -> bool:
        return self._random.random() < p

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        mixed = list(items)
        for i in range(len(mixed) - 1, 0, -1):
            j = self.below(i + 1)
            mixed[i], mixed[j] = mixed[j], mixed[i]
        return mixed

def _sentence(clause): return clause[0].upper() + clause[1:] + "."
_STRENGTHS = ("", "", "", "", "really ", "truly ", "quite ","so ")
_DENIALS = ("not", "not", "hardly", "never", "far from", "anything but")
_CONTRASTS = ("{x}, but {y}","{x}, yet {y}","although {x}, {y}","even though {x}, {y}","{y}, even though {x}","{y}, although {x}")

def _verdict(d, dom, subject, good, deny):
    adj=d.pick(dom.good if good != deny else dom.bad)
    return f"the {subject} was {d.pick(_DENIALS)} {adj}" if deny else f"the {subject} was {d.pick(_STRENGTHS)}{adj}"

def _clause(d,dom,subject,good,deny):
    if d.chance(K.get("ev",.3)): return d.pick(dom.good_events if good else dom.bad_events)
    return _verdict(d,dom,subject,good,d.chance(deny))

def _mood(d,doms,good):
    dom=d.pick(doms); s,t=d.shuffled(dom.subjects)[:2]
    if d.chance(K.get("plain",.5)):
        tail=d.pick(("",""," this time"," once again"," on Sunday"," last night"))
        lead=d.pick(("","","to be fair, ","in the end, ","as usual, ","I must say "))
        deny=d.chance(K.get("deny",.3))
        if not deny and d.chance(K.get("ev1",.4)): return _sentence(lead+d.pick(dom.good_events if good else dom.bad_events)),"event"
        return _sentence(lead+_verdict(d,dom,s,good,deny)+tail),"denied" if deny else "plain"
    x=_clause(d,dom,s,not good,K.get("deny2",.15)); y=_clause(d,dom,t,good,K.get("deny2",.15))
    return _sentence(d.pick(_CONTRASTS).format(x=x,y=y)),"contrast"

def _slot(d, groups, group, unrel):
    p,q=(group.one,group.other) if d.chance(.5) else (group.other,group.one)
    a,b=p if d.chance(.5) else p[::-1]
    if d.chance(unrel):
        g=d.pick([x for x in groups if x is not group]); q=g.phrases
    return a,b,d.pick(q)

def _same(d,w,label):
    unrel=K.get("unrel",.6)
    kind=d.pick(("trait","place","deed","visit"))
    people=_slot(d,w.people,d.pick(w.people),unrel)
    place=d.pick(w.places)
    if kind=="trait":
        slots=[people,_slot(d,w.traits,d.pick(w.traits),unrel)]; t=d.pick(("the {0} was {1}","the {0} seemed {1}","the {0} is {1}"))
    elif kind=="place":
        slots=[_slot(d,w.qualities,d.pick(w.qualities),unrel)]; t=d.pick(("the %s was {0}","the %s looked {0}","it was a {0} %s"))%place
        t=t.replace(" a {0}"," a {0}")
    elif kind=="visit":
        slots=[people,_slot(d,w.qualities,d.pick(w.qualities),unrel)]; t=d.pick(("the {0} came to the {1} %s","the {0} left the {1} %s","the {0} lived near the {1} %s"))%place
    else:
        deed=d.pick(w.deeds)
        slots=[people,_slot(d,(),deed.verbs,0)]; t="the {0} {1} the %s"%d.pick(deed.objects)
    n=len(slots)
    if label: changed=n if d.chance(K.get("pall",.5)) else 1+d.below(n); wrong=0
    else:
        changed=n if d.chance(K.get("nall",.5)) else 1+d.below(n); wrong=changed if d.chance(K.get("wall",.8)) else 1
    order=d.shuffled(range(n))
    a=[s[0] for s in slots]; b=list(a)
    for k,i in enumerate(order[:changed]): b[i]=slots[i][2 if k<wrong else 1]
    return _sentence(t.format(*a)),_sentence(t.format(*b)),f"{kind}{changed}-{wrong}"
_kinds = {}
def examples(name,seed=7,ntrain=1200,ndev=2000):
    d=_Dice(seed); out=[]; seen=set()
    for side,n in (("train",ntrain),("dev",ndev)):
        rows=[]; kinds=[]
        while len(rows)<n:
            label=len(rows)%2
            if name=="mood":
                a,k=_mood(d,MOOD[side],bool(label)); r={"a":a,"label":label}; key=a
            else:
                a,b,k=_same(d,SAME[side],label); r={"a":a,"b":b,"label":label}; key=tuple(sorted((a,b)))
            if key in seen: continue
            seen.add(key); rows.append(r); kinds.append(k)
        idx=d.shuffled(range(n)); out.append([rows[i] for i in idx]); _kinds[name]=[kinds[i] for i in idx]
    return tuple(out)
