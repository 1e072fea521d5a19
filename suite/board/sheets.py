"""An entry's data sheet: every figure, then the evidence that it follows from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from pydantic import BaseModel

from suite.board import cells, charts
from suite.board.charts import Trace
from suite.board.front import (
    SUBSET,
    cost_cells,
    file_size,
    level_cell,
    may_diverge,
    named_row,
    rank_cell,
    rank_words,
    score_cells,
    speed_cells,
    training_cell,
)
from suite.board.site import PROTOCOL, Links, Shown, Site, View, anchor, evidence_folder, known_track
from suite.board.tables import Cell, Column, Row, Table, gap, table, value
from suite.board.text import (
    Missing,
    bytes_words,
    counted,
    digits,
    field_label,
    fixed,
    level_words,
    listed,
    number_word,
    ordinal,
    plain_value,
    plus_minus,
    rank_range,
    ratio_span,
    seconds_words,
    sentence,
    shorten,
    span,
    times_faster,
)
from suite.canonical import pretty_json
from suite.documents import Attestation, Entry, Estimate, Latency, Measurement, Run, Speed
from suite.protocol import hashes


@dataclass(frozen=True)
class Fact:
    """A line of a two-column list."""

    label: str
    text: str
    declared: bool = False
    ident: str | None = None
    note: str = ""
    missing: bool = False


@dataclass(frozen=True)
class Curves:
    """A task's training curves, one small chart per logged quantity."""

    title: str
    ident: str
    charts: tuple[tuple[str, Markup], ...]


@dataclass(frozen=True)
class FoundCell:
    """A searched network: its cell as a drawing and as a table, and what the search says of itself."""

    title: str
    said: str
    drawing: Markup
    edges: Table
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Timing:
    """One measurement document, told in full."""

    ident: str
    title: str
    said: str
    facts: tuple[Fact, ...]
    lengths: Table | None
    state: Table | None
    machine: tuple[Fact, ...]
    versions: tuple[Fact, ...]
    files: tuple[tuple[str, str], ...]
    checks: tuple[str, ...]
    reason: str = ""


def facts_of(document: BaseModel, names: Iterable[str]) -> list[Fact]:
    """Fields of a document with their origin: the declared ones are someone's word, and set so."""
    fields = type(document).model_fields
    found = []
    for name in names:
        extra = fields[name].json_schema_extra
        declared = isinstance(extra, Mapping) and extra.get("origin") == "declared"
        given = getattr(document, name)
        found.append(Fact(field_label(name), plain_value(given, name), declared, missing=given is None))
    return found


# --- the figures at the top ---------------------------------------------------------------------------------


