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
    DEVICE = "cuda"                        # optional: what it computes on; "cpu" when left out
    LEAVING = "compaction"                 # optional: a batch shrinks where examples exit early, or keeps their places

and a ``Run`` takes ids, mask and segment types, numpy int64 [batch, length] each, and gives logits, float32
[batch, outputs]: it returns when they are in the host's memory. On a device with a clock of its own it also has
``device_nanoseconds() -> list[int]``, of each call since it was last asked, and ``device_bytes() -> (allocated,
reserved)``, the most that it took. A runtime of another precision than fp32 has answers, and so scores, of its own.
This file imports nothing heavy: the processes that are timed load one runtime each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import UserError
from suite.paths import load_module

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


def device_of(module: ModuleType) -> str:
    """What a runtime computes on: cpu, or cuda."""
    return str(getattr(module, "DEVICE", "cpu"))


def exported(name: str, model_folder: Path, examples: Sequence[Example] = ()) -> Path:
    """The runtime's model file for a model folder, made once and kept in the store.

    Its key is the weights, the configuration and the runtime with its versions: another model, or another
    exporter, makes another file. ``examples``: training examples for a runtime that calibrates; they are in the
    key too. UserError where it gets none, and for a model whose examples leave early, where the runtime needs a graph:
    one graph cannot stop where its input says.
    """
    from suite import models
    from suite.canonical import digest, digest_file
    from suite.pipeline.store import Store

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
        raise UserError(
            f"runtime {name}: this model's early exits depend on its input, which one graph cannot; use the runtime "
            "torch, or set speed to 0 in its config.json to export it at full depth",
            code=1,
        )
    given: tuple[Any, ...] = ()
    if getattr(module, "CALIBRATES", False):
        if not examples:
            raise UserError(f"runtime {name}: it is calibrated on training examples, and got none", code=1)
        given = (examples,)
        identity["examples"] = [[part.tolist() for part in example] for example in examples]
    key, store = digest(identity), Store()
    with store.lock(key):
        found = store.get(key)
        if found is None:
            record = {"stage": "export", "version": identity["version"], "tflop": 0.0, "tokens": 0,
                      "shared": True, "seed": 0, "threads": 1}  # fmt: skip
            with store.make(key, record) as (folder, _):
                file = Path(module.export(model_folder, folder, *given)).relative_to(folder)
                (folder / "model-file").write_text(str(file), encoding="utf-8")
            found = store.get(key)
    assert found is not None
    return found.folder / (found.folder / "model-file").read_text(encoding="utf-8")
