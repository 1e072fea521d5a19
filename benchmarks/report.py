"""Figures go from a run into README.md by this module alone: none is typed in, each has its date and machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from suite.measure import machine
from suite.profile import Requires

README = Path(__file__).with_name("README.md")


def machine_kind() -> str:
    """As in "Intel Xeon, 2 cores, virtual machine"; no host name."""
    model, flags = machine.cpu()
    described = machine.describe((), Requires(), {}, {})
    parts = [model, f"{len(machine.allowed())} cores", described["virtual"] or ""]
    wide = next((flag for flag in ("avx512_vnni", "avx512f", "avx2", "asimd") if flag in flags), "")
    return ", ".join(part for part in (*parts, wide) if part)


def publish(section: str, lines: Sequence[str], readme: Path = README) -> None:
    """Put ``lines`` between the section's marks, under date and machine. ValueError where there are no marks."""
    text = readme.read_text(encoding="utf-8")
    begin, end = f"<!-- {section} -->\n", f"<!-- /{section} -->\n"
    if begin not in text or end not in text:
        raise ValueError(f"{readme}: no section {section}")
    before, rest = text.split(begin, 1)
    after = rest.split(end, 1)[1]
    stamp = f"{datetime.now(UTC).date().isoformat()}, {machine_kind()}."
    readme.write_text(before + begin + "\n".join(["", stamp, "", *lines, ""]) + "\n" + end + after, "utf-8")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A markdown table; all columns but the first to the right."""
    ruler = ["---", *["---:"] * (len(columns) - 1)]
    return [f"| {' | '.join(row)} |" for row in (columns, ruler, *rows)]
