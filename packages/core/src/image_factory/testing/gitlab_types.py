"""What GitLab's REST API answers, as the types of @gitbeaker/core tell it, and whether an exchange keeps to them.

GitLab publishes an OpenAPI file as a part of its documentation alone, whose licence (CC BY-SA) and place keep it
from being shipped or fetched here. The npm package @gitbeaker/core (MIT) tells every answer's fields as TypeScript,
written by others: the recorded answers are put into a file of theirs, and TypeScript's compiler judges it. Fetched
with npm where there is npm. It says nothing of refusals, which are held to their one shape (docs.gitlab.com/api/rest).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from image_factory.errors import ImageFactoryError
from image_factory.shell.process import run_tool
from image_factory.testing.rest_server import Exchange

PACKAGES = ("@gitbeaker/core@43.8.0", "typescript@5.9.3")
VARIABLE = "IMAGE_FACTORY_GITLAB_TYPES"
"""The environment variable that says where a folder lies with both in its node_modules."""

WHOLE, PART = "Whole", "Part"
"""All fields that always come are there; or, of what has a hundred, those that are there are right."""
_COMPILER = Path("node_modules/typescript/bin/tsc")
_TYPES = Path("node_modules/@gitbeaker/core/dist/index.d.ts")

_PROLOGUE = """\
type Named<T> = { [K in keyof T as string extends K ? never : K]: T[K] };
type Plain = string | number | boolean | null | undefined;
type Whole<T> = unknown extends T ? unknown : T extends Plain ? T : T extends (infer U)[] ? Whole<U>[]
  : { [K in keyof Named<T>]: Whole<Named<T>[K]> | null };
type Part<T> = unknown extends T ? unknown : T extends Plain ? T : T extends (infer U)[] ? Part<U>[]
  : { [K in keyof Named<T>]?: Part<Named<T>[K]> | null };
// Told since GitLab 15.11 (docs.gitlab.com/api/pipelines), which the types leave out.
type NamedPipeline<T> = T & { name?: string };
// docs.gitlab.com/api/branches shows a branch's whole commit; the types leave out two of its fields.
type Branch = Omit<Named<api.BranchSchema>, "commit"> & { commit: api.CommitSchema };
"""
_PIPELINE = "NamedPipeline<api.ExpandedPipelineSchema>"
_ANSWERS: tuple[tuple[str, str, int, str, str], ...] = (
    ("GET", "", 200, PART, "api.ProjectSchema"),
    ("GET", "/repository/branches", 200, WHOLE, "Branch[]"),
    ("GET", "/repository/branches/[^/]+", 200, WHOLE, "Branch"),
    ("DELETE", "/repository/branches/[^/]+", 204, "", ""),
    ("GET", "/repository/tags", 200, WHOLE, "api.TagSchema[]"),
    ("GET", "/repository/tags/[^/]+", 200, WHOLE, "api.TagSchema"),
    ("GET", "/repository/commits/[^/]+", 200, WHOLE, "api.CommitSchema"),
    ("POST", "/repository/commits", 201, WHOLE, "api.CommitSchema"),
    ("GET", "/repository/files/[^/]+/raw", 200, "", ""),
    ("GET", "/repository/tree", 200, WHOLE, "api.RepositoryTreeSchema[]"),
    ("GET", "/merge_requests", 200, PART, "api.MergeRequestSchema[]"),
    ("POST", "/merge_requests", 201, PART, "api.ExpandedMergeRequestSchema"),
    ("PUT", r"/merge_requests/\d+", 200, PART, "api.ExpandedMergeRequestSchema"),
    ("PUT", r"/merge_requests/\d+/merge", 200, PART, "api.ExpandedMergeRequestSchema"),
    ("POST", "/trigger/pipeline", 201, WHOLE, _PIPELINE),
    ("POST", "/pipeline", 201, WHOLE, _PIPELINE),
    ("GET", "/pipelines", 200, WHOLE, "NamedPipeline<api.PipelineSchema>[]"),
    ("GET", r"/pipelines/\d+", 200, WHOLE, _PIPELINE),
    ("GET", r"/pipelines/\d+/variables", 200, WHOLE, "api.PipelineVariableSchema[]"),
    ("POST", r"/pipelines/\d+/retry", 201, WHOLE, _PIPELINE),
)


def find_types(cache: Path | None = None) -> tuple[Path | None, str]:
    """Return the folder with both packages, or None with the reason why there is none.

    Args:
        cache: where they are kept once they were fetched; the user's cache folder where it is None.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return (Path(named), "") if _is_whole(Path(named)) else (None, f"${VARIABLE} names no such folder: {named}")
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = cache or (Path(base) if base else Path.home() / ".cache") / "image-factory" / "gitlab-types"
    kept = folder / "-".join(package.rpartition("@")[2] for package in PACKAGES)
    if _is_whole(kept):
        return kept, ""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return None, f"the types of GitLab's answers are not here (${VARIABLE}), and npm, which fetches them, neither"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="part-", dir=folder) as work:
        words = ["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", work, *PACKAGES]
        try:
            # npm needs its own configuration, which may name a registry.
            fetched = run_tool([npm, *words], environment=dict(os.environ), timeout=timedelta(minutes=3))
        except ImageFactoryError as error:
            return None, f"npm cannot fetch the types of GitLab's answers: {error}"
        if not fetched.is_ok or not _is_whole(Path(work)):
            return None, f"npm cannot fetch the types of GitLab's answers: {fetched.complaint()}"
        if not _is_whole(kept):
            shutil.copytree(work, kept, dirs_exist_ok=True)
    return kept, ""


