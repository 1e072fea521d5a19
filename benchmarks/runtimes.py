"""What each runtime gives each method, against the reference in eager PyTorch on the same core.

    python benchmarks/runtimes.py [--track mini] [--readme]           an hour with all runtimes, their model files apart
    python benchmarks/runtimes.py --export                            makes those beforehand, on a machine at work
    python benchmarks/runtimes.py --short                             two minutes: tiny models, two runtimes

Every recipe's ranked model, with random weights (its time does not depend on them; models with early exits run at full
depth, searched ones have the shape that the recipe declares), times as fast as the track's reference in PyTorch,
measured as everywhere in the suite: sibling processes, pairs, queries of mixed lengths, one thread. In brackets how
much of the machine's peak that is: the best rate of plain matrix products that any of the runtimes of that precision
reached in the same run. Models with the same arithmetic are one row.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from report import publish, table

from suite import models
from suite.errors import UserError
from suite.loading import recipes, resolve
from suite.measure import estimate, latency, machine, peak
from suite.measure.cost import count
from suite.measure.samples import ENTRY
from suite.paths import load_module, names
from suite.pipeline.matrix import variants
from suite.progress import clock
from suite.protocol import MEASURING, Track, track
from suite.runtimes import device_of, exported

REFERENCE = "torch"
MEAN_LENGTH = 30  # tokens of a query: about what the dev sets of the core tasks have
TINY = {"hidden": 48, "heads": 4, "ffn": 96, "layers": 2}


@dataclass(frozen=True)
class Model:
    """``recipes``: those whose ranked model has this arithmetic."""

    recipes: tuple[str, ...]
    config: dict[str, Any]


def reference(known: Track) -> dict[str, Any]:
    return {**known.teacher.config, "outputs": 2}


def methods(known: Track) -> Iterator[Model]:
    """One for each graph that the track's recipes make; a recipe that cannot say its shape beforehand is told."""
    found: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for recipe in recipes():
        if known.name not in recipe.tracks or recipe.ablation is not None:
            continue
        try:
            config = dict(variants(resolve(recipe, known.name), known, 2)[recipe.tracks[known.name].default])
            if "speed" in config:
                config["speed"] = 0  # full depth: how many leave earlier is found by training
            graph = count(config).graph
        except (
            Exception
        ) as error:  # another recipe's model is not there: the others are measured all the same
            print(f"{recipe.name} left out: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        found.setdefault(graph, ([], config))[0].append(recipe.name)
    for same, config in found.values():
        yield Model(tuple(same), config)


def trace(words: int, queries: int, longest: int) -> latency.Trace:
    """Random tokens at lengths spread the way sentences are."""
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.gamma(4.0, MEAN_LENGTH / 4.0, queries), 5, longest).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = generator.integers(1, words, int(offsets[-1])).astype(np.int32)
    return latency.Trace(ids, np.zeros(len(ids), np.int8), offsets)


def file_of(runtime: str, config: dict[str, Any], folder: Path, asked: latency.Trace) -> Path:
    """The model file of a random model in a runtime."""
    import torch

    torch.manual_seed(0)
    models.save(models.build(config), config, folder)
    given: tuple[Any, ...] = ()
    if getattr(load_module("runtimes", runtime), "CALIBRATES", False):
        from suite.measure.worker import split

        given = (split(asked.ids, asked.types, asked.offsets)[:16],)
    return exported(runtime, folder, *given)


@dataclass(frozen=True)
class Cell:
    ratio: float
    flop_per_second: float


def timed(model: Model, runtime: str, base: latency.Side, asked: latency.Trace, plan: latency.Plan) -> Cell:
    """One model in one runtime. UserError where it cannot be there."""
    with tempfile.TemporaryDirectory(prefix="lightboard-") as folder:
        file = file_of(runtime, model.config, Path(folder), asked)
        samples = latency.race(base, latency.Side(model.recipes[0], runtime, file), asked, plan).samples
    mine = samples.where(samples.side == ENTRY)
    counted = count(model.config)
    per_query = np.array([counted.flops(n) for n in asked.lengths])
    rate = float(per_query[mine.query].sum() / (mine.nanoseconds.sum() / 1e9))
    return Cell(estimate.ratio(estimate.pair_log_ratios(samples)).value, rate)


def why(error: Exception) -> str:
    """The first line of an error: what was written for people as it is, whatever else with its kind."""
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"


def export_all(rows: Sequence[Model], columns: Sequence[str], asked: latency.Trace) -> None:
    """The model files that a run will time, into the store. What cannot be exported is told when it is timed."""
    for model in rows:
        for runtime in columns:
            began = time.monotonic()
            try:
                with tempfile.TemporaryDirectory(prefix="lightboard-") as folder:
                    file_of(runtime, model.config, Path(folder), asked)
                said = clock(time.monotonic() - began)
            except Exception as error:  # whatever a library raises: the others are exported all the same
                said = why(error)
            print(f"{model.recipes[0]} in {runtime}: {said}", file=sys.stderr)


