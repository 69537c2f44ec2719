"""Counters: of this process, or those of a file that commands count in too."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_factory.errors import UserError
from image_factory.model.metric import EMERGENCY_REBUILDS, LIFECYCLE_TRANSITIONS, count
from image_factory.shell.metrics_file import add_to_metrics_file
from image_factory_server.counts import Counts

GRANTED = count(EMERGENCY_REBUILDS, {"outcome": "granted"})
MOVED = count(LIFECYCLE_TRANSITIONS, {"from": "external", "to": "managed"})


def test_what_is_added_is_shown_beside_what_never_happened() -> None:
    counts = Counts()

    counts.add([GRANTED])
    counts.add([GRANTED])

    assert [line for line in counts.text().splitlines() if not line.startswith("#")] == [
        'image_factory_emergency_rebuilds_total{outcome="granted"} 2',
        'image_factory_emergency_rebuilds_total{outcome="refused"} 0',
    ]


def test_a_file_holds_what_commands_counted_too(tmp_path: Path) -> None:
    file = tmp_path / "image-factory.prom"
    add_to_metrics_file(file, [GRANTED, MOVED])

    Counts(file).add([GRANTED])

    text = Counts(file).text()
    assert 'image_factory_emergency_rebuilds_total{outcome="granted"} 2\n' in text
    assert 'image_factory_lifecycle_transitions_total{from="external",to="managed"} 1\n' in text


def test_a_file_of_something_else_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("buy milk\n")

    with pytest.raises(UserError, match=r"notes\.txt:1"):
        Counts(file).text()
