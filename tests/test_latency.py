"""The estimator on simulated noise and by hand; sibling processes on tiny models. No test looks at how long
anything took."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import example_results as example
import numpy as np
import pytest

from suite import models, tables
from suite.documents import Measurement
from suite.errors import UserError
from suite.index import compute
from suite.measure import estimate, latency, machine, run
from suite.measure import trace as traces
from suite.measure.answers import answers_of
from suite.measure.samples import Samples
from suite.measure.subject import Examples, ModelFolder, Subject
from suite.profile import Profile, Requires
from suite.protocol import measuring_hash
from suite.verify import verify

# --- the estimator ------------------------------------------------------------------------------------------

SIMULATIONS, PAIRS, ROUNDS, QUERIES = 1000, 6, 6, 12
TRUTH = 1.7


def autocorrelated(random, shape, rho):
    """AR(1) along the last axis, standard deviation 1."""
    noise = random.standard_normal(shape)
    for i in range(1, shape[-1]):
        noise[..., i] = rho * noise[..., i - 1] + np.sqrt(1 - rho**2) * noise[..., i]
    return noise


def simulate(seed, *, process, drift, burst, rho, shared):
    """Log-times [simulation, pair, round, side, query]. With ``shared``, what slows a process or a block
    falls on both siblings alike; without, on each by itself."""
    random = np.random.default_rng(seed)
    full = (SIMULATIONS, PAIRS, ROUNDS, 2, QUERIES)

    def both(shape):  # one draw per pair or round, or one for each of the two sides
        sides = 1 if shared else 2
        return np.broadcast_to(random.standard_normal((*shape, sides, 1)), (*shape, 2, 1))

    logs = np.zeros(full)
    logs += 0.2 * random.standard_normal((SIMULATIONS, 1, 1, 1, QUERIES))  # queries differ in length
    # Where a process' pages lie, and its layout: what fresh pairs are for. Never quite the same for both.
    logs += process * (both((SIMULATIONS, PAIRS, 1)) + 0.5 * random.standard_normal((*full[:2], 1, 2, 1)))
    slope = drift * random.standard_normal((SIMULATIONS, PAIRS, 1, 1, 1))
    logs += slope * np.linspace(0, 1, ROUNDS)[:, None, None]  # the machine heats up
    hit = both((SIMULATIONS, PAIRS, ROUNDS)) > 1.6  # other work, for a whole block, in one of 18
    logs += np.where(hit, burst, 0.0)
    logs += 0.05 * autocorrelated(random, full, rho)
    logs[..., 0, :] += np.log(TRUTH)  # the reference takes that much longer
    return logs


def as_samples(logs):
    """All simulations in one table: pair p of simulation s is pair s * PAIRS + p."""
    grid = np.indices((SIMULATIONS * PAIRS, *logs.shape[2:])).reshape(4, -1)
    times = np.round(1e7 * np.exp(logs)).astype(np.int64).reshape(-1)
    return Samples(grid[0], grid[1], grid[2], grid[3], times)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    "noise",
    [
        {"process": 0.0, "drift": 0.0, "burst": 0.0, "rho": 0.0},
        {"process": 0.03, "drift": 0.0, "burst": 0.0, "rho": 0.0},
        {"process": 0.01, "drift": 0.3, "burst": 0.0, "rho": 0.0},
        {"process": 0.01, "drift": 0.0, "burst": 0.8, "rho": 0.0},
        {"process": 0.0, "drift": 0.0, "burst": 0.0, "rho": 0.9},
        {"process": 0.03, "drift": 0.2, "burst": 0.8, "rho": 0.9},
    ],
    ids=["plain", "process", "drift", "burst", "autocorrelated", "all"],
)
def test_interval_covers_the_truth(noise, shared):
    logs = estimate.pair_log_ratios(as_samples(simulate(11, shared=shared, **noise)))
    intervals = [estimate.ratio(one).interval for one in logs.reshape(SIMULATIONS, PAIRS)]
    covered = sum(low <= TRUTH <= high for low, high in intervals)
    assert covered >= 930
    assert covered <= 985  # and it is no wider than it says


def test_an_estimate_that_pools_rounds_would_not_cover():
    """The simulation can tell: taking all rounds as independent misses the truth far too often."""
    noise = {"process": 0.03, "drift": 0.0, "burst": 0.0, "rho": 0.0}
    logs = simulate(11, shared=False, **noise)
    rounds = np.log(np.exp(logs).sum(-1))
    ratios = (rounds[..., 0] - rounds[..., 1]).reshape(SIMULATIONS, PAIRS * ROUNDS)
    intervals = [estimate.ratio(one).interval for one in ratios]
    assert sum(low <= TRUTH <= high for low, high in intervals) < 800


def by_hand(samples):
    """Ratio, computed from the definition with loops."""
    pairs = []
    for pair in sorted(set(samples.pair.tolist())):
        blocks = []
        for block in sorted({b for p, b in zip(samples.pair, samples.block, strict=True) if p == pair}):
            total = {0: 0, 1: 0}
            rows = zip(samples.pair, samples.block, samples.side, samples.nanoseconds, strict=True)
            for p, b, side, time in rows:
                if (p, b) == (pair, block):
                    total[int(side)] += int(time)
            blocks.append(np.log(total[0] / total[1]))
        pairs.append(sorted(blocks)[len(blocks) // 2])
    return float(np.exp(np.mean(pairs)))


def small(pairs=4, rounds=3, queries=5, seed=3):
    random = np.random.default_rng(seed)
    grid = np.indices((pairs, rounds, 2, queries)).reshape(4, -1)
    return Samples(*grid, random.integers(1_000_000, 3_000_000, grid.shape[1]))


def test_ratio_by_hand_in_any_order():
    samples = small()
    found = estimate.figures(samples)
    assert found.ratio.value == pytest.approx(by_hand(samples), rel=1e-12)
    assert found.ratio.pairs == 4
    shuffled = samples.where(np.ones(len(samples), bool))
    order = np.random.default_rng(0).permutation(len(samples))
    shuffled = Samples(*(column[order] for column in vars(shuffled).values()))
    assert estimate.figures(shuffled) == found


def test_two_pairs_have_no_interval():
    assert estimate.figures(small(pairs=2)).ratio.interval is None
    low, high = estimate.figures(small(pairs=3)).ratio.interval
    assert low < estimate.figures(small(pairs=3)).ratio.value < high


def test_percentiles_need_their_counts():
    few = estimate.latency(small(rounds=3, queries=21), 1)
    assert few.p90 is None and few.p90_reason == "63 queries a process, 64 needed"
    many = estimate.latency(small(rounds=4, queries=16), 1)
    assert many.p90 is not None and many.p90_reason is None
    assert many.p99 is None and many.p99_reason == "64 queries a process, 662 needed"


def test_percentiles_are_of_single_processes():
    """Two processes, one twice as slow: the median over processes, not the percentile of the mixture."""
    times = np.concatenate([np.arange(1, 101), np.arange(1, 101), 200 * np.ones(100)]) * 1_000_000
    pair = np.repeat([0, 1, 2], 100)
    one = Samples(pair, 0 * pair, 0 * pair, np.tile(np.arange(100), 3), times.astype(np.int64))
    found = estimate.latency(one, 0)
    assert found.p50 == 50.5
    assert found.p90 == 98.0  # of 100, 3 may be slower (published table): the third largest


def test_residual_is_noise_not_the_models():
    random = np.random.default_rng(5)
    grid = np.indices((6, 6, 2, 40)).reshape(4, -1)
    side, query = grid[2], grid[3]
    logs = 16 + side * (0.05 * query) + query * 0.03  # the ratio itself grows with the query's length
    quiet = np.round(np.exp(logs + 0.02 * random.standard_normal(len(side)))).astype(np.int64)
    loud = np.round(np.exp(logs + 0.2 * random.standard_normal(len(side)))).astype(np.int64)
    found = estimate.figures(Samples(*grid, quiet))
    assert found.residual == pytest.approx(0.02 * np.sqrt(2), rel=0.1)  # of the ratio of two times
    assert found.verdict == "stable"
    assert estimate.figures(Samples(*grid, loud)).verdict == "noisy"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.where(s.side == 0),
        lambda s: s.where(np.arange(len(s)) != 4),
        lambda s: replace(s, side=s.side + 1),
        lambda s: replace(s, nanoseconds=s.nanoseconds * 0),
        lambda s: replace(s, query=np.where(s.side == 1, s.query + 1, s.query)),
        lambda s: s.where(s.side == 5),
    ],
)
def test_sides_that_do_not_match_are_refused(spoil):
    with pytest.raises(ValueError, match=r"samples|side|time"):
        estimate.figures(spoil(small()))


def test_samples_survive_the_file(tmp_path):
    samples = small()
    content = tables.write_samples(vars(samples))
    again = estimate.from_columns(tables.read_samples(content, tmp_path))
    assert estimate.figures(again) == estimate.figures(samples)


# --- sibling processes --------------------------------------------------------------------------------------

FAKE = '''
"""A runtime that adds up token ids; what it does besides is in the model file."""
import json, os, time
from pathlib import Path
import numpy as np

PRECISION, SHAPES, EXPORTS = "fp32", "dynamic", False

def available(): return None
def describe(): return {"adder": "1"}
def export(model_folder, out): return Path(model_folder) / "model.safetensors"

def prepare(model_file, threads):
    wish = json.loads(Path(model_file).read_text())
    log, calls, kept = Path(wish["log"]), [0], {}
    def note(what):
        with log.open("a") as stream:
            stream.write(json.dumps({"pid": os.getpid(), "name": wish["name"], "what": what,
                                     "affinity": sorted(os.sched_getaffinity(0)),
                                     "threads": os.environ["OMP_NUM_THREADS"],
                                     "clock": time.monotonic_ns()}) + "\\n")
    note("load")
    def run(ids, mask, types):
        assert ids.dtype == mask.dtype == types.dtype == np.int64 and ids.shape == mask.shape == types.shape
        assert ids.shape[0] == 1 and mask.all()
        calls[0] += 1
        if calls[0] == wish.get("die"):
            raise RuntimeError("the adder\\nbroke")
        if calls[0] == wish.get("kill"):
            os.kill(os.getpid(), 9)
        if calls[0] == wish.get("hang"):
            note("hangs"); time.sleep(600)
        key = ids.tobytes()
        if not (wish.get("cache") and key in kept):
            time.sleep(wish.get("sleep", 0) + wish.get("token", 0) * ids.size)
        kept[key] = True
        print("adding", ids.sum())
        if wish.get("note"): note("query")
        return np.array([[ids.sum(), ids.sum() + wish.get("off", 0)]], np.float32)
    return run
'''


@pytest.fixture
def adder(tmp_path, monkeypatch):
    """A runtime named ``adder`` on the search path; gives a maker of sides."""
    folder = tmp_path / "plugins" / "runtimes"
    folder.mkdir(parents=True)
    (folder / "adder.py").write_text(textwrap.dedent(FAKE))
    monkeypatch.setenv("LIGHTBOARD_PATH", str(folder.parent))

    def make(name, adaptive=False, **wish):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({"name": name, "log": str(tmp_path / "log"), **wish}))
        return latency.Side(name, "adder", file, adaptive)

    return make


def trace(queries=24, seed=2):
    random = np.random.default_rng(seed)
    lengths = random.integers(3, 12, queries)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = random.integers(1, 90, offsets[-1]).astype(np.int32)
    return latency.Trace(ids, np.zeros(offsets[-1], np.int8), offsets)


def tiny_plan(**changes):
    cores = machine.allowed()
    plan = latency.Plan(threads=1, affinity=cores[-1:], pairs=2, rounds=2, block_seconds=0.001,
                        block_queries=8, warmup_queries=2)  # fmt: skip
    return replace(plan, **changes)


def log_of(tmp_path):
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


def test_race_times_both_sides_on_the_same_queries(adder, tmp_path):
    asked, plan, seen = trace(), tiny_plan(pairs=3), []
    outcome = latency.race(
        adder("slow", sleep=0.004, note=True), adder("quick", adaptive=True, sleep=0.001, note=True),
        asked, plan, lambda *step: seen.append(step),
    )  # fmt: skip
    samples = outcome.samples
    found = estimate.figures(samples)  # raises unless the sides match
    assert found.ratio.pairs == 3
    assert set(samples.block.tolist()) == {0, 1}
    for pair in range(3):  # each pair walks through the whole trace, in an order of its own
        mine = samples.where((samples.pair == pair) & (samples.side == 1))
        assert set(mine.query.tolist()) == set(range(len(asked)))
        assert np.bincount(mine.block).min() >= plan.block_queries
    first = [samples.query[(samples.pair == p) & (samples.side == 1)].tolist() for p in range(3)]
    assert first[0] != first[1]
    assert seen == [(done, 6) for done in range(1, 7)]
    assert outcome.repeats[1] == 1  # adaptive: never repeated
    assert outcome.peak_bytes >= outcome.baseline_bytes > 1_000_000
    for query, logits in outcome.answers:
        total = float(asked.ids[asked.offsets[query] : asked.offsets[query + 1]].sum())
        assert logits == [total, total]

    log = log_of(tmp_path)
    assert {tuple(entry["affinity"]) for entry in log} == {plan.affinity}
    assert {entry["threads"] for entry in log} == {"1"}
    assert len({entry["pid"] for entry in log}) == 6  # fresh processes for every pair
    # One runs at a time: in the order of the clock, turns of queries are whole blocks (and the pilots).
    names = [entry["name"] for entry in log if entry["what"] == "query"]
    changes = sum(one != following for one, following in pairwise(names))
    assert 3 * 2 * plan.rounds - 3 <= changes <= 3 * (2 * plan.rounds + 4) < len(names) / 4
    # Loads alternate in going first.
    order = [entry["name"] for entry in log if entry["what"] == "load"]
    assert order == ["slow", "quick", "quick", "slow", "slow", "quick"]


def test_short_units_are_repeated(adder):
    outcome = latency.race(adder("one"), adder("two"), trace(), tiny_plan())
    assert min(outcome.repeats) > 1
    assert estimate.figures(outcome.samples).ratio.value > 0


def test_the_shortest_length_is_repeated_where_each_has_its_figures(adder):
    offsets = np.cumsum([0, *([4] * 8), *([80] * 16)])  # a millisecond, and twenty
    asked = latency.Trace(np.ones(offsets[-1], np.int32), np.zeros(offsets[-1], np.int8), offsets)
    sides = adder("one", token=0.00025), adder("two", token=0.00025)
    assert latency.race(*sides, asked, tiny_plan(pairs=1)).repeats == (1, 1)
    repeats = latency.race(*sides, asked, tiny_plan(pairs=1, each_length=True)).repeats
    assert all(2 <= count <= 5 for count in repeats)
    adaptive = replace(sides[1], adaptive=True)
    assert latency.race(sides[0], adaptive, asked, tiny_plan(pairs=1, each_length=True)).repeats[1] == 1


def test_kept_answers_are_noticed(adder):
    honest = latency.race(adder("a"), adder("b", adaptive=True, sleep=0.002), trace(), tiny_plan(pairs=1))
    cheat = latency.race(
        adder("a"), adder("c", adaptive=True, sleep=0.01, cache=True), trace(), tiny_plan(pairs=1)
    )
    assert not estimate.repeat_passed(cheat.repeat_ratio)
    assert cheat.repeat_ratio > 2 * honest.repeat_ratio


@pytest.mark.parametrize(
    ("wish", "said"),
    [({"die": 5}, "status 1 at 'time': RuntimeError: the adder broke"), ({"kill": 5}, "killed by signal 9"),
     ({"die": 1}, "at 'load'")],
)  # fmt: skip
def test_a_dead_worker_is_one_line(adder, wish, said):
    with pytest.raises(UserError) as caught:
        latency.race(adder("alive"), adder("dead", **wish), trace(), tiny_plan())
    assert said in str(caught.value) and "measuring dead on adder" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.code == 1


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_ctrl_c_leaves_no_process(adder, tmp_path):
    adder("left"), adder("right", hang=6)
    code = (
        "from pathlib import Path; from suite.measure import latency; import test_latency as t\n"
        f"left, right = (Path({str(tmp_path)!r}, n + '.json') for n in ('left', 'right'))\n"
        "sides = latency.Side('left', 'adder', left), latency.Side('right', 'adder', right)\n"
        "latency.race(*sides, t.trace(), t.tiny_plan())"
    )
    home = Path(__file__).resolve().parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(home), str(home.parent)])}
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        for _ in range(600):
            if (tmp_path / "log").exists() and any(entry["what"] == "hangs" for entry in log_of(tmp_path)):
                break
            with pytest.raises(subprocess.TimeoutExpired):
                parent.wait(0.1)
        children = {entry["pid"] for entry in log_of(tmp_path)}
        assert len(children) == 2 and all(alive(pid) for pid in children)
        parent.send_signal(signal.SIGINT)
        parent.wait(30)
    finally:
        parent.kill()
    assert not any(alive(pid) for pid in children)


# --- the whole way to a document ----------------------------------------------------------------------------

TINY = {"architecture": "bert", "vocab": 120, "hidden": 16, "heads": 2, "ffn": 24, "positions": 64,
        "types": 2, "layer_norm_eps": 1e-12, "outputs": 2}  # fmt: skip


def profile(**changes):
    given = {
        "name": "tiny", "title": "Tiny", "about": "For tests.", "device": "cpu", "threads": 1, "pairs": 3,
        "blocks": 4, "block_seconds": 0.01, "runtimes": ("onnx",), "requires": Requires(cores=1),
    }  # fmt: skip
    return Profile(**{**given, **changes})


def word_tokenizer(folder):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = {"[UNK]": 0, **{f"w{i}": i for i in range(1, 120)}}
    tokenizer = Tokenizer(WordLevel(words, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return folder


@pytest.fixture
def subject(tmp_path, monkeypatch):
    """A reference of 3 layers and a student of 1, over two tasks' examples."""
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    return subject_of(tmp_path, reference={**TINY, "layers": 3}, student={**TINY, "layers": 1})


