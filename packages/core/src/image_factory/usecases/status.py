"""One answer to "how does it stand?", for the command line, the API and the catalog: reads, never asks.

What an image waits for is what `decide.rebuilds` decides, as `run` does: there is no second opinion here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from image_factory.decide.causes import Cause, find_causes
from image_factory.decide.consumers import entry_keys, find_consumer
from image_factory.decide.eligibility import Reason
from image_factory.decide.groups import find_groups, longest_delay
from image_factory.decide.holds import active_holds
from image_factory.decide.lifecycle import decide_removed
from image_factory.decide.plan import Decision, Facts, RebuildPlan
from image_factory.decide.rebuilds import decide_rebuilds
from image_factory.errors import ImageFactoryError, InvalidEnrollment, NotFound
from image_factory.model.enrollment import Enrollment, Kind, Update
from image_factory.model.image_state import BaseState, Consumer, DiscoveryStatus, ImageState
from image_factory.state.images_yaml import ImagesFile
from image_factory.usecases.workbench import Workbench

if TYPE_CHECKING:
    from image_factory.model.request import RebuildRequest

__all__ = ["Cause", "ImageStatus", "Standing", "Status", "find_image", "image_status", "read_status"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One entry of an image's `updates`, and how far it has come."""

    entry: Update
    known: Consumer | None
    """None where nothing was carried to it yet."""


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """One image: what is wanted, what is known, and what a rebuild waits for."""

    state: ImageState
    causes: tuple[Cause, ...]
    decision: Decision | None = None
    """What is to become of it; None for an external image, and where images.yaml was not asked."""
    request: RebuildRequest | None = None
    """The latest, open or settled."""
    enrollment: Enrollment | None = None
    """What images.yaml says of it now; None where it does not, or cannot be read."""

    @property
    def rebuild(self) -> Reason:
        """What is decided of it, else the most urgent of its causes."""
        if self.decision is not None:
            return self.decision.reason
        order = (Reason.DUE, Reason.NEEDS_APPROVAL, Reason.COOLING_DOWN)
        runtime = self.state.runtime
        is_unread = runtime.discovery_error is not None or runtime.discovery_status is DiscoveryStatus.PENDING
        if is_unread and not self.causes:
            return Reason.UNKNOWN
        reasons = {cause.eligibility.reason for cause in self.causes}
        return next((reason for reason in order if reason in reasons), Reason.UP_TO_DATE)

    @property
    def eligible_at(self) -> datetime | None:
        """The first instant at which one of its causes is due."""
        if self.decision is not None and self.decision.eligible_at is not None:
            return self.decision.eligible_at
        instants = [cause.eligibility.eligible_at for cause in self.causes]
        return min((at for at in instants if at is not None), default=None)

    @property
    def until(self) -> datetime | None:
        """When what it waits for ends, where that is known."""
        return None if self.decision is None else self.decision.until

    @property
    def consumers(self) -> tuple[Standing, ...]:
        """Every entry of its `updates`, in the order of images.yaml."""
        entries = (self.enrollment or self.state.configuration.enrollment).updates
        return tuple(Standing(entry, find_consumer(self.state.runtime.consumers, entry)) for entry in entries)


@dataclass(frozen=True, slots=True)
class Status:
    """All images and bases, by name."""

    images: Mapping[str, ImageStatus]
    bases: Mapping[str, BaseState]
    dependents: Mapping[str, tuple[str, ...]]
    unanalyzed: tuple[str, ...]
    """Enrolled in images.yaml, without state yet."""
    removed: tuple[str, ...]
    """Gone from images.yaml; the next analysis archives them."""
    problems: tuple[ImageFactoryError, ...]
    is_enrolled_known: bool = True
    """False where nothing of images.yaml can be read, so that what is shown is state alone."""
    plan: RebuildPlan = field(default_factory=lambda: RebuildPlan({}))
    """What a run would decide now."""
    facts: Facts | None = None
    """What the plan was made from."""


