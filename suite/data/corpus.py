"""Plain text for general distillation: a file the user names, Wikipedia from the hub, or generated sentences."""

from __future__ import annotations

import gzip
import lzma
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from suite.canonical import digest_file
from suite.data import generated
from suite.errors import UserError

VARIABLE = "LIGHTBOARD_CORPUS"
HUB, CONFIG, REVISION = "wikimedia/wikipedia", "20231101.en", "b04c8d1ceb2f5cd4588862100d08de323dccfbaa"
GENERATED_SEED = 7


def _file() -> Path | None:
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named)
    if not path.is_file():
        raise UserError(
            f"{VARIABLE}: {path}: no such file; name a text file, plain or .xz or .gz, a paragraph a line"
        )
    return path


@lru_cache
def _digest(path: str, modified: float) -> str:
    return digest_file(Path(path))


def fingerprint(kind: str) -> str:
    """What identifies the text: the file's hash, the hub's revision, or the generator's seed."""
    if kind == "generated":
        return f"generated:{GENERATED_SEED}"
    path = _file()
    if path is None:
        return f"hub:{HUB}/{CONFIG}@{REVISION}"
    return _digest(str(path.resolve()), path.stat().st_mtime)


def paragraphs(kind: str, lines: int) -> Iterator[str]:
    """Paragraphs in the source's order; ``lines`` bounds the generated ones only."""
    if kind == "generated":
        yield from generated.corpus(lines, GENERATED_SEED)
        return
    path = _file()
    if path is None:
        yield from _hub()
        return
    with _open(path) as stream:
        try:
            for line in stream:
                if line.strip():
                    yield line.strip()
        except (lzma.LZMAError, EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
            raise UserError(f"{path}: damaged or not UTF-8 text ({error}); fetch it again") from error


@contextmanager
def _open(path: Path) -> Iterator[IO[str]]:
    opener = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix, open)
    with opener(path, "rt", encoding="utf-8") as stream:  # type: ignore[operator]
        yield stream


def _hub() -> Iterator[str]:
    from datasets import load_dataset

    try:
        articles = load_dataset(HUB, CONFIG, revision=REVISION, split="train", streaming=True)
        for article in articles:
            yield from (line.strip() for line in article["text"].splitlines() if line.strip())
    except (ConnectionError, OSError) as error:
        raise UserError(
            f"corpus {HUB}: the hub cannot be reached ({type(error).__name__}); "
            f"set {VARIABLE} to a text file of English paragraphs",
            code=1,
        ) from error
