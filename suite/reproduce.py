"""What to type to make an entry's figures again."""

from __future__ import annotations

from suite.documents import Entry
from suite.protocol import TRACKS


def ordered_tasks(entry: Entry) -> list[str]:
    """The tasks that an entry has runs of, in its track's order."""
    known = TRACKS.get(entry.track)
    order = {task: place for place, task in enumerate(known.tasks)} if known else {}
    return sorted(entry.quality, key=lambda task: (order.get(task, len(order)), task))


def run_command(entry: Entry, tasks: list[str] | None = None, seeds: int | None = None) -> str:
    """The command that trains and scores; by default the tasks and the number of seeds that the entry has."""
    count = seeds or max((len(found.runs) for found in entry.quality.values()), default=1)
    named = ",".join(tasks or ordered_tasks(entry))
    return f"lightboard run {entry.recipe} --track {entry.track} --tasks {named} --seeds {count}"


def own_run(recipe: str, track: str, task: str, seeds: int) -> str:
    """The command that trains a model whose run is published, but whose weights are not here: as a run of one's own.

    Into other results, since a run that is in the results already is not made again.
    """
    return f"lightboard run {recipe} --track {track} --tasks {task} --seeds {seeds} --results own"


def measure_command(
    entry: Entry,
    profile: str,
    runtime: str | None = None,
    task: str | None = None,
    inputs: str = "trace",
    arrival: str = "single-stream",
) -> str:
    """The command that times the entry's model."""
    words = f"lightboard measure {entry.recipe} --track {entry.track} --profile {profile}"
    if runtime is not None:
        words += f" --runtime {runtime}"
    if entry.settings.get("default", "default") != entry.variant:
        words += f" --variant {entry.variant}"
    if task is not None:
        words += f" --task {task}"
    if arrival != "single-stream":
        words += f" --arrival {arrival}"
    return words + (f" --inputs {inputs}" if inputs != "trace" else "")


def verify_command(entry: Entry) -> str:
    """The command that checks the entry's runs, scores included."""
    place = f"results/{entry.track}/runs/{entry.recipe}/{entry.variant}"
    return f"lightboard verify {place} --data auto"


def commands(entry: Entry) -> list[str]:
    """All of them, in order."""
    lines = [run_command(entry)]
    lines += [
        measure_command(entry, profile, runtime, inputs=inputs, arrival=arrival)
        for profile, runtime, inputs, arrival in sorted(
            {(s.profile, s.runtime, s.inputs, s.arrival) for s in entry.speed}
        )
    ]
    return [*lines, "lightboard index", verify_command(entry)]
