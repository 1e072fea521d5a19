"""Two states of a results tree side by side: what changed, by how much, and who stands near.

``beyond`` lists the changes of one entry that a published figure may not make without a reason; ``rows`` and
``markdown`` are for whoever reviews a submission: old, new, the nearest entries, what became tied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from suite import index
from suite.documents import Entry, Interval, Ranks, Speed
from suite.errors import UserError
from suite.markdown import cell
from suite.protocol import MEASURING, REPORTING

TOLERANCE = 0.001
"""Points that a published score may move without a reason."""
NEAREST = 2
HELD_BETWEEN = (MEASURING["reference"]["recipe"], REPORTING["baselines"]["majority"])
"""The recipes that retention is measured between."""


# --- figures of one entry -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """A published figure and what it became; ``interval``: where it may go without a reason."""

    field: str
    old: float | str
    new: float | str | None  # None: it is gone
    interval: tuple[float, float] | None
    places: tuple[str, ...]  # how the places of the documents begin that it follows from

    def found(self) -> str:
        if self.new is None or isinstance(self.new, str):
            return self.new or "nothing"
        return repr(self.new)

    def allowed(self) -> str:
        """What would need no reason."""
        if self.interval is not None:
            return f"{self.interval[0]!r} to {self.interval[1]!r}, as published, or a reason in the log"
        if isinstance(self.old, str):
            return f"{self.old}, as published, or a reason in the log"
        return f"{self.old!r}, as published (to {TOLERANCE}), or a reason in the log"


def beyond(old: Entry, new: Entry) -> list[Figure]:
    """Scores that moved by more than 0.001 points; speeds and retentions that left their published interval or are
    gone; another division, and ranks that are gone.

    A speed without an interval (too few process pairs) has none to leave. Ranks may move: whatever is added moves
    them. Retention moves with the rows that it is held between, so a reason given for those covers it too.
    """
    found: list[Figure] = []
    own = (f"runs/{old.recipe}/{old.variant}/",)
    if old.division != new.division:
        found.append(Figure("division", old.division, new.division, None, own))
    if old.ranks is not None and new.ranks is None:
        found.append(Figure("ranks", _range(old.ranks), None, None, own))
    for task, quality in old.quality.items():
        after = new.quality.get(task)
        score = after.score if after else None
        if score is None or abs(score - quality.score) > TOLERANCE:
            places: tuple[str, ...] = (f"runs/{old.recipe}/{old.variant}/{task}-",)
            found.append(Figure(f"quality.{task}.score", quality.score, score, None, places))
        elif after is not None and (was := quality.retention) is not None and was.interval is not None:
            kept = after.retention.value if after.retention else None
            if kept is None or not _inside(kept, was.interval):
                places = tuple(f"runs/{recipe}/" for recipe in (old.recipe, *HELD_BETWEEN))
                found.append(Figure(f"quality.{task}.retention", was.value, kept, was.interval, places))
    lines = _by_what(new.speed)
    for key, line in _by_what(old.speed).items():
        after_line = lines.get(key)
        value = after_line.ratio.value if after_line else None
        if value is not None and (line.ratio.interval is None or _inside(value, line.ratio.interval)):
            continue
        places = tuple({line.measurement, *([after_line.measurement] if after_line else [])})
        field = f"speed.{'/'.join(key[:5])}.ratio.value"
        found.append(Figure(field, line.ratio.value, value, line.ratio.interval, places))
    return found


def _inside(value: float, interval: Interval) -> bool:
    return interval[0] <= value <= interval[1]


def _by_what(lines: Sequence[Speed]) -> dict[tuple[str, ...], Speed]:
    """Speeds by what was measured: a newer measurement of the same thing has the same key, wherever it lies."""
    return {(s.profile, s.runtime, s.precision, s.arrival, s.inputs, s.task or ""): s for s in lines}


# --- a whole tree -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Near:
    """A row that stands next to another: how far it is above (points of the board score)."""

    entry: str
    above: float
    tied: bool


@dataclass(frozen=True)
class Changed:
    """An entry that is new, gone or different."""

    track: str
    entry: str
    what: str  # new, gone, changed
    old: float | None  # board score, points
    new: float | None
    interval: tuple[float, float] | None
    ranks: str
    tasks: tuple[tuple[str, float | None, float | None], ...]  # those that moved
    nearest: tuple[Near, ...]
    became_tied: tuple[str, ...]
    no_longer_tied: tuple[str, ...]
    reasons_needed: tuple[str, ...]  # fields
    level: str


def rows(then: Sequence[Entry], now: Sequence[Entry]) -> list[Changed]:
    """What differs between two states, by track and entry."""
    before, after = _named(then), _named(now)
    ties_before, ties_after = _ties(then), _ties(now)
    found = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        became = ties_after.get(key, frozenset()) - ties_before.get(key, frozenset())
        # Between rows of which one is new, a tie is news of the new row alone.
        became_tied = {name for name in became if old is None or name in before}
        parted = {
            n for n in ties_before.get(key, frozenset()) - ties_after.get(key, frozenset()) if n in after
        }
        moved = _moved(old, new)
        ranks = _ranks(old.ranks if old else None, new.ranks if new else None)
        if old and new and not (moved or became_tied or parted or " → " in ranks or beyond(old, new)):
            continue
        shown = new or old
        assert shown is not None
        score = new.board_score if new else None
        found.append(
            Changed(
                track=key[0],
                entry=key[1],
                what="new" if old is None else "gone" if new is None else "changed",
                old=old.board_score.value if old and old.board_score else None,
                new=score.value if score else None,
                interval=score.interval if score else None,
                ranks=ranks,
                tasks=moved,
                nearest=tuple(_nearest(new, now)) if new else (),
                became_tied=tuple(sorted(name for _, name in became_tied)),
                no_longer_tied=tuple(sorted(name for _, name in parted)),
                reasons_needed=tuple(f.field for f in beyond(old, new))
                if old and new
                else (("the whole entry",) if old else ()),
                level=shown.level,
            )
        )
    return found


Key = tuple[str, str]


def _named(entries: Sequence[Entry]) -> dict[Key, Entry]:
    return {(e.track, f"{e.recipe}/{e.variant}"): e for e in entries}


def _moved(old: Entry | None, new: Entry | None) -> tuple[tuple[str, float | None, float | None], ...]:
    before = {task: q.score for task, q in old.quality.items()} if old else {}
    after = {task: q.score for task, q in new.quality.items()} if new else {}
    return tuple(
        (task, before.get(task), after.get(task))
        for task in sorted(before.keys() | after.keys())
        if before.get(task) is None or after.get(task) is None or abs(after[task] - before[task]) > TOLERANCE
    )


def _ranks(old: Ranks | None, new: Ranks | None) -> str:
    before, after = _range(old), _range(new)
    return after if before == after else f"{before} → {after}"


def _range(ranks: Ranks | None) -> str:
    if ranks is None:
        return "none"
    return str(ranks.lowest) if ranks.lowest == ranks.highest else f"{ranks.lowest}–{ranks.highest}"


def _ties(entries: Sequence[Entry]) -> dict[Key, frozenset[Key]]:
    """Row -> the rows whose places overlap with its own, within a track and division."""
    ranked = [(key, e) for key, e in _named(entries).items() if e.ranks is not None]
    return {
        key: frozenset(
            other
            for other, two in ranked
            if other != key and (one.track, one.division) == (two.track, two.division) and _overlap(one, two)
        )
        for key, one in ranked
    }


def _overlap(one: Entry, two: Entry) -> bool:
    a, b = one.ranks, two.ranks
    return a is not None and b is not None and a.lowest <= b.highest and b.lowest <= a.highest


def _nearest(entry: Entry, entries: Sequence[Entry]) -> Iterator[Near]:
    """The ranked rows whose board scores are nearest."""
    if entry.board_score is None:
        return
    own = entry.board_score.value
    others = [
        (other.board_score.value - own, f"{other.recipe}/{other.variant}", other)
        for other in entries
        if other.board_score is not None
        and other.ranks is not None
        and (other.track, other.division) == (entry.track, entry.division)
        and (other.recipe, other.variant) != (entry.recipe, entry.variant)
    ]
    for above, name, other in sorted(others, key=lambda one: (abs(one[0]), one[1]))[:NEAREST]:
        yield Near(name, above, _overlap(entry, other))


def compare(old: Path, new: Path) -> list[Changed]:
    """What differs between two results trees, by their entries as they are stored."""
    return rows(entries_of(old), entries_of(new))


def entries_of(results: Path) -> list[Entry]:
    """Stored entries; none of a tree that has nothing yet."""
    if not results.is_dir():
        raise UserError(f"{results}: no such folder; name a results tree")
    return index.entries(results)


def as_dicts(changed: Sequence[Changed]) -> list[dict[str, Any]]:
    return [asdict(one) for one in changed]


# --- in words -----------------------------------------------------------------------------------------------


def columns(one: Changed) -> Mapping[str, str]:
    """A change as a line of a table, unescaped."""
    return {
        "entry": f"{one.track}/{one.entry}" + ("" if one.what == "changed" else f" ({one.what})"),
        "old": _points(one.old),
        "new": _points(one.new)
        + (f" [{one.interval[0]:.1f}, {one.interval[1]:.1f}]" if one.interval else ""),
        "tasks that moved": ", ".join(f"{t} {_points(a)} → {_points(b)}" for t, a, b in one.tasks) or "none",
        "ranks": one.ranks,
        "nearest": ", ".join(
            f"{near.entry} {near.above:+.1f}" + (" (tied)" if near.tied else "") for near in one.nearest
        )
        or "none",
        "became tied with": ", ".join(one.became_tied) or "none",
        "no longer tied with": ", ".join(one.no_longer_tied) or "none",
        "moved beyond what is allowed": ", ".join(one.reasons_needed) or "nothing",
    }


def _points(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def markdown(changed: Sequence[Changed]) -> str:
    """The table for a reviewer. Scores are points; ± and rank ranges are at 95%."""
    if not changed:
        return "No entry changed.\n"
    lines = [columns(one) for one in changed]
    heads = list(lines[0])
    text = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    text += ["| " + " | ".join(cell(line[head]) for head in heads) + " |" for line in lines]
    text += [
        "",
        "Board scores are points with 95% intervals. Tied: the places that two rows can hold overlap.",
    ]
    return "\n".join(text) + "\n"
