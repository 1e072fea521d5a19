"""ExecuTorch on the CPU (PyTorch's runtime for phones and boards), float32 through XNNPACK; batch 1, free length."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.runtimes import Run, Tokens

NAME = "executorch"
PRECISION = "fp32"
SHAPES = "dynamic"
EXPORT_VERSION = 1

LONGEST = 512  # memory is planned for this length, so no more than is needed
SHORTEST = 3  # below it a slice becomes a single token, which the exporter takes for a constant


def available() -> str | None:
    return None if find_spec("executorch") else "not installed; pip install 'lightboard[executorch]'"


def describe() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("executorch", "torch")}


def export(model_folder: Path, out: Path) -> Path:
    """``out/model.pte``, weights inside; one example of 3 to 512 tokens (or as many as the model has positions)."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from torch.export import Dim

    from suite import models

    model = models.load(model_folder)
    longest = min(LONGEST, int(models.read_config(model_folder).get("positions", LONGEST)))
    ids = torch.ones((1, min(7, longest)), dtype=torch.int64)
    length = {1: Dim("length", min=SHORTEST, max=longest)}
    with _quiet(), torch.no_grad():
        program: Any = torch.export.export(
            model, (ids, ids.clone(), torch.zeros_like(ids)), dynamic_shapes=(length, length, length)
        )
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    file = out / "model.pte"
    file.write_bytes(lowered.buffer)
    return file


@contextlib.contextmanager
def _quiet() -> Any:
    """Without the lowering passes' progress lines and warnings on operators that stay outside XNNPACK."""
    logger = logging.getLogger()
    level = logger.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def prepare(model_file: Path, threads: int) -> Run:
    """Load the program; a batch is answered one example at a time, each at its true length (or padded to 3)."""
    import torch
    from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
    from executorch.runtime import Runtime

    _unsafe_reset_threadpool(threads)
    method = Runtime.get().load_program(model_file).load_method("forward")

    def run(ids: Tokens, mask: Tokens, types: Tokens) -> NDArray[np.float32]:
        rows = []
        for row in range(len(ids)):
            end = max(SHORTEST, int(mask[row].sum()))
            given = [torch.from_numpy(_fill(part[row : row + 1, :end], end)) for part in (ids, mask, types)]
            rows.append(method.execute(given)[0].numpy()[0].copy())
        logits: NDArray[np.float32] = np.stack(rows)
        return logits

    return run


def _fill(part: Tokens, length: int) -> Tokens:
    """A copy of [1, n] with zeros, which are padding in ids and mask alike, up to ``length``."""
    return np.pad(part, ((0, 0), (0, length - part.shape[1])))
