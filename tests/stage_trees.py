"""The syntax trees that decide what stages make, hashed without comments and docstrings.

``python tests/stage_trees.py`` records them; do that only after bumping the version of every stage whose
result changed.
"""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

ROOT = Path(__file__).parent.parent / "suite"
DECIDING = ("methods", "models", "modifiers", "training")
SINGLE = (
    "data/encode.py",
    "data/augment.py",
    "data/candidates.py",
    "data/batching.py",
    "data/corpus.py",
    "data/generated.py",
    "data/lexicon.py",
    "pipeline/augment.py",
    "pipeline/cell.py",
    "pipeline/corpus.py",
    "pipeline/exits.py",
    "pipeline/general.py",
    "pipeline/importance.py",
    "pipeline/phase.py",
    "pipeline/released.py",
    "pipeline/pretraining.py",
    "pipeline/supervised.py",
    "pipeline/transfer.py",
    "pipeline/tuning.py",
    "scoring.py",
)


def tree(path: Path) -> str:
    """Hash of a module's syntax tree; docstrings are left out."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(module):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body.pop(0)
    return hashlib.sha256(ast.dump(module).encode()).hexdigest()[:16]


def versions(path: Path) -> list[int]:
    """The ``version`` of every stage a module defines, in order."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            keywords = {k.arg: k.value for k in node.keywords}
            place = keywords.get("version") or (
                node.args[1] if name == "stage" and len(node.args) > 1 else None
            )
            if name in ("Phase", "Stage", "stage") and isinstance(place, ast.Constant):
                found.append(int(place.value))
    return found


def trees() -> dict[str, dict[str, object]]:
    paths = [p for folder in DECIDING for p in sorted((ROOT / folder).glob("*.py"))] + [
        ROOT / s for s in SINGLE
    ]
    return {str(p.relative_to(ROOT)): {"tree": tree(p), "versions": versions(p)} for p in paths}


if __name__ == "__main__":
    target = Path(__file__).with_name("stage_trees.json")
    target.write_text(json.dumps(trees(), indent=1) + "\n", encoding="utf-8")
