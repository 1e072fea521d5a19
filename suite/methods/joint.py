"""Joint learning of nested sub-models: DynaBERT's sub-models (Hou 2020) under the sandwich rule of universally
slimmable networks (Yu & Huang 2019). Some course notes call the idea "TinyBERT-L"; no paper has that name.

One set of weights, the fine-tuned reference's, is trained so that parts of it are models too. A part is a width (the
first heads and feed-forward neurons of every layer; hidden width, embeddings, pooler and norms are whole) and a depth
(layers floor(j / m) of a depth factor m). Before training, heads and neurons are sorted by importance, so that the
first ones are those that matter. Per step the whole model learns from the labels and from the frozen reference's
logits; then the smallest part and parts drawn at random learn, without labels, from the logits that the whole model
has just given, detached; one update for the sum. Afterwards every part is sliced out as a model of its own.

Where the sources differ: DynaBERT trains width first and depth second, against frozen teachers, every part each step;
here both at once, in place, by the sandwich rule, which is what makes it one training. Its hidden-state loss is an
option (``hidden``), over real tokens: state j of a part answers to the whole model's input of the layer it kept, the
last state to the last. Soft cross-entropy is per row, as KL (the same gradients). Avoided from its code: importance
on the dev set, and regression without a loss on the answer (here the squared error to the teacher's score). The epoch
kept is the one with the best mean over all parts on the selection split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from suite import models
from suite.documents import DECLARED, Number, Strict
from suite.errors import UserError
from suite.models.bert import Bert
from suite.models.slim import Kept, Nested, Net, cut, resized, sizes
from suite.pipeline.cell import Cell
from suite.pipeline.importance import importance_stage, order, read_importance
from suite.pipeline.phase import Phase
from suite.pipeline.stage import Context, Stage
from suite.pipeline.supervised import epochs, one_update, selection, task_feeds, training
from suite.protocol import Track
from suite.training.feeds import Batch
from suite.training.loop import Loss, Update
from suite.training.losses import hidden_loss, soft_loss, task_loss
from suite.training.schedules import Progress
from suite.training.settings import Share, Training

Weight = Annotated[Number, Field(ge=0)]


class Parameters(Strict):
    """``widths`` are shares of heads and neurons, ``depths`` numbers of layers; both fall from the whole model's."""

    widths: Annotated[tuple[Annotated[Share, Field(gt=0)], ...], DECLARED, Field(min_length=1)]
    depths: Annotated[tuple[Annotated[int, Field(ge=1, le=48)], ...], DECLARED, Field(min_length=1)]
    sampled: Annotated[Annotated[int, Field(ge=2)] | Literal["all"], DECLARED] = 4  # models a step
    in_place: Annotated[bool, DECLARED] = True  # false: parts learn from the labels instead
    teacher: Annotated[Weight, DECLARED] = 1.0  # of the reference's logits in the whole model's loss
    hidden: Annotated[Weight, DECLARED] = 0.0  # of the hidden states in the parts' losses
    importance_examples: Annotated[Annotated[int, Field(ge=1)], DECLARED] = 1024
    training: Annotated[Training, DECLARED]

    @model_validator(mode="after")
    def _falls_from_the_whole(self) -> Self:
        if self.widths[0] != 1 or list(self.widths) != sorted(set(self.widths), reverse=True):
            raise ValueError(
                f"widths: found {list(self.widths)}, expected falling shares, the first of them 1"
            )
        if list(self.depths) != sorted(set(self.depths), reverse=True):
            raise ValueError(f"depths: found {list(self.depths)}, expected falling numbers of layers")
        return self


