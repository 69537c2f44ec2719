"""HCL's native syntax: text to a tree, in one pass (github.com/hashicorp/hcl, `hclsyntax/spec.md`). Pure.

Time grows with the text; depth is bounded by `MAX_DEPTH`. Templates are in `template.py`, and the two
call each other: a template holds expressions, an expression templates.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from decimal import Decimal

from image_factory.dockerfile.hcl.nodes import (
    Access,
    Attribute,
    Block,
    Body,
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
    TupleOf,
    Unary,
    Variable,
)

MAX_DEPTH = 50
"""How deep brackets, blocks and templates may stand in each other. People's files have at most about ten."""
MAX_DIGITS = 100
"""Digits of a number, and the largest exponent."""

_SPACE = re.compile(r"(?:[ \t]|\r(?=\n)|/\*.*?\*/)*", re.DOTALL)
_SPACE_AND_LINES = re.compile(r"(?:[ \t\r\n]|/\*.*?\*/|(?:#|//)[^\n]*)*", re.DOTALL)
_LINE_END = re.compile(r"(?:#|//)[^\n]*|\n|\Z")
IDENTIFIER = re.compile(r"[^\W\d][\w-]*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_OPERATOR = re.compile(r"==|!=|<=|>=|&&|\|\||[<>+*/%-]")
_HEREDOC = re.compile(r"<<(-?)([^\W\d][\w-]*)\r?\n")
_LEVEL = {
    "||": 1, "&&": 2, "==": 3, "!=": 3, "<": 4, ">": 4, "<=": 4, ">=": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6,
}  # fmt: skip
_KEYWORDS = {"true": True, "false": False, "null": None}


def parse_body(text: str) -> Body:
    """Return the tree of a file's text.

    Raises:
        HclError: the text is not HCL.
    """
    return Parser(text.removeprefix("\ufeff")).file()


class Parser:
    """A position in a text, and the rules of the grammar as methods that move it on."""

    def __init__(self, text: str, *, first_line: int = 1, position: int = 0, end: int | None = None) -> None:
        self.text = text
        self.position = position
        self.end = len(text) if end is None else end
        self._depth = 0
        self._first_line = first_line
        self._line_starts: list[int] | None = None
        self._is_multiline = False
        """Whether a line's end is mere space here: inside of brackets."""

    # --- where we are -------------------------------------------------------------------------

    def line(self, position: int | None = None) -> int:
        """Return the line, from 1, of a position or of where we are."""
        if self._line_starts is None:
            self._line_starts = [found.end() for found in re.finditer("\n", self.text)]
        return self._first_line + bisect_right(self._line_starts, self.position if position is None else position)

    def error(self, message: str, line: int | None = None) -> HclError:
        return HclError(self.line() if line is None else line, message)

    def expected(self, what: str) -> HclError:
        if self.position >= self.end:
            return self.error(f"the file ends where {what} is expected")
        found = self.text[self.position : self.position + 20].split("\n")[0] or "the end of the line"
        return self.error(f"{what} is expected, not {found!r}")

    def enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels stand in each other")

    def leave(self) -> None:
        self._depth -= 1

    def skip(self, *, lines: bool | None = None) -> None:
        pattern = _SPACE_AND_LINES if (self._is_multiline if lines is None else lines) else _SPACE
        found = pattern.match(self.text, self.position, self.end)
        if found:
            self.position = found.end()

    def takes(self, word: str, *, lines: bool | None = None) -> bool:
        """Skip space, and `word` if it is what follows."""
        self.skip(lines=lines)
        if self.text.startswith(word, self.position, self.end):
            self.position += len(word)
            return True
        return False

    def take(self, word: str) -> None:
        if not self.takes(word):
            raise self.expected(repr(word))

    def identifier(self) -> str:
        self.skip()
        found = IDENTIFIER.match(self.text, self.position, self.end)
        if not found:
            raise self.expected("a name")
        self.position = found.end()
        return found.group()

    def takes_keyword(self, word: str) -> bool:
        """Skip space, and the whole name `word` if it is what follows."""
        self.skip()
        found = IDENTIFIER.match(self.text, self.position, self.end)
        if found and found.group() == word:
            self.position = found.end()
            return True
        return False

    # --- bodies -------------------------------------------------------------------------------

    def file(self) -> Body:
        body = self._body()
        if self.position < self.end:
            raise self.expected("a name")
        return body

    def _body(self) -> Body:
        attributes: dict[str, Attribute] = {}
        blocks: list[Block] = []
        while True:
            self.skip(lines=True)
            if self.position >= self.end or self.text[self.position] == "}":
                return Body(attributes, tuple(blocks))
            line = self.line()
            name = self.identifier()
            self.skip(lines=False)
            if self._is_equals():
                self.position += 1
                if name in attributes:
                    raise self.error(f"{name!r} is set twice, first on line {attributes[name].line}", line)
                attributes[name] = Attribute(name, self.expression(), line)
                self._end_of_line()
            else:
                blocks.append(self._block(name, line))

    def _is_equals(self) -> bool:
        here = self.text[self.position : self.position + 2]
        return here[:1] == "=" and here not in ("==", "=>")

    def _block(self, kind: str, line: int) -> Block:
        labels: list[str] = []
        while not self.takes("{", lines=False):
            if self.text.startswith('"', self.position, self.end):
                labels.append(self._label())
            else:
                labels.append(self.identifier())
        self.enter()
        body = self._body()
        self.leave()
        if not self.takes("}", lines=True):
            raise self.error(f"the block {kind!r} that begins here has no end", line)
        # A block on one line may be followed by the brace of the one around it.
        self.skip(lines=False)
        if not self.text.startswith("}", self.position, self.end):
            self._end_of_line()
        return Block(kind, tuple(labels), body, line)

    def _label(self) -> str:
        node = self._quoted()
        if isinstance(node, Literal) and isinstance(node.value, str):
            return node.value
        raise self.error("a block's label holds no expression")

    def _end_of_line(self) -> None:
        self.skip(lines=False)
        if self.position < self.end and self.text[self.position] == "}":
            return
        found = _LINE_END.match(self.text, self.position, self.end)
        if not found:
            raise self.expected("the end of the line")
        self.position = found.end()

    # --- expressions --------------------------------------------------------------------------

    def expression(self) -> Node:
        self.enter()
        self.skip()
        line = self.line()
        condition = self._chain(1)
        if self.takes("?"):
            then = self.expression()
            self.take(":")
            condition = Conditional(condition, then, self.expression(), line)
        self.leave()
        return condition

    def bracketed_expression(self) -> Node:
        """Read an expression in which a line's end is mere space."""
        before, self._is_multiline = self._is_multiline, True
        node = self.expression()
        self.skip()
        self._is_multiline = before
        return node

    def _chain(self, level: int) -> Node:
        first = self._chain(level + 1) if level < 6 else self._unary()
        rest: list[tuple[str, Node]] = []
        while True:
            self.skip()
            found = _OPERATOR.match(self.text, self.position, self.end)
            if not found or _LEVEL[found.group()] != level:
                return Chain(first, tuple(rest), first.line) if rest else first
            self.position = found.end()
            rest.append((found.group(), self._chain(level + 1) if level < 6 else self._unary()))

    def _unary(self) -> Node:
        self.skip()
        line = self.line()
        operators = ""
        while self.text[self.position : self.position + 1] in ("-", "!") and self.position < self.end:
            operators += self.text[self.position]
            self.position += 1
            self.skip()
        node = self._access()
        for _ in range(min(len(operators), MAX_DEPTH)):
            node = Unary(operators[-1], node, line)
            operators = operators[:-1]
        if operators:
            raise self.error(f"more than {MAX_DEPTH} operators before one value", line)
        return node

    def _access(self) -> Node:
        source = self._primary()
        steps: list[str | Node | Splat] = []
        while True:
            before = self.position
            self.skip()
            here = self.text[self.position : min(self.position + 3, self.end)]
            if here.startswith("...") or not here.startswith((".", "[")):
                self.position = before
                break
            if here.startswith("[*]"):
                self.position += 3
                steps.append(Splat())
            elif here.startswith("["):
                self.position += 1
                steps.append(self.bracketed_expression())
                self.take("]")
            elif here.startswith(".*"):
                self.position += 2
                steps.append(Splat())
            else:
                self.position += 1
                steps.append(self._step())
        return Access(source, tuple(steps), source.line) if steps else source

    def _step(self) -> str | Node:
        found = re.compile(r"\d+").match(self.text, self.position, self.end)
        if found and len(found.group()) <= MAX_DIGITS:
            self.position = found.end()
            return Literal(Decimal(found.group()), self.line())
        return self.identifier()

    def _primary(self) -> Node:
        self.skip()
        line = self.line()
        here = self.text[self.position : min(self.position + 2, self.end)]
        if here[:1] == '"':
            return self._quoted()
        if here == "<<":
            return self._heredoc()
        if here[:1] == "(":
            self.position += 1
            node = self.bracketed_expression()
            self.take_closing(")")
            # Apart from the name alone, so that `(x)` as an object's key is the variable.
            return Access(node, (), line)
        if here[:1] == "[":
            return self._tuple(line)
        if here[:1] == "{":
            return self._object(line)
        found = _NUMBER.match(self.text, self.position, self.end)
        if found:
            return self._number(found, line)
        if IDENTIFIER.match(self.text, self.position, self.end):
            return self._name(line)
        raise self.expected("a value")

    def take_closing(self, bracket: str) -> None:
        if not self.takes(bracket, lines=True):
            raise self.expected(repr(bracket))

    def _number(self, found: re.Match[str], line: int) -> Literal:
        self.position = found.end()
        digits, _, exponent = found.group().lower().partition("e")
        if len(digits) > MAX_DIGITS or (exponent and abs(int(exponent[:9])) > MAX_DIGITS):
            raise self.error(f"a number of more than {MAX_DIGITS} digits", line)
        return Literal(Decimal(found.group()), line)

    def _name(self, line: int) -> Node:
        name = self.identifier()
        while self.text.startswith("::", self.position, self.end):
            self.position += 2
            name += f"::{self.identifier()}"
        if self.takes("("):
            return self._call(name, line)
        if name in _KEYWORDS:
            return Literal(_KEYWORDS[name], line)
        return Variable(name, line)

    def _call(self, name: str, line: int) -> Call:
        arguments: list[Node] = []
        is_expanded = False
        while not self.takes(")", lines=True):
            arguments.append(self.bracketed_expression())
            is_expanded = self.takes("...", lines=True)
            if not self.takes(",", lines=True) or is_expanded:
                self.take_closing(")")
                break
        return Call(name, tuple(arguments), is_expanded, line)

    def _tuple(self, line: int) -> Node:
        self.position += 1
        node = self._for("]", line)
        if node is not None:
            return node
        items: list[Node] = []
        while not self.takes("]", lines=True):
            items.append(self.bracketed_expression())
            if not self.takes(",", lines=True):
                self.take_closing("]")
                break
        return TupleOf(tuple(items), line)

    def _object(self, line: int) -> Node:
        self.position += 1
        node = self._for("}", line)
        if node is not None:
            return node
        # Here a line's end parts the items, also inside of brackets.
        before, self._is_multiline = self._is_multiline, False
        items: list[tuple[Node, Node]] = []
        while not self.takes("}", lines=True):
            key = self.expression()
            self.skip()
            if isinstance(key, Variable):
                key = Literal(key.name, key.line)
            elif isinstance(key, Literal) and not isinstance(key.value, (str, Decimal)):
                key = Literal({True: "true", False: "false", None: "null"}[key.value], key.line)
            if self._is_equals():
                self.position += 1
            elif not self.takes(":"):
                raise self.expected("'='")
            items.append((key, self.expression()))
            if not self.takes(","):
                self.skip()
                if not self.text.startswith(("}", "\n", "#", "//"), self.position, self.end):
                    raise self.expected("',' or the end of the line")
        self._is_multiline = before
        return ObjectOf(tuple(items), line)

    def _for(self, closing: str, line: int) -> For | None:
        start, before = self.position, self._is_multiline
        self._is_multiline = True
        if not self.takes_keyword("for"):
            self.position, self._is_multiline = start, before
            return None
        self.skip()
        if not IDENTIFIER.match(self.text, self.position, self.end):
            # `for` is a name like any other as the key of an object.
            self.position, self._is_multiline = start, before
            return None
        key, value, collection = self.for_introduction()
        self.take(":")
        result = self.expression()
        result_key = None
        is_grouped = False
        if closing == "}":
            self.take("=>")
            result_key, result = result, self.expression()
            is_grouped = self.takes("...")
        condition = self.expression() if self.takes_keyword("if") else None
        self.take(closing)
        self._is_multiline = before
        return For(key, value, collection, result_key, result, is_grouped, condition, line)

    def for_introduction(self) -> tuple[str | None, str, Node]:
        """Read `k, v in collection`."""
        key, value = None, self.identifier()
        if self.takes(","):
            key, value = value, self.identifier()
        if not self.takes_keyword("in"):
            raise self.expected("'in'")
        return key, value, self.expression()

    # --- templates ----------------------------------------------------------------------------

    def _quoted(self) -> Node:
        from image_factory.dockerfile.hcl.template import TemplateParser

        return TemplateParser(self).quoted()

    def _heredoc(self) -> Node:
        from image_factory.dockerfile.hcl.template import TemplateParser

        line = self.line()
        found = _HEREDOC.match(self.text, self.position, self.end)
        if not found:
            raise self.expected("a heredoc's name")
        # The end is a line of the name alone, however far it stands in.
        last = re.compile(rf"^[ \t]*{re.escape(found[2])}(?=\r?$)", re.MULTILINE).search(
            self.text, found.end(), self.end
        )
        if not last:
            raise self.error(f"the heredoc {found[2]!r} that begins here has no end", line)
        self.position = found.end()
        template: Template = TemplateParser(self).heredoc(last.start(), is_indented=bool(found[1]))
        self.position = last.end()
        return template
