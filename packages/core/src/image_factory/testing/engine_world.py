"""The world that the engine is run against: a registry, a CI, sources and notices, with faults at every call.

A fault is counted down over all calls and writes: it refuses one, loses its answer, or ends the
program there (`Killed`, which nothing catches), before or after its effect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from image_factory.errors import RemoteNotFound, Unavailable
from image_factory.hookspecs import hookimpl
from image_factory.model.event import Event
from image_factory.oci.manifest import Index, Manifest
from image_factory.oci.reference import Digest, Repository, Tag
from image_factory.ports import (
    BuildRequest,
    BuildRun,
    BuildTrigger,
    ChangeProposal,
    ChangeRequest,
    Credentials,
    ImageMetadata,
    Notifier,
    RateProfile,
    Registry,
    RunStatus,
    Source,
    SourceRepository,
    TriggerCall,
    Version,
    WebhookReceiver,
)
from image_factory.shell.store import FileChange, Store
from image_factory.testing.clock import FixedClock

T = TypeVar("T")
LABEL = "image-factory.io/request-id"


class Killed(BaseException):
    """The program ends here."""


class Kind(StrEnum):
    FAIL = "fail"
    """The call is refused, and has no effect."""
    LOSE = "lose"
    """It has its effect, and its answer is lost."""
    KILL = "kill"
    """The program ends before it."""
    KILL_AFTER = "kill-after"
    """The program ends after it, before it learns of the answer."""


@dataclass
class Faults:
    """One fault to come, so many calls from now."""

    left: int = -1
    kind: Kind = Kind.FAIL
    hit: str = ""
    """What it struck."""

    def arm(self, calls: int, kind: Kind) -> None:
        self.left, self.kind, self.hit = calls, kind, ""

    def around(self, name: str, effect: Callable[[], T]) -> T:
        """Return what `effect` returns, unless the fault strikes here."""
        strikes = self.left == 0
        self.left -= 1
        if not strikes:
            return effect()
        self.hit = name
        if self.kind is Kind.KILL:
            raise Killed(name)
        if self.kind is Kind.FAIL:
            raise Unavailable(f"{name} does not answer")
        effect()
        if self.kind is Kind.KILL_AFTER:
            raise Killed(name)
        raise Unavailable(f"the answer of {name} was lost")


def digest_of(seed: str) -> Digest:
    return Digest.parse(f"sha256:{hashlib.sha256(seed.encode()).hexdigest()}")


@dataclass
class Started:
    """A build at the CI."""

    run: BuildRun
    image: str
    inputs: Mapping[str, str]
    at: datetime


@dataclass
class EngineWorld:
    """All that the engine meets outside, and what really happened there."""

    clock: FixedClock
    faults: Faults = field(default_factory=Faults)
    tags: dict[str, dict[str, Digest]] = field(default_factory=dict)
    labels: dict[Digest, Mapping[str, str]] = field(default_factory=dict)
    moved_at: dict[str, list[tuple[datetime, Digest]]] = field(default_factory=dict)
    dockerfiles: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """Consumers' files on their branch."""
    pulls: dict[str, ChangeProposal] = field(default_factory=dict)
    """By branch; all are open until they are merged."""
    opened: list[str] = field(default_factory=list)
    """The branch of each request that was opened, in order."""
    merged: list[str] = field(default_factory=list)
    builds: list[Started] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)

    def publish(self, repository: str, tag: str, seed: str, labels: Mapping[str, str] | None = None) -> Digest:
        digest = digest_of(seed)
        self.tags.setdefault(repository, {})[tag] = digest
        self.labels[digest] = dict(labels or {})
        self.moved_at.setdefault(repository, []).append((self.clock.now(), digest))
        return digest

    def finish(self, build: Started, status: RunStatus) -> None:
        build.run = replace(build.run, status=status, updated_at=self.clock.now())
        if status is RunStatus.SUCCEEDED:
            repository = f"acme/{build.image}"
            version = f"1.0.{len(self.tags.get(repository, {}))}"
            self.publish(repository, version, f"{build.run.id} built", {LABEL: build.inputs["request_id"]})

    def merge(self, branch: str) -> None:
        proposal = self.pulls.pop(branch)
        self.merged.append(branch)
        for edit in proposal.edits:
            self.files[edit.path] = edit.content.decode()


