"""The guides say what works: every command in them is one, and those that can be are run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import example_results as example
import pytest
import typer
import yaml
from test_submit import NOBODY, call

import suite
from suite import cli, gaps, reproduce, review, signing, submit
from suite.errors import UserError
from suite.index import entries
from suite.protocol import Track

ROOT = Path(__file__).parent.parent
GUIDES = ("submit-an-entry", "contribute-a-profile", "contribute-a-method")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def blocks(path: Path, language: str = "") -> list[str]:
    """The fenced blocks of a page in a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.M | re.S)
    return [content for kind, content in found if kind == language]


def commands(text: str) -> Iterator[list[str]]:
    """The words of every lightboard command in a shell text, without what comes before and after it."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|\||;", line):
            if part.strip().startswith("lightboard "):
                yield shlex.split(re.sub(r"\s#.*|\d?>.*", "", part).strip())[1:]


def parse(words: list[str]) -> None:
    """Let the command line's own parser read the words, without running anything."""
    command: Any = typer.main.get_command(cli.app)
    context = None
    while hasattr(command, "commands"):
        assert words and words[0] in command.commands, f"no command {' '.join(words)!r}"
        context = type(command).context_class(command, info_name="lightboard", parent=context)
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, list(words), parent=context)


def test_every_command_on_every_page_is_one() -> None:
    count = 0
    for page in PAGES:
        for block in blocks(page):
            for words in commands(block):
                parse(words)
                count += 1
        for words in re.findall(r"`lightboard ([a-z]+)[^`]*`", page.read_text(encoding="utf-8")):
            assert words in typer.main.get_command(cli.app).commands, f"{page.name}: {words}"  # type: ignore[attr-defined]
    assert count > 30


@pytest.mark.parametrize(
    "words", ["sumbit x --out d", "submit x", "verify", "cost theseus --trak mini", "log a/b/c --what eaten"]
)
def test_the_parser_that_checks_the_pages_refuses_what_is_wrong(words: str) -> None:
    with pytest.raises((AssertionError, Exception)) as caught:
        parse(words.split())
    assert "no command" in str(caught.value) or type(caught.value).__module__.startswith(("click", "typer"))


def test_guides_are_a_page_each_and_are_linked() -> None:
    for name in GUIDES:
        path = ROOT / "docs" / f"{name}.md"
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 100
        assert f"docs/{name}.md" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).is_file(), target


def test_the_commands_that_the_code_prints_are_commands(tmp_path: Path) -> None:
    results = example.build(tmp_path / "results")
    for entry in entries(results):
        for line in reproduce.commands(entry):
            parse(shlex.split(line)[1:])
        for gap in gaps.gaps(entry, [], ["sha256:x"], ["mood"]):
            parse(shlex.split(gap.command)[1:])
    parcel = submit.prepare(results, ["demo/student/default"], private=NOBODY)
    for words in commands(parcel.files["README.md"].decode()):
        parse(words)


# --- run as written -----------------------------------------------------------------------------------------


def test_the_guide_to_an_entry_works_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    example.build(Path("results"))
    shutil.copytree("results", "published")
    text = (ROOT / "docs/submit-an-entry.md").read_text(encoding="utf-8")
    for old, new in (("mini", "demo"), ("theseus", "student"), ("cola-11", "mood-11")):
        text = text.replace(old, new)
    Path("guide.md").write_text(text, encoding="utf-8")
    ran = []
    for block in blocks(Path("guide.md")):
        for words in commands(block):
            if not signing.available() and (words[0] == "keygen" or "--sign" in words):
                words = [w for w in words if w not in ("--sign", "mykey.pem")]
                if words == ["keygen"]:
                    continue
            if (
                words[0] == "log" and "log" not in ran
            ):  # something happened meanwhile, or there is no reason to give
                runs = Path("published/demo/runs/student/default")
                example.forge(
                    runs / "mood-11", "run.json", example.read(runs / "mood-11", "run.json") | {"seconds": 1}
                )
                shutil.rmtree(runs / "same-11")
            code, out, err = call(capsys, *words)
            assert code == 0, f"lightboard {' '.join(words)}: {out} {err}"
            ran.append(words[0])
    assert {"index", "verify", "submit", "compare", "log", "card", "export"} <= set(ran)
    assert Path("submission/demo/runs/student").is_dir() and Path("tables/entries.csv").is_file()
    assert Path("README.md").read_text(encoding="utf-8").startswith("---\n")
    assert len(list(Path("results/demo/log").iterdir())) == 3


def shelved(page: Path, language: str, folder: Path) -> None:
    """Write a guide's blocks in a language to the files that it names just before them."""
    text = page.read_text(encoding="utf-8")
    for name, content in re.findall(
        rf"^`([a-z_/.-]+)`[^\n]*\n+(?:[^\n]*\n+)?```{language}\n(.*?)^```$", text, re.M | re.S
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


def test_the_guide_to_a_profile_works_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shelved(ROOT / "docs/contribute-a-profile.md", "yaml", tmp_path)
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path))
    code, out, _ = call(capsys, "list", "profiles")
    assert code == 0 and "my-board" in out


