"""What runs on a device: check a kit's answers, time its two models against each other, write one JSON file.

The kit carries this module with the few it needs (see :mod:`suite.measure.kit`); the device needs Python 3.11, numpy
and onnxruntime, and nothing of this package installed. The timing itself is :mod:`suite.measure.latency`, as
everywhere.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from platform import python_version
from types import SimpleNamespace
from typing import Any

import numpy as np

from suite.canonical import digest_file
from suite.errors import UserError
from suite.measure import latency, machine, peak
from suite.measure.samples import ENTRY
from suite.measure.worker import split
from suite.runtimes import runtime
from suite.runtimes._exits import PLAN

SCHEMA = "lightboard/kit-answer/1"
RUNTIME = "onnx"
KIT = "kit.json"


def main(folder: Path, arguments: list[str] | None = None) -> int:
    """``folder``: the unpacked kit. Exit status 0, or 1 with one line that says what was wrong."""
    parser = argparse.ArgumentParser(
        prog="measure.pyz", description="Check and time the two models of this kit."
    )
    parser.add_argument("--out", type=Path, default=Path("answer.json"), help="the file to send back")
    parser.add_argument("--answers-only", action="store_true", help="check the answers and stop")
    asked = parser.parse_args(arguments)
    try:
        kit = json.loads((folder / KIT).read_text(encoding="utf-8"))
        whole(folder, kit)
        if not asked.answers_only:
            writable(asked.out)
        largest = check(folder, kit)
        if asked.answers_only:
            print("the answers are right; nothing was timed")
            return 0
        answer = measure(folder, kit)
        asked.out.write_text(
            json.dumps({**answer, "checked": largest}, allow_nan=False) + "\n", encoding="utf-8"
        )
    except (
        Exception
    ) as error:  # whatever it is, among it all that onnxruntime raises: there is one line for it
        print(f"{type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr)
        return 1
    print(f"done: send {asked.out} back; it holds times and this machine's kind, no names")
    return 0


def writable(file: Path) -> None:
    """OSError, before anything takes long, where the answer could not be written."""
    there = file.exists()
    with file.open("ab"):
        pass
    if not there:
        file.unlink()


def whole(folder: Path, kit: dict[str, Any]) -> None:
    """UserError where a file is not the one that was packed."""
    for name, packed in kit["files"].items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()) or digest_file(file) != packed:
            raise UserError(f"{name} is not the file that was packed: unpack the kit again")


def model_file(folder: Path, side: str) -> Path:
    """A side's model: one file, or a folder of pieces where examples leave early."""
    pieces = folder / side / PLAN
    return pieces if pieces.exists() else folder / f"{side}.onnx"


def check(folder: Path, kit: dict[str, Any]) -> dict[str, float]:
    """Side -> largest difference from the expected answers; UserError where it is more than the kit allows."""
    found: dict[str, float] = {}
    threads = latency.threads_of(_profile(kit))
    with np.load(folder / "trace.npz", allow_pickle=False) as stored:
        asked = split(stored["ids"], stored["types"], stored["offsets"])
    with np.load(folder / "expected.npz", allow_pickle=False) as stored:
        expected = {side: stored[side] for side in ("reference", "entry")}
    for side, logits in expected.items():
        answer = runtime(RUNTIME).prepare(model_file(folder, side), threads)
        given = []
        for query in asked:
            given.append(answer(*query)[0])
            _say(f"checking the {side}: {len(given)} of {len(asked)} answers")
        worst = latency.farthest(f"the {side}", zip(given, logits, strict=True))
        allowed = kit["tolerance"][side]
        if not worst <= allowed:
            raise UserError(
                f"the {side} does not answer as where it was scored: off by {worst:.2g}, {allowed:.2g} allowed"
            )
        found[side] = worst
    _say("")
    return found


def _profile(kit: dict[str, Any]) -> Any:
    """What has the fields of :class:`suite.profile.Profile`, as far as the kit's version knew them."""
    return SimpleNamespace(**{**kit["plan"], "requires": SimpleNamespace(**kit["plan"]["requires"])})


def measure(folder: Path, kit: dict[str, Any]) -> dict[str, Any]:
    """The raw times and the machine, with all that the kit stated of itself."""
    import onnxruntime

    with np.load(folder / "trace.npz", allow_pickle=False) as stored:
        trace = latency.Trace(stored["ids"], stored["types"], stored["offsets"])
    profile = _profile(kit)
    if (reason := machine.unfit(profile)) is not None:
        raise UserError(f"this kit is for profile {profile.name}: {reason}")
    plan = latency.plan(profile)
    versions = {  # asked for before anything takes long; a build of one's own has no record but its own word
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "python": python_version(),
        "lightboard": kit["lightboard"],
    }
    before, ticks = machine.state(), machine.Ticks.now()
    started = time.monotonic()

    def progress(done: int, total: int) -> None:
        left = (time.monotonic() - started) * (total - done) / done
        _say(f"timing: {done} of {total} rounds, about {left / 60:.1f} minutes left")

    sides = {
        name: latency.Side(
            f"the {name}", RUNTIME, model_file(folder, name), bool(kit["adaptive"]) and name == "entry"
        )
        for name in ("reference", "entry")
    }
    outcome = latency.race(sides["reference"], sides["entry"], trace, plan, progress)
    seconds = time.monotonic() - started
    after = machine.state(ticks)
    _say("measuring how fast this device multiplies matrices")
    peaks = []
    try:
        peaks.append(vars(peak.rate(latency.Side("products", RUNTIME, folder / "products.onnx"), plan)))
    except UserError as error:  # the race is over, and stands without it
        print(f"no peak rate: {error}", file=sys.stderr)
    _say("")
    return {
        "schema": SCHEMA,
        "kit": kit,
        "samples": {name: column.tolist() for name, column in vars(outcome.samples).items()},
        "repeats": outcome.repeats[ENTRY],
        "answers": _answers(folder, outcome),
        "load_seconds": outcome.load_seconds,
        "first_query_seconds": outcome.first_query_seconds,
        "peak_bytes": outcome.peak_bytes,
        "baseline_bytes": outcome.baseline_bytes,
        "limited_by": outcome.limited_by,
        "repeat_ratio": outcome.repeat_ratio,
        "counters": outcome.counters,
        "energy": [vars(block) for block in outcome.energy],
        "energy_reason": outcome.energy_reason,
        "threads": plan.threads,
        "seconds": seconds,
        "peaks": peaks,
        "machine": machine.describe(plan.affinity, profile.requires, before, after),
        "versions": versions,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _answers(folder: Path, outcome: latency.Outcome) -> dict[str, Any]:
    """How many of the timed answers were looked at, and the largest difference from what was expected."""
    with np.load(folder / "expected.npz", allow_pickle=False) as stored:
        expected = stored["entry"]
    pairs = ((logits, expected[query]) for query, logits in outcome.answers)
    return {"queries": len(outcome.answers), "largest_difference": latency.farthest("the entry", pairs)}


def _say(text: str) -> None:
    """A line that the next one overwrites, where someone is looking."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
