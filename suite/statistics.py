"""Uncertainty of scores, ranks, retention and speed ratios.

**The model of a score.** On one task, run j of recipe r scores Y_rj = mu_r + examples + seed. What is
estimated is mu_r: the expected score over seeds *and* over examples like the dev set's. With n runs, u_rj the
influence values (points; see :mod:`suite.scoring`) and u_r their mean over the runs, example by example::

    SE^2 = C_r + s^2 / n          C_r = |u_r|^2 - I / n

- s: seed standard deviation on the fixed dev set, pooled over recipes (:func:`pooled_seed_sd`), so that one
  run has an interval too.
- |u_r|^2: the example variance of the mean score. It still holds the part that differs between seeds (seeds
  get other examples wrong), which s^2 holds as well; I = the pooled variance of the influences between seeds
  is that part. Counting it once gives C_r, the example variance of the expected score.
- (s^2 - I) is never taken below 0, so SE^2 is at least |u_r|^2.

Two recipes on the same examples: |u_a - u_b|^2 + (s^2 - I) (1/n_a + 1/n_b). Means over tasks add up the
variances, tasks being independent. Where no recipe has two runs no seed deviation is known: it is left out
and ``examples_only`` is set.

**Intervals and tests** are 95%. s^2 is itself estimated, on nu degrees of freedom, so the error is taken as
normal with a variance in which s^2 is replaced by s^2 nu / chi^2_nu (a generalised pivotal quantity,
Weerahandi 1993). That is Student's t where seeds are all that matters, the normal where examples are, and
between them it holds its level down to one degree of freedom, where Satterthwaite's approximation does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from suite.errors import UserError

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

CONFIDENCE = 0.95
DRAWS = 20_000  # of the largest |t|: its 95% point is then off by about 0.2% in coverage
FRONT_DRAWS = 4_000
DRAW_SEED = 20_250_101
BISECTIONS = 40
RESOLUTION = 1e-3  # points; a difference of rows below this is never significant, whatever its variance
LARGEST_RATIO = 1e6  # a retention known no better than this has no interval
LARGEST_LOG = 20.0  # of a ratio of times, as documents may hold it
FEWEST_PAIRS = 3  # process pairs; with two, Student's t has one degree of freedom and says nothing


# --- what is known of a recipe ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Evidence:
    """The runs of one recipe (variant) on one task, one per seed, all on the same dev examples."""

    scores: tuple[float, ...]  # points
    influences: tuple[npt.NDArray[Any], ...]  # per run [examples], dev splits one after another, points
    diverged: tuple[bool, ...] = ()  # per run; empty: none

    def __post_init__(self) -> None:
        if not self.scores or len(self.scores) != len(self.influences):
            raise UserError(f"{len(self.scores)} scores with {len(self.influences)} sets of influence values")
        if self.diverged and len(self.diverged) != len(self.scores):
            raise UserError(f"{len(self.scores)} scores with {len(self.diverged)} diverged flags")
        if len({len(u) for u in self.influences}) > 1:
            raise UserError("runs on dev sets of different sizes cannot be averaged")

    @property
    def runs(self) -> int:
        return len(self.scores)

    @property
    def score(self) -> float:
        """Mean over all runs, diverged ones included."""
        return float(np.mean(self.scores))

    @property
    def influence(self) -> Floats:
        """Mean over the runs, example by example: [examples]."""
        mean: Floats = np.mean(np.stack(self.influences).astype(np.float64), axis=0)
        return mean

    @property
    def seedless(self) -> bool:
        """Two or more runs with exactly the same answers: the seed plays no part (majority class, ...)."""
        first = self.influences[0]
        return self.runs > 1 and all(
            s == self.scores[0] and np.array_equal(u, first)
            for s, u in zip(self.scores, self.influences, strict=True)
        )

    @property
    def good(self) -> Evidence | None:
        """Without the diverged runs; None when none is left."""
        if not any(self.diverged):
            return self
        keep = [i for i, bad in enumerate(self.diverged) if not bad]
        if not keep:
            return None
        return Evidence(tuple(self.scores[i] for i in keep), tuple(self.influences[i] for i in keep))


Rows = Mapping[str, Mapping[str, Evidence]]  # recipe (variant) -> task -> its runs


@dataclass(frozen=True)
class SeedSpread:
    """How far scores of one task differ from seed to seed, for any one recipe."""

    sd: float | None  # points; None: no recipe has two runs
    degrees: int  # of freedom: sum over recipes of (runs - 1)
    overlap: float = 0.0  # I of the module's formula, points^2

    @property
    def variance(self) -> float:
        return 0.0 if self.sd is None else self.sd**2


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval, in points."""

    value: float
    interval: Interval
    se: float
    examples_only: bool  # no seed deviation is known: the interval holds the example variance alone


