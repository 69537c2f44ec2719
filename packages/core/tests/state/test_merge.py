from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_factory.model.enrollment import Enrollment, SelectionStrategy
from image_factory.model.image_state import (
    BaseConfiguration,
    Build,
    DiscoveryStatus,
    ImageConfiguration,
)
from image_factory.state.merge import (
    keep_discovered,
    merge_base,
    merge_image,
    record_build,
    record_digest,
    record_discovery,
    record_problem,
    record_rebuild,
)

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
SECOND = AT.replace(microsecond=0)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def configuration(*, managed: bool = True, **fields: Any) -> ImageConfiguration:
    entry: dict[str, Any] = {"name": "web", "registry": "ghcr.io", "repository": "acme/web"}
    entry |= {"source": {"repo": "acme/web"}} if managed else {"tag": "16"}
    return ImageConfiguration(name="web", enrollment=Enrollment.model_validate(entry), **fields)


def base_configuration(**fields: Any) -> BaseConfiguration:
    return BaseConfiguration(
        name="node-22",
        full_image="docker.io/library/node:22",
        registry="docker.io",
        repository="library/node",
        **fields,
    )


WATCHING: dict[str, Any] = {
    "repo_url": "docker.io/library/node",
    "allow_tags": "^22$",
    "image_selection_strategy": SelectionStrategy.DIGEST,
}


# --- configuration ---------------------------------------------------------------------------------------


def test_a_new_managed_image_is_pending_since_it_was_enrolled() -> None:
    state = merge_image(None, configuration(), at=AT)

    assert state.runtime.discovery_status is DiscoveryStatus.PENDING
    assert state.history.enrolled_at == SECOND


def test_a_new_external_image_is_external_and_watched() -> None:
    state = merge_image(None, configuration(managed=False, **WATCHING), at=AT)

    assert state.runtime.discovery_status is DiscoveryStatus.EXTERNAL
    assert state.configuration.repo_url == "docker.io/library/node"
    assert state.configuration.image_selection_strategy is SelectionStrategy.DIGEST


def test_a_managed_image_is_not_watched_even_if_its_configuration_says_so() -> None:
    state = merge_image(None, configuration(**WATCHING, constraint="^1"))

    assert state.configuration == configuration()


def test_configuration_is_the_new_one() -> None:
    old = merge_image(None, configuration(base_images=("node-20",)), at=AT)

    merged = merge_image(old, configuration(base_images=("node-22",)), at=AT + timedelta(days=1))

    assert merged.configuration.base_images == ("node-22",)
    assert merged.history.enrolled_at == SECOND


def test_an_equal_configuration_gives_the_very_same_record() -> None:
    old = merge_image(None, configuration(), at=AT)
    base = merge_base(None, base_configuration(**WATCHING), at=AT)

    assert merge_image(old, configuration()) is old
    assert merge_base(base, base_configuration(**WATCHING)) is base


def test_a_failed_discovery_keeps_what_was_found_before() -> None:
    old = merge_image(None, configuration(base_images=("node-22",), secondary_images=("uv-0.5",)))

    assert keep_discovered(old, configuration()).base_images == ("node-22",)
    assert keep_discovered(old, configuration()).secondary_images == ("uv-0.5",)
    assert keep_discovered(None, configuration()) == configuration()


@pytest.mark.parametrize(("pinned", "expected"), [(True, None), (False, "^22$")])
def test_a_base_is_watched_unless_it_is_pinned(pinned: bool, expected: str | None) -> None:
    state = merge_base(None, base_configuration(pinned=pinned, **WATCHING), at=AT)

    assert state.configuration.allow_tags == expected
    assert (state.configuration.repo_url is None) is pinned
    assert state.history.first_discovered == SECOND


# --- observations ------------------------------------------------------------------------------------------


def test_a_discovery_moves_its_time_only_if_something_is_new() -> None:
    first = record_discovery(merge_image(None, configuration()), DiscoveryStatus.SUCCESS, at=AT)
    later = AT + timedelta(hours=1)

    again = record_discovery(first, DiscoveryStatus.SUCCESS, at=later)
    learned = record_discovery(first, DiscoveryStatus.SUCCESS, at=later, learned=True)
    failed = record_discovery(first, DiscoveryStatus.FAILED, at=later, error="no Dockerfile")

    assert first.runtime.last_discovery == SECOND
    assert again is first
    assert learned.runtime.last_discovery == SECOND + timedelta(hours=1)
    assert (failed.runtime.discovery_status, failed.runtime.discovery_error) == (
        DiscoveryStatus.FAILED,
        "no Dockerfile",
    )
    assert record_discovery(failed, DiscoveryStatus.SUCCESS, at=later).runtime.discovery_error is None


def test_a_build_sets_version_digest_and_time() -> None:
    first = record_build(merge_image(None, configuration()), version="0.6.3", digest=digest(1), at=AT)
    second = record_build(first, version="0.6.4", digest=digest(2), at=AT + timedelta(days=1))

    assert (first.runtime.current_version, first.runtime.current_digest) == ("0.6.3", digest(1))
    assert first.runtime.last_built == SECOND
    assert second.runtime.previous_digest == digest(1)
    assert record_build(first, version="0.6.3", digest=digest(1), at=AT + timedelta(days=1)) is first
    assert record_build(first, version=None, digest=None, at=AT + timedelta(days=1)) is first


