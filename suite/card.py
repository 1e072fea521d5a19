"""A Hugging Face model card of an entry: its scores as ``model-index`` results, and how to make them again.

The header is written by a YAML library and every text in the body is escaped, so nothing that an entry says can
become markup or another field.
"""

from __future__ import annotations

import math
from typing import Any

import yaml

from suite import paths, reproduce
from suite.documents import Entry, Quality
from suite.errors import UserError
from suite.loading import load_recipe
from suite.markdown import cell, plain
from suite.protocol import REPORTING, TRACKS
from suite.recipe import About
from suite.tasks import Task
from suite.tasks import task as task_named

# Our metrics as the hub calls them.
METRICS = {
    "accuracy": ("accuracy", "Accuracy"),
    "f1": ("f1", "F1"),
    "matthews": ("matthews_correlation", "Matthews correlation"),
    "pearson": ("pearson", "Pearson correlation"),
    "spearman": ("spearmanr", "Spearman correlation"),
}


def card(entry: Entry) -> str:
    """The card's text: a YAML header between lines of dashes, then Markdown."""
    header = yaml.safe_dump(_header(entry), sort_keys=False, allow_unicode=False, width=100)
    return f"---\n{header}---\n\n" + "\n".join(_body(entry)) + "\n"


def _about(entry: Entry) -> About | None:
    """What the recipe says of itself, where it is here."""
    try:
        return load_recipe(entry.recipe).about if entry.recipe in paths.names("recipes") else None
    except UserError:
        return None


def _task(name: str) -> Task | None:
    try:
        return None if name.endswith((".yaml", ".yml")) else task_named(name)
    except UserError:
        return None


def _title(entry: Entry) -> str:
    about = _about(entry)
    title = about.title if about else entry.recipe
    return title if entry.variant == "default" else f"{title}, {entry.variant}"


# --- the header ---------------------------------------------------------------------------------------------


def _header(entry: Entry) -> dict[str, Any]:
    track = TRACKS.get(entry.track)
    tasks = reproduce.ordered_tasks(entry)
    glue = any((task := _task(name)) is not None and task.hub_config for name in tasks)
    found: dict[str, Any] = {"language": ["en"]}
    if track is not None and entry.recipe not in REPORTING["baselines"].values():
        found["base_model"] = track.teacher.hub
    if glue:
        found["datasets"] = ["nyu-mll/glue"]
    found["metrics"] = sorted(
        {
            METRICS[metric][0]
            for name in tasks
            for metric in _metrics(entry.quality[name])
            if metric in METRICS
        }
    )
    found["pipeline_tag"] = "text-classification"
    found["tags"] = ["bert", "model-compression", "lightboard", entry.method]
    results = [_result(name, entry.quality[name]) for name in tasks]
    found["model-index"] = [{"name": _title(entry), "results": results}]
    return found


def _result(name: str, quality: Quality) -> dict[str, Any]:
    task = _task(name)
    title = task.title if task else name
    dataset: dict[str, Any] = {"name": title, "type": name}
    if task is not None and task.hub_config:
        split = next((task.hub_splits[s] for s in task.dev_splits if s in task.hub_splits), "validation")
        dataset = {"name": f"GLUE {title}", "type": "nyu-mll/glue", "config": task.hub_config, "split": split}
    metrics = []
    for metric, value in _metrics(quality).items():
        kind, said = METRICS.get(metric, (metric, metric))
        metrics.append({"type": kind, "name": f"{said}, mean of {_seeds(quality)}", "value": value})
    return {
        "task": {"type": "text-classification", "name": title},
        "dataset": dataset,
        "metrics": metrics,
    }


def _seeds(quality: Quality) -> str:
    return "one seed" if len(quality.runs) == 1 else f"{len(quality.runs)} seeds"


def _metrics(quality: Quality) -> dict[str, float]:
    """Metric -> mean over the runs, 0 to 1 (correlations from -1)."""
    names = [name for name in quality.runs[0].metrics if all(name in run.metrics for run in quality.runs)]
    return {
        name: math.fsum(run.metrics[name] for run in quality.runs) / len(quality.runs)
        for name in sorted(names)
    }


