"""Old documents stay readable: a fixture of every version of every document, and explicit steps between them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import example_results as example
import pytest
import yaml
from pydantic import BaseModel, Field
from test_submit import call

from suite import migrations, schemas, tables
from suite.documents import Run
from suite.errors import UserError
from suite.folder import check, parse_json, read_json, subject
from suite.tasks import task
from suite.verify import verify

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = [(name, number) for name in schemas.DOCUMENTS for number in range(1, migrations.current(name) + 1)]


def fixture(name: str, number: int) -> dict[str, Any]:
    """The frozen document of a version."""
    stem = f"{name}-{number}"
    for path in (FIXTURES / stem / f"{name}.json", FIXTURES / f"{stem}.json"):
        if path.is_file():
            return dict(parse_json(path.read_bytes(), path))
    return dict(yaml.safe_load((FIXTURES / f"{stem}.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize(("name", "number"), VERSIONS)
def test_every_version_of_every_document_can_still_be_read(name: str, number: int) -> None:
    document = fixture(name, number)
    assert document["schema"] == f"lightboard/{name}/{number}"
    made = migrations.migrate(document)
    assert made["schema"] == schemas.identifier(schemas.DOCUMENTS[name])
    schemas.DOCUMENTS[name].model_validate_json(json.dumps(made), strict=True)
    assert (Path(__file__).parent.parent / f"docs/schemas/{name}-{number}.json").is_file()


def test_the_frozen_tables_can_still_be_read() -> None:
    path = FIXTURES / "run-1/predictions.parquet"
    assert set(tables.read_predictions(path.read_bytes(), path, task("mood"))) == {"dev"}
    path = FIXTURES / "measurement-1/samples.parquet"
    assert len(tables.read_samples(path.read_bytes(), path)["nanoseconds"])
    for name in ("run-1", "measurement-1"):
        assert check(FIXTURES / name) == []


# --- the mechanism, on versions that were never published ----------------------------------------------------


class NewRun(Run):
    """A run as a second version might look."""

    schema_: Literal["lightboard/run/2"] = Field("lightboard/run/2", alias="schema")  # type: ignore[assignment]
    notes: str = Field("", json_schema_extra={"origin": "declared"})


def from_0(document: dict[str, Any]) -> dict[str, Any]:
    """Version 0 called the score ``points``."""
    document["score"] = document.pop("points")
    return {**document, "schema": "lightboard/run/1"}


def old_tree(folder: Path) -> Path:
    """A results tree with one run of version 0."""
    row = next(row for row in example.ROWS if row.recipe == "student")
    run = example.add_run(folder, row, "mood")
    document = example.read(run, "run.json")
    document["points"] = document.pop("score")
    example.forge(run, "run.json", {**document, "schema": "lightboard/run/0"})
    return run


def test_a_tree_of_an_older_version_is_migrated_and_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(migrations.MIGRATIONS, "lightboard/run/0", from_0)
    results = tmp_path / "results"
    run = old_tree(results)
    was = subject(run)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    problems = {p.field: p for p in verify(results).problems}
    assert problems["schema"].fix == "run lightboard migrate"
    code, out, _ = call(capsys, "migrate", str(results), "--dry-run")
    assert code == 0 and "lightboard/run/0 -> lightboard/run/1" in out
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    code, out, _ = call(capsys, "migrate", str(results), "--json")
    (told,) = json.loads(out)
    assert code == 0 and told["subject"] == subject(run) != was
    assert (run / "predictions.parquet").read_bytes() == before["predictions.parquet"]
    assert "score" in read_json(run / "run.json")
    assert verify(results).ok
    assert migrations.migrate_paths([results]) == []
    code, out, _ = call(capsys, "migrate", str(results))
    assert code == 0 and "today's version" in out


def test_steps_are_taken_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(schemas.DOCUMENTS, "run", NewRun)
    monkeypatch.setitem(migrations.MIGRATIONS, "lightboard/run/0", from_0)
    monkeypatch.setitem(
        migrations.MIGRATIONS,
        "lightboard/run/1",
        lambda d: {**d, "schema": "lightboard/run/2", "notes": "old"},
    )
    document = fixture("run", 1)
    expected = {**document, "schema": "lightboard/run/2", "notes": "old"}
    assert migrations.migrate(document) == expected
    older = {**document, "schema": "lightboard/run/0", "points": document["score"]}
    del older["score"]
    assert migrations.migrate(older) == expected
    assert "score" not in older  # what was given is not changed
    json.loads(NewRun.model_validate_json(json.dumps(expected), strict=True).model_dump_json())


@pytest.mark.parametrize(
    ("schema", "says", "advice"),
    [
        ("lightboard/run/2", "newer than this lightboard", "update lightboard"),
        ("lightboard/run/0", "no way from", "no way leads"),
        ("lightboard/cat/1", "no document of ours", "write the document"),
        ("run", "no document of ours", "write the document"),
        (None, "no document of ours", "write the document"),
        (["lightboard/run/1"], "no document of ours", "write the document"),
        ("lightboard/run/1\n", "no document of ours", "write the document"),
        ("lightboard/run/99999", "no document of ours", "write the document"),
    ],
)
def test_where_no_way_leads_a_line_says_so(schema: Any, says: str, advice: str) -> None:
    with pytest.raises(UserError, match=says):
        migrations.migrate({"schema": schema})
    assert migrations.advice(schema).startswith(advice)


def test_a_migration_that_leads_nowhere_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (lambda d: d, lambda d: {**d, "schema": "lightboard/entry/1"}):
        monkeypatch.setitem(migrations.MIGRATIONS, "lightboard/run/0", wrong)
        with pytest.raises(UserError, match="does not lead on"):
            migrations.migrate({"schema": "lightboard/run/0"})


def test_links_and_broken_folders_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(migrations.MIGRATIONS, "lightboard/run/0", from_0)
    outside = old_tree(tmp_path / "outside")
    (tmp_path / "results/demo/runs").mkdir(parents=True)
    (tmp_path / "results/demo/runs/linked").symlink_to(outside.parents[1])
    assert migrations.migrate_paths([tmp_path / "results"]) == []
    run = old_tree(tmp_path / "broken")
    (run / "predictions.parquet").write_bytes(b"changed")
    with pytest.raises(UserError, match=r"predictions.parquet"):
        migrations.migrate_paths([tmp_path / "broken"])
    assert read_json(run / "run.json")["schema"] == "lightboard/run/0"
    shutil.rmtree(tmp_path / "broken")
    with pytest.raises(UserError, match="no such file"):
        migrations.migrate_paths([tmp_path / "broken"])


def test_models_say_their_version_and_nothing_else_does() -> None:
    for name, model in schemas.DOCUMENTS.items():
        assert issubclass(model, BaseModel)
        assert migrations.version(schemas.identifier(model)) == (name, migrations.current(name))
