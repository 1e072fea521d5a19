"""What a comparison needs of a track's entries: influence values, row by row, on the same dev rows for all.

The statistics are the board's own (:mod:`suite.statistics`): seed deviations are pooled over the ranked variants, so
that a difference here is what ``lightboard index`` would compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from suite import statistics
from suite.board.site import Site, known_track
from suite.board.text import Missing
from suite.documents import Entry, Run
from suite.statistics import Difference, Evidence, SeedSpread

MOST = 100  # entries of a track that can be compared: the best of them


@dataclass(frozen=True, eq=False)
class Scored:
    """An entry's runs on one task."""

    evidence: Evidence
    seeds: tuple[int, ...]
    said: NDArray[np.float64]  # [rows] of the first seed: label index, or the number of a regression


@dataclass(frozen=True, eq=False)
class Comparable:
    """The entries of a track that have predictions on the rows that the reference was scored on."""

    track: str
    entries: Sequence[Entry]
    rows: Mapping[str, Mapping[str, Scored]]  # entry's name -> task
    splits: Mapping[
        str, tuple[tuple[str, int], ...]
    ]  # task -> its dev sets and their rows, one after the other
    spreads: Mapping[str, SeedSpread]
    reasons: Mapping[str, str] = field(default_factory=dict)  # entry's name -> why it is not among them

    @property
    def tasks(self) -> list[str]:
        return list(self.splits)

    def difference(self, one: Entry, other: Entry, tasks: Sequence[str]) -> Difference | Missing:
        """``one`` less ``other``, the mean over ``tasks``."""
        a, b = self.rows.get(name_of(one), {}), self.rows.get(name_of(other), {})
        lacking = [task for task in tasks if task not in a or task not in b]
        if lacking or not tasks:
            return Missing("not scored on the same rows")
        return statistics.paired_difference(
            {task: a[task].evidence for task in tasks},
            {task: b[task].evidence for task in tasks},
            {task: self.spreads[task] for task in tasks},
        )

    def disagreement(self, one: Entry, other: Entry, tasks: Sequence[str]) -> float | Missing:
        """The share of rows that two entries answer differently, each by its first seed, the mean over ``tasks``:
        of classes, since two numbers are hardly ever the same."""
        a, b = self.rows.get(name_of(one), {}), self.rows.get(name_of(other), {})
        if not tasks or any(task not in a or task not in b for task in tasks):
            return Missing("not scored on the same rows")
        return float(np.mean([(a[task].said != b[task].said).mean() for task in tasks]))


def name_of(entry: Entry) -> str:
    return f"{entry.recipe}/{entry.variant}"


def best(site: Site, track: str) -> list[Entry]:
    """The entries of a track that can be compared at most: by board score, the reference first."""
    return site.once(f"best of {track}", lambda: _best(site, track))


def _best(site: Site, track: str) -> list[Entry]:
    reference = site.reference(track)
    training = (reference.protocol if reference else {}).get(
        "training"
    )  # rows of another protocol are no peers
    return sorted(
        (e for e in site.of(track) if training in (None, e.protocol.get("training"))),
        key=lambda e: (
            e is not reference,
            -(e.board_score.value if e.board_score else -1e9),
            not e.default,
            e.recipe,
            e.variant,
        ),
    )[:MOST]


def comparable(site: Site, track: str) -> Comparable:
    """Reads the predictions of the best entries, once for all pages that compare them."""
    return site.once(f"comparable of {track}", lambda: _comparable(site, track))


def surely_above(site: Site, one: Entry, other: Entry, task: str) -> bool:
    """Whether a row scores higher on a task than chance explains: by the interval of their paired difference or,
    where their answers are not at hand, by intervals that do not overlap."""
    found = comparable(site, one.track).difference(one, other, [task])
    if isinstance(found, Missing):
        return one.quality[task].interval[0] > other.quality[task].interval[1]
    return found.interval[0] > 0


def _comparable(site: Site, track: str) -> Comparable:
    known = known_track(track)
    ordered = best(site, track)
    order = {task: place for place, task in enumerate(known.tasks if known else ())}
    tasks = sorted(
        {t for e in ordered for t in e.quality}, key=lambda task: (order.get(task, len(order)), task)
    )
    rows: dict[str, dict[str, Scored]] = {name_of(e): {} for e in ordered}
    splits: dict[str, tuple[tuple[str, int], ...]] = {}
    for task in tasks:
        wanted: dict[str, str] | None = None  # the dev rows that all are compared on: the first one's
        for entry in ordered:
            found = _scored(site, entry, task)
            if found is None:
                continue
            scored, prints, lengths = found
            if wanted is None:
                wanted, splits[task] = prints, lengths
            if prints == wanted and lengths == splits[task]:
                rows[name_of(entry)][task] = scored
    chosen = [e for e in ordered if rows[name_of(e)]]
    defaults = {
        name_of(e): {task: one.evidence for task, one in rows[name_of(e)].items()}
        for e in chosen
        if e.default
    }
    spreads = statistics.seed_spreads(defaults)
    for task in splits:
        spreads.setdefault(task, SeedSpread(None, 0))
    without = {name_of(e): "its predictions are not in this results tree" for e in ordered if e not in chosen}
    return Comparable(track, chosen, rows, splits, spreads, without)


def _scored(
    site: Site, entry: Entry, task: str
) -> tuple[Scored, dict[str, str], tuple[tuple[str, int], ...]] | None:
    """An entry's runs of a task, its dev sets' fingerprints and lengths; None where a run cannot be read."""
    quality = entry.quality.get(task)
    about = site.task(task)
    if quality is None or not quality.runs:
        return None
    scores, influences, diverged, seeds = [], [], [], []
    prints: dict[str, str] = {}
    lengths: tuple[tuple[str, int], ...] = ()
    said: NDArray[np.float64] | None = None
    for line in quality.runs:
        document = site.evidence.run(entry.track, line.run)
        table = site.evidence.predictions(entry.track, line.run, about)
        if not isinstance(document, Run) or isinstance(table, Missing):
            return None
        names = [name for name in about.dev_splits if name in table]
        if not names or any((table[name].row != np.arange(len(table[name].row))).any() for name in names):
            return None  # a row's number is its place among the rows of all
        its_prints = {name: split.fingerprint for name, split in document.data.dev.items()}
        its_lengths = tuple((name, len(table[name].row)) for name in names)
        if said is None:
            prints, lengths = its_prints, its_lengths
            outputs = np.concatenate([table[name].scores for name in names])
            said = (outputs[:, 0] if about.regression else outputs.argmax(axis=1)).astype(np.float64)
        elif (prints, lengths) != (its_prints, its_lengths):
            return None
        scores.append(document.score)
        influences.append(np.concatenate([table[name].influence for name in names]))
        diverged.append(document.diverged)
        seeds.append(document.seed)
    assert said is not None
    return (
        Scored(Evidence(tuple(scores), tuple(influences), tuple(diverged)), tuple(seeds), said),
        prints,
        lengths,
    )
