from __future__ import annotations

from typing import Any

import pytest

from image_factory.errors import InvalidState, UnsupportedVersion
from image_factory.state.migrate import migrate


def rename_base(values: dict[str, Any]) -> dict[str, Any]:
    return {"bases" if key == "baseImages" else key: value for key, value in values.items()}


def add_kind(values: dict[str, Any]) -> dict[str, Any]:
    values["kind"] = "managed"
    return values


def test_a_file_without_a_version_is_of_the_first() -> None:
    assert migrate({"name": "web", "baseImages": []}, "f") == {"name": "web", "baseImages": []}
    assert migrate({"baseImages": []}, "f", (rename_base, add_kind)) == {"bases": [], "kind": "managed"}


def test_a_file_takes_only_the_steps_from_its_own_version_on() -> None:
    data = {"schemaVersion": 2, "baseImages": []}

    assert migrate(data, "f", (rename_base, add_kind)) == {"baseImages": [], "kind": "managed"}
    assert data == {"schemaVersion": 2, "baseImages": []}


def test_a_file_of_the_present_version_is_read_as_it_is() -> None:
    assert migrate({"schemaVersion": 3, "baseImages": []}, "f", (rename_base, add_kind)) == {"baseImages": []}


def test_a_file_of_a_newer_version_is_refused() -> None:
    with pytest.raises(UnsupportedVersion, match="schemaVersion is 2, and this image-factory knows versions up to 1"):
        migrate({"schemaVersion": 2}, "f")


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0, None])
def test_a_version_that_makes_no_sense_is_refused(version: object) -> None:
    with pytest.raises(InvalidState, match="not a whole number from 1"):
        migrate({"schemaVersion": version}, "f")
