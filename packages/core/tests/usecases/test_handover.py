"""What a build hands over is kept only where it could be true: it ends up in state, manifests and commits."""

from __future__ import annotations

import pytest

from image_factory.errors import InvalidReference
from image_factory.usecases.handover import Handover


@pytest.mark.parametrize(
    ("tag", "digest"),
    [
        pytest.param("0.6.3", f"sha256:{'a' * 64}", id="a version and a whole digest"),
        pytest.param("0.6.3", "sha256:abc123", id="a digest that a person shortened"),
        pytest.param("_x.Y-1", None, id="every character of a tag"),
        pytest.param(None, f"sha512:{'0' * 128}", id="a digest alone"),
    ],
)
def test_what_a_build_may_say_is_taken(tag: str | None, digest: str | None) -> None:
    handover = Handover("web", tag=tag, digest=digest)

    assert (handover.tag, handover.digest) == (tag, digest)


@pytest.mark.parametrize("tag", ["x y", "${{ x }}", "-x", "a/b", "1\n2", "x" * 129, "1.0\n"])
def test_a_tag_that_no_registry_would_take_is_refused(tag: str) -> None:
    with pytest.raises(InvalidReference, match="not a tag"):
        Handover("web", tag=tag)


@pytest.mark.parametrize(
    "digest", ["abc", "sha256:", "sha256:zz", "sha256:ABC", "${{ x }}:a", "md5:abc", "sha256:ab\n"]
)
def test_a_digest_that_is_no_hash_is_refused(digest: str) -> None:
    with pytest.raises(InvalidReference, match="not a digest"):
        Handover("web", digest=digest)
