"""The documents that runs leave behind: run, measurement, attestation, entry, and the log of their life.

Every field carries its *origin* in the JSON Schema: ``derived`` (a verifier recomputes it and refuses a
difference), ``evidence`` (raw observations that derived fields follow from) or ``declared`` (someone's word;
the website sets it in italics). Units are in the names. Documents are immutable once written.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Origin = Literal["derived", "evidence", "declared"]


def _origin(origin: Origin) -> Any:
    return Field(json_schema_extra={"origin": origin})


DERIVED = _origin("derived")
EVIDENCE = _origin("evidence")
DECLARED = _origin("declared")

_PART = r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*"  # two dots in a row would lead out of a folder
Name = Annotated[str, StringConstraints(pattern=rf"^{_PART}$", max_length=64)]
Hash = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
PLACE = rf"^(?:runs|measurements)/{_PART}/{_PART}/{_PART}$"
Place = Annotated[str, StringConstraints(pattern=PLACE, max_length=400)]
"""A document's folder below results/<track>/: of names, so that whatever has a name can be named in the log."""
Text = Annotated[str, StringConstraints(max_length=2000)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Times = Annotated[float, Field(gt=1e-9, lt=1e9, allow_inf_nan=False)]
"""A ratio of times: whoever takes its logarithm, or divides by it, gets a number."""
Count = Annotated[int, Field(ge=0, le=2**53)]
Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
"""What a run spent, or a part of it: whoever adds up those of many gets a number."""
Tokens = Annotated[int, Field(ge=0, le=10**12)]
Flops = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]
Interval = Annotated[tuple[Number, Number], Field(description="lower and upper end, 95%")]


class Strict(BaseModel):
    """Frozen, no unknown fields, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Many(Strict):
    """What very many are held of at once."""

    def model_post_init(self, context: Any, /) -> None:
        """All that were given the same fields share the set of their names: each its own is two fifths of memory."""
        given = self.model_fields_set
        object.__setattr__(self, "__pydantic_fields_set__", _GIVEN.setdefault(frozenset(given), given))


_GIVEN: dict[frozenset[str], set[str]] = {}


# --- what a run leaves ------------------------------------------------------------------------------------


class Split(Strict):
    """One set of examples as it was used."""

    rows: Annotated[Count, EVIDENCE]
    fingerprint: Annotated[Hash, EVIDENCE]


class Data(Strict):
    """Where the examples came from and which they were."""

    source: Annotated[Literal["hub", "folder", "generated", "own"], DECLARED]
    train: Annotated[Split, EVIDENCE]
    selection: Annotated[Split, EVIDENCE]
    dev: Annotated[dict[Name, Split], EVIDENCE]
    train_lengths: Annotated[dict[str, Count], EVIDENCE] = Field(default_factory=dict)
    """Tokens -> number of training examples: what the budget is counted from."""
    dev_subset: Annotated[bool, DERIVED]  # fewer dev rows than the official set


class Weight(Strict):
    """One parameter tensor of the shipped model, as its file's header says."""

    name: Annotated[str, StringConstraints(max_length=200), EVIDENCE]
    shape: Annotated[tuple[Count, ...], EVIDENCE]
    dtype: Annotated[Literal["float32", "float16", "bfloat16", "int8", "uint8", "int32"], EVIDENCE]
    nonzero: Annotated[Count, EVIDENCE]
    embedding: Annotated[bool, EVIDENCE]  # word, position, segment tables and their norm


def _is_empty(value: object) -> bool:
    """Fields that few documents need are not written in the others, whose bytes stay what they were."""
    return not value


class Op(Strict):
    """A matrix product met while tracing the model, eager attention, at length n.

    ``linear``: ``rows`` x shape[1] times shape[0] x shape[1] transposed, with the weight's name.
    ``matmul``: batch shape[0] of (shape[1] x shape[2]) times (shape[2] x shape[3]).
    A dimension is a whole number, or "n" for the sequence length. 1 multiply-accumulate = 2 FLOPs.
    ``block`` k > 0: only examples that reach block k of a model with early exits need it; an example that leaves
    at exit k has been through blocks 1 to k. 0, which is not written: every example needs it.
    """

    kind: Annotated[Literal["linear", "matmul"], EVIDENCE]
    weight: Annotated[str | None, EVIDENCE] = None
    rows: Annotated[Count | Literal["n"], EVIDENCE] = 1
    shape: Annotated[tuple[Count | Literal["n"], ...], EVIDENCE]
    times: Annotated[Count, EVIDENCE] = 1
    block: Annotated[Count, EVIDENCE] = Field(0, exclude_if=_is_empty)


