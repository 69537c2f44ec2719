"""The build trigger `gitlab`: a pipeline with variables, described as a call and performed; runs, found and told.

docs.gitlab.com/api/pipeline_triggers. The call needs a trigger token. Where there is none, `start` does
with what there is: a job's token in its place, or an access token at `POST /pipeline`. A run is
found by its name (`workflow: name:` of .gitlab-ci.yml), or by its variables where it has no such name.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from image_factory.errors import AuthenticationRequired, RemoteNotFound, RemoteRefused, UnsafeValue
from image_factory.ports import BuildRequest, BuildRun, Clock, RunStatus, TriggerCall
from image_factory.shell.git_program import checked_ref, is_commit_id
from image_factory_gitlab.hosts import Hosts, TokenKind
from image_factory_gitlab.source import GitLabSource

MAX_SEARCHED = 500
"""Pipelines, newest first, among whose names a request's is looked for."""
MAX_ASKED = 50
"""Pipelines, newest first, whose variables are read where no name tells."""
KEPT_VARIABLES = 2_000
KEPT_TITLES = 2_000
SOURCES = ("trigger", "pipeline", "api")
"""How pipelines come to be that are started from outside: a trigger token, a job's token, an access token."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}\Z")
_STATUSES = {
    "running": RunStatus.RUNNING,
    "canceling": RunStatus.RUNNING,
    "success": RunStatus.SUCCEEDED,
    "failed": RunStatus.FAILED,
    "canceled": RunStatus.CANCELLED,
    "skipped": RunStatus.CANCELLED,
}
"""All others wait for something (docs.gitlab.com/api/pipelines, "status")."""
_ENDED = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED)


class GitLabTrigger:
    """Starts pipelines on gitlab.com and on any other GitLab."""

    name = "gitlab"

    def __init__(self, hosts: Hosts, clock: Clock) -> None:
        self._hosts = hosts
        self._source = GitLabSource(hosts, clock)
        self._variables: dict[tuple[str, str], frozenset[str]] = {}
        self._titles: dict[tuple[str, str], str] = {}

    def __repr__(self) -> str:
        return "GitLabTrigger()"

    def call(self, request: BuildRequest) -> TriggerCall:
        """Return the call that starts `request` with a trigger token; asks no network.

        Raises:
            UnsafeValue: the project, ref or a variable's name could be more than that.
        """
        project = self._source.project(request.repository)
        return TriggerCall(
            method="POST",
            url=f"{project.host.api}{project.at}/trigger/pipeline",
            headers={"Accept": "application/json", "Content-Type": "application/json"},
            json={"ref": checked_ref(request.ref), "variables": _checked(request.inputs)},
            secret=None,
            secret_field="token",  # noqa: S106  # the field's name
            accepted=(201,),
        )

    def start(self, request: BuildRequest) -> str | None:
        """Start the pipeline and return its id.

        Raises:
            AuthenticationRequired: there is no token, or its role may not start pipelines or give them variables.
        """
        call, project = self.call(request), self._source.project(request.repository)
        client, doing = self._source.client(request.repository), f"cannot start a pipeline of {request.repository}"
        token = self._hosts.token(project.host)
        secret = self._hosts.trigger_token(project)
        if secret is None and token is not None and token.kind is TokenKind.JOB:
            secret = token.value
        if secret is not None:
            body = {**call.json, "token": secret}
            told = client.send("POST", f"{project.at}/trigger/pipeline", body, doing=doing, secret=secret)
        elif token is not None:
            pairs = [{"key": key, "value": value} for key, value in request.inputs.items()]
            told = client.send("POST", f"{project.at}/pipeline", {"ref": request.ref, "variables": pairs}, doing=doing)
        else:
            raise AuthenticationRequired(
                f"{doing}: no token",
                hint="set GITLAB_TRIGGER_TOKEN, made on GitLab under Settings > CI/CD > Pipeline trigger tokens",
            )
        number = told.get("id") if isinstance(told, dict) else None
        if not isinstance(number, int):
            raise client.odd(doing, "the answer holds no pipeline's id")
        return str(number)

    def declared_inputs(self, request: BuildRequest) -> frozenset[str] | None:
        """Return None: a pipeline takes any variable."""
        return None

    def find_run(self, request: BuildRequest) -> BuildRun | None:
        """Return the newest pipeline that carries the request's id, or None while there is none.

        A name is compared word by word. Where no name holds the id, the variables of the newest pipelines
        are read, each once; their values are told to owners and to whoever started the pipeline.

        Raises:
            AuthenticationRequired: pipelines have no names here, and their variables may not be read.
        """
        if not request.request_id.strip():
            raise UnsafeValue("a request without an id cannot be found again", hint="give request_id")
        word = re.compile(rf"(?<![\w.-]){re.escape(request.request_id)}(?![\w-]|\.\w)")
        newest: list[BuildRun] = []
        for told in itertools.islice(self._pipelines(request), MAX_SEARCHED):
            run = self._run(request, told)
            if word.search(run.title):
                return run
            if len(newest) < MAX_ASKED:
                newest.append(run)
        for run in newest:
            values = self._values(request, run)
            if request.request_id in values:
                return dataclasses.replace(run, title=f"{run.title} {request.request_id}")
        return None

    def run(self, request: BuildRequest, run_id: str) -> BuildRun:
        """Return a pipeline as it is now."""
        return self._run(request, self._told(request, run_id))

    def runs(self, request: BuildRequest, *, page: int = 1, page_size: int = 20) -> Sequence[BuildRun]:
        """Return one page of the pipelines of that ref that were started from outside, newest first.

        Their commits' titles cost one request a commit, once.
        """
        size = max(1, min(page_size, 100))
        first = (max(1, page) - 1) * size
        found = [self._run(request, told) for told in itertools.islice(self._pipelines(request), first, first + size)]
        return tuple(dataclasses.replace(run, commit_title=self._title(request, run.sha)) for run in found)

    def rerun(self, request: BuildRequest, run_id: str) -> None:
        """Start the failed and cancelled jobs of a pipeline again, and what waited for them.

        Raises:
            RemoteRefused: it has not ended, or nothing of it failed.
        """
        doing = f"cannot start pipeline {run_id[:40]} of {request.repository} again"
        status = self.run(request, run_id).status
        if status not in _ENDED:
            raise RemoteRefused(f"{doing}: it has not ended", hint="wait until the pipeline has ended")
        if status is RunStatus.SUCCEEDED:
            raise RemoteRefused(f"{doing}: it succeeded", hint="GitLab retries what failed: start a new build")
        at = f"{self._source.project(request.repository).at}/pipelines/{_number(run_id)}/retry"
        self._source.client(request.repository).send("POST", at, None, doing=doing)

    # --- inner ---------------------------------------------------------------------------------------

    def _told(self, request: BuildRequest, run_id: str) -> Any:
        client, doing = self._source.client(request.repository), f"cannot read pipeline {run_id[:40]}"
        at = f"{self._source.project(request.repository).at}/pipelines/{_number(run_id)}"
        return client.get(at, doing=f"{doing} of {request.repository}")

    def _pipelines(self, request: BuildRequest) -> Iterator[Any]:
        """Yield the pipelines of the ref that were started from outside, newest first.

        GitLab filters by one source at a time, so three lists are merged, page by page as they are needed.
        """
        client, doing = self._source.client(request.repository), f"cannot list the pipelines of {request.repository}"
        at = f"{self._source.project(request.repository).at}/pipelines"
        asked = {"ref": checked_ref(request.ref), "order_by": "id", "sort": "desc"}

        def listed(source: str) -> Iterator[tuple[int, Any]]:
            for told in client.pages(at, doing=doing, parameters={**asked, "source": source}):
                number = told.get("id") if isinstance(told, dict) else None
                if not isinstance(number, int):
                    raise client.odd(doing, "an entry is no pipeline")
                yield -number, told

        for _, told in heapq.merge(*map(listed, SOURCES), key=lambda pair: pair[0]):
            yield told

    def _values(self, request: BuildRequest, run: BuildRun) -> frozenset[str]:
        """Return the values of a pipeline's variables, which never change."""
        client, project = self._source.client(request.repository), self._source.project(request.repository)
        key = (client.host.api + project.at, run.id)
        if key in self._variables:
            return self._variables[key]
        doing = f"cannot look for the pipeline of {request.request_id[:60]}"
        try:
            told = client.get(f"{project.at}/pipelines/{run.id}/variables", doing=doing)
        except AuthenticationRequired as error:
            if run.title:
                return frozenset()  # it has a name, which is another's
            raise AuthenticationRequired(
                error.message,
                hint="give pipelines a name with the id: `workflow: {name: 'Build $request_id'}` in .gitlab-ci.yml",
            ) from error
        if not isinstance(told, list):
            raise client.odd(doing, "a list was expected")
        values = frozenset(str(one.get("value")) for one in told if isinstance(one, dict))
        while len(self._variables) >= KEPT_VARIABLES:
            self._variables.pop(next(iter(self._variables)))
        self._variables[key] = values
        return values

    def _title(self, request: BuildRequest, sha: str) -> str:
        """Return a commit's title, which never changes; nothing where the commit cannot be read."""
        client, project = self._source.client(request.repository), self._source.project(request.repository)
        key = (client.host.api + project.at, sha)
        if not is_commit_id(sha):
            return ""
        if key not in self._titles:
            try:
                told = client.get(f"{project.at}/repository/commits/{sha}", doing=f"cannot read the commit {sha[:12]}")
            except (AuthenticationRequired, RemoteNotFound):
                told = None  # a pipeline outlives its commit, where a branch was rewritten
            while len(self._titles) >= KEPT_TITLES:
                self._titles.pop(next(iter(self._titles)))
            self._titles[key] = str(told.get("title") or "") if isinstance(told, dict) else ""
        return self._titles[key]

    def _run(self, request: BuildRequest, told: Any) -> BuildRun:
        try:
            word = str(told["status"])
            status = _STATUSES.get(word, RunStatus.QUEUED)
            return BuildRun(
                id=str(int(told["id"])),
                status=status,
                url=str(told["web_url"]),
                ref=str(told["ref"]),
                sha=str(told["sha"]),
                title=str(told.get("name") or ""),
                created_at=datetime.fromisoformat(told["created_at"]),
                updated_at=datetime.fromisoformat(told["updated_at"]) if told.get("updated_at") else None,
                message="" if status is RunStatus.SUCCEEDED else str(told.get("yaml_errors") or word)[:300],
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            client = self._source.client(request.repository)
            raise client.odd(f"cannot read a pipeline of {request.repository}", "the answer is no pipeline") from None


def _checked(inputs: Mapping[str, str]) -> Mapping[str, str]:
    for name in inputs:
        if not _VARIABLE.match(name):
            raise UnsafeValue(f"not a variable's name: {name[:60]!r}", hint="write letters, digits and _")
    return dict(inputs)


def _number(run_id: str) -> str:
    if not re.fullmatch(r"[0-9]{1,20}", run_id):
        raise UnsafeValue(f"not a pipeline's number: {run_id[:40]!r}", hint="take it from `image-factory runs`")
    return run_id
