"""What happens to published documents: the log, signatures, and changes against an older tree.

A published score that changes by more than 0.001 points, a speed that leaves its interval, and a document that is
no longer there each need a reason in the track's log, written since.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from suite import compare, signing
from suite import folder as folders
from suite import log as logs
from suite.documents import Entry, LogEntry, Signature
from suite.folder import Problem, show
from suite.verify.valid import dated, load_document, names_nobody_in, text_is_plain_in

ONLY_GROWS = "the log only grows: restore what was published, then write yours with lightboard log"


# --- the log ------------------------------------------------------------------------------------------------


def load_log(track: Path) -> tuple[list[tuple[Path, LogEntry | None]], list[Problem]]:
    """Every file of a track's log with what it holds, and everything wrong with them and their order."""
    found: list[tuple[Path, LogEntry | None]] = []
    problems: list[Problem] = []
    previous: LogEntry | None = None
    after = ""
    for path in logs.files(track):
        expected = logs.file_name(int(after) + 1 if after.isdecimal() else 1)
        if path.name != expected:
            file = show(str(path), 300)
            problems.append(
                Problem(file, "number", show(path.name), f"{expected}: no number left out", ONLY_GROWS)
            )
        after = path.stem
        raw, entry, wrong = load_document(path, LogEntry, logs.MAX_BYTES)
        problems += wrong
        found.append((path, entry))
        if entry is not None:
            problems += _in_order(path, entry, previous, found)
            problems += names_nobody_in(show(str(path), 300), raw)
            problems += text_is_plain_in(show(str(path), 300), raw)
        previous = entry
    return found, problems


def _in_order(
    path: Path,
    entry: LogEntry,
    previous: LogEntry | None,
    before: Sequence[tuple[Path, LogEntry | None]],
) -> Iterator[Problem]:
    file = show(str(path), 300)
    if path.name != logs.file_name(entry.number):
        yield Problem(
            file, "number", str(entry.number), f"the number in its name, {show(path.stem)}", ONLY_GROWS
        )
    expected = logs.digest_of(previous) if previous else None
    unreadable = len(before) > 1 and before[-2][1] is None
    if not unreadable and entry.previous != expected:
        yield Problem(file, "previous", str(entry.previous), str(expected), ONLY_GROWS)
    yield from dated(file, entry.date)
    if previous is not None and entry.date < previous.date:
        yield Problem(file, "date", entry.date, f"{previous.date} or later", "correct it")
    if not entry.documents and entry.action in ("superseded", "withdrawn"):
        yield Problem(file, "documents", "none", f"the documents that were {entry.action}", "name them")
    if others := logs.strangers(entry):
        expected = f"documents of {entry.recipe}/{entry.variant}, which this is about"
        yield Problem(file, "documents", show(others[0], 300), expected, "write a log entry for each")


# --- signatures ---------------------------------------------------------------------------------------------


def load_signature(path: Path) -> tuple[Signature | None, list[Problem]]:
    """The signature in a file and everything wrong with its shape, name and, where that can be checked, itself."""
    _, signature, found = load_document(path, Signature, folders.MAX_JSON_BYTES)
    if signature is None:
        return None, found
    file = show(str(path), 300)
    if path.name != signing.file_name(signature):
        found.append(Problem(file, "", show(path.name), signing.file_name(signature), "rename the file"))
    if signing.available() and not signing.holds(signature):
        expected = f"a signature over these subjects by key {signing.fingerprint(signature.key)}"
        shown = f"{signature.signature[:16]}…, which is none"
        found.append(
            Problem(file, "signature", shown, expected, "sign again: lightboard submit --sign KEYFILE")
        )
    return signature, found


def signed(path: Path, signature: Signature, here: Mapping[str, str], known: Mapping[str, str]) -> str:
    """Who signed what, in a line, and what that does not prove. ``here``: place -> subject of the track."""
    held = sum(here.get(place) == subject for place, subject in signature.subjects.items())
    total = len(signature.subjects)
    file = show(str(path), 300)
    if not signing.available():
        return f"{file}: signature not checked: pip install 'lightboard[sign]'"
    what = f"{held} documents" if held == total else f"{held} documents here and {total - held} that are not"
    return (
        f"{file}: {what} signed by {show(signing.who(signature.key, known))}; this shows that the key's holder "
        "vouched for these files, not that the figures are true"
    )


# --- against an older tree ----------------------------------------------------------------------------------


def against(old: Path, new: Path, then: Sequence[Entry], now: Sequence[Entry]) -> Iterator[Problem]:
    """Every change of a published figure or document of a track that no new log entry gives a reason for.

    ``old``, ``new``: the track's folders; ``then``, ``now``: their entries. Both logs can be read.
    """
    before, after = logs.read(old), logs.read(new)
    yield from _only_grows(new, before, after)
    since = after[len(before) :]
    later = {(entry.recipe, entry.variant): entry for entry in now}
    for entry in then:
        name = f"{entry.recipe}/{entry.variant}"
        file = show(str(new / "entries" / entry.recipe / f"{entry.variant}.json"), 300)
        other = later.get((entry.recipe, entry.variant))
        if other is None:
            if not _reasons(since, entry):
                expected = f"the entry, or a reason in the log for {name}"
                yield Problem(
                    file, "", "nothing, where an entry was published", expected, _fix(new.name, name)
                )
            continue
        for figure in compare.beyond(entry, other):
            if not any(_covers(line, entry, figure) for line in since):
                yield Problem(file, figure.field, figure.found(), figure.allowed(), _fix(new.name, name))
    yield from _documents_stay(old, new, since)


def _only_grows(new: Path, before: Sequence[LogEntry], after: Sequence[LogEntry]) -> Iterator[Problem]:
    for place, entry in enumerate(before):
        if place >= len(after) or after[place] != entry:
            file = show(str(new / logs.FOLDER / logs.file_name(place + 1)), 300)
            found = "nothing" if place >= len(after) else "another entry"
            yield Problem(file, "", found, "what was published: the log only grows", "restore it")


def _documents_stay(old: Path, new: Path, since: Sequence[LogEntry]) -> Iterator[Problem]:
    """Documents are immutable: one that was removed or replaced is named in the log."""
    told = {named.subject for entry in since for named in entry.documents}
    told |= set(logs.left(logs.read(old)))
    here = logs.subjects(new)
    for place, subject in logs.subjects(old).items():
        if here.get(place) != subject and subject not in told:
            found = "another document" if place in here else "nothing"
            expected = f"the published one, or {subject[:23]}… named in the log with a reason"
            recipe, variant = Path(place).parts[1:3]  # runs/RECIPE/VARIANT/..., and measurements likewise
            fix = _fix(new.name, f"{recipe}/{variant}")
            yield Problem(show(str(new / place), 300), "", found, expected, fix)


def _fix(track: str, name: str) -> str:
    words = '--what corrected --reason "..." --by "..." --against OLD_RESULTS'
    return show(f"write the reason: lightboard log {track}/{name} {words}", 300)


def _reasons(since: Sequence[LogEntry], entry: Entry) -> bool:
    return any((line.recipe, line.variant) == (entry.recipe, entry.variant) for line in since)


def _covers(line: LogEntry, entry: Entry, figure: compare.Figure) -> bool:
    """Whether a log entry speaks of a figure: of its entry as a whole, or of a document that it follows from."""
    if any(named.place.startswith(start) for named in line.documents for start in figure.places):
        return True
    return not line.documents and (line.recipe, line.variant) == (entry.recipe, entry.variant)