def read_status(bench: Workbench) -> Status:
    """Return what is known of every image, and what each waits for as of now.

    Raises:
        NotFound: there is no images.yaml.
    """
    # Imported here, since that step imports others that write times as this module does.
    from image_factory.usecases.coordinate import policy_of, unreadable_holds, unreadable_images

    file = bench.images()
    images, bases = bench.store.images(), bench.store.bases()
    requests, holds = bench.store.requests(), bench.store.holds()
    now = bench.clock.now()
    dependents: dict[str, list[str]] = {}
    for name, image in images.records.items():
        for base in (*image.configuration.base_images, *image.configuration.secondary_images):
            dependents.setdefault(base, []).append(name)
    is_known = bool(file.names) or not file.problems
    facts = Facts(
        images=images.records,
        bases=bases.records,
        enrollments=_enrollments(file, images.records, is_known),
        requests=requests.records,
        holds=(
            *holds.records.values(),
            *unreadable_holds(holds.broken, (*images.records.values(), *bases.records.values())),
        ),
        policy=policy_of(bench.settings),
        unreadable=unreadable_images(requests.broken, holds.broken),
    )
    plan = decide_rebuilds(facts, now=now)
    held = active_holds(facts.holds, now).digest_ends
    delays = _group_delays(facts.enrollments)
    found = {}
    for name, image in images.records.items():
        enrollment = facts.enrollments.get(name)
        found[name] = ImageStatus(
            image,
            _causes(image, enrollment, facts, delays.get(name), held, now),
            plan.decisions.get(name) or _not_enrolled(image, file),
            requests.records.get(name),
            enrollment,
        )
    return Status(
        images=found,
        bases=bases.records,
        dependents={name: tuple(sorted(set(users))) for name, users in dependents.items()},
        unanalyzed=tuple(sorted({entry.enrollment.name for entry in file.enrollments} - set(images.records))),
        removed=decide_removed(images.records, file.names, is_sound=not file.problems),
        problems=(*file.problems, *images.problems, *bases.problems, *requests.problems, *holds.problems),
        is_enrolled_known=is_known,
        plan=plan,
        facts=facts,
    )


def _enrollments(file: ImagesFile, images: Mapping[str, ImageState], is_known: bool) -> Mapping[str, Enrollment]:
    """Return what images.yaml says; where nothing of it can be read, what it said when the images were analyzed."""
    if not is_known:
        return {name: image.configuration.enrollment for name, image in images.items()}
    return {entry.enrollment.name: entry.enrollment for entry in file.enrollments}


def _not_enrolled(image: ImageState, file: ImagesFile) -> Decision | None:
    """Return why nothing is decided of a managed image that has a record."""
    if image.kind is not Kind.MANAGED:
        return None
    told = "is not in images.yaml any more" if image.name not in file.names else "cannot be read in images.yaml"
    return Decision(image.name, Reason.UNKNOWN, f"it {told}, so that nothing rebuilds it")


def _group_delays(enrollments: Mapping[str, Enrollment]) -> Mapping[str, timedelta]:
    delays: dict[str, timedelta] = {}
    for members in find_groups(enrollments).values():
        delays.update(dict.fromkeys(members, longest_delay(members, enrollments)[0]))
    return delays


def _causes(
    image: ImageState,
    enrollment: Enrollment | None,
    facts: Facts,
    delay: timedelta | None,
    held: Mapping[str, datetime | None],
    now: datetime,
) -> tuple[Cause, ...]:
    if image.kind is not Kind.MANAGED:
        return ()
    enrollment = enrollment or image.configuration.enrollment
    return find_causes(image, enrollment, bases=facts.bases, images=facts.images, now=now, delay=delay, held=held)


def image_status(image: ImageState, bases: Mapping[str, BaseState], now: datetime) -> ImageStatus:
    """Return how one image stands to each of its bases, all else left aside."""
    if image.kind is not Kind.MANAGED:
        return ImageStatus(image, ())
    enrollment = image.configuration.enrollment
    return ImageStatus(image, find_causes(image, enrollment, bases=bases, images={}, now=now))


