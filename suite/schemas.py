"""The published JSON Schemas of every document, and the origin of each of its fields.

``python -m suite.schemas`` writes ``docs/schemas/<document>-<version>.json``; ``--check`` only compares, for
continuous integration. Every field carries ``origin``: derived, evidence or declared (see ``documents.py``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from suite import paths
from suite.canonical import pretty_json
from suite.documents import Attempt, Attestation, Entry, LogEntry, Manifest, Measurement, Run, Signature
from suite.profile import Profile
from suite.recipe import Recipe
from suite.tasks import OwnTask

DOCUMENTS: dict[str, type[BaseModel]] = {
    "recipe": Recipe,
    "profile": Profile,
    "task": OwnTask,
    "run": Run,
    "measurement": Measurement,
    "attempt": Attempt,
    "attestation": Attestation,
    "entry": Entry,
    "manifest": Manifest,
    "log": LogEntry,
    "signature": Signature,
}


def identifier(model: type[BaseModel]) -> str:
    """What the document's ``schema`` field says, such as ``lightboard/run/1``."""
    return str(model.model_fields["schema_"].default)


def schema(document: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a document by its name."""
    model = DOCUMENTS[document]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": identifier(model),
        **model.model_json_schema(by_alias=True, mode="validation"),
    }


def files() -> dict[str, str]:
    """File name -> content of every published schema: ``run-1.json`` for ``lightboard/run/1``."""
    return {
        "-".join(identifier(model).split("/")[1:]) + ".json": pretty_json(schema(name))
        for name, model in DOCUMENTS.items()
    }


def origins(document: str) -> dict[str, str | None]:
    """Leaf field -> origin, None where a field says none.

    ``[]`` stands for the items of a list, ``*`` for the keys of a mapping: ``quality.*.runs[].score``.
    """
    top = schema(document)
    return dict(_leaves(top, top, ""))


def _leaves(
    top: Mapping[str, Any], model: Mapping[str, Any], before: str
) -> Iterator[tuple[str, str | None]]:
    for name, field in model["properties"].items():
        place = f"{before}{name}"
        inner = list(_models(top, field, place))
        for below, found in inner:
            yield from _leaves(top, found, below + ".")
        if not inner:
            yield place, field.get("origin")


def _models(
    top: Mapping[str, Any], field: Mapping[str, Any], place: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The documents' own models that a field holds, directly, in a list, in a mapping or in a union."""
    if "$ref" in field:
        yield from _models(top, top["$defs"][field["$ref"].rsplit("/", 1)[-1]], place)
    elif "properties" in field:
        yield place, field
    for member in field.get("anyOf", []):
        yield from _models(top, member, place)
    if isinstance(field.get("items"), dict):
        yield from _models(top, field["items"], place + "[]")
    inner = [*field.get("patternProperties", {}).values(), field.get("additionalProperties")]
    for value in inner:
        if isinstance(value, dict):
            yield from _models(top, value, place + ".*")


def folder() -> Path:
    """Where they are published in a checkout."""
    return paths.root() / "docs" / "schemas"


def differences(out: Path) -> list[str]:
    """Names of files in ``out`` that are missing, left over or not as generated."""
    wanted = files()
    there = {path.name: path.read_text(encoding="utf-8") for path in sorted(out.glob("*.json"))}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def write(out: Path) -> list[Path]:
    """Write all schemas; schemas of older versions stay where they are."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in files().items():
        path = out / name
        path.write_text(content, encoding="utf-8")
        written.append(path)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m suite.schemas", description="Write the JSON Schemas.")
    parser.add_argument("--out", type=Path, default=folder(), help="folder to write to or compare with")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    given = parser.parse_args(arguments)
    if given.check:
        stale = differences(given.out)
        for name in stale:
            print(f"{name}: not as generated; run python -m suite.schemas", file=sys.stderr)
        return 1 if stale else 0
    for path in write(given.out):
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
