"""The git program, made safe to run on values and repositories that we do not trust.

Every run has an environment of its own, no prompt, no pager, no hooks, no file-system monitor, and
only the transports that it needs; a user's value stands behind `--end-of-options` or `--`. Credentials
travel in the environment to a credential helper that git asks for one origin only, so they are in
no argument, URL or log, and do not follow a redirect. Repositories that belong to another user are
refused by git itself (safe.directory), which its error says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    NotFound,
    ProtocolError,
    RateLimited,
    RemoteNotFound,
    RemoteRefused,
    Unavailable,
    UnsafeValue,
    UserError,
)
from image_factory.ports import Credentials
from image_factory.shell.process import MAX_OUTPUT, TIMEOUT, Finished, clean_environment, redact, run_tool

CONFIGURATION = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.quotePath=false",
    "core.alternateRefsCommand=",
    "advice.detachedHead=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "push.followTags=false",
    "push.gpgSign=false",
    "protocol.ext.allow=never",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)
"""What a repository's or a user's own configuration cannot change while we run git."""

MAX_DOWNLOAD = 4 * 1024**3
"""Bytes of one pack from another host: a whole Linux kernel's history takes 3 GB."""

NO_TRANSPORT = "none"
"""A word that is no transport: with it git asks no network, not even for a partial clone's objects."""

_FULL_ID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\A[-/.]|(?:/|\.|\.lock)\Z|\A@?\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# A helper written in the configuration: its text names variables only, git runs it through sh.
_HELPER = (
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n"'
    ' "$IMAGE_FACTORY_GIT_USERNAME" "$IMAGE_FACTORY_GIT_PASSWORD"; }; f'
)

_COMPLAINTS: tuple[tuple[str, type[ImageFactoryError], str], ...] = (
    (
        (
            r"authentication failed|could not read (username|password)|permission denied|returned error: 40[13]"
            r"|terminal prompts disabled|invalid credentials|access denied"
        ),
        AuthenticationRequired,
        "give credentials that may read (or write) it; a private repository looks missing without them",
    ),
    (r"returned error: 429", RateLimited, "wait, then try again"),
    (
        r"file size limit|file too large|exceeded .* file size|died of signal 25|sha1 file .* write error",
        ProtocolError,
        "it sends more than we take; read a smaller repository",
    ),
    (
        (
            r"repository .*not found|does not appear to be a git repository|no such file or directory"
            r"|returned error: 404|couldn't find remote ref|not our ref|no such remote"
        ),
        RemoteNotFound,
        "check the repository, and the branch, tag or commit",
    ),
    (
        (
            r"could not resolve host|connection refused|failed to connect|timed out|connection reset"
            r"|returned error: 5\d\d|early eof|hung up unexpectedly|operation too slow|couldn't connect"
            r"|unable to access"
        ),
        Unavailable,
        "check the network and try again later",
    ),
    (
        r"transport '.*' not allowed",
        UnsafeValue,
        "use an https, ssh or file URL",
    ),
    (
        r"dubious ownership",
        UserError,
        "the folder belongs to another user; if you trust it: git config --global --add safe.directory FOLDER",
    ),
    (r"remote rejected|pre-receive hook declined|protected branch", RemoteRefused, "check the rules of the branch"),
)


def is_commit_id(text: str) -> bool:
    """Whether `text` is a whole commit id, of SHA-1 or SHA-256."""
    return _FULL_ID.match(text) is not None


def checked_ref(ref: str) -> str:
    """Return `ref` if git could have it as a name (git-check-ref-format) and can take it for nothing else.

    Raises:
        UnsafeValue: it looks like an option, a range, a path outside, or holds what no name holds.
    """
    if len(ref) > 255 or _BAD_REF.search(ref):
        raise UnsafeValue(
            f"not a branch, tag or commit: {ref[:80]!r}", hint="write a name such as main, v1.2 or release/1.2"
        )
    return ref


