"""Change a value in YAML that has comments inside it, keeping them. Pure.

ruamel.yaml's round trip, with every plain scalar left as the text it is, so that nothing beside the
change is spelled differently afterwards.
"""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from image_factory.state.yaml_reader import format_float
from image_factory.state.yaml_writer import ALWAYS_QUOTED, needs_quotes

_INDENTED_LIST = re.compile(r"^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ ]*#[^\n]*\n)*\1 +- ", re.MULTILINE)
_NULL = {"": [("tag:yaml.org,2002:null", re.compile(r"\Z"))]}


class _TextResolver(VersionedResolver):
    """Sees only texts, and the value that is left empty."""

    @property
    def versioned_resolver(self) -> Any:
        return _NULL


def update_commented(chunk: str, key: str, old: object, new: object) -> str | None:
    """Return the lines of one key with its value `old` changed to `new`; None where ruamel cannot.

    Args:
        chunk: the lines, the key in the first column.
        key: the key.
        old: what the value says, as plain values.
        new: what it shall say.
    """
    yaml = YAML(typ="rt")
    yaml.Resolver = _TextResolver
    yaml.preserve_quotes = True
    yaml.width = 1 << 30
    if _INDENTED_LIST.search(chunk):
        yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        document = yaml.load(chunk)
        if not isinstance(document, CommentedMap) or key not in document:
            return None
        _update(document, key, old, new, key)
        written = StringIO()
        yaml.dump(document, written)
    except (YAMLError, ValueError, TypeError, IndexError, KeyError):
        return None
    return written.getvalue()


def _update(holder: Any, place: Any, old: object, new: object, key: str) -> None:
    if _spelling(old) == _spelling(new):
        return
    node = holder[place]
    if isinstance(node, CommentedMap) and isinstance(old, dict) and isinstance(new, dict):
        _update_map(node, old, new)
    elif isinstance(node, CommentedSeq) and isinstance(old, list) and isinstance(new, list) and len(node) == len(old):
        _update_list(node, old, new, key)
    else:
        holder[place] = _node(new, key)


def _update_map(node: CommentedMap, old: dict[str, Any], new: dict[str, Any]) -> None:
    for key in old:
        if key not in new and key in node:
            del node[key]
    for index, (key, value) in enumerate(new.items()):
        if key not in node:
            node.insert(min(index, len(node)), _key(key), _node(value, key))
        elif key in old:
            _update(node, key, old[key], value, key)
        else:
            node[key] = _node(value, key)


def _update_list(node: CommentedSeq, old: list[Any], new: list[Any], key: str) -> None:
    matcher = SequenceMatcher(
        None, [_spelling(item) for item in old], [_spelling(item) for item in new], autojunk=False
    )
    for kind, start, end, first, last in reversed(matcher.get_opcodes()):
        if kind == "equal":
            continue
        shared = min(end - start, last - first)
        for place in reversed(range(start + shared, end)):
            del node[place]
        for offset in range(shared):
            _update(node, start + offset, old[start + offset], new[first + offset], key)
        for offset in range(shared, last - first):
            node.insert(start + offset, _node(new[first + offset], key))


def _node(value: object, key: str) -> object:
    if isinstance(value, dict):
        mapping = CommentedMap()
        for name, item in value.items():
            mapping[_key(name)] = _node(item, name)
        return mapping
    if isinstance(value, list):
        return CommentedSeq([_node(item, "") for item in value])
    if isinstance(value, str):
        return DoubleQuotedScalarString(value) if key in ALWAYS_QUOTED or needs_quotes(value) else value
    # The resolver sees only texts, so these stand plain.
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format_float(value)
    return "null" if value is None else str(value)


def _key(key: str) -> str:
    return DoubleQuotedScalarString(key) if needs_quotes(key) else key


def _spelling(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
