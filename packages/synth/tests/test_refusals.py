from __future__ import annotations

import pytest

from image_factory.errors import Location, Unavailable, UnsafeValue
from image_factory.usecases.outcome import Failed
from image_factory_synth.fields import RefusedByKargo
from image_factory_synth.refusals import Entries

IMAGES = """\
- name: web
  registry: ghcr.io
  repository: acme/a--b
  allowTags: '^(?!x)'
  source:
    repo: acme/web
    dockerfile: 'apps/"b{c}/Dockerfile'
  updates:
    - {type: yaml-update, repo: acme/deploy, path: v.yaml, key: image.tag}
- name: ok
  repository: library/redis
"""


def place(message: str, field: str = "x", name: str = "web") -> Failed:
    error = RefusedByKargo(f"{name}: {field}: {message}", field=field, hint="do this")
    return Entries(IMAGES, "images.yaml").place(Failed(name, error))


@pytest.mark.parametrize(
    ("message", "field", "line", "told"),
    [
        ("Kargo refuses 'ghcr.io/acme/a--b' as repoURL", "repoURL", 3, "web: repository: Kargo refuses"),
        ("Kargo refuses 'https://github.com/acme/web' as repoURL", "repoURL", 6, "web: source.repo: Kargo refuses"),
        ("not a pattern that Kargo can read: '^(?!x)'", "allowTags", 4, "web: allowTags: not a pattern"),
        ("Kargo refuses 'apps/\"b{c}/Dockerfile' as value", "value", 7, "web: source.dockerfile: Kargo refuses"),
        ('Kargo refuses "image.tag" as key', "key", 9, "web: updates[0].key: Kargo refuses"),
        ("not a pattern", "allowTags", 4, "web: allowTags: not a pattern"),
        ("Kargo refuses 'ghcr.io/acme/a--b' as repoURL", "other", 3, "web: repository: Kargo"),
        ("nothing is shown", "interval", 1, "web: nothing is shown"),
        ("'half \\x' of a quote's", "interval", 1, "web: 'half"),
    ],
)
def test_a_refusal_names_the_field_and_line_that_its_value_comes_from(
    message: str, field: str, line: int, told: str
) -> None:
    error = place(message, field).error

    assert error.location == Location("images.yaml", line)
    assert error.message.startswith(told)
    assert error.hint == "do this"


def test_an_error_of_another_class_stays_of_it() -> None:
    failed = Failed("web", UnsafeValue("web: repo holds an expression: 'acme/web'", hint="write plain text"))

    error = Entries(IMAGES, "images.yaml").place(failed).error

    assert (type(error), str(error.location)) == (UnsafeValue, "images.yaml:6")


@pytest.mark.parametrize(
    "failed",
    [
        Failed("node-22", RefusedByKargo("node-22: x: y", field="x")),
        Failed("web", UnsafeValue("web: y", location=Location("other.yaml", 7))),
        Failed("web", Unavailable("web: y")),
    ],
    ids=["a base image", "an error that has its place", "an error that is nobody's"],
)
def test_what_no_entry_is_to_blame_for_stays_as_it_is(failed: Failed) -> None:
    assert Entries(IMAGES, "images.yaml").place(failed) is failed
