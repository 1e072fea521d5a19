"""OpenVINO on the CPU, float32, from the ONNX file: one graph for every batch and length."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from suite.runtimes import Run, _exits, onnx, run_of

if TYPE_CHECKING:
    from suite.runtimes._pieces import Piece

PRECISION = "fp32"
SHAPES = "dynamic"
EXPORT_VERSION = 1
LEAVING = "compaction"

LINES = """\
import openvino
def load(file):
    model = openvino.compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda given: [*model({port.any_name: given[port.any_name] for port in model.inputs}).values()]
"""


def available() -> str | None:
    return None if find_spec("openvino") else "not installed; pip install 'lightboard[openvino]'"


def describe() -> dict[str, str]:
    from importlib.metadata import version

    return {"openvino": version("openvino"), **onnx.describe()}


def export(model_folder: Path, out: Path) -> Path:
    """``out/model.onnx``: OpenVINO reads it as it is, so nothing of its own needs to be shipped."""
    return onnx.export(model_folder, out)


def export_piece(piece: Piece, out: Path) -> Path:
    """As :func:`suite.runtimes.onnx.export_piece`."""
    return onnx.export_piece(piece, out)


def prepare(model_file: Path, threads: int) -> Run:
    """Compile for latency with ``threads`` threads; float32 is asked for, since it may choose bf16 where it can."""
    return run_of(model_file, partial(load, threads=threads))


def load(file: Path, threads: int) -> _exits.Piece:
    """One graph, on the inputs that it has."""
    import openvino

    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,  # whoever starts the process has pinned it
    }
    request = core.compile_model(core.read_model(file), "CPU", settings).create_infer_request()
    names = [port.any_name for port in request.model_inputs]
    outputs = range(len(request.model_outputs))

    def answer(given: Mapping[str, _exits.Array]) -> list[_exits.Array]:
        # Where they lie: arrays given by name are looked up and copied, which takes a tenth of a small block's time.
        held = [np.ascontiguousarray(given[name]) for name in names]
        for place, value in enumerate(held):
            request.set_input_tensor(place, openvino.Tensor(value, shared_memory=True))
        request.infer()
        return [request.get_output_tensor(place).data.copy() for place in outputs]

    return answer
