"""Intervals, ranks and retention on simulated runs whose truth is known, and on cases done by hand.

Simulated share-of-hits are compared with binomial tails: a bound of 1 in 10,000 on either side, seeds fixed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import special, stats
from sklearn.isotonic import IsotonicRegression

from suite import statistics
from suite.errors import UserError
from suite.protocol import MEASURING, REPORTING
from suite.statistics import (
    NO_TEACHER,
    RESOLUTION,
    Evidence,
    SeedSpread,
    board_score,
    estimate,
    own_seed_draws,
    paired_difference,
    pairs_estimate,
    percentile_bound,
    pooled_seed_sd,
    queries_needed,
    rank_ranges,
    ranking,
    retention,
    seed_draws,
    seed_spreads,
    t_interval,
)

EXAMPLES = 400
NO_SPREAD = SeedSpread(None, 0)


def fewest(draws: int, rate: float) -> int:
    return int(stats.binom.ppf(1e-4, draws, rate))


def most(draws: int, rate: float) -> int:
    return int(stats.binom.ppf(1 - 1e-4, draws, rate))


def simulate(
    random: np.random.Generator,
    accuracies: Sequence[float],
    runs: Sequence[int],
    shift: float = 0.1,
    examples: int = EXAMPLES,
) -> list[Evidence]:
    """Runs of recipes whose expected accuracy over seeds and examples is known exactly.

    Run j of recipe r is right on example i when x_i + y_ri + e_rij + b_rj exceeds a threshold: difficulty
    shared by all recipes, the recipe's own taste, the run's luck with the example, and the run's level
    (``shift`` is its sd). All are normal, so the sum is, and the threshold follows from the accuracy.
    """
    spread = math.sqrt(1.0**2 + 0.4**2 + 0.5**2 + shift**2)
    x = random.normal(0, 1.0, examples)
    found = []
    for accuracy, n in zip(accuracies, runs, strict=True):
        latent = x + random.normal(0, 0.4, examples) + random.normal(0, 0.5, (n, examples))
        latent += random.normal(0, shift, (n, 1))
        right = (latent > -special.ndtri(accuracy) * spread).astype(float)
        found.append(as_evidence(right))
    return found


def as_evidence(right: np.ndarray, diverged: tuple[bool, ...] = ()) -> Evidence:
    """[runs, examples] of 0 and 1 -> accuracy in points with its influence values."""
    n = right.shape[1]
    mean = right.mean(axis=1)
    influence = 100 * (right - mean[:, None]) / math.sqrt(n * (n - 1))
    return Evidence(tuple(100 * mean), tuple(influence), diverged)


def spread_of(rows: Sequence[Evidence]) -> SeedSpread:
    return pooled_seed_sd({str(i): row for i, row in enumerate(rows)})


# --- seed deviation -----------------------------------------------------------------------------------------


def plain(*scores: float, diverged: tuple[bool, ...] = ()) -> Evidence:
    """Scores without any example variance."""
    return Evidence(scores, tuple(np.zeros(3) for _ in scores), diverged)


def test_seed_sd_is_pooled_within_recipes() -> None:
    spread = pooled_seed_sd({"a": plain(80, 82, 84), "b": plain(50, 53), "c": plain(70)})
    # Squares about each recipe's own mean: 4 + 0 + 4, and 1.5^2 twice; degrees 2 + 1 + 0.
    assert spread.sd == pytest.approx(math.sqrt((8 + 4.5) / 3))
    assert spread.degrees == 3


def test_diverged_runs_and_seedless_recipes_are_not_pooled() -> None:
    kept = pooled_seed_sd({"a": plain(80, 82, 84)})
    odd = plain(81, 0, 85, diverged=(False, True, False))
    both = pooled_seed_sd({"a": plain(80, 82, 84), "odd": odd, "same": plain(60, 60, 60)})
    assert kept.sd == pytest.approx(2)
    assert both.sd == pytest.approx(math.sqrt((8 + 8) / 3))  # of the odd one, 81 and 85 remain
    assert both.degrees == 3
    gone = plain(0, 0, diverged=(True, True))
    assert pooled_seed_sd({"gone": gone}) == SeedSpread(None, 0)


def test_without_two_runs_no_seed_sd_is_known_and_it_is_said() -> None:
    (row,) = simulate(np.random.default_rng(0), [0.8], [1])
    spread = spread_of([row])
    assert spread == SeedSpread(None, 0)
    found = estimate(row, spread)
    assert found.examples_only
    share = found.value / 100
    sd = 100 * math.sqrt(share * (1 - share) / (EXAMPLES - 1))
    assert found.se == pytest.approx(sd)
    assert found.interval == pytest.approx(
        (found.value - 1.959964 * sd, found.value + 1.959964 * sd), rel=1e-6
    )
    assert not estimate(row, SeedSpread(1.0, 4)).examples_only


# --- estimates ----------------------------------------------------------------------------------------------


def test_standard_error_by_loops_over_indices() -> None:
    rows = simulate(np.random.default_rng(1), [0.8, 0.7, 0.75], [3, 2, 1], shift=0.2, examples=60)
    squares = own = degrees = 0.0
    for row in rows:
        for j in range(row.runs):
            squares += (row.scores[j] - sum(row.scores) / row.runs) ** 2
            for i in range(60):
                own += (row.influences[j][i] - sum(u[i] for u in row.influences) / row.runs) ** 2
        degrees += row.runs - 1
    s2, overlap = squares / degrees, own / degrees
    assert s2 > overlap > 0
    spread = spread_of(rows)
    assert (spread.sd, spread.degrees) == (pytest.approx(math.sqrt(s2)), 3)
    for row in rows:
        examples = sum((sum(u[i] for u in row.influences) / row.runs) ** 2 for i in range(60))
        assert estimate(row, spread).se == pytest.approx(math.sqrt(examples + (s2 - overlap) / row.runs))


@pytest.mark.parametrize("runs", [2, 3, 5, 20])
def test_interval_is_students_where_only_seeds_matter(runs: int) -> None:
    scores = tuple(np.random.default_rng(runs).normal(70, 2, runs))
    row = plain(*scores)
    found = estimate(row, spread_of([row]))
    low, high = stats.t.interval(0.95, runs - 1, np.mean(scores), stats.sem(scores))
    # The chi-squared is taken at 1,000 quantiles; at one degree of freedom that shows in the third digit.
    assert found.interval == pytest.approx((max(low, -100), min(high, 100)), abs=0.01 * (high - low))


def test_example_variance_is_the_mean_runs_not_the_runs_mean() -> None:
    """Runs that err on different examples cancel; runs that err on the same ones do not."""
    random = np.random.default_rng(2)
    luck = as_evidence((random.random((4, 500)) < 0.8).astype(float))
    same = as_evidence(np.tile((random.random(500) < 0.8).astype(float), (4, 1)))
    assert estimate(luck, NO_SPREAD).se == pytest.approx(estimate(same, NO_SPREAD).se / 2, rel=0.1)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_intervals_cover_the_expected_score(shift: float) -> None:
    """One run or three, whether seeds shift the whole score or only swap examples."""
    random = np.random.default_rng(3)
    truth, runs = [0.8, 0.8, 0.75, 0.85, 0.8, 0.7], [1, 3, 2, 3, 1, 3]
    draws, hits = 500, np.zeros(2)
    for _ in range(draws):
        rows = simulate(random, truth, runs, shift)
        spread = spread_of(rows)
        for i in range(2):
            low, high = estimate(rows[i], spread).interval
            hits[i] += low <= 100 * truth[i] <= high
    assert hits.min() >= fewest(draws, 0.95)
    assert hits.max() <= most(draws, 0.97)  # and the intervals are not simply wide


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_intervals_cover_with_a_single_repeated_recipe(shift: float) -> None:
    """One degree of freedom: the interval must be honest about it."""
    random = np.random.default_rng(4)
    draws = hits = 0
    for _ in range(500):
        rows = simulate(random, [0.8, 0.8, 0.7], [2, 1, 1], shift)
        low, high = estimate(rows[1], spread_of(rows)).interval
        draws, hits = draws + 1, hits + (low <= 80 <= high)
    assert hits >= fewest(draws, 0.95)


def test_a_recipe_with_a_diverged_run_is_known_by_its_own_spread() -> None:
    rows = simulate(np.random.default_rng(5), [0.8, 0.8], [3, 3], shift=0.0)
    broken = Evidence((*rows[0].scores[:2], 50.0), rows[0].influences, (False, False, True))
    spread = spread_of([rows[1], broken])
    assert spread.sd is not None
    assert spread.sd < 3
    whole, torn = estimate(rows[0], spread), estimate(broken, spread)
    assert torn.value < whole.value - 5  # the diverged run counts
    assert torn.se > 3 * whole.se
    assert torn.se >= np.std(broken.scores, ddof=1) / math.sqrt(3)


def test_what_pages_draw_of_the_seeds_gives_the_same_differences() -> None:
    """Also of a row with a diverged run: its own spread is far larger than what rows share."""
    rows = simulate(np.random.default_rng(5), [0.8, 0.8, 0.7], [3, 3, 2])
    broken = Evidence((*rows[0].scores[:2], 0.0), rows[0].influences, (False, False, True))
    spread = spread_of([*rows[1:], broken])
    shared = seed_draws({"t": spread})["t"]
    assert own_seed_draws(rows[1], spread, "x") is None
    for one in (rows[2], broken):
        own = own_seed_draws(one, spread, "broken/t")
        u = one.influence - rows[1].influence
        drawn = u @ u + 2 * RESOLUTION**2 + shared / 3 + (shared if own is None else own) / one.runs
        expected = paired_difference({"t": one}, {"t": rows[1]}, {"t": spread})
        assert statistics._half_width(drawn) == pytest.approx(expected.interval[1] - expected.value, rel=0.02)
        assert statistics._p_value(abs(expected.value), drawn) == pytest.approx(expected.p, abs=0.01)
    assert expected.p > 0.2, "three scores of which one is 0 say little"


def test_intervals_stay_within_the_range_of_a_score() -> None:
    right = np.ones((2, 50))
    right[0, 0] = 0
    found = estimate(as_evidence(right), SeedSpread(2.0, 3))
    assert found.interval[1] == 100
    assert found.interval[0] < found.value


def test_board_score_is_the_mean_over_tasks() -> None:
    random = np.random.default_rng(6)
    a, b = simulate(random, [0.8], [3])[0], simulate(random, [0.6], [2])[0]
    spreads = {"one": SeedSpread(1.0, 9, 0.3), "two": SeedSpread(2.0, 7, 0.5)}
    found = board_score({"one": a, "two": b}, spreads)
    assert found is not None
    single = [estimate(a, spreads["one"]), estimate(b, spreads["two"])]
    assert found.value == pytest.approx((single[0].value + single[1].value) / 2)
    assert found.se == pytest.approx(math.hypot(single[0].se, single[1].se) / 2)
    assert board_score({"one": a}, spreads) is None
    assert board_score({"one": a}, {}) is None


def test_board_score_covers_its_truth() -> None:
    random = np.random.default_rng(7)
    draws, hits = 400, 0
    for _ in range(draws):
        tasks = {
            t: simulate(random, [p, 0.75, 0.7], [1, 3, 2]) for t, p in (("a", 0.8), ("b", 0.6), ("c", 0.9))
        }
        found = board_score(
            {t: rows[0] for t, rows in tasks.items()}, {t: spread_of(r) for t, r in tasks.items()}
        )
        assert found is not None
        hits += found.interval[0] <= 100 * (0.8 + 0.6 + 0.9) / 3 <= found.interval[1]
    assert fewest(draws, 0.95) <= hits <= most(draws, 0.975)


# --- differences --------------------------------------------------------------------------------------------


def test_paired_difference_by_hand() -> None:
    a, b = simulate(np.random.default_rng(8), [0.8, 0.75], [1, 3], examples=80)
    spread = SeedSpread(2.0, 12, 1.0)
    found = paired_difference({"t": a}, {"t": b}, {"t": spread})
    shared = sum((a.influences[0][i] - sum(u[i] for u in b.influences) / 3) ** 2 for i in range(80))
    assert found.value == pytest.approx(a.score - b.score)
    assert found.se == pytest.approx(math.sqrt(shared + (4.0 - 1.0) * (1 + 1 / 3)), rel=1e-5)
    back = paired_difference({"t": b}, {"t": a}, {"t": spread})
    assert (back.value, back.p) == (pytest.approx(-found.value), pytest.approx(found.p))
    unpaired = math.hypot(estimate(a, spread).se, estimate(b, spread).se)
    assert found.se < unpaired


def test_p_agrees_with_the_interval() -> None:
    random = np.random.default_rng(9)
    seen = set()
    for _ in range(60):
        rows = simulate(random, [0.8, 0.74, 0.7], [1, 2, 3])
        found = paired_difference({"t": rows[0]}, {"t": rows[1]}, {"t": spread_of(rows)})
        excludes = not found.interval[0] <= 0 <= found.interval[1]
        assert excludes == (found.p < 0.05)
        seen.add(excludes)
    assert seen == {True, False}


def test_a_row_does_not_differ_from_itself() -> None:
    (a,) = simulate(np.random.default_rng(10), [0.8], [2])
    found = paired_difference({"t": a}, {"t": a}, {"t": NO_SPREAD})
    assert (found.value, found.p) == (0, 1)
    assert math.isfinite(found.interval[1])


@pytest.mark.parametrize(("first", "second"), [(1, 3), (3, 3), (1, 1)])
def test_differences_cover_their_truth(first: int, second: int) -> None:
    random = np.random.default_rng(11)
    draws, hits = 400, 0
    for _ in range(draws):
        rows = simulate(random, [0.8, 0.75, 0.7, 0.85], [first, second, 3, 3])
        found = paired_difference({"t": rows[0]}, {"t": rows[1]}, {"t": spread_of(rows)})
        hits += found.interval[0] <= 5 <= found.interval[1]
    assert fewest(draws, 0.95) <= hits <= most(draws, 0.98)


def test_rows_on_other_dev_sets_are_not_compared() -> None:
    random = np.random.default_rng(12)
    a, b = simulate(random, [0.8], [1])[0], simulate(random, [0.8], [1], examples=399)[0]
    with pytest.raises(UserError, match="different dev sets"):
        paired_difference({"t": a}, {"t": b}, {"t": NO_SPREAD})
    with pytest.raises(UserError, match="different sizes"):
        Evidence((80.0, 81.0), (np.zeros(4), np.zeros(5)))
    with pytest.raises(UserError, match="2 scores with 1"):
        Evidence((80.0, 81.0), (np.zeros(4),))


# --- ranks --------------------------------------------------------------------------------------------------


@pytest.fixture
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """For simulations of hundreds of tables: the 95% point is then off by about 0.35% in coverage."""
    monkeypatch.setattr(statistics, "DRAWS", 4000)
    monkeypatch.setattr(statistics, "FRONT_DRAWS", 1000)


def table(
    random: np.random.Generator, accuracies: Sequence[float], runs: Sequence[int], shift: float = 0.1
) -> dict[str, dict[str, Evidence]]:
    rows: dict[str, dict[str, Evidence]] = {f"r{i}": {} for i in range(len(runs))}
    for task in ("one", "two"):
        for i, row in enumerate(simulate(random, accuracies, runs, shift)):
            rows[f"r{i}"][task] = row
    return rows


@pytest.mark.parametrize(
    ("runs", "shift"),
    [
        ([1, 3, 2, 3, 1, 3, 3, 1], 0.1),  # unequal numbers of seeds
        ([3] * 8, 0.0),  # seeds only swap examples
        ([2, 1, 1, 1, 1, 1], 0.1),  # one degree of freedom
        ([1] * 6, 0.0),  # no seed deviation known
    ],
)
@pytest.mark.usefixtures("fewer_draws")
def test_equal_rows_are_seldom_told_apart(runs: list[int], shift: float) -> None:
    """Family-wise error: in at most 5% of tables of equals does any row get a rank range short of [1, N]."""
    random = np.random.default_rng(13)
    draws, wrong = 300, 0
    for _ in range(draws):
        rows = table(random, [0.8] * len(runs), runs, shift)
        ranks = rank_ranges(rows, seed_spreads(rows))
        wrong += any((r.lowest, r.highest) != (1, len(runs)) for r in ranks.values())
    assert wrong <= most(draws, 0.05)


@pytest.mark.usefixtures("fewer_draws")
def test_true_ranks_lie_in_their_ranges_and_the_best_row_ties_with_the_best() -> None:
    random = np.random.default_rng(14)
    truth, runs = [0.84, 0.83, 0.80, 0.80, 0.74, 0.60], [3, 1, 3, 2, 1, 3]
    places = [(1, 1), (2, 2), (3, 4), (3, 4), (5, 5), (6, 6)]
    draws, right, best, clear = 300, 0, 0, 0
    for _ in range(draws):
        rows = table(random, truth, runs)
        ranks = rank_ranges(rows, seed_spreads(rows))
        found = [ranks[f"r{i}"] for i in range(6)]
        right += all(
            f.lowest <= high and low <= f.highest for f, (low, high) in zip(found, places, strict=True)
        )
        best += found[0].ties_with_best
        clear += (found[5].lowest, found[5].highest) == (6, 6)
    assert right >= fewest(draws, 0.95)
    assert best >= fewest(draws, 0.95)
    assert clear >= fewest(draws, 0.99)  # power: 14 points below the next are always seen
    assert not ranks["r5"].ties_with_best


@pytest.mark.usefixtures("fewer_draws")
def test_a_clearly_better_row_stands_alone() -> None:
    random = np.random.default_rng(15)
    draws, alone = 200, 0
    for _ in range(draws):
        rows = table(random, [0.9, 0.8, 0.8, 0.8, 0.8], [3, 3, 1, 3, 3], shift=0.05)
        ranks = rank_ranges(rows, seed_spreads(rows))
        alone += ranks["r0"].highest == 1 and sum(r.ties_with_best for r in ranks.values()) == 1
    # 10 points apart, se of a difference about 1.8 (two tasks of 400): z = 5.5 against 2.9 for ten pairs.
    assert alone >= fewest(draws, 0.99)


def test_critical_values_of_independent_rows_are_the_studentised_range() -> None:
    """Tukey (1949): with equal, independent, normal errors the largest |t| is the range over sqrt 2."""
    random = np.random.default_rng(16)
    right = random.random((6, 4000)) < 0.8
    found = ranking(
        {str(i): {"t": as_evidence(right[[i]].astype(float))} for i in range(6)}, {"t": NO_SPREAD}
    )
    expected = stats.studentized_range.ppf(0.95, 6, np.inf) / math.sqrt(2)
    assert found.critical == pytest.approx(expected, abs=0.04)
    # Dunnett (1955), five comparisons with one control at correlation 1/2, two-sided: 2.57.
    assert found.critical_each == pytest.approx(np.full(6, 2.57), abs=0.05)
    assert found.examples_only


def test_the_comparison_with_the_best_has_fewer_comparisons_than_the_ranks() -> None:
    """Six independent rows, se of a difference sqrt 2: 2.57 against one row, 2.85 over all fifteen pairs."""
    for t, lowest, ties in ((2.4, 1, True), (2.7, 1, False), (3.0, 2, False)):
        scores = [t * math.sqrt(2), *[t * math.sqrt(2) / 2] * 4, 0.0]
        rows = {str(i): {"t": Evidence((s,), (np.eye(6)[i],))} for i, s in enumerate(scores)}
        found = rank_ranges(rows, {"t": NO_SPREAD})
        assert (found["5"].lowest, found["5"].ties_with_best) == (lowest, ties)
        assert found["0"].ties_with_best


def test_critical_values_grow_with_few_degrees_of_freedom() -> None:
    rows = {str(i): {"t": plain(*(70 + i + np.array([-1.0, 1.0])))} for i in range(4)}
    found = ranking(rows, seed_spreads(rows))
    # Seeds only, 4 degrees of freedom: the studentised range again, now really studentised.
    expected = stats.studentized_range.ppf(0.95, 4, 4) / math.sqrt(2)
    assert found.critical == pytest.approx(expected, rel=0.02)


def test_ranking_describes_all_comparisons() -> None:
    rows = table(np.random.default_rng(17), [0.7, 0.9, 0.8], [3, 1, 2])
    spreads = seed_spreads(rows)
    found = ranking(rows, spreads)
    assert found.names == ("r1", "r2", "r0")
    assert list(found.ranks) == list(found.names)
    assert np.all(np.diff(found.value) <= 0)
    pair = paired_difference(rows["r1"], rows["r0"], spreads)
    assert found.se[0, 2] == pytest.approx(pair.se)
    assert found.t[0, 2] == pytest.approx(pair.value / pair.se)
    assert found.t == pytest.approx(-found.t.T)
    assert found.critical >= found.critical_each.max()
    assert found == found  # frozen
    for i, name in enumerate(found.names):
        rank = found.ranks[name]
        assert rank.lowest == 1 + int((found.t[i] < -found.critical).sum())
        assert rank.highest == 3 - int((found.t[i] > found.critical).sum())
        assert rank.ties_with_best == bool((found.t[i] >= -found.critical_each[i]).all())


def test_ranks_do_not_depend_on_the_order_of_rows_or_on_chance() -> None:
    rows = table(np.random.default_rng(18), [0.7, 0.9, 0.8, 0.79], [3, 1, 2, 1])
    once = ranking(rows, seed_spreads(rows))
    state = np.random.get_state()[1].tolist()
    again = ranking(dict(reversed(rows.items())), seed_spreads(rows))
    assert (once.ranks, once.critical) == (again.ranks, again.critical)
    assert np.random.get_state()[1].tolist() == state


def test_rows_without_all_tasks_are_not_ranked() -> None:
    rows = table(np.random.default_rng(19), [0.7, 0.9, 0.8], [1, 1, 1])
    del rows["r1"]["two"]
    ranks = rank_ranges(rows, seed_spreads(rows))
    assert set(ranks) == {"r0", "r2"}
    assert {r.of for r in ranks.values()} == {2}
    assert rank_ranges({"only": rows["r0"]}, seed_spreads(rows))["only"].ties_with_best
    assert rank_ranges({}, {}) == {}


def test_identical_and_constant_rows_tie() -> None:
    (row,) = simulate(np.random.default_rng(20), [0.8], [1])
    still = plain_like(row, 0.0)
    rows = {"a": {"t": row}, "b": {"t": row}, "zero": {"t": still}, "nought": {"t": plain_like(row, 0.0)}}
    ranks = rank_ranges(rows, {"t": NO_SPREAD})
    assert [(r.lowest, r.highest) for r in ranks.values()] == [(1, 2), (1, 2), (3, 4), (3, 4)]
    assert [r.ties_with_best for r in ranks.values()] == [True, True, False, False]


def plain_like(row: Evidence, score: float) -> Evidence:
    """A constant answer under a correlation: score 0 on any dev set."""
    return Evidence((score,), (np.zeros_like(row.influences[0]),), (True,))


def test_thirty_rows_take_less_than_a_second() -> None:
    random = np.random.default_rng(21)
    rows: dict[str, dict[str, Evidence]] = {
        f"r{i:02}": {
            f"t{t}": as_evidence((random.random((1 + 2 * (i % 2), 2000)) < 0.8).astype(float))
            for t in range(4)
        }
        for i in range(30)
    }
    start = time.process_time()
    ranks = rank_ranges(rows, seed_spreads(rows))
    assert time.process_time() - start < 1
    assert len(ranks) == 30


# --- retention ----------------------------------------------------------------------------------------------


def majority_of(random: np.random.Generator, share: float, examples: int = EXAMPLES) -> Evidence:
    return as_evidence((random.random((1, examples)) < share).astype(float), (True,))


@pytest.mark.parametrize(("student", "teacher", "runs"), [(0.75, 0.85, 3), (0.6, 0.8, 1), (0.85, 0.8, 3)])
def test_retention_covers_its_truth(student: float, teacher: float, runs: int) -> None:
    random = np.random.default_rng(22)
    draws, hits = 300, 0
    for _ in range(draws):
        rows = simulate(random, [student, teacher, 0.7, 0.7], [runs, runs, 3, 3])
        found = retention(
            {"t": rows[0]}, {"t": rows[1]}, {"t": majority_of(random, 0.5)}, {"t": spread_of(rows)}
        )
        assert found.interval is not None
        hits += found.interval[0] <= (student - 0.5) / (teacher - 0.5) <= found.interval[1]
    assert fewest(draws, 0.95) <= hits <= most(draws, 0.98)


def test_retention_is_fiellers_interval() -> None:
    """Without seeds, against the closed form of the quadratic (Fieller 1954)."""
    random = np.random.default_rng(23)
    rows, floor = simulate(random, [0.7, 0.8], [1, 1]), majority_of(random, 0.6)
    found = retention({"t": rows[0]}, {"t": rows[1]}, {"t": floor}, {"t": NO_SPREAD})
    a, b = rows[0].score - floor.score, rows[1].score - floor.score
    u, v = (row.influences[0] - floor.influences[0] for row in rows)
    z2 = stats.norm.ppf(0.975) ** 2
    roots = np.roots([b * b - z2 * (v @ v), -2 * (a * b - z2 * (u @ v)), a * a - z2 * (u @ u)])
    assert found.value == pytest.approx(a / b)
    assert found.interval == pytest.approx(tuple(sorted(roots)), rel=1e-6)
    assert found.examples_only


def test_no_retention_of_a_teacher_that_is_not_above_chance() -> None:
    random = np.random.default_rng(24)
    answers = {True: 0, False: 0}
    for share in np.linspace(0.5, 0.62, 25):
        rows, floor = simulate(random, [0.5, share], [3, 3]), majority_of(random, 0.5)
        spreads = {"t": spread_of(rows)}
        found = retention({"t": rows[0]}, {"t": rows[1]}, {"t": floor}, spreads)
        gain = paired_difference(
            {"t": rows[1]}, {"t": Evidence(floor.scores * 2, floor.influences * 2)}, spreads
        )
        above = gain.interval[0] > 0
        answers[above] += 1
        assert (found.value is not None) == above
        assert (found.reason is None) == above
        if not above:
            assert found.reason == NO_TEACHER == "n/a: teacher not above chance"
            assert found.interval is None
    assert min(answers.values()) >= 5


def test_the_teacher_retains_all_of_itself() -> None:
    random = np.random.default_rng(25)
    rows = simulate(random, [0.8, 0.7], [3, 3])
    floor = majority_of(random, 0.5)
    found = retention({"t": rows[0]}, {"t": rows[0]}, {"t": floor}, {"t": spread_of(rows)})
    assert (found.value, found.interval) == (1.0, (1.0, 1.0))
    at_chance = retention({"t": floor}, {"t": rows[0]}, {"t": floor}, {"t": spread_of(rows)})
    assert at_chance.value == 0
    assert at_chance.interval is not None
    assert at_chance.interval[0] <= 0 <= at_chance.interval[1]


def test_retention_over_several_tasks() -> None:
    random = np.random.default_rng(26)
    rows = {t: simulate(random, [0.7, 0.85], [3, 3]) for t in ("one", "two")}
    floor = {t: majority_of(random, 0.5) for t in rows}
    found = retention(
        {t: r[0] for t, r in rows.items()}, {t: r[1] for t, r in rows.items()}, floor,
        {t: spread_of(r) for t, r in rows.items()},
    )  # fmt: skip
    gains = [sum(r[i].score - floor[t].score for t, r in rows.items()) for i in range(2)]
    assert found.value == pytest.approx(gains[0] / gains[1])


# --- fronts -------------------------------------------------------------------------------------------------


def test_isotonic_fit_equals_scikit_learn() -> None:
    random = np.random.default_rng(30)
    scores = np.round(random.normal(0, 1, (40, 7)).cumsum(axis=1), 1)  # with ties
    expected = [IsotonicRegression().fit_transform(np.arange(7), row) for row in scores]
    assert statistics.isotonic(scores) == pytest.approx(np.array(expected), abs=1e-12)


def test_front_area_by_hand() -> None:
    # Over costs 1 to 1000, a decade each: the floor until 10, then 70, from 100 on 80; that at 50 is worse.
    costs, floor = np.array([10.0, 50.0, 100.0]), np.array(50.0)
    envelope = statistics.upper_envelope(np.array([70.0, 65.0, 80.0]), floor)
    assert envelope.tolist() == [70, 70, 80]
    assert statistics.front_area(costs, envelope, floor, 1.0, 1000.0) == pytest.approx((50 + 70 + 80) / 3)
    # An interval that starts within the first step and ends before the last point.
    assert statistics.front_area(costs, envelope, floor, 20.0, 90.0) == pytest.approx(70)
    # Points that are worse than the majority class do not lower it.
    assert statistics.upper_envelope(np.array([40.0, 60.0]), floor).tolist() == [50, 60]
    with pytest.raises(UserError, match="start < end"):
        statistics.front_area(costs, envelope, floor, 10.0, 10.0)


def test_hypervolume_by_hand() -> None:
    costs, scores = np.array([100.0, 10.0, 500.0, 2000.0]), np.array([80.0, 70.0, 75.0, 99.0])
    # Two decades below 1000: one at 70 - 50, one at 80 - 50; the others are dominated or too dear.
    assert statistics.hypervolume(costs, scores, 1000.0, 50.0) == pytest.approx(20 + 30)
    assert statistics.hypervolume(costs, scores, 5.0, 50.0) == 0


def front_of(rows: Sequence[Evidence], costs: Sequence[float]) -> list[statistics.Point]:
    return [statistics.Point(cost, {"t": row}) for cost, row in zip(costs, rows, strict=True)]


@pytest.mark.usefixtures("fewer_draws")
def test_front_score_covers_its_truth() -> None:
    random = np.random.default_rng(31)
    truth = [0.66, 0.78, 0.60, 0.72, 0.84]  # two of the family, three of the reference
    draws, hits = 200, 0
    # Decades from 1 to 1000: the family has 66 from 1, 78 from 100; the reference a step in each.
    expected = (66 + 66 + 78) / 3 - (60 + 72 + 84) / 3
    for _ in range(draws):
        rows = simulate(random, truth, [3, 3, 3, 1, 3])
        found = statistics.front_score(
            front_of(rows[:2], [1.0, 100.0]), front_of(rows[2:], [1.0, 10.0, 100.0]),
            {"t": majority_of(random, 0.5)}, {"t": spread_of(rows)}, start=1.0, end=1000.0,
        )  # fmt: skip
        hits += found.interval[0] <= expected <= found.interval[1]
    assert fewest(draws, 0.95) <= hits <= most(draws, 0.985)


def test_above_a_front_by_hand() -> None:
    random = np.random.default_rng(33)
    rows = simulate(random, [0.75, 0.6, 0.9], [3, 3, 3])
    curve = front_of(rows[1:], [10.0, 1000.0])
    majority = {"t": majority_of(random, 0.5)}
    low, high = rows[1].score, rows[2].score
    # A third of the way over log cost; at a point; dearer than all; cheaper than all.
    for cost, beside in (
        (10 * 100 ** (1 / 3), low + (high - low) / 3), (10.0, low), (5e3, high), (1.0, majority["t"].score),
    ):  # fmt: skip
        point = statistics.Point(cost, {"t": rows[0]})
        found = statistics.above_front(point, curve[::-1], majority, {"t": NO_SPREAD})
        assert found.value == pytest.approx(rows[0].score - beside), cost
        assert found.interval[0] < found.value < found.interval[1]


@pytest.mark.usefixtures("fewer_draws")
def test_above_a_front_covers_its_truth() -> None:
    random = np.random.default_rng(34)
    draws, hits = 200, 0
    for _ in range(draws):
        rows = simulate(random, [0.75, 0.6, 0.84], [3, 3, 3])
        found = statistics.above_front(
            statistics.Point(10.0, {"t": rows[0]}), front_of(rows[1:], [1.0, 100.0]),
            {"t": majority_of(random, 0.5)}, {"t": spread_of(rows)},
        )  # fmt: skip
        hits += found.interval[0] <= 75 - (60 + 84) / 2 <= found.interval[1]
    assert fewest(draws, 0.95) <= hits <= most(draws, 0.985)


def test_a_front_does_not_exceed_itself() -> None:
    random = np.random.default_rng(32)
    rows = simulate(random, [0.65, 0.8, 0.95], [1, 1, 1])
    points = front_of(rows, [1.0, 10.0, 100.0])
    found = statistics.front_score(
        points[::-1], points, {"t": majority_of(random, 0.5)}, {"t": NO_SPREAD}, start=1.0, end=200.0
    )
    assert found.value == pytest.approx(0, abs=1e-12)
    assert found.interval[0] < 0.05
    assert found.interval[1] > -0.05
    assert found.interval[1] - found.interval[0] < 0.1  # nothing but the resolution
    assert found.examples_only


# --- speed --------------------------------------------------------------------------------------------------


def test_t_interval_equals_scipy() -> None:
    values = [0.61, 0.66, 0.58, 0.63, 0.70, 0.65]
    mean, interval = t_interval(values)
    assert mean == pytest.approx(np.mean(values))
    assert interval == pytest.approx(stats.t.interval(0.95, 5, np.mean(values), stats.sem(values)), abs=1e-12)
    assert t_interval([3.0]) == (3.0, None)


def test_pairs_give_a_geometric_mean_and_no_interval_from_two() -> None:
    logs = [math.log(x) for x in (1.9, 2.0, 2.1)]
    value, interval = pairs_estimate(logs)
    assert value == pytest.approx((1.9 * 2.0 * 2.1) ** (1 / 3))
    assert interval is not None
    low, high = stats.t.interval(0.95, 2, np.mean(logs), stats.sem(logs))
    assert interval == pytest.approx((math.exp(low), math.exp(high)))
    assert pairs_estimate(logs[:2]) == (pytest.approx(math.sqrt(1.9 * 2.0)), None)


def test_six_pairs_cover_the_ratio() -> None:
    random = np.random.default_rng(27)
    draws = 2000
    logs = math.log(1.9) + random.normal(0, 0.03, (draws, 6))
    hits = 0
    for row in logs:
        interval = pairs_estimate(row)[1]
        assert interval is not None
        hits += interval[0] <= 1.9 <= interval[1]
    assert fewest(draws, 0.95) <= hits <= most(draws, 0.95)


@pytest.mark.parametrize(
    ("percentile", "queries"), [(0.5, 11), (0.9, 64), (0.95, 130), (0.97, 219), (0.99, 662), (0.999, 6636)]
)
def test_fewest_queries_are_mlperfs(percentile: float, queries: int) -> None:
    assert queries_needed(percentile) == queries
    samples = np.arange(float(queries))
    assert percentile_bound(samples.tolist(), percentile) == queries - 1  # one failure: the largest
    assert percentile_bound(samples[:-1].tolist(), percentile) is None


@pytest.mark.parametrize(
    ("queries", "percentile", "failures"), [(100, 0.9, 3), (200, 0.5, 83), (1000, 0.9, 78), (5000, 0.99, 33)]
)
def test_failures_allowed_are_mlperfs(queries: int, percentile: float, failures: int) -> None:
    assert statistics.failures_allowed(queries, percentile) == failures
    samples = np.random.default_rng(28).permutation(queries).astype(float)
    assert percentile_bound(samples.tolist(), percentile) == queries - failures


@pytest.mark.parametrize(("percentile", "queries"), [(0.9, 64), (0.9, 300), (0.99, 700)])
def test_the_percentile_bound_holds(percentile: float, queries: int) -> None:
    random = np.random.default_rng(29)
    draws = 2000
    truth = stats.lognorm.ppf(percentile, 0.5)
    above = sum(
        (percentile_bound(random.lognormal(0, 0.5, queries).tolist(), percentile) or 0) >= truth
        for _ in range(draws)
    )
    assert above >= fewest(draws, 0.99)


# --- the protocol says the same -----------------------------------------------------------------------------


def test_the_protocol_states_these_numbers() -> None:
    ranks = REPORTING["ranks"]
    assert ranks["draws"] == statistics.DRAWS
    assert ranks["seed"] == statistics.DRAW_SEED
    assert ranks["resolution_points"] == statistics.RESOLUTION
    assert ranks["confidence"] == REPORTING["interval"]["confidence"] == statistics.CONFIDENCE
    assert MEASURING["estimator"]["confidence"] == statistics.CONFIDENCE
    assert MEASURING["estimator"]["pairs_for_interval"] == statistics.FEWEST_PAIRS
    needed = MEASURING["percentiles"]["fewest_queries"]
    assert (needed["p90"], needed["p99"]) == (queries_needed(0.9), queries_needed(0.99))
