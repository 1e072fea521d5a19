"""The website: complete without scripts, closed in itself, honest about gaps, safe with hostile text."""

from __future__ import annotations

import functools
import hashlib
import http.server
import re
import shutil
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from suite import board, folder
from suite.board import charts, colours, text
from suite.board.build import POLICY
from suite.board.charts import Axis, Point
from suite.board.site import Links, Shown, View, load_site, mean_ratio
from suite.board.svg import Mark
from suite.board.text import Missing
from suite.canonical import canonical_json, digest, pretty_json
from suite.documents import Attestation, Entry, Measurement, Ratio, Run
from suite.errors import UserError
from suite.protocol import hashes, measuring_hash, track, training_hash

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> & </svg></style>\u202e\x1b[31m"
CORE = track("mini").core
EXTENDED = ("rte", "qqp")


# --- a results tree -------------------------------------------------------------------------------------------


def sha(*parts: object) -> str:
    return "sha256:" + hashlib.sha256(repr(parts).encode()).hexdigest()


def noise(*parts: object) -> float:
    """-1 .. 1, the same everywhere."""
    return int(sha(*parts)[7:15], 16) / 0xFFFFFFFF * 2 - 1


class Case:
    """An entry to be, in few words."""

    def __init__(self, recipe: str, score: float, ratio: float, millions: float, *, variant: str = "default",
                 default: bool = True, ranks: tuple[int, int] | None = None, division: str = "standard",
                 tasks: Sequence[str] = (*CORE, *EXTENDED), hostile: bool = False, verdict: str = "stable",
                 runtimes: Sequence[str] = ("onnx",), departures: Sequence[str] = (), per_task: bool = False,
                 pairs: int = 6, documents: bool = True, tied: bool = False, reason: str | None = None) -> None:  # fmt: skip
        self.__dict__.update({k: v for k, v in locals().items() if k != "self"})

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


MINI = (
    Case("reference", 75.1, 1.0, 22.71, ranks=(1, 2), tied=True, runtimes=("onnx", "onnx-int8", "torch")),
    Case("theseus", 72.4, 1.93, 17.39, ranks=(1, 3), tied=True, runtimes=("onnx", "onnx-int8"),
         departures=("Three successor layers for a predecessor of six.",)),
    Case("distillation", 71.6, 1.95, 17.39, ranks=(2, 4)),
    Case("distilbert", 70.9, 1.9, 17.6, ranks=(3, 4), verdict="noisy", departures=("No masked-LM loss.",)),
    Case("truncation", 70.1, 1.94, 17.39, variant="3-layers", ranks=(4, 5)),
    *(Case("truncation", 61.0 + 3.1 * k, 6.0 / k, 12.06 + 1.775 * k, variant=f"{k}-layers", default=False)
      for k in (1, 2, 4, 5)),
    Case("early", 69.0, 2.8, 24.1, ranks=(4, 6), per_task=True, tasks=CORE),
    Case("ngram", 52.3, 211.0, 0.26, ranks=(7, 7)),
    Case("majority", 33.2, 940.0, 0.0, ranks=(8, 8)),
    Case("searched", 68.2, 3.4, 9.2, division="open"),
    Case("stranger", 66.0, 2.2, 14.5, ranks=(5, 6), hostile=True),
    Case("half", 0.0, 5.0, 13.1, tasks=("cola", "mrpc"), documents=False, reason="runs missing: sst2, stsb"),
)  # fmt: skip
DEMO = (
    Case("reference", 88.0, 1.0, 22.71, ranks=(1, 1), tied=True, tasks=("mood", "same"), pairs=2),
    Case("theseus", 82.0, 1.9, 17.39, ranks=(2, 2), tasks=("mood", "same"), pairs=2),
)


def said(case: Case, plain: str) -> str:
    return f"{plain} {HOSTILE}" if case.hostile else plain


def estimate(value: float, half: float) -> dict[str, Any]:
    return {"value": value, "interval": [value - half, value + half]}


def ratio_of(case: Case, factor: float = 1.0) -> dict[str, Any]:
    value = case.ratio * factor
    return {"value": value, "interval": None if case.pairs < 3 else [value / 1.03, value * 1.03], "pairs": case.pairs}


def task_score(case: Case, task: str) -> float:
    shift = {"cola": -42.0, "sst2": 14.0, "mrpc": 10.0, "stsb": 18.0, "rte": -12.0, "qqp": 8.0}.get(task, 0.0)
    return case.score + shift + noise(case.recipe, task)


METRICS = {"cola": ("matthews",), "stsb": ("pearson", "spearman"), "mrpc": ("accuracy", "f1"), "qqp": ("accuracy", "f1")}


def run_of(name: str, case: Case, task: str, seed: int) -> dict[str, Any]:
    score = task_score(case, task) + 0.6 * noise(case.recipe, case.variant, task, seed)
    steps = list(range(10, 1200, 10))
    layers = 2
    weights = [{"name": said(case, f"layer.{i}"), "shape": [8, 8], "dtype": "float32", "nonzero": 64, "embedding": False}
               for i in range(layers)]  # fmt: skip
    return {
        "schema": "lightboard/run/1", "track": name, "division": case.division, "recipe": case.recipe,
        "variant": case.variant, "method": case.recipe, "task": task, "seed": seed, "protocol": training_hash(),
        "settings": {"note": said(case, "as resolved")}, "recipe_hash": sha(case.recipe),
        "data": {"source": "folder", "train": {"rows": 7200, "fingerprint": sha(task, "train")},
                 "selection": {"rows": 800, "fingerprint": sha(task, "selection")},
                 "dev": {"dev": {"rows": 408, "fingerprint": sha(task, "dev")}}, "dev_subset": task == "qqp"},
        "metrics": {m: score / 100 for m in METRICS.get(task, ("accuracy",))}, "score": score, "score_sd": 1.1,
        "calibration": {} if task == "stsb" else {"ece": 0.031, "brier": 0.212}, "diverged": False,
        "model": {"architecture": "bert", "config": {"note": said(case, "sizes")}, "weights": weights, "ops": [],
                  "graph": sha(case.recipe, "graph"), "parameters": parameters(case),
                  "flops_per_example": {"128": 1.4e9}, "dev_lengths": {"12": 408}, "bytes": {"onnx/fp32": 69_400_000}},
        "stages": [{"stage": "teacher", "key": sha("teacher", task, seed), "tflop": 31.0, "tokens": 900_000,
                    "seconds": 611.0, "shared": True},
                   {"stage": case.recipe, "key": sha(case.recipe, task, seed), "tflop": 10.3, "tokens": 500_000,
                    "seconds": 205.0, "shared": False}],
        "training_cost": {"tflop": 10.3, "tokens": 500_000, "device_hours": 0.057, "budget_tflop": 93.0},
        "curves": [
            {"phase": "train", "name": "loss", "steps": steps,
             "values": [0.25 + 0.9 * 0.997**s + 0.03 * noise(task, seed, s) for s in steps]},
            {"phase": "train", "name": "selection-score", "steps": steps[::12],
             "values": [score - 30 * 0.996**s for s in steps[::12]]},
        ],
        "departures": [said(case, d) for d in case.departures],
        "environment": {"versions": {"torch": said(case, "2.13.0")}, "cpu": said(case, "Example CPU @ 2.5 GHz"),
                        "cpu_flags": ["avx2", said(case, "fma")], "cores": 2, "threads": 2, "accelerator": None},
    }  # fmt: skip


def parameters(case: Case) -> dict[str, int]:
    total = round(case.millions * 1e6)
    return {"total": total, "without_embeddings": total // 3, "nonzero": total}


def state() -> dict[str, Any]:
    return {"load_1min": 0.4, "governor": None, "turbo": None, "frequency_mhz": 2500.0, "temperature_celsius": None,
            "throttled": None, "steal_percent": 0.0, "available_memory_bytes": 6_000_000_000}  # fmt: skip


def latency(ms: float) -> dict[str, Any]:
    return {"p50": ms, "p90": ms * 1.6, "p99": None, "p90_reason": None, "p99_reason": "256 queries, 662 needed"}


def measurement_of(name: str, case: Case, runtime: str, task: str | None, inputs: str = "trace") -> dict[str, Any]:
    return {
        "schema": "lightboard/measurement/1", "track": name, "recipe": case.recipe, "variant": case.variant,
        "task": task, "graph": sha(case.recipe, "graph"), "recipe_hash": sha(case.recipe),
        "protocol": measuring_hash(), "profile": "cpu-1-thread", "profile_hash": sha("profile"), "runtime": runtime,
        "precision": precision(runtime), "against": "reference", "reference_graph": sha("graph"),
        "reference_runtime": "onnx", "arrival": "single-stream", "inputs": inputs, "shapes": "dynamic",
        "trace": sha("trace"), "trace_lengths": [12, 30, 41], "repeats": 1, "model_file": sha("file"),
        "model_bytes": 69_400_000, "ratio": ratio_of(case, factor(runtime)), "latency_ms": latency(ms(case, runtime)),
        "reference_latency_ms": latency(15.2), "residual": 0.04, "verdict": case.verdict,
        "answers": {"queries": 26, "largest_difference": 2e-6, "tolerance": 1e-4, "equal": True},
        "repeat_check": {"ratio": 1.01, "passed": True},
        "memory": {"peak_bytes": 91_000_000, "baseline_bytes": 48_000_000},
        "once": {"load_seconds": 0.21, "first_query_seconds": 0.03, "tokenise_seconds_per_example": 0.00011},
        "machine": {"cpu": said(case, "Example CPU @ 2.5 GHz"), "flags": ["avx2"], "cores": 2, "smt": None,
                    "max_mhz": 2500.0, "memory_bytes": 8_000_000_000, "virtual": said(case, "kvm"), "affinity": [0],
                    "cgroup_cpu_limit": None, "kernel": "6.1", "before": state(), "after": state(),
                    "requirements": {"cores": True, "memory_bytes": True}},
        "versions": {"onnxruntime": said(case, "1.23")}, "date": "2026-02-03",
    }  # fmt: skip


def precision(runtime: str) -> str:
    return "int8" if runtime.endswith("int8") else "fp32"


def factor(runtime: str) -> float:
    return {"onnx": 1.0, "onnx-int8": 1.7, "torch": 0.7}[runtime]


def ms(case: Case, runtime: str) -> float:
    return 15.2 / case.ratio / factor(runtime)


def write_case(results: Path, name: str, case: Case) -> None:
    """The entry of a case, its runs and its measurements."""
    known = track(name)
    base = results / name
    quality: dict[str, Any] = {}
    for task in case.tasks:
        lines = []
        for seed in known.seeds:
            place = f"runs/{case.recipe}/{case.variant}/{task}-{seed}"
            document = run_of(name, case, task, seed)
            if case.documents:
                Run.model_validate(document)
                written = folder.write(base / place, {"run.json": canonical_json(document), "predictions.parquet": b"PAR1"})
                check = Attestation(subject=folder.subject(written), level="rescored", outcome="passed",
                                    by=said(case, "CI"), date="2026-02-04", lightboard="0.1.0")  # fmt: skip
                path = base / "attestations" / f"{check.subject[7:23]}-rescored.json"
                folder.write_file(path, pretty_json(check.model_dump(mode="json", by_alias=True)).encode())
            lines.append({"seed": seed, "score": document["score"], "metrics": document["metrics"],
                          "diverged": case.recipe == "majority", "run": place})  # fmt: skip
        value = sum(line["score"] for line in lines) / len(lines)
        kept = max(0.0, min(1.02, (value - 20) / 60))
        quality[task] = {
            "score": value, "interval": [value - 1.9, value + 1.9], "runs": lines, "dev_subset": task == "qqp",
            "retention": None if task == "rte" else {"value": kept, "interval": [kept - 0.05, kept + 0.05]},
            "retention_reason": "n/a: teacher not above chance" if task == "rte" else None,
        }  # fmt: skip
    speed = []
    pairs: list[tuple[str, str | None, str]] = [(r, t, "trace") for r in case.runtimes
                                                for t in (CORE if case.per_task else (None,))]  # fmt: skip
    if case.recipe == "theseus" and name == "mini":
        pairs.append(("onnx", None, "fixed-128"))
    for runtime, task, inputs in pairs:
        place = f"measurements/{case.recipe}/{case.variant}/cpu-1-thread-{runtime}-{inputs}{'-' + task if task else ''}"
        document = measurement_of(name, case, runtime, task, inputs)
        if case.documents:
            Measurement.model_validate(document)
            folder.write(base / place, {"measurement.json": canonical_json(document), "samples.parquet": b"PAR1"})
        speed.append({"profile": "cpu-1-thread", "runtime": runtime, "precision": precision(runtime),
                      "arrival": "single-stream", "inputs": inputs, "ratio": document["ratio"], "alone_ratio": None,
                      "latency_ms": document["latency_ms"], "verdict": case.verdict, "peak_memory_bytes": 91_000_000,
                      "model_bytes": round(4e6 * case.millions), "inherited": False, "measurement": place})  # fmt: skip
    if case.recipe == "searched":
        speed = []
    whole = all(task in case.tasks for task in known.core)
    ranks = case.ranks and {"lowest": case.ranks[0], "highest": case.ranks[1], "of": 8, "ties_with_best": case.tied}
    entry = Entry.model_validate({
        "track": name, "division": case.division, "recipe": case.recipe, "variant": case.variant,
        "default": case.default, "method": case.recipe, "recipe_hash": sha(case.recipe), "protocol": hashes(),
        "quality": quality, "board_score": estimate(case.score, 0.8) if whole else None,
        "board_score_reason": None if whole else said(case, case.reason), "ranks": ranks,
        "cost": {"parameters": parameters(case), "flops_per_example": {"128": case.millions * 6.3e7, "dev/cola": 2.1e8},
                 "bytes": {"onnx/fp32": round(4e6 * case.millions)}},
        "speed": speed,
        "training_cost": {"tflop": 10.3 * len(case.tasks), "tokens": 500_000, "device_hours": 0.23, "budget_tflop": None},
        "level": "recounted", "departures": [said(case, d) for d in case.departures] + ([HOSTILE] if case.hostile else []),
        "settings": {"method": case.recipe, "parameters": {"note": said(case, "plain"), HOSTILE if case.hostile else "k": 1}},
    })  # fmt: skip
    path = base / "entries" / case.recipe / f"{case.variant}.json"
    folder.write_file(path, pretty_json(entry.model_dump(mode="json", by_alias=True)).encode())


def write_results(results: Path, cases: Mapping[str, Sequence[Case]]) -> Path:
    for name, of in cases.items():
        for case in of:
            write_case(results, name, case)
    return results


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("board") / "results", {"mini": MINI, "demo": DEMO})


@pytest.fixture(scope="session")
def site(results: Path) -> Path:
    index = board.build(results, results.parent / "site")
    assert index.name == "index.html"
    return index.parent


if __name__ == "__main__":  # python tests/test_board.py OUT: a site to look at
    out = Path(sys.argv[1])
    shutil.rmtree(out / "results", ignore_errors=True)
    print(board.build(write_results(out / "results", {"mini": MINI, "demo": DEMO}), out / "site"))
