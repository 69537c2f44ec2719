"""What is wrong with the fields of a record that a person wrote, in words for that person.

pydantic finds it; here its findings become errors with a file, a line, the field's path and what
would be right, and keys that no record knows become warnings with the key that was meant. Pure.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from image_factory.errors import Location, UserError
from image_factory.model.field_types import BY_HAND
from image_factory.state.yaml_tree import ListNode, MapNode, Node, Scalar, to_value

Model = TypeVar("Model", bound=BaseModel)
Step = str | int

MAX_UNKNOWN = 50
"""Unknown keys of one record that are told one by one; a record has at most twenty known ones."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is being checked: how messages name it, where it stands, and the error to make."""

    label: str
    """Such as `web` or `entry 3`; empty where the file is its own subject."""
    file: str
    error: type[UserError]

    def wrong(self, path: Sequence[Step], message: str, hint: str, line: int | None) -> UserError:
        """Return the error for one field."""
        place = ": ".join(part for part in (self.label, format_path(path)) if part)
        location = Location(self.file, line or None)
        return self.error(f"{place}: {message}" if place else message, hint=hint, location=location)


def check_record(model: type[Model], node: MapNode, subject: Subject) -> tuple[Model | None, list[UserError]]:
    """Return the record that `node` writes, or None and everything that is wrong with it."""
    problems = list(_repeated_keys(node, subject, ()))
    try:
        # By the keys that YAML has, not by the records' names: rebuild_delay is a misspelt rebuildDelay.
        record = model.model_validate(to_value(node), by_alias=True, by_name=False, context=BY_HAND)
    except ValidationError as invalid:
        for found in invalid.errors(include_url=False, include_input=False):
            problems.append(_translate(model, node, found, subject))
        return None, problems
    return (None if problems else record), problems


def find_unknown_keys(model: type[BaseModel], node: MapNode, subject: Subject) -> Iterator[UserError]:
    """Yield a warning for each key that is no field, with the field that was probably meant."""
    yield from _unknown_keys(model, node, subject, ())


def format_path(path: Sequence[Step]) -> str:
    """Return a field's path as people write it: `updates[0].type`."""
    text = ""
    for step in path:
        shown = step if isinstance(step, int) or (step.isprintable() and len(step) <= 80) else shorten(step)
        text += f"[{shown}]" if isinstance(shown, int) else f".{shown}" if text else shown
    return text


def shorten(text: str, limit: int = 80) -> str:
    """Return `text` quoted for a message, without its tail where it is long."""
    return repr(text if len(text) <= limit else f"{text[:limit]}…")


# --- pydantic's findings in our words -----------------------------------------------------------------


def _translate(model: type[BaseModel], root: MapNode, found: ErrorDetails, subject: Subject) -> UserError:
    path = [step for step in found["loc"] if step != "[key]"]
    at_key = "[key]" in found["loc"]
    kind = found["type"]
    context: Mapping[str, Any] = found.get("ctx") or {}
    node, line = locate(root, path, at_key)
    if kind == "image_factory":
        return subject.wrong(path, str(context["problem"]), str(context["hint"]), line)
    if kind == "missing":
        return subject.wrong(path, "missing", _example_hint(model, path), line)
    message, hint = describe(kind, context, node, path)
    return subject.wrong(path, message, hint or _example_hint(model, path), line)


def describe_value(found: ErrorDetails, path: Sequence[Step]) -> tuple[str, str]:
    """Return what is wrong with a plain value, and what would be right (empty where that is to be looked up).

    Args:
        found: pydantic's finding, with its input.
        path: the keys and indexes that lead to the value.
    """
    context: Mapping[str, Any] = found.get("ctx") or {}
    if found["type"] == "image_factory":
        return str(context["problem"]), str(context["hint"])
    if found["type"] == "missing":
        return "missing", "write it"
    message, hint = describe(found["type"], context, _as_node(found["input"]), path)
    return message, hint or ("write a value for it, or remove the key" if message == "empty" else "write text")


