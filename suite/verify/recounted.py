"""Level ``recounted``: sizes, arithmetic, costs, times and entries follow from the evidence beside them.

Needs no data and no weights. Every derived field is computed again and a difference is named by its field
with the recomputed value, whatever the manifest says.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from suite.budget import bert_flops, budget_tflop
from suite.documents import Entry, Measurement, Model, Op, Run
from suite.folder import Problem, show
from suite.measure import estimate, recount
from suite.measure import samples as raw
from suite.paths import load_module, names
from suite.protocol import MEASURING, TRACKS
from suite.runtimes import device_of
from suite.tables import Split
from suite.verify import physics
from suite.verify.compare import problems
from suite.verify.loaded import LoadedEntry, LoadedMeasurement, LoadedRun, Problems
from suite.verify.valid import is_plain_query, threads_of

# Times the protocol's share of the largest score: examples of other tasks are asked as well, and answered larger.
TOLERATED = 10
MAX_TABLES = 4  # words, positions, segments, and one more
WIDTHS = {"float32": 4, "int32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1}  # bytes

# --- runs ---------------------------------------------------------------------------------------------------


def parameters_follow(loaded: LoadedRun) -> Problems:
    """Total, without embeddings, non-zero: sums over the weights' headers."""
    model = loaded.run.model
    for place, weight in enumerate(model.weights):
        if weight.nonzero > prod(weight.shape):
            expected = f"at most {prod(weight.shape)}, the tensor's size"
            field = f"model.weights.{place}.nonzero"
            yield Problem(loaded.file, field, str(weight.nonzero), expected, "count the weights again")
    names = [weight.name for weight in model.weights]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        yield Problem(loaded.file, "model.weights", f"{show(twice)} twice", "each tensor once", "remove one")
    computed = recount.parameters(model.weights).model_dump(mode="json")
    yield from problems(loaded.file, loaded.raw["model"].get("parameters"), computed, "model.parameters")


def operations_use_the_weights(loaded: LoadedRun) -> Problems:
    """Every product's weight exists with that shape; every matrix but the look-up tables is in a product."""
    model = loaded.run.model
    shapes = {weight.name: weight.shape for weight in model.weights}
    used = set()
    for place, op in enumerate(model.ops):
        field = f"model.ops.{place}"
        for name, sizes in (("times", [op.times]), ("rows", [op.rows]), ("shape", op.shape)):
            if 0 in sizes:
                fix = "trace the model again; leave out what is never done"
                yield Problem(loaded.file, f"{field}.{name}", "0", "at least 1", fix)
        if sum(size == "n" for size in (op.rows, *op.shape)) > 2:
            found = show(repr([op.rows, *op.shape]))
            yield Problem(
                loaded.file, f"{field}.shape", found, "the length at most squared", "trace it again"
            )
        dimensions = 2 if op.kind == "linear" else 4
        if len(op.shape) != dimensions:
            found = f"{len(op.shape)} dimensions"
            yield Problem(
                loaded.file, f"{field}.shape", found, f"{dimensions} of a {op.kind}", "trace it again"
            )
            continue
        if op.weight is None:
            if op.kind == "linear":
                yield Problem(loaded.file, f"{field}.weight", "nothing", "a tensor's name", "trace it again")
            continue
        used.add(op.weight)
        if op.weight not in shapes:
            expected = "one of model.weights"
            yield Problem(loaded.file, f"{field}.weight", show(op.weight), expected, "trace the model again")
        elif not _fits(op, shapes[op.weight]):
            expected = f"{list(shapes[op.weight])}, the shape of {show(op.weight)}"
            yield Problem(
                loaded.file, f"{field}.shape", show(repr(list(op.shape))), expected, "trace it again"
            )
    unused = [
        (place, weight.name)
        for place, weight in enumerate(model.weights)
        if len(weight.shape) >= 2 and not weight.embedding and weight.name not in used
    ]
    # A linear model over look-ups has one table and no product at all; with products a table is an embedding.
    if model.ops or len(unused) > 1:
        for place, name in unused:
            expected = "every matrix in model.ops, or marked as embedding"
            fix = "trace the model again; a look-up table is an nn.Embedding, or is named embeddings.*"
            yield Problem(loaded.file, f"model.weights.{place}", f"{show(name)} in no product", expected, fix)


