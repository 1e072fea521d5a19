"""The protocol's page: three hashed parts, the tracks side by side, the dev sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from suite.board.entry_rows import SUBSET
from suite.board.page import Page, page
from suite.board.site import (
    PROTOCOL,
    Links,
    Site,
)
from suite.board.tables import Cell, Column, Row, Table, table
from suite.board.task_pages import task_names
from suite.board.text import (
    counted,
    field_label,
    plain_value,
)
from suite.protocol import TRACKS, TRAINING, hashes


def protocol_page(site: Site) -> Page:
    links = Links("protocol.html")
    parts = []
    for name, content in PROTOCOL.items():
        rest = {
            key: given for key, given in content.items() if key not in ("part", "version", "tracks", "dev")
        }
        today = {track: hashes(track)[name] for track in TRACKS}
        given = Counter(e.protocol[name] for e in site.entries if name in e.protocol)
        carried = [
            (one, counted(count, "entry", "entries"), one in today.values())
            for one, count in sorted(given.items())
        ]
        one_for_all = len(set(today.values())) == 1
        shown = (
            {"": today[next(iter(today))]} if one_for_all else {TRACKS[t].title: h for t, h in today.items()}
        )
        parts.append(
            {
                "name": name,
                "version": content["version"],
                "hashes": shown,
                "content": rest,
                "carried": carried,
            }
        )
    return page(
        "protocol.html",
        "protocol.html",
        "protocol",
        "Protocol",
        links,
        parts_of=parts,
        tracks=_tracks_table(links, site.tracks()),
        dev=_dev_table(site, links),
    )


def _tracks_table(links: Links, shown: Sequence[str]) -> Table:
    """The tracks side by side, a decision a row."""
    names = list(TRAINING["tracks"])
    keys: dict[str, None] = {}
    for name in names:
        keys.update(dict.fromkeys(k for k in TRAINING["tracks"][name] if k not in ("title", "notes")))
    rows = [
        Row(
            Cell(text=field_label(key)),
            tuple(_decision(TRAINING["tracks"][name].get(key), key) for name in names),
        )
        for key in keys
    ]
    columns = [
        Column("Decision", kind="text"),
        *(Column(TRACKS[n].title, href=links.track(n) if n in shown else None, kind="text") for n in names),
    ]
    return table("The tracks", columns, rows, "tracks")


_NO_LIMIT = {
    "train_cap": "all there are",
    "threads": "as the machine has",
    "budget_u": "no budget",
    "pairs": "as the profile says",
}


def _decision(given: Any, key: str) -> Cell:
    if given is None:
        return Cell(text=_NO_LIMIT.get(key, "none"))
    if isinstance(given, Mapping):
        if key == "teacher":
            sizes = given["config"]
            return Cell(text=f"{given['hub']}: {sizes['layers']} layers, {sizes['hidden']} wide")
        pairs = (f"{field_label(k)} {plain_value(v)}" for k, v in given.items() if v is not None)
        return Cell(text=", ".join(pairs))
    return Cell(text=plain_value(given))


def _dev_table(site: Site, links: Links) -> Table | None:
    rows = []
    listed_tasks = {name: site.task(name).title for name in TRAINING["dev"]}
    pages_of = set(task_names(site))
    for name, title in sorted(listed_tasks.items(), key=lambda pair: pair[1]):
        for split, known in sorted(TRAINING["dev"][name].items()):
            label = title if len(TRAINING["dev"][name]) == 1 else f"{title}, {split.replace('_', ' ')}"
            subset = not known.get("complete", True)
            rows.append(
                Row(
                    Cell(text=label, href=links.task(name) if name in pages_of else None),
                    (
                        Cell(text=f"{known['rows']:,}", number=True),
                        Cell(text=known["gold_sha256"].removeprefix("sha256:")[:16]),
                        Cell(text=known["text_sha256"].removeprefix("sha256:")[:16]),
                    ),
                    tags=(SUBSET,) if subset else (),
                )
            )
    if not rows:
        return None
    columns = [
        Column("Dev set", kind="text"),
        Column("Rows"),
        Column("Gold labels", "SHA-256", kind="text"),
        Column("Texts", "SHA-256", kind="text"),
    ]
    return table("The dev sets that scores are taken on", columns, rows, "dev")
