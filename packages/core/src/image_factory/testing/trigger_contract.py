"""What every `BuildTrigger` must do, as a pytest suite that a provider's own test class inherits.

The fixture plants a repository with two workflows (`plant_workflows`) in a fake of the provider and
says how to let a run end behind the provider's back. Specification: `image_factory.ports.BuildTrigger`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from image_factory.errors import (
    ImageFactoryError,
    RemoteNotFound,
    RemoteRefused,
    UnsafeValue,
)
from image_factory.ports import BuildRequest, BuildTrigger, RunStatus, SourceRepository
from image_factory.testing.git_server import GitServer

BUILD = """\
name: Build
run-name: Build ${{ inputs.request_id }} for ${{ inputs.triggered_by }}
on:
  push:
  workflow_dispatch:
    inputs:
      request_id: {required: true}
      base_images: {default: ""}
      triggered_by: {default: image-factory}
jobs:
  build: {runs-on: ubuntu-latest, steps: [{run: "true"}]}
"""
OTHER = BUILD.replace("name: Build", "name: Other", 1)
FIXED = "name: Fixed\non: [push]\njobs: {}\n"
BROKEN = "on: [workflow_dispatch\njobs: {"


@dataclass(frozen=True, slots=True)
class TriggerWorld:
    """A provider at work on the planted workflows."""

    trigger: BuildTrigger
    repository: SourceRepository
    finish: Callable[[str, RunStatus], None]
    """Let the run of this id be in this state."""
    secret: str = field(default="", repr=False)
    workflow: str = "build.yml"
    other_workflow: str | None = "other.yml"
    """Another workflow of the repository with the same inputs; None where a provider has one pipeline."""
    has_declared_inputs: bool = True
    commit_title: str = "Begin"
    """The first line of the message of the commit that is built."""

    def request(self, request_id: str = "req-1", *, workflow: str | None = None, **inputs: str) -> BuildRequest:
        """Return a build to start, with the request's id among its inputs."""
        given = {"request_id": request_id, **inputs}
        return BuildRequest(self.repository, "main", workflow or self.workflow, request_id, given)


def plant_workflows(server: GitServer, name: str) -> None:
    """Create the repository whose workflows the suite starts, for providers that read `.github/workflows`."""
    files = {"build.yml": BUILD, "other.yml": OTHER, "fixed.yml": FIXED, "broken.yml": BROKEN}
    server.create(name, {f".github/workflows/{file}": text for file, text in files.items()})


