"""Image references: `Repository`, `Tag`, `Digest` and `Reference`, as small frozen values.

The grammar is distribution's (github.com/distribution/reference, `regexp.go` and `normalize.go`),
the canonical form is Docker's: `docker.io` for no host, `library/` for its one-word names, `latest`
where neither tag nor digest is given. Both what was written and the canonical form are kept. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from image_factory.errors import InvalidReference

DOCKER_HUB = "docker.io"
DEFAULT_TAG = "latest"
MAX_NAME = 255
"""Characters of a repository name with its host (distribution `RepositoryNameTotalLengthMax`)."""
MAX_TAG = 128
"""Characters of a tag (OCI distribution-spec, "Pulling manifests")."""

_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_DOMAIN_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?\Z")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}\Z")
# OCI image-spec, "Registered Algorithms": lower-case hex of these lengths.
_REGISTERED = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+\Z")


def _invalid(what: str, text: str, hint: str) -> InvalidReference:
    shown = text if len(text) <= 300 else f"{text[:300]}…"
    return InvalidReference(f"not {what}: {shown!r}", hint=hint)


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A content address, `algorithm:hex` (OCI image-spec, "Digests")."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return the digest that `text` writes.

        Raises:
            InvalidReference: the grammar or, for sha256 and sha512, the length is wrong.
        """
        algorithm, _, encoded = text.partition(":")
        length = _REGISTERED.get(algorithm)
        if not _DIGEST.match(text) or (length and (len(encoded) != length or not _HEX.match(encoded))):
            raise _invalid("a digest", text, "write sha256: and 64 lower-case hex digits")
        return cls(algorithm, encoded)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @property
    def short(self) -> str:
        """The algorithm and the first 12 digits, for people."""
        return f"{self.algorithm}:{self.hex[:12]}"


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository in canonical form: a registry's host (with its port) and a path."""

    registry: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Repository:
        """Return the canonical repository of a name without tag or digest.

        Raises:
            InvalidReference: the host or the path is not of distribution's grammar.
        """
        host, path = _split_host(text)
        if host in _HUB_HOSTS:
            host = DOCKER_HUB
            if path and "/" not in path:
                path = f"library/{path}"
        if not _HOST.match(host):
            raise _invalid("a registry host", host, "write a host name, with :port if it has one")
        if not _PATH.match(path):
            hint = "write it in lower case" if path != path.lower() else "write [host/]path"
            raise _invalid("a repository", text, f"repository names are lower case; {hint}")
        # distribution counts the name with its host since v2.8; the path alone since v3. The stricter holds.
        if len(host) + 1 + len(path) > MAX_NAME:
            raise _invalid("a repository", text, f"a name has at most {MAX_NAME} characters")
        return cls(host, path)

    @property
    def familiar(self) -> str:
        """The name as people write it: without `docker.io/` and `library/`."""
        if self.registry != DOCKER_HUB:
            return str(self)
        return self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """A name in a repository that moves from digest to digest."""

    repository: Repository
    name: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.name}"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a person writes to name an image: a repository, and a tag, a digest or both.

    Two references are equal when their canonical forms are; `written` does not count.
    """

    repository: Repository
    tag: str | None = None
    digest: Digest | None = None
    written: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the reference that `text` writes, with its defaults filled in.

        Raises:
            InvalidReference: `text` is not of distribution's grammar.
        """
        return _parse(text)

    @property
    def canonical(self) -> str:
        """`registry/repository[:tag][@digest]` in full; `:latest` where neither is given."""
        text = str(self.repository)
        if self.tag is not None:
            text += f":{self.tag}"
        elif self.digest is None:
            text += f":{DEFAULT_TAG}"
        return text if self.digest is None else f"{text}@{self.digest}"

    @property
    def tagged(self) -> Tag | None:
        """The tag to watch, or None where only a digest is given."""
        if self.tag is None and self.digest is not None:
            return None
        return Tag(self.repository, self.tag or DEFAULT_TAG)

    def __str__(self) -> str:
        return self.canonical


@lru_cache(maxsize=8192)
def _parse(text: str) -> Reference:
    hint = "write [host[:port]/]path[:tag][@digest], such as ghcr.io/acme/web:1.2"
    if not text or len(text) > 2 * MAX_NAME + MAX_TAG:
        raise _invalid("an image reference", text, hint)
    rest, at, encoded = text.partition("@")
    digest = Digest.parse(encoded) if at else None
    # A colon after the last slash separates the tag; before it, it belongs to the host's port.
    slash = rest.rfind("/")
    colon = rest.rfind(":")
    tag = None
    name = rest
    if colon > slash:
        name, tag = rest[:colon], rest[colon + 1 :]
        if not _TAG.match(tag):
            raise _invalid("an image reference", text, f"a tag is letters, digits, _ . - and at most {MAX_TAG} long")
    if re.fullmatch(r"[0-9a-f]{64}", name):
        # distribution `ParseNormalizedNamed`: 64 hex digits are an image id, never a name.
        raise _invalid("an image reference", text, "64 hex digits are an image id, not a name")
    try:
        repository = Repository.parse(name)
    except InvalidReference as error:
        hint = "repository names are lower case" if name != name.lower() else hint
        raise _invalid("an image reference", text, hint) from error
    if tag is None and digest is None:
        tag = DEFAULT_TAG
    return Reference(repository, tag, digest, text)


def _split_host(name: str) -> tuple[str, str]:
    """Part a name into host and path (distribution `splitDockerDomain`); the host in lower case."""
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    if not is_host:
        return DOCKER_HUB, name
    return first.lower(), rest
