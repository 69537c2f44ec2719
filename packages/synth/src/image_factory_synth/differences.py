"""What a run changes in the resources, field by field, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from image_factory_synth.read_back import Place, path_of

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not what it was."""

    field: str
    """Such as `spec.interval`."""
    old: object
    """None where there was none."""
    new: object
    """None where there is none any more."""

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.old)} -> {_shown(self.new)}"


def differences(old: str, new: str) -> tuple[Difference, ...]:
    """Return the fields in which two texts of one resource differ; the whole, where one of them is no YAML."""
    try:
        before, after = (yaml.load(text, _Loader) for text in (old, new))  # noqa: S506 - both are safe loaders
    except yaml.YAMLError:
        return (Difference("the resource", "unreadable", "written anew"),)
    return tuple(_differences(before, after, ()))


def _differences(old: object, new: object, at: Place) -> Iterator[Difference]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {**old, **new}:
            yield from _differences(old.get(key), new.get(key), (*at, str(key)))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differences(before, after, (*at, number))
    elif type(old) is not type(new) or old != new:
        yield Difference(path_of(at) or "the resource", old, new)


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = str(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
