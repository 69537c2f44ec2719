"""Pushing a checkout's head, rebasing it where the remote has moved, without touching the work tree.

The rebase is made of objects alone: each commit that is new here is replayed on the remote's tip with a
three-way merge in an index of its own. Only after the remote took the result does the checkout follow.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from image_factory.errors import Conflict, ImageFactoryError, NotFound, RemoteRefused, Unavailable
from image_factory.ports import Credentials
from image_factory.shell.git import Checkout, TemporaryIndex, pause
from image_factory.shell.git_program import Git, checked_ref, failure
from image_factory.shell.process import Finished, redact

TRANSPORTS = ("https", "ssh", "file", "http", "git")
"""How a user's own remote may be reached; never `ext::`, which runs a command."""
MAX_REPLAYED = 200
"""Commits that are rebased at once; more means that this branch and the remote's are not one line."""

_MOVED = re.compile(r"fetch first|non-fast-forward|cannot lock ref|failed to update ref|stale info|incorrect old value")


def push(checkout: Checkout, remote: str, branch: str, credentials: Credentials | None, *, attempts: int) -> str:
    """Push as `Checkout.push` promises."""
    url = _url(checkout, remote)
    checked_ref(branch)
    git = Git(checkout.root, TRANSPORTS, credentials, url)
    doing = f"cannot push to {branch} of {remote}"
    head = checkout.head()
    candidate = head
    for attempt in range(attempts):
        # `--` ends git's options; the refspec is made of an id and a checked name.
        pushed = git.attempt("push", "--porcelain", "--no-verify", "--", remote, f"{candidate}:refs/heads/{branch}")
        if pushed.is_ok:
            _follow(checkout, head, candidate)
            return candidate
        said = pushed.stdout.decode("utf-8", "replace")
        if not is_overtaken(said):
            raise refusal(pushed, doing, said, git)
        if attempt:
            checkout.sleep(pause(attempt))
        candidate = _rebased(git, remote, branch, head)
    raise Unavailable(
        f"{doing}: it moved at each of {attempts} attempts", hint="try again; nothing is lost, the commit is kept here"
    )


def start_over(checkout: Checkout, remote: str, branch: str, credentials: Credentials | None, made: str) -> bool:
    """Take back `made`, the head, and bring the checkout to what the remote has; return whether that was done.

    It is not where `made` is the first commit, where what else is new here conflicts too, or where the
    user's own changes stand in the way: everything is as before then.
    """
    git = Git(checkout.root, TRANSPORTS, credentials, _url(checkout, remote))
    parent = git.attempt("rev-parse", "--verify", "--quiet", f"{made}^1")
    if not parent.is_ok:
        return False
    try:
        tip = _rebased(git, remote, checked_ref(branch), parent.text())
    except Conflict:
        return False
    git.attempt("update-index", "-q", "--refresh")
    if not git.attempt("read-tree", "-m", "-u", made, tip).is_ok:
        return False
    return git.attempt("update-ref", "-m", "image-factory: start over", "HEAD", tip, made).is_ok


def _url(checkout: Checkout, remote: str) -> str:
    if remote not in checkout.remotes():
        raise NotFound(
            f"no remote {remote!r} in {str(checkout.root)!r}",
            hint=f"known: {', '.join(sorted(checkout.remotes())) or 'none'}; set commit.remote in config.yaml",
        )
    found = checkout.git.run("remote", "get-url", "--push", "--", remote, doing=f"cannot read the remote {remote}")
    return found.text()


def is_overtaken(porcelain: str) -> bool:
    """Whether a push was refused since the branch has moved on: another attempt on what is there now may do."""
    return _MOVED.search(porcelain) is not None


def refusal(pushed: Finished, doing: str, porcelain: str, git: Git) -> ImageFactoryError:
    """Return the error for a push that another attempt would not help."""
    reasons = [line.split("\t")[-1][:200] for line in porcelain.splitlines() if line.startswith("!")]
    if any("[remote rejected]" in reason for reason in reasons):
        return RemoteRefused(
            f"{doing}: {redact(reasons[0])}: {pushed.complaint(git.secrets)}",
            hint="check the rules of the branch (protection, hooks), and what the credentials may do",
        )
    return failure(pushed, doing, git.secrets)


