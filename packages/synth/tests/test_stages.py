from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from image_factory.errors import InvalidSettings, UnsafeValue
from image_factory.model.enrollment import Source, Update
from image_factory.model.settings import KargoSettings, Settings
from image_factory_synth.data import ManagedImage, Role, WatchedImage
from image_factory_synth.fields import Document, expression_of, literal
from image_factory_synth.stages import Stages
from image_factory_synth.versions import KargoVersion

pytest.importorskip("image_factory_cli", reason="image_factory_cli is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_gitlab", reason="image_factory_gitlab is not installed")
pytest.importorskip("image_factory_helm", reason="image_factory_helm is not installed")

from image_factory_cli.folder import workbench

PLUGINS = workbench(Path(), Settings()).plugins
URL = "https://git.example.com/acme/state.git"
SETTINGS = KargoSettings(state_repository=URL, job_image="ghcr.io/acme/tool:1")


def stages(settings: KargoSettings = SETTINGS, **values: Any) -> Stages:
    return Stages(settings, KargoVersion(1, 11), PLUGINS, **values)


def managed(auto_rebuild: bool = True, **source: Any) -> ManagedImage:
    return ManagedImage(
        name="web",
        repo_url="ghcr.io/acme/web",
        source=Source(**{"repo": "acme/web", **source}),
        auto_rebuild=auto_rebuild,
    )


def beside(image: ManagedImage | WatchedImage, made: Stages | None = None) -> dict[str, Document]:
    documents = (made or stages()).beside(image, image.repo_url or "")
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in documents}


def trigger(image: ManagedImage) -> list[Document]:
    steps: list[Document] = beside(image)["Stage/rebuild-trigger-web"]["spec"]["promotionTemplate"]["spec"]["steps"]
    return steps


def test_a_managed_image_is_analyzed_and_its_requests_are_watched_and_acted_on() -> None:
    assert list(beside(managed())) == [
        "Stage/analyze-dockerfile-web",
        "Warehouse/rebuild-requests-web",
        "Stage/rebuild-trigger-web",
    ]


def test_nothing_stands_beside_where_state_lies_nowhere() -> None:
    assert beside(managed(), stages(KargoSettings())) == {}


def test_the_analysis_is_told_of_the_freight_by_expressions_and_of_the_source_in_plain_words() -> None:
    spec = beside(managed(dockerfile="apps/web/Dockerfile"))["Stage/analyze-dockerfile-web"]["spec"]

    assert spec["requestedFreight"] == [{"origin": {"kind": "Warehouse", "name": "web"}, "sources": {"direct": True}}]
    assert spec["verification"]["analysisTemplates"] == [{"name": "analyze-dockerfile"}]
    assert {arg["name"]: arg["value"] for arg in spec["verification"]["args"]} == {
        "imageName": "web",
        "imageTag": '${{ quote(imageFrom("ghcr.io/acme/web").Tag) }}',
        "imageDigest": '${{ imageFrom("ghcr.io/acme/web").Digest }}',
        "dockerfile": "apps/web/Dockerfile",
        "sourceRepo": "acme/web",
        "sourceProvider": "github",
        "gitRepo": URL,
        "gitBranch": "main",
    }


def test_an_image_that_asks_for_a_verification_or_a_policy_is_judged_beside_its_analysis() -> None:
    found = beside(replace(managed(), is_gated=True))["Stage/analyze-dockerfile-web"]["spec"]["verification"]

    assert found["analysisTemplates"] == [{"name": "analyze-dockerfile"}, {"name": "verify-image"}]
    assert {"imageName", "imageDigest"} <= {arg["name"] for arg in found["args"]}


def test_a_base_image_is_observed() -> None:
    base = WatchedImage(name="node-22", role=Role.BASE, repo_url="docker.io/library/node", allow_tags="^22$")

    ((name, stage),) = beside(base).items()

    assert name == "Stage/observe-node-22"
    assert stage["spec"]["verification"]["args"] == [
        {"name": "name", "value": "node-22"},
        {"name": "digest", "value": '${{ imageFrom("docker.io/library/node").Digest }}'},
    ]


