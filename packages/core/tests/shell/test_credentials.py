"""Docker's credential files and helpers: which entry counts, and that no secret is told."""

from __future__ import annotations

import base64
import json
import os
import traceback
from pathlib import Path

import pytest

from image_factory.errors import InvalidSettings
from image_factory.oci.authentication import IDENTITY_USER
from image_factory.oci.reference import Repository
from image_factory.ports import Credentials
from image_factory.shell.credentials import DockerCredentials

SECRET = "planted-secret-77"


def auth(user: str = "ann", password: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


class Home:
    """A home folder with Docker's files and a PATH of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"HOME": str(root), "PATH": f"{root / 'bin'}:{os.environ.get('PATH', '')}"}

    def write(self, config: object, path: str = ".docker/config.json") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(config if isinstance(config, str) else json.dumps(config))
        return file

    def helper(self, name: str, script: str) -> None:
        file = self.root / "bin" / f"docker-credential-{name}"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def find(self, name: str = "ghcr.io/acme/web") -> Credentials | None:
        return DockerCredentials(self.environment).find(Repository.parse(name))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_without_files_there_are_none(home: Home) -> None:
    assert home.find() is None


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("ghcr.io", "ghcr.io/acme/web"),
        ("https://ghcr.io", "ghcr.io/acme/web"),
        ("https://ghcr.io/v2/", "ghcr.io/acme/web"),
        ("GHCR.io", "ghcr.io/acme/web"),
        ("ghcr.io/acme", "ghcr.io/acme/web"),
        ("ghcr.io/acme/web", "ghcr.io/acme/web"),
        ("localhost:5000", "localhost:5000/web"),
        ("[::1]:5000", "[::1]:5000/web"),
        ("https://index.docker.io/v1/", "alpine"),
        ("docker.io", "alpine"),
        ("index.docker.io", "grafana/grafana"),
        ("registry-1.docker.io", "alpine"),
        ("docker.io/grafana", "grafana/grafana"),
    ],
)
def test_an_entry_covers_its_registry(home: Home, key: str, name: str) -> None:
    home.write({"auths": {key: auth()}})

    assert home.find(name) == Credentials("ann", SECRET)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("ghcr.io", "quay.io/acme/web"),
        ("ghcr.io", "ghcr.io.evil.example/acme/web"),
        ("ghcr.io/acme", "ghcr.io/acmes/web"),
        ("ghcr.io/acme/web/more", "ghcr.io/acme/web"),
        ("localhost:5000", "localhost:5001/web"),
        ("https://index.docker.io/v1/", "ghcr.io/acme/web"),
        ("docker.io", "mirror.example.com/alpine"),
    ],
)
def test_an_entry_covers_no_other(home: Home, key: str, name: str) -> None:
    home.write({"auths": {key: auth()}})

    assert home.find(name) is None


def test_the_most_particular_entry_counts(home: Home) -> None:
    home.write({"auths": {"ghcr.io": auth("all"), "ghcr.io/acme": auth("acme"), "ghcr.io/acme/web": auth("web")}})

    assert home.find("ghcr.io/acme/web") == Credentials("web", SECRET)
    assert home.find("ghcr.io/acme/api") == Credentials("acme", SECRET)
    assert home.find("ghcr.io/other/api") == Credentials("all", SECRET)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param({"username": "ann", "password": SECRET}, Credentials("ann", SECRET), id="in clear"),
        pytest.param(auth("ann", f"{SECRET}:with:colons"), Credentials("ann", f"{SECRET}:with:colons"), id="colons"),
        pytest.param(auth("ann", f"{SECRET}\0\0"), Credentials("ann", SECRET), id="padded with NULs"),
        pytest.param({"identitytoken": SECRET, **auth()}, Credentials(IDENTITY_USER, SECRET), id="an identity token"),
        pytest.param({"registrytoken": SECRET}, Credentials("", SECRET), id="a bearer token"),
        pytest.param({}, None, id="an empty entry, as a store leaves it"),
        pytest.param({"auth": ""}, None, id="an empty auth"),
        pytest.param("ann", None, id="no map"),
    ],
)
def test_an_entry_has_many_forms(home: Home, entry: object, expected: Credentials | None) -> None:
    home.write({"auths": {"ghcr.io": entry}})

    assert home.find() == expected


def test_the_environment_names_the_files(home: Home) -> None:
    home.write({"auths": {"ghcr.io": auth("home")}})
    assert home.find() == Credentials("home", SECRET)

    home.environment["XDG_RUNTIME_DIR"] = str(home.root / "run")
    home.write({"auths": {"quay.io": auth("podman")}}, "run/containers/auth.json")
    assert home.find("quay.io/a") == Credentials("podman", SECRET)

    home.environment["DOCKER_CONFIG"] = str(home.root / "other")
    home.write({"auths": {"ghcr.io": auth("other")}}, "other/config.json")
    assert home.find() == Credentials("other", SECRET)

    home.environment["REGISTRY_AUTH_FILE"] = str(home.write({"auths": {"ghcr.io": auth("file")}}, "auth.json"))
    assert home.find() == Credentials("file", SECRET)

    home.environment["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {"ghcr.io": auth("inline")}})
    assert home.find() == Credentials("inline", SECRET)


@pytest.mark.parametrize(
    "config",
    [
        "{",
        f'{{"auths": {SECRET}',
        "[]",
        "5",
        {"auths": ["x"]},
        {"credHelpers": 5},
        {"auths": {"ghcr.io": {"auth": f"{SECRET}!"}}},
        {"auths": {"ghcr.io": {"auth": base64.b64encode(SECRET.encode()).decode()}}},
        "[" * 100_000,
    ],
)
def test_a_broken_file_is_named_and_its_secret_is_not(home: Home, config: object) -> None:
    path = home.write(config)

    with pytest.raises(InvalidSettings) as caught:
        home.find()

    told = "".join(traceback.format_exception(caught.value)) + caught.value.hint
    assert str(path) in caught.value.message
    assert SECRET not in told
    assert base64.b64encode(SECRET.encode()).decode() not in told


def test_a_file_that_is_no_text_or_a_folder_is_named(home: Home) -> None:
    (home.root / ".docker").mkdir()
    (home.root / ".docker" / "config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSettings, match=r"config\.json"):
        home.find()

    (home.root / ".docker" / "config.json").unlink()
    (home.root / ".docker" / "config.json").mkdir()
    with pytest.raises(InvalidSettings, match=r"config\.json"):
        home.find()


# --- helpers ---------------------------------------------------------------------------------------


ANSWER = (
    f"""read server; echo "$server" > "$HOME/asked"; echo '{{"ServerURL":"x","Username":"bob","Secret":"{SECRET}"}}'"""
)


def test_the_helper_of_a_registry_is_asked_for_its_host(home: Home) -> None:
    home.write({"credHelpers": {"ghcr.io": "test"}, "auths": {"ghcr.io": auth("file")}})
    home.helper("test", ANSWER)

    assert home.find() == Credentials("bob", SECRET)
    assert (home.root / "asked").read_text() == "ghcr.io\n"


def test_the_store_is_asked_for_docker_hub_under_its_old_name(home: Home) -> None:
    home.write({"credsStore": "test"})
    home.helper("test", ANSWER)

    assert home.find("alpine") == Credentials("bob", SECRET)
    assert (home.root / "asked").read_text() == "https://index.docker.io/v1/\n"


def test_a_helper_may_give_an_identity_token(home: Home) -> None:
    home.write({"credsStore": "test"})
    home.helper("test", f"""echo '{{"Username":"<token>","Secret":"{SECRET}"}}'""")

    assert home.find() == Credentials(IDENTITY_USER, SECRET)


def test_what_a_store_lacks_may_stand_in_the_file(home: Home) -> None:
    home.write({"credsStore": "test", "auths": {"ghcr.io": auth()}})
    home.helper("test", "echo 'credentials not found in native keychain'; exit 1")

    assert home.find() == Credentials("ann", SECRET)


def test_a_store_that_is_not_installed_is_passed_over(home: Home) -> None:
    home.write({"credsStore": "no-such-store"})

    assert home.find() is None


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param(f"echo {SECRET}; echo {SECRET} >&2; exit 1", "docker-credential-test failed", id="it fails"),
        pytest.param(f"echo {SECRET}", "no JSON", id="it answers no JSON"),
        pytest.param("echo '{}'", "without Username and Secret", id="it answers nothing"),
        pytest.param("yes | head -c 1000000", "wrote more than", id="it never stops"),
    ],
)
def test_a_helper_named_for_a_registry_must_work(home: Home, script: str, message: str) -> None:
    home.write({"credHelpers": {"ghcr.io": "test"}})
    home.helper("test", script)

    with pytest.raises(InvalidSettings, match=message) as caught:
        home.find()

    assert SECRET not in "".join(traceback.format_exception(caught.value)) + caught.value.hint


def test_a_helper_named_for_a_registry_that_is_missing_is_an_error(home: Home) -> None:
    home.write({"credHelpers": {"ghcr.io": "no-such-helper"}})

    with pytest.raises(InvalidSettings, match="docker-credential-no-such-helper"):
        home.find()


@pytest.mark.parametrize("name", ["../../bin/sh", "a b", "-x", "a;b", "", "$(id)", "x" * 100, 5, None])
def test_a_helpers_name_runs_nothing_else(home: Home, name: object) -> None:
    home.write({"credHelpers": {"ghcr.io": name}})

    with pytest.raises(InvalidSettings, match="not a credential helper"):
        home.find()


def test_credentials_are_not_shown(home: Home) -> None:
    home.write({"auths": {"ghcr.io": auth("ann")}})

    assert "ann" not in repr(home.find())
    assert SECRET not in repr(home.find())
    assert str(home.root) not in repr(DockerCredentials(home.environment))
