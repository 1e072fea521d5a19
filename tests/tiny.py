"""A track small enough for tests: a six-layer BERT 32 wide with random weights, and a task that words decide.

``python tests/tiny.py FOLDER run RECIPE...`` runs recipes on it in a process of its own, for tests that kill.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def saved(folder: Path, config: Mapping[str, Any], seed: int = 0, spread: float = 0.2) -> Any:
    """A model of random weights in a model folder; padding's vector is 0, as training leaves it."""
    import torch

    from suite import models

    torch.manual_seed(seed)
    model = models.build(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=spread)
        for part in model.modules():
            if isinstance(part, torch.nn.Embedding) and part.padding_idx is not None:
                part.weight[part.padding_idx] = 0
    models.save(model, config, folder)
    return model


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
    write_teacher(folder / "teacher")
    write_data(folder, train, dev)
    return folder


SIZES = {"layers": 6, "hidden": 32, "heads": 4, "ffn": 64, "positions": 64}


def write_teacher(
    teacher: Path, *, pieces: tuple[str, ...] = (), masked_lm: bool = False, **sizes: int
) -> None:
    """A BERT with random weights and its tokenizer: ``pieces`` are further entries of the vocabulary."""
    import torch
    from transformers import BertConfig, BertForPreTraining, BertModel, BertTokenizerFast

    words = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [f"[unused{i}]" for i in range(100, 1000 - 4 + 100 - 100)]
    words += [*GOOD, *BAD, *PLAIN, ".", *pieces]
    sizes = {**SIZES, **sizes}
    teacher.mkdir(parents=True)
    (teacher / "vocab.txt").write_text("\n".join(words) + "\n")
    from tokenizers import BertWordPieceTokenizer

    BertWordPieceTokenizer(str(teacher / "vocab.txt"), lowercase=True).save(str(teacher / "tokenizer.json"))
    BertTokenizerFast(tokenizer_file=str(teacher / "tokenizer.json")).save_pretrained(teacher)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=sizes["hidden"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["ffn"],
        max_position_embeddings=sizes["positions"],
        initializer_range=0.1,
    )
    (BertForPreTraining if masked_lm else BertModel)(config).save_pretrained(teacher)


def write_inverted_bottleneck(folder: Path, **changes: Any) -> dict[str, Any]:
    """A small inverted-bottleneck BERT with its masked-LM head, as a model folder; gives its configuration."""
    import torch
    from safetensors.torch import save_file

    from suite import models
    from suite.models.mobilebert import IB_BERT_LARGE

    config = {**IB_BERT_LARGE, "pooler": False, **changes}
    torch.manual_seed(0)
    model = models.build(config)
    models.save(model, config, folder)
    hidden, narrow, vocab = (config[name] for name in ("hidden", "embedding", "vocab"))
    head = {
        "transform.dense.weight": torch.randn(hidden, hidden), "transform.dense.bias": torch.zeros(hidden),
        "transform.LayerNorm.weight": torch.ones(hidden), "transform.LayerNorm.bias": torch.zeros(hidden),
        "dense.weight": torch.randn(hidden - narrow, vocab), "bias": torch.zeros(vocab),
    }  # fmt: skip
    weights = {**model.state_dict(), **{f"cls.predictions.{name}": tensor for name, tensor in head.items()}}
    save_file(weights, folder / "model.safetensors")
    return config


def write_data(folder: Path, train: int, dev: int) -> None:
    """An SST-2-shaped task below ``folder``."""
    data = folder / "glue" / "SST-2"
    data.mkdir(parents=True)
    rows = sentences(train + dev, 1)
    for name, part in (("train.tsv", rows[:train]), ("dev.tsv", rows[train:])):
        (data / name).write_text("sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in part))


def use(folder: Path) -> Track:
    """Make the demo track the tiny one, in this process. The folder is one that :func:`make` filled."""
    os.environ["LIGHTBOARD_TEACHER"] = str(folder / "teacher")
    os.environ["LIGHTBOARD_STORE"] = str(folder / "store")
    track = shrunk(protocol.TRACKS["demo"], folder / "teacher", SIZES)
    protocol.TRACKS["demo"] = track
    return track


def shrunk(track: Track, folder: Path, sizes: Mapping[str, int]) -> Track:
    """A track with the teacher of ``folder`` (``sizes`` as for :func:`write_teacher`) and one task."""
    vocab = len((folder / "vocab.txt").read_text().splitlines())
    teacher = replace(
        track.teacher,
        sha256=digest_file(folder / "model.safetensors").removeprefix("sha256:"),
        config={**track.teacher.config, **sizes, "vocab": vocab},
    )
    return replace(track, teacher=teacher, core=("sst2",), data="auto", max_length=32, budget_u=None)


def brief_profile(patch: Any, folder: Path, pairs: int) -> None:
    """A profile ``brief`` that times a moment of ONNX Runtime, found below ``folder``; nothing looks for peaks."""
    from suite.loading import load_profile

    place = folder / "plugins" / "hardware_profiles"
    place.mkdir(parents=True)
    changes = {"name": "brief", "block_seconds": 0.01, "runtimes": ["onnx"], "pairs": pairs}
    brief = load_profile("quick").model_dump(mode="json", by_alias=True) | changes
    (place / "brief.yaml").write_text(json.dumps(brief))
    patch.setenv("LIGHTBOARD_PATH", str(place.parent))
    patch.setattr("suite.measure.peak.of", lambda names, plan, tell: [])


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
