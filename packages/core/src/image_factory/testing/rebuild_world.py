"""A small world for tests of decisions: bases that move, a clock, runs that request, builds that end.

It keeps the records that the program would keep, by the program's own functions, and asks
`decide.rebuilds` for a plan at each run. Nothing outside is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from image_factory.decide.rebuilds import Decision, Facts, Policy, RebuildPlan, decide_rebuilds
from image_factory.model.enrollment import Enrollment
from image_factory.model.hold import Hold
from image_factory.model.image_state import (
    BaseConfiguration,
    BaseSite,
    BaseState,
    Build,
    DiscoveryStatus,
    ImageConfiguration,
    ImageState,
)
from image_factory.model.request import Dispatch, RebuildRequest, RequestStatus
from image_factory.state.merge import (
    merge_base,
    merge_image,
    record_build,
    record_digest,
    record_discovery,
    record_rebuild,
)

START = datetime(2026, 3, 1, tzinfo=UTC)


def fake_digest(number: int) -> str:
    """Return the digest of that number."""
    return f"sha256:{number:012x}{'0' * 52}"


@dataclass(frozen=True, slots=True)
class Requested:
    """One request that a run wrote."""

    at: datetime
    decision: Decision
    request_id: str


@dataclass
class RebuildWorld:
    """Images that are built on bases and on each other. `now` may be set to any instant, earlier ones too."""

    policy: Policy = field(default_factory=Policy)
    now: datetime = START
    images: dict[str, ImageState] = field(default_factory=dict)
    bases: dict[str, BaseState] = field(default_factory=dict)
    enrollments: dict[str, Enrollment] = field(default_factory=dict)
    requests: dict[str, RebuildRequest] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    log: list[Requested] = field(default_factory=list)
    first_seen: dict[str, datetime] = field(default_factory=dict)
    """When each digest was first seen, by the world's own account."""
    contents: dict[str, frozenset[str]] = field(default_factory=dict)
    """The digests of bases that an image's digest holds, those of its parents' included, by the world's own account."""
    _count: int = 0

    def enroll(self, name: str, on: Sequence[str], *, delay: timedelta = timedelta(days=7), **fields: Any) -> None:
        """Enroll a managed image that is built on these bases and images; a base that is new begins here."""
        source = {"repo": f"acme/{name}", **fields.pop("source", {})}
        entry = {"name": name, "registry": "ghcr.io", "repository": f"acme/{name}", "source": source}
        enrollment = Enrollment.model_validate({**entry, "rebuildDelay": delay, **fields})
        sites = tuple(
            BaseSite(
                name=other,
                reference=f"ghcr.io/acme/{other}:latest" if other in self.images else f"docker.io/library/{other}:1",
                role="final" if number == 0 else "stage",
                file="Dockerfile",
                line=number + 1,
                platforms=tuple(source.get("platforms", ())),
            )
            for number, other in enumerate(on)
        )
        configuration = ImageConfiguration(
            name=name, enrollment=enrollment, base_images=tuple(sorted(set(on))), references=sites
        )
        state = merge_image(None, configuration, at=self.now)
        self.enrollments[name] = enrollment
        self.images[name] = record_discovery(state, DiscoveryStatus.SUCCESS, at=self.now, learned=True)
        for other in on:
            if other not in self.images and other not in self.bases:
                self.add_base(other)

    def add_base(self, name: str) -> None:
        """Begin to watch a base, at a digest of its own."""
        configuration = BaseConfiguration(
            name=name,
            full_image=f"docker.io/library/{name}:1",
            registry="docker.io",
            repository=f"library/{name}",
            tag="1",
        )
        self.bases[name] = merge_base(None, configuration, at=self.now)
        self.move(name)

    def publish(self, name: str) -> str:
        """Let an image's owner build it for changes of its own; return the new digest."""
        digest = self._new_digest()
        current = [self._current(site.name) for site in self.images[name].configuration.references]
        self.contents[digest] = self._held(current)
        self.first_seen[digest] = self.now
        self.images[name] = record_build(self.images[name], version=None, digest=digest, at=self.now)
        return digest

    def held_by(self, name: str) -> frozenset[str]:
        """Return the digests of bases that the image's current digest holds; none where it was never built."""
        return self.contents.get(self.images[name].runtime.current_digest or "", frozenset())

    def move(self, name: str, digest: str | None = None, *, platforms: Mapping[str, str] | None = None) -> str:
        """Let a base point at a new digest, or at this one, and observe it; return the digest."""
        digest = digest or self._new_digest()
        metadata = None if platforms is None else {"platforms": dict(platforms)}
        unabsorbed = {update.new_digest for update in self.bases[name].history.update_history}
        self.bases[name] = record_digest(
            self.bases[name], digest, at=self.now, metadata=metadata, unabsorbed=unabsorbed
        )
        self.first_seen.setdefault(digest, self.now)
        return digest

    def facts(self) -> Facts:
        return Facts(
            images=self.images,
            bases=self.bases,
            enrollments=self.enrollments,
            requests=self.requests,
            holds=tuple(self.holds),
            policy=self.policy,
        )

    def plan(self) -> RebuildPlan:
        """Return the plan of this instant, and change nothing."""
        return decide_rebuilds(self.facts(), now=self.now)

    def decision(self, name: str) -> Decision:
        return self.plan().decisions[name]

    def run(self) -> tuple[Decision, ...]:
        """Write a request for everything that is due, as started where it needs no approval; return what was due."""
        due = self.plan().due
        for decision in due:
            self._count += 1
            request = RebuildRequest(
                name=decision.image,
                request_id=f"{decision.image}-{self._count}",
                status=RequestStatus.DISPATCHED if str(decision.reason) == "due" else RequestStatus.NEEDS_APPROVAL,
                requested_at=self.now,
                reason=str(decision.reason),
                causes=decision.causes,
                digests=decision.digests,
                inputs=decision.inputs,
                wave=decision.wave,
                dispatch=Dispatch(at=self.now, by="run") if str(decision.reason) == "due" else None,
            )
            self.requests[decision.image] = request
            self.log.append(Requested(self.now, decision, request.request_id))
        return due

    def approve(self, name: str) -> None:
        """Let a person approve the request of an image: its build starts."""
        request = self.requests[name]
        self.requests[name] = request.model_copy(update={"status": RequestStatus.DISPATCHED})

    def finish(self, name: str, status: RequestStatus = RequestStatus.SUCCEEDED, *, trigger: str = "policy") -> None:
        """Let the build of an image end; one that succeeds brings a new digest."""
        request = self.requests[name]
        digest = self._new_digest() if status is RequestStatus.SUCCEEDED else None
        if digest is not None:
            self.contents[digest] = self._held([pinned.digest for pinned in request.digests])
        self.requests[name] = request.model_copy(
            update={"status": status, "finished_at": self.now, "digest": digest, "triggered_by": trigger}
        )
        build = Build(
            at=request.requested_at,
            reason=request.reason,
            trigger=trigger,
            result=str(status),
            request_id=request.request_id,
            digest=digest,
            finished_at=self.now,
            causes=tuple(cause.model_dump(mode="json", by_alias=True, exclude_none=True) for cause in request.causes),
            inputs=request.inputs,
        )
        state = record_rebuild(self.images[name], build)
        if digest is not None:
            state = record_build(state, version=None, digest=digest, at=self.now)
        self.images[name] = state

    def finish_all(self, status: RequestStatus = RequestStatus.SUCCEEDED) -> None:
        """Let every build that runs end."""
        for name, request in list(self.requests.items()):
            if request.status.is_under_way:
                self.finish(name, status)

    def wait(self, **length: float) -> None:
        """Let time pass."""
        self.now += timedelta(**length)

    def set_policy(self, **fields: Any) -> None:
        """Change what holds for all images."""
        self.policy = replace(self.policy, **fields)

    def _current(self, name: str) -> str | None:
        record = self.images.get(name) or self.bases[name]
        return record.runtime.current_digest

    def _held(self, digests: Iterable[str | None]) -> frozenset[str]:
        return frozenset().union(*(self.contents.get(digest, {digest}) for digest in digests if digest is not None))

    def _new_digest(self) -> str:
        self._count += 1
        return fake_digest(self._count)
