"""The command line. Each command is a few lines over the library; imports wait until a command needs them."""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from suite import __version__, cli_pick, cli_publish
from suite.errors import UserError

if TYPE_CHECKING:
    from suite.measure.todo import Todo

app = typer.Typer(
    name="lightboard",
    help="Train, measure, check and publish compressed BERT models under one protocol.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
store_app = typer.Typer(help="The artifact store.", no_args_is_help=True)
app.add_typer(store_app, name="store")
cli_publish.register(app)
cli_pick.register(app)

WIDEST = 10_000  # columns of a table that no terminal shows
RESUMED = (
    "run",
    "measure",
    "demo",
    "retrain",
)  # commands that keep what they have finished when they are stopped
INTERRUPTED = 130  # what typer turns Ctrl-C into

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

TrackOption = Annotated[str, typer.Option("--track", "-t", help="demo, mini or base")]
TasksOption = Annotated[
    str | None, typer.Option("--tasks", help="comma-separated; default: the track's core tasks")
]
SeedsOption = Annotated[int | None, typer.Option("--seeds", min=1, help="the first N of the track's seeds")]
DataOption = Annotated[str, typer.Option("--data", help="auto, hub, folder:PATH, generated or own:PATH")]
ResultsOption = Annotated[Path, typer.Option("--results", help="where runs and measurements lie")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]


class Kind(StrEnum):
    """What ``list`` can list."""

    recipes = "recipes"
    methods = "methods"
    modifiers = "modifiers"
    profiles = "profiles"
    tasks = "tasks"
    runtimes = "runtimes"
    tracks = "tracks"
    entries = "entries"


class MeasuredArrival(StrEnum):
    """How queries come to a measurement."""

    single = "single-stream"
    offline = "offline"


class MeasuredInputs(StrEnum):
    """What a measurement asks."""

    trace = "trace"
    lengths = "lengths"


def _names(value: str | None) -> list[str] | None:
    return [name.strip() for name in value.split(",") if name.strip()] if value else None


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left, on a terminal; takes how many are done, and of how many."""
    from rich.progress import Progress

    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def _table(title: str, columns: list[str], rows: list[list[str]], numbers: int = 0) -> None:
    """A table whose last ``numbers`` columns are numbers. Long words are folded, and nothing is cut: a terminal has
    its width, a pipe or a file has none."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2))
    for index, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if index >= len(columns) - numbers else "left"
        first = index == 0  # names that people type again stay whole
        table.add_column(column, justify=justify, overflow="fold", no_wrap=first)
    for row in rows:
        table.add_row(*row)
    console = out if out.is_terminal else Console(highlight=False, width=WIDEST)
    console.print(table)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[
        bool, typer.Option("--version", help="print the version and exit", is_eager=True)
    ] = False,
) -> None:
    if version:
        typer.echo(f"lightboard {__version__}")
        raise typer.Exit


@app.command("list")
def list_(kind: Kind, results: ResultsOption = Path("results"), as_json: JsonOption = False) -> None:
    """List what exists: recipes, methods, modifiers, profiles, tasks, runtimes, tracks or entries."""
    rows: list[dict[str, str]]
    if kind is Kind.recipes:
        from suite.loading import recipes

        rows = [
            {"name": r.name, "method": r.method, "tracks": ", ".join(r.tracks), "ablation": r.ablation or ""}
            for r in recipes()
        ]
    elif kind is Kind.profiles:
        from suite.loading import profiles

        rows = [{"name": p.name, "title": p.title} for p in profiles()]
    elif kind is Kind.tasks:
        from suite.tasks import names, task

        rows = [{"name": n, "title": task(n).title, "metrics": ", ".join(task(n).metrics)} for n in names()]
    elif kind is Kind.tracks:
        from suite.protocol import TRACKS

        rows = [{"name": t.name, "about": t.about, "tasks": ", ".join(t.tasks)} for t in TRACKS.values()]
    elif kind is Kind.entries:
        from suite.index import entries

        rows = [
            {"track": e.track, "entry": f"{e.recipe}/{e.variant}", "level": e.level} for e in entries(results)
        ]
    else:
        from suite.paths import names as module_names

        rows = [{"name": name} for name in module_names(kind.value)]
    if as_json:
        _print_json(rows)
    elif rows:
        _table("", list(rows[0]), [list(row.values()) for row in rows])
    else:
        out.print(f"no {kind.value} found")


