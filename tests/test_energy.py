"""Energy comes from counters or not at all: on a made-up machine's files, across a wrap, and to the document."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import example_results as example
import numpy as np
import pytest

from suite.measure import energy, latency, run
from suite.measure.worker import Worker
from suite.verify import verify

STUDENT = example.ROWS[1]


def rapl(system: Path, zone: str, name: str, value: object, wraps: int | None = 262_143_328_850) -> Path:
    folder = system / "powercap" / zone
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "energy_uj").write_text(f"{value}\n")
    if wraps is not None:
        (folder / "max_energy_range_uj").write_text(f"{wraps}\n")
    return folder / "energy_uj"


def sensor(system: Path, place: int, name: str, **files: object) -> Path:
    folder = system / "hwmon" / f"hwmon{place}"
    folder.mkdir(parents=True)
    for file, value in {"name": name, **files}.items():
        (folder / file).write_text(f"{value}\n")
    return folder


def test_packages_are_summed_and_what_holds_them_is_not(tmp_path: Path) -> None:
    rapl(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    rapl(tmp_path, "intel-rapl:0:0", "core", 600_000)
    rapl(tmp_path, "intel-rapl:1", "package-1", 2_500_000)
    rapl(tmp_path, "intel-rapl:2", "psys", 9_000_000)
    rapl(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000_000)
    sensor(tmp_path, 0, "ina238", energy1_input=7_000_000)  # the board's: it holds the packages too
    found = energy.meter("cpu", tmp_path)
    assert [counter.name for counter in found.counters] == ["RAPL package-0", "RAPL package-1"]
    assert found.read() == pytest.approx(3.5) and found.reason is None


def test_a_counter_that_wraps_goes_on(tmp_path: Path) -> None:
    register = rapl(tmp_path, "intel-rapl:0", "package-0", 9_000_000, wraps=10_000_000)
    found = energy.meter("cpu", tmp_path)
    before = found.read()
    register.write_text("1500000\n")
    after = found.read()
    assert before == pytest.approx(9.0) and after == pytest.approx(11.5)
    register.write_text("200000\n")
    assert found.read() == pytest.approx(20.2)


def test_none_is_said_with_its_reason(tmp_path: Path) -> None:
    bare = energy.meter("cpu", tmp_path)
    assert bare.counters == () and bare.read() is None
    assert bare.reason == "RAPL: the kernel shows none; INA: no such sensor"
    sensor(tmp_path, 0, "coretemp", temp1_input=40_000)
    sensor(tmp_path, 1, "ina3221", curr1_input=300, in1_input=5000)
    assert "ina3221 tells power, and no energy" in str(energy.meter("cpu", tmp_path).reason)
    sensor(tmp_path, 2, "ina238", energy1_input=3_000_000)
    assert energy.meter("cpu", tmp_path).read() == pytest.approx(3.0)


def test_a_counter_that_may_not_be_read_is_no_counter(tmp_path: Path) -> None:
    register = rapl(tmp_path, "intel-rapl:0", "package-0", 1)
    register.unlink()
    register.mkdir()  # reading it fails, for root too
    found = energy.meter("cpu", tmp_path)
    assert found.counters == () and "may not read" in str(found.reason)


def test_gpu_is_asked_for_only_where_it_computes(tmp_path: Path) -> None:
    assert "NVML" not in str(energy.meter("cpu", tmp_path).reason)
    found = energy.meter("cuda", tmp_path)
    assert found.counters or "NVML" in str(found.reason)


def test_only_the_gpu_in_use_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of a machine's two, which is the only one that this process sees; the first has no counter."""
    spent = {"GPU-second": 4_000}

    class NVMLError(Exception):
        pass

    def total(handle: str) -> int:
        if handle not in spent:
            raise NVMLError("Not Supported")
        return spent[handle]

    there = ["GPU-first", "GPU-second"]
    fake = SimpleNamespace(
        NVMLError=NVMLError, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda place: there[place], nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetIndex=there.index, nvmlDeviceGetTotalEnergyConsumption=total,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    seen = [SimpleNamespace(uuid="second")]
    monkeypatch.setattr("torch.cuda.current_device", lambda: 0)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda place: seen[place])
    found = energy.meter("cuda", tmp_path)
    assert [counter.name for counter in found.counters] == ["NVML GPU 1"] and found.read() == 4.0
    seen[0] = SimpleNamespace(uuid="first")
    assert (
        energy.meter("cuda", tmp_path).reason
        == "RAPL: the kernel shows none; NVML: Not Supported; INA: no such sensor"
    )


