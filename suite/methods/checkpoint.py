"""Anybody's BERT-like encoder through the track's protocol: fine-tuned as the reference is, on the same examples.

``model`` is a name on the hub with the commit that is meant, or the name of a folder in one that the environment's
LIGHTBOARD_CHECKPOINTS names; either holds ``config.json``, ``model.safetensors`` and a fast tokenizer, as
``save_pretrained`` writes them. The run's settings hold that name and, of a folder, the weights' sha256: no path.
The model keeps its own tokenizer, so a task is tokenised anew where that is not the track's. Configuration and
weights are read by transformers' own classes; no pickle is opened and no code of the model's is run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Self

from pydantic import StringConstraints, model_validator

from suite import models
from suite.canonical import digest, digest_file
from suite.data.encode import load_tokenizer
from suite.documents import DECLARED, Strict
from suite.errors import UserError
from suite.methods.finetune import finetuning
from suite.models import encoder, hub, pretrained
from suite.pipeline.cell import Cell, Tokenizer
from suite.pipeline.stage import Context, Stage
from suite.protocol import Track
from suite.training.settings import Training

FOLDERS = "LIGHTBOARD_CHECKPOINTS"
FILES = (hub.CONFIG, hub.WEIGHTS, *hub.TOKENIZER)

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,95})?$"
ModelName = Annotated[str, StringConstraints(pattern=NAME)]


class Parameters(Strict):
    """``sha256`` of the weights' file is filled in for a folder, and checked where it is given.

    ``training.dropout`` is that of the body, whatever the checkpoint's own configuration says.
    """

    model: Annotated[ModelName, DECLARED]
    revision: Annotated[hub.Commit | None, DECLARED] = None
    sha256: Annotated[hub.Sha256 | None, DECLARED] = None
    training: Annotated[Training, DECLARED]

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        """A folder is pinned by its weights, as a model of the hub is by its commit."""
        if "/" in self.model:
            if self.revision is None:
                raise ValueError(
                    "revision: found nothing, expected the commit on the hub, 40 hexadecimal digits"
                )
            return self
        if self.revision is not None:
            raise ValueError("revision: found a commit, expected none: the model is a folder, not OWNER/NAME")
        return self.model_copy(update={"sha256": self.sha256 or weights_sha256(named_folder(self.model))})


def named_folder(name: str) -> Path:
    """The folder ``name`` below LIGHTBOARD_CHECKPOINTS; ValueError in the form of a recipe's mistakes."""
    above = os.environ.get(FOLDERS)
    if not above:
        raise ValueError(
            f"model: found {name!r}, expected OWNER/NAME on the hub, or {FOLDERS} set to the folder that holds {name}/"
        )
    folder = Path(above).expanduser() / name
    if not (folder / hub.CONFIG).is_file():
        raise ValueError(f"model: found no {name}/{hub.CONFIG} in {FOLDERS}, expected a model folder")
    if not (folder / hub.WEIGHTS).is_file():
        raise ValueError(f"model: found no {name}/{hub.WEIGHTS}, {_safe()}")
    return folder


def _safe() -> str:
    return f"expected one: pickled weights such as {hub.PICKLED} are never opened, save_pretrained writes safe ones"


def _folder(parameters: Parameters, track: Track, *, weights: bool) -> Path:
    """Where the checkpoint lies; with ``weights``, they are there and are the ones that are meant."""
    teacher, name = track.teacher, parameters.model
    if "/" not in name:
        folder = named_folder(name)
    elif (name, parameters.revision) == (teacher.hub, teacher.revision):
        folder = pretrained.folder(teacher)
    else:
        assert parameters.revision is not None
        wanted = FILES if weights else (hub.CONFIG, *hub.TOKENIZER)
        folder = hub.snapshot(name, parameters.revision, wanted)
    missing = [file for file in (hub.CONFIG, hub.WEIGHTS)[: 1 + weights] if not (folder / file).is_file()]
    if missing == [hub.CONFIG]:
        raise UserError(f"model {name}: found no {hub.CONFIG}; it is not a model that transformers can load")
    if missing:
        raise UserError(f"model {name}: found no {hub.WEIGHTS} at that commit, {_safe()}")
    if weights and parameters.sha256 and (found := weights_sha256(folder)) != parameters.sha256:
        raise UserError(
            f"model {name}: sha256 of its weights is {found[:16]}..., the recipe means {parameters.sha256[:16]}...; "
            "they were changed or are another model's"
        )
    return folder


def weights_sha256(folder: Path) -> str:
    file = (folder / hub.WEIGHTS).resolve()
    stat = file.stat()
    return _sha256(file, stat.st_mtime_ns, stat.st_size)


@lru_cache
def _sha256(file: Path, changed: int, size: int) -> str:
    return digest_file(file).removeprefix("sha256:")


def tokenizer(parameters: Parameters, track: Track) -> Tokenizer | None:
    """The checkpoint's own; None where it makes the track's tokens."""
    folder = _folder(parameters, track, weights=False)
    if not any((folder / file).is_file() for file in ("tokenizer.json", "vocab.txt")):
        raise UserError(
            f"model {parameters.model}: found no tokenizer.json, expected a fast tokenizer; "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...) writes one"
        )
    own, theirs = (_pipeline(path.resolve()) for path in (folder, pretrained.folder(track.teacher)))
    return None if own == theirs else Tokenizer(own, partial(_folder, parameters, track, weights=False))


@lru_cache
def _pipeline(folder: Path) -> str:
    """Digest of all that turns text into tokens; padding and truncation are ours."""
    backend = json.loads(load_tokenizer(folder).backend_tokenizer.to_str())
    return digest({**backend, "padding": None, "truncation": None})


def _config(parameters: Parameters, track: Track, outputs: int) -> models.Config:
    folder = _folder(parameters, track, weights=False)
    try:
        config = encoder.configuration(folder, outputs)
    except UserError as error:
        raise UserError(f"model {parameters.model}: {error}", code=error.code) from error
    if config["positions"] < track.max_length:
        raise UserError(
            f"model {parameters.model}: it reads at most {config['positions']} tokens, "
            f"track {track.name} has up to {track.max_length}"
        )
    return encoder.with_dropout(config, parameters.training.dropout)


def students(parameters: Parameters, track: Track, outputs: int) -> dict[str, models.Config]:
    return {"default": _config(parameters, track, outputs)}


def plan(parameters: Parameters, cell: Cell) -> Mapping[str, Stage]:
    config = students(parameters, cell.track, cell.task.outputs)["default"]
    weights = Stage(
        name="checkpoint",
        version=1,
        function=partial(fetch, parameters, cell.track),
        params={
            "model": parameters.model,
            "revision": parameters.revision,
            "sha256": parameters.sha256,
            "config": encoder.with_dropout({**config, "outputs": 1}, 0.0),
        },
        shared=True,  # what it cost to make is not known
    )
    return {"default": finetuning(cell, config, parameters.training, encoder=weights)}


def fetch(parameters: Parameters, track: Track, context: Context) -> None:
    """The body's weights under our names, as every fine-tuning's ``encoder`` input."""
    folder = _folder(parameters, track, weights=True)
    try:
        weights = encoder.encoder_weights(folder, context.params["config"])
    except UserError as error:
        raise UserError(f"model {parameters.model}: {error}", code=error.code) from error
    models.save_tensors(weights, context.folder / hub.WEIGHTS)
