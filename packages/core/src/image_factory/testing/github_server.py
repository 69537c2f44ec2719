"""A stateful GitHub on loopback: REST over real git repositories, pull requests, workflows and their runs.

What a client writes is in a bare repository that git itself can read, and can be cloned from this
very server. The answers' shapes are those of GitHub's published OpenAPI description
(`image_factory.testing.github_openapi` holds every recorded exchange to it); the refusals' words are
GitHub's. Served both at the root, as api.github.com is, and below /api/v3, as Enterprise is. No GraphQL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from image_factory.shell.git_program import Git
from image_factory.testing.git_server import GitServer, git_answer
from image_factory.testing.github_routes import Answer, Refusal, answer
from image_factory.testing.rest_server import Reply, Request, RestServer

ENTERPRISE = "/api/v3"
"""What the API is below on an Enterprise host."""


@dataclass(slots=True)
class Run:
    """One run of a workflow, as GitHub's API tells it."""

    id: int
    name: str
    path: str
    title: str
    ref: str
    sha: str
    number: int
    created_at: str
    updated_at: str
    event: str = "workflow_dispatch"
    status: str = "queued"
    conclusion: str | None = None
    attempt: int = 1
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Pull:
    """One pull request."""

    number: int
    head: str
    base: str
    head_sha: str
    base_sha: str
    title: str
    body: str
    created_at: str
    state: str = "open"
    closed_at: str | None = None
    is_merged: bool = False


@dataclass(slots=True)
class RepositoryState:
    """What a repository has beside its git objects."""

    pulls: list[Pull] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)


class GitHubServer(RestServer):
    """Serves while it is entered.

    >>> with GitHubServer(folder, token="t0ken") as github:                     # doctest: +SKIP
    ...     github.repositories.create("acme/web.git", {"Dockerfile": "FROM alpine:3.19\\n"})

    Args:
        folder: where the bare repositories lie, `owner/name.git`; made where it does not exist.
        token: what clients must give; None lets everyone read and write.
        has_run_details: whether a dispatch may ask for the run's id; older Enterprise refuses that.
        max_entries: entries of a recursive tree before it is told truncated.
    """

    instants = "%Y-%m-%dT%H:%M:%SZ"

    def __init__(
        self,
        folder: Path,
        *,
        token: str | None = None,
        has_run_details: bool = True,
        max_entries: int = 100_000,
    ) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self.repositories = GitServer(folder)
        """Creates and commits behind the API's back."""
        self.token = token
        self.tokens = {token} if token else set[str]()
        self.has_run_details = has_run_details
        self.max_entries = max_entries
        self.states: dict[str, RepositoryState] = {}
        self.lasting: dict[tuple[str, ...], str] = {}
        """What git said of objects by their ids."""

    @property
    def url(self) -> str:
        """The web's base, and of github.com's kind of API; Enterprise's is this and /api/v3."""
        return self.origin

    def state(self, full_name: str) -> RepositoryState:
        """Return what a repository has beside its git objects."""
        return self.states.setdefault(full_name, RepositoryState())

    def finish(self, full_name: str, run_id: int, conclusion: str = "success", status: str = "completed") -> None:
        """Let a run be at its end, or where `status` says."""
        with self.lock:
            run = next(run for run in self.state(full_name).runs if run.id == run_id)
            run.status, run.updated_at = status, self.tick()
            run.conclusion = conclusion if status == "completed" else None

    def settle_pull(self, full_name: str, number: int, *, merge: bool) -> None:
        """Merge a pull request, with a merge commit as GitHub makes it, or close it; its branch stays."""
        with self.lock:
            pull = next(pull for pull in self.state(full_name).pulls if pull.number == number)
            pull.state, pull.closed_at, pull.is_merged = "closed", self.tick(), merge
            if merge:
                git = Git(self.repositories.path(f"{full_name}.git"), is_exact=True)
                base, doing = f"refs/heads/{pull.base}", f"cannot merge {number}"
                pushed = git.attempt("rev-parse", "--verify", "--quiet", f"refs/heads/{pull.head}")
                pull.head_sha = pushed.text() if pushed.is_ok else pull.head_sha
                tree = git.run("merge-tree", "--write-tree", base, pull.head_sha, doing=doing).text()
                who = {
                    f"GIT_{role}_{part}": "web-flow" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")
                }
                words = ("commit-tree", tree, "-p", base, "-p", pull.head_sha, "-m", f"Merge pull request #{number}")
                git.run("update-ref", base, git.run(*words, extra=who, doing=doing).text(), doing=doing)

    def answer(self, request: Request) -> Reply:
        """Return what git answers, which no trouble reaches and nobody records, or what the API does."""
        if ".git/" in request.path:
            asked = (request.method, request.path, request.query_text, request.headers, request.body)
            status, told, content = git_answer(self.repositories.folder, *asked)
            return Reply(status, content, told)
        path = request.path.removeprefix(ENTERPRISE)
        return super().answer(replace(request, path=path, below=ENTERPRISE if path != request.path else ""))

    def respond(self, request: Request) -> Reply:
        try:
            _authenticate(self, request.method, request.headers)
            parsed = json.loads(request.body) if request.body else {}
            base, path = self.origin + request.below, unquote(request.path)
            with self.lock:
                result = answer(self, base, request.method, path, request.query, request.headers, parsed)
        except Refusal as refusal:
            result = Answer(refusal.status, {"message": refusal.message, **_documentation(refusal)})
        content = b"" if result.json is None else json.dumps(result.json).encode()
        content_type = "application/json; charset=utf-8"
        if result.text is not None:
            content, content_type = result.text.encode(), "application/vnd.github.sha; charset=utf-8"
        told = {"Content-Type": content_type, "X-GitHub-Request-Id": "0:0:0:0:0", "X-RateLimit-Limit": "5000"}
        told |= {"X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": "1767229200", **result.headers}
        return Reply(result.status, content, told)


def _documentation(refusal: Refusal) -> dict[str, Any]:
    told: dict[str, Any] = {"documentation_url": "https://docs.github.com/rest", "status": str(refusal.status)}
    if refusal.errors:
        told["errors"] = list(refusal.errors)
    return told


def _authenticate(owner: GitHubServer, method: str, headers: Mapping[str, str]) -> None:
    given = headers.get("authorization", "")
    scheme, _, token = given.partition(" ")
    if token.count(".") == 2 and scheme == "Bearer":
        return  # an app's signed claim; its routes alone take it
    if given and (scheme.lower() not in ("bearer", "token") or (owner.token and token not in owner.tokens)):
        raise Refusal(401, "Bad credentials")
    if owner.token and not given:
        raise Refusal(401, "Requires authentication") if method != "GET" else Refusal(404, "Not Found")


def as_mapping(item: Run | Pull) -> dict[str, Any]:
    """Return a run or pull request as `github_answers` reads it."""
    return asdict(item)
