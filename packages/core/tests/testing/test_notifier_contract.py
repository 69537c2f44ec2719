"""The contract of notifiers is kept by a small honest one, and catches what the world's notifiers do wrong."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from image_factory.errors import AuthenticationRequired, ImageFactoryError, RateLimited, RemoteRefused, Unavailable
from image_factory.model.event import Event, one_line, shorten, tally
from image_factory.testing.notifier_contract import NotifierContract, NotifierWorld, Trouble

SECRET = "planted-secret-83"
MOST = 100
ERRORS: dict[Trouble, ImageFactoryError] = {
    Trouble.DOWN: Unavailable("it is down", hint="it is tried again"),
    Trouble.BUSY: RateLimited("it is busy", hint="it is tried again"),
    Trouble.LOCKED_OUT: AuthenticationRequired("it refuses the password", hint="another password"),
    Trouble.REFUSED: RemoteRefused("it refuses the notice", hint="another room"),
}


@dataclass
class Board:
    """A notice board: the smallest notifier that keeps the contract."""

    secret: str = field(default=SECRET, repr=False)
    notices: list[str] = field(default_factory=list, repr=False)
    error: ImageFactoryError | None = None
    name: str = "board"

    def deliver(self, events: Sequence[Event]) -> None:
        if self.error is not None:
            raise self.error
        if events:
            left_out = events[MOST:]
            more = [f"{len(left_out)} more events are left out: {tally(left_out)}"] if left_out else []
            self.notices.append("\n".join([*map(self.tell, events[:MOST]), *more]))

    def tell(self, event: Event) -> str:
        facts = [f"{one_line(name)}: {shorten(one_line(value), 500)}" for name, value in event.facts.items()]
        is_web = event.url is not None and urlsplit(event.url).scheme == "https"
        told = [event.kind.headline, one_line(event.image), shorten(one_line(event.summary), 500), *facts]
        return "\n".join([*told, *([one_line(event.url or "")] if is_web else [])])


def world_of(board: Board) -> NotifierWorld:
    def trouble(kind: Trouble) -> None:
        board.error = ERRORS[kind]

    return NotifierWorld(board, lambda: board.notices, trouble, (SECRET,))


class TestBoard(NotifierContract):
    @pytest.fixture
    def world(self) -> NotifierWorld:
        return world_of(Board())


# --- what is caught -----------------------------------------------------------------------------------------


class Storm(Board):
    def deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            super().deliver([event])


class Silent(Board):
    def deliver(self, events: Sequence[Event]) -> None:
        super().deliver(events[:MOST])


class Markup(Board):
    def tell(self, event: Event) -> str:
        return super().tell(event).replace("<!channel>", "everybody")


class Raw(Board):
    def tell(self, event: Event) -> str:
        return f"{event.image} {event.summary}"


class Eager(Board):
    def deliver(self, events: Sequence[Event]) -> None:
        self.notices.append("hello")


class Swallowing(Board):
    def deliver(self, events: Sequence[Event]) -> None:
        if self.error is None:
            super().deliver(events)


class Chatty(Board):
    def deliver(self, events: Sequence[Event]) -> None:
        logging.getLogger("board").debug("logging in with %s", self.secret)


class Open(Board):
    def __repr__(self) -> str:
        return f"Board({self.secret})"


SUITE = NotifierContract()
HOSTILE = "<!channel> & <b>bold</b> <https://x.example|y>"


@pytest.mark.parametrize(
    ("board", "check"),
    [
        pytest.param(Storm(), SUITE.test_several_events_are_one_message_with_all_of_them, id="one message an event"),
        pytest.param(
            Silent(),
            SUITE.test_a_storm_is_few_messages_that_say_how_many_events_they_leave_out,
            id="leaves out and says nothing",
        ),
        pytest.param(Eager(), SUITE.test_no_events_are_no_message, id="tells of nothing"),
        pytest.param(Markup(), lambda world: SUITE.test_text_is_shown_as_it_stands(world, HOSTILE), id="reads markup"),
        pytest.param(
            Raw(),
            lambda world: SUITE.test_a_line_break_or_an_invisible_sign_changes_nothing_around_it(world, "image"),
            id="lets line breaks through",
        ),
        pytest.param(Raw(), SUITE.test_what_is_too_long_is_cut_and_says_so, id="cuts nothing"),
    ],
)
def test_a_notifier_that_does_wrong_is_caught(board: Board, check: Callable[[NotifierWorld], None]) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check(world_of(board))


@pytest.mark.parametrize("trouble", [Trouble.DOWN, Trouble.LOCKED_OUT])
def test_a_notifier_that_swallows_its_failures_is_caught(trouble: Trouble) -> None:
    check = (
        SUITE.test_what_may_succeed_later_says_so
        if trouble is Trouble.DOWN
        else SUITE.test_what_cannot_succeed_says_what_to_do
    )

    with pytest.raises(pytest.fail.Exception):
        check(world_of(Swallowing()), trouble)


@pytest.mark.parametrize("board", [Chatty(), Open()], ids=["in a log", "in its repr"])
def test_a_secret_that_is_shown_is_caught(board: Board, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AssertionError):
        SUITE.test_no_secret_is_shown_or_logged(world_of(board), None, caplog)


def test_a_notifier_without_a_hint_is_caught() -> None:
    world = world_of(Board())
    silent = dataclasses.replace(
        world, trouble=lambda kind: setattr(world.notifier, "error", Unavailable("it is down"))
    )

    with pytest.raises(AssertionError):
        SUITE.test_what_may_succeed_later_says_so(silent, Trouble.DOWN)
