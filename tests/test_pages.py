"""The pages behind the board: methods, hardware, entries, comparing, submitting; what a local build shows more."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import example_results as example
import numpy as np
import pytest

from suite import board, paths, reproduce, signing, statistics
from suite.board import cut, submit_page
from suite.board.compare import data, paired
from suite.board.compare import page as compare_page
from suite.board.entries import exits, quality
from suite.board.entries.page import entry_sheet
from suite.board.evidence import Evidence
from suite.board.hardware import curves
from suite.board.measurements.page import measurement_sheet
from suite.board.methods import diagram, findings, published
from suite.board.methods.page import method_page
from suite.board.pages import parts
from suite.board.site import Links, Site, load_site, measurement_page
from suite.board.text import Missing, counted
from suite.documents import EmptyCell, Measurement
from suite.folder import subject, write, write_file
from suite.index import entries as stored_entries
from suite.index import index
from suite.protocol import TRACKS
from suite.recipe import ReportedScore, Transfer

ROWS = (
    example.Row("reference", skill=0.93, layers=6),
    example.Row("majority", skill=0.5, layers=0, speed=900.0),
    example.Row("tinybert", skill=0.88, layers=3, speed=1.9, departures=("fewer copies",)),
    example.Row("tinybert-without-attention", skill=0.80, layers=3, timed=False, ablation_of="tinybert"),
    example.Row("theseus", skill=0.86, layers=3, speed=1.8),
    example.Row("fastbert", "layers-3", default="layers-3", skill=0.84, layers=6, speed=1.5),
    example.Row("fastbert", "layers-2", default="layers-3", skill=0.78, layers=6, timed=False),
    example.Row("distillation", skill=0.82, layers=2, timed=False),
)
SEEDS = (11, 23)
TRACK = "demo"
PROFILE = "hardware/example.html"
LENGTHS = ((16, 2.0), (32, 3.5), (64, 6.0), (128, 11.0))
EXITS = {"1": {"12": 100}, "2": {"12": 60, "30": 40}, "6": {"30": 50}}


# --- a results tree with everything in it -------------------------------------------------------------------


def measured(results: Path, row: example.Row, **changed: Any) -> None:
    """Another measurement of a row: its document with some fields changed."""
    files = example.measurement_files(row)
    document = {**json.loads(files["measurement.json"]), **changed}
    place = results / TRACK / "measurements" / row.recipe / row.variant
    name = f"{document['profile']}-{document['runtime']}-reference-{document['arrival']}-{document['inputs']}"
    write(place / f"{name}-{example.DATE}", {**files, "measurement.json": example.to_bytes(document)})


def by_length(factor: float) -> list[dict[str, Any]]:
    return [
        {
            "tokens": tokens,
            "ratio": {"value": factor, "interval": [factor / 1.02, factor * 1.02], "pairs": 4},
            "latency_ms": ms / factor,
            "reference_latency_ms": ms,
        }
        for tokens, ms in LENGTHS
    ]


def offline() -> dict[str, Any]:
    def ladder(factor: float) -> list[dict[str, Any]]:
        rates = ((1, 100.0), (8, 260.0), (32, 310.0))
        told = [{"batch": b, "seconds": [1.0], "queries_per_second": factor * rate} for b, rate in rates]
        return [*told, {"batch": 128, "reason": "out of memory"}]

    return {
        "batch": 32,
        "reference_batch": 32,
        "ladder": ladder(2.0),
        "reference_ladder": ladder(1.0),
        "queries_per_second": 620.0,
        "reference_queries_per_second": 310.0,
        "padding": 0.05,
    }


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pages") / "results"
    rows = {(row.recipe, row.variant): row for row in ROWS}
    example.build(out, ROWS, SEEDS)
    for name in ("tinybert", "theseus"):
        row = rows[name, "default"]
        measured(out, row, inputs="lengths", by_length=by_length(row.speed))
    measured(out, rows["tinybert", "default"], arrival="offline", offline=offline())
    for folder in sorted((out / TRACK / "runs" / "fastbert").glob("*/*")):
        document = example.read(folder, "run.json")
        document["model"]["exits"] = EXITS
        example.forge(folder, "run.json", document)
    index(out)
    return out


@pytest.fixture(scope="session")
def made(results: Path) -> Path:
    return board.build(results, results.parent / "site").parent


@pytest.fixture(scope="session")
def local(results: Path) -> Path:
    """A build with the data at hand: the example tree is of generated tasks, whose data is always at hand."""
    return board.build(results, results.parent / "local", "generated").parent


@pytest.fixture(scope="session")
def seen(results: Path) -> Site:
    return load_site(stored_entries(results), results)


class Text(HTMLParser):
    """Words of a page, and the cells of its tables by id."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.idents: set[str] = set()
        self._table = ""
        self._depth = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.idents.add(str(given["id"]))
        if tag == "table":
            self._table = str(given.get("id"))
            self.tables[self._table] = []
        elif self._table and tag == "tr":
            self.tables[self._table].append([])
        elif self._table and tag in ("td", "th"):
            self.tables[self._table][-1].append("")
            self._depth = 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._table = ""
        if tag in ("td", "th"):
            self._depth = 0

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._table and self._depth:
            self.tables[self._table][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def row(self, table: str, name: str) -> list[str]:
        return next(
            [" ".join(cell.split()) for cell in row]
            for row in self.tables[table]
            if row and " ".join(row[0].split()).startswith(name)
        )


def page(site: Path, name: str) -> Text:
    return Text(site / name)


def number(text: str) -> float:
    """The first number of a cell."""
    found = re.search(r"−?[\d,]+(?:\.\d+)?", text.replace("\u2007", "").replace("\u2008", ""))
    assert found, text
    return float(found[0].replace("−", "-").replace(",", ""))


# --- methods ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layers, teacher, student, expected",
    [
        ("each", 6, 3, [(1, 1), (2, 2), (3, 3)]),
        ("spread", 12, 4, [(3, 3), (6, 6), (9, 9), (12, 12)]),  # TinyBERT, section 3.1: g(m) = 3m
        ("groups", 6, 3, [(1, 2), (3, 4), (5, 6)]),  # Theseus: a module replaces a pair of layers
        ("kept", 12, 6, [(1, 1), (3, 3), (5, 5), (7, 7), (9, 9), (11, 11)]),  # DynaBERT: every other layer
        ("kept", 6, 4, [(1, 1), (2, 2), (4, 4), (5, 5)]),  # floor(j / m) for m = 2/3
        ("teacher_layers", 6, 3, [(1, 1), (3, 3), (6, 6)]),  # counted from 0 in the recipe
    ],
)
def test_arrows_join_the_layers_that_the_method_joins(
    layers: str, teacher: int, student: int, expected: list[tuple[int, int]]
) -> None:
    left = diagram.stack_of("Teacher", {"layers": teacher, "hidden": 384})
    right = diagram.stack_of("Student", {"layers": student, "hidden": 192})
    assert left and right
    transfer = Transfer(what="states", at="layers", layers=layers)
    (arrow,) = diagram.arrows([transfer], "mini", left, right, {"teacher_layers": [0, 2, 5]})
    assert [source for source, _ in arrow.pairs] == expected
    assert [target for _, target in arrow.pairs] == list(range(1, student + 1))


