"""Training that a run says is shared, and so outside its budget: the teacher's, and general distillation.

The teacher is the reference's own run of that task and seed, and general distillation serves all tasks and seeds. A
stage with a cost that is neither is to be reviewed; only where runs are here that could have it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from suite.documents import Run
from suite.protocol import MEASURING

Cell = tuple[str, str, int]  # track, task, seed


@dataclass
class Shared:
    """The stages of the runs read so far, by their keys."""

    own: set[str] = field(default_factory=set)  # what some run counts as its own
    having: dict[str, set[tuple[str, Cell]]] = field(default_factory=lambda: defaultdict(set))
    by_recipe: dict[str, set[Cell]] = field(default_factory=lambda: defaultdict(set))
    claimed: list[tuple[str, str, Cell, str, str]] = field(default_factory=list)

    def add(self, file: str, run: Run) -> None:
        """Keep a run's stages."""
        cell = run.track, run.task, run.seed
        self.by_recipe[run.recipe].add(cell)
        for stage in run.stages:
            self.having[stage.key].add((run.recipe, cell))
            if not stage.shared:
                self.own.add(stage.key)
            elif stage.tflop > 0:
                self.claimed.append((file, run.recipe, cell, stage.stage, stage.key))

    def doubtful(self) -> Iterator[str]:
        """A line for every costly stage that is called shared, and is of one recipe on one task and seed."""
        teachers = self.by_recipe[MEASURING["reference"]["recipe"]]
        for file, recipe, cell, stage, key in self.claimed:
            known = cell in teachers and len(self.by_recipe[recipe]) > 1
            if known and key not in self.own and len(self.having[key]) == 1:
                said = (
                    f"stage {stage} is said to be shared: it is not the reference's, and no other run has it"
                )
                yield f"review: {file}: {said}"