def _rebased(git: Git, remote: str, branch: str, head: str) -> str:
    """Return a commit that holds the remote's tip and, after it, what is new in `head`."""
    doing = f"cannot fetch {branch} of {remote}"
    with tempfile.TemporaryDirectory(prefix="image-factory-fetch-") as folder:
        ref = f"refs/image-factory/{Path(folder).name}"
        git.run(
            *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--"),
            *(remote, f"+refs/heads/{branch}:{ref}"),
            doing=doing,
        )
        try:
            tip = git.run("rev-parse", "--verify", f"{ref}^{{commit}}", doing=doing).text()
            listed = git.run("rev-list", "--reverse", "--parents", head, f"^{tip}", "--", doing=doing).text()
            lines = [line.split() for line in listed.splitlines()]
            if len(lines) > MAX_REPLAYED or any(len(line) != 2 for line in lines):
                raise Conflict(
                    f"cannot rebase what is new here on {branch} of {remote}: {len(lines)} commits, not one plain line",
                    hint=f"bring the branches together by hand: git pull --rebase {remote} {branch}",
                )
            onto = tip
            for commit, parent in lines:
                onto = _replayed(git, commit, parent, onto)
            return onto
        finally:
            git.attempt("update-ref", "-d", ref)


def _replayed(git: Git, commit: str, parent: str, onto: str) -> str:
    """Return a commit on `onto` with the changes of `commit`; `onto` itself where it has them all."""
    doing = f"cannot rebase {commit[:12]}"
    with TemporaryIndex(git, None) as index:
        git.run("read-tree", "-i", "-m", "--aggressive", parent, onto, commit, extra=index.variables, doing=doing)
        _join(git, index, commit)
        tree = git.run("write-tree", extra=index.variables, doing=doing).text()
    if tree == git.run("rev-parse", "--verify", f"{onto}^{{tree}}", doing=doing).text():
        return onto
    raw = git.run("cat-file", "commit", commit, doing=doing).stdout
    headers, _, message = raw.partition(b"\n\n")
    identity: dict[str, str] = {}
    for line in headers.decode("utf-8", "replace").splitlines():
        match = re.fullmatch(r"(author|committer) (.*) ?<(.*)> (\d+ [+-]\d{4})", line)
        if match:
            who = match[1].upper()
            identity |= {f"GIT_{who}_NAME": match[2].strip(), f"GIT_{who}_EMAIL": match[3], f"GIT_{who}_DATE": match[4]}
    return git.run("commit-tree", "--no-gpg-sign", tree, "-p", onto, stdin=message, extra=identity, doing=doing).text()


def _join(git: Git, index: TemporaryIndex, commit: str) -> None:
    """Merge the files that both sides changed, as text.

    Raises:
        Conflict: some cannot be merged; the message names them.
    """
    doing = f"cannot rebase {commit[:12]}"
    listed = git.run("ls-files", "--unmerged", "-z", extra=index.variables, doing=doing).stdout
    stages: dict[str, dict[str, tuple[str, str]]] = {}
    for entry in listed.decode("utf-8", "surrogateescape").split("\0"):
        fields, tab, path = entry.partition("\t")
        if tab:
            mode, oid, stage = fields.split()
            stages.setdefault(path, {})[stage] = (mode, oid)
    conflicts = []
    joined: list[str] = []
    for path, sides in stages.items():
        text = _merged(git, sides, doing)
        if text is None:
            conflicts.append(path)
            continue
        oid = git.run("hash-object", "-w", "--stdin", stdin=text, doing=doing).text()
        joined.append(f"{sides['3'][0]} {oid} 0\t{path}\0")
    if conflicts:
        raise Conflict(
            f"changed here and on the remote in different ways: {', '.join(sorted(conflicts)[:5])}"
            + (f" and {len(conflicts) - 5} more" if len(conflicts) > 5 else ""),
            hint="nothing was pushed and this checkout is as before; pull, then run again",
        )
    if joined:
        removed = "".join(f"0 {'0' * 40}\t{path}\0" for path in stages)
        git.run(
            "update-index", "-z", "--index-info",
            stdin=(removed + "".join(joined)).encode("utf-8", "surrogateescape"), extra=index.variables, doing=doing,
        )  # fmt: skip


def _merged(git: Git, sides: dict[str, tuple[str, str]], doing: str) -> bytes | None:
    """Return the text that joins both sides of one file, or None where there is none."""
    if set(sides) != {"1", "2", "3"} or any(not mode.startswith("100") for mode, _ in sides.values()):
        return None
    with tempfile.TemporaryDirectory(prefix="image-factory-merge-") as folder:
        names = []
        for stage in ("2", "1", "3"):
            content = git.run("cat-file", "blob", sides[stage][1], doing=doing).stdout
            if b"\0" in content:
                return None
            path = Path(folder) / stage
            path.write_bytes(content)
            names.append(str(path))
        merged = Git().attempt("merge-file", "-p", "--quiet", "--", *names)
        return merged.stdout if merged.is_ok else None


def _follow(checkout: Checkout, head: str, pushed: str) -> None:
    """Bring the branch, the index and the files to what was pushed, unless the user's changes stand in the way."""
    if pushed == head:
        return
    git = checkout.git
    if git.attempt("read-tree", "-m", "-u", head, pushed).is_ok:
        git.attempt("update-ref", "-m", "image-factory: rebase", "HEAD", pushed, head)
