"""Recipes, profiles, the protocol and the published schemas: what people write, and what it is checked by."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suite import canonical, loading, paths, protocol, schemas, yaml_file
from suite.documents import Manifest
from suite.errors import UserError
from suite.profile import Profile
from suite.recipe import Recipe

METHOD = """
from __future__ import annotations
from typing import Annotated
from pydantic import Field
from suite.documents import DECLARED, Strict

class Stage(Strict):
    layers: Annotated[int, Field(ge=1), DECLARED]
    rate: Annotated[float, DECLARED] = 1e-4

class Parameters(Strict):
    epochs: Annotated[int, Field(ge=1), DECLARED] = 3
    learning_rate: Annotated[float, Field(gt=0), DECLARED] = 1e-4
    stages: Annotated[tuple[Stage, ...], DECLARED] = ()

students = plan = None
"""

RECIPE = """\
schema: lightboard/recipe/1
name: small
method: tiny-copy
about:
  title: Small
  idea: A test.
  colour: '#1f77b4'
  shape: circle
  references:
  - title: A paper
    authors: Someone
    year: 2020
tracks:
  mini:
    parameters:
      epochs: 2
      learning_rate: 3e-5
  demo:
    parameters: {}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the search path with one method and its recipe, as a method author would add them."""
    for kind in ("methods", "recipes", "hardware_profiles", "runtimes"):
        (tmp_path / kind).mkdir()
    (tmp_path / "methods" / "tiny_copy.py").write_text(METHOD)
    (tmp_path / "runtimes" / "abacus.py").write_text("PRECISION = 'fp32'\n")
    (tmp_path / "recipes" / "small.yaml").write_text(RECIPE)
    monkeypatch.setenv("LIGHTBOARD_PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaints(call: Callable[[], object]) -> list[str]:
    with pytest.raises(UserError) as caught:
        call()
    assert caught.value.code == 2
    return str(caught.value).splitlines()


def wrong(folder: Path, old: str, new: str, name: str = "small") -> list[str]:
    """What is said of the good recipe with one passage replaced."""
    assert RECIPE.count(old) == 1
    (folder / "recipes" / f"{name}.yaml").write_text(RECIPE.replace(old, new))
    return complaints(lambda: loading.check_recipe(name))


# --- good files ---------------------------------------------------------------------------------------------


def test_a_method_and_a_recipe_are_found_by_existing(folder: Path) -> None:
    assert "tiny_copy" in paths.names("methods")
    assert "small" in [recipe.name for recipe in loading.recipes() if recipe.name == "small"]
    resolved = loading.resolve("small", "mini")
    assert resolved.parameters == {"epochs": 2, "learning_rate": 3e-5, "stages": []}
    assert loading.resolve(loading.load_recipe("small"), "demo").parameters["epochs"] == 3


def test_the_hash_is_of_what_is_trained_and_of_nothing_else(folder: Path) -> None:
    before = loading.resolve("small", "mini").hash
    text = RECIPE.replace("idea: A test.", "idea: Other words.").replace(
        "epochs: 2", "epochs: 2 # said again"
    )
    (folder / "recipes" / "small.yaml").write_text(text)
    assert loading.resolve("small", "mini").hash == before
    (folder / "recipes" / "small.yaml").write_text(RECIPE.replace("epochs: 2", "epochs: 4"))
    assert loading.resolve("small", "mini").hash != before


def test_defaults_written_out_do_not_change_the_hash(folder: Path) -> None:
    before = loading.resolve("small", "demo").hash
    text = RECIPE.replace("parameters: {}", "parameters: {epochs: 3, learning_rate: 1.0e-4, stages: []}")
    (folder / "recipes" / "small.yaml").write_text(text)
    assert loading.resolve("small", "demo").hash == before


def test_our_recipes_and_profiles_are_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTBOARD_PATH", raising=False)
    for path in paths.files("recipes").values():
        loading.check_recipe(path)
    found = paths.files("hardware_profiles")
    assert {"cpu-1-thread", "cpu-all-cores"} <= set(found)
    for kind, model in (("recipes", "recipe"), ("hardware_profiles", "profile")):
        validator = jsonschema.Draft202012Validator(schemas.schema(model))
        for path in paths.files(kind).values():
            validator.validate(loading.inherited(yaml_file.read(path)).data)
    for path in found.values():
        profile = yaml_file.load(path, Profile)
        assert profile.name == path.stem
        assert profile.pairs in protocol.MEASURING["estimator"]["pairs"].values()
        pairing = protocol.MEASURING["pairing"]
        assert (profile.block_seconds, profile.block_queries, profile.warmup_queries) == (
            pairing["block_seconds"],
            pairing["block_queries"],
            pairing["warmup_queries"],
        )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("3e-5", 3e-5),
        ("1.5", 1.5),
        (".5", 0.5),
        ("+7", 7),
        ("-0", 0),
        ("010", 10),  # YAML 1.1 would read eight
        ("no", "no"),  # and here false
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("", None),
        ("12:30:00", "12:30:00"),
        ("2026-01-31", "2026-01-31"),
        (".nan", ".nan"),
        ("'3'", "3"),
        ("1_000", "1_000"),
        ("<<", "<<"),
    ],
)
def test_plain_values_read_as_yaml_1_2_says(tmp_path: Path, written: str, meant: object) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(f"value: {written}\n")
    read = yaml_file.read(file).data["value"]
    assert read == meant and type(read) is type(meant)


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(data=st.dictionaries(st.text(max_size=8), plain_values, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_is_read_as_json_reads_it(tmp_path: Path, data: dict[str, Any]) -> None:
    """JSON is YAML 1.2; every value comes back, and every place of the file has a line."""
    file = tmp_path / "data.yaml"
    file.write_text(json.dumps(data, indent=1), encoding="utf-8")
    source = yaml_file.read(file)
    assert not source.mistakes
    assert source.data == data
    assert len(source.lines) == 1 + count_places(data)


def count_places(data: Any) -> int:
    if isinstance(data, dict):
        return sum(1 + count_places(value) for value in data.values())
    return sum(1 + count_places(value) for value in data) if isinstance(data, list) else 0


# --- one line for each mistake ------------------------------------------------------------------------------


def test_unknown_field(folder: Path) -> None:
    assert wrong(folder, "  shape: circle", "  shape: circle\n  shapes: square")[0].startswith(
        "recipes/small.yaml:9: about.shapes: found an unknown field, expected one of colour, idea, "
    )


def test_a_misspelled_field_is_one_mistake_with_the_nearest_name(folder: Path) -> None:
    assert wrong(folder, "method: tiny-copy", "metod: tiny-copy") == [
        "recipes/small.yaml:3: metod: found an unknown field, expected one of ablation, about, division, "
        "extends, method, modifiers, name, schema, tracks; did you mean method?"
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("year: 2020", "year: '2020'", "12: about.references[0].year: found '2020', expected a whole number"),
        ("year: 2020", "year: 1900", "12: about.references[0].year: found 1900, expected a whole number"),
        ("year: 2020", "year: true", "12: about.references[0].year: found true, expected a whole number"),
        ("title: Small", "title: 3", "5: about.title: found 3, expected text of at most 2000 characters"),
        ("title: Small", "title: [Small]", "5: about.title: found a list of 1, expected text"),
        ("'#1f77b4'", "blue", "7: about.colour: found 'blue', expected a colour such as '#1f77b4'"),
        ("'#1f77b4'", "#1f77b4", "7: about.colour: found nothing, expected a colour"),  # unquoted: a comment
        ("shape: circle", "shape: circel", "8: about.shape: found 'circel', expected one of 'circle', "),
        ("recipe/1", "recipe/2", "1: schema: found 'lightboard/recipe/2', expected 'lightboard/recipe/1'"),
        ("name: small", "name: large", "2: name: found 'large', expected the file's name, 'small'"),
        ("  title: Small\n", "", "4: about.title: found nothing, expected text"),
        ("name: small\n", "", "1: name: found nothing, expected a name of a-z"),
        ("    authors: Someone\n", "", "10: about.references[0].authors: found nothing, expected text"),
        ("tiny-copy", "tiny-cpoy", "3: method: found 'tiny-cpoy', expected one of "),
        ("  mini:", "  mimi:", "14: tracks.mimi: found an unknown track, expected one of demo, mini, base"),
        ("  mini:", "  Mini!:", "14: tracks.Mini!: found the name 'Mini!', expected a name of a-z"),
        ("  demo:\n", "  demo: 3\n  base:\n", "18: tracks.demo: found 3, expected a mapping with default, "),
        ("epochs: 2", "epochs: 2.5", "16: tracks.mini.parameters.epochs: found 2.5, expected a whole"),
        ("epochs: 2", "epochs: 0", "16: tracks.mini.parameters.epochs: found 0, expected a whole number"),
        ("epochs: 2", "epoch: 2", "16: tracks.mini.parameters.epoch: found an unknown field, expected one"),
        ("3e-5", "fast", "17: tracks.mini.parameters.learning_rate: found 'fast', expected a number above 0"),
        ("3e-5", "1e999", "17: tracks.mini.parameters.learning_rate: found '1e999', expected a number of a"),
        ("parameters: {}", "parameters: {stages: [{layers: 1}, {rate: 1}]}",
         "19: tracks.demo.parameters.stages[1].layers: found nothing, expected a whole number of at least 1"),
        ("  mini:", "  mini:\n    defualt: a", "15: tracks.mini.defualt: found an unknown field, expected"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line(folder: Path, old: str, new: str, said: str) -> None:
    lines = wrong(folder, old, new)
    assert len(lines) == 1
    assert lines[0].startswith(f"recipes/small.yaml:{said}")


@pytest.mark.parametrize(
    ("old", "new", "meant"),
    [
        ("shape: circle", "shape: circel", "circle"),
        ("tiny-copy", "tiny_cpoy", "tiny-copy"),
        ("  mini:", "  mimi:", "mini"),
        ("epochs: 2", "epoch: 2", "epochs"),
        ("learning_rate", "learning-rate", "learning_rate"),
        ("  mini:", "  mini:\n    defualt: a", "default"),
    ],
)
def test_the_nearest_right_name_is_offered(folder: Path, old: str, new: str, meant: str) -> None:
    assert wrong(folder, old, new)[0].endswith(f"; did you mean {meant}?")


def test_nothing_is_offered_when_nothing_is_near(folder: Path) -> None:
    assert "did you mean" not in wrong(folder, "shape: circle", "shape: zzzzzz")[0]


def test_duplicate_keys_are_told_with_both_lines(folder: Path) -> None:
    assert wrong(folder, "      epochs: 2\n", "      epochs: 2\n      epochs: 3\n") == [
        "recipes/small.yaml:17: tracks.mini.parameters.epochs: found it again (first on line 16), "
        "expected each field once"
    ]


def test_all_mistakes_at_once_in_the_order_of_their_lines(folder: Path) -> None:
    text = (
        RECIPE.replace("tiny-copy", "tiny-copy\ndivision: opne")
        .replace("'#1f77b4'", "blue")
        .replace("year: 2020", "year: soon")
        .replace("epochs: 2", "epochs: -1")
        .replace("  demo:", "  dmeo:")
    )
    (folder / "recipes" / "small.yaml").write_text(text)
    lines = complaints(lambda: loading.resolve("small", "mini"))
    fields = [line.split(": ")[1] for line in lines]
    assert fields == ["division", "about.colour", "about.references[0].year",
                      "tracks.mini.parameters.epochs", "tracks.dmeo"]  # fmt: skip
    numbers = [int(line.split(":")[1]) for line in lines]
    assert numbers == sorted(numbers)


def test_a_recipe_loaded_first_and_resolved_later_still_knows_its_lines(folder: Path) -> None:
    (folder / "recipes" / "small.yaml").write_text(RECIPE.replace("epochs: 2", "epochs: two"))
    recipe = loading.load_recipe("small")  # the board reads recipes without the methods' modules
    assert complaints(lambda: loading.resolve(recipe, "mini")) == [
        "recipes/small.yaml:16: tracks.mini.parameters.epochs: found 'two', "
        "expected a whole number of at least 1"
    ]


def test_a_recipe_made_in_python_is_checked_too(folder: Path) -> None:
    data = yaml_file.read(folder / "recipes" / "small.yaml").data
    data["tracks"]["mini"]["parameters"]["epochs"] = 0
    recipe = Recipe.model_validate(data)
    (line,) = complaints(lambda: loading.resolve(recipe, "mini"))
    assert "tracks.mini.parameters.epochs: found 0, expected a whole number of at least 1" in line


def test_mistakes_of_several_files_are_told_together(folder: Path) -> None:
    (folder / "recipes" / "small.yaml").write_text(RECIPE.replace("circle", "ball"))
    (folder / "recipes" / "other.yaml").write_text("a: [1\n")
    lines = complaints(loading.recipes)
    assert [line.split(":")[0] for line in lines] == ["recipes/other.yaml", "recipes/small.yaml"]


def test_unknown_names_on_the_command_line(folder: Path) -> None:
    assert complaints(lambda: loading.load_recipe("smal")) == ["unknown recipe 'smal'; did you mean small?"]
    assert complaints(lambda: loading.load_profile("cpu-1-thraed"))[0].endswith("did you mean cpu-1-thread?")
    assert complaints(lambda: protocol.track("mni")) == ["unknown track 'mni'; did you mean mini?"]
    assert complaints(lambda: paths.load_module("methods", "tiny-copi"))[0].endswith("mean tiny_copy?")
    assert complaints(lambda: loading.resolve("small", "base")) == [
        "recipe small has no settings for track base; it has: demo, mini"
    ]
    assert complaints(lambda: loading.resolve("small", "bsae")) == [
        "unknown track 'bsae'; did you mean base?"
    ]
    (line,) = complaints(lambda: loading.load_recipe("zzzzzz"))
    assert re.fullmatch(
        r"unknown recipe 'zzzzzz'; known: ([\w-]+, ){9}[\w-]+ and \d+ more \(lightboard list recipes\)", line
    )
    assert complaints(lambda: loading.load_recipe("recipes/none.yaml")) == ["recipes/none.yaml: no such file"]


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize(
    ("kind", "code", "says"),
    [
        (
            "methods",
            "import a_module_that_is_nowhere\n",
            "cannot be loaded: ModuleNotFoundError: No module named",
        ),
        ("methods", "def plan(:\n", "cannot be loaded: SyntaxError: invalid syntax"),
        (
            "methods",
            "class Parameters: pass\n",
            "found no students, plan; a module in methods/ has Parameters, ",
        ),
        ("modifiers", "Parameters = config = 1\n", "found no stage; a module in modifiers/ has "),
        ("runtimes", "PRECISION = 'fp32'\n", "found no SHAPES, available, describe, export, prepare; "),
    ],
)
def test_a_module_that_is_not_finished_is_one_line(
    kind: str, code: str, says: str, ours: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of ``LIGHTBOARD_PATH``, and in ours."""
    path = folder / kind / "unfinished.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(code)
    if ours:
        monkeypatch.setattr(paths, "_PACKAGE", folder)
        monkeypatch.setattr(importlib.import_module(f"suite.{kind}"), "__path__", [str(path.parent)])
    (line,) = complaints(lambda: paths.load_module(kind, "unfinished"))
    assert line.startswith(f"{path}: {says}")
    sys.modules.pop(f"suite.{kind}.unfinished", None)


