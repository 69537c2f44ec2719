"""A build provider in memory, for tests: what was started is known, and every answer can be made to fail.

It keeps to what `image_factory.ports.BuildTrigger` promises. The fakes of real providers are
`testing.github_server` and `testing.gitlab_server`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import ModuleType

from image_factory.errors import RemoteNotFound
from image_factory.hookspecs import hookimpl
from image_factory.ports import BuildRequest, BuildRun, BuildTrigger, RunStatus, SecretHeader, TriggerCall

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Builds:
    """A provider that starts what it is told, under the name `git`, so that a plain git source is built by it.

    Args:
        declared: the inputs that its workflows declare; None takes any.
        tells_ids: whether a start answers the run's id.
        hides_new: whether a run is found by its request only after `show`, as at a provider that is behind.
    """

    declared: frozenset[str] | None = None
    tells_ids: bool = True
    hides_new: bool = False
    name: str = "git"
    started: list[BuildRequest] = field(default_factory=list)
    """What was started, in order."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Every question: the method's name, and the request's id."""
    known: dict[str, BuildRun] = field(default_factory=dict)
    """The runs, by id."""
    of_request: dict[str, str] = field(default_factory=dict)
    """The id of the newest run of each request, where it can be found."""
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    """What a method raises the next times, by its name and, after a colon, the workflow's: `start:web.yml`."""
    at_start: Callable[[BuildRequest], None] = lambda request: None
    """Called while a build is being started."""
    starts_and_fails: bool = False
    """Whether a start that fails has started the build all the same: its answer was lost."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def plugin(self) -> ModuleType:
        """Return a plugin that registers it."""
        builds = self

        @hookimpl
        def register_build_triggers(register: Callable[[BuildTrigger], None]) -> None:
            register(builds)

        plugin = ModuleType("builds")
        plugin.register_build_triggers = register_build_triggers  # type: ignore[attr-defined]
        return plugin

    def fail(self, method: str, error: Exception, *, times: int = 1) -> None:
        """Let the next calls of `method` (`start`, or `start:web.yml`) raise `error`."""
        self.failures.setdefault(method, []).extend([error] * times)

    def finish(self, request_id: str, status: RunStatus, message: str = "", at: datetime | None = None) -> None:
        """Let the run of a request be in this state."""
        run_id = next(run.id for run in reversed(self.known.values()) if run.title == request_id)
        self.known[run_id] = replace(self.known[run_id], status=status, message=message, updated_at=at)

    def show(self) -> None:
        """Let all runs be found from now on."""
        self.hides_new = False
        self.of_request = {run.title: run.id for run in self.known.values()}

    # --- the port ------------------------------------------------------------------------------------

    def call(self, request: BuildRequest) -> TriggerCall:
        """Return the call that would start `request`."""
        secret = SecretHeader("Authorization", "Bearer ")
        return TriggerCall(
            "POST", "https://ci.example.com", {"Accept": "*/*"}, {"inputs": dict(request.inputs)}, secret, None, (204,)
        )

    def start(self, request: BuildRequest) -> str | None:
        """Start it, and return the run's id where that is told."""
        self.at_start(request)
        if not self.starts_and_fails:
            self._ask("start", request)
        with self.lock:
            self.started.append(request)
            run_id = str(len(self.started))
            url = f"https://ci.example.com/runs/{run_id}"
            self.known[run_id] = BuildRun(
                run_id, RunStatus.QUEUED, url, request.ref, "f" * 40, request.request_id, BEGINNING
            )
            if not self.hides_new:
                self.of_request[request.request_id] = run_id
        if self.starts_and_fails:
            self._ask("start", request)
        return run_id if self.tells_ids else None

    def declared_inputs(self, request: BuildRequest) -> frozenset[str] | None:
        """Return what the workflows declare."""
        self._ask("declared_inputs", request)
        return self.declared

    def find_run(self, request: BuildRequest) -> BuildRun | None:
        """Return the newest run of the request's id, where it can be found."""
        self._ask("find_run", request)
        run_id = self.of_request.get(request.request_id)
        return None if run_id is None else self.known.get(run_id)

    def run(self, request: BuildRequest, run_id: str) -> BuildRun:
        """Return one run."""
        self._ask("run", request)
        if run_id not in self.known:
            raise RemoteNotFound(f"no run {run_id}", hint="check the run's number")
        return self.known[run_id]

    def runs(self, request: BuildRequest, *, page: int = 1, page_size: int = 20) -> Sequence[BuildRun]:
        """Return one page of all runs, newest first."""
        self._ask("runs", request)
        return tuple(reversed(self.known.values()))[(page - 1) * page_size : page * page_size]

    def rerun(self, request: BuildRequest, run_id: str) -> None:
        """Let a run be queued again."""
        self._ask("rerun", request)
        self.known[run_id] = replace(self.known[run_id], status=RunStatus.QUEUED)

    def _ask(self, method: str, request: BuildRequest) -> None:
        with self.lock:
            self.asked.append((method, request.request_id))
            for key in (f"{method}:{request.workflow}", method):
                if self.failures.get(key):
                    raise self.failures[key].pop(0)
