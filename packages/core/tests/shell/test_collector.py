from __future__ import annotations

import contextlib
import gc

import pytest

from image_factory.shell.collector import collector_paused


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_afterwards(enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with contextlib.suppress(ZeroDivisionError), collector_paused():
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled() is enabled
        assert gc.get_freeze_count() == 0
    finally:
        (gc.enable if before else gc.disable)()


def test_what_others_have_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        with collector_paused():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_what_was_made_is_put_where_the_collector_looks_rarely() -> None:
    with collector_paused():
        assert not gc.isenabled()
        made: list[object] = [[]]

    assert gc.isenabled()
    assert any(found is made for found in gc.get_objects(generation=2))
