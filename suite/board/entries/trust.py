"""Why an entry can be believed: who checked it, its files, its protocol, what it was made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from markupsafe import Markup

from suite import signing
from suite.board.checks import check_words
from suite.board.entries.quality import run_documents
from suite.board.facts import Fact, facts_of
from suite.board.site import (
    PROTOCOL,
    Links,
    Site,
    evidence_folder,
)
from suite.board.tables import Cell, Column, Row, Table, table
from suite.board.text import (
    counted,
    escaped,
    listed,
    sentence,
    shorten,
)
from suite.canonical import pretty_json
from suite.documents import Entry, Environment, Level, Signature
from suite.protocol import hashes


def record(site: Site, entry: Entry) -> Table | None:
    """Who checked how many of the entry's documents to which level, the highest level first; None: nobody."""
    found: dict[tuple[str, str, str, str], set[str]] = {}
    dates: dict[tuple[str, str, str, str], list[str]] = {}
    places = documents(entry)
    for place in places:
        for one in site.evidence.checks(entry.track, place):
            key: tuple[str, str, str, str] = (one.level, one.outcome, one.by, one.lightboard)
            found.setdefault(key, set()).add(place)
            dates.setdefault(key, []).append(one.date)
    order: list[str] = list(get_args(Level))
    rows = []
    for key in sorted(found, key=lambda key: (-order.index(key[0]), key[1:])):
        level, outcome, by, version = key
        first, last = min(dates[key]), max(dates[key])
        rows.append(
            Row(
                Cell(text=level),
                (
                    Cell(text=outcome),
                    Cell(text=f"{len(found[key]):,} of {len(places):,}"),
                    Cell(text=shorten(by, 80), declared=True),
                    Cell(text=first if first == last else f"{first} to {last}", declared=True),
                    Cell(text=shorten(version, 20), declared=True),
                ),
            )
        )
    columns = [
        Column("Level", kind="text"),
        Column("Outcome", kind="text"),
        Column("Documents", kind="text"),
        Column("By", kind="text"),
        Column("When", kind="text"),
        Column("With Lightboard", kind="text"),
    ]
    return table("Who checked it", columns, rows, "checked") if rows else None


def signatures(site: Site, entry: Entry) -> list[str]:
    """Whose keys vouched for how many of the documents, and whether the signature holds."""
    places = documents(entry)
    covered: dict[str, tuple[Signature, int]] = {}
    for place in places:
        for one in site.evidence.signed(entry.track, place):
            name = signing.file_name(one)
            covered[name] = (one, covered[name][1] + 1 if name in covered else 1)
    return [
        f"{sentence(signing.who(one.key, {}))[:-1]}: {count:,} of {counted(len(places), 'document')}, {_holds(one)}"
        for _, (one, count) in sorted(covered.items())
    ]


def _holds(one: Signature) -> str:
    if not signing.available():
        return "not checked where this site was built"
    return "the signature holds" if signing.holds(one) else "the signature does not hold"


def documents(entry: Entry) -> list[str]:
    """The runs and measurements that an entry names, each once."""
    runs = [line.run for quality in entry.quality.values() for line in quality.runs]
    return list(dict.fromkeys([*runs, *(line.measurement for line in entry.speed)]))


# A document behind an entry, its files with where they are, and who checked it.
Behind = tuple[str, list[tuple[str, str]], list[str]]


def evidence(site: Site, entry: Entry, links: Links) -> list[Behind]:
    """The runs that an entry is made of."""
    found = []
    places = [line.run for q in entry.quality.values() for line in q.runs]
    for place in places:
        folder = links.to(evidence_folder(entry.track, place))
        files = [(name, f"{folder}/{name}") for name in site.evidence.names(entry.track, place)]
        found.append((place, files, check_words(site, entry.track, place)))
    return found


def printed(given: Sequence[Behind]) -> Markup:
    """A line for each document: its files, and who checked it."""
    lines = []
    for place, files, checks in given:
        links = ", ".join([f'<a href="{escaped(href)}">{escaped(name)}</a>' for name, href in files])
        said = "".join([f'<br><em class="declared">{escaped(check)}</em>' for check in checks])
        absent = '<span class="why">not in this results tree</span>'
        lines.append(f"<li><code>{escaped(place)}</code> {links or absent}{said}</li>\n")
    return Markup(f'<ul class="evidence">\n{"".join(lines)}</ul>')


@dataclass(frozen=True)
class Surroundings:
    """Software and processor that some of the runs were made with."""

    runs: str
    facts: tuple[Fact, ...]
    versions: tuple[Fact, ...]


def environments(site: Site, entry: Entry) -> list[Surroundings]:
    groups: list[tuple[Environment, list[str]]] = []
    for task, document in run_documents(site, entry):
        names = next((names for one, names in groups if one == document.environment), None)
        if names is None:
            groups.append((document.environment, names := []))
        names.append(f"{site.task(task).title} seed {document.seed}")
    found = []
    for one, names in groups:
        which = "all runs" if len(groups) == 1 else listed(names) if len(names) <= 6 else f"{len(names)} runs"
        facts = facts_of(one, ("cpu", "cores", "threads", "accelerator", "cpu_flags"))
        facts = [fact if not fact.missing else Fact(fact.label, "none", True) for fact in facts]
        versions = tuple(Fact(name, version, declared=True) for name, version in sorted(one.versions.items()))
        found.append(Surroundings(which, tuple(facts), versions))
    return found


def protocol_lines(entry: Entry) -> list[tuple[str, str, str]]:
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


def settings_text(settings: Mapping[str, Any]) -> str:
    return pretty_json(dict(settings)).rstrip()
