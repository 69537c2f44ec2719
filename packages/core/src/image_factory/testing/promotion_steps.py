"""What Kargo's promotion steps do to a file, on plain data: the judge of what an updater says of its step.

Semantics: docs.kargo.io, "yaml-update" (a single value at an existing key of the first document, its path as sjson
has it) and "kustomize-set-image" (an entry of `images` by its name, added where there is none).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from image_factory.model.mention import ImageField, ImageVersion, PromotionStep
from image_factory.oci.reference import Repository


def perform(step: PromotionStep, text: str, repository: Repository, version: ImageVersion) -> list[Any]:
    """Return the documents of a file as the step leaves them, as plain data.

    Raises:
        AssertionError: Kargo would refuse the step.
    """
    documents = list(yaml.safe_load_all(text))
    if step.uses == "yaml-update":
        assert set(step.config) == {"path", "updates"}
        for update in _listed(step.config["updates"]):
            assert set(update) == {"key", "value"}
            _set(documents[0], str(update["key"]), _value(update["value"], repository, version))
    elif step.uses == "kustomize-set-image":
        assert set(step.config) == {"path", "images"}
        root = documents[0] or {} if documents else {}
        images = list(root.get("images") or [])
        for image in _listed(step.config["images"]):
            _set_image(images, image, repository, version)
        documents = [{**root, "images": images}]
    else:
        raise AssertionError(f"no step of Kargo's is called {step.uses}")
    return documents


def _listed(value: object) -> Sequence[Mapping[str, Any]]:
    assert isinstance(value, (list, tuple))
    assert value
    return value


def _value(value: object, repository: Repository, version: ImageVersion) -> str:
    if value is ImageField.TAG:
        assert version.tag is not None
        return version.tag
    if value is ImageField.DIGEST:
        assert version.digest is not None
        return str(version.digest)
    if value is ImageField.REFERENCE:
        return f"{repository.familiar}:{version.tag}"
    assert isinstance(value, str)
    return value


def _set(document: Any, key: str, value: str) -> None:
    steps = [step.replace("\\.", ".").replace("\\\\", "\\") for step in re.split(r"(?<!\\)\.", key)]
    node = document
    for index, step in enumerate(steps):
        place: Any = int(step) if isinstance(node, list) else step
        assert isinstance(node, list) or place in node, f"nothing stands at {key}"
        if index == len(steps) - 1:
            assert not isinstance(node[place], (dict, list)), f"no single value stands at {key}"
            node[place] = value
        else:
            node = node[place]


def _set_image(images: list[Any], image: Mapping[str, Any], repository: Repository, version: ImageVersion) -> None:
    assert set(image) <= {"image", "name", "newName", "tag", "digest"}
    assert ("tag" in image) != ("digest" in image), "exactly one of tag and digest"
    name = image.get("name", image["image"])
    entry = next((each for each in images if each["name"] == name), None)
    if entry is None:
        entry = {"name": name}
        images.append(entry)
    if "newName" in image:
        entry["newName"] = image["newName"]
    entry.pop("newTag", None)
    entry.pop("digest", None)
    field, given = ("newTag", image.get("tag")) if "tag" in image else ("digest", image.get("digest"))
    entry[field] = _value(given, repository, version)
