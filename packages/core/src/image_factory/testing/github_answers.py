"""The JSON of GitHub's REST API, as its published OpenAPI description shapes it: every required field.

Pure functions of plain values; `image_factory.testing.github_server` decides what to say, this how it
looks. Every URL is below the base that the client asked (`Urls`), which PyGithub insists on.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_USER_URLS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REPOSITORY_URLS = {
    **{
        f"{word}_url": f"/{word}"
        for word in (
            *("contributors", "deployments", "downloads", "events", "forks", "hooks", "languages", "merges"),
            *("stargazers", "subscribers", "subscription", "tags", "teams"),
        )
    },
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "statuses_url": "/statuses/{sha}",
    "trees_url": "/git/trees{/sha}",
}


@dataclass(frozen=True, slots=True)
class Urls:
    """Where one repository is: the API's base, the web's base, and `owner/name`."""

    api: str
    web: str
    full_name: str

    @property
    def repository(self) -> str:
        return f"{self.api}/repos/{self.full_name}"

    @property
    def page(self) -> str:
        return f"{self.web}/{self.full_name}"


def number_of(text: str) -> int:
    """Return a number that stands for `text`, always the same."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def node_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def user(urls: Urls, login: str) -> Json:
    url = f"{urls.api}/users/{login}"
    return {
        "login": login,
        "id": number_of(login),
        "node_id": node_of(login),
        "avatar_url": f"{urls.web}/avatars/{login}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{urls.web}/{login}",
        **{key: url + tail for key, tail in _USER_URLS.items()},
        "type": "User",
        "site_admin": False,
    }


def repository(urls: Urls, *, default_branch: str = "main", is_private: bool = False) -> Json:
    owner, name = urls.full_name.split("/")
    return {
        "id": number_of(urls.full_name),
        "node_id": node_of(urls.full_name),
        "name": name,
        "full_name": urls.full_name,
        "private": is_private,
        "owner": user(urls, owner),
        "html_url": urls.page,
        "description": None,
        "fork": False,
        "url": urls.repository,
        **{key: urls.repository + tail for key, tail in _REPOSITORY_URLS.items()},
        "default_branch": default_branch,
        "clone_url": f"{urls.page}.git",
    }


def git_ref(urls: Urls, ref: str, sha: str, kind: str = "commit") -> Json:
    kinds = {"commit": "commits", "tag": "tags"}
    return {
        "ref": ref,
        "node_id": node_of(ref),
        "url": f"{urls.repository}/git/{ref}",
        "object": {"type": kind, "sha": sha, "url": f"{urls.repository}/git/{kinds.get(kind, kind)}/{sha}"},
    }


def short_branch(urls: Urls, name: str, sha: str) -> Json:
    return {
        "name": name,
        "commit": {"sha": sha, "url": f"{urls.repository}/commits/{sha}"},
        "protected": False,
    }


def tag(urls: Urls, name: str, sha: str) -> Json:
    return {
        "name": name,
        "node_id": node_of(name),
        "commit": {"sha": sha, "url": f"{urls.repository}/commits/{sha}"},
        "zipball_url": f"{urls.repository}/zipball/refs/tags/{name}",
        "tarball_url": f"{urls.repository}/tarball/refs/tags/{name}",
    }


def blob(urls: Urls, sha: str, content: bytes) -> Json:
    return {
        "sha": sha,
        "node_id": node_of(sha),
        "url": f"{urls.repository}/git/blobs/{sha}",
        "size": len(content),
        "content": _wrapped(content),
        "encoding": "base64",
    }


def git_tree(urls: Urls, sha: str, entries: Sequence[Json], *, is_truncated: bool = False) -> Json:
    return {
        "sha": sha,
        "url": f"{urls.repository}/git/trees/{sha}",
        "tree": list(entries),
        "truncated": is_truncated,
    }


def git_commit(urls: Urls, sha: str, tree: str, parents: Sequence[str], message: str, who: Mapping[str, str]) -> Json:
    return {
        "sha": sha,
        "node_id": node_of(sha),
        "url": f"{urls.repository}/git/commits/{sha}",
        "html_url": f"{urls.page}/commit/{sha}",
        "author": dict(who),
        "committer": dict(who),
        "tree": {"sha": tree, "url": f"{urls.repository}/git/trees/{tree}"},
        "message": message,
        "parents": [
            {
                "sha": parent,
                "url": f"{urls.repository}/git/commits/{parent}",
                "html_url": f"{urls.page}/commit/{parent}",
            }
            for parent in parents
        ],
        "verification": {
            "verified": False,
            "reason": "unsigned",
            "signature": None,
            "payload": None,
            "verified_at": None,
        },
    }


def content(urls: Urls, path: str, sha: str, kind: str, size: int, ref: str) -> Json:
    """Return what all kinds of content have; the caller adds `content`, `target` or a submodule's URL."""
    url = f"{urls.repository}/contents/{path}?ref={ref}"
    git_url = f"{urls.repository}/git/{'trees' if kind == 'dir' else 'blobs'}/{sha}"
    html_url = f"{urls.page}/{'tree' if kind == 'dir' else 'blob'}/{ref}/{path}"
    return {
        "type": kind,
        "size": size,
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "sha": sha,
        "url": url,
        "git_url": git_url,
        "html_url": html_url,
        "download_url": None if kind in ("dir", "submodule") else f"{urls.page}/raw/{ref}/{path}",
        "_links": {"self": url, "git": git_url, "html": html_url},
    }


