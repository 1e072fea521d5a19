"""``lightboard run``: make every stage of a plan and land its runs in ``results/`` as their cells finish."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from queue import Empty
from typing import Any

from suite.data.encode import Encoded
from suite.errors import UserError
from suite.folder import write
from suite.loading import load_recipe, resolve
from suite.measure.machine import allowed
from suite.paths import unknown
from suite.pipeline.execute import Event, Failed, Reporter, execute, info, pending
from suite.pipeline.matrix import Job, cell_of, draw_of, plan, tokenizer_of
from suite.pipeline.record import run_files, run_folder
from suite.pipeline.stage import Stage, closure
from suite.pipeline.store import Busy, Store
from suite.protocol import track as track_of
from suite.recipe import Resolved
from suite.tasks import names as task_names
from suite.tasks import task as task_named
from suite.training.device import asked


@dataclass(frozen=True)
class Request:
    """What a run is asked for; small and picklable, so that workers make their own plans."""

    recipes: tuple[str, ...]
    track: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    data: str
    results: Path
    store: Path
    device: str | None = None  # as torch has them; none: LIGHTBOARD_DEVICE, else the processor


def request(
    recipes: str | Sequence[str],
    *,
    track: str,
    tasks: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    data: str = "auto",
    results: str | Path = "results",
    store: Store | None = None,
    device: str | None = None,
) -> Request:
    """Check names and fill defaults: the track's core tasks and all its seeds (an int takes the first of them).

    ``tasks``: the track's, and anybody's own, which are scored and stand beside the average.
    """
    found = track_of(track)
    for name in tasks or ():
        if name not in found.tasks and not (name in task_names() and task_named(name).base):
            raise unknown(f"task of track {track}", name, found.tasks)
    chosen = found.seeds[:seeds] if isinstance(seeds, int) else tuple(seeds or found.seeds)
    strange = [seed for seed in chosen if seed not in found.seeds]
    if strange or not chosen:
        raise UserError(f"seeds: track {track} has {', '.join(map(str, found.seeds))}; asked for {seeds}")
    names = (recipes,) if isinstance(recipes, str) else tuple(recipes)
    root = (store or Store()).root
    return Request(names, track, tuple(tasks or found.core), chosen, data, Path(results), root, device)


def jobs(wanted: Request, reporter: Reporter | None = None) -> list[Job]:
    """The plan of a request: every run, in the order in which they should be made."""
    resolved = [resolve(name, wanted.track) for name in wanted.recipes]
    return plan(
        resolved,
        track_of(wanted.track),
        tasks=wanted.tasks,
        seeds=wanted.seeds,
        source=wanted.data,
        store=Store(wanted.store),
        reporter=reporter,
    )


def landed(job: Job, results: Path) -> bool:
    """Whether ``results`` holds this very run: same settings, and the same stage made its model."""
    path = run_folder(results, job) / "run.json"
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        keys = {stage["key"] for stage in document["stages"]}
    except (OSError, ValueError, TypeError, KeyError):  # nothing, or JSON that is no run
        return False
    return document.get("recipe_hash") == job.resolved.hash and job.model.key in keys


def needed(job: Job) -> list[Stage]:
    """The stages a run is written from: all of them, since it tells what each cost, even where only a later one's
    result is still in the store."""
    return list(closure([job.model, job.predictions]))


def remaining(todo: Sequence[Job], wanted: Request) -> list[Stage]:
    """Stages still to be made for runs that are not in ``results`` yet."""
    targets = [stage for job in todo if not landed(job, wanted.results) for stage in needed(job)]
    return pending(targets, Store(wanted.store))


def run(
    recipes: str | Sequence[str],
    *,
    track: str,
    tasks: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    data: str = "auto",
    results: str | Path = "results",
    store: Store | None = None,
    workers: int | None = None,
    device: str | None = None,
    reporter: Reporter | None = None,
) -> list[Path]:
    """Train and score recipes on a track; gives the folders of their runs. Resumes whatever was begun.

    ``recipes``: names or files. ``data``: auto, hub, folder:PATH, generated or own:PATH. ``workers``: cells made
    side by side, by default as many as the track's threads fit into this machine's cores. ``device``: where stages
    compute, as torch has them: by default LIGHTBOARD_DEVICE, else the processor. A run that is already
    in ``results`` is not made again. Raises :class:`suite.errors.UserError`; for stages that fail when all else is
    made, a line for each.
    """
    wanted = request(
        recipes, track=track, tasks=tasks, seeds=seeds, data=data, results=results, store=store, device=device
    )
    asked(wanted.device)  # says so now where there is none such
    if not wanted.recipes:
        raise UserError(
            f"nothing to run: no such recipe has settings for track {track}; lightboard list recipes"
        )
    # Before anything is trained for a place that cannot be written.
    wanted.results.mkdir(parents=True, exist_ok=True)
    if not os.access(wanted.results, os.W_OK):
        raise UserError(f"{wanted.results}: cannot be written; name another with --results")
    todo = jobs(wanted, reporter)
    if reporter is not None:
        reporter(Event("plan", stages=tuple(info(s) for s in remaining(todo, wanted))))
    cells = _cells(todo)
    workers = min(workers or at_once(todo), len(cells))
    failed: dict[str, str] = {}
    if workers == 1:
        for job in todo:
            _attempt(job, wanted, reporter, failed)
    else:
        failed = _side_by_side(cells, wanted, workers, reporter)
    if failed:
        raise UserError("\n".join(_told(failed, todo, wanted)), code=1)
    return [run_folder(wanted.results, job) for job in todo]


def _cells(todo: Sequence[Job]) -> list[list[Job]]:
    """The jobs of one seed and task together, in their order."""
    return [list(group) for _, group in groupby(todo, key=lambda job: (job.cell.seed, job.cell.task.name))]


def at_once(todo: Sequence[Job]) -> int:
    """How many cells are made side by side, unless somebody says otherwise: one for as many cores as it has threads."""
    return max(1, min(len(allowed()) // todo[0].cell.threads, len(_cells(todo)))) if todo else 1


def land(job: Job, wanted: Request, reporter: Reporter | None = None, *, wait: bool = True) -> None:
    """Make what a job's run needs and write it, unless it is there. ``wait`` as for :func:`execute`."""
    if landed(job, wanted.results):
        return
    store = Store(wanted.store)
    execute(needed(job), store, reporter, wait=wait, device=wanted.device)
    write(run_folder(wanted.results, job), run_files(job, store), replace=True)


