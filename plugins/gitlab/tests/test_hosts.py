"""Hosts, tokens and URLs: what belongs to which, without a network."""

from __future__ import annotations

import pytest

from image_factory.errors import AuthenticationRequired, InvalidSettings, UnsafeValue
from image_factory.model.settings import Settings
from image_factory.ports import SourceRepository
from image_factory_gitlab.hosts import GitLabSettings, Hosts, HostSettings, Token, TokenKind

TOKEN = "glpat-t0ps3cretT0ken"
OWN = GitLabSettings(
    hosts={
        "git.example.com": HostSettings(token_env="OWN"),
        "example.com/gitlab": HostSettings(token_env="BELOW", trigger_token_env="BELOW_TRIGGER"),
    }
)


@pytest.mark.parametrize(
    ("written", "web"),
    [
        (None, "https://gitlab.com"),
        ("https://www.GitLab.com/", "https://gitlab.com"),
        ("git.example.com", "https://git.example.com"),
        ("git.example.com:8443", "https://git.example.com:8443"),
        ("example.com/gitlab", "https://example.com/gitlab"),
        ("https://example.com/dev/gitlab/", "https://example.com/dev/gitlab"),
        ("http://127.0.0.1:8080/gitlab", "http://127.0.0.1:8080/gitlab"),
    ],
)
def test_a_host_has_its_web_and_its_api(written: str | None, web: str) -> None:
    host = Hosts(GitLabSettings(), {}).named(written)

    assert (host.web, host.api) == (web, f"{web}/api/v4")


@pytest.mark.parametrize(
    "written",
    [
        "http://git.example.com",
        "-x",
        "a b",
        "user@host",
        "https://t0ken@git.example.com",
        "${{ x }}",
        "[::1]",
        "git.example.com/../x",
        "git.example.com/a?b",
        "git.example.com:443:1",
    ],
)
def test_what_is_no_host_is_refused(written: str) -> None:
    with pytest.raises(UnsafeValue):
        Hosts(GitLabSettings(), {}).named(written)


@pytest.mark.parametrize(
    ("url", "is_claimed"),
    [
        ("https://gitlab.com/acme/web", True),
        ("https://gitlab.com/acme/platform/team/web.git", True),
        ("https://www.gitlab.com/acme/web", True),
        ("https://gitlab.com/acme/platform/web/-/tree/main/apps", True),
        ("git@gitlab.com:acme/platform/web.git", True),
        ("ssh://git@gitlab.com/acme/web.git", True),
        ("ssh://git@altssh.gitlab.com:443/acme/web.git", True),
        ("https://git.example.com/acme/web", True),
        ("https://example.com/gitlab/acme/web.git", True),
        ("git@example.com:acme/web.git", True),
        ("https://example.com/acme/web.git", False),
        ("https://example.com/gitlab/acme", False),
        ("https://example.com/gitlabber/acme/web", False),
        ("https://other.example.com/acme/web", False),
        ("https://gitlab.com.evil.example.com/acme/web", False),
        ("https://evil.example.com/gitlab.com/acme/web", False),
        ("https://gitlab.com@evil.example.com/acme/web", False),
        ("http://gitlab.com/acme/web", False),
        ("https://gitlab.com/acme", False),
        ("https://gitlab.com/-/acme", False),
        ("https://gitlab.com/acme/..", False),
        ("https://gitlab.com/acme/web\nx", False),
        ("https://[gitlab.com/acme/web", False),
        ("acme/web", False),
        ("", False),
    ],
)
def test_urls_of_known_hosts_are_claimed_and_no_others(url: str, is_claimed: bool) -> None:
    assert Hosts(OWN, {}).claimed(url) is is_claimed


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"GITLAB_HOST": "ci.example.com/gitlab"}, id="the named one"),
        pytest.param({"CI_SERVER_URL": "https://ci.example.com/gitlab"}, id="a running job's"),
    ],
)
def test_the_environment_s_gitlab_is_a_known_one(environment: dict[str, str]) -> None:
    url = "https://ci.example.com/gitlab/acme/web.git"

    assert Hosts(GitLabSettings(), environment).claimed(url)
    assert not Hosts(GitLabSettings(), {"GITLAB_HOST": "http://ci.example.com/gitlab"}).claimed(url)
    assert not Hosts(GitLabSettings(), {}).claimed(url)


@pytest.mark.parametrize(
    ("host", "path", "at"),
    [
        pytest.param(None, "acme/web", "https://gitlab.com/api/v4/projects/acme%2Fweb", id="two parts"),
        pytest.param(None, "a/b/c/d/e.f.git", "https://gitlab.com/api/v4/projects/a%2Fb%2Fc%2Fd%2Fe.f", id="depth"),
        pytest.param(
            "example.com/gitlab", "a/b", "https://example.com/gitlab/api/v4/projects/a%2Fb", id="below a path"
        ),
        pytest.param(
            "example.com",
            "gitlab/a/b",
            "https://example.com/gitlab/api/v4/projects/a%2Fb",
            id="split at the host's name, as a clone URL is",
        ),
    ],
)
def test_a_project_is_found_at_any_depth(host: str | None, path: str, at: str) -> None:
    project = Hosts(OWN, {}).project(SourceRepository("gitlab", host, path))

    assert project.host.api + project.at == at


