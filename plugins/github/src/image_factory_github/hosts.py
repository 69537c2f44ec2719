"""Which GitHub hosts there are, where their APIs are, and which token belongs to which: no network.

A token is named for one host, in the environment, and goes to that host alone. config.yaml says
where to find it (`plugins.github`), never what it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field

from image_factory.errors import AuthenticationRequired, InvalidSettings, UnsafeValue
from image_factory.model.settings import Settings
from image_factory.ports import SourceRepository
from image_factory.shell.http import is_loopback
from image_factory.shell.plugin_settings import PluginSettings, read_plugin_settings

PUBLIC = "github.com"
API_VERSION = "2022-11-28"
"""The version of the REST API that this is written for (docs.github.com/rest/about-the-rest-api/api-versions)."""

_OWNER = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,98})"
_NAME = r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}"
_FULL_NAME = re.compile(rf"{_OWNER}/{_NAME}\Z")
_HOST = re.compile(r"(?:(?P<scheme>https?)://)?(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?)/?\Z")
_SCP = re.compile(rf"(?:[A-Za-z0-9_-]+@)?(?P<host>[A-Za-z0-9.-]+):(?P<path>{_OWNER}/[A-Za-z0-9._-]+?)(?:\.git)?/?\Z")


class AppSettings(PluginSettings):
    """A GitHub App's installation; its private key lies in a file or in a variable."""

    app_id: int | str
    installation_id: int
    private_key_file: str | None = None
    private_key_env: str | None = None


class HostSettings(PluginSettings):
    """What differs for one host."""

    token_env: str | None = None
    """The variable that holds the token."""
    api_url: str | None = None
    app: AppSettings | None = None


class GitHubSettings(HostSettings):
    """`plugins.github` of config.yaml; what stands at its top is for github.com."""

    hosts: dict[str, HostSettings] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """One GitHub: its name with its port, and where its web pages and its API are."""

    name: str
    web: str
    api: str


@dataclass(frozen=True, slots=True)
class Hosts:
    """All hosts that are known, with where their tokens are; any other is asked without a token."""

    settings: GitHubSettings = field(default_factory=GitHubSettings)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> Hosts:
        """Read `plugins.github` of config.yaml.

        Raises:
            InvalidSettings: it holds something else than `GitHubSettings`; each mistake is named.
        """
        known = "tokenEnv, apiUrl, app, hosts"
        read = read_plugin_settings(GitHubSettings, settings, "github", known=known)
        hosts = cls(read)
        for name in (None, *read.hosts):
            hosts.named(name)
        return hosts

    def named(self, written: str | None) -> Host:
        """Return the host that `source.host` names; github.com where it is None.

        Raises:
            UnsafeValue: it is no host, or one to be spoken to without encryption that is not this machine.
        """
        match = _HOST.match(written or PUBLIC)
        if match is None:
            raise UnsafeValue(f"not a GitHub host: {str(written)[:80]!r}", hint="write one such as github.example.com")
        name, scheme = match["host"].lower(), match["scheme"] or "https"
        if name == f"www.{PUBLIC}":
            name = PUBLIC
        if scheme == "http" and not is_loopback(name):
            raise UnsafeValue(f"not encrypted: {written!r}", hint="use https")
        web = f"{scheme}://{name}"
        if name == PUBLIC:
            api = f"https://api.{PUBLIC}"
        elif name.endswith(".ghe.com"):
            api = f"https://api.{name}"  # Enterprise Cloud with data residency
        else:
            api = f"{web}/api/v3"
        chosen = self._settings(name).api_url
        if chosen is not None:
            parts = urlsplit(chosen)
            is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.netloc))
            if not is_safe or "@" in parts.netloc or not parts.hostname:
                raise InvalidSettings(
                    f"apiUrl of {name} is no https URL without credentials",
                    hint="write one such as https://host/api/v3",
                )
            api = chosen.rstrip("/")
        return Host(name, web, api)

    def of(self, repository: SourceRepository) -> Host:
        return self.named(repository.host)

    def full_name(self, repository: SourceRepository) -> str:
        """Return `owner/name`.

        Raises:
            UnsafeValue: the path is something else, such as one that climbs out of the API's paths.
        """
        path = repository.path.removesuffix(".git")
        if not _FULL_NAME.match(path):
            raise UnsafeValue(
                f"not a repository on GitHub: {repository.path[:120]!r}",
                hint="write owner/repository, such as acme/web",
            )
        return path

    def claimed(self, url: str) -> bool:
        """Whether a clone or web URL is one of a known host."""
        scp = _SCP.match(url)
        if scp is not None:
            return self._is_known(scp["host"])
        try:
            parts = urlsplit(url)
            host = parts.netloc.rpartition("@")[2].lower()
        except ValueError:
            return False
        words = parts.path.strip("/").split("/")
        if parts.scheme not in ("https", "ssh", "http") or len(words) < 2 or re.search(r"[\s\x00-\x1f]", url):
            return False
        if not _FULL_NAME.match("/".join(words[:2]).removesuffix(".git")):
            return False
        if parts.scheme == "http":
            return is_loopback(host) and self._is_known(host)
        return self._is_known(host.partition(":")[0] if parts.scheme == "ssh" else host)

    def token(self, host: Host) -> str | None:
        """Return the token for `host` out of the environment, or None.

        Raises:
            AuthenticationRequired: config.yaml names a variable that is not set.
        """
        chosen = self._settings(host.name).token_env
        if chosen is not None:
            value = self.environment.get(chosen, "").strip()
            if not value:
                raise AuthenticationRequired(
                    f"no token for {host.name}: the variable {chosen} is not set",
                    hint=f"set {chosen}, or change plugins.github in config.yaml",
                )
            return value
        server = urlsplit(self.environment.get("GITHUB_SERVER_URL", f"https://{PUBLIC}")).netloc.lower()
        # In a workflow GITHUB_TOKEN belongs to the server that runs it, which may be an Enterprise one.
        names = ["GITHUB_TOKEN"] if host.name == server else []
        if host.name == PUBLIC:
            names.append("GH_TOKEN")
        elif host.name in (server, self.environment.get("GH_HOST", "").lower()):
            names += ["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"]
        return next((self.environment[name].strip() for name in names if self.environment.get(name, "").strip()), None)

    def app(self, host: Host) -> tuple[AppSettings, str] | None:
        """Return the App that acts on `host` with its private key, or None.

        Raises:
            AuthenticationRequired: its key cannot be read.
        """
        app = self._settings(host.name).app
        if app is None:
            return None
        key = self.environment.get(app.private_key_env or "", "")
        if app.private_key_file is not None:
            try:
                key = Path(app.private_key_file).expanduser().read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise AuthenticationRequired(
                    f"cannot read the App's private key {app.private_key_file!r}", hint="check app.privateKeyFile"
                ) from error
        if not key.strip():
            raise AuthenticationRequired(
                f"no private key for the App on {host.name}", hint="set app.privateKeyFile or app.privateKeyEnv"
            )
        return app, key

    def _settings(self, name: str) -> HostSettings:
        for written, found in self.settings.hosts.items():
            match = _HOST.match(written)
            if match is not None and match["host"].lower() == name:
                return found
        return self.settings if name == PUBLIC else HostSettings()

    def _is_known(self, name: str) -> bool:
        known = {PUBLIC, f"www.{PUBLIC}", f"ssh.{PUBLIC}"}
        known |= {match["host"].lower() for match in map(_HOST.match, self.settings.hosts) if match is not None}
        return name.lower() in known
