"""A device that is not the processor, for machines that have no other: ``elsewhere``.

Its tensors hold processor's tensors and compute with those, so that results are the processor's to the bit; but to
torch they lie on another device. As on a GPU, an operation refuses tensors of both kinds, but for copies, numbers
(tensors without dimensions) and places to take.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import library
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "elsewhere"
_setup_privateuseone_for_python_backend(NAME)
DEVICE = torch.device(NAME, 0)
COPIES = ("aten::copy_", "aten::_to_copy")
TAKES = ("aten::index", "aten::index_put_", "aten::index_put")


class There(torch.Tensor):
    """A tensor on the device; ``held`` is where its values really are."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> There:
        with torch.inference_mode(False):  # a view of a tensor of before has to be such a one itself
            made = torch.Tensor._make_wrapper_subclass(
                cls,
                held.size(),
                strides=held.stride(),
                storage_offset=held.storage_offset(),
                dtype=held.dtype,
                device=DEVICE,
            )
        made.held = held
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"There({self.held})"

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(op, args, kwargs or {})


def compute(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    asked = kwargs.get("device")
    goes = torch.device(asked).type if asked is not None else None
    flat = [one for one in pytree.tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
    there = [one for one in flat if isinstance(one, There)]
    name = op._schema.name
    if there and name not in (*COPIES, *TAKES):
        here = [one for one in flat if not isinstance(one, There) and one.dim()]
        assert not here, f"{name}: tensors on {NAME} and on the processor"
    if not there and goes != NAME:
        return op(*args, **kwargs)
    if goes is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    plain_args, plain_kwargs = pytree.tree_map_only(There, lambda one: one.held, (args, kwargs))
    result = op(*plain_args, **plain_kwargs)
    leaves = goes not in (None, NAME) or (name == "aten::copy_" and not isinstance(args[0], There))
    if leaves:  # back to the processor
        return args[0] if name == "aten::copy_" else result
    if (
        there
        and op._schema.is_mutable
        and isinstance(args[0], There)
        and not isinstance(result, tuple | list)
    ):
        return args[0]  # in place
    result = pytree.tree_map_only(torch.Tensor, There, result)
    if not there or torch.is_inference_mode_enabled():  # which keeps no count of who shares what
        return result
    return return_and_correct_aliasing(op, args, kwargs, result)


# For calls that are given none of the device's tensors, and for those that torch makes past its dispatcher.
for _name in (
    "empty.memory_format", "empty_strided.default", "copy_.default", "eye.default", "eye.m", "arange.default",
    "arange.start", "arange.start_step", "randperm.default",
):  # fmt: skip
    _packet, _, _overload = _name.partition(".")
    _op = getattr(getattr(torch.ops.aten, _packet), _overload)
    library.impl(
        f"aten::{_name.removesuffix('.default')}", NAME, partial(lambda op, *a, **k: compute(op, a, k), _op)
    )
