"""How long the website of a large board takes, how much memory, and how it feels in a browser.

    python benchmarks/site_scale.py [--entries 2000 10000] [--processes 2] [--without-browser]

Entries are generated from the real ones: a copy has its original's figures, shifted, and names its original's runs
and measurements, so its page shows everything that an entry's page shows. Every tenth copy is a recipe of its own; the
others are further operating points. *MB* is the largest sum, over all processes at one moment, of memory counted once
where it is shared (PSS); *CPU* is the time of all processes together, which says more than the clock on a busy machine.
The browser part needs playwright and Chromium; parts of it that the page does not offer are skipped by name.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import report

ROOT = Path(__file__).resolve().parent.parent
BUILD = (
    "import sys; from pathlib import Path; from suite import board; "
    "board.build(Path(sys.argv[1]), Path(sys.argv[2]), processes=int(sys.argv[3]) or None)"
)


def write_tree(source: Path, results: Path, entries: int) -> None:
    """A track with so many entries, generated from those of ``source``; the documents are the originals."""
    real = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(source.glob("entries/*/*.json"))]
    for kind in ("runs", "measurements", "attestations"):
        if (source / kind).is_dir():
            shutil.copytree(source / kind, results / source.name / kind)
    for number in range(entries):
        original, copy = real[number % len(real)], number // len(real)
        entry = _shifted(original, number, copy) if copy else original
        path = results / source.name / "entries" / entry["recipe"] / f"{entry['variant']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(entry), encoding="utf-8")


def _shifted(original: dict[str, Any], number: int, copy: int) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(json.dumps(original))
    entry["variant"] = f"{entry['variant'][:50]}-{copy:04d}"
    entry["default"] = number % 10 == 0
    if entry["default"]:
        entry["recipe"] = f"{entry['recipe'][:50]}-{copy:04d}"
    by = number * 7919 % 1000 / 1000 * 6 - 3  # points, spread evenly
    for estimate, key in [
        (entry["board_score"], "value"),
        *((q, "score") for q in entry["quality"].values()),
    ]:
        if estimate:
            estimate[key] += by
            estimate["interval"] = [end + by for end in estimate["interval"]]
    for line in entry["speed"]:
        for ratio in (line["ratio"], line["alone_ratio"]):
            if ratio:
                ratio["value"] *= 1 + by / 10
                ratio["interval"] = ratio["interval"] and [end * (1 + by / 10) for end in ratio["interval"]]
    return entry


def build(results: Path, out: Path, processes: int) -> dict[str, float]:
    """Seconds, processor seconds and megabytes of a build in a fresh process."""
    start, before, peak = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN), 0
    running = psutil.Popen([sys.executable, "-c", BUILD, str(results), str(out), str(processes)], cwd=ROOT)
    while running.poll() is None:
        peak = max(peak, _memory(running))
        time.sleep(0.2)
    if running.returncode:
        raise SystemExit(f"the build failed with status {running.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": time.perf_counter() - start,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "megabytes": peak / 1e6,
    }


def _memory(process: psutil.Process) -> int:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_full_info().pss
    except psutil.Error:
        return 0  # one of them has just ended
    return total


def page_bytes(site: Path) -> dict[str, float]:
    """Kilobytes of the front page as a server sends it (gzip): itself and its style, then each script it names."""
    page = (site / "index.html").read_text(encoding="utf-8")

    def compressed(path: Path) -> float:
        return len(gzip.compress(path.read_bytes(), 6, mtime=0)) / 1e3

    found = {"page and style": compressed(site / "index.html") + compressed(site / "style.css")}
    named = re.findall(r'<script[^>]* src="([^"]+)"', page) + re.findall(r'data-scripts="([^"]+)"', page)
    for script in " ".join(named).split():
        found[script] = compressed(site / script)
    return found


# --- in a browser -------------------------------------------------------------------------------------------

ROWS_VISIBLE = """() => new Promise(done => {
  const seen = () => document.querySelector('#board tbody tr:not(.group)')?.getBoundingClientRect().height > 0
    ? done(performance.now()) : requestAnimationFrame(seen);
  seen();
})"""
# Until the frame after the change is drawn (two frames, as the first callback runs before its own frame); until nothing
# in the table and the chart changes any more (the rows below those in view, and the chart, come later); and the longest
# that the page could not answer in all that time.
UNTIL_DRAWN = """async ([selector, kind, value]) => {
  let still = 0, longest = 0;
  const watch = new MutationObserver(() => { still = performance.now(); });
  for (const place of document.querySelectorAll('#board, .plot')) {
    watch.observe(place, {childList: true, subtree: true, attributes: true});
  }
  const tasks = new PerformanceObserver((list) => {
    for (const task of list.getEntries()) longest = Math.max(longest, task.duration);
  });
  tasks.observe({type: 'longtask'});
  const it = document.querySelector(selector), start = performance.now();
  if (kind === 'click') it.click();
  else {
    it.value = value;
    for (const event of ['input', 'change']) it.dispatchEvent(new Event(event, {bubbles: true}));
  }
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const drawn = performance.now() - start;
  while (performance.now() - Math.max(still, start + drawn) < 500) await new Promise(done => setTimeout(done, 50));
  watch.disconnect();
  tasks.disconnect();
  return {'rows in view drawn': drawn, 'all rows and the chart': still - start, 'longest unanswered': longest};
}"""
ACTIONS = {
    "sort by score": ("#board thead th[data-key=score] button", "click", ""),
    "filter by a word": ("#find", "input", "distil"),
    "filter by level": ("#at-level", "input", "recounted"),
}


def in_a_browser(site: Path, times: int = 5) -> dict[str, str]:
    """Milliseconds, the median of so many: first rows visible, then each action that the page offers."""
    sys.path.insert(0, str(ROOT / "tests"))
    import browser as browsers

    found: dict[str, list[float]] = {}
    skipped: dict[str, str] = {}
    with browsers.launched() as running:
        for _ in range(times):
            watched = browsers.Watched(running)
            watched.page.goto((site / "index.html").as_uri(), wait_until="commit")
            found.setdefault("first rows visible", []).append(watched.page.evaluate(ROWS_VISIBLE))
            watched.page.wait_for_load_state("load")
            watched.page.wait_for_timeout(1000)  # the chart is there
            for name, (selector, kind, value) in ACTIONS.items():
                if watched.page.locator(selector).count() == 0:
                    skipped[name] = "skipped: not on this page"
                    continue
                for until, ms in watched.page.evaluate(UNTIL_DRAWN, [selector, kind, value]).items():
                    found.setdefault(f"{name}: {until}", []).append(ms)
            watched.close()
    return {name: f"{sorted(all_)[len(all_) // 2]:.0f} ms" for name, all_ in found.items()} | skipped


# --- all of it ----------------------------------------------------------------------------------------------


def measure(source: Path, entries: int, processes: int, browser: bool, folder: Path) -> list[list[str]]:
    """Rows of a table: what, and how much. The site and its results stay in ``folder``."""
    results, site = folder / "results", folder / "site"
    write_tree(source, results, entries)
    told = build(results, site, processes)
    files = sum(path.is_file() for path in site.rglob("*"))
    rows = [
        [f"{entries:,} entries: build, {processes or 'all'} processes", f"{told['seconds']:.1f} s"],
        ["processor time of all of them", f"{told['cpu']:.1f} s"],
        ["memory", f"{told['megabytes']:.0f} MB"],
        ["files", f"{files:,}"],
        *([f"front page, compressed: {name}", f"{size:.0f} kB"] for name, size in page_bytes(site).items()),
    ]
    if browser:
        try:
            rows += [[f"in a browser: {name}", said] for name, said in in_a_browser(site).items()]
        except BaseException as error:  # pytest's skip is no Exception
            if type(error).__name__ != "Skipped":
                raise
            rows.append(["in a browser", f"skipped: {error}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, default=ROOT / "results" / "mini", help="a track's results")
    parser.add_argument("--entries", type=int, nargs="+", default=[2000, 10_000])
    parser.add_argument("--processes", type=int, default=2, help="0: as lightboard site chooses")
    parser.add_argument("--without-browser", action="store_true")
    parser.add_argument("--readme", action="store_true", help="write the figures into README.md")
    given = parser.parse_args()
    rows: list[list[str]] = []
    # Nothing is deleted before the end: a file system without a journal (ext4 of many virtual machines) makes files ten
    # times more slowly for minutes after many were deleted, since it avoids their places.
    with tempfile.TemporaryDirectory() as folder:
        for entries in given.entries:
            place = Path(folder) / str(entries)
            found = measure(given.source, entries, given.processes, not given.without_browser, place)
            rows += found
            for name, said in found:
                print(f"{name}: {said}", flush=True)
    if given.readme:
        report.publish("site_scale", report.table(["what", "figure"], rows))


if __name__ == "__main__":
    main()
