"""helm-update-image, held to the contract of updaters; the shapes of values; templates."""

from __future__ import annotations

import pytest

from image_factory.errors import UserError
from image_factory.model.mention import ImageField, ImageVersion, Target
from image_factory.oci.reference import Digest, Repository
from image_factory.testing.updater_contract import FileUpdaterContract, Sample
from image_factory_helm.updater import HelmUpdater

WEB = Repository("ghcr.io", "acme/web")
DIGEST = Digest("sha256", "a" * 64)
OLD_DIGEST = f"sha256:{'b' * 64}"
VALUES = """\
# Default values
replicaCount: 1   # more in production
image:
  registry: ghcr.io
  repository: acme/web   # ours
  pullPolicy: IfNotPresent
  tag: "1.0.0"
  digest: ""
sidecars:
  - name: migrate
    image: {repository: ghcr.io/acme/web, tag: 1.0.0}
  - name: api
    image: {repository: ghcr.io/acme/api, tag: 1.5.0}
hook:
  image: 'ghcr.io/acme/web:1.0.0'
"""
UMBRELLA = """\
global:
  imageRegistry: ghcr.io
front: &front
  image:
    repository: acme/web
    tag: 1.0.0
canary: *front
other:
  image: {registry: quay.io, repository: acme/api, tag: 1.5.0}
"""
TEMPLATE = """\
{{- if .Values.enabled }}
spec:
  containers:
    - image: "ghcr.io/acme/web:1.0.0"  {{/* literal */}}
    - image: ghcr.io/acme/web:1.0.0
    - image: "ghcr.io/acme/web:{{ .Values.tag }}"
    - image: ghcr.io/acme/web:0.9{{ .Values.suffix }}
    - image: ghcr.io/acme/web-api:1.5.0
    - image: ghcr.io/acme/web/api:1.5.0
    - image: quay.io/ghcr.io/acme/web:1.5.0
    # not ghcr.io/acme/web:0.8
{{- end }}
"""


class TestHelm(FileUpdaterContract):
    updater = HelmUpdater()
    samples = (
        Sample("charts/web/values.yaml", VALUES),
        Sample("umbrella/values-production.yml", UMBRELLA),
        Sample("charts/web/templates/deployment.yaml", TEMPLATE, is_yaml=False),
        Sample("values.yaml", "image:\n  repository: ghcr.io/acme/web\n  tag: 1.0.0\n", ("image.tag",)),
        Sample("values.yaml", "image: ghcr.io/acme/web:1.0.0\n", ("image",)),
    )
    stranger = "charts/web/Chart.yaml"


def replaced(text: str, version: ImageVersion, *keys: str, path: str = "values.yaml") -> str:
    return HelmUpdater().replace(text, Target(WEB, path, keys), version)


@pytest.mark.parametrize(
    "path",
    ["values.yaml", "a/values.yml", "values-prod.yaml", "prod.values.yaml", "prod-values.yaml", "a/templates/b/_c.tpl"],
)
def test_values_and_templates_are_its_files(path: str) -> None:
    assert HelmUpdater().matches(path)


@pytest.mark.parametrize("path", ["values.json", "myvalues.yaml", "templates.yaml", "Chart.yaml", "values"])
def test_other_files_are_not(path: str) -> None:
    assert not HelmUpdater().matches(path)


