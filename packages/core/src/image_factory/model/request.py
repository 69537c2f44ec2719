"""A rebuild that was decided on: what is to be built, why, and how far it has come. Pure.

One file an image, `state/rebuild-requests/NAME.yaml`: it is the intent that is written before
anything is started, under an id that the build carries, so that a run that is killed at any instant
leaves enough for the next one to go on. A settled request stays until the next one takes its place;
what became of it is in the image's rebuildHistory too.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from image_factory.model.enrollment import Record
from image_factory.model.image_state import DigestText, Time


class RequestStatus(StrEnum):
    """How far a request has come."""

    NEEDS_APPROVAL = "needs-approval"
    """It waits for a person: `autoRebuild: false`."""
    REQUESTED = "requested"
    """To be dispatched."""
    DISPATCHING = "dispatching"
    """The provider is being called, or was when the program was stopped: the run is looked for by the request's id."""
    DISPATCHED = "dispatched"
    """The build was started."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    """Its build did not end, or vanished."""
    CANCELLED = "cancelled"
    """Taken back before it was started, or its run was."""

    @property
    def is_open(self) -> bool:
        """Whether it has still some way to go."""
        return self in _OPEN

    @property
    def is_under_way(self) -> bool:
        """Whether a build of it runs, or may run."""
        return self in (RequestStatus.DISPATCHING, RequestStatus.DISPATCHED)


_OPEN = frozenset(
    {RequestStatus.NEEDS_APPROVAL, RequestStatus.REQUESTED, RequestStatus.DISPATCHING, RequestStatus.DISPATCHED}
)


class RebuildCause(Record):
    """One move that a rebuild takes in."""

    base: str
    """The base image's state name, or the managed image's where it is one of ours."""
    from_digest: DigestText | None = Field(default=None, alias="from")
    """What the image holds; None where that is not known."""
    to: DigestText
    """What it is to be built with."""
    seen_at: Time | None = None
    """When the digest was first seen; of a managed image's, the newest first sight among what that was built with."""


class PinnedDigest(Record):
    """A reference in the Dockerfile, and the digest that the build is told to use for it."""

    reference: str
    """Canonical."""
    digest: DigestText
    role: str = ""
    """One of `image_factory.dockerfile.reading.Role`."""


class EmergencyOrder(Record):
    """Why a request passes delay and window."""

    cve: str
    reason: str
    actor: str
    identity: str = ""
    """How the actor was made sure of: `oidc`, `git-signature`, `unverified`."""
    audit: str = ""
    """The id of the entry in the audit log."""


class Dispatch(Record):
    """The starting of a request's build."""

    at: Time
    """When the latest attempt began."""
    attempt: int = 1
    by: str = ""
    """The id of the run of this program that made the attempt, so that of two only one goes on."""
    run_id: str | None = None
    url: str | None = None
    error: str | None = None
    """What the latest attempt came to, where it failed."""
    not_before: Time | None = None
    """When the next attempt may be made."""


class RebuildRequest(Record):
    """The file of one image's request."""

    name: str
    """The image's."""
    request_id: str
    status: RequestStatus = RequestStatus.REQUESTED
    requested_at: Time
    reason: str
    """Why, as `image_factory.decide.eligibility.Reason` has it."""
    triggered_by: str = "policy"
    """`policy`, `cli`, `emergency`: who wanted it."""
    causes: tuple[RebuildCause, ...] = ()
    digests: tuple[PinnedDigest, ...] = ()
    """What to build with, one a reference of the Dockerfile."""
    inputs: str | None = None
    """What two requests share that have the same causes and the same source (`image_factory.decide.backoff`)."""
    wave: int = 0
    """How many managed images lie between it and what moved."""
    priority: int = 0
    """The smaller, the earlier."""
    version_bump: str = "patch"
    not_before: Time | None = None
    emergency: EmergencyOrder | None = None
    waits_for: tuple[str, ...] = ()
    """Of an emergency: the images that it is built on whose rebuilds must end before it is dispatched."""
    approved_by: str | None = None
    approved_at: Time | None = None
    dispatch: Dispatch | None = None
    finished_at: Time | None = None
    digest: DigestText | None = None
    """What the build published."""
    version: str | None = None
    problem: str | None = None
    """Why it failed."""


DEFAULT_BUILD_TIMEOUT = timedelta(hours=6)
"""GitHub ends a job after six hours."""
