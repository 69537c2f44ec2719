"""What somebody orders in an emergency, and which of it is refused before anybody asks who it is. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from image_factory.errors import UserError
from image_factory.model.event import one_line
from image_factory.model.field_types import is_plain
from image_factory.model.image_state import format_time

MAX_REASON = 1000
"""Characters of a reason; it is shown in notices, in a commit and in each request."""

# cve.org: a year and at least four digits. github.com/github/advisory-database: GHSA and three groups of four
# characters that cannot be mistaken for each other.
_CVE = re.compile(r"CVE-(?:1999|2[0-9]{3})-[0-9]{4,19}\Z")
_GHSA = re.compile(r"GHSA(?:-[23456789cfghjmpqrvwx]{4}){3}\Z")


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody orders, checked (`parse_order`)."""

    cve: str
    reason: str
    """One line."""
    base: str | None = None
    digest_range: str | None = None
    images: tuple[str, ...] = ()
    """Sorted; given instead of a base."""
    anyway: bool = False
    """Whether to rebuild too where no fixed digest is known, or the emergency was seen to already."""

    def text(self, at: datetime) -> str:
        """Return the order as one line of JSON, for a person's key to sign."""
        said = {
            "action": "emergency-rebuild",
            "cve": self.cve,
            "reason": self.reason,
            "base": self.base,
            "digestRange": self.digest_range,
            "images": list(self.images),
            "anyway": self.anyway,
            "at": format_time(at),
        }
        return json.dumps({name: value for name, value in said.items() if value}, ensure_ascii=False)


def parse_order(
    *,
    cve: str,
    reason: str,
    base: str | None = None,
    digest_range: str | None = None,
    images: Iterable[str] = (),
    anyway: bool = False,
) -> Order:
    """Return the order that these words make.

    Raises:
        UserError: a word is missing or wrong; the hint says what would be right.
    """
    order, problems = read_order(
        cve=cve, reason=reason, base=base, digest_range=digest_range, images=images, anyway=anyway
    )
    for error in problems.values():
        raise error
    assert order is not None
    return order


def read_order(
    *,
    cve: str,
    reason: str,
    base: str | None = None,
    digest_range: str | None = None,
    images: Iterable[str] = (),
    anyway: bool = False,
) -> tuple[Order | None, Mapping[str, UserError]]:
    """Return the order that these words make, or None and all that is wrong with them, by field."""
    named = tuple(sorted({name.strip() for name in images if name.strip()}))
    problems: dict[str, UserError] = {}
    if bool(base) == bool(named):
        told = "both a base and images" if base else "neither a base nor images"
        problems["base"] = UserError(f"an emergency names {told}", hint="give --base REF, or --images NAME,NAME")
    elif digest_range and not base:
        problems["digest_range"] = UserError("a range of digests without a base", hint="give --base REF with it")
    try:
        cve = _advisory(cve)
    except UserError as error:
        problems["cve"] = error
    try:
        reason = _reason(reason)
    except UserError as error:
        problems["reason"] = error
    if problems:
        return None, problems
    return Order(cve, reason, base or None, digest_range or None, named, anyway), {}


def _advisory(text: str) -> str:
    written = text.strip()
    if not written:
        raise UserError("the vulnerability is missing", hint="write one such as CVE-2026-12345 or GHSA-2345-6789-cfgh")
    upper = written.upper()
    if _CVE.match(upper):
        return upper
    advisory = f"GHSA{written[4:].lower()}" if upper.startswith("GHSA-") else ""
    if _GHSA.match(advisory):
        return advisory
    raise UserError(
        f"not the id of a vulnerability: {written[:80]!r}",
        hint="write one such as CVE-2026-12345 or GHSA-2345-6789-cfgh",
    )


def _reason(text: str) -> str:
    line = " ".join(text.split())
    if not line:
        raise UserError("the reason is missing", hint="say in a sentence why this cannot wait; it is kept for ever")
    if len(line) > MAX_REASON:
        raise UserError(f"the reason has {len(line)} characters", hint=f"write at most {MAX_REASON}")
    # As for every text of people: nothing that an expression of Kargo's or of a workflow could be made of.
    if not is_plain(line) or "${{" in line or "${%" in line:
        raise UserError(
            f"the reason holds an expression or an invisible character: {one_line(line)[:80]!r}",
            hint="write plain text",
        )
    return line
