"""A shipped model folder held against the run it is said to be of, before anything is built from it.

Needs no torch. A folder holds ``config.json`` and ``model.safetensors``; both are read once, within limits, and
nothing else in it is opened. The configuration must be the run's own and name one of Lightboard's architectures;
the file's header must list exactly the run's tensors (and at most a few buffers), in its place and size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeGuard

from suite import folder as folders
from suite import paths
from suite.canonical import digest
from suite.documents import Model, Run
from suite.folder import Problem, Refused, show

CONFIG, TENSORS = "config.json", "model.safetensors"
MAX_CONFIG_BYTES = 64 * 2**10
MAX_CONFIG_VALUES = 2_000
MAX_HEADER_BYTES = 4 * 2**20
MAX_TENSOR_BYTES = 2 * 2**30
MAX_BUFFERS = 512  # tensors in the file that are no parameters
LARGEST_COUNT = 256  # of layers, heads, cells: what is no dimension of a tensor
RECORD = "search"  # how an architecture was found: a record in its configuration, from which nothing is built

# safetensors' names of types -> (ours, bytes); what else it knows is in no model here
TYPES = {
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I8": ("int8", 1),
    "U8": ("uint8", 1),
    "I32": ("int32", 4),
    "I64": ("int64", 8),
    "BOOL": ("bool", 1),
}
FIX = "give the folder of the model that the run was scored with"


@dataclass(frozen=True, eq=False)
class Shipped:
    """A model folder's two files."""

    folder: Path
    config: dict[str, Any]
    content: bytes  # of model.safetensors
    tensors: dict[str, tuple[str, tuple[int, ...]]]  # name -> (dtype, shape), as the header says

    @property
    def digest(self) -> str:
        return folders.digest_bytes(self.content)


def read(folder: Path) -> Shipped:
    """The two files of a model folder, read once; :class:`Refused` for anything that is not plain and bounded."""
    for name in folders.EXECUTABLE_SUFFIXES:
        for path in folder.glob(f"*{name}"):
            found, expected = "a format that can run code when it is opened", f"{CONFIG} and {TENSORS}"
            raise Refused(Problem(show(str(path), 300), "name", found, expected, "remove it"))
    config = folders.read_json(folder / CONFIG, MAX_CONFIG_BYTES)
    if not isinstance(config, dict):
        raise _refuse(folder / CONFIG, "", show(repr(config)), "a JSON object")
    content = folders.read_bytes(folder / TENSORS, MAX_TENSOR_BYTES)
    return Shipped(folder, config, content, header(content, folder / TENSORS))


