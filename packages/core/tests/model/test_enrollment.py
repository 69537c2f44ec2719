from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from image_factory.model.enrollment import (
    Enrollment,
    Kind,
    SelectionStrategy,
    Source,
    find_broken_rules,
    find_idle_keys,
    one_tag,
    tag_pattern,
)

MANAGED: dict[str, Any] = {
    "name": "web",
    "registry": "ghcr.io",
    "repository": "acme/web",
    "source": {"repo": "acme/web"},
}
EXTERNAL: dict[str, Any] = {"name": "pg", "repository": "library/postgres", "tag": "16-alpine"}


def test_an_image_with_a_source_is_managed_in_both_shapes() -> None:
    nested = {"name": "web", "enrollment": {key: item for key, item in MANAGED.items() if key != "name"}}

    assert Enrollment.model_validate(MANAGED).kind == Kind.MANAGED
    assert Enrollment.model_validate(MANAGED) == Enrollment.model_validate(nested)


def test_an_image_without_one_is_external_and_on_docker_hub() -> None:
    enrollment = Enrollment.model_validate(EXTERNAL)

    assert enrollment.kind is Kind.EXTERNAL
    assert str(enrollment.image) == "docker.io/library/postgres"
    assert str(enrollment.reference) == "docker.io/library/postgres:16-alpine"


def test_the_defaults_are_those_of_the_format() -> None:
    enrollment = Enrollment.model_validate(MANAGED)

    assert enrollment.source is not None
    assert (enrollment.source.provider, enrollment.source.branch) == ("github", "main")
    assert enrollment.source.dockerfile == "Dockerfile"
    assert enrollment.rebuild_delay == timedelta(days=7)
    assert (enrollment.delay_mode, enrollment.auto_rebuild, enrollment.criticality) == ("aged", True, "normal")


@pytest.mark.parametrize(
    ("fields", "strategy"),
    [
        pytest.param({"tag": "16"}, SelectionStrategy.DIGEST, id="one tag: its digest"),
        pytest.param({"allowTags": "^16-alpine$"}, SelectionStrategy.DIGEST, id="a pattern for one tag: its digest"),
        pytest.param({"allowTags": "^16-.*$"}, SelectionStrategy.LEXICAL, id="a pattern for several: the last"),
        pytest.param({"constraint": "^16.0.0"}, SelectionStrategy.SEMVER, id="a range: the highest version"),
        pytest.param(
            {"constraint": "^16.0.0", "allowTags": "^16-alpine$"}, SelectionStrategy.SEMVER, id="a range and a pattern"
        ),
        pytest.param(
            {"allowTags": "^1.*$", "imageSelectionStrategy": "NewestBuild"},
            SelectionStrategy.NEWEST_BUILD,
            id="a choice wins",
        ),
    ],
)
def test_the_strategy_follows_from_what_is_given(fields: dict[str, Any], strategy: SelectionStrategy) -> None:
    entry = {"name": "pg", "repository": "library/postgres", **fields}

    assert strategy is Enrollment.model_validate(entry).strategy


def test_a_pattern_matches_its_tag_alone() -> None:
    pattern = re.compile(tag_pattern("3.12-slim"))

    assert pattern.search("3.12-slim")
    assert not any(pattern.search(tag) for tag in ("3x12-slim", "3.12-slim-bookworm", "a3.12-slim", "3.12"))


@pytest.mark.parametrize(
    ("pattern", "tag"),
    [
        ("^16-alpine$", "16-alpine"),
        (r"^3\.12-slim$", "3.12-slim"),
        ("^3.12-slim$", None),
        ("16-alpine", None),
        ("^16-alpine", None),
        ("^1[67]$", None),
        ("^$", None),
    ],
)
def test_a_pattern_names_one_tag_only_if_nothing_else_can_match(pattern: str, tag: str | None) -> None:
    assert tag == one_tag(pattern)


@pytest.mark.parametrize("repo", ["https://example.com/a/b", "../web", "/srv/web", "web", "a/../b", "git@h:a/b"])
def test_only_the_git_provider_takes_urls_and_folders(repo: str) -> None:
    assert Source(provider="git", repo=repo).repo == repo
    with pytest.raises(ValidationError):
        Source(provider="github", repo=repo)


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        pytest.param({**MANAGED, "source": {}}, ("source", "repo"), id="a source without a repository"),
        pytest.param({**MANAGED, "source": {"repo": ""}}, ("source", "repo"), id="a source with an empty one"),
        pytest.param({**MANAGED, "source": None}, ("source", "repo"), id="a source with nothing below it"),
        pytest.param(
            {key: item for key, item in MANAGED.items() if key != "registry"}, ("registry",), id="managed, no registry"
        ),
        pytest.param({"name": "pg", "repository": "x"}, ("allowTags",), id="external, no tags"),
        pytest.param(
            {"name": "pg", "repository": "x", "allowTags": "^1.*$", "imageSelectionStrategy": "Digest"},
            ("imageSelectionStrategy",),
            id="Digest for several tags",
        ),
    ],
)
def test_an_entry_that_lacks_something_for_its_kind_is_told(entry: dict[str, Any], path: tuple[str, ...]) -> None:
    (broken,) = find_broken_rules(entry)

    assert path == broken.path
    assert broken.hint


@pytest.mark.parametrize("entry", [MANAGED, EXTERNAL, {**EXTERNAL, "imageSelectionStrategy": "Digest"}])
def test_a_whole_entry_breaks_no_rule(entry: dict[str, Any]) -> None:
    assert find_broken_rules(entry) == ()
    assert find_idle_keys(entry) == ()


def test_keys_that_say_nothing_for_an_external_image_are_found() -> None:
    assert [idle.path for idle in find_idle_keys({**EXTERNAL, "updates": []})] == [("updates",)]
