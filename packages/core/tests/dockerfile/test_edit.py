"""Edits: parse, replace one reference, parse again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.dockerfile.edit import replace_reference
from image_factory.dockerfile.read import read_dockerfile
from image_factory.dockerfile.reading import BuildOptions
from image_factory.errors import InvalidReference, UserError

SHA = "sha256:" + "0123456789abcdef" * 4

EDITS = {
    "a word in FROM": ("FROM a:1\nFROM a:1-x\n", 0, "a:2", "FROM a:2\nFROM a:1-x\n"),
    "a digest is added": ("FROM a:1\n", 0, f"a:1@{SHA}", f"FROM a:1@{SHA}\n"),
    "quotes go": ("FROM 'a:1' AS x\n", 0, "a:2", "FROM a:2 AS x\n"),
    "COPY": ("FROM a\nCOPY --from=b:1 --link b:1 /\n", 1, "b:2", "FROM a\nCOPY --from=b:2 --link b:1 /\n"),
    "a mount": (
        "FROM a\nRUN --mount=type=bind,from=b,target=/b x b\n",
        1,
        "c",
        "FROM a\nRUN --mount=type=bind,from=c,target=/b x b\n",
    ),
    "a frontend": ("# syntax=a/b:1 x\nFROM a\n", 0, "a/b:2", "# syntax=a/b:2 x\nFROM a\n"),
    "a byte-order mark and CRLF stay": ("\ufeffFROM a:1\r\nRUN x\r\n", 0, "a:2", "\ufeffFROM a:2\r\nRUN x\r\n"),
    "a word over two lines": ("FROM al\\\npine AS x\nFROM x\n", 0, "a:2", "FROM \\\na:2 AS x\nFROM x\n"),
    "a word over lines with a comment": (
        "FROM al\\ \n# c\np\\\nine\nRUN x\n",
        0,
        "a:2",
        "FROM \\ \n# c\n\\\na:2\nRUN x\n",
    ),
    "an ARG's default": ("ARG V=1\nFROM a:$V\n", 0, "a:2", "ARG V=2\nFROM a:$V\n"),
    "a quoted default": ('ARG V="1" W=1\nFROM a:${V}\n', 0, "a:2", 'ARG V="2" W=1\nFROM a:${V}\n'),
    "a single-quoted default": ("ARG V='1'\nFROM a:${V}\n", 0, "a:2", "ARG V='2'\nFROM a:${V}\n"),
    "quotes around the variable": ('ARG V=1\nFROM "a:$V"\n', 0, "a:2", 'ARG V=2\nFROM "a:$V"\n'),
    "a whole reference in an ARG": ("ARG B=a:1\nFROM $B\n", 0, "b@" + SHA, f"ARG B=b@{SHA}\nFROM $B\n"),
    "the ARG that differs": ("ARG R=a\nARG V=1\nFROM $R:$V\n", 0, "a:2", "ARG R=a\nARG V=2\nFROM $R:$V\n"),
    "a default through another": ("ARG V=1\nARG B=a:$V-x\nFROM $B\n", 0, "a:2-x", "ARG V=2\nARG B=a:$V-x\nFROM $B\n"),
    "the default that counts": ("ARG V=1\nARG V=2\nFROM a:$V\n", 0, "a:3", "ARG V=1\nARG V=3\nFROM a:$V\n"),
    "a default in the substitution": ("FROM a:${V:-1}\n", 0, "a:2", "FROM a:${V:-2}\n"),
    "a default in the substitution that is not used": (
        "ARG V=3\nFROM a:${V:-1}\n",
        0,
        "a:2",
        "ARG V=2\nFROM a:${V:-1}\n",
    ),
    "a default over two lines": ("ARG V=1\\\n.2\nFROM a:$V\n", 0, "a:2", "ARG V=\\\n2\nFROM a:$V\n"),
    "a prefix of another name": (
        "ARG V=1\nARG VERSION=1\nFROM a:$VERSION\nFROM a:$V\n",
        0,
        "a:2",
        "ARG V=1\nARG VERSION=2\nFROM a:$VERSION\nFROM a:$V\n",
    ),
}


@pytest.mark.parametrize(("text", "number", "new", "edited"), EDITS.values(), ids=EDITS.keys())
def test_an_edit_changes_one_span(text: str, number: int, new: str, edited: str) -> None:
    result = replace_reference(text, read_dockerfile(text).references[number], new)

    assert result == edited
    assert read_dockerfile(result).references[number].reference.written.endswith(new.rpartition("/")[2])


def test_references_that_share_an_arg_change_together() -> None:
    text = "ARG V=1\nFROM a:$V\nFROM b:$V\nFROM c:1\n"
    edited = replace_reference(text, read_dockerfile(text).references[0], "a:2")

    assert [image.reference.written for image in read_dockerfile(edited).references] == ["a:2", "b:2", "c:1"]


REFUSED = {
    "no ARG can give it": ("ARG V=1\nFROM a:$V\n", 0, "b:1"),
    "two ARGs could give it": ("ARG A=a\nARG B=a\nFROM $A$B\n", 0, "aaa"),
    "a variable twice": ("ARG A=a\nFROM $A/$A\n", 0, "b/b"),
    "more than text and variables": ("ARG V=1.2\nFROM a:${V%.*}\n", 0, "a:2"),
    "an automatic variable": ("FROM a:$TARGETARCH\n", 0, "a:2"),
    "a variable without a default": ("ARG V\nFROM a$V\n", 0, "ab"),
    "a stage's name": ("FROM a AS x\nFROM b\n", 1, "x"),
    "a stage's name in COPY": ("FROM a AS x\nFROM c\nCOPY --from=b / /\n", 2, "x"),
    "scratch": ("FROM a\n", 0, "scratch"),
    "an ARG that names a stage elsewhere": ("ARG V=x\nFROM a AS base-x\nFROM base-$V\nFROM $V\n", 1, "y"),
    "too many ARGs between": (
        "ARG A0=1\n" + "".join(f"ARG A{n + 1}=$A{n}\n" for n in range(30)) + "FROM a:$A30\n",
        0,
        "a:2",
    ),
}


@pytest.mark.parametrize(("text", "number", "new"), REFUSED.values(), ids=REFUSED.keys())
def test_an_edit_that_is_not_clear_is_an_error(text: str, number: int, new: str) -> None:
    reference = read_dockerfile(text).references[number]

    with pytest.raises(UserError) as caught:
        replace_reference(text, reference, new)

    assert repr(reference.written) in caught.value.message
    assert caught.value.hint


def test_what_is_no_reference_is_refused() -> None:
    with pytest.raises(InvalidReference):
        replace_reference("FROM a\n", read_dockerfile("FROM a\n").references[0], "A B")


def test_a_reference_of_another_text_is_refused() -> None:
    with pytest.raises(UserError, match="is not in the text"):
        replace_reference("FROM b\n", read_dockerfile("FROM a\n").references[0], "c")


def test_a_build_args_value_is_not_edited_in_the_file() -> None:
    text = "ARG V=1\nFROM a:${V}\n"
    options = BuildOptions({"V": "3"})
    (reference,) = read_dockerfile(text, options).references

    with pytest.raises(UserError, match="no default of a single ARG"):
        replace_reference(text, reference, "a:2", options)
    with pytest.raises(UserError, match="is not in the text"):
        replace_reference(text, reference, "a:2")


def test_what_a_context_gives_is_not_edited_in_the_file() -> None:
    options = BuildOptions({}, contexts={"a": "docker-image://b"})
    (reference,) = read_dockerfile("FROM a\n", options).references

    with pytest.raises(UserError, match="is not in the text"):
        replace_reference("FROM a\n", reference, "c", options)


NAMES = st.sampled_from(["node:22", "node:22-slim", "ghcr.io/a/b:1", f"x:1@{SHA}", "nginx", "node"])
LINES = st.one_of(
    NAMES.map(lambda name: f"FROM {name}"),
    NAMES.map(lambda name: f"FROM --platform=linux/arm64 \\\n  {name} AS s"),
    NAMES.map(lambda name: f"COPY --link --from={name} node:22 nginx"),
    NAMES.map(lambda name: f"RUN --mount=from={name},target=/m --mount=type=cache,target=/c echo {name}"),
    NAMES.map(lambda name: f"# FROM {name}"),
    NAMES.map(lambda name: f"ENV IMAGE={name}"),
)


@given(st.lists(LINES, min_size=1, max_size=6), st.data())
def test_law_an_edit_changes_one_reference_and_one_span(lines: list[str], data: st.DataObject) -> None:
    text = "FROM base\n" + "\n".join(lines) + "\n"
    before = read_dockerfile(text).references
    number = data.draw(st.integers(0, len(before) - 1))
    span = before[number].span
    assert span is not None

    edited = replace_reference(text, before[number], "quay.io/new/image:9")

    after = read_dockerfile(edited).references
    assert edited == text[: span.start] + "quay.io/new/image:9" + text[span.end :]
    assert after[number].reference.canonical == "quay.io/new/image:9"
    assert [replace(image, span=None) for image in before[:number] + before[number + 1 :]] == [
        replace(image, span=None) for image in after[:number] + after[number + 1 :]
    ]
