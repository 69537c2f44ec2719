"""References against distribution's grammar: good as they stand, made canonical, and bad."""

from __future__ import annotations

import time

import pytest

from image_factory.errors import InvalidReference
from image_factory.oci.reference import DOCKER_HUB, MAX_TAG, Digest, Reference, Repository, Tag, is_tag

HEX = "0123456789abcdef" * 4
SHA256 = f"sha256:{HEX}"
SHA384 = f"sha384:{'c' * 96}"
SHA512 = f"sha512:{'d' * 128}"
PATH_255 = "/".join(["a" * 63] * 4)

CANONICAL_ALREADY = [
    "docker.io/library/alpine:3.19",
    "docker.io/library/alpine:latest",
    f"docker.io/library/alpine@{SHA256}",
    f"docker.io/library/alpine:3.19@{SHA256}",
    "docker.io/grafana/grafana:11.0.0",
    "docker.io/a/b/c/d/e:1",
    "ghcr.io/acme/web:v1.2.3-rc.1",
    "ghcr.io/acme/team/web/api:1",
    "gcr.io/google.com/project/hello-world:latest",
    "gcr.io/project-id/image:w1th-alpha_num3ric.PLUScaps",
    "us.gcr.io/project-id/image:with.period.in.tag",
    "registry.example.com:5000/web:1",
    "registry.example.com:5000/a/b:1",
    "registry:5000/web:1",
    "localhost/web:1",
    "localhost:5000/a/b:1",
    "127.0.0.1:5000/library/debian:12",
    "192.168.0.1:8/debian:12",
    "[::1]:5000/web:1",
    "[fc00:1:2:3:4:5:6:7]:5000/library/debian:12",
    "[fe80::1]/web:1",
    f"quay.io/acme/web@{SHA384}",
    f"quay.io/acme/web:1@{SHA512}",
    "a.b/c:1",
    "0.0/0:0",
    "xn--bcher-kva.example/web:1",
    "ghcr.io/a__b/c--d/e---f.g_h:1",
    "ghcr.io/acme/web:_",
    "ghcr.io/acme/web:__.--",
    f"ghcr.io/acme/web:{'t' * MAX_TAG}",
    f"ghcr.io/{PATH_255}:1",
    f"docker.io/library/{HEX}:latest",
    "LOCALDOMAIN/library/debian:12",
    "ACME/web:1",
    "my_registry.local/web:1",
]

MADE_CANONICAL = {
    "alpine": "docker.io/library/alpine:latest",
    "alpine:3.19": "docker.io/library/alpine:3.19",
    f"alpine@{SHA256}": f"docker.io/library/alpine@{SHA256}",
    f"alpine:3.19@{SHA256}": f"docker.io/library/alpine:3.19@{SHA256}",
    "grafana/grafana": "docker.io/grafana/grafana:latest",
    "library/alpine": "docker.io/library/alpine:latest",
    "docker.io/alpine": "docker.io/library/alpine:latest",
    "index.docker.io/alpine:1": "docker.io/library/alpine:1",
    "index.docker.io/library/alpine:1": "docker.io/library/alpine:1",
    "registry-1.docker.io/library/alpine:1": "docker.io/library/alpine:1",
    "registry-1.docker.io/grafana/grafana:1": "docker.io/grafana/grafana:1",
    "Docker.IO/alpine:1": "docker.io/library/alpine:1",
    "ghcr.io/acme/web": "ghcr.io/acme/web:latest",
    "GHCR.io/acme/web:1": "ghcr.io/acme/web:1",
    "Registry.Example.COM:5000/web:1": "registry.example.com:5000/web:1",
    "LOCALHOST/web:1": "localhost/web:1",
    "[FE80::A]:5000/web:1": "[fe80::a]:5000/web:1",
    "localhost": "docker.io/library/localhost:latest",
    "localhost:5000": "docker.io/library/localhost:5000",
    "docker.io": "docker.io/library/docker.io:latest",
    "192.168.0.1": "docker.io/library/192.168.0.1:latest",
    "192.168.0.1:80": "docker.io/library/192.168.0.1:80",
    "scratch": "docker.io/library/scratch:latest",
    f"{HEX}:1": f"docker.io/library/{HEX}:1",
    f"docker.io/{HEX}": f"docker.io/library/{HEX}:latest",
    SHA256: f"docker.io/library/sha256:{HEX}",
    "a_b1.example/web": "a_b1.example/web:latest",
}

