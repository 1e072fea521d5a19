"""Training on another device than the processor: every tensor of a stage is there, and what leaves it is here."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from test_registry import Place, cases, place_of, shortened

from suite.errors import UserError
from suite.loading import load_recipe
from suite.pipeline import matrix
from suite.pipeline.execute import execute
from suite.pipeline.phase import REPORT
from suite.pipeline.stage import closure
from suite.pipeline.store import RECORD, Store
from suite.training.device import asked

FRACTION = re.compile(r"(-?\d+\.\d+(?:e-?\d+)?)")
PLACES: dict[str, Place] = {}  # of the process that trains


def on_mini() -> list[Any]:
    """One recipe for each set of stages that a method or a modifier has; ablations change none of them."""
    found = [one for one in cases() if one.values[1] == "mini" and not one.marks]
    return [pytest.param(one.values[0].name, id=one.values[0].name) for one in found]


@pytest.fixture(scope="module")
def apart() -> Iterator[ProcessPoolExecutor]:
    """A process of its own: torch takes a further device only before it first learns, and keeps it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("recipe", on_mini())
def test_a_method_trains_on_another_device_to_the_same_end(
    recipe: str, apart: ProcessPoolExecutor, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    skipped = apart.submit(_on_both, recipe, tmp_path_factory.getbasetemp() / "device", tmp_path).result()
    if skipped:
        pytest.skip(skipped)


def _on_both(recipe: str, above: Path, other_store: Path) -> str | None:
    import elsewhere

    place = place_of("mini", PLACES, above)
    resolved = shortened(load_recipe(recipe), "mini")
    try:
        stage = matrix.model_stages(resolved, place.cell)[resolved.recipe.tracks["mini"].default]
    except UserError as error:
        return str(error)  # weights or words that no test can make
    answers = matrix._predictions(place.cell, stage)
    execute([answers], place.store)
    other = Store(other_store)
    execute([answers], other, device=elsewhere.NAME)
    for one in closure([answers]):
        made = other.get(one.key)
        assert made is not None and made.record["accelerator"] == elsewhere.NAME
        here, there = place.store.folder(one.key), made.folder
        files = {path.relative_to(here) for path in here.rglob("*") if path.is_file()}
        assert files == {path.relative_to(there) for path in there.rglob("*") if path.is_file()}
        for file in files:
            _same(here / file, there / file)
    return None


def _same(here: Path, there: Path) -> None:
    """The same bytes, but for the rounding of operations that torch splits on other devices: Adam makes whole steps of
    the smallest gradients, so a few weights may lie further apart."""
    match here.suffix:
        case ".safetensors" | ".npy" | ".npz":
            found, other = _arrays(here), _arrays(there)
            assert found.keys() == other.keys(), here
            for name, array in found.items():
                assert (other[name].shape, other[name].dtype) == (array.shape, array.dtype), f"{here}: {name}"
                apart = ~np.isclose(other[name], array, rtol=1e-3, atol=1e-4)
                assert apart.mean() < 0.02, f"{here}: {name}"
        case ".json" if here.name not in (RECORD, REPORT):  # those say how long it took
            parts = [FRACTION.split(path.read_text(encoding="utf-8")) for path in (here, there)]
            assert parts[1][::2] == parts[0][::2], here
            numbers = [[float(number) for number in one[1::2]] for one in parts]
            assert numbers[1] == pytest.approx(numbers[0], rel=1e-3), here


def _arrays(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        return dict(load_file(path))
    found = np.load(path)
    return {"": found} if path.suffix == ".npy" else dict(found)


def test_the_device_is_the_one_named_or_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTBOARD_DEVICE", raising=False)
    assert asked() == torch.device("cpu")
    monkeypatch.setenv("LIGHTBOARD_DEVICE", "meta")
    assert asked() == torch.device("meta")
    assert asked("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("name", "why"), [("gpu", "no such kind of device"), ("cuda:99", "NVIDIA GPUs")])
def test_a_device_that_is_not_there_is_said_in_one_line(name: str, why: str) -> None:
    with pytest.raises(UserError, match=why) as error:
        asked(name)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU and a CUDA build of torch")
def test_a_gpu_learns_what_the_processor_learns(
    apart: ProcessPoolExecutor, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    apart.submit(_on_a_gpu, tmp_path_factory.getbasetemp() / "device", tmp_path).result()


def _on_a_gpu(above: Path, other_store: Path) -> None:
    """Sums are in another order and dropout draws others, so the weights are near and not the same."""
    place = place_of("mini", PLACES, above)
    teacher = place.cell.reference
    assert teacher is not None
    execute([teacher], place.store)
    other = Store(other_store)
    execute([teacher], other, device="cuda")
    made = other.get(teacher.key)
    assert made is not None and made.record["accelerator"] == torch.cuda.get_device_name()
    here, there = (
        _arrays(folder / "model.safetensors") for folder in (place.store.folder(teacher.key), made.folder)
    )
    for name, weight in here.items():
        assert np.allclose(weight, there[name], atol=0.05), name
