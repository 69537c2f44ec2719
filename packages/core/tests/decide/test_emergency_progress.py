"""How an emergency goes on: children are let go with their parents' digests, and the last end is told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_factory.decide.emergency_progress import (
    MAX_NAMED,
    decide_emergency_finished,
    decide_emergency_requested,
    release_children,
)
from image_factory.decide.orders import parse_order
from image_factory.model.enrollment import Enrollment
from image_factory.model.event import EventKind
from image_factory.model.image_state import BaseSite, ImageConfiguration, ImageRuntime, ImageState
from image_factory.model.request import EmergencyOrder, PinnedDigest, RebuildCause, RebuildRequest, RequestStatus

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
OLD, NEW, NODE = (f"sha256:{digit * 64}" for digit in "abc")


def image(name: str, *parents: str) -> ImageState:
    enrollment = Enrollment.model_validate(
        {"name": name, "registry": "ghcr.io", "repository": f"acme/{name}", "source": {"repo": "acme/x"}}
    )
    sites = tuple(
        BaseSite(name=parent, reference=f"ghcr.io/acme/{parent}:1", role="final", file="Dockerfile", line=1)
        for parent in parents
    )
    return ImageState(
        configuration=ImageConfiguration(name=name, enrollment=enrollment, base_images=parents, references=sites),
        runtime=ImageRuntime(current_digest=OLD),
    )


IMAGES = {
    one.name: one for one in (image("web"), image("shop", "web"), image("pay", "shop"), image("two", "web", "shop"))
}


def request(
    name: str, *waits: str, status: str = "requested", audit: str = "000001-a", **fields: Any
) -> RebuildRequest:
    order = EmergencyOrder(cve="CVE-2026-12345", reason="exploited", actor="alice", audit=audit) if audit else None
    given = {"requestId": f"{name}-1", "requestedAt": NOW, "reason": "emergency", "emergency": order}
    return RebuildRequest.model_validate({"name": name, "status": status, "waitsFor": waits, **given, **fields})


def released(*requests: RebuildRequest) -> dict[str, RebuildRequest]:
    found = release_children({one.name: one for one in requests}, IMAGES, now=NOW)
    return {one.name: one for one in found}


def test_while_its_parent_is_open_a_child_waits() -> None:
    for status in ("requested", "dispatching", "dispatched", "needs-approval"):
        assert released(request("web", status=status), request("shop", "web", wave=1)) == {}


def test_a_child_takes_in_what_its_parent_published() -> None:
    cause = RebuildCause(base="node", to=NODE, seen_at=NOW - timedelta(hours=3))
    parent = request("web", status="succeeded", digest=NEW, causes=(cause,))

    found = released(parent, request("shop", "web", wave=1))["shop"]

    assert (found.status, found.waits_for) == (RequestStatus.REQUESTED, ())
    assert found.digests == (PinnedDigest(reference="ghcr.io/acme/web:1", digest=NEW, role="final"),)
    (taken,) = found.causes
    assert (taken.base, taken.from_digest, taken.to, taken.seen_at) == ("web", OLD, NEW, cause.seen_at)


def test_a_parent_whose_digest_is_not_known_gives_the_one_that_it_has_now() -> None:
    found = released(request("web", status="succeeded"), request("shop", "web", wave=1))["shop"]

    assert [pin.digest for pin in found.digests] == [OLD]


def test_a_child_of_two_waits_for_both_and_keeps_what_the_first_brought() -> None:
    first = released(
        request("web", status="succeeded", digest=NEW),
        request("shop", status="dispatched"),
        request("two", "shop", "web"),
    )["two"]

    assert first.waits_for == ("shop",)
    assert [cause.base for cause in first.causes] == ["web"]


@pytest.mark.parametrize("status", ["failed", "timed-out", "cancelled"])
def test_a_parent_that_was_not_rebuilt_takes_all_that_wait_for_it_with_it(status: str) -> None:
    found = released(request("web", status=status), request("shop", "web", wave=1), request("pay", "shop", wave=2))

    assert {name: one.status for name, one in found.items()} == dict.fromkeys(("pay", "shop"), RequestStatus.CANCELLED)
    assert found["shop"].problem == f"web, which it is built on, was not rebuilt: {status}"
    assert found["shop"].finished_at == NOW
    assert found["pay"].problem == "shop, which it is built on, was not rebuilt: cancelled"


def test_what_is_released_already_is_left_alone() -> None:
    parent = request("web", status="succeeded", digest=NEW)
    once = released(parent, request("shop", "web", wave=1))["shop"]

    assert released(parent, once) == {}


def test_a_parent_whose_request_is_gone_holds_nobody_for_ever() -> None:
    assert released(request("shop", "web"))["shop"].waits_for == ()


# --- what is told ------------------------------------------------------------------------------------


def finished(before: list[RebuildRequest], after: list[RebuildRequest]) -> list[tuple[str, dict[str, str]]]:
    events = decide_emergency_finished({one.name: one for one in before}, {one.name: one for one in after})
    assert all(event.kind is EventKind.EMERGENCY_FINISHED for event in events)
    return [(event.summary, dict(event.facts)) for event in events]


def test_the_end_is_told_when_the_last_of_an_order_has_ended() -> None:
    before = [request("web", status="succeeded"), request("shop", status="dispatched")]
    after = [request("web", status="succeeded"), request("shop", status="failed", problem="no space left")]

    ((summary, facts),) = finished(before, after)

    assert summary == "The emergency rebuild for CVE-2026-12345 has ended: 1 of 2 images are rebuilt."
    assert facts["Rebuilt"] == "web"
    assert facts["Not rebuilt"] == "shop (failed: no space left)"
    assert facts["Audit"] == "000001-a"


def test_before_that_and_after_it_nothing_is_told() -> None:
    started, ended = request("web", status="dispatched"), request("web", status="succeeded")
    waiting = request("shop", "web")

    assert finished([started, waiting], [ended, waiting]) == []
    assert finished([ended], [ended]) == []
    assert finished([], []) == []


def test_each_order_has_its_own_end() -> None:
    before = [request("web", status="dispatched"), request("shop", status="dispatched", audit="000002-b")]
    after = [request("web", status="succeeded"), request("shop", status="dispatched", audit="000002-b")]

    ((_, facts),) = finished(before, after)
    assert facts["Audit"] == "000001-a"


def test_what_policy_rebuilds_is_no_emergency() -> None:
    assert (
        finished([request("web", status="dispatched", audit="")], [request("web", status="succeeded", audit="")]) == []
    )


def test_an_order_whose_last_open_request_another_took_is_ended_by_that() -> None:
    before = [request("web", status="succeeded"), request("shop")]
    after = [request("web", status="succeeded"), request("shop", audit="000002-b")]

    ((_, facts),) = finished(before, after)
    assert (facts["Audit"], facts["Rebuilt"]) == ("000001-a", "web")


def test_what_is_requested_is_told_with_who_and_why() -> None:
    order = parse_order(cve="CVE-2026-12345", reason="exploited", base="node:22")
    many = [request(f"i{number:03}") for number in range(MAX_NAMED + 5)]

    event = decide_emergency_requested(order, many, audit="000001-a", actor="alice")

    assert event.kind is EventKind.EMERGENCY_REQUESTED
    assert event.image == "node:22"
    assert event.facts["Ordered by"] == "alice"
    assert event.facts["Images"].endswith("i019 and 5 more")
    assert event.facts["Audit"] == "000001-a"
