"""The budget's unit u: the arithmetic of fine-tuning the reference, in closed form and by tracing."""

from __future__ import annotations

import pytest

from suite.budget import bert_flops, budget_tflop, unit_tflop
from suite.protocol import track


def test_bert_base_needs_22_35_gflop_at_128_tokens() -> None:
    assert bert_flops(track("base").teacher.config, 2, 128) / 1e9 == pytest.approx(22.3484, abs=5e-5)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_closed_form_is_what_tracing_counts(outputs: int) -> None:
    from suite.measure.cost import count

    config = {**track("mini").teacher.config, "layers": 2, "vocab": 50, "outputs": outputs}
    traced = count(config)
    for n in (1, 37, 128, 512):
        assert bert_flops(config, outputs, n) == traced.flops(n)


def test_three_epochs_of_three_passes_over_every_example() -> None:
    mini = track("mini")
    by_hand = 0.0
    for tokens in (10, 10, 25):  # examples
        for _ in range(3):  # epochs
            for _ in ("forward", "backward to the inputs", "backward to the weights"):
                by_hand += bert_flops(mini.teacher.config, 2, tokens) / 1e12
    assert unit_tflop(mini, 2, {"10": 2, "25": 1}) == pytest.approx(by_hand, rel=1e-12)
    assert budget_tflop(mini, 2, {"10": 2, "25": 1}) == pytest.approx(3 * by_hand, rel=1e-12)


def test_a_track_without_a_budget_has_none() -> None:
    assert budget_tflop(track("demo"), 2, {"10": 2}) is None
