"""``lightboard doctor``: what this machine can run, and what would help."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suite.errors import UserError
from suite.profile import Requires

QUIET_LOAD = 0.5  # runnable processes, below which a machine is taken for idle
STOLEN_PERCENT = 1.0  # of a core, above which the host is worth mentioning
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``hint`` says what to do about it."""

    what: str
    found: str
    ok: bool
    hint: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)  # figures, for programs


def findings(peaks: bool = True, tell: Tell = lambda text: None) -> list[Finding]:
    """Everything worth knowing before a run; nothing is downloaded.

    ``peaks``: measure how fast the runtimes multiply, too, which takes some seconds each.
    """
    found = [*_machine(), *_quiet(), *_data(), *_teachers(), *_compiler(), *_runtimes(), *_profiles()]
    return [*found, *_peaks(tell)] if peaks else found


def _machine() -> Iterator[Finding]:
    import psutil
    import torch

    from suite.measure.machine import allowed, cpu
    from suite.paths import store_root
    from suite.pipeline.store import LIMIT_BYTES

    cores = len(allowed())
    yield Finding("processor", f"{cpu()[0]}, {cores} cores for this process", True)
    if torch.cuda.is_available():
        yield Finding("GPU", torch.cuda.get_device_name(), True, "lightboard run --device cuda trains on it")
    free = psutil.virtual_memory().available
    hint = "" if free > 3e9 else "a mini stage takes about 1.5 GB"
    yield Finding("memory", f"{free / 1e9:.1f} GB available", free > 3e9, hint)
    root = store_root()
    existing = next(p for p in (root, *root.parents) if p.exists())
    disk = shutil.disk_usage(existing).free
    enough = disk > LIMIT_BYTES
    yield Finding(
        "store", f"{root}, {disk / 1e9:.0f} GB free", enough, "" if enough else "set LIGHTBOARD_STORE"
    )


# --- what timings suffer from -------------------------------------------------------------------------------


def _quiet() -> Iterator[Finding]:
    """What would make this machine's figures better, in plain words."""
    from suite.measure import machine

    nothing: dict[str, None] = {}
    described = machine.describe((), Requires(), nothing, nothing)
    yield from conditions({**described, **machine.state()}, os.environ)


