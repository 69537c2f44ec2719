from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from image_factory.errors import InvalidSettings
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


JOBS = ("AnalysisTemplate/analyze-dockerfile", "AnalysisTemplate/observe-base", "CronJob/coordinate")


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

    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (2, 900, 3600)
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
    assert container["args"][0] in ("analyze", "observe", "coordinate")
    assert all(word.startswith("--") and "=" in word for word in container["args"][1:])
    assert container["env"] == [
        {
            "name": "IMAGE_FACTORY_GIT_PASSWORD",
            "valueFrom": {"secretKeyRef": {"name": "github-credentials", "key": "password"}},
        }
    ]


def test_coordination_runs_every_ten_minutes_and_never_twice_at_once() -> None:
    spec = written(state_branch="develop", state_path="ops/images")["CronJob/coordinate"]["spec"]

    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("*/10 * * * *", "Forbid")
    assert job_of(written()["CronJob/coordinate"])["template"]["spec"]["containers"][0]["args"] == [
        "coordinate",
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
