"""Manifests, indexes and configurations from outside: read, or refused with a ProtocolError."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import ProtocolError
from image_factory.oci.manifest import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    MAX_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Index,
    Manifest,
    check_digest,
    parse_config,
    parse_instant,
    parse_manifest,
)
from image_factory.oci.platform import Platform
from image_factory.oci.reference import Digest

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def descriptor(digest: str = A, **more: object) -> dict[str, object]:
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": 7, **more}


def index(*entries: object, **more: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries, **more}).encode()


def manifest(**more: object) -> bytes:
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(), "layers": [descriptor(B)]}
    return json.dumps({**body, **more}).encode()


def platform(text: str) -> dict[str, object]:
    names = ("os", "architecture", "variant")
    return {"platform": dict(zip(names, text.split("/"), strict=False))}


def test_an_index_names_its_platforms_and_leaves_attestations_out() -> None:
    content = index(
        descriptor(A, **platform("linux/amd64")),
        descriptor(B, **platform("linux/arm64/v8")),
        descriptor(C, **platform("unknown/unknown")),
        descriptor(C),
    )

    read = parse_manifest(content, OCI_INDEX)

    assert isinstance(read, Index)
    assert dict(read.platforms) == {"linux/amd64": Digest.parse(A), "linux/arm64": Digest.parse(B)}
    assert len(read.manifests) == 4


def test_of_two_entries_for_one_platform_the_first_counts() -> None:
    content = index(descriptor(A, **platform("windows/amd64")), descriptor(B, **platform("windows/amd64")))

    read = parse_manifest(content, OCI_INDEX)

    assert isinstance(read, Index)
    assert dict(read.platforms) == {"windows/amd64": Digest.parse(A)}


@pytest.mark.parametrize(
    "strange",
    [{"platform": {"os": 1, "architecture": 2}}, {"platform": {"os": "a b", "architecture": "c"}}, {"platform": 5}],
)
def test_a_strange_platform_hides_no_other(strange: dict[str, object]) -> None:
    read = parse_manifest(index(descriptor(A, **strange), descriptor(B, **platform("linux/amd64"))), OCI_INDEX)

    assert isinstance(read, Index)
    assert list(read.platforms) == ["linux/amd64"]


def test_a_manifest_holds_its_configuration_and_layers() -> None:
    read = parse_manifest(
        manifest(annotations={"a": "b"}, subject=descriptor(C), artifactType="x/y"), f"{OCI_MANIFEST}; charset=utf-8"
    )

    assert isinstance(read, Manifest)
    assert read.media_type == OCI_MANIFEST
    assert str(read.config.digest) == A
    assert [str(layer.digest) for layer in read.layers] == [B]
    assert dict(read.annotations) == {"a": "b"}
    assert read.subject is not None
    assert read.artifact_type == "x/y"


@pytest.mark.parametrize(
    ("content", "media_type", "kind"),
    [
        pytest.param(manifest(), "", Manifest, id="its own mediaType decides where none is announced"),
        pytest.param(index(), "application/json", Index, id="its own mediaType decides where it is announced as JSON"),
        pytest.param(manifest(mediaType=None), "text/plain", Manifest, id="its fields decide where nothing else does"),
        pytest.param(index(mediaType=None), "", Index, id="its fields decide for an index too"),
        pytest.param(manifest(mediaType=DOCKER_MANIFEST), DOCKER_MANIFEST, Manifest, id="Docker's manifest"),
        pytest.param(index(mediaType=DOCKER_INDEX), DOCKER_INDEX.upper(), Index, id="Docker's list, in upper case"),
        pytest.param(manifest(layers=None), OCI_MANIFEST, Manifest, id="null for no layers"),
        pytest.param(index(annotations=None), OCI_INDEX, Index, id="null for no annotations"),
    ],
)
def test_its_kind_is_known_by_what_is_announced(content: bytes, media_type: str, kind: type) -> None:
    assert isinstance(parse_manifest(content, media_type), kind)


@pytest.mark.parametrize(
    ("content", "media_type", "message"),
    [
        pytest.param(b"", OCI_MANIFEST, "no JSON", id="nothing"),
        pytest.param(b"<html>", OCI_MANIFEST, "no JSON", id="a web page"),
        pytest.param(b"\xff\xfe\x00", OCI_MANIFEST, "no JSON", id="bytes that are no text"),
        pytest.param(b"[]", OCI_MANIFEST, "no JSON object", id="a list"),
        pytest.param(b"[" * 1_000_000, OCI_MANIFEST, "no JSON", id="a million brackets"),
        pytest.param(b'{"a":' * 100_000, OCI_MANIFEST, "no JSON", id="deep nesting"),
        pytest.param(b'{"schemaVersion":' + b"9" * 5000 + b"}", OCI_MANIFEST, "no JSON", id="a number without end"),
        pytest.param(b" " * (MAX_MANIFEST + 1), OCI_MANIFEST, "bytes", id="more than the bound"),
        pytest.param(b'{"schemaVersion": 1, "name": "x"}', "", "schema 1", id="schema 1 by its content"),
        pytest.param(
            b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1", id="schema 1 by its type"
        ),
        pytest.param(index(), OCI_MANIFEST, "calls itself", id="announced as another kind than it calls itself"),
        pytest.param(index(layers=[]), OCI_INDEX, "index and of an image", id="an index and a manifest in one"),
        pytest.param(
            manifest(manifests=[]), OCI_MANIFEST, "index and of an image", id="a manifest and an index in one"
        ),
        pytest.param(b"{}", OCI_INDEX, "no list of manifests", id="an index without manifests"),
        pytest.param(b"{}", OCI_MANIFEST, "config is no descriptor", id="a manifest without configuration"),
        pytest.param(index("x"), OCI_INDEX, "no descriptor", id="a text for a descriptor"),
        pytest.param(index({}), OCI_INDEX, "lacks", id="an empty descriptor"),
        pytest.param(index(descriptor("sha256:short")), OCI_INDEX, "has the digest", id="a short digest"),
        pytest.param(index(descriptor("../../etc")), OCI_INDEX, "has the digest", id="a path for a digest"),
        pytest.param(index(descriptor(size=-1)), OCI_INDEX, "size", id="a size below nothing"),
        pytest.param(index(descriptor(size=True)), OCI_INDEX, "size", id="a truth for a size"),
        pytest.param(index(descriptor(size="7")), OCI_INDEX, "size", id="a text for a size"),
        pytest.param(index(annotations={"a": 1}), OCI_INDEX, "no texts", id="a number for an annotation"),
        pytest.param(index(mediaType=5), "", "mediaType", id="a number for its type"),
        pytest.param(index(subject="x"), OCI_INDEX, "subject", id="a text for a subject"),
    ],
)
def test_what_is_wrong_is_a_protocol_error(content: bytes, media_type: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message) as caught:
        parse_manifest(content, media_type)

    assert len(caught.value.message) < 400


def test_a_web_page_gets_a_hint() -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_manifest(b"\n <!doctype html>", "")

    assert "web pages" in caught.value.hint


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([A, OCI_INDEX]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)
names = st.sampled_from(
    [
        "schemaVersion",
        "mediaType",
        "manifests",
        "config",
        "layers",
        "digest",
        "size",
        "platform",
        "annotations",
        "subject",
    ]
)


@given(st.dictionaries(names, json_values), st.sampled_from(["", OCI_INDEX, OCI_MANIFEST]))
def test_any_object_is_read_or_refused(body: dict[str, object], media_type: str) -> None:
    try:
        read = parse_manifest(json.dumps(body).encode(), media_type)
    except ProtocolError:
        return
    assert isinstance(read, (Manifest, Index))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for parse in (parse_manifest, parse_config):
        with contextlib.suppress(ProtocolError):
            assert parse(content) is not None


def test_content_is_checked_against_its_digest() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    check_digest(b"", Digest("sha256", empty))

    with pytest.raises(ProtocolError, match=empty):
        check_digest(b"", Digest("sha256", "0" * 64))
    with pytest.raises(ProtocolError):
        check_digest(b"", Digest("sha512", "0" * 128))


def test_a_configuration_says_platform_creation_and_labels() -> None:
    read = parse_config(
        b'{"os":"linux","architecture":"arm","variant":"v6","created":"2026-01-02T03:04:05.123456789Z",'
        b'"config":{"Labels":{"a":"b","n":1}}}'
    )

    assert read.platform == Platform("linux", "arm", "v6")
    assert read.created == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
    assert dict(read.labels) == {"a": "b"}


@pytest.mark.parametrize(
    "content", [b"{}", b'{"config":null,"os":"unknown","architecture":"unknown"}', b'{"config":{"Labels":null}}']
)
def test_what_a_configuration_leaves_out_is_none(content: bytes) -> None:
    read = parse_config(content)

    assert (read.platform, read.created, dict(read.labels)) == (None, None, {})


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+10:00", None),
        ("9999-12-31T23:59:59-10:00", None),
        ("yesterday", None),
        ("", None),
        (5, None),
        (None, None),
        ("2" * 100, None),
    ],
)
def test_an_instant_is_read_or_none(text: object, instant: datetime | None) -> None:
    assert parse_instant(text) == instant