class FakeRegistry:
    """Every registry there is."""

    name = "everything"

    def __init__(self, world: EngineWorld) -> None:
        self.world = world

    def claims(self, repository: Repository) -> bool:
        return True

    def resolve(self, tag: Tag) -> Digest:
        def look() -> Digest:
            found = self.world.tags.get(tag.repository.path, {}).get(tag.name)
            if found is None:
                raise RemoteNotFound(f"no {tag}")
            return found

        return self.world.faults.around("registry.resolve", look)

    def tags(self, repository: Repository) -> Iterator[Tag]:
        names = self.world.faults.around("registry.tags", lambda: sorted(self.world.tags.get(repository.path, {})))
        yield from (Tag(repository, name) for name in names)

    def manifest(self, repository: Repository, digest: Digest) -> Manifest | Index:
        raise RemoteNotFound("no manifests are kept here")

    def metadata(self, repository: Repository, digest: Digest) -> ImageMetadata:
        labels = self.world.faults.around("registry.metadata", lambda: self.world.labels[digest])
        return ImageMetadata(digest, {"linux/amd64": digest}, labels=labels)

    def versions(self, repository: Repository) -> Iterator[Version]:
        held = self.world.faults.around("registry.versions", lambda: dict(self.world.tags.get(repository.path, {})))
        yield from (Version(tag, digest) for tag, digest in held.items())

    def rate_profile(self, repository: Repository) -> RateProfile | None:
        return None

    def web_url(self, repository: Repository, tag: str | None = None) -> str | None:
        return None

    def webhook_receiver(self) -> WebhookReceiver | None:
        return None


class FakeSource:
    """Dockerfiles, and consumers' files."""

    name = "fake"

    def __init__(self, world: EngineWorld) -> None:
        self.world = world

    def claims(self, url: str) -> bool:
        return False

    def clone_url(self, repository: SourceRepository) -> str:
        return f"https://fake.example/{repository.path}"

    def credentials(self, repository: SourceRepository) -> Credentials | None:
        return None

    def revision(self, repository: SourceRepository, ref: str) -> str:
        content = (self.world.dockerfiles.get(repository.path), sorted(self.world.files.items()))
        known = content if repository.path == "acme/deploy" else content[0]
        return self.world.faults.around(
            "source.revision", lambda: hashlib.sha256(repr(known).encode()).hexdigest()[:40]
        )

    def references(self, repository: SourceRepository) -> Mapping[str, str]:
        return {"refs/heads/main": self.revision(repository, "main")}

    def read(self, repository: SourceRepository, revision: str, path: str) -> bytes:
        def look() -> bytes:
            held = self.world.dockerfiles.get(repository.path) if path == "Dockerfile" else self.world.files.get(path)
            if held is None:
                raise RemoteNotFound(f"no {path}")
            return held.encode()

        return self.world.faults.around("source.read", look)

    def files(self, repository: SourceRepository, revision: str, prefix: str = "") -> Sequence[str]:
        return sorted(path for path in self.world.files if path.startswith(prefix))

    def open_change_request(self, repository: SourceRepository, proposal: ChangeProposal) -> ChangeRequest:
        def propose() -> ChangeRequest:
            if proposal.branch not in self.world.pulls:
                self.world.opened.append(proposal.branch)
            self.world.pulls[proposal.branch] = proposal
            return ChangeRequest(f"https://fake.example/pull/{proposal.branch}", 1, proposal.branch)

        return self.world.faults.around("source.open_change_request", propose)

    def change_request(self, repository: SourceRepository, branch: str, base: str) -> ChangeRequest | None:
        def look() -> ChangeRequest | None:
            if branch not in self.world.opened:
                return None
            url, is_open = f"https://fake.example/pull/{branch}", branch in self.world.pulls
            body = self.world.pulls[branch].body if is_open else ""
            return ChangeRequest(url, 1, branch, is_open, is_merged=branch in self.world.merged, body=body)

        return self.world.faults.around("source.change_request", look)

    def web_url(self, repository: SourceRepository, revision: str | None = None, path: str | None = None) -> str | None:
        return None


