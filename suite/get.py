"""``lightboard get``: an entry's model in a form that runs, with its tokenizer, its labels and ten lines that use it.

Weights come from this machine's store, from the place that the run names, or from one that the user names; they are
data until they were found to be the run's own: the hash that the run (or a replay of it) holds, the run's
configuration, and tensors of the run's names, shapes and types. Nothing is unpickled, nothing fetched is executed, and
every file that is written has a name of ours. The folder appears whole or not at all.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import suite
from suite import folder as folders
from suite import models, stored, submit
from suite.canonical import digest_file, pretty_json
from suite.data.encode import load_tokenizer, unpadded
from suite.documents import Entry, RunLine
from suite.errors import UserError
from suite.folder import show
from suite.loading import load_recipe, resolve
from suite.measure.answers import rounds, tolerance
from suite.paths import load_module, names
from suite.pipeline.matrix import tokenizer_of
from suite.pipeline.store import Store
from suite.protocol import track as track_of
from suite.reproduce import ordered_tasks, own_run
from suite.runtimes import _exits, exported, hands_out, runtime, shipped
from suite.verify import valid, weights
from suite.verify.loaded import LoadedRun
from suite.verify.settings import resolved_of

Tell = Callable[[str], None]

SCRIPT, LABELS, TOKENIZER, ABOUT = ("answer.py", "labels.json", "tokenizer.json", "about.json")
CHUNK = 2**20

LINES = """\
import json, os, sys, numpy, tokenizers{more}
{load}
os.chdir(os.path.dirname(os.path.abspath(__file__)))
text = tokenizers.Tokenizer.from_file("tokenizer.json").encode(*sys.argv[1:] or sys.exit("give it a text, or two"))
given = {{"input_ids": text.ids, "attention_mask": text.attention_mask, "token_type_ids": text.type_ids}}
logits = {answer}
print(json.dumps(dict(zip(json.load(open("labels.json")), logits.tolist()))))
"""
WHOLE = 'load("{file}")({{name: numpy.array([row]) for name, row in given.items()}})[0][0]'
EARLY = 'exits.prepare("{file}", load)(*(numpy.array([row]) for row in given.values()))[0]'


@dataclass(frozen=True)
class Got:
    """What was handed out: the folder, whose weights, from where, and the other tasks there are."""

    folder: Path
    task: str
    seed: int
    source: str
    others: tuple[str, ...]


def get(
    results: Path,
    name: str,
    out: Path,
    *,
    track: str | None = None,
    runtime_name: str = "onnx",
    task: str | None = None,
    seed: int | None = None,
    place: str | None = None,
    store: Store | None = None,
    tell: Tell | None = None,
) -> Got:
    """Write the model of ``track/recipe/variant`` into the new folder ``out``.

    ``task``: the first of the track's that the entry has, by default; ``seed`` likewise. ``place``: a file, a folder
    or an fsspec URL to take the weights from, instead of the store and the run's own. UserError, and nothing written,
    where the weights are nowhere, are not the run's, or a runtime cannot hold the model.
    """
    module = _module(runtime_name)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is there already and not empty; name a new folder with --out")
    tell = tell or (lambda text: None)
    folder, entry, _ = submit.find(results, name, track)
    chosen, line = _line(entry, task, seed)
    run, problems = valid.load_run(folder / line.run)
    if run is None or problems:
        raise UserError(f"{problems[0]}; run lightboard verify {folder}", code=1)
    with _model(run, entry, folder, place, store or Store(), tell) as (model, source):
        tell(f"exporting for {runtime_name}")
        file = _exported(_stem(runtime_name), module, model)
        files = {path.name: path for path in shipped(file)}
        if not getattr(module, "EXPORTS", True):
            files["config.json"] = model / "config.json"
        texts = _texts(run, module, file.name) | {
            ABOUT: pretty_json(_about(run, runtime_name, module, files)),
        }
        _write(out, files, texts)
    others = tuple(one for one in ordered_tasks(entry) if one != chosen)
    return Got(out, chosen, line.seed, source, others)


# --- what is asked for --------------------------------------------------------------------------------------


def _stem(name: str) -> str:
    return name if name in names("runtimes") else name.replace("-", "_")


def _module(name: str) -> ModuleType:
    """A usable runtime that says how its files are loaded."""
    module = runtime(name)
    if not hands_out(_stem(name)):
        known = filter(hands_out, names("runtimes"))
        raise UserError(f"runtime {name}: it hands out no files; these do: {', '.join(known)}")
    return module


def _line(entry: Entry, task: str | None, seed: int | None) -> tuple[str, RunLine]:
    """The run of an entry whose model is wanted; UserError where it has none of that task or seed."""
    known = ordered_tasks(entry)
    chosen = task or known[0]
    name = f"{entry.track}/{entry.recipe}/{entry.variant}"
    if chosen not in entry.quality:
        raise UserError(f"{name}: no run of task {chosen}; it has: {', '.join(known)}")
    lines = {line.seed: line for line in entry.quality[chosen].runs}
    if seed is None:
        return chosen, next(iter(lines.values()))
    if seed not in lines:
        raise UserError(f"{name}: no run of {chosen} with seed {seed}; it has: {', '.join(map(str, lines))}")
    return chosen, lines[seed]


# --- the weights --------------------------------------------------------------------------------------------


@contextmanager
def _model(
    run: LoadedRun, entry: Entry, track: Path, place: str | None, store: Store, tell: Tell
) -> Iterator[tuple[Path, str]]:
    """The run's model folder, checked, and where its weights came from."""
    known = _hashes(run, track)
    kept = None if place or not run.run.stages else store.get(run.run.stages[-1].key)
    if kept is not None and (kept.folder / weights.TENSORS).is_file():
        _check(kept.folder, run, known)
        yield kept.folder, "this machine's store"
        return
    named = run.run.weights.place if run.run.weights else None
    source = place or named
    if source is None:
        name = f"{entry.track}/{entry.recipe}/{entry.variant}"
        again = own_run(entry.recipe, entry.track, run.run.task, _seeds(run))
        raise UserError(
            f"{name}: the weights of {run.run.task}, seed {run.run.seed}, are neither in this machine's store nor at a "
            f"place that the run names; train them yourself: {again} && lightboard index --results own && "
            f"lightboard get {name} --results own",
            code=1,
        )
    if not known:
        raise UserError(
            f"{run.file}: holds no hash of its weights, so none from elsewhere can be checked; replay it with them "
            f"first: lightboard replay {run.folder} --weights FOLDER",
            code=1,
        )
    with tempfile.TemporaryDirectory(prefix="lightboard-get-") as work:
        folder = Path(work)
        tell(f"fetching {show(source, 200)}")
        _fetch(source, _size(run), folder / weights.TENSORS)
        (folder / weights.CONFIG).write_text(pretty_json(run.run.model.config), encoding="utf-8")
        _check(folder, run, known)
        yield folder, show(source, 200)


