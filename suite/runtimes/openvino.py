"""OpenVINO on the CPU, float32, from the ONNX file: one graph for every batch and length."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

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
    taken = {name for port in request.model_inputs for name in port.get_names()}
    outputs = range(len(request.model_outputs))

    def answer(given: Mapping[str, _exits.Array]) -> list[_exits.Array]:
        request.infer({name: value for name, value in given.items() if name in taken})
        return [request.get_output_tensor(place).data.copy() for place in outputs]

    return answer
