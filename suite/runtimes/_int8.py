"""What the two 8-bit ONNX runtimes share: the graph that is quantised, its tables, and how products are quantised.

Weights are signed, symmetric, one scale per output channel; tables one scale per row, put back to float32 after the
look-up. Activations are unsigned with a zero point and one range per tensor. What the modifiers simulate, in short.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from suite.errors import UserError
from suite.runtimes import onnx

PRODUCTS = ("MatMul", "Gemm")
LARGEST = 127  # of a weight, either sign


@contextlib.contextmanager
def graph(model_folder: Path) -> Iterator[Path]:
    """An ONNX file of the model with float32 products and 8-bit tables, fit to be quantised; gone afterwards.

    UserError for a model without linear layers: nothing in it would be quicker.
    """
    import onnx as format
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="lightboard-") as work, _quiet():
        file = onnx.export(_full_precision(model_folder, Path(work) / "model"), Path(work))
        loaded = format.load(file)
        loaded.graph.ClearField(
            "value_info"
        )  # the exporter's shapes contradict those that are inferred again
        for node in loaded.graph.node:
            node.ClearField(
                "metadata_props"
            )  # lines of source code, with paths, twice as long as a small model
        format.save(loaded, file)
        # Constants are folded first: until then some weights are not yet seen to be weights.
        quant_pre_process(str(file), str(file), skip_symbolic_shape=True)
        loaded = format.load(file)
        if not any(node.op_type in PRODUCTS and _weighs(node, loaded) for node in loaded.graph.node):
            raise UserError("a model without linear layers has nothing to gain from 8 bits", code=1)
        _shrink_tables(loaded)
        format.save(loaded, file)
        yield file


def _full_precision(model_folder: Path, out: Path) -> Path:
    """The folder itself; of a model in 8 bits, one of its base architecture with the weights its codes stand for.

    Its simulated rounding would be rounded a second time. Rounding the weights again gives the very same codes, since
    the largest of a row is as many steps as before.
    """
    from suite import models
    from suite.models.int8 import Int8, Int8Embedding, Int8Linear

    model = models.load(model_folder)
    if not isinstance(model, Int8):
        return model_folder
    weights = model.model.state_dict()
    for name, part in model.model.named_modules():
        if isinstance(part, Int8Linear | Int8Embedding):
            for own in ("codes", "scale", "range"):
                weights.pop(f"{name}.{own}", None)
            weights[f"{name}.weight"] = part.weight.detach()
    config: models.Config = models.read_config(model_folder)["base"]
    plain = models.build(config)
    plain.load_state_dict(weights)
    models.save(plain, config, out)
    return out


def _weighs(node: Any, model: Any) -> bool:
    """Whether a product is with a weight; one of two activations is not."""
    return any(tensor.name in node.input for tensor in model.graph.initializer)


def between(file: Path) -> list[str]:
    """Names of the products of two activations, which lose more in 8 bits than they gain."""
    import onnx as format

    model = format.load(file)
    return [n.name for n in model.graph.node if n.op_type in PRODUCTS and not _weighs(n, model)]


def inputs(file: Path) -> set[str]:
    import onnx as format

    return {value.name for value in format.load(file).graph.input}


def _shrink_tables(model: Any) -> None:
    """Every choice of rows of a float32 matrix becomes one of its codes, times one of its rows' scales.

    The quantiser would give a table one scale as a whole, and small rows nothing but zeros.
    """
    from onnx import TensorProto, helper, numpy_helper

    known = {tensor.name: tensor for tensor in model.graph.initializer}
    done: dict[str, Any] = {}
    nodes: list[Any] = []
    for node in model.graph.node:
        name = node.input[0] if node.input else ""
        table = known.get(name)
        if table is None or table.data_type != TensorProto.FLOAT or len(table.dims) != 2:
            nodes.append(node)
            continue
        if not _chooses_rows(node, known):
            nodes.append(node)
            continue
        done[name] = table
        rest, out = list(node.input)[1:], node.output[0]
        nodes += [
            helper.make_node(node.op_type, [f"{name}.codes", *rest], [f"{out}.codes"]),
            helper.make_node(node.op_type, [f"{name}.scales", *rest], [f"{out}.scales"]),
            helper.make_node("Cast", [f"{out}.codes"], [f"{out}.whole"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{out}.whole", f"{out}.scales"], [out]),
        ]
    for name, table in done.items():
        weights = numpy_helper.to_array(table)
        largest = np.abs(weights).max(1, keepdims=True)
        scale = np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)
        codes = (weights / scale).round().clip(-LARGEST, LARGEST).astype(np.int8)
        model.graph.initializer.append(numpy_helper.from_array(codes, f"{name}.codes"))
        model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scales"))
    read = {name for node in nodes for name in node.input}
    for name in done.keys() - read:  # a table that is also multiplied by stays
        model.graph.initializer.remove(done[name])
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)


def _chooses_rows(node: Any, known: dict[str, Any]) -> bool:
    """Whether a node's output is rows of its first input as they are: by number, or one after another."""
    from onnx import numpy_helper

    if node.op_type == "Gather":
        return not any(part.name == "axis" and part.i for part in node.attribute)
    if node.op_type == "Slice" and len(node.input) > 3 and node.input[3] in known:
        return bool((numpy_helper.to_array(known[node.input[3]]) == 0).all())
    return False


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice, which is followed here, and its warnings on what it leaves in float32."""
    import onnxruntime

    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    onnxruntime.set_default_logger_severity(3)
    try:
        yield
    finally:
        logger.setLevel(level)
        onnxruntime.set_default_logger_severity(2)


def caution() -> str | None:
    if saturates():
        return (
            "large 8-bit sums saturate on this processor, which has no VNNI: answers and scores are its own"
        )
    return None


def saturates() -> bool:
    """Whether this processor loses part of large sums of 8-bit products: without VNNI (or its like) two products are
    added in 16 bits. Models answer by such sums then, and differently from the same file elsewhere."""
    import onnxruntime
    from onnx import TensorProto, helper

    size, high = 64, 255
    node = helper.make_node("MatMulInteger", ["a", "b"], ["sum"])
    inputs = [
        helper.make_tensor_value_info("a", TensorProto.UINT8, [1, size]),
        helper.make_tensor_value_info("b", TensorProto.INT8, [size, size]),
    ]
    graph = helper.make_graph(
        [node], "sum", inputs, [helper.make_tensor_value_info("sum", TensorProto.INT32, [1, size])]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {"a": np.full((1, size), high, np.uint8), "b": np.full((size, size), LARGEST, np.int8)}
    (found,) = session.run(None, given)
    return bool((found != size * high * LARGEST).any())