def find_image(status: Status, name: str) -> ImageStatus | BaseState:
    """Return the image or base of that name.

    Raises:
        NotFound: there is none; the hint says where it was looked for.
        InvalidState: its state file cannot be read.
        InvalidEnrollment: its entry, or all of images.yaml, cannot be read.
    """
    found = status.images.get(name) or status.bases.get(name)
    if found is None:
        problem = problem_of(status, name)
        if problem is not None:
            raise problem
        if name in status.unanalyzed:
            raise NotFound(f"{name!r} is enrolled, but not analyzed yet", hint=f"image-factory analyze --image {name}")
        if not status.is_enrolled_known:
            raise status.problems[0]
        known = ", ".join([*status.images, *status.bases][:8]) or "none"
        raise NotFound(f"no image is called {name!r}", hint=f"known are {known}")
    return found


def problem_of(status: Status, name: str) -> ImageFactoryError | None:
    """Return why the state file or the entry of that name could not be read, or None where there is no such thing."""
    for problem in status.problems:
        if isinstance(problem, InvalidEnrollment) and problem.message.startswith(f"{name}: "):
            return problem
        if problem.location is not None and PurePath(problem.location.file).stem == name:
            return problem
    return None


def to_json(image: ImageStatus) -> dict[str, Any]:
    """Return one image as JSON data: configuration, runtime and history together, and its rebuild's state."""
    state = image.state
    decision = image.decision
    causes = [
        {
            "base": cause.base,
            "reason": str(cause.eligibility.reason),
            "from": cause.absorbed,
            "to": cause.eligibility.digest,
            "seenAt": instant(cause.eligibility.seen_at),
            "eligibleAt": instant(cause.eligibility.eligible_at),
        }
        for cause in image.causes
    ]
    rebuild = {
        "status": str(image.rebuild),
        "eligibleAt": instant(image.eligible_at),
        "because": None if decision is None else decision.because,
        "until": instant(image.until),
        "blockedBy": [] if decision is None else list(decision.blocked_by),
        "request": None if image.request is None else request_to_json(image.request),
        "causes": causes,
    }
    return {
        "name": state.name,
        "kind": str(state.kind),
        "configuration": state.configuration.model_dump(mode="json", by_alias=True, exclude_none=True),
        "runtime": state.runtime.model_dump(mode="json", by_alias=True, exclude_none=True),
        "history": state.history.model_dump(mode="json", by_alias=True, exclude_none=True),
        "rebuild": rebuild,
        "consumers": [consumer_to_json(one) for one in image.consumers],
    }


def request_to_json(request: RebuildRequest) -> dict[str, Any]:
    """Return a request as JSON data: its file's values, and whether it is open."""
    values = request.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {**values, "status": str(request.status), "isOpen": request.status.is_open}


def consumer_to_json(standing: Standing) -> dict[str, Any]:
    """Return one entry of `updates` as JSON data; its status is `waiting` where nothing was carried to it yet."""
    entry, known = standing.entry, standing.known
    return {
        "repo": entry.repo,
        "path": entry.path,
        "type": entry.type,
        "branch": entry.branch,
        "keys": list(entry_keys(entry)),
        "status": "waiting" if known is None else str(known.status),
        "version": None if known is None else known.version,
        "digest": None if known is None else known.digest,
        "at": None if known is None else instant(known.at),
        "url": None if known is None else known.url,
        "problem": None if known is None else known.problem,
    }


def base_to_json(base: BaseState, dependents: tuple[str, ...]) -> dict[str, Any]:
    """Return one base image as JSON data, with what is built on it."""
    return {
        "name": base.name,
        "kind": "base",
        "configuration": base.configuration.model_dump(mode="json", by_alias=True, exclude_none=True),
        "runtime": base.runtime.model_dump(mode="json", by_alias=True, exclude_none=True),
        "history": base.history.model_dump(mode="json", by_alias=True, exclude_none=True),
        "dependents": list(dependents),
    }


def instant(at: datetime | None) -> str | None:
    """Return an instant as RFC 3339 writes it, in UTC, to the second."""
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
