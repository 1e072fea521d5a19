"""``lightboard submit``: an entry as a folder of its own, that says what it holds and what it lacks.

The folder is a results tree with the entry's runs, the measurements that it names, the attestations about them, why
other cells stayed empty, the track's log, and the entry as it follows from these alone; ``lightboard verify`` accepts
it as it stands. Ranks and retention need the rows it is compared with, so the maintainer copies the folder into the
published tree and computes the entries there. The same results give the same bytes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suite import folder as folders
from suite import gaps, index, paths, reproduce, scrub, signing, stored
from suite import log as logs
from suite.canonical import digest, pretty_json
from suite.documents import Attempt, Attestation, Entry, Measurement, Signature
from suite.errors import UserError
from suite.folder import Refused
from suite.verify import verify

README = "README.md"
TITLE = "# A submission to Lightboard"
_KIND = {"runs": "run", "measurements": "measurement"}


@dataclass
class Parcel:
    """What would be sent: files below the folder, what is only declared in them, and what is missing."""

    entries: list[Entry]
    files: dict[str, bytes] = field(default_factory=dict)
    declared: dict[str, list[str]] = field(default_factory=dict)  # "run: environment.cpu" -> what it says
    scrubbed: list[scrub.Found] = field(default_factory=list)
    gaps: dict[str, list[gaps.Gap]] = field(default_factory=dict)  # entry -> what it lacks
    notes: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(map(len, self.files.values()))


# --- which entry --------------------------------------------------------------------------------------------


def split_name(name: str, track: str | None = None) -> tuple[str, str, str]:
    """Track, recipe and variant of ``track/recipe/variant``, or of ``recipe/variant`` with a track."""
    parts = name.strip("/").split("/")
    if len(parts) == 2 and track is not None:
        parts = [track, *parts]
    good = all(folders.FILE_NAME.fullmatch(part) for part in parts)
    if not good or len(parts) != 3 or (track is not None and parts[0] != track):
        raise UserError(
            f"{name!r} names no entry; expected track/recipe/variant, or recipe/variant with --track"
        )
    return parts[0], parts[1], parts[2]


def find(results: Path, name: str, track: str | None = None) -> tuple[Path, Entry, list[str]]:
    """Track folder, entry (computed now) and notes of ``track/recipe/variant``.

    Without a variant the recipe's ranked one; the track may be ``track``, or be left out where one alone has it.
    """
    if not results.is_dir():
        raise UserError(f"{results}: no such folder; name the one that lightboard run wrote to (--results)")
    track, recipe, variant = stored.named(name, track, None, results)
    known = {folder.name: folder for folder in folders.tracks(results)}
    if track not in known:
        raise paths.unknown("track", track, known)
    folder = known[track]
    computed = index.compute(folder)
    if computed.unreadable:
        raise UserError(f"{computed.unreadable[0]}; run lightboard verify {folder}", code=1)
    entries = {f"{entry.recipe}/{entry.variant}": entry for entry in computed.entries}
    ranked = {e.recipe: n for n, e in entries.items() if e.settings.get("default", "default") == e.variant}
    if variant is None and recipe not in ranked:
        raise paths.unknown(f"recipe of {track}", recipe, ranked)
    wanted = f"{recipe}/{variant}" if variant else ranked[recipe]
    if wanted not in entries:
        raise paths.unknown(f"entry of {track}", wanted, entries)
    return folder, entries[wanted], [note for note in computed.notes if wanted in note]


# --- what to send -------------------------------------------------------------------------------------------


def prepare(
    results: Path,
    names: Sequence[str],
    *,
    track: str | None = None,
    keyfile: Path | None = None,
    private: scrub.Private | None = None,
) -> Parcel:
    """Collect, scrub, sign and check; nothing is written. UserError for what cannot be sent."""
    private = private or scrub.Private()
    parcel = Parcel([])
    for name in dict.fromkeys(names):
        folder, entry, notes = find(results, name, track)
        parcel.entries.append(entry)
        parcel.notes += notes
        _collect(parcel, folder, entry, private, keyfile)
    _finish(parcel)
    return parcel


def _collect(parcel: Parcel, track: Path, entry: Entry, private: scrub.Private, keyfile: Path | None) -> None:
    runs = [line.run for quality in entry.quality.values() for line in quality.runs]
    measurements = _measurements(track, entry)
    subjects: dict[str, str] = {}
    for place in [*runs, *measurements]:
        files, changed = _document(track / place, place, private, parcel)
        subjects[place] = digest(folders.manifest_of(files))
        if changed:
            parcel.notes.append(
                f"{place}: scrubbed, so it is another document now, which nobody has checked yet"
            )
        files[folders.MANIFEST] = pretty_json(folders.manifest_of(files)).encode("utf-8")
        parcel.files.update({f"{track.name}/{place}/{name}": content for name, content in files.items()})
    found = _attestations(track, set(subjects.values()), private, parcel)
    parcel.files.update(
        {f"{track.name}/attestations/{name}": content for name, (content, _) in found.items()}
    )
    parcel.files.update(
        {
            f"{track.name}/{stored.ATTEMPTS}/{name}": content
            for name, content in _attempts(track, entry, private, parcel).items()
        }
    )
    for path in logs.files(track):
        parcel.files.update(
            {f"{track.name}/{logs.FOLDER}/{path.name}": folders.read_bytes(path, logs.MAX_BYTES)}
        )
    signatures = _signatures(track, subjects)
    if keyfile is not None:
        made = signing.sign(subjects, keyfile)
        signatures[signing.file_name(made)] = signing.content(made)
    parcel.files.update(
        {f"{track.name}/{signing.FOLDER}/{name}": content for name, content in signatures.items()}
    )
    parcel.gaps[f"{track.name}/{entry.recipe}/{entry.variant}"] = gaps.gaps(
        entry,
        [attestation for _, attestation in found.values()],
        [subjects[place] for place in runs],
        _timed_tasks(track, measurements),
        bool(signatures),
    )


def _measurements(track: Path, entry: Entry) -> list[str]:
    """Those that the entry's speeds follow from: the named ones, and the reference's in the same runtime."""
    found: list[str] = []
    for line in entry.speed:
        named = _measurement(track, line.measurement)
        beside = (track / line.measurement).parent
        for folder in folders.subfolders(beside):
            place = folder.relative_to(track).as_posix()
            other = _measurement(track, place)
            same = (
                other.graph,
                other.profile,
                other.runtime,
                other.precision,
                other.task,
                other.inputs,
                other.arrival,
            ) == (
                named.graph,
                named.profile,
                named.runtime,
                named.precision,
                named.task,
                named.inputs,
                named.arrival,
            )
            if place == line.measurement or (same and other.against == "alone"):
                found.append(place)
    return sorted(set(found))


def _measurement(track: Path, place: str) -> Measurement:
    path = track / place / folders.DOCUMENTS["measurements"]
    return folders.parse(Measurement, folders.read_bytes(path, folders.MAX_JSON_BYTES), path)


def _timed_tasks(track: Path, places: Iterable[str]) -> list[str]:
    tasks = {_measurement(track, place).task for place in places}
    return sorted(task for task in tasks if task is not None)


def _document(
    folder: Path, place: str, private: scrub.Private, parcel: Parcel
) -> tuple[dict[str, bytes], bool]:
    """A document's files without the manifest, scrubbed, and whether that changed them."""
    kind = place.partition("/")[0]
    name, held = folders.DOCUMENTS[kind], folders.names(folder, kind)
    if wrong := folders.check(folder, allowed=held):
        raise UserError(f"{wrong[0]}", code=1)
    files = {one: folders.read_bytes(folder / one) for one in held}
    document: dict[str, Any] = folders.parse_json(files[name], folder / name)
    found = list(scrub.search(f"{place}/{name}", _KIND[kind], document, private))
    if fixed := [one for one in found if not one.declared]:
        listed = "; ".join(f"{one.field}: a {one.what}" for one in fixed[:5])
        raise UserError(
            f"{place}/{name}: {listed}: figures hang on it, so it cannot be scrubbed; take it out of the recipe "
            "and run it again",
            code=1,
        )
    if found:
        document = scrub.clean(_KIND[kind], document, private)
        files[name] = pretty_json(document).encode("utf-8")
        parcel.scrubbed += found
    _declare(parcel, _KIND[kind], document)
    return files, bool(found)


