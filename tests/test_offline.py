"""The whole trace at once: batches by hand, a pilot that meets its limit, and the way to a verified document."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_latency import TINY, linear, profile, subject_of, tiny_plan, trace  # noqa: F401  # a fixture

from suite import stored, tables
from suite.documents import AtBatch, Measurement
from suite.errors import UserError
from suite.measure import estimate, latency, offline, run
from suite.measure.subject import Subject
from suite.measure.worker import Worker, in_batches, padded
from suite.verify import verify

# --- batches ------------------------------------------------------------------------------------------------


def test_batches_are_sorted_and_lose_nobody() -> None:
    lengths = [3, 9, 4, 9, 1, 7, 2]
    made = in_batches(lengths, 3)
    assert [[lengths[row] for row in rows] for rows in made] == [[9, 9, 7], [4, 3, 2], [1]]
    assert sorted(row for rows in made for row in rows) == list(range(7))
    # 9+9+9 for 25 tokens, 4+4+4 for 9, 1 for 1
    assert estimate.padding(lengths, 3) == pytest.approx((27 + 12 + 1) / 35 - 1)
    assert estimate.padding(lengths, 1) == 0


def test_padding_is_zero_in_ids_mask_and_segments() -> None:
    long, short = (np.arange(1, n + 1)[None] for n in (5, 2))
    ids, mask, types = padded(
        [(long, np.ones_like(long), long * 0 + 1), (short, np.ones_like(short), short * 0)]
    )
    assert ids.tolist() == [[1, 2, 3, 4, 5], [1, 2, 0, 0, 0]]
    assert mask.tolist() == [[1] * 5, [1, 1, 0, 0, 0]]
    assert types.tolist() == [[1] * 5, [0] * 5]


def test_every_query_gets_its_own_answer_and_its_share_of_the_time() -> None:
    asked = trace(20)
    worker = Worker()
    from suite.measure.energy import Meter
    from suite.measure.worker import split

    worker.queries = split(asked.ids, asked.types, asked.offsets)
    worker.meter = Meter((), "none")
    seen: list[int] = []

    def answer(ids: np.ndarray, mask: np.ndarray, types: np.ndarray) -> np.ndarray:
        seen.append(len(ids))
        return np.stack([ids.sum(1), mask.sum(1)], 1).astype(np.float32)

    worker.run = answer
    told = worker.batched(8, 2, [0, 7, 19])
    assert seen == [8, 8, 8, 4, 8, 8, 4]  # a first batch of the longest, not timed, then two passes
    assert len(told["nanoseconds"]) == 20 and min(told["nanoseconds"]) >= 1
    for row, logits in zip([0, 7, 19], told["answers"], strict=True):
        part = asked.ids[asked.offsets[row] : asked.offsets[row + 1]]
        assert logits == [float(part.sum()), float(len(part))]
    assert told["joules"] == [None, None]


def test_a_devices_time_of_a_batch_is_no_querys() -> None:
    from suite.measure.energy import Meter
    from suite.measure.worker import split

    class Clocked:
        def __init__(self) -> None:
            self.calls: list[int] = []

        def __call__(self, ids: np.ndarray, mask: np.ndarray, types: np.ndarray) -> np.ndarray:
            self.calls.append(1000 * len(ids))
            return np.zeros((len(ids), 2), np.float32)

        def device_nanoseconds(self) -> list[int]:
            calls, self.calls = self.calls, []
            return calls

    asked, worker = trace(20), Worker()
    worker.queries, worker.meter = split(asked.ids, asked.types, asked.offsets), Meter((), "none")
    worker.run = clocked = Clocked()
    assert worker.batched(8, 2, [])["device_nanoseconds"] == []
    assert clocked.calls == [], "none is left to be taken for another block's"
    assert worker.time([0, 1], 1, 1, [])["device_nanoseconds"] == [1000, 1000]


# --- the pilot ----------------------------------------------------------------------------------------------

NARROW = '''
"""A runtime with memory for batches of a certain size."""
import json, time
from pathlib import Path
import numpy as np
PRECISION, SHAPES, EXPORTS = "fp32", "dynamic", False
def available(): return None
def describe(): return {"narrow": "1"}
def export(model_folder, out): return Path(model_folder) / "model.safetensors"
def prepare(model_file, threads):
    wish = json.loads(Path(model_file).read_text())
    def run(ids, mask, types):
        if len(ids) > wish["most"]:
            raise MemoryError(f"{ids.size} tokens at once")
        time.sleep(wish["call"] + len(ids) * wish["each"])
        return np.stack([ids.sum(1), mask.sum(1)], 1).astype(np.float32)
    return run
'''


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    folder = tmp_path / "plugins" / "runtimes"
    folder.mkdir(parents=True)
    (folder / "narrow.py").write_text(textwrap.dedent(NARROW))
    monkeypatch.setenv("LIGHTBOARD_PATH", str(folder.parent))

    def make(name: str, most: int, call: float = 0.002, each: float = 0.0001) -> latency.Side:
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({"most": most, "call": call, "each": each}))
        return latency.Side(name, "narrow", file)

    return make


def test_the_ladder_ends_where_memory_does(narrow: object) -> None:
    said: list[str] = []
    steps = offline.pilot(narrow("some", most=10), trace(24), tiny_plan(), said.append)  # type: ignore[operator]
    assert [step.batch for step in steps] == [1, 8, 32, 128]
    assert [len(step.seconds) for step in steps] == [offline.PASSES, offline.PASSES, 0, 0]
    assert "MemoryError" in str(steps[2].reason) and "tokens at once" in str(steps[2].reason)
    assert steps[3].reason == "not tried: a batch of 32 did not run"
    assert estimate.best_batch(steps) == 8  # 3 calls of 2 ms instead of 24
    assert any("trying batches of 8" in line for line in said)
    with pytest.raises(UserError, match="tokens at once"):
        offline.pilot(narrow("none", most=0), trace(24), tiny_plan(), said.append)  # type: ignore[operator]


def test_each_side_runs_at_its_own_batch(narrow: object) -> None:
    sides = narrow("one", most=1), narrow("many", most=999)  # type: ignore[operator]
    outcome = latency.race(*sides, trace(24), tiny_plan(), batches=(1, 32))
    samples = outcome.samples
    for pair in range(2):
        for round_ in range(2):
            for side in (0, 1):
                here = samples.where(
                    (samples.pair == pair) & (samples.block == round_) & (samples.side == side)
                )
                assert here.query.tolist() == list(range(24))  # a block is the whole trace
    found = estimate.figures(samples, arrival="offline")
    assert found.latency_ms.p50 is None and "in batches" in str(found.latency_ms.p50_reason)
    assert found.ratio.value > 2  # 24 calls of 2 ms against one
    assert {query for query, _ in outcome.answers} <= set(range(24))


def test_of_equally_quick_batches_the_smaller() -> None:
    steps = [AtBatch(batch=1, seconds=(2.0, 3.0)), AtBatch(batch=8, seconds=(1.0, 2.0)),
             AtBatch(batch=32, seconds=(1.5,)), AtBatch(batch=128, reason="full")]  # fmt: skip
    assert estimate.best_batch(steps) == 8
    with pytest.raises(ValueError, match="no batch"):
        estimate.best_batch(steps[3:])


# --- to the document ----------------------------------------------------------------------------------------


def test_an_offline_measurement_is_recomputed_from_its_evidence(
    linear: object,  # noqa: F811
    tmp_path: Path,
) -> None:
    import example_results as example

    (folder,) = run.compare(
        linear, "onnx", profile(pairs=2), tmp_path / "results", arrival="offline", count=40
    )
    assert "offline-trace" in folder.name
    document = Measurement.model_validate_json((folder / "measurement.json").read_text(), strict=True)
    assert document.offline is not None and document.arrival == "offline" and document.answers.equal
    assert [step.batch for step in document.offline.ladder] == [1, 8, 32, 128]
    assert document.threads == 1 and (document.energy is not None or document.energy_reason)
    samples = tables.read_samples((folder / "samples.parquet").read_bytes(), folder)
    rates = []
    for pair in range(2):  # by another route: a sum over rows
        times = [
            int(ns)
            for p, s, ns in zip(samples["pair"], samples["side"], samples["nanoseconds"], strict=True)
            if (int(p), int(s)) == (pair, 1)
        ]
        rates.append(len(times) / (sum(times) / 1e9))
    assert document.offline.queries_per_second == pytest.approx((rates[0] + rates[1]) / 2)
    quickest = min(document.offline.ladder, key=lambda step: (np.median(step.seconds), step.batch))
    assert document.offline.batch == quickest.batch

    def wrong(**changes: object) -> set[str]:
        content = json.loads((folder / "measurement.json").read_text())
        content["offline"] |= changes
        copy = tmp_path / "copy" / "mini" / stored.measurement_location(document)
        if not copy.exists():
            copy.mkdir(parents=True)
            (copy / "samples.parquet").write_bytes((folder / "samples.parquet").read_bytes())
        example.forge(copy, "measurement.json", content)
        return {problem.field for problem in verify(copy).problems}

    assert wrong() == set()
    raw = json.loads((folder / "measurement.json").read_text())["offline"]
    other = next(step.batch for step in document.offline.ladder if step.batch != document.offline.batch)
    assert "offline.batch" in wrong(batch=other)
    assert wrong(queries_per_second=1.0) == {"offline.queries_per_second"}
    assert wrong(padding=0.5) == {"offline.padding"}
    assert "offline.ladder" in wrong(ladder=raw["ladder"][:-1])
    silent = [*raw["ladder"][:-1], {**raw["ladder"][-1], "seconds": [], "queries_per_second": None}]
    assert "offline.ladder.3" in wrong(ladder=silent)


OTHERWISE = """
from suite.runtimes import onnx as real
PRECISION, SHAPES = "fp32", "dynamic"
available, describe, export = real.available, real.describe, real.export
def prepare(model_file, threads):
    answer = real.prepare(model_file, threads)
    return lambda *query: answer(*query) + (len(query[0]) > 1)
