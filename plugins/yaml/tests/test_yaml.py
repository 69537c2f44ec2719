"""yaml-update, held to the contract of updaters; by key and by reference; what it leaves alone."""

from __future__ import annotations

import pytest

from image_factory.errors import UserError
from image_factory.model.mention import ImageField, ImageVersion, Target
from image_factory.oci.reference import Digest, Repository
from image_factory.testing.updater_contract import FileUpdaterContract, Sample
from image_factory_yaml.updater import YamlUpdater

WEB = Repository("ghcr.io", "acme/web")
REDIS = Repository("docker.io", "library/redis")
DIGEST = Digest("sha256", "a" * 64)
POD = """\
# the shop's front end
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      initContainers:
        - {name: warm, image: "ghcr.io/acme/web:1.0.0"}   # same image
      containers:
      - name: web
        image:   ghcr.io/acme/web:1.0.0 # keep me
        env: [{name: SELF, value: 'ghcr.io/acme/web:1.0.0'}]
      - name: api
        image: ghcr.io/acme/web-api:1.5.0
"""
RESOURCE = """\
---
spec:
  runtime: &runtime ghcr.io/acme/web:1.0.0
  again: *runtime
  images:
    - ghcr.io/acme/web:1.0.0
    - ghcr.io/acme/api:1.5.0
  notes: |
    deploy ghcr.io/acme/web:0.9 by hand
---
image: >-
  ghcr.io/acme/web:1.0.0
...
"""


class TestYaml(FileUpdaterContract):
    updater = YamlUpdater()
    samples = (
        Sample("deploy/web.yaml", POD),
        Sample("deploy/resource.yml", RESOURCE),
        Sample("web.yaml", "image: ghcr.io/acme/web:1.0.0\n", ("image",)),
        Sample("web.yaml", 'a:\n- acme.io/image: "ghcr.io/acme/web:1.0.0"\n', ("a.0.acme\\.io/image",)),
    )


def replaced(text: str, version: ImageVersion, *keys: str, repository: Repository = WEB) -> str:
    return YamlUpdater().replace(text, Target(repository, "x.yaml", keys), version)


@pytest.mark.parametrize(
    ("text", "key", "version", "expected"),
    [
        ("web: {tag: 1.2} # c\n", "web.tag", ImageVersion("1.3-a"), "web: {tag: 1.3-a} # c\n"),
        ("web: {tag: 1.2}\n", "web.tag", ImageVersion("1.3"), 'web: {tag: "1.3"}\n'),
        ("tag:\n", "tag", ImageVersion("v1"), "tag: v1\n"),
        ("tag: # none yet\n", "tag", ImageVersion("v1"), "tag: v1 # none yet\n"),
        ("tag: ~\n", "tag", ImageVersion("v1"), "tag: v1\n"),
        ("digest: ''\n", "digest", ImageVersion("v1", DIGEST), f"digest: '{DIGEST}'\n"),
        ("imageTag: &t v1\nother: *t\n", "imageTag", ImageVersion("v2"), "imageTag: &t v2\nother: *t\n"),
        ("x: !!str 5\ntag: !!str 1.2\n", "tag", ImageVersion("v2"), "x: !!str 5\ntag: !!str v2\n"),
        ("image: acme\n", "image", ImageVersion("1"), None),
        ("image:\n", "image", ImageVersion("1"), "image: ghcr.io/acme/web:1\n"),
        ("image: ghcr.io/acme/web\n", "image", ImageVersion("1"), "image: ghcr.io/acme/web:1\n"),
        ("a.b: [x, {tag: a}]\n", "a\\.b.1.tag", ImageVersion("b"), "a.b: [x, {tag: b}]\n"),
        ('"tag": "a\\x31"\n', "tag", ImageVersion("b"), '"tag": "b"\n'),
        ("tag: |\n  v1\nb: c\n", "tag", ImageVersion("v2"), "tag: |\n  v2\nb: c\n"),
        ("a: *b\n", "a", ImageVersion("v2"), None),
        ("b: &b v1\ntag: *b\n", "tag", ImageVersion("v2"), None),
        ("tag: {a: b}\n", "tag", ImageVersion("v2"), None),
        ("tag: v1\n", "tags", ImageVersion("v2"), None),
        ("tag: v1\n", "tag.x", ImageVersion("v2"), None),
        ("- v1\n", "1", ImageVersion("v2"), None),
        ("tag: v1\ntag: v2\n", "tag", ImageVersion("v2"), None),
        ("tag: ghcr.io/acme/web:1\n", "tag", ImageVersion("v2"), None),
        ("digest: x\n", "digest", ImageVersion("v2"), None),
        ("a: b\n---\ntag: v1\n", "tag", ImageVersion("v2"), None),
        ("tag: v1\n", "tag..x", ImageVersion("v2"), None),
        ("tag: |\n  a\n  b\n", "tag", ImageVersion("v2"), None),
        ("", "tag", ImageVersion("v2"), None),
        ("image: ghcr.io/acme/other:1\n", "image", ImageVersion("v2"), None),
    ],
)
def test_a_key_s_value_is_set_or_refused_with_a_hint(
    text: str, key: str, version: ImageVersion, expected: str | None
) -> None:
    if expected is None:
        with pytest.raises(UserError) as refused:
            replaced(text, version, key)
        assert refused.value.hint
    else:
        assert replaced(text, version, key) == expected