def tables_are_looked_up(loaded: LoadedRun) -> Problems:
    """What is in no product is a table of words, positions or segments, of which there are few: a product's matrix
    cannot be called one to be rid of its arithmetic and its size."""
    model = loaded.run.model
    for place, weight in enumerate(model.weights):
        if 0 in weight.shape:
            found = show(repr(list(weight.shape)))
            yield Problem(
                loaded.file, f"model.weights.{place}.shape", found, "sizes of 1 or more", "correct it"
            )
    if loaded.run.division == "open" and not is_known(model):
        return  # somebody's own module: a person looks at it
    used = {op.weight for op in model.ops}
    rows = Counter(
        weight.shape[0]
        for weight in model.weights
        if len(weight.shape) >= 2 and weight.embedding and weight.name not in used
    )
    sizes = Counter(_table_sizes(model.config))
    strange = rows - sizes if sizes else Counter()
    if strange or rows.total() > MAX_TABLES:
        found = f"tables of {_listed(strange or rows)} rows"
        expected = f"at most {MAX_TABLES} in no product{f', of {_listed(sizes)}' if sizes else ''}"
        fix = "trace the model again; its configuration names their sizes vocab, positions, types"
        yield Problem(loaded.file, "model.weights", found, expected, fix)


def _listed(sizes: Counter[int]) -> str:
    return show(", ".join(str(size) for size in sorted(sizes.elements())), 100)


def _table_sizes(config: Mapping[str, Any]) -> Iterator[int]:
    """Sizes that a configuration names of vocabulary, positions (or buckets of them) and types, at any depth."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _table_sizes(value)
        elif type(value) is int and any(word in name for word in ("vocab", "position", "bucket", "type")):
            yield value


def is_known(model: Model) -> bool:
    return model.architecture in names("models")


def architecture_is_known(loaded: LoadedRun) -> Problems:
    """In division ``standard`` what a model is can be looked up; in ``open`` it may be somebody's own."""
    run = loaded.run
    if run.division == "standard" and not is_known(run.model):
        expected = f"one of {', '.join(names('models'))}"
        fix = "add its module to models/, or use division open"
        yield Problem(loaded.file, "model.architecture", show(run.model.architecture), expected, fix)


def _fits(op: Op, shape: tuple[int, ...]) -> bool:
    """A matrix either way round; a kernel by its size (a convolution is written as the product it is)."""
    if "n" in op.shape:
        return False
    sizes = [int(size) for size in op.shape]
    if len(shape) == 2:
        return sorted(sizes) == sorted(shape)
    return prod(sizes) == prod(shape)


def _countable(model: Model) -> bool:
    """Whether its operations can be counted at its lengths; where not, other checks have named the reason."""
    ranks = all(len(op.shape) == (2 if op.kind == "linear" else 4) for op in model.ops)
    powers = all(sum(size == "n" for size in (op.rows, *op.shape)) <= 2 for op in model.ops)
    numbers = [*model.dev_lengths, *model.exits, *(n for lengths in model.exits.values() for n in lengths)]
    return ranks and powers and all(re.fullmatch("[0-9]{1,6}", text) for text in numbers)


def arithmetic_follows(loaded: LoadedRun) -> Problems:
    """FLOPs at 128 tokens and at the dev sets' lengths, and the graph's digest, from the operations.

    With early exits both are means over the exits taken: each example's operations end with its exit's block.
    """
    model = loaded.run.model
    if not _countable(model):
        return
    depth = max((op.block for op in model.ops), default=0)
    exits = model.exits or {str(depth): model.dev_lengths}
    examples = sum(sum(lengths.values()) for lengths in exits.values())
    at_128, dev = 0, 0
    for exit, lengths in exits.items():
        a, b, c = recount.polynomial(recount.until(model.ops, int(exit)))
        at_128 += sum(lengths.values()) * (a + b * 128 + c * 128 * 128)
        dev += sum(count * (a + b * int(n) + c * int(n) ** 2) for n, count in lengths.items())
    computed = {"128": float(recount.flops(model.ops, 128))}
    if examples:
        computed = {"128": at_128 / examples, "dev": dev / examples}
    stored = loaded.raw["model"].get("flops_per_example")
    yield from problems(loaded.file, stored, computed, "model.flops_per_example")
    graph = recount.graph(model.ops, model.weights)
    yield from problems(loaded.file, loaded.raw["model"].get("graph"), graph, "model.graph")


