"""YAML that people write, parsed from libyaml's events into the tree of `yaml_tree`. Pure.

Anchors, aliases and merge keys are followed. Size and depth are bounded here, so that no text makes a reader
slow or deep.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from image_factory.errors import Location, UserError
from image_factory.state.yaml_tree import ListNode, MapNode, Node, Scalar, resolve

MAX_CHARACTERS = 32 * 1024 * 1024
"""Characters of one text. 10,000 entries of 25 lines are about 8 million."""
MAX_NODES = 2_000_000
"""Nodes of the tree with every alias written out: what a "billion laughs" text exceeds at once."""
MAX_DEPTH = 64
"""Lists and mappings within each other. images.yaml needs five."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser, or PyYAML's own where it was built without."""

_PREFIX = "tag:yaml.org,2002:"


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
