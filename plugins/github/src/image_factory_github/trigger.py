"""The build trigger `github`: workflow_dispatch, described as a call and performed; runs, found and told.

docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event. A dispatch answers 204, or 200
with the run's id where that can be asked for; without it a run is found by the request id that the
workflow shows in its `run-name`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import yaml

from image_factory.errors import RemoteNotFound, RemoteRefused, UnsafeValue
from image_factory.ports import BuildRequest, BuildRun, Clock, RunStatus, SecretHeader, TriggerCall
from image_factory.shell.git_program import checked_ref
from image_factory_github.hosts import API_VERSION, Hosts
from image_factory_github.source import GitHubSource

MAX_INPUTS = 25
"""Inputs of one dispatch (the page above, "inputs")."""
MAX_INPUT_TEXT = 65_535
"""Characters of all inputs together (docs.github.com/actions, "workflow_dispatch")."""
MAX_SEARCHED = 500
"""Runs, newest first, among which a request's run is looked for."""

_WORKFLOW = re.compile(r"(?:\.github/workflows/)?(?P<file>[A-Za-z0-9_][A-Za-z0-9_.-]*\.ya?ml)\Z")
_INPUT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_CONCLUSIONS = {
    "success": RunStatus.SUCCEEDED,
    "neutral": RunStatus.SUCCEEDED,
    "cancelled": RunStatus.CANCELLED,
    "skipped": RunStatus.CANCELLED,
}


