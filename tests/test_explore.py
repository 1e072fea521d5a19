"""The explored front page in a real browser: one view of table and chart, picking, its address, no script at all."""

from __future__ import annotations

import builtins
import copy
import dataclasses
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import browser as browsers
import pytest
import test_board as boards
from test_board import DEMO, HOSTILE, MINI, Case, write_results

from suite import board
from suite.board import cut, explore, vega
from suite.board.site import View, load_site
from suite.index import entries as stored_entries
from suite.pick import Budget, Candidate, pick

FRONT = "index.html"
MANY = 30
PRINTED = 20  # of them


def bare(cases: Sequence[Case]) -> list[Case]:
    """The same entries without their documents, which no test here opens."""
    copies = [copy.copy(case) for case in cases]
    for case in copies:
        case.documents = False
    return copies


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(
        tmp_path_factory.mktemp("explore") / "results", {"mini": bare(MINI), "demo": bare(DEMO)}
    )


@pytest.fixture(scope="module")
def site(results: Path) -> Path:
    return board.build(results, results.parent / "site").parent


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """More rows than a page holds, none with documents."""
    draw = random.Random(3)
    cases = [Case("reference", 75.1, 1.0, 22.71, ranks=(1, 2), documents=False)]
    cases += [
        Case(
            f"m{i:03}",
            round(draw.uniform(30, 74), 2),
            round(draw.uniform(0.5, 9), 2),
            draw.uniform(1, 25),
            documents=False,
            hostile=i == 20,
            ranks=(2, MANY),
        )
        for i in range(MANY)
    ]
    folder = tmp_path_factory.mktemp("many")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cut, "PRINTED", PRINTED)
        yield board.build(write_results(folder / "results", {"mini": cases}), folder / "site").parent


# --- without a browser --------------------------------------------------------------------------------------


ROWS = "tracks/mini/data/rows.js"


def told(site: Path, *paths: str) -> dict[str, Any]:
    """What a front page's two scripts say, each row as the page's own script joins it."""
    found: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for path in paths:
        text = (site / path).read_text(encoding="utf-8").partition(" = ")[2].removesuffix(";\n")
        one = json.loads(text)
        rows = [joined(*pair) for pair in zip(rows, one["rows"], strict=True)] if rows else one["rows"]
        found |= one
    return {**found, "rows": rows}


