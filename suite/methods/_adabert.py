"""AdaBERT's losses and derivation, as plain functions of tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from suite.models._supernet import Draw, Space, expected_cells, expected_parameters
from suite.models.adabert import EDGES, INPUTS, KERNELS, NODES, OPERATIONS, cell_config, edge_name
from suite.training.feeds import Batch

KEPT = 2  # incoming edges of a node in a found cell


def probe_of(m: int, depth: int, layers: int) -> int:
    """The teacher's probe for the student's m-th vector in a network of ``depth`` cells: round(m layers / depth)."""
    return (2 * m * layers + depth) // (2 * depth)


def hard_rows(logits: Tensor, labels: Tensor) -> Tensor:
    """[batch]: cross-entropy, or squared error for a regression."""
    if labels.is_floating_point():
        return (logits.squeeze(-1) - labels).square()
    return F.cross_entropy(logits, labels, reduction="none")


def soft_rows(logits: Tensor, teacher: Tensor) -> Tensor:
    """[batch]: cross-entropy to the teacher's distribution, or squared error to its score."""
    if logits.shape[-1] == 1:
        return (logits - teacher).square().squeeze(-1)
    return F.cross_entropy(logits, teacher.softmax(-1), reduction="none")


def probe_weights(probes: Tensor, labels: Tensor, by: str) -> Tensor:
    """[batch, m], each row summing to 1, of probe outputs [batch, m, outputs].

    ``uniform``, or ``likelihood``: the softmax over the probes of their own log-likelihood of the true label (for a
    regression: minus half the squared error), so that a probe which is wrong about an example is not listened to.
    """
    if by == "uniform":
        return torch.full_like(probes[..., 0], 1 / probes.shape[1])
    if labels.is_floating_point():
        return (-0.5 * (probes.squeeze(-1) - labels[:, None]).square()).softmax(1)
    chosen = probes.log_softmax(-1).gather(2, labels[:, None, None].expand(-1, probes.shape[1], 1))
    return chosen.squeeze(-1).softmax(1)


def distillation(logits: Sequence[Tensor], probes: Tensor, labels: Tensor, by: str) -> Tensor:
    """L_KD of a network of len(logits) - 1 cells against probe outputs [batch, layers + 1, outputs], mean over rows."""
    depth, layers = len(logits) - 1, probes.shape[1] - 1
    chosen = probes[:, [probe_of(m, depth, layers) for m in range(depth + 1)]]
    rows = torch.stack([soft_rows(logits[m], chosen[:, m]) for m in range(depth + 1)], 1)
    return (probe_weights(chosen, labels, by) * rows).sum(1).mean()


def mixed_loss(logits: Sequence[Tensor], probes: Tensor, labels: Tensor, gamma: float, by: str) -> Tensor:
    """(1 - gamma) CE of the last logits + gamma L_KD of all."""
    hard = hard_rows(logits[-1], labels).mean()
    return (1 - gamma) * hard + gamma * distillation(logits, probes, labels, by) if gamma else hard


def search_loss(space: Space, draw: Draw, batch: Batch, gamma: float, by: str) -> Tensor:
    """Sum over depths of their straight-through weight times their :func:`mixed_loss`, with the drawn operations."""
    vectors = space.net.vectors(batch.inputs, draw.picks, len(draw.depths), learning=draw.depth)
    logits, total = space.net.every_depth(vectors), torch.zeros(())
    for depth in range(1, len(logits)):
        loss = mixed_loss(logits[: depth + 1], batch.extra["probes"], batch.labels, gamma, by)
        total = total + draw.depths[depth - 1] * (loss if depth == draw.depth else loss.detach())
    return total


# --- derivation ---------------------------------------------------------------------------------------------


def derive(edges: Tensor, depth: Tensor, channels: int) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """(cells, ``cell``, ``search``): the most probable depth; per node the two incoming edges whose best operation
    (zero aside) is most probable; that operation.

    A cell without any convolution is a bag of words, and the efficiency term can lead there. So where none was kept,
    the kept edge on which a convolution is most probable takes it; ``search.guard`` names that edge, else it is null.
    """
    probability, depths = edges.softmax(1), depth.softmax(0)
    real = [i for i, op in enumerate(OPERATIONS) if op != "zero"]
    convolutions = [i for i, op in enumerate(OPERATIONS) if op in KERNELS]
    best = {edge: real[int(probability[i, real].argmax())] for i, edge in enumerate(EDGES)}
    place = {edge: i for i, edge in enumerate(EDGES)}
    kept: list[tuple[int, int]] = []
    for target in range(INPUTS, INPUTS + NODES):
        incoming = [edge for edge in EDGES if edge[1] == target]
        # Stable, so that the earlier of equals is kept.
        incoming.sort(key=lambda edge: -float(probability[place[edge], best[edge]]))
        kept += sorted(incoming[:KEPT])
    guard = None
    if not any(best[edge] in convolutions for edge in kept):
        edge = max(kept, key=lambda edge: float(probability[place[edge], convolutions].max()))
        best[edge] = convolutions[int(probability[place[edge], convolutions].argmax())]
        guard = edge_name(*edge)
    found = [(*edge, OPERATIONS[best[edge]]) for edge in kept]
    cells = int(depths.argmax()) + 1
    search = {
        "expected_cells": round(float(expected_cells(depth.detach())), 4),
        "expected_parameters": round(expected_parameters(edges, depth, channels)),
        "cell_probabilities": [round(float(p), 4) for p in depths],
        "operation_probabilities": {
            edge_name(*edge): {op: round(float(probability[i, j]), 4) for j, op in enumerate(OPERATIONS)}
            for i, edge in enumerate(EDGES)
        },
        "operations": dict(sorted(Counter(op for _, _, op in found).items())),
        "guard": guard,
    }
    return cells, cell_config(found), search
