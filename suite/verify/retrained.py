"""Level ``retrained``: the recipe, trained again with new seeds, scores where its runs say it should.

``lightboard retrain``; needs torch, the data and the time of a training. Seeds follow from the entry (the digests
of its runs) and the verifier's key by HMAC: the submitter cannot know them beforehand, the verifier cannot choose
them, and whoever is told the key later can check both. What is trained is Lightboard's own method with the settings
that the run holds; nothing submitted is imported. The new runs stay in the store: only an attestation is left, with
the score, the interval it was held against, and digests of seeds and key.

The score passes inside the interval for a new seed (:func:`suite.statistics.prediction_interval`). With k tasks in
one retraining each interval is taken at 1 - 0.05 / k, so that an honest entry fails one time in twenty at most.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from suite import __version__, index, statistics
from suite import folder as folders
from suite.canonical import canonical_json
from suite.documents import Attestation, CheckEvidence, Run
from suite.errors import UserError
from suite.pipeline.execute import Reporter, execute
from suite.pipeline.matrix import Job, plan, variants
from suite.pipeline.record import run_files
from suite.pipeline.stage import closure
from suite.pipeline.store import Store
from suite.protocol import TRACKS, track
from suite.verify import verify, weights, write_attestation
from suite.verify.replayed import require_rescored
from suite.verify.settings import resolved_of

SEED_LABEL = "lightboard/retrain/1"
KEY_LABEL = b"lightboard/verifier/1"
SHORTEST_KEY, LONGEST_KEY = 16, 4096  # bytes
SEEDS = 2**31  # that many are drawn from
DEARER = 1.1  # a plan may cost that many times what the run says: rounding, and no more


# --- keys and seeds -----------------------------------------------------------------------------------------


def read_key(path: Path) -> bytes:
    """The verifier's secret, without a line break at its end; UserError where it is no secret."""
    key = folders.read_bytes(path, LONGEST_KEY).strip(b"\r\n")
    if len(key) < SHORTEST_KEY or len(set(key)) < 8:
        make = "make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
        raise UserError(
            f"{path}: a key of {len(key)} bytes, expected at least {SHORTEST_KEY} random ones; {make}"
        )
    return key


def key_digest(key: bytes) -> str:
    """Names a key in attestations without telling it."""
    return "sha256:" + hmac.new(key, KEY_LABEL, hashlib.sha256).hexdigest()


def seed_of(key: bytes, entry: str, task: str, number: int) -> tuple[int, str]:
    """The ``number``-th new seed of a task of an entry (its digest), and the digest that commits to it.

    HMAC-SHA256 under the key; of its bytes the first four make the seed, and the digest is taken over all of them, so
    that it tells nothing. A seed in any track's fixed list is passed over.
    """
    fixed = {seed for one in TRACKS.values() for seed in one.seeds}
    attempt = 0
    while True:
        message = canonical_json([SEED_LABEL, entry, task, number, attempt])
        code = hmac.new(key, message, hashlib.sha256).digest()
        seed = int.from_bytes(code[:4], "big") % SEEDS
        if seed not in fixed:
            return seed, "sha256:" + hashlib.sha256(code).hexdigest()
        attempt += 1


def _affordable(job: Job, run: Run) -> None:
    """UserError for a training that costs more than the run says it did."""
    own = [stage for stage in closure([job.model]) if not stage.shared and stage.key not in job.shared]
    tflop, said = sum(stage.tflop for stage in own), run.training_cost.tflop
    if tflop > DEARER * said + 0.01:
        raise UserError(
            f"{run.recipe} on {run.task}: its settings take {tflop:.4g} TFLOP to train, the run says "
            f"{said:.4g}; the run is not of these settings",
            code=1,
        )


# --- retraining ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Retrained:
    """One task trained again."""

    task: str
    entered: float  # the mean over the entry's runs, points
    scores: tuple[float, ...]  # of the new seeds
    score: float  # their mean
    interval: statistics.Interval
    passed: bool
    attestations: tuple[Path, ...]  # one beside every run of the task


