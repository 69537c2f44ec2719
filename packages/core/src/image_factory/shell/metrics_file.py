"""Counts in a file for the node exporter's textfile collector: read, added to, replaced whole. I/O.

The collector may read at any instant, so the file is renamed into its place
(https://github.com/prometheus/node_exporter, "Textfile Collector").
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from image_factory.errors import Location, UserError
from image_factory.model.metric import Sample, add_samples, format_samples, parse_samples

SUFFIX = ".prom"
"""The collector reads no file without it."""


def add_to_metrics_file(path: Path, samples: Iterable[Sample]) -> None:
    """Add samples to the counts in a file, which is made where it is missing.

    Raises:
        UserError: it holds something else, or cannot be read or written; it is as it was.
    """
    try:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        new = format_samples(add_samples(parse_samples(old, str(path)), samples))
        if path.exists() and new == old:
            return
        descriptor, name = tempfile.mkstemp(".tmp", f".{path.name}.", path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(new.encode("utf-8"))
            temporary = Path(name)
            temporary.chmod(0o644)  # the collector is mostly another user
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108 - a name, not a path of ours
            raise
    except UnicodeDecodeError as error:
        raise UserError(
            "not UTF-8", hint="give --metrics-file a file of its own", location=Location(str(path))
        ) from error
    except OSError as error:
        where = Location(str(path))
        raise UserError(f"cannot be written: {error.strerror}", hint="check the folder", location=where) from error
