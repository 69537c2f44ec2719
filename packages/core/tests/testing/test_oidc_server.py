"""The issuer on loopback keeps to what a relying party asks of one."""

from __future__ import annotations

import json

import pytest

from image_factory.ports import HttpRequest
from image_factory.shell.http import HttpClient
from image_factory.testing.oidc_server import JOB_PATH, JOB_SECRET, OidcServer

jwt = pytest.importorskip("jwt", reason="PyJWT is not installed")


def test_a_token_is_proved_by_the_key_that_discovery_leads_to() -> None:
    with OidcServer() as issuer, HttpClient() as http:
        told = json.loads(http.send(HttpRequest("GET", f"{issuer.origin}/.well-known/openid-configuration")).body)
        (key,) = json.loads(http.send(HttpRequest("GET", told["jwks_uri"])).body)["keys"]
        claims = jwt.decode(
            issuer.token(),
            jwt.PyJWK(key),
            algorithms=["RS256"],
            audience="image-factory",
            issuer=told["issuer"],
            options={"verify_exp": False},
        )

    assert claims["actor"] == "alice"


def test_a_job_gets_a_token_for_the_audience_it_names_and_only_with_its_secret() -> None:
    with OidcServer() as issuer, HttpClient() as http:
        url = f"{issuer.origin}{JOB_PATH}?audience=sigstore"
        given = http.send(HttpRequest("GET", url, {"Authorization": f"Bearer {JOB_SECRET}"}))
        refused = http.send(HttpRequest("GET", url))

    token = given.body.decode().split('"')[3]
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == "sigstore"
    assert refused.status == 401


def test_a_claim_that_is_none_is_left_out() -> None:
    with OidcServer() as issuer:
        assert "actor" not in issuer.claims(actor=None)
        assert issuer.claims(actor="bob")["actor"] == "bob"
