"""PyTorch as it is, without compilation: the model folder itself is what runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.runtimes import Run, Tokens

PRECISION = "fp32"
SHAPES = "dynamic"
EXPORTS = False  # the weights that were trained are the file that ships
LEAVING = "compaction"  # models drop from the batch who has left it

LINES = """\
import torch; from suite import models  # the architectures are Lightboard's own
def load(file):
    model = models.load(__import__("pathlib").Path(file).parent)
    return lambda given: [model(*map(torch.from_numpy, given.values())).detach().numpy()]
"""


def available() -> str | None:
    """None: torch is a dependency."""
    return None


def describe() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers")}


def export(model_folder: Path, out: Path) -> Path:
    """The folder's own weights; nothing is written."""
    return model_folder / "model.safetensors"


def prepare(model_file: Path, threads: int) -> Run:
    """Load the folder that ``model_file`` lies in. Sets the process' thread count."""
    import torch

    from suite import models

    torch.set_num_threads(threads)
    model = models.load(model_file.parent)

    def run(ids: Tokens, mask: Tokens, types: Tokens) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = model(*map(torch.from_numpy, (ids, mask, types))).numpy()
        return logits

    return run
