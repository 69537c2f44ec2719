"""What happened, as GET /metrics shows it: kept in a file where one is named, else since the server was started."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from image_factory.model.metric import EMERGENCY_REBUILDS, Sample, add_samples, count, format_samples, parse_samples
from image_factory.shell.metrics_file import add_to_metrics_file
from image_factory.state.audit import AuditOutcome

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FROM_THE_START = tuple(count(EMERGENCY_REBUILDS, {"outcome": str(outcome)}, value=0) for outcome in AuditOutcome)
"""So that an alert sees the step from nothing to 1."""


class Counts:
    """Counters of this process, or those of a file that commands count in too (`--metrics-file`)."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._samples: tuple[Sample, ...] = ()
        self._lock = threading.Lock()

    def add(self, samples: Iterable[Sample]) -> None:
        """Count.

        Raises:
            UserError: the file cannot be written.
        """
        with self._lock:
            if self._path is None:
                self._samples = add_samples(self._samples, samples)
            else:
                add_to_metrics_file(self._path, samples)

    def text(self) -> str:
        """Return Prometheus' text.

        Raises:
            UserError: the file holds something else.
        """
        with self._lock:
            samples = self._samples
            if self._path is not None and self._path.exists():
                samples = parse_samples(self._path.read_text(encoding="utf-8"), str(self._path))
        return format_samples(add_samples(_FROM_THE_START, samples))
