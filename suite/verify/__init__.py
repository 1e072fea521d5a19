"""Checking results without believing them: ``lightboard verify``.

Levels, each with the lower ones: ``valid`` (:mod:`.valid`), ``rescored`` (:mod:`.rescored`, needs the data),
``recounted`` (:mod:`.recounted`). Everything that is wrong is listed at once: file, field, found, expected,
fix. Nothing that was submitted is imported or run, and whatever it contains, the answer is a report. The two
levels above need torch and are commands of their own, that are imported by nothing here: :mod:`.replayed` and
:mod:`.retrained`.

Documents are read one at a time and only their subjects and outcomes are kept, so memory does not grow with
the size of their contents.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from suite import __version__, signing, stored
from suite import folder as folders
from suite import index as indexing
from suite import log as logs
from suite.canonical import pretty_json
from suite.documents import Attestation, Entry, Level, Measurement, Signature
from suite.errors import UserError
from suite.folder import Problem, Refused, show
from suite.paths import names
from suite.verify import changes, recounted, rescored, traces, valid
from suite.verify.accuracy import placed
from suite.verify.copies import Answers
from suite.verify.gold import Gold
from suite.verify.loaded import LoadedMeasurement, LoadedRun, broke, run_checks
from suite.verify.shared import Shared

__all__ = ["Checked", "Problem", "Report", "attest", "verify", "write_attestation"]

T = TypeVar("T")
Kind = Literal["run", "measurement", "entry", "attempt", "attestation", "log", "signature"]
Outcome = Literal["passed", "failed", "skipped: no data"]
Told = Callable[[int, int], None]  # runs and measurements checked, of how many
KINDS: tuple[Kind, ...] = get_args(Kind)
LEVELS: tuple[Level, ...] = ("valid", "rescored", "recounted")

MAX_PROBLEMS = 10_000
PERFECT = 99.99  # points
AT_ROOT = frozenset(("README.md", ".gitkeep", ".gitattributes", ".gitignore"))
IN_TRACK = frozenset(
    ("runs", "measurements", "entries", stored.ATTEMPTS, "attestations", logs.FOLDER, signing.FOLDER)
)


@dataclass(frozen=True)
class Checked:
    """One document and how it fared at each level that applies to it and was asked for."""

    file: str
    kind: Kind
    outcomes: dict[Level, Outcome]
    subject: str | None = None  # what attestations name it by; runs and measurements only
    track: Path | None = None  # the track's folder, beside whose documents attestations lie

    @property
    def level(self) -> Level | None:
        """The highest level it passed, with every lower one that applies; None where not even the first."""
        reached: Level | None = None
        for level in LEVELS:
            outcome = self.outcomes.get(level)
            if outcome is not None and outcome != "passed":
                break
            if outcome == "passed":
                reached = level
        return reached


@dataclass
class Report:
    """Everything a verification found."""

    level: Level
    problems: list[Problem] = field(default_factory=list)
    documents: list[Checked] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # skipped checks, and what a person should look at

    @property
    def ok(self) -> bool:
        """Nothing is wrong. Levels may have been skipped: see ``documents`` and ``notes``."""
        return not self.problems

    def counts(self) -> dict[str, int]:
        """Kind, or "level: outcome" -> number of documents."""
        found: dict[str, int] = defaultdict(int)
        for document in self.documents:
            found[document.kind] += 1
            for level, outcome in document.outcomes.items():
                found[f"{level}: {outcome}"] += 1
        return dict(found)

    def summary(self) -> str:
        """One line: what was checked, how far, and how much is wrong."""
        counts = self.counts()
        kinds = [f"{kind} {counts[kind]}" for kind in KINDS if kind in counts]
        reached = [
            f"{counts[key]} {key}" for level in LEVELS for key in sorted(counts) if key.startswith(level)
        ]
        verdict = "nothing is wrong" if self.ok else f"problems: {len(self.problems)}"
        return f"{', '.join(kinds) or 'no documents'}; {', '.join(reached)}; {verdict}"

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values, for ``--json``."""
        return {
            "level": self.level,
            "ok": self.ok,
            "problems": [asdict(problem) for problem in self.problems],
            "documents": [
                {
                    "file": d.file,
                    "kind": d.kind,
                    "subject": d.subject,
                    "level": d.level,
                    "outcomes": d.outcomes,
                }
                for d in self.documents
            ],
            "notes": self.notes,
        }


