"""What people read of a version that is carried to its consumers: commit messages and change requests. Pure.

Values come from registries, state and images.yaml: each is put on one line, and what Markdown would
take for its own is shown as code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from image_factory.decide.consumers import NO_POLICY, TRAILER, shown_version
from image_factory.model.event import one_line
from image_factory.model.image_state import Build, ImageState, format_time

MAX_NAMED = 3
"""Images that a commit's first line names; beyond it says how many there are."""
MAX_SUBJECT = 72
MAX_CAUSES = 20


@dataclass(frozen=True, slots=True)
class Note:
    """One image and version that is carried to one file."""

    image: str
    version: str | None
    digest: str | None
    path: str
    keys: tuple[str, ...]
    id: str
    """`decide.consumers.update_id`."""
    was: str | None = None
    """What the file named before, where it is known."""

    @property
    def shown(self) -> str:
        return shown_version(self.version, self.digest)


def commit_message(notes: Sequence[Note], target: str) -> str:
    """Return the message of the one commit that carries `notes` to a repository.

    Args:
        target: the repository and branch, for people.
    """
    lines = [subject_of(notes), ""]
    for note in notes:
        version = f"{note.shown} ({one_line(note.digest)})" if note.version and note.digest else note.shown
        lines.append(f"{note.image}: {version} in {one_line(note.path)} of {target}")
    trailers = [f"{TRAILER}: {one_line(note.id)}" for note in notes]
    return "\n".join([*lines, "", *dict.fromkeys(trailers), ""])


def subject_of(notes: Sequence[Note]) -> str:
    """Return one line: `Update web to 1.2.3 in apps/web/values.yaml`."""
    images = list(dict.fromkeys((note.image, note.shown) for note in notes))
    paths = list(dict.fromkeys(note.path for note in notes))
    where = one_line(paths[0]) if len(paths) == 1 else f"{len(paths)} files"
    named = [f"{image} to {version}" for image, version in images]
    if len(named) > MAX_NAMED:
        return f"Update {len(named)} images in {where}"
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    subject = f"Update {listed} in {where}"
    if len(subject) > MAX_SUBJECT and len(named) > 1:
        return f"Update {len(named)} images in {where}"
    return subject


# --- change requests ---------------------------------------------------------------------------------


MAX_BODY = 50_000
"""Characters of a change request's text: GitHub takes 65,536."""

_MARK = re.compile(r"<!-- image-factory-update: ([a-z0-9 -]*) -->")
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&*+,;=%-]+\Z")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A version that goes to a file, and the build that made it, where that is recorded."""

    note: Note
    build: Build | None


def evidence_of(state: ImageState) -> Build | None:
    """Return the recorded build that made the image's present digest, else its present version; None for none."""
    digest, version = state.runtime.current_digest, state.runtime.current_version
    builds = state.history.rebuild_history[::-1]
    for build in builds:
        if digest is not None and build.digest == digest:
            return build
    return next((build for build in builds if version is not None and build.version == version), None)


def request_body(items: Sequence[Evidence]) -> str:
    """Return the text of the change request that holds `items`: what changes where, and why it was built."""
    by_image: dict[tuple[str, str | None, str | None], list[Evidence]] = {}
    for item in items:
        by_image.setdefault((item.note.image, item.note.version, item.note.digest), []).append(item)
    mark = f"<!-- image-factory-update: {' '.join(item.note.id for item in items)} -->"
    lines = ["New versions of images that these files name."]
    left = len(by_image)
    for same in by_image.values():
        section = _section(same)
        if sum(len(line) + 1 for line in (*lines, *section, mark)) > MAX_BODY:
            lines += ["", f"And {left} more images; the commit lists them."]
            break
        lines += section
        left -= 1
    return "\n".join([*lines, "", mark, ""])


def request_ids(body: str) -> frozenset[str]:
    """Return the ids of what a change request of ours holds, by its text."""
    return frozenset(found for mark in _MARK.findall(body) for found in mark.split())


def _section(items: Sequence[Evidence]) -> list[str]:
    note, build = items[0].note, items[0].build
    lines = ["", f"### {note.image} {_code(note.shown)}", ""]
    if note.was is not None:
        lines.append(f"- Version: {_code(note.was)} → {_code(note.shown)}")
    if note.digest is not None:
        lines.append(f"- Digest: {_code(note.digest)}")
    for item in items:
        keys = f" ({', '.join(_code(key) for key in item.note.keys)})" if item.note.keys else ""
        lines.append(f"- File: {_code(item.note.path)}{keys}")
    if build is not None and build.causes:
        lines.append("- Built because:")
        lines += [f"  - {_cause(cause)}" for cause in build.causes[:MAX_CAUSES]]
        if len(build.causes) > MAX_CAUSES:
            lines.append(f"  - and {len(build.causes) - MAX_CAUSES} more")
    elif build is not None:
        lines.append(f"- Built because: {_code(build.reason)}")
    if build is not None and build.url is not None and _URL.match(build.url):
        lines.append(f"- Build: <{build.url}>")
    elif build is None:
        lines.append("- Build: none is recorded for this version")
    lines.append(f"- Policy: {NO_POLICY}")
    return lines


def _cause(cause: Mapping[str, Any]) -> str:
    before = _code(str(cause["from"])) if cause.get("from") else "unknown"
    told = f"{_code(str(cause.get('base', 'unknown')))}: {before} → {_code(str(cause.get('to', 'unknown')))}"
    seen = cause.get("seenAt")
    if seen is None:
        return told
    return f"{told}, first seen {_code(format_time(seen) if isinstance(seen, datetime) else str(seen))}"


def _code(text: str) -> str:
    """Return text as Markdown's code, which nothing within it ends."""
    return f"`{one_line(text).replace('`', chr(39)) or '–'}`"
