"""HCL's values as Python's: text, `Decimal`, `bool`, `None`, `list`, `dict`, and `UNKNOWN`.

They are converted as go-cty converts them. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, DecimalException
from enum import Enum
from typing import Any, Union

from image_factory.dockerfile.hcl.nodes import HclError, Unresolved

MAX_ITEMS = 10_000
"""Items of one list that a function makes."""
MAX_TEXT = 4 * 1024 * 1024
"""Characters of one text that an expression makes."""
ARITHMETIC = Context(prec=150, Emax=999, Emin=-999)
"""cty reckons with 512 bits, some 154 digits."""


_NUMBER = re.compile(r"[+-]?(?:\d{1,200}(?:\.\d{0,200})?|\.\d{1,200})(?:[eE][+-]?\d{1,3})?\Z")


class _Unknown(Enum):
    """What only the build can say: the time, a random number."""

    UNKNOWN = "unknown"


UNKNOWN = _Unknown.UNKNOWN

Value = Union[str, Decimal, bool, None, "list[Any]", "dict[str, Any]", _Unknown]


Function = Callable[[Sequence[Any], int], Value]
"""A function of its arguments and the line that it is called on."""
Entry = tuple[int, int | None, Function]
"""Arguments at least, arguments at most (None for any number), and the function."""


def kind(value: Value) -> str:
    """Return the name of a value's type, for people."""
    if value is None:
        return "null"
    if value is UNKNOWN:
        return "unknown"
    names = {bool: "bool", str: "string", Decimal: "number", list: "list", dict: "object"}
    return names[type(value)]


def is_known(value: Value) -> bool:
    """Return whether a value is known in all its depth."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if here is UNKNOWN:
            return False
        if isinstance(here, list):
            waiting += here
        elif isinstance(here, dict):
            waiting += here.values()
    return True


def number(text: str | Decimal | int, line: int) -> Decimal:
    """Return a number within what is reckoned with."""
    try:
        return ARITHMETIC.create_decimal(text) if not isinstance(text, Decimal) else ARITHMETIC.plus(text)
    except DecimalException as error:
        raise HclError(line, f"not a number that can be reckoned with: {str(text)[:40]!r}") from error


def as_text(value: Value, line: int) -> str:
    """Return a primitive value as text.

    Raises:
        HclError: it is null, unknown, a list or an object.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        text = format(value, "f")
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        return "0" if text in ("-0", "") else text
    if value is UNKNOWN:
        raise Unresolved(line, "what is wanted here is known only to the build")
    raise HclError(line, f"a string is wanted, not {_with_article(value)}")


def as_number(value: Value, line: int) -> Decimal:
    """Return a number, or what a text that writes one says."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str) and _NUMBER.match(value):
        return number(value, line)
    raise HclError(line, f"a number is wanted, not {_with_article(value)}")


def as_integer(value: Value, line: int) -> int:
    """Return a whole number small enough to count with."""
    found = as_number(value, line)
    if found != found.to_integral_value() or abs(found) > 10**12:
        raise HclError(line, f"a whole number is wanted, not {as_text(found, line)[:40]}")
    return int(found)


def as_bool(value: Value, line: int) -> bool:
    """Return a truth, or what a text of `true` or `false` writes."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    raise HclError(line, f"true or false is wanted, not {_with_article(value)}")


def as_list(value: Value, line: int) -> list[Any]:
    """Return a list."""
    if isinstance(value, list):
        return value
    if value is UNKNOWN:
        raise Unresolved(line, "what is wanted here is known only to the build")
    raise HclError(line, f"a list is wanted, not {_with_article(value)}")


def as_object(value: Value, line: int) -> dict[str, Any]:
    """Return an object."""
    if isinstance(value, dict):
        return value
    if value is UNKNOWN:
        raise Unresolved(line, "what is wanted here is known only to the build")
    raise HclError(line, f"an object is wanted, not {_with_article(value)}")


def equal(left: Value, right: Value) -> bool:
    """Return whether two values are of one type and the same (cty `Equals`): the number 1 is not the text "1"."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


def bounded(text: str, line: int) -> str:
    """Return a text that an expression made.

    Raises:
        HclError: it is longer than `MAX_TEXT`.
    """
    if len(text) > MAX_TEXT:
        raise HclError(line, f"a text of more than {MAX_TEXT} characters")
    return text


def _with_article(value: Value) -> str:
    word = kind(value)
    return word if word in ("null", "unknown") else f"{'an' if word == 'object' else 'a'} {word}"