def verify(
    paths: Path | str | Iterable[Path | str],
    level: Level = "recounted",
    data: str | None = None,
    *,
    against: Path | None = None,
    signers: Path | None = None,
    told: Told | None = None,
) -> Report:
    """Check results trees, tracks, document folders, entry and attestation files.

    ``data``: where gold labels come from (``folder:PATH``, ``own:PATH``, ``auto``); without it only generated
    tasks can be rescored. ``against``: an older results tree, whose published figures may only have changed for
    a reason in the log. ``signers``: whose keys are known by name. ``told`` hears how many runs and measurements are
    checked, and of how many. UserError for a path that does not exist or a level that this cannot check.
    """
    if level not in LEVELS:
        hint = {"replayed": "; use lightboard replay", "retrained": "; use lightboard retrain"}.get(level, "")
        raise UserError(f"level {level!r} is not checked from documents{hint}; known: {', '.join(LEVELS)}")
    if isinstance(paths, Path | str):
        paths = [paths]
    verifier = _Verifier(level, Gold(data), signing.signers(signers))
    if told is not None:
        paths = list(paths)
        of = sum(_documents(Path(path)) for path in paths)
        done = count(1)
        verifier.told = lambda: told(next(done), of)
    for path in paths:
        verifier.visit(Path(path))
    if against is not None:
        verifier.against(against)
    return verifier.finish()


def _documents(path: Path) -> int:
    """How many runs and measurements lie there, whatever they hold."""
    return sum(1 for kind in set(folders.DOCUMENTS.values()) for _ in path.rglob(kind))


def attest(
    report: Report, *, by: str, results: Path | None = None, date: datetime.date | None = None
) -> list[Path]:
    """Write what the report found as attestations beside the checked documents; gives their files.

    For every run and measurement the highest level it passed, every lower one included, and the first that it
    did not pass, if any: failed, or skipped. ``results``: write below ``<results>/<track>/`` instead.
    """
    if not by.strip():
        raise UserError("an attestation needs a name (--attest, --by): who checked it")
    day = (date or datetime.datetime.now(datetime.UTC).date()).isoformat()
    written: list[Path] = []
    for document in report.documents:
        if document.subject is None or document.track is None:
            continue
        track = results / document.track.name if results else document.track
        for level, outcome in _worth_saying(document):
            attestation = Attestation(
                subject=document.subject,
                level=level,
                outcome=outcome,
                by=by,
                date=day,
                lightboard=__version__,
            )
            written.append(write_attestation(track, attestation))
    return written


def write_attestation(track: Path, attestation: Attestation) -> Path:
    """Write an attestation beside the documents of ``results/<track>``; gives its file."""
    content = pretty_json(attestation.model_dump(mode="json", by_alias=True)).encode("utf-8")
    return folders.write_file(track / "attestations" / valid.attestation_name(attestation), content)


def _worth_saying(document: Checked) -> list[tuple[Level, Outcome]]:
    said: list[tuple[Level, Outcome]] = []
    if document.level is not None:
        said.append((document.level, "passed"))
    for level in LEVELS:
        outcome = document.outcomes.get(level, "passed")
        if outcome != "passed":
            said.append((level, outcome))
            break
    return said


# --- walking ------------------------------------------------------------------------------------------------


