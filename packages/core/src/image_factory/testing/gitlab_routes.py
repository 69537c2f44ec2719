"""What the GitLab of `gitlab_server` answers to each request: one function a resource, over git itself.

Shapes, statuses and words are those of docs.gitlab.com/api, since clients read them. It is past 500 lines
because it is a table of resources: some 20 short functions, one after the other.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

import yaml

from image_factory.shell.git import TemporaryIndex
from image_factory.shell.git_program import Git, is_commit_id

if TYPE_CHECKING:
    from image_factory.testing.gitlab_server import GitLabServer, MergeRequest, Pipeline
    from image_factory.testing.rest_server import Request

Json = dict[str, Any]
_KEY = re.compile(r"[A-Za-z0-9_]{1,255}\Z")
_WHO = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "tanuki"), ("EMAIL", "tanuki@gitlab.example"))
}


class Refusal(Exception):
    """An error answer, in GitLab's words."""

    def __init__(self, status: int, message: object) -> None:
        super().__init__(str(message))
        self.status, self.message = status, message


class _Given(dict[str, Any]):
    """A request's body; what it has to hold and does not is refused."""

    def __missing__(self, key: str) -> Any:
        raise Refusal(400, f"{key} is missing")


@dataclass(frozen=True, slots=True)
class Answer:
    """A status with JSON, or with bytes, or with neither."""

    status: int
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to one project."""

    owner: GitLabServer
    project: str
    git: Git
    path: str
    query: Mapping[str, str]
    body: Any

    @property
    def id(self) -> int:
        return int(sha256(self.project.encode()).hexdigest()[:7], 16)

    @property
    def page_url(self) -> str:
        return f"{self.owner.url}/{self.project}"

    def commit(self, name: str) -> str | None:
        found = self.git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        # rev-parse repeats --end-of-options in front of what it found.
        return found.text().split()[-1] if found.is_ok else None

    def lasting(self, *words: str) -> str | None:
        """Return what git says of objects named by their ids, which it will say for ever: asked once."""
        key = (self.project, *words)
        if key not in self.owner.lasting:
            found = self.git.attempt(*words)
            if not found.is_ok:
                return None
            self.owner.lasting[key] = found.stdout.decode()
        return self.owner.lasting[key]

    def entries(self, commit: str) -> dict[str, tuple[str, str, str]]:
        """Return path → (mode, type, id) of a whole commit, folders among them."""
        listed = self.lasting("ls-tree", "-z", "-r", "-t", "--full-tree", commit) or ""
        found = {}
        for line in listed.split("\0"):
            told, tab, path = line.partition("\t")
            if tab:
                mode, kind, sha = told.split()
                found[path] = (mode, kind, sha)
        return found

    def link(self, **more: object) -> str:
        query = urlencode({**self.query, **{key: str(value) for key, value in more.items()}})
        return f"<{self.owner.url}/api/v4{self.path}?{query}>"

    def page(self, items: Sequence[Any]) -> tuple[list[Any], dict[str, str]]:
        """Return the asked page of `items`, and its headers (docs.gitlab.com/api/rest, "Pagination")."""
        size, number = max(1, min(int(self.query.get("per_page", "20")), 100)), int(self.query.get("page", "1"))
        found = list(items[(number - 1) * size : number * size])
        following = number + 1 if number * size < len(items) else ""
        told = {"X-Page": str(number), "X-Per-Page": str(size), "X-Total": str(len(items))}
        told["X-Next-Page"] = str(following)
        if following:
            told["Link"] = f'{self.link(page=following, per_page=size)}; rel="next"'
        return found, told


def _given(body: Any) -> Any:
    return _Given(body) if isinstance(body, dict) else body


def answer(owner: GitLabServer, request: Request, path: str, body: Any) -> Answer:
    """Return the answer to one request; `path` is below /api/v4, still quoted.

    Raises:
        Refusal: GitLab would refuse it.
    """
    match = re.fullmatch(r"/projects/([^/]+)((?:/.*)?)", path)
    project = unquote(match[1]) if match else ".."
    folder = owner.repositories.folder / f"{project}.git"
    if match is None or ".." in project or not (folder / "HEAD").is_file():
        raise Refusal(404, "404 Project Not Found")
    asked = Asked(owner, project, Git(folder, is_exact=True), path, request.query, _given(body))
    for method, pattern, respond in _ROUTES:
        found = re.fullmatch(pattern, match[2])
        if found is not None and method == request.method:
            return respond(asked, *map(unquote, found.groups()))
    raise Refusal(404, "404 Not Found")


# --- git -------------------------------------------------------------------------------------------------


def _project(asked: Asked) -> Answer:
    head = asked.git.attempt("symbolic-ref", "--short", "HEAD").text()
    told = {"id": asked.id, "path_with_namespace": asked.project, "default_branch": head, "web_url": asked.page_url}
    return Answer(200, {**told, "http_url_to_repo": f"{asked.page_url}.git"})


def _short_commit(asked: Asked, sha: str) -> Json:
    return {"id": sha, "short_id": sha[:8], "web_url": f"{asked.page_url}/-/commit/{sha}"}


def _branch_json(asked: Asked, name: str, sha: str) -> Json:
    told = {"name": name, "merged": False, "protected": name == "main", "default": name == "main", "can_push": True}
    told |= {"developers_can_push": False, "developers_can_merge": False}
    return {**told, "web_url": f"{asked.page_url}/-/tree/{name}", "commit": _commit_json(asked, sha)}


def _branches(asked: Asked) -> Answer:
    listed = asked.git.attempt("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads").text()
    found, told = asked.page([line.split(" ", 1) for line in listed.splitlines()])
    return Answer(200, [_branch_json(asked, name, sha) for sha, name in found], told)


def _branch(asked: Asked, name: str) -> Answer:
    sha = asked.commit(f"refs/heads/{name}")
    if sha is None:
        raise Refusal(404, "404 Branch Not Found")
    return Answer(200, _branch_json(asked, name, sha))


def _delete_branch(asked: Asked, name: str) -> Answer:
    _branch(asked, name)
    asked.git.run("update-ref", "-d", f"refs/heads/{name}", doing="cannot delete")
    return Answer(204)


def _tag_json(asked: Asked, name: str) -> Json:
    sha = asked.commit(f"refs/tags/{name}") or ""
    target = asked.git.attempt("rev-parse", f"refs/tags/{name}").text()
    told = {"name": name, "message": "", "target": target, "protected": False, "release": None}
    return {**told, "commit": _commit_json(asked, sha)}


def _tags(asked: Asked) -> Answer:
    found, told = asked.page(
        asked.git.attempt("for-each-ref", "--format=%(refname:lstrip=2)", "refs/tags").text().splitlines()
    )
    return Answer(200, [_tag_json(asked, name) for name in found], told)


def _tag(asked: Asked, name: str) -> Answer:
    if asked.commit(f"refs/tags/{name}") is None:
        raise Refusal(404, "404 Tag Not Found")
    return Answer(200, _tag_json(asked, name))


def _commit_json(asked: Asked, sha: str) -> Json:
    told = asked.lasting("show", "--no-patch", "--format=%P%n%cn%n%ce%n%cI%n%B", sha, "--") or "\n\n\n\n"
    parents, name, email, date, *message = told.split("\n")
    text = "\n".join(message).strip("\n") + "\n"
    who = {"author_name": name, "author_email": email, "committer_name": name, "committer_email": email}
    dates = dict.fromkeys(("created_at", "authored_date", "committed_date"), date)
    more = {"parent_ids": parents.split(), "title": text.split("\n")[0], "message": text, **who, **dates}
    return {**_short_commit(asked, sha), **more}


def _commit(asked: Asked, name: str) -> Answer:
    names = (name,) if is_commit_id(name) or name == "HEAD" else (f"refs/heads/{name}", f"refs/tags/{name}", name)
    sha = next(filter(None, map(asked.commit, names)), None)
    if sha is None:
        raise Refusal(404, "404 Commit Not Found")
    return Answer(200, _commit_json(asked, sha))


def _create_commit(asked: Asked) -> Answer:
    body, branch = asked.body, asked.body["branch"]
    tip = asked.commit(f"refs/heads/{branch}")
    start = body.get("start_sha") or body.get("start_branch")
    parent = tip if start is None else asked.commit(start if body.get("start_sha") else f"refs/heads/{start}")
    if start is not None and tip is not None and not body.get("force"):
        raise Refusal(400, f"A branch called '{branch}' already exists. Switch to that branch in order to make changes")
    if parent is None:
        raise Refusal(400, "You can only create or edit files when you are on a branch")
    entries, lines = asked.entries(parent), []
    for action in body["actions"]:
        path, is_there = action["file_path"], action["file_path"] in entries
        if action["action"] == "create" and is_there:
            raise Refusal(400, "A file with this name already exists")
        if action["action"] in ("update", "delete") and not is_there:
            raise Refusal(400, "A file with this name doesn't exist")
        if action["action"] == "delete":
            lines.append(f"0 {'0' * 40}\t{path}\0")
            continue
        mode = entries[path][0] if is_there else "100644"
        lines.append(f"{mode} {_blob_of(asked, action)}\t{path}\0")
    with TemporaryIndex(asked.git, parent) as index:
        made = asked.git.attempt(
            "update-index", "-z", "--index-info", stdin="".join(lines).encode(), extra=index.variables
        )
        if not made.is_ok:
            raise Refusal(400, "The file name is not allowed")
        tree = asked.git.run("write-tree", extra=index.variables, doing="cannot write a tree").text()
    message = body["commit_message"].encode()
    sha = asked.git.run("commit-tree", tree, "-p", parent, stdin=message, extra=_WHO, doing="cannot commit").text()
    asked.git.run("update-ref", f"refs/heads/{branch}", sha, doing="cannot move the branch")
    return Answer(201, _commit_json(asked, sha))


def _blob_of(asked: Asked, action: Mapping[str, str]) -> str:
    try:
        text = action["content"]
        content = base64.b64decode(text, validate=True) if action.get("encoding") == "base64" else text.encode()
    except binascii.Error as error:
        raise Refusal(400, "content is not valid base64") from error
    return asked.git.run("hash-object", "-w", "--stdin", stdin=content, doing="cannot write").text()


def _raw_file(asked: Asked, path: str) -> Answer:
    commit = asked.commit(asked.query.get("ref", "HEAD"))
    if commit is None:
        raise Refusal(404, "404 Commit Not Found")
    mode, kind, sha = asked.entries(commit).get(path, ("", "", ""))
    if kind not in ("blob", "commit"):
        raise Refusal(404, "404 File Not Found")
    # A link is answered with where it leads, and a submodule with nothing.
    content = b"" if kind == "commit" else asked.git.attempt("cat-file", "blob", sha).stdout
    told = {"X-Gitlab-Blob-Id": sha, "X-Gitlab-Size": str(len(content)), "X-Gitlab-Commit-Id": commit}
    return Answer(200, headers={**told, "X-Gitlab-Execute-Filemode": str(mode == "100755").lower()}, content=content)


def _tree(asked: Asked) -> Answer:
    commit = asked.commit(asked.query.get("ref", "HEAD"))
    if commit is None:
        raise Refusal(404, "404 Tree Not Found")
    below = asked.query.get("path", "").strip("/")
    entries = asked.entries(commit)
    if below and entries.get(below, ("", "", ""))[1] != "tree":
        raise Refusal(404, "404 invalid revision or path Not Found")
    is_recursive = asked.query.get("recursive") in ("true", "1", "True")
    listed = [
        {"id": sha, "name": path.rsplit("/", 1)[-1], "type": kind, "path": path, "mode": mode}
        for path, (mode, kind, sha) in entries.items()
        if (not below or path.startswith(f"{below}/"))
        and (is_recursive or "/" not in path[len(below) :].removeprefix("/"))
    ]
    if asked.query.get("pagination") != "keyset":
        found, told = asked.page(listed)
        return Answer(200, found, told)
    size = max(1, min(int(asked.query.get("per_page", "20")), 100))
    token = asked.query.get("page_token")
    tokens = [base64.urlsafe_b64encode(entry["path"].encode()).decode() for entry in listed]
    if token is not None and token not in tokens:
        raise Refusal(404, "404 Tree Not Found")
    start = 0 if token is None else tokens.index(token) + 1
    rest = listed[start : start + size]
    if start + size >= len(listed):
        return Answer(200, rest)
    return Answer(200, rest, {"Link": f'{asked.link(page_token=tokens[start + size - 1])}; rel="next"'})


# --- merge requests -----------------------------------------------------------------------------------------


def _merge_request_json(asked: Asked, one: MergeRequest) -> Json:
    return {
        "id": asked.id * 1000 + one.iid,
        "iid": one.iid,
        "project_id": asked.id,
        "source_project_id": one.source_project_id or asked.id,
        "target_project_id": asked.id,
        "title": one.title,
        "description": one.description,
        "state": one.state,
        "source_branch": one.source_branch,
        "target_branch": one.target_branch,
        "created_at": one.created_at,
        "sha": asked.commit(f"refs/heads/{one.source_branch}"),
        "web_url": f"{asked.page_url}/-/merge_requests/{one.iid}",
    }


def _merge_requests(asked: Asked) -> Answer:
    wanted = {key: asked.query[key] for key in ("source_branch", "target_branch") if key in asked.query}
    state = asked.query.get("state", "all")
    found, told = asked.page(
        [
            one
            for one in reversed(asked.owner.state(asked.project).merge_requests)
            if state in ("all", one.state) and all(getattr(one, key) == value for key, value in wanted.items())
        ]
    )
    return Answer(200, [_merge_request_json(asked, one) for one in found], told)


def _create_merge_request(asked: Asked) -> Answer:
    from image_factory.testing.gitlab_server import MergeRequest

    source, target = asked.body["source_branch"], asked.body["target_branch"]
    for side, name in (("Source", source), ("Target", target)):
        if asked.commit(f"refs/heads/{name}") is None:
            raise Refusal(400, [f'{side} branch "{name}" does not exist'])
    known = asked.owner.state(asked.project).merge_requests
    for one in known:
        same = (one.source_branch, one.target_branch, one.source_project_id) == (source, target, 0)
        if same and one.state == "opened":
            raise Refusal(409, [f"Another open merge request already exists for this source branch: !{one.iid}"])
    title, description = asked.body["title"], asked.body.get("description") or ""
    made = MergeRequest(len(known) + 1, source, target, title, description, asked.owner.tick())
    made.removes_branch = bool(asked.body.get("remove_source_branch"))
    known.append(made)
    return Answer(201, _merge_request_json(asked, made))


def _update_merge_request(asked: Asked, iid: str) -> Answer:
    one = next((one for one in asked.owner.state(asked.project).merge_requests if str(one.iid) == iid), None)
    if one is None:
        raise Refusal(404, "404 Not found")
    one.title, one.description = asked.body.get("title", one.title), asked.body.get("description", one.description)
    if asked.body.get("state_event") == "close":
        one.state = "closed"
    return Answer(200, _merge_request_json(asked, one))


def _merge(asked: Asked, iid: str) -> Answer:
    one = next((one for one in asked.owner.state(asked.project).merge_requests if str(one.iid) == iid), None)
    if one is None:
        raise Refusal(404, "404 Not found")
    if one.state != "opened":
        raise Refusal(405, "405 Method Not Allowed")
    target, source = asked.commit(f"refs/heads/{one.target_branch}"), asked.commit(f"refs/heads/{one.source_branch}")
    tree = asked.git.attempt("merge-tree", "--write-tree", str(target), str(source))
    if not tree.is_ok:
        raise Refusal(422, "Branch cannot be merged")
    words = ("commit-tree", tree.text().split()[0], "-p", str(target), "-p", str(source))
    message = f"Merge branch '{one.source_branch}' into '{one.target_branch}'"
    sha = asked.git.run(*words, stdin=message.encode(), extra=_WHO, doing="cannot merge").text()
    asked.git.run("update-ref", f"refs/heads/{one.target_branch}", sha, doing="cannot merge")
    if one.removes_branch:
        asked.git.run("update-ref", "-d", f"refs/heads/{one.source_branch}", doing="cannot merge")
    one.state = "merged"
    return Answer(200, _merge_request_json(asked, one))


# --- pipelines ----------------------------------------------------------------------------------------------


def _pipeline_json(asked: Asked, one: Pipeline, *, is_short: bool = False) -> Json:
    told: Json = {
        "id": one.id,
        "iid": one.iid,
        "project_id": asked.id,
        "sha": one.sha,
        "ref": one.ref,
        "status": one.status,
        "source": one.source,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "web_url": f"{asked.page_url}/-/pipelines/{one.id}",
    }
    if asked.owner.has_names:
        told["name"] = one.name
    if is_short:
        return told
    who = {"id": 1, "username": "tanuki", "name": "Tanuki", "state": "active", "avatar_url": None}
    instants = dict.fromkeys(("started_at", "finished_at", "committed_at", "duration", "queued_duration", "coverage"))
    more = {"before_sha": "0" * 40, "tag": False, "yaml_errors": None, **instants}
    label = {"icon": f"status_{one.status}", "text": one.status.title(), "label": one.status, "group": one.status}
    label |= {"tooltip": one.status, "favicon": "/assets/favicon.png"}
    status = {**label, "has_details": True, "details_path": f"/{asked.project}/-/pipelines/{one.id}"}
    return {**told, **more, "detailed_status": status, "user": {**who, "web_url": f"{asked.owner.url}/tanuki"}}


def _start(asked: Asked, ref: object, variables: Mapping[str, str], source: str) -> Pipeline:
    from image_factory.testing.gitlab_server import Pipeline

    if not isinstance(ref, str) or not ref:
        raise Refusal(400, "ref is missing")
    sha = asked.commit(f"refs/heads/{ref}") or asked.commit(f"refs/tags/{ref}")
    if sha is None:
        raise Refusal(400, {"base": ["Reference not found"]})
    text = asked.lasting("cat-file", "blob", f"{sha}:.gitlab-ci.yml")
    if text is None:
        raise Refusal(400, {"base": ["Missing CI config file"]})
    if not all(_KEY.match(key) for key in variables):
        raise Refusal(400, {"variables": ["key can contain only letters, digits and '_'."]})
    parsed = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  # BaseLoader makes strings, lists and maps alone
    workflow = parsed.get("workflow") if isinstance(parsed, dict) else None
    name = workflow.get("name") if isinstance(workflow, dict) else None
    if name is not None:
        known_variables = {**_ruled_variables(workflow or {}, variables), **variables}
        for _ in range(2):  # a rule's variable may name a pipeline's
            name = re.sub(r"\$\{?(\w+)\}?", lambda match: known_variables.get(match[1], ""), name).strip()
    known, now = asked.owner.state(asked.project).pipelines, asked.owner.tick()
    made = Pipeline(
        1_000_000 + len(known), len(known) + 1, ref, sha, source, name, now, now, "created", dict(variables)
    )
    known.append(made)
    return made


def _ruled_variables(workflow: Json, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the first of `workflow: rules:` that holds; of conditions, `$name` alone is known."""
    for rule in workflow.get("rules") or ():
        condition = rule.get("if")
        if condition is None or variables.get(str(condition).strip().removeprefix("$")):
            return dict(rule.get("variables") or {})
    return {}