def figures(site: Site, entry: Entry, view: View, links: Links) -> list[Fact]:
    """The dozen numbers that someone who chooses wants to see first."""
    shown = site.speed(entry, view)
    score = entry.board_score
    parameters = entry.cost.parameters
    known = known_track(entry.track)
    rank = rank_range(entry.ranks.lowest, entry.ranks.highest) if entry.ranks else "not ranked"
    found = [
        Fact(
            "Board score",
            fixed(score.value, 1) if score else "none",
            ident="score",
            note=(plus_minus(score.value, score.interval) if score.interval else "no interval")
            + (f", mean of {listed(site.task(t).title for t in known.core)}" if known else "")
            if score
            else sentence(entry.board_score_reason or "core tasks are missing"),
            missing=score is None,
        ),
        Fact("Rank", rank, ident="rank", note=rank_words(entry), missing=entry.ranks is None),
    ]
    if isinstance(shown, Shown):
        where = site.on_profile(view.profile) if view.profile else ""
        interval = ratio_span(shown.ratio.interval) if shown.ratio.interval else "no interval"
        noisy = "; noisy" if shown.noisy else ""
        found.append(
            Fact(
                "Speed",
                f"{digits(shown.ratio.value, 3, 2)}×",
                note=f"{interval}; {times_faster(shown.ratio.value, 'the reference')} {where}, "
                f"{shown.runtime}{noisy}",
            )
        )
        if shown.p50 is not None:
            tail = f"; nine in ten within {digits(shown.p90)} ms" if shown.p90 is not None else ""
            found.append(Fact("Latency", f"{digits(shown.p50, 3, 2)} ms", note=f"median query{tail}"))
        found.append(
            Fact("Memory", bytes_words(shown.memory), ident="memory", note="peak, above a loaded interpreter")
        )
    else:
        found.append(Fact("Speed", "none", note=sentence(shown.reason), missing=True))
    body = f"{parameters.without_embeddings:,} without embeddings"
    if parameters.nonzero != parameters.total:
        body += f"; {parameters.nonzero:,} non-zero"
    found.append(Fact("Parameters", f"{parameters.total:,}", ident="parameters", note=body))
    flops = entry.cost.flops_per_example
    at = flops.get("128")
    others = [
        f"{digits(v / 1e9)} G on {_length_words(site, key)}"
        for key, v in sorted(flops.items())
        if key != "128"
    ]
    found.append(
        Fact(
            "FLOPs at 128 tokens",
            f"{digits(at / 1e9)} G" if at is not None else "none",
            ident="flops",
            note="; ".join(others) if others else "one multiply-accumulate is two FLOPs",
            missing=at is None,
        )
    )
    size = file_size(entry, shown)
    files = "; ".join(f"{key} {bytes_words(v)}" for key, v in sorted(entry.cost.bytes.items()))
    found.append(
        Fact(
            "Model file",
            bytes_words(size[0]) if size else "none",
            ident="bytes",
            note=files or "no file recorded",
            missing=size is None,
        )
    )
    cost = entry.training_cost
    budget = (
        f"budget {digits(cost.budget_tflop)} TFLOP"
        if cost.budget_tflop is not None
        else "no budget on this track"
    )
    found.append(
        Fact(
            "Training",
            f"{digits(cost.tflop)} TFLOP",
            ident="training",
            note=f"{digits(cost.device_hours)} device-hours, {cost.tokens:,} tokens, "
            f"{counted(len(entry.quality), 'task')}, one seed each; {budget}",
        )
    )
    words = level_words(entry.level, entry.retrained)
    found.append(Fact("Checked", words, ident="level", note=_LEVELS[entry.level]))
    return found


_LEVELS = {
    "valid": "The documents are whole and follow from one another where no data is needed.",
    "rescored": "Metrics were recomputed from the predictions and the gold labels.",
    "recounted": "Also parameters, FLOPs and times were recomputed from the evidence.",
    "replayed": "Also the shipped weights gave the predictions again.",
    "retrained": "Also a training with new seeds gave a score within the expected range.",
}


def _length_words(site: Site, key: str) -> str:
    if key.startswith("dev/"):
        return f"{site.task(key.removeprefix('dev/')).title}’s true lengths"
    return "the dev sets’ true lengths" if key == "dev" else f"{key} tokens"


# --- quality ------------------------------------------------------------------------------------------------


def ordered_tasks(entry: Entry) -> list[str]:
    known = known_track(entry.track)
    order = {task: i for i, task in enumerate(known.tasks)} if known else {}
    missing = [task for task in (known.core if known else ()) if task not in entry.quality]
    return sorted([*entry.quality, *missing], key=lambda task: (order.get(task, len(order)), task))


def quality(site: Site, entry: Entry, links: Links) -> Table:
    known = known_track(entry.track)
    columns = [
        Column("Task", kind="text"),
        Column("Score", "points"),
        Column("95% interval"),
        Column("Retention", "share"),
        Column("Runs"),
        Column("Kind", kind="text"),
    ]
    rows = []
    for task in ordered_tasks(entry):
        name = Cell(text=site.task(task).title, href=links.task(task))
        core = "core" if known and task in known.core else "extended"
        found = entry.quality.get(task)
        if found is None:
            rows.append(Row(name, (gap(Missing("no run yet"), 4), Cell(text=core)), ident=f"task-{task}"))
            continue
        said = [core, *([SUBSET] if found.dev_subset else [])]
        rows.append(
            Row(
                name,
                (
                    value(fixed(found.score, 1), href="#runs"),
                    Cell(text=span(found.interval, 1), number=False),
                    retention_cell(found.retention, found.retention_reason),
                    Cell(text=str(len(found.runs)), number=True),
                    Cell(text=", ".join(said)),
                ),
                ident=f"task-{task}",
            )
        )
    notes = [
        f"{site.task(t).title}: {n}" for t in ordered_tasks(entry) if (n := site.task_note(entry.track, t))
    ]
    return table("Score by task", columns, rows, "quality", notes=notes)


