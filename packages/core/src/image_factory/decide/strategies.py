"""The built-in tag strategies: digest, semver, newest-build, lexical. Pure.

Each takes the candidates that the constraint allows, orders them, picks the greatest, and says why.
Ties are broken by the tag itself, so that the order of the input never matters. "No match" is a
result with its reason, not an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from image_factory.decide.semver import InvalidRange, Range, SemanticVersion
from image_factory.errors import UserError
from image_factory.model.selection import Candidate, Selection


@dataclass(frozen=True, slots=True)
class DigestStrategy:
    """The one tag that the constraint names; what moves is its digest."""

    name: str = "digest"

    def select(self, candidates: Sequence[Candidate], constraint: str | None) -> Selection:
        if constraint is None:
            raise UserError("the digest strategy has no tag", hint="give the tag to watch as constraint")
        for candidate in sorted(candidates, key=lambda candidate: candidate.tag):
            if candidate.tag == constraint:
                return Selection(candidate, f"it is the tag {constraint}")
        return Selection(None, f"there is no tag {constraint}")


@dataclass(frozen=True, slots=True)
class SemVerStrategy:
    """The greatest semantic version in a range; a leading `v` is allowed, other tags are passed over."""

    name: str = "semver"

    def select(self, candidates: Sequence[Candidate], constraint: str | None) -> Selection:
        try:
            allowed = Range.parse(constraint or "*")
        except InvalidRange as error:
            raise UserError(str(error), hint="write a range such as >=1.2.0 <2.0.0 or ^1.2") from error
        versions = [
            (version, candidate)
            for candidate in candidates
            if (version := SemanticVersion.parse(candidate.tag)) is not None and allowed.contains(version)
        ]
        if not versions:
            return Selection(None, f"no tag is a version in {constraint or '*'}")
        # Build metadata does not order versions (SemVer 2.0.0, item 10): the tag breaks the tie.
        version, chosen = max(versions, key=lambda pair: (pair[0].precedence, pair[1].tag))
        return Selection(chosen, f"{version} is the greatest version in {constraint or '*'}")


@dataclass(frozen=True, slots=True)
class NewestBuildStrategy:
    """The tag whose image says that it was created last; the constraint is a regular expression."""

    name: str = "newest-build"

    def select(self, candidates: Sequence[Candidate], constraint: str | None) -> Selection:
        matching = _matching(candidates, constraint)
        dated = [(candidate.created_at, candidate) for candidate in matching if candidate.created_at is not None]
        if not dated:
            return Selection(None, f"no tag with a creation time matches {constraint or 'any'}")
        created_at, chosen = max(dated, key=lambda pair: (pair[0], pair[1].tag))
        return Selection(chosen, f"it was created last, at {created_at.isoformat()}")


@dataclass(frozen=True, slots=True)
class LexicalStrategy:
    """The last tag in the order of its characters; the constraint is a regular expression."""

    name: str = "lexical"

    def select(self, candidates: Sequence[Candidate], constraint: str | None) -> Selection:
        matching = _matching(candidates, constraint)
        if not matching:
            return Selection(None, f"no tag matches {constraint or 'any'}")
        chosen = max(matching, key=lambda candidate: candidate.tag)
        return Selection(chosen, "it is the last in the order of characters")


def _matching(candidates: Sequence[Candidate], constraint: str | None) -> list[Candidate]:
    if constraint is None:
        return list(candidates)
    try:
        pattern = re.compile(constraint)
    except re.error as error:
        raise UserError(
            f"not a regular expression: {constraint!r} ({error})", hint="write one such as ^16-alpine$"
        ) from error
    return [candidate for candidate in candidates if pattern.search(candidate.tag)]
