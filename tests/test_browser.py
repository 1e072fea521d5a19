"""Every kind of page in a real browser: axe finds nothing, nothing is fetched or refused, links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import browser as browsers
import pytest
from test_board import DEMO, MINI, write_results

from suite import board


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    return board.build(
        write_results(folder / "results", {"mini": MINI, "demo": DEMO}), folder / "site"
    ).parent


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsers.launched() as browser:
        yield browser


def kinds(site: Path) -> list[str]:
    """One page of each folder and every page at the root; of entries one with everything, one hostile, one half."""
    found: dict[tuple[str, ...], str] = {}
    for path in sorted(site.rglob("*.html")):
        parts = path.relative_to(site).parts
        kind = (*parts[:-1], parts[-1]) if len(parts) == 1 else (*parts[:3], str(len(parts)))
        if "entries" not in parts:
            found.setdefault(kind, "/".join(parts))
    entries = ("theseus", "stranger", "half", "searched", "early")
    return [*found.values(), *(f"tracks/mini/entries/{name}/default.html" for name in entries)]


def test_kinds_are_many(site: Path) -> None:
    shown = kinds(site)
    for page in ("index.html", "data.html", "protocol.html", "changes.html", "methods/distilbert.html"):
        assert page in shown
    assert len({page.split("/")[0] for page in shown}) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("scheme", browsers.SCHEMES)
@pytest.mark.parametrize("width", browsers.WIDTHS)
def test_axe_finds_nothing(site: Path, chromium: Any, scheme: str, width: int) -> None:
    """The policy is set aside here alone, so that axe itself may run."""
    source = browsers.axe_source()
    watched = browsers.Watched(chromium, width, scheme, bypass_csp=True)
    told = {}
    for name in kinds(site):
        page = watched.open(site / name)
        if found := browsers.violations(page, source):
            told[name] = found
    watched.close()
    assert told == {}


@pytest.mark.slow
@pytest.mark.parametrize("scheme", browsers.SCHEMES)
@pytest.mark.parametrize("width", browsers.WIDTHS)
def test_nothing_complains_is_fetched_or_overflows(
    site: Path, chromium: Any, scheme: str, width: int
) -> None:
    watched = browsers.Watched(chromium, width, scheme)
    wide = []
    for name in kinds(site):
        page = watched.open(site / name)
        page.wait_for_load_state("networkidle")
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(name)
    watched.close()
    assert (watched.complaints, watched.outside, wide) == ([], [], [])


def test_every_link_and_anchor_resolves_in_the_browser(site: Path, chromium: Any) -> None:
    """As the browser resolved them, scripts included; anchors are looked up in the files."""
    watched = browsers.Watched(chromium)
    resolved = "all => all.map(a => new URL(a.href.baseVal ?? a.href, document.baseURI).href)"
    links = {
        name: watched.open(site / name).eval_on_selector_all("a[href]", resolved) for name in kinds(site)
    }
    watched.close()
    assert sum(map(len, links.values())) > 500
    assert [
        (name, href)
        for name, hrefs in links.items()
        for href in dict.fromkeys(hrefs)
        if not leads_somewhere(site, href)
    ] == []


@cache
def idents(path: Path) -> frozenset[str]:
    return frozenset(re.findall(r'\bid="([^"]+)"', path.read_text(encoding="utf-8")))


def leads_somewhere(site: Path, href: str) -> bool:
    parts = urlsplit(href)
    path = Path(unquote(parts.path))
    if parts.scheme != "file" or not path.is_file() or not path.is_relative_to(site):
        return False
    state = "=" in parts.fragment  # what a page's script reads from its address, no place on the page
    return not parts.fragment or state or unquote(parts.fragment) in idents(path)


def test_all_is_there_without_javascript(site: Path, chromium: Any) -> None:
    watched = browsers.Watched(chromium, java_script_enabled=False)
    for name in kinds(site):
        page = watched.open(site / name)
        assert page.locator("h1").is_visible(), name
        assert len(page.locator("main").inner_text()) > 40, name
    page = watched.open(site / "index.html")
    rows = page.locator("#board tbody tr:not(.group)")
    assert rows.count() == len(MINI)
    assert all(rows.nth(i).is_visible() for i in range(rows.count()))
    assert page.locator("svg.chart:visible").count() >= 2
    watched.close()
    assert watched.outside == []