def test_the_worker_reads_around_what_it_times(tmp_path: Path) -> None:
    register = rapl(tmp_path, "intel-rapl:0", "package-0", 0)
    spent = 0

    def answer(ids: np.ndarray, mask: np.ndarray, types: np.ndarray) -> np.ndarray:
        nonlocal spent
        spent += 250_000
        register.write_text(str(spent))
        return np.zeros((1, 2), np.float32)

    worker = Worker()
    worker.run, worker.meter = answer, energy.meter("cpu", tmp_path)
    one = np.ones((1, 3), np.int64)
    worker.queries = [(one, one, one)] * 4
    told = worker.time([0, 1, 2, 3], 3, 2, [])
    assert told["joules"] == [0.5, 0.5 + 4 * 3 * 0.25]  # two warm-up queries came before


def outcome(blocks: list[latency.Block], reason: str | None = None) -> latency.Outcome:
    return SimpleNamespace(energy=tuple(blocks), counters=("RAPL package-0",), energy_reason=reason)


def test_joules_a_query_by_hand() -> None:
    blocks = [
        latency.Block(0, 0, 0, 10, 5.0, 9.0), latency.Block(0, 0, 1, 20, 9.5, 11.5),
        latency.Block(0, 1, 1, 20, 20.0, 23.0), latency.Block(0, 1, 0, 10, 30.0, 36.0),
    ]  # fmt: skip
    found = run.joules(outcome(blocks))["energy"]
    assert found.reference_joules_per_query == pytest.approx((4 + 6) / 20)
    assert found.joules_per_query == pytest.approx((2 + 3) / 40)
    assert run.joules(outcome([], "none here")) == {"energy_reason": "none here"}
    back = [*blocks, latency.Block(1, 0, 1, 20, 9.0, 1.0)]
    assert run.joules(outcome(back)) == {"energy_reason": "RAPL package-0: a counter ran back"}


def test_joules_are_recomputed_and_belong_to_the_timed_blocks(tmp_path: Path) -> None:
    folder = example.add_measurement(tmp_path / "results", STUDENT)
    document = example.read(folder, "measurement.json")
    samples = example.samples_of(STUDENT, "reference")
    timed: dict[tuple[int, int, int], int] = {}
    for key in zip(*(np.asarray(samples[c]).tolist() for c in ("pair", "block", "side")), strict=True):
        timed[key] = timed.get(key, 0) + 1
    blocks = [
        {"pair": p, "block": b, "side": s, "queries": n * document["repeats"], "start_joules": 1.0,
         "end_joules": 1.0 + n * document["repeats"] * (0.5 if s == 0 else 0.125)}
        for (p, b, s), n in timed.items()
    ]  # fmt: skip
    given = {"counters": ["RAPL package-0"], "blocks": blocks, "joules_per_query": 0.125,
             "reference_joules_per_query": 0.5}  # fmt: skip

    def wrong(**changes: object) -> set[str]:
        example.forge(folder, "measurement.json", {**document, "energy": {**given, **changes}})
        return {problem.field for problem in verify(folder).problems}

    assert wrong() == set()
    assert wrong(joules_per_query=0.1) == {"energy.joules_per_query"}
    assert wrong(blocks=blocks[1:]) >= {"energy.blocks"}
    halved = [{**one, "queries": one["queries"] // 2} if one["side"] == 1 else one for one in blocks]
    assert any(field.endswith(".queries") for field in wrong(blocks=halved, joules_per_query=0.25))
    example.forge(folder, "measurement.json", {**document, "energy": given, "energy_reason": "none"})
    assert "energy_reason" in {problem.field for problem in verify(folder).problems}