def test_only_the_image_s_own_request_file_is_watched() -> None:
    found = beside(managed(), stages(state_dir="known"))["Warehouse/rebuild-requests-web"]

    (item,) = found["spec"]["subscriptions"]
    assert item["git"]["includePaths"] == ["image-factory/known/rebuild-requests/web.yaml"]
    assert (item["git"]["repoURL"], item["git"]["branch"]) == (URL, "main")


@pytest.mark.parametrize(
    ("asked", "hours"), [(timedelta(minutes=5), 0), (timedelta(hours=6), 6), (timedelta(0), 0)], ids=str
)
def test_a_request_is_looked_for_as_often_as_settings_say(asked: timedelta, hours: int) -> None:
    settings = KargoSettings(state_repository=URL, job_image="ghcr.io/acme/tool:1", request_interval=asked)

    interval = beside(managed(), stages(settings))["Warehouse/rebuild-requests-web"]["spec"]["interval"]

    assert interval.startswith(f"{hours}h") == (hours > 0)
    assert interval.startswith("5m") == (asked == timedelta(minutes=5))


@pytest.mark.parametrize("folder", ["/srv/state", "../state"])
def test_state_outside_of_the_repository_is_an_error(folder: str) -> None:
    with pytest.raises(InvalidSettings, match="stateDir"):
        beside(managed(), stages(state_dir=folder))


REQUEST = "outputs.rebuild.request"


def test_a_build_is_started_for_a_request_that_is_requested_and_waits_for_none() -> None:
    read, call = trigger(managed())

    assert read == {
        "as": "rebuild",
        "task": {"kind": "PromotionTask", "name": "read-rebuild-request"},
        "vars": [{"name": "file", "value": "image-factory/state/rebuild-requests/web.yaml"}],
    }
    assert call["if"] == f'${{{{ success() && ({REQUEST}.status == "requested") && {REQUEST}.waits == 0 }}}}'
    assert call["retry"] == {"errorThreshold": 3, "timeout": "5m0s"}


def test_who_promotes_the_stage_of_an_image_that_waits_for_a_person_approves_of_the_request() -> None:
    call = trigger(managed(auto_rebuild=False))[-1]

    wanted = f'({REQUEST}.status == "requested" || {REQUEST}.status == "needs-approval")'
    assert call["if"] == f"${{{{ success() && {wanted} && {REQUEST}.waits == 0 }}}}"


@pytest.mark.parametrize(("minor", "shown"), [(9, False), (10, False), (11, True)])
def test_a_refusal_shows_what_the_provider_answered_where_kargo_can(minor: int, shown: bool) -> None:
    made = Stages(SETTINGS, KargoVersion(1, minor), PLUGINS)

    steps = beside(managed(), made)["Stage/rebuild-trigger-web"]["spec"]["promotionTemplate"]["spec"]["steps"]

    assert ("errorExpression" in steps[-1]["config"]) == shown


def test_github_is_called_as_its_plugin_says() -> None:
    config = trigger(managed(inputs={"base_images": "bases"}))[-1]["config"]

    assert config["method"] == "POST"
    assert config["url"] == "https://api.github.com/repos/acme/web/actions/workflows/web.yml/dispatches"
    assert {"name": "Authorization", "value": "Bearer ${{ secret('github-credentials').password }}"} in config[
        "headers"
    ]
    assert config["body"] == (
        '${% quote({"ref": "main", "inputs": {"request_id": outputs.rebuild.request.requestId,'
        ' "bases": outputs.rebuild.request.digests, "version_bump": outputs.rebuild.request.versionBump,'
        ' "triggered_by": outputs.rebuild.request.triggeredBy,'
        ' "base_image": outputs.rebuild.request.baseImage}}) %}'
    )
    assert config["successExpression"] == "response.status == 200 || response.status == 204"
    assert "response.status != 429" in config["failureExpression"]


