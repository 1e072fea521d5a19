"""A teacher's embedding tables at a smaller width: projected on the principal components of its word table."""

from __future__ import annotations

import torch
from torch import Tensor


def principal_components(table: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """(mean [hidden], directions [hidden, width]) of the rows of ``table`` [words, hidden], largest variance first.

    Each direction's largest entry is positive, so that the result does not hang on a solver's choice of sign.
    """
    rows = table.double()
    mean = rows.mean(0)
    centred = rows - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    directions = vectors.flip(1)[:, :width]
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    return mean.to(table.dtype), (directions * largest.sign()).to(table.dtype)
