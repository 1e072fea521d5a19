"""Why a cell is empty: what was tried and gave no measurement, one small file each below ``results/<track>/attempts/``.

A later attempt at the same cell takes the file's place, and one that gives a measurement takes it away. The file is its
author's word; no figure follows from it, and where there is a measurement it is not shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from suite import folder as folders
from suite.canonical import pretty_json
from suite.documents import Attempt
from suite.errors import UserError
from suite.stored import attempt_name

if TYPE_CHECKING:
    from suite.measure.subject import Subject
    from suite.profile import Profile

LONGEST = 400  # characters of a reason
_FOLDERS = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][^\s/\\\"'`,;:()<>\[\]]+)+[/\\](?=[^\s])")


@dataclass(frozen=True)
class Cell:
    """What was tried."""

    track: str
    recipe: str
    variant: str
    recipe_hash: str
    task: str | None
    profile: str
    profile_hash: str
    runtime: str
    arrival: str
    inputs: str

    @classmethod
    def of(cls, subject: Subject, profile: Profile, runtime: str, arrival: str, inputs: str) -> Cell:
        return cls(
            track=subject.track,
            recipe=subject.recipe,
            variant=subject.variant,
            recipe_hash=subject.recipe_hash,
            task=subject.task,
            profile=profile.name,
            profile_hash=profile.hash,
            runtime=runtime,
            arrival=arrival,
            inputs=inputs,
        )


def record(results: Path, cell: Cell, reason: str | None) -> Path | None:
    """File why the cell is empty; with no reason, take away what was filed. Gives the file that there is now."""
    given = {**vars(cell), "reason": plain(reason or "-"), "date": datetime.now(UTC).date().isoformat()}
    attempt = Attempt.model_validate(given)
    path = results / cell.track / "attempts" / attempt_name(attempt)
    if reason is None:
        path.unlink(missing_ok=True)
        return None
    content = pretty_json(attempt.model_dump(mode="json", by_alias=True)).encode()
    return folders.write_file(path, content)


def said(error: Exception) -> str:
    """An error as a reason: what was written for people as it is, whatever else with its kind."""
    return plain(str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}")


def plain(reason: str) -> str:
    """A reason as documents may hold it: one line of plain ASCII, no folders of this machine, no markup."""
    text = _FOLDERS.sub("", " ".join(reason.split()))
    text = (
        "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
        .replace("<", "(")
        .replace(">", ")")
    )
    return text[:LONGEST] or "no reason was given"
