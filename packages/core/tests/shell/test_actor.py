"""Who gives an order is the CI's user, else git's, else the login name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from image_factory.shell.actor import MAX_NAME, find_actor


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    subprocess.run(["git", "config", "user.name", "Git User"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"GITHUB_ACTOR": "alice"}, "alice", id="GitHub's"),
        pytest.param({"GITLAB_USER_LOGIN": "bob"}, "bob", id="GitLab's"),
        pytest.param({"GITHUB_ACTOR": " "}, "Git User", id="git's, where the CI's is empty"),
        pytest.param({"GITHUB_ACTOR": "a\nb\u202e"}, "a b�", id="in one line that can be seen"),
        pytest.param({"GITHUB_ACTOR": "x" * 999}, "x" * MAX_NAME, id="of a bounded length"),
    ],
)
def test_the_name_is_the_nearest_that_is_known(checkout: Path, environ: dict[str, str], expected: str) -> None:
    assert find_actor(environ, checkout) == expected


def test_without_git_s_it_is_the_login_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "carol")

    assert find_actor({}, tmp_path) in ("carol", "root")
