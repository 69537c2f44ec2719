"""Every request that the plugin sends, and every answer of the fake, keeps to GitHub's published description."""

from __future__ import annotations

import dataclasses
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from image_factory.errors import RemoteError, UnsafeValue
from image_factory.ports import BuildRequest, SourceRepository
from image_factory.testing.github_openapi import Description, find_description
from image_factory.testing.github_server import GitHubServer
from image_factory.testing.rest_server import Exchange
from image_factory.testing.source_contract import FILES, LINKS, plant_repository, proposal
from image_factory.testing.trigger_contract import plant_workflows
from image_factory_github.hosts import AppSettings, GitHubSettings, Hosts, HostSettings
from image_factory_github.source import GitHubSource
from image_factory_github.trigger import GitHubTrigger

TOKEN = "ghp_t0ps3cretT0ken"


class RealClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, duration: timedelta) -> None:
        raise AssertionError("nothing waits here")


@pytest.fixture(scope="module")
def description() -> Description:
    path, reason = find_description()
    if path is None:
        pytest.skip(reason)
    return Description(path)


def test_all_that_the_source_says_and_hears_is_described(description: Description, tmp_path: Path) -> None:
    with GitHubServer(tmp_path / "github", token=TOKEN, max_entries=8) as server:
        planted = plant_repository(server.repositories, "acme/web.git")
        hosts = Hosts(GitHubSettings(hosts={server.url: HostSettings(token_env="PLANTED")}), {"PLANTED": TOKEN})
        source, web = GitHubSource(hosts, RealClock()), SourceRepository("github", server.url, "acme/web")
        for ref in ("main", "v1", "v1-annotated", planted.first, planted.first[:10], "HEAD", "refs/heads/both"):
            source.revision(web, ref)
        source.references(web)
        source.files(web, planted.head)
        for path in [*FILES, *LINKS, "apps", "vendored", "nothing", "apps/folder/Dockerfile"]:
            try:
                source.read(web, planted.head, path)
            except (RemoteError, UnsafeValue):
                continue
        source.open_change_request(web, proposal())
        source.open_change_request(web, proposal(b"FROM node:26\n"))
        source.open_change_request(web, dataclasses.replace(proposal(), body="More.\n"))
        server.repositories.commit("acme/web.git", {"theirs": "1"}, "Theirs", branch="taken")
        server.trouble(500, matches="POST .*/pulls")
        for branch, base in (("x", "no-such-base"), ("y", "main"), ("taken", "main")):
            with pytest.raises(RemoteError):
                source.open_change_request(web, dataclasses.replace(proposal(), branch=branch, base=base))

        server.settle_pull("acme/web", 1, merge=True)
        source.change_request(web, proposal().branch, "main")
        problems = [problem for exchange in server.exchanges for problem in description.problems(exchange)]

        methods = {exchange.method for exchange in server.exchanges}
        assert methods == {"GET", "POST", "PATCH", "DELETE"}
        assert len(server.exchanges) > 50
        assert problems == []


def test_all_that_the_trigger_says_and_hears_is_described(description: Description, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    app = AppSettings(app_id=7, installation_id=42, private_key_file=str(tmp_path / "key.pem"))
    with GitHubServer(tmp_path / "github", token=TOKEN) as server:
        plant_workflows(server.repositories, "acme/web.git")
        hosts = Hosts(GitHubSettings(hosts={server.url: HostSettings(app=app)}), {})
        trigger = GitHubTrigger(hosts, RealClock())
        web = SourceRepository("github", server.url, "acme/web")
        request = BuildRequest(web, "main", "build.yml", "r-1", {"request_id": "r-1"})
        number = trigger.start(request)
        assert number is not None
        trigger.find_run(request)
        trigger.run(request, number)
        trigger.runs(request)
        with pytest.raises(RemoteError):
            trigger.rerun(request, number)
        server.finish("acme/web", int(number))
        trigger.run(request, number)
        trigger.rerun(request, number)
        for bad in (
            dataclasses.replace(request, workflow="none.yml"),
            dataclasses.replace(request, inputs={"surprise": "1"}),
            dataclasses.replace(request, workflow="fixed.yml"),
            dataclasses.replace(request, ref="none"),
        ):
            with pytest.raises(RemoteError):
                trigger.start(bad)

        problems = [problem for exchange in server.exchanges for problem in description.problems(exchange)]

        assert server.exchanges[0].path == "/app/installations/42/access_tokens"
        assert problems == []


def test_what_is_not_described_is_found(description: Description, tmp_path: Path) -> None:
    with GitHubServer(tmp_path / "github") as server:
        plant_workflows(server.repositories, "acme/web.git")
        hosts = Hosts(GitHubSettings(hosts={server.url: HostSettings()}), {})
        trigger = GitHubTrigger(hosts, RealClock())
        web = SourceRepository("github", server.url, "acme/web")
        trigger.start(BuildRequest(web, "main", "build.yml", "r-1", {"request_id": "r-1"}))
        trigger.runs(BuildRequest(web, "main", "build.yml", "r-1"))
        dispatch, runs = server.exchanges

    bad = [
        asked(dispatch, path="/repos/acme/web/no/such/thing"),
        asked(dispatch, body=b'{"inputs": {}}'),
        asked(dispatch, body=b'{"ref": "main", "surprise": 1}'),
        told(dispatch, status=202),
        told(dispatch, body=b'{"workflow_run_id": "1"}'),
        asked(runs, query={"surprise": "1"}),
        told(runs, body=runs.reply.body.replace(b'"head_sha"', b'"head"')),
        told(runs, headers={"Content-Type": "text/html"}),
    ]
    assert [description.problems(exchange) for exchange in (dispatch, runs)] == [[], []]
    assert all(description.problems(exchange) for exchange in bad)


def asked(exchange: Exchange, **changed: Any) -> Exchange:
    return dataclasses.replace(exchange, request=dataclasses.replace(exchange.request, **changed))


def told(exchange: Exchange, **changed: Any) -> Exchange:
    return dataclasses.replace(exchange, reply=dataclasses.replace(exchange.reply, **changed))


def test_without_npm_the_reason_says_how_to_give_the_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("IMAGE_FACTORY_GITHUB_OPENAPI", raising=False)
    assert shutil.which("npm") is None

    path, reason = find_description(tmp_path / "cache")

    assert path is None
    assert "IMAGE_FACTORY_GITHUB_OPENAPI" in reason
