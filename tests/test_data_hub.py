"""GLUE from the hub's cache: a tree as huggingface_hub leaves it, offline, with sockets that refuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from suite.protocol import TRAINING

ROOT = Path(__file__).resolve().parent.parent
REVISION = TRAINING["data"]["glue"]["revision"]

CARD = """\
---
configs:
{configs}
dataset_info:
{infos}
---
# A card
"""

CONFIG = """\
- config_name: {name}
  data_files:
{files}"""

INFO = """\
- config_name: {name}
  features:
{features}"""

TEXT = """\
  - name: {name}
    dtype: string"""

CLASSES = """\
  - name: label
    dtype:
      class_label:
        names:
{names}"""

NUMBER = """\
  - name: label
    dtype: float32"""


def config(name: str, texts: list[str], labels: list[str] | None, splits: list[str]) -> tuple[str, str]:
    """The two parts of the card's header that describe one configuration."""
    files = "\n".join(f"  - split: {split}\n    path: {name}/{split}-*" for split in splits)
    features = [TEXT.format(name=text) for text in texts]
    if labels is None:
        features.append(NUMBER)
    else:
        names = "\n".join(f"          '{i}': {label}" for i, label in enumerate(labels))
        features.append(CLASSES.format(names=names))
    return CONFIG.format(name=name, files=files), INFO.format(name=name, features="\n".join(features))


def table(path: Path, columns: dict[str, list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    label = pa.float32() if isinstance(columns["label"][0], float) else pa.int64()
    types = {name: label if name == "label" else pa.string() for name in columns}
    pq.write_table(pa.table({name: pa.array(columns[name], types[name]) for name in columns}), path)


def cache(home: Path, rte_labels: list[str]) -> Path:
    """``home`` as HF_HOME with a snapshot of three configurations; RTE's label order is the caller's."""
    repository = home / "hub" / "datasets--nyu-mll--glue"
    snapshot = repository / "snapshots" / REVISION
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(REVISION)
    pair = ["sentence1", "sentence2"]
    parts = [
        config("rte", pair, rte_labels, ["train", "validation"]),
        config("stsb", pair, None, ["train", "validation"]),
        config(
            "mnli",
            ["premise", "hypothesis"],
            ["entailment", "neutral", "contradiction"],
            ["train", "validation_matched", "validation_mismatched"],
        ),
    ]
    snapshot.mkdir(parents=True)
    card = CARD.format(configs="\n".join(one for one, _ in parts), infos="\n".join(two for _, two in parts))
    (snapshot / "README.md").write_text(card)
    shard = "-00000-of-00001.parquet"
    for split in ("train", "validation"):
        texts = {"sentence1": [f"A {split}", "C"], "sentence2": ["B", "D"]}
        table(snapshot / f"rte/{split}{shard}", {**texts, "label": [0, 1]})
        table(snapshot / f"stsb/{split}{shard}", {**texts, "label": [3.8, 0.0]})
    for split, label in (("train", 0), ("validation_matched", 1), ("validation_mismatched", 2)):
        columns = {"premise": [f"P {split}"], "hypothesis": ["H"], "label": [label]}
        table(snapshot / f"mnli/{split}{shard}", columns)
    return snapshot


PROGRAM = """\
import json, socket, sys

def refuse(*arguments, **named):
    raise AssertionError("the network was asked")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from suite.data import sources
from suite.errors import UserError
from suite.tasks import GLUE

try:
    examples = sources.load(GLUE[sys.argv[1]], sys.argv[2])
except UserError as error:
    print(json.dumps({"error": str(error), "code": error.code}))
else:
    splits = {"train": examples.train, **examples.dev}
    print(json.dumps({"source": examples.source, **{name: data[:] for name, data in splits.items()}}))
"""


def load(home: Path, task: str, source: str = "hub") -> Any:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "LIGHTBOARD_"))
    }
    environment |= {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, task, source],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_pairs_with_both_dev_sets(tmp_path: Path) -> None:
    cache(tmp_path, ["entailment", "not_entailment"])
    found = load(tmp_path, "mnli")
    assert found == {
        "source": "hub",
        "train": {"row": [0], "a": ["P train"], "b": ["H"], "label": [0]},
        "dev_matched": {"row": [0], "a": ["P validation_matched"], "b": ["H"], "label": [1]},
        "dev_mismatched": {"row": [0], "a": ["P validation_mismatched"], "b": ["H"], "label": [2]},
    }


