"""Probe classifiers: what each layer of a fine-tuned teacher, left as it is, knows of the labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from suite import models
from suite.data.encode import Encoded
from suite.documents import DECLARED, Strict
from suite.pipeline.stage import Context
from suite.training.device import tensor
from suite.training.feeds import make_batch
from suite.training.loop import fold
from suite.training.losses import task_loss
from suite.training.settings import Positive


class Probes(Strict):
    epochs: Annotated[Annotated[int, Field(ge=1, le=1000)], DECLARED] = 5
    lr: Annotated[Positive, DECLARED] = 5e-3
    batch: Annotated[Annotated[int, Field(ge=1, le=8192)], DECLARED] = 128


def write_probes(context: Context) -> None:
    """``probes.npy`` [examples, layers + 1, outputs] float32, of the train split."""
    data = Encoded.load(context.inputs["data"] / "train")
    teacher = models.load(context.inputs["model"])
    features = probe_features(teacher, data, lambda done: context.progress(done, 2 * len(data)))
    outputs = models.read_config(context.inputs["model"])["outputs"]
    settings = Probes.model_validate(context.params)
    torch.manual_seed(fold(context.seed, "probes"))
    weight = torch.zeros(features.shape[1], features.shape[2], outputs, requires_grad=True)
    bias = torch.zeros(features.shape[1], outputs)
    if outputs == 1:
        bias += float(data.labels.mean())
    optimiser = torch.optim.AdamW([weight, bias.requires_grad_()], lr=settings.lr)
    labels = tensor(data.labels)

    def logits(index: Tensor) -> Tensor:
        x = tensor(features[index.cpu().numpy()]).float()
        return torch.einsum("blh,lhc->blc", x, weight) + bias

    for _ in range(settings.epochs):
        for index in torch.split(torch.randperm(len(data)), settings.batch):
            found = logits(index)
            loss = torch.stack([task_loss(found[:, i], labels[index]) for i in range(found.shape[1])]).sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.no_grad():
        parts = [
            logits(index).cpu().numpy() for index in torch.split(torch.arange(len(data)), settings.batch)
        ]
    np.save(context.folder / "probes.npy", np.concatenate(parts))


def probe_features(teacher: nn.Module, data: Encoded, told: Callable[[int], None]) -> np.ndarray:
    """[examples, layers + 1, hidden] float16: mean of the embeddings over real tokens, then each layer's token 0."""
    states: Any = teacher.states
    order, found = np.argsort(data.lengths, kind="stable"), None
    with torch.inference_mode():
        for start in range(0, len(order), 64):
            index = order[start : start + 64]
            batch = make_batch(data, index)
            embedded, *layers = states(*batch.inputs)
            mask = batch.mask[:, :, None].to(embedded.dtype)
            mean = (embedded * mask).sum(1) / mask.sum(1)
            part = torch.stack([mean, *(layer[:, 0] for layer in layers)], 1).half().cpu().numpy()
            if found is None:
                found = np.empty((len(data), *part.shape[1:]), np.float16)
            found[index] = part
            told(start + len(index))
    assert found is not None
    return found
