"""What rests on laws, seen by command: references and names that hold still, state that settles, and every provider."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.testing.git_server import GitServer
from image_factory.testing.github_server import GitHubServer
from image_factory.testing.gitlab_server import GitLabServer
from image_factory_cli.group import run

TOKEN = "plantedProviderT0ken"
SHA = "a" * 64
WRITTEN = (
    *("nginx", "nginx:1.27", "library/nginx", "index.docker.io/nginx", "registry-1.docker.io/acme/web:2"),
    *(
        "acme/web",
        "acme/deep/er/web:1",
        "ghcr.io/acme/web",
        "GHCR.io/acme/web:V1.0_x",
        "localhost/web",
        "localhost:5000/a/b:1",
    ),
    *(
        "[::1]:5000/a:1",
        "quay.io:443/x_y/z.w:on",
        f"nginx@sha256:{SHA}",
        f"nginx:1@sha256:{SHA}",
        f"ghcr.io/a/b@sha512:{SHA * 2}",
    ),
)
ALIKE = (
    *("acme/web-app:1", "acme-web/app:1", "acme/web:app-1", "acme/web_app:1", "acme/web.app:1", "acme/web__app:1"),
    *("quay.io/acme/web-app:1", "localhost:5000/acme/web-app:1", "localhost/5000-acme/web-app:1", "acme/web-app:1.0"),
    *(
        "node:22",
        "node:v22",
        "node:V22",
        "ghcr.io/library/node:22",
        f"acme/{'long-' * 20}a:1",
        f"acme/{'long-' * 20}b:1",
    ),
)
"""References that are hard to tell apart in a name of small letters, digits and hyphens."""


@pytest.fixture
def image_factory(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., str]:
    for variable in ("IMAGE_FACTORY_DIR", "IMAGE_FACTORY_STATE_DIR", "IMAGES_YAML", "GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("CI_SERVER_URL", "CI_JOB_TOKEN", "GITLAB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PLANTED", TOKEN)
    monkeypatch.chdir(tmp_path)

    def command(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        ended = run(words)
        out, err = capsys.readouterr()
        assert ended == code, out + err
        assert TOKEN not in out + err
        return out if "--json" in words else out + err

    return command


@pytest.fixture
def served(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "served") as git:
        yield git


def enrolled(tmp_path: Path, source: dict[str, str], config: dict[str, Any] | None = None) -> Path:
    """Make a git repository whose image-factory folder enrolls `web` from a source."""
    folder = tmp_path / "image-factory"
    folder.mkdir()
    entry = {"name": "web", "registry": "ghcr.io", "repository": "acme/web", "source": source}
    (folder / "images.yaml").write_text(yaml.safe_dump([entry]))
    (folder / "config.yaml").write_text(yaml.safe_dump(config or {}))
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return folder


def test_what_inspect_calls_canonical_stays_as_it_is_when_it_is_written(
    image_factory: Callable[..., str], tmp_path: Path
) -> None:
    def inspected(references: tuple[str, ...]) -> tuple[str, ...]:
        (tmp_path / "Dockerfile").write_text("".join(f"FROM {each}\n" for each in references))
        told = json.loads(image_factory("inspect", "Dockerfile", "--json"))
        assert told["diagnostics"] == []
        return tuple(each["canonical"] for each in told["references"])

    once = inspected(WRITTEN)

    assert len(once) == len(WRITTEN)
    assert inspected(once) == once
    assert once[:3] == (
        "docker.io/library/nginx:latest",
        "docker.io/library/nginx:1.27",
        "docker.io/library/nginx:latest",
    )
    assert once[-2] == f"docker.io/library/nginx:1@sha256:{SHA}"


def test_references_that_look_alike_get_files_of_their_own_for_ever(
    image_factory: Callable[..., str], tmp_path: Path, served: GitServer
) -> None:
    dockerfile = "".join(f"FROM {each}\n" for each in ALIKE)
    served.create("web.git", {"Dockerfile": dockerfile})
    folder = enrolled(tmp_path, {"provider": "git", "repo": served.url("web.git")})

    def names() -> dict[str, str]:
        files = (folder / "state" / "base-images").glob("*.yaml")
        return {yaml.safe_load(each.read_text())["fullImage"]: each.stem for each in files}

    image_factory("analyze")
    first = names()
    assert len(set(first.values())) == len(ALIKE)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) for name in first.values()), first
    assert first["docker.io/library/node:22"] == "node-22"

    # The others gone, and the order turned round: who stays keeps its name.
    kept = ALIKE[::-2]
    served.commit("web.git", {"Dockerfile": "".join(f"FROM {each}\n" for each in kept)}, "Fewer")
    image_factory("analyze")

    assert len(names()) == len(kept)
    assert names().items() <= first.items()


def test_a_second_analysis_leaves_every_byte_of_what_it_reads(
    image_factory: Callable[..., str], tmp_path: Path, served: GitServer
) -> None:
    served.create(
        "web.git", {"Dockerfile": "FROM python:3.10\nFROM node:on\nFROM alpine:2024-01-01\nFROM redis:0x1F\n"}
    )
    folder = enrolled(tmp_path, {"provider": "git", "repo": served.url("web.git")})
    image_factory("analyze")
    image = folder / "state" / "images" / "web.yaml"
    image.write_text(
        "# by hand\n"
        + image.read_text().replace("name: web\n", "name: web   # mine\n")
        + 'odd: [3.10, on, "007", 2024-01-01, ~]\n'
    )
    image_factory("observe", "--base", "python-3-10", "--digest", f"sha256:{SHA}")
    before = {path: path.read_bytes() for path in folder.rglob("*.yaml")}

    image_factory("analyze", "--all")
    image_factory("observe", "--base", "python-3-10", "--digest", f"sha256:{SHA}")

    assert {path: path.read_bytes() for path in folder.rglob("*.yaml")} == before
    base = yaml.safe_load((folder / "state" / "base-images" / "python-3-10.yaml").read_text())
    assert base["tag"] == "3.10"
    assert base["currentDigest"] == f"sha256:{SHA}"


# --- providers: one way for all of them -----------------------------------------------------------------

FILES = {"build/Dockerfile": "FROM alpine:3.22\nCOPY --from=busybox:1.37 /a /a\n"}


def test_a_plain_git_repository_is_read_and_says_that_it_builds_nothing(
    image_factory: Callable[..., str], tmp_path: Path, served: GitServer
) -> None:
    served.create("web.git", FILES, branch="release/1")
    source = {"provider": "git", "repo": served.url("web.git"), "branch": "release/1", "dockerfile": "build/Dockerfile"}
    folder = enrolled(tmp_path, source)

    image_factory("analyze")

    assert bases(folder) == ["alpine-3-22"]
    assert "\nhint: " in image_factory("rebuild", "web", "--force", "--dry-run", code=2)
    assert "\nhint: " in image_factory("runs", "web", code=2)


def test_github_is_read_started_and_asked_for_its_runs(image_factory: Callable[..., str], tmp_path: Path) -> None:
    pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
    with GitHubServer(tmp_path / "github", token=TOKEN) as github:
        github.repositories.create("acme/web.git", FILES, branch="release/1")
        source = {"provider": "github", "host": github.url, "repo": "acme/web", **BUILT, "workflow": "web.yml"}
        folder = enrolled(tmp_path, source, {"plugins": {"github": {"hosts": {github.url: {"tokenEnv": "PLANTED"}}}}})
        image_factory("workflow", "web", "--output", "web.yml")
        workflow = (tmp_path / "web.yml").read_text()
        github.repositories.commit("acme/web.git", {".github/workflows/web.yml": workflow}, "Build", branch="release/1")

        told = walked(image_factory, folder)

        assert told["url"] == f"{github.url}/api/v3/repos/acme/web/actions/workflows/web.yml/dispatches"
        assert told["json"]["ref"] == "release/1"
        assert "404" in image_factory("runs", "rerun", "web", "999", code=2)


def test_gitlab_is_read_started_and_asked_for_its_runs(image_factory: Callable[..., str], tmp_path: Path) -> None:
    pytest.importorskip("image_factory_gitlab", reason="the plugin gitlab is not installed")
    project = "acme/platform/deep/web"
    with GitLabServer(tmp_path / "gitlab", token=TOKEN, trigger_tokens={project: TOKEN}) as gitlab:
        gitlab.repositories.create(f"{project}.git", FILES, branch="release/1")
        source = {"provider": "gitlab", "host": gitlab.url, "repo": project, **BUILT}
        host = {"tokenEnv": "PLANTED", "triggerTokenEnv": "PLANTED"}
        folder = enrolled(tmp_path, source, {"plugins": {"gitlab": {"hosts": {gitlab.url: host}}}})
        job = image_factory("workflow", "web")
        gitlab.repositories.commit(f"{project}.git", {".gitlab-ci.yml": job}, "Build", branch="release/1")

        told = walked(image_factory, folder)

        assert told["url"].startswith(f"{gitlab.url}/api/v4/projects/")
        assert told["url"].endswith("/trigger/pipeline")
        assert told["json"]["ref"] == "release/1"
        assert "404" in image_factory("runs", "rerun", "web", "999", code=2)


BUILT = {"branch": "release/1", "dockerfile": "build/Dockerfile"}


def bases(folder: Path) -> list[str]:
    names: list[str] = yaml.safe_load((folder / "state" / "images" / "web.yaml").read_text())["baseImages"]
    return names


def walked(image_factory: Callable[..., str], folder: Path) -> dict[str, Any]:
    """Read, describe, start and list, and return the request that would start a build."""
    image_factory("analyze")
    assert bases(folder) == ["alpine-3-22"]
    described: dict[str, Any] = json.loads(image_factory("rebuild", "web", "--force", "--dry-run", "--json"))
    assert described["method"] == "POST"
    assert json.loads(image_factory("runs", "web", "--json"))["runs"] == []
    image_factory("rebuild", "web", "--force")
    (listed,) = json.loads(image_factory("runs", "web", "--json"))["runs"]
    (build,) = yaml.safe_load((folder / "state" / "images" / "web.yaml").read_text())["rebuildHistory"]
    assert (build["result"], build["runId"]) == ("started", listed["id"])
    return described