def test_the_guide_to_a_method_works_as_written(
    tiny_track: Track,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    guide = ROOT / "docs/contribute-a-method.md"
    for language in ("python", "yaml"):
        shelved(guide, language, tmp_path / "own")
    assert sorted(p.name for p in (tmp_path / "own").rglob("*.*")) == ["always-first.yaml", "always_first.py"]
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path / "own"))
    monkeypatch.chdir(tmp_path)
    first = blocks(guide)[0].replace("--data generated", f"--data folder:{tiny_folder}/glue")
    ran = []
    for words in commands(first):
        if words[0] == "verify":
            continue  # the tiny track's rows are not the protocol's
        code, out, err = call(capsys, *words)
        assert code == 0, f"lightboard {' '.join(words)}: {out} {err}"
        ran.append(words[0])
    assert ran == ["list", "cost", "plan", "run", "index"]
    assert {entry.recipe for entry in entries(tmp_path / "build/try")} == {"always-first"}


# --- the checks on pull requests ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_real_commands_with_few_rights(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    for step in steps:
        script = step.get("run", "")
        assert "${{" not in script  # what a pull request names must reach a shell as a variable only
        for words in commands(script):
            parse(words)
        if "checkout" in step.get("uses", ""):
            assert set(step["with"]) == {"persist-credentials"}  # the base branch, and no token left behind
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job
        rights = job.get("permissions", workflow["permissions"])
        if any(
            "checkout" in step.get("uses", "") or ("run" in step and "lightboard" in step["run"])
            for step in job["steps"]
        ):
            assert rights == {"contents": "read"}


def test_the_check_never_runs_what_a_pull_request_brings() -> None:
    text = (ROOT / ".github/workflows/check-results.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow[True] == {"pull_request_target": {"paths": ["results/**"]}}  # YAML 1.1 reads "on" as true
    assert workflow["permissions"] == {}
    assert "head.ref" not in text and "head.sha" not in text and "git checkout" not in text
    fetch = next(
        i for i, s in enumerate(workflow["jobs"]["check"]["steps"]) if "refs/pull" in s.get("run", "")
    )
    installs = [
        i for i, s in enumerate(workflow["jobs"]["check"]["steps"]) if "pip install" in s.get("run", "")
    ]
    assert installs and max(installs) < fetch  # installed before anything of the pull request is there


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    example.build(folder / "results", [row for row in example.ROWS if row.recipe == "majority"])
    git(folder, "init", "--quiet")
    return folder


def commit(folder: Path) -> None:
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "--quiet", "-m", "x")


def test_incoming_files_are_the_commits_own_bytes(repository: Path, tmp_path: Path) -> None:
    """Whatever attributes the pull request sets: an archive would leave the measurement out and change the entry."""
    attributes = "measurements/** export-ignore\n*.json text eol=crlf ident\n*.parquet filter=evil\n"
    (repository / "results/.gitattributes").write_text(attributes)
    files = {
        p.relative_to(repository / "results"): p.read_bytes()
        for p in (repository / "results").rglob("*")
        if p.is_file()
    }
    commit(repository)
    assert review.fetch("HEAD", tmp_path / "in", repository) == len(files)
    assert {
        p.relative_to(tmp_path / "in"): p.read_bytes() for p in (tmp_path / "in").rglob("*") if p.is_file()
    } == files
    with pytest.raises(UserError, match="exists"):
        review.fetch("HEAD", tmp_path / "in", repository)


@pytest.mark.parametrize("what", ["link", "linked folder", "submodule", "name", "case", "large"])
def test_incoming_links_and_strange_names_are_refused(
    repository: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = repository / "results"
    if what == "link":
        (results / "README.md").symlink_to("/etc/passwd")
    elif what == "linked folder":
        (results / "mini").symlink_to("/etc")
    elif what == "submodule":
        (results / "mini").mkdir()
        git(results / "mini", "init", "--quiet")
        (results / "mini/x").write_text("x")
        commit(results / "mini")
    elif what == "name":
        (results / "demo/a;b $(id).json").write_text("{}")
    elif what == "case":
        (results / "demo/A.json").write_text("{}")
        (results / "demo/a.json").write_text("{}")
    else:
        monkeypatch.setattr(review, "MAX_BYTES", 10)
    commit(repository)
    with pytest.raises(UserError):
        review.fetch("HEAD", tmp_path / "in", repository)
    assert not (tmp_path / "in").exists()


def test_a_revision_is_no_option(repository: Path, tmp_path: Path) -> None:
    commit(repository)
    for revision in ("--upload-pack=evil", "", "HEAD;id", "absent"):
        with pytest.raises(UserError):
            review.fetch(revision, tmp_path / "in", repository)


def test_the_comment_says_what_was_found_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "table.md").write_text("| entry |\n| --- |\n| demo/x |\n")
    (tmp_path / "verify.txt").write_text("run 1; nothing is wrong\n")
    good = review.comment(tmp_path)
    for name in ("table.md", "verify.txt"):
        there = (tmp_path / name).rename(tmp_path / "aside")
        assert "found problems" in review.comment(tmp_path), "what left no word was not checked"
        there.rename(tmp_path / name)
    assert "found nothing wrong" in good and "| demo/x |" in good and "run 1; nothing is wrong" in good
    (tmp_path / "failed").touch()
    (tmp_path / "verify.txt").write_text(
        "a.json: reason: found <img src=x> @everyone [x](http://y.z)\n" * 100
    )
    bad = review.comment(tmp_path)
    assert "found problems" in bad and "and 60 more lines" in bad
    assert "<img" not in bad and "@everyone" not in bad and "[x](http" not in bad
    (tmp_path / "table.md").write_text("| x |\n" * 50_000)
    assert len(review.comment(tmp_path)) < 65_000


@pytest.mark.parametrize("name", suite.__all__)
def test_what_the_package_offers_is_there_in_a_fresh_process(name: str) -> None:
    """Whatever was imported before: a submodule and a function may have one name."""
    code = f"import suite; one = suite.{name}; assert callable(one) or isinstance(one, str)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
