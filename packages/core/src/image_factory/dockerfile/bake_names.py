"""What the names in a bake file stand for: variables, global attributes, other blocks' attributes, functions.

The order is buildx's (`bake/hclparser`): a global attribute before a variable; of a variable the
environment's value, read as the type of its default, before the default. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from image_factory.dockerfile.hcl.evaluation import Evaluator, Scope
from image_factory.dockerfile.hcl.nodes import (
    Attribute,
    Block,
    Body,
    Call,
    HclError,
    Node,
    TupleOf,
    Unresolved,
    Variable,
)
from image_factory.dockerfile.hcl.values import Value, as_bool, as_number, as_text, kind, number
from image_factory.dockerfile.reading import Category, Diagnostic

MAX_CALLS = 40
"""How deep the file's functions may call each other."""
_BUILT_IN: dict[str, Value] = {"BAKE_CMD_CONTEXT": "cwd://", "BAKE_LOCAL_PLATFORM": "linux/amd64"}
_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
"""What Go's `strconv.ParseBool` takes."""


class BakeNames:
    """The names of all files together, each evaluated once, when it is first asked for."""

    def __init__(self, bodies: Sequence[Body], environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._globals: dict[str, Attribute] = {}
        self._variables: dict[str, Block] = {}
        self._functions: dict[str, Block] = {}
        self._blocks: dict[tuple[str, str], list[Block]] = {}
        for body in bodies:
            self._globals |= body.attributes
            for block in body.blocks:
                if not block.labels:
                    continue
                label = block.labels[0]
                if block.type == "variable":
                    # A later file's variable replaces an earlier one's.
                    self._variables[label] = block
                elif block.type == "function":
                    self._functions[label] = block
                else:
                    self._blocks.setdefault((block.type, label), []).append(block)
        self._values: dict[str, Value] = dict(_BUILT_IN)
        self._unset: dict[str, int] = {}
        """Variables with neither a default nor a value, with the line of each."""
        self._under_way: set[str] = set()
        self._depth = 0
        self._noticed: list[Diagnostic] = []
        self._evaluator = Evaluator(self)

    def value(self, node: Node, scope: Scope) -> Value:
        """Return the value of an expression of the file.

        Raises:
            HclError: it has none.
        """
        return self._evaluator.value(node, scope)

    def enter(self) -> None:
        """Begin to notice which unset variables are used."""
        self._noticed = []

    def leave(self) -> list[Diagnostic]:
        """Return a diagnostic for each unset variable that was used since `enter`."""
        return list(dict.fromkeys(self._noticed))

    # --- the evaluator's Names -----------------------------------------------------------------

    def variable(self, name: str, line: int) -> Value:
        """Return a variable's value; the empty text where it is set nowhere, as in buildx, which is noticed."""
        if name not in self._values:
            if name in self._under_way:
                raise HclError(line, f"the variable {name!r} is made of itself")
            self._under_way.add(name)
            try:
                self._values[name] = self._evaluate(name, line)
            finally:
                self._under_way.discard(name)
        if name in self._unset:
            message = f"the variable {name!r} has no default; it is empty where the build does not set it"
            self._noticed.append(Diagnostic(Category.UNRESOLVED_ARG, self._unset[name], message))
        return self._values[name]

    def attribute(self, root: str, path: tuple[str, ...], line: int) -> Value | None:
        """Return `target.name.attribute`, as that block itself sets it."""
        if root not in ("target", "group", "variable") or len(path) < 2 or root in self._globals:
            return None
        blocks = [self._variables[path[0]]] if root == "variable" and path[0] in self._variables else None
        key = ".".join((root, path[0], path[1]))
        found = None
        for block in blocks or self._blocks.get((root, path[0]), []):
            found = block.body.attributes.get(path[1], found)
        if found is None:
            raise HclError(line, f"no {'.'.join((root, *path))} is set in the file")
        if key not in self._values:
            if key in self._under_way:
                raise HclError(line, f"{key} is made of itself")
            self._under_way.add(key)
            try:
                self._values[key] = self.value(found.expression, {})
            finally:
                self._under_way.discard(key)
        value = self._values[key]
        for step in path[2:]:
            if not isinstance(value, dict) or step not in value:
                raise HclError(line, f"no {'.'.join((root, *path))} is set in the file")
            value = value[step]
        return value

    def call(self, name: str, arguments: list[Value], line: int) -> Value | None:
        """Return what a function of the file makes of its arguments."""
        block = self._functions.get(name)
        if block is None:
            return None
        if self._depth >= MAX_CALLS:
            raise HclError(line, f"functions call each other more than {MAX_CALLS} deep, such as {name!r}")
        attributes = block.body.attributes
        result = attributes.get("result")
        if result is None:
            raise HclError(block.line, f"the function {name!r} has no result")
        parameters = _names(attributes.get("params"))
        rest = attributes.get("variadic_params")
        if len(arguments) < len(parameters) or (rest is None and len(arguments) > len(parameters)):
            raise HclError(line, f"{name} takes {len(parameters)} arguments, not {len(arguments)}")
        scope: dict[str, Value] = dict(zip(parameters, arguments, strict=False))
        if isinstance(rest, Attribute):
            scope |= dict.fromkeys(_names(rest), arguments[len(parameters) :])
        self._depth += 1
        try:
            return self.value(result.expression, scope)
        finally:
            self._depth -= 1

    # --- variables -----------------------------------------------------------------------------

    def _evaluate(self, name: str, line: int) -> Value:
        if name in self._globals and name not in self._variables:
            return self.value(self._globals[name].expression, {})
        block = self._variables.get(name)
        if block is None:
            raise Unresolved(line, f"the file has no variable {name!r}")
        definition = self._globals.get(name) or block.body.attributes.get("default")
        given = self._environment.get(name)
        wanted = _type(block)
        if definition is None and given is None and wanted is None:
            self._unset[name] = block.line
            return ""
        default = None if definition is None else self.value(definition.expression, {})
        if given is None:
            return _converted(default, wanted, block.line)
        if wanted is None:
            wanted = "string" if definition is None or default is None else kind(default)
        return _overridden(name, given, wanted, block.line)


def _names(attribute: Attribute | None) -> list[str]:
    """Return the names of a function's parameters: `[a, b]`, or one."""
    if attribute is None:
        return []
    node = attribute.expression
    nodes = node.items if isinstance(node, TupleOf) else (node,)
    return [node.name if isinstance(node, Variable) else _text_name(node) for node in nodes]


def _text_name(node: Node) -> str:
    """Return a parameter's name in JSON, where it is a text."""
    value = getattr(node, "value", None)
    if isinstance(value, str) and re.fullmatch(r"[^\W\d][\w-]*", value):
        return value
    raise HclError(node.line, "a function's parameter is a name")


def _type(block: Block) -> str | None:
    """Return the type that a variable is given, where it is one that text can be read as."""
    attribute = block.body.attributes.get("type")
    if attribute is None:
        return None
    node = attribute.expression
    if isinstance(node, Variable):
        return node.name
    return "list" if isinstance(node, Call) and node.name in ("list", "set", "tuple") else "object"


def _converted(value: Value, wanted: str | None, line: int) -> Value:
    if value is None:
        return None
    if wanted == "string":
        return as_text(value, line)
    if wanted == "number":
        return as_number(value, line)
    return as_bool(value, line) if wanted == "bool" else value


def _overridden(name: str, given: str, wanted: str, line: int) -> Value:
    """Read the environment's text as the type that is wanted; a list's items are parted by commas."""
    if wanted == "string":
        return given
    if wanted == "bool" and given in _BOOLS:
        return _BOOLS[given]
    if wanted == "number" and re.fullmatch(r"[+-]?\d{1,100}(\.\d{1,100})?", given):
        return number(given, line)
    if wanted == "list":
        return [item.strip() for item in given.split(",")] if given else []
    raise HclError(line, f"the variable {name!r} cannot take the environment's text as a value of type {wanted}")