@dataclass
class _Verifier:
    level: Level
    gold: Gold
    signers: Mapping[str, str]
    report: Report = field(init=False)
    visited: set[Path] = field(default_factory=set)
    graphs: dict[Path, dict[str, recounted.Graph]] = field(default_factory=lambda: defaultdict(dict))
    asked: dict[Path, traces.Asked] = field(default_factory=lambda: defaultdict(traces.Asked))
    complete: set[Path] = field(default_factory=set)  # tracks all of whose runs were checked for graphs
    computed: dict[Path, indexing.Computed | None] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)
    shared: Shared = field(default_factory=Shared)
    attestations: list[tuple[Path, Path, Attestation]] = field(default_factory=list)
    signatures: list[tuple[Path, Signature]] = field(default_factory=list)
    tracks: list[Path] = field(default_factory=list)  # those that were checked whole
    roots: list[Path] = field(default_factory=list)  # results trees
    subjects: dict[Path, dict[str, str]] = field(default_factory=dict)  # track -> place -> subject
    said: set[str] = field(default_factory=set)
    told: Callable[[], None] | None = None  # that one more run or measurement is checked

    def __post_init__(self) -> None:
        self.report = Report(self.level)

    def wants(self, level: Level) -> bool:
        return LEVELS.index(level) <= LEVELS.index(self.level)

    def add(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            if len(self.report.problems) < MAX_PROBLEMS:
                self.report.problems.append(problem)

    def visit(self, path: Path) -> None:
        """Find out what a path is, and check it and what is below it."""
        path = path.absolute()
        if path.is_symlink():
            self.add(
                [Problem(_name(path), "", "a symbolic link", "the thing itself", "name the thing itself")]
            )
        elif path.is_file():
            self._file(path)
        elif not path.is_dir():
            raise UserError(f"{path}: no such file or folder")
        elif (path / "run.json").exists():
            self.run(path)
        elif (path / "measurement.json").exists():
            self.measurement(path)
        elif any((path / kind).is_dir() for kind in IN_TRACK):
            self.track(path)
        elif path.name in IN_TRACK or any(parent.name in IN_TRACK for parent in list(path.parents)[:2]):
            self._below(path)
        else:
            self._results(path)

    def _file(self, path: Path) -> None:
        if path.parent.name == "attestations":
            self.attestation(path)
        elif path.parent.name == stored.ATTEMPTS:
            self.attempt(path)
        elif path.parent.name == signing.FOLDER:
            self.signature(path)
        elif path.parent.name == logs.FOLDER:
            self.log(path.parents[1])
        elif path.suffix == ".json" and len(path.parts) > 4 and path.parts[-3] == "entries":
            self.entry(path)
        elif path.name in ("run.json", "measurement.json", "manifest.json"):
            self.visit(path.parent)
        else:
            self.add([_stranger(path, "an entry, an attestation, or a folder of results")])

    def _results(self, path: Path) -> None:
        """A results tree: folders of tracks."""
        tracks = set(folders.tracks(path))
        self.roots.append(path)
        found = bool(tracks)
        for item in sorted(path.iterdir()):
            if item.is_symlink():
                self.add([_stranger(item, "folders of tracks")])
            elif item in tracks:
                self.track(item)
            elif item.name not in AT_ROOT and not (item.is_dir() and not any(item.iterdir())):
                self.add([_stranger(item, "folders of tracks, and a README.md")])
                found = True
        if not found:
            raise UserError(
                f"{path}: no results there; name a results folder, a document's folder or an entry"
            )

    def track(self, track: Path) -> None:
        """Everything of a track: runs before measurements before entries, which need them."""
        for item in sorted(track.iterdir()):
            if item.name not in IN_TRACK | AT_ROOT or item.is_symlink():
                self.add([_stranger(item, ", ".join(sorted(IN_TRACK)))])
        self.tracks.append(track)
        kinds = (
            "runs",
            "measurements",
            stored.ATTEMPTS,
            logs.FOLDER,
            "entries",
            "attestations",
            signing.FOLDER,
        )
        for kind in kinds:
            if (track / kind).is_dir() and not (track / kind).is_symlink():
                self._below(track / kind)
        if self.wants("recounted") and (track / "entries").is_dir():
            self._missing_entries(track)

    def _below(self, path: Path) -> None:
        """A part of a track: runs/, runs/<recipe>/, runs/<recipe>/<variant>/, and likewise the others."""
        parents = [path, *path.parents]
        depth, kind = next((i, p.name) for i, p in enumerate(parents) if p.name in IN_TRACK)
        leaf = {"runs": 3, "measurements": 3, "entries": 2}.get(kind, 1)
        if kind == logs.FOLDER:
            self.log(path.parent)
        for item in sorted(path.iterdir()):
            if item.is_symlink():
                self.add([_stranger(item, "no links")])
            elif depth + 1 < leaf:
                if item.is_dir():
                    self._below(item)
                elif item.name not in AT_ROOT:
                    self.add([_stranger(item, "folders only")])
            elif kind == "runs" and item.is_dir():
                self.run(item)
            elif kind == "measurements" and item.is_dir():
                self.measurement(item)
            elif kind == "entries" and item.is_file() and item.suffix == ".json":
                self.entry(item)
            elif kind == "attestations" and item.is_file() and item.suffix == ".json":
                self.attestation(item)
            elif kind == stored.ATTEMPTS and item.is_file() and item.suffix == ".json":
                self.attempt(item)
            elif kind == signing.FOLDER and item.is_file() and item.suffix == ".json":
                self.signature(item)
            elif item.name not in AT_ROOT and not (kind == logs.FOLDER and item in self.visited):
                self.add([_stranger(item, f"what belongs into {kind}")])

    # --- documents ---

    def run(self, folder: Path) -> None:
        if self._seen(folder):
            return
        outcomes: dict[Level, Outcome] = {}
        loaded, found = _guarded(valid.load_run, folder)
        self.add(found)
        outcomes["valid"] = "failed" if found else "passed"
        if loaded is not None:
            if self.wants("rescored"):
                outcomes["rescored"], wrong = self._rescored(loaded)
                self.add(wrong)
            if self.wants("recounted"):
                wrong = run_checks(loaded.file, recounted.RUN, loaded)
                self.add(wrong)
                outcomes["recounted"] = "failed" if wrong else "passed"
                self._keep_graph(loaded)
                self.shared.add(loaded.file, loaded.run)
                if loaded.run.division == "open" and not recounted.is_known(loaded.run.model):
                    what = f"no architecture {loaded.run.model.architecture} is here"
                    self._note(
                        f"review: {loaded.file}: {what}: its size and arithmetic are its author's word"
                    )
            self._compare_answers(loaded)
        else:
            outcomes |= {name: "failed" for name in LEVELS[1:] if self.wants(name)}
        self._done(folder, "run", outcomes, loaded)

    def _rescore_own(self, loaded: LoadedMeasurement) -> Outcome:
        """The scores of a lower precision, as runs' are; the worst outcome of its tasks."""
        outcomes: list[Outcome] = []
        for one in loaded.scored:
            outcome, wrong = self._rescored(one)
            wrong += run_checks(one.file, (self.answers.of_full_precision,), one)
            self.add(placed(one, wrong))
            outcomes.append("failed" if wrong else outcome)
        return next((o for o in ("failed", "skipped: no data") if o in outcomes), "passed")

    def _rescored(self, loaded: LoadedRun) -> tuple[Outcome, list[Problem]]:
        if loaded.task is None or loaded.predictions is None:
            return "failed", []  # said at level valid
        gold = self.gold.get(loaded.task, loaded.run.track)
        reason = self.gold.reasons.get((loaded.task.name, loaded.run.track))
        if gold is not None:
            reason = rescored.unusable(loaded, gold)
        if gold is None or reason is not None:
            wrong = run_checks(loaded.file, rescored.WITHOUT_GOLD, loaded)
            if wrong:
                return "failed", wrong
            self._note(f"{loaded.run.task}: rescored is skipped: {reason}")
            return "skipped: no data", []
        wrong = run_checks(loaded.file, rescored.RUN, loaded, gold)
        return "failed" if wrong else "passed", wrong

    def measurement(self, folder: Path) -> None:
        if self._seen(folder):
            return
        outcomes: dict[Level, Outcome] = {}
        loaded, found = _guarded(valid.load_measurement, folder)
        self.add(found)
        outcomes["valid"] = "failed" if found else "passed"
        if self.wants("rescored") and loaded is not None and loaded.scored:
            outcomes["rescored"] = self._rescore_own(loaded)
        if self.wants("recounted"):
            outcomes["recounted"] = "failed"
            if loaded is not None:
                graphs = self._graphs_of(_track_of(folder))
                wrong = run_checks(loaded.file, recounted.MEASUREMENT, loaded, graphs)
                wrong += run_checks(loaded.file, traces.MEASUREMENT, loaded, self.asked[_track_of(folder)])
                self.add(wrong)
                outcomes["recounted"] = "failed" if wrong or loaded.samples is None else "passed"
                self._say_what_was_not_checked(loaded, graphs)
        self._done(folder, "measurement", outcomes, loaded)

    def entry(self, path: Path) -> None:
        if self._seen(path):
            return
        outcomes: dict[Level, Outcome] = {}
        loaded, found = _guarded(valid.load_entry, path)
        self.add(found)
        outcomes["valid"] = "failed" if found else "passed"
        if self.wants("recounted"):
            outcomes["recounted"] = "failed"
            computed = self._computed(path.parents[2]) if loaded is not None else None
            if loaded is not None and computed is not None:
                wrong = run_checks(loaded.file, recounted.ENTRY, loaded, _by_name(computed.entries))
                self.add(wrong)
                outcomes["recounted"] = "failed" if wrong else "passed"
        self.report.documents.append(Checked(_name(path), "entry", outcomes))

    def attestation(self, path: Path) -> None:
        if self._seen(path):
            return
        found_attestation, found = _guarded(valid.load_attestation, path)
        self.add(found)
        if found_attestation is not None:
            self.attestations.append((path, path.parents[1], found_attestation))
        outcome: Outcome = "failed" if found else "passed"
        self.report.documents.append(Checked(_name(path), "attestation", {"valid": outcome}))

    def attempt(self, path: Path) -> None:
        if self._seen(path):
            return
        _, found = _guarded(valid.load_attempt, path)
        self.add(found)
        outcome: Outcome = "failed" if found else "passed"
        self.report.documents.append(Checked(_name(path), "attempt", {"valid": outcome}))

    def log(self, track: Path) -> None:
        """A track's log as a whole: its entries hold on to one another."""
        if self._seen(track / logs.FOLDER):
            return
        entries, found = changes.load_log(track)
        self.add(found)
        wrong = {problem.file for problem in found}
        for path, _ in entries:
            self.visited.add(path)
            outcome: Outcome = "failed" if _name(path) in wrong else "passed"
            self.report.documents.append(Checked(_name(path), "log", {"valid": outcome}))

    def signature(self, path: Path) -> None:
        if self._seen(path):
            return
        signature, found = _guarded(changes.load_signature, path)
        self.add(found)
        if signature is not None and not found:
            self.signatures.append((path, signature))
        outcome: Outcome = "failed" if found else "passed"
        self.report.documents.append(Checked(_name(path), "signature", {"valid": outcome}))

    def against(self, old: Path) -> None:
        """Published figures changed only for reasons that the log gives."""
        if not old.is_dir():
            raise UserError(f"{old}: no such folder; name the older results tree")
        then = {track.name: track for track in folders.tracks(old)}
        for track in self.tracks:
            before = then.pop(track.name, None)
            if before is None:
                continue  # a new track has published nothing yet
            computed = self._computed(track)
            if computed is None:
                self._note(f"{_name(track)}: not compared with {_name(old)}: its entries cannot be computed")
                continue
            published = indexing.entries(old, track.name)
            self.add(changes.against(before, track, published, computed.entries))
        for root in self.roots:
            for name in then:
                where = _name(root / name)
                self.add([Problem(where, "", "nothing", "the published track", "restore it")])

    # --- what documents have to do with each other ---

    def _keep_graph(self, loaded: LoadedRun) -> None:
        try:
            graph = recounted.graph_of(loaded.run, loaded.predictions)
        except Exception:
            return  # its operations were already refused
        self.asked[_track_of(loaded.folder)].add_run(loaded.run)
        there, name = self.graphs[_track_of(loaded.folder)], loaded.run.model.graph
        there[name] = there[name] | graph if name in there else graph

    def _graphs_of(self, track: Path) -> dict[str, recounted.Graph]:
        """Graph -> arithmetic of the track's runs; reads those that were not checked in this call, and what all
        measurements of the track were asked."""
        if track not in self.complete:
            self.complete.add(track)
            for folder in folders.documents(track, "runs"):
                if folder not in self.visited:
                    try:
                        loaded, _ = valid.load_run(folder)
                    except Exception:
                        continue  # checked by whoever names it; here it only lends its arithmetic
                    if loaded is not None:
                        self._keep_graph(loaded)
            for folder in folders.documents(track, "measurements"):
                path = folder / folders.DOCUMENTS["measurements"]
                _, measurement, _ = valid.load_document(path, Measurement, folders.MAX_JSON_BYTES)
                if measurement is not None:
                    self.asked[track].add(measurement)
        return self.graphs[track]

    def _say_what_was_not_checked(
        self, loaded: LoadedMeasurement, graphs: dict[str, recounted.Graph]
    ) -> None:
        m = loaded.measurement
        if not m.repeat_check.passed:
            ratio = f"{m.repeat_check.ratio:.3g}"
            self._note(f"review: {loaded.file}: different inputs take {ratio} times as long as one repeated")
        if m.runtime not in names("runtimes"):
            what = f"no runtime {m.runtime} is here: that its arithmetic is {m.precision} was not checked"
            self._note(f"review: {loaded.file}: {what}")
        for note in recounted.too_close_to_the_peak(loaded, graphs):
            self._note(f"review: {loaded.file}: {note}")
        if m.graph not in graphs:
            self._note(f"{loaded.file}: physics not checked: no run here has its graph")
        elif recounted.peak_of(m, m.precision) is None:
            self._note(f"{loaded.file}: physics not checked: no table for this processor")

    def _compare_answers(self, loaded: LoadedRun) -> None:
        """With those of the other runs; and answers that are all right are something to look at."""
        wrong, alike = self.answers.add(loaded)
        self.add(wrong)
        for note in alike:
            self._note(note)
        if loaded.run.score >= PERFECT and loaded.run.metrics:
            self._note(f"review: {loaded.file}: every answer is right: were the labels known?")

    def _computed(self, track: Path) -> indexing.Computed | None:
        """The track's entries computed again, once; None where its documents do not allow it."""
        if track not in self.computed:
            self.computed[track] = None
            where = _name(track / "entries")
            try:
                computed = indexing.compute(track)
            except Exception as error:
                self.add([broke(where, "entries", error)])
                return None
            self.report.notes += computed.notes
            if computed.unreadable:
                found = f"{len(computed.unreadable)} documents that cannot be read"
                fix = "mend what is listed here, then run lightboard index"
                self.add([Problem(where, "", found, "readable runs and measurements", fix)])
                return None
            self.add(computed.problems)
            self.add(valid.seeds_come_in_order(track, computed.entries, logs.read(track)))
            self.computed[track] = computed
        return self.computed[track]

    def _missing_entries(self, track: Path) -> None:
        computed = self._computed(track)
        for entry in computed.entries if computed else ():
            path = indexing.entry_path(track, entry)
            if path not in self.visited:
                found, fix = "nothing", "run lightboard index"
                self.add(
                    [Problem(_name(path), "", found, f"the entry of {entry.recipe}/{entry.variant}", fix)]
                )

    def _check_attestations(self) -> None:
        """An attestation names a document that is there, and is not contradicted by what was just found, either way."""
        by_subject = {document.subject: document for document in self.report.documents if document.subject}
        subjects: dict[Path, set[str]] = {}
        for path, track, attestation in self.attestations:
            document = by_subject.get(attestation.subject)
            if document is None:
                if track not in subjects:
                    subjects[track] = _subjects(track)
                if attestation.subject not in subjects[track]:
                    self._note(f"{_name(path)}: names a document that is not here (any more)")
                continue
            if attestation.level not in LEVELS:
                self._note(
                    f"{_name(path)}: {attestation.level} is not checked here; it is the word of its author"
                )
            contradicted = [
                level
                for level in LEVELS[: _place(attestation.level) + 1]
                if document.outcomes.get(level) == "failed"
            ]
            if attestation.outcome == "passed" and contradicted:
                expected = f"failed: {document.file} fails {contradicted[0]}"
                self.add([Problem(_name(path), "outcome", "passed", expected, "remove the attestation")])
            # It takes a level from somebody's entry; the check may have been another version's, so a person decides.
            if attestation.outcome == "failed" and document.outcomes.get(attestation.level) == "passed":
                said = f"says that {document.file} failed {attestation.level}"
                self._note(f"review: {_name(path)}: {said}, which it passes here: whose word is it?")

    # --- keeping the books ---

    def _seen(self, path: Path) -> bool:
        seen = path in self.visited
        self.visited.add(path)
        return seen

    def _note(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.report.notes.append(text)

    def _done(
        self,
        folder: Path,
        kind: Kind,
        outcomes: dict[Level, Outcome],
        loaded: LoadedRun | LoadedMeasurement | None,
    ) -> None:
        subject = loaded.subject if loaded is not None else _subject(folder)
        self.report.documents.append(Checked(_name(folder), kind, outcomes, subject, _track_of(folder)))
        if self.told is not None:
            self.told()

    def finish(self) -> Report:
        self._check_attestations()
        for note in (*self.answers.alike(), *self.shared.doubtful()):
            self._note(note)
        for path, signature in self.signatures:
            track = path.parents[1]
            if track not in self.subjects:
                self.subjects[track] = logs.subjects(track)
            self._note(changes.signed(path, signature, self.subjects[track], self.signers))
        return self.report


def _guarded(
    load: Callable[[Path], tuple[T | None, list[Problem]]], path: Path
) -> tuple[T | None, list[Problem]]:
    try:
        return load(path)
    except Exception as error:
        return None, [broke(_name(path), getattr(load, "__name__", "load"), error)]


def _name(path: Path) -> str:
    return show(str(path), 300)


def _stranger(path: Path, expected: str) -> Problem:
    if path.is_symlink():
        found = "a symbolic link"
    elif path.suffix.lower() in folders.EXECUTABLE_SUFFIXES:
        found = "a format that can run code when it is opened"
    else:
        found = "something that does not belong there"
    return Problem(_name(path), "", found, expected, "remove it")


def _track_of(folder: Path) -> Path:
    """results/<track>, of a document's folder below it."""
    return folder.absolute().parents[3] if len(folder.absolute().parents) > 3 else folder.absolute().parent


def _by_name(entries: Sequence[Entry]) -> dict[str, Entry]:
    return {f"{entry.recipe}/{entry.variant}": entry for entry in entries}


def _place(level: Level) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS) - 1


def _subject(folder: Path) -> str | None:
    try:
        return folders.subject(folder)
    except (Refused, ValueError):
        return None


def _subjects(track: Path) -> set[str]:
    found = (_subject(folder) for kind in folders.KINDS for folder in folders.documents(track, kind))
    return {subject for subject in found if subject is not None}
