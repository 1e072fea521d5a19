"""What the doctor says in plain words, and how fast runtimes multiply: held against counts made otherwise."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from test_latency import FAKE, adder, linear, profile, tiny_plan  # noqa: F401  # fixtures
from typer.testing import CliRunner

from suite import doctor, models
from suite.cli import app
from suite.documents import Measurement
from suite.errors import UserError
from suite.measure import peak, run
from suite.measure.latency import Side
from suite.measure.machine import allowed
from suite.runtimes import runtime
from suite.verify import physics, verify

IDLE: dict[str, Any] = {
    "load_1min": 0.1, "governor": "performance", "turbo": False, "smt": False, "virtual": None,
    "cgroup_cpu_limit": None, "cores": 4, "steal_percent": 0.0, "throttled": 0,
}  # fmt: skip


def test_a_machine_at_rest_has_nothing_to_mend() -> None:
    found = list(doctor.conditions(IDLE, {}))
    assert all(one.ok and not one.hint for one in found)
    assert {one.what for one in found} == {"load", "governor", "turbo"}


@pytest.mark.parametrize(
    ("told", "what", "hint"),
    [
        ({"load_1min": 3.0}, "load", "let the machine rest"),
        ({"governor": "powersave"}, "governor", "cpupower"),
        ({"cgroup_cpu_limit": 1.5}, "share of the processor", "whole cores"),
        ({"steal_percent": 4.0}, "stolen time", "another hour"),
        ({"throttled": 12}, "throttled", "cooling"),
    ],
)
def test_what_disturbs_is_said_with_what_to_do(told: dict[str, Any], what: str, hint: str) -> None:
    bad = [one for one in doctor.conditions({**IDLE, **told}, {}) if not one.ok]
    assert [one.what for one in bad] == [what] and hint in bad[0].hint


def test_what_cannot_be_mended_is_told_all_the_same() -> None:
    told = {**IDLE, "turbo": True, "smt": True, "virtual": "virtual machine", "governor": None}
    found = {one.what: one for one in doctor.conditions(told, {"OMP_NUM_THREADS": "3"})}
    assert all(one.ok for one in found.values())
    assert {"turbo", "hyper-threading", "machine", "threads"} == {w for w, one in found.items() if one.hint}
    assert "governor" not in found, "a virtual machine hides it: that is said once"
    unknown = dict.fromkeys(IDLE) | {"cores": 4}
    assert [one.what for one in doctor.conditions(unknown, {})] == ["governor"], (
        "what is not told is not guessed"
    )


def test_the_compiler_that_torch_compile_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = doctor._compiler()
    assert found.ok == (shutil.which("g++") is not None or shutil.which("clang++") is not None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (missing,) = doctor._compiler()
    assert not missing.ok and "install g++" in missing.hint
    assert runtime.__module__ and "install g++" in str(_unusable("torch_compile"))


def _unusable(name: str) -> UserError:
    with pytest.raises(UserError) as caught:
        runtime(name)
    return caught.value


def test_json_has_the_findings() -> None:
    done = CliRunner().invoke(app, ["doctor", "--quick", "--json"])
    found = {one["what"]: one for one in json.loads(done.stdout)}
    assert {"processor", "C++ compiler", "runtime onnx", "runtime torch"} <= set(found)
    assert not any(what.startswith("peak") for what in found)


# --- the peak -----------------------------------------------------------------------------------------------


def test_products_are_what_they_are_counted_as(tmp_path: Path) -> None:
    """Answers by numpy; the operations by the suite's own tracer."""
    import torch

    from suite.measure.cost import count

    config = {**peak.CONFIG, "hidden": 16, "layers": 3}
    torch.manual_seed(3)
    models.save(models.build(config), config, tmp_path)
    ids = np.arange(1, 10)[None]
    given = runtime("torch").prepare(tmp_path / "model.safetensors", 1)(ids, np.ones_like(ids), 0 * ids)
    from safetensors.numpy import load_file

    weights = load_file(tmp_path / "model.safetensors")
    x = weights["table.weight"][ids[0]]
    for _ in range(3):
        x = x @ weights["weight"].T
    assert np.allclose(given[0], x.mean(0)[:2], atol=1e-5)
    assert np.allclose(weights["weight"] @ weights["weight"].T, np.eye(16), atol=1e-5), (
        "nothing grows or dies"
    )
    assert [count(peak.CONFIG).flops(n) for n in peak.LENGTHS] == [peak.flops(n) for n in peak.LENGTHS]


def test_the_rate_is_the_best_querys(adder) -> None:  # noqa: F811
    found = peak.rate(adder("slow", sleep=0.02), tiny_plan())
    longest = max(peak.LENGTHS)
    assert found.runtime == "adder" and found.precision == "fp32"
    assert 0 < found.flop_per_second <= peak.flops(longest) / 0.02


