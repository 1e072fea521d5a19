"""PyTorch on an NVIDIA GPU, float32, compiled by its default compiler for free batch and length."""

from __future__ import annotations

from pathlib import Path

from suite.runtimes import Run, torch_compile, torch_cuda

PRECISION = torch_cuda.PRECISION
SHAPES = torch_cuda.SHAPES
EXPORTS = False  # compiled where it runs
DEVICE = "cuda"
LEAVING = torch_cuda.LEAVING

describe = torch_cuda.describe
export = torch_cuda.export


def available() -> str | None:
    return torch_cuda.available() or torch_compile.available()


def prepare(model_file: Path, threads: int) -> Run:
    """Load the folder that ``model_file`` lies in onto the GPU; the first query compiles."""
    return torch_cuda.Cuda(model_file.parent, threads, compiled=True)
