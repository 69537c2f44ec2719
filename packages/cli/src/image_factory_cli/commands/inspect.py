"""`image-factory inspect`: which images Dockerfiles would pull.

Ten thousand files are read with this, so what it imports and what it keeps is counted: no rich,
no pydantic, nothing of the network, and each file is written before the next is read.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

import click

from image_factory.dockerfile.reading import BuildOptions, ImageReference
from image_factory.errors import InvalidSettings, UserError
from image_factory.oci.platform import Platform
from image_factory.usecases.inspect import Inspected, Inspection, inspect


@click.command(epilog="Example: image-factory inspect services --json --platform linux/amd64 --platform linux/arm64")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--json", "as_json", is_flag=True, help="Write JSON: an object for one file, a list for several or a tree."
)
@click.option(
    "--build-arg", "build_args", multiple=True, metavar="K=V", help="Set an ARG; K alone takes it from the environment."
)
@click.option(
    "--target", metavar="T", help="The stage that is built; of a bake or compose file the target, group or service."
)
@click.option(
    "--platform", "platforms", multiple=True, metavar="P", help="Build for this platform; several times or with commas."
)
@click.option("--strict", is_flag=True, help="End with 2 where there is any diagnostic.")
def command(
    paths: tuple[str, ...],
    as_json: bool,
    build_args: tuple[str, ...],
    target: str | None,
    platforms: tuple[str, ...],
    strict: bool,
) -> int:
    """Show which images the builds of Dockerfiles would pull.

    PATH is a Dockerfile, a bake or compose file, a folder to look through for Dockerfiles, or - for
    standard input. Nothing is fetched or built.
    """
    options = BuildOptions(_build_args(build_args), target, _platforms(platforms))
    inspection = inspect(paths, options, standard_input=sys.stdin.buffer, environment=os.environ)
    write = _write_json if as_json else _write_text
    diagnostics = write(inspection, sys.stdout)
    if strict and diagnostics:
        sys.stdout.flush()
        sys.stderr.write(f"error: {_count(diagnostics, 'diagnostic')}\n")
        return UserError.exit_code
    return 0


def _build_args(words: Iterable[str]) -> dict[str, str]:
    """Return the build args; a name alone takes the environment's value, as `docker build` does."""
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise InvalidSettings(f"not a build arg: {word!r}", hint="write NAME=VALUE")
        if equals:
            values[name] = value
        elif name in os.environ:
            values[name] = os.environ[name]
    return values


def _platforms(words: Iterable[str]) -> tuple[Platform, ...]:
    parsed = (Platform.parse(part) for word in words for part in word.split(","))
    return tuple(dict.fromkeys(parsed))


def _write_json(inspection: Inspection, out: TextIO) -> int:
    """Write the files as JSON, one a line, and return how many diagnostics there are."""
    diagnostics = 0
    before = "" if inspection.is_single else "[\n"
    for inspected in inspection.files:
        out.write(before)
        out.write(json.dumps(_document(inspected)))
        before = ",\n"
        diagnostics += len(inspected.reading.diagnostics)
    if not inspection.is_single:
        out.write("[]" if before == "[\n" else "\n]")
    out.write("\n")
    return diagnostics


def _document(inspected: Inspected) -> dict[str, object]:
    # Only what a bake or compose file builds has the two in the middle.
    builder = {"definition": inspected.definition, "target": inspected.target} if inspected.definition else {}
    return {
        "file": inspected.file,
        **builder,
        "references": [
            {
                "written": found.written,
                "canonical": found.reference.canonical,
                "role": found.role.value,
                "line": found.line,
                "end_line": found.end_line,
                "stage": found.stage,
                "reachable": found.reachable,
                "platform": _platform_words(found),
            }
            for found in inspected.reading.references
        ],
        "diagnostics": [
            {"category": diagnostic.category.value, "line": diagnostic.line, "message": diagnostic.message}
            for diagnostic in inspected.reading.diagnostics
        ],
    }


def _platform_words(found: ImageReference) -> str:
    return ",".join(map(str, found.platforms))


def _write_text(inspection: Inspection, out: TextIO) -> int:
    """Write the files as tables for people, a summary last, and return how many diagnostics there are."""
    is_colored = out.isatty() and not os.environ.get("NO_COLOR")

    def styled(text: str, **style: Any) -> str:
        return click.style(text, **style) if is_colored else text

    files = references = diagnostics = 0
    for inspected in inspection.files:
        files += 1
        references += len(inspected.reading.references)
        diagnostics += len(inspected.reading.diagnostics)
        builder = (
            f"  ({_printable(inspected.target)} of {_printable(inspected.definition or '')})"
            if inspected.target
            else ""
        )
        out.write(f"{styled(_printable(inspected.file), bold=True)}{builder}\n")
        rows = [_row(found) for found in inspected.reading.references]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row, found in zip(rows, inspected.reading.references, strict=True):
            line = "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
            out.write(f"  {styled(line, dim=not found.reachable)}\n")
        for diagnostic in inspected.reading.diagnostics:
            mark = styled(f"! {diagnostic.category.value}", fg="yellow")
            out.write(f"  {diagnostic.line:>5}  {mark}: {_printable(diagnostic.message)}\n")
    out.write(f"{_count(files, 'file')}, {_count(references, 'reference')}, {_count(diagnostics, 'diagnostic')}\n")
    return diagnostics


def _row(found: ImageReference) -> tuple[str, ...]:
    stage = "" if found.stage is None else f"stage {_printable(found.stage)}"
    reached = "" if found.reachable else "not reached"
    return f"{found.line:>5}", found.role.value, found.reference.canonical, stage, _platform_words(found), reached


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _printable(text: str) -> str:
    """Return the text with what could steer a terminal written out; a Dockerfile may hold any characters."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
