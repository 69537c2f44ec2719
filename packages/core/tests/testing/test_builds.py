"""The provider in memory keeps to the port, and fails as it is told."""

from __future__ import annotations

import pytest

from image_factory.errors import RemoteNotFound, Unavailable
from image_factory.ports import BuildRequest, BuildTrigger, RunStatus, SourceRepository
from image_factory.testing.builds import Builds


def request(request_id: str = "r1", workflow: str = "web.yml") -> BuildRequest:
    return BuildRequest(SourceRepository("git", None, "acme/web"), "main", workflow, request_id, {"a": "b"})


def test_it_is_a_trigger() -> None:
    builds = Builds()

    assert isinstance(builds, BuildTrigger)
    assert builds.call(request()).json == {"inputs": {"a": "b"}}


def test_a_build_is_started_found_and_followed_to_its_end() -> None:
    builds = Builds()

    run_id = builds.start(request())
    assert run_id is not None
    builds.finish("r1", RunStatus.FAILED, "broken")

    found = builds.find_run(request())
    assert found == builds.run(request(), run_id)
    assert found is not None
    assert (found.status, found.message) == (RunStatus.FAILED, "broken")
    assert builds.find_run(request("r2")) is None
    builds.rerun(request(), run_id)
    assert [run.status for run in builds.runs(request())] == [RunStatus.QUEUED]


def test_a_provider_that_is_behind_shows_its_runs_later() -> None:
    builds = Builds(hides_new=True, tells_ids=False)

    assert builds.start(request()) is None
    assert builds.find_run(request()) is None
    builds.show()
    assert builds.find_run(request()) is not None


@pytest.mark.parametrize(("is_lost", "started"), [(False, 0), (True, 1)])
def test_a_failure_comes_as_often_as_told_before_or_after_the_start(is_lost: bool, started: int) -> None:
    builds = Builds(starts_and_fails=is_lost)
    builds.fail("start:web.yml", Unavailable("no answer"))

    builds.start(request("other", workflow="api.yml"))
    with pytest.raises(Unavailable):
        builds.start(request())

    assert len(builds.started) == 1 + started


def test_an_unknown_run_is_not_found() -> None:
    with pytest.raises(RemoteNotFound):
        Builds().run(request(), "7")
