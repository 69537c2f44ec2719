"""Fields of Kargo's resources: how a record declares them, and how a record becomes a document.

A field declares its key, the first and the last Kargo version that has it, and its limits, so that
a removed field or a value that Kargo refuses cannot be written. No text of a record may become an
expression: Kargo evaluates `${{ }}` and `${% %}` where it meets them, and enrollments come from people
who are not trusted with the cluster. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from datetime import timedelta
from enum import Enum
from functools import lru_cache
from typing import Any

from image_factory.errors import UnsafeValue, UserError
from image_factory_synth.versions import KargoVersion

Document = dict[str, Any]
"""A resource as plain maps, lists and scalars, its keys in the order in which they are written."""

_UNSAFE = re.compile(r"\$\{[{%]|[\x00-\x1f\x7f\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Expression:
    """A text that Kargo is to evaluate; only our own code makes one, with what others wrote in it as `literal`."""

    text: str


class RefusedByKargo(UserError):
    """A value that Kargo would refuse, or a field that its version does not have."""

    def __init__(self, message: str, *, field: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


@dataclass(frozen=True, slots=True)
class Written:
    """What Kargo says of one field."""

    key: str
    first: KargoVersion
    """The first release that has it."""
    last: KargoVersion | None
    """The last release that takes it; None while it stands."""
    required: bool
    pattern: re.Pattern[str] | None
    max_length: int | None
    minimum: int | None
    maximum: int | None
    hint: str


def written(
    key: str,
    *,
    first: tuple[int, int] = (1, 0),
    last: tuple[int, int] | None = None,
    required: bool = False,
    pattern: str | None = None,
    max_length: int | None = None,
    minimum: int | None = None,
    maximum: int | None = None,
    hint: str = "",
) -> Any:
    """Declare a field of a record; one that is not required is left out where it is None or empty."""
    rule = Written(
        key,
        KargoVersion(*first),
        None if last is None else KargoVersion(*last),
        required,
        # Kargo's patterns are RE2's, where \w and \d are ASCII.
        None if pattern is None else re.compile(pattern, re.ASCII),
        max_length,
        minimum,
        maximum,
        hint,
    )
    if required:
        return dataclass_field(metadata={"written": rule})
    return dataclass_field(default=None, metadata={"written": rule})


@dataclass(frozen=True, slots=True)
class Rule:
    """A field's declaration as one version of Kargo takes it."""

    name: str
    written: Written
    refusal: tuple[str, str] | None
    """Why this version does not have it, and a hint; None where it does."""


@lru_cache(maxsize=256)
def rules(record: type[Any], version: KargoVersion) -> tuple[Rule, ...]:
    """Return the fields that a record declares, in their order, as this version of Kargo takes them."""
    return tuple(
        Rule(found.name, found.metadata["written"], _refusal(found.metadata["written"], version))
        for found in fields(record)
        if "written" in found.metadata
    )


def _refusal(rule: Written, version: KargoVersion) -> tuple[str, str] | None:
    if version < rule.first:
        came = f"{rule.key} is not in Kargo {version}: it came with {rule.first}"
        return came, f"choose Kargo {rule.first} or later"
    if rule.last is not None and version > rule.last:
        return f"{rule.key} is not in Kargo {version}: {rule.last} was the last to take it", rule.hint or "leave it out"
    return None


def document(record: Any, version: KargoVersion) -> Document:
    """Return the document that `record` is in this version of Kargo.

    Raises:
        RefusedByKargo: a field is not in this version, or breaks its limits; the message names both.
        UnsafeValue: a text could become an expression.
    """
    values: Document = {}
    for rule in rules(record.__class__, version):
        value = getattr(record, rule.name)
        if value is None or (not rule.written.required and value in ((), {})):
            continue
        if rule.refusal is not None:
            raise RefusedByKargo(rule.refusal[0], field=rule.written.key, hint=rule.refusal[1])
        values[rule.written.key] = _value(value, rule.written, version)
    return values


def _value(value: Any, rule: Written, version: KargoVersion) -> Any:
    kind = value.__class__
    if kind is str:
        return check_text(value, rule)
    if kind is bool:
        return value
    if kind is Expression:
        return value.text
    if kind is int:
        return check_number(value, rule)
    if kind is timedelta:
        return go_duration(value)
    if kind is tuple:
        return [_value(item, rule, version) for item in value]
    if kind is dict:
        return {_plain(key, rule.key): _value(item, rule, version) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    return document(value, version)


def literal(text: str) -> str:
    """Return a text as a literal within an expression.

    Raises:
        UnsafeValue: it could end the expression, whatever it is quoted with.
    """
    _plain(text, "an expression")
    if "}}" in text or "%}" in text:
        raise UnsafeValue(f"ends an expression: {text[:80]!r}", hint="write it without }} and %}")
    return json.dumps(text, ensure_ascii=False)


def expression_of(value: object, places: Mapping[str, str]) -> str:
    """Return plain data as an expression; a text that is a key of `places` becomes what that holds, our own words.

    Raises:
        UnsafeValue: a text of it could end the expression.
    """
    if isinstance(value, Mapping):
        items = ", ".join(f"{literal(str(key))}: {expression_of(item, places)}" for key, item in value.items())
        return f"{{{items}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(expression_of(item, places) for item in value)}]"
    if isinstance(value, str):
        return places[value] if value in places else literal(value)
    return json.dumps(value)


def check_text(value: str, rule: Written) -> str:
    """Return a text that is no expression and keeps the field's limits.

    Raises:
        RefusedByKargo, UnsafeValue: it is not one.
    """
    _plain(value, rule.key)
    if rule.max_length is not None and len(value) > rule.max_length:
        raise RefusedByKargo(
            f"{rule.key} is longer than {rule.max_length} characters: {value[:80]!r}…", field=rule.key, hint=rule.hint
        )
    if rule.pattern is not None and not rule.pattern.fullmatch(value):
        raise RefusedByKargo(f"Kargo refuses {value!r} as {rule.key}", field=rule.key, hint=rule.hint)
    return value


def _plain(value: str, key: str) -> str:
    if _UNSAFE.search(value):
        raise UnsafeValue(
            f"{key} holds an expression or a control character: {value[:80]!r}", hint="write plain text, without ${{"
        )
    return value


def check_number(value: int, rule: Written) -> int:
    """Return a number within the field's limits; raises RefusedByKargo otherwise."""
    too_small = rule.minimum is not None and value < rule.minimum
    if too_small or (rule.maximum is not None and value > rule.maximum):
        raise RefusedByKargo(
            f"{rule.key} is not between {rule.minimum} and {rule.maximum}: {value}", field=rule.key, hint=rule.hint
        )
    return value


def go_duration(duration: timedelta) -> str:
    """Return a duration of a second or more as Go's `Duration.String` does, such as `24h17m3.25s`.

    Kargo's webhooks decode and encode a Warehouse, and so rewrite any other spelling; what is applied
    would then differ from what is stored for ever. There is no unit above the hour.
    """
    microseconds = duration // timedelta(microseconds=1)
    if microseconds < 1_000_000:
        raise RefusedByKargo(
            f"a duration of less than a second: {duration}", field="interval", hint="give a second or more"
        )
    minutes, rest = divmod(microseconds, 60_000_000)
    seconds, fraction = divmod(rest, 1_000_000)
    text = str(seconds) if not fraction else f"{seconds}.{fraction:06d}".rstrip("0")
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{text}s"
    return f"{minutes}m{text}s" if minutes else f"{text}s"
