"""HCL's functions of texts, as go-cty's `stdlib` and buildx have them. Pure."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import io
import json
import posixpath
import re
import urllib.parse
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from image_factory.dockerfile.hcl.nodes import HclError
from image_factory.dockerfile.hcl.patterns import compile_pattern, replace_all
from image_factory.dockerfile.hcl.values import (
    Entry,
    Function,
    Value,
    as_bool,
    as_integer,
    as_list,
    as_number,
    as_text,
    number,
)


def _text(function: Callable[..., Value]) -> Function:
    """Return a function of texts alone."""
    return lambda arguments, line: function(*(as_text(argument, line) for argument in arguments))


def _substr(arguments: Sequence[Any], line: int) -> Value:
    text, offset, length = as_text(arguments[0], line), as_integer(arguments[1], line), as_integer(arguments[2], line)
    start = max(len(text) + offset, 0) if offset < 0 else offset
    return text[start:] if length < 0 else text[start : start + length]


def _indent(arguments: Sequence[Any], line: int) -> Value:
    spaces = as_integer(arguments[0], line)
    text = as_text(arguments[1], line)
    if spaces * (text.count("\n") + 1) > 1_000_000:
        raise HclError(line, "an indentation of more than 1000000 characters")
    return text.replace("\n", "\n" + " " * spaces)


def _replace(arguments: Sequence[Any], line: int) -> Value:
    text, old, new = (as_text(argument, line) for argument in arguments)
    if (text.count(old) + 1) * len(new) > 4_000_000:
        raise HclError(line, "a text of more than 4000000 characters")
    return text.replace(old, new)


def _join(arguments: Sequence[Any], line: int) -> Value:
    items = [as_text(item, line) for argument in arguments[1:] for item in as_list(argument, line)]
    separator = as_text(arguments[0], line)
    if sum(map(len, items)) + len(separator) * len(items) > 4_000_000:
        raise HclError(line, "a text of more than 4000000 characters")
    return separator.join(items)


def _split(separator: str, text: str) -> Value:
    return list(text.split(separator) if separator else text)


def _title(text: str) -> str:
    return re.sub(r"(^|[\s_-])(\w)", lambda found: found[1] + found[2].upper(), text)


_VERB = re.compile(r"%(?:(%)|([-+ #0]*)(\d{0,3})(?:\.(\d{1,3}))?([vqsdtfgexXob]))")


def _format(arguments: Sequence[Any], line: int) -> Value:
    """Format as go-cty does: the verbs of Go's fmt, with `%v` for whatever it is."""
    waiting = list(arguments[1:])
    text = as_text(arguments[0], line)
    if re.search(r"%(?!%)", _VERB.sub("", text)):
        raise HclError(line, f"not a format that can be read: {text[:60]!r}")

    def shown(found: re.Match[str]) -> str:
        if found[1]:
            return "%"
        if not waiting:
            raise HclError(line, f"too few arguments for the format {text[:60]!r}")
        return _formatted(waiting.pop(0), found, line)

    result = _VERB.sub(shown, text)
    if waiting:
        raise HclError(line, f"too many arguments for the format {text[:60]!r}")
    return result


def _formatlist(arguments: Sequence[Any], line: int) -> Value:
    lengths = {len(argument) for argument in arguments[1:] if isinstance(argument, list)}
    if len(lengths) > 1:
        raise HclError(line, "formatlist wants lists of one length")
    rows = range(lengths.pop()) if lengths else range(1)
    return [
        _format([arguments[0], *(item[row] if isinstance(item, list) else item for item in arguments[1:])], line)
        for row in rows
    ]


def _formatted(value: Value, found: re.Match[str], line: int) -> str:
    _, flags, width, precision, verb = found.groups()
    if verb == "v":
        text = value if isinstance(value, str) else _json(value, line)
    elif verb == "q":
        text = json.dumps(as_text(value, line), ensure_ascii=False)
    elif verb == "s":
        text = as_text(value, line)
        text = text if precision is None else text[: int(precision)]
    elif verb == "t":
        text = as_text(as_bool(value, line), line)
    elif verb in "fge":
        text = format(as_number(value, line), f".{precision or 6}{verb}")
    else:
        text = format(as_integer(value, line), verb)
    if "+" in flags and verb in "dfge" and not text.startswith("-"):
        text = f"+{text}"
    if "-" in flags:
        return text.ljust(int(width or 0))
    return text.zfill(int(width or 0)) if "0" in flags and verb not in "sqv" else text.rjust(int(width or 0))


