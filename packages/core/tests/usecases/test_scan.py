"""A tree looked through for managed images: the places, who can change them, the proposed entries."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from image_factory.errors import NotFound
from image_factory.oci.reference import Repository
from image_factory.usecases.scan import Scan, scan

kustomize: Any = pytest.importorskip("image_factory_kustomize.updater", reason="the plugin kustomize is not installed")
yaml: Any = pytest.importorskip("image_factory_yaml.updater", reason="the plugin yaml is not installed")
helm: Any = pytest.importorskip("image_factory_helm.updater", reason="the plugin helm is not installed")

IMAGES = {
    "web": Repository("ghcr.io", "acme/web"),
    "api": Repository("ghcr.io", "acme/api"),
    "hub": Repository("docker.io", "acme/hub"),
}
FILES = {
    "overlays/production/kustomization.yaml": "images:\n\n- name: web\n  newName: ghcr.io/acme/web\n",
    "chart/values.yaml": "global: {imageRegistry: ghcr.io/acme}\nimage:\n  repository: web\n  tag: '1'\n",
    "chart/templates/job.yaml": "{{- if .x }}\nimage: ghcr.io/acme/api:1\n{{- end }}\n",
    "raw/pod.yaml": "# ghcr.io/acme/web:0\nspec:\n  containers:\n  - image: ghcr.io/acme/web:1\n"
    "  - image: acme/hub:2\n",
    "raw/script.yaml": "data:\n  run.sh: |\n    docker run ghcr.io/acme/web:1\n",
    "cdk8s/main.ts": 'new Pod({ image: "ghcr.io/acme/web:1" }); // ghcr.io/acme/webhook:1\n',
    "README.md": "Nothing of ghcr.io/acme/website:1 or ghcr.io/acme/web here.\n",
    ".git/x.yaml": "image: ghcr.io/acme/web:1\n",
    "state/web.yaml": "image: ghcr.io/acme/web:1\n",
}


def plant(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def scanned(tree: Path, *updaters: Any) -> Scan:
    all_three = (yaml.YamlUpdater(), kustomize.KustomizeUpdater(), helm.HelmUpdater())
    return scan(tree, IMAGES, updaters or all_three, passed_by=[tree / "state"])


def test_every_kind_of_file_is_found_and_told_who_can_change_it(tmp_path: Path) -> None:
    plant(tmp_path, FILES)

    found = scanned(tmp_path)

    assert [(place.image, place.file, place.mention.line, place.type) for place in found.places] == [
        ("web", "cdk8s/main.ts", 1, None),
        ("api", "chart/templates/job.yaml", 2, "helm-update-image"),
        ("web", "chart/values.yaml", 3, "helm-update-image"),
        ("web", "overlays/production/kustomization.yaml", 3, "kustomize-set-image"),
        ("web", "raw/pod.yaml", 4, "yaml-update"),
        ("hub", "raw/pod.yaml", 5, "yaml-update"),
        ("web", "raw/script.yaml", 3, None),
    ]
    assert found.problems == ()


def test_entries_are_proposed_with_the_keys_that_reach_every_place(tmp_path: Path) -> None:
    plant(tmp_path, FILES)

    entries = [(proposal.image, proposal.entry()) for proposal in scanned(tmp_path).proposals]

    def entry(path: str, kind: str, *keys: str) -> dict[str, object]:
        return {"repo": "OWNER/REPOSITORY", "path": path, "type": kind, **({"keys": list(keys)} if keys else {})}

    assert entries == [
        ("api", entry("chart/templates/job.yaml", "helm-update-image")),
        ("hub", entry("raw/pod.yaml", "yaml-update", "spec.containers.1.image")),
        ("web", entry("chart/values.yaml", "helm-update-image", "image.tag")),
        ("web", entry("overlays/production", "kustomize-set-image", "web")),
        ("web", entry("raw/pod.yaml", "yaml-update", "spec.containers.0.image")),
    ]


@pytest.mark.parametrize(
    "url",
    ["https://github.com/acme/deploy.git", "git@github.com:acme/deploy.git", "ssh://git@h.example:22/acme/deploy"],
)
def test_the_repository_is_the_origin_s_and_paths_begin_at_its_top(tmp_path: Path, url: str) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "remote", "add", "origin", url], check=True)
    plant(tmp_path, FILES)

    found = scanned(tmp_path / "raw")

    assert [(proposal.repo, proposal.path) for proposal in found.proposals] == [("acme/deploy", "raw/pod.yaml")] * 2


def test_what_no_installed_updater_reads_is_found_all_the_same(tmp_path: Path) -> None:
    plant(tmp_path, {"values.yaml": "image: ghcr.io/acme/web:1\n"})

    assert [place.type for place in scanned(tmp_path).places] == ["helm-update-image"]
    assert [place.type for place in scanned(tmp_path, yaml.YamlUpdater()).places] == ["yaml-update"]
    assert [place.type for place in scanned(tmp_path, kustomize.KustomizeUpdater()).places] == [None]


def test_one_file_links_and_what_is_no_text(tmp_path: Path) -> None:
    plant(tmp_path, {"a.yaml": "image: ghcr.io/acme/web:1\n", "b/c.yaml": "image: ghcr.io/acme/web:1\n"})
    (tmp_path / "b/again.yaml").symlink_to("../a.yaml")
    (tmp_path / "b/circle").symlink_to("..")
    (tmp_path / "program").write_bytes(b"\0ghcr.io/acme/web:1\0")
    (tmp_path / "latin.txt").write_bytes(b"\xe9 ghcr.io/acme/web:1\n")

    assert [place.file for place in scanned(tmp_path / "a.yaml").places] == ["a.yaml"]
    assert [place.file for place in scanned(tmp_path).places] == ["a.yaml", "b/c.yaml", "latin.txt"]
    with pytest.raises(NotFound):
        scanned(tmp_path / "nothing")


def test_a_file_that_cannot_be_read_as_yaml_stops_nothing(tmp_path: Path) -> None:
    plant(tmp_path, {"a.yaml": "image: ghcr.io/acme/web:1\n  x: [", "b.yaml": "image: ghcr.io/acme/web:1\n"})

    assert [(place.file, place.type) for place in scanned(tmp_path).places] == [
        ("a.yaml", None),
        ("b.yaml", "yaml-update"),
    ]
