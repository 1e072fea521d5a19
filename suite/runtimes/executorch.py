"""ExecuTorch on the CPU (PyTorch's runtime for phones and boards), float32 through XNNPACK; batch 1, free length."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.runtimes import Run, Tokens, _exits, run_of

if TYPE_CHECKING:
    from suite.runtimes._pieces import Piece

PRECISION = "fp32"
SHAPES = "dynamic"
EXPORT_VERSION = 1
LEAVING = "compaction"  # every example is answered by itself, and leaves by itself

LINES = """\
import torch, executorch.runtime
def load(file):
    method = executorch.runtime.Runtime.get().load_program(file).load_method("forward")
    return lambda given: [o.numpy().copy() for o in method.execute([*map(torch.from_numpy, given.values())])]
"""

LONGEST = 512  # memory is planned for this length, so no more than is needed
SHORTEST = 3  # below it a slice becomes a single token, which the exporter takes for a constant


def available() -> str | None:
    return None if find_spec("executorch") else "not installed; pip install 'lightboard[executorch]'"


def describe() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("executorch", "torch")}


def export(model_folder: Path, out: Path) -> Path:
    """``out/model.pte``, weights inside; one example of 3 to 512 tokens (or as many as the model has positions)."""
    from suite.runtimes._pieces import whole

    return export_piece(whole(model_folder), out)


def export_piece(piece: Piece, out: Path) -> Path:
    """``out/<name>.pte`` of all of a model, or of one piece; one example, its length free."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from torch.export import Dim

    longest = min(LONGEST, piece.longest)
    length = Dim("length", min=SHORTEST, max=longest)
    shapes = tuple(
        {axis: length for axis, what in one.free().items() if what == "length"} for one in piece.inputs
    )
    with _quiet(), torch.no_grad():
        program: Any = torch.export.export(
            piece.module, piece.example(1, min(7, longest)), dynamic_shapes=shapes
        )
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    file = out / f"{piece.name}.pte"
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
    _runtime()._unsafe_reset_threadpool(threads)
    one = run_of(model_file, partial(load, threads=threads))

    def run(ids: Tokens, mask: Tokens, types: Tokens) -> NDArray[np.float32]:
        rows = []
        for row in range(len(ids)):
            end = max(SHORTEST, int(mask[row].sum()))
            rows.append(one(*(_fill(part[row : row + 1, :end], end) for part in (ids, mask, types)))[0])
        logits: NDArray[np.float32] = np.stack(rows)
        return logits

    return run


def load(file: Path, threads: int) -> _exits.Piece:
    """One program; ``threads`` is the process', which ``prepare`` set before the first was loaded.

    Its arguments have no names: it takes them in the order in which they are given.
    """
    import torch

    method = _runtime()._load_program(str(file)).load_method("forward")

    def answer(given: Mapping[str, _exits.Array]) -> list[_exits.Array]:
        return [one.numpy().copy() for one in method([*map(torch.from_numpy, given.values())])]

    return answer


def _runtime() -> Any:
    """The runtime's library itself: ``executorch.runtime``, its public face, imports the exporter for one warning.

    That would be 130 MB of a process' memory and seconds of its start that answering does not need (decision 025).
    """
    import torch  # noqa: F401  (first: the library is linked to what it loads)
    from executorch.extension.pybindings import _C

    return _C


def _fill(part: Tokens, length: int) -> Tokens:
    """A copy of [1, n] with zeros, which are padding in ids and mask alike, up to ``length``."""
    return np.pad(part, ((0, 0), (0, length - part.shape[1])))
