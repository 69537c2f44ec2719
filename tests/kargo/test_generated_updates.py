"""A consumer's file comes out of Kargo's steps as it comes out of ours: the same data, and no other file touched.

A step of Kargo's may write what it sets in other quotes, or lay a file out anew, which is no business of its reader's.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.kargo.judge import Judge

pytest.importorskip("image_factory_cli", reason="image_factory_cli is not installed")
pytest.importorskip("image_factory_synth", reason="image_factory_synth is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_yaml", reason="image_factory_yaml is not installed")
pytest.importorskip("image_factory_kustomize", reason="image_factory_kustomize is not installed")
pytest.importorskip("image_factory_helm", reason="image_factory_helm is not installed")

from image_factory.model.enrollment import Source, Update
from image_factory.model.mention import ImageVersion, Target
from image_factory.model.settings import KargoSettings, Settings
from image_factory.oci.reference import Digest, Repository
from image_factory.testing.git_server import GitServer
from image_factory_cli.folder import workbench
from image_factory_synth.data import ManagedImage
from image_factory_synth.stages import Stages
from image_factory_synth.tasks import tasks
from image_factory_synth.versions import KargoVersion

NEWEST = KargoVersion(1, 11)
CLUSTER = KargoSettings(state_repository="https://git.example.com/state.git", job_image="ghcr.io/acme/tool:1")
PLUGINS = workbench(Path(), Settings()).plugins
WEB = "ghcr.io/acme/web"
DIGEST = Digest("sha256", "0a" * 32)
TAGS = ["1.1.0", "2", "1.10", "1e5", "08", "true", "null", "v1.2.0-rc.1"]
SHORT = TAGS[:2]
EVERY_TAG = ("v.yaml", "apps/kustomization.yaml")
"""The paths of the files that every tag is carried into."""


@dataclass(frozen=True)
class File:
    """A consumer's file, and the entry of `updates` for it."""

    path: str
    text: str
    type: str
    keys: tuple[str, ...] = ()
    folder: str | None = None
    """What the entry gives as its path, where it is not the file's."""


FILES = {
    "a tag in block style with a comment": File("v.yaml", "a:\n  tag: 1.0.0 # ours\nb: 1\n", "yaml-update", ("a.tag",)),
    "a tag in quotes": File("a.yaml", "a:\n  tag: '1.0.0'\n", "yaml-update", ("a.tag",)),
    "a tag that was a number": File("a.yaml", "a:\n  tag: 1.0\n", "yaml-update", ("a.tag",)),
    "an empty tag": File("a.yaml", 'a:\n  tag: ""\n', "yaml-update", ("a.tag",)),
    "a list": File("a.yaml", "a:\n- b: web\n  tag: 1.0.0\n- b: api\n  tag: 9\n", "yaml-update", ("a.0.tag",)),
    "a key with a dot": File("a.yaml", "acme.io/tag: 1.0.0\n", "yaml-update", ("acme\\.io/tag",)),
    "a whole reference": File("a.yaml", f"image: {WEB}:1.0.0\n", "yaml-update", ("image",)),
    "a reference that pins a digest": File(
        "a.yaml", f"image: {WEB}:1.0.0@sha256:{'0' * 64}\n", "yaml-update", ("image",)
    ),
    "a digest": File("a.yaml", f"image:\n  digest: sha256:{'0' * 64}\n", "yaml-update", ("image.digest",)),
    "two keys": File("a.yaml", "a:\n  tag: 1.0.0\nb:\n  tag: 1.0.0\n", "yaml-update", ("a.tag", "b.tag")),
    "anchors elsewhere": File("a.yaml", "x: &x {a: 1}\ny: *x\na:\n  tag: 1.0.0\n", "yaml-update", ("a.tag",)),
    "line ends of Windows": File("a.yaml", "a:\r\n  tag: 1.0.0\r\n", "yaml-update", ("a.tag",)),
    "a chart": File("values.yaml", f"a:\n  repository: {WEB}\n  tag: 1.0.0\n", "helm-update-image", ("a.tag",)),
    "a kustomization": File(
        "apps/kustomization.yaml",
        f'# ours\nresources:\n- a.yaml\nimages:\n- name: {WEB}\n  newTag: 1.0.0\n- name: other\n  newTag: "9"\n',
        "kustomize-set-image",
        folder="apps",
    ),
    "a kustomization that gives an image another name": File(
        "kustomization.yaml",
        f"images:\n- name: web\n  newName: {WEB}\n  newTag: 1.0.0\n",
        "kustomize-set-image",
        ("web",),
        ".",
    ),
}


