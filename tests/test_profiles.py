"""Profiles: which machine one is of, what it asks of a measurement, and what stands beside the ratio."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import example_results as example
import numpy as np
import pytest
from test_latency import adder, linear, profile, subject, tiny_plan, trace  # noqa: F401  # fixtures

from suite import loading, paths, stored
from suite.documents import Measurement
from suite.errors import UserError
from suite.measure import estimate, extras, latency, machine, run
from suite.measure.subject import ModelFolder, Subject
from suite.profile import Profile, Requires
from suite.runtimes import device_of
from suite.verify import verify

STUDENT = next(row for row in example.ROWS if row.recipe == "student")

try:
    import torch

    HAS_GPU = torch.cuda.is_available()
except ImportError:
    HAS_GPU = False
with_gpu = pytest.mark.skipif(not HAS_GPU, reason="no CUDA device that PyTorch can use")


# --- profiles -----------------------------------------------------------------------------------------------


def test_published_profiles_keep_the_hashes_that_measurements_carry() -> None:
    """New fields are written only where they are used, so rows measured before them stay accepted."""
    known = {
        "cpu-1-thread": "sha256:548941fd43b646911c0435fdf9d5cabc6b6a8b6d1b52a666b57be33ce07eead6",
        "cpu-all-cores": "6c11b936b",
        "quick": "202321cd3",
    }
    for name, digest in known.items():
        assert digest in loading.load_profile(name).hash


def test_every_profile_says_who_fills_it() -> None:
    found = {one.name: one for one in loading.profiles()}
    boards = {"raspberry-pi-4", "raspberry-pi-5", "jetson-orin-nano", "android-termux"}
    assert boards | {"gpu", "edge-emulated", "cpu-1-thread", "cpu-all-cores"} <= set(found)
    for name in boards:
        one = found[name]
        assert one.kit and one.runtimes == ("onnx",) and one.requires.architecture == "aarch64"
        assert one.requires.device_model or one.requires.system
    edge = found["edge-emulated"]
    assert edge.emulated and "emulated" in edge.title and edge.memory_limit_bytes and edge.threads == 1
    for one in found.values():  # a runtime on another device would not be that profile's
        devices = {device_of(paths.load_module("runtimes", name)) for name in one.runtimes}
        assert devices == {one.device}, one.name
        if one.reference_runtime:
            assert one.reference_runtime in one.runtimes


@pytest.mark.parametrize(
    ("requires", "here", "said"),
    [
        ({"device_model": "Raspberry Pi 5"}, "Raspberry Pi 5 Model B Rev 1.0", None),
        ({"device_model": "Raspberry Pi 4"}, "Raspberry Pi 5 Model B Rev 1.0", "device model Raspberry Pi 4"),
        ({"device_model": "Raspberry Pi 4"}, None, "device model Raspberry Pi 4"),
        ({"architecture": "no-such"}, None, "architecture no-such"),
        ({"system": "windows"}, None, "system windows"),
        ({}, None, None),
    ],
)
def test_a_machine_that_a_profile_is_not_of_is_refused_in_one_line(
    requires: dict[str, str], here: str | None, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "device_model", lambda: here)
    wanted = profile(requires=Requires(**requires), kit=True)
    if said is None:
        run.fits(wanted)
        return
    with pytest.raises(UserError) as caught:
        run.fits(wanted)
    assert (
        said in str(caught.value) and "lightboard kit" in str(caught.value) and "\n" not in str(caught.value)
    )
    held = machine.requirements(wanted.requires, machine.state())
    assert held == {next(iter(requires)): False}


def test_a_kits_requirements_need_only_the_fields_it_has() -> None:
    old = SimpleNamespace(memory_bytes=1, cores=1, cpu_flags=(), governor=None, max_load_1min=None)
    assert machine.requirements(old, machine.state()) == {"memory_bytes": True, "cores": True}  # type: ignore[arg-type]
    given = SimpleNamespace(name="old", requires=old, device="cpu", threads=1, pin=True, pairs=1, blocks=2,
                            block_seconds=0.1, block_queries=8, warmup_queries=2)  # fmt: skip
    assert machine.unfit(given) is None  # type: ignore[arg-type]
    assert latency.plan(given).memory_limit is None  # type: ignore[arg-type]


def test_a_published_profiles_claims_are_checked(tmp_path: Path) -> None:
    folder = example.add_measurement(tmp_path / "results", STUDENT)
    document = example.read(folder, "measurement.json")

    def wrong(name: str, **changes: object) -> set[str]:
        given = {**document, "profile": name, "profile_hash": loading.load_profile(name).hash, **changes}
        place = (
            tmp_path / name / example.TRACK / stored.measurement_location(Measurement.model_validate(given))
        )
        if not place.exists():
            place.mkdir(parents=True)
            (place / "samples.parquet").write_bytes((folder / "samples.parquet").read_bytes())
        example.forge(place, "measurement.json", given)
        fields = {problem.field for problem in verify(place).problems}
        return fields - {"pair", "block", "query"}  # the example has fewer than these profiles ask for

    assert wrong("cpu-1-thread") == set()
    assert wrong("raspberry-pi-4") == {
        "machine.affinity",
        "machine.requirements.architecture",
        "machine.requirements.device_model",
    }
    here = {
        **document["machine"],
        "affinity": [0, 1, 2, 3],
        "requirements": {"architecture": True, "device_model": True},
    }
    assert wrong("raspberry-pi-4", machine=here) == set()
    assert wrong("edge-emulated") == {"memory.limit_bytes"}
    limited = {**document["memory"], "limit_bytes": 2**29}
    assert wrong("edge-emulated", memory=limited) == {"memory.limited_by"}
    assert wrong("edge-emulated", memory={**limited, "limited_by": "RLIMIT_DATA"}) == set()
    on_gpu = {**document["machine"], "accelerator": "A GPU, driver 1"}
    assert wrong("cpu-1-thread", machine=on_gpu) == {"machine.accelerator"}
    assert wrong("gpu", machine=on_gpu) == {"reference_runtime", "runtime"}
    times = {"nanoseconds": [3_000_000, 1_000_000, 2_000_000], "reference_nanoseconds": [8_000_000],
             "latency_ms": 2.0, "reference_latency_ms": 8.0}  # fmt: skip
    gpu = {"machine": on_gpu, "runtime": "torch_cuda", "reference_runtime": "torch_cuda"}
    assert wrong("gpu", **gpu, device_time=times) == set()
    assert wrong("gpu", **gpu, device_time={**times, "latency_ms": 1.0}) == {"device_time.latency_ms"}


def test_the_site_lists_profiles_that_wait_for_a_device(tmp_path: Path) -> None:
    from suite.board.build import build

    results = example.build(tmp_path / "results")
    build(results, tmp_path / "site")
    page = (tmp_path / "site" / "hardware" / "raspberry-pi-5.html").read_text()
    assert "No device has answered yet" in page and "Raspberry Pi 5" in page
    listed = (tmp_path / "site" / "hardware.html").read_text()
    assert "hardware/jetson-orin-nano.html" in listed and "Edge board (emulated)" in listed
    edge = (tmp_path / "site" / "hardware" / "edge-emulated.html").read_text()
    assert "No machine has answered yet" in edge and "Emulated:" in edge


# --- the GPU ------------------------------------------------------------------------------------------------


def test_what_nvidia_smi_tells() -> None:
    told = "NVIDIA H100 80GB HBM3, 570.86.15, 34, 1980, 0x0000000000000004\n"
    assert machine.read_gpu(told) == {
        "accelerator": "NVIDIA H100 80GB HBM3, driver 570.86.15", "accelerator_celsius": 34.0,
        "accelerator_mhz": 1980.0, "accelerator_throttled": True,
    }  # fmt: skip
    idle = machine.read_gpu("Orin, 540.4, [N/A], [N/A], 0x0000000000000001")
    assert idle is not None and idle["accelerator_celsius"] is None and idle["accelerator_throttled"] is False
    assert machine.read_gpu("") is None and machine.read_gpu("No devices were found") is None


@pytest.mark.skipif(HAS_GPU, reason="there is a CUDA device")
def test_without_a_gpu_it_is_one_line(linear: object, tmp_path: Path) -> None:  # noqa: F811
    for name in ("torch_cuda", "torch_bf16_cuda", "torch_compile_cuda"):
        reason = paths.load_module("runtimes", name).available()
        assert reason and "CUDA" in reason and "\n" not in reason
    with pytest.raises(UserError, match=r"profile gpu: it asks for an NVIDIA GPU|CUDA"):
        run.attempt("reference", track="mini", profile="gpu", results=tmp_path)
    with pytest.raises(UserError, match="is of cuda; runtime onnx runs on cpu"):
        run.compare(linear, "onnx", loading.load_profile("gpu"), tmp_path)


def test_the_profiles_reference_runtime_is_everyones_reference() -> None:
    gpu = loading.load_profile("gpu")
    assert run._comparisons("torch_cuda", ("reference", "alone"), gpu) == {"reference": "torch_cuda"}
    expected = {"reference": "torch_cuda", "alone": "torch_bf16_cuda"}
    assert run._comparisons("torch_bf16_cuda", ("reference", "alone"), gpu) == expected
    assert run._comparisons("torch", ("reference", "alone"), profile()) == {
        "reference": "onnx",
        "alone": "torch",
    }


@with_gpu
@pytest.mark.parametrize("name", ["torch_cuda", "torch_bf16_cuda", "torch_compile_cuda"])
def test_a_gpu_answers_with_its_own_clock_and_memory(
    name: str,
    subject: Subject,  # noqa: F811
    tmp_path: Path,
) -> None:
    wanted = profile(device="cuda", pairs=1, runtimes=(name,), reference_runtime="torch_cuda")
    folder = run.compare(subject, name, wanted, tmp_path / "results", count=16, against=("reference",))[0]
    document = Measurement.model_validate_json((folder / "measurement.json").read_text(), strict=True)
    assert document.device_time is not None and document.device_time.latency_ms > 0
    assert document.device_time.latency_ms < document.latency_ms.p50  # copies and launches are outside it
    assert document.memory.device_allocated_bytes and document.machine.accelerator
    assert document.answers.equal


# --- beside the ratio ---------------------------------------------------------------------------------------


@pytest.mark.skipif(len(machine.allowed()) < 2, reason="two streams need two cores")
def test_two_streams_run_at_once_on_two_cores(adder, tmp_path: Path) -> None:  # noqa: F811
    side = adder("stream", sleep=0.004, note=True)
    found = extras.streams(side, trace(), tiny_plan(), machine.allowed(), 1)
    assert found.streams == 2 and len(found.alone_ms) == len(found.together_ms) == extras.ROUNDS
    # Sleeping costs no core: two streams answer twice as much as one, neither pays.
    assert found.slowdown == pytest.approx(1, abs=0.5)
    assert found.queries_per_second == pytest.approx(2000 / np.median(found.together_ms))
    log = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    queries = [entry for entry in log if entry["what"] == "query"]
    assert len({tuple(entry["affinity"]) for entry in queries}) == 2
    turns = sum(a["pid"] != b["pid"] for a, b in itertools.pairwise(queries))
    assert turns > 4 * extras.ROUNDS  # interleaved, where one at a time would change 3 times a round
    with pytest.raises(UserError, match="as many cores"):
        extras.streams(side, trace(), tiny_plan(), machine.allowed()[:1], 1)


def test_a_run_that_inherits_is_spot_checked(linear: Subject, tmp_path: Path) -> None:  # noqa: F811
    import shutil

    other = tmp_path / "models" / "other"
    shutil.copytree(linear.entry.folder, other)
    twin = ModelFolder("second", other, linear.entry.logits)
    stranger = ModelFolder("third", linear.reference.folder, linear.reference.logits)
    (folder,) = run.compare(
        replace(linear, others=(stranger, twin)), "onnx", profile(pairs=1), tmp_path / "results", count=8
    )
    document = Measurement.model_validate_json((folder / "measurement.json").read_text(), strict=True)
    assert document.spot_check is not None and document.spot_check.task == "second"  # not the other graph
    assert document.spot_check.passed == (abs(document.spot_check.ratio - 1) <= 0.1)
    assert estimate.spot_check("x", 1.2).passed is False


def test_what_fails_beside_a_race_does_not_lose_it(
    linear: Subject,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An exporter raises whatever it likes, here on the model that is spot-checked."""

    def exported(*_: object) -> Path:
        raise ValueError("no kernel for this\noperator in /opt/kernels/table.bin")

    monkeypatch.setattr(run, "exported", exported)
    said: list[str] = []
    twin = replace(linear, others=(linear.entry,))
    (folder,) = run.compare(
        twin, "onnx", profile(pairs=1), tmp_path / "results", count=8, progress=said.append
    )
    assert example.read(folder, "measurement.json").get("spot_check") is None
    assert "no spot check: no kernel for this operator in table.bin" in said