def retention_cell(retention: Estimate | None, reason: str | None, href: str | None = None) -> Cell:
    if retention is None:
        return Cell(reason=reason or "not computed", href=href)
    small = span(retention.interval, 2) if retention.interval else "no interval"
    return value(fixed(retention.value, 2), small, href)


def runs(site: Site, entry: Entry, links: Links) -> Table:
    columns = [
        Column("Run", kind="text"),
        Column("Score", "points"),
        Column("Metrics", kind="text"),
        Column("Calibration", "error, Brier", kind="text"),
        Column("Dev rows"),
        Column("Training", "TFLOP"),
        Column("Evidence", kind="text"),
    ]
    rows = []
    for task in ordered_tasks(entry):
        found = entry.quality.get(task)
        for line in found.runs if found else ():
            document = site.evidence.run(entry.track, line.run)
            metrics = ", ".join(f"{field_label(k)} {fixed(v, 3)}" for k, v in sorted(line.metrics.items()))
            tags = tuple(
                tag
                for tag, true in (
                    ("diverged", line.diverged and may_diverge(entry)),
                    (SUBSET, found and found.dev_subset),
                )
                if true
            )
            name = Cell(text=f"{site.task(task).title}, seed {line.seed}")
            if isinstance(document, Missing):
                cells: tuple[Cell, ...] = (
                    value(fixed(line.score, 2)),
                    Cell(text=metrics),
                    gap(document, 3),
                    gap(document),
                )
            else:
                href = links.to(evidence_folder(entry.track, line.run)) + "/run.json"
                dev = sum(split.rows for split in document.data.dev.values())
                calibration = ", ".join(
                    fixed(v, 3) for _, v in sorted(document.calibration.items(), reverse=True)
                )
                cells = (
                    value(fixed(line.score, 2), f"±{fixed(document.score_sd, 2)} sampling", href),
                    Cell(text=metrics),
                    Cell(text=calibration) if calibration else Cell(reason="regression: none"),
                    Cell(text=f"{dev:,}", number=True),
                    value(digits(document.training_cost.tflop)),
                    Cell(text="run.json", href=href),
                )
            rows.append(Row(name, cells, ident=f"run-{anchor(line.run)}", tags=tags))
    return table("Every run, by task and seed", columns, rows, "runs")


def data(site: Site, entry: Entry, links: Links) -> Table | None:
    columns = [
        Column("Task", kind="text"),
        Column("Source", kind="text"),
        Column("Train", "rows"),
        Column("Selection", "rows"),
        Column("Dev", "rows", kind="text"),
        Column("Dev fingerprint", kind="text"),
    ]
    rows = []
    for task, document in first_runs(site, entry).items():
        used = document.data
        dev = ", ".join(
            f"{split.rows:,}" + (f" ({name})" if len(used.dev) > 1 else "")
            for name, split in sorted(used.dev.items())
        )
        prints = ", ".join(
            split.fingerprint.removeprefix("sha256:")[:12] for _, split in sorted(used.dev.items())
        )
        rows.append(
            Row(
                Cell(text=site.task(task).title, href=links.task(task)),
                (
                    Cell(text=used.source, declared=True),
                    Cell(text=f"{used.train.rows:,}", number=True),
                    Cell(text=f"{used.selection.rows:,}", number=True),
                    Cell(text=dev),
                    Cell(text=prints),
                ),
                tags=(SUBSET,) if used.dev_subset else (),
            )
        )
    return table("Which examples", columns, rows, "data") if rows else None


def run_documents(site: Site, entry: Entry) -> list[tuple[str, Run]]:
    """Task and run document of every run that is in the results tree."""
    found = []
    for task in ordered_tasks(entry):
        for line in entry.quality[task].runs if task in entry.quality else ():
            document = site.evidence.run(entry.track, line.run)
            if isinstance(document, Run):
                found.append((task, document))
    return found


