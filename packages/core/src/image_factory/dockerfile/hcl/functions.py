"""The functions of bake files: go-cty's standard library as buildx offers it (buildx `bake/hclparser/stdlib.go`).

What only the build can know (the time, random numbers, the user's home) is `UNKNOWN`. Pure.
"""

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
from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, DecimalException
from typing import Any

from image_factory.dockerfile.hcl.nodes import HclError
from image_factory.dockerfile.hcl.patterns import compile_pattern, replace_all
from image_factory.dockerfile.hcl.values import (
    ARITHMETIC,
    UNKNOWN,
    Value,
    as_bool,
    as_integer,
    as_list,
    as_number,
    as_object,
    as_text,
    bounded,
    equal,
    is_known,
    kind,
    number,
)

MAX_ITEMS = 10_000
"""Items of one list that a function makes."""

Function = Callable[[Sequence[Any], int], Value]


def call(name: str, arguments: Sequence[Value], line: int) -> Value:
    """Return what a function makes of its arguments.

    Raises:
        HclError: there is no such function, or it cannot take these arguments.
    """
    if name in _OF_THE_BUILD:
        return UNKNOWN
    if name in _UNREAD:
        if not all(map(is_known, arguments)):
            return UNKNOWN
        raise HclError(line, f"the function {name!r} is not read here")
    entry = _FUNCTIONS.get(name)
    if entry is None:
        raise HclError(line, f"no function of this name is known: {name!r}")
    least, most, function = entry
    if len(arguments) < least or (most is not None and len(arguments) > most):
        raise HclError(line, f"{name} takes {_arity(least, most)}, not {len(arguments)}")
    if name not in _TAKES_UNKNOWN and not all(map(is_known, arguments)):
        return UNKNOWN
    value = function(arguments, line)
    if isinstance(value, list) and len(value) > MAX_ITEMS:
        raise HclError(line, f"{name} makes a list of more than {MAX_ITEMS} items")
    return bounded(value, line) if isinstance(value, str) else value


def _arity(least: int, most: int | None) -> str:
    if least == most:
        return f"{least} argument{'' if least == 1 else 's'}"
    return f"at least {least}" if most is None else f"{least} to {most} arguments"


# --- text ------------------------------------------------------------------------------------------


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


# --- numbers and truths ------------------------------------------------------------------------------


def _numbers(function: Callable[..., Decimal | bool]) -> Function:
    """Return a function of numbers alone."""

    def called(arguments: Sequence[Any], line: int) -> Value:
        try:
            return function(*(as_number(argument, line) for argument in arguments))
        except (DecimalException, ArithmeticError) as error:
            raise HclError(line, "a sum that has no result") from error

    return called


def _truncated_modulo(left: Decimal, right: Decimal) -> Decimal:
    return ARITHMETIC.remainder(left, right)


def _parseint(arguments: Sequence[Any], line: int) -> Value:
    text, base = as_text(arguments[0], line), as_integer(arguments[1], line)
    try:
        if len(text) > 100 or not 2 <= base <= 36:
            raise ValueError
        return number(int(text, base), line)
    except ValueError as error:
        raise HclError(line, f"not a whole number of base {base}: {text[:40]!r}") from error


def _power(base: Decimal, exponent: Decimal) -> Decimal:
    if abs(exponent) > 1000:
        raise ArithmeticError
    return ARITHMETIC.power(base, exponent)


def _whole(rounding: str) -> Callable[[Decimal], Decimal]:
    return lambda value: value.to_integral_value(rounding=rounding, context=ARITHMETIC)


# --- lists and objects -------------------------------------------------------------------------------


def _items(arguments: Sequence[Any], line: int) -> list[Any]:
    """Return the arguments' numbers: `max(a, b)` and, as buildx's users write it, `max([a, b]...)`."""
    return [as_number(argument, line) for argument in arguments]


def _element(arguments: Sequence[Any], line: int) -> Value:
    items = as_list(arguments[0], line)
    if not items:
        raise HclError(line, "element of an empty list")
    item: Value = items[as_integer(arguments[1], line) % len(items)]
    return item


def _index(arguments: Sequence[Any], line: int) -> Value:
    source, key = arguments
    try:
        item: Value = (
            source[as_text(key, line)] if isinstance(source, dict) else as_list(source, line)[_position(key, line)]
        )
    except (KeyError, IndexError) as error:
        raise HclError(line, f"there is no item {as_text(key, line)[:60]!r}") from error
    return item


def _position(key: Value, line: int) -> int:
    position = as_integer(key, line)
    if position < 0:
        raise IndexError
    return position


def _hasindex(arguments: Sequence[Any], line: int) -> Value:
    source, key = arguments
    if isinstance(source, dict):
        return isinstance(key, str) and key in source
    return isinstance(key, Decimal) and 0 <= as_integer(key, line) < len(as_list(source, line))


