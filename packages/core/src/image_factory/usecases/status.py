"""One answer to "how does it stand?", for the command line, the API and the catalog: reads, never asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any

from image_factory.decide.absorption import absorbed_digest, built_in
from image_factory.decide.eligibility import Eligibility, Reason, decide_eligibility
from image_factory.errors import ImageFactoryError, InvalidEnrollment, NotFound
from image_factory.model.enrollment import Kind
from image_factory.model.image_state import BaseState, DiscoveryStatus, ImageState
from image_factory.usecases.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Cause:
    """What one base means for one image."""

    base: str
    eligibility: Eligibility
    absorbed: str | None
    current: str | None


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """One enrolled image: what is wanted, what is known, and what a rebuild waits for."""

    state: ImageState
    causes: tuple[Cause, ...]

    @property
    def rebuild(self) -> Reason:
        """The most urgent of its causes."""
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
        instants = [cause.eligibility.eligible_at for cause in self.causes]
        return min((at for at in instants if at is not None), default=None)


@dataclass(frozen=True, slots=True)
class Status:
    """All images and bases, by name."""

    images: Mapping[str, ImageStatus]
    bases: Mapping[str, BaseState]
    dependents: Mapping[str, tuple[str, ...]]
    unanalyzed: tuple[str, ...]
    """Enrolled in images.yaml, without state yet."""
    problems: tuple[ImageFactoryError, ...]
    is_enrolled_known: bool = True
    """False where nothing of images.yaml can be read, so that what is shown is state alone."""


def read_status(bench: Workbench) -> Status:
    """Return what is known of every image, and what each waits for as of now.

    Raises:
        NotFound: there is no images.yaml.
    """
    file = bench.images()
    images, bases = bench.store.images(), bench.store.bases()
    now = bench.clock.now()
    dependents: dict[str, list[str]] = {}
    for name, image in images.records.items():
        for base in (*image.configuration.base_images, *image.configuration.secondary_images):
            dependents.setdefault(base, []).append(name)
    return Status(
        images={name: image_status(image, bases.records, now) for name, image in images.records.items()},
        bases=bases.records,
        dependents={name: tuple(sorted(set(users))) for name, users in dependents.items()},
        unanalyzed=tuple(sorted({entry.enrollment.name for entry in file.enrollments} - set(images.records))),
        problems=(*file.problems, *images.problems, *bases.problems),
        is_enrolled_known=bool(file.names) or not file.problems,
    )


def image_status(image: ImageState, bases: Mapping[str, BaseState], now: datetime) -> ImageStatus:
    """Return how one image stands to each of its bases."""
    if image.kind is not Kind.MANAGED:
        return ImageStatus(image, ())
    policy = image.configuration.enrollment
    causes = []
    for name in built_in(image):
        base = bases.get(name)
        if base is None:
            continue
        absorbed = absorbed_digest(image, base)
        eligibility = decide_eligibility(
            base.history.update_history,
            absorbed=absorbed,
            delay=policy.rebuild_delay,
            mode=policy.delay_mode,
            now=now,
            auto_rebuild=policy.auto_rebuild,
        )
        causes.append(Cause(name, eligibility, absorbed, base.runtime.current_digest))
    return ImageStatus(image, tuple(causes))


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
    return {
        "name": state.name,
        "kind": str(state.kind),
        "configuration": state.configuration.model_dump(mode="json", by_alias=True, exclude_none=True),
        "runtime": state.runtime.model_dump(mode="json", by_alias=True, exclude_none=True),
        "history": state.history.model_dump(mode="json", by_alias=True, exclude_none=True),
        "rebuild": {"status": str(image.rebuild), "eligibleAt": instant(image.eligible_at), "causes": causes},
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