@pytest.fixture
def linear(tmp_path, monkeypatch):
    """The same without transformers, which takes each process seconds to import."""
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    config = {"architecture": "ngram", "buckets": 50, "outputs": 2}
    return subject_of(tmp_path, reference=config, student={"architecture": "constant", "outputs": 2})


def subject_of(tmp_path, **configs):
    import torch

    from suite.runtimes import runtime

    random = np.random.default_rng(7)
    parts = []
    for task in ("first", "second"):
        lengths = random.integers(4, 20, 30)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        ids = random.integers(1, 120, offsets[-1]).astype(np.int32)
        texts = [(" ".join(f"w{i}" for i in ids[a:b]),) for a, b in pairwise(offsets)]
        parts.append(Examples(task, ids, np.zeros(len(ids), np.int8), offsets, texts))
    trained = {}
    for name, config in configs.items():
        torch.manual_seed(len(name))
        folder = tmp_path / "models" / name
        model = models.build(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=0.3)
        models.save(model, config, folder)
        answer = runtime("torch").prepare(folder / "model.safetensors", 1)
        asked = traces.queries(parts[:1], 30)
        trained[name] = ModelFolder("first", folder, answers_of(answer, asked))
    return Subject(
        track="mini", recipe="student", recipe_hash="sha256:" + "0" * 64, variant="default", task=None,
        entry=trained["student"], reference=trained["reference"], examples=tuple(parts),
        tokenizer=word_tokenizer(tmp_path / "tokenizer"),
    )  # fmt: skip


