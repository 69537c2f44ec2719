"""Change some fields of a state file's text and leave every other byte. Pure.

A file's top-level keys stand in the first column. Each owns the text from its key to the next one,
but for the comments and empty lines that stand above that next one. A field that differs is written
anew, with `state.commented` where there are comments inside it; a new field goes where the order of
`state.order` has it, under its group's comment; a group's comment goes with its last field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from image_factory.errors import InvalidState
from image_factory.state.order import Section
from image_factory.state.yaml_reader import compose
from image_factory.state.yaml_writer import write_mapping


@dataclass(slots=True)
class _Entry:
    """One top-level key: what stands above it, and its own lines."""

    key: str
    above: str
    own: str


def edit_text(
    text: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    sections: tuple[Section, ...],
    same: Callable[[object, object], bool],
    *,
    keep_inner_comments: bool = True,
) -> str | None:
    """Return `text`, which says `old`, changed to say `new`; None where that cannot be done in place.

    The caller checks what the result says: an alias into a changed field is not looked after here.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    entries, tail = _entries(text.removeprefix("\ufeff"))
    if not entries:
        return None
    there = {entry.key for entry in entries}
    rank = {key: index for index, key in enumerate(key for section in sections for key in section.keys)}
    for entry in entries:
        if entry.key in new and not same(old.get(entry.key), new[entry.key]):
            entry.own = _rewritten(entry, old.get(entry.key), new[entry.key], keep_inner_comments)
    for key, value in new.items():
        if key not in there:
            _insert(entries, key, write_mapping({key: value}), sections, rank)
    # After the new ones are there, so that a group's comment stays for them.
    for key in there:
        # What stands there at its default is in neither, and stays.
        if key not in new and (key in old or key not in rank):
            tail = _remove(entries, key, tail)
    for section in sections:
        if not any(entry.key in section.keys for entry in entries):
            tail = _without_comment(entries, section, tail)
    edited = "".join(entry.above + entry.own for entry in entries) + tail
    if "\r\n" in text:
        edited = edited.replace("\r\n", "\n").replace("\n", "\r\n")
    return mark + edited


def comment_text(section: Section) -> str:
    """Return the lines that stand above a group."""
    return "".join(f"# {line}\n" for line in section.comment)


def _entries(text: str) -> tuple[list[_Entry], str]:
    """Part the text at its top-level keys; nothing where they do not each begin a line."""
    try:
        root = compose(text, "")
    except InvalidState:
        return [], ""
    if not isinstance(root, yaml.MappingNode) or root.flow_style or not root.value:
        return [], ""
    starts = []
    for key, _ in root.value:
        if key.start_mark.column != 0 or not text[key.start_mark.index :].startswith((key.value, '"', "'")):
            return [], ""
        starts.append((key.value, key.start_mark.index))
    entries = []
    above = text[: starts[0][1]]
    for (key, start), end in zip(starts, [index for _, index in starts[1:]] + [len(text)], strict=True):
        own, rest = _split_trailing(text[start:end])
        entries.append(_Entry(key, above, own if own.endswith("\n") else f"{own}\n"))
        above = rest
    return entries, above


def _split_trailing(chunk: str) -> tuple[str, str]:
    """Part a key's lines from the empty lines and comments in the first column that follow them."""
    lines = chunk.split("\n")
    lines = [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    count = len(lines)
    while count > 1 and (not lines[count - 1].strip() or lines[count - 1].startswith(("#", "..."))):
        count -= 1
    return "".join(lines[:count]), "".join(lines[count:])


def _rewritten(entry: _Entry, old: object, new: object, keep_inner_comments: bool) -> str:
    if keep_inner_comments and "#" in entry.own:
        # A heavy library, and few files hold comments inside a field.
        from image_factory.state.commented import update_commented

        commented = update_commented(entry.own, entry.key, old, new)
        if commented is not None:
            return commented
    return write_mapping({entry.key: new})


def _remove(entries: list[_Entry], key: str, tail: str) -> str:
    index = next(index for index, entry in enumerate(entries) if entry.key == key)
    above = entries.pop(index).above
    if index < len(entries):
        entries[index].above = above + entries[index].above
        return tail
    return above + tail


def _insert(entries: list[_Entry], key: str, own: str, sections: tuple[Section, ...], rank: Mapping[str, int]) -> None:
    section = next((section for section in sections if key in section.keys), None)
    if section is None:
        entries.append(_Entry(key, "", own))
        return
    # After the field that comes before it in the order, wherever a person has put that one.
    before = [
        (rank[entry.key], index) for index, entry in enumerate(entries) if rank.get(entry.key, 1 << 30) < rank[key]
    ]
    place = max(before)[1] + 1 if before else 0
    following = entries[place] if place < len(entries) else None
    comment = comment_text(section)
    if not any(entry.key in section.keys for entry in entries):
        above = f"\n{comment}" if place else comment
        if following is not None and not place and not following.above.startswith("\n"):
            following.above = f"\n{following.above}"
    elif following is not None and comment in following.above:
        cut = following.above.index(comment) + len(comment)
        above, following.above = following.above[:cut], following.above[cut:]
    else:
        above = ""
    entries.insert(place, _Entry(key, above, own))


def _without_comment(entries: list[_Entry], section: Section, tail: str) -> str:
    comment = comment_text(section)
    for entry in entries:
        if comment in entry.above:
            entry.above = _cut(entry.above, comment)
            return tail
    return _cut(tail, comment)


def _cut(text: str, comment: str) -> str:
    for spaced in (f"\n{comment}", comment):
        if spaced in text:
            return text.replace(spaced, "", 1)
    return text
