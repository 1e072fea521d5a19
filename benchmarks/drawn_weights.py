"""Is a time that was taken with drawn weights the trained model's? Both of the same graph, against each other.

    python benchmarks/drawn_weights.py [reference theseus ...] [--readme]     three minutes for each model and runtime
    python benchmarks/drawn_weights.py --short                                a minute: a tiny model, the first runtime

For every recipe whose ranked model was trained on this machine: the time with the weights that training left over the
time with those that `lightboard measure` draws where it has none, measured as everywhere in the suite. 1 means that the
weights make no difference; the interval says how sure that is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import publish, table
from runtimes import TINY, reference, trace

from suite import models
from suite.documents import Run, Weight
from suite.errors import UserError
from suite.loading import recipes
from suite.measure import cost, drawn, estimate, latency, machine
from suite.pipeline.store import RECORD, Store
from suite.protocol import Track, track
from suite.runtimes import exported


@dataclass(frozen=True)
class Trained:
    """A model folder as training left it, and what says how its like is drawn."""

    name: str
    folder: Path
    config: models.Config
    weights: Sequence[Weight]


def trained(known: Track, results: Path, wanted: Sequence[str]) -> Iterator[Trained]:
    """The ranked model of every recipe, of its first run whose model is in the store and whose time is its graph's."""
    for recipe in recipes():
        if known.name not in recipe.tracks or (wanted and recipe.name not in wanted):
            continue
        variant = recipe.tracks[known.name].default
        for path in sorted((results / known.name / "runs" / recipe.name / variant).glob("*/run.json")):
            run = Run.model_validate_json(path.read_bytes())
            folder = Store().folder(run.stages[-1].key)
            if drawn.drawable(run) and (folder / RECORD).is_file():
                yield Trained(recipe.name, folder, run.model.config, run.model.weights)
                break


def tiny(config: models.Config, folder: Path) -> Trained:
    """A small model whose weights spread more than drawn ones do."""
    import torch

    model = models.build(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    models.save(model, config, folder)
    return Trained("tiny reference", folder, config, cost.weights(model))


def compared(one: Trained, runtime: str, asked: latency.Trace, plan: latency.Plan) -> Any:
    """Time with trained weights over time with drawn ones, with interval."""
    with tempfile.TemporaryDirectory(prefix="lightboard-") as place:
        models.save(drawn.draw(one.config, one.weights), one.config, Path(place))
        sides = [
            latency.Side(f"{one.name}, {kind}", runtime, exported(runtime, folder))
            for kind, folder in (("trained", one.folder), ("drawn", Path(place)))
        ]
        samples = latency.race(sides[0], sides[1], asked, plan).samples
    return estimate.ratio(estimate.pair_log_ratios(samples))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", help="default: all that are trained here")
    parser.add_argument("--track", default="mini")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--runtimes", default="onnx,torch", help="comma-separated")
    parser.add_argument("--short", action="store_true", help="a tiny model, the first runtime")
    parser.add_argument("--readme", action="store_true", help="put the figures into README.md")
    asked = parser.parse_args()
    known, cores = track(asked.track), machine.allowed()
    plan = latency.Plan(
        1, cores[-1:], pairs=10, rounds=6, block_seconds=0.5, block_queries=8, warmup_queries=2
    )
    columns = asked.runtimes.split(",")[: 1 if asked.short else None]
    queries = trace(int(reference(known)["vocab"]), 64, known.max_length)
    with tempfile.TemporaryDirectory(prefix="lightboard-") as place:
        found = trained(known, asked.results, asked.recipes)
        if asked.short:
            plan = latency.Plan(
                1, cores[-1:], pairs=3, rounds=1, block_seconds=0.02, block_queries=8, warmup_queries=1
            )
            found = iter([tiny({**reference(known), **TINY}, Path(place))])
        rows = []
        for one in found:
            row = [one.name]
            for runtime in columns:
                ratio = compared(one, runtime, queries, plan)
                low, high = ratio.interval
                row.append(f"{ratio.value:.3f} [{low:.3f}, {high:.3f}]")
                print(f"{one.name} in {runtime}: {row[-1]}", file=sys.stderr)
            rows.append(row)
    if not rows:
        raise UserError(
            f"no ranked model of track {known.name} with a run in {asked.results} is in the store"
        )
    written = table(["model", *columns], rows)
    print("\n".join(written))
    if asked.readme:
        publish("drawn_weights", written)


if __name__ == "__main__":
    main()
