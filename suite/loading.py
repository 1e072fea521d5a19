"""Recipes and profiles from their files, checked: every name, and every parameter by the model of who takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, PrivateAttr

from suite import paths
from suite.errors import UserError
from suite.profile import Profile
from suite.protocol import TRACKS, track
from suite.recipe import Recipe, Resolved
from suite.yaml_file import Mistake, Place, Source, check, dotted, nearest, reach, read, refused, show

T = TypeVar("T", bound=BaseModel)


class _FiledRecipe(Recipe):
    """A recipe that remembers its file, so that a wrong parameter can be shown in its place."""

    _source: Source | None = PrivateAttr(None)


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A recipe by its name on the search path, or by its file.

    The names it uses (method, modifiers, tracks) are checked; parameters are :func:`resolve`'s and
    :func:`check_recipe`'s, since only the method's module knows them.
    """
    return _load_recipe(_file("recipes", "recipe", name_or_path), parameters=False)


def check_recipe(name_or_path: str | Path) -> Recipe:
    """As :func:`load_recipe`, with the parameters of every track checked too, all mistakes together.

    Imports the method's module.
    """
    return _load_recipe(_file("recipes", "recipe", name_or_path), parameters=True)


def _load_recipe(path: Path, *, parameters: bool) -> Recipe:
    source = inherited(read(path))
    recipe, found = check(source, _FiledRecipe)
    mistakes = [*source.mistakes, *found, *_unknown_names(source)]
    if parameters:
        mistakes += _parameter_mistakes(source)
    if mistakes or recipe is None:
        raise refused(path, mistakes)
    recipe._source = source
    return recipe


def inherited(source: Source, below: tuple[str, ...] = ()) -> Source:
    """The recipe with what it ``extends`` filled in: mappings key by key, anything else as the child has it.

    Places that only the parent states have no line of their own here: a mistake there is the parent's.
    """
    data = source.data
    name, tracks = data.get("extends"), data.get("tracks")
    if not isinstance(name, str):
        return source
    known = paths.files("recipes")
    if name not in known or name in below:
        found = "a recipe that extends this one" if name in below else show(name)
        expected = f"one of {paths.some('recipe', known)}"
        raise refused(
            source.path,
            [Mistake(source.line(("extends",)), "extends", found, expected, nearest(name, known))],
        )
    parent = inherited(read(known[name]), (*below, source.path.stem))
    above = {key: value for key, value in parent.data.items() if key not in ("extends", "ablation")}
    if isinstance(tracks, dict) and isinstance(above.get("tracks"), dict):
        above["tracks"] = {key: value for key, value in above["tracks"].items() if key in tracks}
    return Source(source.path, _merged(above, data), source.lines, (*source.mistakes, *parent.mistakes))


def _merged(above: dict[str, Any], below: dict[str, Any]) -> dict[str, Any]:
    merged = dict(above)
    for key, value in below.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _unknown_names(source: Source) -> Iterator[Mistake]:
    """Names in a recipe that exist nowhere; looked up in the data, since the rest of it may be wrong too."""
    data = source.data
    yield from _own_name(source)
    if isinstance(method := data.get("method"), str):
        yield from _name_mistake(source, ("method",), method, "methods")
    for place in _modifier_places(source):
        name, inside = _modifier_name(source, place)
        if name is not None:
            yield from _name_mistake(source, inside, name, "modifiers")
    tracks = data.get("tracks")
    for name in tracks if isinstance(tracks, dict) else {}:
        if name not in TRACKS:
            place = ("tracks", name)
            known = ", ".join(TRACKS)
            yield Mistake(source.line(place), dotted(place), "an unknown track", f"one of {known}",
                          nearest(name, TRACKS))  # fmt: skip


def _own_name(source: Source) -> Iterator[Mistake]:
    name = source.data.get("name")
    if isinstance(name, str) and name != source.path.stem:
        yield Mistake(
            source.line(("name",)), "name", show(name), f"the file's name, {show(source.path.stem)}"
        )


def _name_mistake(source: Source, place: Place, name: str, kind: str) -> Iterator[Mistake]:
    known = [one.replace("_", "-") for one in paths.names(kind)]
    if name.replace("_", "-") not in known:
        listed = paths.some(kind.removesuffix("s"), known)
        expected = f"one of {listed}" if known else f"a module in {kind}/"
        yield Mistake(source.line(place), dotted(place), show(name), expected, nearest(name, known))


def _modifier_places(source: Source, track_name: str | None = None) -> list[Place]:
    """Where the modifiers of a track stand, its own list before the recipe's; of no track: all in the file."""
    lists: list[Place] = [("modifiers",)]
    tracks = source.data.get("tracks")
    for name, settings in tracks.items() if isinstance(tracks, dict) else ():
        if (
            track_name in (None, name)
            and isinstance(settings, dict)
            and settings.get("modifiers") is not None
        ):
            own: Place = ("tracks", name, "modifiers")
            lists = [own] if track_name else [*lists, own]
    if "modifiers" not in source.data:
        lists = [place for place in lists if place != ("modifiers",)]
    found = [(place, reach(source.data, place)) for place in lists]
    return [
        (*place, index) for place, value in found if isinstance(value, list) for index in range(len(value))
    ]


