"""What machine this is and what could change under a measurement. No host name, no user, no path.

Everything is read from the kernel's files; what a system does not tell is None, never guessed. Only the standard
library is needed (psutil where it is there): the device kit carries this module to bare machines.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
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

from suite.measure.memory import GROUPS, own_group

if TYPE_CHECKING:
    from suite.profile import Profile, Requires

IDENTITY = ("architecture", "device_model", "system")

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


def device_model() -> str | None:
    """A board's name as its device tree gives it; None where there is no device tree."""
    name = _text(Path("/proc/device-tree/model"))
    return (name.strip("\0 ") or None) if name else None


def system() -> str:
    """linux, android, darwin, windows: an Android phone says linux of itself before Python 3.13."""
    android = sys.platform == "android" or hasattr(sys, "getandroidapilevel") or "ANDROID_ROOT" in os.environ
    return "android" if android else platform.system().lower()


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


def _cgroup_memory_limit() -> int | None:
    """Bytes that the control group grants, v2; the least of it and its parents."""
    group = own_group()
    limits = []
    while group is not None and group != GROUPS.parent:
        value = _number(group / "memory.max")
        limits += [] if value is None else [int(value)]
        group = group.parent
    return min(limits, default=None)


# --- an accelerator -----------------------------------------------------------------------------------------

_ASKED = "name,driver_version,temperature.gpu,clocks.sm,clocks_throttle_reasons.active"
_DRIVERS = ("/proc/driver/nvidia", "/dev/nvmap", "/dev/dxg")  # a card's, a Jetson's, Windows' for Linux
_IDLE = 0x1  # the one reason for low clocks that is no throttling


def gpu() -> dict[str, Any] | None:
    """The first NVIDIA GPU that nvidia-smi tells of: its name with driver, and what could change; None without."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        told = subprocess.run(
            [program, f"--query-gpu={_ASKED}", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return read_gpu(told.stdout)


def read_gpu(told: str) -> dict[str, Any] | None:
    """The first line that nvidia-smi wrote, as fields."""
    parts = [part.strip() for part in next(iter(told.splitlines()), "").split(",")]
    if len(parts) != 5 or not parts[0]:
        return None
    reasons = parts[4].removeprefix("0x")
    try:
        throttled = bool(int(reasons, 16) & ~_IDLE)
    except ValueError:
        throttled = None
    return {
        "accelerator": f"{parts[0]}, driver {parts[1]}",
        "accelerator_celsius": _float(parts[2]),
        "accelerator_mhz": _float(parts[3]),
        "accelerator_throttled": throttled,
    }


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
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


def state(since: Ticks | None = None, device: str = "cpu") -> dict[str, Any]:
    """What holds now, with the fields of :class:`suite.documents.MachineState`.

    ``since``: the steal is the share since then; without it, over a tenth of a second. ``device``: with the state
    of a GPU where that is cuda.
    """
    accelerator = {k: v for k, v in ((gpu() or {}) if device == "cuda" else {}).items() if k != "accelerator"}
    start = since or Ticks.now()
    if since is None:
        time.sleep(0.1)
    end = Ticks.now()
    steal = None
    if start is not None and end is not None:
        steal = 100 * max(0.0, end.stolen - start.stolen) / max(end.total - start.total, 1e-9)
    frequencies = _each("cpu[0-9]*/cpufreq/scaling_cur_freq")
    return {
        **accelerator,
        "load_1min": _load(),
        "governor": _text(_CPUS / "cpu0" / "cpufreq" / "scaling_governor"),
        "turbo": _turbo(),
        "frequency_mhz": fmean(frequencies) / 1000 if frequencies else None,
        "temperature_celsius": _temperature(),
        "throttled": _throttled(),
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
    """The hottest thermal zone, or sensor where there are no zones."""
    zones = _each("thermal_zone*/temp", Path("/sys/class/thermal"))
    zones = zones or _each("hwmon*/temp*_input", Path("/sys/class/hwmon"))
    return max(zones) / 1000 if zones else None


def _throttled() -> int | None:
    """How often processors slowed down for heat; of a Raspberry Pi, whose firmware keeps no count, its flags."""
    counts = _each("cpu[0-9]*/thermal_throttle/core_throttle_count", _CPUS)
    if counts:
        return int(sum(counts))
    flags = _text(Path("/sys/devices/platform/soc/soc:firmware/get_throttled"))
    try:
        return None if flags is None else int(flags, 16)
    except ValueError:
        return None


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
    # A kit's profile has only the fields that its version knew.
    for name, held_now in identity(requires).items():
        tests[name] = (True, lambda held_now=held_now: held_now)  # type: ignore[misc]
    held = {name: test() for name, (asked, test) in tests.items() if asked is not None}
    return held | {f"cpu_flags/{flag}": flag in flags for flag in requires.cpu_flags}


def identity(requires: Requires) -> dict[str, bool]:
    """What makes a machine the one a profile is of -> whether this one is: nothing that is done could change it."""
    wanted = {name: getattr(requires, name, None) for name in IDENTITY}
    held = {
        "architecture": platform.machine().lower() == wanted["architecture"],
        "device_model": str(wanted["device_model"]) in (device_model() or ""),
        "system": system() == wanted["system"],
    }
    return {name: held[name] for name in IDENTITY if wanted[name] is not None}


def unfit(profile: Profile) -> str | None:
    """Why this machine is not the one that a profile is of, in one line; None where it may be."""
    missing = [name for name, held in identity(profile.requires).items() if not held]
    if missing:
        wanted = ", ".join(f"{name.replace('_', ' ')} {getattr(profile.requires, name)}" for name in missing)
        here = device_model() or f"{platform.machine()} with {system()}"
        how = "; fill it on the device with lightboard kit" if getattr(profile, "kit", False) else ""
        return f"it asks for {wanted}, and this is {here}{how}"
    if profile.device == "cuda" and not any(Path(place).exists() for place in _DRIVERS):
        return "it asks for an NVIDIA GPU, and there is no driver of one"
    return None


def kind(device: str = "cpu") -> dict[str, Any]:
    """What answers, with those fields of :class:`suite.documents.Machine` by which two machines are told apart."""
    model, flags = cpu()
    accelerator = None
    if device == "cuda":
        accelerator = (gpu() or {"accelerator": "a GPU that nvidia-smi does not tell of"})["accelerator"]
    return {"cpu": model, "flags": flags, "cores": len(allowed()), "accelerator": accelerator}


def describe(
    affinity: tuple[int, ...],
    requires: Requires,
    before: dict[str, Any],
    after: dict[str, Any],
    device: str = "cpu",
) -> dict[str, Any]:
    """The machine, with the fields of :class:`suite.documents.Machine`; ``affinity``: the cores the timed
    processes ran on."""
    highest = _number(_CPUS / "cpu0" / "cpufreq" / "cpuinfo_max_freq")
    here = kind(device)
    return {
        **here,
        "smt": _smt(),
        "max_mhz": None if highest is None else highest / 1000,
        "memory_bytes": _memory(),
        "virtual": _virtual(here["flags"]),
        "affinity": affinity,
        "cgroup_cpu_limit": _cgroup_cpu_limit(),
        "kernel": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine() or None,
        "device_model": device_model(),
        "cgroup_memory_limit_bytes": _cgroup_memory_limit(),
        "before": before,
        "after": after,
        "requirements": requirements(requires, before),
    }
