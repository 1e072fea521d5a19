"""The device kit: everything a bare machine needs to time an entry, in one zip; and the filing of its answer.

The zip holds both models as ONNX, the input trace, the expected answers, ``measure.pyz`` (a few modules of this
package as one file that Python runs; it needs numpy and onnxruntime) and a README. What comes back is one JSON file,
hostile until checked: it becomes a measurement only when ``verify`` finds nothing wrong with it.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

import suite
from suite import folder as folders
from suite.canonical import digest_file, pretty_json
from suite.documents import (
    DECLARED,
    EVIDENCE,
    Answers,
    Count,
    EnergyBlock,
    Hash,
    Machine,
    Measurement,
    Memory,
    Number,
    Once,
    Peak,
    RepeatCheck,
    Strict,
    Text,
)
from suite.errors import UserError
from suite.folder import Refused, write
from suite.measure import estimate, peak
from suite.measure.device import KIT, RUNTIME, SCHEMA
from suite.measure.memory import Means
from suite.runtimes import shipped
from suite.stored import place_for
from suite.tables import write_samples
from suite.verify import verify

if TYPE_CHECKING:
    from suite.measure.answers import Ready
    from suite.measure.subject import Subject
    from suite.measure.trace import Queries
    from suite.profile import Profile

MODULES = (
    "__init__", "errors", "canonical", "paths", "protocol",
    "runtimes/__init__", "runtimes/_exits", "runtimes/onnx",
    "measure/__init__", "measure/latency", "measure/worker", "measure/samples", "measure/memory",
    "measure/energy",
    "measure/machine", "measure/peak", "measure/device",
)  # fmt: skip

MAIN = """\
import pathlib, sys, tempfile, zipfile

here = pathlib.Path(sys.argv[0]).resolve()
if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="lightboard-kit-") as folder:
        with zipfile.ZipFile(here) as archive:
            archive.extractall(folder)
        sys.path.insert(0, folder)
        from suite.measure import device

        status = device.main(here.parent)
    sys.exit(status)
