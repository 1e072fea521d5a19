"""A stage: a unit of work whose result is kept under the hash of everything that made it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property, partial
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from suite.canonical import digest
from suite.paths import load_module, modules, own_code


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
    and ``function`` decides the key; bump ``version`` by hand when the function's result changes.

    Code from ``LIGHTBOARD_PATH`` carries no versions that anybody tests: its source is part of the key.
    """

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
        code = sorted(_own_code(self.function, self.params))
        return digest(
            {
                **({"code": code} if code else {}),
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


def _own_code(function: Any, params: Mapping[str, Any]) -> set[str]:
    """Hashes of the modules from ``LIGHTBOARD_PATH`` that a stage runs: its functions' and its architectures'."""
    if not os.environ.get("LIGHTBOARD_PATH"):
        return set()
    names = set(_modules(function))
    known = modules("models")
    for name in set(_architectures(params)):
        if name in known or name.replace("-", "_") in known:
            names.add(load_module("models", name).__name__)
    return {found for name in names if (found := own_code(name)) is not None}


def _modules(value: Any) -> Iterator[str]:
    """The modules of a function or an object, and of all that is bound to it, as a phase's functions are."""
    if isinstance(value, partial):
        parts = [value.func, *value.args, *value.keywords.values()]
    elif is_dataclass(value) and not isinstance(value, type):
        parts = [getattr(value, part.name) for part in fields(value)]
    else:
        parts = []
    for part in parts:
        yield from _modules(part)
    if isinstance(name := getattr(value, "__module__", None), str):
        yield name


def _architectures(value: Any) -> Iterator[str]:
    """The architecture of every model configuration inside a stage's settings."""
    if isinstance(value, Mapping):
        if isinstance(name := value.get("architecture"), str):
            yield name
        value = list(value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        for part in value:
            yield from _architectures(part)


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
