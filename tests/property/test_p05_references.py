"""P5: a valid reference, formatted and parsed again, is the same, and gives a repoURL that a Warehouse accepts."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.oci.reference import DOCKER_HUB, Digest, Reference, Repository

alphanumeric = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=6)
separators = st.sampled_from([".", "_", "__", "-", "--", "----"])


@st.composite
def components(draw: st.DrawFn) -> str:
    text = draw(alphanumeric)
    for separator in draw(st.lists(separators, max_size=3)):
        text += separator + draw(alphanumeric)
    return text


labels = st.from_regex(r"\A[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,6}[a-zA-Z0-9])?\Z")
ports = st.one_of(st.just(""), st.integers(0, 65535).map(lambda port: f":{port}"))
hosts = st.one_of(
    st.lists(labels, min_size=2, max_size=4).map(".".join).flatmap(lambda host: ports.map(host.__add__)),
    labels.flatmap(lambda host: st.integers(1, 65535).map(lambda port: f"{host}:{port}")),
    labels.map(str.upper).filter(lambda host: host != host.lower()),
    st.ip_addresses(v=4).flatmap(lambda host: ports.map(f"{host}".__add__)),
    st.ip_addresses(v=6).flatmap(lambda host: ports.map(f"[{host}]".__add__)),
    ports.map("localhost".__add__),
    st.sampled_from(["docker.io", "index.docker.io", "registry-1.docker.io", "DOCKER.IO"]),
)
paths = st.lists(components(), min_size=1, max_size=4).map("/".join)
tags = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
digests = st.sampled_from([("sha256", 64), ("sha384", 96), ("sha512", 128)]).flatmap(
    lambda kind: st.text("0123456789abcdef", min_size=kind[1], max_size=kind[1]).map(lambda text: f"{kind[0]}:{text}")
)


@st.composite
def references(draw: st.DrawFn) -> str:
    host = draw(st.one_of(st.none(), hosts))
    text = draw(paths) if host is None else f"{host}/{draw(paths)}"
    tag, digest = draw(st.one_of(st.none(), tags)), draw(st.one_of(st.none(), digests))
    return text + (f":{tag}" if tag is not None else "") + (f"@{digest}" if digest is not None else "")


@given(references())
def test_the_canonical_form_parses_to_the_same_parts(text: str) -> None:
    reference = Reference.parse(text)

    again = Reference.parse(reference.canonical)

    assert again == reference
    assert (again.repository, again.tag, again.digest) == (reference.repository, reference.tag, reference.digest)
    assert again.canonical == reference.canonical


@given(references())
def test_nothing_that_was_written_is_lost(text: str) -> None:
    reference = Reference.parse(text)
    name, _, digest = text.partition("@")

    assert reference.written == text
    assert reference.digest == (Digest.parse(digest) if digest else None)
    if reference.tag is not None and not (reference.tag == "latest" and not name.endswith(":latest")):
        assert name.endswith(f":{reference.tag}")
    assert name.removesuffix(f":{reference.tag}").endswith(reference.repository.path.removeprefix("library/"))


@given(references())
def test_the_repository_alone_is_a_name_without_scheme_tag_and_digest(text: str) -> None:
    repository = Reference.parse(text).repository

    url = str(repository)

    assert "://" not in url
    assert "@" not in url
    assert ":" not in url.rpartition("/")[2]
    assert Repository.parse(url) == repository
    assert Repository.parse(repository.familiar) == repository
    assert repository.registry != DOCKER_HUB or "/" in repository.path


@pytest.mark.parametrize("version", ["1.9.10", "1.10.10", "1.11.2"])
@given(references())
def test_a_warehouse_accepts_the_repository(version: str, text: str) -> None:
    pattern = _warehouse_pattern(version)
    name = str(Reference.parse(text).repository)

    # Two things that registries take and Kargo's own pattern does not: hyphens in a row, and IPv6 hosts.
    is_beyond_kargo = "--" in name or "[" in name

    assert bool(pattern.search(name)) != is_beyond_kargo


def _warehouse_pattern(version: str) -> re.Pattern[str]:
    """Return the pattern of an image subscription's repoURL, from the published schema."""
    root = Path(os.environ.get("IMAGE_FACTORY_SCHEMAS") or Path(__file__).parents[3] / "shared" / "schemas")
    path = root / "kargo" / version / "subscriptions" / "image.json"
    if not path.exists():
        pytest.skip(f"no Kargo schema at {path}: set IMAGE_FACTORY_SCHEMAS")
    # Go's \\w and \\d are ASCII.
    return re.compile(json.loads(path.read_text("utf-8"))["properties"]["repoURL"]["pattern"], re.ASCII)
