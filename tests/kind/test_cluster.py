"""A real Kargo takes what synth writes, reconciles it, and its jobs run: on a throwaway cluster, with Docker.

Not among the tests that `pytest` runs by itself (pyproject.toml, `norecursedirs`): `.github/workflows/kind.yml`
makes a cluster of kind's with Kargo and says `hatch run kind`. It touches no cluster that kind did not make.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = Path(os.environ.get("IMAGE_FACTORY_MANIFEST", ROOT / "image-factory/dist/image-factory.k8s.yaml"))
RESOURCES: list[dict[str, Any]] = list(yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")))
NAMESPACE = next(one["metadata"]["name"] for one in RESOURCES if one["kind"] == "Namespace")
PATIENCE = 300
"""Seconds for Kargo to look at everything once."""


def kubectl(*words: str, text: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["kubectl", *words], input=text, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if check and done.returncode != 0:
        raise AssertionError(f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}")
    return done


def why_not() -> str | None:
    """Return why there is no cluster to work on, or None."""
    if shutil.which("kubectl") is None:
        return "no kubectl"
    context = kubectl("config", "current-context", check=False)
    if not context.stdout.startswith("kind-"):
        return f"the current context is {context.stdout.strip() or 'none'}, which kind did not make"
    if kubectl("get", "crd", "stages.kargo.akuity.io", check=False).returncode != 0:
        return "the cluster has no Kargo, or does not answer"
    return None


NO_CLUSTER = why_not()
if NO_CLUSTER is not None:
    if os.environ.get("IMAGE_FACTORY_CLUSTER_REQUIRED"):
        raise RuntimeError(f"no throwaway cluster with Kargo: {NO_CLUSTER}")
    pytest.skip(f"no throwaway cluster with Kargo: {NO_CLUSTER} (.github/workflows/kind.yml)", allow_module_level=True)


def get(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("--namespace", NAMESPACE, "get", kind, name, "--output=json").stdout)
    return found


def wait_for(what: str, is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < until, f"{what} did not come to be within {PATIENCE} s"
        time.sleep(3)


def is_ready(resource: dict[str, Any]) -> bool:
    conditions = resource.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


@pytest.fixture(scope="module", autouse=True)
def applied() -> None:
    """Apply the file as the how-to says."""
    for namespace in {one["metadata"].get("namespace", NAMESPACE) for one in RESOURCES} - {NAMESPACE}:
        kubectl("create", "namespace", namespace)  # where Backstage stands
    said = kubectl("apply", "--filename", str(MANIFEST)).stdout

    assert len(said.splitlines()) == len(RESOURCES)


def test_the_project_comes_to_be() -> None:
    wait_for("the Project", lambda: is_ready(get("projects.kargo.akuity.io", NAMESPACE)))
    wait_for("the ProjectConfig", lambda: is_ready(get("projectconfigs.kargo.akuity.io", NAMESPACE)))


@pytest.mark.parametrize("kind", ["Warehouse", "Stage"])
def test_kargo_looks_at_every_one(kind: str) -> None:
    names = [one["metadata"]["name"] for one in RESOURCES if one["kind"] == kind]
    assert names

    def is_seen(name: str) -> bool:
        found = get(f"{kind.lower()}s.kargo.akuity.io", name)
        return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])

    for name in names:
        wait_for(f"a look at {kind} {name}", lambda name=name: is_seen(name))  # type: ignore[misc]


def test_what_is_applied_twice_changes_nothing() -> None:
    assert kubectl("diff", "--filename", str(MANIFEST), check=False).stdout == ""


def test_kargos_admission_is_in_force() -> None:
    stage = next(one for one in RESOURCES if one["kind"] == "Stage")
    freight = [{**stage["spec"]["requestedFreight"][0]}] * 2
    wrong = {**stage, "metadata": {"name": "wrong", "namespace": NAMESPACE}}
    wrong["spec"] = {**stage["spec"], "requestedFreight": freight}

    refused = kubectl("apply", "--filename", "-", text=yaml.safe_dump(wrong), check=False)

    assert refused.returncode != 0, "a Stage that asks twice for one Warehouse's Freight was taken"


# --- jobs --------------------------------------------------------------------------------------------------

ENTRY = "- {name: web, registry: ghcr.io, repository: acme/web, source: {provider: git, repo: 'http://127.0.0.1:8081/web.git'}}\n"
SERVER = textwrap.dedent(
    f"""
    import subprocess, time
    from pathlib import Path
    from image_factory.ports import Credentials
    from image_factory.testing.git_server import GitServer

    open_to_all = GitServer(Path("/tmp/a"), port=8081)
    closed = GitServer(Path("/tmp/b"), credentials=Credentials("robot", "s3cret"), port=8080)
    with open_to_all, closed:
        open_to_all.create("web.git", {{"Dockerfile": "FROM docker.io/library/alpine:3.22\\n"}})
        closed.create("state.git", {{"image-factory/images.yaml": {ENTRY!r}}})
        while True:
            print(subprocess.run(["git", "-C", "/tmp/b/state.git", "log", "-1", "--format=%s"],
                                 capture_output=True, text=True).stdout.strip(), flush=True)
            time.sleep(1)
    """
)
"""A git server beside the job, in its pod: the image has the one of our own tests."""


def test_the_analysis_job_runs_and_pushes() -> None:
    """As argo-rollouts would make it of the template, with a git server in its pod instead of yours."""
    template = next(
        one for one in RESOURCES if one["kind"] == "AnalysisTemplate" and "analyze" in one["metadata"]["name"]
    )
    given = {
        "imageName": "web",
        "imageTag": "1.2.3",
        "imageDigest": f"sha256:{'a' * 64}",
        "dockerfile": "Dockerfile",
        "sourceRepo": "http://127.0.0.1:8081/web.git",
        "sourceProvider": "git",
        "gitRepo": "http://127.0.0.1:8080/state.git",
        "gitBranch": "main",
    }
    text = json.dumps(template["spec"]["metrics"][0]["provider"]["job"]["spec"])
    for name, value in given.items():
        text = text.replace(f"{{{{args.{name}}}}}", value)
    spec = json.loads(text)
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    probe = "import socket; socket.create_connection(('127.0.0.1', 8080))"
    pod["volumes"].append({"name": "git", "emptyDir": {}})
    pod["initContainers"] = [
        {
            "name": "git",
            "image": container["image"],
            "command": ["python", "-c", SERVER],
            "restartPolicy": "Always",
            "startupProbe": {"exec": {"command": ["python", "-c", probe]}, "failureThreshold": 30, "periodSeconds": 1},
            "securityContext": container["securityContext"],
            "volumeMounts": [{"name": "git", "mountPath": "/tmp"}],
        }
    ]
    user, password = container["env"][0], container["env"][1]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": password["valueFrom"]["secretKeyRef"]["name"], "namespace": NAMESPACE},
        "stringData": {
            user["valueFrom"]["secretKeyRef"]["key"]: "robot",
            password["valueFrom"]["secretKeyRef"]["key"]: "s3cret",
        },
    }
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "try", "namespace": NAMESPACE}, "spec": spec}
    kubectl("apply", "--filename", "-", text=yaml.safe_dump_all([secret, job]))

    def has_ended() -> bool:
        return any(
            one["type"] in ("Complete", "Failed") for one in get("job", "try").get("status", {}).get("conditions", [])
        )

    wait_for("the end of the job", has_ended)
    logs = {
        name: kubectl("--namespace", NAMESPACE, "logs", "job/try", f"--container={name}", check=False).stdout
        for name in ("image-factory", "git")
    }

    assert get("job", "try")["status"].get("succeeded") == 1, logs
    assert "Analyze web" in logs["git"].splitlines(), logs
    kubectl("--namespace", NAMESPACE, "delete", "job/try", f"secret/{secret['metadata']['name']}")  # type: ignore[index]


def test_the_cron_job_makes_jobs_that_the_cluster_takes() -> None:
    name = next(one["metadata"]["name"] for one in RESOURCES if one["kind"] == "CronJob")

    kubectl("--namespace", NAMESPACE, "create", "job", "now", f"--from=cronjob/{name}")
    wait_for("its pod", lambda: bool(get("job", "now").get("status", {}).get("active")))

    kubectl("--namespace", NAMESPACE, "delete", "job/now")


def test_all_of_it_goes_again() -> None:
    """Comes last: it takes everything away."""
    kubectl("delete", "--filename", str(MANIFEST), "--ignore-not-found", "--wait=false")

    wait_for("the end of the namespace", lambda: kubectl("get", "namespace", NAMESPACE, check=False).returncode != 0)
