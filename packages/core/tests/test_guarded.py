"""A stranger's object at work: its defects are ours to name, its answers and our own errors pass as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from image_factory.errors import PluginError, Unavailable
from image_factory.guarded import Guarded
from image_factory.loaded import Broken

SECRET = "https://hooks.example.com/plantedT0ken"


class Stranger:
    """Raises what a method is given."""

    name = "theirs"
    limit = 3

    def claims(self, error: BaseException | None) -> bool:
        return self._raise(error, answer=True)

    matches = rate_profile = mentions = web_url = webhook_receiver = read = claims

    def tags(self, error: BaseException | None) -> Iterator[str]:
        yield "1"
        self._raise(error, answer=True)
        yield "2"

    def _raise(self, error: BaseException | None, *, answer: bool) -> bool:
        if error is not None:
            raise error
        return answer


def guard(broken: Broken | None = None, port: str = "source") -> Any:
    return Guarded(Stranger(), "acme", port, Broken() if broken is None else broken)


def test_answers_and_attributes_pass() -> None:
    guarded = guard()

    assert (guarded.name, guarded.limit, guarded.claims(None), list(guarded.tags(None))) == (
        "theirs",
        3,
        True,
        ["1", "2"],
    )
    assert not hasattr(guarded, "close")
    assert "Stranger" in repr(guarded)


def test_our_own_errors_pass() -> None:
    with pytest.raises(Unavailable, match="down"):
        guard().read(Unavailable("down"))
    with pytest.raises(Unavailable, match="down"):
        list(guard().tags(Unavailable("down")))


@pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit("boom")], ids=["an exception", "an end"])
def test_a_defect_is_named_with_its_cause(error: BaseException) -> None:
    with pytest.raises(PluginError) as caught:
        guard().read(error)

    assert str(caught.value) == f"plugin 'acme' failed in read of its source 'theirs': {type(error).__name__}: boom"
    assert caught.value.__cause__ is error
    assert "disabledPlugins" in caught.value.hint


def test_a_defect_halfway_through_a_listing_is_named_after_what_came() -> None:
    tags = guard(port="registry").tags(KeyError("k"))

    assert next(tags) == "1"
    with pytest.raises(PluginError, match="plugin 'acme' failed in tags of its registry 'theirs': KeyError: 'k'"):
        next(tags)


def test_an_interrupt_is_no_defect() -> None:
    with pytest.raises(KeyboardInterrupt):
        guard().read(KeyboardInterrupt())


def test_a_notifier_s_defect_does_not_tell_where_it_was_sent() -> None:
    with pytest.raises(PluginError) as caught:
        guard(port="notifier").read(RuntimeError(f"cannot reach {SECRET}"))

    assert SECRET not in str(caught.value)
    assert str(caught.value).endswith("'theirs': RuntimeError")


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        pytest.param("claims", False, id="it claims nothing"),
        pytest.param("matches", False, id="it reads no such file"),
        pytest.param("mentions", (), id="it finds nothing"),
        pytest.param("rate_profile", None, id="it says nothing of limits"),
        pytest.param("web_url", None, id="it has no page"),
        pytest.param("webhook_receiver", None, id="it receives nothing"),
    ],
)
def test_what_everybody_is_asked_is_passed_over_and_told_once(
    method: str, answer: object, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Broken()
    guarded = guard(broken)

    answers = [getattr(guarded, method)(RuntimeError("boom")) for _ in range(3)]

    assert answers == [answer] * 3
    assert list(broken) == ["acme"]
    assert [record.getMessage() for record in caplog.records] == [
        f"plugin 'acme' failed in {method} of its source 'theirs': RuntimeError: boom; the others go on"
    ]
