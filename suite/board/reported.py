"""What papers report, as points beside ours: where that means the same, and nowhere else.

A paper's mean over GLUE is a figure of a 12-layer BERT-base, compressed. The track ``base`` starts from that network
and averages those tasks: there its points stand, hollow and without bars, at the cost that we measured of the same
method. The set, the metric of each task and the teacher may still be others than ours, so they are no part of the
front, of a rank or of a family. On ``mini`` and ``demo`` the reference has six layers and learns from a few thousand
examples: beside it a paper's score would only say that BERT-base is the larger network. There the share that a
method keeps of its own teacher can be compared, task by task, on the method's page.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from suite.board.site import Site, known_track
from suite.documents import Entry
from suite.recipe import Reported

TRACK = "base"


@dataclass(frozen=True)
class Standing:
    """A paper's mean over the core tasks of the track, in points, and the entry at whose cost it stands."""

    entry: Entry
    score: float
    source: Reported
    number: int  # of the paper's table on the method's page

    @property
    def words(self) -> str:
        where = (
            "its source does not say on which set"
            if self.source.split == "not stated"
            else f"{self.source.split} set"
        )
        return f"{self.score:.1f} as its paper reports ({where}, other rules than ours), drawn at our measured cost"


def standings(site: Site, track: str) -> list[Standing]:
    """Of each ranked method the reports that have every core task."""
    known = known_track(track)
    if known is None or track != TRACK:
        return []
    found = []
    for entry in site.of(track):
        recipe = site.recipes.get(entry.recipe)
        if recipe is None or not entry.default or entry.board_score is None:
            continue
        for number, one in enumerate(recipe.about.reported, start=1):
            if all(task in one.scores for task in known.core):
                mean = math.fsum(one.scores[task].student for task in known.core) / len(known.core)
                found.append(Standing(entry, mean, one, number))
    return found
