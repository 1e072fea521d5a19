"""The site as files: templates filled, the style sheet, the evidence copied beside the pages.

The same results give the same bytes: nothing here looks at a clock, and all is written in a fixed order.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from suite import paths
from suite.board import colours, vega
from suite.board.changes import log_file
from suite.board.pages import pages
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


def build(results: Path, out: Path) -> Path:
    """Write the site of a results tree into ``out``; gives its first page.

    ``out`` appears whole: it is made beside its place and renamed. An existing folder is replaced only when
    it is empty or an earlier site. Raises :class:`UserError`.
    """
    results, out = Path(results), Path(out)
    _check_place(results, out)
    site = load_site(stored_entries(results), results)
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".site-", dir=out.parent))
    try:
        for path, content in files(site):
            target = made / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        _permit(made)
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return out / "index.html"


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


def files(site: Site) -> Iterator[tuple[str, bytes]]:
    """Path below the site's root and content of every file."""
    source = paths.root() / "site"
    environment = templates(source / "templates")
    for page in pages(site):
        if page.template:
            text = environment.get_template(page.template).render(page.context)
        else:
            text = str(page.context["text"])
        yield page.path, text.encode("utf-8")
    style = (source / "style.css").read_text(encoding="utf-8")
    yield "style.css", f"{style}\n/* one hue per method */\n{site.hue_rules()}".encode()
    yield "board.js", (source / "board.js").read_bytes()
    if (chart := vega.script()) is not None:
        yield vega.FILE, chart
    yield "icon.svg", (source / "icon.svg").read_bytes()
    yield from evidence_files(site)
    yield from log_files(site)
    yield MARKER, b"Made by lightboard site; replaced whole when it is made again.\n"


def evidence_files(site: Site) -> Iterator[tuple[str, bytes]]:
    """Every document that an entry names, as it is."""
    for track in site.tracks():
        for place in sorted(
            {place for entry in site.entries if entry.track == track for place in _places(entry)}
        ):
            for name, content in site.evidence.files(track, place).items():
                yield f"{evidence_folder(track, place)}/{name}", content


def log_files(site: Site) -> Iterator[tuple[str, bytes]]:
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
    )
    environment.filters["label"] = field_label
    environment.filters["plain"] = plain_value
    environment.tests["simple_list"] = _is_simple_list
    environment.globals["policy"] = POLICY
    environment.globals["paper"] = colours.PAPER
    return environment


def _is_simple_list(given: Any) -> bool:
    return isinstance(given, list | tuple) and not any(
        isinstance(one, Mapping | list | tuple) for one in given
    )
