"""Docker Hub's own API on loopback, with state: logins, and the tags of repositories with dates.

Not the registry, which is `image_factory.testing.registry_server`. Shapes and words are those of the
published description. Source: docs.docker.com/reference/api/hub/latest (`POST /v2/auth/token`,
`GET /v2/namespaces/{namespace}/repositories/{repository}/tags`).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any

from image_factory.testing.rest_server import Reply, Request, RestServer

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_TAGS = re.compile(r"/v2/namespaces/(?P<space>[^/]+)/repositories/(?P<name>[^/]+)/tags\Z")


@dataclass(slots=True)
class HubTag:
    """One tag, and when it was pushed last."""

    name: str
    digest: str
    pushed_at: datetime
    platforms: tuple[str, ...]
    size: int


@dataclass(slots=True)
class HubRepository:
    """One repository."""

    is_private: bool = False
    tags: dict[str, HubTag] = field(default_factory=dict)


class HubServer(RestServer):
    """Serves while it is entered.

    Args:
        username, password: the one account, which sees every private repository.
        page_size: the most tags on a page, whatever is asked for; Docker Hub's own limit is 100.
    """

    def __init__(self, username: str = "robot", password: str = "", *, page_size: int = 100) -> None:
        super().__init__()
        self._username = username
        self._password = password
        self._page_size = page_size
        self._repositories: dict[str, HubRepository] = {}
        self._pushes = 0
        self.logins: set[str] = set()
        """The tokens that are good; empty it to let them expire."""

    def publish(
        self,
        path: str,
        digest: str,
        *tags: str,
        platforms: Sequence[str] = ("linux/amd64",),
        size: int = 1000,
        is_private: bool = False,
    ) -> None:
        """Put tags of `namespace/repository` onto a digest, an hour after the last push."""
        with self.lock:
            self._pushes += 1
            at = FIRST + timedelta(hours=self._pushes)
            repository = self._repositories.setdefault(path, HubRepository(is_private))
            for tag in tags:
                repository.tags[tag] = HubTag(tag, digest, at, tuple(platforms), size)

    def respond(self, request: Request) -> Reply:
        if (request.method, request.path) == ("POST", "/v2/auth/token"):
            return self._login(request)
        found = _TAGS.fullmatch(request.path)
        if found is None or request.method != "GET":
            return _reply(404, {"message": "not found", "errinfo": None})
        repository = self._repositories.get(f"{found['space']}/{found['name']}")
        token = request.headers.get("authorization", "").partition(" ")[2]
        if token and token not in self.logins:
            return _reply(401, {"detail": "Invalid token", "message": "Invalid token"})
        if repository is None or (repository.is_private and not token):
            return _reply(404, {"message": "object not found", "errinfo": {"namespace": found["space"]}})
        return self._page(request, repository)

    def _login(self, request: Request) -> Reply:
        given = json.loads(request.body)
        known = compare_digest(str(given.get("identifier")).encode(), self._username.encode())
        if not (known and compare_digest(str(given.get("secret")).encode(), self._password.encode())):
            return _reply(401, {"detail": "Incorrect authentication credentials"})
        token = f"eyJhbGciOiJub25lIn0.{secrets.token_urlsafe(24)}.signature"
        self.logins.add(token)
        return _reply(200, {"access_token": token})

    def _page(self, request: Request, repository: HubRepository) -> Reply:
        size = min(int(request.query.get("page_size", "10")), self._page_size)
        number = int(request.query.get("page", "1"))
        newest_first = sorted(repository.tags.values(), key=lambda tag: tag.pushed_at, reverse=True)
        at = f"{self.origin}{request.path}?page_size={size}&page="
        following = f"{at}{number + 1}" if number * size < len(newest_first) else None
        return _reply(
            200,
            {
                "count": len(newest_first),
                "next": following,
                "previous": f"{at}{number - 1}" if number > 1 else None,
                "results": [_shown(tag) for tag in newest_first[(number - 1) * size : number * size]],
            },
        )


def _shown(tag: HubTag) -> dict[str, Any]:
    instant = tag.pushed_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    images = []
    for platform in tag.platforms:
        os, architecture, *variant = platform.split("/")
        image = {"os": os, "architecture": architecture, "variant": variant[0] if variant else None}
        images.append({**image, "features": "", "digest": tag.digest, "size": tag.size, "status": "active"})
    return {
        "id": 1,
        "name": tag.name,
        "digest": tag.digest,
        "full_size": tag.size,
        "images": images,
        "last_updated": instant,
        "tag_last_pushed": instant,
        "tag_status": "active",
        "media_type": "application/vnd.oci.image.index.v1+json",
        "v2": True,
    }


def _reply(status: int, value: object) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
