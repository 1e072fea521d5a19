"""How far does a speed ratio move from one day to the next? The suite's, optimum-benchmark's and a plain loop's.

    python benchmarks/repeatability.py [--times 10] [--readme]        about 80 minutes on two cores
    python benchmarks/repeatability.py --short                        six minutes: tiny models, twice

The same two models are measured again and again, by turns with each of the three, while another process loads the
machine at random (always, the same way for all). All run in PyTorch, on the same core with one thread, at the same
length; the other two get the time that the suite took. Spread: standard deviation of the log of the ratios, in percent.

optimum-benchmark wants an older transformers and no torchvision: it gets an environment of its own in the user's cache
folder, made once (LIGHTBOARD_OPTIMUM names the interpreter of another). Where it cannot be made its rows are left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from report import publish, table

from suite import models
from suite.measure import estimate, latency, machine
from suite.progress import clock
from suite.protocol import track

VERSION = "0.6.0"
PACKAGES = (
    "transformers<5", "datasets<6", "hydra-core", "hydra-colorlog", "omegaconf", "colorlog", "flatten-dict", "psutil",
    "pandas", "nvidia-ml-py",
)  # fmt: skip
ASIDE = (f"optimum-benchmark=={VERSION}", "accelerate")  # without what they ask for: torch is ours
APART = Path(__file__).resolve().with_name("apart.py")
RUNTIME = "torch"
AIM_PERCENT, AIM_TIGHTER = 3.0, 3.0


@dataclass(frozen=True)
class Pair:
    """Reference and student, as the suite's model folders and as transformers'; ``length``: tokens of a query."""

    ours: tuple[Path, Path]
    theirs: tuple[Path, Path]
    length: int


def pair(folder: Path, reference: dict[str, Any], student: dict[str, Any], length: int) -> Pair:
    """Random weights: the time of neither depends on them."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    ours, theirs = [], []
    for name, config in (("reference", reference), ("student", student)):
        torch.manual_seed(0)
        ours.append(folder / "ours" / name)
        models.save(models.build(config), config, ours[-1])
        theirs.append(folder / "theirs" / name)
        details = BertConfig(
            hidden_size=config["hidden"], num_hidden_layers=config["layers"],
            num_attention_heads=config["heads"], intermediate_size=config["ffn"], num_labels=config["outputs"],
        )  # fmt: skip
        BertForSequenceClassification(details).save_pretrained(theirs[-1])
    return Pair((ours[0], ours[1]), (theirs[0], theirs[1]), length)


# --- the three ----------------------------------------------------------------------------------------------


def suites(both: Pair, plan: latency.Plan) -> float:
    """The suite's ratio: sibling processes by turns, fresh pairs, medians of blocks."""
    lengths = [both.length] * 64
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    generator = np.random.default_rng(0)
    ids = generator.integers(1000, 30000, offsets[-1]).astype(np.int32)
    trace = latency.Trace(ids, np.zeros(len(ids), np.int8), offsets)
    sides = [latency.Side(f.name, RUNTIME, f / "model.safetensors") for f in both.ours]
    outcome = latency.race(sides[0], sides[1], trace, plan)
    return estimate.ratio(estimate.pair_log_ratios(outcome.samples)).value


def apart(python: str, do: str, both: Pair, plan: latency.Plan, seconds: float) -> tuple[float, float]:
    """Ratio of the means and of the medians of one program's times of each model, measured one after the other."""
    times = []
    for folder in both.theirs:
        asked = (do, str(folder), str(both.length), str(seconds / 2))
        environment = {**os.environ, "OMP_NUM_THREADS": str(plan.threads), "HF_HUB_OFFLINE": "1"}
        if do == "optimum":
            environment.pop("PYTHONPATH", None)  # its environment has packages of its own
        done = subprocess.run(
            [python, str(APART), *asked], env=environment, capture_output=True, text=True, check=False,
            cwd=folder.parent,  # optimum-benchmark writes a log where it runs
            start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, plan.affinity),
        )  # fmt: skip
        if done.returncode != 0:
            last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
            raise SystemExit(f"{do} failed: {''.join(last)[:300]}")
        times.append(json.loads(done.stdout.splitlines()[-1]))
    means, medians = ([f(one) for one in times] for f in (statistics.fmean, statistics.median))
    return means[0] / means[1], medians[0] / medians[1]


