"""Which GitLabs there are, where their APIs are, and which token belongs to which: no network.

A token is named for one host, in the environment, and goes to that host alone. config.yaml says
where to find it (`plugins.gitlab`), never what it is. A GitLab may lie below a path of its host.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, urlsplit

from pydantic import Field

from image_factory.errors import AuthenticationRequired, UnsafeValue
from image_factory.model.settings import Settings
from image_factory.ports import SourceRepository
from image_factory.shell.http import is_loopback
from image_factory.shell.plugin_settings import PluginSettings, read_plugin_settings

PUBLIC = "gitlab.com"

_PART = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.][A-Za-z0-9_.-]*"
_PROJECT = re.compile(rf"{_PART}(?:/{_PART})+\Z")
_HOST = re.compile(
    r"(?:(?P<scheme>https?)://)?"
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?)"
    rf"(?P<below>(?:/{_PART})*)/?\Z"
)
_SCP = re.compile(r"(?:[A-Za-z0-9_-]+@)?(?P<host>[A-Za-z0-9.-]+):(?P<path>(?!//)[^:]+)\Z")
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}\Z")
MAX_PATH = 1_000
"""Characters of a project's path with all its groups."""


class TokenKind(StrEnum):
    """What a token is, and so which header carries it (docs.gitlab.com/api/rest/authentication)."""

    ACCESS = "access"
    """Personal, project or group access token: `PRIVATE-TOKEN`."""
    JOB = "job"
    """A CI job's: `JOB-TOKEN`."""
    OAUTH = "oauth"
    """`Authorization: Bearer`."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token for one host. `repr` does not show it."""

    kind: TokenKind
    value: str = field(repr=False)


class HostSettings(PluginSettings):
    """What differs for one host."""

    token_env: str | None = None
    """The variable that holds the token."""
    token_kind: TokenKind = TokenKind.ACCESS
    trigger_token_env: str | None = None
    """The variable that holds the pipeline trigger token."""
    trigger_tokens: dict[str, str] = Field(default_factory=dict)
    """Project → the variable that holds its own, since each trigger token is one project's."""


class GitLabSettings(HostSettings):
    """`plugins.gitlab` of config.yaml; what stands at its top is for gitlab.com."""

    hosts: dict[str, HostSettings] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """One GitLab: its name with port and path, and where its web pages and its API are."""

    name: str
    web: str

    @property
    def api(self) -> str:
        return f"{self.web}/api/v4"


@dataclass(frozen=True, slots=True)
class Project:
    """One project of one GitLab; `path` with all its groups."""

    host: Host
    path: str

    @property
    def web(self) -> str:
        return f"{self.host.web}/{self.path}"

    @property
    def at(self) -> str:
        """Its path below the API (docs.gitlab.com/api/rest, "Namespaced paths")."""
        return f"/projects/{quote(self.path, safe='')}"


