"""The website: complete without scripts, closed in itself, honest about gaps, safe with hostile text."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import browser as browsers
import example_results
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite import board, folder
from suite.board import charts, colours, explore, front, pareto, scatter, text, variants
from suite.board.build import POLICY
from suite.board.departures import departures
from suite.board.entries.page import entry_sheet
from suite.board.entry_rows import rank_words
from suite.board.reported import standings
from suite.board.scatter import Axis, Point
from suite.board.site import ONE_SEED, Links, Shown, View, load_site, mean_ratio
from suite.board.svg import Mark
from suite.board.text import Missing
from suite.canonical import canonical_json, pretty_json
from suite.documents import Attestation, Entry, Measurement, Ratio, Run
from suite.errors import UserError
from suite.index import entries as stored_entries
from suite.loading import load_recipe
from suite.protocol import hashes, measuring_hash, track, training_hash

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> & </svg></style>\u202e\x1b[31m"
CORE = track("mini").core
EXTENDED = ("rte", "qqp")


# --- a results tree -----------------------------------------------------------------------------------------


def sha(*parts: object) -> str:
    return "sha256:" + hashlib.sha256(repr(parts).encode()).hexdigest()


def noise(*parts: object) -> float:
    """-1 .. 1, the same everywhere."""
    return int(sha(*parts)[7:15], 16) / 0xFFFFFFFF * 2 - 1


class Case:
    """An entry to be, in few words."""

    def __init__(
        self,
        recipe: str,
        score: float,
        ratio: float,
        millions: float,
        *,
        variant: str = "default",
        default: bool = True,
        ranks: tuple[int, int] | None = None,
        division: str = "standard",
        tasks: Sequence[str] = (*CORE, *EXTENDED),
        hostile: bool = False,
        verdict: str = "stable",
        runtimes: Sequence[str] = ("onnx",),
        departures: Sequence[str] = (),
        per_task: bool = False,
        pairs: int = 6,
        documents: bool = True,
        tied: bool = False,
        reason: str | None = None,
    ) -> None:
        self.__dict__.update({k: v for k, v in locals().items() if k != "self"})

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


MINI = (
    Case("reference", 75.1, 1.0, 22.71, ranks=(1, 2), tied=True, runtimes=("onnx", "onnx-int8", "torch")),
    Case(
        "theseus",
        72.4,
        1.93,
        17.39,
        ranks=(1, 3),
        tied=True,
        runtimes=("onnx", "onnx-int8"),
        departures=("Three successor layers for a predecessor of six.",),
    ),
    Case("distillation", 71.6, 1.95, 17.39, ranks=(2, 4)),
    Case("distilbert", 70.9, 1.9, 17.6, ranks=(3, 4), verdict="noisy", departures=("No masked-LM loss.",)),
    Case("truncation", 70.1, 1.94, 17.39, variant="3-layers", ranks=(4, 5)),
    *(
        Case("truncation", 60.0 + 2.9 * k, 6.0 / k, 12.06 + 1.775 * k, variant=f"{k}-layers", default=False)
        for k in (1, 2, 4, 5)
    ),
    Case("early", 69.0, 2.8, 24.1, ranks=(4, 6), per_task=True, tasks=CORE),
    Case("ngram", 52.3, 211.0, 0.26, ranks=(7, 7)),
    Case("majority", 33.2, 940.0, 0.0, ranks=(8, 8)),
    Case("searched", 68.2, 3.4, 9.2, division="open"),
    Case("stranger", 66.0, 2.2, 14.5, ranks=(5, 6), hostile=True),
    Case("half", 0.0, 5.0, 13.1, tasks=("cola", "mrpc"), documents=False, reason="runs missing: sst2, stsb"),
)
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
    return {
        "value": value,
        "interval": None if case.pairs < 3 else [value / 1.03, value * 1.03],
        "pairs": case.pairs,
    }


def task_score(case: Case, task: str) -> float:
    shift = {"cola": -42.0, "sst2": 14.0, "mrpc": 10.0, "stsb": 18.0, "rte": -12.0, "qqp": 8.0}.get(task, 0.0)
    return case.score + shift + noise(case.recipe, task)


METRICS = {
    "cola": ("matthews",),
    "stsb": ("pearson", "spearman"),
    "mrpc": ("accuracy", "f1"),
    "qqp": ("accuracy", "f1"),
}


def run_of(name: str, case: Case, task: str, seed: int) -> dict[str, Any]:
    score = task_score(case, task) + 0.6 * noise(case.recipe, case.variant, task, seed)
    steps = list(range(10, 1200, 10))
    layers = 2
    weights = [
        {
            "name": said(case, f"layer.{i}"),
            "shape": [8, 8],
            "dtype": "float32",
            "nonzero": 64,
            "embedding": False,
        }
        for i in range(layers)
    ]
    return {
        "schema": "lightboard/run/1",
        "track": name,
        "division": case.division,
        "recipe": case.recipe,
        "variant": case.variant,
        "method": case.recipe,
        "task": task,
        "seed": seed,
        "protocol": training_hash(name),
        "settings": {"note": said(case, "as resolved")},
        "recipe_hash": sha(case.recipe),
        "data": {
            "source": "folder",
            "train": {"rows": 7200, "fingerprint": sha(task, "train")},
            "selection": {"rows": 800, "fingerprint": sha(task, "selection")},
            "dev": {"dev": {"rows": 408, "fingerprint": sha(task, "dev")}},
            "dev_subset": task == "qqp",
        },
        "metrics": dict.fromkeys(METRICS.get(task, ("accuracy",)), score / 100),
        "score": score,
        "score_sd": 1.1,
        "calibration": {} if task == "stsb" else {"ece": 0.031, "brier": 0.212},
        "diverged": False,
        "model": {
            "architecture": "bert",
            "config": {"note": said(case, "sizes"), **found_by(case, task)},
            "weights": weights,
            "ops": [],
            "graph": sha(case.recipe, "graph"),
            "parameters": parameters(case),
            "flops_per_example": {"128": 1.4e9},
            "dev_lengths": {"12": 408},
            "bytes": {"onnx/fp32": 69_400_000},
        },
        "stages": [
            {
                "stage": "teacher",
                "key": sha("teacher", task, seed),
                "tflop": 31.0,
                "tokens": 900_000,
                "seconds": 611.0,
                "shared": True,
            },
            {
                "stage": case.recipe,
                "key": sha(case.recipe, task, seed),
                "tflop": 10.3,
                "tokens": 500_000,
                "seconds": 205.0,
                "shared": False,
            },
        ],
        "training_cost": {"tflop": 10.3, "tokens": 500_000, "device_hours": 0.057, "budget_tflop": 93.0},
        "curves": [
            {
                "phase": "train",
                "name": "loss",
                "steps": steps,
                "values": [0.25 + 0.9 * 0.997**s + 0.03 * noise(task, seed, s) for s in steps],
            },
            {
                "phase": "train",
                "name": "selection-score",
                "steps": steps[::12],
                "values": [score - 30 * 0.996**s for s in steps[::12]],
            },
        ],
        "departures": [said(case, d) for d in case.departures],
        "environment": {
            "versions": {"torch": said(case, "2.13.0")},
            "cpu": said(case, "Example CPU @ 2.5 GHz"),
            "cpu_flags": ["avx2", said(case, "fma")],
            "cores": 2,
            "threads": 2,
            "accelerator": None,
        },
    }


def found_by(case: Case, task: str) -> dict[str, Any]:
    """What a search adds to a configuration: one cell for every task, or (a hostile one) anything."""
    if case.recipe not in ("searched", "stranger"):
        return {}
    ops = [said(case, op) for op in ("conv3", "maxpool3", "identity", "dilated5", "conv7", "conv3")]
    places = [(0, 2), (1, 2), (1, 3), (2, 3), (0, 4), (3, 4)]
    edges = [{"from": s, "to": t, "op": op} for (s, t), op in zip(places, ops, strict=True)]
    cells = 3 if task == "cola" else 2
    search = {"expected_parameters": 1_234_567, said(case, "guard"): said(case, "none")}
    return {"cells": cells, "cell": {"inputs": 2, "nodes": 3, "edges": edges}, "search": search}


def parameters(case: Case) -> dict[str, int]:
    total = round(case.millions * 1e6)
    return {"total": total, "without_embeddings": total // 3, "nonzero": total}


def state() -> dict[str, Any]:
    return {
        "load_1min": 0.4,
        "governor": None,
        "turbo": None,
        "frequency_mhz": 2500.0,
        "temperature_celsius": None,
        "throttled": None,
        "steal_percent": 0.0,
        "available_memory_bytes": 6_000_000_000,
    }


def latency(ms: float) -> dict[str, Any]:
    return {
        "p50": ms,
        "p90": ms * 1.6,
        "p99": None,
        "p90_reason": None,
        "p99_reason": "256 queries, 662 needed",
    }


def measurement_of(
    name: str, case: Case, runtime: str, task: str | None, inputs: str = "trace"
) -> dict[str, Any]:
    return {
        "schema": "lightboard/measurement/1",
        "track": name,
        "recipe": case.recipe,
        "variant": case.variant,
        "task": task,
        "graph": sha(case.recipe, "graph"),
        "recipe_hash": sha(case.recipe),
        "protocol": measuring_hash(),
        "profile": "cpu-1-thread",
        "profile_hash": sha("profile"),
        "runtime": runtime,
        "precision": precision(runtime),
        "against": "reference",
        "reference_graph": sha("graph"),
        "reference_runtime": "onnx",
        "arrival": "single-stream",
        "inputs": inputs,
        "shapes": "dynamic",
        "trace": sha("trace"),
        "trace_lengths": [12, 30, 41],
        "repeats": 1,
        "model_file": sha("file"),
        "model_bytes": 69_400_000,
        "ratio": ratio_of(case, factor(runtime)),
        "latency_ms": latency(ms(case, runtime)),
        "reference_latency_ms": latency(15.2),
        "residual": 0.04,
        "verdict": case.verdict,
        "answers": {"queries": 26, "largest_difference": 2e-6, "tolerance": 1e-4, "equal": True},
        "repeat_check": {"ratio": 1.01, "passed": True},
        "memory": {"peak_bytes": 91_000_000, "baseline_bytes": 48_000_000},
        "once": {"load_seconds": 0.21, "first_query_seconds": 0.03, "tokenise_seconds_per_example": 0.00011},
        "machine": {
            "cpu": said(case, "Example CPU @ 2.5 GHz"),
            "flags": ["avx2"],
            "cores": 2,
            "smt": None,
            "max_mhz": 2500.0,
            "memory_bytes": 8_000_000_000,
            "virtual": said(case, "kvm"),
            "affinity": [0],
            "cgroup_cpu_limit": None,
            "kernel": "6.1",
            "before": state(),
            "after": state(),
            "requirements": {"cores": True, "memory_bytes": True},
        },
        "versions": {"onnxruntime": said(case, "1.23")},
        "date": "2026-02-03",
    }


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
                written = folder.write(
                    base / place, {"run.json": canonical_json(document), "predictions.parquet": b"PAR1"}
                )
                check = Attestation(
                    subject=folder.subject(written),
                    level="rescored",
                    outcome="passed",
                    by=said(case, "CI"),
                    date="2026-02-04",
                    lightboard="0.1.0",
                )
                path = base / "attestations" / f"{check.subject[7:23]}-rescored.json"
                folder.write_file(path, pretty_json(check.model_dump(mode="json", by_alias=True)).encode())
            lines.append(
                {
                    "seed": seed,
                    "score": document["score"],
                    "metrics": document["metrics"],
                    "diverged": case.recipe == "majority",
                    "run": place,
                }
            )
        value = sum(line["score"] for line in lines) / len(lines)
        kept = max(0.0, min(1.02, (value - 20) / 60))
        quality[task] = {
            "score": value,
            "interval": [value - 1.9, value + 1.9],
            "runs": lines,
            "dev_subset": task == "qqp",
            "retention": None if task == "rte" else {"value": kept, "interval": [kept - 0.05, kept + 0.05]},
            "retention_reason": "n/a: teacher not above chance" if task == "rte" else None,
        }
    speed = []
    pairs: list[tuple[str, str | None, str]] = [
        (r, t, "trace") for r in case.runtimes for t in (CORE if case.per_task else (None,))
    ]
    if case.recipe == "theseus" and name == "mini":
        pairs.append(("onnx", None, "fixed-128"))
    for runtime, task, inputs in pairs:
        place = f"measurements/{case.recipe}/{case.variant}/{runtime}-{inputs}{'-' + task if task else ''}"
        document = measurement_of(name, case, runtime, task, inputs)
        if case.documents:
            Measurement.model_validate(document)
            folder.write(
                base / place, {"measurement.json": canonical_json(document), "samples.parquet": b"PAR1"}
            )
        speed.append(
            {
                "profile": "cpu-1-thread",
                "runtime": runtime,
                "precision": precision(runtime),
                "arrival": "single-stream",
                "inputs": inputs,
                "task": task,
                "ratio": document["ratio"],
                "alone_ratio": None,
                "latency_ms": document["latency_ms"],
                "verdict": case.verdict,
                "peak_memory_bytes": 91_000_000,
                "model_bytes": round(4e6 * case.millions),
                "inherited": False,
                "measurement": place,
            }
        )
    if case.recipe == "searched":
        speed = []
    whole = all(task in case.tasks for task in known.core)
    ranks = case.ranks and {
        "lowest": case.ranks[0],
        "highest": case.ranks[1],
        "of": 8,
        "ties_with_best": case.tied,
    }
    entry = Entry.model_validate(
        {
            "track": name,
            "division": case.division,
            "recipe": case.recipe,
            "variant": case.variant,
            "default": case.default,
            "method": case.recipe,
            "recipe_hash": sha(case.recipe),
            "protocol": hashes(name),
            "quality": quality,
            "board_score": estimate(case.score, 0.8) if whole else None,
            "board_score_reason": None if whole else said(case, case.reason),
            "ranks": ranks,
            "cost": {
                "parameters": parameters(case),
                "flops_per_example": {"128": case.millions * 6.3e7, "dev/cola": 2.1e8},
                "bytes": {"onnx/fp32": round(4e6 * case.millions)},
            },
            "speed": speed,
            "training_cost": {
                "tflop": 10.3 * len(case.tasks),
                "tokens": 500_000,
                "device_hours": 0.23,
                "budget_tflop": None,
            },
            "level": "recounted",
            "departures": [said(case, d) for d in case.departures] + ([HOSTILE] if case.hostile else []),
            "settings": {
                "method": case.recipe,
                "parameters": {"note": said(case, "plain"), HOSTILE if case.hostile else "k": 1},
            },
        }
    )
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


# --- reading it back ----------------------------------------------------------------------------------------

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Node:
    """An element with what is in it."""

    def __init__(self, name: str, attributes: Mapping[str, str], parent: Node | None) -> None:
        self.name, self.attributes, self.parent = name, attributes, parent
        self.children: list[Node | str] = []

    def all(self, *names: str) -> Iterator[Node]:
        for child in self.children:
            if isinstance(child, Node):
                if not names or child.name in names:
                    yield child
                yield from child.all(*names)

    @property
    def text(self) -> str:
        parts = [child if isinstance(child, str) else child.text for child in self.children]
        return " ".join(" ".join(parts).split())

    def of_class(self, name: str) -> list[Node]:
        return [node for node in self.all() if name in node.attributes.get("class", "").split()]

    def by_id(self, ident: str) -> Node:
        return next(node for node in self.all() if node.attributes.get("id") == ident)


class Page(HTMLParser):
    """A strict reading: every element that opens closes, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.at = Node("", {}, None)
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.at is self.root, f"{path}: <{self.at.name}> is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {key: value or "" for key, value in attrs}, self.at)
        self.at.children.append(node)
        if tag not in VOID:
            self.at = node

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.at.children.append(Node(tag, {key: value or "" for key, value in attrs}, self.at))

    def handle_endtag(self, tag: str) -> None:
        assert self.at.name == tag, f"</{tag}> closes <{self.at.name}>"
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        self.at.children.append(data)


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Node]:
    return {p.relative_to(site).as_posix(): Page(p).root for p in sorted(site.rglob("*.html"))}


