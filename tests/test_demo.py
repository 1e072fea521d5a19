"""The whole path, as ``make demo`` walks it, on the tiny track: train, time, verify, publish."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from suite.demo import demo
from suite.loading import recipes
from suite.protocol import Track
from suite.verify import verify


@pytest.mark.slow
def test_the_demo_ends_with_a_table_and_a_page(
    tiny_track: Track, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTBOARD_GLUE", str(tiny_folder / "glue"))
    said = io.StringIO()
    demo(tmp_path, Console(file=said, width=120), Console(file=io.StringIO()))
    text = said.getvalue()
    for recipe in recipes():
        if "demo" in recipe.tracks:
            assert (f" {recipe.name} " in text) == recipe.tracks["demo"].tour
    assert "not timed" not in text
    page = tmp_path / "site" / "index.html"
    assert str(page) in text.replace("\n", "")
    assert page.is_file()
    # Timed by hand or inherited from a model of the same graph, with two pairs and so without an interval.
    report = verify(tmp_path / "results", data=f"folder:{tiny_folder}/glue")
    assert report.ok
    assert report.counts()["measurement"] >= 4
    assert "two pairs" in page.read_text() or "two process pairs" in page.read_text()
