"""HCL expressions to values: operators, templates, `for`, access and calls (`hclsyntax/spec.md`, "Expressions").

Where names come from is the caller's: a `Names` answers for variables and for functions of the file.
Work is bounded by `MAX_STEPS` for one file. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, DecimalException
from typing import Any, Protocol

from image_factory.dockerfile.hcl import functions
from image_factory.dockerfile.hcl.nodes import (
    Access,
    Call,
    Chain,
    Conditional,
    For,
    HclError,
    Literal,
    Node,
    ObjectOf,
    Splat,
    Template,
    TemplateFor,
    TemplateIf,
    TupleOf,
    Unary,
    Variable,
)
from image_factory.dockerfile.hcl.values import (
    ARITHMETIC,
    MAX_ITEMS,
    UNKNOWN,
    Value,
    as_bool,
    as_integer,
    as_number,
    as_text,
    bounded,
    equal,
    is_known,
    kind,
)

MAX_STEPS = 200_000
"""Expressions that are evaluated for one file. A large bake file takes some thousand."""

CHARACTERS_A_STEP = 50
"""Characters that an expression may make for one step."""
MAX_NESTING = 120
"""How deep expressions stand in each other, variables and functions of the file followed."""

Scope = Mapping[str, Value]
"""Names bound by the expression around: a `for`'s, a function's parameters, a matrix's."""


class Names(Protocol):
    """What stands behind the names of a file."""

    def variable(self, name: str, line: int) -> Value: ...

    def attribute(self, root: str, path: tuple[str, ...], line: int) -> Value | None:
        """Return the value of `root.a.b` where `root` is a kind of block; None where it is none."""
        ...

    def call(self, name: str, arguments: list[Value], line: int) -> Value | None:
        """Return the result of a function that the file defines; None where it defines no such function."""
        ...


