"""Kargo's own steps do what our stages say: a request starts a build, and a version reaches the files that name it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.kargo.judge import Judge

from image_factory.decide.build_inputs import PinnedBase, format_base_images
from image_factory.model.enrollment import Source, Update
from image_factory.model.request import PinnedDigest, RebuildCause, RebuildRequest, RequestStatus
from image_factory.model.settings import KargoSettings, Settings
from image_factory.state.record_codec import dump_any as dump
from image_factory.testing.git_server import GitServer
from image_factory.testing.github_server import GitHubServer
from image_factory.testing.rest_server import Reply, Request, RestServer
from image_factory_cli.folder import workbench
from image_factory_synth.data import ManagedImage
from image_factory_synth.jobs import jobs
from image_factory_synth.stages import Stages
from image_factory_synth.tasks import tasks
from image_factory_synth.versions import KargoVersion

PLUGINS = workbench(Path(), Settings()).plugins
STATE = "https://git.example.com/acme/state.git"
DEPLOY = "https://github.com/acme/deploy.git"
SETTINGS = KargoSettings(state_repository=STATE, job_image="ghcr.io/acme/tool:1")
VERSION = KargoVersion(1, 11)
TASKS = [one.document(VERSION) for one in tasks(SETTINGS)]
FILE = "image-factory/state/rebuild-requests/web.yaml"
NODE, PYTHON, BUILT = (f"sha256:{character * 64}" for character in "abc")
WEB = ManagedImage(name="web", repo_url="ghcr.io/acme/web", source=Source(repo="acme/web"))
REQUEST = RebuildRequest(
    name="web",
    request_id="12",
    requested_at=datetime(2026, 5, 1, tzinfo=UTC),
    reason="due",
    causes=(RebuildCause.model_validate({"base": "python-3", "from": None, "to": PYTHON}),),
    digests=(
        PinnedDigest(reference="docker.io/library/python:3", digest=PYTHON, role="final"),
        PinnedDigest(reference="docker.io/library/node:22", digest=NODE),
    ),
)


class Ci(RestServer):
    """Starts every build that it is asked for, or refuses it."""

    def __init__(self) -> None:
        super().__init__()
        self.builds: list[dict[str, Any]] = []
        self.refusal: dict[str, str] | None = None

    def respond(self, request: Request) -> Reply:
        if self.refusal is not None:
            return Reply(422, json.dumps(self.refusal, indent=2).encode(), {"Content-Type": "application/json"})
        self.builds.append({**json.loads(request.body), "authorization": request.headers.get("authorization")})
        return Reply(204, b"", {})


@pytest.fixture
def ci() -> Iterator[Ci]:
    with Ci() as server:
        yield server


@pytest.fixture
def repositories(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "repositories") as server:
        yield server


def stage(image: ManagedImage, name: str) -> dict[str, Any]:
    """The stage of an image whose name begins so."""
    made = Stages(SETTINGS, VERSION, PLUGINS).beside(image, image.repo_url)
    (found,) = [one for one in made if one["kind"] == "Stage" and one["metadata"]["name"].startswith(name)]
    return found


def statuses(answer: dict[str, Any]) -> dict[str, str]:
    return {step["alias"]: step["status"] for step in answer["steps"]}


def trigger(
    judge: Judge, ci: Ci, repositories: GitServer, text: str, image: ManagedImage = WEB, later: str | None = None
) -> dict[str, Any]:
    """Let the stage act on a request's file; the build is asked for at `ci`.

    Args:
        later: the file as it stands when the Freight of its first commit is promoted.
    """
    commit = repositories.create("state.git", {FILE: text})
    if later is not None:
        repositories.commit("state.git", {FILE: later}, "Settle")
    acting = stage(image, "rebuild-trigger-")
    acting["spec"]["promotionTemplate"]["spec"]["steps"][-1]["config"]["url"] = ci.origin
    freight = {
        "metadata": {"name": "f1"},
        "origin": {"kind": "Warehouse", "name": "rebuild-requests-web"},
        "commits": [{"repoURL": STATE, "id": commit, "branch": "main"}],
    }
    return judge.promote(
        acting,
        freight,
        tasks=TASKS,
        secrets={"github-credentials": {"password": "t0ken"}},
        rewrite={STATE: repositories.url("state.git")},
    )


def test_a_request_starts_the_build_that_the_embedded_engine_starts(
    judge: Judge, ci: Ci, repositories: GitServer
) -> None:
    source = Source(repo="acme/web", inputs={"base_image": "base"})

    answer = trigger(judge, ci, repositories, dump(REQUEST), replace(WEB, source=source))

    assert answer["phase"] == "Succeeded", answer
    pinned = [PinnedBase(each.reference, each.digest, each.role) for each in REQUEST.digests]
    assert ci.builds == [
        {
            "ref": "main",
            "inputs": {
                "request_id": "12",
                "base_images": format_base_images(pinned),
                "version_bump": "patch",
                "triggered_by": "image-factory",
                "base": "docker.io/library/python:3",
            },
            "authorization": "Bearer t0ken",
        }
    ]


@pytest.mark.parametrize(
    ("changes", "by_hand", "builds"),
    [
        pytest.param({}, False, 1, id="requested"),
        pytest.param({"status": RequestStatus.NEEDS_APPROVAL}, False, 0, id="waits for a person"),
        pytest.param({"status": RequestStatus.NEEDS_APPROVAL}, True, 1, id="a person promotes what waits for one"),
        pytest.param({}, True, 1, id="a person promotes what was approved"),
        pytest.param({"waits_for": ("base",)}, False, 0, id="waits for another image"),
        pytest.param({"status": RequestStatus.DISPATCHED}, True, 0, id="is dispatched"),
        pytest.param({"status": RequestStatus.SUCCEEDED}, False, 0, id="is over"),
        pytest.param({"causes": (), "digests": ()}, False, 1, id="for no cause"),
    ],
)
def test_a_build_is_started_for_what_is_requested_and_waits_for_nothing(
    judge: Judge, ci: Ci, repositories: GitServer, changes: dict[str, Any], by_hand: bool, builds: int
) -> None:
    request = REQUEST.model_copy(update=changes)

    answer = trigger(judge, ci, repositories, dump(request), replace(WEB, auto_rebuild=not by_hand))

    assert answer["phase"] == "Succeeded", answer
    assert statuses(answer)["dispatch"] == ("Succeeded" if builds else "Skipped")
    assert len(ci.builds) == builds


def test_a_file_that_holds_its_status_alone_is_read(judge: Judge, ci: Ci, repositories: GitServer) -> None:
    answer = trigger(judge, ci, repositories, "status: requested\nwaitsFor:\n")

    assert answer["phase"] == "Succeeded", answer
    assert [build["inputs"]["base_images"] for build in ci.builds] == ["[]"]
    assert [build["inputs"]["base_image"] for build in ci.builds] == [""]


def test_a_refusal_ends_the_promotion_and_shows_the_answer(judge: Judge, ci: Ci, repositories: GitServer) -> None:
    ci.refusal = {"message": "Unexpected inputs", "status": "422"}

    answer = trigger(judge, ci, repositories, dump(REQUEST))

    assert answer["phase"] == "Failed"
    assert "(422)" in answer["message"]
    assert "request 12: {" in answer["message"]
    assert "Unexpected inputs" in answer["message"]


KUSTOMIZATION = "images:\n- name: ghcr.io/acme/web\n  newTag: 1.0.0\n"
VALUES = "image:\n  tag: 1.0.0 \n"


def consumer(*entries: dict[str, Any], **source: Any) -> ManagedImage:
    updates = tuple(Update(**{"repo": "acme/deploy", **entry}) for entry in entries)
    return replace(WEB, source=Source(**{"repo": "acme/web", **source}), updates=updates)


def freight(tag: str = "2") -> dict[str, Any]:
    return {
        "metadata": {"name": f"f{tag}"},
        "origin": {"kind": "Warehouse", "name": "web"},
        "images": [{"repoURL": "ghcr.io/acme/web", "tag": tag, "digest": BUILT}],
        "status": {"verifiedIn": {"analyze-dockerfile-web": {"verifiedAt": "2026-05-01T00:00:00Z"}}},
    }


def carry(judge: Judge, image: ManagedImage, tag: str = "2", **request: Any) -> dict[str, Any]:
    return judge.promote(stage(image, "update-web-"), freight(tag), tasks=TASKS, **request)


def git(repositories: GitServer, *words: str, name: str = "deploy.git") -> str:
    folder = repositories.path(name)
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def subjects(repositories: GitServer, branch: str = "main") -> list[str]:
    return git(repositories, "log", "--format=%s", branch).splitlines()


def test_a_version_that_looks_like_a_number_is_pushed_once(judge: Judge, repositories: GitServer) -> None:
    repositories.create("deploy.git", {"web/kustomization.yaml": KUSTOMIZATION})
    image = consumer({"path": "web", "type": "kustomize-set-image"})
    rewrite = {DEPLOY: repositories.url("deploy.git")}

    first = carry(judge, image, rewrite=rewrite)
    second = carry(judge, image, rewrite=rewrite)

    assert first["phase"] == second["phase"] == "Succeeded", (first, second)
    assert statuses(second)["push"] == "Skipped"
    assert subjects(repositories)[0] == "Update web to 2 in web of acme/deploy"
    assert len(subjects(repositories)) == 2
    assert 'newTag: "2"' in git(repositories, "show", "main:web/kustomization.yaml")


def test_a_file_without_the_key_stops_no_other_and_fails_in_the_end(judge: Judge, repositories: GitServer) -> None:
    repositories.create("deploy.git", {"a.yaml": VALUES, "b.yaml": "other: 1\n", "c.yaml": VALUES})
    image = consumer(*({"path": f"{name}.yaml", "type": "yaml-update", "key": "image.tag"} for name in "abc"))

    answer = carry(judge, image, "1.1.0", rewrite={DEPLOY: repositories.url("deploy.git")})

    assert answer["phase"] == "Failed"
    assert "edit-1, edit-2" in answer["message"]
    assert [statuses(answer)[f"edit-{number}"] for number in (1, 2, 3)] == ["Succeeded", "Errored", "Succeeded"]
    for path in ("a.yaml", "c.yaml"):
        assert "tag: 1.1.0" in git(repositories, "show", f"main:{path}")


def test_a_branch_that_looks_like_a_number_is_pushed_to(judge: Judge, repositories: GitServer) -> None:
    repositories.create("deploy.git", {"a.yaml": VALUES})
    git(repositories, "branch", "1.2", "main")
    image = consumer({"path": "a.yaml", "type": "yaml-update", "key": "image.tag", "branch": "1.2"})

    answer = carry(judge, image, rewrite={DEPLOY: repositories.url("deploy.git")})

    assert answer["phase"] == "Succeeded", answer
    assert len(subjects(repositories, "1.2")) == 2
    assert len(subjects(repositories)) == 1


def test_a_newer_version_takes_its_place_in_the_request_that_is_open(judge: Judge, tmp_path: Path) -> None:
    with GitHubServer(tmp_path / "github", token="t0ken") as github:
        github.repositories.create("acme/deploy.git", {"a.yaml": VALUES})
        entry = {"path": "a.yaml", "type": "yaml-update", "key": "image.tag", "mode": "pr"}
        image = consumer(entry, host=github.url)
        secret = {"repoURL": f"{github.url}/acme/deploy.git", "username": "git", "password": "t0ken"}
        given = {"secrets": {"git": secret}, "credentialsOverHTTP": True}

        answers = [carry(judge, image, tag, **given) for tag in ("1.1.0", "1.2.0")]
        pulls = github.state("acme/deploy").pulls
        proposed = git(github.repositories, "show", f"{pulls[0].head}:a.yaml", name="acme/deploy.git")

    assert [answer["phase"] for answer in answers] == ["Succeeded", "Succeeded"], answers
    assert [(pull.base, pull.title) for pull in pulls] == [("main", "Update web in acme/deploy")]
    assert "tag: 1.2.0" in proposed


def test_two_images_changes_of_one_branch_follow_each_other(judge: Judge, repositories: GitServer) -> None:
    both = "images:\n- name: ghcr.io/acme/api\n  newTag: 1.0.0\n- name: ghcr.io/acme/web\n  newTag: 1.0.0\n"
    repositories.create("deploy.git", {"all/kustomization.yaml": both})
    rewrite = {DEPLOY: repositories.url("deploy.git")}
    web = consumer({"path": "all", "type": "kustomize-set-image"})
    api = replace(web, name="api", repo_url="ghcr.io/acme/api")
    of_api = {
        **freight("1.5.0"),
        "origin": {"kind": "Warehouse", "name": "api"},
        "images": [{"repoURL": "ghcr.io/acme/api", "tag": "1.5.0", "digest": BUILT}],
        "status": {"verifiedIn": {"analyze-dockerfile-api": {"verifiedAt": "2026-05-01T00:00:00Z"}}},
    }

    carried = [
        carry(judge, web, "1.1.0", rewrite=rewrite),
        judge.promote(stage(api, "update-api-"), of_api, tasks=TASKS, rewrite=rewrite),
    ]

    assert [answer["phase"] for answer in carried] == ["Succeeded", "Succeeded"], carried
    text = git(repositories, "show", "main:all/kustomization.yaml")
    assert "newTag: 1.1.0" in text
    assert "newTag: 1.5.0" in text


def test_an_image_s_gate_stands_beside_its_analysis(judge: Judge) -> None:
    templates = [one.document(VERSION) for one in jobs(SETTINGS) if one.kind == "AnalysisTemplate"]
    built = {**freight("1.10"), "status": {}}

    answer = judge.verify(stage(replace(WEB, is_gated=True), "analyze-dockerfile-"), built, templates=templates)

    metrics = answer["run"]["spec"]["metrics"]
    words = {each["name"]: container(each)["args"] for each in metrics}
    assert list(words) == ["analysis", "verification"]
    assert answer["args"]["imageTag"] == "1.10"
    assert answer["args"]["imageDigest"] == BUILT
    assert words["verification"][:3] == ["verify", "--image={{args.imageName}}", "--digest={{args.imageDigest}}"]


def container(metric: dict[str, Any]) -> dict[str, Any]:
    (found,) = metric["provider"]["job"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


CHART = {
    "chart/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "chart/values.yaml": "image:\n  repository: ghcr.io/acme/web\n  tag: 1.0.0\n",
    "chart/templates/pod.yaml": "kind: Pod\nimage: {{ .Values.image.repository }}:{{ .Values.image.tag }}\n",
}


def test_a_chart_renders_the_version_that_its_values_were_given(judge: Judge, repositories: GitServer) -> None:
    repositories.create("deploy.git", CHART)
    rewrite = {DEPLOY: repositories.url("deploy.git")}
    image = consumer({"path": "chart/values.yaml", "type": "helm-update-image", "key": "image.tag"})
    carried = carry(judge, image, "1.10", rewrite=rewrite)
    render = stage(image, "update-web-")
    render["spec"]["promotionTemplate"]["spec"]["steps"] = [
        {"uses": "git-clone", "config": {"repoURL": DEPLOY, "checkout": [{"path": "./a", "branch": "main"}]}},
        {"uses": "helm-template", "config": {"path": "./a/chart", "outPath": "./pod.yaml", "releaseName": "web"}},
        {
            "uses": "yaml-parse",
            "as": "pod",
            "config": {"path": "./pod.yaml", "outputs": [{"name": "image", "fromExpression": "image"}]},
        },
    ]

    rendered = judge.promote(render, freight("1.10"), rewrite=rewrite)

    assert carried["phase"] == "Succeeded", carried
    assert rendered["phase"] == "Succeeded", rendered
    assert rendered["outputs"]["pod"] == {"image": "ghcr.io/acme/web:1.10"}


@pytest.mark.parametrize("auto", [True, False])
def test_kargo_takes_every_resource(judge: Judge, auto: bool) -> None:
    entries = (
        {"path": "web", "type": "kustomize-set-image"},
        {"path": "v.yaml", "type": "yaml-update", "key": "image.tag", "mode": "pr"},
        {"path": "chart/templates/a.yaml", "type": "helm-update-image"},
    )
    image = replace(consumer(*entries), auto_rebuild=auto)
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": SETTINGS.namespace, "labels": {"kargo.akuity.io/project": "true"}},
    }

    made = [*TASKS, *Stages(SETTINGS, VERSION, PLUGINS).beside(image, image.repo_url)]

    assert {one["kind"] for one in made} == {"PromotionTask", "Stage", "Warehouse"}
    assert [problem for one in made for problem in judge.validate(one, [namespace])] == []


@pytest.mark.parametrize("status", [RequestStatus.DISPATCHED, RequestStatus.FAILED, RequestStatus.SUCCEEDED])
def test_a_freight_that_is_promoted_late_or_again_starts_nothing_that_is_over(
    judge: Judge, ci: Ci, repositories: GitServer, status: RequestStatus
) -> None:
    over = REQUEST.model_copy(update={"status": status})

    answer = trigger(judge, ci, repositories, dump(REQUEST), later=dump(over))

    assert (answer["phase"], statuses(answer)["dispatch"]) == ("Succeeded", "Skipped"), answer
    assert ci.builds == []
