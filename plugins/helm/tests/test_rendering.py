"""The judge of the updater: `helm template` renders the wanted image from what was edited, and all else as before."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.model.mention import ImageVersion, Target
from image_factory.oci.reference import Digest, Repository
from image_factory_helm.updater import HelmUpdater

CHART = Path(__file__).with_name("charts") / "shop"
WEB = Repository("ghcr.io", "acme/web")
DIGEST = Digest("sha256", "a" * 64)
AS_IT_IS = {
    "migrate": "ghcr.io/acme/web:1.0.0",
    "web": "ghcr.io/acme/web:1.0.0",
    "proxy": "docker.io/library/nginx:1.27.1",
    "worker": "ghcr.io/acme/web:1.0.0",
    "page": "ghcr.io/acme/web:1.0.0",
    "cleanup": "ghcr.io/acme/web:1.0.0",
    "report": "ghcr.io/acme/web-report:1.0.0",
}
IN_VALUES = ("migrate", "web", "worker", "page")
VERSIONS = [
    pytest.param(ImageVersion("1.1.0"), ":1.1.0", id="a tag"),
    pytest.param(ImageVersion("1e3"), ":1e3", id="a tag that looks like a number"),
    pytest.param(ImageVersion("1.10"), ":1.10", id="a tag whose zero a number would lose"),
    pytest.param(ImageVersion("1.1.0", DIGEST), f":1.1.0@{DIGEST}", id="a tag and a digest"),
]


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CHART, tmp_path / "shop"))


def rendered(chart: Path, *words: str) -> tuple[dict[str, str], list[Any]]:
    """Return container → image, and the documents with the images taken out."""
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not installed: go install helm.sh/helm/v3/cmd/helm@latest")
    done = subprocess.run([helm, "template", "r", str(chart), *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    images: dict[str, str] = {}
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    waiting: list[Any] = list(documents)
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "image" in node:
                images[node["name"]] = node.pop("image")
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return images, documents


def update(chart: Path, path: str, version: ImageVersion, *keys: str) -> None:
    file = chart / path
    before = file.read_bytes().decode()
    after = HelmUpdater().replace(before, Target(WEB, path, keys), version)
    assert after.count("\n") == before.count("\n")
    file.write_bytes(after.encode())


def test_the_chart_renders_what_the_tests_start_from(chart: Path) -> None:
    assert rendered(chart)[0] == AS_IT_IS


@pytest.mark.parametrize(("version", "suffix"), VERSIONS)
def test_helm_renders_the_version_wherever_the_values_name_the_image(
    chart: Path, version: ImageVersion, suffix: str
) -> None:
    _, before = rendered(chart)

    update(chart, "values.yaml", version)

    images, after = rendered(chart)
    assert images == {**AS_IT_IS, **dict.fromkeys(IN_VALUES, f"ghcr.io/acme/web{suffix}")}
    assert after == before


@pytest.mark.parametrize(("version", "suffix"), VERSIONS)
def test_helm_renders_the_version_that_further_values_give(chart: Path, version: ImageVersion, suffix: str) -> None:
    further = ("--values", str(chart / "values-production.yaml"))
    images, before = rendered(chart, *further)
    assert images["web"] == "ghcr.io/acme/web:0.9.0"

    update(chart, "values-production.yaml", version)

    assert rendered(chart, *further) == ({**images, "web": f"ghcr.io/acme/web{suffix}"}, before)
    assert rendered(chart)[0] == AS_IT_IS


def test_helm_renders_the_tag_alone_after_a_digest_was_there(chart: Path) -> None:
    update(chart, "values.yaml", ImageVersion("1.1.0", DIGEST))
    update(chart, "values.yaml", ImageVersion("1.2.0"))

    images, _ = rendered(chart)

    assert {images[name] for name in IN_VALUES} == {"ghcr.io/acme/web:1.2.0"}


@pytest.mark.parametrize(("version", "suffix"), VERSIONS)
def test_helm_renders_the_version_of_a_literal_in_a_template(chart: Path, version: ImageVersion, suffix: str) -> None:
    _, before = rendered(chart)

    update(chart, "templates/cleanup.yaml", version)

    assert rendered(chart) == ({**AS_IT_IS, "cleanup": f"ghcr.io/acme/web{suffix}"}, before)


def test_helm_renders_the_version_of_chosen_keys_alone(chart: Path) -> None:
    update(chart, "values.yaml", ImageVersion("2.0.0"), "image.tag")

    assert rendered(chart)[0] == {**AS_IT_IS, "web": "ghcr.io/acme/web:2.0.0"}


def test_everything_that_helm_renders_of_the_image_is_found_in_the_chart(chart: Path) -> None:
    updater, found = HelmUpdater(), 0
    for file in sorted(chart.rglob("*")):
        path = file.relative_to(chart).as_posix()
        if file.is_file() and updater.matches(path):
            found += sum(one.reference.repository == WEB for one in updater.mentions(path, file.read_text()))

    # One a container that is rendered, and production's own.
    assert found == sum(image.startswith("ghcr.io/acme/web:") for image in rendered(chart)[0].values()) + 1