@app.command()
def doctor(
    quick: Annotated[
        bool, typer.Option("--quick", help="do not measure how fast the runtimes multiply matrices")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What this machine can run and how fast at best, and what would make its figures better."""
    from suite.doctor import findings

    with err.status("looking") as status:
        found = findings(not quick, lambda text: status.update(text))
    if as_json:
        _print_json([vars(finding) for finding in found])
        return
    for finding in found:
        mark = "[green]ok[/]" if finding.ok else "[yellow]--[/]"
        hint = f"  [dim]{escape(finding.hint)}[/]" if finding.hint else ""
        out.print(f"{mark}  {finding.what}: {escape(finding.found)}{hint}", soft_wrap=True)


@app.command()
def plan(
    track: TrackOption,
    recipes: Annotated[
        list[str] | None, typer.Argument(help="names or files; 'all', or 'ablations'; --measure: all")
    ] = None,
    tasks: TasksOption = None,
    seeds: SeedsOption = None,
    data: DataOption = "auto",
    to_measure: Annotated[
        bool, typer.Option("--measure", help="what is not measured yet, most useful first")
    ] = False,
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", help="with --measure: this one alone")
    ] = None,
    results: ResultsOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Show the stages a run would make, or the measurements that are missing, and the time that takes."""
    if to_measure:
        if tasks is not None or seeds is not None or data != "auto":
            raise UserError(
                "plan --measure takes every task that has landed; of --tasks, --seeds, --data it takes none"
            )
        _plan_measurements(track, recipes or [], profile, results, as_json)
        return
    if not recipes:
        raise UserError("name recipes to plan, or 'all'; --measure plans measurements")
    from suite.pipeline.overview import overview
    from suite.pipeline.run import request
    from suite.progress import clock

    wanted = request(
        _recipes(recipes, track), track=track, tasks=_names(tasks), seeds=seeds, data=data, results=results
    )
    view = overview(wanted)
    if as_json:
        _print_json(view.as_dict())
        return
    rows = [
        [
            s.stage,
            s.recipes[0] if len(s.recipes) == 1 else f"{len(s.recipes)} recipes",
            s.task,
            str(s.seed or ""),
            "" if s.needed else "yes" if s.cached else "not needed",
            f"{s.tflop:.2f}",
            clock(s.seconds),
        ]
        for s in view.stages
    ]
    _table("", ["stage", "recipe", "task", "seed", "made", "TFLOP", "time"], rows, numbers=2)
    out.print(
        f"{view.runs} runs, {view.landed} in {results} already; {view.tflop_left:.1f} of {view.tflop:.1f} TFLOP "
        f"to do, about {clock(view.seconds_left)} at {view.gflops:.0f} GFLOP/s ({view.rate_from}), "
        f"{view.workers} at once"
    )


def _plan_measurements(
    track: str, recipes: list[str], profile: str | None, results: Path, as_json: bool
) -> None:
    from suite.measure.todo import missing
    from suite.progress import clock

    chosen = [] if recipes == ["all"] else _recipes(recipes, track)
    with err.status("reading what is measured"):
        todo = missing(results, track, profile=profile, recipes=chosen)
    if as_json:
        _print_json(todo.as_dict())
        return
    for cell in todo.cells:
        out.print(f"{clock(cell.seconds):>13}  {cell.name}", markup=False, soft_wrap=True)
    guessed = sum(not cell.measured for cell in todo.cells)
    out.print(
        f"{len(todo.cells)} to measure, about {clock(todo.seconds)}"
        + (f"; of {guessed} the time follows from arithmetic alone" if guessed else "")
        + (f"; next: lightboard measure --all --track {track} --results {results}" if todo.cells else ""),
        markup=False,
        soft_wrap=True,
    )
    if todo.waiting is not None:
        out.print(
            f"{todo.waiting}; lightboard run ... --results own trains them", markup=False, soft_wrap=True
        )
    for cell in todo.tried:
        out.print(f"empty: {cell.name}: {cell.tried}", markup=False, soft_wrap=True)
    _tell_not_here(todo, out)


def _tell_not_here(todo: Todo, console: Console) -> None:
    """Which profiles and runtimes cannot be measured on this machine, and why."""
    for what, reasons in (("profile", todo.profiles_elsewhere), ("runtime", todo.runtimes_missing)):
        for name, reason in reasons.items():
            console.print(f"not here: {what} {name}: {reason}", markup=False, soft_wrap=True)


def _recipes(names: list[str], track: str) -> list[str]:
    if names not in (["all"], ["ablations"]):
        return names
    from suite.loading import recipes

    ablations = names == ["ablations"]
    return [r.name for r in recipes() if track in r.tracks and (r.ablation is not None) == ablations]


@app.command()
def run(
    recipes: Annotated[list[str], typer.Argument(help="names or files; 'all', or 'ablations'")],
    track: TrackOption,
    tasks: TasksOption = None,
    seeds: SeedsOption = None,
    data: DataOption = "auto",
    results: ResultsOption = Path("results"),
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="cells made side by side")] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu or cuda; default: LIGHTBOARD_DEVICE, else cpu")
    ] = None,
) -> None:
    """Train and score recipes; lands runs in RESULTS as they finish, and resumes what was begun."""
    from suite.pipeline.run import run as make
    from suite.progress import shown

    started = time.time()
    with shown(err) as reporter:
        folders = make(
            _recipes(recipes, track),
            track=track,
            tasks=_names(tasks),
            seeds=seeds,
            data=data,
            results=results,
            workers=workers,
            device=device,
            reporter=reporter,
        )
    made = sum((folder / "run.json").stat().st_mtime >= started for folder in folders)
    old = "" if made else ", all of them before: lightboard run ... --results own makes them anew, as yours"
    out.print(
        f"{len(folders)} runs in {results / track / 'runs'}{old}; next: lightboard index --results {results}"
    )


