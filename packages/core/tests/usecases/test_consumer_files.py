"""Consumers' files: which file an entry means, and whether its tag, its digest or both are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from image_factory.model.image_state import ConsumerStatus
from image_factory.usecases.outcome import Failed

if TYPE_CHECKING:
    from .conftest import Deploy
else:
    Deploy = Any

ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
VALUES = "image:\n  repository: ghcr.io/acme/web\n  tag: 1.0.0\n"

WRITTEN = {
    "a reference by tag gets the tag": (
        {},
        "image: ghcr.io/acme/web:1.0.0\n",
        "image: ghcr.io/acme/web:1.1.0\n",
    ),
    "a reference with a digest gets both": (
        {},
        f"image: ghcr.io/acme/web:1.0.0@{TWO}\n",
        f"image: ghcr.io/acme/web:1.1.0@{ONE}\n",
    ),
    "a reference by digest gets both": (
        {},
        f"image: ghcr.io/acme/web@{TWO}\n",
        f"image: ghcr.io/acme/web:1.1.0@{ONE}\n",
    ),
    "a key of a tag gets the tag": ({"key": "web.tag"}, "web: {tag: 1.0.0}\n", "web: {tag: 1.1.0}\n"),
    "a key of a digest gets the digest": (
        {"keys": ["web.tag", "web.digest"]},
        f"web:\n  tag: 1.0.0\n  digest: {TWO}\n",
        f"web:\n  tag: 1.1.0\n  digest: {ONE}\n",
    ),
    "values with a digest get both": (
        {"type": "helm-update-image"},
        f"{VALUES}  digest: {TWO}\n",
        f"{VALUES}  digest: {ONE}\n".replace("1.0.0", "1.1.0"),
    ),
    "values with an empty digest keep it empty": (
        {"type": "helm-update-image"},
        f"{VALUES}  digest: ''\n",
        f"{VALUES}  digest: ''\n".replace("1.0.0", "1.1.0"),
    ),
}


@pytest.mark.parametrize(("fields", "old", "new"), WRITTEN.values(), ids=WRITTEN.keys())
def test_the_tag_is_written_and_the_digest_where_there_is_one(
    deploy: Deploy, fields: dict[str, Any], old: str, new: str
) -> None:
    deploy.commit("values.yaml", old)
    deploy.begin(deploy.image(deploy.entry(**{"path": "values.yaml", **fields})), digest=ONE)

    deploy.update()
    deploy.update()

    assert deploy.text("values.yaml") == new
    assert deploy.statuses() == [ConsumerStatus.CURRENT]


def test_a_digest_that_is_pinned_is_not_loosened_where_none_is_known(deploy: Deploy) -> None:
    text = f"image: ghcr.io/acme/web:1.0.0@{TWO}\n"
    deploy.commit("pod.yaml", text)
    deploy.begin(deploy.image())

    (outcome,) = deploy.update().outcomes

    assert isinstance(outcome, Failed)
    assert "holds a digest, and none is known of web 1.1.0" in outcome.error.message
    assert "--digest" in outcome.error.hint
    assert deploy.text() == text


def test_an_image_known_by_its_digest_alone_is_named_by_it(deploy: Deploy) -> None:
    deploy.begin(deploy.image(), version=None, digest=ONE)

    deploy.update()

    assert f"image: ghcr.io/acme/web@{ONE} # front" in deploy.text()


@pytest.mark.parametrize("path", ["overlays", "overlays/", "overlays/kustomization.yaml"])
def test_a_kustomization_is_found_by_its_folder_or_named(deploy: Deploy, path: str) -> None:
    deploy.commit("overlays/deeper/kustomization.yaml", "images: []\n")
    deploy.begin(deploy.image(deploy.entry(path=path, type="kustomize-set-image")))

    deploy.update()

    assert "newTag: 1.1.0" in deploy.text("overlays/kustomization.yaml")
    assert deploy.text("overlays/deeper/kustomization.yaml") == "images: []\n"


def test_the_top_folder_can_hold_the_kustomization(deploy: Deploy) -> None:
    deploy.commit("kustomization.yml", "images:\n- name: ghcr.io/acme/web\n  newTag: 1.0.0\n")
    deploy.begin(deploy.image(deploy.entry(path=".", type="kustomize-set-image")))

    deploy.update()

    assert deploy.text("kustomization.yml") == "images:\n- name: ghcr.io/acme/web\n  newTag: 1.1.0\n"


def test_a_folder_without_a_kustomization_says_so(deploy: Deploy) -> None:
    deploy.commit("empty/README.md", "x\n")
    deploy.begin(deploy.image(deploy.entry(path="empty", type="kustomize-set-image")))

    (outcome,) = deploy.update().outcomes

    assert isinstance(outcome, Failed)
    assert "no file of kustomize-set-image in the folder empty" in outcome.error.message


def test_line_ends_and_marks_stay(deploy: Deploy) -> None:
    deploy.commit("pod.yaml", b"\xef\xbb\xbf# x\r\nimage: ghcr.io/acme/web:1.0.0\r\n")
    deploy.begin(deploy.image())

    deploy.update()

    assert deploy.bytes("pod.yaml") == b"\xef\xbb\xbf# x\r\nimage: ghcr.io/acme/web:1.1.0\r\n"


def test_a_file_that_is_no_text_is_left(deploy: Deploy) -> None:
    deploy.commit("pod.yaml", b"image: ghcr.io/acme/web:1.0.0 # \xff\n")
    deploy.begin(deploy.image())

    (outcome,) = deploy.update().outcomes

    assert isinstance(outcome, Failed)
    assert "not UTF-8" in outcome.error.message


def test_the_consumers_of_an_image_are_at_its_host_where_they_have_its_provider(deploy: Deploy) -> None:
    """A repository `acme/deploy` on the image's own server, which is no URL of its own."""
    host = deploy.repositories.url("deploy.git").removesuffix("/deploy.git")
    deploy.repositories.create("acme/web.git", {"Dockerfile": "FROM node:22\n"})
    deploy.repositories.create("acme/deploy.git", {"pod.yaml": "image: ghcr.io/acme/web:1.0.0\n"})
    source = {"host": host, "repo": "acme/web.git", "dockerfile": "Dockerfile"}
    deploy.begin(deploy.image(deploy.entry(repo="acme/deploy.git"), source=source))

    deploy.update()

    assert deploy.statuses() == [ConsumerStatus.PUSHED]
