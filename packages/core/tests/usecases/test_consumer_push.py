"""Commits pushed to consumers: one a branch, on what is there now, once, and never against anybody's will."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import RemoteRefused, UnsafeValue
from image_factory.model.event import EventKind
from image_factory.model.image_state import ConsumerStatus
from image_factory.usecases.outcome import Done, Failed, Skipped
from image_factory.usecases.update import update_consumers

if TYPE_CHECKING:
    from .conftest import Deploy
else:
    Deploy = Any

PUSHED, CURRENT, REVERTED, FAILED = (
    ConsumerStatus.PUSHED,
    ConsumerStatus.CURRENT,
    ConsumerStatus.REVERTED,
    ConsumerStatus.FAILED,
)
POD = "# ours\nspec:\n  image: ghcr.io/acme/web:1.0.0 # front\n"
ONE = f"sha256:{'1' * 64}"


def test_all_that_goes_to_a_branch_is_one_commit_that_names_image_version_and_target(deploy: Deploy) -> None:
    web = deploy.image(deploy.entry(), deploy.entry(path="overlays", type="kustomize-set-image"))
    deploy.begin(web, deploy.image(deploy.values(), name="api"), digest=ONE)

    deploy.update()

    message = deploy.git("log", "-1", "--format=%B", "main")
    assert len(deploy.subjects()) == 2
    assert message.startswith("Update web to 1.1.0 and api to 1.1.0 in 3 files\n\n")
    target = re.escape(f"{deploy.repo} main")
    for image, path in (("web", "pod.yaml"), ("web", "overlays"), ("api", "values.yaml")):
        assert re.search(rf"^{image}: 1\.1\.0 \({ONE}\) in {path} of {target}$", message, re.MULTILINE)
    assert len(re.findall(r"^Image-Factory-Update: (?:web|api)-[0-9a-f]{10}-[0-9a-f]{10}$", message, re.MULTILINE)) == 3
    assert deploy.git("log", "-1", "--format=%an <%ae>", "main").startswith("Image Factory Bot <")
    assert deploy.git("diff", "--stat", "main~1", "main").count("|") == 3


def test_each_branch_and_repository_gets_its_own_commit(deploy: Deploy) -> None:
    deploy.repositories.commit("deploy.git", {"pod.yaml": POD}, "Begin", branch="staging")
    deploy.repositories.create("other.git", {"pod.yaml": POD})
    other = deploy.entry(repo=deploy.repositories.url("other.git"))
    deploy.begin(deploy.image(deploy.entry(), deploy.entry(branch="staging"), other))

    deploy.update()

    assert len(deploy.subjects()) == len(deploy.subjects("staging")) == 2
    assert deploy.statuses() == [PUSHED] * 3


def test_two_images_in_one_file_are_changed_together(deploy: Deploy) -> None:
    deploy.commit("pod.yaml", "web: ghcr.io/acme/web:1.0.0\napi: ghcr.io/acme/api:1.0.0\n")
    deploy.begin(deploy.image(), deploy.image(name="api"))

    deploy.update()

    assert deploy.text() == "web: ghcr.io/acme/web:1.1.0\napi: ghcr.io/acme/api:1.1.0\n"
    assert deploy.statuses("web") == deploy.statuses("api") == [PUSHED]


def test_a_folder_on_disk_is_a_repository_too(deploy: Deploy) -> None:
    folder = str(deploy.repositories.path("deploy.git"))
    deploy.begin(deploy.image(deploy.entry(repo=folder)))

    deploy.update()
    deploy.update()

    assert deploy.text() == POD.replace("1.0.0", "1.1.0")
    assert deploy.statuses() == [CURRENT]


def test_what_the_branch_holds_already_gets_no_commit(deploy: Deploy) -> None:
    deploy.begin(deploy.image(), version="1.0.0")

    updated = deploy.update()

    assert deploy.subjects() == ["Begin"]
    assert deploy.statuses() == [CURRENT]
    assert updated.events == (), "nobody carried it there"


# --- stopped, and taken back ---------------------------------------------------------------------------


def test_what_was_pushed_and_not_recorded_is_neither_pushed_again_nor_lost(deploy: Deploy) -> None:
    deploy.begin(deploy.image())
    deploy.update(is_lost=True)

    updated = deploy.update()

    assert len(deploy.subjects()) == 2
    assert deploy.statuses() == [CURRENT]
    assert [event.kind for event in updated.events] == [EventKind.CONSUMER_UPDATED], "the notice was lost with the run"


@pytest.mark.parametrize("is_lost", [False, True], ids=["recorded", "stopped before it was recorded"])
def test_what_somebody_took_back_is_said_once_and_left_so_until_there_is_another_version(
    deploy: Deploy, is_lost: bool
) -> None:
    deploy.begin(deploy.image())
    deploy.update(is_lost=is_lost)
    deploy.commit("pod.yaml", POD)

    updated = deploy.update()
    before = len(deploy.repositories.requests)
    again = deploy.update()

    (failed,) = updated.outcomes
    assert isinstance(failed, Failed)
    assert "1.1.0 was pushed to" in failed.error.message
    assert "taken back on main" in failed.error.message
    assert deploy.statuses() == [REVERTED]
    assert [event.kind for event in updated.events] == [EventKind.CONSUMER_FAILED]
    assert deploy.text() == POD
    assert isinstance(again.outcomes[0], Skipped)
    assert "taken back" in again.outcomes[0].reason
    assert again.events == ()
    assert len(deploy.repositories.requests) == before

    deploy.build("web", "1.2.0")
    deploy.update()

    assert deploy.text() == POD.replace("1.0.0", "1.2.0")
    assert deploy.statuses() == [PUSHED]


def test_an_image_that_goes_back_to_an_earlier_version_takes_its_consumers_with_it(deploy: Deploy) -> None:
    deploy.begin(deploy.image())
    deploy.update()
    deploy.build("web", "1.2.0")
    deploy.update()
    deploy.build("web", "1.1.0")

    deploy.update()

    assert deploy.text() == POD.replace("1.0.0", "1.1.0")
    assert len(deploy.subjects()) == 4
    assert deploy.statuses() == [PUSHED]


def test_one_entry_taken_back_stops_no_other_of_its_file(deploy: Deploy) -> None:
    text = "web: ghcr.io/acme/web:1.0.0\napi: ghcr.io/acme/api:1.0.0\n"
    deploy.commit("pod.yaml", text)
    deploy.begin(deploy.image(), deploy.image(name="api"))
    deploy.update("web")
    deploy.commit("pod.yaml", text)

    deploy.update()

    assert deploy.text() == text.replace("api:1.0.0", "api:1.1.0")
    assert deploy.statuses("web") == [REVERTED]
    assert deploy.statuses("api") == [PUSHED]


# --- others ------------------------------------------------------------------------------------------------


def test_a_push_that_loses_a_race_is_made_again_on_what_is_there_then(deploy: Deploy) -> None:
    """The branch moves between the reading and the push, twice, once in the very file."""
    deploy.begin(deploy.image())
    moves = [{"README.md": "hello\n"}, {"pod.yaml": POD.replace("# ours", "# theirs")}]
    hook = deploy.repositories.path("deploy.git") / "hooks"
    hook.mkdir(exist_ok=True)
    for number, files in enumerate(moves):
        deploy.repositories.commit("deploy.git", files, f"Move {number}", branch=f"moved-{number}")
    bench = deploy.world.bench()
    source = bench.plugins.sources["git"]
    ask = source.revision

    def revision(repository: Any, ref: str) -> str:
        answer = ask(repository, ref)
        if ref == "refs/heads/main" and moves:
            deploy.commit(*next(iter(moves.pop(0).items())))
        return answer

    source.revision = revision  # type: ignore[method-assign]

    updated = update_consumers(bench)

    assert [type(outcome) for outcome in updated.outcomes] == [Done]
    assert deploy.text() == POD.replace("1.0.0", "1.1.0").replace("# ours", "# theirs")
    assert deploy.text("README.md") == "hello\n"
    assert deploy.subjects() == ["Update web to 1.1.0 in pod.yaml", "By hand", "By hand", "Begin"]


def test_a_branch_that_is_protected_fails_its_entries_and_no_others(deploy: Deploy) -> None:
    deploy.repositories.create("other.git", {"pod.yaml": POD})
    hook = deploy.repositories.path("deploy.git") / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho this branch is protected >&2\nexit 1\n")
    hook.chmod(0o755)
    other = deploy.entry(repo=deploy.repositories.url("other.git"))
    held = deploy.values(repo=deploy.repo)
    deploy.begin(deploy.image(deploy.entry(), other), deploy.image(held, name="api"), version="1.0.0")
    deploy.build("web", "1.1.0")

    updated = deploy.update()

    (failed,) = [outcome for outcome in updated.outcomes if isinstance(outcome, Failed)]
    assert isinstance(failed.error, RemoteRefused)
    assert "pod.yaml" in failed.error.message
    assert deploy.statuses() == [FAILED, PUSHED]
    assert deploy.statuses("api") == [CURRENT], "what needed no push is not touched by its refusal"


def test_a_link_is_never_written_over_and_stops_no_other(deploy: Deploy) -> None:
    links = {"link.yaml": "pod.yaml", "out.yaml": "../../etc/passwd", "folder": "overlays"}
    deploy.repositories.commit("deploy.git", {"overlays/pod.yaml": POD}, "Link", links=links)
    entries = [deploy.entry(path=path) for path in ("link.yaml", "out.yaml", "folder/pod.yaml", "pod.yaml")]
    deploy.begin(deploy.image(*entries))

    updated = deploy.update()

    problems = [outcome.error for outcome in updated.outcomes if isinstance(outcome, Failed)]
    assert [type(problem) for problem in problems] == [UnsafeValue, RemoteRefused, RemoteRefused]
    assert deploy.statuses() == [FAILED, FAILED, FAILED, PUSHED]
    assert deploy.git("ls-tree", "main", "link.yaml").startswith("120000")
    assert deploy.text("overlays/pod.yaml") == POD


def test_many_runs_that_push_to_one_branch_at_once_lose_nothing(deploy: Deploy) -> None:
    names = [f"image-{number}" for number in range(8)]
    deploy.commit("pod.yaml", "".join(f"{name}: ghcr.io/acme/{name}:1.0.0\n" for name in names))
    deploy.begin(*(deploy.image(name=name) for name in names))
    results: list[Any] = []

    def run(name: str) -> None:
        results.append(update_consumers(deploy.world.bench(), [name]))

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert deploy.text() == "".join(f"{name}: ghcr.io/acme/{name}:1.1.0\n" for name in names)
    assert len(deploy.subjects()) == 2 + len(names)
    assert [type(outcome) for updated in results for outcome in updated.outcomes] == [Done] * len(names)
