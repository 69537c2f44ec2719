from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from image_factory.shell.regular_file import NOT_REGULAR, open_regular, read_regular


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a\r\n\xff")

    assert read_regular(tmp_path / "file") == b"a\r\n\xff"
    with open_regular(str(tmp_path / "file")) as file:
        assert file.read(1) == b"a"


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a")
    (tmp_path / "link").symlink_to("file")

    assert read_regular(tmp_path / "link") == b"a"


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(OSError, match=NOT_REGULAR):
        open_regular(tmp_path / "pipe")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_refused(path: str) -> None:
    with pytest.raises(OSError, match=rf"{NOT_REGULAR}|No such"):
        read_regular(path)


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")

        with pytest.raises(OSError, match="No such device"):
            read_regular("socket")


def test_a_folder_is_refused_in_the_systems_words(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)


def test_a_file_that_is_not_there_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none")
