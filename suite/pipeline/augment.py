"""The stage that augments a task's train split; its artifact can stand wherever the encoded task does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from suite.canonical import digest_file
from suite.data.augment import Places, augment
from suite.data.candidates import (
    Predict,
    Vocabulary,
    embedding_choices,
    masked_choices,
    read_vectors,
    vector_choices,
)
from suite.data.encode import Encoded, load_tokenizer
from suite.documents import DECLARED, Strict
from suite.errors import UserError
from suite.models import pretrained
from suite.pipeline.cell import Cell, forward_tflop
from suite.pipeline.stage import Context, Stage
from suite.protocol import track
from suite.training.device import tensor
from suite.training.loop import fold
from suite.training.settings import Share

VARIABLE = "LIGHTBOARD_WORD_VECTORS"
EMBEDDINGS = "bert.embeddings.word_embeddings.weight"


class Augmentation(Strict):
    """``copies`` of each example; a word is replaced with ``probability`` by one of its ``candidates``.

    ``by``: what proposes them for words of one piece, the pre-trained encoder's masked-LM head or the nearest of
    its input embeddings. ``word_vectors``: words of several pieces are replaced by their neighbours in the GloVe
    file named by LIGHTBOARD_WORD_VECTORS, where it names one.
    """

    by: Annotated[Literal["masked-lm", "embeddings"], DECLARED]
    copies: Annotated[Annotated[int, Field(ge=1, le=100)], DECLARED]
    probability: Annotated[Share, DECLARED] = 0.4
    candidates: Annotated[Annotated[int, Field(ge=1, le=1000)], DECLARED] = 15
    word_vectors: Annotated[bool, DECLARED] = False


def augmented(cell: Cell, settings: Augmentation) -> Stage:
    """Splits ``train`` (the originals, then their copies, with labels and rows of the originals) and ``selection``.

    ``tflop`` is an upper bound: every token counts as a word to be replaced, the texts of a pair as equally long
    (cosines of word vectors, where a file is given, are left out).
    """
    if settings.by == "masked-lm" and not cell.track.general.masked_lm_head:
        raise UserError(
            f"augmentation by masked-lm: the teacher of track {cell.track.name} has no masked-LM head; "
            "set by: embeddings"
        )
    vectors = _vectors() if settings.word_vectors else None
    return cell.stage(
        "augment",
        1,
        write,
        params={
            "task": cell.task.name,
            "track": cell.track.name,
            "pretrained": cell.pretrained,
            "word_vectors_file": _digest(str(vectors), vectors.stat().st_mtime) if vectors else None,
            **settings.model_dump(mode="json"),
        },
        inputs={"data": cell.encoded},
        tflop=_masked_tflop(cell) if settings.by == "masked-lm" else _nearest_tflop(cell),
        tokens=cell.train_tokens,
    )


def _nearest_tflop(cell: Cell) -> float:
    """The cosines of every word met with the whole vocabulary."""
    vocab, hidden = (int(cell.track.teacher.config[name]) for name in ("vocab", "hidden"))
    return 2 * min(vocab, cell.train_tokens) * vocab * hidden / 1e12


def _masked_tflop(cell: Cell) -> float:
    """One forward pass of the encoder over [text ; text] and one of the head over one token for each token."""
    config, texts = cell.config(outputs=1), 2 if "b" in cell.draw.train.column_names else 1
    words = cell.lengths["train"] - 1 - texts
    passes = np.repeat(2 * words // texts + 3, np.maximum(words, 0))
    head = 2.0 * int(config["hidden"]) * int(config["hidden"] + config["vocab"])
    return forward_tflop(config, passes) + len(passes) * head / 1e12


def _vectors() -> Path | None:
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named).resolve()
    if not path.is_file():
        raise UserError(f"{VARIABLE}: {path}: no such file; name a GloVe text file")
    return path


@lru_cache
def _digest(path: str, modified: float) -> str:
    return digest_file(Path(path))


def write(context: Context) -> None:
    settings = Augmentation.model_validate({n: context.params[n] for n in Augmentation.model_fields})
    teacher = track(context.params["track"]).teacher
    folder = pretrained.folder(teacher)
    backend = load_tokenizer(folder).backend_tokenizer
    words = Vocabulary.of([backend.id_to_token(i) or "" for i in range(teacher.config["vocab"])])
    data = Encoded.load(context.inputs["data"] / "train")
    if settings.by == "masked-lm":
        predict = predictor(pretrained.masked_lm(teacher), settings.candidates)
        choices = masked_choices(data, words, predict, context.progress)
    else:
        table = pretrained.encoder_weights(teacher, 0)[EMBEDDINGS].numpy()
        choices = embedding_choices(data, words, table, settings.candidates)
    path = _vectors() if context.params["word_vectors_file"] else None
    if path is not None:

        def tokenise(texts: Sequence[str]) -> list[list[int]]:
            return [e.ids for e in backend.encode_batch_fast(list(texts), add_special_tokens=False)]

        names, vectors = read_vectors(path)
        choices += vector_choices(data, words, names, vectors, tokenise, settings.candidates)
    result = augment(
        data,
        choices,
        copies=settings.copies,
        probability=settings.probability,
        seed=fold(context.seed, "augment"),
    )
    result.save(context.folder / "train")
    Encoded.load(context.inputs["data"] / "selection").save(context.folder / "selection")


def predictor(masked: Any, count: int) -> Predict:
    """The ``count`` likeliest word pieces of a transformers ``BertForMaskedLM`` in one place of each text."""
    masked.eval()

    def predict(ids: Places, mask: Places, types: Places, place: Places) -> Places:
        inputs = [tensor(part) for part in (ids, mask, types)]
        with torch.inference_mode():
            hidden = masked.bert(
                input_ids=inputs[0], attention_mask=inputs[1], token_type_ids=inputs[2]
            ).last_hidden_state
            scores = masked.cls(hidden[torch.arange(len(ids)), tensor(place)])
            top: Places = scores.topk(min(count, scores.shape[-1])).indices.cpu().numpy()
        return top

    return predict
