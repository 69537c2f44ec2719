"""Compose files' YAML to values: only what builds are made of, with variables put in and files merged.

YAML is composed to nodes by libyaml; anchors stay shared there, so that what they stand for is counted
when it is used, and a bomb of them ends at `MAX_NODES`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import yaml

from image_factory.dockerfile.definition import MAX_DEFINITION
from image_factory.dockerfile.reading import Category, Diagnostic

MAX_NODES = 200_000
"""Values of one file, what anchors stand for counted each time."""
MAX_DEPTH = 40
MAX_TEXT = 1_000_000
"""Characters of one text once its variables are put in."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS = {"true": "true", "True": "true", "TRUE": "true", "false": "false", "False": "false", "FALSE": "false"}
_FLOAT = re.compile(r"[-+]?(?:\d{1,30}\.\d{0,30}|\.\d{1,30}|\d{1,30})(?:[eE][-+]?\d{1,2})?\Z")
_INTEGER = re.compile(r"([-+]?)(?:0x([0-9a-fA-F]{1,30})|0o?([0-7]{1,30})|0b([01]{1,60})|([1-9]\d{0,30}|0))\Z")

# Which keys are read, from the top: the rest of a file says nothing of images that a build pulls.
_SERVICE_KEYS = frozenset({"build", "platform", "extends"})
_BUILD_KEYS = frozenset(
    {"context", "dockerfile", "dockerfile_inline", "args", "target", "additional_contexts", "platforms", "x-bake"}
)


class ComposeError(Exception):
    """A text is not a compose file; with the line where. It becomes a diagnostic."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class Section(dict[str, Any]):
    """A mapping that knows the line it begins on."""

    line = 1


class Override:
    """A value that replaces instead of being merged (`!override`), or removes (`!reset`)."""

    def __init__(self, value: object, *, is_reset: bool) -> None:
        self.value = value
        self.is_reset = is_reset


def compose_document(text: str, interpolation: Interpolation) -> dict[str, Any]:
    """Return the parts of a compose file that builds are made of.

    Raises:
        ComposeError: the text is not YAML, holds no mapping, or makes too much of its anchors.
    """
    if len(text) > MAX_DEFINITION:
        raise ComposeError(1, f"the file is larger than {MAX_DEFINITION} characters")
    try:
        _check_depth(text)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        last = text.count("\n", 0, len(text.rstrip())) + 1
        raise ComposeError(min(mark.line + 1, last) if mark else 1, str(problem)) from error
    except (RecursionError, ValueError) as error:
        raise ComposeError(1, "not YAML that can be read") from error
    if root is None:
        return {}
    document = _Values(interpolation).read(root, (), 0)
    if not isinstance(document, dict):
        raise ComposeError(1, "a compose file holds a mapping")
    return document


def _check_depth(text: str) -> None:
    """Look at how deep the text goes before nodes are made: libyaml's composer calls itself until the process dies."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise ComposeError(line, f"values stand in each other more than {MAX_DEPTH} deep")
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1


class _Values:
    """Turns nodes into values and counts them."""

    def __init__(self, interpolation: Interpolation) -> None:
        self._interpolation = interpolation
        self._left = MAX_NODES

    def read(self, node: yaml.Node, path: tuple[str, ...], depth: int) -> Any:
        self._left -= 1
        line = node.start_mark.line + 1
        if self._left < 0:
            raise ComposeError(line, f"the file's anchors make more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            raise ComposeError(line, f"values stand in each other more than {MAX_DEPTH} deep")
        if node.tag in ("!reset", "!override"):
            return Override(self._plain_read(node, path, depth, line), is_reset=node.tag == "!reset")
        return self._plain_read(node, path, depth, line)

    def _plain_read(self, node: yaml.Node, path: tuple[str, ...], depth: int, line: int) -> Any:
        if isinstance(node, yaml.MappingNode):
            section = Section()
            section.line = line
            self._fill(section, node, path, depth)
            return section
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, path, depth + 1) for item in node.value]
        text = str(node.value)
        is_plain = isinstance(node, yaml.ScalarNode) and not node.style
        if is_plain and (text in _NULLS or "$" not in text):
            return None if text in _NULLS else _plain_text(text)
        return self._interpolation.text(text, line)

    def _fill(self, section: Section, node: yaml.MappingNode, path: tuple[str, ...], depth: int) -> None:
        """Put a mapping's pairs in; what it merges (`<<`) comes under what it says itself."""
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            self._left -= 1
            if key_node.tag == _MERGE:
                sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                if depth > MAX_DEPTH:
                    raise ComposeError(section.line, f"values stand in each other more than {MAX_DEPTH} deep")
                for source in reversed(sources):
                    if isinstance(source, yaml.MappingNode):
                        self._fill(section, source, path, depth + 1)
            elif isinstance(key_node, yaml.ScalarNode) and _is_read(path, key_node.value):
                own[key_node.value] = self.read(value_node, (*path, key_node.value), depth + 1)
        section |= own