def rows_of(table: Node) -> dict[str, Node]:
    """Name of a row -> the row."""
    return {
        next(row.all("th")).text: row
        for body in table.all("tbody")
        for row in body.all("tr")
        if "group" not in row.attributes.get("class", "")
    }


def row(pages: Mapping[str, Node], page: str, table: str, name: str) -> Node:
    found = rows_of(pages[page].by_id(table))
    return next(node for key, node in found.items() if key.startswith(name))


# --- the whole site -----------------------------------------------------------------------------------------


def test_there_is_a_page_for_everything(pages: dict[str, Node]) -> None:
    for case in MINI:
        assert f"tracks/mini/entries/{case.recipe}/{case.variant}.html" in pages
        assert f"methods/{case.recipe}.html" in pages
    for name in (*CORE, *EXTENDED, "mood", "same"):
        assert f"tasks/{name}.html" in pages
    for page in (
        "index.html",
        "tracks/mini/index.html",
        "tracks/demo/index.html",
        "methods.html",
        "tasks.html",
        "hardware.html",
        "hardware/cpu-1-thread.html",
        "protocol.html",
    ):
        assert page in pages


def test_every_link_leads_somewhere_inside(site: Path, pages: dict[str, Node]) -> None:
    idents = {
        page: {n.attributes["id"] for n in root.all() if "id" in n.attributes} for page, root in pages.items()
    }
    for page, root in pages.items():
        for node in root.all():
            for key in ("href", "src"):
                if key not in node.attributes:
                    continue
                parts = urlsplit(node.attributes[key])
                assert not parts.scheme and not parts.netloc, f"{page}: {node.attributes[key]}"
                assert not parts.path.startswith("/")
                target = (site / page).parent / unquote(parts.path) if parts.path else site / page
                target = target.resolve()
                assert target.is_file(), f"{page}: {node.attributes[key]}"
                assert target.is_relative_to(site.resolve())
                if parts.fragment and "=" not in parts.fragment:  # a view is no place on a page
                    there = idents[target.relative_to(site.resolve()).as_posix()]
                    assert parts.fragment in there, f"{page}: {node.attributes[key]}"


