"""The Packages API on loopback: who is shown what, tags that move, pages."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from image_factory.testing.packages_server import PackagesServer

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def get(server: PackagesServer, path: str, token: str = "t0ken") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(f"{server.origin}/{path}", headers=headers, trust_env=False)


def test_a_tag_is_on_its_last_version_alone() -> None:
    with PackagesServer("t0ken", organizations=frozenset({"acme"})) as server:
        server.publish("acme/team/web", A, "1", "latest")
        server.publish("acme/team/web", B, "2", "latest")

        shown: list[dict[str, Any]] = json.loads(get(server, "orgs/acme/packages/container/team%2Fweb/versions").text)

    tags = [(version["name"], version["metadata"]["container"]["tags"]) for version in shown]
    assert tags == [(B, ["2", "latest"]), (A, ["1"])]


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("users/ann/packages/container/web/versions", "t0ken", 200),
        ("users/ann/packages/container/web/versions", "", 401),
        ("users/ann/packages/container/web/versions", "wrong", 401),
        ("users/ann/packages/container/secret/versions", "t0ken", 404),
        ("user/packages/container/secret/versions", "t0ken", 200),
        ("orgs/ann/packages/container/web/versions", "t0ken", 404),
        ("users/packages/container/web/versions", "t0ken", 404),
        ("user/ann/packages/container/web/versions", "t0ken", 404),
        ("elsewhere", "t0ken", 404),
    ],
)
def test_who_is_shown_what(path: str, token: str, status: int) -> None:
    with PackagesServer("t0ken", login="ann") as server:
        server.publish("ann/web", A, "1")
        server.publish("ann/secret", A, "1", is_private=True)

        assert get(server, path, token).status_code == status


def test_pages_are_linked_to_their_end() -> None:
    with PackagesServer("t0ken", page_size=2) as server:
        for number in range(5):
            server.publish("ann/web", f"sha256:{number:064}", str(number))
        path: str | None = "users/ann/packages/container/web/versions"
        names: list[str] = []
        while path is not None:
            answer = get(server, path)
            names += [version["name"][-1] for version in answer.json()]
            following = answer.links.get("next")
            path = following["url"].removeprefix(f"{server.origin}/") if following else None

    assert names == ["4", "3", "2", "1", "0"]
