"""What a Dependabot configuration says of images: folders, ages, what is ignored, and what is said of the rest."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import UserError
from image_factory.imports.answers import Change, FileKind, Site
from image_factory.imports.dependabot import Dependabot, read_dependabot

NODE = Site("Dockerfile", FileKind.DOCKERFILE, "node")
OURS = Site("Dockerfile", FileKind.DOCKERFILE, "ghcr.io/acme/base")
DAY = timedelta(days=1)


def dependabot(*entries: dict[str, Any], **top: Any) -> Dependabot:
    filled = [{"package-ecosystem": "docker", "directory": "/", **entry} for entry in entries]
    return read_dependabot(yaml.safe_dump({"version": 2, **top, "updates": filled}), "dependabot.yml")


FOLDERS: list[tuple[str, dict[str, Any], str, FileKind, bool]] = [
    ("the top", {}, "Dockerfile", FileKind.DOCKERFILE, True),
    ("the top, and no folder below", {}, "api/Dockerfile", FileKind.DOCKERFILE, False),
    ("a folder", {"directory": "/api"}, "api/Dockerfile", FileKind.DOCKERFILE, True),
    ("a folder with a slash behind", {"directory": "api/"}, "api/Dockerfile", FileKind.DOCKERFILE, True),
    (
        "folders by a glob",
        {"directory": None, "directories": ["/apps/*"]},
        "apps/web/Dockerfile",
        FileKind.DOCKERFILE,
        True,
    ),
    ("deeper folders by a glob", {"directories": ["/apps/*"]}, "apps/web/x/Dockerfile", FileKind.DOCKERFILE, False),
    ("all folders", {"directories": ["**/*"]}, "apps/web/x/Dockerfile", FileKind.DOCKERFILE, True),
    ("a name with the word in it", {}, "Dockerfile.dev", FileKind.DOCKERFILE, True),
    ("YAML beside it", {}, "deployment.yaml", FileKind.KUBERNETES, True),
    ("YAML with two dots", {}, "app.prod.yaml", FileKind.KUBERNETES, False),
    ("compose is another ecosystem", {}, "compose.yaml", FileKind.COMPOSE, False),
    ("compose", {"package-ecosystem": "docker-compose"}, "compose.yaml", FileKind.COMPOSE, True),
    ("compose alone", {"package-ecosystem": "docker-compose"}, "Dockerfile", FileKind.DOCKERFILE, False),
    ("another ecosystem", {"package-ecosystem": "npm"}, "Dockerfile", FileKind.DOCKERFILE, False),
    ("no updates", {"open-pull-requests-limit": 0}, "Dockerfile", FileKind.DOCKERFILE, False),
    (
        "excluded paths",
        {"directory": "/api", "exclude-paths": ["Dockerfile.*"]},
        "api/Dockerfile.dev",
        FileKind.DOCKERFILE,
        False,
    ),
]


@pytest.mark.parametrize(
    ("entry", "path", "kind", "expected"), [case[1:] for case in FOLDERS], ids=[case[0] for case in FOLDERS]
)
def test_a_file_is_looked_into_where_an_entry_has_its_folder(
    entry: dict[str, Any], path: str, kind: FileKind, expected: bool
) -> None:
    assert (dependabot(entry).unwatched(path, kind) is None) is expected


ANSWERS: list[tuple[str, dict[str, Any], Site, tuple[bool, timedelta | None, str | None]]] = [
    ("nothing is said", {}, NODE, (True, None, None)),
    ("an age", {"cooldown": {"default-days": 5}}, NODE, (True, 5 * DAY, None)),
    ("an age for others", {"cooldown": {"default-days": 5, "include": ["ghcr.io/*"]}}, NODE, (True, 0 * DAY, None)),
    ("an age for all but this", {"cooldown": {"default-days": 5, "exclude": ["no*"]}}, NODE, (True, 0 * DAY, None)),
    ("an age for this", {"cooldown": {"default-days": 5, "include": ["ghcr.io/*"]}}, OURS, (True, 5 * DAY, None)),
    ("an age that is none", {"cooldown": {"default-days": "soon"}}, NODE, (True, None, None)),
    ("ages of versions", {"cooldown": {"semver-major-days": 5}}, NODE, (True, None, None)),
    ("ignored", {"ignore": [{"dependency-name": "no*"}]}, NODE, (False, None, None)),
    ("others ignored", {"ignore": [{"dependency-name": "python"}]}, NODE, (True, None, None)),
    (
        "some versions ignored",
        {"ignore": [{"dependency-name": "node", "versions": [">=23"]}]},
        NODE,
        (True, None, None),
    ),
    (
        "major versions ignored",
        {"ignore": [{"dependency-name": "node", "update-types": ["version-update:semver-major"]}]},
        NODE,
        (True, None, None),
    ),
    ("allowed", {"allow": [{"dependency-name": "node"}]}, NODE, (True, None, None)),
    ("not allowed", {"allow": [{"dependency-name": "node"}]}, OURS, (False, None, None)),
    ("grouped", {"groups": {"bases": {"patterns": ["*"]}}}, NODE, (True, None, "bases")),
    (
        "grouped by the first",
        {"groups": {"a": {"patterns": ["x"]}, "b": {"exclude-patterns": ["x"]}}},
        NODE,
        (True, None, "b"),
    ),
    ("not grouped", {"groups": {"bases": {"patterns": ["*"], "exclude-patterns": ["node"]}}}, NODE, (True, None, None)),
    ("grouped by versions", {"groups": {"x": {"update-types": ["minor"]}}}, NODE, (True, None, None)),
    ("grouped for security", {"groups": {"x": {"applies-to": "security-updates"}}}, NODE, (True, None, None)),
]


@pytest.mark.parametrize(
    ("entry", "site", "expected"), [case[1:] for case in ANSWERS], ids=[case[0] for case in ANSWERS]
)
def test_an_image_gets_what_its_entry_says(
    entry: dict[str, Any], site: Site, expected: tuple[bool, timedelta | None, str | None]
) -> None:
    answer = dependabot(entry).answer(site)

    assert (answer.is_updated, answer.delay, answer.group) == expected


def test_ignoring_major_versions_is_told_apart() -> None:
    found = dependabot({"ignore": [{"dependency-name": "*", "update-types": ["version-update:semver-major"]}]})

    assert found.answer(NODE, Change.DIGEST).is_updated
    assert not found.answer(NODE, Change.MAJOR).is_updated


def test_the_branch_is_the_one_that_all_entries_name() -> None:
    assert dependabot({"target-branch": "next"}).branch == "next"
    assert dependabot({}).branch is None
    assert dependabot({}, {"package-ecosystem": "docker-compose", "target-branch": "next"}).branch is None


REMARKS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("what is read", {"cooldown": {"default-days": 5}, "ignore": [{"dependency-name": "x"}]}, []),
    ("how often", {"schedule": {"interval": "weekly"}}, ["schedule ('weekly') is not carried over"]),
    ("limits", {"open-pull-requests-limit": 5}, ["open-pull-requests-limit is not carried over"]),
    ("labels", {"labels": ["x"]}, ["labels is not carried over: it is about the requests that Dependabot opens"]),
    ("ages of versions", {"cooldown": {"semver-major-days": 30}}, ["cooldown.semver-major-days is not carried over"]),
    ("an age that is none", {"cooldown": {"default-days": "soon"}}, ["default-days is not carried over"]),
    (
        "versions",
        {"ignore": [{"dependency-name": "node", "versions": [">=23"]}]},
        ["ignore of 'node' with versions is not"],
    ),
    ("groups of versions", {"groups": {"x": {"update-types": ["minor"]}}}, ["the group 'x' is not carried over"]),
    ("a word that nobody knows", {"cooldwn": {}}, ["'cooldwn' is not known here"]),
    ("other ecosystems", {"package-ecosystem": "npm"}, ["not about images, and left alone: 'npm'"]),
]


@pytest.mark.parametrize(("entry", "expected"), [case[1:] for case in REMARKS], ids=[case[0] for case in REMARKS])
def test_what_is_not_carried_over_is_said_in_a_sentence_each(entry: dict[str, Any], expected: list[str]) -> None:
    found = [remark.text for remark in dependabot(entry).remarks]

    assert len(found) == len(expected), found
    assert all(words in text for words, text in zip(expected, found, strict=True)), found


def test_of_a_registry_the_host_alone_is_shown() -> None:
    registries = {
        "ghcr": {"type": "docker-registry", "url": "https://bob:hidden@ghcr.io", "password": "hidden"},
        "npm": {"type": "npm-registry", "url": "https://npm.example.com", "token": "hidden"},
    }
    shown = "\n".join(map(str, dependabot({}, registries=registries).remarks))

    assert "the registry 'ghcr' is not carried over: `docker login ghcr.io`" in shown
    assert "hidden" not in shown
    assert "npm" not in shown


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "dependabot.yml:1"),
        ("version: 2\n", "dependabot.yml:1"),
        ("version: 2\nupdates: [\n", "dependabot.yml:3"),
        ("updates:\n- package-ecosystem: docker\n  directory: " + "x" * 501 + "\n", "dependabot.yml:3"),
    ],
)
def test_what_cannot_be_read_is_one_error_with_its_line(text: str, where: str) -> None:
    with pytest.raises(UserError) as caught:
        read_dependabot(text, "dependabot.yml")

    assert str(caught.value.location) == where


@given(st.integers(0, 999_999))
def test_the_days_are_carried_over_exactly(days: int) -> None:
    assert dependabot({"cooldown": {"default-days": days}}).answer(NODE).delay == timedelta(days=days)
