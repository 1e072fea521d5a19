"""ONNX Runtime on the CPU in 8 bits: weights beforehand, activations by each example's own range while it runs.

Products of two activations stay in float32. The modifier ``int8_dynamic`` computes the same in float32: a model that
it made gives its own answers here, up to values that fall on a rounding's edge.
"""

from __future__ import annotations

from pathlib import Path

from suite.runtimes import Run, _int8, onnx

PRECISION = "int8"
SHAPES = "dynamic"
EXPORT_VERSION = 1
LINES = onnx.LINES


def available() -> str | None:
    """None: ONNX Runtime is a dependency."""
    return None


caution = _int8.caution


def describe() -> dict[str, str]:
    return onnx.describe()


def export(model_folder: Path, out: Path) -> Path:
    """``out/model.onnx`` with 8-bit weights and tables. UserError for a model without linear layers."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    file = out / "model.onnx"
    with _int8.graph(model_folder) as plain:
        quantize_dynamic(
            plain, file, op_types_to_quantize=[*_int8.PRODUCTS], per_channel=True, weight_type=QuantType.QInt8
        )
    return file


def prepare(model_file: Path, threads: int) -> Run:
    """As :func:`suite.runtimes.onnx.prepare`."""
    return onnx.prepare(model_file, threads)
