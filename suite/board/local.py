"""What a build with the data at hand may show besides: gold labels and texts. Such a build is not for publishing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from suite.board.text import Missing
from suite.errors import UserError
from suite.tasks import Task
from suite.verify import gold

NEEDS_DATA = "shown only in a build of one’s own: lightboard site --data folder:PATH"


@dataclass
class Local:
    """Dev rows in the track's order, read once per task. ``data`` as in :func:`suite.verify.gold.load`."""

    data: str
    _found: dict[tuple[str, str], dict[str, dict[str, Any]] | Missing] = field(default_factory=dict)

    def rows(self, task: Task, track: str) -> dict[str, dict[str, Any]] | Missing:
        """Dev set -> column (``a``, of pairs ``b``, ``label``) -> values; or why the data has them not."""
        key = (task.name, track)
        if key not in self._found:
            try:
                self._found[key] = gold.ordered(self.data, task, track)
            except UserError as error:
                self._found[key] = Missing(str(error))
        return self._found[key]
