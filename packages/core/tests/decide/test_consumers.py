"""What an entry of `updates` needs, given its record; the gate; and the ids under which versions are carried."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.consumers import (
    Step,
    check_gate,
    decide_step,
    entry_keys,
    find_consumer,
    latest_id,
    recorded,
    shown_version,
    update_id,
)
from image_factory.errors import VerificationError
from image_factory.model.enrollment import Enrollment, Update
from image_factory.model.image_state import Consumer, ConsumerStatus

AT = datetime(2026, 3, 1, tzinfo=UTC)
ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def entry(**fields: Any) -> Update:
    return Update.model_validate({"repo": "acme/deploy", "path": "pod.yaml", "type": "yaml-update", **fields})


def consumer(status: ConsumerStatus = ConsumerStatus.CURRENT, **fields: Any) -> Consumer:
    told = {"repo": "acme/deploy", "path": "pod.yaml", "type": "yaml-update", "branch": "main", "at": AT}
    return Consumer.model_validate({**told, "status": status, "version": "1.0", "digest": ONE, **fields})


STEPS = {
    "what is new is carried": (None, Step.CARRY),
    "what names it rests": (consumer(ConsumerStatus.CURRENT), Step.REST),
    "what was pushed is read again": (consumer(ConsumerStatus.PUSHED), Step.VERIFY),
    "what is proposed is read again": (consumer(ConsumerStatus.PROPOSED), Step.VERIFY),
    "what was taken back rests": (consumer(ConsumerStatus.REVERTED), Step.REST),
    "what was declined rests": (consumer(ConsumerStatus.DECLINED), Step.REST),
    "what failed is tried again": (consumer(ConsumerStatus.FAILED), Step.CARRY),
}


@pytest.mark.parametrize(("known", "step"), STEPS.values(), ids=STEPS.keys())
def test_the_step_follows_from_the_record(known: Consumer | None, step: Step) -> None:
    assert decide_step(known, "1.0", ONE).step is step


@pytest.mark.parametrize("status", ConsumerStatus)
@pytest.mark.parametrize(("version", "digest"), [("1.1", ONE), ("1.0", TWO), ("1.0", None), (None, ONE)])
def test_another_version_or_digest_is_carried_whatever_became_of_the_last(
    status: ConsumerStatus, version: str | None, digest: str | None
) -> None:
    assert decide_step(consumer(status), version, digest).step is Step.CARRY


def test_what_rests_says_why() -> None:
    problem = consumer(ConsumerStatus.REVERTED, problem="somebody took it back")

    assert decide_step(consumer(), "1.0", ONE).because == "names 1.0 already"
    assert decide_step(problem, "1.0", ONE).because == "somebody took it back"


def test_an_entry_is_known_by_all_that_says_where_it_is() -> None:
    record = consumer(keys=("a", "b"))

    assert find_consumer([consumer(), record], entry(key="a", keys=["b", "a"])) is record
    for other in ({"path": "x.yaml"}, {"repo": "acme/x"}, {"branch": "x"}, {"type": "helm-update-image"}, {}):
        assert find_consumer([record], entry(**{"keys": ["a", "b"], **other} if other else {})) is None


def test_a_key_and_keys_are_one_list() -> None:
    assert entry_keys(entry()) == ()
    assert entry_keys(entry(key="a", keys=["b", "a"])) == ("a", "b")


@pytest.mark.parametrize("value", [{"signed": True}, {}], ids=["with rules", "empty"])
@pytest.mark.parametrize("asked", ["verification", "policy"])
def test_what_must_be_proven_is_refused_and_exemptions_lift_nothing(asked: str, value: dict[str, Any]) -> None:
    exemptions = [{"owner": "us", "reason": "x", "expiry": "2099-01-01", "policy": asked}]
    fields = {"name": "web", "registry": "ghcr.io", "repository": "acme/web", "source": {"repo": "acme/web"}}
    enrollment = Enrollment.model_validate({**fields, asked: value, "exemptions": exemptions})

    with pytest.raises(VerificationError, match=f"web asks for {asked}") as caught:
        check_gate(enrollment)

    assert caught.value.exit_code == 4
    check_gate(Enrollment.model_validate(fields))


names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,6}[a-z0-9])?", fullmatch=True)
versions = st.none() | st.sampled_from(["1.0", "1.1", "latest"])
entries = st.builds(entry, path=names.map("{}.yaml".format), key=st.none() | st.sampled_from(["a", "b.c"]))
carried = st.tuples(names, entries, versions, st.none() | st.sampled_from([ONE, TWO]))


@given(one=carried, other=carried)
def test_an_id_is_the_same_for_the_same_and_for_nothing_else(one: Any, other: Any) -> None:
    same = (one[0], entry_keys(one[1]), one[1].path, *one[2:]) == (
        other[0],
        entry_keys(other[1]),
        other[1].path,
        *other[2:],
    )

    assert (update_id(*one) == update_id(*other)) is same


@given(history=st.lists(carried, max_size=6), one=carried)
def test_the_latest_id_of_an_entry_is_found_among_those_of_others(history: Any, one: Any) -> None:
    ids = [update_id(*item) for item in history]
    mine = [
        update_id(*item)
        for item in history
        if item[0] == one[0] and (item[1].path, entry_keys(item[1])) == (one[1].path, entry_keys(one[1]))
    ]

    assert latest_id(ids, one[0], one[1]) == (mine[0] if mine else None)


def test_a_record_that_says_nothing_else_stays_as_it_is() -> None:
    known = consumer()
    later = known.model_copy(update={"at": AT + timedelta(days=1)})

    assert recorded(known, later) is known
    assert recorded(None, later) is later
    changed = later.model_copy(update={"status": ConsumerStatus.FAILED})
    assert recorded(known, changed) is changed


@pytest.mark.parametrize(
    ("version", "digest", "shown"),
    [("1.0", ONE, "1.0"), (None, ONE, "sha256:111111111111"), (None, None, "no version"), ("a\nb\x1b", None, "a b�")],
)
def test_a_version_is_shown_in_one_line(version: str | None, digest: str | None, shown: str) -> None:
    assert shown_version(version, digest) == shown
