"""Rendered resources read back as the records that they are written from, and what does not fit them. Pure.

The same declarations that keep a wrong field from being written say here that one stands in a file, be
it written by hand, by an older release, or for another version of Kargo. What a record does not know is
a problem, too: what Kargo drops without a word would be missed by nobody else.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from datetime import timedelta
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any

from image_factory.errors import UserError
from image_factory_synth.fields import Expression, RefusedByKargo, Rule, check_number, check_text, rules
from image_factory_synth.versions import KargoVersion

Place = tuple[str | int, ...]
Problem = Callable[[Place, str, str], None]
"""Is told where something is wrong, what it is, and a hint, which may be empty."""

_EXPRESSION = re.compile(r"\$\{[{%]")
_DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(s|m|h))+")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_BROKEN = object()
"""Stands for a value that no record can hold."""


def read_back(record: Any, value: object, version: KargoVersion, problem: Problem, at: Place = ()) -> Any:
    """Return `value` as a record of that type, or None where it does not fit; `problem` is told of all that does not.

    Args:
        at: where `value` lies in its resource.
    """
    if not isinstance(value, Mapping):
        problem(at, f"not a map: {_shown(value)}", "")
        return None
    declared = {rule.written.key: rule for rule in rules(record, version)}
    types = _types(record)
    fits = True
    for key in value:
        if key not in declared:
            problem((*at, str(key)), "no field that is written here", "is it spelled as Kargo spells it?")
            fits = False
    found: dict[str, Any] = {}
    for key, rule in declared.items():
        if value.get(key) is None:
            if rule.written.required:
                problem((*at, key), "is missing", rule.written.hint)
                fits = False
            continue
        if rule.refusal is not None:
            problem((*at, key), *rule.refusal)
            fits = False
            continue
        read = _read(types[rule.name], value[key], rule, version, problem, (*at, key))
        if read is _BROKEN:
            fits = False
        found[rule.name] = read
    return record(**found) if fits else None


@lru_cache(maxsize=256)
def _types(record: Any) -> dict[str, Any]:
    return typing.get_type_hints(record)


def _read(kind: Any, value: object, rule: Rule, version: KargoVersion, problem: Problem, at: Place) -> Any:
    """Return the value as that type; `_BROKEN` where it does not fit."""
    if typing.get_origin(kind) in (typing.Union, UnionType):
        several = [each for each in typing.get_args(kind) if each is not NoneType]
        if Expression in several and isinstance(value, str) and _EXPRESSION.search(value):
            return Expression(value)
        kind = next((each for each in several if each is not Expression), several[0])
    try:
        return _of_kind(kind, value, rule, version, problem, at)
    except UserError as error:
        problem(at, error.message.removeprefix(f"{rule.written.key}: "), error.hint)
        return _BROKEN


def _of_kind(kind: Any, value: object, rule: Rule, version: KargoVersion, problem: Problem, at: Place) -> Any:
    origin = typing.get_origin(kind)
    if kind is Any or kind is object:
        return value
    if is_dataclass(kind) and kind is not Expression:
        read = read_back(kind, value, version, problem, at)
        return _BROKEN if read is None else read
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(rule, f"not a list: {_shown(value)}")
        inner = typing.get_args(kind)[0]
        items = tuple(_read(inner, item, rule, version, problem, (*at, number)) for number, item in enumerate(value))
        return _BROKEN if any(item is _BROKEN for item in items) else items
    if origin in (dict, Mapping) or kind is dict:
        return _map(kind, value, rule, problem, at)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _choice(kind, value, rule)
    return _scalar(kind, value, rule)


def _map(kind: Any, value: object, rule: Rule, problem: Problem, at: Place) -> Any:
    if not isinstance(value, Mapping):
        raise _wrong(rule, f"not a map: {_shown(value)}")
    inner = (typing.get_args(kind) or (str, Any))[1]
    fits = True
    for key, item in value.items():
        if inner is str and not isinstance(item, str):
            problem((*at, str(key)), f"not a text: {_shown(item)}", "put it in quotes")
            fits = False
    return dict(value) if fits else _BROKEN


def _choice(kind: type[Enum], value: object, rule: Rule) -> Enum:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(each.value) for each in kind)
        raise _wrong(rule, f"none of {known}: {_shown(value)}") from None


def _scalar(kind: Any, value: object, rule: Rule) -> Any:
    if kind is timedelta:
        if not isinstance(value, str) or not _DURATION.fullmatch(value):
            raise _wrong(
                rule, f"not a duration: {_shown(value)}", "write it as 24h0m0s: Kargo knows h, m and s, no days"
            )
        return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(value)))
    if kind is bool:
        if not isinstance(value, bool):
            raise _wrong(rule, f"neither true nor false: {_shown(value)}")
        return value
    if kind is int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(rule, f"not a number: {_shown(value)}")
        return check_number(value, rule.written)
    if not isinstance(value, str):
        raise _wrong(rule, f"not a text: {_shown(value)}", "put it in quotes")
    return Expression(value) if kind is Expression else check_text(value, rule.written)


def _wrong(rule: Rule, message: str, hint: str = "") -> RefusedByKargo:
    return RefusedByKargo(message, field=rule.written.key, hint=hint or rule.written.hint)


def path_of(at: Place) -> str:
    """Return a place as people write it, such as `spec.subscriptions[0].image`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".")


def _shown(value: object) -> str:
    return repr(value)[:80]
