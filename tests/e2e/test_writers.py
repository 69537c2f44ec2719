"""Twenty writers, each in a clone of its own, push to one bare repository at once: nothing of anybody's is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WRITERS = 20


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def test_what_twenty_writers_learn_at_once_is_all_there(tmp_path: Path) -> None:
    first = tmp_path / "first"
    (first / "image-factory").mkdir(parents=True)
    (first / "Dockerfile").write_text("FROM scratch\n")
    entry = (
        "- name: image-{0}\n  registry: ghcr.io\n  repository: acme/image-{0}\n  source: {{provider: git, repo: {1}}}\n"
    )
    entries = [entry.format(number, first) for number in range(WRITERS)]
    (first / "image-factory" / "images.yaml").write_text("".join(entries))
    git(first, "init", "--quiet", "--initial-branch=main")
    git(first, "add", ".")
    git(first, "commit", "--quiet", "--message", "Begin")
    git(tmp_path, "clone", "--quiet", "--bare", str(first), "state.git")
    writers = []
    for number in range(WRITERS):
        clone = tmp_path / f"clone-{number}"
        git(tmp_path, "clone", "--quiet", "state.git", clone.name)
        words = ["analyze", "--image", f"image-{number}", "--tag", f"1.0.{number}", "--push"]
        program = [sys.executable, "-c", "from image_factory_cli.main import main; main()"]
        command = [*program, *words, "--image-factory-dir", "image-factory"]
        writers.append(
            subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )

    said = [writer.communicate()[0] for writer in writers]

    assert [writer.returncode for writer in writers] == [0] * WRITERS, "\n".join(said)
    bare = tmp_path / "state.git"
    for number in range(WRITERS):
        path = f"main:image-factory/state/images/image-{number}.yaml"
        assert f'currentVersion: "1.0.{number}"' in git(bare, "show", path)
    assert git(bare, "rev-list", "--count", "main").strip() == str(WRITERS + 1)
    assert git(bare, "rev-list", "--count", "--merges", "main").strip() == "0"
