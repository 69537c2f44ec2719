"""The manifests that `image-factory synth` writes, in the real Kargo: accepted, reconciled, and at work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.acceptance.plane.plane import ControlPlane, NotReady
from tests.acceptance.plane.programs import CannotBuild, programs
from tests.acceptance.world import CONSUMER, NAMESPACE, World, begun_world

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "image-factory" / "dist" / "image-factory.k8s.yaml"


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    try:
        built = programs()
    except CannotBuild as error:
        pytest.skip(str(error))
    with ControlPlane(tmp_path / "plane", built.folder, built.crds) as plane:
        yield plane


@pytest.fixture
def world(plane: ControlPlane, tmp_path: Path) -> Iterator[World]:
    with begun_world(plane, tmp_path) as world:
        yield world


def _observed(world: World) -> str:
    """Apply, let the image be analyzed, apply what is known then, and return its base's name once that was observed."""
    world.apply()
    (base,) = world.plane.wait("the analysis", lambda: world.state("images/web.yaml").get("baseImages"))
    world.apply()
    world.plane.wait("the observation", lambda: world.state(f"base-images/{base}.yaml").get("currentDigest"))
    return str(base)


def _moved(world: World, base: str) -> str:
    """Let the base move, be observed, and a rebuild be requested; return the new digest."""
    new = world.publish("library/alpine", "alpine two", "3.22")
    world.refresh(base)
    world.plane.wait("the move", lambda: world.state(f"base-images/{base}.yaml")["currentDigest"] == new)
    assert world.node.tick("coordinate").code == 0
    assert world.state("rebuild-requests/web.yaml")["causes"][0]["to"] == new
    world.refresh("rebuild-requests-web")
    return new


def _phase(promotion: dict[str, Any]) -> str:
    return str(promotion.get("status", {}).get("phase"))