def _is_read(path: tuple[str, ...], key: str) -> bool:
    if not path:
        return key in ("services", "include")
    if path[0] == "services" and len(path) == 2:
        return key in _SERVICE_KEYS
    if path[0] == "services" and len(path) == 3 and path[2] == "build":
        return key in _BUILD_KEYS
    return True


def _plain_text(text: str) -> str:
    """Return what compose makes of an unquoted word: a number loses what numbers do not keep (`3.10` is `3.1`)."""
    if text in _TRUTHS:
        return _TRUTHS[text]
    found = _INTEGER.match(text)
    if found:
        sign = "-" if found[1] == "-" else ""
        for digits, base in zip(found.groups()[1:], (16, 8, 2, 10), strict=True):
            if digits is not None:
                return f"{sign}{int(digits, base)}"
    if _FLOAT.match(text):
        shown = format(Decimal(repr(float(text))), "f")
        return shown.rstrip("0").rstrip(".") if "." in shown else shown
    return text


def scalar_text(value: object) -> str:
    """Return a value as a text; a list or a mapping, which stands where none is read, as nothing."""
    if isinstance(value, Override):
        value = value.value
    return value if isinstance(value, str) else ""


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `over` merged over `under` (compose-spec `merge.md`): mappings by key, lists joined, the rest replaced."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, Override):
            if value.is_reset:
                result.pop(key, None)
            else:
                result[key] = value.value
        elif isinstance(below, dict) and isinstance(value, dict):
            result[key] = merged(below, value)
        elif isinstance(below, list) and isinstance(value, list):
            result[key] = [*below, *(item for item in value if item not in below)]
        else:
            result[key] = value
    return result


_BRACED = re.compile(r"\{([_a-zA-Z][_a-zA-Z0-9]*)(?:(:?[-+?])|(?=\}))")
_NAMED = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")


class Interpolation:
    """Puts variables into texts (compose-spec `interpolation.md`), and says which were not set."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.diagnostics: list[Diagnostic] = []

    def text(self, text: str, line: int) -> str:
        """Return the text with its variables' values; a variable that is not set is empty, and said."""
        if "$" not in text:
            return text
        found, end = self._until(text, 0, line, depth=0)
        if end < len(text):
            self._report(Category.SYNTAX, line, f"not an interpolation: {text[:60]!r}")
            return text
        return found[:MAX_TEXT]

    def _report(self, category: Category, line: int, message: str) -> None:
        self.diagnostics.append(Diagnostic(category, line, message))

    def _until(self, text: str, start: int, line: int, *, depth: int) -> tuple[str, int]:
        """Return the text up to its end, or inside of braces up to the closing one, and where that is.

        Where it is wrong, the place is before the end.
        """
        parts: list[str] = []
        position = start
        while position < len(text):
            here = text[position]
            if here == "}" and depth:
                break
            if here != "$":
                stop = min(
                    (place for mark in ("$", "}") if (place := text.find(mark, position + 1)) >= 0), default=len(text)
                )
                parts.append(text[position:stop])
                position = stop
                continue
            named = _NAMED.match(text, position + 1)
            braced = _BRACED.match(text, position + 1)
            if text.startswith("$$", position):
                parts.append("$")
                position += 2
            elif named:
                parts.append(self._value(named.group(), "", "", line))
                position = named.end()
            elif braced and depth < MAX_DEPTH:
                word, end = self._until(text, braced.end(), line, depth=depth + 1)
                if not text.startswith("}", end):
                    return "", start
                parts.append(self._value(braced[1], braced[2] or "", word, line))
                position = end + 1
            else:
                return "", start
        return "".join(parts), position

    def _value(self, name: str, operator: str, word: str, line: int) -> str:
        value = self._variables.get(name)
        is_set = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return word if is_set else ""
        if is_set:
            return value or ""
        if operator.endswith("-"):
            return word
        wanted = f": {word[:100]}" if word else ""
        self._report(Category.UNRESOLVED_ARG, line, f"the variable {name!r} is not set{wanted}; it is empty here")
        return ""


_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*[=:]\s*(.*)\Z", re.DOTALL)


def parse_environment(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a `.env` file, of those lines that set one; quotes and `${…}` as compose reads them."""
    values: dict[str, str] = {}
    for written in text[:MAX_DEFINITION].splitlines():
        found = None if written.lstrip().startswith("#") else _LINE.match(written)
        if not found:
            continue
        name, value = found.groups()
        quote = value[:1]
        if quote == "'":
            values[name] = value[1:].partition("'")[0]
            continue
        if quote == '"':
            value = re.split(r'(?<!\\)"', value[1:], maxsplit=1)[0].replace('\\"', '"').replace("\\n", "\n")
        else:
            value = re.split(r"\s+#", value, maxsplit=1)[0].strip()
        values[name] = Interpolation({**values, **environment}).text(value, 1) if "$" in value else value
    return values