def test_a_measurement_from_model_to_folder(subject, tmp_path):
    wanted = profile()
    said: list[str] = []
    (folder,) = run.compare(subject, "onnx", wanted, tmp_path / "results", count=20, progress=said.append)
    assert said[0].startswith("student/default in onnx") and any("6 of 6 rounds, 0 s left" in s for s in said)
    document = Measurement.model_validate_json((folder / "measurement.json").read_text(), strict=True)
    assert document.against == "reference"  # the reference's own runtime: alone is the same
    assert (document.runtime, document.reference_runtime, document.task) == ("onnx", "onnx", None)
    assert document.protocol == measuring_hash() and document.profile_hash == wanted.hash
    assert document.graph != document.reference_graph
    assert len(document.trace_lengths) == 20
    assert document.answers.equal and document.answers.queries >= 3
    assert document.machine.requirements == {"cores": True}
    assert len(document.machine.affinity) == 1
    assert document.memory.peak_bytes > document.memory.baseline_bytes

    content = (folder / "samples.parquet").read_bytes()
    samples = estimate.from_columns(tables.read_samples(content, folder))
    assert vars(estimate.figures(samples)) == {
        name: getattr(document, name)
        for name in ("ratio", "latency_ms", "reference_latency_ms", "residual", "verdict", "by_length")
    }
    assert document.by_length == ()
    text = (folder / "measurement.json").read_text()
    assert str(tmp_path) not in text

    written = (folder / "measurement.json").stat().st_mtime_ns
    assert run.compare(subject, "onnx", wanted, tmp_path / "results", count=20) == [folder]
    assert (folder / "measurement.json").stat().st_mtime_ns == written  # not timed twice a day


