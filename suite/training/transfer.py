"""Knowledge transfer between blocks that give states of equal width (Sun 2020, sections 3.4 and 3.5).

States are [batch, length, hidden], attention scores [batch, heads, length, length] before mask and softmax, masks
[batch, length]. Padding takes no part: neither its own state, nor as a query, nor as a key.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from suite.training.losses import hidden_loss
from suite.training.schedules import Progress, Schedule

CURRENT, EARLIER = 3.0, 0.3  # learning-rate multipliers of the block in turn and of those before it


def feature_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared error of the states after a layer norm without parameters, mean over real tokens and features."""
    width = student.shape[-1:]
    return hidden_loss(F.layer_norm(student, width, eps=1e-12), F.layer_norm(teacher, width, eps=1e-12), mask)


def mean_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of each real token's mean over features."""
    return (student.mean(-1) - teacher.mean(-1)).square()[mask.bool()].mean()


def variance_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Absolute difference of each real token's variance over features."""
    difference = student.var(-1, correction=0) - teacher.var(-1, correction=0)
    return difference.abs()[mask.bool()].mean()


def attention_divergence(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL(teacher || student) of the distributions over keys, mean over heads and real queries."""
    kept = mask.bool()
    padding = ~kept[:, None, None, :]
    lowest = torch.finfo(student.dtype).min
    guess = student.masked_fill(padding, lowest).log_softmax(-1)
    target = teacher.masked_fill(padding, lowest).log_softmax(-1)
    divergence = (target.exp() * (target - guess)).sum(-1)  # [batch, heads, length]
    return divergence.transpose(1, 2)[kept].mean()


def block_in_turn(progress: Progress, blocks: int) -> int:
    """The block whose losses count: every block has an equal stretch of the steps."""
    return min(progress.step * blocks // progress.steps, blocks - 1)


def block_schedule(block: int, blocks: int, factor: Schedule) -> Schedule:
    """0 before the block's stretch, ``CURRENT`` in it, ``EARLIER`` after it; times ``factor`` over all steps.

    Within each stretch the rate rises over the first tenth and then falls to 0.9, as in the published code.
    """

    def schedule(progress: Progress) -> float:
        turn = block_in_turn(progress, blocks)
        if turn < block:
            return 0.0
        first = -(-turn * progress.steps // blocks)
        length = -(-(turn + 1) * progress.steps // blocks) - first
        rise = 10 * (progress.step - first + 1) / length
        fall: float = 0.9 + 0.1 * (1 - (progress.step - first) / length) ** 0.5
        return (CURRENT if turn == block else EARLIER) * min(rise, fall) * factor(progress)

    return schedule
