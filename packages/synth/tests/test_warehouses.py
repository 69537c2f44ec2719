from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from image_factory.model.enrollment import SelectionStrategy
from image_factory.model.settings import KargoSettings
from image_factory.usecases.outcome import Failed, Skipped
from image_factory_synth.data import ANY_TAG, Inventory, ManagedImage, Role, WatchedImage
from image_factory_synth.fields import RefusedByKargo
from image_factory_synth.versions import KargoVersion
from image_factory_synth.warehouses import Planned, plan_warehouses

V11 = KargoVersion(1, 11)
SETTINGS = KargoSettings()


def managed(name: str = "web", **values: Any) -> ManagedImage:
    return ManagedImage(**{"name": name, "repo_url": f"ghcr.io/acme/{name}", **values})


def watched(name: str = "node-22", **values: Any) -> WatchedImage:
    given = {
        "name": name,
        "role": Role.BASE,
        "repo_url": "docker.io/library/node",
        "allow_tags": "^22$",
        "strategy": SelectionStrategy.DIGEST,
        "tag": "22",
        **values,
    }
    return WatchedImage(**given)


def plan(*images: ManagedImage | WatchedImage, settings: KargoSettings = SETTINGS) -> Planned:
    inventory = Inventory(
        tuple(image for image in images if isinstance(image, ManagedImage)),
        tuple(image for image in images if isinstance(image, WatchedImage)),
    )
    return plan_warehouses(inventory, settings, V11)


def subscription(image: ManagedImage | WatchedImage) -> dict[str, Any]:
    planned = plan(image)
    assert planned.outcomes == ()
    ((_, document),) = planned.warehouses
    (item,) = document["spec"]["subscriptions"]
    only: dict[str, Any] = item["image"]
    return only


def test_a_base_image_is_watched_by_the_digest_of_its_tag() -> None:
    assert subscription(watched(tag="3.10", allow_tags=r"^3\.10$", repo_url="docker.io/library/python")) == {
        "repoURL": "docker.io/library/python",
        "imageSelectionStrategy": "Digest",
        "constraint": "3.10",
        "discoveryLimit": 1,
    }


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        pytest.param(None, ("Digest", "latest", None), id="nothing published"),
        pytest.param("latest", ("Digest", "latest", None), id="latest"),
        pytest.param("main-4f2a91c", ("Digest", "latest", None), id="no version"),
        pytest.param("0.6.3", ("SemVer", ">=0.0.0", None), id="a version"),
        pytest.param("v1.2.3", ("SemVer", ">=0.0.0", None), id="a version with v"),
        pytest.param("1.0.0-rc.1", ("SemVer", ">=0.0.0-0", None), id="a prerelease"),
        pytest.param("1.0.0+build.5", ("SemVer", ">=0.0.0", None), id="build metadata"),
        pytest.param("1.27", ("SemVer", ">=0.0.0", False), id="two numbers"),
        pytest.param("1.27-rc.1.2", ("SemVer", ">=0.0.0-0", False), id="two numbers and a dotted prerelease"),
        pytest.param("22", ("SemVer", ">=0.0.0", False), id="one number"),
    ],
)
def test_a_managed_image_is_watched_by_version_once_it_has_one(
    version: str | None, expected: tuple[str, str, bool | None]
) -> None:
    image = subscription(managed(current_version=version))

    assert (image["imageSelectionStrategy"], image["constraint"], image.get("strictSemvers")) == expected
    assert image["repoURL"] == "ghcr.io/acme/web"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(
            {"strategy": None, "tag": None, "allow_tags": r"^16\.2-alpine$"},
            {"imageSelectionStrategy": "Digest", "constraint": "16.2-alpine", "discoveryLimit": 1},
            id="a pattern of one tag",
        ),
        pytest.param(
            {"strategy": None, "tag": None, "allow_tags": r"^16\."},
            {"imageSelectionStrategy": "Lexical", "allowTagsRegexes": [r"^16\."], "discoveryLimit": 5},
            id="a pattern of several",
        ),
        pytest.param(
            {"strategy": SelectionStrategy.LEXICAL, "tag": None, "allow_tags": "^16$"},
            {"imageSelectionStrategy": "Lexical", "allowTagsRegexes": ["^16$"], "discoveryLimit": 5},
            id="Lexical chosen",
        ),
        pytest.param(
            {"strategy": None, "tag": None, "allow_tags": ANY_TAG, "constraint": "^7"},
            {"imageSelectionStrategy": "SemVer", "constraint": "^7", "discoveryLimit": 5},
            id="a range",
        ),
        pytest.param(
            {"strategy": SelectionStrategy.NEWEST_BUILD, "tag": None, "allow_tags": "^nightly-"},
            {"imageSelectionStrategy": "NewestBuild", "allowTagsRegexes": ["^nightly-"], "discoveryLimit": 5},
            id="NewestBuild chosen",
        ),
        pytest.param(
            {"strategy": SelectionStrategy.SEMVER, "tag": None, "allow_tags": "-alpine$", "constraint": ">=16 <17"},
            {
                "imageSelectionStrategy": "SemVer",
                "constraint": ">=16 <17",
                "allowTagsRegexes": ["-alpine$"],
                "discoveryLimit": 5,
            },
            id="a range and a pattern",
        ),
    ],
)
def test_an_external_image_is_watched_as_its_enrollment_says(values: dict[str, Any], expected: dict[str, Any]) -> None:
    image = subscription(watched(role=Role.EXTERNAL, **values))

    assert image == {"repoURL": "docker.io/library/node", **expected}