def first_runs(site: Site, entry: Entry) -> dict[str, Run]:
    found: dict[str, Run] = {}
    for task, document in run_documents(site, entry):
        found.setdefault(task, document)
    return found


# --- searched networks --------------------------------------------------------------------------------------


def found_cells(site: Site, entry: Entry) -> list[FoundCell]:
    """The cell of every run whose configuration has one; runs of a task that found the same share a drawing."""
    seeds: dict[tuple[str, cells.Graph], list[Run]] = {}
    for task, document in run_documents(site, entry):
        if (graph := cells.graph_of(document.model.config)) is not None:
            seeds.setdefault((task, graph), []).append(document)
    found = []
    for number, ((task, graph), documents) in enumerate(seeds.items()):
        runs = listed(str(document.seed) for document in documents)
        title = f"{site.task(task).title}, seed{'s' if len(documents) > 1 else ''} {runs}"
        found.append(
            FoundCell(
                title,
                graph.said,
                cells.drawing(graph, ident=f"cell-{number}", title=f"The cell found for {title}"),
                cells.twin(
                    graph, ident=f"cell-{number}-edges", caption=f"Edges of the cell found for {title}"
                ),
                tuple(_search_facts(documents)),
            )
        )
    return found


def _search_facts(documents: Sequence[Run]) -> list[Fact]:
    """Single numbers and words that a configuration holds under ``search``, the runs side by side."""
    searches = [document.model.config.get("search") for document in documents]
    if not all(isinstance(search, Mapping) for search in searches):
        return []
    plain = [
        {k: v for k, v in search.items() if v is not None and isinstance(v, int | float | str)}
        for search in searches
        if isinstance(search, Mapping)
    ]
    return [
        Fact(
            shorten(field_label(key), 40),
            listed(shorten(plain_value(one.get(key, "none")), 60) for one in plain),
        )
        for key in list(plain[0])[:12]
    ]


# --- cost ---------------------------------------------------------------------------------------------------


def stages(site: Site, entry: Entry) -> Table | None:
    """What training took, stage by stage; a stage that several runs shared is counted once."""
    keys: dict[str, tuple[str, bool, float, int, float]] = {}
    for _, document in run_documents(site, entry):
        for stage in document.stages:
            keys[stage.key] = (stage.stage, stage.shared, stage.tflop, stage.tokens, stage.seconds)
    sums: dict[tuple[str, bool], list[float]] = {}
    for name, shared, tflop, tokens, seconds in keys.values():
        line = sums.setdefault((name, shared), [0, 0.0, 0, 0.0])
        for i, amount in enumerate((1, tflop, tokens, seconds)):
            line[i] += amount
    if not sums:
        return None
    columns = [
        Column("Stage", kind="text"),
        Column("Made", "times"),
        Column("Training", "TFLOP"),
        Column("Tokens"),
        Column("Time", kind="text"),
        Column("Counts", kind="text"),
    ]
    rows = [
        Row(
            Cell(text=name),
            (
                Cell(text=f"{line[0]:,.0f}", number=True),
                value(digits(line[1])),
                Cell(text=f"{line[2]:,.0f}", number=True),
                Cell(text=seconds_words(line[3])),
                Cell(text="shared: outside the budget" if shared else "inside the budget"),
            ),
        )
        for (name, shared), line in sorted(
            sums.items(), key=lambda item: (item[0][1], -item[1][1], item[0][0])
        )
    ]
    return table("What training took, all runs together", columns, rows, "stages")


