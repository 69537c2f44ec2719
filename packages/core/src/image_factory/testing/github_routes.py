"""What the GitHub of `github_server` answers to each request: one function a resource, over git itself.

Refusals carry GitHub's own statuses and words (docs.github.com/rest), since clients read them. It is
past 500 lines because it is a table of resources: 22 short functions, one after the other.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import yaml

from image_factory.shell.git_program import Git, is_commit_id
from image_factory.testing import github_answers as shapes

if TYPE_CHECKING:
    from image_factory.testing.github_server import GitHubServer, Run

MAX_CONTENT = 1024 * 1024
"""Bytes up to which the contents API puts a file into its answer (docs.github.com/rest/repos/contents)."""
MAX_INPUTS = 25


class Refusal(Exception):
    """An error answer, in GitHub's words."""

    def __init__(self, status: int, message: str, errors: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.errors = status, message, errors


class _Given(dict[str, Any]):
    """A request's body; what it has to hold and does not is refused."""

    def __missing__(self, key: str) -> Any:
        raise Refusal(422, f'Invalid request.\n\n"{key}" wasn\'t supplied.')


@dataclass(frozen=True, slots=True)
class Answer:
    """A status with JSON, or with plain text, or with neither."""

    status: int
    json: Any = None
    text: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to one repository."""

    owner: GitHubServer
    urls: shapes.Urls
    git: Git
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any

    def git_text(self, *words: str, stdin: bytes = b"", refusal: Refusal | None = None) -> str:
        finished = self.git.attempt(*words, stdin=stdin)
        if not finished.is_ok:
            raise refusal or Refusal(422, finished.complaint())
        return finished.text()

    def lasting(self, *words: str, refusal: Refusal | None = None) -> str:
        """Return what git says of objects named by their ids, which it will say for ever: asked once."""
        key = (self.urls.full_name, *words)
        if key not in self.owner.lasting:
            self.owner.lasting[key] = self.git_text(*words, refusal=refusal)
        return self.owner.lasting[key]

    def commit(self, name: str) -> str | None:
        found = self.git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        # rev-parse repeats --end-of-options in front of what it found.
        return found.text().split()[-1] if found.is_ok else None

    def page(self, items: Sequence[Any]) -> tuple[list[Any], dict[str, str]]:
        """Return the asked page of `items`, and the Link header."""
        size = max(1, min(int(self.query.get("per_page", "30")), 100))
        number = max(1, int(self.query.get("page", "1")))
        found = list(items[(number - 1) * size : number * size])
        last = max(1, -(-len(items) // size))
        if number >= last:
            return found, {}
        link = f"<{self.urls.api}{self.path}?per_page={size}&page={{}}>; rel="
        return found, {"Link": f'{link.format(number + 1)}"next", {link.format(last)}"last"'}


def _given(body: Any) -> Any:
    return _Given(body) if isinstance(body, dict) else body


def answer(
    owner: GitHubServer,
    base: str,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body: Any,
) -> Answer:
    """Return the answer to one request; `path` is below the API's base, unquoted.

    Raises:
        Refusal: GitHub would refuse it.
    """
    if method == "POST" and re.fullmatch(r"/app/installations/\d+/access_tokens", path):
        token = f"ghs_{len(owner.tokens)}installation"
        owner.tokens.add(token)
        expires = datetime.now(UTC) + timedelta(hours=1)  # noqa: TID251  # a server has a clock of its own
        return Answer(201, {"token": token, "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ"), "permissions": {}})
    match = re.fullmatch(r"/repos/([^/]+/[^/]+?)(/.*)?", path)
    if match is None or ".." in path:
        raise Refusal(404, "Not Found")
    folder = owner.repositories.folder / f"{match[1]}.git"
    if not (folder / "HEAD").is_file():
        raise Refusal(404, "Not Found")
    urls = shapes.Urls(base, owner.url, match[1])
    asked = Asked(owner, urls, Git(folder, is_exact=True), method, path, query, headers, _given(body))
    rest = match[2] or ""
    for route_method, pattern, respond in _ROUTES:
        found = re.fullmatch(pattern, rest)
        if found is not None and route_method == method:
            return respond(asked, *found.groups())
    raise Refusal(404, "Not Found")


# --- git -------------------------------------------------------------------------------------------------


def _repository(asked: Asked) -> Answer:
    return Answer(200, shapes.repository(asked.urls))


def _branches(asked: Asked) -> Answer:
    listed = asked.git_text("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads")
    pairs = [line.split(" ", 1) for line in listed.splitlines()]
    found, link = asked.page(pairs)
    return Answer(200, [shapes.short_branch(asked.urls, name, sha) for sha, name in found], headers=link)


def _tags(asked: Asked) -> Answer:
    listed = asked.git_text("for-each-ref", "--format=%(refname:lstrip=2)", "refs/tags")
    found, link = asked.page(listed.splitlines())
    return Answer(
        200, [shapes.tag(asked.urls, name, asked.commit(f"refs/tags/{name}") or "") for name in found], headers=link
    )


def _get_ref(asked: Asked, ref: str) -> Answer:
    found = asked.git.attempt("for-each-ref", "--format=%(objectname) %(objecttype)", f"refs/{ref}")
    exact = asked.git.attempt("show-ref", "--verify", "--quiet", f"refs/{ref}").is_ok
    if not exact:
        raise Refusal(404, "Not Found")
    sha, kind = found.text().splitlines()[0].split()
    return Answer(200, shapes.git_ref(asked.urls, f"refs/{ref}", sha, kind))


def _create_ref(asked: Asked) -> Answer:
    ref, sha = asked.body["ref"], asked.body["sha"]
    if asked.git.attempt("show-ref", "--verify", "--quiet", ref).is_ok:
        raise Refusal(422, "Reference already exists")
    if not is_commit_id(sha) or asked.commit(sha) is None:
        raise Refusal(422, "Object does not exist")
    asked.git_text("update-ref", ref, sha, refusal=Refusal(422, "Reference name is invalid"))
    return Answer(201, shapes.git_ref(asked.urls, ref, sha))


def _update_ref(asked: Asked, ref: str) -> Answer:
    old = asked.commit(f"refs/{ref}")
    if old is None:
        raise Refusal(422, "Reference does not exist")
    new = asked.body["sha"]
    if not asked.body.get("force") and not asked.git.attempt("merge-base", "--is-ancestor", old, new).is_ok:
        raise Refusal(422, "Update is not a fast forward")
    asked.git_text("update-ref", f"refs/{ref}", new)
    for pull in asked.owner.state(asked.urls.full_name).pulls:
        if f"heads/{pull.head}" == ref:
            pull.head_sha = new
    return Answer(200, shapes.git_ref(asked.urls, f"refs/{ref}", new))


def _delete_ref(asked: Asked, ref: str) -> Answer:
    if asked.commit(f"refs/{ref}") is None:
        raise Refusal(422, "Reference does not exist")
    asked.git_text("update-ref", "-d", f"refs/{ref}")
    return Answer(204)


def _commit_of(asked: Asked, ref: str) -> Answer:
    names = [f"refs/heads/{ref}", f"refs/tags/{ref}"]
    names = [f"refs/{ref}", *names] if ref.startswith(("heads/", "tags/")) else names
    names = ["HEAD"] if ref == "HEAD" else names
    found = next(filter(None, (asked.commit(name) for name in names)), None)
    if found is None and re.fullmatch(r"[0-9a-f]{7,40}", ref):
        found = asked.commit(ref)
    if found is None:
        raise Refusal(422, f"No commit found for SHA: {ref}")
    if "github.sha" in asked.headers.get("accept", ""):
        return Answer(200, text=found)
    told = _git_commit_json(asked, found)
    inner = {key: told[key] for key in ("author", "committer", "message", "tree", "url", "verification")}
    parents = [{"sha": parent["sha"], "url": parent["url"]} for parent in told["parents"]]
    more = {"comments_url": f"{told['url']}/comments", "author": None, "committer": None, "parents": parents}
    shown = {key: told[key] for key in ("sha", "node_id", "url", "html_url")}
    return Answer(200, {**shown, "commit": {**inner, "comment_count": 0}, **more})


def _git_commit_json(asked: Asked, sha: str) -> shapes.Json:
    told = asked.lasting("show", "--no-patch", "--format=%T%n%P%n%cn%n%ce%n%cI%n%B", sha, "--")
    tree, parents, name, email, date, *message = told.split("\n")
    who = {"name": name, "email": email, "date": date}
    return shapes.git_commit(asked.urls, sha, tree, parents.split(), "\n".join(message).strip(), who)


def _get_commit(asked: Asked, sha: str) -> Answer:
    if asked.commit(sha) is None:
        raise Refusal(404, "Not Found")
    return Answer(200, _git_commit_json(asked, sha))


def _create_commit(asked: Asked) -> Answer:
    parents = [word for parent in asked.body.get("parents", []) for word in ("-p", parent)]
    who = asked.body.get("author") or {"name": "octocat", "email": "octocat@github.example"}
    extra = {f"GIT_{role}_{part.upper()}": who[part] for role in ("AUTHOR", "COMMITTER") for part in ("name", "email")}
    made = asked.git.attempt(
        "commit-tree", asked.body["tree"], *parents, stdin=asked.body["message"].encode(), extra=extra
    )
    if not made.is_ok:
        raise Refusal(422, "Tree SHA does not exist")
    return Answer(201, _git_commit_json(asked, made.text()))


def _tree_entries(asked: Asked, tree: str, *, is_recursive: bool) -> list[shapes.Json]:
    words = ["ls-tree", "-z", "--full-tree", "--long", *(("-r", "-t") if is_recursive else ()), tree]
    entries = []
    for line in asked.lasting(*words).split("\0"):
        fields, tab, path = line.partition("\t")
        if tab:
            mode, kind, sha, size = fields.split()
            entry: shapes.Json = {"path": path, "mode": mode, "type": kind, "sha": sha}
            if kind != "commit":
                entry["url"] = f"{asked.urls.repository}/git/{kind}s/{sha}"
            if size != "-":
                entry["size"] = int(size)
            entries.append(entry)
    return entries


def _get_tree(asked: Asked, name: str) -> Answer:
    found = asked.git.attempt("rev-parse", "--verify", "--quiet", f"{name}^{{tree}}")
    if not re.fullmatch(r"[0-9a-f]{40}", name) or not found.is_ok:
        raise Refusal(404, "Not Found")
    entries = _tree_entries(asked, found.text(), is_recursive="recursive" in asked.query)
    cut = entries[: asked.owner.max_entries] if "recursive" in asked.query else entries
    return Answer(200, shapes.git_tree(asked.urls, name, cut, is_truncated=len(cut) < len(entries)))


def _create_tree(asked: Asked) -> Answer:
    from image_factory.shell.git import TemporaryIndex

    with TemporaryIndex(asked.git, asked.body.get("base_tree")) as index:
        lines = []
        for entry in asked.body["tree"]:
            if entry.get("sha") is None and "content" not in entry:
                lines.append(f"0 {'0' * 40}\t{entry['path']}\0")
                continue
            sha = entry.get("sha") or _write_blob(asked, entry["content"].encode())
            lines.append(f"{entry['mode']} {sha}\t{entry['path']}\0")
        made = asked.git.attempt(
            "update-index", "-z", "--index-info", stdin="".join(lines).encode(), extra=index.variables
        )
        if not made.is_ok:
            raise Refusal(422, "tree.path contains a malformed path component")
        tree = asked.git.run("write-tree", extra=index.variables, doing="cannot write a tree").text()
    return Answer(201, shapes.git_tree(asked.urls, tree, _tree_entries(asked, tree, is_recursive=False)))


def _get_blob(asked: Asked, sha: str) -> Answer:
    found = asked.git.attempt("cat-file", "blob", sha)
    if not found.is_ok:
        raise Refusal(404, "Not Found")
    return Answer(200, shapes.blob(asked.urls, sha, found.stdout))


def _write_blob(asked: Asked, content: bytes) -> str:
    return asked.git_text("hash-object", "-w", "--stdin", stdin=content)


def _create_blob(asked: Asked) -> Answer:
    try:
        text = asked.body["content"]
        content = base64.b64decode(text, validate=False) if asked.body.get("encoding") == "base64" else text.encode()
    except binascii.Error as error:
        raise Refusal(422, "content is not valid Base64") from error
    sha = _write_blob(asked, content)
    return Answer(201, {"sha": sha, "url": f"{asked.urls.repository}/git/blobs/{sha}"})


def _contents(asked: Asked, path: str) -> Answer:
    ref = asked.query.get("ref", "HEAD")
    commit = asked.commit(ref)
    if commit is None:
        raise Refusal(404, f"No commit found for the ref {ref}")
    entries = {entry["path"]: entry for entry in _tree_entries(asked, commit, is_recursive=True)}
    entry = entries.get(path.strip("/"))
    if entry is not None and entry["mode"] == "120000":
        # GitHub shows the file that a link leads to, where that is an ordinary file of the repository.
        link = asked.git.attempt("cat-file", "blob", entry["sha"]).text()
        target = _beside(entry["path"], link)
        if target in entries and entries[target]["mode"].startswith("100"):
            data = asked.git.attempt("cat-file", "blob", entries[target]["sha"]).stdout
            return Answer(200, _file(asked, path, entries[target]["sha"], data, commit))
        told = shapes.content(asked.urls, path, entry["sha"], "symlink", len(link), commit)
        return Answer(200, {**told, "target": link})
    if entry is not None and entry["type"] == "commit":
        told = shapes.content(asked.urls, path, entry["sha"], "submodule", 0, commit)
        return Answer(200, {**told, "submodule_git_url": "https://git.example.invalid/vendored.git"})
    if entry is not None and entry["type"] == "blob":
        return Answer(
            200, _file(asked, path, entry["sha"], asked.git.attempt("cat-file", "blob", entry["sha"]).stdout, commit)
        )
    below = [item for at, item in entries.items() if at.rpartition("/")[0] == path.strip("/")]
    if entry is None and path.strip("/"):
        raise Refusal(404, "Not Found")
    kinds = {"blob": "file", "tree": "dir", "commit": "submodule"}
    return Answer(
        200,
        [
            shapes.content(asked.urls, item["path"], item["sha"], kinds[item["type"]], item.get("size", 0), commit)
            for item in below
        ],
    )


def _file(asked: Asked, path: str, sha: str, data: bytes, commit: str) -> shapes.Json:
    return shapes.file_content(asked.urls, path, sha, data, commit, is_large=len(data) > MAX_CONTENT)


def _beside(path: str, link: str) -> str | None:
    parts: list[str] = path.split("/")[:-1]
    for part in link.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return None if link.startswith("/") else "/".join(parts)


# --- pull requests ----------------------------------------------------------------------------------------


def _pulls(asked: Asked) -> Answer:
    for each in asked.owner.state(asked.urls.full_name).pulls:
        # What is pushed to its branch, by force or not, is in an open request.
        if each.state == "open":
            each.head_sha = asked.commit(f"refs/heads/{each.head}") or each.head_sha
    state = asked.query.get("state", "open")
    head = asked.query.get("head", "").partition(":")[2]
    found = [
        pull
        for pull in reversed(asked.owner.state(asked.urls.full_name).pulls)
        if state in ("all", pull.state) and head in ("", pull.head) and asked.query.get("base", pull.base) == pull.base
    ]
    items, link = asked.page(found)
    return Answer(200, [shapes.pull_request(asked.urls, asdict(pull), is_simple=True) for pull in items], headers=link)


def _create_pull(asked: Asked) -> Answer:
    from image_factory.testing.github_server import Pull

    pulls = asked.owner.state(asked.urls.full_name).pulls
    head, base = asked.body["head"].rpartition(":")[2], asked.body["base"]
    head_sha, base_sha = asked.commit(f"refs/heads/{head}"), asked.commit(f"refs/heads/{base}")
    for name, sha in (("head", head_sha), ("base", base_sha)):
        if sha is None:
            raise Refusal(422, "Validation Failed", [{"resource": "PullRequest", "field": name, "code": "invalid"}])
    assert head_sha is not None
    assert base_sha is not None
    if asked.git.attempt("merge-base", "--is-ancestor", head_sha, base_sha).is_ok:
        message = f"No commits between {base} and {head}"
        raise Refusal(422, "Validation Failed", [{"resource": "PullRequest", "code": "custom", "message": message}])
    if any(pull.state == "open" and (pull.head, pull.base) == (head, base) for pull in pulls):
        message = f"A pull request already exists for {asked.urls.full_name.split('/')[0]}:{head}."
        raise Refusal(422, "Validation Failed", [{"resource": "PullRequest", "code": "custom", "message": message}])
    pull = Pull(
        len(pulls) + 1,
        head,
        base,
        head_sha,
        base_sha,
        asked.body["title"],
        asked.body.get("body") or "",
        asked.owner.tick(),
    )
    pulls.append(pull)
    return Answer(201, shapes.pull_request(asked.urls, asdict(pull), is_simple=False))


def _update_pull(asked: Asked, number: str) -> Answer:
    pull = next((one for one in asked.owner.state(asked.urls.full_name).pulls if str(one.number) == number), None)
    if pull is None:
        raise Refusal(404, "Not Found")
    pull.title, pull.body = asked.body.get("title", pull.title), asked.body.get("body", pull.body)
    return Answer(200, shapes.pull_request(asked.urls, asdict(pull), is_simple=False))


# --- workflows --------------------------------------------------------------------------------------------


def _workflow_path(asked: Asked, workflow: str) -> tuple[str, Mapping[str, Any]]:
    """Return a workflow's path and content on the default branch, as GitHub finds it by file name or number."""
    head = asked.commit("HEAD") or ""
    listed = asked.lasting("ls-tree", "-r", "-z", "--name-only", head).split("\0")
    for path in listed:
        if not path.startswith(".github/workflows/"):
            continue
        if path.rsplit("/", 1)[-1] == workflow or str(shapes.number_of(asked.urls.full_name + path)) == workflow:
            return path, _parsed(asked, head, path)
    raise Refusal(404, "Not Found")


def _parsed(asked: Asked, commit: str, path: str) -> Mapping[str, Any]:
    text = asked.lasting("cat-file", "blob", f"{commit}:{path}", refusal=Refusal(404, "Not Found"))
    parsed = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  # BaseLoader makes strings, lists and maps alone
    return parsed if isinstance(parsed, dict) else {}


def _get_workflow(asked: Asked, workflow: str) -> Answer:
    path, parsed = _workflow_path(asked, workflow)
    return Answer(200, shapes.workflow(asked.urls, path, str(parsed.get("name", path)), "2026-01-01T00:00:00Z"))


def _dispatch(asked: Asked, workflow: str) -> Answer:
    from image_factory.testing.github_server import Run

    path, _ = _workflow_path(asked, workflow)
    unknown = set(asked.body) - {"ref", "inputs"} - ({"return_run_details"} if asked.owner.has_run_details else set())
    if unknown:
        raise Refusal(422, f'Invalid request.\n\n"{sorted(unknown)[0]}" is not a permitted key.')
    ref, inputs = asked.body["ref"], asked.body.get("inputs") or {}
    sha = asked.commit(f"refs/heads/{ref}") or asked.commit(f"refs/tags/{ref}")
    if sha is None:
        raise Refusal(422, f"No ref found for: {ref}")
    parsed = _parsed(asked, sha, path)
    triggers = parsed.get("on")
    if "workflow_dispatch" not in (triggers or ()):
        raise Refusal(422, "Workflow does not have 'workflow_dispatch' trigger")
    details = triggers.get("workflow_dispatch") if isinstance(triggers, dict) else None
    declared = details.get("inputs") or {} if isinstance(details, dict) else {}
    if len(inputs) > MAX_INPUTS:
        raise Refusal(422, f"Invalid request.\n\nNo more than {MAX_INPUTS} properties are allowed.")
    if extra := [name for name in inputs if name not in declared]:
        raise Refusal(422, f"Unexpected inputs provided: {extra}".replace("'", '"'))
    for name, wanted in declared.items():
        if (
            isinstance(wanted, dict)
            and wanted.get("required") == "true"
            and "default" not in wanted
            and name not in inputs
        ):
            raise Refusal(422, f"Required input '{name}' not provided")
    runs = asked.owner.state(asked.urls.full_name).runs
    title = re.sub(
        r"\$\{\{\s*(?:github\.event\.)?inputs\.([\w-]+)\s*\}\}",
        lambda match: str(inputs.get(match[1], "")),
        str(parsed.get("run-name") or parsed.get("name") or path),
    )
    now = asked.owner.tick()
    run = Run(
        id=30_000_000_000 + len(runs), name=str(parsed.get("name", path)), path=path, title=title, ref=ref, sha=sha,
        number=len(runs) + 1, created_at=now, updated_at=now, inputs=dict(inputs),
    )  # fmt: skip
    runs.append(run)
    if not asked.body.get("return_run_details"):
        return Answer(204)
    url = f"/repos/{asked.urls.full_name}/actions/runs/{run.id}"
    told = {
        "workflow_run_id": run.id,
        "run_url": asked.urls.api + url,
        "html_url": f"{asked.urls.page}/actions/runs/{run.id}",
    }
    return Answer(200, told)


def _runs(asked: Asked, workflow: str) -> Answer:
    path, _ = _workflow_path(asked, workflow)
    event = asked.query.get("event")
    found = [
        run
        for run in reversed(asked.owner.state(asked.urls.full_name).runs)
        if run.path == path and event in (None, run.event) and asked.query.get("branch", run.ref) == run.ref
    ]
    items, link = asked.page(found)
    told = {"total_count": len(found), "workflow_runs": [_run_json(asked, run) for run in items]}
    return Answer(200, told, headers=link)


def _run_json(asked: Asked, run: Run) -> shapes.Json:
    return shapes.workflow_run(asked.urls, asdict(run), _git_commit_json(asked, run.sha))


def _find_run(asked: Asked, number: str) -> Run:
    for run in asked.owner.state(asked.urls.full_name).runs:
        if str(run.id) == number:
            return run
    raise Refusal(404, "Not Found")


def _get_run(asked: Asked, number: str) -> Answer:
    return Answer(200, _run_json(asked, _find_run(asked, number)))


def _rerun(asked: Asked, number: str) -> Answer:
    run = _find_run(asked, number)
    if run.status != "completed":
        raise Refusal(403, "This workflow is already running")
    run.status, run.conclusion, run.attempt, run.updated_at = "queued", None, run.attempt + 1, asked.owner.tick()
    return Answer(201, {})


_WORKFLOW = r"/actions/workflows/([\w.-]+)"
_ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", "", _repository),
    ("GET", "/branches", _branches),
    ("GET", "/tags", _tags),
    ("GET", "/git/ref/(.+)", _get_ref),
    ("POST", "/git/refs", _create_ref),
    ("PATCH", "/git/refs/(.+)", _update_ref),
    ("DELETE", "/git/refs/(.+)", _delete_ref),
    ("GET", "/commits/(.+)", _commit_of),
    ("GET", "/git/commits/([0-9a-f]+)", _get_commit),
    ("POST", "/git/commits", _create_commit),
    ("GET", "/git/trees/(.+)", _get_tree),
    ("POST", "/git/trees", _create_tree),
    ("GET", "/git/blobs/([0-9a-f]+)", _get_blob),
    ("POST", "/git/blobs", _create_blob),
    ("GET", "/contents/?(.*)", _contents),
    ("GET", "/pulls", _pulls),
    ("POST", "/pulls", _create_pull),
    ("PATCH", r"/pulls/(\d+)", _update_pull),
    ("GET", _WORKFLOW, _get_workflow),
    ("POST", f"{_WORKFLOW}/dispatches", _dispatch),
    ("GET", f"{_WORKFLOW}/runs", _runs),
    ("GET", r"/actions/runs/(\d+)", _get_run),
    ("POST", r"/actions/runs/(\d+)/rerun", _rerun),
)
