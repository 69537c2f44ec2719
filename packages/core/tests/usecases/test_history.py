"""History: one timeline of digests and rebuilds, newest first, with what was archived."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import InvalidState, NotFound
from image_factory.model.image_state import Build
from image_factory.model.request import Dispatch, RebuildRequest, RequestStatus
from image_factory.state.archive import archived_text
from image_factory.state.merge import record_build, record_rebuild
from image_factory.usecases.analyze import analyze
from image_factory.usecases.history import EntryKind, History, history_to_json, read_history
from image_factory.usecases.observe import observe

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any

BUILT = f"sha256:{'b' * 64}"


def step(world: World, act: Any) -> None:
    bench = world.bench()
    bench.store.apply(act(bench).changes)


@pytest.fixture
def web(world: World) -> World:
    """web on node, which moved once and was taken in by a rebuild."""
    world.registry.push_image("library/node", "22", seed="first")
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    step(world, analyze)
    step(world, observe)
    world.later(days=1)
    world.registry.push_image("library/node", "22", seed="second")
    step(world, observe)
    world.later(days=7)
    rebuild(world, "web-1", causes=({"base": "node-22", "to": f"sha256:{'c' * 64}"},), url="https://ci/1")
    return world


def rebuild(world: World, request_id: str, digest: str | None = BUILT, **fields: Any) -> None:
    bench = world.bench()
    build = Build(
        at=world.now, reason="due", trigger="policy", result="succeeded", request_id=request_id, digest=digest, **fields
    )
    state = record_rebuild(bench.store.images().records["web"], build)
    state = record_build(state, version="1.1.0", digest=digest, at=world.now + timedelta(minutes=5))
    bench.store.apply(bench.store.plan([state]))


def kinds(history: History) -> list[EntryKind]:
    return [entry.kind for entry in history.entries]


def test_a_rebuild_and_the_digest_that_it_brought_are_one_entry(web: World) -> None:
    history = read_history(web.bench(), "web")

    assert kinds(history) == [EntryKind.REBUILD, EntryKind.ENROLLED]
    told = history_to_json(history)["entries"][0]
    assert (told["at"], told["result"], told["digest"]) == ("2026-03-09T12:00:00Z", "succeeded", BUILT)
    assert (told["url"], told["causes"][0]["base"], told["emergency"]) == ("https://ci/1", "node-22", False)


def test_a_base_tells_its_moves_from_the_newest_on(web: World) -> None:
    history = read_history(web.bench(), "node-22")

    assert kinds(history) == [EntryKind.DIGEST, EntryKind.DIGEST, EntryKind.DISCOVERED]
    newest, first = history_to_json(history)["entries"][:2]
    assert (newest["at"], newest["from"], first["from"]) == ("2026-03-02T12:00:00Z", first["to"], None)


def test_a_build_of_the_owner_s_ci_is_a_digest_of_its_own(web: World) -> None:
    web.later(hours=1)
    bench = web.bench()
    state = record_build(bench.store.images().records["web"], version=None, digest=f"sha256:{'d' * 64}", at=web.now)
    bench.store.apply(bench.store.plan([state]))

    assert kinds(read_history(web.bench(), "web"))[:2] == [EntryKind.DIGEST, EntryKind.REBUILD]


def test_an_emergency_is_marked(web: World) -> None:
    web.later(hours=1)
    rebuild(web, "web-2", f"sha256:{'e' * 64}", cve="CVE-2026-1")

    told = history_to_json(read_history(web.bench(), "web"))["entries"][0]

    assert (told["cve"], told["emergency"]) == ("CVE-2026-1", True)


@pytest.mark.parametrize(
    ("request_id", "expected"),
    [
        pytest.param("web-2", [("web-2", "dispatched"), ("web-1", "succeeded")], id="one that is under way is told"),
        pytest.param("web-1", [("web-1", "succeeded")], id="one that the history has is told once"),
    ],
)
def test_the_latest_request(web: World, request_id: str, expected: list[tuple[str, str]]) -> None:
    bench = web.bench()
    at = web.now + timedelta(hours=1)
    request = RebuildRequest(
        name="web",
        request_id=request_id,
        status=RequestStatus.DISPATCHED,
        requested_at=at,
        reason="due",
        dispatch=Dispatch(at=at, run_id="7", url="https://ci/7"),
    )
    bench.store.apply(bench.store.plan(requests=[request]))

    builds = [entry.build for entry in read_history(web.bench(), "web").entries if entry.build is not None]

    assert [(build.request_id, build.result) for build in builds] == expected


def archive(world: World, path: str, *, at: str, keep: bool = False) -> None:
    file = world.root / "state" / path
    folder = world.root / "state" / "_archive" / path.removesuffix(".yaml")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{at}.yaml").write_text(archived_text(file.read_text(), at=world.now, reason="it is not enrolled"))
    if not keep:
        file.unlink()


def test_what_is_archived_is_told_where_nothing_else_is_left(web: World) -> None:
    archive(web, "images/web.yaml", at="2026-03-09T120000Z")

    history = read_history(web.bench(), "web")

    assert kinds(history) == [EntryKind.ARCHIVED, EntryKind.REBUILD, EntryKind.ENROLLED]
    assert history.entries[0].reason == "it is not enrolled"


def test_what_is_archived_and_live_is_told_once(web: World) -> None:
    archive(web, "images/web.yaml", at="2026-03-09T120000Z", keep=True)
    web.later(days=1)
    rebuild(web, "web-2", f"sha256:{'e' * 64}")

    told = read_history(web.bench(), "web").entries

    assert [entry.build.request_id for entry in told if entry.build is not None] == ["web-2", "web-1"]
    assert [entry.kind for entry in told].count(EntryKind.ENROLLED) == 1


def test_a_file_of_the_archive_that_cannot_be_read_is_said_beside_the_rest(web: World) -> None:
    archive(web, "images/web.yaml", at="2026-03-09T120000Z", keep=True)
    (web.root / "state/_archive/images/web/2026-03-01T120000Z.yaml").write_text("name: web\n")

    history = read_history(web.bench(), "web")

    assert EntryKind.REBUILD in kinds(history)
    assert ["2026-03-01T120000Z.yaml" in str(problem) for problem in history.problems] == [True]


def test_a_limit_keeps_the_newest_and_says_how_many_there_are(web: World) -> None:
    history = read_history(web.bench(), "node-22", limit=1)

    assert (kinds(history), history.total) == ([EntryKind.DIGEST], 3)


def test_a_name_that_nobody_knows_is_an_error(web: World) -> None:
    with pytest.raises(NotFound, match="'nope'"):
        read_history(web.bench(), "nope")


def test_a_record_that_cannot_be_read_is_no_unknown_name(web: World) -> None:
    (web.root / "state/images/web.yaml").write_text("name: [\n")

    with pytest.raises(InvalidState):
        read_history(web.bench(), "web")
