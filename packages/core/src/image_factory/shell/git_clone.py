"""A fresh clone of the state repository, for a job that starts with nothing; and what it may be given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from image_factory.errors import RemoteNotFound, UnsafeValue
from image_factory.ports import Credentials, Source, SourceRepository
from image_factory.shell.git import Checkout
from image_factory.shell.git_program import Git, checked_ref, failure
from image_factory.shell.git_source import is_loopback

_SCP = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:(?!//).+\Z")


def clone(url: str, target: Path, *, branch: str | None = None, credentials: Credentials | None = None) -> Checkout:
    """Clone one branch of `url` into `target`, which must not exist, and return the checkout.

    Raises:
        UnsafeValue: `url` holds credentials, or is of a transport that git is not to use.
        Unavailable, AuthenticationRequired, RemoteNotFound, ProtocolError: what the remote answers.
    """
    transport = transport_of(url)
    words = ["clone", "--quiet", "--no-tags", "--template=", "--single-branch"]
    if branch:
        words += ["--branch", checked_ref(branch)]
    git = Git(None, (transport,), credentials, url)
    cloned = git.attempt(*words, "--", url, str(target))
    if not cloned.is_ok:
        if re.search(r"Remote branch .* not found", cloned.complaint(git.secrets)):
            raise RemoteNotFound(f"no branch {branch!r} in {url}", hint="check --git-branch")
        raise failure(cloned, f"cannot clone {url}", git.secrets)
    return Checkout(target, Git(target))


def push_credentials(url: str, sources: Iterable[Source], environ: Mapping[str, str]) -> Credentials | None:
    """Return what to give git for `url`: what the environment says for it, else what its source plugin has.

    `IMAGE_FACTORY_GIT_PASSWORD` (and `_USERNAME`) come from a job's secret and are meant for the one
    repository that the job is given.
    """
    password = environ.get("IMAGE_FACTORY_GIT_PASSWORD")
    if password:
        return Credentials(environ.get("IMAGE_FACTORY_GIT_USERNAME", ""), password)
    for source in sources:
        if source.claims(url):
            parts = urlsplit(url)
            path = parts.path.strip("/").removesuffix(".git")
            if parts.scheme in ("http", "https") and path:
                host = f"{parts.scheme}://{parts.netloc}" if parts.scheme == "http" else parts.netloc
                return source.credentials(SourceRepository(source.name, host, path))
    return None


def transport_of(url: str) -> str:
    """Return how git reaches a clone URL: `https`, `ssh`, `file`, or `http` on loopback.

    Raises:
        UnsafeValue: it holds credentials, or is of a transport that git is not to use.
    """
    scheme, separator, _ = url.partition("://")
    if url.startswith("-") or "::" in url or re.search(r"[\x00-\x20\x7f]", url):
        raise UnsafeValue(f"not a clone URL: {url[:80]!r}", hint="write one such as https://git.example.com/state.git")
    if not separator:
        return "ssh" if _SCP.match(url) else "file"
    if scheme in ("http", "https") and "@" in urlsplit(url).netloc:
        raise UnsafeValue(
            "the clone URL holds credentials", hint="give them as IMAGE_FACTORY_GIT_PASSWORD, or to git's helper"
        )
    if scheme not in ("https", "ssh", "file") and not (scheme == "http" and is_loopback(url)):
        raise UnsafeValue(f"not a transport for state: {scheme}", hint="use https or ssh")
    return scheme