def problems(exchanges: Sequence[Exchange], types: Path, work: Path, *, below: str = "") -> list[str]:
    """Return what of the answers GitLab would not say, one line each; the compiler runs once for all.

    Args:
        exchanges: what a `GitLabServer` recorded.
        types: where `find_types` says.
        work: a folder to write in.
        below: the path that the server serves below.
    """
    found: list[str] = []
    lines = [f"import type * as api from {json.dumps(str(types / _TYPES.with_suffix('').with_suffix('.js')))};"]
    lines += _PROLOGUE.splitlines()
    told: dict[int, str] = {}
    for exchange in exchanges:
        request, reply = exchange.request, exchange.reply
        at = f"{request.method} {request.path.removeprefix(below)}: {reply.status}"
        kind = _type_of(exchange, below)
        if kind is None:
            found.append(f"{at}: no such operation or status")
        elif kind:
            lines.append(f"export const answer{len(lines)}: {kind} = {json.dumps(json.loads(reply.body))};")
            told[len(lines)] = at
        else:
            found += [f"{at}: {problem}" for problem in _refusal_problems(exchange)]
    file = work / "answers.ts"
    file.write_text("\n".join(lines), encoding="utf-8")
    words = ["node", str(types / _COMPILER), "--noEmit", "--strict", "--skipLibCheck", "--pretty", "false"]
    words += ["--module", "nodenext", str(file)]
    done = run_tool(words, environment=dict(os.environ), timeout=timedelta(minutes=3))
    for line in done.stdout.decode().splitlines():
        match = re.match(r".*answers\.ts\((\d+),\d+\): error (.*)", line)
        if match is not None:
            found.append(f"{told.get(int(match[1]), 'the prologue')}: {match[2][:300]}")
    if not done.is_ok and not found:
        found.append(f"the compiler fails: {done.text()[:300] or done.complaint()}")
    return found


def _is_whole(folder: Path) -> bool:
    return (folder / _COMPILER).is_file() and (folder / _TYPES).is_file()


def _type_of(exchange: Exchange, below: str) -> str | None:
    """Return the type of an answer's JSON, "" where it has none, or None where GitLab has no such answer."""
    path = re.sub(rf"\A{re.escape(below)}/api/v4/projects/[^/]+", "", exchange.request.path)
    for method, pattern, status, extent, kind in _ANSWERS:
        if method == exchange.request.method and re.fullmatch(pattern, path):
            if exchange.reply.status >= 400:
                return ""
            return (f"{extent}<{kind}>" if kind else "") if exchange.reply.status == status else None
    return "" if exchange.reply.status == 404 else None


def _refusal_problems(exchange: Exchange) -> Iterator[str]:
    if exchange.reply.status < 400:
        return
    told = json.loads(exchange.reply.body)
    if not isinstance(told, dict) or not {"message", "error"} & set(told):
        yield "neither message nor error"
