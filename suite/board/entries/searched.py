"""Searched networks: the cell that each run found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from suite.board import cells
from suite.board.entries.quality import run_documents
from suite.board.facts import Fact
from suite.board.site import (
    Site,
)
from suite.board.tables import Table
from suite.board.text import (
    field_label,
    listed,
    plain_value,
    shorten,
)
from suite.documents import Entry, Run


@dataclass(frozen=True)
class FoundCell:
    """A searched network: its cell as a drawing and as a table, and what the search says of itself."""

    title: str
    said: str
    drawing: Markup
    edges: Table
    facts: tuple[Fact, ...]


def found_cells(site: Site, entry: Entry) -> list[FoundCell]:
    """The cell of every run whose configuration has one; runs of a task that found the same share a drawing."""
    seeds: dict[tuple[str, cells.Graph], list[Run]] = {}
    for task, document in run_documents(site, entry):
        if (graph := cells.graph_of(document.model.config)) is not None:
            seeds.setdefault((task, graph), []).append(document)
    found = []
    for number, ((task, graph), documents) in enumerate(seeds.items()):
        runs = listed(str(document.seed) for document in documents)
        title = f"{site.task(task).title}, seed{'s' if len(documents) > 1 else ''} {runs}"
        found.append(
            FoundCell(
                title,
                graph.said,
                cells.drawing(graph, ident=f"cell-{number}", title=f"The cell found for {title}"),
                cells.twin(
                    graph, ident=f"cell-{number}-edges", caption=f"Edges of the cell found for {title}"
                ),
                tuple(_search_facts(documents)),
            )
        )
    return found


def _search_facts(documents: Sequence[Run]) -> list[Fact]:
    """Single numbers and words that a configuration holds under ``search``, the runs side by side."""
    searches = [document.model.config.get("search") for document in documents]
    if not all(isinstance(search, Mapping) for search in searches):
        return []
    plain = [
        {k: v for k, v in search.items() if v is not None and isinstance(v, int | float | str)}
        for search in searches
        if isinstance(search, Mapping)
    ]
    return [
        Fact(
            shorten(field_label(key), 40),
            listed(shorten(plain_value(one.get(key, "none")), 60) for one in plain),
        )
        for key in list(plain[0])[:12]
    ]
