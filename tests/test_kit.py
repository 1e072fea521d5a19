"""The device kit: it runs with numpy and onnxruntime alone, and what comes back is believed only when it holds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from test_latency import TINY, profile, subject_of

from suite.documents import Measurement
from suite.errors import UserError
from suite.measure import device, latency
from suite.measure.kit import bundle, file, pack, program
from suite.verify import verify

# A device has none of these: importing one there ends the program.
BARE = """
import sys, runpy
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "pydantic", "psutil", "pandas", "scipy", "sklearn", "yaml",
                                  "rich", "typer", "safetensors", "filelock", "datasets", "evaluate", "pyarrow"}:
            raise ImportError(f"{name} is not on a bare device")
sys.meta_path.insert(0, Absent())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked kit of a one-layer student against a three-layer reference."""
    folder = tmp_path_factory.mktemp("kit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOARD_STORE", str(folder / "store"))
        subject = subject_of(folder, reference={**TINY, "layers": 3}, student={**TINY, "layers": 1})
        made = bundle(subject, profile(), folder / "kit.zip")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(folder / "device")
    return folder / "device"


def on_device(kit: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", BARE, str(kit / "measure.pyz"), *arguments],
        cwd=kit, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def answer(kit: Path) -> Path:
    done = on_device(kit)
    assert done.returncode == 0, done.stderr
    assert "send answer.json back" in done.stdout
    return kit / "answer.json"


def test_a_kit_is_what_its_readme_says(kit: Path) -> None:
    expected = {"README.txt", "kit.json", "measure.pyz", "trace.npz", "expected.npz"}
    assert expected | {"entry.onnx", "reference.onnx"} <= {path.name for path in kit.iterdir()}
    lines = (kit / "README.txt").read_text().splitlines()
    assert len(lines) == 5 and "student/default" in lines[0]
    assert program() == (kit / "measure.pyz").read_bytes(), "the same program has the same bytes"


def test_a_device_answer_becomes_a_measurement(answer: Path, tmp_path: Path) -> None:
    folder = file(answer, tmp_path / "results")
    document = Measurement.model_validate_json((folder / "measurement.json").read_bytes(), strict=True)
    assert (document.recipe, document.runtime, document.against) == ("student", "onnx", "reference")
    assert document.ratio.value > 1, "one layer answers sooner than three"
    assert document.answers.equal and document.answers.queries >= 3
    assert document.once.tokenise_seconds_per_example is None
    assert [(one.runtime, one.precision) for one in document.peaks] == [("onnx", "fp32")]
    assert document.threads == 1 and document.seconds > 0
    assert (document.energy is None) == bool(document.energy_reason), "counters were looked for"
    assert verify(folder).ok
    with pytest.raises(UserError, match="there already"):
        file(answer, tmp_path / "results")
    other = json.loads(answer.read_text())
    other["machine"]["cpu"] = "Another processor"
    (tmp_path / "other.json").write_text(json.dumps(other))
    second = file(tmp_path / "other.json", tmp_path / "results")
    assert second != folder and verify(second).ok, "another machine's answer of the same day"


def test_joules_that_a_device_counted_are_filed(answer: Path, tmp_path: Path) -> None:
    document = json.loads(answer.read_text())
    columns = [document["samples"][name] for name in ("pair", "block", "side")]
    blocks = [
        {"pair": p, "block": b, "side": s, "queries": n * (document["repeats"] if s else 1),
         "start_joules": 1.0, "end_joules": 1.0 + n * (0.25 * document["repeats"] if s else 2.0)}
        for (p, b, s), n in Counter(zip(*columns, strict=True)).items()
    ]  # fmt: skip
    document |= {"counters": ["RAPL package-0"], "energy": blocks, "energy_reason": None}
    (tmp_path / "answer.json").write_text(json.dumps(document))
    folder = file(tmp_path / "answer.json", tmp_path / "results")
    found = Measurement.model_validate_json((folder / "measurement.json").read_bytes(), strict=True)
    assert found.energy is not None and found.energy.counters == ("RAPL package-0",)
    assert found.energy.joules_per_query == pytest.approx(0.25)
    assert found.energy.reference_joules_per_query == pytest.approx(2)
    for name in ("counters", "energy", "energy_reason", "limited_by"):  # an older kit's answer
        del document[name]
    (tmp_path / "answer.json").write_text(json.dumps(document))
    older = file(tmp_path / "answer.json", tmp_path / "older")
    assert "energy" not in json.loads((older / "measurement.json").read_text())


def test_a_finished_race_is_not_lost(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A place that cannot be written is said first; a peak that cannot be measured is left out."""

    def rate(*_: object) -> object:
        raise UserError("its process was killed by signal 9")

    monkeypatch.setattr(device.peak, "rate", rate)
    with monkeypatch.context() as patch:
        patch.setattr(device, "check", lambda *_: pytest.fail("it began"))
        for place in (tmp_path / "nowhere" / "answer.json", tmp_path):
            assert device.main(kit, ["--out", str(place)]) == 1
    assert device.main(kit, ["--out", str(tmp_path / "answer.json")]) == 0
    assert "no peak rate: its process was killed" in capsys.readouterr().err
    folder = file(tmp_path / "answer.json", tmp_path / "results")
    assert "peaks" not in json.loads((folder / "measurement.json").read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA is enforced on Linux alone")
def test_a_profile_of_all_cores_and_little_memory_comes_back_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads are counted on the device; what held the memory there is in the answer."""
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    subject = subject_of(tmp_path, reference={**TINY, "layers": 1}, student={**TINY, "layers": 1})
    wanted = profile(threads="all", pairs=2, blocks=2, memory_limit_bytes=2**30)
    with zipfile.ZipFile(bundle(subject, wanted, tmp_path / "kit.zip")) as archive:
        archive.extractall(tmp_path / "device")
    done = on_device(tmp_path / "device")
    assert done.returncode == 0, done.stderr
    folder = file(tmp_path / "device" / "answer.json", tmp_path / "results")
    document = Measurement.model_validate_json((folder / "measurement.json").read_bytes(), strict=True)
    assert document.memory.limit_bytes == 2**30 and document.memory.limited_by in ("cgroup", "RLIMIT_DATA")
    assert document.threads == len(os.sched_getaffinity(0))


def test_a_profile_that_no_kit_can_fill_is_refused_before_anything_is_packed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="profile gpu: it is not of onnx on the processor") as caught:
        pack("reference", track="mini", profile="gpu", out=tmp_path / "kit.zip")
    assert "lightboard measure --profile gpu" in str(caught.value) and not list(tmp_path.iterdir())


def test_a_model_that_answers_otherwise_there_is_not_timed(kit: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(kit, tmp_path / "device", ignore=shutil.ignore_patterns("answer.json")))
    shutil.copy(broken / "reference.onnx", broken / "entry.onnx")
    done = on_device(broken)
    assert done.returncode == 1 and "entry.onnx is not the file that was packed" in done.stderr
    kit_json = json.loads((broken / "kit.json").read_text())
    kit_json["files"]["entry.onnx"] = kit_json["files"]["reference.onnx"]  # packed so, then
    (broken / "kit.json").write_text(json.dumps(kit_json))
    done = on_device(broken)
    assert done.returncode == 1 and "does not answer as where it was scored" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not (broken / "answer.json").exists()
    assert on_device(kit, "--answers-only").stdout.startswith("the answers are right")


def test_what_is_no_number_is_no_answer(kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of kernels that overflow: no comparison with it is ever false."""
    stated = json.loads((kit / "kit.json").read_text())

    def overflows(*_: object) -> object:
        return lambda ids, mask, types: np.full((len(ids), 2), np.nan, np.float32)

    monkeypatch.setattr(device, "runtime", lambda name: SimpleNamespace(prepare=overflows))
    with pytest.raises(UserError, match="the reference answers with what is no number"):
        device.check(kit, stated)
    assert latency.farthest("a model", [([1.0, 2.0], np.array([1.0, 2.5])), ([0.0], np.zeros(1))]) == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema="other/1"), "schema"),
        (lambda d: d["samples"].pop("pair"), "not a measurement"),
        (
            lambda d: d["samples"].update(nanoseconds=[0] * len(d["samples"]["pair"])),
            "a time is not positive",
        ),
        (lambda d: d["kit"]["stated"].update(recipe="../../elsewhere"), "not a measurement"),
        (lambda d: d["kit"]["stated"].update(track="<script>"), "not a measurement"),
        (lambda d: d["answers"].update(largest_difference=9.0), "largest_difference"),
        (lambda d: d.update(date="tomorrow"), "not a measurement"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d.update(repeat_ratio=float("nan")), "NaN"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said_and_nothing_is_filed(
    answer: Path, tmp_path: Path, change: object, message: str
) -> None:
    document = json.loads(answer.read_text())
    change(document)  # type: ignore[operator]
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=message):
        file(path, tmp_path / "results")
    assert not list((tmp_path / "results").glob("**/measurement.json"))
    assert not (tmp_path / "elsewhere").exists()
