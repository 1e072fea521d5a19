"""What an entry still lacks, in the order in which to mend it: training before timing before checking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from suite import reproduce
from suite.documents import Attestation, Entry
from suite.protocol import TRACKS, Track
from suite.stored import LEVELS

PROFILE = "cpu-1-thread"  # suggested where nothing was measured yet


@dataclass(frozen=True)
class Gap:
    """Something that is missing, what that costs the entry, and the command that mends it."""

    what: str
    costs: str
    command: str


def gaps(
    entry: Entry,
    attestations: Sequence[Attestation],
    subjects: Sequence[str],
    timed_tasks: Sequence[str] = (),
    signed: bool = False,
) -> list[Gap]:
    """All gaps of an entry. ``subjects``: its runs'; ``timed_tasks``: those timed with weights of their own."""
    track = TRACKS.get(entry.track)
    found: list[Gap] = []
    if track is not None:
        found += _training(entry, track)
    found += _timing(entry, track, timed_tasks)
    if gap := _checking(entry, attestations, subjects):
        found.append(gap)
    if not signed:
        command = f"lightboard submit {entry.track}/{entry.recipe}/{entry.variant} --out DIR --sign KEYFILE"
        found.append(Gap("not signed", "nothing; readers who know your key see that it was you", command))
    return found


def _training(entry: Entry, track: Track) -> Iterator[Gap]:
    core = [task for task in track.core if task not in entry.quality]
    if core:
        command = reproduce.run_command(entry, core, len(track.seeds))
        yield Gap(f"no run of core tasks {', '.join(core)}", "no board score and no rank", command)
    few = [
        task
        for task in track.tasks
        if task in entry.quality and len(entry.quality[task].runs) < len(track.seeds)
    ]
    if few:
        counts = ", ".join(f"{task} {len(entry.quality[task].runs)}" for task in few)
        what = f"fewer seeds than the protocol's {len(track.seeds)}: {counts}"
        command = reproduce.run_command(entry, few, len(track.seeds))
        yield Gap(what, "wider intervals and wider rank ranges", command)
    extended = [task for task in track.extended if task not in entry.quality]
    if extended:
        command = reproduce.run_command(entry, extended, len(track.seeds))
        yield Gap(f"no run of extended tasks {', '.join(extended)}", "gaps on the task pages", command)


def _timing(entry: Entry, track: Track | None, timed_tasks: Sequence[str]) -> Iterator[Gap]:
    lines = [line for line in entry.speed if line.arrival == "single-stream" and line.inputs == "trace"]
    if not lines:
        command = reproduce.measure_command(entry, PROFILE)
        yield Gap("no measurement on any profile", "no speed, memory and latency", command)
        return
    untimed = [task for task in (track.core if track else ()) if timed_tasks and task not in timed_tasks]
    if untimed:
        command = reproduce.measure_command(entry, lines[0].profile, lines[0].runtime, untimed[0])
        yield Gap(f"timed task by task, without {', '.join(untimed)}", "no speed on the front page", command)
    for line in lines:
        if line.verdict == "noisy":
            command = reproduce.measure_command(entry, line.profile, line.runtime)
            what = f"a noisy measurement on {line.profile} with {line.runtime}"
            yield Gap(what, "shown in grey; measure on a quieter machine", command)


def _checking(entry: Entry, attestations: Sequence[Attestation], subjects: Sequence[str]) -> Gap | None:
    """Rescored needs the gold labels, so it is the one level that not everyone can check."""
    wanted = LEVELS.index("rescored")
    rescored = {
        one.subject for one in attestations if one.outcome == "passed" and LEVELS.index(one.level) >= wanted
    }
    lacking = len([subject for subject in subjects if subject not in rescored])
    if not lacking:
        return None
    what = f"no rescored attestation for {lacking} of {len(subjects)} runs"
    command = f"{reproduce.verify_command(entry)} --attest YOUR_NAME"
    return Gap(what, f"the row says {entry.level}", command)