def test_another_machines_times_of_today_are_not_this_ones(linear, tmp_path):
    results, asked = tmp_path / "results", {"count": 8}
    (theirs,) = run.compare(linear, "onnx", profile(pairs=1), results, **asked)
    document = example.read(theirs, "measurement.json")
    document["machine"]["cpu"] = "Another processor"
    example.forge(theirs, "measurement.json", document)
    (ours,) = run.compare(linear, "onnx", profile(pairs=1), results, **asked)
    assert ours != theirs and ours.name.startswith(f"{theirs.name}-")
    assert example.read(theirs, "measurement.json") == document
    written = (ours / "measurement.json").stat().st_mtime_ns
    assert run.compare(linear, "onnx", profile(pairs=1), results, **asked) == [ours]
    assert (ours / "measurement.json").stat().st_mtime_ns == written
    assert run.compare(linear, "onnx", profile(pairs=1), results, again=True, **asked) == [ours]
    assert (ours / "measurement.json").stat().st_mtime_ns > written
    wrong = [p for folder in (theirs, ours) for p in verify(folder).problems]
    assert not [p for p in wrong if "the folder" in p.found]
    assert not compute(results / "mini").unreadable
    moved = ours.rename(ours.with_name(f"{theirs.name}-01234567"))
    assert [p for p in verify(moved).problems if "the folder" in p.found]