class Parameters(Strict):
    total: Annotated[Count, DERIVED]
    without_embeddings: Annotated[Count, DERIVED]
    nonzero: Annotated[Count, DERIVED]


class Model(Strict):
    """The trained model's architecture, size and arithmetic."""

    architecture: Annotated[Name, DECLARED]
    config: Annotated[dict[str, Any], EVIDENCE]
    weights: Annotated[tuple[Weight, ...], EVIDENCE]
    ops: Annotated[tuple[Op, ...], EVIDENCE]
    graph: Annotated[Hash, DERIVED]  # digest of ops, shapes and dtypes: equal graphs take equal time
    parameters: Annotated[Parameters, DERIVED]
    flops_per_example: Annotated[dict[str, Flops], DERIVED]
    """"dev": mean over the dev examples, each at its true length and up to the exit it took. "128": at 128 tokens;
    with early exits the mean over the exits that the dev examples took."""
    dev_lengths: Annotated[dict[str, Count], EVIDENCE]  # tokens -> number of dev examples
    exits: Annotated[dict[str, dict[str, Count]], EVIDENCE] = Field(
        default_factory=dict, exclude_if=_is_empty
    )
    """Exit taken -> tokens -> number of dev examples, of a model with early exits; no others have it."""
    bytes: Annotated[dict[str, Count], EVIDENCE]  # "safetensors/fp32" -> size of the shipped file


class StageCost(Strict):
    """What one stage took when it was made (also when this run found it in the store)."""

    stage: Annotated[Name, EVIDENCE]
    key: Annotated[Hash, EVIDENCE]
    tflop: Annotated[Amount, EVIDENCE]
    tokens: Annotated[Tokens, EVIDENCE]
    seconds: Annotated[Amount, EVIDENCE]
    shared: Annotated[bool, EVIDENCE]  # the teacher and general distillation: outside the budget


class TrainingCost(Strict):
    tflop: Annotated[Amount, DERIVED]
    tokens: Annotated[Tokens, DERIVED]
    device_hours: Annotated[Amount, DERIVED]
    budget_tflop: Annotated[Amount | None, DERIVED]
    """Sum over the stages that are not shared; the budget is 3u of the protocol, None where there is none."""


class Curve(Strict):
    """One logged quantity over the optimiser steps of a phase."""

    phase: Annotated[Name, EVIDENCE]
    name: Annotated[Name, EVIDENCE]
    steps: Annotated[tuple[Count, ...], EVIDENCE]
    values: Annotated[tuple[Number, ...], EVIDENCE]


PUBLIC = r"^(?:https?|s3|gs|gcs|az|abfs|hf)://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%+=-]+)*/?$"


class Weights(Strict):
    """The trained weights, ``model.safetensors``, by their hash, and where someone says that they lie."""

    sha256: Annotated[Hash, EVIDENCE]
    place: Annotated[Annotated[str, StringConstraints(pattern=PUBLIC, max_length=400)] | None, DECLARED] = (
        None
    )


class Environment(Strict):
    """Software and processor, without names of hosts, users or paths."""

    versions: Annotated[dict[str, str], DECLARED]
    cpu: Annotated[Text, DECLARED]
    cpu_flags: Annotated[tuple[str, ...], DECLARED]
    cores: Annotated[Count, DECLARED]
    threads: Annotated[Count, DECLARED]
    accelerator: Annotated[Text | None, DECLARED] = None