def test_no_arrow_leads_to_a_layer_that_is_not_there() -> None:
    left, right = (diagram.stack_of("x", {"layers": n, "hidden": 8}) for n in (3, 6))
    assert left and right
    assert diagram.arrows([Transfer(what="x", at="layers")], "mini", left, right, {}) == []
    named = Transfer(what="x", at="layers", layers="teacher_layers")
    for wrong in ({}, {"teacher_layers": "all"}, {"teacher_layers": [0, 1]}, {"teacher_layers": [9] * 6}):
        assert diagram.arrows([named], "mini", left, right, wrong) == []


def test_the_diagram_is_drawn_from_the_runs_configurations(made: Path) -> None:
    found = page(made, "methods/tinybert.html")
    assert "Teacher: the reference: six layers: width 16, heads 2 and feed-forward 32." in found.text
    rows = found.tables["diagram-demo-table"][1:]
    states = [row[1:] for row in rows if "hidden states" in row[0]]
    assert states == [["layer 2", "layer 1"], ["layer 4", "layer 2"], ["layer 6", "layer 3"]]
    own = page(made, "methods/fastbert.html")
    exits = [row[1:] for row in own.tables["diagram-demo-table"][1:]]
    assert exits == [["its own answers", f"exit after layer {n}"] for n in range(1, 6)]
    assert "It takes nothing from a teacher" in page(made, "methods/majority.html").text


def test_findings_follow_from_the_entries(seen: Site) -> None:
    """Every sentence of every method against a plain search through the stored entries."""
    view = seen.default_view(TRACK)
    links = Links("methods/x.html")
    whole = next(e for e in seen.entries if e.recipe == "reference")
    said = 0
    for entry in (e for e in seen.of(TRACK) if e.default):
        tasks = sorted(entry.quality)
        others = [
            e for e in seen.of(TRACK) if e.default and e.recipe not in ("reference", "majority", entry.recipe)
        ]
        good = [one.text for one in findings.strengths(seen, links, entry, view, tasks)]
        bad = [one.text for one in findings.weaknesses(seen, links, entry, view, tasks)]
        for task in tasks:
            title = seen.task(task).title
            best = max(others, key=lambda e: e.quality[task].score)
            leads = [text for text in good if text.startswith("Scores highest") and title in text]
            expected = entry.recipe not in ("reference", "majority") and paired.surely_above(
                seen, entry, best, task
            )
            assert bool(leads) == expected, (entry.recipe, task)
            for text in bad:
                named = [
                    e for e in others if text.startswith(f"{seen.label(e)} scores higher") and title in text
                ]
                assert all(paired.surely_above(seen, e, entry, task) for e in named), (entry.recipe, task)
        shares = [text for text in good if "of the reference’s parameters" in text]
        if entry.recipe != "reference":
            share = 100 * entry.cost.parameters.total / whole.cost.parameters.total
            assert bool(shares) == (share < 100)
            if shares and share >= 1:
                assert f"Has {share:.0f}% of" in shares[0]
        losses = [text for text in bad if text.startswith("Loses")]
        kept = {t: entry.quality[t].retention for t in tasks if entry.quality[t].retention is not None}
        surely = {t: r for t, r in kept.items() if r.value < 0.95 and r.interval and r.interval[1] < 1}  # type: ignore[union-attr]
        assert bool(losses) == (bool(surely) and entry.recipe != "reference")
        if losses:
            worst = min(surely, key=lambda t: surely[t].value)  # type: ignore[union-attr]
            assert seen.task(worst).title in losses[0]
        said += len(good) + len(bad)
    assert said > 12