def _trigger(asked: Asked) -> Answer:
    token, variables = asked.body.get("token"), asked.body.get("variables") or {}
    if not token:
        raise Refusal(400, "token is missing")
    if not all(isinstance(value, str) for value in variables.values()):
        raise Refusal(400, "variables needs to be a map of key-valued strings")
    if token == asked.owner.trigger_tokens.get(asked.project):
        source = "trigger"
    elif token == asked.owner.job_token:
        source = "pipeline"
    else:
        raise Refusal(404, "404 Not Found")
    return Answer(201, _pipeline_json(asked, _start(asked, asked.body.get("ref"), variables, source)))


def _create_pipeline(asked: Asked) -> Answer:
    variables = {one["key"]: one["value"] for one in asked.body.get("variables", [])}
    return Answer(201, _pipeline_json(asked, _start(asked, asked.body.get("ref"), variables, "api")))


def _pipelines(asked: Asked) -> Answer:
    wanted = {key: asked.query[key] for key in ("ref", "source", "name", "status", "sha") if key in asked.query}
    found, told = asked.page(
        [
            one
            for one in reversed(asked.owner.state(asked.project).pipelines)
            if all(getattr(one, key) == value for key, value in wanted.items())
        ]
    )
    return Answer(200, [_pipeline_json(asked, one, is_short=True) for one in found], told)