TAG, BY_DIGEST, BOTH = ImageVersion("v2"), ImageVersion(digest=DIGEST), ImageVersion("v2", DIGEST)
CHANGES = [
    ("an empty tag", "image: {repository: ghcr.io/acme/web, tag: ''}\n", TAG, "tag: ''", "tag: 'v2'"),
    ("a tag of nothing", "image:\n  repository: ghcr.io/acme/web\n  tag:\n", TAG, "tag:", "tag: v2"),
    (
        "an old digest goes",
        f"image:\n  repository: ghcr.io/acme/web\n  tag: v1\n  digest: {OLD_DIGEST}\n",
        TAG,
        f"tag: v1\n  digest: {OLD_DIGEST}",
        'tag: v2\n  digest: ""',
    ),
    (
        "tag and digest",
        "image:\n  repository: ghcr.io/acme/web\n  tag: v1\n  digest: ''\n",
        BOTH,
        "tag: v1\n  digest: ''",
        f"tag: v2\n  digest: '{DIGEST}'",
    ),
    (
        "a digest alone",
        "image:\n  repository: ghcr.io/acme/web\n  tag: v1\n  digest: x\n",
        BY_DIGEST,
        "digest: x",
        f"digest: {DIGEST}",
    ),
    (
        "a tag that holds the digest",
        f"image:\n  repository: ghcr.io/acme/web\n  tag: v1@{OLD_DIGEST}\n",
        BOTH,
        f"v1@{OLD_DIGEST}",
        f"v2@{DIGEST}",
    ),
    ("no field for the digest", "image:\n  repository: ghcr.io/acme/web\n  tag: v1\n", BOTH, "v1", "v2"),
    ("image and tag side by side", "image: ghcr.io/acme/web\ntag: v1\n", TAG, "v1", "v2"),
    ("name and tag", "image:\n  name: ghcr.io/acme/web\n  tag: v1\n", TAG, "v1", "v2"),
    ("global.registry", "global: {registry: ghcr.io/acme}\nimage: {repository: web, tag: v1}\n", TAG, "v1", "v2"),
    (
        "global.registry of a subchart",
        "s:\n  global: {registry: ghcr.io}\n  image: {repository: acme/web, tag: v1}\nimage: {repository: acme/web}\n",
        TAG,
        "v1",
        "v2",
    ),
    (
        "an alias for the name",
        "x: &n ghcr.io/acme/web\nimage: {repository: *n, tag: v1}\nb: {image: {repository: *n, tag: v1}}\n",
        TAG,
        "v1",
        "v2",
    ),
    (
        "a name that <<  brings",
        "x: &d {repository: ghcr.io/acme/web}\nimage:\n  <<: *d\n  tag: v1\n",
        TAG,
        "v1",
        "v2",
    ),
    ("one document of several", "a: b\n---\nimage: {repository: ghcr.io/acme/web, tag: v1}\n", TAG, "v1", "v2"),
]


@pytest.mark.parametrize(
    ("text", "version", "old", "new"), [change[1:] for change in CHANGES], ids=[change[0] for change in CHANGES]
)
def test_an_image_in_any_usual_shape_is_changed(text: str, version: ImageVersion, old: str, new: str) -> None:
    changed = replaced(text, version)

    assert changed == text.replace(old, new)
    assert replaced(changed, version) == changed


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("image: {repository: ghcr.io/acme/web}\n", TAG),
        ("image: {repository: ghcr.io/acme/web, digest: x}\n", TAG),
        ("image: {repository: ghcr.io/acme/web, tag: x}\n", BY_DIGEST),
        ("x: &t v1\nimage: {repository: ghcr.io/acme/web, tag: *t}\n", TAG),
        ("image: {repository: ghcr.io/acme/web, tag: &t v1}\nb: {repository: ghcr.io/acme/api, tag: *t}\n", TAG),
        ("x: &d {tag: v1}\nimage:\n  <<: *d\n  repository: ghcr.io/acme/web\n", TAG),
        ("image: {repository: acme/web, tag: v1}\n", TAG),
        ("image: {registry: quay.io, repository: acme/web, tag: v1}\n", TAG),
        ("git: {repository: ghcr.io/acme/web}\n", TAG),
    ],
)
def test_what_cannot_be_changed_alone_is_refused(text: str, version: ImageVersion) -> None:
    with pytest.raises(UserError) as refused:
        replaced(text, version)
    assert refused.value.hint


def test_mentions_say_the_keys_that_change_them() -> None:
    found = HelmUpdater().mentions("values.yaml", VALUES)

    assert [(mention.line, mention.key, mention.keys) for mention in found] == [
        (5, "image", ("image.tag",)),
        (11, "sidecars.0.image", ("sidecars.0.image.tag",)),
        (13, "sidecars.1.image", ("sidecars.1.image.tag",)),
        (15, "hook.image", ("hook.image",)),
    ]


def test_a_digest_that_holds_the_image_is_among_the_keys() -> None:
    (mention,) = HelmUpdater().mentions(
        "values.yaml", f"image: {{repository: ghcr.io/acme/web, tag: v1, digest: '{OLD_DIGEST}'}}\n"
    )

    assert mention.keys == ("image.tag", "image.digest")
    assert mention.reference.canonical == f"ghcr.io/acme/web:v1@{OLD_DIGEST}"


def test_a_template_without_a_literal_reference_is_refused() -> None:
    with pytest.raises(UserError, match="does not name"):
        replaced("image: ghcr.io/acme/web:{{ .Values.tag }}\n", TAG, path="templates/x.yaml")


def test_the_step_is_yaml_update_on_the_values_file() -> None:
    (step,) = HelmUpdater().promotion_steps(Target(WEB, "charts/web/values.yaml", ("image.tag",)))

    assert step.uses == "yaml-update"
    assert step.config == {
        "path": "charts/web/values.yaml",
        "updates": [{"key": "image.tag", "value": ImageField.TAG}],
    }
