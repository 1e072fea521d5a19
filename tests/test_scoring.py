"""Metrics equal scikit-learn's and scipy's; influence values agree with the jackknife's; odd input."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn import metrics as sk

from suite import scoring
from suite.errors import UserError
from suite.scoring import score
from suite.tasks import GLUE, Task

QUICK = settings(max_examples=150, deadline=None, derandomize=True)
PAIRS = {2: ("no", "yes"), 3: ("a", "b", "c")}


def make_task(metrics: tuple[str, ...], labels: int = 2, splits: tuple[str, ...] = ("dev",)) -> Task:
    files = {"train": "train.tsv"} | {split: f"{split}.tsv" for split in splits}
    return Task("toy", "Toy", ("a",), "label", PAIRS.get(labels, ()), metrics, files=files)


def class_pairs(labels: int, least: int = 1) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Predicted and gold class indices; hypothesis finds the constant and the one-example cases by itself."""
    return st.integers(least, 40).flatmap(
        lambda n: st.tuples(
            hnp.arrays(np.int64, n, elements=st.integers(0, labels - 1)),
            hnp.arrays(np.int64, n, elements=st.integers(0, labels - 1)),
        )
    )


def number_pairs(least: int = 2) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Predictions and gold on a coarse grid (many ties) or not."""
    coarse = st.integers(0, 5).map(float)
    fine = st.floats(-100, 100).map(lambda x: round(x, 3))
    return st.tuples(st.integers(least, 40), st.sampled_from([coarse, fine])).flatmap(
        lambda pair: st.tuples(
            hnp.arrays(np.float64, pair[0], elements=pair[1]),
            hnp.arrays(np.float64, pair[0], elements=pair[1]),
        )
    )


# --- equal to scikit-learn and scipy ------------------------------------------------------------------------


@QUICK
@given(class_pairs(2))
def test_two_class_metrics_equal_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, gold = pair
    assert scoring.accuracy(predicted, gold)[0] == pytest.approx(
        sk.accuracy_score(gold, predicted), abs=1e-12
    )
    assert scoring.f1(predicted, gold)[0] == pytest.approx(
        sk.f1_score(gold, predicted, zero_division=0), abs=1e-12
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn remarks on a single label
        expected = sk.matthews_corrcoef(gold, predicted)
    assert scoring.matthews(predicted, gold)[0] == pytest.approx(expected, abs=1e-12)


@QUICK
@given(class_pairs(3))
def test_three_class_metrics_equal_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, gold = pair
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sk.matthews_corrcoef(gold, predicted)
    assert scoring.matthews(predicted, gold)[0] == pytest.approx(expected, abs=1e-12)
    assert scoring.accuracy(predicted, gold)[0] == pytest.approx(
        sk.accuracy_score(gold, predicted), abs=1e-12
    )


@QUICK
@given(number_pairs())
def test_correlations_equal_scipy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, gold = pair
    assume(np.ptp(predicted) > 0 and np.ptp(gold) > 0)
    assert scoring.pearson(predicted, gold)[0] == pytest.approx(stats.pearsonr(predicted, gold)[0], abs=1e-12)
    assert scoring.spearman(predicted, gold)[0] == pytest.approx(
        stats.spearmanr(predicted, gold)[0], abs=1e-12
    )


@QUICK
@given(number_pairs())
def test_average_ranks_equal_scipy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert np.array_equal(scoring.average_ranks(pair[0]), stats.rankdata(pair[0]))


def test_correlation_survives_tiny_and_shifted_values() -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(size=50), random.normal(size=50)
    expected = stats.pearsonr(x, y)[0]
    assert scoring.pearson(x * 1e-200, y)[0] == pytest.approx(expected, abs=1e-12)  # squares would vanish
    assert scoring.pearson(x + 1e6, y)[0] == pytest.approx(expected, abs=1e-8)


def test_large_sets_do_not_overflow() -> None:
    random = np.random.default_rng(4)
    gold = random.integers(0, 2, 400_000).astype(np.int32)  # QQP has 40,430; counts squared exceed 32 bits
    predicted = np.where(random.random(400_000) < 0.9, gold, 1 - gold).astype(np.int32)
    assert scoring.matthews(predicted, gold)[0] == pytest.approx(
        sk.matthews_corrcoef(gold, predicted), abs=1e-12
    )


# --- degenerate input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["matthews", "pearson", "spearman", "f1"])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_constant_predictions_score_zero_without_nan(name: str, n: int) -> None:
    gold = np.arange(n) % 2
    for predicted, truth in ((np.zeros(n, int), gold), (gold, np.zeros(n, int)), (np.zeros(n, int),) * 2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            value, influence = scoring.METRICS[name](predicted, truth)
        assert value == 0
        assert np.array_equal(influence, np.zeros(n))


def test_nearly_constant_predictions_count_as_constant() -> None:
    x = 3.0 + np.array([0, 1, 0, 1]) * 1e-15  # rounding noise
    assert scoring.pearson(x, np.arange(4.0))[0] == 0


@pytest.mark.parametrize("name", sorted(scoring.METRICS))
def test_one_example_has_an_answer(name: str) -> None:
    value, influence = scoring.METRICS[name](np.array([1]), np.array([1]))
    assert np.isfinite(value)
    assert influence.tolist() == [0]


# --- influence values ---------------------------------------------------------------------------------------


def jackknife(metric: Callable[[Any, Any], float], predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """sqrt((n-1)/n) (mean of leave-one-out values - leave-one-out value): squares sum to its variance."""
    n = len(gold)
    left = np.array([metric(np.delete(predicted, i), np.delete(gold, i)) for i in range(n)])
    return np.sqrt((n - 1) / n) * (left.mean() - left)


def draw(kind: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    if kind == "numbers":  # like STS-B: gold in fifths from 0 to 5, ties
        gold = np.round(random.uniform(0, 5, n) * 5) / 5
        return gold + random.normal(0, 1, n), gold
    if kind == "tied":  # both sides on six values
        gold = random.integers(0, 6, n).astype(float)
        return np.clip(gold + random.integers(-2, 3, n), 0, 5), gold
    labels = 3 if kind == "three" else 2
    gold = (random.random(n) < 0.68).astype(int) if labels == 2 else random.integers(0, 3, n)
    return np.where(random.random(n) < 0.8, gold, random.integers(0, labels, n)), gold


CASES = [
    ("accuracy", "two"), ("f1", "two"), ("matthews", "two"), ("matthews", "three"),
    ("pearson", "numbers"), ("spearman", "numbers"), ("spearman", "tied"), ("pearson", "tied"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_influence_agrees_with_the_jackknife(name: str, kind: str) -> None:
    predicted, gold = draw(kind, 300, 8)
    _, influence = scoring.METRICS[name](predicted, gold)
    expected = jackknife(lambda p, g: scoring.METRICS[name](p, g)[0], predicted, gold)
    # The two differ in the second order, 1/n of their size.
    assert np.abs(influence - expected).max() < 10 / 300 * np.abs(expected).max()
    assert np.sum(influence**2) == pytest.approx(np.sum(expected**2), rel=10 / 300)
    assert np.corrcoef(influence, expected)[0, 1] > 0.999
    assert influence.sum() == pytest.approx(0, abs=1e-12)


def test_accuracy_influence_is_exactly_the_jackknife() -> None:
    predicted, gold = draw("two", 90, 1)
    value, influence = scoring.accuracy(predicted, gold)
    expected = jackknife(lambda p, g: float(np.mean(p == g)), predicted, gold)
    assert influence == pytest.approx(expected, abs=1e-14)
    assert np.sum(influence**2) == pytest.approx(value * (1 - value) / 89, abs=1e-15)


def test_spearman_influence_needs_the_ranks_of_the_others() -> None:
    """The Pearson influence of ranks, taken as if they were fixed, is not the jackknife's."""
    predicted, gold = draw("numbers", 300, 8)
    expected = jackknife(lambda p, g: float(stats.spearmanr(p, g)[0]), predicted, gold)
    fixed = scoring.pearson(scoring.average_ranks(predicted), scoring.average_ranks(gold))[1]
    ours = scoring.spearman(predicted, gold)[1]
    assert np.abs(ours - expected).max() < np.abs(fixed - expected).max() / 5


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_sum_of_squares_is_the_sampling_variance(name: str, kind: str) -> None:
    """Draw 1,500 dev sets: the variance of the metric over them is what one set's influences sum to."""
    draws = [draw(kind, 250, 1000 + i) for i in range(1500)]
    results = [scoring.METRICS[name](p, g) for p, g in draws]
    seen = np.var([value for value, _ in results], ddof=1)
    told = np.mean([np.sum(u**2) for _, u in results])
    # A variance from m draws has a relative error of about sqrt(2/m) = 3.7%; four of those, and 1/n of bias.
    assert told == pytest.approx(seen, rel=4 * np.sqrt(2 / 1500) + 4 / 250)


