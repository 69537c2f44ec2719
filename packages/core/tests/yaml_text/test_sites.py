"""References as they stand in any text: whole ones, and no parts of others."""

from __future__ import annotations

import pytest

from image_factory.errors import UserError
from image_factory.model.mention import ImageVersion, Target
from image_factory.oci.reference import Digest, Repository
from image_factory.yaml_text.edits import apply_edits
from image_factory.yaml_text.nodes import parse_documents
from image_factory.yaml_text.sites import key_edits, literal_edits, literal_mentions, spellings

WEB = Repository("ghcr.io", "acme/web")
HUB = Repository("docker.io", "acme/web")
REDIS = Repository("docker.io", "library/redis")
DIGEST = Digest("sha256", "a" * 64)


@pytest.mark.parametrize(
    ("text", "repository", "expected"),
    [
        ('image: "ghcr.io/acme/web:1"', WEB, 'image: "ghcr.io/acme/web:2"'),
        ("FROM ghcr.io/acme/web:1 AS x", WEB, "FROM ghcr.io/acme/web:2 AS x"),
        ("x=ghcr.io/acme/web:1,y", WEB, "x=ghcr.io/acme/web:2,y"),
        ("Use ghcr.io/acme/web:1.", WEB, "Use ghcr.io/acme/web:2."),
        ("docker://ghcr.io/acme/web:1", WEB, "docker://ghcr.io/acme/web:2"),
        (f"ghcr.io/acme/web@{DIGEST}", WEB, "ghcr.io/acme/web:2"),
        (f"ghcr.io/acme/web:1@{DIGEST}", WEB, "ghcr.io/acme/web:2"),
        ("run acme/web:1 docker.io/acme/web:1", HUB, "run acme/web:2 docker.io/acme/web:2"),
        ("  image: redis:6\n", REDIS, "  image: redis:2\n"),
        ("docker.io/redis:6 redis:6379", REDIS, "docker.io/redis:2 redis:6379"),
        ("ghcr.io/acme/web:1{{ x }}", WEB, None),
        ("ghcr.io/acme/web:${TAG}", WEB, None),
        ("ghcr.io/acme/web:1${TAG}", WEB, None),
        ("ghcr.io/acme/web", WEB, None),
        ("ghcr.io/acme/web-api:1", WEB, None),
        ("ghcr.io/acme/web/api:1", WEB, None),
        ("quay.io/ghcr.io/acme/web:1", WEB, None),
        ("https://ghcr.io/acme/web:1", WEB, None),
        ("ghcr.io/acme/web:1", HUB, None),
        ("ghcr.io/acme/web:1/x", WEB, None),
        ("ghcr.io/acme/web@sha256:short", WEB, None),
    ],
)
def test_a_whole_reference_is_replaced_and_no_part_of_another(
    text: str, repository: Repository, expected: str | None
) -> None:
    found = literal_mentions(text, repository)
    new = apply_edits(text, literal_edits(text, repository, ImageVersion("2")))

    assert bool(found) == (expected is not None)
    assert new == (expected or text)


def test_lines_are_counted_and_comments_left_out_where_they_are_some() -> None:
    text = "a\n# ghcr.io/acme/web:1\nx: y # ghcr.io/acme/web:2\nz: a#ghcr.io/acme/web:3\n"

    assert [found.line for found in literal_mentions(text, WEB)] == [2, 3, 4]
    assert [found.line for found in literal_mentions(text, WEB, comments=False)] == [4]


def test_without_a_repository_every_image_with_a_host_is_found() -> None:
    text = "a ghcr.io/acme/web:1 b localhost:5000/x:2 c acme/web:1\n  image: acme/api:3\n"

    assert [str(found.reference) for found in literal_mentions(text)] == [
        "ghcr.io/acme/web:1",
        "localhost:5000/x:2",
        "docker.io/acme/api:3",
    ]


def test_docker_hub_s_names_have_several_spellings() -> None:
    assert "acme/web" in spellings(HUB)
    assert "redis" not in spellings(REDIS)
    assert spellings(WEB) == ("ghcr.io/acme/web",)


def test_a_long_text_of_almost_references_takes_no_time() -> None:
    text = "ghcr.io/" + "a-" * 50_000 + "\nimage: " + "a" * 100_000

    assert literal_mentions(text) == []
    assert literal_mentions(text, WEB) == []


VALUES = f"image:\n  tag: '1'  # ours\n  digest: {DIGEST}\nsidecar:\n  imageTag: '1'\n  imageDigest: \"\"\n"


def by_keys(version: ImageVersion, *keys: str) -> str:
    documents = parse_documents(VALUES)
    return apply_edits(VALUES, key_edits(VALUES, documents, Target(WEB, "values.yaml", keys), version))


def test_a_digest_beside_a_tag_follows_it() -> None:
    new = Digest("sha256", "b" * 64)

    changed = by_keys(ImageVersion("2", new), "image.tag")

    assert changed == VALUES.replace("'1'  # ours", "'2'  # ours").replace(str(DIGEST), str(new))
    assert by_keys(ImageVersion("2", new), "image.tag", "image.digest") == changed


def test_what_is_no_digest_beside_a_tag_stays() -> None:
    changed = by_keys(ImageVersion("2", Digest("sha256", "b" * 64)), "sidecar.imageTag")

    assert changed == VALUES.replace("imageTag: '1'", "imageTag: '2'")


def test_a_digest_that_would_hold_the_old_image_is_refused() -> None:
    with pytest.raises(UserError, match=r"line 3: image\.digest would hold the old image fast"):
        by_keys(ImageVersion("2"), "image.tag")
