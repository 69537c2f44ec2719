"""The audit log: who ordered what, when and why, as a chain of files that only grows. Pure.

One file an entry, `audit/000001.yaml` and on below the state directory. The last line of a file is
`hash: sha256:…`, of all bytes before it, and one of those lines is the `previous` entry's hash: so
nothing can be changed, taken out or put elsewhere without breaking what follows, and anybody can check
it with `head -n -1 FILE | sha256sum`, whatever writes YAML in ten years.

The number in the name is what keeps the chain a line: two writers who add an entry at once make the same
file, which git cannot join, so the one who comes second has to read the first one's and write the next.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field, ValidationError

from image_factory.errors import InvalidState, Location
from image_factory.model.enrollment import Record
from image_factory.model.image_state import Time
from image_factory.state.own_yaml import parse_mapping
from image_factory.state.yaml_writer import write_mapping

FIRST = 1
ENTRY_SUFFIX = ".yaml"
_NAME = re.compile(r"([0-9]{6,9})\.yaml\Z")
_HASH_LINE = re.compile(r"hash: (sha256:[0-9a-f]{64})\n\Z")
_ID = re.compile(r"([0-9]{6,9})-([0-9a-f]{12})\Z")


class AuditOutcome(StrEnum):
    """What became of an order."""

    GRANTED = "granted"
    REFUSED = "refused"


class AuditEntry(Record):
    """One order, as it is written down; `hash` is the last line of the file."""

    number: int = Field(ge=FIRST)
    at: Time
    action: str = "emergency-rebuild"
    outcome: AuditOutcome
    because: str = ""
    """Why it was refused; or which rule grants it."""
    actor: str
    identity: str
    """What vouches for the actor: `oidc`, `git-signature`, `unverified`; `none` where nothing does."""
    issuer: str = ""
    """Of an OIDC token."""
    signature: str = ""
    """The SSH signature of the order, without its frame: what the actor's key vouches for is `order`."""
    order: str = ""
    """The text that was signed."""
    cve: str
    reason: str
    base: str = ""
    digest_range: str = ""
    images: tuple[str, ...] = ()
    """Those that a rebuild was requested for; of a refused order, those that it was for."""
    digests: dict[str, str] = Field(default_factory=dict)
    """What is to be built with, by reference."""
    requests: dict[str, str] = Field(default_factory=dict)
    """The id of each image's rebuild request."""
    previous: str = ""
    """The hash of the entry before; empty for the first."""
    hash: str = ""

    @property
    def id(self) -> str:
        """What a rebuild request says of it: the number, and the first digits of the hash."""
        return f"{self.number:06}-{self.hash.removeprefix('sha256:')[:12]}"


class Break(StrEnum):
    """How a chain is broken."""

    CUT = "cut"
    """An entry is missing, and later ones are there."""
    CHANGED = "changed"
    """An entry is not what was written."""
    REORDERED = "reordered"
    """An entry stands in another's place."""
    TRUNCATED = "truncated"
    """The last entries are missing."""
    FOREIGN = "foreign"
    """A file that is no entry lies among them."""


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """Where a chain is first broken, and how."""

    entry: str
    """The file's name without its suffix."""
    kind: Break
    sentence: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The entries of a log in order, up to where it is broken, if it is."""

    entries: tuple[AuditEntry, ...] = ()
    broken: ChainBreak | None = None

    @property
    def head(self) -> AuditEntry | None:
        """The last entry."""
        return self.entries[-1] if self.entries else None


def entry_name(number: int) -> str:
    """Return the name of an entry's file."""
    return f"{number:06}{ENTRY_SUFFIX}"


def seal_entry(entry: AuditEntry, head: AuditEntry | None) -> tuple[AuditEntry, str]:
    """Return `entry` as the one after `head`, with its hash, and the text of its file."""
    number = FIRST if head is None else head.number + 1
    following = entry.model_copy(update={"number": number, "previous": "" if head is None else head.hash, "hash": ""})
    values = following.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"hash"})
    body = write_mapping(values)
    digest = _hash(body)
    return following.model_copy(update={"hash": digest}), f"{body}hash: {digest}\n"