"""

README = """\
Lightboard kit: {recipe}/{variant} against the reference of track {track}, for profile {profile}.
1. On the device, with Python 3.11 or newer, here: "python3 -m venv env", then "env/bin/pip install numpy onnxruntime".
2. Let the device rest, then: "env/bin/python measure.pyz". It checks the answers, then times both models.
3. Send back answer.json (no host, user or path is in it); "lightboard import answer.json" checks and files it.
4. trace.npz holds token ids of licensed data sets: use this kit yourself, do not pass it on.
"""

MAX_ANSWER_BYTES = 16 * 2**20
MAX_KIT_BYTES = 2**20  # of its kit.json


# --- packing ------------------------------------------------------------------------------------------------


def pack(
    recipe: str,
    *,
    track: str,
    profile: str,
    out: Path,
    variant: str | None = None,
    task: str | None = None,
    data: str = "auto",
    results: Path = Path("results"),
) -> Path:
    """Write the kit of a variant to ``out``, with drawn weights where it is not trained here and a graph is enough.

    UserError where trained weights are needed, it cannot be exported, or the profile is of another runtime.
    """
    from suite.loading import load_profile
    from suite.measure.run import settings_of
    from suite.measure.subject import subjects
    from suite.protocol import track as track_of

    wanted = load_profile(profile)
    if wanted.device != "cpu" or wanted.reference_runtime not in (None, RUNTIME):
        raise UserError(
            f"profile {wanted.name}: it is not of {RUNTIME} on the processor, which is what a kit times; "
            f"use 'lightboard measure --profile {wanted.name}' on that machine"
        )
    chosen = variant or settings_of(recipe, track).default
    asked = subjects(recipe, chosen, track_of(track), task, data, results)
    return bundle(asked[0], wanted, out)


def bundle(subject: Subject, profile: Profile, out: Path) -> Path:
    """The kit of one comparison."""
    from suite.measure.answers import prepared
    from suite.measure.trace import queries

    if subject.reference_examples is not None:
        raise UserError(
            f"recipe {subject.recipe}: it reads other tokens than the reference, and a kit holds one trace; "
            "use 'lightboard measure' on that device"
        )
    asked = queries(subject.examples)
    sides = {
        "entry": prepared(subject.entry, RUNTIME, asked, 1),
        "reference": prepared(subject.reference, RUNTIME, asked, 1),
    }
    trace = asked.trace
    with peak.model_file(RUNTIME) as products:
        files: dict[str, bytes | Path] = {
            "measure.pyz": program(),
            "trace.npz": _npz(ids=trace.ids, types=trace.types, offsets=trace.offsets),
            "expected.npz": _npz(**{name: side.logits for name, side in sides.items()}),
            "products.onnx": products,
            **{name: path for side, one in sides.items() for name, path in _packed(side, one.file).items()},
        }
        kit = _kit(subject, profile, asked, sides, files)
        part = out.with_name(out.name + ".part")
        out.parent.mkdir(parents=True, exist_ok=True)
        about = {"README.txt": README.format(**kit["stated"]).encode(), KIT: pretty_json(kit).encode()}
        with zipfile.ZipFile(part, "w") as archive:
            _fill(archive, {**about, **files})
    part.replace(out)
    return out


def _kit(
    subject: Subject,
    profile: Profile,
    asked: Queries,
    sides: Mapping[str, Ready],
    files: Mapping[str, bytes | Path],
) -> dict[str, Any]:
    """``kit.json``: what is known before anything is timed, and what the other files are."""
    from suite.measure.run import stated

    about = stated(subject, RUNTIME, "reference", RUNTIME, profile, asked, asked)
    return {
        "schema": "lightboard/kit/1",
        "stated": {name: value for name, value in about.items() if name not in ("versions", "date")},
        "plan": profile.model_dump(mode="json", by_alias=True) | {"pairs": subject.pairs or profile.pairs},
        "adaptive": subject.adaptive,
        "tolerance": {name: side.tolerance for name, side in sides.items()},
        "model_file": digest_file(sides["entry"].file),
        "model_bytes": sum(path.stat().st_size for path in shipped(sides["entry"].file)),
        "lightboard": suite.__version__,
        "files": {
            name: folders.digest_bytes(content) if isinstance(content, bytes) else digest_file(content)
            for name, content in files.items()
        },
    }


def _packed(side: str, model_file: Path) -> dict[str, Path]:
    """Name in the kit -> file: ``entry.onnx``, or a folder ``entry/`` of a plan and its pieces."""
    files = shipped(model_file)
    return {f"{side}.onnx": files[0]} if len(files) == 1 else {f"{side}/{path.name}": path for path in files}


def program() -> bytes:
    """``measure.pyz``: the modules that time, and a main that unpacks and runs them."""
    package = Path(suite.__file__).resolve().parent
    files: dict[str, bytes | Path] = {f"suite/{name}.py": package / f"{name}.py" for name in MODULES}
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        _fill(archive, {"__main__.py": MAIN.encode(), **files})
    return held.getvalue()


def _fill(archive: zipfile.ZipFile, files: Mapping[str, bytes | Path]) -> None:
    """Files without their dates, so that the same kit has the same bytes."""
    for name, content in files.items():
        about = zipfile.ZipInfo(name)
        about.compress_type, about.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
        with archive.open(about, "w", force_zip64=True) as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                with content.open("rb") as source:
                    shutil.copyfileobj(source, stream)


def _npz(**arrays: Any) -> bytes:
    held = io.BytesIO()
    np.savez(held, **arrays)
    return held.getvalue()


# --- filing -------------------------------------------------------------------------------------------------


class _Checked(Strict):
    queries: Annotated[Count, EVIDENCE]
    largest_difference: Annotated[Number, EVIDENCE]


class _Kit(Strict):
    schema_: Annotated[Literal["lightboard/kit/1"], DECLARED] = Field(alias="schema")
    stated: Annotated[dict[str, Any], EVIDENCE]
    plan: Annotated[dict[str, Any], EVIDENCE]
    adaptive: Annotated[bool, EVIDENCE]
    tolerance: Annotated[dict[Literal["entry", "reference"], Number], EVIDENCE]
    model_file: Annotated[str, EVIDENCE]
    model_bytes: Annotated[Count, EVIDENCE]
    lightboard: Annotated[str, DECLARED]
    files: Annotated[dict[str, Hash], EVIDENCE] = Field(default_factory=dict)


class Answer(Strict):
    """What a device sends back."""

    schema_: Annotated[Literal["lightboard/kit-answer/1"], DECLARED] = Field(alias="schema")
    kit: Annotated[_Kit, EVIDENCE]
    samples: Annotated[dict[str, tuple[Count, ...]], EVIDENCE]
    repeats: Annotated[Count, EVIDENCE]
    answers: Annotated[_Checked, EVIDENCE]
    load_seconds: Annotated[Number, EVIDENCE]
    first_query_seconds: Annotated[Number, EVIDENCE]
    peak_bytes: Annotated[Count, EVIDENCE]
    baseline_bytes: Annotated[Count, EVIDENCE]
    limited_by: Annotated[Means | None, EVIDENCE] = None
    repeat_ratio: Annotated[Number, EVIDENCE]
    counters: Annotated[tuple[Text, ...], EVIDENCE] = ()
    energy: Annotated[tuple[EnergyBlock, ...], EVIDENCE] = ()
    energy_reason: Annotated[Text | None, EVIDENCE] = None
    threads: Annotated[Count | None, EVIDENCE] = None
    seconds: Annotated[Number | None, EVIDENCE] = None
    peaks: Annotated[tuple[Peak, ...], EVIDENCE] = ()
    machine: Annotated[Machine, EVIDENCE]
    versions: Annotated[dict[str, str], DECLARED]
    date: Annotated[str, DECLARED]
    checked: Annotated[dict[Literal["entry", "reference"], Number], EVIDENCE]


def read_answer(path: Path) -> Answer:
    """A device's file, shape and sizes checked; UserError with the first thing that is wrong."""
    try:
        content = folders.read_bytes(path, MAX_ANSWER_BYTES)
        folders.parse_json(content, path)
        return Answer.model_validate_json(content)
    except Refused as refused:
        raise UserError(str(refused), code=1) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = folders.show(".".join(str(part) for part in first["loc"]))
        message = f"{path}: {place}: {first['msg']}; expected what measure.pyz wrote ({SCHEMA})"
        raise UserError(message, code=1) from None


