"""One model timed by itself, in a process of its own and perhaps another environment.

    python apart.py WAY FOLDER LENGTH SECONDS

Prints the seconds of each query as JSON. Imports nothing of this suite; :mod:`repeatability` calls it.
"""

from __future__ import annotations

import json
import sys
import time


def loop(folder: str, length: int, seconds: float) -> list[float]:
    """What one writes in five lines: warm up, then time one query after the other."""
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(1)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = torch.randint(1000, 30000, (1, length), generator=torch.Generator().manual_seed(0))
    times: list[float] = []
    with torch.inference_mode():
        for _ in range(5):
            model(input_ids=ids)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or len(times) < 10:
            started = time.perf_counter()
            model(input_ids=ids)
            times.append(time.perf_counter() - started)
    return times


def optimum(folder: str, length: int, seconds: float) -> list[float]:
    """optimum-benchmark as its documentation has it: an isolated process, latency of the forward pass."""
    from optimum_benchmark import Benchmark, BenchmarkConfig, InferenceConfig, ProcessConfig, PyTorchConfig

    config = BenchmarkConfig(
        name="pair",
        launcher=ProcessConfig(),
        scenario=InferenceConfig(
            latency=True, memory=False, input_shapes={"batch_size": 1, "sequence_length": length},
            warmup_runs=5, duration=seconds, iterations=10,
        ),
        backend=PyTorchConfig(
            model=folder, device="cpu", library="transformers", task="text-classification", model_type="bert",
            no_weights=False, intra_op_num_threads=1, inter_op_num_threads=1,
        ),
    )  # fmt: skip
    return list(Benchmark.launch(config).forward.latency.values)


if __name__ == "__main__":
    do, folder, length, seconds = sys.argv[1:]
    print(json.dumps({"loop": loop, "optimum": optimum}[do](folder, int(length), float(seconds))))
