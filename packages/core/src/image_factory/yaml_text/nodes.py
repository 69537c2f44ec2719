"""YAML documents as nodes that know where they stand in the text.

YAML 1.1 (yaml.org/spec/1.1), read from libyaml's events, which come without recursion and with marks; size and
depth are bounded. Aliases stay aliases, merge keys stay keys: what is edited is the text. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from image_factory.errors import Location, UserError
from image_factory.state.yaml_parser import LOADER, MAX_CHARACTERS, MAX_DEPTH
from image_factory.state.yaml_tree import resolve

MAX_VALUES = 1_000_000
"""Values of one text; aliases are not written out, so this bounds what is read and nothing else."""

# What may stand between the start of a value and its first character: an anchor, a tag, line ends, comments.
_PROPERTIES = re.compile(r"(?:[&!]\S*(?:[ \t]+|[ \t]*(?:#[^\r\n]*)?(?:\r\n|[\r\n])[ \t]*)*)+")
_STR_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})


@dataclass(slots=True, eq=False)
class ScalarNode:
    """One value; `start` and `end` are the offsets of its characters, quotes included."""

    value: str
    start: int
    end: int
    line: int
    """From 1."""
    style: str
    """Empty for plain; else the quote, `|` or `>`."""
    tag: str | None = None
    anchor: str | None = None
    in_flow: bool = False
    """Whether it stands within brackets."""
    is_repeated: bool = False
    """Whether an alias repeats it alone, or `<<` the mapping that holds it: other places may mean another image."""

    @property
    def is_text(self) -> bool:
        """Whether YAML takes it for text, and not for a number, a word such as `true`, or nothing."""
        if self.style or self.tag in _STR_TAGS:
            return True
        return self.tag is None and isinstance(resolve(self.value), str)

    @property
    def is_null(self) -> bool:
        return not self.style and self.tag is None and resolve(self.value) is None


@dataclass(slots=True, eq=False)
class ListNode:
    """A list (YAML's sequence)."""

    start: int
    line: int
    column: int
    is_flow: bool
    anchor: str | None = None
    items: list[Node] = field(default_factory=list)
    end: int = 0
    """Behind its closing bracket, or behind its last value."""


@dataclass(slots=True, eq=False)
class MapNode:
    """A mapping, as pairs in the order of the text; a key that is no single value has none here."""

    start: int
    line: int
    column: int
    is_flow: bool
    anchor: str | None = None
    entries: list[tuple[ScalarNode, Node]] = field(default_factory=list)
    end: int = 0

    def get(self, key: str) -> Node | None:
        """Return the value that stands here under `key`, the last one where it stands twice; not what `<<` brings."""
        return next((value for name, value in reversed(self.entries) if name.value == key), None)


@dataclass(slots=True, eq=False)
class AliasNode:
    """`*name`, and what it repeats."""

    name: str
    start: int
    end: int
    line: int
    target: ScalarNode | ListNode | MapNode


Node = ScalarNode | ListNode | MapNode | AliasNode
Path = tuple[str | int, ...]


def parse_documents(text: str) -> tuple[Node | None, ...]:
    """Return the root of each document in `text`, None for one that holds nothing.

    Raises:
        UserError: the text is not YAML, or beyond the bounds; it says at which line.
    """
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"larger than {MAX_CHARACTERS:,} characters", hint="split the file")
    try:
        return _Reading(text).documents()
    except yaml.MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        line = None if mark is None else mark.line + 1
        raise unreadable(broken.problem or "it cannot be read", line) from broken
    except (yaml.YAMLError, UnicodeError) as broken:
        raise unreadable("it holds a character that may not stand in YAML", None) from broken


def unreadable(problem: str, line: int | None) -> UserError:
    """Return the error of a text that is not YAML."""
    at = "" if line is None else f" at line {line}"
    return UserError(
        f"not YAML{at}: {problem}",
        hint="check the indentation, colons, quotes and brackets there; a file with {{ }} is a template, not YAML",
    )


def at_line(message: str, line: int, hint: str = "") -> UserError:
    """Return an error about a line of a text whose name the caller knows."""
    return UserError(f"line {line}: {message}", hint=hint)


def in_file(error: UserError, file: str) -> UserError:
    """Return the error with the file that it is about."""
    return UserError(error.message, hint=error.hint, location=Location(file))


def scalars(root: Node | None) -> Iterator[tuple[Path, ScalarNode]]:
    """Yield every single value that stands below `root`, with its path, in order; no keys, no aliases."""
    waiting: list[tuple[Path, Node]] = [] if root is None else [((), root)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, ScalarNode):
            yield path, node
        elif isinstance(node, ListNode):
            waiting += [((*path, index), item) for index, item in reversed(list(enumerate(node.items)))]
        elif isinstance(node, MapNode):
            waiting += [((*path, key.value), value) for key, value in reversed(node.entries)]


