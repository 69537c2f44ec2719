"""What people read of a version that is carried to its consumers: commit messages and change requests. Pure.

Values come from registries, state and images.yaml: each is put on one line, and what Markdown would
take for its own is shown as code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from image_factory.decide.consumers import TRAILER, shown_version
from image_factory.model.event import one_line

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
