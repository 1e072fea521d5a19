"""A track small enough for tests: a six-layer BERT 32 wide with random weights, and a task that words decide.

``python tests/tiny.py FOLDER run RECIPE...`` runs recipes on it in a process of its own, for tests that kill.
"""

from __future__ import annotations

import os
import random
import sys
from dataclasses import replace
from pathlib import Path

from suite import protocol
from suite.canonical import digest_file
from suite.protocol import Track

GOOD = ("bright", "kind", "calm", "neat", "warm", "fine")
BAD = ("grim", "cruel", "loud", "vile", "cold", "poor")
PLAIN = (
    "the",
    "a",
    "house",
    "river",
    "song",
    "was",
    "seemed",
    "very",
    "and",
    "day",
    "old",
    "new",
    "road",
    "tale",
)


def sentences(count: int, seed: int) -> list[tuple[str, int]]:
    """(text, label) with one word that decides the label; all texts differ."""
    generator, found = random.Random(seed), {}
    while len(found) < count:
        label = len(found) % 2
        words = [generator.choice(PLAIN) for _ in range(generator.randint(4, 11))]
        words.insert(generator.randint(0, len(words)), generator.choice(GOOD if label else BAD))
        found[" ".join(words)] = label
    return list(found.items())


def make(folder: Path, train: int = 192, dev: int = 96) -> Path:
    """Write the teacher and an SST-2-shaped data folder below ``folder``."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [f"[unused{i}]" for i in range(100, 1000 - 4 + 100 - 100)]
    words += [*GOOD, *BAD, *PLAIN, "."]
    teacher = folder / "teacher"
    teacher.mkdir(parents=True)
    (teacher / "vocab.txt").write_text("\n".join(words) + "\n")
    from tokenizers import BertWordPieceTokenizer

    BertWordPieceTokenizer(str(teacher / "vocab.txt"), lowercase=True).save(str(teacher / "tokenizer.json"))
    BertTokenizerFast(tokenizer_file=str(teacher / "tokenizer.json")).save_pretrained(teacher)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.1,
    )
    BertModel(config).save_pretrained(teacher)
    data = folder / "glue" / "SST-2"
    data.mkdir(parents=True)
    rows = sentences(train + dev, 1)
    for name, part in (("train.tsv", rows[:train]), ("dev.tsv", rows[train:])):
        (data / name).write_text("sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in part))
    return folder


def use(folder: Path) -> Track:
    """Make the demo track the tiny one, in this process. The folder is one that :func:`make` filled."""
    os.environ["LIGHTBOARD_TEACHER"] = str(folder / "teacher")
    os.environ["LIGHTBOARD_STORE"] = str(folder / "store")
    vocab = len((folder / "teacher" / "vocab.txt").read_text().splitlines())
    demo = protocol.TRACKS["demo"]
    sizes = {"hidden": 32, "heads": 4, "ffn": 64, "vocab": vocab, "positions": 64}
    teacher = replace(
        demo.teacher,
        sha256=digest_file(folder / "teacher" / "model.safetensors").removeprefix("sha256:"),
        config={**demo.teacher.config, **sizes},
    )
    track = replace(demo, teacher=teacher, core=("sst2",), data="auto", max_length=32, budget_u=None)
    protocol.TRACKS["demo"] = track
    return track


def main() -> None:
    from suite.pipeline.run import run
    from suite.training import loop

    folder, _, *recipes = sys.argv[1:]
    loop.train.__kwdefaults__["every_seconds"] = 0.0
    track = use(Path(folder))
    for path in run(
        recipes, track=track.name, data=f"folder:{folder}/glue", results=Path(folder) / "results", workers=1
    ):
        print(path)


if __name__ == "__main__":
    main()