def _declare(parcel: Parcel, kind: str, document: Mapping[str, Any]) -> None:
    for name, text in scrub.declared(kind, document):
        said = parcel.declared.setdefault(f"{kind}: {name}", [])
        if text not in said:
            said.append(text)


def _attestations(
    track: Path, subjects: set[str], private: scrub.Private, parcel: Parcel
) -> dict[str, tuple[bytes, Attestation]]:
    """File name -> bytes and content of those that name a document that is sent."""
    found: dict[str, tuple[bytes, Attestation]] = {}
    for path in folders.files(track / "attestations"):
        content = folders.read_bytes(path, 65_536)
        attestation = folders.parse(Attestation, content, path)
        if attestation.subject not in subjects:
            continue
        # Its author's name is there on purpose; a path or a host is not.
        content = _scrubbed("attestation", path, content, private, parcel, but="user")
        found[path.name] = (content, attestation)
    return found


def _attempts(track: Path, entry: Entry, private: scrub.Private, parcel: Parcel) -> dict[str, bytes]:
    """File name -> bytes of what was tried for the entry and gave no measurement."""
    own = (entry.recipe, entry.variant, entry.recipe_hash)
    found: dict[str, bytes] = {}
    for path in folders.files(track / stored.ATTEMPTS):
        content = folders.read_bytes(path, 65_536)
        attempt = folders.parse(Attempt, content, path)
        if (attempt.recipe, attempt.variant, attempt.recipe_hash) == own:
            found[path.name] = _scrubbed("attempt", path, content, private, parcel)
    return found


