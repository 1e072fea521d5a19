"""A view of the board for a paper: its table in LaTeX (booktabs) and the works it rests on in BibTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from suite import __version__
from suite.board import cut
from suite.board.entry_rows import file_size
from suite.board.outputs.data import ordered
from suite.board.outputs.places import view_file
from suite.board.site import Shown, Site, View, known_track, track_title
from suite.board.text import MINUS, clean, digits, fixed, plus_minus, rank_range, shorten, span
from suite.documents import Entry
from suite.protocol import REPORTING, reporting_hash
from suite.recipe import Reference

OWN_KEY = "lightboard"


def files(site: Site, track: str, view: View) -> Iterator[tuple[str, bytes]]:
    yield view_file(track, view, "tex"), latex(site, track, view).encode("utf-8")
    yield view_file(track, view, "bib"), bibtex(site, track, view).encode("utf-8")


# --- escaping -----------------------------------------------------------------------------------------------

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    **{c: "\\" + c for c in "&%$#_{}"},
    MINUS: "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "’": "'",
    "…": r"\ldots{}",
}
_TEX_TABLE = str.maketrans(_TEX)


def tex(text: str, limit: int = 400) -> str:
    """Text as LaTeX prints it: one line, nothing in it a command."""
    return shorten(str(clean(text)), limit).translate(_TEX_TABLE)


# --- the table ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    title: str
    align: str


def latex(site: Site, track: str, view: View) -> str:
    """``\\usepackage{booktabs}`` sets it; what is missing is ``--``, with the reason in a comment above."""
    rows = ordered(site, track)
    printed = rows[: cut.PRINTED]
    known = known_track(track)
    tasks = list(known.core) if known else sorted({t for _, e in rows for t in e.quality})
    columns = [
        _Column("Rank", "l"),
        _Column("Method", "l"),
        _Column("Score", "r"),
        *(_Column(site.task(task).title, "r") for task in tasks),
        _Column("Params (M)", "r"),
        _Column("FLOPs (G)", "r"),
        _Column("Size (MB)", "r"),
        _Column(r"Speed ($\times$)", "r"),
        _Column("Latency (ms)", "r"),
    ]
    lines = [
        "% Needs \\usepackage{booktabs} and, for the citations, the .bib file beside this one.",
        *(f"% {line}" for line in _reasons(site, printed, view)),
        *(f"% {line}" for line in cut.said(len(printed), len(rows))),
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(site, track, view)}}}",
        rf"\label{{tab:lightboard-{_plain(track)}}}",
        rf"\begin{{tabular}}{{{''.join(column.align for column in columns)}}}",
        r"\toprule",
        " & ".join(_heading(column.title) for column in columns) + r" \\",
    ]
    keys = _keys(site, [e for _, e in printed])
    before = ""
    for name, entry in printed:
        if name != before:
            lines.append(r"\midrule")
            before = name
        cells = _cells(site, entry, tasks, view, keys.get(entry.recipe, ()))
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _heading(title: str) -> str:
    return title if title.startswith("Speed (") else tex(title)


def _caption(site: Site, track: str, view: View) -> str:
    where = site.on_profile(view.profile) if view.profile else "not timed yet"
    runtime = f"with {view.runtime}" if view.runtime else "with each row's fastest runtime at full precision"
    said = (
        f"Lightboard, {track_title(track)} track, {where}, {runtime}; reporting protocol "
        f"{REPORTING['version']} ({reporting_hash().removeprefix('sha256:')[:12]}). Score: mean of the core "
        "tasks. ± and ranges: 95% intervals. Speed: times the reference's; latency: its median time "
        "over the speed. Below the first rule the ranked rows, below the others those that are not ranked."
    )
    return f"{tex(said)} \\cite{{{OWN_KEY}}}"


def _reasons(site: Site, rows: Sequence[tuple[str, Entry]], view: View) -> Iterator[str]:
    """Why a cell is empty, one line an entry."""
    for _, entry in rows:
        shown = site.speed(entry, view)
        said = [] if isinstance(shown, Shown) else [f"speed: {shown.reason}"]
        if entry.board_score is None:
            said.append(f"score: {entry.board_score_reason or 'core tasks missing'}")
        if said:
            yield f"{entry.recipe}/{entry.variant}: {tex('; '.join(said))}"


def _cells(site: Site, entry: Entry, tasks: Sequence[str], view: View, keys: Sequence[str]) -> list[str]:
    shown, score = site.speed(entry, view), entry.board_score
    size = file_size(entry, shown)
    flops = entry.cost.flops_per_example.get("128")
    cite = rf"~\cite{{{','.join(keys)}}}" if keys else ""
    cells = [
        tex(rank_range(entry.ranks.lowest, entry.ranks.highest)) if entry.ranks else "--",
        tex(", ".join(filter(None, (shorten(site.title(entry.recipe), 48), site.variant(entry))))) + cite,
        tex(fixed(score.value, 1) + (f" {plus_minus(score.value, score.interval)}" if score.interval else ""))
        if score
        else "--",
        *(tex(fixed(entry.quality[t].score, 1)) if t in entry.quality else "--" for t in tasks),
        tex(digits(entry.cost.parameters.total / 1e6, 4, 2)),
        tex(digits(flops / 1e9, 3, 2)) if flops is not None else "--",
        tex(digits(size[0] / 1e6, 4, 1)) if size else "--",
    ]
    if not isinstance(shown, Shown):
        return [*cells, "--", "--"]
    ends = f" ({span(shown.ratio.interval, 2)})" if shown.ratio.interval else ""
    noisy = " noisy" if shown.noisy else ""
    ms = tex(digits(shown.ms, 3, 2)) if shown.ms is not None else "--"
    return [*cells, tex(digits(shown.ratio.value, 3, 2) + ends + noisy), ms]


# --- the works ----------------------------------------------------------------------------------------------


def bibtex(site: Site, track: str, view: View) -> str:
    """The board itself, then what its methods rest on."""
    name = track_title(track)
    title = tex(f"Lightboard: a benchmark suite and leaderboard for compressed BERT models, {name} track")
    where = site.profile_title(view.profile) if view.profile else "not timed"
    protocol = f"{REPORTING['version']} ({reporting_hash().removeprefix('sha256:')[:12]})"
    note = tex(f"Version {__version__}, reporting protocol {protocol}, {where}")
    own = _record(
        "misc",
        OWN_KEY,
        {"author": "{{The Lightboard developers}}", "title": f"{{{title}}}", "note": f"{{{note}}}"},
    )
    works = {
        key: work
        for _, entry in ordered(site, track)[: cut.PRINTED]
        for key, work in zip(_works(site, entry.recipe), _references(site, entry.recipe), strict=True)
    }
    return "\n".join([own, *(_work(key, works[key]) for key in sorted(works))])


def _record(kind: str, key: str, fields: dict[str, str]) -> str:
    inner = "".join(f"  {name} = {value},\n" for name, value in fields.items())
    return f"@{kind}{{{key},\n{inner}}}\n"


def _work(key: str, one: Reference) -> str:
    authors = " and ".join(f"{{{tex(name)}}}" for name in one.authors.split(",") if name.strip())
    fields = {"author": f"{{{authors}}}", "title": f"{{{{{tex(one.title)}}}}}", "year": f"{{{one.year}}}"}
    if one.arxiv:
        fields |= {"eprint": f"{{{one.arxiv}}}", "archivePrefix": "{arXiv}"}
    return _record("misc", key, fields)


def _references(site: Site, recipe: str) -> tuple[Reference, ...]:
    known = site.recipes.get(recipe)
    return known.about.references if known else ()


def _works(site: Site, recipe: str) -> list[str]:
    return [_key(one) for one in _references(site, recipe)]


def _keys(site: Site, entries: Sequence[Entry]) -> dict[str, list[str]]:
    return {recipe: _works(site, recipe) for recipe in sorted({e.recipe for e in entries})}


def _key(one: Reference) -> str:
    """``xu2020bert-of-theseus``: the first author, the year, the title up to its colon or its first word."""
    short = one.title.partition(":")[0] if ":" in one.title else one.title.split()[0]
    name = one.authors.split(",")[0].split()[-1] if one.authors.split(",")[0].split() else "anonymous"
    return f"{_plain(name)}{one.year}{_plain(short)[:30]}"


def _plain(text: str) -> str:
    """Lower-case ASCII letters, digits and hyphens: what a citation key may hold everywhere."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-") or "x"
