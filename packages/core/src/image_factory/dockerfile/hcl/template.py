"""HCL's templates: quoted text and heredocs with `${…}` and `%{…}` in them.

The specification is `hclsyntax/spec.md`, "Template Expressions". Text is first parted into pieces,
then the pieces between directives are nested. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from image_factory.dockerfile.hcl.nodes import HclError, Literal, Node, Template, TemplateFor, TemplateIf
from image_factory.dockerfile.hcl.syntax import Parser

# Up to the next character that may mean something: in quotes also the escape, the quote and the line's end.
_PLAIN_IN_QUOTES = re.compile(r'[^"\\$%\n]+')
_PLAIN_IN_HEREDOC = re.compile(r"[^$%\n]+")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_UNICODE = re.compile(r"u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})")


@dataclass(slots=True)
class _Text:
    """Literal text, of one line at most; what stands at a line's start may lose its indentation."""

    value: str


@dataclass(frozen=True, slots=True)
class _Directive:
    """`if`, `else`, `for`, `endif` or `endfor`."""

    keyword: str
    condition: Node | None
    names: tuple[str | None, str] | None
    line: int


_Piece = _Text | _Directive | Node


def parse_template(text: str, *, line: int = 1) -> Node:
    """Return the template that a whole text is, such as a JSON string's.

    Raises:
        HclError: an expression in it is not HCL.
    """
    parser = Parser(text, first_line=line)
    return TemplateParser(parser).whole()