class Evaluator:
    """Evaluates the expressions of one file, and counts its steps."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._steps = 0
        self._nesting = 0

    def value(self, node: Node, scope: Scope) -> Value:
        """Return the value of an expression.

        Raises:
            HclError: it has none, or takes too much work.
        """
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise HclError(node.line, f"the file takes more than {MAX_STEPS} steps to evaluate")
        if self._nesting >= MAX_NESTING:
            raise HclError(node.line, f"more than {MAX_NESTING} expressions stand in each other")
        self._nesting += 1
        try:
            return self._value(node, scope)
        finally:
            self._nesting -= 1

    def _value(self, node: Node, scope: Scope) -> Value:
        match node:
            case Literal():
                return node.value
            case Template():
                return self._template(node, scope)
            case Variable():
                return scope[node.name] if node.name in scope else self._names.variable(node.name, node.line)
            case Access():
                return self._access(node, scope)
            case Chain():
                return self._chain(node, scope)
            case Conditional():
                return self._conditional(node, scope)
            case Call():
                return self._call(node, scope)
            case TupleOf():
                return [self.value(item, scope) for item in node.items]
            case ObjectOf():
                return self._object(node, scope)
            case For():
                return self._for(node, scope)
            case Unary():
                return self._unary(node, scope)
            case TemplateIf() | TemplateFor():
                return self._template(Template((node,), node.line), scope)

    def _counted(self, value: Value) -> Value:
        """Count the length of a text that was made: texts in lists would fill the memory in few steps."""
        if isinstance(value, str):
            self._steps += len(value) // CHARACTERS_A_STEP
        return value

    # --- templates ----------------------------------------------------------------------------

    def _template(self, node: Template, scope: Scope) -> Value:
        parts: list[str] = []
        if not self._write(node, scope, parts):
            return UNKNOWN
        return self._counted(bounded("".join(parts), node.line))

    def _write(self, template: Template, scope: Scope, parts: list[str]) -> bool:
        """Write a template's text to `parts`; return whether all of it is known."""
        for part in template.parts:
            match part:
                case TemplateIf():
                    condition = self.value(part.condition, scope)
                    if condition is UNKNOWN:
                        return False
                    chosen = part.then if as_bool(condition, part.line) else part.otherwise
                    if not self._write(chosen, scope, parts):
                        return False
                case TemplateFor():
                    collection = self.value(part.collection, scope)
                    if collection is UNKNOWN:
                        return False
                    for key, value in _pairs(collection, part.line):
                        if not self._write(part.body, _bound(part, scope, key, value), parts):
                            return False
                case _:
                    value = self.value(part, scope)
                    if value is UNKNOWN:
                        return False
                    parts.append(as_text(value, part.line))
            if len(parts) > MAX_STEPS:
                raise HclError(template.line, f"a template of more than {MAX_STEPS} parts")
        return True

    # --- operators ----------------------------------------------------------------------------

    def _chain(self, node: Chain, scope: Scope) -> Value:
        left = self.value(node.first, scope)
        for operator, operand in node.rest:
            left = _operate(operator, left, self.value(operand, scope), operand.line)
        return left

    def _unary(self, node: Unary, scope: Scope) -> Value:
        value = self.value(node.operand, scope)
        if value is UNKNOWN:
            return UNKNOWN
        if node.operator == "!":
            return not as_bool(value, node.line)
        return ARITHMETIC.minus(as_number(value, node.line))

    def _conditional(self, node: Conditional, scope: Scope) -> Value:
        condition = self.value(node.condition, scope)
        if condition is UNKNOWN:
            return UNKNOWN
        is_true = as_bool(condition, node.condition.line)
        chosen = self.value(node.then if is_true else node.otherwise, scope)
        if isinstance(chosen, (bool, Decimal)):
            # Both answers are of one type: a number beside a text becomes a text.
            try:
                other = self.value(node.otherwise if is_true else node.then, scope)
            except HclError:
                return chosen
            if isinstance(other, str):
                return as_text(chosen, node.line)
        return chosen

    # --- collections --------------------------------------------------------------------------

    def _object(self, node: ObjectOf, scope: Scope) -> Value:
        made: dict[str, Value] = {}
        for key_node, value_node in node.items:
            key = self.value(key_node, scope)
            if key is UNKNOWN:
                return UNKNOWN
            made[as_text(key, key_node.line)] = self.value(value_node, scope)
        return made

    def _for(self, node: For, scope: Scope) -> Value:
        collection = self.value(node.collection, scope)
        if collection is UNKNOWN:
            return UNKNOWN
        items: list[Value] = []
        made: dict[str, Any] = {}
        for key, value in _pairs(collection, node.collection.line):
            inner = _bound(node, scope, key, value)
            if node.condition is not None:
                condition = self.value(node.condition, inner)
                if condition is UNKNOWN:
                    return UNKNOWN
                if not as_bool(condition, node.condition.line):
                    continue
            result = self.value(node.result, inner)
            if node.result_key is None:
                items.append(result)
                continue
            key_value = self.value(node.result_key, inner)
            if key_value is UNKNOWN:
                return UNKNOWN
            name = as_text(key_value, node.result_key.line)
            if node.is_grouped:
                made.setdefault(name, []).append(result)
            elif name in made:
                raise HclError(node.line, f"two items of the object have the key {name[:60]!r}")
            else:
                made[name] = result
        return items if node.result_key is None else made

    def _access(self, node: Access, scope: Scope) -> Value:
        steps = node.steps
        if isinstance(node.source, Variable) and node.source.name not in scope:
            # `target.web.args["A"]`: the names in front may lead to another block, the rest into its value.
            names: list[str] = []
            for step in steps:
                if not isinstance(step, str):
                    break
                names.append(step)
            found = self._names.attribute(node.source.name, tuple(names), node.line) if names else None
            if found is not None:
                return self._steps_into(found, steps[len(names) :], scope, node.line)
        return self._steps_into(self.value(node.source, scope), steps, scope, node.line)

    def _steps_into(self, value: Value, steps: tuple[str | Node | Splat, ...], scope: Scope, line: int) -> Value:
        for position, step in enumerate(steps):
            if value is UNKNOWN:
                return UNKNOWN
            if isinstance(step, Splat):
                items = [] if value is None else value if isinstance(value, list) else [value]
                self._steps += len(items)
                return [self._steps_into(item, steps[position + 1 :], scope, line) for item in items]
            value = _item(value, step if isinstance(step, str) else self.value(step, scope), line)
        return value

    # --- calls --------------------------------------------------------------------------------

    def _call(self, node: Call, scope: Scope) -> Value:
        if node.name in ("try", "can"):
            return self._try(node, scope)
        arguments = [self.value(argument, scope) for argument in node.arguments]
        if node.is_expanded:
            last = arguments.pop()
            if last is UNKNOWN:
                return UNKNOWN
            if not isinstance(last, list):
                raise HclError(node.line, f"a list is wanted before '...', not {kind(last)}")
            arguments += last
        if len(arguments) > MAX_ITEMS:
            raise HclError(node.line, f"more than {MAX_ITEMS} arguments")
        self._steps += len(arguments)
        found = self._names.call(node.name, arguments, node.line)
        return self._counted(functions.call(node.name, arguments, node.line)) if found is None else found

    def _try(self, node: Call, scope: Scope) -> Value:
        """Return the first argument that has a value; for `can`, whether the argument has one."""
        failure = HclError(node.line, f"{node.name} wants an argument")
        for argument in node.arguments:
            try:
                value = self.value(argument, scope)
            except HclError as error:
                if self._steps > MAX_STEPS:
                    raise
                failure = error
                continue
            return (True if is_known(value) else UNKNOWN) if node.name == "can" else value
        if node.name == "can" and node.arguments:
            return False
        raise failure