BAD = {
    "nothing": "",
    "a blank": " ",
    "a blank before": " alpine",
    "a blank behind": "alpine ",
    "a line end behind": "alpine\n",
    "a line end behind the tag": "alpine:3.19\n",
    "a line end behind the digest": f"alpine@{SHA256}\n",
    "a NUL": "alpine\0",
    "upper case": "Alpine",
    "upper case with a tag": "Ubuntu:22.04",
    "upper case in the path": "docker.io/docker/Docker",
    "a scheme": "https://github.com/docker/docker",
    "an empty tag": "library/alpine:",
    "an empty digest": "alpine@",
    "a tag that is too long": f"alpine:{'t' * (MAX_TAG + 1)}",
    "a tag with a blank": "alpine:white space",
    "a tag that starts with a hyphen": "alpine:-1",
    "a tag that starts with a dot": "alpine:.1",
    "a tag with an at": "alpine:c@n'tuse",
    "a tag with a plus": "alpine:1.0+build",
    "a tag in Arabic digits": "alpine:٣",
    "a tag in full-width digits": "alpine:３",
    "a path of another script": "ghcr.io/ａcme/web",
    "a host of another script": "ghcrё.io/acme/web",
    "a host with the Kelvin sign, which folds into k": "\u212a.example/web",
    "a host with a dotted capital I, which folds into i": "\u0130.example/web",
    "a port in Arabic digits": "example.com:٥000/web",
    "two tags": "alpine:1:2",
    "two digests": f"alpine@{SHA256}@{SHA256}",
    "a tag behind the digest": f"alpine@{SHA256}:1",
    "a short digest": f"alpine@sha256:{HEX[:-1]}",
    "a long digest": f"alpine@sha256:{HEX}0",
    "a digest in upper case": f"alpine@sha256:{HEX.upper()}",
    "a sha512 with the length of a sha256": f"alpine@sha512:{HEX}",
    "an algorithm that nobody can check": f"alpine@md5:{'a' * 32}",
    "an algorithm in upper case": f"alpine@SHA256:{HEX}",
    "an image id": HEX,
    "a path of 256": f"ghcr.io/{PATH_255}a",
    "a one-word name that library/ makes too long": "a" * 248,
    "an empty part": "docker///docker",
    "a slash at the end": "docker/",
    "a slash at the start": "/docker",
    "a hyphen at the start": "-docker",
    "a hyphen at the start of a host": "-docker.io/docker/docker",
    "a hyphen at the end": "docker-/docker",
    "two dots": "dock..er/docker",
    "a dot and an underscore": "dock_.er/docker",
    "three underscores": "a___b/docker",
    "underscores alone": "____/____",
    "an IPv6 host alone": "[fc00::1]",
    "an IPv6 host and port alone": "[fc00::1]:5000",
    "an IPv6 host without brackets": "fc00::1:5000/debian",
    "an IPv6 host with a zone": "[fe80::1%eth0]:5000/debian",
    "an IPv6 host with an IPv4 tail": "[2001:db8:3:4::192.0.2.33]:5000/debian",
    "empty brackets": "[]/debian",
    "a host with an empty port": "example.com:/debian",
    "a host with a word for a port": "example.com:http/debian",
    "a host with an empty label": "example..com/debian",
    "a host with a hyphen at a label's end": "example-.com/debian",
    "a user name": "user:pw@example.com/debian",
    "an unresolved variable": "alpine:${VERSION}",
    "an expression": "${{ secrets.TOKEN }}",
    "a template": "{{ image }}",
    "a parent folder": "../../etc/passwd",
    "an option": "--upload-pack=x",
    "longer than any reference": "a/" * 600 + "a",
}


@pytest.mark.parametrize("text", CANONICAL_ALREADY)
def test_a_canonical_reference_stays_as_it_is(text: str) -> None:
    assert Reference.parse(text).canonical == text
    assert str(Reference.parse(text)) == text