def _find_pipeline(asked: Asked, number: str) -> Pipeline:
    for one in asked.owner.state(asked.project).pipelines:
        if str(one.id) == number:
            return one
    raise Refusal(404, "404 Not found")


def _pipeline(asked: Asked, number: str) -> Answer:
    return Answer(200, _pipeline_json(asked, _find_pipeline(asked, number)))


def _variables(asked: Asked, number: str) -> Answer:
    one = _find_pipeline(asked, number)
    if not asked.owner.may_read_variables:
        raise Refusal(403, "403 Forbidden")
    return Answer(
        200, [{"key": key, "value": value, "variable_type": "env_var"} for key, value in one.variables.items()]
    )


def _retry(asked: Asked, number: str) -> Answer:
    one = _find_pipeline(asked, number)
    if one.status in ("failed", "canceled"):
        one.status, one.updated_at = "pending", asked.owner.tick()
    return Answer(201, _pipeline_json(asked, one))


_ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", "", _project),
    ("GET", "/repository/branches", _branches),
    ("GET", "/repository/branches/([^/]+)", _branch),
    ("DELETE", "/repository/branches/([^/]+)", _delete_branch),
    ("GET", "/repository/tags", _tags),
    ("GET", "/repository/tags/([^/]+)", _tag),
    ("GET", "/repository/commits/([^/]+)", _commit),
    ("POST", "/repository/commits", _create_commit),
    ("GET", "/repository/files/([^/]+)/raw", _raw_file),
    ("GET", "/repository/tree", _tree),
    ("GET", "/merge_requests", _merge_requests),
    ("POST", "/merge_requests", _create_merge_request),
    ("PUT", r"/merge_requests/(\d+)", _update_merge_request),
    ("PUT", r"/merge_requests/(\d+)/merge", _merge),
    ("POST", "/trigger/pipeline", _trigger),
    ("POST", "/pipeline", _create_pipeline),
    ("GET", "/pipelines", _pipelines),
    ("GET", r"/pipelines/(\d+)", _pipeline),
    ("GET", r"/pipelines/(\d+)/variables", _variables),
    ("POST", r"/pipelines/(\d+)/retry", _retry),
)