def retrain(
    entry: Path,
    key: Path,
    *,
    data: str = "auto",
    tasks: Sequence[str] | None = None,
    seeds: int = 1,
    among: Path | None = None,
    by: str | None = None,
    store: Store | None = None,
    reporter: Reporter | None = None,
) -> list[Retrained]:
    """Train the tasks of an entry (all of them by default) with ``seeds`` new seeds each, and attest how that went.

    ``entry``: ``results/<track>/entries/<recipe>/<variant>.json``. ``among``: a results tree whose rows tell how far
    seeds lie apart, besides the entry's own. The entry's runs must pass every level that needs no torch.
    UserError where that, the data, or a seed deviation is missing.
    """
    secret = read_key(key)
    path = entry.absolute()
    if path.suffix != ".json" or path.parents[1].name != "entries":
        raise UserError(
            f"{entry}: not an entry; name a file such as results/mini/entries/theseus/default.json"
        )
    track_folder, name = path.parents[2], f"{path.parents[0].name}/{path.stem}"
    known = among / track_folder.name if among is not None else None
    standing = index.standing(track_folder, name, known)
    chosen = list(tasks or standing.runs)
    for task in chosen:
        if task not in standing.runs:
            raise UserError(f"{name} has no run of {task}; it has: {', '.join(standing.runs)}")
    runs = [track_folder / facts.path for task in chosen for facts in standing.runs[task]]
    require_rescored(verify([path, *runs], "recounted", data))
    confidence = 1 - (1 - statistics.CONFIDENCE) / len(chosen)
    for task in chosen:
        if standing.spreads[task].degrees == 0 and seeds < 2 and not standing.evidence[task].seedless:
            raise UserError(
                f"{task}: no recipe here has two seeds, so nobody knows how far they lie apart; "
                "give --seeds 3, or --among RESULTS with more rows",
                code=1,
            )
    found = []
    for task in chosen:
        drawn = [seed_of(secret, standing.digest, task, number) for number in range(seeds)]
        scores = [
            _score(standing.runs[task][0].run, seed, data, store or Store(), reporter) for seed, _ in drawn
        ]
        spread = statistics.pooled_with(standing.spreads[task], scores)
        interval = statistics.prediction_interval(standing.evidence[task], spread, seeds, confidence)
        if interval is None:
            raise UserError(f"{task}: all that is known of its seeds is one run; give --seeds 3", code=1)
        score = float(np.mean(scores))
        passed = interval[0] <= score <= interval[1]
        evidence = CheckEvidence(
            score=score,
            interval=interval,
            seeds=tuple(commitment for _, commitment in drawn),
            key=key_digest(secret),
        )
        written = tuple(
            write_attestation(track_folder, _attestation(facts.subject, passed, by, evidence))
            for facts in standing.runs[task]
        )
        entered = standing.evidence[task].score
        found.append(Retrained(task, entered, tuple(scores), score, interval, passed, written))
    return found


def _score(run: Run, seed: int, data: str, store: Store, reporter: Reporter | None) -> float:
    """The score of a run's recipe, trained with another seed; its artifacts stay in the store."""
    resolved = resolved_of(run)
    for config in variants(resolved, track(run.track), 1).values():
        where = f"settings of {run.recipe}"
        problem = next(weights.config_problems(where, {"architecture": config["architecture"]}, None), None)
        if problem is not None:
            raise UserError(str(problem), code=1)
    try:
        planned = plan(
            [resolved],
            track(run.track),
            tasks=[run.task],
            seeds=[seed],
            source=data,
            store=store,
            reporter=reporter,
        )
    except (ValueError, KeyError) as error:  # a method that cannot do what its settings ask for
        raise UserError(f"settings of {run.recipe}: {folders.show(str(error))}", code=1) from error
    job = next((job for job in planned if job.variant == run.variant), None)
    if job is None:
        raise UserError(f"{run.recipe}: its settings make no variant {run.variant}", code=1)
    _affordable(job, run)
    execute([job.model, job.predictions], store, reporter)
    document = json.loads(run_files(job, store)["run.json"])
    return float(document["score"])


def _attestation(subject: str, passed: bool, by: str | None, evidence: CheckEvidence) -> Attestation:
    return Attestation(
        subject=subject,
        level="retrained",
        outcome="passed" if passed else "failed",
        by=by or f"the holder of key {str(evidence.key)[7:23]}",
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        lightboard=__version__,
        evidence=evidence,
    )