"""


def test_answers_that_are_others_in_batches_leave_the_cell_empty_with_the_reason(
    linear: Subject,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "plugins" / "runtimes").mkdir(parents=True)
    (tmp_path / "plugins" / "runtimes" / "otherwise.py").write_text(OTHERWISE)
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path / "plugins"))
    monkeypatch.setattr(offline, "LADDER", (8,))
    monkeypatch.setattr(run, "subjects", lambda *_: [linear])
    monkeypatch.setattr(run, "load_profile", lambda _: profile(pairs=1, runtimes=("otherwise",)))
    results = tmp_path / "results"
    asked = {"track": "mini", "profile": "tiny", "variant": "default", "against": ("reference",)}
    made = run.attempt("student", results=results, arrival="offline", **asked)
    assert made.folders == [] and not list(results.glob("**/measurement.json"))
    assert "while it was timed its answers differed" in made.empty[0].reason
    (filed,) = results.glob("*/attempts/*.json")
    assert json.loads(filed.read_text())["reason"] == made.empty[0].reason


def test_offline_asks_the_trace_alone(linear: object, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(UserError, match="offline asks the trace"):
        run.compare(linear, "onnx", profile(), tmp_path, arrival="offline", inputs="lengths")


@pytest.fixture
def leaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """A student of 3 layers whose examples leave after the first, against a reference of 3."""
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    early = {
        **TINY,
        "architecture": "fastbert",
        "layers": 3,
        "classifier": 8,
        "branches": True,
        "speed": 0.999,
    }
    made = subject_of(tmp_path, reference={**TINY, "layers": 3}, student=early)
    return replace(made, adaptive=True, task="first", examples=made.examples[:1])


@pytest.mark.slow
def test_early_exit_shrinks_its_batches_and_shows_its_worst_case(
    leaving: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "LADDER", (8,))
    wanted, results = profile(pairs=1), tmp_path / "results"
    asked = {"against": ("reference",), "count": 16}
    (folder,) = run.compare(leaving, "torch", wanted, results, arrival="offline", **asked)
    document = Measurement.model_validate_json((folder / "measurement.json").read_text())
    assert document.offline is not None and document.offline.leaving == "compaction"
    assert document.answers.equal and document.task == "first" and document.worst_case is None
    (folder,) = run.compare(leaving, "torch", wanted, results, **asked)
    document = Measurement.model_validate_json((folder / "measurement.json").read_text())
    assert document.worst_case is not None and document.worst_case.latency_ms > 0
    assert document.repeats == 1 and document.offline is None
