"""The life of published rows: what leaves an entry leaves it for a reason, and the log only grows."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import example_results as example
import pytest
from test_submit import call

from suite import board, compare, protocol
from suite import log as logs
from suite.documents import Entry
from suite.errors import UserError
from suite.folder import read_json
from suite.index import compute, entries, index
from suite.verify import Report, attest, verify

SMALL = tuple(row for row in example.ROWS if row.recipe in ("reference", "majority", "student"))
STUDENT = next(row for row in example.ROWS if row.recipe == "student")
DAY = datetime.date(2026, 2, 1)
MOOD = "runs/student/default/mood-11"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.build(tmp_path_factory.mktemp("results"), SMALL)


@pytest.fixture
def results(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "results"))


def write_log(results: Path, action: str, places: list[str], reason: str = "The dev set was seen.") -> Path:
    track = results / "demo"
    return logs.append(
        track,
        recipe="student",
        variant="default",
        action=action,  # type: ignore[arg-type]
        documents=logs.named(track, places),
        reason=reason,
        by="a maintainer",
        date=DAY,
    )


def entry_of(results: Path, recipe: str = "student") -> Entry:
    return next(entry for entry in entries(results) if entry.recipe == recipe)


def told(report: Report) -> list[tuple[str, str]]:
    return [(problem.file.rpartition("/demo/")[2], problem.field) for problem in report.problems]


# --- what leaves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["withdrawn", "superseded", "corrected"])
def test_a_document_that_was_taken_back_leaves_its_entry(results: Path, action: str) -> None:
    before = entry_of(results)
    write_log(results, action, [MOOD])
    index(results)
    after = entry_of(results)
    assert set(before.quality) == {"mood", "same"} and set(after.quality) == {"same"}
    assert before.quality["same"].score == after.quality["same"].score
    assert after.board_score is None and after.ranks is None
    assert [(c.date, c.action, c.reason, c.log) for c in after.changelog] == [
        ("2026-02-01", action, "The dev set was seen.", "log/0001.json")
    ]
    assert (results / "demo" / MOOD / "run.json").is_file()  # the evidence stays
    report = verify(results)
    assert report.ok, report.problems
    assert any(MOOD in note and "log/0001.json" in note for note in report.notes)
    assert [document.kind for document in report.documents].count("log") == 1


def test_an_entry_without_any_document_left_is_gone(results: Path) -> None:
    places = [MOOD, "runs/student/default/same-11"]
    write_log(results, "withdrawn", places)
    index(results)
    assert {entry.recipe for entry in entries(results)} == {"reference", "majority"}
    assert verify(results).ok


def test_a_withdrawn_measurement_gives_no_speed(results: Path) -> None:
    place = "measurements/student/default/example-onnx-reference-2026-01-31"
    write_log(results, "withdrawn", [place])
    index(results)
    assert {line.runtime for line in entry_of(results).speed} == {"torch"}


def test_what_extends_an_entry_counts_in_it(results: Path) -> None:
    write_log(results, "extended", [MOOD], "Another seed.")
    index(results)
    assert set(entry_of(results).quality) == {"mood", "same"}
    assert entry_of(results, "reference").changelog == ()


def test_an_entry_says_nothing_that_the_log_does_not(results: Path) -> None:
    write_log(results, "extended", [MOOD], "Another seed.")
    index(results)
    path = results / "demo/entries/student/default.json"
    document = read_json(path)
    document["changelog"][0]["reason"] = "A better reason."
    path.write_text(json.dumps(document))
    (problem,) = verify(results).problems
    assert (problem.field, problem.expected) == ("changelog.0.reason", "'Another seed.'")


@pytest.mark.parametrize(
    ("action", "places", "reason", "says"),
    [
        ("withdrawn", [], "Why.", "nothing is withdrawn"),
        ("corrected", [MOOD], "  ", "needs a reason"),
        ("withdrawn", ["runs/student/default/mood-12"], "Why.", "is no document"),
        ("withdrawn", ["../demo/runs/student/default/mood-11"], "Why.", "is no document"),
        ("withdrawn", ["entries/student/default"], "Why.", "is no document"),
        ("withdrawn", ["runs/majority/default/mood-11"], "Why.", "is none of student/default"),
    ],
)
def test_a_log_entry_that_says_too_little_is_not_written(
    results: Path, action: str, places: list[str], reason: str, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        write_log(results, action, places, reason)
    assert not logs.files(results / "demo")


def test_a_folder_that_no_document_can_name_is_refused_in_words(results: Path) -> None:
    shutil.copytree(results / "demo" / MOOD, results / "demo/runs/a..b/default/mood-11")
    with pytest.raises(UserError, match="is no document"):
        write_log(results, "withdrawn", ["runs/a..b/default/mood-11"])


def test_a_word_of_nobody_or_of_nothing_is_not_written(
    results: Path, old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log only grows: an entry without a cause would excuse whatever changes later."""
    words = (
        "log",
        "demo/student/default",
        "--what",
        "corrected",
        "--reason",
        "Why.",
        "--results",
        str(results),
    )
    for more, says in (
        (("--by", " "), "needs a name"),
        (("--by", "us", "--against", str(old)), "nothing of it changed"),
    ):
        code, _, said = call(capsys, *words, *more)
        assert code and says in said and not logs.files(results / "demo")
    with pytest.raises(UserError, match="needs a name"):
        attest(verify(results), by="")


