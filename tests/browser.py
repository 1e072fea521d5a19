"""A real browser for tests: Chromium from the system, driven by playwright; both are optional.

``chromium()`` gives one browser for a test session, or skips with the reason. ``Watched`` is a page that notes what a
reader of the console and of the network would see.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")
_INSIDE = ("file:", "data:", "blob:")


def program() -> str | None:
    """The browser: CHROMIUM, else the first of the usual names on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def launched() -> Iterator[Any]:
    """A headless browser; skips the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    binary = program()
    if binary is None:
        pytest.skip("no Chromium on this machine; .ci/run installs it, or CHROMIUM names one")
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=binary, args=[*sandbox, "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page whose console, errors and requests are written down; requests to elsewhere are refused."""

    def __init__(self, browser: Any, width: int = 1280, scheme: str = "light", **options: Any) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        self.context.route("**/*", self._let_in)
        self.page = self.context.new_page()
        self.complaints: list[str] = []  # what the console and the pages said
        self.outside: list[str] = []  # requests to anywhere but the site's folder
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _let_in(self, route: Any) -> None:
        url = route.request.url
        if url.startswith(_INSIDE):
            route.continue_()
        else:
            self.outside.append(url)
            route.abort()

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{self.page.url}: {message.text}")

    def open(self, path: Path) -> Any:
        self.page.goto(path.as_uri())
        return self.page

    def close(self) -> None:
        self.context.close()


def axe_source() -> str:
    """axe-core's script, which the package axe-playwright-python carries; skips where it is missing."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    (folder,) = package.__path__
    return (Path(folder) / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Any, source: str) -> list[tuple[str, str]]:
    """What axe finds on an open page, with every detail unfolded: rule and the first place."""
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    page.evaluate(source)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    return [(one["id"], one["nodes"][0]["html"][:200]) for one in found]