def environment(make: bool) -> str | None:
    """The interpreter that has optimum-benchmark; None, told, where there is none."""
    given = os.environ.get("LIGHTBOARD_OPTIMUM")
    if given:
        return given
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "lightboard-benchmarks" / f"optimum-benchmark-{VERSION}"
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists():
        return str(python)
    if not make:
        print(
            "optimum-benchmark left out: no environment yet; a run without --short makes it", file=sys.stderr
        )
        return None
    import torch

    print(f"making an environment for optimum-benchmark in {folder}, some minutes", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    for arguments in (("--no-deps", *ASIDE), PACKAGES):
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
        if subprocess.run(pip, check=False).returncode != 0:
            print("optimum-benchmark left out: pip could not install it", file=sys.stderr)
            return None
    # Our torch, after its own packages: the very same arithmetic, and nothing heavy installed twice.
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "zz-torch.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
    ready.touch()
    return str(python)


# --- the disturbance ----------------------------------------------------------------------------------------


def disturb(seed: int) -> None:
    """Bursts of other work, for ever: on one core or several, seconds of it, seconds of rest."""
    generator = random.Random(seed)
    while True:
        time.sleep(generator.expovariate(1 / 2.0))
        until = time.monotonic() + generator.expovariate(1 / 3.0)
        count = generator.randint(1, len(machine.allowed()))
        workers = [threading.Thread(target=_multiply, args=(until,)) for _ in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def _multiply(until: float) -> None:
    a = np.ones((700, 700), np.float32)
    while time.monotonic() < until:
        a @ a


@contextmanager
def disturbed(seed: int) -> Iterator[None]:
    single = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, __file__, "--disturb", str(seed)], env=single)
    try:
        yield
    finally:
        process.kill()
        process.wait()


# --- side by side -------------------------------------------------------------------------------------------


def spread(ratios: Sequence[float]) -> float:
    """Percent: standard deviation of the logs."""
    return 100 * statistics.stdev([math.log(ratio) for ratio in ratios])


def farthest(ratios: Sequence[float]) -> float:
    """Percent: the one farthest from their median."""
    middle = statistics.median(ratios)
    return 100 * max(abs(ratio / middle - 1) for ratio in ratios)


def side_by_side(both: Pair, plan: latency.Plan, times: int, python: str | None) -> dict[str, list[float]]:
    """Way -> its ratios. Each way goes first in its turn; the suite's first, since it says how long the others get."""
    ways = ["suite", "loop", *(["optimum"] if python else [])]
    found: dict[str, list[float]] = {}
    took: list[float] = []
    began = time.monotonic()
    for turn in range(times):
        for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
            started = time.monotonic()
            if way == "suite":
                found.setdefault("this suite", []).append(suites(both, plan))
                took.append(time.monotonic() - started)
            else:
                mean, median = apart(
                    python or "" if way == "optimum" else sys.executable, way, both, plan, took[-1]
                )
                name = f"optimum-benchmark {VERSION}" if way == "optimum" else "plain loop"
                found.setdefault(f"{name}, means", []).append(mean)
                found.setdefault(f"{name}, medians", []).append(median)
        left = (time.monotonic() - began) * (times - turn - 1) / (turn + 1)
        print(f"{turn + 1} of {times}, {clock(left)} left", file=sys.stderr)
    print(f"each way had {statistics.fmean(took):.0f} s a time", file=sys.stderr)
    return found


def lines(found: dict[str, list[float]], seconds: str) -> list[str]:
    rows = [
        [way, f"{statistics.median(r):.3f}", f"{spread(r):.2f}%", f"{farthest(r):.2f}%"]
        for way, r in found.items()
    ]
    ours = found["this suite"]
    others = {way: spread(ratios) / spread(ours) for way, ratios in found.items() if way != "this suite"}
    least = min(others, key=lambda way: others[way])
    text = f"{len(ours)} times each, {seconds}. The suite's is {others[least]:.1f} times as tight as {least}, the next."
    met = farthest(ours) <= AIM_PERCENT and others[least] >= AIM_TIGHTER
    aim = f"Aim: all within {AIM_PERCENT:g}%, {AIM_TIGHTER:g} times as tight: {'met' if met else 'not met'}."
    return [*table(["way", "ratio, median", "spread", "farthest"], rows), "", text, aim]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=10, help="measurements by each way")
    parser.add_argument("--seed", type=int, default=11, help="of the disturbance")
    parser.add_argument("--short", action="store_true", help="tiny models, twice, no environment made")
    parser.add_argument("--readme", action="store_true", help="put the figures into README.md")
    parser.add_argument("--disturb", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.disturb is not None:
        disturb(asked.disturb)
    config = {**track("mini").teacher.config, "outputs": 2}
    cores = machine.allowed()
    plan = latency.Plan(
        threads=1,
        affinity=cores[-1:],
        pairs=6,
        rounds=6,
        block_seconds=0.5,
        block_queries=8,
        warmup_queries=2,
    )
    sizes, length, times = (config, {**config, "layers": config["layers"] // 2}), 64, asked.times
    if asked.short:
        small = {**config, "hidden": 48, "heads": 4, "ffn": 96}
        sizes, length, times = ({**small, "layers": 4}, {**small, "layers": 1}), 16, 2
        plan = latency.Plan(
            1, cores[-1:], pairs=1, rounds=2, block_seconds=0.05, block_queries=8, warmup_queries=1
        )
    python = environment(make=not asked.short)
    with tempfile.TemporaryDirectory(prefix="lightboard-") as folder, disturbed(asked.seed):
        found = side_by_side(pair(Path(folder), *sizes, length), plan, times, python)
    written = lines(
        found, f"{sizes[0]['layers']} against {sizes[1]['layers']} layers, {length} tokens, one core, PyTorch"
    )
    print("\n".join(written))
    if asked.readme:
        publish("repeatability", written)


if __name__ == "__main__":
    main()
