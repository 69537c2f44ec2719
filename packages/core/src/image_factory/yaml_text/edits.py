"""Changes to a text: which characters become which. A value is written in the style it had. Pure.

What is written is read back as text by YAML 1.1 and 1.2: `3.10` gets quotes, `16-alpine` none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from image_factory.errors import UserError
from image_factory.state.yaml_tree import resolve
from image_factory.yaml_text.nodes import ListNode, MapNode, Node, ScalarNode, at_line, parse_documents

_WRITABLE = re.compile(r"[A-Za-z0-9._:/@+\[\]-]*\Z")
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9._:/@+-]*\Z")
# Numbers and dates of YAML 1.2 and of readers that know more of YAML 1.1's types than `resolve` does.
_OTHERS = re.compile(
    r"[-+]?(?:0o[0-7]+|0x[0-9a-fA-F]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?"
    r"|[0-9_]+(?::[0-9_]+)+(?:\.[0-9_]*)?|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*)\Z"
)
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"})


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """The characters from `start` to `end` become `text`."""

    start: int
    end: int
    text: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with all edits made; they may not overlap, and those of one place are made in their order."""
    parts: list[str] = []
    done = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        assert edit.start >= done, "edits overlap"
        parts += [text[done : edit.start], edit.text]
        done = edit.end
    parts.append(text[done:])
    return "".join(parts)


def apply_to_yaml(text: str, edits: Iterable[Edit]) -> str:
    """Return the YAML text with all edits made.

    Raises:
        UserError: it would be no YAML any more, as the layout of a text may have it that nobody writes by hand.
    """
    changed = apply_edits(text, edits)
    try:
        parse_documents(changed)
    except UserError as broken:
        raise UserError(
            f"cannot be changed where it stands: {broken.message}",
            hint="write it in a plainer layout, or change it by hand",
        ) from broken
    return changed


def write_plain(value: str) -> str:
    """Return a value as it is written where nothing says otherwise: plain, or in double quotes if it must be."""
    return value if is_plain(value) else f'"{value}"'


def is_plain(value: str) -> bool:
    """Whether every reader takes this text for itself when it stands without quotes."""
    return bool(
        _PLAIN.match(value)
        and isinstance(resolve(value), str)
        and not _OTHERS.match(value)
        and value.lower() not in _WORDS
        and not value.endswith(":")
    )


def replace_scalar(text: str, node: ScalarNode, value: str, where: str) -> Edit:
    """Return the edit that makes a value say `value`, in its own style.

    Args:
        where: the place's name, for the error.

    Raises:
        UserError: it is a block text of more than one line, or stands where no value can be written.
    """
    assert _WRITABLE.match(value), "references, tags and digests only"
    if node.style == "'":
        return Edit(node.start, node.end, f"'{value}'")
    if node.style == '"':
        return Edit(node.start, node.end, f'"{value}"')
    if node.style:
        return _replace_block(text, node, value, where)
    if node.start == node.end:
        before = text[node.start - 1 : node.start]
        if before not in (":", "-", " ", "\t"):
            raise at_line(f"{where} holds nothing, and nothing can be put there", node.line, 'write "" there')
        return Edit(node.start, node.end, ("" if before in " \t" else " ") + write_plain(value))
    # Within brackets a colon may end a plain word, for some readers.
    plain = is_plain(value) and not (node.in_flow and ":" in value and ":" not in node.value)
    return Edit(node.start, node.end, value if plain else f'"{value}"')


def _replace_block(text: str, node: ScalarNode, value: str, where: str) -> Edit:
    old = node.value.strip()
    written = text[node.start : node.end]
    if not old or "\n" in old or written.count(old) != 1:
        raise at_line(
            f"{where} is a block of several lines", node.line, "write the value on the key's own line, without | or >"
        )
    start = node.start + written.index(old)
    return Edit(start, start + len(old), value)


def newline_of(text: str) -> str:
    """Return the line end that the text's first line has."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def insert_line(text: str, after: int, line: str) -> Edit:
    """Return the edit that puts `line` (or lines, parted by \\n) below the line that holds the offset `after`.

    `after` is the end of what the line must follow; a value's end may be the start of the next line.
    """
    newline = newline_of(text)
    content = line.replace("\n", newline)
    if after > 0 and text[after - 1] in "\r\n":
        return Edit(after, after, content + newline)
    end = text.find("\n", after)
    if end < 0:
        # The last line has no end, and keeps having none.
        return Edit(len(text), len(text), newline + content)
    return Edit(end + 1, end + 1, content + newline)


def add_field(text: str, node: MapNode, key: str, value: str, after: tuple[str, ...]) -> Edit:
    """Return the edit that adds `key: value` to a mapping, behind the last of the keys `after` that it has.

    Raises:
        UserError: none of these keys is there.
    """
    written = f"{key}: {write_plain(value)}"
    anchors = [(name, item) for name, item in node.entries if name.value in after]
    if not anchors:
        raise at_line(f"no place for {key}", node.line, f"write {key} there yourself")
    _, last = anchors[-1]
    end = end_of(last)
    if node.is_flow:
        return Edit(end, end, f", {written}")
    first = node.entries[0][0]
    column = first.start - (text.rfind("\n", 0, first.start) + 1)
    if column and text[first.start - column] == "\ufeff":
        column -= 1
    return insert_line(text, end, " " * column + written)


def remove_field(text: str, node: MapNode, key: str) -> Edit:
    """Return the edit that takes a key and its single value away, with its line where it has one of its own.

    Raises:
        UserError: it is the mapping's only key.
    """
    index = next(index for index, (name, _) in enumerate(node.entries) if name.value == key)
    name, value = node.entries[index]
    if len(node.entries) == 1:
        raise at_line(f"{key} stands alone and cannot be taken away", name.line, "correct the entry by hand")
    following = node.entries[index + 1][0] if index + 1 < len(node.entries) else None
    if node.is_flow:
        if following is not None:
            return Edit(name.start, following.start, "")
        return Edit(end_of(node.entries[index - 1][1]), end_of(value), "")
    begin = text.rfind("\n", 0, name.start) + 1
    if text[begin : name.start].strip(" "):
        # It stands behind the hyphen of its item: the next key moves up there.
        if following is None:
            raise UserError(f"line {name.line}: {key} cannot be taken away", hint="correct the entry by hand")
        return Edit(name.start, following.start, "")
    stop = end_of(value)
    if not (stop > 0 and text[stop - 1] in "\r\n"):
        newline = text.find("\n", stop)
        if newline < 0:
            # With the last line goes the line end before it, so that the text still ends without one.
            before = begin - 1 - (text[begin - 2 : begin - 1] == "\r")
            return Edit(max(before, 0), len(text), "")
        stop = newline + 1
    return Edit(begin, stop, "")


def end_of(node: Node) -> int:
    """Return the offset behind a node's last character."""
    if isinstance(node, (ListNode, MapNode)):
        return node.end
    return node.end