def test_time_at_each_of_the_protocols_lengths(linear, tmp_path, monkeypatch):
    monkeypatch.setattr(traces, "MAX_LENGTH", 64)
    plans, race = [], latency.race

    def watched(*given):
        plans.append(given[3])
        return race(*given)

    monkeypatch.setattr(latency, "race", watched)
    (folder,) = run.compare(linear, "onnx", profile(pairs=3), tmp_path / "results", inputs="lengths")
    assert [plan.each_length for plan in plans] == [True]
    assert "single-stream-lengths" in folder.name
    document = Measurement.model_validate_json((folder / "measurement.json").read_text(), strict=True)
    assert document.inputs == "lengths" and document.once.tokenise_seconds_per_example is None
    assert document.trace_lengths == tuple(n for n in (16, 32, 64) for _ in range(traces.PER_LENGTH))
    assert [at.tokens for at in document.by_length] == [16, 32, 64]
    samples = tables.read_samples((folder / "samples.parquet").read_bytes(), folder)
    lengths = np.array(document.trace_lengths)[samples["query"]]
    for at in document.by_length:
        logs, entry = [], []
        for pair in range(3):  # by another route: round by round, query by query
            held = {}
            for key in zip(
                *(
                    samples[c][(samples["pair"] == pair) & (lengths == at.tokens)]
                    for c in ("block", "query", "side", "nanoseconds")
                ),
                strict=True,
            ):
                held.setdefault(key[:2], {}).setdefault(int(key[2]), []).append(int(key[3]))
            entry.append(np.median([t for one in held.values() for t in one[1]]))
            logs.append(
                np.median(
                    [np.log(r / e) for one in held.values() for r, e in zip(one[0], one[1], strict=True)]
                )
            )
        assert at.ratio.value == pytest.approx(np.exp(np.mean(logs)), rel=1e-9)
        assert at.latency_ms == pytest.approx(np.median(entry) / 1e6)