def exits(site: Site, entry: Entry) -> Table | None:
    """Which share of the dev examples left at which exit, all seeds together; None without early exits."""
    counts: dict[str, dict[int, int]] = {}
    depth = 0
    for task, document in run_documents(site, entry):
        depth = max([depth, *(op.block for op in document.model.ops)])
        of_task = counts.setdefault(task, {})
        for exit, lengths in document.model.exits.items():
            if exit.isdecimal():  # what else it may be is for verify to refuse
                of_task[int(exit)] = of_task.get(int(exit), 0) + sum(lengths.values())
    counts = {task: of_task for task, of_task in counts.items() if sum(of_task.values())}
    depth = max([min(depth, 48), *(exit for of_task in counts.values() for exit in of_task if exit <= 48)])
    if not counts:
        return None
    numbers = range(1, depth + 1)
    columns = [
        Column("Task", kind="text"),
        Column("Mean exit"),
        *(Column(f"Exit {exit}", "percent") for exit in numbers),
    ]
    rows = []
    for task, of_task in counts.items():
        examples = sum(of_task.values())
        mean = sum(exit * count for exit, count in of_task.items()) / examples
        shares = [value(fixed(100 * of_task.get(exit, 0) / examples, 1)) for exit in numbers]
        rows.append(Row(Cell(text=site.task(task).title), (value(fixed(mean, 2)), *shares)))
    notes = [
        "An example that leaves at exit k has been through the first k blocks; its later ones are not computed."
    ]
    return table("Where the dev examples leave", columns, rows, "exits", notes=notes)


# --- speed --------------------------------------------------------------------------------------------------


def speeds(site: Site, entry: Entry, links: Links) -> Table | None:
    if not entry.speed:
        return None
    columns = [
        Column("Measured on", kind="text"),
        Column("Runtime", kind="text"),
        Column("Arrival, inputs", kind="text"),
        Column("Speed", "times the reference’s"),
        Column("From compression alone", "times, same runtime"),
        Column("p50", "ms"),
        Column("p90", "ms"),
        Column("p99", "ms"),
        Column("Memory", "MB"),
        Column("File", "MB"),
        Column("Verdict", kind="text"),
    ]
    rows = []
    for line in entry.speed:
        noisy = line.verdict == "noisy"
        href = f"#{anchor(line.measurement)}"
        document = site.measured(entry.track, line.measurement)
        task = document.task if isinstance(document, Measurement) else None
        inputs = f"{line.arrival}, {line.inputs}" + (f", {site.task(task).title}" if task else "")
        alone: Cell
        if line.alone_ratio is None:
            alone = Cell(reason="reference not timed in this runtime")
        else:
            alone = value(
                digits(line.alone_ratio.value, 3, 2),
                _ratio_note(line.alone_ratio.interval, line.alone_ratio.pairs),
                faint=noisy,
            )
        rows.append(
            Row(
                Cell(text=site.profile_title(line.profile), href=links.profile(line.profile)),
                (
                    Cell(
                        text=line.runtime if line.precision == "fp32" else f"{line.runtime}, {line.precision}"
                    ),
                    Cell(text=inputs),
                    value(
                        digits(line.ratio.value, 3, 2),
                        _ratio_note(line.ratio.interval, line.ratio.pairs),
                        href,
                        faint=noisy,
                    ),
                    alone,
                    *_percentiles(line.latency_ms, noisy, href),
                    value(digits(line.peak_memory_bytes / 1e6, 3, 1)),
                    value(digits(line.model_bytes / 1e6, 4, 1)),
                    Cell(text=line.verdict + (", inherited" if line.inherited else ""), href=href),
                ),
            )
        )
    return table("Every measurement", columns, rows, "speed", notes=_speed_notes(entry.speed))


def _speed_notes(lines: Sequence[Speed]) -> list[str]:
    notes = []
    if any(line.inherited for line in lines):
        notes.append("Inherited: timed on another run whose model has the same operations, shapes and types.")
    if any(line.verdict == "noisy" for line in lines):
        notes.append(
            "Noisy (grey): single queries scattered more than the protocol calls stable; the interval stands."
        )
    if any(line.precision != "fp32" for line in lines) and any(line.precision == "fp32" for line in lines):
        notes.append(
            "Scores are of full precision; a time at lower precision says nothing of the answers’ quality."
        )
    if any(line.ratio.interval is None for line in lines):
        notes.append("Where there are too few process pairs for an interval, none is printed.")
    return notes


def _ratio_note(interval: tuple[float, float] | None, pairs: int) -> str:
    return ratio_span(interval) if interval else f"{counted(pairs, 'pair')}, no interval"


def _percentiles(latency: Latency, noisy: bool, href: str) -> list[Cell]:
    given = (
        (latency.p50, None),
        (latency.p90, latency.p90_reason),
        (latency.p99, latency.p99_reason),
    )
    return [
        Cell(reason=reason or "too few queries")
        if at is None
        else value(digits(at, 3, 2), href=href, faint=noisy)
        for at, reason in given
    ]