def stage(file: File) -> dict[str, Any]:
    entry = Update(
        repo="acme/deploy",
        path=file.folder or file.path,
        type=file.type,
        key=file.keys[0] if len(file.keys) == 1 else None,
        keys=file.keys if len(file.keys) > 1 else (),
    )
    image = ManagedImage(name="web", repo_url=WEB, source=Source(repo="acme/web"), updates=(entry,))
    (found,) = [
        each
        for each in Stages(CLUSTER, NEWEST, PLUGINS).beside(image, WEB)
        if each["kind"] == "Stage" and each["metadata"]["name"].startswith("update-")
    ]
    return found


def carry(judge: Judge, server: GitServer, file: File, tag: str) -> dict[str, Any]:
    freight = {
        "metadata": {"name": "f1"},
        "origin": {"kind": "Warehouse", "name": "web"},
        "images": [{"repoURL": WEB, "tag": tag, "digest": str(DIGEST)}],
        "status": {"verifiedIn": {"analyze-dockerfile-web": {}}},
    }
    return judge.promote(
        stage(file),
        freight,
        tasks=[each.document(NEWEST) for each in tasks(CLUSTER)],
        rewrite={"https://github.com/acme/deploy.git": server.url("deploy.git")},
    )


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True).stdout.decode()


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_kargo_changes_a_file_as_we_do(judge: Judge, file: File, tmp_path: Path) -> None:
    updater = PLUGINS.updater_named(file.type)
    target = Target(Repository.parse(WEB), file.path, file.keys)
    is_pinned = "sha256:" in file.text
    with GitServer(tmp_path / "repositories") as server:
        server.create("deploy.git", {file.path: file.text, "other.yaml": file.text})
        where = server.path("deploy.git")
        before = file.text
        for tag in SHORT[:1] if is_pinned else TAGS if file.path in EVERY_TAG else SHORT:
            answer = carry(judge, server, file, tag)

            assert answer["phase"] == "Succeeded", answer
            after = git(where, "show", f"main:{file.path}")
            assert git(where, "diff", "--name-only", "main~1", "main").split() == [file.path]
            expected = updater.replace(before, target, ImageVersion(tag, DIGEST if is_pinned else None))
            assert list(yaml.safe_load_all(after)) == list(yaml.safe_load_all(expected)), tag
            before = after


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        pytest.param("image: {repository: x, tag: 1.0.0}\n", "1.1.0", id="a mapping in braces loses its end"),
        pytest.param("image: {\n  tag: 1.0.0,\n  repository: x}\n", "1.1.0", id="its lines run together"),
        pytest.param("image:\n  tag: |\n    1.0.0\n", "1.1.0", id="a block of text stays below"),
        pytest.param("image:\n  tag: &tag 1.0.0\nagain: *tag\n", "1.1.0", id="an anchor goes"),
        pytest.param("image:\n  tag: 1.0.0\n", "0x10", id="a tag in hexadecimal becomes a number"),
    ],
)
def test_what_kargo_would_break_is_not_pushed(judge: Judge, text: str, tag: str, tmp_path: Path) -> None:
    file = File("v.yaml", text, "yaml-update", ("image.tag",))
    with GitServer(tmp_path / "repositories") as server:
        begin = server.create("deploy.git", {file.path: text})

        answer = carry(judge, server, file, tag)

        assert (answer["phase"], git(server.path("deploy.git"), "rev-parse", "main").strip()) == ("Errored", begin)
        assert "step-3" in answer["message"], answer