@pytest.mark.parametrize(
    ("written", "version", "expected"),
    [
        ("ghcr.io/acme/web:1@" + str(DIGEST), ImageVersion("2"), "ghcr.io/acme/web:2"),
        ("ghcr.io/acme/web:1", ImageVersion(digest=DIGEST), f"ghcr.io/acme/web@{DIGEST}"),
        ("ghcr.io/acme/web:1", ImageVersion("2", DIGEST), f"ghcr.io/acme/web:2@{DIGEST}"),
        ("ghcr.io/acme/web", ImageVersion("2"), "ghcr.io/acme/web:2"),
        ("GHCR.io/acme/web:1", ImageVersion("2"), "GHCR.io/acme/web:2"),
    ],
)
def test_nothing_stays_of_the_old_tag_and_digest_and_the_name_stays_as_written(
    written: str, version: ImageVersion, expected: str
) -> None:
    assert replaced(f"image: {written}\n", version) == f"image: {expected}\n"


@pytest.mark.parametrize(
    "text",
    [
        "address: redis:6379\n",
        "name: redis\n",
        "source: acme/web\n",
        "image: 5\n",
        "# image: redis:1\n",
        "a: |\n  image: redis:1\n",
    ],
)
def test_what_is_no_image_is_not_taken_for_one(text: str) -> None:
    assert YamlUpdater().mentions("x.yaml", text) == ()
    with pytest.raises(UserError, match="does not name"):
        replaced(text, ImageVersion("7"), repository=REDIS)


def test_a_short_name_stays_short() -> None:
    assert replaced("image: redis:6\n", ImageVersion("7"), repository=REDIS) == "image: redis:7\n"


def test_mentions_say_line_key_and_whether_the_step_reaches_them() -> None:
    found = YamlUpdater().mentions("x.yaml", RESOURCE)

    assert [(mention.line, mention.key, mention.keys) for mention in found] == [
        (3, "spec.runtime", ("spec.runtime",)),
        (6, "spec.images.0", ("spec.images.0",)),
        (7, "spec.images.1", ("spec.images.1",)),
        (11, "image", ()),
    ]


def test_the_step_sets_each_key_to_its_part_of_the_version() -> None:
    (step,) = YamlUpdater().promotion_steps(Target(WEB, "a/x.yaml", ("image.tag", "image.digest", "spec.image")))

    assert step.uses == "yaml-update"
    assert step.config == {
        "path": "a/x.yaml",
        "updates": [
            {"key": "image.tag", "value": ImageField.TAG},
            {"key": "image.digest", "value": ImageField.DIGEST},
            {"key": "spec.image", "value": ImageField.REFERENCE},
        ],
    }


def test_without_keys_there_is_no_step() -> None:
    with pytest.raises(UserError, match="no keys"):
        YamlUpdater().promotion_steps(Target(WEB, "x.yaml"))