def test_nothing_foreign_runs_and_nothing_is_fetched(site: Path, pages: dict[str, Node]) -> None:
    for page, root in pages.items():
        assert not list(root.all("style", "iframe", "object", "img", "form", "base")), page
        assert all(script.attributes["src"] and not script.text for script in root.all("script")), page
        policies = [n.attributes["content"] for n in root.all("meta") if "http-equiv" in n.attributes]
        assert policies == [POLICY]
        for node in root.all():
            for key, value in node.attributes.items():
                assert key != "style" and not key.startswith("on"), f"{page}: {key}"
                assert key == "xmlns" or "//" not in value, f"{page}: {key}={value}"
    style = (site / "style.css").read_text(encoding="utf-8")
    assert "url(" not in style and "@import" not in style
    assert POLICY.startswith("default-src 'none'") and "unsafe" not in POLICY


STRANGER = ("entries/stranger/default", "measurements/stranger/default/onnx-trace")


def test_hostile_text_is_only_text(site: Path, pages: dict[str, Node]) -> None:
    shown = [page for page, root in pages.items() if "alert('x')" in root.text]
    assert "tracks/mini/entries/stranger/default.html" in shown  # it is shown, as text
    for path in site.rglob("*.html"):
        content = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?! src=)", content) and "<img" not in content
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]", content), path
    entry, timed = (pages[f"tracks/mini/{place}.html"].text for place in STRANGER)
    for plain, words in (
        ("GHz", entry),
        ("2.13.0", entry),
        ("by CI", entry),
        ("1.23", timed),
        ("kvm", timed),
    ):
        assert f"{plain} <script>alert('x')" in words, plain
    assert "plain <script>" in entry.replace("\\", "")


def test_drawings_are_valid_xml_and_say_what_they_show(site: Path) -> None:
    count = 0
    for path in site.rglob("*.html"):
        for drawing in re.findall(r"<svg.*?</svg>", path.read_text(encoding="utf-8"), flags=re.DOTALL):
            root = ET.fromstring(drawing)
            count += 1
            if root.get("aria-hidden") == "true":
                continue
            names = root.get("aria-labelledby", "").split()
            inside = {node.get("id"): (node.text or "").strip() for node in root.iter() if node.get("id")}
            assert len(names) == 2 and all(inside[name] for name in names), path
            for node in root.iter():
                for key, value in node.attrib.items():
                    assert "nan" not in value.lower() or key.startswith("aria"), f"{path}: {key}={value}"
    assert count > 100
    ET.fromstring((site / "icon.svg").read_text(encoding="utf-8"))


