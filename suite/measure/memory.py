"""A process' own peak memory, as the kernel kept it, and a limit on what it may take."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Literal

from suite.errors import UserError

Means = Literal["cgroup", "RLIMIT_DATA"]

GROUPS = Path("/sys/fs/cgroup")


def peak_bytes() -> int:
    """The largest resident memory this process has had, in bytes: the kernel's high-water mark.

    Read from /proc, where it starts anew with the program; getrusage, the fallback elsewhere, inherits the
    mark of the process that started this one.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


# --- a limit ------------------------------------------------------------------------------------------------


def confine(limit: int, groups: Path = GROUPS) -> Means:
    """Hold this process to ``limit`` bytes from now on; call it before libraries are loaded. UserError where the
    system offers no way.

    A control group of its own counts what is really resident, files read through the page cache included. Where none
    may be made, RLIMIT_DATA counts private writable memory as it is asked for: the nearest thing that every Linux
    has (RLIMIT_AS would count libraries, and RLIMIT_RSS does nothing).
    """
    group = own_group(groups)
    for parent in () if group is None else (group, group.parent):
        with contextlib.suppress(OSError):
            if "memory" in (parent / "cgroup.subtree_control").read_text(encoding="ascii").split():
                _enter(parent / group_name(os.getpid()), limit)
                return "cgroup"
    if not sys.platform.startswith("linux"):
        raise UserError(
            f"memory cannot be limited on {sys.platform}: neither cgroups nor RLIMIT_DATA", code=1
        )
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most not in (resource.RLIM_INFINITY,) and most < limit:
        raise UserError(f"memory is limited to {most} bytes already, less than {limit}", code=1)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return "RLIMIT_DATA"


def group_name(process: int) -> str:
    return f"lightboard-{process}"


def own_group(groups: Path = GROUPS) -> Path | None:
    """This process' control group (version 2); None where there is none."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    places = [line.removeprefix("0::") for line in lines if line.startswith("0::")]
    if not places or not (groups / "cgroup.controllers").exists():
        return None
    return groups / places[0].lstrip("/")


def _enter(group: Path, limit: int) -> None:
    """Make ``group``, limit it, move this process there; OSError, and nothing left behind, where that fails."""
    group.mkdir()
    try:
        (group / "memory.max").write_text(str(limit), encoding="ascii")
        with contextlib.suppress(OSError):  # without swap there is nothing to forbid
            (group / "memory.swap.max").write_text("0", encoding="ascii")
        (group / "cgroup.procs").write_text("0", encoding="ascii")
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        raise


def release(process: int, groups: Path = GROUPS) -> None:
    """Remove the group that a process which is gone had made for itself, if it had."""
    group = own_group(groups)
    for parent in () if group is None else (group, group.parent):
        with contextlib.suppress(OSError):
            (parent / group_name(process)).rmdir()


def words(limit: int) -> str:
    """A limit for messages, in megabytes."""
    return f"{limit / 1e6:.0f} MB"
