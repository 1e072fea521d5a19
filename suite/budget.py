"""u, the unit of a track's training budget: the arithmetic of fine-tuning its reference on a task.

Closed form over the reference's sizes, so that whoever checks a run needs neither torch nor the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suite.protocol import TRAINING, Track


def bert_flops(config: Mapping[str, Any], outputs: int, n: int) -> int:
    """FLOPs of one BERT forward pass over ``n`` tokens, 1 multiply-accumulate = 2 (Vaswani 2017, section 3).

    Per layer: four h x h projections, the feed-forward pair, and two n x n products over all heads. Then the
    pooler and the classifier, on the first token alone.
    """
    h, f, layers = int(config["hidden"]), int(config["ffn"]), int(config["layers"])
    layer = 2 * n * (4 * h * h + 2 * h * f) + 2 * (2 * n * n * h)
    return layers * layer + 2 * h * h + 2 * h * outputs


def unit_tflop(track: Track, outputs: int, train_lengths: Mapping[str, int]) -> float:
    """u in TFLOP. ``train_lengths``: tokens (as text) -> examples; ``outputs``: of the task's head."""
    config = track.teacher.config
    forward = sum(count * bert_flops(config, outputs, int(tokens)) for tokens, count in train_lengths.items())
    step = 1 + int(TRAINING["budget"]["backward_over_forward"])
    return int(TRAINING["budget"]["reference_epochs"]) * step * forward / 1e12


def budget_tflop(track: Track, outputs: int, train_lengths: Mapping[str, int]) -> float | None:
    """What a recipe may spend on one task and seed, in TFLOP; None where the track sets no budget."""
    if track.budget_u is None:
        return None
    return track.budget_u * unit_tflop(track, outputs, train_lengths)
