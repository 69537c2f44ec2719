"""HCL's functions of numbers, truths, lists and objects, as go-cty's `stdlib` has them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, DecimalException
from typing import Any

from image_factory.dockerfile.hcl.nodes import HclError
from image_factory.dockerfile.hcl.values import (
    ARITHMETIC,
    MAX_ITEMS,
    Entry,
    Function,
    Value,
    as_bool,
    as_integer,
    as_list,
    as_number,
    as_object,
    as_text,
    equal,
    kind,
    number,
)

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


COLLECTION_FUNCTIONS: dict[str, Entry] = {
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
