from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from image_factory.errors import Unavailable
from image_factory.shell.folder import CACHE_FOLDER, own_folder
from image_factory.shell.state_lock import LOCK_FILE, StateLock

HOLDER = """
import sys
from pathlib import Path
from image_factory.shell.state_lock import StateLock
with StateLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def hold(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_waited_for_and_named(tmp_path: Path) -> None:
    with hold(tmp_path) as process:
        with pytest.raises(Unavailable, match=f"written by process {process.pid} on ") as caught:
            StateLock(tmp_path, timedelta(seconds=0.1)).__enter__()
        process.communicate("done\n")

    assert caught.value.exit_code == 5
    assert "run this again" in caught.value.hint


def test_the_lock_is_taken_once_its_holder_is_done(tmp_path: Path) -> None:
    with hold(tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write("done\n")
        process.stdin.flush()
        with StateLock(tmp_path, timedelta(seconds=20)):
            assert (tmp_path / CACHE_FOLDER / LOCK_FILE).read_text().startswith(f"process {os.getpid()} on ")


def test_a_holder_that_is_killed_leaves_nothing_to_clean_up(tmp_path: Path) -> None:
    with hold(tmp_path) as process:
        process.kill()
        process.wait()

    begin = time.monotonic()
    with StateLock(tmp_path):
        assert time.monotonic() - begin < 5


def test_an_error_under_the_lock_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), StateLock(tmp_path):
        raise ZeroDivisionError

    with StateLock(tmp_path, timedelta(0)):
        pass


def test_our_own_folder_is_ignored_by_git(tmp_path: Path) -> None:
    assert own_folder(tmp_path / "new") == tmp_path / "new" / CACHE_FOLDER
    assert (tmp_path / "new" / CACHE_FOLDER / ".gitignore").read_text() == "*\n"


def test_a_lock_file_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    (own_folder(tmp_path) / LOCK_FILE).symlink_to(target)

    with pytest.raises(OSError, match="symbolic link"):
        StateLock(tmp_path).__enter__()

    assert target.read_text() == "precious"
