"""A person's text file: its bytes as text, with line ends and byte order mark as they are; replaced whole. I/O."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from image_factory.errors import Conflict, Location, NotFound, UserError
from image_factory.shell.tree import MAX_FILE, read_file


def load_text(path: Path) -> str:
    """Return the file's text, its line ends as they are.

    Raises:
        NotFound: there is no such file.
        UserError: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        data = read_file(str(path))
    except FileNotFoundError as error:
        raise NotFound(f"no such file: {path}", hint="give a path that exists") from error
    except OSError as error:
        hint = "check that it is a file, and that you may read it"
        raise UserError(f"cannot be read: {error.strerror}", hint=hint, location=Location(str(path))) from error
    if len(data) > MAX_FILE:
        raise UserError(f"larger than {MAX_FILE:,} bytes", hint="split it", location=Location(str(path)))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"not UTF-8: the byte 0x{data[error.start]:02x}",
            hint="save the file as UTF-8",
            location=Location(str(path), line),
        ) from error


def save_text(path: Path, *, old: str, new: str) -> None:
    """Replace the text, so that at every instant the file is whole, old or new; its permissions stay.

    Raises:
        Conflict: the file no longer holds `old`.
        UserError: it cannot be written.
    """
    if load_text(path) != old:
        raise Conflict("changed while it was being edited", hint="run the command again", location=Location(str(path)))
    # A link is followed, so that it stays one.
    target = path.resolve()
    try:
        descriptor, name = tempfile.mkstemp(".tmp", f".{target.name}.", target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(new.encode("utf-8"))
            temporary = Path(name)
            temporary.chmod(target.stat().st_mode & 0o7777)
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108 - a name, not a path of ours
            raise
    except OSError as error:
        hint = "check that you may write into its folder, and that there is room"
        raise UserError(f"cannot be written: {error.strerror}", hint=hint, location=Location(str(path))) from error