class GitHubTrigger:
    """Starts builds with `workflow_dispatch` on github.com and on Enterprise hosts."""

    name = "github"

    def __init__(self, hosts: Hosts, clock: Clock) -> None:
        self._hosts = hosts
        self._source = GitHubSource(hosts, clock)

    def __repr__(self) -> str:
        return "GitHubTrigger()"

    def call(self, request: BuildRequest) -> TriggerCall:
        """Return the call that starts `request`; asks no network.

        Raises:
            UnsafeValue: the repository, ref, workflow or an input's name could be more than that.
            RemoteRefused: it has more inputs than GitHub takes.
        """
        host = self._hosts.of(request.repository)
        checked_ref(request.ref)
        for name in request.inputs:
            if not _INPUT.match(name):
                raise UnsafeValue(f"not an input's name: {name[:60]!r}", hint="write letters, digits, - and _")
        if len(request.inputs) > MAX_INPUTS or sum(map(len, request.inputs.values())) > MAX_INPUT_TEXT:
            raise RemoteRefused(
                f"too many inputs for {request.workflow}: {len(request.inputs)}",
                hint=f"GitHub takes {MAX_INPUTS} inputs and {MAX_INPUT_TEXT} characters at most",
            )
        return TriggerCall(
            method="POST",
            url=f"{host.api}{self._at(request)}/dispatches",
            headers={
                "Accept": "application/vnd.github+json",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": API_VERSION,
            },
            json={"ref": request.ref, "inputs": dict(request.inputs)},
            secret=SecretHeader("Authorization", "Bearer "),
            secret_field=None,
            accepted=(200, 204),
        )

    def start(self, request: BuildRequest) -> str | None:
        """Perform the call; return the run's id where this GitHub tells it, else None."""
        body = self.call(request).json
        client, path = self._source.client(request.repository), f"{self._at(request)}/dispatches"
        doing = f"cannot start {request.workflow} of {request.repository}"
        try:
            _, told = client.send("POST", path, {**body, "return_run_details": True}, doing=doing)
        except RemoteRefused as error:
            # An older Enterprise does not know the key, says so in one way or another, and starts nothing.
            if "return_run_details" not in error.message and "400" not in error.message:
                raise
            _, told = client.send("POST", path, body, doing=doing)
        number = told.get("workflow_run_id") if isinstance(told, dict) else None
        return None if not isinstance(number, int) else str(number)

    def declared_inputs(self, request: BuildRequest) -> frozenset[str] | None:
        """Return the inputs that the workflow declares at the request's ref.

        Raises:
            RemoteRefused: the workflow is no YAML, or cannot be dispatched.
        """
        file = _file(request.workflow)
        revision = self._source.revision(request.repository, request.ref)
        text = self._source.read(request.repository, revision, f".github/workflows/{file}")
        at = f"{file} of {request.repository} at {request.ref}"
        try:
            # BaseLoader makes strings, lists and maps alone, and leaves the key `on` a word.
            parsed = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise RemoteRefused(f"the workflow {at} is no YAML", hint="correct it; actionlint helps") from error
        triggers = parsed.get("on") if isinstance(parsed, dict) else None
        if isinstance(triggers, str):
            triggers = [triggers]
        if not isinstance(triggers, (list, dict)) or "workflow_dispatch" not in triggers:
            raise RemoteRefused(f"the workflow {at} cannot be dispatched", hint="add `workflow_dispatch:` to its `on:`")
        details = triggers.get("workflow_dispatch") if isinstance(triggers, dict) else None
        inputs = details.get("inputs") if isinstance(details, dict) else None
        return frozenset(map(str, inputs)) if isinstance(inputs, dict) else frozenset()

    def find_run(self, request: BuildRequest) -> BuildRun | None:
        """Return the newest run with the request's id as a word of its title, or None while there is none."""
        if not request.request_id.strip():
            raise UnsafeValue("a request without an id cannot be found again", hint="give request_id")
        word = re.compile(rf"(?<![\w.-]){re.escape(request.request_id)}(?![\w-]|\.\w)")
        for told in itertools.islice(self._pages(request), MAX_SEARCHED):
            run = self._run(request, told)
            if word.search(run.title):
                return run
        return None

    def run(self, request: BuildRequest, run_id: str) -> BuildRun:
        """Return a run as it is now.

        Raises:
            RemoteNotFound: there is none, or it is another workflow's.
        """
        client, doing = (
            self._source.client(request.repository),
            f"cannot read run {run_id[:40]} of {request.repository}",
        )
        told = client.get(f"{self._source.at(request.repository)}/actions/runs/{_number(run_id)}", doing=doing)
        path = told.get("path") if isinstance(told, dict) else None
        if isinstance(path, str) and path.partition("@")[0].rsplit("/", 1)[-1] != _file(request.workflow):
            raise RemoteNotFound(f"{doing}: it is a run of {path[:80]}", hint="check the run's number")
        return self._run(request, told)

    def runs(self, request: BuildRequest, *, page: int = 1, page_size: int = 20) -> Sequence[BuildRun]:
        """Return one page of the runs of that workflow only, newest first."""
        client, doing = self._source.client(request.repository), f"cannot list the runs of {request.workflow}"
        asked: dict[str, str | int] = {"page": max(1, page), "per_page": max(1, min(page_size, 100))}
        told = client.get(f"{self._at(request)}/runs", doing=doing, parameters=asked)
        listed = told.get("workflow_runs") if isinstance(told, dict) else None
        if not isinstance(listed, list):
            raise client.odd(doing, "a list was expected")
        return tuple(self._run(request, item) for item in listed)

    def rerun(self, request: BuildRequest, run_id: str) -> None:
        """Start a finished run again, all its jobs."""
        client, doing = self._source.client(request.repository), f"cannot start run {run_id[:40]} again"
        client.send(
            "POST", f"{self._source.at(request.repository)}/actions/runs/{_number(run_id)}/rerun", None, doing=doing
        )

    # --- inner ---------------------------------------------------------------------------------------

    def _at(self, request: BuildRequest) -> str:
        return f"{self._source.at(request.repository)}/actions/workflows/{_file(request.workflow)}"

    def _pages(self, request: BuildRequest) -> Any:
        return self._source.client(request.repository).pages(
            f"{self._at(request)}/runs",
            doing=f"cannot look for the run of {request.request_id[:60]}",
            items="workflow_runs",
            parameters={"event": "workflow_dispatch"},
        )

    def _run(self, request: BuildRequest, told: Any) -> BuildRun:
        try:
            conclusion = str(told.get("conclusion") or "")
            status = RunStatus.QUEUED
            if told["status"] == "completed":
                status = _CONCLUSIONS.get(conclusion, RunStatus.FAILED)
            elif told["status"] == "in_progress":
                status = RunStatus.RUNNING
            return BuildRun(
                id=str(int(told["id"])),
                status=status,
                url=str(told["html_url"]),
                ref=str(told["head_branch"] or ""),
                sha=str(told["head_sha"]),
                title=str(told.get("display_title") or told.get("name") or ""),
                created_at=datetime.fromisoformat(told["created_at"]),
                updated_at=datetime.fromisoformat(told["updated_at"]) if told.get("updated_at") else None,
                message=conclusion if status is not RunStatus.SUCCEEDED else "",
                commit_title=_first_line(told.get("head_commit")),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            client = self._source.client(request.repository)
            raise client.odd(f"cannot read a run of {request.workflow}", "the answer is no run") from None


def _file(workflow: str) -> str:
    match = _WORKFLOW.match(workflow)
    if match is None or ".." in workflow:
        raise UnsafeValue(f"not a workflow's file name: {workflow[:80]!r}", hint="write one such as build.yml")
    return match["file"]


def _first_line(commit: Any) -> str:
    """Return the title of a run's `head_commit`, which is null where the commit is gone."""
    message = commit.get("message") if isinstance(commit, dict) else None
    return message.strip().partition("\n")[0].strip() if isinstance(message, str) else ""


def _number(run_id: str) -> str:
    if not re.fullmatch(r"[0-9]{1,20}", run_id):
        raise UnsafeValue(f"not a run's number: {run_id[:40]!r}", hint="take it from `image-factory runs`")
    return run_id
