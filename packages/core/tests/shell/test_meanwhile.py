from __future__ import annotations

import threading

import pytest

from image_factory.shell.meanwhile import meanwhile


def test_the_work_is_done_beside_the_block() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert may_end.wait(10)

    with meanwhile(work):
        assert begun.wait(10)
        may_end.set()


def test_the_work_has_ended_when_the_block_has() -> None:
    done: list[str] = []
    go = threading.Event()

    def work() -> None:
        go.wait(10)
        done.append("work")

    with meanwhile(work):
        done.append("block")
        go.set()

    assert done == ["block", "work"]


def test_what_the_work_raises_is_raised_at_the_block_s_end() -> None:
    done: list[str] = []

    def work() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"), meanwhile(work):
        done.append("block")

    assert done == ["block"]


def test_what_the_block_raises_goes_before_what_the_work_raises() -> None:
    def work() -> None:
        raise OSError("the disk is full")

    with pytest.raises(ValueError, match="in the block"), meanwhile(work):
        raise ValueError("in the block")
