"""Joules from counters that the machine keeps, read where a block starts and ends; never an estimate.

Three kinds: RAPL through the kernel's powercap (processor packages), NVML (NVIDIA GPUs), and INA sensors that
accumulate energy, through hwmon (boards). A sensor that tells only power is none: between two readings of it anything
may have happened. Counters cover a package or a board, so whatever else ran there is in them too. Only the standard
library is needed (pynvml where it is there): the device kit carries this module to bare machines.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM = Path("/sys/class")


@dataclass
class Counter:
    """A register that grows. ``wraps``: the value after which it starts again at zero, in its own unit; None: never."""

    name: str
    raw: Callable[[], int]
    joules: float  # of one unit
    wraps: int | None = None
    _last: int = field(default=0, init=False)
    _before: int = field(default=0, init=False)  # what it had counted when it last wrapped

    def read(self) -> float:
        """Joules since some moment, growing across one wrap between two readings; OSError where it cannot be read."""
        now = self.raw()
        if self.wraps is not None and now < self._last:
            self._before += self.wraps
        self._last = now
        return (self._before + now) * self.joules


@dataclass(frozen=True)
class Meter:
    """All counters there are, or why there are none."""

    counters: tuple[Counter, ...]
    reason: str | None = None

    def read(self) -> float | None:
        """Their sum in joules; None where there are none."""
        return sum(counter.read() for counter in self.counters) if self.counters else None


def meter(device: str = "cpu", system: Path = SYSTEM) -> Meter:
    """The counters of what a measurement on ``device`` uses.

    Processor packages, with the GPU where that is the device; the board's sensors only where there are no packages,
    since they would count the same joules twice.
    """
    found: list[Counter] = []
    reasons: list[str] = []
    for kind in (rapl(system), nvml() if device == "cuda" else Meter(())):
        found += kind.counters
        reasons += [kind.reason] if kind.reason else []
    if not found:
        board = ina(system)
        found += board.counters
        reasons += [board.reason] if board.reason else []
    if found:
        return Meter(tuple(found))
    return Meter((), "; ".join(reasons))


def rapl(system: Path = SYSTEM) -> Meter:
    """Processor packages: top-level domains, but not ``psys``, which holds the packages and more."""
    found = []
    for zone in sorted((system / "powercap").glob("intel-rapl:*")):
        name = _text(zone / "name")
        if zone.name.count(":") != 1 or name is None or not name.startswith("package"):
            continue
        try:
            _integer(zone / "energy_uj")
            wraps = _integer(zone / "max_energy_range_uj")
        except (OSError, ValueError):
            return Meter((), f"RAPL: {name} is there, but this user may not read its counter")
        found.append(Counter(f"RAPL {name}", _reader(zone / "energy_uj"), 1e-6, wraps))
    return Meter(tuple(found), None if found else "RAPL: the kernel shows none")


def ina(system: Path = SYSTEM) -> Meter:
    """Sensors on the board's supply that accumulate energy."""
    found, others = [], []
    for sensor in sorted((system / "hwmon").glob("hwmon*")):
        name = _text(sensor / "name")
        if name is None or not name.startswith("ina"):
            continue
        registers = sorted(sensor.glob("energy*_input"))
        others += [] if registers else [name]
        for register in registers:
            with contextlib.suppress(OSError, ValueError):
                _integer(register)
                label = _text(register.with_name(register.name.replace("_input", "_label"))) or register.name
                found.append(Counter(f"INA {name} {label}", _reader(register), 1e-6))
    if found:
        return Meter(tuple(found))
    said = f"INA: {others[0]} tells power, and no energy" if others else "INA: no such sensor"
    return Meter((), said)


def nvml() -> Meter:
    """The NVIDIA GPU that PyTorch computes on, through pynvml; others of the machine may be anyone's."""
    try:
        import pynvml
    except ImportError:
        return Meter((), "NVML: pynvml is not installed; pip install 'lightboard[nvml]'")
    try:
        uuid = _cuda_uuid()
    except (AttributeError, AssertionError, RuntimeError) as error:  # whatever PyTorch says without a GPU
        return Meter((), f"NVML: no GPU: {next(iter(str(error).splitlines()), type(error).__name__)}")
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        name = f"NVML GPU {pynvml.nvmlDeviceGetIndex(handle)}"
    except pynvml.NVMLError as error:
        return Meter((), f"NVML: {error}")
    return Meter((Counter(name, _of_gpu(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle), 1e-3),))


def _cuda_uuid() -> str:
    """Of the current CUDA device: its place among those that this process sees is not its place in the machine."""
    import torch

    return str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)


def _of_gpu(total: Callable[[object], int], handle: object) -> Callable[[], int]:
    return lambda: int(total(handle))


def _reader(path: Path) -> Callable[[], int]:
    return lambda: _integer(path)


def _integer(path: Path) -> int:
    return int(path.read_text(encoding="ascii", errors="replace"))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
