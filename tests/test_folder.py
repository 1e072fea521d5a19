"""Document folders: whole or absent, never changed, and safe to read when a stranger wrote them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.canonical import digest, digest_file
from suite.documents import Manifest
from suite.errors import UserError
from suite.folder import (
    MAX_JSON_BYTES,
    Refused,
    check,
    documents,
    parse,
    parse_json,
    read_bytes,
    read_json,
    show,
    subject,
    write,
    write_file,
)

FILES = {"run.json": b'{"a": 1}\n', "predictions.parquet": b"PAR1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "runs" / "document", FILES)


def test_what_was_written_is_listed_with_its_digest(folder: Path) -> None:
    assert {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"
    } == FILES
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"] == {name: digest_file(folder / name) for name in FILES}
    assert subject(folder) == digest(manifest)
    assert check(folder) == []


def test_nothing_temporary_stays(folder: Path) -> None:
    assert [path.name for path in folder.parent.iterdir()] == ["document"]


def test_same_bytes_again_change_nothing(folder: Path) -> None:
    before = (folder / "manifest.json").stat().st_mtime_ns
    write(folder, FILES)
    assert (folder / "manifest.json").stat().st_mtime_ns == before


def test_other_bytes_are_refused_unless_replaced(folder: Path) -> None:
    other = {"run.json": b"{}"}
    with pytest.raises(UserError, match="never changed"):
        write(folder, other)
    assert (folder / "run.json").read_bytes() == FILES["run.json"]
    write(folder, other, replace=True)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "run.json"]
    assert check(folder) == []
    assert [path.name for path in folder.parent.iterdir()] == ["document"]


def test_a_death_while_writing_leaves_no_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", die)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "document", FILES)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = write_file(tmp_path / "deep" / "entry.json", b"1")
    write_file(path, b"2")
    assert path.read_bytes() == b"2"
    assert [item.name for item in path.parent.iterdir()] == ["entry.json"]


@pytest.mark.parametrize("name", ["../x.json", "a/b", "manifest.json", "", ".hidden", "X.json", "a\nb"])
def test_names_that_could_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError):
        write(tmp_path / "document", {name: b""})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": NaN}', "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e999]", "infinite"),
        (b"[" + b"9" * 5000 + b"]", "20 digits"),
        (b"[" * 30 + b"]" * 30, "levels"),
        (b"[" * 200_000 + b"]" * 200_000, "nesting"),
        (b'["\\ud800"]', "surrogate"),
        (b"\xff\xfe", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "broken JSON"),
        (b"{", "broken JSON"),
        (b"", "broken JSON"),
        (b"[" + b"0," * (MAX_JSON_BYTES // 2 - 2) + b"0]", "values"),
        (b" " * (MAX_JSON_BYTES + 1), "bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_json_is_strict(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(Refused) as caught:
        read_json(tmp_path / "x.json")
    assert said in caught.value.problem.found
    assert caught.value.problem.file.endswith("x.json")


def test_json_that_is_fine_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"é": [1, 2.5, -3e2, true, null, "ü", {"deep": [[[[]]]]}]}', "utf-8")
    assert read_json(tmp_path / "x.json") == {"é": [1, 2.5, -300.0, True, None, "ü", {"deep": [[[[]]]]}]}


_NUMBERS = ("1", "-2.5", "1e99", "1e400", "1E+0400", "-" + "9" * 20, "9" * 19, "9" * 400 + ".0")
_TEXTS = ('""', '"é"', '"[[["', '"]]"', '"e999"', '"\\ud800"', '"\\"["')
_DEEP = ("[" * 20 + "]" * 20, "[" * 22 + "0" + "]" * 22)
_WRITTEN = st.recursive(
    st.sampled_from([*_NUMBERS, *_TEXTS, *_DEEP, "true", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
        | st.dictionaries(st.sampled_from(["a", "b", "["]), inner, max_size=3).map(
            lambda items: f"{{{', '.join(f'{json.dumps(key)}: {one}' for key, one in items.items())}}}"
        )
    ),
    max_leaves=6,
)


@given(_WRITTEN)
@settings(max_examples=400, deadline=None)
def test_a_text_that_looks_plain_holds_nothing_to_refuse(text: str) -> None:
    """Reading checks each value only where the text does not show already that all are fine."""
    content, path = text.encode(), Path("x.json")

    def outcome() -> str:
        try:
            return repr(parse_json(content, path))
        except Refused:
            return "refused"

    quick = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("suite.folder._is_plain", lambda _: False)
        assert outcome() == quick


def test_links_pipes_folders_and_nothing_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    (tmp_path / "link.json").symlink_to(secret)
    os.mkfifo(tmp_path / "pipe.json")  # opening it without O_NONBLOCK would hang here
    (tmp_path / "folder.json").mkdir()
    for name in ("link.json", "pipe.json", "folder.json", "absent.json", "nul\0.json"):
        with pytest.raises(Refused):
            read_bytes(tmp_path / name)


def named(folder: Path) -> set[str]:
    return {Path(problem.file).name + " " + problem.field for problem in check(folder)}


def test_a_changed_byte_is_named(folder: Path) -> None:
    (folder / "run.json").write_bytes(b'{"a": 2}\n')
    (problem,) = check(folder)
    assert problem.file.endswith("run.json")
    assert digest_file(folder / "run.json") in problem.found


def test_every_problem_is_listed_at_once(folder: Path) -> None:
    (folder / "predictions.parquet").unlink()
    (folder / "extra.json").write_text("{}")
    (folder / "run.json").write_text("{}")
    (folder / "model.pkl").write_bytes(b"")
    found = check(folder)
    assert len(found) == 4
    assert any("run code" in problem.found and problem.file.endswith("model.pkl") for problem in found)


@pytest.mark.parametrize(
    "manifest",
    [
        "[]", "{}", '{"schema": "lightboard/manifest/1", "files": []}', '{"schema": 1, "files": {}}',
        '{"schema": "lightboard/manifest/1", "files": {"../../etc/passwd": "sha256:00"}}',
        '{"schema": "lightboard/manifest/1", "files": {"run.json": "md5:0"}}',
        '{"schema": "lightboard/manifest/1", "files": {"run.json": 7}}',
        '{"schema": "lightboard/manifest/1", "files": {}, "also": 1}',
    ],
)  # fmt: skip
def test_a_wrong_manifest_is_a_problem_not_a_traceback(folder: Path, manifest: str) -> None:
    (folder / "manifest.json").write_text(manifest)
    assert "manifest.json" in " ".join(problem.file for problem in check(folder))


def test_a_linked_folder_and_too_many_files_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert "symbolic link" in check(tmp_path / "link")[0].found
    for number in range(40):
        (folder / f"f{number}.json").write_text("")
    assert "more than" in check(folder)[0].found


def test_files_of_another_kind_are_flagged(folder: Path) -> None:
    assert check(folder, allowed=("run.json", "predictions.parquet")) == []
    (problem,) = check(folder, allowed=("run.json",))
    assert "predictions.parquet" in problem.found


def test_documents_are_found_but_not_through_links(tmp_path: Path) -> None:
    kept = write(tmp_path / "mini" / "runs" / "r" / "v" / "cola-11", FILES)
    (tmp_path / "mini" / "runs" / "r" / "w").symlink_to(kept.parent)
    assert list(documents(tmp_path / "mini", "runs")) == [kept]
    assert list(documents(tmp_path / "absent", "runs")) == []


def test_what_is_shown_cannot_drive_a_terminal() -> None:
    assert show("\x1b[31mred\n") == "\\x1b[31mred\\x0a"
    assert len(show("x" * 10_000)) == 120


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (
            {"schema": "lightboard/manifest/9", "files": {}},
            "schema: found 'lightboard/manifest/9', expected 'lightboard/manifest/1'; update lightboard",
        ),
        ({"schema": "lightboard/manifest/1"}, "files: found nothing, expected a value; add the field"),
        (
            {"schema": "lightboard/manifest/1", "files": {"a.json": "x"}},
            "files.a.json: found 'x', expected pattern '^sha256:[0-9a-f]{64}$'; write the document with lightboard",
        ),
    ],
)
def test_a_document_of_another_shape_says_found_and_expected(document: dict[str, object], says: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(Manifest, json.dumps(document).encode(), Path("some.json"))
    assert str(caught.value).startswith(f"some.json: {says}")
