"""Reading the YAML that people write, and saying what is wrong in it: a line for each mistake, all at once.

A line reads ``FILE:LINE: FIELD: found X, expected Y; did you mean NAME?``. The expected part is told from the
document's own JSON Schema, so that it never strays from what is accepted.

The YAML is plain: mappings, lists, text, numbers, true, false and null as YAML 1.2 reads them (``3e-5`` is a
number, ``no`` is text). Tags, anchors and aliases are refused, and so is a file above 1 MB or nested deeper
than 32 levels: what is loaded may come from a stranger.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from suite import paths
from suite.errors import UserError

T = TypeVar("T", bound=BaseModel)
Place = tuple[str | int, ...]  # keys and list positions from the document's top

_YAML_TAG = "tag:yaml.org,2002:"

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_EVENTS = 20_000  # values, and beginnings and ends of lists and mappings
MAX_MISTAKES = 100


@dataclass(frozen=True)
class Mistake:
    """One thing wrong in one place of a file."""

    line: int
    field: str
    found: str
    expected: str
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        where = f"{self.field}: " if self.field else ""
        return f"{self.line}: {where}found {self.found}, expected {self.expected}{hint}"


@dataclass(frozen=True)
class Source:
    """A YAML file as plain data, with the line of every place in it."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[Place, int]
    mistakes: tuple[Mistake, ...] = ()

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest place above it that is in the file."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


# --- YAML to data -------------------------------------------------------------------------------------------

_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?[0-9]+$")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")


