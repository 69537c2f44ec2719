"""Plain values as YAML text that every reader reads alike. Pure.

A text stands plain only where YAML 1.1 and 1.2 readers agree that it is a text; else it is in double
quotes: `"3.10"`, `"on"`, `"2024-01-01"`, `"1e3"`. Versions and patterns are always quoted, so that
they look the same whatever they hold. One line a scalar, block style, lists not indented.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from image_factory.state.yaml_reader import format_float

ALWAYS_QUOTED = frozenset({"tag", "currentVersion", "allowTags", "constraint"})
"""Keys whose values are versions or patterns."""

_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
# Letters first, so that no reader sees a number, a time, a marker or an indicator in it.
_PLAIN = re.compile(r"[A-Za-z_/](?:[A-Za-z0-9_./@+=,()-]|:(?=[^\s:])| (?=[A-Za-z0-9_./@+=(]))*\Z", re.ASCII)
MAX_PLAIN = 120
"""Characters; longer keys would be written as `? key`, longer texts are sentences, and are quoted."""
_SURROGATES = re.compile("[\ud800-\udfff]")


class Quoted(str):
    """A text to be written in double quotes."""

    __slots__ = ()


def needs_quotes(text: str) -> bool:
    """Whether some reader would see something else than this text if it stood plain."""
    return len(text) > MAX_PLAIN or not _PLAIN.match(text) or text.lower() in _WORDS


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    # A lone surrogate cannot be written as UTF-8; registries have been seen to send them in labels.
    clean = _SURROGATES.sub("\ufffd", str(text))
    quoted = isinstance(text, Quoted) or needs_quotes(clean)
    return dumper.represent_scalar("tag:yaml.org,2002:str", clean, style='"' if quoted else None)


def _number(dumper: _Dumper, number: float) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:float", format_float(number))


_Dumper.add_representer(float, _number)
_Dumper.add_representer(str, _text)
_Dumper.add_representer(Quoted, _text)


def write_mapping(values: Mapping[str, Any]) -> str:
    """Return block YAML of `values`, in their order; empty text for an empty mapping."""
    if not values:
        return ""
    written = yaml.dump(
        _quoted(dict(values)),
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=1 << 30,
    )
    return str(written)


def _quoted(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: Quoted(item) if key in ALWAYS_QUOTED and isinstance(item, str) else _quoted(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_quoted(item) for item in value]
    return value
