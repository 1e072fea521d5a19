"""The local executor: one stage at a time, in order, each at most once over all processes of a store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from suite.errors import UserError
from suite.pipeline.stage import Context, Stage, closure
from suite.pipeline.store import Artifact, Store


@dataclass(frozen=True)
class StageInfo:
    """What a reporter needs to know of a stage; small, since it travels between processes."""

    name: str
    key: str
    task: str
    seed: int
    tflop: float


@dataclass(frozen=True)
class Event:
    """Something worth telling: a plan's remaining stages, or one stage that began, advanced or ended."""

    kind: Literal["plan", "begin", "progress", "end"]
    stage: StageInfo | None = None
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    stages: tuple[StageInfo, ...] = ()


Reporter = Callable[[Event], None]
MARKED_SECONDS = 600.0  # how often a running stage marks its inputs as used


class Failed(UserError):
    """A stage whose own work failed, and which one it was."""

    stage: StageInfo


def info(stage: Stage) -> StageInfo:
    return StageInfo(stage.name, stage.key, str(stage.params.get("task", "")), stage.seed, stage.tflop)


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


def execute(
    targets: Iterable[Stage],
    store: Store,
    reporter: Reporter | None = None,
    *,
    wait: bool = True,
    device: str | None = None,
) -> None:
    """Make every target that is not in the store yet. A kill loses at most the last seconds of one stage.

    ``device``: as torch has them; by default LIGHTBOARD_DEVICE, else the processor. :class:`Failed` when a stage says
    that it cannot be made.
    ``wait=False``: :class:`suite.pipeline.store.Busy` as soon as a stage is being made by another process.
    """
    targets = list(targets)
    for stage in pending(targets, store):
        with store.lock(stage.key, wait=wait):
            if store.get(stage.key) is None:  # else another process made it while this one waited
                _make(stage, store, reporter or (lambda event: None), device)
    store.gc(keep=[stage.key for stage in closure(targets)])


def _make(stage: Stage, store: Store, reporter: Reporter, device: str | None) -> Artifact:
    import torch

    from suite.training.device import asked, computing_on, name_of

    torch.set_num_threads(stage.threads)
    where = asked(device)
    who, told, marked = info(stage), 0.0, time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal told, marked
        now = time.monotonic()
        if now - told > 0.25:
            told = now
            reporter(Event("progress", who, done, total))
        if now - marked > MARKED_SECONDS:  # so that no other process collects them under this one
            marked = now
            for upstream in stage.inputs.values():
                store.get(upstream.key)

    record = {
        "stage": stage.name,
        "version": stage.version,
        "tflop": stage.tflop,
        "tokens": stage.tokens,
        "shared": stage.shared,
        "seed": stage.seed,
        "threads": stage.threads,
        "accelerator": name_of(where),
    }
    reporter(Event("begin", who))
    with store.make(stage.key, record) as (folder, scratch):
        inputs = {name: store.folder(upstream.key) for name, upstream in stage.inputs.items()}
        try:
            with computing_on(where):
                stage.function(Context(folder, inputs, scratch, stage.params, stage.seed, progress))
        except UserError as error:
            failed = Failed(str(error), code=error.code)
            failed.stage = who
            raise failed from error
    made = store.get(stage.key)
    assert made is not None
    reporter(Event("end", who, seconds=made.record["seconds"]))
    return made