def _scrubbed(
    kind: str, path: Path, content: bytes, private: scrub.Private, parcel: Parcel, but: str = ""
) -> bytes:
    """A small document without private texts; ``but``: what of them stays."""
    document = json.loads(content)
    leaks = list(scrub.search(f"{path.parent.name}/{path.name}", kind, document, private))
    if leaks := [leak for leak in leaks if leak.what != but]:
        document = scrub.clean(kind, document, private)
        content = pretty_json(document).encode("utf-8")
        parcel.scrubbed += leaks
    _declare(parcel, kind, document)
    return content


def _signatures(track: Path, subjects: Mapping[str, str]) -> dict[str, bytes]:
    """File name -> bytes of those signatures that are over documents that are all sent."""
    found: dict[str, bytes] = {}
    for path in folders.files(track / signing.FOLDER):
        content = folders.read_bytes(path, folders.MAX_JSON_BYTES)
        signature = folders.parse(Signature, content, path)
        if all(subjects.get(place) == subject for place, subject in signature.subjects.items()):
            found[path.name] = content
    return found


def _finish(parcel: Parcel) -> None:
    """The entries as they follow from what is sent, and the maintainer's own check of it all."""
    with tempfile.TemporaryDirectory(prefix="lightboard-") as place:
        tree = Path(place) / "results"
        _write(tree, parcel.files)
        for track in folders.tracks(tree):
            parcel.files.update(
                {
                    index.entry_path(track, entry).relative_to(tree).as_posix(): index.entry_bytes(entry)
                    for entry in index.compute(track).entries
                }
            )
        _write(tree, parcel.files)
        report = verify(tree)
        if report.problems:
            said = "; ".join(str(problem).replace(f"{tree}/", "") for problem in report.problems[:5])
            more = f" (and {len(report.problems) - 5} more)" if len(report.problems) > 5 else ""
            raise UserError(f"this would be refused: {said}{more}", code=1)
        parcel.notes += [note.replace(f"{tree}/", "") for note in report.notes if note.startswith("review: ")]
    parcel.files = dict(sorted(parcel.files.items()))
    parcel.files[README] = _readme(parcel).encode("utf-8")


# --- on disk ------------------------------------------------------------------------------------------------


