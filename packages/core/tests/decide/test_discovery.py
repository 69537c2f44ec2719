"""What a Dockerfile's reading means for state: bases by role, managed images by name, failures with reasons."""

from __future__ import annotations

import pytest

from image_factory.decide.discovery import FileReading, decide_discovery, watched_references
from image_factory.decide.naming import assign_names
from image_factory.dockerfile.reading import Category, Diagnostic, ImageReference, Reading, Role
from image_factory.oci.platform import DEFAULT_PLATFORM
from image_factory.oci.reference import Reference, Repository

DIGEST = "sha256:" + "a" * 64


def found(written: str, role: Role = Role.FINAL, line: int = 1) -> ImageReference:
    return ImageReference(
        written, Reference.parse(written), role, line, line, "0", True, (DEFAULT_PLATFORM,), span=None
    )


def decide(*references: ImageReference, diagnostics: tuple[Diagnostic, ...] = (), **managed: str):  # type: ignore[no-untyped-def]
    readings = [FileReading("apps/web/Dockerfile", Reading(references, diagnostics, ()))]
    return decide_discovery(
        readings,
        names=assign_names(watched_references(readings), known={}),
        managed={Repository.parse(path.replace("__", "/")): name for name, path in managed.items()},
    )


def test_images_of_from_lines_are_bases_and_copied_ones_are_kept_apart() -> None:
    discovery = decide(
        found("node:22", Role.STAGE),
        found("nginx:1.27"),
        found("ghcr.io/astral-sh/uv:0.5", Role.COPY, line=3),
        found("busybox:1", Role.MOUNT, line=4),
    )

    assert discovery.base_images == ("nginx-1-27", "node-22")
    assert discovery.secondary_images == ("busybox-1", "ghcr-io-astral-sh-uv-0-5")
    assert [(site.name, site.role, site.line) for site in discovery.sites][2:] == [
        ("ghcr-io-astral-sh-uv-0-5", "copy", 3),
        ("busybox-1", "mount", 4),
    ]


def test_an_image_with_both_roles_is_a_base_and_not_secondary() -> None:
    discovery = decide(found("node:22"), found("node:22", Role.COPY, line=2))

    assert (discovery.base_images, discovery.secondary_images) == (("node-22",), ())


def test_frontends_and_deferred_images_are_sites_but_not_watched() -> None:
    discovery = decide(found("docker/dockerfile:1", Role.FRONTEND), found("node:22", Role.ONBUILD, line=2))

    assert discovery.base_images == discovery.secondary_images == ()
    assert discovery.bases == ()
    assert [site.role for site in discovery.sites] == ["frontend", "onbuild"]


def test_spellings_of_one_image_are_one_base_with_aliases() -> None:
    discovery = decide(found("node:22"), found("docker.io/library/node:22", Role.STAGE, line=2))

    (base,) = discovery.bases
    assert discovery.base_images == ("node-22",)
    assert base.full_image == "docker.io/library/node:22"
    assert base.aliases == ("node:22",)


def test_a_managed_image_is_named_by_its_enrollment_and_is_no_base_image() -> None:
    discovery = decide(found("ghcr.io/acme/node:1.4"), node="ghcr.io/acme/node")

    assert (discovery.base_images, discovery.bases) == (("node",), ())


def test_a_base_with_a_tag_is_watched_by_an_anchored_pattern() -> None:
    (base,) = decide(found("python:3.12-slim")).bases

    assert (base.repo_url, base.allow_tags, base.image_selection_strategy) == (
        "docker.io/library/python",
        r"^3\.12-slim$",
        "Digest",
    )
    assert not base.pinned


def test_a_digest_alone_is_pinned_and_has_nothing_to_watch() -> None:
    (base,) = decide(found(f"node@{DIGEST}")).bases

    assert (base.pinned, base.repo_url, base.allow_tags) == (True, None, None)
    assert base.digest == DIGEST


def test_a_tag_with_a_digest_is_watched_by_its_tag() -> None:
    (base,) = decide(found(f"node:22@{DIGEST}")).bases

    assert (base.full_image, base.pinned, base.tag) == ("docker.io/library/node:22", False, "22")


def test_a_file_without_images_has_no_bases_and_no_failure() -> None:
    discovery = decide()

    assert (discovery.base_images, discovery.failure) == ((), None)


@pytest.mark.parametrize(
    ("category", "on_line_of_image", "fails"),
    [
        pytest.param(Category.UNRESOLVED_ARG, False, True, id="an ARG without a value hides its image"),
        pytest.param(
            Category.UNRESOLVED_ARG, True, False, id="an ARG without a value where an image remains only warns"
        ),
        pytest.param(Category.TEMPLATE, False, True, id="a template hides its image"),
        pytest.param(Category.SYNTAX, True, True, id="a line that BuildKit refuses fails the build"),
        pytest.param(Category.UNREADABLE, False, True, id="a file that cannot be read"),
    ],
)
def test_what_could_not_be_read_fails_the_discovery_with_its_line(
    category: Category, on_line_of_image: bool, fails: bool
) -> None:
    diagnostic = Diagnostic(category, 1 if on_line_of_image else 7, "V has no value")

    discovery = decide(found("node:22"), diagnostics=(diagnostic,))

    assert (discovery.failure is not None) is fails
    assert bool(discovery.warnings) is not fails
    assert discovery.base_images == ("node-22",)
    if discovery.failure is not None:
        assert discovery.failure == f"apps/web/Dockerfile:7: {category}: V has no value".replace(
            ":7:", f":{diagnostic.line}:"
        )


def test_the_files_of_one_build_are_taken_together_each_with_its_sites() -> None:
    readings = [
        FileReading("base/Dockerfile", Reading((found("debian:12"),), (), ())),
        FileReading("app/Dockerfile", Reading((found("node:22"),), (), ())),
    ]

    discovery = decide_discovery(readings, names=assign_names(watched_references(readings), known={}), managed={})

    assert discovery.base_images == ("debian-12", "node-22")
    assert [(site.name, site.file) for site in discovery.sites] == [
        ("debian-12", "base/Dockerfile"),
        ("node-22", "app/Dockerfile"),
    ]
