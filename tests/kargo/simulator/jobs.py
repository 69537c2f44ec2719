"""Jobs: a container's arguments, run as this project's own command line at the cluster's time.

Argo Rollouts puts an AnalysisRun's arguments into the text of the Job (its utils/template); Kubernetes
gives a container the environment that its spec names, and starts a failed one again up to
`backoffLimit` times. The image's entry point is `image-factory`, so the arguments are all there is.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.kargo.simulator.resources import Document
from tests.kargo.simulator.steps import Secrets

from image_factory.ports import Clock
from image_factory.shell import clock as system
from image_factory_cli.group import run

_ARGUMENT = re.compile(r"{{\s*args\.([^}\s]+)\s*}}")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a Job came to."""

    at: datetime
    arguments: tuple[str, ...]
    codes: tuple[int, ...]
    """The exit code of each attempt."""
    said: str
    """All that the last attempt wrote to standard output and error."""

    @property
    def is_succeeded(self) -> bool:
        return self.codes[-1] == 0

    @property
    def command(self) -> str:
        return self.arguments[0]


def filled(metrics: Sequence[Document], arguments: Mapping[str, str]) -> list[Document]:
    """Return the metrics of an AnalysisRun with its arguments in their text."""

    def value_of(match: re.Match[str]) -> str:
        return json.dumps(arguments[match[1]])[1:-1]

    found: list[Document] = json.loads(_ARGUMENT.sub(value_of, json.dumps(metrics)))
    return found


def run_job(job: Document, *, clock: Clock, secrets: Secrets, path: str) -> Ran:
    """Run the one container of a Job to its end, again where it fails, and return what it came to.

    Args:
        path: where programs are found, in place of those of the container's image.
    """
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    if "command" in container:
        raise NotImplementedError("a container with a command of its own")
    arguments = tuple(container["args"])
    environment = {each["name"]: _value(each, secrets) for each in container.get("env") or ()}
    codes: list[int] = []
    said, at = "", clock.now()
    while len(codes) <= spec.get("backoffLimit", 6) and codes[-1:] != [0]:
        code, said = run_command(arguments, environment, clock=clock, path=path)
        codes.append(code)
    return Ran(at, arguments, tuple(codes), said)


def _value(variable: Document, secrets: Secrets) -> str:
    if "value" in variable:
        return str(variable["value"])
    reference = variable["valueFrom"]["secretKeyRef"]
    held = secrets.get(reference["name"], {})
    if reference["key"] not in held and not reference.get("optional"):
        raise LookupError(f"no key {reference['key']} in Secret {reference['name']}")
    return held.get(reference["key"], "")


def run_command(
    arguments: Sequence[str], environment: Mapping[str, str], *, clock: Clock, path: str
) -> tuple[int, str]:
    """Run one command line in this process, with that environment alone and that clock; return code and output."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="container-") as folder:
        told = {"PATH": path, "HOME": folder, "TMPDIR": folder, "LC_ALL": "C.UTF-8", **environment}
        streams = contextlib.redirect_stdout(said), contextlib.redirect_stderr(said)
        with _environment(told), _time(clock), contextlib.chdir(folder), streams[0], streams[1]:
            code = run(arguments)
    return code, said.getvalue()


@contextlib.contextmanager
def _environment(told: Mapping[str, str]) -> Iterator[None]:
    kept, kept_folder = dict(os.environ), tempfile.tempdir
    os.environ.clear()
    os.environ.update(told)
    tempfile.tempdir = told["TMPDIR"]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
        tempfile.tempdir = kept_folder


@contextlib.contextmanager
def _time(clock: Clock) -> Iterator[None]:
    """Let the machine's clock, which a command hands to all that it does, be the cluster's."""

    class Simulated(system.SystemClock):
        def now(self) -> datetime:
            return clock.now()

        def sleep(self, duration: timedelta) -> None:
            clock.sleep(duration)

    real: Any = system.SystemClock
    system.SystemClock = Simulated  # type: ignore[misc]
    try:
        yield
    finally:
        system.SystemClock = real  # type: ignore[misc]


def next_tick(schedule: str, after: datetime) -> datetime:
    """Return the first minute after an instant at which a CronJob of this schedule starts."""
    fields = [
        _minutes(text, lowest, highest) for text, (lowest, highest) in zip(schedule.split(), _RANGES, strict=True)
    ]
    at = after.replace(second=0, microsecond=0)
    while True:
        at += timedelta(minutes=1)
        told = (at.minute, at.hour, at.day, at.month, (at.weekday() + 1) % 7)
        if all(value in allowed for value, allowed in zip(told, fields, strict=True)):
            return at


_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


def _minutes(text: str, lowest: int, highest: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        low = lowest if span == "*" else int(first)
        high = highest if span == "*" or (step and not last) else int(last or first)
        found.update(range(low, high + 1, int(step or 1)))
    return frozenset(found)
