"""Training on another device than the processor: every tensor of a stage is there, and what leaves it is here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import elsewhere
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as load_numpy
from safetensors.torch import load_file
from test_registry import Place, cases, place_of, places, shortened  # noqa: F401

from suite.errors import UserError
from suite.pipeline import matrix
from suite.pipeline.execute import execute
from suite.pipeline.matrix import model_stages
from suite.pipeline.phase import REPORT
from suite.pipeline.stage import closure
from suite.pipeline.store import RECORD, Store
from suite.recipe import Recipe
from suite.training.device import asked

FRACTION = re.compile(r"(-?\d+\.\d+(?:e-?\d+)?)")


def on_mini() -> list[Any]:
    """One recipe for each set of stages that a method or a modifier has; ablations change none of them."""
    return [one for one in cases() if one.values[1] == "mini" and not one.marks]


@pytest.mark.parametrize(("recipe", "name"), on_mini())
def test_a_method_trains_on_another_device_to_the_same_end(
    recipe: Recipe,
    name: str,
    places: dict[str, Place],  # noqa: F811
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = place_of(name, places, tmp_path_factory.getbasetemp() / "device")
    try:
        stage = model_stages(shortened(recipe, name), place.cell)[recipe.tracks[name].default]
    except UserError as error:
        pytest.skip(str(error))
    answers = matrix._predictions(place.cell, stage)
    execute([answers], place.store)
    other = Store(tmp_path / "store")
    execute([answers], other, device=elsewhere.NAME)
    for one in closure([answers]):
        assert other.get(one.key).record["accelerator"] == elsewhere.NAME
        here, there = place.store.folder(one.key), other.folder(one.key)
        files = {path.relative_to(here) for path in here.rglob("*") if path.is_file()}
        assert files == {path.relative_to(there) for path in there.rglob("*") if path.is_file()}
        for file in files:
            assert_same(here / file, there / file)


def assert_same(here: Path, there: Path) -> None:
    """The same bytes, but for the rounding of operations that torch splits on other devices: Adam makes whole steps of
    the smallest gradients, so a few weights may lie further apart."""
    match here.suffix:
        case ".safetensors" | ".npy" | ".npz":
            found = [_arrays(path) for path in (here, there)]
            assert found[0].keys() == found[1].keys()
            for name, array in found[0].items():
                other = found[1][name]
                assert (other.shape, other.dtype) == (array.shape, array.dtype)
                assert np.mean(~np.isclose(other, array, rtol=1e-3, atol=1e-4)) < 0.02, f"{here}: {name}"
        case ".json" if here.name not in (RECORD, REPORT):  # those say how long it took
            parts = [FRACTION.split(path.read_text(encoding="utf-8")) for path in (here, there)]
            assert parts[1][::2] == parts[0][::2], here
            assert [float(x) for x in parts[1][1::2]] == pytest.approx(
                [float(x) for x in parts[0][1::2]], rel=1e-3
            )


def _arrays(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        return dict(load_numpy(path))
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
    places: dict[str, Place],  # noqa: F811
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Sums are in another order and dropout draws others, so the weights are near and not the same."""
    place = place_of("mini", places, tmp_path_factory.getbasetemp() / "device")
    teacher = place.cell.reference
    assert teacher is not None
    execute([teacher], place.store)
    other = Store(tmp_path / "store")
    execute([teacher], other, device="cuda")
    here, there = (
        load_file(store.folder(teacher.key) / "model.safetensors") for store in (place.store, other)
    )
    assert other.get(teacher.key).record["accelerator"] == torch.cuda.get_device_name()
    for name, weight in here.items():
        assert torch.allclose(weight, there[name], atol=0.05), name
