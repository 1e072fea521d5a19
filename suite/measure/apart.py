"""Attempts in a process of their own: what kills an exporter or a runtime's library ends that process alone.

The timed processes are apart anyway (:mod:`suite.measure.worker`); but models are exported, and their answers compared,
where :func:`suite.measure.run.attempt` runs, in libraries that can be killed for their memory or abort.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from suite.errors import UserError
from suite.loading import load_profile, load_recipe, resolve
from suite.measure import attempts

if TYPE_CHECKING:
    from suite.measure.run import Made


GRACE = 5.0  # seconds


class Apart:
    """One process that makes one attempt after another, and a new one where that ended. Used with ``with``."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")  # what this process has loaded stays here
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection

    def attempt(self, recipe: str, *, progress: Callable[[str], None] | None = None, **details: Any) -> Made:
        """As :func:`suite.measure.run.attempt`, of one runtime.

        UserError with its reason, and also where the process ended, which is filed as the cell's reason.
        """
        if self._process is None or not self._process.is_alive():
            self._pipe, theirs = self._context.Pipe()
            self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        self._pipe.send((recipe, details))
        doing = "starting"
        while True:
            try:
                kind, what = self._pipe.recv()
            except (EOFError, ConnectionError) as error:
                self._process.join()
                ended = f"the process {_end(self._process.exitcode)} while {doing}"
                reason = attempts.plain(f"runtime {details['runtime']}: {ended}")
                _file(recipe, details, reason)
                raise UserError(reason, code=1) from error
            if kind == "made":
                made: Made = what
                return made
            if kind == "failed":
                raise UserError(what, code=1)
            doing = what
            if progress is not None:
                progress(doing)

    def __enter__(self) -> Apart:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._pipe.close()
            self._process.join(GRACE)  # it ends by itself unless it is in the middle of something
            self._process.terminate()
            self._process.join()


def _end(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by signal {-code} ({signal.strsignal(-code)})"
    return f"ended with status {code}"


def _file(recipe: str, details: dict[str, Any], reason: str) -> None:
    """Why the cell is empty, for its entry's page."""
    profile = load_profile(details["profile"])
    resolved = resolve(load_recipe(recipe), details["track"])
    named = {name: details[name] for name in ("track", "variant", "task", "runtime", "arrival", "inputs")}
    cell = attempts.Cell(
        recipe=resolved.recipe.name,
        recipe_hash=resolved.hash,
        profile=profile.name,
        profile_hash=profile.hash,
        **named,
    )
    attempts.record(Path(details["results"]), cell, reason)


def _serve(pipe: Connection) -> None:
    """Make the attempts that come in until the other end closes."""
    from suite.measure.run import attempt

    try:
        while True:
            recipe, details = pipe.recv()
            try:
                pipe.send(
                    ("made", attempt(recipe, progress=lambda text: pipe.send(("doing", text)), **details))
                )
            except Exception as error:  # whatever it is, it is the answer, in one line
                pipe.send(("failed", attempts.said(error)))
    except (EOFError, OSError, KeyboardInterrupt):
        return
