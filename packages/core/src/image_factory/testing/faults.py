"""Faults at every point at which a command touches the world: it is killed there, or the touch fails.

A point is a file opened for writing, renamed, removed or made below the watched folders, a program that
is started (git), a connection that is opened, a request that is sent. Python tells of each by an audit
event (docs.python.org/3/library/audit_events.html), before it happens; so what runs needs no seam for
this. It runs in a process of its own, forked from one that has imported everything once.

>>> sessions = Sessions([tmp_path], preload=["image_factory_cli.group"])      # doctest: +SKIP
>>> whole = sessions.run([["run", "--push"]])                                 # doctest: +SKIP
>>> for point in whole.points:                                                # doctest: +SKIP
...     sessions.run([["run", "--push"]], at=point.number, how=Fault.KILL)
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ENTRY = "image_factory_cli.group:run"
"""What runs one command line and returns its exit code."""
KILLED = 137
"""The exit code of a process that was killed, as a shell tells it."""
DEFECT = 1

_FILES = {"os.rename": "rename", "os.remove": "remove", "os.mkdir": "mkdir", "os.rmdir": "rmdir", "os.link": "link"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Fault(StrEnum):
    """What happens at the chosen point."""

    KILL = "kill"
    """The process is gone before the touch, without a word: what was done before it, is done."""
    FAIL = "fail"
    """The touch fails: no space, no process, no connection."""
    LOSE = "lose"
    """A request is sent and answered, and the answer is lost; any other touch fails."""


@dataclass(frozen=True, slots=True)
class Point:
    """One touch of the world, counted from 1."""

    number: int
    kind: str
    """`write`, `rename`, `remove`, `mkdir`, `rmdir`, `link`, `program`, `connect` or `request`."""
    what: str

    def __str__(self) -> str:
        return f"{self.number} {self.kind} {self.what}"


@dataclass(frozen=True, slots=True)
class Session:
    """What a session of commands came to."""

    code: int | None
    """Of the last command that ended; `KILLED` where the session was killed."""
    points: tuple[Point, ...]
    said: str
    """All that was written to standard output and error."""

    @property
    def is_killed(self) -> bool:
        return self.code == KILLED


class Faults:
    """Counts the points of this process from `arm` on, and lets one go wrong. It cannot be taken away again."""

    def __init__(self, watched: Iterable[Path], *, at: int | None, how: Fault, told: Callable[[Point], object]) -> None:
        self._watched = tuple(os.path.realpath(folder) for folder in watched)
        self._at = at
        self._how = how
        self._told = told
        self._count = 0
        self._lock = threading.RLock()
        self._is_busy = threading.local()

    def arm(self) -> None:
        """Count from now on."""
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if getattr(self._is_busy, "here", False):
            return
        self._is_busy.here = True
        try:
            found = self._point(event, arguments)
            if found is None:
                return
            with self._lock:
                self._count += 1
                number = self._count
                self._told(Point(number, *found))
            if number == self._at:
                self._go_wrong(found[0], arguments)
        finally:
            self._is_busy.here = False

    def _point(self, event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        """Return kind and object of an event that touches the world."""
        if event == "open":
            path, _, flags = arguments
            is_writing = isinstance(flags, int) and bool(flags & _WRITING)
            return ("write", str(path)) if is_writing and self._is_watched(path) else None
        if event in _FILES:
            path = arguments[0]
            return (_FILES[event], str(path)) if self._is_watched(path, arguments[-1]) else None
        if event == "subprocess.Popen":
            return "program", _words(arguments[1])
        if event == "socket.connect":
            return "connect", str(arguments[1])
        if event == "http.client.send":
            return "request", bytes(arguments[1])[:60].decode("latin-1").partition("\r\n")[0]
        return None

    def _is_watched(self, path: object, folder: object = None) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        place = Path(os.fsdecode(path))
        if not place.is_absolute() and isinstance(folder, int) and folder >= 0:
            place = Path(f"/proc/self/fd/{folder}").resolve() / place
        text = str(place.absolute())
        return any(text == each or text.startswith(each + os.sep) for each in self._watched)

    def _go_wrong(self, kind: str, arguments: tuple[Any, ...]) -> None:
        if self._how is Fault.KILL:
            os._exit(KILLED)
        if kind == "request":
            if self._how is Fault.LOSE:
                _answered(arguments[0].sock, bytes(arguments[1]))
            raise ConnectionResetError(errno.ECONNRESET, "the connection was lost")
        if kind == "connect":
            raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens")
        if kind == "program":
            raise BlockingIOError(errno.EAGAIN, "no process to be had")
        raise OSError(errno.ENOSPC, "no space left on device")


def _words(arguments: Sequence[object]) -> str:
    """Return a program's name and what it is to do, without the options that git is given before its command."""
    words = [word for word in arguments if isinstance(word, str)]
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in ("-c", "-C") else rest[1:]
    return " ".join([*words[:1], *rest])[:200]


