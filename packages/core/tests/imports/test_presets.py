"""Which of Renovate's presets are known, and what of them is of use."""

from __future__ import annotations

import pytest

from image_factory.imports.presets import preset

BESIDE = [
    "group:monorepos", "group:recommended", "helpers:pinGitHubActionDigests", ":semanticCommits", ":label(deps)",
    ":rebaseStalePrs", "security:minimumReleaseAgeNpm", ":dependencyDashboard", "replacements:all", ":assignee(alice)",
    ":maintainLockFilesWeekly", ":pinAllExceptPeerDependencies", "workarounds:all", ":gitSignOff",
]  # fmt: skip


@pytest.mark.parametrize("name", BESIDE)
def test_a_preset_that_says_nothing_of_images_is_known(name: str) -> None:
    assert preset(name) == {}


@pytest.mark.parametrize(
    "name", ["github>acme/presets", "local>acme/x", "@acme", "config:nothing", ":nothing", "acme", "", "schedule:a b"]
)
def test_a_preset_of_another_repository_or_of_no_meaning_is_not(name: str) -> None:
    assert preset(name) is None


def test_a_preset_with_a_number_or_a_word_in_it_sets_that() -> None:
    assert preset(":prHourlyLimit4") == {"prHourlyLimit": 4}
    assert preset(":timezone(Europe/Vienna)") == {"timezone": "Europe/Vienna"}
    assert preset("schedule:weekly") == {"schedule": ["weekly"]}
    assert preset("default:automergeDigest") == preset(":automergeDigest") == {"digest": {"automerge": True}}
