"""The compressed models of a track side by side, put in order once for the pages of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from suite.board.site import Site
from suite.documents import Entry

Best = tuple[Entry, ...]  # the best entry, and the best of another recipe than its


@dataclass(frozen=True)
class Field:
    """Default variants of division standard, without the reference and the baselines."""

    count: Mapping[str, int]  # task -> how many have it
    best: Mapping[str, Best]  # task -> by score
    light: Mapping[str, tuple[list[float], list[Best]]]  # task -> FLOPs, and the best with no more than each
    costs: list[float]  # TFLOP per task and seed, ascending
    lines: tuple[Entry, ...]  # the baselines


def field(site: Site, track: str) -> Field:
    """Computed once a track."""
    return site.once(f"field of {track}", lambda: _field(site, track))


def _field(site: Site, track: str) -> Field:
    defaults = [e for e in site.of(track) if e.default and e.division == "standard"]
    models = [e for e in defaults if not site.is_baseline(e) and not site.is_reference(e)]
    count: dict[str, int] = {}
    best: dict[str, Best] = {}
    light: dict[str, tuple[list[float], list[Best]]] = {}
    for task in {task for e in models for task in e.quality}:
        having = [e for e in models if task in e.quality]
        count[task] = len(having)
        best[task] = _best((), having, task)
        weighed = [(f, e) for e in having if (f := e.cost.flops_per_example.get("128")) is not None]
        weighed.sort(key=lambda pair: (pair[0], pair[1].recipe))
        light[task] = ([flops for flops, _ in weighed], [])
        so_far: Best = ()
        for _, entry in weighed:
            so_far = _best(so_far, [entry], task)
            light[task][1].append(so_far)
    costs = sorted(cost for e in models if (cost := cost_of(e)) is not None)
    return Field(count, best, light, costs, tuple(e for e in defaults if site.is_baseline(e)))


def _best(known: Best, more: Iterable[Entry], task: str) -> Best:
    ordered = sorted((*known, *more), key=lambda e: (-e.quality[task].score, e.recipe, e.variant))
    other = next((e for e in ordered[1:] if e.recipe != ordered[0].recipe), None)
    return (ordered[0],) if other is None else (ordered[0], other)


def rival(best: Best, entry: Entry) -> Entry | None:
    """The best that is of another recipe."""
    return next((e for e in best if e.recipe != entry.recipe), None)


def cost_of(entry: Entry) -> float | None:
    """TFLOP per task and seed."""
    return entry.training_cost.tflop / len(entry.quality) if entry.quality else None