@pytest.mark.parametrize(("written", "canonical"), MADE_CANONICAL.items())
def test_a_short_form_is_made_canonical_and_kept_as_written(written: str, canonical: str) -> None:
    reference = Reference.parse(written)

    assert reference.canonical == canonical
    assert reference.written == written
    assert Reference.parse(canonical) == reference


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_what_is_no_reference_is_refused_and_shown(text: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)

    assert caught.value.message.startswith("not an image reference: ")
    assert repr(text)[:40] in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "registry", "path", "tag", "digest"),
    [
        ("localhost:5000/a/b:1", "localhost:5000", "a/b", "1", None),
        ("alpine", "docker.io", "library/alpine", "latest", None),
        ("a/b/c/d/e:x", "docker.io", "a/b/c/d/e", "x", None),
        (f"r.io:1/a@{SHA256}", "r.io:1", "a", None, SHA256),
        (f"r.io:1/a:t@{SHA512}", "r.io:1", "a", "t", SHA512),
        ("[::1]:5000/a", "[::1]:5000", "a", "latest", None),
        ("Foo/bar", "Foo", "bar", "latest", None),
    ],
)
def test_every_part_is_exact(text: str, registry: str, path: str, tag: str | None, digest: str | None) -> None:
    reference = Reference.parse(text)

    assert reference.repository == Repository(registry, path)
    assert reference.tag == tag
    assert reference.digest == (None if digest is None else Digest.parse(digest))


def test_what_was_written_does_not_make_references_differ() -> None:
    assert Reference.parse("alpine") == Reference.parse("docker.io/library/alpine:latest")
    assert len({Reference.parse("alpine"), Reference.parse("index.docker.io/alpine")}) == 1


def test_the_tag_to_watch_is_none_for_a_pinned_reference() -> None:
    assert Reference.parse(f"alpine@{SHA256}").tagged is None
    assert Reference.parse(f"alpine:3@{SHA256}").tagged == Tag(Repository(DOCKER_HUB, "library/alpine"), "3")
    assert Reference.parse("alpine").tagged == Tag(Repository(DOCKER_HUB, "library/alpine"), "latest")


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("alpine", "alpine"),
        ("grafana/grafana", "grafana/grafana"),
        ("ghcr.io/acme/web", "ghcr.io/acme/web"),
        ("docker.io/library/a/b", "library/a/b"),
        ("docker.io/my.org/web", "docker.io/my.org/web"),
        ("docker.io/localhost/web", "docker.io/localhost/web"),
    ],
)
def test_the_familiar_name_reads_back_as_the_same_repository(text: str, familiar: str) -> None:
    repository = Repository.parse(text)

    assert repository.familiar == familiar
    assert Repository.parse(familiar) == repository


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Ubuntu:22.04", "repository names are lower case"),
        (f"alpine@sha256:{HEX[:-1]}", "write sha256: and 64 lower-case hex digits"),
        (HEX, "64 hex digits are an image id; write a name, or name@sha256:…"),
        ("example.com:http/x", "write a host name, with :port if it has one"),
    ],
)
def test_the_hint_says_what_would_be_right(text: str, hint: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)

    assert caught.value.hint == hint


@pytest.mark.parametrize("text", ["1", "_", "v1.2-x", "t" * 128])
def test_a_tag_is_a_tag(text: str) -> None:
    assert is_tag(text)


@pytest.mark.parametrize("text", ["", ".", "-1", "t" * 129, "1\n", "../x", "a/b", "１"])
def test_what_is_no_tag_is_none(text: str) -> None:
    assert not is_tag(text)


def test_a_digest_is_shortened_for_people() -> None:
    assert Digest.parse(SHA256).short == "sha256:0123456789ab"


@pytest.mark.parametrize(
    "text",
    ["a." * 400 + "!/x", "a-" * 450 + "/x", "a_" * 400 + "/X", "[" + ":" * 900 + "/x", "a" * 1023 + "!", "a:" * 500],
)
def test_a_hostile_reference_takes_no_longer_than_another(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(InvalidReference):
        Reference.parse(text)

    assert time.perf_counter() - started < 0.05
