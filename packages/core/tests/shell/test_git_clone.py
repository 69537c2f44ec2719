"""Cloning the state repository for a job, and what git is given for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_factory.errors import RemoteNotFound, UnsafeValue
from image_factory.ports import Credentials
from image_factory.shell.git_clone import clone, push_credentials
from image_factory.shell.git_source import GitSource
from image_factory.testing.git_server import GitServer


def test_a_branch_is_cloned(tmp_path: Path) -> None:
    with GitServer(tmp_path / "served") as server:
        server.create("state.git", {"image-factory/images.yaml": "[]\n"})

        checkout = clone(server.url("state.git"), tmp_path / "clone", branch="main")

    assert (checkout.root / "image-factory/images.yaml").read_text() == "[]\n"
    assert checkout.branch() == "main"


def test_a_branch_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    with GitServer(tmp_path / "served") as server:
        server.create("state.git", {"a": "b"})

        with pytest.raises(RemoteNotFound):
            clone(server.url("state.git"), tmp_path / "clone", branch="nope")


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch /tmp/x",
        "ext::sh -c whoami",
        "https://user:secret@git.example.com/state.git",
        "http://git.example.com/state.git",
        "ftp://git.example.com/state.git",
        "https://git.example.com/a b",
    ],
)
def test_what_is_no_safe_clone_url_is_refused_without_its_secret(url: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeValue) as caught:
        clone(url, tmp_path / "clone")

    assert "secret" not in str(caught.value)


def test_a_branch_that_looks_like_an_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeValue):
        clone("https://git.example.com/state.git", tmp_path / "clone", branch="--upload-pack=x")


def test_the_job_s_own_secret_comes_first() -> None:
    environ = {"IMAGE_FACTORY_GIT_PASSWORD": "s3cret", "IMAGE_FACTORY_GIT_USERNAME": "bot"}

    assert push_credentials("https://git.example.com/a.git", [], environ) == Credentials("bot", "s3cret")


def test_else_the_source_that_claims_the_url_is_asked(tmp_path: Path) -> None:
    class Mine(GitSource):
        name = "mine"

        def claims(self, url: str) -> bool:
            return "git.example.com" in url

        def credentials(self, repository: object) -> Credentials:
            return Credentials("x", str(repository))

    found = push_credentials("https://git.example.com/acme/state.git", [Mine(cache=tmp_path)], {})

    assert found == Credentials("x", "git.example.com/acme/state")


def test_a_url_that_nobody_claims_gets_none() -> None:
    assert push_credentials("https://git.example.com/a.git", [], {}) is None
