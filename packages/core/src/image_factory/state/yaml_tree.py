"""YAML that people write, as a small tree in which every node knows its line.

YAML 1.1 (yaml.org/spec/1.1), read from libyaml's events: scalars mean what Kubernetes' tools take
them to mean (`on` is true, `3.10` a number), except that dates stay text. Anchors, aliases and merge keys
are followed. Size and depth are bounded here, so that no text makes a reader slow or deep. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from image_factory.errors import Location, UserError

MAX_CHARACTERS = 32 * 1024 * 1024
"""Characters of one text. 10,000 entries of 25 lines are about 8 million."""
MAX_NODES = 2_000_000
"""Nodes of the tree with every alias written out: what a "billion laughs" text exceeds at once."""
MAX_DEPTH = 64
"""Lists and mappings within each other. images.yaml needs five."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser, or PyYAML's own where it was built without."""

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
_PREFIX = "tag:yaml.org,2002:"


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


def parse_tree(text: str, file: str, error: type[UserError]) -> Node | None:
    """Return the tree of the one document in `text`, or None where there is nothing but comments.

    Raises:
        error: the text is not one YAML document, or is beyond the bounds above; it says at which line.
    """
    if len(text) > MAX_CHARACTERS:
        raise error(f"larger than {MAX_CHARACTERS:,} characters", hint="split it", location=Location(file))
    try:
        return _Building(file, error).build(text.removeprefix("\ufeff"))
    except yaml.MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        column = "" if mark is None else f" at column {mark.column + 1}"
        context = f" {broken.context}" if broken.context else ""
        raise error(
            f"not YAML{column}: {broken.problem or 'it cannot be read'}{context}",
            hint="check the indentation, colons, quotes and brackets of this line and of the one before it",
            location=Location(file, None if mark is None else mark.line + 1),
        ) from broken
    except (yaml.YAMLError, UnicodeError) as broken:
        raise _unreadable(text, file, error) from broken


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


def _unreadable(text: str, file: str, error: type[UserError]) -> UserError:
    """Say where the first character stands that no YAML may hold (YAML 1.1, "Character Set")."""
    match = re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    if match is None:
        return error("not YAML: it cannot be read", location=Location(file))
    line = text.count("\n", 0, match.start()) + 1
    column = match.start() - text.rfind("\n", 0, match.start())
    return error(
        f"not YAML at column {column}: the character U+{ord(match[0]):04X} may not stand in it",
        hint="remove the character",
        location=Location(file, line),
    )