def _indexof(arguments: Sequence[Any], line: int) -> Value:
    for position, item in enumerate(as_list(arguments[0], line)):
        if equal(item, arguments[1]):
            return Decimal(position)
    raise HclError(line, "the list does not hold the item")


def _contains(arguments: Sequence[Any], line: int) -> Value:
    return any(equal(item, arguments[1]) for item in as_list(arguments[0], line))


def _length(arguments: Sequence[Any], line: int) -> Value:
    if not isinstance(arguments[0], (list, dict)):
        raise HclError(line, f"a list or an object is wanted, not {kind(arguments[0])}")
    return Decimal(len(arguments[0]))


def _lookup(arguments: Sequence[Any], line: int) -> Value:
    source, key = as_object(arguments[0], line), as_text(arguments[1], line)
    if key in source:
        found: Value = source[key]
        return found
    if len(arguments) == 3:
        default: Value = arguments[2]
        return default
    raise HclError(line, f"the object has no {key[:60]!r}")


def _merge(arguments: Sequence[Any], line: int) -> Value:
    merged: dict[str, Any] = {}
    for argument in arguments:
        if argument is not None:
            merged |= as_object(argument, line)
    return merged


def _concat(arguments: Sequence[Any], line: int) -> Value:
    return [item for argument in arguments for item in as_list(argument, line)]


def _flatten(arguments: Sequence[Any], line: int) -> Value:
    flat: list[Any] = []
    waiting = as_list(arguments[0], line)[::-1]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item[::-1]
        else:
            flat.append(item)
        if len(flat) + len(waiting) > MAX_ITEMS:
            raise HclError(line, f"flatten makes a list of more than {MAX_ITEMS} items")
    return flat


def _distinct(items: Iterable[Any]) -> list[Any]:
    """Return the items once each; a million comparisons at most, since items are lists and objects too."""
    seen: list[Any] = []
    keys: set[Any] = set()
    for item in items:
        if isinstance(item, (list, dict)):
            if not any(equal(item, other) for other in seen if type(other) is type(item)):
                seen.append(item)
        elif (type(item), item) not in keys:
            keys.add((type(item), item))
            seen.append(item)
    return seen


def _range(arguments: Sequence[Any], line: int) -> Value:
    numbers = _items(arguments, line)
    start, end = (Decimal(0), numbers[0]) if len(numbers) == 1 else numbers[:2]
    step = numbers[2] if len(numbers) == 3 else Decimal(1 if end >= start else -1)
    if not step or (end - start) / step > MAX_ITEMS:
        raise HclError(line, f"range makes a list of more than {MAX_ITEMS} items")
    items = []
    while start < end if step > 0 else start > end:
        items.append(start)
        start = ARITHMETIC.add(start, step)
    return items


def _chunklist(arguments: Sequence[Any], line: int) -> Value:
    items, size = as_list(arguments[0], line), as_integer(arguments[1], line)
    if size < 0:
        raise HclError(line, "chunklist wants a size of 0 or more")
    return [items[start : start + size] for start in range(0, len(items), size)] if size else [items]


def _slice(arguments: Sequence[Any], line: int) -> Value:
    items, start, end = as_list(arguments[0], line), as_integer(arguments[1], line), as_integer(arguments[2], line)
    if not 0 <= start <= end <= len(items):
        raise HclError(line, f"slice {start} to {end} of a list of {len(items)}")
    return items[start:end]


def _setproduct(arguments: Sequence[Any], line: int) -> Value:
    rows: list[Any] = [[]]
    for argument in arguments:
        items = as_list(argument, line)
        if len(rows) * len(items) > MAX_ITEMS:
            raise HclError(line, f"setproduct makes a list of more than {MAX_ITEMS} items")
        rows = [[*row, item] for row in rows for item in items]
    return rows


def _sets(combine: Callable[[list[Any], list[Any]], list[Any]]) -> Function:
    """Return a function over sets, folded from the left; sets come sorted where they are of texts, as cty's do."""

    def called(arguments: Sequence[Any], line: int) -> Value:
        result = as_list(arguments[0], line)
        for argument in arguments[1:]:
            other = as_list(argument, line)
            if len(result) * len(other) > 1_000_000:
                raise HclError(line, "sets of more than 1000000 pairs")
            result = combine(result, other)
        result = _distinct(result)
        return sorted(result) if all(isinstance(item, str) for item in result) else result

    return called


def _not_in(left: list[Any], right: list[Any]) -> list[Any]:
    return [item for item in left if not any(equal(item, other) for other in right)]


def _zipmap(arguments: Sequence[Any], line: int) -> Value:
    keys, values = as_list(arguments[0], line), as_list(arguments[1], line)
    if len(keys) != len(values):
        raise HclError(line, "zipmap wants as many values as keys")
    return {as_text(key, line): value for key, value in zip(keys, values, strict=True)}


def _coalesce(arguments: Sequence[Any], line: int) -> Value:
    for argument in arguments:
        if argument is not None:
            found: Value = argument
            return found
    raise HclError(line, "every argument of coalesce is null")


