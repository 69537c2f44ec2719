"""What images.yaml said, kept for the next run by its text (`text_cache`). I/O.

Kept is only what nothing was wrong with, each entry as JSON, which is validated again when it is read.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from image_factory.errors import Location
from image_factory.model.enrollment import Enrollment
from image_factory.shell.text_cache import keep, recall
from image_factory.state.images_yaml import EnrolledEntry, ImagesFile

_FILE = "enrolled.json"


def recall_images(root: Path, text: str, file: str) -> ImagesFile | None:
    """Return what images.yaml says if it says what it did when it was last read, else None.

    Args:
        root: the image-factory folder.
        file: how messages name images.yaml.
    """
    body = recall(root, _FILE, text)
    if body is None:
        return None
    entries = []
    try:
        for row in body.splitlines():
            line, _, content = row.partition(b" ")
            entries.append(EnrolledEntry(Enrollment.model_validate_json(content), Location(file, int(line))))
    except (ValueError, ValidationError):
        return None
    return ImagesFile(tuple(entries), names=frozenset(entry.enrollment.name for entry in entries))


def remember_images(root: Path, text: str, said: ImagesFile) -> None:
    """Keep what `text` says, where nothing is wrong with it and the folder has a place for it already."""
    if said.problems or said.warnings:
        return
    rows = []
    for entry in said.enrollments:
        content = entry.enrollment.model_dump_json(by_alias=True, exclude_defaults=True)
        if Enrollment.model_validate_json(content) != entry.enrollment:
            return  # what cannot be had back whole is not kept
        rows.append(f"{entry.line} {content}\n")
    keep(root, _FILE, text, "".join(rows).encode())