def _as_node(value: object) -> Node:
    if isinstance(value, Mapping):
        return MapNode(0)
    if isinstance(value, (list, tuple)):
        return ListNode(0)
    if isinstance(value, bool):
        return Scalar(0, str(value).lower(), value)
    return Scalar(0, str(value), value if isinstance(value, (str, int, float)) else None)


def describe(kind: str, context: Mapping[str, Any], node: Node | None, path: Sequence[Step]) -> tuple[str, str]:
    """Return what is wrong with the value at `node`, and what would be right where it is told by the kind of error."""
    shown = _show(node)
    if kind in ("enum", "literal_error"):
        known = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
        return f"{shown} is none of {', '.join(known)}", _nearest_hint(node, known)
    if isinstance(node, Scalar) and node.value is None:
        return "empty", ""
    if kind == "string_type" and isinstance(node, Scalar):
        what = "true or false" if isinstance(node.value, bool) else "a number"
        name = next((step for step in reversed(path) if isinstance(step, str)), "")
        written = f'{name}: "{node.text}"' if path and isinstance(path[-1], str) else f'- "{node.text}"'
        return f"YAML takes {node.text} for {what}, and text is meant", f"write it in quotes: {written}"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound, beyond = (context["ge"], "more") if kind == "greater_than_equal" else (context["le"], "less")
        return f"{shown} stands where a number of {bound} or {beyond} is meant", f"write {bound} or {beyond}"
    expected = _EXPECTED.get(kind)
    if expected is None:
        return f"{shown} cannot be used here ({kind.replace('_', ' ')})", ""
    return f"{shown} stands where {expected[0]} is meant", expected[1]


_LIST = ("a list", "write each item on a line of its own, beginning with '- '")
_MAPPING = ("a mapping", "write its fields below it, each as 'key: value' and indented")
_TRUTH = ("true or false", "write true or false, without quotes")
_WHOLE = ("a whole number", "write digits only")
_EXPECTED: Mapping[str, tuple[str, str]] = {
    "string_type": ("text", ""),
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "string_too_short": ("text", "write it"),
    "time_delta_type": ("a duration", "write a number and a unit of s, m, h, d or w, such as 7d"),
}


def _show(node: Node | None) -> str:
    if isinstance(node, Scalar):
        return shorten(node.text)
    return "a list" if isinstance(node, ListNode) else "a mapping" if isinstance(node, MapNode) else "nothing"


def _nearest_hint(node: Node | None, known: Sequence[str]) -> str:
    if not isinstance(node, Scalar):
        return f"write one of {', '.join(known)}"
    near = nearest(node.text, known)
    return f"did you mean {near!r}?" if near else f"write one of {', '.join(known)}"


def locate(root: MapNode, path: Sequence[Step], at_key: bool = False) -> tuple[Node | None, int]:
    """Return the node at `path` with its line, or None with the line of the nearest thing around it."""
    node: Node = root
    line = root.line
    for step in path:
        if isinstance(node, MapNode) and isinstance(step, str) and step in node.entries:
            line = node.key_lines[step]
            node = node.entries[step]
        elif isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            line = node.line
        else:
            return None, line
    return node, line if at_key or not isinstance(node, Scalar) else node.line


def _example_hint(model: type[BaseModel], path: Sequence[Step]) -> str:
    field = _field_at(model, path)
    examples = field.examples if field is not None else ()
    if not examples:
        return "write a value for it, or remove it"
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    return f"write it, such as {name}: {examples[0]}"


# --- keys ----------------------------------------------------------------------------------------------


def _repeated_keys(node: Node, subject: Subject, path: tuple[Step, ...]) -> Iterator[UserError]:
    if isinstance(node, MapNode):
        for key, first, second in node.repeated:
            yield subject.wrong((*path, key), f"written twice, in lines {first} and {second}", "keep one", second)
        for key, item in node.entries.items():
            if not isinstance(item, Scalar):
                yield from _repeated_keys(item, subject, (*path, key))
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            if not isinstance(item, Scalar):
                yield from _repeated_keys(item, subject, (*path, index))