def _attempt(
    job: Job,
    wanted: Request,
    reporter: Reporter | None,
    failed: MutableMapping[str, str],
    *,
    wait: bool = True,
) -> None:
    """:func:`land`, but a stage that fails is put into ``failed`` (key -> why), and no job that needs it is begun."""
    known = set(failed.keys())
    if known and any(stage.key in known for stage in pending(needed(job), Store(wanted.store))):
        return
    try:
        land(job, wanted, reporter, wait=wait)
    except Failed as error:
        where = f"{error.stage.task or job.cell.task.name}, seed {error.stage.seed}"
        failed[error.stage.key] = f"{error.stage.name} of {where}: {error}"


def _told(failed: Mapping[str, str], todo: Sequence[Job], wanted: Request) -> Iterator[str]:
    """A line for each stage that failed, with the runs that are missing for it."""
    missing = [job for job in todo if not landed(job, wanted.results)]
    for key, why in failed.items():
        lost = [job for job in missing if key in {stage.key for stage in needed(job)}]
        runs = [
            f"{job.resolved.recipe.name}/{job.variant} {job.cell.task.name}-{job.cell.seed}" for job in lost
        ]
        yield f"{why}; not made: {', '.join(runs)}"


# --- several cells at once ----------------------------------------------------------------------------------


def _side_by_side(
    cells: Sequence[list[Job]], wanted: Request, workers: int, reporter: Reporter | None
) -> dict[str, str]:
    """A process per cell, ``workers`` at a time, in the plan's order; the store's locks keep work single.

    Gives the stages that failed, as :func:`_attempt` has them.
    """
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        events, failed = manager.Queue(), manager.dict()
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(os.getpid(),))
        stop = _drain(events, reporter) if reporter is not None else lambda: None
        try:
            futures = []
            for cell in cells:
                job = cell[0]
                part = Request(**{**vars(wanted), "tasks": (job.cell.task.name,), "seeds": (job.cell.seed,)})
                told = events if reporter is not None else None
                futures.append(pool.submit(_make_cell, part, told, failed))
            for future in as_completed(futures):
                future.result()
        except BaseException as error:
            processes = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:  # what they were at resumes from its checkpoint
                process.kill()
            if isinstance(error, BrokenProcessPool):
                raise UserError(
                    "a worker process was ended from outside, perhaps for want of memory; run again with --workers 1: "
                    "it goes on from here",
                    code=1,
                ) from error
            raise
        finally:
            stop()
        pool.shutdown()
        return dict(failed)


def _make_cell(part: Request, events: Any, failed: MutableMapping[str, str]) -> None:
    """A cell's jobs in order; one whose stage another cell is making is put off until nothing else is left."""
    reporter = events.put if events is not None else None
    todo = jobs(part)
    while todo:
        put_off = []
        for job in todo:
            try:
                _attempt(job, part, reporter, failed, wait=False)
            except Busy:
                put_off.append(job)
        if len(put_off) == len(todo):
            _attempt(put_off.pop(0), part, reporter, failed)
        todo = put_off


def _begin(parent: int) -> None:
    """A worker dies at once on Ctrl-C, and when whoever started it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _drain(events: Any, reporter: Reporter) -> Callable[[], None]:
    """Hand events on as they come, in a thread of their own; gives the function that ends it."""
    done = threading.Event()

    def pump() -> None:
        while True:
            try:
                reporter(events.get(timeout=0.2))
            except Empty:
                if done.is_set():
                    return
            except (EOFError, ConnectionError):
                return

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()

    def stop() -> None:
        done.set()
        thread.join(timeout=5)

    return stop


# --- what other parts ask for -------------------------------------------------------------------------------


def model_folder(
    recipe: str,
    *,
    track: str,
    task: str,
    seed: int | None = None,
    variant: str | None = None,
    data: str = "auto",
    store: Store | None = None,
) -> Path:
    """The trained model's folder in the store; trains it if it is not there."""
    store = store or Store()
    seeds = [track_of(track).seeds[0] if seed is None else seed]
    name = variant or load_recipe(recipe).tracks[track].default
    for job in jobs(request(recipe, track=track, tasks=[task], seeds=seeds, data=data, store=store)):
        if job.variant == name:
            execute([job.model], store)
            return store.folder(job.model.key)
    raise UserError(f"recipe {recipe}: no variant {name!r} on track {track}")


def encoded_dev(
    recipe: str | Resolved, track: str, task: str, *, data: str = "auto", store: Store | None = None
) -> dict[str, Encoded]:
    """The dev sets of a task by split, in the tokens that a recipe's models read."""
    store, found = store or Store(), track_of(track)
    resolved = recipe if isinstance(recipe, Resolved) else resolve(recipe, track)
    tokenizer = tokenizer_of(resolved, found)
    cell = cell_of(found, draw_of(found, task, data), found.seeds[0], store, tokenizer=tokenizer)
    return {s: Encoded.load(store.folder(cell.encoded.key) / s) for s in cell.task.dev_splits}