def test_pages_are_made_for_reading_aloud(pages: dict[str, Node]) -> None:
    for page, root in pages.items():
        (html,) = root.all("html")
        assert html.attributes["lang"] == "en"
        assert len(list(root.all("h1"))) == 1 and len(list(root.all("main"))) == 1
        idents = [node.attributes["id"] for node in root.all() if "id" in node.attributes]
        assert len(idents) == len(set(idents)), page
        assert next(root.all("a")).attributes["href"] == "#content"
        levels = [int(node.name[1]) for node in root.all("h1", "h2", "h3", "h4")]
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), page
        captions = [caption.text for caption in root.all("caption")]
        assert len(captions) == len(set(captions)), page  # they name the regions that scroll
        for table in root.all("table"):
            (caption,) = table.all("caption")
            assert caption.text
            assert all(head.attributes.get("scope") for head in table.all("th"))
            assert all(head.text for head in table.all("th"))


def test_every_cell_says_something(pages: dict[str, Node]) -> None:
    for page, root in pages.items():
        for cell in root.all("td"):
            assert cell.text or list(cell.all("svg")), f"{page}: an empty cell"
        for node in root.all("dd"):
            assert node.text, f"{page}: an empty fact"


def test_same_results_same_bytes(results: Path, site: Path, tmp_path: Path) -> None:
    """Also from another process with another hash seed and another place."""
    code = (
        "import sys; from pathlib import Path; from suite import board; board.build(*map(Path, sys.argv[1:]))"
    )
    again = tmp_path / "elsewhere" / "site"
    subprocess.run(
        [sys.executable, "-c", code, str(results), str(again)],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
    )

    def contents(folder_of: Path) -> dict[str, bytes]:
        return {
            p.relative_to(folder_of).as_posix(): p.read_bytes() for p in folder_of.rglob("*") if p.is_file()
        }

    assert contents(again) == contents(site)


