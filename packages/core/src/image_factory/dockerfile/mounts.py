"""`RUN --mount=…`: which image or stage a mount is taken from, and what BuildKit refuses.

As in frontend/dockerfile/instructions/commands_runmount.go. Pure.
"""

from __future__ import annotations

import re

from image_factory.dockerfile.reading import Category
from image_factory.dockerfile.text import Refusal, shown

_TYPES = frozenset({"bind", "cache", "tmpfs", "secret", "ssh"})
_SHARING = frozenset({"shared", "private", "locked"})
_KEYS = frozenset(
    {
        "type",
        "from",
        "source",
        "src",
        "target",
        "dst",
        "destination",
        "readonly",
        "ro",
        "readwrite",
        "rw",
        "required",
        "size",
        "id",
        "sharing",
        "mode",
        "uid",
        "gid",
        "env",
    }
)
_BARE = frozenset({"readonly", "ro", "readwrite", "rw", "required"})
_BOOLEANS = frozenset({"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"})
_NUMBERS = {"mode": re.compile(r"[0-7]+\Z"), "uid": re.compile(r"[0-9]+\Z"), "gid": re.compile(r"[0-9]+\Z")}
_SIZE = re.compile(r"\d+(\.\d+)? ?[kmgtp]?i?b?\Z", re.IGNORECASE | re.ASCII)


class Mount:
    """A mount with a `from`.

    Attributes:
        source: the value of `from`.
        start, end: where that value stands in the flag's value; None where quotes hide it.
        refusal: why BuildKit refuses the mount once it builds the stage, or None.
    """

    __slots__ = ("refusal", "source", "span")

    def __init__(self, source: str, span: tuple[int, int] | None, refusal: str | None) -> None:
        self.source = source
        self.span = span
        self.refusal = refusal


def read_mount(value: str) -> Mount:
    """Return what a mount is taken from (`source` is empty for the build context).

    Raises:
        Refusal: it cannot be read, or its `from` holds a variable.
    """
    source = ""
    span: tuple[int, int] | None = None
    fields = _fields(value)
    for field, start in fields:
        key, equals, content = field.partition("=")
        if not equals or key.lower() != "from":
            continue
        dollar = content.find("$")
        if 0 <= dollar != len(content) - 1:
            message = f"no variables are expanded in a mount's from={content}; name a stage, FROM {content} AS …"
            raise Refusal(message, Category.EXPANSION_NOT_ALLOWED)
        source = content
        span = None if start is None else (start + len(key) + 1, start + len(field))
    return Mount(source, span, _refusal([field for field, _ in fields], source))


def _fields(value: str) -> list[tuple[str, int | None]]:
    """Split one CSV record; with each field goes where it begins, where no quotes move it.

    Raises:
        Refusal: the quotes are wrong, or there is nothing.
    """
    if value.endswith("\n"):  # cannot come from a file, where lines end; kept out for the callers of tests
        value = value.rstrip("\r\n")
    if not value:
        raise Refusal("a mount without options")
    result: list[tuple[str, int | None]] = []
    if '"' not in value:
        start = 0
        for field in value.split(","):
            result.append((field, start))
            start += len(field) + 1
        return result
    position = 0
    while True:
        if not value.startswith('"', position):
            comma = value.find(",", position)
            end = len(value) if comma < 0 else comma
            field = value[position:end]
            if '"' in field:
                raise Refusal(f"a bare quote in the mount {shown(value)}")
            result.append((field, position))
        else:
            parts: list[str] = []
            while True:
                end = value.find('"', position + 1)
                if end < 0:
                    raise Refusal(f"missing quote in the mount {shown(value)}")
                parts.append(value[position + 1 : end])
                if not value.startswith('"', end + 1):
                    break
                parts.append('"')
                position = end + 1
            end += 1
            if end < len(value) and value[end] != ",":
                raise Refusal(f"a quote inside a field of the mount {shown(value)}")
            result.append(("".join(parts), None))
        if end >= len(value):
            return result
        position = end + 1


def _refusal(fields: list[str], source: str) -> str | None:
    """Return what BuildKit finds wrong with the options once it builds the stage, or None.

    Values with a variable are not looked at: what they are depends on the image's environment.
    """
    kind = "bind"
    seen: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        key = key.lower()
        if key not in (_KEYS if equals else _BARE):
            return f"unknown mount option {shown(field)}"
        wrong = f"wrong value in the mount option {shown(field)}"
        fixed = equals and "$" not in value and not any(char in value for char in "'\"\\`")
        if key == "type":
            if not fixed:
                return None
            if value.lower() not in _TYPES:
                return f"unknown mount type {shown(value)}"
            kind = value.lower()
        elif key == "required" and kind not in ("secret", "ssh"):
            return f"unexpected option 'required' for a {kind} mount"
        elif key == "size":
            if kind != "tmpfs":
                return f"unexpected option 'size' for a {kind} mount"
            if fixed and not _SIZE.match(value):
                return wrong
        elif fixed and (
            (key == "sharing" and value.lower() not in _SHARING)
            or (key in _BARE and value not in _BOOLEANS)
            or (key in _NUMBERS and not _NUMBERS[key].match(value))
        ):
            return wrong
        seen[key] = value
    if kind in ("bind", "tmpfs"):
        for key in _NUMBERS:
            if key in seen:
                return f"unexpected option '{key}' for a {kind} mount"
    if kind == "secret" and source:
        return "a secret mount has no from"
    if seen.get("sharing") and kind != "cache":
        return f"unexpected option 'sharing' for a {kind} mount"
    return None