def test_no_seed_is_left_out_but_by_the_log(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three = dataclasses.replace(protocol.TRACKS["demo"], seeds=(11, 23, 37))
    monkeypatch.setitem(protocol.TRACKS, "demo", three)
    for seed in (23, 37):
        example.add_run(results, STUDENT, "mood", seed)
    index(results)
    assert verify(results).ok
    write_log(results, "withdrawn", [MOOD])
    index(results)
    assert verify(results).ok, "the log says why the first is not among them"
    shutil.rmtree(results / "demo/log")
    shutil.rmtree(results / "demo" / MOOD)
    index(results)
    (problem,) = verify(results).problems
    assert problem.field == "quality.mood.runs"
    assert (problem.found, problem.expected) == ("seeds 23, 37", "11, 23: the track's, in order")


# --- it only grows ------------------------------------------------------------------------------------------


def changed(name: str, **fields: Any) -> Callable[[Path], None]:
    def change(log: Path) -> None:
        document = read_json(log / name)
        (log / name).write_text(json.dumps({**document, **fields}))

    return change


FORGERIES: dict[str, tuple[Callable[[Path], Any], set[tuple[str, str]]]] = {
    "another reason": (changed("0001.json", reason="A better one."), {("log/0002.json", "previous")}),
    "one left out": (
        lambda log: (log / "0001.json").unlink(),
        {("log/0002.json", "number"), ("log/0002.json", "previous")},
    ),
    "the last renamed": (
        lambda log: (log / "0003.json").rename(log / "0004.json"),
        {("log/0004.json", "number")},
    ),
    "a number twice": (
        changed("0002.json", number=1),
        {("log/0002.json", "number"), ("log/0003.json", "previous")},
    ),
    "an earlier day": (changed("0003.json", date="2025-12-31"), {("log/0003.json", "date")}),
    "no such day": (changed("0003.json", date="2026-02-31"), {("log/0003.json", "date")}),
    "no reason": (changed("0003.json", reason=" "), {("log/0003.json", "reason")}),
    "no documents": (changed("0003.json", documents=[]), {("log/0003.json", "documents")}),
    "another recipe's run": (
        changed(
            "0003.json",
            documents=[{"place": "runs/majority/default/mood-11", "subject": "sha256:" + "0" * 64}],
        ),
        {("log/0003.json", "documents")},
    ),
    "a place outside": (
        changed("0003.json", documents=[{"place": "runs/../../x/y", "subject": "sha256:" + "0" * 64}]),
        {("log/0003.json", "documents.0.place")},
    ),
    "a home folder": (changed("0003.json", reason="see /home/anna/x"), {("log/0003.json", "reason")}),
    "an unknown action": (changed("0003.json", action="deleted"), {("log/0003.json", "action")}),
    "a stranger": (lambda log: (log / "notes.txt").write_text("x"), {("log/notes.txt", "")}),
    "markup and nothing else": (lambda log: (log / "0003.json").write_text("<b>"), {("log/0003.json", "")}),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_log_is_refused_by_file_and_field(results: Path, forgery: str) -> None:
    write_log(results, "extended", [MOOD])
    write_log(results, "extended", ["runs/student/default/same-11"])
    write_log(results, "withdrawn", [MOOD])
    index(results)
    assert verify(results).ok
    change, expected = FORGERIES[forgery]
    change(results / "demo/log")
    found = {one for one in told(verify(results, level="valid")) if one[0].startswith("log/")}
    assert found == expected


def test_a_linked_log_is_not_followed(results: Path, tmp_path: Path) -> None:
    write_log(results, "withdrawn", [MOOD])
    shutil.move(results / "demo/log", tmp_path / "elsewhere")
    (results / "demo/log").symlink_to(tmp_path / "elsewhere")
    assert ("log", "") in told(verify(results))
    assert compute(results / "demo").entries  # as if there were none


# --- against what was published -----------------------------------------------------------------------------


def rerun(results: Path, skill: float) -> None:
    """Replace a run by another one of the same name, as an author who found a mistake would."""
    folder = results / "demo" / MOOD
    shutil.rmtree(folder)
    example.add_run(results, dataclasses.replace(STUDENT, skill=skill), "mood")
    index(results)


@pytest.fixture
def old(results: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results, tmp_path / "old"))


def test_nothing_changed_needs_no_reason(results: Path, old: Path) -> None:
    assert verify(results, against=old).ok
    with pytest.raises(UserError, match="no such folder"):
        verify(results, against=old / "absent")


def test_a_changed_score_needs_a_reason(results: Path, old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    was = entry_of(results).quality["mood"].score
    rerun(results, 0.95)
    now = entry_of(results).quality["mood"].score
    assert abs(now - was) > 1 and verify(results).ok
    found = verify(results, against=old).problems
    assert {(p.file.rpartition("/demo/")[2], p.field) for p in found} == {
        ("entries/student/default.json", "quality.mood.score"),
        (MOOD, ""),
    }
    score = next(problem for problem in found if problem.field)
    assert score.found == repr(now) and repr(was) in score.expected
    typed = "lightboard log demo/student/default --what corrected --reason"
    assert all(typed in problem.fix for problem in found), "the command as it is typed"
    words = ("log", "demo/student/default", "--what", "corrected", "--reason", "Wrong labels.", "--by", "us")
    code, _, _ = call(capsys, *words, "--against", str(old), "--results", str(results))
    assert code == 0
    (entry,) = logs.read(results / "demo")
    assert [named.place for named in entry.documents] == [MOOD]
    assert entry.documents[0].subject == logs.subjects(old / "demo")[MOOD]
    index(results)
    assert entry_of(results).quality["mood"].score == now  # the new document counts
    assert verify(results, against=old).ok
    code, out, _ = call(capsys, "verify", str(results), "--against", str(old))
    assert code == 0, out


def test_a_reason_covers_only_what_it_speaks_of(results: Path, old: Path) -> None:
    rerun(results, 0.95)
    write_log(results, "extended", ["runs/student/default/same-11"], "Something about another task.")
    index(results)
    assert ("entries/student/default.json", "quality.mood.score") in told(verify(results, against=old))


def test_an_old_reason_does_not_cover_a_new_change(results: Path, tmp_path: Path) -> None:
    write_log(results, "extended", [MOOD])
    index(results)
    old = Path(shutil.copytree(results, tmp_path / "published"))
    rerun(results, 0.95)
    assert ("entries/student/default.json", "quality.mood.score") in told(verify(results, against=old))


def test_the_tolerance_is_a_thousandth_of_a_point(results: Path) -> None:
    entry = entry_of(results)

    def moved(by: float) -> Entry:
        quality = entry.quality["mood"]
        there = quality.model_copy(update={"score": quality.score + by})
        return entry.model_copy(update={"quality": {**entry.quality, "mood": there}})

    assert compare.beyond(entry, moved(0.0009)) == []
    assert compare.beyond(entry, moved(-0.0009)) == []
    (figure,) = compare.beyond(entry, moved(0.0011))
    assert figure.field == "quality.mood.score"


def test_a_speed_may_move_within_its_interval(results: Path) -> None:
    entry = entry_of(results)
    low, high = entry.speed[0].ratio.interval or (0.0, 0.0)

    def timed(value: float) -> Entry:
        ratio = entry.speed[0].ratio.model_copy(update={"value": value})
        line = entry.speed[0].model_copy(update={"ratio": ratio})
        return entry.model_copy(update={"speed": (line, *entry.speed[1:])})

    assert compare.beyond(entry, timed(low)) == compare.beyond(entry, timed(high)) == []
    for value in (low * 0.999, high * 1.001):
        (figure,) = compare.beyond(entry, timed(value))
        assert figure.field == "speed.example/onnx/fp32/single-stream/trace.ratio.value"
    (gone,) = compare.beyond(entry, entry.model_copy(update={"speed": entry.speed[1:]}))
    assert gone.new is None
    for name in ("30", "30-deadbeef"):  # of a later day; and of another machine of the same day
        place = entry.speed[0].measurement[:-2] + name
        newer = entry.speed[0].model_copy(update={"measurement": place})
        assert compare.beyond(entry, entry.model_copy(update={"speed": (newer, *entry.speed[1:])})) == []


def test_a_row_does_not_leave_its_division_ranking_or_retention_unseen(results: Path) -> None:
    entry = entry_of(results)
    assert entry.ranks is not None
    (figure,) = compare.beyond(entry, entry.model_copy(update={"division": "open"}))
    assert (figure.field, figure.found()) == ("division", "open") and "standard" in figure.allowed()
    (figure,) = compare.beyond(entry, entry.model_copy(update={"ranks": None}))
    assert (figure.field, figure.found()) == ("ranks", "nothing")
    lower = entry.ranks.model_copy(update={"lowest": 2, "highest": 3, "of": 3})
    assert compare.beyond(entry, entry.model_copy(update={"ranks": lower})) == [], "a better row may be added"

    quality = entry.quality["mood"]
    assert quality.retention is not None and quality.retention.interval is not None
    for value, fields in ((quality.retention.interval[1], []), (9.0, ["quality.mood.retention"])):
        moved = quality.retention.model_copy(update={"value": value})
        there = {**entry.quality, "mood": quality.model_copy(update={"retention": moved})}
        found = compare.beyond(entry, entry.model_copy(update={"quality": there}))
        assert [figure.field for figure in found] == fields


def test_removed_documents_entries_logs_and_tracks_are_missed(results: Path, tmp_path: Path) -> None:
    write_log(results, "extended", [MOOD])
    index(results)
    old = Path(shutil.copytree(results, tmp_path / "published"))
    shutil.rmtree(old / "demo/attestations", ignore_errors=True)
    shutil.rmtree(results / "demo/runs/student")
    shutil.rmtree(results / "demo/log")
    index(results)
    found = told(verify(results, against=old))
    assert ("log/0001.json", "") in found
    assert ("entries/student/default.json", "") in found
    assert (MOOD, "") in found
    shutil.copytree(old / "demo", old / "mini")
    shutil.rmtree(old / "mini/log")
    assert any(p.file.endswith("/mini") for p in verify(results, against=old).problems)


# --- side by side -------------------------------------------------------------------------------------------


def test_a_comparison_shows_old_new_nearest_and_ties(results: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(results, tmp_path / "old"))
    twin = example.Row("twin", skill=0.88, layers=3, timed=False)
    for task in twin.tasks:
        example.add_run(results, twin, task)
    rerun(results, 0.885)
    found = {one.entry: one for one in compare.compare(old, results)}
    assert set(found) >= {"twin/default", "student/default"}
    new, student = found["twin/default"], found["student/default"]
    assert (new.what, new.old) == ("new", None) and new.new is not None
    assert student.what == "changed" and student.old != student.new
    assert student.reasons_needed == ("quality.mood.score",)
    gone = {one.entry: one for one in compare.compare(results, old)}["twin/default"]
    assert (gone.what, gone.reasons_needed) == ("gone", ("the whole entry",))
    scores = {e.recipe: e.board_score.value for e in entries(results) if e.board_score}
    by_distance = sorted(set(scores) - {"twin"}, key=lambda name: abs(scores[name] - scores["twin"]))
    assert [near.entry.split("/")[0] for near in new.nearest] == by_distance[:2]
    ranks = {e.recipe: e.ranks for e in entries(results) if e.ranks}
    tied = {
        name
        for name, r in ranks.items()
        if name != "twin" and r.lowest <= ranks["twin"].highest and ranks["twin"].lowest <= r.highest
    }
    assert {name.split("/")[0] for name in new.became_tied} == tied
    text = compare.markdown(list(found.values()))
    head, rule, *lines = [line for line in text.splitlines() if line.startswith("|")]
    assert rule == "|" + " --- |" * (head.count("|") - 1)
    assert all(line.count("|") == head.count("|") for line in lines)
    assert compare.markdown(compare.compare(results, results)) == "No entry changed.\n"
    json.dumps(compare.as_dicts(list(found.values())), allow_nan=False)


# --- on the board -------------------------------------------------------------------------------------------


class Text(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.links = "", []  # type: tuple[str, list[str]]
        self.feed(path.read_text(encoding="utf-8"))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attributes if name == "href" and value]


def test_the_board_shows_the_log(results: Path, tmp_path: Path) -> None:
    reason = "Trained on dev <script>alert(1)</script>"
    write_log(results, "withdrawn", [MOOD], reason)
    index(results)
    site = board.build(results, tmp_path / "site").parent
    for page in ("changes.html", "tracks/demo/entries/student/default.html"):
        shown = Text(site / page)
        assert reason in shown.text and "2026-02-01, withdrawn" in shown.text and MOOD in shown.text
        assert "<script>" not in (site / page).read_text(encoding="utf-8")
        (link,) = [link for link in shown.links if link.endswith("log/0001.json")]
        assert read_json((site / page).parent / link) == read_json(results / "demo/log/0001.json")
    assert reason not in Text(site / "tracks/demo/entries/reference/default.html").text


def test_a_board_without_changes_says_so(results: Path, tmp_path: Path) -> None:
    site = board.build(results, tmp_path / "site").parent
    assert "No published row has changed yet." in Text(site / "changes.html").text
