"""What executes a model. One module per runtime, found by its existence; its file's stem is its name.

Each module has::

    PRECISION = "fp32"            # of the arithmetic
    SHAPES = "dynamic"            # or "padded": to fixed lengths, padding counted
    available() -> str | None              # None where it can be used, else the reason
    describe() -> dict[str, str]           # versions of what it needs
    export(model_folder, out) -> Path      # the model file, written into the folder ``out``
    prepare(model_file, threads) -> Run    # loads it
    EXPORTS = False                        # optional: export writes nothing, the trained weights are the file
    EXPORT_VERSION = 1                     # optional: raised by hand when export writes something else
    CALIBRATES = False                     # optional: export takes a third argument, training examples
    export_piece(piece, out) -> Path       # optional: writes one piece of a model, which may be all of it
    load(file, threads) -> Piece           # with export_piece: what one of its files answers
    DEVICE = "cuda"                        # optional: what it computes on; "cpu" when left out
    LEAVING = "compaction"                 # optional: a batch shrinks where examples exit early, or keeps their places
    caution() -> str | None                # optional: what to know of its answers on this machine
    LINES = "..."                          # optional: how a reader loads its files, see :mod:`suite.get`
    CARRIED = _module                      # optional: one of ours without imports of ours, which LINES import

and a ``Run`` takes ids, mask and segment types, numpy int64 [batch, length] each, and gives logits, float32
[batch, outputs]: it returns when they are in the host's memory. On a device with a clock of its own it also has
``device_nanoseconds() -> list[int]``, of each call since it was last asked, and ``device_bytes() -> (allocated,
reserved)``, the most that it took. A runtime of another precision than fp32 has answers, and so scores, of its own.
A model whose examples leave early is exported in pieces (:mod:`suite.runtimes._pieces`), by runtimes that have
``export_piece``; its model file is then the plan that names them, which ``prepare`` takes as well. This file imports
nothing heavy: the processes that are timed load one runtime each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import UserError
from suite.paths import load_module, names
from suite.runtimes import _exits

Tokens = NDArray[np.int64]
Example = tuple[Tokens, Tokens, Tokens]  # ids, mask and types, [1, length] each
Run = Callable[[Tokens, Tokens, Tokens], NDArray[np.float32]]


def runtime(name: str) -> ModuleType:
    """The module of a runtime that can be used here; UserError with the reason, or the nearest name."""
    module = load_module("runtimes", name)
    reason = module.available()
    if reason is not None:
        raise UserError(f"runtime {name}: {reason}", code=1)
    return module


@cache
def hands_out(name: str) -> bool:
    """Whether ``lightboard get`` can give a model as this runtime's files: it is known, and says how to load them."""
    return name in names("runtimes") and hasattr(load_module("runtimes", name), "LINES")


def device_of(module: ModuleType) -> str:
    """What a runtime computes on: cpu, or cuda."""
    return str(getattr(module, "DEVICE", "cpu"))


def exported(name: str, model_folder: Path, examples: Sequence[Example] = ()) -> Path:
    """The runtime's model file for a model folder, made once and kept in the store.

    Its key is the weights, the configuration and the runtime with its versions: another model, or another
    exporter, makes another file. ``examples``: training examples for a runtime that calibrates; they are in the
    key too. UserError where it gets none, and for a model whose examples leave early, in a runtime that needs one
    graph: it cannot stop where its input says.
    """
    from suite import models
    from suite.canonical import digest_file

    module = runtime(name)
    identity: dict[str, Any] = {
        "name": "export",
        "runtime": name,
        "version": getattr(module, "EXPORT_VERSION", 1),
        "versions": module.describe(),
        "config": digest_file(model_folder / "config.json"),
        "weights": digest_file(model_folder / "model.safetensors"),
    }
    if not getattr(module, "EXPORTS", True):
        return Path(module.export(model_folder, model_folder))
    if models.read_config(model_folder).get("speed"):
        if not hasattr(module, "export_piece"):
            raise UserError(
                f"runtime {name}: this model's early exits depend on its input, which one graph cannot; use the "
                "runtime torch or onnx, or set speed to 0 in its config.json to export it at full depth",
                code=1,
            )
        from suite.runtimes import _pieces

        return _pieces.exported(module, identity, model_folder)
    given: tuple[Any, ...] = ()
    if getattr(module, "CALIBRATES", False):
        if not examples:
            raise UserError(f"runtime {name}: it is calibrated on training examples, and got none", code=1)
        given = (examples,)
        identity["examples"] = [[part.tolist() for part in example] for example in examples]
    return kept(identity, lambda folder: Path(module.export(model_folder, folder, *given)))


def kept(identity: dict[str, Any], write: Callable[[Path], Path]) -> Path:
    """The file that ``write`` makes in a folder of the store, made once; ``identity`` is its key."""
    from suite.canonical import digest
    from suite.pipeline.store import Store

    key, store = digest(identity), Store()
    with store.lock(key):
        found = store.get(key)
        if found is None:
            record = {"stage": identity["name"], "version": identity["version"], "tflop": 0.0, "tokens": 0,
                      "shared": True, "seed": 0, "threads": 1}  # fmt: skip
            with store.make(key, record) as (folder, _):
                file = write(folder).relative_to(folder)
                (folder / "model-file").write_text(str(file), encoding="utf-8")
            found = store.get(key)
    assert found is not None
    return found.folder / (found.folder / "model-file").read_text(encoding="utf-8")


def shipped(model_file: Path) -> list[Path]:
    """Every file that ships: the model file itself, and the pieces where it is a plan of them."""
    if model_file.name != _exits.PLAN:
        return [model_file]
    pieces = json.loads(model_file.read_text(encoding="utf-8"))["pieces"]
    return [model_file, *(model_file.with_name(piece["file"]) for piece in pieces)]


def run_of(model_file: Path, load: Callable[[Path], _exits.Piece]) -> Run:
    """What answers, of a whole model's file or of a plan; ``load`` makes either's files answer."""
    if model_file.name == _exits.PLAN:
        return _exits.prepare(model_file, load)
    piece = load(model_file)

    def run(ids: Tokens, mask: Tokens, types: Tokens) -> NDArray[np.float32]:
        logits: Any = piece(dict(zip(_exits.INPUTS, (ids, mask, types), strict=True)))[0]
        return logits  # type: ignore[no-any-return]

    return run
