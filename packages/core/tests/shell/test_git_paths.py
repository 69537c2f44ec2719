"""Commit ids and symbolic links, as an API tells them."""

from __future__ import annotations

import pytest

from image_factory.errors import UnsafeValue
from image_factory.shell.git_paths import bears_trailer, checked_commit, linked_path, same_text


@pytest.mark.parametrize("revision", ["1" * 40, "a" * 64])
def test_a_whole_commit_id_is_taken(revision: str) -> None:
    assert checked_commit(revision) == revision


@pytest.mark.parametrize("revision", ["", "main", "1" * 39, "A" * 40, f"{'1' * 40}\n", "../" + "1" * 40])
def test_what_is_no_whole_commit_id_is_refused(revision: str) -> None:
    with pytest.raises(UnsafeValue):
        checked_commit(revision)


@pytest.mark.parametrize(
    ("path", "link", "expected"),
    [
        pytest.param("Containerfile", "apps/Dockerfile", "apps/Dockerfile", id="below"),
        pytest.param("apps/again", "../Containerfile", "Containerfile", id="above, inside"),
        pytest.param("apps/a", "./b//c", "apps/b/c", id="dots and doubled slashes"),
        pytest.param("apps/a", "..", "", id="the top folder"),
    ],
)
def test_a_link_leads_to_a_path_of_the_repository(path: str, link: str, expected: str) -> None:
    assert linked_path(path, link, "cannot read it") == expected


@pytest.mark.parametrize("link", ["../../x", "/etc/passwd", "a/../../../x", "a\0b"])
def test_a_link_out_of_the_repository_is_refused(link: str) -> None:
    with pytest.raises(UnsafeValue, match="cannot read it"):
        linked_path("apps/a", link, "cannot read it")


@pytest.mark.parametrize(
    ("message", "bears"),
    [
        pytest.param("Subject\n\nBody\n\nOurs: 1\nOther: 2\n", True, id="among others"),
        pytest.param("Subject\n\nOurs: 1\n\nmore\n", False, id="not at the end"),
        pytest.param("Subject\n\nNotOurs: 1\n", False, id="another key"),
        pytest.param("", False, id="no message"),
    ],
)
def test_a_trailer_stands_in_the_last_paragraph(message: str, bears: bool) -> None:
    assert bears_trailer(message, "Ours") is bears


def test_a_text_is_the_same_whatever_its_line_ends() -> None:
    assert same_text("a\r\n\r\nb", "a\n\nb\n")
    assert not same_text("a c", "a b")
