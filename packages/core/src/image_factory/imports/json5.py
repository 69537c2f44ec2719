"""JSON5 (spec.json5.org, 1.0.0), as the tree that YAML is read into, so that every value knows its line.

Renovate takes JSON5 in all of its files. The libraries for it give values without lines, and a sentence
about a setting is of use only with the line that it stands in. Read without recursion, in bounds. Pure.
"""

from __future__ import annotations

import re

from image_factory.errors import Location, UserError
from image_factory.state.yaml_parser import MAX_DEPTH
from image_factory.state.yaml_tree import ListNode, MapNode, Node, Scalar

MAX_CHARACTERS = 4 * 1024 * 1024
"""Characters of one text. The longest configurations that people write have some thousand lines."""

_BLANK = "\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_SPACE = re.compile(rf"(?>[{_BLANK}]+|//[^\n\r\u2028\u2029]*|/\*(?>[^*]+|\*(?!/))*\*/)*")
_STRING = re.compile(r'"(?>[^"\\\n\r]+|\\(?:\r\n|[\s\S]))*"|' + r"'(?>[^'\\\n\r]+|\\(?:\r\n|[\s\S]))*'")
_NAME = re.compile(r"(?:[^\W\d]|[$_])(?:\w|[$\u200c\u200d])*")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F]{1,256}|(?:(?:0|[1-9][0-9]{0,308})(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|Infinity|NaN)"
    r"(?![\w$.])"
)
_WORD = re.compile(r"(?:true|false|null)(?![\w$])")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_ESCAPE = re.compile(r"\\(\r\n|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[\s\S])")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
_CONTINUATIONS = frozenset({"\n", "\r", "\r\n", "\u2028", "\u2029"})


def parse_json5(text: str, file: str) -> Node:
    """Return the tree of the one value in `text`; of a key that stands twice, the last value counts.

    Raises:
        UserError: the text is not JSON5, or is beyond the bounds; it says at which line.
    """
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"larger than {MAX_CHARACTERS:,} characters", hint="split it", location=Location(file))
    return _Reading(text, file).document()


class _Reading:
    """One pass over a text, with the line that it has come to."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._at = 0
        self._line = 1

    def document(self) -> Node:
        self._skip()
        root = self._value()
        stack: list[ListNode | MapNode] = [] if isinstance(root, Scalar) else [root]
        parted = [True]  # whether the next value of each open collection may come
        while stack:
            top = stack[-1]
            self._skip()
            if self._take("}" if isinstance(top, MapNode) else "]"):
                stack.pop()
                parted.pop()
                continue
            if not parted[-1]:
                if not self._take(","):
                    raise self._wrong("a comma or a closing bracket is missing")
                parted[-1] = True
                continue
            parted[-1] = False
            key, line = self._key() if isinstance(top, MapNode) else ("", 0)
            node = self._value()
            if isinstance(top, MapNode):
                top.entries[key] = node
                top.key_lines[key] = line
            else:
                top.items.append(node)
            if not isinstance(node, Scalar):
                if len(stack) >= MAX_DEPTH:
                    raise self._wrong(f"nested more than {MAX_DEPTH} deep")
                stack.append(node)
                parted.append(True)
        self._skip()
        if self._at < len(self._text):
            raise self._wrong("something follows the end of the value")
        return root

    def _skip(self) -> None:
        self._move(_SPACE.match(self._text, self._at))
        if self._text.startswith("/*", self._at):
            raise self._wrong("a comment has no end")

    def _move(self, match: re.Match[str] | None) -> str:
        assert match is not None
        self._line += match[0].count("\n")
        self._at = match.end()
        return match[0]

    def _take(self, character: str) -> bool:
        if self._text.startswith(character, self._at):
            self._at += 1
            return True
        return False

    def _key(self) -> tuple[str, int]:
        line = self._line
        string = _STRING.match(self._text, self._at)
        name = string or _NAME.match(self._text, self._at)
        if name is None:
            raise self._wrong("a key is missing")
        key = self._move(name)
        self._skip()
        if not self._take(":"):
            raise self._wrong("a colon is missing")
        self._skip()
        return (self._unescaped(key) if string else key), line

    def _value(self) -> Node:
        line = self._line
        if self._take("{"):
            return MapNode(line)
        if self._take("["):
            return ListNode(line)
        if string := _STRING.match(self._text, self._at):
            value = self._unescaped(string[0])
            self._move(string)
            return Scalar(line, value, value)
        if word := _WORD.match(self._text, self._at):
            return Scalar(line, self._move(word), _WORDS[word[0]])
        if number := _NUMBER.match(self._text, self._at):
            return Scalar(line, self._move(number), _number(number[0]))
        raise self._wrong("a value is missing")

    def _unescaped(self, quoted: str) -> str:
        body = quoted[1:-1]
        if "\\" not in body:
            return body
        plain = _ESCAPE.sub(self._character, body)
        # A character beyond the basic plane is written as two escapes (ES5, section 7.8.4).
        return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _character(self, match: re.Match[str]) -> str:
        escape = match[1]
        if escape[0] in "xu" and len(escape) > 1:
            return chr(int(escape[1:], 16))
        if escape in _CONTINUATIONS:
            return ""
        if escape in "xu123456789":
            raise self._wrong(f"not an escape: {match[0]!r}")
        return _ESCAPED.get(escape, escape)

    def _wrong(self, problem: str) -> UserError:
        column = self._at - self._text.rfind("\n", 0, self._at)
        return UserError(
            f"not JSON5 at column {column}: {problem}",
            hint="check the quotes, commas and brackets of this line and of the one before it",
            location=Location(self._file, self._line),
        )


def _number(text: str) -> int | float:
    digits = text.lstrip("+-")
    sign = -1 if text.startswith("-") else 1
    if digits[:2] in ("0x", "0X"):
        return sign * int(digits, 16)
    if digits == "Infinity":
        return sign * float("inf")
    if digits == "NaN":
        return float("nan")
    return int(text) if digits.isdigit() else float(text)
