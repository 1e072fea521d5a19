"""How to submit: the steps with their commands, what each level takes, and what the board lacks today."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from suite import reproduce
from suite.board import front
from suite.board.entries.figures import LEVEL_MEANINGS
from suite.board.page import Page, page
from suite.board.site import Links, Site, known_track
from suite.board.tables import Cell, Column, Row, Table, table
from suite.board.text import counted, listed
from suite.documents import Entry, Level

EXAMPLE = "mini/theseus/default"  # when nothing is on the board yet
MOST_WANTED = 12


@dataclass(frozen=True)
class Step:
    ident: str
    title: str
    said: str
    commands: tuple[str, ...]


def submit_page(site: Site) -> Page:
    links = Links("submit.html")
    wanted = list(_wanted(site, links))
    return page(
        "submit.html",
        "submit.html",
        "submit",
        "Submit",
        links,
        steps=_steps(_example(site)),
        levels=_levels(),
        wanted=wanted[:MOST_WANTED],
        more=max(0, len(wanted) - MOST_WANTED),
        rules=_RULES,
    )


def _example(site: Site) -> str:
    """An entry of the board, so that the commands can be typed as they stand."""
    for track in site.tracks():
        for entry in front.groups(site, track).ranked:
            if not site.is_reference(entry) and not site.is_baseline(entry):
                return f"{track}/{entry.recipe}/{entry.variant}"
    return EXAMPLE


def _steps(name: str) -> list[Step]:
    track, recipe, variant = name.split("/")
    place = f"results/{track}/runs/{recipe}/{variant}"
    return [
        Step(
            "make",
            "Train and time",
            "A run that was stopped goes on where it was.",
            (
                f"lightboard run {recipe} --track {track}",
                f"lightboard measure {recipe} --track {track} --profile cpu-1-thread",
            ),
        ),
        Step(
            "check",
            "Compute and check",
            "Everything that is wrong is named at once: file, field, what was found, what was expected, what mends it.",
            (
                "lightboard index --results results",
                f'lightboard verify {place} --data auto --attest "Your Name"',
            ),
        ),
        Step(
            "see",
            "See what you would send",
            "The files, every text that is only your word, what is taken out because it names a machine or a person, "
            "and what the row will lack.",
            (f"lightboard submit {name} --out submission --dry-run",),
        ),
        Step(
            "write",
            "Write it, signed if you like",
            "A signature shows that the holder of a key vouched for these very files, not that the figures are true.",
            (f"lightboard submit {name} --out submission --sign mykey.pem", "lightboard verify submission"),
        ),
        Step(
            "send",
            "Send it",
            f"Copy submission/{track} into results/ of a clone and open a pull request. The same checks run there and "
            "answer with a table: old, new, the nearest entries, what became tied.",
            (
                "lightboard index --results results",
                "lightboard verify results --against published",
                "lightboard compare published results --markdown",
            ),
        ),
    ]


def _levels() -> Table:
    rows = [Row(Cell(text=level), (Cell(text=LEVEL_MEANINGS[level]),)) for level in get_args(Level)]
    columns = [Column("Level", kind="text"), Column("What was done", kind="text")]
    return table("How far a row was checked", columns, rows, "levels")


def _wanted(site: Site, links: Links) -> Iterator[tuple[str, str]]:
    """What would fill the board's gaps, with the command that does."""
    for name in sorted(site.profiles):
        if not any(line.profile == name for entry in site.entries for line in entry.speed):
            yield f"{site.profile_title(name)}: no device has answered yet.", links.profile(name)
    for track in site.tracks():
        known = known_track(track)
        if known is None:
            continue
        for entry in site.of(track):
            missing = [task for task in known.core if task not in entry.quality]
            if entry.default and missing:
                yield _missing(site, entry, missing), links.entry(entry, "quality")
        for task in known.core:
            short = [e for e in site.of(track) if e.default and _lacks_seeds(site, e, task, len(known.seeds))]
            if short:
                yield _seeds(site, short, task, len(known.seeds)), links.task(task)


def _lacks_seeds(site: Site, entry: Entry, task: str, planned: int) -> bool:
    return not site.is_baseline(entry) and task in entry.quality and len(entry.quality[task].runs) < planned


def _seeds(site: Site, entries: list[Entry], task: str, planned: int) -> str:
    fewest = min(entries, key=lambda e: (len(e.quality[task].runs), e.training_cost.tflop, e.recipe))
    return (
        f"{site.task(task).title} on {fewest.track}: {counted(len(entries), 'method')} "
        f"{'lacks' if len(entries) == 1 else 'lack'} seeds, for example {site.label(fewest)}: "
        f"{reproduce.run_command(fewest, [task], planned)}"
    )


def _missing(site: Site, entry: Entry, tasks: list[str]) -> str:
    names = listed(site.task(task).title for task in tasks)
    return (
        f"{site.label(entry)} lacks {counted(len(tasks), 'core task')} on {entry.track}, {names}: "
        f"{reproduce.run_command(entry, tasks)}"
    )


_RULES = (
    "A figure that does not follow from the evidence beside it, by name and with the value that does.",
    "A published figure that moves beyond its interval without a reason in the log.",
    "Times below what the processor could do at its highest clock.",
    "A text, a gold label, a host name or a path in what is sent; lightboard submit takes names out and says which.",
    "A link, a file the layout does not know, a number that is none, a table that is not what it claims.",
)