def test_kargo_accepts_and_reconciles_the_shipped_folder(plane: ControlPlane) -> None:
    text = SHIPPED.read_text("utf-8")
    namespaces = {each["metadata"].get("namespace") for each in yaml.safe_load_all(text)} - {None, NAMESPACE}
    for name in namespaces:
        plane.apply(yaml.safe_dump({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))

    said = plane.apply(text)

    assert said.count("serverside-applied") == len(list(yaml.safe_load_all(text)))

    def ready() -> bool:
        project = plane.api("GET", f"/apis/kargo.akuity.io/v1alpha1/projects/{NAMESPACE}")
        config = plane.api("GET", f"/apis/kargo.akuity.io/v1alpha1/namespaces/{NAMESPACE}/projectconfigs/{NAMESPACE}")
        conditions = [
            condition
            for each in (project, config)
            for condition in each.get("status", {}).get("conditions") or ()
            if condition["type"] == "Ready"
        ]
        return len(conditions) == 2 and all(condition["status"] == "True" for condition in conditions)

    plane.wait("the project", ready)
    stages = f"/apis/kargo.akuity.io/v1alpha1/namespaces/{NAMESPACE}/stages"
    plane.wait("all stages", lambda: all(each.get("status", {}).get("conditions") for each in plane.objects(stages)))


def test_kargo_refuses_what_it_must(plane: ControlPlane) -> None:
    broken = SHIPPED.read_text("utf-8").replace("imageSelectionStrategy: Digest", "imageSelectionStrategy: Newest")

    with pytest.raises(NotReady, match="imageSelectionStrategy"):
        plane.apply(broken)


def test_synth_asks_the_cluster_what_it_would_refuse(plane: ControlPlane, tmp_path: Path) -> None:
    folder = tmp_path / "image-factory"
    shutil.copytree(ROOT / "image-factory", folder)
    dist = folder / "dist" / SHIPPED.name

    def checked() -> subprocess.CompletedProcess[str]:
        words = ["image-factory", "synth", "--check", "--server", "--image-factory-dir", str(folder)]
        told = {**os.environ, "KUBECONFIG": str(plane.kubeconfig)}
        return subprocess.run(words, env=told, capture_output=True, text=True, check=False)

    found = checked()
    assert (found.returncode, f'namespaces "{NAMESPACE}" not found' in found.stderr) == (2, True)
    test_kargo_accepts_and_reconciles_the_shipped_folder(plane)
    assert checked().returncode == 0
    # What only Kargo's admission knows: a stage may not ask for one origin twice.
    documents = list(yaml.safe_load_all(dist.read_text("utf-8")))
    stage = next(each for each in documents if each["metadata"]["name"] == "observe-redis")
    stage["spec"]["requestedFreight"] *= 2
    dist.write_text(yaml.safe_dump_all(documents), "utf-8")
    found = checked()
    assert found.returncode == 2
    assert "Stage/observe-redis" in found.stderr


def test_a_base_that_moves_leads_to_one_build_and_to_its_consumers(world: World) -> None:
    world.enroll()
    base = _observed(world)
    new = _moved(world, base)

    (run,) = world.plane.wait("the build", lambda: world.runs)

    request = world.state("rebuild-requests/web.yaml")
    assert run.inputs["request_id"] == request["requestId"]
    assert new in run.inputs["base_images"]
    digest = world.publish("acme/web", "web 1.0.1", "1.0.1", "latest", request=run.inputs["request_id"])
    world.github.finish("acme/web", run.id)
    assert world.node.tick("coordinate").code == 0
    image = world.state("images/web.yaml")
    assert (image["currentVersion"], image["currentDigest"]) == ("1.0.1", digest)
    assert [each["result"] for each in image["rebuildHistory"]] == ["succeeded"]
    assert "newTag: 1.0.0" in (world.file(CONSUMER, "app/kustomization.yaml") or ""), "what is not built is not carried"

    world.apply()
    world.refresh("web")
    world.plane.wait("the consumer", lambda: "newTag: 1.0.1" in (world.file(CONSUMER, "app/kustomization.yaml") or ""))

    assert "# ours" in (world.file(CONSUMER, "app/kustomization.yaml") or "")
    assert len(world.runs) == 1
    world.plane.wait("the promotions", lambda: {_phase(each) for each in world.listed("promotions")} == {"Succeeded"})
    assert {ran.code for ran in world.node.ran} == {0}


def test_what_needs_approval_waits_until_a_person_promotes_it(world: World) -> None:
    world.enroll(autoRebuild=False)
    base = _observed(world)
    _moved(world, base)
    (freight,) = world.plane.wait("the request's Freight", lambda: world.freight("rebuild-requests-web"))
    assert world.state("rebuild-requests/web.yaml")["status"] == "needs-approval"
    assert not world.promotions("rebuild-trigger-web")
    assert not world.runs

    world.promote("rebuild-trigger-web", freight)

    (run,) = world.plane.wait("the build", lambda: world.runs)
    assert run.inputs["request_id"] == world.state("rebuild-requests/web.yaml")["requestId"]


def test_an_image_whose_analysis_fails_is_not_carried_to_consumers(world: World) -> None:
    world.enroll()
    world.github.repositories.commit("acme/web.git", {"Dockerfile": None}, "Lose the Dockerfile", branch="main")
    before = world.file(CONSUMER, "app/kustomization.yaml")

    world.apply()

    stage = f"/apis/kargo.akuity.io/v1alpha1/namespaces/{NAMESPACE}/stages/analyze-dockerfile-web"

    def failed() -> bool:
        history = world.plane.api("GET", stage).get("status", {}).get("freightHistory") or [{}]
        return any(each.get("phase") == "Failed" for each in history[0].get("verificationHistory") or ())

    world.plane.wait("the verification to fail", failed)
    assert world.state("images/web.yaml")["discoveryStatus"] == "failed"
    assert all(ran.code != 0 for ran in world.node.ran)
    assert world.file(CONSUMER, "app/kustomization.yaml") == before
