"""The local executor: one stage at a time, in order, each at most once over all processes of a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from suite.pipeline.stage import Context, Stage, closure
from suite.pipeline.store import Artifact, Store


class Reporter(Protocol):
    """Who is told of progress."""

    def begin(self, stage: Stage, position: int, total: int) -> None: ...

    def progress(self, done: int, total: int) -> None: ...

    def end(self, stage: Stage, cached: bool, seconds: float) -> None: ...


class Silent:
    """Tells nobody."""

    def begin(self, stage: Stage, position: int, total: int) -> None:
        pass

    def progress(self, done: int, total: int) -> None:
        pass

    def end(self, stage: Stage, cached: bool, seconds: float) -> None:
        pass


def pending(targets: Iterable[Stage], store: Store) -> list[Stage]:
    """What must still be made for ``targets``, in order; inputs of finished stages are not asked for."""
    seen: set[str] = set()
    order: list[Stage] = []

    def visit(stage: Stage) -> None:
        if stage.key in seen:
            return
        seen.add(stage.key)
        if store.get(stage.key) is None:
            for upstream in stage.inputs.values():
                visit(upstream)
            order.append(stage)

    for target in targets:
        visit(target)
    return order


def execute(targets: Iterable[Stage], store: Store, reporter: Reporter | None = None) -> None:
    """Make every target that is not in the store yet. A kill loses at most the last seconds of one stage."""
    reporter = reporter or Silent()
    targets = list(targets)
    todo = pending(targets, store)
    for position, stage in enumerate(todo):
        reporter.begin(stage, position, len(todo))
        with store.lock(stage.key):
            found = store.get(stage.key)
            if found is None:
                found = _make(stage, store, reporter)
                reporter.end(stage, False, found.record["seconds"])
            else:  # another process made it while this one waited
                reporter.end(stage, True, found.record["seconds"])
    store.gc(keep=[stage.key for stage in closure(targets)])


def _make(stage: Stage, store: Store, reporter: Reporter) -> Artifact:
    inputs: Mapping[str, Path] = {name: store.folder(s.key) for name, s in stage.inputs.items()}
    record = {
        "stage": stage.name,
        "version": stage.version,
        "tflop": stage.tflop,
        "tokens": stage.tokens,
        "shared": stage.shared,
        "seed": stage.seed,
        "threads": stage.threads,
    }
    import torch

    torch.set_num_threads(stage.threads)
    with store.make(stage.key, record) as (folder, scratch):
        stage.function(Context(folder, inputs, scratch, stage.params, stage.seed, reporter.progress))
    made = store.get(stage.key)
    assert made is not None
    return made
