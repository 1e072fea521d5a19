"""Answers that are too alike: between recipes, and between seeds of one recipe.

Scores are continuous, so two trainings never give the same ones; an honest rerun does, and has the same recipe
hash. What cannot be told from documents is who copied whom: a finding names both.

- The very same scores under two recipes are a problem, unless the runs say why: one is the other's ablation, or
  one was made from the other's model (its stages hold that model's key). Then they are to be *reviewed*.
- Nearly the same: the correlation of the scores' ranks, so that neither noise nor another scale hides a copy. More
  than :data:`ALIKE`, and more than two seeds of either recipe show, is to be reviewed. (Rows of one table share
  teachers and starting weights: up to 0.99 is usual between a recipe and its variants.)
- The same class for every example under two recipes that do not say why is to be reviewed, whatever the scores: a
  copy can keep its answers and hide how sure it was of them.
- The very same scores for two seeds of one recipe, or nearly the same, are to be reviewed: does the seed play a part
  at all, or was one training entered twice? (In the protocol's baselines it plays none.)
- Fewer than :data:`CONTINUOUS` distinct scores say nothing of where they are from: of a trained model, to be
  reviewed.

Every example counts, so that no few of them can hide the others. Of every run digests are kept and the ranks of its
scores, folded to :data:`SKETCH` numbers where there are more: 16 kilobytes at most where two labels are told apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.folder import Problem, digest_bytes
from suite.protocol import REPORTING
from suite.scoring import average_ranks
from suite.verify.loaded import LoadedRun

SKETCH = 4096  # numbers kept of a run, per column of scores
ALIKE = 0.999  # correlation of ranks; without noise above it between any two honest recipes tried
CONTINUOUS = 16  # distinct scores; a model with fewer says nothing of where they are from
BLOCK = 512  # runs compared at a time
SOLVED = frozenset(REPORTING["baselines"].values())  # counted or solved, not trained

Sketch = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Kept:
    file: str
    recipe: str
    variant: str
    recipe_hash: str
    seed: int
    parent: Any  # the recipe that this is an ablation of
    made_by: str  # the stage of its model
    made_from: frozenset[str]  # that one and those before it
    digest: str
    answers: str | None  # a digest of the class of every example; None of numbers
    sketch: Sketch  # empty: too few distinct scores


@dataclass
class Answers:
    """The answers of the runs read so far, by task and dev rows."""

    kept: dict[Any, list[_Kept]] = field(default_factory=lambda: defaultdict(list))
    first: dict[Any, dict[str, _Kept]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, loaded: LoadedRun) -> tuple[list[Problem], list[str]]:
        """Keep a run's answers; gives what is wrong, and what is to be reviewed, against those already kept."""
        run = loaded.run
        if loaded.predictions is None or run.diverged:
            return [], []
        scores = [split.scores for _, split in sorted(loaded.predictions.items())]
        if not scores:
            return [], []
        together = np.concatenate(scores)
        classes, sketch = together.shape[1] > 1, sketch_of(together)
        stages = [stage.key[7:23] for stage in run.stages]
        one = _Kept(
            file=loaded.file,
            recipe=run.recipe,
            variant=run.variant,
            recipe_hash=run.recipe_hash,
            seed=run.seed,
            parent=run.settings.get("ablation_of"),
            made_by=stages[-1] if stages else "",
            made_from=frozenset(stages),
            digest=digest_bytes(b"".join(part.tobytes() for part in scores)),
            answers=digest_bytes(together.argmax(axis=1).tobytes()) if classes else None,
            sketch=np.zeros(0, np.float32) if sketch is None else sketch,
        )
        key = (run.task, *sorted((name, split.fingerprint) for name, split in run.data.dev.items()))
        self.kept[key].append(one)
        if sketch is None:
            few = (
                f"review: {one.file} has fewer than {CONTINUOUS} distinct scores: are they a trained model's?"
            )
            return [], [] if one.recipe in SOLVED else [few]
        other = self.first[key].setdefault(one.digest, one)
        return ([], []) if other is one else _equal(loaded, one, other)

    def of_full_precision(self, loaded: LoadedRun) -> Iterator[Problem]:
        """A lower precision's answers that are, to the last bit, the run's own: they were never computed."""
        run = loaded.run
        if loaded.predictions is None or run.diverged:
            return
        scores = [split.scores for _, split in sorted(loaded.predictions.items())]
        digest = digest_bytes(b"".join(part.tobytes() for part in scores))
        key = (run.task, *sorted((name, split.fingerprint) for name, split in run.data.dev.items()))
        for one in self.kept.get(key, ()):
            same = (one.digest, one.recipe_hash, one.variant) == (digest, run.recipe_hash, run.variant)
            if same and len(one.sketch):
                found, fix = f"exactly the scores of {one.file}", "score the lower precision's own answers"
                yield Problem(loaded.table, "scores", found, "those of the precision named", fix)

    def alike(self) -> Iterator[str]:
        """A line for every two runs, of two recipes or of two seeds, whose answers are nearly the same."""
        for runs in self.kept.values():
            usual = _between_seeds(runs)
            told = set()
            for a, b, r in _near(runs):
                same = a.recipe_hash == b.recipe_hash
                limit = ALIKE if same else max(ALIKE, min(usual.get(_name(a), 0.0), usual.get(_name(b), 0.0)))
                if a.digest == b.digest or r <= limit:
                    continue
                if same and (a.variant != b.variant or a.seed == b.seed or a.recipe in SOLVED):
                    continue
                if not same and _related(a, b):
                    continue
                told.add((a.file, b.file))
                yield (
                    f"review: {b.file} has nearly the scores of {a.file}, of another "
                    f"{'seed' if same else 'recipe'}: their ranks correlate at {r:.5f}, more than {limit:.5f}"
                )
            for a, b in _same_answers(runs):
                if (a.file, b.file) not in told:
                    yield f"review: {b.file} gives every answer that {a.file} gives, which is of another recipe"


