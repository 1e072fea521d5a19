"""Lightboard: a benchmark suite and leaderboard for compressed BERT models.

The three calls most people need, imported only when they are used, since two of them need torch::

    import suite
    suite.run("theseus", track="mini", data="folder:/data/glue", tasks=["cola"])
    suite.measure("theseus", track="mini", profile="cpu-1-thread", runtime="onnx")
    suite.load_results("results")          # a pandas DataFrame, one row per entry and task
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {"run": "suite.pipeline.run", "load_results": "suite.frame"}

__all__ = ["__version__", "load_results", "measure", "run"]


def __getattr__(name: str) -> Any:
    if name == "measure":
        return import_module("suite.measure")  # the package, which can be called
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'suite' has no attribute {name!r}")
