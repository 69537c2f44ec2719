"""The functions of bake files: go-cty's standard library as buildx offers it (buildx `bake/hclparser/stdlib.go`).

What only the build can know (the time, random numbers, the user's home) is `UNKNOWN`. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from image_factory.dockerfile.hcl.collection_functions import COLLECTION_FUNCTIONS
from image_factory.dockerfile.hcl.nodes import HclError
from image_factory.dockerfile.hcl.text_functions import TEXT_FUNCTIONS
from image_factory.dockerfile.hcl.values import MAX_ITEMS, UNKNOWN, Value, bounded, is_known

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
_FUNCTIONS = {**TEXT_FUNCTIONS, **COLLECTION_FUNCTIONS}


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
