"""Entries added to images.yaml as text, its comments and layout kept. Pure: text in, text out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from image_factory.errors import Conflict, InvalidEnrollment, Location
from image_factory.state.images_yaml import read_images
from image_factory.state.yaml_parser import parse_tree
from image_factory.state.yaml_style import ListStyle, dump_block, read_style
from image_factory.state.yaml_tree import ListNode, to_value


def add_entry(text: str, entry: Mapping[str, Any], file: str = "images.yaml") -> str:
    """Return `text` with one more entry at the end of its list; see `add_entries`."""
    return add_entries(text, (entry,), file)


def add_entries(text: str, entries: Sequence[Mapping[str, Any]], file: str = "images.yaml") -> str:
    """Return `text` with more entries at the end of its list; every line that was there stays as it is.

    Indentation, line ends and blank lines between entries are the file's own. (The one line that
    changes is a list written as `[]` or on one line with brackets.)

    Args:
        entries: in images.yaml's own keys, in the order in which they are to be written.

    Raises:
        Conflict: an entry of that name is there already.
        InvalidEnrollment: an entry is not right, or `text` is no list to append to.
    """
    before = read_images(text, file)
    for entry in entries:
        if entry.get("name") in before.names:
            where = next((each.location for each in before.enrollments if each.enrollment.name == entry["name"]), None)
            raise Conflict(
                f"{entry['name']} is enrolled already",
                hint="choose another name, or change the entry that is there",
                location=where or Location(file),
            )
    root = parse_tree(text, file, InvalidEnrollment)
    if root is not None and not isinstance(root, ListNode):
        raise before.problems[0]
    if not entries:
        return text
    known = frozenset(map(str, before.problems))
    for edited in _candidates(text, entries):
        if _adds_only(root, edited, entries, file):
            after = read_images(edited, file)
            new = [problem for problem in after.problems if str(problem) not in known]
            if new:
                raise new[0]
            return edited
    raise InvalidEnrollment(
        "this list is written in a way that cannot be appended to",
        hint="write each image as '- name: …' on lines of its own",
        location=Location(file),
    )


def _candidates(text: str, entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield texts with the entries added, the nicest first; what they mean is checked by the caller."""
    style = read_style(text)
    if style.flow_end is not None:
        if style.is_empty:
            start = text.rindex("[", 0, style.flow_end)
            yield from _candidates(text[:start] + text[style.flow_end + 1 :], entries)
            return
        kept = text[: style.flow_end].rstrip().rstrip(",")
        listed = ", ".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
        yield f"{kept}, {listed}{text[style.flow_end :]}"
        return
    head, tail = text[: style.end], text[style.end :]
    if head and not head.endswith(("\n", "\r")):
        head += style.newline
    between = style.newline if style.is_spaced else ""
    block = between.join(_render(entry, style) for entry in entries)
    yield f"{head}{between if head.strip() else ''}{block}{tail}"
    yield f"{head}{block}{tail}"


def _adds_only(before: ListNode | None, edited: str, entries: Sequence[Mapping[str, Any]], file: str) -> bool:
    """Whether `edited` means what was there, and then the entries."""
    try:
        after = parse_tree(edited, file, InvalidEnrollment)
    except InvalidEnrollment:
        return False
    if not isinstance(after, ListNode):
        return False
    kept = [] if before is None else to_value(before)
    return bool(to_value(after) == [*kept, *map(_as_yaml_reads, entries)])


def _as_yaml_reads(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_yaml_reads(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_yaml_reads(item) for item in value]
    return value


def _render(entry: Mapping[str, Any], style: ListStyle) -> str:
    """Write one entry as an item of a block list in the file's own style."""
    body = dump_block(entry, indents_lists=style.indents_lists).rstrip("\n").split("\n")
    first = " " * style.column + "-" + " " * (style.inner - 1)
    rest = " " * (style.column + style.inner)
    lines = [(first if number == 0 else rest) + line if line else "" for number, line in enumerate(body)]
    return style.newline.join(lines) + style.newline
