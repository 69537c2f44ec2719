from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import Conflict, InvalidEnrollment
from image_factory.state.images_edit import add_entry
from image_factory.state.images_yaml import ImagesFile, read_images

WEB = """\
- name: web
  registry: ghcr.io
  repository: acme/web
  source:
    repo: acme/web
"""
POSTGRES = """\
- name: postgres
  repository: library/postgres
  allowTags: ^16-alpine$
"""
ENTRY: dict[str, Any] = {"name": "redis", "repository": "library/redis", "tag": "7.0"}


def read(text: str) -> ImagesFile:
    return read_images(text, "images.yaml")


def names(images: ImagesFile) -> list[str]:
    return [entry.enrollment.name for entry in images.enrollments]


LAYOUTS = [
    pytest.param("", id="an empty file"),
    pytest.param("# our images\n", id="a comment alone"),
    pytest.param(WEB, id="one entry"),
    pytest.param(f"# first\n{WEB}\n# second\n{POSTGRES}# the end\n", id="comments all about"),
    pytest.param(WEB.rstrip("\n"), id="no line end at the end"),
    pytest.param((WEB + POSTGRES).replace("\n", "\r\n"), id="Windows' line ends"),
    pytest.param("".join(f"  {line}\n" for line in WEB.splitlines()), id="an indented list"),
    pytest.param("-   name: web\n    repository: a/b\n    tag: x\n", id="far from the hyphen"),
    pytest.param(f"---\n{WEB}...\n", id="a document with its marks"),
    pytest.param(f"\ufeff# ü€🙂\n{WEB}...\n", id="a byte order mark and characters of several bytes"),
    pytest.param(f"{POSTGRES}  metadata:\n    description: |+\n      text\n\n\n", id="text that keeps its blank lines"),
    pytest.param(f"{POSTGRES}  metadata:\n    description: >-\n      text\n      more\n", id="folded text"),
    pytest.param("- {name: web, repository: a/b, tag: x}\n", id="entries with braces"),
    pytest.param("- &a {name: web, repository: a/b, tag: x}\n- <<: *a\n  name: b\n", id="anchors"),
    pytest.param("- name: bad\n", id="an entry that is wrong itself"),
]


@pytest.mark.parametrize("text", LAYOUTS)
def test_an_added_entry_only_adds_lines(text: str) -> None:
    edited = add_entry(text, ENTRY)

    before, after = text.splitlines(), edited.splitlines()
    kept = [line for line in after if line in set(before)]
    assert [line for line in before if line.strip()] == [line for line in kept if line.strip()]
    assert read(edited).enrollments[-1].enrollment.name == "redis"
    assert [each.enrollment for each in read(edited).enrollments][:-1] == [
        each.enrollment for each in read(text).enrollments
    ]
    assert ("\r\n" in edited) == ("\r\n" in text)
    assert edited.replace("\r\n", "").count("\n") == (0 if "\r\n" in text else edited.count("\n"))


def test_an_added_entry_looks_like_the_others() -> None:
    edited = add_entry(f"{WEB}\n{POSTGRES}", {**ENTRY, "metadata": {"owner": "on", "title": "a\nb\n"}})

    assert edited == (
        f"{WEB}\n{POSTGRES}\n- name: redis\n  repository: library/redis\n"
        '  tag: "7.0"\n  metadata:\n    owner: "on"\n    title: |\n      a\n      b\n'
    )


def test_lists_are_indented_as_the_files_are() -> None:
    text = WEB + "  updates:\n  - repo: a/b\n    path: x\n    type: yaml-update\n"
    entry = {**ENTRY, "exemptions": [{"owner": "a", "reason": "b", "expiry": "2027-01-01"}]}

    assert '  exemptions:\n  - owner: a\n    reason: b\n    expiry: "2027-01-01"\n' in add_entry(text, entry)


@pytest.mark.parametrize("text", ["[]\n", "# none yet\n[]  # none\n", "[{name: web, repository: a/b, tag: x}]\n"])
def test_a_list_in_brackets_takes_an_entry_too(text: str) -> None:
    images = read(add_entry(text, ENTRY))

    assert images.problems == ()
    assert names(images)[-1] == "redis"
    assert [name for name in names(images) if name == "web"] == names(read(text))


def test_a_name_that_is_there_already_is_refused_with_its_line() -> None:
    with pytest.raises(Conflict, match="redis is enrolled already") as caught:
        add_entry(add_entry(WEB, ENTRY), ENTRY)

    assert caught.value.location is not None
    assert caught.value.location.line == 7


def test_the_name_of_a_bad_entry_is_taken_too() -> None:
    with pytest.raises(Conflict):
        add_entry("- name: redis\n", ENTRY)


@pytest.mark.parametrize("text", ["a: b\n", "- [\n", "text\n"])
def test_a_file_that_is_no_list_is_left_alone(text: str) -> None:
    with pytest.raises(InvalidEnrollment):
        add_entry(text, ENTRY)


def test_a_wrong_entry_is_not_added() -> None:
    with pytest.raises(InvalidEnrollment, match="rebuildDelay: not a duration"):
        add_entry(WEB, {**ENTRY, "rebuildDelay": "7x"})


_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z0-9]", fullmatch=True)
_TEXTS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12).filter(
    lambda text: "${" not in text
)
_ENTRIES = st.fixed_dictionaries(
    {"name": _NAMES, "repository": st.just("acme/x"), "tag": st.from_regex(r"[0-9][0-9.e_]{0,5}", fullmatch=True)},
    optional={"metadata": st.fixed_dictionaries({"owner": _TEXTS, "title": _TEXTS})},
)
_COMMENTS = st.text(st.characters(exclude_categories=["C"], exclude_characters="\x85\u2028\u2029"), max_size=12)


@given(
    st.lists(
        st.tuples(_ENTRIES, _COMMENTS),
        max_size=4,
        unique_by=(lambda pair: str(pair[0]["name"]), lambda pair: str(pair[0]["tag"])),
    )
)
def test_entries_added_one_by_one_are_all_there_and_no_earlier_line_has_changed(
    added: list[tuple[dict[str, Any], str]],
) -> None:
    text = ""
    for number, (entry, comment) in enumerate(added):
        edited = add_entry(text, entry)
        assert edited.startswith(text)
        text = f"{edited}# {comment}\n"
        images = read(text)
        assert images.problems == ()
        assert len(images.enrollments) == number + 1
        last = images.enrollments[-1].enrollment
        assert (last.name, last.tag) == (entry["name"], entry["tag"])
        assert entry.get("metadata", {}).get("owner") == (last.metadata.owner if last.metadata else None)


def test_no_image_is_added_that_is_there_under_another_name() -> None:
    entry = {"name": "queue", "registry": "docker.io", "repository": "library/redis", "tag": "7"}

    with pytest.raises(InvalidEnrollment, match="is enrolled already, as cache in line 1"):
        add_entry("- {name: cache, registry: docker.io, repository: library/redis, tag: '7'}\n", entry)
