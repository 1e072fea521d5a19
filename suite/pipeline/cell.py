"""A cell of the matrix, (track, task, seed), and the stages all its recipes share: tokens, teacher, teacher logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from suite import models
from suite.canonical import digest
from suite.data.encode import Encoded, encode, load_tokenizer
from suite.data.rows import Draw
from suite.measure.machine import allowed
from suite.models import pretrained
from suite.pipeline.stage import Context, Stage
from suite.protocol import Track
from suite.tasks import Task
from suite.training.feeds import answers_of, logits_of


@lru_cache
def _polynomial(config: str) -> tuple[int, int, int]:
    import json

    from suite.measure.cost import count
    from suite.measure.recount import polynomial

    return polynomial(count(json.loads(config)).ops)


def forward_tflop(config: Mapping[str, Any], lengths: np.ndarray) -> float:
    """Forward pass over examples of these lengths, in TFLOP (1 MAC = 2 FLOPs), padding excluded."""
    from suite.canonical import canonical_json

    a, b, c = _polynomial(canonical_json(dict(config)).decode())
    n = lengths.astype(np.float64)
    return float((a + b * n + c * n * n).sum() / 1e12)


@dataclass(frozen=True)
class Cell:
    """What a method's ``plan`` is given."""

    track: Track
    task: Task
    seed: int
    draw: Draw
    encoded: Stage
    lengths: Mapping[str, np.ndarray]  # split -> tokens of each example
    reference: Stage | None = None  # the fine-tuned teacher of this task and seed

    @cached_property
    def threads(self) -> int:
        return self.track.threads or len(allowed())

    @property
    def pretrained(self) -> str:
        """sha256 of the encoder the track starts from; part of every key that depends on it."""
        return pretrained.fingerprint(self.track.teacher)

    def config(self, **changes: Any) -> dict[str, Any]:
        """A BERT of the reference's width for this task; ``changes`` as in ``layers=3``."""
        return {**self.track.teacher.config, "outputs": self.task.outputs, **changes}

    @property
    def train_tokens(self) -> int:
        return int(self.lengths["train"].sum())

    def forward(self, config: Mapping[str, Any], split: str = "train") -> float:
        """TFLOP of one forward pass of ``config`` over a split."""
        return forward_tflop(config, self.lengths[split])

    def stage(self, name: str, version: int, function: Any, **details: Any) -> Stage:
        """A plain stage at this cell's thread count and seed."""
        settings = {"threads": self.threads, "seed": self.seed, **details}
        return Stage(name=name, version=version, function=function, **settings)

    @cached_property
    def teacher_logits(self) -> Stage:
        """The reference's logits on the train split, computed once for every recipe of the cell."""
        return self.teacher_logits_on(self.encoded, self.lengths["train"])

    def teacher_logits_on(self, data: Stage, lengths: np.ndarray) -> Stage:
        """The reference's logits on another train split, of examples that are at most so long: once for all epochs."""
        if self.reference is None:
            raise ValueError("the reference itself has no teacher")
        return self.stage(
            "teacher-logits",
            1,
            write_logits,
            params={"split": "train"},
            inputs={"model": self.reference, "data": data},
            tflop=forward_tflop(self.config(), lengths),
            tokens=int(lengths.sum()),
        )


@dataclass(frozen=True)
class Tokenizer:
    """What turns text into ids: a digest that stands for it in keys, and where it lies, asked for when needed."""

    fingerprint: str
    folder: Callable[[], Path]

    @classmethod
    def of(cls, track: Track) -> Tokenizer:
        """The one of the track's teacher; its weights' hash stands for it."""
        return cls(pretrained.fingerprint(track.teacher), partial(pretrained.folder, track.teacher))


def encoding(draw: Draw, track: Track, tokenizer: Tokenizer) -> Stage:
    """The stage that tokenises a draw for a track."""
    task = draw.task
    # A task of one's own can be edited: labels in another order are other outputs, other metrics other selections.
    own = {"labels": list(task.labels), "metrics": list(task.metrics)} if task.base else {}
    return Stage(
        name="encode",
        version=1,
        function=partial(encode_draw, draw, tokenizer),
        params={
            "task": task.name,
            "max_length": track.max_length,
            "outputs": task.outputs,
            "tokenizer": tokenizer.fingerprint,
            **own,
        },
        data=digest(draw.fingerprints),
        tokens=0,
        shared=True,
    )


def encode_draw(draw: Draw, tokenizer: Tokenizer, context: Context) -> None:
    """Tokenise the splits of a draw, each into a folder of its own."""
    backend, longest = load_tokenizer(tokenizer.folder()), context.params["max_length"]
    parts = {"train": draw.train, "selection": draw.selection, **draw.dev}
    for done, (split, rows) in enumerate(parts.items()):
        encode(rows, draw.task, backend, longest).save(context.folder / split)
        context.progress(done + 1, len(parts))


def write_logits(context: Context) -> None:
    """``logits.npy`` of a model folder on one split."""
    data = Encoded.load(context.inputs["data"] / context.params["split"])
    np.save(context.folder / "logits.npy", logits_of(models.load(context.inputs["model"]), data))


def predict(context: Context) -> None:
    """``<split>.npy`` logits of a model folder on every dev set; with early exits ``exits-<split>.npy`` as well."""
    model = models.load(context.inputs["model"])
    splits: Sequence[str] = context.params["splits"]
    for done, split in enumerate(splits):
        logits, exits = answers_of(model, Encoded.load(context.inputs["data"] / split))
        np.save(context.folder / f"{split}.npy", logits)
        if exits is not None:
            np.save(context.folder / f"exits-{split}.npy", exits)
        context.progress(done + 1, len(splits))