def test_a_rival_is_named_only_where_the_difference_is_more_than_chance(seen: Site) -> None:
    """By the paired interval where answers are at hand, by intervals that do not overlap where not."""
    entry, other = (next(e for e in seen.of(TRACK) if e.recipe == name) for name in ("tinybert", "fastbert"))
    same = paired.comparable(seen, TRACK).difference(entry, other, ["mood"])
    assert not isinstance(same, Missing)
    assert paired.surely_above(seen, entry, other, "mood") == (same.interval[0] > 0)
    assert not paired.surely_above(seen, entry, entry, "mood")
    lone = dataclasses.replace(seen, kept={}, evidence=Evidence(Path("nowhere")))
    low, high = (e.quality["mood"].interval for e in (other, entry))
    assert paired.surely_above(lone, entry, other, "mood") == (high[0] > low[1])


def test_a_rival_that_is_no_heavier_and_scores_higher_is_named(made: Path) -> None:
    text = page(made, "methods/theseus.html").text
    assert "TinyBERT scores higher with no more arithmetic on" in text


def test_parts_of_the_pages_can_be_made_apart(results: Path, seen: Site, made: Path) -> None:
    whole = {page.path: page for part in parts(seen) for page in part()}
    assert sum(1 for part in parts(seen) for _ in part()) == len(whole), "a page is made twice"
    assert {"index.html", "methods.html", "methods/tinybert.html", PROFILE, "changes.html"} <= set(whole)
    assert all((made / path).is_file() for path in whole)
    last = [p.path for p in parts(load_site(seen.entries, results))[-1]()]  # alone, with nothing found before
    assert {"methods.html", "submit.html"} <= set(last)


def test_papers_stand_beside_ours_in_one_formula(tmp_path: Path) -> None:
    score = ReportedScore(metric="accuracy", teacher=92.7, student=91.3)
    kept = published.retention_of(score, 50.917)
    assert kept == pytest.approx((91.3 - 50.917) / (92.7 - 50.917))
    assert isinstance(published.retention_of(ReportedScore(metric="f1", student=80.0), 50.0), Missing)
    assert isinstance(
        published.retention_of(ReportedScore(metric="f1", teacher=40, student=45), 50.0), Missing
    )
    committed = paths.root() / "results"
    site = load_site(stored_entries(committed), committed)
    majority = published.majority_of(site, "cola", "matthews")
    assert majority == 0.0  # Matthews' coefficient of one answer for all
    assert isinstance(published.majority_of(site, "mrpc", "not stated"), Missing)
    (first, *_) = published.published(site, Links("methods/distilbert.html"), "distilbert", [])
    rows = {row.head.text: row for row in first.table.rows}
    assert rows["CoLA"].cells[3].text.strip() == f"{51.3 / 56.3:.2f}"
    assert rows["MRPC"].cells[3].reason == "the source does not say which metric"
    assert all("literature" in row.tags for row in first.table.rows)


def test_ablations_are_drawn_and_tabled(made: Path, seen: Site) -> None:
    found = page(made, "methods/tinybert.html")
    (ablation,) = seen.ablations(TRACK, "tinybert")
    for place, task in enumerate(("mood", "same"), start=1):
        shown = found.tables["ablations-demo"][1][place]
        assert number(shown) == round(ablation.differences[task].value, 1)
        assert f"ablation-demo-{task}-title" in found.idents
    assert "entries/tinybert-without-attention/default.html" in (made / "methods/tinybert.html").read_text()


def test_an_ablations_page_says_what_it_is(made: Path, seen: Site) -> None:
    found = page(made, "tracks/demo/entries/tinybert-without-attention/default.html")
    (entry,) = (e for e in seen.entries if e.ablation_of)
    changed = seen.ablation(entry.recipe)
    assert (
        f"TinyBERT, {changed[0].lower()}{changed[1:]}" in found.text
        and "Not ranked: an ablation." in found.text
    )
    assert number(found.tables["against"][1][1]) == round(entry.differences["mood"].value, 1)
    assert (
        "methods/tinybert.html#ablations-demo"
        in (made / "tracks/demo/entries" / entry.recipe / "default.html").read_text()
    )


def test_knobs_are_swept_where_there_are_variants(made: Path, seen: Site) -> None:
    found = page(made, "methods/fastbert.html")
    assert "knob-demo-mood-title" in found.idents
    names, scores = zip(*((line[0], number(line[1])) for line in found.tables["knobs-demo"][1:]), strict=True)
    rows = {e.variant: e.quality["mood"].score for e in seen.of_recipe("fastbert")}
    rows["Reference"] = seen.reference("demo").quality["mood"].score  # type: ignore[union-attr]
    assert dict(zip(names, scores, strict=True)) == {name: round(score, 1) for name, score in rows.items()}
    assert "What its knobs trade" not in page(made, "methods/tinybert.html").text