def nets(parameters: Parameters, config: models.Config) -> dict[str, Net]:
    """Variant -> part of the model of ``config``, the whole model first and the smallest part last."""
    whole, (_, heads, neurons) = config["layers"], sizes(config)
    if parameters.depths[0] != whole:
        raise UserError(f"joint: depths start at {parameters.depths[0]}; the reference has {whole} layers")
    found = {}
    for depth, width in product(parameters.depths, parameters.widths):
        name = f"width-{round(100 * width)}-depth-{round(100 * depth / whole)}"
        layers = tuple(j * whole // depth for j in range(depth))  # floor(j / m) with m = depth / whole
        found[name] = Net(layers, max(1, round(heads[0] * width)), max(1, round(neurons[0] * width)))
    return found


def _whole(parameters: Parameters, track: Track, outputs: int) -> models.Config:
    return {**track.teacher.config, "outputs": outputs, "dropout": parameters.training.dropout}


def _config(whole: models.Config, net: Net) -> models.Config:
    count = len(net.layers)
    return resized(whole, [net.heads] * count, [net.neurons] * count)


def students(parameters: Parameters, track: Track, outputs: int) -> dict[str, models.Config]:
    whole = _whole(parameters, track, outputs)
    return {name: _config(whole, net) for name, net in nets(parameters, whole).items()}


def plan(parameters: Parameters, cell: Cell) -> Mapping[str, Stage]:
    if cell.reference is None:
        raise ValueError("joint learning starts from the fine-tuned reference")
    whole = _whole(parameters, cell.track, cell.task.outputs)
    parts = nets(parameters, whole)
    importance = importance_stage(cell, cell.reference, whole, parameters.importance_examples)
    rewired = cell.stage(
        "rewire", 1, rewire, inputs={"model": cell.reference, "importance": importance}, params={}
    )
    logits = {"logits": cell.teacher_logits} if parameters.teacher else {}
    trained = PHASE.stage(
        params={
            "task": cell.task.name,
            "nets": [net._asdict() for net in parts.values()],
            **parameters.model_dump(
                mode="json", include={"sampled", "in_place", "teacher", "hidden", "training"}
            ),
        },
        inputs={"data": cell.encoded, "model": rewired, **logits},
        seed=cell.seed,
        threads=cell.threads,
        tflop=3 * parameters.training.epochs * _mean_forward(parameters, cell, whole, list(parts.values())),
        tokens=parameters.training.epochs * cell.train_tokens,
    )
    return {
        name: cell.stage("slice", 1, slice_out, params={"net": net._asdict()}, inputs={"model": trained})
        for name, net in parts.items()
    }


def _mean_forward(parameters: Parameters, cell: Cell, whole: models.Config, parts: Sequence[Net]) -> float:
    """TFLOP of an epoch's forward passes: the first, the last, and the mean of the others as often as drawn."""
    cost = [cell.forward(_config(whole, net)) for net in parts]
    if parameters.sampled == "all" or parameters.sampled >= len(parts):
        return sum(cost)
    return cost[0] + cost[-1] + (parameters.sampled - 2) * sum(cost[1:-1]) / (len(parts) - 2)


# --- stages -------------------------------------------------------------------------------------------------


def rewire(context: Context) -> None:
    """The same function with heads and neurons of every layer sorted by importance."""
    folder, found = context.inputs["model"], read_importance(context.inputs["importance"])
    model = models.load(folder)
    assert isinstance(model, Bert)
    sorted_ = [
        Kept(place, order(heads), order(neurons))
        for place, (heads, neurons) in enumerate(zip(*found, strict=True))
    ]
    models.save(*cut(model, models.read_config(folder), sorted_), context.folder)


def slice_out(context: Context) -> None:
    """One part as a model of its own."""
    folder, net = context.inputs["model"], _net(context.params["net"])
    model = models.load(folder)
    assert isinstance(model, Bert)
    models.save(*cut(model, models.read_config(folder), net.kept()), context.folder)


def draw(parts: Sequence[Net], sampled: int | Literal["all"]) -> list[Net]:
    """The whole model, the smallest part, and ``sampled`` - 2 others by torch's generator; or all there are."""
    if sampled == "all" or sampled >= len(parts):
        return list(parts)
    others = torch.randperm(len(parts) - 2, device="cpu")[: sampled - 2] + 1
    return [parts[0], parts[-1], *(parts[i] for i in others.tolist())]


def build(context: Context) -> Nested:
    model = models.load(context.inputs["model"], dropout=training(context).dropout)
    assert isinstance(model, Bert)
    return Nested(model, _parts(context)[0])


def _net(values: Mapping[str, Any]) -> Net:
    return Net(tuple(values["layers"]), values["heads"], values["neurons"])


def _parts(context: Context) -> list[Net]:
    return [_net(values) for values in context.params["nets"]]


def updates(context: Context, model: nn.Module) -> list[Update]:
    parts, params = _parts(context), context.params

    def losses(model: nn.Module, batch: Batch, progress: Progress) -> Iterator[Loss]:
        assert isinstance(model, Nested)
        chosen = draw(parts, params["sampled"])
        yield from nested_losses(
            model, batch, chosen, params["in_place"], params["teacher"], params["hidden"]
        )

    return one_update(training(context), model, losses)


def nested_losses(
    nested: Nested, batch: Batch, chosen: Sequence[Net], in_place: bool, teacher: float, hidden: float
) -> Iterator[Loss]:
    """The loss of each chosen model, the whole one first: CE + teacher x KL, then KL (or CE) + hidden x MSE."""
    nested.net = chosen[0]
    states = nested.states(*batch.inputs)
    logits = nested.model.head(states[-1])
    value = task_loss(logits, batch.labels)
    if teacher:
        value = value + teacher * soft_loss(logits, batch.extra["teacher"])
    target, seen = logits.detach(), [state.detach() for state in states]
    yield Loss(value, {"loss": value.detach()})
    for net in chosen[1:]:
        nested.net = net
        states = nested.states(*batch.inputs)
        logits = nested.model.head(states[-1])
        value = soft_loss(logits, target) if in_place else task_loss(logits, batch.labels)
        if hidden:
            matched = [*net.layers, len(seen) - 1]  # what enters the layers kept, and what leaves the last
            pairs = zip(states, matched, strict=True)
            value = value + hidden * sum(hidden_loss(state, seen[j], batch.mask) for state, j in pairs)
        yield Loss(value, {"parts": value.detach()})


def select(context: Context) -> Callable[[nn.Module], float] | None:
    """Mean selection score of all parts."""
    score, parts = selection(context), _parts(context)
    if score is None:
        return None

    def mean(model: nn.Module) -> float:
        assert isinstance(model, Nested)
        found = []
        for model.net in parts:
            found.append(score(model))
        return sum(found) / len(found)

    return mean


def export(context: Context, model: nn.Module) -> None:
    assert isinstance(model, Nested)
    models.save(model.model, models.read_config(context.inputs["model"]), context.folder)


PHASE = Phase(
    name="joint", version=1, build=build, updates=updates, feeds=task_feeds, length=epochs, export=export,
    select=select,
)  # fmt: skip
