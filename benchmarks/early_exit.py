"""What leaving early costs and saves in each runtime: blocks with their exit test against plain blocks.

    python benchmarks/early_exit.py [--runtimes onnx,openvino] [--rounds 200] [--json] [--readme]

One run, one process, one thread, sides taking turns, ratios only, on random weights of the `mini` sizes. *block*: the
marginal time of a block with its exit test, in pieces and by the loop, over that of a plain block in one whole graph;
both are the difference between six blocks and one, over five. The aim is at most 1.10 from 64 tokens on. *worst
case*: all blocks and all exit tests, nobody leaving, over the whole plain graph. *saved*: examples that leave at three
blocks on average; the speed-up over the whole graph against the one by FLOPs, one by one and in batches of 32, from
which whoever has left is dropped (compaction; padding would keep their places and save nothing before all have left).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch size their pools

import numpy as np
import torch
from report import publish, table

from suite import models
from suite.measure import recount
from suite.measure.cost import count
from suite.models.fastbert import FastBert
from suite.pipeline.exits import threshold
from suite.protocol import track
from suite.runtimes import _exits, exported, runtime

LENGTHS = (16, 32, 64, 128, 256)
FROM, MOST = 64, 1.10  # tokens from which on a block with its test may take so many times a plain one's time
NOBODY = 1e-30  # a threshold that no uncertainty is below
BATCH = 32
clock: Callable[[], float] = time.perf_counter
EXAMPLES = 96
CLASSIFIER = 64


def config(layers: int, *, branches: bool) -> dict[str, Any]:
    teacher = track("mini").teacher.config
    return {**teacher, "architecture": "fastbert", "outputs": 2, "classifier": CLASSIFIER, "branches": branches,
            "speed": NOBODY if branches else 0.0, "layers": layers}  # fmt: skip


def saved(folder: Path, layers: int, *, branches: bool) -> Path:
    """A model folder of random weights, large enough that examples differ in how sure a classifier is."""
    torch.manual_seed(0)
    settings = config(layers, branches=branches)
    model = models.build(settings)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".classifier." in name and parameter.ndim == 2:
                parameter.normal_(std=0.3)
    models.save(model, settings, folder)
    return folder


def tokens(random: np.random.Generator, rows: int, length: int) -> tuple[np.ndarray, ...]:
    ids = random.integers(1000, 30000, (rows, length))
    return ids, np.ones_like(ids), np.zeros_like(ids)


def race(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Each side's time per call: sides take turns, a call each, and the quickest tenth of the rounds counts.

    Other work on the machine only ever adds time, so the low end says most of what is the side's own.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(rounds + 1):
        for name, side in sides.items():
            started = clock()
            side()
            if round_:  # the first warms
                times[name].append(clock() - started)
    return {name: float(np.quantile(values, 0.1)) for name, values in times.items()}


def blocks(name: str, work: Path, rounds: int) -> list[dict[str, Any]]:
    """Marginal and worst-case ratios at each length."""
    module, random = runtime(name), np.random.default_rng(0)
    plan = exported(name, work / "exits")
    early = _exits.prepare(plan, partial(module.load, threads=1))
    plain = {n: module.prepare(exported(name, work / f"plain-{n}"), 1) for n in (1, 6)}
    lines = []
    for length in LENGTHS:
        given = tokens(random, 1, length)
        sides: dict[str, Callable[[], Any]] = {f"plain-{n}": lambda n=n, g=given: plain[n](*g) for n in plain}  # type: ignore[misc]
        for n in (1, 6):
            part = _exits.EarlyExit(early.embed, early.blocks[:n], NOBODY)
            sides[f"exits-{n}"] = lambda part=part, g=given: part(*g)  # type: ignore[misc]
        found = race(sides, rounds)
        lines.append(
            {
                "runtime": name,
                "tokens": length,
                "block": (found["exits-6"] - found["exits-1"]) / (found["plain-6"] - found["plain-1"]),
                "worst_case": found["exits-6"] / found["plain-6"],
            }
        )
    return lines


def saving(name: str, work: Path, rounds: int, length: int = 64) -> list[dict[str, Any]]:
    """Speed-up against that by FLOPs, where examples leave at three blocks on average."""
    module, random = runtime(name), np.random.default_rng(1)
    given = tokens(random, EXAMPLES, length)
    model = models.load(work / "exits")
    assert isinstance(model, FastBert)
    with torch.no_grad():
        watched = model.uncertainties(*map(torch.from_numpy, given)).T.numpy()
    early = _exits.prepare(exported(name, work / "exits"), partial(module.load, threads=1))
    early.speed = np.float32(threshold(watched, 3))
    plain = module.prepare(exported(name, work / "plain-6"), 1)
    lines = []
    for size in (1, BATCH):
        batches = [tuple(part[at : at + size] for part in given) for at in range(0, EXAMPLES, size)]
        try:
            taken = np.concatenate([early.answer(*one)[1] for one in batches])
        except Exception as error:  # a runtime that answers one example at a time
            lines.append({"runtime": name, "batch": size, "reason": f"{type(error).__name__}"})
            continue
        found = {"early": 0.0, "plain": 0.0}
        for one in batches:
            times = race({"early": partial(early, *one), "plain": partial(plain, *one)}, max(5, rounds // 10))
            found = {name: found[name] + times[name] for name in found}
        ops, full = count(config(6, branches=True)).ops, count(config(6, branches=False)).ops
        flops = float(np.mean([recount.flops(recount.until(ops, int(exit)), length) for exit in taken]))
        lines.append(
            {
                "runtime": name,
                "batch": size,
                "mean_exit": float(np.mean(taken)),
                "speed_up": found["plain"] / found["early"],
                "by_flops": recount.flops(full, length) / flops,
            }
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runtimes", default="onnx")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument(
        "--cpu-time", action="store_true", help="time of the processor alone: on a busy machine"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--readme", action="store_true", help="put the figures into README.md")
    asked = parser.parse_args()
    if asked.cpu_time:
        global clock
        clock = time.process_time
    torch.set_num_threads(1)
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        os.environ.setdefault("LIGHTBOARD_STORE", str(work / "store"))
        saved(work / "exits", 6, branches=True)
        for layers in (1, 6):
            saved(work / f"plain-{layers}", layers, branches=False)
        for name in asked.runtimes.split(","):
            for line in blocks(name, work, asked.rounds) + saving(name, work, asked.rounds):
                lines.append(line)
                if not asked.json:
                    print(told(line), flush=True)
    if asked.json:
        print(json.dumps(lines, indent=1))
    if asked.readme:
        publish("early_exit", tables(lines))


def tables(lines: list[dict[str, Any]]) -> list[str]:
    """Marginal blocks by length, and what leaving saves one by one and in batches."""
    marginal = [_cells(one, tokens="d", block=".2f", worst_case=".2f") for one in lines if "tokens" in one]
    gained = [
        _cells(one, batch="d", mean_exit=".2f", speed_up=".2f", by_flops=".2f") for one in lines if "mean_exit" in one
    ]  # fmt: skip
    return [
        *table(
            ["runtime", "tokens", "block with its test / plain", "nobody leaving / plain model"], marginal
        ),
        "",
        *table(["runtime", "batch", "blocks in the mean", "times as fast", "by FLOPs"], gained),
        "",
        f"At most {MOST:.2f} of a plain block from {FROM} tokens on: {verdicts(lines)}.",
    ]


def verdicts(lines: list[dict[str, Any]]) -> str:
    """Each runtime's largest share from the length on at which it counts, and whether that is what was wanted."""
    worst: dict[str, float] = {}
    for one in lines:
        if one.get("tokens", 0) >= FROM:
            worst[one["runtime"]] = max(one["block"], worst.get(one["runtime"], 0.0))
    return "; ".join(
        f"{n} {share:.2f}, {'met' if share <= MOST else 'not met'}" for n, share in worst.items()
    )


def _cells(line: dict[str, Any], **formats: str) -> list[str]:
    return [line["runtime"], *(format(line[name], form) for name, form in formats.items())]


def told(line: dict[str, Any]) -> str:
    if "tokens" in line:
        return (
            f"{line['runtime']:12} {line['tokens']:4} tokens: a block with its exit test takes {line['block']:.2f} of "
            f"a plain block's time; nobody leaving, the whole {line['worst_case']:.2f}"
        )
    if "reason" in line:
        return f"{line['runtime']:12} batch {line['batch']}: not possible ({line['reason']})"
    return (
        f"{line['runtime']:12} batch {line['batch']:2}: {line['speed_up']:.2f} times as fast, of "
        f"{line['by_flops']:.2f} by FLOPs, at {line['mean_exit']:.2f} blocks in the mean"
    )


if __name__ == "__main__":
    main()
