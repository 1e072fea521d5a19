"""What verify says, word for word: of a few frozen rows, of forgeries of them, and that the live tree is fine.

``fixtures/golden/results`` holds real documents as they were once landed; ``fixtures/golden/verify.txt`` what is said
of them. After a deliberate change of words: ``python tests/test_golden.py``.
"""

from __future__ import annotations

import copy
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import example_results as example
import numpy as np
import pytest

from suite import tables
from suite.documents import Attestation
from suite.verify import Report, verify

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "fixtures" / "golden"
THESEUS = "mini/runs/theseus/default/mrpc-11"
TIMED = "mini/measurements/majority/default/cpu-1-thread-onnx-reference-2026-11-22"


def said(title: str, report: Report, root: Path) -> str:
    """A report as the golden file has it, without where the tree lies."""
    lines = [f"== {title}", *(str(problem) for problem in report.problems), *report.notes, report.summary()]
    return "\n".join(lines).replace(str(root) + "/", "") + "\n"


def forged_run(document: dict[str, Any]) -> dict[str, Any]:
    document["score"] += 2
    document["recipe_hash"] = "sha256:" + "0" * 64
    document["training_cost"]["tflop"] = 1.0
    document["model"]["parameters"]["total"] -= 1_000_000
    document["model"]["flops_per_example"]["128"] /= 2
    document["model"]["ops"][0]["shape"] = [384, 1]
    document["environment"]["cpu"] = "/home/somebody/<b>cpu</b>\u202e"
    document["seed"] = 4711
    return document


def forged_measurement(document: dict[str, Any]) -> dict[str, Any]:
    document["ratio"]["value"] *= 10
    document["latency_ms"]["p99"] = 0.001
    document["date"] = "2026-02-31"
    document["repeat_check"]["passed"] = not document["repeat_check"]["passed"]
    return document


def everything(folder: Path) -> str:
    """All of the golden file, computed; ``folder`` is scratch."""
    parts = []

    def part(title: str, path: str, change: Any = None) -> None:
        results = folder / str(len(parts)) / "results"
        shutil.copytree(GOLDEN / "results", results)
        if change is not None:
            change(results)
        parts.append(said(title, verify(results / path), results))

    def document(place: str, name: str, forge: Any) -> Any:
        def change(results: Path) -> None:
            honest = example.read(results / place, name)
            example.forge(results / place, name, forge(copy.deepcopy(honest)))

        return change

    def shorter_table(results: Path) -> None:
        path = results / THESEUS / "predictions.parquet"
        from suite.tasks import task

        splits = tables.read_predictions(path.read_bytes(), path, task("mrpc"))
        cut = {k: tables.Split(s.row[:-1], s.scores[:-1], s.influence[:-1]) for k, s in splits.items()}
        example.forge(path.parent, path.name, tables.write_predictions(task("mrpc"), cut))

    def times_of_zero(results: Path) -> None:
        path = results / TIMED / "samples.parquet"
        columns = tables.read_samples(path.read_bytes(), path)
        columns["nanoseconds"] = np.zeros_like(columns["nanoseconds"])
        example.forge(path.parent, path.name, tables.write_samples(columns))

    part("everything", ".")
    part("one run", THESEUS)
    part("a forged run", THESEUS, document(THESEUS, "run.json", forged_run))
    part("a forged measurement", TIMED, document(TIMED, "measurement.json", forged_measurement))
    part("a run that is no JSON", THESEUS, document(THESEUS, "run.json", lambda _: b"\x80\x04."))
    part("a table that lacks a row", THESEUS, shorter_table)
    part("times of zero", TIMED, times_of_zero)
    part("an entry left out", ".", lambda r: (r / "mini/entries/theseus/default.json").unlink())
    part("code", ".", lambda r: (r / "mini" / "model.pkl").write_bytes(b"cos\nsystem\n"))
    return "\n".join(parts)


def test_verify_says_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTBOARD_GLUE", raising=False)
    assert everything(tmp_path) == (GOLDEN / "verify.txt").read_text(encoding="utf-8")


def test_nothing_is_wrong_with_the_published_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of ``results/``, however many rows there are: no problem, and nothing that a person must look at."""
    monkeypatch.delenv("LIGHTBOARD_GLUE", raising=False)
    results = ROOT / "results"
    report = verify(results)
    assert report.ok, "\n".join(str(problem) for problem in report.problems)
    assert {document.kind for document in report.documents} >= {"run", "measurement", "entry", "attestation"}
    for document in report.documents:
        scored = document.kind in ("run", "measurement")  # these where a model's answers are its own
        allowed = {"passed", "skipped: no data"} if scored else {"passed"}
        assert set(document.outcomes.values()) <= allowed, document
    unexpected = [
        note
        for note in report.notes
        if "rescored is skipped" not in note
        and "physics not checked" not in note
        and "is not checked here; it is the word of its author" not in note
        and "are in no entry" not in note
        # At full depth FastBERT is its backbone, and its ablations change what comes after that.
        and not ("/full/" in note and "/runs/fastbert" in note and "which it is related to" in note)
        # One training, ranked as a recipe of its own and beside its parent as an ablation of it.
        and not ("/runs/theseus-constant" in note and "which it is related to" in note)
    ]
    assert not unexpected, "\n".join(unexpected)
    for path in (results / "mini" / "attestations").glob("*.json"):  # old ones stay valid as documents grow
        Attestation.model_validate_json(path.read_bytes(), strict=True)


def freeze() -> None:
    """Copy the rows anew where there are none, and write down what verify says of them."""
    import tempfile

    from suite.folder import subject
    from suite.index import index

    track = GOLDEN / "results" / "mini"
    if not track.exists():
        source = ROOT / "results" / "mini"
        for name in ("majority", "reference", "theseus"):
            place = f"runs/{name}/default/mrpc-11"
            shutil.copytree(source / place, track / place)
            mark = f"{subject(source / place)[7:23]}-recounted.json"
            (track / "attestations").mkdir(exist_ok=True)
            shutil.copy(source / "attestations" / mark, track / "attestations" / mark)
        shutil.copytree(ROOT / "results" / TIMED, GOLDEN / "results" / TIMED)
        index(GOLDEN / "results")
    with tempfile.TemporaryDirectory() as folder:
        (GOLDEN / "verify.txt").write_text(everything(Path(folder)), encoding="utf-8")
    print(json.dumps({"written": str(GOLDEN / "verify.txt")}))


if __name__ == "__main__":
    sys.exit(freeze())