@dataclass(frozen=True)
class Difference(Estimate):
    """a - b on the same examples."""

    p: float  # two-sided, uncorrected for other comparisons


def pooled_seed_sd(evidence: Mapping[str, Evidence]) -> SeedSpread:
    """One task's seed deviation: s^2 = sum_r sum_j (Y_rj - Y_r)^2 / sum_r (n_r - 1), and likewise I.

    Diverged runs are left out (they are another population), and so are recipes that do not depend on the
    seed. It is assumed that recipes of a task share one s; a handful of seeds cannot show otherwise.
    """
    squares = overlap = 0.0
    degrees = 0
    for runs in (e.good for e in evidence.values()):
        if runs is None or runs.runs < 2 or runs.seedless:
            continue
        squares += sum((y - runs.score) ** 2 for y in runs.scores)
        mean = runs.influence
        overlap += sum(float(((u - mean) ** 2).sum()) for u in runs.influences)
        degrees += runs.runs - 1
    if degrees == 0:
        return SeedSpread(None, 0)
    return SeedSpread(math.sqrt(squares / degrees), degrees, overlap / degrees)


def seed_spreads(rows: Rows) -> dict[str, SeedSpread]:
    """:func:`pooled_seed_sd` of every task that occurs in ``rows``."""
    tasks = sorted({task for row in rows.values() for task in row})
    return {t: pooled_seed_sd({name: row[t] for name, row in rows.items() if t in row}) for t in tasks}


# --- the joint distribution of rows, from which everything below is taken -----------------------------------


@dataclass(frozen=True)
class _Seeds:
    """One estimated seed variance and the rows that it applies to."""

    variance: float  # s^2
    overlap: float  # I
    degrees: int
    weight: Floats  # [rows]: 1 / runs / tasks^2; 0 where it does not apply

    def part(self, variance: Any) -> Any:
        """What it adds to the example variance, before the weights; also for simulated variances."""
        return np.maximum(variance - self.overlap, 0.0)


@dataclass(frozen=True)
class _Joint:
    """Estimates of rows' mean scores over some tasks, and their covariance."""

    value: Floats  # [rows]
    examples: Floats  # [rows, rows]
    seeds: tuple[_Seeds, ...]
    examples_only: bool

    def covariance(self, a: Floats, b: Floats) -> float:
        """Of the contrasts sum_r a_r value_r and sum_r b_r value_r."""
        seeds = sum(float(g.part(g.variance) * (a * b) @ g.weight) for g in self.seeds)
        return float(a @ self.examples @ b) + seeds

    @cached_property
    def seed_parts(self) -> Floats:
        """[rows, draws] every row's part from the seeds, as each s^2 ranges over s^2 nu / chi^2_nu."""
        random = np.random.default_rng(DRAW_SEED)
        result: Floats = np.zeros((len(self.value), len(_chi_squared(1))))
        for i, g in enumerate(self.seeds):
            ratio = _chi_squared(g.degrees)
            if i > 0:  # independent of the others
                ratio = random.permutation(ratio)
            result += np.outer(g.weight, g.part(g.variance / ratio))
        return result

    def possible_variances(self, a: Floats) -> Floats:
        """[draws] variances that the contrast may have, equally likely."""
        result: Floats = float(a @ self.examples @ a) + a**2 @ self.seed_parts
        return np.maximum(result, 0.0)


def _joint(rows: Sequence[Mapping[str, Evidence]], spreads: Mapping[str, SeedSpread]) -> _Joint:
    """Of the rows' means over the tasks of ``spreads``; every row has all of them."""
    value = np.zeros(len(rows))
    examples = np.zeros((len(rows), len(rows)))
    seeds: list[_Seeds] = []
    for task, spread in spreads.items():
        runs = [row[task] for row in rows]
        if len({len(e.influences[0]) for e in runs}) > 1:
            raise UserError(f"task {task}: rows with different dev sets cannot be compared")
        mean = np.stack([e.influence for e in runs])
        value += np.array([e.score for e in runs]) / len(spreads)
        examples += mean @ mean.T / len(spreads) ** 2
        seeds += _seed_parts(runs, spread, len(spreads))
    return _Joint(value, examples, tuple(seeds), any(s.sd is None for s in spreads.values()))


