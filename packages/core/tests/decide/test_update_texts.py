"""Commit messages and change requests: they name what goes where and why, and nothing in them is markup."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.update_texts import (
    MAX_BODY,
    Evidence,
    Note,
    commit_message,
    evidence_of,
    request_body,
    request_ids,
    subject_of,
)
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import Build, ImageConfiguration, ImageHistory, ImageRuntime, ImageState

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")


def note(image: str = "web", version: str | None = "1.1.0", path: str = "pod.yaml", **fields: Any) -> Note:
    told = {"digest": None, "keys": (), "id": f"{image}-0123456789-abcdefabcd", **fields}
    return Note(image, version, told["digest"], path, told["keys"], told["id"], fields.get("was"))


def build(**fields: Any) -> Build:
    told = {"at": datetime(2026, 3, 1, tzinfo=UTC), "reason": "due", "trigger": "policy", "result": "succeeded"}
    return Build.model_validate({**told, **fields})


SUBJECTS = {
    "one image, one file": ([note()], "Update web to 1.1.0 in pod.yaml"),
    "one image, two files": ([note(), note(path="x.yaml")], "Update web to 1.1.0 in 2 files"),
    "two images": ([note(), note("api", "2.0")], "Update web to 1.1.0 and api to 2.0 in pod.yaml"),
    "three images": (
        [note("a", "1"), note("b", "2"), note("c", "3")],
        "Update a to 1, b to 2 and c to 3 in pod.yaml",
    ),
    "many images": ([note(name, path=f"{name}.yaml") for name in "abcd"], "Update 4 images in 4 files"),
    "a digest alone": ([note(version=None, digest=ONE)], "Update web to sha256:111111111111 in pod.yaml"),
}


@pytest.mark.parametrize(("notes", "subject"), SUBJECTS.values(), ids=SUBJECTS.keys())
def test_the_first_line_says_what_goes_where(notes: list[Note], subject: str) -> None:
    assert subject_of(notes) == subject


def test_the_message_names_image_version_and_target_and_ends_with_the_trailers() -> None:
    message = commit_message([note(digest=ONE), note("api", "2.0", "values.yaml")], "acme/deploy main")

    assert message == (
        "Update web to 1.1.0 and api to 2.0 in 2 files\n"
        "\n"
        f"web: 1.1.0 ({ONE}) in pod.yaml of acme/deploy main\n"
        "api: 2.0 in values.yaml of acme/deploy main\n"
        "\n"
        "Image-Factory-Update: web-0123456789-abcdefabcd\n"
        "Image-Factory-Update: api-0123456789-abcdefabcd\n"
    )


@given(text=st.text(min_size=1, max_size=40))
def test_no_value_can_begin_a_line_of_its_own(text: str) -> None:
    message = commit_message([note(version=text, path=text)], "acme/deploy main")

    assert len(message.split("\n")) == 6
    assert message.count("\nImage-Factory-Update: ") == 1


def test_the_request_holds_the_evidence() -> None:
    built = build(
        url="https://ci.example.com/runs/7",
        causes=(
            {"base": "node-22", "from": ONE, "to": TWO, "seenAt": "2026-02-20T08:00:00Z"},
            {"base": "b", "to": ONE},
        ),
    )

    body = request_body([Evidence(note(digest=THREE, keys=("spec.image",), was="1.0.0"), built)])

    assert body == (
        "New versions of images that these files name.\n"
        "\n"
        "### web `1.1.0`\n"
        "\n"
        "- Version: `1.0.0` → `1.1.0`\n"
        f"- Digest: `{THREE}`\n"
        "- File: `pod.yaml` (`spec.image`)\n"
        "- Built because:\n"
        f"  - `node-22`: `{ONE}` → `{TWO}`, first seen `2026-02-20T08:00:00Z`\n"
        f"  - `b`: unknown → `{ONE}`\n"
        "- Build: <https://ci.example.com/runs/7>\n"
        "- Policy: no policy is set\n"
        "\n"
        "<!-- image-factory-update: web-0123456789-abcdefabcd -->\n"
    )


def test_a_request_without_a_recorded_build_says_so() -> None:
    assert "- Build: none is recorded for this version\n" in request_body([Evidence(note(), None)])


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://x.example/> <b>", "ftp://x", "https://x/`y"])
def test_what_is_no_plain_address_becomes_no_link(url: str) -> None:
    assert url not in request_body([Evidence(note(), build(url=url))])


@given(text=st.text(max_size=60))
def test_a_value_cannot_leave_its_code(text: str) -> None:
    body = request_body([Evidence(note(version=text, path=text, was=text), build(reason=text))])

    lines = body.splitlines()
    assert len(lines) == 10
    for line in lines[2:8]:
        outside = re.sub(r"`[^`]*`", "", line)
        assert re.fullmatch(r"(### web |- (Version|File|Built because|Policy): .*|- Build.*|)", outside), line


def test_all_ids_are_found_again_however_long_the_request_is() -> None:
    items = [Evidence(note(f"image-{number}", path="p" * 200), build()) for number in range(500)]

    body = request_body(items)

    assert len(body) < MAX_BODY + 60
    assert "more images; the commit lists them." in body
    assert request_ids(body) == {item.note.id for item in items}
    assert request_ids(body.replace("\n", "\r\n")) == request_ids(body)
    assert request_ids("Somebody's own text") == frozenset()


def state(builds: list[Build], digest: str | None = ONE, version: str | None = "1.1.0") -> ImageState:
    fields = {"name": "web", "registry": "ghcr.io", "repository": "acme/web", "source": {"repo": "acme/web"}}
    return ImageState(
        configuration=ImageConfiguration(name="web", enrollment=Enrollment.model_validate(fields)),
        runtime=ImageRuntime(current_version=version, current_digest=digest),
        history=ImageHistory(rebuild_history=tuple(builds)),
    )


def test_the_build_of_a_version_is_the_one_that_made_its_digest() -> None:
    older, newer = build(digest=ONE, reason="older"), build(digest=ONE, reason="newer")
    by_version = build(version="1.1.0", reason="by version")

    assert evidence_of(state([older, newer, by_version])) == newer
    assert evidence_of(state([build(digest=TWO), by_version])) == by_version
    assert evidence_of(state([build(digest=TWO)])) is None
    assert evidence_of(state([build()], None, None)) is None
