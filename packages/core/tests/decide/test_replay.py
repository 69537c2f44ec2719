"""A simulation: decided from event to event, by the decisions themselves, and only where something happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from image_factory.decide.eligibility import Reason
from image_factory.decide.replay import Enrolled, Happening, Moved, Outcomes, Published, Simulation
from image_factory.model.image_state import DigestUpdate
from image_factory.testing.rebuild_world import START, RebuildWorld, fake_digest

DAY = timedelta(days=1)
NEVER = datetime.max.replace(tzinfo=UTC)


def move(world: RebuildWorld, base: str, number: int, at: datetime) -> Moved:
    known = world.bases[base].runtime.current_digest
    return Moved(at, base, DigestUpdate(at=at, old_digest=known, new_digest=fake_digest(1000 + number)))


def test_it_decides_only_when_something_can_change() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=7 * DAY)
    simulation = Simulation(world.facts(), start=START, outcomes=Outcomes(timedelta(minutes=10)))

    simulation.run([move(world, "node", 1, START + DAY)], NEVER)

    assert [build.requested_at for build in simulation.builds] == [START + 8 * DAY + timedelta(minutes=30)]
    # At the start, the move, the end of the delay, that of the window, after the request, and at the build's end.
    assert simulation.steps == 6


def test_images_that_share_nothing_are_not_decided_on_again() -> None:
    world = RebuildWorld()
    for number in range(50):
        world.enroll(f"i{number}", [f"b{number}"], delay=DAY)
    simulation = Simulation(world.facts(), start=START)

    simulation.run([move(world, "b7", 1, START + DAY)], NEVER)

    assert [build.image for build in simulation.builds] == ["i7"]
    assert {one.reason for one in simulation.decisions.values()} == {Reason.UP_TO_DATE}
    assert simulation.dependents("b7") == ("i7",)


def test_they_meet_in_the_places_that_rebuilds_take() -> None:
    world = RebuildWorld()
    world.set_policy(max_concurrent=1)
    world.enroll("a", ["node"], delay=DAY)
    world.enroll("b", ["nginx"], delay=DAY)
    simulation = Simulation(world.facts(), start=START, outcomes=Outcomes(timedelta(hours=2)))

    simulation.run([move(world, "node", 1, START + DAY), move(world, "nginx", 2, START + DAY)], NEVER)

    first, second = simulation.builds
    assert second.requested_at == first.finished_at == first.requested_at + timedelta(hours=2)


def test_requests_that_are_open_at_the_start_end() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=DAY)
    world.enroll("page", ["web"], delay=DAY)
    world.move("node")
    world.wait(days=2)
    world.run()
    simulation = Simulation(world.facts(), start=world.now, outcomes=Outcomes(timedelta(hours=1)))

    simulation.run([], NEVER)

    assert [build.image for build in simulation.builds] == ["web", "page"]
    assert simulation.builds[0].finished_at == world.now + timedelta(hours=1)


def test_an_end_is_an_end() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=DAY)
    simulation = Simulation(world.facts(), start=START)

    simulation.run([move(world, "node", 1, START + DAY)], START + 2 * DAY)

    assert simulation.builds == []
    assert simulation.decisions["web"].reason is Reason.COORDINATING


def test_what_comes_in_later_is_not_built_before() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=DAY)
    facts = world.facts()
    simulation = Simulation(
        type(facts)(facts.images, facts.bases, {}, policy=facts.policy), start=START, enrollments=facts.enrollments
    )

    simulation.run([move(world, "node", 1, START + DAY), Enrolled(START + 9 * DAY, "web")], NEVER)

    assert [build.requested_at for build in simulation.builds] == [START + 9 * DAY]


def test_what_its_owner_builds_has_taken_in_what_the_base_is_at() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=2 * DAY)
    simulation = Simulation(world.facts(), start=START)
    happenings: list[Happening] = [
        move(world, "node", 1, START + DAY),
        Published(START + 2 * DAY, "web", fake_digest(99)),
    ]

    simulation.run(happenings, NEVER)

    assert simulation.builds == []
    assert simulation.images["web"].runtime.current_digest == fake_digest(99)
