"""The whole trace known beforehand: which batch is quickest, for entry and reference separately.

A pilot goes up the protocol's ladder of batches in a process of its own; the race that follows starts afresh with each
side's best. A batch that does not run (most often for want of memory) is an outcome, and so are the larger ones,
which are then not tried.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.documents import AtBatch
from suite.errors import UserError
from suite.measure import estimate, latency
from suite.measure.attempts import plain
from suite.measure.worker import in_batches, padded, split
from suite.protocol import MEASURING

LADDER: tuple[int, ...] = tuple(MEASURING["arrival"]["offline"]["batches"])
PASSES = 2  # over the trace at each batch, after one that is not timed


def pilot(
    side: latency.Side, trace: latency.Trace, plan: latency.Plan, tell: Callable[[str], None]
) -> tuple[AtBatch, ...]:
    """The ladder of one side. UserError with the smallest batch's reason where not even that one runs."""
    steps: list[AtBatch] = []
    failed: tuple[int, UserError] | None = None
    with tempfile.TemporaryDirectory(prefix="lightboard-") as folder:
        file = latency.written(trace, Path(folder) / "trace.npz")
        for batch in LADDER:
            if failed is not None:
                reason = f"not tried: a batch of {failed[0]} did not run"
                steps.append(AtBatch(batch=batch, reason=reason))
                continue
            tell(f"{side.name} in {side.runtime}: trying batches of {batch}")
            with contextlib.ExitStack() as stack:
                try:
                    sibling = stack.enter_context(latency.Sibling(side, plan))
                    sibling.load(file)
                    sibling.batched(batch, 1, [])
                    seconds = [_seconds(sibling.batched(batch, 1, [])) for _ in range(PASSES)]
                except UserError as error:
                    failed = (batch, error)
                    steps.append(AtBatch(batch=batch, reason=plain(str(error))))
                else:
                    steps.append(estimate.at_batch(batch, seconds, None, len(trace)))
    if failed is not None and not any(step.seconds for step in steps):
        raise failed[1]
    return tuple(steps)


def _seconds(answer: dict[str, Any]) -> float:
    return float(sum(answer["nanoseconds"])) / 1e9


def answers(run: Any, trace: latency.Trace, batch: int) -> NDArray[np.float32]:
    """Logits of the trace answered in batches, [queries, outputs]: another batch may give others."""
    queries = split(trace.ids, trace.types, trace.offsets)
    found: list[Any] = [None] * len(queries)
    for rows in in_batches(trace.lengths, batch):
        for row, logits in zip(rows, run(*padded([queries[row] for row in rows])), strict=True):
            found[row] = logits
    return np.stack(found).astype(np.float32)
