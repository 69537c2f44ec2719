"""Change requests to consumers, at a GitHub on loopback: one a branch, with its evidence, never against a refusal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import RemoteRefused
from image_factory.model.event import EventKind
from image_factory.model.image_state import Build, ConsumerStatus
from image_factory.usecases.outcome import Done, Failed, Skipped
from image_factory.usecases.update import update_consumers

if TYPE_CHECKING:
    from image_factory.testing.github_server import Pull
    from image_factory.testing.rest_server import Exchange

    from .conftest import Deploy
else:
    Deploy = Pull = Exchange = Any

PROPOSED, CURRENT, DECLINED = ConsumerStatus.PROPOSED, ConsumerStatus.CURRENT, ConsumerStatus.DECLINED
REVERTED, FAILED = ConsumerStatus.REVERTED, ConsumerStatus.FAILED
POD = "# ours\nspec:\n  image: ghcr.io/acme/web:1.0.0 # front\n"
BRANCH = "image-factory/update/main"
ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")
BUILT = Build.model_validate(
    {
        "at": datetime(2026, 3, 1, tzinfo=UTC),
        "reason": "due",
        "trigger": "policy",
        "result": "succeeded",
        "digest": ONE,
        "version": "1.1.0",
        "url": "https://ci.example.com/runs/7",
        "causes": ({"base": "node-22", "from": TWO, "to": THREE, "seenAt": "2026-02-20T08:00:00Z"},),
    }
)


def pulls(deploy: Deploy) -> list[Pull]:
    assert deploy.github is not None
    return deploy.github.state("acme/deploy").pulls


def settle(deploy: Deploy, number: int, *, merge: bool) -> None:
    assert deploy.github is not None
    deploy.github.settle_pull("acme/deploy", number, merge=merge)


def writes(deploy: Deploy) -> list[Exchange]:
    assert deploy.github is not None
    return [exchange for exchange in deploy.github.exchanges if exchange.method != "GET"]


def test_a_version_is_proposed_with_its_evidence_and_not_pushed(github_deploy: Deploy) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image(deploy.entry(keys=["spec.image"])))
    deploy.build("web", "1.1.0", ONE, BUILT)

    updated = deploy.update()

    (pull,) = pulls(deploy)
    assert (pull.head, pull.base, pull.state) == (BRANCH, "main", "open")
    assert pull.title == "Update web to 1.1.0 in pod.yaml"
    for told in (
        "### web `1.1.0`",
        f"- Digest: `{ONE}`",
        "- File: `pod.yaml` (`spec.image`)",
        f"  - `node-22`: `{TWO}` → `{THREE}`, first seen `2026-02-20T08:00:00Z`",
        "- Build: <https://ci.example.com/runs/7>",
        "- Policy: no policy is set",
    ):
        assert told in pull.body.splitlines()
    assert deploy.text() == POD
    assert deploy.text(branch=BRANCH) == POD.replace("1.0.0", "1.1.0")
    assert [(one.status, one.url) for one in deploy.consumers()] == [(PROPOSED, updated.events[0].url)]
    assert str(updated.events[0].url).endswith("/acme/deploy/pull/1")


def test_all_images_of_a_branch_share_one_request(github_deploy: Deploy) -> None:
    deploy = github_deploy
    web = deploy.image(deploy.entry(), deploy.entry(path="overlays", type="kustomize-set-image"))
    deploy.begin(web, deploy.image(deploy.values(), name="api"))

    deploy.update()

    (pull,) = pulls(deploy)
    assert pull.title == "Update web to 1.1.0 and api to 1.1.0 in 3 files"
    assert deploy.subjects(BRANCH)[1:] == ["Begin"], "one commit"
    assert deploy.statuses("web") == [PROPOSED, PROPOSED]
    assert deploy.statuses("api") == [PROPOSED]


def test_an_open_request_is_left_as_it_is_until_something_is_new(github_deploy: Deploy) -> None:
    deploy = github_deploy
    assert deploy.github is not None
    deploy.begin(deploy.image())
    deploy.update()
    writing, before = len(writes(deploy)), len(deploy.github.exchanges)

    updated = deploy.update()

    assert len(writes(deploy)) == writing
    assert len(deploy.github.exchanges) - before == 5, "the request, two branches, and the file on each"
    assert updated.changes == ()
    assert updated.events == ()
    (outcome,) = updated.outcomes
    assert isinstance(outcome, Skipped)
    assert outcome.reason.endswith("/acme/deploy/pull/1 waits to be merged")


def test_a_merged_request_is_verified_and_then_costs_nothing(github_deploy: Deploy) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image())
    deploy.update()
    settle(deploy, 1, merge=True)

    updated = deploy.update()
    assert deploy.github is not None
    before = len(deploy.github.exchanges)
    again = deploy.update()

    assert [type(outcome) for outcome in (*updated.outcomes, *again.outcomes)] == [Done, Skipped]
    assert deploy.statuses() == [CURRENT]
    assert updated.events == (), "people were told when it was proposed"
    assert len(deploy.github.exchanges) == before


def test_a_newer_version_joins_the_request_that_is_open(github_deploy: Deploy) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image(), deploy.image(deploy.values(), name="api"))
    deploy.update("web")
    deploy.build("web", "1.2.0")

    deploy.update()

    (pull,) = pulls(deploy)
    assert pull.title == "Update web to 1.2.0 and api to 1.1.0 in 2 files"
    assert "### web `1.2.0`" in pull.body
    assert "- Version: `1.1.0` → `1.2.0`" in pull.body
    assert "### api `1.1.0`" in pull.body
    assert deploy.text(branch=BRANCH) == POD.replace("1.0.0", "1.2.0")
    assert deploy.statuses("web") == deploy.statuses("api") == [PROPOSED]


def test_the_next_version_after_a_merge_has_a_request_of_its_own_although_the_branch_stayed(
    github_deploy: Deploy,
) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image())
    deploy.update()
    settle(deploy, 1, merge=True)
    deploy.update()
    deploy.build("web", "1.2.0")

    deploy.update()

    assert [pull.state for pull in pulls(deploy)] == ["closed", "open"]
    assert deploy.text(branch=BRANCH) == POD.replace("1.0.0", "1.2.0")
    assert deploy.git("rev-list", "--count", f"main..{BRANCH}").strip() == "1"


@pytest.mark.parametrize("is_lost", [False, True], ids=["recorded", "stopped before it was recorded"])
def test_a_request_that_was_closed_is_not_opened_again_for_the_same_version(
    github_deploy: Deploy, is_lost: bool
) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image(), deploy.image(deploy.values(), name="api"))
    deploy.update("web", is_lost=is_lost)
    settle(deploy, 1, merge=False)

    updated = deploy.update()

    (failed,) = [outcome for outcome in updated.outcomes if isinstance(outcome, Failed)]
    assert "was closed: " in failed.error.message
    assert "/acme/deploy/pull/1" in failed.error.message
    assert deploy.statuses("web") == [DECLINED]
    assert deploy.statuses("api") == [PROPOSED], "what was not refused goes on"
    assert [pull.title for pull in pulls(deploy)][1:] == ["Update api to 1.1.0 in values.yaml"]
    assert deploy.text(branch=BRANCH) == POD
    assert EventKind.CONSUMER_FAILED in [event.kind for event in updated.events]
    assert isinstance(deploy.update("web").outcomes[0], Skipped)

    deploy.build("web", "1.2.0")
    deploy.update()

    assert deploy.statuses("web") == [PROPOSED]
    assert len(pulls(deploy)) == 2, "it joins the one that is open"


def test_an_open_request_of_a_version_that_was_withdrawn_is_to_be_closed_by_a_person(github_deploy: Deploy) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image())
    deploy.update()
    deploy.build("web", "1.0.0")

    (outcome,) = deploy.update().outcomes

    assert isinstance(outcome, Done)
    assert outcome.changes[0].endswith("/acme/deploy/pull/1 still proposes 1.1.0: close it")
    assert deploy.statuses() == [CURRENT]


def test_two_runs_that_open_the_request_at_once_open_one(github_deploy: Deploy) -> None:
    """The second meets the branch of the first after it has seen that there is none."""
    deploy = github_deploy
    deploy.begin(deploy.image())
    bench = deploy.world.bench()
    source = bench.plugins.sources["github"]
    ask, others = source.open_change_request, [deploy.world.bench()]

    def opening(*words: Any) -> Any:
        if others:
            update_consumers(others.pop())
            raise RemoteRefused("Reference already exists", hint="look again")
        return ask(*words)

    source.open_change_request = opening  # type: ignore[method-assign,assignment]

    updated = update_consumers(bench)
    bench.store.apply(updated.changes)

    assert len(pulls(deploy)) == 1
    assert [type(outcome) for outcome in updated.outcomes] == [Done]
    assert deploy.statuses() == [PROPOSED]


def test_a_merged_change_that_was_taken_back_is_not_proposed_again(github_deploy: Deploy) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image())
    deploy.update()
    settle(deploy, 1, merge=True)
    deploy.commit("pod.yaml", POD)

    deploy.update()

    assert deploy.statuses() == [REVERTED]
    assert len(pulls(deploy)) == 1


def test_what_a_reviewer_changes_in_the_request_stays(github_deploy: Deploy) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image(), deploy.image(deploy.values(), name="api"))
    deploy.update()
    theirs = POD.replace("1.0.0", "1.0.9")
    deploy.commit("pod.yaml", theirs, branch=BRANCH)
    deploy.update()
    assert deploy.text(branch=BRANCH) == theirs

    deploy.build("api", "1.2.0")
    deploy.update()

    assert deploy.text(branch=BRANCH) == theirs
    assert "tag: 1.2.0" in deploy.text("values.yaml", branch=BRANCH)


def test_what_was_proposed_and_not_recorded_is_found_and_told(github_deploy: Deploy) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image())
    deploy.update(is_lost=True)
    before = len(writes(deploy))

    updated = deploy.update()

    assert len(pulls(deploy)) == 1
    assert len(writes(deploy)) == before
    assert deploy.statuses() == [PROPOSED]
    assert [event.kind for event in updated.events] == [EventKind.CONSUMER_UPDATED]


def test_what_was_proposed_merged_and_not_recorded_is_told(github_deploy: Deploy) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image())
    deploy.update(is_lost=True)
    settle(deploy, 1, merge=True)

    updated = deploy.update()

    assert deploy.statuses() == [CURRENT]
    assert [event.kind for event in updated.events] == [EventKind.CONSUMER_UPDATED]


def test_a_link_in_a_request_fails_alone(github_deploy: Deploy) -> None:
    deploy = github_deploy
    links = {"one.yaml": "other.yaml", "two.yaml": "other.yaml"}
    deploy.repositories.commit("acme/deploy.git", {"other.yaml": POD}, "Link", branch="main", links=links)
    deploy.begin(deploy.image(*(deploy.entry(path=path) for path in ("one.yaml", "two.yaml", "pod.yaml"))))

    updated = deploy.update()

    assert deploy.statuses() == [FAILED, FAILED, PROPOSED]
    problems = [outcome.error.message for outcome in updated.outcomes if isinstance(outcome, Failed)]
    assert ["one.yaml is no ordinary file" in problem for problem in problems] == [True, False]
    assert ["two.yaml is no ordinary file" in problem for problem in problems] == [False, True]


def test_a_branch_of_our_name_with_other_work_is_not_written_over(github_deploy: Deploy) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image())
    deploy.repositories.branch("acme/deploy.git", {BRANCH: deploy.git("rev-parse", "main").strip()})
    deploy.commit("mine.txt", "x\n", branch=BRANCH)

    (outcome,) = deploy.update().outcomes

    assert isinstance(outcome, Failed)
    assert "holds other work" in outcome.error.message
    assert deploy.subjects(BRANCH) == ["By hand", "Begin"]


def test_a_rehearsal_opens_nothing(github_deploy: Deploy) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image())

    updated = update_consumers(deploy.world.bench(), dry_run=True)

    assert [edit.new for edit in updated.edits] == [POD.replace("1.0.0", "1.1.0")]
    assert writes(deploy) == []


def test_git_alone_has_no_requests_and_says_what_to_do(deploy: Deploy) -> None:
    deploy.begin(deploy.image(deploy.entry(mode="pr")))

    (outcome,) = deploy.update().outcomes

    assert isinstance(outcome, Failed)
    assert "mode: push" in outcome.error.hint
    assert deploy.subjects() == ["Begin"]


def test_github_is_pushed_to_where_that_is_asked(github_deploy: Deploy) -> None:
    deploy = github_deploy
    deploy.begin(deploy.image(deploy.entry(mode="push")))

    deploy.update()

    assert deploy.text() == POD.replace("1.0.0", "1.1.0")
    assert pulls(deploy) == []
    assert str(deploy.consumers()[0].url).endswith(deploy.git("rev-parse", "main").strip())