def arithmetic_is_the_architectures(loaded: LoadedRun) -> Problems:
    """A plain BERT needs what its sizes say: operations cannot be left out or called shorter."""
    model = loaded.run.model
    sizes = ("layers", "hidden", "ffn", "outputs")
    known = all(isinstance(model.config.get(size), int) for size in sizes)
    if model.architecture != "bert" or not known or not _countable(model):
        return
    for n in (128, 512):
        expected = bert_flops(model.config, int(model.config["outputs"]), n)
        found = recount.flops(model.ops, n)
        if found != expected:
            what = f"{expected} FLOPs at {n} tokens, by model.config"
            yield Problem(
                loaded.file, "model.ops", f"{found} FLOPs at {n} tokens", what, "trace the model again"
            )
            return


def tensors_are_the_architectures(loaded: LoadedRun) -> Problems:
    """A plain BERT's tables have its vocabulary, positions and segments; with all its tensors listed, all its size."""
    model = loaded.run.model
    config = model.config
    sizes = ("vocab", "positions", "types", "hidden", "layers", "ffn", "outputs")
    if model.architecture != "bert" or not all(isinstance(config.get(size), int) for size in sizes):
        return
    v, p, t, h, layers, f, outputs = (int(config[size]) for size in sizes)
    tables = sorted(w.shape for w in model.weights if w.embedding and len(w.shape) == 2)
    if tables != sorted([(v, h), (p, h), (t, h)]):
        found, expected = show(repr([list(shape) for shape in tables])), f"{[[v, h], [p, h], [t, h]]}"
        yield Problem(
            loaded.file, "model.weights", f"tables of {found}", expected, "list the model's tensors"
        )
    if any(w.name.startswith("bert.encoder.layer.") for w in model.weights):
        layer = 4 * (h * h + h) + 2 * h + (h * f + f) + (f * h + h) + 2 * h
        expected_total = (v + p + t + 2) * h + layers * layer + (h * h + h) + (h * outputs + outputs)
        total = recount.parameters(model.weights).total
        if total != expected_total:
            what = f"{expected_total} parameters, by model.config"
            yield Problem(
                loaded.file, "model.weights", f"{total} parameters", what, "list the model's tensors"
            )


def file_holds_the_tensors(loaded: LoadedRun) -> Problems:
    """A shipped safetensors file is no smaller than its tensors."""
    model = loaded.run.model
    needed = sum(WIDTHS[weight.dtype] * prod(weight.shape) for weight in model.weights)
    for kind, found in model.bytes.items():
        if kind.startswith("safetensors/") and found < needed:
            expected, field = f"at least {needed}, the size of its tensors", f"model.bytes.{show(kind)}"
            yield Problem(loaded.file, field, str(found), expected, "give the file's size")


def architecture_is_the_configs(loaded: LoadedRun) -> Problems:
    """``model.architecture`` is the one that the configuration builds."""
    model = loaded.run.model
    stored = loaded.raw["model"].get("architecture")
    yield from problems(loaded.file, stored, model.config.get("architecture"), "model.architecture")


def training_cost_follows(loaded: LoadedRun) -> Problems:
    """Sums over the stages that are not shared, and the budget from the training lengths."""
    run, task = loaded.run, loaded.task
    own = [stage for stage in run.stages if not stage.shared]
    computed: dict[str, Any] = {
        "tflop": math.fsum(stage.tflop for stage in own),
        "tokens": sum(stage.tokens for stage in own),
        "device_hours": math.fsum(stage.seconds for stage in own) / 3600,
    }
    if not run.stages or run.stages[-1].shared:
        found = "a shared stage" if run.stages else "nothing"
        expected = "last the stage that made the model, which is the recipe's own"
        yield Problem(loaded.file, "stages", found, expected, "write the run with lightboard")
    track = TRACKS.get(run.track)
    if track is not None and task is not None:
        if track.budget_u is not None and not run.data.train_lengths:
            expected = "tokens -> number of training examples"
            fix = "write the run with lightboard: the budget follows from it"
            yield Problem(loaded.file, "data.train_lengths", "nothing", expected, fix)
        if all(re.fullmatch("[0-9]{1,6}", tokens) for tokens in run.data.train_lengths):
            computed["budget_tflop"] = budget_tflop(track, task.outputs, run.data.train_lengths)
    stored = {name: loaded.raw["training_cost"].get(name) for name in computed}
    yield from problems(loaded.file, stored, computed, "training_cost")


