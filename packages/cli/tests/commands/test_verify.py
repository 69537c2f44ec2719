"""`image-factory verify`: the gate before an image's consumers, as people and as Kargo's job ask for it."""

from __future__ import annotations

from typing import Any

import pytest

Folder = Any  # of this package's conftest

DIGEST = f"sha256:{'1' * 64}"


@pytest.fixture
def web(folder: Folder) -> Folder:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    return folder


def ask(folder: Folder) -> None:
    folder.write("images.yaml", (folder.root / "images.yaml").read_text() + "  policy: {signed: true}\n")


def test_an_image_that_asks_for_nothing_passes(web: Folder) -> None:
    ran = web.run("verify", "--image", "web", "--digest", DIGEST)

    assert ran.code == 0
    assert f"{DIGEST} passes" in ran.out


def test_one_that_asks_for_a_policy_is_refused_with_what_to_do(web: Folder) -> None:
    ask(web)

    ran = web.run("verify", "--image", "web", "--digest", DIGEST)

    assert ran.code == 4
    assert "web asks for policy" in ran.out
    assert "hint: " in ran.out


def test_a_job_asks_it_of_a_clone(web: Folder) -> None:
    ask(web)
    web.git("add", ".")
    web.git("commit", "--quiet", "--message", "Enroll web")
    clone = (f"--git-repo={web.checkout}", "--git-branch=main", "--image-factory-dir=image-factory")

    assert web.run("verify", "--image=web", f"--digest={DIGEST}", *clone, "--log-format=json").code == 4


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--digest", DIGEST), "--digest without one --image"),
        (("--image", "web", "--digest", "x"), "not a digest"),
        (("--image", "nope"), "no managed image is called"),
    ],
)
def test_bad_usage_is_one_error_that_says_what(web: Folder, words: tuple[str, ...], problem: str) -> None:
    ran = web.run("verify", *words)

    assert ran.code == 2
    assert problem in ran.err