def _hashes(run: LoadedRun, track: Path) -> set[str]:
    """The hash of the weights by the run itself; in older runs, by replays that passed."""
    if run.run.weights is not None:
        return {run.run.weights.sha256}
    said = stored.read_attestations(track).get(run.subject or "", [])
    passed = [one for one in said if one.level == "replayed" and one.outcome == "passed"]
    return {one.evidence.weights for one in passed if one.evidence and one.evidence.weights}


def _seeds(run: LoadedRun) -> int:
    """How many of the track's seeds must be trained to have this one."""
    seeds = track_of(run.run.track).seeds
    return seeds.index(run.run.seed) + 1 if run.run.seed in seeds else 1


def _size(run: LoadedRun) -> int:
    sizes = [size for kind, size in run.run.model.bytes.items() if kind.startswith("safetensors/")]
    if not sizes or sizes[0] > weights.MAX_TENSOR_BYTES:
        raise UserError(f"{run.file}: model.bytes: found no size that a model file here can have", code=1)
    return sizes[0]


def _fetch(source: str, size: int, file: Path) -> None:
    """Copy exactly ``size`` bytes from a file, a model folder or a URL; UserError for more, fewer or none."""
    import fsspec

    given = Path(source) / weights.TENSORS if Path(source).is_dir() else source
    taken = 0
    try:
        with fsspec.open(str(given), "rb") as stream, file.open("wb") as target:
            while taken <= size and (part := stream.read(min(CHUNK, size + 1 - taken))):
                taken += len(part)
                target.write(part)
    except Exception as error:  # every file system has its own kinds
        reason = show(f"{type(error).__name__}: {error}", 200)
        raise UserError(f"{show(source, 200)}: cannot be read: {reason}", code=1) from error
    if taken != size:
        found = f"more than {size}" if taken > size else str(taken)
        raise UserError(f"{show(source, 200)}: found {found} bytes, the run's weights have {size}", code=1)