def _coalescelist(arguments: Sequence[Any], line: int) -> Value:
    for argument in arguments:
        if as_list(argument, line):
            return as_list(argument, line)
    raise HclError(line, "every list given to coalescelist is empty")


def _sort(arguments: Sequence[Any], line: int) -> Value:
    return sorted(as_text(item, line) for item in as_list(arguments[0], line))


def _values(arguments: Sequence[Any], line: int) -> Value:
    source = as_object(arguments[0], line)
    return [source[key] for key in sorted(source)]


_OF_THE_BUILD = frozenset({"timestamp", "unixtimestamp", "uuidv4", "homedir", "bcrypt", "rsadecrypt"})
"""Whose results only the build can know."""
_UNREAD = frozenset(
    {
        *("bytesslice", "cidrhost", "cidrnetmask", "cidrsubnet", "cidrsubnets", "convert", "formatdate"),
        *("log", "semvercmp", "timeadd", "uuidv5"),
    }
)
"""Which buildx has and this reader has not: they make no part of an image's name."""
_TAKES_UNKNOWN = frozenset(
    {"merge", "concat", "keys", "values", "lookup", "length", "zipmap", "coalesce", "flatten", "element", "index"}
)
"""Whose results are known in part where an argument is."""

_FUNCTIONS: dict[str, tuple[int, int | None, Function]] = {
    # name: arguments at least, at most, function
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
    "absolute": (1, 1, _numbers(abs)),
    "add": (2, 2, _numbers(ARITHMETIC.add)),
    "and": (2, 2, lambda arguments, line: as_bool(arguments[0], line) and as_bool(arguments[1], line)),
    "ceil": (1, 1, _numbers(_whole(ROUND_CEILING))),
    "divide": (2, 2, _numbers(ARITHMETIC.divide)),
    "equal": (2, 2, lambda arguments, _: equal(*arguments)),
    "floor": (1, 1, _numbers(_whole(ROUND_FLOOR))),
    "greaterthan": (2, 2, _numbers(lambda left, right: left > right)),
    "greaterthanorequalto": (2, 2, _numbers(lambda left, right: left >= right)),
    "int": (1, 1, _numbers(lambda value: Decimal(int(value)))),
    "lessthan": (2, 2, _numbers(lambda left, right: left < right)),
    "lessthanorequalto": (2, 2, _numbers(lambda left, right: left <= right)),
    "max": (1, None, lambda arguments, line: max(_items(arguments, line))),
    "min": (1, None, lambda arguments, line: min(_items(arguments, line))),
    "modulo": (2, 2, _numbers(_truncated_modulo)),
    "multiply": (2, 2, _numbers(ARITHMETIC.multiply)),
    "negate": (1, 1, _numbers(ARITHMETIC.minus)),
    "not": (1, 1, lambda arguments, line: not as_bool(arguments[0], line)),
    "notequal": (2, 2, lambda arguments, _: not equal(*arguments)),
    "or": (2, 2, lambda arguments, line: as_bool(arguments[0], line) or as_bool(arguments[1], line)),
    "parseint": (2, 2, _parseint),
    "pow": (2, 2, _numbers(_power)),
    "signum": (1, 1, _numbers(lambda value: Decimal((value > 0) - (value < 0)))),
    "subtract": (2, 2, _numbers(ARITHMETIC.subtract)),
    "chunklist": (2, 2, _chunklist),
    "coalesce": (1, None, _coalesce),
    "coalescelist": (1, None, _coalescelist),
    "compact": (1, 1, lambda arguments, line: [item for item in as_list(arguments[0], line) if item not in ("", None)]),
    "concat": (1, None, _concat),
    "contains": (2, 2, _contains),
    "distinct": (1, 1, lambda arguments, line: _distinct(as_list(arguments[0], line))),
    "element": (2, 2, _element),
    "flatten": (1, 1, _flatten),
    "hasindex": (2, 2, _hasindex),
    "index": (2, 2, _index),
    "indexof": (2, 2, _indexof),
    "keys": (1, 1, lambda arguments, line: sorted(as_object(arguments[0], line))),
    "length": (1, 1, _length),
    "lookup": (2, 3, _lookup),
    "merge": (1, None, _merge),
    "range": (1, 3, _range),
    "reverselist": (1, 1, lambda arguments, line: as_list(arguments[0], line)[::-1]),
    "sethaselement": (2, 2, _contains),
    "setintersection": (1, None, _sets(lambda a, b: [item for item in a if any(equal(item, o) for o in b)])),
    "setproduct": (1, None, _setproduct),
    "setsubtract": (2, 2, _sets(_not_in)),
    "setsymmetricdifference": (1, None, _sets(lambda a, b: _not_in(a, b) + _not_in(b, a))),
    "setunion": (1, None, _sets(lambda a, b: a + b)),
    "slice": (3, 3, _slice),
    "sort": (1, 1, _sort),
    "values": (1, 1, _values),
    "zipmap": (2, 2, _zipmap),
}
