"""Holds: what may be held, by which words, and what a hold's file says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import Conflict, InvalidReference, NotFound, UserError
from image_factory.model.hold import Hold
from image_factory.usecases.analyze import analyze
from image_factory.usecases.hold import hold, hold_name, parse_until, read_holds, release
from image_factory.usecases.observe import record_observed
from image_factory.usecases.outcome import Done, Skipped

if TYPE_CHECKING:
    from image_factory.usecases.hold import Held

    from .conftest import World
else:
    World = Held = Any

DIGEST = f"sha256:{'c' * 64}"
ALIKE = f"sha256:{'c' * 12}{'d' * 52}"


@pytest.fixture
def web(world: World) -> World:
    world.service("web", "FROM node:22\n")
    world.enroll("web", {"name": "postgres", "repository": "postgres", "tag": "16"})
    for step in (analyze, lambda bench: record_observed(bench, "node-22", DIGEST)):
        bench = world.bench()
        bench.store.apply(step(bench).changes)
    return world


def held(world: World, subject: str, **given: Any) -> Held:
    bench = world.bench()
    result = hold(bench, subject, **{"reason": "flaky", **given})
    bench.store.apply(result.changes)
    return result


def holds(world: World) -> list[Hold]:
    return [status.hold for status in read_holds(world.bench())[0]]


def test_a_managed_image_is_held(web: World) -> None:
    result = held(web, "web", by="alice", until=web.now + timedelta(days=7))

    assert holds(web) == [
        Hold(name="web", image="web", reason="flaky", by="alice", at=web.now, until=web.now + timedelta(days=7))
    ]
    assert result.outcomes == (Done("web", ("held until 2026-03-08 12:00 UTC: flaky",)),)


@pytest.mark.parametrize("text", [DIGEST, DIGEST[:19], DIGEST[:30]])
def test_a_digest_is_held_that_we_know_and_may_be_shortened(web: World, text: str) -> None:
    held(web, text)

    assert [(one.name, one.digest) for one in holds(web)] == [("sha256-cccccccccccc", DIGEST)]


def test_a_digest_that_we_have_not_met_is_held_in_full(web: World) -> None:
    unknown = f"sha256:{'e' * 64}"

    held(web, unknown)

    assert holds(web)[0].digest == unknown
    with pytest.raises(InvalidReference):
        held(web, f"sha256:{'f' * 12}")


def test_two_digests_that_begin_alike_are_told_apart(web: World) -> None:
    bench = web.bench()
    bench.store.apply(record_observed(bench, "node-22", ALIKE).changes)

    with pytest.raises(NotFound, match="any of 2 digests"):
        held(web, DIGEST[:19])
    held(web, DIGEST[:20])
    with pytest.raises(Conflict, match="holds sha256:cccc"):
        held(web, ALIKE)


@pytest.mark.parametrize(
    ("subject", "error", "message", "hint"),
    [
        ("nope", NotFound, "no managed image is called 'nope'", "known are web"),
        ("postgres", Conflict, "postgres is external", ""),
        ("node-22", Conflict, "node-22 is a base image", f"hold its digest: {DIGEST}"),
        ("../x", NotFound, "no managed image", ""),
        ("sha256:abc", NotFound, "too few digits", "12 or more"),
        (":", InvalidReference, "':'", ""),
    ],
)
def test_what_cannot_be_held_is_said(web: World, subject: str, error: type[UserError], message: str, hint: str) -> None:
    with pytest.raises(error, match=message) as raised:
        held(web, subject)

    assert hint in raised.value.hint
    assert holds(web) == []


@pytest.mark.parametrize("given", [{"reason": " \n "}, {"until": datetime(2026, 3, 1, 12, tzinfo=UTC)}])
def test_a_hold_has_a_reason_and_an_end_to_come(web: World, given: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        held(web, "web", **given)


def test_a_hold_takes_the_place_of_the_one_before_and_the_same_changes_nothing(web: World) -> None:
    held(web, "web")
    web.later(hours=1)

    again = held(web, "web", by="bob")
    changed = held(web, "web", reason="a release")

    assert again.outcomes == (Skipped("web", "is held already: flaky"),)
    assert changed.outcomes == (Done("web", ("held: a release (before: flaky)",)),)
    assert [(one.reason, one.at) for one in holds(web)] == [("a release", web.now)]


def test_ended_holds_are_listed_last(web: World) -> None:
    held(web, DIGEST, until=web.now + timedelta(days=1))
    held(web, "web")
    web.later(days=1)

    found, problems = read_holds(web.bench())

    assert [(status.subject, status.is_ended) for status in found] == [("web", False), (DIGEST, True)]
    assert problems == ()


@pytest.mark.parametrize("subject", [DIGEST, DIGEST[:19], hold_name(DIGEST)])
def test_a_hold_is_released_by_any_of_its_names(web: World, subject: str) -> None:
    held(web, "web")
    held(web, DIGEST)

    bench = web.bench()
    bench.store.apply(release(bench, subject).changes)

    assert [one.name for one in holds(web)] == ["web"]
    with pytest.raises(NotFound) as error:
        release(bench, subject)
    assert error.value.hint == "held: web"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", datetime(2026, 3, 8, tzinfo=UTC)),
        ("2026-12-24", datetime(2026, 12, 24, tzinfo=UTC)),
        (" 2026-12-24T10:00:00+02:00 ", datetime(2026, 12, 24, 8, tzinfo=UTC)),
    ],
)
def test_an_end_is_a_time_or_a_while(text: str, expected: datetime) -> None:
    assert parse_until(text, datetime(2026, 3, 1, tzinfo=UTC)) == expected


@pytest.mark.parametrize("text", ["", "soon", "7", "2026-13-01", "999999999d"])
def test_what_is_neither_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match="not a time"):
        parse_until(text, datetime(2026, 3, 1, tzinfo=UTC))
