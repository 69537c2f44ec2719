"""The embedded registry: what it serves, keeps and counts, and that real clients push to it."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from image_factory.oci.manifest import ACCEPTED, DOCKER_INDEX, OCI_INDEX, Index, parse_manifest
from image_factory.oci.reference import Digest
from image_factory.testing.clock import FixedClock
from image_factory.testing.image_content import build_image, digest_of
from image_factory.testing.registry_server import Access, Misbehavior, Quota, RegistryServer


def client(server: RegistryServer) -> httpx.Client:
    return httpx.Client(base_url=server.url, trust_env=False)


def test_an_image_is_the_same_on_every_machine() -> None:
    image = build_image(seed="fixed", labels={"a": "b"}, created=datetime(2026, 1, 1, tzinfo=UTC))

    assert image == build_image(seed="fixed", labels={"a": "b"}, created=datetime(2026, 1, 1, tzinfo=UTC))
    assert image.digest != build_image(seed="other", labels={"a": "b"}).digest


@pytest.mark.parametrize(("docker", "kind"), [(False, OCI_INDEX), (True, DOCKER_INDEX)])
def test_a_pushed_image_is_served_by_tag_and_by_digest(docker: bool, kind: str) -> None:
    with RegistryServer() as server, client(server) as http:
        digest = server.push_image("library/node", ["22", "22-bookworm-slim"], docker=docker, attestations=not docker)

        by_tag = http.get("/v2/library/node/manifests/22")
        by_digest = http.get(f"/v2/library/node/manifests/{digest}")
        head = http.head("/v2/library/node/manifests/22-bookworm-slim")

    assert by_tag.content == by_digest.content
    assert (head.content, head.headers["docker-content-digest"]) == (b"", str(digest))
    assert head.headers["content-type"] == kind
    assert digest_of(by_tag.content) == digest
    read = parse_manifest(by_tag.content, kind)
    assert isinstance(read, Index)
    assert list(read.platforms) == ["linux/amd64", "linux/arm64"]


def test_every_blob_and_child_of_an_image_is_there() -> None:
    with RegistryServer() as server, client(server) as http:
        digest = server.push_image("acme/web", "1")
        index = parse_manifest(http.get(f"/v2/acme/web/manifests/{digest}").content)
        assert isinstance(index, Index)
        for entry in index.manifests:
            child = http.get(f"/v2/acme/web/manifests/{entry.digest}")
            assert len(child.content) == entry.size
            for blob in [child.json()["config"], *child.json()["layers"]]:
                content = http.get(f"/v2/acme/web/blobs/{blob['digest']}").content
                assert str(digest_of(content)) == blob["digest"]


def test_a_new_seed_moves_the_tag_and_the_old_digest_stays() -> None:
    with RegistryServer() as server, client(server) as http:
        old = server.push_image("acme/web", "1", seed="old")
        new = server.push_image("acme/web", "1", seed="new")

        assert old != new
        assert http.head("/v2/acme/web/manifests/1").headers["docker-content-digest"] == str(new)
        assert http.head(f"/v2/acme/web/manifests/{old}").status_code == 200


def test_a_folder_survives_a_restart(tmp_path: Path) -> None:
    with RegistryServer(tmp_path) as server:
        digest = server.push_image("acme/web", "1")
    with RegistryServer(tmp_path) as server, client(server) as http:
        assert http.get("/v2/acme/web/tags/list").json() == {"name": "acme/web", "tags": ["1"]}
        assert digest_of(http.get("/v2/acme/web/manifests/1").content) == digest
        assert http.get("/v2/_catalog").json() == {"repositories": ["acme/web"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs", "repositories.json"]


def test_a_port_may_be_chosen_again() -> None:
    with RegistryServer() as server:
        port = int(server.host.rpartition(":")[2])
    with RegistryServer(port=port) as server, client(server) as http:
        assert http.get("/v2/").status_code == 200


def test_tags_come_in_lexical_pages() -> None:
    with RegistryServer(page_size=2) as server, client(server) as http:
        server.push_image("acme/web", ["b", "a", "c"])
        first = http.get("/v2/acme/web/tags/list?n=1000")
        second = http.get(first.links["next"]["url"])

    assert (first.json()["tags"], second.json()["tags"]) == (["a", "b"], ["c"])
    assert "next" not in second.links


def test_docker_hubs_quota_counts_gets_and_opens_again() -> None:
    clock = FixedClock()
    with RegistryServer(quota=Quota(requests=2), clock=clock) as server, client(server) as http:
        server.push_image("acme/web", "1")
        path = "/v2/acme/web/manifests/1"
        assert {http.head(path).status_code for _ in range(10)} == {200}
        assert [http.get(path).headers["ratelimit-remaining"] for _ in range(2)] == ["1;w=21600", "0;w=21600"]
        clock.advance(timedelta(hours=1))
        refused = http.get(path)
        clock.advance(timedelta(hours=5, seconds=1))
        again = http.get(path)

    assert (refused.status_code, refused.headers["retry-after"]) == (429, str(5 * 3600))
    assert refused.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert again.status_code == 200


def test_a_token_opens_its_scope_until_it_expires() -> None:
    clock = FixedClock()
    with RegistryServer(access=Access(password="pw"), clock=clock) as server, client(server) as http:
        server.push_image("acme/web", "1")
        server.push_image("acme/api", "1")
        assert http.get("/token").status_code == 401
        assert http.get("/token", auth=("robot", "wrong")).status_code == 401
        token = http.get("/token?scope=repository:acme/web:pull", auth=("robot", "pw")).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}

        assert http.head("/v2/acme/web/manifests/1", headers=headers).status_code == 200
        assert http.head("/v2/acme/api/manifests/1", headers=headers).status_code == 401
        clock.advance(timedelta(minutes=6))
        assert http.head("/v2/acme/web/manifests/1", headers=headers).status_code == 401
        assert "pw" not in str(server.requests)
        assert token not in str(server.requests)


def test_referrers_are_listed() -> None:
    with RegistryServer() as server, client(server) as http:
        digest = server.push_image("acme/web", "1")
        signature = server.push_referrer("acme/web", digest, artifact_type="application/x-signature")
        body = http.get(f"/v2/acme/web/referrers/{digest}").json()

    assert [(entry["digest"], entry["artifactType"]) for entry in body["manifests"]] == [
        (str(signature), "application/x-signature")
    ]


def test_an_upload_with_another_digest_is_refused() -> None:
    with RegistryServer() as server, client(server) as http:
        place = http.post("/v2/acme/web/blobs/uploads/").headers["location"]
        wrong = http.put(place, params={"digest": f"sha256:{'0' * 64}"}, content=b"x")

    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")


def test_what_is_not_there_is_told_in_the_protocols_words() -> None:
    with RegistryServer() as server, client(server) as http:
        server.push_image("acme/web", "1")
        codes = [
            http.get(path).json()["errors"][0]["code"]
            for path in (
                "/v2/acme/web/manifests/2",
                "/v2/acme/api/manifests/1",
                "/v2/acme/api/tags/list",
                f"/v2/acme/web/blobs/sha256:{'0' * 64}",
            )
        ]

    assert codes == ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN"]


def test_a_failure_passes_and_a_misbehavior_ends_with_its_block() -> None:
    with RegistryServer() as server, client(server) as http:
        server.fail_next(503, times=2, headers={"Retry-After": "1"})
        assert [http.get("/v2/").status_code for _ in range(3)] == [503, 503, 200]
        with server.misbehaving(Misbehavior.HTML):
            assert http.get("/v2/").headers["content-type"] == "text/html"
        assert http.get("/v2/").json() == {}
        assert server.count("GET", "/v2/") == 5
        server.forget()
        assert server.requests == []


def test_a_tag_can_vanish() -> None:
    with RegistryServer() as server, client(server) as http:
        server.push_image("acme/web", ["1", "2"])

        assert server.delete("acme/web", "1")
        assert not server.delete("acme/web", "1")
        assert http.head("/v2/acme/web/manifests/1").status_code == 404
        assert http.head("/v2/acme/web/manifests/2").status_code == 200


def test_skopeo_pulls_and_pushes(tmp_path: Path) -> None:
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not installed (Debian: apt-get install skopeo)")
    with RegistryServer(tmp_path / "registry") as server:
        digest = server.push_image("library/node", "22", attestations=True)
        subprocess.run(
            [
                skopeo, "--tmpdir", str(tmp_path), "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false",
                f"docker://{server.host}/library/node:22", f"docker://{server.host}/copy/node:new",
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )  # fmt: skip
        held = server.storage.manifest("copy/node", "new")

    assert held is not None
    assert Digest.parse(held[1]) == digest
    assert held[0] in ACCEPTED