def test_another_runtime_is_also_measured_alone(linear, tmp_path):
    made = run.compare(linear, "torch", profile(pairs=1), tmp_path / "results", count=8)
    documents = [json.loads((folder / "measurement.json").read_text()) for folder in made]
    assert [d["against"] for d in documents] == ["reference", "alone"]
    assert [d["reference_runtime"] for d in documents] == ["onnx", "torch"]
    assert all(d["ratio"]["interval"] is None and d["ratio"]["pairs"] == 1 for d in documents)
    assert documents[0]["graph"] == documents[1]["graph"]


def test_answers_that_are_not_the_models_are_refused(subject, tmp_path):
    wrong = replace(subject.entry, logits=subject.entry.logits[::-1].copy())
    with pytest.raises(UserError, match="another model's"):
        run.compare(replace(subject, entry=wrong), "torch", profile(), tmp_path / "results", count=8)
    assert not (tmp_path / "results").exists()


def test_the_trace_is_fixed_and_shared_between_tasks(subject):
    one, two = traces.queries(subject.examples, 20), traces.queries(subject.examples, 20)
    assert one.origin == two.origin and one.trace.hash == two.trace.hash
    assert [task for task, _ in one.origin] == ["first"] * 10 + ["second"] * 10
    for query, (task, row) in enumerate(one.origin):
        part = next(p for p in subject.examples if p.task == task)
        expected = part.ids[part.offsets[row] : part.offsets[row + 1]]
        start, end = one.trace.offsets[query : query + 2]
        assert one.trace.ids[start:end].tolist() == expected.tolist()
    assert len(traces.queries(subject.examples[:1]).origin) == 30  # all there are
    assert traces.queries(subject.examples[:1], 20).trace.hash != one.trace.hash


