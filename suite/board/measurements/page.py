"""One measurement told in full: what was timed, against what, on which machine, in which state."""

from __future__ import annotations

from collections.abc import Sequence

from suite.board import cut, svg
from suite.board.beside import beside
from suite.board.checks import check_words
from suite.board.entry_rows import named_row
from suite.board.facts import Fact, facts_of
from suite.board.measurements.distribution import distribution, timed
from suite.board.page import Page, page
from suite.board.site import Links, Site, evidence_folder, measurement_page, track_title
from suite.board.tables import Cell, Column, Row, Table, table, value
from suite.board.text import (
    Missing,
    bytes_words,
    digits,
    field_label,
    fixed,
    plain_value,
    ratio_span,
    seconds_words,
    sentence,
    short_hash,
    shorten,
    times_faster,
)
from suite.documents import Entry, Latency, Measurement
from suite.stored import percentiles

DRAWN = "drawn at random, not trained: time follows from the graph alone"


def measurement_sheet(site: Site, track: str, place: str) -> Page:
    """The page of a measurement that some entry names; where its document is not here, the page says so."""
    path = measurement_page(track, place)
    links = Links(path)
    named = site.naming(track)[place]
    recipe, variant = place.split("/")[1:3]
    own = next((one for one in named if (one.recipe, one.variant) == (recipe, variant)), named[0])
    label = site.label(own)
    found = site.measured(track, place)
    missing = found.reason if isinstance(found, Missing) else None
    title = timed(site, own, place)
    folder = links.to(evidence_folder(track, place))
    return page(
        path,
        "measurement.html",
        "board",
        f"{shorten(label, 80)} {title}, {track}",
        links,
        label=label,
        timed=title,
        swatch=svg.swatch(site.mark(own.recipe), hollow=not own.default),
        track_title=track_title(track),
        track_href=links.track(track),
        entry_href=links.entry(own),
        missing=missing,
        files=[(name, f"{folder}/{name}") for name in site.evidence.names(track, place)],
        checks=check_words(site, track, place),
        entries=_speaks_for(site, place, named, links),
        **({} if isinstance(found, Missing) else _told(site, own, place, found)),
    )


def _told(site: Site, entry: Entry, place: str, m: Measurement) -> dict[str, object]:
    """What the page prints of a document that is here."""
    against = (
        f"reference in {m.reference_runtime}" if m.against == "reference" else "reference in the same runtime"
    )
    speed = times_faster(m.ratio.value, "the reference")
    facts = [
        *facts_of(m, ("date", "runtime", "precision", "arrival", "inputs", "shapes")),
        Fact("against", against, declared=True),
        Fact("process pairs", f"{m.ratio.pairs}" + ("" if m.ratio.interval else ", too few for an interval")),
        Fact("residual", f"{fixed(m.residual, 3)} ({m.verdict})"),
        Fact("reference’s own time", _times(m.reference_latency_ms)),
        Fact("this model’s time", _times(percentiles(m))),
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
    return {
        "said": sentence(f"{speed} {site.on_profile(m.profile)}"),
        "facts": facts,
        "distribution": distribution(site, entry, place),
        "lengths": _by_length(m),
        "machine": [*machine, *held],
        "state": _state(m),
        "versions": [Fact(k, v, declared=True) for k, v in sorted(m.versions.items())],
    }


def _speaks_for(site: Site, place: str, named: Sequence[Entry], links: Links) -> Table | None:
    """The entries that show this time, where there are others than the one that was timed."""
    if len(named) < 2:
        return None
    rows = []
    for one in named[: cut.PRINTED]:
        inherited = any(line.inherited for line in one.speed if line.measurement == place)
        rows.append(named_row(site, links, one, [Cell(text="inherited" if inherited else "timed")]))
    columns = [Column("Entry", kind="text"), Column("Its time", kind="text")]
    notes = [
        "Inherited: another model with the same operations, shapes and types was timed.",
        *cut.said(len(rows), len(named)),
    ]
    return table("Entries that show it", columns, rows, "entries", notes=notes)


def _by_length(m: Measurement) -> Table | None:
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
    return table("Time by length", columns, rows, "lengths")


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


def _state(m: Measurement) -> Table:
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
    return table("Before and after", columns, rows, "state")
