"""How fast a runtime multiplies matrices here: what no model can beat, measured in the same sitting as the models.

The graph is a chain of square products (:mod:`suite.models.products`) that every runtime exports and runs the way it
does any model, so a new runtime needs nothing more. The rate is the best query's at the best of a few lengths: of noise
that only ever slows, the least slowed is nearest the truth.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from suite.errors import UserError
from suite.measure.latency import Plan, Sibling, Side, Trace, written
from suite.measure.worker import split
from suite.runtimes import exported, runtime

CONFIG: dict[str, Any] = {
    "architecture": "products", "words": 512, "hidden": 512, "layers": 6, "outputs": 2, "positions": 512,
}  # fmt: skip
LENGTHS = (
    64,
    128,
    256,
)  # milliseconds each: short enough to be left in peace, long enough for what is around them
SECONDS = 0.5  # of products at each length
FEWEST, MOST = 3, 1000  # queries at each length
SITTING_SECONDS = 1800.0  # for so long a rate stands for measurements of the same process
AGAIN_SECONDS = 300.0  # after so long it is taken again: a neighbour may have been busy the last time

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Rate:
    """A runtime's best rate on the plan's cores and threads."""

    runtime: str
    precision: str
    flop_per_second: float


def flops(length: int) -> int:
    """Of one query: 2 per multiply-accumulate."""
    return 2 * length * int(CONFIG["hidden"]) ** 2 * int(CONFIG["layers"])


@contextlib.contextmanager
def model_file(name: str) -> Iterator[Path]:
    """The chain of products in a runtime. UserError where it cannot be exported."""
    import torch

    from suite import models

    with tempfile.TemporaryDirectory(prefix="lightboard-") as folder, torch.random.fork_rng():
        torch.manual_seed(0)  # the same weights have the same place in the store
        models.save(models.build(CONFIG), CONFIG, Path(folder))
        given: tuple[Any, ...] = ()
        if getattr(runtime(name), "CALIBRATES", False):
            trace = _trace()
            given = (split(trace.ids, trace.types, trace.offsets),)
        try:
            file = exported(name, Path(folder), *given)
        except UserError:
            raise
        except Exception as error:  # whatever an exporter raises
            first = next(iter(str(error).strip().splitlines()), "")
            raise UserError(
                f"runtime {name}: cannot export: {type(error).__name__}: {first}"[:300], code=1
            ) from None
        yield file


def _trace() -> Trace:
    """One query of random tokens at each length."""
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64)
    total = int(offsets[-1])
    ids = np.random.default_rng(0).integers(1, CONFIG["words"], total).astype(np.int32)
    return Trace(ids, np.zeros(total, np.int8), offsets)


def rate(side: Side, plan: Plan) -> Rate:
    """Time the chain of products in a process of its own. UserError when it dies."""
    best = 0.0
    with (
        tempfile.TemporaryDirectory(prefix="lightboard-") as folder,
        Sibling(side, replace(plan, memory_limit=None)) as sibling,
    ):
        sibling.load(written(_trace(), Path(folder) / "trace.npz"))
        for query, length in enumerate(LENGTHS):
            once = sibling.time([query], 1, 1, [])["nanoseconds"][0]
            count = min(MOST, max(FEWEST, math.ceil(SECONDS * 1e9 / once)))
            times = sibling.time([query] * count, 1, 0, [])["nanoseconds"]
            best = max(best, flops(length) / (min(times) / 1e9))
    return Rate(side.runtime, runtime(side.runtime).PRECISION, best)


def measured(name: str, plan: Plan) -> Rate:
    """A runtime's rate here. UserError with the reason where there is none."""
    with model_file(name) as file:
        return rate(Side("products", name, file), plan)


_SITTING: dict[tuple[str, int, tuple[int, ...]], list[tuple[float, Rate]]] = {}  # when each was taken


def of(names: Sequence[str], plan: Plan, tell: Tell) -> list[Rate]:
    """The best rates of this sitting of some runtimes; one that cannot be measured is told and left out."""
    found = []
    for name in dict.fromkeys(names):
        now = time.monotonic()
        readings = _SITTING.setdefault((name, plan.threads, plan.affinity), [])
        readings[:] = [one for one in readings if now - one[0] <= SITTING_SECONDS]
        if not readings or now - readings[-1][0] > AGAIN_SECONDS:
            tell(f"measuring how fast {name} multiplies matrices here")
            try:
                readings.append((now, measured(name, plan)))
            except UserError as error:
                tell(f"no peak rate: {error}")
        if readings:
            found.append(max((rate for _, rate in readings), key=lambda rate: rate.flop_per_second))
    return found
