"""YAML that people write, as a small tree in which every node knows its line; what its words mean. Pure.

YAML 1.1 (yaml.org/spec/1.1): scalars mean what Kubernetes' tools take them to mean (`on` is true, `3.10` a
number), except that dates stay text. `yaml_parser` makes trees of text; nothing here imports a YAML library,
since what is remembered of a file is read without.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_TRUE = frozenset(word for base in ("yes", "true", "on") for word in (base, base.capitalize(), base.upper()))
_FALSE = frozenset(word for base in ("no", "false", "off") for word in (base, base.capitalize(), base.upper()))
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
# yaml.org/type/int.html and yaml.org/type/float.html, the latter with YAML 1.2's exponent without a dot.
_INT = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)\Z")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z")
_FLOAT = re.compile(
    r"[-+]?(?:(?:(?:[0-9][0-9_]*)?\.[0-9][0-9_]*|[0-9][0-9_]*\.)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)\Z"
)
_SPECIAL = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_NUMBER_START = frozenset("+-.0123456789")


@dataclass(slots=True)
class Scalar:
    """One value: the text as written, and what YAML takes it for (str, int, float, bool or None)."""

    line: int
    text: str
    value: str | int | float | bool | None
    size: int = 1


@dataclass(slots=True)
class ListNode:
    """A list (YAML's sequence)."""

    line: int
    items: list[Node] = field(default_factory=list)
    size: int = 1
    is_open: bool = True


@dataclass(slots=True)
class MapNode:
    """A mapping; its keys are texts as written, whatever YAML would take them for."""

    line: int
    entries: dict[str, Node] = field(default_factory=dict)
    key_lines: dict[str, int] = field(default_factory=dict)
    merged: set[str] = field(default_factory=set)
    """Keys that came through `<<` and that nothing written here has replaced."""
    repeated: list[tuple[str, int, int]] = field(default_factory=list)
    """Keys that stand twice: the key, its first line, its second line."""
    size: int = 1
    is_open: bool = True


Node = Scalar | ListNode | MapNode


def to_value(node: Node) -> Any:
    """Return the plain Python value of a tree: str, int, float, bool, None, list and dict."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, ListNode):
        return [to_value(item) for item in node.items]
    return {key: to_value(item) for key, item in node.entries.items()}


def scalars(node: Node, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Scalar]]:
    """Yield every single value below `node`, with its path."""
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from scalars(item, (*path, index))
    else:
        for key, item in node.entries.items():
            yield from scalars(item, (*path, key))


def to_tree(value: Mapping[str, Any]) -> MapNode:
    """Return the tree of plain values that come from no text, all at line 0."""
    node = _node_of(value)
    assert isinstance(node, MapNode)
    return node


def _node_of(value: Any) -> Node:
    if isinstance(value, Mapping):
        return MapNode(0, {key: _node_of(item) for key, item in value.items()}, dict.fromkeys(value, 0))
    if isinstance(value, (list, tuple)):
        return ListNode(0, [_node_of(item) for item in value])
    return Scalar(0, str(value), value)


def resolve(text: str) -> str | int | float | bool | None:
    """Return what YAML 1.1 takes an unquoted word for; dates and times stay text."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text[0] not in _NUMBER_START or len(text) > 64:
        return text
    if _INT.match(text):
        return _integer(text.replace("_", ""))
    if _FLOAT.match(text):
        return float(text.replace("_", ""))
    if _SPECIAL.match(text):
        return float(text.lower().replace(".", "", 1))
    if _SEXAGESIMAL.match(text):
        total = 0.0
        for part in text.strip("+-").replace("_", "").split(":"):
            total = total * 60 + float(part)
        return total
    return text


def _integer(text: str) -> int | str:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").lower()
    try:
        if digits.startswith(("0b", "0x", "0o")):
            return sign * int(digits, 0)
        return sign * int(digits, 8 if digits.startswith("0") and len(digits) > 1 else 10)
    except ValueError:
        return text
