"""What GitHub delivers to a webhook of a repository: pushes, published images, and the ping; signed as GitHub signs.

Kargo's `github` receiver refreshes by these (docs.kargo.io, "Webhook receivers"), so a test of what a push sets going
needs them. Payloads keep to GitHub's published description of webhooks (npm: @octokit/openapi-webhooks), which
`image_factory.testing.github_openapi` finds and holds them to. Pure; sending is the caller's business.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from image_factory.testing.github_answers import Urls, node_of, number_of, repository, user

Json = dict[str, Any]
NOBODY = "0" * 40
"""The commit before a branch's first, and after its last."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST to a webhook."""

    event: str
    """As the header X-GitHub-Event names it."""
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def deliver(event: str, payload: Json, *, secret: str | None = None) -> Delivery:
    """Return the request that carries `payload`, signed where the webhook has a secret."""
    body = json.dumps(payload, sort_keys=True).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/0000000",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": _guid(body),
        "X-GitHub-Hook-ID": "1",
        "X-GitHub-Hook-Installation-Target-ID": str(payload.get("repository", {}).get("id", 1)),
        "X-GitHub-Hook-Installation-Target-Type": "repository",
    }
    if secret is not None:
        headers["X-Hub-Signature-256"] = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
    return Delivery(event, body, headers)


def push_payload(
    urls: Urls,
    *,
    branch: str = "main",
    before: str = NOBODY,
    after: str,
    message: str = "Change",
    added: Sequence[str] = (),
    modified: Sequence[str] = (),
    removed: Sequence[str] = (),
    at: str = "2026-01-01T00:00:00Z",
) -> Json:
    """Return what is said of one commit that was pushed to a branch, with the paths that it changes."""
    who = {"name": "Octo Cat", "email": "octocat@github.example", "username": "octocat"}
    commit = {
        "id": after,
        "tree_id": NOBODY,
        "distinct": True,
        "message": message,
        "timestamp": at,
        "url": f"{urls.page}/commit/{after}",
        "author": who,
        "committer": who,
        "added": list(added),
        "modified": list(modified),
        "removed": list(removed),
    }
    return {
        "ref": f"refs/heads/{branch}",
        "before": before,
        "after": after,
        "base_ref": None,
        "created": before == NOBODY,
        "deleted": after == NOBODY,
        "forced": False,
        "compare": f"{urls.page}/compare/{before[:12]}...{after[:12]}",
        "commits": [commit],
        "head_commit": commit,
        "pusher": {"name": "octocat", "email": "octocat@github.example"},
        **_where(urls),
    }


def package_payload(urls: Urls, *, image: str, tag: str, digest: str, is_registry_package: bool = False) -> Json:
    """Return what is said of an image that was published to ghcr.io, whose package is linked to the repository.

    Args:
        image: the name below its owner, such as `web` or `platform/web`.
        tag: what was pushed.
        digest: `sha256:…` of its manifest.
        is_registry_package: as the event `registry_package` says it; else as `package` does.
    """
    owner = urls.full_name.split("/")[0]
    page, instant = f"{urls.web}/{owner}/packages/{number_of(image)}", "2026-01-01T00:00:00Z"
    reference = f"ghcr.io/{owner}/{image}"
    version: Json = {
        "id": number_of(digest),
        "version": digest,
        "name": digest,
        "summary": "",
        "description": "",
        "html_url": f"{page}?version={digest}",
        "metadata": [],
        "package_files": [],
        "installation_command": f"docker pull {reference}:{tag}",
        "package_url": f"{reference}:{tag}",
        "container_metadata": {
            "tag": {"name": tag, "digest": digest},
            "labels": {},
            "manifest": {},
        },
    }
    package: Json = {
        "id": number_of(image),
        "name": image,
        "namespace": owner,
        "description": None,
        "ecosystem": "CONTAINER",
        "package_type": "CONTAINER",
        "html_url": page,
        "created_at": instant,
        "updated_at": instant,
        "owner": user(urls, owner),
        "package_version": version,
        "registry": {
            "about_url": "https://docs.github.com/packages",
            "name": "GitHub CONTAINER registry",
            "type": "CONTAINER",
            "url": f"https://ghcr.io/{owner}",
            "vendor": "GitHub Inc",
        },
    }
    name = "registry_package" if is_registry_package else "package"
    return {"action": "published", name: package, **_where(urls)}


def ping_payload(urls: Urls, *, events: Sequence[str] = ("push", "package")) -> Json:
    """Return what is said when a webhook is made."""
    config = {"content_type": "json", "insecure_ssl": "0", "url": "https://kargo.example.com/webhooks/github/x"}
    at = f"{urls.repository}/hooks/1"
    hook = {
        "type": "Repository",
        "id": 1,
        "name": "web",
        "active": True,
        "events": list(events),
        "config": config,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "url": at,
        "ping_url": f"{at}/pings",
        "test_url": f"{at}/test",
        "deliveries_url": f"{at}/deliveries",
        "last_response": {"code": None, "status": "unused", "message": None},
    }
    return {"zen": "Keep it logically awesome.", "hook_id": 1, "hook": hook, **_where(urls)}


def _where(urls: Urls) -> Json:
    """Return the repository as webhooks tell it, which is more than the API's lists do, and who did it."""
    instant = "2026-01-01T00:00:00Z"
    switches = dict.fromkeys(("has_issues", "has_projects", "has_downloads", "has_wiki", "has_pages"), False)
    switches |= dict.fromkeys(("archived", "disabled", "is_template", "allow_forking", "has_discussions"), False)
    switches |= {"web_commit_signoff_required": False}
    counts = dict.fromkeys(
        ("forks", "forks_count", "watchers", "watchers_count", "open_issues", "open_issues_count"), 0
    )
    counts |= {"size": 1, "stargazers_count": 0}
    more: Json = {
        **dict.fromkeys(("homepage", "language", "license", "mirror_url")),
        "topics": [],
        "visibility": "public",
        "custom_properties": {},
        **dict.fromkeys(("created_at", "updated_at", "pushed_at"), instant),
        "git_url": f"git://{urls.page.partition('://')[2]}.git",
        "ssh_url": f"git@{urls.web.partition('://')[2]}:{urls.full_name}.git",
        "svn_url": urls.page,
    }
    return {"repository": {**repository(urls), **switches, **counts, **more}, "sender": user(urls, "octocat")}


def _guid(body: bytes) -> str:
    told = node_of(hashlib.sha256(body).hexdigest()).encode().hex()[:32]
    return "-".join((told[:8], told[8:12], told[12:16], told[16:20], told[20:]))
