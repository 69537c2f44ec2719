"""Shell patterns in `${X#p}`, `${X%p}` and `${X/p/r}`: literal text, `?`, `*`, and escapes.

They are matched as BuildKit's regular expressions would (frontend/dockerfile/shell/lex.go), but by
searching for the literal parts one after the other, so that no pattern can make it slow. Pure.
"""

from __future__ import annotations

import re

from image_factory.dockerfile.text import Refusal, shown

Chunk = tuple[str | None, ...]
"""Characters between two stars; None stands for `?`."""


def parse_pattern(pattern: str) -> list[Chunk]:
    """Return the literal parts of a pattern; between each two of them stands a star.

    Raises:
        Refusal: a backslash stands before something that needs none.
    """
    chunks: list[Chunk] = []
    chunk: list[str | None] = []
    index = 0
    while index < len(pattern):
        char = pattern[index]
        index += 1
        if char == "*":
            chunks.append(tuple(chunk))
            chunk = []
            continue
        if char == "?":
            chunk.append(None)
            continue
        if char == "\\":
            following = pattern[index : index + 1]
            if following in ("}", "/") and following:
                continue
            if following not in ("*", "?", "\\") or not following:
                raise Refusal(f"invalid escape in the pattern {shown(pattern)}")
            char = following
            index += 1
        chunk.append(char)
    chunks.append(tuple(chunk))
    return chunks


def trim_prefix(pattern: str, value: str, *, greedy: bool) -> str:
    """Return `value` without what `pattern` matches at its start: the longest match if greedy."""
    end = _end_of_match(parse_pattern(pattern), value, 0, greedy=greedy)
    return value if end is None else value[end:]


def trim_suffix(pattern: str, value: str, *, greedy: bool) -> str:
    """Return `value` without what `pattern` matches at its end: the longest match if greedy."""
    return trim_prefix(_reverse(pattern), value[::-1], greedy=greedy)[::-1]


def replace(pattern: str, value: str, replacement: str, *, everywhere: bool) -> str:
    """Return `value` with the first match, or every match, of `pattern` replaced."""
    chunks = parse_pattern(pattern)
    if not everywhere:
        found = _search(chunks, value, 0)
        return value if found is None else value[: found[0]] + replacement + value[found[1] :]
    if len(chunks) == 1 and chunks[0] and None not in chunks[0] and "$" not in replacement:
        return value.replace("".join(char for char in chunks[0] if char is not None), replacement)
    # The loop of Go's regexp.ReplaceAllString: an empty match right after a match is passed over.
    out: list[str] = []
    position = copied = 0
    while position <= len(value):
        found = _search(chunks, value, position)
        if found is None:
            break
        start, end = found
        out.append(value[copied:start])
        if end > copied or start == 0:
            out.append(_fill(replacement, value[start:end]))
        copied = end
        position = end if end > position else position + 1
    out.append(value[copied:])
    return "".join(out)


def _reverse(pattern: str) -> str:
    units: list[str] = []
    index = 0
    while index < len(pattern):
        width = 2 if pattern[index] == "\\" and index + 1 < len(pattern) else 1
        units.append(pattern[index : index + width])
        index += width
    return "".join(reversed(units))


def _find(chunk: Chunk, value: str, start: int) -> int:
    """Return where `chunk` first stands in `value` from `start` on, or -1."""
    if None not in chunk:
        return value.find("".join(char for char in chunk if char is not None), start)
    expression = "".join("." if char is None else re.escape(char) for char in chunk)
    found = re.compile(expression).search(value, start)
    return -1 if found is None else found.start()


def _find_last(chunk: Chunk, value: str, start: int) -> int:
    """Return where `chunk` last stands in `value`, but not before `start`, or -1."""
    found = _find(chunk[::-1], value[::-1], 0)
    at = len(value) - found - len(chunk)
    return -1 if found < 0 or at < start else at


def _end_of_match(chunks: list[Chunk], value: str, start: int, *, greedy: bool) -> int | None:
    """Return where a match that begins at `start` ends, or None."""
    first = chunks[0]
    if start + len(first) > len(value) or _find(first, value[start : start + len(first)], 0) != 0:
        return None
    position = start + len(first)
    # The first place of each part leaves the most room for those after it, so none is tried twice.
    for chunk in chunks[1:-1]:
        found = _find(chunk, value, position)
        if found < 0:
            return None
        position = found + len(chunk)
    if len(chunks) == 1:
        return position
    last = chunks[-1]
    found = _find_last(last, value, position) if greedy else _find(last, value, position)
    return None if found < 0 else found + len(last)


def _search(chunks: list[Chunk], value: str, start: int) -> tuple[int, int] | None:
    """Return the leftmost match from `start` on, stretched as far as its stars go."""
    found = _find(chunks[0], value, start)
    if found < 0:
        return None
    end = _end_of_match(chunks, value, found, greedy=True)
    return None if end is None else (found, end)


_GROUP = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")


def _fill(replacement: str, matched: str) -> str:
    """Return the replacement with Go's `$0` filled in; there are no other groups."""
    if "$" not in replacement:
        return replacement

    def fill(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        return matched if (found[2] or found[3]) == "0" else ""

    return _GROUP.sub(fill, replacement)