def read(path: Path) -> Source:
    """The file's data and lines; :class:`UserError` when it is not YAML at all or not safe to read."""
    text = _text(path)
    _check_events(path, text)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _syntax(path, error) from error
    if node is None:
        raise refused(path, [Mistake(1, "", "nothing", "a mapping of fields to values")])
    builder = _Builder()
    data = builder.build(node, ())
    if not isinstance(data, dict):
        raise refused(path, [Mistake(1, "", show(data), "a mapping of fields to values")])
    return Source(path, data, builder.lines, tuple(builder.mistakes))


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise UserError(f"{shown(path)}: no such file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise refused(path, [Mistake(1, "", f"{size:,} bytes", f"at most {MAX_BYTES:,}")])
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise refused(path, [Mistake(line, "", "bytes that are not text", "UTF-8")]) from error
    except OSError as error:
        raise UserError(f"{shown(path)}: cannot be read: {error.strerror}") from error


def _check_events(path: Path, text: str) -> None:
    """Refuse what plain data does not need, before anything is built from it."""
    depth = events = 0
    mistakes: list[Mistake] = []
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
            if isinstance(event, yaml.AliasEvent):
                mistakes.append(Mistake(line, "", f"alias *{_plain(anchor)}", "the value written out"))
            elif anchor is not None:
                mistakes.append(Mistake(line, "", f"anchor &{_plain(anchor)}", "the value alone"))
            if isinstance(event, yaml.NodeEvent) and tag is not None:
                mistakes.append(
                    Mistake(line, "", f"tag {_plain(tag.replace(_YAML_TAG, '!!'))}", "a value without a tag")
                )
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                mistakes.append(Mistake(line, "", "deeper nesting", f"at most {MAX_DEPTH} levels"))
                break
            events += 1
            if events > MAX_EVENTS:
                mistakes.append(Mistake(line, "", "more values", f"at most {MAX_EVENTS:,}"))
                break
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two: an escape for no character
        raise _syntax(path, error) from error
    if mistakes:
        raise refused(path, mistakes)


def _syntax(path: Path, error: Exception) -> UserError:
    line, what = 1, "an escape for no character"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = (error.problem or "").removeprefix("found ")
        if what.startswith("but "):  # the parser's context is then the sentence's beginning
            what = f"{error.context}, {what}"
        elif error.context_mark and error.context_mark.line + 1 != line:
            what += f", {error.context} that begins on line {error.context_mark.line + 1}"
    elif isinstance(error, yaml.reader.ReaderError):
        what = f"the character {error.character!r} at position {error.position}"
    return UserError(f"{shown(path)}:{line}: not YAML: {' '.join(what.split())}")


class _Builder:
    """Data from a tree of nodes; notes the line of every place, and every key that is not fit."""

    def __init__(self) -> None:
        self.lines: dict[Place, int] = {}
        self.mistakes: list[Mistake] = []

    def build(self, node: yaml.Node, place: Place) -> Any:
        self.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*place, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._mistake(line, place, "a key that is no name", "a name")
                continue
            key = _unicode(key_node.value)
            if key is None:
                self._mistake(line, place, f"the key {_short(key_node.value)}", "Unicode text")
                continue
            inside = (*place, key)
            if key in data:
                first = self.lines[inside]
                self._mistake(line, inside, f"it again (first on line {first})", "each field once")
                continue
            self.lines[inside] = line
            data[key] = self.build(value_node, inside)
        return data

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        text = _unicode(node.value)
        if text is None:
            self._mistake(node.start_mark.line + 1, place, _short(node.value), "Unicode text")
            return ""
        if node.style is not None:  # quoted, or a block of text
            return text
        if _NULL.match(text):
            return None
        if _BOOL.match(text):
            return text.lower() == "true"
        if _INT.match(text):
            if len(text) <= 20:
                return int(text)
        elif not _FLOAT.match(text):
            return text
        elif math.isfinite(number := float(text)):
            return number
        self._mistake(node.start_mark.line + 1, place, _short(text), "a number of a sensible size")
        return 0

    def _mistake(self, line: int, place: Place, found: str, expected: str) -> None:
        self.mistakes.append(Mistake(line, dotted(place), found, expected))


# --- data against a model -----------------------------------------------------------------------------------


def check(
    source: Source, model: type[T], at: Place = (), data: dict[str, Any] | None = None
) -> tuple[T | None, list[Mistake]]:
    """The data at a place of the file as ``model``, or the mistakes in it, in the order of their lines.

    ``data``: instead of all that stands there.
    """
    data = reach(source.data, at) if data is None else data
    try:
        return model.model_validate_json(json.dumps(data), strict=True), []
    except ValidationError as error:
        return None, _mistakes(error, source, model, data, at)


_RULE = re.compile(r"^(\w+): found (.+), expected (.+)$", re.DOTALL)


def _mistakes(
    error: ValidationError, source: Source, model: type[BaseModel], data: Any, at: Place
) -> list[Mistake]:
    schema = Schema(model)
    unknown: list[Place] = []
    missing: list[Place] = []
    wrong: dict[Place, list[Mapping[str, Any]]] = {}
    for one in error.errors(include_url=False):
        place = _place(one["loc"], data, keep_last=one["type"] == "missing")
        if one["type"] == "extra_forbidden":
            unknown.append(place)
        elif one["type"] == "missing":
            missing.append(place)
        else:
            wrong.setdefault(place, []).append(one)

    found: list[Mistake] = []

    def add(place: Place, what: str, expected: str, nearest: str | None = None) -> None:
        found.append(Mistake(source.line(at + place), dotted(at + place), what, expected, nearest))

    for place in unknown:
        *above, name = place
        parent = tuple(above)
        allowed = schema.fields(parent)
        present = reach(data, parent)
        near = nearest(str(name), [one for one in allowed if one not in present])
        add(place, "an unknown field", "one of " + ", ".join(allowed) if allowed else "no field", near)
        if near is not None and (*parent, near) in missing:
            missing.remove((*parent, near))  # the same mistake, already told
    for place in missing:
        add(place, "nothing", schema.describe(place))
    told = [*unknown, *missing, *wrong]
    for place, errors in wrong.items():
        if any(len(other) > len(place) and other[: len(place)] == place for other in told):
            continue  # what is wrong inside says more
        value = reach(data, place)
        if any("[key]" in one["loc"] for one in errors):
            add(place, f"the name {show(place[-1])}", _key_expectation(errors))
            continue
        rules = [
            str(one["ctx"]["error"]) for one in errors if one["type"] in ("value_error", "assertion_error")
        ]
        for rule in rules:
            if told_by_rule := _RULE.match(rule):  # a document's own rule may name the field it means
                name, what, expected = told_by_rule.groups()
                add((*place, name), what, expected)
            else:
                add(place, show(value), rule)
        if not rules:
            add(place, show(value), schema.describe(place), nearest(value, schema.choices(place)))
    return sorted(found, key=lambda mistake: mistake.line)


def _place(loc: Sequence[str | int], data: Any, *, keep_last: bool) -> Place:
    """pydantic's location without what is not in the file: the members of unions and "[key]"."""
    place: list[str | int] = []
    for index, part in enumerate(loc):
        if _has(data, part):
            data = data[part]
        elif not (keep_last and index == len(loc) - 1):
            continue
        place.append(part)
    return tuple(place)


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def reach(data: Any, place: Place) -> Any:
    for part in place:
        data = data[part]
    return data


def _key_expectation(errors: Sequence[Mapping[str, Any]]) -> str:
    for one in errors:
        context = one.get("ctx", {})
        if "pattern" in context:
            return _PATTERNS.get(context["pattern"], f"a name like {context['pattern']}")
        if "expected" in context:
            return f"one of {context['expected']}"
    return "another name"


class Schema:
    """A model's JSON Schema, asked about places: what may stand there, in words."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.top: dict[str, Any] = model.model_json_schema(by_alias=True)

    def _plain(self, schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The schema without references, one for each member of a union."""
        if "$ref" in schema:
            yield from self._plain(self.top["$defs"][schema["$ref"].rsplit("/", 1)[-1]])
            return
        for kind in ("anyOf", "oneOf", "allOf"):
            if kind in schema:
                for member in schema[kind]:
                    yield from self._plain(member)
                return
        yield dict(schema)

    def at(self, place: Place) -> list[dict[str, Any]]:
        here = list(self._plain(self.top))
        for part in place:
            here = [
                found for schema in here for below in _below(schema, part) for found in self._plain(below)
            ]
        return here

    def fields(self, place: Place) -> list[str]:
        return sorted({name for schema in self.at(place) for name in schema.get("properties", {})})

    def choices(self, place: Place) -> list[str]:
        return [one for schema in self.at(place) for one in _constants(schema) if isinstance(one, str)]

    def describe(self, place: Place) -> str:
        """In words what may stand at a place: "a whole number of at least 1 or 'all'"."""
        parts = dict.fromkeys(_describe(schema) for schema in self.at(place))
        return " or ".join(parts) or "a value"


def _below(schema: Mapping[str, Any], part: str | int) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, int):
        prefix = schema.get("prefixItems", [])
        if part < len(prefix):
            yield prefix[part]
        elif isinstance(schema.get("items"), dict):
            yield schema["items"]
    elif part in schema.get("properties", {}):
        yield schema["properties"][part]
    else:
        yield from schema.get("patternProperties", {}).values()
        if isinstance(schema.get("additionalProperties"), dict):
            yield schema["additionalProperties"]


