"""How a YAML list is laid out, so that what is added to it looks like what is there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from image_factory.state.yaml_parser import LOADER
from image_factory.state.yaml_tree import resolve


@dataclass(frozen=True, slots=True)
class ListStyle:
    """The layout of the one list of a text."""

    column: int = 0
    """Where the items' hyphens stand, from 0."""
    inner: int = 2
    """Columns from a hyphen to its item's first key."""
    indents_lists: bool = True
    """Whether a list below a key is indented further than the key."""
    is_spaced: bool = True
    """Whether blank lines part the items."""
    newline: str = "\n"
    end: int = 0
    """The offset where another item may be written: the text's end, or that of its one document."""
    flow_end: int | None = None
    """The offset of the closing bracket, where the list is written with brackets."""
    is_empty: bool = False
    """Whether there are brackets with nothing between them."""


def read_style(text: str) -> ListStyle:
    """Return the layout of a text that `parse_tree` takes; what it does not show is as we would write it."""
    newline = "\r\n" if "\r\n" in text else "\n"
    starts: list[int] = []
    inner = 2
    indents = True
    end = len(text)
    depth = 0
    flow_end: int | None = None
    column = 0
    key_column = 0
    skipped = len(text) - len(text.removeprefix("\ufeff"))
    for event in _events(text[skipped:]):
        kind: Any = type(event)
        if kind in (yaml.SequenceStartEvent, yaml.MappingStartEvent):
            mark = event.start_mark
            if depth == 0:
                column = mark.column
                flow_end = -1 if event.flow_style else None
            elif depth == 1 and kind is yaml.MappingStartEvent:
                starts.append(mark.line)
                key_column = mark.column
                if not event.flow_style and mark.column > column:
                    inner = mark.column - column
            elif depth == 2 and kind is yaml.SequenceStartEvent and not event.flow_style:
                indents = mark.column > key_column
            depth += 1
        elif kind in (yaml.SequenceEndEvent, yaml.MappingEndEvent):
            depth -= 1
            if depth == 0 and flow_end is not None:
                flow_end = skipped + event.end_mark.index - 1
        elif kind is yaml.DocumentEndEvent and event.explicit:
            end = skipped + event.start_mark.index
    lines = text.splitlines()
    gaps = [bool(_blank_or_comment_gap(lines, line)) for line in starts[1:]]
    return ListStyle(
        column=column,
        inner=inner,
        indents_lists=indents,
        is_spaced=any(gaps) if gaps else True,
        newline=newline,
        end=end,
        flow_end=flow_end,
        is_empty=flow_end is not None and not starts,
    )


def _events(text: str) -> Iterator[Any]:
    yield from yaml.parse(text, Loader=LOADER)


def _blank_or_comment_gap(lines: list[str], line: int) -> bool:
    """Whether a blank line stands before an item, comments directly above it passed over."""
    above = line - 1
    while above >= 0 and lines[above].lstrip().startswith("#"):
        above -= 1
    return above >= 0 and not lines[above].strip()


# YAML 1.2 takes these for numbers, and YAML 1.1 does not.
_NUMBER_ELSEWHERE = re.compile(r"[-+]?(?:0o[0-7]+|[0-9]+(?:\.[0-9]*)?[eE][0-9]+)\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")


class _Dumper(yaml.SafeDumper):
    """Block style, no aliases; words that some reader would not take for text in double quotes."""

    indents_lists = True

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless and not self.indents_lists)


class _FlatDumper(_Dumper):
    indents_lists = False


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    lines = value.split("\n")
    is_prose = len(lines) > 1 and value[0] not in " \n" and all(line.rstrip() == line for line in lines)
    if is_prose and "".join(lines).isprintable():
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|")
    is_word = isinstance(resolve(value), str) and value.isprintable()
    quoted = not is_word or _NUMBER_ELSEWHERE.match(value) or _DATE.match(value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if quoted else None)


_Dumper.add_representer(str, _represent_text)
_FlatDumper.add_representer(str, _represent_text)


def dump_block(entry: Mapping[str, Any], *, indents_lists: bool = True) -> str:
    """Return a mapping as block YAML, its keys in their own order, each text read back as text."""
    dumper = _Dumper if indents_lists else _FlatDumper
    return yaml.dump(_plain(entry), Dumper=dumper, sort_keys=False, allow_unicode=True, width=10_000)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
