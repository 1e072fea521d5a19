"""What leaves Lightboard: model cards that the hub reads, tables with units, Markdown in which text stays text."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import example_results as example
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_submit import call

from suite import reproduce
from suite.card import card
from suite.documents import Change, Entry
from suite.export import export, tables
from suite.index import entries
from suite.markdown import cell, plain

HOSTILE = (
    "---\nlicense: evil\n|<script>x</script>`[a](http://b.c)![](x) @you #1 **b** \u202e https://d.e www.f.g"
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.build(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def student(results: Path) -> Entry:
    return next(entry for entry in entries(results) if entry.recipe == "student")


def header_of(text: str) -> dict[str, object]:
    before, header, _ = text.split("---\n", 2)
    assert before == ""
    found: dict[str, object] = yaml.safe_load(header)
    return found


# --- cards --------------------------------------------------------------------------------------------------


def test_the_hub_reads_a_cards_results(student: Entry) -> None:
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import ModelCard

    read = ModelCard(card(student)).data
    assert read.model_name == "student"
    found = {(r.dataset_type, r.metric_type): r.metric_value for r in read.eval_results or ()}
    assert found == {
        (task, "accuracy"): pytest.approx(quality.runs[0].metrics["accuracy"])
        for task, quality in student.quality.items()
    }
    assert read.base_model == "sentence-transformers/all-MiniLM-L6-v2"


def test_the_metrics_of_a_card_are_means_over_seeds(student: Entry) -> None:
    quality = student.quality["mood"]
    second = quality.runs[0].model_copy(update={"seed": 23, "metrics": {"accuracy": 0.5}})
    two = quality.model_copy(update={"runs": (quality.runs[0], second)})
    entry = student.model_copy(update={"quality": {"mood": two}})
    (result,) = header_of(card(entry))["model-index"][0]["results"]  # type: ignore[index]
    (metric,) = result["metrics"]
    assert metric["value"] == pytest.approx((quality.runs[0].metrics["accuracy"] + 0.5) / 2)
    assert metric["name"] == "Accuracy, mean of 2 seeds"


def test_glue_tasks_have_the_hubs_names() -> None:
    root = Path(__file__).parent.parent / "results"
    found = [entry for entry in entries(root) if {"cola", "stsb"} <= set(entry.quality)]
    header = header_of(card(found[0]))
    index = header["model-index"][0]["results"]  # type: ignore[index]
    by_config = {one["dataset"]["config"]: one for one in index}
    assert by_config["cola"]["dataset"] == {
        "name": "GLUE CoLA", "type": "nyu-mll/glue", "config": "cola", "split": "validation",
    }  # fmt: skip
    assert [m["type"] for m in by_config["cola"]["metrics"]] == ["matthews_correlation"]
    assert [m["type"] for m in by_config["stsb"]["metrics"]] == ["pearson", "spearmanr"]
    assert header["datasets"] == ["nyu-mll/glue"]


def test_a_card_holds_the_command_that_makes_it_again(student: Entry) -> None:
    assert "\n".join(["```", *reproduce.commands(student), "```"]) in card(student)


def test_hostile_text_is_only_text_in_a_card(student: Entry) -> None:
    changelog = (Change(date="2026-01-31", action="corrected", reason=HOSTILE, log="log/0001.json"),)
    text = card(student.model_copy(update={"departures": (HOSTILE,), "changelog": changelog}))
    header = header_of(text)
    assert "license" not in header and set(header) == set(header_of(card(student)))
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text.split("---\n", 2)[2])
    inside = [token.type for one in tokens for token in one.children or ()]
    assert not {"link_open", "image", "html_inline", "strong_open", "code_block"} & set(inside)
    assert not [one for one in tokens if one.type == "html_block"]
    for bad in ("<script", "@you", "://", "\u202e", "www."):
        assert bad not in text


@given(st.text())
def test_any_text_is_one_paragraph_of_plain_text(text: str) -> None:
    line = plain(text)
    assert "\n" not in line
    tokens = MarkdownIt("commonmark").enable("table").parse(line)
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    kinds = {child.type for token in tokens for child in token.children or ()}
    assert kinds <= {"text", "text_special"}


@given(st.text(), st.text())
def test_any_text_fits_a_cell(one: str, two: str) -> None:
    row = f"| a | b |\n| --- | --- |\n| {cell(one)} | {cell(two)} |\n"
    tokens = MarkdownIt("commonmark").enable("table").parse(row)
    assert [token.type for token in tokens].count("td_open") == 2
    assert [token.type for token in tokens].count("tr_open") == 2


def test_the_command_prints_or_writes(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, "card", "student/default", "-t", "demo", "--results", str(results))
    assert code == 0 and out.startswith("---\n")
    words = ("card", "demo/student/default", "--results", str(results), "--out", str(tmp_path / "README.md"))
    assert call(capsys, *words)[0] == 0
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == out
    code, _, err = call(capsys, "card", "demo/absent/default", "--results", str(results))
    assert code == 2 and len(err.strip().splitlines()) == 1


# --- tables -------------------------------------------------------------------------------------------------

UNITS = ("points", "fraction", "times", "ms", "bytes", "count", "tflop", "hours", "tokens", "dev")
WITHOUT = {
    "ablation_of",
    "track", "division", "recipe", "variant", "default", "method", "level", "task", "core", "dev_subset", "seed",
    "diverged", "document", "recipe_hash", "profile", "runtime", "precision", "arrival", "inputs", "verdict",
    "inherited", "processor", "rank_lowest", "rank_highest",
    "parameters_total", "parameters_without_embeddings", "parameters_nonzero",
}  # fmt: skip


def test_every_number_has_its_unit_in_the_columns_name(results: Path) -> None:
    for name, frame in tables(results).items():
        for column in frame.columns:
            figure = column.partition("[")[0]
            assert figure in WITHOUT or figure.rsplit("_", 1)[-1] in UNITS, f"{name}: {column}"


def test_the_three_formats_say_the_same_as_the_documents(results: Path, tmp_path: Path) -> None:
    written = {path.name for path in export(results, tmp_path)}
    names = ("entries", "runs", "speeds", "precisions", "differences")
    assert written == {f"{t}.{s}" for t in names for s in ("parquet", "csv", "json")}
    stored = entries(results)
    records = json.loads((tmp_path / "runs.json").read_text(encoding="utf-8"))
    assert len(records) == sum(len(q.runs) for entry in stored for q in entry.quality.values())
    for record in records:
        document = json.loads((results / record["track"] / record["document"] / "run.json").read_text())
        assert (record["seed"], record["score_points"]) == (document["seed"], document["score"])
        assert record["accuracy_fraction"] == document["metrics"]["accuracy"]
    speeds = pd.read_parquet(tmp_path / "speeds.parquet")
    assert len(speeds) == sum(len(entry.speed) for entry in stored)
    for _, row in speeds.iterrows():
        document = json.loads((results / row["track"] / row["document"] / "measurement.json").read_text())
        assert row["speedup_times"] == document["ratio"]["value"]
        assert row["p50_ms"] == document["latency_ms"]["p50"]
    for name in ("entries", "runs", "speeds"):
        frame = pd.read_parquet(tmp_path / f"{name}.parquet")
        listed = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            lines = list(csv.DictReader(stream))
        assert len(frame) == len(listed) == len(lines) > 0
        for column in frame.columns:
            for value, other, text in zip(
                frame[column], (r[column] for r in listed), (r[column] for r in lines), strict=True
            ):
                if pd.isna(value):
                    assert other is None and text == ""
                elif isinstance(value, str):
                    assert value == other == text
                else:
                    assert float(value) == float(other)
                    assert text == str(value) or float(text) == float(value)


def test_an_export_is_the_same_every_time_and_needs_nothing_heavy(results: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from suite import card, compare, export, index, log, migrations;"
        "export.export(Path(sys.argv[1]), Path(sys.argv[2])); card.card(index.entries(sys.argv[1])[0]);"
        "print([m for m in ('torch', 'transformers', 'datasets', 'evaluate', 'sklearn') if m in sys.modules])"
    )
    export(results, tmp_path / "a")
    command = [sys.executable, "-c", code, str(results), str(tmp_path / "b")]
    environment = {**os.environ, "PYTHONHASHSEED": "5", "LC_ALL": "C"}
    told = subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=300)
    assert told.stdout.strip() == "[]"
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


# --- commands on the board ----------------------------------------------------------------------------------


def test_a_variant_is_named_where_it_is_not_the_default(results: Path) -> None:
    by_name = {f"{e.recipe}/{e.variant}": e for e in entries(results)}
    fast = [
        line for line in reproduce.commands(by_name["early/fast"]) if line.startswith("lightboard measure")
    ]
    slow = [
        line for line in reproduce.commands(by_name["early/slow"]) if line.startswith("lightboard measure")
    ]
    assert fast and all(re.search(r" --variant fast$", line) for line in fast)
    assert slow and not any("--variant" in line for line in slow)
