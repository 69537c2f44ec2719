"""images.yaml on disk: read with its line ends as they are, replaced whole. I/O."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from image_factory.errors import Conflict, InvalidEnrollment, Location
from image_factory.model.settings import Settings
from image_factory.shell.regular_file import read_regular
from image_factory.shell.settings import images_missing
from image_factory.shell.state_lock import StateLock


def images_path(root: Path, settings: Settings) -> Path:
    """Return where the folder's images.yaml lies."""
    return root / settings.images_file


def load_images_text(path: Path, root: Path) -> str:
    """Return the file's text, its line ends as they are.

    Raises:
        NotFound: there is no such file.
        InvalidEnrollment: it cannot be read, or is not UTF-8.
    """
    try:
        return read_regular(path).decode("utf-8")
    except FileNotFoundError as error:
        raise images_missing(path, root) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InvalidEnrollment(
            f"not UTF-8: the byte 0x{error.object[error.start]:02x}",
            hint="save the file as UTF-8",
            location=Location(str(path), line),
        ) from error
    except OSError as error:
        raise InvalidEnrollment(
            f"cannot be read: {error.strerror}", hint="put a readable file in its place", location=Location(str(path))
        ) from error


def save_images_text(path: Path, root: Path, *, old: str, new: str) -> None:
    """Replace the text, so that at every instant the file is whole, old or new.

    Raises:
        Conflict: the file no longer holds `old`.
        Unavailable: another writer held the folder's lock all the time.
    """
    with StateLock(root):
        if load_images_text(path, root) != old:
            raise Conflict(
                "changed while it was being edited", hint="run the command again", location=Location(str(path))
            )
        # A link is followed, so that it stays one.
        target = path.resolve()
        descriptor, name = tempfile.mkstemp(".tmp", f".{target.name}.", target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(new.encode("utf-8"))
                os.fchmod(file.fileno(), target.stat().st_mode & 0o777)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
