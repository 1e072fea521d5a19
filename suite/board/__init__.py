"""The board: the website generated from ``results/``. Reads documents, imports nothing that trains."""

from __future__ import annotations

from suite.board.build import build

__all__ = ["build"]