def _check(folder: Path, run: LoadedRun, known: set[str]) -> None:
    """UserError unless the folder is the run's model, and one of ours to build."""
    found = weights.read(folder)
    if known and found.digest not in known:
        expected = ", ".join(sorted(known))
        raise UserError(f"{folder / weights.TENSORS}: found {found.digest}, expected {expected}", code=1)
    for problem in weights.problems(found, run.run.model):
        raise UserError(str(problem), code=1)


# --- the files ----------------------------------------------------------------------------------------------


def _exported(name: str, module: ModuleType, model: Path) -> Path:
    """The runtime's file, which answers some made-up texts as torch does; UserError where it does not."""
    try:
        file = exported(name, model)
        if module.PRECISION == "fp32":
            _compare(name, module, file, model)
    except UserError:
        raise
    except Exception as error:  # whatever a library raises: it cannot hold this model
        reason = show(f"{type(error).__name__}: {error}", 200)
        raise UserError(f"runtime {name}: cannot hold this model: {reason}", code=1) from error
    return file


ROUNDED = 0.5  # of the answers' spread: a model that rounds inside answers a little otherwise, another model wholly so


def _compare(name: str, module: ModuleType, file: Path, model: Path) -> None:
    import torch

    config = models.read_config(model)
    random = np.random.default_rng(11)
    longest = min(64, int(config.get("positions", 64)))
    ours = runtime("torch").prepare(model / weights.TENSORS, torch.get_num_threads())
    theirs = module.prepare(file, torch.get_num_threads())
    wanted, found = [], []
    for length in np.linspace(3, longest, 6).astype(int):
        ids = random.integers(1, int(config.get("vocab", 1000)), (1, length))
        given = (ids, np.ones_like(ids), np.zeros_like(ids))
        wanted.append(ours(*given))
        found.append(theirs(*given))
    right = np.concatenate(wanted)
    largest, allowed = float(np.abs(np.concatenate(found) - right).max()), max(tolerance(right), 1e-6)
    if rounds(model):
        allowed = max(allowed, ROUNDED * float(right.std()))
    if not largest <= allowed:
        message = f"its answers differ from torch's by {largest:.2g}, {allowed:.2g} is allowed"
        raise UserError(f"runtime {name}: {message}", code=1)


def _texts(run: LoadedRun, module: ModuleType, file: str) -> dict[str, str]:
    """The files that are text: tokenizer, labels, the ten lines, and the module of ours that they need, if any."""
    track, task = track_of(run.run.track), run.task
    assert task is not None
    own = weights.is_ours("methods", run.run.method) and hasattr(
        load_module("methods", run.run.method), "tokenizer"
    )
    resolved = resolved_of(run.run) if own else resolve(load_recipe(track.reference_recipe), track.name)
    early = file == _exits.PLAN
    lines = LINES.format(
        more=", exits" if early else "",
        load=module.LINES.strip(),
        answer=(EARLY if early else WHOLE).format(file=file),
    )
    found = {
        TOKENIZER: _tokenizer(tokenizer_of(resolved, track).folder(), track.max_length),
        LABELS: pretty_json(list(task.labels) or ["score"]),
        SCRIPT: lines,
    }
    carried = _exits if early else getattr(module, "CARRIED", None)
    if carried is not None:
        source = Path(str(carried.__file__))
        found[source.name.lstrip("_")] = source.read_text(encoding="utf-8")
    return found


def _tokenizer(folder: Path, longest: int) -> str:
    """The tokenizer as examples were encoded: cut to the track's length, never padded."""
    return str(unpadded(load_tokenizer(folder), longest).to_str(pretty=False))


def _about(run: LoadedRun, name: str, module: ModuleType, files: dict[str, Path]) -> dict[str, Any]:
    return {
        "entry": f"{run.run.track}/{run.run.recipe}/{run.run.variant}",
        "task": run.run.task,
        "seed": run.run.seed,
        "run": run.subject,
        "score": run.run.score,
        "score_is_of": "fp32" if module.PRECISION == "fp32" else f"fp32; {module.PRECISION} is another model",
        "runtime": name,
        "precision": module.PRECISION,
        "versions": {**module.describe(), "lightboard": suite.__version__},
        "files": {file: digest_file(path) for file, path in sorted(files.items())},
    }


def _write(out: Path, files: dict[str, Path], texts: dict[str, str]) -> None:
    """Fill a folder beside ``out`` and rename it; names are of our own making and lie in it directly."""
    assert all(Path(name).name == name for name in (*files, *texts))
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        for name, source in files.items():
            shutil.copyfile(source, part / name)
        for name, content in texts.items():
            folders.write_file(part / name, content.encode("utf-8"))
        part.chmod(0o755)
        part.replace(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}", code=1) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