def test_of_very_many_variants_the_knobs_show_the_best(seen: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "PRINTED", 2)
    slow = next(e for e in seen.of_recipe("fastbert") if not e.default)
    another = slow.model_copy(update={"variant": "layers-1", "board_score": None})
    site = load_site([*seen.entries, another], seen.evidence.results)
    (part,) = method_page(site, "fastbert").context["parts_of"]
    twin = part["knobs"].twin
    assert [row.head.text for row in twin.rows] == ["layers-2", "layers-3", "Reference"]
    assert twin.notes == ("The first 2 of 3 rows; the downloads hold all of them.",)


def test_a_methods_own_chart_shows_it_beside_the_reference_alone(made: Path) -> None:
    text = (made / "methods/fastbert.html").read_text(encoding="utf-8")
    (chart,) = re.findall(r'<svg[^>]*"family-demo-speed-wide-title .*?</svg>', text, re.DOTALL)
    drawn = set(re.findall(r'data-entry="([^"]+)"', chart))
    assert drawn == {"reference/default", "fastbert/layers-3", "fastbert/layers-2"}


def test_curves_are_drawn_and_tabled(made: Path, seen: Site) -> None:
    (entry,) = (e for e in seen.entries if e.recipe == "tinybert")
    found = page(made, "tracks/demo/entries/tinybert/default.html")
    logged = {  # its runs of both tasks logged the same, so each curve stands once
        (f"All tasks, {line.phase}: {line.name}", f"seed {document.seed}"): line
        for _, document in quality.run_documents(seen, entry)
        for line in document.curves
    }
    table = found.tables["curve-ends"][1:]
    assert len(table) == len(logged) > 0
    for name, seed, steps, *_, last in table:
        line = logged[name, seed]
        assert int(steps.replace(",", "")) == line.steps[-1]
        assert number(last) == pytest.approx(line.values[-1], rel=0.01, abs=0.001)


def test_an_offline_measurement_is_made_again_by_its_own_command(seen: Site) -> None:
    (entry,) = (e for e in seen.entries if e.recipe == "tinybert")
    lines = reproduce.commands(entry)
    assert sum("--arrival offline" in line for line in lines) == 1
    assert sum("--inputs lengths" in line for line in lines) == 1


def test_training_cost_is_told_beside_the_references(made: Path, seen: Site) -> None:
    text = page(made, "methods/tinybert.html").text
    entry = next(e for e in seen.entries if e.recipe == "tinybert")
    assert f"{entry.training_cost.tokens:,} tokens" in text and "fine-tuning the reference takes" in text


# --- hardware -----------------------------------------------------------------------------------------------


def test_latency_by_length_is_a_curve_and_a_table(made: Path) -> None:
    found = page(made, PROFILE)
    assert {"lengths-demo-wide-title", "lengths-demo-narrow-title"} <= found.idents
    for name, speed in (("TinyBERT", 1.9), ("BERT-of-Theseus", 1.8)):
        row = found.row("lengths-demo-table", name)
        assert [number(cell) for cell in row[2:]] == pytest.approx(
            [ms / speed for _, ms in LENGTHS], rel=0.01
        )
    lent = found.row("lengths-demo-table", "Reference")  # timed beside the first row: drawn and tabled alike
    assert [number(cell) for cell in lent[2:]] == [ms for _, ms in LENGTHS]
    batches = found.row("batches-demo-table", "TinyBERT")
    assert [number(cell) for cell in batches[2:]] == [
        200,
        520,
        620,
    ]  # the batch that ran out of memory has no point


def test_the_references_own_curve_is_the_one_that_is_drawn(seen: Site) -> None:
    """Its own measurement, in a session of its own, and not what was timed beside another row."""
    reference = seen.reference(TRACK)
    entry = next(e for e in seen.of(TRACK) if e.recipe == "tinybert")
    document = next(d for line in entry.speed if (d := seen.measured(TRACK, line.measurement)).by_length)  # type: ignore[union-attr]
    assert reference is not None and isinstance(document, Measurement)
    rows = [
        curves._Measured(e, document, "x", own, ((16.0, 9.0), (32.0, 9.0)))
        for e, own in ((entry, ((16.0, 1.0), (32.0, 2.0))), (reference, ((16.0, 3.0), (32.0, 4.0))))
    ]
    own, lent = curves._reference(seen, rows), curves._reference(seen, rows[:1])
    assert own and lent and own.points == rows[1].own and lent.points == rows[0].reference


def test_index_and_profile_count_the_same(made: Path, seen: Site) -> None:
    rows = [(e, line) for e in seen.of(TRACK) for line in e.speed if line.profile == "example"]
    places = {line.measurement for _, line in rows}
    said = f"ablations aside, timed in {counted(len(places), 'measurement')}"
    assert said in page(made, PROFILE).text and said in page(made, "hardware.html").text
    assert f"{counted(len({id(e) for e, _ in rows}), 'entry', 'entries')}, {said}".lower() in (
        page(made, "hardware.html").text.lower()
    )


def test_a_profile_says_what_it_needs(made: Path) -> None:
    assert "needs a GPU" in page(made, "hardware/gpu.html").text
    assert "512 MiB (537 MB)" in page(made, "hardware/edge-emulated.html").text


