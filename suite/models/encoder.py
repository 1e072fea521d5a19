"""Any BERT-like encoder that transformers has a sequence classifier for, with that classifier's own head.

The configuration holds transformers' own, as ``details``: sizes and switches, no names, no paths. Weights carry
the names of transformers' class below ``model.``. Segment types are handed on only to models that tell segments
apart, and padding gets the model's own padding id, by which some count their positions.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import torch
from torch import Tensor, nn

from suite.errors import UserError
from suite.models.bert import additive

# Model types, and how many of their positions no token can have (counting starts behind the padding id).
TYPES = {
    "albert": 0, "bert": 0, "camembert": 2, "distilbert": 0, "electra": 0, "ernie": 0, "mobilebert": 0,
    "mpnet": 2, "roberta": 2, "squeezebert": 0, "xlm-roberta": 2,
}  # fmt: skip

Config = dict[str, Any]

_PLAIN = re.compile(r"^[\w.+|-]{0,64}$")  # of a text: the name of an activation or of a kind, never a path


def configuration(folder: Any, outputs: int) -> Config:
    """The configuration for a folder's ``config.json``; UserError for a model of another kind."""
    from transformers import AutoConfig

    try:
        found = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        line = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise UserError(f"config.json: not a model that transformers knows by itself: {line}") from error
    if found.model_type not in TYPES:
        known = ", ".join(TYPES)
        raise UserError(f"config.json: model_type is {found.model_type!r}, expected an encoder: {known}")
    positions = int(getattr(found, "max_position_embeddings", 512)) - TYPES[found.model_type]
    return {
        "architecture": "encoder",
        "model_type": found.model_type,
        "details": _details(found),
        "outputs": outputs,
        "positions": positions,
    }


def _details(found: Any) -> Config:
    """What the configuration's class itself takes, as plain values. The number of labels is the task's."""
    taken = inspect.signature(type(found).__init__).parameters.values()
    names = [p.name for p in taken if p.kind is inspect.Parameter.KEYWORD_ONLY]
    values = {name: getattr(found, name) for name in names if hasattr(found, name)}
    return {name: value for name, value in sorted(values.items()) if _plain(value)}


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_plain(one) for one in value)
    return isinstance(value, (bool, int, float)) or (isinstance(value, str) and bool(_PLAIN.match(value)))


def with_dropout(config: Config, dropout: float) -> Config:
    """The configuration with every dropout of the body at ``dropout``."""
    body = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")
    details = {name: dropout if name in body else value for name, value in config["details"].items()}
    return {**config, "details": details}


class Encoder(nn.Module):
    """transformers' sequence classifier behind the suite's three inputs."""

    def __init__(self, config: Config, attention: str) -> None:
        super().__init__()
        from transformers import AutoConfig, AutoModelForSequenceClassification

        details = AutoConfig.for_model(
            config["model_type"], **config["details"], num_labels=config["outputs"]
        )
        kind = AutoModelForSequenceClassification._model_mapping[type(details)]
        chosen = attention if attention == "eager" or getattr(kind, "_supports_sdpa", False) else "eager"
        self.model = AutoModelForSequenceClassification.from_config(
            details, attn_implementation=chosen, dtype=torch.float32
        )
        self.body = f"model.{kind.base_model_prefix}."
        others = [name for name, _ in self.model.named_children() if name != kind.base_model_prefix]
        self.heads = (f"{self.body}pooler.", *(f"model.{name}." for name in others))  # new on every task
        self.pad = int(getattr(details, "pad_token_id", None) or 0)
        takes = inspect.signature(kind.forward).parameters
        self.segments = "token_type_ids" in takes and int(getattr(details, "type_vocab_size", 0) or 0) > 1

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        if self.pad:
            input_ids = input_ids.masked_fill(attention_mask == 0, self.pad)
        types = {"token_type_ids": token_type_ids} if self.segments else {}
        # Four dimensions are taken as they are; of two, transformers would look at the values.
        mask = additive(attention_mask, torch.float32)
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=mask, **types).logits
        return logits


def encoder_weights(folder: Any, config: Config) -> dict[str, Tensor]:
    """The body's tensors of a checkpoint folder under the names of :class:`Encoder`, float32.

    Read by transformers' own loader from ``model.safetensors``, so that older names are understood; heads of
    whatever it was trained for are left out. UserError when something but a pooler is missing or does not fit.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # a bar of its own would tear ours
    with torch.device("meta"):
        target = Encoder(config, "eager")
    with torch.device("cpu"):
        model, told = AutoModel.from_pretrained(
            str(folder), use_safetensors=True, local_files_only=True, trust_remote_code=False,
            dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True,
        )  # fmt: skip
    fresh = set(told["missing_keys"])
    misfits = sorted(str(name[0] if isinstance(name, tuple) else name) for name in told["mismatched_keys"])
    absent = sorted(name for name in fresh if "pooler" not in name.split("."))
    if misfits or absent:
        what = f"{misfits[0]} has another shape" if misfits else f"{absent[0]} is missing"
        raise UserError(f"model.safetensors does not belong to this config.json: {what}")
    wanted = {name for name in target.state_dict() if name.startswith(target.body)}
    found = {target.body + name: tensor for name, tensor in model.state_dict().items() if name not in fresh}
    return {name: tensor.clone().contiguous() for name, tensor in found.items() if name in wanted}


def build(config: Config, attention: str) -> Encoder:
    return Encoder(config, attention)
