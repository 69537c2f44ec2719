"""Branches and tags by git itself: a CI job's token may clone and read files, and may not ask the API for more.

docs.gitlab.com/ci/jobs/ci_job_token lists what such a token is good for.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from image_factory.ports import Credentials
from image_factory.shell.git_program import Git, is_commit_id


def remote_references(url: str, credentials: Credentials) -> Mapping[str, str]:
    """Return all branches and tags of a clone URL with their commit ids, and `HEAD`.

    Raises:
        Unavailable, AuthenticationRequired, RemoteNotFound, ProtocolError: what the remote answers.
    """
    git = Git(None, (urlsplit(url).scheme,), credentials, url)
    listed = git.run("ls-remote", "--quiet", "--", url, doing=f"cannot list the branches of {url}").text()
    found: dict[str, str] = {}
    for line in listed.splitlines():
        sha, _, ref = line.partition("\t")
        if is_commit_id(sha) and (ref == "HEAD" or ref.startswith(("refs/heads/", "refs/tags/"))):
            # An annotated tag is told twice, the second time with ^{} and the commit that it is on.
            found[ref.removesuffix("^{}")] = sha
    return found