# --- calibration --------------------------------------------------------------------------------------------


def test_calibration_error_by_a_loop_over_bins() -> None:
    random = np.random.default_rng(5)
    logits = random.normal(0, 2, (700, 3))
    gold = random.integers(0, 3, 700)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = 0.0
    for b in range(15):
        inside = [i for i in range(700) if b / 15 < p[i].max() <= (b + 1) / 15]
        if inside:
            right = np.mean([p[i].argmax() == gold[i] for i in inside])
            expected += len(inside) / 700 * abs(right - np.mean([p[i].max() for i in inside]))
    assert expected > 0.1
    assert scoring.expected_calibration_error(scoring.softmax(logits), gold) == pytest.approx(
        expected, abs=1e-12
    )


def test_bins_are_closed_on_the_right() -> None:
    # 0.6 = 9/15 belongs to (8/15, 9/15], with 0.55: together they balance; in two bins they would not.
    p = np.array([[0.6, 0.4], [0.55, 0.45]])
    gap = abs((1 - 0.6) + (0 - 0.55)) / 2
    assert scoring.expected_calibration_error(p, np.array([0, 1])) == pytest.approx(gap, abs=1e-12)


def test_brier_equals_scikit_learn_summed_over_labels() -> None:
    random = np.random.default_rng(6)
    for labels in (2, 3):
        p = scoring.softmax(random.normal(0, 2, (200, labels)))
        gold = random.integers(0, labels, 200)
        y_prob = p[:, 1] if labels == 2 else p
        expected = sk.brier_score_loss(gold, y_prob, scale_by_half=False, labels=list(range(labels)))
        assert scoring.brier(p, gold) == pytest.approx(expected, abs=1e-12)


