"""What tests share: one thread, quiet libraries, and the tiny track."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

# A shell that starts the tests in the background has Ctrl-C ignored, and so would every process they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Teacher, data and store of the tiny track, made once."""
    import tiny

    return tiny.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny_track(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The demo track made tiny for one test; see :mod:`tiny`."""
    import tiny

    from suite import protocol

    monkeypatch.setitem(protocol.TRACKS, "demo", protocol.TRACKS["demo"])
    for name in ("LIGHTBOARD_TEACHER", "LIGHTBOARD_STORE"):
        monkeypatch.setenv(name, "")
    yield tiny.use(tiny_folder)
