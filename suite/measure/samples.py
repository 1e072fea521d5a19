"""The raw times of a measurement: one row per timed query."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

REFERENCE, ENTRY = 0, 1

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """The columns of ``samples.parquet``, each [samples]."""

    pair: Integers
    block: Integers  # the round within the pair
    side: Integers  # 0 reference, 1 entry
    query: Integers  # row of the trace
    nanoseconds: Integers  # of one query: the timed unit over its repeats

    def __len__(self) -> int:
        return len(self.pair)

    def where(self, mask: NDArray[np.bool_]) -> Samples:
        return Samples(**{f.name: getattr(self, f.name)[mask] for f in fields(self)})
