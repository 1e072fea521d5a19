"""On what a stage computes: the processor, or a GPU where somebody asks for it.

While a stage runs, its device is torch's default one: modules are built there, and what comes from files goes there
with :func:`tensor`. What leaves a stage is written from the processor's memory, so an artifact says nothing of it but
in its record.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from suite.errors import UserError

VARIABLE = "LIGHTBOARD_DEVICE"


def asked(name: str | None = None) -> torch.device:
    """The device of a name as torch has them (``cuda``, ``cuda:1``); without one that of LIGHTBOARD_DEVICE, else the
    processor. :class:`UserError` where there is none such."""
    name = name or os.environ.get(VARIABLE) or "cpu"
    try:
        found = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device {name!r}: no such kind of device; cpu, cuda or cuda:1") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        built = f"this torch ({torch.__version__}) sees {torch.cuda.device_count()} NVIDIA GPUs"
        raise UserError(
            f"device {name}: {built}; nvidia-smi names the machine's, a CUDA build of torch uses them"
        )
    return found


@contextmanager
def computing_on(device: torch.device) -> Iterator[None]:
    """Make it torch's default device. On the processor nothing is entered: the default costs every call of torch."""
    if device.type == "cpu":
        yield
        return
    convolutions = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False  # float32 is what a stage's key says
    try:
        with device:
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions


def tensor(array: np.ndarray) -> Tensor:
    """An array's values where this stage computes."""
    return torch.from_numpy(array).to(torch.get_default_device())


def name_of(device: torch.device) -> str | None:
    """What an accelerator calls itself; None for the processor."""
    if device.type == "cpu":
        return None
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
