"""How long an image is left alone after rebuilds that failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from image_factory.decide.backoff import NOT_STARTED, Failures, backing_off, count_failures, fingerprint
from image_factory.decide.eligibility import Reason
from image_factory.model.enrollment import Source
from image_factory.model.image_state import Build
from image_factory.model.request import RebuildCause, RebuildRequest, RequestStatus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SOURCE = Source(repo="acme/web")


def cause(to: str = "d1", base: str = "node") -> RebuildCause:
    return RebuildCause(base=base, to=to)


def build(
    result: str = "failed",
    to: str = "d1",
    *,
    trigger: str = "policy",
    source: Source | None = SOURCE,
    run_id: str | None = "7",
    problem: str | None = None,
) -> Build:
    inputs = None if source is None else fingerprint([cause(to)], source)
    return Build(
        at=NOON, reason="due", trigger=trigger, result=result, request_id="web-1", inputs=inputs,
        run_id=run_id, finished_at=NOON + HOUR, causes=({"base": "node", "to": to},), problem=problem,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("builds", "expected"),
    [
        pytest.param([], 0, id="none"),
        pytest.param([build(), build()], 2, id="two in a row"),
        pytest.param([build(), build("succeeded"), build()], 1, id="a success ends the row"),
        pytest.param([build("timed-out"), build("cancelled"), build()], 3, id="all ways to come to nothing count"),
        pytest.param([build(), build("cancelled", run_id=None), build()], 2, id="taken back unstarted is no attempt"),
        pytest.param([build(to="d0"), build()], 1, id="other causes end the row"),
        pytest.param([build(to="d0")], 0, id="what failed with other causes says nothing"),
        pytest.param([build(source=Source(repo="acme/other"))], 0, id="nor what failed from another source"),
        pytest.param([build(source=None)], 1, id="a record without inputs is told by its causes"),
        pytest.param([build(), build(trigger="cli")], 1, id="a person asked: the row begins anew"),
        pytest.param([build(), build("started", trigger="cli")], 0, id="a person asked, and it runs"),
        pytest.param([build(), build(trigger="emergency"), build()], 2, id="an emergency is a person's too"),
    ],
)
def test_failures_in_a_row_with_the_same_inputs_count(builds: list[Build], expected: int) -> None:
    found = count_failures(builds, None, [cause()], fingerprint([cause()], SOURCE))

    assert found.count == expected
    assert found.last_at == (NOON + HOUR if expected else None)


@pytest.mark.parametrize(
    ("status", "request_id", "expected"),
    [
        pytest.param(RequestStatus.FAILED, "web-2", 2, id="one that the history lacks counts"),
        pytest.param(RequestStatus.FAILED, "web-1", 1, id="one that it has counts once"),
        pytest.param(RequestStatus.DISPATCHED, "web-2", 1, id="one that is open does not"),
    ],
)
def test_the_latest_request_counts_with_the_history(status: RequestStatus, request_id: str, expected: int) -> None:
    inputs = fingerprint([cause()], SOURCE)
    request = RebuildRequest(
        name="web", request_id=request_id, status=status, requested_at=NOON, reason="due", causes=(cause(),),
        inputs=inputs,
    )  # fmt: skip

    assert count_failures([build()], request, [cause()], inputs).count == expected


def test_inputs_are_told_apart_by_causes_and_source_whatever_their_order() -> None:
    one, other = cause("d1"), cause("d2", "debian")

    assert fingerprint([one, other], SOURCE) == fingerprint([other, one], SOURCE)
    several = [[], [one], [one, other], [cause("d3")]]
    assert len({fingerprint(each, SOURCE) for each in several} | {fingerprint([one], None)}) == 5


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(0, None, id="no failure"),
        pytest.param(1, (Reason.BACKING_OFF, 1), id="one: the delay"),
        pytest.param(2, (Reason.BACKING_OFF, 2), id="two: twice the delay"),
        pytest.param(3, (Reason.BACKING_OFF, 4), id="three: four times the delay"),
        pytest.param(4, (Reason.QUARANTINED, None), id="as many as policy allows: left alone"),
        pytest.param(9, (Reason.QUARANTINED, None), id="more than that"),
    ],
)
def test_each_failure_doubles_the_wait_until_the_image_is_given_up(
    count: int, expected: tuple[Reason, int | None] | None
) -> None:
    wait = backing_off(
        Failures(count, NOON if count else None), retry_delay=HOUR, quarantine_after=4, now=NOON, changes_at=None
    )

    if expected is None:
        assert wait is None
        return
    assert wait is not None
    reason, hours = expected
    assert (wait.reason, wait.until) == (reason, None if hours is None else NOON + hours * HOUR)


@pytest.mark.parametrize(
    ("at", "is_waiting"),
    [
        pytest.param(-59, True, id="a minute before its end"),
        pytest.param(-60, False, id="at its end"),
        pytest.param(1, False, id="a failure in the future, from a clock that was wrong, is not waited for"),
    ],
)
def test_a_wait_ends_after_the_delay(at: int, is_waiting: bool) -> None:
    failures = Failures(1, NOON + timedelta(minutes=at))

    wait = backing_off(failures, retry_delay=HOUR, quarantine_after=3, now=NOON, changes_at=None)

    assert (wait is not None) is is_waiting


def test_a_quarantine_ends_when_other_inputs_are_due() -> None:
    wait = backing_off(Failures(3, NOON), retry_delay=HOUR, quarantine_after=3, now=NOON, changes_at=NOON + HOUR)

    assert wait is not None
    assert wait.until == NOON + HOUR


@pytest.mark.parametrize(
    ("changes", "until"),
    [
        pytest.param(None, 2, id="nothing else is known to come"),
        pytest.param(1, 1, id="other inputs come before the next attempt"),
        pytest.param(3, 2, id="they come after it"),
        pytest.param(0, 2, id="they are there, and failed as well"),
    ],
)
def test_a_wait_ends_when_other_inputs_are_due_before_it(changes: int | None, until: int) -> None:
    changes_at = None if changes is None else NOON + changes * HOUR

    wait = backing_off(Failures(2, NOON), retry_delay=HOUR, quarantine_after=3, now=NOON, changes_at=changes_at)

    assert wait is not None
    assert (wait.reason, wait.until) == (Reason.BACKING_OFF, NOON + until * HOUR)


UNSTARTED = build(run_id=None, problem=f"{NOT_STARTED} within 30 min")


@pytest.mark.parametrize(
    ("builds", "expected"),
    [
        pytest.param([UNSTARTED], (0, True), id="alone"),
        pytest.param([UNSTARTED] * 9, (0, True), id="many in a row"),
        pytest.param([build(), build(), UNSTARTED], (2, True), id="after failures, which still count"),
        pytest.param([UNSTARTED, build()], (1, False), id="before one that was started"),
        pytest.param(
            [build(run_id=None, problem="422: no such input")], (1, False), id="a call that was refused counts"
        ),
    ],
)
def test_what_the_cluster_did_not_start_is_no_failure_of_its_inputs(
    builds: list[Build], expected: tuple[int, bool]
) -> None:
    found = count_failures(builds, None, [cause()], fingerprint([cause()], SOURCE))

    assert (found.count, found.is_unstarted, found.last_at) == (*expected, NOON + HOUR)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_was_not_started_is_tried_again_after_the_delay_however_often(count: int) -> None:
    failures = Failures(count, NOON, is_unstarted=True)

    wait = backing_off(failures, retry_delay=HOUR, quarantine_after=3, now=NOON, changes_at=None)
    over = backing_off(failures, retry_delay=HOUR, quarantine_after=3, now=NOON + HOUR, changes_at=None)

    assert wait is not None
    assert (wait.reason, wait.until, over) == (Reason.BACKING_OFF, NOON + HOUR, None)
    assert wait.because == "the cluster did not start the last rebuild"


def test_a_quarantine_stays_one_where_the_cluster_did_not_start_the_last_attempt() -> None:
    failures = Failures(3, NOON, is_unstarted=True)

    wait = backing_off(failures, retry_delay=HOUR, quarantine_after=3, now=NOON + 9 * HOUR, changes_at=None)

    assert wait is not None
    assert wait.reason is Reason.QUARANTINED
