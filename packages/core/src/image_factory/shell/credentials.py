"""Credentials from Docker's files and credential helpers: the built-in plugin `docker`.

Reads, first found first: `DOCKER_AUTH_CONFIG` (the file's text), `REGISTRY_AUTH_FILE`,
`$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, `$XDG_RUNTIME_DIR/containers/auth.json`.
Formats: docker/cli `config.json`, docker-credential-helpers' protocol, containers-auth.json(5). No
secret enters a message, an argument or a log.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from image_factory.errors import ImageFactoryError, InvalidSettings, NotFound, RemoteError
from image_factory.hookspecs import hookimpl
from image_factory.model.settings import Settings
from image_factory.oci.authentication import IDENTITY_USER
from image_factory.oci.reference import DOCKER_HUB, Repository
from image_factory.ports import Credentials
from image_factory.shell.process import run_tool
from image_factory.shell.regular_file import open_regular

HUB_KEY = "https://index.docker.io/v1/"
"""Under which name Docker keeps Docker Hub's credentials (docker/cli `IndexServer`)."""
MAX_FILE = 4 * 1024 * 1024
MAX_ANSWER = 64 * 1024
HELPER_TIMEOUT = timedelta(seconds=30)

_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_NOT_FOUND = "credentials not found"


@hookimpl
def credentials_for(repository: Repository, settings: Settings) -> Credentials | None:
    """Return what Docker's files or helpers know for a repository's registry, or None."""
    return DockerCredentials(os.environ).find(repository)


@dataclass(frozen=True, slots=True)
class DockerCredentials:
    """Docker's credential files, as one environment sees them."""

    environment: Mapping[str, str] = field(repr=False)

    def find(self, repository: Repository) -> Credentials | None:
        """Return the credentials of the most particular entry that covers `repository`, or None.

        Raises:
            InvalidSettings: a file or a helper's answer cannot be read, or the helper named for
                this very registry fails.
        """
        for source, text in self._texts():
            found = self._find_in(_read(text, source), repository, source)
            if found is not None:
                return found
        return None

    def _texts(self) -> Iterator[tuple[str, str]]:
        if inline := self.environment.get("DOCKER_AUTH_CONFIG"):
            yield "DOCKER_AUTH_CONFIG", inline
        for path in self._files():
            try:
                with open_regular(path) as file:
                    content = file.read(MAX_FILE + 1)
                if len(content) > MAX_FILE:
                    raise InvalidSettings(f"{path} has more than {MAX_FILE} bytes", hint="is it Docker's config.json?")
                yield str(path), content.decode("utf-8")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
                raise InvalidSettings(f"cannot read {path}: {reason}", hint="docker login writes it anew") from None

    def _files(self) -> Iterator[Path]:
        if named := self.environment.get("REGISTRY_AUTH_FILE"):
            yield Path(named)
        home = self.environment.get("HOME") or self.environment.get("USERPROFILE")
        if folder := self.environment.get("DOCKER_CONFIG"):
            yield Path(folder) / "config.json"
        elif home:
            yield Path(home) / ".docker" / "config.json"
        if runtime := self.environment.get("XDG_RUNTIME_DIR"):
            yield Path(runtime) / "containers" / "auth.json"

    def _find_in(self, config: Mapping[str, object], repository: Repository, source: str) -> Credentials | None:
        keys = list(_keys(repository))
        helpers, auths = _table(config, "credHelpers", source), _table(config, "auths", source)
        by_name = {_normal(name): value for name, value in helpers.items()}
        for key in keys:
            if key in by_name:
                # Named for this registry, so what it lacks, or how it fails, is the answer.
                return self._ask(by_name[key], repository, source)
        store = config.get("credsStore")
        if store:
            try:
                found = self._ask(store, repository, source)
            except ImageFactoryError:
                # A store for everything, such as `desktop` on a machine without it: Docker itself
                # pulls public images all the same.
                found = None
            if found is not None:
                return found
        entries = {_normal(name): value for name, value in auths.items()}
        for key in keys:
            entry = entries.get(key)
            if isinstance(entry, dict) and (credentials := _entry(entry, key, source)) is not None:
                return credentials
        return None

    def _ask(self, helper: object, repository: Repository, source: str) -> Credentials | None:
        """Run `docker-credential-<helper> get` (docker-credential-helpers, "Development")."""
        if not isinstance(helper, str) or not _HELPER.match(helper):
            raise InvalidSettings(
                f"not a credential helper: {str(helper)[:80]!r} (from {source})",
                hint="write its name without docker-credential-, such as ecr-login",
            )
        program = f"docker-credential-{helper}"
        server = HUB_KEY if repository.registry == DOCKER_HUB else repository.registry
        try:
            answer = run_tool(
                [program, "get"],
                stdin=server.encode(),
                environment=self.environment,
                timeout=HELPER_TIMEOUT,
                max_output=MAX_ANSWER,
            )
        except (RemoteError, NotFound) as error:
            raise InvalidSettings(f"{error.message} (from {source})", hint=error.hint) from error
        if not answer.is_ok:
            if _NOT_FOUND in answer.text():
                return None
            # What it says may hold what it was about to give.
            raise InvalidSettings(
                f"{program} failed for {server} (from {source})", hint=f"try: echo {server} | {program} get"
            )
        body = _read(answer.text(), program)
        username, secret = body.get("Username"), body.get("Secret")
        if not isinstance(username, str) or not isinstance(secret, str):
            raise InvalidSettings(f"{program} answers without Username and Secret", hint="is the helper up to date?")
        return Credentials(username, secret) if secret else None