class TemplateParser:
    """Reads one template at the position of the parser of expressions."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._pieces: list[_Piece] = []
        self._trims_next = False

    def quoted(self) -> Node:
        """Read from the opening quote to the closing one."""
        parser = self._parser
        line = parser.line()
        parser.enter()
        parser.position += 1
        while True:
            here = parser.text[parser.position : parser.position + 1]
            if parser.position >= parser.end or here == "\n":
                raise parser.error("the text in quotes that begins here has no end", line)
            if here == '"':
                break
            if here == "\\":
                self._add_text(self._escape())
            else:
                self._piece(_PLAIN_IN_QUOTES)
        parser.position += 1
        parser.leave()
        return self._unwrapped(line)

    def heredoc(self, end: int, *, is_indented: bool) -> Template:
        """Read up to `end`; without the indentation that all lines share where `is_indented`."""
        line = self._parser.line()
        self._lines(end)
        if is_indented:
            self._dedent()
        return self._nest(line)

    def whole(self) -> Node:
        """Read to the end of the text, as in JSON, where escapes are read already."""
        line = self._parser.line()
        self._lines(self._parser.end)
        return self._unwrapped(line)

    def _lines(self, end: int) -> None:
        parser = self._parser
        parser.enter()
        outer, parser.end = parser.end, end
        while parser.position < end:
            if parser.text[parser.position] == "\n":
                self._add_text("\n")
                parser.position += 1
            else:
                self._piece(_PLAIN_IN_HEREDOC)
        parser.end = outer
        parser.leave()

    # --- pieces -------------------------------------------------------------------------------

    def _piece(self, plain: re.Pattern[str]) -> None:
        parser = self._parser
        found = plain.match(parser.text, parser.position, parser.end)
        if found:
            self._add_text(found.group())
            parser.position = found.end()
            return
        here = parser.text[parser.position : min(parser.position + 3, parser.end)]
        if here in ("$${", "%%{"):
            self._add_text(here[1:])
            parser.position += 3
        elif here.startswith("${"):
            self._interpolation()
        elif here.startswith("%{"):
            self._directive()
        else:
            self._add_text(here[0])
            parser.position += 1

    def _add_text(self, value: str) -> None:
        last = self._pieces[-1] if self._pieces else None
        if self._trims_next:
            value = value.lstrip()
            self._trims_next = not value and bool(self._pieces) and not isinstance(last, _Text)
        if isinstance(last, _Text) and not last.value.endswith("\n"):
            last.value += value
        else:
            self._pieces.append(_Text(value))

    def _escape(self) -> str:
        parser = self._parser
        letter = parser.text[parser.position + 1 : parser.position + 2]
        if letter in _ESCAPES and letter:
            parser.position += 2
            return _ESCAPES[letter]
        found = _UNICODE.match(parser.text, parser.position + 1, parser.end)
        if not found:
            raise parser.error(f"not an escape: {chr(92) + letter!r}")
        code = int(found[1] or found[2], 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise parser.error(f"not a character: {chr(92) + found.group()}")
        parser.position = found.end()
        return chr(code)

    def _open(self) -> None:
        """Skip `${` or `%{` with its strip marker."""
        parser = self._parser
        parser.enter()
        parser.position += 2
        if parser.text.startswith("~", parser.position, parser.end):
            parser.position += 1
            if self._pieces and isinstance(self._pieces[-1], _Text):
                self._pieces[-1].value = self._pieces[-1].value.rstrip()

    def _close(self) -> None:
        parser = self._parser
        self._trims_next = parser.takes("~", lines=True)
        parser.take_closing("}")
        parser.leave()

    def _interpolation(self) -> None:
        self._open()
        node = self._parser.bracketed_expression()
        self._close()
        self._pieces.append(node)

    def _directive(self) -> None:
        parser = self._parser
        self._open()
        line = parser.line()
        keyword = parser.identifier()
        condition: Node | None = None
        names = None
        if keyword == "if":
            condition = parser.bracketed_expression()
        elif keyword == "for":
            key, value, condition = parser.for_introduction()
            names = (key, value)
        elif keyword not in ("else", "endif", "endfor"):
            raise parser.error(f"not a directive: {keyword!r}", line)
        self._close()
        self._pieces.append(_Directive(keyword, condition, names, line))

    # --- pieces to a tree ---------------------------------------------------------------------

    def _dedent(self) -> None:
        """Take the indentation away that all lines share (hclsyntax `flushHeredocTemplateParts`)."""
        starts: list[_Text] = []
        shared: int | None = None
        at_start = True
        for piece in self._pieces:
            text = piece.value if isinstance(piece, _Text) else None
            if at_start and text is not None and not (text.endswith("\n") and not text.strip()):
                assert isinstance(piece, _Text)
                starts.append(piece)
                indentation = len(text) - len(text.lstrip())
                shared = indentation if shared is None else min(shared, indentation)
            elif at_start and text is None:
                shared = 0
            at_start = text is not None and text.endswith("\n")
        for piece in starts:
            piece.value = piece.value[shared or 0 :]

    def _unwrapped(self, line: int) -> Node:
        """Return the template; the expression itself where it is nothing but one, so that it keeps its type."""
        template = self._nest(line)
        if not template.parts:
            return Literal("", line)
        if len(template.parts) == 1 and not isinstance(template.parts[0], (TemplateIf, TemplateFor)):
            return template.parts[0]
        return template

    def _nest(self, line: int) -> Template:
        self._pieces.reverse()
        template, closing = self._until(line, ())
        if closing is not None:
            raise HclError(closing.line, f"%{{ {closing.keyword} }} ends nothing")
        return template

    def _until(self, line: int, keywords: tuple[str, ...]) -> tuple[Template, _Directive | None]:
        """Take pieces up to a directive that ends this part of the template."""
        parts: list[Node] = []
        texts: list[str] = []

        def flush() -> None:
            if texts:
                parts.append(Literal("".join(texts), line))
                texts.clear()

        self._parser.enter()
        closing = None
        while self._pieces:
            piece = self._pieces.pop()
            if isinstance(piece, _Text):
                texts.append(piece.value)
                continue
            flush()
            if not isinstance(piece, _Directive):
                parts.append(piece)
            elif piece.keyword in ("if", "for"):
                parts.append(self._directive_node(piece))
            else:
                closing = piece
                break
        flush()
        self._parser.leave()
        if keywords and (closing is None or closing.keyword not in keywords):
            raise HclError(line, f"%{{ {keywords[-1]} }} is missing")
        return Template(tuple(parts), line), closing

    def _directive_node(self, opening: _Directive) -> Node:
        assert opening.condition is not None
        if opening.names is not None:
            body, _ = self._until(opening.line, ("endfor",))
            key, value = opening.names
            return TemplateFor(key, value, opening.condition, body, opening.line)
        then, closing = self._until(opening.line, ("else", "endif"))
        otherwise = Template((), opening.line)
        if closing is not None and closing.keyword == "else":
            otherwise, _ = self._until(closing.line, ("endif",))
        return TemplateIf(opening.condition, then, otherwise, opening.line)
