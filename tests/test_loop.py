"""The training loop in six forms on toy networks: each killed anywhere and resumed ends in the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.errors import UserError
from suite.training import loop
from suite.training.loop import Group, Loss, Outcome, Update, train
from suite.training.schedules import Progress, schedule

STEPS, EPOCH = 24, 6


class Toy(nn.Module):
    """Three blocks with dropout, a head after each, and mixing weights: enough for every form of update."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Dropout(0.2)) for _ in range(3)
        )
        self.old = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.heads = nn.ModuleList(nn.Linear(8, 2) for _ in range(3))
        self.mixing = nn.Parameter(torch.zeros(3))

    def states(self, x: Tensor) -> list[Tensor]:
        found = [x]
        for block in self.blocks:
            found.append(block(found[-1]))
        return found

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.heads[-1](self.states(x)[-1])
        return out


class ToyFeed:
    """Batches [16, 8] with labels, a function of (seed, step)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __len__(self) -> int:
        return EPOCH

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.seed * 1000 + step % EPOCH)
        x = torch.randn(16, 8, generator=generator)
        return x, (x[:, 0] * x[:, 1] > 0).long()


cross_entropy = nn.functional.cross_entropy


def plain(model: Any, batch: Any, progress: Progress) -> Iterator[Loss]:
    value = cross_entropy(model(batch[0]), batch[1])
    yield Loss(value, {"loss": value.detach()})


def theseus(model: Any, batch: Any, progress: Progress) -> Iterator[Loss]:
    x, rate = batch[0], progress.step / progress.steps  # at first no new block runs at all
    for new, old in zip(model.blocks, model.old, strict=True):
        x = new(x) if torch.rand(()) < rate else old(x)
    value = cross_entropy(model.heads[-1](x), batch[1])
    yield Loss(value, {"loss": value.detach(), "rate": rate})


def early_exit(model: Any, batch: Any, progress: Progress) -> Iterator[Loss]:
    states = model.states(batch[0])
    target = model.heads[-1](states[-1]).detach().log_softmax(-1)
    parts = [
        nn.functional.kl_div(head(state).log_softmax(-1), target, log_target=True, reduction="batchmean")
        for head, state in zip(model.heads[:-1], states[1:-1], strict=True)
    ]
    value = torch.stack(parts).sum()
    yield Loss(value, {"loss": value.detach()})


def sandwich(model: Any, batch: Any, progress: Progress) -> Iterator[Loss]:
    largest = model(batch[0])
    target = largest.detach().softmax(-1)
    value = cross_entropy(largest, batch[1])
    yield Loss(value, {"largest": value.detach()})
    for depth in (1, 2):
        smaller = cross_entropy(model.heads[depth - 1](model.states(batch[0])[depth]), target)
        yield Loss(smaller, {f"depth-{depth}": smaller.detach()})


def mixed(model: Any, batch: Any, progress: Progress) -> Iterator[Loss]:
    weights = torch.nn.functional.gumbel_softmax(model.mixing, hard=True)
    states = model.states(batch[0])[1:]
    logits = sum(w * head(s) for w, head, s in zip(weights, model.heads, states, strict=True))
    value = cross_entropy(logits, batch[1])
    yield Loss(value, {"loss": value.detach()})


def block_by_block(place: int) -> Callable[[Progress], float]:
    return lambda p: (0.0, 3.0, 0.3)[1 + (3 * p.step // p.steps > place) - (3 * p.step // p.steps < place)]


def matching(model: Any, batch: Any, progress: Progress) -> Iterator[Loss]:
    place = 3 * progress.step // progress.steps
    target = model.old[place](model.states(batch[0])[place]).detach()
    value = nn.functional.mse_loss(model.states(batch[0])[place + 1], target)
    yield Loss(value, {"loss": value.detach()})


def all_of(model: Toy, losses: Any, **more: Any) -> list[Update]:
    return [Update([Group(list(model.parameters()), 0.01, schedule("linear", 0.1), 0.01)], losses, **more)]


FORMS: dict[str, Callable[[Toy], list[Update]]] = {
    "plain": lambda m: all_of(m, plain),
    "theseus": lambda m: [Update([Group(list(m.blocks.parameters()), 0.01)], theseus)],
    "early-exit": lambda m: [Update([Group(list(m.heads[:-1].parameters()), 0.01)], early_exit)],
    "sandwich": lambda m: all_of(m, sandwich),
    "search": lambda m: [
        Update([Group([*m.blocks.parameters(), *m.heads.parameters()], 0.01)], mixed),
        Update([Group([m.mixing], 0.05)], mixed, data="search"),
    ],
    "progressive": lambda m: [
        Update(
            [Group(list(b.parameters()), 0.01, block_by_block(i)) for i, b in enumerate(m.blocks)], matching
        )
    ],
}


def fresh() -> Toy:
    torch.manual_seed(0)
    return Toy()


def feeds() -> Mapping[str, ToyFeed]:
    return {"train": ToyFeed(1), "search": ToyFeed(2)}


def digest(model: nn.Module) -> str:
    found = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def trained(form: str, **more: Any) -> tuple[Toy, Outcome]:
    model = fresh()
    outcome = train(model, FORMS[form](model), feeds(), steps=STEPS, seed=11, phase=form, **more)
    return model, outcome


class Killed(BaseException):
    """Stands in for a kill: nothing in the loop may catch it."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kill_at", [1, 7, 12, 23])
