"""One measurement told in full: what was timed, against what, on which machine, in which state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suite.board.beside import beside
from suite.board.entries.distribution import Distribution, distribution
from suite.board.entries.trust import check_words
from suite.board.facts import Fact, facts_of
from suite.board.site import (
    Links,
    Site,
    anchor,
    evidence_folder,
)
from suite.board.tables import Cell, Column, Row, Table, table, value
from suite.board.text import (
    Missing,
    bytes_words,
    digits,
    field_label,
    fixed,
    ordinal,
    plain_value,
    ratio_span,
    seconds_words,
    sentence,
    short_hash,
    times_faster,
)
from suite.documents import Entry, Latency, Measurement, Speed

DRAWN = "drawn at random, not trained: time follows from the graph alone"


@dataclass(frozen=True)
class Timing:
    """One measurement document, told in full."""

    ident: str
    title: str
    said: str
    facts: tuple[Fact, ...]
    distribution: Distribution | None
    lengths: Table | None
    state: Table | None
    machine: tuple[Fact, ...]
    versions: tuple[Fact, ...]
    files: tuple[tuple[str, str], ...]
    checks: tuple[str, ...]
    reason: str = ""


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
        return Timing(ident, title, "", (), None, None, None, (), (), (), (), reason=document.reason)
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
        *([Fact("weights", DRAWN, declared=True)] if m.weights == "drawn" else ()),
        Fact(
            "same answers",
            f"{'yes' if m.answers.equal else 'no'}: {m.answers.queries} timed outputs differ from "
            f"{'torch’s' if m.weights == 'drawn' else 'the scored ones'} by at most "
            f"{m.answers.largest_difference:.2g} (allowed {m.answers.tolerance:.2g})",
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
        *(Fact(label, text) for label, text in beside(m)),
        Fact("load", seconds_words(m.once.load_seconds)),
        Fact("first query", seconds_words(m.once.first_query_seconds)),
        Fact("tokenising", _tokenising(m.once.tokenise_seconds_per_example)),
        Fact("model file", f"{m.model_file.removeprefix('sha256:')[:12]}, {bytes_words(m.model_bytes)}"),
        Fact("graph", short_hash(m.graph)),
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
        distribution(site, entry.track, line.measurement, m, ident, title, site.mark(entry.recipe)),
        _by_length(m, ident, title),
        _state(m, ident, title),
        (*machine, *held),
        tuple(Fact(k, v, declared=True) for k, v in sorted(m.versions.items())),
        tuple((name, f"{folder}/{name}") for name in site.evidence.names(entry.track, line.measurement)),
        tuple(check_words(site, entry.track, line.measurement)),
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
    return ", ".join(parts) or latency.p50_reason or "too few queries"


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
