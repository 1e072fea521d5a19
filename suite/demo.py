"""``lightboard demo``: the whole path, from recipes to a website, small enough to watch."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from suite.board import build
from suite.documents import Entry, Run
from suite.errors import UserError
from suite.index import index
from suite.loading import recipes
from suite.measure.run import attempt
from suite.pipeline.run import run
from suite.progress import clock, shown
from suite.protocol import track as track_of
from suite.verify import attest, verify

TRACK, PROFILE, RUNTIME = "demo", "quick", "onnx"


def demo(folder: Path, out: Console, err: Console) -> None:
    """Train, time, verify and publish the demo track below ``folder``; ends with a table and the page to open."""
    started, results, track = time.monotonic(), folder / "results", track_of(TRACK)
    names = [recipe.name for recipe in recipes() if TRACK in recipe.tracks and recipe.tracks[TRACK].tour]
    out.print(f"[bold]1[/] training {len(names)} recipes on {len(track.core)} generated tasks")
    with shown(err) as reporter:
        folders = run(names, track=TRACK, results=results, reporter=reporter)
    out.print(f"[bold]2[/] timing on {PROFILE} with {RUNTIME}")
    for recipe, variant in _graphs(folders):
        with err.status(f"timing {recipe}") as status:
            attempt(
                recipe, variant=variant, track=TRACK, profile=PROFILE, runtime=RUNTIME, results=results,
                progress=lambda text: status.update(text),
            ).found()  # fmt: skip
    out.print("[bold]3[/] checking every figure against its evidence")
    index(results)
    report = verify(results)
    if report.problems:
        raise UserError(
            f"verify found {len(report.problems)} problems; the first: {report.problems[0]}", code=1
        )
    attest(report, by="lightboard demo")
    entries = index(results)
    page = build(results, folder / "site")
    out.print(_table(entries))
    out.print(
        "Scores are points on dev, with 95% intervals; rows whose ranks overlap cannot be told apart.\n"
        "Speed is how many times faster than the reference a query is; two process pairs, so without an interval.",
        style="dim",
    )
    out.print(
        f"Done in {clock(time.monotonic() - started)}. Open this page: {page.resolve()}", soft_wrap=True
    )


def _graphs(folders: list[Path]) -> list[tuple[str, str]]:
    """One (recipe, variant) per distinct graph: the others inherit its times."""
    first: dict[str, tuple[str, str]] = {}
    for folder in folders:
        found = Run.model_validate_json((folder / "run.json").read_bytes())
        first.setdefault(found.model.graph, (found.recipe, found.variant))
    return list(dict.fromkeys(first.values()))


def _table(entries: list[Entry]) -> Table:
    table = Table(title="The demo board", title_justify="left")
    for name in ("rank", "model", "score", "parameters", "speed", "ms"):
        table.add_column(name, justify="left" if name == "model" else "right")
    ranked = sorted(entries, key=lambda e: -(e.board_score.value if e.board_score else 0.0))
    for entry in ranked:
        ranks, score, speed = entry.ranks, entry.board_score, entry.speed[0] if entry.speed else None
        low, high = score.interval if score and score.interval else (None, None)
        table.add_row(
            ""
            if ranks is None
            else f"{ranks.lowest}-{ranks.highest}"
            if ranks.lowest < ranks.highest
            else str(ranks.lowest),
            entry.recipe if entry.variant == "default" else f"{entry.recipe}/{entry.variant}",
            ""
            if score is None
            else f"{score.value:.1f}" + ("" if low is None or high is None else f"  [{low:.1f}, {high:.1f}]"),
            f"{entry.cost.parameters.total / 1e6:.1f} M",
            "not timed" if speed is None else f"{speed.ratio.value:.3g}x",
            "" if speed is None or speed.latency_ms.p50 is None else f"{speed.latency_ms.p50:.2g}",
        )
    return table
