"""What every `Notifier` must do, as a pytest suite that a notifier's own test class inherits.

The fixture sets a notifier up against a fake of its medium, says what people were shown, and how to
let the medium fail. Specification: `image_factory.ports.Notifier`.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest

from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    InvalidSettings,
    RateLimited,
    RemoteNotFound,
    RemoteRefused,
    Unavailable,
)
from image_factory.model.event import Event, EventKind
from image_factory.ports import Notifier

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NEVER = (AuthenticationRequired, RemoteRefused, RemoteNotFound, InvalidSettings)


class Trouble(StrEnum):
    """How a medium fails; each stays until the test ends."""

    DOWN = "it does not answer, or says that it cannot just now"
    BUSY = "it asks to be left alone for a while"
    LOCKED_OUT = "it does not take the credentials"
    REFUSED = "it refuses the message"


@dataclass(frozen=True, slots=True)
class NotifierWorld:
    """A notifier that is set up, and the far side of its medium."""

    notifier: Notifier
    shown: Callable[[], Sequence[str]]
    """The text of each message that arrived, as a person reads it."""
    trouble: Callable[[Trouble], None]
    """Let the medium fail; `pytest.skip` for what it cannot."""
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def only(self) -> str:
        (message,) = self.shown()
        return message


def event(number: int = 1, **fields: Any) -> Event:
    """Return a base that moved, of its own image `image-NUMBER`, with `fields` in place of what it would say."""
    name = f"image-{number:04}"
    moved = Event(EventKind.BASE_MOVED, AT, name, f"{name} points at another image now.")
    return dataclasses.replace(moved, **fields)


class NotifierContract:
    """Inherit it, name the class `Test…`, and give it a fixture `world`."""

    @pytest.fixture
    def world(self) -> NotifierWorld:
        raise NotImplementedError("give the fixture `world` in your test class")

    def test_it_has_every_member_of_the_port_and_a_plain_name(self, world: NotifierWorld) -> None:
        assert isinstance(world.notifier, Notifier)
        assert world.notifier.name.isidentifier()

    # --- what people read ---------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", EventKind)
    def test_every_kind_of_event_is_told_in_its_own_words(self, world: NotifierWorld, kind: EventKind) -> None:
        world.notifier.deliver([event(kind=kind, facts={"Now": "sha256:abc"}, url="https://ci.example.com/run/7?a=1")])

        message = world.only()
        for word in (kind.headline, "image-0001", "points at another image now", "Now", "sha256:abc"):
            assert word in message
        assert "https://ci.example.com/run/7?a=1" in message

    def test_several_events_are_one_message_with_all_of_them(self, world: NotifierWorld) -> None:
        world.notifier.deliver([event(number) for number in range(5)])

        message = world.only()
        assert all(f"image-{number:04}" in message for number in range(5))

    def test_no_events_are_no_message(self, world: NotifierWorld) -> None:
        world.notifier.deliver([])

        assert list(world.shown()) == []

    def test_a_storm_is_few_messages_that_say_how_many_events_they_leave_out(self, world: NotifierWorld) -> None:
        world.notifier.deliver([event(number) for number in range(2_000)])

        messages = world.shown()
        named = sum(f"image-{number:04}" in "\n".join(messages) for number in range(2_000))
        assert 1 <= len(messages) <= 3
        assert named == 2_000 or (named >= 5 and str(2_000 - named) in messages[-1])

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("<!channel> & <b>bold</b> <https://x.example|y>", id="markup"),
            pytest.param("&lt;b&gt; &amp;amp;", id="entities"),
            pytest.param("^.*$ ~and~ _or_ `this`".replace("`", ""), id="signs that some media draw as bold or struck"),
            pytest.param("\"; --\\ ' {{ 7*7 }} ${x} %s %(a)s", id="quotes and templates"),
            pytest.param("日本語 ñ 🚀", id="other scripts"),
        ],
    )
    def test_text_is_shown_as_it_stands(self, world: NotifierWorld, text: str) -> None:
        world.notifier.deliver([event(summary=f"so {text} it is", facts={"Error": text}), event(2)])

        assert world.only().count(text) == 2

    @pytest.mark.parametrize("field_name", ["image", "summary"])
    def test_a_line_break_or_an_invisible_sign_changes_nothing_around_it(
        self, world: NotifierWorld, field_name: str
    ) -> None:
        text = "web\r\nBcc: everyone@example.com\r\n\r\nbody \x00\x1b[31m\u202e\ud800"

        world.notifier.deliver([dataclasses.replace(event(), **{field_name: text})])  # type: ignore[arg-type]

        message = world.only()
        assert "web Bcc: everyone@example.com body" in message
        assert not {"\x00", "\x1b", "\u202e", "\ud800"} & set(message)

    def test_what_is_too_long_is_cut_and_says_so(self, world: NotifierWorld) -> None:
        facts = {f"Fact {number}": "&" * 50_000 for number in range(50)}

        world.notifier.deliver([event(summary="<" * 100_000, facts=facts, image="i" * 5_000)])

        assert "left out" in world.only()

    def test_a_hostile_address_is_no_link(self, world: NotifierWorld) -> None:
        world.notifier.deliver([event(url="javascript:alert(1)"), event(2, url='https://x.example/"><b>|y')])

        message = world.only()
        assert "javascript:" not in message
        assert "image-0001" in message

    def test_the_same_events_again_are_another_message(self, world: NotifierWorld) -> None:
        world.notifier.deliver([event()])
        world.notifier.deliver([event()])

        assert len(world.shown()) == 2

    # --- what goes wrong ----------------------------------------------------------------------------

    @pytest.mark.parametrize("trouble", [Trouble.DOWN, Trouble.BUSY])
    def test_what_may_succeed_later_says_so(self, world: NotifierWorld, trouble: Trouble) -> None:
        world.trouble(trouble)

        with pytest.raises((Unavailable, RateLimited)) as caught:
            world.notifier.deliver([event()])

        assert isinstance(caught.value, (Unavailable, RateLimited))
        assert caught.value.hint

    @pytest.mark.parametrize("trouble", [Trouble.LOCKED_OUT, Trouble.REFUSED])
    def test_what_cannot_succeed_says_what_to_do(self, world: NotifierWorld, trouble: Trouble) -> None:
        world.trouble(trouble)

        with pytest.raises(NEVER) as caught:
            world.notifier.deliver([event()])

        assert isinstance(caught.value, ImageFactoryError)
        assert caught.value.hint

    @pytest.mark.parametrize("trouble", [None, *Trouble], ids=str)
    def test_no_secret_is_shown_or_logged(
        self, world: NotifierWorld, trouble: Trouble | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        said = [repr(world.notifier), str(world.notifier)]
        if trouble is not None:
            world.trouble(trouble)

        try:
            world.notifier.deliver([event()])
        except ImageFactoryError as error:
            current: BaseException | None = error
            while current is not None:
                # What a traceback prints: the chain, unless it was cut.
                said += [str(current), repr(current), str(getattr(current, "hint", ""))]
                current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)

        shown = "\n".join([*said, *world.shown(), caplog.text])
        assert [secret[:4] for secret in world.secrets if secret in shown] == []