def _unknown_keys(
    model: type[BaseModel], node: MapNode, subject: Subject, path: tuple[Step, ...]
) -> Iterator[UserError]:
    shape = fields_of(model)
    unknown = [key for key in node.entries if key not in shape]
    for key in unknown[:MAX_UNKNOWN]:
        meant = _meant(key, shape)
        hint = f"did you mean {meant!r}?" if meant else f"known keys: {', '.join(shape)}"
        yield subject.wrong((*path, key), f"unknown key {shorten(key)}", hint, node.key_lines[key])
    if len(unknown) > MAX_UNKNOWN:
        message = f"{len(unknown) - MAX_UNKNOWN} more unknown keys"
        yield subject.wrong(path, message, f"known keys: {', '.join(shape)}", node.key_lines[unknown[MAX_UNKNOWN]])
    for key, item in node.entries.items():
        field = shape.get(key)
        if field is not None and field.inner is not None:
            for inner_path, inner in _inner_maps(field, item):
                yield from _unknown_keys(field.inner, inner, subject, (*path, key, *inner_path))


def _inner_maps(field: FieldShape, item: Node) -> Iterator[tuple[tuple[Step, ...], MapNode]]:
    if field.many == "no" and isinstance(item, MapNode):
        yield (), item
    elif field.many == "list" and isinstance(item, ListNode):
        for index, inner in enumerate(item.items):
            if isinstance(inner, MapNode):
                yield (index,), inner
    elif field.many == "map" and isinstance(item, MapNode):
        for key, inner in item.entries.items():
            if isinstance(inner, MapNode):
                yield (key,), inner


def _meant(key: str, shape: Mapping[str, FieldShape]) -> str | None:
    known = nearest(key, list(shape))
    if known is not None:
        return known
    for name, field in shape.items():
        if field.inner is not None and field.many == "no":
            inner = nearest(key, list(fields_of(field.inner)))
            if inner is not None:
                return f"{name}.{inner}"
    return None


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the known word that `word` is probably a misspelling of, whatever its case and hyphens."""
    folded = {_fold(name): name for name in known}
    # Two letters that changed places are a third of a word of three.
    cutoff = 0.75 if len(word) > 4 else 0.6
    close = difflib.get_close_matches(_fold(word[:64]), list(folded), n=1, cutoff=cutoff)
    return folded[close[0]] if close else None


def _fold(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


# --- what records look like ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldShape:
    """One field as it stands in YAML: the record within it, if any, and how many of them."""

    name: str
    inner: type[BaseModel] | None
    many: Literal["no", "list", "map"]
    examples: tuple[Any, ...]


@cache
def fields_of(model: type[BaseModel]) -> Mapping[str, FieldShape]:
    """Return a record's fields by their key in YAML, in order."""
    shape = {}
    for name, info in model.model_fields.items():
        inner, many = _inner_model(info.annotation)
        shape[info.alias or name] = FieldShape(name, inner, many, tuple(info.examples or ()))
    return shape


def _field_at(model: type[BaseModel], path: Sequence[Step]) -> FieldShape | None:
    current: type[BaseModel] | None = model
    field = None
    skip = False
    for step in path:
        if isinstance(step, int) or skip:
            skip = False
            continue
        if current is None:
            return field
        field = fields_of(current).get(step)
        if field is None:
            return None
        current = field.inner
        skip = field.many == "map"
    return field


def _inner_model(annotation: Any) -> tuple[type[BaseModel] | None, Literal["no", "list", "map"]]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        for option in get_args(annotation):
            found = _inner_model(option)
            if found[0] is not None:
                return found
    elif origin in (tuple, list):
        return _inner_model(get_args(annotation)[0])[0], "list"
    elif origin is dict:
        return _inner_model(get_args(annotation)[1])[0], "map"
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel) and not issubclass(annotation, Enum):
        return annotation, "no"
    return None, "no"
