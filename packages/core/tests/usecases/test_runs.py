"""Runs: one image's, newest first, in pages; and started again only once they have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from image_factory.errors import Conflict, RemoteNotFound, UserError
from image_factory.hookspecs import hookimpl
from image_factory.ports import BuildRequest, BuildRun, BuildTrigger, RunStatus
from image_factory.usecases.runs import list_runs, relative_time, rerun, run_to_json

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_run(number: int, status: RunStatus = RunStatus.FAILED) -> BuildRun:
    at = NOON + timedelta(minutes=number)
    return BuildRun(str(number), status, f"https://ci/{number}", "main", "f" * 40, f"Build {number}", at)


@dataclass
class Trigger:
    """A provider with runs of one workflow."""

    found: Sequence[BuildRun] = ()
    name: str = "git"
    again: list[str] = field(default_factory=list)
    asked: list[BuildRequest] = field(default_factory=list)

    def runs(self, request: BuildRequest, *, page: int = 1, page_size: int = 20) -> Sequence[BuildRun]:
        self.asked.append(request)
        return self.found[(page - 1) * page_size : page * page_size]

    def run(self, request: BuildRequest, run_id: str) -> BuildRun:
        for run in self.found:
            if run.id == run_id:
                return run
        raise RemoteNotFound("no such run")

    def rerun(self, request: BuildRequest, run_id: str) -> None:
        self.again.append(run_id)

    call = start = declared_inputs = find_run = rerun


@pytest.fixture
def trigger(world: Any) -> Trigger:
    trigger = Trigger([a_run(number) for number in (1, 3, 2)])

    @hookimpl
    def register_build_triggers(register: Callable[[BuildTrigger], None]) -> None:
        register(trigger)  # type: ignore[arg-type]  # what runs ask of it, and no more

    plugin = ModuleType("ci")
    plugin.register_build_triggers = register_build_triggers  # type: ignore[attr-defined]
    world.plugins = {"ci": plugin}
    world.enroll({**world.managed("web"), "source": {"provider": "git", "repo": "acme/web", "workflow": "image.yml"}})
    return trigger


def test_runs_are_listed_newest_first_and_of_the_image_s_workflow(world: Any, trigger: Trigger) -> None:
    found = list_runs(world.bench(), "web")

    assert [run.id for run in found.runs] == ["3", "2", "1"]
    assert ([request.workflow for request in trigger.asked], found.has_more) == (["image.yml"], False)


def test_a_full_page_may_have_another_after_it(world: Any, trigger: Trigger) -> None:
    first, second = (list_runs(world.bench(), "web", page=page, page_size=2) for page in (1, 2))

    assert (first.has_more, [run.id for run in second.runs]) == (True, ["2"])


@pytest.mark.parametrize(("page", "size"), [(0, 20), (1, 0), (1, 101)])
def test_a_page_that_there_cannot_be_is_refused(world: Any, page: int, size: int) -> None:
    with pytest.raises(UserError, match="no page"):
        list_runs(world.bench(), "web", page=page, page_size=size)


def test_a_run_that_has_ended_is_started_again(world: Any, trigger: Trigger) -> None:
    assert rerun(world.bench(), "web", "2").title == "Build 2"

    assert trigger.again == ["2"]


def test_a_dry_run_starts_none(world: Any, trigger: Trigger) -> None:
    rerun(world.bench(), "web", "2", dry_run=True)

    assert trigger.again == []


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
def test_a_run_that_has_not_ended_is_not_started_again(world: Any, trigger: Trigger, status: RunStatus) -> None:
    trigger.found = [a_run(1, status)]

    with pytest.raises(Conflict, match=f"run 1 of web is {status}"):
        rerun(world.bench(), "web", "1")

    assert trigger.again == []


def test_another_workflow_s_run_is_not_found(world: Any, trigger: Trigger) -> None:
    with pytest.raises(RemoteNotFound):
        rerun(world.bench(), "web", "99")


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=119), "1 hour ago"),
        (timedelta(hours=23), "23 hours ago"),
        (timedelta(days=2, hours=3), "2 days ago"),
        (timedelta(seconds=-5), "just now"),
    ],
)
def test_a_time_is_told_in_its_largest_whole_unit(ago: timedelta, said: str) -> None:
    assert relative_time(NOON - ago, NOON) == said


def test_a_run_as_json_has_status_sha_message_times_and_link() -> None:
    told = run_to_json(a_run(5))

    assert (told["status"], told["sha"], told["title"]) == ("failed", "f" * 40, "Build 5")
    assert (told["createdAt"], told["updatedAt"], told["url"]) == ("2026-03-01T12:05:00Z", None, "https://ci/5")
