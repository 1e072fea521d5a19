"""The log of a track: why published documents were corrected, superseded, withdrawn, or joined by others.

``results/<track>/log/0001.json``, ``0002.json`` ... Each entry holds the digest of the one before it, so that none
can be changed, dropped or slipped in later without every following one showing it. Two people who write the same
number find out when they merge, and the second writes theirs again.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from suite import folder as folders
from suite.canonical import digest, pretty_json
from suite.documents import PLACE, Action, Change, LogEntry, Named
from suite.errors import UserError
from suite.folder import Refused

FOLDER = "log"
MAX_BYTES = 256 * 1024
LEAVING: frozenset[Action] = frozenset(("corrected", "superseded", "withdrawn"))


def file_name(number: int) -> str:
    return f"{number:04d}.json"


def files(track: Path) -> list[Path]:
    """The files of a track's log, by number; a linked folder is not followed."""
    return [] if (track / FOLDER).is_symlink() else folders.files(track / FOLDER)


def read(track: Path) -> list[LogEntry]:
    """A track's log, oldest first; :class:`Refused` for an entry that cannot be read."""
    return [folders.parse(LogEntry, folders.read_bytes(path, MAX_BYTES), path) for path in files(track)]


def digest_of(entry: LogEntry) -> str:
    """What the next entry names as ``previous``."""
    return digest(entry.model_dump(mode="json", by_alias=True))


def left(entries: Iterable[LogEntry]) -> dict[str, LogEntry]:
    """Subject -> the entry because of which that document counts in no entry of the board any more."""
    found: dict[str, LogEntry] = {}
    for entry in entries:
        if entry.action in LEAVING:
            for named in entry.documents:
                found.setdefault(named.subject, entry)
    return found


def strangers(entry: LogEntry) -> list[str]:
    """Places of documents that are another recipe variant's: its changelog would not say why they left."""
    own = [entry.recipe, entry.variant]
    return [named.place for named in entry.documents if named.place.split("/")[1:3] != own]


def changelog(entries: Iterable[LogEntry], recipe: str, variant: str) -> tuple[Change, ...]:
    """The lines about one entry, oldest first."""
    return tuple(
        Change(
            date=entry.date,
            action=entry.action,
            reason=entry.reason,
            log=f"{FOLDER}/{file_name(entry.number)}",
        )
        for entry in entries
        if (entry.recipe, entry.variant) == (recipe, variant)
    )


def append(
    track: Path,
    *,
    recipe: str,
    variant: str,
    action: Action,
    documents: Sequence[Named],
    reason: str,
    by: str,
    date: datetime.date | None = None,
) -> Path:
    """Write the log's next entry; gives its file. UserError where it would say too little."""
    if not reason.strip():
        raise UserError("a log entry needs a reason (--reason): one sentence that a reader will understand")
    if not by.strip():
        raise UserError("a log entry needs a name (--by): who says so")
    if not documents and action in ("superseded", "withdrawn"):
        raise UserError(f"nothing is {action}: name the documents, with --document or --against OLD_RESULTS")
    entries = read(track)
    number = len(entries) + 1
    day = date or datetime.datetime.now(datetime.UTC).date()
    entry = LogEntry(
        number=number,
        previous=digest_of(entries[-1]) if entries else None,
        date=day.isoformat(),
        action=action,
        recipe=recipe,
        variant=variant,
        documents=tuple(sorted(documents, key=lambda named: (named.place, named.subject))),
        reason=reason.strip(),
        by=by.strip(),
    )
    if others := strangers(entry):
        raise UserError(
            f"{others[0]} is none of {recipe}/{variant}; write a log entry for each recipe variant"
        )
    path = track / FOLDER / file_name(number)
    if path.exists():
        raise UserError(f"{path} exists, so the log has a gap; run lightboard verify {track}", code=1)
    content = pretty_json(entry.model_dump(mode="json", by_alias=True)).encode("utf-8")
    return folders.write_file(path, content)


# --- which documents ----------------------------------------------------------------------------------------


def subjects(track: Path, recipe: str | None = None, variant: str | None = None) -> dict[str, str]:
    """Place -> subject of a track's documents, or of those in one recipe variant's folders."""
    found: dict[str, str] = {}
    for kind in folders.KINDS:
        for folder in folders.documents(track, kind):
            place = folder.relative_to(track).as_posix()
            if recipe is None or place.split("/")[1:3] == [recipe, variant]:
                try:
                    found[place] = folders.subject(folder)
                except (Refused, ValueError):
                    continue  # without a manifest that can be read it has no name; verify says so
    return found


def named(track: Path, places: Iterable[str]) -> list[Named]:
    """The documents that lie at these places now; UserError for a place where there is none."""
    found = []
    for place in places:
        wanted = place.strip("/")
        if not re.fullmatch(PLACE, wanted) or not (track / wanted).is_dir():
            raise UserError(
                f"{place!r} is no document of {track}; name a folder below it, such as "
                "runs/theseus/default/cola-11"
            )
        found.append(Named(place=wanted, subject=folders.subject(track / wanted)))
    return found


def gone(old: Path, new: Path, recipe: str, variant: str) -> list[Named]:
    """Documents of a recipe variant that the old track has and the new one has not, or not with these contents."""
    return _absent(subjects(old, recipe, variant), subjects(new, recipe, variant))


def added(old: Path, new: Path, recipe: str, variant: str) -> list[Named]:
    """Documents of a recipe variant that only the new track has."""
    return _absent(subjects(new, recipe, variant), subjects(old, recipe, variant))


def _absent(these: dict[str, str], those: dict[str, str]) -> list[Named]:
    return [Named(place=p, subject=s) for p, s in sorted(these.items()) if those.get(p) != s]
