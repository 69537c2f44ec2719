"""State files' YAML as plain values where it has the form that we write: line by line, without libyaml. Pure.

Most files are never edited, and a reader of their few forms takes a quarter of the time. A line of any
other form (a text in other quotes or with rare escapes, an anchor, a comment behind a value, a letter
beyond ASCII …) makes it no file of ours: None, and `yaml_reader` reads it, or says what is wrong with it. What is
returned is what `yaml_reader` returns.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

MAX_TEXT = 16 * 1024 * 1024
"""Characters of one file. A base with 10,000 recorded updates has about 3 million."""
MAX_LINES = 100_000
"""Lines of a file that is read here; bounds its values, too."""
MAX_LINE = 1_000
"""Characters of a line; what lines say is kept, since files have most of them in common."""
MAX_INDENT = 32

_KEY = r"[A-Za-z_][A-Za-z0-9_./-]{0,120}+"
# Such as begin with a letter and hold no indicator, which every reader takes for one text; `yaml_writer` has it.
_TEXT = r"[A-Za-z_/](?:[A-Za-z0-9_./@+=,()-]++|:(?=[^\s:])| (?=[A-Za-z0-9_./@+=(]))*+"
_QUOTED = r'"(?P<quoted>(?:[ !#-\[\]-~]++|\\[\\"])*+)"'
_VALUE = rf"{_QUOTED}|(?P<text>{_TEXT})|(?P<number>0|-?[1-9][0-9]{{0,17}})|(?P<empty>\[\]|\{{\}})"
_LINE = re.compile(
    rf"(?P<indent> {{0,{MAX_INDENT}}}+)(?P<dash>- )?(?:(?P<key>{_KEY}):(?:\Z| (?=[^ ])))?(?:{_VALUE})?\Z", re.ASCII
)
_ODD = re.compile(r"[^\n -~]")
_ESCAPE = re.compile(r"\\(.)")
_WORDS = {"true": True, "false": False, "null": None, "Null": None, "NULL": None}


class _Line(NamedTuple):
    """What one line says."""

    indent: int
    is_item: bool
    key: str | None
    value: Any
    """`_NONE` where there is none; `[]` and `{}` as the types that make them."""


_NONE = object()


class _Block(NamedTuple):
    """A mapping or a list that is being read."""

    indent: int
    values: Any
    is_list: bool


def parse_mapping(text: str, source: str) -> dict[str, Any]:
    """Return the mapping that a document holds; a document of nothing is an empty one.

    Args:
        text: the file, decoded.
        source: the file's name, for errors.

    Raises:
        InvalidState: not YAML, not a mapping, a key twice, or beyond the bounds; with the line.
    """
    values = read_own_form(text)
    if values is None:
        # Imported, and YAML's library with it, only for what people have written.
        from image_factory.state.yaml_reader import parse_any_form

        values = parse_any_form(text, source)
    return values


def read_own_form(text: str) -> dict[str, Any] | None:
    """Return the mapping that `text` holds, or None where it is not of the form that we write."""
    if len(text) > MAX_TEXT or text.count("\n") > MAX_LINES or _ODD.search(text):
        return None
    root: dict[str, Any] = {}
    blocks = [_Block(0, root, False)]
    open_key: str | None = None
    """A key of the innermost mapping whose value stands below it, or is none."""
    for line in text.split("\n"):
        if not line or line.lstrip(" ")[:1] in ("", "#"):
            continue
        read = _read(line)
        if read is None:
            return None
        at, is_item, key, value = read
        if open_key is not None:
            parent = blocks[-1]
            if at > parent.indent or (is_item and at == parent.indent):
                below: Any = [] if is_item else {}
                parent.values[open_key] = below
                blocks.append(_Block(at, below, is_item))
            open_key = None
        while blocks[-1].indent > at or (blocks[-1].is_list and not is_item):
            blocks.pop()
        indent, values, is_list = blocks[-1]
        if indent != at or is_list is not is_item:
            return None
        if value is list or value is dict:
            value = value()
        if key is None:
            values.append(value)
            continue
        if is_item:
            item: dict[str, Any] = {}
            values.append(item)
            values = item
            blocks.append(_Block(at + 2, item, False))
        if key in values:
            return None
        if value is _NONE:
            open_key, value = key, None
        values[key] = value
    return root


@lru_cache(maxsize=8192)
def _read(line: str) -> _Line | None:
    found = _LINE.match(line) if len(line) <= MAX_LINE else None
    if found is None:
        return None
    indent, dash, key, quoted, plain, number, empty = found.groups()
    value: Any = _NONE
    if quoted is not None:
        value = _ESCAPE.sub(r"\1", quoted) if "\\" in quoted else quoted
    elif plain is not None:
        value = _WORDS.get(plain, plain)
    elif number is not None:
        value = int(number)
    elif empty is not None:
        value = list if empty == "[]" else dict
    if key is None and (dash is None or value is _NONE):
        return None
    return _Line(len(indent), dash is not None, key, value)
