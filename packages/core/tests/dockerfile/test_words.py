"""Words and patterns as BuildKit's shell lexer reads them; each answer here was BuildKit's own."""

from __future__ import annotations

import pytest

from image_factory.dockerfile.heredocs import heredocs, parse_heredoc
from image_factory.dockerfile.reading import Category
from image_factory.dockerfile.text import Refusal
from image_factory.dockerfile.words import Budget, expand

VALUES = {"X": "abcabc.b-a/b", "Y": "a*b?c\\d", "EMPTY": "", "É": "q", "1": "one"}

MEANINGS = [
    ("plain", "plain"),
    ("\ufeffa", "a"),
    ("$X", "abcabc.b-a/b"),
    ("$Xa", ""),
    ("${X}a", "abcabc.b-a/ba"),
    ("$É", "q"),
    ("$1a", "onea"),
    ("$@$*$", "$"),
    ("'$X'", "$X"),
    ('"$X"', "abcabc.b-a/b"),
    ('"a\\"b\\$\\\\\\c"', 'a"b$\\\\c'),
    ("a\\ b\\$X", "a b$X"),
    ("a\\", "a"),
    ("a<<b", "a<<b"),
    ("${X#a*c}", "abc.b-a/b"),
    ("${X##a*c}", ".b-a/b"),
    ("${X#?b}", "cabc.b-a/b"),
    ("${X#b}", "abcabc.b-a/b"),
    ("${X#*z*}", "abcabc.b-a/b"),
    ("${X##*z}", "abcabc.b-a/b"),
    ("${X%/*}", "abcabc.b-a"),
    ("${X%%b*}", "a"),
    ("${Y%%\\?*}", "a*b"),
    ("${Y#a\\*}", "b?c\\d"),
    ("${Y%\\\\d}", "a*b?c"),
    ("${X/b/-}", "a-cabc.b-a/b"),
    ("${X//b/-}", "a-ca-c.--a/-"),
    ("${X/b*a/-}", "a-/b"),
    ("${X//*/-}", "-"),
    ("${X//?/-}", "------------"),
    ("${X//b/[$0]}", "a[]ca[]c.[]-a/[]"),
    ("${X//b/'[$0]'}", "a[b]ca[b]c.[b]-a/[b]"),
    ("${X//b/'$$'}", "a$ca$c.$-a/$"),
    ("${X///'-'}", "-a-b-c-a-b-c-.-b---a-/-b-"),
    ("${X/\\//-}", "abcabc.b-a-b"),
    ("${X/z/-}", "abcabc.b-a/b"),
    ("${EMPTY:-${X#*/}}", "b"),
    ("${UN:+x}${EMPTY:+x}${EMPTY+x}", "x"),
    ('"${UN:-"a b"}"', "a b"),
]


@pytest.mark.parametrize(("word", "meaning"), MEANINGS)
def test_a_word_means(word: str, meaning: str) -> None:
    assert expand(word, VALUES, "\\", Budget()).text == meaning


REFUSED = [
    "${",
    "${}",
    "${{X}}",
    "${:-a}",
    "${X",
    "${X:-a",
    "${X^}",
    "${X:=a}",
    "${X:#a}",
    "${X/a}",
    "${X/a/b",
    "${X#a\\b}",
    "${X#\\",
    "'a",
    '"a',
    '"a\\',
]


@pytest.mark.parametrize("word", REFUSED)
def test_a_word_that_buildkit_refuses(word: str) -> None:
    with pytest.raises(Refusal) as caught:
        expand(word, VALUES, "\\", Budget())

    assert caught.value.category is Category.SYNTAX


@pytest.mark.parametrize(
    ("word", "used", "missing"),
    [
        ("$X$UN", ["X"], ["UN"]),
        ("${UN:-$X}", ["X"], []),
        ("${X:-$UN}", ["X"], []),
        ("${X:+$UN}", ["X"], ["UN"]),
        ("${UN:+$UN}", [], []),
        ("${UN#a}${UN/a/b}", [], ["UN", "UN"]),
    ],
)
def test_a_word_tells_which_variables_it_is_made_of(word: str, used: list[str], missing: list[str]) -> None:
    expansion = expand(word, VALUES, "\\", Budget())

    assert (sorted(set(expansion.used)), expansion.missing) == (used, missing)


def test_the_escape_may_be_a_backtick() -> None:
    assert expand("`$X\\", VALUES, "`", Budget()).text == "$X\\"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("RUN <<A <<-B 3<<'C D'", ["A", "B", "C D"]),
        ("RUN << A", ["A"]),
        ("RUN <<A${X:-b}", []),
        ("RUN <<A$X", ["A$X"]),
        ("RUN ${X:-b <<A}", ["A}"]),
        ("RUN x<<A a<<<B '<<C' \"<<D\" <<", []),
        ("RUN ${X:=a} <<A", ["A"]),
        ("RUN ${X^} <<A", []),
        ("RUN ${X#\\a}${X/a/b} <<A", ["A"]),
        ("RUN \"a\\b\" 'c' <<A", ["A"]),
        ("RUN it's <<A", []),
    ],
)
def test_the_heredocs_of_a_line(line: str, names: list[str]) -> None:
    assert [heredoc.name for heredoc in heredocs(line)] == names


def test_a_heredocs_name_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(Refusal, match="unreadable heredoc"):
        parse_heredoc("<<'a")