def test_heavy_packages_stay_out(results: Path, tmp_path: Path) -> None:
    """Also after a whole site was built, recipes and profiles read."""
    code = (
        "import sys; from pathlib import Path; from suite import board; board.build(*map(Path, sys.argv[1:])); "
        "print([m for m in ('torch', 'transformers', 'datasets', 'evaluate', 'sklearn') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(results), str(tmp_path / "site")]
    told = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    assert told.stdout.strip() == "[]"


# --- the front page -----------------------------------------------------------------------------------------


def test_rank_ranges_in_order(pages: dict[str, Node]) -> None:
    rows = list(rows_of(pages["index.html"].by_id("board")).values())
    ranks = [next(row.all("td")).text for row in rows]
    expected = [
        f"{lo}–{hi}" if lo != hi else str(lo)
        for lo, hi in (c.ranks for c in sorted(MINI, key=lambda c: -c.score) if c.ranks)
    ]
    assert ranks[: len(expected)] == expected
    assert set(ranks[len(expected) :]) == {"not ranked", "no score"}


def test_numbers_stand_with_their_intervals_and_link_to_evidence(pages: dict[str, Node]) -> None:
    cells = row(pages, "index.html", "board", "BERT-of-Theseus").all("td")
    labelled = {cell.attributes["data-label"]: cell for cell in cells if "data-label" in cell.attributes}
    assert {
        "Params, M",
        "FLOPs, G",
        "Size, MB",
        "Speed, ×",
        "Latency, ms",
        "Training, TFLOP",
    } < labelled.keys()
    by_label = {label.partition(",")[0]: cell for label, cell in labelled.items()}
    assert by_label["Score"].text == "72.4 ±0.8"
    assert by_label["Speed"].text.replace("\u2007", "") == "1.93 1.87–1.99"
    assert by_label["Latency"].text.split()[:2] == ["7.88", "onnx"]
    assert by_label["Params"].text == "17.39"
    entry, timed = "entries/theseus/default.html#", "measurements/theseus/default/onnx-trace.html"
    for name in ("Score", "CoLA", "Params", "FLOPs", "Size", "Speed", "Latency", "Training", "Checked"):
        (link,) = by_label[name].all("a")
        shown = timed if name in ("Speed", "Latency") else entry
        assert link.attributes["href"].startswith(f"tracks/mini/{shown}"), name


def test_latency_is_comparable_between_sessions(results: Path) -> None:
    """A row that a slower processor timed keeps its place: the reference's time over its ratio."""
    entries = stored_entries(results)
    slow = next(e for e in entries if (e.track, e.recipe) == ("mini", "distillation"))
    lines = [
        line.model_copy(
            update={"latency_ms": line.latency_ms.model_copy(update={"p50": 3 * (line.latency_ms.p50 or 0)})}
        )
        for line in slow.speed
    ]
    others = [e for e in entries if e is not slow]
    loaded = load_site([*others, slow.model_copy(update={"speed": tuple(lines)})], results)
    view, links = loaded.default_view("mini"), Links("index.html")
    shown = front.leaderboard(loaded, links, "mini")
    row = next(i for i, r in enumerate(shown.rows) if r.entry == "distillation/default")
    cell = front.of_view(loaded, links, "mini", view, shown).rows[row].cells[-1]
    assert cell.text.strip().startswith(text.digits(15.2 / 1.95, 3, 2))


def test_gaps_give_their_reason(pages: dict[str, Node]) -> None:
    assert "runs missing: sst2, stsb" in row(pages, "index.html", "board", "half").text
    assert "no run yet" in row(pages, "index.html", "board", "half").text
    assert "not measured on this profile yet" in row(pages, "index.html", "board", "searched").text
    entry = pages["tracks/mini/entries/theseus/default.html"]
    assert "256 queries, 662 needed" in entry.by_id("speed").text
    assert "n/a: teacher not above chance" in entry.by_id("task-rte").text
    timed = pages["tracks/mini/measurements/theseus/default/onnx-trace.html"]
    assert "not said by this machine" in timed.by_id("state").text
    half = pages["tracks/mini/entries/half/default.html"]
    assert "the document is not in this results tree" in half.by_id("runs").text
    assert "no run yet" in half.by_id("task-sst2").text


def test_rows_without_a_score_stand_below(pages: dict[str, Node]) -> None:
    board_table = pages["index.html"].by_id("board")
    bodies = [body.text for body in board_table.all("tbody")]
    assert [text.split(":")[0].split(" of ")[0] for text in bodies] == [
        bodies[0].split(":")[0],
        "Other operating points",
        bodies[2].split(":")[0],
        bodies[3].split(":")[0],
    ]
    assert bodies[0].startswith("Ranked") and "half" not in bodies[0] and "searched" not in bodies[0]
    assert bodies[1].count("Truncation") == 4
    assert bodies[2].startswith("Open division") and "searched" in bodies[2]
    assert bodies[3].startswith("Without a board score") and "half" in bodies[3]


def test_the_answer_is_computed_in_plain_words(pages: dict[str, Node]) -> None:
    (answer,) = pages["index.html"].of_class("answer")
    assert "The reference scores 75.1 ±0.8." in answer.text
    assert "BERT-of-Theseus cannot be told apart from the best row" in answer.text
    assert "It is 1.9 times faster than the reference on " in answer.text


def test_the_best_row_is_not_told_apart_from_itself(results: Path) -> None:
    entries = stored_entries(results)
    first = next(e for e in entries if (e.track, e.recipe) == ("mini", "theseus"))
    score = first.board_score.model_copy(update={"value": 80.0})  # type: ignore[union-attr]
    best = first.model_copy(update={"board_score": score})
    other = next(e for e in entries if (e.track, e.recipe) == ("mini", "distillation"))
    assert other.ranks is not None and best.ranks is not None and best.ranks.ties_with_best
    near = other.model_copy(update={"ranks": other.ranks.model_copy(update={"ties_with_best": True})})
    loaded = load_site([best, near, *(e for e in entries if e not in (first, other))], results)
    said = front.answer(loaded, "mini", loaded.default_view("mini"))
    assert said[1].startswith("BERT-of-Theseus scores highest with 80.0")
    (tie,) = (line for line in said if "told apart" in line)
    assert "Theseus" not in tie and "cannot be told apart from the best row (correcting for all" in tie
    assert rank_words(loaded, best).startswith("Scores highest; could stand anywhere from 1st to 3rd of 8")
    assert "cannot be told apart from the best row" in rank_words(loaded, near)


def test_a_chart_names_what_it_cannot_draw(results: Path) -> None:
    """Rows without a time in the view, a method once, and baselines are no part of the front."""
    loaded = load_site(stored_entries(results), results)
    speed, parameters = pareto.figures(loaded, Links("index.html"), "mini", loaded.default_view("mini"))
    assert "Not timed in this view, so not drawn: searched." in speed.caption
    assert "no other compressed model beats on both counts (baselines are drawn apart)" in speed.caption
    assert "Not timed" not in parameters.caption
    torch = pareto.figures(loaded, Links("index.html"), "mini", View("cpu-1-thread", "torch"))[0]
    assert torch.caption.count("Truncation") == 1


def test_time_and_score_are_of_one_precision(pages: dict[str, Node]) -> None:
    """int8 is 3.28 times as fast, but the row's score is of full precision."""
    assert "3.28" not in row(pages, "index.html", "board", "BERT-of-Theseus").text
    lower = "tracks/mini/on/cpu-1-thread/with/onnx-int8.html"
    shown = row(pages, lower, "board", "BERT-of-Theseus").text
    assert "3.28" in shown and "int8" in shown
    assert "Lower precision:" in pages[lower].text
    assert "not measured with onnx-int8 yet" in row(pages, lower, "board", "DistilBERT").text


def test_noisy_is_said_and_drawn_grey(pages: dict[str, Node]) -> None:
    cells = [
        c
        for c in row(pages, "index.html", "board", "DistilBERT").all("td")
        if "faint" in c.attributes["class"]
    ]
    assert len(cells) == 2 and "noisy" in cells[0].text


def test_models_timed_task_by_task_show_their_mean(pages: dict[str, Node]) -> None:
    assert "mean of 4 tasks" in row(pages, "index.html", "board", "early").text


def test_two_pairs_have_no_interval_and_say_so(pages: dict[str, Node]) -> None:
    shown = row(pages, "tracks/demo/index.html", "board", "BERT-of-Theseus")
    assert "two pairs, no interval" in shown.text
    assert "too few process pairs" in pages["tracks/demo/index.html"].text


@pytest.mark.parametrize(
    "page",
    [
        "index.html",
        "tasks/qqp.html",
        "tasks.html",
        "tracks/mini/entries/theseus/default.html",
        "methods/theseus.html",
        "protocol.html",
    ],
)
def test_a_dev_subset_is_called_one(pages: dict[str, Node], page: str) -> None:
    named = [t for t in pages[page].all("table") if "QQP" in t.text or page == "tasks/qqp.html"]
    tables = [t for t in named if t.attributes["id"] != "curve-ends"]  # losses, not scores
    assert tables and all("dev subset" in table.text for table in tables)
    assert not any("dev subset" in node.text for node in pages["tasks/cola.html"].all("main"))


def test_task_notes_are_printed(pages: dict[str, Node]) -> None:
    for page in ("index.html", "tasks/qqp.html", "tracks/mini/entries/theseus/default.html"):
        assert "Quora" in pages[page].text


def test_downloads_hold_the_entries(site: Path) -> None:
    import csv

    with (site / "tracks/mini/tables/entries.csv").open(encoding="utf-8", newline="") as stream:
        lines = {(line["recipe"], line["variant"], line["task"]): line for line in csv.DictReader(stream)}
    assert {key[:2] for key in lines} == {(case.recipe, case.variant) for case in MINI}
    assert float(lines["theseus", "default", "cola"]["board_score_points"]) == 72.4
    timed = "speedup_times[cpu-1-thread/onnx/fp32/single-stream/trace]"
    assert float(lines["theseus", "default", "cola"][timed]) == 1.93
    assert lines["half", "default", "cola"]["board_score_points"] == ""


# --- other pages --------------------------------------------------------------------------------------------


def test_declared_values_stand_in_italics(pages: dict[str, Node]) -> None:
    entry = pages["tracks/mini/entries/theseus/default.html"]
    declared = {node.text for node in entry.of_class("declared")}
    assert {"Example CPU @ 2.5 GHz", "2.13.0", "folder"} <= declared
    assert "Three successor layers for a predecessor of six." in declared
    assert "72.4" not in declared
    assert all(node.name == "em" for node in entry.of_class("declared"))
    timed = pages["tracks/mini/measurements/theseus/default/onnx-trace.html"]
    assert {"Example CPU @ 2.5 GHz", "2026-02-03"} <= {node.text for node in timed.of_class("declared")}


def test_an_entry_shows_its_evidence(site: Path, pages: dict[str, Node]) -> None:
    page = "tracks/mini/entries/theseus/default.html"
    entry = pages[page]
    for task in (*CORE, *EXTENDED):
        for seed in track("mini").seeds:
            place = f"tracks/mini/evidence/runs/theseus/default/{task}-{seed}"
            document = Run.model_validate_json((site / place / "run.json").read_bytes())
            assert f"{document.score:.2f} sd {document.score_sd:.2f} of sampling" in entry.by_id("runs").text
            assert (site / place / "manifest.json").is_file()
    assert len(list(entry.by_id("runs").all("tr"))) == 1 + 6 * 3
    curves = next(node for node in entry.all("ul") if node.attributes.get("class") == "multiples")
    assert len(list(curves.all("svg"))) == 6 * 2
    assert sum("course" in node.attributes.get("class", "") for node in curves.all("path")) == 6 * 2 * 3
    assert "lightboard run theseus --track mini --tasks cola,mrpc,sst2,stsb,rte,qqp --seeds 3" in entry.text
    assert "lightboard measure theseus --track mini --profile cpu-1-thread --runtime onnx" in entry.text
    assert "rescored, passed, by CI" in entry.by_id("evidence").parent.text  # type: ignore[union-attr]


def test_a_method_tells_its_idea_variants_and_departures(pages: dict[str, Node]) -> None:
    page = pages["methods/truncation.html"]
    assert len(rows_of(page.by_id("variants-mini"))) == 5
    assert "arXiv 1908.09355" in page.text
    assert [n for n in page.all("path") if "family" in n.attributes.get("class", "")]  # its points are joined
    assert "Three successor layers" in pages["methods/theseus.html"].text
    assert len(rows_of(pages["methods/theseus.html"].by_id("retention-mini"))) == 1
    assert "is not on this site’s search path" in pages["methods/stranger.html"].text


def test_the_tasks_index_marks_what_a_score_is_the_mean_of(pages: dict[str, Node]) -> None:
    assert "mini (core)" in row(pages, "tasks.html", "tasks", "CoLA").text
    assert "(core)" not in row(pages, "tasks.html", "tasks", "RTE").text


def test_departures_are_told_in_the_words_of_today(results: Path) -> None:
    """While the recipe's settings are those that were trained; else in those of the documents."""
    loaded = load_site(stored_entries(results), results)
    entry = next(e for e in loaded.of("mini") if e.recipe == "theseus")
    today = loaded.recipes["theseus"].tracks["mini"]
    assert departures(loaded, entry) == entry.departures != today.departures, "its settings are of no recipe"
    settings = {
        "method": loaded.recipes["theseus"].method,
        "parameters": {**today.parameters, "left": "to its default"},
        "modifiers": [],
        "default": today.default,
    }
    same = entry.model_copy(update={"settings": settings})
    assert departures(loaded, same) == today.departures
    assert tuple(entry_sheet(loaded, same).context["departures"]) == today.departures
    name = next(iter(today.parameters))
    other = {**settings, "parameters": {**today.parameters, name: "another"}}
    assert departures(loaded, entry.model_copy(update={"settings": other})) == entry.departures


def test_the_protocol_page_prints_three_hashed_parts(pages: dict[str, Node]) -> None:
    page = pages["protocol.html"].text
    for name, digest_of in hashes("mini").items():
        assert f"{name.capitalize()}, version" in page and digest_of in page
    assert "9 entries carry" not in page and "17 entries carry this version." in page


def test_what_the_runs_of_several_tasks_began_with_is_drawn_once(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", {"mini": MINI[:2]})
    general = {"phase": "general", "name": "loss", "steps": [1, 2, 3], "values": [3.0, 2.0, 1.5]}
    for task in CORE:
        folder = results / f"mini/runs/theseus/default/{task}-11"
        run = example_results.read(folder, "run.json")
        example_results.forge(folder, "run.json", run | {"curves": [*run["curves"], general]})
    out = board.build(results, tmp_path / "site").parent
    page = Page(out / "tracks/mini/entries/theseus/default.html").root
    curves = next(node for node in page.all("ul") if node.attributes.get("class") == "multiples")
    titles = [node.text for node in curves.all("li") if "general: loss" in node.text]
    assert len(titles) == 1 and titles[0].startswith("CoLA, MRPC, SST-2 and STS-B general: loss")


def test_the_front_page_says_how_many_seeds_its_rows_have(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", {"mini": MINI[:2]})
    path = next(results.glob("mini/entries/*/*.json"))
    said = []
    for kept in (3, 1):
        entry = json.loads(path.read_text(encoding="utf-8"))
        entry["quality"]["cola"]["runs"] = entry["quality"]["cola"]["runs"][:kept]
        path.write_text(json.dumps(entry), encoding="utf-8")
        said.append(board.build(results, tmp_path / "site").read_text(encoding="utf-8"))
    assert ", three seeds each." in said[0]
    assert ", one to three seeds so far, three planned." in said[1]


def test_intervals_of_a_task_with_one_seed_say_what_they_are_over(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", {"mini": MINI[:2]})
    for path in results.glob("mini/entries/*/*.json"):
        entry = json.loads(path.read_text(encoding="utf-8"))
        entry["quality"]["cola"]["runs"] = entry["quality"]["cola"]["runs"][:1]
        path.write_text(json.dumps(entry), encoding="utf-8")
    out = board.build(results, tmp_path / "site").parent
    for page in ("index.html", "tasks/cola.html", "tracks/mini/entries/theseus/default.html"):
        assert Page(out / page).root.text.count(ONE_SEED) == 1, page
    assert ONE_SEED not in Page(out / "tasks/sst2.html").root.text


def test_a_lower_precision_is_picked_and_drawn_by_what_its_own_answers_score(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", {"mini": MINI[:2]})
    path = results / "mini/entries/theseus/default.json"
    entry = json.loads(path.read_text(encoding="utf-8"))
    (line,) = (one for one in entry["speed"] if one["precision"] == "int8")
    change = {"value": -2.0, "interval": [-3.0, -1.0]}
    line["scores"] = {
        task: {"seed": 11, "score": 60.0 + place, "full_precision": 62.0 + place, "change": change}
        for place, task in enumerate(("cola", "mrpc", "sst2", "stsb"))
    }
    path.write_text(json.dumps(entry), encoding="utf-8")
    site = load_site(stored_entries(results), results)
    lower, full = View("cpu-1-thread", "onnx-int8"), View("cpu-1-thread", "onnx")
    found = {one.entry: (one.score, one.interval) for one in explore.candidates(site, "mini", lower)}
    assert found == {"mini/theseus/default": (61.5, None)}, "the reference's 8 bits were not scored"
    assert dict(found) != {one.entry: one.score for one in explore.candidates(site, "mini", full)}
    links = Links("index.html")
    drawn = pareto.figures(site, links, "mini", lower)[0]
    assert "score 61.5, 3.28 times" in drawn.wide and "Reference: score" not in drawn.wide
    (said,) = (one for one in front.answer(site, "mini", lower) if "int8" in one)
    assert "its own answers score 61.5; the scores above are of the runs" in said


def test_the_entry_of_an_older_protocol_says_so(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", {"mini": MINI[:2]})
    path = results / "mini/entries/theseus/default.json"
    old = sha("older protocol")
    path.write_text(path.read_text(encoding="utf-8").replace(training_hash("mini"), old), encoding="utf-8")
    out = board.build(results, tmp_path / "site").parent
    assert (
        "another version than this site’s" in Page(out / "tracks/mini/entries/theseus/default.html").root.text
    )
    assert old in Page(out / "protocol.html").root.text


# --- building -----------------------------------------------------------------------------------------------


def test_no_results_make_a_page_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    index = board.build(tmp_path / "results", tmp_path / "site")
    assert "lightboard run" in Page(index).root.text


def test_only_a_site_is_replaced(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", {"demo": DEMO[:1]})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UserError, match="no site of ours"):
        board.build(results, tmp_path / "mine")
    with pytest.raises(UserError):
        board.build(results, tmp_path)
    assert (tmp_path / "mine" / "thesis.txt").is_file()
    out = board.build(results, tmp_path / "site").parent
    (out / "methods" / "gone.html").write_text("of a recipe that was withdrawn", encoding="utf-8")
    board.build(results, tmp_path / "site")
    assert not (out / "methods" / "gone.html").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "results", "site"]


@pytest.mark.parametrize(
    "place", ["../../../secret", "/etc", "runs/../../../secret/a/b", "entries/reference/x/y"]
)
def test_an_entry_cannot_reach_outside(tmp_path: Path, place: str) -> None:
    results = write_results(tmp_path / "results", {"demo": DEMO[:1]})
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "run.json").write_text('{"password": "hunter2"}', encoding="utf-8")
    path = results / "demo/entries/reference/default.json"
    content = path.read_text(encoding="utf-8")
    path.write_text(content.replace("runs/reference/default/mood-11", place), encoding="utf-8")
    out = board.build(results, tmp_path / "site").parent
    assert not [p for p in out.rglob("*") if p.is_file() and b"hunter2" in p.read_bytes()]
    entry = Page(out / "tracks/demo/entries/reference/default.html").root
    assert "the entry names no document of the layout" in entry.by_id("runs").text


def test_a_linked_folder_is_not_followed(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", {"demo": DEMO[:1]})
    outside = tmp_path / "outside"
    shutil.move(results / "demo/runs/reference", outside)
    (results / "demo/runs/reference").symlink_to(outside, target_is_directory=True)
    out = board.build(results, tmp_path / "site").parent
    assert not list((out / "tracks/demo").glob("evidence/runs/**/*.json"))


def test_the_example_tree_reaches_the_board(tmp_path: Path) -> None:
    """Entries that the index computed from complete documents."""
    index = board.build(example_results.build(tmp_path / "results"), tmp_path / "site")
    root = Page(index).root
    names = " ".join(rows_of(root.by_id("board")))
    for one in example_results.ROWS:
        assert one.recipe in names or one.recipe in root.text.lower()


# --- numbers, words, colours, scales ------------------------------------------------------------------------


def test_numbers_as_printed() -> None:
    assert [text.digits(v) for v in (1.934, 241.3, 17390, 0, 0.02, 4e-7)] == [
        "1.93",
        "241",
        "17,390",
        "0",
        "0.020",
        "<0.001",
    ]
    assert text.fixed(-0.04, 1) == "0.0" and text.fixed(-3.21, 1) == "−3.2"
    assert text.plus_minus(72.4, (71.8, 73.0)) == "±0.6"
    assert text.plus_minus(5.0, (1.0, 6.0)) == "1.0–6.0"
    assert text.span((-1.25, 3.0), 1) == "−1.2 to 3.0"
    assert [text.ordinal(n) for n in (1, 2, 3, 4, 11, 22, 113)] == [
        "1st",
        "2nd",
        "3rd",
        "4th",
        "11th",
        "22nd",
        "113th",
    ]
    assert text.times_faster(1.93, "its teacher") == "1.9 times faster than its teacher"
    assert text.times_faster(0.4, "it") == "2.5 times slower than it"
    assert text.lower_first("One CPU thread") == "one CPU thread" and text.lower_first("CPU") == "CPU"


@given(st.lists(st.floats(0.001, 1e5), min_size=1, max_size=6))
def test_aligned_numbers_are_equally_wide_after_the_point(values: list[float]) -> None:
    shown = text.aligned([text.digits(value) for value in values])
    tails = set()
    for number in shown:
        assert number.rstrip("\u2007\u2008") == number.strip("\u2007\u2008")
        whole = re.match(r"[<\d,]*", number)
        assert whole is not None
        tails.add(len(number) - whole.end())
    assert len(tails) == 1


@given(st.integers(0, 0xFFFFFF))
def test_every_hue_can_be_seen_on_both_grounds(number: int) -> None:
    for ground in colours.PAPER.values():
        assert colours.contrast(colours.on(ground, f"#{number:06x}"), ground) >= colours.MARK_CONTRAST


def test_contrast_is_wcag() -> None:
    assert colours.contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert colours.contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)  # the well-known grey
    assert colours.on(colours.PAPER["light"], "#0072b2") == "#0072b2"  # dark enough already


def test_ink_has_contrast_aa(site: Path) -> None:
    """Every text colour of the style sheet on its ground."""
    style = (site / "style.css").read_text(encoding="utf-8")
    both = re.findall(r"--(\w+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", style)
    light, dark = ({name: inks[place] for name, *inks in both} for place in (0, 1))
    for inks in (light, dark):
        for ground in ("paper", "wash"):
            for ink in ("ink", "soft"):
                assert colours.contrast(inks[ink], inks[ground]) >= 4.5, (ink, ground)
        assert colours.contrast(inks["faint"], inks["paper"]) >= 4.5
        assert colours.contrast(inks["focus"], inks["paper"]) >= 3
    assert (light["paper"], dark["paper"]) == (colours.PAPER["light"], colours.PAPER["dark"])


def test_labels_keep_what_tells_them_apart() -> None:
    label = "Joint learning of nested models, width-100-depth-50"
    assert text.shorten_middle(label, 50) == "Joint learning of nested…odels, width-100-depth-50"
    assert text.shorten_middle(label, 51) == label
    assert text.wrapped("A constant learning rate", 20) == ["A constant learning", "rate"]
    bars = [charts.Bar("A constant learning rate", 1.0, None, "1.0 points", "x", Mark("hue-0", "circle"))]
    drawn = charts.forest(bars, ident="x", title="", description="", axis="points", narrow=True)
    assert ">A constant</text>" in drawn and ">learning rate</text>" in drawn and "…" not in drawn
    long = "No attention loss, neither in general distillation nor on the task"
    drawn = charts.forest(
        [replace(bars[0], label=long)],
        ident="x",
        title="",
        description="",
        axis="points",
        narrow=True,
        above=True,
    )
    assert ">No attention loss, neither in general</text>" in drawn and "…" not in drawn


def point(x: float, y: float, name: str = "p") -> Point:
    return Point(x, y, (x * 0.9, x * 1.1), (y - 1, y + 1), name, name, "#", Mark("hue-none", "circle"), name)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats(places: list[tuple[int, int]]) -> None:
    points = [point(x, y, f"{i}") for i, (x, y) in enumerate(places)]

    def beaten(p: Point, by_more: bool) -> bool:
        better = [
            (q.x >= p.x if by_more else q.x <= p.x) and q.y >= p.y and (q.x, q.y) != (p.x, p.y)
            for q in points
        ]
        return any(better)

    for direction in ("more", "less"):
        found = {(p.x, p.y) for p in scatter.front(points, direction, scatter.place)}  # type: ignore[arg-type]
        assert found == {(p.x, p.y) for p in points if not beaten(p, direction == "more")}


@given(st.floats(1e-3, 1e4), st.floats(1.05, 1e4))
def test_log_axes_have_ticks_inside(low: float, factor_of: float) -> None:
    ticks = charts.log_ticks(low, low * factor_of)
    assert 1 <= len(ticks) <= 12 and ticks == sorted(ticks)
    assert all(low * 0.998 <= tick <= low * factor_of * 1.002 for tick in ticks)


def test_a_line_joins_what_differs_in_one_knob(results: Path) -> None:
    """Of two knobs a line per value of the second; tables go along the lines, a name without a number last."""
    entry = next(e for e in stored_entries(results) if e.recipe == "truncation")
    names = ["full", *(f"width-{width}-depth-{depth}" for depth in (100, 50) for width in (100, 25, 50))]
    of = [entry.model_copy(update={"variant": name}) for name in names]
    lines = {name: variants.family(one) for name, one in zip(names, of, strict=True)}
    assert len(set(lines.values())) == 3
    assert lines["width-25-depth-50"] == lines["width-100-depth-50"] != lines["width-25-depth-100"]
    assert variants.family(entry) == "truncation"
    ordered = [one.variant for one in sorted(of, key=variants.by_knob)]
    assert ordered[:3] == [f"width-{width}-depth-50" for width in (25, 50, 100)] and ordered[-1] == "full"


@given(st.lists(st.tuples(st.floats(0.5, 900), st.floats(-20, 99)), min_size=1, max_size=15))
def test_any_points_can_be_drawn(places: list[tuple[float, float]]) -> None:
    points = [point(x, y, f"method {i}") for i, (x, y) in enumerate(places)]
    for size in (scatter.WIDE, scatter.NARROW):
        drawing = scatter.scatter(
            points,
            [scatter.Line(3.0, "a baseline", "#")],
            ident="x",
            title="t",
            description="d",
            x=Axis("x", "more"),
            y=Axis("y", "more"),
            size=size,
        )
        root = ET.fromstring(drawing)
        for node in root.iter():
            for key in ("cx", "x", "x1", "x2"):
                assert -1 <= float(node.get(key, 0)) <= size.width + 1
            for key in ("cy", "y", "y1", "y2"):
                assert -1 <= float(node.get(key, 0)) <= size.height + 1


def test_what_papers_report_stands_beside_ours_on_base_alone(tmp_path: Path) -> None:
    cases = (
        Case("reference", 83.0, 1.0, 109.5, tasks=track("base").core),
        Case("tinybert", 77.0, 7.9, 14.5, tasks=track("base").core),
        Case("theseus", 80.0, 1.9, 66.9, tasks=track("base").core),  # its source has seven of the eight tasks
    )
    results = write_results(tmp_path, {"base": cases, "mini": MINI})
    loaded = load_site(stored_entries(results), results)
    (one,) = standings(loaded, "base")
    scores = load_recipe("tinybert").about.reported[0].scores
    assert one.score == pytest.approx(statistics.fmean(found.student for found in scores.values()))
    links = Links("index.html")
    view = loaded.default_view("base")
    for figure in pareto.figures(loaded, links, "base", view):
        assert str(figure.wide).count('class="reported"') == 1
        assert "methods/tinybert.html#published-1" in figure.wide
        assert "3 rows drawn" in figure.wide or "Three rows drawn" in figure.wide
        assert "never ranked" in figure.caption
    rows = front.leaderboard(loaded, links, "base")
    added, axes = front.of_view(loaded, links, "base", view, rows), explore.quantities(loaded, "base", view)
    told = explore.data(loaded, links, "base", view, rows, added, axes)
    data = json.loads(told.removeprefix("globalThis.lightboardData = ").rstrip(";\n"))
    assert [(p["entry"], round(p["y"], 1)) for p in data["reported"]] == [
        ("tinybert/default", round(one.score, 1))
    ]
    assert data["y_domain"][0] < one.score < data["y_domain"][1]
    assert standings(loaded, "mini") == []
    assert all(
        "reported" not in f.wide for f in pareto.figures(loaded, links, "mini", loaded.default_view("mini"))
    )


def test_the_mean_of_ratios_is_geometric() -> None:
    ratios = [
        Ratio(value=2.0, interval=(1.8, 2.0**2 / 1.8), pairs=6),
        Ratio(value=8.0, interval=(7.0, 64 / 7), pairs=4),
    ]
    found = mean_ratio(ratios)
    assert found.value == pytest.approx(4.0) and found.pairs == 4
    half = np.sqrt(np.log(2 / 1.8) ** 2 + np.log(8 / 7) ** 2) / 2
    assert found.interval == pytest.approx((4 * np.exp(-half), 4 * np.exp(half)))
    assert mean_ratio([ratios[0], Ratio(value=1.0, interval=None, pairs=2)]).interval is None


def test_a_task_by_task_time_needs_every_core_task(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", {"mini": [Case("early", 69.0, 2.8, 24.1, per_task=True)]})
    (entry,) = stored_entries(results)
    loaded = load_site([entry], results)
    whole = loaded.speed(entry, View("cpu-1-thread"))
    assert isinstance(whole, Shown) and whole.tasks == CORE
    part = entry.model_copy(update={"speed": entry.speed[1:]})
    missing = loaded.speed(part, View("cpu-1-thread"))
    assert isinstance(missing, Missing) and missing.reason.endswith("CoLA not yet")


def test_links_are_relative() -> None:
    assert Links("index.html").to("style.css") == "style.css"
    assert Links("tracks/mini/index.html").task("cola") == "../../tasks/cola.html"


# --- in a browser -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("scheme", browsers.SCHEMES)
@pytest.mark.parametrize("width", browsers.WIDTHS)
def test_in_a_browser(site: Path, pages: dict[str, Node], scheme: str, width: int) -> None:
    """Every page, from files: the style arrives, nothing is refused or fetched, nothing scrolls sideways."""
    with browsers.launched() as browser:
        watched = browsers.Watched(browser, width, scheme)
        for name in pages:
            page = watched.open(site / name)
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == ("rgb(252, 252, 250)" if scheme == "light" else "rgb(21, 23, 26)")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert (watched.complaints, watched.outside) == ([], [])


if __name__ == "__main__":  # python tests/test_board.py OUT: a site to look at
    out = Path(sys.argv[1])
    shutil.rmtree(out / "results", ignore_errors=True)
    print(board.build(write_results(out / "results", {"mini": MINI, "demo": DEMO}), out / "site"))