def _json(value: Value, line: int) -> str:
    """Return JSON as Go writes it: no space, and `<`, `>` and `&` escaped."""

    def plain(item: object) -> object:
        if isinstance(item, Decimal):
            return int(item) if item == item.to_integral_value() else float(item)
        raise HclError(line, "a value that JSON has no word for")

    text = json.dumps(value, default=plain, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _json_decoded(arguments: Sequence[Any], line: int) -> Value:
    try:
        decoded: Value = json.loads(
            as_text(arguments[0], line),
            parse_float=lambda text: number(text, line),
            parse_int=lambda t: number(t, line),
        )
    except (ValueError, RecursionError) as error:
        raise HclError(line, "jsondecode is given what is not JSON") from error
    return decoded


def _csv_decoded(arguments: Sequence[Any], line: int) -> Value:
    try:
        return [dict(row) for row in csv.DictReader(io.StringIO(as_text(arguments[0], line)), strict=True)]
    except csv.Error as error:
        raise HclError(line, "csvdecode is given what is not CSV") from error


def _base64_decoded(arguments: Sequence[Any], line: int) -> Value:
    try:
        return base64.b64decode(as_text(arguments[0], line), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise HclError(line, "base64decode is given what is not base64 of text") from error


def _hash(algorithm: str) -> Function:
    return _text(lambda text: hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest())


def _regex(arguments: Sequence[Any], line: int) -> Value:
    text = as_text(arguments[1], line)
    found = compile_pattern(as_text(arguments[0], line), text, line).search(text)
    if not found:
        raise HclError(line, f"the pattern {as_text(arguments[0], line)[:60]!r} is not in the text")
    return _captures(found)


def _regexall(arguments: Sequence[Any], line: int) -> Value:
    text = as_text(arguments[1], line)
    return [_captures(found) for found in compile_pattern(as_text(arguments[0], line), text, line).finditer(text)]


def _captures(found: re.Match[str]) -> Value:
    if found.re.groupindex:
        return dict(found.groupdict())
    return list(found.groups()) if found.re.groups else found.group()


def _regex_replace(arguments: Sequence[Any], line: int) -> Value:
    text, pattern, replacement = (as_text(argument, line) for argument in arguments)
    return replace_all(compile_pattern(pattern, text, line), text, replacement, line)


TEXT_FUNCTIONS: dict[str, Entry] = {
    "base64decode": (1, 1, _base64_decoded),
    "base64encode": (1, 1, _text(lambda text: base64.b64encode(text.encode()).decode())),
    "basename": (1, 1, _text(lambda path: posixpath.basename(path.rstrip("/")) or ("/" if path else "."))),
    "byteslen": (1, 1, _text(lambda text: Decimal(len(text.encode())))),
    "chomp": (1, 1, _text(lambda text: text.rstrip("\r\n"))),
    "csvdecode": (1, 1, _csv_decoded),
    "dirname": (1, 1, _text(lambda path: posixpath.normpath(posixpath.dirname(path) or "."))),
    "format": (1, None, _format),
    "formatlist": (1, None, _formatlist),
    "indent": (2, 2, _indent),
    "join": (1, None, _join),
    "jsondecode": (1, 1, _json_decoded),
    "jsonencode": (1, 1, lambda arguments, line: _json(arguments[0], line)),
    "lower": (1, 1, _text(str.lower)),
    "md5": (1, 1, _hash("md5")),
    "regex": (2, 2, _regex),
    "regex_replace": (3, 3, _regex_replace),
    "regexall": (2, 2, _regexall),
    "replace": (3, 3, _replace),
    "reverse": (1, 1, _text(lambda text: text[::-1])),
    "sanitize": (1, 1, _text(lambda text: re.sub(r"[^a-zA-Z0-9_-]", "_", text))),
    "sha1": (1, 1, _hash("sha1")),
    "sha256": (1, 1, _hash("sha256")),
    "sha512": (1, 1, _hash("sha512")),
    "split": (2, 2, _text(_split)),
    "strlen": (1, 1, _text(lambda text: Decimal(len(text)))),
    "substr": (3, 3, _substr),
    "title": (1, 1, _text(_title)),
    "trim": (2, 2, _text(lambda text, cut: text.strip(cut) if cut else text)),
    "trimprefix": (2, 2, _text(str.removeprefix)),
    "trimspace": (1, 1, _text(str.strip)),
    "trimsuffix": (2, 2, _text(str.removesuffix)),
    "upper": (1, 1, _text(str.upper)),
    "urlencode": (1, 1, _text(urllib.parse.quote_plus)),
}