def timings(site: Site, entry: Entry, links: Links) -> list[Timing]:
    """Every measurement that the entry names, once; no two under one title."""
    found: dict[str, Timing] = {}
    titles: dict[str, int] = {}
    for line in entry.speed:
        if line.measurement not in found:
            title = _timing_title(site, entry, line)
            titles[title] = titles.get(title, 0) + 1
            title += f", {ordinal(titles[title])}" if titles[title] > 1 else ""
            found[line.measurement] = _timing(site, entry, line, links, title)
    return list(found.values())


def _timing_title(site: Site, entry: Entry, line: Speed) -> str:
    document = site.measured(entry.track, line.measurement)
    task = document.task if isinstance(document, Measurement) else None
    parts = [site.profile_title(line.profile), line.runtime, line.arrival, line.inputs]
    return ", ".join([*parts, site.task(task).title] if task else parts)


def _timing(site: Site, entry: Entry, line: Speed, links: Links, title: str) -> Timing:
    ident = anchor(line.measurement)
    document = site.measured(entry.track, line.measurement)
    if isinstance(document, Missing):
        return Timing(ident, title, "", (), None, None, (), (), (), (), reason=document.reason)
    m = document
    against = (
        f"reference in {m.reference_runtime}" if m.against == "reference" else "reference in the same runtime"
    )
    speed = times_faster(m.ratio.value, "the reference")
    folder = links.to(evidence_folder(entry.track, line.measurement))
    facts = [
        *facts_of(m, ("date", "runtime", "precision", "arrival", "inputs", "shapes")),
        Fact("against", against, declared=True),
        Fact("process pairs", f"{m.ratio.pairs}" + ("" if m.ratio.interval else ", too few for an interval")),
        Fact("residual", f"{fixed(m.residual, 3)} ({m.verdict})"),
        Fact("reference’s own time", _times(m.reference_latency_ms)),
        Fact("this model’s time", _times(m.latency_ms)),
        Fact("queries in the trace", f"{len(m.trace_lengths)}, {_lengths(m.trace_lengths)}"),
        *facts_of(m, ("repeats",)),
        Fact(
            "same answers",
            f"{'yes' if m.answers.equal else 'no'}: {m.answers.queries} timed outputs differ from the "
            f"scored ones by at most {m.answers.largest_difference:.2g} (allowed {m.answers.tolerance:.2g})",
        ),
        Fact(
            "repeat check",
            f"{'passed' if m.repeat_check.passed else 'failed'}: different inputs take "
            f"{fixed(m.repeat_check.ratio, 3)} of one repeated input’s time",
        ),
        Fact(
            "memory",
            f"{bytes_words(m.memory.peak_bytes)} peak, above {bytes_words(m.memory.baseline_bytes)} of a "
            "loaded interpreter",
        ),
        Fact("load", seconds_words(m.once.load_seconds)),
        Fact("first query", seconds_words(m.once.first_query_seconds)),
        Fact("tokenising", _tokenising(m.once.tokenise_seconds_per_example)),
        Fact("model file", f"{m.model_file.removeprefix('sha256:')[:12]}, {bytes_words(m.model_bytes)}"),
        Fact("graph", m.graph.removeprefix("sha256:")[:12]),
    ]
    machine = facts_of(
        m.machine,
        (
            "cpu",
            "cores",
            "smt",
            "max_mhz",
            "memory_bytes",
            "virtual",
            "affinity",
            "cgroup_cpu_limit",
            "kernel",
            "flags",
        ),
    )
    held = [
        Fact(f"needs {field_label(k)}", "held" if v else "did not hold")
        for k, v in sorted(m.machine.requirements.items())
    ]
    return Timing(
        ident,
        title,
        sentence(f"{speed} {site.on_profile(line.profile)}"),
        tuple(facts),
        _by_length(m, ident, title),
        _state(m, ident, title),
        (*machine, *held),
        tuple(Fact(k, v, declared=True) for k, v in sorted(m.versions.items())),
        tuple((name, f"{folder}/{name}") for name in site.evidence.names(entry.track, line.measurement)),
        tuple(_check_words(site, entry.track, line.measurement)),
    )


