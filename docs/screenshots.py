"""Take the README's pictures from a built website: ``python docs/screenshots.py build/site``.

Needs ``pip install playwright`` and a Chromium; CHROMIUM names its program where it is not /usr/bin/chromium.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright  # type: ignore[import-not-found]

# Name -> page, and what is there once it stands still.
PAGES = {
    "front": ("index.html", ".plot.answers"),  # the chart that is explored has taken its place
    "method": ("methods/theseus.html", "footer"),
}
SIZE = {"width": 1280, "height": 1000}


def main() -> None:
    site, out = Path(sys.argv[1]).resolve(), Path(__file__).parent / "images"
    out.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        for name, (page_path, settled) in PAGES.items():
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport=SIZE, color_scheme=scheme)
                page.goto((site / page_path).as_uri())
                page.wait_for_selector(settled)
                page.screenshot(path=out / f"{name}-{scheme}.png")
                page.close()
        browser.close()


if __name__ == "__main__":
    main()
