"""ONNX Runtime on the CPU, float32: one graph for every batch and length."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.runtimes import Run, _exits, run_of

if TYPE_CHECKING:
    from suite.runtimes._pieces import Piece

PRECISION = "fp32"
SHAPES = "dynamic"
EXPORT_VERSION = 2  # by hand, when ``export`` comes to write something else
LEAVING = "compaction"

INPUTS = _exits.INPUTS

LINES = """\
import onnxruntime
def load(file):
    session = onnxruntime.InferenceSession(file)
    return lambda given: session.run(None, {one.name: given[one.name] for one in session.get_inputs()})
"""


def available() -> str | None:
    """None: ONNX Runtime is a dependency."""
    return None


def describe() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("onnxruntime", "onnx", "torch")}


def export(model_folder: Path, out: Path) -> Path:
    """``out/model.onnx``, weights inside; batch and length are free, up to the model's positions."""
    from suite.runtimes._pieces import whole

    return export_piece(whole(model_folder), out)


def export_piece(piece: Piece, out: Path) -> Path:
    """``out/<name>.onnx`` of all of a model, or of one piece; batch and length are free."""
    import torch
    from torch.export import Dim

    free = {"batch": Dim("batch", min=1, max=256), "length": Dim("length", min=2, max=piece.longest)}
    shapes = tuple({axis: free[what] for axis, what in one.free().items()} for one in piece.inputs)
    file = out / f"{piece.name}.onnx"
    with _quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            piece.module,
            # Two examples and an odd length: a batch of one, or equal sizes, would be taken for constants.
            piece.example(2, min(7, piece.longest)),
            dynamo=True,
            input_names=[one.name for one in piece.inputs],
            output_names=list(piece.outputs),
            dynamic_shapes=shapes,
            verbose=False,
        )
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()  # lines of source code with this machine's paths
        program.save(str(file), external_data=False)
    return file


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's progress lines and its warnings on axis names, which are harmless."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def prepare(model_file: Path, threads: int) -> Run:
    """Sessions with ``threads`` threads inside an operator and one operator at a time."""
    return run_of(model_file, partial(load, threads=threads))


def load(file: Path, threads: int) -> _exits.Piece:
    """One graph, on the inputs that it has: one that changes nothing has left it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    return lambda given: session.run(None, {name: given[name] for name in names})
