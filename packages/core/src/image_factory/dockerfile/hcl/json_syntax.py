"""HCL's JSON syntax: the same tree from JSON (github.com/hashicorp/hcl, `json/spec.md`). Pure.

Texts are templates; which objects are blocks is the caller's schema. Duplicate keys are kept, since
JSON says two blocks of one type so.
"""

from __future__ import annotations

import re
from json import JSONDecodeError, JSONDecoder

from image_factory.dockerfile.hcl.nodes import (
    Attribute,
    Block,
    Body,
    HclError,
    Literal,
    Node,
    ObjectOf,
    TupleOf,
)
from image_factory.dockerfile.hcl.syntax import Parser
from image_factory.dockerfile.hcl.template import parse_template
from image_factory.dockerfile.hcl.values import number

_STRINGS = JSONDecoder()
"""Reads texts alone: what stands around them is read here, with its lines."""
_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,99})(?:\.\d{1,100})?(?:[eE][+-]?\d{1,2})?(?![\d.eE])")
_WORDS = {"true": True, "false": False, "null": None}


def parse_json_body(text: str, block_types: frozenset[str]) -> Body:
    """Return the tree of a JSON text, in which the keys `block_types` hold blocks with one label.

    Raises:
        HclError: the text is not JSON, or a block is none.
    """
    parser = _JsonParser(text.removeprefix("\ufeff"))
    root = parser.document()
    if not isinstance(root, ObjectOf):
        raise HclError(1, "the file holds no JSON object")
    attributes: dict[str, Attribute] = {}
    blocks: list[Block] = []
    for name, value in _named(root):
        if name not in block_types:
            attributes[name] = Attribute(name, value, value.line)
            continue
        for labelled in value.items if isinstance(value, TupleOf) else (value,):
            for label, bodies in _named(labelled):
                for body in bodies.items if isinstance(bodies, TupleOf) else (bodies,):
                    inner = {key: Attribute(key, item, item.line) for key, item in _named(body)}
                    blocks.append(Block(name, (label,), Body(inner, ()), body.line))
    return Body(attributes, tuple(blocks))


def _named(node: Node | tuple[Node, Node]) -> list[tuple[str, Node]]:
    if not isinstance(node, ObjectOf):
        raise HclError(1 if isinstance(node, tuple) else node.line, "a JSON object is wanted here")
    return [(key.value, value) for key, value in node.items if isinstance(key, Literal) and isinstance(key.value, str)]


class _JsonParser(Parser):
    """JSON's grammar over the same position, lines and depth."""

    def document(self) -> Node:
        node = self._value()
        self._space()
        if self.position < self.end:
            raise self.expected("the end of the file")
        return node

    def _space(self) -> None:
        found = _SPACE.match(self.text, self.position)
        self.position = found.end() if found else self.position

    def _takes(self, word: str) -> bool:
        self._space()
        if not self.text.startswith(word, self.position):
            return False
        self.position += len(word)
        return True

    def _string(self) -> str:
        try:
            text, self.position = _STRINGS.raw_decode(self.text, self.position)
        except JSONDecodeError as error:
            raise self.error("a JSON text that has no end or holds what it may not") from error
        return str(text)

    def _value(self) -> Node:
        self._space()
        line = self.line()
        here = self.text[self.position : self.position + 1]
        if here == '"':
            return parse_template(self._string(), line=line)
        if here in ("{", "["):
            self.enter()
            self.position += 1
            node: Node = self._object_of(line) if here == "{" else self._array(line)
            self.leave()
            return node
        found = _NUMBER.match(self.text, self.position)
        if found:
            self.position = found.end()
            return Literal(number(found.group(), line), line)
        for word, value in _WORDS.items():
            if self._takes(word):
                return Literal(value, line)
        raise self.expected("a JSON value")

    def _object_of(self, line: int) -> ObjectOf:
        items: list[tuple[Node, Node]] = []
        while not (not items and self._takes("}")):
            self._space()
            if not self.text.startswith('"', self.position):
                raise self.expected("a key in quotes")
            key_line = self.line()
            # A key is kept as it stands: of a block it is a name, of an object a template without marks.
            key = Literal(self._string(), key_line)
            if not self._takes(":"):
                raise self.expected("':'")
            items.append((key, self._value()))
            if self._takes("}"):
                break
            if not self._takes(","):
                raise self.expected("',' or '}'")
        return ObjectOf(tuple(items), line)

    def _array(self, line: int) -> TupleOf:
        items: list[Node] = []
        while not (not items and self._takes("]")):
            items.append(self._value())
            if self._takes("]"):
                break
            if not self._takes(","):
                raise self.expected("',' or ']'")
        return TupleOf(tuple(items), line)
