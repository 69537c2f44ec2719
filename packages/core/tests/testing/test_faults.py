"""Every touch of the world is a point, in order; at one of them the process is killed, or the touch fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from image_factory.testing.faults import KILLED, Fault, Session, Sessions

TOUCHES = '''
import http.client, os, pathlib, subprocess, sys

def run(words):
    """Do what each word says, one after the other."""
    place = pathlib.Path(words[0])
    for word in words[1:]:
        if word == "write":
            (place / "one.tmp").write_text("1")
            (place / "one.tmp").rename(place / "one")
        elif word == "read":
            (place / "one").read_text()
        elif word == "elsewhere":
            (place.parent / "elsewhere").write_text("1")
        elif word == "inside":
            folder = os.open(place, os.O_RDONLY)
            os.mkdir("made", dir_fd=folder)
            os.close(folder)
        elif word == "program":
            subprocess.run([sys.executable, "-c", "pass"], check=True)
        elif word == "time":
            from image_factory.shell.clock import SystemClock
            print(SystemClock().now().isoformat())
        elif word == "defect":
            raise KeyError("a defect")
        elif word.isdigit():
            connection = http.client.HTTPConnection("127.0.0.1", int(word))
            connection.request("POST", "/builds", body=b"start")
            print(connection.getresponse().status)
        else:
            return int(word.removeprefix("code="))
    return 0
'''


class Builds(BaseHTTPRequestHandler):
    started: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not body:
            return  # whoever asked is gone
        self.started.append(body)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def started() -> Iterator[list[bytes]]:
    started: list[bytes] = []
    Builds.started = started
    with HTTPServer(("127.0.0.1", 0), Builds) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        started.append(str(server.server_address[1]).encode())
        yield started
        server.shutdown()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "touches.py").write_text(TOUCHES)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    (tmp_path / "watched").mkdir()
    return tmp_path / "watched"


def run(place: Path, *words: str, at: int | None = None, how: Fault = Fault.KILL, later: float = 0) -> Session:
    sessions = Sessions([place], entry="touches:run")
    return sessions.run(
        [[str(place), *words]], folder=place.parent / "session", at=at, how=how, later=timedelta(hours=later)
    )


def test_touches_are_counted_and_reading_is_none(place: Path) -> None:
    session = run(place, "write", "read", "elsewhere", "inside", "program", "code=3")

    assert [(point.number, point.kind) for point in session.points] == [
        (1, "write"), (2, "rename"), (3, "mkdir"), (4, "program"),
    ]  # fmt: skip
    assert session.points[0].what.endswith("watched/one.tmp")
    assert session.code == 3


@pytest.mark.parametrize(("at", "left"), [(1, []), (2, ["one.tmp"]), (3, ["one"])])
def test_a_killed_process_has_done_what_came_before_and_nothing_after(place: Path, at: int, left: list[str]) -> None:
    session = run(place, "write", "inside", at=at)

    assert (session.code, session.is_killed) == (KILLED, True)
    assert sorted(each.name for each in place.iterdir()) == left


@pytest.mark.parametrize(
    ("words", "at", "said"),
    [
        (["write"], 1, "No space left on device"),
        (["write"], 2, "No space left on device"),
        (["program"], 1, "BlockingIOError"),
    ],
)
def test_a_touch_that_fails_is_told_to_the_program(place: Path, words: list[str], at: int, said: str) -> None:
    session = run(place, *words, at=at, how=Fault.FAIL)

    assert session.code == 1
    assert said.lower() in session.said.lower()


@pytest.mark.parametrize(
    ("kind", "how", "builds"),
    [
        pytest.param("connect", Fault.FAIL, 0, id="nobody listens"),
        pytest.param("request", Fault.KILL, 0, id="killed before it is sent"),
        pytest.param("request", Fault.FAIL, 0, id="not sent"),
        pytest.param("request", Fault.LOSE, 1, id="sent, and the answer lost"),
    ],
)
def test_a_request_is_kept_back_or_its_answer_is(
    place: Path, started: list[bytes], kind: str, how: Fault, builds: int
) -> None:
    port = started.pop().decode()
    whole = run(place, port)
    assert (whole.code, started) == (0, [b"start"])
    started.clear()
    at = max(point.number for point in whole.points if point.kind == kind)

    session = run(place, port, at=at, how=how)

    assert session.code == (KILLED if how is Fault.KILL else 1)
    assert len(started) == builds


def test_a_defect_is_a_traceback_and_ends_with_1(place: Path) -> None:
    session = run(place, "defect")

    assert session.code == 1
    assert "KeyError: 'a defect'" in session.said


def test_the_clock_of_a_session_can_be_ahead(place: Path) -> None:
    before = datetime.now(UTC)

    told = datetime.fromisoformat(run(place, "time", later=2).said.strip())

    assert timedelta(hours=2) <= told - before < timedelta(hours=2, minutes=2)
