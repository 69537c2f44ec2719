"""Image references: `Repository`, `Tag`, `Digest` and `Reference`, as small frozen values.

The grammar is distribution's (github.com/distribution/reference, `regexp.go` and `normalize.go`),
the canonical form is Docker's: `docker.io` for no host, `library/` for its one-word names, `latest`
where neither tag nor digest is given. Both what was written and the canonical form are kept.

Two deliberate differences from distribution: hosts fold to lower case, and `registry-1.docker.io`
folds to `docker.io`, since both name the same registry. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from image_factory.errors import InvalidReference

DOCKER_HUB = "docker.io"
DEFAULT_TAG = "latest"
MAX_NAME = 255
"""Characters of a repository's path, without its host (distribution `RepositoryNameTotalLengthMax`)."""
MAX_TAG = 128
"""Characters of a tag (OCI distribution-spec, "Pulling manifests")."""
MAX_REFERENCE = 1024
"""Characters of a whole reference: the longest host, path, tag and digest fit in 800. Longer is no reference."""

_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
# No \d, \w or IGNORECASE here: in Python they take digits and letters of every script, Go's take ASCII.
_DOMAIN_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?\Z")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
# The algorithms that Docker's and BuildKit's go-digest know, with their lengths in lower-case hex.
# Others are refused, as distribution does: content that cannot be checked is not pinned.
_ALGORITHMS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+\Z")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}\Z")


def is_tag(text: str) -> bool:
    """Whether `text` is a tag (OCI distribution-spec, "Pulling manifests")."""
    return _TAG.match(text) is not None


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
            InvalidReference: the algorithm is none of sha256, sha384 and sha512, or what follows is
                not as many lower-case hex digits as it has.
        """
        algorithm, _, encoded = text.partition(":")
        length = _ALGORITHMS.get(algorithm)
        if length is None or len(encoded) != length or not _HEX.match(encoded):
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
        if not _PATH.match(path):
            raise _invalid("a repository", text, _path_hint(path))
        if len(path) > MAX_NAME:
            raise _invalid("a repository", text, f"a repository's path has at most {MAX_NAME} characters")
        return cls(host, path)

    @property
    def familiar(self) -> str:
        """The name as people write it, and as `parse` reads it back: without `docker.io/` and `library/`."""
        if self.registry != DOCKER_HUB:
            return str(self)
        first, _, rest = self.path.partition("/")
        if first == "library" and rest and "/" not in rest:
            return rest
        # `docker.io/my.org/x` would read as the host my.org without its own host.
        return str(self) if _is_host(first) else self.path

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
    if not text or len(text) > MAX_REFERENCE:
        raise _invalid("an image reference", text, hint)
    if _IMAGE_ID.match(text):
        # distribution `ParseNormalizedNamed`: 64 hex digits alone are an image id, never a name.
        raise _invalid("an image reference", text, "64 hex digits are an image id; write a name, or name@sha256:…")
    rest, at, encoded = text.partition("@")
    # A colon after the last slash separates the tag; before it, it belongs to the host's port.
    name, tag = rest, None
    colon = rest.rfind(":")
    if colon > rest.rfind("/"):
        name, tag = rest[:colon], rest[colon + 1 :]
        if not _TAG.match(tag):
            what = f"a tag is letters, digits, _ . - and at most {MAX_TAG} long, and starts with none of . and -"
            raise _invalid("an image reference", text, what)
    try:
        digest = Digest.parse(encoded) if at else None
        repository = Repository.parse(name)
    except InvalidReference as error:
        raise _invalid("an image reference", text, error.hint or hint) from error
    if tag is None and digest is None:
        tag = DEFAULT_TAG
    return Reference(repository, tag, digest, text)


def _split_host(name: str) -> tuple[str, str]:
    """Part a name into host and path (distribution `splitDockerDomain`); the host in lower case."""
    first, slash, rest = name.partition("/")
    if not slash or not _is_host(first):
        return DOCKER_HUB, name
    # Checked before it is folded: the Kelvin sign and other letters fold into ASCII.
    # A host with underscores is none of the grammar's, but reads as a path there, and is pulled from.
    if not _HOST.match(first) and not _PATH.match(first):
        raise _invalid("a registry host", first, "write a host name, with :port if it has one")
    folded = first.lower()
    # Upper case alone made `ACME/web` a host; folded, it would read back as a path on Docker Hub.
    return (folded if _is_host(folded) else first), rest


def _is_host(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost" or first != first.lower()


def _path_hint(path: str) -> str:
    if path != path.lower():
        return "repository names are lower case"
    if not path or "//" in path or path.startswith("/") or path.endswith("/"):
        return "write [host[:port]/]path[:tag][@digest], such as ghcr.io/acme/web:1.2"
    return "a repository's path is lower-case letters and digits, parted by single . _ / or by __ or hyphens"