def read_entry(text: str, source: str) -> AuditEntry:
    """Return the entry that a file holds, whose hash is right.

    Args:
        source: the file's name, for errors.

    Raises:
        InvalidState: it is no entry, or was changed after it was written.
    """
    place = Location(source)
    found = _HASH_LINE.search(text)
    if found is None:
        raise InvalidState("no entry of the audit log: it does not end in its hash", hint=_HINT, location=place)
    body = text[: found.start()]
    if _hash(body) != found[1]:
        raise InvalidState("it was changed after it was written: its hash is another", hint=_HINT, location=place)
    try:
        return AuditEntry.model_validate({**parse_mapping(body, source), "hash": found[1]})
    except (InvalidState, ValidationError) as error:
        raise InvalidState(
            "no entry of the audit log: its fields cannot be read", hint=_HINT, location=place
        ) from error


_HINT = "take what was written from git's history: git log -- image-factory/state/audit"


def check_chain(files: Mapping[str, str]) -> Chain:
    """Return the chain that the files of the log's folder make, and where it is first broken.

    What it cannot see is that the last entries are missing, or that the last one was replaced by another that is
    whole: whoever remembers them can (`check_recorded`).

    Args:
        files: text by file name.
    """
    numbered: dict[int, str] = {}
    foreign = []
    for name in sorted(files):
        found = _NAME.match(name)
        if found is None or entry_name(int(found[1])) != name:
            foreign.append(name)
        else:
            numbered[int(found[1])] = name
    entries: list[AuditEntry] = []
    known = {_claimed_hash(text) for text in files.values()}
    for position, number in enumerate(sorted(numbered), start=FIRST):
        name = numbered[number]
        if number != position:
            return Chain(tuple(entries), _gap(position, number))
        try:
            entry = read_entry(files[name], name)
        except InvalidState as error:
            return Chain(tuple(entries), ChainBreak(f"{number:06}", Break.CHANGED, error.message))
        problem = _misplaced(entry, number, entries[-1] if entries else None, known)
        if problem is not None:
            return Chain(tuple(entries), problem)
        entries.append(entry)
    broken = None
    if foreign:
        broken = ChainBreak(foreign[0], Break.FOREIGN, "it is no entry: the log holds nothing but its entries")
    return Chain(tuple(entries), broken)


def check_recorded(chain: Chain, recorded: Mapping[str, str]) -> ChainBreak | None:
    """Return the first entry that somebody remembers and that the chain does not hold so; None where it holds all.

    Args:
        recorded: who remembers it (in words), by the entry's id.
    """
    by_number = {entry.number: entry for entry in chain.entries}
    for id_, witness in sorted(recorded.items()):
        found = _ID.match(id_)
        if found is None:
            return ChainBreak(id_[:40], Break.CHANGED, f"{witness} names an entry that has no such id")
        entry = by_number.get(int(found[1]))
        if entry is None:
            return ChainBreak(found[1], Break.TRUNCATED, f"it is missing: {witness} names it")
        if entry.id != id_:
            return ChainBreak(found[1], Break.CHANGED, f"it is not the entry that {witness} names: {id_}")
    return None


def _gap(expected: int, met: int) -> ChainBreak:
    return ChainBreak(f"{expected:06}", Break.CUT, f"it is missing: the next entry there is {met:06}")


def _misplaced(entry: AuditEntry, number: int, before: AuditEntry | None, known: set[str]) -> ChainBreak | None:
    if entry.number != number:
        return ChainBreak(f"{number:06}", Break.REORDERED, f"it holds entry {entry.number:06}")
    expected = "" if before is None else before.hash
    if entry.previous == expected:
        return None
    if entry.previous in known:
        return ChainBreak(f"{number:06}", Break.REORDERED, "it follows another entry than the one before it")
    told = "it follows an entry that is not there" if before is None else f"it does not follow {before.number:06}"
    return ChainBreak(f"{number:06}", Break.CHANGED, f"{told}: one of both is not what was written")


def _claimed_hash(text: str) -> str:
    found = _HASH_LINE.search(text)
    return "" if found is None else found[1]


def _hash(body: str) -> str:
    return f"sha256:{hashlib.sha256(body.encode('utf-8')).hexdigest()}"
