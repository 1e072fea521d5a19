"""``lightboard doctor``: what this machine can run, and what would help."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from suite.errors import UserError


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``hint`` says what to do about it."""

    what: str
    found: str
    ok: bool
    hint: str = ""


def findings() -> list[Finding]:
    """Everything worth knowing before a run; nothing is downloaded."""
    return [*_machine(), *_data(), *_teachers(), *_runtimes(), *_profiles()]


def _machine() -> Iterator[Finding]:
    import psutil

    from suite.measure.machine import cpu
    from suite.paths import store_root
    from suite.pipeline.store import LIMIT_BYTES

    cores = len(os.sched_getaffinity(0))
    yield Finding("processor", f"{cpu()[0]}, {cores} cores for this process", True)
    yield Finding("matrix products", f"{_gflops(1):.0f} GFLOP/s on one thread, float32", True)
    free = psutil.virtual_memory().available
    yield Finding("memory", f"{free / 1e9:.1f} GB available", free > 3e9, "a mini stage takes about 1.5 GB")
    root = store_root()
    existing = next(p for p in (root, *root.parents) if p.exists())
    disk = shutil.disk_usage(existing).free
    enough = disk > LIMIT_BYTES
    yield Finding(
        "store", f"{root}, {disk / 1e9:.0f} GB free", enough, "" if enough else "set LIGHTBOARD_STORE"
    )
    load = os.getloadavg()[0]
    quiet = load < 0.5
    yield Finding(
        "load", f"{load:.2f}", quiet, "" if quiet else "timings will be noisy: let the machine rest"
    )


def _gflops(threads: int) -> float:
    import torch

    torch.set_num_threads(threads)
    a, b = torch.rand(768, 768), torch.rand(768, 768)
    best, until = 0.0, time.perf_counter() + 0.5
    while time.perf_counter() < until:
        started = time.perf_counter()
        a @ b
        best = max(best, 2 * 768**3 / (time.perf_counter() - started) / 1e9)
    return best


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
        reason = load_module("runtimes", name).available()
        yield Finding(f"runtime {name}", reason or "usable", reason is None)


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