def test_runtimes_stand_beside_methods(made: Path, seen: Site) -> None:
    found = page(made, PROFILE)
    head = found.tables["matrix-demo"][0]
    assert any("onnx" in cell for cell in head)
    row = found.row("matrix-demo", "TinyBERT")
    line = next(
        s for e in seen.entries for s in e.speed
        if (e.recipe, s.runtime, s.arrival, s.inputs) == ("tinybert", "onnx", "single-stream", "trace")
    )  # fmt: skip
    place = next(i for i, cell in enumerate(head) if cell.split()[:1] == ["onnx"])
    assert number(row[place]) == pytest.approx(line.ratio.value, abs=0.006)


def test_a_profile_that_nobody_answered_says_so(made: Path) -> None:
    text = page(made, "hardware/raspberry-pi-5.html").text
    assert "waiting for a device" in text and "What it requires" in text and "lightboard kit" in text


# --- entries ------------------------------------------------------------------------------------------------


def test_times_are_drawn_as_they_were_measured(made: Path, seen: Site, results: Path) -> None:
    entry = next(e for e in seen.entries if e.recipe == "tinybert")
    line = next(s for s in entry.speed if (s.arrival, s.inputs) == ("single-stream", "trace"))
    samples = Evidence(results).samples(TRACK, line.measurement)
    assert not isinstance(samples, Missing)
    own = sorted(
        ns / 1e6 for ns, side in zip(samples["nanoseconds"], samples["side"], strict=True) if side == 1
    )
    assert f"times-{line.measurement}-title" in page(made, "tracks/demo/entries/tinybert/default.html").idents
    found = page(made, measurement_page(TRACK, line.measurement))
    assert f"times-{line.measurement}-title" in found.idents
    rows = {row[0].strip(): number(row[1]) for row in found.tables["times"][1:]}
    assert rows["Fastest"] == pytest.approx(own[0], rel=2e-3)
    assert rows["Slowest"] == pytest.approx(own[-1], rel=2e-3)
    assert rows["Median"] == pytest.approx(float(np.median(own)), rel=2e-3)


def test_a_measurement_names_the_entries_that_inherit_it(results: Path, tmp_path: Path) -> None:
    entries = stored_entries(results)
    timed = next(e for e in entries if e.recipe == "tinybert")
    other = next(e for e in entries if e.recipe == "distillation")
    lines = [line.model_copy(update={"inherited": True}) for line in timed.speed]
    site = load_site([timed, other.model_copy(update={"speed": lines})], results)
    place = timed.speed[0].measurement
    table = measurement_sheet(site, TRACK, place).context["entries"]
    assert [(row.head.href.rpartition("entries/")[2], row.cells[0].text) for row in table.rows] == [
        ("distillation/default.html", "inherited"),
        ("tinybert/default.html", "timed"),
    ]
    alone = load_site([timed], results)
    assert measurement_sheet(alone, TRACK, place).context["entries"] is None


def test_a_measurement_that_is_not_here_says_so(results: Path) -> None:
    """Of a document of the layout there is a page; other names lead to the entry's own table."""
    timed = next(e for e in stored_entries(results) if e.recipe == "tinybert")
    places = ["measurements/tinybert/default/gone", "../../etc/passwd"]
    lines = [timed.speed[0].model_copy(update={"measurement": place}) for place in places]
    entry = timed.model_copy(update={"speed": lines})
    site = load_site([entry], results)
    assert list(site.naming(TRACK)) == places[:1]
    assert (
        measurement_sheet(site, TRACK, places[0]).context["missing"]
        == "the document is not in this results tree"
    )
    assert Links("index.html").measured(entry, places[1]) == "tracks/demo/entries/tinybert/default.html#speed"


def test_what_was_tried_in_vain_is_a_row_with_its_reason(results: Path) -> None:
    entry = next(e for e in stored_entries(results) if e.recipe == "tinybert")
    tried = EmptyCell(
        profile="example", runtime="openvino", arrival="single-stream", inputs="trace", task="mood",
        reason="it cannot hold this model", date="2026-11-30",
    )  # fmt: skip
    entry = entry.model_copy(update={"empty": (tried,)})
    table = entry_sheet(load_site([entry], results), entry).context["speeds"]
    row = table.rows[-1]
    assert len(row.cells) + 1 == len(table.columns) and row.cells[0].text == "openvino"
    assert row.cells[2].reason == "tried on 2026-11-30: it cannot hold this model"
    assert all(cell.reason for cell in row.cells[2:])


def test_exits_are_a_histogram_and_a_table(made: Path) -> None:
    found = page(made, "tracks/demo/entries/fastbert/layers-3.html")
    assert "exits-mood-title" in found.idents
    row = found.tables["exits"][1]
    assert [number(cell) for cell in row[2:]] == pytest.approx([40.0, 40.0, 0.0, 0.0, 0.0, 20.0])
    assert number(row[1]) == pytest.approx((100 * 1 + 100 * 2 + 50 * 6) / 250)


def test_exits_of_a_page_share_a_scale(seen: Site) -> None:
    """A share stands as high in one panel as in the next: the largest is at the top of its own alone."""
    entry = next(e for e in seen.entries if e.variant == "layers-3")
    runs = quality.run_documents(seen, entry)
    task, document = next((task, one) for task, one in runs if task == "same")
    model = document.model.model_copy(update={"exits": {"1": {"12": 90}, "6": {"12": 10}}})
    changed = document.model_copy(update={"model": model})
    site = dataclasses.replace(seen, kept={"run documents": (entry, [("mood", runs[0][1]), (task, changed)])})
    found = exits.exits(site, entry)
    assert found is not None and [">90%<" in chart for _, chart in found.charts] == [True, True]