def _seed_parts(runs: Sequence[Evidence], spread: SeedSpread, tasks: int) -> list[_Seeds]:
    """The pooled variance for most rows; its own for a row of which some runs diverged, if that is larger."""
    pooled = np.zeros(len(runs))
    parts = []
    for row, e in enumerate(runs):
        weight = np.zeros(len(runs))
        weight[row] = 1 / e.runs / tasks**2
        own = _own_variance(e, spread)
        if own is not None:
            parts.append(_Seeds(own, 0.0, e.runs - 1, weight))
        elif not e.seedless:
            pooled += weight
    if spread.sd is not None and pooled.any():
        parts.append(_Seeds(spread.variance, spread.overlap, spread.degrees, pooled))
    return parts


def _own_variance(e: Evidence, spread: SeedSpread) -> float | None:
    """Of a row of which some runs diverged, where that is larger than the pooled one."""
    own = float(np.var(e.scores, ddof=1)) if e.runs > 1 and any(e.diverged) else 0.0
    return own if own > spread.variance else None


@lru_cache(maxsize=256)
def _chi_squared(degrees: int, points: int = 1000) -> Floats:
    """Equally likely values of chi^2 / degrees: its quantiles at (i + 1/2) / points."""
    result: Floats = 2 / degrees * special.gammaincinv(degrees / 2, (np.arange(points) + 0.5) / points)
    return result


def _p_value(distance: float, variances: Floats) -> float:
    """P(|error| > distance), two-sided, over the possible variances; an error of variance 0 is 0."""
    if distance == 0:
        return 1.0
    scale = np.sqrt(variances)
    z = np.divide(distance, scale, out=np.full(len(scale), np.inf), where=scale > 0)
    return float(2 * special.ndtr(-z).mean())


def _half_width(variances: Floats) -> float:
    """The distance whose p-value is 5%. That is convex in it: Newton's steps from 0 never overshoot."""
    scale = np.sqrt(variances[variances > 0])
    target = (1 - CONFIDENCE) * len(variances)
    if len(scale) <= target:
        return 0.0
    distance = 0.0
    for _ in range(100):
        z = distance / scale
        excess = float(2 * special.ndtr(-z).sum()) - target
        slope = float((np.exp(-(z**2) / 2) / scale).sum()) * math.sqrt(2 / math.pi)
        step = excess / slope
        distance += step
        if step <= 1e-12 * distance:
            break
    return distance


def _contrast(joint: _Joint, weights: Floats) -> Estimate:
    value, half = float(weights @ joint.value), _half_width(joint.possible_variances(weights))
    se = math.sqrt(max(joint.covariance(weights, weights), 0.0))
    return Estimate(value, (value - half, value + half), se, joint.examples_only)


# --- scores and differences ---------------------------------------------------------------------------------


def estimate(evidence: Evidence, spread: SeedSpread) -> Estimate:
    """A recipe's expected score on one task. The interval is cut at -100 and 100, the range of a score."""
    return _score(_joint([{"": evidence}], {"": spread}))


def board_score(row: Mapping[str, Evidence], spreads: Mapping[str, SeedSpread]) -> Estimate | None:
    """Mean over the tasks of ``spreads`` (a track's core tasks); None when the row lacks one of them.

    Variance = sum over tasks of SE_t^2 / tasks^2.
    """
    if not spreads or any(task not in row for task in spreads):
        return None
    return _score(_joint([row], spreads))


def _score(joint: _Joint) -> Estimate:
    e = _contrast(joint, np.ones(1))
    inside = (max(e.interval[0], -100.0), min(e.interval[1], 100.0))
    return Estimate(e.value, inside, e.se, e.examples_only)


def paired_difference(
    a: Mapping[str, Evidence], b: Mapping[str, Evidence], spreads: Mapping[str, SeedSpread]
) -> Difference:
    """a - b, the mean over the tasks of ``spreads``, compared on the same examples. For one task give one.

    The variance is taken to be at least that of two numbers known to :data:`RESOLUTION`.
    """
    joint, weights = _resolved(_joint([a, b], spreads)), np.array([1.0, -1.0])
    e = _contrast(joint, weights)
    p = _p_value(abs(e.value), joint.possible_variances(weights))
    return Difference(e.value, e.interval, e.se, e.examples_only, p)


