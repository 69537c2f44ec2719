"""The program's door: answers `--version` at once, runs a command, turns errors into exit codes."""

from __future__ import annotations

import errno
import gc
import sys

_PERSON = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""What a person puts right: a folder's rights, or a file where a folder is meant. Ends with 2."""
_SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE}
"""What the system has no more of. Ends with 5."""


def main() -> None:
    """Run the command line and exit: the codes are those of requirements, "Command line"."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        # Before click: importing it would triple the time of the one thing that scripts ask most.
        from image_factory import __version__

        sys.stdout.write(f"image-factory {__version__}\n")
        return
    # A command makes much, drops little of it in cycles, and ends: looking for those as often as Python does
    # takes a tenth of its time.
    gc.set_threshold(200_000, 20, 100)
    from image_factory_cli.pydantic_plugins import leave_out_plugins

    leave_out_plugins()
    from image_factory_cli.group import run

    try:
        code = run(arguments)
    except OSError as error:
        if error.errno not in _PERSON | _SYSTEM:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"error: {where}{error.strerror}\n")
        if error.errno in _PERSON:
            sys.stderr.write("hint: check what lies there, and whether you may read and write it\n")
        code = 2 if error.errno in _PERSON else 5
    # The process ends here: nothing is gained by looking through all that it made.
    gc.freeze()
    sys.exit(code)
