"""Decide who may order an emergency rebuild of which images. Pure.

The rules are config.yaml's, in the manner of CODEOWNERS: of those that name an image the last decides;
`actors` decides for an image that none names. Where nobody is configured, nobody may.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from image_factory.model.settings import EmergencySettings


class IdentityKind(StrEnum):
    """What vouches for an actor."""

    OIDC = "oidc"
    """A token of the CI, signed by its issuer."""
    GIT_SIGNATURE = "git-signature"
    """An SSH signature of the order with the key that git signs with."""
    UNVERIFIED = "unverified"
    """Nothing: a name from the environment or from git's configuration."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who orders, and what vouches for it."""

    actor: str
    kind: IdentityKind
    issuer: str = ""
    signature: str = ""
    """Of `order`, without its frame."""
    order: str = ""
    """The text that was signed."""
    doubt: str = ""
    """Why nothing vouches, where something should; who is doubted is refused."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """Whether an order may be given, and why or why not, in a sentence without a full stop."""

    is_granted: bool
    because: str
    hint: str = ""
    refused: tuple[str, ...] = ()
    """The images that the actor may not order."""


HOW_TO = (
    'name who may in config.yaml: emergency: {actors: ["@security"], teams: {security: [alice]}}, '
    "and who it is must be vouched for (trustedIdentities)"
)


def decide_authorization(identity: Identity, images: Collection[str], settings: EmergencySettings) -> Authorization:
    """Return whether the actor may order an emergency for all of `images`; one that is refused refuses the order."""
    if identity.doubt or identity.kind.value not in settings.trusted_identities:
        why = identity.doubt or f"trusted is {', '.join(settings.trusted_identities) or 'nothing'}, not {identity.kind}"
        return Authorization(
            False,
            f"nothing vouches for {identity.actor!r}: {why}",
            hint="order from a CI job with an OIDC token, or sign with git's SSH key (docs/how-to/"
            "order-an-emergency-rebuild.md)",
            refused=tuple(sorted(images)),
        )
    if not settings.actors and not settings.rules:
        return Authorization(
            False, "nobody may order emergency rebuilds: none is configured", hint=HOW_TO, refused=tuple(sorted(images))
        )
    refused = tuple(sorted(name for name in images if not _may(identity.actor, name, settings)))
    if not refused:
        return Authorization(True, f"{identity.actor} may, by config.yaml ({identity.kind})")
    allowed = sorted(set(images) - set(refused))
    hint = f"order those that you may: --images {','.join(allowed[:20])}" if allowed else HOW_TO
    return Authorization(
        False, f"{identity.actor!r} may not order emergency rebuilds of {_named(refused)}", hint=hint, refused=refused
    )


def actors_of(image: str, settings: EmergencySettings) -> frozenset[str]:
    """Return who may order an emergency for `image`, teams resolved, in lower case."""
    words: Sequence[str] = settings.actors
    for rule in settings.rules:
        if any(_pattern(glob).match(image) for glob in rule.images):
            words = rule.actors
    return frozenset(_resolved(words, settings.teams))


def _may(actor: str, image: str, settings: EmergencySettings) -> bool:
    # GitHub's and GitLab's logins, and the hosts of addresses, know no case.
    return bool(actor) and actor.lower() in actors_of(image, settings)


def _resolved(words: Sequence[str], teams: Mapping[str, tuple[str, ...]]) -> set[str]:
    found: set[str] = set()
    for word in words:
        if word.startswith("@"):
            # A team of no name in config.yaml has no members; teams do not hold teams.
            found |= {member.lower() for member in teams.get(word[1:], ()) if not member.startswith("@")}
        else:
            found.add(word.lower())
    return found


@lru_cache(maxsize=256)
def _pattern(glob: str) -> re.Pattern[str]:
    # `*` alone has a meaning: a name holds no other character that a glob could mean.
    return re.compile(".*".join(re.escape(part) for part in glob.split("*")) + r"\Z")


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
