"""``lightboard pick``: the best model inside a budget, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from suite.pick import Budget, Choice, Pick, Step


def pick(
    track: Annotated[str, typer.Option("--track", "-t", help="demo, mini or base")],
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", help="default: what most was measured on")
    ] = None,
    runtime: Annotated[str | None, typer.Option("--runtime", help="default: each entry's fastest")] = None,
    max_latency: Annotated[str | None, typer.Option("--max-latency", help="a query's time: 20ms")] = None,
    max_size: Annotated[str | None, typer.Option("--max-size", help="of the model file: 30MB")] = None,
    max_memory: Annotated[str | None, typer.Option("--max-memory", help="when answering: 200MB")] = None,
    min_score: Annotated[float | None, typer.Option("--min-score", help="board score in points")] = None,
    reference_latency: Annotated[
        str | None,
        typer.Option("--reference-latency", help="the reference's own time on your machine: 12ms"),
    ] = None,
    results: Annotated[Path, typer.Option("--results", help="where runs and measurements lie")] = Path(
        "results"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """The best models inside a budget, the next step up, and how sure the latency is on your machine."""
    from suite.board.explore import candidates
    from suite.board.site import load_site
    from suite.errors import UserError
    from suite.index import entries
    from suite.paths import unknown
    from suite.pick import Budget, byte_count, milliseconds
    from suite.pick import pick as choose

    site = load_site(entries(results, track), results)
    views = site.views(track)
    if not site.of(track):
        raise UserError(
            f"{results}: no entries of track {track}; make them from runs with lightboard index, or name another "
            "with --track or --results"
        )
    view = site.default_view(track)
    if profile is not None or runtime is not None:
        wanted = profile or view.profile
        if wanted not in {one.profile for one in views}:
            if wanted in site.profiles:
                raise UserError(
                    f"profile {wanted}: nothing of track {track} was timed on it yet; ratios travel, so say what the "
                    f"reference takes there: --profile {view.profile} --reference-latency TIME"
                )
            raise unknown("profile", str(wanted), {one.profile for one in views if one.profile})
        runtime = runtime and runtime.replace("-", "_")
        known = {line.runtime for e in site.of(track) for line in e.speed if line.profile == wanted}
        if runtime is not None and runtime not in known:
            raise unknown("runtime", runtime, known)
        view = type(view)(wanted, runtime)
    budget = Budget(
        latency_ms=None if max_latency is None else milliseconds(max_latency, "--max-latency"),
        size_bytes=None if max_size is None else byte_count(max_size, "--max-size"),
        memory_bytes=None if max_memory is None else byte_count(max_memory, "--max-memory"),
        score=min_score,
    )
    given = None if reference_latency is None else milliseconds(reference_latency, "--reference-latency")
    reference = given if given is not None else site.reference_ms(track, view.profile)
    if budget.latency_ms is not None and reference is None:
        raise UserError(
            f"the reference was not timed on {view.profile or 'any profile'}; say its time with --reference-latency"
        )
    found = choose(candidates(site, track, view), budget, reference)
    if as_json:
        told = {
            "profile": view.profile,
            "runtime": view.runtime,
            "reference_ms": reference,
            **found.as_dict(),
        }
        typer.echo(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        for line in _told(found, budget, "on your machine" if given is not None else f"on {view.profile}"):
            typer.echo(line)
    if not found.choices:
        raise typer.Exit(1)


def _told(found: Pick, budget: Budget, where: str) -> list[str]:
    from suite.board.text import counted, sentence
    from suite.pick import command

    lines = [sentence(f"{counted(len(found.choices), 'row')} {'fits' if len(found.choices) == 1 else 'fit'}")]
    shown = [one for one in found.choices if one.tied][:5]
    for number, one in enumerate(shown):
        lines.append(f"{'best' if number == 0 else 'not clearly worse'}: {_row(one, budget, where)}")
    lines += [_step(step) for step in found.steps]
    if found.unmeasured:
        lines.append(f"without a figure for a limit that is set: {counted(found.unmeasured, 'row')}")
    if shown:
        lines.append(command(shown[0].candidate))
    return lines


def _row(one: Choice, budget: Budget, where: str) -> str:
    from suite.board.text import bytes_words, digits, fixed

    c = one.candidate
    parts = [f"{c.label} ({c.entry})", f"score {fixed(c.score, 1)}"]
    if one.latency_ms is not None:
        parts.append(f"about {digits(one.latency_ms)} ms {where}")
    if c.size_bytes is not None:
        parts.append(bytes_words(c.size_bytes))
    if c.memory_bytes is not None:
        parts.append(f"{bytes_words(c.memory_bytes)} of memory")
    if one.chance is not None and budget.latency_ms is not None:
        doubt = ", by a noisy measurement" if c.noisy else ""
        parts.append(f"keeps {digits(budget.latency_ms)} ms with a chance of {_percent(one.chance)}{doubt}")
    elif budget.latency_ms is not None:
        parts.append("too few process pairs to say how sure its latency is")
    return ", ".join(parts)


def _percent(chance: float) -> str:
    if chance > 0.995:
        return "over 99%"
    return "under 1%" if chance < 0.005 else f"{round(100 * chance)}%"


def _step(step: Step) -> str:
    from suite.board.text import bytes_words, digits, fixed

    amount = {
        "latency": f"{digits(step.more, 2)} ms more",
        "size": f"{bytes_words(step.more)} more",
        "memory": f"{bytes_words(step.more)} more memory",
        "score": f"{digits(step.more, 2)} points less",
    }[step.limit]
    gain = "" if step.gain is None else f"+{fixed(step.gain, 2 if step.gain < 0.1 else 1)}"
    buys = f"buys {gain}:" if gain and not step.tied else "admits"
    doubt = f", {gain}, which may be chance" if step.tied else ""
    return f"{amount} {buys} {step.candidate.label} ({step.candidate.entry}){doubt}"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(pick)
