"""Emergencies: everything that is concerned, at once, with the newest digest that is neither held nor affected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_factory.decide.affected import affected_by_base, find_base, parse_range
from image_factory.decide.emergencies import EmergencyPlan, decide_affected, decide_emergency
from image_factory.decide.orders import Order, parse_order
from image_factory.decide.rebuilds import Facts, Policy, decide_rebuilds
from image_factory.errors import NotFound, UserError
from image_factory.model.enrollment import Enrollment
from image_factory.model.hold import Hold
from image_factory.model.image_state import (
    BaseConfiguration,
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
from image_factory.model.request import Dispatch, EmergencyOrder, RebuildCause, RebuildRequest, RequestStatus
from image_factory.model.settings import Freeze

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
CVE = "CVE-2026-12345"


def d(word: str | int) -> str:
    """Return a digest that is recognized: d(1) is sha256:0001…"""
    return f"sha256:{str(word).encode().hex():0<64}"


def base(name: str, *digests: str, pinned: bool = False) -> BaseState:
    """Return a base that was seen at each digest, an hour apart, the last an hour ago."""
    updates = [
        DigestUpdate(
            at=NOW - timedelta(hours=len(digests) - index),
            oldDigest=digests[index - 1] if index else None,
            newDigest=digest,
        )
        for index, digest in enumerate(digests)
    ]
    reference = f"docker.io/library/{name}:1"
    configuration = BaseConfiguration(
        name=name, full_image=reference, registry="docker.io", repository=f"library/{name}", tag="1", pinned=pinned
    )
    return BaseState(
        configuration=configuration,
        runtime=BaseRuntime(current_digest=digests[-1] if digests else None),
        history=BaseHistory(update_history=tuple(updates)),
    )


def image(name: str, *parents: str, took: Mapping[str, str] | None = None, **fields: Any) -> ImageState:
    """Return a managed image built on `parents`, of which its last build took the digests in `took`."""
    pinned = fields.pop("by_digest", ())
    enrollment = Enrollment.model_validate(
        {"name": name, "registry": "ghcr.io", "repository": f"acme/{name}", "source": {"repo": "acme/x"}, **fields}
    )
    sites = [
        BaseSite(
            name=parent,
            reference=f"docker.io/library/{parent}:1" + (f"@{d(1)}" if parent in pinned else ""),
            role="final",
            file="Dockerfile",
            line=1,
        )
        for parent in parents
    ]
    builds = (
        [
            Build(
                at=NOW - timedelta(days=1),
                reason="due",
                trigger="policy",
                result="succeeded",
                digest=d(f"{name}-now"),
                causes=tuple({"base": parent, "to": digest} for parent, digest in took.items()),
            )
        ]
        if took
        else []
    )
    return ImageState(
        configuration=ImageConfiguration(
            name=name, enrollment=enrollment, base_images=tuple(sorted(parents)), references=tuple(sites)
        ),
        runtime=ImageRuntime(current_digest=d(f"{name}-now")),
        history=ImageHistory(rebuild_history=tuple(builds)),
    )


def facts(
    images: Sequence[ImageState],
    bases: Sequence[BaseState],
    *,
    requests: Sequence[RebuildRequest] = (),
    holds: Sequence[Hold] = (),
    policy: Policy | None = None,
) -> Facts:
    return Facts(
        images={one.name: one for one in images},
        bases={one.name: one for one in bases},
        enrollments={one.name: one.configuration.enrollment for one in images},
        requests={one.name: one for one in requests},
        holds=holds,
        policy=policy or Policy(),
    )


def order(**words: Any) -> Order:
    return parse_order(
        **{"cve": CVE, "reason": "exploited", **({} if "images" in words else {"base": "node"}), **words}
    )


def plan(given: Facts, wanted: Order | None = None, now: datetime = NOW) -> EmergencyPlan:
    wanted = wanted or order()
    affected = decide_affected(wanted, given)
    return decide_emergency(wanted, given, affected, now=now, new_id=lambda name: f"{name}-new")


NODE = base("node", d(1), d(2), d(3))
WEB = image("web", "node", took={"node": d(2)})
API = image("api", "redis", took={"redis": d(9)})
REDIS = base("redis", d(9))


def by_name(found: EmergencyPlan) -> dict[str, RebuildRequest]:
    return {request.name: request for request in found.requests}


# --- whom it concerns ---------------------------------------------------------------------------------


def test_all_that_is_built_on_the_base_is_requested_and_nothing_else() -> None:
    found = plan(facts([WEB, API, image("shop", "web")], [NODE, REDIS]))

    assert set(by_name(found)) == {"web", "shop"}
    assert found.refused == {}


def test_an_image_that_is_no_longer_enrolled_is_left_alone() -> None:
    given = facts([WEB, image("shop", "web")], [NODE])
    gone = Facts(given.images, given.bases, {"web": given.enrollments["web"]})

    assert set(by_name(plan(gone))) == {"web"}


def test_a_stage_that_is_not_built_concerns_nobody() -> None:
    site = BaseSite(name="node", reference="docker.io/library/node:1", role="stage", file="D", line=1, reachable=False)
    unbuilt = WEB.model_copy(update={"configuration": WEB.configuration.model_copy(update={"references": (site,)})})

    found = plan(facts([unbuilt], [NODE]))

    assert found.requests == ()


RANGE_CASES = [
    pytest.param(f"{d(1)}..{d(2)}", {"one", "two"}, id="both ends are in it"),
    pytest.param(f"{d(2)}..{d(2)}", {"two"}, id="one digest"),
    pytest.param(f"..{d(1)}", {"zero", "one"}, id="without a beginning, what is older than the history too"),
    pytest.param(f"{d(1)[:19]}..{d(2)[:19]}", {"one", "two"}, id="digests by their first digits"),
    pytest.param(f"{d(1).removeprefix('sha256:')[:12]}..{d(1)}", {"one"}, id="digits alone"),
    pytest.param(f"{d(3)}..", {"three"}, id="without an end, up to now"),
]


@pytest.mark.parametrize(("span", "names"), RANGE_CASES)
def test_a_range_concerns_those_that_hold_one_of_its_digests(span: str, names: set[str]) -> None:
    images = [
        image(name, "node", took={"node": d(digest)})
        for name, digest in {"zero": 0, "one": 1, "two": 2, "three": 3}.items()
    ]

    assert set(decide_affected(order(digest_range=span), facts(images, [NODE])).images) == names


@pytest.mark.parametrize(
    ("span", "said"),
    [
        pytest.param(f"{d(3)}..{d(1)}", "backwards", id="the wrong way round"),
        pytest.param(f"{d(7)}..{d(3)}", "is no digest of node's history", id="a digest that was never seen"),
        pytest.param("sha256:..", "is no digest", id="too few digits"),
        pytest.param(d(1), "not a range", id="one digest alone"),
        pytest.param("..", "not a range", id="neither end"),
        pytest.param(f"{d(1)}..{d(2)}..{d(3)}", "not a range", id="three ends"),
    ],
)
def test_a_range_that_is_none_is_refused(span: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_range(span, NODE)


def test_digits_that_begin_two_digests_name_neither() -> None:
    twins = base("node", f"sha256:{'a' * 63}1", f"sha256:{'a' * 63}2")

    with pytest.raises(UserError, match="names several digests"):
        parse_range(f"sha256:{'a' * 20}..", twins)


def test_a_digest_that_came_back_is_meant_whenever_it_was_there() -> None:
    span = parse_range(f"{d(2)}..{d(2)}", base("node", d(1), d(2), d(3), d(2), d(4)))

    assert [span.holds(d(digest)) for digest in (1, 2, 3, 4)] == [False, True, True, False]


def test_what_cannot_be_told_counts_as_affected() -> None:
    unknown = image("web", "node")
    moved = base("node", d(1), d(2), d(3))
    assert parse_range(f"{d(1)}..{d(1)}", moved).holds(None)

    child = image("shop", "web", took={"web": d("an older web")})
    found = decide_affected(order(digest_range=f"{d(1)}..{d(1)}"), facts([unknown, child], [moved]))

    assert "shop" in found.images, "which node is in that older web, nobody recorded"


def test_a_child_that_holds_an_older_affected_build_is_concerned_though_its_parent_is_fixed() -> None:
    builds = [
        Build(at=NOW - timedelta(days=at), reason="due", trigger="policy", result="succeeded", digest=d(word),
              causes=({"base": "node", "to": d(took)},))
        for at, word, took in ((3, "bad web", 2), (1, "web-now", 3))
    ]  # fmt: skip
    fixed = WEB.model_copy(update={"history": ImageHistory(rebuild_history=tuple(builds))})
    late, current = image("late", "web", took={"web": d("bad web")}), image("fine", "web", took={"web": d("web-now")})
    given = facts([fixed, late, current], [NODE])

    found = plan(given, order(digest_range=f"{d(2)}..{d(2)}"))

    assert set(by_name(found)) == {"late"}
    request = by_name(found)["late"]
    assert request.waits_for == ()
    assert [(cause.base, cause.from_digest, cause.to) for cause in request.causes] == [
        ("web", d("bad web"), d("web-now"))
    ]


def test_a_child_that_holds_an_older_build_that_is_known_to_be_sound_is_left_alone() -> None:
    builds = [
        Build(at=NOW - timedelta(days=at), reason="due", trigger="policy", result="succeeded", digest=d(word),
              causes=({"base": "node", "to": d(took)},))
        for at, word, took in ((3, "sound web", 1), (1, "web-now", 2))
    ]  # fmt: skip
    affected = WEB.model_copy(update={"history": ImageHistory(rebuild_history=tuple(builds))})
    sound, unknown = image("sound", "web", took={"web": d("sound web")}), image("gone", "web", took={"web": d("?")})

    found = plan(facts([affected, sound, unknown], [NODE]), order(digest_range=f"{d(2)}..{d(2)}"))

    assert set(by_name(found)) == {"web", "gone"}


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("node", "node"),
        ("node:1", "node"),
        ("docker.io/library/node:1", "node"),
        ("web", "web"),
        ("ghcr.io/acme/web:1.2", "web"),
        pytest.param("redis:7", "cache", id="an external image, by its reference"),
    ],
)
def test_a_base_is_named_as_people_write_it(word: str, name: str) -> None:
    external = Enrollment.model_validate({"name": "cache", "repository": "library/redis", "tag": "7"})
    cache = ImageState(configuration=ImageConfiguration(name="cache", enrollment=external))
    given = facts([WEB, cache], [NODE])

    assert find_base(word, given.images, given.bases).name == name


def test_a_base_that_is_not_known_is_refused_with_what_is_near() -> None:
    with pytest.raises(NotFound) as refused:
        find_base("node:99", {}, {"node": NODE})

    assert refused.value.hint == "known of that repository: node"


@pytest.mark.parametrize("word", ["--upload-pack=x", "../../etc/passwd", "${{ x }}", "a b"])
def test_a_base_that_is_no_reference_is_refused_as_unknown(word: str) -> None:
    with pytest.raises(NotFound):
        find_base(word, {}, {"node": NODE})


# --- what it is built with -------------------------------------------------------------------------------


def test_the_newest_digest_is_taken_however_young() -> None:
    slow = image("web", "node", took={"node": d(1)}, rebuildDelay="30d")

    request = by_name(plan(facts([slow], [NODE])))["web"]

    assert (request.status, request.reason, request.not_before) == (RequestStatus.REQUESTED, "emergency", None)
    assert [(pin.reference, pin.digest) for pin in request.digests] == [("docker.io/library/node:1", d(3))]
    assert [(one.base, one.from_digest, one.to) for one in request.causes] == [("node", d(1), d(3))]
    assert request.causes[0].seen_at == NODE.history.update_history[-1].at


def test_other_bases_stay_as_they_are() -> None:
    both = image("web", "node", "redis", took={"node": d(2), "redis": d(9)})
    moved = base("redis", d(9), d(10))

    request = by_name(plan(facts([both], [NODE, moved])))["web"]

    assert {pin.reference: pin.digest for pin in request.digests} == {
        "docker.io/library/node:1": d(3),
        "docker.io/library/redis:1": d(9),
    }
    assert [cause.base for cause in request.causes] == ["node"]


def hold(**fields: Any) -> Hold:
    return Hold.model_validate({"name": "x", "reason": "it breaks", "by": "carol", "at": NOW, **fields})


def test_a_held_digest_is_never_taken() -> None:
    found = plan(facts([image("web", "node", took={"node": d(1)})], [NODE], holds=[hold(digest=d(3))]))

    assert by_name(found)["web"].causes[0].to == d(2)


def test_where_only_held_digests_are_newer_it_is_refused_and_says_by_whom_and_why() -> None:
    found = plan(facts([WEB], [NODE], holds=[hold(digest=d(3), until=NOW + timedelta(hours=1))]))

    assert found.requests == ()
    assert "of node is held by carol until 2026-03-10T13:00:00Z: it breaks" in found.refused["web"].message


def test_a_hold_that_has_ended_holds_nothing() -> None:
    found = plan(facts([WEB], [NODE], holds=[hold(digest=d(3), until=NOW), hold(image="web", until=NOW)]))

    assert by_name(found)["web"].causes[0].to == d(3)


def test_a_held_image_is_refused_with_its_reason() -> None:
    found = plan(facts([WEB], [NODE], holds=[hold(image="web")]))

    assert found.requests == ()
    assert "it is held by carol until a person ends it: it breaks" in found.refused["web"].message


def test_a_digest_of_the_affected_range_is_never_taken() -> None:
    given = facts([image("web", "node", took={"node": d(1)})], [base("node", d(1), d(2), d(3), d(4), d(2))])

    found = plan(given, order(digest_range=f"{d(1)}..{d(2)}"))

    assert found.requests == ()
    assert "no fixed digest of node was seen yet" in found.refused["web"].message


def test_an_affected_digest_that_came_back_is_no_fix_either() -> None:
    given = facts([image("web", "node", took={"node": d(1)})], [base("node", d(1), d(2), d(3), d(4), d(2))])

    found = plan(given, order(digest_range=f"{d(1)}..{d(3)}"))

    assert by_name(found)["web"].causes[0].to == d(4)


def test_a_base_that_is_fixed_already_stays_while_the_parent_is_rebuilt() -> None:
    both = image("shop", "node", "web", took={"node": d(3), "web": d("web-now")})
    bad = image("web", "node", took={"node": d(1)})

    found = by_name(plan(facts([bad, both], [NODE]), order(digest_range=f"{d(1)}..{d(1)}")))

    assert found["web"].causes[0].to == d(3)
    assert found["shop"].waits_for == ("web",)
    assert found["shop"].causes == ()
    assert [pin.digest for pin in found["shop"].digests] == [d(3)], "and not an older one that is no worse"


def test_a_digest_before_the_range_is_no_fix() -> None:
    found = plan(facts([image("web", "node", took={"node": d(3)})], [NODE]), order(digest_range=f"{d(2)}..{d(3)}"))

    assert found.requests == ()
    assert "no fixed digest" in found.refused["web"].message


def test_where_nothing_newer_was_seen_it_is_refused_unless_wanted_anyway() -> None:
    current = image("web", "node", took={"node": d(3)})

    refused = plan(facts([current], [NODE]))
    wanted = plan(facts([current], [NODE]), order(anyway=True))

    assert "no fixed digest of node was seen yet" in refused.refused["web"].message
    assert "--rebuild-anyway" in refused.refused["web"].hint
    request = by_name(wanted)["web"]
    assert request.causes == ()
    assert [pin.digest for pin in request.digests] == [d(3)]


def test_a_base_that_the_dockerfile_pins_cannot_be_fixed_by_a_rebuild() -> None:
    found = plan(facts([image("web", "node", by_digest=("node",), took={"node": d(1)})], [NODE]))

    assert "names node by digest" in found.refused["web"].message


def test_an_image_that_was_never_analyzed_is_refused() -> None:
    given = facts([WEB], [NODE])
    unread = Facts({}, given.bases, given.enrollments)

    found = plan(unread, order(images=["web"]))

    assert "it is not analyzed yet" in found.refused["web"].message


# --- images by name ------------------------------------------------------------------------------------


def test_named_images_are_rebuilt_with_the_newest_of_all_their_bases() -> None:
    both = image("web", "node", "redis", took={"node": d(2), "redis": d(9)})

    found = plan(facts([both], [NODE, base("redis", d(9), d(10))]), order(images=["web"]))

    assert {pin.digest for pin in by_name(found)["web"].digests} == {d(3), d(10)}


def test_a_named_image_is_rebuilt_though_no_base_is_newer() -> None:
    found = plan(facts([API], [REDIS]), order(images=["api"]))

    assert by_name(found)["api"].causes == ()


def test_of_named_images_a_child_waits_for_its_parent() -> None:
    found = plan(facts([WEB, image("shop", "web")], [NODE]), order(images=["shop", "web"]))

    assert by_name(found)["shop"].waits_for == ("web",)
    assert by_name(found)["web"].waits_for == ()


def test_a_named_child_of_a_held_named_parent_keeps_what_it_holds_of_it_and_says_so() -> None:
    moves = tuple(
        DigestUpdate(at=NOW - timedelta(days=at), oldDigest=None, newDigest=d(word))
        for at, word in ((3, "a"), (1, "b"))
    )
    web = WEB.model_copy(update={"history": WEB.history.model_copy(update={"update_history": moves})})
    shop = image("shop", "web", took={"web": d("a")})

    found = plan(facts([web, shop], [NODE], holds=[hold(image="web")]), order(images=["shop", "web"]))

    assert [pin.digest for pin in by_name(found)["shop"].digests] == [d("a")]
    assert "web, which is not rebuilt" in found.notes["shop"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        pytest.param(["nope"], "no image is enrolled as 'nope'", id="not enrolled"),
        pytest.param(["redis"], "redis is not built here", id="external"),
        pytest.param(["../../x"], "no image is enrolled", id="a path"),
    ],
)
def test_an_image_that_nobody_builds_is_refused(names: list[str], said: str) -> None:
    given = facts([WEB], [NODE])
    external = Enrollment.model_validate({"name": "redis", "repository": "library/redis", "tag": "7"})
    given = Facts(given.images, given.bases, {**given.enrollments, "redis": external})

    with pytest.raises(UserError, match=said):
        plan(given, order(images=names))


# --- cascades, order ---------------------------------------------------------------------------------


def test_a_child_waits_for_its_parents_new_digest_and_for_nothing_else() -> None:
    found = by_name(plan(facts([WEB, image("shop", "web"), image("pay", "shop", "node")], [NODE])))

    assert [(found[name].waits_for, found[name].wave) for name in ("web", "shop", "pay")] == [
        ((), 0),
        (("web",), 1),
        (("shop",), 2),
    ]
    assert [pin.digest for pin in found["pay"].digests] == [d(3)], "of its parent nothing is known yet"


def test_the_most_critical_come_first_and_parents_before_them() -> None:
    images = [
        image("parent", "node"),
        image("child", "parent", criticality="critical"),
        image("high", "node", criticality="high"),
        image("low", "node", criticality="low"),
        image("b-normal", "node"),
        image("a-normal", "node"),
    ]

    found = plan(facts(images, [NODE]))

    assert [one.name for one in found.requests] == ["parent", "child", "high", "a-normal", "b-normal", "low"]
    assert [one.priority for one in found.requests] == [-6, -5, -4, -3, -2, -1]


def test_what_a_held_parent_would_bring_is_refused_to_its_children_and_said() -> None:
    found = plan(facts([WEB, image("shop", "web")], [NODE], holds=[hold(image="web")]))

    assert found.requests == ()
    assert "it is built on web, which is not rebuilt: it is held" in found.refused["shop"].message


def test_a_child_with_a_fix_of_its_own_is_rebuilt_though_its_parent_is_not_and_says_so() -> None:
    found = plan(facts([WEB, image("shop", "web", "node")], [NODE], holds=[hold(image="web")]))

    assert by_name(found)["shop"].waits_for == ()
    assert "it is built on web, which is not rebuilt" in found.notes["shop"]


def test_images_in_a_circle_are_refused_and_the_others_rebuilt() -> None:
    found = plan(facts([WEB, image("a", "b", "node"), image("b", "a"), image("c", "b")], [NODE]))

    assert set(by_name(found)) == {"web"}
    assert set(found.refused) == {"a", "b", "c"}


def test_a_long_chain_is_planned_without_recursion_ending_it() -> None:
    chain = [image("i0000", "node", took={"node": d(2)})]
    chain += [image(f"i{number:04}", f"i{number - 1:04}") for number in range(1, 1500)]

    found = affected_by_base(
        NODE, parse_range(f"{d(2)}..{d(2)}", NODE), {one.name: one for one in chain}, {"node": NODE},
        [one.name for one in chain],
    )  # fmt: skip

    assert len(found.images) == 1500


# --- requests that are there already --------------------------------------------------------------------


def request(name: str = "web", **fields: Any) -> RebuildRequest:
    return RebuildRequest.model_validate(
        {"name": name, "requestId": f"{name}-old", "requestedAt": NOW, "reason": "due", **fields}
    )


def asked(first: EmergencyPlan) -> list[RebuildRequest]:
    told = EmergencyOrder(cve=CVE, reason="exploited", actor="alice", audit="000001-0123456789ab")
    return [one.model_copy(update={"emergency": told}) for one in first.requests]


def test_the_same_order_again_changes_nothing() -> None:
    images = [WEB, image("shop", "web", "node")]
    first = plan(facts(images, [NODE]))

    again = plan(facts(images, [NODE], requests=asked(first)), now=NOW + timedelta(hours=1))

    assert again.requests == ()
    assert set(again.kept) == {"web", "shop"}
    assert "requested already (web-new)" in again.kept["web"]


def test_a_newer_digest_than_the_one_requested_takes_its_place() -> None:
    first = plan(facts([WEB], [NODE]))
    moved = base("node", d(1), d(2), d(3), d(4))

    again = plan(facts([WEB], [moved], requests=asked(first)))

    assert by_name(again)["web"].causes[0].to == d(4)


@pytest.mark.parametrize("status", ["needs-approval", "requested"])
def test_a_request_that_is_not_dispatched_becomes_the_emergency_s_under_a_new_id(status: str) -> None:
    waiting = request(status=status, notBefore=NOW + timedelta(days=3), priority=7)

    found = by_name(plan(facts([WEB], [NODE], requests=[waiting])))["web"]

    assert (found.request_id, found.status, found.not_before) == ("web-new", RequestStatus.REQUESTED, None)


def test_what_was_to_be_taken_in_with_it_still_is() -> None:
    both = image("web", "node", "redis", took={"node": d(2), "redis": d(9)})
    cause = RebuildCause(base="redis", from_digest=d(9), to=d(10))
    waiting = request(causes=(cause,))

    found = by_name(plan(facts([both], [NODE, base("redis", d(9), d(10), d(11))], requests=[waiting])))["web"]

    assert {one.base: one.to for one in found.causes} == {"node": d(3), "redis": d(10)}


def test_what_was_to_be_taken_in_and_is_held_by_now_is_not() -> None:
    both = image("web", "node", "redis", took={"node": d(2), "redis": d(9)})
    waiting = request(causes=(RebuildCause(base="redis", from_digest=d(9), to=d(10)),))
    bases = [NODE, base("redis", d(9), d(10))]

    found = by_name(plan(facts([both], bases, requests=[waiting], holds=[hold(digest=d(10))])))["web"]

    assert {one.base: one.to for one in found.causes} == {"node": d(3)}
    assert d(9) in {pin.digest for pin in found.digests}


def test_an_attempt_that_may_have_started_keeps_its_id_for_the_same_digests() -> None:
    first = by_name(plan(facts([WEB], [NODE])))["web"]
    tried = first.model_copy(
        update={"request_id": "web-tried", "dispatch": Dispatch(at=NOW, not_before=NOW + timedelta(hours=4))}
    )

    found = by_name(plan(facts([WEB], [NODE], requests=[tried])))["web"]

    assert found.request_id == "web-tried"
    assert found.dispatch is not None
    assert found.dispatch.not_before is None


@pytest.mark.parametrize("status", ["dispatching", "dispatched"])
def test_a_build_under_way_stays_and_is_said(status: str) -> None:
    under_way = request(status=status, causes=(RebuildCause(base="node", to=d(3)),))

    found = plan(facts([WEB, image("shop", "web")], [NODE], requests=[under_way]))

    assert "under way already (web-old)" in found.kept["web"]
    assert by_name(found)["shop"].waits_for == ("web",)


def test_a_build_under_way_with_another_digest_is_said_to_lack_the_fix() -> None:
    under_way = request(status="dispatched", causes=(RebuildCause(base="node", to=d(2)),))

    found = plan(facts([image("web", "node", took={"node": d(1)}), image("shop", "web")], [NODE], requests=[under_way]))

    assert "does not take in node" in found.refused["web"].message
    assert "again when it has ended" in found.refused["web"].hint
    assert "it is built on web, which is not rebuilt" in found.refused["shop"].message


def test_after_a_failure_the_same_order_requests_again() -> None:
    failed = [one.model_copy(update={"status": RequestStatus.FAILED}) for one in asked(plan(facts([WEB], [NODE])))]

    assert set(by_name(plan(facts([WEB], [NODE], requests=failed)))) == {"web"}


def test_after_it_was_seen_to_the_same_order_changes_nothing() -> None:
    fixed = image("web", "node", took={"node": d(3)})
    done = [one.model_copy(update={"status": RequestStatus.SUCCEEDED}) for one in asked(plan(facts([WEB], [NODE])))]

    by_base = plan(facts([fixed], [NODE], requests=done))
    by_image = plan(facts([fixed], [NODE], requests=done), order(images=["web"]))
    anyway = plan(facts([fixed], [NODE], requests=done), order(images=["web"], anyway=True))

    assert by_base.requests == by_image.requests == ()
    assert by_base.kept["web"] == by_image.kept["web"] == f"rebuilt for {CVE} already"
    assert set(by_name(anyway)) == {"web"}


# --- what it passes, and what comes after --------------------------------------------------------------


def test_neither_delay_nor_window_nor_limit_nor_freeze_nor_approval_holds_it() -> None:
    slow = image("web", "node", took={"node": d(1)}, rebuildDelay="90d", autoRebuild=False)
    busy = [request(f"busy{number}", status="dispatched") for number in range(5)]
    freeze = Freeze.model_validate({"reason": "closed", "from": NOW - timedelta(1), "until": NOW + timedelta(9)})
    policy = Policy(window=timedelta(days=1), max_concurrent=1, freezes=(freeze,))
    given = facts([slow], [NODE], requests=busy, policy=policy)

    found = by_name(plan(given))["web"]

    assert (found.status, found.not_before) == (RequestStatus.REQUESTED, None)
    assert found.approved_at == NOW, "an order of somebody who may is the approval"


def test_after_it_policy_waits_as_ever() -> None:
    built = image("web", "node", took={"node": d(3)})
    moved = base("node", d(1), d(2), d(3), d(4))

    decision = decide_rebuilds(facts([built], [moved]), now=NOW).decisions["web"]

    assert str(decision.reason) == "cooling-down"
    assert decision.until == moved.history.update_history[-1].at + timedelta(days=7)
