"""The syntax tree of HCL: expressions, templates and bodies, each with the line it begins on. Pure.

The names are those of the specification (github.com/hashicorp/hcl, `hclsyntax/spec.md`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


class HclError(Exception):
    """A text that is not HCL, or an expression that has no value; with the line where.

    It does not leave `image_factory.dockerfile`: it becomes a diagnostic there.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class Unresolved(HclError):
    """An expression that has no value before the build: a name set nowhere, or what only the build knows."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, `true`, `false`, `null`, or a text without a template's marks."""

    value: str | Decimal | bool | None
    line: int


@dataclass(frozen=True, slots=True)
class Template:
    """Text with interpolations; its parts' values are joined."""

    parts: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class TemplateIf:
    """`%{ if c }…%{ else }…%{ endif }`."""

    condition: Node
    then: Template
    otherwise: Template
    line: int


@dataclass(frozen=True, slots=True)
class TemplateFor:
    """`%{ for k, v in c }…%{ endfor }`."""

    key: str | None
    value: str
    collection: Node
    body: Template
    line: int


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Unary:
    """`-` or `!`, once; pairs cancel out when they are read."""

    operator: str
    operand: Node
    line: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Operators of one precedence, applied from left to right: flat, so that length costs no depth."""

    first: Node
    rest: tuple[tuple[str, Node], ...]
    line: int


@dataclass(frozen=True, slots=True)
class Conditional:
    condition: Node
    then: Node
    otherwise: Node
    line: int


@dataclass(frozen=True, slots=True)
class TupleOf:
    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class ObjectOf:
    items: tuple[tuple[Node, Node], ...]
    line: int


@dataclass(frozen=True, slots=True)
class For:
    """`[for k, v in c : x if y]`, or with a `result_key` `{for k, v in c : key => x... if y}`."""

    key: str | None
    value: str
    collection: Node
    result_key: Node | None
    result: Node
    is_grouped: bool
    condition: Node | None
    line: int


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Node, ...]
    is_expanded: bool
    """Whether the last argument is a list of arguments (`...`)."""
    line: int


@dataclass(frozen=True, slots=True)
class Splat:
    """`[*]` or `.*`: the steps after it apply to each item."""


@dataclass(frozen=True, slots=True)
class Access:
    """A value and the steps into it: an attribute's name, an index, a splat."""

    source: Node
    steps: tuple[str | Node | Splat, ...]
    line: int


Node = (
    Literal
    | Template
    | TemplateIf
    | TemplateFor
    | Variable
    | Unary
    | Chain
    | Conditional
    | TupleOf
    | ObjectOf
    | For
    | Call
    | Access
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`name = expression`."""

    name: str
    expression: Node
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """`type "label" { … }`."""

    type: str
    labels: tuple[str, ...]
    body: Body
    line: int


@dataclass(frozen=True, slots=True)
class Body:
    """What stands in a file or a block."""

    attributes: dict[str, Attribute]
    blocks: tuple[Block, ...]
