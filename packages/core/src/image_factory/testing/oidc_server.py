"""An OpenID Connect issuer on loopback: its discovery, its keys, and the service that hands a job its token.

GitHub's and GitLab's tokens are RS256 JWTs whose keys lie below `/.well-known/openid-configuration`; a job
of GitHub's asks for its token with a bearer secret. Needs PyJWT with cryptography (the extra `testing`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from image_factory.testing.clock import START
from image_factory.testing.rest_server import Reply, Request, RestServer

JOB_SECRET = "planted-job-secret"  # noqa: S105 - of a fake
JOB_PATH = "/token/request"


class OidcServer(RestServer):
    """An issuer with one key; `hands_out` is what its jobs are given."""

    def __init__(self, *, now: datetime = START, kid: str = "key-1") -> None:
        from cryptography.hazmat.primitives.asymmetric import rsa

        super().__init__()
        self.now = now
        self.kid = kid
        self.key: Any = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.hands_out: str | None = None
        self.discovery: dict[str, object] = {}
        """What discovery says otherwise."""

    @property
    def job(self) -> dict[str, str]:
        """The environment of a job of GitHub's."""
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.origin}{JOB_PATH}?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": JOB_SECRET,
            "GITHUB_ACTIONS": "true",
        }

    def claims(self, **changes: object) -> dict[str, object]:
        """Return the claims of a good token of GitHub's; one that is changed to None is left out."""
        good: dict[str, object] = {
            "iss": self.origin,
            "aud": "image-factory",
            "exp": int((self.now + timedelta(minutes=5)).timestamp()),
            "iat": int(self.now.timestamp()),
            "nbf": int((self.now - timedelta(minutes=5)).timestamp()),
            "sub": "repo:acme/platform:ref:refs/heads/main",
            "actor": "alice",
            "repository": "acme/platform",
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token(self, claims: Mapping[str, object] | None = None, *, kid: str | None = None, key: Any = None) -> str:
        """Return a token, signed with the issuer's key where no other is given."""
        import jwt

        headers = {"kid": kid or self.kid}
        given = dict(self.claims() if claims is None else claims)
        return str(jwt.encode(given, key or self.key, algorithm="RS256", headers=headers))

    def respond(self, request: Request) -> Reply:
        """Answer discovery, the keys, and a job's question for its token."""
        if request.path == "/.well-known/openid-configuration":
            return _reply({"issuer": self.origin, "jwks_uri": f"{self.origin}/jwks", **self.discovery})
        if request.path == "/jwks":
            return _reply({"keys": [self.public_key()]})
        if request.path == JOB_PATH:
            if request.headers.get("authorization") != f"Bearer {JOB_SECRET}":
                return _reply({"message": "Bad credentials"}, 401)
            audience = request.query.get("audience", "https://github.com/acme")
            return _reply({"value": self.hands_out or self.token(self.claims(aud=audience))})
        return _reply({"message": "Not Found"}, 404)

    def public_key(self) -> dict[str, object]:
        """Return the key as its JWK."""
        from jwt.algorithms import RSAAlgorithm

        public: dict[str, object] = dict(RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True))
        return {**public, "kid": self.kid, "alg": "RS256", "use": "sig"}


def _reply(data: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(data).encode(), {"Content-Type": "application/json"})
