"""Tables and lists of facts as HTML.

Functions and no macros of the templates: a page is mostly these, and a macro takes several times as long.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from suite.board.facts import Fact
from suite.board.tables import Cell, Column, Row, Table
from suite.board.text import escaped


def table(t: Table) -> Markup:
    """A table in a frame that scrolls, its notes below it; on a narrow screen the rows of ``cards`` are cards."""
    ident = escaped(t.ident)
    group = f"<tbody{_role(t, 'rowgroup')}>\n"
    parts = [
        f'<div class="scroll{" wide" if t.cards else ""}" role="region" tabindex="0" '
        f'aria-labelledby="{ident}-caption">\n<table id="{ident}"',
        ' class="cards" role="table"' if t.cards else "",
        f' aria-labelledby="{ident}-caption">\n<caption id="{ident}-caption"',
        ' class="unseen"' if t.hidden_caption else "",
        f">{escaped(t.caption)}</caption>\n<thead{_role(t, 'rowgroup')}>\n<tr{_role(t, 'row')}>\n",
        *(_head(t, column) for column in t.columns),
        f"</tr>\n</thead>\n{group}",
    ]
    for number, row in enumerate(t.rows):
        if row.opens:
            parts.append(f"</tbody>\n{group}" if number else "")
            parts.append(_opening(t, row.opens))
        parts.append(_row(t, row))
    parts.append("</tbody>\n</table>\n</div>\n")
    if t.notes:
        notes = "".join(f"<li>{escaped(note)}</li>\n" for note in t.notes)
        parts.append(f'<ul class="notes">\n{notes}</ul>\n')
    return Markup("".join(parts))


def _role(t: Table, role: str) -> str:
    """Cards are set as blocks, which takes a table's roles from them: they say them themselves."""
    return f' role="{role}"' if t.cards else ""


def _head(t: Table, column: Column) -> str:
    title = escaped(column.title)
    if column.href and title:
        title = f'<a href="{escaped(column.href)}">{title}</a>'
    key = f' data-key="{escaped(column.key)}"' if column.key else ""
    unit = f" <small>{escaped(column.unit)}</small>" if column.unit else ""
    note = f' <small class="note">{escaped(column.note)}</small>' if column.note else ""
    role = _role(t, "columnheader")
    return f'<th scope="col"{role} class="{column.kind}"{key}>{title}{unit}{note}</th>\n'


def _opening(t: Table, words: str) -> str:
    head = f'<th colspan="{len(t.columns)}" scope="rowgroup"{_role(t, "rowheader")}>{escaped(words)}</th>'
    return f'<tr class="group"{_role(t, "row")}>{head}</tr>\n'


def _row(t: Table, row: Row) -> str:
    ident = f' id="{escaped(row.ident)}"' if row.ident else ""
    entry = f' data-entry="{escaped(row.entry)}"' if row.entry else ""
    line, name, role = (' role="row"', ' role="rowheader"', ' role="cell"') if t.cards else ("", "", "")
    parts = [f"<tr{ident}{entry}{line}>\n"]
    parts += [
        f'<td class="{column.kind}"{role}>{_inside(cell)}</td>\n'
        for cell, column in zip(row.lead, t.columns, strict=False)
    ]
    parts.append(f'<th scope="row"{name}>{_name(row)}</th>\n')
    at = len(row.lead) + 1
    for cell in row.cells:
        column = t.columns[at]
        kind = column.kind
        if cell.reason is not None:
            kind += " gap"
        if cell.faint:
            kind += " faint"
        span = f' colspan="{cell.span}"' if cell.span > 1 else ""
        label = f' data-label="{escaped(column.label)}"' if t.cards else ""
        parts.append(f'<td class="{kind}"{span}{role}{label}>{_inside(cell)}</td>\n')
        at += cell.span
    parts.append("</tr>\n")
    return "".join(parts)


def _name(row: Row) -> str:
    swatch = f"{row.swatch} " if row.swatch is not None else ""
    variant = f' <span class="variant">{escaped(row.variant)}</span>' if row.variant else ""
    tags = "".join([f' <small class="tag">{escaped(tag)}</small>' for tag in row.tags])
    return f'{swatch}<span class="who">{_inside(row.head)}{variant}{tags}</span>'


def _inside(cell: Cell) -> str:
    text, small, note, href, reason, drawing, _, _, declared, _ = cell  # at once: a page has hundreds of them
    if reason is not None:
        said = escaped(reason)
        if href:
            return f'<a class="why" href="{escaped(href)}">{said}</a>'
        return f'<span class="why">{said}</span>'
    found = str(drawing) if drawing is not None else ""
    if text:
        shown = escaped(text)
        if href:
            shown = f'<a href="{escaped(href)}">{shown}</a>'
        found += f'<em class="declared">{shown}</em>' if declared else shown
    if small:
        found += f" <small>{escaped(small)}</small>"
    if note:
        found += f' <small class="note">{escaped(note)}</small>'
    return found


def facts(given: Iterable[Fact], kind: str = "facts") -> Markup:
    """A two-column list; of ``kind`` "key" the few numbers that stand first, set large."""
    parts = []
    for fact in given:
        ident = f' id="{escaped(fact.ident)}"' if fact.ident else ""
        text = escaped(fact.text)
        if fact.declared and not fact.missing:
            text = f'<em class="declared">{text}</em>'
        elif fact.missing and kind == "facts":
            text = f'<span class="why">{text}</span>'
        note = f" <small>{escaped(fact.note)}</small>" if fact.note else ""
        parts.append(f"<div{ident}>\n<dt>{escaped(fact.label)}</dt>\n<dd>{text}{note}</dd>\n</div>\n")
    return Markup(f'<dl class="{kind}">\n{"".join(parts)}</dl>\n')