def _modifier_name(source: Source, place: Place) -> tuple[str | None, Place]:
    """The name of the modifier at a place, where it has one that is text, and the name's own place."""
    value, inside = reach(source.data, place), place
    if isinstance(value, dict):
        value, inside = value.get("name"), (*place, "name")
    return (value if isinstance(value, str) else None), inside


def _modifier_parameters(source: Source, place: Place) -> tuple[BaseModel | None, list[Mistake]]:
    """What stands beside the name of a modifier that exists, checked by the modifier's own model."""
    name, _ = _modifier_name(source, place)
    assert name is not None
    value = reach(source.data, place)
    given = {key: one for key, one in value.items() if key != "name"} if isinstance(value, dict) else {}
    return check(source, _parameters_model("modifiers", name), place, given)


def _parameters_model(kind: str, name: str) -> type[BaseModel]:
    model = getattr(paths.load_module(kind, name), "Parameters", None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise UserError(f"{kind.removesuffix('s')} {name}: its module has no model named Parameters")
    return model


def _parameter_mistakes(source: Source) -> list[Mistake]:
    """Mistakes in the parameters of every modifier, and of every track where the method can be told."""
    method, tracks = source.data.get("method"), source.data.get("tracks")
    mistakes: list[Mistake] = []
    for place in _modifier_places(source):
        modifier, inside = _modifier_name(source, place)
        if modifier is not None and not any(_name_mistake(source, inside, modifier, "modifiers")):
            mistakes += _modifier_parameters(source, place)[1]
    if not isinstance(method, str) or not isinstance(tracks, dict):
        return mistakes
    if any(_name_mistake(source, ("method",), method, "methods")):
        return mistakes
    model = _parameters_model("methods", method)
    for name, settings in tracks.items():
        if isinstance(settings, dict) and isinstance(settings.get("parameters"), dict):
            mistakes += check(source, model, ("tracks", name, "parameters"))[1]
    return mistakes


def recipes() -> list[Recipe]:
    """Every recipe on the search path, by name; the mistakes of all files together."""
    return _all(paths.files("recipes"), load_recipe)


def resolve(recipe: Recipe | str | Path, track_name: str) -> Resolved:
    """The recipe at one track: parameters checked by the method's and the modifiers' own models, defaults filled in.

    A recipe given by name or file is loaded first, and all that is wrong in it is told together.

    :raises UserError: the recipe lacks the track, or mistakes in the parameters with file and line.
    """
    track(track_name)
    if not isinstance(recipe, Recipe):
        recipe = check_recipe(recipe)
    if track_name not in recipe.tracks:
        has = ", ".join(sorted(recipe.tracks)) or "none"
        raise UserError(f"recipe {recipe.name} has no settings for track {track_name}; it has: {has}")
    model = _parameters_model("methods", recipe.method)
    source = recipe._source if isinstance(recipe, _FiledRecipe) else None
    place: Place = ("tracks", track_name, "parameters")
    if source is None:  # made in Python: the same check, without lines
        source = Source(Path(f"recipe {recipe.name}"), recipe.model_dump(mode="json"), {})
    parameters, mistakes = check(source, model, place)
    modifiers: list[dict[str, Any]] = []
    for modifier in _modifier_places(source, track_name):
        name, _ = _modifier_name(source, modifier)
        settings, wrong = _modifier_parameters(source, modifier)
        mistakes += wrong
        if settings is not None:
            given = settings.model_dump(mode="json")
            modifiers.append({"name": str(name).replace("_", "-"), "parameters": given})
    if parameters is None or mistakes:
        raise refused(source.path, mistakes)
    return Resolved(recipe, track_name, parameters.model_dump(mode="json"), tuple(modifiers))


def load_profile(name_or_path: str | Path) -> Profile:
    """A hardware profile by its name on the search path, or by its file."""
    source = read(_file("hardware_profiles", "profile", name_or_path))
    profile, found = check(source, Profile)
    mistakes = [*source.mistakes, *found, *_own_name(source)]
    named = source.data.get("runtimes")
    for index, runtime in enumerate(named if isinstance(named, list) else []):
        if isinstance(runtime, str):
            mistakes += _name_mistake(source, ("runtimes", index), runtime, "runtimes")
    if mistakes or profile is None:
        raise refused(source.path, mistakes)
    return profile


def profiles() -> list[Profile]:
    """Every profile on the search path, by name; the mistakes of all files together."""
    return _all(paths.files("hardware_profiles"), load_profile)


def _all(found: Mapping[str, Path], load: Callable[[str | Path], T]) -> list[T]:
    documents: list[T] = []
    wrong: list[str] = []
    for path in found.values():
        try:
            documents.append(load(path))
        except UserError as error:
            wrong.append(str(error))
    if wrong:
        raise UserError("\n".join(wrong))
    return documents


def _file(kind: str, what: str, name_or_path: str | Path) -> Path:
    """The file meant: a path when it looks like one, else a name on the search path."""
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or "\\" in text or text.endswith((".yaml", ".yml")):
        return Path(name_or_path).expanduser()
    known = paths.files(kind)
    if text not in known:
        raise paths.unknown(what, text, known)
    return known[text]