def test_latest_is_no_version_of_a_build() -> None:
    fresh = record_build(merge_image(None, configuration()), version="latest", digest=digest(1), at=AT)
    known = record_build(fresh, version="0.6.3", digest=digest(1), at=AT)

    rebuilt = record_build(known, version="latest", digest=digest(2), at=AT)

    assert fresh.runtime.current_version is None
    assert (rebuilt.runtime.current_version, rebuilt.runtime.current_digest) == ("0.6.3", digest(2))


def test_a_rebuild_is_added_and_one_with_its_request_id_replaced() -> None:
    started = Build(at=AT, reason="a base moved", trigger="base-update", result="running", request_id="r-1")
    done = started.model_copy(update={"result": "succeeded"})
    other = started.model_copy(update={"request_id": None})

    state = record_rebuild(merge_image(None, configuration()), started)
    state = record_rebuild(record_rebuild(state, other), done)

    assert state.history.rebuild_history == (done, other)
    assert record_rebuild(state, done) is state


@pytest.mark.parametrize("fresh", [merge_base(None, base_configuration()), merge_image(None, configuration())])
def test_a_new_digest_sets_five_things(fresh: Any) -> None:
    first = record_digest(fresh, digest(1), at=AT, metadata={"size": 3, "created": AT})
    second = record_digest(first, digest(2), at=AT + timedelta(days=1), metadata={"size": 4}, source="kargo")

    assert second.runtime.current_digest == digest(2)
    assert second.runtime.previous_digest == digest(1)
    assert second.runtime.last_updated == SECOND + timedelta(days=1)
    assert second.runtime.metadata == {"size": 4}
    assert [(entry.old_digest, entry.new_digest, entry.source) for entry in second.history.update_history] == [
        (None, digest(1), "registry"),
        (digest(1), digest(2), "kargo"),
    ]
    assert first.runtime.metadata == {"size": 3, "created": "2026-03-01T12:00:00.123456Z"}


def test_the_same_digest_gives_the_very_same_record() -> None:
    state = record_digest(merge_base(None, base_configuration()), digest(1), at=AT, metadata={"size": 3})

    assert record_digest(state, digest(1), at=AT + timedelta(days=9), metadata={"size": 4}) is state


def test_a_digest_without_metadata_drops_that_of_the_old_one() -> None:
    state = record_digest(merge_base(None, base_configuration()), digest(1), at=AT, metadata={"size": 3})

    assert record_digest(state, digest(2), at=AT).runtime.metadata is None


def test_the_last_ten_updates_stay_and_every_one_that_is_not_absorbed() -> None:
    state = merge_base(None, base_configuration())
    for number in range(1, 14):
        state = record_digest(
            state, digest(number), at=AT + timedelta(days=number), unabsorbed={digest(2), digest(number)}
        )

    kept = [entry.new_digest for entry in state.history.update_history]
    assert kept == [digest(2), *(digest(number) for number in range(4, 14))]


def test_eleven_updates_leave_ten() -> None:
    state = merge_base(None, base_configuration())
    for number in range(11):
        state = record_digest(state, digest(number), at=AT)

    assert [entry.new_digest for entry in state.history.update_history] == [digest(number) for number in range(1, 11)]


def test_a_problem_comes_and_goes_and_a_new_digest_ends_it() -> None:
    state = merge_base(None, base_configuration())

    gone = record_problem(state, "the tag is gone", at=AT)

    assert (gone.runtime.problem, gone.runtime.last_checked) == ("the tag is gone", SECOND)
    assert record_problem(gone, "the tag is gone", at=AT + timedelta(days=1)) is gone
    assert record_problem(gone, None, at=AT).runtime.problem is None
    assert record_digest(gone, digest(1), at=AT).runtime.problem is None


def test_a_build_every_hour_leaves_the_last_ten_digests_and_the_last_of_each_day() -> None:
    state = merge_image(None, configuration())
    for hour in range(24 * 4):
        state = record_build(
            state, version=None, digest=digest(hour), at=SECOND.replace(hour=0) + timedelta(hours=hour)
        )

    kept = [update.new_digest for update in state.history.update_history]
    assert kept == [digest(hour) for hour in (23, 47, 71, 85, *range(86, 96))]


def test_a_move_keeps_the_platforms_of_its_new_digest() -> None:
    base = merge_base(None, base_configuration())

    moved = record_digest(base, digest(1), at=AT, metadata={"platforms": {"linux/amd64": digest(7)}})
    again = record_digest(moved, digest(2), at=AT)

    assert [update.platforms for update in again.history.update_history] == [{"linux/amd64": digest(7)}, None]


def test_a_first_sight_in_the_future_is_put_right_by_the_next_check() -> None:
    later = AT + timedelta(days=30)
    base = record_digest(merge_base(None, base_configuration()), digest(1), at=later)

    same = record_digest(base, digest(1), at=AT)
    moved = record_digest(base, digest(2), at=AT)

    assert [update.at for update in same.history.update_history] == [SECOND]
    assert [update.at for update in moved.history.update_history] == [SECOND, SECOND]
    assert record_digest(same, digest(1), at=later) is same