def _answered(connection: socket.socket, data: bytes) -> None:
    """Send `data` and wait until something of the answer is there, or is not going to be."""
    connection.sendall(data)
    connection.settimeout(1)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except OSError:
        return  # only the head of a request, which is not answered yet


class Sessions:
    """Runs sessions of commands, each in a process of its own.

    Args:
        watched: the folders whose files count.
        preload: modules to import once, which makes each session a matter of milliseconds.
        entry: what runs one command line, as `module:function`.
    """

    def __init__(self, watched: Sequence[Path], *, preload: Sequence[str] = (), entry: str = ENTRY) -> None:
        self._watched = [str(folder) for folder in watched]
        self._entry = entry
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload([__name__, entry.partition(":")[0], *preload])

    def run(
        self,
        commands: Sequence[Sequence[str]],
        *,
        folder: Path,
        at: int | None = None,
        how: Fault = Fault.KILL,
        environ: Mapping[str, str] | None = None,
        later: timedelta = timedelta(),
        seconds: float = 120,
    ) -> Session:
        """Run `commands` one after the other, up to one that fails, and return what they came to.

        Args:
            folder: where to run them, and where their output goes: it must not be watched.
            at: the number of the point that goes wrong; none where None.
            environ: variables to set.
            later: how far the clock is ahead.
            seconds: after which a session that hangs is ended.
        """
        folder.mkdir(parents=True, exist_ok=True)
        told = [self._watched, self._entry, [list(words) for words in commands], str(folder), at, str(how)]
        process = self._context.Process(target=_session, args=(*told, dict(environ or {}), later.total_seconds()))
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
        listed = (folder / "points").read_text("utf-8").splitlines() if (folder / "points").exists() else []
        points = tuple(Point(*json.loads(line)) for line in listed)
        return Session(process.exitcode, points, (folder / "said").read_text("utf-8", "replace"))


def _session(
    watched: list[str],
    entry: str,
    commands: list[list[str]],
    folder: str,
    at: int | None,
    how: str,
    environ: dict[str, str],
    later: float,
) -> None:
    """Run the commands in this process, and end it."""
    code = DEFECT
    said = os.open(f"{folder}/said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    told = os.open(f"{folder}/points", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(said, stream)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    sys.dont_write_bytecode = True
    os.environ.update(environ)
    os.chdir(folder)
    _shift_clock(timedelta(seconds=later))
    module, _, name = entry.partition(":")
    run = getattr(importlib.import_module(module), name)

    def tell(point: Point) -> None:
        os.write(told, json.dumps([point.number, point.kind, point.what]).encode() + b"\n")

    Faults([Path(each) for each in watched], at=at, how=Fault(how), told=tell).arm()
    try:
        for words in commands:
            code = run(words)
            if code:
                break
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else DEFECT
    except BaseException:  # noqa: BLE001  # what a user would see as a traceback
        import traceback

        traceback.print_exc()
        code = DEFECT
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _shift_clock(later: timedelta) -> None:
    if not later:
        return
    from image_factory.shell import clock

    class Later(clock.SystemClock):
        def now(self) -> datetime:
            return super().now() + later

    clock.SystemClock = Later  # type: ignore[misc]  # of this process, which ends with its session
