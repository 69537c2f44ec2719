"""What a Renovate configuration says of images: a table of settings, and what comes of each."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import UserError
from image_factory.imports.answers import Answer, Bot, Change, FileKind, Site
from image_factory.imports.renovate import Renovate, read_renovate
from image_factory.imports.renovate_rules import parse_age

NODE = Site("Dockerfile", FileKind.DOCKERFILE, "node")
BUILDER = Site("api/Dockerfile", FileKind.DOCKERFILE, "golang", is_final=False)
OURS = Site("Dockerfile", FileKind.DOCKERFILE, "ghcr.io/acme/base")
REDIS = Site("compose.yaml", FileKind.COMPOSE, "redis")
DAY = timedelta(days=1)


def renovate(settings: Any, file: str = "renovate.json") -> Renovate:
    found = read_renovate(settings if isinstance(settings, str) else json.dumps(settings), file)
    assert found is not None
    return found


def rule(**matchers: Any) -> dict[str, Any]:
    return {"packageRules": [matchers]}


DELAYS: list[tuple[str, dict[str, Any], Site, timedelta | None]] = [
    ("nothing is said", {}, NODE, None),
    ("days", {"minimumReleaseAge": "3 days"}, NODE, 3 * DAY),
    ("the older word, a number", {"stabilityDays": 4}, NODE, 4 * DAY),
    (
        "null undoes it",
        {"minimumReleaseAge": "3 days", **rule(matchPackageNames=["node"], minimumReleaseAge=None)},
        NODE,
        0 * DAY,
    ),
    (
        "a rule for images",
        {"minimumReleaseAge": "1 day", **rule(matchDatasources=["docker"], minimumReleaseAge="9 days")},
        NODE,
        9 * DAY,
    ),
    (
        "a rule for npm",
        {"minimumReleaseAge": "1 day", **rule(matchDatasources=["npm"], minimumReleaseAge="9 days")},
        NODE,
        DAY,
    ),
    ("a rule for a manager", rule(matchManagers=["dockerfile"], minimumReleaseAge="2 days"), NODE, 2 * DAY),
    ("a rule for another manager", rule(matchManagers=["dockerfile"], minimumReleaseAge="2 days"), REDIS, None),
    ("a rule for a category", rule(matchCategories=["docker"], minimumReleaseAge="2 days"), REDIS, 2 * DAY),
    (
        "a rule for a language, the older word",
        rule(matchLanguages=["docker"], minimumReleaseAge="2 days"),
        NODE,
        2 * DAY,
    ),
    (
        "a rule for a name by glob",
        rule(matchPackageNames=["ghcr.io/acme/**"], minimumReleaseAge="0 days"),
        OURS,
        0 * DAY,
    ),
    ("a rule for all but a name", rule(matchPackageNames=["!node"], minimumReleaseAge="5 days"), NODE, None),
    ("a rule for a name by expression", rule(matchPackageNames=["/^ghcr/"], minimumReleaseAge="5 days"), OURS, 5 * DAY),
    (
        "a rule for a pattern, the older way",
        rule(matchPackagePatterns=["^no"], minimumReleaseAge="5 days"),
        NODE,
        5 * DAY,
    ),
    ("a rule for a prefix", rule(matchPackagePrefixes=["ghcr.io/"], minimumReleaseAge="5 days"), OURS, 5 * DAY),
    ("a rule that leaves a name out", rule(excludePackageNames=["node"], minimumReleaseAge="5 days"), NODE, None),
    ("a rule that leaves a pattern out", rule(excludePackagePatterns=["^no"], minimumReleaseAge="5 days"), NODE, None),
    (
        "names or patterns",
        rule(matchPackageNames=["x"], matchPackagePatterns=["*"], minimumReleaseAge="5 days"),
        NODE,
        5 * DAY,
    ),
    ("a rule for a folder", rule(matchFileNames=["api/**"], minimumReleaseAge="5 days"), BUILDER, 5 * DAY),
    ("a rule for another folder", rule(matchFileNames=["api/**"], minimumReleaseAge="5 days"), NODE, None),
    ("a rule for final stages", rule(matchDepTypes=["final"], minimumReleaseAge="5 days"), BUILDER, None),
    ("a rule for digests", rule(matchUpdateTypes=["digest", "pin"], minimumReleaseAge="5 days"), NODE, 5 * DAY),
    ("a rule for major versions", rule(matchUpdateTypes=["major"], minimumReleaseAge="5 days"), NODE, None),
    ("a rule that needs a registry", rule(matchCurrentVersion="<9", minimumReleaseAge="5 days"), NODE, None),
    (
        "a rule with a preset of unknown limits",
        rule(extends=["packages:linters"], minimumReleaseAge="5 days"),
        NODE,
        None,
    ),
    ("a rule with a preset of settings", rule(extends=["schedule:weekly"], minimumReleaseAge="5 days"), NODE, 5 * DAY),
    (
        "the last rule wins",
        {"packageRules": [{"minimumReleaseAge": "1 day"}, {"minimumReleaseAge": "2 days"}]},
        NODE,
        2 * DAY,
    ),
    (
        "a section for Dockerfiles",
        {"dockerfile": {"minimumReleaseAge": "6 days"}, "minimumReleaseAge": "1 day"},
        NODE,
        6 * DAY,
    ),
    ("a section for images", {"docker": {"minimumReleaseAge": "6 days"}}, REDIS, 6 * DAY),
    ("a section for digests", {"digest": {"minimumReleaseAge": "6 days"}, "minimumReleaseAge": "1 day"}, NODE, 6 * DAY),
    ("no time at all", {"minimumReleaseAge": "a while"}, NODE, None),
]


@pytest.mark.parametrize(
    ("settings", "site", "expected"), [case[1:] for case in DELAYS], ids=[case[0] for case in DELAYS]
)
def test_the_age_of_an_image_is_what_the_last_word_on_it_says(
    settings: dict[str, Any], site: Site, expected: timedelta | None
) -> None:
    assert renovate(settings).answer(site).delay == expected


SWITCHES: list[tuple[str, dict[str, Any], Site, str]] = [
    ("nothing is said", {}, NODE, ""),
    ("a name is off", rule(matchPackageNames=["node"], enabled=False), NODE, "enabled is false"),
    (
        "all are off and one is on",
        {
            "packageRules": [
                {"matchPackageNames": ["*"], "enabled": False},
                {"matchPackageNames": ["node"], "enabled": True},
            ]
        },
        NODE,
        "",
    ),
    ("ignored by name", {"ignoreDeps": ["node"]}, NODE, "ignoreDeps names it"),
    ("digests are off", {"extends": [":disableDigestUpdates"]}, NODE, "enabled is false"),
    ("major versions are off", {"extends": ["docker:disableMajor"]}, NODE, ""),
]


@pytest.mark.parametrize(
    ("settings", "site", "reason"), [case[1:] for case in SWITCHES], ids=[case[0] for case in SWITCHES]
)
def test_an_image_is_switched_off_with_its_reason(settings: dict[str, Any], site: Site, reason: str) -> None:
    answer = renovate(settings).answer(site)

    assert (answer.is_updated, answer.reason) == (not reason, reason)


FILES: list[tuple[str, dict[str, Any], str, FileKind, str | None]] = [
    ("a Dockerfile", {}, "Dockerfile", FileKind.DOCKERFILE, None),
    ("one with a word behind it", {}, "a/Dockerfile.dev", FileKind.DOCKERFILE, None),
    ("one of another name", {}, "a/build-dockerfile-x", FileKind.DOCKERFILE, "does not read a file of this name"),
    ("one that a pattern adds", {"dockerfile": {"fileMatch": ["build-"]}}, "build-x", FileKind.DOCKERFILE, None),
    (
        "one that a new pattern adds",
        {"dockerfile": {"managerFilePatterns": ["/^b/", "x/*"]}},
        "x/y",
        FileKind.DOCKERFILE,
        None,
    ),
    ("compose", {}, "docker-compose.prod.yml", FileKind.COMPOSE, None),
    ("kubernetes without a pattern", {}, "deploy/web.yaml", FileKind.KUBERNETES, "does not read a file of this name"),
    (
        "kubernetes with one",
        {"kubernetes": {"fileMatch": ["^deploy/.+\\.yaml$"]}},
        "deploy/web.yaml",
        FileKind.KUBERNETES,
        None,
    ),
    (
        "tests",
        {"extends": ["config:recommended"]},
        "a/test/Dockerfile",
        FileKind.DOCKERFILE,
        "ignorePaths has '**/test/**'",
    ),
    (
        "tests, with paths of one's own",
        {"extends": ["config:base"], "ignorePaths": []},
        "a/test/Dockerfile",
        FileKind.DOCKERFILE,
        None,
    ),
    (
        "tests, with the preset left out",
        {"extends": ["config:base"], "ignorePresets": [":ignoreModulesAndTests"]},
        "test/Dockerfile",
        FileKind.DOCKERFILE,
        None,
    ),
    (
        "a part of a path",
        {"ignorePaths": ["legacy"]},
        "my-legacy-app/Dockerfile",
        FileKind.DOCKERFILE,
        "ignorePaths has 'legacy'",
    ),
    ("included paths", {"includePaths": ["apps/**"]}, "Dockerfile", FileKind.DOCKERFILE, "includePaths leaves it out"),
    (
        "managers",
        {"enabledManagers": ["npm"]},
        "Dockerfile",
        FileKind.DOCKERFILE,
        "enabledManagers does not name dockerfile",
    ),
    ("all off", {"enabled": False}, "Dockerfile", FileKind.DOCKERFILE, "enabled is false"),
    ("images off", {"extends": ["docker:disable"]}, "Dockerfile", FileKind.DOCKERFILE, "docker.enabled is false"),
    (
        "Dockerfiles off",
        {"dockerfile": {"enabled": False}},
        "Dockerfile",
        FileKind.DOCKERFILE,
        "dockerfile.enabled is false",
    ),
    ("Dockerfiles off, compose not", {"dockerfile": {"enabled": False}}, "compose.yaml", FileKind.COMPOSE, None),
]


@pytest.mark.parametrize(
    ("settings", "path", "kind", "reason"), [case[1:] for case in FILES], ids=[case[0] for case in FILES]
)
def test_a_file_is_looked_into_or_there_is_a_reason(
    settings: dict[str, Any], path: str, kind: FileKind, reason: str | None
) -> None:
    found = renovate(settings).unwatched(path, kind)

    assert found is None if reason is None else reason in (found or "")


REMARKS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("nothing", {}, []),
    ("what is read", {"extends": ["config:recommended"], "minimumReleaseAge": "3 days", "groupName": "x"}, []),
    ("hours", {"schedule": ["before 4am"]}, ["schedule is not carried over: rebuilds have no hours"]),
    ("at any time", {"schedule": ["at any time"]}, []),
    ("a zone", {"timezone": "Europe/Vienna"}, ["timezone is not carried over"]),
    ("limits", {"prHourlyLimit": 2, "prConcurrentLimit": 0}, ["prHourlyLimit is not carried over: the nearest thing"]),
    ("a preset of another repository", {"extends": ["local>acme/x"]}, ["the preset 'local>acme/x' is not followed"]),
    (
        "a preset's settings",
        {"extends": ["docker:pinDigests"]},
        ["pinDigests is not carried over: the Dockerfile stays"],
    ),
    ("merging", {"automerge": True}, ["automerge is carried over as mode: push alone"]),
    ("an age in parts of a second", {"minimumReleaseAge": "10 ms"}, ["minimumReleaseAge is not carried over: '10 ms'"]),
    ("labels", {"labels": ["x"]}, ["labels is not carried over: it is about the requests that Renovate opens"]),
    ("a word that nobody knows", {"minimumReleaseAgee": "3 days"}, ["'minimumReleaseAgee' is not known here"]),
    (
        "other languages",
        {"npm": {"enabled": False}, **rule(matchManagers=["gomod"], enabled=False)},
        ["not about images, and left alone: npm, packageRules in line 1"],
    ),
    (
        "other files with images",
        {"flux": {"fileMatch": ["x"]}},
        ["flux is not carried over: images in files of this kind"],
    ),
    (
        "a rule for major versions",
        rule(matchUpdateTypes=["major"], enabled=False),
        ["a rule for 'major' alone is not carried over to rebuilds"],
    ),
    (
        "a rule that needs a registry",
        rule(matchCurrentVersion="<9", enabled=False),
        ["a rule is not carried over: matchCurrentVersion cannot be told"],
    ),
    ("a rule with a preset", rule(extends=["packages:linters"]), ["the preset 'packages:linters' cannot be told"]),
    ("hours of a rule", rule(matchDatasources=["docker"], schedule=["on monday"]), ["schedule is not carried over"]),
    (
        "several branches",
        {"baseBranches": ["main", "next"]},
        ["baseBranches is not carried over: an image is built from one branch"],
    ),
    ("one branch", {"baseBranches": ["next"]}, []),
    (
        "an alias",
        {"registryAliases": {"r": "ghcr.io"}},
        ["registryAliases: 'r' in a Dockerfile is not read as 'ghcr.io'"],
    ),
    ("approval", {"dependencyDashboardApproval": True}, ["dependencyDashboardApproval is carried over in part"]),
    (
        "expressions",
        {"customManagers": [{"customType": "regex"}]},
        ["customManagers is not carried over: places that expressions find"],
    ),
]


@pytest.mark.parametrize(("settings", "expected"), [case[1:] for case in REMARKS], ids=[case[0] for case in REMARKS])
def test_what_is_not_carried_over_is_said_in_a_sentence_each(settings: dict[str, Any], expected: list[str]) -> None:
    found = [remark.text for remark in renovate(settings).remarks]

    assert len(found) == len(expected), found
    assert all(words in text for words, text in zip(expected, found, strict=True)), found


def test_a_remark_has_the_line_of_its_setting() -> None:
    text = '{\n  "extends": [\n    ":timezone(UTC)",\n    "acme"\n  ],\n  // c\n  "labels": ["x"],\n}'

    assert [str(remark.location) for remark in renovate(text, "web/renovate.json5").remarks] == [
        "web/renovate.json5:3",
        "web/renovate.json5:4",
        "web/renovate.json5:7",
    ]


def test_no_secret_of_a_host_rule_is_shown() -> None:
    rules = [
        {"matchHost": "https://bob:hidden@ghcr.io/acme", "username": "bob", "password": "hidden"},
        {"hostType": "docker", "hostName": "registry.example.com:5000", "encrypted": {"token": "hidden"}},
        {"hostType": "npm", "matchHost": "npm.example.com", "token": "hidden"},
    ]
    found = renovate({"hostRules": rules, "npmrc": "hidden", "encrypted": {"npmrc": "hidden"}})

    shown = "\n".join(map(str, found.remarks))
    assert "hidden" not in shown
    assert "bob" not in shown
    assert "`docker login ghcr.io`" in shown
    assert "`docker login registry.example.com:5000`" in shown
    assert "npm.example.com" not in shown


def test_groups_merging_and_approval_are_told() -> None:
    found = renovate({"automerge": True, "packageRules": [{"matchPackageNames": ["node"], "groupName": "bases"}]})

    assert found.answer(NODE) == Answer(group="bases", merges=True)
    assert found.answer(REDIS) == Answer(merges=True)
    assert renovate({"digest": {"automerge": True}}).answer(NODE).merges
    assert not renovate({"extends": [":automergeMinor"]}).answer(NODE).merges
    assert renovate({"dependencyDashboardApproval": True}).answer(NODE).is_asked
    assert not renovate({"extends": ["docker:disableMajor"]}).answer(REDIS, Change.MAJOR).is_updated


def test_package_json_may_hold_the_configuration() -> None:
    found = read_renovate('{"name": "x", "renovate": {"minimumReleaseAge": "2 days"}}', "web/package.json")

    assert found is not None
    assert found.answer(NODE).delay == 2 * DAY
    assert found.bot is Bot.RENOVATE
    assert read_renovate('{"name": "x"}', "web/package.json") is None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[1]", "renovate.json:1"),
        ('{\n"ignorePaths": ["' + "x" * 501 + '"]}', "renovate.json:2"),
        ('{"packageRules": [\n{"matchPackagePatterns":\n ["(a+)+$"]}]}', "renovate.json:3"),
        ('{"dockerfile":\n {"fileMatch": ["("]}}', "renovate.json:2"),
        ('{"packageRules": [\n{"matchPackageNames":\n ["!/(a|b)*c/"]}]}', "renovate.json:3"),
    ],
)
def test_what_cannot_be_read_is_one_error_with_its_line(text: str, where: str) -> None:
    with pytest.raises(UserError) as caught:
        read_renovate(text, "renovate.json")

    assert str(caught.value.location) == where


def test_presets_that_extend_each_other_do_not_run_in_a_circle() -> None:
    found = renovate({"extends": ["config:semverAllMonthly", "config:js-app", "config:js-app"]})

    assert found.answer(NODE).group == "all dependencies"
    with pytest.raises(UserError, match="more than 200 presets"):
        renovate({"extends": ["config:js-app"] * 101})


AGES = {
    "3 days": 3 * DAY, "1 week": 7 * DAY, "1 week 12 hours": timedelta(days=7, hours=12), "90m": timedelta(minutes=90),
    "1.5 days": timedelta(hours=36), "2 months": 60 * DAY, "1M": 30 * DAY, "1 year": timedelta(days=365, hours=6),
    "0 days": 0 * DAY, " 4 days ": 4 * DAY, "1000 ms": timedelta(seconds=1),
}  # fmt: skip


@pytest.mark.parametrize("text", AGES)
def test_an_age_is_read_as_renovate_reads_it(text: str) -> None:
    assert parse_age(text) == AGES[text]


@pytest.mark.parametrize(
    "text", ["", "3", "days", "-3 days", "3 moons", "1 ms", "3 days and", "9" * 10 + " days", "null"]
)
def test_what_is_no_age_is_none(text: str) -> None:
    assert parse_age(text) is None


@given(st.integers(0, 99_999), st.integers(0, 23), st.integers(0, 59))
def test_the_age_is_carried_over_exactly(days: int, hours: int, minutes: int) -> None:
    settings = {"minimumReleaseAge": f"{days} days {hours} hours {minutes} minutes"}

    assert renovate(settings).answer(NODE).delay == timedelta(days=days, hours=hours, minutes=minutes)