@app.command()
def cost(
    recipe: str,
    track: TrackOption,
    seq: Annotated[int, typer.Option("--seq", min=1, help="tokens")] = 128,
    variant: Annotated[str | None, typer.Option("--variant", help="default: all")] = None,
    outputs: Annotated[int, typer.Option("--outputs", min=1, help="width of the head")] = 2,
    published: Annotated[
        bool, typer.Option("--published", help="also FLOPs as the method's authors count them")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Parameters, FLOPs and bytes of a recipe's models; needs no weights."""
    from suite.loading import resolve
    from suite.measure.cost import count
    from suite.measure.recount import flops, parameters, precision, weight_bytes
    from suite.paths import load_module, unknown
    from suite.pipeline.matrix import variants
    from suite.protocol import track as track_of

    configs = variants(resolve(recipe, track), track_of(track), outputs)
    if variant is not None and variant not in configs:
        raise unknown(f"variant of {recipe}", variant, configs)
    found: list[dict[str, Any]] = []
    leaving = []  # variants with early exits
    for name, config in configs.items():
        if variant in (None, name):
            counted = count(config)
            leaving += [name] if any(op.block for op in counted.ops) else []
            sizes = parameters(counted.weights)
            theirs = getattr(load_module("models", config["architecture"]), "published_flops", None)
            if published and theirs is None:
                raise UserError(f"--published: no other way of counting {config['architecture']} is known")
            found.append(
                {
                    "recipe": recipe,
                    "variant": name,
                    "track": track,
                    "parameters": {"total": sizes.total, "without_embeddings": sizes.without_embeddings},
                    "flops_per_example": {str(seq): flops(counted.ops, seq)},
                    **(
                        {"published_flops_per_example": {str(seq): theirs(config, seq)}}
                        if published and theirs is not None
                        else {}
                    ),
                    "bytes": {f"safetensors/{precision(counted.weights)}": weight_bytes(counted.weights)},
                }
            )
    if as_json:
        _print_json(found)
        return
    rows = [
        [
            f"{f['recipe']}/{f['variant']}",
            f"{f['parameters']['total']:,}",
            f"{f['parameters']['without_embeddings']:,}",
            f"{f['flops_per_example'][str(seq)] / 1e9:,.3f}",
            f"{sum(f['bytes'].values()) / 1e6:,.1f}",
        ]
        for f in found
    ]
    _table("", ["model", "parameters", "without embeddings", f"GFLOPs at {seq}", "MB"], rows, numbers=4)
    if published:
        counts = [f"{f['variant']} {f['published_flops_per_example'][str(seq)]:,}" for f in found]
        out.print(f"FLOPs at {seq} as its authors count them: {'; '.join(counts)}.")
    if leaving:
        out.print(
            f"GFLOPs to the last exit: {', '.join(leaving)}. How many examples leave earlier is found by training."
        )


@app.command()
def measure(
    entry: Annotated[
        str | None, typer.Argument(help="RECIPE or RECIPE/VARIANT, either with TRACK/ before it")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", help="see: lightboard list profiles")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="work down the list of lightboard plan --measure")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0, help="with --all: begin nothing after so many")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option("--runtime", "-r", help="default: all of the profile's")
    ] = None,
    track: Annotated[
        str | None, typer.Option("--track", "-t", help="demo, mini or base; default: the entry's")
    ] = None,
    variant: Annotated[str | None, typer.Option("--variant", help="default: the recipe's default")] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="time one task's weights and inputs only")
    ] = None,
    arrival: Annotated[
        MeasuredArrival, typer.Option("--arrival", help="one query at a time, or the whole trace at once")
    ] = MeasuredArrival.single,
    streams: Annotated[
        bool, typer.Option("--streams", help="two concurrent streams as well, a core each")
    ] = False,
    inputs: Annotated[
        MeasuredInputs, typer.Option("--inputs", help="dev examples, or as many queries at each length")
    ] = MeasuredInputs.trace,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="replace what was measured today; with --all: try anew what could not be",
        ),
    ] = False,
    data: DataOption = "auto",
    results: ResultsOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Time a model against the reference on this machine."""
    from suite.measure.run import attempt
    from suite.stored import named

    if everything:
        if track is None:
            raise UserError("measure --all needs --track")
        one_of_many = (
            variant,
            task,
            arrival is not MeasuredArrival.single,
            inputs is not MeasuredInputs.trace,
        )
        if any((*one_of_many, streams)):
            raise UserError(
                "measure --all takes every variant, task and scenario; of those options it takes none"
            )
        chosen = [named(entry, track, None, results)[1]] if entry else []
        _measure_all(track, chosen, profile, runtime, minutes, data, results, as_json, again)
        return
    if entry is None or profile is None:
        raise UserError("name an entry and --profile, or --all and --track")
    started = time.time()
    known_track, recipe, its_variant = named(entry, track, variant, results)
    with err.status("measuring") as status:
        made = attempt(
            recipe,
            track=known_track,
            profile=profile,
            runtime=runtime,
            variant=its_variant,
            task=task,
            inputs=inputs.value,
            arrival=arrival.value,
            streams=streams,
            again=again,
            data=data,
            results=results,
            progress=lambda text: status.update(text),
        )
    if as_json:
        measured = [
            json.loads((folder / "measurement.json").read_text(encoding="utf-8")) for folder in made.folders
        ]
        tried = {"recipe": recipe, "profile": profile, "arrival": arrival.value, "inputs": inputs.value}
        _print_json([*measured, *({**tried, **vars(one)} for one in made.empty)])
    else:
        for folder in made.folders:
            out.print(str(folder), markup=False, soft_wrap=True)
            if (folder / "measurement.json").stat().st_mtime < started:
                err.print("measured today already; --again times it anew", markup=False)
        for one in made.empty:
            where = f"{one.runtime}, {one.task}" if one.task else one.runtime
            err.print(f"empty: {where}: {one.reason}", markup=False, soft_wrap=True)
    if made.empty and not made.folders:
        raise typer.Exit(1)


def _measure_all(
    track: str,
    recipes: list[str],
    profile: str | None,
    runtime: str | None,
    minutes: float | None,
    data: str,
    results: Path,
    as_json: bool,
    again: bool,
) -> None:
    """One line per cell; those that stay empty say why. Exit code 1 if any did. ``again``: also what was tried."""
    from suite.measure.apart import Apart
    from suite.measure.todo import missing, work
    from suite.paths import load_module
    from suite.progress import clock

    stem = None if runtime is None else load_module("runtimes", runtime).__name__.rpartition(".")[2]
    todo = missing(results, track, profile=profile, recipes=recipes)
    wanted = (*todo.cells, *todo.tried) if again else todo.cells
    cells = [cell for cell in wanted if stem in (None, cell.runtime)]
    until = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    left = sum(cell.seconds for cell in cells)
    empty = done = 0
    with Apart() as apart, err.status(f"{len(cells)} to measure, about {clock(left)}") as status:

        def tell(text: str) -> None:
            status.update(f"{done + 1} of {len(cells)}, about {clock(left)} left in all: {text}")

        for one in work(cells, results, data=data, until=until, attempt=apart.attempt, progress=tell):
            done += 1
            left -= one.cell.seconds
            empty += one.reason is not None
            if as_json:
                outcome = {"folders": [str(path) for path in one.folders], "empty": one.reason}
                typer.echo(json.dumps({**one.cell.as_dict(), "took_seconds": one.seconds, **outcome}))
            else:
                out.print(one.line, markup=False, soft_wrap=True)
    if not cells:
        _tell_not_here(todo, err)
    told = f"{done - empty} measured, {empty} empty, {len(cells) - done} left"
    err.print(f"{told}; next: lightboard index --results {results}", markup=False, soft_wrap=True)
    if todo.waiting is not None:
        err.print(todo.waiting, markup=False, soft_wrap=True)
    if empty:
        raise typer.Exit(1)


@app.command()
def kit(
    entry: Annotated[str, typer.Argument(help="RECIPE or RECIPE/VARIANT, either with TRACK/ before it")],
    profile: Annotated[str, typer.Option("--profile", "-p", help="what the device is")],
    track: Annotated[
        str | None, typer.Option("--track", "-t", help="demo, mini or base; default: the entry's")
    ] = None,
    out_file: Annotated[Path, typer.Option("--out", help="the zip to write")] = Path("kit.zip"),
    variant: Annotated[str | None, typer.Option("--variant", help="default: the recipe's default")] = None,
    task: Annotated[str | None, typer.Option("--task", help="one task's weights and inputs")] = None,
    data: DataOption = "auto",
    results: ResultsOption = Path("results"),
) -> None:
    """Pack what a bare device needs to time an entry; it needs only Python, numpy and onnxruntime."""
    from suite.measure.kit import pack
    from suite.stored import named

    known_track, recipe, its_variant = named(entry, track, variant, results)
    with err.status("exporting and packing"):
        made = pack(
            recipe, track=known_track, profile=profile, out=out_file, variant=its_variant, task=task, data=data,
            results=results,
        )  # fmt: skip
    out.print(
        f"{made}: unpack it on the device and follow its README.txt; then: lightboard import answer.json",
        markup=False, soft_wrap=True,
    )  # fmt: skip


@app.command("import")
def import_(
    answer: Annotated[Path, typer.Argument(help="what measure.pyz wrote on the device")],
    kit: Annotated[
        Path | None,
        typer.Option("--kit", help="the zip that went to the device: no other kit's answer passes"),
    ] = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Check a device's answer and file it as a measurement."""
    from suite.measure.kit import file

    folder = file(answer, results, kit)
    out.print(f"{folder}; next: lightboard index --results {results}", markup=False, soft_wrap=True)


