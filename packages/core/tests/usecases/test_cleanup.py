"""Cleaning up without a Dockerfile being read, and the archive listed, pruned and taken back from."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from image_factory.errors import Conflict, InvalidState, NotFound
from image_factory.model.hold import Hold
from image_factory.model.request import RebuildRequest, RequestStatus
from image_factory.usecases.analyze import analyze
from image_factory.usecases.cleanup import Cleanup, clean_up, list_archive, prune, restore
from image_factory.usecases.outcome import Done, Skipped

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def learn(world: World) -> None:
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)


def tidy(world: World, name: str | None = None) -> Cleanup:
    bench = world.bench()
    cleanup = clean_up(bench, name)
    bench.store.apply(cleanup.changes)
    return cleanup


def files(world: World) -> set[str]:
    state = world.root / "state"
    return {path.relative_to(state).as_posix() for path in state.rglob("*.yaml")}


@pytest.fixture
def layered(world: World) -> World:
    """web on platform on node:22; nothing can be read of Dockerfiles any more."""
    world.service("platform", "FROM node:22\n")
    world.service("web", "FROM ghcr.io/acme/platform:1.2\n")
    world.enroll("platform", "web")
    learn(world)
    world.later(days=1)
    world.services.rename(world.services.with_name("gone"))
    return world


def test_what_is_gone_is_archived_and_what_is_still_used_becomes_a_base_from_records_alone(layered: World) -> None:
    layered.enroll("web")

    cleanup = tidy(layered)

    (base,) = [path for path in files(layered) if path.startswith("base-images/")]
    record = yaml.safe_load(layered.state(base))
    assert record["fullImage"] == "ghcr.io/acme/platform:1.2"
    assert yaml.safe_load(layered.state("images/web.yaml"))["baseImages"] == [record["name"]]
    assert [(one.image, str(one.after)) for one in cleanup.transitions] == [
        ("platform", "base"),
        ("node-22", "archived"),
    ]
    assert tidy(layered).changes == ()


def test_nothing_is_done_where_nothing_is_to_be_done(layered: World) -> None:
    assert tidy(layered) == Cleanup()


def test_a_broken_file_is_said_and_nothing_is_archived(layered: World) -> None:
    (layered.root / "images.yaml").write_text("- name: [\n")
    before = files(layered)

    cleanup = tidy(layered)

    assert (cleanup.changes, files(layered)) == ((), before)
    assert len(cleanup.problems) == 1
    with pytest.raises(Conflict, match="which has errors"):
        tidy(layered, "web")


def test_a_base_is_left_where_some_record_cannot_be_read(layered: World) -> None:
    layered.enroll("web")
    (layered.root / "state/images/web.yaml").write_text("half: [")

    cleanup = tidy(layered)

    assert "base-images/node-22.yaml" in files(layered)
    assert len(cleanup.problems) == 1
    with pytest.raises(InvalidState):
        tidy(layered, "web")


def test_requests_and_holds_of_nothing_are_archived_and_ended_holds_removed(layered: World) -> None:
    bench, now = layered.bench(), layered.now
    request = RebuildRequest(
        name="lost", request_id="r", status=RequestStatus.REQUESTED, requested_at=now, reason="due"
    )
    holds = [
        Hold(name="lost", image="lost", reason="r", at=now),
        Hold(name="web", image="web", reason="r", at=now, until=now + timedelta(days=1)),
        Hold(name="platform", image="platform", reason="r", at=now, until=now),
        Hold(name="sha256-abc", digest=f"sha256:{'a' * 64}", reason="r", at=now),
    ]
    bench.store.apply(bench.store.plan(requests=[request], holds=holds))

    cleanup = tidy(layered)

    assert [outcome.item for outcome in cleanup.outcomes] == ["hold platform", "request lost", "hold lost"]
    assert {path for path in files(layered) if "holds" in path or "requests" in path} == {
        "holds/web.yaml",
        "holds/sha256-abc.yaml",
        "_archive/holds/lost/2026-03-02T120000Z.yaml",
        "_archive/rebuild-requests/lost/2026-03-02T120000Z.yaml",
    }
    archived = yaml.safe_load(layered.state("_archive/rebuild-requests/lost/2026-03-02T120000Z.yaml"))
    assert archived["status"] == "cancelled"


def test_only_the_one_that_is_named_is_archived(layered: World) -> None:
    layered.enroll()

    tidy(layered, "web")

    assert {path for path in files(layered) if not path.startswith("_archive")} == {
        "images/platform.yaml",
        "base-images/node-22.yaml",
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [("web", "web is enrolled"), ("node-22", "platform is built on node-22"), ("nope", "no image is called 'nope'")],
)
def test_what_is_used_is_not_archived(layered: World, name: str, message: str) -> None:
    with pytest.raises((Conflict, NotFound), match=message):
        tidy(layered, name)


def test_the_archive_is_listed_and_pruned_by_age(layered: World) -> None:
    layered.enroll("platform")
    tidy(layered)
    layered.later(days=10)
    layered.enroll()
    tidy(layered)
    bench = layered.bench()

    assert [entry.name for entry in list_archive(bench).entries] == ["platform", "web", "node-22"]
    assert prune(bench, older_than=timedelta(days=11)) == Cleanup()
    pruned = prune(bench, older_than=timedelta(days=5))
    bench.store.apply(pruned.changes)
    assert pruned.outcomes == (Done("images/web", ("archived 2026-03-02: removed for good",)),)
    assert [entry.name for entry in list_archive(bench).entries] == ["platform", "node-22"]


def test_a_base_gets_its_archived_history_joined(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    learn(world)
    bench = world.bench()
    old = world.state("base-images/node-22.yaml")
    world.enroll()
    tidy(world)
    (world.root / "state/base-images/node-22.yaml").write_text(old.replace("2026-03-01", "2026-03-09"))

    with pytest.raises(Conflict, match="has a record already"):
        restore(bench, "node-22")
    joined = restore(bench, "node-22", history_only=True)
    bench.store.apply(joined.changes)

    assert "firstDiscovered: '2026-03-01" in world.state("base-images/node-22.yaml").replace('"', "'")
    again = restore(bench, "node-22", history_only=True)
    assert again.outcomes == (Skipped("node-22", "it has all of the archived history"),)


def test_a_base_that_no_dockerfile_names_is_not_restored(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    learn(world)
    world.enroll()
    tidy(world)

    with pytest.raises(Conflict, match="node-22 is not used") as error:
        restore(world.bench(), "node-22")

    assert "when a Dockerfile names it again" in error.value.hint


def test_an_image_that_has_a_record_is_not_restored_over_it(layered: World) -> None:
    layered.enroll("platform")
    tidy(layered)
    layered.enroll("platform", "web")
    bench = layered.bench()
    bench.store.apply(restore(bench, "web").changes)
    layered.enroll("platform")
    tidy(layered)
    layered.enroll("platform", "web")
    (layered.root / "state/images/web.yaml").write_text(
        layered.state("images/platform.yaml").replace("platform", "web")
    )

    with pytest.raises(Conflict, match="web has a record already"):
        restore(layered.bench(), "web")


def test_a_broken_archive_is_said_where_it_is_all_there_is(layered: World) -> None:
    layered.enroll("platform")
    tidy(layered)
    (path,) = (layered.root / "state/_archive/images/web").iterdir()
    path.write_text("name: web\n")
    layered.enroll("platform", "web")

    with pytest.raises(InvalidState, match="does not say when"):
        restore(layered.bench(), "web")


def test_an_image_that_is_another_one_now_is_restored_with_its_history_alone(layered: World) -> None:
    layered.enroll("platform")
    tidy(layered)
    layered.later(days=1)
    layered.enroll("platform", layered.managed("web", repository="acme/shop"))
    bench = layered.bench()

    with pytest.raises(Conflict, match=r"is ghcr\.io/acme/shop now"):
        restore(bench, "web")
    bench.store.apply(restore(bench, "web", history_only=True).changes)

    record = yaml.safe_load(layered.state("images/web.yaml"))
    assert record["enrollment"]["repository"] == "acme/shop"
    assert record["enrolledAt"] == "2026-03-01T12:00:00Z"
    assert "_archive/images/web/2026-03-02T120000Z.yaml" in files(layered)
