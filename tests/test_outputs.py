"""What leaves the board as files: right numbers, valid formats, hostile text harmless, the same bytes every time."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import struct
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from test_board import DEMO, HOSTILE, MINI, Case, Page, write_results

from suite import board
from suite.board.cut import PRINTED
from suite.board.outputs import badge, cite, web
from suite.board.text import clean
from suite.canonical import digest, pretty_json
from suite.documents import Entry
from suite.errors import UserError

URL = "https://example.org/board"
ATOM = "{http://www.w3.org/2005/Atom}"
SVG = "{http://www.w3.org/2000/svg}"


def log_entry(number: int, previous: Mapping[str, Any] | None, **changed: Any) -> dict[str, Any]:
    return {
        "schema": "lightboard/log/1",
        "number": number,
        "previous": digest(previous) if previous else None,
        "date": f"2026-03-0{number}",
        "action": "corrected",
        "recipe": "theseus",
        "variant": "default",
        "documents": [],
        "reason": f"A wrong seed {HOSTILE}",
        "by": "someone",
        **changed,
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_results(tmp_path_factory.mktemp("outputs") / "results", {"mini": MINI, "demo": DEMO})
    first = log_entry(1, None)
    second = log_entry(2, first, recipe="gone", action="withdrawn", date="2026-99-99")
    (folder / "mini" / "log").mkdir()
    for one in (first, second):
        (folder / "mini" / "log" / f"{one['number']:04d}.json").write_text(pretty_json(one), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def site(results: Path) -> Path:
    return board.build(results, results.parent / "site", url=URL).parent


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# --- tables -------------------------------------------------------------------------------------------------


def test_every_table_is_the_same_in_every_format(site: Path) -> None:
    import pyarrow.parquet as pq

    tables = sorted(site.glob("tracks/*/tables/*.parquet")) + sorted(site.glob("tracks/*/views/*/*.parquet"))
    names = {path.stem for path in tables if path.parent.name == "tables"}
    assert names == {"entries", "runs", "speeds", "precisions", "differences", "changes"}
    for path in tables:
        records = read(path.with_suffix(".json"))
        table = pq.read_table(path)
        with path.with_suffix(".csv").open(encoding="utf-8", newline="") as stream:
            lines = list(csv.reader(stream))
        assert table.num_rows == len(records) == len(lines) - 1
        assert lines[0] == table.column_names
        assert all(list(record) == lines[0] for record in records)


def test_a_views_table_has_the_pages_numbers(site: Path) -> None:
    rows = {r["recipe"]: r for r in read(site / "tracks/mini/views/cpu-1-thread/best.json")
            if r["variant"] in ("default", "3-layers")}  # fmt: skip
    theseus = rows["theseus"]
    assert (theseus["rank_lowest"], theseus["rank_highest"], theseus["score_points"]) == (1, 3, 72.4)
    assert theseus["speedup_times"] == 1.93 and theseus["p50_ms"] == pytest.approx(15.2 / 1.93)
    assert theseus["size_bytes"] == 69_560_000 and theseus["group"] == "ranked"
    assert rows["half"]["score_points"] is None and rows["half"]["group"] == "incomplete"
    assert rows["searched"]["not_measured_because"] == "not measured on this profile yet"
    int8 = {r["recipe"]: r for r in read(site / "tracks/mini/views/cpu-1-thread/onnx-int8.json")}
    assert int8["theseus"]["speedup_times"] == pytest.approx(1.93 * 1.7)
    assert int8["distilbert"]["not_measured_because"] == "not measured with onnx-int8 yet"


# --- LaTeX and BibTeX ---------------------------------------------------------------------------------------


def test_latex_is_whole_and_cites_what_the_bibliography_has(site: Path) -> None:
    for path in site.glob("tracks/*/views/*/*.tex"):
        text = path.read_text(encoding="utf-8")
        code = [line for line in text.splitlines() if not line.startswith("%")]
        (columns,) = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", text)
        rows = [line for line in code if line.endswith(r"\\")]
        assert rows and all(len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1 for row in rows)
        plain = re.sub(r"\\[{}]", "", "\n".join(code))
        assert plain.count("{") == plain.count("}")
        assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
        keys = set(re.findall(r"@misc\{([^,]+),", path.with_suffix(".bib").read_text(encoding="utf-8")))
        cited = {key for found in re.findall(r"\\cite\{([^}]+)\}", text) for key in found.split(",")}
        assert cited <= keys and "lightboard" in cited


def test_latex_shows_the_row_as_the_page_does(site: Path) -> None:
    text = (site / "tracks/mini/views/cpu-1-thread/best.tex").read_text(encoding="utf-8")
    (row,) = (line for line in text.splitlines() if line.startswith("1--3 & BERT-of-Theseus"))
    assert r"72.4 $\pm$0.8" in row and "1.93 (1.87--1.99)" in row and "& 7.88" in row
    assert "% half/default: score: runs missing: sst2, stsb" in text


@pytest.mark.parametrize("text", [HOSTILE, r"\input{/etc/passwd} $x$ % & # _ ~ ^ {", "a\nb\r\n\\end{table}"])
def test_no_text_is_a_latex_command(text: str) -> None:
    """Every special character stands escaped, and there is one line."""
    shown = cite.tex(text)
    ours = r"\\text(backslash|less|greater|bar|ascii(tilde|circum))\{\}|\\[&%$#_{}]"
    rest = re.sub(ours, "", shown)
    assert not re.search(r"[\\&%$#_{}~^\n\r]", rest), rest


# --- the API ------------------------------------------------------------------------------------------------


def test_the_index_reaches_every_file_and_each_is_what_its_schema_says(site: Path) -> None:
    schemas = read(site / "api/v1/schema.json")["files"]
    index = read(site / "api/v1/index.json")
    jsonschema.validate(index, schemas["index.json"])
    seen = {"api/v1/index.json", index["schema"]}
    for line in index["tracks"]:
        track = read(site / line["track"])
        jsonschema.validate(track, schemas["tracks/TRACK.json"])
        jsonschema.validate(read(site / track["changes"]), schemas["changes/TRACK.json"])
        seen |= {line["track"], track["changes"], *(one["entry"] for one in track["entries"])}
        for one in track["entries"]:
            jsonschema.validate(read(site / one["entry"]), schemas["entries/TRACK/RECIPE/VARIANT.json"])
            for path in (one["page"], *one["badges"].values()):
                assert (site / path).is_file()
        for files in (*track["tables"].values(), *(view["files"] for view in track["views"])):
            assert all((site / path).is_file() for path in files.values())
        assert (site / line["page"]).is_file()
    for kind in ("methods", "tasks", "profiles"):
        assert index[kind] and all((site / one["page"]).is_file() for one in index[kind])
    assert (site / index["feed"]).is_file() and (site / index["about"]).is_file()
    assert seen == {p.relative_to(site).as_posix() for p in site.glob("api/**/*.json")}


def test_the_api_gives_the_entry_as_it_is_stored(site: Path, results: Path) -> None:
    stored = Entry.model_validate_json((results / "mini/entries/theseus/default.json").read_bytes())
    given = (site / "api/v1/entries/mini/theseus/default.json").read_bytes()
    assert Entry.model_validate_json(given, strict=True) == stored


# --- the feed -----------------------------------------------------------------------------------------------


def test_the_feed_tells_the_log_newest_first(site: Path) -> None:
    root = ET.fromstring((site / "changes.atom").read_bytes())
    entries = root.findall(f"{ATOM}entry")
    assert len(entries) == 2
    for one in (root, *entries):
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", one.findtext(f"{ATOM}id") or "")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00Z", one.findtext(f"{ATOM}updated") or "")
        assert one.findtext(f"{ATOM}title")
    assert len({one.findtext(f"{ATOM}id") for one in entries}) == 2
    told = {one.findtext(f"{ATOM}title"): one for one in entries}
    about = told["mini: theseus/default corrected"]
    assert f"A wrong seed {' '.join(str(clean(HOSTILE)).split())}" in (about.findtext(f"{ATOM}summary") or "")
    hrefs = [link.get("href") for link in about.findall(f"{ATOM}link")]
    assert f"{URL}/tracks/mini/entries/theseus/default.html" in hrefs
    for href in hrefs:
        assert href and (site / href.removeprefix(f"{URL}/")).is_file()
    gone = told["mini: gone/default withdrawn"]
    assert gone.findtext(f"{ATOM}updated") == "1970-01-01T00:00:00Z"  # no such day


# --- badges and the picture ---------------------------------------------------------------------------------


def test_badges_say_what_the_board_says(site: Path) -> None:
    def shown(place: str) -> tuple[str, str]:
        root = ET.fromstring((site / "badges" / place).read_bytes())
        assert root.get("role") == "img"
        title = root.find(f"{SVG}title")
        assert title is not None and root.get("aria-labelledby") == title.get("id")
        return " ".join(t.text or "" for t in root.iter(f"{SVG}text")), title.text or ""

    assert shown("mini/theseus/default/score.svg") == (
        "score 72.4 ±0.8",
        "Lightboard mini, BERT-of-Theseus: score 72.4 ±0.8 of 100",
    )
    assert shown("mini/theseus/default/rank.svg")[0] == "rank 1–3 of 8"
    assert shown("mini/theseus/default/latency.svg")[0] == "latency 7.88 ms, 1.93×"
    assert shown("mini/half/default/score.svg")[0] == "score incomplete"
    assert shown("mini/searched/default/latency.svg")[0] == "latency not measured"
    assert "noisy" in shown("mini/distilbert/default/latency.svg")[0]
    for path in site.glob("badges/**/*.svg"):
        assert {node.tag for node in ET.fromstring(path.read_bytes()).iter()} <= {
            f"{SVG}{name}" for name in ("svg", "title", "rect", "path", "g", "text")
        }


def test_a_badge_escapes_its_text() -> None:
    root = ET.fromstring(badge.drawing(HOSTILE, HOSTILE, HOSTILE))
    assert not [node for node in root.iter() if "script" in node.tag or "img" in node.tag]
    assert any("<script>" in (node.text or "") for node in root.iter())


def test_the_picture_is_as_large_as_it_says(site: Path) -> None:
    root = ET.fromstring((site / "tracks/mini/preview.svg").read_bytes())
    assert (root.get("width"), root.get("height")) == ("1200", "630")
    words = " ".join(node.text or "" for node in root.iter(f"{SVG}text"))
    assert "BERT-of-Theseus" in words and "72.4 ±0.8" in words and "1.93×" in words
    pytest.importorskip("vl_convert", reason="vl-convert, which makes the PNG, is not installed")
    content = (site / "tracks/mini/preview.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", content[16:24]) == (1200, 630)


# --- heads, map, robots -------------------------------------------------------------------------------------


def heads(path: Path) -> tuple[dict[str, list[dict[str, str]]], dict[str, str]]:
    root = Page(path).root
    links: dict[str, list[dict[str, str]]] = {}
    for node in root.all("link"):
        links.setdefault(node.attributes["rel"], []).append(dict(node.attributes))
    properties = {
        node.attributes["property"]: node.attributes["content"]
        for node in root.all("meta")
        if "property" in node.attributes
    }
    return links, properties


def test_pages_of_the_same_content_have_one_address(site: Path) -> None:
    for name in ("index.html", "tracks/mini/index.html", "tracks/mini/on/cpu-1-thread/index.html"):
        (canonical,) = heads(site / name)[0]["canonical"]
        assert canonical["href"] == f"{URL}/"
    (other,) = heads(site / "tracks/demo/on/cpu-1-thread/index.html")[0]["canonical"]
    assert other["href"] == f"{URL}/tracks/demo/"
    links, properties = heads(site / "tracks/mini/entries/theseus/default.html")
    assert links["canonical"][0]["href"] == f"{URL}/tracks/mini/entries/theseus/default.html"
    assert properties["og:image"].startswith(f"{URL}/tracks/mini/preview.")
    assert (site / properties["og:image"].removeprefix(f"{URL}/")).is_file()
    assert "scores 72.4 ±0.8" in properties["og:description"]


def test_alternates_exist_and_say_their_type(site: Path) -> None:
    found = {one["type"]: one["href"] for one in heads(site / "tracks/demo/index.html")[0]["alternate"]}
    assert set(found) == {"application/atom+xml", *web.TYPES.values()}
    for href in found.values():
        assert (site / "tracks/demo" / href).resolve().is_file()


def test_the_map_lists_every_page_once(site: Path) -> None:
    root = ET.fromstring((site / "sitemap.xml").read_bytes())
    told = [node.text or "" for node in root.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    canonical = {heads(path)[0]["canonical"][0]["href"] for path in site.rglob("*.html")}
    assert sorted(told) == sorted(canonical)
    assert f"Sitemap: {URL}/sitemap.xml" in (site / "robots.txt").read_text()


def test_very_many_pages_make_several_maps(monkeypatch: pytest.MonkeyPatch, results: Path) -> None:
    from suite.board.site import load_site

    monkeypatch.setattr(web, "MOST", 3)
    made = dict(web.site_map(load_site([], results), "https://a.b/", [f"{n}.html" for n in range(7)]))
    assert sorted(made) == ["robots.txt", "sitemap-1.xml", "sitemap-2.xml", "sitemap-3.xml", "sitemap.xml"]
    assert made["sitemap.xml"].count(b"<loc>") == 3


def test_without_an_address_nothing_speaks_of_one(results: Path, tmp_path: Path) -> None:
    site = board.build(results, tmp_path / "site").parent
    assert not (site / "sitemap.xml").exists() and not (site / "robots.txt").exists()
    links, properties = heads(site / "index.html")
    assert "canonical" not in links and properties == {}


@pytest.mark.parametrize(
    "url", ["example.org", "ftp://a.b/", "https://", 'https://a.b/"><script>', "https://a.b/?q"]
)
def test_an_address_that_is_none_is_refused(results: Path, tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError, match="--url"):
        board.build(results, tmp_path / "site", url=url)


# --- building -----------------------------------------------------------------------------------------------


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_bytes_elsewhere_later_and_with_more_processes(
    results: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 90_000
    monkeypatch.setattr(time, "time", lambda: later)
    told: list[tuple[int, int]] = []
    again = board.build(
        results,
        tmp_path / "a" / "site",
        url=URL + "/",
        processes=2,
        told=lambda done, of: told.append((done, of)),
    )
    assert digests(again.parent) == digests(site)
    assert told[-1][0] == told[-1][1] and [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_process_that_fails_is_heard(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise UserError("no room on the disk")

    monkeypatch.setattr("suite.board.outputs.feed.files", broken)
    with pytest.raises(UserError, match="no room"):
        board.build(results, tmp_path / "site", processes=2)
    assert list(tmp_path.iterdir()) == []


def test_a_board_of_many_says_what_it_leaves_out(tmp_path: Path) -> None:
    many = [
        Case(
            "truncation",
            60 + i / 50,
            2.0,
            15.0,
            variant=f"v{i:04d}",
            default=False,
            documents=False,
            tasks=("cola",),
        )
        for i in range(PRINTED + 5)
    ]
    site = board.build(write_results(tmp_path / "results", {"mini": many}), tmp_path / "site").parent
    for page in ("methods/truncation.html", "tasks/cola.html", "hardware/cpu-1-thread.html"):
        assert f"The first {PRINTED} of {PRINTED + 5} rows" in Page(site / page).root.text
    assert len(read(site / "tracks/mini/views/cpu-1-thread/best.json")) == PRINTED + 5
