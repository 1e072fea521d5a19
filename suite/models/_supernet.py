"""The network that holds every operation of AdaBERT's space, how one network is drawn from it, and what draws cost.

One step runs one network: a depth K of 1 to Kmax (a network without cells cannot be drawn) and one operation per edge,
the same in every cell. For an edge, y = softmax((log_softmax(alpha) + Gumbel noise) / tau) over the operations, and
the operation o that runs is drawn from y. Its output is multiplied by exp(log y_o - stop(log y_o)), which is 1 and has
the gradient of log y_o. With l_o = <gradient at the edge, output of o>, the estimate's mean over the draw of o is
sum_o y_o l_o d(log y_o) = sum_o l_o dy_o: what the straight-through estimator gives when all ten operations are
computed, from the one that was. Taking the largest y instead, and leaving the other nine terms out, would favour
whatever happens to be unlikely. As tau falls y turns one-hot and the draw becomes the largest.

Depth needs no such care: a deeper network passes through every shallower one, so an architecture step runs all Kmax
cells and has the loss at each depth; the loss is the straight-through sum over depths, and cells beyond the drawn one
run without gradients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.models.adabert import EDGES, KERNELS, OPERATIONS, Body, Pick, edge_name


@dataclass(frozen=True)
class Draw:
    """``depth`` cells, an operation for each edge, and (for the architecture) the weights of all depths [Kmax]."""

    picks: Mapping[str, Pick]
    depth: int
    depths: Tensor


class Supernet(Body):
    """Every operation at every edge of Kmax cells. Row K of ``attention`` weighs a network of K cells."""

    def __init__(self, config: Mapping[str, Any], most: int) -> None:
        super().__init__(config, most, {edge_name(*edge): OPERATIONS for edge in EDGES})
        self.attention = nn.Parameter(torch.zeros(most + 1, most + 1))

    def every_depth(self, vectors: Sequence[Tensor]) -> list[Tensor]:
        """Logits of the networks of 0, 1, ... cells that share these vectors."""
        return [self.answer(vectors[: k + 1], self.attention[k, : k + 1]) for k in range(len(vectors))]


class Choices(nn.Module):
    """The architecture: ``edges`` [9, 10], the same in all cells, and ``depth`` [Kmax] for 1 to Kmax cells."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.edges = nn.Parameter(torch.zeros(len(EDGES), len(OPERATIONS)))
        self.depth = nn.Parameter(torch.zeros(most))

    def draw(self, tau: float) -> Draw:
        """A network at temperature ``tau``. Its weights are 1 and carry gradients while the architecture learns."""
        soft = gumbel(self.edges, tau)
        chosen = torch.multinomial(soft.detach().exp(), 1)
        log_chosen = soft.gather(1, chosen).squeeze(1)
        gates = (log_chosen - log_chosen.detach()).exp()
        learning = gates.requires_grad
        picks: dict[str, Pick] = {
            edge_name(*edge): (OPERATIONS[int(chosen[i])], gates[i] if learning else None)
            for i, edge in enumerate(EDGES)
        }
        depths = gumbel(self.depth, tau).exp()
        hard = F.one_hot(depths.argmax(), len(depths)).to(depths.dtype)
        return Draw(picks, int(depths.argmax()) + 1, hard + depths - depths.detach())

    def efficiency(self, channels: int) -> Tensor:
        """L_E: expected share of Kmax cells x mean over the edges of the expected cost of their operation."""
        costs = torch.tensor(operation_costs(channels))
        return expected_cells(self.depth) / len(self.depth) * (self.edges.softmax(1) @ costs).mean()


class Space(nn.Module):
    """``net`` learns on one part of the data, ``choices`` on the other."""

    def __init__(self, config: Mapping[str, Any], most: int) -> None:
        super().__init__()
        self.net = Supernet(config, most)
        self.choices = Choices(most)


def gumbel(alpha: Tensor, tau: float) -> Tensor:
    """log softmax((log softmax(alpha) + Gumbel noise) / tau), last dimension."""
    uniform = torch.rand(alpha.shape).clamp(min=1e-20, max=1 - 1e-7)
    return ((alpha.log_softmax(-1) - (-uniform.log()).log()) / tau).log_softmax(-1)


# --- costs --------------------------------------------------------------------------------------------------


def parameters_of(op: str, channels: int) -> int:
    """A convolution's kernels and the two vectors of its normalisation; nothing else has any."""
    return channels * channels * KERNELS[op][0] + 2 * channels if op in KERNELS else 0


def flops_of(op: str, channels: int) -> int:
    """For each token, 1 multiply-accumulate = 2; a pooling takes two comparisons, or two sums and a division."""
    if op in KERNELS:
        return 2 * channels * channels * KERNELS[op][0]
    return {"maxpool3": 2, "avgpool3": 3}.get(op, 0) * channels


def operation_costs(channels: int) -> list[float]:
    """Mean of each operation's share of all parameters and of all FLOPs: ten numbers that sum to 1.

    Real counts. The table of the published re-implementation is all but flat (0.094 to 0.108), so that its
    efficiency term presses on the depth alone; here a width of 7 costs 0.23, of 3 0.10, pooling next to nothing.
    """
    counts = [(parameters_of(op, channels), flops_of(op, channels)) for op in OPERATIONS]
    parameters, flops = (sum(column) for column in zip(*counts, strict=True))
    return [0.5 * p / parameters + 0.5 * f / flops for p, f in counts]


def expected_cells(depth: Tensor) -> Tensor:
    """Mean number of cells under the probabilities of ``depth`` [Kmax]."""
    return (depth.softmax(0) * torch.arange(1, len(depth) + 1, device=depth.device)).sum()


def expected_parameters(edges: Tensor, depth: Tensor, channels: int) -> float:
    """Parameters of the operations of all cells, nine edges each, in expectation; tables and head left out."""
    sizes = torch.tensor([float(parameters_of(op, channels)) for op in OPERATIONS], device=edges.device)
    return float(expected_cells(depth.detach()) * (edges.detach().softmax(1) @ sizes).sum())
