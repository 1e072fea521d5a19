"""Count a model's parameters and matrix products by running it once at a few lengths without data.

The model is built on the meta device with eager attention: every product passes the dispatcher there as a
plain ``mm``, ``addmm`` or ``bmm``, while torch's own counter misses the fused attention of the CPU. Which
dimensions are the sequence length is seen by comparing the traces: a dimension that is 37, 41 and 53 at
lengths 37, 41 and 53 is the length, one that stays is a constant.

A model with early exits is traced through all of them, without leaving, and each product carries the block it
belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from suite.documents import Op, Parameters, Weight
from suite.errors import UserError
from suite.measure import recount

LENGTHS = (37, 41, 53)

Dimension = int | Literal["n"]


@dataclass(frozen=True)
class Cost:
    """What a model is made of; figures follow by :mod:`suite.measure.recount`."""

    ops: tuple[Op, ...]
    weights: tuple[Weight, ...]

    @property
    def parameters(self) -> Parameters:
        return recount.parameters(self.weights)

    @property
    def graph(self) -> str:
        return recount.graph(self.ops, self.weights)

    def flops(self, n: int) -> int:
        """FLOPs for one sequence of ``n`` tokens, 2 per multiply-accumulate; to the last exit if there are several."""
        return recount.flops(self.ops, n)


def count(config: dict[str, Any], lengths: Sequence[int] = LENGTHS) -> Cost:
    """Cost of the architecture that ``config`` describes. No weights are needed: all count as non-zero."""
    from suite import models

    return count_module(models.build(config, device="meta", attention="eager"), lengths)


def count_module(module: nn.Module, lengths: Sequence[int] = LENGTHS) -> Cost:
    """Cost of a module with ``forward(input_ids, attention_mask, token_type_ids)``, each [1, n] int64.

    It must use eager attention. On the meta device nothing is computed and every weight counts as non-zero;
    a module with real weights is traced where it is and its zeros are counted.
    """
    with _evaluating(module):
        traces = [_trace(module, n) for n in lengths]
    return Cost(_ops(traces, lengths), weights(module))


def weights(module: nn.Module) -> tuple[Weight, ...]:
    """The parameters, tied ones once; buffers such as position numbers are none."""
    tables = {
        id(p)
        for m in module.modules()
        if isinstance(m, (nn.Embedding, nn.EmbeddingBag)) or getattr(m, "is_table", False)
        for p in m.parameters()
    }
    return tuple(
        Weight(
            name=name,
            shape=tuple(p.shape),
            dtype=str(p.dtype).removeprefix("torch."),
            nonzero=p.numel() if p.is_meta else int(torch.count_nonzero(p)),
            embedding=id(p) in tables or "embeddings" in name.split("."),
        )
        for name, p in module.named_parameters()
    )


# --- tracing ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Event:
    """One product as it was met; ``sizes`` = rows then shape, as in :class:`suite.documents.Op`."""

    kind: Literal["linear", "matmul"]
    weight: str | None
    sizes: tuple[int, ...]
    block: int


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names = names  # storage -> parameter
        self.block = 0  # of early exits, that is running
        self.events: list[_Event] = []
        self.converted: list[Tensor] = []

    def _met(self, kind: Literal["linear", "matmul"], weight: str | None, sizes: tuple[int, ...]) -> None:
        self.events.append(_Event(kind, weight, sizes, self.block))

    def enter(self, block: int) -> Callable[..., None]:
        """A hook to be called before that block."""

        def note(module: nn.Module, inputs: Any) -> None:
            self.block = block

        return note

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name == "_to_copy" and (source := self._name(args[0])) is not None:
            self.names[_storage(out)] = source  # 8-bit weights are turned into floats before they multiply
            self.converted.append(out)  # kept, or its storage's number would be given to another tensor
        if name in ("mm", "addmm"):
            self._mm(*args[-2:])
        elif name in ("bmm", "baddbmm"):
            self._bmm(*args[-2:])
        elif name in ("mv", "addmv"):
            matrix, vector = args[-2:]
            self._mm(vector.unsqueeze(0), matrix.t())
        elif name == "dot":
            self._met("matmul", None, (1, 1, 1, args[0].numel(), 1))
        elif name == "convolution":
            self._convolution(args[1], out)
        elif "scaled_dot_product" in name and "attention" in name:
            raise UserError(f"cost: the model uses fused attention ({name}); build it with attention='eager'")
        return out

    def _name(self, tensor: Tensor) -> str | None:
        return self.names.get(_storage(tensor))

    def _mm(self, left: Tensor, right: Tensor) -> None:
        (m, k), n = left.shape, right.shape[1]
        if (name := self._name(right)) is not None:
            self._met("linear", name, (m, n, k))
        elif (name := self._name(left)) is not None:
            self._met("linear", name, (n, m, k))
        else:
            self._met("matmul", None, (1, 1, m, k, n))

    def _bmm(self, left: Tensor, right: Tensor) -> None:
        (b, m, k), n = left.shape, right.shape[2]
        for tensor, rows, width in ((right, m, n), (left, n, m)):
            if (name := self._name(tensor)) is not None:
                # One matrix used by the whole batch, or one matrix each.
                shared = tensor.stride(0) == 0 or tensor.shape[0] == 1
                sizes = (b * rows, width, k) if shared else (rows, b * width, k)
                self._met("linear", name, sizes)
                return
        self._met("matmul", None, (1, b, m, k, n))

    def _convolution(self, weight: Tensor, out: Tensor) -> None:
        """As the product it amounts to: positions x (outputs x inputs per group times kernel)."""
        outputs = weight.shape[0]
        sizes = (out.numel() // out.shape[1], outputs, prod(weight.shape[1:]))
        self._met("linear", self._name(weight), sizes)


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # views share it, also where there is no memory (meta)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)


def _trace(module: nn.Module, n: int) -> list[_Event]:
    first = next(module.parameters(), None)
    device = first.device if first is not None else torch.device("cpu")
    ids, mask, types = (torch.full((1, n), value, dtype=torch.int64, device=device) for value in (1, 1, 0))
    recorder = _Recorder({_storage(p): name for name, p in module.named_parameters()})
    if not getattr(module, "adaptive", False):
        with recorder:
            module(ids, mask, types)
        return recorder.events
    model: Any = module
    hooks = [
        block.register_forward_pre_hook(recorder.enter(number))
        for number, block in enumerate(model.blocks, 1)
    ]
    try:
        with recorder:
            model.every_exit(ids, mask, types)
    finally:
        for hook in hooks:
            hook.remove()
    return recorder.events


# --- comparing ----------------------------------------------------------------------------------------------


def _ops(traces: Sequence[list[_Event]], lengths: Sequence[int]) -> tuple[Op, ...]:
    """One op per distinct (kind, weight, dimensions, block), in the order first met."""
    if len({tuple((event.kind, event.weight) for event in trace) for trace in traces}) != 1:
        raise UserError(f"cost: the model's operations differ between lengths {', '.join(map(str, lengths))}")
    grouped: dict[tuple[Literal["linear", "matmul"], str | None, tuple[Dimension, ...], int], int] = {}
    for events in zip(*traces, strict=True):
        dimensions: list[Dimension] = []
        times = 1
        for sizes in zip(*(event.sizes for event in events), strict=True):
            factor, dimension = _dimension(sizes, lengths)
            times *= factor
            dimensions.append(dimension)
        key = (events[0].kind, events[0].weight, tuple(dimensions), events[0].block)
        grouped[key] = grouped.get(key, 0) + times
    return tuple(
        Op(kind=kind, weight=weight, rows=sizes[0], shape=sizes[1:], times=times, block=block)
        for (kind, weight, sizes, block), times in grouped.items()
    )


def _dimension(sizes: Sequence[int], lengths: Sequence[int]) -> tuple[int, Dimension]:
    """(factor, dimension): a constant, the length, or a multiple of it (whose factor goes to ``times``)."""
    if len(set(sizes)) == 1:
        return 1, sizes[0]
    factor = sizes[0] // lengths[0]
    if factor and all(size == factor * n for size, n in zip(sizes, lengths, strict=True)):
        return factor, "n"
    raise UserError(
        f"cost: a dimension is {', '.join(map(str, sizes))} at lengths {', '.join(map(str, lengths))}: "
        "neither constant nor a multiple of the length"
    )
