"""What a measurement says beside its ratio, as label and text: batches, joules, the device's own time, streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from suite.board.text import bytes_words, digits, fixed
from suite.documents import AtBatch, Measurement


def beside(m: Measurement) -> Iterator[tuple[str, str]]:
    """Only what this measurement has; energy always, since it is absent for a reason."""
    if m.threads:
        yield "threads", str(m.threads)
    if m.offline is not None:
        yield (
            "batch",
            f"{m.offline.batch}, the reference’s {m.offline.reference_batch}: each the quickest of its pilot",
        )
        rates = (m.offline.queries_per_second, m.offline.reference_queries_per_second)
        yield "rate", f"{digits(rates[0])} queries a second, the reference {digits(rates[1])}"
        yield "padding", f"{fixed(100 * m.offline.padding, 1)}% of the trace’s tokens, at this batch"
        if m.offline.leaving:
            yield "leaving early", f"by {m.offline.leaving} of the batch"
        yield "pilot", _ladder(m.offline.ladder)
        yield "reference’s pilot", _ladder(m.offline.reference_ladder)
    if m.memory.limit_bytes and m.memory.limited_by:
        yield "memory limit", f"{bytes_words(m.memory.limit_bytes)}, held by {m.memory.limited_by}"
    if m.memory.device_allocated_bytes and m.memory.device_reserved_bytes:
        taken, kept = m.memory.device_allocated_bytes, m.memory.device_reserved_bytes
        yield "device memory", f"{bytes_words(taken)} allocated at most, {bytes_words(kept)} reserved"
    if m.device_time is not None:
        other = m.device_time.reference_latency_ms
        said = f"{digits(m.device_time.latency_ms)} ms by its own clock"
        yield "on the device", said + (f", the reference {digits(other)} ms" if other is not None else "")
    if m.worst_case is not None:
        worst = f"{digits(m.worst_case.latency_ms)} ms, {fixed(m.worst_case.ratio, 2)} times the reference’s speed"
        yield "worst case", f"{worst}, where nobody leaves early"
    if m.streams is not None:
        rate, slower = digits(m.streams.queries_per_second), fixed(m.streams.slowdown, 2)
        yield (
            f"{m.streams.streams} streams at once",
            f"{rate} queries a second; each query takes {slower} times as long",
        )
    if m.spot_check is not None:
        passed = "passed" if m.spot_check.passed else "failed"
        times = f"takes {fixed(m.spot_check.ratio, 3)} of this one’s time"
        yield "spot check", f"{passed}: another run of the same graph ({m.spot_check.task}) {times}"
    if m.energy is not None:
        own, other = m.energy.joules_per_query, m.energy.reference_joules_per_query
        yield (
            "energy",
            f"{digits(own)} J a query, the reference {digits(other)} J, by {', '.join(m.energy.counters)}",
        )
    else:
        yield "energy", f"not measured: {m.energy_reason or 'this version of the measurement did not look'}"


def _ladder(steps: Sequence[AtBatch]) -> str:
    return "; ".join(
        f"{step.batch}: {digits(step.queries_per_second)} a second"
        if step.queries_per_second is not None
        else f"{step.batch}: {step.reason}"
        for step in steps
    )
