"""How a request ended follows from its run, and what it published from labels, versions, dates and tags."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_factory.decide.settlement import (
    BASE_DIGEST_LABEL,
    REQUEST_ID_LABEL,
    Candidate,
    check_base,
    choose_publication,
    decide_rebuild_event,
    history_entry,
    judge_run,
    judge_start,
)
from image_factory.model.event import EventKind
from image_factory.model.request import (
    Dispatch,
    EmergencyOrder,
    PinnedDigest,
    RebuildCause,
    RebuildRequest,
    RequestStatus,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIX_HOURS = timedelta(hours=6)
BASE = "docker.io/library/alpine:3.22"


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def request(**fields: Any) -> RebuildRequest:
    given: dict[str, Any] = {
        "name": "web",
        "request_id": "r1",
        "status": RequestStatus.DISPATCHED,
        "requested_at": NOW - timedelta(hours=1),
        "reason": "due",
        "causes": (RebuildCause(base="alpine", to=digest("b"), seen_at=NOW),),
        "digests": (PinnedDigest(reference=BASE, digest=digest("b"), role="final"),),
        "dispatch": Dispatch(at=NOW, run_id="7", url="https://ci/7"),
    }
    return RebuildRequest(**{**given, **fields})


@dataclass(frozen=True)
class Run:
    status: str
    message: str = ""
    id: str = "7"
    url: str = "https://ci/7"
    updated_at: datetime | None = None


@pytest.mark.parametrize(
    ("run", "after", "status", "because"),
    [
        pytest.param(Run("queued"), 0, "dispatched", "run 7 is queued", id="queued"),
        pytest.param(Run("running"), 5.99, "dispatched", "run 7 is running", id="running"),
        pytest.param(Run("running"), 6, "timed-out", "run 7 has not ended within 6 h", id="running for too long"),
        pytest.param(Run("succeeded"), 99, "succeeded", "run 7 succeeded", id="succeeded, however late"),
        pytest.param(Run("failed", "failure"), 0, "failed", "run 7 failed", id="failed"),
        pytest.param(Run("failed", "timed_out"), 0, "failed", "run 7 failed: timed_out", id="failed, in another word"),
        pytest.param(Run("cancelled", "skipped"), 0, "cancelled", "run 7 was cancelled: skipped", id="skipped"),
        pytest.param(None, 5.99, "dispatched", "no run carries its id yet", id="not found yet"),
        pytest.param(None, 6, "timed-out", "no run carries its id", id="not found at all"),
        pytest.param(Run("running"), -1000, "dispatched", "run 7 is running", id="a clock that was set back"),
    ],
)
def test_a_request_stands_as_its_run_does(run: Run | None, after: float, status: str, because: str) -> None:
    verdict = judge_run(request(), run, now=NOW + timedelta(hours=after), timeout=SIX_HOURS)

    assert (str(verdict.status), verdict.because) == (status, because)


@pytest.mark.parametrize(("after", "status"), [(5.99, "dispatched"), (6, "timed-out")])
def test_a_run_that_has_vanished_is_named(after: float, status: str) -> None:
    verdict = judge_run(request(), None, now=NOW + timedelta(hours=after), timeout=SIX_HOURS, vanished="7")

    assert (str(verdict.status), verdict.because) == (status, "its run 7 has vanished")


def test_a_short_time_is_told_in_minutes() -> None:
    verdict = judge_run(request(), Run("running"), now=NOW + SIX_HOURS, timeout=timedelta(minutes=45))

    assert verdict.because == "run 7 has not ended within 45 min"


OURS, THEIRS = {REQUEST_ID_LABEL: "r1"}, {REQUEST_ID_LABEL: "r0"}
LATER, BEFORE = NOW + timedelta(minutes=5), NOW - timedelta(hours=2)


HALF_AN_HOUR = timedelta(minutes=30)


@pytest.mark.parametrize(
    ("fields", "after", "status", "because"),
    [
        pytest.param({}, 29.9, "requested", "Kargo has not started request r1 yet", id="in time"),
        pytest.param({}, 30, "failed", "the cluster did not start it within 30 min", id="too late"),
        pytest.param({"not_before": NOW + SIX_HOURS}, 389, "requested", "Kargo has not started", id="not before"),
        pytest.param({"not_before": NOW + SIX_HOURS}, 390, "failed", "did not start it", id="too late after that"),
        pytest.param({"approved_at": NOW + HALF_AN_HOUR}, 59, "requested", "has not started", id="approved later"),
        pytest.param({"waits_for": ("base",)}, 9999, "requested", "it waits for the rebuild of base", id="a parent"),
        pytest.param({"status": "needs-approval"}, 9999, "needs-approval", "waits for a person", id="no approval"),
        pytest.param({"status": "dispatching", "dispatch": Dispatch(at=NOW)}, 31, "failed", "did not", id="a claim"),
    ],
)
def test_a_request_that_nobody_started_fails_when_its_time_is_up(
    fields: dict[str, Any], after: float, status: str, because: str
) -> None:
    asked = request(**{"requested_at": NOW, "status": "requested", "dispatch": None, **fields})

    verdict = judge_start(asked, now=NOW + timedelta(minutes=after), timeout=HALF_AN_HOUR, is_manual=False)

    assert (str(verdict.status), because in verdict.because) == (status, True), verdict


def test_a_request_that_a_person_is_to_start_has_no_time() -> None:
    asked = request(requested_at=NOW, status=RequestStatus.REQUESTED, dispatch=None)

    verdict = judge_start(asked, now=NOW + timedelta(days=9), timeout=HALF_AN_HOUR, is_manual=True)

    assert verdict.status is RequestStatus.REQUESTED


@pytest.mark.parametrize(
    ("candidates", "current", "chosen"),
    [
        pytest.param([], "1.0.0", None, id="nothing new"),
        pytest.param([("a", ["1.0.9"], {}, None), ("b", ["1.0.1"], OURS, None)], "1.0.0", "b", id="the label wins"),
        pytest.param([("a", ["1.0.1", "latest"], THEIRS, None)], "1.0.0", None, id="another request's label"),
        pytest.param([("a", ["1.0.2"], {}, None), ("b", ["1.0.10"], {}, None)], "1.0.0", "b", id="the highest version"),
        pytest.param([("a", ["0.9.0"], {}, None)], "1.0.0", None, id="a version below the current one"),
        pytest.param([("a", ["1.0.0"], {}, None)], "1.0.0", "a", id="the current version, published anew"),
        pytest.param([("a", ["0.9.0"], {}, None)], None, "a", id="a version where none was known"),
        pytest.param([("a", ["1.0.1"], {}, BEFORE)], "1.0.0", None, id="published before the build"),
        pytest.param(
            [("a", ["x"], {}, NOW), ("b", ["y"], {}, LATER)], "1.0.0", "b", id="the newest where dates are known"
        ),
        pytest.param([("a", ["x"], {}, None), ("b", ["latest"], {}, None)], "1.0.0", "b", id="the followed tag"),
        pytest.param([("a", ["x"], {}, None)], "1.0.0", None, id="a tag that is not followed"),
        pytest.param(
            [("a", ["1.0.1"], {}, NOW - timedelta(minutes=4))], "1.0.0", "a", id="a registry's clock a little behind"
        ),
    ],
)
def test_what_a_build_published_is_chosen(candidates: list[Any], current: str | None, chosen: str | None) -> None:
    listed = [Candidate(digest(letter), tuple(tags), labels, at) for letter, tags, labels, at in candidates]

    found = choose_publication(listed, request(), current_version=current, since=NOW)

    assert (found.digest if found else None) == (digest(chosen) if chosen else None)


@pytest.mark.parametrize(
    ("told", "had", "is_as_asked", "actual"),
    [
        pytest.param(None, "ab", True, None, id="no label"),
        pytest.param("b", "ab", True, None, id="as it was told"),
        pytest.param("a", "ab", False, "a", id="an older one"),
        pytest.param("c", "abc", True, "c", id="a newer one"),
        pytest.param("x", "ab", True, None, id="one that was never seen"),
        pytest.param("a", "aba", True, "a", id="an older one that the base came back to"),
    ],
)
def test_the_base_that_was_built_on_is_compared(
    told: str | None, had: str, is_as_asked: bool, actual: str | None
) -> None:
    labels = {} if told is None else {BASE_DIGEST_LABEL: digest(told)}

    check = check_base(Candidate(digest("f"), ("1",), labels), request(), {BASE: [digest(each) for each in had]})

    assert (check.is_as_asked, check.actual) == (is_as_asked, digest(actual) if actual else None)
    assert (check.problem is None) == is_as_asked


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("needs-approval", None), ("requested", None), ("dispatching", None), ("dispatched", "started"),
        ("succeeded", "succeeded"), ("failed", "failed"), ("timed-out", "timed-out"), ("cancelled", "cancelled"),
    ],
)  # fmt: skip
def test_history_tells_of_what_was_started(status: str, result: str | None) -> None:
    build = history_entry(request(status=RequestStatus(status), inputs="0123456789abcdef"))

    assert (build.result if build else None) == result
    assert build is None or (build.request_id, build.run_id, build.inputs) == ("r1", "7", "0123456789abcdef")


def test_history_tells_of_a_call_without_an_answer_and_of_an_emergency() -> None:
    order = EmergencyOrder(cve="CVE-2026-1", reason="now", actor="alice")
    unsure = Dispatch(at=NOW, error="no answer")

    build = history_entry(request(status=RequestStatus.DISPATCHING, dispatch=unsure, emergency=order))

    assert build is not None
    assert (build.result, build.cve) == ("requested", "CVE-2026-1")


def test_the_end_of_a_rebuild_is_told_once_it_has_ended() -> None:
    assert decide_rebuild_event(request(), at=NOW) is None
    ended = request(status=RequestStatus.TIMED_OUT, problem="too long")

    event = decide_rebuild_event(ended, at=NOW)

    assert event is not None
    assert (event.kind, event.facts["Problem"], event.url) == (EventKind.REBUILD_FAILED, "too long", "https://ci/7")
    assert f"alpine unknown → {digest('b')}" in event.facts["Causes"]