def write(parcel: Parcel, out: Path) -> Path:
    """Write the parcel as a folder that appears whole; replaces an earlier one, and nothing else."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"{out}: not a folder; name another with --out")
    if out.is_dir() and any(out.iterdir()) and not _is_ours(out):
        raise UserError(f"{out}: holds files that are no submission of ours; name an empty folder with --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".submission-", dir=out.parent))
    try:
        tree = made / "tree"
        _write(tree, parcel.files)
        if out.exists():
            shutil.rmtree(out)
        tree.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return out


def _is_ours(out: Path) -> bool:
    try:
        return folders.read_bytes(out / README).decode("utf-8", "replace").startswith(TITLE)
    except Refused:
        return False


def _write(tree: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _readme(parcel: Parcel) -> str:
    names = [f"{e.track}/{e.recipe}/{e.variant}" for e in parcel.entries]
    lines = [TITLE, "", "Entries: " + ", ".join(f"`{name}`" for name in names) + ".", ""]
    lines += [
        "The entries here follow from this folder alone, so they have neither rank nor retention. To send it, with "
        "this folder as `SUBMISSION`: in a clone of the published repository, keep a copy of its results as "
        "`PUBLISHED_RESULTS`, do the following, and open a pull request with what changed in `results/`. Its "
        "maintainers type the same.",
        "",
        "```",
        "lightboard verify SUBMISSION --data auto",
        *(f"cp -R SUBMISSION/{track} results/" for track in sorted({e.track for e in parcel.entries})),
        "lightboard index",
        "lightboard verify results --data auto --against PUBLISHED_RESULTS",
        "```",
        "",
        "To make the figures again:",
        "",
        "```",
        *dict.fromkeys(line for entry in parcel.entries for line in reproduce.commands(entry)),
        "```",
        "",
    ]
    return "\n".join(lines)


# --- in words -----------------------------------------------------------------------------------------------


def told(parcel: Parcel) -> list[str]:
    """What will be sent, what of it is someone's word, and what is missing, line by line."""
    lines = ["What will be sent:"]
    sizes: dict[str, list[int]] = defaultdict(list)
    for name, content in parcel.files.items():
        sizes[_group(name)].append(len(content))
    lines += [f"  {sum(size):>10,} bytes  {name} ({len(size)} files)" for name, size in sizes.items()]
    lines.append(f"  {parcel.bytes:>10,} bytes  in {len(parcel.files)} files")
    lines.append("Declared, not derived (your word, shown in italics on the board):")
    lines += [f"  {name} = {_said(values)}" for name, values in sorted(parcel.declared.items())]
    if parcel.scrubbed:
        lines.append("Taken out, since it names a machine or a person:")
        lines += [f"  {one.file}: {one.field}: a {one.what}" for one in parcel.scrubbed]
    lines += [f"Note: {note}" for note in parcel.notes]
    for entry, missing in parcel.gaps.items():
        if not missing:
            lines.append(f"{entry}: nothing is missing")
            continue
        lines.append(f"{entry}: still missing, in the order to mend it:")
        for place, gap in enumerate(missing, start=1):
            lines += [f"  {place}. {gap.what} (costs: {gap.costs})", f"     {gap.command}"]
    return [folders.show(line, 400) for line in lines]


def _group(name: str) -> str:
    parts = name.split("/")
    return "/".join(parts[:-1]) if len(parts) > 3 and parts[1] in folders.KINDS else "/".join(parts[:2])


def _said(values: Sequence[str]) -> str:
    shown = ", ".join(folders.show(value, 60) for value in values[:4])
    return f"{shown} and {len(values) - 4} more" if len(values) > 4 else shown


def as_dict(parcel: Parcel) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "entries": [f"{e.track}/{e.recipe}/{e.variant}" for e in parcel.entries],
        "files": {name: len(content) for name, content in parcel.files.items()},
        "declared": parcel.declared,
        "scrubbed": [vars(one) for one in parcel.scrubbed],
        "missing": {name: [vars(gap) for gap in missing] for name, missing in parcel.gaps.items()},
        "notes": parcel.notes,
    }
