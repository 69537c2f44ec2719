"""`settle`: how builds ended is shown and committed, and nothing of those that go on. (More: tests/e2e.)"""

from __future__ import annotations

from typing import Any

import pytest

from image_factory.testing.builds import Builds
from image_factory.testing.image_content import build_image

LABEL = {"image-factory.io/request-id": "web-r1"}


@pytest.fixture
def builds(folder: Any, monkeypatch: pytest.MonkeyPatch) -> Builds:
    """An analyzed image whose build was started by a provider in memory."""
    import image_factory.builtins

    builds = Builds()
    known = image_factory.builtins.builtin_plugins
    monkeypatch.setattr(image_factory.builtins, "builtin_plugins", lambda: {**known(), "builds": builds.plugin()})
    folder.service("web", "FROM scratch\n")
    folder.managed("web")
    assert folder.run("analyze", "--all").code == 0
    fields = "name: web\nrequestId: web-r1\nrequestedAt: '2026-03-01T12:00:00Z'\nreason: due\n"
    folder.write("state/rebuild-requests/web.yaml", fields)
    assert folder.run("dispatch").code == 0
    return builds


def test_a_build_that_goes_on_is_no_news(folder: Any, builds: Builds) -> None:
    head = folder.git("rev-parse", "HEAD")

    assert folder.run("settle").out.splitlines() == ["1 unchanged"]
    assert "web: run 1 is queued" in folder.run("settle", "--verbose").out
    assert folder.git("rev-parse", "HEAD") == head


def test_a_build_that_ended_is_said_and_committed(folder: Any, builds: Builds) -> None:
    from image_factory.ports import RunStatus

    builds.finish("web-r1", RunStatus.SUCCEEDED)
    digest = folder.registry.push("acme/web", ["0.0.1"], build_image(labels=LABEL))

    rehearsed = folder.run("settle", "--dry-run")
    ran = folder.run("settle", "--json")

    assert "+status: succeeded" in rehearsed.out
    (request,) = ran.json["requests"]
    assert (request["status"], request["version"], request["digest"]) == ("succeeded", "0.0.1", str(digest))
    assert folder.git("log", "-1", "--format=%s").strip() == "Settle web"
    assert "web: rebuilt as 0.0.1" in folder.git("log", "-1", "--format=%b")


def test_a_build_that_failed_is_recorded_and_no_failure_of_the_command(folder: Any, builds: Builds) -> None:
    from image_factory.ports import RunStatus

    builds.finish("web-r1", RunStatus.FAILED, "timed_out")

    ran = folder.run("settle")

    assert ran.code == 0
    assert "web: the rebuild ended as failed: run 1 failed: timed_out (web-r1)" in ran.out
    assert "result: failed" in (folder.root / "state/images/web.yaml").read_text()


def test_a_provider_that_does_not_answer_ends_it_with_5_and_changes_nothing(folder: Any, builds: Builds) -> None:
    from image_factory.errors import Unavailable

    builds.fail("run", Unavailable("no answer", hint="try again"))

    assert folder.run("settle").code == 5
    assert folder.git("status", "--short", "--", "image-factory/state") == ""
