"""Running tools: no shell, bounded, without inherited secrets."""

from __future__ import annotations

import resource
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from image_factory.errors import NotFound, ProtocolError, Unavailable, UnsafeValue
from image_factory.shell.process import Finished, clean_environment, redact, run_tool

PYTHON = sys.executable


def test_an_argument_reaches_the_tool_as_it_is_and_no_shell_reads_it() -> None:
    hostile = "$(id); `id` | 'x' \"y\" * > /tmp/x"

    finished = run_tool([PYTHON, "-c", "import sys; sys.stdout.write(sys.argv[1])", hostile])

    assert finished.text() == hostile


def test_input_larger_than_a_pipe_comes_back_whole() -> None:
    data = bytes(range(256)) * 4096

    finished = run_tool([PYTHON, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"], stdin=data)

    assert finished.stdout == data


def test_a_tool_that_reads_no_input_may_still_succeed() -> None:
    finished = run_tool([PYTHON, "-c", "pass"], stdin=b"x" * 1_000_000)

    assert finished.is_ok


def test_a_tool_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    child = f"import time; time.sleep(1.2); open({str(witness)!r}, 'w')"
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"

    with pytest.raises(Unavailable, match=r"did not end within 0\.4 s"):
        run_tool([PYTHON, "-c", parent], timeout=timedelta(seconds=0.4))

    time.sleep(1.5)
    assert not witness.exists()


def test_endless_output_is_cut_off_as_an_error() -> None:
    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        run_tool([PYTHON, "-c", "while True: print('x' * 1000)"], max_output=1000)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
def test_a_file_larger_than_allowed_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "large"
    program = f"import time; time.sleep(0.3); open({str(path)!r}, 'wb').write(b'x' * 1_000_000)"

    finished = run_tool([PYTHON, "-c", program], max_file=100_000)

    assert not finished.is_ok
    assert path.stat().st_size <= 100_000


def test_endless_complaints_keep_their_end() -> None:
    program = "import sys\nfor i in range(200000): sys.stderr.write('noise\\n')\nsys.exit('the reason')"

    finished = run_tool([PYTHON, "-c", program])

    assert not finished.is_ok
    assert finished.complaint().endswith("the reason")


def test_a_missing_program_is_named_with_what_to_do() -> None:
    with pytest.raises(NotFound, match="no-such-program-here") as caught:
        run_tool(["no-such-program-here"])

    assert "install" in caught.value.hint


def test_a_nul_byte_is_refused() -> None:
    with pytest.raises(UnsafeValue):
        run_tool([PYTHON, "a\0b"])


def test_the_environment_is_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "t0ps3cret")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")

    finished = run_tool([PYTHON, "-c", "import os; print(sorted(os.environ))"])

    assert "MY_TOKEN" not in finished.text()
    assert "GIT_DIR" not in finished.text()
    assert clean_environment({"X": "1"})["X"] == "1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("fetch https://me:t0ps3cret@host/x", "fetch https://***@host/x", id="credentials in a URL"),
        pytest.param("bad t0ps3cret here", "bad *** here", id="a secret that is known"),
        pytest.param("\x1b[31mred\x1b[0m\x07", "[31mred[0m", id="control characters"),
        pytest.param("plain https://host/x@y", "plain https://host/x@y", id="an at sign in a path"),
    ],
)
def test_what_is_shown_is_redacted(text: str, expected: str) -> None:
    assert redact(text, ["t0ps3cret", ""]) == expected


def test_neither_output_nor_complaint_is_in_the_representation() -> None:
    finished = Finished("git", 1, b"t0ps3cret", b"t0ps3cret")

    assert "t0ps3cret" not in repr(finished)