def _constants(schema: Mapping[str, Any]) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", []))


_PATTERNS = {
    r"^#[0-9a-fA-F]{6}$": "a colour such as '#1f77b4'",
    r"^[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*$": "a name of a-z, 0-9, dash, underscore and single dots, at most 64 long",
    r"^sha256:[0-9a-f]{64}$": "sha256: and 64 hex digits",
    r"^\d{4}-\d{2}-\d{2}$": "a date such as '2026-01-31'",
    r"^\d{4}\.\d{4,5}$": "an arXiv number such as '1909.10351', in quotes",
}


def _describe(schema: Mapping[str, Any]) -> str:
    constants = _constants(schema)
    if constants:
        return ("one of " if len(constants) > 1 else "") + ", ".join(show(one) for one in constants)
    kind = schema.get("type")
    if kind == "integer":
        return "a whole number" + _range(schema)
    if kind == "number":
        return "a number" + _range(schema)
    if kind == "boolean":
        return "true or false"
    if kind == "null":
        return "null"
    if kind == "array":
        return "a list" + _size(schema, "minItems", "maxItems", "items")
    if kind == "object":
        names = sorted(schema.get("properties", {}))
        return f"a mapping with {', '.join(names)}" if names else "a mapping"
    if kind == "string":
        if "pattern" in schema:
            return _PATTERNS.get(schema["pattern"], f"text like {schema['pattern']}")
        return "text" + _size(schema, "minLength", "maxLength", "characters")
    return "a value"


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    parts = []
    if low is not None and high is not None:
        parts.append(f"from {low} to {high}")
    elif low is not None:
        parts.append(f"of at least {low}")
    elif high is not None:
        parts.append(f"of at most {high}")
    if (above := schema.get("exclusiveMinimum")) is not None:
        parts.append(f"above {above}")
    if (below := schema.get("exclusiveMaximum")) is not None:
        parts.append(f"below {below}")
    if (step := schema.get("multipleOf")) is not None:
        parts.append(f"divisible by {step}")
    return "".join(" " + part for part in parts)


