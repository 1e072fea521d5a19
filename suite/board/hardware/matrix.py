"""Which runtime suits which method: the speed of every default variant in every runtime, on one profile."""

from __future__ import annotations

from suite.board.entry_rows import named_row
from suite.board.site import Links, Shown, Site, View
from suite.board.tables import Cell, Column, Table, gap, table, value
from suite.board.text import Missing, digits, ratio_span
from suite.documents import Entry

MOST = 40  # rows; the table of all measurements below has the rest


def matrix(site: Site, links: Links, profile: str, track: str) -> Table | None:
    """Ratios to the reference, the fastest runtime of a row marked; also the runtimes that the profile asks for."""
    entries = [
        e
        for e in site.of(track)
        if e.default and (any(s.profile == profile for s in e.speed) or _tried([e], profile))
    ]
    known = site.profiles.get(profile)
    runtimes = sorted(
        {s.runtime for e in entries for s in e.speed if s.profile == profile}
        | _tried(entries, profile)
        | set(known.runtimes if known else ())
    )
    if not entries:
        return None
    shown = {
        (e.recipe, runtime): site.speed(e, View(profile, runtime)) for e in entries for runtime in runtimes
    }

    def best(entry: Entry) -> float:
        found = [
            s.ratio.value for runtime in runtimes if isinstance(s := shown[entry.recipe, runtime], Shown)
        ]
        return max(found, default=0.0)

    rows = []
    for entry in sorted(entries, key=lambda e: (-best(e), e.recipe))[:MOST]:
        cells: list[Cell] = []
        for runtime in runtimes:
            one = shown[entry.recipe, runtime]
            if isinstance(one, Missing):
                cells.append(gap(one))
                continue
            span = ratio_span(one.ratio.interval) if one.ratio.interval else "no interval"
            measured = sum(isinstance(shown[entry.recipe, other], Shown) for other in runtimes)
            note = "fastest here" if measured > 1 and one.ratio.value == best(entry) else ""
            href = links.measured(entry, *one.measurements)
            cells.append(value(digits(one.ratio.value, 3, 2), span, href, faint=one.noisy, note=note))
        rows.append(named_row(site, links, entry, cells))
    notes = [
        "Times the reference’s speed, single queries at true lengths; the reference always runs in its own runtime."
    ]
    if len(entries) > MOST:
        notes.append(f"The fastest {MOST} of {len(entries):,} methods.")
    return table(
        f"Methods by runtime, {track} track",
        [Column("Method", kind="text"), *(Column(runtime, "times") for runtime in runtimes)],
        rows,
        f"matrix-{track}",
        notes=notes,
    )


def _tried(entries: list[Entry], profile: str) -> set[str]:
    """Runtimes that were tried and could not be measured: their cells say why."""
    return {cell.runtime for e in entries for cell in e.empty if cell.profile == profile}
