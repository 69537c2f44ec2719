"""The program's door: answers `--version` at once, runs a command, turns errors into exit codes."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit: the codes are those of requirements, "Command line"."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        # Before click: importing it would triple the time of the one thing that scripts ask most.
        from image_factory import __version__

        sys.stdout.write(f"image-factory {__version__}\n")
        return
    from image_factory_cli.group import run

    sys.exit(run(arguments))
