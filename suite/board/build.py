"""The site as files: templates filled, the style sheet, the evidence copied beside the pages, everything as data.

The same results give the same bytes: nothing here looks at a clock, and every file depends on the results alone.
Where there are many entries, processes share the work: each takes a share and writes its files.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from suite import paths
from suite.board import colours, markup, outputs, vega
from suite.board.changes import log_file
from suite.board.entries import training, trust
from suite.board.entries.page import entry_sheet
from suite.board.measurements.page import measurement_sheet
from suite.board.page import Page
from suite.board.pages import parts
from suite.board.site import Site, evidence_folder, load_site
from suite.board.text import clean, field_label, plain_value
from suite.canonical import pretty_json
from suite.documents import Entry
from suite.errors import UserError
from suite.index import entries as stored_entries

MARKER = ".lightboard-site"  # a folder that holds it may be replaced
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'"
)
SHARED_FROM = 400  # entries; below, starting processes costs more than it saves
AT_ONCE = 100  # entries or measurements of a share
PROCESSES = 4  # at most: each holds what it makes

File = tuple[str, bytes]  # path below the site's root, content
Share = Callable[[], Iterator[outputs.Parts]]
Told = Callable[[int, int], None]  # shares done, of how many


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for garbage: next to none is made, and each would walk over all that was read, in every process."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_uncollected()
def build(
    results: Path,
    out: Path,
    data: str | None = None,
    *,
    url: str | None = None,
    processes: int | None = None,
    told: Told | None = None,
) -> Path:
    """Write the site of a results tree into ``out``; gives its first page.

    ``out`` appears whole: it is made beside its place and renamed. An existing folder is replaced only when
    it is empty or an earlier site. ``data`` as ``lightboard verify`` takes it: the site then shows texts and gold
    labels, and says that it is not for publishing. ``url`` is where the site will stand: with it pages name their
    address and there are a sitemap and ``robots.txt``. ``told`` hears of progress. Raises :class:`UserError`.
    """
    results, out = Path(results), Path(out)
    base = outputs.address(url)
    _check_place(results, out)
    site = load_site(stored_entries(results), results, data)
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".site-", dir=out.parent))
    try:
        _write(shares(site, base), made, _processes(site, processes), told or _silent)
        if base is not None:
            pages_made = (path.relative_to(made).as_posix() for path in made.rglob("*.html"))
            for path, content in outputs.site_map(site, base, pages_made):
                (made / path).write_bytes(content)
        _permit(made)
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return out / "index.html"


def _silent(done: int, of: int) -> None:
    pass


def _processes(site: Site, asked: int | None) -> int:
    """One where there is little to do, or where a process cannot be copied with what it has read."""
    if sys.platform != "linux":
        return 1
    if asked is not None:
        return asked
    return min(PROCESSES, len(os.sched_getaffinity(0))) if len(site.entries) >= SHARED_FROM else 1


def _check_place(results: Path, out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"{out}: not a folder; name another with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise UserError(f"{out}: holds files that are no site of ours; name an empty folder with --out")
    if results.resolve().is_relative_to(out.resolve()):
        raise UserError(f"{out}: holds the results themselves; name another folder with --out")


def _permit(folder: Path) -> None:
    """Readable by a web server, as far as the umask lets (temporary folders are private)."""
    mask = os.umask(0)
    os.umask(mask)
    folder.chmod(0o777 & ~mask)


# --- sharing the work ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Work:
    shares: Sequence[Share]
    out: Path
    taken: Synchronized[int]  # how many of the shares


_work: _Work | None = None  # reaches the other processes by being there when they are forked


def _write(made_of: Sequence[Share], out: Path, processes: int, told: Told) -> None:
    """This process takes part: one that only waited would hold the memory of a whole one."""
    global _work
    context = multiprocessing.get_context("fork" if processes > 1 else None)
    _work = _Work(made_of, out, context.Value("i", 0))
    try:
        if processes == 1:
            _write_shares(told)
            return
        with context.Pool(processes - 1) as pool:
            others = [pool.apply_async(_write_shares) for _ in range(processes - 1)]
            _write_shares(told)
            for other in others:
                other.get()
        told(len(made_of), len(made_of))
    finally:
        _work = None


def _write_shares(told: Told = _silent) -> None:
    """Those that nobody has taken yet, one after the other."""
    assert _work is not None
    while True:
        with _work.taken.get_lock():
            number = _work.taken.value
            _work.taken.value += 1
        if number >= len(_work.shares):
            return
        for path, content in _work.shares[number]():
            target = _work.out / path
            try:
                stream = target.open("wb")
            except FileNotFoundError:
                target.parent.mkdir(parents=True, exist_ok=True)
                stream = target.open("wb")
            with stream:
                stream.writelines([content] if isinstance(content, bytes) else content)
        told(number + 1, len(_work.shares))


def shares(site: Site, url: str | None = None) -> list[Share]:
    """The files of a site in shares that do not depend on each other, the long ones first."""
    print_pages = Printer(site, url)
    entries = site.entries
    return [
        *(partial(print_pages.all, part) for part in parts(site)),
        *outputs.shares(site, url, print_pages.one),
        *(
            partial(entry_files, site, entries[at : at + AT_ONCE], print_pages)
            for at in range(0, len(entries), AT_ONCE)
        ),
        *(
            partial(measurement_files, site, track, places[at : at + AT_ONCE], print_pages)
            for track in site.tracks()
            for places in [sorted(site.naming(track))]
            for at in range(0, len(places), AT_ONCE)
        ),
        partial(evidence_files, site),
        partial(fixed_files, site),
    ]


class Printer:
    """Pages to files; the templates are read once."""

    def __init__(self, site: Site, url: str | None) -> None:
        self.head = outputs.Head(site, url)
        self.environment = templates(paths.root() / "site" / "templates")
        self.environment.globals["local"] = site.local is not None

    def one(self, page: Page) -> File:
        if not page.template:
            return page.path, str(page.context["text"]).encode("utf-8")
        template = self.environment.get_template(page.template)
        return page.path, template.render({**page.context, **self.head.of(page)}).encode("utf-8")

    def all(self, made: Callable[[], Iterator[Page]]) -> Iterator[File]:
        for page in made():
            yield self.one(page)


def entry_files(site: Site, entries: Sequence[Entry], printer: Printer) -> Iterator[File]:
    """The page of each entry and what else there is of it."""
    for entry in entries:
        yield printer.one(entry_sheet(site, entry))
        yield from outputs.of_entry(site, entry)


def measurement_files(site: Site, track: str, places: Sequence[str], printer: Printer) -> Iterator[File]:
    """The page of each measurement."""
    for place in places:
        yield printer.one(measurement_sheet(site, track, place))


def fixed_files(site: Site) -> Iterator[File]:
    source = paths.root() / "site"
    style = (source / "style.css").read_text(encoding="utf-8")
    yield "style.css", f"{style}\n/* one hue per method */\n{site.hue_rules()}".encode()
    yield "compare.js", (source / "compare.js").read_bytes()
    yield "board.js", (source / "board.js").read_bytes()
    if (chart := vega.script()) is not None:
        yield vega.FILE, chart
    yield "icon.svg", (source / "icon.svg").read_bytes()
    yield from log_files(site)
    yield MARKER, b"Made by lightboard site; replaced whole when it is made again.\n"


def evidence_files(site: Site) -> Iterator[File]:
    """Every document that an entry names, as it is."""
    for track in site.tracks():
        for place in sorted(
            {place for entry in site.entries if entry.track == track for place in _places(entry)}
        ):
            for name, content in site.evidence.files(track, place).items():
                yield f"{evidence_folder(track, place)}/{name}", content


def log_files(site: Site) -> Iterator[File]:
    """Every entry of every log."""
    for track in site.evidence.logged_tracks():
        for entry in site.evidence.log(track):
            content = pretty_json(entry.model_dump(mode="json", by_alias=True))
            yield log_file(track, entry), content.encode("utf-8")


def _places(entry: Entry) -> list[str]:
    runs = [line.run for quality in entry.quality.values() for line in quality.runs]
    return [*runs, *(line.measurement for line in entry.speed)]


def templates(folder: Path) -> Environment:
    """Autoescaping on for everything, undefined names an error, unprintable characters dropped."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        finalize=clean,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,  # they do not change while a site is built
    )
    environment.filters["label"] = field_label
    environment.filters["plain"] = plain_value
    environment.filters |= {"table": markup.table, "facts": markup.facts}
    environment.filters |= {"curves": training.printed, "evidence": trust.printed}
    environment.tests["simple_list"] = _is_simple_list
    environment.globals["policy"] = POLICY
    environment.globals["paper"] = colours.PAPER
    environment.globals["local"] = False
    return environment


def _is_simple_list(given: Any) -> bool:
    return isinstance(given, list | tuple) and not any(
        isinstance(one, Mapping | list | tuple) for one in given
    )