@pytest.mark.parametrize("path", ["acme", "../x", "acme/..", "acme/./x", "/acme/web", "-a/b", "a b/c", "a//b", "a/b?c"])
def test_what_is_no_project_is_refused(path: str) -> None:
    with pytest.raises(UnsafeValue):
        Hosts(OWN, {}).project(SourceRepository("gitlab", None, path))


ACCESS, JOB = Token(TokenKind.ACCESS, TOKEN), Token(TokenKind.JOB, TOKEN)
IN_A_JOB = {"CI_JOB_TOKEN": TOKEN, "CI_SERVER_URL": "https://ci.example.com/gitlab"}


@pytest.mark.parametrize(
    ("environment", "host", "expected"),
    [
        pytest.param({"GITLAB_TOKEN": TOKEN}, "gitlab.com", ACCESS, id="the usual one"),
        pytest.param({"GITLAB_TOKEN": f" {TOKEN}\n"}, "gitlab.com", ACCESS, id="with a line's end"),
        pytest.param({}, "gitlab.com", None, id="none"),
        pytest.param({"GITLAB_TOKEN": TOKEN}, "other.example.com", None, id="not for another host"),
        pytest.param(
            {"GITLAB_TOKEN": TOKEN, "GITLAB_HOST": "https://other.example.com"}, "other.example.com", ACCESS, id="home"
        ),
        pytest.param(
            {"GITLAB_TOKEN": TOKEN, "GITLAB_HOST": "other.example.com"}, "gitlab.com", None, id="home is elsewhere"
        ),
        pytest.param(IN_A_JOB, "ci.example.com/gitlab", JOB, id="a job's"),
        pytest.param(IN_A_JOB, "ci.example.com", None, id="a job's, on another GitLab of that host"),
        pytest.param(IN_A_JOB, "gitlab.com", None, id="a job's, elsewhere"),
        pytest.param({"CI_JOB_TOKEN": TOKEN}, "gitlab.com", None, id="a job's of nowhere"),
        pytest.param({"OWN": TOKEN, "GITLAB_TOKEN": "x"}, "git.example.com", ACCESS, id="the configured one"),
    ],
)
def test_a_token_belongs_to_one_host(environment: dict[str, str], host: str, expected: Token | None) -> None:
    hosts = Hosts(OWN, environment)

    assert hosts.token(hosts.named(host)) == expected
    assert TOKEN not in f"{hosts!r} {expected!r}"


def test_a_project_has_a_trigger_token_of_its_own_or_its_host_s() -> None:
    own = HostSettings(trigger_token_env="ALL", trigger_tokens={"acme/web": "WEB"})
    environment = {"ALL": "all", "WEB": "web", "GITLAB_TRIGGER_TOKEN": "usual"}
    hosts = Hosts(GitLabSettings(hosts={"git.example.com": own}), environment)
    wanted = {("git.example.com", "acme/web"): "web", ("git.example.com", "acme/db"): "all"}
    wanted |= {("gitlab.com", "acme/web"): "usual"}

    found = {at: hosts.trigger_token(hosts.project(SourceRepository("gitlab", *at))) for at in wanted}

    assert found == wanted
    assert hosts.trigger_token(hosts.project(SourceRepository("gitlab", "other.example.com", "acme/web"))) is None


@pytest.mark.parametrize("value", [None, "", "two\nlines", "a b", "ü"])
def test_a_configured_variable_without_a_token_is_named_and_not_shown(value: str | None) -> None:
    hosts = Hosts(OWN, {"GITLAB_TOKEN": TOKEN} | ({} if value is None else {"OWN": value}))

    with pytest.raises(AuthenticationRequired, match="OWN") as caught:
        hosts.token(hosts.named("git.example.com"))

    assert caught.value.hint
    assert not value or value not in str(caught.value)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param({"token": TOKEN}, id="a token itself"),
        pytest.param({"tokenEnv": [TOKEN]}, id="a wrong type"),
        pytest.param({"tokenKind": TOKEN}, id="no kind"),
        pytest.param({"hosts": {"a b": {}}}, id="no host"),
    ],
)
def test_wrong_settings_are_refused_and_never_shown(written: dict[str, object]) -> None:
    with pytest.raises((InvalidSettings, UnsafeValue)) as caught:
        Hosts.from_settings(Settings(plugins={"gitlab": written}))

    assert TOKEN not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"


def test_settings_are_read_under_their_names_in_camel_case() -> None:
    written = {"tokenEnv": "A", "hosts": {"git.example.com": {"tokenEnv": "B", "tokenKind": "oauth"}}}

    hosts = Hosts.from_settings(Settings(plugins={"gitlab": written}))

    assert hosts.settings.token_env == "A"
    assert hosts.settings.hosts["git.example.com"].token_kind is TokenKind.OAUTH