def test_tokenising_is_timed_without_padding(subject, monkeypatch):
    """The reference's own tokenizer.json pads to 128."""
    from suite.data import encode

    asked, tokens, real = traces.queries(subject.examples, 20), [], encode.unpadded

    def watched(tokenizer, max_length):
        tokenizer.backend_tokenizer.enable_padding(length=128)
        backend = real(tokenizer, max_length)

        def answer(*texts):
            tokens.append(len(backend.encode(*texts)))

        return SimpleNamespace(encode=answer)

    monkeypatch.setattr(encode, "unpadded", watched)
    assert traces.tokenise_seconds(subject.examples, asked, subject.tokenizer, 12) > 0
    assert tokens == [min(12, length) for length in asked.trace.lengths]


def test_more_threads_than_cores_is_said(monkeypatch):
    with pytest.raises(UserError, match="asks for 1000 threads"):
        latency.plan(profile(threads=1000))
    plan = latency.plan(profile(threads="all", pairs=6), pairs=2)
    assert plan.threads == len(machine.allowed()) and plan.pairs == 2 and plan.rounds == 2


# --- the machine --------------------------------------------------------------------------------------------


def test_machine_is_described_without_names():
    state = machine.state()
    asked = Requires(cores=10_000, memory_bytes=1, cpu_flags=("no-such-flag",), governor="no-such")
    described = machine.describe((0,), asked, state, machine.state(machine.Ticks.now()))
    assert described["requirements"] == {
        "cores": False, "memory_bytes": True, "governor": False, "cpu_flags/no-such-flag": False
    }  # fmt: skip
    assert described["memory_bytes"] > 2**27 and described["cores"] >= 1 and described["cpu"]
    words = f"{described} {state}".split()
    assert not {os.uname().nodename, os.uname().version, Path.home().name} & set(words)


def test_a_runtime_that_cannot_hold_the_model_is_told_and_left_out(linear, tmp_path, monkeypatch):
    def compare(subject, name, *arguments, **named):
        if name == "torch":
            raise UserError("runtime torch: too large")
        return [tmp_path / name]

    monkeypatch.setattr(run, "subjects", lambda *_: [linear])
    monkeypatch.setattr(run, "compare", compare)
    said: list[str] = []
    asked = {"track": "mini", "profile": "cpu-1-thread", "results": tmp_path, "progress": said.append}
    assert run.attempt("theseus", **asked).found() == [tmp_path / "onnx"]
    assert said == ["left out: runtime torch: too large"]
    with pytest.raises(UserError, match="too large"):
        run.attempt("theseus", runtime="torch", **asked).found()


def test_what_one_comparison_gave_stands_where_the_next_fails(linear, tmp_path, monkeypatch):
    def compare(subject, name, *arguments, against, **named):
        if against == ("alone",):
            raise UserError("its process was killed")
        return [tmp_path / name]

    monkeypatch.setattr(run, "subjects", lambda *_: [linear])
    monkeypatch.setattr(run, "compare", compare)
    asked = {"track": "mini", "profile": "cpu-1-thread", "results": tmp_path, "runtime": "torch"}
    made = run.attempt("theseus", **asked)
    assert made.folders == [tmp_path / "torch"]
    assert [one.reason for one in made.empty] == ["its process was killed"]
    assert not list(tmp_path.glob("*/attempts/*")), "the cell is full"
    run.attempt("theseus", against=("alone",), **asked)
    (filed,) = tmp_path.glob("*/attempts/*")
    assert "killed" in filed.read_text(), "this one was asked for by itself"
    monkeypatch.setattr(run, "compare", lambda subject, name, *_, **__: [tmp_path / name])
    run.attempt("theseus", against=("alone",), **asked)
    assert filed.exists(), "what the other comparison is empty for is not known better"
    run.attempt("theseus", **asked)
    assert not filed.exists()