def file(path: Path, results: Path, kit: Path | None = None) -> Path:
    """Turn a device's answer into a measurement below ``results``, and verify it there; gives its folder.

    ``kit``: the zip that went to the device; an answer that is not to that one is refused. UserError, and nothing
    filed, where the answer is not one, or anything in the measurement is wrong.
    """
    answer = read_answer(path)
    if kit is not None:
        _is_to(path, answer, kit)
    measurement, table = _measurement(path, answer)
    folder = place_for(measurement, results / measurement.track)
    if folder.exists():
        raise UserError(f"{folder}: there already; remove it first if this answer is to replace it", code=1)
    write(
        folder,
        {
            "measurement.json": pretty_json(measurement.model_dump(mode="json", by_alias=True)).encode(),
            "samples.parquet": table,
        },
    )
    try:
        report = verify(folder)
    except BaseException:  # whatever stopped it: what nobody verified is not filed
        shutil.rmtree(folder)
        raise
    if report.problems:
        shutil.rmtree(folder)
        more = f" (and {len(report.problems) - 1} more)" if len(report.problems) > 1 else ""
        raise UserError(f"{path}: not filed: {report.problems[0]}{more}", code=1)
    return folder


def _is_to(path: Path, answer: Answer, kit: Path) -> None:
    """The answer repeats what the kit said of itself, word for word."""
    try:
        with zipfile.ZipFile(kit) as archive, archive.open(KIT) as stream:
            content = stream.read(MAX_KIT_BYTES + 1)
        sent = _Kit.model_validate_json(content)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        first = folders.show(str(error).splitlines()[0])
        raise UserError(f"{kit}: not a kit: {first}; expected what lightboard kit wrote", code=1) from None
    differing = [name for name in _Kit.model_fields if getattr(sent, name) != getattr(answer.kit, name)]
    if differing:
        raise UserError(
            f"{path}: it answers another kit than {kit}: {', '.join(differing)} differ; import it with its own kit",
            code=1,
        )


def _measurement(path: Path, answer: Answer) -> tuple[Measurement, bytes]:
    """The document and the table of its times; UserError with the first thing that keeps the answer from being them."""
    kit = answer.kit
    try:
        samples = estimate.from_columns(answer.samples)
        joules = estimate.joules(answer.counters, answer.energy, answer.energy_reason)
        measurement = Measurement.model_validate_json(
            json.dumps(
                {
                    **kit.stated,
                    **{k: _plain(v) for k, v in vars(estimate.figures(samples)).items()},
                    **{name: _plain(value) for name, value in joules.items()},
                    "versions": answer.versions,
                    "date": answer.date,
                    "repeats": answer.repeats,
                    "model_file": kit.model_file,
                    "model_bytes": kit.model_bytes,
                    "answers": _plain(
                        Answers(
                            **answer.answers.model_dump(),
                            tolerance=kit.tolerance["entry"],
                            equal=estimate.answers_equal(
                                answer.answers.largest_difference, kit.tolerance["entry"]
                            ),
                        )
                    ),
                    "repeat_check": _plain(
                        RepeatCheck(
                            ratio=answer.repeat_ratio, passed=estimate.repeat_passed(answer.repeat_ratio)
                        )
                    ),
                    "memory": _plain(
                        Memory(
                            peak_bytes=answer.peak_bytes,
                            baseline_bytes=answer.baseline_bytes,
                            limit_bytes=kit.plan.get("memory_limit_bytes"),
                            limited_by=answer.limited_by,
                        )
                    ),
                    "once": _plain(
                        Once(
                            load_seconds=answer.load_seconds,
                            first_query_seconds=answer.first_query_seconds,
                            tokenise_seconds_per_example=None,
                        )
                    ),
                    "machine": _plain(answer.machine),
                    "threads": answer.threads,
                    "seconds": answer.seconds,
                    "peaks": [_plain(one) for one in answer.peaks],
                }
            ),
            strict=True,
        )
        table = write_samples(vars(samples))
    except (ValueError, KeyError) as error:  # pydantic's errors are ValueErrors
        first = str(error).splitlines()[0]
        raise UserError(f"{path}: not a measurement: {folders.show(first)}", code=1) from None
    return measurement, table


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Strict) else value
