"""PyTorch on an NVIDIA GPU, weights and arithmetic in bfloat16; the model folder itself is what runs."""

from __future__ import annotations

from pathlib import Path

from suite.runtimes import Run, torch_cuda

PRECISION = "bf16"
SHAPES = torch_cuda.SHAPES
EXPORTS = False  # rounded where it is loaded
DEVICE = "cuda"
LEAVING = torch_cuda.LEAVING

available = torch_cuda.available
describe = torch_cuda.describe
export = torch_cuda.export


def prepare(model_file: Path, threads: int) -> Run:
    """Load the folder that ``model_file`` lies in onto the GPU, rounded."""
    return torch_cuda.Cuda(model_file.parent, threads, "bfloat16")