def _size(schema: Mapping[str, Any], least: str, most: str, what: str) -> str:
    low, high = schema.get(least), schema.get(most)
    if low is not None and high is not None:
        return f" of {low} to {high} {what}" if low != high else f" of {low} {what}"
    if low is not None:
        return f" of at least {low} {what}"
    return f" of at most {high} {what}" if high is not None else ""


# --- words --------------------------------------------------------------------------------------------------


def dotted(place: Place) -> str:
    """``tracks.mini.parameters.epochs`` or ``about.references[0].year``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else ("." if text else "") + _plain(part)
    return text


def show(value: Any) -> str:
    """A value as a person would write it, short, on one line, with nothing a terminal would obey."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return _short(value) if isinstance(value, str) else str(value)


def _unicode(text: str) -> str | None:
    """The text with escaped surrogate pairs joined, as JSON writes them; None where one half is alone."""
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        return None


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _plain(name: object) -> str:
    """A name as it is when it is one, else quoted and cut."""
    text = str(name)
    return text if re.fullmatch(r"[\w.:!/-]{1,80}", text) else _short(text)


def shown(path: Path) -> str:
    """A path as seen from the working folder where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def nearest(name: Any, known: Iterable[str]) -> str | None:
    return paths.nearest(name, known) if isinstance(name, str) else None


def refused(path: Path, mistakes: Iterable[Mistake]) -> UserError:
    """One error for all mistakes of a file, by line; of two in the same field the first."""
    by_place: dict[tuple[int, str], list[Mistake]] = {}
    for mistake in sorted(mistakes, key=lambda one: one.line):
        by_place.setdefault((mistake.line, mistake.field), []).append(mistake)
    kept = [one for (_, name), same in by_place.items() for one in (same[:1] if name else same)]
    listed = [f"{shown(path)}:{mistake}" for mistake in kept]
    if len(listed) > MAX_MISTAKES:
        listed = [*listed[:MAX_MISTAKES], f"{shown(path)}: and {len(listed) - MAX_MISTAKES} more"]
    return UserError("\n".join(listed))


def load(path: Path, model: type[T]) -> T:
    """A YAML file as a document.

    :raises UserError: no such file, not YAML, or mistakes: one line for each, all at once.
    """
    source = read(Path(path))
    document, mistakes = check(source, model)
    mistakes = [*source.mistakes, *mistakes]
    if mistakes or document is None:
        raise refused(source.path, mistakes)
    return document
