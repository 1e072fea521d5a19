"""OpenVINO on the CPU, float32, from the ONNX file: one graph for every batch and length."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.runtimes import Run, Tokens, onnx

NAME = "openvino"
PRECISION = "fp32"
SHAPES = "dynamic"
EXPORT_VERSION = 1


def available() -> str | None:
    return None if find_spec("openvino") else "not installed; pip install 'lightboard[openvino]'"


def describe() -> dict[str, str]:
    from importlib.metadata import version

    return {"openvino": version("openvino"), **onnx.describe()}


def export(model_folder: Path, out: Path) -> Path:
    """``out/model.onnx``: OpenVINO reads it as it is, so nothing of its own needs to be shipped."""
    return onnx.export(model_folder, out)


def prepare(model_file: Path, threads: int) -> Run:
    """Compile for latency with ``threads`` threads; float32 is asked for, since it may choose bf16 where it can."""
    import openvino

    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,  # whoever starts the process has pinned it
    }
    request = core.compile_model(core.read_model(model_file), "CPU", settings).create_infer_request()
    taken = {name for port in request.model_inputs for name in port.get_names()}

    def run(ids: Tokens, mask: Tokens, types: Tokens) -> NDArray[np.float32]:
        given = zip(onnx.INPUTS, (ids, mask, types), strict=True)
        request.infer({name: value for name, value in given if name in taken})
        logits: NDArray[np.float32] = request.get_output_tensor(0).data.copy()
        return logits

    return run
