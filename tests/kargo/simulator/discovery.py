"""What a Warehouse's subscriptions see: a registry's tags, and the commits of a bare repository.

From pkg/image/*_selector.go, pkg/controller/git/commit/*.go and pkg/pattern/matcher.go of Kargo 1.11.2.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from tests.kargo.simulator.freight import Commit, Image
from tests.kargo.simulator.resources import Document

from image_factory.decide.semver import SemanticVersion


class DiscoveryFailed(Exception):
    """A subscription could not be looked at: nothing of its Warehouse is taken (warehouses.go, discoverArtifacts)."""


class Registries(Protocol):
    """All registries there are, by repository URLs as Kargo writes them."""

    def digest(self, repo_url: str, tag: str) -> str | None:
        """Return what a tag points at; None where there is no such tag."""
        ...

    def tags(self, repo_url: str) -> Sequence[str]: ...


Repositories = Callable[[str], Path]
"""Returns the bare repository that lies at a clone URL."""


def images(subscription: Document, registries: Registries) -> list[Image]:
    """Return what an image subscription finds, the one to take first.

    Raises:
        DiscoveryFailed: Kargo 1.11 refuses the subscription when it looks.
    """
    url = subscription["repoURL"]
    strategy = subscription.get("imageSelectionStrategy") or "SemVer"
    if strategy == "Digest":
        tag = subscription["constraint"]
        digest = registries.digest(url, tag)
        return [] if digest is None else [Image(url, tag, digest)]
    if subscription.get("allowTags") or subscription.get("ignoreTags"):
        raise DiscoveryFailed("AllowTags and IgnoreTags are unsupported since 1.11")
    tags = [tag for tag in registries.tags(url) if _is_allowed(subscription, tag)]
    if strategy == "SemVer":
        tags = _by_version(tags, subscription)
    elif strategy == "Lexical":
        tags.sort(reverse=True)
    else:
        raise NotImplementedError(f"what the simulator does not know: {strategy}")
    found = []
    for tag in tags[: subscription.get("discoveryLimit", 20)]:
        digest = registries.digest(url, tag)
        if digest is not None:
            found.append(Image(url, tag, digest))
    return found


def _is_allowed(subscription: Document, tag: str) -> bool:
    if any(re.search(pattern, tag) for pattern in subscription.get("ignoreTagsRegexes") or ()):
        return False
    allowed = subscription.get("allowTagsRegexes") or ()
    return not allowed or any(re.search(pattern, tag) for pattern in allowed)


def _by_version(tags: Sequence[str], subscription: Document) -> list[str]:
    """Return the tags that are versions of the range, the highest first; ranges other than ours are not known."""
    constraint = subscription.get("constraint") or ">=0.0.0-0"
    if constraint not in (">=0.0.0", ">=0.0.0-0"):
        raise NotImplementedError(f"what the simulator does not know: {constraint}")
    is_strict = subscription.get("strictSemvers", True)
    versions = []
    for tag in tags:
        core = tag.removeprefix("v").split("-")[0].split("+")[0]
        version = SemanticVersion.parse(tag)
        if version is None or (is_strict and core.count(".") != 2):
            continue
        if version.prerelease and constraint == ">=0.0.0":
            continue
        versions.append((version.precedence, tag))
    return [tag for _, tag in sorted(versions, reverse=True)]


def commits(subscription: Document, repositories: Repositories) -> list[Commit]:
    """Return the newest commits of a branch that touch what is asked for (newest_from_branch_selector.go).

    Raises:
        DiscoveryFailed: there is no such repository or branch.
    """
    url, branch = subscription["repoURL"], subscription.get("branch") or "main"
    if subscription.get("commitSelectionStrategy", "NewestFromBranch") != "NewestFromBranch":
        raise NotImplementedError("what the simulator does not know: another strategy than NewestFromBranch")
    include = tuple(subscription.get("includePaths") or ())
    exclude = tuple(subscription.get("excludePaths") or ())
    found = []
    for commit, subject, paths in _log(repositories(url), head(subscription, repositories)):
        if not (include or exclude) or matches_paths(include, exclude, paths):
            found.append(Commit(url, commit, branch, subject[:80]))
            if len(found) == subscription.get("discoveryLimit", 20):
                break
    return found


def head(subscription: Document, repositories: Repositories) -> str:
    """Return where the branch stands: while that is the same, no clone is made (pkg/subscription/git.go).

    Raises:
        DiscoveryFailed: there is no such repository or branch.
    """
    folder, ref = repositories(subscription["repoURL"]), f"refs/heads/{subscription.get('branch') or 'main'}"
    with contextlib.suppress(FileNotFoundError):
        return (folder / ref).read_text("ascii").strip()
    return _git(folder, "rev-parse", "--verify", ref).strip()


def matches_paths(include: Sequence[str], exclude: Sequence[str], paths: Sequence[str]) -> bool:
    """Return whether one of `paths` is asked for and not left out (base_selector.go, MatchesPaths)."""
    return any(
        (not include or any(_matches(pattern, path) for pattern in include))
        and not any(_matches(pattern, path) for pattern in exclude)
        for path in paths
    )


def _matches(pattern: str, path: str) -> bool:
    kind, _, rest = pattern.partition(":")
    if kind == "glob":
        return _glob(rest).fullmatch(path) is not None
    if kind in ("regex", "regexp"):
        return re.search(rest, path) is not None
    # A file, or all below a folder; whatever holds two dots seems to lie outside of it.
    return ".." not in posixpath.relpath(path, pattern or ".")


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    """Return a glob with `**`, `*` and `?` as the doublestar library reads it; no manifest of ours has more."""
    if set(pattern) & set("[]{}\\"):
        raise NotImplementedError(f"what the simulator does not know: {pattern}")
    text = ""
    for part in re.split(r"(\*\*/|/\*\*\Z|\*\*|\*|\?)", pattern):
        text += {"**/": "(?:.*/)?", "/**": "(?:/.*)?", "**": "[^/]*", "*": "[^/]*", "?": "[^/]"}.get(
            part, re.escape(part)
        )
    return re.compile(text)


@cache
def _log(folder: Path, tip: str) -> Sequence[tuple[str, str, tuple[str, ...]]]:
    """Return all commits up to `tip`, newest first: id, subject, and what each adds, changes or removes.

    Of a merge, what it brings to its first parent; a file that moved is both (work_tree.go, GetDiffPathsForCommitID).
    """
    words = ("log", "-z", "--format=%x01%H %s", "--name-only", "--no-renames", "--diff-merges=first-parent", tip, "--")
    found = []
    for told in _git(folder, *words).split("\x01")[1:]:
        first, _, paths = told.partition("\0")
        commit, _, subject = first.partition(" ")
        found.append((commit, subject, tuple(path.strip("\n") for path in paths.split("\0") if path.strip("\n"))))
    return found


def touched(folder: Path, known: str, tip: str) -> tuple[str, ...]:
    """Return what a push from one commit to another changed."""
    return tuple(_git(folder, "diff", "--name-only", "--no-renames", known, tip).splitlines())


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DiscoveryFailed(done.stderr.strip())
    return done.stdout
