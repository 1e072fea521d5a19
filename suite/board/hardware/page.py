"""The hardware profiles' pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from suite import reproduce
from suite.board import cut
from suite.board.entry_rows import named_row
from suite.board.facts import Fact
from suite.board.hardware import curves, matrix
from suite.board.page import Page, page
from suite.board.site import Links, Site, track_title
from suite.board.tables import Cell, Column, Table, gap, table, value
from suite.board.text import (
    Missing,
    bytes_words,
    counted,
    digits,
    field_label,
    plain_value,
    ratio_span,
    sentence,
    shorten,
)
from suite.documents import Entry, Measurement, Speed

NO_BREAK = "\u2011"  # a hyphen that no line breaks at


def hardware_list(site: Site, profiles: Sequence[str]) -> Page:
    links = Links("hardware.html")
    shown = [
        {
            "href": links.profile(name),
            "title": site.profile_title(name),
            "about": site.profiles[name].about if name in site.profiles else "",
            "count": _answered(site, name),
        }
        for name in profiles
    ]
    return page("hardware.html", "hardware.html", "hardware", "Hardware", links, profiles=shown)


def _answered(site: Site, name: str) -> str:
    """How many rows of the tables have a time on a profile and from how many measurements, or what it waits for."""
    if lines := _lines(site).get(name):
        entries, places = ({id(e) for e, _ in lines}, {(e.track, line.measurement) for e, line in lines})
        return (
            f"{counted(len(entries), 'entry', 'entries')}, ablations aside, timed in "
            f"{counted(len(places), 'measurement')}: entries of one network share them"
        )
    known = site.profiles.get(name)
    if known is not None and known.kit:
        return "no device has answered yet: lightboard kit makes what one needs"
    return "no machine has answered yet"


def _lines(site: Site) -> Mapping[str, list[tuple[Entry, Speed]]]:
    """What each profile's page tells of, sorted out once for all of these pages: ablations stand on their parents'."""

    def found() -> Mapping[str, list[tuple[Entry, Speed]]]:
        by_profile: dict[str, list[tuple[Entry, Speed]]] = {}
        for entry in (entry for track in site.tracks() for entry in site.of(track)):
            for line in entry.speed:
                by_profile.setdefault(line.profile, []).append((entry, line))
        return by_profile

    return site.once("speeds by profile", found)


def profile_page(site: Site, name: str) -> Page:
    path = f"hardware/{name}.html"
    links = Links(path)
    known = site.profiles.get(name)
    facts, needs = [], []
    if known:
        facts = [
            Fact("device", known.device),
            Fact("threads", str(known.threads)),
            Fact("pinned", "yes, to as many cores" if known.pin else "no"),
            Fact("process pairs", str(known.pairs)),
            Fact("blocks a pair", str(known.blocks)),
            Fact(
                "a block",
                f"at least {digits(known.block_seconds)} s and {known.block_queries} queries, "
                f"the first {known.warmup_queries} not timed",
            ),
            Fact("emulated", "yes: never ranked" if known.emulated else "no"),
            Fact("default runtimes", ", ".join((*known.runtimes, *known.optional_runtimes))),
        ]
        if known.memory_limit_bytes:
            limit = known.memory_limit_bytes
            facts.append(Fact("memory of a process", f"{digits(limit / 2**20)} MiB ({bytes_words(limit)})"))
        if known.reference_runtime:
            facts.append(Fact("the reference's runtime", known.reference_runtime))
        needs = [Fact("needs a GPU", "by NVIDIA, with CUDA")] if known.device == "cuda" else []
        needs += [
            Fact(f"needs {field_label(key)}", plain_value(given, key))
            for key, given in known.requires.model_dump(mode="json").items()
            if given not in (None, [])
        ]
        facts.append(Fact("hash", known.hash))
    parts = []
    for track in site.tracks():
        found = _measured_rows(site, links, name, track)
        if found is not None:
            parts.append(
                {
                    "track": track,
                    "title": track_title(track),
                    "href": links.track(track),
                    "matrix": matrix.matrix(site, links, name, track),
                    "lengths": curves.by_length(site, links, name, track),
                    "batches": curves.by_batch(site, links, name, track),
                    "table": found,
                    "commands": _commands(site, name, track),
                }
            )
    return page(
        path,
        "profile.html",
        "hardware",
        site.profile_title(name),
        links,
        profile=known,
        facts=facts,
        needs=needs,
        command=_command(site, name),
        kit=bool(known and known.kit),
        parts_of=parts,
        machines=_machines(site, name),
        answered=sentence(_answered(site, name)),
    )


def _commands(site: Site, profile: str, track: str) -> dict[str, str]:
    """What to type for the curves that nobody has measured yet."""
    entry = next((e for e in site.of(track) if e.default and not site.is_baseline(e)), None)
    if entry is None:
        return {}
    return {
        "lengths": reproduce.measure_command(entry, profile, inputs="lengths"),
        "batches": reproduce.measure_command(entry, profile, arrival="offline"),
    }


def _command(site: Site, profile: str) -> str:
    """What to type on a machine that could answer."""
    track = next(iter(site.tracks()), None)
    entry = (site.reference(track) or next(iter(site.of(track)), None)) if track else None
    if entry is None:
        return ""
    known = site.profiles.get(profile)
    if known is not None and known.kit:
        return f"lightboard kit {entry.recipe} --track {entry.track} --profile {profile} --out kit.zip"
    return reproduce.measure_command(entry, profile)


def _measured_rows(site: Site, links: Links, profile: str, track: str) -> Table | None:
    columns = [
        Column("Method", kind="text"),
        Column("Runtime", kind="text"),
        Column("Inputs", kind="text"),
        Column("Speed", "times the reference’s"),
        Column("Latency", "ms, median as measured"),
        Column("Memory", "MB"),
        Column("File", "MB"),
        Column("Verdict", kind="text"),
        Column("Date", kind="text"),
    ]
    lines = [(entry, line) for entry, line in _lines(site).get(profile, ()) if entry.track == track]
    if not lines:
        return None
    lines.sort(
        key=lambda pair: (
            -pair[1].ratio.value,
            pair[0].recipe,
            pair[0].variant,
            pair[1].runtime,
            pair[1].measurement,
        )
    )
    rows = []
    printed = lines[: cut.PRINTED]
    for entry, line in printed:
        href = links.measured(entry, line.measurement)
        noisy = line.verdict == "noisy"
        document = site.measured(track, line.measurement)
        date = (
            Cell(reason=document.reason)
            if isinstance(document, Missing)
            else Cell(text=document.date.replace("-", NO_BREAK), declared=True)
        )
        task = f", {site.task(line.task).title}" if line.task else ""
        small = (
            ratio_span(line.ratio.interval)
            if line.ratio.interval
            else f"{counted(line.ratio.pairs, 'pair')}, no interval"
        )
        p50 = line.latency_ms.p50
        rows.append(
            named_row(
                site,
                links,
                entry,
                [
                    Cell(
                        text=line.runtime if line.precision == "fp32" else f"{line.runtime}, {line.precision}"
                    ),
                    Cell(text=f"{line.arrival.replace('-', NO_BREAK)}, {line.inputs}{task}"),
                    value(digits(line.ratio.value, 3, 2), small, href, faint=noisy),
                    gap(Missing(line.latency_ms.p50_reason or "too few queries"))
                    if p50 is None
                    else value(digits(p50, 3, 2), "", href, faint=noisy),
                    value(digits(line.peak_memory_bytes / 1e6, 3, 1)),
                    value(digits(line.model_bytes / 1e6, 4, 1)),
                    Cell(text=line.verdict + (", inherited" if line.inherited else ""), href=href),
                    date,
                ],
            )
        )
    title = track_title(track)
    return table(
        f"Measured on the {title} track",
        columns,
        rows,
        f"measured-{track}",
        hidden_caption=True,
        notes=cut.said(len(printed), len(lines)),
    )


def _machines(site: Site, profile: str) -> list[str]:
    """The processors that answered for a profile: declared, so in italics."""
    found: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for entry, line in _lines(site).get(profile, ()):
        key = (entry.track, line.measurement)
        if key in seen:
            continue
        seen.add(key)
        document = site.measured(*key)
        if isinstance(document, Measurement):
            m = document.machine
            words = f"{shorten(m.cpu, 100)}, {counted(m.cores, 'core')}, {bytes_words(m.memory_bytes)} memory"
            words += f", {shorten(m.virtual, 40)}" if m.virtual else ""
            found[words] = found.get(words, 0) + 1
    return [f"{words}: {counted(count, 'measurement')}" for words, count in sorted(found.items())]
