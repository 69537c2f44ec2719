"""Hostile input: any bytes and any size end within the bounds that docs/explanation/dockerfiles.md states."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.dockerfile.findings import MAX_FINDINGS
from image_factory.dockerfile.read import read_dockerfile
from image_factory.dockerfile.reading import BuildOptions, Category
from image_factory.dockerfile.text import MAX_EXPANSION, MAX_LINE, MAX_NESTING
from image_factory.oci.platform import Platform

MEGABYTE = 1_000_000
SECONDS = 60
"""What 10 MB may take. The docs promise a quarter of it, on a machine that does nothing else."""


@given(st.binary(max_size=400))
def test_any_bytes_are_read(data: bytes) -> None:
    reading = read_dockerfile(data)

    assert reading.references or reading.diagnostics or reading.stages


CHARACTERS = "${}:-+?#%/*\\'\"`=,<>\n\r\t\v\x1c\x85\xa0é@0aA \ufeff\ud800"
PIECES = ("FROM ", "ARG ", "COPY ", "RUN ", "ONBUILD ", "AS ", "--from=", "--mount=", "--platform=", "<<EOF", "\nEOF\n")
MARKS = ("# syntax=", "# escape=`\n", "${X:-", "${X/", "${X##", "{{", "}}", "scratch", "\\\n", "X=", "$X")
PARTS = st.sampled_from([*CHARACTERS, *PIECES, *MARKS])


@given(
    st.lists(PARTS, max_size=40).map("".join), st.sampled_from([(), (Platform("linux", "arm64"), Platform("a", "b"))])
)
def test_any_text_is_read(text: str, platforms: tuple[Platform, ...]) -> None:
    options = BuildOptions({"X": "a"}, "a", platforms, {"a": "docker-image://b"})
    reading = read_dockerfile(text, options)

    for image in reading.references:
        assert 1 <= image.line <= image.end_line <= text.count("\n") + 1
        assert image.span is None or 0 <= image.span.start < image.span.end <= len(text)


HUGE = {
    "a line of 10 MB": "FROM " + "a" * 10 * MEGABYTE,
    "a comment of 10 MB": "# " + "a" * 10 * MEGABYTE,
    "a continued line of 10 MB": "FROM a\nRUN " + ("x" * 60 + " \\\n") * 160_000,
    "a continued line of flags": "FROM a\nRUN " + "--mount=from=b \\\n" * 100_000 + "x",
    "a continued line of quotes": "FROM a\nRUN << " + "'x' $y \"z\" <<a\\\n" * 100_000,
    "a million ARGs": "ARG A=1\n" * MEGABYTE + "FROM a:$A",
    "a chain of ARGs": "ARG A0=1\n" + "".join(f"ARG A{n + 1}=$A{n}\n" for n in range(100_000)) + "FROM a:$A100000",
    "ARGs that double": "ARG A=aaaaaaaaaa\n" + "ARG A=$A$A\n" * 100_000 + "FROM $A",
    "ARGs that copy": f"ARG A={'a' * 60_000}\n" + "".join(f"ARG B{n}=$A\n" for n in range(100_000)) + "FROM a",
    "deep nesting": ("ARG B=" + "${X:-" * 9_000 + "a" + "}" * 9_000 + "\n") * 100 + "FROM a",
    "deep nesting in RUN": "FROM a\n" + ("RUN <<" + "${X:-" * 9_000 + "\n") * 100,
    "patterns": f"ARG X={'a' * 60_000}\n" + "ARG B=${X%%*a?a?a*b}\n" * 1_000 + "FROM a",
    "stars": f"ARG X={'a' * 60_000}\n" + "ARG B=${X##*a*a*a*a*b}\n" * 10_000 + "FROM a",
    "replacements": f"ARG X={'a' * 6_000}\n" + "ARG B=${X//?/$0}\n" * 2_000 + "FROM a",
    "heredocs without an end": "FROM a\n" + "".join(f"RUN <<A{n}\n" for n in range(100_000)),
    "stages on stages": "FROM a AS b0\n" + "".join(f"FROM b{n} AS b{n + 1}\n" for n in range(100_000)),
    "stages that copy from later ones": "".join(f"FROM a AS s{n}\nCOPY --from=s{n + 1} / /\n" for n in range(50_000)),
    "noise": "x\n" * 100_000,
    "blank lines": "\n" * MEGABYTE,
    "escapes": "\\\n" * MEGABYTE,
    "NULs": "\0" * 10 * MEGABYTE,
    "braces": "{" * 10 * MEGABYTE,
    "template marks": ("FROM " + "%%a@a<a{%" * 6_000 + "\n") * 100,
    "blanks in a directive": "# syntax=" + " " * 60_000 + "a\n# syntax =" + " " * 60_000,
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE.keys())
def test_a_huge_file_ends_in_time(text: str) -> None:
    started = time.perf_counter()
    reading = read_dockerfile(text)

    assert time.perf_counter() - started < SECONDS
    assert reading.references or reading.diagnostics


@pytest.mark.parametrize(("length", "refused"), [(MAX_LINE, False), (MAX_LINE + 1, True)])
def test_a_line_has_at_most_what_buildkit_reads(length: int, refused: bool) -> None:
    line = "RUN é" + "x" * (length - 6)
    reading = read_dockerfile(f"FROM a\n{line}\nCOPY --from=b / /\n")

    assert [diagnostic.line for diagnostic in reading.diagnostics] == ([2] if refused else [])
    assert len(reading.references) == 2


def test_a_continued_line_that_is_too_long_is_told() -> None:
    reading = read_dockerfile("FROM a\nRUN x \\\n" + "y" * (MAX_LINE + 1) + "\nCOPY --from=b / /\n")

    assert [(diagnostic.category, diagnostic.line) for diagnostic in reading.diagnostics] == [(Category.SYNTAX, 3)]


def test_a_word_that_grows_beyond_the_bound_is_told() -> None:
    reading = read_dockerfile(f"ARG A={'a' * 60_000}\nARG B=$A$A\nFROM x$B")

    assert [(diagnostic.category, diagnostic.line) for diagnostic in reading.diagnostics] == [
        (Category.UNRESOLVED_ARG, 2),
        (Category.UNRESOLVED_ARG, 3),
    ]
    assert str(MAX_EXPANSION) in reading.diagnostics[0].message


def test_nesting_beyond_the_bound_is_told() -> None:
    def nested(depth: int) -> str:
        return "FROM " + "${X:-" * depth + "a" + "}" * depth

    assert read_dockerfile(nested(MAX_NESTING)).diagnostics == ()
    assert [d.category for d in read_dockerfile(nested(MAX_NESTING + 1)).diagnostics] == [Category.SYNTAX]


def test_diagnostics_beyond_the_bound_are_told_as_one() -> None:
    diagnostics = read_dockerfile("FROM a\n" + "x\n" * (MAX_FINDINGS + 5)).diagnostics

    assert len(diagnostics) == MAX_FINDINGS + 1
    assert "more than" in diagnostics[-1].message
