"""Hosts, tokens and URLs: what belongs to which, without a network."""

from __future__ import annotations

import pytest

from image_factory.errors import AuthenticationRequired, InvalidSettings, UnsafeValue
from image_factory.model.settings import Settings
from image_factory.ports import SourceRepository
from image_factory_github.hosts import AppSettings, GitHubSettings, Hosts, HostSettings

TOKEN = "ghp_t0ps3cretT0ken"
ENTERPRISE = GitHubSettings(hosts={"git.example.com": HostSettings(token_env="GHE")})


@pytest.mark.parametrize(
    ("written", "web", "api"),
    [
        (None, "https://github.com", "https://api.github.com"),
        ("github.com", "https://github.com", "https://api.github.com"),
        ("https://www.GitHub.com/", "https://github.com", "https://api.github.com"),
        ("git.example.com", "https://git.example.com", "https://git.example.com/api/v3"),
        ("git.example.com:8443", "https://git.example.com:8443", "https://git.example.com:8443/api/v3"),
        ("acme.ghe.com", "https://acme.ghe.com", "https://api.acme.ghe.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v3"),
    ],
)
def test_a_host_has_its_web_and_its_api(written: str | None, web: str, api: str) -> None:
    host = Hosts(GitHubSettings(), {}).named(written)

    assert (host.web, host.api) == (web, api)


@pytest.mark.parametrize(
    "written",
    [
        "http://git.example.com",
        "git.example.com/path",
        "-x",
        "a b",
        "user@host",
        "https://t0ken@git.example.com",
        "${{ x }}",
        "[::1]",
        "git.example.com:443:1",
    ],
)
def test_what_is_no_host_is_refused(written: str) -> None:
    with pytest.raises(UnsafeValue):
        Hosts(GitHubSettings(), {}).named(written)


@pytest.mark.parametrize(
    ("url", "is_claimed"),
    [
        ("https://github.com/acme/web", True),
        ("https://github.com/acme/web.git", True),
        ("https://www.github.com/acme/web/tree/main/apps", True),
        ("git@github.com:acme/web.git", True),
        ("ssh://git@github.com/acme/web.git", True),
        ("ssh://git@ssh.github.com:443/acme/web.git", True),
        ("https://git.example.com/acme/web", True),
        ("git@git.example.com:acme/web", True),
        ("https://other.example.com/acme/web", False),
        ("https://github.com.evil.example.com/acme/web", False),
        ("https://evil.example.com/github.com/acme", False),
        ("https://github.com@evil.example.com/acme/web", False),
        ("http://github.com/acme/web", False),
        ("https://github.com/acme", False),
        ("https://github.com/acme/..", False),
        ("https://github.com/-x/y", False),
        ("https://github.com/acme/web\nx", False),
        ("https://[github.com/acme/web", False),
        ("acme/web", False),
        ("", False),
    ],
)
def test_urls_of_known_hosts_are_claimed_and_no_others(url: str, is_claimed: bool) -> None:
    assert Hosts(ENTERPRISE, {}).claimed(url) is is_claimed


@pytest.mark.parametrize(
    ("path", "expected"), [("acme/web", "acme/web"), ("acme/web.git", "acme/web"), ("a-b/c.d_e", "a-b/c.d_e")]
)
def test_a_repository_is_an_owner_and_a_name(path: str, expected: str) -> None:
    assert Hosts().full_name(SourceRepository("github", None, path)) == expected


@pytest.mark.parametrize("path", ["acme", "acme/web/x", "../x", "acme/..", "acme/.", "/acme/web", "-a/b", "a b/c", ""])
def test_what_is_no_repository_is_refused(path: str) -> None:
    with pytest.raises(UnsafeValue):
        Hosts().full_name(SourceRepository("github", None, path))


@pytest.mark.parametrize(
    ("environment", "host", "expected"),
    [
        pytest.param({"GITHUB_TOKEN": TOKEN}, "github.com", TOKEN, id="the usual one"),
        pytest.param({"GH_TOKEN": TOKEN}, "github.com", TOKEN, id="the command line's"),
        pytest.param({"GITHUB_TOKEN": "", "GH_TOKEN": f" {TOKEN}\n"}, "github.com", TOKEN, id="an empty one first"),
        pytest.param({}, "github.com", None, id="none"),
        pytest.param({"GITHUB_TOKEN": TOKEN}, "other.example.com", None, id="not for another host"),
        pytest.param({"GH_ENTERPRISE_TOKEN": TOKEN}, "other.example.com", None, id="nor this, without its host"),
        pytest.param(
            {"GH_ENTERPRISE_TOKEN": TOKEN, "GH_HOST": "other.example.com"}, "other.example.com", TOKEN, id="its host"
        ),
        pytest.param(
            {"GITHUB_TOKEN": TOKEN, "GITHUB_SERVER_URL": "https://ghe.example.com"},
            "github.com",
            None,
            id="a workflow's",
        ),
        pytest.param(
            {"GITHUB_TOKEN": TOKEN, "GITHUB_SERVER_URL": "https://ghe.example.com"},
            "ghe.example.com",
            TOKEN,
            id="a workflow's, at home",
        ),
        pytest.param({"GHE": TOKEN, "GITHUB_TOKEN": "x"}, "git.example.com", TOKEN, id="the configured one"),
    ],
)
def test_a_token_belongs_to_one_host(environment: dict[str, str], host: str, expected: str | None) -> None:
    hosts = Hosts(ENTERPRISE, environment)

    assert hosts.token(hosts.named(host)) == expected
    assert TOKEN not in repr(hosts)


def test_a_configured_variable_that_is_not_set_is_named() -> None:
    hosts = Hosts(ENTERPRISE, {"GITHUB_TOKEN": TOKEN})

    with pytest.raises(AuthenticationRequired, match="GHE"):
        hosts.token(hosts.named("git.example.com"))


@pytest.mark.parametrize(
    "app",
    [
        AppSettings(app_id=1, installation_id=2),
        AppSettings(app_id=1, installation_id=2, private_key_env="UNSET"),
        AppSettings(app_id=1, installation_id=2, private_key_file="/no/such/key.pem"),
    ],
)
def test_an_app_without_its_key_says_so(app: AppSettings) -> None:
    hosts = Hosts(GitHubSettings(app=app), {})

    with pytest.raises(AuthenticationRequired) as caught:
        hosts.app(hosts.named(None))

    assert "privateKey" in caught.value.hint


@pytest.mark.parametrize(
    "written",
    [
        pytest.param({"token": TOKEN}, id="a token itself"),
        pytest.param({"tokenEnv": [TOKEN]}, id="a wrong type"),
        pytest.param({"hosts": {"a b": {}}}, id="no host"),
        pytest.param({"apiUrl": f"http://{TOKEN}@api.example.com"}, id="an API without encryption"),
    ],
)
def test_wrong_settings_are_refused_and_never_shown(written: dict[str, object]) -> None:
    with pytest.raises((InvalidSettings, UnsafeValue)) as caught:
        Hosts.from_settings(Settings(plugins={"github": written})).named(None)

    assert TOKEN not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"


def test_settings_are_read_under_their_names_in_camel_case() -> None:
    written = {"tokenEnv": "A", "hosts": {"git.example.com": {"tokenEnv": "B", "apiUrl": "https://api.example.com/"}}}

    hosts = Hosts.from_settings(Settings(plugins={"github": written}))

    assert hosts.settings.token_env == "A"
    assert hosts.named("git.example.com").api == "https://api.example.com"
