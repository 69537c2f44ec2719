"""Names of base images: familiar, safe, injective, kept."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.naming import assign_names, familiar_name
from image_factory.oci.reference import Reference

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")

component = st.from_regex(r"[a-z0-9]{1,6}([._-][a-z0-9]{1,4}){0,2}", fullmatch=True)
hosts = st.sampled_from(["docker.io", "ghcr.io", "localhost:5000", "quay.io", "[::1]:5000", "mcr.microsoft.com"])
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,40}", fullmatch=True)
canonical_references = st.builds(
    lambda host, path, tag: Reference.parse(f"{host}/{'/'.join(path)}:{tag}").canonical,
    hosts,
    st.lists(component, min_size=1, max_size=4),
    tags,
)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("node:22-bookworm-slim", "node-22-bookworm-slim", id="an official image, without its host"),
        pytest.param("docker.io/library/node:22", "node-22", id="the same name however it is spelt"),
        pytest.param("alpine", "alpine-latest", id="no tag means latest"),
        pytest.param("grafana/grafana:10.1", "grafana-grafana-10-1", id="a Docker Hub organisation"),
        pytest.param("ghcr.io/astral-sh/uv:0.5", "ghcr-io-astral-sh-uv-0-5", id="another registry"),
        pytest.param("localhost:5000/a/b:1", "localhost-5000-a-b-1", id="a port"),
        pytest.param("x@sha256:" + "ab" * 32, "x-sha256-abababababab", id="a digest alone"),
        pytest.param("app:V1", "app-v1", id="an upper-case tag"),
    ],
)
def test_a_familiar_name_is_the_one_that_people_expect(written: str, expected: str) -> None:
    assert familiar_name(Reference.parse(written).canonical) == expected


def test_two_references_of_one_familiar_name_get_two_names() -> None:
    one, other = "docker.io/library/node-22:slim", "docker.io/library/node:22-slim"

    names = assign_names([one, other], known={})

    assert names[one] == "node-22-slim"
    assert re.fullmatch(r"node-22-slim-[0-9a-f]{8}", names[other])


def test_a_name_once_given_is_kept_even_where_it_is_no_longer_the_familiar_one() -> None:
    known = {"docker.io/library/node:22": "node-22-0badf00d"}

    assert assign_names(["docker.io/library/node:22"], known)["docker.io/library/node:22"] == "node-22-0badf00d"


def test_the_name_of_an_enrolled_image_is_not_given_to_a_base() -> None:
    names = assign_names(["docker.io/library/node:22"], known={}, reserved=["node-22"])

    assert re.fullmatch(r"node-22-[0-9a-f]{8}", names["docker.io/library/node:22"])


def test_a_name_past_63_characters_is_shortened_with_a_hash() -> None:
    reference = "mcr.microsoft.com/" + "a-very-long-path/" * 4 + "playwright:v1.40.0-jammy"

    name = assign_names([reference], known={})[reference]

    assert len(name) <= 63
    assert re.search(r"-[0-9a-f]{8}$", name)


@given(st.lists(canonical_references, max_size=12), st.lists(canonical_references, max_size=6))
def test_no_two_references_share_a_name_and_every_name_is_a_label(first: list[str], second: list[str]) -> None:
    earlier = assign_names(first, known={})

    names = {**earlier, **assign_names(second, known=earlier)}

    assert len(set(names.values())) == len(names)
    assert all(LABEL.match(name) for name in names.values())
    assert {canonical: names[canonical] for canonical in earlier} == earlier


@given(st.lists(canonical_references, max_size=10))
def test_the_order_of_the_references_does_not_matter(references: list[str]) -> None:
    assert assign_names(references, known={}) == assign_names(reversed(references), known={})