def joined(row: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    both = {key: {**row[key], **added[key]} for key in ("at", "sort")}
    return {**row, **added, **both, "pick": added["pick"] and {**row["pick"], **added["pick"]}}


def test_every_front_page_names_a_script_of_its_rows(site: Path) -> None:
    for page in site.rglob("*.html"):
        content = page.read_text(encoding="utf-8")
        scripts = re.findall(r'<script src="([^"]+)"[^>]*></script>', content)
        assert content.count("<script") == len(scripts)
        assert all((page.parent / one).resolve().is_file() for one in scripts), page
        if '<table id="board"' not in content:
            continue
        (named,) = re.findall(r'data-scripts="([^"]+)"', content)
        data = told(page.parent, *named.split(" "))
        rows = re.findall(r'<tr data-entry="([^"]+)"', content)
        assert [row["id"] for row in data["rows"]] == rows


def test_the_numbers_are_the_entries(results: Path, site: Path) -> None:
    data = told(site, ROWS, "tracks/mini/data/cpu-1-thread/best.js")
    rows = {row["id"]: row for row in data["rows"]}
    assert len(rows) == len(MINI)
    theseus = rows["theseus/default"]
    assert theseus["sort"]["score"] == [72.4] and theseus["sort"]["speed"] == [1.93]
    assert theseus["at"]["bytes"] == [pytest.approx(69.56, abs=0.01)]
    assert data["reference_ms"] == pytest.approx(15.2)
    assert {axis["key"] for axis in data["axes"]} == {
        "speed",
        "flops",
        "parameters",
        "bytes",
        "memory",
        "training",
    }
    assert rows["half/default"]["pick"] is None and rows["searched/default"]["sort"]["latency"] is None
    int8 = told(site, ROWS, "tracks/mini/data/cpu-1-thread/onnx-int8.js")
    assert {r["id"]: r for r in int8["rows"]}["theseus/default"]["pick"] is None, "its 8 bits were not scored"
    assert {r["id"]: r for r in int8["rows"]}["theseus/default"]["sort"]["speed"] == [
        pytest.approx(1.93 * 1.7)
    ]


def test_without_the_packages_the_site_keeps_its_drawn_charts(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def lacking(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] in ("altair", "vl_convert"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", lacking)
    vega.script.cache_clear()
    try:
        out = board.build(results, tmp_path / "site").parent
    finally:
        vega.script.cache_clear()
    content = (out / FRONT).read_text(encoding="utf-8")
    assert not (out / vega.FILE).exists() and vega.FILE not in content
    assert content.count("<figure>") == 2 and 'id="pick"' in content and 'id="across"' not in content


@pytest.mark.skipif(vega.script() is None, reason="altair and vl-convert are not installed")
def test_the_specification_names_what_the_script_fills_in() -> None:
    spec = vega.specification()
    assert {one["name"] for one in spec["params"]} == {"brush", *vega.PARAMETERS}
    named = {layer["data"]["name"] for layer in spec["layer"]} - {"empty"}
    assert named == {"points", "front", "lines"}
    shapes = {recipe.about.shape for recipe in _recipes()}
    assert shapes <= set(vega.SHAPES)


def _recipes() -> list[Any]:
    from suite.loading import recipes

    return list(recipes())


# --- a browser ----------------------------------------------------------------------------------------------


class Page:
    """A page of the site, with what the browser complained about and asked for."""

    def __init__(self, browser: Any, site: Path, **context: Any) -> None:
        self.site = site
        self.complaints: list[str] = []
        self.asked: list[str] = []
        context.setdefault("viewport", {"width": 1280, "height": 900})
        self.context = browser.new_context(**context)
        self.tab = self.context.new_page()
        self.tab.on(
            "console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None
        )
        self.tab.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.tab.on("request", lambda r: self.asked.append(r.url))

    def open(self, path: str = FRONT, *, chart: bool = True) -> Page:
        self.tab.goto((self.site / path.partition("#")[0]).as_uri() + "".join(path.partition("#")[1:]))
        if chart:
            self.tab.wait_for_selector(".plot.answers", timeout=20_000)
        return self

    @property
    def hash(self) -> dict[str, str]:
        from urllib.parse import parse_qsl, urlsplit

        return dict(parse_qsl(urlsplit(self.tab.url).fragment))

    def rows(self) -> list[str]:
        found: list[str] = self.tab.eval_on_selector_all(
            "#board tr[data-entry]", "rows => rows.filter(r => r.offsetParent).map(r => r.dataset.entry)"
        )
        return found

    def settled(self, count: int) -> list[str]:
        """The rows once so many are there: those below the window follow the others."""
        self.tab.wait_for_selector(f"#board tr[data-entry] >> nth={count - 1}", state="attached")
        return self.rows()

    def count(self) -> str:
        return str(self.tab.inner_text(".filters [role=status]"))

    def point(self, name: str) -> tuple[float, float]:
        """Where the explored chart draws an entry, in the window."""
        found = self.tab.evaluate(
            """name => {
              const marks = [...document.querySelectorAll('.live .marks_marks path')];
              const one = marks.find(m => m.__data__ && m.__data__.datum && m.__data__.datum.id === name);
              const box = one.getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2];
            }""",
            name,
        )
        return float(found[0]), float(found[1])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if vega.script() is None:
        pytest.skip("altair and vl-convert are not installed")
    with browsers.launched() as started:
        yield started


Opener = Callable[..., Page]


@pytest.fixture
def page(browser: Any, site: Path) -> Iterator[Opener]:
    """Opens pages; when the test is over none may have complained or asked for anything outside."""
    opened: list[Page] = []

    def make(path: str = FRONT, *, of: Path = site, chart: bool = True, **context: Any) -> Page:
        one = Page(browser, of, **context)
        opened.append(one)
        return one.open(path, chart=chart)

    yield make
    for one in opened:
        one.context.close()
        assert not one.complaints
        assert all(url.startswith((one.site.as_uri(), "data:", "blob:")) for url in one.asked)


SCORES = {f"{c.recipe}/{c.variant}": c.score for c in MINI if c.recipe != "half"}


def test_sorting_by_any_column(page: Opener) -> None:
    one = page()
    initial = one.rows()
    keys = one.tab.eval_on_selector_all("#board th[data-key]", "all => all.map(h => h.dataset.key)")
    assert {"rank", "method", "score", "task-cola", "parameters", "flops", "bytes", "speed", "latency"} < set(
        keys
    )
    for key in keys:
        one.tab.click(f"#board th[data-key={key}] .sort", position={"x": 3, "y": 3})
        assert one.tab.get_attribute(f"#board th[data-key={key}]", "aria-sort") in ("ascending", "descending")
        assert one.tab.locator("#board th[aria-sort]").count() == 1
        assert sorted(one.settled(len(initial))) == sorted(initial)
    one.tab.click("#board th[data-key=score] .sort")
    found = one.rows()
    assert found[:-1] == sorted(SCORES, key=lambda name: -SCORES[name]) and found[-1] == "half/default"
    one.tab.click("#board th[data-key=score] .sort")
    assert one.rows()[:-1] == sorted(SCORES, key=lambda name: SCORES[name])  # what has no score stays last
    one.tab.click("#board th[data-key=score] .sort")
    assert one.rows() == initial and "sort" not in one.hash


def test_sorting_by_keyboard(page: Opener) -> None:
    one = page()
    one.tab.focus("#board th[data-key=parameters] .sort")
    outline = "e => getComputedStyle(e).outlineStyle"
    one.tab.keyboard.press("Shift+Tab")
    one.tab.keyboard.press("Tab")
    assert one.tab.eval_on_selector("#board th[data-key=parameters] .sort", outline) == "solid"
    one.tab.keyboard.press("Enter")
    assert one.rows()[0] == "majority/default" and one.hash["sort"] == "parameters"
    assert one.tab.evaluate("document.activeElement.getAttribute('aria-label')") == "Sort by Params"


def test_filters(page: Opener) -> None:
    one = page()
    one.tab.fill("#find", "trunc 2-lay")
    assert one.rows() == ["truncation/2-layers"] and one.count() == "1 of 15 rows"
    one.tab.fill("#find", "no such thing")
    assert one.rows() == [] and one.count() == "0 of 15 rows"
    assert "No row is left" in one.tab.inner_text("#board tbody")
    one.tab.click("#all-rows")
    assert len(one.settled(len(MINI))) == len(MINI)
    one.tab.select_option("#of-method", "truncation")
    assert len(one.rows()) == 5 and one.hash == {"method": "truncation"}
    one.tab.select_option("#at-level", "recounted")
    assert len(one.rows()) == 5


def test_the_budget_filters_too(page: Opener) -> None:
    one = page("index.html#latency=8&fits=1")
    timed = {f"{c.recipe}/{c.variant}": 15.2 / c.ratio for c in MINI if c.recipe not in ("half", "searched")}
    assert set(one.rows()) == {name for name, ms in timed.items() if ms <= 8.0 + 1e-9}
    one.tab.uncheck("#fits")
    assert len(one.settled(len(MINI))) == len(MINI)


def test_a_row_rings_its_point_and_a_point_its_row(page: Opener) -> None:
    one = page()
    rings = "[...document.querySelectorAll('.live .mark-symbol')].at(-1).children.length"
    assert one.tab.evaluate(rings) == 1  # the reference's
    one.tab.hover("#board tr[data-entry='theseus/default'] td.number >> nth=0")
    one.tab.wait_for_timeout(150)
    assert one.tab.evaluate(rings) == 2
    assert "BERT-of-Theseus: score 72.4, 1.93 times" in one.tab.inner_text(".readout")
    one.tab.evaluate("scrollTo(0, 0)")
    one.tab.mouse.move(*one.point("early/default"))
    one.tab.wait_for_timeout(150)
    assert one.tab.get_attribute("#board tr.lit", "data-entry") == "early/default"
    one.tab.mouse.click(*one.point("early/default"))
    one.tab.wait_for_selector(
        "#board tr.marked[data-entry='early/default']"
    )  # the chart tells of it when it has drawn
    assert one.hash["marked"] == "early/default"
    one.tab.click("#board tr[data-entry='distilbert/default'] .pin")
    assert one.tab.get_attribute("#board tr[data-entry='distilbert/default'] .pin", "aria-pressed") == "true"
    assert one.hash["marked"] == "early/default,distilbert/default"
    link = one.tab.locator("#compare")
    assert link.inner_text() == "Compare the 2 ringed"
    assert (link.get_attribute("href") or "").endswith(
        "compare.html#entries=early/default,distilbert/default"
    )
    for name in ("early", "distilbert"):
        one.tab.locator(f"#board tr[data-entry='{name}/default'] .pin").click()
    assert link.inner_text() == "Compare two to four of them" and "#" not in (
        link.get_attribute("href") or ""
    )


def test_a_collapsed_window_draws_nothing_wrong(page: Opener) -> None:
    one = page()
    one.tab.set_viewport_size({"width": 1, "height": 1})
    one.tab.wait_for_timeout(300)
    one.tab.set_viewport_size({"width": 1000, "height": 800})
    one.tab.locator(".live .marks_marks path").first.wait_for()


def test_a_brush_over_the_chart_filters_the_rows(page: Opener) -> None:
    one = page()
    x, y = one.point("early/default")
    one.tab.mouse.move(x - 25, y - 25)
    one.tab.mouse.down()
    one.tab.mouse.move(x, y, steps=4)
    one.tab.mouse.move(x + 25, y + 25, steps=4)
    one.tab.mouse.up()
    one.tab.wait_for_timeout(200)
    assert "early/default" in one.rows() and len(one.rows()) < 5
    chosen = one.rows()
    assert one.count() == f"{len(chosen)} of 15 rows"
    one.tab.reload()
    one.tab.wait_for_selector(".plot.answers", timeout=20_000)
    assert one.rows() == chosen
    assert one.tab.eval_on_selector(".live .brush_brush path", "e => e.getBoundingClientRect().width") > 40
    one.tab.click("#all-rows")
    one.tab.wait_for_timeout(200)
    assert len(one.rows()) == len(MINI) and "brush" not in one.hash


def test_the_axis_is_chosen(page: Opener) -> None:
    one = page()
    options = one.tab.eval_on_selector_all("#across option", "all => all.map(o => o.value)")
    assert options == ["speed", "parameters", "flops", "bytes", "memory", "training"]
    places = set()
    for key in options:
        one.tab.select_option("#across", key)
        title = one.tab.locator(f"#across option[value={key}]").inner_text()
        one.tab.locator(
            f".live[aria-label*='{title}']"
        ).wait_for()  # the chart follows when the page has been painted
        one.tab.locator(".live svg", has_text=title).wait_for()
        places.add(one.point("truncation/1-layers"))
    assert len(places) >= 4
    assert one.hash["x"] == "training"


def test_the_address_holds_the_view(page: Opener) -> None:
    one = page()
    one.tab.fill("#find", "t")
    one.tab.click("#board th[data-key=latency] .sort")
    one.tab.select_option("#across", "parameters")
    one.tab.click("#board tr[data-entry='theseus/default'] .pin")
    one.tab.fill("#own-ms", "20")
    one.tab.focus("#limit-size")
    for _ in range(3):
        one.tab.keyboard.press("PageDown")
    one.tab.wait_for_timeout(100)

    def view() -> list[Any]:
        return [
            one.rows(),
            one.hash,
            one.tab.input_value("#find"),
            one.tab.input_value("#across"),
            one.tab.input_value("#own-ms"),
            one.tab.inner_text("#picked"),
            one.tab.inner_text(".limit:nth-of-type(2) output"),
        ]

    before = view()
    assert set(one.hash) == {"find", "sort", "x", "marked", "size", "reference"}
    one.tab.reload()
    one.tab.wait_for_selector(".plot.answers", timeout=20_000)
    assert view() == before
    one.tab.click(".pickers a >> text=onnx-int8")  # another runtime: the same view of it
    one.tab.wait_for_selector(".plot.answers", timeout=20_000)
    assert one.tab.url.partition("#")[0].endswith("on/cpu-1-thread/with/onnx-int8.html")
    assert one.tab.input_value("#find") == "t" and one.hash == before[1]


def test_the_skip_link_leaves_the_view_in_the_address(page: Opener) -> None:
    one = page("index.html#find=theseus&latency=20")
    one.tab.focus("a.skip")
    one.tab.keyboard.press("Enter")
    one.tab.wait_for_timeout(100)
    assert one.hash == {"find": "theseus", "latency": "20"}
    assert one.tab.evaluate("document.activeElement.id") == "content"


def test_a_limit_of_another_view_can_be_taken_off(page: Opener) -> None:
    one = page("tracks/mini/on/cpu-1-thread/with/onnx-int8.html#latency=20")
    assert one.tab.inner_text(".limit:nth-of-type(1) output") == "not measured"
    assert "Nothing fits" in one.tab.inner_text("#picked")
    one.tab.fill("#limit-latency", "500")
    assert "latency" not in one.hash and "Nothing fits" not in one.tab.inner_text("#picked")
    assert one.tab.is_disabled("#limit-latency")


def test_a_broken_address_is_the_plain_page(page: Opener) -> None:
    one = page(
        "index.html#sort=nothing&x=%3Cb%3E&latency=-3&brush=1,2&level=x&marked=../x&reference=Infinity"
    )
    assert len(one.rows()) == len(MINI)


def test_nothing_jumps(page: Opener) -> None:
    one = page(chart=False)
    one.tab.wait_for_selector(".plot.answers", timeout=20_000)
    one.tab.wait_for_timeout(300)
    shift = """() => new Promise(done => {
      let sum = 0;
      new PerformanceObserver(list => { for (const e of list.getEntries()) sum += e.value; })
        .observe({type: 'layout-shift', buffered: true});
      setTimeout(() => done(sum), 300);
    })"""
    assert one.tab.evaluate(shift) < 0.001
    heads = "[...document.querySelectorAll('#board thead th')]"
    widths = f"() => {heads}.map(h => Math.round(h.getBoundingClientRect().width))"
    before = one.tab.evaluate(widths)
    one.tab.fill("#find", "ngram")
    assert one.tab.evaluate(widths) == before


@pytest.mark.parametrize("system", ["light", "dark"])
def test_light_and_dark(page: Opener, system: str) -> None:
    one = page(color_scheme=system)
    paper = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('.live .role-axis-label text')).fill"
    inks = {"light": "rgb(252, 252, 250)", "dark": "rgb(21, 23, 26)"}
    other = "dark" if system == "light" else "light"
    assert one.tab.evaluate(paper) == inks[system]
    labels = one.tab.evaluate(ink)
    one.tab.click(".theme")
    assert one.tab.evaluate(paper) == inks[other]
    assert one.tab.get_attribute(".theme", "aria-pressed") == ("true" if other == "dark" else "false")
    one.tab.wait_for_timeout(600)
    assert one.tab.evaluate(ink) != labels  # the chart follows
    one.tab.click("text=Protocol")
    one.tab.wait_for_url("**/protocol.html")
    one.tab.wait_for_selector("footer")
    assert one.tab.evaluate(paper) == inks[other]  # so do the other pages
    one.tab.click(".theme")
    assert one.tab.evaluate(paper) == inks[system]


def test_a_phone(page: Opener) -> None:
    one = page(viewport={"width": 390, "height": 844}, has_touch=True)
    assert one.tab.evaluate("document.documentElement.scrollWidth") == 390
    assert one.tab.eval_on_selector("#board tr[data-entry]", "r => getComputedStyle(r).display") == "grid"
    initial = one.rows()
    one.tab.select_option("#sort-by", "parameters")
    rows = one.settled(len(initial))
    assert rows[0] == "majority/default" and sorted(rows) == sorted(initial)
    assert not one.tab.is_visible("#limit-latency")
    one.tab.tap("#pick .handle")
    assert (
        one.tab.is_visible("#limit-latency") and one.tab.get_attribute(".handle", "aria-expanded") == "true"
    )
    box = one.tab.locator("#pick").bounding_box()
    assert box["y"] + box["height"] == pytest.approx(844, abs=1) and box["height"] <= 0.86 * 844
    one.tab.keyboard.press("Escape")
    assert not one.tab.is_visible("#limit-latency")


def test_without_javascript_the_page_is_complete(page: Opener) -> None:
    one = page(chart=False, java_script_enabled=False)
    html = one.tab.content()
    assert html.count('<tr data-entry="') == len(MINI)
    assert one.tab.locator("figure svg.chart >> visible=true").count() == 2
    assert one.tab.locator(".needs-script >> visible=true").count() == 0
    assert "lightboard pick --track mini --profile cpu-1-thread" in one.tab.inner_text("main")
    one.tab.click(".pickers a >> text=torch")
    assert one.tab.url.endswith("with/torch.html")


def test_hostile_text_stays_text(page: Opener, many: Path) -> None:
    one = page("index.html#find=alert&level=", chart=True)
    one.tab.fill("#find", "stranger")
    assert one.rows() == ["stranger/default"]
    assert one.tab.locator("main script, main img").count() == 0
    other = page(
        "index.html#find=m020", of=many
    )  # perhaps a row that the page did not hold: built from its cells
    assert other.rows() == ["m020/default"]
    assert other.tab.locator("main script, main img").count() == 0


def test_names_are_never_markup(tmp_path: Path, browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every label of every row hostile, in the table, the readout, the picker and the chart."""
    from suite.board.site import Site

    monkeypatch.setattr(Site, "title", lambda self, recipe: f"{recipe} {HOSTILE}")
    monkeypatch.setattr(cut, "PRINTED", 1)
    cases = [
        Case(name, score, ratio, 17.0, documents=False)
        for name, score, ratio in (("reference", 75.0, 1.0), ("theseus", 72.0, 2.0), ("early", 69.0, 3.0))
    ]
    out = board.build(write_results(tmp_path / "results", {"mini": cases}), tmp_path / "site").parent
    one = Page(browser, out).open("index.html#latency=9&marked=theseus/default")
    one.tab.click("#more-rows")
    one.tab.click("#more-rows")
    one.tab.hover("#board tr[data-entry='early/default'] th a")
    assert "<script>alert('x')" in one.tab.inner_text(".readout")
    assert "<script>alert('x')" in one.tab.inner_text("#picked")
    assert "<script>alert('x')" in one.tab.inner_text("#board tr[data-entry='early/default']")
    assert one.tab.locator("body script, body img").count() == 0
    one.context.close()
    assert not one.complaints


def test_rows_below_those_in_view_follow_and_paper_has_all(page: Opener, many: Path, tmp_path: Path) -> None:
    """With rows a hundred times as high as any, so that few are in view."""
    site = tmp_path / "site"
    shutil.copytree(many, site)
    script = (site / "board.js").read_text(encoding="utf-8")
    for usual, slow in (
        ("LOWEST = 44;", "LOWEST = 3000;"),
        ("BELOW = 10;", "BELOW = 2;"),
        ("AT_ONCE = 40;", "AT_ONCE = 2;"),
    ):
        assert script.count(usual) == 1
        script = script.replace(usual, slow)
    (site / "board.js").write_text(script, encoding="utf-8")
    one = page(of=site)
    whole = one.tab.inner_text("#board")
    one.tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert one.tab.inner_text("#board") == whole
    sort = """print => {
      document.querySelector('#board thead th[data-key=score] button').click();
      const rows = () => document.querySelectorAll('#board tr[data-entry]').length, first = rows();
      if (print) dispatchEvent(new Event('beforeprint'));
      return [first, rows()];
    }"""
    first, printed = one.tab.evaluate(sort, True)
    assert 2 <= first < PRINTED == printed
    assert one.tab.evaluate(sort, False)[1] < PRINTED
    one.tab.wait_for_selector(f"#board tr[data-entry] >> nth={PRINTED - 1}", state="attached")
    scores = [
        float(text)
        for text in one.tab.locator("#board tr[data-entry] td:nth-of-type(2) > a").all_inner_texts()
    ]
    assert scores == sorted(scores) and len(set(one.rows())) == PRINTED


def test_rows_beyond_the_page_come_with_the_script(page: Opener, many: Path) -> None:
    content = (many / FRONT).read_text(encoding="utf-8")
    assert content.count('<tr data-entry="') == PRINTED and "The first 20 of 31 rows." in content
    one = page(of=many)
    assert len(one.rows()) == PRINTED
    one.tab.click("#more-rows")
    assert len(one.rows()) == MANY + 1 and not one.tab.is_visible("#more-rows")
    printed, built = one.rows()[5], one.rows()[-1]
    shape = """r => [...r.children].map(c => [
      c.tagName, c.className, c.getAttribute('role'), c.dataset.label ?? '',
      c.querySelectorAll('a').length, c.querySelectorAll('svg').length])"""
    of = "#board tr[data-entry='{}']"
    assert one.tab.eval_on_selector(of.format(built), shape) == one.tab.eval_on_selector(
        of.format(printed), shape
    )
    link = one.tab.eval_on_selector(of.format(built) + " th a", "a => a.href")
    assert Path(link.removeprefix("file://")).is_file()


# --- picking is the same in both languages ------------------------------------------------------------------


def as_python(found: dict[str, Any]) -> Any:
    """What the browser gave, in the words of suite.pick."""
    return {
        "choices": [
            [c["candidate"]["entry"], c["latency_ms"], c["chance"], c["tied"]] for c in found["choices"]
        ],
        "steps": [
            [s["limit"], s["more"], s["gain"], s["candidate"]["entry"], s["latency_ms"]]
            for s in found["steps"]
        ],
        "unmeasured": found["unmeasured"],
    }


def flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [x for one in value.values() for x in flat(one)]
    return [x for one in value for x in flat(one)] if isinstance(value, list) else [value]


def same(left: Any, right: Any) -> bool:
    a, b = flat(left), flat(right)
    return len(a) == len(b) and all(
        x == pytest.approx(y, rel=1e-9, abs=1e-12)
        if isinstance(x, float) and isinstance(y, float | int)
        else x == y
        for x, y in zip(a, b, strict=True)
    )


def drawn(draw: random.Random, number: int) -> Candidate:
    def maybe(value: Any) -> Any:
        return None if draw.random() < 0.15 else value

    score = round(draw.uniform(30, 80), draw.choice([0, 1, 6]))
    half = draw.uniform(0.1, 4)
    degrees = draw.choice([1, 2, 5, 9])
    return Candidate(
        entry=f"mini/m{number}/default",
        label=f"m{number}",
        score=score,
        interval=maybe((score - half, score + half)),
        runtime=maybe("onnx"),
        ratio=maybe(draw.choice([0.5, 1.0, 2.0, draw.uniform(0.3, 20)])),
        log_se=maybe(draw.choice([0.0, draw.uniform(0.001, 0.3)])),
        degrees=maybe(degrees),
        noisy=draw.random() < 0.2,
        size_bytes=maybe(draw.randrange(1_000_000, 90_000_000)),
        memory_bytes=maybe(draw.randrange(10_000_000, 300_000_000)),
    )


def test_picking_agrees_with_python(page: Opener) -> None:
    one = page(chart=False)
    draw = random.Random(17)
    script = "([rows, budget, reference]) => lightboardPick(rows, budget, reference)"
    for _ in range(60):
        rows = [drawn(draw, i) for i in range(draw.randrange(0, 14))]
        limits = {
            "latency": draw.choice([None, 2.0, draw.uniform(0.5, 30)]),
            "size": draw.choice([None, draw.uniform(1e6, 9e7)]),
            "memory": draw.choice([None, draw.uniform(1e7, 3e8)]),
            "score": draw.choice([None, draw.uniform(30, 80)]),
        }
        reference = draw.choice([None, 2.0, draw.uniform(1, 40)])
        expected = pick(rows, Budget(*limits.values()), reference)
        found = one.tab.evaluate(script, [[dataclasses.asdict(row) for row in rows], limits, reference])
        assert same(as_python(found), as_python(json.loads(json.dumps(expected.as_dict())))), (
            rows,
            limits,
            reference,
        )


def test_the_page_says_what_the_command_says(page: Opener, results: Path) -> None:
    one = page("index.html#latency=8")
    loaded = load_site(stored_entries(results), results)
    view = View("cpu-1-thread")
    found = pick(
        explore.candidates(loaded, "mini", view),
        Budget(latency_ms=8.0),
        loaded.reference_ms("mini", view.profile),
    )
    shown = one.tab.inner_text("#picked")
    best, (step,) = found.choices[0], found.steps
    assert f"{len(found.choices)} of 14 rows fit." in shown
    assert (
        f"Best: {best.candidate.label}, score {best.candidate.score:.1f}, about {best.latency_ms:.2f} ms"
        in shown
    )
    assert f"It keeps 8 ms with a chance of {round(100 * (best.chance or 0))}%." in shown
    assert f"{step.more:.1f} ms more buys +{step.gain:.1f}: {step.candidate.label}." in shown
    assert "lightboard get mini/theseus/default --runtime onnx --out theseus" in shown
    one.tab.fill("#own-ms", "60")
    assert "on your machine" in one.tab.inner_text("#picked")


def test_boards_know_no_script_but_their_own() -> None:
    """What the tests of the pages allow is what the policy allows."""
    assert "script-src 'self'" in boards.POLICY and "unsafe" not in boards.POLICY
