"""A quick folder is one's own, and gone afterwards, wherever it lies."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from image_factory.testing import quick_folder as module
from image_factory.testing.quick_folder import quick_folder


def test_it_lies_in_memory_where_there_is_room_and_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENOUGH", 1)

    with quick_folder("x-", memory=tmp_path) as one, quick_folder("x-", memory=tmp_path) as two:
        (one / "file").write_text("")
        assert one.parent == two.parent == tmp_path
        assert list(two.iterdir()) == []

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("why", ["there is none", "there is no room"])
def test_else_it_is_an_ordinary_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    if why == "there is no room":
        monkeypatch.setattr(module, "ENOUGH", 1 << 80)

    with quick_folder(memory=tmp_path / "none" if why == "there is none" else tmp_path) as folder:
        assert folder.is_relative_to(tempfile.gettempdir())