def test_a_killed_phase_resumes_to_the_same_bytes(form: str, kill_at: int, tmp_path: Path) -> None:
    whole, smooth = trained(
        form, epoch=EPOCH, select=lambda m: -float(m.mixing.sum()) + float(m.heads[0].bias[0])
    )

    def kill(done: int, steps: int) -> None:
        if done == kill_at:
            raise Killed

    more: dict[str, Any] = {
        "epoch": EPOCH,
        "select": lambda m: -float(m.mixing.sum()) + float(m.heads[0].bias[0]),
        "checkpoint": tmp_path / "c.pt",
        "every_seconds": -1.0,  # a checkpoint after every step
    }
    with pytest.raises(Killed):
        trained(form, progress=kill, **more)
    resumed, outcome = trained(form, **more)
    assert digest(resumed) == digest(whole)
    assert outcome.logs == smooth.logs
    assert outcome.best == smooth.best


@pytest.mark.parametrize("form", FORMS)
def test_every_form_learns_only_its_own_parameters(form: str) -> None:
    model, _ = trained(form)
    before = fresh()
    own = {id(p) for update in FORMS[form](model) for p in update.params}
    for (name, after), start in zip(model.named_parameters(), before.parameters(), strict=True):
        if id(after) not in own:
            assert torch.equal(after, start), name
    assert digest(model) != digest(before)


def test_another_seed_gives_other_weights() -> None:
    first, second = fresh(), fresh()
    for model, seed in ((first, 11), (second, 23)):
        train(model, FORMS["plain"](model), feeds(), steps=4, seed=seed, phase="p")
    assert digest(first) != digest(second)


def test_the_best_epoch_is_put_back() -> None:
    scores = iter([1.0, 5.0, 5.0, 2.0])
    seen: list[str] = []

    def select(model: nn.Module) -> float:
        seen.append(digest(model))
        return next(scores)

    model, outcome = trained("plain", epoch=EPOCH, select=select)
    assert outcome.best == (2, 5.0)
    assert digest(model) == seen[1]


def test_a_loss_that_is_not_finite_is_one_sentence() -> None:
    def bad(model: Any, batch: Any, progress: Progress) -> Iterator[Loss]:
        value = model(batch[0]).sum() * float("nan")
        yield Loss(value, {})

    model = fresh()
    with pytest.raises(UserError, match="not finite") as caught:
        train(model, all_of(model, bad), feeds(), steps=2, seed=1, phase="bad")
    assert caught.value.code == 1


def test_losses_are_backpropagated_one_after_another() -> None:
    alive: list[int] = []

    def watched(model: Any, batch: Any, progress: Progress) -> Iterator[Loss]:
        for _ in range(3):
            value = cross_entropy(model(batch[0]), batch[1])
            yield Loss(value, {})
            # The graph is gone once the loop has taken the loss: a second backward must fail.
            with pytest.raises(RuntimeError, match="second time"):
                value.backward()
            alive.append(1)

    model = fresh()
    train(model, all_of(model, watched), feeds(), steps=2, seed=1, phase="w")
    assert len(alive) == 6


@pytest.mark.parametrize(
    ("name", "warmup", "step", "expected"),
    [
        ("linear", 0.0, 0, 1.0),
        ("linear", 0.0, 50, 0.5),
        ("linear", 0.1, 0, 1 / 11),
        ("linear", 0.1, 10, 1.0),
        ("linear", 0.1, 55, 0.5),
        ("constant", 0.0, 99, 1.0),
        ("cosine", 0.0, 50, 0.5),
    ],
)
def test_schedules(name: Any, warmup: float, step: int, expected: float) -> None:
    assert schedule(name, warmup)(Progress(step, 100)) == pytest.approx(expected)


def test_the_gradient_is_clipped_over_the_updates_own_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    inner = torch.optim.AdamW.step

    def step(self: Any, *args: Any) -> Any:
        grads = [p.grad for g in self.param_groups for p in g["params"] if p.grad is not None]
        seen.append(float(torch.sqrt(sum((g**2).sum() for g in grads))))
        return inner(self, *args)

    monkeypatch.setattr(loop.torch.optim.AdamW, "step", step)
    model = fresh()
    train(model, all_of(model, plain, clip=0.01), feeds(), steps=3, seed=1, phase="c")
    assert max(seen) <= 0.01 * 1.001