def test_a_runtime_that_dies_has_no_rate_and_says_why(adder) -> None:  # noqa: F811
    with pytest.raises(UserError, match="killed by signal 9"):
        peak.rate(adder("dead", kill=2), tiny_plan())
    said: list[str] = []
    assert peak.of(["adder"], tiny_plan(), said.append) == []  # its model file is no model of its kind
    assert said[-1].startswith("no peak rate: ")


def test_peaks_of_real_runtimes_are_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path))
    from suite.measure.machine import cpu

    said: list[str] = []
    plan = tiny_plan(affinity=allowed()[-1:])
    monkeypatch.setattr(peak, "_SITTING", {})
    found = peak.of(["onnx", "torch", "onnx"], plan, said.append)
    assert [one.runtime for one in found] == ["onnx", "torch"] and len(said) == 2
    for one in found:
        limit = physics.peak_flops(cpu()[1], one.precision, None, 1)
        assert one.flop_per_second > 1e8
        assert limit is None or one.flop_per_second < limit
    assert peak.of(["torch"], plan, said.append) == found[1:] and len(said) == 2, "once in a sitting"


def test_a_sitting_keeps_its_best_rate_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was taken beside a busy neighbour would make what comes next look impossible."""
    clock, rates = [0.0], iter([2e9, 5e9, 3e9, 1e9])
    monkeypatch.setattr(peak, "_SITTING", {})
    monkeypatch.setattr(peak, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(peak, "measured", lambda name, plan: peak.Rate(name, "fp32", next(rates)))

    def rate_at(minute: float) -> float:
        clock[0] = 60 * minute
        (found,) = peak.of(["torch"], tiny_plan(), lambda _: None)
        return found.flop_per_second

    assert [rate_at(minute) for minute in (0, 4, 6, 12, 60)] == [2e9, 2e9, 5e9, 5e9, 1e9]


def test_a_measurement_has_its_runtimes_peaks(linear, tmp_path: Path, monkeypatch) -> None:  # noqa: F811
    """And verify looks at a side that comes too near to them."""
    given = peak.Rate("torch", "fp32", 7e9)
    monkeypatch.setattr(peak, "of", lambda names, plan, tell: [given] if "torch" in names else [])
    (folder,) = run.compare(linear, "torch", profile(), tmp_path / "results", against=["alone"])
    document = Measurement.model_validate_json((folder / "measurement.json").read_bytes(), strict=True)
    assert [vars(one) for one in map(_rate, document.peaks)] == [vars(given)]
    assert document.seconds is not None and document.seconds > 0
    from suite.verify import recounted
    from suite.verify.valid import load_measurement

    loaded, problems = load_measurement(folder)
    assert loaded is not None and not problems
    # So much arithmetic that the times amount to nearly all that the runtime reached, or to less.
    seconds = document.latency_ms.p50 / 1e3
    for share, looked_at in ((0.5, False), (1.4, True)):
        work = (round(share * 7e9 * seconds), 0, 0)
        graphs = {
            document.graph: recounted.Graph(work, frozenset({("student", "default", document.recipe_hash)}))
        }
        notes = list(recounted.too_close_to_the_peak(loaded, graphs))
        assert bool([n for n in notes if n.startswith("latency_ms: ")]) == looked_at
    assert verify(folder).ok


def _rate(one: Any) -> peak.Rate:
    return peak.Rate(one.runtime, one.precision, one.flop_per_second)


def test_documents_without_peaks_keep_their_bytes() -> None:
    stored = Path(__file__).parent / "fixtures" / "measurement-1" / "measurement.json"
    document = json.loads(stored.read_text())
    written = Measurement.model_validate_json(stored.read_bytes()).model_dump(mode="json", by_alias=True)
    assert not {"peaks", "seconds"} & set(written) and not {"peaks", "seconds"} & set(document)


@pytest.mark.parametrize(
    ("clock", "expected"),
    [(None, 64 * 6500e6), (0.0, 64 * 6500e6), (9e9, 64 * 6500e6), (2000.0, 64 * 2000e6)],
)
def test_a_hidden_clock_is_the_highest_there_is(clock: float | None, expected: float) -> None:
    assert physics.peak_flops(["avx512f"], "fp32", clock, 1) == expected
    assert physics.peak_flops([], "fp32", clock, 1) is None
    assert sys.float_info.max > expected


def test_the_side_is_named(adder) -> None:  # noqa: F811
    side: Side = adder("dead", die=1)
    with pytest.raises(UserError, match="measuring dead on adder"):
        peak.rate(side, tiny_plan())
