"""Parser directives, the `# name=value` comments at the very top (frontend/dockerfile/parser/directives.go). Pure."""

from __future__ import annotations

from image_factory.dockerfile.text import BOM, SPACES

_KNOWN = frozenset({"syntax", "escape", "check"})
_BLANK = " \t\n\f\r"


class Directive:
    """One directive; `start` is where its value stands in the text that it was read from."""

    __slots__ = ("line", "name", "start", "value")

    def __init__(self, name: str, value: str, start: int, line: int) -> None:
        self.name = name
        self.value = value
        self.start = start
        self.line = line


def read_directive(text: str, start: int, mark: str, line: int) -> Directive | None:
    """Return the directive that `text` is from `start` on, after the comment mark, or None."""
    if not text.startswith(mark, start):
        return None
    equals = text.find("=", start)
    if equals < 0:
        return None
    name = text[start + len(mark) : equals].lstrip(SPACES).rstrip(_BLANK).lower()
    if name not in _KNOWN:
        return None
    begin = equals + 1
    rest = text[begin:]
    value = rest.strip(_BLANK)
    if not value:
        # The value is at least one character, so of nothing but blanks the last one is it.
        return Directive(name, rest[-1], len(text) - 1, line) if rest else None
    return Directive(name, value, begin + rest.index(value[0]), line)


def read_syntax(text: str) -> Directive | None:
    """Return the first `syntax` directive, with `start` in the whole text, or None.

    It is looked for more strictly than BuildKit's own parser does: no space before the `#`; but
    after a `#!` line, after `//`, or as a key of a file that is JSON.
    """
    start = 1 if text.startswith(BOM) else 0
    number = 1
    if text.startswith("#!", start):
        end = text.find("\n", start)
        start = len(text) if end < 0 else end + 1
        number = 2
    for mark in ("#", "//"):
        if text.startswith(mark, start):
            return _first_syntax(text, start, mark, number)
    if text.startswith("{", len(text) - len(text[start:].lstrip(_BLANK)) if start < len(text) else start):
        return _json_syntax(text, start, number)
    return None


def _first_syntax(text: str, start: int, mark: str, number: int) -> Directive | None:
    seen: set[str] = set()
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        directive = read_directive(text[start:end].removesuffix("\r"), 0, mark, number)
        if directive is None:
            return None
        if directive.name == "syntax":
            directive.start += start
            return directive
        if directive.name in seen:
            return None
        seen.add(directive.name)
        start = end + 1
        number += 1
    return None


def _json_syntax(text: str, start: int, number: int) -> Directive | None:
    import json

    try:
        content = json.loads(text[start:])
    except (ValueError, RecursionError):
        return None
    value = content.get("syntax") if isinstance(content, dict) else None
    if not isinstance(value, str):
        return None
    at = text.find(f'"{value}"', start)
    return Directive("syntax", value, at + 1 if at >= 0 else -1, number)
