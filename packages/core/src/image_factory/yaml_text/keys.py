"""Paths of keys, as `updates` entries and Kargo's yaml-update step write them: `spec.containers.0.image`.

The grammar is sjson's (github.com/tidwall/sjson, "Path syntax"): steps are parted by dots, a dot within a
key is written `\\.`, a number is an item of a list, from 0. Pure.
"""

from __future__ import annotations

import re

from image_factory.errors import UserError
from image_factory.yaml_text.nodes import AliasNode, ListNode, MapNode, Node, Path, ScalarNode, at_line


def format_key(path: Path) -> str:
    """Return the path as it is written, such as `metadata.annotations.acme\\.io/image`."""
    return ".".join(
        str(step) if isinstance(step, int) else step.replace("\\", "\\\\").replace(".", "\\.") for step in path
    )


def parse_key(key: str) -> tuple[str, ...]:
    """Return the steps of a path as it is written.

    Raises:
        UserError: a step is empty.
    """
    steps: list[str] = [""]
    index = 0
    while index < len(key):
        char = key[index]
        if char == "\\" and index + 1 < len(key):
            index += 1
            steps[-1] += key[index]
        elif char == ".":
            steps.append("")
        else:
            steps[-1] += char
        index += 1
    if not all(steps):
        raise UserError(
            f"not a path of keys: {key!r}", hint="part the keys by dots, such as image.tag; write a dot in a key as \\."
        )
    return tuple(steps)


def find_scalar(documents: tuple[Node | None, ...], key: str) -> ScalarNode:
    """Return the single value that `key` leads to in the first document, which is the one that Kargo changes.

    Raises:
        UserError: it leads nowhere, to a list or mapping, to an alias, or through what an alias repeats.
    """
    steps = parse_key(key)
    # A document without anything is passed by, such as the one before a second `---`.
    root = documents[0] if documents else None
    if root is None:
        raise UserError(f"nothing stands at {key}: the document is empty", hint=_hint())
    node: Node = root
    for index, step in enumerate(steps):
        shown = ".".join(steps[: index + 1])
        found = _step(node, step, shown)
        if found is None:
            hint = _hint()
            if any(_leads(other, steps) for other in documents[1:]):
                hint = "it stands in a later document, which Kargo's step leaves alone: give it a file of its own"
            raise at_line(f"nothing stands at {shown}", _line(node), hint)
        node = found
        if isinstance(node, AliasNode):
            raise at_line(
                f"{shown} is *{node.name}, which repeats line {_line(node.target)}",
                node.line,
                "give the path of what it repeats, or write the value out here",
            )
    if not isinstance(node, ScalarNode):
        kind = "list" if isinstance(node, ListNode) else "mapping"
        raise at_line(f"{key} is a {kind}, not a single value", _line(node), "go on to the value, such as image.tag")
    return node


def _hint() -> str:
    return "the keys that name images: image-factory scan PATH"


def _step(node: Node, step: str, shown: str) -> Node | None:
    if isinstance(node, ListNode):
        return node.items[int(step)] if re.fullmatch(r"[0-9]{1,6}", step) and int(step) < len(node.items) else None
    if not isinstance(node, MapNode):
        return None
    values = [(name, value) for name, value in node.entries if name.value == step]
    if len(values) > 1:
        raise at_line(f"{shown} stands twice, first at line {values[0][0].line}", values[1][0].line, "remove one")
    return values[0][1] if values else None


def _leads(node: Node | None, steps: tuple[str, ...]) -> bool:
    for step in steps:
        node = None if node is None else _step(node, step, step)
    return isinstance(node, ScalarNode)


def _line(node: Node) -> int:
    return node.line
