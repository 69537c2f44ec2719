from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from image_factory.errors import InvalidSettings
from image_factory.model.cluster_jobs import JobSettings
from image_factory.model.settings import KargoSettings
from image_factory_synth.fields import Document
from image_factory_synth.jobs import jobs
from image_factory_synth.versions import KargoVersion

URL = "https://git.example.com/acme/state.git"
IMAGE = f"ghcr.io/acme/tool:1.2@sha256:{'a' * 64}"


def written(**values: Any) -> dict[str, Document]:
    settings = KargoSettings(**{"state_repository": URL, "job_image": IMAGE, **values})
    documents = [resource.document(KargoVersion(1, 11)) for resource in jobs(settings)]
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in documents}


def job_of(document: Document) -> Document:
    if document["kind"] == "CronJob":
        spec: Document = document["spec"]["jobTemplate"]["spec"]
    else:
        spec = document["spec"]["metrics"][0]["provider"]["job"]["spec"]
    return spec


def container_of(document: Document) -> Document:
    (container,) = job_of(document)["template"]["spec"]["containers"]
    found: Document = container
    return found


JOBS = (
    "AnalysisTemplate/analyze-dockerfile",
    "AnalysisTemplate/observe-base",
    "AnalysisTemplate/verify-image",
    "AnalysisTemplate/update-consumers",
    "CronJob/coordinate",
)


def test_without_a_state_repository_there_is_nothing_to_run() -> None:
    assert jobs(KargoSettings(job_image=IMAGE)) == ()


def test_jobs_without_an_image_are_an_error_that_names_the_setting() -> None:
    with pytest.raises(InvalidSettings, match=r"kargo\.jobImage"):
        jobs(KargoSettings(state_repository=URL))


@pytest.mark.parametrize("image", ["ghcr.io/acme/tool", "ghcr.io/acme/tool:latest", "tool:None:1", "a b"])
def test_an_image_that_is_not_pinned_is_refused(image: str) -> None:
    with pytest.raises(ValidationError):
        KargoSettings(job_image=image)


def test_the_analysis_declares_its_eight_arguments() -> None:
    spec = written()[JOBS[0]]["spec"]

    assert [argument["name"] for argument in spec["args"]] == [
        *("imageName", "imageTag", "imageDigest", "dockerfile"),
        *("sourceRepo", "sourceProvider", "gitRepo", "gitBranch"),
    ]
    assert spec["metrics"][0]["name"] == "analysis"


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_with_no_more_than_it_needs(name: str) -> None:
    spec = job_of(written()[name])
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]

    tries = 0 if name == "CronJob/coordinate" else 2  # its next time is its next attempt
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (tries, 900, 3600)
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("image-factory", False)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"] == IMAGE
    assert container["resources"]["limits"].keys() == {"cpu", "memory"}
    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_told_each_thing_as_an_argument_of_its_own_and_by_no_shell(name: str) -> None:
    (container,) = job_of(written()[name])["template"]["spec"]["containers"]

    assert "command" not in container
    assert container["args"][0] in ("analyze", "observe", "verify", "update", "coordinate")
    assert all(word.startswith("--") and "=" in word for word in container["args"][1:] if word != "--settle")
    assert [(one["name"], one["valueFrom"]["secretKeyRef"]) for one in container["env"]] == [
        ("IMAGE_FACTORY_GIT_USERNAME", {"name": "github-credentials", "key": "username", "optional": True}),
        ("IMAGE_FACTORY_GIT_PASSWORD", {"name": "github-credentials", "key": "password"}),
    ]


@pytest.mark.parametrize("name", [name for name in JOBS if name.startswith("Analysis")])
def test_a_jobs_name_stays_a_label_for_counts_of_five_digits(name: str) -> None:
    (metric,) = written()[name]["spec"]["metrics"]

    # argo-rollouts calls the Job by the AnalysisRun's uid, the metric and the count.
    assert len(f"{'0' * 8}-{'0' * 4}-{'0' * 4}-{'0' * 4}-{'0' * 12}.{metric['name']}.99999") <= 63


def test_a_job_goes_on_without_the_tokens_that_settings_name_where_their_secret_is_not_there() -> None:
    environment = {"GITHUB_TOKEN": {"secret": "robot", "key": "token"}, "CI_REGISTRY_TOKEN": {"secret": "registry"}}
    found = written(job_environment=environment)

    for name in JOBS:
        listed = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container_of(found[name])["env"]}
        assert listed["GITHUB_TOKEN"] == {"name": "robot", "key": "token", "optional": True}
        assert listed["CI_REGISTRY_TOKEN"] == {"name": "registry", "key": "password", "optional": True}


def test_what_jobs_are_called_when_they_run_and_what_they_take_are_settings() -> None:
    jobs = {
        "analyzeTemplate": "look",
        "observeTemplate": "see",
        "coordinateName": "decide",
        "schedule": "*/5 6-20 * * 1-5",
        "deadline": "5m",
        "retries": 0,
        "keptFor": "2d",
        "requests": {"cpu": "250m", "memory": "64Mi"},
        "limits": {"cpu": "2", "memory": "1Gi"},
        "tmpSize": "8Gi",
        "pullSecrets": ["ghcr-pull"],
    }
    found = written(jobs=JobSettings.model_validate(jobs))

    assert found["CronJob/decide"]["spec"]["schedule"] == "*/5 6-20 * * 1-5"
    for name in ("AnalysisTemplate/look", "AnalysisTemplate/see", "CronJob/decide"):
        spec = job_of(found[name])
        pod = spec["template"]["spec"]
        assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (
            0,
            300,
            172800,
        )
        assert pod["containers"][0]["resources"] == {
            "requests": {"cpu": "250m", "memory": "64Mi"},
            "limits": {"cpu": "2", "memory": "1Gi"},
        }
        assert pod["volumes"][0]["emptyDir"] == {"sizeLimit": "8Gi"}
        assert pod["imagePullSecrets"] == [{"name": "ghcr-pull"}]


def test_a_repository_over_ssh_is_an_error_since_jobs_have_no_key() -> None:
    with pytest.raises(InvalidSettings, match="over ssh") as caught:
        jobs(KargoSettings(state_repository="ssh://git@git.example.com/acme/state.git", job_image=IMAGE))

    assert "https" in caught.value.hint


def test_coordination_runs_every_ten_minutes_and_never_twice_at_once() -> None:
    spec = written(state_branch="develop", state_path="ops/images")["CronJob/coordinate"]["spec"]

    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("*/10 * * * *", "Etc/UTC", "Forbid")
    assert job_of(written()["CronJob/coordinate"])["template"]["spec"]["containers"][0]["args"] == [
        "coordinate",
        "--settle",
        f"--git-repo={URL}",
        "--git-branch=main",
        "--image-factory-dir=image-factory",
        "--log-format=json",
    ]
    args = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--git-branch=develop" in args
    assert "--image-factory-dir=ops/images" in args


def test_the_account_of_jobs_has_no_right_in_the_cluster() -> None:
    found = written(service_account="builder")

    assert found["ServiceAccount/builder"]["automountServiceAccountToken"] is False
    assert found["Role/builder"]["rules"] == []
    assert found["RoleBinding/builder"]["roleRef"]["name"] == "builder"
    assert found["RoleBinding/builder"]["subjects"][0]["namespace"] == "image-factory-kargo"
