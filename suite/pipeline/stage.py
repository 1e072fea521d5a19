"""A stage: a unit of work whose result is kept under the hash of everything that made it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from suite.canonical import digest


@dataclass(frozen=True)
class Context:
    """What a running stage may touch."""

    folder: Path  # write the result here
    inputs: Mapping[str, Path]  # the finished artifacts of the stages it named
    scratch: Path  # survives a kill; checkpoints go here
    params: Mapping[str, Any]
    seed: int
    progress: Callable[[int, int], None] = lambda done, total: None


@dataclass(frozen=True)
class Stage:
    """``function(context)`` writes files into ``context.folder``. Everything but ``tflop``, ``tokens``, ``shared``
    and ``function`` decides the key; bump ``version`` by hand when the function's result changes."""

    name: str
    version: int
    function: Callable[[Context], None]
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Stage] = field(default_factory=dict)
    data: str = ""  # fingerprint of raw data it reads
    seed: int = 0
    threads: int = 1
    dtype: str = "float32"
    tflop: float = 0.0
    tokens: int = 0
    shared: bool = False  # the teacher and general distillation: outside a recipe's budget

    @cached_property
    def key(self) -> str:
        """``sha256:...`` of what decides the result; never the commit, never the executor."""
        return digest(
            {
                "name": self.name,
                "version": self.version,
                "params": dict(self.params),
                "inputs": {name: stage.key for name, stage in self.inputs.items()},
                "data": self.data,
                "seed": self.seed,
                "threads": self.threads,
                "dtype": self.dtype,
                "torch": ".".join(installed("torch").split(".")[:2]),
            }
        )


def closure(stages: Iterable[Stage]) -> Iterator[Stage]:
    """Every stage the given ones need, each once, inputs before those that use them."""
    seen: set[str] = set()

    def visit(stage: Stage) -> Iterator[Stage]:
        if stage.key in seen:
            return
        seen.add(stage.key)
        for upstream in stage.inputs.values():
            yield from visit(upstream)
        yield stage

    for stage in stages:
        yield from visit(stage)
