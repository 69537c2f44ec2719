"""`observe` as people and Kargo's Job call it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

Folder = Any  # of this package's conftest

DIGEST = f"sha256:{'b' * 64}"


@pytest.fixture
def web(folder: Folder) -> Folder:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    folder.registry.push_image("library/node", "22")
    folder.run("analyze")
    return folder


def test_what_moved_is_said_and_committed(web: Folder) -> None:
    first = web.run("observe")
    web.registry.push_image("library/node", "22", seed="second")
    second = web.run("observe")

    assert (first.code, second.code) == (0, 0)
    assert "node-22: first seen at sha256:" in first.out
    assert "node-22: moved from sha256:" in second.out
    assert web.git("log", "--format=%s").splitlines()[:2] == ["Observe node-22", "Observe node-22"]


def test_a_run_that_learns_nothing_commits_nothing(web: Folder) -> None:
    web.run("observe")
    count = web.git("rev-list", "--count", "HEAD")

    assert web.run("observe").out.splitlines() == ["1 unchanged"]
    assert web.git("rev-list", "--count", "HEAD") == count


def test_a_dry_run_asks_and_writes_nothing(web: Folder) -> None:
    ran = web.run("observe", "--dry-run")

    assert "+currentDigest:" in ran.out
    assert "currentDigest" not in (web.root / "state/base-images/node-22.yaml").read_text()


EXTERNAL = "- {name: redis, registry: docker.io, repository: library/redis, tag: '7'}\n"
SEVERAL = "- {name: nats, registry: docker.io, repository: library/nats, allowTags: '^2\\..*'}\n"


def test_a_digest_of_an_external_image_that_kargo_saw_is_recorded(web: Folder) -> None:
    images = web.root / "images.yaml"
    images.write_text(images.read_text() + EXTERNAL)
    ran = web.run("observe", "--base", "redis", "--digest", DIGEST, "--json")
    again = web.run("observe", "--base", "redis", "--digest", DIGEST, "--json")

    assert (ran.code, ran.json["files"]) == (0, ["state/images/redis.yaml"])
    runtime = web.run("status", "redis", "--json").json["runtime"]
    assert (runtime["currentDigest"], runtime["currentVersion"]) == (DIGEST, "7")
    assert (again.code, again.json["files"]) == (0, [])


def test_the_first_record_of_an_external_image_is_that_of_its_analysis(web: Folder) -> None:
    images = web.root / "images.yaml"
    images.write_text(images.read_text() + EXTERNAL)

    seen = web.run("observe", "--base", "redis", "--digest", DIGEST)
    analyzed = web.run("analyze", "--json")

    assert seen.code == 0
    assert "state/images/redis.yaml" not in analyzed.json["files"]


def test_a_digest_that_belongs_to_no_known_tag_is_told_with_what_to_do(web: Folder) -> None:
    images = web.root / "images.yaml"
    images.write_text(images.read_text() + SEVERAL)
    web.run("analyze")

    several = web.run("observe", "--base", "nats", "--digest", DIGEST)
    managed = web.run("observe", "--base", "web", "--digest", DIGEST)

    assert (several.code, managed.code) == (2, 2)
    assert "hint: image-factory observe --base nats asks the registry which one it is" in several.err
    assert "hint: image-factory analyze --image web --digest" in managed.err


def test_a_digest_seen_by_kargo_is_recorded(web: Folder) -> None:
    ran = web.run("observe", "--base", "node-22", "--digest", DIGEST, "--json")

    assert ran.json["outcomes"] == [
        {"name": "node-22", "outcome": "changed", "changes": ["first seen at sha256:bbbbbbbbbbbb"]}
    ]
    assert DIGEST in (web.root / "state/base-images/node-22.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--digest", DIGEST], "--digest without one --base", id="a digest of no base"),
        pytest.param(["--base", "node-22", "--digest", "latest"], "not a digest: 'latest'", id="no digest"),
        pytest.param(["--base", "nope"], "'nope'", id="an unknown base"),
    ],
)
def test_bad_usage_is_one_error_that_says_what(web: Folder, words: list[str], message: str) -> None:
    ran = web.run("observe", *words)

    assert ran.code == 2
    assert message in ran.err


def test_a_registry_that_does_not_know_the_tag_fails_that_image_alone(web: Folder) -> None:
    web.service("api", "FROM redis:7\n")
    web.managed("web", "api")
    web.run("analyze")

    ran = web.run("observe")

    assert ran.code == 3
    assert "1 changed, 1 failed" in ran.out


@pytest.mark.parametrize(("down", "code"), [(("docker.io", "ghcr.io"), 5), (("ghcr.io",), 3)], ids=["all", "one"])
def test_registries_that_are_down_are_something_outside_and_no_image_s_fault(
    web: Folder, down: tuple[str, ...], code: int
) -> None:
    web.service("api", "FROM ghcr.io/acme/base:1\n")
    web.managed("web", "api")
    web.run("analyze")
    config = web.root / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    for host in down:
        settings["registries"][host]["endpoint"] = "http://127.0.0.1:9"  # where nobody listens
    config.write_text(yaml.safe_dump(settings))

    ran = web.run("observe")

    assert ran.code == code
    assert f"{len(down)} failed" in ran.out


def test_what_was_learned_is_shown_although_the_push_is_refused(web: Folder, tmp_path: Any) -> None:
    web.git("add", ".")
    web.git("commit", "--quiet", "--message", "Enroll web")
    bare = tmp_path / "state.git"
    web.git("clone", "--quiet", "--bare", str(web.checkout), str(bare), folder=tmp_path)
    web.git("remote", "add", "origin", str(bare))
    hook = bare / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    ran = web.run("observe", "--push")

    assert ran.code != 0
    assert "error: " in ran.err
    assert "✓ node-22: " in ran.out
    assert "committed" in ran.out
    assert "pushed" not in ran.out
