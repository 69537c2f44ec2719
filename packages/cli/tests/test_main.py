"""The program's door: the version without a library, errors as lines and exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import image_factory

ENTRY = [sys.executable, "-c", "from image_factory_cli.main import main; main()"]


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_told_without_importing_a_library(flag: str) -> None:
    program = (
        "import sys; sys.argv = ['image-factory', sys.argv[1]]\n"
        "from image_factory_cli.main import main; main()\n"
        "assert not {'click', 'pydantic', 'rich', 'httpx'} & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program, flag], capture_output=True, text=True, check=True)

    assert done.stdout == f"image-factory {image_factory.__version__}\n"


def test_help_lists_every_command_without_importing_one() -> None:
    done = subprocess.run([*ENTRY, "--help"], capture_output=True, text=True, check=True)

    assert all(f"  {name} " in done.stdout for name in ("analyze", "observe", "synth", "demo"))


def test_an_unknown_command_ends_with_2() -> None:
    done = subprocess.run([*ENTRY, "nope"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "No such command 'nope'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_where_a_folder_is_meant_is_an_error_of_two_lines(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text("[]\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "state/images").write_text("")

    done = subprocess.run([*ENTRY, "status"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: {tmp_path}/state/images: Not a directory",
        "hint: check what lies there, and whether you may read and write it",
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text("[]\n")

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*ENTRY, "validate"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert (done.returncode, done.stderr) == (5, "error: No space left on device\n")
