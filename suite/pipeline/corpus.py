"""The stage that packs a corpus into equal blocks of tokens, so that plans know its size before it is read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from suite.data.corpus import fingerprint, paragraphs
from suite.data.encode import Encoded, load_tokenizer
from suite.errors import UserError
from suite.models import pretrained
from suite.pipeline.stage import Context, Stage
from suite.protocol import Track

CHUNK = 2048  # paragraphs per tokenizer call


@dataclass(frozen=True)
class Corpus:
    """``stage`` makes an :class:`Encoded` in its folder ``train``; ``lengths`` [blocks] tokens each."""

    stage: Stage
    lengths: np.ndarray


def corpus(track: Track, tokens: int) -> Corpus:
    """``tokens`` tokens of the track's corpus in blocks of its maximal length; UserError beyond the track's limit."""
    limit = track.general.max_tokens
    if limit is not None and tokens > limit:
        raise UserError(
            f"track {track.name}: general distillation asks for {tokens} tokens, the limit is {limit}"
        )
    stage = Stage(
        name="corpus",
        version=1,
        function=partial(pack, track),
        params={
            "tokens": tokens,
            "max_length": track.max_length,
            "tokenizer": pretrained.fingerprint(track.teacher),
        },
        data=fingerprint(track.general.corpus),
        tokens=tokens,
        shared=True,
    )
    return Corpus(stage, np.full(max(1, tokens // track.max_length), track.max_length))


def pack(track: Track, context: Context) -> None:
    """Blocks [CLS] ... [SEP] of running text; paragraphs follow each other without a mark."""
    length, blocks = (
        context.params["max_length"],
        max(1, context.params["tokens"] // context.params["max_length"]),
    )
    tokenizer = load_tokenizer(pretrained.folder(track.teacher))
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    inner = length - 2
    ids: list[int] = []
    source = paragraphs(track.general.corpus, lines=context.params["tokens"])
    while len(ids) < blocks * inner:
        lines = list(islice(source, CHUNK))
        if not lines:
            raise UserError(
                f"corpus: it ends after {len(ids)} tokens, {blocks * inner} are needed; name a larger one",
                code=1,
            )
        for encoding in backend.encode_batch_fast(lines, add_special_tokens=False):
            ids.extend(encoding.ids)
        context.progress(min(len(ids), blocks * inner), blocks * inner)
    body = np.array(ids[: blocks * inner], np.int32).reshape(blocks, inner)
    first = np.full((blocks, 1), tokenizer.cls_token_id, np.int32)
    last = np.full((blocks, 1), tokenizer.sep_token_id, np.int32)
    packed = np.concatenate([first, body, last], 1)
    Encoded(
        ids=packed.ravel(),
        types=np.zeros(packed.size, np.int8),
        offsets=np.arange(blocks + 1, dtype=np.int64) * length,
        labels=np.zeros(blocks, np.int64),
        rows=np.arange(blocks, dtype=np.int32),
    ).save(context.folder / "train")