def test_a_folder_of_the_search_path_that_is_not_there_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTBOARD_PATH", f"{folder}:{folder / 'nowhere'}")
    (line,) = complaints(lambda: paths.names("methods"))
    assert line == f"LIGHTBOARD_PATH: {folder / 'nowhere'}: no such folder; make it, or name another"


def test_a_method_that_cannot_be_loaded_is_named(folder: Path) -> None:
    (folder / "methods" / "tiny_copy.py").write_text("import a_module_that_is_nowhere\n")
    (line,) = complaints(lambda: loading.check_recipe("small"))
    assert "tiny_copy.py: cannot be loaded: ModuleNotFoundError" in line
    (folder / "methods" / "other.py").write_text("Parameters = students = plan = 3\n")
    text = RECIPE.replace("tiny-copy", "other")
    (folder / "recipes" / "small.yaml").write_text(text)
    assert complaints(lambda: loading.check_recipe("small")) == [
        "method other: its module has no model named Parameters"
    ]


# --- profiles -----------------------------------------------------------------------------------------------

PROFILE = """\
schema: lightboard/profile/1
name: board
title: A board
about: A test.
device: cpu
threads: 2
blocks: 4
runtimes: [abacus]
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("threads: 2", "threads: 0", "6: threads: found 0, expected a whole number from 1 to 1024 or 'all'"),
        (
            "threads: 2",
            "threads: al",
            "6: threads: found 'al', expected a whole number from 1 to 1024 or 'all'; did",
        ),
        (
            "blocks: 4",
            "blocks: 3",
            "7: blocks: found 3, expected a whole number from 2 to 1000 divisible by 2",
        ),
        ("[abacus]", "[abacsu]", "8: runtimes[0]: found 'abacsu', expected one of abacus"),
        ("[abacus]", "[]", "8: runtimes: found none, expected one or more, each once"),
        (
            "[abacus]",
            "[abacus, abacus]",
            "8: runtimes: found abacus, abacus, expected one or more, each once",
        ),
        (
            "device: cpu",
            "device: cpu\nrequires: {cores: two}",
            "6: requires.cores: found 'two', expected a whole",
        ),
        ("device: cpu", "device: gpu", "5: device: found 'gpu', expected one of 'cpu', 'cuda'"),
    ],
)
def test_mistakes_in_profiles(folder: Path, old: str, new: str, said: str) -> None:
    file = folder / "hardware_profiles" / "board.yaml"
    file.write_text(PROFILE)
    good = loading.load_profile("board")
    assert (good.threads, good.pairs, good.pin) == (2, 6, True)
    file.write_text(PROFILE.replace(old, new))
    (line,) = complaints(lambda: loading.load_profile("board"))
    assert line.startswith(f"hardware_profiles/board.yaml:{said}")


def test_a_profiles_hash_is_of_all_it_asks_for(folder: Path) -> None:
    file = folder / "hardware_profiles" / "board.yaml"
    file.write_text(PROFILE)
    first = loading.load_profile("board").hash
    file.write_text(PROFILE + "pairs: 6\n")  # the default, written out
    assert loading.load_profile("board").hash == first
    file.write_text(PROFILE + "pairs: 10\n")
    assert loading.load_profile("board").hash != first


# --- what is refused before it is looked at -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: found nothing, expected a mapping"),
        ("# only a comment\n", "1: found nothing, expected a mapping"),
        ("- a\n- b\n", "1: found a list of 2, expected a mapping"),
        ("words\n", "1: found 'words', expected a mapping"),
        ("a: 1\nb: [1, 2\nc: 3\n",
         "3: not YAML: expected ',' or ']', but got ':', while parsing a flow sequence that begins on line 2"),
        ("a: 1\n\tb: 2\n", "2: not YAML: character '\\t' that cannot start any token"),
        ("a: 1\n---\nb: 2\n", "2: not YAML: expected a single document in the stream, but found"),
        ("a: 1\nb: \x07\n", "1: not YAML: the character"),
        ('a: "\\U99999999"\n', "1: not YAML: an escape for no character"),
        ('a: "\\U00110000"\n', "1: not YAML: an escape for no character"),
        ('a: 1\nb: "\\uD800"\n', "2: b: found "),
        ("a: 1\n? [x]\n: 2\n", "2: found a key that is no name, expected a name"),
        ("a: 1\nb: !!python/object/apply:os.system ['true']\n",
         "2: found tag !!python/object/apply:os.system, expected a value without a tag"),
        ("a: !!binary aGk=\n", "1: found tag !!binary"),
        ("a: !thing 3\n", "1: found tag !thing"),
        ("a: &x 1\nb: *x\n", "1: found anchor &x"),
        ("a: " + "[" * 2000 + "\n", "1: found deeper nesting, expected at most 32 levels"),
        ("a: [" + "1," * 30_000 + "]\n", "1: found more values, expected at most 20,000"),
        ("a: " + "9" * 5000 + "\n", "1: a: found '9999"),
        ("a: " + "x" * 1_000_000 + "\n", "1: found 1,000,004 bytes, expected at most 1,000,000"),
    ],
)  # fmt: skip
def test_what_is_no_plain_yaml_is_refused_in_a_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(text, encoding="utf-8")
    lines = complaints(lambda: yaml_file.load(file, Manifest))
    assert any(line.startswith(f"{file}:{said}") for line in lines), lines
    assert all(len(line) < 300 + len(str(file)) for line in lines)


def test_a_bomb_of_aliases_is_refused_unopened(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    file = tmp_path / "bomb.yaml"
    file.write_text("\n".join(rows))
    lines = complaints(lambda: yaml_file.load(file, Manifest))
    assert len(lines) == yaml_file.MAX_MISTAKES + 1
    assert lines[1] == f"{file}:2: found anchor &a1, expected the value alone"
    assert lines[-1].endswith("more")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_bytes(b"a: 1\nb: \xff\xfe\n")
    assert complaints(lambda: yaml_file.load(file, Manifest)) == [
        f"{file}:2: found bytes that are not text, expected UTF-8"
    ]
    assert complaints(lambda: yaml_file.load(tmp_path, Manifest)) == [f"{tmp_path}: no such file"]


def test_nothing_found_reaches_the_terminal_unescaped(folder: Path) -> None:
    (line,) = wrong(folder, "shape: circle", 'shape: "\\e[31mred\\nnew line"')
    assert line.isprintable()
    (line,) = wrong(folder, "shape: circle", 'shape: circle\n  "\\e[31m": 1')
    assert line.isprintable()


@given(data=st.binary(max_size=200))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_in_a_document_or_in_lines_for_people(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "any.yaml"
    file.write_bytes(b"name: x\n" + data)
    lines = complaints(lambda: yaml_file.load(file, Profile))
    assert all(
        re.match(r".*any\.yaml:\d+: (.*found .*, expected |not YAML: )", line) or "more" in line
        for line in lines
    )


# --- the protocol -------------------------------------------------------------------------------------------


def test_the_protocols_parts_are_plain_data_with_a_version_and_a_hash() -> None:
    parts = {"training": protocol.TRAINING, "measuring": protocol.MEASURING, "reporting": protocol.REPORTING}
    for name, part in parts.items():
        assert part["part"] == name
        assert re.fullmatch(r"\d+\.\d+", part["version"])
        assert json.loads(canonical.canonical_json(part)) == part
    for track in protocol.TRACKS:
        parts["training"] = protocol.training_decisions(track)
        assert protocol.hashes(track) == {name: canonical.digest(part) for name, part in parts.items()}
        assert len(set(protocol.hashes(track).values())) == 3


def test_a_tracks_hash_is_of_its_own_decisions_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = protocol.training_decisions("mini")
    changed = json.loads(json.dumps(protocol.TRAINING))
    changed["tracks"]["base"]["epochs"] = 99
    changed["tracks"]["mini"]["about"] = "Other words."
    monkeypatch.setattr(protocol, "TRAINING", changed)
    assert protocol.training_decisions("mini") == before
    changed["tracks"]["mini"]["train_cap"] = 7999
    assert protocol.training_decisions("mini") != before


def test_tracks_come_from_the_protocol() -> None:
    assert list(protocol.TRACKS) == list(protocol.TRAINING["tracks"])
    for name, track in protocol.TRACKS.items():
        data = protocol.TRAINING["tracks"][name]
        assert list(track.seeds) == data["seeds"]
        assert track.tasks == (*data["core"], *data["extended"])
        assert len(set(track.tasks)) == len(track.tasks)
        assert track.seeds == protocol.TRACKS["base"].seeds[: len(track.seeds)]  # one fixed list, in order
        assert set(track.notes) <= set(track.tasks)
        assert track.max_length == protocol.TRAINING["encoding"]["max_length"]
    assert protocol.track("mini").budget_u == 3.0 and protocol.track("demo").budget_u is None


def bert_parameters(config: dict[str, Any]) -> int:
    """Of the body with its pooler (Devlin et al.): tables, then per layer attention and two dense."""
    h, f = config["hidden"], config["ffn"]
    tables = (config["vocab"] + config["positions"] + config["types"]) * h + 2 * h
    layer = 4 * (h * h + h) + (h * f + f) + (f * h + h) + 4 * h
    return tables + config["layers"] * layer + h * h + h


@pytest.mark.parametrize(("name", "millions"), [("base", 109.5), ("mini", 22.7), ("demo", 22.7)])
def test_the_teachers_sizes_are_those_of_the_named_models(name: str, millions: float) -> None:
    teacher = protocol.track(name).teacher
    assert round(bert_parameters(dict(teacher.config)) / 1e6, 1) == millions
    assert re.fullmatch(r"[0-9a-f]{40}", teacher.revision)
    assert re.fullmatch(r"[0-9a-f]{64}", teacher.sha256)
    assert teacher.config["hidden"] % teacher.config["heads"] == 0


def test_the_protocols_metrics_are_the_tasks_own() -> None:
    from suite.tasks import task

    metrics = protocol.REPORTING["metrics"]
    tracks = protocol.TRACKS.values()
    assert set(metrics) == {name for track in tracks for name in track.tasks}
    for name, expected in metrics.items():
        found = task(name)
        splits = found.dev_splits
        endings = [split.removeprefix("dev") for split in splits] if len(splits) > 1 else [""]
        assert [metric + ending for metric in found.metrics for ending in endings] == expected


def test_the_code_computes_with_the_protocols_numbers() -> None:
    from suite import scoring, statistics

    reporting, estimator = protocol.REPORTING, protocol.MEASURING["estimator"]
    assert reporting["calibration"]["bins"] == scoring.CALIBRATION_BINS
    assert reporting["diverged"]["regression_span_of_gold_below"] == scoring.COLLAPSED
    assert reporting["label_order_warning"]["accuracy_below"] == scoring.LABEL_ORDER
    assert reporting["interval"]["confidence"] == reporting["ranks"]["confidence"] == statistics.CONFIDENCE
    assert reporting["ranks"]["draws"] == statistics.DRAWS
    assert reporting["ranks"]["seed"] == statistics.DRAW_SEED
    assert reporting["ranks"]["resolution_points"] == statistics.RESOLUTION
    assert estimator["pairs_for_interval"] == statistics.FEWEST_PAIRS
    assert estimator["confidence"] == statistics.CONFIDENCE


def test_row_lists_are_hashes_that_do_not_overlap() -> None:
    assert protocol.row_list("demo", "mood") is None  # generated: no list is needed
    shipped = protocol.TRAINING["data"]["row_lists"]
    if "mini" not in shipped:
        pytest.skip("suite/tracks/mini.npz is not there")
    track = protocol.track("mini")
    for task in track.tasks:
        lists = protocol.row_list("mini", task)
        assert lists is not None and {"train", "selection"} < set(lists)
        used = len(lists["train"]) + len(lists["selection"])
        assert track.train_cap is not None and used <= track.train_cap
        assert len(lists["selection"]) == pytest.approx(track.selection_fraction * used, abs=1)
        train, selection = set(lists["train"].tolist()), set(lists["selection"].tolist())
        for split in set(lists) - {"train", "selection"}:
            dev = set(lists[split].tolist())
            assert not dev & train and not dev & selection
        stated = protocol.TRAINING["dev"][task]
        assert {split: one["rows"] for split, one in stated.items()} == {
            split: len(rows) for split, rows in lists.items() if split not in ("train", "selection")
        }


# --- the published schemas ----------------------------------------------------------------------------------


def test_the_published_schemas_are_those_generated() -> None:
    folder = paths.root() / "docs" / "schemas"
    assert schemas.differences(folder) == [], "run python -m suite.schemas"


def test_a_stale_schema_is_noticed(tmp_path: Path) -> None:
    assert schemas.main(["--out", str(tmp_path), "--check"]) == 1
    assert schemas.main(["--out", str(tmp_path)]) == 0
    assert schemas.main(["--out", str(tmp_path), "--check"]) == 0
    (tmp_path / "run-1.json").write_text("{}")
    assert schemas.differences(tmp_path) == ["run-1.json"]


@pytest.mark.parametrize("document", schemas.DOCUMENTS)
def test_every_field_says_its_origin(document: str) -> None:
    origins = schemas.origins(document)
    assert len(origins) >= 2
    assert {
        place: origin
        for place, origin in origins.items()
        if origin not in ("derived", "evidence", "declared")
    } == {}
    jsonschema.Draft202012Validator.check_schema(schemas.schema(document))


def test_origins_reach_into_lists_mappings_and_optional_parts() -> None:
    entry = schemas.origins("entry")
    assert entry["quality.*.runs[].score"] == "derived"
    assert entry["ranks.lowest"] == "derived"
    run = schemas.origins("run")
    assert run["data.dev.*.rows"] == "evidence"
    assert run["model.weights[].nonzero"] == "evidence"
    assert run["environment.cpu"] == "declared"


def test_a_schema_accepts_and_refuses_what_the_loader_does(folder: Path) -> None:
    validator = jsonschema.Draft202012Validator(schemas.schema("recipe"))
    good = yaml.safe_load(RECIPE)
    good["tracks"]["mini"]["parameters"]["learning_rate"] = 3e-5
    validator.validate(good)
    for key, value in (("divison", "open"), ("division", "opne"), ("schema", "lightboard/recipe/2")):
        assert not validator.is_valid({**good, key: value})


# --- where things are ---------------------------------------------------------------------------------------


def test_the_store_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIGHTBOARD_STORE", str(tmp_path / "store"))
    assert paths.store_root() == tmp_path / "store"
    monkeypatch.delenv("LIGHTBOARD_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert paths.store_root() == tmp_path / "lightboard"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert paths.store_root() == tmp_path / "home" / ".cache" / "lightboard"


def test_the_earlier_folder_of_the_search_path_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = folder / "second"
    (second / "methods").mkdir(parents=True)
    (second / "methods" / "tiny_copy.py").write_text(f"{METHOD}WHERE = 'second'\n")
    (second / "methods" / "_helper.py").write_text("raise RuntimeError\n")
    monkeypatch.setenv("LIGHTBOARD_PATH", f"{second}:{folder}")
    assert paths.load_module("methods", "tiny-copy").WHERE == "second"
    assert "_helper" not in paths.names("methods")
    assert paths.load_module("methods", "tiny_copy") is paths.load_module("methods", "tiny-copy")
    monkeypatch.setenv("LIGHTBOARD_PATH", str(folder))
    assert not hasattr(paths.load_module("methods", "tiny_copy"), "WHERE")


def test_reading_documents_imports_nothing_heavy() -> None:
    code = (
        "import sys; from suite import loading, protocol, schemas; loading.recipes(); schemas.files();"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "datasets", "evaluate", "sklearn", "scipy", "pandas"}
    assert heavy.isdisjoint(done.stdout.split())


# --- recipes that extend others -----------------------------------------------------------------------------

CHILD = """\
schema: lightboard/recipe/1
name: slower
extends: small
ablation: One epoch instead of two.
about: {title: "Small, one epoch"}
tracks:
  mini:
    parameters: {epochs: 1}
