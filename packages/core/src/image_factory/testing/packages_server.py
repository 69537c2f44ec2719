"""The versions of container packages as GitHub's Packages API tells them, on loopback and with state.

Owners are organizations or users; a tag that is put on another version leaves the one it was on; a
package that is private is shown to its owner's token alone. The answers' shapes are those of GitHub's
published OpenAPI description. Source: docs.github.com/rest/packages/packages.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any
from urllib.parse import quote, unquote

from image_factory.testing.rest_server import Reply, Request, RestServer

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_VERSIONS = re.compile(
    r"/(?P<kind>orgs|users|user)(?:/(?P<owner>[^/]+))?/packages/container/(?P<package>[^/]+)/versions\Z"
)


@dataclass(slots=True)
class PackageVersion:
    """One version: a digest, and the tags that are on it now."""

    id: int
    digest: str
    tags: list[str]
    created_at: datetime


@dataclass(slots=True)
class Package:
    """One package of an owner; its name may hold slashes."""

    owner: str
    name: str
    is_private: bool = False
    versions: list[PackageVersion] = field(default_factory=list)


class PackagesServer(RestServer):
    """Serves while it is entered.

    Args:
        token: what clients must give; GitHub shows no package without one.
        login: whose token it is.
        organizations: the owners that are organizations; all others are users.
        page_size: the most versions on a page, whatever is asked for.
    """

    def __init__(
        self, token: str, *, login: str = "robot", organizations: frozenset[str] = frozenset(), page_size: int = 100
    ) -> None:
        super().__init__()
        self._token = token
        self._login = login
        self._organizations = organizations
        self._page_size = page_size
        self._packages: dict[tuple[str, str], Package] = {}
        self._last_id = 1000

    def publish(self, path: str, digest: str, *tags: str, is_private: bool = False) -> PackageVersion:
        """Put a version into `owner/name`, a day after the last one, and its tags onto it."""
        owner, _, name = path.partition("/")
        with self.lock:
            package = self._packages.setdefault((owner, name), Package(owner, name, is_private))
            for version in package.versions:
                version.tags = [tag for tag in version.tags if tag not in tags]
            self._last_id += 1
            created = FIRST + timedelta(days=len(package.versions))
            package.versions.append(PackageVersion(self._last_id, digest, list(tags), created))
            return package.versions[-1]

    def respond(self, request: Request) -> Reply:
        found = _VERSIONS.fullmatch(request.path)
        given = request.headers.get("authorization", "").partition(" ")[2]
        if not compare_digest(given.encode(), self._token.encode()):
            return _reply(401, {"message": "Bad credentials" if given else "Requires authentication"})
        package = None if found is None else self._find(found["kind"], found["owner"], unquote(found["package"]))
        if package is None:
            return _reply(404, {"message": "Package not found."})
        size = min(int(request.query.get("per_page", "30")), self._page_size)
        number = int(request.query.get("page", "1"))
        newest_first = package.versions[::-1]
        shown = newest_first[(number - 1) * size : number * size]
        last = max(1, -(-len(newest_first) // size))
        headers = {}
        if number < last:
            page = f"{self.origin}{request.path}?per_page={size}&page="
            headers["Link"] = f'<{page}{number + 1}>; rel="next", <{page}{last}>; rel="last"'
        return _reply(200, [self._shown(package, version) for version in shown], headers)

    def _find(self, kind: str, owner: str | None, name: str) -> Package | None:
        if (kind == "user") != (owner is None):
            return None
        package = self._packages.get((owner or self._login, name))
        if package is None or (kind == "orgs") != (package.owner in self._organizations):
            return None
        # A user's private packages are told at /user alone, and to that user.
        return None if package.is_private and kind == "users" else package

    def _shown(self, package: Package, version: PackageVersion) -> dict[str, Any]:
        kind = "orgs" if package.owner in self._organizations else "users"
        path = f"{kind}/{package.owner}/packages/container"
        name = quote(package.name, safe="")
        instant = version.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "id": version.id,
            "name": version.digest,
            "url": f"https://api.github.com/{path}/{name}/versions/{version.id}",
            "package_html_url": f"https://github.com/{path}/package/{name}",
            "html_url": f"https://github.com/{path}/{name}/{version.id}",
            "created_at": instant,
            "updated_at": instant,
            "metadata": {"package_type": "container", "container": {"tags": list(version.tags)}},
        }


def _reply(status: int, value: object, headers: dict[str, str] | None = None) -> Reply:
    if isinstance(value, dict):
        value = {**value, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    content_type = "application/json; charset=utf-8"
    return Reply(status, json.dumps(value).encode(), {"Content-Type": content_type, **(headers or {})})