def mappings(root: Node | None) -> Iterator[tuple[Path, MapNode]]:
    """Yield every mapping below `root`, and itself, with its path, in the order of the text."""
    waiting: list[tuple[Path, Node]] = [] if root is None else [((), root)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, ListNode):
            waiting += [((*path, index), item) for index, item in reversed(list(enumerate(node.items)))]
        elif isinstance(node, MapNode):
            yield path, node
            waiting += [((*path, key.value), value) for key, value in reversed(node.entries)]


@dataclass(slots=True)
class _Open:
    """A collection whose end is not read yet; `key` waits for its value."""

    node: ListNode | MapNode
    key: ScalarNode | None = None
    is_key_lost: bool = False
    """Whether the key is no single value: its pair is passed by."""


class _Reading:
    """Builds the nodes of one text, without recursion."""

    def __init__(self, text: str) -> None:
        self._text = text
        # libyaml does not count a mark of byte order that begins the text.
        self._skipped = 1 if text.startswith("\ufeff") else 0
        self._anchors: dict[str, ScalarNode | ListNode | MapNode] = {}
        self._repeated: dict[int, ScalarNode | ListNode | MapNode] = {}
        self._last = 0
        self._values = 0

    def documents(self) -> tuple[Node | None, ...]:
        roots: list[Node | None] = []
        stack: list[_Open] = []
        flow = 0
        loader: Any = LOADER(self._text[self._skipped :])
        try:
            while loader.check_event():
                event: Any = loader.get_event()
                kind: Any = type(event)
                if kind is yaml.ScalarEvent:
                    self._place(stack, roots, self._scalar(event, flow > 0))
                elif kind is yaml.AliasEvent:
                    self._place(stack, roots, self._alias(event, stack))
                elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                    if len(stack) >= MAX_DEPTH:
                        raise at_line(
                            f"nested more than {MAX_DEPTH} deep", event.start_mark.line + 1, "write it flatter"
                        )
                    stack.append(_Open(self._collection(event, kind)))
                    flow += bool(event.flow_style)
                elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                    closed = stack.pop().node
                    flow -= closed.is_flow
                    if closed.is_flow:
                        self._last = self._offset(event.end_mark)
                    closed.end = max(self._last, closed.start)
                    self._place(stack, roots, closed)
                elif kind is yaml.DocumentStartEvent:
                    self._anchors.clear()
                    roots.append(None)
        finally:
            loader.dispose()
        for node in self._repeated.values():
            for _, scalar in scalars(node):
                scalar.is_repeated = True
        return tuple(roots)

    def _offset(self, mark: Any) -> int:
        return int(mark.index) + self._skipped

    def _scalar(self, event: Any, in_flow: bool) -> ScalarNode:
        start, end = self._offset(event.start_mark), self._offset(event.end_mark)
        line = event.start_mark.line + 1
        if event.anchor is not None or event.tag is not None:
            # libyaml's mark begins at the anchor or tag.
            match = _PROPERTIES.match(self._text, start, end)
            if match is not None:
                line += self._text.count("\n", start, match.end())
                start = match.end()
        self._values += 1
        if self._values > MAX_VALUES:
            raise at_line(f"more than {MAX_VALUES:,} values", line, "split the file")
        node = ScalarNode(event.value, start, end, line, event.style or "", event.tag, event.anchor, in_flow)
        self._last = end
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, stack: list[_Open]) -> AliasNode:
        line = event.start_mark.line + 1
        target = self._anchors.get(event.anchor)
        if target is None:
            raise at_line(f"*{event.anchor} refers to nothing", line, f"write &{event.anchor} at what it shall repeat")
        if any(opened.node is target for opened in stack):
            raise at_line(f"*{event.anchor} refers to itself", line, "an alias cannot stand within its own anchor")
        # A mapping that stands elsewhere as a whole says the same there; its values one by one need not.
        is_merge = any(opened.key is not None and opened.key.value == "<<" for opened in stack[-2:])
        if (isinstance(target, ScalarNode) or is_merge) and id(target) not in self._repeated:
            self._repeated[id(target)] = target
        self._last = self._offset(event.end_mark)
        return AliasNode(event.anchor, self._offset(event.start_mark), self._last, line, target)

    def _collection(self, event: Any, kind: Any) -> ListNode | MapNode:
        mark = event.start_mark
        build: Any = MapNode if kind is yaml.MappingStartEvent else ListNode
        node: ListNode | MapNode = build(
            self._offset(mark), mark.line + 1, mark.column, bool(event.flow_style), event.anchor
        )
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _place(self, stack: list[_Open], roots: list[Node | None], node: Node) -> None:
        if not stack:
            roots[-1] = node
            return
        parent = stack[-1]
        if isinstance(parent.node, ListNode):
            parent.node.items.append(node)
        elif parent.key is not None:
            parent.node.entries.append((parent.key, node))
            parent.key = None
        elif parent.is_key_lost:
            parent.is_key_lost = False
        else:
            named = node.target if isinstance(node, AliasNode) else node
            parent.key = named if isinstance(named, ScalarNode) else None
            parent.is_key_lost = parent.key is None