def seed_draws(spreads: Mapping[str, SeedSpread]) -> dict[str, Floats]:
    """Task -> [draws] what one run's seed adds to a variance, as :func:`paired_difference` over all of them takes it.

    Draw by draw they belong together: the i-th of a mean over tasks is the sum of the tasks' i-th. Zeros where no
    seed deviation is known.
    """
    random = np.random.default_rng(DRAW_SEED)
    found: dict[str, Floats] = {}
    known = 0
    for task, spread in spreads.items():
        found[task] = np.zeros(len(_chi_squared(1)))
        if spread.sd is None:
            continue
        ratio = _chi_squared(spread.degrees)
        if known > 0:
            ratio = random.permutation(ratio)
        known += 1
        found[task] = np.maximum(spread.variance / ratio - spread.overlap, 0.0)
    return found


def own_seed_draws(evidence: Evidence, spread: SeedSpread, name: str) -> Floats | None:
    """[draws] the same for a row of which some runs diverged, where its own variance counts; None for all others.

    Those of different names are independent of each other, and of :func:`seed_draws`.
    """
    own = _own_variance(evidence, spread)
    if own is None:
        return None
    random = np.random.default_rng([DRAW_SEED, *name.encode()])
    result: Floats = random.permutation(own / _chi_squared(evidence.runs - 1))
    return result


def _resolved(joint: _Joint) -> _Joint:
    """With the variance of :data:`RESOLUTION` in every row, so that no difference has variance 0."""
    examples = joint.examples + RESOLUTION**2 * np.eye(len(joint.value))
    return _Joint(joint.value, examples, joint.seeds, joint.examples_only)


# --- a further seed -----------------------------------------------------------------------------------------


def pooled_with(spread: SeedSpread, scores: Sequence[float]) -> SeedSpread:
    """The spread after a further group of runs of one recipe, ``scores``, joined the pool."""
    if len(scores) < 2:
        return spread
    degrees = spread.degrees + len(scores) - 1
    squares = spread.variance * spread.degrees + float(np.var(scores)) * len(scores)
    return SeedSpread(math.sqrt(squares / degrees), degrees, spread.overlap)


def prediction_interval(
    evidence: Evidence, spread: SeedSpread, new: int = 1, confidence: float = CONFIDENCE
) -> Interval | None:
    """Where the mean score of ``new`` further seeds of a recipe falls, in points; None without a seed deviation.

    mean +- t(nu) s sqrt(1/n + 1/new) for n runs known: the dev examples are the same ones, so only the seeds
    differ. s is the pooled deviation, or the row's own where some of its runs diverged and that is larger. A row
    that does not depend on the seed must give its score again. The interval is cut at -100 and 100.
    """
    s, degrees = spread.sd, spread.degrees
    own = float(np.std(evidence.scores, ddof=1)) if evidence.runs > 1 and any(evidence.diverged) else 0.0
    if s is None or own > s:
        s, degrees = (own, evidence.runs - 1) if own else (s, degrees)
    if evidence.seedless:
        s, degrees = 0.0, 1
    if s is None:
        return None
    point = float(special.stdtrit(degrees, (1 + confidence) / 2))
    half = max(point * s * math.sqrt(1 / evidence.runs + 1 / new), RESOLUTION)
    return max(evidence.score - half, -100.0), min(evidence.score + half, 100.0)


# --- ranks --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rank:
    """The positions a row can hold among ``of`` rows."""

    lowest: int  # 1 + rows significantly better
    highest: int  # of - rows significantly worse
    of: int
    ties_with_best: bool  # cannot be told from the best


@dataclass(frozen=True)
class Ranking:
    """All comparisons of a table's rows, in the order of ``names`` (best score first, then by name)."""

    names: tuple[str, ...]
    value: Floats  # [rows] points
    se: Floats  # [rows, rows] of the differences
    t: Floats  # [rows, rows] difference / se; positive: the row is better than the column
    critical: float  # largest |t| over all pairs, 95% point
    critical_each: Floats  # [rows] largest |t| over the comparisons with this row, 95% point
    ranks: dict[str, Rank]
    examples_only: bool


def rank_ranges(rows: Rows, spreads: Mapping[str, SeedSpread]) -> dict[str, Rank]:
    """:func:`ranking`'s ranks. Rows that lack a task of ``spreads`` have no rank: they are left out."""
    return ranking(rows, spreads).ranks


