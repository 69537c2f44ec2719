"""Open requests are read with what is enrolled for them, and written without losing what others wrote."""

from __future__ import annotations

from typing import Any

import pytest

from image_factory.errors import NotFound
from image_factory.model.request import Dispatch, RebuildRequest, RequestStatus
from image_factory.usecases.analyze import analyze
from image_factory.usecases.requests import open_requests, plan_requests


@pytest.fixture
def bench(world: Any) -> Any:
    for name in ("api", "web"):
        world.service(name, "FROM scratch\n")
    world.enroll("api", "web")
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)
    return bench


def request(name: str = "web", status: str = "requested", **fields: Any) -> RebuildRequest:
    given = {"name": name, "request_id": f"{name}-r1", "status": status, "requested_at": "2026-03-01", "reason": "due"}
    return RebuildRequest.model_validate({**given, **fields})


def ask(bench: Any, *requests: RebuildRequest) -> None:
    bench.store.apply(bench.store.plan(requests=requests))


def everything(_: RebuildRequest) -> bool:
    return True


def test_the_order_is_by_priority_then_age_then_name(bench: Any) -> None:
    ask(bench, request("web", priority=1), request("api", priority=1, requested_at="2026-03-02"))

    assert [each.name for each in open_requests(bench, everything).requests] == ["web", "api"]


def test_named_images_are_read_alone_with_their_problems(bench: Any, world: Any) -> None:
    ask(bench, request("web"), request("api"))
    (world.root / "state/rebuild-requests/api.yaml").write_text("[")

    assert open_requests(bench, everything, ["web"]).problems == {}
    assert list(open_requests(bench, everything).problems) == ["api"]


def test_a_file_that_cannot_be_read_is_told_of_even_where_nothing_else_is_open(bench: Any, world: Any) -> None:
    ask(bench, request("web"))
    (world.root / "state/rebuild-requests/web.yaml").write_text("[")

    found = open_requests(bench, everything)

    assert (found.requests, list(found.broken)) == ((), ["web"])


def test_without_images_yaml_an_open_request_cannot_be_worked_on(bench: Any, world: Any) -> None:
    ask(bench, request("web"))
    world.bench().images_file.unlink()

    with pytest.raises(NotFound):
        open_requests(world.bench(), everything)


def test_an_image_that_became_external_is_gone(bench: Any, world: Any) -> None:
    ask(bench, request("web"))
    world.enroll("api", {"name": "web", "registry": "ghcr.io", "repository": "acme/web", "tag": "1"})

    assert open_requests(world.bench(), everything).gone == {"web"}


def test_a_file_of_enrollments_that_cannot_be_read_gives_nothing_up(bench: Any, world: Any) -> None:
    ask(bench, request("web"))
    (world.root / "images.yaml").write_text("nonsense: [")

    found = open_requests(world.bench(), everything)

    assert (found.requests, found.gone, list(found.problems)) == ((), frozenset(), ["web"])


def test_writing_no_request_reads_and_changes_nothing(bench: Any) -> None:
    bench.store.requests = None

    assert plan_requests(bench, []) == ()


def test_a_request_that_was_settled_meanwhile_stays_settled_and_keeps_its_history(bench: Any) -> None:
    settled = request(status="succeeded", version="0.0.2")
    ask(bench, settled)
    bench.store.apply(plan_requests(bench, [settled]))

    late = request(status="dispatched", dispatch=Dispatch(at=settled.requested_at, run_id="7"))

    assert plan_requests(bench, [late]) == ()


def test_what_was_started_is_told_in_the_history_of_its_image_once(bench: Any) -> None:
    started = request(status="dispatched", dispatch={"at": "2026-03-01", "runId": "7"})
    for _ in range(2):
        bench.store.apply(plan_requests(bench, [started]))

    (build,) = bench.store.images().records["web"].history.rebuild_history
    assert (build.run_id, build.result) == ("7", "started")
    assert bench.store.requests().records["web"].status is RequestStatus.DISPATCHED
