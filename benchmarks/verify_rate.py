"""How many entries a minute ``lightboard verify`` rescores, and whether its memory stays flat.

    python benchmarks/verify_rate.py [--entries 100 500] [--processes 2]

Entries are generated: every one a recipe of its own with one run of each of the demo track's two tasks (their dev
sets have 800 examples together), rescored from the generator's labels. Each size is checked by fresh processes that
share the runs between them, as two cores would; writing the tree is not timed. *MB* is the largest process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from report import publish

ROOT = Path(__file__).resolve().parent.parent


def write_tree(results: Path, entries: int) -> None:
    """A results tree with so many recipes."""
    sys.path.insert(0, str(ROOT / "tests"))
    import example_results as example

    student = next(row for row in example.ROWS if row.recipe == "student")
    for number in range(entries):
        recipe = f"generated-{number:05d}"
        row = replace(student, recipe=recipe, method=recipe, skill=0.6 + 0.3 * number / entries)
        for task in row.tasks:
            example.add_run(results, row, task)


def check(results: Path, part: int, parts: int) -> dict[str, float]:
    """Rescore one share of a tree in this process: seconds, runs, and the memory it took."""
    from suite.verify import verify

    recipes = sorted((results / "demo" / "runs").iterdir())[part::parts]
    verify(recipes[0], level="rescored")  # imports and labels are paid once, whatever the number
    start = time.perf_counter()
    report = verify(recipes, level="rescored")
    seconds = time.perf_counter() - start
    assert report.ok, report.problems[:3]
    assert all(document.outcomes["rescored"] == "passed" for document in report.documents)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "runs": len(report.documents), "megabytes": peak}


def measure(entries: int, processes: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        write_tree(results, entries)
        command = [sys.executable, __file__, "--check", str(results), "--processes", str(processes)]
        started = [
            subprocess.Popen([*command, "--part", str(part)], stdout=subprocess.PIPE, cwd=ROOT, text=True)
            for part in range(processes)
        ]
        found = [json.loads(process.communicate()[0]) for process in started]
    seconds = max(one["seconds"] for one in found)
    runs = sum(one["runs"] for one in found)
    return (
        f"{entries} entries ({runs:.0f} runs) in {seconds:.1f} s on {processes} processes: "
        f"{60 * entries / seconds:.0f} entries a minute, {max(one['megabytes'] for one in found):.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entries", type=int, nargs="+", default=[100, 500])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--readme", action="store_true", help="put the figures into README.md")
    parser.add_argument("--check", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.check:
        print(json.dumps(check(given.check, given.part, given.processes)))
        return
    written = []
    for entries in given.entries:
        written.append(measure(entries, given.processes))
        print(written[-1])
    if given.readme:
        publish("verify_rate", [f"- {line}" for line in written])


if __name__ == "__main__":
    main()
