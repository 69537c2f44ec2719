"""Fuzz the Dockerfile reader: no bytes may make it raise, hang, or name a place outside the text.

    python tests/fuzz/fuzz_dockerfile.py tests/fuzz/corpus/dockerfile -max_total_time=60

Needs atheris (`pip install atheris`). Give a folder of your own first to collect what it finds.
"""

from __future__ import annotations

import contextlib
import sys

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

with atheris.instrument_imports(include=["image_factory.dockerfile", "image_factory.oci"]):
    from image_factory.dockerfile.edit import replace_reference
    from image_factory.dockerfile.read import read_dockerfile
    from image_factory.dockerfile.reading import BuildOptions
    from image_factory.dockerfile.text import decode
    from image_factory.errors import UserError
    from image_factory.oci.platform import Platform

OPTIONS = (
    BuildOptions({}),
    BuildOptions({"X": "a"}, "b", (Platform("linux", "arm64"), Platform("linux", "arm")), {"a": "docker-image://c"}),
)


def check(data: bytes) -> None:
    """Read the bytes, and edit one of the references in them."""
    text = decode(data)
    for options in OPTIONS:
        reading = read_dockerfile(text, options)
        for image in reading.references:
            assert 1 <= image.line <= image.end_line <= text.count("\n") + 1
            assert image.span is None or 0 <= image.span.start <= image.span.end <= len(text)
        if reading.references:
            with contextlib.suppress(UserError):
                replace_reference(text, reading.references[len(data) % len(reading.references)], "x/y:1", options)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
