"""The training loop against the arithmetic limit and against what a user would pick instead.

    python benchmarks/train_step.py [--threads 1] [--steps 40]

One run, one process, alternating rounds, ratios only. *limit*: the matrix products of the same shapes, forward
and backward, and nothing else. *trainer*: ``transformers.Trainer`` with its defaults on the same model and
examples (needs ``pip install accelerate``; left out without it).
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from report import publish

from suite import models
from suite.data.encode import Encoded
from suite.pipeline.supervised import one_update, plain_losses
from suite.protocol import track
from suite.training.feeds import TaskFeed
from suite.training.loop import train
from suite.training.settings import Training


def examples(mean: int, count: int) -> Encoded:
    """Random word pieces at lengths spread around ``mean``, the way sentences are."""
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.gamma(4.0, mean / 4.0, count), 5, 128).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    total = int(offsets[-1])
    return Encoded(
        ids=generator.integers(1000, 30000, total).astype(np.int32),
        types=np.zeros(total, np.int8),
        offsets=offsets,
        labels=generator.integers(0, 2, count),
        rows=np.arange(count, dtype=np.int32),
    )


def limit(config: dict[str, Any], tokens: list[int]) -> Callable[[], None]:
    """The products of a step: each weight three times (forward, two backward), on all tokens of the batch."""
    h, f = config["hidden"], config["ffn"]
    shapes = [(h, h)] * 4 + [(h, f), (f, h)]
    weights = [torch.rand(a, b) for a, b in shapes]
    inputs = {n: [torch.rand(n, a) for a, _ in shapes] for n in set(tokens)}
    outputs = {n: [torch.rand(n, b) for _, b in shapes] for n in set(tokens)}

    def run() -> None:
        for n in tokens:
            for _ in range(config["layers"]):
                for w, x, y in zip(weights, inputs[n], outputs[n], strict=True):
                    x @ w
                    y @ w.T
                    x.T @ y

    return run


def ours(config: dict[str, Any], data: Encoded, steps: int) -> Callable[[], None]:
    def run() -> None:
        torch.manual_seed(0)
        model = models.build(config)
        updates = one_update(Training(epochs=1, lr=1e-4), model, plain_losses)
        train(model, updates, {"train": TaskFeed(data, 32, 0)}, steps=steps, seed=0, phase="benchmark")

    return run


def trainer(config: dict[str, Any], data: Encoded, steps: int) -> Callable[[], None] | None:
    if importlib.util.find_spec("accelerate") is None:
        return None
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    rows = [
        {"input_ids": data.ids[a:b].astype(np.int64), "labels": int(label)}
        for a, b, label in zip(data.offsets[:-1], data.offsets[1:], data.labels, strict=True)
    ]

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = max(len(row["input_ids"]) for row in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(batch):
            ids[i, : len(row["input_ids"])] = torch.from_numpy(row["input_ids"])
            mask[i, : len(row["input_ids"])] = 1
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": torch.tensor([row["labels"] for row in batch]),
        }

    def run() -> None:
        torch.manual_seed(0)
        details = BertConfig(
            hidden_size=config["hidden"],
            num_hidden_layers=config["layers"],
            num_attention_heads=config["heads"],
            intermediate_size=config["ffn"],
        )
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder, max_steps=steps, per_device_train_batch_size=32, report_to=[], save_strategy="no",
                use_cpu=True, disable_tqdm=True, logging_strategy="no",
            )  # fmt: skip
            Trainer(
                BertForSequenceClassification(details), arguments, train_dataset=rows, data_collator=collate
            ).train()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--readme", action="store_true", help="put the figures into README.md")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    config = {**track("mini").teacher.config, "outputs": 2}
    written = []
    for mean in (12, 53):
        data = examples(mean, 32 * asked.steps)
        feed = TaskFeed(data, 32, 0)
        tokens = [int(feed.batch(step).ids.numel()) for step in range(asked.steps)]
        # The Trainer draws examples at random: what it pads more is part of what it costs.
        found = {"limit": limit(config, tokens), "ours": ours(config, data, asked.steps)}
        other = trainer(config, data, asked.steps)
        if other is not None:
            found["trainer"] = other
        times: dict[str, list[float]] = {name: [] for name in found}
        for _ in range(asked.rounds):
            for name, run in found.items():
                started = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - started)
        best = {name: statistics.median(values) for name, values in times.items()}
        share = best["limit"] / best["ours"]
        line = f"{np.mean(tokens):6.0f} tokens a step: ours reaches {share:.0%} of the matmul-only rate"
        if other is not None:
            line += f"; {best['trainer'] / best['ours']:.2f} times as fast as transformers.Trainer"
        print(line)
        written.append(f"- {line.strip()}")
    if asked.readme:
        publish("train_step", [f"{asked.threads} threads, batches of 32.", "", *written])


if __name__ == "__main__":
    main()