def ranking(rows: Rows, spreads: Mapping[str, SeedSpread]) -> Ranking:
    """Rank ranges of the means over the tasks of ``spreads``: single-step max-|t| (Hothorn et al. 2008).

    Two rows differ when |t| exceeds the 95% point of the largest |t| over *all* pairs of rows that would be
    seen if all were equal: with 95% confidence not one "better" or "worse" of the table is wrong, and all
    true ranks lie in their ranges together (Mogstad et al. 2024).

    The comparison with the best asks of every row whether some other row beats it by more than the 95% point
    of the largest |t| over the comparisons with *that* row (Hsu 1996: multiple comparisons with the best). So
    the truly best row is among those that "tie with the best" with 95% confidence, which a comparison with
    the row that happens to stand first does not give.
    """
    known = [name for name in rows if all(task in rows[name] for task in spreads)]
    if not known or not spreads:
        return Ranking((), np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0)), 0.0, np.zeros(0), {}, False)
    joint = _resolved(_joint([rows[name] for name in sorted(known)], spreads))
    se = _difference_se(joint)
    t = np.subtract.outer(joint.value, joint.value) / np.where(se > 0, se, np.inf)
    critical, each = _largest_t(joint, se)
    better = (t < -critical).sum(axis=1)
    worse = (t > critical).sum(axis=1)
    ties = (t < -each[:, None]).sum(axis=1) == 0
    names = sorted(known)
    n = len(names)
    ranks = {
        name: Rank(1 + int(better[i]), n - int(worse[i]), n, bool(ties[i])) for i, name in enumerate(names)
    }
    order = sorted(range(n), key=lambda i: (-joint.value[i], names[i]))
    return Ranking(
        names=tuple(names[i] for i in order),
        value=joint.value[order],
        se=se[np.ix_(order, order)],
        t=t[np.ix_(order, order)],
        critical=critical,
        critical_each=each[order],
        ranks={names[i]: ranks[names[i]] for i in order},
        examples_only=joint.examples_only,
    )


def _difference_se(joint: _Joint) -> Floats:
    """[rows, rows] standard error of every difference, 0 on the diagonal."""
    own = np.diag(joint.examples)
    variance = np.add.outer(own, own) - 2 * joint.examples
    for g in joint.seeds:
        variance = variance + g.part(g.variance) * np.add.outer(g.weight, g.weight)
    np.fill_diagonal(variance, 0.0)
    result: Floats = np.sqrt(variance)
    return result


def _largest_t(joint: _Joint, se: Floats) -> tuple[float, Floats]:
    """95% points of the largest |t| over all pairs, and over the pairs of every row; rounded up to 0.01.

    Simulated: the rows' errors are drawn from their joint normal distribution, every seed variance anew as
    s^2 nu / chi^2_nu. The random numbers are fixed, and the rounding makes the answer the same on machines
    whose last digits differ.
    """
    rows = len(joint.value)
    if rows < 2:
        return 0.0, np.zeros(rows)
    error = _errors(joint, DRAWS)
    largest = np.zeros((DRAWS, rows))
    for a in range(rows - 1):
        b = slice(a + 1, rows)
        t = np.abs(error[:, [a]] - error[:, b]) / se[a, b]
        np.maximum(largest[:, a], t.max(axis=1), out=largest[:, a])
        np.maximum(largest[:, b], t, out=largest[:, b])
    overall = float(np.quantile(largest.max(axis=1), CONFIDENCE))
    each: Floats = np.ceil(np.quantile(largest, CONFIDENCE, axis=0) * 100) / 100
    return math.ceil(overall * 100) / 100, each


def _errors(joint: _Joint, draws: int, common: int = 0) -> Floats:
    """[draws, rows] errors of the estimates; the first ``common`` rows share their seeds' part."""
    random = np.random.default_rng(DRAW_SEED)
    rows = len(joint.value)
    error: Floats = random.standard_normal((draws, rows)) @ np.linalg.cholesky(joint.examples).T
    seed_variance = np.zeros((draws, rows))
    for g in joint.seeds:
        ratio = random.chisquare(g.degrees, draws) / g.degrees
        seed_variance += np.outer(g.part(g.variance / ratio), g.weight)
    luck = random.standard_normal((draws, rows))
    luck[:, :common] = luck[:, :1]
    error += np.sqrt(seed_variance) * luck
    return error


# --- retention ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Retention:
    """(student - majority) / (teacher - majority), or the reason why there is none."""

    value: float | None
    interval: Interval | None
    reason: str | None = None
    examples_only: bool = False


