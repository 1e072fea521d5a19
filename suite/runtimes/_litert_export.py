"""``python -m suite.runtimes._litert_export MODEL_FOLDER FILE LENGTH...``, in the exporter's own environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def main(model_folder: str, file: str, *lengths: str) -> None:
    import litert_torch
    import torch

    from suite import models

    model = models.load(Path(model_folder))
    signatures: Any = litert_torch
    for length in map(int, lengths):
        ids = torch.ones((1, length), dtype=torch.int64)
        signatures = signatures.signature(f"len{length}", model, (ids, ids.clone(), torch.zeros_like(ids)))
    signatures.convert().export(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