def _keys(repository: Repository) -> Iterator[str]:
    """Yield the names that cover a repository, the most particular first (containers-auth.json(5))."""
    hosts = ["index.docker.io", "docker.io", "registry-1.docker.io"] if repository.registry == DOCKER_HUB else []
    parts = repository.path.split("/")
    for host in hosts or [repository.registry]:
        for length in range(len(parts), 0, -1):
            yield f"{host}/{'/'.join(parts[:length])}"
    yield from hosts or [repository.registry]


def _normal(name: str) -> str:
    """Return an entry's name without scheme and without the API version that old clients wrote."""
    bare = name.strip().removeprefix("https://").removeprefix("http://").rstrip("/")
    for version in ("/v1", "/v2"):
        bare = bare.removesuffix(version)
    host, slash, path = bare.partition("/")
    return f"{host.lower()}{slash}{path}"


def _entry(entry: Mapping[str, object], key: str, source: str) -> Credentials | None:
    identity, bearer = entry.get("identitytoken"), entry.get("registrytoken")
    if isinstance(identity, str) and identity:
        return Credentials(IDENTITY_USER, identity)
    if isinstance(bearer, str) and bearer:
        return Credentials("", bearer)
    username, password = entry.get("username"), entry.get("password")
    encoded = entry.get("auth")
    if isinstance(encoded, str) and encoded:
        try:
            decoded = base64.b64decode(encoded, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            decoded = ""
        username, colon, password = decoded.partition(":")
        if not colon:
            raise InvalidSettings(
                f"the entry {key} of {source} has an auth that is no base64 of name:password",
                hint=f"docker login {key} writes it anew",
            ) from None
    if isinstance(username, str) and isinstance(password, str) and password:
        # Docker pads what it encodes with NULs.
        return Credentials(username, password.strip("\0"))
    return None


def _table(config: Mapping[str, object], name: str, source: str) -> Mapping[str, object]:
    table = config.get(name) or {}
    if not isinstance(table, dict):
        raise InvalidSettings(f"{name} of {source} is no map", hint="docker login writes it anew")
    return table


def _read(text: str, source: str) -> Mapping[str, object]:
    try:
        body = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        # Not chained: the parser's error holds the text, and the text holds secrets.
        raise InvalidSettings(f"{source} is no JSON", hint="docker login writes it anew") from None
    if not isinstance(body, dict):
        raise InvalidSettings(f"{source} is no JSON object", hint="docker login writes it anew")
    return body
