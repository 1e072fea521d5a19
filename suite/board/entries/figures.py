"""The dozen numbers at the top of an entry's page, and its summary in a sentence."""

from __future__ import annotations

from suite.board.entry_rows import file_size, rank_words
from suite.board.facts import Fact
from suite.board.site import (
    Shown,
    Site,
    View,
    known_track,
)
from suite.board.text import (
    bytes_words,
    counted,
    digits,
    fixed,
    level_words,
    listed,
    number_word,
    plus_minus,
    rank_range,
    ratio_span,
    sentence,
    shorten,
    times_faster,
)
from suite.documents import Entry


def figures(site: Site, entry: Entry, view: View) -> list[Fact]:
    """The dozen numbers that someone who chooses wants to see first."""
    shown = site.speed(entry, view)
    score = entry.board_score
    parameters = entry.cost.parameters
    known = known_track(entry.track)
    rank = rank_range(entry.ranks.lowest, entry.ranks.highest) if entry.ranks else "not ranked"
    found = [
        Fact(
            "Board score",
            fixed(score.value, 1) if score else "none",
            ident="score",
            note=(plus_minus(score.value, score.interval) if score.interval else "no interval")
            + (f", mean of {listed(site.task(t).title for t in known.core)}" if known else "")
            if score
            else sentence(entry.board_score_reason or "core tasks are missing"),
            missing=score is None,
        ),
        Fact("Rank", rank, ident="rank", note=rank_words(site, entry), missing=entry.ranks is None),
    ]
    if isinstance(shown, Shown):
        where = site.on_profile(view.profile) if view.profile else ""
        interval = ratio_span(shown.ratio.interval) if shown.ratio.interval else "no interval"
        noisy = "; noisy" if shown.noisy else ""
        found.append(
            Fact(
                "Speed",
                f"{digits(shown.ratio.value, 3, 2)}×",
                note=f"{interval}; {times_faster(shown.ratio.value, 'the reference')} {where}, "
                f"{shown.runtime}{noisy}",
            )
        )
        if shown.p50 is not None:
            tail = f"; nine in ten within {digits(shown.p90)} ms" if shown.p90 is not None else ""
            measured = f"median query, {digits(shown.p50, 3, 2)} ms as measured{tail}"
            if shown.ms is None:
                found.append(Fact("Latency", f"{digits(shown.p50, 3, 2)} ms", note=measured))
            else:
                note = f"the reference’s time over the speed; {measured}"
                found.append(Fact("Latency", f"{digits(shown.ms, 3, 2)} ms", note=note))
        found.append(
            Fact("Memory", bytes_words(shown.memory), ident="memory", note="peak, above a loaded interpreter")
        )
    else:
        found.append(Fact("Speed", "none", note=sentence(shown.reason), missing=True))
    body = f"{parameters.without_embeddings:,} without embeddings"
    if parameters.nonzero != parameters.total:
        body += f"; {parameters.nonzero:,} non-zero"
    found.append(Fact("Parameters", f"{parameters.total:,}", ident="parameters", note=body))
    flops = entry.cost.flops_per_example
    at = flops.get("128")
    others = [
        f"{digits(v / 1e9)} G on {_length_words(site, key)}"
        for key, v in sorted(flops.items())
        if key != "128"
    ]
    found.append(
        Fact(
            "FLOPs at 128 tokens",
            f"{digits(at / 1e9)} G" if at is not None else "none",
            ident="flops",
            note="; ".join(others) if others else "one multiply-accumulate is two FLOPs",
            missing=at is None,
        )
    )
    size = file_size(entry, shown)
    files = "; ".join(f"{key} {bytes_words(v)}" for key, v in sorted(entry.cost.bytes.items()))
    found.append(
        Fact(
            "Model file",
            bytes_words(size[0]) if size else "none",
            ident="bytes",
            note=files or "no file recorded",
            missing=size is None,
        )
    )
    cost = entry.training_cost
    budget = (
        f"budget {digits(cost.budget_tflop)} TFLOP"
        if cost.budget_tflop is not None
        else "no budget on this track"
    )
    found.append(
        Fact(
            "Training",
            f"{digits(cost.tflop)} TFLOP",
            ident="training",
            note=f"{digits(cost.device_hours)} device-hours, {cost.tokens:,} tokens, "
            f"{counted(len(entry.quality), 'task')}, one seed each; {budget}",
        )
    )
    words = level_words(entry.level, entry.retrained)
    found.append(Fact("Checked", words, ident="level", note=LEVEL_MEANINGS[entry.level]))
    return found


LEVEL_MEANINGS = {
    "valid": "The documents are whole and follow from one another where no data is needed.",
    "rescored": "Metrics were recomputed from the predictions and the gold labels.",
    "recounted": "Also parameters, FLOPs and times were recomputed from the evidence.",
    "replayed": "Also the shipped weights gave the predictions again.",
    "retrained": "Also a training with new seeds gave a score within the expected range.",
}


def _length_words(site: Site, key: str) -> str:
    if key.startswith("dev/"):
        return f"{site.task(key.removeprefix('dev/')).title}’s true lengths"
    return "the dev sets’ true lengths" if key == "dev" else f"{key} tokens"


def summary(site: Site, entry: Entry, view: View) -> str:
    """One sentence under the title."""
    shown = site.speed(entry, view)
    parts = []
    if entry.board_score:
        score = entry.board_score
        interval = f" {plus_minus(score.value, score.interval)}" if score.interval else ""
        parts.append(f"scores {fixed(score.value, 1)}{interval} on the {entry.track} track")
    else:
        known = known_track(entry.track)
        core = known.core if known else ()
        done = sum(task in entry.quality for task in core)
        parts.append(
            f"has {number_word(done)} of {counted(len(core), 'core task')} on the {entry.track} track, so no score yet"
        )
    if site.is_reference(entry):
        parts.append("is what the others are measured against")
    elif isinstance(shown, Shown) and view.profile:
        parts.append(f"is {times_faster(shown.ratio.value, 'the reference')} {site.on_profile(view.profile)}")
    return f"{shorten(site.label(entry), 80)} {' and '.join(parts)}."
