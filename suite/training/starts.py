"""Where students start before any training: from what of their teacher fits them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from suite.models.bert import Bert
from suite.models.mobilebert import MobileBert
from suite.training.layers import layer_span


def principal_components(table: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """(narrow [rows, width], components [columns, width], mean [columns]): table ~ narrow @ components.T + mean."""
    mean = table.double().mean(0)
    centred = table.double() - mean
    components = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :width]
    # An eigenvector's sign is arbitrary: its largest entry is made positive.
    largest = components.gather(0, components.abs().argmax(0, keepdim=True))
    components = components * largest.sign()
    return (centred @ components).float(), components.float(), mean.float()


@torch.no_grad()
def bert_of_bert(teacher: Bert, student: Bert, projection: nn.Linear) -> None:
    """What of the teacher fits: its embeddings on the principal directions of its word table (as they are where
    the widths are equal), with those directions as projection, and layer g(m) as layer m where the shapes agree."""
    source, target = teacher.bert.embeddings, student.bert.embeddings
    wide, narrow = source.word_embeddings.embedding_dim, target.word_embeddings.embedding_dim
    basis = torch.eye(wide, narrow)
    if narrow < wide:
        table = source.word_embeddings.weight.detach().double()
        basis = torch.linalg.eigh(table.T @ table)[1].flip(1)[:, :narrow].float()
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        getattr(target, name).weight.copy_(getattr(source, name).weight @ basis)
    projection.weight.copy_(basis)
    projection.bias.zero_()
    if narrow != wide:
        return
    target.LayerNorm.load_state_dict(source.LayerNorm.state_dict())
    student.bert.pooler.load_state_dict(teacher.bert.pooler.state_dict())
    if student.bert.config.intermediate_size == teacher.bert.config.intermediate_size:
        span = layer_span(teacher, student)
        for m, layer in enumerate(student.layers):
            layer.load_state_dict(teacher.layers[span * (m + 1) - 1].state_dict())


@torch.no_grad()
def embeddings_of_bert(student: MobileBert, teacher: Bert) -> None:
    """Reduce the teacher's word table to the student's width; copy positions and segments; fit the norm."""
    ours, theirs = student.mobilebert.embeddings, teacher.bert.embeddings
    width = ours.word_embeddings.embedding_dim
    table, components, mean = principal_components(theirs.word_embeddings.weight, width)
    ours.word_embeddings.weight.copy_(table)
    ours.word_embeddings.weight[0] = 0.0  # padding
    ours.embedding_transformation.weight.zero_()
    ours.embedding_transformation.weight[:, width : 2 * width] = components
    ours.embedding_transformation.bias.copy_(mean)
    ours.position_embeddings.load_state_dict(theirs.position_embeddings.state_dict())
    ours.token_type_embeddings.load_state_dict(theirs.token_type_embeddings.state_dict())
    _norm(student, teacher, theirs.LayerNorm)


@torch.no_grad()
def embeddings_of_mobilebert(student: MobileBert, teacher: MobileBert) -> None:
    """Copy the teacher's embeddings, which are as wide as the student's; fit the norm where it is another kind."""
    ours, theirs = student.mobilebert.embeddings, teacher.mobilebert.embeddings
    for name in (
        "word_embeddings",
        "embedding_transformation",
        "position_embeddings",
        "token_type_embeddings",
    ):
        ours.get_submodule(name).load_state_dict(theirs.get_submodule(name).state_dict())
    _norm(student, teacher, theirs.LayerNorm)


def _norm(student: MobileBert, teacher: Bert | MobileBert, theirs: nn.Module) -> None:
    """The teacher's embedding norm; for another kind, its least-squares fit per feature over the vocabulary."""
    ours = student.mobilebert.embeddings.LayerNorm
    if type(ours) is type(theirs):
        ours.load_state_dict(theirs.state_dict())
        return
    words = student.mobilebert.embeddings.word_embeddings.num_embeddings
    places = min(32, student.mobilebert.embeddings.position_embeddings.num_embeddings)
    ids = torch.arange(words - words % places).view(-1, places)
    inputs = (ids, torch.ones_like(ids), torch.zeros_like(ids))
    wanted = teacher.embed(*inputs)[0].flatten(0, 1)
    found = student.embed(*inputs)[0].flatten(0, 1)  # a fresh norm without statistics changes nothing
    moved, goal = found - found.mean(0), wanted - wanted.mean(0)
    slope = (moved * goal).sum(0) / moved.square().sum(0)
    ours.load_state_dict({"weight": slope, "bias": wanted.mean(0) - slope * found.mean(0)})