@dataclass(frozen=True, slots=True)
class Hosts:
    """All GitLabs that are known, with where their tokens are; any other is asked without a token."""

    settings: GitLabSettings = field(default_factory=GitLabSettings)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> Hosts:
        """Read `plugins.gitlab` of config.yaml.

        Raises:
            InvalidSettings: it holds something else than `GitLabSettings`; each mistake is named.
        """
        known = "tokenEnv, tokenKind, triggerTokenEnv, triggerTokens, hosts"
        read = read_plugin_settings(GitLabSettings, settings, "gitlab", known=known)
        hosts = cls(read)
        for name in read.hosts:
            hosts.named(name)
        return hosts

    def named(self, written: str | None) -> Host:
        """Return the GitLab that `source.host` names; gitlab.com where it is None.

        Raises:
            UnsafeValue: it is no host, or one to be spoken to without encryption that is not this machine.
        """
        match = _HOST.match(written or PUBLIC)
        if match is None:
            raise UnsafeValue(f"not a GitLab host: {str(written)[:80]!r}", hint="write one such as gitlab.example.com")
        name, scheme = match["name"].lower(), match["scheme"] or "https"
        if name == f"www.{PUBLIC}":
            name = PUBLIC
        if scheme == "http" and not is_loopback(name):
            raise UnsafeValue(f"not encrypted: {written!r}", hint="use https")
        return Host(name + match["below"], f"{scheme}://{name}{match['below']}")

    def project(self, repository: SourceRepository) -> Project:
        """Return the project, and the GitLab that it is on.

        A known GitLab below a path is found too where host and path were split at the host's name, as a
        clone URL is.

        Raises:
            UnsafeValue: the path could be more than a project's, such as one that climbs out of the API's.
        """
        host, path = self.named(repository.host), repository.path.removesuffix(".git")
        if len(path) > MAX_PATH or not _PROJECT.match(path):
            raise UnsafeValue(
                f"not a project on GitLab: {repository.path[:120]!r}", hint="write group/project, such as acme/web"
            )
        whole = f"{host.name}/{path}"
        for known in sorted(self._known(), key=lambda one: -len(one.name)):
            rest = whole.removeprefix(f"{known.name}/")
            if rest != whole and len(known.name) > len(host.name) and _PROJECT.match(rest):
                return Project(known, rest)
        return Project(host, path)

    def claimed(self, url: str) -> bool:
        """Whether a clone or web URL is one of a known GitLab."""
        if len(url) > 4 * MAX_PATH or re.search(r"[\s\x00-\x1f]", url):
            return False
        scp = _SCP.match(url)
        if scp is not None and "://" not in url:
            return self._has_ssh(scp["host"]) and _is_project(scp["path"])
        try:
            parts = urlsplit(url)
            host = parts.netloc.rpartition("@")[2].lower()
        except ValueError:
            return False
        if parts.scheme == "ssh":
            return self._has_ssh(host.partition(":")[0]) and _is_project(parts.path)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
            return False
        whole = f"{host.removeprefix('www.') if host == f'www.{PUBLIC}' else host}{parts.path}"
        return any(
            whole.startswith(f"{known.name}/") and _is_project(whole[len(known.name) :]) for known in self._known()
        )

    def token(self, host: Host) -> Token | None:
        """Return the token for the API and git of `host`, or None.

        Raises:
            AuthenticationRequired: config.yaml names a variable that is not set, or it holds no token.
        """
        chosen = self._settings(host)
        if chosen.token_env is not None:
            return Token(chosen.token_kind, self._variable(chosen.token_env, host))
        for variable, kind, home in (
            ("GITLAB_TOKEN", TokenKind.ACCESS, self._home()),
            ("CI_JOB_TOKEN", TokenKind.JOB, self.environment.get("CI_SERVER_URL")),
        ):
            if home is not None and self._is(host, home) and self.environment.get(variable, "").strip():
                return Token(kind, self._variable(variable, host))
        return None

    def trigger_token(self, project: Project) -> str | None:
        """Return the pipeline trigger token of a project, or None.

        Raises:
            AuthenticationRequired: config.yaml names a variable that is not set, or it holds no token.
        """
        chosen = self._settings(project.host)
        variable = chosen.trigger_tokens.get(project.path, chosen.trigger_token_env)
        if variable is not None:
            return self._variable(variable, project.host)
        if self._is(project.host, self._home()) and self.environment.get("GITLAB_TRIGGER_TOKEN", "").strip():
            return self._variable("GITLAB_TRIGGER_TOKEN", project.host)
        return None

    # --- inner ---------------------------------------------------------------------------------------

    def _home(self) -> str:
        """Return the host that GITLAB_TOKEN and GITLAB_TRIGGER_TOKEN are for, as GitLab's own CLI says it."""
        return self.environment.get("GITLAB_HOST", "").strip() or PUBLIC

    def _is(self, host: Host, written: str) -> bool:
        try:
            return self.named(written).name == host.name
        except UnsafeValue:
            return False

    def _variable(self, name: str, host: Host) -> str:
        value = self.environment.get(name, "").strip()
        if not _TOKEN.match(value):
            why = "holds what no token holds" if value else "is not set"
            raise AuthenticationRequired(
                f"no token for {host.name}: the variable {name} {why}",
                hint=f"set {name}, or change plugins.gitlab in config.yaml",
            )
        return value

    def _settings(self, host: Host) -> HostSettings:
        for written, found in self.settings.hosts.items():
            if self._is(host, written):
                return found
        return self.settings if host.name == PUBLIC else HostSettings()

    def _known(self) -> Iterator[Host]:
        yield self.named(None)
        named = [self.environment.get(name, "").strip() for name in ("GITLAB_HOST", "CI_SERVER_URL")]
        for written in (*self.settings.hosts, *filter(None, named)):
            try:
                yield self.named(written)
            except UnsafeValue:
                continue

    def _has_ssh(self, name: str) -> bool:
        names = {urlsplit(known.web).hostname for known in self._known()} | {f"altssh.{PUBLIC}"}
        return name.lower() in names


def _is_project(path: str) -> bool:
    """Whether a URL's path leads to a project or into it."""
    return _PROJECT.match(path.partition("/-/")[0].strip("/").removesuffix(".git")) is not None
