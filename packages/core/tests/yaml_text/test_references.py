"""What a value says of an image, and what a key's name says that it holds."""

from __future__ import annotations

import pytest

from image_factory.errors import UserError
from image_factory.model.mention import ImageField, ImageVersion
from image_factory.oci.reference import Digest, Reference
from image_factory.yaml_text.nodes import parse_documents, scalars
from image_factory.yaml_text.references import field_of, read_reference, rewrite, suffix

DIGEST = Digest("sha256", "a" * 64)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("image: redis", "docker.io/library/redis:latest"),
        ("initImage: redis:6", "docker.io/library/redis:6"),
        ("images: [acme/web:1]", "docker.io/acme/web:1"),
        ("x: ghcr.io/acme/web:1", "ghcr.io/acme/web:1"),
        ("x: localhost/web:1", "localhost/web:1"),
        (f"x: redis@{DIGEST}", f"docker.io/library/redis@{DIGEST}"),
        ("x: ghcr.io/acme/web", None),
        ("x: redis:6379", None),
        ("x: acme/web:1", None),
        ("x: https://ghcr.io/acme/web:1", None),
        ("image: 5", None),
        ("image: true", None),
        ("image: ''", None),
        ("image: Upper/Case:1", None),
        ("imagePullPolicy: always", None),
    ],
)
def test_a_value_is_a_reference_by_its_key_or_by_its_host(text: str, canonical: str | None) -> None:
    ((path, node),) = scalars(parse_documents(text)[0])

    found = read_reference(path, node)

    assert (None if found is None else found.canonical) == canonical


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("image.tag", ImageField.TAG),
        ("imageTag", ImageField.TAG),
        ("image_version", ImageField.TAG),
        ("appVersion", ImageField.TAG),
        ("images.0.newTag", ImageField.TAG),
        ("image.digest", ImageField.DIGEST),
        ("imageSHA256", ImageField.DIGEST),
        ("tags.0", ImageField.REFERENCE),
        ("tag.0", ImageField.TAG),
        ("spec.image", ImageField.REFERENCE),
        ("stage", ImageField.REFERENCE),
        ("0", ImageField.REFERENCE),
    ],
)
def test_a_key_s_last_name_says_what_it_holds(key: str, expected: ImageField) -> None:
    assert field_of(key) is expected


def test_a_rewritten_reference_names_the_version_and_nothing_of_the_old_one() -> None:
    written = f"localhost:5000/a/b:1@{DIGEST}"

    assert rewrite(written, ImageVersion("2")) == "localhost:5000/a/b:2"
    assert rewrite("localhost:5000/a", ImageVersion(digest=DIGEST)) == f"localhost:5000/a@{DIGEST}"
    assert rewrite("redis", ImageVersion("latest")) == "redis", "it names it already"
    assert Reference.parse(rewrite(written, ImageVersion("2", DIGEST))).digest == DIGEST


@pytest.mark.parametrize("version", [ImageVersion(), ImageVersion("a/b"), ImageVersion("")])
def test_a_version_that_names_nothing_is_refused(version: ImageVersion) -> None:
    with pytest.raises(UserError):
        suffix(version)
