"""The commands between a finished run and the world: submit, sign, log, compare, migrate, card, export, get."""

from __future__ import annotations

import json
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

ResultsOption = Annotated[Path, typer.Option("--results", help="where runs and measurements lie")]
TrackOption = Annotated[str | None, typer.Option("--track", "-t", help="demo, mini or base")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
EntryArgument = Annotated[str, typer.Argument(help="track/recipe/variant, or recipe/variant with --track")]


class What(StrEnum):
    """What ``log`` can say of published documents."""

    corrected = "corrected"
    superseded = "superseded"
    withdrawn = "withdrawn"
    extended = "extended"


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def submit(
    entries: Annotated[
        list[str], typer.Argument(help="track/recipe/variant, or recipe/variant with --track")
    ],
    folder: Annotated[Path, typer.Option("--out", help="the folder to write")],
    track: TrackOption = None,
    results: ResultsOption = Path("results"),
    sign: Annotated[Path | None, typer.Option("--sign", help="private key to sign with")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show it all and write nothing")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a self-contained folder of an entry; shows what is in it and what is still missing."""
    from suite.submit import as_dict, prepare, told, write

    parcel = prepare(results, entries, track=track, keyfile=sign)
    if as_json:
        _print_json(as_dict(parcel))
    else:
        for line in told(parcel):
            typer.echo(line)
    if not dry_run:
        written = write(parcel, folder)
        typer.echo(f"written: {written}; how to send it: {written / 'README.md'}", err=as_json)


def keygen(
    keyfile: Annotated[Path, typer.Argument(help="the private key's file; it must not exist")],
) -> None:
    """Make a key pair for signing submissions."""
    from suite.signing import fingerprint, generate

    key = generate(keyfile)
    typer.echo(f"private key: {keyfile} (keep it to yourself)")
    typer.echo(f"fingerprint: {fingerprint(key)}")
    typer.echo(f"for other people's lists of signers: YOUR_NAME {key}")


def log(
    entry: EntryArgument,
    what: Annotated[What, typer.Option("--what", help="what happened to the documents")],
    reason: Annotated[str, typer.Option("--reason", help="why, in a sentence for readers")],
    by: Annotated[str, typer.Option("--by", help="who says so")],
    document: Annotated[
        list[str] | None, typer.Option("--document", help="a document's folder below the track; repeatable")
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="older results: name what changed since them")
    ] = None,
    track: TrackOption = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Say why a published entry was corrected, superseded, withdrawn or extended; the log only grows."""
    from suite import log as logs
    from suite.errors import UserError
    from suite.submit import split_name

    name, recipe, variant = split_name(entry, track)
    place = results / name
    trees = [place, *([against / name] if against is not None else [])]
    if not any(logs.subjects(one, recipe, variant) for one in trees):
        where = " or ".join(map(str, trees))
        raise UserError(
            f"{entry}: found no document of it below {where}; the log only grows, so nothing is written"
        )
    if against is not None and not against.is_dir():
        raise UserError(f"{against}: no such folder; --against names the older results")
    named = logs.named(place, document or [])
    if against is not None:
        found = logs.added if what is What.extended else logs.gone
        older, newer = against / name, place
        named += [one for one in found(older, newer, recipe, variant) if one not in named]
        if not named and not _changed(against, results, name, f"{recipe}/{variant}"):
            raise UserError(
                f"{entry}: nothing of it changed since {against}; the log only grows, so nothing is written"
            )
    path = logs.append(
        place, recipe=recipe, variant=variant, action=what.value, documents=named, reason=reason, by=by
    )
    typer.echo(f"{path}: {what.value}, {len(named)} documents; next: lightboard index --results {results}")


def _changed(old: Path, new: Path, track: str, entry: str) -> bool:
    from suite import compare as comparing

    return any((one.track, one.entry) == (track, entry) for one in comparing.compare(old, new))


def compare(
    old: Annotated[Path, typer.Argument(help="the published results")],
    new: Annotated[Path, typer.Argument(help="the results to compare with them")],
    markdown: Annotated[bool, typer.Option("--markdown", help="print a table in Markdown")] = False,
    as_json: JsonOption = False,
) -> None:
    """What changed between two results trees: old, new, the nearest entries, what became tied."""
    from suite import compare as comparing

    changed = comparing.compare(old, new)
    if as_json:
        _print_json(comparing.as_dicts(changed))
    elif markdown:
        typer.echo(comparing.markdown(changed), nl=False)
    else:
        for one in changed:
            for head, text in comparing.columns(one).items():
                typer.echo(text if head == "entry" else f"  {head}: {text}")
        if not changed:
            typer.echo("no entry changed")


def migrate(
    paths: Annotated[list[Path], typer.Argument(help="results, tracks, documents or their folders")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would change")] = False,
    as_json: JsonOption = False,
) -> None:
    """Rewrite documents of older versions in today's form."""
    from suite.migrations import migrate_paths

    found = migrate_paths(paths, write=not dry_run)
    if as_json:
        _print_json([one.as_dict() for one in found])
        return
    for one in found:
        typer.echo(str(one))
    if not found:
        typer.echo("every document is of today's version")
    if any(one.subject for one in found):
        typer.echo(
            "what attested to or signed the old bytes no longer names them: lightboard verify --attest NAME"
        )


def card(
    entry: EntryArgument,
    track: TrackOption = None,
    results: ResultsOption = Path("results"),
    file: Annotated[Path | None, typer.Option("--out", help="write it there; default: print it")] = None,
) -> None:
    """A Hugging Face model card of an entry, with its scores and the command that makes them again."""
    from suite.card import card as write_card
    from suite.folder import write_file
    from suite.submit import find

    _, found, _ = find(results, entry, track)
    text = write_card(found)
    if file is None:
        typer.echo(text, nl=False)
    else:
        typer.echo(str(write_file(file, text.encode("utf-8"))))


def export(
    folder: Annotated[Path, typer.Option("--out", help="the folder to write to")],
    track: TrackOption = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Write the whole board as parquet, CSV and JSON, with units in the column names."""
    from suite.export import export as write_tables

    for path in write_tables(results, folder, track):
        typer.echo(str(path))


def get(
    entry: EntryArgument,
    folder: Annotated[Path, typer.Option("--out", help="the folder to make")],
    runtime: Annotated[str, typer.Option("--runtime", "-r", help="what will run it")] = "onnx",
    task: Annotated[str | None, typer.Option("--task", help="default: the track's first")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="default: the track's first")] = None,
    place: Annotated[
        str | None, typer.Option("--from", help="where the weights are: a file, a folder, an fsspec URL")
    ] = None,
    track: TrackOption = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Hand out an entry's model, tokenizer and labels, and ten lines that run it with nothing but its runtime."""
    from rich.console import Console

    from suite.get import SCRIPT
    from suite.get import get as hand_out

    with Console(stderr=True, highlight=False).status("looking for the weights") as status:
        got = hand_out(
            results,
            entry,
            folder,
            track=track,
            runtime_name=runtime,
            task=task,
            seed=seed,
            place=place,
            tell=status.update,
        )
    typer.echo(f"{got.folder}: trained on {got.task}, seed {got.seed}; weights from {got.source}")
    if got.others and task is None:
        typer.echo(f"other tasks: {', '.join(got.others)} (--task)")
    typer.echo(f"try it: python {shlex.quote(str(got.folder / SCRIPT))} 'a text'")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (submit, keygen, log, compare, migrate, card, export, get):
        app.command()(command)