def _by_length(m: Measurement, ident: str, title: str) -> Table | None:
    """How time grows with length, where that was measured."""
    if not m.by_length:
        return None
    rows = [
        Row(
            value(f"{at.tokens}"),
            (
                value(fixed(at.ratio.value, 2), ratio_span(at.ratio.interval) if at.ratio.interval else ""),
                value(digits(at.latency_ms)),
                value(digits(at.reference_latency_ms)),
            ),
        )
        for at in m.by_length
    ]
    columns = [
        Column("Length", "tokens"),
        Column("Speed", "times the reference"),
        Column("This model", "ms"),
        Column("Reference", "ms"),
    ]
    return table(f"Time by length: {title}", columns, rows, f"{ident}-lengths")


def _tokenising(seconds: float | None) -> str:
    return (
        "not measured: a device kit holds no texts"
        if seconds is None
        else f"{seconds_words(seconds)} an example"
    )


def _times(latency: Latency) -> str:
    parts = [
        f"{name} {digits(at)} ms"
        for name, at in (("p50", latency.p50), ("p90", latency.p90), ("p99", latency.p99))
        if at is not None
    ]
    return ", ".join(parts) or "too few queries"


def _lengths(lengths: Sequence[int]) -> str:
    if not lengths:
        return "lengths not recorded"
    ordered = sorted(lengths)
    return f"{ordered[0]} to {ordered[-1]} tokens, median {ordered[len(ordered) // 2]}"


def _state(m: Measurement, ident: str, title: str) -> Table:
    before, after = m.machine.before, m.machine.after
    rows = [
        Row(
            Cell(text=field_label(name)),
            tuple(
                Cell(reason="not said by this machine")
                if (given := getattr(state, name)) is None
                else Cell(text=plain_value(given, name))
                for state in (before, after)
            ),
        )
        for name in type(before).model_fields
    ]
    columns = [Column("State", kind="text"), Column("Before"), Column("After")]
    return table(f"Before and after: {title}", columns, rows, f"state-{ident}")


def _check_figures(one: Attestation) -> str:
    """What a retraining or a replay found, in brackets; empty for other checks."""
    found = one.evidence
    if found is None:
        return ""
    if found.score is not None and found.interval is not None:
        low, high = found.interval
        return f" ({found.score:.2f} in {len(found.seeds)} new seeds, expected {low:.2f} to {high:.2f})"
    if found.largest_difference is not None and found.tolerance is not None:
        return f" (scores differ by {found.largest_difference:.1g}, {found.tolerance:.1g} is allowed)"
    return ""


def _check_words(site: Site, track: str, place: str) -> list[str]:
    return [
        f"{one.date}: {one.level}, {one.outcome}{_check_figures(one)}, by {shorten(one.by, 80)} "
        f"with Lightboard {shorten(one.lightboard, 20)}"
        for one in sorted(site.evidence.checks(track, place), key=lambda a: (a.date, a.level, a.by))
    ]


# --- the rest -----------------------------------------------------------------------------------------------


def curves(site: Site, entry: Entry, tasks: Sequence[str], ident: str = "curve") -> list[Curves]:
    """Training curves of some tasks, one line per seed."""
    documents = run_documents(site, entry)
    found = []
    for task in tasks:
        traces: dict[tuple[str, str], list[Trace]] = {}
        for of, document in documents:
            if of != task:
                continue
            for line in document.curves:
                if line.steps and len(line.steps) == len(line.values):
                    one = Trace(f"seed {document.seed}", line.steps, line.values)
                    traces.setdefault((line.phase, line.name), []).append(one)
        drawn = []
        for number, ((phase, name), seeds) in enumerate(sorted(traces.items())):
            title = f"{phase}: {field_label(name)}"
            ends = [one.values[-1] for one in seeds]
            said = (
                f"{site.task(task).title}, {counted(len(seeds), 'seed')}, "
                f"{max(one.steps[-1] for one in seeds):,} steps; "
                f"ends at {listed(f'{v:.3g}' for v in ends)}."
            )
            chart = charts.curve(
                seeds,
                ident=f"{ident}-{task.replace('.', '-')}-{number}",
                title=title,
                description=said,
                mark=site.mark(entry.recipe),
            )
            drawn.append((title, chart))
        if drawn:
            found.append(Curves(site.task(task).title, f"{ident}-{task}", tuple(drawn)))
    return found