def lines(
    rows: Sequence[Model],
    columns: Sequence[str],
    cells: dict[tuple[int, str], Cell | str],
    peaks: dict[str, peak.Rate],
) -> list[str]:
    best: dict[str, float] = {}
    for one in peaks.values():
        best[one.precision] = max(one.flop_per_second, best.get(one.precision, 0.0))
    reasons: dict[str, list[str]] = {}
    written = []
    for place, model in enumerate(rows):
        row = [", ".join(model.recipes)]
        for runtime in columns:
            cell = cells[place, runtime]
            if isinstance(cell, str):
                row.append("-")
                reasons.setdefault(cell, []).append(f"{model.recipes[0]} in {runtime}")
                continue
            most = best.get(load_module("runtimes", runtime).PRECISION)
            share = (
                f" ({cell.flop_per_second / most:.0%})" if most and cell.flop_per_second > most / 1000 else ""
            )
            row.append(f"{cell.ratio:.2f}{share}")
        written.append(row)
    rates = [f"{name} {one.flop_per_second / 1e9:.0f} ({one.precision})" for name, one in peaks.items()]
    empty = [f"Empty: {', '.join(where)}: {reason}." for reason, where in reasons.items()]
    return [
        *table(["model", *columns], written), "",
        f"Peak of plain matrix products, GFLOP/s on one thread: {', '.join(rates) or 'not measured'}.", *empty,
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--track", default="mini")
    parser.add_argument("--runtimes", help="comma-separated; default: all that can be used here")
    parser.add_argument("--recipes", help="comma-separated; default: all of the track that are no ablations")
    parser.add_argument("--short", action="store_true", help="tiny models, the first two runtimes")
    parser.add_argument(
        "--export", action="store_true", help="only make the model files; the store keeps them"
    )
    parser.add_argument("--readme", action="store_true", help="put the figures into README.md")
    asked = parser.parse_args()
    known = track(asked.track)
    own = str(MEASURING["reference"]["runtime"])
    usable = [n for n in names("runtimes") if load_module("runtimes", n).available() is None]
    usable = [n for n in usable if device_of(load_module("runtimes", n)) == "cpu"]
    columns = (
        asked.runtimes.split(",")
        if asked.runtimes
        else sorted(usable, key=lambda n: (n != REFERENCE, n != own, n))
    )
    cores = machine.allowed()
    plan = latency.Plan(
        threads=1,
        affinity=cores[-1:],
        pairs=2,
        rounds=4,
        block_seconds=0.5,
        block_queries=8,
        warmup_queries=2,
    )
    queries, config = 64, reference(known)
    if asked.short:
        config = {**config, **TINY}
        rows = [Model(("tiny reference",), config), Model(("tiny student",), {**config, "layers": 1})]
        columns, queries = columns[:2], 8
        plan = latency.Plan(
            1, cores[-1:], pairs=1, rounds=1, block_seconds=0.02, block_queries=8, warmup_queries=1
        )
    else:
        wanted = set(asked.recipes.split(",")) if asked.recipes else None
        rows = [model for model in methods(known) if wanted is None or wanted & set(model.recipes)]
    sentences = trace(int(config["vocab"]), queries, known.max_length)
    if asked.export:
        export_all(rows, columns, sentences)
        return
    peaks: dict[str, peak.Rate] = {}
    for runtime in columns:
        print(f"how fast {runtime} multiplies", file=sys.stderr)
        peaks |= {
            one.runtime: one for one in peak.of([runtime], plan, lambda text: print(text, file=sys.stderr))
        }
    cells: dict[tuple[int, str], Cell | str] = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lightboard-") as folder:
        base = latency.Side("the reference", REFERENCE, file_of(REFERENCE, config, Path(folder), sentences))
        for place, model in enumerate(rows):
            for runtime in columns:
                try:
                    cells[place, runtime] = timed(model, runtime, base, sentences, plan)
                except Exception as error:  # whatever a library raises: the others are measured all the same
                    cells[place, runtime] = why(error)
                left = (time.monotonic() - began) / len(cells) * (len(rows) * len(columns) - len(cells))
                print(
                    f"{model.recipes[0]} in {runtime}: {cells[place, runtime]}; {clock(left)} left",
                    file=sys.stderr,
                )
    written = lines(rows, columns, cells, peaks)
    print("\n".join(written))
    if asked.readme:
        publish("runtimes", written)


if __name__ == "__main__":
    main()
