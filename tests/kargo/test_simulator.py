"""The simulator's rules by themselves, as Kargo's source has them; no Go is needed for these."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.kargo.simulator.discovery import images, matches_paths
from tests.kargo.simulator.freight import Commit, Freight, Image, available, candidates
from tests.kargo.simulator.jobs import filled, next_tick
from tests.kargo.simulator.resources import Resources, duration, matches_name

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def freight(tag: str = "1.0.0", digest: str = "sha256:a", *, warehouse: str = "web", minutes: int = 0) -> Freight:
    image = Image("ghcr.io/acme/web", tag, digest)
    return Freight(warehouse, [image], [], AT + timedelta(minutes=minutes))


def stage(**sources: Any) -> dict[str, Any]:
    requested = [{"origin": {"kind": "Warehouse", "name": "web"}, "sources": sources}]
    return {"metadata": {"name": "update-web"}, "spec": {"requestedFreight": requested}}


def test_freight_is_what_was_found_and_where() -> None:
    again = freight(minutes=5)
    assert again.name == freight().name
    others = [freight("1.0.1"), freight(digest="sha256:b"), freight(warehouse="api")]
    assert len({each.name for each in [again, *others]}) == 4
    spelled = [
        Freight("web", [], [Commit(url, "c0ffee", "main")], AT).name
        for url in ("https://git.example.com/Acme/web.git", "https://git.example.com/acme/web/")
    ]
    assert spelled[0] == spelled[1]


def test_the_newest_of_an_origin_is_the_candidate() -> None:
    old, new = freight(), freight("1.0.1", minutes=5)
    assert candidates(stage(direct=True), [new, old]) == {"web": new}
    as_new = freight("1.0.2", minutes=5)
    assert candidates(stage(direct=True), [new, as_new])["web"] is max(new, as_new, key=lambda each: each.name)


def test_what_was_not_verified_before_is_not_available_unless_it_is_approved() -> None:
    one, other = freight(), freight("1.0.1")
    wanted = stage(stages=["analyze-web"])
    assert available(wanted, "update-web", [one, other]) == []
    one.verified_in["analyze-web"] = AT
    other.approved_for.add("update-web")
    assert set(map(id, available(wanted, "update-web", [one, other]))) == {id(one), id(other)}
    assert available(stage(direct=True), "update-web", [freight(warehouse="api")]) == []


@pytest.mark.parametrize(
    ("include", "exclude", "path", "is_matched"),
    [
        pytest.param(["apps/web"], [], "apps/web/main.py", True, id="what lies below a folder"),
        pytest.param(["apps/web"], [], "apps/web", True, id="the file itself"),
        pytest.param(["apps/web"], [], "apps/website/main.py", False, id="a folder of a longer name"),
        pytest.param(["apps/web"], [], "apps/web/a..b", False, id="a name with two dots, as Kargo has it"),
        pytest.param(["glob:apps/*/Dockerfile"], [], "apps/web/Dockerfile", True, id="a star is one folder"),
        pytest.param(["glob:apps/*/Dockerfile"], [], "apps/a/b/Dockerfile", False, id="and not two"),
        pytest.param(["glob:apps/**"], [], "apps/a/b/c", True, id="two stars are any"),
        pytest.param(["glob:**/Dockerfile"], [], "Dockerfile", True, id="none too"),
        pytest.param(["regex:^apps/.*[.]py$"], [], "apps/a/b.py", True, id="a regular expression"),
        pytest.param(["regexp:b[.]py"], [], "apps/a/b.py", True, id="which is searched for"),
        pytest.param([], ["docs"], "docs/a.md", False, id="what is left out"),
        pytest.param(["apps"], ["glob:**/*.md"], "apps/a.md", False, id="left out of what is asked for"),
    ],
)
def test_paths_are_matched_as_kargo_does(include: list[str], exclude: list[str], path: str, is_matched: bool) -> None:
    assert matches_paths(include, exclude, [path]) is is_matched


def test_a_name_is_exact_unless_it_says_otherwise() -> None:
    assert [matches_name(each, "update-web") for each in ("update-web", "update", "glob:update-*", "regex:^up")] == [
        *(True, False, True, True)
    ]


def test_the_first_policy_that_matches_decides() -> None:
    resources = Resources()
    resources.apply(
        "{kind: Project, metadata: {name: p}}\n---\n"
        "{kind: ProjectConfig, metadata: {name: p}, spec: {promotionPolicies: ["
        "{stageSelector: {matchLabels: {by: hand}}, autoPromotionEnabled: false},"
        "{stageSelector: {name: 'glob:update-*'}, autoPromotionEnabled: true}]}}\n"
    )
    told: list[dict[str, Any]] = [
        {"metadata": {"name": "update-web"}},
        {"metadata": {"name": "update-web", "labels": {"by": "hand"}}},
        {"metadata": {"name": "rebuild-web"}},
    ]
    assert [resources.is_promoted_by_itself(each) for each in told] == [True, False, False]


def test_a_spec_that_changes_is_a_new_generation() -> None:
    resources = Resources()
    text = "{kind: Warehouse, metadata: {name: web, labels: {a: b}}, spec: {interval: 5m0s}}\n"
    for each in (text, text.replace("a: b", "a: c"), text.replace("5m0s", "6m0s")):
        resources.apply(each)
    assert resources.generations == {("Warehouse", "web"): 2}


class OneRegistry:
    """Has these tags, each with a digest of its own."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def digest(self, repo_url: str, tag: str) -> str | None:
        return f"sha256:{tag}" if tag in self.names else None

    def tags(self, repo_url: str) -> list[str]:
        return list(self.names)