class BuildTriggerContract:
    """Inherit it, name the class `Test…`, and give it a fixture `world`."""

    @pytest.fixture
    def world(self) -> TriggerWorld:
        raise NotImplementedError("give the fixture `world` in your test class")

    def test_it_has_every_member_of_the_port_and_a_plain_name(self, world: TriggerWorld) -> None:
        assert isinstance(world.trigger, BuildTrigger)
        assert world.trigger.name.isidentifier()

    # --- the call ------------------------------------------------------------------------------------------

    def test_the_call_says_all_that_starts_the_build_and_no_secret(self, world: TriggerWorld) -> None:
        call = world.trigger.call(world.request("req-42", base_images="a=b"))

        shown = json.dumps(dataclasses.asdict(call))
        assert call.method == "POST"
        assert urlsplit(call.url).scheme in ("http", "https")
        assert urlsplit(call.url).password is None
        assert "req-42" in json.dumps(call.json)
        assert "main" in json.dumps(call.json)
        assert call.accepted
        assert all(200 <= status < 300 for status in call.accepted)
        assert (call.secret is None) != (call.secret_field is None)
        assert not world.secret or world.secret not in shown + repr(world.trigger)

    def test_the_same_request_makes_the_same_call(self, world: TriggerWorld) -> None:
        assert world.trigger.call(world.request()) == world.trigger.call(world.request())

    @pytest.mark.parametrize("ref", ["--force", "a..b", "main\nmain", "${{ x }}", "", "a b"])
    def test_an_unsafe_ref_is_refused(self, world: TriggerWorld, ref: str) -> None:
        with pytest.raises(UnsafeValue):
            world.trigger.call(dataclasses.replace(world.request(), ref=ref))

    @pytest.mark.parametrize("path", ["../../user", "acme/web/../../x", "acme/web?x=1", "acme/..", "", "-x/y", "a b/c"])
    def test_an_unsafe_repository_is_refused(self, world: TriggerWorld, path: str) -> None:
        repository = dataclasses.replace(world.repository, path=path)

        with pytest.raises(UnsafeValue):
            world.trigger.call(dataclasses.replace(world.request(), repository=repository))

    def test_an_input_with_an_odd_name_is_refused(self, world: TriggerWorld) -> None:
        with pytest.raises(UnsafeValue):
            world.trigger.call(dataclasses.replace(world.request(), inputs={"a}} ${{ x": "1"}))

    def test_an_odd_value_stays_a_value(self, world: TriggerWorld) -> None:
        odd = '"; rm -rf / #${{ secrets.X }}\n`id`'

        call = world.trigger.call(world.request(base_images=odd))

        assert odd in _values(call.json)

    # --- runs ----------------------------------------------------------------------------------------------

    def test_a_started_build_is_found_again_and_followed_to_its_end(self, world: TriggerWorld) -> None:
        request = world.request("req-7")

        told = world.trigger.start(request)
        found = world.trigger.find_run(request)

        assert found is not None
        assert told in (None, found.id)
        assert found.status in (RunStatus.QUEUED, RunStatus.RUNNING)
        assert found.ref == "main"
        assert "req-7" in found.title
        assert found.created_at.tzinfo is not None
        for status in (RunStatus.RUNNING, RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED):
            world.finish(found.id, status)
            assert world.trigger.run(request, found.id).status is status

    def test_a_build_that_was_not_started_is_not_found(self, world: TriggerWorld) -> None:
        world.trigger.start(world.request("req-12"))

        assert world.trigger.find_run(world.request("req-1")) is None
        assert world.trigger.find_run(world.request("12")) is None
        assert world.trigger.find_run(world.request("req-.2")) is None

    def test_runs_are_those_of_the_workflow_newest_first_in_pages(self, world: TriggerWorld) -> None:
        for number in range(25):
            world.trigger.start(world.request(f"req-{number}"))
            if world.other_workflow is not None and number % 5 == 0:
                world.trigger.start(world.request(f"other-{number}", workflow=world.other_workflow))

        pages = [world.trigger.runs(world.request(), page=page, page_size=10) for page in (1, 2, 3, 4)]

        assert [len(page) for page in pages] == [10, 10, 5, 0]
        titles = [run.title for page in pages for run in page]
        assert [int(title.split("req-")[1].split()[0]) for title in titles] == list(range(24, -1, -1))

    def test_a_listed_run_tells_the_title_of_its_commit(self, world: TriggerWorld) -> None:
        world.trigger.start(world.request())

        (run,) = world.trigger.runs(world.request())

        assert run.commit_title == world.commit_title

    def test_a_run_is_found_behind_many_newer_ones(self, world: TriggerWorld) -> None:
        world.trigger.start(world.request("req-wanted"))
        for number in range(110):
            world.trigger.start(world.request(f"req-{number}"))

        found = world.trigger.find_run(world.request("req-wanted"))

        assert found is not None
        assert "req-wanted" in found.title

    def test_a_finished_run_is_started_again(self, world: TriggerWorld) -> None:
        request = world.request("req-9")
        world.trigger.start(request)
        found = world.trigger.find_run(request)
        assert found is not None
        world.finish(found.id, RunStatus.FAILED)

        world.trigger.rerun(request, found.id)

        assert world.trigger.run(request, found.id).status in (RunStatus.QUEUED, RunStatus.RUNNING)

    def test_a_running_run_is_not_started_again(self, world: TriggerWorld) -> None:
        request = world.request("req-10")
        world.trigger.start(request)
        found = world.trigger.find_run(request)
        assert found is not None

        with pytest.raises(RemoteRefused):
            world.trigger.rerun(request, found.id)

    def test_an_unknown_run_is_not_found(self, world: TriggerWorld) -> None:
        with pytest.raises(RemoteNotFound) as caught:
            world.trigger.run(world.request(), "999999")

        assert caught.value.hint

    @pytest.mark.parametrize("run_id", ["../1", "1/rerun", "", "-1", "1?x", "abc"])
    def test_an_id_that_is_none_is_refused(self, world: TriggerWorld, run_id: str) -> None:
        with pytest.raises(UnsafeValue):
            world.trigger.run(world.request(), run_id)
        with pytest.raises(UnsafeValue):
            world.trigger.rerun(world.request(), run_id)

    # --- refusals ------------------------------------------------------------------------------------------

    def test_the_declared_inputs_are_told_before_anything_is_started(self, world: TriggerWorld) -> None:
        declared = world.trigger.declared_inputs(world.request())

        expected = frozenset({"request_id", "base_images", "triggered_by"}) if world.has_declared_inputs else None
        assert declared == expected

    def test_an_undeclared_input_is_refused_where_inputs_are_declared(self, world: TriggerWorld) -> None:
        if not world.has_declared_inputs:
            world.trigger.start(world.request(surprise="1"))
            assert list(world.trigger.runs(world.request())) != []
            return

        with pytest.raises(RemoteRefused, match="surprise") as caught:
            world.trigger.start(world.request(surprise="1"))

        assert caught.value.hint

    def test_a_branch_that_does_not_exist_starts_nothing(self, world: TriggerWorld) -> None:
        with pytest.raises((RemoteRefused, RemoteNotFound)):
            world.trigger.start(dataclasses.replace(world.request(), ref="no-such-branch"))

        assert list(world.trigger.runs(world.request())) == []

    def test_nothing_shown_or_logged_holds_the_secret(
        self, world: TriggerWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        world.trigger.start(world.request())
        with pytest.raises(ImageFactoryError) as caught:
            world.trigger.run(world.request(), "999999")

        shown = f"{caught.value} {caught.value.hint} {caught.value!r} {caught.value.__cause__!r}"
        assert not world.secret or world.secret not in shown + caplog.text


def _values(value: object) -> list[object]:
    if isinstance(value, dict):
        return [inner for item in value.values() for inner in _values(item)]
    if isinstance(value, (list, tuple)):
        return [inner for item in value for inner in _values(item)]
    return [value]
