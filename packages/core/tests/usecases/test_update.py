"""The step as a whole: which images and entries it is for, what it records and tells, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import NotFound, VerificationError
from image_factory.model.event import EventKind
from image_factory.model.image_state import ConsumerStatus
from image_factory.usecases.outcome import Done, Failed, Skipped, exit_code
from image_factory.usecases.update import update_consumers

if TYPE_CHECKING:
    from .conftest import Deploy
else:
    Deploy = Any

PUSHED, CURRENT, FAILED = ConsumerStatus.PUSHED, ConsumerStatus.CURRENT, ConsumerStatus.FAILED
ONE = f"sha256:{'1' * 64}"


def test_a_version_goes_to_its_consumer_is_verified_and_then_costs_nothing(deploy: Deploy) -> None:
    deploy.begin(deploy.image(), digest=ONE)

    pushed = deploy.update()
    first = deploy.consumers()
    verified = deploy.update()
    second = deploy.consumers()
    before = len(deploy.repositories.requests)
    unchanged = deploy.update()

    assert [type(outcome) for outcome in (*pushed.outcomes, *verified.outcomes)] == [Done, Done]
    assert [(one.status, one.version, one.digest) for one in (*first, *second)] == [
        (PUSHED, "1.1.0", ONE),
        (CURRENT, "1.1.0", ONE),
    ]
    assert unchanged.outcomes == (Skipped("web", f"{deploy.repo}:pod.yaml: names 1.1.0 already"),)
    assert unchanged.changes == ()
    assert unchanged.events == ()
    assert len(deploy.repositories.requests) == before, "an unchanged run asks nothing"
    assert len(deploy.subjects()) == 2


def test_people_are_told_once_of_what_was_pushed(deploy: Deploy) -> None:
    deploy.begin(deploy.image())

    (event,) = deploy.update().events

    assert (event.kind, event.image) == (EventKind.CONSUMER_UPDATED, "web")
    assert event.facts["Where"] == f"{deploy.repo}:pod.yaml"
    assert event.facts["Version"] == "1.1.0"
    assert deploy.update().events == ()


def test_the_images_named_are_updated_and_no_others(deploy: Deploy) -> None:
    deploy.begin(deploy.image(), deploy.image(deploy.values(), name="api"))

    updated = deploy.update("api")

    assert [outcome.item for outcome in updated.outcomes] == ["api"]
    assert deploy.statuses("web") == []
    with pytest.raises(NotFound, match="'nope'"):
        deploy.update("nope")


@pytest.mark.parametrize(
    ("chosen", "changed"),
    [
        ({"types": ("helm-update-image",)}, {"values.yaml"}),
        ({"types": ("yaml-update", "helm-update-image")}, {"pod.yaml", "values.yaml"}),
        ({"repositories": ("acme/elsewhere",)}, set()),
    ],
    ids=["one type", "several", "a repository that no entry names"],
)
def test_entries_of_chosen_types_and_repositories_are_looked_at_and_no_others(
    deploy: Deploy, chosen: dict[str, Any], changed: set[str]
) -> None:
    api = deploy.image(deploy.entry(path="api.yaml"), deploy.values(), name="api")
    deploy.commit("api.yaml", "image: ghcr.io/acme/api:1.0.0\n")
    deploy.begin(api)
    bench = deploy.world.bench()

    updated = update_consumers(bench, ["api"], **chosen)

    assert {edit.path for edit in updated.edits} == {path.replace("pod", "api") for path in changed}
    if not changed:
        assert [type(outcome) for outcome in updated.outcomes] == [Skipped]


def test_an_image_without_a_version_waits_for_one(deploy: Deploy) -> None:
    deploy.begin(deploy.image(), version=None)

    updated = deploy.update()

    assert updated.outcomes == (Skipped("web", "no version is known yet"),)
    assert deploy.repositories.requests == []


def test_an_image_that_is_not_analyzed_is_passed_over(deploy: Deploy) -> None:
    deploy.world.enroll(deploy.image())

    (outcome,) = deploy.update().outcomes

    assert isinstance(outcome, Skipped)
    assert outcome.reason.startswith("not analyzed yet")


@pytest.mark.parametrize("asked", ["verification", "policy"])
def test_an_image_that_must_be_proven_goes_nowhere_whatever_is_exempt(deploy: Deploy, asked: str) -> None:
    exempt = [{"owner": "us", "reason": "soon", "expiry": "2099-01-01", "policy": asked}]
    proven = deploy.image(exemptions=exempt) | {asked: {"signed": True}}
    deploy.begin(proven, deploy.image(deploy.values(), name="api"))

    updated = deploy.update()

    refused = next(outcome for outcome in updated.outcomes if outcome.item == "web")
    assert isinstance(refused, Failed)
    assert isinstance(refused.error, VerificationError)
    assert asked in refused.error.message
    assert deploy.subjects() == ["Update api to 1.1.0 in values.yaml", "Begin"]
    assert exit_code(updated.outcomes) == 3


def test_an_external_image_has_no_consumers(deploy: Deploy) -> None:
    external = {"name": "redis", "repository": "library/redis", "tag": "7", "updates": [deploy.entry()]}
    deploy.begin(deploy.image())
    deploy.world.enroll(external)

    assert [outcome for outcome in deploy.update().outcomes if not isinstance(outcome, Skipped)] == []
    assert deploy.repositories.requests == []


def test_an_entry_that_was_removed_leaves_the_record(deploy: Deploy) -> None:
    deploy.begin(deploy.image(deploy.entry(), deploy.entry(keys=["spec.image"])))
    deploy.update()
    assert len(deploy.consumers()) == 2

    deploy.world.enroll(deploy.image(deploy.entry()))
    deploy.update()
    assert [consumer.keys for consumer in deploy.consumers()] == [()]

    deploy.world.enroll(deploy.image() | {"updates": []})
    deploy.update()
    assert deploy.consumers() == ()


def test_an_entry_written_twice_is_one(deploy: Deploy) -> None:
    deploy.begin(deploy.image(deploy.entry(key="spec.image"), deploy.entry(keys=["spec.image"])))

    (outcome,) = deploy.update().outcomes

    assert isinstance(outcome, Done)
    assert len(outcome.changes) == 1
    assert deploy.git("log", "-1", "--format=%B", "main").count("Image-Factory-Update: ") == 1
    assert deploy.statuses() == [PUSHED]


def test_a_rehearsal_shows_the_change_and_touches_nothing(deploy: Deploy) -> None:
    deploy.begin(deploy.image())
    before = deploy.git("rev-parse", "main")

    updated = update_consumers(deploy.world.bench(), dry_run=True)

    ((target, path, old, new),) = [(edit.target, edit.path, edit.old, edit.new) for edit in updated.edits]
    assert (target, path) == (f"{deploy.repo} main", "pod.yaml")
    assert new == old.replace("1.0.0", "1.1.0") != old
    assert updated.changes == ()
    assert updated.events == ()
    assert deploy.git("rev-parse", "main") == before
    assert not [request for request in deploy.repositories.requests if "receive-pack" in request.path + request.query]


FAILURES = {
    "a key that is missing": ({"keys": ["spec.nope"]}, "spec.nope"),
    "a file that is gone": ({"path": "gone.yaml"}, "gone.yaml"),
    "a type that no plugin has": ({"type": "never"}, "no file updater plugin is called 'never'"),
    "a provider that no plugin has": ({"provider": "never", "repo": "acme/x"}, "no source plugin is called 'never'"),
    "a file of another image": ({"path": "values.yaml"}, "does not name ghcr.io/acme/web"),
    "a folder": ({"path": "overlays"}, "overlays"),
    "a branch that is missing": ({"branch": "nope"}, "nope"),
}


@pytest.mark.parametrize(("fields", "problem"), FAILURES.values(), ids=FAILURES.keys())
def test_an_entry_that_cannot_be_done_fails_alone_and_is_told_once(
    deploy: Deploy, fields: dict[str, Any], problem: str
) -> None:
    deploy.begin(deploy.image(deploy.entry(**fields), deploy.entry()))

    updated = deploy.update()
    again = deploy.update()

    (failed,) = [outcome for outcome in updated.outcomes if isinstance(outcome, Failed)]
    assert problem in failed.error.message
    assert fields.get("path", "pod.yaml") in failed.error.message
    assert failed.error.hint
    assert deploy.text() == "# ours\nspec:\n  image: ghcr.io/acme/web:1.1.0 # front\n"
    assert deploy.statuses() == [FAILED, CURRENT]
    assert [event.kind for event in updated.events].count(EventKind.CONSUMER_FAILED) == 1
    assert [outcome for outcome in again.outcomes if isinstance(outcome, Failed)], "it is said as long as it is so"
    assert again.events == ()


def test_a_problem_that_stays_changes_no_byte(deploy: Deploy) -> None:
    deploy.begin(deploy.image(deploy.entry(path="gone.yaml")))
    deploy.update()
    deploy.world.later(days=1)

    assert deploy.update().changes == ()


def test_a_remote_that_does_not_answer_is_no_news_of_its_entries(deploy: Deploy) -> None:
    gone = deploy.entry(repo="http://127.0.0.1:9/deploy.git")
    deploy.begin(deploy.image(gone, deploy.entry()))

    updated = deploy.update()

    assert [type(outcome) for outcome in updated.outcomes] == [Done, Failed]
    assert deploy.statuses() == [PUSHED], "nothing is recorded of what was not seen"
    assert [event.kind for event in updated.events] == [EventKind.CONSUMER_UPDATED]


def test_a_broken_entry_of_images_yaml_loses_no_record(deploy: Deploy) -> None:
    deploy.begin(deploy.image())
    deploy.update()
    deploy.world.enroll(deploy.image() | {"rebuildDelay": "soon"})

    updated = deploy.update()

    assert updated.problems
    assert updated.changes == ()
    assert deploy.statuses() == [PUSHED]