# --- the body -----------------------------------------------------------------------------------------------


def _body(entry: Entry) -> list[str]:
    about = _about(entry)
    lines = [f"# {plain(_title(entry))}", ""]
    if about is not None:
        lines += [plain(about.idea), ""]
    lines += [
        f"A compressed BERT, trained, scored and timed by Lightboard on its track `{entry.track}` "
        f"(recipe `{entry.recipe}`, variant `{entry.variant}`, division {entry.division}, checked to level "
        f"{entry.level}).",
        "",
        *_scores(entry),
        *_costs(entry),
        *_speeds(entry),
        "## Departures from the published method",
        "",
        *([f"- {plain(text)}" for text in entry.departures] or ["None declared."]),
        "",
        "## Make it again",
        "",
        "```",
        *reproduce.commands(entry),
        "```",
        "",
        f"Recipe hash `{entry.recipe_hash}`.",
        *(f"Protocol, {part}: `{value}`." for part, value in sorted(entry.protocol.items())),
        "",
    ]
    if entry.changelog:
        lines += ["## Changes", ""]
        lines += [f"- {one.date}, {one.action}: {plain(one.reason)}" for one in entry.changelog] + [""]
    if about is not None and about.references:
        lines += ["## References", ""]
        for one in about.references:
            where = f", arXiv {one.arxiv}" if one.arxiv else ""
            lines.append(f"- {plain(one.authors)} ({one.year}). {plain(one.title)}{where}.")
        lines.append("")
    lines += [
        "Scores are on the dev sets, with 95% intervals over examples, and over seeds where a task has several. They "
        "are comparable with rows of the same track and protocol only.",
    ]
    return lines


def _scores(entry: Entry) -> list[str]:
    lines = [
        "## Scores",
        "",
        "| task | score, points | 95% interval | seeds | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in reproduce.ordered_tasks(entry):
        quality = entry.quality[name]
        task = _task(name)
        low, high = quality.interval
        subset = "dev subset: not the official figure" if quality.dev_subset else ""
        lines.append(
            f"| {cell(task.title if task else name)} | {quality.score:.2f} | {low:.2f} to {high:.2f} "
            f"| {len(quality.runs)} | {subset} |"
        )
    board = entry.board_score
    if board is not None:
        ends = f", {board.interval[0]:.2f} to {board.interval[1]:.2f}" if board.interval else ""
        lines += ["", f"Board score: {board.value:.2f} points{ends}."]
    else:
        lines += ["", f"Board score: {plain(entry.board_score_reason or 'none')}."]
    return [*lines, ""]


def _costs(entry: Entry) -> list[str]:
    cost = entry.cost
    at = cost.flops_per_example.get("128")
    lines = [
        "## Cost",
        "",
        f"- {cost.parameters.total:,} parameters, {cost.parameters.without_embeddings:,} without embeddings",
    ]
    if at is not None:
        lines.append(f"- {at / 1e9:.3f} GFLOPs for an example of 128 tokens")
    lines += [f"- {size / 1e6:.1f} MB as {plain(kind)}" for kind, size in sorted(cost.bytes.items())]
    lines.append(f"- {entry.training_cost.tflop:.2f} TFLOP of training, one seed of every task")
    return [*lines, ""]


def _speeds(entry: Entry) -> list[str]:
    lines = ["## Speed", ""]
    if not entry.speed:
        return [*lines, "Not measured yet.", ""]
    lines += ["| profile | runtime | inputs | times the reference | p50, ms | |", "|" + " --- |" * 6]
    for line in entry.speed:
        ends = (
            f" ({line.ratio.interval[0]:.2f} to {line.ratio.interval[1]:.2f})" if line.ratio.interval else ""
        )
        p50 = cell(line.latency_ms.p50_reason or "too few queries")
        if line.latency_ms.p50 is not None:
            p50 = f"{line.latency_ms.p50:.2f}"
        lines.append(
            f"| {cell(line.profile)} | {cell(f'{line.runtime}, {line.precision}')} "
            f"| {cell(f'{line.arrival}, {line.inputs}')} | {line.ratio.value:.2f}{ends} | {p50} | {line.verdict} |"
        )
    return [*lines, ""]