@dataclass(frozen=True)
class Surroundings:
    """Software and processor that some of the runs were made with."""

    runs: str
    facts: tuple[Fact, ...]
    versions: tuple[Fact, ...]


def environments(site: Site, entry: Entry) -> list[Surroundings]:
    groups: dict[str, tuple[Run, list[str]]] = {}
    for task, document in run_documents(site, entry):
        key = document.environment.model_dump_json()
        groups.setdefault(key, (document, []))[1].append(f"{site.task(task).title} seed {document.seed}")
    found = []
    for document, names in groups.values():
        one = document.environment
        which = "all runs" if len(groups) == 1 else listed(names) if len(names) <= 6 else f"{len(names)} runs"
        facts = facts_of(one, ("cpu", "cores", "threads", "accelerator", "cpu_flags"))
        facts = [fact if not fact.missing else Fact(fact.label, "none", True) for fact in facts]
        versions = tuple(Fact(name, version, declared=True) for name, version in sorted(one.versions.items()))
        found.append(Surroundings(which, tuple(facts), versions))
    return found


def evidence(site: Site, entry: Entry, links: Links) -> list[tuple[str, list[tuple[str, str]], list[str]]]:
    """Document, its files, and who checked it."""
    found = []
    places = [line.run for q in entry.quality.values() for line in q.runs]
    for place in places:
        folder = links.to(evidence_folder(entry.track, place))
        files = [(name, f"{folder}/{name}") for name in site.evidence.names(entry.track, place)]
        found.append((place, files, _check_words(site, entry.track, place)))
    return found


def protocol_lines(entry: Entry, links: Links) -> list[tuple[str, str, str]]:
    """Part, hash, and whether that is the protocol of today."""
    current = hashes(entry.track)
    lines: list[tuple[str, str, str]] = []
    for name, part in PROTOCOL.items():
        given = entry.protocol.get(name)
        if given is None:
            lines.append((name, "none", "not recorded"))
            continue
        same = given == current[name]
        lines.append(
            (
                name,
                given,
                f"version {part['version']}" if same else "another version than this site’s",
            )
        )
    return lines


def summary(site: Site, entry: Entry, view: View) -> str:
    """One sentence under the title."""
    shown = site.speed(entry, view)
    parts = []
    if entry.board_score:
        score = entry.board_score
        interval = f" {plus_minus(score.value, score.interval)}" if score.interval else ""
        parts.append(f"scores {fixed(score.value, 1)}{interval} on the {entry.track} track")
    else:
        known = known_track(entry.track)
        core = known.core if known else ()
        done = sum(task in entry.quality for task in core)
        parts.append(
            f"has {number_word(done)} of {len(core)} core tasks on the {entry.track} track, so no score yet"
        )
    if site.is_reference(entry):
        parts.append("is what the others are measured against")
    elif isinstance(shown, Shown) and view.profile:
        parts.append(f"is {times_faster(shown.ratio.value, 'the reference')} {site.on_profile(view.profile)}")
    return f"{shorten(site.label(entry), 80)} {' and '.join(parts)}."


def settings_text(settings: Mapping[str, Any]) -> str:
    return pretty_json(dict(settings)).rstrip()


def compact_rows(site: Site, links: Links, entries: Sequence[Entry], view: View) -> list[Row]:
    """Rows for a method's page: rank, variant, score, size, speed."""
    rows = []
    for entry in entries:
        shown = site.speed(entry, view)
        rows.append(
            named_row(
                site,
                links,
                entry,
                [
                    score_cells(site, entry, links, None)[0]
                    if entry.board_score
                    else gap(Missing(entry.board_score_reason or "core tasks missing")),
                    *cost_cells(entry, shown, links),
                    *speed_cells(entry, shown, links),
                    level_cell(entry, links),
                    training_cell(entry, links),
                ],
                lead=[rank_cell(entry, links)],
                by_variant=True,
            )
        )
    return rows
