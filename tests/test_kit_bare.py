"""The device kit where nothing else is: an empty virtual environment, another processor; and answers made to harm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_kit import answer, kit  # noqa: F401  # fixtures
from test_latency import TINY, profile, subject_of
from typer.testing import CliRunner

from suite.cli import app
from suite.documents import Measurement
from suite.errors import UserError
from suite.measure import device
from suite.measure.kit import bundle, file
from suite.verify import verify

# --- machines with nothing on them --------------------------------------------------------------------------


@pytest.mark.slow
def test_a_kit_runs_in_an_empty_environment(kit: Path, tmp_path: Path) -> None:  # noqa: F811
    python = tmp_path / "bare" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "bare")], check=True, timeout=300)
    install = [str(python), "-m", "pip", "install", "--quiet", "numpy", "onnxruntime"]
    done = subprocess.run(install, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        pytest.skip(f"pip cannot install numpy and onnxruntime here: {done.stderr.strip().splitlines()[-1:]}")
    here = Path(shutil.copytree(kit, tmp_path / "device", ignore=shutil.ignore_patterns("answer.json")))
    bare = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    command = [str(python), "measure.pyz"]
    done = subprocess.run(
        command, cwd=here, env=bare, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=json"], env=bare, capture_output=True, check=True
    )
    there = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert not there & {"torch", "transformers", "pydantic", "psutil", "lightboard"}, "the place was not bare"
    folder = file(here / "answer.json", tmp_path / "results")
    found = Measurement.model_validate_json((folder / "measurement.json").read_bytes(), strict=True)
    assert found.ratio.value > 1 and found.answers.equal and verify(folder).ok


@pytest.mark.slow
def test_a_kit_answers_alike_on_arm64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under emulation, answers only: how long anything takes there says nothing of a device."""
    place = Path(os.environ.get("LIGHTBOARD_ARM64", "nowhere"))
    if not (place / "qemu-aarch64").exists():
        pytest.skip("LIGHTBOARD_ARM64 names no folder that tests/arm64_root.sh made")
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    subject = subject_of(tmp_path, reference={**TINY, "layers": 2}, student={**TINY, "layers": 1})
    made = bundle(subject, profile(), tmp_path / "kit.zip")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(tmp_path / "device")
    root = place.resolve() / "root"
    libraries = f"{root}/usr/lib/aarch64-linux-gnu:{root}/lib/aarch64-linux-gnu"
    emulated = [str(place.resolve() / "qemu-aarch64"), "-L", str(root)]
    for name, value in {
        "LD_LIBRARY_PATH": libraries,
        "PYTHONPATH": f"{root}/opt/site",
        "PYTHONHOME": f"{root}/usr",
    }.items():
        emulated += ["-E", f"{name}={value}"]
    python = [*emulated, f"{root}/usr/bin/python3.11", "-S", "-B"]

    def there(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*python, *arguments], cwd=tmp_path / "device", capture_output=True, text=True, timeout=850,
            check=False, env={"PATH": "/usr/bin"},
        )  # fmt: skip

    assert there("-c", "import platform; print(platform.machine())").stdout.strip() == "aarch64"
    done = there("measure.pyz", "--answers-only")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the answers are right")
    kit_json = json.loads((tmp_path / "device" / "kit.json").read_text())
    kit_json["tolerance"]["entry"] = -1.0  # the check is made there, and can fail
    (tmp_path / "device" / "kit.json").write_text(json.dumps(kit_json))
    done = there("measure.pyz", "--answers-only")
    assert done.returncode == 1 and "the entry does not answer as where it was scored" in done.stderr


# --- answers made to harm -----------------------------------------------------------------------------------


def _deep(document: dict[str, Any]) -> str:
    return json.dumps(document)[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}"


def _wide(document: dict[str, Any]) -> str:
    document["samples"]["pair"] = [0] * 600_000
    return json.dumps(document)


def _huge(document: dict[str, Any]) -> str:
    return json.dumps(document) + " " * 17 * 2**20


def _twice(document: dict[str, Any]) -> str:
    return json.dumps(document)[:-1] + ', "date": "2020-01-01"}'


def _number(document: dict[str, Any]) -> str:
    return json.dumps({**document, "load_seconds": 123.25}).replace("123.25", "1e999")


def _digits(document: dict[str, Any]) -> str:
    return json.dumps({**document, "repeats": 7}).replace('"repeats": 7', '"repeats": ' + "7" * 100_000)