"""


@pytest.fixture
def child(folder: Path) -> Path:
    """An ablation of ``small``, in a folder of its own below ``recipes/``."""
    (folder / "recipes" / "ablations").mkdir()
    path = folder / "recipes" / "ablations" / "slower.yaml"
    path.write_text(CHILD)
    return path


def test_a_recipe_takes_what_it_does_not_state_from_the_one_it_extends(child: Path) -> None:
    parent, recipe = loading.load_recipe("small"), loading.load_recipe("slower")
    assert recipe.method == parent.method
    assert recipe.about.title == "Small, one epoch"
    assert recipe.about.idea == parent.about.idea
    assert list(recipe.tracks) == ["mini"], "of the parent's tracks only those it names"
    mine, theirs = loading.resolve("slower", "mini"), loading.resolve("small", "mini")
    assert mine.parameters == {**theirs.parameters, "epochs": 1}


def test_an_ablation_says_in_its_settings_whose_it_is(child: Path) -> None:
    assert loading.resolve("slower", "mini").settings["ablation_of"] == "small"
    assert "ablation_of" not in loading.resolve("small", "mini").settings
    child.write_text(CHILD.replace("ablation: One epoch instead of two.\n", ""))
    assert "ablation_of" not in loading.resolve("slower", "mini").settings


def test_what_is_wrong_in_an_extending_recipe_has_its_line(child: Path) -> None:
    child.write_text(CHILD.replace("epochs: 1", "epochs: none"))
    (line,) = complaints(lambda: loading.resolve("slower", "mini"))
    assert "slower.yaml:8: tracks.mini.parameters.epochs: found 'none'" in line
    child.write_text(CHILD.replace("extends: small", "extends: smal"))
    line = complaints(lambda: loading.load_recipe("slower"))[0]
    assert "slower.yaml:3: extends: found 'smal'" in line and "did you mean small?" in line
    child.write_text(CHILD.replace("extends: small", "extends: slower"))
    line = complaints(lambda: loading.load_recipe("slower"))[0]
    assert "slower.yaml:3: extends: found a recipe that extends this one" in line
    child.write_text(RECIPE.replace("name: small", "name: slower\nablation: Of nothing."))
    (line,) = complaints(lambda: loading.load_recipe("slower"))
    assert "extends: found nothing, expected the recipe that this is an ablation of" in line