class Run(Strict):
    """recipe variant x task x seed, trained and scored. Predictions lie beside it in ``predictions.parquet``.

    Columns there: ``split`` (string), ``row`` (int32, the row in the source's dev file), ``score_<label>``
    (float32; for regression one, ``score``), ``influence`` (float64: this example's part of the score's error,
    so that the sum of squares is the score's sampling variance, in points squared).
    """

    schema_: Annotated[Literal["lightboard/run/1"], DECLARED] = Field("lightboard/run/1", alias="schema")
    track: Annotated[Name, DECLARED]
    division: Annotated[Literal["standard", "open"], DECLARED]
    recipe: Annotated[Name, DECLARED]
    variant: Annotated[Name, DECLARED]
    method: Annotated[Name, DECLARED]
    task: Annotated[Name, DECLARED]
    seed: Annotated[Count, DECLARED]
    protocol: Annotated[Hash, EVIDENCE]  # the training part
    settings: Annotated[
        dict[str, Any], EVIDENCE
    ]  # the recipe as resolved for the track: method, parameters ...
    recipe_hash: Annotated[Hash, DERIVED]  # digest of settings
    data: Annotated[Data, EVIDENCE]
    metrics: Annotated[dict[str, Number], DERIVED]  # 0..1 (correlations -1..1)
    score: Annotated[Number, DERIVED]  # task score in points: 100 x mean of the task's metrics
    score_sd: Annotated[Number, DERIVED]  # sampling standard deviation, points
    calibration: Annotated[dict[str, Number], DERIVED]  # ece, brier; empty for regression
    diverged: Annotated[bool, DERIVED]  # the predictions are all one class (or constant)
    model: Annotated[Model, EVIDENCE]
    stages: Annotated[tuple[StageCost, ...], EVIDENCE]
    training_cost: Annotated[TrainingCost, DERIVED]
    curves: Annotated[tuple[Curve, ...], EVIDENCE]
    departures: Annotated[tuple[Text, ...], DECLARED] = ()
    environment: Annotated[Environment, DECLARED]
    weights: Annotated[Weights | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    """None in documents older than the field."""


# --- what a measurement leaves ------------------------------------------------------------------------------


class Ratio(Many):
    """Reference time over entry time: 2 means twice as fast. Geometric mean over process pairs."""

    value: Annotated[Times, DERIVED]
    interval: Annotated[tuple[Times, Times] | None, DERIVED]
    pairs: Annotated[Count, DERIVED]


class Latency(Many):
    """Milliseconds per query: median over process pairs of each process' own percentile.

    None of them where queries are answered in batches: each waits for its batch, so only the rate means something.
    """

    p50: Annotated[Number | None, DERIVED]
    p90: Annotated[Number | None, DERIVED]
    p99: Annotated[Number | None, DERIVED]
    p90_reason: Annotated[Text | None, DERIVED] = None
    p99_reason: Annotated[Text | None, DERIVED] = None
    p50_reason: Annotated[Text | None, DERIVED] = Field(None, exclude_if=_is_empty)


class AtLength(Strict):
    """One length of a measurement whose inputs are ``lengths``."""

    tokens: Annotated[Count, DERIVED]
    ratio: Annotated[Ratio, DERIVED]
    latency_ms: Annotated[Number, DERIVED]  # median over process pairs of each process' median
    reference_latency_ms: Annotated[Number, DERIVED]


class Answers(Strict):
    """In-run check: a random subset of the timed outputs against the accuracy run's."""

    queries: Annotated[Count, EVIDENCE]
    largest_difference: Annotated[Number, EVIDENCE]
    tolerance: Annotated[Number, EVIDENCE]
    equal: Annotated[bool, DERIVED]


class RepeatCheck(Strict):
    """Time on different inputs of equal length over time on one repeated input, both warmed."""

    ratio: Annotated[Number, EVIDENCE]
    passed: Annotated[bool, DERIVED]  # within 10%


class Memory(Strict):
    """High-water marks of the entry's process; those of a device's own memory where it runs on one."""

    peak_bytes: Annotated[Count, EVIDENCE]
    baseline_bytes: Annotated[Count, EVIDENCE]
    device_allocated_bytes: Annotated[Count | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    device_reserved_bytes: Annotated[Count | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    limit_bytes: Annotated[Count | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    limited_by: Annotated[Literal["cgroup", "RLIMIT_DATA"] | None, EVIDENCE] = Field(
        None, exclude_if=_is_empty
    )
    """The profile's limit for each timed process, and what held it."""


class AtBatch(Strict):
    """One batch size of the pilot: each pass over the whole trace, or why there was none."""

    batch: Annotated[Count, EVIDENCE]
    seconds: Annotated[tuple[Number, ...], EVIDENCE] = ()
    reason: Annotated[Text | None, EVIDENCE] = None
    queries_per_second: Annotated[Number | None, DERIVED] = None  # of the median pass


class Offline(Strict):
    """The whole trace known beforehand, sorted by length and answered in batches, all of it timed.

    The batch is chosen by a pilot, for entry and reference separately; then both are measured afresh.
    """

    batch: Annotated[Count, DERIVED]
    reference_batch: Annotated[Count, DERIVED]
    ladder: Annotated[tuple[AtBatch, ...], EVIDENCE]
    reference_ladder: Annotated[tuple[AtBatch, ...], EVIDENCE]
    queries_per_second: Annotated[Number, DERIVED]  # median over process pairs
    reference_queries_per_second: Annotated[Number, DERIVED]
    padding: Annotated[Number, DERIVED]  # tokens of padding per token of the trace, at the entry's batch
    leaving: Annotated[Literal["compaction", "padding"] | None, EVIDENCE] = None
    """Early exit: whether a batch shrinks where examples leave it, or keeps their places."""


class EnergyBlock(Strict):
    """Counters' joules at a block's start and end; ``queries`` were answered between, warm-up left out."""

    pair: Annotated[Count, EVIDENCE]
    block: Annotated[Count, EVIDENCE]
    side: Annotated[Literal[0, 1], EVIDENCE]
    queries: Annotated[Count, EVIDENCE]
    start_joules: Annotated[Number, EVIDENCE]
    end_joules: Annotated[Number, EVIDENCE]


class Energy(Strict):
    """Of the machine's parts that the counters cover, whatever else they were doing: never an estimate."""

    counters: Annotated[tuple[Text, ...], EVIDENCE]
    blocks: Annotated[tuple[EnergyBlock, ...], EVIDENCE]
    joules_per_query: Annotated[Number, DERIVED]
    reference_joules_per_query: Annotated[Number, DERIVED]


class DeviceTime(Strict):
    """The device's own clock, by events: without what the host adds. Each process' median query."""

    nanoseconds: Annotated[tuple[Count, ...], EVIDENCE]
    reference_nanoseconds: Annotated[tuple[Count, ...], EVIDENCE] = ()  # empty: it ran on another device
    latency_ms: Annotated[Number, DERIVED]
    reference_latency_ms: Annotated[Number | None, DERIVED]


class Streams(Strict):
    """Processes of the entry that answer at once, a core each; round by round the mean query of each, alone and so."""

    streams: Annotated[Count, EVIDENCE]
    alone_ms: Annotated[tuple[Number, ...], EVIDENCE]
    together_ms: Annotated[tuple[Number, ...], EVIDENCE]
    queries_per_second: Annotated[Number, DERIVED]  # of all streams at once
    slowdown: Annotated[Number, DERIVED]  # together over alone, the median round


class SpotCheck(Strict):
    """A run that inherits these times by its graph, drawn at random and timed: 1 where it takes as long."""

    task: Annotated[Name, EVIDENCE]
    ratio: Annotated[Number, EVIDENCE]
    passed: Annotated[bool, DERIVED]  # within the repeat check's share


class WorstCase(Strict):
    """Early exit where no example leaves early: all exits asked, all blocks done."""

    ratio: Annotated[Number, EVIDENCE]  # reference time over this
    latency_ms: Annotated[Number, EVIDENCE]


class Peak(Strict):
    """How fast a runtime multiplied matrices on the measurement's cores and threads, in the same sitting."""

    runtime: Annotated[Name, EVIDENCE]
    precision: Annotated[Name, EVIDENCE]
    flop_per_second: Annotated[Annotated[float, Field(gt=0, allow_inf_nan=False)], EVIDENCE]


class Once(Strict):
    """Costs paid once per process, shown apart from latency."""

    load_seconds: Annotated[Number, EVIDENCE]
    first_query_seconds: Annotated[Number, EVIDENCE]
    tokenise_seconds_per_example: Annotated[Number | None, EVIDENCE]  # None: a device kit holds no texts


class Accuracy(Strict):
    """The score of a runtime of lower precision: its own answers to a task's whole dev sets, one example at a time,
    unpadded. They lie beside the measurement in ``predictions-<task>.parquet``, with the columns of a run's.
    """

    task: Annotated[Name, DECLARED]
    seed: Annotated[Count, DECLARED]  # of the run whose weights answered
    model_file: Annotated[Hash, EVIDENCE]
    dev: Annotated[dict[Name, Split], EVIDENCE]
    metrics: Annotated[dict[str, Number], DERIVED]
    score: Annotated[Number, DERIVED]
    score_sd: Annotated[Number, DERIVED]
    calibration: Annotated[dict[str, Number], DERIVED]
    diverged: Annotated[bool, DERIVED]


class MachineState(Strict):
    """What could change under a measurement; None where this machine does not say."""

    load_1min: Annotated[Number | None, EVIDENCE]
    governor: Annotated[Text | None, EVIDENCE]
    turbo: Annotated[bool | None, EVIDENCE]
    frequency_mhz: Annotated[Number | None, EVIDENCE]
    temperature_celsius: Annotated[Number | None, EVIDENCE]
    throttled: Annotated[Count | None, EVIDENCE]
    steal_percent: Annotated[Number | None, EVIDENCE]
    available_memory_bytes: Annotated[Count | None, EVIDENCE]
    accelerator_celsius: Annotated[Number | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    accelerator_mhz: Annotated[Number | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    accelerator_throttled: Annotated[bool | None, EVIDENCE] = Field(None, exclude_if=_is_empty)


class Machine(Strict):
    """What answered: no host name, user or path."""

    cpu: Annotated[Text, DECLARED]
    flags: Annotated[tuple[str, ...], DECLARED]
    cores: Annotated[Count, DECLARED]
    smt: Annotated[bool | None, DECLARED]
    max_mhz: Annotated[Number | None, DECLARED]
    memory_bytes: Annotated[Count, DECLARED]
    virtual: Annotated[Text | None, DECLARED]
    affinity: Annotated[tuple[Count, ...], DECLARED]
    cgroup_cpu_limit: Annotated[Number | None, DECLARED]
    kernel: Annotated[Text, DECLARED]
    architecture: Annotated[Text | None, DECLARED] = Field(None, exclude_if=_is_empty)
    device_model: Annotated[Text | None, DECLARED] = Field(None, exclude_if=_is_empty)  # a board's name
    cgroup_memory_limit_bytes: Annotated[Count | None, DECLARED] = Field(None, exclude_if=_is_empty)
    accelerator: Annotated[Text | None, DECLARED] = Field(None, exclude_if=_is_empty)  # and its driver
    before: Annotated[MachineState, EVIDENCE]
    after: Annotated[MachineState, EVIDENCE]
    requirements: Annotated[dict[str, bool], EVIDENCE]  # what the profile asks for -> whether it held


def _is_trained(value: object) -> bool:
    return value == "trained"


class Measurement(Strict):
    """model x runtime x precision x profile x machine x date. Raw times lie beside it in ``samples.parquet``.

    Columns there: ``pair`` (int16), ``block`` (int16), ``side`` (int8: 0 reference, 1 entry), ``query``
    (int16: row of the trace), ``nanoseconds`` (int64, of one query: the unit's time over ``repeats``).
    """

    schema_: Annotated[Literal["lightboard/measurement/1"], DECLARED] = Field(
        "lightboard/measurement/1", alias="schema"
    )
    track: Annotated[Name, DECLARED]
    recipe: Annotated[Name, DECLARED]
    variant: Annotated[Name, DECLARED]
    task: Annotated[Name | None, DECLARED]  # the run whose weights were timed
    graph: Annotated[Hash, EVIDENCE]  # of the timed model: entries with an equal graph inherit
    recipe_hash: Annotated[Hash, EVIDENCE]
    protocol: Annotated[Hash, EVIDENCE]  # the measuring part
    profile: Annotated[Name, DECLARED]
    profile_hash: Annotated[Hash, EVIDENCE]
    runtime: Annotated[Name, DECLARED]
    precision: Annotated[Name, DECLARED]
    against: Annotated[Literal["reference", "alone"], DECLARED]  # alone: reference in the same runtime
    reference_graph: Annotated[Hash, EVIDENCE]
    reference_runtime: Annotated[Name, DECLARED]
    arrival: Annotated[Literal["single-stream", "offline"], DECLARED]
    inputs: Annotated[Name, DECLARED]  # trace, or lengths: as many queries at each of the protocol's lengths
    shapes: Annotated[Literal["dynamic", "padded"], DECLARED]
    trace: Annotated[Hash, EVIDENCE]
    trace_lengths: Annotated[tuple[Count, ...], EVIDENCE]
    reference_trace_lengths: Annotated[tuple[Count, ...] | None, EVIDENCE] = None
    """The same queries in the reference's tokens, where the entry's tokenizer makes others."""
    repeats: Annotated[Annotated[int, Field(ge=1, le=10000)], EVIDENCE]
    model_file: Annotated[Hash, EVIDENCE]
    model_bytes: Annotated[Count, EVIDENCE]
    ratio: Annotated[Ratio, DERIVED]
    latency_ms: Annotated[Latency, DERIVED]
    reference_latency_ms: Annotated[Latency, DERIVED]
    residual: Annotated[Number, DERIVED]  # robust spread of the log residuals
    verdict: Annotated[Literal["stable", "noisy"], DERIVED]
    by_length: Annotated[
        tuple[AtLength, ...], DERIVED
    ] = ()  # shortest first; empty unless inputs are lengths
    answers: Annotated[Answers, EVIDENCE]
    accuracy: Annotated[tuple[Accuracy, ...], EVIDENCE] = Field((), exclude_if=_is_empty)
    """Where its answers are not its runs' (a precision below fp32, a model that rounds inside), timed query by query
    against the reference."""
    repeat_check: Annotated[RepeatCheck, EVIDENCE]
    memory: Annotated[Memory, EVIDENCE]
    once: Annotated[Once, EVIDENCE]
    machine: Annotated[Machine, EVIDENCE]
    threads: Annotated[Count | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    offline: Annotated[Offline | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    energy: Annotated[Energy | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    energy_reason: Annotated[Text | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    """Why no energy was measured; neither in documents older than the field."""
    device_time: Annotated[DeviceTime | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    streams: Annotated[Streams | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    spot_check: Annotated[SpotCheck | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    worst_case: Annotated[WorstCase | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    peaks: Annotated[tuple[Peak, ...], Field(max_length=8), EVIDENCE] = Field((), exclude_if=_is_empty)
    seconds: Annotated[Number | None, EVIDENCE] = Field(None, exclude_if=_is_empty)
    """What the measurement took, exports and processes' starts included: what the next one like it will take."""
    weights: Annotated[Literal["trained", "drawn"], DECLARED] = Field("trained", exclude_if=_is_trained)
    """Drawn: random ones of the run's graph, on which alone time depends; of both sides where of either."""
    versions: Annotated[dict[str, str], DECLARED]
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$"), DECLARED]


class Attempt(Strict):
    """``attempts/<name>.json``: a measurement that was tried and could not be made, and why; someone's word."""

    schema_: Annotated[Literal["lightboard/attempt/1"], DECLARED] = Field(
        "lightboard/attempt/1", alias="schema"
    )
    track: Annotated[Name, DECLARED]
    recipe: Annotated[Name, DECLARED]
    variant: Annotated[Name, DECLARED]
    recipe_hash: Annotated[Hash, DECLARED]
    task: Annotated[Name | None, DECLARED]
    profile: Annotated[Name, DECLARED]
    profile_hash: Annotated[Hash, DECLARED]
    runtime: Annotated[Name, DECLARED]
    arrival: Annotated[Literal["single-stream", "offline"], DECLARED]
    inputs: Annotated[Name, DECLARED]
    reason: Annotated[str, StringConstraints(max_length=500, pattern=r"\S"), DECLARED]
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$"), DECLARED]


# --- what a check leaves ------------------------------------------------------------------------------------

Level = Literal["valid", "rescored", "recounted", "replayed", "retrained"]


def _is_none_or_zero(value: object) -> bool:
    """Fields that few documents have are not written in the others, whose bytes stay what they were."""
    return not value


def _is_none(value: object) -> bool:
    return value is None


class CheckEvidence(Strict):
    """What a replay or a retraining found, for others to judge; of each only what it has."""

    weights: Annotated[Hash | None, EVIDENCE] = Field(None, exclude_if=_is_none_or_zero)
    """Replayed: the model file whose answers were compared."""
    largest_difference: Annotated[Number | None, EVIDENCE] = Field(None, exclude_if=_is_none)
    tolerance: Annotated[Number | None, EVIDENCE] = Field(None, exclude_if=_is_none)
    """Replayed: of a score, between the predictions and the model's answers; and how much is allowed."""
    score: Annotated[Number | None, EVIDENCE] = Field(None, exclude_if=_is_none)
    """Retrained: the mean over the new seeds, points."""
    interval: Annotated[Interval | None, EVIDENCE] = Field(None, exclude_if=_is_none_or_zero)
    """Retrained: where that mean was expected."""
    seeds: Annotated[tuple[Hash, ...], EVIDENCE] = Field((), exclude_if=_is_none_or_zero)
    """Retrained: a digest per new seed; whoever tells the key later proves that the seeds followed from it."""
    key: Annotated[Hash | None, EVIDENCE] = Field(None, exclude_if=_is_none_or_zero)
    """Retrained: names the verifier's key without telling it."""


class Attestation(Strict):
    """Someone checked a document to a level; it names the document by its manifest's digest."""

    schema_: Annotated[Literal["lightboard/attestation/1"], DECLARED] = Field(
        "lightboard/attestation/1", alias="schema"
    )
    subject: Annotated[Hash, EVIDENCE]
    level: Annotated[Level, DECLARED]
    outcome: Annotated[Literal["passed", "failed", "skipped: no data"], DECLARED]
    by: Annotated[Text, DECLARED]
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$"), DECLARED]
    lightboard: Annotated[Text, DECLARED]
    evidence: Annotated[CheckEvidence | None, EVIDENCE] = Field(None, exclude_if=_is_none_or_zero)


# --- what happens to published documents --------------------------------------------------------------------

Action = Literal["corrected", "superseded", "withdrawn", "extended"]


class Named(Strict):
    """A document by its place and its manifest's digest; the folder may be gone, or hold another by now."""

    place: Annotated[Place, EVIDENCE]
    subject: Annotated[Hash, EVIDENCE]


class LogEntry(Strict):
    """``log/<number>.json``: one step in the life of a published entry; never changed, never removed.

    ``corrected``, ``superseded``, ``withdrawn``: the named documents count in no entry any more.
    ``extended``: the named documents were added to an entry that was published without them.
    """

    schema_: Annotated[Literal["lightboard/log/1"], DECLARED] = Field("lightboard/log/1", alias="schema")
    number: Annotated[Annotated[int, Field(ge=1, le=9999)], EVIDENCE]
    previous: Annotated[Hash | None, DERIVED]  # digest of the entry before it: nothing can be slipped in
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$"), DECLARED]
    action: Annotated[Action, DECLARED]
    recipe: Annotated[Name, DECLARED]
    variant: Annotated[Name, DECLARED]
    documents: Annotated[tuple[Named, ...], Field(max_length=1000)]
    reason: Annotated[str, StringConstraints(max_length=2000, pattern=r"\S"), DECLARED]
    by: Annotated[Text, DECLARED]


class Signature(Strict):
    """A detached Ed25519 signature over the manifests of some documents (over their digests, by place).

    The signed bytes are the canonical JSON of ``schema`` and ``subjects``.
    """

    schema_: Annotated[Literal["lightboard/signature/1"], DECLARED] = Field(
        "lightboard/signature/1", alias="schema"
    )
    subjects: Annotated[dict[Place, Hash], Field(min_length=1, max_length=10_000), EVIDENCE]
    key: Annotated[str, StringConstraints(pattern=r"^ed25519:[0-9a-f]{64}$"), EVIDENCE]
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$"), EVIDENCE]


# --- the computed view --------------------------------------------------------------------------------------


class Estimate(Many):
    value: Annotated[Number, DERIVED]
    interval: Annotated[Interval | None, DERIVED]


class RunLine(Many):
    seed: Annotated[Count, DERIVED]
    score: Annotated[Number, DERIVED]
    metrics: Annotated[dict[str, Number], DERIVED]
    diverged: Annotated[bool, DERIVED]
    run: Annotated[str, DERIVED]  # folder below results/<track>/


class Quality(Many):
    score: Annotated[Number, DERIVED]
    interval: Annotated[Interval, DERIVED]
    runs: Annotated[tuple[RunLine, ...], DERIVED]
    dev_subset: Annotated[bool, DERIVED]
    retention: Annotated[Estimate | None, DERIVED]
    retention_reason: Annotated[Text | None, DERIVED] = None


class OwnScore(Strict):
    """A task's score in a lower precision, beside the same weights' in full precision."""

    seed: Annotated[Count, DERIVED]
    score: Annotated[Number, DERIVED]
    full_precision: Annotated[Number, DERIVED]
    change: Annotated[Estimate, DERIVED]  # points; over the examples, since both sides are one training


class Speed(Many):
    """One measurement as it applies to this entry (``inherited``: made on another run with the same graph).

    Of a lower precision only the entry's own: its time is shown with the scores that its answers have.
    """

    profile: Annotated[Name, DERIVED]
    runtime: Annotated[Name, DERIVED]
    precision: Annotated[Name, DERIVED]
    arrival: Annotated[Name, DERIVED]
    inputs: Annotated[Name, DERIVED]
    task: Annotated[Name | None, DERIVED] = Field(None, exclude_if=_is_empty)
    """Whose weights were timed, where time depends on them."""
    ratio: Annotated[Ratio, DERIVED]
    alone_ratio: Annotated[Ratio | None, DERIVED]
    latency_ms: Annotated[Latency, DERIVED]
    verdict: Annotated[Literal["stable", "noisy"], DERIVED]
    peak_memory_bytes: Annotated[Count, DERIVED]
    model_bytes: Annotated[Count, DERIVED]
    inherited: Annotated[bool, DERIVED]
    processor: Annotated[Text | None, DERIVED] = Field(None, exclude_if=_is_empty)
    """Where it was measured: ratios of one kind of processor need not be another's."""
    measurement: Annotated[str, DERIVED]
    scores: Annotated[dict[Name, OwnScore], DERIVED] = Field(default_factory=dict, exclude_if=_is_empty)
    """Task -> score by this runtime's own answers, where they are not those of its runs."""


class Front(Many):
    """Where an entry stands against leaving layers off, over one kind of cost (:mod:`suite.fronts`)."""

    cost: Annotated[Number, DERIVED]  # share of the reference's
    above: Annotated[Estimate, DERIVED]  # points above the truncation curve at that cost
    area: Annotated[Estimate | None, DERIVED]
    """Of a family's ranked variant: points by which its front lies above the curve, on average over log cost."""
    hypervolume: Annotated[Number | None, DERIVED]  # of a ranked variant: decades of cost x points


class EmptyCell(Strict):
    """What was tried, could not be measured, and is not measured by now."""

    profile: Annotated[Name, DERIVED]
    runtime: Annotated[Name, DERIVED]
    arrival: Annotated[Name, DERIVED]
    inputs: Annotated[Name, DERIVED]
    task: Annotated[Name | None, DERIVED]
    reason: Annotated[Text, DERIVED]
    date: Annotated[str, DERIVED]


class Ranks(Strict):
    """Positions this row can hold: [1 + significantly better rows, N - significantly worse rows]."""

    lowest: Annotated[Count, DERIVED]
    highest: Annotated[Count, DERIVED]
    of: Annotated[Count, DERIVED]
    ties_with_best: Annotated[bool, DERIVED]


class Difference(Strict):
    """An ablation's score less its parent's on one task: the same seeds, the same examples, in points."""

    value: Annotated[Number, DERIVED]
    interval: Annotated[Interval, DERIVED]
    p: Annotated[Number, DERIVED]  # two-sided, uncorrected for other comparisons
    seeds: Annotated[tuple[Count, ...], DERIVED]


class Change(Strict):
    """A line of an entry's changelog, from the track's log."""

    date: Annotated[str, DERIVED]
    action: Annotated[Action, DERIVED]
    reason: Annotated[str, DERIVED]
    log: Annotated[str, DERIVED]  # file below results/<track>/


class SeedCost(Strict):
    """What one seed of every task took to train: the sum of the tasks' :class:`TrainingCost`."""

    tflop: Annotated[Number, DERIVED]
    tokens: Annotated[Count, DERIVED]
    device_hours: Annotated[Number, DERIVED]
    budget_tflop: Annotated[Number | None, DERIVED]


class Cost(Strict):
    parameters: Annotated[Parameters, DERIVED]
    flops_per_example: Annotated[dict[str, Number], DERIVED]  # "128", and "dev/<task>"
    bytes: Annotated[dict[str, Count], DERIVED]


class Entry(Many):
    """The computed view of one recipe variant: its runs and measurements."""

    schema_: Annotated[Literal["lightboard/entry/1"], DECLARED] = Field("lightboard/entry/1", alias="schema")
    track: Annotated[Name, DERIVED]
    division: Annotated[Literal["standard", "open"], DERIVED]
    recipe: Annotated[Name, DERIVED]
    variant: Annotated[Name, DERIVED]
    default: Annotated[bool, DERIVED]  # the recipe's one ranked variant
    method: Annotated[Name, DERIVED]
    recipe_hash: Annotated[Hash, DERIVED]
    protocol: Annotated[dict[Literal["training", "measuring", "reporting"], Hash], DERIVED]
    quality: Annotated[dict[Name, Quality], DERIVED]
    board_score: Annotated[Estimate | None, DERIVED]
    board_score_reason: Annotated[Text | None, DERIVED] = None
    ranks: Annotated[Ranks | None, DERIVED]
    fronts: Annotated[dict[Text, Front], DERIVED] = Field(default_factory=dict, exclude_if=_is_empty)
    """What is a cost ("flops", "cpu-1-thread/onnx") -> where the entry stands; empty where a core task is missing."""
    cost: Annotated[Cost, DERIVED]
    speed: Annotated[tuple[Speed, ...], DERIVED]
    empty: Annotated[tuple[EmptyCell, ...], DERIVED] = Field((), exclude_if=_is_empty)
    training_cost: Annotated[SeedCost, DERIVED]
    level: Annotated[Level, DERIVED]
    retrained: Annotated[Count, DERIVED] = Field(0, exclude_if=_is_none_or_zero)
    """By how many verifiers, each with a key of their own, all its runs' scores were met again."""
    departures: Annotated[tuple[Text, ...], DERIVED]
    ablation_of: Annotated[Name | None, DERIVED] = None
    differences: Annotated[dict[Name, Difference], DERIVED] = Field(default_factory=dict)
    """Of an ablation: task -> how far it is from its parent's ranked variant; empty for all others."""
    settings: Annotated[dict[str, Any], DERIVED]
    changelog: Annotated[tuple[Change, ...], DERIVED] = Field((), exclude_if=_is_empty)


class Manifest(Strict):
    """SHA-256 of every other file of an immutable folder."""

    schema_: Annotated[Literal["lightboard/manifest/1"], DECLARED] = Field(
        "lightboard/manifest/1", alias="schema"
    )
    files: Annotated[dict[str, Hash], EVIDENCE]