def budget_is_kept(loaded: LoadedRun) -> Problems:
    """In division ``standard`` no recipe spends more than its budget."""
    cost = loaded.run.training_cost
    if loaded.run.division == "standard" and cost.budget_tflop is not None and cost.tflop > cost.budget_tflop:
        expected = f"at most {cost.budget_tflop!r}, the budget"
        yield Problem(loaded.file, "training_cost.tflop", repr(cost.tflop), expected, "use division open")


def dev_subset_follows(loaded: LoadedRun) -> Problems:
    """Fewer rows than the official dev set is a subset, and says so."""
    task, run = loaded.task, loaded.run
    if task is None:
        return
    short = any(split.rows < task.official_rows.get(name, 0) for name, split in run.data.dev.items())
    yield from problems(loaded.file, loaded.raw["data"].get("dev_subset"), short, "data.dev_subset")


RUN: tuple[Callable[[LoadedRun], Problems], ...] = (
    parameters_follow,
    operations_use_the_weights,
    tables_are_looked_up,
    arithmetic_follows,
    arithmetic_is_the_architectures,
    tensors_are_the_architectures,
    file_holds_the_tensors,
    architecture_is_the_configs,
    architecture_is_known,
    training_cost_follows,
    budget_is_kept,
    dev_subset_follows,
)


# --- measurements -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Graph:
    """What is kept of a run for the measurements of its model."""

    polynomial: tuple[int, int, int]  # FLOPs(n) = a + b n + c n^2
    models: frozenset[tuple[str, str, str]]  # recipe, variant, recipe hash of every run that has it
    bytes: int = 0  # of its tensors
    exits: bool = False  # whether examples leave early
    largest: float = math.inf  # of its runs' scores, whatever the sign
    rounds: bool = False  # its weights are whole numbers, so its answers are each runtime's own

    def __or__(self, other: Graph) -> Graph:
        """The same graph, of the runs of both."""
        largest = max(self.largest, other.largest)
        return replace(self, models=self.models | other.models, largest=largest)


def graph_of(run: Run, predictions: Mapping[str, Split] | None = None) -> Graph:
    """The arithmetic of a run's model, for :func:`time_is_possible`; with early exits, up to the first of them.
    Without its predictions, nothing is known of how large its answers are."""
    polynomial = recount.polynomial(recount.until(run.model.ops, 1))
    size = sum(WIDTHS.get(weight.dtype, 0) * prod(weight.shape) for weight in run.model.weights)
    scores = [split.scores for split in (predictions or {}).values() if split.scores.size]
    return Graph(
        polynomial,
        frozenset({(run.recipe, run.variant, run.recipe_hash)}),
        size,
        bool(run.model.exits),
        max((float(abs(one).max()) for one in scores), default=math.inf),
        recount.precision(run.model.weights) != "fp32",
    )


def cores_of(m: Measurement) -> int:
    """Those that the processes may run on; where none are named, one a thread."""
    return max(1, len(set(m.machine.affinity)) or threads_of(m) or m.machine.cores)


def peak_of(m: Measurement, precision: str) -> float | None:
    """FLOP/s that the instruction set allows on the machine's cores; None where that is not in the table."""
    return physics.peak_flops(m.machine.flags, precision, m.machine.max_mhz, cores_of(m))