def test_streams_and_spot_checks_are_recomputed(tmp_path: Path) -> None:
    folder = example.add_measurement(tmp_path / "results", STUDENT)
    document = example.read(folder, "measurement.json")

    def wrong(**more: object) -> set[str]:
        example.forge(folder, "measurement.json", {**document, **more})
        return {problem.field for problem in verify(folder).problems}

    streams = {"streams": 2, "alone_ms": [2.0, 2.0, 4.0], "together_ms": [3.0, 4.0, 4.0],
               "queries_per_second": 500.0, "slowdown": 1.5}  # fmt: skip
    assert wrong(streams=streams) == set()
    assert wrong(streams={**streams, "queries_per_second": 900.0}) == {"streams.queries_per_second"}
    assert wrong(streams={**streams, "slowdown": 1.0}) == {"streams.slowdown"}
    assert wrong(streams={**streams, "alone_ms": [2.0]}) != set()
    check = {"task": "mood", "ratio": 1.3, "passed": False}
    assert wrong(spot_check=check) == set()
    assert wrong(spot_check={**check, "passed": True}) == {"spot_check.passed"}


# --- names --------------------------------------------------------------------------------------------------


def test_an_entry_is_named_as_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "mini" / "runs" / "student").mkdir(parents=True)
    assert stored.named("mini/student", None, "small", tmp_path) == ("mini", "student", "small")
    assert stored.named("demo/student/small", None, None, tmp_path) == ("demo", "student", "small")
    assert stored.named("student/small", None, None, tmp_path) == ("mini", "student", "small")
    assert stored.named("student", None, None, tmp_path) == ("mini", "student", None)
    assert stored.named("student", "base", "small", tmp_path) == ("base", "student", "small")
    for name, track in (("a/b/c/d", None), ("demo/student/small", "mini"), ("other", None), ("/", "mini")):
        with pytest.raises(UserError):
            stored.named(name, track, None, tmp_path)


def test_temperature_and_throttling_are_read_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpus = tmp_path / "cpu"
    for core, count in enumerate((3, 4)):
        folder = cpus / f"cpu{core}" / "thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "core_throttle_count").write_text(str(count))
    monkeypatch.setattr(machine, "_CPUS", cpus)
    assert machine.state()["throttled"] == 7


def test_a_profile_with_a_runtime_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="each once"):
        profile(optional_runtimes=("onnx",))
    assert isinstance(profile(optional_runtimes=("not_here",)), Profile)