def test_softmax_of_huge_logits() -> None:
    assert scoring.softmax(np.array([[1e4, 0.0], [-1e4, 0.0]])).tolist() == [[1, 0], [0, 1]]


# --- a whole task -------------------------------------------------------------------------------------------


def logits_for(classes: np.ndarray, labels: int) -> np.ndarray:
    return np.eye(labels, dtype=np.float32)[classes] * 3


def test_every_glue_task_has_the_metrics_glue_defines() -> None:
    random = np.random.default_rng(7)
    expected = {
        "cola": {"matthews"}, "sst2": {"accuracy"}, "qnli": {"accuracy"}, "rte": {"accuracy"},
        "wnli": {"accuracy"}, "mrpc": {"accuracy", "f1"}, "qqp": {"accuracy", "f1"},
        "stsb": {"pearson", "spearman"},
        "mnli": {"accuracy_matched", "accuracy_mismatched"},
    }  # fmt: skip
    assert set(GLUE) == set(expected)
    for name, task in GLUE.items():
        gold: dict[str, np.ndarray] = {}
        for split in task.dev_splits:
            gold[split] = (
                random.uniform(0, 5, 60) if task.regression else random.integers(0, task.outputs, 60)
            )
        answers = {s: random.normal(size=(60, task.outputs)) for s in gold}
        scored = score(task, answers, gold)
        assert set(scored.metrics) == expected[name], name
        assert scored.score == pytest.approx(100 * np.mean(list(scored.metrics.values())))
        assert set(scored.calibration) == (set() if task.regression else {"ece", "brier"})


