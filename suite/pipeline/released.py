"""Encoders as their authors released them, for students whose general distillation would cost days.

A method offers both ways with ``general: OrReleased[ITS_OWN_GENERAL]``: a recipe then names either how the encoder is
distilled or where it is released, and the run's settings tell which. The stage's artifact is what general
distillation leaves too: ``model.safetensors`` under the names of the student's classifier, heads left out.

Safetensors first. Some of the field's checkpoints exist only as ``pytorch_model.bin``; that is opened with
``torch.load(weights_only=True)``, which builds tensors and plain containers and calls nothing a file names, and only
from the commit that a recipe pins. Anybody's own checkpoint is another matter: there a pickle is never opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Discriminator, Tag
from torch import Tensor

from suite import models
from suite.canonical import digest_file
from suite.data.encode import load_tokenizer
from suite.documents import DECLARED, Strict
from suite.errors import UserError
from suite.models import hub, pretrained
from suite.models.hub import Commit, HubName, Sha256
from suite.pipeline.cell import Cell
from suite.pipeline.general import HEADS
from suite.pipeline.stage import Context, Stage
from suite.protocol import Teacher

OWN = ("outputs", "dropout", "head_dropout", "attention_dropout")  # of a task, not of an encoder


class Released(Strict):
    """A repository on the hub at one commit; ``sha256`` of the weights' file is checked where it is given."""

    hub: Annotated[HubName, DECLARED]
    revision: Annotated[Commit, DECLARED]
    sha256: Annotated[Sha256 | None, DECLARED] = None


def _which(value: Any) -> str:
    if isinstance(value, Mapping):
        return "released" if "hub" in value else "distilled"
    return "released" if isinstance(value, Released) else "distilled"


G = TypeVar("G")
OrReleased = Annotated[
    Annotated[G, Tag("distilled")] | Annotated[Released, Tag("released")], Discriminator(_which)
]


def released_stage(cell: Cell, released: Released, config: models.Config) -> Stage:
    """The stage that fetches ``released`` as the encoder of ``config``; shared, and no arithmetic of ours."""
    return Stage(
        name="released",
        version=1,
        function=partial(fetch, cell.track.teacher),
        params={
            **released.model_dump(mode="json"),
            "config": {name: value for name, value in config.items() if name not in OWN},
            "pretrained": cell.pretrained,
        },
        shared=True,
    )


def fetch(teacher: Teacher, context: Context) -> None:
    """Write ``model.safetensors``; UserError where the released model is not the student that was planned."""
    released = Released.model_validate({k: context.params[k] for k in ("hub", "revision", "sha256")})
    folder = hub.snapshot(released.hub, released.revision, (hub.CONFIG, hub.WEIGHTS, *hub.TOKENIZER))
    weights = folder / hub.WEIGHTS
    if not weights.is_file():
        folder = hub.snapshot(released.hub, released.revision, (hub.CONFIG, hub.PICKLED, *hub.TOKENIZER))
        weights = folder / hub.PICKLED
    what = f"model {released.hub} at {released.revision[:12]}"
    if not weights.is_file():
        raise UserError(
            f"{what}: found neither {hub.WEIGHTS} nor {hub.PICKLED}; connect once to fetch it", code=1
        )
    found = digest_file(weights).removeprefix("sha256:")
    if released.sha256 is not None and found != released.sha256:
        raise UserError(
            f"{what}: sha256 of {weights.name} is {found[:16]}..., the recipe expects {released.sha256[:16]}...; "
            "remove it from the hub's cache and run again",
            code=1,
        )
    config = context.params["config"]
    check_heads(folder, config, what)
    check_vocabulary(folder, pretrained.folder(teacher), what)
    models.save_tensors(fitting(read(weights), config, what), context.folder / hub.WEIGHTS)


def read(weights: Path) -> dict[str, Tensor]:
    """Tensors by name from either kind of file."""
    import torch
    from safetensors.torch import load_file

    if weights.name == hub.WEIGHTS:
        return dict(load_file(weights))
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file, or one that asks for more than tensors
        line = str(error).splitlines()[0][:120] if str(error) else ""
        raise UserError(
            f"{weights.name}: cannot be read as weights alone: {type(error).__name__}: {line}", code=1
        ) from error
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}


def fitting(state: Mapping[str, Tensor], config: models.Config, what: str) -> dict[str, Tensor]:
    """The encoder of ``config`` out of a checkpoint's tensors, float32, under our names.

    A checkpoint may leave the model's prefix away (``bert.``) and call a norm's weight and bias gamma and beta.
    What belongs to heads or training is dropped; a body that lacks, misfits or has more layers is refused.
    """
    wanted = {
        name: tensor.shape
        for name, tensor in models.build({**config, "outputs": 1}, device="meta").state_dict().items()
        if not name.startswith(HEADS)
    }
    prefix = next(iter(wanted)).partition(".")[0] + "."
    bare = not any(name.startswith(prefix) for name in state)
    found = {}
    for name, tensor in state.items():
        ours = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        found[prefix + ours if bare else ours] = tensor
    parts = {name.split(".")[1] for name in wanted}  # of the body: embeddings, encoder, pooler
    for name in found:
        inside = name.startswith(prefix) and name.split(".")[1] in parts
        if inside and name not in wanted and not name.endswith(("position_ids", "token_type_ids")):
            raise UserError(f"{what}: it has {name}, which the recipe's student has not; its sizes differ")
    for name, shape in wanted.items():
        if name not in found:
            raise UserError(f"{what}: it has no {name}, which the recipe's student needs; its sizes differ")
        if found[name].shape != shape:
            have, need = list(found[name].shape), list(shape)
            raise UserError(f"{what}: {name} is {have} there and {need} in the recipe's student")
    return {name: found[name].float().contiguous() for name in wanted}


def check_heads(folder: Path, config: models.Config, what: str) -> None:
    """The number of attention heads cannot be seen in the weights."""
    from transformers import AutoConfig

    if not (folder / hub.CONFIG).is_file() or "heads" not in config:
        return
    heads = AutoConfig.from_pretrained(str(folder), trust_remote_code=False).num_attention_heads
    if heads != config["heads"]:
        raise UserError(
            f"{what}: {heads} attention heads there and {config['heads']} in the recipe's student"
        )


def check_vocabulary(folder: Path, teacher: Path, what: str) -> None:
    """The student reads the track's tokens, so word pieces must have the teacher's numbers."""
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        return
    if load_tokenizer(folder).get_vocab() != load_tokenizer(teacher).get_vocab():
        raise UserError(
            f"{what}: its vocabulary is not the track's; take it in its own tokens, as CONTRIBUTING.md says"
        )
