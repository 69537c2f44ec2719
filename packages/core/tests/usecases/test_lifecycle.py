"""What images become, on real files: every transition, what is kept in it, and what is not done by mistake."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from image_factory.decide.eligibility import Reason
from image_factory.decide.lifecycle import Transition, count_transitions
from image_factory.model.hold import Hold
from image_factory.model.metric import format_samples
from image_factory.model.request import Dispatch, RebuildRequest, RequestStatus
from image_factory.usecases.analyze import Analysis, analyze
from image_factory.usecases.coordinate import coordinate
from image_factory.usecases.handover import Handover
from image_factory.usecases.lifecycle import log_transitions
from image_factory.usecases.observe import observe, record_observed
from image_factory.usecases.outcome import Done, Skipped

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any

WATCHING = {"repoURL", "allowTags", "imageSelectionStrategy"}
NODE = {"registry": "docker.io", "repository": "library/node"}
OLD, NEW, NEWEST = (f"sha256:{digit * 64}" for digit in "abc")


def run(world: World, handover: Handover | None = None) -> Analysis:
    bench = world.bench()
    analysis = analyze(bench, handover)
    bench.store.apply(analysis.changes)
    return analysis


def watch(world: World) -> None:
    bench = world.bench()
    bench.store.apply(observe(bench).changes)


def steps(analysis: Analysis) -> list[tuple[str, str, str]]:
    return [(one.image, str(one.before), str(one.after)) for one in analysis.transitions]


def record(world: World, path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(world.state(f"{path}.yaml"))
    return found


def files(world: World, folder: str = "") -> set[str]:
    state = world.root / "state"
    return {path.relative_to(state).as_posix() for path in (state / folder).rglob("*.yaml")}


def edit(world: World, path: str, **fields: Any) -> None:
    """Change keys of a state file, as a run would that observed something."""
    file = world.root / "state" / f"{path}.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | fields, sort_keys=False))


def built(world: World, name: str, *, digest: str = OLD) -> dict[str, Any]:
    """Give an image a past, and return it."""
    run(world, Handover(name, tag="1.2", digest=digest))
    rebuild = {"at": "2026-02-01T00:00:00Z", "reason": "due", "trigger": "policy", "result": "succeeded"}
    edit(world, f"images/{name}", rebuildHistory=[rebuild], note="mine")
    return {key: record(world, f"images/{name}")[key] for key in ("enrolledAt", "updateHistory", "rebuildHistory")}


# --- external and managed ------------------------------------------------------------------------


def test_an_external_image_that_gets_a_source_is_built_and_keeps_its_history(world: World) -> None:
    world.service("postgres", "FROM debian:12\n")
    external = {"name": "postgres", "registry": "ghcr.io", "repository": "acme/postgres", "allowTags": "^16$"}
    world.enroll(external)
    run(world)
    updates = [{"at": "2026-02-01T00:00:00Z", "oldDigest": None, "newDigest": OLD, "source": "registry"}]
    edit(world, "images/postgres", updateHistory=updates, currentDigest=OLD, problem="tag vanished")
    world.enroll("postgres")

    analysis = run(world)

    state = record(world, "images/postgres")
    assert not (WATCHING | {"problem"}) & state.keys()
    assert state["enrollment"]["source"]["dockerfile"] == "postgres/Dockerfile"
    assert (state["baseImages"], state["discoveryStatus"]) == (["debian-12"], "success")
    assert (state["updateHistory"], state["enrolledAt"]) == (updates, "2026-03-01T12:00:00Z")
    assert steps(analysis) == [("postgres", "external", "managed")]
    assert analysis.outcomes == (Done("postgres", ("was external, is managed", "built on debian-12")),)


def test_a_managed_image_that_loses_its_source_is_watched_and_keeps_its_history(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    past = built(world, "web")
    world.enroll({"name": "web", "registry": "ghcr.io", "repository": "acme/web", "tag": "1.2"})

    analysis = run(world)

    state = record(world, "images/web")
    assert state["repoURL"] == "ghcr.io/acme/web"
    assert state["allowTags"] == r"^1\.2$"
    assert "source" not in state["enrollment"]
    assert state["discoveryStatus"] == "external"
    assert {key: state[key] for key in past} == past
    assert not {"baseImages", "references"} & state.keys()
    assert files(world, "base-images") == set()
    assert steps(analysis) == [("web", "managed", "external"), ("node-22", "base", "archived")]


def test_there_and_back_again_is_the_same_history(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    past = built(world, "web")
    for entry in ({"name": "web", "registry": "ghcr.io", "repository": "acme/web", "tag": "1.2"}, "web"):
        world.later(days=1)
        world.enroll(entry)
        run(world)

    state = record(world, "images/web")

    assert {key: state[key] for key in past} == past
    assert state["baseImages"] == ["node-22"]
    assert state["note"] == "mine"
    assert files(world, "_archive") == set()  # the base came back too


def request_of(world: World, status: RequestStatus, **fields: Any) -> RebuildRequest:
    request = RebuildRequest(
        name="web", request_id="web-1", status=status, requested_at=world.now, reason="due", **fields
    )
    bench = world.bench()
    bench.store.apply(bench.store.plan(requests=[request]))
    return request


def test_a_request_of_an_image_that_is_external_now_is_cancelled(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    run(world)
    request_of(world, RequestStatus.REQUESTED)
    world.enroll({"name": "web", "registry": "ghcr.io", "repository": "acme/web", "tag": "1.2"})

    run(world)

    request = record(world, "rebuild-requests/web")
    assert (request["status"], request["problem"]) == ("cancelled", "the image is external now")


# --- base and managed ----------------------------------------------------------------------------


@pytest.fixture
def based(world: World) -> World:
    """Two images on node:22, which was seen twice."""
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM node:22\nCOPY --from=docker.io/library/node:22 /a /a\n")
    world.service("node", "FROM debian:12\n")
    world.enroll("web", "api")
    run(world)
    for seed in ("first", "second"):
        world.registry.push_image("library/node", "22", seed=seed)
        watch(world)
        world.later(days=1)
    return world


def test_a_base_that_is_enrolled_with_a_source_is_watched_no_more_and_its_dependents_are_bound_to_it(
    based: World,
) -> None:
    before = record(based, "base-images/node-22")
    based.enroll("web", "api", based.managed("node", **NODE))

    analysis = run(based)

    base, node = record(based, "base-images/node-22"), record(based, "images/node")
    assert not WATCHING & base.keys()
    assert base["managedBy"] == "node"
    assert base["updateHistory"] == before["updateHistory"]
    assert (node["baseImages"], WATCHING & node.keys()) == (["debian-12"], set())
    assert (node["updateHistory"], node["currentDigest"]) == (before["updateHistory"], before["currentDigest"])
    assert [record(based, f"images/{name}")["baseImages"] for name in ("web", "api")] == [["node"], ["node"]]
    assert steps(analysis) == [("node-22", "base", "managed")]


def test_it_stays_so_and_is_asked_for_no_more(based: World) -> None:
    based.enroll("web", "api", based.managed("node", **NODE))
    run(based)
    based.later(days=2)
    asked = len(based.registry.requests)

    again = run(based)
    bench = based.bench()
    seen = observe(bench)

    assert observe(bench, ["node-22"]).outcomes == (
        Skipped("node-22", "the managed image node publishes it: it moves by its builds"),
    )
    assert again.changes == ()
    assert "node-22" not in [outcome.item for outcome in seen.outcomes if isinstance(outcome, Done)]
    assert not any("library/node" in request.path for request in based.registry.requests[asked:])


def test_dependents_are_bound_anew_although_their_dockerfiles_cannot_be_read(based: World) -> None:
    gone = based.managed("web", source={"repo": "http://127.0.0.1:9/services.git"})
    based.enroll(gone, "api", based.managed("node", **NODE))

    run(based)

    web = record(based, "images/web")
    assert (web["baseImages"], [site["name"] for site in web["references"]]) == (["node"], ["node"])


def test_analyzing_the_new_image_alone_binds_its_dependents_too(based: World) -> None:
    based.enroll("web", "api", based.managed("node", **NODE))

    analysis = run(based, Handover("node"))

    assert record(based, "images/web")["baseImages"] == ["node"]
    assert record(based, "base-images/node-22")["managedBy"] == "node"
    assert Done("web", ("built on node", "no longer built on node-22")) in analysis.outcomes


def test_a_base_of_the_new_images_own_name_leaves_no_second_record_of_it(based: World) -> None:
    before = record(based, "base-images/node-22")["updateHistory"]
    based.enroll("web", "api", based.managed("node-22", source={"dockerfile": "node/Dockerfile"}, **NODE))

    run(based)

    assert "base-images/node-22.yaml" not in files(based)
    assert record(based, "images/node-22")["updateHistory"] == before
    assert record(based, "images/web")["baseImages"] == ["node-22"]


@pytest.fixture
def layered(world: World) -> World:
    world.service("platform", "FROM node:22\n")
    world.service("web", "FROM ghcr.io/acme/platform:1.2\n")
    world.enroll("platform", "web")
    run(world)
    world.later(days=1)
    return world


def test_a_managed_image_that_is_removed_and_still_used_becomes_a_base_with_its_history(layered: World) -> None:
    past = built(layered, "platform")
    layered.enroll("web")

    analysis = run(layered)

    (name,) = record(layered, "images/web")["baseImages"]
    base = record(layered, f"base-images/{name}")
    assert base["fullImage"] == "ghcr.io/acme/platform:1.2"
    assert (base["repoURL"], base["allowTags"]) == ("ghcr.io/acme/platform", r"^1\.2$")
    assert {key: base[key] for key in past} == past
    assert base["currentDigest"] == OLD
    assert "images/platform.yaml" not in files(layered)
    assert steps(analysis)[0] == ("platform", "managed", "base")
    assert Done("platform", (f"removed from images.yaml, now the base image {name} of web",)) in analysis.outcomes


def test_what_its_dependents_hold_is_not_taken_back_to_an_older_digest(layered: World) -> None:
    built(layered, "platform")
    for day, digest in enumerate([NEW, NEWEST]):
        layered.later(days=1)
        run(layered, Handover("platform", tag="1.2", digest=digest))
        took = {"base": "platform", "from": OLD, "to": digest}
        rebuild = {"at": f"2026-03-0{3 + day}T12:00:00Z", "reason": "due", "trigger": "policy", "causes": [took]}
        edit(layered, "images/web", rebuildHistory=[{**rebuild, "result": "succeeded"}])
    layered.enroll("web")
    layered.later(days=8)

    run(layered)

    (decision,) = coordinate(layered.bench()).plan.decisions.values()
    assert (decision.reason, decision.because) == (Reason.UP_TO_DATE, "nothing that it is built on has moved")


def test_a_tag_that_stands_still_has_not_the_digests_of_later_versions(world: World) -> None:
    world.service("platform", "FROM node:22\n")
    world.service("web", "FROM ghcr.io/acme/platform:1.2.0\n")
    world.enroll("platform", "web")
    run(world)
    for version, digest in (("1.2.0", OLD), ("1.2.1", NEW)):
        world.later(days=1)
        run(world, Handover("platform", tag=version, digest=digest))
    took = {"base": "platform", "from": OLD, "to": NEW}
    rebuild = {"at": "2026-03-03T12:00:00Z", "reason": "due", "trigger": "policy", "result": "succeeded"}
    edit(world, "images/web", rebuildHistory=[{**rebuild, "causes": [took]}])
    world.enroll("web")

    run(world)
    (name,) = record(world, "images/web")["baseImages"]
    bench = world.bench()
    bench.store.apply(record_observed(bench, name, OLD).changes)  # what 1.2.0 points at
    world.later(days=30)

    (decision,) = coordinate(world.bench()).plan.decisions.values()
    assert decision.reason is Reason.UP_TO_DATE, "it holds 1.2.1, and is not built back to 1.2.0"


def test_it_becomes_one_although_its_dependents_cannot_be_read(layered: World) -> None:
    built(layered, "platform")
    layered.enroll(layered.managed("web", source={"repo": "http://127.0.0.1:9/services.git"}))

    run(layered)

    (name,) = record(layered, "images/web")["baseImages"]
    assert record(layered, f"base-images/{name}")["fullImage"] == "ghcr.io/acme/platform:1.2"


def test_a_base_that_was_managed_for_a_while_is_watched_again_and_has_all_its_history(based: World) -> None:
    first = record(based, "base-images/node-22")["updateHistory"]
    based.enroll("web", "api", based.managed("node", **NODE))
    run(based)
    run(based, Handover("node", tag="22", digest=NEW))
    based.enroll("web", "api")

    analysis = run(based)

    base = record(based, "base-images/node-22")
    assert base.keys() >= WATCHING
    assert "managedBy" not in base
    assert base["updateHistory"][:-1] == first
    assert base["updateHistory"][-1]["newDigest"] == base["currentDigest"] == NEW
    assert record(based, "images/api")["baseImages"] == ["node-22"]
    assert ("node", "managed", "base") in steps(analysis)


def test_enrolled_once_more_it_has_the_history_of_its_first_time(layered: World) -> None:
    past = built(layered, "platform")
    layered.enroll("web")
    run(layered)
    layered.later(days=3)
    layered.enroll("platform", "web")

    run(layered)

    state = record(layered, "images/platform")
    assert {key: state[key] for key in past} == past
    assert record(layered, "images/web")["baseImages"] == ["platform"]


# --- removed -------------------------------------------------------------------------------------


def test_an_image_that_is_gone_is_archived_whole_with_when_and_why(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM python:3.12\n")
    world.enroll("web", "api")
    built(world, "web")
    before = world.state("images/web.yaml"), world.state("base-images/node-22.yaml")
    world.enroll("api")
    world.later(days=1)

    analysis = run(world)

    stamp = "2026-03-02T120000Z.yaml"
    assert files(world) == {
        "images/api.yaml",
        "base-images/python-3-12.yaml",
        f"_archive/images/web/{stamp}",
        f"_archive/base-images/node-22/{stamp}",
    }
    for text, path in zip(before, (f"images/web/{stamp}", f"base-images/node-22/{stamp}"), strict=True):
        assert world.state(f"_archive/{path}").startswith(text)
    note = record(world, "_archive/images/web/2026-03-02T120000Z")["archive"]
    assert note == {"archivedAt": "2026-03-02T12:00:00Z", "reason": "removed from images.yaml"}
    assert steps(analysis) == [("web", "managed", "archived"), ("node-22", "base", "archived")]
    assert Done("web", ("removed from images.yaml, archived",)) in analysis.outcomes


def test_the_last_image_of_all_may_go_too(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    run(world)
    world.enroll()

    run(world)

    assert all(path.startswith("_archive/") for path in files(world))


@pytest.mark.parametrize(
    "text",
    [
        "- name: web\n  registry: ghcr.io\n  repository: acme/web\n  rebuildDelay: 7x\n  source: {repo: a/b}\n",
        "- nmae: web\n",
        "- name: Web!\n",
        "- web\n",
        "- name: api\n  registry: ghcr.io\n  repository: a/b\n- name: api\n  registry: ghcr.io\n  repository: a/b\n",
        "- name: [\n",
        "name: web\n",
    ],
    ids=["wrong field", "no name", "wrong name", "no entry", "twice", "no YAML", "no list"],
)
def test_what_a_broken_file_does_not_say_is_not_gone(world: World, text: str) -> None:
    world.service("web", "FROM ghcr.io/acme/platform:1\n")
    world.service("platform", "FROM node:22\n")
    world.enroll("web", "platform")
    run(world)
    before = {path: world.state(path) for path in files(world)}
    (world.root / "images.yaml").write_text(text)

    analysis = run(world)

    assert {path: world.state(path) for path in files(world)} == before
    assert analysis.transitions == ()
    assert analysis.problems


def test_what_is_not_archived_because_of_errors_is_said_in_one_line(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"i{number}" for number in range(7)]
    world.enroll(*({"name": name, "repository": f"acme/{name}", "tag": "1"} for name in names))
    run(world)
    (world.root / "images.yaml").write_text("- name: i0\n  repository: acme/i0\n  tag: '1'\n  rebuildDelay: 7x\n")

    run(world)

    said = [line.getMessage() for line in caplog.records if vars(line).get("op") == "lifecycle"]
    assert [line.partition(": ")[2] for line in said] == ["i1, i2, i3, i4, i5 and 1 more"]


def test_what_a_broken_entry_publishes_is_no_base_meanwhile(layered: World) -> None:
    layered.enroll("web", layered.managed("platform", rebuildDelay="7x"))

    run(layered)

    assert record(layered, "images/web")["baseImages"] == ["platform"]
    assert files(layered, "base-images") == {"base-images/node-22.yaml"}


def test_an_image_is_not_gone_because_another_one_is_analyzed(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM node:22\n")
    world.enroll("web", "api")
    run(world)
    world.enroll("api")

    run(world, Handover("api"))

    assert "images/web.yaml" in files(world)


@pytest.mark.parametrize("status", [RequestStatus.REQUESTED, RequestStatus.DISPATCHED, RequestStatus.SUCCEEDED])
def test_its_request_is_closed_and_its_hold_goes_with_it(world: World, status: RequestStatus) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    run(world)
    request_of(world, status, dispatch=Dispatch(at=world.now))
    bench = world.bench()
    bench.store.apply(bench.store.plan(holds=[Hold(name="web", image="web", reason="flaky", at=world.now)]))
    world.enroll()

    run(world)

    assert not files(world) - files(world, "_archive")
    archived = record(world, "_archive/rebuild-requests/web/2026-03-01T120000Z")
    assert archived["status"] == ("succeeded" if status is RequestStatus.SUCCEEDED else "cancelled")
    assert ("may still be running" in archived.get("problem", "")) == (status is RequestStatus.DISPATCHED)
    assert record(world, "_archive/holds/web/2026-03-01T120000Z")["reason"] == "flaky"


@pytest.mark.parametrize("number", range(12))
def test_a_run_that_is_stopped_after_any_file_has_lost_nothing(world: World, number: int) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    built(world, "web")
    text = world.state("images/web.yaml")
    request_of(world, RequestStatus.REQUESTED)
    world.enroll()
    bench = world.bench()
    changes = analyze(bench).changes
    bench.store.apply(changes[:number])

    saved = [world.state(path) for path in files(world) if "/web" in path and "images/" in path]
    world.later(minutes=5)
    run(world)

    assert len(changes) == 6
    assert any(one.startswith(text) for one in saved)
    assert len(files(world, "_archive/images/web")) == 1
    assert not files(world) - files(world, "_archive")


# --- enrolled again ------------------------------------------------------------------------------


def removed(world: World, *others: str) -> dict[str, Any]:
    """Enroll web, give it a past, and remove it."""
    world.service("web", "FROM node:22\n")
    world.enroll("web", *others)
    past = built(world, "web")
    world.enroll(*others)
    run(world)
    world.later(days=1)
    return past


def test_an_image_that_is_enrolled_again_is_as_it_was(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    built(world, "web")
    file = world.root / "state/images/web.yaml"
    file.write_text(f"# mine\n{file.read_text()}")
    before = {path: world.state(path) for path in files(world)}
    world.enroll()
    run(world)
    world.later(days=1)
    world.enroll("web")

    analysis = run(world)

    assert {path: world.state(path) for path in files(world)} == before
    assert set(steps(analysis)) == {("web", "archived", "managed"), ("node-22", "archived", "base")}
    (outcome,) = analysis.outcomes
    assert outcome == Done(
        "web", ("enrolled as managed", "restored from the archive of 2026-03-01 12:00 UTC", "built on node-22")
    )


def test_of_several_the_newest_comes_back_and_the_others_stay(world: World) -> None:
    removed(world)
    world.enroll("web")
    run(world, Handover("web", tag="1.3", digest=NEW))
    world.enroll()
    run(world)
    (newer,) = files(world, "_archive/images/web")
    old = world.root / "state/_archive/images/web/2020-01-01T000000Z.yaml"
    old.write_text(world.state(newer).replace("1.3", "1.0").replace("2026-03-02", "2020-01-01"))
    world.enroll("web")

    run(world)

    assert record(world, "images/web")["currentVersion"] == "1.3"
    assert files(world, "_archive/images/web") == {"_archive/images/web/2020-01-01T000000Z.yaml"}


CONFLICTS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "another repository": ({"repository": "acme/shop"}, "it was ghcr.io/acme/web, and is ghcr.io/acme/shop now"),
    "another registry": ({"registry": "quay.io"}, "it was ghcr.io/acme/web, and is quay.io/acme/web now"),
    "another kind": ({"source": None, "tag": "1"}, "it was managed, and is external now"),
}


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_what_is_another_image_now_begins_anew_and_says_why(world: World, conflict: str) -> None:
    fields, reason = CONFLICTS[conflict]
    removed(world)
    entry = {key: value for key, value in {**world.managed("web"), **fields}.items() if value is not None}
    world.enroll(entry)

    analysis = run(world)

    state = record(world, "images/web")
    assert not {"updateHistory", "rebuildHistory", "currentDigest"} & state.keys()
    assert len(files(world, "_archive/images/web")) == 1
    (outcome,) = analysis.outcomes
    assert isinstance(outcome, Done)
    assert reason in outcome.changes[1]
    assert "cleanup restore web --history-only" in outcome.changes[1]
    assert ("web", "archived", "managed") not in steps(analysis)


@pytest.mark.parametrize("text", ["", "half: [", "name: web\n", b"\xff\xfe"], ids=repr)
def test_an_archived_file_that_cannot_be_read_is_said_and_left(world: World, text: str | bytes) -> None:
    past = removed(world)
    bad = world.root / "state/_archive/images/web/2026-03-01T130000Z.yaml"
    bad.write_bytes(text if isinstance(text, bytes) else text.encode())
    world.enroll("web")

    analysis = run(world)

    assert [bad.name in str(problem) for problem in analysis.problems] == [True]
    assert bad.read_bytes() == (text if isinstance(text, bytes) else text.encode())
    assert record(world, "images/web")["rebuildHistory"] == past["rebuildHistory"]


def test_an_archived_record_that_is_none_is_said_and_left(world: World) -> None:
    removed(world)
    (path,) = files(world, "_archive/images/web")
    file = world.root / "state" / path
    file.write_text(file.read_text().replace("discoveryStatus: success", "discoveryStatus: fine"))
    world.enroll("web")

    analysis = run(world)

    assert "fine" in str(analysis.problems[0])
    assert files(world, "_archive/images/web") == {path}
    assert "rebuildHistory" not in record(world, "images/web")


def test_two_archivings_of_one_second_get_a_file_each(world: World) -> None:
    removed(world)
    world.now -= world.now - type(world.now).fromisoformat("2026-03-01T12:00:00+00:00")
    world.enroll(world.managed("web", repository="acme/shop"))
    run(world)
    world.enroll()

    run(world)

    assert {Path(path).name for path in files(world, "_archive/images/web")} == {
        "2026-03-01T120000Z.yaml",
        "2026-03-01T120000Z-2.yaml",
    }


@pytest.mark.parametrize(("until", "comes_back"), [(None, True), ("2026-04-01", True), ("2026-03-02", False)])
def test_a_hold_that_has_not_ended_comes_back_too(world: World, until: str | None, *, comes_back: bool) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    run(world)
    bench = world.bench()
    hold = Hold.model_validate({"name": "web", "image": "web", "reason": "flaky", "at": world.now, "until": until})
    bench.store.apply(bench.store.plan(holds=[hold]))
    world.enroll()
    run(world)
    world.later(days=3)
    world.enroll("web")

    run(world)

    assert ("holds/web.yaml" in files(world)) == comes_back


# --- told and counted ----------------------------------------------------------------------------


def test_transitions_are_logged_with_what_they_were_and_are(caplog: pytest.LogCaptureFixture) -> None:
    from image_factory.decide.lifecycle import Standing

    caplog.set_level(logging.INFO, logger="image_factory")

    log_transitions([Transition("web", Standing.MANAGED, Standing.ARCHIVED, "removed")])

    fields = vars(caplog.records[0])
    assert [fields[key] for key in ("image", "op", "from", "to", "reason")] == [
        *("web", "lifecycle", "managed", "archived", "removed")
    ]


def test_transitions_are_counted_by_what_they_were_and_are(world: World) -> None:
    removed(world)
    world.enroll("web")

    text = format_samples(count_transitions(run(world).transitions))

    assert 'image_factory_lifecycle_transitions_total{from="archived",to="managed"} 1' in text.splitlines()


def test_an_external_image_that_moves_is_recorded_and_told_although_nothing_depends_on_it(world: World) -> None:
    world.enroll({"name": "postgres", "repository": "postgres", "tag": "16"})
    run(world)
    world.registry.push_image("library/postgres", "16", seed="first")
    watch(world)
    world.later(days=2)
    world.registry.push_image("library/postgres", "16", seed="second")
    bench = world.bench()

    seen = observe(bench)
    bench.store.apply(seen.changes)

    assert len(record(world, "images/postgres")["updateHistory"]) == 2
    assert [event.image for event in seen.events] == ["postgres"]
    assert files(world, "rebuild-requests") == set()