def test_score_is_the_mean_of_its_metrics_and_influence_follows() -> None:
    predicted, gold = draw("two", 408, 12)
    scored = score(make_task(("accuracy", "f1")), {"dev": logits_for(predicted, 2)}, {"dev": gold})
    accuracy, f1 = sk.accuracy_score(gold, predicted), sk.f1_score(gold, predicted)
    assert scored.metrics == pytest.approx({"accuracy": accuracy, "f1": f1}, abs=1e-12)
    assert scored.score == pytest.approx(50 * (accuracy + f1), abs=1e-10)
    expected = jackknife(
        lambda p, g: 50 * (sk.accuracy_score(g, p) + sk.f1_score(g, p)), predicted[:120], gold[:120]
    )
    short = score(make_task(("accuracy", "f1")), {"dev": logits_for(predicted[:120], 2)}, {"dev": gold[:120]})
    assert short.sd == pytest.approx(np.sqrt(np.sum(expected**2)), rel=0.03)
    assert scored.sd == pytest.approx(np.sqrt(np.sum(scored.influence["dev"] ** 2)), abs=1e-12)


def test_two_dev_sets_are_averaged_as_independent() -> None:
    task = make_task(("accuracy",), labels=3, splits=("dev_matched", "dev_mismatched"))
    (p1, g1), (p2, g2) = draw("three", 200, 1), draw("three", 400, 2)
    scored = score(
        task,
        {"dev_mismatched": logits_for(p2, 3), "dev_matched": logits_for(p1, 3)},
        {"dev_matched": g1, "dev_mismatched": g2},
    )
    a, b = np.mean(p1 == g1), np.mean(p2 == g2)
    assert scored.metrics == pytest.approx({"accuracy_matched": a, "accuracy_mismatched": b})
    assert scored.score == pytest.approx(50 * (a + b))
    assert scored.sd == pytest.approx(50 * np.sqrt(a * (1 - a) / 199 + b * (1 - b) / 399))


def test_regression_takes_columns_and_vectors() -> None:
    task = make_task(("pearson", "spearman"), labels=0)
    predicted, gold = draw("numbers", 100, 3)
    column = score(task, {"dev": predicted[:, None].astype(np.float32)}, {"dev": gold})
    flat = score(task, {"dev": predicted.astype(np.float32)}, {"dev": gold})
    assert column.metrics == flat.metrics
    assert not column.diverged
    assert column.metrics["pearson"] == pytest.approx(
        stats.pearsonr(predicted.astype(np.float32).astype(float), gold)[0]
    )


def test_diverged_is_one_answer_for_everything() -> None:
    two = make_task(("matthews",))
    gold = {"dev": np.arange(50) % 2}
    same = score(two, {"dev": np.tile([0.1, 0.2], (50, 1))}, gold)
    assert (same.diverged, same.score, same.sd) == (True, 0, 0)
    logits = np.tile([0.1, 0.2], (50, 1))
    logits[17] = [1, 0]
    assert not score(two, {"dev": logits}, gold).diverged
    number = make_task(("pearson", "spearman"), labels=0)
    noise = 2.5 + np.random.default_rng(0).normal(0, 1e-6, 50)  # what padding does to a constant answer
    assert score(number, {"dev": noise}, {"dev": np.linspace(0, 5, 50)}).diverged
    assert not score(number, {"dev": noise + gold["dev"]}, {"dev": np.linspace(0, 5, 50)}).diverged


