"""What is news: a move, a tag that has vanished, an analysis that fails otherwise than before; each once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.notices import decide_analysis_event, decide_base_event, decide_batch, decide_external_event
from image_factory.model.enrollment import Enrollment
from image_factory.model.event import Event, EventKind
from image_factory.model.image_state import (
    BaseConfiguration,
    BaseRuntime,
    BaseState,
    DiscoveryStatus,
    ImageConfiguration,
    ImageRuntime,
    ImageState,
)

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OLD, NEW = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def base(digest: str | None = OLD, problem: str | None = None, **eligible: datetime) -> BaseState:
    return BaseState(
        configuration=BaseConfiguration(
            name="node-22", full_image="docker.io/library/node:22", registry="docker.io", repository="library/node"
        ),
        runtime=BaseRuntime(current_digest=digest, problem=problem, rebuild_eligible_at=eligible),
    )


def image(status: DiscoveryStatus, error: str | None = None) -> ImageState:
    enrollment = Enrollment.model_validate(
        {"name": "web", "registry": "ghcr.io", "repository": "acme/web", "source": {"repo": "acme/web"}}
    )
    return ImageState(
        configuration=ImageConfiguration(name="web", enrollment=enrollment),
        runtime=ImageRuntime(discovery_status=status, discovery_error=error),
    )


def test_a_move_is_told_with_both_digests_and_from_when_each_image_may_be_rebuilt() -> None:
    event = decide_base_event(base(OLD), base(NEW, web=AT + timedelta(days=7)), ["web", "api"], at=AT)

    assert event is not None
    assert (event.kind, event.image, event.at) == (EventKind.BASE_MOVED, "node-22", AT)
    assert (event.facts["Before"], event.facts["Now"]) == (OLD, NEW)
    assert event.facts["Built on it"] == "api, web (may be rebuilt from 2026-03-08 12:00 UTC)"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(base(OLD), base(OLD), id="nothing moved"),
        pytest.param(base(None), base(NEW), id="seen for the first time"),
        pytest.param(base(OLD, "tag vanished: x"), base(OLD, "tag vanished: y"), id="still vanished"),
        pytest.param(base(OLD, "tag vanished: x"), base(OLD), id="back as it was"),
    ],
)
def test_what_is_no_news_is_not_told(old: BaseState, new: BaseState) -> None:
    assert decide_base_event(old, new, ["web"], at=AT) is None


def test_a_tag_that_has_vanished_is_told_with_its_last_digest() -> None:
    event = decide_base_event(base(OLD), base(OLD, "tag vanished: not found"), ["web"], at=AT)

    assert event is not None
    assert event.kind is EventKind.TAG_VANISHED
    assert event.facts["Last digest"] == OLD


def test_of_many_dependents_ten_are_named_and_the_others_counted() -> None:
    event = decide_base_event(base(OLD), base(NEW), [f"image-{number:02}" for number in range(25)], at=AT)

    assert event is not None
    assert event.facts["Built on it"].endswith("image-09 and 15 more")


def test_a_failed_analysis_is_told_with_the_error_and_what_to_do() -> None:
    failed = image(DiscoveryStatus.FAILED, "Dockerfile:1: no FROM")

    for before in (None, image(DiscoveryStatus.SUCCESS), image(DiscoveryStatus.FAILED, "another error")):
        event = decide_analysis_event(before, failed, at=AT, hint="add one")
        assert event is not None
        assert event.facts == {"Error": "Dockerfile:1: no FROM", "What to do": "add one"}


def test_a_failure_that_is_known_and_a_success_are_not_told() -> None:
    failed = image(DiscoveryStatus.FAILED, "no FROM")

    assert decide_analysis_event(failed, failed, at=AT) is None
    assert decide_analysis_event(failed, image(DiscoveryStatus.SUCCESS), at=AT) is None


events = st.builds(
    Event,
    st.sampled_from(EventKind),
    st.sampled_from([AT, AT + timedelta(hours=1)]),
    st.sampled_from(["web", "api"]),
    st.sampled_from(["one", "two"]),
)


@given(st.lists(events, max_size=12))
def test_a_batch_holds_every_event_once_and_failures_come_before_successes(given: list[Event]) -> None:
    batch = decide_batch(given)

    kinds = [event.kind for event in batch]
    assert len(batch) == len({repr(event) for event in given})
    assert all(event in batch for event in given)
    assert kinds == sorted(kinds, key=kinds.index), "a kind stands together"
    if {EventKind.REBUILD_FAILED, EventKind.REBUILD_SUCCEEDED} <= set(kinds):
        assert kinds.index(EventKind.REBUILD_FAILED) < kinds.index(EventKind.REBUILD_SUCCEEDED)


def test_every_kind_has_its_place_in_a_batch() -> None:
    assert len(decide_batch(Event(kind, AT, "web", "it happened") for kind in EventKind)) == len(EventKind)


def external(digest: str | None, version: str | None = "7", problem: str | None = None) -> ImageState:
    enrollment = Enrollment.model_validate({"name": "redis", "repository": "library/redis", "tag": "7"})
    return ImageState(
        configuration=ImageConfiguration(name="redis", enrollment=enrollment),
        runtime=ImageRuntime(current_digest=digest, current_version=version, problem=problem),
    )


def test_a_move_of_an_external_image_is_told_with_versions_and_digests() -> None:
    event = decide_external_event(external(OLD, "16.3"), external(NEW, "16.4"), at=AT)

    assert event is not None
    assert (event.kind, event.image, event.at) == (EventKind.EXTERNAL_MOVED, "redis", AT)
    assert dict(event.facts) == {
        "Image": "docker.io/library/redis", "Version": "16.4", "Version before": "16.3", "Before": OLD, "Now": NEW
    }  # fmt: skip


def test_an_external_image_whose_tag_has_vanished_is_told_with_its_last_digest() -> None:
    event = decide_external_event(external(OLD), external(OLD, problem="tag vanished: x"), at=AT)

    assert event is not None
    assert (event.kind, event.facts["Last digest"]) == (EventKind.TAG_VANISHED, OLD)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(external(OLD), external(OLD), id="nothing moved"),
        pytest.param(external(None, None), external(NEW), id="seen for the first time"),
        pytest.param(external(OLD, problem="x"), external(OLD, problem="y"), id="still vanished"),
        pytest.param(external(OLD, problem="x"), external(OLD), id="back as it was"),
    ],
)
def test_what_is_no_news_of_an_external_image_is_not_told(old: ImageState, new: ImageState) -> None:
    assert decide_external_event(old, new, at=AT) is None
