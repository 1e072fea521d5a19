"""ONNX Runtime on the CPU, float32: one graph for every batch and length."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.runtimes import Run, Tokens

NAME = "onnx"
PRECISION = "fp32"
SHAPES = "dynamic"
EXPORT_VERSION = 1  # by hand, when ``export`` comes to write something else

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def available() -> str | None:
    """None: ONNX Runtime is a dependency."""
    return None


def describe() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("onnxruntime", "onnx", "torch")}


def export(model_folder: Path, out: Path) -> Path:
    """``out/model.onnx``, weights inside; batch and length are free, up to the model's positions."""
    import torch
    from torch.export import Dim

    from suite import models

    model = models.load(model_folder)
    longest = int(models.read_config(model_folder).get("positions", 512))
    shape = {0: Dim("batch", min=1, max=256), 1: Dim("length", min=2, max=longest)}
    # Two examples and an odd length: a batch of one, or equal sizes, would be taken for constants.
    ids = torch.ones((2, min(7, longest)), dtype=torch.int64)
    file = out / "model.onnx"
    with _quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            model,
            (ids, ids.clone(), torch.zeros_like(ids)),
            dynamo=True,
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(INPUTS, shape),
            verbose=False,
        )
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
    """A session with ``threads`` threads inside an operator and one operator at a time."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model_file), options, providers=["CPUExecutionProvider"])
    taken = {node.name for node in session.get_inputs()}  # an input that changes nothing leaves the graph

    def run(ids: Tokens, mask: Tokens, types: Tokens) -> NDArray[np.float32]:
        feed = {name: value for name, value in zip(INPUTS, (ids, mask, types), strict=True) if name in taken}
        logits: NDArray[np.float32] = session.run(["logits"], feed)[0]
        return logits

    return run
