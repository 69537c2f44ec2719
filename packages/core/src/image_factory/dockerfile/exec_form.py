"""The JSON form of instructions, `CMD ["a", "b"]` (frontend/dockerfile/parser/line_parsers.go). Pure."""

from __future__ import annotations

import re

from image_factory.dockerfile.text import SPACES, Refusal, shown

# What nearly every such array is made of; anything else is left to the json module.
_STRING = r'"[^"\\\x00-\x1f]*+"'
_STRINGS = re.compile(rf"\[[ \t\r\n]*+(?:{_STRING}[ \t\r\n]*+(?:,[ \t\r\n]*+{_STRING}[ \t\r\n]*+)*+)?\]\Z")
_ITEM = re.compile(_STRING)


def exec_form(arguments: str) -> list[str] | None:
    """Return the strings of a JSON array, or None where the arguments are no JSON array.

    Raises:
        Refusal: it is an array of something other than strings.
    """
    arguments = arguments.lstrip(SPACES)
    if arguments[:1] != "[":
        return None
    if _STRINGS.match(arguments):
        return [item[1:-1] for item in _ITEM.findall(arguments)]
    import json

    try:
        items = json.loads(arguments, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in items):
        raise Refusal(f"a JSON array of an instruction holds strings only: {shown(arguments)}")
    return list(items)


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON has not."""
    raise ValueError(name)