def _bound(node: For | TemplateFor, scope: Scope, key: Value, value: Value) -> Scope:
    return {**scope, **({node.key: key} if node.key else {}), node.value: value}


def _pairs(collection: Value, line: int) -> Iterator[tuple[Value, Value]]:
    """Yield keys and values; an object's in the order of its keys, as cty does."""
    if isinstance(collection, dict):
        return iter(sorted(collection.items()))
    if isinstance(collection, list):
        return ((Decimal(position), item) for position, item in enumerate(collection))
    raise HclError(line, f"a list or an object is wanted, not {kind(collection)}")


def _item(value: Value, step: Value, line: int) -> Value:
    if step is UNKNOWN:
        return UNKNOWN
    if isinstance(value, dict):
        key = as_text(step, line)
        if key not in value:
            raise HclError(line, f"there is no attribute {key[:60]!r}")
        found: Value = value[key]
        return found
    if isinstance(value, list):
        position = as_integer(step, line)
        if not 0 <= position < len(value):
            raise HclError(line, f"there is no item {position} in a list of {len(value)}")
        item: Value = value[position]
        return item
    raise HclError(line, f"a list or an object is wanted, not {kind(value)}")


def _operate(operator: str, left: Value, right: Value, line: int) -> Value:
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if operator in ("==", "!="):
        if not (is_known(left) and is_known(right)):
            return UNKNOWN
        return equal(left, right) == (operator == "==")
    if operator == "&&":
        return as_bool(left, line) & as_bool(right, line)
    if operator == "||":
        return as_bool(left, line) | as_bool(right, line)
    first, second = as_number(left, line), as_number(right, line)
    try:
        match operator:
            case "+":
                return ARITHMETIC.add(first, second)
            case "-":
                return ARITHMETIC.subtract(first, second)
            case "*":
                return ARITHMETIC.multiply(first, second)
            case "/":
                return ARITHMETIC.divide(first, second)
            case "%":
                return ARITHMETIC.remainder(first, second)
            case "<":
                return first < second
            case ">":
                return first > second
            case "<=":
                return first <= second
            case _:
                return first >= second
    except DecimalException as error:
        raise HclError(line, "a sum that has no result") from error