NO_TEACHER = "n/a: teacher not above chance"


def retention(
    student: Mapping[str, Evidence],
    teacher: Mapping[str, Evidence],
    majority: Mapping[str, Evidence],
    spreads: Mapping[str, SeedSpread],
) -> Retention:
    """Share of the teacher's gain over the majority class that the student keeps.

    Over the tasks of ``spreads`` (one task: give one), which all three have. With A = student - majority and
    B = teacher - majority, the interval is Fieller's (1954): all r for which A - r B does not differ
    significantly from 0. It is bounded exactly when B does (the teacher's lower bound lies above the majority
    class), and only then is there a retention to report. The majority class has no seed; its dependence on
    the examples counts.
    """
    same = all(student[task] is teacher[task] for task in spreads)
    still = {task: _without_seed(majority[task]) for task in spreads}
    joint = _joint([student, teacher, still], spreads)
    gain = float(joint.value[1] - joint.value[2])
    chance = _p_value(abs(gain), joint.possible_variances(np.array([0.0, 1.0, -1.0])))
    if gain <= 0 or chance >= 1 - CONFIDENCE:
        return Retention(None, None, NO_TEACHER, joint.examples_only)
    if same:  # the seed parts of two rows are independent, but these are one row
        return Retention(1.0, (1.0, 1.0), None, joint.examples_only)
    ratio = float(joint.value[0] - joint.value[2]) / gain
    lower, upper = _fieller(joint, ratio, -1.0), _fieller(joint, ratio, 1.0)
    if lower is None or upper is None:
        return Retention(None, None, NO_TEACHER, joint.examples_only)
    return Retention(ratio, (lower, upper), None, joint.examples_only)


def _fieller(joint: _Joint, ratio: float, direction: float) -> float | None:
    """The r on one side of ``ratio`` where A - r B becomes significant; None when it does so nowhere."""

    def inside(r: float) -> bool:
        weights = np.array([1.0, -r, r - 1.0])
        p = _p_value(abs(float(weights @ joint.value)), joint.possible_variances(weights))
        return p > 1 - CONFIDENCE

    near, far = ratio, ratio + direction
    while inside(far):
        near, far = far, ratio + 2 * (far - ratio)
        if abs(far) > LARGEST_RATIO:
            return None
    for _ in range(BISECTIONS):
        middle = (near + far) / 2
        near, far = (middle, far) if inside(middle) else (near, middle)
    return far


def _without_seed(evidence: Evidence) -> Evidence:
    """The same mean, told twice: that is how a recipe that does not depend on the seed looks."""
    return Evidence((evidence.score,) * 2, (evidence.influence,) * 2)


# --- fronts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Point:
    """An operating point: what it costs (any positive unit, the same for all) and its runs."""

    cost: float
    row: Mapping[str, Evidence]


@dataclass(frozen=True)
class FrontScore:
    """How many points something lies above the reference's front: a model, or a family on average over log cost."""

    value: float
    interval: Interval
    examples_only: bool


def upper_envelope(scores: Floats, majority: Floats) -> Floats:
    """Best score at this cost or less, the majority class costing nothing.

    ``scores`` [..., points] in order of cost, ``majority`` [...] -> [..., points].
    """
    result: Floats = np.maximum.accumulate(np.maximum(scores, majority[..., None]), axis=-1)
    return result


def isotonic(scores: Floats) -> Floats:
    """Least-squares non-decreasing fit: g_i = max over a <= i of min over b >= i of mean(scores[a..b]).

    ``scores`` [..., points] in order of cost. (Barlow et al. 1972; with the few points of a front the formula
    is quicker than pooling adjacent violators, as it runs over all draws at once.)
    """
    points = scores.shape[-1]
    sums = np.concatenate([np.zeros((*scores.shape[:-1], 1)), np.cumsum(scores, axis=-1)], axis=-1)
    fitted = np.empty_like(scores, dtype=np.float64)
    for i in range(points):
        least = [
            np.min([(sums[..., b + 1] - sums[..., a]) / (b + 1 - a) for b in range(i, points)], axis=0)
            for a in range(i + 1)
        ]
        fitted[..., i] = np.max(least, axis=0)
    return fitted


