"""Where things are found: recipes, profiles, methods and the other kinds of file that count by existing.

A new method, task, runtime or profile is one new file on the search path; nothing registers it. The search
path is the environment's ``LIGHTBOARD_PATH`` (folders that hold ``recipes/``, ``methods/`` ...), then ours.
Where two folders hold the same name, the earlier one counts.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from suite.errors import UserError

YAML_KINDS = ("recipes", "hardware_profiles", "tasks")
CODE_KINDS = ("methods", "models", "runtimes", "modifiers")
REQUIRED = {  # what a module of a kind must have, as its package's docstring says
    "methods": ("Parameters", "students", "plan"),
    "modifiers": ("Parameters", "config", "stage"),
    "runtimes": ("PRECISION", "SHAPES", "available", "describe", "export", "prepare"),
}
MOST_NAMES = 10  # in one line of an error
LISTED = (
    "recipe",
    "method",
    "modifier",
    "profile",
    "task",
    "runtime",
)  # what ``lightboard list`` has by these names

_PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """The folder that holds ``recipes/``, ``hardware_profiles/``, ``site/``: installed, or the checkout."""
    shipped = _PACKAGE / "_shipped"
    return shipped if shipped.is_dir() else _PACKAGE.parent


def search(kind: str) -> list[Path]:
    """Every existing folder of a kind, those of ``LIGHTBOARD_PATH`` before ours."""
    if kind not in YAML_KINDS + CODE_KINDS:
        raise ValueError(f"no such kind: {kind}")
    folders = [folder / kind for folder in _environment_path()]
    folders.append((_PACKAGE if kind in (*CODE_KINDS, "tasks") else root()) / kind)
    return [folder for folder in folders if folder.is_dir()]


def _environment_path() -> list[Path]:
    given = os.environ.get("LIGHTBOARD_PATH", "").split(os.pathsep)
    folders = [Path(part).expanduser() for part in given if part]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"LIGHTBOARD_PATH: {folder}: no such folder; make it, or name another")
    return folders


def files(kind: str) -> dict[str, Path]:
    """Name -> YAML file of a kind, by name, one level of subfolders included; names that start with ``_`` or ``.``
    are left out."""
    found: dict[str, Path] = {}
    for folder in search(kind):
        for path in [*sorted(folder.iterdir()), *sorted(folder.glob("[!._]*/*"))]:
            if path.suffix in (".yaml", ".yml") and path.is_file() and path.name[0] not in "._":
                found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def names(kind: str) -> list[str]:
    """Sorted names of a kind: file stems, without those that start with ``_``."""
    return sorted(files(kind) if kind in YAML_KINDS else _code(kind))


def modules(kind: str) -> dict[str, Path]:
    """Stem -> file of every module or package of a kind."""
    return _code(kind)


def _code(kind: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in search(kind):
        for path in sorted(folder.iterdir()):
            if path.name[0] in "._":
                continue
            if path.suffix == ".py" and path.is_file():
                found.setdefault(path.stem, path)
            elif (path / "__init__.py").is_file():
                found.setdefault(path.name, path / "__init__.py")
    return found


def load_module(kind: str, name: str) -> ModuleType:
    """The module of a kind by its name; ``-`` and ``_`` are the same (``onnx-int8`` is ``onnx_int8.py``).

    :raises UserError: no such module, with the nearest name; one that fails; one that lacks what its kind needs.
    """
    modules = _code(kind)
    stem = name if name in modules else name.replace("-", "_")
    if stem not in modules:
        raise unknown(kind.removesuffix("s"), name, modules)
    path = modules[stem]
    try:
        if path.is_relative_to(_PACKAGE):
            module = importlib.import_module(f"suite.{kind}.{stem}")
        else:
            module = _foreign(kind, stem, path.resolve())
    except UserError:
        raise
    except Exception as error:  # anything may happen in a module that somebody is writing
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{path}: cannot be loaded: {said}") from error
    required = REQUIRED.get(kind, ())
    lacking = [one for one in required if not hasattr(module, one)]
    if lacking:
        raise UserError(
            f"{path}: found no {', '.join(lacking)}; a module in {kind}/ has {', '.join(required)}"
        )
    return module


def _foreign(kind: str, stem: str, path: Path) -> ModuleType:
    """A module from ``LIGHTBOARD_PATH``, loaded once per file."""
    key = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    qualified = f"lightboard_{kind}_{key}_{stem}"
    if qualified in sys.modules:
        return sys.modules[qualified]
    spec = importlib.util.spec_from_file_location(qualified, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path}: not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[qualified] = module  # before it runs: dataclasses and pydantic look their module up there
    _SOURCES[qualified] = _source(path)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[qualified]
        raise
    return module


_SOURCES: dict[
    str, str
] = {}  # name of a module from LIGHTBOARD_PATH -> sha256 of its source when it was loaded


def _source(path: Path) -> str:
    """sha256 of a module's file, or of every Python file of a package, with their names inside it."""
    package = path.name == "__init__.py"
    found = hashlib.sha256()
    for file in sorted(path.parent.rglob("*.py")) if package else [path]:
        content = file.read_bytes()
        name = file.relative_to(path.parent).as_posix() if package else ""
        found.update(f"{name}\n{len(content)}\n".encode() + content)
    return found.hexdigest()


def own_code(module: str) -> str | None:
    """sha256 of the source of a module from ``LIGHTBOARD_PATH`` by its ``__name__``; None for any other module.

    What it imports from elsewhere is not part of it; a package's own modules are.
    """
    return _SOURCES.get(module.partition(".")[0])


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like this one, or None when none is near."""
    by_plain = {one.lower().replace("_", "-"): one for one in known}
    close = difflib.get_close_matches(name.lower().replace("_", "-"), list(by_plain), n=1, cutoff=0.6)
    return by_plain[close[0]] if close else None


def some(what: str, known: Iterable[str]) -> str:
    """The names there are of a thing, as a line holds them: ten at most, then where to see all."""
    known = sorted(known)
    if len(known) <= MOST_NAMES:
        return ", ".join(known) or "none"
    more = f"{', '.join(known[:MOST_NAMES])} and {len(known) - MOST_NAMES} more"
    return f"{more} (lightboard list {what}s)" if what in LISTED else more


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist: the nearest one, or what there is."""
    known = sorted(known)
    near = nearest(name, known)
    hint = f"did you mean {near}?" if near is not None else f"known: {some(what, known)}"
    return UserError(f"unknown {what.replace('_', ' ')} {name!r}; {hint}")


def store_root() -> Path:
    """The artifact store: ``LIGHTBOARD_STORE``, or ``lightboard`` in the user's cache folder."""
    given = os.environ.get("LIGHTBOARD_STORE")
    if given:
        return Path(given).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "lightboard"
