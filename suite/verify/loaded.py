"""Documents as a verifier holds them: read once, of the right shape, the JSON beside the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.documents import Entry, Measurement, Run
from suite.folder import Problem, show
from suite.tables import Split
from suite.tasks import Task

Problems = Iterator[Problem]


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A run folder whose document has the right shape."""

    folder: Path
    file: str  # its run.json, as problems name it
    raw: dict[str, Any]  # the JSON as it was read
    run: Run
    task: Task | None
    predictions: dict[str, Split] | None  # None where the table cannot be read
    subject: str | None = None  # the digest of the manifest it was held against
    table_name: str = "predictions.parquet"

    @property
    def table(self) -> str:
        return show(str(self.folder / self.table_name), 300)


@dataclass(frozen=True, eq=False)
class LoadedMeasurement:
    """A measurement folder whose document has the right shape."""

    folder: Path
    file: str
    raw: dict[str, Any]
    measurement: Measurement
    samples: dict[str, Any] | None
    subject: str | None = None
    scored: tuple[LoadedRun, ...] = ()  # its accuracies, each as the run whose checks it has to pass

    @property
    def table(self) -> str:
        return show(str(self.folder / "samples.parquet"), 300)


@dataclass(frozen=True, eq=False)
class LoadedEntry:
    """An entry file of the right shape."""

    path: Path
    file: str
    raw: dict[str, Any]
    entry: Entry


def run_checks(file: str, checks: tuple[Callable[..., Problems], ...], *arguments: Any) -> list[Problem]:
    """All problems that the checks find.

    What a stranger wrote can break a check in ways nobody thought of: any exception becomes a problem that
    names the file and the check, never a traceback, and never a pass.
    """
    found: list[Problem] = []
    for check in checks:
        try:
            found.extend(check(*arguments))
        except Exception as error:
            found.append(broke(file, check.__name__, error))
    return found


def broke(file: str, check: str, error: Exception) -> Problem:
    """The problem that an unexpected exception becomes."""
    what = show(f"{type(error).__name__}: {error}", 160)
    return Problem(
        file, "", f"something that stops the check {check} ({what})", "a document that can be checked",
        "write it again with lightboard; if lightboard wrote it, report this",
    )  # fmt: skip