def _changed(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], str]:
    def write(document: dict[str, Any]) -> str:
        change(document)
        return json.dumps(document)

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_deep, "nesting"),
        (_wide, "values|not a measurement|at most"),
        (_huge, "bytes"),
        (_twice, "date"),
        (_number, "1e999|finite|inf"),
        (_digits, "digits|integer|number"),
        (lambda d: "[]", "answer|object|dictionary"),
        (lambda d: "", "JSON"),
        (lambda d: "\ud800".join(("{", "}")).encode("utf-8", "surrogatepass").decode("latin-1"), "JSON"),
        (_changed(lambda d: d.update(machine="a fast one")), "machine"),
        (_changed(lambda d: d["samples"].update(nanoseconds="quick")), "nanoseconds"),
        (_changed(lambda d: d["samples"].update(side=[True] * len(d["samples"]["side"]))), "side"),
        (_changed(lambda d: d["samples"].update(query=[9999] * len(d["samples"]["query"]))), "not filed"),
        (_changed(lambda d: d.update(load_seconds=float("nan"))), "NaN"),
        (_changed(lambda d: d["kit"]["stated"].update(profile="..")), "not a measurement"),
        (_changed(lambda d: d["machine"].update(cpu="<script>alert(1)</script>")), "not filed"),
        (_changed(lambda d: d["machine"].update(kernel="x" * 10_000)), "kernel"),
        (_changed(lambda d: d["kit"]["files"].update(more="not a digest")), "files"),
        (_changed(lambda d: d["peaks"][0].update(flop_per_second=1e18)), "peaks.0.flop_per_second"),
        (_changed(lambda d: d.update(peaks=d["peaks"] * 9)), "not a measurement"),
        (
            _changed(lambda d: d["samples"].update(pair=[p + 100_000 for p in d["samples"]["pair"]])),
            "not a measurement",
        ),
    ],
)
def test_a_hostile_answer_is_refused_in_one_line(
    answer: Path,  # noqa: F811
    tmp_path: Path,
    write: Callable[[dict[str, Any]], str],
    message: str,
) -> None:
    path = tmp_path / "answer.json"
    document = json.loads(answer.read_text())
    document["machine"]["flags"] = ["avx2", "fma"]  # a processor that the table has, whatever this one is
    path.write_text(write(document))
    with pytest.raises(UserError, match=message) as caught:
        file(path, tmp_path / "results")
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 1000
    assert not list(tmp_path.glob("**/measurement.json"))


def test_times_below_what_the_processor_can_are_refused(
    kit: Path,  # noqa: F811
    answer: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clock left out, as virtual machines do, does not help."""
    from suite.documents import Op
    from suite.verify import recounted

    document = json.loads(answer.read_text())
    graph = document["kit"]["stated"]["graph"]
    ops = (Op(kind="linear", weight="w", rows="n", shape=(768, 768), times=72),)  # of a BERT's size
    polynomial = recounted.recount.polynomial(ops)
    known = {
        graph: recounted.Graph(
            polynomial, frozenset({("student", "default", document["kit"]["stated"]["recipe_hash"])})
        )
    }
    monkeypatch.setattr("suite.verify._Verifier._graphs_of", lambda self, track: known)
    document["machine"].update(flags=["avx2", "fma"], max_mhz=None)
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"latency_ms: found [0-9]+ GFLOP/s, expected at most [0-9]+"):
        file(path, tmp_path / "results")  # a tiny model's times, said to be a large one's


def test_another_kits_answer_is_refused(kit: Path, answer: Path, tmp_path: Path) -> None:  # noqa: F811
    sent = tmp_path / "kit.zip"
    with zipfile.ZipFile(sent, "w") as archive:
        archive.write(kit / device.KIT, device.KIT)
    document = json.loads(answer.read_text())
    document["kit"]["model_file"] = "sha256:" + "0" * 64
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(document))
    where = ["--results", str(tmp_path / "results")]
    refused = CliRunner().invoke(app, ["import", str(path), "--kit", str(sent), *where])
    assert refused.exit_code == 1
    assert isinstance(refused.exception, UserError) and "model_file differ" in str(refused.exception)
    for broken in (b"no zip", sent.read_bytes()[:200]):
        (tmp_path / "broken.zip").write_bytes(broken)
        with pytest.raises(UserError, match="not a kit"):
            file(answer, tmp_path / "results", tmp_path / "broken.zip")
    assert not list(tmp_path.glob("**/measurement.json"))
    accepted = CliRunner().invoke(app, ["import", str(answer), "--kit", str(sent), *where])
    assert accepted.exit_code == 0, accepted.output
