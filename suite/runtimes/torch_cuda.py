"""PyTorch on an NVIDIA GPU, float32 without TF32: the model folder itself is what runs.

A query is answered when its logits are in the host's memory: copies there and back are in its time, and every query
is waited for. The GPU's own time lies between two events around the model.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.runtimes import Run, Tokens
from suite.runtimes import torch as eager

PRECISION = "fp32"
SHAPES = "dynamic"
EXPORTS = False  # the weights that were trained are the file that ships
DEVICE = "cuda"
LEAVING = eager.LEAVING


def available() -> str | None:
    if version("torch").endswith("+cpu"):
        return "no CUDA: this PyTorch was built for the processor alone"
    import torch

    return None if torch.cuda.is_available() else "no CUDA device that PyTorch can use"


def describe() -> dict[str, str]:
    import torch

    return {**eager.describe(), "cuda": str(torch.version.cuda)}


def export(model_folder: Path, out: Path) -> Path:
    """The folder's own weights; nothing is written."""
    return eager.export(model_folder, out)


def prepare(model_file: Path, threads: int) -> Run:
    """Load the folder that ``model_file`` lies in onto the GPU."""
    return Cuda(model_file.parent, threads)


class Cuda:
    """A model on the GPU; ``compiled``: by PyTorch's compiler, which the first query waits for."""

    def __init__(
        self, folder: Path, threads: int, precision: str = "float32", *, compiled: bool = False
    ) -> None:
        import torch

        from suite import models

        torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        model = models.load(folder).to(device="cuda", dtype=getattr(torch, precision))
        self.torch = torch
        self.model: Any = torch.compile(model, dynamic=True) if compiled else model
        self.events: list[tuple[Any, Any]] = []

    def __call__(self, ids: Tokens, mask: Tokens, types: Tokens) -> NDArray[np.float32]:
        torch = self.torch
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        with torch.inference_mode():
            given = [torch.from_numpy(part).to("cuda") for part in (ids, mask, types)]
            start.record()
            answer = self.model(*given)
            end.record()
            logits: NDArray[np.float32] = answer.float().cpu().numpy()  # waits for the GPU
        self.events.append((start, end))
        return logits

    def device_nanoseconds(self) -> list[int]:
        """Of each call since this was last asked."""
        self.torch.cuda.synchronize()
        events, self.events = self.events, []
        return [round(start.elapsed_time(end) * 1e6) for start, end in events]

    def device_bytes(self) -> tuple[int, int]:
        """The most that tensors took, and that was kept for them."""
        cuda = self.torch.cuda
        return cuda.max_memory_allocated(), cuda.max_memory_reserved()