def front_area(costs: Floats, envelope: Floats, majority: Floats, start: float, end: float) -> Floats:
    """Mean of a front over log cost: integral from ``start`` to ``end`` over log cost / log(end / start).

    The front is a step: at a cost, the value of the dearest point that is not dearer, or the majority score
    below the cheapest. ``costs`` [points] rising, ``envelope`` [..., points], ``majority`` [...] -> [...].
    """
    if not 0 < start < end:
        raise UserError(f"a front needs 0 < start < end, not {start} and {end}")
    knots = np.unique(np.clip(np.concatenate([costs, [start, end]]), start, end))
    steps = np.concatenate([majority[..., None], envelope], axis=-1)
    at = np.searchsorted(costs, knots[:-1], side="right")
    result: Floats = (steps[..., at] * np.diff(np.log(knots))).sum(axis=-1) / math.log(end / start)
    return result


def front_score(
    family: Sequence[Point],
    reference: Sequence[Point],
    majority: Mapping[str, Evidence],
    spreads: Mapping[str, SeedSpread],
    *,
    start: float,
    end: float,
) -> FrontScore:
    """Area between a family's monotone upper envelope and the reference's isotonic front, in points.

    Over log cost from ``start`` to ``end`` (the teacher's cost), divided by the interval's length; scores are
    means over the tasks of ``spreads``. The interval is the middle 95% of the areas when all scores are drawn
    anew, runs and examples of both fronts together: points of a family come from one training and get one
    common seed error, those of the reference have their own. Costs are taken as known. (The best of several
    noisy points is a little too good; so are the area and its interval, the more the closer the points.)
    """
    family, reference = (sorted(points, key=lambda p: p.cost) for points in (family, reference))
    still = {task: _without_seed(majority[task]) for task in spreads}
    joint = _resolved(_joint([*(p.row for p in family), *(p.row for p in reference), still], spreads))
    ours, base = np.array([p.cost for p in family]), np.array([p.cost for p in reference])

    def area(scores: Floats) -> Floats:
        """[..., rows] -> [...]"""
        floor = scores[..., -1]
        upper = upper_envelope(scores[..., : len(ours)], floor)
        lower = upper_envelope(isotonic(scores[..., len(ours) : -1]), floor)
        return front_area(ours, upper, floor, start, end) - front_area(base, lower, floor, start, end)

    return _drawn(area, joint, common=len(ours))


def above_front(
    point: Point,
    reference: Sequence[Point],
    majority: Mapping[str, Evidence],
    spreads: Mapping[str, SeedSpread],
) -> FrontScore:
    """How many points an operating point lies above the reference's isotonic front at its own cost.

    Between two points of the front it is held against the straight line over log cost, so that a model a little
    cheaper than a point gains nothing by it; below the cheapest against the majority score, above the dearest against
    that one. The interval is found as :func:`front_score`'s.
    """
    reference = sorted(reference, key=lambda p: p.cost)
    still = {task: _without_seed(majority[task]) for task in spreads}
    joint = _resolved(_joint([point.row, *(p.row for p in reference), still], spreads))
    costs = np.log([p.cost for p in reference])
    at = math.log(point.cost)

    def above(scores: Floats) -> Floats:
        """[..., rows] -> [...]"""
        floor = scores[..., -1]
        front = upper_envelope(isotonic(scores[..., 1:-1]), floor)
        right = int(np.searchsorted(costs, at))
        if right == len(costs):
            beside = front[..., -1]
        elif costs[right] == at:
            beside = front[..., right]
        elif right == 0:
            beside = floor
        else:
            share = (at - costs[right - 1]) / (costs[right] - costs[right - 1])
            beside = (1 - share) * front[..., right - 1] + share * front[..., right]
        result: Floats = scores[..., 0] - beside
        return result

    return _drawn(above, joint)


def _drawn(figure: Callable[[Floats], Floats], joint: _Joint, common: int = 0) -> FrontScore:
    """A figure of scores [..., rows] with the middle 95% of it when all of them are drawn anew."""
    drawn = figure(joint.value + _errors(joint, FRONT_DRAWS, common=common))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return FrontScore(float(figure(joint.value)), (float(low), float(high)), joint.examples_only)


def hypervolume(costs: Floats, scores: Floats, reference_cost: float, reference_score: float) -> float:
    """Area that some point beats: log10 cost below ``reference_cost`` times points above ``reference_score``.

    Costs and scores [points] in any order. Points beyond the reference point add nothing.
    """
    keep = (costs < reference_cost) & (scores > reference_score)
    if not keep.any():
        return 0.0
    order = np.lexsort((-scores[keep], costs[keep]))
    cost = np.log10(np.append(costs[keep][order], reference_cost))
    height = np.maximum.accumulate(scores[keep][order]) - reference_score
    return float(np.diff(cost) @ height)


