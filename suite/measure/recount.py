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


def until(ops: Iterable[Op], exit: int) -> tuple[Op, ...]:
    """The ops of an example that leaves at ``exit``: those of blocks 1 to ``exit``, and those outside blocks."""
    return tuple(op for op in ops if op.block <= exit)


def flops_per_example(
    ops: Sequence[Op], lengths: Mapping[str, int], exits: Mapping[str, Mapping[str, int]]
) -> dict[str, float]:
    """``"128"`` and ``"dev"`` of :class:`suite.documents.Model`; ``lengths`` and ``exits`` as there."""
    if not exits:
        return {"128": float(flops(ops, 128)), "dev": mean_flops(ops, lengths)}
    examples = sum(sum(found.values()) for found in exits.values())
    at_128 = dev = 0
    for exit, found in exits.items():
        done = until(ops, int(exit))
        at_128 += sum(found.values()) * flops(done, 128)
        dev += sum(count * flops(done, int(tokens)) for tokens, count in found.items())
    return {"128": at_128 / examples, "dev": dev / examples}


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
    to a hundredth of the whole model. Blocks count where there are early exits; how far an example goes through
    them, and so its time, is the weights' affair.
    """
    total = sum(prod(weight.shape) for weight in weights)
    nonzero = sum(weight.nonzero for weight in weights)
    return digest(
        {
            "ops": [
                [op.kind, op.rows, list(op.shape), op.times, *([op.block] if op.block else [])] for op in ops
            ],
            "weights": sorted([weight.dtype, list(weight.shape)] for weight in weights),
            "percent_nonzero": round(100 * nonzero / total) if total else 100,
        }
    )
