"""Docker Hub's API on loopback: logins, who is shown what, tags that move, pages."""

from __future__ import annotations

import httpx
import pytest

from image_factory.testing.hub_server import HubServer

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
TAGS = "/v2/namespaces/acme/repositories/web/tags"


def login(server: HubServer, identifier: str = "ann", secret: str = "pw") -> httpx.Response:
    body = {"identifier": identifier, "secret": secret}
    return httpx.post(f"{server.origin}/v2/auth/token", json=body, trust_env=False)


def get(server: HubServer, path: str = TAGS, token: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(f"{server.origin}{path}", headers=headers, trust_env=False)


def test_a_tag_that_is_pushed_again_points_elsewhere_and_is_the_newest() -> None:
    with HubServer() as server:
        server.publish("acme/web", A, "1", platforms=["linux/arm/v7"])
        server.publish("acme/web", A, "2")
        server.publish("acme/web", B, "1")

        shown = get(server).json()

    assert (shown["count"], shown["next"], shown["previous"]) == (2, None, None)
    assert [(tag["name"], tag["digest"]) for tag in shown["results"]] == [("1", B), ("2", A)]


@pytest.mark.parametrize(("identifier", "secret", "status"), [("ann", "pw", 200), ("ann", "x", 401), ("x", "pw", 401)])
def test_a_login_wants_the_account(identifier: str, secret: str, status: int) -> None:
    with HubServer("ann", "pw") as server:
        assert login(server, identifier, secret).status_code == status


def test_what_is_private_is_shown_to_a_login_alone() -> None:
    with HubServer("ann", "pw") as server:
        server.publish("acme/web", A, "1", is_private=True)
        token = login(server).json()["access_token"]

        assert get(server).status_code == 404
        assert get(server, token="nonsense").status_code == 401
        assert get(server, token=token).status_code == 200
        assert get(server, "/v2/namespaces/acme/repositories/other/tags", token).status_code == 404
        server.logins.clear()
        assert get(server, token=token).status_code == 401


def test_pages_lead_on_and_back() -> None:
    with HubServer(page_size=2) as server:
        for number in range(5):
            server.publish("acme/web", A, str(number))
        path, names, back = f"{TAGS}?page_size=100", [], []
        while path:
            page = get(server, path).json()
            names += [tag["name"] for tag in page["results"]]
            back.append(page["previous"] is not None)
            path = (page["next"] or "").removeprefix(server.origin)

    assert (names, back) == (["4", "3", "2", "1", "0"], [False, True, True])