def header(content: bytes, path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name -> (dtype, shape) of a safetensors file's tensors; :class:`Refused` where it is not what it says.

    The layout (https://github.com/huggingface/safetensors#format): 8 bytes of length, little-endian, then that much
    JSON, then the tensors, one after the other without gaps.
    """
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, len(content) - 8):
        limit = f"at most {min(MAX_HEADER_BYTES, max(0, len(content) - 8))}"
        raise _refuse(path, "header", f"{length} bytes", limit)
    said = folders.parse_json(content[8 : 8 + length], path)
    if not isinstance(said, dict):
        raise _refuse(path, "header", show(repr(said)), "a JSON object")
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    spans = []
    for name, tensor in said.items():
        if name == "__metadata__":
            continue
        kind, shape, span = _entry(path, name, tensor)
        found[name] = (kind, shape)
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise _refuse(path, "header", f"a tensor at {start}", f"at {end}, without gap or overlap")
        end = stop
    if end != len(content) - 8 - length:
        raise _refuse(path, "header", f"{end} bytes of tensors", f"{len(content) - 8 - length}, as there are")
    return found


def _entry(path: Path, name: str, tensor: Any) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    """Type, shape and span of one tensor of a header."""
    fields = tensor if isinstance(tensor, dict) else {}
    kind, shape, span = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not isinstance(kind, str) or kind not in TYPES:
        raise _refuse(path, show(name), show(repr(kind)), "one of " + ", ".join(TYPES))
    if not _numbers(shape) or len(shape) > 8 or not _numbers(span) or len(span) != 2:
        raise _refuse(path, show(name), show(repr(tensor)), "a shape, and two offsets")
    ours, width = TYPES[kind]
    if span[1] - span[0] != width * prod(shape):
        expected = f"{width * prod(shape)}, by its shape"
        raise _refuse(path, show(name), f"{span[1] - span[0]} bytes", expected)
    return ours, tuple(shape), (span[0], span[1])


def _numbers(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(
        isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= 2**40 for one in value
    )


def _refuse(path: Path, field: str, found: str, expected: str) -> Refused:
    return Refused(Problem(show(str(path), 300), field, found, expected, FIX))


def is_ours(kind: str, name: object) -> bool:
    """Whether Lightboard itself ships the module of that kind ("models", "methods") and name."""
    if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
        return False
    module = paths.modules(kind).get(name.replace("-", "_"))
    return module is not None and module.is_relative_to(Path(paths.__file__).resolve().parent)


def problems(shipped: Shipped, model: Model) -> Iterator[Problem]:
    """Everything in which a folder is not the run's model."""
    config, file = show(str(shipped.folder / CONFIG), 300), show(str(shipped.folder / TENSORS), 300)
    yield from config_problems(config, shipped.config, model)
    if digest(shipped.config) != digest(model.config):
        different = sorted(
            name
            for name in shipped.config.keys() | model.config.keys()
            if shipped.config.get(name) != model.config.get(name)
        )
        name = different[0] if different else ""
        found, expected = repr(shipped.config.get(name)), repr(model.config.get(name))
        yield Problem(config, show(name), show(found), show(expected) + ", as the run has it", FIX)
    sizes = [size for kind, size in model.bytes.items() if kind.startswith("safetensors/")]
    size = sizes[0] if sizes else None
    if size is not None and len(shipped.content) != size:
        yield Problem(file, "size", f"{len(shipped.content)} bytes", f"{size}, as the run has it", FIX)
    named = {weight.name for weight in model.weights}
    for weight in model.weights:
        found_tensor = shipped.tensors.get(weight.name)
        if found_tensor != (weight.dtype, weight.shape):
            told = _told(*found_tensor) if found_tensor else "nothing"
            yield Problem(file, show(weight.name), told, _told(weight.dtype, weight.shape), FIX)
    others = [name for name in shipped.tensors if name not in named]
    if len(others) > MAX_BUFFERS:
        yield Problem(file, "header", f"{len(others)} further tensors", f"at most {MAX_BUFFERS}", FIX)


def of_the_run(shipped: Shipped, run: Run) -> Iterator[Problem]:
    """Everything in which a folder is not the run's model; the weights' hash too, where the run has it."""
    yield from problems(shipped, run.model)
    if run.weights is not None and run.weights.sha256 != shipped.digest:
        file = show(str(shipped.folder / TENSORS), 300)
        yield Problem(file, "sha256", shipped.digest, f"{run.weights.sha256}, as the run has it", FIX)


def config_problems(file: str, config: Mapping[str, Any], model: Model | None) -> Iterator[Problem]:
    """Whether a configuration can be built: one of our architectures, of sizes that its tensors have."""
    architecture = config.get("architecture")
    if not is_ours("models", architecture):
        expected = "one of " + ", ".join(n for n in paths.names("models") if is_ours("models", n))
        yield Problem(file, "architecture", show(repr(architecture)), expected, FIX)
    dimensions = {size for weight in (model.weights if model else ()) for size in weight.shape}
    values = 0
    for place, value in _leaves(config, ""):
        values += 1
        whole = isinstance(value, int) and not isinstance(value, bool)
        counts = whole and not place.startswith(f"{RECORD}.")
        if counts and not (0 <= value <= LARGEST_COUNT or value in dimensions):
            expected = f"at most {LARGEST_COUNT}, or a dimension of one of the run's tensors"
            yield Problem(file, show(place), show(repr(value)), expected, FIX)
        if isinstance(value, str) and len(value) > 200:
            yield Problem(file, show(place), show(value, 60), "a short word", FIX)
    if values > MAX_CONFIG_VALUES:
        yield Problem(file, "", f"{values} values", f"at most {MAX_CONFIG_VALUES}", FIX)


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, f"{place}.{key}".strip("."))
    else:
        yield place, value


def _told(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype} {json.dumps(list(shape))}"