def test_scores_and_auto_without_a_folder(tmp_path: Path) -> None:
    cache(tmp_path, ["entailment", "not_entailment"])
    found = load(tmp_path, "stsb", "auto")
    assert found["source"] == "hub"
    assert found["dev"]["label"] == pytest.approx([3.8, 0.0])


@pytest.mark.parametrize(
    ("order", "expected"),
    [(["entailment", "not_entailment"], [0, 1]), (["not_entailment", "entailment"], [1, 0])],
)
def test_labels_are_mapped_by_name_not_by_number(
    tmp_path: Path, order: list[str], expected: list[int]
) -> None:
    cache(tmp_path, order)
    assert load(tmp_path, "rte")["train"]["label"] == expected


def test_other_label_names_are_refused(tmp_path: Path) -> None:
    cache(tmp_path, ["yes", "no_way"])
    found = load(tmp_path, "rte")
    assert "nyu-mll/glue rte train: found True, no_way, expected entailment, not_entailment" in found["error"]


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    snapshot = cache(tmp_path, ["entailment", "not_entailment"])
    card = (snapshot / "README.md").read_text()
    line = "  - split: validation_mismatched\n    path: mnli/validation_mismatched-*\n"
    assert line in card + "\n"
    (snapshot / "README.md").write_text(card.replace(line, ""))
    assert "found no split validation_mismatched" in load(tmp_path, "mnli")["error"]


def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    snapshot = cache(tmp_path, ["entailment", "not_entailment"])
    path = snapshot / "stsb/train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:100])
    found = load(tmp_path, "stsb")
    assert found["code"] == 1
    assert found["error"].startswith("nyu-mll/glue stsb: ")
    assert "\n" not in found["error"]


@pytest.mark.parametrize("source", ["hub", "auto"])
def test_without_cache_or_network_the_error_says_what_to_do(tmp_path: Path, source: str) -> None:
    found = load(tmp_path, "cola", source)
    assert found["code"] == 1
    assert "LIGHTBOARD_GLUE or --data folder:PATH" in found["error"]
    assert "\n" not in found["error"]


def test_a_hub_user_and_a_folder_user_get_the_same_draw(tmp_path: Path) -> None:
    """The same rows as a hub snapshot (float32 scores, spaces trimmed) and as TSVs, in another order."""
    cache(tmp_path / "home", ["entailment", "not_entailment"])
    header = "index\tsentence1\tsentence2\tscore"
    (tmp_path / "glue/STS-B").mkdir(parents=True)
    for split, first in (("train", "A train"), ("dev", "A validation")):
        lines = [header, f"0\t{first} \tB\t3.800", "1\tC\tD  \t0.000"]
        if split == "train":
            lines[1:] = reversed(lines[1:])
        (tmp_path / f"glue/STS-B/{split}.tsv").write_text("\n".join(lines) + "\n")

    from suite.data import rows, sources
    from suite.tasks import GLUE

    task = GLUE["stsb"]
    hub = load(tmp_path / "home", "stsb")
    made = {split: sources.to_dataset(hub[split], task) for split in ("train", "dev")}
    from_hub = rows.draw_rows(
        sources.Examples(made["train"], {"dev": made["dev"]}, "hub"), task, cap=None, selection=0.5
    )
    folder = sources.load(task, f"folder:{tmp_path / 'glue'}")
    from_folder = rows.draw_rows(folder, task, cap=None, selection=0.5)
    assert from_hub.fingerprints == from_folder.fingerprints
    assert from_hub.source != from_folder.source


@pytest.mark.parametrize("task", ["rte", "stsb", "mnli"])
def test_a_verifier_reads_the_same_labels_from_the_cache_without_the_hubs_libraries(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.tasks import GLUE
    from suite.verify import gold

    cache(tmp_path, ["not_entailment", "entailment"])
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("LIGHTBOARD_GLUE", raising=False)
    loaded = load(tmp_path, task)
    for source in ("hub", "auto"):
        found = gold.load(source, GLUE[task])
        assert {split: list(one.labels) for split, one in found.items()} == {
            split: pytest.approx(loaded[split]["label"]) for split in GLUE[task].dev_splits
        }


def test_a_verifier_says_what_the_cache_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from suite.errors import UserError
    from suite.tasks import GLUE
    from suite.verify import gold

    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    with pytest.raises(UserError, match="not in the hub's cache"):
        gold.load("hub", GLUE["rte"])
    snapshot = cache(tmp_path, ["same", "other"])
    with pytest.raises(UserError, match="found labels same, other, expected"):
        gold.load("hub", GLUE["rte"])
    (snapshot / "rte/validation-00000-of-00001.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match="not the data set's file"):
        gold.load("hub", GLUE["rte"])