def sketch_of(scores: NDArray[np.float32]) -> Sketch | None:
    """Ranks of what tells the labels apart, centred, of length 1; [n, outputs] -> [columns x n or SKETCH].

    None where the scores take so few values that they say nothing of their origin.
    """
    x = scores.astype(np.float64)
    if x.shape[1] > 1:  # a shift of all labels changes nothing; the last column follows from the others
        x = (x - x.mean(axis=1, keepdims=True))[:, :-1]
    if len(np.unique(x, axis=0)) < min(CONTINUOUS, len(x)):
        return None
    ranks = np.stack([average_ranks(column) for column in x.T])
    ranks -= ranks.mean(axis=1, keepdims=True)
    ranks = _folded(ranks)
    length = float(np.linalg.norm(ranks))
    return (ranks.ravel() / length).astype(np.float32) if length > 0 else None


def _folded(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of rows with random signs, [columns, n] -> [columns, SKETCH or fewer]: a correlation r keeps its value to
    about (1 - r^2) / 64, and no example is left out of it."""
    columns, rows = ranks.shape
    if rows <= SKETCH:
        return ranks
    signed = ranks * np.random.default_rng(0).choice((-1.0, 1.0), rows)
    padded = np.pad(signed, ((0, 0), (0, -rows % SKETCH)))
    return np.asarray(padded.reshape(columns, -1, SKETCH).sum(axis=1))


def _equal(loaded: LoadedRun, one: _Kept, other: _Kept) -> tuple[list[Problem], list[str]]:
    if one.recipe_hash == other.recipe_hash:
        if one.seed == other.seed or one.variant != other.variant or one.recipe in SOLVED:
            return [], []
        return [], [f"review: {one.file} has exactly the scores of {other.file}, another seed of its recipe"]
    if _related(one, other):
        return [], [f"review: {one.file} has exactly the scores of {other.file}, which it is related to"]
    fix = "one of the two is a copy: withdraw it; an ablation names its parent"
    found = f"exactly the scores of {other.file}, of another recipe"
    return [Problem(loaded.table, "scores", found, "scores of its own", fix)], []


def _related(a: _Kept, b: _Kept) -> bool:
    """Whether two runs say themselves why they are alike."""
    ablation = a.parent == b.recipe or b.parent == a.recipe or (a.parent is not None and a.parent == b.parent)
    return ablation or a.made_by in b.made_from or b.made_by in a.made_from


def _same_answers(runs: list[_Kept]) -> Iterator[tuple[_Kept, _Kept]]:
    """Each run whose every class is an earlier one's, of another recipe and unrelated, beside the first such run;
    those with the very same continuous scores are told apart."""
    groups: dict[str, list[_Kept]] = defaultdict(list)
    for run in runs:
        if run.answers is not None:
            for other in groups[run.answers]:
                copied = other.digest == run.digest and len(run.sketch) > 0
                if other.recipe_hash != run.recipe_hash and not copied and not _related(other, run):
                    yield other, run
                    break
            groups[run.answers].append(run)


def _name(run: _Kept) -> tuple[str, str]:
    return run.recipe_hash, run.variant


def _between_seeds(runs: list[_Kept]) -> dict[tuple[str, str], float]:
    """Recipe variant -> the highest correlation between two of its seeds."""
    groups: dict[tuple[str, str], list[_Kept]] = defaultdict(list)
    for run in runs:
        if len(run.sketch):
            groups[_name(run)].append(run)
    found = {}
    for name, group in groups.items():
        if len(group) > 1 and len({run.sketch.shape for run in group}) == 1:
            sketches = np.stack([run.sketch for run in group])
            r = sketches @ sketches.T
            found[name] = float(r[np.triu_indices(len(group), 1)].max())
    return found


def _near(runs: list[_Kept]) -> Iterator[tuple[_Kept, _Kept, float]]:
    """Pairs of runs that correlate at more than :data:`ALIKE`, each once, in the order in which they were read."""
    sizes: dict[int, list[_Kept]] = defaultdict(list)
    for run in runs:
        if len(run.sketch):
            sizes[len(run.sketch)].append(run)
    for group in sizes.values():
        sketches = np.stack([run.sketch for run in group])
        for start in range(0, len(group), BLOCK):
            r = sketches[start : start + BLOCK] @ sketches.T
            for i, j in zip(*np.nonzero(r > ALIKE), strict=True):
                if start + i < j:
                    yield group[start + i], group[j], min(1.0, float(r[i, j]))
