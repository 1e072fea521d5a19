"""What machine this is and what could change under a measurement. No host name, no user, no path.

Everything is read from the kernel's files; what a system does not tell is None, never guessed. Only the standard
library is needed (psutil where it is there): the device kit carries this module to bare machines.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

try:
    import psutil
except ImportError:  # a bare device
    psutil = None

if TYPE_CHECKING:
    from suite.profile import Requires

_CPUS = Path("/sys/devices/system/cpu")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _number(path: Path) -> float | None:
    try:
        return float(_text(path) or "")
    except ValueError:
        return None


def _each(pattern: str, root: Path = _CPUS) -> list[float]:
    return [value for path in sorted(root.glob(pattern)) if (value := _number(path)) is not None]


# --- identity -----------------------------------------------------------------------------------------------


def cpu() -> tuple[str, tuple[str, ...]]:
    """The processor's model and its feature flags, sorted."""
    fields: dict[str, str] = {}
    for line in (_text(Path("/proc/cpuinfo")) or "").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    model = fields.get("model name") or fields.get("model") or fields.get("cpu part") or platform.processor()
    flags = fields.get("flags") or fields.get("features") or ""
    return model or platform.machine() or "unknown", tuple(sorted(set(flags.split())))


def allowed() -> tuple[int, ...]:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def _smt() -> bool | None:
    active = _number(_CPUS / "smt" / "active")
    return None if active is None else bool(active)


def _virtual(flags: tuple[str, ...]) -> str | None:
    """Whether this is a virtual machine or a container, in words."""
    kinds = ["virtual machine"] if "hypervisor" in flags else []
    if any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")):
        kinds.append("container")
    return ", ".join(kinds) or None


def _cgroup_cpu_limit() -> float | None:
    """Cores' worth of time the control group grants, v2 then v1."""
    for line in (_text(Path("/proc/self/cgroup")) or "").splitlines():
        _, controllers, place = line.split(":", 2)
        if not controllers:
            words = (_text(Path("/sys/fs/cgroup") / place.lstrip("/") / "cpu.max") or "max").split()
            if words[0] != "max":
                return float(words[0]) / float(words[1])
        elif "cpu" in controllers.split(","):
            for folder in (Path("/sys/fs/cgroup/cpu") / place.lstrip("/"), Path("/sys/fs/cgroup/cpu")):
                quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
                if quota is not None and period and quota > 0:
                    return quota / period
    return None


# --- state --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ticks:
    """Cumulative processor time: all of it and what a hypervisor took."""

    total: float
    stolen: float

    @classmethod
    def now(cls) -> Ticks | None:
        if psutil is None:
            return None
        times = psutil.cpu_times()
        stolen = getattr(times, "steal", None)
        return None if stolen is None else cls(float(sum(times)), float(stolen))


def state(since: Ticks | None = None) -> dict[str, Any]:
    """What holds now, with the fields of :class:`suite.documents.MachineState`.

    ``since``: the steal is the share since then; without it, over a tenth of a second.
    """
    start = since or Ticks.now()
    if since is None:
        time.sleep(0.1)
    end = Ticks.now()
    steal = None
    if start is not None and end is not None:
        steal = 100 * max(0.0, end.stolen - start.stolen) / max(end.total - start.total, 1e-9)
    frequencies = _each("cpu[0-9]*/cpufreq/scaling_cur_freq")
    throttled = _each("cpu[0-9]*/thermal_throttle/core_throttle_count")
    return {
        "load_1min": _load(),
        "governor": _text(_CPUS / "cpu0" / "cpufreq" / "scaling_governor"),
        "turbo": _turbo(),
        "frequency_mhz": fmean(frequencies) / 1000 if frequencies else None,
        "temperature_celsius": _temperature(),
        "throttled": int(sum(throttled)) if throttled else None,
        "steal_percent": steal,
        "available_memory_bytes": int(psutil.virtual_memory().available) if psutil else None,
    }


def _memory() -> int:
    """Bytes of physical memory."""
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def _turbo() -> bool | None:
    off = _number(_CPUS / "intel_pstate" / "no_turbo")
    if off is not None:
        return not off
    boost = _number(_CPUS / "cpufreq" / "boost")
    return None if boost is None else bool(boost)


def _temperature() -> float | None:
    """The hottest thermal zone."""
    zones = _each("thermal_zone*/temp", Path("/sys/class/thermal"))
    return max(zones) / 1000 if zones else None


def requirements(requires: Requires, before: dict[str, Any]) -> dict[str, bool]:
    """What a profile asks for -> whether it held when the measurement began. What is unknown did not hold."""
    _, flags = cpu()
    tests: dict[str, tuple[object, Callable[[], bool]]] = {
        "memory_bytes": (requires.memory_bytes,
                         lambda: _memory() >= (requires.memory_bytes or 0)),
        "cores": (requires.cores, lambda: len(allowed()) >= (requires.cores or 0)),
        "governor": (requires.governor, lambda: before["governor"] == requires.governor),
        "max_load_1min": (requires.max_load_1min,
                          lambda: before["load_1min"] is not None
                          and before["load_1min"] <= (requires.max_load_1min or 0)),
    }  # fmt: skip
    held = {name: test() for name, (asked, test) in tests.items() if asked is not None}
    return held | {f"cpu_flags/{flag}": flag in flags for flag in requires.cpu_flags}


def describe(
    affinity: tuple[int, ...], requires: Requires, before: dict[str, Any], after: dict[str, Any]
) -> dict[str, Any]:
    """The machine, with the fields of :class:`suite.documents.Machine`; ``affinity``: the cores the timed
    processes ran on."""
    model, flags = cpu()
    highest = _number(_CPUS / "cpu0" / "cpufreq" / "cpuinfo_max_freq")
    return {
        "cpu": model,
        "flags": flags,
        "cores": len(allowed()),
        "smt": _smt(),
        "max_mhz": None if highest is None else highest / 1000,
        "memory_bytes": _memory(),
        "virtual": _virtual(flags),
        "affinity": affinity,
        "cgroup_cpu_limit": _cgroup_cpu_limit(),
        "kernel": f"{platform.system()} {platform.release()}",
        "before": before,
        "after": after,
        "requirements": requirements(requires, before),
    }
