"""PyTorch compiled by its default compiler for free batch and length; the model folder itself is what runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.runtimes import Run, Tokens
from suite.runtimes import torch as eager

PRECISION = "fp32"
SHAPES = "dynamic"
EXPORTS = False  # compiled where it runs: the trained weights are the file that ships
LEAVING = "compaction"
LINES = """\
import torch, pathlib; from suite.runtimes import torch_compile  # the architectures are Lightboard's own
def load(file):
    run = torch_compile.prepare(pathlib.Path(file).absolute(), torch.get_num_threads())
    return lambda given: [run(*given.values())]
"""


def available() -> str | None:
    found = shutil.which("g++") or shutil.which("clang++")
    return None if found else "no C++ compiler, which torch.compile needs; install g++"


def describe() -> dict[str, str]:
    return eager.describe()


def export(model_folder: Path, out: Path) -> Path:
    """The folder's own weights; nothing is written."""
    return eager.export(model_folder, out)


def prepare(model_file: Path, threads: int) -> Run:
    """Load the folder that ``model_file`` lies in; the first query compiles, which takes a minute or so.

    Where examples leave early, blocks are compiled each: who goes on is decided between them.
    """
    import torch

    from suite import models

    torch.set_num_threads(threads)
    model: Any = models.load(model_file.parent)
    if models.read_config(model_file.parent).get("speed"):
        for block in model.blocks:
            block.compile(dynamic=True)
    else:
        model = torch.compile(model, dynamic=True)

    def run(ids: Tokens, mask: Tokens, types: Tokens) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = model(*map(torch.from_numpy, (ids, mask, types))).numpy()
        return logits

    return run