def file_content(urls: Urls, path: str, sha: str, data: bytes, ref: str, *, is_large: bool) -> Json:
    """Return a file; a large one without its content, as GitHub does above 1 MB."""
    body = {"content": "", "encoding": "none"} if is_large else {"content": _wrapped(data), "encoding": "base64"}
    return {**content(urls, path, sha, "file", len(data), ref), **body}


def workflow(urls: Urls, path: str, name: str, at: str) -> Json:
    number = number_of(urls.full_name + path)
    return {
        "id": number,
        "node_id": node_of(path),
        "name": name,
        "path": path,
        "state": "active",
        "created_at": at,
        "updated_at": at,
        "url": f"{urls.repository}/actions/workflows/{number}",
        "html_url": f"{urls.page}/blob/main/{path}",
        "badge_url": f"{urls.page}/workflows/{name}/badge.svg",
    }


def workflow_run(urls: Urls, run: Mapping[str, Any], head: Json) -> Json:
    """Return a run out of what the server knows of it (`github_server.Run`, as a mapping)."""
    url = f"{urls.repository}/actions/runs/{run['id']}"
    tails = ("jobs", "logs", "cancel", "rerun", "artifacts")
    return {
        "id": run["id"],
        "name": run["name"],
        "node_id": node_of(str(run["id"])),
        "head_branch": run["ref"],
        "head_sha": run["sha"],
        "path": run["path"],
        "display_title": run["title"],
        "run_number": run["number"],
        "run_attempt": run["attempt"],
        "event": run["event"],
        "status": run["status"],
        "conclusion": run["conclusion"],
        "workflow_id": number_of(urls.full_name + run["path"]),
        "check_suite_id": run["id"],
        "url": url,
        "html_url": f"{urls.page}/actions/runs/{run['id']}",
        "pull_requests": [],
        "created_at": run["created_at"],
        "updated_at": run["updated_at"],
        "run_started_at": run["created_at"],
        **{f"{tail}_url": f"{url}/{tail}" for tail in tails},
        "check_suite_url": f"{urls.repository}/check-suites/{run['id']}",
        "workflow_url": f"{urls.repository}/actions/workflows/{number_of(urls.full_name + run['path'])}",
        "head_commit": {
            "id": head["sha"],
            "tree_id": head["tree"]["sha"],
            "message": head["message"],
            "timestamp": head["committer"]["date"],
            "author": {"name": head["author"]["name"], "email": head["author"]["email"]},
            "committer": {"name": head["committer"]["name"], "email": head["committer"]["email"]},
        },
        "repository": repository(urls),
        "head_repository": repository(urls),
    }


def pull_request(urls: Urls, pull: Mapping[str, Any], *, is_simple: bool) -> Json:
    """Return a pull request out of what the server knows of it (`github_server.Pull`, as a mapping)."""
    number = pull["number"]
    url, issue, page = (
        f"{urls.repository}/pulls/{number}",
        f"{urls.repository}/issues/{number}",
        f"{urls.page}/pull/{number}",
    )
    owner = urls.full_name.split("/")[0]
    links = {
        "self": url,
        "html": page,
        "issue": issue,
        "comments": f"{issue}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{urls.repository}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{urls.repository}/statuses/{pull['head_sha']}",
    }

    def side(ref: str, sha: str) -> Json:
        return {
            "label": f"{owner}:{ref}",
            "ref": ref,
            "sha": sha,
            "user": user(urls, owner),
            "repo": {**repository(urls), **_full_repository(urls)},
        }

    simple: Json = {
        "url": url,
        "id": number_of(page),
        "node_id": node_of(page),
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "issue_url": issue,
        "commits_url": links["commits"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "comments_url": links["comments"],
        "statuses_url": links["statuses"],
        "number": number,
        "state": pull["state"],
        "locked": False,
        "title": pull["title"],
        "user": user(urls, owner),
        "body": pull["body"],
        "labels": [],
        "milestone": None,
        "created_at": pull["created_at"],
        "updated_at": pull["created_at"],
        "closed_at": pull["closed_at"],
        "merged_at": pull["closed_at"] if pull["is_merged"] else None,
        "merge_commit_sha": None,
        "assignee": None,
        "head": side(pull["head"], pull["head_sha"]),
        "base": side(pull["base"], pull["base_sha"]),
        "_links": {key: {"href": href} for key, href in links.items()},
        "author_association": "MEMBER",
        "auto_merge": None,
    }
    if is_simple:
        return simple
    return {
        **simple,
        "merged": pull["is_merged"],
        "mergeable": None,
        "mergeable_state": "unknown",
        "merged_by": None,
        "comments": 0,
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": 1,
        "additions": 1,
        "deletions": 1,
        "changed_files": 1,
    }


def _full_repository(urls: Urls) -> Json:
    """Return what a pull request's repository has beyond the short form."""
    flags = ("issues", "projects", "wiki", "pages", "downloads", "discussions")
    return {
        **{f"has_{flag}": True for flag in flags},
        **{f"{word}_count": 0 for word in ("forks", "stargazers", "watchers", "open_issues")},
        **dict.fromkeys(("forks", "watchers", "open_issues", "size"), 0),
        **dict.fromkeys(("homepage", "language", "license", "mirror_url")),
        "archived": False,
        "disabled": False,
        "visibility": "private",
        "git_url": f"git://{urls.page.partition('://')[2]}.git",
        "ssh_url": f"git@{urls.page.partition('://')[2]}.git",
        "svn_url": urls.page,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "pushed_at": "2026-01-01T00:00:00Z",
        "topics": [],
    }


def _wrapped(data: bytes) -> str:
    """Return base64 in lines of 60 characters, as GitHub breaks it."""
    text = base64.b64encode(data).decode()
    return "".join(f"{text[start : start + 60]}\n" for start in range(0, len(text), 60))