def times_follow(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Problems:
    """Ratio, interval, percentiles, residual and verdict, from the raw times."""
    if loaded.samples is None:
        return
    try:
        samples = estimate.from_columns(loaded.samples)
        lengths = loaded.measurement.trace_lengths if loaded.measurement.inputs == "lengths" else None
        figures = estimate.figures(samples, lengths, loaded.measurement.arrival)
    except ValueError as error:
        yield Problem(loaded.table, "", show(str(error)), "times of two sides, paired", "measure again")
        return
    computed = {
        "ratio": figures.ratio.model_dump(mode="json"),
        "latency_ms": figures.latency_ms.model_dump(mode="json"),
        "reference_latency_ms": figures.reference_latency_ms.model_dump(mode="json"),
        "residual": figures.residual,
        "verdict": figures.verdict,
        "by_length": [at.model_dump(mode="json") for at in figures.by_length],
    }
    stored = loaded.measurement.model_dump(mode="json", include=set(computed))
    yield from problems(loaded.file, stored, computed)


def figures_beside_follow(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Problems:
    """Batches and rates, joules, the device's own times, streams, the spot check: from the evidence they come with."""
    m = loaded.measurement
    samples = None
    if loaded.samples is not None:
        with contextlib.suppress(ValueError):  # what is wrong with them was named
            samples = estimate.from_columns(loaded.samples)
    computed: dict[str, Any] = {}
    try:
        if m.offline is not None and samples is not None:
            field, one = "offline", m.offline
            computed["offline"] = estimate.offline(
                samples, m.trace_lengths, one.ladder, one.reference_ladder, one.leaving
            )
        if m.energy is not None:
            field = "energy"
            computed["energy"] = estimate.energy(m.energy.counters, m.energy.blocks)
        if m.device_time is not None:
            field, times = "device_time", m.device_time
            computed["device_time"] = estimate.device_time(times.nanoseconds, times.reference_nanoseconds)
        if m.streams is not None:
            field, held = "streams", m.streams
            computed["streams"] = estimate.streams(held.streams, held.alone_ms, held.together_ms)
        if m.spot_check is not None:
            field = "spot_check"
            computed["spot_check"] = estimate.spot_check(m.spot_check.task, m.spot_check.ratio)
    except (ValueError, IndexError, ZeroDivisionError) as error:
        yield Problem(loaded.file, field, show(str(error)), "evidence of a measurement", "measure again")
        return
    for name, value in computed.items():
        stored = getattr(m, name).model_dump(mode="json")
        yield from problems(loaded.file, stored, value.model_dump(mode="json"), name)


def pilot_went_up_the_ladder(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Problems:
    """Every batch of the protocol was tried in order, by both sides, or has a reason."""
    m = loaded.measurement
    if m.offline is None:
        return
    wanted = list(MEASURING["arrival"]["offline"]["batches"])
    for name in ("ladder", "reference_ladder"):
        steps = getattr(m.offline, name)
        if [step.batch for step in steps] != wanted:
            found = show(repr([step.batch for step in steps]))
            yield Problem(loaded.file, f"offline.{name}", found, repr(wanted), "measure again")
        for place, step in enumerate(steps):
            if bool(step.seconds) == (step.reason is not None) or any(s <= 0 for s in step.seconds):
                expected = "positive times of passes, or the reason why there are none"
                yield Problem(
                    loaded.file,
                    f"offline.{name}.{place}",
                    show(repr(step.seconds)),
                    expected,
                    "measure again",
                )


def energy_is_of_the_samples(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Problems:
    """One reading before and after each timed block, and as many queries between as were timed."""
    m = loaded.measurement
    if m.energy is None or loaded.samples is None:
        return
    columns = [loaded.samples[name].tolist() for name in ("pair", "block", "side")]
    timed = Counter(zip(*columns, strict=True))
    named = Counter((one.pair, one.block, one.side) for one in m.energy.blocks)
    if named.keys() != timed.keys() or max(named.values(), default=0) > 1:
        found, expected = f"{len(named)} blocks", f"the {len(timed)} timed blocks, each once"
        yield Problem(loaded.file, "energy.blocks", found, expected, "measure again")
        return
    for place, one in enumerate(m.energy.blocks):
        rows = timed[one.pair, one.block, one.side]
        wrong = (
            one.queries != rows * m.repeats
            if one.side == raw.ENTRY
            else one.queries % rows or not one.queries
        )
        if wrong:
            repeated = f"{rows * m.repeats}" if one.side == raw.ENTRY else f"a multiple of {rows}"
            field = f"energy.blocks.{place}.queries"
            yield Problem(loaded.file, field, str(one.queries), f"{repeated}, as timed", "measure again")


def checks_follow(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Problems:
    """``answers.equal`` and ``repeat_check.passed`` are what their numbers say."""
    m = loaded.measurement
    if m.answers.queries == 0:
        yield Problem(
            loaded.file, "answers.queries", "0", "at least 1", "measure again: no answer was checked"
        )
    for field in ("largest_difference", "tolerance"):
        if getattr(m.answers, field) < 0:
            found = repr(getattr(m.answers, field))
            yield Problem(loaded.file, f"answers.{field}", found, "zero or more", "measure again")
    largest = graphs[m.graph].largest if m.graph in graphs else math.inf
    most = TOLERATED * float(MEASURING["answers"]["fp32_tolerance_of_spread"]) * max(1.0, largest)
    if m.answers.tolerance > most:
        found, expected = repr(m.answers.tolerance), f"at most {most:.3g}, by the scores of its runs"
        yield Problem(loaded.file, "answers.tolerance", found, expected, "measure again")
    equal = estimate.answers_equal(m.answers.largest_difference, m.answers.tolerance)
    yield from problems(loaded.file, m.answers.equal, equal, "answers.equal")
    if not equal:
        found, expected = repr(m.answers.largest_difference), f"at most {m.answers.tolerance!r}"
        fix = "the timed answers are not the model's: measure the model that was scored"
        yield Problem(loaded.file, "answers.largest_difference", found, expected, fix)
    passed = estimate.repeat_passed(m.repeat_check.ratio)
    yield from problems(loaded.file, m.repeat_check.passed, passed, "repeat_check.passed")


def scored_where_answers_are_its_own(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Problems:
    """In float32 a model is scored again if it rounds inside, and only then."""
    m = loaded.measurement
    if m.precision != "fp32" or m.graph not in graphs or not is_plain_query(m):
        return
    if graphs[m.graph].rounds and not m.accuracy:
        expected = "scores by its answers here: its weights are whole numbers"
        yield Problem(loaded.file, "accuracy", "nothing", expected, "measure again with this version")
    if m.accuracy and not graphs[m.graph].rounds:
        expected = "nothing: in float32 its runs' scores are its own"
        yield Problem(loaded.file, "accuracy", f"scores of {len(m.accuracy)} tasks", expected, "remove them")


def graph_is_a_runs(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Problems:
    """The timed model is one of the recipe variant that the measurement names, where its runs are here."""
    m = loaded.measurement
    here = {(name, graph) for graph, one in graphs.items() for name in one.models}
    same = {graph for name, graph in here if name == (m.recipe, m.variant, m.recipe_hash)}
    # Made on an older run of the variant, it may be inherited, as long as its graph stayed what it was.
    own = same or {graph for name, graph in here if name[:2] == (m.recipe, m.variant)}
    if own and m.graph not in own:
        expected = " or ".join(sorted(own)[:3]) + f" (a run of {m.recipe}/{m.variant})"
        yield Problem(loaded.file, "graph", m.graph, expected, "measure the model of the run")


def reference_is_the_protocols(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Problems:
    """The other side is the reference that every ratio is against, where its runs are here."""
    m, wanted = loaded.measurement, (MEASURING["reference"]["recipe"], MEASURING["reference"]["variant"])
    known = {graph for graph, one in graphs.items() if wanted in {model[:2] for model in one.models}}
    if known and m.reference_graph not in known:
        expected = " or ".join(sorted(known)[:3]) + f" (a run of {'/'.join(wanted)})"
        yield Problem(loaded.file, "reference_graph", m.reference_graph, expected, "measure against it")


def file_holds_the_weights(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Problems:
    """A float32 model's file is no smaller than its tensors."""
    m = loaded.measurement
    least = graphs[m.graph].bytes if m.graph in graphs and m.precision == "fp32" else 0
    if m.model_bytes < least:
        expected = f"at least {least}, its tensors in float32"
        yield Problem(loaded.file, "model_bytes", str(m.model_bytes), expected, "measure again")


def drawn_weights_have_no_exits(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Problems:
    """Where examples leave early, time is the trained weights' affair."""
    m = loaded.measurement
    for graph in dict.fromkeys((m.graph, m.reference_graph)):
        if m.weights == "drawn" and graph in graphs and graphs[graph].exits:
            expected = "trained: its examples leave early, and when follows from the weights"
            yield Problem(loaded.file, "weights", "drawn", expected, "measure the trained model")


@dataclass(frozen=True)
class Achieved:
    """What a side's times amount to."""

    field: str
    runtime: str
    precision: str
    flop_per_second: float  # in the middle, as the ratio is made
    sustained: float  # over all of its time


def achieved(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Iterator[Achieved]:
    """Both sides' operations per second; of a side whose arithmetic no run here tells, nothing."""
    m = loaded.measurement
    try:
        samples = estimate.from_columns(loaded.samples or {})
    except (KeyError, ValueError):
        return  # what is wrong with them was named
    reference = str(MEASURING["reference"]["precision"]) if m.against == "reference" else m.precision
    for side, graph, runtime, precision, field in (
        (raw.REFERENCE, m.reference_graph, m.reference_runtime, reference, "reference_latency_ms"),
        (raw.ENTRY, m.graph, m.runtime, m.precision, "latency_ms"),
    ):
        known = graphs.get(graph)
        if known is None:
            continue
        a, b, c = known.polynomial
        lengths = m.trace_lengths
        if side == raw.REFERENCE and m.reference_trace_lengths is not None:
            lengths = m.reference_trace_lengths
        if not 0 <= int(samples.query.min()) <= int(samples.query.max()) < len(lengths):
            continue  # of no trace: refused for that
        work = np.array([a + b * n + c * n * n for n in lengths], dtype=np.float64)
        yield Achieved(field, runtime, precision, *estimate.rates(samples, side, work))


def time_is_possible(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Problems:
    """No side does more operations per second than its processor's instruction set allows, plus 10%; nor did the
    products that the peaks were measured with."""
    m = loaded.measurement
    module = m.runtime in names("runtimes") and load_module("runtimes", m.runtime)
    if m.machine.accelerator is not None and not (module and device_of(module) == "cpu"):
        return  # the table is of processors
    peaks = (
        Achieved(f"peaks.{place}.flop_per_second", one.runtime, one.precision, *[one.flop_per_second] * 2)
        for place, one in enumerate(m.peaks)
    )
    for one in (*achieved(loaded, graphs), *peaks):
        peak = peak_of(m, one.precision)
        if peak is None:
            continue
        limit = peak * float(MEASURING["physics"]["refused_above_peak"])
        if one.flop_per_second > limit:
            found = f"{one.flop_per_second / 1e9:.0f} GFLOP/s"
            expected = f"at most {limit / 1e9:.0f} on {cores_of(m)} cores of this processor"
            yield Problem(
                loaded.file, one.field, found, expected, "measure again; correct machine if it is wrong"
            )


def too_close_to_the_peak(loaded: LoadedMeasurement, graphs: Mapping[str, Graph]) -> Iterator[str]:
    """Sides that are nearly as fast as nothing but products were, in the same runtime and sitting: to be looked at."""
    m = loaded.measurement
    rates = {(one.runtime, one.precision): one.flop_per_second for one in m.peaks}
    for one in achieved(loaded, graphs):
        peak = rates.get((one.runtime, one.precision))
        if peak is not None and one.sustained > peak * float(
            MEASURING["physics"]["review_above_measured_peak"]
        ):
            share = f"{one.sustained / peak:.0%} of the {peak / 1e9:.3g} that {one.runtime} reached"
            yield f"{one.field}: {one.sustained / 1e9:.3g} GFLOP/s, {share} on nothing but products"


MEASUREMENT: tuple[Callable[[LoadedMeasurement, Mapping[str, Graph]], Problems], ...] = (
    times_follow,
    figures_beside_follow,
    pilot_went_up_the_ladder,
    energy_is_of_the_samples,
    checks_follow,
    scored_where_answers_are_its_own,
    graph_is_a_runs,
    reference_is_the_protocols,
    file_holds_the_weights,
    drawn_weights_have_no_exits,
    time_is_possible,
)


# --- entries ------------------------------------------------------------------------------------------------


def entry_follows(loaded: LoadedEntry, computed: Mapping[str, Entry]) -> Problems:
    """Every field of an entry, from the runs, measurements and attestations beside it."""
    name = f"{loaded.path.parent.name}/{loaded.path.stem}"
    if name not in computed:
        yield Problem(
            loaded.file, "", "an entry", f"none: there are no runs of {name}", "run lightboard index"
        )
        return
    expected = computed[name].model_dump(mode="json", by_alias=True)
    stored = loaded.entry.model_dump(mode="json", by_alias=True)
    yield from problems(loaded.file, stored, expected, fix="run lightboard index")


ENTRY = (entry_follows,)
