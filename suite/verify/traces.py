"""What was asked: measurements that stand beside each other were asked the same, and it is what the protocol draws.

A trace is known by its digest and its lengths, for its tokens are not here. All measurements of a track that ask one
kind of inputs (of a task, where they name one) name one trace: the reference's, else the commonest. A model with a
tokenizer of its own has a digest of its own, but the same lengths in the reference's tokens. Where runs are here, the
lengths are those of their dev examples, none of them more often than there are such examples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from suite.canonical import digest
from suite.documents import Measurement, Run
from suite.folder import Problem, show
from suite.protocol import MEASURING, TRACKS
from suite.verify.loaded import LoadedMeasurement, Problems
from suite.verify.valid import is_published

Column = tuple[str, str, str | None, int]  # field, inputs, task, queries
Model = tuple[str, str]  # recipe, variant
REFERENCE: Model = (MEASURING["reference"]["recipe"], MEASURING["reference"]["variant"])
FIX = "measure again"


@dataclass
class Asked:
    """What the measurements of a track say that they asked, and the lengths of its runs' dev examples."""

    named: dict[Column, Counter[tuple[bool, str]]] = field(default_factory=dict)
    """How many name a trace; and whether it is the reference that was timed."""
    dev: dict[tuple[Model, str], Mapping[str, int]] = field(default_factory=dict)  # by model and task

    def add(self, m: Measurement) -> None:
        """Keep what a measurement says that it asked."""
        for column, trace in _named(m):
            self.named.setdefault(column, Counter())[(m.recipe, m.variant) == REFERENCE, trace] += 1

    def add_run(self, run: Run) -> None:
        """Keep the lengths of a run's dev examples, which are those of all of its model's runs."""
        self.dev.setdefault(((run.recipe, run.variant), run.task), run.model.dev_lengths)

    def usual(self, column: Column) -> str:
        """The trace of a column; of equally common ones the one that sorts last."""
        found = self.named[column]
        return max(found, key=lambda one: (one[0], found[one], one[1]))[1]


def one_trace(loaded: LoadedMeasurement, asked: Asked) -> Problems:
    """What is asked is what the other measurements of its column ask."""
    for column, trace in _named(loaded.measurement):
        usual = asked.usual(column) if column in asked.named else trace
        if trace != usual:
            name, inputs, task, _ = column
            found, expected = (trace, usual) if name == "trace" else ("other lengths", "those")
            expected += f", as the others that ask {inputs} of {task or 'all tasks'}"
            yield Problem(loaded.file, name, found, expected, FIX)


def _named(m: Measurement) -> Iterator[tuple[Column, str]]:
    """A digest of the lengths in the reference's tokens, and that of the trace where its tokens are those."""
    rest = m.inputs, m.task, len(m.trace_lengths)
    if m.reference_trace_lengths is None:
        yield ("trace", *rest), m.trace
    yield ("trace_lengths", *rest), digest(list(m.reference_trace_lengths or m.trace_lengths))


def as_the_protocol_draws(loaded: LoadedMeasurement, asked: Asked) -> Problems:
    """Under a published profile: dev examples of each task where they are asked, else so many of each length."""
    m, protocol = loaded.measurement, MEASURING["trace"]
    track = TRACKS.get(m.track)
    if track is None or not is_published(m.profile):
        return
    if m.inputs == "lengths":
        each = int(MEASURING["pairing"]["block_queries"])
        fixed = [n for n in protocol["fixed_lengths"] for _ in range(each)][: len(m.trace_lengths)]
        if list(m.trace_lengths) != fixed or len(fixed) % each:
            found, expected = "others", f"{each} of each of {', '.join(map(str, protocol['fixed_lengths']))}"
            yield Problem(loaded.file, "trace_lengths", found, f"{expected}, or of the first of them", FIX)
        return
    tasks = track.core if m.task is None else (m.task,)
    in_reference = m.trace_lengths if m.reference_trace_lengths is None else m.reference_trace_lengths
    for model, lengths, name in (
        (
            REFERENCE,
            in_reference,
            "reference_trace_lengths" if m.reference_trace_lengths else "trace_lengths",
        ),
        ((m.recipe, m.variant), m.trace_lengths, "trace_lengths"),
    ):
        wrong = _wrong(lengths, [asked.dev.get((model, task)) for task in tasks])
        if wrong is not None:
            found, expected = wrong
            yield Problem(loaded.file, name, found, f"{expected}, by the runs of {'/'.join(model)}", FIX)
            return


def _wrong(lengths: Sequence[int], dev: Sequence[Mapping[str, int] | None]) -> tuple[str, str] | None:
    """What of some queries' lengths cannot be those of dev examples, and what can; None where a task has no run."""
    there: Counter[str] = Counter()
    queries = 0
    for one in dev:
        if one is None:
            return None
        there.update(one)
        queries += min(sum(one.values()), int(MEASURING["trace"]["queries"]) // len(dev))
    if len(lengths) != queries:
        return f"{len(lengths)} queries", str(queries)
    asked = Counter(map(str, lengths))
    for tokens in sorted(asked - there, key=int):
        return f"{asked[tokens]} queries of {show(tokens)} tokens", f"at most {there[tokens]}"
    return None


MEASUREMENT = (one_trace, as_the_protocol_draws)
