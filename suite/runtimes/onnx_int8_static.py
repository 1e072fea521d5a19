"""ONNX Runtime on the CPU in 8 bits: weights beforehand, activations by ranges measured on training examples.

Products of two activations stay in float32. The modifier ``int8_static`` is its like in float32; a model that it made
runs here with the same weights, and with ranges measured anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suite.runtimes import Example, Run, _int8, onnx

PRECISION = "int8"
SHAPES = "dynamic"
EXPORT_VERSION = 1
CALIBRATES = True


def available() -> str | None:
    """None: ONNX Runtime is a dependency."""
    return None


caution = _int8.caution


def describe() -> dict[str, str]:
    return onnx.describe()


def export(model_folder: Path, out: Path, examples: Sequence[Example]) -> Path:
    """``out/model.onnx``; ``examples`` give the ranges, from the lowest to the highest value seen.

    UserError for a model without linear layers.
    """
    from onnxruntime import quantization

    file = out / "model.onnx"
    with _int8.graph(model_folder) as plain:
        quantization.quantize_static(
            plain,
            file,
            _Reader(examples, _int8.inputs(plain)),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=[*_int8.PRODUCTS],
            nodes_to_exclude=_int8.between(plain),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            # What comes out of a product goes on in float32, as it does when ranges are dynamic.
            extra_options={"OpTypesToExcludeOutputQuantization": [*_int8.PRODUCTS]},
        )
    return file


class _Reader:
    """One example at a time, as the quantiser asks for them."""

    def __init__(self, examples: Sequence[Example], taken: set[str]) -> None:
        self.left = iter(examples)
        self.taken = taken

    def get_next(self) -> dict[str, Any] | None:
        example = next(self.left, None)
        if example is None:
            return None
        return {n: part for n, part in zip(onnx.INPUTS, example, strict=True) if n in self.taken}


def prepare(model_file: Path, threads: int) -> Run:
    """As :func:`suite.runtimes.onnx.prepare`."""
    return onnx.prepare(model_file, threads)
