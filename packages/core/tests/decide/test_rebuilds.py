"""What is decided of an image: one table of reasons, each with its end and what blocks it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from image_factory.decide.eligibility import Reason
from image_factory.decide.rebuilds import Policy
from image_factory.model.enrollment import Criticality
from image_factory.model.hold import Hold
from image_factory.model.image_state import DiscoveryStatus
from image_factory.model.request import EmergencyOrder, RequestStatus
from image_factory.model.settings import Freeze
from image_factory.state.merge import record_discovery
from image_factory.testing.rebuild_world import START, RebuildWorld

MOVED = START + timedelta(days=1)
AGED = START + timedelta(days=8)


def build_world() -> RebuildWorld:
    """`web` on node, which moved after a day; a delay of a week, and now it has aged and its window is over."""
    world = RebuildWorld()
    world.enroll("web", ["node"])
    world.wait(days=1)
    world.move("node")
    world.now = AGED + timedelta(minutes=30)
    return world


def nothing(world: RebuildWorld) -> None:
    pass


def at(days: float) -> Callable[[RebuildWorld], None]:
    def set_time(world: RebuildWorld) -> None:
        world.now = START + timedelta(days=days)

    return set_time


def hold_image(world: RebuildWorld) -> None:
    world.holds.append(Hold(name="web", image="web", reason="release", at=MOVED, until=AGED + timedelta(days=1)))


def hold_digest(world: RebuildWorld) -> None:
    digest = world.bases["node"].runtime.current_digest
    world.holds.append(Hold(name="sha256-2", digest=digest, reason="broken", at=MOVED))


def hold_what_it_has(world: RebuildWorld) -> None:
    digest = world.bases["debian"].runtime.current_digest if "debian" in world.bases else None
    assert digest is None
    world.enroll("web", ["node", "debian"])
    digest = world.bases["debian"].runtime.current_digest
    world.holds.append(Hold(name="sha256-9", digest=digest, reason="broken", at=MOVED, until=AGED + timedelta(days=2)))


def freeze(world: RebuildWorld) -> None:
    times = {"from": MOVED, "until": AGED + timedelta(days=3)}
    world.set_policy(freezes=(Freeze.model_validate({"reason": "closing", **times}),))


def hold_and_freeze(world: RebuildWorld) -> None:
    hold_image(world)
    freeze(world)


def request(world: RebuildWorld) -> None:
    world.run()
    world.requests["web"] = world.requests["web"].model_copy(
        update={"status": RequestStatus.REQUESTED, "dispatch": None}
    )


def build(world: RebuildWorld) -> None:
    world.run()


def ask(world: RebuildWorld) -> None:
    world.enrollments["web"] = world.enrollments["web"].model_copy(update={"auto_rebuild": False})


def ask_and_request(world: RebuildWorld) -> None:
    ask(world)
    world.run()


def fail(world: RebuildWorld) -> None:
    world.run()
    world.finish("web", RequestStatus.FAILED)


def fail_thrice(world: RebuildWorld) -> None:
    for _ in range(3):
        world.wait(days=1)
        fail(world)


def fail_thrice_and_move(world: RebuildWorld) -> None:
    world.move("node")
    fail_thrice(world)


def succeed(world: RebuildWorld) -> None:
    world.run()
    world.finish("web")


def be_full(world: RebuildWorld) -> None:
    world.enroll("api", ["node"])
    world.set_policy(max_concurrent=1)
    world.enrollments["api"] = world.enrollments["api"].model_copy(update={"criticality": Criticality.HIGH})
    world.now = START + timedelta(days=8, hours=1)
    api = world.images["api"]
    world.images["api"] = api.model_copy(update={"history": world.images["web"].history})


def forget(world: RebuildWorld) -> None:
    del world.images["web"]


def unread(world: RebuildWorld) -> None:
    state = world.images["web"]
    configuration = state.configuration.model_copy(update={"base_images": (), "references": ()})
    state = state.model_copy(update={"configuration": configuration})
    world.images["web"] = record_discovery(state, DiscoveryStatus.FAILED, at=MOVED, error="no such branch")


@pytest.mark.parametrize(
    ("change", "reason", "until", "blocked_by"),
    [
        pytest.param(nothing, Reason.DUE, None, (), id="aged, and the window is over"),
        pytest.param(at(0.5), Reason.COOLING_DOWN, 7.5, (), id="a move that the clock has yet to reach"),
        pytest.param(at(2), Reason.COOLING_DOWN, 8, (), id="cooling down"),
        pytest.param(at(8), Reason.COORDINATING, 8 + 0.5 / 24, (), id="in its window"),
        pytest.param(succeed, Reason.UP_TO_DATE, None, (), id="built: nothing waits"),
        pytest.param(ask, Reason.NEEDS_APPROVAL, None, (), id="due, and a person starts it"),
        pytest.param(ask_and_request, Reason.NEEDS_APPROVAL, None, ("web-3",), id="requested, and a person starts it"),
        pytest.param(request, Reason.REQUESTED, None, ("web-3",), id="requested"),
        pytest.param(build, Reason.UNDER_WAY, None, ("web-3",), id="under way"),
        pytest.param(hold_image, Reason.HELD, 9, ("web",), id="a held image"),
        pytest.param(hold_digest, Reason.HELD, None, ("sha256-2",), id="a held digest, and no other"),
        pytest.param(hold_what_it_has, Reason.HELD, 10, ("sha256-9",), id="the digest of another base that it has"),
        pytest.param(freeze, Reason.FROZEN, 11, ("closing",), id="a freeze"),
        pytest.param(hold_and_freeze, Reason.FROZEN, 11, ("closing",), id="of two the one that ends last"),
        pytest.param(fail, Reason.BACKING_OFF, 8 + 1.5 / 24, (), id="failed once"),
        pytest.param(fail_thrice, Reason.QUARANTINED, None, (), id="failed three times"),
        pytest.param(fail_thrice_and_move, Reason.QUARANTINED, 15 + 0.5 / 24, (), id="and another digest is ageing"),
        pytest.param(forget, Reason.UNKNOWN, None, (), id="not analyzed"),
        pytest.param(unread, Reason.UNKNOWN, None, (), id="its Dockerfile cannot be read"),
    ],
)
def test_what_is_decided(
    change: Callable[[RebuildWorld], None], reason: Reason, until: float | None, blocked_by: tuple[str, ...]
) -> None:
    world = build_world()
    change(world)

    decision = world.decision("web")

    assert decision.reason is reason, decision.because
    assert decision.until == (None if until is None else START + timedelta(days=until))
    assert decision.blocked_by == blocked_by
    assert decision.because
    assert decision.because[-1] != "."
    assert decision.because[0] == decision.because[0].lower()
    assert decision.is_due is (reason in (Reason.DUE, Reason.NEEDS_APPROVAL) and not blocked_by)


def test_the_words_of_a_rebuild_that_is_due_are_its_evidence() -> None:
    decision = build_world().decision("web")

    assert decision.because == "node moved to sha256:000000000002, eligible since 2026-03-09T00:00:00Z"
    assert [(cause.base, cause.seen_at) for cause in decision.causes] == [("node", MOVED)]
    assert decision.eligible_at == AGED
    assert decision.inputs


def test_rebuilds_beyond_the_places_wait_in_their_order() -> None:
    world = RebuildWorld(policy=Policy(max_concurrent=2))
    for name, criticality in (("a", "low"), ("b", "high"), ("c", "normal"), ("d", "critical")):
        world.enroll(name, ["node"], delay=timedelta(0), criticality=criticality)
    world.move("node")
    world.wait(hours=1)

    first = world.plan()
    world.run()
    world.finish("b")
    second = [decision.image for decision in world.run()]

    assert [decision.image for decision in first.due] == ["d", "b"]
    assert first.decisions["c"].reason is Reason.WAITS_FOR_PLACE
    assert first.decisions["c"].blocked_by == ("d", "b")
    assert first.decisions["c"].because == "no place is free: at most 2 rebuilds may be under way at once"
    assert second == ["c"]


def test_what_a_person_starts_takes_no_place_until_it_is_started() -> None:
    world = RebuildWorld(policy=Policy(max_concurrent=1))
    world.enroll("a", ["node"], delay=timedelta(0), autoRebuild=False)
    world.enroll("b", ["node"], delay=timedelta(0))
    world.move("node")
    world.wait(hours=1)
    world.run()
    world.finish("b")
    world.approve("a")
    world.enroll("c", ["debian"], delay=timedelta(0))
    world.move("debian")
    world.wait(hours=1)

    assert [one.decision.image for one in world.log] == ["a", "b"]
    assert world.decision("c").reason is Reason.WAITS_FOR_PLACE


def test_the_next_newest_digest_is_taken_where_one_is_held() -> None:
    world = build_world()
    good = world.bases["node"].runtime.current_digest
    world.move("node")
    hold_digest(world)
    world.wait(days=8)

    assert [cause.to for cause in world.decision("web").causes] == [good]


def test_a_digest_that_is_held_no_more_is_taken() -> None:
    world = build_world()
    world.now = AGED + timedelta(days=2)
    digest = world.bases["node"].runtime.current_digest
    world.holds.append(Hold(name="sha256-2", digest=digest, reason="broken", at=MOVED, until=world.now))

    assert world.decision("web").is_due


def test_a_person_who_asks_ends_a_quarantine() -> None:
    world = build_world()
    fail_thrice(world)
    request = world.requests["web"].model_copy(update={"request_id": "by-hand", "triggered_by": "cli"})
    world.requests["web"] = request.model_copy(update={"status": RequestStatus.DISPATCHED})
    world.wait(days=1)
    world.finish("web", RequestStatus.FAILED, trigger="cli")

    assert world.decision("web").reason is Reason.BACKING_OFF


def test_an_image_that_is_built_by_its_owner_holds_what_the_base_pointed_at() -> None:
    world = build_world()
    world.publish("web")

    assert world.decision("web").reason is Reason.UP_TO_DATE


def test_a_rebuild_for_one_base_takes_in_nothing_of_another_that_is_ageing() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node", "debian"])
    world.wait(days=1)
    world.move("node")
    world.wait(days=5)
    aged_later = world.move("debian")
    world.wait(days=3)
    world.run()
    world.finish("web")
    world.wait(days=5)

    assert [[cause.base for cause in one.decision.causes] for one in world.log] == [["node"]]
    assert [cause.to for cause in world.decision("web").causes] == [aged_later]


def test_an_emergency_comes_first_in_the_order() -> None:
    world = build_world()
    world.enroll("api", ["node"], criticality="critical")
    world.run()
    order = EmergencyOrder(cve="CVE-2026-1", reason="in use", actor="ann")
    world.requests["web"] = world.requests["web"].model_copy(update={"emergency": order})

    plan = world.plan()

    assert plan.decisions["web"].priority < plan.decisions["api"].priority


def test_an_external_image_has_no_decision() -> None:
    world = build_world()
    world.enrollments["redis"] = type(world.enrollments["web"]).model_validate(
        {"name": "redis", "repository": "library/redis", "tag": "7"}
    )

    assert set(world.plan().decisions) == {"web"}


def test_the_next_instant_is_the_first_end_of_a_wait() -> None:
    world = build_world()
    world.enroll("api", ["node"], delay=timedelta(days=20))
    world.enroll("site", ["debian"], delay=timedelta(days=9))
    world.move("debian")
    world.now = START + timedelta(days=8)

    assert world.plan().next_at == AGED + timedelta(minutes=30)


def test_a_wait_after_a_failure_ends_when_another_digest_is_due() -> None:
    world = build_world()
    # It ages ten minutes after the failure; the next attempt with the same digest would be in an hour.
    world.now = AGED + timedelta(minutes=30) - timedelta(days=7) + timedelta(minutes=10)
    world.move("node")
    world.now = AGED + timedelta(minutes=30)
    fail(world)

    waiting = world.decision("web")
    world.now = AGED + timedelta(minutes=40)

    assert (waiting.reason, waiting.until) == (Reason.BACKING_OFF, world.now)
    assert world.decision("web").reason in (Reason.DUE, Reason.COORDINATING)
