"""submit: what is sent is what was shown, verifies as it stands, names nobody, and says what it lacks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import example_results as example
import pytest
from test_cli import call

from suite import scrub, signing
from suite import submit as submitting
from suite.documents import Signature
from suite.errors import UserError
from suite.folder import read_json, subject
from suite.index import index
from suite.measure import attempts
from suite.verify import attest, verify

NOBODY = scrub.Private(host="", user="", home="")
SOMEBODY = scrub.Private(host="annas-box", user="anna.m", home="/data/people/anna")
STUDENT = "demo/student/default"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.build(tmp_path_factory.mktemp("results"))


@pytest.fixture
def results(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "results"))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def forged(folder: Path, name: str, **changes: Any) -> None:
    """Change fields of a document (``a__b`` for a.b) and its manifest."""
    document = example.read(folder, name)
    for place, value in changes.items():
        *outer, last = place.split("__")
        inside = document
        for part in outer:
            inside = inside[part]
        inside[last] = value
    example.forge(folder, name, document)


# --- what is sent -------------------------------------------------------------------------------------------


def test_a_submission_verifies_as_it_stands_and_in_the_published_tree(results: Path, tmp_path: Path) -> None:
    attest(verify(results), by="us")
    index(results)
    parcel = submitting.prepare(results, [STUDENT], private=NOBODY)
    out = submitting.write(parcel, tmp_path / "out")
    report = verify(out)
    assert report.ok and {document.kind for document in report.documents} >= {
        "run",
        "measurement",
        "attestation",
    }
    sent = {p.relative_to(out).as_posix() for p in out.rglob("*.json")}
    assert {name.split("/")[2] for name in sent if name.count("/") > 3} == {"student"}
    # The reference's time in the same runtime is in a measurement that no line of the entry names.
    assert any("torch-alone" in name for name in sent)
    # Taken out of the published tree and put back by copying, everything is as it was.
    before = contents(results)
    shutil.rmtree(results / "demo/runs/student")
    shutil.rmtree(results / "demo/measurements/student")
    index(results)
    shutil.copytree(out / "demo", results / "demo", dirs_exist_ok=True)
    index(results)
    assert contents(results) == before


def test_an_inherited_measurement_travels_with_the_entry(results: Path, tmp_path: Path) -> None:
    twin = example.Row("twin", skill=0.85, layers=3, timed=False)
    for task in twin.tasks:
        example.add_run(results, twin, task)
    index(results)
    parcel = submitting.prepare(results, ["twin/default"], track="demo", private=NOBODY)
    assert "demo/measurements/student/default/example-torch-alone-2026-01-31/samples.parquet" in parcel.files
    out = submitting.write(parcel, tmp_path / "out")
    assert verify(out).ok
    sent = read_json(out / "demo/entries/twin/default.json")
    there = read_json(results / "demo/entries/twin/default.json")
    assert sent["speed"] == there["speed"] and all(line["inherited"] for line in sent["speed"])


def test_why_a_cell_is_empty_travels_with_the_entry(results: Path, tmp_path: Path) -> None:
    entry = read_json(results / "demo/entries/student/default.json")
    tried = {
        "track": "demo",
        "variant": "default",
        "task": None,
        "profile": "cpu-1-thread",
        "profile_hash": "sha256:" + "0" * 64,
        "arrival": "single-stream",
        "inputs": "trace",
    }
    mine = attempts.Cell(recipe="student", recipe_hash=entry["recipe_hash"], runtime="litert", **tried)
    other = attempts.Cell(recipe="teacher", recipe_hash=entry["recipe_hash"], runtime="litert", **tried)
    earlier = attempts.Cell(recipe="student", recipe_hash="sha256:" + "1" * 64, runtime="openvino", **tried)
    for cell in (mine, other, earlier):
        attempts.record(results, cell, "anna.m has no such package")
    index(results)
    parcel = submitting.prepare(results, [STUDENT], private=SOMEBODY)
    out = submitting.write(parcel, tmp_path / "out")
    (sent,) = (out / "demo/attempts").iterdir()
    assert read_json(sent)["reason"] == "(user) has no such package" and verify(out).ok
    (empty,) = read_json(out / "demo/entries/student/default.json")["empty"]
    assert (empty["runtime"], empty["reason"]) == ("litert", "(user) has no such package")


def test_the_same_results_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from suite import submit, scrub;"
        "p = submit.prepare(Path(sys.argv[1]), [sys.argv[2]], private=scrub.Private(host='', user='', home=''));"
        "submit.write(p, Path(sys.argv[3]));"
        "print([m for m in ('torch', 'transformers', 'datasets', 'evaluate', 'sklearn') if m in sys.modules])"
    )
    first = submitting.write(submitting.prepare(results, [STUDENT], private=NOBODY), tmp_path / "a")
    environment = {**os.environ, "PYTHONHASHSEED": "9", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    command = [sys.executable, "-c", code, str(results), STUDENT, str(tmp_path / "deep/er/b")]
    told = subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=300)
    assert told.stdout.strip() == "[]"  # nothing heavy was imported
    assert contents(first) == contents(tmp_path / "deep/er/b")


def test_the_command_shows_everything_before_it_writes(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("submit", STUDENT, "--results", str(results), "--out", str(tmp_path / "out"))
    code, out, _ = call(capsys, *words, "--dry-run")
    assert code == 0 and not (tmp_path / "out").exists()
    assert "run: environment.cpu = An example processor" in out
    assert "measurement: machine.kernel = 6.1" in out
    assert "run: score" not in out  # derived, not declared
    code, out, _ = call(capsys, *words)
    assert code == 0
    written = contents(tmp_path / "out")
    assert f"{sum(map(len, written.values())):,} bytes  in {len(written)} files" in out
    assert call(capsys, "verify", str(tmp_path / "out"))[0] == 0
    code, out, _ = call(capsys, *words, "--json", "--dry-run")
    assert json.loads(out)["files"] == {name: len(content) for name, content in written.items()}


def test_only_a_submission_is_replaced(results: Path, tmp_path: Path) -> None:
    parcel = submitting.prepare(results, [STUDENT], private=NOBODY)
    out = submitting.write(parcel, tmp_path / "out")
    assert contents(submitting.write(parcel, out)) == contents(out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for place in ("mine", "link", "mine/thesis.txt"):
        with pytest.raises(UserError):
            submitting.write(parcel, tmp_path / place)
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("name", "track", "says"),
    [
        ("demo/studnet/default", None, "did you mean student/default"),
        ("dmo/student/default", None, "did you mean demo"),
        ("demo/studnet", None, "did you mean student"),
        ("studnet", None, "its runs are nowhere below"),
        ("demo/student/default", "mini", "--track says mini"),
        ("../demo/student/default", None, "expected RECIPE or RECIPE/VARIANT"),
        ("demo/../default", None, "expected RECIPE or RECIPE/VARIANT"),
    ],
)
def test_an_entry_that_is_not_there_is_told(results: Path, name: str, track: str | None, says: str) -> None:
    with pytest.raises(UserError, match=says):
        submitting.prepare(results, [name], track=track, private=NOBODY)


@pytest.mark.parametrize("name", ["student", "student/default", "demo/student", "demo/student/default"])
def test_an_entry_is_named_as_far_as_needed(results: Path, name: str) -> None:
    folder, entry, _ = submitting.find(results, name)
    assert (folder.name, entry.recipe, entry.variant) == ("demo", "student", "default")


def test_what_would_be_refused_is_not_sent(results: Path, tmp_path: Path) -> None:
    forged(results / "demo/runs/student/default/mood-11", "run.json", training_cost__tflop=0.5)
    with pytest.raises(UserError, match=r"would be refused: .*training_cost.tflop: found 0.5"):
        submitting.prepare(results, [STUDENT], private=NOBODY)
    (results / "demo/runs/student/default/mood-11/notes.pkl").write_bytes(b"x")
    with pytest.raises(UserError, match="can run code"):
        submitting.prepare(results, [STUDENT], private=NOBODY)


# --- who and where ------------------------------------------------------------------------------------------


def test_hosts_users_and_paths_are_taken_out_of_what_is_declared(results: Path, tmp_path: Path) -> None:
    run = results / "demo/runs/student/default/mood-11"
    attest(verify(results), by="us")
    versions = {"torch": "2.13.0", "own": "built by anna.m at /home/anna/src/torch on ANNAS-BOX"}
    forged(run, "run.json", environment__versions=versions, departures=["see /data/people/anna/notes"])
    index(results)
    old = subject(run)
    parcel = submitting.prepare(results, [STUDENT], private=SOMEBODY)
    assert {(found.field, found.what) for found in parcel.scrubbed} == {
        ("environment.versions.own", "path"),
        ("environment.versions.own", "host"),
        ("environment.versions.own", "user"),
        ("departures.0", "path"),
    }
    out = submitting.write(parcel, tmp_path / "out")
    sent = example.read(out / "demo/runs/student/default/mood-11", "run.json")
    assert sent["environment"]["versions"]["own"] == "built by (user) at (path) on (host)"
    assert sent["departures"] == ["see (path)/notes"]
    assert verify(out).ok
    assert subject(out / "demo/runs/student/default/mood-11") != old
    named = [read_json(path)["subject"] for path in (out / "demo/attestations").iterdir()]
    assert named and old not in named  # nobody attested to the scrubbed document
    for content in contents(out).values():
        assert b"anna" not in content.lower()


def test_a_path_that_figures_hang_on_is_refused(results: Path) -> None:
    for run in (results / "demo/runs/student/default").iterdir():
        document = example.read(run, "run.json")
        document["settings"]["parameters"]["corpus"] = "/home/anna/wiki.txt"
        example.forge(run, "run.json", {**document, "recipe_hash": example.digest(document["settings"])})
    with pytest.raises(UserError, match=r"settings.parameters.corpus: a path.*cannot be scrubbed"):
        submitting.prepare(results, ["demo/student/default"], private=NOBODY)


def test_names_that_every_machine_has_name_nobody() -> None:
    common = scrub.Private(host="ubuntu", user="root", home="/root")
    assert common.kinds("5.15.0-generic #1 SMP Ubuntu root") == []
    assert common.kinds("/root/x") == ["path"]
    # A user called like a method is not found in names, only where people write freely.
    bert = scrub.Private(host="h", user="student", home="/home/student")
    document = {"recipe": "student", "environment": {"cpu": "the student's own"}}
    assert [found.field for found in scrub.search("f", "run", document, bert)] == ["environment.cpu"]


# --- what is missing ----------------------------------------------------------------------------------------


def missing(results: Path, entry: str) -> list[str]:
    (found,) = submitting.prepare(results, [entry], private=NOBODY).gaps.values()
    return [gap.what for gap in found]


def test_what_is_missing_comes_in_the_order_to_mend_it(results: Path) -> None:
    assert missing(results, "demo/half/default") == [
        "no run of core tasks same",
        "no measurement on any profile",
        "no rescored attestation for 1 of 1 runs",
        "not signed",
    ]


def test_each_gap_closes_when_it_is_mended(results: Path) -> None:
    half = next(row for row in example.ROWS if row.recipe == "half")
    example.add_run(results, half, "same")
    assert "no run of core tasks same" not in missing(results, "demo/half/default")
    example.add_measurement(results, half)
    assert "no measurement on any profile" not in missing(results, "demo/half/default")
    attest(verify(results / "demo/runs/half"), by="us")
    assert missing(results, "demo/half/default") == ["not signed"]


def test_an_attestation_of_a_lower_level_is_not_enough(results: Path) -> None:
    attest(verify(results / "demo/runs/student", level="valid"), by="us")
    assert "no rescored attestation for 2 of 2 runs" in missing(results, STUDENT)


def test_fewer_seeds_than_the_protocols_are_counted(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from suite import protocol

    longer = dataclasses.replace(protocol.TRACKS["demo"], seeds=(11, 23, 37))
    monkeypatch.setitem(protocol.TRACKS, "demo", longer)
    (found,) = submitting.prepare(results, [STUDENT], private=NOBODY).gaps.values()
    gap = next(gap for gap in found if "seeds" in gap.what)
    assert gap.what == "fewer seeds than the protocol's 3: mood 1, same 1"
    assert gap.command == "lightboard run student --track demo --tasks mood,same --seeds 3"


# --- signatures ---------------------------------------------------------------------------------------------


@pytest.fixture
def keyfile(tmp_path: Path) -> Path:
    pytest.importorskip("cryptography")
    signing.generate(tmp_path / "key.pem")
    return tmp_path / "key.pem"


def signature_of(out: Path) -> tuple[Path, Signature]:
    (path,) = (out / "demo/signatures").iterdir()
    return path, Signature.model_validate_json(path.read_bytes())


def test_a_signature_says_who_and_what_it_does_not_prove(
    results: Path, keyfile: Path, tmp_path: Path
) -> None:
    out = submitting.write(
        submitting.prepare(results, [STUDENT], keyfile=keyfile, private=NOBODY), tmp_path / "o"
    )
    _, signature = signature_of(out)
    for place, named in signature.subjects.items():
        assert subject(out / "demo" / place) == named
    assert len(signature.subjects) == 5  # two runs, three measurements
    report = verify(out)
    assert report.ok
    (note,) = [note for note in report.notes if "signed by" in note]
    print_of = signing.fingerprint(signature.key)
    assert f"5 documents signed by the unnamed key {print_of}" in note
    assert "not that the figures are true" in note
    signers = tmp_path / "signers"
    signers.write_text(f"# ours\nAnna M. {signature.key}\n")
    assert any(f"signed by Anna M. (key {print_of})" in note for note in verify(out, signers=signers).notes)
    # The check is Ed25519's own, by another route than ours.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    signed = {"schema": "lightboard/signature/1", "subjects": signature.subjects}
    plain = json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.key[8:])).verify(
        bytes.fromhex(signature.signature), plain
    )


@pytest.mark.parametrize("what", ["signature", "key", "subjects"])
def test_a_wrong_signature_is_a_problem_by_field(
    results: Path, keyfile: Path, tmp_path: Path, what: str
) -> None:
    out = submitting.write(
        submitting.prepare(results, [STUDENT], keyfile=keyfile, private=NOBODY), tmp_path / "o"
    )
    path, signature = signature_of(out)
    place = next(iter(signature.subjects))
    changes: dict[str, Any] = {
        "signature": {"signature": ("1" if signature.signature[0] == "0" else "0") + signature.signature[1:]},
        "key": {"key": signing.generate(tmp_path / "other.pem")},
        "subjects": {"subjects": {**signature.subjects, place: "sha256:" + "0" * 64}},
    }
    wrong = signature.model_copy(update=changes[what])
    path.unlink()
    (path.parent / signing.file_name(wrong)).write_bytes(signing.content(wrong))
    (problem,) = verify(out).problems
    assert problem.field == "signature"
    assert problem.file.endswith(signing.file_name(wrong))


def test_a_document_changed_after_signing_is_no_longer_covered(
    results: Path, keyfile: Path, tmp_path: Path
) -> None:
    out = submitting.write(
        submitting.prepare(results, [STUDENT], keyfile=keyfile, private=NOBODY), tmp_path / "o"
    )
    forged(out / "demo/runs/student/default/mood-11", "run.json", departures=["another"])
    index(out)
    report = verify(out)
    assert report.ok  # a corrected run is no lie; but nobody signed it
    assert any("4 documents here and 1 that are not signed by" in note for note in report.notes)


def test_without_the_package_signatures_are_unchecked_and_say_so(
    results: Path, keyfile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = submitting.write(
        submitting.prepare(results, [STUDENT], keyfile=keyfile, private=NOBODY), tmp_path / "o"
    )
    monkeypatch.setattr(signing, "available", lambda: False)
    report = verify(out)
    assert report.ok
    assert any("signature not checked" in note for note in report.notes)
    assert not any("signed by" in note for note in report.notes)
    with pytest.raises(UserError, match=r"lightboard\[sign\]"):
        submitting.prepare(results, [STUDENT], keyfile=keyfile, private=NOBODY)


def test_keys_are_private_and_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cryptography")
    code, out, _ = call(capsys, "keygen", str(tmp_path / "key.pem"))
    assert code == 0 and "ed25519:" in out
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
    content = (tmp_path / "key.pem").read_bytes()
    code, _, err = call(capsys, "keygen", str(tmp_path / "key.pem"))
    assert code == 2 and "never overwritten" in err
    assert (tmp_path / "key.pem").read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key(results: Path, tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("cryptography")
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(UserError, match="no unencrypted private key"):
        submitting.prepare(results, [STUDENT], keyfile=tmp_path / "key.pem", private=NOBODY)


def test_a_list_of_signers_is_read_strictly(tmp_path: Path) -> None:
    (tmp_path / "signers").write_text("Anna ed25519:12\n")
    with pytest.raises(UserError, match=r"line 1"):
        signing.signers(tmp_path / "signers")
    with pytest.raises(UserError, match="lists signers"):
        signing.signers(tmp_path / "absent")
