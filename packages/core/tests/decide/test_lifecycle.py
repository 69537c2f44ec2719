"""What images become, as values: who publishes what, what is bound anew, which history goes along."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_factory.decide import lifecycle
from image_factory.decide.discovery import base_configuration
from image_factory.model.enrollment import Enrollment, Source
from image_factory.model.image_state import (
    BaseHistory,
    BaseRuntime,
    BaseSite,
    BaseState,
    Build,
    DigestUpdate,
    ImageConfiguration,
    ImageHistory,
    ImageRuntime,
    ImageState,
)
from image_factory.model.metric import Sample
from image_factory.model.request import RebuildRequest, RequestStatus
from image_factory.oci.reference import Reference, Repository

AT = datetime(2026, 3, 1, tzinfo=UTC)
A, B, C = (f"sha256:{digit * 64}" for digit in "abc")
NODE = Repository("docker.io", "library/node")


def enrollment(name: str, repository: str, *, managed: bool = True) -> Enrollment:
    source = Source(repo="acme/src") if managed else None
    registry, _, path = repository.partition("/")
    return Enrollment(name=name, registry=registry, repository=path, source=source, tag=None if managed else "1")


def image(name: str, repository: str = "ghcr.io/acme/x", *sites: tuple[str, str, str], **parts: Any) -> ImageState:
    """Return an image; a site is the name that it is bound to, the reference and the role."""
    references = tuple(
        BaseSite(name=bound, reference=reference, role=role, file="Dockerfile", line=number)
        for number, (bound, reference, role) in enumerate(sites, 1)
    )
    built_on = {bound for bound, _, role in sites if role in ("final", "stage")}
    configuration = ImageConfiguration(
        name=name,
        enrollment=enrollment(name, repository, managed=parts.pop("managed", True)),
        base_images=tuple(sorted({*built_on, *parts.pop("base_images", ())})),
        secondary_images=tuple(sorted({bound for bound, _, role in sites if role in ("copy", "mount")} - built_on)),
        references=references,
    )
    return ImageState(configuration=configuration, **parts)


def base(name: str = "node-22", reference: str = "node:22", **parts: Any) -> BaseState:
    return BaseState(configuration=base_configuration(name, Reference.parse(reference)), **parts)


def update(day: int, old: str | None, new: str) -> DigestUpdate:
    return DigestUpdate(at=AT + timedelta(days=day), old_digest=old, new_digest=new)


def build(day: int) -> Build:
    return Build(at=AT + timedelta(days=day), reason="due", trigger="policy", result="succeeded")


@pytest.mark.parametrize(
    ("written", "is_sound", "removed"),
    [(["web"], True, ("api",)), (["web"], False, ()), (["web", "api", "new"], True, ()), ([], True, ("api", "web"))],
    ids=["one is gone", "the file has errors", "none is gone", "all are gone"],
)
def test_an_image_is_gone_where_a_sound_file_does_not_name_it(
    written: list[str], is_sound: bool, removed: tuple[str, ...]
) -> None:
    assert lifecycle.decide_removed(["web", "api"], written, is_sound=is_sound) == removed


def test_a_managed_image_publishes_its_repository_until_it_is_gone() -> None:
    known = {
        "old": image("old", "ghcr.io/acme/old"),
        "kept": image("kept", "ghcr.io/acme/kept"),
        "seen": image("seen", "ghcr.io/acme/seen", managed=False),
        "new": image("new", "ghcr.io/acme/before"),
    }
    enrolled = {
        "new": enrollment("new", "ghcr.io/acme/new"),
        "watched": enrollment("watched", "ghcr.io/acme/w", managed=False),
    }

    found = lifecycle.decide_publishers(enrolled, known, gone=["old"])

    assert {str(repository): name for repository, name in found.items()} == {
        "ghcr.io/acme/kept": "kept",
        "ghcr.io/acme/new": "new",
    }


def test_repositories_move_where_their_publisher_is_another_one() -> None:
    before = {Repository("a.io", "x"): "x", Repository("a.io", "y"): "y", Repository("a.io", "z"): "z"}
    after = {Repository("a.io", "x"): "x", Repository("a.io", "y"): "other", Repository("a.io", "new"): "new"}

    assert lifecycle.moved_repositories(before, after) == {"a.io/y", "a.io/z", "a.io/new"}


BINDINGS = {
    "a base becomes managed": (
        (("node-22", "docker.io/library/node:22", "final"),),
        {NODE: "node"},
        (("node",), (), ["node"]),
    ),
    "a managed image becomes a base": (
        (("node", "docker.io/library/node:22", "final"),),
        {},
        (("node-22",), (), ["node-22"]),
    ),
    "what is copied from stays secondary": (
        (("node-22", "docker.io/library/node:22", "copy"), ("alpine-3", "docker.io/library/alpine:3", "final")),
        {NODE: "node"},
        (("alpine-3",), ("node",), ["node", "alpine-3"]),
    ),
    "two tags of one image are one": (
        (("node-22", "docker.io/library/node:22", "final"), ("node-24", "docker.io/library/node:24", "copy")),
        {NODE: "node"},
        (("node",), (), ["node", "node"]),
    ),
    "a digest beside the tag does not matter": (
        (("node-22", f"docker.io/library/node:22@{A}", "final"),),
        {NODE: "node"},
        (("node",), (), ["node"]),
    ),
    "a frontend is no base": (
        (("docker.io/library/node:1", "docker.io/library/node:1", "frontend"), ("a", "docker.io/library/a:1", "final")),
        {},
        (("a",), (), ["docker.io/library/node:1", "a"]),
    ),
    "a repository that begins alike is another one": (
        (("node-js", "docker.io/library/node-js:1", "final"), ("n", "docker.io/library/node/x:1", "stage")),
        {NODE: "node"},
        (("n", "node-js"), (), ["node-js", "n"]),
    ),
}


@pytest.mark.parametrize("case", BINDINGS)
def test_a_reference_is_bound_to_who_publishes_it_now(case: str) -> None:
    sites, publishers, expected = BINDINGS[case]
    names = {"docker.io/library/node:22": "node-22", "docker.io/library/node:24": "node-24"}

    bound = lifecycle.rebind(image("web", "ghcr.io/acme/web", *sites), {str(NODE)}, publishers, names).configuration

    assert (bound.base_images, bound.secondary_images, [site.name for site in bound.references]) == expected


def test_a_base_without_a_site_is_kept_and_an_image_that_nothing_moves_is_the_same() -> None:
    web = image("web", "ghcr.io/a/b", ("node-22", "docker.io/library/node:22", "final"), base_images=("earlier",))

    bound = lifecycle.rebind(web, {str(NODE)}, {NODE: "node"}, {})

    assert bound.configuration.base_images == ("earlier", "node")
    assert lifecycle.rebind(web, {"docker.io/library/alpine"}, {}, {}) is web
    assert lifecycle.rebind(web, (), {}, {}) is web


def test_a_base_that_is_taken_over_is_watched_no_more_and_keeps_the_rest() -> None:
    known = base(
        runtime=BaseRuntime(current_digest=A, problem="tag vanished", rebuild_eligible_at={"web": AT}),
        history=BaseHistory(first_discovered=AT, update_history=(update(0, None, A),)),
    )

    taken = lifecycle.taken_over(known, "node")

    configuration = taken.configuration
    assert (configuration.repo_url, configuration.allow_tags, configuration.image_selection_strategy) == (None,) * 3
    assert configuration.managed_by == "node"
    assert taken.history == known.history
    assert taken.runtime == BaseRuntime(current_digest=A)
    assert lifecycle.taken_over(taken, "node") is taken


ORPHANS = {
    "nothing uses it": ((("alpine-3", "docker.io/library/alpine:3", "final"),), None, True),
    "an image is built on it": ((("node-22", "docker.io/library/node:22", "final"),), None, False),
    "files are copied from it": ((("node-22", "docker.io/library/node:22", "copy"),), None, False),
    "its reference is used though it is managed": ((("node", "docker.io/library/node:22", "final"),), "node", False),
    "another tag of what manages it is used": ((("node", "docker.io/library/node:24", "final"),), "node", True),
    "it is only a frontend": ((("node", "docker.io/library/node:22", "frontend"),), "node", True),
}


@pytest.mark.parametrize("case", ORPHANS)
def test_a_base_that_no_image_is_made_from_is_an_orphan(case: str) -> None:
    sites, manager, is_orphan = ORPHANS[case]
    known = base() if manager is None else lifecycle.taken_over(base(), manager)

    found = lifecycle.find_orphans([image("web", "ghcr.io/acme/web", *sites)], {"node-22": known})

    assert found == (("node-22",) if is_orphan else ())


def test_a_base_that_becomes_managed_gives_its_digests_along() -> None:
    known = base(
        runtime=BaseRuntime(current_digest=B, previous_digest=A, last_updated=AT, metadata={"os": "linux"}),
        history=BaseHistory(
            enrolled_at=AT, update_history=(update(0, None, A), update(1, A, B)), rebuild_history=(build(0),)
        ),
    )
    new = image("node", history=ImageHistory(enrolled_at=AT + timedelta(days=9)))

    joined = lifecycle.history_from_base(new, known)

    assert joined.history == ImageHistory(
        enrolled_at=AT, update_history=known.history.update_history, rebuild_history=(build(0),)
    )
    assert (joined.runtime.current_digest, joined.runtime.previous_digest) == (B, A)
    assert joined.runtime.metadata == {"os": "linux"}


@pytest.mark.parametrize("with_digests", [True, False])
def test_a_managed_image_that_becomes_a_base_gives_its_history_along(with_digests: bool) -> None:
    managed = image(
        "node",
        runtime=ImageRuntime(current_digest=C, previous_digest=B),
        history=ImageHistory(
            enrolled_at=AT, update_history=(update(0, None, B), update(2, B, C)), rebuild_history=(build(1),)
        ),
    )
    known = base(
        runtime=BaseRuntime(current_digest=A),
        history=BaseHistory(first_discovered=AT, update_history=(update(-9, None, A), update(0, None, B))),
    )

    joined = lifecycle.history_from_image(known, managed, with_digests=with_digests)

    own, added = known.history.update_history, (update(2, B, C),)
    assert joined.history == BaseHistory(
        first_discovered=AT,
        enrolled_at=AT,
        update_history=(*own, *added) if with_digests else own,
        rebuild_history=(build(1),),
    )
    assert joined.runtime.current_digest == (C if with_digests else A)


def test_histories_are_joined_by_time_and_none_twice() -> None:
    first, second, third = update(0, None, A), update(1, A, B), update(2, B, C)

    assert lifecycle.joined_history((first, third), (second, third)) == (first, second, third)
    # One side alone stays as it is, out of order though it may be: a clock may have jumped.
    assert lifecycle.joined_history((third, first), ()) == (third, first)
    assert lifecycle.joined_history((), (third, first)) == (third, first)


def test_another_history_is_joined_once() -> None:
    web = image("web", history=ImageHistory(enrolled_at=AT, update_history=(update(1, A, B),)))
    other = ImageHistory(enrolled_at=AT - timedelta(days=9), update_history=(update(0, None, A),))

    joined = lifecycle.with_history(web, other)

    assert joined.history == ImageHistory(
        enrolled_at=other.enrolled_at, update_history=(update(0, None, A), update(1, A, B))
    )
    assert lifecycle.with_history(joined, other) is joined
    node = base(history=BaseHistory(first_discovered=AT))
    known = BaseHistory(first_discovered=AT - timedelta(days=1), rebuild_history=(build(0),))
    assert lifecycle.with_base_history(node, known).history == known
    assert lifecycle.with_base_history(node, BaseHistory()) is node


@pytest.mark.parametrize(
    ("now", "conflicts"),
    [
        (enrollment("web", "ghcr.io/acme/web"), ()),
        (enrollment("web", "ghcr.io/acme/shop"), ("it was ghcr.io/acme/web, and is ghcr.io/acme/shop now",)),
        (enrollment("web", "ghcr.io/acme/web", managed=False), ("it was managed, and is external now",)),
        (enrollment("shop", "ghcr.io/acme/web"), ("it was called web",)),
    ],
    ids=["the same", "another repository", "another kind", "another name"],
)
def test_an_archived_image_comes_back_as_what_it_was_alone(now: Enrollment, conflicts: tuple[str, ...]) -> None:
    assert lifecycle.find_conflicts(image("web", "ghcr.io/acme/web"), now) == conflicts


def test_an_archived_base_comes_back_for_its_reference_alone() -> None:
    other = base_configuration("node-22", Reference.parse("ghcr.io/acme/node:22"))

    assert lifecycle.find_base_conflicts(base(), base().configuration) == ()
    assert lifecycle.find_base_conflicts(base(), other) == (
        "it was docker.io/library/node:22, and is ghcr.io/acme/node:22 now",
    )


@pytest.mark.parametrize("status", RequestStatus)
def test_a_request_is_closed_unless_it_is_settled(status: RequestStatus) -> None:
    request = RebuildRequest(name="web", request_id="r", status=status, requested_at=AT, reason="due")

    closed = lifecycle.closed_request(request, at=AT, problem="it is gone")

    if not status.is_open:
        assert closed is request
        return
    assert (closed.status, closed.finished_at) == (RequestStatus.CANCELLED, AT)
    suffix = "; its build may still be running" if status.is_under_way else ""
    assert closed.problem == f"it is gone{suffix}"


def test_transitions_are_counted_by_what_they_were_and_are() -> None:
    moved = lifecycle.Transition("web", lifecycle.Standing.MANAGED, lifecycle.Standing.BASE, "why")

    assert lifecycle.count_transitions([moved]) == (
        Sample("image_factory_lifecycle_transitions_total", (("from", "managed"), ("to", "base"))),
    )
