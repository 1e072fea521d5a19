"""Sums over what a document says of a model: arithmetic, size, and the digest of its graph.

Only standard library and the document types: a verifier recomputes every figure with this module, without
torch. 1 multiply-accumulate = 2 FLOPs. Softmax, norms, activations and table look-ups are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

from suite.canonical import digest
from suite.documents import Op, Parameters, Weight

_DIMENSIONS = {"linear": 2, "matmul": 4}
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1, "int32": 4}


def op_flops(op: Op, n: int) -> int:
    """FLOPs of one op (all its ``times``) for one sequence of ``n`` tokens; ValueError for a wrong rank."""
    if len(op.shape) != _DIMENSIONS[op.kind]:
        raise ValueError(f"{op.kind} has {len(op.shape)} dimensions, expected {_DIMENSIONS[op.kind]}")
    sizes = [n if size == "n" else int(size) for size in (op.rows, *op.shape)]
    return 2 * op.times * prod(sizes)


def flops(ops: Iterable[Op], n: int) -> int:
    """FLOPs of the whole model for one sequence of ``n`` tokens, batch 1."""
    return sum(op_flops(op, n) for op in ops)


def polynomial(ops: Iterable[Op]) -> tuple[int, int, int]:
    """(a, b, c) with FLOPs(n) = a + b n + c n^2; ValueError when a higher power occurs."""
    coefficients = [0, 0, 0]
    for op in ops:
        power = sum(size == "n" for size in (op.rows, *op.shape))
        if power > 2:
            raise ValueError(f"{op.kind} grows with the {power}rd power of the length or faster")
        coefficients[power] += op_flops(op, 1)
    a, b, c = coefficients
    return a, b, c


def mean_flops(ops: Sequence[Op], lengths: Mapping[str, int]) -> float:
    """Mean FLOPs over examples; ``lengths`` maps tokens (as text, as in JSON) to the number of examples."""
    examples = sum(lengths.values())
    if examples == 0:
        raise ValueError("no example lengths to average over")
    return sum(count * flops(ops, int(tokens)) for tokens, count in lengths.items()) / examples


def parameters(weights: Iterable[Weight]) -> Parameters:
    """Total, without embeddings (tables and their norm), and non-zero. Each tensor is listed once."""
    total = without = nonzero = 0
    for weight in weights:
        size = prod(weight.shape)
        total += size
        without += 0 if weight.embedding else size
        nonzero += weight.nonzero
    return Parameters(total=total, without_embeddings=without, nonzero=nonzero)


def precision(weights: Iterable[Weight]) -> str:
    """What the weights are stored in, as in "safetensors/fp32": int8 where any of them is."""
    return "int8" if any(weight.dtype in ("int8", "uint8") for weight in weights) else "fp32"


def weight_bytes(weights: Iterable[Weight]) -> int:
    """Bytes of all weights; a file has a header besides, and an int8 one the scales."""
    return sum(_BYTES[weight.dtype] * prod(weight.shape) for weight in weights)


def graph(ops: Iterable[Op], weights: Sequence[Weight]) -> str:
    """Digest of ops, shapes, dtypes and density: models with equal digests take equal time.

    Names of weights are left out, and so are single zeros that training happens to leave: density is rounded
    to a hundredth of the whole model.
    """
    total = sum(prod(weight.shape) for weight in weights)
    nonzero = sum(weight.nonzero for weight in weights)
    return digest(
        {
            "ops": [[op.kind, op.rows, list(op.shape), op.times] for op in ops],
            "weights": sorted([weight.dtype, list(weight.shape)] for weight in weights),
            "percent_nonzero": round(100 * nonzero / total) if total else 100,
        }
    )