# --- speed --------------------------------------------------------------------------------------------------


def t_interval(values: Sequence[float]) -> tuple[float, Interval | None]:
    """Mean and 95% Student t interval: mean +- t(n-1) sd / sqrt(n). No interval from a single value."""
    x = np.asarray(values, dtype=np.float64)
    mean = float(x.mean())
    if len(x) < 2:
        return mean, None
    point = float(special.stdtrit(len(x) - 1, (1 + CONFIDENCE) / 2))
    half = point * float(x.std(ddof=1)) / math.sqrt(len(x))
    return mean, (mean - half, mean + half)


def pairs_estimate(log_ratios: Sequence[float]) -> tuple[float, Interval | None]:
    """Ratio from one log(reference time / entry time) per process pair.

    Geometric mean, with the t interval of the logs; no interval from fewer than 3 pairs.
    """
    mean, interval = t_interval(log_ratios)
    if interval is None or len(log_ratios) < FEWEST_PAIRS:
        return math.exp(mean), None
    return math.exp(mean), (math.exp(interval[0]), math.exp(interval[1]))


def log_standard_error(interval: Interval | None, pairs: int) -> float | None:
    """Of log(ratio), from the t interval of ``pairs`` process pairs around it; None where there is no such interval."""
    if interval is None or pairs < 2 or not 0 < interval[0] <= interval[1]:
        return None
    return (math.log(interval[1]) - math.log(interval[0])) / 2 / _t_point(pairs - 1)


@lru_cache
def _t_point(degrees: int) -> float:
    """Standard errors from a mean to an end of its t interval: few degrees occur, each in very many rows."""
    return float(special.stdtrit(degrees, (1 + CONFIDENCE) / 2))


Paired = tuple[float, Interval | None, int]  # a ratio, its interval, and the process pairs behind both


def quotient(above: Paired, below: Paired) -> tuple[float, Interval] | None:
    """``above / below``, which are independent; None where either has no interval, or the quotient none that is finite.

    Variances add on the log scale; degrees of freedom by Welch and Satterthwaite.
    """
    errors = [log_standard_error(interval, pairs) for _, interval, pairs in (above, below)]
    if None in errors:
        return None
    variances = [error**2 for error in errors if error is not None]
    total, half = math.fsum(variances), 0.0
    if total > 0:
        parts = [
            (v / total) ** 2 / (pairs - 1) for v, (_, _, pairs) in zip(variances, (above, below), strict=True)
        ]
        half = float(special.stdtrit(1 / math.fsum(parts), (1 + CONFIDENCE) / 2)) * math.sqrt(total)
    log = math.log(above[0]) - math.log(below[0])
    if abs(log) + half > LARGEST_LOG:  # nobody measures such a ratio, but somebody may write it
        return None
    return math.exp(log), (math.exp(log - half), math.exp(log + half))


def failures_allowed(queries: int, percentile: float, confidence: float = 0.99) -> int:
    """Largest t with P(Binomial(queries, 1 - percentile) <= t) <= 1 - confidence; -1 when there is none.

    MLPerf Inference's early stopping criterion with tolerance 0.
    """
    tail = special.bdtr(np.arange(queries), queries, 1 - percentile)
    return int(np.searchsorted(tail, 1 - confidence, side="right")) - 1


def queries_needed(percentile: float, confidence: float = 0.99) -> int:
    """Fewest queries with one failure allowed: 64 for the 90th percentile, 662 for the 99th."""
    low, high = 1, 2
    while failures_allowed(high, percentile, confidence) < 1:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = failures_allowed(middle, percentile, confidence) >= 1
        low, high = (low, middle) if enough else (middle, high)
    return high


def percentile_bound(samples: Sequence[float], percentile: float, confidence: float = 0.99) -> float | None:
    """Upper confidence bound of a percentile, whatever the distribution: the t-th largest
    sample, t failures being allowed.

    None below :func:`queries_needed`. MLPerf Inference, early stopping for single-stream. Samples are taken
    as independent: give those of one process, not of several together.
    """
    allowed = failures_allowed(len(samples), percentile, confidence)
    if allowed < 1:
        return None
    return float(np.sort(np.asarray(samples, dtype=np.float64))[-allowed])