def conditions(told: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[Finding]:
    """Findings on what :func:`suite.measure.machine.describe` and ``state`` tell; what they do not is not guessed."""
    load = told["load_1min"]
    if load is not None:
        busy = load >= QUIET_LOAD
        hint = "other work runs here and will share caches and cores: let the machine rest" if busy else ""
        yield Finding("load", f"{load:.2f} over the last minute", not busy, hint)
    governor = told["governor"]
    if governor is not None:
        steady = governor == "performance"
        hint = (
            "the clock follows the load, so the first queries are slow: cpupower frequency-set -g performance"
        )
        yield Finding("governor", governor, steady, "" if steady else hint)
    elif not told["virtual"]:
        yield Finding("governor", "this system does not tell", True)
    if told["turbo"] is not None:
        hint = "the clock falls as it warms: ratios hold, milliseconds less; switch it off to compare them"
        yield Finding("turbo", "on" if told["turbo"] else "off", True, hint if told["turbo"] else "")
    if told["smt"]:
        hint = "two of its cores may be one: leave the second idle, or time one thread"
        yield Finding("hyper-threading", "on", True, hint)
    if told["virtual"]:
        hint = (
            "neighbours take time unseen, and clock and counters are hidden: trust ratios before milliseconds"
        )
        yield Finding("machine", told["virtual"], True, hint)
    limit, cores = told["cgroup_cpu_limit"], told["cores"]
    if limit is not None:
        whole = limit >= cores
        hint = "processes stop when their share is used up, in the middle of a query: ask for whole cores"
        yield Finding("share of the processor", f"{limit:g} of {cores} cores", whole, "" if whole else hint)
    if (stolen := told["steal_percent"]) is not None and stolen >= STOLEN_PERCENT:
        yield Finding(
            "stolen time", f"{stolen:.1f}%", False, "the host gives it to others: measure at another hour"
        )
    if told["throttled"]:
        hint = "it got too hot since it was started: better cooling, or a pause between measurements"
        yield Finding("throttled", f"{told['throttled']} times", False, hint)
    if (set_ := environment.get("OMP_NUM_THREADS")) is not None:
        hint = "recipes' own thread counts and profiles' come first; this is for all else"
        yield Finding("threads", f"OMP_NUM_THREADS is {set_}", True, hint)


def _compiler() -> Iterator[Finding]:
    """What torch.compile calls."""
    found = next((path for name in ("g++", "clang++") if (path := shutil.which(name))), None)
    if found is None:
        yield Finding("C++ compiler", "none", False, "torch-compile needs one: install g++ or clang++")
        return
    done = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    yield Finding("C++ compiler", next(iter(done.stdout.splitlines()), found), done.returncode == 0)


def _peaks(tell: Tell) -> Iterator[Finding]:
    """How fast each usable runtime multiplies matrices, on one core and on all: what no model can beat here."""
    from suite.measure import peak
    from suite.measure.latency import Plan
    from suite.measure.machine import allowed
    from suite.paths import load_module, names
    from suite.runtimes import device_of

    cores = allowed()
    usable = [name for name in names("runtimes") if load_module("runtimes", name).available() is None]
    for place, name in enumerate(usable):
        told, data, hint = [], {}, ""
        module = load_module("runtimes", name)
        for threads in sorted({1, len(cores)}) if device_of(module) == "cpu" else [1]:
            tell(f"{place + 1} of {len(usable)} runtimes: how fast {name} multiplies on {threads} threads")
            plan = Plan(threads, cores[-threads:], 1, 1, 1.0, 1, 1)
            try:
                rate = peak.measured(name, plan)
            except UserError as error:
                hint = str(error)
                continue
            told.append(f"{rate.flop_per_second / 1e9:.3g} GFLOP/s on {threads} thread{'s' * (threads > 1)}")
            data[str(threads)] = rate.flop_per_second
        precision = module.PRECISION
        yield Finding(
            f"peak {name}",
            f"{', '.join(told) or 'not measured'} ({precision})",
            bool(told),
            hint,
            {"runtime": name, "precision": precision, "flop_per_second_by_threads": data} if data else {},
        )


# --- what is needed -----------------------------------------------------------------------------------------


def _data() -> Iterator[Finding]:
    folder = os.environ.get("LIGHTBOARD_GLUE")
    if folder:
        there = Path(folder).is_dir()
        yield Finding("GLUE folder", folder, there, "" if there else "LIGHTBOARD_GLUE names no folder")
    else:
        yield Finding(
            "GLUE folder", "none named", False, "LIGHTBOARD_GLUE or --data folder:PATH; else the hub is used"
        )


def _teachers() -> Iterator[Finding]:
    from suite.models.pretrained import local
    from suite.protocol import TRACKS

    for track in TRACKS.values():
        try:
            path = local(track.teacher)
        except UserError as error:
            yield Finding(f"teacher of {track.name}", str(error), False)
        else:
            hint = "" if path else "it will be fetched from the hub"
            yield Finding(f"teacher of {track.name}", str(path or "not here yet"), path is not None, hint)


def _runtimes() -> Iterator[Finding]:
    from suite.paths import load_module, names

    for name in names("runtimes"):
        module = load_module("runtimes", name)
        reason = module.available()
        caution = module.caution() if reason is None and hasattr(module, "caution") else None
        yield Finding(f"runtime {name}", reason or "usable", reason is None, caution or "")


def _profiles() -> Iterator[Finding]:
    """Whether this machine is the one that a profile is of, and its reference's runtime is here."""
    from suite.loading import profiles
    from suite.measure.machine import unfit
    from suite.paths import load_module

    for profile in profiles():
        reason = unfit(profile)
        if reason is None and profile.reference_runtime is not None:
            reason = load_module("runtimes", profile.reference_runtime).available()
        usable = f"this machine can answer{', emulated' if profile.emulated else ''}"
        yield Finding(f"profile {profile.name}", reason or usable, reason is None)