def test_confusion_needs_the_data(made: Path, local: Path, results: Path, seen: Site) -> None:
    name = "tracks/demo/entries/tinybert/default.html"
    assert "lightboard site --data" in page(made, name).text
    assert not any(table.startswith("confusion-") for table in page(made, name).tables)
    shown = page(local, name)
    task = seen.task("mood")
    truth = example.gold_of("mood")["dev"].labels
    counted = {(a, b): 0 for a in range(len(task.labels)) for b in range(len(task.labels))}
    for seed in SEEDS:
        table = Evidence(results).predictions(TRACK, f"runs/tinybert/default/mood-{seed}", task)
        assert not isinstance(table, Missing)
        for row, scores in zip(table["dev"].row, table["dev"].scores, strict=True):
            counted[int(truth[row]), int(np.argmax(scores))] += 1
    for a, cells in enumerate(shown.tables["confusion-mood-dev"][1:]):
        for b in range(len(task.labels)):
            assert cells[1 + b].split()[-1] == f"{counted[a, b]:,}"


def test_no_text_and_no_gold_label_leaves_a_published_build(made: Path, local: Path) -> None:
    from suite.data.generated import examples

    _, dev = examples("mood")
    texts = [str(row["a"]) for row in dev[:200]]
    published_pages = "".join(p.read_text() for kind in ("*.html", "*.js") for p in made.rglob(kind))
    assert not any(text in published_pages for text in texts)
    assert not list(made.rglob("texts/*")) and "Not for publishing" not in published_pages
    shown = (local / "tracks/demo/compare/texts/mood.js").read_text()
    assert sum(text in shown for text in texts) > 150
    assert "Not for publishing" in page(local, "index.html").text


def test_trust_lists_checks_and_signatures(results: Path, tmp_path: Path) -> None:
    if not signing.available():
        pytest.skip("cryptography is not installed")
    own = tmp_path / "results"
    shutil.copytree(results, own)
    place = "runs/tinybert/default/mood-11"
    signing.generate(tmp_path / "key.pem")
    one = signing.sign({place: subject(own / TRACK / place)}, tmp_path / "key.pem")
    write_file(own / TRACK / signing.FOLDER / signing.file_name(one), signing.content(one))
    text = page(board.build(own, tmp_path / "site").parent, "tracks/demo/entries/tinybert/default.html").text
    assert f"key {signing.fingerprint(one.key)}: 1 of" in text and "the signature holds" in text
    assert "Nobody has attested" in text
    forged = own / TRACK / place
    example.forge(forged, "run.json", {**example.read(forged, "run.json"), "score_sd": 0.0})
    text = page(board.build(own, tmp_path / "site").parent, "tracks/demo/entries/tinybert/default.html").text
    assert "the signature holds" not in text  # it is over other bytes


# --- comparing ----------------------------------------------------------------------------------------------


def simulated(
    one: paired.Scored, other: paired.Scored, spread: Any, draws: int = 200_000
) -> tuple[float, float]:
    """Half-width and p of a difference by drawing errors, instead of by the mixture's distribution."""
    random = np.random.default_rng(5)
    a, b = (np.mean(e.evidence.influences, axis=0) for e in (one, other))
    examples = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    runs = 1 / len(one.evidence.scores) + 1 / len(other.evidence.scores)
    chi = random.chisquare(spread.degrees, draws)
    seeds = np.maximum(spread.sd**2 * spread.degrees / chi - spread.overlap, 0) * runs
    errors = random.standard_normal(draws) * np.sqrt(examples + seeds)
    value = np.mean(one.evidence.scores) - np.mean(other.evidence.scores)
    return float(np.quantile(np.abs(errors), 0.95)), float((np.abs(errors) > abs(value)).mean())


def test_pairs_that_matter_are_printed(made: Path, seen: Site) -> None:
    found = paired.comparable(seen, TRACK)
    text = page(made, "tracks/demo/compare.html")
    one, other = (found.rows[name]["mood"] for name in ("tinybert/default", "reference/default"))
    row = text.row("against-reference", "TinyBERT")
    value = float(np.mean(one.evidence.scores) - np.mean(other.evidence.scores))
    half, p = simulated(one, other, found.spreads["mood"])
    assert number(row[2]) == pytest.approx(value, abs=0.051)
    said = re.search(r"(−?[\d.]+)(?: to |–)(−?[\d.]+), p (<|[\d.]+)", row[2])
    assert said
    low, high = (float(end.replace("−", "-")) for end in said.groups()[:2])
    assert (low, high) == (pytest.approx(value - half, abs=0.15), pytest.approx(value + half, abs=0.15))
    assert said[3] == "<" or float(said[3]) == pytest.approx(p, abs=0.01)
    differ = [a != b for a, b in zip(one.said, other.said, strict=True)]
    assert 0 < sum(differ) < len(differ)
    both = {}
    for task in ("mood", "same"):
        one, other = (found.rows[name][task] for name in ("tinybert/default", "reference/default"))
        both[task] = 100 * float((one.said != other.said).mean())
    assert number(row[-1]) == pytest.approx(sum(both.values()) / 2, abs=0.051)

    site = dataclasses.replace(seen, kept={}, tasks={**seen.tasks})  # two numbers are hardly ever the same
    site.tasks["same"] = dataclasses.replace(site.task("same"), labels=())
    tables = next(compare_page.compare_pages(site, TRACK)).context["tables"]
    told = next(row for row in tables[0].rows if row.head.text == "TinyBERT")
    assert number(told.cells[-1].text) == pytest.approx(both["mood"], abs=0.051)
    assert tables[0].columns[-1].unit.endswith("mean of 1") and "the mean over Mood" in tables[0].notes[0]