@app.command()
def index(
    results: ResultsOption = Path("results"), track: Annotated[str | None, typer.Option("--track")] = None
) -> None:
    """Compute entries from runs and measurements."""
    from suite.index import index as compute

    with err.status("computing entries"):
        found = compute(results, track)
    said = f"{len(found)} entries in {results}; next: lightboard verify {results}"
    if found:
        said += ", then see what an entry lacks: lightboard submit TRACK/RECIPE/VARIANT --out DIR --dry-run"
    else:
        said = f"no runs in {results}, so no entries; next: lightboard run RECIPE --track TRACK --results {results}"
    out.print(said, markup=False, soft_wrap=True)


@app.command()
def verify(
    paths: Annotated[list[Path], typer.Argument(help="results, tracks, runs, measurements or entries")],
    level: Annotated[str, typer.Option("--level", help="valid, rescored or recounted")] = "recounted",
    data: Annotated[
        str | None, typer.Option("--data", help="where gold labels are: auto, hub, folder:PATH, own:PATH")
    ] = None,
    attest: Annotated[str | None, typer.Option("--attest", help="your name: write attestations")] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="older results: changed figures need a reason in the log")
    ] = None,
    signers: Annotated[
        Path | None, typer.Option("--signers", help="your list of names and public keys")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check results without believing them; exit code 1 if anything is wrong."""
    from suite.verify import attest as write_attestations
    from suite.verify import verify as check

    with _bar("verifying") as told:
        report = check(paths, level, data, against=against, signers=signers, told=told)  # type: ignore[arg-type]
    if as_json:
        _print_json(report.as_dict())
    else:
        for problem in report.problems:
            typer.echo(str(problem))
        for note in report.notes:
            err.print(note, markup=False, soft_wrap=True)
        out.print(report.summary(), markup=False, soft_wrap=True)
    if attest is not None:
        written = write_attestations(report, by=attest)
        err.print(f"{len(written)} attestations written", markup=False)
    if report.problems:
        raise typer.Exit(1)


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(help="a run's folder: results/TRACK/runs/RECIPE/VARIANT/TASK-SEED")],
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights", help="its model folder: config.json, model.safetensors; default: the store's"
        ),
    ] = None,
    data: DataOption = "auto",
    by: Annotated[str, typer.Option("--by", help="your name, for the attestation")] = "unnamed",
    as_json: JsonOption = False,
) -> None:
    """Check that the shipped weights give a run's predictions; leaves an attestation. Exit code 1 if not."""
    from suite.verify.replayed import made_here
    from suite.verify.replayed import replay as again

    found = again(run, weights or made_here(run), data=data, by=by)
    if as_json:
        _print_json(
            {
                "passed": found.passed,
                "largest_difference": found.largest_difference,
                "tolerance": found.tolerance,
                "problems": [vars(problem) for problem in found.problems],
                "attestation": str(found.attestation) if found.attestation else None,
            }
        )
    else:
        for problem in found.problems:
            typer.echo(str(problem))
        if found.largest_difference is not None:
            out.print(
                f"{'replayed' if found.passed else 'not replayed'}: the scores differ by at most "
                f"{found.largest_difference:.2g}, {found.tolerance:.2g} is allowed; attested in {found.attestation}",
                markup=False,
                soft_wrap=True,
            )
    if not found.passed:
        raise typer.Exit(1)


@app.command()
def retrain(
    entry: Annotated[Path, typer.Argument(help="results/TRACK/entries/RECIPE/VARIANT.json")],
    key: Annotated[Path, typer.Option("--key", help="a file with your secret; the seeds follow from it")],
    data: DataOption = "auto",
    tasks: Annotated[
        str | None, typer.Option("--tasks", help="comma-separated; default: the entry's")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=20, help="new seeds of each task")] = 1,
    among: Annotated[
        Path | None, typer.Option("--among", help="results whose rows tell how far seeds lie apart")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="your name, for the attestation")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train an entry's recipe with seeds nobody chose, and hold the score against its interval; attests either way."""
    from suite.progress import shown
    from suite.verify.retrained import retrain as again

    with shown(err) as reporter:
        found = again(
            entry, key, data=data, tasks=_names(tasks), seeds=seeds, among=among, by=by, reporter=reporter
        )
    if as_json:
        _print_json(
            [{**vars(one), "attestations": [str(path) for path in one.attestations]} for one in found]
        )
    else:
        for one in found:
            low, high = one.interval
            out.print(
                f"{one.task}: {'retrained' if one.passed else 'NOT in the interval'}: {one.score:.2f}, "
                f"expected {low:.2f} to {high:.2f} (entered: {one.entered:.2f}); "
                f"{len(one.attestations)} attestations written",
                markup=False,
                soft_wrap=True,
            )
    if not all(one.passed for one in found):
        raise typer.Exit(1)


@app.command()
def site(
    results: ResultsOption = Path("results"),
    folder: Annotated[Path, typer.Option("--out", help="where to write the website")] = Path("build/site"),
    data: Annotated[
        str | None,
        typer.Option("--data", help="folder:PATH, hub or auto: show texts too; not for publishing"),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="where it will stand: for a site map, previews and canonical links"),
    ] = None,
) -> None:
    """Build the static website."""
    from suite.board import build

    with _bar("website") as told:
        page = build(results, folder, data, url=url, told=told)
    out.print(str(page), markup=False, soft_wrap=True)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", help="results and website go here")] = Path("build/demo"),
) -> None:
    """The whole path in minutes: train the demo track, time it, verify it, build its website."""
    from suite.demo import demo as show

    show(folder, out, err)


