"""A small results tree, complete and consistent, made by the real scoring, counting and timing functions.

Two generated tasks, a few recipes with tiny BERTs written down without torch (their operations follow from
their sizes), simulated predictions and times. Everything is a function of its arguments, so a tree made twice
has the same bytes. Used by the tests of verify, the index and the website.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from suite.budget import budget_tflop
from suite.canonical import digest, pretty_json
from suite.documents import MachineState, Op, Weight
from suite.folder import manifest_of, write
from suite.index import index
from suite.measure import estimate, recount
from suite.protocol import measuring_hash, track, training_hash
from suite.scoring import score
from suite.tables import Split, write_predictions, write_samples
from suite.tasks import Task, task
from suite.verify.gold import GoldSplit, load

TRACK = "demo"
TASKS = ("mood", "same")
DATE = "2026-01-31"
TRACE = tuple(8 + (7 * i) % 50 for i in range(64))  # tokens of the queries


def seed_of(*parts: object) -> int:
    """A seed that is the same everywhere, from names."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")


@cache
def gold_of(name: str) -> dict[str, GoldSplit]:
    """The generator's dev labels of a task."""
    return load("generated", task(name), TRACK)


@dataclass(frozen=True)
class Row:
    """One recipe variant of the tree. ``skill``: the share of dev examples it gets right."""

    recipe: str
    variant: str = "default"
    default: str = "default"
    method: str = ""
    skill: float = 0.8
    layers: int = 1  # 0: the constant model
    speed: float = 1.0  # times the reference
    division: str = "standard"
    timed: bool = True
    tasks: tuple[str, ...] = TASKS
    departures: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    ablation_of: str | None = None


ROWS = (
    Row("reference", skill=0.93, layers=6),
    Row("majority", skill=0.5, layers=0, speed=900.0),
    Row(
        "student", skill=0.88, layers=3, speed=1.9, departures=("no masked-LM loss: the teacher has no head",)
    ),
    Row("early", "fast", default="slow", method="fastbert", skill=0.80, layers=2, speed=3.0),
    Row("early", "slow", default="slow", method="fastbert", skill=0.86, layers=4, speed=1.4),
    Row("half", skill=0.75, layers=1, speed=5.0, tasks=("mood",), timed=False),
)


# --- models -------------------------------------------------------------------------------------------------


def config_of(row: Row, outputs: int) -> dict[str, Any]:
    if row.layers == 0:
        return {"architecture": "constant", "outputs": outputs}
    sizes = {"hidden": 16, "heads": 2, "ffn": 32, "vocab": 60, "positions": 64, "types": 2}
    return {"architecture": "bert", "layers": row.layers, "outputs": outputs, **sizes}


def weights_of(config: Mapping[str, Any]) -> list[Weight]:
    """The tensors of a BERT of these sizes, as the file's header would list them."""
    if config["architecture"] == "constant":
        return [_weight("bias", config["outputs"])]
    h, f = config["hidden"], config["ffn"]
    found = [
        _weight("embeddings.word.weight", config["vocab"], h, embedding=True),
        _weight("embeddings.position.weight", config["positions"], h, embedding=True),
        _weight("embeddings.type.weight", config["types"], h, embedding=True),
        _weight("embeddings.norm.weight", h, embedding=True),
    ]
    for layer in range(config["layers"]):
        for name, shape in (
            ("q", (h, h)),
            ("k", (h, h)),
            ("v", (h, h)),
            ("o", (h, h)),
            ("up", (f, h)),
            ("down", (h, f)),
        ):
            found += [
                _weight(f"layer.{layer}.{name}.weight", *shape),
                _weight(f"layer.{layer}.{name}.bias", shape[0]),
            ]
    found += [_weight("pooler.weight", h, h), _weight("classifier.weight", config["outputs"], h)]
    return found  # fmt: skip