def test_a_workflow_is_told_nothing_by_an_input_that_it_does_not_declare() -> None:
    undeclared = {"base_image": "", "triggered_by": ""}

    body = trigger(managed(inputs={**undeclared, "version_bump": "bump"}))[-1]["config"]["body"]

    assert body == (
        '${% quote({"ref": "main", "inputs": {"request_id": outputs.rebuild.request.requestId,'
        ' "base_images": outputs.rebuild.request.digests, "bump": outputs.rebuild.request.versionBump}}) %}'
    )


def test_the_token_is_the_one_that_settings_name_for_the_provider() -> None:
    named = KargoSettings(
        state_repository=URL, job_image="ghcr.io/acme/tool:1", credentials={"github": {"secret": "ci", "key": "a-b"}}
    )

    steps = beside(managed(), stages(named))["Stage/rebuild-trigger-web"]["spec"]["promotionTemplate"]["spec"]["steps"]

    assert {"name": "Authorization", "value": "Bearer ${{ secret('ci')[\"a-b\"] }}"} in steps[-1]["config"]["headers"]


def test_gitlab_is_called_with_its_trigger_token_and_variables() -> None:
    config = trigger(managed(provider="gitlab", host="gitlab.example.com", ref="v1"))[-1]["config"]

    assert config["url"] == "https://gitlab.example.com/api/v4/projects/acme%2Fweb/trigger/pipeline"
    assert '"ref": "v1"' in config["body"]
    assert '"image": "web"' in config["body"]
    assert '"base_image": outputs.rebuild.request.baseImage' in config["body"]
    assert "\"token\": secret('gitlab-trigger').token" in config["body"]
    assert config["successExpression"] == "response.status == 201"


@pytest.mark.parametrize(("auto", "promotion"), [(True, "automatic"), (False, "manual")])
def test_only_the_trigger_of_an_image_that_is_rebuilt_by_itself_is_promoted_by_itself(
    auto: bool, promotion: str
) -> None:
    found = beside(managed(auto_rebuild=auto))

    assert found["Stage/rebuild-trigger-web"]["metadata"]["labels"]["image-factory.io/promotion"] == promotion
    assert found["Stage/analyze-dockerfile-web"]["metadata"]["labels"]["image-factory.io/promotion"] == "automatic"


def test_where_nobody_starts_builds_the_image_is_analyzed_all_the_same() -> None:
    notes: list[str] = []

    documents = stages().beside(managed(provider="git", repo="https://a.b/c.git"), "ghcr.io/acme/web", notes.append)

    assert [one["metadata"]["name"] for one in documents] == ["analyze-dockerfile-web"]
    assert len(notes) == 1
    assert "its builds are not started" in notes[0]


def test_a_version_is_carried_on_once_its_analysis_went_well_and_by_a_job_where_steps_cannot() -> None:
    entry = Update(repo="acme/charts", path="web/templates/deployment.yaml", type="helm-update-image")
    image = replace(managed(), updates=(entry,))

    (spec,) = [one["spec"] for name, one in beside(image).items() if "Stage/update-web-acme-charts" in name]

    assert spec["requestedFreight"] == [
        {"origin": {"kind": "Warehouse", "name": "web"}, "sources": {"stages": ["analyze-dockerfile-web"]}}
    ]
    assert spec["verification"] == {
        "analysisTemplates": [{"name": "update-consumers"}],
        "args": [
            {"name": "imageName", "value": "web"},
            {"name": "repository", "value": "acme/charts"},
            {"name": "type", "value": "helm-update-image"},
        ],
    }


@pytest.mark.parametrize("text", ["${{ secret('a') }}", "a}}b", "a%}b", "a\nb"])
def test_what_people_wrote_never_leaves_its_literal(text: str) -> None:
    with pytest.raises(UnsafeValue):
        literal(text)
    with pytest.raises(UnsafeValue):
        expression_of({"a": [text]}, {})


def test_a_quote_stays_within_its_literal() -> None:
    assert expression_of({"a": ['x" + secret("b")', True]}, {}) == r'{"a": ["x\" + secret(\"b\")", true]}'
