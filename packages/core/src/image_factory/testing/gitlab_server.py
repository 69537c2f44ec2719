"""A stateful GitLab on loopback: REST (v4) over real git repositories, merge requests and pipelines.

What a client writes is in a bare repository that git itself can read, and can be cloned from this
very server. Served at the root, or below a path of its own as GitLab's "relative URL" installations are.
Words and statuses of refusals are GitLab's (docs.gitlab.com/api); the answers' fields are held to types that others
wrote of them (`image_factory.testing.gitlab_types` says why not to GitLab's OpenAPI file). No GraphQL, no forks,
no runners: a pipeline stays where `finish` puts it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_factory.testing.git_server import GitServer, git_answer
from image_factory.testing.gitlab_routes import Answer, Refusal, answer
from image_factory.testing.rest_server import Reply, Request, RestServer

JOB_TOKEN_ROUTES = ("/repository/files/", "/trigger/pipeline")
"""Where a CI job token counts (docs.gitlab.com/ci/jobs/ci_job_token), of what is served here."""


@dataclass(slots=True)
class Pipeline:
    """One pipeline."""

    id: int
    iid: int
    ref: str
    sha: str
    source: str
    name: str | None
    created_at: str
    updated_at: str
    status: str = "created"
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class MergeRequest:
    """One merge request within its project."""

    iid: int
    source_branch: str
    target_branch: str
    title: str
    description: str
    created_at: str
    state: str = "opened"
    source_project_id: int = 0
    removes_branch: bool = False


@dataclass(slots=True)
class ProjectState:
    """What a project has beside its git objects."""

    merge_requests: list[MergeRequest] = field(default_factory=list)
    pipelines: list[Pipeline] = field(default_factory=list)


class GitLabServer(RestServer):
    """Serves while it is entered.

    >>> with GitLabServer(folder, token="glpat-x") as gitlab:                    # doctest: +SKIP
    ...     gitlab.repositories.create("acme/platform/web.git", {"Dockerfile": "FROM alpine:3.19\\n"})

    Args:
        folder: where the bare repositories lie, `group/…/name.git`; made where it does not exist.
        token: what clients must give as a personal access token or a bearer; None lets everyone in.
        job_token: a CI job token that counts where those do.
        trigger_tokens: project → its pipeline trigger token.
        below: the path that all is served below, such as `/gitlab`.
        has_names: whether pipelines have names; older GitLabs know none.
        may_read_variables: whether the token may read a pipeline's variables.
    """

    def __init__(
        self,
        folder: Path,
        *,
        token: str | None = None,
        job_token: str | None = None,
        trigger_tokens: Mapping[str, str] | None = None,
        below: str = "",
        has_names: bool = True,
        may_read_variables: bool = True,
    ) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self.repositories = GitServer(folder)
        """Creates and commits behind the API's back."""
        self.token = token
        self.job_token = job_token
        self.trigger_tokens = dict(trigger_tokens or {})
        self.below = below
        self.has_names = has_names
        self.may_read_variables = may_read_variables
        self.states: dict[str, ProjectState] = {}
        self.lasting: dict[tuple[str, ...], str] = {}
        """What git said of objects by their ids."""

    @property
    def url(self) -> str:
        """The web's base; the API is below its /api/v4."""
        return self.origin + self.below

    def state(self, project: str) -> ProjectState:
        """Return what a project has beside its git objects."""
        return self.states.setdefault(project, ProjectState())

    def finish(self, project: str, pipeline_id: int, status: str = "success") -> None:
        """Let a pipeline be in a status, at its end or not."""
        with self.lock:
            pipeline = next(one for one in self.state(project).pipelines if one.id == pipeline_id)
            pipeline.status, pipeline.updated_at = status, self.tick()

    def respond(self, request: Request) -> Reply:
        if not request.path.startswith(self.below + "/"):
            return Reply(404, b"not below here", {"Content-Type": "text/plain"})
        path = request.path.removeprefix(self.below)
        if ".git/" in path and not path.startswith("/api/"):
            if not _is_git_allowed(self, request.headers):
                return Reply(401, b"HTTP Basic: Access denied", {"WWW-Authenticate": 'Basic realm="GitLab"'})
            status, told, content = git_answer(
                self.repositories.folder, request.method, path, request.query_text, request.headers, request.body
            )
            return Reply(status, content, told)
        if not path.startswith("/api/v4/"):
            return Reply(404, b"<html>not found</html>", {"Content-Type": "text/html"})
        path = path.removeprefix("/api/v4")
        try:
            _authenticate(self, request, path)
            body: Any = json.loads(request.body) if request.body else {}
            with self.lock:
                result = answer(self, request, path, body)
        except Refusal as refusal:
            result = Answer(refusal.status, {"message": refusal.message})
        limits = {"RateLimit-Limit": "2000", "RateLimit-Remaining": "1999", "RateLimit-Reset": "1767229200"}
        if result.content is not None:
            return Reply(result.status, result.content, {**limits, "Content-Type": "text/plain", **result.headers})
        content = b"" if result.json is None else json.dumps(result.json).encode()
        return Reply(result.status, content, {**limits, "Content-Type": "application/json", **result.headers})


def _authenticate(owner: GitLabServer, request: Request, path: str) -> None:
    """Let in whoever may be; a trigger token is judged where it is used.

    Raises:
        Refusal: as GitLab does, 404 where a project is hidden and 401 where a token is wrong.
    """
    if owner.token is None or path.endswith("/trigger/pipeline"):
        return
    job_token = request.headers.get("job-token")
    if job_token is not None and any(route in path for route in JOB_TOKEN_ROUTES):
        if job_token != owner.job_token:
            raise Refusal(401, "401 Unauthorized")
        return
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    given = request.headers.get("private-token") or bearer
    if given and given != owner.token:
        raise Refusal(401, "401 Unauthorized")
    if not given:
        raise Refusal(404, "404 Project Not Found") if request.method == "GET" else Refusal(401, "401 Unauthorized")


def _is_git_allowed(owner: GitLabServer, headers: Mapping[str, str]) -> bool:
    if owner.token is None:
        return True
    allowed: Collection[str] = {f"oauth2:{owner.token}", f"gitlab-ci-token:{owner.job_token}"}
    given = headers.get("authorization", "").removeprefix("Basic ")
    return given in {base64.b64encode(one.encode()).decode() for one in allowed}