def test_every_compared_link_names_entries_of_the_page(made: Path, seen: Site) -> None:
    known = {f"{e.recipe}/{e.variant}" for e in seen.of(TRACK)}
    links = re.findall(r'#entries=([^"]+)"', "".join(p.read_text() for p in made.rglob("*.html")))
    assert links and all(set(link.split(",")) <= known for link in links)


def test_data_for_comparing_is_script_that_holds_no_markup(made: Path) -> None:
    for path in made.rglob("compare/**/*.js"):
        text = path.read_text(encoding="ascii")
        assert text.startswith("lightboardCompared") and "<" not in text
        json.loads(text[text.index("{") : text.rindex("}") + 1])


# --- submitting and the rest --------------------------------------------------------------------------------


def test_how_to_submit_names_commands_that_exist(made: Path) -> None:
    from typer.main import get_command

    from suite.cli import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    pages = [made / "submit.html", *(made / "hardware").glob("*.html"), *(made / "methods").glob("*.html")]
    commands = {word for path in pages for word in re.findall(r"lightboard ([a-z]+) ", Text(path).text)}
    assert {"run", "measure", "index", "verify", "submit", "compare"} <= commands <= known
    assert "lightboard submit demo/tinybert/default" in page(made, "submit.html").text


def test_what_is_wanted_is_computed(made: Path) -> None:
    text = page(made, "submit.html").text
    assert "Raspberry Pi 5: no device has answered yet." in text
    assert "mood on demo: " not in text.lower(), "the demo track plans one seed"


def test_missing_seeds_are_wanted_with_the_command_that_makes_them(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = dataclasses.replace(TRACKS[TRACK], seeds=(11, 23, 37))
    monkeypatch.setitem(TRACKS, TRACK, planned)
    site = load_site(stored_entries(results), results)
    wanted = [words for words, _ in submit_page._wanted(site, Links("submit.html")) if "seeds" in words]
    assert len(wanted) == 2 and "lack seeds" in wanted[0]
    assert wanted[0].endswith("--track demo --tasks mood --seeds 3")


# --- in a browser -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if binary is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.slow
def test_comparing_in_a_browser(made: Path, seen: Site, browser: Any) -> None:
    """Any entries of the URL; the same figures as the board's own statistics; choosing changes the URL."""
    from playwright.sync_api import expect

    found = paired.comparable(seen, TRACK)
    complaints: list[str] = []
    tab = browser.new_page(viewport={"width": 390, "height": 900})
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda r: None if r.url.startswith("file:") else complaints.append(r.url))
    names = ["tinybert/default", "fastbert/layers-2", "distillation/default"]
    tab.goto((made / "tracks/demo/compare.html").as_uri() + "#entries=" + ",".join(names))
    tab.wait_for_selector("#differences")
    rows = tab.locator("#differences tbody tr").all_inner_texts()
    assert len(rows) == 3
    pairs = [(names[0], names[1]), (names[0], names[2]), (names[1], names[2])]
    shows_the_boards_differences(tab, found, pairs)
    said = [found.rows[name]["mood"].said for name in names]
    apart = sum(len(set(answers)) > 1 for answers in zip(*said, strict=True))
    summary = tab.locator("#compared summary").first.inner_text()
    assert f"{apart:,} of {len(said[0]):,} rows" in summary
    tab.get_by_role("button", name="Remove TinyBERT").click()
    # What the page's security policy forbids, it forbids a test's own expressions: only locators may wait.
    expect(tab).to_have_url(re.compile("#entries=fastbert/layers-2,distillation/default$"))
    tab.locator("#add").select_option("theseus/default")
    expect(tab.locator("#differences tbody tr")).to_have_count(3)
    assert tab.url.endswith("#entries=fastbert/layers-2,distillation/default,theseus/default")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []
    tab.close()


@pytest.mark.slow
def test_a_diverged_run_widens_its_rows_differences_in_a_browser(
    made: Path, seen: Site, tmp_path: Path, browser: Any
) -> None:
    found = paired.comparable(seen, TRACK)
    name, other = "tinybert/default", "distillation/default"
    whole = found.rows[name]["mood"]
    u = whole.evidence.influence
    torn = statistics.Evidence(
        (whole.evidence.score, 0.0, whole.evidence.score + 1), (u, 0 * u, u), (False, True, False)
    )
    row = {**found.rows[name], "mood": dataclasses.replace(whole, evidence=torn, seeds=(11, 23, 37))}
    found = dataclasses.replace(found, rows={**found.rows, name: row})
    site = Path(shutil.copytree(made, tmp_path / "site"))
    for script in data.scripts(seen, Links("tracks/demo/compare.html"), found):
        (site / script.path).write_text(script.context["text"])
    tab = browser.new_page()
    tab.goto((site / "tracks/demo/compare.html").as_uri() + f"#entries={name},{other}")
    tab.wait_for_selector("#differences")
    shows_the_boards_differences(tab, found, [(name, other)], 0.01)
    tab.close()