@store_app.command("ls")
def store_ls(as_json: JsonOption = False) -> None:
    """What the store holds, the longest unused first."""
    from suite.pipeline.store import Store, size

    store = Store()
    records = [artifact.record for artifact in store.artifacts()]
    if as_json:
        _print_json(records)
        return
    rows = [[r["key"][7:19], r["stage"], str(r["seed"]), f"{r['bytes'] / 1e6:,.1f}"] for r in records]
    _table("", ["key", "stage", "seed", "MB"], rows, numbers=1)
    total = sum(r["bytes"] for r in records)
    left = store.leftovers()
    begun = f"; {len(left)} begun and not finished, {sum(map(size, left)) / 1e9:.2f} GB" if left else ""
    out.print(
        f"{len(records)} artifacts, {total / 1e9:.2f} of {store.limit_bytes / 1e9:.1f} GB in {store.root}{begun}"
    )


@store_app.command("gc")
def store_gc(
    limit: Annotated[
        float | None, typer.Option("--limit", min=0, help="GB to keep; default: the store's limit")
    ] = None,
) -> None:
    """Remove artifacts, least recently used first, until the store is within its limit, and what killed stages left."""
    from suite.pipeline.store import Store

    freed = Store().gc(limit_bytes=None if limit is None else int(limit * 1e9), in_use_seconds=0.0)
    out.print(f"freed {freed / 1e9:.2f} GB")


def main() -> None:
    """Entry point: one line for what a person can mend, 1 for failed work, 2 for wrong usage."""
    try:
        app()
    except UserError as error:
        err.print(f"lightboard: {error}", markup=False, soft_wrap=True)
        sys.exit(error.code)
    except OSError as error:  # a folder that cannot be written, a file that is a folder
        if error.errno == errno.EPIPE or error.filename is None:
            raise
        err.print(f"lightboard: {error.filename}: {error.strerror}", markup=False, soft_wrap=True)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != INTERRUPTED:
            raise
        goes_on = "; nothing finished is lost, the same command goes on from here"
        resumed = sys.argv[1:2] and sys.argv[1] in RESUMED
        err.print(f"lightboard: stopped{goes_on if resumed else ''}", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
