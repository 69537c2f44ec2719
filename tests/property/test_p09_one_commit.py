"""P9: a run that changes k >= 1 files makes exactly one commit with all k; k = 0 makes none."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.shell.git import Checkout
from image_factory.testing.git_server import GitServer

TRACKED = [f"state/images/{number:02}.yaml" for number in range(12)]


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


@settings(max_examples=12, deadline=None)
@given(
    changed=st.sets(st.sampled_from(TRACKED)),
    removed=st.sets(st.sampled_from(TRACKED)),
    added=st.sets(st.from_regex(r"state/[a-z]{1,6}/[a-z0-9-]{1,12}\.yaml", fullmatch=True), max_size=6),
    noise=st.booleans(),
)
def test_all_that_changed_is_in_one_commit_that_lands(
    changed: set[str], removed: set[str], added: set[str], noise: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = GitServer(Path(folder) / "remotes")
        server.create("config.git", {**dict.fromkeys(TRACKED, "a: 1\n"), "README.md": "# mine\n"})
        remote = server.path("config.git")
        git(remote, "clone", "--quiet", str(remote), str(Path(folder) / "work"))
        checkout = Checkout.find(Path(folder) / "work")
        assert checkout is not None
        before = checkout.head()
        for path in changed | added:
            (checkout.root / path).parent.mkdir(parents=True, exist_ok=True)
            (checkout.root / path).write_text("a: 2\n")
        for path in removed:
            (checkout.root / path).unlink()
        if noise:
            (checkout.root / "README.md").write_text("# edited\n")
        expected = changed | removed | added

        commit = checkout.commit(
            [checkout.root / path for path in [*TRACKED, *added]], "Learn", name="Bot", email="bot@example.com"
        )
        pushed = checkout.push("origin", "main")

        new = git(remote, "rev-list", f"{before}..main").split()
        assert new == ([] if not expected else [commit])
        assert pushed == (commit or before)
        if commit is not None:
            listed = git(remote, "show", "--name-only", "--format=", "-z", commit).split("\0")
            assert {path for path in listed if path} == expected
