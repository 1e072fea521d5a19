"""For the workflow that checks a pull request's results: its files as plain data, and the comment about them.

``python -m suite.review fetch REVISION FOLDER`` writes the ``results/`` of a commit file by file from git's objects: no
link, no submodule, no name outside, no attribute (a ``.gitattributes`` could hide files from an archive or change
their bytes). ``python -m suite.review comment FOLDER`` makes the comment from what the commands printed there.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.errors import UserError
from suite.folder import show
from suite.markdown import plain

MAX_FILES = 50_000
MAX_BYTES = 500_000_000
MAX_FILE_BYTES = 16 * 2**20
MAX_PROBLEMS = 40
MAX_TABLE = 40_000  # characters: a comment holds 65,536
_PATH = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*){0,7}|\.gitkeep|\.gitattributes|\.gitignore"
)


@dataclass(frozen=True)
class Blob:
    """A file of a commit."""

    object: str
    size: int
    path: str  # below results/


def listing(revision: str, repository: Path = Path()) -> list[Blob]:
    """The files below ``results/`` of a commit; UserError for anything but plain files of bounded size."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./-]*", revision):
        raise UserError(f"{revision!r} is no revision")
    command = ["git", "ls-tree", "-r", "-l", "-z", f"{revision}:results"]
    found = subprocess.run(command, cwd=repository, capture_output=True, check=False)
    if found.returncode:
        raise UserError(f"{revision}: no results/ there", code=1)
    blobs: list[Blob] = []
    for line in found.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        said, _, path = line.partition("\t")
        mode, kind, name, size = said.split()
        where = show(path.encode("utf-8", "replace").decode())
        if kind != "blob" or mode not in ("100644", "100755"):
            raise UserError(f"results/{where}: a link or a submodule; results hold plain files only", code=1)
        if not _PATH.fullmatch(path) or len(path) > 300 or "/.." in f"/{path}/":
            raise UserError(f"results/{where}: a name that no document has; rename or remove it", code=1)
        if int(size) > MAX_FILE_BYTES:
            raise UserError(f"results/{where}: {size} bytes, more than the {MAX_FILE_BYTES} allowed", code=1)
        blobs.append(Blob(name, int(size), path))
    total = sum(blob.size for blob in blobs)
    if len(blobs) > MAX_FILES or total > MAX_BYTES:
        raise UserError(f"results/: {len(blobs)} files of {total} bytes, more than this check reads", code=1)
    if len({blob.path.lower() for blob in blobs}) != len(blobs):
        raise UserError("results/: two names that differ in their case only", code=1)
    return blobs


def fetch(revision: str, folder: Path, repository: Path = Path()) -> int:
    """Write a commit's ``results/`` into a new folder; gives the number of files."""
    if folder.exists():
        raise UserError(f"{folder} exists; name a new folder")
    blobs = listing(revision, repository)
    folder.mkdir(parents=True)
    batch = subprocess.Popen(
        ["git", "cat-file", "--batch"], cwd=repository, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert batch.stdin is not None and batch.stdout is not None
    with batch:
        for blob in blobs:
            batch.stdin.write(f"{blob.object}\n".encode())
            batch.stdin.flush()
            head = batch.stdout.readline().split()
            if len(head) != 3 or int(head[2]) != blob.size:
                raise UserError(f"results/{blob.path}: git does not have it", code=1)
            content = batch.stdout.read(blob.size)
            batch.stdout.read(1)
            path = folder / blob.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        batch.stdin.close()
    return len(blobs)


def comment(report: Path) -> str:
    """The comment: the verdict, the table, then every problem, as text."""
    lines = _lines(report / "verify.txt")
    # What was not checked was not found right: a check that left no word has failed, too.
    failed = (report / "failed").exists() or not lines or not (report / "table.md").is_file()
    said = "found problems" if failed else "found nothing wrong"
    text = [f"**Lightboard's check of these results {said}.** Nothing of this pull request was run.", ""]
    table = (report / "table.md").read_text(encoding="utf-8") if (report / "table.md").is_file() else ""
    if len(table) > MAX_TABLE:
        table = table[:MAX_TABLE].rpartition("\n")[0] + "\n\nThe table is longer than a comment can be.\n"
    text += [table or "There is no table: the entries could not be computed.\n"]
    if failed:
        problems = [*_lines(report / "index.txt"), *_lines(report / "compare.txt"), *lines]
        text += [f"- {plain(line, 500)}" for line in problems[:MAX_PROBLEMS]]
        if len(problems) > MAX_PROBLEMS:
            text.append(
                f"- and {len(problems) - MAX_PROBLEMS} more lines: `lightboard verify results` lists them"
            )
    elif lines:
        text.append(plain(lines[-1], 500))
    return "\n".join(text) + "\n"


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]


def main(arguments: Sequence[str]) -> int:
    try:
        match arguments:
            case ["fetch", revision, folder]:
                print(f"{fetch(revision, Path(folder))} files")
            case ["comment", folder]:
                sys.stdout.write(comment(Path(folder)))
            case _:
                print("usage: python -m suite.review fetch REVISION FOLDER | comment FOLDER", file=sys.stderr)
                return 2
    except UserError as error:
        print(f"lightboard: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