class _Building:
    """Builds one tree from events, without recursion, within the bounds."""

    def __init__(self, file: str, error: type[UserError]) -> None:
        self._file = file
        self._error = error
        self._anchors: dict[str, Node] = {}
        self._nodes = 0

    def build(self, text: str) -> Node | None:
        loader = LOADER(text)
        root: Node | None = None
        documents = 0
        # The open collections; beside each mapping, the key that waits for its value.
        stack: list[ListNode | MapNode] = []
        keys: list[tuple[str, int, bool] | None] = []
        try:
            while loader.check_event():
                event: Any = loader.get_event()
                kind: Any = type(event)
                if kind is yaml.ScalarEvent:
                    line = event.start_mark.line + 1
                    is_plain = event.implicit[0] and not event.style  # libyaml: "", PyYAML itself: None
                    if stack and isinstance(stack[-1], MapNode) and keys[-1] is None:
                        keys[-1] = (event.value, line, is_plain and event.value == "<<")
                        continue
                    node: Node = Scalar(line, event.value, self._scalar(event, is_plain, line))
                elif kind is yaml.AliasEvent:
                    node = self._alias(event.anchor, event.start_mark.line + 1)
                elif kind in (yaml.SequenceStartEvent, yaml.MappingStartEvent):
                    line = event.start_mark.line + 1
                    if len(stack) >= MAX_DEPTH:
                        raise self._wrong(f"nested more than {MAX_DEPTH} deep", line, "write it flatter")
                    opened = ListNode(line) if kind is yaml.SequenceStartEvent else MapNode(line)
                    if event.anchor is not None:
                        self._anchors[event.anchor] = opened
                    self._check_place(stack, keys, line)
                    stack.append(opened)
                    keys.append(None)
                    continue
                elif kind in (yaml.SequenceEndEvent, yaml.MappingEndEvent):
                    node = stack.pop()
                    keys.pop()
                    node.is_open = False
                elif kind is yaml.DocumentStartEvent:
                    documents += 1
                    if documents > 1:
                        line = event.start_mark.line + 1
                        raise self._wrong("a second document begins here", line, "remove the line ---")
                    continue
                else:
                    continue
                if kind is yaml.ScalarEvent and event.anchor is not None:
                    self._anchors[event.anchor] = node
                if not stack:
                    root = node
                else:
                    self._add(stack[-1], keys, node)
        finally:
            loader.dispose()
        if isinstance(root, Scalar) and root.value is None:
            return None
        return root

    def _scalar(self, event: yaml.ScalarEvent, is_plain: bool, line: int) -> str | int | float | bool | None:
        tag = event.tag
        if is_plain and tag is None:
            return resolve(event.value)
        if tag is None or tag in ("!", f"{_PREFIX}str"):
            return str(event.value)
        if tag in (f"{_PREFIX}{word}" for word in ("int", "float", "bool", "null")):
            return resolve(event.value)
        raise self._wrong(f"the tag {tag!r} is not taken here", line, "remove the word that begins with !")

    def _alias(self, anchor: str, line: int) -> Node:
        node = self._anchors.get(anchor)
        if node is None:
            raise self._wrong(f"*{anchor} refers to nothing", line, f"write &{anchor} at what it shall repeat")
        if not isinstance(node, Scalar) and node.is_open:
            raise self._wrong(f"*{anchor} refers to itself", line, "an alias cannot stand within its own anchor")
        return node

    def _check_place(
        self, stack: list[ListNode | MapNode], keys: list[tuple[str, int, bool] | None], line: int
    ) -> None:
        if stack and isinstance(stack[-1], MapNode) and keys[-1] is None:
            raise self._wrong("a list or mapping stands where a key is meant", line, "write keys as plain words")

    def _add(self, parent: ListNode | MapNode, keys: list[tuple[str, int, bool] | None], node: Node) -> None:
        if isinstance(parent, ListNode):
            parent.items.append(node)
        else:
            key = keys[-1]
            if key is None:  # an alias where a key is meant
                if not isinstance(node, Scalar):
                    raise self._wrong("a list or mapping stands where a key is meant", node.line, "write a plain word")
                keys[-1] = (node.text, node.line, False)
                return
            keys[-1] = None
            name, line, is_merge = key
            if is_merge:
                self._merge(parent, node, line)
            elif name in parent.entries and name not in parent.merged:
                parent.repeated.append((name, parent.key_lines[name], line))
            else:
                parent.merged.discard(name)
                parent.entries[name] = node
                parent.key_lines[name] = line
        parent.size += node.size
        self._nodes += 1
        if parent.size > MAX_NODES or self._nodes > MAX_NODES:
            raise self._wrong(
                f"more than {MAX_NODES:,} values, with aliases written out", node.line, "use fewer aliases, or split it"
            )

    def _merge(self, parent: MapNode, node: Node, line: int) -> None:
        """Take over the keys of `<<`, which never override a key written here (yaml.org/type/merge.html)."""
        sources = node.items if isinstance(node, ListNode) else [node]
        for source in sources:
            if not isinstance(source, MapNode):
                raise self._wrong("<< takes a mapping, or a list of them", line, "write <<: *name of a mapping")
            for name, value in source.entries.items():
                if name not in parent.entries:
                    parent.entries[name] = value
                    parent.key_lines[name] = source.key_lines[name]
                    parent.merged.add(name)

    def _wrong(self, message: str, line: int, hint: str) -> UserError:
        return self._error(message, hint=hint, location=Location(self._file, line))


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