def _weight(name: str, *shape: int, embedding: bool = False) -> Weight:
    size = int(np.prod(shape))
    return Weight(name=name, shape=shape, dtype="float32", nonzero=size - size // 50, embedding=embedding)


def ops_of(config: Mapping[str, Any]) -> list[Op]:
    """The products of the same BERT at length n."""
    if config["architecture"] == "constant":
        return []
    h, f, heads = config["hidden"], config["ffn"], config["heads"]
    found = []
    for layer in range(config["layers"]):
        for name, shape in (
            ("q", (h, h)),
            ("k", (h, h)),
            ("v", (h, h)),
            ("o", (h, h)),
            ("up", (f, h)),
            ("down", (h, f)),
        ):
            found.append(Op(kind="linear", weight=f"layer.{layer}.{name}.weight", rows="n", shape=shape))
        found.append(Op(kind="matmul", shape=(heads, "n", h // heads, "n")))
        found.append(Op(kind="matmul", shape=(heads, "n", "n", h // heads)))
    found.append(Op(kind="linear", weight="pooler.weight", rows=1, shape=(h, h)))
    found.append(Op(kind="linear", weight="classifier.weight", rows=1, shape=(config["outputs"], h)))
    return found  # fmt: skip


# --- documents ----------------------------------------------------------------------------------------------


def settings_of(row: Row) -> dict[str, Any]:
    return {
        "method": row.method or row.recipe,
        "track": TRACK,
        "parameters": {"layers": row.layers, "rate": 3e-5, **row.parameters},
        "modifiers": [],
        "default": row.default,
        **({"ablation_of": row.ablation_of} if row.ablation_of else {}),
    }


def predictions_of(row: Row, about: Task, seed: int, golds: Mapping[str, GoldSplit]) -> dict[str, np.ndarray]:
    """Logits [n, labels]: the right label first in a share ``skill`` of the examples, noise beside it."""
    found = {}
    for split, gold in golds.items():
        random = np.random.default_rng(seed_of(row.recipe, row.variant, about.name, split, seed))
        n = len(gold.labels)
        if row.layers == 0:
            logits = np.zeros((n, about.outputs))
            logits[:, 0] = 1.0
        else:
            right = random.random(n) < row.skill
            answer = np.where(right, gold.labels, (gold.labels + 1) % about.outputs)
            logits = random.normal(0, 0.3, (n, about.outputs))
            logits[np.arange(n), answer] += 2.0
        found[split] = logits.astype(np.float32)
    return found


def lengths_of(rows: int) -> dict[str, int]:
    """A histogram of tokens over so many examples."""
    counts: dict[str, int] = {}
    for i in range(rows):
        key = str(8 + (11 * i) % 40)
        counts[key] = counts.get(key, 0) + 1
    return counts


def _rows(count: int, *parts: object) -> dict[str, Any]:
    return {"rows": count, "fingerprint": digest([count, *parts])}


def _stage(
    name: str, key: tuple[Any, ...], tflop: float, tokens: int, seconds: float, *, shared: bool = False
) -> dict[str, Any]:
    cost = {"tflop": tflop, "tokens": tokens, "seconds": seconds}
    return {"stage": name, "key": digest([name, *key]), "shared": shared, **cost}


def run_files(
    row: Row,
    name: str,
    seed: int,
    *,
    track_name: str = TRACK,
    gold: Mapping[str, GoldSplit] | None = None,
    data: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """``run.json`` and ``predictions.parquet`` of one run; ``gold``, ``data`` instead of the generator's."""
    about = task(name)
    gold = gold_of(name) if gold is None else gold
    logits = predictions_of(row, about, seed, gold)
    scored = score(about, logits, {split: g.labels for split, g in gold.items()})
    config = config_of(row, about.outputs)
    weights, ops = weights_of(config), ops_of(config)
    dev_lengths = lengths_of(sum(len(g.labels) for g in gold.values()))
    data = data or {"source": "generated", "train": _rows(1080, name), "selection": _rows(120, name)}
    train_lengths = lengths_of(data["train"]["rows"])
    stages = [
        _stage("teacher", (name, seed), 3.25, 90_000, 41.7, shared=True),
        _stage("distil", (row.recipe, name, seed), 1.1, 60_001, 17.3),
        _stage("fine-tune", (row.variant, name, seed), 0.7, 30_000, 9.1),
    ]
    own = [stage for stage in stages if not stage["shared"]]
    settings = {**settings_of(row), "track": track_name}
    run: dict[str, Any] = {
        "schema": "lightboard/run/1",
        "track": track_name,
        "division": row.division,
        "recipe": row.recipe,
        "variant": row.variant,
        "method": settings["method"],
        "task": name,
        "seed": seed,
        "protocol": training_hash(track_name),
        "settings": settings,
        "recipe_hash": digest(settings),
        "data": {
            **data,
            "dev": {s: {"rows": len(g.labels), "fingerprint": g.fingerprint} for s, g in gold.items()},
            "train_lengths": train_lengths,
            "dev_subset": any(len(g.labels) < about.official_rows.get(s, 0) for s, g in gold.items()),
        },
        "metrics": scored.metrics,
        "score": scored.score,
        "score_sd": scored.sd,
        "calibration": scored.calibration,
        "diverged": scored.diverged,
        "model": {
            "architecture": config["architecture"],
            "config": config,
            "weights": [weight.model_dump(mode="json") for weight in weights],
            "ops": [op.model_dump(mode="json") for op in ops],
            "graph": recount.graph(ops, weights),
            "parameters": recount.parameters(weights).model_dump(mode="json"),
            "flops_per_example": {
                "128": float(recount.flops(ops, 128)),
                "dev": recount.mean_flops(ops, dev_lengths),
            },
            "dev_lengths": dev_lengths,
            "bytes": {"safetensors/fp32": 1000 + 4 * recount.parameters(weights).total},
        },
        "stages": stages,
        "training_cost": {
            "tflop": sum(float(s["tflop"]) for s in own),
            "tokens": sum(int(s["tokens"]) for s in own),
            "device_hours": sum(float(s["seconds"]) for s in own) / 3600,
            "budget_tflop": budget_tflop(track(track_name), about.outputs, train_lengths),
        },
        "curves": [{"phase": "distil", "name": "loss", "steps": [1, 10, 20], "values": [0.9, 0.5, 0.4]}],
        "departures": list(row.departures),
        "environment": {
            "versions": {"torch": "2.13.0"},
            "cpu": "An example processor",
            "cpu_flags": ["avx2", "fma"],
            "cores": 2,
            "threads": 1,
            "accelerator": None,
        },
    }
    splits = {
        split: Split(np.arange(len(g.labels), dtype=np.int32), logits[split], scored.influence[split])
        for split, g in gold.items()
    }
    return {"run.json": to_bytes(run), "predictions.parquet": write_predictions(about, splits)}


def samples_of(row: Row, against: str, pairs: int = 4, blocks: int = 3, queries: int = 24) -> dict[str, Any]:
    """Times of two sides in interleaved blocks: proportional to length, with noise, drifting together."""
    random = np.random.default_rng(seed_of(row.recipe, row.variant, against))
    columns: dict[str, list[int]] = {"pair": [], "block": [], "side": [], "query": [], "nanoseconds": []}
    for pair in range(pairs):
        luck = random.normal(0, 0.01)
        for block in range(blocks):
            drift = random.normal(0, 0.1)
            for side in (0, 1) if block % 2 else (1, 0):
                for query in range(queries):
                    base = 4e6 * TRACE[query] / 30 * (1 if side == 0 else np.exp(luck) / row.speed)
                    noise = np.exp(drift + random.normal(0, 0.02))
                    for name, value in zip(
                        columns, (pair, block, side, query, int(base * noise)), strict=True
                    ):
                        columns[name].append(value)
    return columns


def measurement_files(row: Row, runtime: str = "onnx", against: str = "reference") -> dict[str, bytes]:
    """``measurement.json`` and ``samples.parquet`` of one measurement, with the weights of the first task."""
    reference = next(r for r in ROWS if r.recipe == "reference")
    columns = samples_of(row, against)
    figures = estimate.figures(estimate.from_columns(columns))
    state = dict.fromkeys(MachineState.model_fields)
    config, theirs = config_of(row, 2), config_of(reference, 2)
    measurement: dict[str, Any] = {
        "schema": "lightboard/measurement/1",
        "track": TRACK,
        "recipe": row.recipe,
        "variant": row.variant,
        "task": None,
        "graph": recount.graph(ops_of(config), weights_of(config)),
        "recipe_hash": digest(settings_of(row)),
        "protocol": measuring_hash(),
        "profile": "example",
        "profile_hash": digest("example profile"),
        "runtime": runtime,
        "precision": "fp32",
        "against": against,
        "reference_graph": recount.graph(ops_of(theirs), weights_of(theirs)),
        "reference_runtime": "onnx" if against == "reference" else runtime,
        "arrival": "single-stream",
        "inputs": "trace",
        "shapes": "dynamic",
        "trace": digest(list(TRACE)),
        "trace_lengths": list(TRACE),
        "repeats": 1,
        "model_file": digest([row.recipe, row.variant, runtime]),
        "model_bytes": 5000 + 4 * recount.parameters(weights_of(config)).total,
        "ratio": figures.ratio.model_dump(mode="json"),
        "latency_ms": figures.latency_ms.model_dump(mode="json"),
        "reference_latency_ms": figures.reference_latency_ms.model_dump(mode="json"),
        "residual": figures.residual,
        "verdict": figures.verdict,
        "answers": {"queries": 12, "largest_difference": 1e-6, "tolerance": 1e-4, "equal": True},
        "repeat_check": {"ratio": 1.03, "passed": True},
        "memory": {"peak_bytes": 91_000_000, "baseline_bytes": 60_000_000},
        "once": {"load_seconds": 0.2, "first_query_seconds": 0.03, "tokenise_seconds_per_example": 1e-4},
        "machine": {
            "cpu": "An example processor",
            "flags": ["avx2", "fma", "sse2"],
            "cores": 2,
            "smt": False,
            "max_mhz": 3000.0,
            "memory_bytes": 4_000_000_000,
            "virtual": None,
            "affinity": [0],
            "cgroup_cpu_limit": None,
            "kernel": "6.1",
            "before": state,
            "after": state,
            "requirements": {"cores": True},
        },
        "versions": {"onnxruntime": "1.23.0"},
        "date": DATE,
    }
    return {"measurement.json": to_bytes(measurement), "samples.parquet": write_samples(columns)}


def to_bytes(document: Mapping[str, Any]) -> bytes:
    return pretty_json(document).encode("utf-8")


# --- trees --------------------------------------------------------------------------------------------------


def add_run(results: Path, row: Row, name: str, seed: int = 11) -> Path:
    """Write one run where it belongs; gives its folder."""
    files = run_files(row, name, seed)
    place = f"{TRACK}/runs/{row.recipe}/{row.variant}/{name}-{seed}"
    return write(results / place, files)


def add_measurement(results: Path, row: Row, runtime: str = "onnx", against: str = "reference") -> Path:
    """Write one measurement where it belongs; gives its folder."""
    files = measurement_files(row, runtime, against)
    name = f"example-{runtime}-{against}-{DATE}"
    return write(results / TRACK / "measurements" / row.recipe / row.variant / name, files)


def build(results: Path, rows: Sequence[Row] = ROWS, seeds: Sequence[int] = (11,)) -> Path:
    """The whole tree: runs, measurements, entries. Gives ``results``."""
    for row in rows:
        for name in row.tasks:
            for seed in seeds:
                add_run(results, row, name, seed)
        if row.timed:
            add_measurement(results, row)
        if row.timed and row.recipe == "student":
            add_measurement(results, row, "torch")
            add_measurement(results, row, "torch", "alone")
    index(results)
    return results


def read(folder: Path, name: str) -> dict[str, Any]:
    """A JSON document of a folder."""
    document: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return document


def forge(folder: Path, name: str, content: Mapping[str, Any] | bytes) -> None:
    """Replace a file of a document's folder and rewrite the manifest to match, as a forger would."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else to_bytes(content))
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
    (folder / "manifest.json").write_bytes(to_bytes(manifest_of(files)))