@pytest.mark.parametrize(
    ("subscription", "tags"),
    [
        pytest.param(
            {"imageSelectionStrategy": "Digest", "constraint": "latest"}, ["latest"], id="a tag by its digest"
        ),
        pytest.param({"imageSelectionStrategy": "Digest", "constraint": "gone"}, [], id="a tag that is not there"),
        pytest.param({"constraint": ">=0.0.0"}, ["1.10.0", "1.9.0"], id="versions, not before their release"),
        pytest.param({"constraint": ">=0.0.0-0"}, ["2.0.0-rc.1", "1.10.0", "1.9.0"], id="versions of all kinds"),
        pytest.param({"strictSemvers": False, "constraint": ">=0.0.0"}, ["22", "1.10.0", "1.9.0"], id="loose versions"),
        pytest.param(
            {"imageSelectionStrategy": "Lexical", "allowTagsRegexes": ["^1[.]"], "discoveryLimit": 1},
            ["1.9.0"],
            id="the last in the order of characters",
        ),
    ],
)
def test_tags_are_selected_as_kargo_does(subscription: dict[str, Any], tags: list[str]) -> None:
    registry = OneRegistry("1.9.0", "1.10.0", "2.0.0-rc.1", "22", "latest")
    assert [each.tag for each in images({"repoURL": "ghcr.io/acme/web", **subscription}, registry)] == tags


def test_an_argument_stays_one_word_of_a_jobs_text() -> None:
    metrics = [{"provider": {"job": {"args": ["--tag={{args.tag}}", "{{ args.tag }}"]}}}]
    assert filled(metrics, {"tag": 'a", "--evil'}) == [
        {"provider": {"job": {"args": ['--tag=a", "--evil', 'a", "--evil']}}}
    ]


@pytest.mark.parametrize(
    ("schedule", "minutes"),
    [("*/10 * * * *", 10), ("5-59/10 * * * *", 5), ("0 13 * * *", 60), ("7,3 * * * *", 3), ("0 0 2 3 *", 12 * 60)],
)
def test_a_cron_job_starts_at_the_next_minute_of_its_schedule(schedule: str, minutes: int) -> None:
    assert next_tick(schedule, AT) == AT + timedelta(minutes=minutes)


def test_durations_are_gos() -> None:
    assert duration("24h17m0s") == timedelta(hours=24, minutes=17)
    assert duration("5m12.5s") == timedelta(minutes=5, seconds=12.5)
    for text in ("7d", "5", ""):
        with pytest.raises(ValueError, match="duration"):
            duration(text)
