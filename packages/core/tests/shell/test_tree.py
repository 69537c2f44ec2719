"""Which files of a folder are Dockerfiles, in which order, and which links are followed."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from image_factory.shell import tree
from image_factory.shell.tree import Found, find_dockerfiles, is_dockerfile, read_bounded

DOCKERFILES = [
    "Dockerfile",
    "dockerfile",
    "DOCKERFILE",
    "Containerfile",
    "containerfile",
    "Dockerfile.dev",
    "Dockerfile.alpine.amd64",
    "Dockerfile.go",
    "Dockerfile-prod",
    "Dockerfile_test",
    "Dockerfile.",
    "Dockerfile.j2",
    "dockerfile.dev",
    "Containerfile.rpm",
    "web.Dockerfile",
    "web.dockerfile",
    "web.api.Dockerfile",
    "web-Dockerfile",
    "web.Containerfile",
    "web.containerfile",
    ".Dockerfile",
    "Dockerfile.with space",
]
OTHERS = [
    ".dockerignore",
    ".containerignore",
    "Dockerfile.dockerignore",
    "web.Dockerfile.dockerignore",
    "Containerfile.containerignore",
    "Dockerfile.ignore",
    "Dockerfiles",
    "MyDockerfile",
    "Dockerfilex",
    "dockerfile.py",
    "dockerfile.go",
    "dockerfile_test.go",
    "dockerfile-syntax.md",
    "docker-compose.yml",
    "README.md",
    "Dockerfile~",
    ".Dockerfile.swp",
    "",
]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_name_that_people_give_dockerfiles_is_one(name: str) -> None:
    assert is_dockerfile(name)


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_name_is_none(name: str) -> None:
    assert not is_dockerfile(name)


def _write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("FROM scratch\n")


def _names(root: Path) -> list[str]:
    return [found.name for found in find_dockerfiles(str(root)) if found.problem is None]


def test_files_come_sorted_whatever_order_they_were_made_in(tmp_path: Path) -> None:
    _write(
        tmp_path, "b/Dockerfile", "a/z/Dockerfile", "Dockerfile", "a/Dockerfile.dev", "a/Dockerfile", "a/b/notes.txt"
    )

    assert _names(tmp_path) == ["Dockerfile", "a/Dockerfile", "a/Dockerfile.dev", "a/z/Dockerfile", "b/Dockerfile"]


def test_what_is_found_can_be_opened_where_it_says(tmp_path: Path) -> None:
    _write(tmp_path, "a/Dockerfile")

    (found,) = find_dockerfiles(str(tmp_path))

    assert found == Found(str(tmp_path / "a" / "Dockerfile"), "a/Dockerfile")


def test_folders_of_version_control_are_not_looked_into(tmp_path: Path) -> None:
    _write(
        tmp_path,
        ".git/Dockerfile",
        ".hg/Dockerfile",
        "a/.svn/Dockerfile",
        ".github/Dockerfile",
        "node_modules/Dockerfile",
    )

    assert _names(tmp_path) == [".github/Dockerfile", "node_modules/Dockerfile"]


def test_a_folder_with_a_dockerfile_s_name_is_looked_into(tmp_path: Path) -> None:
    _write(tmp_path, "Dockerfile.d/Dockerfile")

    assert _names(tmp_path) == ["Dockerfile.d/Dockerfile"]


def test_a_linked_folder_is_not_entered_so_no_circle_is_walked(tmp_path: Path) -> None:
    _write(tmp_path, "tree/a/Dockerfile", "outside/Dockerfile")
    (tmp_path / "tree/a/up").symlink_to(tmp_path / "tree", target_is_directory=True)
    (tmp_path / "tree/out").symlink_to(tmp_path / "outside", target_is_directory=True)
    (tmp_path / "tree/dockerfile").symlink_to(tmp_path / "outside", target_is_directory=True)

    assert [found.name for found in find_dockerfiles(str(tmp_path / "tree"))] == ["a/Dockerfile"]


def test_a_linked_file_counts_where_it_leads_to_a_file_of_the_tree(tmp_path: Path) -> None:
    _write(tmp_path, "shared/base")
    (tmp_path / "web").mkdir()
    (tmp_path / "web/Dockerfile").symlink_to("../shared/base")

    assert _names(tmp_path) == ["web/Dockerfile"]


def test_a_tree_reached_through_a_link_is_walked(tmp_path: Path) -> None:
    _write(tmp_path, "real/web/base")
    (tmp_path / "real/web/Dockerfile").symlink_to("base")
    (tmp_path / "link").symlink_to("real", target_is_directory=True)

    assert _names(tmp_path / "link") == ["web/Dockerfile"]


def test_a_link_out_of_the_tree_is_said_and_not_opened(tmp_path: Path) -> None:
    _write(tmp_path, "treeless/secret")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/Dockerfile").symlink_to(tmp_path / "treeless/secret")

    (found,) = find_dockerfiles(str(tmp_path / "tree"))

    assert found.problem == "a symbolic link that leads out of the tree"


@pytest.mark.parametrize("target", ["Dockerfile", "nowhere"], ids=["to itself", "to nothing"])
def test_a_link_to_no_file_is_said(tmp_path: Path, target: str) -> None:
    (tmp_path / "Dockerfile").symlink_to(target)

    (found,) = find_dockerfiles(str(tmp_path))

    assert found.problem is not None
    assert "cannot be looked at" in found.problem


def test_a_pipe_is_said_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "Dockerfile")

    (found,) = find_dockerfiles(str(tmp_path))

    assert found.problem == "not a regular file"


def test_a_folder_that_cannot_be_listed_is_said_and_the_others_are_walked(
    open_folder: Path, without_privileges: Any
) -> None:
    _write(open_folder, "a/Dockerfile", "b/Dockerfile")
    (open_folder / "a").chmod(0)

    with without_privileges():
        found = list(find_dockerfiles(str(open_folder)))

    assert [one.name for one in found] == ["a", "b/Dockerfile"]
    assert found[0].problem is not None


def test_a_folder_that_vanished_is_said(tmp_path: Path) -> None:
    (found,) = find_dockerfiles(str(tmp_path / "gone"))

    assert found == Found(str(tmp_path / "gone"), ".", "the folder cannot be listed: No such file or directory")


def test_a_very_deep_tree_is_walked_without_recursion(tmp_path: Path) -> None:
    deep = str(tmp_path)
    for _ in range(1200):
        deep += "/d"
        os.mkdir(deep)
    Path(deep, "Dockerfile").write_text("FROM scratch\n")

    try:
        assert _names(tmp_path) == ["d/" * 1200 + "Dockerfile"]
    finally:
        # pytest removes its folders by recursion, which this one would exhaust.
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_a_stream_is_read_to_its_end_in_whatever_pieces_it_comes() -> None:
    class Pieces(io.RawIOBase):
        left = [b"FROM ", b"alpine", b"\n"]  # noqa: RUF012

        def read(self, size: int = -1) -> bytes:
            return self.left.pop(0) if self.left else b""

    assert read_bounded(Pieces()) == b"FROM alpine\n"


def test_an_endless_stream_is_read_to_the_bound_and_one_byte() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return bytes(size)

    stream = Endless()

    assert len(read_bounded(stream)) == tree.MAX_FILE + 1
    assert stream.given == tree.MAX_FILE + 1
