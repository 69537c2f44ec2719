"""Decide what is to be done for each entry of `updates`: nothing, look again, or carry the version there. Pure.

An entry's record (`model.image_state.Consumer`) says what its file was last made to name, and how that
ended. What is settled for a version is left alone until there is another one, so that neither an unchanged
run asks anything nor a person who takes a change back is fought.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from image_factory.errors import VerificationError
from image_factory.model.enrollment import Enrollment, Update
from image_factory.model.event import one_line
from image_factory.model.image_state import Consumer, ConsumerStatus

TRAILER = "Image-Factory-Update"
"""The trailer of commits that carry a version to a file; its value is an `update_id`."""

NO_POLICY = "no policy is set"
"""What is said of the policy of an image that has none."""


class Step(StrEnum):
    """What an entry needs."""

    REST = "rest"
    """Nothing: what is recorded of it stays so until there is another version."""
    VERIFY = "verify"
    """To be read again: it was pushed, or is proposed."""
    CARRY = "carry"
    """To be made to name the version."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A step, and for REST why."""

    step: Step
    because: str = ""


def entry_keys(entry: Update) -> tuple[str, ...]:
    """Return the keys that an entry changes: `key`, then `keys`, none twice."""
    return tuple(dict.fromkeys((*((entry.key,) if entry.key is not None else ()), *entry.keys)))


def find_consumer(consumers: Iterable[Consumer], entry: Update) -> Consumer | None:
    """Return the record of an entry, or None where nothing was done for it yet."""
    wanted = (entry.repo, entry.path, entry.type, entry.branch, entry_keys(entry))
    for consumer in consumers:
        if (consumer.repo, consumer.path, consumer.type, consumer.branch, consumer.keys) == wanted:
            return consumer
    return None


def decide_step(known: Consumer | None, version: str | None, digest: str | None) -> Decided:
    """Return what an entry needs, given its record and the image's present version and digest."""
    if known is None or (known.version, known.digest) != (version, digest):
        return Decided(Step.CARRY)
    match known.status:
        case ConsumerStatus.CURRENT:
            return Decided(Step.REST, f"names {shown_version(version, digest)} already")
        case ConsumerStatus.REVERTED | ConsumerStatus.DECLINED:
            return Decided(Step.REST, known.problem or str(known.status))
        case ConsumerStatus.PUSHED | ConsumerStatus.PROPOSED:
            return Decided(Step.VERIFY)
        case ConsumerStatus.FAILED:
            return Decided(Step.CARRY)


def check_gate(enrollment: Enrollment) -> None:
    """Let an image pass that has no policy; what must be proven and cannot be yet is refused.

    Exemptions lift nothing here: they set aside single findings of a policy, and there is none to judge by.

    Raises:
        VerificationError: the enrollment asks for a verification or a policy, and nothing here can judge it.
    """
    asked = [key for key in ("verification", "policy") if getattr(enrollment, key) is not None]
    if asked:
        raise VerificationError(
            f"{enrollment.name} asks for {' and '.join(asked)}, and nothing here can judge that yet: "
            "its consumers are left as they are",
            hint="carry the version yourself once it is checked: image-factory update apply; or remove "
            + " and ".join(asked),
        )


def update_id(image: str, entry: Update, version: str | None, digest: str | None) -> str:
    """Return the id under which a version is carried to an entry: the same for the same, whenever it is made."""
    return f"{entry_id(image, entry)}-{_hash(version or '', digest or '')}"


def entry_id(image: str, entry: Update) -> str:
    """Return what all ids of one entry begin with."""
    return f"{image}-{_hash(image, entry.repo, entry.path, entry.type, entry.branch, *entry_keys(entry))}"


def latest_id(ids: Sequence[str], image: str, entry: Update) -> str | None:
    """Return the id that was last carried to an entry, among a branch's ids from the newest on; None for none."""
    begin = f"{entry_id(image, entry)}-"
    return next((found for found in ids if found.startswith(begin)), None)


def recorded(known: Consumer | None, new: Consumer) -> Consumer:
    """Return the record to keep: the one that is known where `new` says nothing else, so that no byte changes."""
    return known if known is not None and new.model_copy(update={"at": known.at}) == known else new


def shown_version(version: str | None, digest: str | None) -> str:
    """Return a version for people: the tag where there is one, else the beginning of the digest."""
    if version is not None:
        return one_line(version)
    return "no version" if digest is None else one_line(digest)[:19]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