def checked_path(path: str) -> str:
    """Return `path` without `./`, if it is relative and stays inside its repository.

    Raises:
        UnsafeValue: it is absolute, climbs out with `..`, or holds a control character.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or not parts or _CONTROL.search(path) or len(path) > 4096:
        raise UnsafeValue(
            f"not a path inside the repository: {path[:80]!r}", hint="write one such as apps/web/Dockerfile"
        )
    return "/".join(parts)


def failure(finished: Finished, doing: str, secrets: Iterable[str] = ()) -> ImageFactoryError:
    """Return the error that fits what git complained about while `doing` something."""
    said = finished.complaint(secrets)
    for pattern, kind, hint in _COMPLAINTS:
        if re.search(pattern, said, re.IGNORECASE):
            return kind(f"{doing}: {said}", hint=hint)
    return ProtocolError(f"{doing}: {said}", hint="run the same git command by hand to see more")


@dataclass(frozen=True, slots=True)
class Git:
    """The git program on one folder, with the transports and credentials of one job.

    Args:
        folder: the work tree or bare repository; None for commands that need none.
        transports: the only transports that git may use, such as ("https", "ssh").
        credentials: what to give the one origin of `origin`, and nobody else.
        origin: the URL that the credentials are for.
        is_exact: whether the repository must be `folder` itself, not one that it lies in.
        max_download: bytes that may come from another host at once.
    """

    folder: Path | None = None
    transports: Sequence[str] = ()
    credentials: Credentials | None = field(default=None, repr=False)
    origin: str | None = None
    is_exact: bool = False
    max_download: int = MAX_DOWNLOAD

    @property
    def secrets(self) -> tuple[str, ...]:
        return () if self.credentials is None else (self.credentials.password,)

    def arguments(self, *words: str) -> list[str]:
        """Return the whole argument list for one git command; it holds no secret."""
        head = ["git", "--no-pager", "--no-optional-locks"]
        if words[0] != "check-ignore":  # the one command that refuses it
            head.append("--literal-pathspecs")
        if self.folder is not None:
            head += ["-C", str(self.folder)]
        for setting in CONFIGURATION:
            head += ["-c", setting]
        return [*head, *words]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment for one git command; only this holds the credentials."""
        variables = {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "GIT_ALLOW_PROTOCOL": ":".join(self.transports) or NO_TRANSPORT,
            "GIT_PROTOCOL_FROM_USER": "0",
            **({} if self.transports else {"GIT_NO_LAZY_FETCH": "1"}),
            **({"GIT_CEILING_DIRECTORIES": str(self.folder.parent)} if self.is_exact and self.folder else {}),
        }
        if self.credentials is not None and self.origin is not None:
            parts = urlsplit(self.origin)
            if parts.scheme in ("http", "https"):
                for value in (self.credentials.username, self.credentials.password):
                    if _CONTROL.search(value):
                        raise UnsafeValue("the credentials for git hold a control character", hint="check the token")
                host = parts.netloc.rpartition("@")[2]
                variables |= {
                    "GIT_CONFIG_COUNT": "2",
                    # An empty helper forgets the user's own, which git would also tell our secret to keep.
                    "GIT_CONFIG_KEY_0": "credential.helper",
                    "GIT_CONFIG_VALUE_0": "",
                    "GIT_CONFIG_KEY_1": f"credential.{parts.scheme}://{host}.helper",
                    "GIT_CONFIG_VALUE_1": _HELPER,
                    "IMAGE_FACTORY_GIT_USERNAME": self.credentials.username or "x-access-token",
                    "IMAGE_FACTORY_GIT_PASSWORD": self.credentials.password,
                }
        return clean_environment({**variables, **(extra or {})})

    def attempt(
        self,
        *words: str,
        stdin: bytes = b"",
        extra: Mapping[str, str] | None = None,
        timeout: timedelta = TIMEOUT,
        max_output: int = MAX_OUTPUT,
    ) -> Finished:
        """Run one git command and return how it ended, whatever its exit status; raises as `run_tool` does."""
        return run_tool(
            self.arguments(*words),
            stdin=stdin,
            environment=self.environment(extra),
            timeout=timeout,
            max_output=max_output,
            max_file=self.max_download if self.transports else None,
            label=f"git {words[0]}",
        )

    def run(
        self,
        *words: str,
        doing: str,
        stdin: bytes = b"",
        extra: Mapping[str, str] | None = None,
        timeout: timedelta = TIMEOUT,
        max_output: int = MAX_OUTPUT,
    ) -> Finished:
        """Run one git command that must succeed.

        Args:
            doing: what for, as an error begins: `cannot read commits of /srv/web`.

        Raises:
            ImageFactoryError: the one that fits git's complaint, without secrets.
        """
        finished = self.attempt(*words, stdin=stdin, extra=extra, timeout=timeout, max_output=max_output)
        if not finished.is_ok:
            raise failure(finished, redact(doing, self.secrets), self.secrets)
        return finished


def missing_folder(path: Path) -> NotFound:
    """Return the error for a folder that holds no git repository."""
    return NotFound(f"not a git repository: {str(path)!r}", hint="give a clone, or a bare repository")
