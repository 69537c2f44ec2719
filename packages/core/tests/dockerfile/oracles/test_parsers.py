"""The reader's lines and words against two parsers from the package index.

`dockerfile` is a wheel of the Go parser, `e2b-dockerfile-utils` a port of BuildKit's parser and shell lexer.
Where one of them is not installed, its tests are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from image_factory.dockerfile.flags import read_flags
from image_factory.dockerfile.instructions import Outline
from image_factory.dockerfile.lines import Lines
from image_factory.dockerfile.read import read_dockerfile
from image_factory.dockerfile.text import BOM, Refusal
from image_factory.dockerfile.words import Budget, Lexer, Words

DOCKERFILES = 4000

Dockerfiles = Callable[[int], Iterator[str]]
Row = tuple[str, int, int, tuple[str, ...]]


def beyond_the_go_parser(text: str) -> bool:
    """Whether a text holds what the wheel's older parser reads otherwise than today's BuildKit.

    It knows no space between `<<` and the name, and escapes flags with a backslash whatever the directive says.
    """
    return "<< " in text or ("\\" in text and "escape" in text.lower())


def beyond_the_port(text: str) -> bool:
    """Whether a text holds what the port reads otherwise than BuildKit.

    It takes flags by characters where BuildKit takes bytes, and looks for no heredoc in an ONBUILD.
    """
    return not text.isascii() or ("<<" in text and "nbu" in text.lower().replace("\n", ""))


_NESTED = re.compile(r"\$\{\w*\W")
"""A substitution with a word of its own: before it, BuildKit's shared buffer forgets, and the port's does not.

Nor does the port know a byte-order mark, or BuildKit 0.34's rule for escapes in double quotes.
"""


def rows(text: str) -> list[Row]:
    """Keyword, first and last line and flags of each instruction, as the reader has them."""
    lines = Lines(text)
    result = []
    for instruction in lines.instructions:
        flags, _ = read_flags(instruction.text, instruction.rest, lines.escape)
        words = tuple(flag.word for flag in flags)
        result.append((instruction.keyword, instruction.line, instruction.end_line, words))
    return result


def test_lines_are_those_of_the_go_parser(dockerfiles: Dockerfiles) -> None:
    dockerfile = pytest.importorskip(
        "dockerfile", reason="the package `dockerfile`, a wheel of the Go parser, is missing"
    )
    wrong: list[tuple[Any, ...]] = []
    parsed = 0
    for text in dockerfiles(DOCKERFILES):
        if beyond_the_go_parser(text):
            continue
        try:
            commands = dockerfile.parse_string(text.encode().decode("utf-8", "replace"))
        except (dockerfile.GoParseError, ValueError):
            if not read_dockerfile(text).diagnostics:
                wrong.append((text, "refused by the Go parser only"))
            continue
        parsed += 1
        theirs = [((c.cmd or "").lower(), c.start_line, c.end_line, tuple(c.flags)) for c in commands]
        if theirs != rows(text):
            wrong.append((text, theirs, rows(text)))

    assert wrong == []
    assert parsed > 1000 or parsed > DOCKERFILES // 4


def test_from_takes_the_words_that_the_go_parser_gives_it(dockerfiles: Dockerfiles) -> None:
    dockerfile = pytest.importorskip(
        "dockerfile", reason="the package `dockerfile`, a wheel of the Go parser, is missing"
    )
    wrong: list[tuple[Any, ...]] = []
    for text in dockerfiles(DOCKERFILES // 2):
        try:
            commands = dockerfile.parse_string(text.encode().decode("utf-8", "replace"))
        except (dockerfile.GoParseError, ValueError):
            continue
        theirs = [command.value[0] for command in commands if (command.cmd or "").lower() == "from" and command.value]
        ours = [head.word for head in Outline(text).stages]
        if len(theirs) == len(ours) and any(word and word != other for word, other in zip(ours, theirs, strict=True)):
            wrong.append((text, theirs, ours))

    assert wrong == []


def test_lines_are_those_of_the_port_of_buildkit(dockerfiles: Dockerfiles) -> None:
    e2b = pytest.importorskip("e2b_dockerfile_utils", reason="the package `e2b-dockerfile-utils` is missing")
    wrong: list[tuple[Any, ...]] = []
    for text in dockerfiles(DOCKERFILES // 2):
        if beyond_the_port(text):
            continue
        try:
            parsed = e2b.parse_dockerfile_ast(text)
        except ValueError:
            if not read_dockerfile(text).diagnostics:
                wrong.append((text, "refused by the port only"))
            continue
        theirs = [(i.name.lower(), i.start_line, i.end_line, tuple(i.flags)) for i in parsed.instructions]
        if theirs != rows(text):
            wrong.append((text, theirs, rows(text)))

    assert wrong == []


def test_words_are_split_as_in_the_port_of_buildkits_lexer(dockerfiles: Dockerfiles) -> None:
    e2b = pytest.importorskip("e2b_dockerfile_utils", reason="the package `e2b-dockerfile-utils` is missing")
    wrong: list[tuple[Any, ...]] = []
    for text in dockerfiles(DOCKERFILES // 2):
        for line in text.split("\n"):
            if (
                line[:1] == BOM
                or ('"' in line and "\\" in line)
                or any(not found[0].endswith("}") for found in _NESTED.finditer(line))
            ):
                continue
            words = Words()
            try:
                Lexer(line, {}, "\\", Budget(), words=words, unset=True, quotes=True, raw=True).read()
                ours: list[str] | None = words.found
            except Refusal:
                ours = None
            try:
                theirs = e2b.ShellLex("\\", raw_quotes=True, raw_escapes=True).process_words(line)
            except ValueError:
                theirs = None
            if ours != theirs:
                wrong.append((line, theirs, ours))

    assert wrong == []
