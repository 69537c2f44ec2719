"""The judge of promotion steps refuses what Kargo would refuse."""

from __future__ import annotations

from typing import Any

import pytest

from image_factory.model.mention import ImageField, ImageVersion, PromotionStep
from image_factory.oci.reference import Repository
from image_factory.testing.promotion_steps import perform

WEB = Repository("ghcr.io", "acme/web")
VERSION = ImageVersion("2")


def yaml_update(key: str, value: object = ImageField.TAG) -> PromotionStep:
    return PromotionStep("yaml-update", {"path": "x", "updates": [{"key": key, "value": value}]})


def set_image(**image: Any) -> PromotionStep:
    return PromotionStep("kustomize-set-image", {"path": "x", "images": [image]})


def test_a_single_value_of_the_first_document_is_set() -> None:
    text = "a.b: [{tag: 1}]\n---\nc: d\n"

    assert perform(yaml_update("a\\.b.0.tag"), text, WEB, VERSION) == [{"a.b": [{"tag": "2"}]}, {"c": "d"}]
    assert perform(yaml_update("c", ImageField.REFERENCE), "c: d", WEB, VERSION) == [{"c": "ghcr.io/acme/web:2"}]


def test_an_image_is_set_or_added() -> None:
    step = set_image(image="ghcr.io/acme/web", tag=ImageField.TAG)

    assert perform(step, "", WEB, VERSION) == [{"images": [{"name": "ghcr.io/acme/web", "newTag": "2"}]}]
    assert perform(step, "images: [{name: ghcr.io/acme/web, digest: x}]", WEB, VERSION) == [
        {"images": [{"name": "ghcr.io/acme/web", "newTag": "2"}]}
    ]


@pytest.mark.parametrize(
    "step",
    [
        yaml_update("never"),
        yaml_update("a"),
        yaml_update("a.tag.x"),
        PromotionStep("helm-update-image", {}),
        PromotionStep("yaml-update", {"path": "x", "updates": []}),
        set_image(image="x"),
        set_image(image="x", tag="1", digest="2"),
        set_image(image="x", tag="1", newTag="2"),
    ],
)
def test_what_kargo_refuses_is_refused(step: PromotionStep) -> None:
    with pytest.raises((AssertionError, TypeError)):
        perform(step, "a: {tag: x}\n", WEB, VERSION)
