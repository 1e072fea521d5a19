"""A LiteRT file as one function of ids, mask and types, each query padded to the next length that the file has.

Handed out beside such files: it needs numpy and ai_edge_litert, and nothing of this package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Run = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[np.float32]]


def load(file: str, threads: int | None) -> Run:
    """Arguments [batch, length] of integers, answer [batch, outputs]; a batch is answered one example at a time."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(file, num_threads=threads)
    runners = {
        int(name[3:]): interpreter.get_signature_runner(name) for name in interpreter.get_signature_list()
    }
    lengths = sorted(runners)
    # Inputs are named by their place; they are narrower than ours, and one that changes nothing is not there.
    wanted = {
        length: [(int(name[5:]), name, about["dtype"]) for name, about in runner.get_input_details().items()]
        for length, runner in runners.items()
    }

    def run(ids: NDArray[Any], mask: NDArray[Any], types: NDArray[Any]) -> NDArray[np.float32]:
        given = (ids, mask, types)
        rows = []
        for row in range(len(ids)):
            end = int(mask[row].sum())
            length = next(length for length in lengths if length >= end)
            feed = {}
            for place, name, kind in wanted[length]:
                padded = np.zeros((1, length), kind)  # 0 is padding in ids, mask and types alike
                padded[0, :end] = given[place][row, :end]
                feed[name] = padded
            (logits,) = runners[length](**feed).values()
            rows.append(logits[0])
        answer: NDArray[np.float32] = np.stack(rows)
        return answer

    return run
