"""Losses that several methods share.

Shapes: logits and targets [batch, outputs], hidden states [batch, length, hidden], masks [batch, length].
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def task_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy for class indices (int64), mean squared error for regression (float)."""
    if labels.is_floating_point():
        return F.mse_loss(logits.squeeze(-1), labels)
    return F.cross_entropy(logits, labels)


def soft_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """T^2 KL(teacher || student) of the softened distributions, mean over the batch (Hinton 2015, section 2).

    One output means regression: squared error to the teacher's score, where a temperature has no meaning.
    """
    if student.shape[-1] == 1:
        return F.mse_loss(student, teacher)
    target = F.log_softmax(teacher / temperature, dim=-1)
    guess = F.log_softmax(student / temperature, dim=-1)
    return F.kl_div(guess, target, reduction="batchmean", log_target=True) * temperature**2


def cosine_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """1 - cosine of the two vectors of each real token, mean over tokens (Sanh 2019, section 2)."""
    kept = mask.bool()
    return (1.0 - F.cosine_similarity(student[kept], teacher[kept], dim=-1)).mean()


def hidden_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over real tokens and features."""
    kept = mask.bool()
    return F.mse_loss(student[kept], teacher[kept])


def attention_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of attention scores before the softmax, over heads and pairs of real tokens.

    Scores [batch, heads, length, length]; ``mask`` [batch, length] (Jiao 2020, section 3.1).
    """
    kept = mask.bool()
    pairs = (kept[:, :, None] & kept[:, None, :])[:, None]
    squares = (student - teacher).square() * pairs
    return squares.sum() / (pairs.sum() * student.shape[1])