def shows_the_boards_differences(
    tab: Any, found: paired.Comparable, pairs: list[tuple[str, str]], share: float = 0.0
) -> None:
    """``share``: how far ends may be off, of the interval's width, where draws are put together in another order."""
    by_name = {f"{e.recipe}/{e.variant}": e for e in found.entries}
    for row, (one, other) in zip(tab.locator("#differences tbody tr").all(), pairs, strict=True):
        cells = row.locator("td").all_inner_texts()
        for cell, tasks in zip(cells, (["mood", "same"], ["mood"], ["same"]), strict=True):
            expected = found.difference(by_name[one], by_name[other], tasks)
            assert not isinstance(expected, Missing)
            value, low, high = (
                float(text.replace("−", "-"))
                for text in re.findall(r"−?\d+\.\d(?!\d)", cell.partition("p ")[0])[:3]
            )
            off = 0.06 + share * (expected.interval[1] - expected.interval[0])
            assert (value, low, high) == pytest.approx((expected.value, *expected.interval), abs=off)
            p = re.search(r"p ([\d.]+)", cell)
            assert (expected.p < 0.001) if p is None else float(p[1]) == pytest.approx(expected.p, abs=0.006)


@pytest.mark.slow
def test_texts_are_compared_in_a_local_build_only(made: Path, local: Path, browser: Any) -> None:
    state = "tracks/demo/compare.html#entries=tinybert/default,distillation/default"
    for site, shown in ((made, False), (local, True)):
        tab = browser.new_page()
        tab.goto((site / state.partition("#")[0]).as_uri() + "#" + state.partition("#")[2])
        tab.wait_for_selector("#differences")
        tab.locator("#compared summary").first.click()
        heads = tab.locator("#rows-mood thead th").all_inner_texts()
        assert (heads[-2:] == ["Gold", "Text"]) is shown
        tab.close()


@pytest.mark.slow
def test_a_caption_stays_whole_where_its_table_goes_on(made: Path, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 900})
    tab = context.new_page()
    tab.goto((made / PROFILE).as_uri())
    frame = tab.locator(".scroll:has(#batches-demo-table)")
    caption = frame.locator("caption")
    before = caption.bounding_box()
    assert before and before["x"] >= 0 and before["x"] + before["width"] <= 390
    # As far as it goes: how far depends on the widths of the machine's own fonts.
    assert frame.evaluate("box => { box.scrollLeft = box.scrollWidth; return box.scrollLeft }") > 0
    after = caption.bounding_box()
    assert after and after["x"] == pytest.approx(before["x"], abs=1)
    assert tab.locator("pre").first.evaluate("box => box.scrollWidth <= box.clientWidth")
    context.close()


def test_a_data_sheet_prints_on_one_page(made: Path, browser: Any) -> None:
    """A4 less margins of 10 mm, at 96 dots an inch: 718 wide, 1,047 high."""
    tab = browser.new_page(viewport={"width": 718, "height": 1000})
    tab.emulate_media(media="print")
    for name in ("tinybert/default", "fastbert/layers-3", "reference/default"):
        tab.goto((made / f"tracks/demo/entries/{name}.html").as_uri())
        low = tab.evaluate("document.querySelector('.sheet').getBoundingClientRect().bottom + scrollY")
        assert low <= 1047, name
        assert tab.evaluate("document.documentElement.scrollWidth") <= 718
    tab.close()


@pytest.mark.slow
@pytest.mark.parametrize("width, scheme", [(390, "dark"), (1280, "light"), (1920, "dark")])
def test_pages_fit_and_satisfy_axe(made: Path, browser: Any, width: int, scheme: str) -> None:
    """Nothing scrolls sideways at any width; axe finds nothing, everything unfolded."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        Axe = None
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    for name in (
        "methods/tinybert.html",
        "methods/fastbert.html",
        "hardware/raspberry-pi-5.html",
        PROFILE,
        "tracks/demo/entries/tinybert/default.html",
        "tracks/demo/entries/fastbert/layers-3.html",
        "tracks/demo/compare.html#entries=tinybert/default,distillation/default",
        "submit.html",
    ):
        path, _, state = name.partition("#")
        tab.goto((made / path).as_uri() + (f"#{state}" if state else ""))
        if state:
            tab.wait_for_selector("#differences")
        tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, name
        if Axe is not None:
            found = Axe().run(tab).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == [], name
    context.close()


def test_rows_of_several_kinds_of_processor_are_told(tmp_path: Path) -> None:
    """A ratio of two models need not be the same on another kind, whatever its interval."""
    results = example.build(tmp_path / "results")
    folder = next((results / "demo/measurements/student").glob(f"*/example-onnx-reference-{example.DATE}"))
    for cpu in ("An example processor", "Another one"):
        document = example.read(folder, "measurement.json")
        document["machine"]["cpu"] = cpu
        example.forge(folder, "measurement.json", document)
        index(results)
        made = board.build(results, tmp_path / cpu[:2])
        read = page(made.parent, "tracks/demo/on/example/with/onnx.html").text
        assert ("measured on two kinds, An example processor and Another one" in read) == (
            cpu != "An example processor"
        )
