"""State files' YAML as plain values: libyaml parses, we decide what a scalar means. Pure.

What has the form that we write is read without libyaml (`own_yaml`, which asks this for all else), with the same
result.

People edit these files by hand, so a plain scalar is a number or a boolean only where writing it
back gives the same text: `3.10`, `on`, `1e3`, `0x1f`, `12:30:45` and `2024-01-01` stay texts, and
nothing is lost (YAML 1.1 readers see other things in them, which is why `yaml_writer` quotes them).
Keys are texts. Input is bounded: `MAX_TEXT`, `MAX_DEPTH`, `MAX_NODES`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from image_factory.errors import InvalidState, Location
from image_factory.state.own_yaml import MAX_TEXT

MAX_DEPTH = 64
"""Levels of nesting; a record of ours has five. libyaml recurses and would overflow the stack past some 20,000."""
MAX_NODES = 1_000_000
"""Values of one file once its aliases are written out, against a few lines that expand to billions."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "false": False}
_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]{0,299})\Z")
_FLOAT = re.compile(r"-?[0-9]+\.[0-9]+(?:e[-+]?[0-9]+)?\Z")
_CORE_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp"))
_PLAIN = "?"
_MAY_NEST = re.compile(r"^ {48}|(?:[-?][ \t]+){24}", re.MULTILINE)
_HINT = "correct the file, or delete it and run `image-factory analyze --all` to rebuild it"


class _Loader(yaml.CSafeLoader):
    """libyaml's parser, with the meaning of plain scalars left open."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else "tag:yaml.org,2002:str"
        return "tag:yaml.org,2002:map" if kind is yaml.MappingNode else "tag:yaml.org,2002:seq"


def parse_any_form(text: str, source: str) -> dict[str, Any]:
    """Return what `own_yaml.parse_mapping` returns, always by libyaml."""
    node = compose(text, source)
    if node is None:
        return {}
    value = _Builder(source).value(node, 0)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _invalid(source, 0, f"not a mapping but a {_kind(value)}")
    return value


def compose(text: str, source: str) -> yaml.Node | None:
    """Return the document's node with its marks, or None for an empty document.

    Raises:
        InvalidState: not YAML, or beyond the bounds.
    """
    if len(text) > MAX_TEXT:
        raise _invalid(source, 0, f"{len(text)} characters, more than {MAX_TEXT}")
    try:
        if text.count("[") + text.count("{") > MAX_DEPTH or _MAY_NEST.search(text):
            _check_depth(text, source)
        loader = _Loader(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark is not None else 0
        raise _invalid(source, line, f"not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise _invalid(source, 0, f"not YAML: {' '.join(str(error).split())}") from error
    return node


def line_of(text: str, path: Sequence[str | int], source: str = "") -> int:
    """Return the line (from 1) of the value at `path`, or of the nearest one around it that is there."""
    try:
        node = compose(text, source)
    except InvalidState as error:
        return error.location.line or 1 if error.location else 1
    line = 0
    for step in path:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value == step:
                    found, line = value, key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = node.value[step]
            line = node.value[step].start_mark.line
        if found is None:
            break
        node = found
    return line + 1


class _Builder:
    """Turns nodes into values, counting them, since aliases may name one node many times."""

    __slots__ = ("left", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.left = MAX_NODES

    def value(self, node: yaml.Node, depth: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise _invalid(self.source, node.start_mark.line, f"aliases expand to more than {MAX_NODES} values")
        if isinstance(node, yaml.ScalarNode):
            if node.tag == _PLAIN:
                return _scalar(node.value)
            if node.tag == "tag:yaml.org,2002:str":
                return node.value
            if node.tag not in _CORE_TAGS:
                raise _invalid(self.source, node.start_mark.line, f"the tag {node.tag!r} is not read")
            return _scalar(node.value)
        if depth >= MAX_DEPTH:
            raise _invalid(self.source, node.start_mark.line, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        return self._mapping(node, depth)

    def _mapping(self, node: yaml.Node, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _invalid(self.source, key.start_mark.line, "a key is a list or a mapping, not a text")
            if key.value in mapping:
                raise _invalid(self.source, key.start_mark.line, f"the key {key.value!r} is there twice")
            mapping[key.value] = self.value(item, depth + 1)
        return mapping


def _scalar(text: str) -> Any:
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text in _NULL:
        return None
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text) and format_float(float(text)) == text:
        return float(text)
    return text


def format_float(number: float) -> str:
    """Return the shortest text of a finite number that both YAML 1.1 and 1.2 take for a number."""
    text = repr(number)
    # YAML 1.1 wants a point before the exponent.
    return text if "." in text else text.replace("e", ".0e", 1)


def _check_depth(text: str, source: str) -> None:
    """Count nesting on events, which libyaml gives without recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH + 1:
                raise _invalid(source, _line(event), f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(event: yaml.Event) -> int:
    return event.start_mark.line if event.start_mark is not None else 0


def _kind(value: object) -> str:
    return "list" if isinstance(value, list) else "single value"


def _invalid(source: str, line: int, what: str) -> InvalidState:
    return InvalidState(f"unreadable state file: {what}", hint=_HINT, location=Location(source, line + 1))