class FakeTrigger:
    """A CI that starts what it is told to, and shows the request's id."""

    name = "fake"

    def __init__(self, world: EngineWorld) -> None:
        self.world = world

    def call(self, request: BuildRequest) -> TriggerCall:
        return TriggerCall("POST", "https://fake.example/start", {}, dict(request.inputs), None, None, (204,))

    def start(self, request: BuildRequest) -> str | None:
        def begin() -> None:
            now, number = self.world.clock.now(), len(self.world.builds)
            url = f"https://fake.example/run-{number}"
            run = BuildRun(f"run-{number}", RunStatus.RUNNING, url, "main", "0" * 40, request.request_id, now)
            image = request.repository.path.rpartition("/")[2]
            self.world.builds.append(Started(run, image, dict(request.inputs), now))

        self.world.faults.around("ci.start", begin)
        return None

    def declared_inputs(self, request: BuildRequest) -> frozenset[str] | None:
        return self.world.faults.around("ci.declared_inputs", lambda: None)

    def find_run(self, request: BuildRequest) -> BuildRun | None:
        def look() -> BuildRun | None:
            found = [each.run for each in self.world.builds if each.run.title == request.request_id]
            return found[0] if found else None

        return self.world.faults.around("ci.find_run", look)

    def run(self, request: BuildRequest, run_id: str) -> BuildRun:
        def look() -> BuildRun:
            return next(each.run for each in self.world.builds if each.run.id == run_id)

        return self.world.faults.around("ci.run", look)

    def runs(self, request: BuildRequest, *, page: int = 1, page_size: int = 20) -> Sequence[BuildRun]:
        return [each.run for each in self.world.builds]

    def rerun(self, request: BuildRequest, run_id: str) -> None:
        raise AssertionError("nothing is started again by itself")


class FakeNotifier:
    """Somebody who listens."""

    name = "fake"

    def __init__(self, world: EngineWorld) -> None:
        self.world = world

    def deliver(self, events: Sequence[Event]) -> None:
        self.world.faults.around("notifier.deliver", lambda: self.world.told.extend(events))


class EnginePlugin:
    """Brings all of the world in through the hooks, as any plugin does."""

    def __init__(self, world: EngineWorld) -> None:
        self.world = world

    @hookimpl
    def register_registries(self, register: Callable[[Registry], None]) -> None:
        register(FakeRegistry(self.world))

    @hookimpl
    def register_sources(self, register: Callable[[Source], None]) -> None:
        register(FakeSource(self.world))

    @hookimpl
    def register_build_triggers(self, register: Callable[[BuildTrigger], None]) -> None:
        register(FakeTrigger(self.world))

    @hookimpl
    def register_notifiers(self, register: Callable[[Notifier], None]) -> None:
        register(FakeNotifier(self.world))


class FaultyStore(Store):
    """A store whose writes may be refused, and cut off between any two files."""

    def __init__(self, faults: Faults, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._faults = faults

    def apply(self, changes: Any) -> None:
        planned: list[FileChange] = [change for change in changes if change.old != change.new]
        if not planned:
            return
        if (
            self._faults.left >= len(planned) + 1
            or self._faults.left < 0
            or self._faults.kind in (Kind.FAIL, Kind.LOSE)
        ):
            # A write is whole or not there where the program goes on.
            super().apply(planned)
            self._faults.left -= len(planned) + 1
            return
        for change in planned:
            self._faults.around(f"write {change.path.name}", partial(super().apply, [change]))
        self._faults.around("written", lambda: None)
