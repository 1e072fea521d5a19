"""Why an entry can be believed: who checked it, its files, its protocol, what it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from suite.board.entries.quality import run_documents
from suite.board.facts import Fact, facts_of
from suite.board.site import (
    PROTOCOL,
    Links,
    Site,
    evidence_folder,
)
from suite.board.text import (
    listed,
    shorten,
)
from suite.canonical import pretty_json
from suite.documents import Attestation, Entry, Run
from suite.protocol import hashes


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


def check_words(site: Site, track: str, place: str) -> list[str]:
    return [
        f"{one.date}: {one.level}, {one.outcome}{_check_figures(one)}, by {shorten(one.by, 80)} "
        f"with Lightboard {shorten(one.lightboard, 20)}"
        for one in sorted(site.evidence.checks(track, place), key=lambda a: (a.date, a.level, a.by))
    ]


def evidence(site: Site, entry: Entry, links: Links) -> list[tuple[str, list[tuple[str, str]], list[str]]]:
    """Document, its files, and who checked it."""
    found = []
    places = [line.run for q in entry.quality.values() for line in q.runs]
    for place in places:
        folder = links.to(evidence_folder(entry.track, place))
        files = [(name, f"{folder}/{name}") for name in sorted(site.evidence.files(entry.track, place))]
        found.append((place, files, check_words(site, entry.track, place)))
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


def settings_text(settings: Mapping[str, Any]) -> str:
    return pretty_json(dict(settings)).rstrip()