def test_digest_without_one_tag_compares_tags_and_says_so() -> None:
    planned = plan(watched(tag=None, allow_tags="^v"))

    assert planned.warehouses[0][1]["spec"]["subscriptions"][0]["image"]["imageSelectionStrategy"] == "Lexical"
    assert [note.item for note in planned.notes] == ["node-22"]


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"repo_url": None}, "repoURL"),
        ({"allow_tags": ""}, "allowTags"),
        ({"repo_url": "", "allow_tags": None}, "repoURL and no allowTags"),
    ],
    ids=str,
)
def test_an_image_that_misses_a_field_is_left_out_and_both_are_named(values: dict[str, Any], fields: str) -> None:
    planned = plan(watched("redis", **values), watched())

    assert [name for name, _ in planned.warehouses] == ["node-22"]
    (skipped,) = planned.outcomes
    assert isinstance(skipped, Skipped)
    assert (skipped.item, skipped.reason) == ("redis", f"no {fields}: it gets no Warehouse")


def test_a_base_pinned_by_digest_has_nothing_to_watch_and_is_no_problem() -> None:
    planned = plan(watched(pinned=True, repo_url=None, allow_tags=None, tag=None))

    assert (planned.warehouses, planned.outcomes, planned.pinned) == ((), (), ("node-22",))


@pytest.mark.parametrize(
    ("image", "field"),
    [
        pytest.param(managed(repo_url="ghcr.io/acme/foo--bar"), "repoURL", id="a double hyphen"),
        pytest.param(watched(repo_url="https://docker.io/library/node"), "repoURL", id="a scheme"),
        pytest.param(watched(repo_url="docker.io/library/node:22"), "repoURL", id="a tag in the repository"),
        pytest.param(watched(strategy=SelectionStrategy.LEXICAL, allow_tags="(?!a)"), "allowTags", id="look-around"),
        pytest.param(
            watched(tag=None, constraint="nope", strategy=SelectionStrategy.SEMVER), "constraint", id="no range"
        ),
    ],
)
def test_what_kargo_would_refuse_fails_alone_with_image_and_field(
    image: ManagedImage | WatchedImage, field: str
) -> None:
    planned = plan(image, managed("other"))

    assert [name for name, _ in planned.warehouses] == ["other"]
    (failed,) = planned.outcomes
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, RefusedByKargo)
    assert failed.error.message.startswith(f"{image.name}: {field}: ")


def test_an_expression_in_a_tag_fails_alone() -> None:
    planned = plan(watched(tag="${{ secret('x') }}"), managed("other"))

    assert [name for name, _ in planned.warehouses] == ["other"]
    assert [outcome.item for outcome in planned.outcomes] == ["node-22"]


def test_managed_images_are_looked_for_often_and_others_once_a_day() -> None:
    intervals = plan(managed(), managed("hub", repo_url="docker.io/acme/hub"), watched()).intervals

    assert timedelta(minutes=5) <= intervals["web"] < timedelta(minutes=6)
    assert timedelta(hours=1) <= intervals["hub"] < timedelta(hours=2)
    assert timedelta(hours=24) <= intervals["node-22"] < timedelta(hours=25)


def test_intervals_are_settings_but_nobody_elses_registry_is_asked_more_than_once_a_day() -> None:
    settings = KargoSettings(managed_interval=timedelta(minutes=30), base_interval=timedelta(hours=1))

    planned = plan(managed(), watched(), settings=settings)

    assert planned.intervals["web"] >= timedelta(minutes=30)
    assert planned.intervals["node-22"] >= timedelta(hours=24)
    assert [note.item for note in planned.notes] == ["kargo.baseInterval"]


def test_a_digest_costs_one_request_and_comparing_tags_a_list_and_each_tag() -> None:
    checks = plan(managed(), managed("b", current_version="1.0.0"), watched()).checks

    assert [(check.name, check.requests) for check in checks] == [("web", 1), ("b", 6), ("node-22", 1)]


def test_a_warehouse_tells_its_role_by_a_label() -> None:
    labels = [
        document["metadata"]["labels"]["image-factory.io/role"] for _, document in plan(managed(), watched()).warehouses
    ]

    assert labels == ["managed", "base"]


def test_a_long_name_is_shortened_and_stays_unique() -> None:
    long = "a" * 70
    names = [
        document["metadata"]["name"] for _, document in plan(watched(f"{long}-1"), watched(f"{long}-2")).warehouses
    ]

    assert len(set(names)) == 2
    assert all(len(name) <= 63 for name in names)


def test_a_private_registry_s_warehouses_name_the_secret_that_kargo_reads_it_by() -> None:
    settings = KargoSettings(registry_credentials={"ghcr.io": "ghcr-pull"})
    planned = plan(managed("web"), watched("node-22"), settings=settings)

    assert {name: document["metadata"].get("annotations") for name, document in planned.warehouses} == {
        "web": {"image-factory.io/pull-secret": "ghcr-pull"},
        "node-22": None,
    }