def test_swapped_labels_are_suspected() -> None:
    task = make_task(("accuracy",), labels=3)
    predicted, gold = draw("three", 300, 9)
    shifted = score(task, {"dev": logits_for((predicted + 1) % 3, 3)}, {"dev": gold})
    assert shifted.metrics["accuracy"] < 0.2
    assert shifted.warnings[0].startswith("label order?")
    assert score(task, {"dev": logits_for(predicted, 3)}, {"dev": gold}).warnings == ()
    two = score(make_task(("accuracy",)), {"dev": logits_for(1 - gold % 2, 2)}, {"dev": gold % 2})
    assert two.metrics["accuracy"] == 0
    assert two.warnings == ()


@pytest.mark.parametrize(
    ("metrics", "labels", "predictions", "gold", "words"),
    [
        (("accuracy",), 2, {"dev": np.zeros((3, 3))}, {"dev": np.zeros(3, int)}, "expected (3, 2)"),
        (("accuracy",), 2, {"dev": np.zeros((2, 2))}, {"dev": np.zeros(3, int)}, "expected (3, 2)"),
        (("accuracy",), 2, {"dev": np.zeros((0, 2))}, {"dev": np.zeros(0, int)}, "at least 1"),
        (("accuracy",), 2, {"dev": np.zeros((1, 2))}, {"test": np.zeros(1, int)}, "gold for ['test']"),
        (("accuracy",), 2, {"dev": np.array([[0, np.nan]])}, {"dev": np.zeros(1, int)}, "NaN"),
        (("accuracy",), 2, {"dev": np.array([[0, np.inf]])}, {"dev": np.zeros(1, int)}, "infinity"),
        (("accuracy",), 2, {"dev": np.zeros((1, 2))}, {"dev": np.array([-1])}, "class indices 0..1"),
        (("accuracy",), 2, {"dev": np.zeros((1, 2))}, {"dev": np.array([2])}, "class indices 0..1"),
        (("accuracy",), 2, {"dev": np.zeros((1, 2))}, {"dev": np.array([0.5])}, "class indices 0..1"),
        (("pearson",), 0, {"dev": np.zeros((1, 1))}, {"dev": np.array([np.nan])}, "gold holds NaN"),
        (("pearson",), 2, {"dev": np.zeros((1, 2))}, {"dev": np.array([0])}, "does not fit"),
        (("accuracy",), 0, {"dev": np.zeros((1, 1))}, {"dev": np.array([0.0])}, "does not fit"),
        (("f1",), 3, {"dev": np.zeros((1, 3))}, {"dev": np.array([0])}, "needs 2 labels"),
        (("bleu",), 2, {"dev": np.zeros((1, 2))}, {"dev": np.array([0])}, "unknown metric 'bleu'"),
    ],
)
def test_what_does_not_fit_is_refused(
    metrics: tuple[str, ...], labels: int, predictions: dict[str, Any], gold: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        score(make_task(metrics, labels), predictions, gold)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


# --- the wrapper, and lightness -----------------------------------------------------------------------------


def test_scoring_and_statistics_import_nothing_heavy() -> None:
    code = (
        "import sys, suite.scoring, suite.statistics\n"
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'sklearn', 'scipy.stats', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_evaluate_metrics_give_the_same_numbers() -> None:
    from suite import evaluate_metrics

    classes, numbers = draw("two", 80, 2), draw("numbers", 80, 2)
    for name, cls in evaluate_metrics.METRICS.items():
        predicted, gold = numbers if name in ("pearson", "spearman") else classes
        metric = cls(keep_in_memory=True)
        metric.add_batch(predictions=predicted[:50], references=gold[:50])  # batch by batch, as evaluate does
        metric.add_batch(predictions=predicted[50:], references=gold[50:])
        assert metric.compute() == pytest.approx({name: scoring.METRICS[name](predicted, gold)[0]}, abs=1e-12)
    assert set(evaluate_metrics.METRICS) == set(scoring.METRICS)
